/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The contest of cohort-bench's queue.c, for others' queues. */
#include "peer.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARTIES = 16, WORDS = 128 };

typedef struct {
    _Alignas(128) double time;
    uint64_t sum, number;
    _Atomic uint64_t so_far;
} score_t;

typedef struct {
    pthread_barrier_t barrier;
    score_t scores[PARTIES]; /* producers', then consumers' */
} board_t;

static struct {
    const peer_queue_t *queue;
    board_t *board;
    size_t size;
    int producers, consumers;
    uint64_t messages; /* of each producer */
} crowd;

static void meet(void) { (void)pthread_barrier_wait(&crowd.board->barrier); }

static int all_received(void) {
    uint64_t all = 0;
    for (int i = 0; i < crowd.consumers; i++)
        all += crowd.board->scores[crowd.producers + i].so_far;
    return all >= crowd.messages * (uint64_t)crowd.producers;
}

static void write_message(uint64_t *message, uint64_t value) {
    message[0] = value;
    message[crowd.size / 8 - 1] = ~value;
}

static void produce(void *arg) {
    int number = *(int *)arg;
    uint64_t message[WORDS] = {0}, first = crowd.messages * (uint64_t)number;
    meet(); /* all consumers have opened */
    crowd.queue->open_producer(number, crowd.consumers);
    meet();
    crowd.board->scores[number].time = peer_now();
    for (uint64_t i = 0; i < crowd.messages; i++) {
        write_message(message, first + i);
        crowd.queue->put(message, crowd.size);
    }
    if (crowd.queue->counted) meet(); /* what is closed early may be lost */
    crowd.queue->close();
}

static void consume(void *arg) {
    int number = *(int *)arg;
    score_t *score = &crowd.board->scores[crowd.producers + number], mine = {0};
    uint64_t message[WORDS];
    crowd.queue->open_consumer(number);
    meet();
    meet();
    for (;;) {
        if (!crowd.queue->get(message, crowd.size, &mine.time)) {
            if (all_received()) break;
            continue;
        }
        PEER_MUST(message[crowd.size / 8 - 1] == ~message[0]);
        if (message[0] == ~(uint64_t)0) break;
        mine.sum += message[0];
        mine.number++;
        atomic_store_explicit(&score->so_far, mine.number, memory_order_relaxed);
    }
    score->time = crowd.queue->counted ? mine.time : peer_now();
    score->sum = mine.sum;
    score->number = mine.number;
    if (crowd.queue->counted) meet();
    crowd.queue->close();
}

static void end_consumers(void) {
    uint64_t message[WORDS];
    memset(message, 0, sizeof message);
    write_message(message, ~(uint64_t)0);
    crowd.queue->open_producer(-1, crowd.consumers);
    for (int i = 0; i < crowd.consumers; i++) crowd.queue->put(message, crowd.size);
    crowd.queue->close();
}

static double add_up(void) {
    score_t *producers = crowd.board->scores, *consumers = producers + crowd.producers;
    double begin = producers[0].time, end = 0;
    uint64_t number = 0, sum = 0, all = crowd.messages * (uint64_t)crowd.producers;
    for (int i = 0; i < crowd.producers; i++)
        begin = producers[i].time < begin ? producers[i].time : begin;
    for (int i = 0; i < crowd.consumers; i++) {
        end = consumers[i].time > end ? consumers[i].time : end;
        number += consumers[i].number;
        sum += consumers[i].sum;
    }
    peer_check(number == all, "number of messages");
    peer_check(sum == all * (all - 1) / 2, "checksum of messages");
    return end - begin;
}

static void init_barrier(void) {
    pthread_barrierattr_t shared;
    PEER_MUST(pthread_barrierattr_init(&shared) == 0);
    PEER_MUST(pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED) == 0);
    PEER_MUST(pthread_barrier_init(&crowd.board->barrier, &shared,
                                   (unsigned)(crowd.producers + crowd.consumers)) == 0);
}

double peer_crowd(const peer_queue_t *queue, const char *metric, long count) {
    int pids[2 * PARTIES], numbers[PARTIES];
    const char *parties = strrchr(metric, '.') + 1;
    crowd.queue = queue;
    crowd.size = peer_size(metric);
    PEER_MUST(sscanf(parties, "%dto%d", &crowd.producers, &crowd.consumers) == 2);
    crowd.messages = (uint64_t)(count / crowd.producers + 1);
    crowd.board = peer_shared(sizeof *crowd.board);
    init_barrier();
    queue->create(crowd.size, crowd.producers, crowd.consumers);
    for (int i = 0; i < PARTIES; i++) numbers[i] = i;
    for (int i = 0; i < crowd.consumers; i++)
        pids[crowd.producers + i] = peer_fork(consume, &numbers[i]);
    for (int i = 0; i < crowd.producers; i++) pids[i] = peer_fork(produce, &numbers[i]);
    for (int i = 0; i < crowd.producers; i++) peer_join(pids[i]);
    if (!queue->counted) end_consumers();
    for (int i = 0; i < crowd.consumers; i++) peer_join(pids[crowd.producers + i]);
    queue->destroy();
    return add_up() * (double)count / ((double)crowd.messages * crowd.producers);
}
