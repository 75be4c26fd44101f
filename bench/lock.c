/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* A lock: taken and given back by a process that is alone, and fought for by 2 and 8 processes that
 * count up what it guards.
 */
#include "bench.h"

#include <apr_thread_mutex.h>
#include <stdio.h>

enum { PROCESSES = 8 };

static void turns_alone(void *arg, int first, int n) {
    for (int i = first; i < first + n; i++) {
        MUST(cohort_lock_acquire(arg, COHORT_FOREVER));
        MUST(cohort_lock_release(arg));
    }
}

static double run_alone(void *arg, int count) { return bench_blocks(turns_alone, arg, count); }

static void turns_apr(void *arg, int first, int n) {
    for (int i = first; i < first + n; i++) {
        MUST(apr_thread_mutex_lock(arg));
        MUST(apr_thread_mutex_unlock(arg));
    }
}

static double run_apr(void *arg, int count) { return bench_blocks(turns_apr, arg, count); }

typedef struct {
    cohort_lock_t *lock;
    cohort_barrier_t *barrier;
    volatile apr_uint64_t *counter;
    int turns;
} share_t;

static int fighter(void *args) {
    const share_t *s = args;
    if (cohort_barrier_wait(s->barrier, NULL, COHORT_FOREVER)) return 1;
    for (int i = 0; i < s->turns; i++) {
        if (cohort_lock_acquire(s->lock, COHORT_FOREVER)) return 1;
        ++*s->counter;
        if (cohort_lock_release(s->lock)) return 1;
    }
    return cohort_barrier_wait(s->barrier, NULL, COHORT_FOREVER) != APR_SUCCESS;
}

static double run_fight(void *arg, int count) {
    int processes = *(int *)arg;
    cohort_process_t *p[PROCESSES];
    share_t s = {.turns = count / processes + 1};
    MUST(cohort_lock_create(&s.lock, NULL));
    MUST(cohort_barrier_create(&s.barrier, (unsigned)processes + 1, NULL, NULL));
    MUST(cohort_alloc((void **)&s.counter, sizeof *s.counter));
    *s.counter = 0;
    for (int i = 0; i < processes; i++) p[i] = bench_start_child(fighter, &s, sizeof s);
    MUST(cohort_barrier_wait(s.barrier, NULL, COHORT_FOREVER));
    double begin = bench_now();
    MUST(cohort_barrier_wait(s.barrier, NULL, COHORT_FOREVER));
    double took = bench_now() - begin;
    for (int i = 0; i < processes; i++) bench_finish_child(p[i]);
    double turns = (double)s.turns * processes;
    bench_check(*s.counter == (apr_uint64_t)turns, "count under the lock");
    MUST(cohort_barrier_destroy(s.barrier));
    MUST(cohort_lock_destroy(s.lock));
    MUST(cohort_free((void *)s.counter));
    return took * count / turns;
}

void bench_section_lock(void) {
    static int fights[] = {2, 8};
    apr_pool_t *pool;
    cohort_lock_t *lock;
    apr_thread_mutex_t *mutex;
    MUST(apr_pool_create(&pool, NULL));
    MUST(cohort_lock_create(&lock, pool));
    MUST(apr_thread_mutex_create(&mutex, APR_THREAD_MUTEX_DEFAULT, pool));
    bench_contestant_t alone[] = {{"cohort", run_alone, lock, NULL},
                                  {"apr-mutex", run_apr, mutex, NULL}};
    BENCH_CONTEST((&(bench_contest_t){"lock.uncontended", "ns", BENCH_NS, 1000, 20000000}), alone,
                  "raw:mutex raw:robust");
    apr_pool_destroy(pool);
    for (int i = 0; i < 2; i++) {
        char metric[40];
        bench_contestant_t cohort[] = {{"cohort", run_fight, &fights[i], NULL}};
        snprintf(metric, sizeof metric, "lock.contended.%d", fights[i]);
        BENCH_CONTEST((&(bench_contest_t){metric, "/s", BENCH_PER_S, 1000, 10000000}), cohort,
                      "raw:mutex raw:robust");
    }
}
