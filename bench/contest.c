/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Contests: find out for each contestant how often it does the work in some hundredths of a second,
 * then let all run in turns. Many short runs say more than few long ones: what disturbs a machine
 * comes and goes. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NO_SUCH_PROGRAM = -1000, CANNOT = 77, LABEL = 64 };
static const double ROUND = 7e4; /* microseconds that a run should take */

typedef struct {
    bench_contestant_t contestant;
    char label[LABEL];
    int count, out;
    double values[BENCH_REPEATS_MAX];
} entry_t;

/* ---- programs beside this one ---------------------------------------------------------------
 */

const char *bench_beside(const char *name) {
    static char path[1024], directory[900]; /* the first call gives the path of this program */
    if (directory[0] == 0) {
        const char *slash = strrchr(name, '/'), *back = strrchr(name, '\\');
        if (back && (!slash || back > slash)) slash = back;
        snprintf(directory, sizeof directory, "%.*s", slash ? (int)(slash - name) : 1,
                 slash ? name : ".");
    }
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

int bench_program(const char *const *argv, char *output, apr_size_t size) {
    apr_pool_t *pool;
    cohort_process_t *p;
    cohort_program_t program = {.argv = argv, .streams[1].kind = COHORT_STREAM_PIPE};
    cohort_process_options_t options = {.lifetime = COHORT_LIFETIME_DAEMON};
    apr_size_t length = 0;
    int code = NO_SUCH_PROGRAM;
    char rest[256];
    MUST(apr_pool_create(&pool, NULL));
    MUST(cohort_process_create_program(&p, &program, &options, pool));
    if (cohort_process_start(p) == APR_SUCCESS) {
        (void)apr_file_read_full(program.streams[1].file, output, size - 1, &length);
        for (apr_size_t n = sizeof rest;
             apr_file_read(program.streams[1].file, rest, &n) == APR_SUCCESS;)
            n = sizeof rest;
        MUST(cohort_process_join(p, COHORT_FOREVER));
        code = cohort_process_exit_code(p);
    }
    output[length] = 0;
    apr_pool_destroy(pool);
    return code;
}

static int run_program(const entry_t *e, const char *metric, double *took) {
    char name[LABEL], program[1024], count[16], output[64], *end;
    const char *colon = strchr(e->contestant.peer, ':');
    snprintf(name, sizeof name, "cohort-peer-%.*s", (int)(colon - e->contestant.peer),
             e->contestant.peer);
    snprintf(count, sizeof count, "%d", e->count);
    snprintf(program, sizeof program, "%s", bench_beside(name));
#ifdef BENCH_PYTHON
    const char *python[] = {BENCH_PYTHON, BENCH_PYTHON_PEERS, colon + 1, metric, count, NULL};
#else
    const char *python[] = {"python3", "peers.py", NULL};
#endif
    const char *beside[] = {program, colon + 1, metric, count, NULL};
    int code = bench_program(strncmp(e->contestant.peer, "python:", 7) ? beside : python, output,
                             sizeof output);
    *took = strtod(output, &end);
    return code == 0 && end == output ? 1 : code;
}

/* ---- rounds --------------------------------------------------------------------------------- */

static double run(const bench_contest_t *contest, entry_t *e) {
    double took = 0;
    if (e->contestant.run) return e->contestant.run(e->contestant.arg, e->count);
    int code = run_program(e, contest->metric, &took);
    e->out = code != 0;
    if (code == NO_SUCH_PROGRAM)
        bench_comment("left out: %s %s (not built here)", contest->metric, e->label);
    else if (code == CANNOT)
        bench_comment("left out: %s %s (not on this system)", contest->metric, e->label);
    else if (code != 0) bench_fail("%s %s ended with %d", contest->metric, e->label, code);
    return took;
}

static int clamp(double count, int least, int most) {
    return count < least ? least : count > most ? most : (int)count;
}

static void calibrate(const bench_contest_t *contest, entry_t *e) {
    e->count = contest->least;
    if (contest->most == 0) {
        (void)run(contest, e); /* warm */
        return;
    }
    for (;;) {
        double took = run(contest, e);
        if (e->out) return;
        double enough = took < 1 ? 1000.0 * e->count : e->count * ROUND / took;
        if (took >= ROUND / 4 || e->count >= contest->most || enough < 2.0 * e->count) {
            e->count = clamp(enough, contest->least, contest->most);
            return;
        }
        /* What is slow at first may be fast later; not more than thirty times as many at once. */
        e->count = clamp(enough < 30.0 * e->count ? enough : 30.0 * e->count, contest->least,
                         contest->most);
    }
}

static double figure(const bench_contest_t *contest, double took, int count) {
    if (contest->scale == 0) return took;
    double each = (took > 0 ? took : 0.5) / count;
    return contest->scale < 0 ? -contest->scale / each : each * contest->scale;
}

static void label(entry_t *e) {
    snprintf(e->label, sizeof e->label, "%s", e->contestant.peer);
    char *colon = strchr(e->label, ':');
    if (colon) *colon = '-';
}

static int enter(entry_t *entries, const bench_contestant_t *here, int n, const char *programs) {
    static char names[BENCH_CONTESTANTS_MAX][LABEL];
    for (int i = 0; i < n; i++) entries[i] = (entry_t){.contestant = here[i]};
    for (int used;
         programs && n < BENCH_CONTESTANTS_MAX && sscanf(programs, "%63s%n", names[n], &used) == 1;
         n++) {
        entries[n] = (entry_t){.contestant.peer = names[n]};
        programs += used;
    }
    for (int i = 0; i < n; i++) label(&entries[i]);
    return n;
}

void bench_contest(const bench_contest_t *contest, const bench_contestant_t *here, int n,
                   const char *programs) {
    static entry_t entries[BENCH_CONTESTANTS_MAX];
    int repeats = bench_repeats();
    n = enter(entries, here, n, programs);
    for (int i = 0; i < n; i++) calibrate(contest, &entries[i]);
    for (int r = 0; r < repeats; r++) {
        for (int i = 0; i < n; i++) {
            /* there and back: nobody always follows the same one */
            entry_t *e = &entries[r % 2 ? n - 1 - i : i];
            if (!e->out) e->values[r] = figure(contest, run(contest, e), e->count);
        }
    }
    for (int i = 0; i < n; i++) {
        const entry_t *e = &entries[i];
        if (!e->out)
            bench_print(e->contestant.metric ? e->contestant.metric : contest->metric, e->label,
                        contest->unit, entries[i].values, repeats);
    }
}

/* ---- children ------------------------------------------------------------------------------- */

cohort_process_t *bench_start_child(cohort_target_t target, const void *args, apr_size_t size) {
    cohort_process_t *p;
    MUST(cohort_process_create(&p, target, args, size,
                               &(cohort_process_options_t){.lifetime = COHORT_LIFETIME_DAEMON},
                               NULL));
    MUST(cohort_process_start(p));
    return p;
}

void bench_finish_child(cohort_process_t *child) {
    MUST(cohort_process_join(child, COHORT_FOREVER));
    bench_check(cohort_process_exit_code(child) == 0, "a child failed");
    MUST(cohort_process_destroy(child));
}
