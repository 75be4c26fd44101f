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
 * to the next. All functions may be called from any of them, not from signal handlers. Every
 * function may return COHORT_ENOTINIT, COHORT_ENOTMEMBER, and COHORT_EHANDLE (no live barrier;
 * waits in progress end with it when the barrier is destroyed).
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
     * party that came last; in whatever process
     *  that is, so it must be a function of the program (or of a module that all processes can
     *  load). NULL: none. */
    void (*action)(void *arg);
    /** passed to the action; memory of the arena, as the action may run in any process */
    void *action_arg;
    /** what COHORT_FOREVER means in cohort_barrier_wait(); 0: for ever */
    apr_interval_time_t timeout;
} cohort_barrier_options_t;

/**
 * Make a barrier for `parties` parties.
 *
 * @param barrier receives it
 * @param parties 1 to COHORT_BARRIER_PARTIES_MAX
 * @param options NULL for the default
 * @param pool    lives as long as the barrier, or NULL: it lives until it is destroyed
 * @return APR_SUCCESS, APR_EINVAL, APR_ENOMEM, COHORT_ELIMIT; COHORT_ETARGET (the action is in no
 *     module)
 */
COHORT_API apr_status_t cohort_barrier_create(cohort_barrier_t **barrier, unsigned parties,
                                              const cohort_barrier_options_t *options,
                                              apr_pool_t *pool);

/**
 * Meet the other parties.
 *
 * @param index   receives a number from 0 to parties - 1, another one for each party of this
 *                meeting; may be NULL. Use it to choose one of them
 * @param timeout microseconds. COHORT_FOREVER: the barrier's own time-out. <= 0 is a try: it
 *                succeeds for a party that completes the meeting, else it returns APR_EAGAIN, and
 *                the caller has not arrived (and the barrier is not broken, as Python's would be)
 * @return APR_SUCCESS: all were there, and the action has been run;
 *         APR_TIMEUP: the time ran out, and the barrier is broken now (the others get
 *         COHORT_EBROKEN; in Python all get BrokenBarrierError); also when the action takes too
 *         long. A caller in excess, which waited for a meeting to end to take part in the next one,
 *         returns it without harm to the barrier; COHORT_EBROKEN: it was broken, before or during
 *         this wait, or reset during it; COHORT_ETARGET, COHORT_EBINARY: this party had to run the
 *         action and does not have it; the barrier is broken.
 *
 * A party that has not yet come out of a wait when the barrier has been reset and more than six
 * further meetings were begun is told COHORT_EBROKEN, even if its own had succeeded.
 */
COHORT_API apr_status_t cohort_barrier_wait(cohort_barrier_t *barrier, unsigned *index,
                                            apr_interval_time_t timeout);

/** Break the barrier: all parties that wait and all that come get COHORT_EBROKEN until it is reset.
 * @return APR_SUCCESS */
COHORT_API apr_status_t cohort_barrier_abort(cohort_barrier_t *barrier);

/** Make it fresh: not broken, nobody there, nobody expected back. All parties that wait now get
 * COHORT_EBROKEN. @return APR_SUCCESS */
COHORT_API apr_status_t cohort_barrier_reset(cohort_barrier_t *barrier);

/** How many parties it takes. @return APR_SUCCESS, APR_EINVAL */
COHORT_API apr_status_t cohort_barrier_parties(cohort_barrier_t *barrier, unsigned *parties);

/** How many parties are waiting now; 0 when it is broken. @return APR_SUCCESS, APR_EINVAL */
COHORT_API apr_status_t cohort_barrier_waiting(cohort_barrier_t *barrier, unsigned *waiting);

/** Is it broken? @param broken receives 1 or 0 @return APR_SUCCESS, APR_EINVAL */
COHORT_API apr_status_t cohort_barrier_broken(cohort_barrier_t *barrier, int *broken);

/** Destroy a barrier; NULL and a destroyed one are fine. Parties that wait get COHORT_EHANDLE.
 * @return APR_SUCCESS */
COHORT_API apr_status_t cohort_barrier_destroy(cohort_barrier_t *barrier);

#ifdef __cplusplus
}
#endif

#endif
