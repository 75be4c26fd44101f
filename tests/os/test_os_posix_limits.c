/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The seam on POSIX systems: what limits do to it, and what a context takes over. */
#ifdef _WIN32

#include "check.h"

const test_case_t os_posix_limits_cases[] = {{0}};

#else

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "seam_posix.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __linux__
#include <sched.h>
#endif

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
        CHECK((uint64_t)cohort_os_figure(COHORT_OS_ARENA_SIZE) <= 512 * MIB);
        CHECK_STATUS(APR_SUCCESS, cohort_os_arena_create(512 * MIB, &arena));
        CHECK_STATUS(APR_SUCCESS,
                     cohort_os_arena_pages(&arena, COHORT_OS_PAGES_COMMIT, 448 * MIB, 64 * MIB));
        cohort_os_exit(0, COHORT_OS_EXIT_NOW);
    }
    CHECK_INT(0, seam_end_code(child));
    if (fork_child(&child)) {
        CHECK_STATUS(APR_ENOMEM, create_under(RLIMIT_AS, 768 * MIB));
        cohort_os_arena_t arena;
        CHECK_STATUS(APR_SUCCESS, cohort_os_arena_create(
                                      (uint64_t)cohort_os_figure(COHORT_OS_ARENA_SIZE), &arena));
        cohort_os_exit(0, COHORT_OS_EXIT_NOW);
    }
    CHECK_INT(0, seam_end_code(child));
}

static void discarded_memory_is_zero_again(void) {
    cohort_os_arena_t arena;
    CHECK_STATUS(APR_SUCCESS, cohort_os_arena_create(16 * MIB, &arena));
    CHECK_STATUS(APR_SUCCESS, cohort_os_arena_pages(&arena, COHORT_OS_PAGES_COMMIT, MIB, MIB));
    memset(arena.base + MIB, 1, MIB);
    (void)cohort_os_arena_pages(&arena, COHORT_OS_PAGES_DISCARD, MIB, MIB);
    CHECK_STATUS(APR_SUCCESS, cohort_os_arena_pages(&arena, COHORT_OS_PAGES_COMMIT, MIB, MIB));
    CHECK_INT(0, arena.base[MIB]);
    CHECK_INT(0, arena.base[2 * MIB - 1]);
}

static void commit_does_not_write_into_a_stranger(void) {
    cohort_os_arena_t arena;
    struct stat facts;
    CHECK_STATUS(APR_SUCCESS, cohort_os_arena_create(16 * MIB, &arena));
    CHECK_STATUS(APR_SUCCESS, cohort_os_arena_pages(&arena, COHORT_OS_PAGES_COMMIT, 0, MIB));
    FILE *stranger = tmpfile();
    CHECK(stranger != NULL);
    CHECK_INT(arena.handle, dup2(fileno(stranger), (int)arena.handle));
    apr_status_t status = cohort_os_arena_pages(&arena, COHORT_OS_PAGES_COMMIT, MIB, MIB);
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
        CHECK_STATUS(EMFILE, cohort_os_pipe_create(COHORT_OS_PIPE_BYTES, &handles[0], &handles[1]));
        CHECK_STATUS(EMFILE,
                     cohort_os_pipe_create(COHORT_OS_PIPE_MESSAGES, &handles[0], &handles[1]));
        CHECK(cohort_os_alive(cohort_os_self(), NULL));
        cohort_os_id_t other;
        if (fork_child(&other)) _exit(3);
        CHECK_STATUS(APR_SUCCESS, cohort_os_watch_process(watch, &room, other, true, 4));
        CHECK_STATUS(APR_SUCCESS, cohort_os_watch_wait(watch, COHORT_OS_NEVER, &event));
        CHECK_INT(4, event.cookie);
        int code = 0;
        CHECK_STATUS(APR_SUCCESS, cohort_os_reap(other, &code));
        CHECK_INT(3, code);
        cohort_os_exit(0, COHORT_OS_EXIT_NOW);
    }
    CHECK_INT(0, seam_end_code(child));
}

/* ---- context -------------------------------------------------------------------------------- */

static apr_status_t look_at_context(cohort_os_context_t *context) {
    cohort_os_state_t unused;
    return cohort_os_state_look(COHORT_OS_LOOK_CONTEXT, &unused, context);
}

static void context_is_taken_over(void) {
    char buffer[65536];
    cohort_os_context_t context = {.bytes = buffer, .size = 1};
    cohort_os_id_t child;
    CHECK_STATUS(APR_ENOSPC, look_at_context(&context));
    CHECK(context.size > 1 && context.size < sizeof buffer);
    if (fork_child(&child)) { /* the requester */
        const char *path = getenv("PATH");
        context.size = sizeof buffer;
        CHECK_STATUS(APR_SUCCESS, look_at_context(&context));
        const cohort_os_signals_t signals = COHORT_OS_SIGNALS_INHERIT;
        cohort_os_become_t same = {
            .context = buffer, .context_size = context.size, .signals = &signals};
        CHECK_STATUS(APR_SUCCESS, cohort_os_become(&same));
        CHECK(getenv("PATH") == path); /* an environment that is the same stays where it is */
        same.signals = NULL;
        CHECK_STATUS(APR_SUCCESS, cohort_os_become(&same));
        CHECK(getenv("PATH") != path); /* a copy does not look at its own */
        CHECK_INT(0, chdir("/usr"));
        umask(013);
        setenv("COHORT_TEST_VALUE", "here", 1);
        unsetenv("HOME");
        context.size = sizeof buffer;
        CHECK_STATUS(APR_SUCCESS, look_at_context(&context));
        CHECK_INT(0, chdir("/"));
        umask(0);
        setenv("HOME", "elsewhere", 1);
        unsetenv("COHORT_TEST_VALUE");
        const cohort_os_become_t what = {.context = buffer, .context_size = context.size};
        CHECK_STATUS(APR_SUCCESS, cohort_os_become(&what));
        memset(buffer, 0, sizeof buffer);
        char text[128];
        CHECK_STR("/usr", getcwd(text, sizeof text));
        CHECK_INT(013, umask(0));
        CHECK_STR("here", getenv("COHORT_TEST_VALUE"));
        CHECK(getenv("HOME") == NULL);
        setenv("HOME", "again", 1);
        CHECK_STR("again", getenv("HOME"));
        cohort_os_exit(0, COHORT_OS_EXIT_NOW);
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
    CHECK_STATUS(APR_SUCCESS, cohort_os_pipe_create(COHORT_OS_PIPE_MESSAGES, &reader, &writer));
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
    for (int i = 0; i < 100; i++) CHECK(!cohort_os_figure(COHORT_OS_CPU_IDLE));
#else
    SKIP("this system has no such sets");
#endif
}

const test_case_t os_posix_limits_cases[] = {
    {"OsPosix", "limits_make_the_arena_smaller", limits_make_the_arena_smaller},
    {"OsPosix", "discarded_memory_is_zero_again", discarded_memory_is_zero_again},
    {"OsPosix", "commit_does_not_write_into_a_stranger", commit_does_not_write_into_a_stranger},
    {"OsPosix", "out_of_descriptors_is_a_status", out_of_descriptors_is_a_status},
    {"OsPosix", "context_is_taken_over", context_is_taken_over},
    {"OsPosix", "threads_take_no_signal", threads_take_no_signal},
    {"OsPosix", "post_raises_no_signal", post_raises_no_signal},
    {"OsPosix", "no_other_cpu_is_idle_where_there_is_one", no_other_cpu_is_idle_where_there_is_one},
    {0},
};

#endif
