/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
#include "core/cohort/thing.h"

#include "core/base/reserved.h"

#include <stdio.h>

static const char *const conditions[] = {"COHORT_READY_END", "COHORT_READY_IN", "COHORT_READY_OUT",
                                         "COHORT_READY_GONE"};
enum { CONDITIONS = sizeof conditions / sizeof *conditions };

/* "COHORT_READY_IN | COHORT_READY_OUT of that" */
static void name_conditions(unsigned mask, char *text, size_t size) {
    size_t length = 0;
    *text = 0;
    for (unsigned i = 0; i < CONDITIONS && length < size; i++) {
        if (!(mask >> i & 1)) continue;
        length += (size_t)snprintf(text + length, size - length, "%s%s", length ? " | " : "",
                                   conditions[i]);
    }
}

/* "items[3]" */
static const char *place_text(apr_size_t i, char *text, size_t size) {
    if (i == COHORT__ALONE) return "item";
    snprintf(text, size, "items[%lu]", (unsigned long)i);
    return text;
}

/* "items[3] is an open queue with 5 messages" */
static const char *what_is(const cohort__thing_t *thing, apr_size_t i, char *text, size_t size) {
    char line[160] = "no more what it was", place[40];
    thing->type->describe(&thing->aim, line, sizeof line);
    snprintf(text, size, "%s is %s", place_text(i, place, sizeof place), line);
    return text;
}

COHORT__APART static apr_status_t refuse(const cohort_waitable_t *item, apr_size_t i) {
    char text[40];
    const char *place = place_text(i, text, sizeof text);
    apr_status_t status = i == COHORT__ALONE
                              ? cohort__check_reserved(item->reserved, 2, "item.reserved")
                              : cohort__check_reserved_at(item->reserved, 2, "items", i);
    if (status) return status;
    if (item->wanted & ~(unsigned)COHORT__READY_KNOWN)
        return cohort__fail(COHORT_EOPTION, "%s.wanted has unknown bits, 0x%x", place,
                            item->wanted & ~(unsigned)COHORT__READY_KNOWN);
    if (cohort__named_by(item) > 1)
        return cohort__fail(APR_EINVAL, "%s names more than one thing", place);
    return cohort__fail(APR_EINVAL, "%s.object is NULL", place);
}

COHORT__APART static apr_status_t refuse_condition(const cohort__thing_t *thing, apr_size_t i) {
    char text[200], names[100];
    what_is(thing, i, text, sizeof text);
    if (!thing->item->wanted)
        return cohort__fail(APR_ENOTIMPL, "%s: nothing waits for that yet", text);
    name_conditions(thing->wanted & ~thing->type->conditions, names, sizeof names);
    return cohort__fail(APR_ENOTIMPL, "%s: nothing waits for %s of that yet", text, names);
}

apr_status_t cohort__thing_refuse(apr_status_t status, const cohort__thing_t *thing, apr_size_t i) {
    char text[200];
    if (!thing->type) return cohort__fail(status, "%s", place_text(i, text, sizeof text));
    if (!thing->wanted || thing->wanted & ~thing->type->conditions)
        return refuse_condition(thing, i);
    return cohort__fail(status, "%s", what_is(thing, i, text, sizeof text));
}

#define OF_POLLS ((unsigned)(COHORT_READY_IN | COHORT_READY_OUT | COHORT_READY_GONE))

/* A socket, a file or a descriptor. */
static apr_status_t aim_at_polled(cohort__thing_t *thing, apr_size_t i) {
    char text[40], names[100];
    thing->type = NULL;
    thing->wanted = thing->item->wanted ? thing->item->wanted : COHORT_READY_IN;
    thing->item->ready = 0;
    if (!(thing->wanted & ~OF_POLLS)) return COHORT__POLLED;
    name_conditions(thing->wanted & ~OF_POLLS, names, sizeof names);
    return cohort__fail(APR_ENOTIMPL, "%s is a descriptor: nothing waits for %s of that",
                        place_text(i, text, sizeof text), names);
}

apr_status_t cohort__thing_other(cohort__thing_t *thing, apr_size_t i) {
    const cohort_waitable_t *item = thing->item;
    if (item->reserved[0] | item->reserved[1] | (item->wanted & ~(unsigned)COHORT__READY_KNOWN) ||
        cohort__named_by(item) != 1)
        return refuse(item, i);
    return aim_at_polled(thing, i);
}
