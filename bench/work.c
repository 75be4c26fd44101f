/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Pools, memory and locks, beside what malloc and a plain mutex cost in this process. */
#include "bench.h"

#include <apr_thread_mutex.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- pool -------------------------------------------------------------------------------------------------------- */

#define TASKS 1000000

static apr_status_t square(const void *input, void *output) {
    *(apr_int64_t *)output = *(const apr_int64_t *)input * *(const apr_int64_t *)input;
    return APR_SUCCESS;
}

typedef struct {
    cohort_pool_t *pool;
    apr_int64_t *in, *out;
    apr_size_t chunk;
} pool_arg_t;

static double run_map(void *arg, int count) {
    pool_arg_t *a = arg;
    double begin = bench_now();
    MUST(cohort_pool_map(a->pool, square, a->in, sizeof *a->in, (apr_size_t)count, a->out, sizeof *a->out,
                         &(cohort_map_options_t){.chunk = a->chunk}));
    double took = bench_now() - begin;
    for (int i = 0; i < count; i++) bench_check(a->out[i] == (apr_int64_t)i * i, "square");
    return took;
}

static double run_apply(void *arg, int count) {
    pool_arg_t *a = arg;
    double begin = bench_now();
    for (int i = 0; i < count; i++) {
        apr_int64_t in = i, out = -1;
        MUST(cohort_pool_apply(a->pool, square, &in, sizeof in, &out, sizeof out));
        bench_check(out == in * in, "square");
    }
    return bench_now() - begin;
}

void bench_pool(void) {
    pool_arg_t a = {.chunk = 1};
    MUST(cohort_pool_create(&a.pool, &(cohort_pool_options_t){.workers = 2}, NULL));
    MUST(cohort_alloc((void **)&a.in, TASKS * sizeof *a.in));
    MUST(cohort_alloc((void **)&a.out, TASKS * sizeof *a.out));
    for (int i = 0; i < TASKS; i++) a.in[i] = i;
    bench("pool.map.chunk1", "cohort", "ns", 1000, TASKS, run_map, &a);
    a.chunk = 0;
    bench("pool.map.default", "cohort", "ns", 1000, TASKS, run_map, &a);
    bench("pool.apply", "cohort", "us", 1, 2000, run_apply, &a);
    MUST(cohort_pool_destroy(a.pool));
    MUST(cohort_free(a.in));
    MUST(cohort_free(a.out));
}

/* ---- memory -------------------------------------------------------------------------------------------------------- */

#define HELD 64

static double run_shared(void *arg, int count) {
    size_t size = *(size_t *)arg;
    void *held[HELD] = {NULL};
    double begin = bench_now();
    for (int i = 0; i < count; i++) {
        MUST(cohort_free(held[i % HELD]));
        MUST(cohort_alloc(&held[i % HELD], size));
        *(char *)held[i % HELD] = 1;
    }
    for (int i = 0; i < HELD; i++) MUST(cohort_free(held[i]));
    return bench_now() - begin;
}

static double run_malloc(void *arg, int count) {
    size_t size = *(size_t *)arg;
    void *held[HELD] = {NULL};
    double begin = bench_now();
    for (int i = 0; i < count; i++) {
        free(held[i % HELD]);
        held[i % HELD] = malloc(size);
        bench_check(held[i % HELD] != NULL, "malloc");
        *(volatile char *)held[i % HELD] = 1;
    }
    for (int i = 0; i < HELD; i++) free(held[i]);
    return bench_now() - begin;
}

void bench_memory(void) {
    size_t sizes[] = {64, 4096};
    for (int i = 0; i < 2; i++) {
        char metric[40];
        snprintf(metric, sizeof metric, "alloc.%lu", (unsigned long)sizes[i]);
        bench(metric, "cohort", "ns", 1000, 1000000, run_shared, &sizes[i]);
        bench(metric, "malloc", "ns", 1000, 1000000, run_malloc, &sizes[i]);
    }
}

/* ---- lock -------------------------------------------------------------------------------------------------------------- */

static double run_lock(void *arg, int count) {
    double begin = bench_now();
    for (int i = 0; i < count; i++) {
        MUST(cohort_lock_acquire(arg, COHORT_FOREVER));
        MUST(cohort_lock_release(arg));
    }
    return bench_now() - begin;
}

static double run_mutex(void *arg, int count) {
    double begin = bench_now();
    for (int i = 0; i < count; i++) {
        MUST(apr_thread_mutex_lock(arg));
        MUST(apr_thread_mutex_unlock(arg));
    }
    return bench_now() - begin;
}

void bench_sync(void) {
    apr_pool_t *pool;
    cohort_lock_t *lock;
    apr_thread_mutex_t *mutex;
    MUST(apr_pool_create(&pool, NULL));
    MUST(cohort_lock_create(&lock, pool));
    MUST(apr_thread_mutex_create(&mutex, APR_THREAD_MUTEX_DEFAULT, pool));
    bench("lock.uncontended", "cohort", "ns", 1000, 2000000, run_lock, lock);
    bench("lock.uncontended", "apr-mutex", "ns", 1000, 2000000, run_mutex, mutex);
    apr_pool_destroy(pool);
}
