/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* A pool is run by a program, or by a library that the program opens: builds.sh builds both. */
#include "pool.h"

#include <cohort/cohort.h>
#include <stdio.h>

#define N 100

static apr_status_t square(const void *input, void *output) {
    int number = *(const int *)input;
    *(int *)output = number * number;
    return APR_SUCCESS;
}

static apr_status_t fill(int *in, int *out) {
    cohort_pool_t *pool;
    for (int i = 0; i < N; i++) in[i] = i;
    apr_status_t status = cohort_pool_create(&pool, NULL, NULL);
    if (status != APR_SUCCESS) return status;
    status = COHORT_MAP(pool, square, in, N, out);
    apr_status_t last = cohort_pool_destroy(pool);
    return status != APR_SUCCESS ? status : last;
}

int run_pool(void) {
    int in[N], out[N] = {0}, wrong = 0;
    apr_status_t status = cohort_initialize(NULL);
    if (status == APR_SUCCESS) status = fill(in, out);
    if (status != APR_SUCCESS) {
        fprintf(stderr, "pool: %s\n", cohort_last_error());
        return 1;
    }
    for (int i = 0; i < N; i++) wrong += out[i] != i * i;
    printf("pool: %d results, %d wrong\n", N, wrong);
    return wrong != 0;
}
