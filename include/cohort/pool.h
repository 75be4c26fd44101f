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
 *     COHORT_MAP(workers, square, in, 100, out);
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
#include <cohort/result.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * A task. Runs in the main thread of a worker process.
 *
 * A task may use everything of Cohort. A cohort_pool_run(), cohort_pool_map() or
 * cohort_pool_apply() on its own pool needs another worker that is free, as in Python. It can ask
 * on which item it is run, and for what its job gives to all tasks: cohort_task_index(),
 * cohort_task_attempt(), cohort_task_context().
 *
 * @param input  one element of the inputs, `input_size` bytes, aligned as the array elements are,
 * to               64 bytes at most; NULL when the input size is 0. Do not write to it.
 * @param output where its output goes, `output_size` bytes, aligned as the array elements are, to
 * 64               bytes at most; NULL when the output size is 0
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
    /** How often a task is run in all when its worker dies under it, unless its job says so: 0 and
     * 1 mean once, and more than 8000 mean 8000 times. A task that returns an error is not run
     * again. */
    apr_size_t attempts;
    /** What signals do in the workers; default: as in any process, and SIGINT is ignored. */
    cohort_signals_t signals;
    /** The process group of each worker. */
    cohort_group_t group;
    apr_uint64_t reserved[8]; /**< all 0; else COHORT_EOPTION */
} cohort_pool_options_t;

/**
 * Called in the process that submitted, when the work is done. See cohort_job_t.
 *
 * @param result the result of the work
 * @param arg    what the job has as `callback_arg`
 */
typedef void (*cohort_callback_t)(cohort_result_t *result, void *arg);

/**
 * A job: what is to be run on which inputs, and how. Zero means the default everywhere.
 *
 *     cohort_job_t job = {.task = square, COHORT_INPUTS(in, 100), COHORT_OUTPUTS(out)};
 *     status = cohort_pool_run(workers, &job);
 *
 * Nothing of the struct itself is needed any more when the call that it was passed to returns.
 */
typedef struct cohort_job_t {
    /** A function of this executable or of a library; the only field without a default. */
    cohort_task_t task;
    /** An array of n elements. It is not copied when it lies in the arena (cohort_alloc()), and
     * then it must not be changed or freed before the job is done; what lies elsewhere is copied
     * when the job is submitted. May be NULL when input_size or n is 0. */
    const void *inputs;
    apr_size_t input_size; /**< bytes of one input; 0: the tasks get none */
    apr_size_t n;          /**< how many tasks are run; with 0 the job is done at once */
    /** Room for n elements; output i belongs to input i. Tasks write into it directly when it lies
     * in the arena. What lies elsewhere is filled by cohort_pool_run() before it returns, or by
     * cohort_result_get() in the process that submitted. NULL with a size: a result keeps the
     * outputs (cohort_result_get(), cohort_result_outputs()), cohort_pool_run() drops them. */
    void *outputs;
    apr_size_t output_size; /**< bytes of one output; 0: the tasks have none */
    /** Items that a worker takes at once; 0: n / (4 * workers), at least 1, as in Python. */
    apr_size_t chunk;
    /** How often a task is run in all when its worker dies under it: 1 means once, and more than
     * 8000 mean 8000 times; 0: as the pool's options say. */
    apr_size_t attempts;
    /**
     * Called when every task succeeded.
     *
     * For cohort_pool_submit() only; cohort_pool_run() calls neither. Exactly one of the two
     * callbacks is called, once: on_success when every task succeeded, on_error otherwise (a pool
     * that was terminated included). It runs in a thread of the submitting process that Cohort
     * starts for this and that all callbacks of the process share, so one that takes long delays
     * the others. The result counts as ready only when its callback has returned, so that a thread
     * that waited for it sees what the callback did (as in Python); within the callback every
     * `cohort_result_` function works on it, cohort_result_destroy() too. Destroying the result
     * earlier cancels the callback.
     */
    cohort_callback_t on_success;
    cohort_callback_t on_error; /**< Called otherwise; see `on_success`. */
    void *callback_arg;         /**< Passed to both; stays the caller's. */
    /** What all tasks of the job can look at, by cohort_task_context(). With context_size 0 a
     * pointer into the arena, which the tasks get as it is, or NULL. With a size, that many bytes:
     * not copied when they lie in the arena, else copied when the job is submitted (aligned for
     * any type) and freed with it. */
    const void *context;
    apr_size_t context_size;  /**< bytes at `context`, or 0 */
    apr_uint64_t reserved[8]; /**< all 0; else COHORT_EOPTION */
} cohort_job_t;

/** The fields `inputs`, `input_size` and `n` of a cohort_job_t: the elements of an array. */
#define COHORT_INPUTS(array, count) .inputs = (array), .input_size = sizeof *(array), .n = (count)
/** The fields `outputs` and `output_size` of a cohort_job_t, for an array or a typed pointer. */
#define COHORT_OUTPUTS(array) .outputs = (array), .output_size = sizeof *(array)

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
 * Run a job and wait until it is done.
 *
 * To go on meanwhile, or to learn more of what failed, use cohort_pool_submit().
 *
 * @param pool the pool
 * @param job  what is to be run; its callbacks are not called
 * @return
 *  - APR_SUCCESS: every task succeeded
 *  - the status of the failed task with the lowest index: what it returned, COHORT_EWORKERDIED, or
 *    COHORT_ETARGET or COHORT_EBINARY of a worker that does not have the task; all other outputs
 *    are valid (nothing is cancelled)
 *  - APR_EINVAL: NULL task, inputs or context NULL with a size (inputs: and n > 0), a context
 *    without a size that does not lie in the arena, sizes with a product that overflows
 *  - COHORT_EOPTION: a reserved word of the job is not 0
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
COHORT_NODISCARD COHORT_API apr_status_t cohort_pool_run(cohort_pool_t *pool,
                                                         const cohort_job_t *job);

/**
 * Submit a job without waiting for it. The result says what failed in a task.
 *
 * @param result receives the result, only on success
 * @param pool   the pool
 * @param job    what is to be run
 * @param parent the result is destroyed with this APR pool; NULL: it lives until
 *               cohort_result_destroy()
 * @return
 *  - APR_SUCCESS: the job was submitted
 *  - APR_EINVAL: as cohort_pool_run(), and for a NULL result
 *  - COHORT_EOPTION, COHORT_ELIMIT, COHORT_ETARGET, COHORT_ENOTRUNNING: as cohort_pool_run()
 *  - APR_ENOMEM: the arena is full, or no memory to note the callbacks
 *  - the system's reason why there is no thread for the callbacks
 *  - the common statuses of pool.h
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_pool_submit(cohort_result_t **result,
                                                            cohort_pool_t *pool,
                                                            const cohort_job_t *job,
                                                            apr_pool_t *parent);

/**
 * Run the task on each of n inputs and wait for all: the short form of cohort_pool_run().
 *
 * COHORT_MAP() takes the sizes from the arrays.
 *
 * @param pool        the pool
 * @param task        as in cohort_job_t
 * @param inputs      as in cohort_job_t
 * @param input_size  bytes of one input; 0: the tasks get none
 * @param n           how many; 0 is a success at once
 * @param outputs     as in cohort_job_t; NULL: dropped
 * @param output_size bytes of one output; 0: the tasks have none
 * @return as cohort_pool_run()
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_pool_map(cohort_pool_t *pool, cohort_task_t task,
                                                         const void *inputs, apr_size_t input_size,
                                                         apr_size_t n, void *outputs,
                                                         apr_size_t output_size);

/** cohort_pool_map() of arrays, or of pointers with a type, from which the sizes follow. */
#define COHORT_MAP(pool, task, inputs, n, outputs) \
    cohort_pool_map((pool), (task), (inputs), sizeof *(inputs), (n), (outputs), sizeof *(outputs))

/**
 * Run one task and wait for it: cohort_pool_map() with n = 1.
 *
 * @param pool        the pool
 * @param task        as in cohort_job_t
 * @param input       input_size bytes; as the inputs of a cohort_job_t
 * @param input_size  bytes; 0: the task gets NULL
 * @param output      room for output_size bytes; as the outputs of a cohort_job_t
 * @param output_size bytes; 0: the task has none
 * @return the task's status; else as cohort_pool_run()
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_pool_apply(cohort_pool_t *pool, cohort_task_t task,
                                                           const void *input, apr_size_t input_size,
                                                           void *output, apr_size_t output_size);

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
 * In a task: which of the inputs it runs on.
 *
 * @return its index in the inputs of its job; 0 outside a task: in an initializer, in a process
 *         that is no worker, in one that a task has started, in a raw fork() copy
 *
 * Thread safety: the answer is that of the process, so threads that a task starts get the same as
 * the task, for as long as the task runs. The same holds for cohort_task_attempt() and
 * cohort_task_context(). A job that a task runs on a pool changes nothing of its own answers.
 */
COHORT_API apr_size_t cohort_task_index(void);

/**
 * In a task: how often it has been begun, this time included.
 *
 * @return 1 the first time, 2 after a worker has died under it, and so on up to the attempts of the
 *         job; 0 outside a task, as cohort_task_index()
 */
COHORT_API apr_size_t cohort_task_attempt(void);

/**
 * In a task: the context of its job.
 *
 * @return what the job has as `context`, or the copy of it; do not write to a copy. NULL when there
 *         is none, and outside a task, as cohort_task_index()
 */
COHORT_API const void *cohort_task_context(void);

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
COHORT_API apr_status_t cohort_pool_workers(const cohort_pool_t *pool, cohort_process_t ***workers,
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
