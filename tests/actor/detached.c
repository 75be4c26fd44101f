/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that leaves its parent, before it initialises Cohort or afterwards, and then starts two
 * children. It tells in the file DETACHED_LOG each time that main() is entered, also in a fork
 * server, which has no standard output, and how the starts went. A reader of its standard output
 * sees the end of that when the program and its children have ended.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <cohort/cohort.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void tell(const char *line) {
    int log = open(getenv("DETACHED_LOG"), O_WRONLY | O_APPEND | O_CLOEXEC);
    if (write(log, line, strlen(line)) < 0) _exit(98);
    close(log);
}

static int seven(void *args) {
    (void)args;
    return 7;
}

static void start_one(void) {
    cohort_process_t *process = NULL;
    apr_status_t status = cohort_process_create(&process, seven, NULL, 0, NULL, NULL);
    if (!status) status = cohort_process_start(process);
    if (status) {
        tell(strncmp(cohort_last_error(), "cohort_process_start: ", 22) == 0
                 ? "refused\n"
                 : "failed without words\n");
        return;
    }
    status = cohort_process_join(process, COHORT_FOREVER);
    tell(!status && cohort_process_exit_code(process) == 7 ? "started\n" : "ended otherwise\n");
}

static void begin(void) {
    const char *method = getenv("DETACHED_METHOD");
    cohort_options_t options = {.method = !strcmp(method, "fork")    ? COHORT_START_FORK
                                          : !strcmp(method, "spawn") ? COHORT_START_SPAWN
                                                                     : COHORT_START_FORKSERVER};
    if (cohort_initialize(&options)) tell("not initialised\n");
}

/* As daemon() does. */
static void leave_parent(void) {
    if (fork() != 0) _exit(0);
    setsid();
}

static void leave_waiting_parent(void) {
    pid_t pid = fork();
    if (pid == 0) return;
    waitpid(pid, NULL, 0);
    _exit(0);
}

int main(void) {
    const char *mode = getenv("DETACHED_MODE");
    tell("main\n");
    if (!strcmp(mode, "daemon first")) {
        leave_parent();
        begin();
    } else if (!strcmp(mode, "fork first")) {
        leave_waiting_parent();
        begin();
    } else if (!strcmp(mode, "finalized")) {
        begin();
        cohort_finalize();
        leave_parent();
        begin();
    } else {
        cohort_process_t *process = NULL;
        begin();
        leave_parent();
        if (cohort_process_create(&process, seven, NULL, 0, NULL, NULL) != COHORT_ENOTMEMBER)
            tell("a copy is a member\n");
        cohort_finalize();
        begin();
    }
    start_one();
    start_one();
    cohort_finalize();
    return 0;
}
