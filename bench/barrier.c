/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Crossings of a barrier by a number of processes, of which this one holds the clock. Each sees
 * after a crossing that nobody is behind. */
#include "bench.h"

#include <stdatomic.h>
#include <stdio.h>

enum {
    PARTIES = 64,
    TOGETHER = 500, /* crossings on one CPU, for those that begin there */
    AFTER = 10000   /* microseconds that they have to get apart */
};

typedef struct {
    _Atomic int crossing; /* the last that its party has begun */
    char apart[60];
} place_t;

typedef struct {
    cohort_barrier_t *barrier;
    place_t *places;
    int parties, number, together;
} share_t;

typedef struct {
    int parties, together;
} way_t;

static apr_status_t cross(const share_t *s, int crossing) {
    atomic_store_explicit(&s->places[s->number].crossing, crossing, memory_order_release);
    apr_status_t status = cohort_barrier_wait(s->barrier, NULL, COHORT_FOREVER);
    if (status) return status;
    int other = atomic_load_explicit(&s->places[(s->number + 1) % s->parties].crossing,
                                     memory_order_acquire);
    return other == crossing || other == crossing + 1 ? APR_SUCCESS : APR_EGENERAL;
}

/* The first crossings, on one CPU; then the system may place them as it likes. */
static apr_status_t begin_together(const share_t *s) {
    apr_status_t status = APR_SUCCESS;
    bench_check(bench_pin(0), "pin");
    for (int i = 0; status == APR_SUCCESS && i < TOGETHER; i++) status = cross(s, i);
    bench_check(bench_pin(-1), "unpin");
    return status;
}

/* Until the one with the clock breaks it. */
static int party(void *args) {
    const share_t *s = args;
    apr_status_t status = s->together ? begin_together(s) : APR_SUCCESS;
    for (int i = s->together ? TOGETHER : 0; status == APR_SUCCESS; i++) status = cross(s, i);
    return status != COHORT_EBROKEN;
}

typedef struct {
    const share_t *share;
    int crossed;
} holder_t;

static void cross_block(void *arg, int first, int n) {
    const holder_t *h = arg;
    for (int i = first; i < first + n; i++) MUST(cross(h->share, h->crossed + i));
}

static int settle(const share_t *s) {
    if (!s->together) {
        MUST(cross(s, 0));
        return 1;
    }
    int crossed = TOGETHER;
    MUST(begin_together(s));
    for (double end = bench_now() + AFTER; bench_now() < end; crossed++) MUST(cross(s, crossed));
    return crossed;
}

static double run(void *arg, int count) {
    cohort_process_t *p[PARTIES];
    const way_t *way = arg;
    share_t s = {.parties = way->parties, .together = way->together};
    MUST(cohort_barrier_create(&s.barrier, (unsigned)s.parties, NULL, NULL));
    MUST(cohort_alloc((void **)&s.places, PARTIES * sizeof *s.places));
    for (int i = 0; i < PARTIES; i++) atomic_init(&s.places[i].crossing, -1);
    for (s.number = 1; s.number < s.parties; s.number++)
        p[s.number] = bench_start_child(party, &s, sizeof s);
    s.number = 0;
    holder_t holder = {&s, settle(&s)};
    double took = bench_blocks(cross_block, &holder, count);
    MUST(cohort_barrier_abort(s.barrier));
    for (int i = 1; i < s.parties; i++) bench_finish_child(p[i]);
    MUST(cohort_barrier_destroy(s.barrier));
    MUST(cohort_free(s.places));
    return took;
}

static void two(void) {
    static way_t free_way = {2, 0}, together = {2, 1};
    bench_contestant_t cohort[] = {{"cohort", run, &free_way, NULL},
                                   {"cohort", run, &together, "barrier.2.parted"}};
    int can_pin = bench_pin(0);
    bench_check(bench_pin(-1), "unpin");
    if (!can_pin) bench_comment("left out: barrier.2.parted (cannot be arranged here)");
    bench_contest(&(bench_contest_t){"barrier.2", "us", BENCH_US, 20, 1000000}, cohort,
                  can_pin ? 2 : 1, "raw:spin raw:pthread raw:futex mpi:barrier python:Barrier");
}

void bench_section_barrier(void) {
    static way_t ways[] = {{4, 0}, {8, 0}, {64, 0}};
    two();
    for (int i = 0; i < 3; i++) {
        char metric[40];
        bench_contestant_t cohort[] = {{"cohort", run, &ways[i], NULL}};
        snprintf(metric, sizeof metric, "barrier.%d", ways[i].parties);
        BENCH_CONTEST((&(bench_contest_t){metric, "us", BENCH_US, 20, 1000000}), cohort,
                      "raw:pthread raw:futex mpi:barrier python:Barrier");
    }
}
