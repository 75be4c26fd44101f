/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Two forked workers that take tasks from a shared counter; and one that does single tasks. */
#include "../burn.h"
#include "raw.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WORKERS = BURN_WORKERS };

typedef struct {
    _Alignas(128) word_t posted; /* jobs so far; the last is without tasks */
    _Alignas(128) word_t done;
    _Alignas(128) _Atomic uint64_t next;
    _Alignas(128) uint64_t count, chunk, turns, task;
    uint64_t *results;
} job_t;

static job_t *job;

/* ---- many tasks ----------------------------------------------------------------------------- */

static void take_tasks(void) {
    uint64_t count = job->count, chunk = job->chunk, turns = job->turns, *results = job->results;
    for (;;) {
        uint64_t i = atomic_fetch_add_explicit(&job->next, chunk, memory_order_relaxed);
        uint64_t end = i + chunk < count ? i + chunk : count;
        if (i >= count) return;
        for (; i < end; i++) results[i] = turns ? burn(turns) : i * i;
    }
}

static void mapper(void *arg) {
    (void)arg;
    while (atomic_load_explicit(&job->posted, memory_order_acquire) == 0) relax();
    take_tasks();
    atomic_fetch_add(&job->done, 1);
}

/* The clock runs from when all workers are there and look. */
static double map(long count, uint64_t chunk, uint64_t turns) {
    int pids[WORKERS];
    job = peer_shared(sizeof *job);
    job->results = peer_shared(sizeof *job->results * (size_t)count);
    job->count = (uint64_t)count;
    job->chunk = chunk;
    job->turns = turns;
    for (int i = 0; i < WORKERS; i++) pids[i] = peer_fork(mapper, NULL);
    usleep(10000);
    double begin = peer_now();
    atomic_store(&job->posted, 1);
    for (int i = 0; i < WORKERS; i++) peer_join(pids[i]);
    return peer_now() - begin;
}

double raw_map(const char *metric, long count) {
    double took = map(count, strstr(metric, "chunk1") ? 1 : (uint64_t)count / (4 * WORKERS), 0);
    for (long i = 0; i < count; i++) PEER_MUST(job->results[i] == (uint64_t)i * (uint64_t)i);
    return took;
}

double raw_work(const char *metric, long count) {
    uint64_t turns = burn_turns(peer_now, burn_microseconds(metric)), right = burn(turns);
    double before = burn_alone(peer_now, turns);
    double took = map(count, 1, turns), after = burn_alone(peer_now, turns);
    for (long i = 0; i < count; i++) PEER_MUST(job->results[i] == right);
    return (after < before ? after : before) * (double)count / WORKERS / took;
}

/* ---- one task, there and back --------------------------------------------------------------- */

typedef void (*wait_t)(word_t *word, uint32_t value);
static wait_t wait_while;
static int wakes;

static void signal_word(word_t *word) {
    atomic_fetch_add(word, 1);
#ifdef RAW_FUTEX
    if (wakes) raw_wake(word, 1);
#endif
}

static void worker(void *arg) {
    uint32_t n = 0;
    (void)arg;
    for (;; n++) {
        wait_while(&job->posted, n);
        job->results[0] = job->task * job->task;
        signal_word(&job->done);
    }
}

static void apply_block(void *arg, long first, long n) {
    (void)arg;
    for (long i = first; i < first + n; i++) {
        job->task = (uint64_t)i;
        signal_word(&job->posted);
        wait_while(&job->done, (uint32_t)i);
        PEER_MUST(job->results[0] == (uint64_t)i * (uint64_t)i);
    }
}

/* The worker has had time to fall asleep before each. */
static void apply_idle(void *arg, long first, long n) {
    double *took = arg;
    for (long i = first; i < first + n; i++) {
        usleep(2000);
        double begin = peer_now();
        apply_block(NULL, i, 1);
        took[i] = peer_now() - begin;
    }
}

static double apply(const char *metric, long count) {
    int idle = strstr(metric, "idle") != NULL;
    double took, *each = calloc((size_t)count, sizeof *each);
    job = peer_shared(sizeof *job);
    job->results = peer_shared(sizeof *job->results);
    job->count = 1;
    int pid = peer_fork(worker, NULL);
    if (idle) {
        apply_idle(each, 0, count);
        took = peer_median(each, count) * (double)count;
    } else {
        took = peer_blocks(apply_block, NULL, count);
    }
    peer_kill(pid);
    return took;
}

static void spin_while(word_t *word, uint32_t value) {
    while (atomic_load_explicit(word, memory_order_acquire) == value) relax();
}

double raw_apply_spin(const char *metric, long count) {
    wait_while = spin_while;
    return apply(metric, count);
}

#ifdef RAW_FUTEX
static void sleep_while(word_t *word, uint32_t value) {
    while (atomic_load(word) == value) raw_sleep(word, value);
}

double raw_apply_futex(const char *metric, long count) {
    wait_while = sleep_while;
    wakes = 1;
    return apply(metric, count);
}
#endif
