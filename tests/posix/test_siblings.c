/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads of one process start children at the same time, some of them copies of the process
 * (COHORT_START_FORK) that live long: none of these has what was opened for the start of another
 * child, so all streams come to their ends with the children that they were opened for; and none
 * waits for a lock that another thread had when it was made.
 */
#include "../api/processes.h"
#include "../api/programs.h"

#include <cohort/terminal.h>
#include <stdio.h>
#include <stdlib.h>

enum { STARTERS = 2, ROUNDS = 8, SIBLINGS = 48 };

static _Atomic int over; /* starters that are */

static int say_so(void *args) {
    (void)args;
    fputs("said", stdout);
    return 0;
}

/* To the end of the stream, which comes while the siblings live. */
static void check_said(apr_file_t *file) {
    char text[64] = "";
    apr_size_t used = 0, size = 0;
    apr_status_t status;
    while ((status = cohort_terminal_read(file, text + used, sizeof text - 1 - used, &size)) == 0)
        used += size;
    CHECK(APR_STATUS_IS_EOF(status));
    CHECK_STR("said", text);
}

static void end(cohort_process_t *process) {
    party_end(process, 0);
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(process));
}

static void start_with(cohort_stream_t output, apr_pool_t *pool) {
    cohort_stream_t streams[3] = {NO_STREAM, output, NO_STREAM};
    cohort_process_options_t options = {.streams = streams};
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_process_launch(&process, say_so, NULL, 0, &options, pool));
    check_said(streams[1].file);
    end(process);
}

static void start_a_program(apr_pool_t *pool) {
    const char *const argv[] = {"/bin/sh", "-c", "printf said", NULL};
    cohort_program_t program = {.argv = argv, .streams = {NO_STREAM, PIPE, PIPE}};
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_process_launch_program(&process, &program, NULL, pool));
    check_said(program.streams[1].file);
    end(process);
}

/* A pipe that another process keeps would make it wait. */
static void run_a_command(apr_pool_t *pool) {
    cohort_command_t command = {
        .target = say_so, .input = "x", .input_size = 1, .grace = apr_time_from_sec(600)};
    cohort_outcome_t outcome;
    CHECK_STATUS(APR_SUCCESS, cohort_run(&outcome, &command, pool));
    CHECK_STATUS(APR_SUCCESS, outcome.status);
    CHECK_STR("said", outcome.output.data);
}

static void *APR_THREAD_FUNC start_all(apr_thread_t *self, void *arg) {
    (void)self, (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        apr_pool_t *pool;
        CHECK_STATUS(APR_SUCCESS, apr_pool_create(&pool, NULL));
        start_with((cohort_stream_t)PIPE, pool);
        start_with((cohort_stream_t){.kind = COHORT_STREAM_TERMINAL}, pool);
        start_a_program(pool);
        run_a_command(pool);
        apr_pool_destroy(pool);
    }
    atomic_fetch_add(&over, 1);
    return NULL;
}

static void streams_end_with_their_own_child(void) {
    args_t args = {.go = new_event()};
    cohort_process_options_t options = {.method = COHORT_START_FORK,
                                        .lifetime = COHORT_LIFETIME_DAEMON};
    cohort_process_t *siblings[SIBLINGS];
    apr_thread_t *starters[STARTERS];
    int n = 0;
    for (int i = 0; i < STARTERS; i++) starters[i] = party_thread(start_all, NULL);
    for (; n < SIBLINGS && atomic_load(&over) < STARTERS; n++) {
        siblings[n] = make(wait_for_go, &args, sizeof args, &options);
        CHECK_STATUS(APR_SUCCESS, cohort_process_start(siblings[n]));
    }
    for (int i = 0; i < STARTERS; i++) party_thread_finish(starters[i]);
    CHECK_STATUS(APR_SUCCESS, cohort_event_set(args.go));
    parties_finish(siblings, n);
}

/* ---- what others have locked ---------------------------------------------------------------- */

enum { OTHERS = 2, COPIES = 100 };

static void *APR_THREAD_FUNC again_and_again(apr_thread_t *self, void *what) {
    (void)self;
    while (!atomic_load(&over)) (*(cohort_target_t *)what)(NULL);
    return NULL;
}

/* Copies do it, and other threads of the original meanwhile: what those have locked at the moment
 * of a fork, nobody unlocks in the copy. */
static void try_in_copies(cohort_target_t what) {
    cohort_process_options_t options = {.method = COHORT_START_FORK};
    apr_thread_t *others[OTHERS];
    atomic_store(&over, 0);
    for (int i = 0; i < OTHERS; i++) others[i] = party_thread(again_and_again, &what);
    for (int i = 0; i < COPIES; i++) {
        cohort_process_t *copy = make(what, NULL, 0, &options);
        CHECK_STATUS(APR_SUCCESS, cohort_process_start(copy));
        end(copy);
    }
    atomic_store(&over, 1);
    for (int i = 0; i < OTHERS; i++) party_thread_finish(others[i]);
}

/* Which function a process is to run, and in which module that is, is found as it is created. */
static int look(void *args) {
    (void)args;
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(make(say_so, NULL, 0, NULL)));
    return 0;
}

static void copies_look_for_functions(void) { try_in_copies(look); }

static int make_a_pool(void *args) {
    apr_pool_t *pool;
    (void)args;
    CHECK_STATUS(APR_SUCCESS, apr_pool_create(&pool, NULL));
    apr_pool_destroy(pool);
    return 0;
}

static void copies_make_memory_pools(void) { try_in_copies(make_a_pool); }

const test_case_t siblings_cases[] = {
    {"Siblings", "streams_end_with_their_own_child", streams_end_with_their_own_child},
    {"Siblings", "copies_look_for_functions", copies_look_for_functions},
    {"Siblings", "copies_make_memory_pools", copies_make_memory_pools},
    {0}};
