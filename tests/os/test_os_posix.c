/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The seam's manners on POSIX systems: forks and programs, what they are given and what they are
 * not. */
#ifdef _WIN32

#include "check.h"

const test_case_t os_posix_cases[] = {{0}};

#else

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "seam_posix.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif
#ifdef COHORT_VFORK_BY_CLONE3
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#endif

/* ---- forks ---------------------------------------------------------------------------------- */

static int forks_seen;

static void saw_fork(void) { ++forks_seen; }
static void no_thread(void *mark, bool first) { (void)mark, (void)first; }

static void fork_makes_a_copy(void) {
    cohort_os_id_t parent = cohort_os_self(), child;
    sigset_t before, after;
    sigprocmask(SIG_SETMASK, NULL, &before);
    if (fork_child(&child)) {
        sigprocmask(SIG_SETMASK, NULL, &after);
        for (int number = 1; number < 32; ++number)
            CHECK_INT(sigismember(&before, number), sigismember(&after, number));
        CHECK(child.pid == getpid() && child.pid != parent.pid && child.birth != 0);
        CHECK(cohort_os_alive(parent, NULL) && cohort_os_alive(cohort_os_self(), NULL));
        cohort_os_exit(12, COHORT_OS_EXIT_NOW);
    }
    CHECK(child.pid != parent.pid);
    CHECK_INT(12, seam_end_code(child));
}

static void raw_forks_are_noticed_and_ours_are_not(void) {
    const cohort_os_hooks_t hooks = {.forked = saw_fork, .thread_exit = no_thread};
    cohort_os_id_t child;
    CHECK_STATUS(APR_SUCCESS, cohort_os_hooks(&hooks));
    if (fork_child(&child)) cohort_os_exit(forks_seen, COHORT_OS_EXIT_NOW);
    CHECK_INT(0, seam_end_code(child));
    pid_t raw = fork();
    if (raw == 0) _exit(forks_seen + 10);
    int status;
    CHECK_INT(raw, waitpid(raw, &status, 0));
    CHECK_INT(11, WEXITSTATUS(status));
    CHECK_INT(0, forks_seen);
}

static void exit_flushes_when_asked(void) {
    cohort_os_handle_t reader, writer;
    cohort_os_id_t child;
    char text[16] = "";
    CHECK_STATUS(APR_SUCCESS, cohort_os_pipe_create(COHORT_OS_PIPE_BYTES, &reader, &writer));
    fflush(stdout);
    if (fork_child(&child)) {
        dup2((int)writer, 1);
        printf("flushed");
        cohort_os_exit(0, COHORT_OS_EXIT_FLUSHED);
    }
    cohort_os_close(writer);
    CHECK_INT(0, seam_end_code(child));
    CHECK_INT(7, read((int)reader, text, sizeof text - 1));
    CHECK_STR("flushed", text);
}

static void say_copied(void) { printf("copied;"); }
static void say_own(void) { printf("own;"); }
static void say_last(void) { printf("last"); }

/* What waits in the buffer, and the handlers, are the original's. */
static void copy_ends_by_its_own_handlers(void) {
    cohort_os_handle_t reader, writer;
    cohort_os_id_t middle, copy;
    char text[32] = "";
    CHECK_STATUS(APR_SUCCESS, cohort_os_pipe_create(COHORT_OS_PIPE_BYTES, &reader, &writer));
    fflush(stdout);
    if (fork_child(&middle)) {
        cohort_os_start_t start = FORK;
        bool in_child;
        start.at_exit = say_last;
        CHECK_INT(0, atexit(say_copied));
        dup2((int)writer, 1);
        printf("buffered;");
        CHECK_STATUS(APR_SUCCESS, cohort_os_start(&start, &copy, &in_child));
        if (in_child && atexit(say_own) == 0) cohort_os_exit(6, COHORT_OS_EXIT_ORDERLY);
        cohort_os_exit(seam_end_code(copy), COHORT_OS_EXIT_NOW);
    }
    cohort_os_close(writer);
    CHECK_INT(6, seam_end_code(middle));
    CHECK_INT(8, read((int)reader, text, sizeof text - 1));
    CHECK_STR("own;last", text);
}

/* Each in another's place, and one closed; a failure is the copy's to tell. */
static void copy_has_the_streams_it_is_given(void) {
    cohort_os_id_t child;
    int out[2];
    CHECK_INT(0, pipe(out));
    if (fork_child(&child)) {
        CHECK_INT(1, dup2(open("/dev/null", O_RDONLY), 1));
        CHECK_INT(0, dup2(out[1], 0));
        cohort_os_streams_t streams = {{1, 0, COHORT_OS_NONE}};
        cohort_os_start_t start = FORK;
        cohort_os_id_t copy;
        bool in_child;
        char byte;
        start.streams = &streams;
        CHECK_STATUS(APR_SUCCESS, cohort_os_start(&start, &copy, &in_child));
        if (in_child)
            _exit(read(0, &byte, 1) == 0 && write(1, "given", 5) == 5 && fcntl(2, F_GETFD) < 0 ? 0
                                                                                               : 1);
        CHECK_INT(0, seam_end_code(copy));
        streams.handles[0] = 9999;
        apr_status_t status = cohort_os_start(&start, &copy, &in_child);
        if (in_child) _exit(status == EBADF ? 5 : 1);
        CHECK_STATUS(APR_SUCCESS, status);
        CHECK_INT(5, seam_end_code(copy));
        cohort_os_exit(0, COHORT_OS_EXIT_NOW);
    }
    char text[16] = "";
    CHECK_INT(0, seam_end_code(child));
    CHECK_INT(5, read(out[0], text, sizeof text));
    CHECK_STR("given", text);
}

/* ---- programs ------------------------------------------------------------------------------- */

static void failures_of_exec_are_errors_of_start(void) {
    const char *const argv[] = {"/etc/passwd", NULL};
    cohort_os_start_t start = program(argv);
    cohort_os_id_t id;
    bool in_child;
    CHECK_STATUS(EACCES, cohort_os_start(&start, &id, &in_child));
    start.path = "/etc/passwd/sub";
    CHECK_STATUS(ENOTDIR, cohort_os_start(&start, &id, &in_child));
    start.path = "/bin";
    CHECK_STATUS(EACCES, cohort_os_start(&start, &id, &in_child));
    start.path = "sh";
    start.cwd = "/no/such/directory";
    CHECK_STATUS(ENOENT, cohort_os_start(&start, &id, &in_child));
    start.cwd = NULL;
    start.stdio[1] = 9999;
    CHECK_STATUS(EBADF, cohort_os_start(&start, &id, &in_child));
    CHECK_INT(-1, waitpid(-1, NULL, WNOHANG)); /* no child is left */
    CHECK_INT(ECHILD, errno);
}

static void programs_report_how_they_end(void) {
    static const struct {
        const char *command;
        int code;
    } cases[] = {{"exit 0", 0},
                 {"exit 7", 7},
                 {"kill -9 $$", -9},
                 {"kill -15 $$", -15},
                 {"kill -11 $$", -11}};
    for (int i = 0; i < 5; ++i) {
        const char *const argv[] = {"sh", "-c", cases[i].command, NULL};
        cohort_os_start_t start = program(argv);
        CHECK_INT(cases[i].code, seam_end_code(run(&start)));
    }
}

static void programs_get_arguments_environment_and_directory(void) {
    const char *const argv[] = {"sh",   "-c",      "echo $0 $1 $NAME ${HOME-none}; pwd",
                                "zero", "one two", NULL};
    const char *const env[] = {"NAME=value", "PATH=/usr/bin:/bin", NULL};
    cohort_os_handle_t reader, writer;
    char text[128] = "";
    CHECK_STATUS(APR_SUCCESS, cohort_os_pipe_create(COHORT_OS_PIPE_BYTES, &reader, &writer));
    cohort_os_start_t start = program(argv);
    start.env = env;
    start.cwd = "/";
    start.stdio[1] = writer;
    CHECK_INT(0, seam_end_code(run(&start)));
    CHECK(read((int)reader, text, sizeof text - 1) > 0);
    CHECK_STR("zero one two value none\n/\n", text);
}

static void path_of_the_given_environment_is_searched(void) {
    const char *const argv[] = {"sh", "-c", "exit 0", NULL}, *const env[] = {"PATH=/no/such:/etc",
                                                                             NULL};
    cohort_os_start_t start = program(argv);
    cohort_os_id_t id;
    bool in_child;
    start.env = env;
    CHECK_STATUS(ENOENT, cohort_os_start(&start, &id, &in_child));
    start.env = NULL;
    CHECK_INT(0, seam_end_code(run(&start)));
}

static void streams_may_be_swapped_and_closed(void) {
    const char *const argv[] = {"sh", "-c", "echo out; echo err >&2; cat >/dev/null", NULL};
    cohort_os_id_t child;
    int streams[2];
    CHECK_INT(0, pipe(streams));
    if (fork_child(&child)) {
        cohort_os_start_t start = program(argv);
        int raw[2];
        CHECK_INT(0, pipe(raw)); /* stderr of the program, by way of our stdin */
        dup2(streams[1], 1);
        dup2(raw[1], 0);
        close(raw[1]);
        start.stdio[0] = COHORT_OS_NULL;
        start.stdio[1] = 0; /* to the pipe of ours */
        start.stdio[2] = 1; /* to the parent's */
        CHECK_INT(0, seam_end_code(run(&start)));
        char text[16] = "";
        CHECK_INT(4, read(raw[0], text, sizeof text));
        CHECK(memcmp(text, "out\n", 4) == 0);
        cohort_os_exit(0, COHORT_OS_EXIT_NOW);
    }
    close(streams[1]);
    CHECK_INT(0, seam_end_code(child));
    char text[16] = "";
    CHECK_INT(4, read(streams[0], text, sizeof text));
    CHECK(memcmp(text, "err\n", 4) == 0);
}

static void not_in_the_child(int number) { _exit(number); }

/* `children`: how this process handles their ends. */
static void check_signals_of_a_program(void (*children)(int)) {
    sigset_t all;
    cohort_os_handle_t reader, writer;
    cohort_os_boot_t boot;
    cohort_os_start_t start = seam_reexec(&boot, MASK, 0);
    CHECK_STATUS(APR_SUCCESS, cohort_os_pipe_create(COHORT_OS_PIPE_BYTES, &reader, &writer));
    start.stdio[0] = reader; /* it must not end while SIGCHLD is ignored, or its code is lost */
    signal(SIGCHLD, children);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTERM, not_in_the_child);
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    cohort_os_id_t child = run(&start);
    sigemptyset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    signal(SIGCHLD, SIG_DFL);
    cohort_os_close(writer);
    cohort_os_close(reader);
    CHECK_INT(0, seam_end_code(child));
}

static void programs_begin_with_no_signal_blocked(void) {
    check_signals_of_a_program(SIG_IGN);
    check_signals_of_a_program(SIG_DFL);
    check_signals_of_a_program(not_in_the_child);
}

#ifdef COHORT_VFORK_BY_CLONE3
/* As old kernels and sandboxes do. */
static void refuse_clone3(int error) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof code / sizeof *code, code};
    CHECK_INT(0, prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
        cohort_os_exit(77, COHORT_OS_EXIT_NOW);
}

static void programs_start_without_clone3(void) {
    static const int errors[] = {ENOSYS, EPERM, EINVAL};
    cohort_os_id_t child;
    for (int i = 0; i < 3; ++i) {
        if (fork_child(&child)) {
            refuse_clone3(errors[i]);
            CHECK_INT(-1, syscall(SYS_clone3, NULL, 0));
            CHECK_INT(errors[i], errno);
            check_signals_of_a_program(SIG_DFL);
            check_signals_of_a_program(not_in_the_child);
            cohort_os_exit(0, COHORT_OS_EXIT_NOW);
        }
        int code = seam_end_code(child);
        if (code == 77) SKIP("system calls cannot be filtered here");
        CHECK_INT(0, code);
    }
}
#endif

static void begin_signals(cohort_os_signals_t signals) {
    CHECK_STATUS(APR_SUCCESS, cohort_os_become(&(cohort_os_become_t){.signals = &signals}));
}

/* How a child ends that interrupts itself when its signals do what `first` says, then what `second`
 * says, and counts. */
static int interrupted_as(cohort_os_signals_t first, cohort_os_signals_t second) {
    cohort_os_id_t child;
    if (fork_child(&child)) {
        begin_signals(first);
        raise(SIGINT);
        begin_signals(second);
        raise(SIGINT);
        cohort_os_exit(4, COHORT_OS_EXIT_NOW);
    }
    return seam_end_code(child);
}

static void interrupts(void) {
    const char *const argv[] = {"sh", "-c", "kill -2 $$; exit 3", NULL};
    cohort_os_id_t child;
    if (fork_child(&child)) {
        begin_signals(COHORT_OS_SIGNALS_NO_INTERRUPT);
        raise(SIGINT);
        cohort_os_start_t start = program(argv);
        CHECK_INT(-2, seam_end_code(run(&start))); /* the program did not ask for it */
        start.signals = COHORT_OS_SIGNALS_NO_INTERRUPT;
        CHECK_INT(3, seam_end_code(run(&start)));
        start.signals = COHORT_OS_SIGNALS_INHERIT;
        CHECK_INT(3, seam_end_code(run(&start)));
        start.signals = COHORT_OS_SIGNALS_RESET;
        CHECK_INT(-2, seam_end_code(run(&start)));
        cohort_os_exit(0, COHORT_OS_EXIT_NOW);
    }
    CHECK_INT(0, seam_end_code(child));
    CHECK_INT(-2, interrupted_as(COHORT_OS_SIGNALS_NO_INTERRUPT, COHORT_OS_SIGNALS_NORMAL));
    signal(SIGINT, SIG_IGN); /* a host that ignores it by itself */
    CHECK_INT(4, interrupted_as(COHORT_OS_SIGNALS_NORMAL, COHORT_OS_SIGNALS_NORMAL));
    CHECK_INT(4, interrupted_as(COHORT_OS_SIGNALS_NO_INTERRUPT, COHORT_OS_SIGNALS_NORMAL));
    CHECK_INT(-2, interrupted_as(COHORT_OS_SIGNALS_NO_INTERRUPT, COHORT_OS_SIGNALS_RESET));
    CHECK_INT(-2, interrupted_as(COHORT_OS_SIGNALS_NORMAL, COHORT_OS_SIGNALS_RESET));
}

static void nothing_is_inherited(void) {
    cohort_os_handle_t handles[6];
    cohort_os_watch_t *watch;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_os_pipe_create(COHORT_OS_PIPE_BYTES, &handles[0], &handles[1]));
    CHECK_STATUS(APR_SUCCESS,
                 cohort_os_pipe_create(COHORT_OS_PIPE_MESSAGES, &handles[2], &handles[3]));
    CHECK_STATUS(APR_SUCCESS,
                 cohort_os_pipe_create(COHORT_OS_PIPE_LIFELINE, &handles[4], &handles[5]));
    CHECK_STATUS(APR_SUCCESS, cohort_os_watch_create(&watch));
    for (int fd = 3; fd < 1024; ++fd) { /* what the test's own parent left open is not ours */
        int flags = fcntl(fd, F_GETFD);
        bool ours = false;
        for (int i = 0; i < 6; ++i) ours |= handles[i] == fd;
        if (flags != -1 && !ours && !(flags & FD_CLOEXEC)) fcntl(fd, F_SETFD, FD_CLOEXEC);
    }
    CHECK_INT(0, seam_end_code(seam_start(DESCRIPTORS, 0)));
    cohort_os_watch_destroy(watch);
}

static void standard_streams_are_not_taken(void) {
    cohort_os_id_t child;
    if (fork_child(&child)) {
        cohort_os_handle_t handles[6];
        cohort_os_arena_t arena;
        cohort_os_watch_t *watch;
        close(0), close(1), close(2);
        bool made =
            cohort_os_pipe_create(COHORT_OS_PIPE_BYTES, &handles[0], &handles[1]) == APR_SUCCESS;
        made = made && cohort_os_pipe_create(COHORT_OS_PIPE_MESSAGES, &handles[2], &handles[3]) ==
                           APR_SUCCESS;
        made = made && cohort_os_pipe_create(COHORT_OS_PIPE_LIFELINE, &handles[4], &handles[5]) ==
                           APR_SUCCESS;
        made = made && cohort_os_watch_create(&watch) == APR_SUCCESS;
        made = made && cohort_os_arena_create(16 * MIB, &arena) == APR_SUCCESS && arena.handle > 2;
        for (int i = 0; i < 6; ++i) made = made && handles[i] > 2;
        for (int fd = 0; fd < 3; ++fd) made = made && fcntl(fd, F_GETFD) == -1;
        cohort_os_id_t other = seam_start(DESCRIPTORS, 0);
        made = made && other.pid > 0;
        cohort_os_exit(made ? 0 : 1, COHORT_OS_EXIT_NOW);
    }
    CHECK_INT(0, seam_end_code(child));
}

/* A block that this process has in its environment must not reach a child of its own instead of the
 * child's. */
static void boot_block_of_another_process_is_not_handed_on(void) {
    setenv("COHORT_BOOT", "1 00000000000000000001 1 1 1 1 5 6 7", 1);
    CHECK_INT(0, seam_end_code(seam_start(SESSION, 0)) - 1);
}

static void detached_has_a_session_of_its_own(void) {
    cohort_os_boot_t boot;
    cohort_os_start_t start = seam_reexec(&boot, SESSION, 0);
    start.detach = true;
    CHECK_INT(0, seam_end_code(run(&start)));
    cohort_os_id_t child;
    if (fork_child(&child)) {
        CHECK_STATUS(APR_SUCCESS, cohort_os_become(&(cohort_os_become_t){.detach = true}));
        char byte;
        cohort_os_exit(getsid(0) == getpid() && read(0, &byte, 1) == 0 ? 0 : 1, COHORT_OS_EXIT_NOW);
    }
    CHECK_INT(0, seam_end_code(child));
}

static void name_shows_in_process_lists(void) {
    if (access("/proc/self/comm", R_OK) != 0) SKIP("needs /proc");
    CHECK_INT(0, seam_end_code(seam_start(TITLE, 0)));
}

const test_case_t os_posix_cases[] = {
    {"OsPosix", "fork_makes_a_copy", fork_makes_a_copy},
    {"OsPosix", "raw_forks_are_noticed_and_ours_are_not", raw_forks_are_noticed_and_ours_are_not},
    {"OsPosix", "exit_flushes_when_asked", exit_flushes_when_asked},
    {"OsPosix", "copy_ends_by_its_own_handlers", copy_ends_by_its_own_handlers},
    {"OsPosix", "copy_has_the_streams_it_is_given", copy_has_the_streams_it_is_given},
    {"OsPosix", "failures_of_exec_are_errors_of_start", failures_of_exec_are_errors_of_start},
    {"OsPosix", "programs_report_how_they_end", programs_report_how_they_end},
    {"OsPosix", "programs_get_arguments_environment_and_directory",
     programs_get_arguments_environment_and_directory},
    {"OsPosix", "path_of_the_given_environment_is_searched",
     path_of_the_given_environment_is_searched},
    {"OsPosix", "streams_may_be_swapped_and_closed", streams_may_be_swapped_and_closed},
    {"OsPosix", "programs_begin_with_no_signal_blocked", programs_begin_with_no_signal_blocked},
#ifdef COHORT_VFORK_BY_CLONE3
    {"OsPosix", "programs_start_without_clone3", programs_start_without_clone3},
#endif
    {"OsPosix", "interrupts", interrupts},
    {"OsPosix", "nothing_is_inherited", nothing_is_inherited},
    {"OsPosix", "standard_streams_are_not_taken", standard_streams_are_not_taken},
    {"OsPosix", "boot_block_of_another_process_is_not_handed_on",
     boot_block_of_another_process_is_not_handed_on},
    {"OsPosix", "detached_has_a_session_of_its_own", detached_has_a_session_of_its_own},
    {"OsPosix", "name_shows_in_process_lists", name_shows_in_process_lists},
    {0},
};

#endif
