/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What is particular to Linux and small: CPUs that a process may use, the name of a thread, the
 * size of the descriptor table, the streams of the C library; and the reading of files of /proc. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

ssize_t cohort__read_text(const char *path, char *buffer, size_t size) {
    int fd;
    COHORT__RETRY(fd, open(path, O_RDONLY | O_CLOEXEC));
    if (fd < 0) return -1;
    size_t total = cohort__read_all(fd, buffer, size - 1);
    close(fd);
    buffer[total] = 0;
    return (ssize_t)total;
}

/* ---- CPUs ----------------------------------------------------------------------------------- */

size_t cohort__affinity_get(int64_t tid, void *set, size_t size) {
    /* the bytes that the kernel has */
    long used = syscall(SYS_sched_getaffinity, (pid_t)tid, size, set);
    return used > 0 ? (size_t)used : 0;
}

int cohort__affinity_set(const void *set, size_t size) {
    return (int)syscall(SYS_sched_setaffinity, 0, size, set);
}

const int cohort__memory_limit = RLIMIT_DATA;

int cohort__affinity_count(void) {
    unsigned char set[1024];
    size_t used = cohort__affinity_get(0, set, sizeof set);
    int count = 0;
    for (size_t i = 0; i < used; ++i) count += __builtin_popcount(set[i]);
    return count;
}

/* Two share one CPU, so with at most as many threads that can run as this one may use CPUs, one
 * of these is idle. */
bool cohort__cpu_is_idle(void) {
    char text[128];
    int allowed = cohort__affinity_count(), running;
    if (allowed < 2 || cohort__read_text("/proc/loadavg", text, sizeof text) <= 0) return false;
    return sscanf(text, "%*s %*s %*s %d/", &running) == 1 && running <= allowed;
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
    /* "max" is no number */
    if (cohort__read_text(path, text, sizeof text) <= 0 ||
        sscanf(text, "%lf %lf", &quota, &period) != 2)
        return 0;
    return rounded_up(quota, period);
}

static int quota_v1(const char *directory) {
    char path[COHORT_OS_PATH_MAX + 32], text[64];
    snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", directory);
    if (cohort__read_text(path, text, sizeof text) <= 0) return 0;
    double quota = strtod(text, NULL);
    snprintf(path, sizeof path, "%s/cpu.cfs_period_us", directory);
    if (cohort__read_text(path, text, sizeof text) <= 0) return 0;
    return rounded_up(quota, strtod(text, NULL));
}

/* The smallest on the way from the group up to the root of what is mounted. */
static int quota_upwards(const char *root, const char *group, int (*quota)(const char *directory)) {
    char directory[COHORT_OS_PATH_MAX];
    int best = 0;
    size_t stop = strlen(root);
    if (snprintf(directory, sizeof directory, "%s%s", root, group) >= (int)sizeof directory)
        return 0;
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
    return found && found + size <= controllers + length &&
           (found == controllers || found[-1] == ',') && (found[size] == ',' || found[size] == ':');
}

int cohort__cpu_quota(void) {
    char text[4096], *rest = text;
    int best = 0;
    if (cohort__read_text("/proc/self/cgroup", text, sizeof text) <= 0) return 0;
    /* hierarchy:controllers:group */
    for (char *line; (line = strtok_r(rest, "\n", &rest)) != NULL;) {
        char *controllers = strchr(line, ':'),
             *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group) continue;
        ++controllers;
        size_t length = (size_t)(group - controllers);
        if (length == 0) best = smaller(best, quota_upwards("/sys/fs/cgroup", group + 1, quota_v2));
        else if (lists(controllers, length, "cpu"))
            best = smaller(best, quota_upwards("/sys/fs/cgroup/cpu", group + 1, quota_v1));
    }
    return best;
}

/* ---- names, descriptors, streams ------------------------------------------------------------ */

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

/* The size of the table as it is; else what it may be, but for descriptors from before the limit
 * was lowered. */
int cohort__files_bound(void) {
    char text[4096];
    const char *line = cohort__read_text("/proc/thread-self/status", text, sizeof text) > 0
                           ? strstr(text, "\nFDSize:")
                           : NULL;
    struct rlimit limit;
    if (line) return (int)strtol(line + 8, NULL, 10);
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > 1 << 20) return 1 << 20;
    return (int)limit.rlim_cur;
}

void cohort__streams_purge(void) {
    __fpurge(stdout);
    __fpurge(stderr);
}

void cohort__input_purge(void) {
    __fpurge(stdin);
    clearerr(stdin);
}
