/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Death around workers that come and go: one that retires, from the task before that on; one that
 * ends for want of work; a process that submits to a pool which starts workers on demand; the maker
 * of a pool that resizes it; a worker that is to report its crash, and the maker of a pool with
 * settings. No item is lost or run twice, the pool goes on, and nothing is left.
 */
#include "step_pool.h"

static void say_done(void *args) { atomic_store(&(*(state_t **)args)->place.done, 1); }

static state_t *with_options(cohort_pool_options_t options) {
    state_t *s = new_state();
    options.workers = 1;
    options.method = COHORT_START_FORK;
    options.name = "stepped";
    options.finalizer = say_done;
    options.init_args = &s;
    options.init_size = sizeof s;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&s->pool, &options, NULL));
    return s;
}

static state_t *with_job(state_t *s, int chunk) {
    item_t items[ITEMS];
    for (int i = 0; i < ITEMS; i++) items[i] = (item_t){s, i};
    atomic_store(&s->armed, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_submit(&s->job, s->pool,
                                                 &(cohort_job_t){.task = run_item,
                                                                 COHORT_INPUTS(items, ITEMS),
                                                                 .output_size = sizeof(int),
                                                                 .chunk = (apr_size_t)chunk},
                                                 NULL));
    return s;
}

/* It has one more item in its chunk then, or none; or it was the last of all. */
static void *retires_in_a_chunk(void) {
    return with_job(with_options((cohort_pool_options_t){.tasks_per_worker = 2}), ITEMS);
}
static void *retires_after_a_chunk(void) {
    return with_job(with_options((cohort_pool_options_t){.tasks_per_worker = 2}), 1);
}
static void *retires_after_a_job(void) {
    return with_job(with_options((cohort_pool_options_t){.tasks_per_worker = ITEMS}), 2);
}

/* What it reports is in a block that its record owns. */
static void *is_to_report(void) {
    return with_job(with_options((cohort_pool_options_t){.crash_report = 1}), 1);
}

static void *ends_when_idle(void) {
    return with_job(with_options((cohort_pool_options_t){.on_demand = 1, .idle_timeout = 1}),
                    ITEMS);
}

static void check_job(void *state, bool finished) {
    (void)finished;
    (void)check_items(state, ((state_t *)state)->job, 0, ITEMS);
    check_pool_works(state);
}

/* ---- a submitter, a maker ------------------------------------------------------------------- */

static void *no_worker_yet(void) { return with_options((cohort_pool_options_t){.on_demand = 1}); }

static void submit(void *state) {
    int in = 41;
    (void)!cohort_pool_run(
        ((state_t *)state)->pool,
        &(cohort_job_t){.task = step_task, COHORT_INPUTS(&in, 1), .output_size = sizeof in});
}

static void check_pool(void *state, bool finished) {
    (void)finished;
    check_pool_works(state);
}

static void *nothing(void) { return new_state(); }

static cohort_pool_t *own_pool;

static void make_pool(void *state) {
    const cohort_pool_options_t options = {
        .workers = 1, .method = COHORT_START_FORK, .name = "stepped"};
    (void)state;
    (void)!cohort_pool_create(&own_pool, &options, NULL);
}

static void make_set_pool(void *state) {
    const cohort_settings_t settings = {.umask = COHORT_UMASK(027)};
    const cohort_pool_options_t options = {.workers = 1,
                                           .method = COHORT_START_FORK,
                                           .name = "stepped",
                                           .crash_report = 1,
                                           .settings = &settings};
    (void)state;
    (void)!cohort_pool_create(&own_pool, &options, NULL);
}

static void resize(void *state) {
    (void)state;
    (void)!cohort_pool_resize(own_pool, 2);
    (void)!cohort_pool_resize(own_pool, 1);
}

static void check_nothing_left(void *state, bool finished) {
    (void)state, (void)finished;
    step_end_orphans();
}

#define CASE(function, prepare_, warm_, operate_, victim_, check_)                \
    STEP_CASES(function, .prepare = prepare_, .warm = warm_, .operate = operate_, \
               .victim = victim_, .check = check_, .discard = discard)

/* Not with a repairer's death, too: by then others may have come and gone at its place. */
#define ALONE(function, prepare_)                                                           \
    static const step_scenario_t function##_scenario = {                                    \
        .prepare = prepare_, .victim = the_worker, .check = check_job, .discard = discard}; \
    static void function(void) { step_through(#function, &function##_scenario); }

ALONE(worker_retires_in_a_chunk, retires_in_a_chunk)
ALONE(worker_retires_after_a_chunk, retires_after_a_chunk)
ALONE(worker_retires_after_a_job, retires_after_a_job)
ALONE(worker_ends_when_idle, ends_when_idle)
CASE(submit_on_demand, no_worker_yet, NULL, submit, NULL, check_pool)
CASE(worker_reports, is_to_report, NULL, NULL, the_worker, check_job)
CASE(set_pool_create, nothing, NULL, make_set_pool, NULL, check_nothing_left)
CASE(pool_resize, nothing, make_pool, resize, NULL, check_nothing_left)

#define ENTRY(function) \
    { "StepWorkers", #function, function }
#define ENTRIES(function) \
    {"StepWorkers", #function, function}, { "StepWorkers", #function "_repair", function##_repair }
const test_case_t step_workers_cases[] = {ENTRY(worker_retires_in_a_chunk),
                                          ENTRY(worker_retires_after_a_chunk),
                                          ENTRY(worker_retires_after_a_job),
                                          ENTRY(worker_ends_when_idle),
                                          ENTRIES(submit_on_demand),
                                          ENTRIES(worker_reports),
                                          ENTRIES(set_pool_create),
                                          ENTRIES(pool_resize),
                                          {0}};
