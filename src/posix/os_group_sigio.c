/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A hold of a process group: a pipe; the owner of its reader is the group. The kernel keeps the
 * group itself there, not its number, and sends it SIGKILL when something is written, so that no
 * later group with that number is ever reached. The number is looked up while the leader is not
 * reaped: it is looked at afterwards whether that was still so. The reader asks for signals only
 * when the group is to end, since the end of a holder closes the writer, too, and may do that
 * before it closes the reader.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

static bool own(int reader, pid_t group) {
    struct f_owner_ex owner = {F_OWNER_PGRP, group};
    return fcntl(reader, F_SETOWN_EX, &owner) == 0 && fcntl(reader, F_SETSIG, SIGKILL) == 0;
}

static void release(cohort_os_hold_t *hold) {
    cohort_os_close(hold->reader);
    cohort_os_close(hold->writer);
    hold->reader = hold->writer = COHORT_OS_NONE;
}

static apr_status_t hold_group(cohort_os_id_t leader, bool alone, cohort_os_hold_t *hold) {
    *hold =
        (cohort_os_hold_t){.leader = leader, .reader = COHORT_OS_NONE, .writer = COHORT_OS_NONE};
    if (alone || getpgid((pid_t)leader.pid) != (pid_t)leader.pid) return APR_SUCCESS;
    apr_status_t status = cohort_os_pipe_create(COHORT_OS_PIPE_BYTES, &hold->reader, &hold->writer);
    if (status == APR_SUCCESS && !own((int)hold->reader, (pid_t)leader.pid)) status = errno;
    if (status != APR_SUCCESS) release(hold);
    return status;
}

static void kill_group(const cohort_os_hold_t *hold) {
    ssize_t result;
    if (hold->writer == COHORT_OS_NONE ||
        fcntl((int)hold->reader, F_SETFL, O_ASYNC | O_NONBLOCK) != 0)
        return;
    COHORT__RETRY(result, write((int)hold->writer, "", 1));
}

static void end_unreaped(cohort_os_id_t child, int fd) {
    cohort_os_hold_t hold;
    apr_status_t status = hold_group(child, false, &hold);
    if (status == APR_SUCCESS && cohort__is_unreaped(fd, child)) kill_group(&hold);
    release(&hold);
}

void cohort__group_end(cohort_os_id_t child) {
    int fd = cohort__child_descriptor(child);
    if (cohort__signal_group(fd, child, SIGKILL) != 0 && errno != ESRCH) end_unreaped(child, fd);
    if (fd >= 0) cohort__child_keep(child, fd);
}

apr_status_t cohort_os_hold_take(cohort_os_id_t leader, bool alone, cohort_os_hold_t *hold) {
    cohort_os_hold_t taken;
    apr_status_t status = hold_group(leader, alone, &taken);
    if (status == APR_SUCCESS && !cohort_os_alive(leader, NULL)) status = ESRCH;
    if (status == APR_SUCCESS) *hold = taken;
    else release(&taken);
    return status;
}

void cohort_os_hold_release(cohort_os_hold_t *hold, bool kill_it) {
    if (kill_it) (void)cohort_os_signal(hold->leader, COHORT_OS_KILL);
    if (kill_it) kill_group(hold);
    release(hold);
}
