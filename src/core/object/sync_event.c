/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Event: one word, times set * 2 | is set, changed by one compare-and-swap, so a death leaves it
 * before or after a change. A waiter ends when the bit is there or the count has moved on since it
 * came: a set that is cleared at once reaches all threads that waited. The word goes on from one
 * event to the next in the same place, so what is meant for one never reaches another.
 */
#include "core/object/sync.h"

#include <cohort/sync.h>
#include <stdio.h>

#define IS_SET ((uint64_t)1)

static uint64_t times_set(uint64_t word) { return word >> 1; }
static uint64_t cleared(uint64_t word) { return word & ~IS_SET; }
static uint64_t set_once_more(uint64_t word) { return (word + 2) | IS_SET; }

struct cohort_event_t {
    cohort__sync_t sync;
};

typedef struct {
    const cohort__call_t *call;
    cohort_event_t *event;
    uint64_t seen;
} wait_t;

static apr_status_t destroy_event(void *object) { return cohort_event_destroy(object); }

static apr_status_t event_create(cohort_event_t **event, apr_pool_t *pool) {
    cohort__thread_t *me = NULL;
    cohort_event_t *made;
    apr_status_t status = event ? cohort__enter(&me) : cohort__null("event");
    if (!status) status = cohort__sync_new(me, sizeof *made, &made);
    if (status) return status;
    atomic_store(&made->sync.word, cleared(set_once_more(atomic_load(&made->sync.word))));
    cohort__object_publish(me, made, COHORT__TAG_EVENT, pool, destroy_event);
    *event = made;
    return APR_SUCCESS;
}

apr_status_t cohort_event_create(cohort_event_t **event, apr_pool_t *pool) {
    return COHORT__CALL_ANEW(event_create(event, pool));
}

/* Sleepers are woken also when it was set already: the thread that set it may have died before it
 * could do that. */
static apr_status_t event_set(cohort_event_t *event) {
    cohort__call_t call;
    apr_status_t status = cohort__call_begin(&call, event, COHORT__KIND_SYNC, COHORT__TAG_EVENT);
    if (status) return status;
    uint64_t word = atomic_load(&event->sync.word);
    do {
        if (cohort__call_over(&call)) return COHORT_EHANDLE;
    } while (!(word & IS_SET) &&
             !atomic_compare_exchange_weak(&event->sync.word, &word, set_once_more(word)));
    cohort__notify(&event->sync.changed, COHORT__ALL);
    return APR_SUCCESS;
}

apr_status_t cohort_event_set(cohort_event_t *event) { return COHORT__CALL(event_set(event)); }

static apr_status_t event_clear(cohort_event_t *event) {
    cohort__call_t call;
    apr_status_t status = cohort__call_begin(&call, event, COHORT__KIND_SYNC, COHORT__TAG_EVENT);
    if (status) return status;
    uint64_t word = atomic_load(&event->sync.word);
    do {
        if (cohort__call_over(&call)) return COHORT_EHANDLE;
    } while (!atomic_compare_exchange_weak(&event->sync.word, &word, cleared(word)));
    return APR_SUCCESS;
}

apr_status_t cohort_event_clear(cohort_event_t *event) { return COHORT__CALL(event_clear(event)); }

static apr_status_t try_event(void *arg, bool thorough) {
    wait_t *w = arg;
    (void)thorough; /* depends on no process' life: any may set it */
    uint64_t word = atomic_load_explicit(&w->event->sync.word, memory_order_acquire);
    if (cohort__call_over(w->call)) return COHORT_EHANDLE;
    return (word & IS_SET) || times_set(word) != times_set(w->seen) ? APR_SUCCESS : APR_EAGAIN;
}

static apr_status_t event_wait(cohort_event_t *event, apr_interval_time_t timeout) {
    cohort__call_t call;
    apr_status_t status = cohort__call_begin(&call, event, COHORT__KIND_SYNC, COHORT__TAG_EVENT);
    if (status) return status;
    wait_t w = {&call, event, atomic_load_explicit(&event->sync.word, memory_order_acquire)};
    if (cohort__call_over(&call)) return COHORT_EHANDLE;
    if (w.seen & IS_SET) return APR_SUCCESS;
    return cohort__await(&event->sync.changed, try_event, &w, cohort__deadline(timeout));
}

apr_status_t cohort_event_wait(cohort_event_t *event, apr_interval_time_t timeout) {
    return COHORT__CALL(event_wait(event, timeout));
}

int cohort_event_is_set(const cohort_event_t *asked) {
    cohort__call_t call;
    cohort_event_t *event = (cohort_event_t *)asked;
    if (COHORT__CALL(cohort__call_begin(&call, event, COHORT__KIND_SYNC, COHORT__TAG_EVENT)))
        return 0;
    return (atomic_load_explicit(&event->sync.word, memory_order_acquire) & IS_SET) != 0;
}

unsigned cohort__event_ready(const cohort__aim_t *aim, unsigned wanted, bool thorough) {
    const cohort__call_t call = {aim->me, aim->handle, aim->life};
    cohort_event_t *event = aim->handle;
    (void)thorough;
    uint64_t word = atomic_load_explicit(&event->sync.word, memory_order_acquire);
    return (word & IS_SET) || cohort__call_over(&call) ? wanted : 0;
}

/* Of an event or a semaphore. */
cohort__eventcount_t *cohort__sync_event(const cohort__aim_t *aim, unsigned wanted, int i) {
    (void)wanted;
    return i == 0 ? &((cohort__sync_t *)aim->handle)->changed : NULL;
}

void cohort__event_describe(const cohort__aim_t *aim, char *text, size_t size) {
    cohort_event_t *event = aim->handle;
    bool is_set = atomic_load_explicit(&event->sync.word, memory_order_acquire) & IS_SET;
    snprintf(text, size, "an event that is %sset", is_set ? "" : "not ");
}

static apr_status_t event_destroy(cohort_event_t *event) {
    cohort__call_t call;
    apr_status_t status;
    if (!cohort__sync_end(&call, event, COHORT__KIND_SYNC, COHORT__TAG_EVENT, false, &status))
        return status;
    cohort__notify(&event->sync.changed, COHORT__ALL);
    cohort__object_free(call.me, event);
    return APR_SUCCESS;
}

apr_status_t cohort_event_destroy(cohort_event_t *event) {
    return COHORT__CALL_ANEW(event_destroy(event));
}
