/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
#include "raw.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { PARTIES = 64 };

typedef struct {
    pthread_barrier_t pthread;
    _Alignas(128) word_t arrived;
    _Alignas(128) word_t meeting;
    struct {
        _Alignas(128) _Atomic long crossing; /* the last that its party has begun */
    } places[PARTIES];
} board_t;

static board_t *board;
static int parties, own_number;
static void (*cross_barrier)(void);

static void cross_pthread(void) {
    int status = pthread_barrier_wait(&board->pthread);
    PEER_MUST(status == 0 || status == PTHREAD_BARRIER_SERIAL_THREAD);
}

/* The last one there begins the next meeting. */
static int last(uint32_t meeting) {
    if (atomic_fetch_add(&board->arrived, 1) + 1 < (uint32_t)parties) return 0;
    atomic_store_explicit(&board->arrived, 0, memory_order_relaxed);
    atomic_store(&board->meeting, meeting + 1);
    return 1;
}

static void cross_spin(void) {
    uint32_t meeting = atomic_load(&board->meeting);
    if (last(meeting)) return;
    while (atomic_load_explicit(&board->meeting, memory_order_acquire) == meeting) relax();
}

static void cross(long crossing) {
    atomic_store_explicit(&board->places[own_number].crossing, crossing, memory_order_release);
    cross_barrier();
    long other = atomic_load_explicit(&board->places[(own_number + 1) % parties].crossing,
                                      memory_order_acquire);
    PEER_MUST(other == crossing || other == crossing + 1);
}

static void party(void *arg) {
    own_number = *(int *)arg;
    for (long i = 0;; i++) cross(i);
}

static void cross_block(void *arg, long first, long n) {
    (void)arg;
    for (long i = first; i < first + n; i++) cross(i + 1);
}

static double run(void (*how)(void), const char *metric, long count) {
    int pids[PARTIES];
    pthread_barrierattr_t shared;
    parties = atoi(strchr(metric, '.') + 1);
    cross_barrier = how;
    board = peer_shared(sizeof *board);
    pthread_barrierattr_init(&shared);
    pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
    PEER_MUST(parties <= PARTIES &&
              pthread_barrier_init(&board->pthread, &shared, (unsigned)parties) == 0);
    for (int i = 0; i < PARTIES; i++) board->places[i].crossing = -1;
    for (int i = 1; i < parties; i++) pids[i] = peer_fork(party, &i);
    cross(0);
    double took = peer_blocks(cross_block, NULL, count);
    for (int i = 1; i < parties; i++) peer_kill(pids[i]);
    return took;
}

double raw_barrier_pthread(const char *metric, long count) {
    return run(cross_pthread, metric, count);
}

double raw_barrier_spin(const char *metric, long count) { return run(cross_spin, metric, count); }

#ifdef RAW_FUTEX
static void cross_futex(void) {
    uint32_t meeting = atomic_load(&board->meeting);
    if (last(meeting)) {
        raw_wake(&board->meeting, INT_MAX);
        return;
    }
    while (atomic_load(&board->meeting) == meeting) raw_sleep(&board->meeting, meeting);
}

double raw_barrier_futex(const char *metric, long count) { return run(cross_futex, metric, count); }
#endif
