/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Running other programs, where it takes a shell: tests/api/test_program.c has the rest. */
#include "../api/programs.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHELL(script) \
    (const char *const[]) { "/bin/sh", "-c", script, NULL }

static void check_output(const char *expected, const char *const *argv, const char *const *env,
                         const char *cwd) {
    CHECK_STR(expected, output_of(argv, env, cwd));
}

static void any_bytes_arrive(void) {
    const char *argv[] = {"/bin/sh",     "-c",         "printf '<%s>' \"$0\" \"$@\"",
                          "zero",        "",           "two words",
                          "$HOME \"'\\", "\xff\x01\n", NULL};
    check_output("<zero><><two words><$HOME \"'\\><\xff\x01\n>", argv, NULL, NULL);
}

static void no_library_state_leaks(void) {
    check_output("",
                 SHELL("env | grep COHORT_BOOT; ls -l /proc/self/fd 2>/dev/null | grep -E "
                       "'/memfd:|/dev/shm/|pidfd|eventpoll'; true"),
                 NULL, NULL);
}

static apr_file_t *new_file(char *path) {
    apr_file_t *file = NULL;
    CHECK_STATUS(APR_SUCCESS,
                 apr_file_mktemp(&file, path, APR_READ | APR_WRITE | APR_CREATE | APR_DELONCLOSE,
                                 test_pool()));
    return file;
}

static void streams_are_inherited(void) {
    char path[] = "program_file.XXXXXX", text[32] = "";
    apr_size_t size = sizeof text - 1;
    apr_off_t start = 0;
    apr_file_t *file = new_file(path);
    cohort_program_t outer = {.argv = SHELL("exec sh -c 'echo inherited'"),
                              .streams = {[1] = {.kind = COHORT_STREAM_FILE, .file = file}}};
    run_program(&outer, 0);
    CHECK_STATUS(APR_SUCCESS, apr_file_seek(file, APR_SET, &start));
    CHECK_STATUS(APR_SUCCESS, apr_file_read(file, text, &size));
    CHECK_STR("inherited\n", text);
}

static void killed_by_itself(void) {
    static const struct {
        const char *script;
        int code;
    } cases[] = {{"exit 0", 0},        {"exit 1", 1},        {"exit 255", 255},
                 {"kill -9 $$", -9},   {"kill -15 $$", -15}, {"kill -6 $$", -6},
                 {"kill -11 $$", -11}, {"exec true", 0},     {"exec false", 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cohort_program_t program = {.argv = SHELL(cases[i].script)};
        run_program(&program, cases[i].code);
    }
}

/* Without descriptors of processes it is not known how a child ended that the system forgot at
 * once. */
static void run_unseen(cohort_program_t *program, int code) {
    cohort_process_t *process = start_program(program, NULL);
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(process, COHORT_FOREVER));
#ifdef COHORT_NO_PIDFD
    if (cohort_process_exit_code(process) == COHORT_EXIT_UNKNOWN) return;
#endif
    party_end(process, code);
}

/* A host that blocks, catches or ignores signals keeps that to itself, except what exec passes on:
 * ignored ones. */
static void signal_state_is_clean(void) {
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    signal(SIGCHLD, SIG_IGN);
    /* the shell needs its child's code */
    cohort_program_t nested = {.argv = SHELL("sh -c 'exit 5'; exit $?")};
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

/* ---- threads that wait for programs --------------------------------------------------------- */

typedef struct {
    cohort_process_t *process;
    _Atomic int waits;
    apr_status_t status;
} waiter_t;

static void *wait_for_it(void *arg) {
    waiter_t *w = arg;
    atomic_store(&w->waits, 1);
    w->status = cohort_process_join(w->process, COHORT_FOREVER);
    return NULL;
}

static pthread_t start_waiter(waiter_t *w, cohort_process_t *process) {
    pthread_t thread;
    *w = (waiter_t){.process = process, .status = APR_EGENERAL};
    CHECK_INT(0, pthread_create(&thread, NULL, wait_for_it, w));
    while (!atomic_load(&w->waits)) apr_sleep(1000);
    apr_sleep(20000); /* it sleeps by now, as a rule */
    return thread;
}

static void a_cancelled_waiter_takes_no_end_with_it(void) {
    cohort_program_t program = {.argv = SHELL("exec sleep 100")};
    waiter_t waiter;
    void *result;
    for (int i = 0; i < 5; i++) {
        cohort_process_t *process = start_program(&program, NULL);
        pthread_t thread = start_waiter(&waiter, process);
        CHECK_INT(0, pthread_cancel(thread));
        CHECK_STATUS(APR_SUCCESS, cohort_process_kill(process));
        party_end(process, -9);
        CHECK_INT(0, pthread_join(thread, &result));
        CHECK(result == PTHREAD_CANCELED || waiter.status == APR_SUCCESS ||
              waiter.status == COHORT_EHANDLE);
    }
}

static int run_a_program(void *args) {
    cohort_program_t program = {.argv = SHELL("exit 6")};
    (void)args;
    cohort_process_t *process = start_program(&program, NULL);
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(process, COHORT_FOREVER));
    return cohort_process_exit_code(process);
}

/* The copy has the descriptors and records of a wait that only the original is in. */
static void a_copy_waits_for_its_own(void) {
    cohort_program_t program = {.argv = SHELL("exec sleep 100")};
    cohort_process_t *process = start_program(&program, NULL);
    waiter_t waiter;
    pthread_t thread = start_waiter(&waiter, process);
    for (int i = 0; i < 3; i++) party_end(party_start(run_a_program, NULL, 0), 6);
    CHECK_INT(1, cohort_process_is_alive(process));
    CHECK_STATUS(APR_SUCCESS, cohort_process_kill(process));
    CHECK_INT(0, pthread_join(thread, NULL));
    CHECK_STATUS(APR_SUCCESS, waiter.status);
    party_end(process, -9);
}

/* Long waits are the watcher's again after a second, and nothing shows. */
static void long_waiters_are_notified_too(void) {
    cohort_program_t slow = {.argv = SHELL("sleep 1.3; exit 4")},
                     slower = {.argv = SHELL("sleep 1.6; exit 5")};
    cohort_waitable_t items[2] = {{.object = start_program(&slow, NULL)},
                                  {.object = start_program(&slower, NULL)}};
    CHECK_STATUS(APR_SUCCESS, cohort_wait(items, 2, COHORT_WAIT_ANY, COHORT_FOREVER));
    CHECK_INT(1, items[0].ready);
    CHECK_STATUS(APR_SUCCESS, cohort_wait(items, 2, COHORT_WAIT_ALL, COHORT_FOREVER));
    party_end(items[0].object, 4);
    party_end(items[1].object, 5);
}

const test_case_t program_cases[] = {
    {"Program", "any_bytes_arrive", any_bytes_arrive},
    {"Program", "no_library_state_leaks", no_library_state_leaks},
    {"Program", "streams_are_inherited", streams_are_inherited},
    {"Program", "killed_by_itself", killed_by_itself},
    {"Program", "signal_state_is_clean", signal_state_is_clean},
    {"Program", "what_cannot_be_run", what_cannot_be_run},
    {"Program", "a_cancelled_waiter_takes_no_end_with_it", a_cancelled_waiter_takes_no_end_with_it},
    {"Program", "a_copy_waits_for_its_own", a_copy_waits_for_its_own},
    {"Program", "long_waiters_are_notified_too", long_waiters_are_notified_too},
    {0},
};
