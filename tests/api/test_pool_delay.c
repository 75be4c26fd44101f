/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Pools: items that wait before they are run again. No worker waits with them, whatever ends them
 * does so at once, and nothing is lost with a process that dies meanwhile. */
#include "retries.h"

enum { N = 12 };

#define FOR_EVER apr_time_from_sec(10000)

/* Item `odd`, or each one, fails until it has been run `fails` times, or dies instead. */
typedef struct {
    _Atomic int runs[N], good;
    apr_time_t when[8]; /* the odd one was run */
    int odd, fails, dies;
} trial_t;

typedef struct {
    trial_t *trial;
    int number;
} try_t;

static apr_status_t try_it(const void *input, void *output) {
    const try_t *t = input;
    trial_t *trial = t->trial;
    int runs = atomic_fetch_add(&trial->runs[t->number], 1) + 1;
    CHECK(cohort_task_attempt() >= (apr_size_t)runs);
    if (t->number == trial->odd) trial->when[runs - 1] = apr_time_now();
    if ((t->number == trial->odd || trial->odd < 0) && runs <= trial->fails) {
        if (trial->dies) cohort_process_kill(cohort_process_current());
        return cohort_task_fail(APR_EBUSY, "run %d", runs);
    }
    *(int *)output = t->number * t->number;
    atomic_fetch_add(&trial->good, 1);
    return APR_SUCCESS;
}

static trial_t *new_trial(int odd, int fails, try_t *tries) {
    trial_t *trial = party_memory(sizeof *trial);
    trial->odd = odd;
    trial->fails = fails;
    for (int i = 0; i < N; i++) tries[i] = (try_t){trial, i};
    return trial;
}

static void twice_as_long_each_time(void) {
    cohort_pool_t *pool = new_pool(2);
    try_t tries[N];
    int out[N] = {0};
    trial_t *trial = new_trial(5, 4, tries);
    RUN(pool, .task = try_it, COHORT_INPUTS(tries, N), COHORT_OUTPUTS(out), .attempts = 5,
        .retry_on = {APR_EBUSY}, .retry_delay = 10000, .retry_delay_max = 35000);
    check_squares(out, N);
    CHECK_INT(5, atomic_load(&trial->runs[5]));
    for (int i = 0; i < 4; i++) {
        static const int delays[] = {10000, 20000, 35000, 35000};
        CHECK(trial->when[i + 1] - trial->when[i] >= delays[i] - 5000);
    }
    finish_pool(pool);
}

static void after_a_death(void) {
    cohort_pool_t *pool = new_pool(1);
    try_t tries[N];
    int out[N];
    trial_t *trial = new_trial(0, 1, tries);
    trial->dies = 1;
    RUN(pool, .task = try_it, COHORT_INPUTS(tries, N), COHORT_OUTPUTS(out), .attempts = 2,
        .chunk = 4, .retry_delay = A_WHILE);
    check_squares(out, N);
    CHECK(trial->when[1] - trial->when[0] >= A_WHILE - 5000);
    finish_pool(pool);
}

static void a_single_one(void) {
    cohort_pool_t *pool = new_pool(2);
    try_t tries[N];
    int out = -1;
    trial_t *trial = new_trial(-1, 3, tries);
    RUN(pool, .task = try_it, COHORT_INPUTS(&tries[2], 1), .outputs = &out,
        .output_size = sizeof out, .attempts = 4, .retry_any = 1, .retry_delay = 2000);
    CHECK_INT(4, out);
    CHECK_INT(4, atomic_load(&trial->runs[2]));
    finish_pool(pool);
}

static apr_status_t try_range(const void *inputs, void *outputs, apr_size_t first,
                              apr_size_t last) {
    const try_t *tries = inputs;
    trial_t *trial = tries[first].trial;
    for (apr_size_t i = first; i < last; i++) {
        ((int *)outputs)[i] = (int)(i * i);
        atomic_fetch_add(&trial->runs[i], 1);
    }
    return atomic_load(&trial->runs[first]) <= trial->fails ? APR_EBUSY : APR_SUCCESS;
}

static void ranges(void) {
    cohort_pool_t *pool = new_pool(2);
    try_t tries[N];
    int out[N];
    trial_t *trial = new_trial(-1, 2, tries);
    RUN(pool, .range = try_range, COHORT_INPUTS(tries, N), COHORT_OUTPUTS(out), .attempts = 3,
        .retry_any = 1, .chunk = 5, .retry_delay = 2000);
    check_squares(out, N);
    for (int i = 0; i < N; i++) CHECK_INT(3, atomic_load(&trial->runs[i]));
    finish_pool(pool);
}

static void imaps(void) {
    cohort_pool_t *pool = new_pool(2);
    try_t tries[N];
    cohort_imap_t *imap;
    cohort_item_t item = {0};
    trial_t *trial = new_trial(3, 2, tries);
    const cohort_job_t job = {.task = try_it,
                              COHORT_INPUTS(tries, N),
                              .output_size = sizeof(int),
                              .attempts = 3,
                              .retry_any = 1,
                              .retry_delay = 5000};
    CHECK_STATUS(APR_SUCCESS, cohort_pool_imap(&imap, pool, &job, NULL, test_pool()));
    for (int i = 0; i < N; i++) {
        CHECK_STATUS(APR_SUCCESS, cohort_imap_next(imap, &item, COHORT_FOREVER));
        CHECK_STATUS(APR_SUCCESS, item.status);
        CHECK_INT(i * i, *(int *)item.data);
    }
    CHECK_INT(3, atomic_load(&trial->runs[3]));
    finish_pool(pool);
}

/* ---- what ends an item that waits ----------------------------------------------------------- */

/* Item 4 waits for ever, and the one worker has done all others. */
static cohort_result_t *with_one_waiting(cohort_pool_t *pool, trial_t **trial, cohort_job_t job) {
    try_t tries[N];
    cohort_result_t *result;
    cohort_item_t item = {0};
    *trial = new_trial(4, 99, tries);
    job.task = try_it;
    job.inputs = tries;
    job.input_size = sizeof *tries;
    job.n = N;
    job.output_size = sizeof(int);
    job.attempts = 99;
    job.retry_any = 1;
    job.retry_delay = FOR_EVER;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_submit(&result, pool, &job, test_pool()));
    party_await(&(*trial)->good, N - 1);
    while (item.attempt != 1 || item.state != COHORT_ITEM_QUEUED)
        CHECK_STATUS(APR_SUCCESS, cohort_result_item(result, 4, &item));
    return result;
}

static void check_one_ended(cohort_result_t *result, trial_t *trial, apr_status_t status) {
    cohort_task_error_t **errors;
    apr_size_t n;
    CHECK_STATUS(status, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_result_errors(result, &errors, &n, test_pool()));
    CHECK_INT(1, n);
    CHECK_INT(4, errors[0]->index);
    CHECK_STATUS(status, errors[0]->status);
    CHECK_INT(1, atomic_load(&trial->runs[4]));
}

static void cancelled_while_it_waits(void) {
    cohort_pool_t *pool = new_pool(1);
    trial_t *trial;
    cohort_result_t *result = with_one_waiting(pool, &trial, (cohort_job_t){0});
    CHECK_STATUS(APR_SUCCESS, cohort_result_cancel(result, COHORT_CANCEL_SOFT));
    check_one_ended(result, trial, COHORT_ECANCELLED);
    result = with_one_waiting(pool, &trial, (cohort_job_t){0});
    CHECK_STATUS(APR_SUCCESS, cohort_result_cancel_item(result, 4, COHORT_CANCEL_HARD));
    check_one_ended(result, trial, COHORT_ECANCELLED);
    finish_pool(pool);
}

/* It may be late before it is run. */
static void late_while_it_waits(void) {
    cohort_pool_t *pool = new_pool(1);
    try_t tries[N];
    trial_t *trial = new_trial(0, 99, tries);
    cohort_job_t job = {.task = try_it,
                        COHORT_INPUTS(tries, 1),
                        .output_size = sizeof(int),
                        .attempts = 99,
                        .retry_any = 1,
                        .retry_delay = FOR_EVER,
                        .timeout = 2 * A_WHILE};
    CHECK_STATUS(APR_SUCCESS, cohort_pool_wait_ready(pool, COHORT_FOREVER));
    CHECK_STATUS(COHORT_EDEADLINE, cohort_pool_run(pool, &job));
    CHECK(atomic_load(&trial->runs[0]) <= 1);
    trial = new_trial(0, 99, tries);
    job.timeout = 0;
    job.queue_timeout = 2 * A_WHILE;
    CHECK_STATUS(COHORT_EDEADLINE, cohort_pool_run(pool, &job));
    CHECK(atomic_load(&trial->runs[0]) <= 1);
    finish_pool(pool);
}

static void terminated_while_it_waits(void) {
    cohort_pool_t *pool = new_pool(1);
    trial_t *trial;
    cohort_result_t *result = with_one_waiting(pool, &trial, (cohort_job_t){0});
    CHECK_STATUS(APR_SUCCESS, cohort_pool_close(pool));
    CHECK_STATUS(APR_TIMEUP, cohort_pool_join(pool, 20000));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_stop(pool, 0));
    CHECK_STATUS(COHORT_ETERMINATED, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
}

static void destroyed_while_it_waits(void) {
    cohort_pool_t *pool = new_pool(2);
    trial_t *trial;
    cohort_result_t *result = with_one_waiting(pool, &trial, (cohort_job_t){0});
    CHECK_STATUS(APR_SUCCESS, cohort_pool_close(pool));
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_join(pool, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
}

/* ---- closed pools --------------------------------------------------------------------------- */

static void close_while_it_waits(const cohort_pool_options_t *options) {
    cohort_pool_t *pool;
    cohort_result_t *result;
    try_t tries[N];
    trial_t *trial = new_trial(0, 2, tries);
    int out[N];
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&pool, options, test_pool()));
    SUBMIT(&result, pool, test_pool(), .task = try_it, COHORT_INPUTS(tries, N),
           .output_size = sizeof(int), .attempts = 3, .retry_any = 1, .retry_delay = A_WHILE);
    party_await(&trial->good, N - 1);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_close(pool));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_join(pool, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_result_get(result, out, sizeof out, 0));
    check_squares(out, N);
    CHECK_INT(3, atomic_load(&trial->runs[0]));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
}

static void closed_while_it_waits(void) {
    close_while_it_waits(&(cohort_pool_options_t){.workers = 3});
}

/* The workers have ended for want of work, and one is started for it. */
static void closed_without_workers(void) {
    close_while_it_waits(
        &(cohort_pool_options_t){.workers = 2, .on_demand = 1, .idle_timeout = 1000});
}

/* A worker that dies while another one's item waits is replaced. */
static void killed_and_closed_while_it_waits(void) {
    cohort_pool_t *pool = new_pool(2);
    try_t tries[N];
    trial_t *trial = new_trial(1, 1, tries);
    cohort_result_t *result;
    SUBMIT(&result, pool, test_pool(), .task = try_it, COHORT_INPUTS(tries, N),
           .output_size = sizeof(int), .attempts = 3, .retry_any = 1, .retry_delay = A_WHILE);
    party_await(&trial->good, N - 1);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_close(pool));
    kill_worker(pool);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_join(pool, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_result_get(result, NULL, 0, 0));
    CHECK(atomic_load(&trial->runs[1]) >= 2);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
}

/* ---- the keeper of the time ----------------------------------------------------------------- */

typedef struct {
    cohort_pool_t *pool;
    trial_t *trial;
    cohort_result_t *result;
} shared_t;

static int submit_and_stay(void *args) {
    shared_t *shared = *(shared_t **)args;
    try_t tries[N];
    for (int i = 0; i < N; i++) tries[i] = (try_t){shared->trial, i};
    SUBMIT(&shared->result, shared->pool, NULL, .task = try_it, COHORT_INPUTS(tries, N),
           .output_size = sizeof(int), .attempts = 3, .retry_any = 1, .retry_delay = 2 * A_WHILE);
    while (atomic_load(&shared->trial->runs[7]) < 9) apr_sleep(1000);
    return 1;
}

/* No thread waits for the result, and the process that submitted is killed. */
static void its_keeper_dies(void) {
    try_t tries[N];
    shared_t *shared = party_memory(sizeof *shared);
    shared->pool = new_pool(2);
    shared->trial = new_trial(7, 2, tries);
    cohort_process_t *child = party_start(submit_and_stay, &shared, sizeof shared);
    party_await(&shared->trial->good, N - 1);
    party_await(&shared->trial->runs[7], 1);
    party_kill(child);
    party_await(&shared->trial->runs[7], 3);
    CHECK_STATUS(APR_SUCCESS, cohort_result_get(shared->result, NULL, 0, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(shared->result));
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(child));
    finish_pool(shared->pool);
}

/* ---- deaths at any moment ------------------------------------------------------------------- */

static void under_kills(void) { retry_under_kills(200, 1000); }

const test_case_t pool_delay_cases[] = {
    {"PoolDelay", "twice_as_long_each_time", twice_as_long_each_time},
    {"PoolDelay", "after_a_death", after_a_death},
    {"PoolDelay", "a_single_one", a_single_one},
    {"PoolDelay", "ranges", ranges},
    {"PoolDelay", "imaps", imaps},
    {"PoolDelay", "cancelled_while_it_waits", cancelled_while_it_waits},
    {"PoolDelay", "late_while_it_waits", late_while_it_waits},
    {"PoolDelay", "terminated_while_it_waits", terminated_while_it_waits},
    {"PoolDelay", "destroyed_while_it_waits", destroyed_while_it_waits},
    {"PoolDelay", "closed_while_it_waits", closed_while_it_waits},
    {"PoolDelay", "closed_without_workers", closed_without_workers},
    {"PoolDelay", "killed_and_closed_while_it_waits", killed_and_closed_while_it_waits},
    {"PoolDelay", "its_keeper_dies", its_keeper_dies},
    {"PoolDelay", "under_kills", under_kills},
    {0},
};
