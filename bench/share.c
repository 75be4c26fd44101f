/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* A short job in a pool of two workers: alone, and submitted while a long job is at work there. */
#include "bench.h"
#include "burn.h"

enum { JOBS = 5 };

typedef struct {
    cohort_pool_t *pool;
    apr_uint64_t *in, *out, *long_in, *long_out;
    int beside; /* a long job */
} share_t;

static apr_status_t burn_task(const void *input, void *output) {
    *(apr_uint64_t *)output = burn(*(const apr_uint64_t *)input);
    return APR_SUCCESS;
}

static void fill(apr_uint64_t *in, apr_uint64_t *out, int n, double us) {
    apr_uint64_t turns = burn_turns(bench_now, us);
    for (int i = 0; i < n; i++) {
        in[i] = turns;
        out[i] = 0;
    }
}

static double run_short(const share_t *s) {
    double begin = bench_now();
    MUST(cohort_pool_run(s->pool, &(cohort_job_t){.task = burn_task,
                                                  COHORT_INPUTS(s->in, SHORT_ITEMS),
                                                  COHORT_OUTPUTS(s->out),
                                                  .chunk = 1}));
    return bench_now() - begin;
}

/* The long job is at work when the short one comes, and is ended after it. */
static double run_beside(const share_t *s) {
    cohort_result_t *result;
    MUST(cohort_pool_submit(&result, s->pool,
                            &(cohort_job_t){.task = burn_task,
                                            COHORT_INPUTS(s->long_in, LONG_ITEMS),
                                            COHORT_OUTPUTS(s->long_out),
                                            .chunk = 1},
                            NULL));
    apr_sleep(LONG_BEFORE);
    double took = run_short(s);
    MUST(cohort_result_cancel(result, COHORT_CANCEL_SOFT));
    (void)cohort_result_wait(result, COHORT_FOREVER); /* COHORT_ECANCELLED, if it was not over */
    MUST(cohort_result_destroy(result));
    return took;
}

static double run(void *arg, int count) {
    const share_t *s = arg;
    double took[JOBS];
    fill(s->long_in, s->long_out, LONG_ITEMS, LONG_US);
    for (int i = 0; i < count; i++) {
        fill(s->in, s->out, SHORT_ITEMS, SHORT_US);
        took[i] = s->beside ? run_beside(s) : run_short(s);
        for (int k = 0; k < SHORT_ITEMS; k++) bench_check(s->out[k] == burn(s->in[k]), "work");
    }
    return bench_median(took, count) * count;
}

void bench_section_share(void) {
    static const char peers[] = "openmp:teams python:Pool";
    share_t s = {0};
    MUST(cohort_pool_create(&s.pool, &(cohort_pool_options_t){.workers = BURN_WORKERS}, NULL));
    MUST(cohort_alloc((void **)&s.in, SHORT_ITEMS * sizeof *s.in));
    MUST(cohort_alloc((void **)&s.out, SHORT_ITEMS * sizeof *s.out));
    MUST(cohort_alloc((void **)&s.long_in, LONG_ITEMS * sizeof *s.long_in));
    MUST(cohort_alloc((void **)&s.long_out, LONG_ITEMS * sizeof *s.long_out));
    bench_contestant_t cohort[] = {{"cohort", run, &s, NULL}};
    BENCH_CONTEST((&(bench_contest_t){"share.alone", "us", BENCH_US, JOBS, 0}), cohort, peers);
    s.beside = 1;
    BENCH_CONTEST((&(bench_contest_t){"share.beside", "us", BENCH_US, JOBS, 0}), cohort, peers);
    MUST(cohort_pool_destroy(s.pool));
    MUST(cohort_free(s.in));
    MUST(cohort_free(s.out));
    MUST(cohort_free(s.long_in));
    MUST(cohort_free(s.long_out));
}
