/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Deaths: found, repaired, announced. */
#ifndef COHORT_CORE_DEATH_H
#define COHORT_CORE_DEATH_H

#include "core/life/slots.h"

/* cohort__process_alive(), thoroughly, the other way round; and if it has died unseen, record and
 * repair the death. Not with a guard held. */
bool cohort__process_check_dead(cohort__pid_t id);
/* And what its threads were doing is repaired. */
bool cohort__process_is_gone(cohort__pid_t id);
/* It has been started and its end has not come: its exit code is not recorded, or what it was doing
 * not repaired, whatever the system says of it. The caller, a member that holds no guard, does its
 * part of that when it finds the process dead. */
bool cohort__process_lives_on(cohort__pid_t id);
/* The process has ended with this code (COHORT_EXIT_UNKNOWN when it is not known, COHORT_EXIT_NONE
 * when it was found dead and its reaper may know): repair what it was doing, release waiting
 * threads. Any process may call it, any number of times. */
void cohort__process_died(cohort__pid_t id, int code);
/* The same when `life` is what cohort__process_life() gave before the death was looked at: nothing,
 * if the process has been started again since. */
void cohort__start_died(cohort__pid_t id, uint64_t life, int code);
/* The same of the process that has the slot now. */
void cohort__process_ended(cohort_process_t *slot, int code);
/* Wait until no process repairs what an earlier attempt to start it left. */
void cohort__slot_settle(cohort_process_t *slot);

/* Finish or undo everything that the threads of this dead process were doing, and free their
 * records. Idempotent: may be repeated when the repairer died; the caller holds the process' repair
 * right. False: the record of a thread is left that was destroying an object, since the caller is
 * busy. */
bool cohort__threads_repair(cohort__pid_t dead);

/* A step of the repair of a dead process: what it had made and no process holds any more is let go
 * of. */
void cohort__handles_drop(cohort__pid_t dead);

/* The exit code of a re-executed child that cannot even reach its slot, and what its starter makes
 * of that. 0 and COHORT_ESTART: of nothing of the kind. */
int cohort__exit_for(apr_status_t status);
apr_status_t cohort__exit_meaning(int code);

#endif
