/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A closed queue and the last message, from the inside: a put or a get that is in the middle when
 * the queue is closed, which then commits, gives back or dies; and a put that has looked before the
 * close and claims after it.
 */
#include "threads.h"

#include "core/object/queue.h"
#include "core/object/ring_claim.h"

#include <cohort/cohort.h>

#define LARGE 5000 /* bytes of a message out of line */

typedef enum { COMMITS, GIVES_BACK, DIES, ENDS } end_t;

typedef struct {
    cohort_queue_t *queue;
    _Atomic int *ready, *go;
    end_t end;
    size_t size;
    apr_status_t expected; /* of a get that waits meanwhile */
} args_t;

static args_t new_args(apr_size_t capacity, int joinable, end_t end, size_t size) {
    cohort_queue_options_t options = {.capacity = capacity, .joinable = joinable};
    args_t a = {.end = end, .size = size};
    CHECK_STATUS(APR_SUCCESS, cohort_queue_create(&a.queue, &options, test_pool()));
    a.ready = party_memory(sizeof(int));
    a.go = party_memory(sizeof(int));
    return a;
}

static apr_status_t put(cohort_queue_t *queue, size_t size) {
    static const char zeroes[LARGE];
    return cohort_queue_put(queue, zeroes, size, 0);
}

static apr_status_t get(cohort_queue_t *queue, apr_interval_time_t timeout) {
    char room[LARGE];
    apr_size_t size;
    return cohort_queue_get(queue, room, sizeof room, &size, timeout);
}

static cohort__call_t call_on(cohort_queue_t *queue) {
    cohort__call_t call;
    CHECK_STATUS(APR_SUCCESS, cohort__queue_begin(queue, &call));
    return call;
}

static void wait_to_go_on(args_t *a) {
    atomic_fetch_add(a->ready, 1);
    party_await(a->go, 1);
    if (a->end == DIES) party_wait_for_death();
}

/* A put by its steps, which waits between the claim and the commit. */
static int put_in_steps(void *data) {
    args_t *a = data;
    cohort__call_t call = call_on(a->queue);
    cohort__ring_t *ring = &a->queue->ring;
    cohort__segment_t *segment = cohort__segment_hold(&call, &ring->tail);
    uint64_t p = atomic_load(&segment->tail);
    cohort__cell_t *cell = cohort__cell_at(segment, p);
    CHECK(cohort__cell_claim(call.me, cohort__record(call.me), cell, p, COHORT__CELL_FREE));
    wait_to_go_on(a);
    atomic_store(&cell->size, 0);
    cohort__cell_publish(cell, p);
    cohort__tail_raise(segment, p, cohort__step(segment, p, 1));
    cohort__op_end(call.me);
    cohort__notify(&ring->items, 1);
    return 0;
}

static apr_status_t while_reading(void *data) {
    args_t *a = data;
    wait_to_go_on(a);
    return a->end == GIVES_BACK ? APR_ENOMEM : APR_SUCCESS;
}

static int get_in_steps(void *data) {
    args_t *a = data;
    cohort__call_t call = call_on(a->queue);
    char room[LARGE];
    cohort__receive_t r = {.how = COHORT__RECEIVE_INTO,
                           .data = room,
                           .capacity = sizeof room,
                           .claimed = while_reading,
                           .arg = a};
    apr_status_t status = cohort__ring_get(&call, &a->queue->ring, &r, true);
    CHECK_STATUS(a->end == GIVES_BACK ? APR_ENOMEM : APR_SUCCESS, status);
    return 0;
}

/* Waits for the last message, gets it or is told that there is none, and then is told so. */
static int wait_for_the_last(void *data) {
    args_t *a = data;
    atomic_fetch_add(a->ready, 1);
    CHECK_STATUS(a->expected, get(a->queue, COHORT_FOREVER));
    CHECK_STATUS(COHORT_ECLOSED, get(a->queue, COHORT_FOREVER));
    return 0;
}

/* The queue is closed while a child is in the middle; another one waits meanwhile. Nobody is told
 * that it is over before it is. */
static void close_around(args_t *a, cohort_target_t middle, bool comes) {
    cohort_process_t *child = party_start(middle, a, sizeof *a), *waits;
    party_await(a->ready, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_queue_close(a->queue));
    a->expected = comes ? APR_SUCCESS : COHORT_ECLOSED;
    waits = party_start(wait_for_the_last, a, sizeof *a);
    party_await(a->ready, 2);
    for (int i = 0; i < 3; i++) CHECK_STATUS(APR_EAGAIN, get(a->queue, 0));
    CHECK_STATUS(APR_TIMEUP, get(a->queue, 1000));
    CHECK(cohort_process_is_alive(waits));
    atomic_store(a->go, 1);
    if (a->end == DIES) party_kill(child);
    else party_finish(child);
    party_finish(waits);
    CHECK_STATUS(COHORT_ECLOSED, get(a->queue, 0));
    CHECK_INT(0, cohort_queue_size(a->queue));
    CHECK_STATUS(COHORT_ECLOSED, put(a->queue, 1));
}

static void a_put_is_in_the_middle(void) {
    for (apr_size_t capacity = 0; capacity < 4; capacity++) {
        for (end_t end = COMMITS; end < ENDS; end++) {
            if (end == GIVES_BACK) continue;
            args_t a = new_args(capacity, capacity % 2, end, 0);
            close_around(&a, put_in_steps, end == COMMITS);
        }
    }
}

static void a_get_is_in_the_middle(void) {
    for (apr_size_t capacity = 0; capacity < 4; capacity++) {
        for (end_t end = COMMITS; end < ENDS; end++) {
            args_t a = new_args(capacity, 0, end, capacity % 2 ? 10 : LARGE);
            CHECK_STATUS(APR_SUCCESS, put(a.queue, a.size));
            close_around(&a, get_in_steps, end != COMMITS);
        }
    }
}

/* What a discard finds in the middle of a get is its getter's, and thrown away if it comes back;
 * what it finds in the middle of a put is put, and thrown away. */
static int discard_it(void *data) {
    args_t *a = data;
    atomic_fetch_add(a->ready, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_queue_discard(a->queue));
    CHECK_STATUS(COHORT_ECLOSED, get(a->queue, 0));
    return 0;
}

static void discard_around(args_t *a, cohort_target_t middle) {
    cohort_process_t *child = party_start(middle, a, sizeof *a), *others[3];
    party_await(a->ready, 1);
    others[0] = party_start(discard_it, a, sizeof *a);
    while (!cohort_queue_is_closed(a->queue)) apr_sleep(500);
    a->expected = COHORT_ECLOSED;
    others[1] = party_start(wait_for_the_last, a, sizeof *a);
    others[2] = party_start(discard_it, a, sizeof *a);
    party_await(a->ready, 4);
    CHECK_STATUS(APR_EAGAIN, get(a->queue, 0));
    if (a->queue->joinable) CHECK_STATUS(APR_EAGAIN, cohort_queue_join(a->queue, 0));
    for (int i = 0; i < 3; i++) CHECK(cohort_process_is_alive(others[i]));
    atomic_store(a->go, 1);
    if (a->end == DIES) party_kill(child);
    else party_finish(child);
    parties_finish(others, 3);
    CHECK_INT(0, cohort_queue_size(a->queue));
    if (a->queue->joinable) CHECK_STATUS(APR_SUCCESS, cohort_queue_join(a->queue, 0));
}

static void discarded_in_the_middle(void) {
    for (apr_size_t capacity = 0; capacity < 3; capacity++) {
        for (end_t end = COMMITS; end < ENDS; end++) {
            apr_uint64_t before = blocks_in_use();
            args_t a = new_args(capacity, 1, end, capacity % 2 ? 10 : LARGE);
            CHECK_STATUS(APR_SUCCESS, put(a.queue, a.size));
            discard_around(&a, get_in_steps);
            CHECK_STATUS(APR_SUCCESS, cohort_queue_destroy(a.queue));
            CHECK_INT(before + 2, blocks_in_use()); /* the counters */
            if (end == GIVES_BACK) continue;
            a = new_args(capacity, 0, end, 0);
            discard_around(&a, put_in_steps);
        }
    }
}

/* ---- a put that has looked too early -------------------------------------------------------- */

/* In this process, since nothing has to be killed: the position that it is about to claim, and a
 * whole try of it. */
static void try_to_put_late(cohort_queue_t *queue, cohort__segment_t *segment, uint64_t p) {
    cohort__call_t call = call_on(queue);
    cohort__send_t send = {"late", 4, false};
    cohort_message_t message = {.data = "late", .size = 4};
    if (cohort__is_within(segment, p)) {
        CHECK(cohort__segment_hold(&call, &queue->ring.tail) == segment);
        CHECK(!cohort__cell_claim(call.me, cohort__record(call.me), cohort__cell_at(segment, p), p,
                                  COHORT__CELL_FREE));
        cohort__op_end(call.me);
    }
    CHECK_INT(0, cohort__ring_put_run(&call, &queue->ring, &message, 1));
    for (int thorough = 0; thorough < 2; thorough++) {
        apr_status_t status = cohort__ring_put(&call, &queue->ring, &send, thorough);
        CHECK(status == APR_EAGAIN || status == COHORT_ECLOSED);
    }
    CHECK_INT(0, cohort_queue_size(queue));
    CHECK_STATUS(COHORT_ECLOSED, get(queue, 0));
}

/* After so many messages; of an unbounded queue, so that its segment is all claimed, or is the next
 * one's turn. */
static void none_is_put_late(void) {
    for (apr_size_t capacity = 0; capacity < 4; capacity++) {
        args_t first = new_args(capacity, 0, COMMITS, 0);
        uint64_t cells = atomic_load(&first.queue->ring.tail)->cells;
        for (uint64_t n = 0; n < 2 * cells + 2; n += n + 2 < cells ? cells / 2 + 1 : 1) {
            args_t a = new_args(capacity, 0, COMMITS, 0);
            for (uint64_t i = 0; i < n; i++) {
                CHECK_STATUS(APR_SUCCESS, put(a.queue, 1));
                CHECK_STATUS(APR_SUCCESS, get(a.queue, 0));
            }
            cohort__segment_t *segment = atomic_load(&a.queue->ring.tail);
            uint64_t p = atomic_load(&segment->tail);
            CHECK_STATUS(APR_SUCCESS, cohort_queue_close(a.queue));
            CHECK_STATUS(COHORT_ECLOSED, get(a.queue, 0));
            try_to_put_late(a.queue, segment, p);
            CHECK_STATUS(APR_SUCCESS, cohort_queue_destroy(a.queue));
        }
    }
}

/* It claims after the close, but before anybody has found the queue empty: then it is in. */
static void a_late_claim_comes_out(void) {
    for (apr_size_t capacity = 0; capacity < 3; capacity++) {
        args_t a = new_args(capacity, 0, COMMITS, 0);
        CHECK_STATUS(APR_SUCCESS, cohort_queue_close(a.queue));
        cohort__call_t call = call_on(a.queue);
        cohort__send_t send = {"late", 4, false};
        CHECK_STATUS(APR_SUCCESS, cohort__ring_put(&call, &a.queue->ring, &send, true));
        CHECK_INT(1, cohort_queue_size(a.queue));
        CHECK_STATUS(APR_SUCCESS, get(a.queue, COHORT_FOREVER));
        CHECK_STATUS(COHORT_ECLOSED, get(a.queue, 0));
    }
}

const test_case_t ring_close_cases[] = {
    {"RingClose", "a_put_is_in_the_middle", a_put_is_in_the_middle},
    {"RingClose", "a_get_is_in_the_middle", a_get_is_in_the_middle},
    {"RingClose", "discarded_in_the_middle", discarded_in_the_middle},
    {"RingClose", "none_is_put_late", none_is_put_late},
    {"RingClose", "a_late_claim_comes_out", a_late_claim_comes_out},
    {0},
};
