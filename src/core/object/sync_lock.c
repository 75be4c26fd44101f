/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Lock and RLock: the core's lock, a word that names the owner, as an object. The depth of an RLock
 * is written by its owner alone, between taking the word and giving it back, so a death leaves
 * nothing to repair: the next owner starts at 1.
 *
 * A lock that is destroyed is also given free. The threads that waited get it one after the other,
 * see that its life is over, and let the next have it.
 */
#include "core/life/slots.h"
#include "core/object/sync.h"

#include <cohort/sync.h>
#include <stdio.h>

struct cohort_rlock_t {
    cohort__sync_t sync;
};

apr_status_t cohort__sync_new(cohort__thread_t *me, size_t size, void *object) {
    cohort__sync_t *made;
    apr_status_t status = cohort__object_new(me, COHORT__KIND_SYNC, sizeof made->object, &made);
    if (status) return status;
    atomic_store(&made->lock.owner, 0);
    atomic_store_explicit(&made->depth, 0, memory_order_relaxed);
    cohort__object_wipe(made + 1, size - sizeof *made);
    *(void **)object = made;
    return APR_SUCCESS;
}

static cohort__guard_t *guard_of(const cohort__call_t *call) {
    return &((cohort__sync_t *)call->object)->guard;
}

bool cohort__sync_guard(const cohort__call_t *call) {
    cohort__guard_enter(guard_of(call), call->me);
    if (!cohort__call_over(call)) return true;
    cohort__guard_leave(guard_of(call));
    return false;
}

static bool claim_guarded(cohort__call_t *call, uint32_t tag) {
    if (!cohort__sync_guard(call)) return false;
    bool claimed = cohort__object_claim(call->me, call->object, tag);
    cohort__guard_leave(guard_of(call));
    return claimed;
}

bool cohort__sync_end(cohort__call_t *call, void *object, cohort__kind_t kind, uint32_t tag,
                      bool guarded, apr_status_t *status) {
    *status = APR_SUCCESS;
    if (!object) return false;
    *status = cohort__call_begin(call, object, kind, tag);
    if (!*status)
        return guarded ? claim_guarded(call, tag) : cohort__object_claim(call->me, object, tag);
    /* destroyed already */
    if (*status == COHORT_EHANDLE && cohort__object_place(object, kind)) *status = APR_SUCCESS;
    return false;
}

bool cohort__hold_let_go(cohort__thread_t *me, cohort__lock_t *lock) {
    cohort__tid_t mine = me->id;
    if (!atomic_compare_exchange_strong(&lock->owner, &mine, 0)) return false;
    cohort__notify_handoff(&lock->freed);
    return true;
}

static apr_status_t too_late(const cohort__call_t *call, cohort__lock_t *lock) {
    (void)cohort__hold_let_go(call->me, lock);
    return COHORT_EHANDLE;
}

apr_status_t cohort__hold_acquire(const cohort__call_t *call, cohort__lock_t *lock,
                                  int64_t deadline) {
    apr_status_t status = cohort__lock_acquire(lock, call->me, deadline);
    if (status && status != COHORT_EOWNERDEAD) return status;
    return cohort__call_over(call) ? too_late(call, lock) : status;
}

/* Owners' numbers are never used again, so another lock in this place has another owner. */
apr_status_t cohort__hold_release(const cohort__call_t *call, cohort__lock_t *lock) {
    cohort__tid_t owner = cohort__thread_id(call->me); /* mostly: so it is not looked at first */
    do {
        if (cohort__call_over(call)) return COHORT_EHANDLE;
        if (!owner) return COHORT_EOVERRELEASE;
    } while (!atomic_compare_exchange_weak(&lock->owner, &owner, 0));
    cohort__notify_handoff(&lock->freed);
    return APR_SUCCESS;
}

void cohort__hold_abandon(cohort__lock_t *lock) {
    atomic_exchange(&lock->owner, 0);
    cohort__notify(&lock->freed, COHORT__ALL);
}

apr_status_t cohort__hold_owner(cohort__lock_t *lock, cohort_process_t **owner) {
    cohort__tid_t thread = cohort__lock_owner(lock);
    cohort__pid_t process =
        thread && cohort__thread_alive(thread, false) ? cohort__thread_process(thread) : 0;
    *owner = process ? cohort__process_find(process) : NULL;
    return thread && !*owner ? COHORT_EOWNERDEAD : APR_SUCCESS;
}

static void describe_hold(const cohort__aim_t *aim, const char *name, char *text, size_t size) {
    char holder[COHORT__NAME_MAX];
    cohort_process_t *owner;
    if (cohort__hold_owner(&((cohort__sync_t *)aim->handle)->lock, &owner)) {
        snprintf(text, size, "a %s that a dead process holds", name);
    } else if (owner) {
        cohort__process_get_name(owner, holder, sizeof holder);
        snprintf(text, size, "a %s that %s holds", name, holder);
    } else snprintf(text, size, "a free %s", name);
}

void cohort__lock_describe(const cohort__aim_t *aim, char *text, size_t size) {
    describe_hold(aim, "lock", text, size);
}

void cohort__rlock_describe(const cohort__aim_t *aim, char *text, size_t size) {
    describe_hold(aim, "recursive lock", text, size);
}

/* ---- Lock ----------------------------------------------------------------------------------- */

static apr_status_t destroy_lock(void *object) { return cohort_lock_destroy(object); }

static apr_status_t lock_create(cohort_lock_t **lock, apr_pool_t *pool) {
    cohort__thread_t *me = NULL;
    cohort_lock_t *made;
    apr_status_t status = lock ? cohort__enter(&me) : cohort__null("lock");
    if (!status) status = cohort__sync_new(me, sizeof *made, &made);
    if (status) return status;
    cohort__object_publish(me, made, COHORT__TAG_LOCK, pool, destroy_lock);
    *lock = made;
    return APR_SUCCESS;
}

apr_status_t cohort_lock_create(cohort_lock_t **lock, apr_pool_t *pool) {
    return COHORT__CALL_ANEW(lock_create(lock, pool));
}

static apr_status_t lock_acquire(cohort_lock_t *lock, apr_interval_time_t timeout) {
    cohort__call_t call;
    apr_status_t status = cohort__call_begin(&call, lock, COHORT__KIND_SYNC, COHORT__TAG_LOCK);
    if (status) return status;
    if (cohort__lock_quick(&lock->sync.lock, call.me))
        return cohort__call_over(&call) ? too_late(&call, &lock->sync.lock) : APR_SUCCESS;
    return cohort__hold_acquire(&call, &lock->sync.lock, cohort__deadline(timeout));
}

apr_status_t cohort_lock_acquire(cohort_lock_t *lock, apr_interval_time_t timeout) {
    return COHORT__CALL(lock_acquire(lock, timeout));
}

static apr_status_t lock_release(cohort_lock_t *lock) {
    cohort__call_t call;
    apr_status_t status = cohort__call_begin(&call, lock, COHORT__KIND_SYNC, COHORT__TAG_LOCK);
    if (status) return status;
    /* what this thread holds is the lock that is meant */
    return cohort__hold_let_go(call.me, &lock->sync.lock)
               ? APR_SUCCESS
               : cohort__hold_release(&call, &lock->sync.lock);
}

apr_status_t cohort_lock_release(cohort_lock_t *lock) { return COHORT__CALL(lock_release(lock)); }

static apr_status_t lock_owner(cohort_lock_t *lock, cohort_process_t **owner) {
    cohort__call_t call;
    apr_status_t status = cohort__call_begin(&call, lock, COHORT__KIND_SYNC, COHORT__TAG_LOCK);
    return status ? status : cohort__hold_owner(&lock->sync.lock, owner);
}

cohort_process_t *cohort_lock_owner(const cohort_lock_t *lock) {
    cohort_process_t *owner = NULL;
    (void)COHORT__CALL(lock_owner((cohort_lock_t *)lock, &owner));
    return owner;
}

static apr_status_t lock_destroy(cohort_lock_t *lock) {
    cohort__call_t call;
    apr_status_t status;
    if (!cohort__sync_end(&call, lock, COHORT__KIND_SYNC, COHORT__TAG_LOCK, false, &status))
        return status;
    cohort__hold_abandon(&lock->sync.lock);
    cohort__object_free(call.me, lock);
    return APR_SUCCESS;
}

apr_status_t cohort_lock_destroy(cohort_lock_t *lock) {
    return COHORT__CALL_ANEW(lock_destroy(lock));
}

/* ---- RLock ---------------------------------------------------------------------------------- */

#define DEPTH_MAX (UINT32_MAX - 1)

static apr_status_t destroy_rlock(void *object) { return cohort_rlock_destroy(object); }

static apr_status_t rlock_create(cohort_rlock_t **lock, apr_pool_t *pool) {
    cohort__thread_t *me = NULL;
    cohort_rlock_t *made;
    apr_status_t status = lock ? cohort__enter(&me) : cohort__null("lock");
    if (!status) status = cohort__sync_new(me, sizeof *made, &made);
    if (status) return status;
    cohort__object_publish(me, made, COHORT__TAG_RLOCK, pool, destroy_rlock);
    *lock = made;
    return APR_SUCCESS;
}

apr_status_t cohort_rlock_create(cohort_rlock_t **lock, apr_pool_t *pool) {
    return COHORT__CALL_ANEW(rlock_create(lock, pool));
}

/* By its owner, while it looks at the lock: the count of a lock that came after is not touched. */
static apr_status_t change_depth(const cohort__call_t *call, cohort_rlock_t *lock, int by) {
    if (!cohort__call_look(call)) return COHORT_EHANDLE;
    uint32_t depth = atomic_load_explicit(&lock->sync.depth, memory_order_relaxed);
    bool at_limit = by > 0 && depth == DEPTH_MAX;
    depth = by ? depth + (uint32_t)by : 0;
    if (!at_limit) atomic_store_explicit(&lock->sync.depth, depth, memory_order_relaxed);
    cohort__call_look_end(call);
    return at_limit ? cohort__fail(COHORT_ELIMIT, "a lock can be acquired %u times at once",
                                   DEPTH_MAX + 1)
                    : APR_SUCCESS;
}

static apr_status_t rlock_acquire(cohort_rlock_t *lock, apr_interval_time_t timeout) {
    cohort__call_t call;
    apr_status_t status = cohort__call_begin(&call, lock, COHORT__KIND_SYNC, COHORT__TAG_RLOCK);
    if (status) return status;
    if (cohort__lock_owner(&lock->sync.lock) == cohort__thread_id(call.me))
        return change_depth(&call, lock, 1);
    status = cohort__hold_acquire(&call, &lock->sync.lock, cohort__deadline(timeout));
    /* an owner that died may have held it several times */
    if (status == COHORT_EOWNERDEAD && change_depth(&call, lock, 0)) return COHORT_EHANDLE;
    return status;
}

apr_status_t cohort_rlock_acquire(cohort_rlock_t *lock, apr_interval_time_t timeout) {
    return COHORT__CALL(rlock_acquire(lock, timeout));
}

static apr_status_t rlock_release(cohort_rlock_t *lock) {
    cohort__call_t call;
    apr_status_t status = cohort__call_begin(&call, lock, COHORT__KIND_SYNC, COHORT__TAG_RLOCK);
    if (status) return status;
    if (cohort__lock_owner(&lock->sync.lock) == cohort__thread_id(call.me) &&
        atomic_load_explicit(&lock->sync.depth, memory_order_relaxed) > 0)
        return change_depth(&call, lock, -1);
    if (cohort__hold_let_go(call.me, &lock->sync.lock)) return APR_SUCCESS;
    return cohort__call_over(&call) ? COHORT_EHANDLE : COHORT_ENOTOWNER;
}

apr_status_t cohort_rlock_release(cohort_rlock_t *lock) {
    return COHORT__CALL(rlock_release(lock));
}

static apr_status_t rlock_owner(cohort_rlock_t *lock, cohort_process_t **owner) {
    cohort__call_t call;
    apr_status_t status = cohort__call_begin(&call, lock, COHORT__KIND_SYNC, COHORT__TAG_RLOCK);
    return status ? status : cohort__hold_owner(&lock->sync.lock, owner);
}

cohort_process_t *cohort_rlock_owner(const cohort_rlock_t *lock) {
    cohort_process_t *owner = NULL;
    (void)COHORT__CALL(rlock_owner((cohort_rlock_t *)lock, &owner));
    return owner;
}

static apr_status_t rlock_destroy(cohort_rlock_t *lock) {
    cohort__call_t call;
    apr_status_t status;
    if (!cohort__sync_end(&call, lock, COHORT__KIND_SYNC, COHORT__TAG_RLOCK, false, &status))
        return status;
    cohort__hold_abandon(&lock->sync.lock);
    cohort__object_free(call.me, lock);
    return APR_SUCCESS;
}

apr_status_t cohort_rlock_destroy(cohort_rlock_t *lock) {
    return COHORT__CALL_ANEW(rlock_destroy(lock));
}
