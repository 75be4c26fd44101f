/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The hints of a segment, head and tail: raised after a put or a get, and brought to where they
 * belong after a death or when a message came back. */
#include "core/object/ring_claim.h"

void cohort__tail_raise(cohort__segment_t *segment, uint64_t tail, uint64_t to) {
    do {
        if (!cohort__is_ahead(segment, tail, to)) {
            atomic_thread_fence(memory_order_seq_cst);
            return;
        }
    } while (!atomic_compare_exchange_weak(&segment->tail, &tail, to));
}

void cohort__head_raise(cohort__segment_t *segment, uint64_t seen, uint64_t to) {
    uint64_t head = seen;
    do {
        if ((head ^ seen) >= COHORT__POSITIONS ||
            !cohort__is_ahead(segment, cohort__head_position(head), to)) {
            atomic_thread_fence(memory_order_seq_cst);
            return;
        }
    } while (!atomic_compare_exchange_weak(&segment->head, &head, cohort__head_with(head, to)));
}

void cohort__ring_catch_up(cohort__segment_t *segment) {
    for (;;) {
        uint64_t tail = atomic_load(&segment->tail);
        uint64_t word = cohort__is_within(segment, tail)
                            ? atomic_load(&cohort__cell_at(segment, tail)->word)
                            : cohort__cell_word(tail, 0, COHORT__CELL_FREE);
        if (!cohort__is_put(segment, word, tail)) break;
        if (cohort__is_absurd(segment, word, tail) && atomic_load(&segment->tail) == tail) break;
        cohort__tail_raise(segment, tail, cohort__step(segment, tail, 1));
    }
    for (;;) {
        uint64_t head = atomic_load(&segment->head), position = cohort__head_position(head);
        uint64_t word = cohort__is_within(segment, position)
                            ? atomic_load(&cohort__cell_at(segment, position)->word)
                            : cohort__cell_word(position, 0, COHORT__CELL_FREE);
        if (!cohort__is_taken(segment, word, position)) break;
        if (cohort__is_absurd(segment, word, position) && atomic_load(&segment->head) == head)
            break;
        cohort__head_raise(segment, head, cohort__step(segment, position, 1));
    }
}

/* A new epoch in any case: a thread may be about to raise the head past this position, since the
 * cell was READING. */
void cohort__ring_rewind(cohort__segment_t *segment, uint64_t position) {
    uint64_t head = atomic_load_explicit(&segment->head, memory_order_acquire), back;
    atomic_store(&segment->ring->irregular, 1);
    do {
        uint64_t there = cohort__head_position(head);
        uint64_t to = cohort__is_ahead(segment, position, there) ? position : there;
        back = cohort__head_with(head + COHORT__POSITIONS, to);
    } while (!atomic_compare_exchange_strong(&segment->head, &head, back));
}
