/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects: queues, locks, pools and the rest. Each begins with this header, in a block of its kind,
 * which is never reused for another kind, so that a stale or wrong pointer is a status
 * (COHORT_EHANDLE) and not a crash.
 *
 * An object may be destroyed while other threads are inside calls on it, and another object made in
 * its place at once. Its own block stays what it is; its parts are freed and may be used again at
 * once. So a call notes at its start which life of the object is meant (cohort__call_t), and
 * touches the object in one of three ways:
 *
 *  - A word of the object's own block: load it, check the life, then compare-and-swap it. Such
 *    words are not cleared between two lives but go on from where they were, so the swap fails when
 *    the life that was checked is over.
 *  - Under the object's guard: check the life after entering it. The life ends under the guard, and
 *    the guard is never cleared.
 *  - Without a guard, in a part: look at the object (cohort__call_look()). The parts are freed when
 *    no thread looks at it any more.
 */
#ifndef COHORT_CORE_OBJECT_H
#define COHORT_CORE_OBJECT_H

#include "core/life/death.h"
#include "core/memory/arena.h"
#include "core/memory/upward.h"

#include <apr_pools.h>
#include <cohort/errors.h>

#define COHORT__PARTS 4

typedef struct cohort__object_t {
    /* type tag << 32 | generation while alive; else 0, or the number of the thread that claimed
     * it; see below */
    _Atomic uint64_t tag;
    _Atomic uint32_t made; /* generations so far */
    uint32_t reserved;
    /* the object's further blocks; a half-made object is freed with them */
    cohort__owner_ptr_t parts[COHORT__PARTS];
} cohort__object_t;

/* Four letters that name a type: "LOCK". */
#define COHORT__TAG(a, b, c, d) \
    ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))

/* An object's word `tag`: its type, 0 when it is not alive, and which life of the block it is. */
static inline uint64_t cohort__tag_word(uint32_t type, uint32_t generation) {
    return (uint64_t)type << 32 | generation;
}
static inline uint32_t cohort__tag_type(uint64_t word) { return (uint32_t)(word >> 32); }
static inline uint32_t cohort__tag_generation(uint64_t word) { return (uint32_t)word; }

/* Make an object block of `size` bytes (all zero but for its header) that only the thread's
 * in-flight pointer for objects owns until cohort__object_publish() makes it alive. If the maker
 * dies before that, the block is freed, and with it what its parts own. */
apr_status_t cohort__object_new(cohort__thread_t *me, cohort__kind_t kind, size_t size,
                                void *object);
/* Zero words of an object, by atomic stores: a thread that comes too late may still read them, to
 * find that the object is gone. */
void cohort__object_wipe(void *from, size_t size);
/* Alive from here on, and released with `pool` unless pool is NULL (destroy is called with the
 * object by the process that made it only). */
void cohort__object_publish(cohort__thread_t *me, void *object, uint32_t tag, apr_pool_t *pool,
                            apr_status_t (*destroy)(void *object));
/* COHORT_EHANDLE unless it is a live object of that type; cheap. */
static inline apr_status_t cohort__object_check(const void *object, cohort__kind_t kind,
                                                uint32_t tag) {
    if (!cohort__arena) return COHORT_ENOTINIT;
    if (!object) return APR_EINVAL;
    if (!cohort__object_place(object, kind)) return COHORT_EHANDLE;
    cohort__object_t *o = (cohort__object_t *)object;
    uint64_t word = atomic_load_explicit(&o->tag, memory_order_acquire);
    return cohort__tag_type(word) == tag ? APR_SUCCESS : COHORT_EHANDLE;
}

/* A call on an object: which thread calls, and which life of the object is meant: what its tag was
 * when the call began. Waits end when that life does. */
typedef struct {
    cohort__thread_t *me;
    cohort__object_t *object;
    uint64_t life;
} cohort__call_t;

/* COHORT_EHANDLE unless it is a live object of that type. For a caller that has entered: call->me
 * is its own matter. */
static inline apr_status_t cohort__call_aim(cohort__call_t *call, void *object, cohort__kind_t kind,
                                            uint32_t tag) {
    if (!cohort__object_place(object, kind)) return object ? COHORT_EHANDLE : APR_EINVAL;
    call->object = object;
    call->life = atomic_load_explicit(&call->object->tag, memory_order_acquire);
    return cohort__tag_type(call->life) == tag ? APR_SUCCESS : COHORT_EHANDLE;
}
/* The beginning of a call. The same, and COHORT_ENOTINIT, COHORT_ENOTMEMBER. */
static inline apr_status_t cohort__call_begin(cohort__call_t *call, void *object,
                                              cohort__kind_t kind, uint32_t tag) {
    apr_status_t status = cohort__enter(&call->me);
    return status ? status : cohort__call_aim(call, object, kind, tag);
}
static inline bool cohort__call_over(const cohort__call_t *call) {
    return atomic_load_explicit(&call->object->tag, memory_order_acquire) != call->life;
}
/* Between these two the object cannot be freed, nor its parts. false: the life is over, and nothing
 * has begun. In between the thread begins no other operation and waits for nothing that needs the
 * end of the object, since a destroyer waits for it. */
static inline bool cohort__call_look(const cohort__call_t *call) {
    cohort__op_look(call->me, call->object);
    if (atomic_load(&call->object->tag) == call->life) return true;
    cohort__op_end(call->me);
    return false;
}
static inline void cohort__call_look_end(const cohort__call_t *call) { cohort__op_end(call->me); }

/* What is known of that which the pointer names, and the life of it that is current now: a process
 * or a live object, of whatever type. NULL: neither. For a caller that has entered. */
const cohort__type_t *cohort__type_of(const void *handle, uint64_t *life);

/* End its life: true for exactly one caller, which then calls cohort__object_free(); that frees the
 * parts too. */
bool cohort__object_end(void *object, uint32_t tag);
/* The same; and should the caller die before it has called cohort__object_free(), its repair does.
 * No other operation in between. */
bool cohort__object_claim(cohort__thread_t *me, void *object, uint32_t tag);
/* Waits until no other thread looks at it. */
void cohort__object_free(cohort__thread_t *me, void *object);
/* A dead thread was making an object: free its parts (its block is freed with the in-flight
 * pointer). */
void cohort__object_repair(cohort__thread_t *me, cohort__thread_t *dead);

#endif
