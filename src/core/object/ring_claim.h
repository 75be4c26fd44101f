/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Between ring_*.c: the steps that a put, a get and a run of either are made of, in their order:
 * claim a cell, commit it by one store, raise the hint. The algorithm is described in ring.h. */
#ifndef COHORT_CORE_RING_CLAIM_H
#define COHORT_CORE_RING_CLAIM_H

#include "core/base/bits.h"
#include "core/object/ring_cells.h"

/* So many cells ahead the lines are asked for: sooner they would still be in use, later is too
 * late. */
#define COHORT__AHEAD 3

/* Announce the taking of the cell at a position, then take it: from FREE for a put, from FULL for a
 * get. `record` is the thread's index, which a run reads once. False: another thread was faster. */
static inline bool cohort__cell_claim(cohort__thread_t *me, uint32_t record, cohort__cell_t *cell,
                                      uint64_t position, cohort__cell_step_t from) {
    bool put = from == COHORT__CELL_FREE;
    uint64_t word = cohort__cell_word(position, 0, from);
    atomic_store_explicit(&me->op_position, position, memory_order_relaxed);
    atomic_store_explicit(&me->op, put ? COHORT__OP_RING_PUT : COHORT__OP_RING_GET,
                          memory_order_release);
    return atomic_compare_exchange_strong(
        &cell->word, &word,
        cohort__cell_word(position, record, put ? COHORT__CELL_WRITING : COHORT__CELL_READING));
}

/* The commit of a put, one store: from here on the message is in the ring. Raising the tail after
 * it, or after several, is the barrier that the wake-up needs. */
static inline void cohort__cell_publish(cohort__cell_t *cell, uint64_t position) {
    atomic_store_explicit(&cell->word, cohort__cell_word(position, 0, COHORT__CELL_FULL),
                          memory_order_release);
}

/* The commit of a get, one store: from here on the message is the reader's. The head is raised
 * after it in the same way. */
static inline void cohort__cell_vacate(const cohort__segment_t *segment, cohort__cell_t *cell,
                                       uint64_t position) {
    atomic_store_explicit(&cell->word, cohort__free_again(segment, position), memory_order_release);
}

/* A cell that comes soon: its lines are still with the thread that used it in the lap before, and
 * are here when they are needed. */
static inline void cohort__cell_prefetch(cohort__segment_t *segment, uint64_t position) {
    const char *cell = (const char *)cohort__cell_at(segment, position + COHORT__AHEAD);
    cohort__prefetch(cell);
    cohort__prefetch(cell + 64);
}

/* A run claims no position that is a lap or more from the hint as it was when the run began, so
 * that the hint never lags by more. What it passes over at `position` shortens it; its caller has
 * seen to it that `count` itself is no more than a lap. */
static inline size_t cohort__run_bound(const cohort__segment_t *segment, uint64_t first,
                                       uint64_t position, size_t done, size_t count) {
    uint64_t left = segment->cells - 1 - cohort__ahead(segment, first, position);
    return count - done > left ? done + (size_t)left : count;
}

static inline bool cohort__is_within(const cohort__segment_t *segment, uint64_t position) {
    return segment->laps || position < segment->cells;
}

#endif
