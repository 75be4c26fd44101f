/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/**
 * @file wait.h
 * Wait for any or all of several things: processes and results, of any number and mixed.
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

/**
 * What one can wait for: bits of `wanted` and `ready`. Which of them a type has:
 *
 * | type | conditions | when `wanted` is 0 |
 * | --- | --- | --- |
 * | process | COHORT_READY_END | COHORT_READY_END |
 * | result | COHORT_READY_END | COHORT_READY_END |
 *
 * To wait for anything else is APR_ENOTIMPL; later versions have more of it.
 */
typedef enum {
    COHORT_READY_END = 1, /**< The process has ended; the result is done. */
    COHORT_READY_IN = 2,  /**< There is something to get. */
    COHORT_READY_OUT = 4, /**< There is room to put something. */
    COHORT_READY_GONE = 8 /**< The other side is gone; it is closed, or broken. */
} cohort_ready_t;

/**
 * One thing to wait for. Zero means the default for all but `object`:
 *
 *     cohort_waitable_t items[] = {{.object = process}, {.object = result}};
 */
typedef struct cohort_waitable_t {
    void *object;             /**< A process, a result, or an object of another type. */
    unsigned wanted;          /**< Bits of cohort_ready_t; 0: what one usually waits for. */
    unsigned ready;           /**< Set by cohort_wait(): those of them that were seen; or 0. */
    apr_uint64_t reserved[2]; /**< All 0; else COHORT_EOPTION. */
} cohort_waitable_t;

/** How many of the items to wait for. */
typedef enum {
    COHORT_WAIT_ANY, /**< until at least one is ready */
    COHORT_WAIT_ALL  /**< until every one is */
} cohort_wait_mode_t;

/**
 * Wait for any number of items, of any types. An item is ready when one of the conditions that are
 * wanted of it holds.
 *
 * What has ended or is done stays ready: leave it out of the next call, as after Python's
 * multiprocessing.connection.wait(), which this resembles (Win32: WaitForMultipleObjects(), without
 * its limit of 64). What is destroyed during the wait is ready, with all that was wanted of it (the
 * next call on it is COHORT_EHANDLE), whatever is made at the same address meanwhile. The same
 * thing may be in several items; they say the same of it.
 *
 * Up to 32 items are waited for without an allocation of memory.
 *
 * @param items   their `ready` say on return which of them are ready, with APR_SUCCESS,
 *                APR_EAGAIN and APR_TIMEUP; may be NULL when `n` is 0
 * @param n       their number; with 0 it succeeds at once
 * @param mode    for any of them, or for all
 * @param timeout microseconds (see types.h)
 * @return
 *  - APR_SUCCESS: one (ANY) or all (ALL) are ready
 *  - APR_EAGAIN: they are not, and `timeout` <= 0
 *  - APR_TIMEUP: they were not, within the time
 *  - APR_EINVAL: `items` or the `object` of an item is NULL, or the mode is none
 *  - APR_ENOTIMPL: nothing waits for things of this type, or for this condition of them;
 *    cohort_last_error() names the item, what it is, and the condition
 *  - COHORT_EOPTION: `wanted` has a bit that this version does not know, or a word of `reserved`
 *    is not 0
 *  - COHORT_EHANDLE: an `object` is no live object
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
