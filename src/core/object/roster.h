/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A roster: which processes have something in an object (hold an end of a pipe, took permits of a
 * semaphore, have tasks outstanding), with a number each. It lives in the object, under the
 * object's guard, and grows without limit.
 *
 * Guarantee: whatever the guard's owner was doing when it died, the next owner finds the roster as
 * it was before or after that change. How: ids and values are changed through cohort__guard_set()
 * only, so an unfinished change is undone; a roster that outgrows its block is copied into a bigger
 * one first, and one journalled store makes that the valid one. The block before it stays until the
 * next growth, since an undo may go back to it. The blocks' homes are two parts of the object, so
 * they are freed with the object.
 */
#ifndef COHORT_CORE_ROSTER_H
#define COHORT_CORE_ROSTER_H

#include "core/object/object.h"

#define COHORT__ROSTER_INLINE 6
#define COHORT__ROSTER_HOMES  2 /* parts of the object */

typedef struct {
    _Atomic uint64_t id; /* a cohort__pid_t (or any number but 0); 0 = entry not in use */
    _Atomic uint64_t value;
} cohort__roster_entry_t;

typedef struct {
    cohort__roster_entry_t first[COHORT__ROSTER_INLINE];
    _Atomic uint64_t active; /* 0: first[] is all; else homes[active - 1] has more */
    cohort__home_t *homes;
} cohort__roster_t;

/* In an object that is being made. `homes` are COHORT__ROSTER_HOMES neighbouring parts of it, all
 * NULL: &object->parts[k]. */
void cohort__roster_setup(cohort__roster_t *roster, cohort__home_t *homes);

/* All of the following: by the owner of the guard. Entry pointers are valid until the next add. */

/* The entry of an id, or NULL. */
cohort__roster_entry_t *cohort__roster_find(cohort__roster_t *roster, uint64_t id);
/* A new entry for an id that has none. APR_ENOMEM: nothing has changed. APR_EAGAIN: nor here; a
 * block that the guard's last owner died over is still to be settled by the repair of its process,
 * so let go of the guard and come again. Takes up to three entries of the guard's journal; at most
 * one add between cohort__guard_enter() and cohort__guard_leave() or _commit(). `entry` may be
 * NULL. */
apr_status_t cohort__roster_add(cohort__roster_t *roster, cohort__guard_t *guard,
                                cohort__thread_t *me, uint64_t id, uint64_t value,
                                cohort__roster_entry_t **entry);
/* Change a value, or remove an entry: one journal entry each. */
void cohort__roster_set(cohort__guard_t *guard, cohort__roster_entry_t *entry, uint64_t value);
void cohort__roster_remove(cohort__guard_t *guard, cohort__roster_entry_t *entry);
/* Iterate over the entries in use: the first after `entry` (NULL: from the start), NULL after the
 * last. Removing while iterating is fine. */
cohort__roster_entry_t *cohort__roster_next(cohort__roster_t *roster,
                                            cohort__roster_entry_t *entry);

/* By the owner of a guard under which alone blocks are put into or taken out of these homes: the
 * process of a dead owner, if its repair will still touch one of them, else 0. Until it is repaired
 * (cohort__process_check_dead(), with no guard held), leave them alone. */
cohort__pid_t cohort__homes_unsettled(const cohort__thread_t *me, const cohort__home_t *homes,
                                      int count);

/* Without the guard: the value of an id if it is among the first few; false says nothing. For a
 * process' look at its own entry. */
bool cohort__roster_peek(const cohort__roster_t *roster, uint64_t id, uint64_t *value);

#endif
