/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Running other programs: what they are given, where their streams go, how they end, and why they do not begin. */
#include "../api/parties.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHELL(script) (const char *const[]){"/bin/sh", "-c", script, NULL}

static cohort_process_t *start_program(cohort_program_t *program, const cohort_process_options_t *options) {
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_process_create_program(&process, program, options, test_pool()));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
    return process;
}

static void run_program(cohort_program_t *program, int code) {
    party_end(start_program(program, NULL), code);
}

static apr_status_t start_fails(cohort_program_t *program) {
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_process_create_program(&process, program, NULL, test_pool()));
    apr_status_t status = cohort_process_start(process);
    CHECK_INT(0, cohort_process_is_alive(process));
    CHECK_INT(COHORT_EXIT_NONE, cohort_process_exit_code(process));
    CHECK_STATUS(COHORT_ENOTSTARTED, cohort_process_join(process, 0));
    CHECK_STATUS(status, cohort_process_start(process)); /* it may be tried again, with the same outcome */
    CHECK_STATUS(APR_SUCCESS, cohort_process_close(process));
    return status;
}

/* All that comes out of the parent's end of a pipe. */
static char *read_all(apr_file_t *file) {
    static char text[8192];
    apr_size_t used = 0;
    for (;;) {
        apr_size_t size = sizeof text - 1 - used;
        apr_status_t status = apr_file_read(file, text + used, &size);
        if (APR_STATUS_IS_EOF(status)) break;
        CHECK_STATUS(APR_SUCCESS, status);
        used += size;
    }
    text[used] = 0;
    return text;
}

static void check_output(const char *expected, const char *const *argv, const char *const *env, const char *cwd) {
    cohort_program_t program = {.argv = argv, .env = env, .cwd = cwd, .streams = {[1] = {.kind = COHORT_STREAM_PIPE}}};
    cohort_process_t *process = start_program(&program, NULL);
    CHECK_STR(expected, read_all(program.streams[1].file));
    party_finish(process);
    CHECK_STATUS(APR_SUCCESS, apr_file_close(program.streams[1].file));
}

static void arguments_arrive(void) {
    const char *argv[] = {"/bin/sh", "-c", "printf '<%s>' \"$0\" \"$@\"", "zero", "", "two words", "$HOME \"'\\", "\xff\x01\n", NULL};
    check_output("<zero><><two words><$HOME \"'\\><\xff\x01\n>", argv, NULL, NULL);
}

static void environment_is_replaced(void) {
    const char *const env[] = {"ONE=1", "TWO=two words", NULL};
    check_output("ONE=1\nTWO=two words\n", (const char *const[]){"/usr/bin/env", NULL}, env, NULL);
    setenv("COHORT_TEST_VARIABLE", "inherited", 1);
    check_output("inherited", SHELL("printf %s \"$COHORT_TEST_VARIABLE\""), NULL, NULL);
}

static void directory_is_changed(void) {
    check_output("/\n", SHELL("pwd"), NULL, "/");
}

static void path_is_searched(void) {
    check_output("found\n", (const char *const[]){"sh", "-c", "echo found", NULL}, NULL, NULL);
    const char *const nowhere[] = {"PATH=/nonexistent", NULL};
    cohort_program_t program = {.argv = (const char *const[]){"sh", "-c", "exit 0", NULL}, .env = nowhere};
    CHECK(APR_STATUS_IS_ENOENT(start_fails(&program)));
}

static void no_library_state_leaks(void) {
    check_output("", SHELL("env | grep COHORT_BOOT; ls -l /proc/self/fd 2>/dev/null | grep -E '/memfd:|/dev/shm/|pidfd|eventpoll'; true"), NULL, NULL);
}

static void pipes_in_both_directions(void) {
    cohort_program_t program = {.argv = SHELL("cat; echo problem >&2; exit 4"),
                                .streams = {{.kind = COHORT_STREAM_PIPE}, {.kind = COHORT_STREAM_PIPE}, {.kind = COHORT_STREAM_PIPE}}};
    cohort_process_t *process = start_program(&program, NULL);
    CHECK_STATUS(APR_SUCCESS, apr_file_write_full(program.streams[0].file, "in and out", 10, NULL));
    CHECK_STATUS(APR_SUCCESS, apr_file_close(program.streams[0].file));
    CHECK_STR("in and out", read_all(program.streams[1].file));
    CHECK_STR("problem\n", read_all(program.streams[2].file));
    party_end(process, 4);
}

/* The parent's end of a pipe must not be open in the second program, or the first would never see the end of its input. */
static void pipes_are_not_inherited(void) {
    cohort_program_t first = {.argv = SHELL("cat >/dev/null"), .streams = {{.kind = COHORT_STREAM_PIPE}}};
    cohort_program_t second = {.argv = SHELL("exec cat"), .streams = {{.kind = COHORT_STREAM_PIPE}}};
    cohort_process_t *one = start_program(&first, NULL), *two = start_program(&second, NULL);
    CHECK_STATUS(APR_SUCCESS, apr_file_close(first.streams[0].file));
    party_finish(one);
    CHECK_STATUS(APR_SUCCESS, apr_file_close(second.streams[0].file));
    party_finish(two);
}

static void null_streams(void) {
    cohort_program_t program = {.argv = SHELL("echo nobody sees this; echo nor this >&2; read line && exit 1; exit 0"),
                                .streams = {{.kind = COHORT_STREAM_NULL}, {.kind = COHORT_STREAM_NULL}, {.kind = COHORT_STREAM_NULL}}};
    run_program(&program, 0);
}

static apr_file_t *new_file(char *path) {
    apr_file_t *file = NULL;
    CHECK_STATUS(APR_SUCCESS, apr_file_mktemp(&file, path, APR_READ | APR_WRITE | APR_CREATE | APR_DELONCLOSE, test_pool()));
    return file;
}

static void files_as_streams(void) {
    char path[] = "program_file.XXXXXX", text[32] = "";
    apr_size_t size = sizeof text - 1;
    apr_off_t start = 0;
    apr_file_t *file = new_file(path);
    cohort_program_t out = {.argv = SHELL("echo one; echo two >&2"),
                            .streams = {[1] = {COHORT_STREAM_FILE, file}, [2] = {COHORT_STREAM_FILE, file}}};
    run_program(&out, 0);
    CHECK_STATUS(APR_SUCCESS, apr_file_seek(file, APR_SET, &start));
    cohort_program_t in = {.argv = SHELL("read a; read b; test $a$b = onetwo"), .streams = {{COHORT_STREAM_FILE, file}}};
    run_program(&in, 0);
    CHECK_STATUS(APR_SUCCESS, apr_file_seek(file, APR_SET, &start));
    CHECK_STATUS(APR_SUCCESS, apr_file_read(file, text, &size)); /* it is still ours, and open */
    CHECK_STR("one\ntwo\n", text);
    CHECK_STATUS(APR_SUCCESS, apr_file_close(file));
}

static void streams_are_inherited(void) {
    char path[] = "program_file.XXXXXX", text[32] = "";
    apr_size_t size = sizeof text - 1;
    apr_off_t start = 0;
    apr_file_t *file = new_file(path);
    cohort_program_t outer = {.argv = SHELL("exec sh -c 'echo inherited'"), .streams = {[1] = {COHORT_STREAM_FILE, file}}};
    run_program(&outer, 0);
    CHECK_STATUS(APR_SUCCESS, apr_file_seek(file, APR_SET, &start));
    CHECK_STATUS(APR_SUCCESS, apr_file_read(file, text, &size));
    CHECK_STR("inherited\n", text);
}

static void exit_codes(void) {
    static const struct {
        const char *script;
        int code;
    } cases[] = {{"exit 0", 0},       {"exit 1", 1},        {"exit 255", 255},    {"kill -9 $$", -9}, {"kill -15 $$", -15},
                 {"kill -6 $$", -6},  {"kill -11 $$", -11}, {"exec true", 0},     {"exec false", 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cohort_program_t program = {.argv = SHELL(cases[i].script)};
        run_program(&program, cases[i].code);
    }
}

static void signals_reach_it(void) {
    static apr_status_t (*const stops[])(cohort_process_t *) = {cohort_process_terminate, cohort_process_kill, cohort_process_interrupt};
    static const int codes[] = {-15, -9, -2};
    for (int i = 0; i < 3; i++) {
        cohort_program_t program = {.argv = SHELL("exec cat"), .streams = {{.kind = COHORT_STREAM_PIPE}}};
        cohort_process_t *process = start_program(&program, NULL);
        CHECK_INT(1, cohort_process_is_alive(process));
        CHECK_STATUS(APR_EAGAIN, cohort_process_join(process, 0));
        CHECK_STATUS(APR_SUCCESS, stops[i](process));
        party_end(process, codes[i]);
        CHECK_STATUS(APR_SUCCESS, stops[i](process));
    }
}

/* Without descriptors of processes nobody can tell how a child ended that the system forgot at once. */
static void run_unseen(cohort_program_t *program, int code) {
    cohort_process_t *process = start_program(program, NULL);
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(process, COHORT_FOREVER));
#ifdef COHORT_NO_PIDFD
    if (cohort_process_exit_code(process) == COHORT_EXIT_UNKNOWN) return;
#endif
    party_end(process, code);
}

/* A host that blocks, catches or ignores signals keeps that to itself, except what exec passes on: ignored ones. */
static void signal_state_is_clean(void) {
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    signal(SIGCHLD, SIG_IGN);
    cohort_program_t nested = {.argv = SHELL("sh -c 'exit 5'; exit $?")}; /* the shell needs its child's code */
    run_unseen(&nested, 5);
    signal(SIGCHLD, SIG_DFL);
    cohort_program_t program = {.argv = SHELL("kill -15 $$; exit 0")};
    run_program(&program, -15);
    sigprocmask(SIG_SETMASK, &before, NULL);
}

static void what_is_not_there(void) {
    cohort_program_t missing = {.argv = (const char *const[]){"/nonexistent/program", NULL}};
    CHECK(APR_STATUS_IS_ENOENT(start_fails(&missing)));
    cohort_program_t nowhere = {.argv = (const char *const[]){"no-program-has-this-name", NULL}};
    CHECK(APR_STATUS_IS_ENOENT(start_fails(&nowhere)));
    cohort_program_t cwd = {.argv = SHELL("exit 0"), .cwd = "/nonexistent/directory"};
    CHECK(APR_STATUS_IS_ENOENT(start_fails(&cwd)));
}

static void what_cannot_be_run(void) {
    char path[] = "./program_file.XXXXXX";
    apr_file_t *file = new_file(path);
    chmod(path, 0644);
    cohort_program_t data = {.argv = (const char *const[]){path, NULL}};
    CHECK(APR_STATUS_IS_EACCES(start_fails(&data)));
    cohort_program_t directory = {.argv = (const char *const[]){"/", NULL}};
    CHECK(APR_STATUS_IS_EACCES(start_fails(&directory)));
    cohort_program_t not_a_directory = {.argv = SHELL("exit 0"), .cwd = "/bin/sh"};
    CHECK_STATUS(APR_FROM_OS_ERROR(ENOTDIR), start_fails(&not_a_directory));
    CHECK_STATUS(APR_SUCCESS, apr_file_close(file));
}

static void failed_starts_leave_nothing(void) {
    cohort_program_t program = {.argv = (const char *const[]){"/nonexistent/program", NULL},
                                .streams = {{.kind = COHORT_STREAM_PIPE}, {.kind = COHORT_STREAM_PIPE}, {.kind = COHORT_STREAM_NULL}}};
    (void)start_fails(&program);
    int before = dup(0);
    for (int i = 0; i < 20; i++) (void)start_fails(&program);
    int after = dup(0);
    CHECK_INT(before + 1, after);
    close(before);
    close(after);
}

static void names_of_programs(void) {
    char name[64];
    cohort_program_t program = {.argv = SHELL("exit 0")};
    cohort_process_options_t options = {.name = "another name"};
    cohort_process_t *process = start_program(&program, NULL);
    CHECK_STATUS(APR_SUCCESS, cohort_process_name(process, name, sizeof name));
    CHECK_STR("sh", name);
    party_end(process, 0);
    process = start_program(&program, &options);
    CHECK_STATUS(APR_SUCCESS, cohort_process_name(process, name, sizeof name));
    CHECK_STR("another name", name);
    party_end(process, 0);
}

static void bad_programs(void) {
    cohort_process_t *process = NULL;
    cohort_program_t none = {0}, empty = {.argv = (const char *const[]){NULL}}, nameless = {.argv = (const char *const[]){"", NULL}},
                     file = {.argv = SHELL("exit 0"), .streams = {{.kind = COHORT_STREAM_FILE}}},
                     kind = {.argv = SHELL("exit 0"), .streams = {{.kind = (cohort_stream_kind_t)17}}},
                     pipe = {.argv = SHELL("exit 0"), .streams = {{.kind = COHORT_STREAM_PIPE}}};
    cohort_program_t *bad[] = {&none, &empty, &nameless, &file, &kind};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_STATUS(APR_EINVAL, cohort_process_create_program(&process, bad[i], NULL, test_pool()));
    }
    CHECK_STATUS(APR_EINVAL, cohort_process_create_program(&process, &pipe, NULL, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_process_create_program(NULL, &pipe, NULL, test_pool()));
    CHECK_STATUS(APR_EINVAL, cohort_process_create_program(&process, NULL, NULL, test_pool()));
}

static int run_in_a_child(void *data) {
    (void)data;
    cohort_program_t program = {.argv = SHELL("exit 6")};
    run_program(&program, 6);
    return 0;
}

static void children_run_programs(void) {
    party_finish(party_start(run_in_a_child, NULL, 0));
}

static int join_program(void *data) {
    party_end(*(cohort_process_t **)data, -15);
    return 0;
}

static void anybody_may_join_a_program(void) {
    cohort_program_t program = {.argv = SHELL("exec cat"), .streams = {{.kind = COHORT_STREAM_PIPE}}};
    cohort_process_t *process = start_program(&program, NULL), *joiner = party_start(join_program, &process, sizeof process);
    CHECK_STATUS(APR_SUCCESS, cohort_process_terminate(process));
    party_finish(joiner);
    party_end(process, -15);
}

const test_case_t program_cases[] = {
    {"Program", "arguments_arrive", arguments_arrive},
    {"Program", "environment_is_replaced", environment_is_replaced},
    {"Program", "directory_is_changed", directory_is_changed},
    {"Program", "path_is_searched", path_is_searched},
    {"Program", "no_library_state_leaks", no_library_state_leaks},
    {"Program", "pipes_in_both_directions", pipes_in_both_directions},
    {"Program", "pipes_are_not_inherited", pipes_are_not_inherited},
    {"Program", "null_streams", null_streams},
    {"Program", "files_as_streams", files_as_streams},
    {"Program", "streams_are_inherited", streams_are_inherited},
    {"Program", "exit_codes", exit_codes},
    {"Program", "signals_reach_it", signals_reach_it},
    {"Program", "signal_state_is_clean", signal_state_is_clean},
    {"Program", "what_is_not_there", what_is_not_there},
    {"Program", "what_cannot_be_run", what_cannot_be_run},
    {"Program", "failed_starts_leave_nothing", failed_starts_leave_nothing},
    {"Program", "names_of_programs", names_of_programs},
    {"Program", "bad_programs", bad_programs},
    {"Program", "children_run_programs", children_run_programs},
    {"Program", "anybody_may_join_a_program", anybody_may_join_a_program},
    {0},
};
