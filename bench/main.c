/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* cohort-bench: see bench.h for what it measures, and usage() for how it is called. */
#include "bench.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int json, rounds, failed;

static const struct {
    const char *name;
    void (*run)(void);
} sections[] = {
    {"start", bench_section_start}, {"pipe", bench_section_pipe},
    {"queue", bench_section_queue}, {"barrier", bench_section_barrier},
    {"pool", bench_section_pool},   {"alloc", bench_section_alloc},
    {"lock", bench_section_lock},   {"commands", bench_section_commands},
    {"scale", bench_section_scale}, {"imap", bench_section_imap},
    {"run", bench_section_run},     {"wait", bench_section_wait},
    {"gift", bench_section_gift},   {"share", bench_section_share},
};
enum { SECTIONS = sizeof sections / sizeof *sections };

static int usage(void) {
    fprintf(
        stderr,
        "usage: cohort-bench [--json] [--rounds] "
        "[start|pipe|queue|barrier|pool|alloc|lock|commands|scale|imap|run|wait|gift|share ...]\n"
        "       --rounds: each round's figures, too, in comment lines\n"
        "       cohort-bench --check    "
        "compare the instructions of the hot paths with those recorded\n"
        "       cohort-bench --record   record them\n"
        "BENCH_REPEATS: rounds of each contest (15). "
        "BENCH_FILE: what the section commands compresses.\n");
    return 2;
}

int bench_repeats(void) {
    const char *text = getenv("BENCH_REPEATS");
    int n = text ? atoi(text) : 15;
    return n < 1 ? 1 : n > BENCH_REPEATS_MAX ? BENCH_REPEATS_MAX : n;
}

void bench_check(int ok, const char *what) {
    if (ok) return;
    fprintf(stderr, "cohort-bench: wrong: %s\n", what);
    exit(1);
}

static void comment(const char *kind, const char *format, va_list args) {
    FILE *to = json ? stderr : stdout;
    fprintf(to, "# %s", kind);
    vfprintf(to, format, args);
    fputc('\n', to);
    fflush(to);
}

void bench_comment(const char *format, ...) {
    va_list args;
    va_start(args, format);
    comment("", format, args);
    va_end(args);
}

void bench_fail(const char *format, ...) {
    va_list args;
    va_start(args, format);
    comment("FAILED: ", format, args);
    va_end(args);
    failed = 1;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_median(double *values, int n) {
    qsort(values, (size_t)n, sizeof *values, compare);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

double bench_blocks(bench_block_t block, void *arg, int count) {
    enum { BLOCKS = 500 };
    static const double limit = 1e6;
    static double took[2 * BLOCKS + 1];
    int size = count / BLOCKS + 1, blocks = 0;
    double all = 0;
    for (int i = 0; i < count && all < limit; i += size) {
        int n = count - i < size ? count - i : size;
        double begin = bench_now();
        block(arg, i, n);
        double each = bench_now() - begin;
        all += each;
        took[blocks++] = each / n;
    }
    return bench_median(took, blocks) * count;
}

/* So that two can be compared round by round. */
static void print_rounds(const char *metric, const char *peer, const double *values, int n) {
    FILE *to = json ? stderr : stdout;
    fprintf(to, "# rounds: %s %s", metric, peer);
    for (int i = 0; i < n; i++) fprintf(to, " %.6g", values[i]);
    fputc('\n', to);
}

void bench_print(const char *metric, const char *peer, const char *unit, double *values, int n) {
    if (rounds) print_rounds(metric, peer, values, n);
    double median = bench_median(values, n);
    if (json)
        printf("{\"metric\": \"%s\", \"peer\": \"%s\", \"median\": %.6g, \"unit\": \"%s\", "
               "\"min\": %.6g, \"max\": %.6g, "
               "\"n\": %d}\n",
               metric, peer, median, unit, values[0], values[n - 1], n);
    else
        printf("%-26s %-24s %12.6g %-5s min=%.6g max=%.6g n=%d\n", metric, peer, median, unit,
               values[0], values[n - 1], n);
    fflush(stdout);
}

static int section(const char *name) {
    for (int i = 0; i < SECTIONS; i++) {
        if (!strcmp(sections[i].name, name)) return i;
    }
    return -1;
}

static void run_sections(unsigned wanted) {
    for (int i = 0; i < SECTIONS; i++) {
        if (wanted != 0 && !(wanted >> i & 1)) continue;
        double begin = bench_now();
        sections[i].run();
        bench_comment("%s: %.0f s", sections[i].name, (bench_now() - begin) / 1e6);
    }
}

int main(int argc, char **argv) {
    unsigned wanted = 0;
    cohort_options_t options = {0};
    if (argc > 1 && !strcmp(argv[1], "--count"))
        options.arena_size = (apr_uint64_t)256 << 20; /* valgrind makes all of it real */
    MUST(cohort_initialize(&options));
    (void)bench_beside(argv[0]);
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--json")) json = 1;
        else if (!strcmp(argv[i], "--rounds")) rounds = 1;
        else if (!strcmp(argv[i], "--check") || !strcmp(argv[i], "--record"))
            return bench_counts_check(argv[0], argv[i][2] == 'r');
        else if (!strcmp(argv[i], "--count") && i + 1 < argc) return bench_counts_one(argv[i + 1]);
        else if (section(argv[i]) >= 0) wanted |= 1u << section(argv[i]);
        else return usage();
    }
    run_sections(wanted);
    return failed;
}
