/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The slots of the process table: the steps of a life, the name, and when a slot is free again. */
#include "core/life/slots.h"

#include "core/memory/alloc.h"
#include "core/memory/arena.h"
#include "core/memory/upward.h"

#include <apr_strings.h>
#include <apr_time.h>
#include <string.h>

/* ---- steps of a life ------------------------------------------------------------------------ */

bool cohort__slot_step(cohort_process_t *slot, cohort__slot_state_t from, cohort__slot_state_t to) {
    uint64_t life = cohort__process_life(slot);
    bool starts = from == COHORT__SLOT_NEW && to == COHORT__SLOT_STARTING;
    if (to == COHORT__SLOT_RUNNING) atomic_store(&slot->started, apr_time_now());
    uint64_t next = starts ? cohort__life_started(life) : cohort__life_with(life, to);
    return cohort__life_state(life) == from &&
           atomic_compare_exchange_strong(&slot->life, &life, next);
}

bool cohort__slot_step_of(cohort_process_t *slot, uint64_t life, cohort__slot_state_t from,
                          cohort__slot_state_t to) {
    uint64_t before = cohort__life_with(life, from);
    return atomic_compare_exchange_strong(&slot->life, &before, cohort__life_with(life, to));
}

void cohort__slot_restart(cohort_process_t *slot) {
    uint64_t life = cohort__process_life(slot), next;
    do {
        if (cohort__life_state(life) != COHORT__SLOT_STARTING &&
            cohort__life_state(life) != COHORT__SLOT_FAILED)
            return;
        next = cohort__life_started(life);
    } while (!atomic_compare_exchange_weak(&slot->life, &life, next));
}

bool cohort__claim_withdraw(cohort_process_t *slot) {
    uint64_t open = atomic_load(&slot->claim);
    while (!cohort__claim_pid(open)) {
        if (atomic_compare_exchange_strong(&slot->claim, &open, cohort__claim_next(open)))
            return true;
    }
    return false;
}

void cohort__slot_refuse(cohort_process_t *slot, apr_status_t status) {
    int32_t none = APR_SUCCESS;
    if (!atomic_compare_exchange_strong(&slot->start_status, &none, status)) return;
    apr_cpystrn(slot->reason, cohort__reason(status), sizeof slot->reason);
}

apr_status_t cohort__slot_refusal(const cohort_process_t *slot) {
    apr_status_t status = atomic_load(&((cohort_process_t *)slot)->start_status);
    char text[COHORT__REASON_MAX];
    memcpy(text, slot->reason, sizeof text);
    text[sizeof text - 1] = 0;
    return *text ? cohort__fail(status, "%s", text) : status;
}

/* ---- free again ----------------------------------------------------------------------------- */

/* A hint, which a death may make wrong: then the table grows sooner, or is searched in vain
 * once. */
void cohort__slot_freed(void) { atomic_fetch_add(&cohort__arena->free_slots, 1); }

static bool has_holder(cohort_process_t *slot) {
    cohort__pid_t creator = atomic_load(&slot->creator);
    return creator && cohort__process_alive(creator, false);
}

/* The blocks go first, one after the other; the slot is free by one last step, so what a process
 * did that dies in here is simply repeated. By now it may be another's. */
static void slot_free(cohort_process_t *slot, cohort__slot_state_t from) {
    cohort__thread_t *me;
    if (cohort__enter(&me)) return;
    cohort__guard_enter(&slot->guard, me);
    if (cohort__process_state(slot) == from && !has_holder(slot)) {
        cohort__block_free(me, &slot->args);
        cohort__block_free(me, &slot->context);
        cohort__block_free(me, &slot->files);
        cohort__block_free(me, &slot->settings);
        cohort__block_free(me, &slot->service);
        cohort__block_free(me, &slot->kept);
        atomic_store(&slot->creator, 0); /* none while it is free */
        if (cohort__slot_step(slot, from, COHORT__SLOT_FREE)) cohort__slot_freed();
    }
    cohort__guard_leave(&slot->guard);
}

static void drop_what_it_holds(cohort__pid_t id) {
    for (const cohort__death_step_t *step = cohort__upward->death_steps; step->name; step++) {
        if (step->never_started) step->never_started(id);
    }
}

/* Another thread may have released the slot meanwhile, and the next process in it is held before it
 * is NEW. So the id, the state and the holder are read in this order, and only that id's pipes are
 * dropped. */
void cohort__slot_release(cohort_process_t *slot) {
    cohort__pid_t id = cohort__process_id(slot);
    cohort__slot_state_t state = cohort__process_state(slot);
    if (has_holder(slot)) return;
    switch (state) {
    case COHORT__SLOT_NEW:
        drop_what_it_holds(id);
        slot_free(slot, COHORT__SLOT_NEW);
        break;
    case COHORT__SLOT_ENDED: slot_free(slot, COHORT__SLOT_ENDED); break;
    default: break;
    }
}

/* Two may be about to let go of one process, the thread that closes the handle and the repairer of
 * a dead one, and the slot be free or another process' when the second comes to it. While the guard
 * is held a slot that is not free stays that process', so the id is looked at and the holder given
 * up in one. */
void cohort__slot_let_go(cohort__pid_t id) {
    cohort__thread_t *me;
    cohort_process_t *slot = cohort__process_find(id);
    if (!slot || cohort__enter(&me)) return;
    cohort__guard_enter(&slot->guard, me);
    if (cohort__process_find(id) == slot) atomic_store(&slot->creator, 0);
    cohort__guard_leave(&slot->guard);
    cohort__slot_release(slot);
}

/* ---- names ---------------------------------------------------------------------------------- */

/* Without the help of a library: a forked child does it first thing, and each page that it touches
 * costs. By atomic bytes, since one of both sides may change while it is read; the version
 * tells. */
static void copy_name(void *to, const void *from, size_t size) {
    _Atomic char *target = to, *source = (_Atomic char *)from;
    char byte = 1;
    while (--size && byte) {
        byte = atomic_load_explicit(source++, memory_order_relaxed);
        atomic_store_explicit(target++, byte, memory_order_relaxed);
    }
    atomic_store_explicit(target, 0, memory_order_relaxed);
}

void cohort__process_get_name(const cohort_process_t *process, char *buffer, size_t size) {
    cohort_process_t *slot = (cohort_process_t *)process;
    uint32_t version;
    do {
        version = atomic_load_explicit(&slot->renamed, memory_order_acquire);
        copy_name(buffer, slot->name[version % 2],
                  size < COHORT__NAME_MAX ? size : COHORT__NAME_MAX);
        atomic_thread_fence(memory_order_acquire);
    } while (version != atomic_load_explicit(&slot->renamed, memory_order_relaxed));
}

void cohort__process_put_name(cohort_process_t *slot, const char *name) {
    uint32_t version = atomic_load(&slot->renamed) + 1;
    copy_name(slot->name[version % 2], name, COHORT__NAME_MAX);
    atomic_store(&slot->renamed, version);
}
