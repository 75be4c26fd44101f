/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes of Linux, as the system shows them: whether one lives, its birth, its threads; and what
 * reaches one of them alone.
 *
 * The birth of a process is the inode number of its process descriptor where those have a file
 * system of their own (Linux 6.9 and newer: the number is never used twice), else the start time in
 * /proc. The two kinds are distinguished by a bit, so that processes which cannot use the same
 * means (a sandbox) never take each other for dead.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#define PIDFS_MAGIC_NUMBER 0x50494446
#define BY_DESCRIPTOR      3  /* P_PIDFD */
#define TO_GROUP           4u /* PIDFD_SIGNAL_PROCESS_GROUP */

/* 1; 0 when there is nothing to read, -1 when it is not understood. */
static int read_stat(int64_t pid, char *state, long *threads, unsigned long long *started) {
    char path[40], text[1024];
    snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
    if (cohort__read_text(path, text, sizeof text) <= 0) return 0;
    char *after = strrchr(text, ')'); /* the name before may hold anything */
    if (!after) return -1;
    int read = sscanf(after + 1,
                      " %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s"
                      " %ld %*s %llu",
                      state, threads, started);
    return read == 3 ? 1 : -1;
}

/* The first thread stays, as a zombie, when it ends before others do. */
int cohort__threads(void) {
    char state;
    long threads;
    unsigned long long started;
    if (read_stat(getpid(), &state, &threads, &started) != 1) return 0;
    return (int)threads - (state == 'Z');
}

bool cohort__is_first_thread(void) { return (pid_t)syscall(SYS_gettid) == getpid(); }

static cohort__life_t life_from_proc(int64_t pid, uint64_t *birth) {
    char state = 0;
    long threads = 0;
    unsigned long long started = 0;
    int got = read_stat(pid, &state, &threads, &started);
    if (got < 0) return COHORT__UNKNOWN;
    if (got == 0)
        return kill((pid_t)pid, 0) == 0 || errno != ESRCH ? COHORT__UNKNOWN : COHORT__GONE;
    *birth = (uint64_t)started + 2; /* neither 0 nor COHORT__BIRTH_GONE */
    /* the first thread may be gone while others run */
    if (state == 'X' || (state == 'Z' && threads <= 1)) return COHORT__ENDED;
    return COHORT__RUNS;
}

#ifdef COHORT_NO_PIDFD

cohort__life_t cohort__life(int64_t pid, uint64_t *birth) { return life_from_proc(pid, birth); }

int cohort__life_open(int64_t pid, uint64_t *birth) {
    (void)pid, (void)birth;
    return -1;
}

int cohort__wait_exact(int fd, siginfo_t *info, int options) {
    (void)fd, (void)info, (void)options;
    errno = EINVAL;
    return -1;
}

int cohort__signal_exact(cohort_os_id_t process, int signal) {
    (void)process, (void)signal;
    errno = ENOSYS;
    return -1;
}

int cohort__signal_group(int fd, cohort_os_id_t leader, int signal) {
    (void)fd, (void)leader, (void)signal;
    errno = ENOSYS;
    return -1;
}

#else

/* Closes on exec by itself. A kernel (or a tool that plays one) without the call is asked once. */
static int open_pidfd(int64_t pid) {
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
    int fd = open_pidfd(pid);
    if (fd < 0) {
        /* the latter: a thread has that number now */
        if (errno == ESRCH || errno == EINVAL || errno == ENOENT) return COHORT__GONE;
        return life_from_proc(pid, birth);
    }
    uint64_t inode = inode_birth(fd);
    cohort__life_t life = has_ended(fd) ? COHORT__ENDED : COHORT__RUNS;
    close(fd);
    if (!inode) return life_from_proc(pid, birth);
    *birth = inode;
    return life;
}

int cohort__life_open(int64_t pid, uint64_t *birth) {
    int fd = open_pidfd(pid);
    if (fd >= 0 && fd <= 2) fd = cohort__fd_safe(fd);
    if (fd < 0) return -1;
    *birth = inode_birth(fd);
    if (*birth || life_from_proc(pid, birth) != COHORT__GONE) return fd;
    close(fd);
    return -1;
}

int cohort__wait_exact(int fd, siginfo_t *info, int options) {
    return waitid((idtype_t)BY_DESCRIPTOR, (id_t)fd, info, options);
}

static bool is_exactly(int fd, cohort_os_id_t process) {
    uint64_t birth = inode_birth(fd);
    /* asked after opening: then it is the same */
    if (!birth || !(process.birth & COHORT__BIRTH_INODE)) return cohort_os_alive(process);
    return birth == process.birth && !has_ended(fd);
}

int cohort__signal_exact(cohort_os_id_t process, int signal) {
    int fd = open_pidfd(process.pid), result = -1, error = ESRCH;
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

#endif
