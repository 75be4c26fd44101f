/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Between ring_*.c: the steps that a put, a get and a run of either are made of, in their order:
 * announce and claim a slot, commit it by one store, raise the hint. The algorithm is told in
 * ring.h. */
#ifndef COHORT_CORE_RING_CLAIM_H
#define COHORT_CORE_RING_CLAIM_H

#include "core/base/bits.h"
#include "core/object/ring_slots.h"

/* So many slots ahead the lines are asked for: sooner they would still be in use, later is too
 * late. */
#define COHORT__AHEAD 3

static inline void cohort__slot_announce(cohort__thread_t *me, cohort__op_kind_t kind,
                                         uint64_t position) {
    atomic_store_explicit(&me->op_position, position, memory_order_relaxed);
    atomic_store_explicit(&me->op, (uint32_t)kind, memory_order_release);
}

/* A slot that comes soon: its lines are still with the thread that used it in the lap before, and
 * are here when they are needed. */
static inline void cohort__slot_prefetch(cohort__segment_t *segment, uint64_t position) {
    const char *slot = (const char *)cohort__slot_at(segment, position + COHORT__AHEAD);
    cohort__prefetch(slot);
    cohort__prefetch(slot + 64);
}

/* All positions before this one are spoken for. In any case a full barrier. */
static inline void cohort__tail_raise(cohort__segment_t *segment, uint64_t tail, uint64_t to) {
    do {
        if (!cohort__is_ahead(segment, tail, to)) {
            atomic_thread_fence(memory_order_seq_cst);
            return;
        }
    } while (!atomic_compare_exchange_weak(&segment->tail, &tail, to));
}

/* All positions from the head as it was seen to this one are spoken for; unless it went back
 * meanwhile. In any case a full barrier. */
static inline void cohort__head_raise(cohort__segment_t *segment, uint64_t seen, uint64_t to) {
    uint64_t head = seen;
    do {
        if ((head ^ seen) >= COHORT__POSITIONS ||
            !cohort__is_ahead(segment, cohort__head_position(head), to)) {
            atomic_thread_fence(memory_order_seq_cst);
            return;
        }
    } while (!atomic_compare_exchange_weak(&segment->head, &head, cohort__head_with(head, to)));
}

static inline bool cohort__is_within(const cohort__segment_t *segment, uint64_t position) {
    return segment->laps || position < segment->slots;
}

#endif
