/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A life is FREE -> NEW -> STARTING -> RUNNING -> DEAD -> ENDED -> FREE (or back from STARTING to NEW when the start failed), each step one
 * compare-and-swap, so any process may take the next one when the one that should have is dead. DEAD means: nobody will do anything in its name any
 * more, and what it was doing is being repaired; ENDED, that all is repaired and the exit code final. Joiners wait for ENDED.
 */
#include "core/table.h"

#include "core/arena.h"
#include "core/object.h"
#include "core/pool.h"
#include "core/process.h"

#include <apr_strings.h>
#include <cohort/errors.h>

static cohort_process_t *self;
static cohort__pid_t self_id;

cohort_process_t *cohort__self(void) {
    return self;
}

cohort__pid_t cohort__self_id(void) {
    return self_id;
}

/* A server acts for the process it serves. */
cohort__pid_t cohort__acting_id(void) {
    return self && self->role == COHORT__ROLE_SERVER ? atomic_load(&self->parent) : self_id;
}

void cohort__self_set(cohort_process_t *slot) {
    self = slot;
    self_id = slot ? cohort__process_id(slot) : 0;
}

/* ---- slots ------------------------------------------------------------------------------------------------------- */

cohort_process_t *cohort__process_at(uint32_t index) {
    return (cohort_process_t *)((char *)cohort__arena + cohort__arena->process_offset) + index;
}

uint32_t cohort__process_count(void) {
    return atomic_load_explicit(&cohort__arena->processes, memory_order_acquire);
}

static uint64_t life_of(const cohort_process_t *slot) {
    return atomic_load_explicit(&((cohort_process_t *)slot)->life, memory_order_acquire);
}

cohort__slot_state_t cohort__process_state(const cohort_process_t *slot) {
    return (cohort__slot_state_t)(life_of(slot) & 0xff);
}

cohort__pid_t cohort__process_id(const cohort_process_t *slot) {
    return life_of(slot) >> 8 << 16 | (cohort__pid_t)(slot - cohort__process_at(0));
}

cohort_process_t *cohort__process_find(cohort__pid_t id) {
    uint32_t index = (uint32_t)(id & 0xffff);
    if (id == 0 || index >= cohort__process_count()) return NULL;
    cohort_process_t *slot = cohort__process_at(index);
    uint64_t life = life_of(slot);
    return life >> 8 == id >> 16 && (life & 0xff) != COHORT__SLOT_FREE ? slot : NULL;
}

apr_status_t cohort__process_check(const cohort_process_t *process) {
    if (!cohort__arena) return COHORT_ENOTINIT;
    if (!process) return APR_EINVAL;
    ptrdiff_t offset = (const char *)process - (const char *)cohort__process_at(0);
    if (offset < 0 || offset % (ptrdiff_t)sizeof *process) return COHORT_EHANDLE;
    if ((uint64_t)offset / sizeof *process >= cohort__process_count()) return COHORT_EHANDLE;
    return cohort__process_state(process) == COHORT__SLOT_FREE ? COHORT_EHANDLE : APR_SUCCESS;
}

bool cohort__slot_step(cohort_process_t *slot, cohort__slot_state_t from, cohort__slot_state_t to) {
    uint64_t life = life_of(slot);
    return (life & 0xff) == (uint64_t)from && atomic_compare_exchange_strong(&slot->life, &life, (life & ~(uint64_t)0xff) | (uint64_t)to);
}

static apr_status_t grow(void) {
    uint32_t count = cohort__process_count();
    if (count >= COHORT__PROCESSES_MAX) return COHORT_ELIMIT;
    apr_status_t status = cohort__arena_commit(cohort__process_at(count), sizeof(cohort_process_t));
    if (!status) atomic_compare_exchange_strong(&cohort__arena->processes, &count, count + 1);
    return status;
}

/* A free slot becomes MAKING-by-us at once: its creator is set before the life says NEW, so a maker's death leaves a slot that is found. */
static bool claim(cohort_process_t *slot) {
    uint64_t life = life_of(slot);
    if ((life & 0xff) != COHORT__SLOT_FREE) return false;
    uint64_t next = ((life >> 8) + 1) << 8 | COHORT__SLOT_MAKING;
    return atomic_compare_exchange_strong(&slot->life, &life, next);
}

static void fresh(cohort_process_t *slot) {
    cohort__pid_t parent = self ? cohort__acting_id() : 0;
    atomic_store(&slot->creator, parent);
    atomic_store(&slot->parent, parent);
    atomic_store(&slot->exit_code, COHORT_EXIT_NONE);
    atomic_store(&slot->start_status, APR_SUCCESS);
    atomic_store(&slot->reaper, 0);
    atomic_store(&slot->claim, 0);
    atomic_store(&slot->children, 0);
    atomic_store(&slot->final, 0);
    atomic_store(&slot->repaired, 0);
    atomic_store(&slot->pool, NULL);
    atomic_store(&slot->worker, 0);
    slot->os = (cohort_os_id_t){0, 0};
    slot->name[0][0] = slot->name[1][0] = slot->identity[0] = 0;
    slot->program = slot->program_pool = NULL;
    atomic_store(&slot->renamed, 0);
    atomic_store(&slot->awaited, 0);
    slot->run = slot->on_start = slot->on_exit = (cohort__code_t){0, 0, 0};
    slot->subclass = 0;
    slot->args_size = slot->context_size = 0;
}

apr_status_t cohort__slot_new(cohort_process_t **made) {
    for (;;) {
        uint32_t count = cohort__process_count();
        for (uint32_t i = 0; i < count; i++) {
            /* Not the slot that was freed last: a stale handle should stay recognisable for long. */
            cohort_process_t *slot = cohort__process_at(atomic_fetch_add(&cohort__arena->next_slot, 1) % count);
            if (!claim(slot)) continue;
            fresh(slot);
            cohort__slot_step(slot, COHORT__SLOT_MAKING, COHORT__SLOT_NEW);
            *made = slot;
            return APR_SUCCESS;
        }
        apr_status_t status = grow();
        if (status) return status;
    }
}

/* The blocks go first, one after the other; the slot is free by one last step, so whoever dies in here is simply repeated. */
static void slot_free(cohort_process_t *slot, cohort__slot_state_t from) {
    cohort__thread_t *me;
    if (cohort__enter(&me)) return;
    cohort__guard_enter(&slot->guard, me);
    if (cohort__process_state(slot) == from) {
        cohort__block_free(me, &slot->args);
        cohort__block_free(me, &slot->context);
        cohort__slot_step(slot, from, COHORT__SLOT_FREE);
    }
    cohort__guard_leave(&slot->guard);
}

void cohort__slot_release(cohort_process_t *slot) {
    cohort__pid_t creator = atomic_load(&slot->creator);
    if (creator && cohort__process_alive(creator, false)) return;
    switch (cohort__process_state(slot)) {
    case COHORT__SLOT_NEW:
        slot_free(slot, COHORT__SLOT_NEW);
        break;
    case COHORT__SLOT_ENDED:
        slot_free(slot, COHORT__SLOT_ENDED);
        break;
    default:
        break;
    }
}

void cohort__process_get_name(const cohort_process_t *process, char *buffer, size_t size) {
    cohort_process_t *slot = (cohort_process_t *)process;
    uint32_t version;
    do {
        version = atomic_load_explicit(&slot->renamed, memory_order_acquire);
        apr_cpystrn(buffer, slot->name[version % 2], size);
        atomic_thread_fence(memory_order_acquire);
    } while (version != atomic_load_explicit(&slot->renamed, memory_order_relaxed));
}

void cohort__process_put_name(cohort_process_t *slot, const char *name) {
    uint32_t version = atomic_load(&slot->renamed) + 1;
    apr_cpystrn(slot->name[version % 2], name, COHORT__NAME_MAX);
    atomic_store(&slot->renamed, version);
}

/* ---- deaths -------------------------------------------------------------------------------------------------------- */

static bool may_act(cohort__slot_state_t state) {
    return state == COHORT__SLOT_STARTING || state == COHORT__SLOT_RUNNING;
}

/* Who it is, as far as is known: a child that is starting has left its pid in the claim. */
static cohort_os_id_t os_id(cohort_process_t *slot) {
    if (cohort__process_state(slot) == COHORT__SLOT_STARTING) {
        return (cohort_os_id_t){(int64_t)(atomic_load(&slot->claim) & 0xffffffff), 0};
    }
    return slot->os;
}

bool cohort__process_alive(cohort__pid_t id, bool thorough) {
    cohort_process_t *slot = cohort__process_find(id);
    if (!slot || !may_act(cohort__process_state(slot))) return false;
    if (!thorough || id == self_id) return true;
    cohort_os_id_t os = os_id(slot);
    return (os.pid == 0 || cohort_os_alive(os)) && cohort__process_find(id) == slot;
}

bool cohort__process_bury(cohort__pid_t id) {
    if (cohort__process_alive(id, true)) return false;
    cohort_process_t *slot = cohort__process_find(id);
    if (slot) cohort__process_ended(slot, COHORT_EXIT_NONE);
    return true;
}

/* The right to repair: nobody's, ours, or a dead repairer's that we take over. */
static bool repair_begin(cohort_process_t *slot, cohort__thread_t *me) {
    cohort__tid_t owner = 0, mine = cohort__thread_id(me);
    if (atomic_compare_exchange_strong(&slot->repairer, &owner, mine)) return true;
    return !cohort__thread_alive(owner, false) && atomic_compare_exchange_strong(&slot->repairer, &owner, mine);
}

/* What the dead process had made and nobody holds any more; what it had started goes on, its handles are dropped. */
static void drop_handles(cohort__pid_t dead) {
    uint32_t count = cohort__process_count();
    for (uint32_t i = 0; i < count; i++) {
        cohort_process_t *slot = cohort__process_at(i);
        if (atomic_load(&slot->creator) != dead) continue;
        if (cohort__slot_step(slot, COHORT__SLOT_MAKING, COHORT__SLOT_FREE)) continue;
        cohort__slot_release(slot);
    }
}

static void repair(cohort_process_t *slot) {
    cohort__thread_t *me;
    if (atomic_load(&slot->repaired) || cohort__enter(&me) || !repair_begin(slot, me)) return;
    if (!atomic_load(&slot->repaired)) {
        cohort__pid_t dead = cohort__process_id(slot);
        cohort_os_park_forget(slot->os);
        cohort__threads_repair(dead);
        if (slot->role == COHORT__ROLE_WORKER) cohort__pool_worker_died(slot);
        drop_handles(dead);
        atomic_store(&slot->repaired, 1);
    }
    atomic_store(&slot->repairer, 0);
}

static void learn_code(cohort_process_t *slot, int code) {
    int32_t none = COHORT_EXIT_NONE;
    if (code == COHORT_EXIT_NONE && cohort__process_alive(atomic_load(&slot->reaper), false)) return;
    if (code == COHORT_EXIT_NONE) code = COHORT_EXIT_UNKNOWN;
    atomic_compare_exchange_strong(&slot->exit_code, &none, code);
}

/* A code of its own that the process stored counts only if it also got to the end: a signal may have come in between. */
static void settle_code(cohort_process_t *slot, int code) {
    if (code < 0 && code != COHORT_EXIT_UNKNOWN && code != COHORT_EXIT_NONE) atomic_store(&slot->exit_code, code);
    else learn_code(slot, code);
}

/* A child that died before it took off is a failed start, and its starter's to tell. */
static bool start_failed(cohort_process_t *slot) {
    int32_t none = APR_SUCCESS;
    if (cohort__process_state(slot) != COHORT__SLOT_STARTING || !atomic_load(&slot->awaited)) return false;
    repair(slot);
    atomic_compare_exchange_strong(&slot->start_status, &none, COHORT_ESTART);
    if (cohort__slot_step(slot, COHORT__SLOT_STARTING, COHORT__SLOT_FAILED)) cohort__notify(&slot->changed, COHORT__ALL);
    return true;
}

void cohort__process_ended(cohort_process_t *slot, int code) {
    if (start_failed(slot)) return;
    cohort__slot_step(slot, COHORT__SLOT_STARTING, COHORT__SLOT_DEAD);
    cohort__slot_step(slot, COHORT__SLOT_RUNNING, COHORT__SLOT_DEAD);
    if (cohort__process_state(slot) != COHORT__SLOT_DEAD) return;
    settle_code(slot, code);
    atomic_fetch_add(&cohort__arena->death, 1);
    repair(slot);
    if (!atomic_load(&slot->repaired) || atomic_load(&slot->exit_code) == COHORT_EXIT_NONE) {
        cohort__notify_everybody();
        return;
    }
    if (!cohort__slot_step(slot, COHORT__SLOT_DEAD, COHORT__SLOT_ENDED)) return;
    cohort__notify(&slot->changed, COHORT__ALL);
    cohort__notify(&cohort__arena->completed, COHORT__ALL);
    cohort__notify_everybody();
    cohort__slot_release(slot);
}
