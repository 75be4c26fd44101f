/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A program with a cohort of its own. By the method that it is given it starts a function in the
 * background and one that ends with it, each of which starts two processes that leave its session
 * and lose their parent, a copy and another program; and a program in the background. It writes the
 * numbers of the seven processes, one a line, those in the background first, and waits.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <cohort/cohort.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    cohort_event_t *ready;
    long long numbers[3];
} told_t;

static void check(apr_status_t status) {
    if (status) exit(9);
}

static long long start_stray(int executes) {
    int ends[2];
    long long number = 0;
    check(pipe(ends));
    if (fork() == 0) {
        setsid();
        if (fork() != 0) _exit(0);
        number = getpid();
        if (write(ends[1], &number, sizeof number) != sizeof number) _exit(9);
        if (executes) execl(TEST_ACTOR, TEST_ACTOR, "wait", (char *)NULL);
        for (;;) pause();
    }
    check(read(ends[0], &number, sizeof number) != sizeof number);
    return number;
}

static _Noreturn int be_parent(void *args) {
    told_t *told = *(told_t **)args;
    told->numbers[0] = getpid();
    told->numbers[1] = start_stray(0);
    told->numbers[2] = start_stray(1);
    check(cohort_event_set(told->ready));
    for (;;) pause();
}

static void start_function(cohort_lifetime_t lifetime) {
    cohort_process_options_t options = {.lifetime = lifetime};
    cohort_process_t *process = NULL;
    void *told = NULL;
    check(cohort_alloc(&told, sizeof(told_t)));
    check(cohort_event_create(&((told_t *)told)->ready, NULL));
    check(cohort_process_launch(&process, be_parent, &told, sizeof told, &options, NULL));
    check(cohort_event_wait(((told_t *)told)->ready, COHORT_FOREVER));
    for (int i = 0; i < 3; i++) printf("%lld\n", ((told_t *)told)->numbers[i]);
}

static void start_program(void) {
    cohort_program_t program = {.argv = (const char *const[]){TEST_ACTOR, "wait", NULL}};
    cohort_process_options_t options = {.lifetime = COHORT_LIFETIME_BACKGROUND};
    cohort_process_t *process = NULL;
    check(cohort_process_launch_program(&process, &program, &options, NULL));
    printf("%lld\n", (long long)cohort_process_pid(process));
}

int main(int argc, char **argv) {
    const char *method = argc > 1 ? argv[1] : "";
    cohort_options_t options = {.method = !strcmp(method, "fork")    ? COHORT_START_FORK
                                          : !strcmp(method, "spawn") ? COHORT_START_SPAWN
                                                                     : COHORT_START_FORKSERVER};
    check(cohort_initialize(&options));
    setvbuf(stdout, NULL, _IONBF, 0); /* no copy has anything to write */
    start_function(COHORT_LIFETIME_BACKGROUND);
    start_program();
    start_function(COHORT_LIFETIME_DAEMON);
    for (;;) pause();
}
