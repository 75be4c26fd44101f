/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Segments: making them, reaching them safely, growing and retiring the chain of an unbounded ring.
 *
 * The chain is owned link by link: one owner pointer has the oldest segment, each segment's `next`
 * the one behind it. The ring's head and tail only point into it. The oldest is taken off in two
 * moves, to the spare's owner pointer and its next to the oldest's; the thread that finds the
 * oldest's owner pointer empty does the second. What is in the spare's owner pointer with no next
 * is the spare.
 */
#include "core/object/ring_cells.h"
#include "core/object/holders.h"

#include <cohort/errors.h>

#define SEGMENT_BLOCK     ((uint64_t)32768)
#define SEGMENT_CELLS_MIN ((uint64_t)8)
#define CELLS_MAX         ((uint64_t)1 << 40)

/* ---- reaching ------------------------------------------------------------------------------- */

cohort__segment_t *cohort__segment_hold(const cohort__call_t *call,
                                        _Atomic(cohort__segment_t *) *from) {
    for (;;) {
        cohort__segment_t *segment = atomic_load(from);
        if (!segment) break;
        cohort__op_look(call->me, segment);
        if (atomic_load(from) != segment) continue;
        if (atomic_load(&call->object->tag) == call->life) return segment;
        break;
    }
    cohort__op_end(call->me);
    return NULL;
}

/* As long as the walk's first segment is the ring's head, nothing behind it is retired. */
cohort__segment_t *cohort__segment_hold_next(const cohort__call_t *call, cohort__ring_t *ring,
                                             cohort__segment_t *first, cohort__segment_t *next) {
    cohort__op_look(call->me, next);
    return atomic_load(&ring->head) == first ? next : NULL;
}

/* ---- the guard ------------------------------------------------------------------------------ */

typedef struct {
    const cohort__call_t *call;
    cohort__pid_t process;
} settling_t;

/* The repairer may itself be waiting until no thread is in this object any more, because it is
 * being destroyed. */
static apr_status_t try_owner_settled(void *arg, bool thorough) {
    settling_t *s = arg;
    if (atomic_load(&s->call->object->tag) != s->call->life) return COHORT_EHANDLE;
    return thorough && cohort__process_is_gone(s->process) ? APR_SUCCESS : APR_EAGAIN;
}

/* Only owners of the guard touch the owner pointers, and the link behind the last segment, so an
 * intent on them is that of a dead owner. */
static cohort__pid_t find_unsettled(const cohort__call_t *call, cohort__ring_t *ring,
                                    cohort__owner_ptr_t *parts, int count) {
    cohort__segment_t *last = atomic_load(&ring->tail);
    cohort__pid_t process = cohort__owner_ptrs_unsettled(call->me, parts, count);
    return process || !last || last->laps ? process
                                          : cohort__owner_ptrs_unsettled(call->me, &last->next, 1);
}

bool cohort__ring_guard(const cohort__call_t *call, cohort__ring_t *ring,
                        cohort__owner_ptr_t *parts, int count) {
    cohort__guard_t *guard = ring->guard;
    for (;;) {
        cohort__guard_enter(guard, call->me);
        settling_t s = {call, find_unsettled(call, ring, parts, count)};
        if (!s.process) return true;
        cohort__guard_leave(guard);
        if (cohort__await(&ring->space, try_owner_settled, &s, COHORT_OS_NEVER)) return false;
    }
}

/* ---- making --------------------------------------------------------------------------------- */

static uint64_t align_up(uint64_t value, uint64_t unit) { return (value + unit - 1) / unit * unit; }

static void segment_init(cohort__segment_t *s, cohort__ring_t *ring, uint64_t cells,
                         uint64_t number, uint64_t first) {
    s->ring = ring;
    s->cells = cells;
    s->inline_size = ring->inline_size;
    s->stride = align_up(sizeof(cohort__cell_t) + ring->inline_size, 64);
    s->limit = COHORT__POSITIONS - COHORT__POSITIONS % cells;
    s->mask = cells & (cells - 1) ? UINT64_MAX : cells - 1;
    s->number = number;
    s->laps = ring->capacity != 0;
    atomic_store(&s->next, NULL);
    uint64_t begin = first % s->limit; /* NOLINT(clang-analyzer-core.DivideZero): it has cells */
    for (uint64_t i = 0, p = begin; i < cells; i++, p = cohort__step(s, p, 1)) {
        cohort__cell_t *cell = cohort__cell_at(s, p);
        atomic_store_explicit(&cell->block, NULL, memory_order_relaxed);
        atomic_store_explicit(&cell->size, 0, memory_order_relaxed);
        atomic_store_explicit(&cell->word, cohort__cell_word(p, 0, COHORT__CELL_FREE),
                              memory_order_relaxed);
    }
    atomic_store_explicit(&s->head, begin, memory_order_relaxed);
    atomic_store_explicit(&s->tail, begin, memory_order_release);
}

static uint64_t cells_of_link(uint64_t stride) {
    uint64_t cells = (SEGMENT_BLOCK - sizeof(cohort__segment_t)) / stride;
    return cells > SEGMENT_CELLS_MIN ? cells : SEGMENT_CELLS_MIN;
}

apr_status_t cohort__ring_setup(cohort__thread_t *me, cohort__ring_t *ring, cohort__guard_t *guard,
                                cohort__owner_ptr_t *parts, uint64_t capacity, uint64_t inline_size,
                                uint64_t first) {
    if (inline_size > COHORT__RING_INLINE_MAX) inline_size = COHORT__RING_INLINE_MAX;
    uint64_t stride = align_up(sizeof(cohort__cell_t) + inline_size, 64);
    uint64_t cells = capacity ? capacity : cells_of_link(stride);
    if (cells > CELLS_MAX)
        return cohort__fail(APR_ENOMEM, "a capacity of more than %lu messages",
                            (unsigned long)CELLS_MAX);
    ring->parts = parts;
    ring->guard = guard;
    ring->capacity = capacity;
    ring->inline_size = stride - sizeof(cohort__cell_t);
    apr_status_t status = cohort__block_new(me, COHORT__KIND_BYTES,
                                            (size_t)(sizeof(cohort__segment_t) + cells * stride),
                                            &parts[COHORT__RING_OLDEST]);
    if (status) return status;
    cohort__segment_t *segment = atomic_load(&parts[COHORT__RING_OLDEST]);
    segment_init(segment, ring, cells, 0, first);
    atomic_store(&ring->head, segment);
    atomic_store(&ring->tail, segment);
    return APR_SUCCESS;
}

/* ---- the chain, under the guard ------------------------------------------------------------- */

void cohort__chain_fix(cohort__thread_t *me, cohort__ring_t *ring) {
    if (ring->capacity || atomic_load(&ring->parts[COHORT__RING_OLDEST])) return;
    cohort__segment_t *leaving = atomic_load(&ring->parts[COHORT__RING_SPARE]);
    if (leaving && atomic_load(&leaving->next))
        cohort__block_move(me, &leaving->next, &ring->parts[COHORT__RING_OLDEST]);
}

bool cohort__chain_enter(const cohort__call_t *call, cohort__ring_t *ring) {
    if (!cohort__call_look(call)) return false;
    if (!cohort__ring_guard(call, ring, ring->parts, COHORT__RING_PARTS)) {
        cohort__call_look_end(call);
        return false;
    }
    cohort__chain_fix(call->me, ring);
    return true;
}

void cohort__chain_leave(const cohort__call_t *call, cohort__ring_t *ring) {
    cohort__guard_leave(ring->guard);
    cohort__call_look_end(call);
}

/* Take the oldest off the chain; it becomes the spare. */
static void unlink_oldest(cohort__thread_t *me, cohort__ring_t *ring) {
    cohort__segment_t *oldest = atomic_load(&ring->parts[COHORT__RING_OLDEST]);
    cohort__block_free(me, &ring->parts[COHORT__RING_SPARE]);
    cohort__block_move(me, &ring->parts[COHORT__RING_OLDEST], &ring->parts[COHORT__RING_SPARE]);
    cohort__block_move(me, &oldest->next, &ring->parts[COHORT__RING_OLDEST]);
}

static apr_status_t append_segment(const cohort__call_t *call, cohort__ring_t *ring,
                                   cohort__segment_t *last) {
    cohort__thread_t *me = call->me;
    cohort__owner_ptr_t *from = &ring->parts[COHORT__RING_SPARE];
    if (!atomic_load(&last->next)) {
        if (!atomic_load(from)) {
            from = &me->in_flight[COHORT__IN_FLIGHT_LINK];
            apr_status_t status = cohort__block_new(
                me, COHORT__KIND_BYTES,
                (size_t)(sizeof(cohort__segment_t) + last->cells * last->stride), from);
            if (status) return status;
        }
        segment_init(atomic_load(from), ring, last->cells, last->number + 1, 0);
        cohort__block_move(me, from, &last->next);
    }
    atomic_store(&ring->tail, atomic_load(&last->next));
    return APR_SUCCESS;
}

apr_status_t cohort__chain_grow(const cohort__call_t *call, cohort__ring_t *ring) {
    apr_status_t status = APR_SUCCESS;
    if (!cohort__chain_enter(call, ring)) return COHORT_EHANDLE;
    cohort__segment_t *last = atomic_load(&ring->tail);
    if (cohort__ring_state(ring)) status = COHORT_ECLOSED;
    else if (last && atomic_load(&last->tail) >= last->cells)
        status = append_segment(call, ring, last);
    cohort__chain_leave(call, ring);
    return status;
}

bool cohort__segment_is_taken(cohort__segment_t *segment) {
    for (uint64_t i = 0; i < segment->cells; i++) {
        uint64_t word =
            atomic_load_explicit(&cohort__cell_at(segment, i)->word, memory_order_acquire);
        if (cohort__word_position(word) < segment->cells) return false;
    }
    return true;
}

apr_status_t cohort__chain_advance(const cohort__call_t *call, cohort__ring_t *ring) {
    if (!cohort__chain_enter(call, ring)) return COHORT_EHANDLE;
    cohort__segment_t *first = atomic_load(&ring->head),
                      *next = first ? atomic_load(&first->next) : NULL;
    if (next && cohort__segment_is_taken(first)) {
        if (atomic_load(&ring->tail) == first) atomic_store(&ring->tail, next);
        atomic_exchange(&ring->head, next);
    }
    for (cohort__segment_t *oldest;
         (oldest = atomic_load(&ring->parts[COHORT__RING_OLDEST])) != atomic_load(&ring->head);) {
        if (cohort__thread_at_object(call->me, oldest)) break;
        unlink_oldest(call->me, ring);
    }
    cohort__chain_leave(call, ring);
    return APR_SUCCESS;
}

void cohort__chain_free(cohort__thread_t *me, cohort__ring_t *ring) {
    cohort__chain_fix(me, ring);
    for (cohort__segment_t *oldest;
         (oldest = atomic_load(&ring->parts[COHORT__RING_OLDEST])) && atomic_load(&oldest->next);)
        unlink_oldest(me, ring);
}
