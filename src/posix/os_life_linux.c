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

cohort__life_t cohort__life_by_pid(int64_t pid, uint64_t *birth) {
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
