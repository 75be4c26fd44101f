/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Crossings of a barrier by a number of processes, of which this one holds the clock. Each sees after a crossing that
 * nobody is behind. */
#include "bench.h"

#include <stdatomic.h>
#include <stdio.h>

enum { PARTIES = 64 };

typedef struct {
    _Atomic int crossing; /* the last that its party has begun */
    char apart[60];
} place_t;

typedef struct {
    cohort_barrier_t *barrier;
    place_t *places;
    int parties, who;
} share_t;

static apr_status_t cross(const share_t *s, int crossing) {
    atomic_store_explicit(&s->places[s->who].crossing, crossing, memory_order_release);
    apr_status_t status = cohort_barrier_wait(s->barrier, NULL, COHORT_FOREVER);
    if (status)
        return status;
    int other = atomic_load_explicit(&s->places[(s->who + 1) % s->parties].crossing, memory_order_acquire);
    return other == crossing || other == crossing + 1 ? APR_SUCCESS : APR_EGENERAL;
}

/* Until the one with the clock breaks it. */
static int party(void *args) {
    apr_status_t status = APR_SUCCESS;
    for (int i = 0; status == APR_SUCCESS; i++)
        status = cross(args, i);
    return status != COHORT_EBROKEN;
}

static void cross_block(void *arg, int first, int n) {
    for (int i = first; i < first + n; i++)
        MUST(cross(arg, i + 1));
}

static double run(void *arg, int count) {
    cohort_process_t *p[PARTIES];
    share_t s = {.parties = *(int *)arg};
    MUST(cohort_barrier_create(&s.barrier, (unsigned)s.parties, NULL, NULL));
    MUST(cohort_alloc((void **)&s.places, PARTIES * sizeof *s.places));
    for (int i = 0; i < PARTIES; i++)
        atomic_init(&s.places[i].crossing, -1);
    for (s.who = 1; s.who < s.parties; s.who++)
        p[s.who] = bench_start_child(party, &s, sizeof s);
    s.who = 0;
    MUST(cross(&s, 0));
    double took = bench_blocks(cross_block, &s, count);
    MUST(cohort_barrier_abort(s.barrier));
    for (int i = 1; i < s.parties; i++)
        bench_finish_child(p[i]);
    MUST(cohort_barrier_destroy(s.barrier));
    MUST(cohort_free(s.places));
    return took;
}

void bench_section_barrier(void) {
    static int parties[] = {2, 4, 8, 64};
    for (int i = 0; i < 4; i++) {
        char metric[40];
        bench_contestant_t cohort[] = {{"cohort", run, &parties[i], NULL}};
        snprintf(metric, sizeof metric, "barrier.%d", parties[i]);
        BENCH_CONTEST((&(bench_contest_t){metric, "us", BENCH_US, 20, 1000000}), cohort,
                      parties[i] == 2 ? "raw:spin raw:pthread raw:futex mpi:barrier python:Barrier"
                                      : "raw:pthread raw:futex mpi:barrier python:Barrier");
    }
}
