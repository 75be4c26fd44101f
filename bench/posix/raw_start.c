/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
#include "raw.h"

#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static char *const true_argv[] = {"true", NULL};

static pid_t (*start)(void);

static void start_and_join(void *arg, long first, long n) {
    (void)arg, (void)first;
    for (; n > 0; n--) peer_join(start());
}

static double repeat(const char *metric, long count, pid_t (*how)(void)) {
    peer_be_large(metric);
    start = how;
    return peer_blocks(start_and_join, NULL, count);
}

static pid_t by_fork(void) {
    pid_t pid = fork();
    if (pid == 0) _exit(0);
    return pid;
}

static pid_t by_vfork(void) {
    pid_t pid = vfork();
    if (pid == 0) _exit(0);
    return pid;
}

/* As a shell does it: along PATH. */
static pid_t by_posix_spawn(void) {
    pid_t pid;
    PEER_MUST(posix_spawnp(&pid, "true", NULL, NULL, true_argv, environ) == 0);
    return pid;
}

static pid_t by_vfork_exec(void) {
    pid_t pid = vfork();
    if (pid == 0) {
        execvp("true", true_argv);
        _exit(127);
    }
    return pid;
}

static pid_t by_fork_exec(void) {
    pid_t pid = fork();
    if (pid == 0) {
        execvp("true", true_argv);
        _exit(127);
    }
    return pid;
}

double raw_fork(const char *metric, long count) { return repeat(metric, count, by_fork); }

double raw_vfork(const char *metric, long count) { return repeat(metric, count, by_vfork); }

double raw_posix_spawn(const char *metric, long count) {
    return repeat(metric, count, by_posix_spawn);
}

double raw_vfork_exec(const char *metric, long count) {
    return repeat(metric, count, by_vfork_exec);
}

double raw_fork_exec(const char *metric, long count) { return repeat(metric, count, by_fork_exec); }

/* Two at a time, whichever ends first. */
double raw_commands(const char *metric, long count) {
    int status;
    (void)metric;
    double begin = peer_now();
    for (long i = 0; i < count + 2; i++) {
        if (i >= 2) PEER_MUST(wait(&status) > 0 && status == 0);
        if (i < count) (void)by_posix_spawn();
    }
    return peer_now() - begin;
}

double raw_xargs(const char *metric, long count) {
    char command[100];
    (void)metric;
    snprintf(command, sizeof command, "yes x | head -n %ld | xargs -n 1 -P 2 true", count);
    double begin = peer_now();
    PEER_MUST(system(command) == 0);
    return peer_now() - begin;
}
