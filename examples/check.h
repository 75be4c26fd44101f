/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What the examples do when a call fails: say which one and why, and give up. */
#ifndef COHORT_EXAMPLES_CHECK_H
#define COHORT_EXAMPLES_CHECK_H

#include <cohort/cohort.h>
#include <stdio.h>

static inline void check(apr_status_t status, const char *what) {
    char text[120];
    if (status == APR_SUCCESS) return;
    fprintf(stderr, "%s: %s\n", what, cohort_strerror(status, text, sizeof text));
    cohort_exit(1);
}

#endif
