/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What the tests of processes share: what they give to their children, and children that wait. */
#ifndef COHORT_TESTS_PROCESSES_H
#define COHORT_TESTS_PROCESSES_H

#include "events.h"

typedef struct {
    cohort_process_t *parent, *other;
    cohort_event_t *go, *there;
    cohort_connection_t *in, *out;
    cohort_lock_t *lock;
    char *text;
    int number;
    apr_int64_t *pid;
} args_t;

static inline cohort_process_t *make(cohort_target_t target, const void *args, apr_size_t size,
                                     const cohort_process_options_t *options) {
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_process_create(&process, target, args, size, options, NULL));
    return process;
}

static inline int give_number(void *args) { return *(int *)args; }

static inline int wait_for_go(void *data) {
    args_t *a = data;
    if (a->there) CHECK_STATUS(APR_SUCCESS, cohort_event_set(a->there));
    CHECK_STATUS(APR_SUCCESS, cohort_event_wait(a->go, COHORT_FOREVER));
    return 0;
}

#endif
