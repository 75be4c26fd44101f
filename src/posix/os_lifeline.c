/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What both kinds of lifelines have: a thread that waits. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

static _Atomic int about_to_wait;

/* By read(), which keeps hold of the pipe until it returns, even if the program closes the
 * descriptor meanwhile; and once only, since after that the descriptor may be the program's. */
static void wait_and_die(int reader, bool alone) {
    char byte;
    atomic_fetch_add(&cohort__own_threads, 1);
    atomic_store(&about_to_wait, 1);
    if (read(reader, &byte, 1) == 0) cohort__die(alone);
}

static void wait_with_group(void *reader) { wait_and_die((int)(intptr_t)reader, false); }

static void wait_alone(void *reader) { wait_and_die((int)(intptr_t)reader, true); }

apr_status_t cohort__lifeline_wait(cohort_os_handle_t reader, bool alone) {
    fcntl((int)reader, F_SETFD, FD_CLOEXEC);
    atomic_store(&about_to_wait, 0);
    apr_status_t status =
        cohort_os_thread_start(alone ? wait_alone : wait_with_group, (void *)reader);
    if (status != APR_SUCCESS) close((int)reader);
    while (status == APR_SUCCESS && !atomic_load(&about_to_wait)) sched_yield();
    return status;
}
