/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/**
 * @file completed.h
 * Results in the order in which they end. Python's concurrent.futures.as_completed().
 *
 *     cohort_completed_t *completed;
 *     cohort_result_t *result;
 *     apr_size_t index;
 *     cohort_completed_create(&completed, results, n, pool);
 *     while (cohort_completed_next(completed, &result, &index, COHORT_FOREVER) == APR_SUCCESS) {
 *         ...
 *     }
 *
 * Each result that was added is given once, when it is ready as cohort_result_wait() has it. The
 * cost is that of the results that end, however many are waited for: no call looks at all of them
 * (but about four times in a second of waiting, and after a death).
 *
 * Any process of the cohort may do that with any results, and any number of them with the same
 * results at the same time: an iterator is memory of its process and takes nothing from the
 * results.
 *
 * Thread safety: one thread at a time uses an iterator; different ones may be used at the same
 * time. None of these functions may be called from a signal handler.
 *
 * The common statuses, which any function may return to which they can apply, are those of pool.h.
 */
#ifndef COHORT_COMPLETED_H
#define COHORT_COMPLETED_H

#include <cohort/result.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Results of which the next one to end is waited for; of one process. */
typedef struct cohort_completed_t cohort_completed_t;

/**
 * Make an iterator over results.
 *
 * @param completed receives it, only on success; it lives as long as `pool`
 * @param results   an array of n results, which is not needed afterwards; NULL when n is 0
 * @param n         their number
 * @param pool      not NULL
 * @return
 *  - APR_SUCCESS
 *  - COHORT_EHANDLE: one of them is no live result; cohort_last_error() says which
 *  - the common statuses of pool.h
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_completed_create(cohort_completed_t **completed,
                                                                 cohort_result_t *const *results,
                                                                 apr_size_t n, apr_pool_t *pool);

/**
 * Add a result, also while others are waited for: work that follows from work. One that is waited
 * for already is not added again.
 *
 * @param completed the iterator
 * @param result    the result, ready or not
 * @return APR_SUCCESS, or one of the common statuses of pool.h
 */
COHORT_API apr_status_t cohort_completed_add(cohort_completed_t *completed,
                                             cohort_result_t *result);

/**
 * Wait for the next result that ends.
 *
 * Results that were ready when they were added come first, as they were added, and then all others
 * in the order in which they became ready. A result that is destroyed has ended by that: it is
 * given too, and cohort_result_state() says COHORT_RESULT_NONE of it.
 *
 * @param completed the iterator
 * @param result    receives the result; may be NULL
 * @param index     receives how many were added before it; may be NULL
 * @param timeout   microseconds (see types.h)
 * @return
 *  - APR_SUCCESS: it has ended, well or not
 *  - APR_EOF: all that were added have been given; another may be added
 *  - APR_EAGAIN: none has ended, and `timeout` <= 0
 *  - APR_TIMEUP: none has, within the time
 *  - the common statuses of pool.h
 */
COHORT_API apr_status_t cohort_completed_next(cohort_completed_t *completed,
                                              cohort_result_t **result, apr_size_t *index,
                                              apr_interval_time_t timeout);

#ifdef __cplusplus
}
#endif

#endif
