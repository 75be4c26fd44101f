/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes without a watcher: the one that watched them has ended, a fork server for one. Another
 * member watches them from then on, by one compare-and-swap of the slot's reaper, so of several
 * that find the same orphan one takes it.
 */
#include "core/process/process.h"

/* One that has been found dead already has no exit code yet, and now no process will learn it any
 * more. */
void cohort__orphan_adopt(cohort_process_t *slot, cohort__pid_t from) {
    if (!atomic_compare_exchange_strong(&slot->reaper, &from, cohort__self_id())) return;
    if (cohort__process_state(slot) == COHORT__SLOT_DEAD)
        cohort__process_ended(slot, COHORT_EXIT_UNKNOWN);
    else cohort__watcher_adopt(slot);
    cohort__keeper_hold(slot);
}

/* Of one that is starting this concerns the child that has come as far as its claim. */
static bool may_be_watched(cohort_process_t *slot) {
    cohort__slot_state_t state = cohort__process_state(slot);
    if (state == COHORT__SLOT_STARTING) return cohort__process_os(slot).pid != 0;
    return state == COHORT__SLOT_RUNNING || state == COHORT__SLOT_DEAD;
}

/* A process with a living parent that has lost its server is that parent's. */
static bool is_orphan_process(cohort_process_t *slot, cohort__pid_t reaper, cohort__pid_t dead) {
    if (!reaper || slot == cohort__self() || cohort__process_alive(reaper, false)) return false;
    return reaper == dead || !cohort__process_alive(atomic_load(&slot->parent), false);
}

void cohort__orphans_adopt(cohort__pid_t dead) {
    uint32_t count = cohort__process_count();
    for (uint32_t i = 0; i < count; i++) {
        cohort_process_t *slot = cohort__process_at(i);
        cohort__pid_t reaper = atomic_load(&slot->reaper);
        if (is_orphan_process(slot, reaper, dead) && may_be_watched(slot))
            cohort__orphan_adopt(slot, reaper);
    }
}
