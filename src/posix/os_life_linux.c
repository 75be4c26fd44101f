/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Processes of Linux, as /proc shows them: whether one lives, its start time as its birth, its
 * threads. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int cohort__stat_parse(const char *text, cohort__stat_t *stat) {
    const char *after = strrchr(text, ')'); /* the name before may hold anything */
    if (!after) return -1;
    int read = sscanf(after + 1,
                      " %c %d %d %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s"
                      " %ld %*s %llu",
                      &stat->state, &stat->parent, &stat->group, &stat->threads, &stat->started);
    return read == 5 ? 1 : -1;
}

/* 1; 0 when there is nothing to read, -1 when it is not understood. */
static int read_stat(int64_t pid, cohort__stat_t *stat) {
    char path[40], text[1024];
    snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
    return cohort__read_text(path, text, sizeof text) <= 0 ? 0 : cohort__stat_parse(text, stat);
}

/* The first thread stays, as a zombie, when it ends before others do. */
int cohort__threads(void) {
    cohort__stat_t stat;
    if (read_stat(getpid(), &stat) != 1) return 0;
    return (int)stat.threads - (stat.state == 'Z');
}

bool cohort__is_first_thread(void) { return (pid_t)syscall(SYS_gettid) == getpid(); }

cohort__life_t cohort__life_by_pid(int64_t pid, uint64_t *birth) {
    cohort__stat_t stat;
    int got = read_stat(pid, &stat);
    if (got < 0) return COHORT__UNKNOWN;
    if (got == 0)
        return kill((pid_t)pid, 0) == 0 || errno != ESRCH ? COHORT__UNKNOWN : COHORT__GONE;
    *birth = (uint64_t)stat.started + 2; /* neither 0 nor COHORT__BIRTH_GONE */
    /* the first thread may be gone while others run */
    if (stat.state == 'X' || (stat.state == 'Z' && stat.threads <= 1)) return COHORT__ENDED;
    return COHORT__RUNS;
}

cohort_os_usage_t cohort__usage(int64_t pid) {
    cohort_os_usage_t usage = {-1, -1};
    char path[40], text[1024];
    unsigned long long user, system;
    long pages;
    snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
    const char *after = cohort__read_text(path, text, sizeof text) > 0 ? strrchr(text, ')') : NULL;
    if (!after || sscanf(after + 1,
                         " %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu %llu"
                         " %*s %*s %*s %*s %*s %*s %*s %*s %ld",
                         &user, &system, &pages) != 3)
        return usage;
    usage.cpu_time = (int64_t)((user + system) * (1000000000u / (unsigned)sysconf(_SC_CLK_TCK)));
    usage.memory = (int64_t)pages * sysconf(_SC_PAGESIZE);
    return usage;
}
