/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Programs: how many commands are run in a second, two at a time; and a file compressed by the
 * example parallel_gzip and by pigz. */
#include "bench.h"

#include <apr_file_io.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- /bin/true, two at a time --------------------------------------------------------------- */

enum { JOBS = 2, COMMANDS = 600 };

static cohort_process_t *start_true(void) {
    static const char *argv[] = {"true", NULL};
    static cohort_program_t program = {.argv = argv};
    cohort_process_t *p;
    MUST(cohort_process_create_program(&p, &program, NULL, NULL));
    MUST(cohort_process_start(p));
    return p;
}

static int finish_any(cohort_waitable_t *running, int n) {
    MUST(cohort_wait(running, (apr_size_t)n, COHORT_WAIT_ANY, COHORT_FOREVER));
    for (int i = 0; i < n; i++) {
        if (!running[i].ready) continue;
        bench_finish_child(running[i].object);
        running[i] = running[n - 1];
        return n - 1;
    }
    return n;
}

static double run_true(void *arg, int count) {
    cohort_waitable_t running[JOBS];
    int n = 0;
    (void)arg;
    double begin = bench_now();
    for (int i = 0; i < count; i++) {
        if (n == JOBS) n = finish_any(running, n);
        running[n++] = (cohort_waitable_t){.object = start_true()};
    }
    while (n > 0) n = finish_any(running, n);
    return bench_now() - begin;
}

/* ---- gzip ----------------------------------------------------------------------------------- */

typedef struct {
    apr_pool_t *pool;
    const char *file, *gz, *const *argv;
    apr_off_t in, out;
} gzip_t;

static apr_off_t size_of(const char *path, apr_pool_t *pool) {
    apr_finfo_t info;
    return apr_stat(&info, path, APR_FINFO_SIZE, pool) == APR_SUCCESS ? info.size : -1;
}

static double run_gzip(void *arg, int count) {
    gzip_t *g = arg;
    char output[256];
    (void)count;
    (void)apr_file_remove(g->gz, g->pool);
    double begin = bench_now();
    bench_check(bench_program(g->argv, output, sizeof output) == 0, g->argv[0]);
    double took = bench_now() - begin;
    g->out = size_of(g->gz, g->pool);
    return (double)g->in / took; /* bytes in a microsecond: MB/s */
}

/* What is unpacked must be the file. */
static void check_gzip(const gzip_t *g) {
    const char *argv[] = {"gzip", "-dc", g->gz, NULL};
    static char ours[65536], theirs[65536];
    cohort_program_t program = {.argv = argv, .streams[1].kind = COHORT_STREAM_PIPE};
    cohort_process_t *p;
    apr_file_t *file;
    apr_size_t a, b;
    MUST(apr_file_open(&file, g->file, APR_FOPEN_READ | APR_FOPEN_BINARY, APR_OS_DEFAULT, g->pool));
    MUST(cohort_process_create_program(&p, &program, NULL, g->pool));
    MUST(cohort_process_start(p));
    do {
        (void)apr_file_read_full(file, ours, sizeof ours, &a);
        (void)apr_file_read_full(program.streams[1].file, theirs, sizeof theirs, &b);
        bench_check(a == b && !memcmp(ours, theirs, a), "unpacked file");
    } while (a > 0);
    bench_finish_child(p);
    MUST(apr_file_close(file));
}

/* Words of a small language: for users without a file at hand. */
static void write_text(const char *path, apr_pool_t *pool) {
    apr_file_t *file;
    apr_uint32_t random = 1;
    char word[24];
    MUST(apr_file_open(&file, path,
                       APR_FOPEN_WRITE | APR_FOPEN_CREATE | APR_FOPEN_TRUNCATE | APR_FOPEN_BUFFERED,
                       APR_OS_DEFAULT, pool));
    for (int i = 0; i < 4000000; i++) {
        random = random * 1664525u + 1013904223u;
        unsigned rank = (random >> 16) % 4096;
        snprintf(word, sizeof word, "%x%s ", (rank * rank / 4096) * 40503u,
                 (random >> 28) ? "" : ",\n");
        MUST(apr_file_puts(word, file));
    }
    MUST(apr_file_close(file));
}

static void gzip(void) {
    static char program[1024], gz[1024];
    apr_pool_t *pool;
    char output[256];
    const char *file = getenv("BENCH_FILE"), *own = "cohort-bench.text";
    const char *probe[] = {"pigz", "--version", NULL};
    snprintf(program, sizeof program, "%s", bench_beside("10_parallel_gzip"));
    MUST(apr_pool_create(&pool, NULL));
    if (size_of(program, pool) < 0 || bench_program(probe, output, sizeof output) != 0) {
        bench_comment("left out: commands.gzip (needs the examples and pigz)");
        apr_pool_destroy(pool);
        return;
    }
    if (!file) write_text(file = own, pool);
    snprintf(gz, sizeof gz, "%s.gz", file);
    const char *ours[] = {program, file, "2", NULL},
               *pigz[] = {"pigz", "-kf6", "-b", "512", "-p", "2", file, NULL};
    const char *apart[] = {"pigz", "-kf6i", "-b", "512", "-p", "2", file, NULL};
    gzip_t g[] = {{pool, file, gz, ours, size_of(file, pool), 0},
                  {pool, file, gz, pigz, size_of(file, pool), 0},
                  {pool, file, gz, apart, size_of(file, pool), 0}};
    bench_contestant_t all[] = {{"cohort", run_gzip, &g[0], NULL},
                                {"pigz", run_gzip, &g[1], NULL},
                                {"pigz-independent", run_gzip, &g[2], NULL}};
    BENCH_CONTEST((&(bench_contest_t){"commands.gzip", "MB/s", BENCH_FIGURE, 1, 0}), all, NULL);
    for (int i = 0; i < 3; i++) {
        (void)run_gzip(&g[i], 1);
        check_gzip(&g[i]);
        double ratio = (double)g[i].in / (double)g[i].out;
        bench_print("commands.gzip.ratio", all[i].peer, "x", &ratio, 1);
    }
    (void)apr_file_remove(gz, pool);
    if (file == own) (void)apr_file_remove(own, pool);
    apr_pool_destroy(pool);
}

void bench_section_commands(void) {
    bench_contestant_t cohort[] = {{"cohort", run_true, NULL, NULL}};
    BENCH_CONTEST((&(bench_contest_t){"commands.true.j2", "/s", BENCH_PER_S, COMMANDS, 0}), cohort,
                  "raw:posix_spawn raw:xargs python:subprocess");
    gzip();
}
