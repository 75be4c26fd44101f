/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Pipes and queues between processes. Each message carries its number and a check of it; what all receivers got must add up. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- pipe: there and back ----------------------------------------------------------------------------------------- */

typedef struct {
    cohort_connection_t *end;
    size_t size;
} echo_t;

static int echo(void *args) {
    echo_t *e = args;
    char *buffer = malloc(e->size);
    for (;;) {
        apr_size_t size = e->size;
        if (!buffer || cohort_connection_recv(e->end, buffer, &size, COHORT_FOREVER)) return 0;
        buffer[0]++;
        if (cohort_connection_send(e->end, buffer, size, COHORT_FOREVER)) return 0;
    }
}

typedef struct {
    cohort_connection_t *end;
    size_t size;
    char *buffer;
} ping_t;

static double run_ping(void *arg, int count) {
    ping_t *p = arg;
    double begin = bench_now();
    for (int i = 0; i < count; i++) {
        apr_size_t size = p->size;
        p->buffer[0] = (char)i;
        MUST(cohort_connection_send(p->end, p->buffer, p->size, COHORT_FOREVER));
        MUST(cohort_connection_recv(p->end, p->buffer, &size, COHORT_FOREVER));
        bench_check(size == p->size && p->buffer[0] == (char)(i + 1), "echo");
    }
    return bench_now() - begin;
}

static void ping(size_t size, int count) {
    cohort_connection_t *here, *there;
    cohort_process_t *p;
    char metric[40];
    MUST(cohort_pipe_create(&here, &there, NULL, NULL));
    echo_t e = {there, size};
    cohort_process_options_t options = {.lifetime = COHORT_DAEMON, .connections = &there, .n_connections = 1};
    MUST(cohort_process_create(&p, echo, &e, sizeof e, &options, NULL));
    MUST(cohort_process_start(p));
    MUST(cohort_connection_close(there));
    ping_t arg = {here, size, malloc(size)};
    memset(arg.buffer, 0, size);
    snprintf(metric, sizeof metric, "pipe.roundtrip.%lu", (unsigned long)size);
    bench(metric, "cohort", "us", 1, count, run_ping, &arg);
    MUST(cohort_connection_close(here));
    MUST(cohort_process_join(p, COHORT_FOREVER));
    MUST(cohort_process_close(p));
    free(arg.buffer);
}

void bench_pipe(void) {
    ping(1, 20000);
    ping(64, 20000);
    ping(65536, 2000);
    ping(1 << 20, 200);
}

/* ---- queue: producers and consumers ------------------------------------------------------------------------------------- */

typedef struct {
    cohort_queue_t *queue;
    cohort_barrier_t *barrier;
    apr_uint64_t *sum, *number; /* of all consumers' processes, one pair each */
    size_t size;
    int messages, who;
} share_t;

static int produce(void *args) {
    share_t *s = args;
    apr_uint64_t message[128] = {0};
    if (cohort_barrier_wait(s->barrier, NULL, COHORT_FOREVER)) return 1;
    for (int i = 0; i < s->messages; i++) {
        message[0] = (apr_uint64_t)i;
        message[1] = ~(apr_uint64_t)i;
        if (cohort_queue_put(s->queue, message, s->size, COHORT_FOREVER)) return 1;
    }
    return 0;
}

/* A message of the value ~0 ends a consumer. */
static int consume(void *args) {
    share_t *s = args;
    apr_uint64_t message[128], sum = 0, number = 0;
    if (cohort_barrier_wait(s->barrier, NULL, COHORT_FOREVER)) return 1;
    for (;;) {
        apr_size_t size = sizeof message;
        if (cohort_queue_get(s->queue, message, &size, COHORT_FOREVER) || size != s->size) return 1;
        if (message[0] == ~(apr_uint64_t)0) break;
        if (message[1] != ~message[0]) return 1;
        sum += message[0];
        number++;
    }
    s->sum[s->who] = sum;
    s->number[s->who] = number;
    return 0;
}

static cohort_process_t *start(cohort_target_t target, share_t *share) {
    cohort_process_t *p;
    MUST(cohort_process_create(&p, target, share, sizeof *share, &(cohort_process_options_t){.lifetime = COHORT_DAEMON}, NULL));
    MUST(cohort_process_start(p));
    return p;
}

static void finish(cohort_process_t *p) {
    MUST(cohort_process_join(p, COHORT_FOREVER));
    bench_check(cohort_process_exit_code(p) == 0, "a participant failed");
    MUST(cohort_process_close(p));
}

static double crowd(size_t size, int producers, int consumers, int messages) {
    cohort_process_t *p[8], *c[8];
    cohort_queue_options_t options = {.capacity = 1024, .message_size = size};
    share_t s = {.size = size, .messages = messages / producers};
    apr_uint64_t end[128], sum = 0, number = 0, each = (apr_uint64_t)s.messages;
    memset(end, 0xff, sizeof end);
    MUST(cohort_alloc((void **)&s.sum, 8 * 8));
    MUST(cohort_alloc((void **)&s.number, 8 * 8));
    MUST(cohort_queue_create(&s.queue, &options, NULL));
    MUST(cohort_barrier_create(&s.barrier, (unsigned)(producers + consumers + 1), NULL, NULL));
    for (s.who = 0; s.who < consumers; s.who++) c[s.who] = start(consume, &s);
    for (int i = 0; i < producers; i++) p[i] = start(produce, &s);
    MUST(cohort_barrier_wait(s.barrier, NULL, COHORT_FOREVER));
    double begin = bench_now();
    for (int i = 0; i < producers; i++) finish(p[i]);
    for (int i = 0; i < consumers; i++) MUST(cohort_queue_put(s.queue, end, size, COHORT_FOREVER));
    for (int i = 0; i < consumers; i++) finish(c[i]);
    double took = bench_now() - begin;
    for (int i = 0; i < consumers; i++) sum += s.sum[i], number += s.number[i];
    bench_check(number == each * (apr_uint64_t)producers, "messages");
    bench_check(sum == each * (each - 1) / 2 * (apr_uint64_t)producers, "checksum");
    MUST(cohort_queue_destroy(s.queue));
    MUST(cohort_barrier_destroy(s.barrier));
    MUST(cohort_free(s.sum));
    MUST(cohort_free(s.number));
    return took;
}

void bench_queue(void) {
    static const int crowds[][2] = {{1, 1}, {4, 1}, {1, 4}, {4, 4}};
    static const size_t sizes[] = {64, 1024};
    for (int s = 0; s < 2; s++) {
        for (int i = 0; i < 4; i++) {
            double values[REPEATS_MAX];
            char metric[40];
            int n = bench_repeats(), messages = sizes[s] == 64 ? 1000000 : 400000;
            for (int r = 0; r < n; r++) values[r] = messages * 1e3 / crowd(sizes[s], crowds[i][0], crowds[i][1], messages);
            snprintf(metric, sizeof metric, "queue.%lu.%dto%d", (unsigned long)sizes[s], crowds[i][0], crowds[i][1]);
            bench_print(metric, "cohort", "k/s", values, n);
        }
    }
}

/* ---- barrier ---------------------------------------------------------------------------------------------------------------- */

static int cross(void *args) {
    share_t *s = args;
    for (int i = 0; i < s->messages; i++) {
        if (cohort_barrier_wait(s->barrier, NULL, COHORT_FOREVER)) return 1;
    }
    return 0;
}

void bench_barrier(void) {
    static const int parties[] = {2, 4, 8, 64};
    for (int i = 0; i < 4; i++) {
        double values[REPEATS_MAX];
        char metric[40];
        int n = bench_repeats();
        for (int r = 0; r < n; r++) {
            cohort_process_t *p[64];
            share_t s = {.messages = parties[i] == 2 ? 20000 : parties[i] == 64 ? 300 : 3000};
            MUST(cohort_barrier_create(&s.barrier, (unsigned)parties[i], NULL, NULL));
            for (int k = 1; k < parties[i]; k++) p[k] = start(cross, &s);
            MUST(cohort_barrier_wait(s.barrier, NULL, COHORT_FOREVER));
            double begin = bench_now();
            for (int k = 1; k < s.messages; k++) MUST(cohort_barrier_wait(s.barrier, NULL, COHORT_FOREVER));
            values[r] = (bench_now() - begin) / (s.messages - 1);
            for (int k = 1; k < parties[i]; k++) finish(p[k]);
            MUST(cohort_barrier_destroy(s.barrier));
        }
        snprintf(metric, sizeof metric, "barrier.%d", parties[i]);
        bench_print(metric, "cohort", "us", values, n);
    }
}
