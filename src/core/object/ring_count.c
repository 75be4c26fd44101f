/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What is in a ring: counted by its hints while they are right, by a look at each cell where they
 * are not; and whether anything is on its way in or out. */
#include "core/object/ring_cells.h"

typedef struct {
    uint64_t messages, bytes;
} sum_t;

static void add_cell(sum_t *sum, cohort__cell_t *cell, uint64_t word) {
    cohort__cell_step_t step = cohort__word_step(word);
    if (step != COHORT__CELL_FULL && step != COHORT__CELL_READING) return;
    sum->messages++;
    sum->bytes += atomic_load_explicit(&cell->size, memory_order_relaxed) & COHORT__SIZE_MAX;
}

/* What is being thrown away counts until it is gone, and the head may have passed it. */
static sum_t look_at_cells(cohort__segment_t *segment) {
    sum_t sum = {0, 0};
    for (uint64_t i = 0; i < segment->cells; i++) {
        cohort__cell_t *cell = cohort__cell_at(segment, i);
        add_cell(&sum, cell, atomic_load_explicit(&cell->word, memory_order_acquire));
    }
    return sum;
}

static sum_t look_over(cohort__segment_t *segment, uint64_t from, uint64_t to) {
    sum_t sum = {0, 0};
    uint64_t left = segment->cells;
    for (uint64_t p = from; left-- > 0 && cohort__is_ahead(segment, p, to);
         p = cohort__step(segment, p, 1)) {
        cohort__cell_t *cell = cohort__cell_at(segment, p);
        uint64_t word = atomic_load_explicit(&cell->word, memory_order_acquire);
        if (cohort__word_position(word) == p) add_cell(&sum, cell, word);
    }
    return sum;
}

static sum_t sum_of(cohort__segment_t *segment, bool look) {
    uint64_t tail = atomic_load(&segment->tail),
             head = cohort__head_position(atomic_load(&segment->head));
    if (cohort__ring_state(segment->ring) == COHORT__RING_DISCARDING) return look_at_cells(segment);
    if (look) return look_over(segment, head, tail);
    uint64_t ahead = cohort__is_ahead(segment, head, tail) ? cohort__ahead(segment, head, tail) : 0;
    return (sum_t){ahead < segment->cells ? ahead : segment->cells, 0};
}

/* Segments between the first untouched one and the last are full, so there is no need to visit
 * them, unless one must look. */
static sum_t sum_of_chain(cohort__ring_t *ring, bool look) {
    sum_t sum = {0, 0};
    cohort__segment_t *last = atomic_load(&ring->tail), *s = atomic_load(&ring->head);
    while (s && last) {
        sum_t part = sum_of(s, look);
        sum.messages += part.messages;
        sum.bytes += part.bytes;
        if (s == last) break;
        if (!look && atomic_load(&s->head) == 0) {
            sum.messages +=
                (last->number - s->number - 1) * s->cells + sum_of(last, false).messages;
            break;
        }
        s = atomic_load(&s->next);
    }
    return sum;
}

static sum_t sum_inside(cohort__ring_t *ring, bool look) {
    cohort__segment_t *first = atomic_load(&ring->head);
    look = look || atomic_load(&ring->irregular);
    if (!first) return (sum_t){0, 0};
    return first->laps ? sum_of(first, look) : sum_of_chain(ring, look);
}

static sum_t sum_looked_at(const cohort__call_t *call, cohort__ring_t *ring, bool look) {
    sum_t result = {0, 0};
    if (!cohort__call_look(call)) return result;
    if (!ring->capacity) cohort__guard_enter(ring->guard, call->me);
    result = sum_inside(ring, look);
    if (!ring->capacity) cohort__guard_leave(ring->guard);
    cohort__call_look_end(call);
    return result;
}

uint64_t cohort__ring_count_inside(cohort__ring_t *ring) {
    return sum_inside(ring, false).messages;
}

uint64_t cohort__ring_count(const cohort__call_t *call, cohort__ring_t *ring) {
    return sum_looked_at(call, ring, false).messages;
}

uint64_t cohort__ring_bytes(const cohort__call_t *call, cohort__ring_t *ring) {
    return sum_looked_at(call, ring, true).bytes;
}

/* The word of a cell that is not free, or 0. */
static uint64_t busy_cell(cohort__segment_t *segment) {
    for (uint64_t i = 0; i < segment->cells; i++) {
        uint64_t word = atomic_load(&cohort__cell_at(segment, i)->word);
        if (cohort__word_step(word) != COHORT__CELL_FREE) return word;
    }
    return 0;
}

/* One walk along the segments; false: it must begin again. Ends the operation. */
static bool find_busy(const cohort__call_t *call, cohort__ring_t *ring, uint64_t *busy) {
    cohort__segment_t *first = cohort__segment_hold(call, &ring->head), *segment = first;
    *busy = 0;
    if (!first) return true;
    while (segment && (*busy = busy_cell(segment)) == 0) {
        cohort__segment_t *next = atomic_load(&segment->next);
        if (!next) break;
        segment = cohort__segment_hold_next(call, ring, first, next);
    }
    cohort__op_end(call->me);
    return segment != NULL;
}

bool cohort__ring_is_idle(const cohort__call_t *call, cohort__ring_t *ring, bool thorough) {
    for (int repairs = 0;;) {
        uint64_t busy;
        if (!find_busy(call, ring, &busy)) continue;
        if (!busy) return true;
        if (!thorough || repairs++ == COHORT__REPAIRS || !cohort__ring_clear_way(busy))
            return false;
    }
}
