/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Events by which the processes of a case wait for each other; they outlive the case's pool. */
#ifndef COHORT_TESTS_EVENTS_H
#define COHORT_TESTS_EVENTS_H

#include "parties.h"

static inline cohort_event_t *new_event(void) {
    cohort_event_t *event = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_event_create(&event, NULL));
    return event;
}

static inline void await_event(cohort_event_t *event) {
    CHECK_STATUS(APR_SUCCESS, cohort_event_wait(event, COHORT_FOREVER));
}

static inline void set_event(cohort_event_t *event) {
    CHECK_STATUS(APR_SUCCESS, cohort_event_set(event));
}

#endif
