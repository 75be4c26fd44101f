/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Running other programs, where it takes a shell: tests/api/test_program.c has the rest. */
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

static void any_bytes_arrive(void) {
    const char *argv[] = {"/bin/sh", "-c", "printf '<%s>' \"$0\" \"$@\"", "zero", "", "two words", "$HOME \"'\\", "\xff\x01\n", NULL};
    check_output("<zero><><two words><$HOME \"'\\><\xff\x01\n>", argv, NULL, NULL);
}

static void no_library_state_leaks(void) {
    check_output("", SHELL("env | grep COHORT_BOOT; ls -l /proc/self/fd 2>/dev/null | grep -E '/memfd:|/dev/shm/|pidfd|eventpoll'; true"), NULL, NULL);
}

static apr_file_t *new_file(char *path) {
    apr_file_t *file = NULL;
    CHECK_STATUS(APR_SUCCESS, apr_file_mktemp(&file, path, APR_READ | APR_WRITE | APR_CREATE | APR_DELONCLOSE, test_pool()));
    return file;
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

static void killed_by_itself(void) {
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

const test_case_t program_cases[] = {
    {"Program", "any_bytes_arrive", any_bytes_arrive},
    {"Program", "no_library_state_leaks", no_library_state_leaks},
    {"Program", "streams_are_inherited", streams_are_inherited},
    {"Program", "killed_by_itself", killed_by_itself},
    {"Program", "signal_state_is_clean", signal_state_is_clean},
    {"Program", "what_cannot_be_run", what_cannot_be_run},
    {0},
};
