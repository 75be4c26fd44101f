/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads that act. Each thread that uses Cohort has a record in the arena, which says what the
 * thread is in the middle of, so that the repairer of its process can finish or undo exactly that.
 * Records are found by index, outlive their thread, and are reused only after the repair.
 */
#ifndef COHORT_CORE_THREAD_H
#define COHORT_CORE_THREAD_H

#include "core/memory/identity.h"
#include "core/memory/park.h"

#define COHORT__THREADS_MAX 16384u
#define COHORT__CLASSES_MAX 48
#define COHORT__SLABS       4 /* of one class, that a thread keeps */

/* A thread of the cohort: generation << 16 | record index + 1; 0 is none. Never reused. */
typedef uint64_t cohort__tid_t;
static inline cohort__tid_t cohort__tid(uint32_t generation, uint32_t index) {
    return (uint64_t)generation << 16 | (index + 1);
}
static inline uint32_t cohort__tid_generation(cohort__tid_t id) { return (uint32_t)(id >> 16); }
/* The record's index + 1; 0 is no thread's. */
static inline uint32_t cohort__tid_number(cohort__tid_t id) { return (uint32_t)(id & 0xffff); }

/* What a thread is doing to a shared structure; its repair is a step in cohort/registry.c. */
typedef enum {
    COHORT__OP_NONE,
    COHORT__OP_RING_PUT, /* object = the ring's segment, position */
    COHORT__OP_RING_GET, /* the same */
    /* object must not be freed while a thread looks at it; nothing to repair */
    COHORT__OP_LOOK,
    /* object = a queue or pipe, to be freed if object->destroyer is this thread */
    COHORT__OP_DESTROY,
    /* object = a process' slot in the making, position = the word of its life */
    COHORT__OP_SLOT,
    COHORT__OP_END /* object = one to be freed by this thread if its tag names it */
} cohort__op_kind_t;

/* What a thread is doing to a block of memory; see intent.h. */
typedef enum {
    COHORT__INTENT_NONE,
    COHORT__INTENT_NEW,
    COHORT__INTENT_FREE,
    COHORT__INTENT_MOVE
} cohort__intent_kind_t;

/* The blocks that a call may own at a time, by what it does with them. */
typedef enum {
    COHORT__IN_FLIGHT_OBJECT,  /* an object that is being made or freed */
    COHORT__IN_FLIGHT_MESSAGE, /* a message on its way into a ring or out of it */
    COHORT__IN_FLIGHT_LINK,    /* the next link of a chain, until it hangs on that */
    COHORT__IN_FLIGHT_COUNT
} cohort__in_flight_use_t;

/* A place in the arena that owns a block, or NULL. A block has one owner pointer at a time, or
 * belongs to the user. */
typedef _Atomic(void *) cohort__owner_ptr_t;

typedef struct cohort__thread_t {
    /* What other threads look at, to see whether this one lives: nothing that the thread writes in
     * each call is in this line. */
    _Alignas(64) _Atomic cohort__pid_t owner; /* the process, 0 = record is free */
    _Atomic uint32_t generation;
    _Atomic uint32_t index;
    _Atomic(cohort__eventcount_t *) parked; /* sleeps, or is about to, on this */
    /* what the thread sleeps on while it waits for a condition */
    cohort__eventcount_t notified;
    /* how often one of its entries in a condition was marked */
    _Atomic uint32_t notifications;
    cohort__owner_ptr_t in_flight[COHORT__IN_FLIGHT_COUNT]; /* by cohort__in_flight_use_t */
    /* the operation under way */
    _Alignas(64) _Atomic uint32_t op;
    _Atomic uint32_t intent; /* what becomes of the block on the move */
    _Atomic(void *) op_object;
    _Atomic uint64_t op_position;
    _Atomic(void *) intent_block; /* its address, + 1 when it is a large one */
    _Atomic(cohort__owner_ptr_t *) intent_from;
    _Atomic(cohort__owner_ptr_t *) intent_to;
    /* what the last call on a ring would have waited for; its own note */
    const cohort__eventcount_t *waited;
    cohort__tid_t id; /* its own note of cohort__thread_id() */
    /* the slabs of each size class that it owns: the span's number + 1; 0 = none */
    _Alignas(64) _Atomic uint32_t slabs[COHORT__CLASSES_MAX][COHORT__SLABS];
    /* in which of those places the one is that blocks are taken from; its own note */
    uint8_t slab[COHORT__CLASSES_MAX];
} cohort__thread_t;

/* What this thread remembers of its record, as long as its process is the same member. */
extern COHORT__HIDDEN _Thread_local cohort__thread_t *cohort__thread_self;
extern COHORT__HIDDEN _Thread_local uint32_t cohort__thread_epoch;
apr_status_t cohort__thread_register(cohort__thread_t **me);

/* The calling thread's record, made at first use. COHORT_ENOTINIT, COHORT_ENOTMEMBER (a raw fork
 * copy), COHORT_ELIMIT. Every public function that touches the arena begins with this. */
static inline apr_status_t cohort__enter(cohort__thread_t **me) {
    *me = cohort__thread_self;
    if (*me && cohort__thread_epoch == cohort__membership()) return APR_SUCCESS;
    cohort__thread_t *made = NULL; /* of its own, so that a compiler can keep *me in a register */
    apr_status_t status = cohort__thread_register(&made);
    *me = made;
    return status;
}
static inline cohort__tid_t cohort__thread_id(const cohort__thread_t *thread) {
    cohort__thread_t *t = (cohort__thread_t *)thread;
    return cohort__tid(atomic_load_explicit(&t->generation, memory_order_relaxed),
                       atomic_load_explicit(&t->index, memory_order_relaxed));
}
/* The number of its record, as words name it that have no room for an id: index + 1. */
static inline uint32_t cohort__thread_number(const cohort__thread_t *thread) {
    return atomic_load_explicit(&((cohort__thread_t *)thread)->index, memory_order_relaxed) + 1;
}
/* The record that an id names, or NULL when that thread is gone (its record freed or reused). */
cohort__thread_t *cohort__thread_find(cohort__tid_t id);
/* False when the thread has ended or its process has died. May look at the system when
 * `thorough`. */
bool cohort__thread_alive(cohort__tid_t id, bool thorough);
cohort__pid_t cohort__thread_process(cohort__tid_t id); /* 0 when gone */

/* Announce what the thread is about to do, before its first shared store; 0 kind = done. Plain
 * release stores. */
static inline void cohort__op_begin(cohort__thread_t *me, cohort__op_kind_t kind, void *object,
                                    uint64_t position) {
    atomic_store_explicit(&me->op_object, object, memory_order_relaxed);
    atomic_store_explicit(&me->op_position, position, memory_order_relaxed);
    atomic_store_explicit(&me->op, (uint32_t)kind, memory_order_release);
}
/* The exchange is a full barrier: a thread that ends the object's life after this sees the
 * announcement, or this one sees that the life is over. What was announced before is withdrawn
 * first, so that no repair takes the new object, which may be gone, for that of another
 * operation. */
static inline void cohort__op_look(cohort__thread_t *me, void *object) {
    atomic_store_explicit(&me->op, COHORT__OP_LOOK, memory_order_relaxed);
    atomic_store_explicit(&me->op_object, object, memory_order_release);
    atomic_exchange(&me->op, COHORT__OP_LOOK);
}
static inline void cohort__op_end(cohort__thread_t *me) {
    atomic_store_explicit(&me->op, COHORT__OP_NONE, memory_order_release);
}

/* In the middle of something that its record describes: it cannot announce another operation, or
 * object on its way, before that is over. */
static inline bool cohort__thread_is_busy(cohort__thread_t *me) {
    return atomic_load_explicit(&me->op, memory_order_relaxed) != COHORT__OP_NONE ||
           atomic_load_explicit(&me->in_flight[COHORT__IN_FLIGHT_OBJECT], memory_order_relaxed);
}

/* The number of records ever used, and a record by its index below that (also free ones). */
uint32_t cohort__thread_count(void);
cohort__thread_t *cohort__thread_at(uint32_t index);
/* Another thread than `me` with an operation on this object, or NULL. */
cohort__thread_t *cohort__thread_at_object(const cohort__thread_t *me, const void *object);
/* The record of a thread that is repaired, or has ended: it is free from here on; all that it
 * names has been dealt with. */
void cohort__thread_release(cohort__thread_t *thread);
/* Seam hook: a thread of this process ends. */
void cohort__thread_exit(void *mark);

#endif
