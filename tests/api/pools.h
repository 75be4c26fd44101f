/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What the tests of pools share: pools, squares to compute, and tasks that are held up
 * or fail. */
#ifndef COHORT_TESTS_POOLS_H
#define COHORT_TESTS_POOLS_H

#include "parties.h"

static inline cohort_pool_t *new_pool(int workers) {
    cohort_pool_options_t options = {.workers = workers, .name = "P"};
    cohort_pool_t *pool = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&pool, &options, test_pool()));
    return pool;
}

/* A job of these members of a cohort_job_t: submitted, or run. */
#define SUBMIT(result, pool, parent, ...) \
    CHECK_STATUS(APR_SUCCESS,             \
                 cohort_pool_submit(result, pool, &(cohort_job_t){__VA_ARGS__}, parent))
#define RUN(pool, ...) \
    CHECK_STATUS(APR_SUCCESS, cohort_pool_run(pool, &(cohort_job_t){__VA_ARGS__}))

static inline void finish_pool(cohort_pool_t *pool) {
    CHECK_STATUS(APR_SUCCESS, cohort_pool_close(pool));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_join(pool, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
}

static inline int count_workers(cohort_pool_t *pool) {
    cohort_process_t **workers;
    apr_size_t n;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_workers(pool, &workers, &n, test_pool()));
    return n;
}

static inline apr_status_t square(const void *input, void *output) {
    int x = *(const int *)input;
    *(int *)output = (int)((unsigned)x * (unsigned)x); /* of large ones what is left */
    return APR_SUCCESS;
}

static inline void fill(int *list, int n) {
    for (int i = 0; i < n; i++) list[i] = i;
}

static inline void check_squares(const int *list, int n) {
    for (int i = 0; i < n; i++) CHECK_INT(i * i, list[i]);
}

static inline void check_works(cohort_pool_t *pool) {
    int in[40], out[40];
    fill(in, 40);
    memset(out, 0, sizeof out);
    CHECK_STATUS(APR_SUCCESS, COHORT_MAP(pool, square, in, 40, out));
    check_squares(out, 40);
}

/* A task that other processes watch and hold up. */
typedef struct {
    _Atomic int begun, done, open, runs;
} gate_t;

static inline apr_status_t pass_gate(const void *input, void *output) {
    gate_t *gate = *(gate_t *const *)input;
    (void)output;
    atomic_fetch_add(&gate->begun, 1);
    while (!atomic_load(&gate->open)) apr_sleep(1000);
    atomic_fetch_add(&gate->done, 1);
    return APR_SUCCESS;
}

static inline gate_t *new_gate(void) { return party_memory(sizeof(gate_t)); }

static inline void kill_worker(cohort_pool_t *pool) {
    cohort_process_t **workers;
    apr_size_t n;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_workers(pool, &workers, &n, test_pool()));
    for (apr_size_t i = 0; i < n; i++) CHECK_STATUS(APR_SUCCESS, cohort_process_kill(workers[i]));
}

static inline apr_status_t odd_fails(const void *input, void *output) {
    int x = *(const int *)input;
    *(int *)output = x;
    if (x % 2 == 0) return APR_SUCCESS;
    return x == 1 ? APR_ENOTIMPL : cohort_task_fail(APR_EINVAL, "%d is odd", x);
}

typedef struct {
    cohort_pool_t *pool;
} submit_t;

#endif
