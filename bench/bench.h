/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Measuring. A figure is the median over repeats, each a batch long enough for the clock, and is printed as one line:
 *
 *     metric  peer  median  unit  min=..  max=..  n=..
 *
 * Every batch checks what it moved (counts and checksums), and a wrong one ends the program: a figure of something that does not work is no figure.
 */
#ifndef COHORT_BENCH_H
#define COHORT_BENCH_H

#include <cohort/cohort.h>

#define REPEATS_MAX 31

/* Runs `count` operations once and returns the microseconds that they took. */
typedef double (*bench_run_t)(void *arg, int count);

/* Measure and print microseconds per operation times `scale`, or with scale 0, operations per second. */
void bench(const char *metric, const char *peer, const char *unit, double scale, int count, bench_run_t run, void *arg);
/* Print figures that were taken elsewhere. */
void bench_print(const char *metric, const char *peer, const char *unit, double *values, int n);
int bench_repeats(void);
/* Microseconds of a monotonic clock. */
double bench_now(void);
void bench_check(int ok, const char *what);
#define MUST(call) bench_check((call) == APR_SUCCESS, #call)

void bench_start(void);
void bench_pipe(void);
void bench_queue(void);
void bench_barrier(void);
void bench_pool(void);
void bench_memory(void);
void bench_sync(void);

#endif
