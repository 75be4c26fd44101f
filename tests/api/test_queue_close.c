/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Queues that are closed or discarded: what is in still comes out, or is thrown away; under
 * processes that put and get, and that die. */
#include "queues.h"

#include <stdlib.h>

static char large[5000];

/* Every second message is large. */
static void fill(cohort_queue_t *queue, int n) {
    for (int i = 0; i < n; i++) {
        large[0] = (char)i;
        CHECK_STATUS(APR_SUCCESS, cohort_queue_put(queue, large, i % 2 ? sizeof large : 8, 0));
    }
}

typedef apr_status_t (*take_t)(cohort_queue_t *queue, char *first, apr_interval_time_t timeout);

static apr_status_t take(cohort_queue_t *queue, char *first, apr_interval_time_t timeout) {
    char room[sizeof large];
    apr_size_t size;
    apr_status_t status = cohort_queue_get(queue, room, sizeof room, &size, timeout);
    *first = room[0];
    return status;
}
static apr_status_t take_message(cohort_queue_t *queue, char *first, apr_interval_time_t timeout) {
    char room[sizeof large];
    cohort_message_t message = {.data = room, .capacity = sizeof room};
    apr_status_t status = cohort_queue_get_message(queue, &message, timeout);
    *first = room[0];
    return status;
}
static apr_status_t take_many(cohort_queue_t *queue, char *first, apr_interval_time_t timeout) {
    char room[sizeof large];
    apr_size_t done;
    cohort_message_t message = {.data = room, .capacity = sizeof room};
    apr_status_t status = cohort_queue_get_many(queue, &message, 1, &done, timeout);
    CHECK_INT(status == APR_SUCCESS, done);
    *first = room[0];
    return status;
}
static apr_status_t take_copy(cohort_queue_t *queue, char *first, apr_interval_time_t timeout) {
    void *data;
    apr_size_t size;
    apr_status_t status = cohort_queue_get_copy(queue, &data, &size, timeout, test_pool());
    if (!status) *first = *(char *)data;
    return status;
}
static apr_status_t take_block(cohort_queue_t *queue, char *first, apr_interval_time_t timeout) {
    void *block;
    apr_size_t size;
    apr_status_t status = cohort_queue_get_block(queue, &block, &size, timeout);
    if (status) return status;
    *first = *(char *)block;
    return cohort_free(block);
}
static const take_t takes[] = {take, take_message, take_many, take_copy, take_block};

/* No way of putting puts anything. */
static void check_no_put(cohort_queue_t *queue, apr_interval_time_t timeout) {
    void *block = party_memory(100);
    cohort_message_t messages[2] = {{.data = large, .size = 1}, {.data = large, .size = 1}};
    apr_size_t done = 4711;
    CHECK_STATUS(COHORT_ECLOSED, cohort_queue_put(queue, large, 8, timeout));
    CHECK_STATUS(COHORT_ECLOSED, cohort_queue_put(queue, large, sizeof large, timeout));
    CHECK_STATUS(COHORT_ECLOSED, cohort_queue_put_block(queue, block, 100, timeout));
    CHECK_STATUS(COHORT_ECLOSED, cohort_queue_put_many(queue, messages, 2, &done, timeout));
    CHECK_INT(0, done);
    CHECK_STATUS(APR_SUCCESS, cohort_free(block)); /* it is still ours */
}

static void drain(cohort_queue_t *queue, apr_size_t capacity, int n, take_t take_one) {
    char first;
    CHECK_STATUS(APR_SUCCESS, cohort_queue_close(queue));
    CHECK_INT(1, cohort_queue_is_closed(queue));
    for (int i = 0; i < n; i++) {
        check_no_put(queue, i % 2 ? COHORT_FOREVER : 0);
        check_state(queue, (apr_size_t)(n - i), 0, capacity && n - i == (int)capacity);
        CHECK_STATUS(APR_SUCCESS, take_one(queue, &first, i % 3 ? COHORT_FOREVER : 0));
        CHECK_INT(i, first);
    }
    check_state(queue, 0, 1, 0);
    CHECK_STATUS(COHORT_ECLOSED, take_one(queue, &first, n % 2 ? COHORT_FOREVER : 0));
    CHECK_STATUS(COHORT_ECLOSED, take_one(queue, &first, COHORT_FOREVER));
    check_no_put(queue, COHORT_FOREVER);
    CHECK_STATUS(APR_SUCCESS, cohort_queue_close(queue));
    CHECK_STATUS(APR_SUCCESS, cohort_queue_discard(queue));
    check_state(queue, 0, 1, 0);
}

static void what_is_in_comes_out(void) {
    static const apr_size_t capacities[] = {0, 1, 5, 64};
    apr_uint64_t before = blocks_in_use();
    for (int i = 0; i < 4 * 5 * 2; i++) {
        apr_size_t capacity = capacities[i % 4];
        cohort_queue_t *queue = new_queue(capacity, i / 20);
        for (int n = 0; n < 7 && (!capacity || n <= (int)capacity); n++) {
            fill(queue, n);
            drain(queue, capacity, n, takes[i / 4 % 5]);
            CHECK_STATUS(APR_SUCCESS, cohort_queue_destroy(queue));
            queue = new_queue(capacity, i / 20);
        }
        CHECK_STATUS(APR_SUCCESS, cohort_queue_destroy(queue));
    }
    CHECK_INT(before, blocks_in_use());
}

/* Also through many segments. */
static void a_long_queue_comes_out(void) {
    cohort_queue_t *queue = new_queue(0, 0);
    int value;
    for (int i = 0; i < 3000; i++) CHECK_STATUS(APR_SUCCESS, put_int(queue, i, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_queue_close(queue));
    check_state(queue, 3000, 0, 0);
    for (int i = 0; i < 3000; i++) check_get(i, queue, 0);
    CHECK_STATUS(COHORT_ECLOSED, get_int(queue, &value, 0));
}

static void a_message_that_does_not_fit_stays(void) {
    cohort_queue_t *queue = new_queue(0, 0);
    char room[10];
    apr_size_t size = 0;
    fill(queue, 2);
    CHECK_STATUS(APR_SUCCESS, cohort_queue_close(queue));
    CHECK_STATUS(APR_SUCCESS, cohort_queue_get(queue, room, sizeof room, &size, 0));
    CHECK_STATUS(COHORT_ETOOSMALL, cohort_queue_get(queue, room, sizeof room, &size, 0));
    CHECK_INT(sizeof large, size);
    CHECK_STATUS(APR_SUCCESS, cohort_queue_discard(queue));
    CHECK_STATUS(COHORT_ECLOSED, cohort_queue_get(queue, room, sizeof room, &size, 0));
}

/* ---- joining -------------------------------------------------------------------------------- */

static void join_waits_for_what_is_in_a_closed_queue(void) {
    cohort_queue_t *queue = new_queue(0, 1);
    for (int i = 0; i < 2; i++) CHECK_STATUS(APR_SUCCESS, put_int(queue, i, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_queue_close(queue));
    CHECK_STATUS(APR_EAGAIN, cohort_queue_join(queue, 0));
    CHECK_STATUS(APR_TIMEUP, cohort_queue_join(queue, A_WHILE));
    check_get(0, queue, 0);
    CHECK_STATUS(APR_SUCCESS, cohort_queue_task_done(queue));
    CHECK_STATUS(APR_EAGAIN, cohort_queue_join(queue, 0));
    check_get(1, queue, 0);
    CHECK_STATUS(APR_EAGAIN, cohort_queue_join(queue, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_queue_task_done(queue));
    CHECK_STATUS(APR_SUCCESS, cohort_queue_join(queue, COHORT_FOREVER));
    CHECK_STATUS(COHORT_EOVERRELEASE, cohort_queue_task_done(queue));
}

static int join_it(void *data) {
    args_t *a = data;
    atomic_fetch_add(a->ready, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_queue_join(a->queue, COHORT_FOREVER));
    return 0;
}

/* What is got before is not discarded: its getter says when it is done. */
static void discarded_messages_are_done(void) {
    for (apr_size_t capacity = 0; capacity < 10; capacity += 9) {
        args_t a = {.queue = new_queue(capacity, 1), .ready = party_memory(sizeof(int))};
        apr_uint64_t before = blocks_in_use();
        char first;
        fill(a.queue, 9);
        CHECK_STATUS(APR_SUCCESS, take(a.queue, &first, 0));
        cohort_process_t *joiner = party_start(join_it, &a, sizeof a);
        party_await(a.ready, 1);
        CHECK_STATUS(APR_SUCCESS, cohort_queue_discard(a.queue));
        CHECK_INT(1, cohort_queue_is_closed(a.queue));
        check_state(a.queue, 0, 1, 0);
        CHECK(blocks_in_use() <= before + 1); /* of the account */
        CHECK_STATUS(APR_EAGAIN, cohort_queue_join(a.queue, 0));
        CHECK(cohort_process_is_alive(joiner));
        CHECK_STATUS(APR_SUCCESS, cohort_queue_task_done(a.queue));
        CHECK_STATUS(APR_SUCCESS, cohort_queue_join(a.queue, 0));
        party_finish(joiner);
        CHECK_STATUS(COHORT_EOVERRELEASE, cohort_queue_task_done(a.queue));
        CHECK_STATUS(COHORT_ECLOSED, take(a.queue, &first, COHORT_FOREVER));
        check_no_put(a.queue, COHORT_FOREVER);
        CHECK_STATUS(APR_SUCCESS, cohort_queue_discard(a.queue));
        CHECK_STATUS(APR_SUCCESS, cohort_queue_close(a.queue));
    }
}

static void a_discard_ends_a_join_that_waits(void) {
    args_t a = {.queue = new_queue(0, 1), .ready = party_memory(sizeof(int))};
    fill(a.queue, 5);
    CHECK_STATUS(APR_SUCCESS, cohort_queue_close(a.queue));
    cohort_process_t *joiner = party_start(join_it, &a, sizeof a);
    party_await(a.ready, 1);
    apr_sleep(A_WHILE);
    CHECK(cohort_process_is_alive(joiner));
    CHECK_STATUS(APR_SUCCESS, cohort_queue_discard(a.queue));
    party_finish(joiner);
}

/* ---- under fire ----------------------------------------------------------------------------- */

enum { SENDERS = 2, RECEIVERS = 2, MESSAGES = 30000 };

/* Until it is told that the queue is closed, or has no more; `sent` is what surely is in it. All
 * begin at once. */
static int send_until_closed(void *data) {
    args_t *a = data;
    traffic_t *m = apr_palloc(test_pool(), sizeof *m);
    apr_status_t status = APR_SUCCESS;
    atomic_fetch_add(a->ready, 1);
    party_await(a->ready, RECEIVERS + SENDERS);
    for (int i = 0; i < a->messages && !status; i++) {
        apr_size_t size = traffic_make(m, a->sender, i);
        status = cohort_queue_put(a->queue, m, size, COHORT_FOREVER);
        if (!status) atomic_store(&a->sent[a->sender], i + 1);
    }
    if (status) CHECK_STATUS(COHORT_ECLOSED, status);
    return 0;
}

static int receive_until_closed(void *data) {
    args_t *a = data;
    traffic_t *m = apr_palloc(test_pool(), sizeof *m);
    apr_size_t size;
    apr_status_t status;
    atomic_fetch_add(a->ready, 1);
    while (!(status = cohort_queue_get(a->queue, m, sizeof *m, &size, COHORT_FOREVER))) {
        traffic_check(m, size);
        tally_count(a->tally, m);
        if (a->other) CHECK_STATUS(APR_SUCCESS, cohort_queue_task_done(a->queue));
    }
    CHECK_STATUS(COHORT_ECLOSED, status);
    return 0;
}

static args_t fire(apr_size_t capacity, int joinable) {
    args_t a = {.queue = new_queue(capacity, joinable), .messages = MESSAGES};
    a.other = joinable ? a.queue : NULL;
    a.tally = tally_new(SENDERS, MESSAGES);
    a.ready = party_memory(sizeof(int));
    a.sent = party_memory(sizeof(int) * SENDERS);
    return a;
}

static void start_fire(args_t *a, cohort_process_t **all) {
    parties_start(all, RECEIVERS, receive_until_closed, a, sizeof *a);
    for (a->sender = 0; a->sender < SENDERS; a->sender++)
        all[RECEIVERS + a->sender] = party_start(send_until_closed, a, sizeof *a);
    party_await(a->ready, RECEIVERS + SENDERS);
}

static int count_sent(const args_t *a) {
    int sent = 0;
    for (int i = 0; i < SENDERS; i++) sent += atomic_load(&a->sent[i]);
    return sent;
}

/* Each message that was put has been got when the last receiver is told that it is over. */
static void close_in_traffic(apr_size_t capacity, int joinable, int pause) {
    cohort_process_t *all[RECEIVERS + SENDERS];
    args_t a = fire(capacity, joinable);
    start_fire(&a, all);
    party_await(a.sent, 20);
    apr_sleep(pause);
    CHECK_STATUS(APR_SUCCESS, cohort_queue_close(a.queue));
    CHECK_STATUS(COHORT_ECLOSED, put_int(a.queue, 1, COHORT_FOREVER));
    parties_finish(all, RECEIVERS + SENDERS);
    CHECK_INT(count_sent(&a), atomic_load(&a.tally->got));
    for (int i = 0; i < SENDERS; i++)
        CHECK_INT(0, tally_missing(a.tally, i, atomic_load(&a.sent[i])));
    if (joinable) CHECK_STATUS(APR_SUCCESS, cohort_queue_join(a.queue, 0));
    check_state(a.queue, 0, 1, 0);
    CHECK_STATUS(APR_SUCCESS, cohort_queue_destroy(a.queue));
}

static void closed_in_traffic(void) {
    static const apr_size_t capacities[] = {1, 4, 64, 0};
    for (int i = 0; i < 24; i++) close_in_traffic(capacities[i % 4], i / 4 % 2, i * 53 % 400);
}

/* What is put is got or thrown away; nothing comes out when the discard is over, and nothing of it
 * stays in memory. */
static void discard_in_traffic(apr_size_t capacity, int joinable, int pause) {
    cohort_process_t *all[RECEIVERS + SENDERS];
    args_t a = fire(capacity, joinable);
    start_fire(&a, all);
    party_await(a.sent, 20);
    apr_sleep(pause);
    CHECK_STATUS(APR_SUCCESS, cohort_queue_discard(a.queue));
    check_state(a.queue, 0, 1, 0);
    check_no_put(a.queue, COHORT_FOREVER);
    parties_finish(all, RECEIVERS + SENDERS);
    CHECK(atomic_load(&a.tally->got) <= count_sent(&a));
    check_state(a.queue, 0, 1, 0);
    if (joinable) CHECK_STATUS(APR_SUCCESS, cohort_queue_join(a.queue, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_queue_destroy(a.queue));
    CHECK_STATUS(APR_SUCCESS, cohort_free(a.tally));
    CHECK_STATUS(APR_SUCCESS, cohort_free((void *)a.ready));
    CHECK_STATUS(APR_SUCCESS, cohort_free((void *)a.sent));
}

static void discarded_in_traffic(void) {
    static const apr_size_t capacities[] = {1, 4, 64, 0};
    apr_uint64_t before = blocks_in_use();
    for (int i = 0; i < 24; i++) discard_in_traffic(capacities[i % 4], i / 4 % 2, i * 53 % 400);
    CHECK_INT(before, blocks_in_use());
}

/* ---- deaths --------------------------------------------------------------------------------- */

static int close_again_and_again(void *data) {
    args_t *a = data;
    atomic_fetch_add(a->ready, 1);
    party_await(a->sent, 20);
    while (atomic_load(a->ready)) {
        CHECK_STATUS(APR_SUCCESS,
                     a->sender ? cohort_queue_discard(a->queue) : cohort_queue_close(a->queue));
        apr_sleep(100);
    }
    return 0;
}

/* A receiver, a sender and the process that closes are killed about when it is closed. What the
 * dead receiver may have had is one message, and what the dead sender may not have counted is
 * another. */
static void die_at_the_end(apr_size_t capacity, int discards, int round) {
    cohort_process_t *all[RECEIVERS + SENDERS];
    args_t a = fire(capacity, 0);
    start_fire(&a, all);
    a.sender = discards;
    cohort_process_t *closer = party_start(close_again_and_again, &a, sizeof a);
    party_await(a.sent, 20);
    apr_sleep(round * 67 % 500);
    CHECK_STATUS(APR_SUCCESS, cohort_process_kill(all[0]));
    if (round % 2) CHECK_STATUS(APR_SUCCESS, cohort_process_kill(closer));
    CHECK_STATUS(APR_SUCCESS, cohort_process_kill(all[RECEIVERS]));
    if (round % 2 == 0) party_kill(closer);
    else party_end(closer, -9);
    CHECK_STATUS(APR_SUCCESS,
                 discards ? cohort_queue_discard(a.queue) : cohort_queue_close(a.queue));
    for (int i = 0; i < RECEIVERS + SENDERS; i++) {
        CHECK_STATUS(APR_SUCCESS, cohort_process_join(all[i], COHORT_FOREVER));
        if (i % RECEIVERS) CHECK_INT(0, cohort_process_exit_code(all[i]));
        CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(all[i]));
    }
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(closer));
    int missing = 0;
    for (int i = 0; i < SENDERS; i++) missing += tally_missing(a.tally, i, atomic_load(&a.sent[i]));
    CHECK(discards || missing <= 1);
    CHECK(discards || atomic_load(&a.tally->got) <= count_sent(&a) + 1);
    CHECK_STATUS(COHORT_ECLOSED, put_int(a.queue, 1, 0));
    CHECK_STATUS(COHORT_ECLOSED, get_int(a.queue, &missing, COHORT_FOREVER));
    check_state(a.queue, 0, 1, 0);
    CHECK_STATUS(APR_SUCCESS, cohort_queue_destroy(a.queue));
    CHECK_STATUS(APR_SUCCESS, cohort_free(a.tally));
    CHECK_STATUS(APR_SUCCESS, cohort_free((void *)a.ready));
    CHECK_STATUS(APR_SUCCESS, cohort_free((void *)a.sent));
}

static void deaths_at_the_end(void) {
    static const apr_size_t capacities[] = {1, 4, 0};
    apr_uint64_t before = blocks_in_use();
    for (int i = 0; i < 24; i++) die_at_the_end(capacities[i % 3], i / 3 % 2, i);
    CHECK_INT(before, blocks_in_use());
}

#define SLOW_TO_COPY (16 << 20) /* bytes: time enough to be killed in the middle */

static int get_slowly(void *data) {
    args_t *a = data;
    char *room = malloc(SLOW_TO_COPY);
    apr_size_t size;
    CHECK(room != NULL);
    atomic_fetch_add(a->ready, 1);
    apr_status_t status = cohort_queue_get(a->queue, room, SLOW_TO_COPY, &size, COHORT_FOREVER);
    CHECK(status == APR_SUCCESS || (a->sender && status == COHORT_ECLOSED));
    if (!a->sender) party_wait_for_death();
    if (!status) CHECK_INT(SLOW_TO_COPY, size);
    free(room);
    return status ? 0 : 7;
}

/* One getter is killed in the middle of the last message of a closed queue, and another one that
 * waits gets it then; or it was too fast, and the other one is told that it is over. */
static void the_last_message_comes_back(void) {
    char *bytes = malloc(SLOW_TO_COPY);
    int came_back = 0;
    CHECK(bytes != NULL);
    memset(bytes, 7, SLOW_TO_COPY);
    for (int i = 0; i < 100 && came_back < 3; i++) {
        args_t a = {.queue = new_queue((apr_size_t)i % 3, 0), .ready = party_memory(sizeof(int))};
        cohort_process_t *first = party_start(get_slowly, &a, sizeof a);
        a.sender = 1;
        party_await(a.ready, 1);
        CHECK_STATUS(APR_SUCCESS, cohort_queue_put(a.queue, bytes, SLOW_TO_COPY, 0));
        while (cohort_queue_size(a.queue) && i % 2) continue;
        CHECK_STATUS(APR_SUCCESS, cohort_queue_close(a.queue));
        cohort_process_t *second = party_start(get_slowly, &a, sizeof a);
        party_kill(first);
        CHECK_STATUS(APR_SUCCESS, cohort_process_join(second, COHORT_FOREVER));
        int code = cohort_process_exit_code(second);
        CHECK(code == 0 || code == 7);
        came_back += code == 7;
        CHECK_STATUS(COHORT_ECLOSED, get_int(a.queue, &code, 0));
        CHECK_STATUS(APR_SUCCESS, cohort_queue_destroy(a.queue));
    }
    free(bytes);
}

const test_case_t queue_close_cases[] = {
    {"QueueClose", "what_is_in_comes_out", what_is_in_comes_out},
    {"QueueClose", "a_long_queue_comes_out", a_long_queue_comes_out},
    {"QueueClose", "a_message_that_does_not_fit_stays", a_message_that_does_not_fit_stays},
    {"QueueClose", "join_waits_for_what_is_in", join_waits_for_what_is_in_a_closed_queue},
    {"QueueClose", "discarded_messages_are_done", discarded_messages_are_done},
    {"QueueClose", "a_discard_ends_a_join_that_waits", a_discard_ends_a_join_that_waits},
    {"QueueClose", "closed_in_traffic", closed_in_traffic},
    {"QueueClose", "discarded_in_traffic", discarded_in_traffic},
    {"QueueClose", "deaths_at_the_end", deaths_at_the_end},
    {"QueueClose", "the_last_message_comes_back", the_last_message_comes_back},
    {0},
};
