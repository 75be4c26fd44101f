/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Queues: many senders and receivers at once, and what is left when some of them are killed. */
#include "queues.h"

#include <stdlib.h>

/* ---- many at once --------------------------------------------------------------------------- */

static int send_traffic(void *data) {
    args_t *a = data;
    traffic_t *m = apr_palloc(test_pool(), sizeof *m);
    for (int i = 0; i < a->messages; i++) {
        apr_size_t size = traffic_make(m, a->sender, i);
        CHECK_STATUS(APR_SUCCESS, cohort_queue_put(a->queue, m, size, COHORT_FOREVER));
        atomic_store(&a->sent[a->sender], i + 1);
    }
    return 0;
}

static int send_traffic_and_stay(void *data) {
    (void)send_traffic(data);
    party_wait_for_death();
}

static bool receive_one(args_t *a, traffic_t *m, int *last, apr_interval_time_t timeout) {
    apr_size_t size;
    apr_status_t status = cohort_queue_get(a->queue, m, sizeof *m, &size, timeout);
    if (status == APR_EAGAIN || (!status && size == 0)) return false;
    CHECK_STATUS(APR_SUCCESS, status);
    traffic_check(m, size);
    tally_count(a->tally, m);
    if (last) {
        CHECK(m->number > last[m->sender]); /* what one thread receives of one sender is in order */
        last[m->sender] = m->number;
    }
    return true;
}

static int receive_traffic(void *data) {
    args_t *a = data;
    traffic_t *m = apr_palloc(test_pool(), sizeof *m);
    int last[16];
    for (int i = 0; i < 16; i++) last[i] = -1;
    atomic_fetch_add(a->ready, 1);
    while (receive_one(a, m, last, COHORT_FOREVER)) continue;
    return 0;
}

/* As above, but a message may come back from the dead late. */
static int receive_traffic_in_any_order(void *data) {
    args_t *a = data;
    traffic_t *m = apr_palloc(test_pool(), sizeof *m);
    atomic_fetch_add(a->ready, 1);
    while (receive_one(a, m, NULL, COHORT_FOREVER)) continue;
    return 0;
}

static args_t traffic_args(apr_size_t capacity, int senders, int messages) {
    args_t a = {.queue = new_queue(capacity, 0),
                .tally = tally_new(senders, messages),
                .messages = messages};
    a.ready = party_memory(sizeof(int));
    a.sent = party_memory(sizeof(int) * (apr_size_t)senders);
    return a;
}

static void start_senders(args_t *a, cohort_process_t **senders, int count) {
    for (a->sender = 0; a->sender < count; a->sender++)
        senders[a->sender] = party_start(send_traffic, a, sizeof *a);
}

static void end_receivers(args_t *a, cohort_process_t **receivers, int count) {
    for (int i = 0; i < count; i++)
        CHECK_STATUS(APR_SUCCESS, cohort_queue_put(a->queue, NULL, 0, COHORT_FOREVER));
    parties_finish(receivers, count);
}

static void crowd(apr_size_t capacity) {
    enum { SENDERS = 2, RECEIVERS = 2, MESSAGES = 3000 };
    cohort_process_t *senders[SENDERS], *receivers[RECEIVERS];
    args_t a = traffic_args(capacity, SENDERS, MESSAGES);
    parties_start(receivers, RECEIVERS, receive_traffic, &a, sizeof a);
    start_senders(&a, senders, SENDERS);
    parties_finish(senders, SENDERS);
    end_receivers(&a, receivers, RECEIVERS);
    CHECK_INT(SENDERS * MESSAGES, atomic_load(&a.tally->got));
    for (int i = 0; i < SENDERS; i++) CHECK_INT(0, tally_missing(a.tally, i, MESSAGES));
    check_state(a.queue, 0, 1, 0);
    CHECK_STATUS(APR_SUCCESS, cohort_queue_destroy(a.queue));
}

static void many_senders_and_receivers_bounded(void) {
    crowd(1);
    crowd(3);
    crowd(64);
}

static void many_senders_and_receivers_unbounded(void) { crowd(0); }

static void *APR_THREAD_FUNC thread_receives(apr_thread_t *thread, void *data) {
    (void)thread;
    (void)receive_traffic(data);
    return NULL;
}

static void *APR_THREAD_FUNC thread_sends(apr_thread_t *thread, void *data) {
    (void)thread;
    (void)send_traffic(data);
    return NULL;
}

static void threads_of_one_process(void) {
    enum { EACH = 2, MESSAGES = 2000 };
    apr_thread_t *threads[2 * EACH];
    args_t a = traffic_args(4, EACH, MESSAGES), each[EACH];
    for (int i = 0; i < EACH; i++) {
        each[i] = a;
        each[i].sender = i;
        threads[i] = party_thread(thread_sends, &each[i]);
        threads[EACH + i] = party_thread(thread_receives, &each[i]);
    }
    for (int i = 0; i < EACH; i++) party_thread_finish(threads[i]);
    for (int i = 0; i < EACH; i++)
        CHECK_STATUS(APR_SUCCESS, cohort_queue_put(a.queue, NULL, 0, COHORT_FOREVER));
    for (int i = EACH; i < 2 * EACH; i++) party_thread_finish(threads[i]);
    CHECK_INT(EACH * MESSAGES, atomic_load(&a.tally->got));
}

/* ---- deaths --------------------------------------------------------------------------------- */

/* A message is counted after its get, so a receiver that is killed may have one that no process
 * counted. */
static void killing_receivers(apr_size_t capacity) {
    enum { KILLS = 12, SENDERS = 2, MESSAGES = 4000 };
    cohort_process_t *senders[SENDERS], *receivers[2], *victim;
    args_t a = traffic_args(capacity, SENDERS, MESSAGES);
    start_senders(&a, senders, SENDERS);
    for (int i = 0; i < KILLS; i++) {
        int before = atomic_load(&a.tally->got);
        atomic_store(a.ready, 0);
        victim = party_start(receive_traffic_in_any_order, &a, sizeof a);
        party_await(a.ready, 1);
        while (before < SENDERS * (MESSAGES - 100) && atomic_load(&a.tally->got) < before + 50)
            apr_sleep(100);
        apr_sleep(i * 37 % 300);
        party_kill(victim);
    }
    parties_start(receivers, 2, receive_traffic_in_any_order, &a, sizeof a);
    parties_finish(senders, SENDERS);
    end_receivers(&a, receivers, 2);
    int missing = 0;
    for (int i = 0; i < SENDERS; i++) missing += tally_missing(a.tally, i, MESSAGES);
    CHECK(missing <= KILLS);
    check_state(a.queue, 0, 1, 0);
    CHECK_STATUS(APR_SUCCESS, cohort_queue_destroy(a.queue));
}

static void receivers_die(void) {
    killing_receivers(1);
    killing_receivers(16);
}

static void receivers_die_unbounded(void) { killing_receivers(0); }

/* What a dead sender had put, and at most the one that it could not write down any more,
 * arrives. */
static void killing_senders(apr_size_t capacity) {
    enum { SENDERS = 10, MESSAGES = 20000 };
    cohort_process_t *receivers[2], *steady, *victim;
    args_t a = traffic_args(capacity, SENDERS + 1, MESSAGES);
    parties_start(receivers, 2, receive_traffic_in_any_order, &a, sizeof a);
    a.sender = SENDERS;
    a.messages = 3000;
    steady = party_start(send_traffic, &a, sizeof a);
    a.messages = MESSAGES;
    for (a.sender = 0; a.sender < SENDERS; a.sender++) {
        victim = party_start(send_traffic_and_stay, &a, sizeof a);
        party_await(&a.sent[a.sender], 40);
        apr_sleep(a.sender * 41 % 300);
        party_kill(victim);
    }
    party_finish(steady);
    end_receivers(&a, receivers, 2);
    int sent = 3000;
    CHECK_INT(0, tally_missing(a.tally, SENDERS, 3000));
    for (int i = 0; i < SENDERS; i++) {
        sent += atomic_load(&a.sent[i]);
        CHECK_INT(0, tally_missing(a.tally, i, atomic_load(&a.sent[i])));
    }
    CHECK(atomic_load(&a.tally->got) >= sent && atomic_load(&a.tally->got) <= sent + SENDERS);
    check_state(a.queue, 0, 1, 0);
    CHECK_STATUS(APR_SUCCESS, cohort_queue_destroy(a.queue));
}

static void senders_die(void) {
    killing_senders(1);
    killing_senders(16);
}

static void senders_die_unbounded(void) { killing_senders(0); }

/* A process that is killed in the middle of traffic leaves no block behind. */
static void deaths_leave_no_memory(void) {
    apr_uint64_t before = 0;
    for (int round = 0; round < 3; round++) {
        killing_receivers(4);
        killing_senders(0);
        if (round == 0) before = blocks_in_use();
    }
    /* The tallies are two blocks and two arrays each round, and nothing else stays. */
    CHECK_INT(before + 2 * 6, blocks_in_use());
}

#define SLOW_TO_COPY (16 << 20) /* bytes: time enough to be killed in the middle */

static int get_slowly(void *data) {
    args_t *a = data;
    apr_size_t size;
    void *buffer = malloc(SLOW_TO_COPY);
    CHECK(buffer != NULL);
    atomic_store(a->ready, 1);
    CHECK_STATUS(APR_SUCCESS,
                 cohort_queue_get(a->queue, buffer, SLOW_TO_COPY, &size, COHORT_FOREVER));
    party_wait_for_death();
}

/* One child after the other is killed while it gets the message, until one was in the middle of
 * it. */
static void what_came_back_from_the_dead_says_so(void) {
    args_t a = {.queue = new_queue(1, 0), .ready = party_memory(sizeof(int))};
    char *buffer = malloc(SLOW_TO_COPY);
    cohort_message_t message = {.returned = 0};
    CHECK(buffer != NULL);
    memset(buffer, 7, SLOW_TO_COPY);
    while (!message.returned) {
        apr_status_t status = cohort_queue_put(a.queue, buffer, SLOW_TO_COPY, 0);
        /* the last one died too early */
        CHECK(status == APR_SUCCESS || APR_STATUS_IS_EAGAIN(status));
        atomic_store(a.ready, 0);
        cohort_process_t *getter = party_start(get_slowly, &a, sizeof a);
        party_await(a.ready, 1);
        party_kill(getter);
        message = (cohort_message_t){
            .data = buffer, .size = SLOW_TO_COPY, .capacity = SLOW_TO_COPY, .returned = 4711};
        status = cohort_queue_get_message(a.queue, &message, 0);
        if (APR_STATUS_IS_EAGAIN(status)) message.returned = 0; /* it died too late */
        else CHECK_STATUS(APR_SUCCESS, status);
        CHECK(message.returned == 0 || message.returned == 1);
        CHECK_INT(SLOW_TO_COPY, message.size);
        CHECK(buffer[0] == 7 && buffer[SLOW_TO_COPY - 1] == 7);
    }
    CHECK_STATUS(APR_SUCCESS, put_int(a.queue, 1, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_queue_get_message(a.queue, &message, 0));
    CHECK_INT(0, message.returned);
    CHECK_INT(sizeof(int), message.size);
    CHECK_STATUS(APR_EINVAL, cohort_queue_get_message(a.queue, NULL, 0));
    free(buffer);
}

const test_case_t queue_traffic_cases[] = {
    {"Queue", "many_senders_and_receivers_bounded", many_senders_and_receivers_bounded},
    {"Queue", "many_senders_and_receivers_unbounded", many_senders_and_receivers_unbounded},
    {"Queue", "threads_of_one_process", threads_of_one_process},
    {"Queue", "receivers_die", receivers_die},
    {"Queue", "receivers_die_unbounded", receivers_die_unbounded},
    {"Queue", "senders_die", senders_die},
    {"Queue", "senders_die_unbounded", senders_die_unbounded},
    {"Queue", "deaths_leave_no_memory", deaths_leave_no_memory},
    {"Queue", "what_came_back_from_the_dead_says_so", what_came_back_from_the_dead_says_so},
    {0},
};
