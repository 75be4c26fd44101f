/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Death around items that wait before they are run again: of the worker that has one wait, and of
 * the process that has workers come to it when its time has come. Each item is run again, none too
 * often, and the pool goes on.
 */
#include "step_pool.h"

#include <apr_time.h>

enum { ATTEMPTS = 3, DELAY = 2000 };

/* The first item fails once, on which the stepping begins; the last one ends it. */
static apr_status_t fail_once(const void *input, void *output) {
    const item_t *item = input;
    apr_status_t status = run_item(input, output);
    return item->item == 0 && atomic_load(&item->state->runs[0]) == 1 ? APR_EBUSY : status;
}

static void submit(state_t *s, int n, apr_size_t chunk) {
    item_t items[ITEMS];
    for (int i = 0; i < ITEMS; i++) items[i] = (item_t){s, i};
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_submit(&s->job, s->pool,
                                    &(cohort_job_t){.task = fail_once,
                                                    COHORT_INPUTS(items, (apr_size_t)n),
                                                    .output_size = sizeof(int),
                                                    .chunk = chunk,
                                                    .attempts = ATTEMPTS,
                                                    .retry_any = 1,
                                                    .retry_delay = DELAY},
                                    NULL));
}

static state_t *with_pool(void) {
    static const cohort_pool_options_t one_worker = {
        .workers = 1, .method = COHORT_START_FORK, .name = "stepped"};
    state_t *s = new_state();
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&s->pool, &one_worker, NULL));
    return s;
}

/* Alone in its chunk, or with the item behind it. */
static void *armed_job(apr_size_t chunk) {
    state_t *s = with_pool();
    atomic_store(&s->armed, 1);
    submit(s, ITEMS, chunk);
    return s;
}
static void *alone(void) { return armed_job(1); }
static void *in_a_chunk(void) { return armed_job(2); }

static void check_all_done(state_t *s, int n) {
    int out[ITEMS] = {0};
    CHECK_STATUS(APR_SUCCESS,
                 cohort_result_get(s->job, out, (apr_size_t)n * sizeof *out, COHORT_FOREVER));
    for (int i = 0; i < n; i++) {
        CHECK_INT(i + 1, out[i]);
        CHECK(atomic_load(&s->runs[i]) >= 1 + (i == 0) && atomic_load(&s->runs[i]) <= 2 + (i == 0));
    }
    check_pool_works(s);
}

static void check_worker(void *state, bool finished) {
    (void)finished;
    check_all_done(state, ITEMS);
}

/* ---- the one that has them run again --------------------------------------------------------- */

static int submit_and_stop(void *args) {
    submit(*(state_t **)args, 1, 1);
    raise(SIGSTOP);
    return 0;
}

static cohort_process_t *submitter;

/* The process that is to see to it is stopped, and the item's time has come. */
static void *due(void) {
    const cohort_process_options_t daemon = {.lifetime = COHORT_LIFETIME_DAEMON,
                                             .method = COHORT_START_FORK};
    state_t *s = with_pool();
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_create(&submitter, submit_and_stop, &s, sizeof s, &daemon, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(submitter));
    while (!atomic_load(&s->runs[0]) || !*(cohort_result_t *volatile *)&s->job) sched_yield();
    for (apr_time_t end = apr_time_now() + 2 * DELAY; apr_time_now() < end;) sched_yield();
    return s;
}

static void ask(void *state) { (void)cohort_result_is_ready(((state_t *)state)->job); }

static void check_roused(void *state, bool finished) {
    (void)finished;
    check_all_done(state, 1);
}

static void discard_due(void *state) {
    CHECK_STATUS(APR_SUCCESS, cohort_process_kill(submitter));
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(submitter, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(submitter));
    discard(state);
}

STEP_CASES(item_begins_to_wait, .prepare = alone, .victim = the_worker, .check = check_worker,
           .discard = discard)
static const step_scenario_t chunk_scenario = {
    .prepare = in_a_chunk, .victim = the_worker, .check = check_worker, .discard = discard};
static void chunk_begins_to_wait(void) { step_through("chunk_begins_to_wait", &chunk_scenario); }
STEP_CASES(item_is_due, .prepare = due, .operate = ask, .check = check_roused,
           .discard = discard_due)

#define ENTRIES(function) \
    {"StepDelay", #function, function}, { "StepDelay", #function "_repair", function##_repair }
const test_case_t step_delay_cases[] = {ENTRIES(item_begins_to_wait),
                                        {"StepDelay", "chunk_begins_to_wait", chunk_begins_to_wait},
                                        ENTRIES(item_is_due),
                                        {0}};
