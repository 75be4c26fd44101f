/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Thread records. A record is claimed by one compare-and-swap of its owner from 0 to the
 * process, and found again by the repairer of that process. The generation goes up before the
 * record is free again, so an id never names a second thread.
 */
#include "core/memory/thread.h"

#include "core/memory/arena.h"

#include <cohort/errors.h>

_Thread_local cohort__thread_t *cohort__thread_self;
_Thread_local uint32_t cohort__thread_epoch;

uint32_t cohort__thread_count(void) {
    return atomic_load_explicit(&cohort__arena->threads, memory_order_acquire);
}

cohort__thread_t *cohort__thread_at(uint32_t index) {
    return (cohort__thread_t *)((char *)cohort__arena + cohort__arena->thread_offset) + index;
}

static bool claim_record(uint32_t index, cohort__pid_t owner) {
    cohort__thread_t *thread = cohort__thread_at(index);
    cohort__pid_t nobody = 0;
    if (atomic_load_explicit(&thread->owner, memory_order_relaxed) != 0) return false;
    if (!atomic_compare_exchange_strong(&thread->owner, &nobody, owner)) return false;
    atomic_store_explicit(&thread->index, index, memory_order_relaxed);
    thread->id = cohort__thread_id(thread);
    cohort__thread_self = thread;
    cohort__thread_epoch = cohort__membership();
    cohort_os_thread_mark(thread);
    return true;
}

/* Make one more record usable. The count goes up after its memory is there. */
static apr_status_t add_record(void) {
    uint32_t count = cohort__thread_count();
    if (count >= COHORT__THREADS_MAX)
        return cohort__fail(COHORT_ELIMIT, "%u threads of the cohort that use it",
                            COHORT__THREADS_MAX);
    apr_status_t status = cohort__arena_commit(cohort__thread_at(count), sizeof(cohort__thread_t));
    if (!status) atomic_compare_exchange_strong(&cohort__arena->threads, &count, count + 1);
    return status;
}

apr_status_t cohort__thread_register(cohort__thread_t **me) {
    cohort__pid_t owner = cohort__self_id();
    if (!cohort__arena) return COHORT_ENOTINIT;
    if (!owner) return COHORT_ENOTMEMBER;
    for (;;) {
        uint32_t count = cohort__thread_count();
        for (uint32_t i = 0; i < count; i++) {
            if (!claim_record(i, owner)) continue;
            *me = cohort__thread_self;
            return APR_SUCCESS;
        }
        apr_status_t status = add_record();
        if (status) return status;
    }
}

cohort__thread_t *cohort__thread_find(cohort__tid_t id) {
    uint32_t number = cohort__tid_number(id), generation = cohort__tid_generation(id);
    if (number == 0 || number > cohort__thread_count()) return NULL;
    cohort__thread_t *thread = cohort__thread_at(number - 1);
    if (atomic_load_explicit(&thread->generation, memory_order_acquire) != generation) return NULL;
    return atomic_load_explicit(&thread->owner, memory_order_acquire) ? thread : NULL;
}

cohort__pid_t cohort__thread_process(cohort__tid_t id) {
    cohort__thread_t *thread = cohort__thread_find(id);
    cohort__pid_t owner = thread ? atomic_load_explicit(&thread->owner, memory_order_acquire) : 0;
    return cohort__thread_find(id) ? owner : 0;
}

cohort__thread_t *cohort__thread_at_object(const cohort__thread_t *me, const void *object) {
    uint32_t count = cohort__thread_count();
    for (uint32_t i = 0; i < count; i++) {
        cohort__thread_t *other = cohort__thread_at(i);
        if (other != me && atomic_load(&other->op) != COHORT__OP_NONE &&
            atomic_load(&other->op_object) == object)
            return other;
    }
    return NULL;
}

void cohort__thread_release(cohort__thread_t *thread) {
    atomic_store_explicit(&thread->parked, NULL, memory_order_relaxed);
    cohort__op_end(thread);
    atomic_fetch_add(&thread->generation, 1);
    atomic_store(&thread->owner, 0);
}

void cohort__thread_exit(void *mark) {
    cohort__thread_t *thread = mark;
    if (thread != cohort__thread_self || cohort__thread_epoch != cohort__membership() ||
        !cohort__arena)
        return;
    cohort__alloc_retire(thread);
    cohort__thread_self = NULL;
    cohort__thread_release(thread);
}
