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
 * Thread safety: every function of this header may be called by any thread of any process of the
 * cohort at the same time as any other, also from a pool's tasks; none may be called from a signal
 * handler.
 *
 * The common statuses, which any function may return to which they can apply:
 *  - COHORT_ENOTINIT: this process has not called cohort_initialize()
 *  - COHORT_ENOTMEMBER: this process is a raw fork() copy of a member (one that Cohort did not
 *    start)
 *  - COHORT_EHANDLE: the pointer is no live object of the type; waits in progress end with it when
 *    the object is destroyed
 *  - COHORT_ELIMIT: the cohort has too many threads
 *  - APR_EINVAL: NULL where something is needed
 *
 * For all functions:
 *  - time-outs are in microseconds (see types.h): <= 0 never blocks (APR_EAGAIN), APR_TIMEUP when
 *    the time ran out, COHORT_FOREVER;
 *  - create takes a pool with which the object is destroyed, or NULL: then it lives until it is
 *    destroyed. Only the process that made the object destroys it with the pool;
 *  - destroy takes NULL and what was destroyed before, and returns APR_SUCCESS then.
 *
 * No call makes a system call unless it has to wait, or another thread waits for what it does.
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
 * As Python's multiprocessing.Lock: not recursive, owned by the thread that acquired it, and yet to
 * be released by any thread.
 *
 * @param lock receives the lock
 * @param pool lives as long as the lock, or NULL
 * @return
 *  - APR_SUCCESS
 *  - APR_ENOMEM: the arena is full
 *  - the common statuses of sync.h
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_lock_create(cohort_lock_t **lock, apr_pool_t *pool);

/**
 * Take the lock.
 *
 * @param lock    the lock
 * @param timeout how long to wait for it, in microseconds
 * @return
 *  - APR_SUCCESS: the lock is yours
 *  - COHORT_EOWNERDEAD: the lock is yours too, and the last owner died (or its thread ended) while
 *    holding it, so what the lock protects may be half changed. Said once: release it as usual when
 *    the data is in order (POSIX: a robust mutex that was made consistent; Win32: WAIT_ABANDONED).
 *  - APR_EAGAIN: not taken, and `timeout` <= 0
 *  - APR_TIMEUP: not taken within the time
 *  - COHORT_EDEADLOCK: the calling thread holds it already and asked to wait for it, which would be
 *    for ever (Python does wait for ever). With a time-out <= 0 that is just APR_EAGAIN.
 *  - the common statuses of sync.h
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_lock_acquire(cohort_lock_t *lock,
                                                             apr_interval_time_t timeout);

/**
 * Give the lock back. Any thread of any process may do that, not the owner alone (as in Python).
 *
 * @param lock the lock
 * @return
 *  - APR_SUCCESS
 *  - COHORT_EOVERRELEASE: no thread holds it
 *  - the common statuses of sync.h
 */
COHORT_API apr_status_t cohort_lock_release(cohort_lock_t *lock);

/**
 * Which process holds the lock, for messages ("held by Process-3", see cohort_process_name()). The
 * answer may be old when it arrives.
 *
 * @param lock the lock
 * @return the process, which is not held for the caller: its handle is good for as long as its
 *         creator keeps it. NULL when the lock is free, when it is held by a process that is dead,
 *         until the next acquire (COHORT_EOWNERDEAD is in cohort_last_error() then), and for what
 *         is no live lock.
 */
COHORT_API cohort_process_t *cohort_lock_owner(const cohort_lock_t *lock);

/**
 * Destroy a lock, held or not. Threads that wait for it get COHORT_EHANDLE.
 *
 * @param lock the lock; NULL and a destroyed one are fine
 * @return APR_SUCCESS, or one of the common statuses of sync.h
 */
COHORT_API apr_status_t cohort_lock_destroy(cohort_lock_t *lock);

/* ---- RLock ---------------------------------------------------------------------------------- */

/**
 * Make a recursive lock, free. As Python's multiprocessing.RLock.
 *
 * @param lock receives the lock
 * @param pool lives as long as the lock, or NULL
 * @return as cohort_lock_create()
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_rlock_create(cohort_rlock_t **lock,
                                                             apr_pool_t *pool);

/**
 * Take the lock, or once more when the calling thread has it.
 *
 * @param lock    the lock
 * @param timeout how long to wait for it, in microseconds
 * @return as cohort_lock_acquire(), without COHORT_EDEADLOCK; COHORT_ELIMIT also when the thread
 *         has taken it four billion times
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_rlock_acquire(cohort_rlock_t *lock,
                                                              apr_interval_time_t timeout);

/**
 * Undo one acquire of the calling thread; the lock is free after the last.
 *
 * @param lock the lock
 * @return
 *  - APR_SUCCESS
 *  - COHORT_ENOTOWNER: the calling thread does not hold it
 *  - the common statuses of sync.h
 */
COHORT_API apr_status_t cohort_rlock_release(cohort_rlock_t *lock);

/**
 * Which process holds the lock.
 *
 * @param lock the lock
 * @return as cohort_lock_owner()
 */
COHORT_API cohort_process_t *cohort_rlock_owner(const cohort_rlock_t *lock);

/**
 * Destroy a recursive lock, held or not. Threads that wait for it get COHORT_EHANDLE.
 *
 * @param lock the lock; NULL and a destroyed one are fine
 * @return APR_SUCCESS, or one of the common statuses of sync.h
 */
COHORT_API apr_status_t cohort_rlock_destroy(cohort_rlock_t *lock);

/* ---- Semaphore and BoundedSemaphore --------------------------------------------------------- */

/** The most permits that a semaphore can have. */
#define COHORT_SEMAPHORE_VALUE_MAX 4294967295u

/** How a semaphore is; zero and NULL mean the default. */
typedef struct cohort_semaphore_options_t {
    /** Not 0: never more permits than at first; releasing more often than acquiring is
     * COHORT_EOVERRELEASE. */
    int bounded;
    apr_uint64_t reserved[8]; /**< all 0; else COHORT_EOPTION */
} cohort_semaphore_options_t;

/**
 * Make a semaphore with `value` permits. As Python's multiprocessing.Semaphore and
 * BoundedSemaphore.
 *
 * Which process holds how many permits is written down. When a process ends, in whatever way, what
 * it held comes back, so a set of permits never shrinks. That needs permits to be given back by the
 * process that took them. A semaphore may also be used as a signal (one process acquires, another
 * releases): from the first release by a process that does not hold that many permits on, nothing
 * comes back on a death any more, since it is not known which process a permit belonged to.
 *
 * @param semaphore receives the semaphore
 * @param value     how many permits are free at first; may be 0
 * @param options   NULL for an unbounded one
 * @param pool      lives as long as the semaphore, or NULL
 * @return
 *  - APR_SUCCESS
 *  - COHORT_EOPTION: a reserved word of the options is not 0
 *  - APR_EINVAL: `value` is more than COHORT_SEMAPHORE_VALUE_MAX
 *  - APR_ENOMEM: the arena is full
 *  - the common statuses of sync.h
 */
COHORT_NODISCARD COHORT_API apr_status_t
cohort_semaphore_create(cohort_semaphore_t **semaphore, apr_size_t value,
                        const cohort_semaphore_options_t *options, apr_pool_t *pool);

/**
 * Take one permit.
 *
 * @param semaphore the semaphore
 * @param timeout   how long to wait for a permit, in microseconds
 * @return
 *  - APR_SUCCESS
 *  - APR_EAGAIN: none is free, and `timeout` <= 0
 *  - APR_TIMEUP: none was free within the time
 *  - APR_ENOMEM: no room to write the holder down; nothing was taken
 *  - the common statuses of sync.h
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_semaphore_acquire(cohort_semaphore_t *semaphore,
                                                                  apr_interval_time_t timeout);

/**
 * Give `n` permits back, or add them.
 *
 * @param semaphore the semaphore
 * @param n         at least 1
 * @return
 *  - APR_SUCCESS
 *  - APR_EINVAL: `n` is 0
 *  - COHORT_EOVERRELEASE: it is bounded and there would be more permits than at first, or more than
 *    COHORT_SEMAPHORE_VALUE_MAX; nothing was changed
 *  - the common statuses of sync.h
 */
COHORT_API apr_status_t cohort_semaphore_release(cohort_semaphore_t *semaphore, apr_size_t n);

/**
 * How many permits are free now.
 *
 * @param semaphore the semaphore
 * @return their number; 0 for what is no live semaphore
 */
COHORT_API apr_size_t cohort_semaphore_value(const cohort_semaphore_t *semaphore);

/**
 * Destroy a semaphore. Threads that wait for it get COHORT_EHANDLE.
 *
 * @param semaphore the semaphore; NULL and a destroyed one are fine
 * @return APR_SUCCESS, or one of the common statuses of sync.h
 */
COHORT_API apr_status_t cohort_semaphore_destroy(cohort_semaphore_t *semaphore);

/* ---- Condition ------------------------------------------------------------------------------ */

/**
 * Make a condition variable.
 *
 * As Python's multiprocessing.Condition, with a Lock: acquire, while not what you wait for wait,
 * release.
 *
 * @param condition receives the condition
 * @param lock      the lock that goes with it, which several conditions may share and which must
 *                  live as long as they; NULL: it gets its own
 * @param pool      lives as long as the condition, or NULL
 * @return
 *  - APR_SUCCESS
 *  - APR_ENOMEM: the arena is full
 *  - the common statuses of sync.h, COHORT_EHANDLE also of `lock`
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_condition_create(cohort_condition_t **condition,
                                                                 cohort_lock_t *lock,
                                                                 apr_pool_t *pool);

/**
 * Take the condition's lock, as cohort_lock_acquire().
 *
 * @param condition the condition
 * @param timeout   how long to wait for the lock, in microseconds
 * @return as cohort_lock_acquire(); COHORT_EHANDLE also when the lock is destroyed
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_condition_acquire(cohort_condition_t *condition,
                                                                  apr_interval_time_t timeout);

/**
 * Give the condition's lock back, as cohort_lock_release().
 *
 * @param condition the condition
 * @return as cohort_lock_release(); COHORT_EHANDLE also when the lock is destroyed
 */
COHORT_API apr_status_t cohort_condition_release(cohort_condition_t *condition);

/**
 * Release the lock, sleep until notified, and take the lock again.
 *
 * The lock is held again whenever this returns one of the first four statuses; it is waited for
 * without limit, whatever the time-out. There are no spurious wake-ups: APR_SUCCESS means one
 * notification of a notify that came after this call began.
 *
 * @param condition the condition
 * @param timeout   how long to wait for a notification, in microseconds
 * @return
 *  - APR_SUCCESS: notified
 *  - COHORT_EOWNERDEAD: the last owner died while holding the lock; this is said rather than
 *    APR_SUCCESS or APR_TIMEUP, so look at the data to see what happened
 *  - APR_TIMEUP: no notification in time
 *  - APR_EAGAIN: the time-out was <= 0, and the lock was not released meanwhile
 *  - COHORT_ENOTOWNER: the calling thread does not hold the lock; nothing was done
 *  - APR_ENOMEM: no room for one more waiter; the lock is still held
 *  - COHORT_EHANDLE: the condition or its lock is destroyed (the lock, if it still lives, is held
 *    again)
 *  - the other common statuses of sync.h
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_condition_wait(cohort_condition_t *condition,
                                                               apr_interval_time_t timeout);

/**
 * Wait until a predicate holds. As Python's Condition.wait_for().
 *
 * The predicate is called with the lock held, first at once and then after each notification, in
 * the calling thread.
 *
 * @param condition the condition
 * @param predicate says whether the wait is over (not 0)
 * @param arg       passed to it
 * @param timeout   microseconds, for all together
 * @return
 *  - APR_SUCCESS: the predicate holds
 *  - APR_TIMEUP, APR_EAGAIN: it did not, in the end
 *  - COHORT_EOWNERDEAD: as cohort_condition_wait(); the predicate was not asked then
 *  - APR_EINVAL: `predicate` is NULL
 *  - the others as cohort_condition_wait()
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_condition_wait_for(cohort_condition_t *condition,
                                                                   int (*predicate)(void *arg),
                                                                   void *arg,
                                                                   apr_interval_time_t timeout);

/**
 * Wake up to `n` of the threads that wait now, those first that have waited longest.
 *
 * If the receiver of a notification dies before it is back from its wait, the notification goes on
 * to the next thread that waited when it was given.
 *
 * @param condition the condition
 * @param n         how many at most
 * @return
 *  - APR_SUCCESS, also when no thread waits
 *  - COHORT_ENOTOWNER: the calling thread does not hold the lock
 *  - the common statuses of sync.h, COHORT_EHANDLE also of the lock
 */
COHORT_API apr_status_t cohort_condition_notify(cohort_condition_t *condition, apr_size_t n);

/**
 * Wake all threads that wait now.
 *
 * @param condition the condition
 * @return as cohort_condition_notify()
 */
COHORT_API apr_status_t cohort_condition_notify_all(cohort_condition_t *condition);

/**
 * Destroy a condition, with its own lock but not with the caller's. Threads that wait get
 * COHORT_EHANDLE.
 *
 * @param condition the condition; NULL and a destroyed one are fine
 * @return APR_SUCCESS, or one of the common statuses of sync.h
 */
COHORT_API apr_status_t cohort_condition_destroy(cohort_condition_t *condition);

/* ---- Event ---------------------------------------------------------------------------------- */

/**
 * Make an event, not set. As Python's multiprocessing.Event; Win32: a manual-reset event.
 *
 * @param event receives the event
 * @param pool  lives as long as the event, or NULL
 * @return
 *  - APR_SUCCESS
 *  - APR_ENOMEM: the arena is full
 *  - the common statuses of sync.h
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_event_create(cohort_event_t **event,
                                                             apr_pool_t *pool);

/**
 * Set it: every thread that waits returns, even if it is cleared right after, and a thread that
 * comes later does not wait.
 *
 * @param event the event
 * @return APR_SUCCESS, or one of the common statuses of sync.h
 */
COHORT_API apr_status_t cohort_event_set(cohort_event_t *event);

/**
 * Clear it: a thread that comes from now on waits.
 *
 * @param event the event
 * @return APR_SUCCESS, or one of the common statuses of sync.h
 */
COHORT_API apr_status_t cohort_event_clear(cohort_event_t *event);

/**
 * Wait until it is set.
 *
 * @param event   the event
 * @param timeout microseconds
 * @return
 *  - APR_SUCCESS: it is set, or was during the wait
 *  - APR_EAGAIN: it is not, and `timeout` <= 0
 *  - APR_TIMEUP: it was not within the time
 *  - the common statuses of sync.h
 */
COHORT_API apr_status_t cohort_event_wait(cohort_event_t *event, apr_interval_time_t timeout);

/**
 * Is it set?
 *
 * @param event the event
 * @return 1 or 0; 0 also for what is no live event
 */
COHORT_API int cohort_event_is_set(const cohort_event_t *event);

/**
 * Destroy an event. Threads that wait for it get COHORT_EHANDLE.
 *
 * @param event the event; NULL and a destroyed one are fine
 * @return APR_SUCCESS, or one of the common statuses of sync.h
 */
COHORT_API apr_status_t cohort_event_destroy(cohort_event_t *event);

#ifdef __cplusplus
}
#endif

#endif
