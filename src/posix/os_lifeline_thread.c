/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Dying with another process, for every POSIX system: a thread waits for the end of a pipe whose write end only the keeper has, and
 * kills its process then. A program, which has no thread of ours, gets a guard: a small process beside it that does the same for it and ends with
 * it, and belongs to nobody, so that nobody has to reap it.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

apr_status_t cohort_os_lifeline_create(cohort_os_handle_t *reader, cohort_os_handle_t *keeper) {
    return cohort_os_pipe_create(reader, keeper);
}

static _Atomic int about_to_wait;

/* By read(), which keeps hold of the pipe until it returns, even if somebody closes the descriptor meanwhile; and once only, since after
 * that the descriptor may be somebody else's. */
static void wait_and_die(void *reader) {
    char byte;
    atomic_store(&about_to_wait, 1);
    if (read((int)(intptr_t)reader, &byte, 1) == 0) kill(getpid(), SIGKILL);
}

apr_status_t cohort_os_lifeline_arm(cohort_os_handle_t reader, bool backed) {
    (void)backed;
    fcntl((int)reader, F_SETFD, FD_CLOEXEC);
    atomic_store(&about_to_wait, 0);
    apr_status_t status = cohort_os_thread_start(wait_and_die, (void *)reader);
    if (status != APR_SUCCESS) close((int)reader);
    while (status == APR_SUCCESS && !atomic_load(&about_to_wait)) sched_yield();
    return status;
}

void cohort_os_lifeline_prepare(cohort_os_handle_t reader) { (void)reader; }
void cohort_os_lifeline_decline(cohort_os_handle_t reader) { cohort_os_close(reader); }

static void close_others(int keep) {
    long most = sysconf(_SC_OPEN_MAX);
    if (most < 0 || most > 65536) most = 65536;
    for (int fd = 0; fd < (int)most; ++fd)
        if (fd != keep) close(fd);
}

/* True at the end of the pipe, false when the time ran out. */
static bool ended(int reader, int milliseconds) {
    struct pollfd look = {.fd = reader, .events = POLLIN};
    return poll(&look, 1, milliseconds) == 1 && (look.revents & (POLLHUP | POLLERR)) != 0;
}

static _Noreturn void guard(int reader, cohort_os_id_t program) {
    if (fork() != 0) _exit(0);
    setsid();
    close_others(reader);
    while (cohort_os_alive(program))
        if (ended(reader, 100)) {
            cohort_os_signal(program, COHORT_OS_KILL);
            break;
        }
    _exit(0);
}

apr_status_t cohort__lifeline_exec(int reader) {
    cohort_os_id_t program = {(int64_t)getpid(), 0};
    cohort__life((int64_t)getpid(), &program.birth);
    pid_t between = fork();
    if (between < 0) return errno;
    if (between == 0) guard(reader, program);
    int result;
    COHORT__RETRY(result, (int)waitpid(between, NULL, 0));
    return APR_SUCCESS;
}
