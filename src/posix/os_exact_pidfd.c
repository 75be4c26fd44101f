/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What reaches one process alone, by a descriptor of it.
 *
 * The birth of a process is the inode number of its process descriptor where those have a file
 * system of their own (Linux 6.9 and newer: the number is never used twice), else the start time in
 * /proc. The two kinds are distinguished by a bit, so that processes which cannot use the same
 * means (a sandbox) never take each other for dead.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_pidfd.h"
#include "os_posix.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define PIDFS_MAGIC_NUMBER 0x50494446
#define BY_DESCRIPTOR      3  /* P_PIDFD */
#define TO_GROUP           4u /* PIDFD_SIGNAL_PROCESS_GROUP */

/* Closes on exec by itself. A kernel (or a tool that plays one) without the call is asked once. */
int cohort__pidfd_open(int64_t pid) {
    static _Atomic bool absent;
    if (atomic_load(&absent)) {
        errno = ENOSYS;
        return -1;
    }
    int fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
    if (fd < 0 && errno == ENOSYS) atomic_store(&absent, true);
    return fd;
}

/* The birth by the inode, 0 when descriptors of processes have no file system of their own. */
static uint64_t inode_birth(int fd) {
    static _Atomic int own_file_system; /* 0 = not known yet, 1 = yes, -1 = no */
    struct statfs system;
    struct stat facts;
    /* fstat() has its own in a page that a forked child has not touched yet */
    const char nothing[] = "";
    if (atomic_load(&own_file_system) == 0 && fstatfs(fd, &system) == 0)
        atomic_store(&own_file_system, system.f_type == PIDFS_MAGIC_NUMBER ? 1 : -1);
    if (atomic_load(&own_file_system) != 1 || fstatat(fd, nothing, &facts, AT_EMPTY_PATH) != 0)
        return 0;
    return COHORT__BIRTH_INODE | (uint64_t)facts.st_ino;
}

static bool has_ended(int fd) {
    struct pollfd look = {.fd = fd, .events = POLLIN};
    return poll(&look, 1, 0) == 1;
}

cohort__life_t cohort__life(int64_t pid, uint64_t *birth) {
    int fd = cohort__pidfd_open(pid);
    if (fd < 0) {
        /* the latter: a thread has that number now */
        if (errno == ESRCH || errno == EINVAL || errno == ENOENT) return COHORT__GONE;
        return cohort__life_by_pid(pid, birth);
    }
    uint64_t inode = inode_birth(fd);
    cohort__life_t life = has_ended(fd) ? COHORT__ENDED : COHORT__RUNS;
    close(fd);
    if (!inode) return cohort__life_by_pid(pid, birth);
    *birth = inode;
    return life;
}

int cohort__life_open(int64_t pid, uint64_t *birth) {
    int fd = cohort__pidfd_open(pid);
    if (fd >= 0 && fd <= 2) fd = cohort__fd_safe(fd);
    if (fd < 0) return -1;
    *birth = inode_birth(fd);
    if (*birth || cohort__life_by_pid(pid, birth) != COHORT__GONE) return fd;
    close(fd);
    return -1;
}

int cohort__wait_exact(int fd, siginfo_t *info, int options) {
    return waitid((idtype_t)BY_DESCRIPTOR, (id_t)fd, info, options);
}

static bool is_exactly(int fd, cohort_os_id_t process) {
    uint64_t birth = inode_birth(fd);
    /* asked after opening: then it is the same */
    if (!birth || !(process.birth & COHORT__BIRTH_INODE)) return cohort_os_alive(process, NULL);
    return birth == process.birth && !has_ended(fd);
}

int cohort__signal_exact(cohort_os_id_t process, int signal) {
    int fd = cohort__pidfd_open(process.pid), result = -1, error = ESRCH;
    if (fd < 0) {
        if (errno != ESRCH && errno != EINVAL && errno != ENOENT) errno = ENOSYS;
        else errno = ESRCH;
        return -1;
    }
    if (is_exactly(fd, process)) {
        result = (int)syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0);
        error = errno;
    }
    close(fd);
    errno = error;
    return result;
}

/* Linux 6.9. Which one is not reaped by its parent, or has been, makes no difference. */
int cohort__signal_group(int fd, cohort_os_id_t leader, int signal) {
    /* the program may have closed the descriptor, and have another one there */
    uint64_t birth = fd >= 0 ? inode_birth(fd) : 0;
    if (birth && birth == leader.birth)
        return (int)syscall(SYS_pidfd_send_signal, fd, signal, NULL, TO_GROUP);
    errno = ENOSYS;
    return -1;
}
