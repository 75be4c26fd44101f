/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* POSIX mutexes: alone (a plain one is private to its process, as the fastest there is), and fought
 * for by processes.
 */
#include "raw.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { PROCESSES = 8 };

static struct shared {
    pthread_mutex_t mutex;
    pthread_barrier_t barrier;
    _Alignas(128) volatile uint64_t counter;
    long turns;
} * shared;

static void turns(long count) {
    for (long i = 0; i < count; i++) {
        PEER_MUST(pthread_mutex_lock(&shared->mutex) == 0);
        ++shared->counter;
        PEER_MUST(pthread_mutex_unlock(&shared->mutex) == 0);
    }
}

static void turns_alone(void *arg, long first, long n) {
    (void)arg, (void)first;
    turns(n);
}

static void fighter(void *arg) {
    (void)arg;
    (void)pthread_barrier_wait(&shared->barrier);
    turns(shared->turns);
    (void)pthread_barrier_wait(&shared->barrier);
}

static double fight(int processes, long count) {
    int pids[PROCESSES];
    pthread_barrierattr_t attributes;
    pthread_barrierattr_init(&attributes);
    pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    PEER_MUST(pthread_barrier_init(&shared->barrier, &attributes, (unsigned)processes + 1) == 0);
    shared->turns = count / processes + 1;
    for (int i = 0; i < processes; i++) pids[i] = peer_fork(fighter, NULL);
    (void)pthread_barrier_wait(&shared->barrier);
    double begin = peer_now();
    (void)pthread_barrier_wait(&shared->barrier);
    double took = peer_now() - begin;
    for (int i = 0; i < processes; i++) peer_join(pids[i]);
    PEER_MUST(shared->counter == (uint64_t)shared->turns * (uint64_t)processes);
    return took * (double)count / (double)shared->counter;
}

static double run(const char *metric, long count, int robust) {
    const char *contended = strstr(metric, "contended.");
    pthread_mutexattr_t attributes;
    int processes = contended ? atoi(contended + strlen("contended.")) : 1;
    shared = peer_shared(sizeof *shared);
    pthread_mutexattr_init(&attributes);
    if (robust) pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    /* Also when nobody else is there: glibc leaves out the atomic step of a private mutex in a
     * program of one thread. */
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    PEER_MUST(pthread_mutex_init(&shared->mutex, &attributes) == 0);
    if (contended) return fight(processes, count);
    return peer_blocks(turns_alone, NULL, count);
}

double raw_lock_mutex(const char *metric, long count) { return run(metric, count, 0); }

double raw_lock_robust(const char *metric, long count) { return run(metric, count, 1); }
