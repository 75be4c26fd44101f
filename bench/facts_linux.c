/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The facts of bench.h on Linux. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "bench.h"

#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <time.h>
#ifdef __GLIBC__
#include <gnu/libc-version.h>
#endif

double bench_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

int bench_pin(int cpu) {
    static cpu_set_t allowed; /* of the process as it was started */
    static int known;
    cpu_set_t set;
    if (!known) known = sched_getaffinity(0, sizeof allowed, &allowed) == 0;
    if (cpu < 0) return known && sched_setaffinity(0, sizeof allowed, &allowed) == 0;
    for (int i = 0; i < CPU_SETSIZE; i++) {
        if (!CPU_ISSET(i, &allowed) || cpu-- > 0) continue;
        CPU_ZERO(&set);
        CPU_SET(i, &set);
        return sched_setaffinity(0, sizeof set, &set) == 0;
    }
    return 0; /* fewer CPUs than that */
}

/* Clock ticks are too coarse for a process that hardly runs: the scheduler counts the nanoseconds
 * of each thread. */
double bench_cpu_seconds(apr_int64_t pid) {
    char path[320];
    double all = 0;
    snprintf(path, sizeof path, "/proc/%ld/task", (long)pid);
    DIR *tasks = opendir(path);
    if (!tasks) return -1;
    for (struct dirent *task; (task = readdir(tasks));) {
        unsigned long long ns = 0;
        snprintf(path, sizeof path, "/proc/%ld/task/%s/schedstat", (long)pid, task->d_name);
        FILE *f = task->d_name[0] == '.' ? NULL : fopen(path, "r");
        if (f && fscanf(f, "%llu", &ns) == 1) all += (double)ns / 1e9;
        if (f) fclose(f);
    }
    closedir(tasks);
    return all;
}

double bench_private_dirty_kib(apr_int64_t pid) {
    char path[64], line[256];
    long kib, all = -1;
    snprintf(path, sizeof path, "/proc/%ld/smaps_rollup", (long)pid);
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f)) {
        if (sscanf(line, "Private_Dirty: %ld kB", &kib) == 1) all = kib;
    }
    if (f) fclose(f);
    return (double)all;
}

const char *bench_libc(void) {
#ifdef __GLIBC__
    static char name[40];
    snprintf(name, sizeof name, "glibc-%s", gnu_get_libc_version());
    return name;
#else
    return "libc";
#endif
}
