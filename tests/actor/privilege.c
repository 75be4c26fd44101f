/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A program to be made set-user-id and the like, and the attacker of it: what it says goes to the
 * file "log" beside it, line by line, whichever user runs it.
 *
 *   privilege lure PATH     starts a child by spawn, which runs PATH instead of this file: a copy
 *       of it with more rights. The library itself makes the boot block, so
 *                           nothing is wrong with that but the rights.
 *   privilege start METHOD  starts a child and a pool by this method, and another program
 *   privilege drop METHOD   the same after it has given up its rights
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <cohort/cohort.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char *format, ...) {
    char path[600] = "", line[200];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (readlink("/proc/self/exe", path, 512) <= 0 || !strrchr(path, '/')) _exit(20);
    strcpy(strrchr(path, '/') + 1, "log");
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (fd < 0 || write(fd, line, (size_t)size) != size) _exit(21);
    close(fd);
}

static const char *name_of(apr_status_t status) {
    const char *name = cohort_error_name(status);
    return status == APR_SUCCESS ? "ok" : name ? name : "another status";
}

static int intruder(void *args) {
    (void)args;
    say("inside: user %d/%d, group %d/%d, secure %d\n", (int)getuid(), (int)geteuid(),
        (int)getgid(), (int)getegid(), (int)getauxval(AT_SECURE));
    return 0;
}

static int lure(const char *path) {
    cohort_process_t *process;
    apr_status_t status = cohort_set_start_method(COHORT_START_SPAWN, path);
    if (!status) status = cohort_process_create(&process, intruder, NULL, 0, NULL, NULL);
    if (!status) status = cohort_process_start(process);
    say("lured: %s\n", name_of(status));
    return status ? 1 : cohort_process_join(process, COHORT_FOREVER);
}

static int seven(void *args) {
    (void)args;
    say("child\n");
    return 7;
}

static apr_status_t square(const void *input, void *output) {
    *(int *)output = *(const int *)input * *(const int *)input;
    return APR_SUCCESS;
}

/* The system knows of no child of this process, dead or alive. */
static const char *children(void) {
    return waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD ? "no child" : "a child";
}

static void start_process(cohort_start_method_t method) {
    cohort_process_t *process;
    apr_status_t status = cohort_process_create(
        &process, seven, NULL, 0, &(cohort_process_options_t){.method = method}, NULL);
    if (!status) status = cohort_process_start(process);
    if (status) {
        say("process: %s, %s\n", name_of(status), children());
        return;
    }
    status = cohort_process_join(process, COHORT_FOREVER);
    say("process: %s, ended with %d\n", name_of(status), cohort_process_exit_code(process));
}

static void start_pool(cohort_start_method_t method) {
    cohort_pool_t *pool;
    int in[10] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, out[10] = {0};
    apr_status_t status =
        cohort_pool_create(&pool, &(cohort_pool_options_t){.workers = 2, .method = method}, NULL);
    if (status) {
        say("pool: %s, %s\n", name_of(status), children());
        return;
    }
    status = COHORT_MAP(pool, square, in, 10, out);
    say("pool: %s, %d\n", name_of(status), out[9]);
    cohort_pool_destroy(pool);
}

static cohort_start_method_t method_of(const char *name) {
    if (!strcmp(name, "fork")) return COHORT_START_FORK;
    if (!strcmp(name, "spawn")) return COHORT_START_SPAWN;
    return strcmp(name, "forkserver") ? COHORT_START_DEFAULT : COHORT_START_FORKSERVER;
}

/* By a name that is found on PATH. */
static void start_program(void) {
    cohort_process_t *process;
    cohort_program_t program = {.argv = (const char *const[]){"true", NULL}};
    apr_status_t status = cohort_process_create_program(&process, &program, NULL, NULL);
    if (!status) status = cohort_process_start(process);
    if (!status) status = cohort_process_join(process, COHORT_FOREVER);
    say("program: %s\n", name_of(status));
}

static int start(cohort_start_method_t method) {
    say("method: %s\n", name_of(cohort_set_start_method(method, NULL)));
    start_process(method);
    start_pool(method);
    start_program();
    return 0;
}

int main(int argc, char **argv) {
    say("main\n");
    apr_status_t status = cohort_initialize(NULL);
    if (status) say("initialize: %s\n", name_of(status));
    if (status || argc != 3) return 3;
    if (cohort_gift_count()) say("gifts\n");
    if (!strcmp(argv[1], "lure")) return lure(argv[2]);
    if (!strcmp(argv[1], "drop") && (setgid(getgid()) || setuid(getuid()))) return 4;
    return start(method_of(argv[2]));
}
