/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/**
 * @file wait.h
 * Wait for any or all of several processes and results.
 */
#ifndef COHORT_WAIT_H
#define COHORT_WAIT_H

#include <cohort/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** One thing to wait for: a process (ready when it has ended) or a result (ready when it is done).
 * Set one of the two.
 */
typedef struct {
    cohort_process_t *process;
    cohort_result_t *result;
    int ready; /**< Set by cohort_wait(): 1 or 0. */
} cohort_waitable_t;

typedef enum {
    COHORT_WAIT_ANY, /**< until at least one is ready */
    COHORT_WAIT_ALL  /**< until every one is */
} cohort_wait_mode_t;

/**
 * Wait for any number of items.
 *
 * @param items   their `ready` flags say on return which of them are ready, whatever is returned
 *     except for errors
 * @param n       their number; with 0 it succeeds at once
 *
 * APR_SUCCESS: one (ANY) or all (ALL) are ready; APR_EAGAIN, APR_TIMEUP: not, within the time;
 * APR_EINVAL: an item with none or both set, or a mode that is none; COHORT_EHANDLE: an item is no
 * live object; COHORT_ENOTSTARTED: a process that was never started; COHORT_ENOWAIT: the calling
 * process itself; APR_ENOMEM: for more than 32 items. A result that is destroyed during the wait is
 * ready (the next call on it is COHORT_EHANDLE).
 *
 * An item that is ready stays ready: leave it out of the next call, as after Python's
 * multiprocessing.connection.wait(), which this resembles (Win32: WaitForMultipleObjects(), without
 * its limit of 64). Any process and thread may wait. Not async-signal-safe.
 */
COHORT_API apr_status_t cohort_wait(cohort_waitable_t *items, apr_size_t n, cohort_wait_mode_t mode,
                                    apr_interval_time_t timeout);

#ifdef __cplusplus
}
#endif

#endif
