/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Pipes: which process holds what, and what is left when senders and receivers are killed. */
#include "pipes.h"

#include <stdlib.h>

/* ---- holding -------------------------------------------------------------------------------- */

static int wait_for_death(void *data) {
    args_t *a = data;
    atomic_fetch_add(a->ready, 1);
    party_wait_for_death();
}

/* The receiver waits before the sender dies, and the sender's end is given up by that alone. */
static void eof_when_the_other_side_is_killed(void) {
    args_t a = new_args(0);
    cohort_process_t *child = start_with(a.far, wait_for_death, &a);
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(a.far));
    party_await(a.ready, 1);
    CHECK_STATUS(APR_TIMEUP, receive_any(a.end, A_WHILE));
    CHECK_STATUS(APR_SUCCESS, cohort_process_kill(child));
    CHECK_STATUS(APR_EOF, receive_any(a.end, FOREVER));
    CHECK_STATUS(APR_EOF, cohort_connection_send(a.end, "x", 1, FOREVER));
    party_end(child, -9);
}

/* A send that has room notices too. */
static void send_to_the_dead(void) {
    args_t a = new_args(1);
    cohort_process_t *child = start_with(a.end, wait_for_death, &a);
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(a.end));
    party_await(a.ready, 1);
    send_text(a.far, "nobody will read this");
    party_kill(child);
    CHECK_STATUS(APR_EOF, cohort_connection_send(a.far, "x", 1, 0));
}

static int fill_until_eof(void *data) {
    args_t *a = data;
    apr_status_t status = APR_SUCCESS;
    while (status == APR_SUCCESS) {
        status = cohort_connection_send(a->far, "x", 1, FOREVER);
        atomic_fetch_add(a->sent, 1);
    }
    CHECK_STATUS(APR_EOF, status);
    return 0;
}

static void blocked_sender_sees_the_end(void) {
    args_t a = new_args(1);
    cohort_process_t *child = start_with(a.far, fill_until_eof, &a);
    party_await(a.sent, 64);
    apr_sleep(A_WHILE);
    CHECK(cohort_process_is_alive(child));
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(a.end));
    party_finish(child);
}

static int hold_until_asked(void *data) {
    args_t *a = data;
    atomic_fetch_add(a->ready, 1);
    check_text("go", a->end);
    return 0;
}

/* More holders than fit the object; the end is open until the last of them is gone. */
static void many_holders(void) {
    enum { HOLDERS = 15 };
    args_t a = new_args(0);
    cohort_process_t *holders[HOLDERS];
    for (int i = 0; i < HOLDERS; i++) holders[i] = start_with(a.end, hold_until_asked, &a);
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(a.end));
    party_await(a.ready, HOLDERS);
    for (int i = 0; i < HOLDERS / 3; i++) party_kill(holders[i]);
    CHECK_STATUS(APR_TIMEUP, receive_any(a.far, A_WHILE));
    for (int i = HOLDERS / 3; i < HOLDERS; i++) send_text(a.far, "go");
    for (int i = HOLDERS / 3; i < HOLDERS; i++) party_finish(holders[i]);
    CHECK_STATUS(APR_EOF, receive_any(a.far, FOREVER));
}

static int use_what_was_not_given(void *data) {
    args_t *a = data;
    send_text(a->far, "mine now");
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(a->far));
    CHECK_STATUS(COHORT_ECLOSED, cohort_connection_send(a->far, "x", 1, 0));
    return 0;
}

static int find_closed(void *data) {
    args_t *a = data;
    CHECK_STATUS(COHORT_ECLOSED, cohort_connection_send(a->far, "x", 1, 0));
    CHECK_STATUS(COHORT_ECLOSED, receive_any(a->far, 0));
    return 0;
}

static void using_an_end_holds_it(void) {
    args_t a = new_args(0);
    party_finish(party_start(use_what_was_not_given, &a, sizeof a));
    check_text("mine now", a.end);
    CHECK_STATUS(APR_EAGAIN, receive_any(a.end, 0)); /* this process still holds the far end too */
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(a.far));
    CHECK_STATUS(APR_EOF, receive_any(a.end, 0));
    /* closed for good: no process gets hold of it again */
    party_finish(party_start(find_closed, &a, sizeof a));
}

/* Given at create, held from then on, and given up with the process' handle if it is never
 * started. */
static void a_process_that_is_not_started_holds_its_ends(void) {
    args_t a = new_args(0);
    cohort_process_options_t options = {.connections = &a.far, .n_connections = 1};
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_create(&process, send_hello, &a, sizeof a, &options, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(a.far));
    CHECK_STATUS(APR_TIMEUP, receive_any(a.end, A_WHILE));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
    check_text("hello", a.end);
    party_finish(process);

    a = new_args(0);
    options.connections = &a.far;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_create(&process, send_hello, &a, sizeof a, &options, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(a.far));
    CHECK_STATUS(APR_EAGAIN, receive_any(a.end, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(process));
    CHECK_STATUS(APR_EOF, receive_any(a.end, 0));
}

/* ---- traffic and deaths --------------------------------------------------------------------- */

/* The last thousand when told. */
static int send_traffic(void *data) {
    args_t *a = data;
    traffic_t *m = apr_palloc(test_pool(), sizeof *m);
    for (int i = 0; i < a->messages; i++) {
        CHECK_STATUS(APR_SUCCESS,
                     cohort_connection_send(a->far, m, traffic_make(m, a->sender, i), FOREVER));
        atomic_store(a->sent, i + 1);
        if (i == a->messages - 1000) party_await(a->ready, 1);
    }
    return 0;
}

/* Until EOF. */
static int receive_traffic(void *data) {
    args_t *a = data;
    traffic_t *m = apr_palloc(test_pool(), sizeof *m);
    apr_status_t status;
    for (;;) {
        apr_size_t size;
        status = cohort_connection_recv(a->end, m, sizeof *m, &size, FOREVER);
        if (status) break;
        traffic_check(m, size);
        tally_count(a->tally, m);
    }
    CHECK_STATUS(APR_EOF, status);
    return 0;
}

static void a_sender_dies(void) {
    for (int round = 0; round < 15; round++) {
        args_t a = new_args(round % 2);
        a.messages = 20000;
        a.tally = tally_new(1, a.messages);
        cohort_process_t *victim = start_with(a.far, send_traffic, &a),
                         *receiver = start_with(a.end, receive_traffic, &a);
        CHECK_STATUS(APR_SUCCESS, cohort_connection_close(a.far));
        CHECK_STATUS(APR_SUCCESS, cohort_connection_close(a.end));
        party_await(a.sent, 20);
        apr_sleep(round * 37 % 300);
        party_kill(victim);
        party_finish(receiver); /* all that was sent, whole, and then EOF */
        int sent = atomic_load(a.sent);
        CHECK_INT(0, tally_missing(a.tally, 0, sent));
        CHECK(atomic_load(&a.tally->got) <= sent + 1);
    }
}

/* Two receive at one end. One dies; the other gets what is left, also what the dead one was in the
 * middle of receiving, before EOF. */
static void a_receiver_dies(void) {
    for (int round = 0; round < 15; round++) {
        args_t a = new_args(1);
        a.messages = 5000;
        a.tally = tally_new(1, a.messages);
        cohort_process_t *victim = start_with(a.end, receive_traffic, &a),
                         *other = start_with(a.end, receive_traffic, &a);
        cohort_process_t *sender = start_with(a.far, send_traffic, &a);
        CHECK_STATUS(APR_SUCCESS, cohort_connection_close(a.far));
        CHECK_STATUS(APR_SUCCESS, cohort_connection_close(a.end));
        party_await(&a.tally->got, 100 + round * 50);
        apr_sleep(round * 37 % 300);
        party_kill(victim);
        atomic_store(a.ready, 1);
        party_finish(sender);
        party_finish(other);
        CHECK(tally_missing(a.tally, 0, a.messages) <= 1); /* received and not counted any more */
    }
}

#define SLOW_TO_COPY (16 << 20) /* bytes: time enough to be killed in the middle */

static int receive_slowly(void *data) {
    args_t *a = data;
    apr_size_t size;
    void *buffer = malloc(SLOW_TO_COPY);
    CHECK(buffer != NULL);
    atomic_store(a->ready, 1);
    CHECK_STATUS(APR_SUCCESS,
                 cohort_connection_recv(a->end, buffer, SLOW_TO_COPY, &size, COHORT_FOREVER));
    party_wait_for_death();
}

/* One child after the other is killed while it receives the message, until one was in the middle of
 * it. */
static void what_came_back_from_the_dead_says_so(void) {
    args_t a = new_args(1);
    char *buffer = malloc(SLOW_TO_COPY);
    cohort_message_t message = {.returned = 0};
    CHECK(buffer != NULL);
    memset(buffer, 7, SLOW_TO_COPY);
    while (!message.returned) {
        apr_status_t status = cohort_connection_send(a.far, buffer, SLOW_TO_COPY, 0);
        /* the last one died too early */
        CHECK(status == APR_SUCCESS || APR_STATUS_IS_EAGAIN(status));
        atomic_store(a.ready, 0);
        cohort_process_t *receiver = start_with(a.end, receive_slowly, &a);
        party_await(a.ready, 1);
        party_kill(receiver);
        message = (cohort_message_t){
            .data = buffer, .size = SLOW_TO_COPY, .capacity = SLOW_TO_COPY, .returned = 4711};
        status = cohort_connection_recv_message(a.end, &message, 0);
        if (APR_STATUS_IS_EAGAIN(status)) message.returned = 0; /* it died too late */
        else CHECK_STATUS(APR_SUCCESS, status);
        CHECK(message.returned == 0 || message.returned == 1);
        CHECK_INT(SLOW_TO_COPY, message.size);
        CHECK(buffer[0] == 7 && buffer[SLOW_TO_COPY - 1] == 7);
    }
    CHECK_STATUS(APR_SUCCESS, cohort_connection_send(a.far, "x", 1, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_connection_recv_message(a.end, &message, 0));
    CHECK_INT(0, message.returned);
    CHECK_INT(1, message.size);
    CHECK_STATUS(APR_EINVAL, cohort_connection_recv_message(a.end, NULL, 0));
    free(buffer);
}

static int talk_and_leave(void *data) {
    args_t *a = data;
    char large[3000] = "";
    CHECK_STATUS(APR_SUCCESS,
                 cohort_connection_send(a->messages ? a->far : a->end, large, sizeof large, 0));
    atomic_fetch_add(a->ready, 1);
    if (a->messages == 2) party_wait_for_death();
    party_await(a->ready, 2);
    return 0;
}

/* No process closes anything, one child ends and the other is killed: the pipe between them, and
 * what is in it, is freed all the same. */
static void what_the_dead_held_is_freed(void) {
    apr_uint64_t blocks = 0;
    for (int round = 0; round < 5; round++) {
        args_t a = {.ready = party_memory(sizeof(int))};
        CHECK_STATUS(APR_SUCCESS, cohort_pipe_create(&a.end, &a.far, NULL, NULL));
        cohort_process_t *one = start_with(a.end, talk_and_leave, &a);
        a.messages = 2;
        cohort_process_t *other = start_with(a.far, talk_and_leave, &a);
        CHECK_STATUS(APR_SUCCESS, cohort_connection_close(a.end));
        CHECK_STATUS(APR_SUCCESS, cohort_connection_close(a.far));
        party_await(a.ready, 2);
        party_finish(one);
        party_kill(other);
        CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(other));
        CHECK_STATUS(COHORT_EHANDLE, cohort_connection_poll(a.end, 0));
        CHECK_STATUS(APR_SUCCESS, cohort_free((void *)a.ready));
        if (round == 0) blocks = blocks_in_use();
    }
    CHECK_INT(blocks, blocks_in_use());
}

const test_case_t pipe_holders_cases[] = {
    {"Pipe", "eof_when_the_other_side_is_killed", eof_when_the_other_side_is_killed},
    {"Pipe", "send_to_the_dead", send_to_the_dead},
    {"Pipe", "blocked_sender_sees_the_end", blocked_sender_sees_the_end},
    {"Pipe", "many_holders", many_holders},
    {"Pipe", "using_an_end_holds_it", using_an_end_holds_it},
    {"Pipe", "a_process_that_is_not_started_holds_its_ends",
     a_process_that_is_not_started_holds_its_ends},
    {"Pipe", "a_sender_dies", a_sender_dies},
    {"Pipe", "a_receiver_dies", a_receiver_dies},
    {"Pipe", "what_the_dead_held_is_freed", what_the_dead_held_is_freed},
    {"Pipe", "what_came_back_from_the_dead_says_so", what_came_back_from_the_dead_says_so},
    {0},
};
