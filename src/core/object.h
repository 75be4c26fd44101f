/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects: queues, locks, pools and the rest. Each begins with this header, in a block of its kind, which is never reused for another
 * kind, so that a stale or wrong pointer is a status (COHORT_EHANDLE) and not a crash.
 */
#ifndef COHORT_CORE_OBJECT_H
#define COHORT_CORE_OBJECT_H

#include "core/arena.h"

#include <apr_pools.h>
#include <cohort/errors.h>

#define COHORT__PARTS 4

typedef struct cohort__object_t {
    _Atomic uint64_t tag;  /* type tag << 32 | generation while alive; else 0, or the number of the thread that claimed it */
    _Atomic uint32_t made; /* generations so far */
    uint32_t reserved;
    cohort__home_t parts[COHORT__PARTS]; /* the object's further blocks; a half-made object is freed with them */
} cohort__object_t;

/* Four letters that name a type: "LOCK". */
#define COHORT__TAG(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))

/* Make an object block of `size` bytes (all zero but for its header) that only me->stage[0] owns until cohort__object_publish() makes it
 * alive. If the maker dies before that, the block is freed, and with it what its parts own. */
apr_status_t cohort__object_new(cohort__thread_t *me, cohort__kind_t kind, size_t size, void *object);
/* Alive from here on, and released with `pool` unless pool is NULL (destroy is called with the object by the process that made it only). */
void cohort__object_publish(cohort__thread_t *me, void *object, uint32_t tag, apr_pool_t *pool, apr_status_t (*destroy)(void *object));
/* COHORT_EHANDLE unless it is a live object of that type; cheap. */
static inline apr_status_t cohort__object_check(const void *object, cohort__kind_t kind, uint32_t tag) {
    if (!cohort__arena) return COHORT_ENOTINIT;
    if (!object) return APR_EINVAL;
    if (!cohort__object_place(object, kind)) return COHORT_EHANDLE;
    cohort__object_t *o = (cohort__object_t *)object;
    return atomic_load_explicit(&o->tag, memory_order_acquire) >> 32 == tag ? APR_SUCCESS : COHORT_EHANDLE;
}
/* End its life: true for exactly one caller, who then calls cohort__object_free(), which frees the parts too. */
bool cohort__object_end(void *object, uint32_t tag);
/* The same; and should the caller die before it has called cohort__object_free(), its repair does. No other operation in between. */
bool cohort__object_claim(cohort__thread_t *me, void *object, uint32_t tag);
void cohort__object_free(cohort__thread_t *me, void *object);
/* A dead thread was making an object: free its parts (its block is freed with the stage). */
void cohort__object_repair(cohort__thread_t *me, cohort__thread_t *dead);

#endif
