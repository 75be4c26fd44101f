/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What is particular to Linux.
 *
 * The birth of a process is the inode number of its process descriptor where those have a file system of their own (Linux 6.9 and
 * newer: the number is never used twice), else the start time in /proc. The two kinds are told apart by a bit, so that processes which cannot use
 * the same means (a sandbox) never take each other for dead.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
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
#define BY_DESCRIPTOR 3 /* P_PIDFD */

/* ---- small files ------------------------------------------------------------------------------------------------ */

static ssize_t read_text(const char *path, char *buffer, size_t size) {
    int fd;
    COHORT__RETRY(fd, open(path, O_RDONLY | O_CLOEXEC));
    if (fd < 0) return -1;
    size_t total = cohort__read_all(fd, buffer, size - 1);
    close(fd);
    buffer[total] = 0;
    return (ssize_t)total;
}

/* ---- processes -------------------------------------------------------------------------------------------------- */

static cohort__life_t life_from_proc(int64_t pid, uint64_t *birth) {
    char path[40], text[1024];
    snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
    if (read_text(path, text, sizeof text) <= 0) {
        if (kill((pid_t)pid, 0) == 0 || errno != ESRCH) return COHORT__UNKNOWN;
        return COHORT__GONE;
    }
    char state = 0;
    long threads = 0;
    unsigned long long started = 0;
    char *after = strrchr(text, ')'); /* the name before may hold anything */
    if (!after || sscanf(after + 1, " %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %ld %*s %llu", &state,
                         &threads, &started) != 3)
        return COHORT__UNKNOWN;
    *birth = (uint64_t)started + 2; /* neither 0 nor COHORT__BIRTH_GONE */
    if (state == 'X' || (state == 'Z' && threads <= 1)) return COHORT__ENDED; /* the first thread may be gone while others run */
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
    const char nothing[] = ""; /* fstat() has its own in a page that a forked child has not touched yet */
    if (atomic_load(&own_file_system) == 0 && fstatfs(fd, &system) == 0)
        atomic_store(&own_file_system, system.f_type == PIDFS_MAGIC_NUMBER ? 1 : -1);
    if (atomic_load(&own_file_system) != 1 || fstatat(fd, nothing, &facts, AT_EMPTY_PATH) != 0) return 0;
    return COHORT__BIRTH_INODE | (uint64_t)facts.st_ino;
}

static bool has_ended(int fd) {
    struct pollfd look = {.fd = fd, .events = POLLIN};
    return poll(&look, 1, 0) == 1;
}

cohort__life_t cohort__life(int64_t pid, uint64_t *birth) {
    int fd = open_pidfd(pid);
    if (fd < 0) {
        if (errno == ESRCH || errno == EINVAL || errno == ENOENT) return COHORT__GONE; /* the latter: a thread has that number now */
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

int cohort__wait_exact(int fd, siginfo_t *info, int options) { return waitid((idtype_t)BY_DESCRIPTOR, (id_t)fd, info, options); }

static bool is_exactly(int fd, cohort_os_id_t process) {
    uint64_t birth = inode_birth(fd);
    if (!birth || !(process.birth & COHORT__BIRTH_INODE)) return cohort_os_alive(process); /* asked after opening: then it is the same */
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

#endif

/* ---- memory ----------------------------------------------------------------------------------------------------- */

const uint64_t cohort__arena_bases[] = {0x2000000000u, 0x200000000000u, 0};

uint64_t cohort__arena_limit(uint64_t base) { return base < 0x8000000000u ? 0x8000000000u : 0x600000000000u; }

uint64_t cohort__address_space_used(void) {
    char text[128];
    if (read_text("/proc/self/statm", text, sizeof text) <= 0) return 0;
    return strtoull(text, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t cohort__memory_size(void) { return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE); }

/* ---- start ------------------------------------------------------------------------------------------------------ */

/* The name of the file is nicer to see in process lists than "exe"; when it was removed or replaced, the kernel says so behind it. */
apr_status_t cohort__own_executable(char *path, size_t size) {
    static const char own[] = "/proc/self/exe";
    struct stat facts;
    ssize_t length = readlink(own, path, size - 1);
    if (length < 0) return errno;
    path[length] = 0;
    if (stat(path, &facts) == 0) return APR_SUCCESS;
    if (size < sizeof own) return APR_ENOSPC;
    memcpy(path, own, sizeof own);
    return APR_SUCCESS;
}

bool cohort_os_fork_is_default(void) { return true; }

char ***cohort__environment(void) {
    extern char **environ;
    return &environ;
}

/* From the kernel's word: to set it and set it back would race with files made by other threads. */
mode_t cohort__umask(void) {
    char text[4096];
    if (read_text("/proc/self/status", text, sizeof text) > 0) {
        const char *line = strstr(text, "\nUmask:");
        if (line) return (mode_t)strtoul(line + 7, NULL, 8);
    }
    return 022;
}

/* ---- CPUs ------------------------------------------------------------------------------------------------------- */

size_t cohort__affinity_get(void *set, size_t size) {
    long used = syscall(SYS_sched_getaffinity, 0, size, set); /* of this thread; the bytes that the kernel has */
    return used > 0 ? (size_t)used : 0;
}

void cohort__affinity_set(const void *set, size_t size) {
    unsigned char now[1024];
    if (size == 0 || (cohort__affinity_get(now, sizeof now) == size && memcmp(now, set, size) == 0)) return;
    syscall(SYS_sched_setaffinity, 0, size, set);
}

int cohort__affinity_count(void) {
    unsigned char set[1024];
    size_t used = cohort__affinity_get(set, sizeof set);
    int count = 0;
    for (size_t i = 0; i < used; ++i) count += __builtin_popcount(set[i]);
    return count;
}

static int rounded_up(double quota, double period) {
    if (quota <= 0 || period <= 0) return 0;
    int count = (int)(quota / period);
    return count * period < quota ? count + 1 : count;
}

static int smaller(int a, int b) { return a == 0 || (b != 0 && b < a) ? b : a; }

static int quota_v2(const char *directory) {
    char path[COHORT_OS_PATH_MAX + 32], text[128];
    double quota, period;
    snprintf(path, sizeof path, "%s/cpu.max", directory);
    if (read_text(path, text, sizeof text) <= 0 || sscanf(text, "%lf %lf", &quota, &period) != 2) return 0; /* "max" is no number */
    return rounded_up(quota, period);
}

static int quota_v1(const char *directory) {
    char path[COHORT_OS_PATH_MAX + 32], text[64];
    snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", directory);
    if (read_text(path, text, sizeof text) <= 0) return 0;
    double quota = strtod(text, NULL);
    snprintf(path, sizeof path, "%s/cpu.cfs_period_us", directory);
    if (read_text(path, text, sizeof text) <= 0) return 0;
    return rounded_up(quota, strtod(text, NULL));
}

/* The smallest on the way from the group up to the root of what is mounted. */
static int quota_upwards(const char *root, const char *group, int (*quota)(const char *directory)) {
    char directory[COHORT_OS_PATH_MAX];
    int best = 0;
    size_t stop = strlen(root);
    if (snprintf(directory, sizeof directory, "%s%s", root, group) >= (int)sizeof directory) return 0;
    for (;;) {
        best = smaller(best, quota(directory));
        char *slash = strrchr(directory + stop, '/');
        if (!slash) return best;
        *slash = 0;
    }
}

static bool lists(const char *controllers, size_t length, const char *wanted) {
    const char *found = strstr(controllers, wanted);
    size_t size = strlen(wanted);
    return found && found + size <= controllers + length && (found == controllers || found[-1] == ',') &&
           (found[size] == ',' || found[size] == ':');
}

int cohort__cpu_quota(void) {
    char text[4096], *rest = text;
    int best = 0;
    if (read_text("/proc/self/cgroup", text, sizeof text) <= 0) return 0;
    for (char *line; (line = strtok_r(rest, "\n", &rest)) != NULL;) { /* hierarchy:controllers:group */
        char *controllers = strchr(line, ':'), *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group) continue;
        ++controllers;
        size_t length = (size_t)(group - controllers);
        if (length == 0) best = smaller(best, quota_upwards("/sys/fs/cgroup", group + 1, quota_v2));
        else if (lists(controllers, length, "cpu")) best = smaller(best, quota_upwards("/sys/fs/cgroup/cpu", group + 1, quota_v1));
    }
    return best;
}

int cohort_os_cpu(void) { return sched_getcpu(); }

/* ---- names ------------------------------------------------------------------------------------------------------ */

/* Process lists show the name of the first thread. */
void cohort__thread_title(const char *name) {
    char text[16] = "";
    memcpy(text, name, strnlen(name, sizeof text - 1));
    if (syscall(SYS_gettid) == (long)getpid()) {
        prctl(PR_SET_NAME, text, 0, 0, 0);
        return;
    }
    int fd;
    ssize_t result;
    COHORT__RETRY(fd, open("/proc/self/comm", O_WRONLY | O_CLOEXEC));
    if (fd < 0) return;
    COHORT__RETRY(result, write(fd, text, strlen(text))); /* each write is a name of its own */
    close(fd);
}
