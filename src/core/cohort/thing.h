/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What an item of a wait names: a thing of one of the types in the table of types, in the life that
 * it had when the wait began, or something of the system's that a poll tells of. No type is known
 * here by name.
 */
#ifndef COHORT_CORE_THING_H
#define COHORT_CORE_THING_H

#include "core/memory/upward.h"
#include "core/object/object.h"

#include <cohort/errors.h>
#include <cohort/wait.h>

typedef struct {
    const cohort__type_t *type; /* NULL: a socket, a file or a descriptor */
    cohort__aim_t aim;
    cohort_waitable_t *item;
    unsigned wanted;
} cohort__thing_t;

/* The place of an item that is in no array. */
#define COHORT__ALONE ((apr_size_t)-1)

/* How many things an item names; one, if it is right. */
static inline unsigned cohort__named_by(const cohort_waitable_t *item) {
    if (item->object) return 1;
    return (item->socket ? 1u : 0u) + (item->file ? 1u : 0u) + (item->descriptor ? 1u : 0u);
}

/* The bits of cohort_ready_t that there are. */
enum {
    COHORT__READY_KNOWN = COHORT_READY_END | COHORT_READY_IN | COHORT_READY_OUT | COHORT_READY_GONE
};

/* Those that are no object of Cohort's, or wrong: what is to be said of them. */
COHORT__APART apr_status_t cohort__thing_other(cohort__thing_t *thing, apr_size_t i);
COHORT__APART apr_status_t cohort__thing_refuse(apr_status_t status, const cohort__thing_t *thing,
                                                apr_size_t i);

/* The status of a thing that a poll tells of, and that is in order. */
#define COHORT__POLLED APR_INCOMPLETE

/* From here on the thing means what `item`, the i-th of an array, names now, in the life that it
 * has now; else why not. The thing's thread is `me`. */
static inline apr_status_t cohort__thing_aim(cohort__thing_t *thing, cohort_waitable_t *item,
                                             apr_size_t i, cohort__thread_t *me) {
    uint64_t other =
        item->reserved[0] | item->reserved[1] | (item->wanted & ~(unsigned)COHORT__READY_KNOWN);
    thing->item = item;
    thing->aim.me = me;
    thing->aim.handle = item->object;
    if (other || !item->object) return cohort__thing_other(thing, i);
    const cohort__type_t *type = thing->type = cohort__type_of(item->object, &thing->aim.life);
    if (!type) return cohort__thing_refuse(COHORT_EHANDLE, thing, i);
    thing->wanted = item->wanted ? item->wanted : type->usual;
    if (!thing->wanted || thing->wanted & ~type->conditions)
        return cohort__thing_refuse(APR_ENOTIMPL, thing, i);
    apr_status_t status = type->check ? type->check(&thing->aim, thing->wanted) : APR_SUCCESS;
    if (status) return cohort__thing_refuse(status, thing, i);
    item->ready = 0;
    return APR_SUCCESS;
}
/* Its i-th event count, NULL after the last. */
static inline cohort__eventcount_t *cohort__thing_event(const cohort__thing_t *thing, int i) {
    return thing->type->event(&thing->aim, thing->wanted, i);
}

#endif
