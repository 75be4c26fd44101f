/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/**
 * @file wait.h
 * Wait for any or all of several processes and results.
 *
 * Thread safety: cohort_wait() may be called by any thread of any process of the cohort at the same
 * time as anything else, not from a signal handler. Its items are the caller's: no other thread may
 * use them meanwhile.
 */
#ifndef COHORT_WAIT_H
#define COHORT_WAIT_H

#include <cohort/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** One thing to wait for; set one of the first two members. */
typedef struct cohort_waitable_t {
    cohort_process_t *process; /**< Ready when it has ended. NULL: see `result`. */
    cohort_result_t *result;   /**< Ready when it is done. NULL: see `process`. */
    int ready;                 /**< Set by cohort_wait(): 1 or 0. */
} cohort_waitable_t;

/** How many of the items to wait for. */
typedef enum {
    COHORT_WAIT_ANY, /**< until at least one is ready */
    COHORT_WAIT_ALL  /**< until every one is */
} cohort_wait_mode_t;

/**
 * Wait for any number of items.
 *
 * An item that is ready stays ready: leave it out of the next call, as after Python's
 * multiprocessing.connection.wait(), which this resembles (Win32: WaitForMultipleObjects(), without
 * its limit of 64). A result that is destroyed during the wait is ready (the next call on it is
 * COHORT_EHANDLE).
 *
 * @param items   their `ready` flags say on return which of them are ready, with APR_SUCCESS,
 *                APR_EAGAIN and APR_TIMEUP; may be NULL when `n` is 0
 * @param n       their number; with 0 it succeeds at once
 * @param mode    for any of them, or for all
 * @param timeout microseconds (see types.h)
 * @return
 *  - APR_SUCCESS: one (ANY) or all (ALL) are ready
 *  - APR_EAGAIN: they are not, and `timeout` <= 0
 *  - APR_TIMEUP: they were not, within the time
 *  - APR_EINVAL: `items` is NULL, an item has none or both set, or the mode is none
 *  - COHORT_EHANDLE: an item is no live object
 *  - COHORT_ENOTSTARTED: a process was never started
 *  - COHORT_ENOWAIT: an item is the calling process itself
 *  - APR_ENOMEM: no memory for more than 32 items
 *  - COHORT_ENOTINIT: cohort_initialize() has not been called
 *  - COHORT_ENOTMEMBER: called in a raw fork() copy
 *  - COHORT_ELIMIT: the cohort has too many threads
 */
COHORT_API apr_status_t cohort_wait(cohort_waitable_t *items, apr_size_t n, cohort_wait_mode_t mode,
                                    apr_interval_time_t timeout);

#ifdef __cplusplus
}
#endif

#endif
