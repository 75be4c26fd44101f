/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Death of the last producer of a queue, as it puts something or closes its end, beside a process
 * that sleeps in a get; and death of a process that finds in a get that no producer is left. What
 * was put comes, then all gets are APR_EOF, and all puts COHORT_ECLOSED.
 */
#include "check.h"
#include "step.h"

#include <cohort/cohort.h>
#include <sched.h>

typedef struct {
    _Atomic(cohort_queue_t *) queue;
    cohort_connection_t *other, *end; /* the end is that of the producers */
    cohort_process_t *getter;
    apr_size_t capacity;
    _Atomic int waits, got;
    _Atomic apr_status_t status; /* with which it has stopped getting */
} state_t;

static apr_status_t get(state_t *s, apr_interval_time_t timeout) {
    char byte;
    apr_size_t size;
    return cohort_queue_get(atomic_load(&s->queue), &byte, 1, &size, timeout);
}

static void make_queue(state_t *s) {
    cohort_queue_t *queue;
    CHECK_STATUS(APR_SUCCESS, cohort_pipe_create(&s->other, &s->end, NULL, NULL));
    const cohort_queue_options_t options = {.capacity = s->capacity, .producers = s->end};
    CHECK_STATUS(APR_SUCCESS, cohort_queue_create(&queue, &options, NULL));
    atomic_store(&s->queue, queue);
}

/* ---- the producer: it has made the queue and holds the end alone ----------------------------- */

static int get_all(void *args) {
    state_t *s = *(state_t **)args;
    apr_status_t status;
    while (!atomic_load(&s->queue)) sched_yield();
    atomic_store(&s->waits, 1);
    while ((status = get(s, COHORT_FOREVER)) == APR_SUCCESS) atomic_fetch_add(&s->got, 1);
    atomic_store(&s->status, status);
    return 0;
}

static void *with_a_getter(apr_size_t capacity) {
    const cohort_process_options_t daemon = {.lifetime = COHORT_LIFETIME_DAEMON};
    state_t *s = step_new(sizeof *s);
    s->capacity = capacity;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_launch(&s->getter, get_all, &s, sizeof s, &daemon, NULL));
    return s;
}
static void *bounded(void) { return with_a_getter(2); }
static void *unbounded(void) { return with_a_getter(0); }

static void begin(void *state) {
    state_t *s = state;
    make_queue(s);
    while (!atomic_load(&s->waits)) sched_yield();
}

static void produce(void *state) {
    (void)!cohort_queue_put(atomic_load(&((state_t *)state)->queue), "x", 1, 0);
}

static void close_end(void *state) { (void)cohort_connection_close(((state_t *)state)->end); }

static void produce_and_close(void *state) {
    produce(state);
    close_end(state);
}

static void check_over(state_t *s) {
    CHECK_STATUS(APR_EOF, get(s, COHORT_FOREVER));
    CHECK_STATUS(APR_EOF, get(s, 0));
    CHECK_STATUS(COHORT_ECLOSED, cohort_queue_put(atomic_load(&s->queue), "y", 1, COHORT_FOREVER));
    CHECK_INT(1, cohort_queue_is_closed(atomic_load(&s->queue)));
}

static void check_getter(state_t *s, int least, int most) {
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(s->getter, COHORT_FOREVER));
    CHECK_INT(0, cohort_process_exit_code(s->getter));
    CHECK_STATUS(APR_EOF, atomic_load(&s->status));
    CHECK(atomic_load(&s->got) >= least && atomic_load(&s->got) <= most);
    check_over(s);
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(s->getter));
}

static void check_produced(void *state, bool finished) { check_getter(state, finished, 1); }

static void check_closed(void *state, bool finished) {
    (void)finished;
    check_getter(state, 0, 0);
}

static void discard(void *state) {
    state_t *s = state;
    CHECK_STATUS(APR_SUCCESS, cohort_queue_destroy(atomic_load(&s->queue)));
    CHECK_STATUS(APR_SUCCESS, cohort_free(s));
}

STEP_CASES(last_producer_puts, .prepare = bounded, .warm = begin, .operate = produce,
           .check = check_produced, .discard = discard)
STEP_CASES(last_producer_closes, .prepare = bounded, .warm = begin, .operate = close_end,
           .check = check_closed, .discard = discard)
STEP_CASES(last_producer_of_a_chain, .prepare = unbounded, .warm = begin,
           .operate = produce_and_close, .check = check_produced, .discard = discard)

/* ---- the one that finds it out -------------------------------------------------------------- */

static void *without_producers(apr_size_t capacity) {
    state_t *s = step_new(sizeof *s);
    s->capacity = capacity;
    make_queue(s);
    CHECK_STATUS(APR_SUCCESS, cohort_queue_put(atomic_load(&s->queue), "x", 1, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(s->end));
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(s->other));
    return s;
}
static void *bounded_without(void) { return without_producers(2); }
static void *unbounded_without(void) { return without_producers(0); }

static void get_to_the_end(void *state) {
    while (get(state, 0) == APR_SUCCESS) continue;
}

/* The message is lost with a process that was getting it at most. */
static void check_found(void *state, bool finished) {
    state_t *s = state;
    apr_status_t status = get(s, COHORT_FOREVER);
    CHECK(status == APR_EOF || (!finished && status == APR_SUCCESS));
    check_over(s);
}

STEP_CASES(no_producer_is_found, .prepare = bounded_without, .operate = get_to_the_end,
           .check = check_found, .discard = discard)
STEP_CASES(no_producer_of_a_chain_is_found, .prepare = unbounded_without, .operate = get_to_the_end,
           .check = check_found, .discard = discard)

#define ENTRIES(function)                                       \
    {"StepProducers", #function, function}, {                   \
        "StepProducers", #function "_repair", function##_repair \
    }
const test_case_t step_producers_cases[] = {ENTRIES(last_producer_puts),
                                            ENTRIES(last_producer_closes),
                                            ENTRIES(last_producer_of_a_chain),
                                            ENTRIES(no_producer_is_found),
                                            ENTRIES(no_producer_of_a_chain_is_found),
                                            {0}};
