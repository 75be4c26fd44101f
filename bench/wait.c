/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Waits for many things of which one becomes ready: by a wait set of 1, 100 and 10,000 events,
 * beside the system's epoll over as many of its own (eventfd); and by one flat call, which looks at
 * all. Each turn makes another one ready, waits, sees that it is the one, and takes that back. And
 * what waits cost in which nothing becomes ready.
 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    int n;
    cohort_event_t **events;
    cohort_waitset_t *set;
    cohort_waitable_t *items;
} crowd_t;

static cohort_event_t *one_of(const crowd_t *crowd, int turn) {
    return crowd->events[(apr_uint64_t)turn * 7919 % (apr_uint64_t)crowd->n];
}

static void turns_of_set(void *arg, int first, int n) {
    crowd_t *crowd = arg;
    for (int i = first; i < first + n; i++) {
        cohort_event_t *event = one_of(crowd, i);
        cohort_waitable_t ready[16];
        apr_size_t count = 0;
        MUST(cohort_event_set(event));
        MUST(cohort_waitset_wait(crowd->set, ready, 16, &count, COHORT_FOREVER));
        bench_check(count == 1 && ready[0].object == event, "what a wait set tells");
        MUST(cohort_event_clear(event));
    }
}

static void turns_of_call(void *arg, int first, int n) {
    crowd_t *crowd = arg;
    for (int i = first; i < first + n; i++) {
        cohort_event_t *event = one_of(crowd, i);
        MUST(cohort_event_set(event));
        MUST(cohort_wait(crowd->items, (apr_size_t)crowd->n, COHORT_WAIT_ANY, COHORT_FOREVER));
        MUST(cohort_event_clear(event));
    }
}

static double run_set(void *arg, int count) { return bench_blocks(turns_of_set, arg, count); }

static double run_call(void *arg, int count) { return bench_blocks(turns_of_call, arg, count); }

static void gather(crowd_t *crowd, apr_pool_t *pool) {
    crowd->events = apr_pcalloc(pool, (apr_size_t)crowd->n * sizeof(cohort_event_t *));
    crowd->items = apr_pcalloc(pool, (apr_size_t)crowd->n * sizeof(cohort_waitable_t));
    MUST(cohort_waitset_create(&crowd->set, pool));
    for (int i = 0; i < crowd->n; i++) {
        MUST(cohort_event_create(&crowd->events[i], pool));
        crowd->items[i] = (cohort_waitable_t){.object = crowd->events[i]};
        MUST(cohort_waitset_add(crowd->set, &crowd->items[i]));
    }
}

/* ---- idle ----------------------------------------------------------------------------------- */

enum { IDLE_ITEMS = 100 };

static int wait_in_vain(void *args) {
    const crowd_t *crowd = args;
    return cohort_wait(crowd->items, IDLE_ITEMS, COHORT_WAIT_ANY, COHORT_FOREVER) != APR_SUCCESS;
}

/* With a set of its own: they are not inherited. */
static int wait_in_vain_by_a_set(void *args) {
    const crowd_t *crowd = args;
    cohort_waitset_t *set;
    cohort_waitable_t ready[4];
    apr_size_t count;
    MUST(cohort_waitset_create(&set, NULL));
    for (int i = 0; i < IDLE_ITEMS; i++)
        MUST(cohort_waitset_add(set, &(cohort_waitable_t){.object = crowd->events[i]}));
    return cohort_waitset_wait(set, ready, 4, &count, COHORT_FOREVER) != APR_SUCCESS;
}

static double cpu_of(cohort_process_t *const *processes, int n) {
    double all = 0;
    for (int i = 0; i < n; i++) {
        double one = bench_cpu_seconds(cohort_process_pid(processes[i]));
        if (one < 0) return -1;
        all += one;
    }
    return all;
}

/* Ten seconds of a process in a flat call and one with a set, of 100 events each. */
static void idle_waits(void) {
    apr_pool_t *pool;
    MUST(apr_pool_create(&pool, NULL));
    crowd_t crowd = {.n = IDLE_ITEMS}, *shared;
    gather(&crowd, pool);
    MUST(cohort_alloc((void **)&shared, sizeof *shared + IDLE_ITEMS * sizeof *crowd.items +
                                            IDLE_ITEMS * sizeof *crowd.events));
    shared->items = (cohort_waitable_t *)(shared + 1);
    shared->events = (cohort_event_t **)(shared->items + IDLE_ITEMS);
    memcpy(shared->items, crowd.items, IDLE_ITEMS * sizeof *crowd.items);
    memcpy(shared->events, crowd.events, IDLE_ITEMS * sizeof *crowd.events);
    cohort_process_t *waiting[] = {
        bench_start_child(wait_in_vain, shared, sizeof *shared),
        bench_start_child(wait_in_vain_by_a_set, shared, sizeof *shared)};
    apr_sleep(1000000);
    double before = cpu_of(waiting, 2);
    apr_sleep(10000000);
    double used = (cpu_of(waiting, 2) - before) * 1e3;
    if (before >= 0) bench_print("wait.idle.cpu", "cohort", "ms", &used, 1);
    MUST(cohort_event_set(crowd.events[0]));
    for (int i = 0; i < 2; i++) bench_finish_child(waiting[i]);
    MUST(cohort_free(shared));
    apr_pool_destroy(pool);
}

void bench_section_wait(void) {
    static const int sizes[] = {1, 100, 10000};
    for (int i = 0; i < 3; i++) {
        apr_pool_t *pool;
        crowd_t crowd = {.n = sizes[i]};
        char metric[40];
        MUST(apr_pool_create(&pool, NULL));
        gather(&crowd, pool);
        bench_contestant_t set[] = {{"cohort", run_set, &crowd, NULL}};
        snprintf(metric, sizeof metric, "waitset.%d", crowd.n);
        BENCH_CONTEST((&(bench_contest_t){metric, "ns", BENCH_NS, 1000, 2000000}), set,
                      "raw:epoll");
        bench_contestant_t call[] = {{"cohort", run_call, &crowd, NULL}};
        snprintf(metric, sizeof metric, "wait.%d", crowd.n);
        BENCH_CONTEST((&(bench_contest_t){metric, "ns", BENCH_NS, 100, 2000000}), call, NULL);
        apr_pool_destroy(pool);
    }
    idle_waits();
}
