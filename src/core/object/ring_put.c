/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Putting messages into a ring: one, or a run of them. See ring.h for the guarantee and the
 * algorithm. */
#include "core/object/ring_claim.h"

#include <cohort/errors.h>
#include <string.h>

/* Where the next message goes. */
static apr_status_t find_free_cell(cohort__segment_t *segment, uint64_t *position,
                                   uint64_t *in_the_way) {
    for (;;) {
        uint64_t tail = atomic_load_explicit(&segment->tail, memory_order_acquire);
        if (!segment->laps && tail >= segment->cells) return COHORT__RING_PASSED;
        cohort__cell_t *cell = cohort__cell_at(segment, tail);
        uint64_t word = atomic_load_explicit(&cell->word, memory_order_acquire);
        *position = tail;
        if (word == cohort__cell_word(tail, 0, COHORT__CELL_FREE)) return APR_SUCCESS;
        if (cohort__is_put(segment, word, tail)) {
            if (cohort__is_absurd(segment, word, tail) && atomic_load(&segment->tail) == tail)
                return COHORT_EDAMAGED;
            cohort__tail_raise(segment, tail, cohort__step(segment, tail, 1));
        } else if (atomic_load_explicit(&segment->tail, memory_order_acquire) == tail) {
            *in_the_way = word;
            return APR_EAGAIN;
        }
    }
}

static apr_status_t claim_free(cohort__thread_t *me, cohort__segment_t *segment, uint64_t *position,
                               uint64_t *in_the_way) {
    for (;;) {
        apr_status_t status = find_free_cell(segment, position, in_the_way);
        cohort__cell_t *cell = cohort__cell_at(segment, *position);
        if (status ||
            cohort__cell_claim(me, cohort__record(me), cell, *position, COHORT__CELL_FREE))
            return status;
    }
}

apr_status_t cohort__ring_find_room(const cohort__call_t *call, cohort__ring_t *ring,
                                    bool thorough) {
    for (int repairs = 0;;) {
        uint64_t position = 0, in_the_way = 0;
        cohort__segment_t *segment = cohort__segment_hold(call, &ring->tail);
        if (!segment) return COHORT_EHANDLE;
        apr_status_t status = find_free_cell(segment, &position, &in_the_way);
        cohort__op_end(call->me);
        if (status == COHORT__RING_PASSED) return APR_SUCCESS;
        if (status != APR_EAGAIN || !thorough || repairs++ == COHORT__REPAIRS ||
            !cohort__ring_clear_way(in_the_way))
            return status;
    }
}

static inline void fill_small(cohort__cell_t *cell, const void *data, size_t size) {
    if (size) memcpy(cell->bytes, data, size);
    atomic_store_explicit(&cell->size, size, memory_order_relaxed);
}

static void fill_cell(const cohort__call_t *call, const cohort__send_t *send,
                      cohort__cell_t *cell) {
    if (!send->in_flight) {
        fill_small(cell, send->data, send->size);
        return;
    }
    cohort__block_move(call->me, &call->me->in_flight[COHORT__IN_FLIGHT_MESSAGE], &cell->block);
    atomic_store_explicit(&cell->size, send->size | COHORT__OUT_OF_LINE, memory_order_relaxed);
}

static void commit_put(const cohort__call_t *call, cohort__ring_t *ring, cohort__segment_t *segment,
                       cohort__cell_t *cell, uint64_t position) {
    uint64_t next = cohort__step(segment, position, 1);
    cohort__cell_publish(cell, position);
    cohort__tail_raise(segment, position, next);
    cohort__cell_prefetch(segment, next);
    cohort__op_end(call->me);
    cohort__notify(&ring->items, 1);
}

apr_status_t cohort__ring_put(const cohort__call_t *call, cohort__ring_t *ring,
                              const cohort__send_t *send, bool thorough) {
    for (int repairs = 0;;) {
        uint64_t position = 0, in_the_way = 0;
        cohort__segment_t *segment = cohort__segment_hold(call, &ring->tail);
        if (!segment) return COHORT_EHANDLE;
        apr_status_t status = claim_free(call->me, segment, &position, &in_the_way);
        if (!status) {
            cohort__cell_t *cell = cohort__cell_at(segment, position);
            fill_cell(call, send, cell);
            commit_put(call, ring, segment, cell, position);
            return APR_SUCCESS;
        }
        cohort__op_end(call->me);
        if (status == COHORT__RING_PASSED) {
            status = cohort__chain_grow(call, ring);
            if (status) return status;
        } else if (status != APR_EAGAIN) {
            return status;
        } else if (!thorough || repairs++ == COHORT__REPAIRS ||
                   !cohort__ring_clear_way(in_the_way)) {
            return APR_EAGAIN;
        }
    }
}

/* Each message is its own commit; the tail and the sleepers hear of all of them at the end, which
 * is a lap after the tail at the latest: no position is claimed that is further from it. The
 * walk along the cells is a second one beside claim_free(): it keeps its place from one message to
 * the next, and leaves to the other whatever else there is to see to. A queue tries it first for
 * single messages too: a put takes 252 instructions by it and 314 by cohort__ring_put(), as
 * cohort-bench --check counts them. */
size_t cohort__ring_put_run(const cohort__call_t *call, cohort__ring_t *ring,
                            const cohort_message_t *messages, size_t count) {
    cohort__segment_t *segment = cohort__segment_hold(call, &ring->tail);
    if (!segment) return 0;
    uint64_t first = atomic_load_explicit(&segment->tail, memory_order_acquire), position = first;
    uint32_t record = cohort__record(call->me);
    size_t done = 0;
    while (done < count && messages[done].size <= segment->inline_size &&
           cohort__is_within(segment, position)) {
        cohort__cell_t *cell = cohort__cell_at(segment, position);
        uint64_t word = atomic_load_explicit(&cell->word, memory_order_acquire);
        if (word == cohort__cell_word(position, 0, COHORT__CELL_FREE)) {
            if (!messages[done].data && messages[done].size) break;
            if (!cohort__cell_claim(call->me, record, cell, position, COHORT__CELL_FREE)) continue;
            fill_small(cell, messages[done].data, messages[done].size);
            cohort__cell_publish(cell, position);
            done++;
        } else if (!cohort__is_put(segment, word, position) ||
                   cohort__is_absurd(segment, word, position)) {
            break;
        } else {
            count = cohort__run_bound(segment, first, position, done, count);
        }
        position = cohort__step(segment, position, 1);
        cohort__cell_prefetch(segment, position);
    }
    if (position != first) cohort__tail_raise(segment, first, position);
    cohort__op_end(call->me);
    if (done) cohort__notify(&ring->items, (int)done);
    return done;
}

apr_status_t cohort__ring_send_begin(const cohort__call_t *call, const cohort__ring_t *ring,
                                     cohort__send_t *send) {
    if (send->in_flight || send->size <= ring->inline_size) return APR_SUCCESS;
    if (send->size > COHORT__SIZE_MAX)
        return cohort__fail(APR_ENOMEM, "size is more than a message can have");
    cohort__owner_ptr_t *in_flight = &call->me->in_flight[COHORT__IN_FLIGHT_MESSAGE];
    apr_status_t status = cohort__block_new(call->me, COHORT__KIND_BYTES, send->size, in_flight);
    if (status) return status;
    memcpy(atomic_load_explicit(in_flight, memory_order_relaxed), send->data, send->size);
    send->in_flight = true;
    return APR_SUCCESS;
}

void cohort__ring_send_end(const cohort__call_t *call) {
    cohort__block_free(call->me, &call->me->in_flight[COHORT__IN_FLIGHT_MESSAGE]);
}
