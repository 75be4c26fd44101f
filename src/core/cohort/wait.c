/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Wait for several things. What each of them is, and how one waits for it, is in the table of
 * types; no type is known here by name. A thread notes which life of each thing is meant, looks at
 * all of them, and sleeps on the event count that they notify; what is at the same place by then
 * is not mistaken for what was meant, of which the life is over.
 */
#include "core/cohort/thing.h"
#include "core/cohort/waitset.h"
#include "core/memory/arena.h"

#include <stdlib.h>

#define FEW 32

typedef cohort__thing_t thing_t;

typedef struct {
    thing_t *things; /* one for each item */
    apr_size_t n;
    cohort_wait_mode_t mode;
    bool twice;                  /* a thing may be in several items */
    bool polled;                 /* one is a socket, a file or a descriptor */
    cohort__eventcount_t *event; /* on which the thread sleeps */
} wait_t;

/* ---- the items ------------------------------------------------------------------------------ */

/* One of 64 numbers for a thing: when those of two are the same, the things may be. */
static unsigned bit_of(const void *handle) {
    return (unsigned)((uint64_t)(uintptr_t)handle * 0x61c88647 >> 32) % 64;
}

static apr_status_t aim_at_items(wait_t *wait, cohort_waitable_t *items, cohort__thread_t *me) {
    uint64_t seen = 0, twice = 0;
    thing_t *thing = wait->things;
    for (apr_size_t i = 0; i < wait->n; i++, thing++) {
        apr_status_t status = cohort__thing_aim(thing, &items[i], i, me);
        if (status == COHORT__POLLED) wait->polled = true;
        else if (status) return status;
        unsigned number = bit_of(thing->aim.handle);
        twice |= seen >> number;
        seen |= (uint64_t)1 << number;
    }
    wait->twice = twice & 1;
    return APR_SUCCESS;
}

/* ---- the look ------------------------------------------------------------------------------- */

static bool thing_has_failed(const thing_t *thing) {
    return thing->item->ready && thing->type->failed && thing->type->failed(&thing->aim);
}

static bool any_failed(const wait_t *wait) {
    for (apr_size_t i = 0; i < wait->n; i++) {
        if (thing_has_failed(&wait->things[i])) return true;
    }
    return false;
}

static apr_status_t answer(const wait_t *wait, apr_size_t ready) {
    bool over = ready == wait->n;
    if (ready && !over && wait->mode == COHORT_WAIT_ANY) over = true;
    if (ready && !over && wait->mode == COHORT_WAIT_FAILURE) over = any_failed(wait);
    return over ? APR_SUCCESS : APR_EAGAIN;
}

/* What has ended stays so; all else is as this look finds it. */
static bool is_thing_final(const thing_t *thing) { return thing->item->ready & COHORT_READY_END; }

static apr_status_t try_items(void *arg, bool thorough) {
    const wait_t *wait = arg;
    const thing_t *end = wait->things + wait->n;
    apr_size_t ready = 0;
    for (const thing_t *thing = wait->things; thing < end; thing++) {
        cohort_waitable_t *item = thing->item;
        if (!is_thing_final(thing))
            item->ready = thing->type->ready(&thing->aim, thing->wanted, thorough);
        ready += item->ready != 0;
    }
    return answer(wait, ready);
}

/* ---- things that are there twice ------------------------------------------------------------ */

/* The same life of it: another thing may have been made in its place between two looks. */
static bool is_same_thing(const thing_t *a, const thing_t *b) {
    return a->aim.handle == b->aim.handle && a->aim.life == b->aim.life;
}

static int by_thing(const void *a, const void *b) {
    const cohort__aim_t *left = &((const thing_t *)a)->aim, *right = &((const thing_t *)b)->aim;
    uintptr_t here = (uintptr_t)left->handle, there = (uintptr_t)right->handle;
    if (here != there) return here < there ? -1 : 1;
    return left->life < right->life ? -1 : left->life > right->life;
}

/* What was seen of one of these is true of all that name the same thing. */
static void share_things(const thing_t *things, apr_size_t n) {
    for (apr_size_t i = 0; i < n; i++) {
        unsigned ready = things[i].item->ready;
        for (apr_size_t j = 0; ready && j < n; j++) {
            if (is_same_thing(&things[j], &things[i]))
                things[j].item->ready |= ready & things[j].wanted;
        }
    }
}

/* The same, of any number. */
static void share_sorted(thing_t *things, apr_size_t n) {
    apr_size_t next;
    qsort(things, n, sizeof *things, by_thing);
    for (apr_size_t first = 0; first < n; first = next) {
        unsigned ready = 0;
        for (next = first; next < n && is_same_thing(&things[next], &things[first]);)
            ready |= things[next++].item->ready;
        for (apr_size_t i = first; i < next; i++) things[i].item->ready |= ready & things[i].wanted;
    }
}

/* The end of the wait. A thing that is there twice was looked at twice, and may have become ready
 * in between: then both say so. */
COHORT__APART static apr_status_t agree(wait_t *wait, apr_status_t status) {
    apr_size_t ready = 0;
    if (wait->n <= FEW) share_things(wait->things, wait->n);
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

/* That of all things, if they have the same one. */
static cohort__eventcount_t *only_event(const wait_t *wait) {
    cohort__eventcount_t *event = cohort__thing_event(wait->things, 0);
    for (apr_size_t i = 0; i < wait->n; i++) {
        const thing_t *thing = &wait->things[i];
        if (cohort__thing_event(thing, 0) != event || cohort__thing_event(thing, 1))
            return &cohort__arena->completed;
    }
    return event;
}

/* What the thread sleeps on is told of all that it waits for. */
static void share_events(void *arg) {
    const wait_t *wait = arg;
    cohort__eventcount_t *event;
    for (apr_size_t i = 0; i < wait->n; i++) {
        const thing_t *thing = &wait->things[i];
        for (int k = 0; !is_thing_final(thing) && (event = cohort__thing_event(thing, k)) != NULL;
             k++)
            if (event != wait->event) cohort__event_share(event);
    }
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
    wait->event = only_event(wait);
    cohort__pace_t pace = pace_of(wait);
    pace.share = share_events;
    return cohort__await_paced(wait->event, try_items, wait, deadline, pace);
}

static apr_status_t wait_for(cohort_waitable_t *items, apr_size_t n, cohort_wait_mode_t mode,
                             apr_interval_time_t timeout) {
    thing_t few[FEW], *things = few;
    cohort__thread_t *me;
    apr_status_t status = cohort__enter(&me);
    if (status) return status;
    if (n && !items) return cohort__null("items");
    if (mode != COHORT_WAIT_ANY && mode != COHORT_WAIT_ALL && mode != COHORT_WAIT_FAILURE)
        return cohort__fail(APR_EINVAL, "mode is %d", (int)mode);
    if (n > FEW && !(things = n <= SIZE_MAX / sizeof *things ? malloc(n * sizeof *things) : NULL))
        return APR_ENOMEM;
    wait_t wait = {.things = things, .n = n, .mode = mode};
    status = aim_at_items(&wait, items, me);
    if (!status && wait.polled) {
        status = cohort__wait_polled(items, n, mode, cohort__deadline(timeout));
    } else if (!status) {
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
