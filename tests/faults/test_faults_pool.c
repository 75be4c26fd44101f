/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Faults in the calls of pools. */
#include "operation.h"

#include <unistd.h>

static apr_status_t square(const void *input, void *output) {
    *(int *)output = *(const int *)input * *(const int *)input;
    return APR_SUCCESS;
}

static apr_status_t pool_create(things_t *t) {
    return cohort_pool_create(&t->pool, &(cohort_pool_options_t){.workers = 2}, NULL);
}
static void pool_destroy(things_t *t) { CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(t->pool)); }
static void pool_make(things_t *t) { CHECK_STATUS(APR_SUCCESS, pool_create(t)); }

static apr_status_t pool_map(things_t *t) {
    int in[100], out[100];
    for (int i = 0; i < 100; i++) in[i] = i;
    apr_status_t status = COHORT_MAP(t->pool, square, in, 100, out);
    for (int i = 0; !status && i < 100; i++) CHECK_INT(i * i, out[i]);
    return status;
}

/* The context is too large for the job itself, so it has a block of its own. */
static apr_status_t pool_submit(things_t *t) {
    int in[4] = {1, 2, 3, 4};
    char context[3000] = "context";
    cohort_job_t job = {.task = square,
                        COHORT_INPUTS(in, 4),
                        .output_size = sizeof *in,
                        .context = context,
                        .context_size = sizeof context};
    return cohort_pool_submit(&t->result, t->pool, &job, NULL);
}
static void result_destroy(things_t *t) {
    int out[4];
    CHECK_STATUS(APR_SUCCESS, cohort_result_get(t->result, out, sizeof out, COHORT_FOREVER));
    CHECK_INT(16, out[3]);
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(t->result));
}
static apr_status_t pool_apply(things_t *t) {
    int in = 5, out = 0;
    apr_status_t status = cohort_pool_apply(t->pool, square, &in, sizeof in, &out, sizeof out);
    if (!status) CHECK_INT(25, out);
    return status;
}

/* The longest of all, so they are divided. */
static const operation_t pool_creation = {"pool_create", NULL, pool_create, pool_destroy, NULL};
static void pool_creation_in_use(void) { try_in_use(&pool_creation); }
static void pool_creation_anew_once(void) { try_cold(&pool_creation, FAULT_ONCE); }
static void pool_creation_anew_onward(void) { try_cold(&pool_creation, FAULT_ONWARD); }
static void pool_creation_anew_short(void) { try_cold(&pool_creation, FAULT_SHORT); }
static void pool_creation_storms(void) { try_storms(&pool_creation); }

static const operation_t map = {"pool_map", pool_make, pool_map, NULL, pool_destroy};
static void pool_map_in_use(void) { try_in_use(&map); }
static void pool_map_anew(void) { try_anew(&map); }

static const operation_t job = {"pool_submit", pool_make, pool_submit, result_destroy,
                                pool_destroy};
static void pool_submit_in_use(void) { try_in_use(&job); }
static void pool_submit_anew(void) { try_anew(&job); }

static const operation_t apply = {"pool_apply", pool_make, pool_apply, NULL, pool_destroy};
static void pool_apply_in_use(void) { try_in_use(&apply); }
static void pool_apply_anew(void) { try_anew(&apply); }

/* Deaths of several workers, at each place one after the other, so that the pool has slots of ended
 * ones to let go of, then and at its end; guards.c ends a thread that enters guards within each
 * other. */
static apr_status_t die(const void *input, void *output) {
    (void)input, (void)output;
    _exit(3);
}

static void lose_workers(void) {
    things_t t = {0};
    pool_make(&t);
    for (int i = 0; i < 4; i++)
        CHECK_STATUS(COHORT_EWORKERDIED, cohort_pool_map(t.pool, die, NULL, 0, 4, NULL, 0));
    CHECK_STATUS(APR_SUCCESS, pool_map(&t));
    pool_destroy(&t);
}

static void guards_of_a_pool(void) {
    CHECK_STATUS(APR_SUCCESS, begin_cohort());
    lose_workers();
    holdings_t before = holdings_now();
    lose_workers();
    check_held("guards_of_a_pool", 0, &before);
    cohort_finalize();
}

const test_case_t faults_pool_cases[] = {
    {"Faults", "pool_creation_in_use", pool_creation_in_use},
    {"Faults", "pool_creation_anew_once", pool_creation_anew_once},
    {"Faults", "pool_creation_anew_onward", pool_creation_anew_onward},
    {"Faults", "pool_creation_anew_short", pool_creation_anew_short},
    {"Faults", "pool_creation_storms", pool_creation_storms},
    {"Faults", "pool_map_in_use", pool_map_in_use},
    {"Faults", "pool_map_anew", pool_map_anew},
    {"Faults", "pool_submit_in_use", pool_submit_in_use},
    {"Faults", "pool_submit_anew", pool_submit_anew},
    {"Faults", "pool_apply_in_use", pool_apply_in_use},
    {"Faults", "pool_apply_anew", pool_apply_anew},
    {"Faults", "guards_of_a_pool", guards_of_a_pool},
    {0},
};
