/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * 01: Five processes run the same function, each with a number of its own.
 *
 * A target is an ordinary function. It gets a copy of the argument bytes and returns the exit code.
 * All five run at the same time, so their lines may come in any order.
 */
#include "check.h"

static int work(void *args) {
    printf("called work in process %d\n", *(int *)args);
    return 0;
}

int main(void) {
    cohort_process_t *processes[5];
    /* always first: in a child it does not return */
    check(cohort_initialize(NULL), "cohort_initialize");

    for (int i = 0; i < 5; i++) {
        check(cohort_process_launch(&processes[i], work, &i, sizeof i, NULL, NULL), "launch");
    }
    for (int i = 0; i < 5; i++) {
        check(cohort_process_join(processes[i], COHORT_FOREVER), "join");
        printf("joined process %d, exit code %d\n", i, cohort_process_exit_code(processes[i]));
        check(cohort_process_destroy(processes[i]), "close");
    }
    return 0;
}
