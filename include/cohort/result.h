/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/**
 * @file result.h
 * What comes of work that was given to a pool (cohort_pool_submit()): waited for, collected, and
 * what failed. Python's AsyncResult.
 *
 * Thread safety: every function of this header may be called by any thread of any process of the
 * cohort at the same time as any other, unless it says otherwise; none may be called from a signal
 * handler.
 *
 * The common statuses, which any function may return to which they can apply, are those of pool.h.
 */
#ifndef COHORT_RESULT_H
#define COHORT_RESULT_H

#include <cohort/errors.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Why a task failed. The strings live as long as the result. */
typedef struct cohort_task_error_t {
    /** What the task returned, or COHORT_EWORKERDIED. APR_SUCCESS: nothing failed. */
    apr_status_t status;
    const char *message;     /**< From cohort_task_fail(), or a description of the status. */
    apr_size_t message_size; /**< Its length without the terminating zero. */
    apr_size_t index;        /**< The task's index in the inputs. */
    const char *worker;      /**< The name of the worker that ran it. */
    apr_int64_t pid;         /**< And its process id; 0 when it is not known. */
    int exit_code;           /**< COHORT_EXIT_NONE unless the worker died: then how it ended. */
    apr_size_t attempt;      /**< 1 when the first attempt failed it. */
    /** Written 0; a later version may tell more in it. */
    apr_uint64_t reserved[8];
} cohort_task_error_t;

/**
 * Wait until the work is done, well or not.
 *
 * A result is ready, too, when its pool has been terminated, or when the process that made the pool
 * is dead.
 *
 * @param result  the result; any process may wait for it
 * @param timeout microseconds (see types.h)
 * @return
 *  - APR_SUCCESS: it is done
 *  - APR_EAGAIN: it is not, and `timeout` <= 0
 *  - APR_TIMEUP: it is not, within the time
 *  - the common statuses of pool.h
 */
COHORT_API apr_status_t cohort_result_wait(cohort_result_t *result, apr_interval_time_t timeout);

/**
 * Is it done? Never waits. Deaths that make it ready are noticed within 50 ms by a process that
 * asks again and again.
 *
 * @param result the result
 * @return 1 or 0; 1 also for what is no live result
 */
COHORT_API int cohort_result_is_ready(const cohort_result_t *result);

/**
 * Is it done, and did every task succeed?
 *
 * @param result the result
 * @return 1 or 0; 0 also while it is not done (Python raises ValueError), and for what is no live
 *         result
 */
COHORT_API int cohort_result_is_successful(const cohort_result_t *result);

/**
 * Wait, and copy the outputs. May be called again.
 *
 * @param result  the result
 * @param outputs room for all outputs, or NULL: those of the cohort_job_t (if this process has
 *                submitted it) are filled
 * @param size    bytes at `outputs`; of no meaning with NULL
 * @param timeout microseconds (see types.h)
 * @return
 *  - APR_SUCCESS: every task succeeded
 *  - the status of the failed task with the lowest index (see cohort_pool_run()); the other outputs
 *    are copied all the same
 *  - COHORT_ETERMINATED, or the status of a start that failed: the work was ended, nothing is
 *    copied
 *  - APR_EAGAIN: not ready, and `timeout` <= 0
 *  - APR_TIMEUP: not ready within the time
 *  - COHORT_ETOOSMALL: `size` is less than all outputs; nothing was waited for
 *  - the common statuses of pool.h
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_result_get(cohort_result_t *result, void *outputs,
                                                           apr_size_t size,
                                                           apr_interval_time_t timeout);

/**
 * The outputs where they are, without a copy. Complete when the result is ready.
 *
 * @param result the result
 * @return their address in the arena, valid in every process until the result is destroyed; NULL
 *         when the output size is 0, and for what is no live result
 */
COHORT_API void *cohort_result_outputs(const cohort_result_t *result);

/**
 * The failed task with the lowest index.
 *
 * @param result the result
 * @param error  receives what failed; error->status is APR_SUCCESS when nothing did. When the work
 *               was ended before it was done, the status says so. If that is because no worker
 *               could be started, message, worker, pid and exit code are those of the last start
 *               that failed; if the pool was terminated (COHORT_ETERMINATED) the rest is empty.
 * @return
 *  - APR_SUCCESS: it is done, and `*error` is filled
 *  - APR_EAGAIN: not ready
 *  - the common statuses of pool.h
 */
COHORT_API apr_status_t cohort_result_error(const cohort_result_t *result,
                                            cohort_task_error_t *error);

/**
 * All failed tasks, by index.
 *
 * @param result the result
 * @param errors receives an array of pointers in `pool` (NULL when n is 0); what they point at
 *               lives as long as `pool`, and its strings as long as the result
 * @param n      receives their number
 * @param pool   not NULL
 * @return
 *  - APR_SUCCESS: it is done
 *  - APR_EAGAIN: not ready
 *  - the common statuses of pool.h
 */
COHORT_API apr_status_t cohort_result_errors(const cohort_result_t *result,
                                             cohort_task_error_t ***errors, apr_size_t *n,
                                             apr_pool_t *pool);

/**
 * Release a result and what was copied for it: inputs, outputs, context.
 *
 * What is not done yet is not begun any more, but a task that runs is not interrupted: it may write
 * into outputs in the arena for as long as it runs. The result works on when its pool is destroyed,
 * and is not released by that.
 *
 * @param result the result; NULL and destroyed results are fine
 * @return APR_SUCCESS, or one of the common statuses of pool.h
 */
COHORT_API apr_status_t cohort_result_destroy(cohort_result_t *result);

#ifdef __cplusplus
}
#endif

#endif
