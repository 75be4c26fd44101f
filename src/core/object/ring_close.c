/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The end of a ring that is closed: no cell is claimed any more, and nothing comes out any more.
 * Each step may be the last one of a process that dies: the next thread that comes by does it
 * again. */
#include "core/object/ring_claim.h"

#include <cohort/errors.h>

void cohort__ring_close(const cohort__call_t *call, cohort__ring_t *ring,
                        cohort__ring_state_t state) {
    if (!cohort__call_look(call)) return;
    uint32_t seen = atomic_load(&ring->state);
    /* so that each segment is looked at */
    if (state == COHORT__RING_DISCARDING) atomic_store(&ring->irregular, 1);
    while (seen < (uint32_t)state &&
           !atomic_compare_exchange_weak(&ring->state, &seen, (uint32_t)state)) {
    }
    cohort__call_look_end(call);
    cohort__ring_stir(ring);
}

typedef enum { SEALED, ALL_CLAIMED, NOT_FREE } seal_t;

/* The first position of a segment that is not claimed. NOT_FREE: what was there in the lap before
 * is still in its cell, or the segment is damaged, since a sound one has no more than two laps. */
static seal_t seal_segment(cohort__segment_t *segment) {
    uint64_t p = cohort__head_position(atomic_load(&segment->head)), left = 2 * segment->cells;
    while (cohort__is_within(segment, p)) {
        cohort__cell_t *cell = cohort__cell_at(segment, p);
        uint64_t word = atomic_load(&cell->word), free = cohort__cell_word(p, 0, COHORT__CELL_FREE);
        if (word == cohort__word_sealed(p)) return SEALED;
        if (cohort__is_put(segment, word, p)) {
            if (left-- == 0) return NOT_FREE;
            p = cohort__step(segment, p, 1);
        } else if (word != free) {
            return NOT_FREE;
        } else if (atomic_compare_exchange_strong(&cell->word, &free, cohort__word_sealed(p))) {
            return SEALED;
        }
    }
    return ALL_CLAIMED;
}

/* No thread claims a cell of this closed ring any more. A chain neither grows nor shrinks
 * meanwhile. */
static bool seal(const cohort__call_t *call, cohort__ring_t *ring) {
    bool chain = ring->capacity == 0;
    if (!(chain ? cohort__chain_enter(call, ring) : cohort__call_look(call))) return true;
    seal_t found = ALL_CLAIMED;
    for (cohort__segment_t *s = atomic_load(&ring->head); s && found == ALL_CLAIMED;
         s = atomic_load(&s->next))
        found = seal_segment(s);
    if (chain) cohort__chain_leave(call, ring);
    else cohort__call_look_end(call);
    return found != NOT_FREE;
}

/* The look for busy cells may have seen to the repair of what kept the ring from being sealed. */
bool cohort__ring_is_drained(const cohort__call_t *call, cohort__ring_t *ring, bool thorough) {
    if (cohort__ring_state(ring) == COHORT__RING_DRAINED) return true;
    for (int looks = 0; thorough && looks < COHORT__REPAIRS; looks++) {
        bool sealed = seal(call, ring);
        if (!cohort__ring_is_idle(call, ring, true)) return false;
        if (!sealed) continue;
        cohort__ring_close(call, ring, COHORT__RING_DRAINED);
        return true;
    }
    return false;
}

apr_status_t cohort__ring_drop(const cohort__call_t *call, cohort__ring_t *ring, bool thorough,
                               size_t *dropped) {
    cohort__receive_t receive = {.how = COHORT__RECEIVE_DROP};
    apr_status_t status;
    while ((status = cohort__ring_get(call, ring, &receive, thorough)) == APR_SUCCESS) ++*dropped;
    return status;
}
