/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Pools: how they are made, closed, joined, terminated and forgotten, and what they leave. */
#include "pools.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- the life of a pool --------------------------------------------------------------------- */

static void make_pool(void) {
    cohort_pool_options_t negative = {.workers = (apr_size_t)-1}, absurd = {.workers = 1000000},
                          unnamed = {.name = ""},
                          three = {.workers = 3, .attempts = (apr_size_t)-1};
    cohort_pool_options_t args = {.init_size = 3}, signals = {.signals = (cohort_signals_t)9};
    cohort_pool_t *pool = NULL;
    cohort_process_t **workers;
    char name[64], expected[64];
    apr_size_t n;
    CHECK_STATUS(COHORT_ELIMIT, cohort_pool_create(&pool, &negative, NULL));
    CHECK_STATUS(COHORT_ELIMIT, cohort_pool_create(&pool, &absurd, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_pool_create(&pool, &unnamed, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_pool_create(&pool, &args, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_pool_create(&pool, &signals, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_pool_create(NULL, NULL, NULL));
    CHECK(pool == NULL);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&pool, &three, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_workers(pool, &workers, &n, test_pool()));
    CHECK_INT(3, n);
    for (int i = 0; i < 3; i++) {
        snprintf(expected, sizeof expected, "Pool-1-%d", i + 1);
        CHECK_STATUS(APR_SUCCESS, cohort_process_name(workers[i], name, sizeof name));
        CHECK_STR(expected, name);
        CHECK_INT(1, cohort_process_is_daemon(workers[i]));
        CHECK(cohort_process_pid(workers[i]) > 0);
    }
    finish_pool(pool);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&pool, NULL, NULL));
    CHECK_INT(cohort_cpu_count(), count_workers(pool));
    finish_pool(pool);
}

static void terminate_10000(void) {
    enum { N = 10000 };
    cohort_pool_t *pool = new_pool(2);
    gate_t *gate = new_gate();
    cohort_result_t **results = malloc(N * sizeof *results);
    for (int i = 0; i < N; i++) {
        SUBMIT(&results[i], pool, NULL, .task = pass_gate, COHORT_INPUTS(&gate, 1));
    }
    party_await(&gate->begun, 2);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_terminate(pool));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_terminate(pool));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_join(pool, COHORT_FOREVER));
    CHECK_INT(0, count_workers(pool));
    for (int i = 0; i < N; i++) {
        CHECK_STATUS(COHORT_ETERMINATED, cohort_result_get(results[i], NULL, 0, 0));
        CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(results[i]));
    }
    CHECK_INT(2, atomic_load(&gate->begun));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
    free(results);
}

static apr_status_t stubborn(const void *input, void *output) {
    signal(SIGTERM, SIG_IGN);
    return pass_gate(input, output);
}

static void terminate_stubborn(void) {
    cohort_pool_t *pool = new_pool(2);
    gate_t *gate = new_gate();
    cohort_result_t *result;
    SUBMIT(&result, pool, test_pool(), .task = stubborn, COHORT_INPUTS(&gate, 1));
    party_await(&gate->begun, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_terminate(pool));
    CHECK_STATUS(APR_EAGAIN, cohort_pool_join(pool, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_join(pool, COHORT_FOREVER));
    CHECK_INT(0, atomic_load(&gate->done));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
}

static void scope(void) {
    apr_pool_t *inner;
    cohort_pool_t *pool;
    cohort_pool_options_t options = {.workers = 2};
    cohort_result_t *result;
    int x = 2, y;
    CHECK_STATUS(APR_SUCCESS, apr_pool_create(&inner, test_pool()));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&pool, &options, inner));
    check_works(pool);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_terminate(pool));
    CHECK_STATUS(COHORT_ENOTRUNNING,
                 cohort_pool_submit(
                     &result, pool,
                     &(cohort_job_t){.task = square, COHORT_INPUTS(&x, 1), COHORT_OUTPUTS(&y)},
                     NULL));
    CHECK_STATUS(COHORT_ENOTRUNNING, cohort_pool_apply(pool, square, &x, sizeof x, &y, sizeof y));
    apr_pool_destroy(inner);
    CHECK_STATUS(COHORT_EHANDLE, cohort_pool_apply(pool, square, &x, sizeof x, &y, sizeof y));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(NULL));
}

static void close_finishes(void) {
    cohort_pool_t *pool = new_pool(2);
    cohort_result_t *results[200];
    int out[200], x = 1;
    for (int i = 0; i < 200; i++) {
        SUBMIT(&results[i], pool, test_pool(), .task = square, COHORT_INPUTS(&i, 1),
               COHORT_OUTPUTS(&out[i]));
    }
    CHECK_STATUS(APR_SUCCESS, cohort_pool_close(pool));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_close(pool));
    CHECK_STATUS(COHORT_ENOTRUNNING, cohort_pool_apply(pool, square, &x, sizeof x, &x, sizeof x));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_join(pool, COHORT_FOREVER));
    for (int i = 0; i < 200; i++)
        CHECK_STATUS(APR_SUCCESS, cohort_result_get(results[i], NULL, 0, 0));
    check_squares(out, 200);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
}

static void join_times_out(void) {
    cohort_pool_t *pool = new_pool(1);
    gate_t *gate = new_gate();
    cohort_result_t *result;
    SUBMIT(&result, pool, test_pool(), .task = pass_gate, COHORT_INPUTS(&gate, 1));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_close(pool));
    CHECK_STATUS(APR_EAGAIN, cohort_pool_join(pool, 0));
    apr_time_t begin = apr_time_now();
    CHECK_STATUS(APR_TIMEUP, cohort_pool_join(pool, A_WHILE));
    AT_LEAST(A_WHILE, begin);
    atomic_store(&gate->open, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_join(pool, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_result_get(result, NULL, 0, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
}

static void use_once(void) {
    cohort_pool_t *pool = new_pool(3);
    cohort_result_t *results[20];
    int in[2000], out[2000];
    for (int i = 0; i < 2000; i++) in[i] = i % 100;
    RUN(pool, .task = square, COHORT_INPUTS(in, 2000), COHORT_OUTPUTS(out), .chunk = 1);
    (void)!cohort_pool_run(
        pool, &(cohort_job_t){
                  .task = odd_fails, COHORT_INPUTS(in, 2000), COHORT_OUTPUTS(out), .chunk = 1});
    for (int i = 0; i < 20; i++) {
        SUBMIT(&results[i], pool, NULL, .task = odd_fails, COHORT_INPUTS(in, 100),
               .output_size = sizeof *out);
        if (i % 3 == 0) CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(results[i]));
    }
    if (in[0] == 0) CHECK_STATUS(APR_SUCCESS, cohort_pool_terminate(pool));
    for (int i = 0; i < 20; i += 2) CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(results[i]));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
    for (int i = 1; i < 20; i += 2) CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(results[i]));
}

static void memory_returned(void) {
    use_once();
    apr_uint64_t before = blocks_in_use();
    for (int i = 0; i < 5; i++) use_once();
    CHECK_INT(before, blocks_in_use());
}

static int leave_pool_running(void *args) {
    cohort_pool_t *pool = new_pool(3);
    cohort_result_t *result;
    (void)args;
    check_works(pool);
    gate_t *gate = new_gate();
    return cohort_pool_submit(&result, pool,
                              &(cohort_job_t){.task = pass_gate, COHORT_INPUTS(&gate, 1)},
                              NULL) != APR_SUCCESS;
}

static void exit_with_live_pool(void) {
    cohort_process_t *child;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_create(&child, leave_pool_running, NULL, 0, NULL, test_pool()));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(child));
    party_end(child, 0);
}

/* ---- in other processes --------------------------------------------------------------------- */

static int use_pool_in_child(void *args) {
    (void)args;
    fclose(stdin);
    cohort_pool_t *pool = new_pool(4);
    check_works(pool);
    finish_pool(pool);
    return 0;
}

static void pool_in_child(void) {
    cohort_process_t *child;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_create(&child, use_pool_in_child, NULL, 0, NULL, test_pool()));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(child));
    party_end(child, 0);
}

static apr_status_t use_pool_in_worker(const void *input, void *output) {
    (void)input, (void)output;
    return use_pool_in_child(NULL) ? APR_EGENERAL : APR_SUCCESS;
}

/* Workers are daemons, and have pools of their own all the same. */
static void pool_in_worker(void) {
    cohort_pool_t *pool = new_pool(2);
    for (int i = 0; i < 2; i++)
        CHECK_STATUS(APR_SUCCESS, cohort_pool_apply(pool, use_pool_in_worker, NULL, 0, NULL, 0));
    finish_pool(pool);
}

static apr_status_t join_own_pool(const void *input, void *output) {
    cohort_pool_t *pool = *(cohort_pool_t *const *)input;
    (void)output;
    if (cohort_pool_close(pool)) return APR_EGENERAL;
    return cohort_pool_join(pool, COHORT_FOREVER);
}

static void worker_joins_itself(void) {
    cohort_pool_t *pool = new_pool(1);
    CHECK_STATUS(COHORT_ENOWAIT,
                 cohort_pool_apply(pool, join_own_pool, &pool, sizeof pool, NULL, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_join(pool, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
}

const test_case_t pool_life_cases[] = {
    {"Pool", "POOL_14_make_pool", make_pool},
    {"Pool", "POOL_15_terminate", terminate_10000},
    {"Pool", "POOL_17_POOL_22_scope", scope},
    {"Pool", "POOL_21_memory_returned", memory_returned},
    {"Pool", "POOL_28_exit_with_live_pool", exit_with_live_pool},
    {"Pool", "POOL_32_pool_in_child", pool_in_child},
    {"Pool", "pool_in_worker", pool_in_worker},
    {"Pool", "terminate_stubborn", terminate_stubborn},
    {"Pool", "close_finishes", close_finishes},
    {"Pool", "join_times_out", join_times_out},
    {"Pool", "worker_joins_itself", worker_joins_itself},
    {0},
};
