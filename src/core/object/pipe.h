/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* For start options: which processes hold an end of a pipe. */
#ifndef COHORT_CORE_PIPE_H
#define COHORT_CORE_PIPE_H

#include "core/memory/member.h"

/* From here on the process holds the end, also while it is not started yet. COHORT_ECLOSED,
 * COHORT_EHANDLE, APR_ENOMEM. */
apr_status_t cohort__connection_hold(cohort_connection_t *connection, cohort__pid_t process);
/* This process will never be started: what it holds it holds no more. May be repeated. Both this
 * and the next: not by a thread that is busy. */
void cohort__pipes_drop(cohort__pid_t process);
/* A process has died, and its threads are repaired: free the pipes that no process holds any
 * more. */
void cohort__pipes_repair(cohort__pid_t dead);

#endif
