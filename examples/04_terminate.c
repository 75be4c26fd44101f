/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * 04: Look at a process before, during and after its life, and end it early.
 *
 * An exit code below zero is the number of the signal that ended the process, on every system: -15
 * after terminate, -9 after kill.
 */
#include "check.h"

static int sleep_for_an_hour(void *args) {
    (void)args;
    for (int i = 0; i < 3600; i++) apr_sleep(apr_time_from_sec(1));
    return 0;
}

static void show(const char *when, cohort_process_t *process) {
    int code = cohort_process_exit_code(process);
    printf("%s: alive %d, exit code ", when, cohort_process_is_alive(process));
    if (code == COHORT_EXIT_NONE) {
        printf("none yet\n");
    } else {
        printf("%d\n", code);
    }
}

int main(void) {
    cohort_process_t *process;
    check(cohort_initialize(NULL), "cohort_initialize");

    check(cohort_process_create(&process, sleep_for_an_hour, NULL, 0, NULL, NULL), "create");
    show("before", process);
    check(cohort_process_start(process), "start");
    show("during", process);
    /* it goes on */
    if (!APR_STATUS_IS_TIMEUP(cohort_process_join(process, apr_time_from_msec(50)))) return 1;

    check(cohort_process_terminate(process), "terminate");
    check(cohort_process_join(process, COHORT_FOREVER), "join");
    show("after", process);
    return 0;
}
