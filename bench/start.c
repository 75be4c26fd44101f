/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * From before the start to after the join of a child that does nothing, one at a time. The parent
 * has touched 10 MB; then 2 GiB, and it has 50 more threads.
 */
#include "bench.h"

#include <apr_thread_cond.h>
#include <apr_thread_mutex.h>
#include <apr_thread_proc.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 50, SMALL = 10 << 20 };

static int nothing(void *args) {
    (void)args;
    return 0;
}

static void start_and_join(cohort_process_t *p) {
    MUST(cohort_process_start(p));
    MUST(cohort_process_join(p, COHORT_FOREVER));
    bench_check(cohort_process_exit_code(p) == 0, "exit code");
    MUST(cohort_process_destroy(p));
}

static void start_functions(void *arg, int first, int n) {
    cohort_process_options_t options = {.method = *(cohort_start_method_t *)arg};
    for (int i = first; i < first + n; i++) {
        cohort_process_t *p;
        MUST(cohort_process_create(&p, nothing, NULL, 0, &options, NULL));
        start_and_join(p);
    }
}

static double run_method(void *arg, int count) { return bench_blocks(start_functions, arg, count); }

static void start_programs(void *arg, int first, int n) {
    const char *argv[] = {arg, NULL};
    cohort_program_t program = {.argv = argv};
    for (int i = first; i < first + n; i++) {
        cohort_process_t *p;
        MUST(cohort_process_create_program(&p, &program, NULL, NULL));
        start_and_join(p);
    }
}

static double run_program(void *arg, int count) { return bench_blocks(start_programs, arg, count); }

static void start_apr_programs(void *arg, int first, int n) {
    const char *argv[] = {arg, NULL};
    for (int i = first; i < first + n; i++) {
        apr_pool_t *pool;
        apr_procattr_t *attributes;
        apr_proc_t process;
        int code;
        apr_exit_why_e why;
        MUST(apr_pool_create(&pool, NULL));
        MUST(apr_procattr_create(&attributes, pool));
        MUST(apr_procattr_cmdtype_set(attributes, APR_PROGRAM_PATH));
        MUST(apr_proc_create(&process, argv[0], argv, NULL, attributes, pool));
        bench_check(apr_proc_wait(&process, &code, &why, APR_WAIT) == APR_CHILD_DONE && code == 0,
                    "exit code");
        apr_pool_destroy(pool);
    }
}

static double run_apr_program(void *arg, int count) {
    return bench_blocks(start_apr_programs, arg, count);
}

/* ---- what the parent has --------------------------------------------------------------------
 */

typedef struct {
    apr_pool_t *pool;
    apr_thread_mutex_t *mutex;
    apr_thread_cond_t *over;
    apr_thread_t *threads[THREADS];
    int done;
} crowd_t;

static void *APR_THREAD_FUNC idle(apr_thread_t *thread, void *arg) {
    crowd_t *crowd = arg;
    (void)thread;
    (void)apr_thread_mutex_lock(crowd->mutex);
    while (!crowd->done) (void)apr_thread_cond_wait(crowd->over, crowd->mutex);
    (void)apr_thread_mutex_unlock(crowd->mutex);
    return NULL;
}

static void start_threads(crowd_t *crowd) {
    MUST(apr_pool_create(&crowd->pool, NULL));
    MUST(apr_thread_mutex_create(&crowd->mutex, APR_THREAD_MUTEX_DEFAULT, crowd->pool));
    MUST(apr_thread_cond_create(&crowd->over, crowd->pool));
    for (int i = 0; i < THREADS; i++)
        MUST(apr_thread_create(&crowd->threads[i], NULL, idle, crowd, crowd->pool));
}

static void end_threads(crowd_t *crowd) {
    apr_status_t status;
    MUST(apr_thread_mutex_lock(crowd->mutex));
    crowd->done = 1;
    MUST(apr_thread_cond_broadcast(crowd->over));
    MUST(apr_thread_mutex_unlock(crowd->mutex));
    for (int i = 0; i < THREADS; i++) MUST(apr_thread_join(&status, crowd->threads[i]));
    apr_pool_destroy(crowd->pool);
}

static char *touch(size_t size) {
    char *memory = malloc(size);
    bench_check(memory != NULL, "memory");
    for (size_t i = 0; i < size; i += 4096) ((volatile char *)memory)[i] = 1;
    return memory;
}

/* ---- a small parent beside the large one ---------------------------------------------------- */

typedef struct {
    cohort_process_t *process;
    cohort_connection_t *end;
} small_t;

/* Does what it is told to do so many times, until it is told 0. */
static int be_small(void *args) {
    cohort_connection_t *end = *(cohort_connection_t **)args;
    cohort_start_method_t method = COHORT_START_DEFAULT;
    char *memory = touch(SMALL);
    for (;;) {
        int count = 0;
        apr_size_t size;
        MUST(cohort_connection_recv(end, &count, sizeof count, &size, COHORT_FOREVER));
        double took = count ? run_method(&method, count) : 0;
        MUST(cohort_connection_send(end, &took, sizeof took, COHORT_FOREVER));
        if (count == 0) break;
    }
    free(memory);
    return 0;
}

static double run_small(void *arg, int count) {
    small_t *small = arg;
    double took = 0;
    apr_size_t size;
    MUST(cohort_connection_send(small->end, &count, sizeof count, COHORT_FOREVER));
    MUST(cohort_connection_recv(small->end, &took, sizeof took, &size, COHORT_FOREVER));
    return took;
}

static void start_small(small_t *small) {
    cohort_connection_t *there;
    MUST(cohort_pipe_create(&small->end, &there, NULL, NULL));
    cohort_process_options_t options = {.connections = &there, .n_connections = 1};
    MUST(cohort_process_create(&small->process, be_small, &there, sizeof there, &options, NULL));
    MUST(cohort_process_start(small->process));
    MUST(cohort_connection_close(there));
}

static void end_small(small_t *small) {
    (void)run_small(small, 0);
    bench_finish_child(small->process);
    MUST(cohort_connection_close(small->end));
}

/* ---- the contests --------------------------------------------------------------------------- */

static cohort_start_method_t methods[] = {COHORT_START_DEFAULT, COHORT_START_FORK,
                                          COHORT_START_SPAWN};

static int methods_here(void) { return cohort_start_method() == COHORT_START_SPAWN ? 1 : 3; }

static void small_parent(void) {
    bench_contestant_t starts[] = {{"cohort", run_method, &methods[0], NULL},
                                   {"cohort-fork", run_method, &methods[1], NULL},
                                   {"cohort-spawn", run_method, &methods[2], NULL}};
    bench_contestant_t programs[] = {{"cohort", run_program, "true", NULL},
                                     {"apr", run_apr_program, "true", NULL}};
    char *memory = touch(SMALL);
    bench_contest(&(bench_contest_t){"start.fn.10MB", "us", BENCH_US, 4, 2000}, starts,
                  methods_here(), "raw:fork raw:vfork python:fork python:forkserver python:spawn");
    BENCH_CONTEST((&(bench_contest_t){"start.program.10MB", "us", BENCH_US, 4, 2000}), programs,
                  "raw:posix_spawn raw:vfork+exec raw:fork+exec uv:uv_spawn python:subprocess");
    free(memory);
}

/* Its peers touch as much in each round, so there are fewer of them. */
static void large_parent(void) {
    bench_contestant_t forks[] = {{"cohort-fork", run_method, &methods[1], NULL}};
    bench_contestant_t programs[] = {{"cohort", run_program, "true", NULL},
                                     {"apr", run_apr_program, "true", NULL}};
    crowd_t crowd = {0};
    small_t small;
    bench_contestant_t beside[] = {{"cohort", run_method, &methods[0], NULL},
                                   {"cohort", run_small, &small, "start.fn.10MB.beside"}};
    char *memory = touch((size_t)2 << 30);
    start_small(&small);
    start_threads(&crowd);
    bench_contest(&(bench_contest_t){"start.fn.2GiB", "us", BENCH_US, 4, 0}, forks,
                  methods_here() > 1, "raw:fork");
    BENCH_CONTEST((&(bench_contest_t){"start.fn.2GiB", "us", BENCH_US, 200, 0}), beside,
                  "raw:vfork python:forkserver");
    bench_contest(&(bench_contest_t){"start.program.2GiB", "us", BENCH_US, 100, 0}, programs, 1,
                  "raw:posix_spawn");
    bench_contest(&(bench_contest_t){"start.program.2GiB", "us", BENCH_US, 4, 0}, &programs[1], 1,
                  "uv:uv_spawn python:subprocess");
    end_threads(&crowd);
    end_small(&small);
    free(memory);
}

void bench_section_start(void) {
    small_parent();
    large_parent();
}
