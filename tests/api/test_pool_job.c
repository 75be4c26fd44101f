/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Pools: what a job can say, and what its tasks are told. */
#include "pools.h"

#include <stdlib.h>

enum { LARGE = 5000 }; /* bytes of a context that has a block of its own */

/* ---- what is refused ------------------------------------------------------------------------ */

static void check_said(const char *call, const char *words) {
    CHECK(strncmp(cohort_last_error(), call, strlen(call)) == 0);
    CHECK(strstr(cohort_last_error(), words) != NULL);
}

/* Both ways, with these words. */
static void refused(cohort_pool_t *pool, const cohort_job_t *job, apr_status_t status,
                    const char *words) {
    cohort_result_t *result = NULL;
    CHECK_STATUS(status, cohort_pool_run(pool, job));
    check_said("cohort_pool_run: ", words);
    CHECK_STATUS(status, cohort_pool_submit(&result, pool, job, NULL));
    check_said("cohort_pool_submit: ", words);
    CHECK(result == NULL);
}

static void bad_jobs(void) {
    cohort_pool_t *pool = new_pool(1);
    int x = 1;
    const apr_size_t absurd = APR_SIZE_MAX / 2;
    const struct {
        cohort_job_t job;
        apr_status_t status;
        const char *words;
    } bad[] = {
        {{COHORT_INPUTS(&x, 1)}, APR_EINVAL, "task is NULL"},
        {{.task = square, .input_size = 4, .n = 1}, APR_EINVAL, "the input is NULL"},
        {{.task = square, .n = (apr_size_t)1 << 33}, COHORT_ELIMIT, "more than the 4294967294"},
        {{.task = square, .inputs = &x, .input_size = absurd, .n = 9},
         APR_EINVAL,
         "n times input_size is too large"},
        {{.task = square, .output_size = absurd, .n = 9},
         APR_EINVAL,
         "n times output_size is too large"},
        {{.task = square, .context_size = 1}, APR_EINVAL, "context is NULL"},
        {{.task = square, .context = &x},
         APR_EINVAL,
         "context_size is 0, and context does not lie in the arena"},
        {{.task = square, .context = &x, .context_size = absurd},
         APR_EINVAL,
         "context_size is too large"},
        {{.task = square, .context = &x, .context_size = absurd / 4}, APR_ENOMEM, ""},
        {{.task = square, .retry_delay = -1}, APR_EINVAL, "retry_delay is -1"},
        {{.task = square, .retry_delay = 5, .retry_delay_max = 4},
         APR_EINVAL,
         "retry_delay_max is 4, and retry_delay 5"},
        {{.task = square, .retry_delay_max = 4}, APR_EINVAL, "and retry_delay 0"},
    };
    refused(pool, NULL, APR_EINVAL, "job is NULL");
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
        refused(pool, &bad[i].job, bad[i].status, bad[i].words);
    check_works(pool);
    finish_pool(pool);
}

static void unknown_options(void) {
    cohort_pool_t *pool = new_pool(1);
    for (int i = 0; i < 6; i++) {
        cohort_job_t job = {.task = square};
        char words[40];
        snprintf(words, sizeof words, "job.reserved[%d] is not 0", i);
        job.reserved[i] = (apr_uint64_t)1 << (9 * i);
        refused(pool, &job, COHORT_EOPTION, words);
    }
    finish_pool(pool);
}

/* ---- what a task is told -------------------------------------------------------------------- */

typedef struct {
    apr_size_t index, attempt;
    const void *context;
} told_t;

static told_t told(void) {
    return (told_t){cohort_task_index(), cohort_task_attempt(), cohort_task_context()};
}

static void check_told(const told_t *told, apr_size_t index, apr_size_t attempt,
                       const void *context) {
    CHECK_INT(index, told->index);
    CHECK_INT(attempt, told->attempt);
    CHECK(told->context == context);
}

static apr_status_t report(const void *input, void *output) {
    (void)input;
    *(told_t *)output = told();
    return APR_SUCCESS;
}

static void tasks_know_themselves(void) {
    cohort_pool_t *pool = new_pool(2);
    int *context = party_memory(sizeof *context);
    told_t out[300];
    for (apr_size_t chunk = 0; chunk <= 300; chunk = chunk * 3 + 1) {
        cohort_job_t job = {
            .task = report, .n = 300, COHORT_OUTPUTS(out), .chunk = chunk, .context = context};
        memset(out, 0, sizeof out);
        CHECK_STATUS(APR_SUCCESS, cohort_pool_run(pool, &job));
        for (apr_size_t i = 0; i < 300; i++) check_told(&out[i], i, 1, context);
    }
    CHECK_STATUS(APR_SUCCESS, cohort_pool_apply(pool, report, NULL, 0, out, sizeof *out));
    check_told(out, 0, 1, NULL);
    finish_pool(pool);
    CHECK_STATUS(APR_SUCCESS, cohort_free(context));
}

static void check_outside(void) {
    told_t here = told();
    check_told(&here, 0, 0, NULL);
}

/* In a process that a task has started; its exit code says whether it was told anything. */
static int tell_in_process(void *args) {
    told_t here = told();
    (void)args;
    return here.index || here.attempt || here.context;
}

static void *APR_THREAD_FUNC tell_in_thread(apr_thread_t *thread, void *arg) {
    (void)thread;
    *(told_t *)arg = told();
    return NULL;
}

static apr_status_t tell_all_around(const void *input, void *output) {
    cohort_pool_t *inner = *(cohort_pool_t *const *)input;
    told_t *out = output, in_thread, inside[3];
    party_thread_finish(party_thread(tell_in_thread, &in_thread));
    party_finish(party_start(tell_in_process, NULL, 0));
    RUN(inner, .task = report, .n = 3, COHORT_OUTPUTS(inside));
    for (apr_size_t i = 0; i < 3; i++) check_told(&inside[i], i, 1, NULL);
    *out = told();
    check_told(&in_thread, out->index, out->attempt, out->context);
    return APR_SUCCESS;
}

/* Threads of the task's process are told the same, processes that it starts nothing, and a job that
 * it runs changes nothing. */
static void only_tasks_are_told(void) {
    cohort_pool_t *outer = new_pool(2), *inner = new_pool(2), *inputs[4];
    int *context = party_memory(sizeof *context);
    told_t out[4] = {{0}};
    check_outside();
    for (int i = 0; i < 4; i++) inputs[i] = inner;
    RUN(outer, .task = tell_all_around, COHORT_INPUTS(inputs, 4), COHORT_OUTPUTS(out),
        .context = context);
    for (apr_size_t i = 0; i < 4; i++) check_told(&out[i], i, 1, context);
    check_outside();
    finish_pool(outer);
    finish_pool(inner);
    CHECK_STATUS(APR_SUCCESS, cohort_free(context));
}

static apr_status_t tell_initializer(void *args) {
    told_t *place = *(told_t **)args;
    *place = told();
    return APR_SUCCESS;
}

/* The pool is made in a task, so that a forked worker is a copy of a process that is in one. */
static apr_status_t make_inner_pool(const void *input, void *output) {
    told_t *place = *(told_t *const *)input;
    cohort_pool_options_t options = {.workers = 1,
                                     .initializer = tell_initializer,
                                     .init_args = &place,
                                     .init_size = sizeof place};
    cohort_pool_t *inner;
    apr_status_t status = cohort_pool_create(&inner, &options, NULL);
    if (!status) status = cohort_pool_apply(inner, report, NULL, 0, output, sizeof(told_t));
    if (!status) status = cohort_pool_destroy(inner);
    return status;
}

static void initializers_are_told_nothing(void) {
    cohort_pool_t *pool = new_pool(1);
    told_t *places = party_memory(2 * sizeof *places), *inputs[2] = {places, places + 1}, out[2];
    memset(places, 7, 2 * sizeof *places);
    RUN(pool, .task = make_inner_pool, COHORT_INPUTS(inputs, 2), COHORT_OUTPUTS(out),
        .context = places);
    for (int i = 0; i < 2; i++) {
        check_told(&places[i], 0, 0, NULL);
        check_told(&out[i], 0, 1, NULL);
    }
    finish_pool(pool);
    CHECK_STATUS(APR_SUCCESS, cohort_free(places));
}

/* ---- attempts ------------------------------------------------------------------------------- */

/* The input says in how many attempts the worker dies. */
static apr_status_t die_at_first(const void *input, void *output) {
    *(told_t *)output = told();
    if (cohort_task_attempt() <= *(const apr_size_t *)input) {
        (void)cohort_process_kill(cohort_process_current());
        party_wait_for_death();
    }
    return APR_SUCCESS;
}

static cohort_pool_t *pool_with_attempts(apr_size_t attempts) {
    cohort_pool_options_t options = {.workers = 2, .name = "P", .attempts = attempts};
    cohort_pool_t *pool = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&pool, &options, test_pool()));
    return pool;
}

/* Items of one chunk, before and behind those that die too. */
static void retried_tasks_know_it(void) {
    cohort_pool_t *pool = pool_with_attempts(1);
    apr_size_t deaths[12] = {0, 0, 2, 0, 0, 1, 1, 0, 0, 0, 3};
    told_t out[12];
    char context[LARGE] = "context";
    cohort_job_t job = {.task = die_at_first,
                        COHORT_INPUTS(deaths, 12),
                        COHORT_OUTPUTS(out),
                        .chunk = 12,
                        .attempts = 4,
                        .context = context,
                        .context_size = sizeof context};
    CHECK_STATUS(APR_SUCCESS, cohort_pool_run(pool, &job));
    for (apr_size_t i = 0; i < 12; i++) check_told(&out[i], i, deaths[i] + 1, out[0].context);
    finish_pool(pool);
}

/* One task that dies as often as it is run. */
static void check_attempts(cohort_pool_t *pool, apr_size_t of_job, apr_size_t expected) {
    apr_size_t deaths = 100;
    cohort_result_t *result;
    cohort_task_error_t error;
    cohort_job_t job = {.task = die_at_first,
                        COHORT_INPUTS(&deaths, 1),
                        .output_size = sizeof(told_t),
                        .attempts = of_job};
    CHECK_STATUS(APR_SUCCESS, cohort_pool_submit(&result, pool, &job, NULL));
    CHECK_STATUS(COHORT_EWORKERDIED, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_result_error(result, &error));
    CHECK_INT(expected, error.attempt);
    CHECK_INT(expected, ((const told_t *)cohort_result_outputs(result))->attempt);
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
}

static void attempts_of_a_job(void) {
    cohort_pool_t *once = pool_with_attempts(0), *thrice = pool_with_attempts(3);
    check_attempts(once, 0, 1);
    check_attempts(once, 1, 1);
    check_attempts(once, 4, 4);
    check_attempts(thrice, 0, 3);
    check_attempts(thrice, 1, 1);
    check_attempts(thrice, 2, 2);
    check_attempts(thrice, 5, 5);
    finish_pool(once);
    finish_pool(thrice);
}

/* ---- contexts ------------------------------------------------------------------------------- */

/* A task that waits until it may look: the sum of the first and the last byte of its context. */
typedef struct {
    gate_t *gate;
    apr_size_t size;
} look_t;

static apr_status_t look_at_context(const void *input, void *output) {
    const look_t *look = input;
    const unsigned char *context = cohort_task_context();
    (void)pass_gate(&look->gate, NULL);
    *(int *)output = (uintptr_t)context % 16 ? -1 : context[0] + context[look->size - 1];
    return APR_SUCCESS;
}

static cohort_job_t look_job(const look_t *look, const void *context) {
    return (cohort_job_t){.task = look_at_context,
                          COHORT_INPUTS(look, 1),
                          .output_size = sizeof(int),
                          .context = context,
                          .context_size = look->size};
}

/* The submitter's memory is used for something else before the task looks. */
static void contexts_are_copied(void) {
    static const apr_size_t sizes[] = {1, 100, 384, 385, LARGE, 100 * LARGE};
    cohort_pool_t *pool = new_pool(1);
    unsigned char *context = malloc(100 * LARGE);
    for (apr_size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        look_t look = {new_gate(), sizes[i]};
        cohort_job_t job = look_job(&look, context);
        cohort_result_t *result;
        int out = 0;
        memset(context, 21, sizes[i]);
        CHECK_STATUS(APR_SUCCESS, cohort_pool_submit(&result, pool, &job, NULL));
        memset(context, 99, sizes[i]);
        memset(&job, 99, sizeof job);
        atomic_store(&look.gate->open, 1);
        CHECK_STATUS(APR_SUCCESS, cohort_result_get(result, &out, sizeof out, COHORT_FOREVER));
        CHECK_INT(42, out);
        CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
        CHECK_STATUS(APR_SUCCESS, cohort_free(look.gate));
    }
    free(context);
    finish_pool(pool);
}

/* Inputs are copied too, each with room of its own, and outputs behind them. */
static apr_status_t add_context(const void *input, void *output) {
    *(apr_int64_t *)output =
        *(const apr_int64_t *)input + *(const apr_int64_t *)cohort_task_context();
    return APR_SUCCESS;
}

static void contexts_beside_inputs(void) {
    cohort_pool_t *pool = new_pool(2);
    apr_int64_t in[1000], out[1000], context[1000];
    for (int i = 0; i < 1000; i++) in[i] = i;
    context[0] = 7;
    for (apr_size_t n = 1; n <= 1000; n *= 10) {
        for (apr_size_t size = 1; size <= 1000; size *= 10) {
            cohort_job_t job = {.task = add_context,
                                COHORT_INPUTS(in, n),
                                COHORT_OUTPUTS(out),
                                .context = context,
                                .context_size = size * sizeof *context};
            memset(out, 0, sizeof out);
            CHECK_STATUS(APR_SUCCESS, cohort_pool_run(pool, &job));
            for (apr_size_t i = 0; i < n; i++) CHECK_INT((int)i + 7, out[i]);
        }
    }
    finish_pool(pool);
}

static void contexts_in_the_arena(void) {
    cohort_pool_t *pool = new_pool(1);
    char *context = party_memory(LARGE);
    const apr_size_t sizes[] = {0, 1, LARGE - 10};
    for (int i = 0; i < 3; i++) {
        cohort_job_t job = {
            .task = report, .n = 1, .context = context + 10, .context_size = sizes[i]};
        told_t out;
        job.outputs = &out, job.output_size = sizeof out;
        CHECK_STATUS(APR_SUCCESS, cohort_pool_run(pool, &job));
        check_told(&out, 0, 1, context + 10);
    }
    finish_pool(pool);
    CHECK_STATUS(APR_SUCCESS, cohort_free(context));
}

typedef struct {
    cohort_pool_t *pool;
    look_t look;
} submission_t;

static int run_with_context(void *args) {
    submission_t *s = args;
    char context[LARGE] = {0};
    cohort_job_t job = look_job(&s->look, context);
    return cohort_pool_run(s->pool, &job) != APR_SUCCESS;
}

static void kill_submitter(submission_t *s) {
    cohort_process_t *submitter = party_start(run_with_context, s, sizeof *s);
    party_await(&s->look.gate->begun, 1);
    party_kill(submitter);
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(submitter));
}

static void stop_workers(submission_t *s, void (*stop)(cohort_pool_t *), apr_status_t expected) {
    char context[LARGE] = {0};
    cohort_job_t job = look_job(&s->look, context);
    cohort_result_t *result;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_submit(&result, s->pool, &job, NULL));
    party_await(&s->look.gate->begun, 1);
    stop(s->pool);
    CHECK_STATUS(expected, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
}

static void terminate(cohort_pool_t *pool) {
    CHECK_STATUS(APR_SUCCESS, cohort_pool_terminate(pool));
}

/* While the task runs the submitter is killed, or the worker, or the pool is terminated. */
static void lose_a_context(int way) {
    submission_t s = {new_pool(1), {new_gate(), LARGE}};
    if (way == 0) kill_submitter(&s);
    if (way == 1) stop_workers(&s, kill_worker, COHORT_EWORKERDIED);
    if (way == 2) stop_workers(&s, terminate, COHORT_ETERMINATED);
    atomic_store(&s.look.gate->open, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(s.pool));
    CHECK_STATUS(APR_SUCCESS, cohort_free(s.look.gate));
}

static void contexts_are_freed(void) {
    for (int way = 0; way < 3; way++) lose_a_context(way);
    apr_uint64_t before = blocks_in_use();
    for (int way = 0; way < 3; way++) {
        for (int i = 0; i < 3; i++) lose_a_context(way);
        CHECK_INT(before, blocks_in_use());
    }
}

/* A task that runs has it still; then it goes, while the pool lives on. */
static void a_destroyed_result_frees_its_context(void) {
    cohort_pool_t *pool = new_pool(1);
    char context[LARGE] = {0};
    gate_t *gate = new_gate();
    look_t look = {gate, LARGE};
    cohort_job_t job = look_job(&look, context);
    cohort_result_t *result;
    check_works(pool);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_submit(&result, pool, &job, NULL));
    party_await(&gate->begun, 1); /* so the worker has let go of what it had before */
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
    apr_uint64_t held = blocks_in_use();
    atomic_store(&gate->open, 1);
    while (blocks_in_use() != held - 2) apr_sleep(500);
    finish_pool(pool);
    CHECK_STATUS(APR_SUCCESS, cohort_free(gate));
}

/* ---- errors --------------------------------------------------------------------------------- */

static void check_tail(const cohort_task_error_t *error) {
    for (int i = 0; i < 4; i++) CHECK_INT(0, error->reserved[i]);
}

static void errors_have_a_tail(void) {
    cohort_pool_t *pool = new_pool(2);
    int in[8];
    cohort_job_t job = {.task = odd_fails, COHORT_INPUTS(in, 8), .output_size = sizeof *in};
    cohort_result_t *result;
    cohort_task_error_t error, **errors;
    apr_size_t n = 0;
    fill(in, 8);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_submit(&result, pool, &job, NULL));
    CHECK_STATUS(APR_ENOTIMPL, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
    memset(&error, 0xff, sizeof error);
    CHECK_STATUS(APR_SUCCESS, cohort_result_error(result, &error));
    check_tail(&error);
    CHECK_STATUS(APR_SUCCESS, cohort_result_errors(result, &errors, &n, test_pool()));
    CHECK_INT(4, n);
    for (apr_size_t i = 0; i < n; i++) {
        CHECK_INT(2 * (int)i + 1, errors[i]->index);
        check_tail(errors[i]);
    }
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
    finish_pool(pool);
}

/* ---- what is asked of a result -------------------------------------------------------------- */

typedef struct {
    cohort_pool_t *pool;
    gate_t *gate;
    cohort_result_t *result;
    _Atomic int submitted;
} call_t;

static void never_called(cohort_result_t *result, void *arg) { (void)result, (void)arg; }

static int submit_with_callback(void *args) {
    call_t *s = *(call_t **)args;
    cohort_job_t job = {.task = pass_gate, COHORT_INPUTS(&s->gate, 1), .on_success = never_called};
    CHECK_STATUS(APR_SUCCESS, cohort_pool_submit(&s->result, s->pool, &job, NULL));
    atomic_store(&s->submitted, 1);
    party_wait_for_death();
}

/* The process that was to call the callback is dead when the work is done. */
static void a_look_sees_the_death_of_the_submitter(void) {
    call_t *s = party_memory(sizeof *s);
    s->pool = new_pool(1);
    s->gate = new_gate();
    cohort_process_t *child = party_start(submit_with_callback, &s, sizeof s);
    party_await(&s->submitted, 1);
    CHECK_INT(0, cohort_result_is_ready(s->result));
    party_kill(child);
    atomic_store(&s->gate->open, 1);
    while (!cohort_result_is_ready(s->result)) apr_sleep(1000);
    CHECK_INT(1, cohort_result_is_successful(s->result));
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(s->result));
    finish_pool(s->pool);
}

/* ---- where inputs and outputs lie ----------------------------------------------------------- */

typedef struct {
    _Alignas(64) char bytes[64];
} line_t;

static apr_status_t write_line(const void *input, void *output) {
    if ((uintptr_t)output % _Alignof(line_t) || (uintptr_t)input % _Alignof(int))
        return cohort_task_fail(APR_EGENERAL, "the output is at %p", output);
    memset(((line_t *)output)->bytes, *(const int *)input, sizeof(line_t));
    return APR_SUCCESS;
}

static void outputs_are_aligned(void) {
    cohort_pool_t *pool = new_pool(1);
    for (apr_size_t n = 1; n < 8; n++) {
        int in[8] = {7, 7, 7, 7, 7, 7, 7, 7};
        line_t out[8];
        memset(out, 0, sizeof out);
        CHECK_STATUS(APR_SUCCESS, COHORT_MAP(pool, write_line, in, n, out));
        CHECK_INT(7, out[n - 1].bytes[63]);
    }
    finish_pool(pool);
}

/* ---- what a task has said ------------------------------------------------------------------- */

static apr_status_t complain_and_succeed(const void *input, void *output) {
    (void)input, (void)output;
    (void)cohort_task_fail(APR_EGENERAL, "of another task");
    return APR_SUCCESS;
}

static apr_status_t fail_without_a_word(const void *input, void *output) {
    (void)input, (void)output;
    return APR_EGENERAL;
}

/* The next job may lie where the first one did. */
static void words_are_of_one_task(void) {
    cohort_pool_t *pool = new_pool(1);
    for (int i = 0; i < 20; i++) {
        CHECK_STATUS(APR_SUCCESS, cohort_pool_apply(pool, complain_and_succeed, NULL, 0, NULL, 0));
        CHECK_STATUS(APR_EGENERAL, cohort_pool_apply(pool, fail_without_a_word, NULL, 0, NULL, 0));
        CHECK(strstr(cohort_last_error(), "of another task") == NULL);
    }
    finish_pool(pool);
}

const test_case_t pool_job_cases[] = {
    {"Pool", "bad_jobs", bad_jobs},
    {"Pool", "unknown_options", unknown_options},
    {"Pool", "tasks_know_themselves", tasks_know_themselves},
    {"Pool", "only_tasks_are_told", only_tasks_are_told},
    {"Pool", "initializers_are_told_nothing", initializers_are_told_nothing},
    {"Pool", "retried_tasks_know_it", retried_tasks_know_it},
    {"Pool", "attempts_of_a_job", attempts_of_a_job},
    {"Pool", "contexts_are_copied", contexts_are_copied},
    {"Pool", "contexts_beside_inputs", contexts_beside_inputs},
    {"Pool", "contexts_in_the_arena", contexts_in_the_arena},
    {"Pool", "contexts_are_freed", contexts_are_freed},
    {"Pool", "a_destroyed_result_frees_its_context", a_destroyed_result_frees_its_context},
    {"Pool", "errors_have_a_tail", errors_have_a_tail},
    {"Pool", "a_look_sees_the_death_of_the_submitter", a_look_sees_the_death_of_the_submitter},
    {"Pool", "outputs_are_aligned", outputs_are_aligned},
    {"Pool", "words_are_of_one_task", words_are_of_one_task},
    {0},
};
