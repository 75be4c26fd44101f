/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Pools: results, when they are there, what they say of tasks that failed, and when they call
 * back. */
#include "pools.h"

#include <stdio.h>

static void map_async(void) {
    cohort_pool_t *pool = new_pool(4);
    cohort_result_t *result;
    int in[100], out[100], again[100], ok = 0;
    void *kept;
    fill(in, 100);
    SUBMIT(&result, pool, NULL, .task = square, COHORT_INPUTS(in, 100), COHORT_OUTPUTS(out));
    memset(in, 0xff, sizeof in); /* they were copied */
    CHECK_STATUS(APR_SUCCESS, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
    check_squares(out, 100);
    CHECK_INT(1, cohort_result_is_ready(result));
    ok = cohort_result_is_successful(result);
    CHECK_INT(1, ok);
    CHECK_STATUS(COHORT_ETOOSMALL, cohort_result_get(result, again, sizeof again - 1, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_result_get(result, again, sizeof again, 0));
    check_squares(again, 100);
    kept = cohort_result_outputs(result);
    CHECK(cohort_is_shared(kept, sizeof out));
    check_squares(kept, 100);
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
    CHECK_STATUS(COHORT_EHANDLE, cohort_result_wait(result, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(NULL));
    finish_pool(pool);
}

static void apply_async(void) {
    cohort_pool_t *pool = new_pool(2);
    gate_t *gate = new_gate();
    cohort_result_t *result;
    SUBMIT(&result, pool, test_pool(), .task = pass_gate, COHORT_INPUTS(&gate, 1));
    CHECK_INT(0, cohort_result_is_ready(result));
    CHECK_INT(0, cohort_result_is_successful(result));
    CHECK_STATUS(APR_EAGAIN, cohort_result_get(result, NULL, 0, 0));
    CHECK_STATUS(APR_EAGAIN, cohort_result_wait(result, -1));
    atomic_store(&gate->open, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
    CHECK_INT(1, atomic_load(&gate->done));
    finish_pool(pool);
}

static void async_timeout(void) {
    cohort_pool_t *pool = new_pool(2);
    gate_t *gate = new_gate();
    cohort_result_t *result;
    cohort_task_error_t error;
    SUBMIT(&result, pool, test_pool(), .task = pass_gate, COHORT_INPUTS(&gate, 1));
    apr_time_t begin = apr_time_now();
    CHECK_STATUS(APR_TIMEUP, cohort_result_get(result, NULL, 0, A_WHILE));
    AT_LEAST(A_WHILE, begin);
    party_await(&gate->begun, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_terminate(pool));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_join(pool, COHORT_FOREVER));
    CHECK_STATUS(COHORT_ETERMINATED, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_result_error(result, &error));
    CHECK_STATUS(COHORT_ETERMINATED, error.status);
    CHECK_INT(0, atomic_load(&gate->done));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
    CHECK_STATUS(COHORT_ETERMINATED, cohort_result_wait(result, 0)
                                         ? APR_EGENERAL
                                         : cohort_result_get(result, NULL, 0, 0));
}

/* Done results outlive their pool, and the pool's memory goes with the last. */
static void results_outlive_pool(void) {
    cohort_pool_t *pool = new_pool(2);
    cohort_result_t *results[10];
    for (int i = 0; i < 10; i++) {
        SUBMIT(&results[i], pool, NULL, .task = square, COHORT_INPUTS(&i, 1),
               .output_size = sizeof(int));
    }
    finish_pool(pool);
    CHECK_STATUS(COHORT_EHANDLE, cohort_pool_close(pool));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
    for (int i = 0; i < 10; i++) {
        int out = -1;
        CHECK_STATUS(APR_SUCCESS, cohort_result_get(results[i], &out, sizeof out, 0));
        CHECK_INT(i * i, out);
        CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(results[i]));
    }
}

/* Results that are done and kept, alone or in front of others, are in the way of nothing: not of
 * what comes after them, nor of the worker's end and the next one's beginning, nor of close and
 * join. */
static void kept_results_hide_nothing(void) {
    enum { N = 40 };
    cohort_pool_t *pool = new_pool(1);
    cohort_result_t *results[N];
    int out[N];
    for (int i = 0; i < N; i++) {
        SUBMIT(&results[i], pool, NULL, .task = square, COHORT_INPUTS(&i, 1),
               .output_size = sizeof i);
        if (i % 4 < 2) CHECK_STATUS(APR_SUCCESS, cohort_result_wait(results[i], COHORT_FOREVER));
        if (i % 8 == 5) kill_worker(pool);
        if (i % 7 == 3) check_works(pool);
    }
    CHECK_STATUS(APR_SUCCESS, cohort_pool_close(pool));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_join(pool, COHORT_FOREVER));
    for (int i = 0; i < N; i++) {
        CHECK_STATUS(APR_SUCCESS, cohort_result_get(results[i], &out[i], sizeof *out, 0));
        CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(results[i]));
    }
    check_squares(out, N);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
}

/* What was destroyed before its turn is not run, and of a chunk that is under way no further
 * item. */
static void destroyed_early(void) {
    cohort_pool_t *pool = new_pool(1);
    gate_t *gate = new_gate(), *gates[5] = {gate, gate, gate, gate, gate};
    cohort_result_t *running, *queued[20];
    SUBMIT(&running, pool, NULL, .task = pass_gate, COHORT_INPUTS(gates, 5), .chunk = 5);
    party_await(&gate->begun, 1);
    for (int i = 0; i < 20; i++) {
        SUBMIT(&queued[i], pool, NULL, .task = pass_gate, COHORT_INPUTS(&gate, 1));
    }
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(running));
    for (int i = 0; i < 20; i++) CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(queued[i]));
    atomic_store(&gate->open, 1);
    check_works(pool);
    CHECK_INT(1, atomic_load(&gate->begun));
    CHECK_INT(1, atomic_load(&gate->done));
    finish_pool(pool);
}

/* ---- errors --------------------------------------------------------------------------------- */

static void errors(void) {
    cohort_pool_t *pool = new_pool(3);
    cohort_result_t *result;
    cohort_task_error_t error, **list;
    int in[20], out[20], ok = 1;
    apr_size_t n;
    char text[64], name[64];
    fill(in, 20);
    SUBMIT(&result, pool, test_pool(), .task = odd_fails, COHORT_INPUTS(in, 20),
           COHORT_OUTPUTS(out), .chunk = 2);
    CHECK_STATUS(APR_ENOTIMPL, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
    for (int i = 0; i < 20; i++) CHECK_INT(i, out[i]);
    ok = cohort_result_is_successful(result);
    CHECK_INT(0, ok);
    CHECK_STATUS(APR_SUCCESS, cohort_result_error(result, &error));
    CHECK_STATUS(APR_ENOTIMPL, error.status);
    CHECK_INT(1, error.index);
    CHECK_STR(cohort_strerror(APR_ENOTIMPL, text, sizeof text), error.message);
    CHECK_STATUS(APR_SUCCESS, cohort_result_errors(result, &list, &n, test_pool()));
    CHECK_INT(10, n);
    for (int i = 1; i < 10; i++) {
        snprintf(text, sizeof text, "%d is odd", 2 * i + 1);
        CHECK_INT(2 * i + 1, list[i]->index);
        CHECK_STATUS(APR_EINVAL, list[i]->status);
        CHECK_STR(text, list[i]->message);
        CHECK_INT(strlen(text), list[i]->message_size);
        CHECK_INT(1, list[i]->attempt);
        CHECK_INT(COHORT_EXIT_NONE, list[i]->exit_code);
        snprintf(name, 3, "%s", list[i]->worker);
        CHECK_STR("P-", name);
        CHECK(list[i]->pid > 0);
    }
    finish_pool(pool);
}

static void error_statuses(void) {
    cohort_pool_t *pool = new_pool(2);
    cohort_result_t *result;
    cohort_task_error_t error;
    int x = 7, y = 0, even = 2;
    CHECK_STATUS(APR_EINVAL, cohort_pool_apply(pool, odd_fails, &x, sizeof x, &y, sizeof y));
    CHECK_INT(7, y);
    SUBMIT(&result, pool, test_pool(), .task = odd_fails, COHORT_INPUTS(&even, 1),
           COHORT_OUTPUTS(&y));
    CHECK_STATUS(APR_SUCCESS, cohort_result_wait(result, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_result_error(result, &error));
    CHECK_STATUS(APR_SUCCESS, error.status);
    CHECK_STATUS(APR_EGENERAL,
                 cohort_task_fail(APR_SUCCESS, "outside of a task it is only a status"));
    finish_pool(pool);
}

#define LONG_MESSAGE (1 << 20)

static apr_status_t fail_at_length(const void *input, void *output) {
    static char message[LONG_MESSAGE + 1];
    int x = *(const int *)input;
    *(int *)output = x;
    if (x != 3 && x != 5) return APR_SUCCESS;
    memset(message, 'a' + x, LONG_MESSAGE);
    return cohort_task_fail(APR_EGENERAL + x, "%s", message);
}

static void no_failfast(void) {
    cohort_pool_t *pool = new_pool(4);
    cohort_result_t *result;
    cohort_task_error_t **list;
    apr_size_t n;
    int in[10], out[10];
    fill(in, 10);
    SUBMIT(&result, pool, NULL, .task = fail_at_length, COHORT_INPUTS(in, 10), COHORT_OUTPUTS(out),
           .chunk = 1);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_close(pool));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_join(pool, COHORT_FOREVER));
    CHECK_STATUS(APR_EGENERAL + 3, cohort_result_get(result, NULL, 0, 0));
    for (int i = 0; i < 10; i++) CHECK_INT(i, out[i]);
    CHECK_STATUS(APR_SUCCESS, cohort_result_errors(result, &list, &n, test_pool()));
    CHECK_INT(2, n);
    CHECK_INT(LONG_MESSAGE, list[1]->message_size);
    CHECK_INT('a' + 5, list[1]->message[LONG_MESSAGE - 1]);
    CHECK_INT(LONG_MESSAGE, strlen(list[0]->message));
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
}

static apr_status_t always_fails(const void *input, void *output) {
    (void)input;
    (void)output;
    return APR_ENOTIMPL;
}

static void failing_keeps_workers(void) {
    cohort_pool_t *pool = new_pool(2);
    cohort_process_t **before, **after;
    apr_size_t m = 0;
    apr_size_t n = 0;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_workers(pool, &before, &n, test_pool()));
    for (int i = 0; i < 20; i++)
        CHECK_STATUS(APR_ENOTIMPL, cohort_pool_apply(pool, always_fails, NULL, 0, NULL, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_workers(pool, &after, &m, test_pool()));
    CHECK_INT(2, n);
    CHECK_INT(2, m);
    for (int i = 0; i < 2; i++) CHECK(before[i] == after[i]);
    finish_pool(pool);
}

/* ---- callbacks ------------------------------------------------------------------------------ */

typedef struct {
    _Atomic int successes, failures;
    apr_status_t status;
    int outputs[10];
    cohort_task_error_t error;
} heard_t;

static void on_success(cohort_result_t *result, void *arg) {
    heard_t *heard = arg;
    heard->status = cohort_result_get(result, heard->outputs, sizeof heard->outputs, 0);
    atomic_fetch_add(&heard->successes, 1);
}

static void on_error(cohort_result_t *result, void *arg) {
    heard_t *heard = arg;
    heard->status = cohort_result_error(result, &heard->error);
    atomic_fetch_add(&heard->failures, 1);
}

static void callbacks(void) {
    cohort_pool_t *pool = new_pool(4);
    heard_t heard = {0};
    cohort_result_t *result;
    int in[10];
    fill(in, 10);
    SUBMIT(&result, pool, test_pool(), .task = square, COHORT_INPUTS(in, 10),
           .output_size = sizeof(int), .on_success = on_success, .on_error = on_error,
           .callback_arg = &heard);
    CHECK_STATUS(APR_SUCCESS, cohort_result_wait(result, COHORT_FOREVER));
    CHECK_INT(1, atomic_load(&heard.successes));
    CHECK_STATUS(APR_SUCCESS, heard.status);
    check_squares(heard.outputs, 10);
    SUBMIT(&result, pool, test_pool(), .task = odd_fails, COHORT_INPUTS(in, 10),
           .output_size = sizeof(int), .on_success = on_success, .on_error = on_error,
           .callback_arg = &heard);
    CHECK_STATUS(APR_SUCCESS, cohort_result_wait(result, COHORT_FOREVER));
    CHECK_INT(1, atomic_load(&heard.failures));
    CHECK_STATUS(APR_ENOTIMPL, heard.error.status);
    CHECK_INT(1, heard.error.index);
    finish_pool(pool);
    CHECK_INT(1, atomic_load(&heard.successes));
    CHECK_INT(1, atomic_load(&heard.failures));
}

static void error_callback(void) {
    cohort_pool_t *pool = new_pool(2);
    heard_t heard = {0};
    cohort_result_t *result;
    int x = 9, y;
    SUBMIT(&result, pool, test_pool(), .task = odd_fails, COHORT_INPUTS(&x, 1), COHORT_OUTPUTS(&y),
           .on_error = on_error, .callback_arg = &heard);
    CHECK_STATUS(APR_EINVAL, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
    CHECK_INT(1, atomic_load(&heard.failures));
    CHECK_STATUS(APR_EINVAL, heard.error.status);
    CHECK_STR("9 is odd", heard.error.message);
    finish_pool(pool);
}

static void count_and_destroy(cohort_result_t *result, void *arg) {
    atomic_fetch_add((_Atomic int *)arg, 1);
    (void)cohort_result_destroy(result);
}

/* join() of a closed pool comes back after the last callback. */
static void join_waits_for_callbacks(void) {
    cohort_pool_t *pool = new_pool(3);
    _Atomic int count = 0;
    for (int i = 0; i < 500; i++) {
        cohort_result_t *result;
        SUBMIT(&result, pool, NULL, .task = square, COHORT_INPUTS(&i, 1), .output_size = sizeof i,
               .on_success = count_and_destroy, .callback_arg = &count);
    }
    CHECK_STATUS(APR_SUCCESS, cohort_pool_close(pool));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_join(pool, COHORT_FOREVER));
    CHECK_INT(500, atomic_load(&count));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
}

static void terminate_calls_back(void) {
    cohort_pool_t *pool = new_pool(1);
    gate_t *gate = new_gate();
    heard_t heard = {0};
    cohort_result_t *result;
    SUBMIT(&result, pool, test_pool(), .task = pass_gate, COHORT_INPUTS(&gate, 1),
           .on_success = on_success, .on_error = on_error, .callback_arg = &heard);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_terminate(pool));
    CHECK_STATUS(APR_SUCCESS, cohort_result_wait(result, COHORT_FOREVER));
    CHECK_INT(1, atomic_load(&heard.failures));
    CHECK_INT(0, atomic_load(&heard.successes));
    CHECK_STATUS(COHORT_ETERMINATED, heard.error.status);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
}

const test_case_t pool_result_cases[] = {
    {"Pool", "POOL_04_map_async", map_async},
    {"Pool", "POOL_05_callbacks", callbacks},
    {"Pool", "POOL_09_apply_async", apply_async},
    {"Pool", "POOL_10_async_timeout", async_timeout},
    {"Pool", "POOL_18_errors", errors},
    {"Pool", "POOL_19_error_statuses", error_statuses},
    {"Pool", "POOL_20_no_failfast", no_failfast},
    {"Pool", "POOL_23_error_callback", error_callback},
    {"Pool", "POOL_24_failing_keeps_workers", failing_keeps_workers},
    {"Pool", "results_outlive_pool", results_outlive_pool},
    {"Pool", "kept_results_hide_nothing", kept_results_hide_nothing},
    {"Pool", "destroyed_early", destroyed_early},
    {"Pool", "join_waits_for_callbacks", join_waits_for_callbacks},
    {"Pool", "terminate_calls_back", terminate_calls_back},
    {0},
};
