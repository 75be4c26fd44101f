/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Waits for many things of which one becomes ready: by a wait set of 1, 100 and 10,000 events,
 * beside the system's epoll over as many of its own (eventfd); and by one flat call, which looks at
 * all. Each turn makes another one ready, waits, sees that it is the one, and takes that back.
 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>

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
}
