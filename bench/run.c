/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* A program is run to its end, and what it has printed collected, one at a time. */
#include "bench.h"

typedef struct {
    const char *bytes;
    apr_size_t size;
} work_t;

static void run_programs(void *arg, int first, int n) {
    const work_t *work = arg;
    const char *const argv[] = {"head", "-c", work->bytes, "/dev/zero", NULL};
    const cohort_command_t command = {.argv = argv};
    (void)first;
    for (; n > 0; n--) {
        cohort_outcome_t outcome;
        apr_pool_t *pool;
        MUST(apr_pool_create(&pool, NULL));
        MUST(cohort_run(&outcome, &command, pool));
        bench_check(outcome.end == COHORT_RUN_SUCCEEDED && outcome.output.size == work->size,
                    "all of the output");
        apr_pool_destroy(pool);
    }
}

static double run(void *arg, int count) { return bench_blocks(run_programs, arg, count); }

void bench_section_run(void) {
    static work_t small = {"1024", 1024}, large = {"10485760", 10485760};
    bench_contestant_t little[] = {{"cohort", run, &small, NULL}},
                       much[] = {{"cohort", run, &large, NULL}};
    BENCH_CONTEST((&(bench_contest_t){"run.collect.1KiB", "us", BENCH_US, 4, 2000}), little,
                  "raw:posix_spawn python:subprocess");
    BENCH_CONTEST((&(bench_contest_t){"run.collect.10MiB", "us", BENCH_US, 4, 200}), much,
                  "raw:posix_spawn python:subprocess");
}
