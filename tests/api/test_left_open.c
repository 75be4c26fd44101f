/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * No descriptor or handle is left by starts of any kind, with what each is given, in the process
 * that starts and in its fork server. COHORT_TEST_STARTS says how many of each (8); tools/run.sh
 * starts has them be 10,000.
 */
#include "facts.h"
#include "pools.h"
#include "programs.h"

#include <stdlib.h>

#define ACT(...) ((const char *const[]){TEST_ACTOR, __VA_ARGS__, NULL})

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
    int count = system_handles();
    CHECK_STATUS(APR_SUCCESS, apr_pool_create(&pool, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_processes(&list, &n, pool));
    for (apr_size_t i = 0; i < n; i++)
        if (list[i].kind == COHORT_PROCESS_HELPER) count += system_handles_of(list[i].pid);
    apr_pool_destroy(pool);
    return count;
}

static apr_file_t *given; /* a file of this process', to be handed over */
static const char *log_path;

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
    cohort_stream_t streams[3] = {
        [1] = {.kind = COHORT_STREAM_LOG, .path = log_path}, [2] = {.kind = COHORT_STREAM_OUTPUT}};
    start_function(
        &(cohort_process_options_t){.lifetime = COHORT_LIFETIME_BACKGROUND, .streams = streams},
        pool);
}

static void with_a_terminal(apr_pool_t *pool) {
    cohort_stream_t streams[3] = {{.kind = COHORT_STREAM_TERMINAL},
                                  {.kind = COHORT_STREAM_TERMINAL},
                                  {.kind = COHORT_STREAM_OUTPUT}};
    cohort_process_options_t options = {.streams = streams};
    cohort_process_t *process;
    apr_status_t status = cohort_process_launch(&process, nothing, NULL, 0, &options, pool);
    if (APR_STATUS_IS_ENOTIMPL(status)) SKIP("no pseudo-terminals are made");
    CHECK_STATUS(APR_SUCCESS, status);
    join(process);
}

static void a_daemon(apr_pool_t *pool) {
    start_function(&(cohort_process_options_t){.lifetime = COHORT_LIFETIME_DAEMON}, pool);
}

static void a_program(apr_pool_t *pool) {
    const cohort_gift_t gift = {.file = given};
    cohort_process_options_t options = {.gifts = &gift, .n_gifts = 1};
    cohort_program_t program = {.argv = ACT("exit", "0"), .streams = {PIPE, PIPE, PIPE}};
    cohort_process_t *process;
    CHECK_STATUS(APR_SUCCESS, cohort_process_launch_program(&process, &program, &options, pool));
    join(process);
}

static void a_failure(apr_pool_t *pool) {
    static const cohort_stream_kind_t kinds[] = {COHORT_STREAM_PIPE, COHORT_STREAM_TERMINAL};
    for (int i = 0; i < 2; i++) {
        cohort_stream_t streams[3] = {
            PIPE, {.kind = kinds[i]}, {.kind = COHORT_STREAM_LOG, .path = "./no_such/log"}};
        cohort_process_options_t options = {.streams = streams};
        cohort_process_t *process;
        apr_status_t status = cohort_process_launch(&process, nothing, NULL, 0, &options, pool);
        CHECK(APR_STATUS_IS_ENOENT(status) || (i && APR_STATUS_IS_ENOTIMPL(status)));
    }
}

static void commands(apr_pool_t *pool) {
    cohort_command_t program = {.argv = ACT("exit", "0"), .input = "x", .input_size = 1},
                     function = {.target = nothing, .input = "x", .input_size = 1};
    cohort_outcome_t outcome;
    CHECK_STATUS(APR_SUCCESS, cohort_run(&outcome, &program, pool));
    CHECK_STATUS(APR_SUCCESS, cohort_run(&outcome, &function, pool));
    CHECK_INT(COHORT_RUN_SUCCEEDED, outcome.end);
}

/* A service that ends by itself, and one that ends for good after its second run. */
static void a_service(apr_pool_t *pool) {
    const cohort_restart_t once = {.when = COHORT_RESTART_ON_FAILURE},
                           twice = {.when = COHORT_RESTART_ALWAYS, .limit = 1, .delay = 1};
    cohort_process_options_t options = {.lifetime = COHORT_LIFETIME_DAEMON, .restart = &once};
    start_function(&options, pool);
    options.restart = &twice;
    start_function(&options, pool);
}

static void a_pool(apr_pool_t *pool) {
    cohort_pool_t *workers;
    int in = 7, out = 0;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_create(&workers, &(cohort_pool_options_t){.workers = 1}, pool));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_apply(workers, square, &in, sizeof in, &out, sizeof out));
    CHECK_INT(49, out);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(workers));
}

static void a_runner(apr_pool_t *pool) {
    cohort_command_t program = {.argv = ACT("cat"), .input = "x", .input_size = 1},
                     function = {.target = nothing};
    cohort_runner_t *runner;
    cohort_run_t *run;
    CHECK_STATUS(APR_SUCCESS, cohort_runner_create(&runner, NULL, pool));
    CHECK_STATUS(APR_SUCCESS, cohort_runner_submit(NULL, runner, &program));
    CHECK_STATUS(APR_SUCCESS, cohort_runner_submit(NULL, runner, &function));
    for (int i = 0; i < 2; i++) {
        CHECK_STATUS(APR_SUCCESS, cohort_runner_next(runner, &run, COHORT_FOREVER));
        CHECK_INT(COHORT_RUN_SUCCEEDED, cohort_run_outcome(run)->end);
    }
    CHECK_STATUS(APR_SUCCESS, cohort_runner_destroy(runner));
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
    char name[] = "left_open_XXXXXX";
    const char *path = NULL;
    CHECK_STATUS(APR_SUCCESS, apr_file_mktemp(&given, name, 0, test_pool()));
    CHECK_STATUS(APR_SUCCESS, apr_file_name_get(&path, given));
    log_path = path;
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
CASE(services, a_service)
CASE(workers, a_pool)
CASE(runners, a_runner)

#define ENTRY(name) \
    { "LeftOpen", #name, name }
const test_case_t left_open_cases[] = {
    ENTRY(gifts),    ENTRY(pipes),    ENTRY(logs), ENTRY(terminals), ENTRY(daemons),
    ENTRY(programs), ENTRY(failures), ENTRY(runs), ENTRY(parcels),   ENTRY(services),
    ENTRY(workers),  ENTRY(runners),  {0}};
