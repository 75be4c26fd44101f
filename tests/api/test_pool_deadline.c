/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Pools: times of jobs and of items, and how a pool is stopped. What is late has one result, which
 * says so, and everything else is unharmed. */
#include "pools.h"

enum { N = 12 };

/* What the items share. Each holds for some time, or until it is told, or for ever. */
typedef struct {
    _Atomic int begun, runs[N];
    _Atomic int told;
} watched_t;

typedef enum { BRISK, LINGERS, HEEDS, STUBBORN } manner_t;

typedef struct {
    watched_t *watched;
    int number;
    manner_t manner;
} item_t;

static apr_status_t behave(const void *input, void *output) {
    const item_t *item = input;
    watched_t *w = item->watched;
    apr_status_t told = APR_SUCCESS;
    atomic_fetch_add(&w->runs[item->number], 1);
    atomic_fetch_add(&w->begun, 1);
    if (item->manner == LINGERS) apr_sleep(2 * A_WHILE);
    while (item->manner == HEEDS && !(told = cohort_task_should_stop())) apr_sleep(500);
    while (item->manner == STUBBORN) apr_sleep(1000);
    if (item->manner == LINGERS) atomic_store(&w->told, cohort_task_should_stop());
    if (told) atomic_store(&w->told, told);
    if (told) return told;
    *(int *)output = item->number + 1;
    return APR_SUCCESS;
}

typedef struct {
    watched_t *watched;
    cohort_result_t *result;
} run_t;

/* A job of n items of which this one behaves so. */
static run_t begin(cohort_pool_t *pool, int odd, manner_t manner, cohort_job_t job) {
    run_t run = {.watched = party_memory(sizeof *run.watched)};
    item_t items[N];
    for (int i = 0; i < N; i++) items[i] = (item_t){run.watched, i, i == odd ? manner : BRISK};
    job.task = behave;
    job.inputs = items;
    job.input_size = sizeof *items;
    job.n = N;
    job.output_size = sizeof(int);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_submit(&run.result, pool, &job, NULL));
    return run;
}

static void end(run_t *run) {
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(run->result));
    CHECK_STATUS(APR_SUCCESS, cohort_free(run->watched));
}

/* The items from `from` to before `to` are late, and all others have their outputs. */
static void check_late(const run_t *run, int from, int to) {
    cohort_task_error_t **errors;
    apr_size_t n;
    const int *out = cohort_result_outputs(run->result);
    CHECK_STATUS(APR_SUCCESS, cohort_result_errors(run->result, &errors, &n, test_pool()));
    CHECK_INT(to - from, n);
    for (int i = 0; i < N; i++) {
        if (i >= from && i < to) CHECK_INT(i, errors[i - from]->index);
        if (i >= from && i < to) CHECK_STATUS(COHORT_EDEADLINE, errors[i - from]->status);
        else CHECK_INT(i + 1, out[i]);
    }
}

/* ---- of an item ----------------------------------------------------------------------------- */

static void late_item(manner_t manner, apr_size_t chunk, apr_interval_time_t grace) {
    cohort_pool_t *pool = new_pool(1);
    apr_time_t begun = apr_time_now();
    run_t run =
        begin(pool, 3, manner,
              (cohort_job_t){
                  .chunk = chunk, .attempts = 3, .task_timeout = A_WHILE, .task_grace = grace});
    CHECK_STATUS(COHORT_EDEADLINE, cohort_result_get(run.result, NULL, 0, COHORT_FOREVER));
    AT_LEAST(A_WHILE + (manner == STUBBORN ? grace : 0), begun);
    check_late(&run, 3, 4);
    for (int i = 0; i < N; i++) CHECK_INT(1, atomic_load(&run.watched->runs[i]));
    if (manner == HEEDS) CHECK_STATUS(COHORT_EDEADLINE, atomic_load(&run.watched->told));
    end(&run);
    check_works(pool);
    finish_pool(pool);
}

static void a_late_item_is_ended(void) { late_item(STUBBORN, N, 0); }
static void a_late_chunk_is_ended(void) { late_item(STUBBORN, 1, 0); }
static void a_late_item_is_ended_after_the_grace(void) { late_item(STUBBORN, 5, A_WHILE); }
static void a_late_item_is_told(void) { late_item(HEEDS, N, COHORT_FOREVER); }
static void a_late_item_is_told_in_its_grace(void) { late_item(HEEDS, N, apr_time_from_sec(100)); }

/* What is only told may come to its end. */
static void a_late_item_may_end(void) {
    cohort_pool_t *pool = new_pool(2);
    run_t run =
        begin(pool, 3, LINGERS,
              (cohort_job_t){.chunk = 2, .task_timeout = A_WHILE, .task_grace = COHORT_FOREVER});
    CHECK_STATUS(APR_SUCCESS, cohort_result_get(run.result, NULL, 0, COHORT_FOREVER));
    CHECK_STATUS(COHORT_EDEADLINE, atomic_load(&run.watched->told));
    check_late(&run, 0, 0);
    end(&run);
    finish_pool(pool);
}

/* Each item has the time by itself, and what is in time is not disturbed. */
static void items_in_time(void) {
    cohort_pool_t *pool = new_pool(2);
    for (int i = 0; i < 3; i++) {
        run_t run = begin(pool, i, LINGERS,
                          (cohort_job_t){.chunk = (apr_size_t)i * 3 + 1,
                                         .timeout = apr_time_from_sec(100),
                                         .queue_timeout = apr_time_from_sec(100),
                                         .task_timeout = apr_time_from_sec(100)});
        CHECK_STATUS(APR_SUCCESS, cohort_result_get(run.result, NULL, 0, COHORT_FOREVER));
        check_late(&run, 0, 0);
        for (int k = 0; k < N; k++) CHECK_INT(1, atomic_load(&run.watched->runs[k]));
        CHECK_STATUS(APR_SUCCESS, atomic_load(&run.watched->told));
        end(&run);
    }
    finish_pool(pool);
}

/* ---- of a job ------------------------------------------------------------------------------- */

/* The time of a job runs from its submission on, so the worker has been started before it. */
static cohort_pool_t *pool_of_one(void) {
    cohort_pool_t *pool = new_pool(1);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_wait_ready(pool, COHORT_FOREVER));
    return pool;
}

static void late_job(manner_t manner, apr_interval_time_t grace) {
    cohort_pool_t *pool = pool_of_one();
    run_t run =
        begin(pool, 3, manner,
              (cohort_job_t){.chunk = 2, .attempts = 3, .timeout = A_WHILE, .task_grace = grace});
    CHECK_STATUS(COHORT_EDEADLINE, cohort_result_get(run.result, NULL, 0, COHORT_FOREVER));
    CHECK_INT(COHORT_RESULT_CANCELLED, cohort_result_state(run.result));
    check_late(&run, 3 + (manner == LINGERS), N);
    for (int i = 0; i < N; i++) CHECK_INT(i <= 3, atomic_load(&run.watched->runs[i]));
    end(&run);
    check_works(pool);
    finish_pool(pool);
}

static void a_late_job_is_ended(void) { late_job(STUBBORN, 0); }
static void a_late_job_is_ended_after_the_grace(void) { late_job(STUBBORN, A_WHILE); }
static void a_late_job_is_told(void) { late_job(HEEDS, COHORT_FOREVER); }
static void a_late_job_ends_its_item(void) { late_job(LINGERS, apr_time_from_sec(100)); }

/* The only worker is busy: what waits is late, and what runs goes on. */
static void late_in_the_queue(void) {
    cohort_pool_t *pool = pool_of_one();
    run_t run = begin(pool, 3, LINGERS, (cohort_job_t){.chunk = 3, .queue_timeout = A_WHILE}),
          second;
    second = begin(pool, -1, BRISK, (cohort_job_t){.queue_timeout = A_WHILE / 2});
    CHECK_STATUS(COHORT_EDEADLINE, cohort_result_get(second.result, NULL, 0, COHORT_FOREVER));
    CHECK(strstr(cohort_last_error(), "item 0: it was not run within the time") != NULL);
    check_late(&second, 0, N);
    CHECK_STATUS(COHORT_EDEADLINE, cohort_result_get(run.result, NULL, 0, COHORT_FOREVER));
    check_late(&run, 4, N);
    CHECK_STATUS(APR_SUCCESS, atomic_load(&run.watched->told));
    end(&run);
    end(&second);
    check_works(pool);
    finish_pool(pool);
}

static void runs_with_times(void) {
    cohort_pool_t *pool = new_pool(2);
    watched_t *watched = party_memory(sizeof *watched);
    item_t items[2] = {{watched, 0, BRISK}, {watched, 1, STUBBORN}};
    int out[2] = {0};
    cohort_job_t job = {
        .task = behave, COHORT_INPUTS(items, 2), COHORT_OUTPUTS(out), .task_timeout = A_WHILE};
    CHECK_STATUS(COHORT_EDEADLINE, cohort_pool_run(pool, &job));
    CHECK_INT(1, out[0]);
    finish_pool(pool);
}

static void bad_times(void) {
    cohort_pool_t *pool = new_pool(1);
    int in = 3, out = 0;
    cohort_job_t job = {.task = square, COHORT_INPUTS(&in, 1), COHORT_OUTPUTS(&out)};
    cohort_job_t bad[5] = {job, job, job, job, job};
    bad[0].timeout = -1;
    bad[1].queue_timeout = -1;
    bad[2].task_timeout = -1;
    bad[3].task_grace = -1;
    bad[4].task_grace = 1;
    for (int i = 0; i < 5; i++) CHECK_STATUS(APR_EINVAL, cohort_pool_run(pool, &bad[i]));
    job.timeout = job.queue_timeout = job.task_timeout = job.task_grace = COHORT_FOREVER;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_run(pool, &job));
    job.timeout = job.queue_timeout = job.task_timeout = job.task_grace = COHORT_FOREVER - 1;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_run(pool, &job));
    CHECK_INT(9, out);
    finish_pool(pool);
}

/* ---- another process submits ---------------------------------------------------------------- */

typedef struct {
    cohort_pool_t *pool;
    _Atomic(cohort_result_t *) result;
    _Atomic(watched_t *) watched;
    _Atomic int stays;
} far_t;

static int submit_there(void *args) {
    far_t *far = *(far_t **)args;
    run_t run = begin(far->pool, 3, STUBBORN, (cohort_job_t){.task_timeout = A_WHILE});
    atomic_store(&far->watched, run.watched);
    atomic_store(&far->result, run.result);
    while (atomic_load(&far->stays)) apr_sleep(500);
    return 0;
}

/* It keeps the time; without it the thread that waits does. */
static void submitted_elsewhere(bool dies) {
    far_t *far = party_memory(sizeof *far);
    far->pool = new_pool(1);
    far->stays = 1;
    cohort_process_t *there = party_start(submit_there, &far, sizeof far);
    while (!atomic_load(&far->result)) apr_sleep(500);
    run_t run = {atomic_load(&far->watched), atomic_load(&far->result)};
    if (dies) party_kill(there);
    /* asking for the state looks after nothing */
    while (!dies && cohort_result_state(run.result) < COHORT_RESULT_DONE) apr_sleep(1000);
    CHECK_STATUS(COHORT_EDEADLINE, cohort_result_get(run.result, NULL, 0, COHORT_FOREVER));
    check_late(&run, 3, 4);
    atomic_store(&far->stays, 0);
    if (!dies) party_finish(there);
    end(&run);
    check_works(far->pool);
    finish_pool(far->pool);
}

static void by_another_process(void) { submitted_elsewhere(false); }
static void by_one_that_dies(void) { submitted_elsewhere(true); }

/* ---- many ----------------------------------------------------------------------------------- */

static void storm(void) {
    enum { ROUNDS = 30 };
    cohort_pool_t *pool = new_pool(3);
    for (int i = 0; i < ROUNDS; i++) {
        run_t late = begin(pool, i % N, STUBBORN,
                           (cohort_job_t){.chunk = (apr_size_t)(i % 4 + 1), .task_timeout = 5000});
        run_t bystander = begin(pool, -1, BRISK, (cohort_job_t){.chunk = 2, .attempts = 1});
        CHECK_STATUS(COHORT_EDEADLINE, cohort_result_get(late.result, NULL, 0, COHORT_FOREVER));
        CHECK_STATUS(APR_SUCCESS, cohort_result_get(bystander.result, NULL, 0, COHORT_FOREVER));
        for (int k = 0; k < N; k++) CHECK(atomic_load(&late.watched->runs[k]) >= 1);
        check_late(&bystander, 0, 0);
        end(&late);
        end(&bystander);
    }
    check_works(pool);
    finish_pool(pool);
}

/* ---- stopping a pool ------------------------------------------------------------------------ */

static void stop(void) {
    cohort_pool_t *pool = new_pool(2);
    run_t run = begin(pool, 0, STUBBORN, (cohort_job_t){0});
    party_await(&run.watched->begun, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_stop(pool, 0));
    CHECK_STATUS(COHORT_ETERMINATED, cohort_result_get(run.result, NULL, 0, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_join(pool, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_stop(pool, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
    end(&run);
}

/* Their tasks heed it. */
static void stop_gently(void) {
    cohort_pool_options_t options = {.workers = 2, .name = "P"};
    cohort_pool_t *pool;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&pool, &options, test_pool()));
    run_t run = begin(pool, 0, HEEDS, (cohort_job_t){0});
    party_await(&run.watched->begun, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_stop(pool, apr_time_from_sec(100)));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
    end(&run);
}

static void *APR_THREAD_FUNC wait_for_end(apr_thread_t *thread, void *pool) {
    (void)thread;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_close(pool));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_join(pool, COHORT_FOREVER));
    return NULL;
}

/* A drain that takes too long. */
static void stop_while_it_drains(void) {
    cohort_pool_t *pool = new_pool(2);
    run_t run = begin(pool, 0, STUBBORN, (cohort_job_t){0});
    party_await(&run.watched->begun, 1);
    apr_thread_t *thread = party_thread(wait_for_end, pool);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_close(pool));
    CHECK_STATUS(APR_TIMEUP, cohort_pool_join(pool, A_WHILE));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_stop(pool, 0));
    party_thread_finish(thread);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
    end(&run);
}

#define CASE(name) \
    { "PoolDeadline", #name, name }
const test_case_t pool_deadline_cases[] = {CASE(a_late_item_is_ended),
                                           CASE(a_late_chunk_is_ended),
                                           CASE(a_late_item_is_ended_after_the_grace),
                                           CASE(a_late_item_is_told),
                                           CASE(a_late_item_is_told_in_its_grace),
                                           CASE(a_late_item_may_end),
                                           CASE(items_in_time),
                                           CASE(a_late_job_is_ended),
                                           CASE(a_late_job_is_ended_after_the_grace),
                                           CASE(a_late_job_is_told),
                                           CASE(a_late_job_ends_its_item),
                                           CASE(late_in_the_queue),
                                           CASE(runs_with_times),
                                           CASE(bad_times),
                                           CASE(by_another_process),
                                           CASE(by_one_that_dies),
                                           CASE(storm),
                                           CASE(stop),
                                           CASE(stop_gently),
                                           CASE(stop_while_it_drains),
                                           {0}};
