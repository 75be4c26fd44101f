/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Shared memory beside malloc: each turn frees the block of 64 turns ago and allocates one. In one process, and in two
 * at the same time. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>

enum { HELD = 64, PROCESSES = 2 };

typedef struct {
    apr_size_t size;
    int with_malloc, processes, count;
    cohort_barrier_t *barrier;
} work_t;

static char *volatile held[HELD]; /* of this process */

static int turn_shared(const work_t *w, int first, int n) {
    for (int i = first; i < first + n; i++) {
        void *block = held[i % HELD];
        if ((block && *(char *)block != (char)(i % HELD)) || cohort_free(block) || cohort_alloc(&block, w->size))
            return 0;
        *(char *)block = (char)(i % HELD);
        held[i % HELD] = block;
    }
    return 1;
}

static int turn_malloc(const work_t *w, int first, int n) {
    for (int i = first; i < first + n; i++) {
        char *block = held[i % HELD];
        if (block && *block != (char)(i % HELD))
            return 0;
        free(block);
        block = malloc(w->size);
        if (!block)
            return 0;
        *block = (char)(i % HELD);
        held[i % HELD] = block;
    }
    return 1;
}

static int turn(const work_t *w, int first, int n) {
    return w->with_malloc ? turn_malloc(w, first, n) : turn_shared(w, first, n);
}

static void free_all(const work_t *w) {
    for (int i = 0; i < HELD; i++) {
        if (w->with_malloc)
            free(held[i]);
        else
            MUST(cohort_free(held[i]));
        held[i] = NULL;
    }
}

static int one_of_two(void *args) {
    work_t *w = *(work_t **)args;
    if (!turn(w, 0, 1000) || cohort_barrier_wait(w->barrier, NULL, COHORT_FOREVER) || !turn(w, 0, w->count))
        return 1;
    return cohort_barrier_wait(w->barrier, NULL, COHORT_FOREVER) != APR_SUCCESS;
}

static double run_two(const work_t *arg, int count) {
    work_t *w;
    cohort_process_t *p[PROCESSES];
    MUST(cohort_alloc((void **)&w, sizeof *w));
    *w = *arg;
    w->count = count;
    MUST(cohort_barrier_create(&w->barrier, PROCESSES + 1, NULL, NULL));
    for (int i = 0; i < PROCESSES; i++)
        p[i] = bench_start_child(one_of_two, &w, sizeof w);
    MUST(cohort_barrier_wait(w->barrier, NULL, COHORT_FOREVER));
    double begin = bench_now();
    MUST(cohort_barrier_wait(w->barrier, NULL, COHORT_FOREVER));
    double took = bench_now() - begin;
    for (int i = 0; i < PROCESSES; i++)
        bench_finish_child(p[i]);
    MUST(cohort_barrier_destroy(w->barrier));
    MUST(cohort_free(w));
    return took / PROCESSES; /* of a turn, by all of them */
}

static void turn_block(void *arg, int first, int n) {
    bench_check(turn(arg, first, n), "blocks");
}

static double run(void *arg, int count) {
    const work_t *w = arg;
    if (w->processes > 1)
        return run_two(w, count);
    double took = bench_blocks(turn_block, arg, count);
    free_all(w);
    return took;
}

/* One process and several in turns, since they are compared with each other. */
static void contest(apr_size_t size, const char *one, const char *more) {
    work_t work[4];
    for (int i = 0; i < 4; i++)
        work[i] = (work_t){.size = size, .processes = i < 2 ? 1 : PROCESSES, .with_malloc = i % 2};
    bench_contestant_t all[] = {{"cohort", run, &work[0], one},
                                {"malloc", run, &work[1], one},
                                {"cohort", run, &work[2], more},
                                {"malloc", run, &work[3], more}};
    BENCH_CONTEST((&(bench_contest_t){one, "ns", BENCH_NS, 1000, 20000000}), all, NULL);
}

void bench_section_alloc(void) {
    contest(64, "alloc.64B.1", "alloc.64B.2");
    contest(4096, "alloc.4KiB.1", "alloc.4KiB.2");
}
