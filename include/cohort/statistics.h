/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/**
 * @file statistics.h
 * What the workers of a pool have done, how long it took, and what waits: as numbers, and as a
 * table for people.
 *
 *     cohort_pool_options_t options = {.workers = 4, .statistics = 1};
 *     cohort_pool_create(&workers, &options, pool);
 *     ...
 *     cohort_pool_print_statistics(workers, NULL);
 *
 * What a user can rely on:
 *  - Any process of the cohort may ask at any time, also while the pool works; no worker is
 *    disturbed by that.
 *  - Each item that a worker has ended is counted once, as done, failed or cancelled, when the
 *    result says so, whatever process dies at whatever moment. Numbers that are read while workers
 *    run are each true of some moment of the call.
 *  - What was counted of a worker is kept when it ends: the counters are those of its place, which
 *    the worker that takes the place goes on with.
 *  - A pool counts only with `statistics` in its options. Without it nothing is counted, nothing
 *    becomes slower, and only what can be looked at (queue, processes, memory now) is told.
 *
 * Times are measured for each run of a task (of a range: each call) with the monotonic clock, which
 * costs 35 to 85 nanoseconds for a task: docs/performance.md has the numbers. They are kept as
 * histograms with cells of 6.25 %: a percentile is at most 3.2 % off, the count, the mean and the
 * maximum are exact. What is longer than 9.7 hours is told as that by percentiles.
 *
 * Thread safety: every function of this header may be called by any thread of any process of the
 * cohort at the same time as any other; none may be called from a signal handler.
 */
#ifndef COHORT_STATISTICS_H
#define COHORT_STATISTICS_H

#include <apr_file_io.h>
#include <cohort/pool.h>

#ifdef __cplusplus
extern "C" {
#endif

/** How times are spread, in nanoseconds. All of it is 0 when there were none. */
typedef struct cohort_spread_t {
    apr_uint64_t count; /**< how many there were */
    apr_uint64_t mean;  /**< their mean */
    apr_uint64_t p50;   /**< half of them were no longer */
    apr_uint64_t p99;   /**< 99 of 100 were no longer */
    apr_uint64_t max;   /**< the longest one */
} cohort_spread_t;

/** What was counted of a worker's place, or of a whole pool. */
typedef struct cohort_counts_t {
    apr_uint64_t done; /**< items of which the task returned APR_SUCCESS */
    /** Items that have failed: by what their tasks returned, or as their workers died. */
    apr_uint64_t failed;
    /** Items that were cancelled or were out of time, before they were begun or while they ran
     * (COHORT_ECANCELLED, COHORT_EDEADLINE). Those that no worker has begun, or that waited to be
     * run again, are counted of the pool alone, when their job is over; those of a pool that was
     * terminated are not. */
    apr_uint64_t cancelled;
    /** Runs that were followed by another one of the same item: a status of `retry_on`, or a worker
     * that died, with attempts left. */
    apr_uint64_t retried;
    apr_uint64_t starts;      /**< workers that were started; after the first one, replacements */
    apr_uint64_t deaths;      /**< of these, that have not ended in order */
    apr_interval_time_t busy; /**< microseconds that workers were at jobs, up to now */
    apr_interval_time_t idle; /**< microseconds that they were ready and had nothing to do */
    apr_int64_t memory;       /**< bytes that they have in memory now, together, as
                                   cohort_process_info_t has it; -1: not known */
    /** The most bytes that one worker had in memory at one time, as far as it was looked: ten times
     * a second while it works, and now. What it has touched of the arena is in it. -1: not
     * known. */
    apr_int64_t memory_most;
    cohort_spread_t run;      /**< how long tasks took, from being called to their return */
    cohort_spread_t wait;     /**< from the submission of a job to when its items were begun */
    apr_uint64_t reserved[8]; /**< written 0; a later version may tell more in it */
} cohort_counts_t;

/** A place for a worker, and the worker that has it now. */
typedef struct cohort_worker_statistics_t {
    char name[64];             /**< of the worker: `"<pool>-<number>"` */
    cohort_process_t *process; /**< as of cohort_pool_workers(); NULL: no worker is there now */
    apr_int64_t pid;           /**< 0: none, or it is being started */
    cohort_counts_t counts;    /**< of all workers that have had the place */
    apr_uint64_t reserved[4];  /**< written 0 */
} cohort_worker_statistics_t;

/** Of a pool. */
typedef struct cohort_pool_statistics_t {
    char name[64];               /**< of the pool */
    int counted;                 /**< 0: it has no `statistics`, and what has to be counted is 0 */
    apr_interval_time_t elapsed; /**< microseconds since it was made; 0 if nothing is counted */
    apr_uint64_t jobs;           /**< that are not done now */
    apr_uint64_t items;          /**< of these jobs, that have not ended */
    apr_uint64_t jobs_most;      /**< the most jobs that were not done at one time */
    apr_uint64_t items_most;     /**< the most items that such jobs had, ended or not */
    apr_uint64_t submitted;      /**< jobs that were submitted: maps, single tasks, each portion of
                                      an imap */
    cohort_counts_t counts;      /**< of all workers together */
    /** An array of pointers, a place each, in the order of their numbers: those with a worker, and
     * those that have had one, if that is counted. */
    cohort_worker_statistics_t **workers;
    apr_size_t n;             /**< their number */
    apr_uint64_t reserved[8]; /**< written 0 */
} cohort_pool_statistics_t;

/**
 * What the pool has done so far.
 *
 * Its jobs that are not done and its workers are looked at, some microseconds for each.
 *
 * @param pool       the pool, closed, terminated or neither
 * @param statistics receives them, in `parent`
 * @param parent     not NULL
 * @return APR_SUCCESS, or one of the common statuses of pool.h
 */
COHORT_API apr_status_t cohort_pool_statistics(const cohort_pool_t *pool,
                                               cohort_pool_statistics_t **statistics,
                                               apr_pool_t *parent);

/**
 * The same as a table: a line of the pool, a head, a line for each worker, and one of them all.
 *
 * @param table      receives the text, with an end of line after each, in `parent`
 * @param statistics of cohort_pool_statistics()
 * @param parent     not NULL
 * @return APR_SUCCESS, or APR_EINVAL: an argument is NULL
 */
COHORT_API apr_status_t cohort_statistics_table(char **table,
                                                const cohort_pool_statistics_t *statistics,
                                                apr_pool_t *parent);

/**
 * Print the table.
 *
 * @param pool the pool
 * @param file where to; it stays the caller's. NULL: stderr
 * @return APR_SUCCESS, the reason why nothing could be written, or one of the common statuses of
 *         pool.h
 */
COHORT_API apr_status_t cohort_pool_print_statistics(const cohort_pool_t *pool, apr_file_t *file);

#ifdef __cplusplus
}
#endif

#endif
