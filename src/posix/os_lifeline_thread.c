/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Dying with another process, for every POSIX system: a thread waits for the end of a pipe of which
 * only the keeper has the write end, and kills its process then. A program, which has no thread of
 * ours, gets a guard: a small process beside it that does the same for it and ends with it, and
 * has no parent that would have to reap it.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

apr_status_t cohort__lifeline_take(cohort_os_handle_t reader, cohort_os_lifeline_t how,
                                   bool alone) {
    if (how != COHORT_OS_LIFELINE_DECLINED) return cohort__lifeline_wait(reader, alone);
    cohort_os_close(reader);
    return APR_SUCCESS;
}

void cohort__lifeline_prepare(cohort_os_handle_t reader) { (void)reader; }

static void close_others(int keep) {
    for (int fd = 0, bound = cohort__files_bound(); fd < bound; ++fd)
        if (fd != keep) close(fd);
}

/* True at the end of the pipe, false when the time ran out. */
static bool ended(int reader, int milliseconds) {
    struct pollfd look = {.fd = reader, .events = POLLIN};
    return poll(&look, 1, milliseconds) == 1 && (look.revents & (POLLHUP | POLLERR)) != 0;
}

static _Noreturn void guard(int reader, cohort_os_id_t program, bool alone) {
    if (fork() != 0) _exit(0);
    setsid();
    close_others(reader);
    cohort_os_hold_t hold;
    if (cohort_os_hold_take(program, alone, &hold) != APR_SUCCESS) _exit(0);
    while (cohort_os_alive(program, NULL))
        if (ended(reader, 100)) {
            cohort_os_hold_release(&hold, true);
            break;
        }
    _exit(0);
}

apr_status_t cohort__lifeline_exec(int reader, bool alone) {
    cohort_os_id_t program = {(int64_t)getpid(), 0};
    cohort__life((int64_t)getpid(), &program.birth);
    pid_t between = fork();
    if (between < 0) return errno;
    if (between == 0) guard(reader, program, alone);
    int result;
    COHORT__RETRY(result, (int)waitpid(between, NULL, 0));
    return APR_SUCCESS;
}
