/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Death in a run of puts or gets that is longer than the ring has cells, since a partner makes
 * room, or refills it, meanwhile. The partner looks all the time and never sleeps, so that the run
 * laps the ring without a pause. Whatever the victim has not come to, the queue works on: no
 * message is lost or comes twice, and no call finds it damaged.
 */
#include "check.h"
#include "step.h"

#include <cohort/cohort.h>

#define MESSAGES 12 /* of the run, through a ring of two cells */
#define LATER    5  /* put or got by the survivor */

typedef struct {
    cohort_queue_t *queue;
    cohort_process_t *partner;
    _Atomic int stop;
    _Atomic apr_uint64_t sum; /* of what the partner has got, or put */
} state_t;

static bool is_a_pause(apr_status_t status) { return APR_STATUS_IS_EAGAIN(status); }

static int get_all(void *args) {
    state_t *s = *(state_t **)args;
    apr_uint64_t message;
    apr_size_t size;
    for (;;) {
        apr_status_t status = cohort_queue_get(s->queue, &message, sizeof message, &size, 0);
        if (status == COHORT_ECLOSED) return 0;
        if (!status) atomic_fetch_add(&s->sum, message);
        else if (!is_a_pause(status)) return 1;
    }
}

/* 1, 2, 4, ...: the sum says which have come. */
static int put_all(void *args) {
    state_t *s = *(state_t **)args;
    for (int i = 0; i < MESSAGES + LATER && !atomic_load(&s->stop);) {
        apr_uint64_t message = (apr_uint64_t)1 << i;
        apr_status_t status = cohort_queue_put(s->queue, &message, sizeof message, 0);
        if (!status) atomic_fetch_add(&s->sum, message), i++;
        else if (!is_a_pause(status)) return 1;
    }
    return 0;
}

static void *queue_with(cohort_target_t partner) {
    static const cohort_process_options_t a_daemon = {.lifetime = COHORT_LIFETIME_DAEMON};
    state_t *s = step_new(sizeof *s);
    cohort_queue_options_t options = {.capacity = 2, .message_size = 16};
    CHECK_STATUS(APR_SUCCESS, cohort_queue_create(&s->queue, &options, NULL));
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_launch(&s->partner, partner, &s, sizeof s, &a_daemon, NULL));
    return s;
}

static void *with_a_getter(void) { return queue_with(get_all); }
static void *with_a_putter(void) { return queue_with(put_all); }

static void put_run(void *state) {
    state_t *s = state;
    apr_uint64_t values[MESSAGES];
    cohort_message_t messages[MESSAGES];
    apr_size_t done;
    for (int i = 0; i < MESSAGES; i++) {
        values[i] = (apr_uint64_t)1 << i;
        messages[i] = (cohort_message_t){.data = &values[i], .size = sizeof values[i]};
    }
    (void)!cohort_queue_put_many(s->queue, messages, MESSAGES, &done, COHORT_FOREVER);
}

/* What the victim takes is lost with it, but in order. */
static void get_run(void *state) {
    state_t *s = state;
    apr_uint64_t values[MESSAGES];
    cohort_message_t messages[MESSAGES];
    apr_size_t done;
    for (int i = 0; i < MESSAGES; i++)
        messages[i] = (cohort_message_t){.data = &values[i], .capacity = sizeof values[i]};
    (void)!cohort_queue_get_many(s->queue, messages, MESSAGES, &done, COHORT_FOREVER);
}

static void end_partner(state_t *s) {
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(s->partner, COHORT_FOREVER));
    CHECK_INT(0, cohort_process_exit_code(s->partner));
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(s->partner));
}

/* The first k of the victim's messages have come, whatever k, and all of the survivor's. */
static void check_put(void *state, bool finished) {
    state_t *s = state;
    apr_uint64_t mine = (apr_uint64_t)1 << MESSAGES;
    for (int i = 0; i < LATER; i++)
        CHECK_STATUS(APR_SUCCESS, cohort_queue_put(s->queue, &mine, sizeof mine, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_queue_close(s->queue));
    end_partner(s);
    apr_uint64_t sum = atomic_load(&s->sum), theirs = sum % mine;
    CHECK_INT(LATER, sum / mine);
    CHECK((theirs & (theirs + 1)) == 0);
    if (finished) CHECK_INT(mine - 1, theirs);
}

/* What comes is what has been put, but for the first of it. */
static void check_got(void *state, bool finished) {
    state_t *s = state;
    apr_uint64_t message, got = 0;
    apr_size_t size;
    (void)finished;
    for (int i = 0; i < LATER; i++) {
        CHECK_STATUS(APR_SUCCESS,
                     cohort_queue_get(s->queue, &message, sizeof message, &size, COHORT_FOREVER));
        CHECK(message & ~got);
        got |= message;
    }
    atomic_store(&s->stop, 1);
    end_partner(s);
    CHECK_STATUS(APR_SUCCESS, cohort_queue_close(s->queue));
    apr_status_t status;
    while (
        !(status = cohort_queue_get(s->queue, &message, sizeof message, &size, COHORT_FOREVER))) {
        CHECK(message & ~got);
        got |= message;
    }
    CHECK_STATUS(COHORT_ECLOSED, status);
    /* all that were put after the first that came here */
    apr_uint64_t first = got & -got, sum = atomic_load(&s->sum);
    CHECK_INT((long long)(sum & ~(first - 1)), (long long)got);
}

static void destroy(void *state) {
    state_t *s = state;
    CHECK_STATUS(APR_SUCCESS, cohort_queue_destroy(s->queue));
    CHECK_STATUS(APR_SUCCESS, cohort_free(s));
}

STEP_CASES(put_laps, .prepare = with_a_getter, .operate = put_run, .check = check_put,
           .discard = destroy)
STEP_CASES(get_laps, .prepare = with_a_putter, .operate = get_run, .check = check_got,
           .discard = destroy)

const test_case_t step_runs_cases[] = {{"StepRuns", "put_laps", put_laps},
                                       {"StepRuns", "put_laps_repair", put_laps_repair},
                                       {"StepRuns", "get_laps", get_laps},
                                       {"StepRuns", "get_laps_repair", get_laps_repair},
                                       {0}};
