/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Wait for several things. What each of them is, and how one waits for it, is in the table of
 * types; no type is known here by name. A thread notes which life of each thing is meant, looks at
 * all of them, and sleeps on the event count that they notify; what is at the same place by then
 * is not mistaken for what was meant, of which the life is over.
 */
#include <cohort/wait.h>

#include "core/base/reserved.h"
#include "core/memory/upward.h"
#include "core/object/object.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FEW 32

typedef struct {
    const cohort__type_t *type;
    cohort__aim_t aim;
    cohort_waitable_t *item;
    unsigned wanted;
} thing_t;

typedef struct {
    thing_t *things; /* one for each item */
    apr_size_t n;
    cohort_wait_mode_t mode;
    bool twice; /* a thing may be in several items */
} wait_t;

/* ---- the items ------------------------------------------------------------------------------ */

static const char *const conditions[] = {"COHORT_READY_END", "COHORT_READY_IN", "COHORT_READY_OUT",
                                         "COHORT_READY_GONE"};
enum { CONDITIONS = sizeof conditions / sizeof *conditions, KNOWN = (1u << CONDITIONS) - 1 };

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

/* "items[3] is an open queue with 5 messages" */
static const char *what_is(const thing_t *thing, apr_size_t i, char *text, size_t size) {
    char line[160] = "no more what it was";
    thing->type->describe(&thing->aim, line, sizeof line);
    snprintf(text, size, "items[%lu] is %s", (unsigned long)i, line);
    return text;
}

COHORT__APART static apr_status_t refuse(const cohort_waitable_t *item, apr_size_t i) {
    apr_status_t status = cohort__check_reserved_at(item->reserved, 2, "items", i);
    if (status) return status;
    if (item->wanted & ~(unsigned)KNOWN)
        return cohort__fail(COHORT_EOPTION, "items[%lu].wanted has unknown bits, 0x%x",
                            (unsigned long)i, item->wanted & ~(unsigned)KNOWN);
    return cohort__fail(APR_EINVAL, "items[%lu].object is NULL", (unsigned long)i);
}

COHORT__APART static apr_status_t refuse_condition(const thing_t *thing, apr_size_t i) {
    char text[200], names[100];
    what_is(thing, i, text, sizeof text);
    if (!thing->item->wanted)
        return cohort__fail(APR_ENOTIMPL, "%s: nothing waits for that yet", text);
    name_conditions(thing->wanted & ~thing->type->conditions, names, sizeof names);
    return cohort__fail(APR_ENOTIMPL, "%s: nothing waits for %s of that yet", text, names);
}

COHORT__APART static apr_status_t refuse_thing(apr_status_t status, const thing_t *thing,
                                               apr_size_t i) {
    char text[200];
    return cohort__fail(status, "%s", what_is(thing, i, text, sizeof text));
}

/* From here on the item means what it names now, in the life that it has now. */
static apr_status_t aim_at(thing_t *thing, apr_size_t i) {
    cohort_waitable_t *item = thing->item;
    if (item->reserved[0] | item->reserved[1] | (item->wanted & ~(unsigned)KNOWN) || !item->object)
        return refuse(item, i);
    thing->aim.handle = item->object;
    const cohort__type_t *type = thing->type = cohort__type_of(item->object, &thing->aim.life);
    if (!type) return cohort__fail(COHORT_EHANDLE, "items[%lu]", (unsigned long)i);
    thing->wanted = item->wanted ? item->wanted : type->usual;
    if (!thing->wanted || thing->wanted & ~type->conditions) return refuse_condition(thing, i);
    apr_status_t status = type->check ? type->check(&thing->aim) : APR_SUCCESS;
    if (status) return refuse_thing(status, thing, i);
    item->ready = 0;
    return APR_SUCCESS;
}

/* One of 64 numbers for a thing: when those of two are the same, the things may be. */
static unsigned number_of(const void *handle) {
    return (unsigned)((uint64_t)(uintptr_t)handle * 0x61c88647 >> 32) % 64;
}

static apr_status_t aim_at_items(wait_t *wait, cohort_waitable_t *items, cohort__thread_t *me) {
    uint64_t seen = 0, twice = 0;
    thing_t *thing = wait->things;
    for (apr_size_t i = 0; i < wait->n; i++, thing++) {
        thing->item = &items[i];
        thing->aim.me = me;
        apr_status_t status = aim_at(thing, i);
        if (status) return status;
        /* NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): aim_at() has set it */
        unsigned number = number_of(thing->aim.handle);
        twice |= seen >> number;
        seen |= (uint64_t)1 << number;
    }
    wait->twice = twice & 1;
    return APR_SUCCESS;
}

/* ---- the look ------------------------------------------------------------------------------- */

static apr_status_t answer(const wait_t *wait, apr_size_t ready) {
    return ready == wait->n || (ready && wait->mode == COHORT_WAIT_ANY) ? APR_SUCCESS : APR_EAGAIN;
}

static apr_status_t try_items(void *arg, bool thorough) {
    const wait_t *wait = arg;
    const thing_t *end = wait->things + wait->n;
    apr_size_t ready = 0;
    for (const thing_t *thing = wait->things; thing < end; thing++) {
        cohort_waitable_t *item = thing->item;
        if (!item->ready) item->ready = thing->type->ready(&thing->aim, thing->wanted, thorough);
        ready += item->ready != 0;
    }
    return answer(wait, ready);
}

/* ---- things that are there twice ------------------------------------------------------------ */

/* The same life of it: another thing may have been made in its place between two looks. */
static bool is_same(const thing_t *a, const thing_t *b) {
    return a->aim.handle == b->aim.handle && a->aim.life == b->aim.life;
}

static int by_thing(const void *a, const void *b) {
    const cohort__aim_t *left = &((const thing_t *)a)->aim, *right = &((const thing_t *)b)->aim;
    uintptr_t here = (uintptr_t)left->handle, there = (uintptr_t)right->handle;
    if (here != there) return here < there ? -1 : 1;
    return left->life < right->life ? -1 : left->life > right->life;
}

/* What was seen of one of these is true of all that name the same thing. */
static void share(const thing_t *things, apr_size_t n) {
    for (apr_size_t i = 0; i < n; i++) {
        unsigned ready = things[i].item->ready;
        for (apr_size_t j = 0; ready && j < n; j++) {
            if (is_same(&things[j], &things[i])) things[j].item->ready |= ready & things[j].wanted;
        }
    }
}

/* The same, of any number. */
static void share_sorted(thing_t *things, apr_size_t n) {
    apr_size_t next;
    qsort(things, n, sizeof *things, by_thing);
    for (apr_size_t first = 0; first < n; first = next) {
        unsigned ready = 0;
        for (next = first; next < n && is_same(&things[next], &things[first]);)
            ready |= things[next++].item->ready;
        for (apr_size_t i = first; i < next; i++) things[i].item->ready |= ready & things[i].wanted;
    }
}

/* The end of the wait. A thing that is there twice was looked at twice, and may have become ready
 * in between: then both say so. */
COHORT__APART static apr_status_t agree(wait_t *wait, apr_status_t status) {
    apr_size_t ready = 0;
    if (wait->n <= FEW) share(wait->things, wait->n);
    else share_sorted(wait->things, wait->n);
    for (apr_size_t i = 0; i < wait->n; i++) ready += wait->things[i].item->ready != 0;
    return status && answer(wait, ready) == APR_SUCCESS ? APR_SUCCESS : status;
}

/* ---- the wait ------------------------------------------------------------------------------- */

/* For any of a few things of one type. */
static void await_few(const wait_t *wait, int64_t deadline) {
    void *handles[COHORT_OS_BORROW_MAX];
    if (wait->mode != COHORT_WAIT_ANY || wait->n > COHORT_OS_BORROW_MAX) return;
    const cohort__type_t *type = wait->things[0].type;
    for (apr_size_t i = 0; i < wait->n; i++) {
        if (wait->things[i].type != type) return;
        handles[i] = wait->things[i].aim.handle;
    }
    if (type->await_any) type->await_any(handles, (int)wait->n, deadline);
}

static cohort__eventcount_t *event_of(const wait_t *wait) {
    cohort__eventcount_t *event = wait->things[0].type->event(&wait->things[0].aim);
    for (apr_size_t i = 1; i < wait->n; i++) {
        if (wait->things[i].type->event(&wait->things[i].aim) != event)
            return &cohort__arena->completed;
    }
    return event;
}

static cohort__pace_t pace_of(const wait_t *wait) {
    for (apr_size_t i = 0; i < wait->n; i++) {
        if (wait->things[i].type->pace) return *wait->things[i].type->pace;
    }
    return cohort__pace_steady;
}

static apr_status_t await_items(wait_t *wait, apr_interval_time_t timeout) {
    int64_t deadline = cohort__deadline(timeout);
    apr_status_t status = try_items(wait, false);
    if (status != APR_EAGAIN) return status;
    await_few(wait, deadline);
    return cohort__await_paced(event_of(wait), try_items, wait, deadline, pace_of(wait));
}

static apr_status_t wait_for(cohort_waitable_t *items, apr_size_t n, cohort_wait_mode_t mode,
                             apr_interval_time_t timeout) {
    thing_t few[FEW], *things = few;
    cohort__thread_t *me;
    apr_status_t status = cohort__enter(&me);
    if (status) return status;
    if (n && !items) return cohort__null("items");
    if (mode != COHORT_WAIT_ANY && mode != COHORT_WAIT_ALL)
        return cohort__fail(APR_EINVAL, "mode is %d", (int)mode);
    if (n > FEW && !(things = n <= SIZE_MAX / sizeof *things ? malloc(n * sizeof *things) : NULL))
        return APR_ENOMEM;
    wait_t wait = {things, n, mode, false};
    status = aim_at_items(&wait, items, me);
    if (!status) {
        status = await_items(&wait, timeout);
        if (wait.twice) status = agree(&wait, status);
    }
    if (things != few) free(things);
    return status;
}

apr_status_t cohort_wait(cohort_waitable_t *items, apr_size_t n, cohort_wait_mode_t mode,
                         apr_interval_time_t timeout) {
    return COHORT__CALL_ANEW(wait_for(items, n, mode, timeout));
}
