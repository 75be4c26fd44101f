/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* From before the start to after the join of a child that does nothing, one at a time; the parent has touched 10 MB, and then 512 MiB. */
#include "bench.h"

#include <apr_thread_proc.h>
#include <stdlib.h>
#include <string.h>

static int nothing(void *args) {
    (void)args;
    return 0;
}

static double run_method(void *arg, int count) {
    cohort_process_options_t options = {.method = *(cohort_start_method_t *)arg};
    double begin = bench_now();
    for (int i = 0; i < count; i++) {
        cohort_process_t *p;
        MUST(cohort_process_create(&p, nothing, NULL, 0, &options, NULL));
        MUST(cohort_process_start(p));
        MUST(cohort_process_join(p, COHORT_FOREVER));
        bench_check(cohort_process_exit_code(p) == 0, "exit code");
        MUST(cohort_process_close(p));
    }
    return bench_now() - begin;
}

static double run_program(void *arg, int count) {
    const char *argv[] = {"true", NULL};
    cohort_program_t program = {.argv = argv};
    (void)arg;
    double begin = bench_now();
    for (int i = 0; i < count; i++) {
        cohort_process_t *p;
        MUST(cohort_process_create_program(&p, &program, NULL, NULL));
        MUST(cohort_process_start(p));
        MUST(cohort_process_join(p, COHORT_FOREVER));
        bench_check(cohort_process_exit_code(p) == 0, "exit code");
        MUST(cohort_process_close(p));
    }
    return bench_now() - begin;
}

static double run_apr_program(void *arg, int count) {
    const char *argv[] = {"true", NULL};
    (void)arg;
    double begin = bench_now();
    for (int i = 0; i < count; i++) {
        apr_pool_t *pool;
        apr_procattr_t *attributes;
        apr_proc_t process;
        int code;
        apr_exit_why_e why;
        MUST(apr_pool_create(&pool, NULL));
        MUST(apr_procattr_create(&attributes, pool));
        MUST(apr_procattr_cmdtype_set(attributes, APR_PROGRAM_PATH));
        MUST(apr_proc_create(&process, argv[0], argv, NULL, attributes, pool));
        bench_check(apr_proc_wait(&process, &code, &why, APR_WAIT) == APR_CHILD_DONE && code == 0, "exit code");
        apr_pool_destroy(pool);
    }
    return bench_now() - begin;
}

#if APR_HAS_FORK
static double run_fork(void *arg, int count) {
    (void)arg;
    double begin = bench_now();
    for (int i = 0; i < count; i++) {
        apr_pool_t *pool;
        apr_proc_t process;
        int code;
        apr_exit_why_e why;
        MUST(apr_pool_create(&pool, NULL));
        apr_status_t status = apr_proc_fork(&process, pool);
        if (status == APR_INCHILD) _Exit(0);
        bench_check(status == APR_INPARENT, "fork");
        bench_check(apr_proc_wait(&process, &code, &why, APR_WAIT) == APR_CHILD_DONE && code == 0, "exit code");
        apr_pool_destroy(pool);
    }
    return bench_now() - begin;
}
#endif

static void with_parent(const char *size, int count) {
    static const struct {
        const char *name;
        cohort_start_method_t method;
    } methods[] = {{"cohort-server", COHORT_FORKSERVER}, {"cohort-fork", COHORT_FORK}, {"cohort-spawn", COHORT_SPAWN}};
    char metric[40];
    strcat(strcpy(metric, "start.function."), size);
    for (int i = 0; i < 3; i++) {
        cohort_start_method_t method = methods[i].method;
        if (method != COHORT_SPAWN && cohort_start_method() == COHORT_SPAWN) continue;
        bench(metric, methods[i].name, "us", 1, method == COHORT_FORKSERVER ? count : count / 5 + 1, run_method, &method);
    }
#if APR_HAS_FORK
    bench(metric, "apr-fork", "us", 1, count / 5 + 1, run_fork, NULL);
#endif
    strcat(strcpy(metric, "start.program."), size);
    bench(metric, "cohort", "us", 1, count / 5 + 1, run_program, NULL);
    bench(metric, "apr", "us", 1, count / 5 + 1, run_apr_program, NULL);
}

void bench_start(void) {
    size_t big = (size_t)512 << 20;
    char *touched = malloc((size_t)10 << 20);
    bench_check(touched != NULL, "memory");
    memset(touched, 1, (size_t)10 << 20);
    with_parent("10MB", 200);
    free(touched);
    touched = malloc(big);
    bench_check(touched != NULL, "memory");
    memset(touched, 1, big);
    with_parent("512MiB", 25);
    free(touched);
}
