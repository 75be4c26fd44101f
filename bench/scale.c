/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* How the cost of one more grows with how many there are: of a start, a message, a task, a
 * block. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- a start, beside many that live --------------------------------------------------------- */

/* Live either by themselves, or waiting in Cohort, which every death of a process wakes for a look
 * around. */
static int live(void *args) {
    cohort_event_t *over = *(cohort_event_t **)args;
    if (over) return cohort_event_wait(over, COHORT_FOREVER) != APR_SUCCESS;
    for (;;) apr_sleep(60000000);
}

static int nothing(void *args) {
    (void)args;
    return 0;
}

static double run_start(void *arg, int count) {
    (void)arg;
    double begin = bench_now();
    for (int i = 0; i < count; i++) bench_finish_child(bench_start_child(nothing, NULL, 0));
    return bench_now() - begin;
}

static void starts(const char *kind, cohort_event_t *over, const int *numbers, int sizes) {
    static cohort_process_t *children[2000];
    int n = 0;
    for (int i = 0; i < sizes; i++) {
        char metric[40];
        bench_contestant_t cohort[] = {{"cohort", run_start, NULL, NULL}};
        while (n < numbers[i]) children[n++] = bench_start_child(live, &over, sizeof over);
        snprintf(metric, sizeof metric, "scale.%s.%d", kind, numbers[i]);
        BENCH_CONTEST((&(bench_contest_t){metric, "us", BENCH_US, 10, 2000}), cohort, NULL);
    }
    for (int i = 0; i < n; i++) MUST(cohort_process_kill(children[i]));
    for (int i = 0; i < n; i++) {
        MUST(cohort_process_join(children[i], COHORT_FOREVER));
        MUST(cohort_process_destroy(children[i]));
    }
}

static void all_starts(void) {
    static const int living[] = {1, 10, 100, 500, 1000, 2000}, waiting[] = {1, 10, 100, 200};
    cohort_event_t *over;
    starts("start", NULL, living, 6);
    MUST(cohort_event_create(&over, NULL));
    starts("waiting", over, waiting, 4);
    MUST(cohort_event_destroy(over));
}

/* ---- a message of many producers ------------------------------------------------------------ */

static double run_messages(void *arg, int count) { return bench_queue_run(*(int *)arg, count); }

static void messages(void) {
    static int producers[] = {1, 2, 4, 8, 16, 32, 64};
    for (int i = 0; i < 7; i++) {
        char metric[40];
        bench_contestant_t cohort[] = {{"cohort", run_messages, &producers[i], NULL}};
        snprintf(metric, sizeof metric, "scale.message.%d", producers[i]);
        BENCH_CONTEST((&(bench_contest_t){metric, "ns", BENCH_NS, 2000, 8000000}), cohort, NULL);
    }
}

/* ---- a task of many workers ----------------------------------------------------------------- */

static apr_status_t square(const void *input, void *output) {
    *(apr_int64_t *)output = *(const apr_int64_t *)input * *(const apr_int64_t *)input;
    return APR_SUCCESS;
}

enum { TASKS = 200000 };

typedef struct {
    cohort_pool_t *pool;
    apr_int64_t *in, *out;
} map_t;

static double run_tasks(void *arg, int count) {
    map_t *m = arg;
    for (int i = 0; i < count; i++) {
        m->in[i] = i;
        m->out[i] = -1;
    }
    double begin = bench_now();
    MUST(cohort_pool_run(m->pool, &(cohort_job_t){.task = square,
                                                  COHORT_INPUTS(m->in, (apr_size_t)count),
                                                  COHORT_OUTPUTS(m->out),
                                                  .chunk = 1}));
    double took = bench_now() - begin;
    for (int i = 0; i < count; i++) bench_check(m->out[i] == (apr_int64_t)i * i, "square");
    return took;
}

static void tasks(void) {
    static const int workers[] = {1, 2, 4, 16, 64, 256};
    map_t map;
    MUST(cohort_alloc((void **)&map.in, TASKS * sizeof *map.in));
    MUST(cohort_alloc((void **)&map.out, TASKS * sizeof *map.out));
    for (int i = 0; i < 6; i++) {
        char metric[40];
        bench_contestant_t cohort[] = {{"cohort", run_tasks, &map, NULL}};
        MUST(cohort_pool_create(&map.pool, &(cohort_pool_options_t){.workers = workers[i]}, NULL));
        snprintf(metric, sizeof metric, "scale.task.%d", workers[i]);
        BENCH_CONTEST((&(bench_contest_t){metric, "ns", BENCH_NS, TASKS, 0}), cohort, NULL);
        MUST(cohort_pool_destroy(map.pool));
    }
    MUST(cohort_free(map.in));
    MUST(cohort_free(map.out));
}

/* ---- a block beside many -------------------------------------------------------------------- */

enum { BLOCK = 64 };

/* One more block, written and freed. */
static double run_blocks(void *arg, int count) {
    (void)arg;
    double begin = bench_now();
    for (int i = 0; i < count; i++) {
        char *block;
        MUST(cohort_alloc((void **)&block, BLOCK));
        *block = (char)i;
        MUST(cohort_free(block));
    }
    return bench_now() - begin;
}

static void blocks(void) {
    static const int held[] = {1000, 10000, 100000, 1000000};
    void **all = malloc(sizeof *all * 1000000);
    int n = 0;
    cohort_arena_usage_t usage, empty;
    bench_check(all != NULL, "memory");
    MUST(cohort_arena_usage(&empty));
    for (int i = 0; i < 4; i++) {
        char metric[40];
        bench_contestant_t cohort[] = {{"cohort", run_blocks, NULL, NULL}};
        double begin = bench_now(), first = n;
        while (n < held[i]) MUST(cohort_alloc(&all[n++], BLOCK));
        double each = (bench_now() - begin) / (n - first) * 1e3;
        MUST(cohort_arena_usage(&usage));
        double bytes = (double)(usage.committed - empty.committed) / n;
        snprintf(metric, sizeof metric, "scale.fill.%d", held[i]);
        bench_print(metric, "cohort", "ns", &each, 1);
        snprintf(metric, sizeof metric, "scale.bytes.%d", held[i]);
        if (bytes > 0) /* else what was kept from before was enough */
            bench_print(metric, "cohort", "B", &bytes, 1);
        snprintf(metric, sizeof metric, "scale.block.%d", held[i]);
        BENCH_CONTEST((&(bench_contest_t){metric, "ns", BENCH_NS, 1000, 10000000}), cohort, NULL);
    }
    while (n > 0) MUST(cohort_free(all[--n]));
    free(all);
}

void bench_section_scale(void) {
    all_starts();
    messages();
    tasks();
    blocks();
}
