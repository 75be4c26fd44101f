/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Pools: apply and map, what they are given and what they refuse. */
#include "pools.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- one after the other -------------------------------------------------------------------- */

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
    int in[1000], out[1000];
    fill(in, 1000);
    CHECK_STATUS(APR_SUCCESS, COHORT_MAP(pool, square, in, 10, out));
    check_squares(out, 10);
    memset(out, 0, sizeof out);
    RUN(pool, .task = square, COHORT_INPUTS(in, 100), COHORT_OUTPUTS(out), .chunk = 20);
    check_squares(out, 100);
    memset(out, 0, sizeof out);
    RUN(pool, .task = square, COHORT_INPUTS(in, 1000), COHORT_OUTPUTS(out), .chunk = 7);
    check_squares(out, 1000);
    memset(out, 0, sizeof out);
    RUN(pool, .task = square, COHORT_INPUTS(in, 1000), COHORT_OUTPUTS(out), .chunk = 1000000);
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
    CHECK_STATUS(APR_SUCCESS, COHORT_MAP(pool, combine, in, 30, out));
    for (int i = 0; i < 30; i++) {
        snprintf(expected, sizeof expected, "item %d:%d", i, i * (i + 1));
        CHECK_STR(expected, out[i]);
    }
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
    CHECK_STATUS(APR_SUCCESS, COHORT_MAP(pool, show_places, in, 50, out));
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
    CHECK_STATUS(APR_SUCCESS, cohort_pool_map(pool, no_data, NULL, 0, 100, NULL, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_map(pool, square, in, sizeof *in, 20, NULL, sizeof(int)));
    finish_pool(pool);
}

static void many_items(void) {
    enum { N = 300000 };
    cohort_pool_t *pool = new_pool(3);
    int *in = malloc(N * sizeof *in), *out = calloc(N, sizeof *out);
    for (int i = 0; i < N; i++) in[i] = i % 1000;
    RUN(pool, .task = square, COHORT_INPUTS(in, N), COHORT_OUTPUTS(out), .chunk = 1);
    for (int i = 0; i < N; i++) CHECK_INT((i % 1000) * (i % 1000), out[i]);
    free(in);
    free(out);
    finish_pool(pool);
}

static void empty(void) {
    cohort_pool_t *pool = new_pool(2);
    cohort_result_t *result;
    int x = 0, ok = 0;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_map(pool, square, NULL, sizeof x, 0, NULL, sizeof x));
    SUBMIT(&result, pool, test_pool(), .task = square, COHORT_INPUTS(&x, 0), COHORT_OUTPUTS(&x),
           .chunk = 1);
    CHECK_INT(1, cohort_result_is_ready(result));
    CHECK_STATUS(APR_SUCCESS, cohort_result_wait(result, 0));
    ok = cohort_result_is_successful(result);
    CHECK_INT(1, ok);
    CHECK_STATUS(APR_SUCCESS, cohort_result_get(result, NULL, 0, 0));
    finish_pool(pool);
}

static void bad_arguments(void) {
    cohort_pool_t *pool = new_pool(2);
    cohort_result_t *result = NULL;
    apr_size_t absurd = APR_SIZE_MAX / 2;
    int x = 3, y = 0;
    for (int i = 0; i < 5; i++) {
        CHECK_STATUS(APR_EINVAL, cohort_pool_map(pool, NULL, &x, sizeof x, 1, &y, sizeof y));
        CHECK_STATUS(APR_EINVAL, cohort_pool_map(pool, square, NULL, sizeof x, 1, &y, sizeof y));
        CHECK_STATUS(APR_EINVAL, cohort_pool_map(pool, square, &x, absurd, 1000, &y, sizeof y));
        CHECK_STATUS(APR_EINVAL, cohort_pool_map(pool, square, &x, sizeof x, 1000, &y, absurd));
        CHECK_STATUS(COHORT_ELIMIT,
                     cohort_pool_map(pool, square, &x, 0, (apr_size_t)1 << 33, &y, 0));
        CHECK_STATUS(APR_ENOMEM, cohort_pool_map(pool, square, &x, sizeof x, 1, NULL, absurd >> 2));
        CHECK_STATUS(APR_EINVAL,
                     cohort_pool_submit(
                         NULL, pool,
                         &(cohort_job_t){.task = square, COHORT_INPUTS(&x, 1), COHORT_OUTPUTS(&y)},
                         NULL));
        CHECK_STATUS(APR_EINVAL,
                     cohort_pool_submit(
                         &result, NULL,
                         &(cohort_job_t){.task = square, COHORT_INPUTS(&x, 1), COHORT_OUTPUTS(&y)},
                         NULL));
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

/* ---- many at once --------------------------------------------------------------------------- */

static void large_pool(void) {
    cohort_pool_t *pool = new_pool(200);
    int in[1000], out[1000];
    fill(in, 1000);
    CHECK_STATUS(APR_SUCCESS, COHORT_MAP(pool, square, in, 1000, out));
    check_squares(out, 1000);
    RUN(pool, .task = square, COHORT_INPUTS(in, 1000), COHORT_OUTPUTS(out), .chunk = 1);
    check_squares(out, 1000);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
}

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

const test_case_t pool_map_cases[] = {
    {"Pool", "POOL_01_apply", apply},
    {"Pool", "POOL_02_map", map},
    {"Pool", "POOL_03_structs", structs},
    {"Pool", "POOL_06_POOL_08_bad_arguments", bad_arguments},
    {"Pool", "POOL_07_POOL_16_empty", empty},
    {"Pool", "POOL_31_large_pool", large_pool},
    {"Pool", "in_place", in_place},
    {"Pool", "without_data", without_data},
    {"Pool", "many_items", many_items},
    {"Pool", "many_submitters", many_submitters},
    {"Pool", "many_threads", many_threads},
    {0},
};
