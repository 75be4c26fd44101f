/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* cohort-peer-openmp: loops shared by two threads. They share one process, so no task survives
 * another's crash. */
#include "../burn.h"
#include "peer.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint64_t *results;

static void squares_dynamic(long count) {
    uint64_t *out = results;
#pragma omp parallel for schedule(dynamic, 1) num_threads(BURN_WORKERS)
    for (long i = 0; i < count; i++) out[i] = (uint64_t)i * (uint64_t)i;
}

static void squares_static(long count) {
    uint64_t *out = results;
#pragma omp parallel for schedule(static) num_threads(BURN_WORKERS)
    for (long i = 0; i < count; i++) out[i] = (uint64_t)i * (uint64_t)i;
}

/* Of an array, as the ranges of a pool. */
static const uint64_t *inputs;

static void squares_of_inputs(long count) {
    uint64_t *out = results;
    const uint64_t *in = inputs;
#pragma omp parallel for schedule(static) num_threads(BURN_WORKERS)
    for (long i = 0; i < count; i++) out[i] = in[i] * in[i];
}

static double run_map(long count, void (*squares)(long)) {
    results = malloc(sizeof *results * (size_t)count);
    squares(count);
    memset(results, 0xff, sizeof *results * (size_t)count);
    double begin = peer_now();
    squares(count);
    double took = peer_now() - begin;
    for (long i = 0; i < count; i++) PEER_MUST(results[i] == (uint64_t)i * (uint64_t)i);
    return took;
}

static double run_dynamic(const char *metric, long count) {
    (void)metric;
    return run_map(count, squares_dynamic);
}

static double run_static(const char *metric, long count) {
    if (!strstr(metric, "range")) return run_map(count, squares_static);
    uint64_t *in = malloc(sizeof *in * (size_t)count);
    for (long i = 0; i < count; i++) in[i] = (uint64_t)i;
    inputs = in;
    return run_map(count, squares_of_inputs);
}

static void burn_all(long count, uint64_t turns) {
    uint64_t *out = results;
#pragma omp parallel for schedule(dynamic, 1) num_threads(BURN_WORKERS)
    for (long i = 0; i < count; i++) out[i] = burn(turns);
}

static double run_work(const char *metric, long count) {
    results = calloc((size_t)count, sizeof *results);
    uint64_t turns = burn_turns(peer_now, burn_microseconds(metric)), right = burn(turns);
    double before = burn_alone(peer_now, turns);
    burn_all(2, 1); /* the threads are there */
    double begin = peer_now();
    burn_all(count, turns);
    double took = peer_now() - begin, after = burn_alone(peer_now, turns);
    for (long i = 0; i < count; i++) PEER_MUST(results[i] == right);
    return (after < before ? after : before) * (double)count / BURN_WORKERS / took;
}

static void regions(void *arg, long first, long n) {
    volatile uint64_t there[BURN_WORKERS] = {0};
    (void)arg;
    for (long i = first; i < first + n; i++) {
#pragma omp parallel for schedule(static) num_threads(BURN_WORKERS)
        for (int k = 0; k < BURN_WORKERS; k++) there[k] = (uint64_t)i * (uint64_t)i;
        PEER_MUST(there[BURN_WORKERS - 1] == (uint64_t)i * (uint64_t)i);
    }
}

static double run_region(const char *metric, long count) {
    return strstr(metric, "hot") ? peer_blocks(regions, NULL, count) : 0;
}

/* ---- a short loop beside a long one, each with a team of its own ---------------------------- */

static atomic_int ended;

static void *long_loop(void *turns) {
#pragma omp parallel for schedule(dynamic, 1) num_threads(BURN_WORKERS)
    for (int i = 0; i < LONG_ITEMS; i++) {
        if (!atomic_load(&ended)) PEER_MUST(burn(*(uint64_t *)turns) != 0);
    }
    return NULL;
}

static double run_short(uint64_t turns) {
    double begin = peer_now();
    burn_all(SHORT_ITEMS, turns);
    double took = peer_now() - begin;
    for (int i = 0; i < SHORT_ITEMS; i++) PEER_MUST(results[i] == burn(turns));
    return took;
}

static double run_beside(uint64_t turns, uint64_t long_turns) {
    pthread_t thread;
    atomic_store(&ended, 0);
    PEER_MUST(!pthread_create(&thread, NULL, long_loop, &long_turns));
    usleep(LONG_BEFORE);
    double took = run_short(turns);
    atomic_store(&ended, 1);
    PEER_MUST(!pthread_join(thread, NULL));
    return took;
}

static double run_share(const char *metric, long count) {
    uint64_t turns = burn_turns(peer_now, SHORT_US), long_turns = burn_turns(peer_now, LONG_US);
    double *took = malloc((size_t)count * sizeof *took);
    results = calloc(SHORT_ITEMS, sizeof *results);
    burn_all(2, 1); /* the threads are there */
    for (long i = 0; i < count; i++)
        took[i] = strstr(metric, "beside") ? run_beside(turns, long_turns) : run_short(turns);
    return peer_median(took, count) * (double)count;
}

int main(int argc, char **argv) {
    static const peer_work_t table[] = {
        {"dynamic,1", "pool.map", run_dynamic}, {"static", "pool.map", run_static},
        {"dynamic,1", "pool.eff", run_work},    {"region", "pool.apply", run_region},
        {"teams", "share", run_share},          {NULL, NULL, NULL}};
    return peer_main(argc, argv, table);
}
