/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Pools: what each call says, as Python's tests ask it; and what is left of the work when workers,
 * submitters and makers are killed. */
#include "parties.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static cohort_pool_t *new_pool(int workers) {
    cohort_pool_options_t options = {.workers = workers, .name = "P"};
    cohort_pool_t *pool = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&pool, &options, test_pool()));
    return pool;
}

static void finish_pool(cohort_pool_t *pool) {
    CHECK_STATUS(APR_SUCCESS, cohort_pool_close(pool));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_join(pool, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
}

static int count_workers(cohort_pool_t *pool) {
    cohort_process_t **workers;
    int n;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_workers(pool, &workers, &n, test_pool()));
    return n;
}

/* ---- tasks ---------------------------------------------------------------------------------- */

static apr_status_t square(const void *input, void *output) {
    int x = *(const int *)input;
    *(int *)output = x * x;
    return APR_SUCCESS;
}

static void fill(int *list, int n) {
    for (int i = 0; i < n; i++) list[i] = i;
}

static void check_squares(const int *list, int n) {
    for (int i = 0; i < n; i++) CHECK_INT(i * i, list[i]);
}

static void check_works(cohort_pool_t *pool) {
    int in[40], out[40];
    fill(in, 40);
    memset(out, 0, sizeof out);
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_map(pool, square, in, sizeof *in, 40, out, sizeof *out, NULL));
    check_squares(out, 40);
}

/* A task that other processes watch and hold up. */
typedef struct {
    _Atomic int begun, done, open, runs;
} gate_t;

static apr_status_t pass_gate(const void *input, void *output) {
    gate_t *gate = *(gate_t *const *)input;
    (void)output;
    atomic_fetch_add(&gate->begun, 1);
    while (!atomic_load(&gate->open)) apr_sleep(1000);
    atomic_fetch_add(&gate->done, 1);
    return APR_SUCCESS;
}

static gate_t *new_gate(void) {
    return party_memory(sizeof(gate_t));
}

/* ---- apply and map -------------------------------------------------------------------------- */

static void apply(void) {
    cohort_pool_t *pool = new_pool(4);
    for (int i = 0; i < 50; i++) {
        int out = -1;
        CHECK_STATUS(APR_SUCCESS, cohort_pool_apply(pool, square, &i, sizeof i, &out, sizeof out));
        CHECK_INT(i * i, out);
    }
    finish_pool(pool);
}

static void map(void) {
    cohort_pool_t *pool = new_pool(4);
    cohort_map_options_t by20 = {.chunk = 20}, by7 = {.chunk = 7}, huge = {.chunk = 1000000};
    int in[1000], out[1000];
    fill(in, 1000);
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_map(pool, square, in, sizeof *in, 10, out, sizeof *out, NULL));
    check_squares(out, 10);
    memset(out, 0, sizeof out);
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_map(pool, square, in, sizeof *in, 100, out, sizeof *out, &by20));
    check_squares(out, 100);
    memset(out, 0, sizeof out);
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_map(pool, square, in, sizeof *in, 1000, out, sizeof *out, &by7));
    check_squares(out, 1000);
    memset(out, 0, sizeof out);
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_map(pool, square, in, sizeof *in, 1000, out, sizeof *out, &huge));
    check_squares(out, 1000);
    finish_pool(pool);
}

typedef struct {
    double a;
    char text[40];
    int b;
} pair_t;

static apr_status_t combine(const void *input, void *output) {
    const pair_t *pair = input;
    snprintf(output, 64, "%s:%d", pair->text, (int)pair->a * pair->b);
    return APR_SUCCESS;
}

static void structs(void) {
    cohort_pool_t *pool = new_pool(3);
    pair_t in[30];
    char out[30][64], expected[64];
    memset(in, 0, sizeof in);
    for (int i = 0; i < 30; i++) {
        in[i].a = i;
        in[i].b = i + 1;
        snprintf(in[i].text, sizeof in[i].text, "item %d", i);
    }
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_map(pool, combine, in, sizeof *in, 30, out, sizeof *out, NULL));
    for (int i = 0; i < 30; i++) {
        snprintf(expected, sizeof expected, "item %d:%d", i, i * (i + 1));
        CHECK_STR(expected, out[i]);
    }
    finish_pool(pool);
}

static void map_async(void) {
    cohort_pool_t *pool = new_pool(4);
    cohort_result_t *result;
    int in[100], out[100], again[100], ok = 0;
    void *kept;
    fill(in, 100);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_map_async(&result, pool, square, in, sizeof *in, 100, out,
                                                    sizeof *out, NULL, NULL));
    memset(in, 0xff, sizeof in); /* they were copied */
    CHECK_STATUS(APR_SUCCESS, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
    check_squares(out, 100);
    CHECK_INT(1, cohort_result_ready(result));
    CHECK_STATUS(APR_SUCCESS, cohort_result_successful(result, &ok));
    CHECK_INT(1, ok);
    CHECK_STATUS(COHORT_ETOOSMALL, cohort_result_get(result, again, sizeof again - 1, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_result_get(result, again, sizeof again, 0));
    check_squares(again, 100);
    CHECK_STATUS(APR_SUCCESS, cohort_result_outputs(result, &kept));
    CHECK(cohort_is_shared(kept, sizeof out));
    check_squares(kept, 100);
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
    CHECK_STATUS(COHORT_EHANDLE, cohort_result_wait(result, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(NULL));
    finish_pool(pool);
}

/* Inputs in the arena are not copied, outputs there are written in place. */
static apr_status_t show_places(const void *input, void *output) {
    ((const void **)output)[0] = input;
    ((const void **)output)[1] = output;
    return APR_SUCCESS;
}

static void in_place(void) {
    cohort_pool_t *pool = new_pool(2);
    int *in = party_memory(50 * sizeof *in);
    const void *(*out)[2] = party_memory(50 * sizeof *out);
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_map(pool, show_places, in, sizeof *in, 50, out, sizeof *out, NULL));
    for (int i = 0; i < 50; i++) {
        CHECK(out[i][0] == &in[i]);
        CHECK(out[i][1] == &out[i][0]);
    }
    finish_pool(pool);
}

static apr_status_t no_data(const void *input, void *output) {
    return input || output ? APR_EGENERAL : APR_SUCCESS;
}

static void without_data(void) {
    cohort_pool_t *pool = new_pool(2);
    int in[20];
    fill(in, 20);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_map(pool, no_data, NULL, 0, 100, NULL, 0, NULL));
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_map(pool, square, in, sizeof *in, 20, NULL, sizeof(int), NULL));
    finish_pool(pool);
}

static void many_items(void) {
    enum { N = 300000 };
    cohort_pool_t *pool = new_pool(3);
    cohort_map_options_t by1 = {.chunk = 1};
    int *in = malloc(N * sizeof *in), *out = calloc(N, sizeof *out);
    for (int i = 0; i < N; i++) in[i] = i % 1000;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_map(pool, square, in, sizeof *in, N, out, sizeof *out, &by1));
    for (int i = 0; i < N; i++) CHECK_INT((i % 1000) * (i % 1000), out[i]);
    free(in);
    free(out);
    finish_pool(pool);
}

static void empty(void) {
    cohort_pool_t *pool = new_pool(2);
    cohort_map_options_t by1 = {.chunk = 1};
    cohort_result_t *result;
    int x = 0, ok = 0;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_map(pool, square, NULL, sizeof x, 0, NULL, sizeof x, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_map_async(&result, pool, square, &x, sizeof x, 0, &x,
                                                    sizeof x, &by1, test_pool()));
    CHECK_INT(1, cohort_result_ready(result));
    CHECK_STATUS(APR_SUCCESS, cohort_result_wait(result, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_result_successful(result, &ok));
    CHECK_INT(1, ok);
    CHECK_STATUS(APR_SUCCESS, cohort_result_get(result, NULL, 0, 0));
    finish_pool(pool);
}

static void bad_arguments(void) {
    cohort_pool_t *pool = new_pool(2);
    cohort_result_t *result = NULL;
    apr_size_t absurd = ~(apr_size_t)0;
    int x = 3, y = 0;
    for (int i = 0; i < 5; i++) {
        CHECK_STATUS(APR_EINVAL, cohort_pool_map(pool, NULL, &x, sizeof x, 1, &y, sizeof y, NULL));
        CHECK_STATUS(APR_EINVAL,
                     cohort_pool_map(pool, square, NULL, sizeof x, 1, &y, sizeof y, NULL));
        CHECK_STATUS(APR_EINVAL,
                     cohort_pool_map(pool, square, &x, absurd, 1000, &y, sizeof y, NULL));
        CHECK_STATUS(APR_EINVAL,
                     cohort_pool_map(pool, square, &x, sizeof x, 1000, &y, absurd, NULL));
        CHECK_STATUS(COHORT_ELIMIT,
                     cohort_pool_map(pool, square, &x, 0, (apr_size_t)1 << 33, &y, 0, NULL));
        CHECK_STATUS(APR_ENOMEM,
                     cohort_pool_map(pool, square, &x, sizeof x, 1, NULL, absurd >> 2, NULL));
        CHECK_STATUS(APR_EINVAL, cohort_pool_map_async(NULL, pool, square, &x, sizeof x, 1, &y,
                                                       sizeof y, NULL, NULL));
        CHECK_STATUS(APR_EINVAL, cohort_pool_apply_async(&result, NULL, square, &x, sizeof x, &y,
                                                         sizeof y, NULL, NULL));
        CHECK_STATUS(COHORT_EHANDLE,
                     cohort_pool_apply(party_memory(64), square, &x, sizeof x, &y, sizeof y));
        check_works(pool);
    }
    CHECK(result == NULL);
    CHECK_STATUS(APR_EINVAL, cohort_pool_join(pool, 0));
    CHECK_STATUS(APR_EINVAL, cohort_pool_workers(pool, NULL, NULL, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_result_wait(NULL, 0));
    CHECK_STATUS(COHORT_EHANDLE, cohort_result_wait((cohort_result_t *)(void *)pool, 0));
    finish_pool(pool);
}

/* ---- results -------------------------------------------------------------------------------- */

static void apply_async(void) {
    cohort_pool_t *pool = new_pool(2);
    gate_t *gate = new_gate();
    cohort_result_t *result;
    int ok;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_apply_async(&result, pool, pass_gate, &gate, sizeof gate,
                                                      NULL, 0, NULL, test_pool()));
    CHECK_INT(0, cohort_result_ready(result));
    CHECK_STATUS(APR_EAGAIN, cohort_result_successful(result, &ok));
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
    CHECK_STATUS(APR_SUCCESS, cohort_pool_apply_async(&result, pool, pass_gate, &gate, sizeof gate,
                                                      NULL, 0, NULL, test_pool()));
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
        CHECK_STATUS(APR_SUCCESS, cohort_pool_apply_async(&results[i], pool, square, &i, sizeof i,
                                                          NULL, sizeof(int), NULL, NULL));
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

static void kill_worker(cohort_pool_t *pool) {
    cohort_process_t **workers;
    int n;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_workers(pool, &workers, &n, test_pool()));
    for (int i = 0; i < n; i++) CHECK_STATUS(APR_SUCCESS, cohort_process_kill(workers[i]));
}

/* Results that are done and kept, alone or in front of others, are in nobody's way: not of what
 * comes after them, nor of the worker's end and the next one's beginning, nor of close and join. */
static void kept_results_hide_nothing(void) {
    enum { N = 40 };
    cohort_pool_t *pool = new_pool(1);
    cohort_result_t *results[N];
    int out[N];
    for (int i = 0; i < N; i++) {
        CHECK_STATUS(APR_SUCCESS, cohort_pool_apply_async(&results[i], pool, square, &i, sizeof i,
                                                          NULL, sizeof i, NULL, NULL));
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

/* What was destroyed before its turn is not run. */
static void destroyed_early(void) {
    cohort_pool_t *pool = new_pool(1);
    gate_t *gate = new_gate();
    cohort_result_t *running, *queued[20];
    CHECK_STATUS(APR_SUCCESS, cohort_pool_apply_async(&running, pool, pass_gate, &gate, sizeof gate,
                                                      NULL, 0, NULL, NULL));
    party_await(&gate->begun, 1);
    for (int i = 0; i < 20; i++) {
        CHECK_STATUS(APR_SUCCESS, cohort_pool_apply_async(&queued[i], pool, pass_gate, &gate,
                                                          sizeof gate, NULL, 0, NULL, NULL));
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

static apr_status_t odd_fails(const void *input, void *output) {
    int x = *(const int *)input;
    *(int *)output = x;
    if (x % 2 == 0) return APR_SUCCESS;
    return x == 1 ? APR_ENOTIMPL : cohort_task_fail(APR_EINVAL, "%d is odd", x);
}

static void errors(void) {
    cohort_pool_t *pool = new_pool(3);
    cohort_map_options_t options = {.chunk = 2};
    cohort_result_t *result;
    cohort_task_error_t error, *list;
    int in[20], out[20], ok = 1;
    apr_size_t n;
    char text[64], name[64];
    fill(in, 20);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_map_async(&result, pool, odd_fails, in, sizeof *in, 20,
                                                    out, sizeof *out, &options, test_pool()));
    CHECK_STATUS(APR_ENOTIMPL, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
    for (int i = 0; i < 20; i++) CHECK_INT(i, out[i]);
    CHECK_STATUS(APR_SUCCESS, cohort_result_successful(result, &ok));
    CHECK_INT(0, ok);
    CHECK_STATUS(APR_SUCCESS, cohort_result_error(result, &error));
    CHECK_STATUS(APR_ENOTIMPL, error.status);
    CHECK_INT(1, error.index);
    CHECK_STR(cohort_strerror(APR_ENOTIMPL, text, sizeof text), error.message);
    CHECK_STATUS(APR_SUCCESS, cohort_result_errors(result, &list, &n, test_pool()));
    CHECK_INT(10, n);
    for (int i = 1; i < 10; i++) {
        snprintf(text, sizeof text, "%d is odd", 2 * i + 1);
        CHECK_INT(2 * i + 1, list[i].index);
        CHECK_STATUS(APR_EINVAL, list[i].status);
        CHECK_STR(text, list[i].message);
        CHECK_INT(strlen(text), list[i].message_size);
        CHECK_INT(1, list[i].attempt);
        CHECK_INT(COHORT_EXIT_NONE, list[i].exit_code);
        snprintf(name, 3, "%s", list[i].worker);
        CHECK_STR("P-", name);
        CHECK(list[i].pid > 0);
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
    CHECK_STATUS(APR_SUCCESS, cohort_pool_apply_async(&result, pool, odd_fails, &even, sizeof x, &y,
                                                      sizeof y, NULL, test_pool()));
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
    cohort_map_options_t options = {.chunk = 1};
    cohort_result_t *result;
    cohort_task_error_t *list;
    apr_size_t n;
    int in[10], out[10];
    fill(in, 10);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_map_async(&result, pool, fail_at_length, in, sizeof *in,
                                                    10, out, sizeof *out, &options, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_close(pool));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_join(pool, COHORT_FOREVER));
    CHECK_STATUS(APR_EGENERAL + 3, cohort_result_get(result, NULL, 0, 0));
    for (int i = 0; i < 10; i++) CHECK_INT(i, out[i]);
    CHECK_STATUS(APR_SUCCESS, cohort_result_errors(result, &list, &n, test_pool()));
    CHECK_INT(2, n);
    CHECK_INT(LONG_MESSAGE, list[1].message_size);
    CHECK_INT('a' + 5, list[1].message[LONG_MESSAGE - 1]);
    CHECK_INT(LONG_MESSAGE, strlen(list[0].message));
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
    int n = 0, m = 0;
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
    cohort_map_options_t options = {
        .on_success = on_success, .on_error = on_error, .callback_arg = &heard};
    cohort_result_t *result;
    int in[10];
    fill(in, 10);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_map_async(&result, pool, square, in, sizeof *in, 10, NULL,
                                                    sizeof(int), &options, test_pool()));
    CHECK_STATUS(APR_SUCCESS, cohort_result_wait(result, COHORT_FOREVER));
    CHECK_INT(1, atomic_load(&heard.successes));
    CHECK_STATUS(APR_SUCCESS, heard.status);
    check_squares(heard.outputs, 10);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_map_async(&result, pool, odd_fails, in, sizeof *in, 10,
                                                    NULL, sizeof(int), &options, test_pool()));
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
    cohort_map_options_t options = {.on_error = on_error, .callback_arg = &heard};
    cohort_result_t *result;
    int x = 9, y;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_apply_async(&result, pool, odd_fails, &x, sizeof x, &y,
                                                      sizeof y, &options, test_pool()));
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
    cohort_map_options_t options = {.on_success = count_and_destroy, .callback_arg = &count};
    for (int i = 0; i < 500; i++) {
        cohort_result_t *result;
        CHECK_STATUS(APR_SUCCESS, cohort_pool_apply_async(&result, pool, square, &i, sizeof i, NULL,
                                                          sizeof i, &options, NULL));
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
    cohort_map_options_t options = {
        .on_success = on_success, .on_error = on_error, .callback_arg = &heard};
    cohort_result_t *result;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_apply_async(&result, pool, pass_gate, &gate, sizeof gate,
                                                      NULL, 0, &options, test_pool()));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_terminate(pool));
    CHECK_STATUS(APR_SUCCESS, cohort_result_wait(result, COHORT_FOREVER));
    CHECK_INT(1, atomic_load(&heard.failures));
    CHECK_INT(0, atomic_load(&heard.successes));
    CHECK_STATUS(COHORT_ETERMINATED, heard.error.status);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
}

/* ---- the life of a pool --------------------------------------------------------------------- */

static void make_pool(void) {
    cohort_pool_options_t negative = {.workers = -1}, absurd = {.workers = 1000000},
                          unnamed = {.name = ""}, three = {.workers = 3};
    cohort_pool_options_t attempts = {.attempts = -1}, args = {.init_size = 3},
                          signals = {.signals = (cohort_signals_t)9};
    cohort_pool_t *pool = NULL;
    cohort_process_t **workers;
    char name[64], expected[64];
    int n;
    CHECK_STATUS(APR_EINVAL, cohort_pool_create(&pool, &negative, NULL));
    CHECK_STATUS(COHORT_ELIMIT, cohort_pool_create(&pool, &absurd, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_pool_create(&pool, &unnamed, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_pool_create(&pool, &attempts, NULL));
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
        CHECK_STATUS(APR_SUCCESS, cohort_pool_apply_async(&results[i], pool, pass_gate, &gate,
                                                          sizeof gate, NULL, 0, NULL, NULL));
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
    CHECK_STATUS(APR_SUCCESS, cohort_pool_apply_async(&result, pool, stubborn, &gate, sizeof gate,
                                                      NULL, 0, NULL, test_pool()));
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
    CHECK_STATUS(COHORT_ENOTRUNNING, cohort_pool_map_async(&result, pool, square, &x, sizeof x, 1,
                                                           &y, sizeof y, NULL, NULL));
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
        CHECK_STATUS(APR_SUCCESS, cohort_pool_apply_async(&results[i], pool, square, &i, sizeof i,
                                                          &out[i], sizeof *out, NULL, test_pool()));
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
    CHECK_STATUS(APR_SUCCESS, cohort_pool_apply_async(&result, pool, pass_gate, &gate, sizeof gate,
                                                      NULL, 0, NULL, test_pool()));
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
    cohort_map_options_t by1 = {.chunk = 1};
    cohort_result_t *results[20];
    int in[2000], out[2000];
    for (int i = 0; i < 2000; i++) in[i] = i % 100;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_map(pool, square, in, sizeof *in, 2000, out, sizeof *out, &by1));
    (void)cohort_pool_map(pool, odd_fails, in, sizeof *in, 2000, out, sizeof *out, &by1);
    for (int i = 0; i < 20; i++) {
        CHECK_STATUS(APR_SUCCESS,
                     cohort_pool_map_async(&results[i], pool, odd_fails, in, sizeof *in, 100, NULL,
                                           sizeof *out, NULL, NULL));
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
    return cohort_pool_apply_async(&result, pool, pass_gate, &gate, sizeof gate, NULL, 0, NULL,
                                   NULL) != APR_SUCCESS;
}

static void exit_with_live_pool(void) {
    cohort_process_t *child;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_create(&child, leave_pool_running, NULL, 0, NULL, test_pool()));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(child));
    party_end(child, 0);
}

static int *initialised_with;

static apr_status_t initializer(void *args) {
    initialised_with = args;
    atomic_fetch_add(*(_Atomic int **)args, 1);
    return APR_SUCCESS;
}

static apr_status_t see_initialised(const void *input, void *output) {
    *(int *)output = *(const int *)input;
    return initialised_with ? APR_SUCCESS : APR_EGENERAL;
}

static void initializers(void) {
    _Atomic int *count = party_memory(sizeof *count);
    cohort_pool_options_t options = {
        .workers = 3, .initializer = initializer, .init_args = &count, .init_size = sizeof count};
    cohort_pool_t *pool;
    int in[30], out[30];
    fill(in, 30);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&pool, &options, test_pool()));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_map(pool, see_initialised, in, sizeof *in, 30, out,
                                              sizeof *out, NULL));
    finish_pool(pool);
    CHECK_INT(3, atomic_load(count));
}

/* ---- workers that cannot be started --------------------------------------------------------- */

/* What initializers that fail share with the test. In the arena. */
typedef struct {
    _Atomic int runs;
    _Atomic int good;   /* from here on they succeed */
    _Atomic int spared; /* so many of the first succeed in any case */
    _Atomic int exits;  /* they do not return, but end the process */
    gate_t *gate;
} failing_t;

static apr_status_t failing_initializer(void *args) {
    failing_t *f = *(failing_t **)args;
    int run = atomic_fetch_add(&f->runs, 1);
    if (atomic_load(&f->good) || run < atomic_load(&f->spared)) return APR_SUCCESS;
    if (atomic_load(&f->exits)) exit(3);
    return cohort_task_fail(APR_EACCES, "there is no table %d", 7);
}

static cohort_pool_t *failing_pool(int workers, failing_t *f) {
    cohort_pool_options_t options = {.workers = workers,
                                     .name = "Failing",
                                     .initializer = failing_initializer,
                                     .init_args = &f,
                                     .init_size = sizeof f};
    cohort_pool_t *pool = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&pool, &options, test_pool()));
    return pool;
}

static cohort_result_t *submit_squares(cohort_pool_t *pool, int n) {
    cohort_result_t *result = NULL;
    int in[100];
    CHECK(n <= 100);
    fill(in, n);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_map_async(&result, pool, square, in, sizeof *in,
                                                    (apr_size_t)n, NULL, sizeof *in, NULL, NULL));
    return result;
}

/* The result ended with the failure of a start; the sentence has these words. */
static void check_ended(cohort_result_t *result, apr_status_t status, const char *words) {
    cohort_task_error_t error;
    int out[100];
    CHECK_STATUS(APR_SUCCESS, cohort_result_wait(result, COHORT_FOREVER));
    CHECK_STATUS(status, cohort_result_get(result, out, sizeof out, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_result_error(result, &error));
    CHECK_STATUS(status, error.status);
    if (!strstr(error.message, words))
        test_fail(__FILE__, __LINE__, "\"%s\" is not in \"%s\"", words, error.message);
    CHECK(strstr(error.worker, "Failing-") == error.worker);
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
}

/* The status and the words of the initializer reach every result. The pool goes on trying, and
 * works when it succeeds. */
static void initializer_fails(void) {
    failing_t *f = party_memory(sizeof *f);
    int x = 3, y = 0;
    apr_time_t begin = apr_time_now();
    cohort_pool_t *pool = failing_pool(2, f);
    cohort_result_t *first = submit_squares(pool, 100), *second = submit_squares(pool, 1);
    CHECK_STATUS(APR_EACCES, cohort_pool_apply(pool, square, &x, sizeof x, &y, sizeof y));
    AT_LEAST(2000000, begin);
    check_ended(first, APR_EACCES, "there is no table 7");
    check_ended(second, APR_EACCES, "there is no table 7");
    check_ended(submit_squares(pool, 10), APR_EACCES, "there is no table 7");
    atomic_store(&f->good, 1);
    check_works(pool);
    finish_pool(pool);
}

/* Two starts are a pause apart, 10 ms at first and a second in the end, however many workers there
 * are. */
static void failing_starts_are_few(void) {
    failing_t *f = party_memory(sizeof *f);
    apr_time_t begin = apr_time_now();
    cohort_pool_t *pool = failing_pool(8, f);
    check_ended(submit_squares(pool, 10), APR_EACCES, "there is no table 7");
    party_await(&f->runs, 8 + 9);
    int seconds = (int)apr_time_sec(apr_time_now() - begin);
    CHECK(atomic_load(&f->runs) <= 8 + 9 + seconds);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
}

/* One that ends the process instead of failing. */
static void initializer_exits(void) {
    failing_t *f = party_memory(sizeof *f);
    atomic_store(&f->exits, 1);
    cohort_pool_t *pool = failing_pool(1, f);
    check_ended(submit_squares(pool, 5), COHORT_EINITFAILED,
                "ended with exit code 3 in the initializer");
    atomic_store(&f->good, 1);
    check_works(pool);
    finish_pool(pool);
}

/* While one worker lives nothing fails, however often others cannot be started; and all are there
 * in the end. */
static void one_worker_will_do(void) {
    failing_t *f = party_memory(sizeof *f);
    int x = 5, out[20];
    f->gate = new_gate();
    atomic_store(&f->spared, 1);
    cohort_pool_t *pool = failing_pool(3, f);
    cohort_result_t *held = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_apply_async(&held, pool, pass_gate, &f->gate,
                                                      sizeof f->gate, NULL, 0, NULL, NULL));
    cohort_result_t *waiting = submit_squares(pool, 20);
    party_await(&f->runs, 3 + 9);
    CHECK_INT(0, cohort_result_ready(held));
    CHECK_INT(0, cohort_result_ready(waiting));
    atomic_store(&f->gate->open, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_result_get(held, NULL, 0, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_result_get(waiting, out, sizeof out, COHORT_FOREVER));
    check_squares(out, 20);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_apply(pool, square, &x, sizeof x, &x, sizeof x));
    CHECK_INT(25, x);
    atomic_store(&f->good, 1);
    while (count_workers(pool) < 3) apr_sleep(1000);
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(held));
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(waiting));
    finish_pool(pool);
}

/* A pool that is closed, terminated or destroyed meanwhile has its end in any case. */
static void failing_pools_end(void) {
    failing_t *f = party_memory(sizeof *f);
    cohort_pool_t *pool = failing_pool(2, f);
    cohort_result_t *result = submit_squares(pool, 50);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_close(pool));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_join(pool, COHORT_FOREVER));
    check_ended(result, APR_EACCES, "there is no table 7");
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
    pool = failing_pool(2, f);
    result = submit_squares(pool, 50);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_terminate(pool));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_join(pool, COHORT_FOREVER));
    CHECK_STATUS(COHORT_ETERMINATED, cohort_result_wait(result, 0)
                                         ? APR_EAGAIN
                                         : cohort_result_get(result, NULL, 0, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(failing_pool(2, f)));
}

/* The table of processes is filled up until three are left: the fourth worker cannot be made. */
static void constructor_fails(void) {
    enum { LIMIT = 16384 };
    cohort_process_t **fill_up = malloc(LIMIT * sizeof *fill_up), **children;
    cohort_pool_options_t options = {.workers = 5};
    cohort_pool_t *pool = NULL;
    int n = 0, running = -1;
    party_finish(party_start(nothing, NULL, 0)); /* whatever serves starts is there */
    while (n < LIMIT &&
           cohort_process_create(&fill_up[n], nothing, NULL, 0, NULL, NULL) == APR_SUCCESS)
        n++;
    CHECK(n > 3);
    for (int i = 0; i < 3; i++) CHECK_STATUS(APR_SUCCESS, cohort_process_close(fill_up[--n]));
    CHECK_STATUS(COHORT_ELIMIT, cohort_pool_create(&pool, &options, test_pool()));
    CHECK(pool == NULL);
    CHECK_STATUS(APR_SUCCESS, cohort_process_active_children(&children, &running, test_pool()));
    CHECK_INT(0, running);
    options.workers = 3;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&pool, &options, test_pool()));
    check_works(pool);
    finish_pool(pool);
    while (n > 0) CHECK_STATUS(APR_SUCCESS, cohort_process_close(fill_up[--n]));
    free(fill_up);
}

/* The same when it is the start itself that fails: there is no place for one more process. */
static void replacement_fails(void) {
    enum { LIMIT = 16384 };
    cohort_process_t **fill_up = malloc(LIMIT * sizeof *fill_up);
    cohort_pool_options_t options = {.workers = 1, .name = "Failing"};
    cohort_pool_t *pool = NULL;
    int n = 0;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&pool, &options, test_pool()));
    check_works(pool);
    while (n < LIMIT &&
           cohort_process_create(&fill_up[n], nothing, NULL, 0, NULL, NULL) == APR_SUCCESS)
        n++;
    kill_worker(pool);
    check_ended(submit_squares(pool, 10), COHORT_ELIMIT, "could not be started");
    check_ended(submit_squares(pool, 1), COHORT_ELIMIT, "could not be started");
    while (n > 0) CHECK_STATUS(APR_SUCCESS, cohort_process_close(fill_up[--n]));
    free(fill_up);
    check_works(pool);
    finish_pool(pool);
}

static void large_pool(void) {
    cohort_pool_t *pool = new_pool(200);
    cohort_map_options_t by1 = {.chunk = 1};
    int in[1000], out[1000];
    fill(in, 1000);
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_map(pool, square, in, sizeof *in, 1000, out, sizeof *out, NULL));
    check_squares(out, 1000);
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_map(pool, square, in, sizeof *in, 1000, out, sizeof *out, &by1));
    check_squares(out, 1000);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
}

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

typedef struct {
    cohort_pool_t *pool;
} submit_t;

static int submit_from_child(void *args) {
    for (int i = 0; i < 20; i++) check_works(((submit_t *)args)->pool);
    return 0;
}

static void many_submitters(void) {
    submit_t args = {new_pool(3)};
    cohort_process_t *children[4];
    parties_start(children, 4, submit_from_child, &args, sizeof args);
    for (int i = 0; i < 20; i++) check_works(args.pool);
    parties_finish(children, 4);
    finish_pool(args.pool);
}

static void *APR_THREAD_FUNC submit_from_thread(apr_thread_t *thread, void *arg) {
    (void)thread;
    for (int i = 0; i < 50; i++) check_works(arg);
    return NULL;
}

static void many_threads(void) {
    cohort_pool_t *pool = new_pool(2);
    apr_thread_t *threads[4];
    for (int i = 0; i < 4; i++) threads[i] = party_thread(submit_from_thread, pool);
    for (int i = 0; i < 4; i++) party_thread_finish(threads[i]);
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

/* ---- deaths --------------------------------------------------------------------------------- */

typedef enum { NO_DEATH, BY_KILL, BY_EXIT, BY_COHORT_EXIT, BY_ABORT } death_t;

typedef struct {
    int number;
    death_t death;
    int times; /* at most so many runs of it end in death */
    gate_t *gate;
} mortal_t;

static void die(death_t death) {
    switch (death) {
    case BY_KILL:
        (void)cohort_process_kill(cohort_process_current());
        party_wait_for_death();
    case BY_EXIT:
        exit(3);
    case BY_COHORT_EXIT:
        cohort_exit(4);
        break;
    case BY_ABORT:
        abort();
    default:
        break;
    }
}

static apr_status_t mortal(const void *input, void *output) {
    const mortal_t *m = input;
    if (atomic_fetch_add(&m->gate[m->number].runs, 1) < m->times) die(m->death);
    *(int *)output = m->number * m->number;
    return APR_SUCCESS;
}

static mortal_t *new_mortals(int n) {
    mortal_t *list = party_memory((apr_size_t)n * sizeof *list);
    gate_t *gates = party_memory((apr_size_t)n * sizeof *gates);
    for (int i = 0; i < n; i++) list[i] = (mortal_t){i, NO_DEATH, 1, gates};
    return list;
}

/* Each ran exactly as often as expected, and has its output unless it failed. */
static void check_mortals(const mortal_t *list, const int *out, int n) {
    for (int i = 0; i < n; i++) {
        CHECK_INT(1, atomic_load(&list[i].gate[i].runs));
        if (list[i].death == NO_DEATH) CHECK_INT(i * i, out[i]);
    }
}

static void one_death(death_t death, int code) {
    cohort_pool_t *pool = new_pool(2);
    mortal_t *in = new_mortals(100);
    cohort_map_options_t options = {.chunk = 10};
    cohort_result_t *result;
    cohort_task_error_t error, *list;
    apr_size_t n;
    int out[100];
    in[57].death = death;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_map_async(&result, pool, mortal, in, sizeof *in, 100, out,
                                                    sizeof *out, &options, test_pool()));
    CHECK_STATUS(COHORT_EWORKERDIED, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
    check_mortals(in, out, 100);
    CHECK_STATUS(APR_SUCCESS, cohort_result_error(result, &error));
    CHECK_STATUS(COHORT_EWORKERDIED, error.status);
    CHECK_INT(57, error.index);
    CHECK_INT(code, error.exit_code);
    CHECK_INT(1, error.attempt);
    CHECK(error.pid > 0);
    CHECK(strcmp(error.worker, "P-1") == 0 || strcmp(error.worker, "P-2") == 0);
    CHECK(strstr(error.message, error.worker) != NULL);
    CHECK_STATUS(APR_SUCCESS, cohort_result_errors(result, &list, &n, test_pool()));
    CHECK_INT(1, n);
    check_works(pool);
    finish_pool(pool);
}

static void death_by_kill(void) {
    one_death(BY_KILL, -9);
}
static void death_by_exit(void) {
    one_death(BY_EXIT, 3);
}
static void death_by_cohort_exit(void) {
    one_death(BY_COHORT_EXIT, 4);
}
static void death_by_abort(void) {
    one_death(BY_ABORT, -6);
}

static void every_task_dies(void) {
    cohort_pool_t *pool = new_pool(3);
    mortal_t *in = new_mortals(30);
    cohort_map_options_t options = {.chunk = 7};
    cohort_result_t *result;
    cohort_task_error_t *list;
    apr_size_t n;
    int out[30];
    for (int i = 0; i < 30; i++) in[i].death = BY_KILL;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_map_async(&result, pool, mortal, in, sizeof *in, 30, out,
                                                    sizeof *out, &options, test_pool()));
    CHECK_STATUS(COHORT_EWORKERDIED, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
    check_mortals(in, out, 30);
    CHECK_STATUS(APR_SUCCESS, cohort_result_errors(result, &list, &n, test_pool()));
    CHECK_INT(30, n);
    for (int i = 0; i < 30; i++) {
        CHECK_INT(i, list[i].index);
        CHECK_INT(-9, list[i].exit_code);
    }
    check_works(pool);
    finish_pool(pool);
}

static cohort_pool_t *patient_pool(int workers, int attempts) {
    cohort_pool_options_t options = {.workers = workers, .name = "P", .attempts = attempts};
    cohort_pool_t *pool = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&pool, &options, test_pool()));
    return pool;
}

static void retries(void) {
    cohort_pool_t *pool = patient_pool(2, 3);
    mortal_t *in = new_mortals(40);
    cohort_map_options_t options = {.chunk = 5};
    int out[40];
    for (int i = 0; i < 40; i += 10) {
        in[i + 2].death = BY_KILL;
        in[i + 2].times = 2;
    }
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_map(pool, mortal, in, sizeof *in, 40, out, sizeof *out, &options));
    check_squares(out, 40);
    for (int i = 0; i < 40; i++) CHECK_INT(i % 10 == 2 ? 3 : 1, atomic_load(&in[i].gate[i].runs));
    finish_pool(pool);
}

static void poison(void) {
    cohort_pool_t *pool = patient_pool(2, 3);
    mortal_t *in = new_mortals(10);
    cohort_result_t *result;
    cohort_task_error_t error;
    int out[10];
    in[4].death = BY_KILL;
    in[4].times = 1000;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_map_async(&result, pool, mortal, in, sizeof *in, 10, out,
                                                    sizeof *out, NULL, test_pool()));
    CHECK_STATUS(COHORT_EWORKERDIED, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
    for (int i = 0; i < 10; i++) CHECK_INT(i == 4 ? 3 : 1, atomic_load(&in[i].gate[i].runs));
    CHECK_STATUS(APR_SUCCESS, cohort_result_error(result, &error));
    CHECK_INT(4, error.index);
    CHECK_INT(3, error.attempt);
    finish_pool(pool);
}

/* The only worker of a closed pool dies: what is left is done all the same. */
static void death_after_close(void) {
    cohort_pool_t *pool = new_pool(1);
    mortal_t *in = new_mortals(20);
    cohort_map_options_t options = {.chunk = 20};
    cohort_result_t *result;
    int out[20];
    in[9].death = BY_KILL;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_map_async(&result, pool, mortal, in, sizeof *in, 20, out,
                                                    sizeof *out, &options, test_pool()));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_close(pool));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_join(pool, COHORT_FOREVER));
    CHECK_STATUS(COHORT_EWORKERDIED, cohort_result_get(result, NULL, 0, 0));
    check_mortals(in, out, 20);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
}

static void kill_from_outside(void) {
    cohort_pool_t *pool = new_pool(2);
    cohort_process_t **workers;
    gate_t *gate = new_gate();
    cohort_result_t *result;
    cohort_task_error_t error;
    int n;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_apply_async(&result, pool, pass_gate, &gate, sizeof gate,
                                                      NULL, 0, NULL, test_pool()));
    party_await(&gate->begun, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_workers(pool, &workers, &n, test_pool()));
    CHECK_INT(2, n);
    for (int i = 0; i < 2; i++) party_kill(workers[i]);
    CHECK_STATUS(COHORT_EWORKERDIED, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_result_error(result, &error));
    CHECK_INT(-9, error.exit_code);
    check_works(pool);
    finish_pool(pool);
}

typedef struct {
    cohort_pool_t *pool;
    _Atomic int stop, kills;
} killer_t;

/* Kill one worker after the other, whatever it is doing; but not the only one, so that something
 * gets done where starting takes long. */
static void *APR_THREAD_FUNC kill_workers(apr_thread_t *thread, void *arg) {
    killer_t *killer = arg;
    (void)thread;
    for (int round = 0; !atomic_load(&killer->stop); round++) {
        cohort_process_t **workers;
        apr_pool_t *pool;
        int n;
        CHECK_STATUS(APR_SUCCESS, apr_pool_create(&pool, NULL));
        CHECK_STATUS(APR_SUCCESS, cohort_pool_workers(killer->pool, &workers, &n, pool));
        if (n > 1) {
            (void)cohort_process_kill(workers[round % n]);
            atomic_fetch_add(&killer->kills, 1);
        }
        apr_pool_destroy(pool);
        apr_sleep(1500);
    }
    return NULL;
}

/* Whatever was not charged with a death has its right output, and all that was charged says so. */
static void check_storm(cohort_result_t *result, const int *out, int n) {
    cohort_task_error_t *list;
    apr_size_t errors, next = 0;
    CHECK_STATUS(APR_SUCCESS, cohort_result_errors(result, &list, &errors, test_pool()));
    for (int i = 0; i < n; i++) {
        if (next < errors && list[next].index == (apr_size_t)i) {
            CHECK_STATUS(COHORT_EWORKERDIED, list[next].status);
            CHECK_INT(-9, list[next].exit_code);
            next++;
            CHECK(next == errors || list[next].index > (apr_size_t)i);
        } else {
            CHECK_INT(i % 5000 * (i % 5000), out[i]);
        }
    }
    CHECK_INT(errors, next);
}

static void storm(apr_size_t chunk) {
    enum { N = 60000, ROUNDS = 12 };
    killer_t killer = {.pool = new_pool(3)};
    cohort_map_options_t options = {.chunk = chunk};
    int *in = malloc(N * sizeof *in), *out = malloc(N * sizeof *out);
    for (int i = 0; i < N; i++) in[i] = i % 5000;
    apr_thread_t *thread = party_thread(kill_workers, &killer);
    for (int round = 0; round < ROUNDS || atomic_load(&killer.kills) < 20; round++) {
        cohort_result_t *result;
        memset(out, 0xff, N * sizeof *out);
        CHECK_STATUS(APR_SUCCESS,
                     cohort_pool_map_async(&result, killer.pool, square, in, sizeof *in, N, out,
                                           sizeof *out, &options, NULL));
        (void)cohort_result_get(result, NULL, 0, COHORT_FOREVER);
        check_storm(result, out, N);
        CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
    }
    atomic_store(&killer.stop, 1);
    party_thread_finish(thread);
    check_works(killer.pool);
    /* the last one killed is replaced, too */
    while (count_workers(killer.pool) < 3) apr_sleep(1000);
    CHECK_INT(3, count_workers(killer.pool));
    finish_pool(killer.pool);
    free(in);
    free(out);
}

static void storm_chunk_1(void) {
    storm(1);
}
static void storm_default_chunk(void) {
    storm(0);
}

/* Thousands of small jobs while workers are killed: each ends, well or charged. */
static void storm_apply(void) {
    enum { N = 3000 };
    killer_t killer = {.pool = new_pool(3)};
    apr_thread_t *thread = party_thread(kill_workers, &killer);
    for (int i = 0; i < N || atomic_load(&killer.kills) < 20; i++) {
        int x = i % 1000, y = -1;
        apr_status_t status = cohort_pool_apply(killer.pool, square, &x, sizeof x, &y, sizeof y);
        if (status)
            CHECK_STATUS(COHORT_EWORKERDIED, status);
        else
            CHECK_INT(x * x, y);
    }
    atomic_store(&killer.stop, 1);
    party_thread_finish(thread);
    check_works(killer.pool);
    finish_pool(killer.pool);
}

static void deaths_leak_nothing(void) {
    cohort_process_t **children;
    int n;
    storm_apply();
    every_task_dies();
    apr_uint64_t before = blocks_in_use();
    storm_apply();
    CHECK_INT(before, blocks_in_use());
    CHECK_STATUS(APR_SUCCESS, cohort_process_active_children(&children, &n, test_pool()));
    CHECK_INT(0, n);
}

_Noreturn static int submit_for_ever(void *args) {
    int in[64], out[64];
    fill(in, 64);
    for (;;)
        (void)cohort_pool_map(((submit_t *)args)->pool, square, in, sizeof *in, 64, out,
                              sizeof *out, NULL);
}

/* Submitters die in the middle of a map: the pool goes on, and nothing of theirs stays. */
static void submitter_dies(void) {
    submit_t args = {new_pool(2)};
    check_works(args.pool);
    party_kill(party_start(submit_for_ever, &args, sizeof args));
    check_works(args.pool);
    for (int i = 0; i < 20; i++) {
        cohort_process_t *child = party_start(submit_for_ever, &args, sizeof args);
        apr_sleep(i * 500);
        party_kill(child);
        CHECK_STATUS(APR_SUCCESS, cohort_process_close(child));
    }
    check_works(args.pool);
    finish_pool(args.pool);
}

static void dead_submitters_leak_nothing(void) {
    submitter_dies();
    apr_uint64_t before = blocks_in_use();
    submitter_dies();
    CHECK_INT(before, blocks_in_use());
}

typedef struct {
    _Atomic(cohort_result_t *) result;
    _Atomic(cohort_pool_t *) pool;
    gate_t gate;
    _Atomic int ready;
} shared_t;

static int own_a_pool(void *args) {
    shared_t *shared = *(shared_t **)args;
    gate_t *gate = &shared->gate;
    cohort_pool_t *pool = new_pool(2);
    cohort_result_t *result;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_apply_async(&result, pool, pass_gate, &gate, sizeof gate,
                                                      NULL, 0, NULL, NULL));
    atomic_store(&shared->pool, pool);
    atomic_store(&shared->result, result);
    atomic_store(&shared->ready, 1);
    party_wait_for_death();
}

/* A pool ends with its maker: workers too, and results say so to the threads that wait. */
static void maker_dies(void) {
    shared_t *shared = party_memory(sizeof *shared);
    cohort_process_t *maker = party_start(own_a_pool, &shared, sizeof shared), **workers;
    int n;
    party_await(&shared->ready, 1);
    party_await(&shared->gate.begun, 1);
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_workers(atomic_load(&shared->pool), &workers, &n, test_pool()));
    CHECK_INT(2, n);
    CHECK_STATUS(APR_EAGAIN, cohort_result_wait(atomic_load(&shared->result), 0));
    party_kill(maker);
    cohort_result_t *result = atomic_load(&shared->result);
    apr_status_t status = cohort_result_get(result, NULL, 0, COHORT_FOREVER);
    if (status != COHORT_EWORKERDIED) CHECK_STATUS(COHORT_ETERMINATED, status);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(atomic_load(&shared->pool)));
    for (int i = 0; i < 2; i++) CHECK_INT(0, cohort_process_is_alive(workers[i]));
    CHECK_STATUS(COHORT_EHANDLE, cohort_pool_close(atomic_load(&shared->pool)));
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
}

/* An initializer whose worker is killed once is run again in the next. */
static apr_status_t deadly_initializer(void *args) {
    if (atomic_fetch_add(*(_Atomic int **)args, 1) == 0) die(BY_KILL);
    return APR_SUCCESS;
}

static void initializer_dies(void) {
    _Atomic int *count = party_memory(sizeof *count);
    cohort_pool_options_t options = {.workers = 2,
                                     .initializer = deadly_initializer,
                                     .init_args = &count,
                                     .init_size = sizeof count};
    cohort_pool_t *pool;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&pool, &options, test_pool()));
    check_works(pool);
    party_await(count, 3);
    finish_pool(pool);
    CHECK_INT(3, atomic_load(count));
}

const test_case_t pool_cases[] = {
    {"Pool", "POOL_01_apply", apply},
    {"Pool", "POOL_02_map", map},
    {"Pool", "POOL_03_structs", structs},
    {"Pool", "POOL_04_map_async", map_async},
    {"Pool", "POOL_05_callbacks", callbacks},
    {"Pool", "POOL_06_POOL_08_bad_arguments", bad_arguments},
    {"Pool", "POOL_07_POOL_16_empty", empty},
    {"Pool", "POOL_09_apply_async", apply_async},
    {"Pool", "POOL_10_async_timeout", async_timeout},
    {"Pool", "POOL_14_make_pool", make_pool},
    {"Pool", "POOL_15_terminate", terminate_10000},
    {"Pool", "POOL_17_POOL_22_scope", scope},
    {"Pool", "POOL_18_errors", errors},
    {"Pool", "POOL_19_error_statuses", error_statuses},
    {"Pool", "POOL_20_no_failfast", no_failfast},
    {"Pool", "POOL_21_memory_returned", memory_returned},
    {"Pool", "POOL_23_error_callback", error_callback},
    {"Pool", "POOL_24_failing_keeps_workers", failing_keeps_workers},
    {"Pool", "POOL_28_exit_with_live_pool", exit_with_live_pool},
    {"Pool", "POOL_29_initializer", initializers},
    {"Pool", "POOL_30_constructor_fails", constructor_fails},
    {"Pool", "POOL_31_large_pool", large_pool},
    {"Pool", "POOL_32_pool_in_child", pool_in_child},
    {"Pool", "in_place", in_place},
    {"Pool", "without_data", without_data},
    {"Pool", "many_items", many_items},
    {"Pool", "results_outlive_pool", results_outlive_pool},
    {"Pool", "kept_results_hide_nothing", kept_results_hide_nothing},
    {"Pool", "destroyed_early", destroyed_early},
    {"Pool", "join_waits_for_callbacks", join_waits_for_callbacks},
    {"Pool", "terminate_calls_back", terminate_calls_back},
    {"Pool", "terminate_stubborn", terminate_stubborn},
    {"Pool", "close_finishes", close_finishes},
    {"Pool", "join_times_out", join_times_out},
    {"Pool", "initializer_fails", initializer_fails},
    {"Pool", "initializer_exits", initializer_exits},
    {"Pool", "failing_starts_are_few", failing_starts_are_few},
    {"Pool", "one_worker_will_do", one_worker_will_do},
    {"Pool", "failing_pools_end", failing_pools_end},
    {"Pool", "replacement_fails", replacement_fails},
    {"Pool", "many_submitters", many_submitters},
    {"Pool", "many_threads", many_threads},
    {"Pool", "worker_joins_itself", worker_joins_itself},
    {"PoolDeath", "by_kill", death_by_kill},
    {"PoolDeath", "by_exit", death_by_exit},
    {"PoolDeath", "by_cohort_exit", death_by_cohort_exit},
    {"PoolDeath", "by_abort", death_by_abort},
    {"PoolDeath", "every_task_dies", every_task_dies},
    {"PoolDeath", "retries", retries},
    {"PoolDeath", "poison", poison},
    {"PoolDeath", "after_close", death_after_close},
    {"PoolDeath", "kill_from_outside", kill_from_outside},
    {"PoolDeath", "storm_chunk_1", storm_chunk_1},
    {"PoolDeath", "storm_default_chunk", storm_default_chunk},
    {"PoolDeath", "storm_apply", storm_apply},
    {"PoolDeath", "leaks_nothing", deaths_leak_nothing},
    {"PoolDeath", "submitter_dies", submitter_dies},
    {"PoolDeath", "dead_submitters_leak_nothing", dead_submitters_leak_nothing},
    {"PoolDeath", "maker_dies", maker_dies},
    {"PoolDeath", "initializer_dies", initializer_dies},
    {0}};
