/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Death of a worker of a pool that counts, from the first item of a job to its last: whatever the
 * worker was at, and whatever the thread that settles its death, each item is counted once, and as
 * what it has ended.
 */
#include "step_pool.h"

static state_t *with_job(apr_size_t chunk, apr_size_t attempts) {
    state_t *s = new_state();
    item_t items[ITEMS];
    for (int i = 0; i < ITEMS; i++) items[i] = (item_t){s, i};
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_create(&s->pool,
                                    &(cohort_pool_options_t){.workers = 1,
                                                             .method = COHORT_START_FORK,
                                                             .name = "stepped",
                                                             .statistics = 1},
                                    NULL));
    atomic_store(&s->armed, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_submit(&s->job, s->pool,
                                                 &(cohort_job_t){.task = run_item,
                                                                 COHORT_INPUTS(items, ITEMS),
                                                                 .output_size = sizeof(int),
                                                                 .attempts = attempts,
                                                                 .chunk = chunk},
                                                 NULL));
    return s;
}

static void *in_a_chunk(void) { return with_job(ITEMS, 1); }
static void *with_attempts(void) { return with_job(2, 3); }

static void check_ended(state_t *s, int failed) {
    cohort_pool_statistics_t *statistics;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_statistics(s->pool, &statistics, test_pool()));
    CHECK_INT(failed, statistics->counts.failed);
    CHECK_INT(ITEMS - failed, statistics->counts.done);
    CHECK_INT(0, statistics->jobs);
}

static void check_counts(void *state, bool finished) {
    state_t *s = state;
    (void)finished;
    check_ended(s, check_items(s, s->job, 0, ITEMS));
}

static void check_counts_of_attempts(void *state, bool finished) {
    state_t *s = state;
    (void)finished;
    CHECK_STATUS(APR_SUCCESS, cohort_result_get(s->job, NULL, 0, COHORT_FOREVER));
    check_ended(s, 0);
}

STEP_CASES(counts_in_a_chunk, .prepare = in_a_chunk, .victim = the_worker, .check = check_counts,
           .discard = discard)

static const step_scenario_t with_attempts_scenario = {.prepare = with_attempts,
                                                       .victim = the_worker,
                                                       .check = check_counts_of_attempts,
                                                       .discard = discard};
static void counts_with_attempts(void) {
    step_through("counts_with_attempts", &with_attempts_scenario);
}

#define ENTRY(function) \
    { "StepStatistics", #function, function }
const test_case_t step_statistics_cases[] = {
    ENTRY(counts_in_a_chunk), ENTRY(counts_in_a_chunk_repair), ENTRY(counts_with_attempts), {0}};
