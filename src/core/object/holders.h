/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A holder table: which processes have something in an object (hold an end of a pipe, took permits
 * of a semaphore, have tasks outstanding), with a number each. It lives in the object, under the
 * object's guard, and grows without limit.
 *
 * Guarantee: whatever the guard's owner was doing when it died, the next owner finds the holder
 * table as it was before or after that change. How: ids and values are changed through
 * cohort__guard_set() only, so an unfinished change is undone; a holder table that outgrows its
 * block is copied into a bigger one first, and one journalled store makes that the valid one. The
 * block before it stays until the next growth, since an undo may go back to it. The blocks' owner
 * pointers are two parts of the object, so they are freed with the object.
 */
#ifndef COHORT_CORE_HOLDERS_H
#define COHORT_CORE_HOLDERS_H

#include "core/object/object.h"

#define COHORT__HOLDERS_INLINE 6
#define COHORT__HOLDERS_PARTS  2 /* parts of the object */

typedef struct {
    _Atomic uint64_t id; /* a cohort__pid_t (or any number but 0); 0 = entry not in use */
    _Atomic uint64_t value;
} cohort__holder_t;

typedef struct {
    cohort__holder_t first[COHORT__HOLDERS_INLINE];
    _Atomic uint64_t active; /* 0: first[] is all; else parts[active - 1] has more */
    cohort__owner_ptr_t *parts;
} cohort__holders_t;

/* In an object that is being made. `parts` are COHORT__HOLDERS_PARTS neighbouring parts of it, all
 * NULL: &object->parts[k]. */
void cohort__holders_setup(cohort__holders_t *holders, cohort__owner_ptr_t *parts);

/* All of the following: by the owner of the guard. Entry pointers are valid until the next add. */

/* The entry of an id, or NULL. */
cohort__holder_t *cohort__holders_find(cohort__holders_t *holders, uint64_t id);
/* A new entry for an id that has none. APR_ENOMEM: nothing has changed. APR_EAGAIN: nor here; a
 * block that the guard's last owner died over is still to be settled by the repair of its process,
 * so let go of the guard and come again. Takes up to three entries of the guard's journal; at most
 * one add between cohort__guard_enter() and cohort__guard_leave() or _commit(). `entry` may be
 * NULL. */
apr_status_t cohort__holders_add(cohort__holders_t *holders, cohort__guard_t *guard,
                                 cohort__thread_t *me, uint64_t id, uint64_t value,
                                 cohort__holder_t **entry);
/* Change a value, or remove an entry: one journal entry each. */
void cohort__holders_set(cohort__guard_t *guard, cohort__holder_t *entry, uint64_t value);
void cohort__holders_remove(cohort__guard_t *guard, cohort__holder_t *entry);
/* Iterate over the entries in use: the first after `entry` (NULL: from the start), NULL after the
 * last. Removing while iterating is fine. */
cohort__holder_t *cohort__holders_next(cohort__holders_t *holders, cohort__holder_t *entry);

/* By the owner of a guard under which alone blocks are put into or taken out of these owner
 * pointers: the process of a dead owner, if its repair will still touch one of them, else 0. Until
 * it is repaired (cohort__process_check_dead(), with no guard held), leave them alone. */
cohort__pid_t cohort__owner_ptrs_unsettled(const cohort__thread_t *me,
                                           const cohort__owner_ptr_t *parts, int count);

/* Without the guard: the value of an id if it is among the first few; false says nothing. For a
 * process' look at its own entry. */
bool cohort__holders_peek(const cohort__holders_t *holders, uint64_t id, uint64_t *value);

#endif
