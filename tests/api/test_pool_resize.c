/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Pools: more workers, fewer workers, and workers on demand. */
#include "pools.h"

static void await_workers(cohort_pool_t *pool, int n) {
    while (count_workers(pool) != n) apr_sleep(1000);
}

static void resize(cohort_pool_t *pool, int n) {
    CHECK_STATUS(APR_SUCCESS, cohort_pool_resize(pool, (apr_size_t)n));
}

static void up_and_down(void) {
    static const int sizes[] = {3, 1, 2, 5, 5, 2};
    cohort_pool_t *pool = new_pool(1);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        resize(pool, sizes[i]);
        CHECK_STATUS(APR_SUCCESS, cohort_pool_wait_ready(pool, COHORT_FOREVER));
        await_workers(pool, sizes[i]);
        check_works(pool);
    }
    resize(pool, 0);
    await_workers(pool, (int)cohort_cpu_count());
    finish_pool(pool);
}

/* Behind the first part of the places there are others. A pool that is destroyed leaves none. */
static void many_places(void) {
    cohort_pool_t *pool = new_pool(1);
    check_works(pool);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_close(pool));
    CHECK_STATUS(COHORT_ENOTRUNNING, cohort_pool_resize(pool, 2));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
    CHECK_STATUS(COHORT_EHANDLE, cohort_pool_resize(pool, 2));
    cohort_pool_options_t none = {.workers = 1, .on_demand = 1};
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&pool, &none, NULL));
    apr_uint64_t before = blocks_in_use();
    resize(pool, 8192);
    resize(pool, 1);
    CHECK_INT(before + 8, blocks_in_use());
    CHECK_STATUS(COHORT_ELIMIT, cohort_pool_resize(pool, 8193));
    check_works(pool);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
    CHECK(blocks_in_use() < before);
}

/* While items fail, and more workers have places than the job has chains of failures. */
static void while_a_job_is_done(void) {
    enum { N = 400 };
    cohort_pool_t *pool = new_pool(1);
    static int in[N], out[N];
    cohort_result_t *result;
    cohort_task_error_t **errors;
    apr_size_t n;
    fill(in, N);
    SUBMIT(&result, pool, NULL, .task = odd_fails, COHORT_INPUTS(in, N), .output_size = sizeof *in,
           .chunk = 10);
    for (int i = 0; !cohort_result_is_ready(result); i++) resize(pool, 1 + i % 3);
    CHECK_STATUS(APR_ENOTIMPL, cohort_result_get(result, out, sizeof out, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_result_errors(result, &errors, &n, test_pool()));
    CHECK_INT(N / 2, n);
    for (apr_size_t i = 0; i < n; i++) CHECK_INT(2 * i + 1, errors[i]->index);
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
    finish_pool(pool);
}

/* A worker leaves a long chunk, and another one has the rest of it. */
static apr_status_t count_run(const void *input, void *output) {
    gate_t *gate = *(gate_t *const *)input;
    (void)output;
    atomic_fetch_add(&gate->runs, 1);
    apr_sleep(1000);
    return APR_SUCCESS;
}

static void fewer_in_a_chunk(void) {
    enum { N = 300 };
    gate_t *gate = new_gate(), *in[N];
    cohort_result_t *result;
    for (int i = 0; i < N; i++) in[i] = gate;
    cohort_pool_t *pool = new_pool(3);
    SUBMIT(&result, pool, NULL, .task = count_run, COHORT_INPUTS(in, N), .chunk = N / 3);
    party_await(&gate->runs, 10);
    resize(pool, 1);
    await_workers(pool, 1);
    CHECK_INT(0, cohort_result_is_ready(result));
    CHECK_STATUS(APR_SUCCESS, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
    CHECK_INT(N, atomic_load(&gate->runs));
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
    finish_pool(pool);
}

static int resize_other(void *args) {
    return cohort_pool_resize(*(cohort_pool_t **)args, 2) == COHORT_ENOTOWNER ? 0 : 1;
}

static void another_process(void) {
    cohort_pool_t *pool = new_pool(1);
    party_finish(party_start(resize_other, &pool, sizeof pool));
    check_works(pool);
    finish_pool(pool);
}

/* ---- on demand ------------------------------------------------------------------------------ */

static cohort_pool_t *on_demand(int workers, int least, apr_interval_time_t idle) {
    cohort_pool_options_t options = {.workers = (apr_size_t)workers,
                                     .on_demand = 1,
                                     .min_workers = (apr_size_t)least,
                                     .idle_timeout = idle};
    cohort_pool_t *pool = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&pool, &options, test_pool()));
    return pool;
}

static void started_on_demand(void) {
    cohort_pool_t *pool = on_demand(4, 0, COHORT_FOREVER);
    gate_t *gate = new_gate();
    cohort_result_t *results[6];
    CHECK_STATUS(APR_SUCCESS, cohort_pool_wait_ready(pool, 0));
    CHECK_INT(0, count_workers(pool));
    for (int i = 0; i < 6; i++) {
        SUBMIT(&results[i], pool, NULL, .task = pass_gate, COHORT_INPUTS(&gate, 1));
        party_await(&gate->begun, i < 4 ? i + 1 : 4);
        CHECK_INT(i < 4 ? i + 1 : 4, count_workers(pool));
    }
    atomic_store(&gate->open, 1);
    for (int i = 0; i < 6; i++) {
        CHECK_STATUS(APR_SUCCESS, cohort_result_get(results[i], NULL, 0, COHORT_FOREVER));
        CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(results[i]));
    }
    check_works(pool);
    CHECK_INT(4, count_workers(pool));
    finish_pool(pool);
}

/* Those that have nothing to do end, but for the least number; later work starts others. */
static void ended_when_idle(void) {
    cohort_pool_t *pool = on_demand(3, 1, 20000);
    for (int i = 0; i < 3; i++) {
        check_works(pool);
        await_workers(pool, 1);
    }
    finish_pool(pool);
    pool = on_demand(3, 0, 10000);
    for (int i = 0; i < 3; i++) {
        check_works(pool);
        await_workers(pool, 0);
    }
    for (int i = 0; i < 30; i++) { /* about when they end */
        check_works(pool);
        apr_sleep(9000 + 200 * i);
    }
    finish_pool(pool);
}

static int use_pool(void *args) {
    check_works(*(cohort_pool_t **)args);
    return 0;
}

/* The maker starts the workers that another process needs. */
static void demanded_by_another(void) {
    cohort_pool_t *pool = on_demand(2, 0, 1000);
    for (int i = 0; i < 3; i++) party_finish(party_start(use_pool, &pool, sizeof pool));
    resize(pool, 1);
    party_finish(party_start(use_pool, &pool, sizeof pool));
    finish_pool(pool);
}

static void closed_at_once(void) {
    int x = 7, out = 0;
    for (int i = 0; i < 10; i++) {
        cohort_pool_t *pool = on_demand(2, 0, COHORT_FOREVER);
        cohort_result_t *result;
        SUBMIT(&result, pool, NULL, .task = square, COHORT_INPUTS(&x, 1),
               .output_size = sizeof out);
        CHECK_STATUS(APR_SUCCESS, cohort_pool_close(pool));
        CHECK_STATUS(APR_SUCCESS, cohort_pool_join(pool, COHORT_FOREVER));
        CHECK_STATUS(APR_SUCCESS, cohort_result_get(result, &out, sizeof out, 0));
        CHECK_INT(49, out);
        CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
        CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
    }
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(on_demand(2, 0, 0)));
}

const test_case_t pool_resize_cases[] = {
    {"PoolResize", "up_and_down", up_and_down},
    {"PoolResize", "many_places", many_places},
    {"PoolResize", "while_a_job_is_done", while_a_job_is_done},
    {"PoolResize", "fewer_in_a_chunk", fewer_in_a_chunk},
    {"PoolResize", "another_process", another_process},
    {"PoolResize", "started_on_demand", started_on_demand},
    {"PoolResize", "ended_when_idle", ended_when_idle},
    {"PoolResize", "demanded_by_another", demanded_by_another},
    {"PoolResize", "closed_at_once", closed_at_once},
    {0},
};
