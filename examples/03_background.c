/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * 03: What becomes of children when main() returns.
 *
 * A foreground process (the default) is joined first, so it finishes its count. A daemon is ended,
 * so this one never gets to its last line; it would end as well if its parent were killed.
 */
#include "check.h"

static int count(void *args) {
    (void)args;
    for (int i = 0; i < 5; i++) {
        printf("foreground: %d\n", i);
        apr_sleep(apr_time_from_msec(20));
    }
    printf("foreground: finished\n");
    return 0;
}

static int count_slowly(void *args) {
    cohort_event_t *counting = *(cohort_event_t **)args;
    printf("daemon: counting\n");
    fflush(stdout); /* a process that is ended from outside flushes nothing */
    check(cohort_event_set(counting), "set");
    for (int i = 0; i < 3600; i++) apr_sleep(apr_time_from_sec(1));
    printf("daemon: finished\n");
    return 0;
}

int main(void) {
    cohort_process_options_t options = {.name = "daemon", .lifetime = COHORT_LIFETIME_DAEMON};
    cohort_process_t *foreground, *daemon;
    cohort_event_t *counting;
    check(cohort_initialize(NULL), "cohort_initialize");

    /* A pointer to any object of Cohort means the same in every process. */
    check(cohort_event_create(&counting, NULL), "event");
    check(cohort_process_launch(&daemon, count_slowly, &counting, sizeof counting, &options, NULL),
          "launch");
    check(cohort_process_launch(&foreground, count, NULL, 0, NULL, NULL), "launch");

    check(cohort_event_wait(counting, COHORT_FOREVER), "wait");
    printf("main: returns\n");
    return 0;
}
