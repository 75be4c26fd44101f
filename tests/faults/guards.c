/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread that holds a guard enters no other but the heap's, which is the innermost; so there is
 * no order of guards that two threads could go by in opposite ways. The linker gives the calls of
 * other files here first, in every process of every case of this program.
 */
#include "core/memory/lock.h"

#include <stdio.h>
#include <stdlib.h>

static _Thread_local unsigned held;

void __real_cohort__guard_enter(cohort__guard_t *guard, cohort__thread_t *me);
void __wrap_cohort__guard_enter(cohort__guard_t *guard, cohort__thread_t *me);
void __real_cohort__guard_enter_unsettled(cohort__guard_t *guard, cohort__thread_t *me);
void __wrap_cohort__guard_enter_unsettled(cohort__guard_t *guard, cohort__thread_t *me);
void __real_cohort__guard_leave(cohort__guard_t *guard);
void __wrap_cohort__guard_leave(cohort__guard_t *guard);

void __wrap_cohort__guard_enter(cohort__guard_t *guard, cohort__thread_t *me) {
    if (held) {
        fprintf(stderr, "a guard is entered by a thread that holds another\n");
        abort();
    }
    __real_cohort__guard_enter(guard, me);
    held++;
}

void __wrap_cohort__guard_enter_unsettled(cohort__guard_t *guard, cohort__thread_t *me) {
    __real_cohort__guard_enter_unsettled(guard, me);
    held++;
}

void __wrap_cohort__guard_leave(cohort__guard_t *guard) {
    held--;
    __real_cohort__guard_leave(guard);
}
