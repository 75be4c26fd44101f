/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* See holders.h for the guarantee and how it is kept. */
#include "core/object/holders.h"

typedef struct {
    uint64_t capacity;
    uint64_t reserved;
    cohort__holder_t entries[];
} more_t;

#define FIRST_GROWTH 16

void cohort__holders_setup(cohort__holders_t *holders, cohort__owner_ptr_t *parts) {
    holders->parts = parts;
}

static more_t *more_of(cohort__holders_t *holders) {
    uint64_t active = atomic_load_explicit(&holders->active, memory_order_acquire);
    return active != 0
               ? (more_t *)atomic_load_explicit(&holders->parts[active - 1], memory_order_acquire)
               : NULL;
}

static cohort__holder_t *holder_at(cohort__holders_t *holders, uint64_t index) {
    if (index < COHORT__HOLDERS_INLINE) return &holders->first[index];
    more_t *more = more_of(holders);
    index -= COHORT__HOLDERS_INLINE;
    return more != NULL && index < more->capacity ? &more->entries[index] : NULL;
}

static uint64_t index_of(cohort__holders_t *holders, const cohort__holder_t *entry) {
    if (entry >= holders->first && entry < holders->first + COHORT__HOLDERS_INLINE)
        return (uint64_t)(entry - holders->first);
    return COHORT__HOLDERS_INLINE + (uint64_t)(entry - more_of(holders)->entries);
}

/* The first entry from `index` on with this id; any id in use when `id` is NULL. */
static cohort__holder_t *search_holders(cohort__holders_t *holders, uint64_t index,
                                        const uint64_t *id) {
    for (cohort__holder_t *e; (e = holder_at(holders, index)) != NULL; index++) {
        uint64_t found = atomic_load_explicit(&e->id, memory_order_acquire);
        if (id != NULL ? found == *id : found != 0) return e;
    }
    return NULL;
}

cohort__holder_t *cohort__holders_find(cohort__holders_t *holders, uint64_t id) {
    return search_holders(holders, 0, &id);
}

cohort__holder_t *cohort__holders_next(cohort__holders_t *holders, cohort__holder_t *entry) {
    return search_holders(holders, entry != NULL ? index_of(holders, entry) + 1 : 0, NULL);
}

static bool among(const cohort__owner_ptr_t *owner_ptr, const cohort__owner_ptr_t *parts,
                  int count) {
    return owner_ptr >= parts && owner_ptr < parts + count;
}

/* Only the owner pointers that an intent of this kind has: of the other one a living thread may
 * have said something long ago. */
static bool concerns(cohort__thread_t *thread, uint32_t intent, const cohort__owner_ptr_t *parts,
                     int count) {
    bool from = intent == COHORT__INTENT_FREE || intent == COHORT__INTENT_MOVE;
    bool to = intent == COHORT__INTENT_NEW || intent == COHORT__INTENT_MOVE;
    return (from && among(atomic_load(&thread->intent_from), parts, count)) ||
           (to && among(atomic_load(&thread->intent_to), parts, count));
}

cohort__pid_t cohort__owner_ptrs_unsettled(const cohort__thread_t *me,
                                           const cohort__owner_ptr_t *parts, int count) {
    uint32_t threads = cohort__thread_count();
    for (uint32_t i = 0; i < threads; i++) {
        cohort__thread_t *other = cohort__thread_at(i);
        cohort__pid_t owner = atomic_load(&other->owner);
        if (other == me || !concerns(other, atomic_load(&other->intent), parts, count)) continue;
        if (owner && atomic_load(&other->intent) != COHORT__INTENT_NONE) return owner;
    }
    return 0;
}

/* The owner pointer that is not valid now may hold the block before the last growth, or one that
 * its maker died over: either is garbage. */
static apr_status_t grow_holders(cohort__holders_t *holders, cohort__guard_t *guard,
                                 cohort__thread_t *me) {
    more_t *old = more_of(holders);
    uint64_t next = atomic_load(&holders->active) == 1 ? 2 : 1;
    uint64_t capacity = old != NULL ? old->capacity * 2 : FIRST_GROWTH;
    cohort__owner_ptr_t *owner_ptr = &holders->parts[next - 1];

    if (cohort__owner_ptrs_unsettled(me, owner_ptr, 1)) return APR_EAGAIN;
    cohort__block_free(me, owner_ptr);
    apr_status_t status = cohort__block_new(
        me, COHORT__KIND_BYTES, sizeof(more_t) + capacity * sizeof(cohort__holder_t), owner_ptr);
    if (status) return status;
    more_t *more = atomic_load(owner_ptr);
    more->capacity = capacity;
    for (uint64_t i = 0; i < capacity; i++) {
        bool copied = old != NULL && i < old->capacity;
        atomic_store(&more->entries[i].id, copied ? atomic_load(&old->entries[i].id) : 0);
        atomic_store(&more->entries[i].value, copied ? atomic_load(&old->entries[i].value) : 0);
    }
    cohort__guard_set(guard, &holders->active, next);
    return APR_SUCCESS;
}

apr_status_t cohort__holders_add(cohort__holders_t *holders, cohort__guard_t *guard,
                                 cohort__thread_t *me, uint64_t id, uint64_t value,
                                 cohort__holder_t **entry) {
    static const uint64_t unused = 0;
    cohort__holder_t *e = search_holders(holders, 0, &unused);
    if (e == NULL) {
        apr_status_t status = grow_holders(holders, guard, me);
        if (status) return status;
        e = search_holders(holders, 0, &unused);
    }
    cohort__guard_set(guard, &e->value, value);
    cohort__guard_set(guard, &e->id, id);
    if (entry != NULL) *entry = e;
    return APR_SUCCESS;
}

void cohort__holders_set(cohort__guard_t *guard, cohort__holder_t *entry, uint64_t value) {
    cohort__guard_set(guard, &entry->value, value);
}

void cohort__holders_remove(cohort__guard_t *guard, cohort__holder_t *entry) {
    cohort__guard_set(guard, &entry->id, 0);
}

bool cohort__holders_peek(const cohort__holders_t *holders, uint64_t id, uint64_t *value) {
    cohort__holders_t *r = (cohort__holders_t *)holders;
    for (int i = 0; i < COHORT__HOLDERS_INLINE; i++)
        if (atomic_load_explicit(&r->first[i].id, memory_order_acquire) == id) {
            *value = atomic_load_explicit(&r->first[i].value, memory_order_acquire);
            return true;
        }
    return false;
}
