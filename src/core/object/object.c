/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
#include "core/object/object.h"

#include "core/base/bits.h"

#include <cohort/errors.h>
#include <string.h>

/* A pool's clean-up remembers the membership in which it was registered: neither a forked copy of
 * the pool nor this process in a later cohort may destroy what lies at that place. */
typedef struct {
    void *object;
    uint64_t tag;
    uint32_t membership;
    apr_status_t (*destroy)(void *object);
} cleanup_t;

void cohort__object_wipe(void *from, size_t size) {
    _Atomic uint64_t *words = from;
    size_t count = size / sizeof *words;
    COHORT__UNROLL
    for (size_t i = 0; i < count; i++) atomic_store_explicit(&words[i], 0, memory_order_relaxed);
    memset(words + count, 0, size % sizeof *words);
}

/* The thread's in-flight pointer for objects has it while it is under construction. */
apr_status_t cohort__object_new(cohort__thread_t *me, cohort__kind_t kind, size_t size,
                                void *object) {
    apr_status_t status =
        cohort__block_new(me, kind, size, &me->in_flight[COHORT__IN_FLIGHT_OBJECT]);
    if (status) return status;
    cohort__object_t *o =
        atomic_load_explicit(&me->in_flight[COHORT__IN_FLIGHT_OBJECT], memory_order_relaxed);
    uint32_t made = atomic_load_explicit(&o->made, memory_order_relaxed);
    cohort__object_wipe(o + 1, size - sizeof *o);
    for (int i = 0; i < COHORT__PARTS; i++)
        atomic_store_explicit(&o->parts[i], NULL, memory_order_relaxed);
    atomic_store_explicit(&o->tag, 0, memory_order_release);
    atomic_store_explicit(&o->made, made + 1, memory_order_release);
    *(void **)object = o;
    return APR_SUCCESS;
}

static apr_status_t clean_up(void *data) {
    cleanup_t *cleanup = data;
    cohort__object_t *o = cleanup->object;
    if (!cohort__self() || cohort__membership() != cleanup->membership) return APR_SUCCESS;
    if (atomic_load_explicit(&o->tag, memory_order_acquire) != cleanup->tag) return APR_SUCCESS;
    return cleanup->destroy(o);
}

void cohort__object_publish(cohort__thread_t *me, void *object, uint32_t tag, apr_pool_t *pool,
                            apr_status_t (*destroy)(void *object)) {
    cohort__object_t *o = object;
    uint64_t full = cohort__tag_word(tag, atomic_load_explicit(&o->made, memory_order_relaxed));
    if (pool) {
        cleanup_t *cleanup = apr_palloc(pool, sizeof *cleanup);
        *cleanup = (cleanup_t){o, full, cohort__membership(), destroy};
        apr_pool_cleanup_register(pool, cleanup, clean_up, apr_pool_cleanup_null);
    }
    atomic_store(&o->tag, full);
    (void)cohort__block_give(&me->in_flight[COHORT__IN_FLIGHT_OBJECT]);
}

static const cohort__type_t *type_at(const cohort__kind_ops_t *kind, const cohort__object_t *o,
                                     uint64_t *life) {
    *life = atomic_load_explicit(&((cohort__object_t *)o)->tag, memory_order_acquire);
    for (const cohort__type_t *type = kind->types; type->name; type++) {
        if (type->tag == cohort__tag_type(*life)) return type;
    }
    return NULL;
}

static const cohort__type_t *type_inside(const cohort__kind_ops_t *kind, const void *handle,
                                         uint64_t *life) {
    const cohort__object_t *o = kind->object(handle);
    return o ? type_at(kind, o, life) : NULL;
}

static const cohort__type_t *type_of_process(const cohort_process_t *process, uint64_t *life) {
    *life = cohort__process_named(process);
    return *life ? cohort__upward->process : NULL;
}

const cohort__type_t *cohort__type_of(const void *handle, uint64_t *life) {
    cohort__kind_t number = cohort__object_kind(handle);
    if (number == COHORT__KIND_BYTES) return type_of_process(handle, life);
    const cohort__kind_ops_t *kind = &cohort__upward->kinds[number];
    return kind->object ? type_inside(kind, handle, life) : type_at(kind, handle, life);
}

bool cohort__object_end(void *object, uint32_t tag) {
    cohort__object_t *o = object;
    uint64_t full = atomic_load_explicit(&o->tag, memory_order_acquire);
    return cohort__tag_type(full) == tag && atomic_compare_exchange_strong(&o->tag, &full, 0);
}

static uint64_t claimed_by(cohort__thread_t *thread) { return cohort__thread_number(thread); }

bool cohort__object_claim(cohort__thread_t *me, void *object, uint32_t tag) {
    cohort__object_t *o = object;
    uint64_t full = atomic_load_explicit(&o->tag, memory_order_acquire);
    if (cohort__tag_type(full) != tag) return false;
    cohort__op_begin(me, COHORT__OP_END, o, full);
    if (atomic_compare_exchange_strong(&o->tag, &full, claimed_by(me))) return true;
    cohort__op_end(me);
    return false;
}

/* From the claim until its in-flight pointer owns it, the announced operation is what remembers the
 * object. */
static void repair_claim(cohort__thread_t *dead) {
    if (atomic_load_explicit(&dead->op, memory_order_acquire) != COHORT__OP_END) return;
    cohort__object_t *o = atomic_load_explicit(&dead->op_object, memory_order_relaxed);
    if (atomic_load_explicit(&o->tag, memory_order_acquire) == claimed_by(dead)) {
        atomic_store_explicit(&dead->in_flight[COHORT__IN_FLIGHT_OBJECT], o, memory_order_release);
    }
    cohort__op_end(dead);
}

typedef struct {
    const cohort__thread_t *me;
    const cohort__object_t *object;
} leaving_t;

static apr_status_t try_unwatched(void *arg, bool thorough) {
    leaving_t *l = arg;
    cohort__thread_t *other = cohort__thread_at_object(l->me, l->object);
    if (other && thorough) (void)cohort__process_check_dead(atomic_load(&other->owner));
    return cohort__thread_at_object(l->me, l->object) ? APR_EAGAIN : APR_SUCCESS;
}

/* A look is short and waits for nothing, so this ends; the death of a thread that looks ends it
 * too. */
static void free_parts(cohort__thread_t *me, cohort__object_t *o) {
    leaving_t l = {me, o};
    if (cohort__thread_at_object(me, o)) {
        (void)cohort__await_paced(&cohort__arena->completed, try_unwatched, &l, COHORT_OS_NEVER,
                                  cohort__pace_brisk);
    }
    for (int i = 0; i < COHORT__PARTS; i++) cohort__block_free(me, &o->parts[i]);
}

void cohort__object_free(cohort__thread_t *me, void *object) {
    atomic_store_explicit(&me->in_flight[COHORT__IN_FLIGHT_OBJECT], object, memory_order_release);
    if (atomic_load_explicit(&me->op, memory_order_relaxed) == COHORT__OP_END) cohort__op_end(me);
    free_parts(me, object);
    cohort__block_free(me, &me->in_flight[COHORT__IN_FLIGHT_OBJECT]);
}

void cohort__object_repair(cohort__thread_t *me, cohort__thread_t *dead) {
    repair_claim(dead);
    cohort__object_t *o =
        atomic_load_explicit(&dead->in_flight[COHORT__IN_FLIGHT_OBJECT], memory_order_acquire);
    if (!o || cohort__block_is(o, COHORT__KIND_BYTES)) return;
    uint64_t word = atomic_load_explicit(&o->tag, memory_order_acquire);
    if (cohort__tag_type(word) == 0) free_parts(me, o);
    /* it was published, and is the user's */
    else (void)cohort__block_give(&dead->in_flight[COHORT__IN_FLIGHT_OBJECT]);
}
