/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The ring that queues and pipes stand on: messages of any size, any number of writers and readers
 * in any processes, no lock on the way.
 *
 * Guarantee: each message that was published is taken exactly once, or is still there; publishing
 * and taking are one store each. A writer that dies before its store has put nothing, a reader that
 * dies before its store has taken nothing. No thread waits for a dead one longer than it takes to
 * notice the death.
 *
 * Algorithm: each cell's word says position | owner | state, and claiming it is a compare-and-swap
 * of that, and the step after a claim one store:
 *
 *     FREE(p) -> WRITING(p, me) -> FULL(p) -> READING(p, me) -> FREE(p + n)
 *
 * head and tail are hints, raised after the step and by any thread that sees that they lag. A
 * thread announces the position in its record before it claims the cell, so that the repair of its
 * process finds it: WRITING(dead) becomes FREE(p + n), as if written and taken; READING(dead)
 * becomes FULL again and the head hint goes back to it. head carries an epoch, which changes when
 * it goes back, so that a raise that was under way fails. Both repairs may be done in part, again,
 * or by two. Only the system says which process is dead, so the owner of a cell ends its step by a
 * plain store.
 *
 * A bounded ring is one segment of exactly `capacity` cells, used lap after lap. An unbounded one
 * is a chain of segments, each used for one lap: the chain belongs to one part of the object, and
 * another keeps one spare. Growing and retiring happen under the guard. Before a segment is touched
 * it is announced in the thread's record and looked up again, and a segment is freed only when no
 * record announces it.
 *
 * Messages larger than the cells' inline size are blocks of the arena: filled before a cell is
 * claimed, moved into the cell while WRITING, moved out while READING, and freed after.
 *
 * Closing is one store to the ring's state, which a writer looks at before each try. Of those that
 * have looked too early none claims a cell any more once the ring is *sealed*: puts claim positions
 * in their order, so a reader that finds no message compares and swaps the first position that is
 * not claimed from FREE(p) to SEALED(p), which is FREE(p) but for its owner, and no claim swaps
 * that. The ring is drained when after that each of its cells has been found free; this is noted in
 * the state, and holds for ever. Where all of a chain is claimed there is no such position: then
 * the reader enters the guard, and no thread that enters it later lets the chain grow.
 */
#ifndef COHORT_CORE_RING_H
#define COHORT_CORE_RING_H

#include "core/object/object.h"

#include <cohort/queue.h>

typedef struct cohort__segment_t cohort__segment_t;

typedef struct {
    _Atomic(cohort__segment_t *) head; /* where readers start; NULL: the ring is destroyed */
    _Atomic(cohort__segment_t *) tail; /* where writers start */
    cohort__owner_ptr_t *parts;        /* COHORT__RING_PARTS parts of the object */
    cohort__guard_t *guard;            /* the object's */
    uint64_t capacity;                 /* 0 = unbounded */
    uint64_t inline_size;
    /* there may be taken cells between head and tail, so counting means looking */
    _Atomic uint32_t irregular;
    _Atomic uint32_t state; /* a cohort__ring_state_t, which only rises */
    /* Something was published / taken, or the ring closed; items also for each message that is
     * taken from a closed one, since it may have been the last. */
    cohort__eventcount_t items, space;
} cohort__ring_t;

typedef enum {
    COHORT__RING_OPEN,
    COHORT__RING_CLOSED,     /* nothing more goes in */
    COHORT__RING_DISCARDING, /* and what is in is thrown away, by each thread that comes by */
    COHORT__RING_DRAINED     /* and nothing is in it, nor on its way in or out, nor will be */
} cohort__ring_state_t;

/* The words that an object which has rings begins with. */
typedef struct {
    cohort__object_t object;
    _Atomic cohort__tid_t destroyer; /* the thread that frees it */
} cohort__ring_owner_t;

/* The parts of an object that own a ring's segments, beside each other. A bounded ring has the
 * first alone. */
enum {
    COHORT__RING_OLDEST, /* the one segment of a bounded ring, or the first link of the chain */
    COHORT__RING_SPARE,  /* a link to be used again; for a moment, the one that leaves the chain */
    COHORT__RING_PARTS
};

#define COHORT__RING_INLINE_MAX 65536u

/* In an object that is being made: `parts` are neighbouring parts of it. capacity 0: unbounded.
 * `first`: the position of the first message, 0 but in tests of the wrap. APR_ENOMEM: nothing to
 * undo, the parts go with the object. */
apr_status_t cohort__ring_setup(cohort__thread_t *me, cohort__ring_t *ring, cohort__guard_t *guard,
                                cohort__owner_ptr_t *parts, uint64_t capacity, uint64_t inline_size,
                                uint64_t first);

typedef struct {
    const void *data;
    size_t size;
    bool in_flight; /* the message is in me->in_flight[COHORT__IN_FLIGHT_MESSAGE] */
} cohort__send_t;

/* Before the first try: a large message is copied into a block now. APR_ENOMEM. */
apr_status_t cohort__ring_send_begin(const cohort__call_t *call, const cohort__ring_t *ring,
                                     cohort__send_t *send);
/* After the last try. */
void cohort__ring_send_end(const cohort__call_t *call);
/* One try. APR_EAGAIN: no room. APR_ENOMEM. COHORT_EHANDLE: destroyed. COHORT_ECLOSED, when a
 * closed ring would have had to grow; whether it is closed the caller sees to. */
apr_status_t cohort__ring_put(const cohort__call_t *call, cohort__ring_t *ring,
                              const cohort__send_t *send, bool thorough);

/* Would a put of a small message find room? APR_EAGAIN: no. COHORT_EHANDLE, COHORT_EDAMAGED. */
apr_status_t cohort__ring_find_room(const cohort__call_t *call, cohort__ring_t *ring,
                                    bool thorough);

/* So many messages can be put or got in one run: no more than a lap. */
static inline size_t cohort__ring_run_of(const cohort__ring_t *ring, size_t count) {
    return ring->capacity && count > ring->capacity ? (size_t)ring->capacity : count;
}
/* Put as many of these messages as there is room for, and say how many. Stops at a large one and at
 * whatever cohort__ring_put() would see to. `count` is what cohort__ring_run_of() says. */
size_t cohort__ring_put_run(const cohort__call_t *call, cohort__ring_t *ring,
                            const cohort_message_t *messages, size_t count);

typedef enum {
    COHORT__RECEIVE_INTO,
    COHORT__RECEIVE_COPY,
    COHORT__RECEIVE_BLOCK,
    COHORT__RECEIVE_PEEK,
    COHORT__RECEIVE_DROP
} cohort__receive_how_t;

typedef struct {
    cohort__receive_how_t how;
    void *data;       /* INTO: the caller's; COPY, BLOCK: what was made */
    size_t capacity;  /* INTO */
    apr_pool_t *pool; /* COPY */
    size_t size;      /* of the message, also when the buffer is too small */
    bool returned;    /* it has been with a reader that died */
    /* Called when a message is there, before it is claimed, so that it is never out of all
     * accounts; anything but APR_SUCCESS leaves it. May be NULL. */
    apr_status_t (*expect)(void *arg);
    /* And when it was not taken after all. */
    void (*in_vain)(void *arg);
    /* Between the claim and the commit; anything but APR_SUCCESS gives the message back. For tests,
     * which let things happen here. */
    apr_status_t (*claimed)(void *arg);
    void *arg;
} cohort__receive_t;

/* One try. APR_EAGAIN: nothing there. COHORT_ETOOSMALL: size says the need, and the message is
 * still there. APR_ENOMEM: still there. COHORT_EHANDLE, as above. PEEK: APR_SUCCESS when a get
 * would have found something. */
apr_status_t cohort__ring_get(const cohort__call_t *call, cohort__ring_t *ring,
                              cohort__receive_t *receive, bool thorough);

/* Take as many messages as there are, and say how many. Stops at one that is large or does not fit
 * and at whatever cohort__ring_get() would see to. */
size_t cohort__ring_get_run(const cohort__call_t *call, cohort__ring_t *ring,
                            cohort_message_t *messages, size_t count);

/* Messages in it, and the bytes of those. Exact while no thread puts or gets. 0 when it is
 * destroyed. */
uint64_t cohort__ring_count(const cohort__call_t *call, cohort__ring_t *ring);
uint64_t cohort__ring_bytes(const cohort__call_t *call, cohort__ring_t *ring);
/* The same for a caller that looks at the object and owns its guard. */
uint64_t cohort__ring_count_inside(cohort__ring_t *ring);

/* Nothing is in the ring, nor on its way in or out, or it is destroyed; `thorough`: dead threads
 * that are in the way are repaired first, which may bring a message back. */
bool cohort__ring_is_idle(const cohort__call_t *call, cohort__ring_t *ring, bool thorough);

/* Raise the state of the ring, and wake all waiting threads, to see that. */
void cohort__ring_close(const cohort__call_t *call, cohort__ring_t *ring,
                        cohort__ring_state_t state);
static inline cohort__ring_state_t cohort__ring_state(cohort__ring_t *ring) {
    return (cohort__ring_state_t)atomic_load(&ring->state);
}
/* Of a closed ring from which a get has just got APR_EAGAIN: will that be so for ever? Only a
 * `thorough` look finds it out, and notes it. The waiting thread is woken by ring->items when it
 * may have become so. */
bool cohort__ring_is_drained(const cohort__call_t *call, cohort__ring_t *ring, bool thorough);
/* Throw away what there is, and say how much. APR_EAGAIN: all of it went. COHORT_EHANDLE,
 * COHORT_EDAMAGED. */
apr_status_t cohort__ring_drop(const cohort__call_t *call, cohort__ring_t *ring, bool thorough,
                               size_t *dropped);

/* cohort__await() for a call on a ring; without a look at the clock when there is nothing to wait
 * for. */
apr_status_t cohort__ring_await(const cohort__call_t *call, cohort__eventcount_t *ec,
                                cohort__try_t try, void *arg, apr_interval_time_t timeout);

/* Wake all waiting threads, to see that something is different. */
void cohort__ring_stir(cohort__ring_t *ring);

/* For the table of types: the i-th event count that tells a thread of these conditions, of which
 * `in` brings messages and `out` takes them. That an end is closed is told by each. */
cohort__eventcount_t *cohort__ring_event(cohort__ring_t *in, cohort__ring_t *out, unsigned wanted,
                                         int i);

/* Enter the guard for work that makes, moves or frees blocks in these owner pointers, after what a
 * dead owner left of that is settled. The object is announced by the caller. false: destroyed
 * meanwhile, and the guard is not held. */
bool cohort__ring_guard(const cohort__call_t *call, cohort__ring_t *ring,
                        cohort__owner_ptr_t *parts, int count);

/* Destroy the object of the call, a queue or pipe: ends its life, waits until no thread touches it
 * any more, frees it. Exactly one caller does it, and if that one dies, its repair. Nothing to do
 * when it is destroyed already. */
void cohort__ring_owner_destroy(const cohort__call_t *call, cohort__kind_t kind);
/* Given by queue.c and pipe.c: the i-th ring of an object, or NULL. */
cohort__ring_t *cohort__queue_ring(cohort__ring_owner_t *owner, int i);
cohort__ring_t *cohort__pipe_ring(cohort__ring_owner_t *owner, int i);

/* Finish or undo what a thread of a dead process was doing to a ring. Called by
 * cohort__threads_repair() between the settling of its block intent and the freeing of its
 * in-flight pointers. False: it was destroying an object, which this thread may not go on with,
 * since it is inside another operation. */
bool cohort__ring_repair(cohort__thread_t *dead);

#endif
