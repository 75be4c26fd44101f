/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What the system says about processes and descriptors, for tests that do not want to take Cohort's
 * word for it. */
#ifndef COHORT_TESTS_SYSTEM_H
#define COHORT_TESTS_SYSTEM_H

#include "../api/events.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sanitized.h"

/* State and parent of a process: 'Z' for a zombie, 0 when it is gone. */
static inline char process_state(apr_int64_t pid, int *parent) {
    char path[64], text[1024] = "", state = 0;
    snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
    FILE *file = fopen(path, "r");
    if (!file) return 0;
    size_t got = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[got] = 0;
    char *after = strrchr(text, ')');
    if (!after || sscanf(after + 1, " %c %d", &state, parent) != 2) return 0;
    return state;
}

static inline bool process_runs(apr_int64_t pid) {
    int parent;
    if (access("/proc/self/stat", R_OK)) return kill((pid_t)pid, 0) == 0;
    char state = process_state(pid, &parent);
    return state != 0 && state != 'Z' && state != 'X';
}

/* The watchdog sees to it that this ends. */
static inline void await_gone(apr_int64_t pid) {
    while (process_runs(pid)) apr_sleep(1000);
}

/* May others run this program? Not where it was built below a directory that is closed to them. */
static inline bool open_to_others(void) {
    char path[512] = "";
    struct stat info;
    if (readlink("/proc/self/exe", path, sizeof path - 1) < 0) return false;
    for (char *end = path + strlen(path); end; end = strrchr(path, '/')) {
        *end = 0;
        if (*path && (stat(path, &info) || !(info.st_mode & S_IXOTH))) return false;
    }
    return true;
}

/* Open descriptors of a process, -1 when the system does not tell. */
static inline int count_descriptors(apr_int64_t pid) {
    char path[64];
    int count = 0;
    snprintf(path, sizeof path, "/proc/%lld/fd", (long long)pid);
    DIR *directory = opendir(path);
    if (!directory) return -1;
    while (readdir(directory)) count++;
    closedir(directory);
    return count - 2 - (pid == getpid());
}

/* Zombies that are children of process `of`. */
static inline int count_zombies(apr_int64_t of) {
    int count = 0, parent;
    DIR *directory = opendir("/proc");
    if (!directory) return 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        apr_int64_t pid = atoll(entry->d_name);
        if (pid > 0 && process_state(pid, &parent) == 'Z' && parent == (int)of) count++;
    }
    closedir(directory);
    return count;
}

static inline cohort_process_t *start_as(cohort_lifetime_t lifetime, cohort_target_t target,
                                         const void *args, apr_size_t size) {
    cohort_process_options_t options = {.lifetime = lifetime};
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_process_create(&process, target, args, size, &options, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
    return process;
}

#endif
