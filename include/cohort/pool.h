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
 *  - Inputs and outputs may have a size each (COHORT_BYTES): outputs are made by the tasks in the
 *    arena and handed over without a copy.
 *  - Any process of the cohort may submit work, and wait for any result: the handles are valid
 *    everywhere.
 *  - Jobs share the workers: while others wait, a worker is at one job for about a millisecond, or
 *    for one task that takes longer, and then goes to the job that has waited longest. So a long
 *    job does not keep a short one waiting until it is done.
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
#include <cohort/region.h>
#include <cohort/result.h>
#include <cohort/settings.h>

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
 *               to 64 bytes at most; NULL when the input size is 0. Do not write to it. With
 *               COHORT_BYTES and COHORT_STRINGS: its data, see there.
 * @param output where its output goes, `output_size` bytes, aligned as the array elements are, to
 *               64 bytes at most; NULL when the output size is 0, or COHORT_BYTES
 * @return APR_SUCCESS, or any status: the task has failed then, and says more with
 *         cohort_task_fail() if it likes
 */
typedef apr_status_t (*cohort_task_t)(const void *input, void *output);

/**
 * A task for a range of items: it is called with the whole arrays and does the items from `first`
 * on, up to `last` and without it. It is for tasks so short that calling one for each item would
 * take longer than the work itself: the loop is in the function, where a compiler can make the most
 * of it.
 *
 *     static apr_status_t squares(const void *inputs, void *outputs, apr_size_t first,
 *                                 apr_size_t last) {
 *         const int *x = inputs;
 *         int *square = outputs;
 *         for (apr_size_t i = first; i < last; i++) square[i] = x[i] * x[i];
 *         return APR_SUCCESS;
 *     }
 *     ...
 *     COHORT_MAP_RANGES(workers, squares, in, 1000000, out);
 *
 * All that is said of a task holds for it. Each item is in exactly one range that is done; the
 * ranges of a job are its chunks. A failure of a range, and the death of the worker in it, is that
 * of all its items together.
 *
 * @param inputs  the inputs of the job, from the first one of all on; NULL when the input size is
 *                0. Do not write to it.
 * @param outputs the outputs of the job likewise; NULL when the output size is 0. Other workers
 *                write to those outside the range.
 * @param first   index of the first item of the range
 * @param last    index of the item after its last one; more than `first`
 * @return APR_SUCCESS, or any status: the range has failed then, and says more with
 *         cohort_task_fail() if it likes
 */
typedef apr_status_t (*cohort_range_task_t)(const void *inputs, void *outputs, apr_size_t first,
                                            apr_size_t last);

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

/**
 * A finalizer. Runs once in a worker that has run its initializer and ends in order: when the pool
 * was closed and its work is done, or when the worker is replaced or not needed any more
 * (`tasks_per_worker` and the like, cohort_pool_resize(), `idle_timeout`). It is not called in a
 * worker that is terminated, killed or ended with its item, nor after an initializer that failed.
 *
 * The worker has no task any more: what the finalizer does is charged to no item, and nothing that
 * it could return would reach any one. The worker's end, and so cohort_pool_join(), waits for it;
 * cohort_pool_terminate() ends it.
 *
 * @param args what the initializer gets. The worker's state: cohort_task_worker_state().
 */
typedef void (*cohort_finalizer_t)(void *args);

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
    /** What ends with each worker. */
    cohort_containment_t containment;
    /** NULL: none. */
    cohort_finalizer_t finalizer;
    /**
     * After so many tasks a worker ends and another one takes its place, as with Python's
     * maxtasksperchild; 0: never. Each run of a task counts, and each call for a range (in Python a
     * chunk counts as one). What is left of the worker's chunk goes to others.
     *
     * With this, `worker_age`, `worker_memory` and cohort_pool_resize() a worker ends in order,
     * between two tasks: no item is lost or run twice, and none is charged with it.
     */
    apr_size_t tasks_per_worker;
    /** A worker that is so old ends and another one takes its place, once its task is done; also
     * one that has nothing to do. Microseconds from when it was ready, by the monotonic clock; 0
     * and COHORT_FOREVER: never. */
    apr_interval_time_t worker_age;
    /** A worker that has more memory than this for itself after a task ends, and another one takes
     * its place: what leaks is given back. Bytes that are real and not shared with other processes
     * (on Windows, committed private bytes); what lies in the arena does not count. It is looked at
     * after each task, for some microseconds; 0: not. A limit that a task cannot pass:
     * `limits.memory` of `settings`. */
    apr_size_t worker_memory;
    /** Not 0: what the workers do is counted and timed, see statistics.h. Each task takes longer by
     * 35 to 85 nanoseconds then, and a place for a worker has 11 KiB more of the arena. */
    int statistics;
    /** Not 0: workers are started when work waits for them, up to `workers`, as Python's
     * ProcessPoolExecutor does. 0: all of them when the pool is made. */
    int on_demand;
    /** With `on_demand`: so many are started when the pool is made, and do not end for want of
     * work. */
    apr_size_t min_workers;
    /** With `on_demand`: a worker that has had nothing to do for so long ends, unless no more than
     * `min_workers` would be left. Microseconds; 0 and COHORT_FOREVER: never. */
    apr_interval_time_t idle_timeout;
    /**
     * How many jobs that are not done the pool takes in; 0: any number. A submitter for which there
     * is no room waits, as long as its job says (`submit_timeout`). Portions of imaps do not count:
     * they are bounded by their windows.
     *
     * A task that submits to its own pool may wait for room that only its own end would make: give
     * such a job a time.
     */
    apr_size_t max_jobs;
    /** The same by the bytes that the pool keeps for jobs that are not done: copies of inputs and
     * contexts, and outputs that lie with the result. A job that is larger is taken in when there
     * is no other. A submitter that has to wait holds nothing meanwhile. */
    apr_size_t max_bytes;
    /**
     * Not 0: a worker that crashes says what it knows of that before it ends, and `crash` of
     * cohort_task_error_t has it. It does so in its own process alone, in at most two seconds, and
     * ends as it would have without: with the same exit code, and the same core dump.
     *
     * Handlers of the program go first. One that is there when the initializer has returned is
     * called before anything is written, and nothing is if it deals with the crash, that is if it
     * returns without having restored the default action, or does not return. One that is set later
     * is called in place of this, and may hand on to it.
     *
     * On POSIX it is about SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP and SIGSYS, and the
     * worker's main thread gets an alternate stack, so that an overflow of the stack is told, too;
     * other threads that tasks start have none unless they see to that. On Windows it is about
     * exceptions that no handler takes, and abort().
     */
    int crash_report;
    /**
     * What each worker is made different in from the process that makes the pool, also those that
     * replace others; copied. NULL: nothing. `group` and `user` are those of the workers;
     * cohort_pool_terminate() says what follows where this process may not signal such workers.
     *
     * `limits.memory` is a hard limit beside the soft `worker_memory`: what goes beyond fails in
     * the task, which may return APR_ENOMEM then. A worker that dies instead fails its item as any
     * death does (COHORT_EWORKERDIED), and the message of that names the limit, as that of the CPU
     * time: the systems do not tell whether it was the reason. (Of the CPU time POSIX does, by the
     * exit code -SIGXCPU.)
     */
    const cohort_settings_t *settings;
    /** CPUs of the workers: the one at place i, `"<name>-<i + 1>"`, has set i % n_cpu_sets, and so
     * has the one that replaces it. Copied. NULL: those of `settings`, or those of this process. */
    const cohort_cpu_set_t *cpu_sets;
    apr_size_t n_cpu_sets; /**< how many sets, at most 8192 */
    /** COHORT_PIN_EACH: the worker at place i may use one CPU, the i-th of those that this process
     * may use, beginning anew after the last one. Not beside `cpu_sets` or CPUs of `settings`. */
    cohort_pin_t pin;
    apr_uint64_t reserved[4]; /**< all 0; else COHORT_EOPTION */
} cohort_pool_options_t;

/**
 * As `input_size` of a job: the inputs are an array of cohort_bytes_t, of data with a size each.
 * What lies in the arena (cohort_alloc()) is not copied, and is not to be changed or freed before
 * the job is done; the rest is copied when the job is submitted, into one block with the array (if
 * all data and the array lie in the arena, neither is copied). A task gets the data, aligned to 16
 * bytes if it was copied, from 64 bytes on to 64, and asks for the size by
 * cohort_task_input_size(); it gets NULL when that is 0.
 *
 * As `output_size`: each task makes its output by cohort_task_output(). `outputs` is NULL or an
 * array of cohort_bytes_t, wherever it lies. cohort_pool_run() and cohort_result_get() fill it with
 * the blocks of the arena that the tasks have made, which are the caller's from then on, each to be
 * freed by cohort_free(); an element is `{NULL, 0}` when its task has made none, or failed. The
 * array is not written when no result comes of the work (a status such as COHORT_ETERMINATED,
 * COHORT_ENOTRUNNING or APR_EINVAL), so begin with one that is all zero if you free what is in it
 * after any status. What is not handed over is freed with the result.
 *
 * Each side of a job may have it, with any size on the other side. A `range` gets the array of
 * cohort_bytes_t, also for COHORT_STRINGS; its outputs have a fixed size.
 */
#define COHORT_BYTES ((apr_size_t)-1)
/** As `input_size` of a job: the inputs are an array of strings (`const char *const *`), none of
 * them NULL. As COHORT_BYTES otherwise: what lies outside the arena is copied, with its zero. A
 * task gets the string, and its length by cohort_task_input_size(). */
#define COHORT_STRINGS ((apr_size_t)-2)

/**
 * A job: what is to be run on which inputs, and how. Zero means the default everywhere.
 *
 *     cohort_job_t job = {.task = square, COHORT_INPUTS(in, 100), COHORT_OUTPUTS(out)};
 *     status = cohort_pool_run(workers, &job);
 *
 * Nothing of the struct itself is needed any more when the call that it was passed to returns.
 */
typedef struct cohort_job_t {
    /** A function of this executable or of a library. This or `range` is needed; all other fields
     * have a default. */
    cohort_task_t task;
    /** An array of n elements. It is not copied when it lies in the arena (cohort_alloc()), and
     * then it must not be changed or freed before the job is done; what lies elsewhere is copied
     * when the job is submitted. May be NULL when input_size or n is 0. */
    const void *inputs;
    /** Bytes of one input; 0: the tasks get none. Or COHORT_BYTES, COHORT_STRINGS. */
    apr_size_t input_size;
    apr_size_t n; /**< how many tasks are run; with 0 the job is done at once */
    /** Room for n elements; output i belongs to input i. Tasks write into it directly when it lies
     * in the arena. What lies elsewhere is filled by cohort_pool_run() before it returns, or by
     * cohort_result_get() in the process that submitted. NULL with a size: a result keeps the
     * outputs (cohort_result_get(), cohort_result_outputs()), cohort_pool_run() drops them. */
    void *outputs;
    /** Bytes of one output; 0: the tasks have none. Or COHORT_BYTES. */
    apr_size_t output_size;
    /** Items that a worker takes at once; 0: n / (4 * workers), at least 1, as in Python. With
     * `range` the items of each range, but for the last one, which has what is left; 0: n / (128
     * * workers), or 1024 if that is more, but at most n / (16 * workers); rounded up to a multiple
     * of 64 if it is more than 64. */
    apr_size_t chunk;
    /** How often a task is run in all when its worker dies under it: 1 means once, and more than
     * 8000 mean 8000 times; 0: as the pool's options say. See `retry_on`, too. */
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
    apr_size_t context_size; /**< bytes at `context`, or 0 */
    /** Instead of `task`: a function that is called once for each chunk, and does all its items. */
    cohort_range_task_t range;
    /**
     * For the whole job, from the submission on. As all times here it is in microseconds of the
     * monotonic clock, and 0 and COHORT_FOREVER mean none. A task that is in
     * time is not disturbed; one that is not is told (cohort_task_should_stop()), and after the
     * grace its worker is ended and replaced. Whatever has not ended in time has the status
     * COHORT_EDEADLINE; what a task that was told returns is its result.
     *
     * The clock goes on while a worker is stopped (SIGSTOP, a debugger), so that time counts, and
     * the worker is ended as any other; it may stand still while the machine is suspended. The time
     * is kept by the process that submits and by threads that wait for the result: while these are
     * stopped nothing is ended, and when they go on, what is late is. Times under a millisecond are
     * as good as one.
     */
    apr_interval_time_t timeout;
    /** For an item to begin, from the submission on: one that is not running by then, and has not
     * ended, is not run. */
    apr_interval_time_t queue_timeout;
    apr_interval_time_t task_timeout; /**< For one run of one task (of a range: one call). */
    /** Between being told and being ended, for `timeout` and `task_timeout`; 0: at once;
     * COHORT_FOREVER: tasks are only told. */
    apr_interval_time_t task_grace;
    /** Statuses with which a task is run again, up to the first that is 0, as long as it has
     * attempts left: `attempts` counts these runs and those that a worker died under together.
     * It is run again at once by the same worker, in front of all that comes after it, unless
     * there is a `retry_delay`; only the last run's status, message and output count. What was
     * cancelled or is out of time is not run again. Of a range all its items are. */
    apr_status_t retry_on[4];
    int retry_any; /**< 1: the same for every status but APR_SUCCESS */
    /**
     * Jobs of a higher priority go first; 0 is in the middle, and any number will do. A worker
     * leaves a job for one of a higher priority as soon as its task is done. Jobs of the same
     * priority have the workers by turns, as without.
     *
     * A job starves as long as jobs of a higher priority have tasks that no worker has begun: there
     * is no ageing.
     */
    apr_int32_t priority;
    /** In a pool with `max_jobs` or `max_bytes`, how long to wait for room, in microseconds: 0 and
     * COHORT_FOREVER: for as long as it takes; a negative time: not at all, then it is APR_EAGAIN;
     * any other time: APR_TIMEUP when it is over. */
    apr_interval_time_t submit_timeout;
    /**
     * How long a task that is to be run again waits before, in microseconds, whether its worker
     * died or it returned a status of `retry_on`: so long the first time, and twice as long each
     * time after it, up to `retry_delay_max`. 0: it is run again at once. Times under a millisecond
     * are as good as one.
     *
     * No worker waits with it; whichever is free runs it then. What is left of its chunk waits with
     * it, so `chunk` is 1 if it is 0 (not of a `range`, which is one chunk in any case). While it
     * waits it ends at once when its job is cancelled, or out of time: `timeout`, and
     * `queue_timeout`, too; and when it is cancelled by itself, unless others wait behind it in its
     * chunk: then when its time has come. A pool that is closed ends when nothing waits any more.
     *
     * The time is kept by the process that submits, as that of `timeout`; when it ends, by
     * another.
     */
    apr_interval_time_t retry_delay;
    apr_interval_time_t retry_delay_max; /**< 0: no limit; not less than `retry_delay` */
    apr_uint64_t reserved[6];            /**< all 0; else COHORT_EOPTION */
} cohort_job_t;

/** The fields `inputs`, `input_size` and `n` of a cohort_job_t: the elements of an array. */
#define COHORT_INPUTS(array, count) .inputs = (array), .input_size = sizeof *(array), .n = (count)
/** The fields `outputs` and `output_size` of a cohort_job_t, for an array or a typed pointer. */
#define COHORT_OUTPUTS(array) .outputs = (array), .output_size = sizeof *(array)
/** The same for inputs with a size each, an array of cohort_bytes_t. */
#define COHORT_INPUT_BYTES(array, count) .inputs = (array), .input_size = COHORT_BYTES, .n = (count)
/** The same for strings. */
#define COHORT_INPUT_STRINGS(array, count) \
    .inputs = (array), .input_size = COHORT_STRINGS, .n = (count)
/** The same for outputs with a size each, an array of cohort_bytes_t. */
#define COHORT_OUTPUT_BYTES(array) .outputs = (array), .output_size = COHORT_BYTES

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
 *    enumerators, CPUs given in two ways, an empty set of them; `tasks_per_worker`,
 *    `worker_memory`, `max_jobs` or `max_bytes` of more than half of what a size can be, as a
 *    negative number becomes; a negative `worker_age` or `idle_timeout`; `min_workers` or
 *    `idle_timeout` without `on_demand`, `min_workers` above `workers`. cohort_last_error() names
 *    it.
 *  - APR_ENOTIMPL, APR_EINVAL, or what the system says of a user: `settings`, as
 *    cohort_process_create()
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
 *  - COHORT_EDEADLINE: a time that the job has was over; likewise all other outputs are valid
 *  - APR_EINVAL: neither a task nor a range, or both; inputs or context NULL with a size (inputs:
 *    and n > 0), a context without a size that does not lie in the arena, sizes with a product or
 *    sum that overflows, an element of the inputs that has a size and is NULL, or is a NULL string
 *    (cohort_last_error() says which), a range with COHORT_BYTES as output size, a negative time, a
 *    grace without a time for running tasks, a `retry_delay` of COHORT_FOREVER, a `retry_delay_max`
 *    less than `retry_delay`, or without one
 *  - COHORT_EOPTION: a reserved word of the job is not 0
 *  - COHORT_ELIMIT: more than 4294967294 items, or functions of too many modules in the cohort
 *  - COHORT_ETARGET: the task is in no module
 *  - COHORT_ENOTRUNNING: the pool is closed or terminated, also while this waited for room
 *  - APR_EAGAIN, APR_TIMEUP: there is no room for the job, and its `submit_timeout` is negative or
 *    over
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
 *  - COHORT_EOPTION, COHORT_ELIMIT, COHORT_ETARGET, COHORT_ENOTRUNNING, APR_EAGAIN, APR_TIMEUP: as
 *    cohort_pool_run()
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
 * Run a task that does ranges of items on n inputs, and wait until all are done: cohort_pool_map()
 * for items that take so little time that a call for each would cost too much.
 *
 * COHORT_MAP_RANGES() takes the sizes from the arrays.
 *
 * @param pool        the pool
 * @param range       as in cohort_job_t
 * @param inputs      as in cohort_job_t; they are not copied when they lie in the arena
 *                    (cohort_alloc()), which counts here
 * @param input_size  bytes of one input; 0: the tasks get none
 * @param n           how many; 0 is a success at once
 * @param outputs     as in cohort_job_t; NULL: dropped
 * @param output_size bytes of one output; 0: the tasks have none
 * @return as cohort_pool_run()
 */
COHORT_NODISCARD COHORT_API apr_status_t
cohort_pool_map_ranges(cohort_pool_t *pool, cohort_range_task_t range, const void *inputs,
                       apr_size_t input_size, apr_size_t n, void *outputs, apr_size_t output_size);

/** cohort_pool_map_ranges() of arrays, or of pointers with a type, from which the sizes follow. */
#define COHORT_MAP_RANGES(pool, range, inputs, n, outputs)                              \
    cohort_pool_map_ranges((pool), (range), (inputs), sizeof *(inputs), (n), (outputs), \
                           sizeof *(outputs))

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
 * Run a task once on every worker, and wait until all have: to set something up in each, to drop a
 * cache, or to ask each for something.
 *
 * Each worker does it when the task that it is at is done, before any other work, also those that
 * are being started; of a pool with `on_demand` all are started. Should a worker die over it, it is
 * charged with that as any task is, or run again by the one in its place. A worker that takes the
 * place of another later has not run it: what each needs from its beginning is for the initializer.
 *
 * When the pool becomes smaller meanwhile (cohort_pool_resize()), workers that are not there any
 * more have the status COHORT_ECANCELLED.
 *
 * @param pool        the pool
 * @param task        as in cohort_job_t; cohort_task_index() says which worker it is, from 0 on
 * @param input       what each of them gets: input_size bytes
 * @param input_size  bytes; 0: they get NULL
 * @param outputs     room for *n outputs; output i is that of the worker `"<name>-<i + 1>"`. NULL:
 *                    dropped
 * @param output_size bytes of one output; 0: the tasks have none
 * @param n           how many outputs there is room for; receives how many workers there are. May
 *                    be NULL when there are no outputs
 * @return
 *  - as cohort_pool_run()
 *  - COHORT_ETOOSMALL: *n is less than the number of workers, and nothing was run
 *  - COHORT_ENOWAIT: called by one of its workers
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_pool_run_on_each(
    cohort_pool_t *pool, cohort_task_t task, const void *input, apr_size_t input_size,
    void *outputs, apr_size_t output_size, apr_size_t *n);

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
 * cohort_task_fail() that says where: `file`, `line` and `function` of cohort_task_error_t. A call
 * of cohort_task_fail() is one of this with the caller's own; the function of that name is there
 * too, for its address, and says nowhere.
 *
 * @param file     copied; NULL: not known
 * @param line     the line in it
 * @param function copied; NULL: not known
 * @param status   as cohort_task_fail()
 * @param format   as cohort_task_fail()
 * @return as cohort_task_fail()
 *
 * Thread safety: as cohort_task_fail()
 */
COHORT_API apr_status_t cohort_task_fail_at(const char *file, int line, const char *function,
                                            apr_status_t status, const char *format, ...)
    COHORT_PRINTF(5, 6);

/** With the place of the call. */
#define cohort_task_fail(...) cohort_task_fail_at(__FILE__, __LINE__, __func__, __VA_ARGS__)

/**
 * In a task: which of the inputs it runs on.
 *
 * @return its index in the inputs of its job, of a range that of its first item; 0 outside a task:
 *         in an initializer, in a process that is no worker, in one that a task has started, in a
 *         raw fork() copy
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
 * In a task: the size of its input.
 *
 * @return bytes of the input; of a string its length without the zero. 0 outside a task, as
 *         cohort_task_index()
 */
COHORT_API apr_size_t cohort_task_input_size(void);

/**
 * In a task of a job with COHORT_BYTES as output size: make the output, or change its size.
 *
 * @code
 * static apr_status_t compress_it(const void *input, void *output) {
 *     apr_size_t size = cohort_task_input_size(), most = bound(size);
 *     void *data = cohort_task_output(most);
 *     if (!data) return APR_ENOMEM;
 *     return cohort_task_output(compress(data, most, input, size)) ? APR_SUCCESS : APR_ENOMEM;
 * }
 * @endcode
 *
 * The first call of a task allocates a block of the arena, with undefined contents. It belongs to
 * the item from then on: it is freed if the task fails or its worker dies (an attempt that is
 * repeated begins without it), and otherwise handed over as said at COHORT_BYTES, or freed with the
 * result. Do not free it. A later call makes it larger or smaller: contents are kept up to the
 * lesser of the two sizes, the address may change. A task that never calls it has no output.
 *
 * @param size bytes; 0 is an output of no bytes
 * @return the block, aligned for any type, from 64 bytes on to 64. NULL: an output that was there
 *         is as it was, and cohort_last_error() says what is wrong: APR_ENOMEM, or that this is
 *         called outside a task, as cohort_task_index() counts it, or in a job with outputs of a
 *         fixed size
 *
 * Thread safety: call it in the thread that runs the task; other threads get NULL.
 */
COHORT_API void *cohort_task_output(apr_size_t size);

/**
 * In a task: a region (region.h) for what it builds in the shared memory for its own use.
 *
 * @code
 * static apr_status_t sort_it(const void *input, void *output) {
 *     cohort_region_t *region;
 *     void *nodes;
 *     apr_status_t status = cohort_task_region(&region);
 *     if (!status) status = cohort_region_alloc(&nodes, region, size_of(input));
 *     return status ? status : sort_with(nodes, input, output);
 * }
 * @endcode
 *
 * The first call of a task makes it, later ones give the same. It is destroyed with all that is in
 * it when the task has returned, whatever it returns, before its item is done, failed, or run
 * again; and when the worker dies or is ended meanwhile (a hard cancellation, a time that is over),
 * before any process learns of that. Of a task for ranges it is that of the call. Threads and
 * processes that the task tells of it may allocate of it and clear it; should it be destroyed, the
 * next call makes another. What is to outlive the task does not belong there: see
 * cohort_task_output().
 *
 * @param region receives it; not the caller's to destroy
 * @return
 *  - APR_SUCCESS
 *  - APR_ENOMEM: the arena is full
 *  - APR_EINVAL: `region` is NULL, or this is called outside a task, as cohort_task_index() counts
 *    it, or in another thread than the task's
 *  - the common statuses of pool.h
 *
 * Thread safety: call it in the thread that runs the task; other threads get APR_EINVAL.
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_task_region(cohort_region_t **region);

/**
 * In a task: the context of its job.
 *
 * @return what the job has as `context`, or the copy of it; do not write to a copy. NULL when there
 *         is none, and outside a task, as cohort_task_index()
 */
COHORT_API const void *cohort_task_context(void);

/**
 * In a task: has it been told to stop?
 *
 *     for (; line < lines; line++) {
 *         if ((status = cohort_task_should_stop()) != APR_SUCCESS) return status;
 *         ...
 *     }
 *
 * It is a question, which costs some loads from memory: nothing interrupts the task, and what it
 * returns is its result. So a task that was told and ends its work all the same has succeeded.
 *
 * @return
 *  - APR_SUCCESS: no; also outside a task, as cohort_task_index()
 *  - COHORT_ECANCELLED: its job or its item was cancelled (cohort_result_cancel(),
 *    cohort_result_cancel_item()), or its result destroyed
 *  - COHORT_EDEADLINE: the `task_timeout` or the `timeout` of its job is over
 *  - COHORT_ETERMINATED: the pool was terminated
 *
 * Thread safety: as cohort_task_index()
 */
COHORT_API apr_status_t cohort_task_should_stop(void);

/**
 * In a worker: what it keeps from one task to the next, such as a connection or a table that its
 * initializer has read.
 *
 * @return the pointer that was last given to cohort_task_set_worker_state() in this worker; NULL
 *         before, and in a process that is no worker, such as one that a task has started
 *
 * Thread safety: the answer is that of the process, in all its threads; not while another thread
 * sets it.
 */
COHORT_API void *cohort_task_worker_state(void);

/**
 * In an initializer, a task or a finalizer: set the worker's state. As the `worker_state` of mpire,
 * and the global variables that initializers of Python's pools set.
 *
 * @param state what cohort_task_worker_state() returns from here on in this worker; it stays the
 *              caller's, and is not freed at the worker's end: a finalizer may do that
 * @return
 *  - APR_SUCCESS
 *  - APR_EINVAL: this process is no worker
 *
 * Thread safety: call it in one thread of the worker at a time.
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_task_set_worker_state(void *state);

/**
 * Wait until all workers are ready: started, and their initializers done.
 *
 * A pool works without that, with the workers that are ready. Of one with `on_demand` those are
 * waited for that are wanted at the time.
 *
 * @param pool    the pool
 * @param timeout microseconds (see types.h)
 * @return
 *  - APR_SUCCESS: at one moment all were
 *  - APR_EAGAIN: they are not, and `timeout` <= 0
 *  - APR_TIMEUP: they were not, within the time; some may fail to start while others run
 *  - the status of a start or an initializer, with its sentence (cohort_last_error()): none could
 *    be started for two seconds (see cohort_pool_create()); the pool tries on
 *  - COHORT_ENOTRUNNING: the pool is closed or terminated
 *  - COHORT_ENOWAIT: called by one of its workers
 *  - the common statuses of pool.h
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_pool_wait_ready(cohort_pool_t *pool,
                                                                apr_interval_time_t timeout);

/**
 * Change the number of workers while the pool works.
 *
 * When they become more, the new ones are started, and begin with what waits. When they become
 * fewer, those with the highest numbers end in order, each when its task is done; what is left of
 * their chunks goes to others. The call waits for neither: cohort_pool_wait_ready(),
 * cohort_pool_workers(). A worker that cannot be started is tried again as any other.
 *
 * Of a pool with `on_demand` it changes the most that there can be.
 *
 * @param pool    the pool, made by this process
 * @param workers how many; 0: as cohort_cpu_count() says now
 * @return
 *  - APR_SUCCESS
 *  - COHORT_ENOTOWNER: another process has made the pool, and only that one starts workers
 *  - COHORT_ENOTRUNNING: the pool is closed or terminated
 *  - COHORT_ELIMIT: more than 8192
 *  - APR_ENOMEM: the arena is full; the number is as it was
 *  - the common statuses of pool.h
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_pool_resize(cohort_pool_t *pool,
                                                            apr_size_t workers);

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

/** What a worker is at. */
typedef enum {
    COHORT_WORKER_STARTING, /**< It is being started, or runs its initializer. */
    COHORT_WORKER_IDLE,     /**< It runs no task. */
    COHORT_WORKER_RUNNING   /**< It runs one. */
} cohort_worker_state_t;

/** A worker, and what it runs. */
typedef struct cohort_activity_t {
    cohort_process_t *process;   /**< as of cohort_pool_workers() */
    apr_int64_t pid;             /**< 0 while it is being started */
    char name[64];               /**< of the worker */
    cohort_worker_state_t state; /**< the fields after this one are 0 unless it is RUNNING */
    /** Is `elapsed` the time since the task was called? Else the task was running already when this
     * was first asked, and `elapsed` is the time since then. */
    int exact;
    /** Of the job that the task is of; NULL for the jobs of cohort_pool_run() and its like, of an
     * imap, and of a result that was destroyed. */
    cohort_result_t *result;
    apr_size_t index;            /**< the item that it runs, as cohort_task_index() */
    apr_size_t count;            /**< 1, or the items of the range that it runs, from `index` on */
    apr_size_t attempt;          /**< which one it is, from 1 */
    apr_interval_time_t elapsed; /**< microseconds that the task has run; see `exact` */
    apr_uint64_t reserved[8];    /**< Written 0; a later version may tell more in it. */
} cohort_activity_t;

/**
 * Which worker runs which item, and since when.
 *
 * It may be asked at any time, by any process, and disturbs no worker. Each answer is true of one
 * moment during the call. Jobs with a `task_timeout` know when their tasks were called; others do
 * from the first question on: items that begin after it are timed (some ten nanoseconds for each),
 * and those of jobs that are submitted within ten seconds after a question. A pool that was never
 * asked about pays nothing.
 *
 * @param pool   the pool
 * @param list   receives an array of pointers in `parent`, a worker each, in the order of their
 *               numbers
 * @param n      receives their number
 * @param parent not NULL
 * @return APR_SUCCESS, or one of the common statuses of pool.h
 */
COHORT_API apr_status_t cohort_pool_activity(const cohort_pool_t *pool, cohort_activity_t ***list,
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
 * Stop at once, and wait until all workers have ended: cohort_pool_terminate() with a grace of the
 * caller's choice, and cohort_pool_join().
 *
 * Several calls may be under way, with different graces, and come after cohort_pool_close() and
 * cohort_pool_terminate(): what ends a worker first counts. So a pool that is being joined, or
 * stopped with a long grace, is killed by `cohort_pool_stop(pool, 0)`. As cohort_process_stop().
 *
 * @param pool  the pool, closed, terminated or neither; it is not freed
 * @param grace microseconds that workers have from being asked to terminate to being killed; 0:
 *              they are killed; COHORT_FOREVER: never
 * @return
 *  - APR_SUCCESS: they have ended
 *  - APR_EINVAL: a negative grace
 *  - COHORT_ENOWAIT: called by one of its workers
 *  - EPERM: as cohort_pool_join(), when the grace is over; with COHORT_FOREVER after a quarter of
 *    a second
 *  - the common statuses of pool.h
 */
COHORT_API apr_status_t cohort_pool_stop(cohort_pool_t *pool, apr_interval_time_t grace);

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
