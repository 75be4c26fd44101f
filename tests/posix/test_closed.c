/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs that close descriptors which are not their own, as daemons and language runtimes do, and
 * open their own under the same numbers: what Cohort had there is made anew, or the call says why
 * not; no file of the program is written to or closed, and no wait is for ever.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "../api/pools.h"
#include "system.h"

#include <errno.h>

#define HIGHEST 1024

static void close_all(void) {
    for (int fd = 3; fd < HIGHEST; fd++) close(fd);
}

static void check_start(cohort_lifetime_t lifetime) {
    cohort_process_options_t options = {.lifetime = lifetime};
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_process_create(&process, seven, NULL, 0, &options, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
    party_end(process, 7);
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(process));
}

/* Where children are executed anew they are handed the arena's descriptor; another member may
 * have to lend it. */
static int keep_open(void *args) {
    cohort_event_t *done = *(cohort_event_t **)args;
    CHECK_STATUS(APR_SUCCESS, cohort_event_wait(done, COHORT_FOREVER));
    return 0;
}

static cohort_process_t *start_lender(cohort_event_t *done) {
    cohort_process_options_t options = {.lifetime = COHORT_LIFETIME_FOREGROUND};
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_create(&process, keep_open, &done, sizeof done, &options, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
    return process;
}

/* A program that closes everything loses its daemons, which hang on a descriptor; a pool
 * replaces its workers. */
static void everything_is_made_anew(void) {
    cohort_event_t *done = new_event();
    cohort_process_t *lender = start_lender(done);
    cohort_pool_t *pool = NULL;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_create(&pool, &(cohort_pool_options_t){.workers = 2}, NULL));
    check_works(pool);
    for (int round = 0; round < 3; round++) {
        close_all();
        check_start(COHORT_LIFETIME_FOREGROUND);
        check_start(COHORT_LIFETIME_DAEMON);
        check_works(pool);
    }
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
    CHECK_STATUS(APR_SUCCESS, cohort_event_set(done));
    party_end(lender, 0);
    cohort_finalize();
    CHECK_STATUS(APR_SUCCESS, cohort_initialize(NULL));
    check_start(COHORT_LIFETIME_DAEMON);
}

/* Files of the program, each with what it is, so that a close or a write by the library shows. */
typedef struct {
    int fds[HIGHEST], n;
    ino_t inodes[HIGHEST];
} files_t;

/* Every number that was closed becomes the end of a pipe of the program's own: an end that would
 * be written to, or closed, tells. */
static void take_numbers(files_t *files) {
    int ends[2];
    struct stat facts;
    files->n = 0;
    for (int i = 0; i < 30; i++) {
        CHECK_INT(0, pipe(ends));
        for (int end = 0; end < 2; end++) {
            CHECK_INT(0, fstat(ends[end], &facts));
            files->fds[files->n] = ends[end];
            files->inodes[files->n++] = facts.st_ino;
        }
        CHECK_INT(0, fcntl(ends[0], F_SETFL, O_NONBLOCK));
    }
}

static void check_untouched(const files_t *files) {
    struct stat facts;
    char byte;
    for (int i = 0; i < files->n; i++) {
        CHECK_INT(0, fstat(files->fds[i], &facts));
        CHECK_INT((long long)files->inodes[i], (long long)facts.st_ino);
        if (i % 2) continue;
        CHECK_INT(-1, read(files->fds[i], &byte, 1)); /* neither a message, nor the end */
        CHECK_INT(EAGAIN, errno);
    }
}

static void numbers_of_others_are_left_alone(void) {
    static files_t files;
    cohort_event_t *done = new_event();
    cohort_process_t *lender = start_lender(done);
    cohort_pool_t *pool = NULL;
    check_start(COHORT_LIFETIME_DAEMON);
    close_all();
    take_numbers(&files);
    check_start(COHORT_LIFETIME_DAEMON);
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_create(&pool, &(cohort_pool_options_t){.workers = 2}, NULL));
    check_works(pool);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
    check_untouched(&files);
    CHECK_STATUS(APR_SUCCESS, cohort_event_set(done));
    party_end(lender, 0);
    cohort_finalize();
    check_untouched(&files);
    CHECK_STATUS(APR_SUCCESS, cohort_initialize(NULL));
}

/* The copy of such a program closes none of its files either. */
static int count_files(void *args) {
    check_untouched(args);
    return 0;
}

static void copies_leave_them_alone(void) {
    static files_t files;
    int status;
    check_start(COHORT_LIFETIME_DAEMON);
    close_all();
    take_numbers(&files);
    if (strcmp(test_method(), "fork") == 0)
        party_finish(party_start(count_files, &files, sizeof files));
    pid_t pid = fork();
    if (pid == 0) {
        check_untouched(&files);
        cohort_finalize();
        check_untouched(&files);
        _exit(0);
    }
    CHECK_INT(pid, waitpid(pid, &status, 0));
    CHECK_INT(0, status);
}

/* ---- in a task, and in a child -------------------------------------------------------------- */

static apr_status_t close_and_start(const void *input, void *output) {
    (void)input, (void)output;
    close_all();
    check_start(COHORT_LIFETIME_FOREGROUND);
    check_start(COHORT_LIFETIME_DAEMON);
    return APR_SUCCESS;
}

static void in_a_task(void) {
    cohort_pool_t *pool = NULL;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_create(&pool, &(cohort_pool_options_t){.workers = 1}, NULL));
    for (int i = 0; i < 3; i++)
        CHECK_STATUS(APR_SUCCESS, cohort_pool_apply(pool, close_and_start, NULL, 0, NULL, 0));
    check_works(pool);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
}

static int close_and_start_child(void *args) {
    (void)args;
    (void)close_and_start(NULL, NULL);
    return 0;
}

static void in_a_child(void) { party_finish(party_start(close_and_start_child, NULL, 0)); }

/* What root may do, unless it is confined: open the files behind its own memory. */
static bool can_open_mappings(void) {
    char line[512], range[64], path[128];
    int fd = -1;
    FILE *maps = fopen("/proc/self/maps", "r");
    if (maps && fgets(line, sizeof line, maps) && sscanf(line, "%63s", range) == 1) {
        snprintf(path, sizeof path, "/proc/%ld/map_files/%s", (long)getpid(), range);
        fd = open(path, O_RDONLY);
    }
    if (maps) fclose(maps);
    if (fd >= 0) close(fd);
    return fd >= 0;
}

/* No process has the arena open any more: root opens it by its mapping; else start says what is
 * missing, and fork does without. */
static void no_process_can_lend(void) {
    cohort_process_t *process = NULL;
    close_all();
    CHECK_STATUS(APR_SUCCESS, cohort_process_create(&process, seven, NULL, 0, NULL, NULL));
    apr_status_t status = cohort_process_start(process);
    if (status) {
        CHECK_INT(EBADF, APR_TO_OS_ERROR(status));
        CHECK(strstr(cohort_last_error(), "has closed descriptor") != NULL);
        CHECK(strcmp(test_method(), "fork") != 0);
        CHECK(!can_open_mappings());
    } else {
        party_end(process, 7);
    }
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(process));
}

const test_case_t closed_cases[] = {
    {"Closed", "everything_is_made_anew", everything_is_made_anew},
    {"Closed", "numbers_of_others_are_left_alone", numbers_of_others_are_left_alone},
    {"Closed", "copies_leave_them_alone", copies_leave_them_alone},
    {"Closed", "in_a_task", in_a_task},
    {"Closed", "in_a_child", in_a_child},
    {"Closed", "no_process_can_lend", no_process_can_lend},
    {0}};
