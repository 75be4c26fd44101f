/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/**
 * @file pool.h
 * Pools of worker processes. A pool runs tasks (ordinary functions) on inputs that the caller has
 * in memory, in parallel and in processes of their own, so that a task that crashes takes nobody
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
 *    it dies, fails that
 * task alone (COHORT_EWORKERDIED, with the worker's name, pid and exit code), or has it run again
 * if the options say so; the worker is replaced, and everything else goes on.
 *  - Inputs that lie in the arena (cohort_alloc()) are not copied, and outputs that lie there are
 *    written in place.
 * Other memory works too: inputs are copied once when the work is submitted, outputs once when it
 * is done.
 *  - Any process of the cohort may submit work, and wait for any result: the handles are valid
 *    everywhere.
 *
 * The shape follows Python's multiprocessing.Pool; differences are noted at the functions.
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
 * @param input  one element of the inputs; NULL when the input size is 0. Do not write to it.
 * @param output where its output goes: input_size and output_size bytes of each, aligned as the
 * array elements are; NULL when the output size is 0
 * @return APR_SUCCESS, or any status: the task has failed then, and says more with
 *     cohort_task_fail() if it likes
 *
 * A task may use everything of Cohort. A blocking cohort_pool_map() or _apply() on its own pool
 * needs another worker that is free, as in Python.
 */
typedef apr_status_t (*cohort_task_t)(const void *input, void *output);

/** Runs once in each worker, also in those that replace others, before its first task. Anything but
 * APR_SUCCESS ends the worker: its start has failed then; cohort_task_fail() may say why. What
 * follows from that is said at cohort_pool_create(). */
typedef apr_status_t (*cohort_initializer_t)(void *args);

/** How to make a pool. Zero means the default everywhere. */
typedef struct {
    /** Number of workers; 0: one for each CPU that this process may use (cohort_cpu_count()). */
    int workers;
    /** The workers are named "<name>-1", "<name>-2", ... The default is "Pool-<n>", counted in the
     * process that makes it. Copied. */
    const char *name;
    /** NULL: none. */
    cohort_initializer_t initializer;
    /** What the initializer gets: `init_size` bytes, copied when the pool is made. With size 0 it
     * gets NULL. */
    const void *init_args;
    apr_size_t init_size;
    /** How the workers are started. */
    cohort_start_method_t method;
    /** How often a task is run in all when its worker dies under it: 0 and 1 mean once. A task that
     * returns an error is not run again. */
    int attempts;
    /** What signals do in the workers; default: as in any process, and SIGINT is ignored. */
    cohort_signals_t signals;
    /** The process group of each worker. */
    cohort_group_t group;
} cohort_pool_options_t;

/** Called in the process that submitted, when the work is done. See cohort_map_options_t. */
typedef void (*cohort_callback_t)(cohort_result_t *result, void *arg);

/** How to run a map. Zero means the default everywhere. */
typedef struct {
    /** Items that a worker takes at once; 0: items / (4 * workers), at least 1, as in Python. */
    apr_size_t chunk;
    /**
     * For the _async functions only. Exactly one of the two is called, once: on_success when every
     * task succeeded, on_error otherwise (a pool that was terminated included). It runs in a thread
     * of the submitting process that Cohort starts for this and that all callbacks of the process
     * share, so one that takes long delays the others. The result counts as ready only when its
     * callback has returned, so that a thread that waited for it sees what the callback did (as in
     * Python); within the callback every cohort_result_ function works on it,
     * cohort_result_destroy() too. Destroying the result earlier cancels the callback.
     */
    cohort_callback_t on_success;
    cohort_callback_t on_error;
    void *callback_arg;
} cohort_map_options_t;

/** Why a task failed. The strings live as long as the result. */
typedef struct {
    /** What the task returned, or COHORT_EWORKERDIED. APR_SUCCESS: nothing failed. */
    apr_status_t status;
    const char *message;     /**< From cohort_task_fail(), or a description of the status. */
    apr_size_t message_size; /**< Its length without the terminating zero. */
    apr_size_t index;        /**< The task's index in the inputs. */
    const char *worker;      /**< The name of the worker that ran it. */
    apr_int64_t pid;         /**< And its process id; 0 when it is not known. */
    int exit_code;           /**< COHORT_EXIT_NONE unless the worker died: then how it ended. */
    unsigned attempt;        /**< 1 when the first attempt failed it. */
} cohort_task_error_t;

/**
 * Make a pool and start its workers. They are daemons of the calling process (they end when it
 * ends, in whatever way), ignore interrupts from the terminal (Ctrl-C goes to the root, which
 * decides), and run until the pool is closed or terminated.
 *
 * @param pool    receives the pool, only on success
 * @param options may be NULL
 * @param parent  the pool is destroyed with this APR pool (in the process that made it); NULL: it
 * lives until cohort_pool_destroy()
 *
 * APR_SUCCESS; APR_EINVAL: a negative number of workers or attempts, a name that is empty or longer
 * than 50 bytes; COHORT_ELIMIT: more than 8192 workers; COHORT_ETARGET: the initializer is in no
 * module; APR_ENOMEM; COHORT_ENOTINIT; whatever starting a process can return: the workers that
 * were started are stopped first.
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
 * Thread-safe. Not async-signal-safe. From Python's Pool(), which starts workers again and again
 * when their initializer fails without a pause while work waits for ever; there 0 workers are an
 * error.
 */
COHORT_API apr_status_t cohort_pool_create(cohort_pool_t **pool,
                                           const cohort_pool_options_t *options,
                                           apr_pool_t *parent);

/**
 * Run the task on each of n inputs and wait for all. Output i belongs to input i.
 *
 * @param inputs      n elements of input_size bytes; not copied when they lie in the arena, and
 * then they must not be changed or freed meanwhile
 * @param outputs     room for n elements of output_size bytes; tasks write into it directly when it
 * lies in the arena. NULL: dropped
 * @param options     may be NULL; callbacks are ignored
 *
 * APR_SUCCESS: every task succeeded. Otherwise the status of the failed task with the lowest index;
 * all other outputs are valid (nothing is cancelled). To learn more of what failed use
 * cohort_pool_map_async(). APR_EINVAL: NULL task, inputs NULL with a size and n > 0, sizes with a
 * product that overflows; COHORT_ELIMIT: more than 4294967294 items; COHORT_ENOTRUNNING: the pool
 * is closed or terminated; COHORT_ETERMINATED: it was terminated meanwhile (then tasks may still
 * write into outputs in the arena until cohort_pool_join() has returned); the status of a start or
 * an initializer when no worker could be started (see cohort_pool_create()); COHORT_EHANDLE;
 * APR_ENOMEM; COHORT_ETARGET: the task is in no module. n = 0 is a success at once. Thread-safe.
 * Not async-signal-safe.
 */
COHORT_API apr_status_t cohort_pool_map(cohort_pool_t *pool, cohort_task_t task, const void *inputs,
                                        apr_size_t input_size, apr_size_t n, void *outputs,
                                        apr_size_t output_size,
                                        const cohort_map_options_t *options);

/**
 * The same without waiting. Whatever fails in a task is told by the result.
 *
 * @param result  receives the result, only on success
 * @param inputs  as above; what does not lie in the arena is copied before this returns
 * @param outputs as above. What does not lie in the arena is filled by cohort_result_get(), in the
 * calling process. NULL with an output size: the result keeps them, see cohort_result_get() and
 * cohort_result_outputs()
 * @param parent  the result is destroyed with this APR pool; NULL: it lives until
 *     cohort_result_destroy()
 *
 * Statuses of submitting: as above, and APR_EINVAL for a NULL result.
 */
COHORT_API apr_status_t cohort_pool_map_async(cohort_result_t **result, cohort_pool_t *pool,
                                              cohort_task_t task, const void *inputs,
                                              apr_size_t input_size, apr_size_t n, void *outputs,
                                              apr_size_t output_size,
                                              const cohort_map_options_t *options,
                                              apr_pool_t *parent);

/** Run one task and wait for it: cohort_pool_map() with n = 1. Its status is the task's. */
COHORT_API apr_status_t cohort_pool_apply(cohort_pool_t *pool, cohort_task_t task,
                                          const void *input, apr_size_t input_size, void *output,
                                          apr_size_t output_size);

/** Run one task without waiting: cohort_pool_map_async() with n = 1. `options` (may be NULL) is for
 * the callbacks. */
COHORT_API apr_status_t cohort_pool_apply_async(cohort_result_t **result, cohort_pool_t *pool,
                                                cohort_task_t task, const void *input,
                                                apr_size_t input_size, void *output,
                                                apr_size_t output_size,
                                                const cohort_map_options_t *options,
                                                apr_pool_t *parent);

/**
 * In a task, or in an initializer: say why it fails. Use: `return cohort_task_fail(APR_EGENERAL,
 * "line %d: ...", line);` The message is of any length. Call it in the thread that runs the task.
 * @return status, or APR_EGENERAL when that is APR_SUCCESS
 */
COHORT_API apr_status_t cohort_task_fail(apr_status_t status, const char *format, ...);

/**
 * Wait until the work is done, well or not. APR_SUCCESS: it is; APR_EAGAIN, APR_TIMEUP: not yet;
 * COHORT_EHANDLE. Any process may wait. A result is ready, too, when its pool has been terminated,
 * or when the process that made the pool is dead. COHORT_EHANDLE also when the result is destroyed
 * during the wait, by whatever thread or process. Thread-safe.
 */
COHORT_API apr_status_t cohort_result_wait(cohort_result_t *result, apr_interval_time_t timeout);

/** Is it done? 0 or 1; 1 also for what is no live result. Never blocks. */
COHORT_API int cohort_result_ready(cohort_result_t *result);

/** *successful = did every task succeed? APR_EAGAIN: not ready (Python raises ValueError);
 * COHORT_EHANDLE. */
COHORT_API apr_status_t cohort_result_successful(cohort_result_t *result, int *successful);

/**
 * Wait, and copy the outputs.
 *
 * @param outputs room for all outputs, or NULL: those that were given to the _async call (if it was
 * made by this process) are filled
 * @param size    bytes at `outputs`
 *
 * APR_SUCCESS; the status of the failed task with the lowest index (the other outputs are copied
 * all the same); COHORT_ETERMINATED, or the status of a start that failed: the work was ended,
 * nothing is copied; APR_EAGAIN, APR_TIMEUP: not ready; COHORT_ETOOSMALL: `size` is less than all
 * outputs; COHORT_EHANDLE. May be called again. Thread-safe.
 */
COHORT_API apr_status_t cohort_result_get(cohort_result_t *result, void *outputs, apr_size_t size,
                                          apr_interval_time_t timeout);

/** The outputs where they are, without a copy: in the arena, valid in every process until the
 * result is destroyed. NULL when the output size is 0. Complete when the result is ready.
 * COHORT_EHANDLE. */
COHORT_API apr_status_t cohort_result_outputs(cohort_result_t *result, void **outputs);

/**
 * The failed task with the lowest index; error->status is APR_SUCCESS when none failed. When the
 * work was ended before it was done, the status says so. If that is because no worker could be
 * started, message, worker, pid and exit code are those of the last start that failed; if the pool
 * was terminated (COHORT_ETERMINATED) the rest is empty. APR_EAGAIN: not ready; COHORT_EHANDLE.
 */
COHORT_API apr_status_t cohort_result_error(cohort_result_t *result, cohort_task_error_t *error);

/**
 * All failed tasks, by index. @param errors receives an array in `pool` (NULL when n is 0) @param n
 * their number APR_EAGAIN: not ready; APR_EINVAL: pool is NULL; COHORT_EHANDLE.
 */
COHORT_API apr_status_t cohort_result_errors(cohort_result_t *result, cohort_task_error_t **errors,
                                             apr_size_t *n, apr_pool_t *pool);

/**
 * Release a result and the memory of its inputs and outputs. What is not done yet is not begun any
 * more, but a task that runs is not interrupted: it may write into outputs in the arena for as long
 * as it runs. NULL and destroyed results are fine. The result works on when its pool is destroyed,
 * and is not released by that.
 */
COHORT_API apr_status_t cohort_result_destroy(cohort_result_t *result);

/**
 * The workers that the pool has now. @param workers receives an array in `parent` @param n their
 * number A handle stays valid until the worker that took its place has been replaced in turn. A
 * worker may be named, watched, joined and killed as any process; the pool replaces it.
 * COHORT_EHANDLE; APR_EINVAL: parent is NULL.
 */
COHORT_API apr_status_t cohort_pool_workers(cohort_pool_t *pool, cohort_process_t ***workers,
                                            int *n, apr_pool_t *parent);

/** No more work is taken (COHORT_ENOTRUNNING); what was submitted is done, then the workers end.
 * COHORT_EHANDLE. Again: no effect. */
COHORT_API apr_status_t cohort_pool_close(cohort_pool_t *pool);

/**
 * Stop at once: results that are not done end with COHORT_ETERMINATED, workers are asked to
 * terminate (as cohort_process_terminate()), and those that have not ended a second later are
 * killed by cohort_pool_join() and _destroy(). COHORT_EHANDLE; EPERM: the pool has ended, but this
 * process may not signal its workers any more, having given up the right to; they end when the
 * tasks that they run are done, or with this process. Again: no effect.
 */
COHORT_API apr_status_t cohort_pool_terminate(cohort_pool_t *pool);

/**
 * Wait until all workers of a closed or terminated pool have ended, and the callbacks of this
 * process for it have returned. APR_SUCCESS; APR_EINVAL: the pool still runs; APR_EAGAIN,
 * APR_TIMEUP; COHORT_ENOWAIT: called by one of its workers; EPERM: a terminated pool's workers run
 * on, and this process may not kill them any more; COHORT_EHANDLE.
 */
COHORT_API apr_status_t cohort_pool_join(cohort_pool_t *pool, apr_interval_time_t timeout);

/**
 * Terminate the pool if it runs, wait for its workers, and release it. NULL and destroyed pools are
 * fine. Results stay valid. A pool that was not destroyed ends with the process that made it: its
 * workers are stopped, and results that are not done end with COHORT_ETERMINATED. COHORT_ENOWAIT:
 * called by one of its workers; EPERM, as from cohort_pool_join(): the pool has ended and is not
 * released.
 */
COHORT_API apr_status_t cohort_pool_destroy(cohort_pool_t *pool);

#ifdef __cplusplus
}
#endif

#endif
