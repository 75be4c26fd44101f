/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* cohort-bench [--json] [section ...]: see bench.h. BENCH_REPEATS sets the number of repeats (5). */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int json;

static const struct {
    const char *name;
    void (*run)(void);
} sections[] = {{"start", bench_start}, {"pipe", bench_pipe}, {"queue", bench_queue}, {"barrier", bench_barrier},
                {"pool", bench_pool},   {"alloc", bench_memory}, {"lock", bench_sync}};
#define SECTIONS (int)(sizeof sections / sizeof *sections)

int bench_repeats(void) {
    const char *text = getenv("BENCH_REPEATS");
    int n = text ? atoi(text) : 5;
    return n < 1 ? 1 : n > REPEATS_MAX ? REPEATS_MAX : n;
}

double bench_now(void) {
    return (double)apr_time_now();
}

void bench_check(int ok, const char *what) {
    if (ok) return;
    fprintf(stderr, "cohort-bench: wrong: %s\n", what);
    exit(1);
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void bench_print(const char *metric, const char *peer, const char *unit, double *values, int n) {
    static const char *const formats[] = {"%-28s %-14s %12.3f %-6s min=%.3f max=%.3f n=%d\n",
                                          "{\"metric\": \"%s\", \"peer\": \"%s\", \"median\": %.3f, \"unit\": \"%s\", \"min\": %.3f, \"max\": %.3f, \"n\": %d}\n"};
    qsort(values, (size_t)n, sizeof *values, compare);
    printf(formats[json], metric, peer, values[n / 2], unit, values[0], values[n - 1], n);
    fflush(stdout);
}

void bench(const char *metric, const char *peer, const char *unit, double scale, int count, bench_run_t run, void *arg) {
    double values[REPEATS_MAX];
    int n = bench_repeats();
    (void)run(arg, count / 10 + 1);
    for (int i = 0; i < n; i++) {
        double each = run(arg, count) / count;
        values[i] = scale == 0 ? 1e6 / each : each * scale;
    }
    bench_print(metric, peer, unit, values, n);
}

static int wanted(const char *name, int argc, char **argv) {
    int named = 0;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], name)) return 1;
        named += argv[i][0] != '-';
    }
    return named == 0;
}

static int is_section(const char *name) {
    for (int i = 0; i < SECTIONS; i++) {
        if (!strcmp(sections[i].name, name)) return 1;
    }
    return !strcmp(name, "--json");
}

int main(int argc, char **argv) {
    MUST(cohort_initialize(&argc, &argv, NULL));
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--json")) json = 1;
        if (is_section(argv[i])) continue;
        fprintf(stderr, "usage: cohort-bench [--json] [start|pipe|queue|barrier|pool|alloc|lock ...]\n");
        return 2;
    }
    for (int i = 0; i < SECTIONS; i++) {
        if (wanted(sections[i].name, argc, argv)) sections[i].run();
    }
    return 0;
}
