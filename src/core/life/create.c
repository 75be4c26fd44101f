/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* A new slot of the process table: one that is free again, or one more. */
#include "core/life/death.h"

#include "core/memory/alloc.h"
#include "core/memory/arena.h"

#include <cohort/errors.h>

/* What cohort__slot_freed() counts. */
static void one_free_less(void) {
    uint32_t free_slots = atomic_load(&cohort__arena->free_slots);
    while (free_slots &&
           !atomic_compare_exchange_weak(&cohort__arena->free_slots, &free_slots, free_slots - 1))
        continue;
}

/* One slot more; another thread may have claimed it by now. */
static apr_status_t add_slot(cohort_process_t **slot) {
    uint32_t count = cohort__process_count();
    if (count >= COHORT__PROCESSES_MAX)
        return cohort__fail(COHORT_ELIMIT, "%u processes, created and not closed",
                            COHORT__PROCESSES_MAX);
    *slot = cohort__process_at(count);
    apr_status_t status = cohort__arena_commit(*slot, sizeof **slot);
    if (!status) atomic_compare_exchange_strong(&cohort__arena->processes, &count, count + 1);
    return status;
}

/* From before the slot is MAKING until it is NEW the thread's record says so; from then on its
 * creator does. */
static bool claim_slot(cohort_process_t *slot, cohort__thread_t *me) {
    uint64_t life = cohort__process_life(slot);
    if (cohort__life_state(life) != COHORT__SLOT_FREE) return false;
    uint64_t next = cohort__life_word(cohort__life_generation(life) + 1, COHORT__SLOT_MAKING);
    if (me) cohort__op_begin(me, COHORT__OP_SLOT, slot, next);
    if (atomic_compare_exchange_strong(&slot->life, &life, next)) return true;
    if (me) cohort__op_end(me);
    return false;
}

/* Several may have been after the slot, and only one got it: as long as another one says that it is
 * at it, it is that one's. */
static void slot_undo(cohort_process_t *slot, uint64_t life, const cohort__thread_t *dead) {
    for (uint32_t i = 0, n = cohort__thread_count(); i < n; i++) {
        cohort__thread_t *other = cohort__thread_at(i);
        if (other != dead && atomic_load(&other->op) == COHORT__OP_SLOT &&
            atomic_load(&other->op_object) == slot)
            return;
    }
    if (atomic_compare_exchange_strong(&slot->life, &life,
                                       cohort__life_with(life, COHORT__SLOT_FREE)))
        cohort__slot_freed();
}

void cohort__slot_repair(cohort__thread_t *dead) {
    if (atomic_load(&dead->op) == COHORT__OP_SLOT)
        slot_undo(atomic_load(&dead->op_object), atomic_load(&dead->op_position), dead);
}

static void fresh(cohort_process_t *slot) {
    cohort__pid_t parent = cohort__self() ? cohort__acting_id() : 0;
    atomic_store(&slot->creator, parent);
    atomic_store(&slot->parent, parent);
    atomic_store(&slot->outcome,
                 cohort__outcome(cohort__process_life(slot), false, COHORT_EXIT_NONE));
    atomic_store(&slot->start_status, APR_SUCCESS);
    atomic_store(&slot->reaper, 0);
    atomic_store(&slot->started, 0);
    atomic_store(&slot->claim, cohort__claim_next(atomic_load(&slot->claim)));
    atomic_store(&slot->children, 0);
    atomic_store(&slot->left, 0);
    atomic_store(&slot->repaired, COHORT__REPAIRED_NOTHING);
    atomic_store(&slot->watches, 0);
    atomic_store(&slot->pool, NULL);
    atomic_store(&slot->worker, 0);
    atomic_store(&slot->serves, 0);
    atomic_store(&slot->current, 0);
    atomic_store(&slot->over, 0);
    atomic_store(&slot->tries, 0);
    slot->os = (cohort_os_id_t){0, 0};
    slot->name[0][0] = slot->name[1][0] = slot->identity[0] = 0;
    slot->program = slot->program_pool = slot->streams = NULL;
    slot->terminal = (cohort_os_terminal_t){0};
    slot->attended = 0;
    atomic_store(&slot->renamed, 0);
    atomic_store(&slot->awaited, 0);
    slot->run = slot->on_start = slot->on_exit = (cohort__code_t){0, 0, 0};
    slot->subclass = slot->replaces = 0;
    slot->given = NULL;
    slot->args_size = slot->context_size = 0;
    slot->n_gifts = slot->n_files = 0;
    atomic_store(&slot->unfit, 0);
    atomic_store(&slot->context_state, COHORT__CONTEXT_UNDERWAY);
}

/* Not the slot that was freed last: a stale handle should stay recognisable for long. */
static cohort_process_t *take_free(cohort__thread_t *me) {
    uint32_t count = cohort__process_count(), from = atomic_fetch_add(&cohort__arena->next_slot, 1);
    for (uint32_t i = 0; i < count; i++) {
        cohort_process_t *slot = cohort__process_at((from + i) % count);
        if (!claim_slot(slot, me)) continue;
        atomic_store(&cohort__arena->next_slot, (from + i) % count + 1);
        one_free_less();
        return slot;
    }
    atomic_store(&cohort__arena->free_slots, 0);
    return NULL;
}

/* Processes that outlive the watcher of their end (background ones, orphans) are looked after when
 * the table has doubled or is full. */
static void check_unwatched(void) {
    uint32_t count = cohort__process_count(), free_slots = 0;
    for (uint32_t i = 0; i < count; i++) {
        cohort_process_t *slot = cohort__process_at(i);
        uint64_t life = cohort__process_life(slot);
        cohort__slot_state_t state = cohort__life_state(life);
        free_slots += state == COHORT__SLOT_FREE;
        /* its maker may have died while another one was after it */
        if (state == COHORT__SLOT_MAKING) slot_undo(slot, life, NULL);
        if (slot == cohort__self() || state < COHORT__SLOT_STARTING || state == COHORT__SLOT_ENDED)
            continue;
        if (!cohort__process_alive(atomic_load(&slot->reaper), false))
            (void)cohort__process_check_dead(cohort__process_id(slot));
    }
    atomic_store(&cohort__arena->free_slots, free_slots);
}

#define SLOTS_MIN 32 /* before any is used a second time */

static bool has_many_free(uint32_t count) {
    return atomic_load(&cohort__arena->free_slots) >= count / 4;
}

/* If a fourth of the slots is free, a search finds one soon. `full`: the table cannot grow. */
static cohort_process_t *take_old(cohort__thread_t *me, bool full) {
    uint32_t count = cohort__process_count();
    bool doubled = (count & (count - 1)) == 0;
    if (count < SLOTS_MIN) return NULL;
    if (me && (full || (doubled && !has_many_free(count)))) check_unwatched();
    return full || has_many_free(count) ? take_free(me) : NULL;
}

static apr_status_t take_new(cohort__thread_t *me, cohort_process_t **taken) {
    cohort_process_t *slot = NULL;
    for (;;) {
        apr_status_t status = add_slot(&slot);
        if (status) return status;
        if (!claim_slot(slot, me)) continue;
        *taken = slot;
        return APR_SUCCESS;
    }
}

apr_status_t cohort__slot_new(cohort_process_t **made) {
    cohort__thread_t *me;
    apr_status_t status = APR_SUCCESS;
    if (cohort__enter(&me)) me = NULL; /* the root has no record yet */
    cohort_process_t *slot = take_old(me, false);
    if (!slot) status = take_new(me, &slot);
    if (!slot) slot = take_old(me, true);
    if (!slot) return status;
    fresh(slot);
    cohort__slot_step(slot, COHORT__SLOT_MAKING, COHORT__SLOT_NEW);
    if (me) cohort__op_end(me);
    *made = slot;
    return APR_SUCCESS;
}
