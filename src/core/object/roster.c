/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* See roster.h for the guarantee and how it is kept. */
#include "core/object/roster.h"

typedef struct {
    uint64_t capacity;
    uint64_t reserved;
    cohort__roster_entry_t entries[];
} more_t;

#define FIRST_GROWTH 16

void cohort__roster_setup(cohort__roster_t *roster, cohort__home_t *homes) {
    roster->homes = homes;
}

static more_t *more_of(cohort__roster_t *roster) {
    uint64_t active = atomic_load_explicit(&roster->active, memory_order_acquire);
    return active != 0
               ? (more_t *)atomic_load_explicit(&roster->homes[active - 1], memory_order_acquire)
               : NULL;
}

static cohort__roster_entry_t *roster_entry_at(cohort__roster_t *roster, uint64_t index) {
    if (index < COHORT__ROSTER_INLINE) return &roster->first[index];
    more_t *more = more_of(roster);
    index -= COHORT__ROSTER_INLINE;
    return more != NULL && index < more->capacity ? &more->entries[index] : NULL;
}

static uint64_t index_of(cohort__roster_t *roster, const cohort__roster_entry_t *entry) {
    if (entry >= roster->first && entry < roster->first + COHORT__ROSTER_INLINE)
        return (uint64_t)(entry - roster->first);
    return COHORT__ROSTER_INLINE + (uint64_t)(entry - more_of(roster)->entries);
}

/* The first entry from `index` on with this id; any id in use when `id` is NULL. */
static cohort__roster_entry_t *search_roster(cohort__roster_t *roster, uint64_t index,
                                             const uint64_t *id) {
    for (cohort__roster_entry_t *e; (e = roster_entry_at(roster, index)) != NULL; index++) {
        uint64_t found = atomic_load_explicit(&e->id, memory_order_acquire);
        if (id != NULL ? found == *id : found != 0) return e;
    }
    return NULL;
}

cohort__roster_entry_t *cohort__roster_find(cohort__roster_t *roster, uint64_t id) {
    return search_roster(roster, 0, &id);
}

cohort__roster_entry_t *cohort__roster_next(cohort__roster_t *roster,
                                            cohort__roster_entry_t *entry) {
    return search_roster(roster, entry != NULL ? index_of(roster, entry) + 1 : 0, NULL);
}

static bool among(const cohort__home_t *home, const cohort__home_t *homes, int count) {
    return home >= homes && home < homes + count;
}

/* Only the homes that an intent of this kind has: of the other one a living thread may have said
 * something long ago. */
static bool concerns(cohort__thread_t *thread, uint32_t intent, const cohort__home_t *homes,
                     int count) {
    bool from = intent == COHORT__INTENT_FREE || intent == COHORT__INTENT_MOVE;
    bool to = intent == COHORT__INTENT_NEW || intent == COHORT__INTENT_MOVE;
    return (from && among(atomic_load(&thread->intent_from), homes, count)) ||
           (to && among(atomic_load(&thread->intent_to), homes, count));
}

cohort__pid_t cohort__homes_unsettled(const cohort__thread_t *me, const cohort__home_t *homes,
                                      int count) {
    uint32_t threads = cohort__thread_count();
    for (uint32_t i = 0; i < threads; i++) {
        cohort__thread_t *other = cohort__thread_at(i);
        cohort__pid_t owner = atomic_load(&other->owner);
        if (other == me || !concerns(other, atomic_load(&other->intent), homes, count)) continue;
        if (owner && atomic_load(&other->intent) != COHORT__INTENT_NONE) return owner;
    }
    return 0;
}

/* The home that is not valid now may hold the block before the last growth, or one that its maker
 * died over: either is garbage. */
static apr_status_t grow_roster(cohort__roster_t *roster, cohort__guard_t *guard,
                                cohort__thread_t *me) {
    more_t *old = more_of(roster);
    uint64_t next = atomic_load(&roster->active) == 1 ? 2 : 1;
    uint64_t capacity = old != NULL ? old->capacity * 2 : FIRST_GROWTH;
    cohort__home_t *home = &roster->homes[next - 1];

    if (cohort__homes_unsettled(me, home, 1)) return APR_EAGAIN;
    cohort__block_free(me, home);
    apr_status_t status = cohort__block_new(
        me, COHORT__KIND_BYTES, sizeof(more_t) + capacity * sizeof(cohort__roster_entry_t), home);
    if (status) return status;
    more_t *more = atomic_load(home);
    more->capacity = capacity;
    for (uint64_t i = 0; i < capacity; i++) {
        bool copied = old != NULL && i < old->capacity;
        atomic_store(&more->entries[i].id, copied ? atomic_load(&old->entries[i].id) : 0);
        atomic_store(&more->entries[i].value, copied ? atomic_load(&old->entries[i].value) : 0);
    }
    cohort__guard_set(guard, &roster->active, next);
    return APR_SUCCESS;
}

apr_status_t cohort__roster_add(cohort__roster_t *roster, cohort__guard_t *guard,
                                cohort__thread_t *me, uint64_t id, uint64_t value,
                                cohort__roster_entry_t **entry) {
    static const uint64_t unused = 0;
    cohort__roster_entry_t *e = search_roster(roster, 0, &unused);
    if (e == NULL) {
        apr_status_t status = grow_roster(roster, guard, me);
        if (status) return status;
        e = search_roster(roster, 0, &unused);
    }
    cohort__guard_set(guard, &e->value, value);
    cohort__guard_set(guard, &e->id, id);
    if (entry != NULL) *entry = e;
    return APR_SUCCESS;
}

void cohort__roster_set(cohort__guard_t *guard, cohort__roster_entry_t *entry, uint64_t value) {
    cohort__guard_set(guard, &entry->value, value);
}

void cohort__roster_remove(cohort__guard_t *guard, cohort__roster_entry_t *entry) {
    cohort__guard_set(guard, &entry->id, 0);
}

bool cohort__roster_peek(const cohort__roster_t *roster, uint64_t id, uint64_t *value) {
    cohort__roster_t *r = (cohort__roster_t *)roster;
    for (int i = 0; i < COHORT__ROSTER_INLINE; i++)
        if (atomic_load_explicit(&r->first[i].id, memory_order_acquire) == id) {
            *value = atomic_load_explicit(&r->first[i].value, memory_order_acquire);
            return true;
        }
    return false;
}
