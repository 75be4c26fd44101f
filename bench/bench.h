/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Measuring. A metric is a contest: every contestant that can do the work does it in turns, round
 * after round, so that what the machine does meanwhile meets all of them. A figure is the median
 * over the rounds, printed as one line:
 *
 *     metric  peer  median  unit  min=..  max=..  n=..
 *
 * Cohort is measured in this program. Its peers, and the floors (what the machine itself needs for
 * the bare work, without any of the guarantees), are programs beside it, cohort-peer-NAME:
 * `cohort-peer-NAME PEER METRIC COUNT` does the work COUNT times and prints the microseconds that
 * it took. A peer that is not there is left out, with a comment line.
 *
 * Every run checks what it moved (counts and checksums), and a wrong one ends the program: a figure
 * of something that does not work is no figure.
 */
#ifndef COHORT_BENCH_H
#define COHORT_BENCH_H

#include <cohort/cohort.h>

enum { BENCH_REPEATS_MAX = 31, BENCH_CONTESTANTS_MAX = 16 };

/* Does the work `count` times and returns the microseconds that it took, or with scale 0, the
 * figure. */
typedef double (*bench_run_t)(void *arg, int count);

typedef struct {
    const char *peer; /* "cohort"; or of a program "NAME:PEER", printed as NAME-PEER */
    bench_run_t run;  /* NULL: by the program cohort-peer-NAME */
    void *arg;
    /* of those that run here, when it is not the contest's: it takes its turns with that one */
    const char *metric;
} bench_contestant_t;

typedef struct {
    const char *metric, *unit;
    /* figure = microseconds of one * scale; if negative, -scale / microseconds of one */
    double scale;
    /* counts of a run: between them so many as take 70 ms; most == 0: always `least` */
    int least, most;
} bench_contest_t;

#define BENCH_US     1.0
#define BENCH_NS     1000.0
#define BENCH_PER_S  (-1e6)
#define BENCH_FIGURE 0.0

/* The first contestants run here; `programs`, separated by spaces, are the others; NULL: none. */
void bench_contest(const bench_contest_t *contest, const bench_contestant_t *here, int n,
                   const char *programs);
#define BENCH_CONTEST(contest, here, programs) \
    bench_contest(contest, here, (int)(sizeof(here) / sizeof *(here)), programs)

/* Does the work in some hundred blocks and returns the median one's microseconds, for all: what
 * interrupts a few does not count. Given up after a second, of which the rest is taken to be the
 * same. */
typedef void (*bench_block_t)(void *arg, int first, int n);
double bench_blocks(bench_block_t block, void *arg, int count);

/* Print figures that were taken otherwise, in the order of their rounds. Sorts them. */
void bench_print(const char *metric, const char *peer, const char *unit, double *values, int n);
/* A line that is no figure. */
void bench_comment(const char *format, ...);
/* Such a line, and the exit code will be 1: somebody else's work went wrong. */
void bench_fail(const char *format, ...);
int bench_repeats(void);
double bench_median(double *values, int n); /* sorts them */
void bench_check(int ok, const char *what);
#define MUST(call) bench_check((call) == APR_SUCCESS, #call)

/* Run a program to its end. What it printed, cut and terminated, is in `output`. Returns its exit
 * code; -1000: there is no such program. */
int bench_program(const char *const *argv, char *output, apr_size_t size);
/* The path of a file beside this program; static. */
const char *bench_beside(const char *name);

/* A child that must succeed. */
cohort_process_t *bench_start_child(cohort_target_t target, const void *args, apr_size_t size);
void bench_finish_child(cohort_process_t *child);

/* Siblings facts_*.c, chosen by the build. Microseconds, as fine as the system has them; the same
 * clock in all processes. */
double bench_now(void);
/* What only the system knows; each is 0 or less where it cannot be had. */
/* the calling thread; -1: wherever it likes. 1: done */
int bench_pin(int cpu);
double bench_cpu_seconds(apr_int64_t pid);       /* that a process has used */
double bench_private_dirty_kib(apr_int64_t pid); /* memory that it shares with nobody */
const char *bench_libc(void);                    /* "glibc-2.36"; "libc" if not known */

void bench_section_start(void);
void bench_section_run(void);
void bench_section_pipe(void);
void bench_section_queue(void);
void bench_section_barrier(void);
void bench_section_pool(void);
void bench_section_share(void);
void bench_section_imap(void);
void bench_section_alloc(void);
void bench_section_lock(void);
void bench_section_wait(void);
void bench_section_gift(void);
void bench_section_commands(void);
void bench_section_scale(void);

/* Microseconds of `count` messages of 64 bytes from so many producers to one consumer. */
double bench_queue_run(int producers, int count);

/* cohort-bench --check, --record, --count OPERATION: see check.c. */
int bench_counts_check(const char *program, int record);
int bench_counts_one(const char *operation);

#endif
