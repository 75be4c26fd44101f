/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Pools: items that are run again because of what their tasks return, and where tasks say that they
 * fail. */
#include "retries.h"

#include <stdio.h>

enum { N = 30 };

/* An item fails with `status` until it has been run `fails` times. */
typedef struct {
    _Atomic int runs[N], good[N];
    _Atomic int dies; /* once, the item that finds it */
    apr_status_t status;
    int fails;
} trial_t;

typedef struct {
    trial_t *trial;
    int number;
} try_t;

static apr_status_t try_it(const void *input, void *output) {
    const try_t *t = input;
    int runs = atomic_fetch_add(&t->trial->runs[t->number], 1) + 1;
    CHECK_INT(runs, cohort_task_attempt());
    CHECK_INT(t->number, cohort_task_index());
    if (atomic_exchange(&t->trial->dies, 0)) cohort_process_kill(cohort_process_current());
    if (runs <= t->trial->fails)
        return cohort_task_fail(t->trial->status, "run %d of %d", runs, t->number);
    atomic_fetch_add(&t->trial->good[t->number], 1);
    *(int *)output = t->number * t->number;
    return APR_SUCCESS;
}

static trial_t *new_trial(apr_status_t status, int fails, try_t *tries) {
    trial_t *trial = party_memory(sizeof *trial);
    trial->status = status;
    trial->fails = fails;
    for (int i = 0; i < N; i++) tries[i] = (try_t){trial, i};
    return trial;
}

static void expect_runs(trial_t *trial, int runs) {
    for (int i = 0; i < N; i++) CHECK_INT(runs, atomic_load(&trial->runs[i]));
}

static void on_listed_statuses(void) {
    cohort_pool_t *pool = new_pool(3);
    try_t tries[N];
    int out[N] = {0};
    trial_t *trial = new_trial(APR_EGENERAL, 2, tries);
    RUN(pool, .task = try_it, COHORT_INPUTS(tries, N), COHORT_OUTPUTS(out), .attempts = 3,
        .retry_on = {APR_TIMEUP, APR_EGENERAL});
    check_squares(out, N);
    expect_runs(trial, 3);
    trial = new_trial(APR_EBUSY, 2, tries);
    RUN(pool, .task = try_it, COHORT_INPUTS(tries, N), COHORT_OUTPUTS(out), .attempts = 5,
        .retry_any = 1, .chunk = 7);
    expect_runs(trial, 3);
    finish_pool(pool);
}

static void not_on_others(void) {
    cohort_pool_t *pool = new_pool(3);
    try_t tries[N];
    int out[N];
    trial_t *trial = new_trial(APR_EBUSY, 1, tries);
    CHECK_STATUS(APR_EBUSY, cohort_pool_run(pool, &(cohort_job_t){.task = try_it,
                                                                  COHORT_INPUTS(tries, N),
                                                                  COHORT_OUTPUTS(out),
                                                                  .attempts = 3,
                                                                  .retry_on = {APR_TIMEUP}}));
    expect_runs(trial, 1);
    trial = new_trial(APR_EBUSY, 1, tries); /* without attempts it is of no meaning */
    CHECK_STATUS(APR_EBUSY, cohort_pool_run(pool, &(cohort_job_t){.task = try_it,
                                                                  COHORT_INPUTS(tries, N),
                                                                  COHORT_OUTPUTS(out),
                                                                  .retry_any = 1}));
    expect_runs(trial, 1);
    finish_pool(pool);
}

/* The last run counts, and what it said. */
static void until_the_attempts_are_over(void) {
    cohort_pool_t *pool = new_pool(2);
    try_t tries[N];
    cohort_result_t *result;
    cohort_task_error_t **errors;
    apr_size_t n;
    trial_t *trial = new_trial(APR_EBUSY, 99, tries);
    SUBMIT(&result, pool, test_pool(), .task = try_it, COHORT_INPUTS(tries, N),
           .output_size = sizeof(int), .attempts = 4, .retry_on = {APR_EBUSY});
    CHECK_STATUS(APR_EBUSY, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
    expect_runs(trial, 4);
    CHECK_STATUS(APR_SUCCESS, cohort_result_errors(result, &errors, &n, test_pool()));
    CHECK_INT(N, n);
    for (apr_size_t i = 0; i < n; i++) {
        CHECK_INT(4, errors[i]->attempt);
        CHECK(strstr(errors[i]->message, "run 4 of ") != NULL);
    }
    finish_pool(pool);
}

/* Runs that a worker died under count too. */
static void deaths_and_statuses_together(void) {
    cohort_pool_t *pool = new_pool(1);
    try_t tries[N];
    int out[N];
    trial_t *trial = new_trial(APR_EBUSY, 2, tries);
    atomic_store(&trial->dies, 1);
    RUN(pool, .task = try_it, COHORT_INPUTS(tries, N), COHORT_OUTPUTS(out), .attempts = 3,
        .retry_any = 1);
    expect_runs(trial, 3);
    finish_pool(pool);
}

/* ---- cancelled ------------------------------------------------------------------------------- */

typedef struct {
    _Atomic int begun, open, runs;
} hold_t;

static apr_status_t fail_when_told(const void *input, void *output) {
    hold_t *hold = *(hold_t *const *)input;
    (void)output;
    atomic_fetch_add(&hold->runs, 1);
    atomic_store(&hold->begun, 1);
    while (!cohort_task_should_stop()) apr_sleep(1000);
    return APR_EBUSY;
}

static void cancelled_ones_are_not(void) {
    cohort_pool_t *pool = new_pool(1);
    hold_t *hold = party_memory(sizeof *hold);
    cohort_result_t *result;
    SUBMIT(&result, pool, test_pool(), .task = fail_when_told, COHORT_INPUTS(&hold, 1),
           .attempts = 50, .retry_any = 1);
    party_await(&hold->begun, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_result_cancel(result, COHORT_CANCEL_SOFT));
    CHECK_STATUS(APR_EBUSY, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
    CHECK_INT(1, atomic_load(&hold->runs));
    finish_pool(pool);
}

static void late_ones_are_not(void) {
    cohort_pool_t *pool = new_pool(1);
    hold_t *hold = party_memory(sizeof *hold);
    cohort_result_t *result;
    SUBMIT(&result, pool, test_pool(), .task = fail_when_told, COHORT_INPUTS(&hold, 1),
           .attempts = 50, .retry_any = 1, .task_timeout = A_WHILE, .task_grace = COHORT_FOREVER);
    CHECK_STATUS(APR_EBUSY, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
    CHECK_INT(1, atomic_load(&hold->runs));
    finish_pool(pool);
}

/* ---- ranges, imaps --------------------------------------------------------------------------- */

static apr_status_t try_range(const void *inputs, void *outputs, apr_size_t first,
                              apr_size_t last) {
    const try_t *tries = inputs;
    for (apr_size_t i = first; i < last; i++) {
        if (atomic_fetch_add(&tries[i].trial->runs[i], 1) < tries[i].trial->fails) continue;
        ((int *)outputs)[i] = (int)(i * i);
    }
    return atomic_load(&tries[first].trial->runs[first]) <= tries[first].trial->fails ? APR_EBUSY
                                                                                      : APR_SUCCESS;
}

static void ranges(void) {
    cohort_pool_t *pool = new_pool(2);
    try_t tries[N];
    int out[N];
    trial_t *trial = new_trial(APR_EBUSY, 2, tries);
    RUN(pool, .range = try_range, COHORT_INPUTS(tries, N), COHORT_OUTPUTS(out), .attempts = 3,
        .retry_on = {APR_EBUSY}, .chunk = 8);
    check_squares(out, N);
    expect_runs(trial, 3);
    finish_pool(pool);
}

static apr_status_t try_outside(const void *input, void *output) {
    const try_t *t = input;
    if (atomic_fetch_add(&t->trial->runs[t->number], 1) < t->trial->fails) return APR_EBUSY;
    *(int *)output = t->number;
    return APR_SUCCESS;
}

static void imaps(void) {
    cohort_pool_t *pool = new_pool(2);
    try_t tries[N];
    cohort_imap_t *imap;
    cohort_item_t item = {0};
    trial_t *trial = new_trial(APR_EBUSY, 1, tries);
    const cohort_job_t job = {.task = try_outside,
                              COHORT_INPUTS(tries, N),
                              .output_size = sizeof(int),
                              .attempts = 2,
                              .retry_any = 1};
    CHECK_STATUS(APR_SUCCESS, cohort_pool_imap(&imap, pool, &job, NULL, test_pool()));
    for (int i = 0; i < N; i++) {
        CHECK_STATUS(APR_SUCCESS, cohort_imap_next(imap, &item, COHORT_FOREVER));
        CHECK_STATUS(APR_SUCCESS, item.status);
        CHECK_INT(i, *(int *)item.data);
    }
    expect_runs(trial, 2);
    finish_pool(pool);
}

/* ---- deaths at any moment -------------------------------------------------------------------- */

static void under_kills(void) { retry_under_kills(400, 0); }

/* ---- where a task says that it fails --------------------------------------------------------- */

static int fails_at;

static apr_status_t fail_here(const void *input, void *output) {
    (void)input, (void)output;
    fails_at = __LINE__ + 1;
    return cohort_task_fail(APR_EGENERAL, "line %d", fails_at);
}

static apr_status_t fail_nowhere(const void *input, void *output) {
    apr_status_t (*fail)(apr_status_t, const char *, ...) = cohort_task_fail;
    (void)input, (void)output;
    return fail(APR_EGENERAL, "%s", "nowhere");
}

static apr_status_t fail_plainly(const void *input, void *output) {
    (void)input, (void)output;
    return APR_EGENERAL;
}

static cohort_task_error_t error_of(cohort_pool_t *pool, cohort_task_t task) {
    cohort_result_t *result;
    cohort_task_error_t error;
    SUBMIT(&result, pool, test_pool(), .task = task, .n = 1);
    CHECK_STATUS(APR_EGENERAL, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_result_error(result, &error));
    return error;
}

static void where_it_fails(void) {
    cohort_pool_t *pool = new_pool(1);
    char text[32];
    cohort_task_error_t error = error_of(pool, fail_here);
    snprintf(text, sizeof text, "line %d", error.line);
    CHECK_STR(text, error.message);
    CHECK(strstr(error.file, "test_pool_again.c") != NULL);
    CHECK_STR("fail_here", error.function);
    error = error_of(pool, fail_plainly); /* what was said before is not of this one */
    CHECK_STR("", error.file);
    CHECK_STR("", error.function);
    CHECK_INT(0, error.line);
    (void)error_of(pool, fail_here);
    error = error_of(pool, fail_nowhere);
    CHECK_STR("nowhere", error.message);
    CHECK_STR("", error.file);
    CHECK_INT(0, error.line);
    finish_pool(pool);
}

const test_case_t pool_again_cases[] = {
    {"PoolAgain", "on_listed_statuses", on_listed_statuses},
    {"PoolAgain", "not_on_others", not_on_others},
    {"PoolAgain", "until_the_attempts_are_over", until_the_attempts_are_over},
    {"PoolAgain", "deaths_and_statuses_together", deaths_and_statuses_together},
    {"PoolAgain", "cancelled_ones_are_not", cancelled_ones_are_not},
    {"PoolAgain", "late_ones_are_not", late_ones_are_not},
    {"PoolAgain", "ranges", ranges},
    {"PoolAgain", "imaps", imaps},
    {"PoolAgain", "under_kills", under_kills},
    {"PoolAgain", "where_it_fails", where_it_fails},
    {0},
};
