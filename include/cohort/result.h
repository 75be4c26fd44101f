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
    /** What the task returned, COHORT_EWORKERDIED, COHORT_ECANCELLED or COHORT_EDEADLINE.
     * APR_SUCCESS: nothing failed. */
    apr_status_t status;
    const char *message;     /**< From cohort_task_fail(), or a description of the status. */
    apr_size_t message_size; /**< Its length without the terminating zero. */
    apr_size_t index;        /**< The task's index in the inputs; of a range its first item's. */
    const char *worker;      /**< The name of the worker that ran it; "" when none has. */
    apr_int64_t pid;         /**< And its process id; 0 when it is not known. */
    int exit_code;           /**< COHORT_EXIT_NONE unless the worker died: then how it ended. */
    apr_size_t attempt;      /**< 1 when the first attempt failed it. */
    /** Items that failed with it: 1, or those of a range, from `index` on. 0 when `index` says
     * nothing, since no task has failed. */
    apr_size_t count;
    const char *file;     /**< Of the call of cohort_task_fail(); "" when there was none. */
    const char *function; /**< Likewise. */
    int line;             /**< Likewise; 0 when there was none. */
    /**
     * What the worker has said of its crash, if its pool's options have `crash_report`: lines of
     * text, the first as in "SIGSEGV at 0x10 in function work", which is in the message, too; then
     * a line for each function, from the one that crashed to the outermost, as "#1 0x55d0c0ffee42
     * in work+0x12 (program+0x1e42)". "" when the worker has not crashed, or could not say it.
     *
     * Names are there of what is exported, and of what is in the symbol table of a file that was
     * not stripped; functions that a compiler has made part of others are not told apart. Where the
     * system has no means to walk the stack (musl) only the first of the functions is there.
     */
    const char *crash;
    /** Written 0; a later version may tell more in it. */
    apr_uint64_t reserved[4];
} cohort_task_error_t;

/** Data of any size. As an input or output of a task: see COHORT_BYTES. */
typedef struct cohort_bytes_t {
    void *data;      /**< may be NULL with a size of 0 */
    apr_size_t size; /**< bytes at `data` */
} cohort_bytes_t;

/** How far an item is: one of the tasks of a job, with its input and output. DONE, FAILED and
 * CANCELLED are final, but for what cohort_result_item() says of a pool that was terminated. */
typedef enum cohort_item_state_t {
    COHORT_ITEM_QUEUED,  /**< no worker has begun it, or it is to be run again after a death */
    COHORT_ITEM_RUNNING, /**< a worker is at it */
    COHORT_ITEM_DONE,    /**< its task returned APR_SUCCESS */
    COHORT_ITEM_FAILED,  /**< its task returned something else, or its worker died */
    /** the work was ended before its task had returned, or was begun; or that returned
     * COHORT_ECANCELLED or COHORT_EDEADLINE, having been told */
    COHORT_ITEM_CANCELLED
} cohort_item_state_t;

/** An item, and what has come of it. */
typedef struct cohort_item_t {
    apr_size_t index;          /**< in the inputs of its job */
    cohort_item_state_t state; /**< how far it is */
    /** FAILED: what the task returned, or COHORT_EWORKERDIED. CANCELLED: why. Else APR_SUCCESS. */
    apr_status_t status;
    void *data;          /**< the output of an item that is DONE; NULL when there is none */
    apr_size_t size;     /**< bytes at `data` */
    apr_size_t capacity; /**< written 0 by cohort_result_item() */
    /** RUNNING: which attempt it is, from 1. FAILED: the one that failed it. QUEUED: attempts that
     * ended with a worker's death. Otherwise 0. */
    apr_size_t attempt;
    /** Written 0; a later version may tell more in it. */
    apr_uint64_t reserved[8];
} cohort_item_t;

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
 * Outputs with a size each (COHORT_BYTES) are not copied but handed over, all in one step: of
 * several calls, by whatever processes, exactly one gets each block, and the others get `{NULL, 0}`
 * for it.
 *
 * @param result  the result
 * @param outputs room for all outputs, or NULL: those of the cohort_job_t (if this process has
 *                submitted it) are filled. With COHORT_BYTES an array of cohort_bytes_t.
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
 *         when the output size is 0 or COHORT_BYTES (see cohort_result_item()), and for what is no
 *         live result
 */
COHORT_API void *cohort_result_outputs(const cohort_result_t *result);

/**
 * How far one item is, and its output where it is, without a copy. Never waits; at any time, also
 * while others run.
 *
 * A process that asks again and again notices the deaths of workers within 50 ms. An item that runs
 * when its pool is terminated is COHORT_ITEM_CANCELLED (COHORT_ETERMINATED) from then on; should
 * its task still return, before its worker has ended, it is done or failed after all.
 *
 * Python has this only as Future.done() and Future.running(), with an object for each item.
 *
 * @param result the result
 * @param index  of the item in the inputs of the job
 * @param item   receives what is known of it. `data` points into the result's own outputs, or into
 *               those of the job when they lie in the arena; it is valid until the result is
 *               destroyed. With COHORT_BYTES it is the item's block, valid until it is taken or
 *               handed over, and NULL from then on.
 * @return
 *  - APR_SUCCESS: `*item` is filled, whatever has become of the item
 *  - APR_EINVAL: the job has no such item; `item` is NULL
 *  - the common statuses of pool.h
 */
COHORT_API apr_status_t cohort_result_item(const cohort_result_t *result, apr_size_t index,
                                           cohort_item_t *item);

/**
 * Take the output of one item, with COHORT_BYTES as output size: the block is the caller's from the
 * return on, to be freed by cohort_free(). Never waits; at any time, also while others run.
 *
 * Of several calls, by whatever processes, one gets the block. If it is killed before it returns
 * the block is still there or freed.
 *
 * @param result the result
 * @param index  of the item in the inputs of the job
 * @param data   receives the block; NULL when the task has made no output
 * @param size   receives its bytes
 * @return
 *  - APR_SUCCESS: the output, or that there is none, is the caller's
 *  - APR_EAGAIN: the item is not done
 *  - the item's status (see cohort_item_t) when it has failed or was cancelled
 *  - COHORT_ENOTOWNER: it was taken before, or handed over by cohort_result_get()
 *  - APR_EINVAL: the job has no such item, or outputs of a fixed size; `data` or `size` is NULL
 *  - the common statuses of pool.h
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_result_take(cohort_result_t *result,
                                                            apr_size_t index, void **data,
                                                            apr_size_t *size);

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
 * All failed tasks, by index; a range is one of them.
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
 * Called when the work is done: see `on_success` of cohort_job_t, and
 * cohort_result_add_callback().
 *
 * @param result the result of the work
 * @param arg    what was given for it
 */
typedef void (*cohort_callback_t)(cohort_result_t *result, void *arg);

/**
 * Have a function called when the work is done, well or not; also one that is done already, and any
 * number of them for one result. Each is called once, in the calling process, by the thread that
 * calls its other callbacks (see cohort_job_t): those of one result in the order in which they were
 * added, after the callback of its job if this process has submitted it.
 *
 * What distinguishes them from the callback of the job: any process may add them, and threads that
 * wait for the result do not wait for them. cohort_pool_join() does, for those of its process. All
 * functions of this header work in a callback on its result; one that it adds is called after it.
 *
 * Destroying the result cancels those that were not called. So does the end of the calling process;
 * the death of another process does not.
 *
 * From Python's concurrent.futures.Future.add_done_callback(), which calls a function that comes
 * too late at once, in the thread that adds it.
 *
 * @param result   the result
 * @param callback the function
 * @param arg      passed to it; stays the caller's
 * @return
 *  - APR_SUCCESS: it will be called
 *  - APR_ENOMEM: no memory to note it
 *  - the system's reason why there is no thread for the callbacks
 *  - the common statuses of pool.h
 */
COHORT_API apr_status_t cohort_result_add_callback(cohort_result_t *result,
                                                   cohort_callback_t callback, void *arg);

/** How far a cancellation goes. */
typedef enum cohort_cancel_t {
    /** What has not begun is not begun any more. Tasks that run are told
     * (cohort_task_should_stop()) and end as they like. */
    COHORT_CANCEL_SOFT,
    /** The workers that run these tasks are ended, too, and replaced by the pool. */
    COHORT_CANCEL_HARD
} cohort_cancel_t;

/** What has become of a job. */
typedef enum cohort_result_state_t {
    COHORT_RESULT_NONE,      /**< What was asked after is no live result. */
    COHORT_RESULT_QUEUED,    /**< No worker has come to it. */
    COHORT_RESULT_RUNNING,   /**< One has, and not all its items have ended. */
    COHORT_RESULT_DONE,      /**< Ended; every item succeeded. */
    COHORT_RESULT_FAILED,    /**< Ended; an item failed, or the pool was terminated. */
    COHORT_RESULT_CANCELLED, /**< Ended; it was cancelled, or its time was over, before that. */
} cohort_result_state_t;

/**
 * Cancel a job, queued or running.
 *
 * Items that have ended keep their outputs and their statuses. All others end with
 * COHORT_ECANCELLED, but for the items that run: with COHORT_CANCEL_SOFT each of these ends with
 * what its task returns; with COHORT_CANCEL_HARD its worker is killed, and the item ends with
 * COHORT_ECANCELLED and is not run again, whatever the job's attempts are. The result is ready as
 * soon as no item runs any more. Other jobs lose nothing: should a worker that is killed have gone
 * on to an item of another job, that item is run again, and the attempt does not count.
 *
 * It may be called again: a hard cancellation can follow a soft one. A task that cancels its own
 * job hard ends with it.
 *
 * From Python's Future.cancel(), which cancels only what has not begun; pebble ends what runs.
 *
 * @param result the result; any process may cancel it
 * @param how    how far it goes
 * @return
 *  - APR_SUCCESS: nothing more of it begins; if all its items had ended, nothing has changed
 *  - APR_EINVAL: an unknown `how`
 *  - EPERM (as cohort_pool_terminate()): the job is cancelled, but this process may not end
 *    workers; those end after the items that they run
 *  - the common statuses of pool.h
 */
COHORT_API apr_status_t cohort_result_cancel(cohort_result_t *result, cohort_cancel_t how);

/**
 * Cancel one item of a job, queued or running; all others go on.
 *
 * An item that has not begun ends with COHORT_ECANCELLED when its turn comes, without being run. If
 * it runs, its task is told, or its worker ended, as with cohort_result_cancel(); an item that has
 * ended stays as it is. One that begins at that very moment is told, and with COHORT_CANCEL_HARD
 * ended when a thread waits for the result.
 *
 * @param result the result; any process may do that
 * @param index  of the item in the inputs
 * @param how    how far it goes, if the item runs
 * @return
 *  - APR_SUCCESS: the item is not begun any more; if it had ended, nothing has changed
 *  - APR_EINVAL: there is no such item; an unknown `how`; or the job is of ranges, and their items
 *    are not run one by one
 *  - APR_ENOMEM: the arena is full
 *  - EPERM: as cohort_result_cancel()
 *  - the common statuses of pool.h
 */
COHORT_API apr_status_t cohort_result_cancel_item(cohort_result_t *result, apr_size_t index,
                                                  cohort_cancel_t how);

/**
 * What has become of a job. Never waits.
 *
 * @param result the result
 * @return the state, which may have changed when the caller looks at it unless the job has ended;
 *         COHORT_RESULT_NONE for what is no live result
 */
COHORT_API cohort_result_state_t cohort_result_state(const cohort_result_t *result);

/**
 * Release a result and what was copied for it: inputs, outputs, context. Outputs with a size each
 * (COHORT_BYTES) that were neither taken nor handed over are freed.
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
