/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Taking messages out of a ring: one, or a run of them. See ring.h for the guarantee and the
 * algorithm. */
#include "core/object/ring_claim.h"

#include <cohort/errors.h>
#include <string.h>

static const void *cell_bytes(cohort__cell_t *cell) {
    bool out = atomic_load_explicit(&cell->size, memory_order_relaxed) & COHORT__OUT_OF_LINE;
    return out ? atomic_load_explicit(&cell->block, memory_order_relaxed) : cell->bytes;
}

static bool is_out_of_line(cohort__cell_t *cell) {
    return atomic_load_explicit(&cell->size, memory_order_relaxed) & COHORT__OUT_OF_LINE;
}

static COHORT__APART apr_status_t too_small(const cohort__receive_t *r) {
    return cohort__fail(COHORT_ETOOSMALL, "the message has %lu bytes, the buffer %lu",
                        (unsigned long)r->size, (unsigned long)r->capacity);
}

/* Bring the bytes to where the caller wants them; the message is still in the ring. */
static apr_status_t copy_out(cohort__thread_t *me, cohort__cell_t *cell, cohort__receive_t *r) {
    void *to = r->data;
    if (r->how == COHORT__RECEIVE_BLOCK) {
        if (is_out_of_line(cell)) return APR_SUCCESS;
        apr_status_t status = cohort__block_new(me, COHORT__KIND_BYTES, r->size ? r->size : 1,
                                                &me->in_flight[COHORT__IN_FLIGHT_MESSAGE]);
        if (status) return status;
        to = atomic_load_explicit(&me->in_flight[COHORT__IN_FLIGHT_MESSAGE], memory_order_relaxed);
    } else if (r->how == COHORT__RECEIVE_DROP) {
        return APR_SUCCESS;
    } else if (r->how == COHORT__RECEIVE_COPY) {
        to = r->data = apr_palloc(r->pool, r->size + 1);
        if (!to) return cohort__fail(APR_ENOMEM, "copying the message to the pool");
        ((char *)to)[r->size] = 0;
    }
    if (r->size) memcpy(to, cell_bytes(cell), r->size);
    return APR_SUCCESS;
}

static void not_taken(const cohort__receive_t *r) {
    if (r->in_vain) r->in_vain(r->arg);
}

static void give_back(cohort__thread_t *me, cohort__segment_t *segment, uint64_t position,
                      const cohort__receive_t *r) {
    uint64_t mine = cohort__cell_word(position, cohort__record(me), COHORT__CELL_READING);
    cohort__block_free(me, &me->in_flight[COHORT__IN_FLIGHT_MESSAGE]);
    if (atomic_compare_exchange_strong(&cohort__cell_at(segment, position)->word, &mine,
                                       cohort__cell_word(position, 0, COHORT__CELL_FULL)))
        cohort__ring_rewind(segment, position);
    not_taken(r);
    cohort__ring_t *ring = segment->ring;
    cohort__op_end(me);
    cohort__notify(&ring->items, 1);
}

/* A large message's block leaves the cell before the commit, and the repair of a death in between
 * brings it back from the in-flight pointer. */
static void commit_get(const cohort__call_t *call, cohort__ring_t *ring, cohort__segment_t *segment,
                       uint64_t position, const uint64_t *head, cohort__receive_t *r) {
    cohort__cell_t *cell = cohort__cell_at(segment, position);
    cohort__owner_ptr_t *in_flight = &call->me->in_flight[COHORT__IN_FLIGHT_MESSAGE];
    uint64_t next = cohort__step(segment, position, 1);
    bool out = is_out_of_line(cell);
    if (out) cohort__block_move(call->me, &cell->block, in_flight);
    cohort__cell_vacate(segment, cell, position);
    if (head) cohort__head_raise(segment, *head, next);
    else atomic_thread_fence(memory_order_seq_cst);
    cohort__cell_prefetch(segment, next);
    if (out) cohort__block_prefetch(&cohort__cell_at(segment, next)->block);
    cohort__op_end(call->me);
    cohort__notify(&ring->space, 1);
    if (cohort__ring_state(ring)) cohort__notify(&ring->items, COHORT__ALL);
    if (r->how == COHORT__RECEIVE_BLOCK) r->data = cohort__block_give(in_flight);
    else if (out) cohort__block_free(call->me, in_flight);
}

/* Of a message that does not lie in its cell: is there such a block? */
static bool is_sound(cohort__cell_t *cell, uint64_t size) {
    void *block = atomic_load_explicit(&cell->block, memory_order_acquire);
    return size & COHORT__OUT_OF_LINE && cohort__block_is(block, COHORT__KIND_BYTES) &&
           (size & COHORT__SIZE_MAX) <= cohort__block_size(block);
}

/* This message cannot be made sense of: it goes, so that those behind it can be had. Its block,
 * whatever it is, is left alone. */
static apr_status_t drop_damaged(const cohort__call_t *call, cohort__ring_t *ring,
                                 cohort__segment_t *segment, uint64_t position,
                                 const uint64_t *head) {
    cohort__cell_t *cell = cohort__cell_at(segment, position);
    if (!cohort__cell_claim(call->me, cohort__record(call->me), cell, position, COHORT__CELL_FULL))
        return COHORT__RING_LOST;
    cohort__receive_t nothing = {.how = COHORT__RECEIVE_INTO};
    atomic_store(&cell->block, NULL);
    atomic_store(&cell->size, 0);
    if (!head) atomic_store(&ring->irregular, 1);
    commit_get(call, ring, segment, position, head, &nothing);
    return COHORT_EDAMAGED;
}

/* Take what is at a position if it is FULL. `head`: the hint that led here, to be bumped; NULL when
 * another way led here. */
static apr_status_t take_at(const cohort__call_t *call, cohort__ring_t *ring,
                            cohort__segment_t *segment, uint64_t position, const uint64_t *head,
                            cohort__receive_t *r) {
    cohort__thread_t *me = call->me;
    cohort__cell_t *cell = cohort__cell_at(segment, position);
    uint64_t full = cohort__cell_word(position, 0, COHORT__CELL_FULL);
    uint64_t said = atomic_load_explicit(&cell->size, memory_order_acquire) & ~COHORT__RETURNED;
    bool sound = said <= segment->inline_size || is_sound(cell, said);
    r->size = (size_t)(said & COHORT__SIZE_MAX);
    if (atomic_load_explicit(&cell->word, memory_order_acquire) != full) return COHORT__RING_LOST;
    if (r->how == COHORT__RECEIVE_PEEK) return sound ? APR_SUCCESS : COHORT_EDAMAGED;
    if (!sound) return drop_damaged(call, ring, segment, position, head);
    if (r->how == COHORT__RECEIVE_INTO && r->size > r->capacity) return too_small(r);

    apr_status_t status = r->expect ? r->expect(r->arg) : APR_SUCCESS;
    if (status) return status;
    if (!head) atomic_store(&ring->irregular, 1);
    if (!cohort__cell_claim(me, cohort__record(me), cell, position, COHORT__CELL_FULL)) {
        not_taken(r);
        return COHORT__RING_LOST;
    }
    r->returned = atomic_load_explicit(&cell->size, memory_order_relaxed) & COHORT__RETURNED;
    status = copy_out(me, cell, r);
    if (!status && r->claimed) status = r->claimed(r->arg);
    if (status) give_back(me, segment, position, r);
    else commit_get(call, ring, segment, position, head, r);
    return status;
}

/* The first message is not finished. One behind it that is finished was put no earlier than the
 * first will be, so it may be taken first. */
static apr_status_t get_behind(const cohort__call_t *call, cohort__ring_t *ring,
                               cohort__segment_t *segment, uint64_t first, cohort__receive_t *r) {
    uint64_t tail = atomic_load_explicit(&segment->tail, memory_order_acquire);
    uint64_t left = segment->cells;
    for (uint64_t p = cohort__step(segment, first, 1);
         left-- > 0 && cohort__is_ahead(segment, p, tail); p = cohort__step(segment, p, 1)) {
        apr_status_t status = take_at(call, ring, segment, p, NULL, r);
        if (status != COHORT__RING_LOST) return status;
    }
    return APR_EAGAIN;
}

static apr_status_t get_in(const cohort__call_t *call, cohort__ring_t *ring,
                           cohort__segment_t *segment, cohort__receive_t *r, bool thorough,
                           uint64_t *in_the_way) {
    for (;;) {
        uint64_t head = atomic_load_explicit(&segment->head, memory_order_acquire),
                 position = cohort__head_position(head);
        if (!segment->laps && position >= segment->cells) return COHORT__RING_PASSED;
        uint64_t word =
            atomic_load_explicit(&cohort__cell_at(segment, position)->word, memory_order_acquire);
        uint64_t there = cohort__word_position(word);
        cohort__cell_step_t step = cohort__word_step(word);
        if (there == position && step == COHORT__CELL_FULL) {
            if (cohort__word_owner(word)) return COHORT_EDAMAGED;
            apr_status_t status = take_at(call, ring, segment, position, &head, r);
            if (status != COHORT__RING_LOST) return status;
        } else if (there == position && step == COHORT__CELL_FREE) {
            return APR_EAGAIN;
        } else if (there == position && step == COHORT__CELL_WRITING) {
            *in_the_way = word;
            return thorough ? get_behind(call, ring, segment, position, r) : APR_EAGAIN;
        } else if (there == position || cohort__is_ahead(segment, position, there)) {
            if (cohort__is_absurd(segment, word, position) && atomic_load(&segment->head) == head)
                return COHORT_EDAMAGED;
            cohort__head_raise(segment, head, cohort__step(segment, position, 1));
        } else if (atomic_load_explicit(&segment->head, memory_order_acquire) == head) {
            *in_the_way = word; /* a reader of the lap before */
            return APR_EAGAIN;
        }
    }
}

static bool is_all_claimed(cohort__segment_t *segment) {
    return !segment->laps &&
           atomic_load_explicit(&segment->tail, memory_order_acquire) >= segment->cells;
}

/* One walk along the segments, from the first that is not done with; LOST: it must begin again.
 * Ends the operation. */
static apr_status_t get_along(const cohort__call_t *call, cohort__ring_t *ring,
                              cohort__receive_t *r, bool thorough, uint64_t *in_the_way) {
    cohort__segment_t *first = cohort__segment_hold(call, &ring->head), *segment = first;
    if (!first) return COHORT_EHANDLE;
    for (;;) {
        uint64_t obstacle = 0;
        apr_status_t status = get_in(call, ring, segment, r, thorough, &obstacle);
        if (!*in_the_way) *in_the_way = obstacle;
        bool go_on = status == COHORT__RING_PASSED ||
                     (status == APR_EAGAIN && thorough && is_all_claimed(segment));
        cohort__segment_t *next =
            go_on ? atomic_load_explicit(&segment->next, memory_order_acquire) : NULL;
        if (!next) {
            cohort__op_end(call->me);
            return status == COHORT__RING_PASSED ? APR_EAGAIN : status;
        }
        if (segment == first && cohort__segment_is_taken(first)) {
            cohort__op_end(call->me);
            status = cohort__chain_advance(call, ring);
            return status ? status : COHORT__RING_LOST;
        }
        segment = cohort__segment_hold_next(call, ring, first, next);
        if (!segment) {
            cohort__op_end(call->me);
            return COHORT__RING_LOST;
        }
    }
}

apr_status_t cohort__ring_get(const cohort__call_t *call, cohort__ring_t *ring,
                              cohort__receive_t *receive, bool thorough) {
    for (int repairs = 0;;) {
        uint64_t in_the_way = 0;
        apr_status_t status = get_along(call, ring, receive, thorough, &in_the_way);
        if (status == COHORT__RING_LOST) continue;
        if (status != APR_EAGAIN || !thorough || repairs++ == COHORT__REPAIRS ||
            !cohort__ring_clear_way(in_the_way))
            return status;
    }
}

static bool fits_message(const cohort__segment_t *segment, cohort__cell_t *cell,
                         const cohort_message_t *message) {
    uint64_t size = atomic_load_explicit(&cell->size, memory_order_relaxed);
    size &= ~COHORT__RETURNED; /* more than a cell has: out of line, or damaged */
    return size <= segment->inline_size && size <= message->capacity &&
           (message->data || !message->capacity);
}

/* As cohort__ring_put_run(). A get takes 300 instructions by it and 509 by cohort__ring_get(). */
size_t cohort__ring_get_run(const cohort__call_t *call, cohort__ring_t *ring,
                            cohort_message_t *messages, size_t count) {
    cohort__segment_t *segment = cohort__segment_hold(call, &ring->head);
    if (!segment) return 0;
    uint64_t head = atomic_load_explicit(&segment->head, memory_order_acquire),
             position = cohort__head_position(head);
    uint32_t record = cohort__record(call->me);
    size_t done = 0;
    while (done < count && cohort__is_within(segment, position)) {
        cohort__cell_t *cell = cohort__cell_at(segment, position);
        uint64_t word = atomic_load_explicit(&cell->word, memory_order_acquire);
        if (word == cohort__cell_word(position, 0, COHORT__CELL_FULL)) {
            if (!fits_message(segment, cell, &messages[done])) break;
            if (!cohort__cell_claim(call->me, record, cell, position, COHORT__CELL_FULL)) continue;
            uint64_t said = atomic_load_explicit(&cell->size, memory_order_relaxed);
            cohort_message_t *message = &messages[done++];
            message->size = (apr_size_t)(said & COHORT__SIZE_MAX);
            message->returned = (said & COHORT__RETURNED) != 0;
            if (message->size) memcpy(message->data, cell->bytes, message->size);
            cohort__cell_vacate(segment, cell, position);
        } else if (!cohort__is_taken(segment, word, position) ||
                   cohort__is_absurd(segment, word, position)) {
            break;
        } else {
            count = cohort__run_bound(segment, cohort__head_position(head), position, done, count);
        }
        position = cohort__step(segment, position, 1);
        cohort__cell_prefetch(segment, position);
    }
    if (position != cohort__head_position(head)) cohort__head_raise(segment, head, position);
    cohort__op_end(call->me);
    if (done) {
        cohort__notify(&ring->space, (int)done);
        if (cohort__ring_state(ring)) cohort__notify(&ring->items, COHORT__ALL);
    }
    return done;
}
