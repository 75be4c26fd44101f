/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Pools: workers that end in order while the pool goes on, and others in their places: no item is
 * lost by that or run twice. What a worker keeps, and what it does at its end. */
#include "pools.h"

#include <stdlib.h>

/* What workers and the test share. In the arena. */
typedef struct {
    _Atomic int begun, ended; /* initializers, finalizers */
    _Atomic int tasks;        /* of workers that have ended */
    gate_t *gate;
} life_t;

/* A worker's own state. */
typedef struct {
    life_t *life;
    int tasks;
} mine_t;

static apr_status_t begin_life(void *args) {
    mine_t *mine = calloc(1, sizeof *mine);
    CHECK(cohort_task_worker_state() == NULL);
    mine->life = *(life_t **)args;
    atomic_fetch_add(&mine->life->begun, 1);
    return cohort_task_set_worker_state(mine);
}

static void end_life(void *args) {
    mine_t *mine = cohort_task_worker_state();
    CHECK(mine->life == *(life_t **)args);
    atomic_fetch_add(&mine->life->tasks, mine->tasks);
    atomic_fetch_add(&mine->life->ended, 1);
    free(mine);
}

static cohort_pool_options_t options_of(int workers, life_t **life) {
    return (cohort_pool_options_t){.workers = (apr_size_t)workers,
                                   .name = "Lives",
                                   .initializer = begin_life,
                                   .init_args = life,
                                   .init_size = sizeof *life,
                                   .finalizer = end_life};
}

static cohort_pool_t *pool_of(const cohort_pool_options_t *options) {
    cohort_pool_t *pool = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&pool, options, test_pool()));
    return pool;
}

typedef struct {
    apr_int64_t square;
    apr_int64_t pid;  /* of its worker */
    apr_int64_t turn; /* which of the worker's tasks it was */
} answer_t;

static apr_status_t answer(const void *input, void *output) {
    int x = *(const int *)input;
    mine_t *mine = cohort_task_worker_state();
    answer_t *out = output;
    out->square = (apr_int64_t)x * x;
    out->pid = cohort_process_pid(cohort_process_current());
    out->turn = ++mine->tasks;
    return APR_SUCCESS;
}

static void check_answers(const answer_t *answers, int n) {
    for (int i = 0; i < n; i++) {
        CHECK_INT(i * i, answers[i].square);
        CHECK(answers[i].pid > 0);
    }
}

static int count_processes(const answer_t *answers, int n) {
    int count = 0;
    for (int i = 0; i < n; i++) {
        int before = 0;
        while (before < i && answers[before].pid != answers[i].pid) before++;
        count += before == i;
    }
    return count;
}

static void answers_of(cohort_pool_t *pool, answer_t *answers, int n, int chunk) {
    int in[200];
    CHECK(n <= 200);
    fill(in, n);
    memset(answers, 0, (size_t)n * sizeof *answers);
    RUN(pool, .task = answer, COHORT_INPUTS(in, (apr_size_t)n), COHORT_OUTPUTS(answers),
        .chunk = (apr_size_t)chunk);
    check_answers(answers, n);
}

/* ---- tasks ---------------------------------------------------------------------------------- */

static void worker_lifetime(void) {
    life_t *life = party_memory(sizeof *life);
    cohort_pool_options_t options = options_of(3, &life);
    answer_t answers[100];
    options.tasks_per_worker = 10;
    cohort_pool_t *pool = pool_of(&options);
    for (int chunk = 0; chunk <= 40; chunk += 13) {
        answers_of(pool, answers, 100, chunk);
        CHECK(count_processes(answers, 100) >= 10);
        for (int i = 0; i < 100; i++) CHECK(answers[i].turn <= 10);
    }
    finish_pool(pool);
    CHECK_INT(400, atomic_load(&life->tasks));
    CHECK(atomic_load(&life->ended) >= 40);
    CHECK_INT(atomic_load(&life->begun), atomic_load(&life->ended));
}

static apr_status_t nap(const void *input, void *output) {
    apr_sleep(30000);
    return square(input, output);
}

static void worker_lifetime_early_close(void) {
    cohort_pool_options_t options = {.workers = 3, .tasks_per_worker = 1};
    cohort_pool_t *pool = pool_of(&options);
    cohort_result_t *results[6];
    int out[6] = {0};
    for (int i = 0; i < 6; i++)
        SUBMIT(&results[i], pool, NULL, .task = nap, COHORT_INPUTS(&i, 1),
               .output_size = sizeof *out);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_close(pool));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_join(pool, COHORT_FOREVER));
    for (int i = 0; i < 6; i++) {
        CHECK_STATUS(APR_SUCCESS, cohort_result_get(results[i], &out[i], sizeof *out, 0));
        CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(results[i]));
    }
    check_squares(out, 6);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
}

static void maxtasks_invalid(void) {
    static const cohort_pool_options_t wrong[] = {{.tasks_per_worker = (apr_size_t)-1},
                                                  {.worker_memory = (apr_size_t)-1},
                                                  {.worker_age = -1},
                                                  {.on_demand = 1, .idle_timeout = -1},
                                                  {.min_workers = 1},
                                                  {.workers = 2, .on_demand = 1, .min_workers = 3}};
    cohort_pool_t *pool = NULL;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        CHECK_STATUS(APR_EINVAL, cohort_pool_create(&pool, &wrong[i], test_pool()));
    CHECK(!pool);
}

/* A range is one task; items that fail are counted like others, and each fails once. */
static apr_status_t a_range(const void *inputs, void *outputs, apr_size_t first, apr_size_t last) {
    for (apr_size_t i = first; i < last; i++)
        if (square((const int *)inputs + i, (int *)outputs + i)) return APR_EGENERAL;
    return APR_SUCCESS;
}

static void ranges_and_failures(void) {
    cohort_pool_options_t options = {.workers = 2, .tasks_per_worker = 1};
    cohort_pool_t *pool = pool_of(&options);
    int in[60], out[60];
    cohort_result_t *result;
    cohort_task_error_t **errors;
    apr_size_t n;
    fill(in, 60);
    memset(out, 0, sizeof out);
    RUN(pool, .range = a_range, COHORT_INPUTS(in, 60), COHORT_OUTPUTS(out), .chunk = 7);
    check_squares(out, 60);
    SUBMIT(&result, pool, NULL, .task = odd_fails, COHORT_INPUTS(in, 40), .output_size = sizeof *in,
           .chunk = 3);
    CHECK_STATUS(APR_ENOTIMPL, cohort_result_get(result, out, 40 * sizeof *out, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_result_errors(result, &errors, &n, test_pool()));
    CHECK_INT(20, n);
    for (apr_size_t i = 0; i < n; i++) CHECK_INT(2 * i + 1, errors[i]->index);
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
    finish_pool(pool);
}

/* ---- age, memory ---------------------------------------------------------------------------- */

/* One worker after the other: also while there is nothing to do. */
static void old_workers(void) {
    life_t *life = party_memory(sizeof *life);
    cohort_pool_options_t options = options_of(2, &life);
    answer_t answers[50];
    options.worker_age = 20000;
    cohort_pool_t *pool = pool_of(&options);
    party_await(&life->ended, 4);
    for (int i = 0; i < 5; i++) answers_of(pool, answers, 50, 5);
    finish_pool(pool);
    CHECK_INT(250, atomic_load(&life->tasks));
    CHECK_INT(atomic_load(&life->begun), atomic_load(&life->ended));
}

#define LEAK (32u << 20)

static apr_status_t leak(const void *input, void *output) {
    static char *last;
    char *block = malloc(LEAK);
    if (!block) return APR_ENOMEM;
    memset(block, 1, LEAK);
    if (last) block[0] = last[1]; /* so that no compiler leaves it out */
    last = block;
    return answer(input, output);
}

/* After a task that leaves it too large a worker is replaced; one that is not, is not. */
static void large_workers(void) {
    life_t *life = party_memory(sizeof *life);
    cohort_pool_options_t options = options_of(1, &life);
    answer_t answers[6];
    int in[6];
    fill(in, 6);
    options.worker_memory = (apr_size_t)1 << 40;
    cohort_pool_t *pool = pool_of(&options);
    answers_of(pool, answers, 6, 1);
    CHECK_INT(1, count_processes(answers, 6));
    finish_pool(pool);
    options.worker_memory = LEAK;
    pool = pool_of(&options);
    RUN(pool, .task = leak, COHORT_INPUTS(in, 6), COHORT_OUTPUTS(answers), .chunk = 6);
    check_answers(answers, 6);
    CHECK_INT(6, count_processes(answers, 6));
    finish_pool(pool);
}

/* ---- ready ---------------------------------------------------------------------------------- */

static apr_status_t begin_at_gate(void *args) { return pass_gate(args, NULL); }

static void wait_ready(void) {
    gate_t *gate = new_gate();
    cohort_pool_options_t options = {
        .workers = 3, .initializer = begin_at_gate, .init_args = &gate, .init_size = sizeof gate};
    cohort_pool_t *pool = pool_of(&options);
    CHECK_STATUS(APR_EAGAIN, cohort_pool_wait_ready(pool, 0));
    CHECK(APR_STATUS_IS_TIMEUP(cohort_pool_wait_ready(pool, A_WHILE)));
    atomic_store(&gate->open, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_wait_ready(pool, COHORT_FOREVER));
    CHECK_INT(3, atomic_load(&gate->done));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_wait_ready(pool, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_close(pool));
    CHECK_STATUS(COHORT_ENOTRUNNING, cohort_pool_wait_ready(pool, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
    CHECK_STATUS(COHORT_EHANDLE, cohort_pool_wait_ready(pool, COHORT_FOREVER));
}

static apr_status_t never_begin(void *args) {
    (void)args;
    return cohort_task_fail(APR_EACCES, "there is no table 7");
}

static void never_ready(void) {
    cohort_pool_options_t options = {.workers = 2, .initializer = never_begin};
    cohort_pool_t *pool = pool_of(&options);
    CHECK_STATUS(APR_EACCES, cohort_pool_wait_ready(pool, COHORT_FOREVER));
    CHECK(strstr(cohort_last_error(), "there is no table 7") != NULL);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
}

typedef struct {
    cohort_pool_t *pool;
    apr_status_t status;
} ready_t;

static int await_ready(void *args) {
    const ready_t *wait = args;
    return cohort_pool_wait_ready(wait->pool, COHORT_FOREVER) == wait->status ? 0 : 1;
}

/* The pool ends under a process that waits. */
static void ready_and_the_end(void) {
    gate_t *gate = new_gate();
    cohort_pool_options_t options = {
        .workers = 1, .initializer = begin_at_gate, .init_args = &gate, .init_size = sizeof gate};
    cohort_pool_t *pool = pool_of(&options);
    ready_t wait = {pool, COHORT_ENOTRUNNING};
    cohort_process_t *process = party_start(await_ready, &wait, sizeof wait);
    party_await(&gate->begun, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_terminate(pool));
    party_finish(process);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
}

/* ---- ends ----------------------------------------------------------------------------------- */

/* A finalizer runs where a worker ends in order, and nowhere else. */
static void finalizers(void) {
    life_t *life = party_memory(sizeof *life);
    cohort_pool_options_t options = options_of(2, &life);
    answer_t answers[20];
    cohort_pool_t *pool = pool_of(&options);
    answers_of(pool, answers, 20, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_wait_ready(pool, COHORT_FOREVER));
    kill_worker(pool);
    party_await(&life->begun, 4);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_wait_ready(pool, COHORT_FOREVER));
    finish_pool(pool);
    CHECK_INT(2, atomic_load(&life->ended));
    pool = pool_of(&options);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_wait_ready(pool, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_stop(pool, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
    CHECK_INT(2, atomic_load(&life->ended));
    CHECK(cohort_task_worker_state() == NULL);
    CHECK_STATUS(APR_EINVAL, cohort_task_set_worker_state(life));
}

static void end_by_crash(void *args) {
    atomic_fetch_add(&(*(life_t **)args)->ended, 1);
    abort();
}

/* One that crashes takes no item with it, and the pool goes on. */
static void finalizer_crashes(void) {
    life_t *life = party_memory(sizeof *life);
    cohort_pool_options_t options = options_of(2, &life);
    answer_t answers[40];
    options.finalizer = end_by_crash;
    options.tasks_per_worker = 5;
    cohort_pool_t *pool = pool_of(&options);
    answers_of(pool, answers, 40, 3);
    finish_pool(pool);
    CHECK(atomic_load(&life->ended) >= 8);
}

const test_case_t pool_workers_cases[] = {
    {"PoolWorkers", "POOL_25_worker_lifetime", worker_lifetime},
    {"PoolWorkers", "POOL_26_worker_lifetime_early_close", worker_lifetime_early_close},
    {"PoolWorkers", "POOL_27_maxtasks_invalid", maxtasks_invalid},
    {"PoolWorkers", "ranges_and_failures", ranges_and_failures},
    {"PoolWorkers", "old_workers", old_workers},
    {"PoolWorkers", "large_workers", large_workers},
    {"PoolWorkers", "wait_ready", wait_ready},
    {"PoolWorkers", "never_ready", never_ready},
    {"PoolWorkers", "ready_and_the_end", ready_and_the_end},
    {"PoolWorkers", "finalizers", finalizers},
    {"PoolWorkers", "finalizer_crashes", finalizer_crashes},
    {0},
};
