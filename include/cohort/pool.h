/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/**
 * @file pool.h
 * Pools of worker processes. A pool runs tasks (ordinary functions) on inputs that the caller has
 * in memory, in parallel and in processes of their own, so that a task that crashes takes no other
 * with it.
 *
 *     static apr_status_t square(const void *input, void *output) {
 *         int x = *(const int *)input;
 *         *(int *)output = x * x;
 *         return APR_SUCCESS;
 *     }
 *     ...
 *     cohort_pool_create(&workers, NULL, pool);
 *     cohort_pool_map(workers, square, in, sizeof *in, 100, out, sizeof *out, NULL);
 *
 * What a user can rely on:
 *  - Each task of a map yields exactly one result. A worker that dies while it runs a task, however
 *    it dies, fails that task alone (COHORT_EWORKERDIED, with the worker's name, pid and exit
 *    code), or has it run again if the options say so; the worker is replaced, and everything else
 *    goes on.
 *  - Inputs that lie in the arena (cohort_alloc()) are not copied, and outputs that lie there are
 *    written in place. Other memory works too: inputs are copied once when the work is submitted,
 *    outputs once when it is done.
 *  - Any process of the cohort may submit work, and wait for any result: the handles are valid
 *    everywhere.
 *
 * The shape follows Python's multiprocessing.Pool; differences are noted at the functions.
 *
 * Thread safety: every function of this header may be called by any thread of any process of the
 * cohort at the same time as any other, unless it says otherwise; none may be called from a signal
 * handler.
 *
 * The common statuses, which any function may return to which they can apply:
 *  - COHORT_ENOTINIT: this process has not called cohort_initialize()
 *  - COHORT_ENOTMEMBER: this process is a raw fork() copy
 *  - COHORT_EHANDLE: the pointer is no live pool, or no live result; waits in progress end with it
 *    when the result is destroyed, by whatever thread or process
 *  - COHORT_ELIMIT: the cohort has too many threads
 *  - APR_EINVAL: NULL where something is needed
 */
#ifndef COHORT_POOL_H
#define COHORT_POOL_H

#include <cohort/process.h>
#include <cohort/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * A task. Runs in the main thread of a worker process.
 *
 * A task may use everything of Cohort. A blocking cohort_pool_map() or cohort_pool_apply() on its
 * own pool needs another worker that is free, as in Python.
 *
 * @param input  one element of the inputs, `input_size` bytes, aligned as the array elements are;
 *               NULL when the input size is 0. Do not write to it.
 * @param output where its output goes, `output_size` bytes, aligned as the array elements are; NULL
 *               when the output size is 0
 * @return APR_SUCCESS, or any status: the task has failed then, and says more with
 *         cohort_task_fail() if it likes
 */
typedef apr_status_t (*cohort_task_t)(const void *input, void *output);

/**
 * An initializer. Runs once in each worker, also in those that replace others, before its first
 * task.
 *
 * @param args the worker's own copy of the arguments in the pool's options, for the worker's life;
 *             NULL when there are none
 * @return APR_SUCCESS. Anything else ends the worker: its start has failed then; cohort_task_fail()
 *         may say why. What follows from that is said at cohort_pool_create().
 */
typedef apr_status_t (*cohort_initializer_t)(void *args);

/** How to make a pool. Zero means the default everywhere. */
typedef struct cohort_pool_options_t {
    /** Number of workers; 0: one for each CPU that this process may use (cohort_cpu_count()). */
    apr_size_t workers;
    /** The workers are named `"<name>-1"`, `"<name>-2"`, ... The default is `"Pool-<n>"`, counted
     * in the process that makes it. Copied; at most 50 bytes. */
    const char *name;
    /** NULL: none. */
    cohort_initializer_t initializer;
    /** What the initializer gets: `init_size` bytes, copied when the pool is made. With size 0 it
     * gets NULL. */
    const void *init_args;
    apr_size_t init_size; /**< bytes at `init_args` */
    /** How the workers are started. */
    cohort_start_method_t method;
    /** How often a task is run in all when its worker dies under it: 0 and 1 mean once, and more
     * than 8000 mean 8000 times. A task that returns an error is not run again. */
    apr_size_t attempts;
    /** What signals do in the workers; default: as in any process, and SIGINT is ignored. */
    cohort_signals_t signals;
    /** The process group of each worker. */
    cohort_group_t group;
    apr_uint64_t reserved[8]; /**< all 0; else COHORT_EOPTION */
} cohort_pool_options_t;

/**
 * Called in the process that submitted, when the work is done. See cohort_map_options_t.
 *
 * @param result the result of the work
 * @param arg    what the options have as `callback_arg`
 */
typedef void (*cohort_callback_t)(cohort_result_t *result, void *arg);

/** How to run a map. Zero means the default everywhere. */
typedef struct cohort_map_options_t {
    /** Items that a worker takes at once; 0: items / (4 * workers), at least 1, as in Python. */
    apr_size_t chunk;
    /**
     * Called when every task succeeded.
     *
     * For the `_async` functions only. Exactly one of the two callbacks is called, once: on_success
     * when every task succeeded, on_error otherwise (a pool that was terminated included). It runs
     * in a thread of the submitting process that Cohort starts for this and that all callbacks of
     * the process share, so one that takes long delays the others. The result counts as ready only
     * when its callback has returned, so that a thread that waited for it sees what the callback
     * did (as in Python); within the callback every `cohort_result_` function works on it,
     * cohort_result_destroy() too. Destroying the result earlier cancels the callback.
     */
    cohort_callback_t on_success;
    cohort_callback_t on_error; /**< Called otherwise; see `on_success`. */
    void *callback_arg;         /**< Passed to both; stays the caller's. */
} cohort_map_options_t;

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
} cohort_task_error_t;

/**
 * Make a pool and start its workers.
 *
 * They are daemons of the calling process (they end when it ends, in whatever way), ignore
 * interrupts from the terminal (Ctrl-C goes to the root, which decides), and run until the pool is
 * closed or terminated.
 *
 * It does not wait for the initializers. Later a start may fail: no process can be made, the
 * initializer fails, or the worker ends before it could take work. Starts that fail are repeated,
 * 10 ms after the first failure, and a second apart in the end, for as long as the pool is open. As
 * long as one worker is ready nothing else comes of it. When none has been for two seconds in which
 * starts failed, all work that was submitted and is not done ends with the status of the last
 * failure: what the start or the initializer returned, COHORT_EINITFAILED when a worker ended in
 * the initializer, COHORT_ESTART when it ended before that. cohort_result_error() has the sentence.
 * The pool stays open: what is submitted later runs when a worker can be started again, and ends in
 * the same way if none can.
 *
 * From Python's Pool(), which starts workers again and again when their initializer fails without a
 * pause while work waits for ever; there 0 workers are an error.
 *
 * @param pool    receives the pool, only on success
 * @param options NULL for the defaults
 * @param parent  the pool is destroyed with this APR pool (in the process that made it); NULL: it
 *                lives until cohort_pool_destroy()
 * @return
 *  - APR_SUCCESS
 *  - COHORT_EOPTION: a reserved word of the options is not 0
 *  - APR_EINVAL: a name that is empty or longer than 50 bytes, no `init_args` with a size, unknown
 *    enumerators
 *  - COHORT_ELIMIT: more than 8192 workers, or functions of too many modules in the cohort
 *  - COHORT_ETARGET: the initializer is in no module
 *  - APR_ENOMEM: the arena, or the memory of this process, is full
 *  - whatever making or starting a process can return (cohort_process_create(),
 *    cohort_process_start()): the workers that were started are stopped first
 *  - the common statuses of pool.h
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_pool_create(cohort_pool_t **pool,
                                                            const cohort_pool_options_t *options,
                                                            apr_pool_t *parent);

/**
 * Run the task on each of n inputs and wait for all. Output i belongs to input i.
 *
 * To learn more of what failed use cohort_pool_map_async().
 *
 * @param pool        the pool
 * @param task        a function of this executable or of a library
 * @param inputs      n elements of input_size bytes; not copied when they lie in the arena, and
 *                    then they must not be changed or freed meanwhile. May be NULL when input_size
 *                    or n is 0.
 * @param input_size  bytes of one input; 0: the tasks get none
 * @param n           how many; 0 is a success at once
 * @param outputs     room for n elements of output_size bytes; tasks write into it directly when it
 *                    lies in the arena. NULL: dropped.
 * @param output_size bytes of one output; 0: the tasks have none
 * @param options     NULL for the defaults; callbacks are ignored
 * @return
 *  - APR_SUCCESS: every task succeeded
 *  - the status of the failed task with the lowest index: what it returned, COHORT_EWORKERDIED, or
 *    COHORT_ETARGET or COHORT_EBINARY of a worker that does not have the task; all other outputs
 *    are valid (nothing is cancelled)
 *  - APR_EINVAL: NULL task, inputs NULL with a size and n > 0, sizes with a product that overflows
 *  - COHORT_ELIMIT: more than 4294967294 items, or functions of too many modules in the cohort
 *  - COHORT_ETARGET: the task is in no module
 *  - COHORT_ENOTRUNNING: the pool is closed or terminated
 *  - COHORT_ETERMINATED: it was terminated meanwhile (then tasks may still write into outputs in
 *    the arena until cohort_pool_join() has returned)
 *  - the status of a start or an initializer when no worker could be started (see
 *    cohort_pool_create())
 *  - APR_ENOMEM: the arena is full
 *  - the common statuses of pool.h
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_pool_map(cohort_pool_t *pool, cohort_task_t task,
                                                         const void *inputs, apr_size_t input_size,
                                                         apr_size_t n, void *outputs,
                                                         apr_size_t output_size,
                                                         const cohort_map_options_t *options);

/**
 * Run the task on each of n inputs without waiting. The result says what failed in a task.
 *
 * @param result      receives the result, only on success
 * @param pool        the pool
 * @param task        as cohort_pool_map()
 * @param inputs      as cohort_pool_map(); what does not lie in the arena is copied before this
 *                    returns
 * @param input_size  as cohort_pool_map()
 * @param n           as cohort_pool_map()
 * @param outputs     as cohort_pool_map(). What does not lie in the arena is filled by
 *                    cohort_result_get(), in the calling process. NULL with an output size: the
 *                    result keeps them, see cohort_result_get() and cohort_result_outputs().
 * @param output_size as cohort_pool_map()
 * @param options     NULL for the defaults
 * @param parent      the result is destroyed with this APR pool; NULL: it lives until
 *                    cohort_result_destroy()
 * @return
 *  - APR_SUCCESS: the work was submitted
 *  - APR_EINVAL: as cohort_pool_map(), and for a NULL result
 *  - COHORT_ELIMIT, COHORT_ETARGET, COHORT_ENOTRUNNING: as cohort_pool_map()
 *  - APR_ENOMEM: the arena is full, or no memory to note the callbacks
 *  - the system's reason why there is no thread for the callbacks
 *  - the common statuses of pool.h
 */
COHORT_API apr_status_t cohort_pool_map_async(cohort_result_t **result, cohort_pool_t *pool,
                                              cohort_task_t task, const void *inputs,
                                              apr_size_t input_size, apr_size_t n, void *outputs,
                                              apr_size_t output_size,
                                              const cohort_map_options_t *options,
                                              apr_pool_t *parent);

/**
 * Run one task and wait for it: cohort_pool_map() with n = 1.
 *
 * @param pool        the pool
 * @param task        as cohort_pool_map()
 * @param input       input_size bytes; as the inputs of cohort_pool_map()
 * @param input_size  bytes; 0: the task gets NULL
 * @param output      room for output_size bytes; as the outputs of cohort_pool_map()
 * @param output_size bytes; 0: the task has none
 * @return the task's status; else as cohort_pool_map()
 */
COHORT_API apr_status_t cohort_pool_apply(cohort_pool_t *pool, cohort_task_t task,
                                          const void *input, apr_size_t input_size, void *output,
                                          apr_size_t output_size);

/**
 * Run one task without waiting: cohort_pool_map_async() with n = 1.
 *
 * @param result      receives the result, only on success
 * @param pool        the pool
 * @param task        as cohort_pool_map()
 * @param input       input_size bytes; as the inputs of cohort_pool_map_async()
 * @param input_size  bytes; 0: the task gets NULL
 * @param output      room for output_size bytes; as the outputs of cohort_pool_map_async()
 * @param output_size bytes; 0: the task has none
 * @param options     for the callbacks; may be NULL
 * @param parent      as cohort_pool_map_async()
 * @return as cohort_pool_map_async()
 */
COHORT_API apr_status_t cohort_pool_apply_async(cohort_result_t **result, cohort_pool_t *pool,
                                                cohort_task_t task, const void *input,
                                                apr_size_t input_size, void *output,
                                                apr_size_t output_size,
                                                const cohort_map_options_t *options,
                                                apr_pool_t *parent);

/**
 * In a task, or in an initializer: say why it fails.
 *
 * @code
 * return cohort_task_fail(APR_EGENERAL, "line %d: no number", line);
 * @endcode
 *
 * @param status what the task is going to return
 * @param format as printf(), and its arguments; the message is of any length
 * @return status, or APR_EGENERAL when that is APR_SUCCESS
 *
 * Thread safety: call it in the thread that runs the task.
 */
COHORT_API apr_status_t cohort_task_fail(apr_status_t status, const char *format, ...)
    COHORT_PRINTF(2, 3);

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
 * Is it done? Never blocks.
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
 * @param outputs room for all outputs, or NULL: those that were given to the `_async` call (if it
 *                was made by this process) are filled
 * @param size    bytes at `outputs`; of no meaning with NULL
 * @param timeout microseconds (see types.h)
 * @return
 *  - APR_SUCCESS: every task succeeded
 *  - the status of the failed task with the lowest index (see cohort_pool_map()); the other outputs
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
COHORT_API apr_status_t cohort_result_error(cohort_result_t *result, cohort_task_error_t *error);

/**
 * All failed tasks, by index.
 *
 * @param result the result
 * @param errors receives an array in `pool` (NULL when n is 0)
 * @param n      receives their number
 * @param pool   not NULL
 * @return
 *  - APR_SUCCESS: it is done
 *  - APR_EAGAIN: not ready
 *  - the common statuses of pool.h
 */
COHORT_API apr_status_t cohort_result_errors(cohort_result_t *result, cohort_task_error_t **errors,
                                             apr_size_t *n, apr_pool_t *pool);

/**
 * Release a result and the memory of its inputs and outputs.
 *
 * What is not done yet is not begun any more, but a task that runs is not interrupted: it may write
 * into outputs in the arena for as long as it runs. The result works on when its pool is destroyed,
 * and is not released by that.
 *
 * @param result the result; NULL and destroyed results are fine
 * @return APR_SUCCESS, or one of the common statuses of pool.h
 */
COHORT_API apr_status_t cohort_result_destroy(cohort_result_t *result);

/**
 * The workers that the pool has now.
 *
 * A worker may be named, watched, joined and killed as any process; the pool replaces it.
 *
 * @param pool    the pool
 * @param workers receives an array in `parent`. A handle stays valid until the worker that took its
 *                place has been replaced in turn.
 * @param n       receives their number
 * @param parent  not NULL
 * @return APR_SUCCESS, or one of the common statuses of pool.h
 */
COHORT_API apr_status_t cohort_pool_workers(cohort_pool_t *pool, cohort_process_t ***workers,
                                            apr_size_t *n, apr_pool_t *parent);

/**
 * Close the pool: no more work goes in (COHORT_ENOTRUNNING), and what is in still comes out. Then
 * the workers end.
 *
 * @param pool the pool; closing again has no effect
 * @return APR_SUCCESS, or one of the common statuses of pool.h
 */
COHORT_API apr_status_t cohort_pool_close(cohort_pool_t *pool);

/**
 * Stop at once: results that are not done end with COHORT_ETERMINATED.
 *
 * Workers are asked to terminate (as cohort_process_terminate()), and those that have not ended a
 * second later are killed by cohort_pool_join() and cohort_pool_destroy().
 *
 * @param pool the pool, closed or not; terminating again has no effect
 * @return
 *  - APR_SUCCESS
 *  - EPERM (or APR_STATUS_IS_EACCES, as the system has it): the pool has ended, but this process
 *    may not signal its workers any more, having given up the right to; they end when the tasks
 *    that they run are done, or with this process
 *  - the common statuses of pool.h
 */
COHORT_API apr_status_t cohort_pool_terminate(cohort_pool_t *pool);

/**
 * Wait until all workers of a closed or terminated pool have ended, and the callbacks of this
 * process for it have returned (in a callback only for the workers).
 *
 * @param pool    the pool
 * @param timeout microseconds (see types.h)
 * @return
 *  - APR_SUCCESS: they have ended
 *  - APR_EINVAL: the pool still runs
 *  - APR_EAGAIN: they have not ended, and `timeout` <= 0
 *  - APR_TIMEUP: they have not, within the time
 *  - COHORT_ENOWAIT: called by one of its workers
 *  - EPERM (as cohort_pool_terminate()): a terminated pool's workers run on, and this process may
 *    not kill them any more
 *  - the common statuses of pool.h
 */
COHORT_API apr_status_t cohort_pool_join(cohort_pool_t *pool, apr_interval_time_t timeout);

/**
 * Destroy the pool for all processes: terminate it if it runs, wait for its workers, and free it.
 *
 * Results stay valid. A pool that was not destroyed ends with the process that made it: its workers
 * are stopped, and results that are not done end with COHORT_ETERMINATED.
 *
 * @param pool the pool; NULL and destroyed pools are fine
 * @return
 *  - APR_SUCCESS
 *  - COHORT_ENOWAIT: called by one of its workers
 *  - EPERM: as cohort_pool_join(); the pool has ended and is not freed
 *  - the common statuses of pool.h
 */
COHORT_API apr_status_t cohort_pool_destroy(cohort_pool_t *pool);

#ifdef __cplusplus
}
#endif

#endif
