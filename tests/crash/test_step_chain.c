/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Death in the rarer steps of queues and pipes: an unbounded queue that gets a new segment or
 * retires one, the account of a joinable queue, destruction, and the holder table of the processes
 * that hold an end of a pipe.
 */
#include "check.h"
#include "step.h"

#include <cohort/cohort.h>

#define MESSAGE 4000 /* bytes: makes segments of a few slots */
#define MANY    40   /* messages: more than three segments */

typedef struct {
    cohort_queue_t *queue;
    cohort_connection_t *first, *second;
    int in, out; /* numbers of the next message to put, and to get */
} state_t;

static state_t *new_state(void) { return step_new(sizeof(state_t)); }

static apr_status_t put(state_t *s, int number) {
    return cohort_queue_put(s->queue, &number, sizeof number, 0);
}

static int take(state_t *s) {
    int number = -1;
    apr_size_t size;
    apr_status_t status = cohort_queue_get(s->queue, &number, sizeof number, &size, 0);
    if (!APR_STATUS_IS_EAGAIN(status)) CHECK_STATUS(APR_SUCCESS, status);
    return number;
}

static void check_size(apr_size_t expected, state_t *s) {
    apr_size_t size = 4711;
    size = cohort_queue_size(s->queue);
    CHECK_INT(expected, size);
}

static void check_chain_works(state_t *s) {
    CHECK_INT(-1, take(s));
    check_size(0, s);
    for (int i = 0; i < MANY; i++) CHECK_STATUS(APR_SUCCESS, put(s, i));
    check_size(MANY, s);
    for (int i = 0; i < MANY; i++) CHECK_INT(i, take(s));
    CHECK_INT(-1, take(s));
    check_size(0, s);
}

static void discard(void *state) {
    state_t *s = state;
    CHECK_STATUS(APR_SUCCESS, cohort_queue_destroy(s->queue));
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(s->first));
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(s->second));
    CHECK_STATUS(APR_SUCCESS, cohort_free(s));
}

/* ---- the chain ------------------------------------------------------------------------------ */

static const cohort_queue_options_t unbounded_options = {.message_size = MESSAGE};

/* Where a put makes a segment: the arena's blocks in use say so. */
static apr_uint64_t blocks(void) {
    cohort_arena_usage_t usage;
    CHECK_STATUS(APR_SUCCESS, cohort_arena_usage(&usage));
    return usage.blocks;
}

static int segment_slots(void) {
    static int slots;
    state_t s = {0};
    if (slots) return slots;
    CHECK_STATUS(APR_SUCCESS, cohort_queue_create(&s.queue, &unbounded_options, NULL));
    for (apr_uint64_t before = blocks(); blocks() == before; slots++)
        CHECK_STATUS(APR_SUCCESS, put(&s, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_queue_destroy(s.queue));
    return --slots;
}

static state_t *unbounded(void) {
    state_t *s = new_state();
    CHECK_STATUS(APR_SUCCESS, cohort_queue_create(&s->queue, &unbounded_options, NULL));
    return s;
}

static void *before_growing(void) {
    state_t *s = unbounded();
    for (int n = segment_slots(); s->in < n; s->in++) CHECK_STATUS(APR_SUCCESS, put(s, s->in));
    return s;
}

/* With a spare, which the growing takes. */
static void *before_reusing(void) {
    state_t *s = unbounded();
    int slots = segment_slots();
    for (; s->in < 2 * slots; s->in++) {
        CHECK_STATUS(APR_SUCCESS, put(s, s->in));
        if (s->in <= slots + 2) CHECK_INT(s->out++, take(s));
    }
    return s;
}

/* The next get leaves the first segment, while there is a spare already. */
static void *before_retiring(void) {
    state_t *s = unbounded();
    int slots = segment_slots();
    for (; s->in < 3 * slots; s->in++) CHECK_STATUS(APR_SUCCESS, put(s, s->in));
    while (s->out < 2 * slots) CHECK_INT(s->out++, take(s));
    return s;
}

static void put_next(void *state) {
    state_t *s = state;
    (void)put(s, s->in);
}

static void take_next(void *state) {
    int number;
    apr_size_t size;
    (void)!cohort_queue_get(((state_t *)state)->queue, &number, sizeof number, &size, 0);
}

static void check_grown(void *state, bool finished) {
    state_t *s = state;
    while (s->out < s->in) CHECK_INT(s->out++, take(s));
    int last = take(s);
    CHECK(last == s->in || (!finished && last == -1));
    check_chain_works(s);
}

static void check_retired(void *state, bool finished) {
    state_t *s = state;
    int next = take(s);
    CHECK(next == s->out + 1 || (!finished && next == s->out));
    for (s->out = next + 1; s->out < s->in; s->out++) CHECK_INT(s->out, take(s));
    check_chain_works(s);
}

/* ---- the account of a joinable queue -------------------------------------------------------- */

static void *joinable(void) {
    state_t *s = new_state();
    cohort_queue_options_t options = {.capacity = 3, .joinable = 1};
    CHECK_STATUS(APR_SUCCESS, cohort_queue_create(&s->queue, &options, NULL));
    for (int i = 0; i < 2; i++) CHECK_STATUS(APR_SUCCESS, put(s, i));
    return s;
}

static void take_and_say_done(void *state) {
    take_next(state);
    (void)cohort_queue_task_done(((state_t *)state)->queue);
}

/* Whatever the dead one had, the rest is exactly what is still in the queue. */
static void check_account(void *state, bool finished) {
    state_t *s = state;
    apr_size_t size = 0;
    size = cohort_queue_size(s->queue);
    CHECK(size == 1 || (!finished && size == 2));
    for (; size > 0; size--) {
        CHECK_STATUS(APR_EAGAIN, cohort_queue_join(s->queue, 0));
        CHECK(take(s) >= 0);
        CHECK_STATUS(APR_EAGAIN, cohort_queue_join(s->queue, 0));
        CHECK_STATUS(APR_SUCCESS, cohort_queue_task_done(s->queue));
    }
    CHECK_STATUS(APR_SUCCESS, cohort_queue_join(s->queue, COHORT_FOREVER));
    CHECK_STATUS(COHORT_EOVERRELEASE, cohort_queue_task_done(s->queue));
    CHECK_INT(-1, take(s));
}

/* ---- destruction ---------------------------------------------------------------------------- */

static void *with_messages(void) {
    state_t *s = new_state();
    char large[3000] = "";
    cohort_queue_options_t options = {.capacity = 3, .message_size = 40};
    CHECK_STATUS(APR_SUCCESS, cohort_queue_create(&s->queue, &options, NULL));
    for (int i = 0; i < 2; i++)
        CHECK_STATUS(APR_SUCCESS, cohort_queue_put(s->queue, large, i ? 20 : sizeof large, 0));
    return s;
}

static void *with_segments(void) {
    state_t *s = before_retiring();
    CHECK_INT(s->out++, take(s));
    return s;
}

static void destroy(void *state) { (void)cohort_queue_destroy(((state_t *)state)->queue); }

/* It is there as a whole, or gone; discard() sees that nothing of it is left. */
static void check_destroyed(void *state, bool finished) {
    state_t *s = state;
    apr_status_t status = cohort_queue_join(s->queue, 0);
    if (APR_STATUS_IS_EAGAIN(status) || status == APR_EINVAL) status = APR_SUCCESS;
    CHECK(status == COHORT_EHANDLE || (!finished && status == APR_SUCCESS));
}

/* ---- holding and closing -------------------------------------------------------------------- */

static void *a_pipe(void) {
    state_t *s = new_state();
    CHECK_STATUS(APR_SUCCESS, cohort_pipe_create(&s->first, &s->second, NULL, NULL));
    return s;
}

/* The victim takes hold of an end by using it, and closes it again. */
static void use_and_close(void *state) {
    state_t *s = state;
    (void)!cohort_connection_send(s->second, "x", 1, 0);
    (void)cohort_connection_close(s->second);
}

static void check_pipe(void *state, bool finished) {
    state_t *s = state;
    char byte;
    apr_size_t size;
    apr_status_t status = cohort_connection_recv(s->first, &byte, 1, &size, 0);
    CHECK(status == APR_SUCCESS || (!finished && APR_STATUS_IS_EAGAIN(status)));
    /* this process has the other end too */
    CHECK_STATUS(APR_EAGAIN, cohort_connection_recv(s->first, &byte, 1, &size, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_connection_send(s->second, "y", 1, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_connection_recv(s->first, &byte, 1, &size, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(s->second));
    CHECK_STATUS(APR_EOF, cohort_connection_recv(s->first, &byte, 1, &size, 0));
}

/* The last hold but the victim's is gone: it closes both ends, and that frees the pipe. */
static void warm_hold(void *state) {
    state_t *s = state;
    (void)cohort_connection_poll(s->first, 0);
    (void)cohort_connection_poll(s->second, 0);
}

static void close_both(void *state) {
    state_t *s = state;
    (void)cohort_connection_close(s->first);
    (void)cohort_connection_close(s->second);
}

static void check_closing(void *state, bool finished) {
    state_t *s = state;
    (void)finished;
    CHECK_STATUS(APR_EAGAIN, cohort_connection_poll(s->first, 0)); /* this process holds both */
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(s->second));
    CHECK_STATUS(APR_EOF, cohort_connection_poll(s->first, 0));
}

#define CASE(function, prepare_, warm_, operate_, check_)                                          \
    STEP_CASES(function, .prepare = prepare_, .warm = warm_, .operate = operate_, .check = check_, \
               .discard = discard)

CASE(put_grows, before_growing, NULL, put_next, check_grown)
CASE(put_reuses, before_reusing, NULL, put_next, check_grown)
CASE(get_retires, before_retiring, NULL, take_next, check_retired)
CASE(task_done, joinable, NULL, take_and_say_done, check_account)
CASE(destroy_bounded, with_messages, NULL, destroy, check_destroyed)
CASE(destroy_chain, with_segments, NULL, destroy, check_destroyed)
CASE(pipe_hold, a_pipe, NULL, use_and_close, check_pipe)
CASE(pipe_close, a_pipe, warm_hold, close_both, check_closing)

#define ENTRIES(function) \
    {"StepChain", #function, function}, { "StepChain", #function "_repair", function##_repair }
const test_case_t step_chain_cases[] = {
    ENTRIES(put_grows), ENTRIES(put_reuses),      ENTRIES(get_retires),
    ENTRIES(task_done), ENTRIES(destroy_bounded), ENTRIES(destroy_chain),
    ENTRIES(pipe_hold), ENTRIES(pipe_close),      {0}};
