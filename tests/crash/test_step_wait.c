/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Death of those that notify a wait set, and of those that have one. The survivor has a set with
 * an event and a queue in it, which it has waited for in vain. After the victim's death the set
 * tells what holds, no more and no less, and hears of everything that comes later.
 */
#include "check.h"
#include "step.h"

#include <cohort/cohort.h>

typedef struct {
    cohort_event_t *event;
    cohort_queue_t *queue;
    /* of the survivor alone */
    cohort_waitset_t *set;
} state_t;

/* What of the two is ready: bits. */
enum { EVENT = 1, QUEUE = 2 };

static unsigned told(state_t *s) {
    cohort_waitable_t items[4];
    apr_size_t n = 0;
    unsigned found = 0;
    apr_status_t status = cohort_waitset_wait(s->set, items, 4, &n, 0);
    if (status) CHECK_STATUS(APR_EAGAIN, status);
    for (apr_size_t i = 0; i < n; i++) found |= items[i].object == s->event ? EVENT : QUEUE;
    return found;
}

static void add_both(cohort_waitset_t *set, state_t *s) {
    cohort_waitable_t event = {.object = s->event}, queue = {.object = s->queue};
    CHECK_STATUS(APR_SUCCESS, cohort_waitset_add(set, &event));
    CHECK_STATUS(APR_SUCCESS, cohort_waitset_add(set, &queue));
}

static void *a_set(void) {
    state_t *s = step_new(sizeof(state_t));
    cohort_queue_options_t options = {.capacity = 4};
    CHECK_STATUS(APR_SUCCESS, cohort_event_create(&s->event, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_queue_create(&s->queue, &options, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_waitset_create(&s->set, NULL));
    add_both(s->set, s);
    CHECK_INT(0, told(s));
    return s;
}

static void discard(void *state) {
    state_t *s = state;
    CHECK_STATUS(APR_SUCCESS, cohort_waitset_destroy(s->set));
    CHECK_STATUS(APR_SUCCESS, cohort_event_destroy(s->event));
    CHECK_STATUS(APR_SUCCESS, cohort_queue_destroy(s->queue));
    CHECK_STATUS(APR_SUCCESS, cohort_free(s));
}

/* It hears of one more of each. */
static void check_hears(state_t *s) {
    char byte;
    apr_size_t size;
    for (int i = 0; i < 2; i++) {
        CHECK_INT(0, told(s));
        CHECK_STATUS(APR_SUCCESS, cohort_event_set(s->event));
        CHECK_INT(EVENT, told(s));
        CHECK_STATUS(APR_SUCCESS, cohort_event_clear(s->event));
        CHECK_STATUS(APR_SUCCESS, cohort_queue_put(s->queue, "x", 1, 0));
        CHECK_INT(QUEUE, told(s));
        CHECK_STATUS(APR_SUCCESS, cohort_queue_get(s->queue, &byte, 1, &size, 0));
    }
}

static void set_event(void *state) { (void)cohort_event_set(((state_t *)state)->event); }

static void check_event(void *state, bool finished) {
    state_t *s = state;
    bool is_set = cohort_event_is_set(s->event);
    CHECK(is_set || !finished);
    CHECK_INT(is_set ? EVENT : 0, told(s));
    CHECK_STATUS(APR_SUCCESS, cohort_event_clear(s->event));
    check_hears(s);
}

static void put_one(void *state) { (void)!cohort_queue_put(((state_t *)state)->queue, "x", 1, 0); }

static void check_put(void *state, bool finished) {
    state_t *s = state;
    char byte;
    apr_size_t size;
    unsigned ready = told(s);
    apr_status_t status = cohort_queue_get(s->queue, &byte, 1, &size, 0);
    CHECK(status == APR_SUCCESS || (!finished && APR_STATUS_IS_EAGAIN(status)));
    CHECK_INT(status ? 0 : QUEUE, ready);
    check_hears(s);
}

/* A set of the victim's own, over the same things. */
static void wait_in_vain(void *state) {
    state_t *s = state;
    cohort_waitset_t *set;
    cohort_waitable_t item;
    apr_size_t n;
    if (cohort_waitset_create(&set, NULL)) return;
    add_both(set, s);
    (void)cohort_waitset_wait(set, &item, 1, &n, 0);
    (void)cohort_event_set(s->event);
    (void)cohort_waitset_wait(set, &item, 1, &n, 0);
    (void)cohort_event_clear(s->event);
    (void)cohort_waitset_destroy(set);
}

static void check_waited(void *state, bool finished) {
    state_t *s = state;
    bool is_set = cohort_event_is_set(s->event);
    CHECK(!is_set || !finished);
    CHECK_INT(is_set ? EVENT : 0, told(s));
    CHECK_STATUS(APR_SUCCESS, cohort_event_clear(s->event));
    check_hears(s);
}

STEP_CASES(event_of_a_set, .prepare = a_set, .operate = set_event, .check = check_event,
           .discard = discard)
STEP_CASES(queue_of_a_set, .prepare = a_set, .operate = put_one, .check = check_put,
           .discard = discard)
STEP_CASES(waits_with_a_set, .prepare = a_set, .operate = wait_in_vain, .check = check_waited,
           .discard = discard)

const test_case_t step_wait_cases[] = {
    {"StepWait", "event_of_a_set", event_of_a_set},
    {"StepWait", "event_of_a_set_repair", event_of_a_set_repair},
    {"StepWait", "queue_of_a_set", queue_of_a_set},
    {"StepWait", "queue_of_a_set_repair", queue_of_a_set_repair},
    {"StepWait", "waits_with_a_set", waits_with_a_set},
    {"StepWait", "waits_with_a_set_repair", waits_with_a_set_repair},
    {0}};
