/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/**
 * @file imap.h
 * Imaps of work through a pool: inputs are asked for one after the other, in bounded number,
 * while outputs are got one after the other. Python's imap() and imap_unordered().
 *
 *     static apr_status_t next_line(void *file, void *input) {
 *         return fgets(input, LINE, file) ? APR_SUCCESS : APR_EOF;
 *     }
 *     ...
 *     cohort_job_t job = {.task = parse, .input_size = LINE, .output_size = sizeof(record_t)};
 *     cohort_imap_options_t options = {.source = next_line, .source_arg = file};
 *     cohort_item_t item = {0};
 *     cohort_pool_imap(&imap, workers, &job, &options, NULL);
 *     while (!(status = cohort_imap_next(imap, &item, COHORT_FOREVER))) {
 *         if (!item.status) use(item.data);
 *     }
 *     cohort_item_release(&item);
 *     cohort_imap_destroy(imap);            // status is APR_EOF at the end of the input
 *
 * What a user can rely on:
 *  - Each input that was taken in yields one item, which one reader gets once; readers may be in
 *    any processes, several at a time. In an ordered imap items come in the order of the inputs.
 *  - A task that fails, or loses its worker, is its item's result and not the end of the imap.
 *  - Memory is bounded by the window, however long the input is and however slow the readers.
 *  - A reader that is killed has got its item, or another one gets it; none is got twice. When the
 *    process that made the imap dies, what it had taken in comes out, and then COHORT_EOWNERDEAD.
 *
 * Thread safety: every function of this header may be called by any thread of any process of the
 * cohort at the same time as any other, unless it says otherwise; none may be called from a signal
 * handler.
 *
 * The common statuses, which any function may return to which they can apply, are those of pool.h,
 * with COHORT_EHANDLE for what is no live imap.
 */
#ifndef COHORT_IMAP_H
#define COHORT_IMAP_H

#include <cohort/pool.h>

#ifdef __cplusplus
extern "C" {
#endif

/** An imap. Its handle is valid in every process of the cohort. */
typedef struct cohort_imap_t cohort_imap_t;

/**
 * A function that is asked for the next input of an imap.
 *
 * It is called in the process that made the imap, in the thread that calls the callbacks of
 * results (see cohort_job_t), never in two threads at a time, and only when there is room in the
 * window. All imaps and callbacks of the process share that thread, so a source that waits for
 * long delays the others. It may use everything of Cohort; cohort_imap_next() does not wait there
 * for what only this thread could take in, cohort_imap_destroy() works, also of its own imap.
 *
 * @param arg   the imap's `source_arg`
 * @param input where the input goes: `input_size` bytes of unknown contents, aligned to 64; NULL
 *              when the input size is 0. With COHORT_BYTES it is a cohort_bytes_t, with
 *              COHORT_STRINGS a `const char *`: what that points at stays as it is until the next
 *              call, or, in the arena, where it is not copied, until its item was got.
 * @return APR_SUCCESS: there is one more input. APR_EOF: there are no more. Any other status ends
 *         the input, too, and is what cohort_imap_next() returns, once, when all that was taken
 *         in before has been got.
 */
typedef apr_status_t (*cohort_source_t)(void *arg, void *input);

/** How to make an imap. Zero means the default everywhere. */
typedef struct cohort_imap_options_t {
    /** Where inputs come from; NULL: they are the array of the job. */
    cohort_source_t source;
    void *source_arg; /**< Passed to the source; stays the caller's. */
    /** Not 0: items come in the order in which they are done (Python's imap_unordered()). */
    int unordered;
    /** How many items may be taken in and not got yet, at most 65536; 0: 16 for each worker, at
     * least 64. */
    apr_size_t window;
    /** How many bytes of inputs and outputs these may have together, but for one item, which is
     * always let in; 0: no limit. Outputs that have a size each do not count, and beside inputs
     * that have one, no outputs do. */
    apr_size_t window_bytes;
    apr_uint64_t reserved[8]; /**< all 0; else COHORT_EOPTION */
} cohort_imap_options_t;

/**
 * Make an imap of work through a pool. Taking in begins at once.
 *
 * Of the job, `task`, `input_size`, `output_size` (COHORT_BYTES and COHORT_STRINGS, too),
 * `attempts` and `context` are as for any other; cohort_task_index() counts the inputs of the imap.
 * A `range` is given portions of the input, of up to 64 items, and its `first` and `last` count in
 * these. A context with a size that does not lie in the arena is copied again for each few items.
 * With a source, `inputs` is NULL and `n` is 0; without one, the array is not copied when it lies
 * in the arena, and then must not be changed or freed before the imap is destroyed; what lies
 * elsewhere is copied when the imap is made, and so are arrays of COHORT_BYTES or COHORT_STRINGS.
 * `chunk` is how many items a worker takes at once, as far as so many are there: 0 means 1, and a
 * few where tasks take but microseconds. The job has no outputs and no callbacks: they are NULL.
 *
 * The times of the job are those of each item, not of the imap: `timeout` and `queue_timeout` count
 * from when the item was taken in and submitted, `task_timeout` from when its task begins. An item
 * that is late is a result as others are, with COHORT_EDEADLINE, and ends nothing else: the input
 * is taken in as before. So that a reader that is slow makes no item late, a time is over only for
 * what was not done in it. How long a source or a reader takes has no limit of the imap's;
 * cohort_imap_next() has a timeout of its own.
 *
 * Python's imap() has no bound: its inputs are taken in as fast as they come.
 *
 * @param imap  receives the imap, only on success
 * @param pool    the pool
 * @param job     what is to be run; nothing of the struct is needed when the call returns
 * @param options NULL for the defaults
 * @param parent  the imap is destroyed with this APR pool (in the process that made it); NULL: it
 *                lives until cohort_imap_destroy()
 * @return
 *  - APR_SUCCESS
 *  - APR_EINVAL: as cohort_pool_run(); and a job with outputs, with a callback, or with an array
 *    beside a source
 *  - COHORT_EOPTION: a reserved word of the job or the options is not 0
 *  - COHORT_ELIMIT: a window of more than 65536 items, more than 4294967294 items in an array, or
 *    functions of too many modules in the cohort
 *  - COHORT_ETARGET: the task is in no module
 *  - COHORT_ENOTRUNNING: the pool is closed or terminated
 *  - APR_ENOMEM: the arena, or the memory of this process, is full
 *  - the system's reason why there is no thread for the source
 *  - the common statuses of pool.h
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_pool_imap(cohort_imap_t **imap, cohort_pool_t *pool,
                                                          const cohort_job_t *job,
                                                          const cohort_imap_options_t *options,
                                                          apr_pool_t *parent);

/**
 * Get the next item. Python's next() of the iterator.
 *
 * Where the output goes is said by the item:
 *  - `capacity` > 0: it is copied to `data`, which has so many bytes.
 *  - `capacity` 0: `data` becomes a block of the arena that belongs to the item; with COHORT_BYTES
 *    it is the one that the task made, without a copy. The next call with
 *    the same item frees it or uses it again, and cohort_item_release() frees it in the end. To
 *    keep it, take `data` and set the member to NULL: cohort_free() is the taker's part then. So an
 *    item begins as {0}.
 *
 * Of an item that has failed there is no output, and cohort_last_error() has the sentence.
 *
 * @param imap  the imap
 * @param item    receives the item: `index` counts the inputs from 0; `state` is COHORT_ITEM_DONE,
 *                _FAILED or _CANCELLED; `status` is what the task returned, COHORT_EWORKERDIED, or
 *                COHORT_ETERMINATED and the like when the work was ended before; `size` is that of
 *                the output
 * @param timeout microseconds (see types.h)
 * @return
 *  - APR_SUCCESS: there is an item; its `status` says how its task ended
 *  - APR_EOF: there are no more
 *  - APR_EAGAIN: none is ready, and `timeout` <= 0
 *  - APR_TIMEUP: none was, within the time
 *  - COHORT_ETOOSMALL: the capacity is less than the output has; `size` says what that is, and the
 *    item stays for the next call
 *  - what the source returned instead of APR_EOF, or COHORT_ENOTRUNNING when the pool was closed,
 *    terminated or destroyed before the end of the input: once, then APR_EOF
 *  - COHORT_EOWNERDEAD: the process that made the imap has ended before the end of the input; all
 *    that it had taken in has been got
 *  - COHORT_ENOWAIT: called by the source of the imap, or by another function that runs in its
 *    thread, and nothing is taken in that could be waited for
 *  - APR_EINVAL: a capacity without `data`
 *  - COHORT_EFREE: the capacity is 0 and `data` is no block of the arena
 *  - APR_ENOMEM: the arena is full; the item stays for the next call. Or, once, as what the source
 *    returned: there was no memory to submit what it gave.
 *  - the common statuses of pool.h
 *
 * Thread safety: an item is one thread's at a time.
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_imap_next(cohort_imap_t *imap, cohort_item_t *item,
                                                          apr_interval_time_t timeout);

/**
 * Free what an item has of cohort_imap_next(): the block at `data`, if its capacity is 0.
 *
 * @param item the item, which is all zero afterwards, but for `data` and `capacity` if it has a
 *             capacity; NULL is fine
 * @return
 *  - APR_SUCCESS
 *  - COHORT_EFREE: `data` is no block of the arena, or was freed already
 *  - the common statuses of pool.h
 *
 * Thread safety: an item is one thread's at a time.
 */
COHORT_API apr_status_t cohort_item_release(cohort_item_t *item);

/**
 * Destroy an imap, at any time, for all processes: no more is taken in, what is not begun is not
 * begun any more, and what was not got is dropped. Calls that wait for it end with COHORT_EHANDLE.
 *
 * In the process that made the imap it waits for a call of the source that is under way, unless
 * the source is what calls it: afterwards the source is not called any more, and what it uses may
 * be freed. That holds for an imap that was destroyed already, too, by any process or by its own
 * source. A task that runs is not interrupted.
 *
 * @param imap the imap; NULL and destroyed imaps are fine
 * @return APR_SUCCESS, or one of the common statuses of pool.h
 */
COHORT_API apr_status_t cohort_imap_destroy(cohort_imap_t *imap);

#ifdef __cplusplus
}
#endif

#endif
