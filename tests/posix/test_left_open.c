/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * No descriptor is left by starts of any kind, with what each is given, in the process that starts
 * and in its fork server. COHORT_TEST_STARTS says how many of each (8).
 */
#include "system.h"

#include "../api/programs.h"

#include <stdlib.h>

static int starts(void) {
    const char *text = getenv("COHORT_TEST_STARTS");
    int n = text ? atoi(text) : 8;
    return n < 1 ? 1 : n;
}

/* Of this process, and of the library's own that it has started. */
static int descriptors(void) {
    cohort_process_info_t *list = NULL;
    apr_size_t n = 0;
    apr_pool_t *pool;
    int count = count_descriptors(getpid());
    CHECK_STATUS(APR_SUCCESS, apr_pool_create(&pool, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_processes(&list, &n, pool));
    for (apr_size_t i = 0; i < n; i++)
        if (list[i].kind == COHORT_PROCESS_HELPER) count += count_descriptors(list[i].pid);
    apr_pool_destroy(pool);
    return count;
}

static apr_file_t *given; /* a file of this process', to be handed over */
static const char *const nothing_to_do[] = {"/bin/true", NULL};

static int take_and_end(void *args) {
    apr_os_file_t handle;
    (void)args;
    return cohort_gift_handle(&handle, NULL, 0) != APR_SUCCESS;
}

static void join(cohort_process_t *process) {
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(process, COHORT_FOREVER));
    CHECK_INT(0, cohort_process_exit_code(process));
}

static void start_function(const cohort_process_options_t *options, apr_pool_t *pool) {
    cohort_process_t *process;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_launch(&process, options->n_gifts ? take_and_end : nothing, NULL, 0,
                                       options, pool));
    join(process);
}

static void with_a_gift(apr_pool_t *pool) {
    const cohort_gift_t gift = {.file = given};
    start_function(&(cohort_process_options_t){.gifts = &gift, .n_gifts = 1}, pool);
}

static void with_pipes(apr_pool_t *pool) {
    cohort_stream_t streams[3] = {PIPE, PIPE, PIPE};
    start_function(&(cohort_process_options_t){.streams = streams}, pool);
}

static void with_a_log(apr_pool_t *pool) {
    cohort_stream_t streams[3] = {[1] = {.kind = COHORT_STREAM_LOG, .path = "/dev/null"},
                                  [2] = {.kind = COHORT_STREAM_OUTPUT}};
    start_function(
        &(cohort_process_options_t){.lifetime = COHORT_LIFETIME_BACKGROUND, .streams = streams},
        pool);
}

static void with_a_terminal(apr_pool_t *pool) {
    cohort_stream_t streams[3] = {{.kind = COHORT_STREAM_TERMINAL},
                                  {.kind = COHORT_STREAM_TERMINAL},
                                  {.kind = COHORT_STREAM_OUTPUT}};
    start_function(&(cohort_process_options_t){.streams = streams}, pool);
}

static void a_daemon(apr_pool_t *pool) {
    start_function(&(cohort_process_options_t){.lifetime = COHORT_LIFETIME_DAEMON}, pool);
}

static void a_program(apr_pool_t *pool) {
    const cohort_gift_t gift = {.file = given};
    cohort_process_options_t options = {.gifts = &gift, .n_gifts = 1};
    cohort_program_t program = {.argv = nothing_to_do, .streams = {PIPE, PIPE, PIPE}};
    cohort_process_t *process;
    CHECK_STATUS(APR_SUCCESS, cohort_process_launch_program(&process, &program, &options, pool));
    join(process);
}

static void a_failure(apr_pool_t *pool) {
    cohort_stream_t streams[3] = {
        PIPE, {.kind = COHORT_STREAM_TERMINAL}, {.kind = COHORT_STREAM_LOG, .path = "/no/such"}};
    cohort_process_options_t options = {.streams = streams};
    cohort_process_t *process;
    CHECK(APR_STATUS_IS_ENOENT(cohort_process_launch(&process, nothing, NULL, 0, &options, pool)));
}

static void commands(apr_pool_t *pool) {
    cohort_command_t program = {.argv = nothing_to_do, .input = "x", .input_size = 1},
                     function = {.target = nothing, .input = "x", .input_size = 1};
    cohort_outcome_t outcome;
    CHECK_STATUS(APR_SUCCESS, cohort_run(&outcome, &program, pool));
    CHECK_STATUS(APR_SUCCESS, cohort_run(&outcome, &function, pool));
    CHECK_INT(COHORT_RUN_SUCCEEDED, outcome.end);
}

static void a_parcel(apr_pool_t *pool) {
    const cohort_gift_t gift = {.file = given};
    cohort_parcel_t parcel;
    apr_file_t *file;
    apr_status_t status = cohort_gift_send(&parcel, &gift, COHORT_FOREVER);
    if (APR_STATUS_IS_ENOTIMPL(status)) return;
    CHECK_STATUS(APR_SUCCESS, status);
    CHECK_STATUS(APR_SUCCESS, cohort_parcel_file(&file, &parcel, COHORT_FOREVER, pool));
}

static void once(void (*start)(apr_pool_t *pool)) {
    apr_pool_t *pool;
    CHECK_STATUS(APR_SUCCESS, apr_pool_create(&pool, NULL));
    start(pool);
    apr_pool_destroy(pool);
}

/* What comes once (a server's channel, a keeper) may come late; what is left by each start comes
 * with each round of them, and then this goes on until the watchdog ends it. */
static void check(void (*start)(apr_pool_t *pool)) {
    int n = starts(), before, after;
    if (descriptors() < 0) SKIP("the system does not tell descriptors");
    CHECK_STATUS(APR_SUCCESS, apr_file_open(&given, "/dev/null", APR_FOPEN_READ,
                                            APR_FPROT_OS_DEFAULT, test_pool()));
    once(a_daemon);
    do {
        before = descriptors();
        for (int i = 0; i < n; i++) once(start);
        after = descriptors();
        if (after > before) apr_sleep(1000); /* those of what has just ended are closed soon */
    } while (after > before);
}

#define CASE(name, start) \
    static void name(void) { check(start); }
CASE(gifts, with_a_gift)
CASE(pipes, with_pipes)
CASE(logs, with_a_log)
CASE(terminals, with_a_terminal)
CASE(daemons, a_daemon)
CASE(programs, a_program)
CASE(failures, a_failure)
CASE(runs, commands)
CASE(parcels, a_parcel)

#define ENTRY(name) \
    { "LeftOpen", #name, name }
const test_case_t left_open_cases[] = {
    ENTRY(gifts),    ENTRY(pipes),    ENTRY(logs), ENTRY(terminals), ENTRY(daemons),
    ENTRY(programs), ENTRY(failures), ENTRY(runs), ENTRY(parcels),   {0}};
