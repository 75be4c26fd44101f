/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Dying with another process, without a thread: the kernel sends SIGKILL when the last write end of
 * a pipe is closed, which the death of its keeper does, however it dies. A process that leads a
 * group is killed with the whole group.
 *
 * O_ASYNC and the owner belong to the open file description, which all processes share that got the
 * descriptor from one another. So each process opens the pipe once more, by /proc, to have a
 * description of its own, or has it from its maker, which opens one for each and closes it. After
 * arming it looks whether it was too late.
 *
 * A process may close descriptors that are not its own (closefrom). So the description is held a
 * second time: by a poll request of kernel AIO that never completes, which needs neither a
 * descriptor nor a thread and ends with the process. Where that cannot be had, the descriptor alone
 * has to do. A program that was exec'ed has only the descriptor. Where the pipe cannot be opened
 * once more (no /proc, a sandbox), a thread waits for its end instead. The request has a price when
 * the process ends (the kernel waits for a grace period, some 25 ms), so it is not made where
 * another process stands by.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <fcntl.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Out of the way of shell scripts, which use low descriptors freely. */
#define OUT_OF_THE_WAY 200

/* "/proc/self/fd/N" without stdio, which may not be used between fork and exec. */
static void fd_path(char *path, int fd) {
    static const char prefix[] = "/proc/self/fd/";
    char digits[12], *p = digits;
    for (const char *s = prefix; *s; ++s) *path++ = *s;
    do *p++ = (char)('0' + fd % 10);
    while ((fd /= 10) != 0);
    while (p > digits) *path++ = *--p;
    *path = 0;
}

static int reopen(int reader) {
    char path[48];
    fd_path(path, reader);
    int fd;
    COHORT__RETRY(fd, open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    if (fd < 0) return -1;
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, OUT_OF_THE_WAY);
    if (moved < 0) return cohort__fd_safe(fd);
    close(fd);
    return moved;
}

static bool hung_up(int fd) {
    struct pollfd look = {.fd = fd, .events = POLLIN};
    return poll(&look, 1, 0) == 1 && (look.revents & (POLLHUP | POLLERR)) != 0;
}

static int arm(int fd, bool alone) {
    bool group = !alone && cohort__leads_group();
    struct f_owner_ex owner = {group ? F_OWNER_PGRP : F_OWNER_PID, getpid()};
    if (fcntl(fd, F_SETOWN_EX, &owner) != 0 || fcntl(fd, F_SETSIG, SIGKILL) != 0) return -1;
    if (fcntl(fd, F_SETFL, O_ASYNC | O_NONBLOCK) != 0) return -1;
    if (hung_up(fd)) cohort__die(alone);
    return 0;
}

/* The descriptor when it could be armed, or -1 with errno. */
static int armed(int fd, bool alone) {
    if (fd < 0 || arm(fd, alone) == 0) return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static void hold(int fd) {
    aio_context_t context = 0;
    struct iocb request = {.aio_lio_opcode = IOCB_CMD_POLL,
                           .aio_fildes = (uint32_t)fd,
                           .aio_buf = 0},
                *list = &request;
    if (syscall(SYS_io_setup, 1, &context) != 0) return;
    if (syscall(SYS_io_submit, context, 1, &list) != 1) syscall(SYS_io_destroy, context);
}

/* The description that the next copy of this process is to arm; this process closes it then. It is
 * none of the standard three; 0: none. */
static int prepared;

static void unprepare(void) {
    if (prepared > 0) close(prepared);
    prepared = 0;
}

static apr_status_t take_armed(cohort_os_handle_t reader, bool lasting, bool alone) {
    int fd = armed(prepared > 0 ? prepared : reopen((int)reader), alone);
    prepared = 0;
    if (fd < 0) return cohort__lifeline_wait(reader, alone);
    if (lasting) hold(fd);
    close((int)reader);
    return APR_SUCCESS;
}

apr_status_t cohort__lifeline_take(cohort_os_handle_t reader, cohort_os_lifeline_t how,
                                   bool alone) {
    if (how != COHORT_OS_LIFELINE_DECLINED)
        return take_armed(reader, how == COHORT_OS_LIFELINE_LASTING, alone);
    unprepare();
    cohort_os_close(reader);
    return APR_SUCCESS;
}

void cohort__lifeline_prepare(cohort_os_handle_t reader) {
    unprepare();
    int fd = reader != COHORT_OS_NONE ? reopen((int)reader) : -1;
    if (fd > 0) prepared = fd;
}

apr_status_t cohort__lifeline_exec(int reader, bool alone) {
    int fd = armed(reopen(reader), alone);
    if (fd < 0) return errno;
    return fcntl(fd, F_SETFD, 0) == 0 ? APR_SUCCESS : errno;
}
