/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The slots of the process table: made, renamed, free again; and the steps of a life, each one
 * compare-and-swap. */
#ifndef COHORT_CORE_SLOTS_H
#define COHORT_CORE_SLOTS_H

#include "core/memory/member.h"

void cohort__process_get_name(const cohort_process_t *process, char *buffer, size_t size);
/* One process renames at a time (under the slot's guard); readers need no lock. */
void cohort__process_put_name(cohort_process_t *process, const char *name);

apr_status_t cohort__slot_new(cohort_process_t **slot);
/* This dead thread was making a slot: it is free again. */
void cohort__slot_repair(cohort__thread_t *dead);
/* What keeps it from being started: this status, and what the calling thread has said of it. The
 * first one counts. */
void cohort__slot_refuse(cohort_process_t *slot, apr_status_t status);
/* That status; the calling thread has said the same of it then. */
apr_status_t cohort__slot_refusal(const cohort_process_t *slot);
bool cohort__slot_step(cohort_process_t *slot, cohort__slot_state_t from, cohort__slot_state_t to);
/* The same of this very start: the caller may be late, and the slot another's by now, or started
 * again. */
bool cohort__slot_step_of(cohort_process_t *slot, uint64_t life, cohort__slot_state_t from,
                          cohort__slot_state_t to);
/* By its starter: STARTING once more, another start of the same life. */
void cohort__slot_restart(cohort_process_t *slot);
/* No child will claim the attempt under way; false: one has. */
bool cohort__claim_withdraw(cohort_process_t *slot);
/* The handle of this process is closed: its slot is free when its life is over. */
void cohort__slot_let_go(cohort__pid_t id);
/* Free the slot if its life is over and no live process holds its handle. */
void cohort__slot_release(cohort_process_t *slot);
/* One slot more is free. */
void cohort__slot_freed(void);

#endif
