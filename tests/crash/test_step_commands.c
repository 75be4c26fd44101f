/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Death of a process that runs commands: programs and functions, by itself and by a runner; and
 * that starts a function with pipes. Whatever it has come to, what it was running ends with it,
 * known to the arena or not, and nothing is left there: no process, no run, no block.
 */
#include "check.h"
#include "step.h"

#include <cohort/cohort.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    char mark[32]; /* an argument of its programs */
    cohort_runner_t *runner;
} state_t;

/* ---- what is run ---------------------------------------------------------------------------- */

static int echo(void *args) {
    int byte;
    (void)args;
    while ((byte = getc(stdin)) != EOF) putchar(byte);
    return 0;
}

static cohort_command_t program_of(const state_t *s, const char **argv) {
    argv[0] = "/bin/sh";
    argv[1] = "-c";
    argv[2] = "cat";
    argv[3] = s->mark;
    argv[4] = NULL;
    return (cohort_command_t){.argv = argv, .input = "x", .input_size = 1};
}

static void run(const cohort_command_t *command) {
    cohort_outcome_t outcome;
    apr_pool_t *pool;
    CHECK_STATUS(APR_SUCCESS, apr_pool_create(&pool, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_run(&outcome, command, pool));
    CHECK_STR("x", outcome.output.data);
    apr_pool_destroy(pool);
}

static void run_program(void *state) {
    const char *argv[5];
    cohort_command_t command = program_of(state, argv);
    run(&command);
}

static void run_function(void *state) {
    (void)state;
    run(&(cohort_command_t){.target = echo, .input = "x", .input_size = 1});
}

static void run_by_runner(void *state) {
    state_t *s = state;
    const char *argv[5];
    cohort_runner_t *runner = s->runner;
    cohort_run_t *one;
    cohort_command_t program = program_of(s, argv),
                     function = {.target = echo, .input = "x", .input_size = 1};
    CHECK_STATUS(APR_SUCCESS, cohort_runner_submit(NULL, runner, &program));
    CHECK_STATUS(APR_SUCCESS, cohort_runner_submit(&one, runner, &function));
    CHECK_STATUS(APR_SUCCESS, cohort_run_wait(one, COHORT_FOREVER));
    CHECK_STR("x", cohort_run_outcome(one)->output.data);
    CHECK_STATUS(APR_SUCCESS, cohort_runner_next(runner, &one, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_run_destroy(one));
    CHECK_STATUS(APR_SUCCESS, cohort_runner_destroy(runner));
}

static void start_with_pipes(void *state) {
    cohort_stream_t streams[3] = {{.kind = COHORT_STREAM_PIPE}, {.kind = COHORT_STREAM_PIPE}};
    cohort_process_options_t options = {.streams = streams, .lifetime = COHORT_LIFETIME_DAEMON};
    cohort_process_t *process;
    apr_pool_t *pool;
    char byte = 0;
    apr_size_t size = 1;
    (void)state;
    CHECK_STATUS(APR_SUCCESS, apr_pool_create(&pool, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_process_launch(&process, echo, NULL, 0, &options, pool));
    CHECK_STATUS(APR_SUCCESS, apr_file_write(streams[0].file, "x", &size));
    CHECK_STATUS(APR_SUCCESS, apr_file_close(streams[0].file));
    CHECK_STATUS(APR_SUCCESS, apr_file_read(streams[1].file, &byte, &size));
    CHECK_INT('x', byte);
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(process, COHORT_FOREVER));
    apr_pool_destroy(pool);
}

/* ---- the scenario --------------------------------------------------------------------------- */

static void *prepare(void) {
    state_t *s = step_new(sizeof *s);
    snprintf(s->mark, sizeof s->mark, "step-command-%ld", (long)getpid());
    return s;
}

/* The watcher, the fork server, the thread's record. */
static void warm(void *state) {
    run_program(state);
    run_function(state);
}

static void warm_runner(void *state) {
    state_t *s = state;
    warm(s);
    CHECK_STATUS(APR_SUCCESS, cohort_runner_create(&s->runner, NULL, NULL));
}

static bool has_argument(const char *pid, const char *mark) {
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%.20s/cmdline", pid);
    FILE *file = fopen(path, "r");
    size_t size = file ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file) fclose(file);
    for (size_t i = 0; i < size; i++)
        if (!text[i]) text[i] = ' ';
    text[size] = 0;
    return strstr(text, mark) != NULL;
}

/* A program that the victim has executed, and not noted yet, is in no table. */
static bool any_program(const char *mark) {
    DIR *directory = opendir("/proc");
    bool found = false;
    for (struct dirent *entry; directory && (entry = readdir(directory)) != NULL;)
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' && has_argument(entry->d_name, mark))
            found = true;
    if (directory) closedir(directory);
    return found;
}

static void check_nothing_left(void *state, bool finished) {
    const state_t *s = state;
    (void)finished;
    step_end_orphans();
    CHECK_STATUS(APR_SUCCESS, cohort_runner_destroy(s->runner)); /* whether it is or was one */
    while (any_program(s->mark)) apr_sleep(1000);                /* the watchdog ends this */
}

static void discard(void *state) { CHECK_STATUS(APR_SUCCESS, cohort_free(state)); }

#define CASE(function, warm_, operate_)                                              \
    static const step_scenario_t function##_scenario = {.prepare = prepare,          \
                                                        .warm = warm_,               \
                                                        .operate = operate_,         \
                                                        .check = check_nothing_left, \
                                                        .discard = discard};         \
    static void function(void) { step_through(#function, &function##_scenario); }

CASE(program_is_run, warm, run_program)
CASE(function_is_run, warm, run_function)
CASE(start_with_streams, warm, start_with_pipes)
STEP_CASES(runner, .prepare = prepare, .warm = warm_runner, .operate = run_by_runner,
           .check = check_nothing_left, .discard = discard)

#define ENTRY(function) \
    { "StepCommands", #function, function }
const test_case_t step_commands_cases[] = {
    ENTRY(program_is_run),     ENTRY(function_is_run), ENTRY(runner),
    ENTRY(start_with_streams), ENTRY(runner_repair),   {0},
};
