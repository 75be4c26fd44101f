/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Pools: bounded submission, priorities, and a task that runs once on every worker. */
#include "pools.h"

/* ---- room ----------------------------------------------------------------------------------- */

static cohort_pool_t *bounded_pool(apr_size_t jobs, apr_size_t bytes) {
    cohort_pool_options_t options = {.workers = 1, .max_jobs = jobs, .max_bytes = bytes};
    cohort_pool_t *pool = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&pool, &options, test_pool()));
    return pool;
}

static apr_status_t submit_gate(cohort_result_t **result, cohort_pool_t *pool, gate_t *gate,
                                apr_interval_time_t timeout) {
    return cohort_pool_submit(
        result, pool,
        &(cohort_job_t){.task = pass_gate, COHORT_INPUTS(&gate, 1), .submit_timeout = timeout},
        NULL);
}

static void drop(cohort_result_t **results, int n) {
    for (int i = 0; i < n; i++) {
        CHECK_STATUS(APR_SUCCESS, cohort_result_get(results[i], NULL, 0, COHORT_FOREVER));
        CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(results[i]));
    }
}

typedef struct {
    cohort_pool_t *pool;
    gate_t *gate;
    _Atomic int *before, *after;
    apr_status_t status;
} submitter_t;

static int submit_and_wait(void *args) {
    submitter_t *s = args;
    cohort_result_t *result;
    atomic_fetch_add(s->before, 1);
    CHECK_STATUS(s->status, submit_gate(&result, s->pool, s->gate, 0));
    atomic_fetch_add(s->after, 1);
    if (!s->status) drop(&result, 1);
    return 0;
}

static void bounded_jobs(void) {
    gate_t *gate = new_gate(), *other = new_gate();
    cohort_pool_t *pool = bounded_pool(2, 0);
    cohort_result_t *results[2], *more;
    for (int i = 0; i < 2; i++) CHECK_STATUS(APR_SUCCESS, submit_gate(&results[i], pool, gate, -1));
    CHECK_STATUS(APR_EAGAIN, submit_gate(&more, pool, gate, -1));
    apr_time_t begin = apr_time_now();
    CHECK(APR_STATUS_IS_TIMEUP(submit_gate(&more, pool, gate, A_WHILE)));
    CHECK(apr_time_now() - begin >= A_WHILE);
    submitter_t s = {pool, other, &other->runs, &other->done, APR_SUCCESS};
    atomic_store(&other->open, 1);
    cohort_process_t *process = party_start(submit_and_wait, &s, sizeof s);
    party_await(&other->runs, 1);
    apr_sleep(A_WHILE);
    CHECK_INT(0, atomic_load(&other->done));
    atomic_store(&gate->open, 1);
    party_finish(process);
    drop(results, 2); /* those that are done have room, kept or not */
    for (int i = 0; i < 50; i++) check_works(pool);
    finish_pool(pool);
}

static void bounded_bytes(void) {
    enum { BYTES = 10000 };
    static char block[3 * BYTES];
    gate_t *gate = new_gate();
    cohort_pool_t *pool = bounded_pool(0, 2 * BYTES);
    cohort_result_t *result, *large, *none;
    cohort_job_t job = {.task = pass_gate,
                        .inputs = &gate,
                        .input_size = sizeof gate,
                        .n = 1,
                        .context = block,
                        .context_size = BYTES,
                        .submit_timeout = -1};
    CHECK_STATUS(APR_SUCCESS, cohort_pool_submit(&result, pool, &job, NULL));
    job.context_size = BYTES * 3 / 2;
    CHECK_STATUS(APR_EAGAIN, cohort_pool_submit(&none, pool, &job, NULL));
    job.context_size = 1;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_submit(&large, pool, &job, NULL));
    atomic_store(&gate->open, 1);
    drop(&result, 1);
    drop(&large, 1);
    job.context_size = sizeof block; /* more than there may be, alone */
    CHECK_STATUS(APR_SUCCESS, cohort_pool_submit(&large, pool, &job, NULL));
    job.submit_timeout = 0;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_submit(&result, pool, &job, NULL));
    drop(&large, 1);
    drop(&result, 1);
    finish_pool(pool);
}

/* A submitter that waits goes on when the work before it is lost with a worker, when a result is
 * destroyed, and when the pool ends. */
static void room_and_deaths(void) {
    gate_t *gate = new_gate(), *other = new_gate();
    cohort_pool_t *pool = bounded_pool(1, 0);
    cohort_result_t *first;
    submitter_t s = {pool, other, &other->runs, &gate->runs, APR_SUCCESS};
    atomic_store(&other->open, 1);
    for (int i = 0; i < 2; i++) {
        CHECK_STATUS(APR_SUCCESS, submit_gate(&first, pool, gate, 0));
        party_await(&gate->begun, i + 1);
        cohort_process_t *process = party_start(submit_and_wait, &s, sizeof s);
        party_await(&other->runs, i + 1);
        if (i == 0) kill_worker(pool);
        else CHECK_STATUS(APR_SUCCESS, cohort_result_cancel(first, COHORT_CANCEL_HARD));
        party_finish(process);
        CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(first));
    }
    CHECK_STATUS(APR_SUCCESS, submit_gate(&first, pool, gate, 0));
    s.status = COHORT_ENOTRUNNING;
    cohort_process_t *process = party_start(submit_and_wait, &s, sizeof s);
    party_await(&other->runs, 3);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_terminate(pool));
    party_finish(process);
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(first));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
}

static int submit_many(void *args) {
    cohort_pool_t *pool = *(cohort_pool_t **)args;
    for (int i = 0; i < 50; i++) check_works(pool);
    return 0;
}

static int submit_for_ever(void *args) {
    for (;;) (void)submit_many(args);
    return 0;
}

/* Submitters that are killed leave no room taken. */
static void many_submitters(void) {
    cohort_process_t *list[4];
    cohort_pool_t *pool = bounded_pool(2, 0);
    parties_start(list, 2, submit_for_ever, &pool, sizeof pool);
    parties_start(list + 2, 2, submit_many, &pool, sizeof pool);
    check_works(pool);
    for (int i = 0; i < 2; i++) {
        party_kill(list[i]);
        CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(list[i]));
    }
    parties_finish(list + 2, 2);
    for (int i = 0; i < 5; i++) check_works(pool);
    finish_pool(pool);
}

/* ---- priorities ----------------------------------------------------------------------------- */

typedef struct {
    _Atomic int next;
    int order[64]; /* which job each item that was begun is of */
    _Atomic int open, begun;
} line_t;

typedef struct {
    line_t *line;
    int job;
} stand_t;

static apr_status_t stand(const void *input, void *output) {
    const stand_t *s = input;
    (void)output;
    s->line->order[atomic_fetch_add(&s->line->next, 1)] = s->job;
    atomic_fetch_add(&s->line->begun, 1);
    while (!atomic_load(&s->line->open)) apr_sleep(500);
    return APR_SUCCESS;
}

/* One worker, held up in its first item, while jobs of all kinds come. */
static void priorities(void) {
    static const int given[] = {0, 0, -5, 7, 0, 100};
    static const int expected[] = {0, 5, 5, 5, 3, 3, 3, 0, 0, 1, 1, 1, 4, 4, 4, 2, 2, 2};
    enum { JOBS = 6, ITEMS = 3 };
    line_t *line = party_memory(sizeof *line);
    cohort_pool_t *pool = new_pool(1);
    cohort_result_t *results[JOBS];
    for (int i = 0; i < JOBS; i++) {
        stand_t items[ITEMS];
        for (int j = 0; j < ITEMS; j++) items[j] = (stand_t){line, i};
        SUBMIT(&results[i], pool, NULL, .task = stand, COHORT_INPUTS(items, ITEMS), .chunk = ITEMS,
               .priority = given[i]);
        if (i == 0) party_await(&line->begun, 1);
    }
    atomic_store(&line->open, 1);
    drop(results, JOBS);
    int first_low = 0, last_high = 0;
    for (int i = 0; i < JOBS * ITEMS; i++) {
        int priority = given[line->order[i]];
        if (i && priority > 0) last_high = i;
        if (priority < 0 && !first_low) first_low = i;
        if (i < 7) CHECK_INT(expected[i], line->order[i]);
    }
    CHECK_INT(6, last_high);
    CHECK_INT(JOBS * ITEMS - ITEMS, first_low);
    finish_pool(pool);
}

/* A job with all chunks taken gives way as well; and the other way round it does not. */
static apr_status_t rest(const void *input, void *output) {
    (void)input, (void)output;
    apr_sleep(1000);
    return APR_SUCCESS;
}

static void priority_in_a_chunk(void) {
    enum { N = 100000 }; /* more than are run */
    line_t *line = party_memory(sizeof *line);
    cohort_pool_t *pool = new_pool(1);
    cohort_result_t *low, *lowest;
    stand_t item = {line, 1};
    atomic_store(&line->open, 1);
    SUBMIT(&low, pool, NULL, .task = rest, .n = N, .chunk = N, .priority = -1);
    SUBMIT(&lowest, pool, NULL, .task = stand, COHORT_INPUTS(&item, 1), .priority = -2);
    for (int i = 0; i < 5; i++) check_works(pool);
    CHECK_INT(0, atomic_load(&line->begun));
    CHECK_STATUS(APR_SUCCESS, cohort_result_cancel(low, COHORT_CANCEL_SOFT));
    CHECK_STATUS(COHORT_ECANCELLED, cohort_result_get(low, NULL, 0, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(low));
    drop(&lowest, 1);
    finish_pool(pool);
}

/* ---- once on every worker ------------------------------------------------------------------- */

static int marked; /* of each worker */

static apr_status_t mark(const void *input, void *output) {
    *(apr_int64_t *)output = cohort_process_pid(cohort_process_current());
    marked += *(const int *)input;
    return APR_SUCCESS;
}

static apr_status_t see_mark(const void *input, void *output) {
    *(int *)output = *(const int *)input;
    return marked == 7 ? APR_SUCCESS : APR_EGENERAL;
}

static void on_each(void) {
    enum { WORKERS = 3 };
    cohort_pool_t *pool = new_pool(WORKERS);
    apr_int64_t pids[WORKERS + 1] = {0};
    apr_size_t n = WORKERS + 1;
    int seven = 7, in[50], out[50];
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_run_on_each(pool, mark, &seven, sizeof seven, pids, sizeof *pids, &n));
    CHECK_INT(WORKERS, n);
    for (int i = 0; i < WORKERS; i++) {
        CHECK(pids[i] > 0);
        for (int j = 0; j < i; j++) CHECK(pids[i] != pids[j]);
    }
    fill(in, 50);
    CHECK_STATUS(APR_SUCCESS, COHORT_MAP(pool, see_mark, in, 50, out));
    n = WORKERS - 1;
    CHECK_STATUS(COHORT_ETOOSMALL,
                 cohort_pool_run_on_each(pool, mark, &seven, sizeof seven, pids, sizeof *pids, &n));
    finish_pool(pool);
    n = WORKERS;
    CHECK_STATUS(COHORT_EHANDLE,
                 cohort_pool_run_on_each(pool, mark, &seven, sizeof seven, pids, sizeof *pids, &n));
}

/* Workers that are at long jobs come to it, others that are replaced or started do as well. */
static void on_each_at_work(void) {
    enum { N = 1000 };
    cohort_pool_options_t options = {.workers = 2, .tasks_per_worker = 30};
    cohort_pool_t *pool;
    cohort_result_t *result;
    apr_int64_t pids[3];
    int one = 1;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&pool, &options, test_pool()));
    SUBMIT(&result, pool, NULL, .task = rest, .n = N, .chunk = N / 2);
    for (int i = 0; i < 5; i++) {
        apr_size_t n = 3;
        CHECK_STATUS(APR_SUCCESS, cohort_pool_resize(pool, (apr_size_t)(2 + i % 2)));
        CHECK_STATUS(APR_SUCCESS,
                     cohort_pool_run_on_each(pool, mark, &one, sizeof one, pids, sizeof *pids, &n));
        CHECK_INT(2 + i % 2, n);
    }
    CHECK_INT(0, cohort_result_is_ready(result));
    drop(&result, 1);
    finish_pool(pool);
}

static apr_status_t die_once(const void *input, void *output) {
    gate_t *gate = *(gate_t *const *)input;
    *(apr_size_t *)output = cohort_task_index() + 1;
    if (cohort_task_index() == 1 && !atomic_fetch_add(&gate->runs, 1))
        CHECK_STATUS(APR_SUCCESS, cohort_process_kill(cohort_process_current()));
    return APR_SUCCESS;
}

static void on_each_and_deaths(void) {
    gate_t *gate = new_gate();
    cohort_pool_options_t options = {.workers = 3, .attempts = 2};
    cohort_pool_t *pool;
    apr_size_t out[3] = {0}, n = 3;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&pool, &options, test_pool()));
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_run_on_each(pool, die_once, &gate, sizeof gate, out, sizeof *out, &n));
    for (apr_size_t i = 0; i < 3; i++) CHECK_INT(i + 1, out[i]);
    CHECK_INT(2, atomic_load(&gate->runs));
    finish_pool(pool);
    pool = new_pool(2);
    atomic_store(&gate->runs, 0);
    CHECK_STATUS(COHORT_EWORKERDIED,
                 cohort_pool_run_on_each(pool, die_once, &gate, sizeof gate, out, sizeof *out, &n));
    CHECK_INT(2, n);
    finish_pool(pool);
}

/* All workers of a pool that starts them on demand are started, and when there are to be fewer it
 * is over for the others. */
typedef struct {
    cohort_pool_t *pool;
    gate_t *gate;
} each_t;

static int run_gate_on_each(void *args) {
    each_t *e = args;
    apr_status_t status =
        cohort_pool_run_on_each(e->pool, pass_gate, &e->gate, sizeof e->gate, NULL, 0, NULL);
    return status == COHORT_ECANCELLED ? 0 : 1;
}

static apr_status_t hold_up(void *args) {
    while (!atomic_load(&(*(gate_t **)args)->runs)) apr_sleep(1000);
    return APR_SUCCESS;
}

static void on_each_on_demand(void) {
    gate_t *gate = new_gate();
    cohort_pool_options_t options = {.workers = 3, .on_demand = 1, .idle_timeout = 5000};
    cohort_pool_t *pool;
    apr_size_t n = 0;
    int one = 1;
    apr_int64_t pids[3];
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&pool, &options, test_pool()));
    for (int i = 0; i < 5; i++) {
        n = 3;
        CHECK_STATUS(APR_SUCCESS,
                     cohort_pool_run_on_each(pool, mark, &one, sizeof one, pids, sizeof *pids, &n));
        CHECK_INT(3, n);
        apr_sleep(2000 * i);
    }
    finish_pool(pool);
    options = (cohort_pool_options_t){
        .workers = 2, .initializer = hold_up, .init_args = &gate, .init_size = sizeof gate};
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&pool, &options, test_pool()));
    each_t e = {pool, gate};
    cohort_process_t *process = party_start(run_gate_on_each, &e, sizeof e);
    apr_sleep(A_WHILE);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_resize(pool, 1));
    atomic_store(&gate->open, 1);
    atomic_store(&gate->runs, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(process, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(process));
    finish_pool(pool);
}

const test_case_t pool_room_cases[] = {
    {"PoolRoom", "bounded_jobs", bounded_jobs},
    {"PoolRoom", "bounded_bytes", bounded_bytes},
    {"PoolRoom", "room_and_deaths", room_and_deaths},
    {"PoolRoom", "many_submitters", many_submitters},
    {"PoolRoom", "priorities", priorities},
    {"PoolRoom", "priority_in_a_chunk", priority_in_a_chunk},
    {"PoolRoom", "on_each", on_each},
    {"PoolRoom", "on_each_at_work", on_each_at_work},
    {"PoolRoom", "on_each_and_deaths", on_each_and_deaths},
    {"PoolRoom", "on_each_on_demand", on_each_on_demand},
    {0},
};
