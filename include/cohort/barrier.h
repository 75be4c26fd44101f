/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/**
 * @file barrier.h
 * A barrier: a fixed number of parties meet, and go on together; as Python's threading.Barrier and
 * multiprocessing.Barrier.
 *
 * A barrier is broken, for all parties that wait and all that come, when a wait's time runs out,
 * when it is aborted, when a party dies while it waits or runs the action, and when a process that
 * took part in the last meeting is killed or crashes before the next (a process that returned, or
 * called exit() or cohort_exit(), does not break it: others may take its place). It stays broken
 * until it is reset.
 *
 * A party is a thread of any process of the cohort; which threads come may change from one meeting
 * to the next.
 *
 * Thread safety: every function of this header may be called by any thread of any process of the
 * cohort at the same time as any other; none may be called from a signal handler.
 *
 * The common statuses, which any function may return to which they can apply:
 *  - COHORT_ENOTINIT: this process has not called cohort_initialize()
 *  - COHORT_ENOTMEMBER: this process is a raw fork() copy of a member
 *  - COHORT_EHANDLE: the pointer is no live barrier; waits in progress end with it when the barrier
 *    is destroyed
 *  - COHORT_ELIMIT: the cohort has too many threads
 *  - APR_EINVAL: NULL where something is needed
 */
#ifndef COHORT_BARRIER_H
#define COHORT_BARRIER_H

#include <cohort/errors.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The most parties a barrier can have. */
#define COHORT_BARRIER_PARTIES_MAX 65535u

/** How a barrier is; zero and NULL mean the default. */
typedef struct cohort_barrier_options_t {
    /** Called once per meeting, when all are there and before any goes on, in the thread of the
     * party that came last; in whatever process that is, so it must be a function of the program
     * (or of a module that all processes can load). NULL: none. */
    void (*action)(void *arg);
    /** Passed to the action; memory of the arena, as the action may run in any process. */
    void *action_arg;
    /** What COHORT_FOREVER means in cohort_barrier_wait(), in microseconds; 0: for ever. */
    apr_interval_time_t timeout;
    apr_uint64_t reserved[8]; /**< all 0; else COHORT_EOPTION */
} cohort_barrier_options_t;

/**
 * Make a barrier for `parties` parties.
 *
 * @param barrier receives it
 * @param parties 1 to COHORT_BARRIER_PARTIES_MAX
 * @param options NULL for the default
 * @param pool    lives as long as the barrier, or NULL: it lives until it is destroyed. Only the
 *                process that made the barrier destroys it with the pool.
 * @return
 *  - APR_SUCCESS
 *  - COHORT_EOPTION: a reserved word of the options is not 0
 *  - APR_EINVAL: no such number of parties, or the time-out in the options is negative
 *  - APR_ENOMEM: the arena is full
 *  - COHORT_ETARGET: the action is in no module
 *  - COHORT_ELIMIT: the cohort uses functions of too many modules
 *  - the common statuses of barrier.h
 */
COHORT_NODISCARD COHORT_API apr_status_t
cohort_barrier_create(cohort_barrier_t **barrier, apr_size_t parties,
                      const cohort_barrier_options_t *options, apr_pool_t *pool);

/**
 * Meet the other parties.
 *
 * A party that has not yet come out of a wait when the barrier has been reset and more than six
 * further meetings were begun is told COHORT_EBROKEN, even if its own had succeeded.
 *
 * @param barrier the barrier
 * @param index   receives a number from 0 to parties - 1, another one for each party of this
 *                meeting; may be NULL. Use it to choose one of them.
 * @param timeout microseconds. COHORT_FOREVER: the barrier's own time-out. <= 0 is a try: it
 *                succeeds for a party that completes the meeting, else it returns APR_EAGAIN, and
 *                the caller has not arrived (and the barrier is not broken, as Python's would be).
 * @return
 *  - APR_SUCCESS: all were there, and the action has been run
 *  - APR_EAGAIN: `timeout` <= 0, and others are missing
 *  - APR_TIMEUP: the time ran out, and the barrier is broken now (the others get COHORT_EBROKEN; in
 *    Python all get BrokenBarrierError); also when the action takes too long. A caller in excess,
 *    which waited for a meeting to end to take part in the next one, returns it without harm to the
 *    barrier.
 *  - COHORT_EBROKEN: it was broken, before or during this wait, or reset during it
 *  - COHORT_ETARGET, COHORT_EBINARY: this party had to run the action and does not have it; the
 *    barrier is broken
 *  - the common statuses of barrier.h
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_barrier_wait(cohort_barrier_t *barrier,
                                                             apr_size_t *index,
                                                             apr_interval_time_t timeout);

/**
 * Break the barrier: all parties that wait and all that come get COHORT_EBROKEN until it is reset.
 *
 * @param barrier the barrier
 * @return APR_SUCCESS, also when it is broken already, or one of the common statuses of barrier.h
 */
COHORT_API apr_status_t cohort_barrier_abort(cohort_barrier_t *barrier);

/**
 * Make it fresh: not broken, no party there, none expected back. All parties that wait now get
 * COHORT_EBROKEN.
 *
 * @param barrier the barrier
 * @return APR_SUCCESS, or one of the common statuses of barrier.h
 */
COHORT_API apr_status_t cohort_barrier_reset(cohort_barrier_t *barrier);

/**
 * How many parties it takes.
 *
 * @param barrier the barrier
 * @return their number; 0 for what is no live barrier
 */
COHORT_API apr_size_t cohort_barrier_parties(const cohort_barrier_t *barrier);

/**
 * How many parties are waiting now.
 *
 * @param barrier the barrier
 * @return their number; 0 when the barrier is broken, and for what is no live barrier
 */
COHORT_API apr_size_t cohort_barrier_waiting(const cohort_barrier_t *barrier);

/**
 * Is it broken? A party that has died breaks it, as for one that waits.
 *
 * @param barrier the barrier
 * @return 1 or 0; 1 also for what is no live barrier
 */
COHORT_API int cohort_barrier_is_broken(const cohort_barrier_t *barrier);

/**
 * Destroy a barrier. Parties that wait get COHORT_EHANDLE.
 *
 * @param barrier the barrier; NULL and a destroyed one are fine
 * @return APR_SUCCESS, or one of the common statuses of barrier.h
 */
COHORT_API apr_status_t cohort_barrier_destroy(cohort_barrier_t *barrier);

#ifdef __cplusplus
}
#endif

#endif
