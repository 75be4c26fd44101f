/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Event: what each call says, and what is left of it when waiters are killed. */
#include "synchronisers.h"

static args_t event_args(void) {
    args_t args = new_args();
    CHECK_STATUS(APR_SUCCESS, cohort_event_create(&args.event, test_pool()));
    return args;
}

static void check_set(int expected, cohort_event_t *event) {
    int is_set = 4711;
    is_set = cohort_event_is_set(event);
    CHECK_INT(expected, is_set);
}

static void event_states(void) {
    cohort_event_t *event = event_args().event;
    check_set(0, event);
    CHECK_STATUS(APR_EAGAIN, cohort_event_wait(event, 0));
    apr_time_t begin = apr_time_now();
    CHECK_STATUS(APR_TIMEUP, cohort_event_wait(event, A_WHILE));
    AT_LEAST(A_WHILE, begin);
    CHECK_STATUS(APR_SUCCESS, cohort_event_set(event));
    CHECK_STATUS(APR_SUCCESS, cohort_event_set(event));
    check_set(1, event);
    CHECK_STATUS(APR_SUCCESS, cohort_event_wait(event, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_event_wait(event, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_event_clear(event));
    CHECK_STATUS(APR_SUCCESS, cohort_event_clear(event));
    check_set(0, event);
    CHECK_STATUS(APR_EAGAIN, cohort_event_wait(event, 0));
}

static void event_arguments(void) {
    cohort_event_t *event = NULL;
    CHECK_STATUS(APR_EINVAL, cohort_event_create(NULL, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_event_create(&event, NULL));
    CHECK_STATUS(COHORT_EHANDLE, cohort_semaphore_acquire((cohort_semaphore_t *)event, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_event_destroy(event));
    CHECK_STATUS(APR_SUCCESS, cohort_event_destroy(event));
    CHECK_STATUS(APR_SUCCESS, cohort_event_destroy(NULL));
    CHECK_STATUS(COHORT_EHANDLE, cohort_event_set(event));
}

static int await_event(void *data) {
    args_t *a = data;
    atomic_fetch_add(a->ready, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_event_wait(a->event, COHORT_FOREVER));
    atomic_fetch_add(a->done, 1);
    return 0;
}

static void event_wakes_all(void) {
    cohort_process_t *children[6];
    args_t args = event_args();
    parties_start(children, 6, await_event, &args, sizeof args);
    party_await(args.ready, 6);
    CHECK_INT(0, atomic_load(args.done));
    CHECK_STATUS(APR_SUCCESS, cohort_event_set(args.event));
    parties_finish(children, 6);
    check_set(1, args.event);
}

/* Set and cleared at once, again and again until all have seen one: each reaches all that wait, and
 * the event is not set for an instant that they could find by chance. */
static void event_pulses(void) {
    cohort_process_t *children[4];
    args_t args = event_args();
    parties_start(children, 4, await_event, &args, sizeof args);
    party_await(args.ready, 4);
    while (atomic_load(args.done) < 4) {
        CHECK_STATUS(APR_SUCCESS, cohort_event_set(args.event));
        CHECK_STATUS(APR_SUCCESS, cohort_event_clear(args.event));
        apr_sleep(1000);
    }
    parties_finish(children, 4);
    check_set(0, args.event);
}

static void event_waiter_killed(void) {
    cohort_process_t *children[3];
    args_t args = event_args();
    parties_start(children, 3, await_event, &args, sizeof args);
    party_await(args.ready, 3);
    party_kill(children[1]);
    CHECK_STATUS(APR_SUCCESS, cohort_event_set(args.event));
    party_finish(children[0]);
    party_finish(children[2]);
    CHECK_INT(2, atomic_load(args.done));
}

static int expect_no_event(void *data) {
    args_t *a = data;
    atomic_fetch_add(a->ready, 1);
    CHECK_STATUS(COHORT_EHANDLE, cohort_event_wait(a->event, COHORT_FOREVER));
    return 0;
}

static void event_destroyed_under_waiters(void) {
    cohort_process_t *children[2];
    args_t args = event_args();
    parties_start(children, 2, expect_no_event, &args, sizeof args);
    party_await(args.ready, 2);
    CHECK_STATUS(APR_SUCCESS, cohort_event_destroy(args.event));
    parties_finish(children, 2);
}

const test_case_t event_cases[] = {
    {"Event", "states", event_states},
    {"Event", "arguments", event_arguments},
    {"Event", "wakes_all", event_wakes_all},
    {"Event", "pulses", event_pulses},
    {"Event", "waiter_killed", event_waiter_killed},
    {"Event", "destroyed_under_waiters", event_destroyed_under_waiters},
    {0},
};
