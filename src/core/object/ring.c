/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The ring's slots: putting, getting, counting. See ring.h for the guarantee and the algorithm. */
#include "core/base/bits.h"
#include "core/object/ring_slots.h"

#include <cohort/errors.h>
#include <string.h>

/* A private answer of the steps below: somebody else was faster, look again. */
#define LOST APR_EINCOMPLETE
/* And: all of this segment is spoken for. */
#define PASSED APR_EOF
/* How often a try goes on after the repair of a thread in its way, before it waits for another
 * repairer. */
#define REPAIRS 3
/* So many slots ahead the lines are asked for: sooner they would still be in use, later is too
 * late. */
#define AHEAD 3
/* Nanoseconds. */
#define LINGER_LEAST 1000
#define LINGER_MOST 16000

static void announce(cohort__thread_t *me, cohort__op_kind_t kind, uint64_t position) {
    atomic_store_explicit(&me->op_position, position, memory_order_relaxed);
    atomic_store_explicit(&me->op, (uint32_t)kind, memory_order_release);
}

/* `word` is in the way. If its owner is dead, see that it is repaired: true = look again. */
static bool clear_the_way(uint64_t word) {
    cohort__slot_step_t step = cohort__word_step(word);
    if ((step != COHORT__WRITING && step != COHORT__READING) ||
        cohort__word_owner(word) >= cohort__thread_count())
        return false;
    cohort__pid_t owner = atomic_load_explicit(&cohort__thread_at(cohort__word_owner(word))->owner,
                                               memory_order_acquire);
    return owner == 0 || cohort__process_bury(owner);
}

/* A slot that comes soon: its lines are still with the thread that used it in the lap before, and
 * are here when they are needed. */
static void prefetch(cohort__segment_t *segment, uint64_t position) {
    const char *slot = (const char *)cohort__slot_at(segment, position + AHEAD);
    cohort__prefetch(slot);
    cohort__prefetch(slot + 64);
}

/* ---- the hints ------------------------------------------------------------------------------ */

/* All positions before this one are spoken for. In any case a full barrier. */
static void raise_tail(cohort__segment_t *segment, uint64_t tail, uint64_t to) {
    do {
        if (!cohort__is_ahead(segment, tail, to)) {
            atomic_thread_fence(memory_order_seq_cst);
            return;
        }
    } while (!atomic_compare_exchange_weak(&segment->tail, &tail, to));
}

/* All positions from the head as it was seen to this one are spoken for; unless it went back
 * meanwhile. In any case a full barrier. */
static void raise_head(cohort__segment_t *segment, uint64_t seen, uint64_t to) {
    uint64_t head = seen;
    do {
        if ((head ^ seen) >= COHORT__POSITIONS ||
            !cohort__is_ahead(segment, cohort__head_position(head), to)) {
            atomic_thread_fence(memory_order_seq_cst);
            return;
        }
    } while (!atomic_compare_exchange_weak(&segment->head, &head, cohort__head_with(head, to)));
}

static bool is_within(const cohort__segment_t *segment, uint64_t position) {
    return segment->laps || position < segment->slots;
}

void cohort__ring_catch_up(cohort__segment_t *segment) {
    for (;;) {
        uint64_t tail = atomic_load(&segment->tail);
        uint64_t word = is_within(segment, tail)
                            ? atomic_load(&cohort__slot_at(segment, tail)->word)
                            : cohort__word(tail, 0, COHORT__FREE);
        if (!cohort__is_put(segment, word, tail)) break;
        if (cohort__is_absurd(segment, word, tail) && atomic_load(&segment->tail) == tail) break;
        raise_tail(segment, tail, cohort__step(segment, tail, 1));
    }
    for (;;) {
        uint64_t head = atomic_load(&segment->head), position = cohort__head_position(head);
        uint64_t word = is_within(segment, position)
                            ? atomic_load(&cohort__slot_at(segment, position)->word)
                            : cohort__word(position, 0, COHORT__FREE);
        if (!cohort__is_taken(segment, word, position)) break;
        if (cohort__is_absurd(segment, word, position) && atomic_load(&segment->head) == head)
            break;
        raise_head(segment, head, cohort__step(segment, position, 1));
    }
}

/* ---- put ------------------------------------------------------------------------------------ */

static apr_status_t claim_free(cohort__thread_t *me, cohort__segment_t *segment, uint64_t *position,
                               uint64_t *in_the_way) {
    for (;;) {
        uint64_t tail = atomic_load_explicit(&segment->tail, memory_order_acquire);
        if (!segment->laps && tail >= segment->slots) return PASSED;
        cohort__slot_t *slot = cohort__slot_at(segment, tail);
        uint64_t word = atomic_load_explicit(&slot->word, memory_order_acquire);
        if (word == cohort__word(tail, 0, COHORT__FREE)) {
            announce(me, COHORT__OP_RING_PUT, tail);
            if (!atomic_compare_exchange_strong(
                    &slot->word, &word, cohort__word(tail, cohort__record(me), COHORT__WRITING)))
                continue;
            *position = tail;
            return APR_SUCCESS;
        }
        if (cohort__is_put(segment, word, tail)) {
            if (cohort__is_absurd(segment, word, tail) && atomic_load(&segment->tail) == tail)
                return COHORT_EDAMAGED;
            raise_tail(segment, tail, cohort__step(segment, tail, 1));
        } else if (atomic_load_explicit(&segment->tail, memory_order_acquire) == tail) {
            *in_the_way = word;
            return APR_EAGAIN;
        }
    }
}

static void fill(const cohort__ring_call_t *call, const cohort__send_t *send,
                 cohort__slot_t *slot) {
    uint64_t size = send->size;
    if (send->staged) {
        cohort__block_move(call->me, &call->me->stage[COHORT__STAGE_MESSAGE], &slot->block);
        size |= COHORT__OUT_OF_LINE;
    } else if (size > 0) {
        memcpy(slot->bytes, send->data, send->size);
    }
    atomic_store_explicit(&slot->size, size, memory_order_relaxed);
}

/* The commit is one store. Raising the tail after it is the barrier that the wake-up needs. */
static void publish(const cohort__ring_call_t *call, cohort__segment_t *segment,
                    cohort__slot_t *slot, uint64_t position) {
    uint64_t next = cohort__step(segment, position, 1);
    atomic_store_explicit(&slot->word, cohort__word(position, 0, COHORT__FULL),
                          memory_order_release);
    raise_tail(segment, position, next);
    prefetch(segment, next);
    cohort__op_end(call->me);
    cohort__notify(&call->ring->items, 1);
}

apr_status_t cohort__ring_put(const cohort__ring_call_t *call, const cohort__send_t *send,
                              bool thorough) {
    for (int repairs = 0;;) {
        uint64_t position = 0, in_the_way = 0;
        cohort__segment_t *segment = cohort__segment_hold(call, &call->ring->tail);
        if (!segment) return COHORT_EHANDLE;
        apr_status_t status = claim_free(call->me, segment, &position, &in_the_way);
        if (!status) {
            cohort__slot_t *slot = cohort__slot_at(segment, position);
            fill(call, send, slot);
            publish(call, segment, slot, position);
            return APR_SUCCESS;
        }
        cohort__op_end(call->me);
        if (status == PASSED) {
            status = cohort__chain_grow(call);
            if (status) return status;
        } else if (status != APR_EAGAIN) {
            return status;
        } else if (!thorough || repairs++ == REPAIRS || !clear_the_way(in_the_way)) {
            return APR_EAGAIN;
        }
    }
}

/* Each message is its own commit; the tail and the sleepers hear of all of them at the end. */
size_t cohort__ring_put_run(const cohort__ring_call_t *call, const cohort_message_t *messages,
                            size_t count) {
    cohort__segment_t *segment = cohort__segment_hold(call, &call->ring->tail);
    if (!segment) return 0;
    uint64_t first = atomic_load_explicit(&segment->tail, memory_order_acquire), position = first;
    uint32_t me = cohort__record(call->me);
    size_t done = 0;
    while (done < count && messages[done].size <= segment->inline_size &&
           is_within(segment, position)) {
        cohort__slot_t *slot = cohort__slot_at(segment, position);
        uint64_t word = atomic_load_explicit(&slot->word, memory_order_acquire);
        if (word == cohort__word(position, 0, COHORT__FREE)) {
            if (!messages[done].data && messages[done].size) break;
            announce(call->me, COHORT__OP_RING_PUT, position);
            if (!atomic_compare_exchange_strong(&slot->word, &word,
                                                cohort__word(position, me, COHORT__WRITING)))
                continue;
            if (messages[done].size) memcpy(slot->bytes, messages[done].data, messages[done].size);
            atomic_store_explicit(&slot->size, messages[done].size, memory_order_relaxed);
            atomic_store_explicit(&slot->word, cohort__word(position, 0, COHORT__FULL),
                                  memory_order_release);
            done++;
        } else if (!cohort__is_put(segment, word, position) ||
                   cohort__is_absurd(segment, word, position)) {
            break;
        }
        position = cohort__step(segment, position, 1);
        prefetch(segment, position);
    }
    if (position != first) raise_tail(segment, first, position);
    cohort__op_end(call->me);
    if (done) cohort__notify(&call->ring->items, (int)done);
    return done;
}

apr_status_t cohort__ring_stage(const cohort__ring_call_t *call, cohort__send_t *send) {
    if (send->staged || send->size <= call->ring->inline_size) return APR_SUCCESS;
    if (send->size > COHORT__SIZE_MAX)
        return cohort__fail(APR_ENOMEM, "size is more than a message can have");
    cohort__home_t *stage = &call->me->stage[COHORT__STAGE_MESSAGE];
    apr_status_t status = cohort__block_new(call->me, COHORT__KIND_BYTES, send->size, stage);
    if (status) return status;
    memcpy(atomic_load_explicit(stage, memory_order_relaxed), send->data, send->size);
    send->staged = true;
    return APR_SUCCESS;
}

void cohort__ring_unstage(const cohort__ring_call_t *call) {
    cohort__block_free(call->me, &call->me->stage[COHORT__STAGE_MESSAGE]);
}

/* ---- get ------------------------------------------------------------------------------------ */

/* A new epoch in any case: somebody may be about to bump the head past this position, since the
 * slot was READING. */
void cohort__ring_rewind(cohort__segment_t *segment, uint64_t position) {
    uint64_t head = atomic_load_explicit(&segment->head, memory_order_acquire), back;
    atomic_store(&segment->ring->irregular, 1);
    do {
        uint64_t there = cohort__head_position(head);
        uint64_t to = cohort__is_ahead(segment, position, there) ? position : there;
        back = cohort__head_with(head + COHORT__POSITIONS, to);
    } while (!atomic_compare_exchange_strong(&segment->head, &head, back));
}

static const void *bytes_of(cohort__slot_t *slot) {
    bool out = atomic_load_explicit(&slot->size, memory_order_relaxed) & COHORT__OUT_OF_LINE;
    return out ? atomic_load_explicit(&slot->block, memory_order_relaxed) : slot->bytes;
}

static bool is_out_of_line(cohort__slot_t *slot) {
    return atomic_load_explicit(&slot->size, memory_order_relaxed) & COHORT__OUT_OF_LINE;
}

/* Bring the bytes to where the caller wants them; the message is still in the ring. */
static COHORT__APART apr_status_t too_small(const cohort__receive_t *r) {
    return cohort__fail(COHORT_ETOOSMALL, "the message has %lu bytes, the buffer %lu",
                        (unsigned long)r->size, (unsigned long)r->capacity);
}

static apr_status_t copy_out(cohort__thread_t *me, cohort__slot_t *slot, cohort__receive_t *r) {
    void *to = r->data;
    if (r->how == COHORT__RECEIVE_BLOCK) {
        if (is_out_of_line(slot)) return APR_SUCCESS;
        apr_status_t status = cohort__block_new(me, COHORT__KIND_BYTES, r->size ? r->size : 1,
                                                &me->stage[COHORT__STAGE_MESSAGE]);
        if (status) return status;
        to = atomic_load_explicit(&me->stage[COHORT__STAGE_MESSAGE], memory_order_relaxed);
    } else if (r->how == COHORT__RECEIVE_COPY) {
        to = r->data = apr_palloc(r->pool, r->size + 1);
        if (!to) return cohort__fail(APR_ENOMEM, "copying the message to the pool");
        ((char *)to)[r->size] = 0;
    }
    if (r->size) memcpy(to, bytes_of(slot), r->size);
    return APR_SUCCESS;
}

static void in_vain(const cohort__receive_t *r) {
    if (r->in_vain) r->in_vain(r->arg);
}

static void give_back(cohort__thread_t *me, cohort__segment_t *segment, uint64_t position,
                      const cohort__receive_t *r) {
    uint64_t mine = cohort__word(position, cohort__record(me), COHORT__READING);
    cohort__block_free(me, &me->stage[COHORT__STAGE_MESSAGE]);
    if (atomic_compare_exchange_strong(&cohort__slot_at(segment, position)->word, &mine,
                                       cohort__word(position, 0, COHORT__FULL)))
        cohort__ring_rewind(segment, position);
    in_vain(r);
    cohort__ring_t *ring = segment->ring;
    cohort__op_end(me);
    cohort__notify(&ring->items, 1);
}

/* The commit is one store. A large message's block leaves the slot before, and the repair of a
 * death in between brings it back from the stage. Then the head is raised, which is the barrier
 * that the wake-up needs. */
static void commit(const cohort__ring_call_t *call, cohort__segment_t *segment, uint64_t position,
                   const uint64_t *head, cohort__receive_t *r) {
    cohort__slot_t *slot = cohort__slot_at(segment, position);
    cohort__home_t *stage = &call->me->stage[COHORT__STAGE_MESSAGE];
    uint64_t next = cohort__step(segment, position, 1);
    bool out = is_out_of_line(slot);
    if (out) cohort__block_move(call->me, &slot->block, stage);
    atomic_store_explicit(&slot->word, cohort__free_again(segment, position), memory_order_release);
    if (head) raise_head(segment, *head, next);
    else atomic_thread_fence(memory_order_seq_cst);
    prefetch(segment, next);
    if (out) cohort__block_ask_for(&cohort__slot_at(segment, next)->block);
    cohort__op_end(call->me);
    cohort__notify(&call->ring->space, 1);
    if (r->how == COHORT__RECEIVE_BLOCK) r->data = cohort__block_give(stage);
    else if (out) cohort__block_free(call->me, stage);
}

/* Of a message that does not lie in its slot: is there such a block? */
static bool is_sound(cohort__slot_t *slot, uint64_t size) {
    void *block = atomic_load_explicit(&slot->block, memory_order_acquire);
    return size & COHORT__OUT_OF_LINE && cohort__block_is(block, COHORT__KIND_BYTES) &&
           (size & COHORT__SIZE_MAX) <= cohort__block_size(block);
}

/* Nobody can make sense of this message: it goes, so that those behind it can be had. Its block,
 * whatever it is, is left alone. */
static apr_status_t drop(const cohort__ring_call_t *call, cohort__segment_t *segment,
                         uint64_t position, const uint64_t *head) {
    cohort__slot_t *slot = cohort__slot_at(segment, position);
    uint64_t full = cohort__word(position, 0, COHORT__FULL);
    announce(call->me, COHORT__OP_RING_GET, position);
    if (!atomic_compare_exchange_strong(
            &slot->word, &full, cohort__word(position, cohort__record(call->me), COHORT__READING)))
        return LOST;
    cohort__receive_t nothing = {.how = COHORT__RECEIVE_INTO};
    atomic_store(&slot->block, NULL);
    atomic_store(&slot->size, 0);
    if (!head) atomic_store(&call->ring->irregular, 1);
    commit(call, segment, position, head, &nothing);
    return COHORT_EDAMAGED;
}

/* Take what is at a position if it is FULL. `head`: the hint that led here, to be bumped; NULL when
 * another way led here. */
static apr_status_t take(const cohort__ring_call_t *call, cohort__segment_t *segment,
                         uint64_t position, const uint64_t *head, cohort__receive_t *r) {
    cohort__thread_t *me = call->me;
    cohort__slot_t *slot = cohort__slot_at(segment, position);
    uint64_t full = cohort__word(position, 0, COHORT__FULL);
    uint64_t said = atomic_load_explicit(&slot->size, memory_order_acquire) & ~COHORT__RETURNED;
    bool sound = said <= segment->inline_size || is_sound(slot, said);
    r->size = (size_t)(said & COHORT__SIZE_MAX);
    if (atomic_load_explicit(&slot->word, memory_order_acquire) != full) return LOST;
    if (!sound) return drop(call, segment, position, head);
    if (r->how == COHORT__RECEIVE_PEEK) return APR_SUCCESS;
    if (r->how == COHORT__RECEIVE_INTO && r->size > r->capacity) return too_small(r);

    apr_status_t status = r->expect ? r->expect(r->arg) : APR_SUCCESS;
    if (status) return status;
    if (!head) atomic_store(&call->ring->irregular, 1);
    announce(me, COHORT__OP_RING_GET, position);
    if (!atomic_compare_exchange_strong(
            &slot->word, &full, cohort__word(position, cohort__record(me), COHORT__READING))) {
        in_vain(r);
        return LOST;
    }
    r->returned = atomic_load_explicit(&slot->size, memory_order_relaxed) & COHORT__RETURNED;
    status = copy_out(me, slot, r);
    if (!status && r->claimed) status = r->claimed(r->arg);
    if (status) give_back(me, segment, position, r);
    else commit(call, segment, position, head, r);
    return status;
}

/* The first message is not finished. One behind it that is finished was put no earlier than the
 * first will be, so it may be taken first. */
static apr_status_t get_behind(const cohort__ring_call_t *call, cohort__segment_t *segment,
                               uint64_t first, cohort__receive_t *r) {
    uint64_t tail = atomic_load_explicit(&segment->tail, memory_order_acquire);
    uint64_t left = segment->slots;
    for (uint64_t p = cohort__step(segment, first, 1);
         left-- > 0 && cohort__is_ahead(segment, p, tail); p = cohort__step(segment, p, 1)) {
        apr_status_t status = take(call, segment, p, NULL, r);
        if (status != LOST) return status;
    }
    return APR_EAGAIN;
}

static apr_status_t get_in(const cohort__ring_call_t *call, cohort__segment_t *segment,
                           cohort__receive_t *r, bool thorough, uint64_t *in_the_way) {
    for (;;) {
        uint64_t head = atomic_load_explicit(&segment->head, memory_order_acquire),
                 position = cohort__head_position(head);
        if (!segment->laps && position >= segment->slots) return PASSED;
        uint64_t word =
            atomic_load_explicit(&cohort__slot_at(segment, position)->word, memory_order_acquire);
        uint64_t there = cohort__word_position(word);
        cohort__slot_step_t step = cohort__word_step(word);
        if (there == position && step == COHORT__FULL) {
            if (cohort__word_owner(word)) return COHORT_EDAMAGED;
            apr_status_t status = take(call, segment, position, &head, r);
            if (status != LOST) return status;
        } else if (there == position && step == COHORT__FREE) {
            return APR_EAGAIN;
        } else if (there == position && step == COHORT__WRITING) {
            *in_the_way = word;
            return thorough ? get_behind(call, segment, position, r) : APR_EAGAIN;
        } else if (there == position || cohort__is_ahead(segment, position, there)) {
            if (cohort__is_absurd(segment, word, position) && atomic_load(&segment->head) == head)
                return COHORT_EDAMAGED;
            raise_head(segment, head, cohort__step(segment, position, 1));
        } else if (atomic_load_explicit(&segment->head, memory_order_acquire) == head) {
            *in_the_way = word; /* a reader of the lap before */
            return APR_EAGAIN;
        }
    }
}

static bool is_all_claimed(cohort__segment_t *segment) {
    return !segment->laps &&
           atomic_load_explicit(&segment->tail, memory_order_acquire) >= segment->slots;
}

/* One walk along the segments, from the first that is not done with; LOST: it must begin again.
 * Ends the operation. */
static apr_status_t get_along(const cohort__ring_call_t *call, cohort__receive_t *r, bool thorough,
                              uint64_t *in_the_way) {
    cohort__segment_t *first = cohort__segment_hold(call, &call->ring->head), *segment = first;
    if (!first) return COHORT_EHANDLE;
    for (;;) {
        uint64_t obstacle = 0;
        apr_status_t status = get_in(call, segment, r, thorough, &obstacle);
        if (!*in_the_way) *in_the_way = obstacle;
        bool go_on =
            status == PASSED || (status == APR_EAGAIN && thorough && is_all_claimed(segment));
        cohort__segment_t *next =
            go_on ? atomic_load_explicit(&segment->next, memory_order_acquire) : NULL;
        if (!next) {
            cohort__op_end(call->me);
            return status == PASSED ? APR_EAGAIN : status;
        }
        if (segment == first && cohort__segment_is_taken(first)) {
            cohort__op_end(call->me);
            status = cohort__chain_advance(call);
            return status ? status : LOST;
        }
        segment = cohort__segment_hold_next(call, first, next);
        if (!segment) {
            cohort__op_end(call->me);
            return LOST;
        }
    }
}

apr_status_t cohort__ring_get(const cohort__ring_call_t *call, cohort__receive_t *receive,
                              bool thorough) {
    for (int repairs = 0;;) {
        uint64_t in_the_way = 0;
        apr_status_t status = get_along(call, receive, thorough, &in_the_way);
        if (status == LOST) continue;
        if (status != APR_EAGAIN || !thorough || repairs++ == REPAIRS || !clear_the_way(in_the_way))
            return status;
    }
}

static bool fits(const cohort__segment_t *segment, cohort__slot_t *slot,
                 const cohort_message_t *message) {
    uint64_t size = atomic_load_explicit(&slot->size, memory_order_relaxed);
    size &= ~COHORT__RETURNED; /* more than a slot has: out of line, or damaged */
    return size <= segment->inline_size && size <= message->size &&
           (message->data || !message->size);
}

/* As cohort__ring_put_run(). */
size_t cohort__ring_get_run(const cohort__ring_call_t *call, cohort_message_t *messages,
                            size_t count) {
    cohort__segment_t *segment = cohort__segment_hold(call, &call->ring->head);
    if (!segment) return 0;
    uint64_t head = atomic_load_explicit(&segment->head, memory_order_acquire),
             position = cohort__head_position(head);
    uint32_t me = cohort__record(call->me);
    size_t done = 0;
    while (done < count && is_within(segment, position)) {
        cohort__slot_t *slot = cohort__slot_at(segment, position);
        uint64_t word = atomic_load_explicit(&slot->word, memory_order_acquire);
        if (word == cohort__word(position, 0, COHORT__FULL)) {
            if (!fits(segment, slot, &messages[done])) break;
            announce(call->me, COHORT__OP_RING_GET, position);
            if (!atomic_compare_exchange_strong(&slot->word, &word,
                                                cohort__word(position, me, COHORT__READING)))
                continue;
            uint64_t said = atomic_load_explicit(&slot->size, memory_order_relaxed);
            cohort_message_t *message = &messages[done++];
            message->size = (apr_size_t)(said & COHORT__SIZE_MAX);
            message->returned = (said & COHORT__RETURNED) != 0;
            if (message->size) memcpy(message->data, slot->bytes, message->size);
            atomic_store_explicit(&slot->word, cohort__free_again(segment, position),
                                  memory_order_release);
        } else if (!cohort__is_taken(segment, word, position) ||
                   cohort__is_absurd(segment, word, position)) {
            break;
        }
        position = cohort__step(segment, position, 1);
        prefetch(segment, position);
    }
    if (position != cohort__head_position(head)) raise_head(segment, head, position);
    cohort__op_end(call->me);
    if (done) cohort__notify(&call->ring->space, (int)done);
    return done;
}

/* ---- counting ------------------------------------------------------------------------------- */

typedef struct {
    uint64_t messages, bytes;
} sum_t;

static sum_t look_over(cohort__segment_t *segment, uint64_t from, uint64_t to) {
    sum_t sum = {0, 0};
    uint64_t left = segment->slots;
    for (uint64_t p = from; left-- > 0 && cohort__is_ahead(segment, p, to);
         p = cohort__step(segment, p, 1)) {
        cohort__slot_t *slot = cohort__slot_at(segment, p);
        uint64_t word = atomic_load_explicit(&slot->word, memory_order_acquire);
        cohort__slot_step_t step = cohort__word_step(word);
        if (cohort__word_position(word) != p || (step != COHORT__FULL && step != COHORT__READING))
            continue;
        sum.messages++;
        sum.bytes += atomic_load_explicit(&slot->size, memory_order_relaxed) & COHORT__SIZE_MAX;
    }
    return sum;
}

static sum_t sum_of(cohort__segment_t *segment, bool look) {
    uint64_t tail = atomic_load(&segment->tail),
             head = cohort__head_position(atomic_load(&segment->head));
    if (look) return look_over(segment, head, tail);
    uint64_t ahead = cohort__is_ahead(segment, head, tail) ? cohort__ahead(segment, head, tail) : 0;
    return (sum_t){ahead < segment->slots ? ahead : segment->slots, 0};
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
                (last->number - s->number - 1) * s->slots + sum_of(last, false).messages;
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

static sum_t sum(const cohort__ring_call_t *call, bool look) {
    sum_t result = {0, 0};
    if (!cohort__ring_look(call)) return result;
    if (!call->ring->capacity) cohort__guard_enter(call->ring->guard, call->me);
    result = sum_inside(call->ring, look);
    if (!call->ring->capacity) cohort__guard_leave(call->ring->guard);
    cohort__ring_look_end(call);
    return result;
}

uint64_t cohort__ring_count_inside(cohort__ring_t *ring) {
    return sum_inside(ring, false).messages;
}

uint64_t cohort__ring_count(const cohort__ring_call_t *call) {
    return sum(call, false).messages;
}

uint64_t cohort__ring_bytes(const cohort__ring_call_t *call) {
    return sum(call, true).bytes;
}

bool cohort__ring_is_idle(const cohort__ring_call_t *call, bool thorough) {
    uint64_t busy = 0;
    if (!cohort__ring_look(call)) return true;
    cohort__segment_t *s = atomic_load(&call->ring->head);
    for (uint64_t i = 0; s && i < s->slots && cohort__word_step(busy) == COHORT__FREE; i++)
        busy = atomic_load(&cohort__slot_at(s, i)->word);
    cohort__ring_look_end(call);
    if (thorough) (void)clear_the_way(busy);
    return cohort__word_step(busy) == COHORT__FREE;
}

void cohort__ring_stir(cohort__ring_t *ring) {
    atomic_fetch_or(&ring->irregular, 0); /* a full barrier */
    cohort__notify(&ring->items, COHORT__ALL);
    cohort__notify(&ring->space, COHORT__ALL);
}

/* ---- waiting -------------------------------------------------------------------------------- */

/* How long this thread lingers: longer as long as that is rewarded, less when it is not. */
static _Thread_local int64_t patience = LINGER_LEAST;

/* A thread that does the same thing to a ring again and again and is faster than the other side
 * would fight with it for the line of each message. It gives the other side the time of some
 * messages, and then has them in one go. A thread that waits for an answer does not linger. */
static apr_status_t linger(cohort__try_t try, void *arg, int64_t deadline) {
    int64_t until = cohort_os_now() + patience;
    for (until = until < deadline ? until : deadline; cohort_os_now() < until;) {
        for (int i = 0; i < 8; i++) cohort__relax();
    }
    apr_status_t status = try(arg, false);
    patience = status != APR_EAGAIN ? patience * 2 : patience / 2;
    if (patience > LINGER_MOST) patience = LINGER_MOST;
    if (patience < LINGER_LEAST) patience = LINGER_LEAST;
    return status;
}

apr_status_t cohort__ring_await(const cohort__ring_call_t *call, cohort__ec_t *ec,
                                cohort__try_t try, void *arg, apr_interval_time_t timeout) {
    apr_status_t status = try(arg, false);
    if (status == APR_EAGAIN) {
        int64_t deadline = cohort__deadline(timeout);
        if (deadline && call->me->waited == ec) status = linger(try, arg, deadline);
        if (status == APR_EAGAIN) status = cohort__await(ec, try, arg, deadline);
    }
    call->me->waited = ec;
    return status;
}
