/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Pools: jobs that are cancelled. Each item has one result: its own, if it has ended by itself, or
 * COHORT_ECANCELLED; and other jobs lose nothing. */
#include "pools.h"

enum { N = 40 };

/* What the items of a job share. An item writes its number, and is held up if it is the held one:
 * until the gate is open, or until it is told to stop. */
typedef struct {
    gate_t gate; /* of the held items */
    _Atomic int runs[N];
    _Atomic int told; /* what the held item was told */
    int held, heeds;
} job_scene_t;

typedef struct {
    job_scene_t *scene;
    int number;
} step_t;

static apr_status_t step(const void *input, void *output) {
    const step_t *s = input;
    job_scene_t *scene = s->scene;
    atomic_fetch_add(&scene->runs[s->number], 1);
    if (s->number == scene->held) {
        apr_status_t told = APR_SUCCESS;
        atomic_fetch_add(&scene->gate.begun, 1);
        while (!told && !atomic_load(&scene->gate.open)) {
            apr_sleep(1000);
            if (scene->heeds) told = cohort_task_should_stop();
        }
        atomic_store(&scene->told, cohort_task_should_stop());
        if (told) return told;
    }
    *(int *)output = s->number + 1;
    return APR_SUCCESS;
}

typedef struct {
    job_scene_t *scene;
    cohort_result_t *result;
} run_t;

/* A job of N steps of which one is held, in one chunk or in several. */
static run_t begin(cohort_pool_t *pool, int held, bool heeds, apr_size_t chunk,
                   apr_size_t attempts) {
    run_t run = {.scene = party_memory(sizeof *run.scene)};
    step_t steps[N];
    run.scene->held = held;
    run.scene->heeds = heeds;
    for (int i = 0; i < N; i++) steps[i] = (step_t){run.scene, i};
    SUBMIT(&run.result, pool, NULL, .task = step, COHORT_INPUTS(steps, N),
           .output_size = sizeof(int), .chunk = chunk, .attempts = attempts);
    return run;
}

/* Until its held item runs. */
static void await_held(const run_t *run) { party_await(&run->scene->gate.begun, 1); }

static void end(run_t *run) {
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(run->result));
    CHECK_STATUS(APR_SUCCESS, cohort_free(run->scene));
}

static void cancel(const run_t *run, cohort_cancel_t how) {
    CHECK_STATUS(APR_SUCCESS, cohort_result_cancel(run->result, how));
}

/* Every item is in the errors, in which it comes once and with this status, or has its output.
 * How many are in the errors. */
static int check_items(const run_t *run, apr_status_t expected) {
    const int *out = cohort_result_outputs(run->result);
    cohort_task_error_t **errors;
    apr_size_t n, next = 0;
    cohort_item_t item;
    CHECK_STATUS(APR_SUCCESS, cohort_result_errors(run->result, &errors, &n, test_pool()));
    for (int i = 0; i < N; i++) {
        int runs = atomic_load(&run->scene->runs[i]);
        bool failed = next < n && errors[next]->index == (apr_size_t)i;
        if (failed) CHECK_STATUS(expected, errors[next]->status);
        if (failed) CHECK(*errors[next]->message);
        if (failed) CHECK_INT(*errors[next]->worker != 0, runs);
        if (!failed) CHECK_INT(i + 1, out[i]);
        if (!failed) CHECK(runs >= 1);
        CHECK_STATUS(APR_SUCCESS, cohort_result_item(run->result, (apr_size_t)i, &item));
        CHECK_STATUS(failed ? expected : APR_SUCCESS, item.status);
        if (!failed) CHECK_INT(COHORT_ITEM_DONE, item.state);
        else if (!runs || errors[next]->exit_code != COHORT_EXIT_NONE)
            CHECK_INT(COHORT_ITEM_CANCELLED, item.state);
        next += failed;
    }
    CHECK_INT(n, next);
    return (int)n;
}

static cohort_pool_t *held_pool(run_t *run, apr_size_t chunk) {
    cohort_pool_t *pool = new_pool(1);
    *run = begin(pool, 3, false, chunk, 0);
    await_held(run);
    return pool;
}

/* ---- queued --------------------------------------------------------------------------------- */

/* Ready at once, though the only worker is busy for as long as the test likes. */
static void queued(cohort_cancel_t how, apr_size_t chunk) {
    run_t first, second;
    cohort_task_error_t error;
    cohort_pool_t *pool = held_pool(&first, N);
    second = begin(pool, -1, false, chunk, 0);
    CHECK_INT(COHORT_RESULT_QUEUED, cohort_result_state(second.result));
    CHECK_INT(COHORT_RESULT_RUNNING, cohort_result_state(first.result));
    cancel(&second, how);
    CHECK_STATUS(COHORT_ECANCELLED, cohort_result_get(second.result, NULL, 0, 0));
    CHECK(strstr(cohort_last_error(), "item 0: it was cancelled before it was run") != NULL);
    CHECK_INT(COHORT_RESULT_CANCELLED, cohort_result_state(second.result));
    CHECK_INT(N, check_items(&second, COHORT_ECANCELLED));
    CHECK_STATUS(APR_SUCCESS, cohort_result_error(second.result, &error));
    CHECK_STATUS(COHORT_ECANCELLED, error.status);
    CHECK_INT(0, error.index);
    CHECK_INT(COHORT_EXIT_NONE, error.exit_code);
    CHECK_STR("", error.worker);
    CHECK_STATUS(APR_EAGAIN, cohort_result_wait(first.result, 0));
    atomic_store(&first.scene->gate.open, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_result_get(first.result, NULL, 0, COHORT_FOREVER));
    CHECK_INT(COHORT_RESULT_DONE, cohort_result_state(first.result));
    CHECK_INT(APR_SUCCESS, atomic_load(&first.scene->told));
    end(&first);
    end(&second);
    check_works(pool);
    finish_pool(pool);
}

static void a_queued_job(void) { queued(COHORT_CANCEL_SOFT, 7); }
static void a_queued_job_hard(void) { queued(COHORT_CANCEL_HARD, 1); }
static void a_queued_chunk(void) { queued(COHORT_CANCEL_SOFT, N); }

/* ---- running, soft -------------------------------------------------------------------------- */

/* Items before the held one are done, it ends by itself, and those after it are not begun. */
static void running(bool heeds, apr_size_t chunk) {
    cohort_pool_t *pool = new_pool(1);
    run_t run = begin(pool, 3, heeds, chunk, 0);
    await_held(&run);
    cancel(&run, COHORT_CANCEL_SOFT);
    if (!heeds) CHECK_STATUS(APR_EAGAIN, cohort_result_wait(run.result, 0));
    if (!heeds) CHECK_INT(COHORT_RESULT_RUNNING, cohort_result_state(run.result));
    if (!heeds) atomic_store(&run.scene->gate.open, 1);
    CHECK_STATUS(COHORT_ECANCELLED, cohort_result_get(run.result, NULL, 0, COHORT_FOREVER));
    CHECK_INT(COHORT_RESULT_CANCELLED, cohort_result_state(run.result));
    CHECK_INT(COHORT_ECANCELLED, atomic_load(&run.scene->told));
    CHECK_INT(N - 4 + heeds, check_items(&run, COHORT_ECANCELLED));
    for (int i = 0; i < N; i++) CHECK_INT(i <= 3, atomic_load(&run.scene->runs[i]));
    end(&run);
    check_works(pool);
    finish_pool(pool);
}

static void a_running_job(void) { running(false, N); }
static void a_running_job_of_chunks(void) { running(false, 1); }
static void a_running_task_is_told(void) { running(true, N); }
static void a_running_task_of_chunks_is_told(void) { running(true, 3); }

/* ---- running, hard -------------------------------------------------------------------------- */

static int worker_number(const char *name) { return name[2] - '1'; }

/* The worker of the held item is ended and replaced, and no other; the item is not run again. */
static void running_hard(apr_size_t chunk, apr_size_t attempts, bool soft_first) {
    cohort_pool_t *pool = new_pool(2);
    cohort_process_t **before;
    cohort_task_error_t error;
    apr_size_t n;
    run_t other = begin(pool, 0, false, N, 0), run;
    await_held(&other);
    run = begin(pool, 3, false, chunk, attempts);
    await_held(&run);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_workers(pool, &before, &n, test_pool()));
    CHECK_INT(2, n);
    if (soft_first) cancel(&run, COHORT_CANCEL_SOFT);
    cancel(&run, COHORT_CANCEL_HARD);
    CHECK_STATUS(COHORT_ECANCELLED, cohort_result_get(run.result, NULL, 0, COHORT_FOREVER));
    CHECK_INT(COHORT_RESULT_CANCELLED, cohort_result_state(run.result));
    CHECK_INT(N - 3, check_items(&run, COHORT_ECANCELLED));
    for (int i = 0; i < N; i++) CHECK_INT(i <= 3, atomic_load(&run.scene->runs[i]));
    CHECK_STATUS(APR_SUCCESS, cohort_result_error(run.result, &error));
    CHECK_INT(3, error.index);
    CHECK_INT(-9, error.exit_code);
    CHECK_INT(1, error.attempt);
    CHECK(strstr(error.message, "was ended with exit code -9 in the task") != NULL);
    CHECK_INT(0, cohort_process_is_alive(before[worker_number(error.worker)]));
    CHECK_INT(1, cohort_process_is_alive(before[1 - worker_number(error.worker)]));
    CHECK_STATUS(APR_EAGAIN, cohort_result_wait(other.result, 0));
    check_works(pool); /* the one that was ended is replaced */
    atomic_store(&other.scene->gate.open, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_result_get(other.result, NULL, 0, COHORT_FOREVER));
    CHECK_INT(0, check_items(&other, APR_SUCCESS));
    for (int i = 0; i < N; i++) CHECK_INT(1, atomic_load(&other.scene->runs[i]));
    end(&other);
    end(&run);
    finish_pool(pool);
}

static void its_worker_is_ended(void) { running_hard(N, 1, false); }
static void its_worker_is_ended_in_a_chunk(void) { running_hard(1, 1, false); }
static void it_is_not_run_again(void) { running_hard(N, 5, false); }
static void hard_after_soft(void) { running_hard(8, 2, true); }

/* ---- single items --------------------------------------------------------------------------- */

static void cancel_item(const run_t *run, apr_size_t index, cohort_cancel_t how) {
    CHECK_STATUS(APR_SUCCESS, cohort_result_cancel_item(run->result, index, how));
}

/* A queued one ends when its turn comes; where it is alone in its chunk, at once. */
static void a_queued_item(apr_size_t chunk, bool at_once) {
    run_t run;
    cohort_item_t item;
    cohort_pool_t *pool = held_pool(&run, chunk);
    cancel_item(&run, 20, COHORT_CANCEL_SOFT);
    cancel_item(&run, N - 1, COHORT_CANCEL_HARD);
    cancel_item(&run, 1, COHORT_CANCEL_HARD);
    CHECK_STATUS(APR_SUCCESS, cohort_result_item(run.result, 20, &item));
    CHECK_INT(at_once ? COHORT_ITEM_CANCELLED : COHORT_ITEM_QUEUED, item.state);
    atomic_store(&run.scene->gate.open, 1);
    CHECK_STATUS(COHORT_ECANCELLED, cohort_result_get(run.result, NULL, 0, COHORT_FOREVER));
    CHECK_INT(2, check_items(&run, COHORT_ECANCELLED));
    for (int i = 0; i < N; i++) CHECK_INT(i != 20 && i != N - 1, atomic_load(&run.scene->runs[i]));
    CHECK_STATUS(APR_SUCCESS, cohort_result_item(run.result, 20, &item));
    CHECK_INT(COHORT_ITEM_CANCELLED, item.state);
    end(&run);
    check_works(pool);
    finish_pool(pool);
}

static void a_queued_item_of_a_chunk(void) { a_queued_item(N, false); }
static void a_queued_item_alone(void) { a_queued_item(1, true); }

static void a_running_item(bool heeds, cohort_cancel_t how, apr_size_t chunk) {
    cohort_pool_t *pool = new_pool(1);
    run_t run = begin(pool, 3, heeds, chunk, 4);
    await_held(&run);
    cancel_item(&run, 3, how);
    CHECK_STATUS(COHORT_ECANCELLED, cohort_result_get(run.result, NULL, 0, COHORT_FOREVER));
    CHECK_INT(1, check_items(&run, COHORT_ECANCELLED));
    for (int i = 0; i < N; i++) CHECK_INT(1, atomic_load(&run.scene->runs[i]));
    end(&run);
    check_works(pool);
    finish_pool(pool);
}

static void a_running_item_is_told(void) { a_running_item(true, COHORT_CANCEL_SOFT, N); }
static void a_running_item_is_ended(void) { a_running_item(false, COHORT_CANCEL_HARD, N); }
static void a_running_chunk_is_ended(void) { a_running_item(false, COHORT_CANCEL_HARD, 1); }

static apr_status_t do_range(const void *in, void *out, apr_size_t first, apr_size_t last) {
    (void)in, (void)out, (void)first, (void)last;
    return APR_SUCCESS;
}

static void no_such_items(void) {
    run_t run;
    cohort_result_t *ranges;
    cohort_pool_t *pool = held_pool(&run, N);
    CHECK_STATUS(APR_EINVAL, cohort_result_cancel_item(run.result, N, COHORT_CANCEL_SOFT));
    CHECK(strstr(cohort_last_error(), "index is 40, and the job has 40 items") != NULL);
    SUBMIT(&ranges, pool, NULL, .range = do_range, .n = 5);
    CHECK_STATUS(APR_EINVAL, cohort_result_cancel_item(ranges, 0, COHORT_CANCEL_SOFT));
    CHECK(strstr(cohort_last_error(), "ranges") != NULL);
    cancel(&run, COHORT_CANCEL_HARD);
    CHECK_STATUS(APR_SUCCESS, cohort_result_wait(ranges, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(ranges));
    CHECK_STATUS(APR_SUCCESS, cohort_result_wait(run.result, COHORT_FOREVER));
    end(&run);
    finish_pool(pool);
}

/* ---- by which process, and when -------------------------------------------------------------- */

static void ended_jobs_stay(void) {
    cohort_pool_t *pool = new_pool(2);
    run_t run = begin(pool, -1, false, 3, 0);
    CHECK_STATUS(APR_SUCCESS, cohort_result_wait(run.result, COHORT_FOREVER));
    cancel(&run, COHORT_CANCEL_SOFT);
    cancel(&run, COHORT_CANCEL_HARD);
    CHECK_STATUS(APR_SUCCESS, cohort_result_get(run.result, NULL, 0, 0));
    CHECK_INT(COHORT_RESULT_DONE, cohort_result_state(run.result));
    CHECK_INT(0, check_items(&run, APR_SUCCESS));
    end(&run);
    finish_pool(pool);
}

static void states_of_failed_jobs(void) {
    cohort_pool_t *pool = new_pool(2);
    int in[4] = {0, 1, 2, 3}, out[4];
    cohort_result_t *result;
    SUBMIT(&result, pool, NULL, .task = odd_fails, COHORT_INPUTS(in, 4), COHORT_OUTPUTS(out));
    CHECK_STATUS(APR_SUCCESS, cohort_result_wait(result, COHORT_FOREVER));
    CHECK_INT(COHORT_RESULT_FAILED, cohort_result_state(result));
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
    CHECK_INT(COHORT_RESULT_NONE, cohort_result_state(result));
    run_t run = begin(pool, 0, false, N, 0);
    await_held(&run);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_terminate(pool));
    CHECK_INT(COHORT_RESULT_FAILED, cohort_result_state(run.result));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
    end(&run);
}

static int cancel_there(void *args) {
    const run_t *run = args;
    cancel(run, COHORT_CANCEL_HARD);
    return 0;
}

static void by_another_process(void) {
    run_t run;
    cohort_pool_t *pool = held_pool(&run, 5);
    party_finish(party_start(cancel_there, &run, sizeof run));
    CHECK_STATUS(COHORT_ECANCELLED, cohort_result_get(run.result, NULL, 0, COHORT_FOREVER));
    CHECK_INT(N - 3, check_items(&run, COHORT_ECANCELLED));
    end(&run);
    check_works(pool);
    finish_pool(pool);
}

typedef struct {
    _Atomic(cohort_result_t *) result;
    _Atomic int runs;
    cohort_cancel_t how;
} own_t;

static apr_status_t cancel_own_job(const void *input, void *output) {
    own_t *own = *(own_t *const *)input;
    (void)output;
    if (atomic_fetch_add(&own->runs, 1) > 0) return APR_SUCCESS;
    while (!atomic_load(&own->result)) apr_sleep(500);
    CHECK_STATUS(APR_SUCCESS, cohort_task_should_stop());
    CHECK_STATUS(APR_SUCCESS, cohort_result_cancel(atomic_load(&own->result), own->how));
    CHECK_STATUS(COHORT_ECANCELLED, cohort_task_should_stop());
    return APR_SUCCESS;
}

static void by_a_task(cohort_cancel_t how, apr_size_t failed) {
    cohort_pool_t *pool = new_pool(1);
    own_t *own = party_memory(sizeof *own), *in[3] = {own, own, own};
    cohort_task_error_t **errors;
    cohort_result_t *result;
    apr_size_t n;
    own->how = how;
    SUBMIT(&result, pool, NULL, .task = cancel_own_job, COHORT_INPUTS(in, 3), .chunk = 3,
           .attempts = 3);
    atomic_store(&own->result, result);
    CHECK_STATUS(COHORT_ECANCELLED, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_result_errors(result, &errors, &n, test_pool()));
    CHECK_INT(failed, n);
    CHECK_INT(1, atomic_load(&own->runs));
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
    check_works(pool);
    finish_pool(pool);
}

static void by_its_own_task(void) { by_a_task(COHORT_CANCEL_SOFT, 2); }
static void by_its_own_task_hard(void) { by_a_task(COHORT_CANCEL_HARD, 3); }

static void note_error(cohort_result_t *result, void *arg) {
    atomic_store((_Atomic int *)arg, cohort_result_state(result));
}

static void callbacks_hear_of_it(void) {
    static _Atomic int heard;
    run_t first;
    cohort_pool_t *pool = held_pool(&first, N);
    cohort_result_t *result;
    int in = 3, out;
    SUBMIT(&result, pool, NULL, .task = square, COHORT_INPUTS(&in, 1), COHORT_OUTPUTS(&out),
           .on_success = note_error, .on_error = note_error, .callback_arg = &heard);
    CHECK_STATUS(APR_SUCCESS, cohort_result_cancel(result, COHORT_CANCEL_SOFT));
    CHECK_STATUS(COHORT_ECANCELLED, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
    CHECK_INT(COHORT_RESULT_CANCELLED, atomic_load(&heard));
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
    atomic_store(&first.scene->gate.open, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_result_wait(first.result, COHORT_FOREVER));
    end(&first);
    finish_pool(pool);
}

/* The last worker of a closed pool is ended: what is left is done by another, then the pool is. */
static void in_a_closed_pool(void) {
    run_t first, second;
    cohort_pool_t *pool = held_pool(&first, N);
    second = begin(pool, -1, false, 3, 0);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_close(pool));
    cancel(&first, COHORT_CANCEL_HARD);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_join(pool, COHORT_FOREVER));
    CHECK_STATUS(COHORT_ECANCELLED, cohort_result_get(first.result, NULL, 0, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_result_get(second.result, NULL, 0, 0));
    CHECK_INT(0, check_items(&second, APR_SUCCESS));
    end(&first);
    end(&second);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
}

static void tasks_of_ended_jobs_are_told(void) {
    cohort_pool_t *pool = new_pool(1);
    run_t run = begin(pool, 0, true, N, 0);
    await_held(&run);
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(run.result));
    while (atomic_load(&run.scene->told) == 0) apr_sleep(500);
    CHECK_STATUS(COHORT_ECANCELLED, atomic_load(&run.scene->told));
    CHECK_STATUS(APR_SUCCESS, cohort_task_should_stop());
    check_works(pool);
    finish_pool(pool);
    CHECK_STATUS(APR_SUCCESS, cohort_free(run.scene));
}

/* ---- many ----------------------------------------------------------------------------------- */

/* Jobs one after the other are cancelled at any time, soft and hard, while others that share the
 * workers are not: these lose nothing though they have one attempt. */
static void storm(void) {
    enum { ROUNDS = 60 };
    cohort_pool_t *pool = new_pool(3);
    int cancelled = 0;
    for (int i = 0; i < ROUNDS || cancelled < 10; i++) {
        apr_size_t chunk = (apr_size_t)(i % 3 == 0 ? N : i % 5 + 1);
        run_t bystander = begin(pool, -1, false, 2, 1), run = begin(pool, -1, false, chunk, 1);
        if (i % 4) apr_sleep(i % 40 * 5);
        cancel(&run, i % 2 ? COHORT_CANCEL_HARD : COHORT_CANCEL_SOFT);
        apr_status_t status = cohort_result_get(run.result, NULL, 0, COHORT_FOREVER);
        if (status) CHECK_STATUS(COHORT_ECANCELLED, status);
        int failed = check_items(&run, COHORT_ECANCELLED);
        CHECK_INT(failed != 0, status != APR_SUCCESS);
        cancelled += failed != 0;
        for (int k = 0; k < N; k++) CHECK(atomic_load(&run.scene->runs[k]) <= 1);
        CHECK_STATUS(APR_SUCCESS, cohort_result_get(bystander.result, NULL, 0, COHORT_FOREVER));
        CHECK_INT(0, check_items(&bystander, APR_SUCCESS));
        end(&run);
        end(&bystander);
    }
    check_works(pool);
    finish_pool(pool);
}

static void leaks_nothing(void) {
    storm();
    apr_uint64_t before = blocks_in_use();
    storm();
    its_worker_is_ended();
    a_queued_item_alone();
    a_running_item_is_ended();
    CHECK_INT(before, blocks_in_use());
}

const test_case_t pool_cancel_cases[] = {
    {"PoolCancel", "a_queued_job", a_queued_job},
    {"PoolCancel", "a_queued_job_hard", a_queued_job_hard},
    {"PoolCancel", "a_queued_chunk", a_queued_chunk},
    {"PoolCancel", "a_running_job", a_running_job},
    {"PoolCancel", "a_running_job_of_chunks", a_running_job_of_chunks},
    {"PoolCancel", "a_running_task_is_told", a_running_task_is_told},
    {"PoolCancel", "a_running_task_of_chunks_is_told", a_running_task_of_chunks_is_told},
    {"PoolCancel", "its_worker_is_ended", its_worker_is_ended},
    {"PoolCancel", "its_worker_is_ended_in_a_chunk", its_worker_is_ended_in_a_chunk},
    {"PoolCancel", "it_is_not_run_again", it_is_not_run_again},
    {"PoolCancel", "hard_after_soft", hard_after_soft},
    {"PoolCancel", "a_queued_item_of_a_chunk", a_queued_item_of_a_chunk},
    {"PoolCancel", "a_queued_item_alone", a_queued_item_alone},
    {"PoolCancel", "a_running_item_is_told", a_running_item_is_told},
    {"PoolCancel", "a_running_item_is_ended", a_running_item_is_ended},
    {"PoolCancel", "a_running_chunk_is_ended", a_running_chunk_is_ended},
    {"PoolCancel", "no_such_items", no_such_items},
    {"PoolCancel", "ended_jobs_stay", ended_jobs_stay},
    {"PoolCancel", "states_of_failed_jobs", states_of_failed_jobs},
    {"PoolCancel", "by_another_process", by_another_process},
    {"PoolCancel", "by_its_own_task", by_its_own_task},
    {"PoolCancel", "by_its_own_task_hard", by_its_own_task_hard},
    {"PoolCancel", "callbacks_hear_of_it", callbacks_hear_of_it},
    {"PoolCancel", "in_a_closed_pool", in_a_closed_pool},
    {"PoolCancel", "tasks_of_ended_jobs_are_told", tasks_of_ended_jobs_are_told},
    {"PoolCancel", "storm", storm},
    {"PoolCancel", "leaks_nothing", leaks_nothing},
    {0},
};
