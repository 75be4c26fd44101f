/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Process groups. A daemon leads one, and what it starts is in it unless it leaves; so the whole
 * can be ended by one signal, also when the daemon itself is gone. A process that has a terminal
 * stays in its parent's group: from another one it could not read, and neither Ctrl-C nor Ctrl-Z
 * would reach it.
 *
 * The number of a group may be given to another process as soon as its leader is reaped and it has
 * no member left. So a group is signalled by its number only while its leader is known not to be
 * reaped, or by itself, which is a member; else by a hold, which was taken while the leader was
 * there (os_group_*.c).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

/* A stream of its own, or /dev/tty, which opens in a process that has a controlling terminal. */
static bool has_terminal(void) {
    for (int fd = 0; fd < 3; ++fd)
        if (tcgetpgrp(fd) >= 0) return true;
    int fd;
    COHORT__RETRY(fd, open("/dev/tty", O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
    if (fd >= 0) close(fd);
    return fd >= 0;
}

void cohort__group_enter(cohort_os_group_t group) {
    if (group == COHORT_OS_GROUP_OWN || (group == COHORT_OS_GROUP_QUIET && !has_terminal()))
        (void)setpgid(0, 0);
}

void cohort__group_leave(void) {
    if (!cohort__leads_group()) (void)setpgid(0, 0);
}
