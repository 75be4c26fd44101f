/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks that the dead cannot hold. The word names the owner; a waiting thread checks that the owner
 * lives and takes over if not.
 *
 * A guard is such a lock with an undo journal: changes of arena words made through
 * cohort__guard_set() are undone as a whole when the owner dies before cohort__guard_leave(), so
 * what a guard protects is consistent for every next owner. It is Cohort's tool for everything that
 * is not hot enough to deserve a lock-free algorithm.
 *
 * A thread holds one guard at a time, and within it that of the heap at most, which is the
 * innermost. So guards need no order, and a thread that waits for one holds up no other: it may
 * repair the death of the guard's owner, whichever guards that takes (tests/faults/guards.c looks).
 */
#ifndef COHORT_CORE_LOCK_H
#define COHORT_CORE_LOCK_H

#include "core/memory/thread.h"

typedef struct {
    _Atomic cohort__tid_t owner;
    cohort__eventcount_t freed;
} cohort__lock_t;

/* The whole of an acquisition when the lock is free: one compare-and-swap. */
static inline bool cohort__lock_quick(cohort__lock_t *lock, cohort__thread_t *me) {
    cohort__tid_t nobody = 0;
    return atomic_compare_exchange_strong(&lock->owner, &nobody, me->id);
}
/* APR_SUCCESS; COHORT_EOWNERDEAD: taken over from a dead owner (and held); APR_EAGAIN / APR_TIMEUP;
 * COHORT_EDEADLOCK: held by the caller. */
apr_status_t cohort__lock_acquire(cohort__lock_t *lock, cohort__thread_t *me, int64_t deadline);
/* Whichever thread holds it: the owner is not checked. */
void cohort__lock_release(cohort__lock_t *lock);
/* The thread that holds it, 0 = free. */
static inline cohort__tid_t cohort__lock_owner(const cohort__lock_t *lock) {
    return atomic_load_explicit(&((cohort__lock_t *)lock)->owner, memory_order_acquire);
}

#define COHORT__JOURNAL 12

typedef struct {
    cohort__lock_t lock;
    _Atomic uint32_t changes;
    struct {
        _Atomic(_Atomic uint64_t *) word;
        _Atomic uint64_t old;
    } journal[COHORT__JOURNAL];
} cohort__guard_t;

/* Never fails for a member: it waits for a live owner and takes over from a dead one, once the
 * block that the dead one had on the move, if any, has been settled by the repair of its process
 * (which this call begins, unless the thread holds another guard). */
void cohort__guard_enter(cohort__guard_t *guard, cohort__thread_t *me);
/* For the heap alone: that repair needs it, and its own words say what a dead owner was doing. */
void cohort__guard_enter_unsettled(cohort__guard_t *guard, cohort__thread_t *me);
/* Change a word that the guard protects; at most COHORT__JOURNAL times between enter and leave (or
 * commit). */
void cohort__guard_set(cohort__guard_t *guard, _Atomic uint64_t *word, uint64_t value);
/* What was changed so far stays, whatever happens; the guard is still held. */
void cohort__guard_commit(cohort__guard_t *guard);
/* Commit and let go. */
void cohort__guard_leave(cohort__guard_t *guard);
/* Without the guard: is a change under way? Its maker may have died over it, and what is seen of it
 * is undone by the next owner; so a thread that would conclude from what it sees that nothing is to
 * be done enters the guard first. */
static inline bool cohort__guard_is_changing(cohort__guard_t *guard) {
    return atomic_load_explicit(&guard->changes, memory_order_acquire) != 0;
}

#endif
