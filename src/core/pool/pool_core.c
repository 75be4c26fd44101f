/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What every part of a pool stands on: the guard, and the lists under it. */
#include "core/pool/backend.h"

#include <apr_thread_proc.h>
#include <stdio.h>

/* ---- the guard ------------------------------------------------------------------------------ */

void cohort__pool_enter(cohort_pool_t *pool, cohort__thread_t *me) {
    cohort__guard_enter(&pool->guard, me);
    if (atomic_load_explicit(&pool->in_flight.word, memory_order_relaxed))
        cohort__backend_of(pool)->recover(pool, me);
}

uint64_t cohort__pool_tag(const cohort_pool_t *pool) {
    if (cohort__object_check(pool, COHORT__KIND_POOL, COHORT__POOL_TAG)) return 0;
    uint64_t tag = atomic_load(&((cohort_pool_t *)pool)->object.tag);
    return cohort__tag_type(tag) == COHORT__POOL_TAG ? tag : 0;
}

apr_status_t cohort__pool_enter_live(cohort_pool_t *pool, cohort__thread_t *me, uint64_t tag) {
    cohort__pool_enter(pool, me);
    if (atomic_load(&pool->object.tag) == tag) return APR_SUCCESS;
    cohort__pool_leave(pool);
    return COHORT_EHANDLE;
}

void cohort__pool_leave(cohort_pool_t *pool) { cohort__guard_leave(&pool->guard); }

static bool is_done_with(cohort_pool_t *pool) {
    return cohort__tag_type(atomic_load(&pool->object.tag)) == COHORT__POOL_TAG_RETIRED &&
           !cohort__backend_of(pool)->has_jobs(pool);
}

/* The thread that claims the retired pool frees it, or the repair of that thread does. The changes
 * are committed before the claim, since an undo must not touch a pool that is claimed. The record
 * of a thread that is inside another object has no place for the claim: then the pool stays until
 * the repair of the next death comes here. */
void cohort__pool_leave_last(cohort_pool_t *pool, cohort__thread_t *me) {
    cohort__guard_commit(&pool->guard);
    if (is_done_with(pool)) cohort__places_drop(pool, me);
    bool last = is_done_with(pool) && !cohort__thread_is_busy(me) &&
                cohort__object_claim(me, pool, COHORT__POOL_TAG_RETIRED);
    cohort__pool_leave(pool);
    if (last) cohort__object_free(me, pool);
}

/* ---- lists ---------------------------------------------------------------------------------- */

void cohort__list_setup(cohort__link_t *list) {
    atomic_store(&list->next, cohort__link_address(list));
    atomic_store(&list->prev, cohort__link_address(list));
}

void cohort__link_put(cohort__guard_t *guard, cohort__link_t *list, cohort__link_t *link,
                      bool front) {
    cohort__link_t *before =
        front ? list : cohort__link_at(atomic_load_explicit(&list->prev, memory_order_relaxed));
    cohort__link_t *after =
        cohort__link_at(atomic_load_explicit(&before->next, memory_order_relaxed));
    cohort__guard_set(guard, &link->prev, cohort__link_address(before));
    cohort__guard_set(guard, &link->next, cohort__link_address(after));
    cohort__guard_set(guard, &before->next, cohort__link_address(link)); /* what others look at */
    cohort__guard_set(guard, &after->prev, cohort__link_address(link));
}

void cohort__link_take(cohort__guard_t *guard, cohort__link_t *link) {
    cohort__link_t *before =
        cohort__link_at(atomic_load_explicit(&link->prev, memory_order_relaxed));
    cohort__link_t *after =
        cohort__link_at(atomic_load_explicit(&link->next, memory_order_relaxed));
    cohort__guard_set(guard, &before->next, cohort__link_address(after));
    cohort__guard_set(guard, &after->prev, cohort__link_address(before));
    cohort__guard_set(guard, &link->next, 0);
}

bool cohort__is_own_worker(const cohort_pool_t *pool) {
    cohort_process_t *self = cohort__self();
    return self && self->role == COHORT__ROLE_WORKER && atomic_load(&self->pool) == pool;
}

/* ---- names ---------------------------------------------------------------------------------- */

void cohort__worker_name(const cohort_pool_t *pool, uint32_t number, char *name) {
    snprintf(name, COHORT__NAME_MAX, "%s-%u", pool->name, (unsigned)number + 1);
}
