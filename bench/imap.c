/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Imaps of two workers, each beside a map with chunks of one item in its turns: what an empty item
 * costs, and how much of two processors the work gets with 64 items under way. */
#include "bench.h"
#include "burn.h"

#include <stdio.h>

enum { ITEMS = 200000, WINDOW = 64 };

typedef struct {
    cohort_pool_t *pool;
    apr_uint64_t *in, *out;
    cohort_task_t task;
    int unordered;
    double us; /* of a task; 0: nothing but a square */
} work_t;

static apr_status_t square(const void *input, void *output) {
    *(apr_uint64_t *)output = *(const apr_uint64_t *)input * *(const apr_uint64_t *)input;
    return APR_SUCCESS;
}

static apr_status_t burn_task(const void *input, void *output) {
    *(apr_uint64_t *)output = burn(*(const apr_uint64_t *)input);
    return APR_SUCCESS;
}

/* ---- the work ------------------------------------------------------------------------------- */

typedef struct {
    const apr_uint64_t *next, *end;
} source_t;

static apr_status_t next_input(void *arg, void *input) {
    source_t *source = arg;
    if (source->next == source->end) return APR_EOF;
    *(apr_uint64_t *)input = *source->next++;
    return APR_SUCCESS;
}

static void by_imap(const work_t *w, int count) {
    source_t source = {w->in, w->in + count};
    cohort_job_t job = {
        .task = w->task, .input_size = sizeof(apr_uint64_t), .output_size = sizeof(apr_uint64_t)};
    cohort_imap_options_t options = {
        .source = next_input, .source_arg = &source, .window = WINDOW, .unordered = w->unordered};
    cohort_imap_t *imap;
    apr_uint64_t output;
    cohort_item_t item = {.data = &output, .capacity = sizeof output};
    apr_status_t status;
    int got = 0;
    MUST(cohort_pool_imap(&imap, w->pool, &job, &options, NULL));
    for (; !(status = cohort_imap_next(imap, &item, COHORT_FOREVER)); got++)
        w->out[item.index] = output;
    bench_check(status == APR_EOF && got == count, "every item");
    MUST(cohort_imap_destroy(imap));
}

static void by_map(const work_t *w, int count) {
    MUST(cohort_pool_run(w->pool, &(cohort_job_t){.task = w->task,
                                                  COHORT_INPUTS(w->in, (apr_size_t)count),
                                                  COHORT_OUTPUTS(w->out),
                                                  .chunk = 1}));
}

/* ---- contests ------------------------------------------------------------------------------- */

typedef void (*way_t)(const work_t *w, int count);

static double squares(const work_t *w, int count, way_t way) {
    for (int i = 0; i < count; i++) w->in[i] = (apr_uint64_t)i;
    double begin = bench_now();
    way(w, count);
    double took = bench_now() - begin;
    for (int i = 0; i < count; i++) bench_check(w->out[i] == w->in[i] * w->in[i], "square");
    return took;
}

static double share(const work_t *w, int count, way_t way) {
    apr_uint64_t turns = burn_turns(bench_now, w->us), right = burn(turns);
    double before = burn_alone(bench_now, turns);
    for (int i = 0; i < count; i++) {
        w->in[i] = turns;
        w->out[i] = 0;
    }
    double begin = bench_now();
    way(w, count);
    double took = bench_now() - begin, after = burn_alone(bench_now, turns);
    for (int i = 0; i < count; i++) bench_check(w->out[i] == right, "work");
    return (after < before ? after : before) * count / BURN_WORKERS / took;
}

static double run(const work_t *w, int count, way_t way) {
    return w->us ? share(w, count, way) : squares(w, count, way);
}

static double run_imap(void *arg, int count) { return run(arg, count, by_imap); }
static double run_map(void *arg, int count) { return run(arg, count, by_map); }

static void contest(const work_t *w, const char *metric) {
    work_t ordered = *w, unordered = *w;
    unordered.unordered = 1;
    bench_contestant_t here[] = {{"cohort", run_imap, &ordered, NULL},
                                 {"cohort-unordered", run_imap, &unordered, NULL},
                                 {"cohort-map", run_map, &ordered, NULL}};
    if (w->us)
        BENCH_CONTEST((&(bench_contest_t){metric, "frac", BENCH_FIGURE, (int)(200e3 / w->us), 0}),
                      here, NULL);
    else
        BENCH_CONTEST((&(bench_contest_t){metric, "ns", BENCH_NS, 50000, ITEMS}), here,
                      "python:imap");
}

void bench_section_imap(void) {
    work_t w = {.task = square};
    MUST(cohort_pool_create(&w.pool, &(cohort_pool_options_t){.workers = BURN_WORKERS}, NULL));
    MUST(cohort_alloc((void **)&w.in, ITEMS * sizeof *w.in));
    MUST(cohort_alloc((void **)&w.out, ITEMS * sizeof *w.out));
    contest(&w, "imap.x*x");
    w.task = burn_task;
    w.us = 1;
    contest(&w, "imap.eff.1us");
    w.us = 10;
    contest(&w, "imap.eff.10us");
    MUST(cohort_pool_destroy(w.pool));
    MUST(cohort_free(w.in));
    MUST(cohort_free(w.out));
}
