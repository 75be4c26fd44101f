/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of the operations of dead threads, and of objects. Each step is safe to repeat: a
 * repairer may die, and the next begins again.
 *
 * An object is destroyed by the thread that put its id into owner->destroyer; the announcement of
 * that in the thread's record comes first, so a death in between leaves the destruction to the
 * repair.
 */
#include "core/memory/upward.h"
#include "core/object/ring_cells.h"

#include <cohort/errors.h>

/* ---- put and get ---------------------------------------------------------------------------- */

bool cohort__is_segment(const void *address) {
    const cohort__segment_t *s = address;
    if (!cohort__block_is(address, COHORT__KIND_BYTES) || cohort__block_size(address) < sizeof *s)
        return false;
    if (!s->cells || s->stride < sizeof(cohort__cell_t) ||
        s->limit != COHORT__POSITIONS - COHORT__POSITIONS % s->cells)
        return false;
    return s->cells <= (cohort__block_size(address) - sizeof *s) / s->stride &&
           cohort__in_arena(s->ring, sizeof *s->ring);
}

/* Never published: the cell is as if it had been written and taken. */
static void undo_put(cohort__thread_t *me, cohort__thread_t *dead, cohort__segment_t *segment,
                     uint64_t position) {
    cohort__cell_t *cell = cohort__cell_at(segment, position);
    uint64_t writing = cohort__cell_word(position, cohort__record(dead), COHORT__CELL_WRITING);
    if (atomic_load(&cell->word) == writing) {
        atomic_store(&segment->ring->irregular, 1);
        cohort__block_free(me, &cell->block);
        atomic_compare_exchange_strong(&cell->word, &writing,
                                       cohort__free_again(segment, position));
    }
    cohort__ring_catch_up(segment);
    cohort__ring_stir(segment->ring);
}

static void undo_get(cohort__thread_t *me, cohort__thread_t *dead, cohort__segment_t *segment,
                     uint64_t position) {
    cohort__cell_t *cell = cohort__cell_at(segment, position);
    uint64_t reading = cohort__cell_word(position, cohort__record(dead), COHORT__CELL_READING),
             full = cohort__cell_word(position, 0, COHORT__CELL_FULL);
    if (atomic_load(&cell->word) == reading) {
        uint64_t size = atomic_load(&cell->size);
        cohort__owner_ptr_t *in_flight = &dead->in_flight[COHORT__IN_FLIGHT_MESSAGE];
        if (size & COHORT__OUT_OF_LINE && !atomic_load(&cell->block) && atomic_load(in_flight))
            cohort__block_move(me, in_flight, &cell->block);
        atomic_store(&cell->size, size | COHORT__RETURNED);
        atomic_store(&segment->ring->irregular, 1);
        atomic_compare_exchange_strong(&cell->word, &reading, full);
    }
    /* An earlier repairer may have died right here. */
    if (atomic_load(&cell->word) == full) cohort__ring_rewind(segment, position);
    cohort__ring_catch_up(segment);
    cohort__ring_stir(segment->ring);
}

/* ---- destruction ---------------------------------------------------------------------------- */

typedef struct {
    cohort__thread_t *me, *dead; /* dead: its work is being finished; or NULL */
    const void *object;
} leaving_t;

/* A thread of the process that is being repaired will not move: settle what it was doing here and
 * now. */
static bool settle_sibling(const leaving_t *l, cohort__thread_t *other) {
    if (!l->dead || atomic_load(&other->owner) != atomic_load(&l->dead->owner)) return false;
    cohort__alloc_repair(other);
    (void)cohort__ring_repair(other);
    cohort__op_end(other);
    return true;
}

static apr_status_t try_left_alone(void *arg, bool thorough) {
    leaving_t *l = arg;
    uint32_t count = cohort__thread_count();
    for (uint32_t i = 0; i < count; i++) {
        cohort__thread_t *other = cohort__thread_at(i);
        if (other == l->me || other == l->dead) continue;
        if (atomic_load(&other->op) == COHORT__OP_NONE ||
            atomic_load(&other->op_object) != l->object)
            continue;
        if (settle_sibling(l, other)) continue;
        if (thorough) (void)cohort__process_check_dead(atomic_load(&other->owner));
        if (atomic_load(&other->op) != COHORT__OP_NONE &&
            atomic_load(&other->op_object) == l->object)
            return APR_EAGAIN;
    }
    return APR_SUCCESS;
}

static void wait_left_alone(cohort__thread_t *me, cohort__thread_t *dead, const void *object,
                            cohort__ring_t *ring) {
    leaving_t l = {me, dead, object};
    if (try_left_alone(&l, false))
        (void)cohort__await(&ring->space, try_left_alone, &l, COHORT_OS_NEVER);
}

static void free_messages(cohort__thread_t *me, cohort__segment_t *segment) {
    for (uint64_t i = 0; i < segment->cells; i++)
        cohort__block_free(me, &cohort__cell_at(segment, i)->block);
}

static void ring_end(cohort__thread_t *me, cohort__thread_t *dead, cohort__ring_t *ring) {
    if (!ring->parts) return;
    cohort__chain_fix(me, ring);
    for (cohort__segment_t *s = atomic_load(&ring->parts[COHORT__RING_OLDEST]); s;
         s = atomic_load(&s->next)) {
        wait_left_alone(me, dead, s, ring);
        free_messages(me, s);
    }
    cohort__chain_free(me, ring);
}

static cohort__ring_t *ring_of(cohort__ring_owner_t *owner, cohort__kind_t kind, int i) {
    return cohort__upward->kinds[kind].ring(owner, i);
}

/* Everything but the object's own blocks. First no thread can find it any more, then none is in it
 * any more, then it is emptied. */
static void end_owner(cohort__thread_t *me, cohort__thread_t *dead, cohort__ring_owner_t *owner,
                      cohort__kind_t kind) {
    cohort__ring_t *ring;
    atomic_exchange(&owner->object.tag, 0);
    for (int i = 0; (ring = ring_of(owner, kind, i)) != NULL; i++) {
        atomic_exchange(&ring->head, NULL);
        atomic_exchange(&ring->tail, NULL);
        cohort__ring_stir(ring);
    }
    wait_left_alone(me, dead, owner, ring_of(owner, kind, 0));
    for (int i = 0; (ring = ring_of(owner, kind, i)) != NULL; i++) ring_end(me, dead, ring);
}

/* As long as this thread announces the object, no other thread's destruction of it is complete, so
 * what is claimed here is what is meant. */
void cohort__ring_owner_destroy(const cohort__call_t *call, cohort__kind_t kind) {
    cohort__ring_owner_t *owner = (cohort__ring_owner_t *)call->object;
    cohort__tid_t nobody = 0;
    if (!cohort__call_look(call)) return;
    atomic_store(&call->me->op, COHORT__OP_DESTROY);
    if (atomic_compare_exchange_strong(&owner->destroyer, &nobody, cohort__thread_id(call->me))) {
        end_owner(call->me, NULL, owner, kind);
        cohort__object_free(call->me, owner);
    }
    cohort__op_end(call->me);
}

/* The object's blocks are left in the dead one's in-flight pointer, which is freed next. A thread
 * that is inside another operation might be inside this object, or in the way of a thread for which
 * it would wait here: false, and the dead one's record stays for another thread. */
static bool finish_destroy(cohort__thread_t *me, cohort__thread_t *dead, void *object) {
    cohort__kind_t kind =
        cohort__block_is(object, COHORT__KIND_QUEUE) ? COHORT__KIND_QUEUE : COHORT__KIND_PIPE;
    cohort__ring_owner_t *owner = object;
    if (!cohort__block_is(object, kind) ||
        atomic_load(&owner->destroyer) != cohort__thread_id(dead))
        return true;
    if (atomic_load(&me->op) != COHORT__OP_NONE) return false;
    end_owner(me, dead, owner, kind);
    atomic_store(&dead->in_flight[COHORT__IN_FLIGHT_OBJECT],
                 object); /* which remembers it from here on */
    /* else the repairer that frees the parts would wait for the dead thread to leave the object */
    cohort__op_end(dead);
    return true;
}

bool cohort__ring_repair(cohort__thread_t *dead) {
    cohort__thread_t *me;
    if (cohort__enter(&me)) return false;
    uint64_t position = atomic_load(&dead->op_position);
    void *object = atomic_load(&dead->op_object);
    switch (atomic_load(&dead->op)) {
    case COHORT__OP_RING_PUT:
        if (!cohort__is_segment(object)) break;
        undo_put(me, dead, object, position);
        break;
    case COHORT__OP_RING_GET:
        if (!cohort__is_segment(object)) break;
        undo_get(me, dead, object, position);
        break;
    case COHORT__OP_DESTROY: return finish_destroy(me, dead, object);
    default: break;
    }
    return true;
}
