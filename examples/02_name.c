/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * 02: A process with a name, and one that gets the default name.
 *
 * The name is what ps, top and error messages show. Processes without one are counted: Process-1,
 * Process-2, ...
 */
#include "check.h"

static int work(void *args) {
    char name[64];
    (void)args;
    check(cohort_process_name(cohort_process_current(), name, sizeof name), "name");
    printf("starting %s\n", name);
    apr_sleep(apr_time_from_msec(50));
    printf("exiting %s\n", name);
    return 0;
}

int main(void) {
    cohort_process_options_t options = {.name = "work process"};
    cohort_process_t *named, *unnamed;
    check(cohort_initialize(NULL), "cohort_initialize");

    check(cohort_process_launch(&named, work, NULL, 0, &options, NULL), "launch");
    check(cohort_process_launch(&unnamed, work, NULL, 0, NULL, NULL), "launch");

    check(cohort_process_join(named, COHORT_FOREVER), "join");
    check(cohort_process_join(unnamed, COHORT_FOREVER), "join");
    return cohort_process_exit_code(named) || cohort_process_exit_code(unnamed);
}
