/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/**
 * @file sync.h
 * Lock, RLock, Semaphore, Condition and Event between processes, and between threads of any of
 * them.
 *
 * The meaning is that of Python's multiprocessing, plus what a death asks for: any process may be
 * killed at any instruction, and none of these objects stays held, hangs its users or is torn. The
 * handles are pointers into the shared arena: pass them to a child in its arguments, put them into
 * structures, send them through queues.
 *
 * For all functions of this header:
 *  - they may be called by any thread of any process of the cohort, also from a pool's tasks; not
 *    from signal handlers;
 *  - a raw fork() copy of a member (one that Cohort did not start) gets COHORT_ENOTMEMBER, and
 *    COHORT_ENOTINIT is what a process gets that has not called cohort_initialize();
 *  - COHORT_EHANDLE means that the pointer is no live object of the type; waits in progress end
 *    with it when the object is destroyed;
 *  - time-outs are in microseconds (see types.h): <= 0 never blocks (APR_EAGAIN), APR_TIMEUP when
 *    the time ran out, COHORT_FOREVER;
 *  - create takes a pool with which the object is destroyed, or NULL: then it lives until it is
 *    destroyed. Only the process that made the object destroys it with the pool. Create may return
 *    APR_ENOMEM (the arena is full) and COHORT_ELIMIT;
 *  - destroy takes NULL and what was destroyed before, and returns APR_SUCCESS then.
 *
 * No call makes a system call unless it has to wait, or somebody else waits for what it does.
 */
#ifndef COHORT_SYNC_H
#define COHORT_SYNC_H

#include <cohort/errors.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Lock ----------------------------------------------------------------------------------- */

/**
 * Make a lock, free.
 *
 * @param lock receives the lock
 * @param pool lives as long as the lock, or NULL
 * @return APR_SUCCESS, APR_EINVAL (lock is NULL), APR_ENOMEM, COHORT_ELIMIT
 *
 * As Python's multiprocessing.Lock: not recursive, owned by the thread that acquired it, and yet to
 * be released by anybody.
 */
COHORT_API apr_status_t cohort_lock_create(cohort_lock_t **lock, apr_pool_t *pool);

/**
 * Take the lock.
 *
 * @return APR_SUCCESS: the lock is yours;
 *         COHORT_EOWNERDEAD: the lock is yours too, and the last owner died (or its thread ended)
 *         while holding it, so what the lock protects may be half changed. Said once: release it as
 *         usual when the data is in order (POSIX: a robust mutex that was made consistent; Win32:
 *         WAIT_ABANDONED);
 *         APR_EAGAIN, APR_TIMEUP: not taken;
 *         COHORT_EDEADLOCK: the calling thread holds it already and asked to wait for it, which
 *         would be for ever (Python does wait for ever). With a time-out <= 0 that is just
 *         APR_EAGAIN;
 *         COHORT_EHANDLE.
 */
COHORT_API apr_status_t cohort_lock_acquire(cohort_lock_t *lock, apr_interval_time_t timeout);

/**
 * Give the lock back. Any thread of any process may do that, not the owner alone (as in Python).
 *
 * @return APR_SUCCESS, COHORT_EOVERRELEASE (nobody holds it), COHORT_EHANDLE
 */
COHORT_API apr_status_t cohort_lock_release(cohort_lock_t *lock);

/**
 * Which process holds the lock, for messages ("held by Process-3", see cohort_process_name()). The
 * answer may be old when it arrives.
 *
 * @param owner receives the process, or NULL when the lock is free. The process is not held for the
 *              caller: its handle is good for as long as its creator keeps it
 * @return APR_SUCCESS; COHORT_EOWNERDEAD with NULL in *owner: held by a process that is dead, until
 *     the next acquire; APR_EINVAL; COHORT_EHANDLE
 */
COHORT_API apr_status_t cohort_lock_owner(cohort_lock_t *lock, cohort_process_t **owner);

/** Destroy a lock, held or not. Threads that wait for it get COHORT_EHANDLE. @return APR_SUCCESS */
COHORT_API apr_status_t cohort_lock_destroy(cohort_lock_t *lock);

/* ---- RLock ---------------------------------------------------------------------------------- */

/** Make a recursive lock, free. As cohort_lock_create() and Python's multiprocessing.RLock. */
COHORT_API apr_status_t cohort_rlock_create(cohort_rlock_t **lock, apr_pool_t *pool);

/**
 * Take the lock, or once more when the calling thread has it.
 *
 * @return as cohort_lock_acquire(), without COHORT_EDEADLOCK. COHORT_ELIMIT: taken four billion
 *     times.
 */
COHORT_API apr_status_t cohort_rlock_acquire(cohort_rlock_t *lock, apr_interval_time_t timeout);

/**
 * Undo one acquire of the calling thread; the lock is free after the last.
 *
 * @return APR_SUCCESS, COHORT_ENOTOWNER (the calling thread does not hold it), COHORT_EHANDLE
 */
COHORT_API apr_status_t cohort_rlock_release(cohort_rlock_t *lock);

/** As cohort_lock_owner(). */
COHORT_API apr_status_t cohort_rlock_owner(cohort_rlock_t *lock, cohort_process_t **owner);

/** As cohort_lock_destroy(). */
COHORT_API apr_status_t cohort_rlock_destroy(cohort_rlock_t *lock);

/* ---- Semaphore and BoundedSemaphore --------------------------------------------------------- */

/** How a semaphore is; zero and NULL mean the default. */
typedef struct cohort_semaphore_options_t {
    /** never more permits than at first: releasing more often than acquiring is
     * COHORT_EOVERRELEASE */
    int bounded;
} cohort_semaphore_options_t;

/**
 * Make a semaphore with `value` permits.
 *
 * Which process holds how many permits is written down. When a process ends, in whatever way, what
 * it held comes back, so a set of permits never shrinks. That needs permits to be given back by the
 * process that took them. A semaphore may also be used as a signal (one process acquires, another
 * releases): from the first release by a process that does not hold that many permits on, nothing
 * comes back on a death any more, since nobody could say which process a permit belonged to.
 *
 * @param options NULL for an unbounded one
 * @return APR_SUCCESS, APR_EINVAL, APR_ENOMEM, COHORT_ELIMIT
 *
 * As Python's multiprocessing.Semaphore and BoundedSemaphore.
 */
COHORT_API apr_status_t cohort_semaphore_create(cohort_semaphore_t **semaphore, unsigned value,
                                                const cohort_semaphore_options_t *options,
                                                apr_pool_t *pool);

/**
 * Take one permit.
 * @return APR_SUCCESS, APR_EAGAIN, APR_TIMEUP, COHORT_EHANDLE; APR_ENOMEM (no room to write the
 *     holder down; nothing was taken)
 */
COHORT_API apr_status_t cohort_semaphore_acquire(cohort_semaphore_t *semaphore,
                                                 apr_interval_time_t timeout);

/**
 * Give `n` permits back, or add them.
 * @return APR_SUCCESS; APR_EINVAL (n is 0); COHORT_EOVERRELEASE: it is bounded and there would be
 *         more permits than at first, or more than an unsigned int can count; nothing was changed;
 *         COHORT_EHANDLE
 */
COHORT_API apr_status_t cohort_semaphore_release(cohort_semaphore_t *semaphore, unsigned n);

/** How many permits are free now. @return APR_SUCCESS, APR_EINVAL, COHORT_EHANDLE */
COHORT_API apr_status_t cohort_semaphore_value(cohort_semaphore_t *semaphore, unsigned *value);

/** Destroy a semaphore. Threads that wait for it get COHORT_EHANDLE. @return APR_SUCCESS */
COHORT_API apr_status_t cohort_semaphore_destroy(cohort_semaphore_t *semaphore);

/* ---- Condition ------------------------------------------------------------------------------ */

/**
 * Make a condition variable.
 *
 * @param lock the lock that goes with it, which several conditions may share and which must live as
 *     long as they; NULL: it gets its own
 * @return APR_SUCCESS, APR_EINVAL, APR_ENOMEM, COHORT_ELIMIT, COHORT_EHANDLE (of lock)
 *
 * As Python's multiprocessing.Condition, with a Lock: acquire, while not what you wait for wait,
 * release.
 */
COHORT_API apr_status_t cohort_condition_create(cohort_condition_t **condition, cohort_lock_t *lock,
                                                apr_pool_t *pool);

/** cohort_lock_acquire() of the condition's lock. */
COHORT_API apr_status_t cohort_condition_acquire(cohort_condition_t *condition,
                                                 apr_interval_time_t timeout);

/** cohort_lock_release() of the condition's lock. */
COHORT_API apr_status_t cohort_condition_release(cohort_condition_t *condition);

/**
 * Release the lock, sleep until notified, and take the lock again.
 *
 * The lock is held again whenever this returns one of the first four; it is waited for without
 * limit, whatever the time-out. There are no spurious wake-ups: APR_SUCCESS means one notification
 * of a notify that came after this call began.
 *
 * @return APR_SUCCESS: notified;
 *         COHORT_EOWNERDEAD: the last owner died while holding the lock; this is said rather than
 *         APR_SUCCESS or APR_TIMEUP, so look at the data to see what happened;
 *         APR_TIMEUP: nobody notified in time; APR_EAGAIN: the time-out was <= 0, and the lock was
 *         not released meanwhile; COHORT_ENOTOWNER: the calling thread does not hold the lock;
 *         nothing was done; APR_ENOMEM: no room for one more waiter; the lock is still held;
 *         COHORT_EHANDLE: the condition or its lock is destroyed (the lock, if it still lives, is
 *         held again).
 */
COHORT_API apr_status_t cohort_condition_wait(cohort_condition_t *condition,
                                              apr_interval_time_t timeout);

/**
 * Wait until a predicate holds: it is called with the lock held, first at once and then after each
 * notification, in the calling thread.
 *
 * @param predicate says whether the wait is over (not 0)
 * @param arg       passed to it
 * @param timeout   for all together
 * @return APR_SUCCESS: the predicate holds; APR_TIMEUP, APR_EAGAIN: it did not, in the end;
 *         COHORT_EOWNERDEAD: as above, the predicate was not asked then; APR_EINVAL; the others as
 *         cohort_condition_wait(). As Python's Condition.wait_for().
 */
COHORT_API apr_status_t cohort_condition_wait_for(cohort_condition_t *condition,
                                                  int (*predicate)(void *arg), void *arg,
                                                  apr_interval_time_t timeout);

/**
 * Wake up to `n` of the threads that wait now, those first that have waited longest. If the
 * receiver of a notification dies before it is back from its wait, the notification goes on to the
 * next thread that waited when it was given.
 *
 * @return APR_SUCCESS (also when nobody waits), COHORT_ENOTOWNER (the calling thread does not hold
 *     the lock), COHORT_EHANDLE
 */
COHORT_API apr_status_t cohort_condition_notify(cohort_condition_t *condition, unsigned n);

/** Wake all threads that wait now. @return as cohort_condition_notify() */
COHORT_API apr_status_t cohort_condition_notify_all(cohort_condition_t *condition);

/** Destroy a condition, with its own lock but not with the caller's. Threads that wait get
 * COHORT_EHANDLE. @return APR_SUCCESS */
COHORT_API apr_status_t cohort_condition_destroy(cohort_condition_t *condition);

/* ---- Event ---------------------------------------------------------------------------------- */

/** Make an event, not set. As Python's multiprocessing.Event; Win32: a manual-reset event. @return
 * APR_SUCCESS, APR_EINVAL, APR_ENOMEM, COHORT_ELIMIT */
COHORT_API apr_status_t cohort_event_create(cohort_event_t **event, apr_pool_t *pool);

/** Set it: every thread that waits returns, even if it is cleared right after, and a thread that
 * comes later does not wait. @return APR_SUCCESS, COHORT_EHANDLE */
COHORT_API apr_status_t cohort_event_set(cohort_event_t *event);

/** Clear it: a thread that comes from now on waits. @return APR_SUCCESS, COHORT_EHANDLE */
COHORT_API apr_status_t cohort_event_clear(cohort_event_t *event);

/** Wait until it is set. @return APR_SUCCESS, APR_EAGAIN, APR_TIMEUP, COHORT_EHANDLE */
COHORT_API apr_status_t cohort_event_wait(cohort_event_t *event, apr_interval_time_t timeout);

/** Is it set? @param is_set receives 1 or 0 @return APR_SUCCESS, APR_EINVAL, COHORT_EHANDLE */
COHORT_API apr_status_t cohort_event_is_set(cohort_event_t *event, int *is_set);

/** Destroy an event. Threads that wait for it get COHORT_EHANDLE. @return APR_SUCCESS */
COHORT_API apr_status_t cohort_event_destroy(cohort_event_t *event);

#ifdef __cplusplus
}
#endif

#endif
