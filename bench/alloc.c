/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Shared memory beside malloc: each turn frees the block of 64 turns ago and allocates one. In one
 * process, and in two at the same time: both are figures of the same two processes, which work
 * alone and together in turns of a millisecond, so that a CPU which is slow for a while is slow for
 * both figures. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>

enum { HELD = 64, PROCESSES = 2, CYCLES = 100, TURNS = 50000 };

typedef struct {
    apr_size_t size;
    int with_malloc;
    cohort_barrier_t *barrier;
    double alone[PROCESSES], together[PROCESSES]; /* microseconds */
} work_t;

typedef struct {
    work_t *work;
    int number;
} part_t;

static char *volatile held[HELD]; /* of this process */

static int turn_shared(const work_t *w, int n) {
    for (int i = 0; i < n; i++) {
        void *block = held[i % HELD];
        if ((block && *(char *)block != (char)(i % HELD)) || cohort_free(block) ||
            cohort_alloc(&block, w->size))
            return 0;
        *(char *)block = (char)(i % HELD);
        held[i % HELD] = block;
    }
    return 1;
}

static int turn_malloc(const work_t *w, int n) {
    for (int i = 0; i < n; i++) {
        char *block = held[i % HELD];
        if (block && *block != (char)(i % HELD)) return 0;
        free(block);
        block = malloc(w->size);
        if (!block) return 0;
        *block = (char)(i % HELD);
        held[i % HELD] = block;
    }
    return 1;
}

static int turn(const work_t *w, int n) {
    return w->with_malloc ? turn_malloc(w, n) : turn_shared(w, n);
}

static void free_all(const work_t *w) {
    for (int i = 0; i < HELD; i++) {
        if (w->with_malloc) free(held[i]);
        else MUST(cohort_free(held[i]));
        held[i] = NULL;
    }
}

static int timed_turn(const work_t *w, double *took) {
    if (cohort_barrier_wait(w->barrier, NULL, COHORT_FOREVER)) return 0;
    double begin = bench_now();
    int done = turn(w, TURNS);
    *took += bench_now() - begin;
    return done;
}

/* In each cycle one after the other works alone, then all together. */
static int take_part(void *args) {
    const part_t *part = args;
    work_t *w = part->work;
    int done = turn(w, TURNS);
    for (int i = 0; i < CYCLES && done; i++) {
        for (int turn = 0; turn <= PROCESSES && done; turn++) {
            if (turn == PROCESSES || turn == part->number)
                done = timed_turn(w, turn == PROCESSES ? &w->together[part->number]
                                                       : &w->alone[part->number]);
            else done = cohort_barrier_wait(w->barrier, NULL, COHORT_FOREVER) == APR_SUCCESS;
        }
    }
    free_all(w);
    return !done;
}

/* Nanoseconds of a turn: of a process alone, and of both, with their rates added. */
static void run(apr_size_t size, int with_malloc, double *one, double *two) {
    work_t *w;
    cohort_process_t *p[PROCESSES];
    double alone = 0, together = 0;
    MUST(cohort_alloc((void **)&w, sizeof *w));
    *w = (work_t){.size = size, .with_malloc = with_malloc};
    MUST(cohort_barrier_create(&w->barrier, PROCESSES, NULL, NULL));
    for (int i = 0; i < PROCESSES; i++)
        p[i] = bench_start_child(take_part, &(part_t){w, i}, sizeof(part_t));
    for (int i = 0; i < PROCESSES; i++) bench_finish_child(p[i]);
    for (int i = 0; i < PROCESSES; i++) {
        alone += 1 / w->alone[i] / PROCESSES;
        together += 1 / w->together[i];
    }
    *one = 1000 / alone / CYCLES / TURNS;
    *two = 1000 / together / CYCLES / TURNS;
    MUST(cohort_barrier_destroy(w->barrier));
    MUST(cohort_free(w));
}

static void contest(apr_size_t size, const char *one, const char *two) {
    static const char *const peers[] = {"cohort", "malloc"};
    double alone[2][BENCH_REPEATS_MAX], together[2][BENCH_REPEATS_MAX];
    int repeats = bench_repeats();
    for (int r = 0; r < repeats; r++) {
        for (int i = 0; i < 2; i++) {
            int peer = (i + r) % 2;
            run(size, peer, &alone[peer][r], &together[peer][r]);
        }
    }
    for (int i = 0; i < 2; i++) bench_print(one, peers[i], "ns", alone[i], repeats);
    for (int i = 0; i < 2; i++) bench_print(two, peers[i], "ns", together[i], repeats);
}

void bench_section_alloc(void) {
    contest(64, "alloc.64B.1", "alloc.64B.2");
    contest(4096, "alloc.4KiB.1", "alloc.4KiB.2");
}
