/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Between ring_*.c: what a segment looks like, and arithmetic on positions. The algorithm is told
 * in ring.h. */
#ifndef COHORT_CORE_RING_CELLS_H
#define COHORT_CORE_RING_CELLS_H

#include "core/object/ring.h"

/* Positions are numbers below the segment's limit, the largest multiple of its cells that fits in
 * the bits; they wrap there. */
#define COHORT__POSITION_BITS 45
#define COHORT__POSITIONS     ((uint64_t)1 << COHORT__POSITION_BITS)

typedef enum {
    COHORT__CELL_FREE,
    COHORT__CELL_WRITING,
    COHORT__CELL_FULL,
    COHORT__CELL_READING
} cohort__cell_step_t;

/* What a step of a put or get says besides the statuses. Private: a caller of the ring never gets
 * one, and being negative they are no status of any system. */
enum {
    COHORT__RING_LOST = -1,   /* another thread was faster: look again */
    COHORT__RING_PASSED = -2, /* all of this segment is spoken for: go on to the next */
};

/* cell->size: also says where the bytes are, and whether they came back from a dead reader. */
#define COHORT__OUT_OF_LINE ((uint64_t)1 << 63)
#define COHORT__RETURNED    ((uint64_t)1 << 62)
#define COHORT__SIZE_MAX    (COHORT__RETURNED - 1)

typedef struct {
    _Atomic uint64_t word; /* position | owner's record index | step */
    _Atomic uint64_t size;
    cohort__owner_ptr_t block;
    unsigned char bytes[];
} cohort__cell_t;

struct cohort__segment_t {
    cohort__ring_t *ring;
    uint64_t cells, stride, inline_size;
    uint64_t limit;
    uint64_t mask;   /* cells - 1, or all ones when that is no power of two */
    uint64_t number; /* in the chain */
    bool laps;       /* of a bounded ring */
    cohort__owner_ptr_t next;
    _Alignas(64) _Atomic uint64_t head; /* epoch | position */
    _Alignas(64) _Atomic uint64_t tail;
    _Alignas(64) unsigned char memory[];
};

static inline uint64_t cohort__cell_word(uint64_t position, uint32_t owner,
                                         cohort__cell_step_t step) {
    return position << 19 | (uint64_t)owner << 3 | (uint64_t)step;
}
/* The first position of a closed ring that was not claimed, and never will be. The owner is no
 * thread's. */
static inline uint64_t cohort__word_sealed(uint64_t position) {
    return cohort__cell_word(position, 0xffff, COHORT__CELL_FREE);
}
static inline uint64_t cohort__word_position(uint64_t word) { return word >> 19; }
static inline uint32_t cohort__word_owner(uint64_t word) { return (uint32_t)(word >> 3 & 0xffff); }
static inline cohort__cell_step_t cohort__word_step(uint64_t word) {
    return (cohort__cell_step_t)(word & 7);
}
static inline uint64_t cohort__head_position(uint64_t head) {
    return head & (COHORT__POSITIONS - 1);
}
static inline uint64_t cohort__head_with(uint64_t epoch_of, uint64_t position) {
    return (epoch_of & ~(COHORT__POSITIONS - 1)) | position;
}

static inline cohort__cell_t *cohort__cell_at(cohort__segment_t *segment, uint64_t position) {
    uint64_t index =
        segment->mask != UINT64_MAX ? position & segment->mask : position % segment->cells;
    return (cohort__cell_t *)(segment->memory + index * segment->stride);
}
static inline uint64_t cohort__step(const cohort__segment_t *segment, uint64_t position,
                                    uint64_t by) {
    position += by;
    return position >= segment->limit ? position - segment->limit : position;
}
/* How far `to` is ahead of `from`; more than half of the limit means that it is behind. */
static inline uint64_t cohort__ahead(const cohort__segment_t *segment, uint64_t from, uint64_t to) {
    return to >= from ? to - from : to + segment->limit - from;
}
static inline bool cohort__is_ahead(const cohort__segment_t *segment, uint64_t from, uint64_t to) {
    uint64_t ahead = cohort__ahead(segment, from, to);
    return ahead != 0 && ahead < segment->limit / 2;
}
/* By its cell's word: has this position been claimed for putting, or given up? And for taking? */
static inline bool cohort__is_put(const cohort__segment_t *segment, uint64_t word,
                                  uint64_t position) {
    uint64_t there = cohort__word_position(word);
    return there == position ? cohort__word_step(word) != COHORT__CELL_FREE
                             : cohort__is_ahead(segment, position, there);
}
static inline bool cohort__is_taken(const cohort__segment_t *segment, uint64_t word,
                                    uint64_t position) {
    uint64_t there = cohort__word_position(word);
    return there == position ? cohort__word_step(word) == COHORT__CELL_READING
                             : cohort__is_ahead(segment, position, there);
}
/* No ring gets there. Positions are claimed at most a lap from a hint as it is at some time; the
 * head may go back after that, by less than a lap, when a message comes back. So what is at a
 * position that a hint says now is at most two laps ahead of it. */
static inline bool cohort__is_absurd(const cohort__segment_t *segment, uint64_t word,
                                     uint64_t position) {
    return cohort__ahead(segment, position, cohort__word_position(word)) > 2 * segment->cells &&
           cohort__is_ahead(segment, position, cohort__word_position(word));
}
static inline uint64_t cohort__free_again(const cohort__segment_t *segment, uint64_t position) {
    return cohort__cell_word(cohort__step(segment, position, segment->cells), 0, COHORT__CELL_FREE);
}
static inline uint32_t cohort__record(const cohort__thread_t *thread) {
    return atomic_load_explicit(&((cohort__thread_t *)thread)->index, memory_order_relaxed);
}

/* ring_hints.c */

/* All positions before this one are spoken for. In any case a full barrier. This and the next are
 * functions of their own because a run, which calls them once, then has the registers for its loop:
 * with them inlined a message of get_many takes 118 instructions instead of 112. */
void cohort__tail_raise(cohort__segment_t *segment, uint64_t tail, uint64_t to);
/* All positions from the head as it was seen to this one are spoken for; unless it went back
 * meanwhile. In any case a full barrier. */
void cohort__head_raise(cohort__segment_t *segment, uint64_t seen, uint64_t to);
/* A message goes back to its place, which others passed. */
void cohort__ring_rewind(cohort__segment_t *segment, uint64_t position);
/* Bring head and tail to where they belong: the thread that should have raised them is dead. */
void cohort__ring_catch_up(cohort__segment_t *segment);

/* ring_repair.c: is it a segment, as far as can be seen? For pointers that a dead process has
 * left. */
bool cohort__is_segment(const void *address);

/* ring_wait.c: this word is in the way. If its owner is dead, see that it is repaired: true = look
 * again. */
bool cohort__ring_clear_way(uint64_t word);
/* How often a try goes on after the repair of a thread in its way, before it waits for another
 * repairer. */
#define COHORT__REPAIRS 3

/* ring_chain.c */

/* Announce the segment that `from` says, so that it is not freed before the operation's end. NULL:
 * destroyed. */
cohort__segment_t *cohort__segment_hold(const cohort__call_t *call,
                                        _Atomic(cohort__segment_t *) *from);
/* The same for the one behind a segment that is held; NULL: start again. `first`: what the ring's
 * head was when the walk began. */
cohort__segment_t *cohort__segment_hold_next(const cohort__call_t *call, cohort__ring_t *ring,
                                             cohort__segment_t *first, cohort__segment_t *next);
/* The last segment is full: make the next one. APR_ENOMEM, COHORT_EHANDLE, COHORT_ECLOSED. Not
 * within an operation; nor the next three. */
apr_status_t cohort__chain_grow(const cohort__call_t *call, cohort__ring_t *ring);
/* Enter the guard to work on the chain, after what its last owner left half done; the object is
 * announced. false: destroyed. */
bool cohort__chain_enter(const cohort__call_t *call, cohort__ring_t *ring);
void cohort__chain_leave(const cohort__call_t *call, cohort__ring_t *ring);
/* If all of the first segment is taken and there is a next, go on to that one. */
apr_status_t cohort__chain_advance(const cohort__call_t *call, cohort__ring_t *ring);
bool cohort__segment_is_taken(cohort__segment_t *segment);
/* Finish what the last owner of the guard left half done, then free all segments but the last of a
 * ring that no thread can reach any more. */
void cohort__chain_free(cohort__thread_t *me, cohort__ring_t *ring);
void cohort__chain_fix(cohort__thread_t *me, cohort__ring_t *ring);

#endif
