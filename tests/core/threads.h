/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What the white-box tests share: the calling thread's record, and a deadline. */
#ifndef COHORT_TESTS_CORE_THREADS_H
#define COHORT_TESTS_CORE_THREADS_H

#include "../api/parties.h"

#include "core/memory/arena.h"

static inline cohort__thread_t *enter(void) {
    cohort__thread_t *me = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort__enter(&me));
    return me;
}

/* For waits that are to run out. */
static inline int64_t soon(void) { return cohort__deadline(30000); }

#endif
