/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What single words of jobs and workers say, for pool.h. */
#ifndef COHORT_CORE_POOL_WORDS_H
#define COHORT_CORE_POOL_WORDS_H

#include "core/base/bits.h"

#include <apr_errno.h>
#include <cohort/errors.h>

/* The state of a job: 0, or how it has ended and its status. */
typedef enum { COHORT__JOB_DONE = 1, COHORT__JOB_ABANDONED } cohort__job_end_t;

static inline uint64_t cohort__job_state(cohort__job_end_t end, apr_status_t status) {
    return (uint64_t)end << 32 | (uint32_t)status;
}
static inline cohort__job_end_t cohort__job_state_end(uint64_t state) {
    return (cohort__job_end_t)(state >> 32);
}
static inline apr_status_t cohort__job_state_status(uint64_t state) {
    return (apr_status_t)(uint32_t)state;
}

/* The first item of a job that has failed, and its status; 0: none has. */
static inline uint64_t cohort__first_failed(uint64_t index, apr_status_t status) {
    return (index + 1) << 32 | (uint32_t)status;
}
static inline uint64_t cohort__first_failed_index(uint64_t first) { return (first >> 32) - 1; }
static inline apr_status_t cohort__first_failed_status(uint64_t first) {
    return (apr_status_t)(uint32_t)first;
}

/* Why items end that were not run to their ends. */
typedef enum {
    COHORT__WHY_NONE,
    COHORT__WHY_CANCELLED, /* COHORT_ECANCELLED */
    COHORT__WHY_DEADLINE   /* COHORT_EDEADLINE */
} cohort__why_t;

static inline apr_status_t cohort__why_status(uint64_t why) {
    return why == COHORT__WHY_NONE       ? APR_SUCCESS
           : why == COHORT__WHY_DEADLINE ? COHORT_EDEADLINE
                                         : COHORT_ECANCELLED;
}

/* How far a cancellation goes; each of these includes those before it. */
typedef enum {
    COHORT__CANCEL_WAITING, /* items that do not run */
    COHORT__CANCEL_TELL,    /* and those that run are told */
    COHORT__CANCEL_END      /* and their workers are ended */
} cohort__cancel_level_t;

/* The word of a job that says it: why its waiting items end:2, why its running items are told or
 * ended:2, they are ended:1, an item has been ended by it:1; and single items are to be ended:1.
 * Bits are set once, by the first. */
enum { COHORT__CANCEL_ENDS = 1 << 4, COHORT__CANCEL_HAS = 1 << 5, COHORT__CANCEL_ITEMS = 1 << 6 };
static inline cohort__why_t cohort__cancel_waiting(uint32_t word) {
    return (cohort__why_t)(word & 3);
}
static inline uint32_t cohort__cancel_running_for(cohort__why_t why) { return (uint32_t)why << 2; }
static inline cohort__why_t cohort__cancel_running(uint32_t word) {
    return (cohort__why_t)(word >> 2 & 3);
}

/* The progress of a worker: its item, and whether that runs. */
static inline uint64_t cohort__progress(uint64_t item, bool runs) { return item << 1 | runs; }
static inline uint64_t cohort__progress_item(uint64_t progress) { return progress >> 1; }
static inline bool cohort__progress_runs(uint64_t progress) { return progress & 1; }

#endif
