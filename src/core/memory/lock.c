/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The word is the owner's thread id, with a generation that is never reused: taking the lock,
 * letting go and taking over from the dead are one compare-and-swap or exchange each, so there is
 * no instant at which the holder is unknown.
 */
#include "core/memory/lock.h"

#include "core/memory/upward.h"

#include <cohort/errors.h>

typedef struct {
    cohort__lock_t *lock;
    cohort__tid_t me;
    bool settled; /* take over from a dead owner only when its block is settled */
} acquisition_t;

/* Guards that this thread holds. A thread that holds one must not begin to repair a death, which
 * may need it. */
static _Thread_local unsigned held;

/* What the dead owner was doing to a block must be finished or undone before its guard changes
 * hands: the repair goes by what the owner pointers say. */
static bool is_settled(cohort__tid_t dead) {
    cohort__thread_t *thread = cohort__thread_find(dead);
    if (!thread ||
        atomic_load_explicit(&thread->intent, memory_order_acquire) == COHORT__INTENT_NONE)
        return true;
    cohort__pid_t process = cohort__thread_process(dead);
    if (process && held == 0) (void)cohort__upward->check_dead(process);
    return false;
}

static apr_status_t try_acquire(void *arg, bool thorough) {
    acquisition_t *a = arg;
    cohort__tid_t owner = atomic_load_explicit(&a->lock->owner, memory_order_relaxed);
    if (!owner && atomic_compare_exchange_strong(&a->lock->owner, &owner, a->me))
        return APR_SUCCESS;
    if (!thorough || cohort__thread_alive(owner, true)) return APR_EAGAIN;
    if (a->settled && !is_settled(owner)) return APR_EAGAIN;
    return atomic_compare_exchange_strong(&a->lock->owner, &owner, a->me) ? COHORT_EOWNERDEAD
                                                                          : APR_EAGAIN;
}

/* A thread that was woken and gives up, since another was faster, passes the hand-off on. */
static apr_status_t await_lock(acquisition_t *a, int64_t deadline) {
    bool slept;
    apr_status_t status = cohort__await_handoff(&a->lock->freed, try_acquire, a, deadline, &slept);
    if (slept) cohort__handoff_came(&a->lock->freed);
    if (slept && status == APR_TIMEUP && atomic_load(&a->lock->owner) == 0)
        cohort__notify_handoff(&a->lock->freed);
    return status;
}

apr_status_t cohort__lock_acquire(cohort__lock_t *lock, cohort__thread_t *me, int64_t deadline) {
    cohort__tid_t owner = 0;
    acquisition_t a = {lock, cohort__thread_id(me), false};
    if (atomic_compare_exchange_strong(&lock->owner, &owner, a.me)) return APR_SUCCESS;
    if (owner == a.me) return deadline ? COHORT_EDEADLOCK : APR_EAGAIN;
    return await_lock(&a, deadline);
}

void cohort__lock_release(cohort__lock_t *lock) {
    atomic_exchange(&lock->owner, 0);
    cohort__notify_handoff(&lock->freed);
}

/* Undo from the last change to the first; the count goes down only after the word is back, so a
 * repairer that dies is repeated. */
static void roll_back(cohort__guard_t *guard) {
    uint32_t changes = atomic_load_explicit(&guard->changes, memory_order_acquire);
    while (changes > 0) {
        changes--;
        _Atomic uint64_t *word =
            atomic_load_explicit(&guard->journal[changes].word, memory_order_relaxed);
        uint64_t old = atomic_load_explicit(&guard->journal[changes].old, memory_order_relaxed);
        atomic_store_explicit(word, old, memory_order_release);
        atomic_store_explicit(&guard->changes, changes, memory_order_release);
    }
}

static void enter_guard(cohort__guard_t *guard, cohort__thread_t *me, bool settled) {
    cohort__tid_t owner = 0;
    acquisition_t a = {&guard->lock, cohort__thread_id(me), settled};
    apr_status_t status = APR_SUCCESS;
    if (!atomic_compare_exchange_strong(&guard->lock.owner, &owner, a.me)) {
        status = await_lock(&a, COHORT_OS_NEVER);
    }
    if (status == COHORT_EOWNERDEAD) roll_back(guard);
    held++;
}

void cohort__guard_enter(cohort__guard_t *guard, cohort__thread_t *me) {
    enter_guard(guard, me, true);
}

void cohort__guard_enter_unsettled(cohort__guard_t *guard, cohort__thread_t *me) {
    enter_guard(guard, me, false);
}

void cohort__guard_set(cohort__guard_t *guard, _Atomic uint64_t *word, uint64_t value) {
    uint32_t n = atomic_load_explicit(&guard->changes, memory_order_relaxed);
    atomic_store_explicit(&guard->journal[n].word, word, memory_order_relaxed);
    atomic_store_explicit(&guard->journal[n].old, atomic_load_explicit(word, memory_order_relaxed),
                          memory_order_relaxed);
    atomic_store_explicit(&guard->changes, n + 1, memory_order_release);
    atomic_store_explicit(word, value, memory_order_release);
}

void cohort__guard_commit(cohort__guard_t *guard) {
    atomic_store_explicit(&guard->changes, 0, memory_order_release);
}

void cohort__guard_leave(cohort__guard_t *guard) {
    cohort__guard_commit(guard);
    held--;
    cohort__lock_release(&guard->lock);
}
