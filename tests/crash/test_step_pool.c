/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Death around pools and processes: a worker between two tasks, a submitter, the maker of a pool; a
 * process that starts another one, and one that ends. Each item of a job has one outcome, the pool
 * goes on, and of the dead, of what they had made and of those they had started nothing is left.
 */
#include "step_pool.h"

static const cohort_pool_options_t one_worker = {
    .workers = 1, .method = COHORT_START_FORK, .name = "stepped"};

static state_t *with_pool(void) {
    state_t *s = new_state();
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&s->pool, &one_worker, NULL));
    return s;
}

/* ---- a worker ------------------------------------------------------------------------------- */

static void *a_job(void) {
    state_t *s = with_pool();
    item_t items[ITEMS];
    for (int i = 0; i < ITEMS; i++) items[i] = (item_t){s, i};
    atomic_store(&s->armed, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_submit(&s->job, s->pool,
                                                 &(cohort_job_t){.task = run_item,
                                                                 COHORT_INPUTS(items, ITEMS),
                                                                 .output_size = sizeof(int),
                                                                 .chunk = 1},
                                                 NULL));
    return s;
}

/* The same for the items of a range, of which the first and the last are in two. */
static apr_status_t run_range(const void *inputs, void *outputs, apr_size_t first,
                              apr_size_t last) {
    const item_t *items = inputs;
    int *out = outputs;
    for (apr_size_t i = first; i < last; i++) (void)!run_item(&items[i], &out[i]);
    return APR_SUCCESS;
}

static void *a_job_of_ranges(void) {
    state_t *s = with_pool();
    item_t items[ITEMS];
    for (int i = 0; i < ITEMS; i++) items[i] = (item_t){s, i};
    atomic_store(&s->armed, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_submit(&s->job, s->pool,
                                                 &(cohort_job_t){.range = run_range,
                                                                 COHORT_INPUTS(items, ITEMS),
                                                                 .output_size = sizeof(int),
                                                                 .chunk = 2},
                                                 NULL));
    return s;
}

/* The job is one of its last items only, behind another that the stepping begins in: in between
 * that one is done, and taken off the list. */
static void *two_jobs(void) {
    state_t *s = with_pool();
    item_t first = {s, 0}, others[ITEMS - 1];
    for (int i = 1; i < ITEMS; i++) others[i - 1] = (item_t){s, i};
    atomic_store(&s->armed, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_submit(&s->before, s->pool,
                                                 &(cohort_job_t){.task = run_item,
                                                                 COHORT_INPUTS(&first, 1),
                                                                 .output_size = sizeof(int)},
                                                 NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_submit(&s->job, s->pool,
                                                 &(cohort_job_t){.task = run_item,
                                                                 COHORT_INPUTS(others, ITEMS - 1),
                                                                 .output_size = sizeof(int),
                                                                 .chunk = ITEMS},
                                                 NULL));
    return s;
}

/* While the worker is in the first item another job comes. So it gives back what is left of its
 * chunk, goes there, and comes back. */
static void *a_job_that_gives_way(void) {
    state_t *s = with_pool();
    item_t items[ITEMS];
    int in = 41;
    for (int i = 0; i < ITEMS; i++) items[i] = (item_t){s, i};
    atomic_store(&s->armed, 1);
    s->slow = 2000;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_submit(&s->job, s->pool,
                                                 &(cohort_job_t){.task = run_item,
                                                                 COHORT_INPUTS(items, ITEMS),
                                                                 .output_size = sizeof(int),
                                                                 .chunk = ITEMS},
                                                 NULL));
    while (!atomic_load(&s->place.ready)) sched_yield();
    CHECK_STATUS(APR_SUCCESS, cohort_pool_submit(&s->before, s->pool,
                                                 &(cohort_job_t){.task = step_task,
                                                                 COHORT_INPUTS(&in, 1),
                                                                 .output_size = sizeof(int)},
                                                 NULL));
    return s;
}

static void check_job(void *state, bool finished) {
    (void)finished;
    (void)check_items(state, ((state_t *)state)->job, 0, ITEMS);
    check_pool_works(state);
}

static void check_two_jobs(void *state, bool finished) {
    state_t *s = state;
    (void)finished;
    CHECK(check_items(s, s->job, 1, ITEMS - 1) + check_items(s, s->before, 0, 1) <= 1);
    check_pool_works(s);
}

static void check_way_given(void *state, bool finished) {
    state_t *s = state;
    int out = 0;
    apr_status_t status = cohort_result_get(s->before, &out, sizeof out, COHORT_FOREVER);
    (void)finished;
    CHECK(status == COHORT_EWORKERDIED || (status == APR_SUCCESS && out == 42));
    CHECK(check_items(s, s->job, 0, ITEMS) + (status != APR_SUCCESS) <= 1);
    check_pool_works(s);
}

/* ---- a submitter, a maker ------------------------------------------------------------------- */

static void *a_pool(void) { return with_pool(); }

/* With a context that has a block of its own. */
static void submit(void *state) {
    int in = 41, out = 0, context[1000] = {0};
    cohort_job_t job = {.task = step_task,
                        COHORT_INPUTS(&in, 1),
                        COHORT_OUTPUTS(&out),
                        .context = context,
                        .context_size = sizeof context};
    (void)!cohort_pool_run(((state_t *)state)->pool, &job);
}

static void check_pool(void *state, bool finished) {
    (void)finished;
    check_pool_works(state);
}

static void *nothing(void) { return new_state(); }

static void make_pool(void *state) {
    cohort_pool_t *pool;
    (void)state;
    (void)!cohort_pool_create(&pool, &one_worker, NULL);
}

static void check_nothing_left(void *state, bool finished) {
    (void)state, (void)finished;
    step_end_orphans();
}

/* ---- one ends a pool that another has made, while its worker is in a chunk of many items ---- */

static apr_status_t be_slow(const void *input, void *output) {
    state_t *s = *(state_t *const *)input;
    (void)output;
    atomic_fetch_add(&s->runs[0], 1);
    if (atomic_load(&s->armed)) usleep(50);
    return APR_SUCCESS;
}

static void *a_busy_pool(void) {
    enum { N = 10000 };
    state_t *s = with_pool(), *inputs[N];
    for (int i = 0; i < N; i++) inputs[i] = s;
    atomic_store(&s->armed, 1);
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_submit(
                     &s->job, s->pool,
                     &(cohort_job_t){.task = be_slow, COHORT_INPUTS(inputs, N), .chunk = N}, NULL));
    while (!atomic_load(&s->runs[0])) sched_yield();
    return s;
}

static void terminate_pool(void *state) { (void)cohort_pool_terminate(((state_t *)state)->pool); }

/* It has ended, or goes on as if nothing had been; the job is over either way. */
static void check_ended_or_not(void *state, bool finished) {
    state_t *s = state;
    int in = 1, out = 0;
    atomic_store(&s->armed, 0);
    apr_status_t job = cohort_result_get(s->job, NULL, 0, COHORT_FOREVER);
    apr_status_t status = cohort_pool_apply(s->pool, step_task, &in, sizeof in, &out, sizeof out);
    CHECK(status == APR_SUCCESS || status == COHORT_ENOTRUNNING);
    CHECK(job == APR_SUCCESS || (job == COHORT_ETERMINATED && status == COHORT_ENOTRUNNING));
    if (finished) CHECK_STATUS(COHORT_ENOTRUNNING, status);
}

/* ---- processes ------------------------------------------------------------------------------ */

static int be_a_child(void *code) { return *(int *)code; }

static state_t *with_method(cohort_start_method_t method) {
    state_t *s = new_state();
    s->method = method;
    return s;
}

static void *by_fork(void) { return with_method(COHORT_START_FORK); }
static void *by_spawn(void) { return with_method(COHORT_START_SPAWN); }
static void *by_server(void) { return with_method(COHORT_START_FORKSERVER); }

static void start_and_join(void *state) {
    int code = 7;
    cohort_process_t *child;
    cohort_process_options_t options = {.lifetime = COHORT_LIFETIME_DAEMON,
                                        .method = ((state_t *)state)->method};
    if (cohort_process_create(&child, be_a_child, &code, sizeof code, &options, NULL) ||
        cohort_process_start(child))
        return;
    if (!cohort_process_join(child, COHORT_FOREVER)) (void)cohort_process_destroy(child);
}

#define CASE(function, prepare_, operate_, victim_, check_)                           \
    STEP_CASES(function, .prepare = prepare_, .operate = operate_, .victim = victim_, \
               .check = check_, .discard = discard)

CASE(worker_publishes_and_takes, a_job, NULL, the_worker, check_job)
CASE(worker_runs_ranges, a_job_of_ranges, NULL, the_worker, check_job)
CASE(worker_gives_way, a_job_that_gives_way, NULL, the_worker, check_way_given)
CASE(worker_passes_over, two_jobs, NULL, the_worker, check_two_jobs)
CASE(pool_submit, a_pool, submit, NULL, check_pool)
CASE(pool_terminate, a_busy_pool, terminate_pool, NULL, check_ended_or_not)
CASE(pool_create, nothing, make_pool, NULL, check_nothing_left)
CASE(process_start, by_fork, start_and_join, NULL, check_nothing_left)
CASE(process_start_spawn, by_spawn, start_and_join, NULL, check_nothing_left)
CASE(process_start_server, by_server, start_and_join, NULL, check_nothing_left)
CASE(process_exit, nothing, step_leave, NULL, check_nothing_left)

#define ENTRIES(function) \
    {"StepPool", #function, function}, { "StepPool", #function "_repair", function##_repair }
const test_case_t step_pool_cases[] = {ENTRIES(worker_publishes_and_takes),
                                       ENTRIES(worker_runs_ranges),
                                       ENTRIES(worker_gives_way),
                                       ENTRIES(worker_passes_over),
                                       ENTRIES(pool_submit),
                                       ENTRIES(pool_terminate),
                                       ENTRIES(pool_create),
                                       ENTRIES(process_start),
                                       ENTRIES(process_start_spawn),
                                       ENTRIES(process_start_server),
                                       ENTRIES(process_exit),
                                       {0}};
