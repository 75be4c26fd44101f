/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Queues of 1024 messages: a pipe; a ring under a mutex with two conditions; and a ring of slots
 * with sequence numbers, at which all spin. */
#include "raw.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

enum { CAPACITY = 1024 };

static size_t slot;

static void no_producer(int number, int consumers) { (void)number, (void)consumers; }

static void no_consumer(int number) { (void)number; }

static void nothing(void) {}

/* ---- a pipe --------------------------------------------------------------------------------- */

static int ends[2];

static void pipe_create(size_t size, int producers, int consumers) {
    (void)size, (void)producers, (void)consumers;
    PEER_MUST(pipe(ends) == 0);
}

static void pipe_put(const void *message, size_t size) {
    PEER_MUST(write(ends[1], message, size) == (ssize_t)size);
}

static int pipe_get(void *message, size_t size, double *since) {
    (void)since;
    PEER_MUST(read(ends[0], message, size) == (ssize_t)size);
    return 1;
}

/* ---- a mutex and two conditions ------------------------------------------------------------- */

typedef struct {
    pthread_mutex_t mutex;
    pthread_cond_t not_empty, not_full;
    unsigned first, used;
    _Alignas(128) char data[];
} locked_t;

static locked_t *locked;

static void locked_create(size_t size, int producers, int consumers) {
    pthread_mutexattr_t mutex;
    pthread_condattr_t cond;
    (void)producers, (void)consumers;
    slot = size;
    locked = peer_shared(sizeof *locked + CAPACITY * size);
    pthread_mutexattr_init(&mutex);
    pthread_mutexattr_setpshared(&mutex, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&mutex, PTHREAD_MUTEX_ROBUST);
    PEER_MUST(pthread_mutex_init(&locked->mutex, &mutex) == 0);
    pthread_condattr_init(&cond);
    pthread_condattr_setpshared(&cond, PTHREAD_PROCESS_SHARED);
    PEER_MUST(pthread_cond_init(&locked->not_empty, &cond) == 0 &&
              pthread_cond_init(&locked->not_full, &cond) == 0);
}

static void locked_put(const void *message, size_t size) {
    PEER_MUST(pthread_mutex_lock(&locked->mutex) == 0);
    while (locked->used == CAPACITY) (void)pthread_cond_wait(&locked->not_full, &locked->mutex);
    memcpy(locked->data + (locked->first + locked->used++) % CAPACITY * slot, message, size);
    (void)pthread_mutex_unlock(&locked->mutex);
    (void)pthread_cond_signal(&locked->not_empty);
}

static int locked_get(void *message, size_t size, double *since) {
    (void)since;
    PEER_MUST(pthread_mutex_lock(&locked->mutex) == 0);
    while (locked->used == 0) (void)pthread_cond_wait(&locked->not_empty, &locked->mutex);
    memcpy(message, locked->data + locked->first % CAPACITY * slot, size);
    locked->first++;
    locked->used--;
    (void)pthread_mutex_unlock(&locked->mutex);
    (void)pthread_cond_signal(&locked->not_full);
    return 1;
}

/* ---- sequence numbers ----------------------------------------------------------------------- */

typedef struct {
    _Alignas(128) _Atomic uint64_t head;
    _Alignas(128) _Atomic uint64_t tail;
    _Alignas(128) char slots[]; /* each begins with its sequence number */
} mpmc_t;

static mpmc_t *mpmc;

static _Atomic uint64_t *sequence(uint64_t position) {
    return (_Atomic uint64_t *)(void *)(mpmc->slots + position % CAPACITY * slot);
}

static void mpmc_create(size_t size, int producers, int consumers) {
    (void)producers, (void)consumers;
    slot = (sizeof(uint64_t) + size + 63) / 64 * 64;
    mpmc = peer_shared(sizeof *mpmc + CAPACITY * slot);
    for (uint64_t i = 0; i < CAPACITY; i++) *sequence(i) = i;
}

/* Takes the next position, once its slot has reached its turn. */
static uint64_t take(_Atomic uint64_t *counter, uint64_t turn) {
    uint64_t position = atomic_load_explicit(counter, memory_order_relaxed);
    for (;;) {
        uint64_t now = atomic_load_explicit(sequence(position), memory_order_acquire);
        if (now == position + turn &&
            atomic_compare_exchange_weak_explicit(counter, &position, position + 1,
                                                  memory_order_relaxed, memory_order_relaxed))
            return position;
        if (now != position + turn) {
            relax();
            position = atomic_load_explicit(counter, memory_order_relaxed);
        }
    }
}

static void mpmc_put(const void *message, size_t size) {
    uint64_t position = take(&mpmc->head, 0);
    memcpy(sequence(position) + 1, message, size);
    atomic_store_explicit(sequence(position), position + 1, memory_order_release);
}

static int mpmc_get(void *message, size_t size, double *since) {
    (void)since;
    uint64_t position = take(&mpmc->tail, 1);
    memcpy(message, sequence(position) + 1, size);
    atomic_store_explicit(sequence(position), position + CAPACITY, memory_order_release);
    return 1;
}

double raw_queue_pipe(const char *metric, long count) {
    static const peer_queue_t queue = {pipe_create, no_producer, no_consumer, pipe_put,
                                       pipe_get,    nothing,     nothing,     0};
    return peer_crowd(&queue, metric, count);
}

double raw_queue_mutex(const char *metric, long count) {
    static const peer_queue_t queue = {locked_create, no_producer, no_consumer, locked_put,
                                       locked_get,    nothing,     nothing,     0};
    return peer_crowd(&queue, metric, count);
}

double raw_queue_mpmc(const char *metric, long count) {
    static const peer_queue_t queue = {mpmc_create, no_producer, no_consumer, mpmc_put,
                                       mpmc_get,    nothing,     nothing,     0};
    return peer_crowd(&queue, metric, count);
}
