/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Death around a pool that takes in a bounded number of jobs, and around jobs that run once on
 * every worker: of a submitter, of one that drops its result, of a worker. Room is never lost, and
 * no thread that waits for the dead.
 */
#include "step_pool.h"

static state_t *with_options(cohort_pool_options_t options) {
    state_t *s = new_state();
    options.method = COHORT_START_FORK;
    options.name = "stepped";
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&s->pool, &options, NULL));
    return s;
}

static void *a_bounded_pool(void) {
    return with_options((cohort_pool_options_t){.workers = 1, .max_jobs = 1, .max_bytes = 4096});
}

/* Twice, so that the second one counts anew. */
static void submit_and_drop(void *state) {
    state_t *s = state;
    int in = 41;
    for (int i = 0; i < 2; i++)
        (void)!cohort_pool_run(s->pool, &(cohort_job_t){.task = step_task,
                                                        COHORT_INPUTS(&in, 1),
                                                        .output_size = sizeof in,
                                                        .priority = i});
}

static void check_pool(void *state, bool finished) {
    (void)finished;
    check_pool_works(state);
}

static void *two_workers(void) {
    state_t *s = with_options((cohort_pool_options_t){.workers = 2});
    CHECK_STATUS(APR_SUCCESS, cohort_pool_wait_ready(s->pool, COHORT_FOREVER));
    return s;
}

static apr_status_t count_run(const void *input, void *output) {
    state_t *s = *(state_t *const *)input;
    (void)output;
    atomic_fetch_add(&s->runs[cohort_task_index()], 1);
    return APR_SUCCESS;
}

static void run_on_each(void *state) {
    state_t *s = state;
    (void)!cohort_pool_run_on_each(s->pool, count_run, &s, sizeof s, NULL, 0, NULL);
}

static void check_each(void *state, bool finished) {
    state_t *s = state;
    for (int i = 0; i < 2; i++) {
        int runs = atomic_load(&s->runs[i]);
        CHECK(finished ? runs == 1 : runs <= 1);
    }
    check_pool_works(s);
    run_on_each(s);
    for (int i = 0; i < 2; i++) CHECK(atomic_load(&s->runs[i]) >= 1);
}

#define CASE(function, prepare_, operate_, check_)                                  \
    STEP_CASES(function, .prepare = prepare_, .operate = operate_, .check = check_, \
               .discard = discard)

CASE(bounded_submit, a_bounded_pool, submit_and_drop, check_pool)
CASE(pool_run_on_each, two_workers, run_on_each, check_each)

#define ENTRIES(function) \
    {"StepRoom", #function, function}, { "StepRoom", #function "_repair", function##_repair }
const test_case_t step_room_cases[] = {ENTRIES(bounded_submit), ENTRIES(pool_run_on_each), {0}};
