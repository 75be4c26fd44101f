/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Thread records. A record is claimed by one compare-and-swap of its owner from nobody to the process, and found again by
 * whoever repairs that process. The generation goes up before the record is free again, so an id never names a second thread.
 */
#include "core/thread.h"

#include "core/arena.h"
#include "core/object.h"
#include "core/ring.h"
#include "core/table.h"

#include <cohort/errors.h>

_Thread_local cohort__thread_t *cohort__thread_self;
_Thread_local uint32_t cohort__thread_epoch;
/* Changes when this process becomes another member, or none: what threads remember of it is void then. */
_Atomic uint32_t cohort__epoch = 1;

uint32_t cohort__thread_count(void) {
    return atomic_load_explicit(&cohort__arena->threads, memory_order_acquire);
}

cohort__thread_t *cohort__thread_at(uint32_t index) {
    return (cohort__thread_t *)((char *)cohort__arena + cohort__arena->thread_offset) + index;
}

void cohort__threads_reset(void) {
    atomic_fetch_add(&cohort__epoch, 1);
}

uint32_t cohort__membership(void) {
    return atomic_load_explicit(&cohort__epoch, memory_order_relaxed);
}

static bool claim(uint32_t index, cohort__pid_t owner) {
    cohort__thread_t *thread = cohort__thread_at(index);
    cohort__pid_t nobody = 0;
    if (atomic_load_explicit(&thread->owner, memory_order_relaxed) != 0) return false;
    if (!atomic_compare_exchange_strong(&thread->owner, &nobody, owner)) return false;
    atomic_store_explicit(&thread->index, index, memory_order_relaxed);
    cohort__thread_self = thread;
    cohort__thread_epoch = atomic_load_explicit(&cohort__epoch, memory_order_relaxed);
    cohort_os_thread_mark(thread);
    return true;
}

/* Make one more record usable. The count goes up after its memory is there. */
static apr_status_t grow(void) {
    uint32_t count = cohort__thread_count();
    if (count >= COHORT__THREADS_MAX) return COHORT_ELIMIT;
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
            if (!claim(i, owner)) continue;
            *me = cohort__thread_self;
            return APR_SUCCESS;
        }
        apr_status_t status = grow();
        if (status) return status;
    }
}

cohort__thread_t *cohort__thread_find(cohort__tid_t id) {
    uint32_t index = (uint32_t)(id & 0xffff);
    if (index == 0 || index > cohort__thread_count()) return NULL;
    cohort__thread_t *thread = cohort__thread_at(index - 1);
    if (atomic_load_explicit(&thread->generation, memory_order_acquire) != (uint32_t)(id >> 16)) return NULL;
    return atomic_load_explicit(&thread->owner, memory_order_acquire) ? thread : NULL;
}

cohort__pid_t cohort__thread_process(cohort__tid_t id) {
    cohort__thread_t *thread = cohort__thread_find(id);
    cohort__pid_t owner = thread ? atomic_load_explicit(&thread->owner, memory_order_acquire) : 0;
    return cohort__thread_find(id) ? owner : 0;
}

bool cohort__thread_alive(cohort__tid_t id, bool thorough) {
    cohort__pid_t process = cohort__thread_process(id);
    return process && cohort__process_alive(process, thorough);
}

/* The record is anybody's from here on; all that it names has been dealt with. */
static void release(cohort__thread_t *thread) {
    atomic_store_explicit(&thread->parked, NULL, memory_order_relaxed);
    cohort__op_end(thread);
    atomic_fetch_add(&thread->generation, 1);
    atomic_store(&thread->owner, 0);
}

/* Blocks on the move are settled already. The ring first asks what the stages are for, so they are emptied after it. */
static void repair(cohort__thread_t *me, cohort__thread_t *dead) {
    cohort__ring_repair(dead);
    cohort__slot_repair(dead);
    cohort__object_repair(me, dead);
    for (int i = 0; i < COHORT__STAGES; i++) cohort__block_free(me, &dead->stage[i]);
    cohort__alloc_retire(dead);
    release(dead);
}

void cohort__threads_repair(cohort__pid_t dead) {
    cohort__thread_t *me;
    if (cohort__enter(&me)) return;
    uint32_t count = cohort__thread_count();
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < count; i++) {
            cohort__thread_t *thread = cohort__thread_at(i);
            if (atomic_load_explicit(&thread->owner, memory_order_acquire) != dead) continue;
            if (pass == 0) cohort__alloc_repair(thread); /* of all its threads first: guards wait for that */
            else repair(me, thread);
        }
    }
}

void cohort__thread_exit(void *mark) {
    cohort__thread_t *thread = mark;
    if (thread != cohort__thread_self || cohort__thread_epoch != atomic_load(&cohort__epoch) || !cohort__arena) return;
    cohort__alloc_retire(thread);
    cohort__thread_self = NULL;
    release(thread);
}
