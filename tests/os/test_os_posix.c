/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The seam's manners on POSIX systems: signals, descriptors, limits, hosts that reap or close
 * everything. */
#ifdef _WIN32

#include "check.h"
#include "seam.h"

int seam_system_role(const cohort_os_boot_t *boot, const cohort_os_arena_t *arena) {
    (void)arena;
    return (int)boot->role;
}

const test_case_t os_posix_cases[] = {{0}};

#else

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "check.h"
#include "seam.h"

#include <cohort/errors.h>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sched.h>
#include <sys/syscall.h>
#endif
#ifdef COHORT_VFORK_BY_CLONE3
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#endif

#define MIB ((uint64_t)1 << 20)
#define FORK {.how = COHORT_OS_FORK}

enum { TITLE = SEAM_SYSTEM_ROLES, DESCRIPTORS, MASK, ARM_AND_CLOSE_ALL, SESSION };

/* ---- support -------------------------------------------------------------------------------- */

/* In the child it returns true. */
static bool fork_child(cohort_os_id_t *id) {
    cohort_os_start_t start = FORK;
    bool in_child;
    CHECK_STATUS(APR_SUCCESS, cohort_os_start(&start, id, &in_child));
    return in_child;
}

static cohort_os_start_t program(const char *const *argv) {
    return (cohort_os_start_t){.how = COHORT_OS_PROGRAM,
                               .path = argv[0],
                               .argv = argv,
                               .stdio = {COHORT_OS_NONE, COHORT_OS_NONE, COHORT_OS_NONE},
                               .lifeline = COHORT_OS_NONE};
}

static cohort_os_id_t run(const cohort_os_start_t *start) {
    cohort_os_id_t id;
    bool in_child;
    CHECK_STATUS(APR_SUCCESS, cohort_os_start(start, &id, &in_child));
    return id;
}

static void close_all(void) {
    for (int fd = 3; fd < 1024; ++fd) close(fd);
}

/* ---- the children --------------------------------------------------------------------------- */

static bool shows(const char *file, const char *text) {
    char path[64], line[512] = "";
    snprintf(path, sizeof path, "/proc/self/%s", file);
    FILE *stream = fopen(path, "r");
    bool found =
        stream && fgets(line, sizeof line, stream) && strncmp(line, text, strlen(text)) == 0;
    if (!found) fprintf(stderr, "%s is \"%s\"\n", path, line);
    if (stream) fclose(stream);
    return found;
}

static int check_title(void) {
    if (!shows("comm", "seam-test") || !shows("cmdline", "seam-test")) return 1;
    cohort_os_set_name("another name, and a long one");
    if (!shows("comm", "another name, a\n") || !shows("cmdline", "another name, and a long one"))
        return 2;
    cohort_os_set_name("x");
    return shows("comm", "x\n") && shows("cmdline", "x") ? 0 : 3;
}

/* Only what the boot block gives may be open. */
static int check_descriptors(const cohort_os_boot_t *boot) {
    int extra = 0;
    for (int fd = 3; fd < 1024; ++fd)
        if (fd != boot->arena && fcntl(fd, F_GETFD) != -1) extra = fd;
    return extra;
}

static int check_mask(void) {
    sigset_t mask;
    struct sigaction action;
    char byte;
    if (read(0, &byte, 1) != 0) return 100;
    sigprocmask(SIG_SETMASK, NULL, &mask);
    for (int number = 1; number < 32; ++number)
        if (sigismember(&mask, number)) return number;
    sigaction(SIGCHLD, NULL, &action);
    if (action.sa_handler != SIG_DFL) return 101;
    sigaction(SIGPIPE, NULL, &action);
    return action.sa_handler == SIG_IGN ? 0 : 102;
}

static _Noreturn void arm_and_close_all(const cohort_os_boot_t *boot) {
    CHECK_STATUS(APR_SUCCESS, cohort_os_lifeline_arm(boot->lifeline, false));
    poll(NULL, 0, 100); /* a variant with a thread: that sleeps by now */
    close_all();
    CHECK_INT(1, write(1, "x", 1));
    for (;;) pause();
}

int seam_system_role(const cohort_os_boot_t *boot, const cohort_os_arena_t *arena) {
    (void)arena;
    switch (boot->role) {
    case TITLE: return check_title();
    case DESCRIPTORS: return check_descriptors(boot);
    case MASK: return check_mask();
    case ARM_AND_CLOSE_ALL: arm_and_close_all(boot);
    case SESSION: return getsid(0) == getpid() ? 0 : 1;
    default: return 200;
    }
}

/* ---- forks ---------------------------------------------------------------------------------- */

static int forks_seen;

static void saw_fork(void) { ++forks_seen; }
static void no_thread(void *mark) { (void)mark; }

static void fork_makes_a_copy(void) {
    cohort_os_id_t parent = cohort_os_self(), child;
    sigset_t before, after;
    sigprocmask(SIG_SETMASK, NULL, &before);
    if (fork_child(&child)) {
        sigprocmask(SIG_SETMASK, NULL, &after);
        for (int number = 1; number < 32; ++number)
            CHECK_INT(sigismember(&before, number), sigismember(&after, number));
        CHECK(child.pid == getpid() && child.pid != parent.pid && child.birth != 0);
        CHECK(cohort_os_alive(parent) && cohort_os_alive(cohort_os_self()));
        cohort_os_exit(12, false);
    }
    CHECK(child.pid != parent.pid);
    CHECK_INT(12, seam_end_code(child));
}

static void raw_forks_are_told_and_ours_are_not(void) {
    cohort_os_id_t child;
    CHECK_STATUS(APR_SUCCESS, cohort_os_hooks(saw_fork, no_thread, NULL));
    if (fork_child(&child)) cohort_os_exit(forks_seen, false);
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
    CHECK_STATUS(APR_SUCCESS, cohort_os_pipe_create(&reader, &writer));
    fflush(stdout);
    if (fork_child(&child)) {
        dup2((int)writer, 1);
        printf("flushed");
        cohort_os_exit(0, true);
    }
    cohort_os_close(writer);
    CHECK_INT(0, seam_end_code(child));
    CHECK_INT(7, read((int)reader, text, sizeof text - 1));
    CHECK_STR("flushed", text);
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
    CHECK_STATUS(APR_SUCCESS, cohort_os_pipe_create(&reader, &writer));
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
        start.stdio[0] = COHORT_OS_NONE;
        start.stdio[1] = 0; /* to the pipe of ours */
        start.stdio[2] = 1; /* to the parent's */
        CHECK_STATUS(APR_SUCCESS, cohort_os_null_open(&start.stdio[0]));
        CHECK_INT(0, seam_end_code(run(&start)));
        char text[16] = "";
        CHECK_INT(4, read(raw[0], text, sizeof text));
        CHECK(memcmp(text, "out\n", 4) == 0);
        cohort_os_exit(0, false);
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
    CHECK_STATUS(APR_SUCCESS, cohort_os_pipe_create(&reader, &writer));
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
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) cohort_os_exit(77, false);
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
            cohort_os_exit(0, false);
        }
        int code = seam_end_code(child);
        if (code == 77) SKIP("system calls cannot be filtered here");
        CHECK_INT(0, code);
    }
}
#endif

/* How a child ends that interrupts itself when its signals do what `first` says, then what `second`
 * says, and counts. */
static int interrupted_as(cohort_os_signals_t first, cohort_os_signals_t second) {
    cohort_os_id_t child;
    if (fork_child(&child)) {
        cohort_os_signals_begin(first);
        raise(SIGINT);
        cohort_os_signals_begin(second);
        raise(SIGINT);
        cohort_os_exit(4, false);
    }
    return seam_end_code(child);
}

static void interrupts(void) {
    const char *const argv[] = {"sh", "-c", "kill -2 $$; exit 3", NULL};
    cohort_os_id_t child;
    if (fork_child(&child)) {
        cohort_os_signals_begin(COHORT_OS_SIGNALS_NO_INTERRUPT);
        raise(SIGINT);
        cohort_os_start_t start = program(argv);
        CHECK_INT(-2, seam_end_code(run(&start))); /* the program did not ask for it */
        start.signals = COHORT_OS_SIGNALS_NO_INTERRUPT;
        CHECK_INT(3, seam_end_code(run(&start)));
        start.signals = COHORT_OS_SIGNALS_INHERIT;
        CHECK_INT(3, seam_end_code(run(&start)));
        start.signals = COHORT_OS_SIGNALS_RESET;
        CHECK_INT(-2, seam_end_code(run(&start)));
        cohort_os_exit(0, false);
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
    CHECK_STATUS(APR_SUCCESS, cohort_os_pipe_create(&handles[0], &handles[1]));
    CHECK_STATUS(APR_SUCCESS, cohort_os_channel_create(&handles[2], &handles[3]));
    CHECK_STATUS(APR_SUCCESS, cohort_os_lifeline_create(&handles[4], &handles[5]));
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
        cohort_os_handle_t handles[7];
        cohort_os_arena_t arena;
        cohort_os_watch_t *watch;
        close(0), close(1), close(2);
        bool made = cohort_os_pipe_create(&handles[0], &handles[1]) == APR_SUCCESS;
        made = made && cohort_os_channel_create(&handles[2], &handles[3]) == APR_SUCCESS;
        made = made && cohort_os_lifeline_create(&handles[4], &handles[5]) == APR_SUCCESS;
        made = made && cohort_os_null_open(&handles[6]) == APR_SUCCESS;
        made = made && cohort_os_watch_create(&watch) == APR_SUCCESS;
        made = made && cohort_os_arena_create(16 * MIB, &arena) == APR_SUCCESS && arena.handle > 2;
        for (int i = 0; i < 7; ++i) made = made && handles[i] > 2;
        for (int fd = 0; fd < 3; ++fd) made = made && fcntl(fd, F_GETFD) == -1;
        cohort_os_id_t other = seam_start(DESCRIPTORS, 0);
        made = made && other.pid > 0;
        cohort_os_exit(made ? 0 : 1, false);
    }
    CHECK_INT(0, seam_end_code(child));
}

/* A block that this process has in its environment must not reach a child of its own instead of the
 * child's. */
static void boot_block_of_somebody_else_is_not_handed_on(void) {
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
        cohort_os_detach();
        char byte;
        cohort_os_exit(getsid(0) == getpid() && read(0, &byte, 1) == 0 ? 0 : 1, false);
    }
    CHECK_INT(0, seam_end_code(child));
}

static void name_shows_in_process_lists(void) {
    if (access("/proc/self/comm", R_OK) != 0) SKIP("needs /proc");
    CHECK_INT(0, seam_end_code(seam_start(TITLE, 0)));
}

/* ---- hosts with manners of their own -------------------------------------------------------- */

static void code_is_known_when_the_host_reaps_first(void) {
    const char *const argv[] = {"sh", "-c", "exit 9", NULL};
    cohort_os_start_t start = program(argv);
    cohort_os_watch_t *watch;
    cohort_os_watch_room_t room;
    cohort_os_event_t event;
    int code = 0;
    CHECK_STATUS(APR_SUCCESS, cohort_os_watch_create(&watch));
    cohort_os_id_t id = run(&start);
    CHECK_STATUS(APR_SUCCESS, cohort_os_watch_process(watch, &room, id, true, 1));
    CHECK_STATUS(APR_SUCCESS, cohort_os_watch_wait(watch, COHORT_OS_NEVER, &event));
    CHECK_INT(id.pid, waitpid(-1, NULL, 0)); /* the host, between the end and our look at it */
    CHECK_STATUS(APR_SUCCESS, cohort_os_reap(id, &code));
    CHECK_INT(9, code);
    CHECK_STATUS(APR_ENOENT, cohort_os_reap(id, &code));
    cohort_os_watch_destroy(watch);
}

static void end_is_seen_when_the_host_ignores_sigchld(void) {
    cohort_os_id_t child;
    signal(SIGCHLD, SIG_IGN);
    for (int i = 0; i < 20; ++i) {
        if (fork_child(&child)) _exit(i);
        seam_await_end(child, true);
        int code = i;
        apr_status_t status = cohort_os_reap(child, &code);
        /* whether it can be known depends on the kernel; a wrong one never */
        CHECK(status == APR_SUCCESS || status == APR_ENOENT);
        CHECK_INT(i, code);
    }
}

static void reap_leaves_other_children_alone(void) {
    pid_t theirs = fork();
    if (theirs == 0) _exit(33);
    cohort_os_id_t ours;
    if (fork_child(&ours)) _exit(44);
    CHECK_INT(44, seam_end_code(ours));
    int status;
    CHECK_INT(theirs, waitpid(theirs, &status, 0));
    CHECK_INT(33, WEXITSTATUS(status));
}

static void zombie_is_dead(void) {
    cohort_os_id_t child;
    if (fork_child(&child)) _exit(0);
    siginfo_t info;
    CHECK_INT(0, waitid(P_PID, (id_t)child.pid, &info, WEXITED | WNOWAIT));
    CHECK(!cohort_os_alive(child));
    CHECK(cohort_os_signal(child, COHORT_OS_TERMINATE) != APR_SUCCESS);
    CHECK_INT(0, seam_end_code(child));
}

static void *wait_a_while(void *go) {
    char byte;
    CHECK_INT(0, read(*(int *)go, &byte, 1));
    kill(getpid(), SIGKILL); /* an end that asks nothing of the thread that is gone */
    return NULL;
}

/* pthread_exit() would unwind the copied frames of GoogleTest. Elsewhere the call of this number
 * ends the whole process. */
static void end_thread(void) {
#ifdef __linux__
    syscall(SYS_exit, 0);
#else
    pause();
#endif
}

static void process_lives_on_without_its_first_thread(void) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    SKIP("a sanitizer's threads need the first one");
#endif
    cohort_os_id_t child;
    int go[2];
    CHECK_INT(0, pipe(go));
    if (fork_child(&child)) {
        pthread_t thread;
        close(go[1]);
        pthread_create(&thread, NULL, wait_a_while, &go[0]);
        end_thread();
    }
    close(go[0]);
    for (int i = 0; i < 20; ++i) {
        CHECK(cohort_os_alive(child));
        poll(NULL, 0, 1);
    }
    close(go[1]);
    CHECK_INT(-9, seam_end_code(child));
}

static cohort_os_mutex_t outer, inner;

static bool may_be_cancelled(void) {
    int before;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    pthread_setcancelstate(before, NULL);
    return before == PTHREAD_CANCEL_ENABLE;
}

static void *hold_for_a_while(void *step) {
    cohort_os_mutex_lock(&outer);
    atomic_store((_Atomic int *)step, 1);
    while (atomic_load((_Atomic int *)step) == 1) poll(NULL, 0, 1); /* could be cancelled there */
    cohort_os_mutex_lock(&inner);
    cohort_os_mutex_unlock(&inner);
    pthread_testcancel();
    atomic_store((_Atomic int *)step, 3);
    cohort_os_mutex_unlock(&outer);
    pthread_testcancel();
    atomic_store((_Atomic int *)step, 4);
    return NULL;
}

static void holder_of_a_mutex_is_not_cancelled(void) {
    static _Atomic int step;
    pthread_t thread;
    void *result = NULL;
    CHECK_INT(0, pthread_create(&thread, NULL, hold_for_a_while, &step));
    while (atomic_load(&step) != 1) poll(NULL, 0, 1);
    CHECK_INT(0, pthread_cancel(thread));
    atomic_store(&step, 2);
    CHECK_INT(0, pthread_join(thread, &result));
    CHECK(result == PTHREAD_CANCELED);
    CHECK_INT(3, atomic_load(&step));
    cohort_os_mutex_lock(&outer);
    cohort_os_mutex_unlock(&outer);
    CHECK(may_be_cancelled());
}

/* The copy holds nothing any more, in whatever order it learns that; and a thread that wants not to
 * be cancelled stays so. */
static void copy_of_a_holder_may_be_cancelled(void) {
    cohort_os_id_t child;
    for (int wanted = 0; wanted < 2; ++wanted) {
        pthread_setcancelstate(wanted ? PTHREAD_CANCEL_ENABLE : PTHREAD_CANCEL_DISABLE, NULL);
        cohort_os_mutex_lock(&outer);
        cohort_os_mutex_lock(&inner);
        if (fork_child(&child)) {
            bool forbidden = !may_be_cancelled();
            cohort_os_mutex_reset(&outer);
            cohort_os_mutex_reset(&inner);
            _exit(forbidden && may_be_cancelled() == (wanted == 1) ? 0 : 1);
        }
        cohort_os_mutex_unlock(&inner);
        CHECK(!may_be_cancelled());
        cohort_os_mutex_unlock(&outer);
        CHECK_INT(wanted, may_be_cancelled());
        CHECK_INT(0, seam_end_code(child));
    }
}

enum { FILES = 20 };

/* A waiter that sees to `child` by itself, and another one that would like to, when the process
 * closes everything and has files of its own by the same numbers. */
static void lose_a_loan(cohort_os_watch_t *watch, cohort_os_watch_room_t *room, bool made_again) {
    cohort_os_await_t await = {.rooms = {room}, .count = 1}, second = await;
    cohort_os_event_t event = {.cookie = 0};
    int files[FILES], code = 0;
    bool lent = cohort_os_await_begin(watch, &await);
    CHECK(!cohort_os_await_begin(watch, &second));
    close_all();
    for (int i = 0; i < FILES; ++i) files[i] = open("/dev/null", O_RDONLY);
    while (lent && cohort_os_alive(await.children[0])) poll(NULL, 0, 1);
    if (lent && made_again)
        CHECK_STATUS(APR_TIMEUP, cohort_os_watch_wait(watch, cohort_os_now() + 30000000, &event));
    if (lent) cohort_os_await_done(watch, &await, -1);
    CHECK_STATUS(APR_SUCCESS, cohort_os_watch_wait(watch, COHORT_OS_NEVER, &event));
    CHECK_INT(5, event.cookie);
    if (lent) CHECK_STATUS(APR_SUCCESS, cohort_os_reap(await.children[0], &code));
    if (lent) CHECK_INT(8, code);
    for (int i = 0; i < FILES; ++i) CHECK(fcntl(files[i], F_GETFD) != -1);
}

static void loans_outlast_closefrom(void) {
    cohort_os_id_t runner, child;
    for (int made_again = 0; made_again < 2; ++made_again) {
        if (fork_child(&runner)) {
            cohort_os_watch_t *watch;
            cohort_os_watch_room_t room = {{0}};
            CHECK_STATUS(APR_SUCCESS, cohort_os_watch_create(&watch));
            if (fork_child(&child)) {
                poll(NULL, 0, 30);
                _exit(8);
            }
            CHECK_STATUS(APR_SUCCESS, cohort_os_watch_process(watch, &room, child, true, 5));
            lose_a_loan(watch, &room, made_again);
            cohort_os_exit(0, false);
        }
        CHECK_INT(0, seam_end_code(runner));
    }
}

/* The set stays; the child's descriptor does not, and its number names something that can be
 * read. */
static void lose_a_lent_descriptor(cohort_os_watch_t *watch, cohort_os_watch_room_t *room,
                                   cohort_os_id_t child) {
    cohort_os_await_t await = {.rooms = {room}, .count = 1};
    cohort_os_event_t event = {.cookie = 0};
    int ends[2], code = 0;
    if (!cohort_os_await_begin(watch, &await)) return;
    int number = (int)await.handles[0];
    CHECK_INT(0, pipe(ends));
    CHECK_INT(1, write(ends[1], "x", 1));
    CHECK_INT(number, dup2(ends[0], number));
    cohort_os_await_done(watch, &await, -1);
    CHECK_STATUS(APR_TIMEUP, cohort_os_watch_wait(watch, cohort_os_now() + 30000000, &event));
    CHECK_STATUS(APR_SUCCESS, cohort_os_signal(child, COHORT_OS_KILL));
    CHECK_STATUS(APR_SUCCESS, cohort_os_watch_wait(watch, COHORT_OS_NEVER, &event));
    CHECK_INT(5, event.cookie);
    CHECK_STATUS(APR_SUCCESS, cohort_os_reap(child, &code));
    CHECK_INT(-9, code);
    CHECK(fcntl(number, F_GETFD) != -1);
}

static void loans_survive_a_reused_descriptor(void) {
    cohort_os_id_t runner, child;
    if (fork_child(&runner)) {
        cohort_os_watch_t *watch;
        cohort_os_watch_room_t room = {{0}};
        CHECK_STATUS(APR_SUCCESS, cohort_os_watch_create(&watch));
        if (fork_child(&child)) {
            alarm(30); /* should the test fail */
            for (;;) pause();
        }
        CHECK_STATUS(APR_SUCCESS, cohort_os_watch_process(watch, &room, child, true, 5));
        lose_a_lent_descriptor(watch, &room, child);
        CHECK(!cohort_os_alive(child) || cohort_os_signal(child, COHORT_OS_KILL) == APR_SUCCESS);
        cohort_os_exit(0, false);
    }
    CHECK_INT(0, seam_end_code(runner));
}

static void watch_outlasts_closefrom(void) {
    cohort_os_id_t runner;
    if (fork_child(&runner)) {
        cohort_os_id_t child;
        cohort_os_watch_t *watch;
        cohort_os_watch_room_t room;
        cohort_os_event_t event;
        int code = 0;
        CHECK_STATUS(APR_SUCCESS, cohort_os_watch_create(&watch));
        if (fork_child(&child)) {
            poll(NULL, 0, 50);
            _exit(8);
        }
        CHECK_STATUS(APR_SUCCESS, cohort_os_watch_process(watch, &room, child, true, 5));
        close_all();
        CHECK_STATUS(APR_SUCCESS, cohort_os_watch_wait(watch, COHORT_OS_NEVER, &event));
        CHECK_INT(5, event.cookie);
        CHECK_STATUS(APR_SUCCESS, cohort_os_reap(child, &code));
        CHECK_INT(8, code);
        cohort_os_exit(0, false);
    }
    CHECK_INT(0, seam_end_code(runner));
}

static void lifeline_outlasts_closefrom(void) {
    cohort_os_handle_t reader, keeper, out, in;
    cohort_os_boot_t boot;
    char byte;
    CHECK_STATUS(APR_SUCCESS, cohort_os_lifeline_create(&reader, &keeper));
    CHECK_STATUS(APR_SUCCESS, cohort_os_pipe_create(&out, &in));
    cohort_os_start_t start = seam_reexec(&boot, ARM_AND_CLOSE_ALL, 0);
    boot.lifeline = reader;
    start.stdio[1] = in;
    cohort_os_id_t id = run(&start);
    CHECK_INT(1, read((int)out, &byte, 1));
    CHECK(cohort_os_alive(id));
    cohort_os_close(keeper);
    CHECK_INT(-9, seam_end_code(id));
}

static void programs_die_with_their_lifeline(void) {
    const char *const argv[] = {"sleep", "1000", NULL};
    cohort_os_handle_t reader, keeper;
    cohort_os_start_t start = program(argv);
    CHECK_STATUS(APR_SUCCESS, cohort_os_lifeline_create(&reader, &keeper));
    start.lifeline = reader;
    cohort_os_id_t first = run(&start), second = run(&start);
    CHECK(cohort_os_alive(first) && cohort_os_alive(second));
    cohort_os_close(keeper);
    CHECK_INT(-9, seam_end_code(first));
    CHECK_INT(-9, seam_end_code(second));
}

/* ---- limits --------------------------------------------------------------------------------- */

static apr_status_t create_under(int resource, uint64_t limit) {
    struct rlimit value = {limit, limit};
    cohort_os_arena_t arena;
    CHECK_INT(0, setrlimit(resource, &value));
    return cohort_os_arena_create(1024 * MIB, &arena);
}

static void limits_make_the_arena_smaller(void) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    SKIP("sanitizers need more address space than the limit");
#endif
    cohort_os_id_t child;
    if (fork_child(&child)) {
        CHECK_STATUS(APR_ENOMEM, create_under(RLIMIT_FSIZE, 512 * MIB));
        cohort_os_arena_t arena;
        CHECK(cohort_os_arena_default_size() <= 512 * MIB);
        CHECK_STATUS(APR_SUCCESS, cohort_os_arena_create(512 * MIB, &arena));
        CHECK_STATUS(APR_SUCCESS, cohort_os_arena_commit(&arena, 448 * MIB, 64 * MIB));
        cohort_os_exit(0, false);
    }
    CHECK_INT(0, seam_end_code(child));
    if (fork_child(&child)) {
        CHECK_STATUS(APR_ENOMEM, create_under(RLIMIT_AS, 768 * MIB));
        cohort_os_arena_t arena;
        CHECK_STATUS(APR_SUCCESS, cohort_os_arena_create(cohort_os_arena_default_size(), &arena));
        cohort_os_exit(0, false);
    }
    CHECK_INT(0, seam_end_code(child));
}

static void discarded_memory_is_zero_again(void) {
    cohort_os_arena_t arena;
    CHECK_STATUS(APR_SUCCESS, cohort_os_arena_create(16 * MIB, &arena));
    CHECK_STATUS(APR_SUCCESS, cohort_os_arena_commit(&arena, MIB, MIB));
    memset(arena.base + MIB, 1, MIB);
    cohort_os_arena_discard(&arena, MIB, MIB);
    CHECK_STATUS(APR_SUCCESS, cohort_os_arena_commit(&arena, MIB, MIB));
    CHECK_INT(0, arena.base[MIB]);
    CHECK_INT(0, arena.base[2 * MIB - 1]);
}

static void commit_does_not_write_into_a_stranger(void) {
    cohort_os_arena_t arena;
    struct stat facts;
    CHECK_STATUS(APR_SUCCESS, cohort_os_arena_create(16 * MIB, &arena));
    CHECK_STATUS(APR_SUCCESS, cohort_os_arena_commit(&arena, 0, MIB));
    FILE *stranger = tmpfile();
    CHECK(stranger != NULL);
    CHECK_INT(arena.handle, dup2(fileno(stranger), (int)arena.handle));
    apr_status_t status = cohort_os_arena_commit(&arena, MIB, MIB);
    CHECK_INT(0, fstat(fileno(stranger), &facts));
    CHECK_INT(0, facts.st_size);
    if (status == APR_SUCCESS) memset(arena.base + MIB, 1, MIB);
    fclose(stranger);
}

static void out_of_descriptors_is_a_status(void) {
    cohort_os_id_t child;
    if (fork_child(&child)) {
        struct rlimit value = {20, 20};
        cohort_os_handle_t handles[2];
        cohort_os_watch_t *watch;
        cohort_os_watch_room_t room;
        cohort_os_event_t event;
        CHECK_STATUS(APR_SUCCESS, cohort_os_watch_create(&watch));
        CHECK_INT(0, setrlimit(RLIMIT_NOFILE, &value));
        while (dup(1) >= 0) continue;
        CHECK_STATUS(EMFILE, cohort_os_pipe_create(&handles[0], &handles[1]));
        CHECK_STATUS(EMFILE, cohort_os_channel_create(&handles[0], &handles[1]));
        CHECK(cohort_os_alive(cohort_os_self()));
        cohort_os_id_t other;
        if (fork_child(&other)) _exit(3);
        CHECK_STATUS(APR_SUCCESS, cohort_os_watch_process(watch, &room, other, true, 4));
        CHECK_STATUS(APR_SUCCESS, cohort_os_watch_wait(watch, COHORT_OS_NEVER, &event));
        CHECK_INT(4, event.cookie);
        int code = 0;
        CHECK_STATUS(APR_SUCCESS, cohort_os_reap(other, &code));
        CHECK_INT(3, code);
        cohort_os_exit(0, false);
    }
    CHECK_INT(0, seam_end_code(child));
}

/* ---- context -------------------------------------------------------------------------------- */

static void context_is_taken_over(void) {
    char buffer[65536];
    size_t length = 1;
    cohort_os_id_t child;
    cohort_os_state_t state;
    CHECK_STATUS(APR_ENOSPC, cohort_os_context_capture(buffer, &length, &state));
    CHECK(length > 1 && length < sizeof buffer);
    if (fork_child(&child)) { /* the requester */
        CHECK_INT(0, chdir("/usr"));
        umask(013);
        setenv("COHORT_TEST_VALUE", "here", 1);
        unsetenv("HOME");
        length = sizeof buffer;
        CHECK_STATUS(APR_SUCCESS, cohort_os_context_capture(buffer, &length, &state));
        CHECK_INT(0, chdir("/"));
        umask(0);
        setenv("HOME", "elsewhere", 1);
        unsetenv("COHORT_TEST_VALUE");
        CHECK_STATUS(APR_SUCCESS, cohort_os_context_apply(buffer, length, false));
        memset(buffer, 0, sizeof buffer);
        char text[128];
        CHECK_STR("/usr", getcwd(text, sizeof text));
        CHECK_INT(013, umask(0));
        CHECK_STR("here", getenv("COHORT_TEST_VALUE"));
        CHECK(getenv("HOME") == NULL);
        setenv("HOME", "again", 1);
        CHECK_STR("again", getenv("HOME"));
        cohort_os_exit(0, false);
    }
    CHECK_INT(0, seam_end_code(child));
}

static int told[2];

static void tell_mask(void *arg) {
    sigset_t mask;
    (void)arg;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    char blocked =
        sigismember(&mask, SIGTERM) && sigismember(&mask, SIGCHLD) && sigismember(&mask, SIGUSR1);
    CHECK_INT(1, write(told[1], &blocked, 1));
}

static void threads_take_no_signal(void) {
    char blocked = 0;
    CHECK_INT(0, pipe(told));
    CHECK_STATUS(APR_SUCCESS, cohort_os_thread_start(tell_mask, NULL));
    CHECK_INT(1, read(told[0], &blocked, 1));
    CHECK_INT(1, blocked);
}

static void post_raises_no_signal(void) {
    cohort_os_handle_t reader, writer;
    signal(SIGPIPE, SIG_DFL);
    CHECK_STATUS(APR_SUCCESS, cohort_os_channel_create(&reader, &writer));
    cohort_os_close(reader);
    CHECK_STATUS(EPIPE, cohort_os_channel_post(writer, 1, NULL));
}

/* Nothing is to be gained by keeping a CPU that is the only one. */
static void no_other_cpu_is_idle_where_there_is_one(void) {
#ifdef __linux__
    cpu_set_t all, one;
    CPU_ZERO(&one);
    CHECK_INT(0, sched_getaffinity(0, sizeof all, &all));
    for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
        if (CPU_ISSET(i, &all)) CPU_SET(i, &one);
    CHECK_INT(0, sched_setaffinity(0, sizeof one, &one));
    for (int i = 0; i < 100; i++) CHECK(!cohort_os_cpu_is_idle());
#else
    SKIP("this system has no such sets");
#endif
}

const test_case_t os_posix_cases[] = {
    {"OsPosix", "fork_makes_a_copy", fork_makes_a_copy},
    {"OsPosix", "raw_forks_are_told_and_ours_are_not", raw_forks_are_told_and_ours_are_not},
    {"OsPosix", "exit_flushes_when_asked", exit_flushes_when_asked},
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
    {"OsPosix", "boot_block_of_somebody_else_is_not_handed_on",
     boot_block_of_somebody_else_is_not_handed_on},
    {"OsPosix", "detached_has_a_session_of_its_own", detached_has_a_session_of_its_own},
    {"OsPosix", "name_shows_in_process_lists", name_shows_in_process_lists},
    {"OsPosix", "code_is_known_when_the_host_reaps_first", code_is_known_when_the_host_reaps_first},
    {"OsPosix", "end_is_seen_when_the_host_ignores_sigchld",
     end_is_seen_when_the_host_ignores_sigchld},
    {"OsPosix", "reap_leaves_other_children_alone", reap_leaves_other_children_alone},
    {"OsPosix", "zombie_is_dead", zombie_is_dead},
    {"OsPosix", "process_lives_on_without_its_first_thread",
     process_lives_on_without_its_first_thread},
    {"OsPosix", "watch_outlasts_closefrom", watch_outlasts_closefrom},
    {"OsPosix", "loans_outlast_closefrom", loans_outlast_closefrom},
    {"OsPosix", "loans_survive_a_reused_descriptor", loans_survive_a_reused_descriptor},
    {"OsPosix", "lifeline_outlasts_closefrom", lifeline_outlasts_closefrom},
    {"OsPosix", "programs_die_with_their_lifeline", programs_die_with_their_lifeline},
    {"OsPosix", "limits_make_the_arena_smaller", limits_make_the_arena_smaller},
    {"OsPosix", "discarded_memory_is_zero_again", discarded_memory_is_zero_again},
    {"OsPosix", "commit_does_not_write_into_a_stranger", commit_does_not_write_into_a_stranger},
    {"OsPosix", "out_of_descriptors_is_a_status", out_of_descriptors_is_a_status},
    {"OsPosix", "context_is_taken_over", context_is_taken_over},
    {"OsPosix", "holder_of_a_mutex_is_not_cancelled", holder_of_a_mutex_is_not_cancelled},
    {"OsPosix", "copy_of_a_holder_may_be_cancelled", copy_of_a_holder_may_be_cancelled},
    {"OsPosix", "threads_take_no_signal", threads_take_no_signal},
    {"OsPosix", "post_raises_no_signal", post_raises_no_signal},
    {"OsPosix", "no_other_cpu_is_idle_where_there_is_one", no_other_cpu_is_idle_where_there_is_one},
    {0},
};

#endif
