/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Death in the closing and discarding of a queue, and in gets from a closed one. Whatever the
 * victim has not come to, the survivor finds it closed or not; if it is closed, each message comes
 * out or has been thrown away, nothing comes out twice, then the queue says that it is over, and a
 * join returns where the messages are discarded.
 */
#include "check.h"
#include "step.h"

#include <cohort/cohort.h>

#define LARGE 3000 /* bytes of a message out of line */

typedef struct {
    cohort_queue_t *queue;
    unsigned before; /* messages in it: every second one is large */
    int joinable;
    char buffer[LARGE];
} state_t;

static void *queue_of(unsigned before, unsigned capacity, int joinable) {
    state_t *s = step_new(sizeof *s);
    cohort_queue_options_t options = {.capacity = capacity, .joinable = joinable};
    s->before = before;
    s->joinable = joinable;
    CHECK_STATUS(APR_SUCCESS, cohort_queue_create(&s->queue, &options, NULL));
    for (unsigned i = 1; i <= before; i++) {
        s->buffer[0] = (char)i;
        CHECK_STATUS(APR_SUCCESS,
                     cohort_queue_put(s->queue, s->buffer, i % 2 ? 10 : sizeof s->buffer, 0));
    }
    return s;
}

static void *bounded(void) { return queue_of(3, 4, 0); }
static void *full(void) { return queue_of(4, 4, 0); }
static void *single(void) { return queue_of(1, 1, 0); }
static void *unbounded(void) { return queue_of(3, 0, 0); }
static void *joinable(void) { return queue_of(3, 4, 1); }

static void *closed(void *state) {
    CHECK_STATUS(APR_SUCCESS, cohort_queue_close(((state_t *)state)->queue));
    return state;
}
static void *closed_empty(void) { return closed(queue_of(0, 2, 0)); }
static void *closed_single(void) { return closed(single()); }
static void *closed_full(void) { return closed(full()); }
static void *closed_unbounded(void) { return closed(unbounded()); }
static void *closed_empty_unbounded(void) { return closed(queue_of(0, 0, 0)); }
static void *closed_joinable(void) { return closed(joinable()); }

static apr_status_t take(state_t *s, apr_interval_time_t timeout) {
    apr_size_t size;
    return cohort_queue_get(s->queue, s->buffer, sizeof s->buffer, &size, timeout);
}

static void close_it(void *state) { (void)cohort_queue_close(((state_t *)state)->queue); }
static void discard_it(void *state) { (void)cohort_queue_discard(((state_t *)state)->queue); }
static void take_one(void *state) { (void)!take(state, 0); }

/* To the end, and once more. */
static void take_all(void *state) {
    while (!take(state, 0)) continue;
    (void)!take(state, 0);
}

static void check_over(state_t *s) {
    CHECK_STATUS(COHORT_ECLOSED, take(s, COHORT_FOREVER));
    CHECK_STATUS(COHORT_ECLOSED, cohort_queue_put(s->queue, "x", 1, COHORT_FOREVER));
    CHECK_INT(0, cohort_queue_size(s->queue));
    CHECK_INT(1, cohort_queue_is_closed(s->queue));
}

/* How many come out, each at its turn, but for at most one that came back. */
static unsigned drain(state_t *s) {
    unsigned got = 0, last = 0;
    for (apr_status_t status; (status = take(s, COHORT_FOREVER)) != COHORT_ECLOSED; got++) {
        CHECK_STATUS(APR_SUCCESS, status);
        CHECK((unsigned)s->buffer[0] > last && (unsigned)s->buffer[0] <= s->before);
        last = (unsigned)s->buffer[0];
        if (s->joinable) CHECK_STATUS(APR_SUCCESS, cohort_queue_task_done(s->queue));
    }
    check_over(s);
    return got;
}

static void check_closed(void *state, bool finished) {
    state_t *s = state;
    CHECK(!finished || cohort_queue_is_closed(s->queue));
    CHECK_INT(s->before, cohort_queue_size(s->queue));
    CHECK_STATUS(APR_SUCCESS, cohort_queue_close(s->queue));
    CHECK_INT(s->before, drain(s));
    if (s->joinable) CHECK_STATUS(APR_SUCCESS, cohort_queue_join(s->queue, COHORT_FOREVER));
}

/* Gets go on with it; what is left may come out, or go. */
static void check_discarded(void *state, bool finished) {
    state_t *s = state;
    if (finished) check_over(s);
    if (!cohort_queue_is_closed(s->queue)) CHECK_STATUS(APR_SUCCESS, cohort_queue_close(s->queue));
    unsigned got = drain(s);
    CHECK(!finished || got == 0);
    if (s->joinable) CHECK_STATUS(APR_SUCCESS, cohort_queue_join(s->queue, COHORT_FOREVER));
}

/* Joining does, if it was closed; */
static void check_joined(void *state, bool finished) {
    state_t *s = state;
    if (finished || cohort_queue_is_closed(s->queue)) {
        CHECK_STATUS(APR_SUCCESS, cohort_queue_join(s->queue, COHORT_FOREVER));
        check_over(s);
    } else {
        CHECK_STATUS(APR_EAGAIN, cohort_queue_join(s->queue, 0));
    }
}

/* and so does the next one. */
static void check_discarded_again(void *state, bool finished) {
    state_t *s = state;
    (void)finished;
    CHECK_STATUS(APR_SUCCESS, cohort_queue_discard(s->queue));
    check_over(s);
    if (s->joinable) CHECK_STATUS(APR_SUCCESS, cohort_queue_join(s->queue, 0));
}

/* One was taken, or none. */
static void check_taken(void *state, bool finished) {
    state_t *s = state;
    unsigned got = drain(s);
    CHECK(got == s->before || got + 1 == s->before);
    CHECK(!finished || s->before == 0 || got + 1 == s->before);
    if (s->joinable) CHECK_STATUS(APR_SUCCESS, cohort_queue_join(s->queue, COHORT_FOREVER));
}

static void check_all_taken(void *state, bool finished) {
    state_t *s = state;
    unsigned got = drain(s);
    CHECK(got <= s->before && (!finished || got == 0));
}

static void destroy(void *state) {
    state_t *s = state;
    CHECK_STATUS(APR_SUCCESS, cohort_queue_destroy(s->queue));
    CHECK_STATUS(APR_SUCCESS, cohort_free(s));
}

#define CASE(function, prepare_, operate_, check_)                                  \
    STEP_CASES(function, .prepare = prepare_, .operate = operate_, .check = check_, \
               .discard = destroy)

CASE(close_bounded, bounded, close_it, check_closed)
CASE(close_full, full, close_it, check_closed)
CASE(close_unbounded, unbounded, close_it, check_closed)
CASE(close_joinable, joinable, close_it, check_closed)
CASE(discard_bounded, bounded, discard_it, check_discarded)
CASE(discard_full, full, discard_it, check_discarded_again)
CASE(discard_single, single, discard_it, check_discarded)
CASE(discard_unbounded, unbounded, discard_it, check_discarded_again)
CASE(discard_joinable, joinable, discard_it, check_discarded)
CASE(discard_joined, joinable, discard_it, check_joined)
CASE(discard_closed, closed_full, discard_it, check_discarded)
CASE(get_closed_empty, closed_empty, take_one, check_taken)
CASE(get_closed_empty_unbounded, closed_empty_unbounded, take_one, check_taken)
CASE(get_closed_last, closed_single, take_one, check_taken)
CASE(get_closed_joinable, closed_joinable, take_one, check_taken)
CASE(get_closed_all, closed_full, take_all, check_all_taken)
CASE(get_closed_all_unbounded, closed_unbounded, take_all, check_all_taken)

#define ENTRIES(function) \
    {"StepClose", #function, function}, { "StepClose", #function "_repair", function##_repair }
const test_case_t step_close_cases[] = {ENTRIES(close_bounded),
                                        ENTRIES(close_full),
                                        ENTRIES(close_unbounded),
                                        ENTRIES(close_joinable),
                                        ENTRIES(discard_bounded),
                                        ENTRIES(discard_full),
                                        ENTRIES(discard_single),
                                        ENTRIES(discard_unbounded),
                                        ENTRIES(discard_joinable),
                                        ENTRIES(discard_joined),
                                        ENTRIES(discard_closed),
                                        ENTRIES(get_closed_empty),
                                        ENTRIES(get_closed_empty_unbounded),
                                        ENTRIES(get_closed_last),
                                        ENTRIES(get_closed_joinable),
                                        ENTRIES(get_closed_all),
                                        ENTRIES(get_closed_all_unbounded),
                                        {0}};
