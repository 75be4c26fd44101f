/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What a thread notes in its record before it makes, frees or moves a block, so that the repairer
 * of a dead thread knows of which block the owner may be in doubt. The note names the block's
 * homes; no home: the block is the user's.
 */
#ifndef COHORT_CORE_INTENT_H
#define COHORT_CORE_INTENT_H

#include "core/memory/thread.h"

static inline void cohort__intend_new(cohort__thread_t *me, void *block, cohort__home_t *home) {
    atomic_store_explicit(&me->intent_block, block, memory_order_relaxed);
    atomic_store_explicit(&me->intent_to, home, memory_order_relaxed);
    atomic_store_explicit(&me->intent, COHORT__INTENT_NEW, memory_order_release);
}

static inline void cohort__intend_free(cohort__thread_t *me, void *block, cohort__home_t *home) {
    atomic_store_explicit(&me->intent_block, block, memory_order_relaxed);
    atomic_store_explicit(&me->intent_from, home, memory_order_relaxed);
    atomic_store_explicit(&me->intent, COHORT__INTENT_FREE, memory_order_release);
}

static inline void cohort__intend_move(cohort__thread_t *me, void *block, cohort__home_t *from,
                                       cohort__home_t *to) {
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
    return (char *)intended - cohort__intent_is_large(intended);
}

static inline void cohort__home_put(cohort__home_t *home, void *block) {
    if (home) atomic_store_explicit(home, block, memory_order_release);
}

#endif
