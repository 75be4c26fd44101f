/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What a thread notes in its record before it makes, frees or moves a block, so that the repairer
 * of a dead thread knows of which block the owner may be in doubt. The note names the block's
 * owner pointers; no owner pointer: the block is the user's.
 */
#ifndef COHORT_CORE_INTENT_H
#define COHORT_CORE_INTENT_H

#include "core/memory/thread.h"

static inline void cohort__intend_new(cohort__thread_t *me, void *block,
                                      cohort__owner_ptr_t *owner_ptr) {
    atomic_store_explicit(&me->intent_block, block, memory_order_relaxed);
    atomic_store_explicit(&me->intent_to, owner_ptr, memory_order_relaxed);
    atomic_store_explicit(&me->intent, COHORT__INTENT_NEW, memory_order_release);
}

static inline void cohort__intend_free(cohort__thread_t *me, void *block,
                                       cohort__owner_ptr_t *owner_ptr) {
    atomic_store_explicit(&me->intent_block, block, memory_order_relaxed);
    atomic_store_explicit(&me->intent_from, owner_ptr, memory_order_relaxed);
    atomic_store_explicit(&me->intent, COHORT__INTENT_FREE, memory_order_release);
}

static inline void cohort__intend_move(cohort__thread_t *me, void *block, cohort__owner_ptr_t *from,
                                       cohort__owner_ptr_t *to) {
    atomic_store_explicit(&me->intent_block, block, memory_order_relaxed);
    atomic_store_explicit(&me->intent_from, from, memory_order_relaxed);
    atomic_store_explicit(&me->intent_to, to, memory_order_relaxed);
    atomic_store_explicit(&me->intent, COHORT__INTENT_MOVE, memory_order_release);
}

static inline void cohort__intent_done(cohort__thread_t *me) {
    atomic_store_explicit(&me->intent, COHORT__INTENT_NONE, memory_order_release);
}

/* How a note names a large block. Blocks begin at even addresses. */
static inline void *cohort__intent_large(void *block) { return (char *)block + 1; }
static inline bool cohort__intent_is_large(const void *intended) { return (uintptr_t)intended & 1; }
/* The block that a note names. */
static inline void *cohort__intent_block(void *intended) {
    return cohort__intent_is_large(intended) ? (char *)intended - 1 : intended;
}

static inline void cohort__owner_ptr_set(cohort__owner_ptr_t *owner_ptr, void *block) {
    if (owner_ptr) atomic_store_explicit(owner_ptr, block, memory_order_release);
}

#endif
