/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking up processes: which slot an id names, and whether that process lives. Nothing here takes
 * a lock or changes anything, so the locks themselves ask here.
 */
#include "core/memory/member.h"

#include "core/memory/arena.h"

#include <cohort/errors.h>

/* A server acts for the process it serves. */
cohort__pid_t cohort__acting_id(void) {
    cohort_process_t *self = cohort__self();
    return self && self->role == COHORT__ROLE_SERVER ? atomic_load(&self->parent)
                                                     : cohort__self_id();
}

cohort_process_t *cohort__process_at(uint32_t index) {
    return (cohort_process_t *)((char *)cohort__arena + cohort__arena->process_offset) + index;
}

uint32_t cohort__process_count(void) {
    return atomic_load_explicit(&cohort__arena->processes, memory_order_acquire);
}

cohort__slot_state_t cohort__process_state(const cohort_process_t *slot) {
    return cohort__life_state(cohort__process_life(slot));
}

cohort__pid_t cohort__process_id(const cohort_process_t *slot) {
    return cohort__pid(cohort__life_generation(cohort__process_life(slot)),
                       (uint32_t)(slot - cohort__process_at(0)));
}

cohort_process_t *cohort__process_find(cohort__pid_t id) {
    uint32_t index = cohort__pid_slot(id);
    if (id == 0 || index >= cohort__process_count()) return NULL;
    cohort_process_t *slot = cohort__process_at(index);
    uint64_t life = cohort__process_life(slot);
    return cohort__life_generation(life) == cohort__pid_generation(id) &&
                   cohort__life_state(life) != COHORT__SLOT_FREE
               ? slot
               : NULL;
}

cohort__pid_t cohort__process_named(const cohort_process_t *process) {
    uint64_t offset = (uint64_t)((uintptr_t)process - (uintptr_t)cohort__process_at(0)),
             index = offset / sizeof *process;
    if (offset % sizeof *process || index >= cohort__process_count()) return 0;
    uint64_t life = cohort__process_life(process);
    if (cohort__life_state(life) == COHORT__SLOT_FREE) return 0;
    return cohort__pid(cohort__life_generation(life), (uint32_t)index);
}

apr_status_t cohort__process_check(const cohort_process_t *process) {
    if (!cohort__arena) return COHORT_ENOTINIT;
    if (!process) return APR_EINVAL;
    return cohort__process_named(process) ? APR_SUCCESS : COHORT_EHANDLE;
}

cohort_os_id_t cohort__process_os(cohort_process_t *slot) {
    if (cohort__process_state(slot) == COHORT__SLOT_STARTING) {
        return (cohort_os_id_t){cohort__claim_pid(atomic_load(&slot->claim)), 0};
    }
    return slot->os;
}

/* A service is no process of the system: it goes on while its supervisor does, and until that one,
 * or the process that stops it, says that it is over. */
static bool service_goes_on(cohort_process_t *slot, bool thorough) {
    return !atomic_load(&slot->over) && cohort__process_alive(atomic_load(&slot->parent), thorough);
}

bool cohort__process_alive(cohort__pid_t id, bool thorough) {
    cohort_process_t *slot = cohort__process_find(id);
    if (!slot || !cohort__may_act(cohort__process_state(slot))) return false;
    if (slot->role == COHORT__ROLE_SERVICE) return service_goes_on(slot, thorough);
    if (!thorough || id == cohort__self_id()) return true;
    cohort_os_id_t os = cohort__process_os(slot);
    return (os.pid == 0 || cohort_os_alive(os, NULL)) && cohort__process_find(id) == slot;
}

bool cohort__is_spared(int64_t pid) {
    uint32_t count = cohort__process_count();
    for (uint32_t i = 0; i < count; i++) {
        cohort_process_t *slot = cohort__process_at(i);
        if (slot->lifetime == COHORT_LIFETIME_BACKGROUND && cohort__process_os(slot).pid == pid &&
            cohort__may_act(cohort__process_state(slot)))
            return true;
    }
    return false;
}

bool cohort__thread_alive(cohort__tid_t id, bool thorough) {
    cohort__pid_t process = cohort__thread_process(id);
    return process && cohort__process_alive(process, thorough);
}
