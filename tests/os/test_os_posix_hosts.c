/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The seam on POSIX systems in hosts with manners of their own: that reap, close everything, cancel
 * threads. */
#ifdef _WIN32

#include "check.h"

const test_case_t os_posix_hosts_cases[] = {{0}};

#else

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "seam_posix.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif

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
    CHECK(!cohort_os_alive(child, NULL));
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
        CHECK(cohort_os_alive(child, NULL));
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

static void nothing_at_fork(void) {}
static void nothing_at_end(void *mark, bool first) { (void)mark, (void)first; }

/* The copy holds nothing any more; and a thread that wants not to be cancelled stays so. */
static void copy_of_a_holder_may_be_cancelled(void) {
    const cohort_os_hooks_t hooks = {.forked = nothing_at_fork, .thread_exit = nothing_at_end};
    cohort_os_id_t child;
    CHECK_STATUS(APR_SUCCESS, cohort_os_hooks(&hooks));
    for (int wanted = 0; wanted < 2; ++wanted) {
        pthread_setcancelstate(wanted ? PTHREAD_CANCEL_ENABLE : PTHREAD_CANCEL_DISABLE, NULL);
        cohort_os_mutex_lock(&outer);
        cohort_os_mutex_lock(&inner);
        if (fork_child(&child)) {
            bool allowed = may_be_cancelled();
            cohort_os_mutex_reset(&outer);
            cohort_os_mutex_reset(&inner);
            cohort_os_mutex_lock(&outer);
            bool forbidden = !may_be_cancelled();
            cohort_os_mutex_unlock(&outer);
            _exit(forbidden && allowed == (wanted == 1) && may_be_cancelled() == allowed ? 0 : 1);
        }
        cohort_os_mutex_unlock(wanted ? &outer : &inner); /* in either order */
        CHECK(!may_be_cancelled());
        cohort_os_mutex_unlock(wanted ? &inner : &outer);
        CHECK_INT(wanted, may_be_cancelled());
        CHECK_INT(0, seam_end_code(child));
    }
}

enum { FILES = 20 };

/* A waiter that sees to `child` by itself, and another one that would like to, when the process
 * closes everything and has files of its own by the same numbers. */
static void lose_a_loan(cohort_os_watch_t *watch, cohort_os_watch_room_t *room, bool made_again) {
    cohort_os_borrow_t borrow = {.rooms = {room}, .count = 1}, second = borrow;
    cohort_os_event_t event = {.cookie = 0};
    int files[FILES], code = 0;
    bool borrowed = cohort_os_borrow_begin(watch, &borrow);
    CHECK(!cohort_os_borrow_begin(watch, &second));
    close_all();
    for (int i = 0; i < FILES; ++i) files[i] = open("/dev/null", O_RDONLY);
    while (borrowed && cohort_os_alive(borrow.children[0], NULL)) poll(NULL, 0, 1);
    if (borrowed && made_again)
        CHECK_STATUS(APR_TIMEUP, cohort_os_watch_wait(watch, cohort_os_now() + 30000000, &event));
    if (borrowed) cohort_os_borrow_return(watch, &borrow, -1);
    CHECK_STATUS(APR_SUCCESS, cohort_os_watch_wait(watch, COHORT_OS_NEVER, &event));
    CHECK_INT(5, event.cookie);
    if (borrowed) CHECK_STATUS(APR_SUCCESS, cohort_os_reap(borrow.children[0], &code));
    if (borrowed) CHECK_INT(8, code);
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
            cohort_os_exit(0, COHORT_OS_EXIT_NOW);
        }
        CHECK_INT(0, seam_end_code(runner));
    }
}

/* The set stays; the child's descriptor does not, and its number names something that can be
 * read. */
static void lose_a_lent_descriptor(cohort_os_watch_t *watch, cohort_os_watch_room_t *room,
                                   cohort_os_id_t child) {
    cohort_os_borrow_t borrow = {.rooms = {room}, .count = 1};
    cohort_os_event_t event = {.cookie = 0};
    int ends[2], code = 0;
    if (!cohort_os_borrow_begin(watch, &borrow)) return;
    int number = (int)borrow.handles[0];
    CHECK_INT(0, pipe(ends));
    CHECK_INT(1, write(ends[1], "x", 1));
    CHECK_INT(number, dup2(ends[0], number));
    cohort_os_borrow_return(watch, &borrow, -1);
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
        CHECK(!cohort_os_alive(child, NULL) ||
              cohort_os_signal(child, COHORT_OS_KILL) == APR_SUCCESS);
        cohort_os_exit(0, COHORT_OS_EXIT_NOW);
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
        cohort_os_exit(0, COHORT_OS_EXIT_NOW);
    }
    CHECK_INT(0, seam_end_code(runner));
}

static void lifeline_outlasts_closefrom(void) {
    cohort_os_handle_t reader, keeper, out, in;
    cohort_os_boot_t boot;
    char byte;
    CHECK_STATUS(APR_SUCCESS, cohort_os_pipe_create(COHORT_OS_PIPE_LIFELINE, &reader, &keeper));
    CHECK_STATUS(APR_SUCCESS, cohort_os_pipe_create(COHORT_OS_PIPE_BYTES, &out, &in));
    cohort_os_start_t start = seam_reexec(&boot, ARM_AND_CLOSE_ALL, 0);
    boot.lifeline = reader;
    start.stdio[1] = in;
    cohort_os_id_t id = run(&start);
    CHECK_INT(1, read((int)out, &byte, 1));
    CHECK(cohort_os_alive(id, NULL));
    cohort_os_close(keeper);
    CHECK_INT(-9, seam_end_code(id));
}

static void programs_die_with_their_lifeline(void) {
    const char *const argv[] = {"sleep", "1000", NULL};
    cohort_os_handle_t reader, keeper;
    cohort_os_start_t start = program(argv);
    CHECK_STATUS(APR_SUCCESS, cohort_os_pipe_create(COHORT_OS_PIPE_LIFELINE, &reader, &keeper));
    start.lifeline = reader;
    cohort_os_id_t first = run(&start), second = run(&start);
    CHECK(cohort_os_alive(first, NULL) && cohort_os_alive(second, NULL));
    cohort_os_close(keeper);
    CHECK_INT(-9, seam_end_code(first));
    CHECK_INT(-9, seam_end_code(second));
}

const test_case_t os_posix_hosts_cases[] = {
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
    {"OsPosix", "holder_of_a_mutex_is_not_cancelled", holder_of_a_mutex_is_not_cancelled},
    {"OsPosix", "copy_of_a_holder_may_be_cancelled", copy_of_a_holder_may_be_cancelled},
    {0},
};

#endif
