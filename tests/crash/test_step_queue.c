/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Death in queues and pipes. The survivor puts messages 1..before, the victim puts or takes one,
 * and after its death the survivor finds: a put is there as a whole or not at all, and surely when
 * it had returned; a get has taken the message as a whole or left it, and nothing else is missing.
 */
#include "check.h"
#include "step.h"

#include <cohort/cohort.h>

#define SIZE_MAX_TESTED 40000 /* out of line, and a block of its own */

typedef struct {
    cohort_queue_t *queue;
    cohort_connection_t *receiver, *sender;
    size_t size;       /* of each message */
    unsigned before;   /* messages in it */
    unsigned capacity; /* 0: unbounded */
    char buffer[SIZE_MAX_TESTED];
} state_t;

static void fill(state_t *s, unsigned number) { memset(s->buffer, (int)number, s->size); }

static apr_status_t put(state_t *s, unsigned number) {
    fill(s, number);
    return s->queue ? cohort_queue_put(s->queue, s->buffer, s->size, 0)
                    : cohort_connection_send(s->sender, s->buffer, s->size, 0);
}

/* The number of the next message, checked as a whole; 0 when there is none. */
static unsigned take(state_t *s) {
    apr_size_t size, room = sizeof s->buffer;
    apr_status_t status = s->queue ? cohort_queue_get(s->queue, s->buffer, room, &size, 0)
                                   : cohort_connection_recv(s->receiver, s->buffer, room, &size, 0);
    if (APR_STATUS_IS_EAGAIN(status)) return 0;
    CHECK_STATUS(APR_SUCCESS, status);
    CHECK_INT(s->size, size);
    CHECK_MEM(s->buffer, s->buffer + 1, size - 1); /* all the same byte */
    return (unsigned char)s->buffer[0];
}

static state_t *new_state(size_t size, unsigned before) {
    void *block = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_alloc(&block, sizeof(state_t)));
    state_t *s = memset(block, 0, sizeof(state_t));
    s->size = size;
    s->before = before;
    return s;
}

static void *queue_of(size_t size, unsigned before, unsigned capacity) {
    state_t *s = new_state(size, before);
    cohort_queue_options_t options = {.capacity = capacity, .message_size = 64};
    s->capacity = capacity;
    CHECK_STATUS(APR_SUCCESS, cohort_queue_create(&s->queue, &options, NULL));
    for (unsigned i = 1; i <= before; i++) CHECK_STATUS(APR_SUCCESS, put(s, i));
    return s;
}

static void *empty_small(void) { return queue_of(60, 0, 4); }
static void *some_small(void) { return queue_of(60, 2, 4); }
static void *almost_full_small(void) { return queue_of(60, 3, 4); }
static void *full_small(void) { return queue_of(60, 4, 4); }
static void *single_slot(void) { return queue_of(60, 1, 1); }
static void *some_medium(void) { return queue_of(3000, 2, 4); }
static void *some_large(void) { return queue_of(SIZE_MAX_TESTED, 2, 4); }
static void *full_large(void) { return queue_of(3000, 4, 4); }
static void *unbounded(void) { return queue_of(60, 2, 0); }

static void *pipe_of(size_t size, unsigned before) {
    state_t *s = new_state(size, before);
    cohort_pipe_options_t options = {.one_way = 1};
    CHECK_STATUS(APR_SUCCESS, cohort_pipe_create(&s->receiver, &s->sender, &options, NULL));
    for (unsigned i = 1; i <= before; i++) CHECK_STATUS(APR_SUCCESS, put(s, i));
    return s;
}
static void *pipe_small(void) { return pipe_of(60, 2); }
static void *pipe_empty(void) { return pipe_of(60, 0); }
static void *pipe_large(void) { return pipe_of(SIZE_MAX_TESTED, 2); }

static void warm_put(void *state) {
    state_t *s = state;
    fill(s, s->before + 1);
}

static void put_one(void *state) {
    state_t *s = state;
    (void)!(s->queue ? cohort_queue_put(s->queue, s->buffer, s->size, 0)
                     : cohort_connection_send(s->sender, s->buffer, s->size, 0));
}

static void take_one(void *state) {
    state_t *s = state;
    apr_size_t size, room = sizeof s->buffer;
    if (s->queue) (void)!cohort_queue_get(s->queue, s->buffer, room, &size, 0);
    else (void)!cohort_connection_recv(s->receiver, s->buffer, room, &size, 0);
}

/* Several at once: three are put, or all but the last are taken. */
#define MANY 3

static void put_many(void *state) {
    state_t *s = state;
    cohort_message_t messages[MANY];
    char bytes[MANY][64];
    apr_size_t done;
    for (unsigned i = 0; i < MANY; i++) {
        memset(bytes[i], (int)(s->before + 1 + i), s->size);
        messages[i] = (cohort_message_t){.data = bytes[i], .size = s->size};
    }
    (void)!cohort_queue_put_many(s->queue, messages, MANY, &done, 0);
}

static void take_many(void *state) {
    state_t *s = state;
    cohort_message_t messages[MANY];
    char bytes[MANY][64];
    apr_size_t done;
    for (unsigned i = 0; i < MANY; i++)
        messages[i] = (cohort_message_t){.data = bytes[i], .capacity = sizeof bytes[i]};
    (void)!cohort_queue_get_many(s->queue, messages, MANY, &done, 0);
}

/* Waits in vain, for as short a time as there is: all the steps of going to sleep, and of coming
 * back. */
static void put_in_vain(void *state) {
    state_t *s = state;
    (void)!(s->queue ? cohort_queue_put(s->queue, s->buffer, s->size, 1)
                     : cohort_connection_send(s->sender, s->buffer, s->size, 1));
}

static void take_in_vain(void *state) {
    state_t *s = state;
    apr_size_t size, room = sizeof s->buffer;
    if (s->queue) (void)!cohort_queue_get(s->queue, s->buffer, room, &size, 1);
    else (void)!cohort_connection_recv(s->receiver, s->buffer, room, &size, 1);
}

/* What is left must be from..to in order; then the queue must still do all that a queue does. */
static void check_works(state_t *s) {
    for (unsigned lap = 0; lap < 3; lap++) {
        unsigned n = s->capacity ? s->capacity : 5;
        for (unsigned i = 1; i <= n; i++) CHECK_STATUS(APR_SUCCESS, put(s, i));
        if (s->capacity) CHECK_STATUS(APR_EAGAIN, put(s, 100));
        for (unsigned i = 1; i <= n; i++) CHECK_INT(i, take(s));
        CHECK_INT(0, take(s));
    }
}

static void check_put(void *state, bool finished) {
    state_t *s = state;
    bool room = !s->capacity || s->before < s->capacity;
    for (unsigned i = 1; i <= s->before; i++) CHECK_INT(i, take(s));
    unsigned last = take(s);
    CHECK(last == 0 || last == s->before + 1);
    CHECK(room || last == 0);
    CHECK(!finished || !room || last == s->before + 1);
    if (last) CHECK_INT(0, take(s));
    check_works(s);
}

static void check_take(void *state, bool finished) {
    state_t *s = state;
    unsigned first = take(s);
    if (s->before == 0) {
        CHECK_INT(0, first);
    } else if (first == 1) { /* it was left, or came back */
        CHECK(!finished);
        for (unsigned i = 2; i <= s->before; i++) CHECK_INT(i, take(s));
    } else if (s->before > 1) {
        CHECK_INT(2, first);
        for (unsigned i = 3; i <= s->before; i++) CHECK_INT(i, take(s));
    }
    CHECK_INT(0, s->before ? take(s) : 0);
    check_works(s);
}

/* The first so many of them are there, without a gap. */
static void check_put_many(void *state, bool finished) {
    state_t *s = state;
    apr_size_t size;
    size = cohort_queue_size(s->queue);
    unsigned next = 1, number;
    for (; (number = take(s)) != 0; next++) CHECK_INT(next, number);
    CHECK_INT(size, next - 1);
    CHECK(next - 1 >= s->before && next - 1 <= s->before + MANY);
    CHECK(!finished || !s->capacity ||
          next - 1 == (s->before + MANY < s->capacity ? s->before + MANY : s->capacity));
    check_works(s);
}

static void check_take_many(void *state, bool finished) {
    state_t *s = state;
    apr_size_t size;
    size = cohort_queue_size(s->queue);
    unsigned number = take(s), next = number;
    CHECK(!finished || number == (s->before > MANY ? MANY + 1 : 0));
    for (; number != 0; number = take(s), next++) CHECK_INT(next, number);
    CHECK(next == 0 || next == s->before + 1);
    CHECK(next != 0 || size == 0);
    check_works(s);
}

static void discard(void *state) {
    state_t *s = state;
    if (s->queue) CHECK_STATUS(APR_SUCCESS, cohort_queue_destroy(s->queue));
    if (s->receiver) CHECK_STATUS(APR_SUCCESS, cohort_connection_close(s->receiver));
    if (s->sender) CHECK_STATUS(APR_SUCCESS, cohort_connection_close(s->sender));
    CHECK_STATUS(APR_SUCCESS, cohort_free(s));
}

#define CASE(function, prepare_, operate_, check_)                                   \
    STEP_CASES(function, .prepare = prepare_, .warm = warm_put, .operate = operate_, \
               .check = check_, .discard = discard)

CASE(put_empty, empty_small, put_one, check_put)
CASE(put_some, some_small, put_one, check_put)
CASE(put_last_slot, almost_full_small, put_one, check_put)
CASE(put_full, full_small, put_one, check_put)
CASE(put_medium, some_medium, put_one, check_put)
CASE(put_large, some_large, put_one, check_put)
CASE(put_unbounded, unbounded, put_one, check_put)
CASE(get_empty, empty_small, take_one, check_take)
CASE(get_some, some_small, take_one, check_take)
CASE(get_full, full_small, take_one, check_take)
CASE(get_single_slot, single_slot, take_one, check_take)
CASE(get_medium, some_medium, take_one, check_take)
CASE(get_large, some_large, take_one, check_take)
CASE(get_unbounded, unbounded, take_one, check_take)
CASE(put_run, some_small, put_many, check_put_many)
CASE(put_run_unbounded, unbounded, put_many, check_put_many)
CASE(get_run, full_small, take_many, check_take_many)
CASE(get_run_all, some_small, take_many, check_take_many)
CASE(put_blocked, full_small, put_in_vain, check_put)
CASE(put_blocked_large, full_large, put_in_vain, check_put)
CASE(get_blocked, empty_small, take_in_vain, check_take)
CASE(pipe_recv_blocked, pipe_empty, take_in_vain, check_take)
CASE(pipe_send, pipe_small, put_one, check_put)
CASE(pipe_send_large, pipe_large, put_one, check_put)
CASE(pipe_recv, pipe_small, take_one, check_take)
CASE(pipe_recv_large, pipe_large, take_one, check_take)

#define ENTRIES(function) \
    {"StepQueue", #function, function}, { "StepQueue", #function "_repair", function##_repair }
const test_case_t step_queue_cases[] = {
    ENTRIES(put_empty),       ENTRIES(put_some),          ENTRIES(put_last_slot),
    ENTRIES(put_full),        ENTRIES(put_medium),        ENTRIES(put_large),
    ENTRIES(put_unbounded),   ENTRIES(get_empty),         ENTRIES(get_some),
    ENTRIES(get_full),        ENTRIES(put_run),           ENTRIES(put_run_unbounded),
    ENTRIES(get_run),         ENTRIES(get_run_all),       ENTRIES(get_medium),
    ENTRIES(get_single_slot), ENTRIES(get_large),         ENTRIES(get_unbounded),
    ENTRIES(pipe_send),       ENTRIES(pipe_send_large),   ENTRIES(pipe_recv),
    ENTRIES(pipe_recv_large), ENTRIES(put_blocked),       ENTRIES(put_blocked_large),
    ENTRIES(get_blocked),     ENTRIES(pipe_recv_blocked), {0}};
