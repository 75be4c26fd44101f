/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Commands by one call: what they are given, what comes back, and what ends them. */
#include "facts.h"
#include "programs.h"

#include <apr_strings.h>
#include <stdio.h>
#include <stdlib.h>

#define ACT(...) ((const char *const[]){TEST_ACTOR, __VA_ARGS__, NULL})

static cohort_outcome_t outcome_of(const cohort_command_t *command) {
    cohort_outcome_t outcome = {0};
    CHECK_STATUS(APR_SUCCESS, cohort_run(&outcome, command, test_pool()));
    return outcome;
}

static void output_and_errors_come_back(void) {
    cohort_outcome_t o =
        outcome_of(&(cohort_command_t){.argv = ACT("say", "one", "cry", "two", "exit", "3")});
    CHECK_INT(COHORT_RUN_FAILED, o.end);
    CHECK_INT(3, o.exit_code);
    CHECK_STR("one\n", o.output.data);
    CHECK_STR("two\n", o.error.data);
    CHECK_INT(4, o.output.size);
    CHECK_INT(4, o.error.seen);
    CHECK_INT(1, o.attempts);
    CHECK_STATUS(APR_SUCCESS, o.status);
    CHECK(o.message == NULL);
    o = outcome_of(&(cohort_command_t){.argv = ACT("exit", "0")});
    CHECK_INT(COHORT_RUN_SUCCEEDED, o.end);
    CHECK_STR("", o.output.data);
    CHECK_STR("", o.error.data);
}

/* More than any pipe holds, in, out and to standard error at once. */
static void nothing_waits_for_ever(void) {
    enum { SIZE = 1 << 20 };
    char *input = apr_palloc(test_pool(), SIZE);
    for (int i = 0; i < SIZE; i++) input[i] = (char)('a' + i % 23);
    cohort_outcome_t o = outcome_of(&(cohort_command_t){
        .argv = ACT("flood", "300000", "cat"), .input = input, .input_size = SIZE});
    CHECK_INT(COHORT_RUN_SUCCEEDED, o.end);
    CHECK_INT(SIZE + 300000, o.output.size);
    CHECK_INT(300000, o.error.size);
    CHECK_MEM(input, o.output.data + 300000, SIZE);
    /* it reads nothing */
    o = outcome_of(
        &(cohort_command_t){.argv = ACT("say", "x"), .input = input, .input_size = SIZE});
    CHECK_INT(COHORT_RUN_SUCCEEDED, o.end);
    CHECK_STR("x\n", o.output.data);
    /* without input there is the end of a file */
    outcome_of(&(cohort_command_t){.argv = ACT("no-line")});
}

static void limits_hold(void) {
    cohort_outcome_t o = outcome_of(&(cohort_command_t){
        .argv = ACT("flood", "300000"), .output_limit = 10, .error_limit = 299999});
    CHECK_INT(COHORT_RUN_SUCCEEDED, o.end);
    CHECK_INT(10, o.output.size);
    CHECK_INT(300000, o.output.seen);
    CHECK_STR("oooooooooo", o.output.data);
    CHECK_INT(299999, o.error.size);
    CHECK_INT(300000, o.error.seen);
    CHECK_INT('e', o.error.data[299998]);
    CHECK_INT(0, o.error.data[299999]);
}

static void deadlines_hold(void) {
    cohort_outcome_t o = outcome_of(
        &(cohort_command_t){.argv = ACT("say", "before", "flush", "wait"), .timeout = A_WHILE});
    CHECK_INT(COHORT_RUN_TIMED_OUT, o.end);
    CHECK_INT(-9, o.exit_code);
    CHECK(!o.output.size || !strcmp(o.output.data, "before\n")); /* it may have been too slow */
    CHECK(o.time >= A_WHILE);
    o = outcome_of(&(cohort_command_t){.argv = ACT("wait"), .timeout = A_WHILE, .stop = 100000000});
    CHECK_INT(COHORT_RUN_TIMED_OUT, o.end);
    CHECK_INT(-15, o.exit_code);
    /* one that has closed its streams and goes on */
    o = outcome_of(&(cohort_command_t){.argv = ACT("close", "wait"), .timeout = A_WHILE});
    CHECK_INT(COHORT_RUN_TIMED_OUT, o.end);
}

typedef struct {
    char text[2][256];
    int left; /* so many lines are wanted */
} lines_t;

static int note_line(void *user, int stream, const char *line, apr_size_t length) {
    lines_t *lines = user;
    CHECK_INT(length, strlen(line));
    CHECK(stream == 1 || stream == 2);
    strcat(strcat(lines->text[stream - 1], line), "|");
    return --lines->left == 0;
}

static void lines_are_given(void) {
    lines_t lines = {{"", ""}, 100};
    cohort_command_t command = {
        .argv = ACT("say", "one\ntwo", "cry", "three", "say", "\r", "add", "rest"),
        .line = note_line,
        .user = &lines};
    cohort_outcome_t o = outcome_of(&command);
    CHECK_INT(COHORT_RUN_SUCCEEDED, o.end);
    CHECK_STR("one|two||rest|", lines.text[0]);
    CHECK_STR("three|", lines.text[1]);
    CHECK_INT(0, o.output.size);
    CHECK_INT(14, o.output.seen);
    CHECK(o.user == &lines);
    lines = (lines_t){{"", ""}, 2};
    command.argv = ACT("say", "one\ntwo\nthree", "flush", "wait");
    o = outcome_of(&command);
    CHECK_INT(COHORT_RUN_CANCELLED, o.end);
    CHECK_STR("one|two|", lines.text[0]);
}

static int measure_line(void *user, int stream, const char *line, apr_size_t length) {
    apr_size_t *sizes = user;
    (void)stream, (void)line;
    sizes[sizes[0] ? 1 : 0] = length;
    return 0;
}

static void long_lines_come_in_pieces(void) {
    apr_size_t sizes[2] = {0, 0};
    outcome_of(&(cohort_command_t){.argv = ACT("flood", "70000"),
                                   .streams = {[2] = {.kind = COHORT_STREAM_NULL}},
                                   .line = measure_line,
                                   .user = sizes});
    CHECK_INT(COHORT_LINE_MAX, sizes[0]);
    CHECK_INT(70000 - COHORT_LINE_MAX, sizes[1]);
}

static void streams_elsewhere(void) {
    cohort_command_t command = {.argv = ACT("say", "one", "flush", "cry", "two", "say", "three"),
                                .streams = {[2] = {.kind = COHORT_STREAM_OUTPUT}}};
    cohort_outcome_t o = outcome_of(&command);
    CHECK_STR("one\ntwo\nthree\n", o.output.data);
    CHECK_STR("", o.error.data);
    command.streams[1].kind = COHORT_STREAM_NULL;
    command.streams[2].kind = COHORT_STREAM_INHERIT;
    o = outcome_of(&command);
    CHECK_STR("", o.output.data);
    CHECK_STR("two\n", o.error.data);
    command.streams[2].kind = COHORT_STREAM_OUTPUT; /* nowhere, too */
    outcome_of(&command);
    command = (cohort_command_t){.argv = ACT("exit", "0"),
                                 .streams = {{.kind = COHORT_STREAM_PARENT},
                                             {.kind = COHORT_STREAM_PARENT},
                                             {.kind = COHORT_STREAM_OUTPUT}}};
    CHECK_INT(COHORT_RUN_SUCCEEDED, outcome_of(&command).end);
}

static void a_program_has_them_too(void) {
    cohort_program_t program = {.argv = ACT("say", "one", "flush", "cry", "two"),
                                .streams = {[1] = PIPE, [2] = {.kind = COHORT_STREAM_OUTPUT}}};
    cohort_process_t *process = start_program(&program, NULL);
    CHECK_STR("one\ntwo\n", read_all(program.streams[1].file));
    party_end(process, 0);
}

/* A read of a pipe waits for as long as it is told to, on every system. */
static void pipes_have_time_outs(void) {
    cohort_program_t program = {.argv = ACT("line", "say", "x", "flush", "wait"),
                                .streams = {PIPE, PIPE}};
    cohort_process_t *process = start_program(&program, NULL);
    char text[16];
    apr_size_t size = sizeof text;
    CHECK_STATUS(APR_SUCCESS, apr_file_pipe_timeout_set(program.streams[1].file, A_WHILE));
    apr_status_t status = apr_file_read(program.streams[1].file, text, &size);
    CHECK(APR_STATUS_IS_TIMEUP(status));
    CHECK_STATUS(APR_SUCCESS, apr_file_write_full(program.streams[0].file, "\n", 1, NULL));
    CHECK_STATUS(APR_SUCCESS, apr_file_pipe_timeout_set(program.streams[1].file, -1));
    size = sizeof text;
    CHECK_STATUS(APR_SUCCESS, apr_file_read(program.streams[1].file, text, &size));
    CHECK_INT('x', text[0]);
    party_kill(process);
}

/* What it has started holds its pipes, and goes on. */
static void pipes_held_by_others(void) {
    cohort_process_options_t alone = {.containment = COHORT_CONTAIN_NONE};
    cohort_command_t command = {
        .argv = ACT("leave", "say", "mine"), .grace = A_WHILE, .process = &alone};
    cohort_outcome_t o = outcome_of(&command);
    CHECK_INT(COHORT_RUN_SUCCEEDED, o.end);
    CHECK_STR("mine\n", o.output.data);
    CHECK_STATUS(APR_INCOMPLETE, o.status);
    CHECK(o.message != NULL);
    CHECK(o.time >= A_WHILE);
}

static void attempts_are_made(void) {
    cohort_outcome_t o = outcome_of(
        &(cohort_command_t){.argv = ACT("say", "x", "exit", "4"), .attempts = 3, .pause = 1000});
    CHECK_INT(COHORT_RUN_FAILED, o.end);
    CHECK_INT(4, o.exit_code);
    CHECK_INT(3, o.attempts);
    CHECK_STR("x\n", o.output.data);
    CHECK_INT(1, outcome_of(&(cohort_command_t){.argv = ACT("exit", "0"), .attempts = 3}).attempts);
}

static void what_does_not_begin(void) {
    cohort_outcome_t o = {.exit_code = 77};
    cohort_command_t command = {.argv = (const char *const[]){"/nonexistent/program", NULL}};
    apr_status_t status = cohort_run(&o, &command, test_pool());
    CHECK(APR_STATUS_IS_ENOENT(status));
    CHECK(strstr(cohort_last_error(), "/nonexistent/program") != NULL);
    command = (cohort_command_t){.argv = ACT("exit", "0"), .cwd = "/nonexistent/directory"};
    status = cohort_run(&o, &command, test_pool());
    CHECK(APR_STATUS_IS_ENOENT(status));
    CHECK(strstr(cohort_last_error(), "/nonexistent/directory") != NULL);
    CHECK_INT(77, o.exit_code);
}

static void what_cannot_be_meant(void) {
    cohort_outcome_t o;
    const cohort_command_t good = {.argv = ACT("exit", "0")};
    cohort_command_t bad[8];
    for (size_t i = 0; i < 8; i++) bad[i] = good;
    bad[0].argv = NULL;
    bad[1].argv = (const char *const[]){NULL};
    bad[2].argv = (const char *const[]){"", NULL};
    bad[3].input_size = 1;
    bad[4].streams[1].kind = COHORT_STREAM_PIPE;
    bad[5].streams[1].kind = COHORT_STREAM_OUTPUT;
    bad[6].streams[1].kind = COHORT_STREAM_FILE;
    bad[7].streams[1].kind = (cohort_stream_kind_t)17;
    for (size_t i = 0; i < 8; i++) CHECK_STATUS(APR_EINVAL, cohort_run(&o, &bad[i], test_pool()));
    CHECK_STATUS(APR_EINVAL, cohort_run(NULL, &good, test_pool()));
    CHECK_STATUS(APR_EINVAL, cohort_run(&o, NULL, test_pool()));
    CHECK_STATUS(APR_EINVAL, cohort_run(&o, &good, NULL));
}

static void nothing_is_left(void) {
    enum { RUNS = 100 };
    cohort_command_t command = {.argv = ACT("say", "x"), .input = "y", .input_size = 1};
    int before = system_handles(), after;
    if (before < 0) SKIP("the system does not tell descriptors");
    do { /* what comes once, a keeper, may come late; what each run left would come each time */
        before = system_handles();
        for (int i = 0; i < RUNS; i++) outcome_of(&command);
        after = system_handles();
    } while (after > before);
}

static void *APR_THREAD_FUNC run_many(apr_thread_t *thread, void *data) {
    (void)data;
    apr_pool_t *pool;
    CHECK_STATUS(APR_SUCCESS, apr_pool_create(&pool, NULL));
    for (int i = 0; i < 10; i++) {
        cohort_outcome_t o;
        cohort_command_t command = {.argv = ACT("cat"), .input = "same", .input_size = 4};
        CHECK_STATUS(APR_SUCCESS, cohort_run(&o, &command, pool));
        CHECK_STR("same", o.output.data);
    }
    apr_pool_destroy(pool);
    apr_thread_exit(thread, APR_SUCCESS);
    return NULL;
}

static void by_many_threads(void) {
    apr_thread_t *threads[6];
    apr_status_t status;
    for (int i = 0; i < 6; i++)
        CHECK_STATUS(APR_SUCCESS,
                     apr_thread_create(&threads[i], NULL, run_many, NULL, test_pool()));
    for (int i = 0; i < 6; i++) CHECK_STATUS(APR_SUCCESS, apr_thread_join(&status, threads[i]));
}

static int run_in_child(void *data) {
    (void)data;
    CHECK_STR("child\n", outcome_of(&(cohort_command_t){.argv = ACT("say", "child")}).output.data);
    apr_pool_clear(test_pool()); /* what was printed goes with it */
    return 0;
}

static void in_children(void) { party_finish(party_start(run_in_child, NULL, 0)); }

/* ---- functions ------------------------------------------------------------------------------ */

static int answer(void *args) {
    char text[16] = "";
    if (!fgets(text, sizeof text, stdin)) text[0] = 0;
    printf("%s, %s", *(const char *)args ? (const char *)args : "none", text);
    fputs("and done", stderr);
    return *text ? 0 : 5;
}

static void functions_are_commands(void) {
    cohort_outcome_t o = outcome_of(&(cohort_command_t){
        .target = answer, .args = "asked", .args_size = 6, .input = "told", .input_size = 4});
    CHECK_INT(COHORT_RUN_SUCCEEDED, o.end);
    CHECK_STR("asked, told", o.output.data);
    CHECK_STR("and done", o.error.data);
    o = outcome_of(&(cohort_command_t){.target = answer, .args = "", .args_size = 1});
    CHECK_INT(COHORT_RUN_FAILED, o.end);
    CHECK_INT(5, o.exit_code);
    CHECK_STR("none, ", o.output.data);
    CHECK_STATUS(APR_EINVAL, cohort_run(&o, &(cohort_command_t){.input = ""}, test_pool()));
    CHECK_STATUS(
        APR_EINVAL,
        cohort_run(&o, &(cohort_command_t){.target = answer, .argv = ACT("cat")}, test_pool()));
    CHECK_STATUS(APR_EINVAL, cohort_run(&o, &(cohort_command_t){.target = answer, .args_size = 1},
                                        test_pool()));
    CHECK_STATUS(APR_EINVAL,
                 cohort_run(&o, &(cohort_command_t){.target = answer, .cwd = "."}, test_pool()));
}

static int flood(void *args) {
    char block[1000];
    (void)args;
    memset(block, 'x', sizeof block);
    for (int i = 0; i < 200; i++) {
        fwrite(block, 1, sizeof block, stdout);
        fwrite(block, 1, sizeof block, stderr);
        fflush(stdout);
    }
    if (getc(stdin) == EOF) return 0;
    party_wait_for_death();
}

static void functions_have_deadlines(void) {
    cohort_outcome_t o = outcome_of(&(cohort_command_t){.target = flood, .output_limit = 100});
    CHECK_INT(COHORT_RUN_SUCCEEDED, o.end);
    CHECK_INT(100, o.output.size);
    CHECK_INT(200000, o.error.size);
    o = outcome_of(
        &(cohort_command_t){.target = flood, .input = "x", .input_size = 1, .timeout = 200000});
    CHECK_INT(COHORT_RUN_TIMED_OUT, o.end);
    CHECK_INT(-9, o.exit_code);
}

/* Its streams are closed, and it goes on: a runner learns of its end all the same. */
static int say_number(void *args) {
    printf("%d", *(int *)args);
    return 0;
}

static void runners_run_functions(void) {
    enum { N = 12 };
    cohort_runner_options_t options = {.limit = 3, .ordered = 1};
    cohort_runner_t *runner = NULL;
    cohort_run_t *run;
    CHECK_STATUS(APR_SUCCESS, cohort_runner_create(&runner, &options, test_pool()));
    for (int i = 0; i < N; i++) {
        cohort_command_t command = {.target = say_number, .args = &i, .args_size = sizeof i};
        CHECK_STATUS(APR_SUCCESS, cohort_runner_submit(NULL, runner, &command));
    }
    for (int i = 0; i < N; i++) {
        CHECK_STATUS(APR_SUCCESS, cohort_runner_next(runner, &run, COHORT_FOREVER));
        const cohort_outcome_t *o = cohort_run_outcome(run);
        CHECK_INT(COHORT_RUN_SUCCEEDED, o->end);
        CHECK_STR(apr_itoa(test_pool(), i), o->output.data);
    }
    CHECK_STATUS(APR_SUCCESS, cohort_runner_destroy(runner));
}

const test_case_t run_cases[] = {
    {"Run", "output_and_errors_come_back", output_and_errors_come_back},
    {"Run", "nothing_waits_for_ever", nothing_waits_for_ever},
    {"Run", "limits_hold", limits_hold},
    {"Run", "deadlines_hold", deadlines_hold},
    {"Run", "lines_are_given", lines_are_given},
    {"Run", "long_lines_come_in_pieces", long_lines_come_in_pieces},
    {"Run", "streams_elsewhere", streams_elsewhere},
    {"Run", "a_program_has_them_too", a_program_has_them_too},
    {"Run", "pipes_have_time_outs", pipes_have_time_outs},
    {"Run", "pipes_held_by_others", pipes_held_by_others},
    {"Run", "attempts_are_made", attempts_are_made},
    {"Run", "what_does_not_begin", what_does_not_begin},
    {"Run", "what_cannot_be_meant", what_cannot_be_meant},
    {"Run", "nothing_is_left", nothing_is_left},
    {"Run", "by_many_threads", by_many_threads},
    {"Run", "in_children", in_children},
    {"Run", "functions_are_commands", functions_are_commands},
    {"Run", "functions_have_deadlines", functions_have_deadlines},
    {"Run", "runners_run_functions", runners_run_functions},
    {0},
};
