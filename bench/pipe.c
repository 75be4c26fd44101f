/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Pipes between two processes: there and back; one way; and receiving without a copy. The metrics'
 * last word says where they run: free: as the system likes, same: both on one CPU, split: each on
 * its own.
 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MEGABYTE = 1 << 20 };

/* ---- there and back -------------------------------------------------------------------------
 */

typedef struct {
    cohort_connection_t *end;
    apr_size_t size;
    int cpu;
} echo_t;

static int echo(void *args) {
    echo_t *e = args;
    char *buffer = malloc(e->size);
    if (!buffer || !bench_pin(e->cpu)) return 1;
    for (;;) {
        apr_size_t size;
        apr_status_t status =
            cohort_connection_recv(e->end, buffer, e->size, &size, COHORT_FOREVER);
        if (status) return status != APR_EOF;
        buffer[0]++;
        buffer[size - 1] ^= 1;
        if (cohort_connection_send(e->end, buffer, size, COHORT_FOREVER)) return 1;
    }
}

typedef struct {
    cohort_connection_t *end;
    apr_size_t size;
    char *buffer;
    int cpu;
} ping_t;

static void ping_block(void *arg, int begin, int n) {
    ping_t *p = arg;
    for (int i = begin; i < begin + n; i++) {
        apr_size_t size;
        char first = (char)i, last = p->size > 1 ? (char)(i >> 8) : first;
        p->buffer[0] = first;
        p->buffer[p->size - 1] = last;
        MUST(cohort_connection_send(p->end, p->buffer, p->size, COHORT_FOREVER));
        MUST(cohort_connection_recv(p->end, p->buffer, p->size, &size, COHORT_FOREVER));
        char one = p->size > 1 ? (char)(first + 1) : (char)((char)(first + 1) ^ 1);
        bench_check(size == p->size && p->buffer[0] == one, "echo");
        bench_check(p->size == 1 || p->buffer[size - 1] == (char)(last ^ 1), "echo's end");
    }
}

static double run_ping(void *arg, int count) {
    ping_t *p = arg;
    bench_check(bench_pin(p->cpu), "pin"); /* only here: programs that are started inherit it */
    double took = bench_blocks(ping_block, p, count);
    bench_check(bench_pin(-1), "unpin");
    return took;
}

static void ping(const char *size_name, apr_size_t size, const char *where, const char *programs) {
    cohort_connection_t *here, *there;
    char metric[40];
    int split = !strcmp(where, "split"), pinned = split || !strcmp(where, "same");
    int possible = !pinned || bench_pin(split);
    bench_check(bench_pin(-1), "unpin");
    if (!possible) {
        bench_comment("left out: pingpong.%s.%s (cannot be arranged here)", size_name, where);
        return;
    }
    MUST(cohort_pipe_create(&here, &there, NULL, NULL));
    echo_t e = {there, size, pinned ? split : -1};
    cohort_process_options_t options = {
        .lifetime = COHORT_LIFETIME_DAEMON, .connections = &there, .n_connections = 1};
    cohort_process_t *p;
    MUST(cohort_process_create(&p, echo, &e, sizeof e, &options, NULL));
    MUST(cohort_process_start(p));
    MUST(cohort_connection_close(there));
    ping_t arg = {here, size, calloc(1, size), pinned ? 0 : -1};
    bench_contestant_t cohort[] = {{"cohort", run_ping, &arg, NULL}};
    snprintf(metric, sizeof metric, "pingpong.%s.%s", size_name, where);
    BENCH_CONTEST((&(bench_contest_t){metric, "us", BENCH_US, 100, 2000000}), cohort, programs);
    MUST(cohort_connection_close(here));
    bench_finish_child(p);
    free(arg.buffer);
}

/* ---- one way -------------------------------------------------------------------------------- */

static double run_one_way(void *arg, int count) {
    ping_t *p = arg;
    apr_size_t size;
    double begin = bench_now();
    for (int i = 0; i < count; i++) {
        memcpy(p->buffer, &i, sizeof i);
        memcpy(p->buffer + p->size - sizeof i, &i, sizeof i);
        MUST(cohort_connection_send(p->end, p->buffer, p->size, COHORT_FOREVER));
    }
    MUST(cohort_connection_send(p->end, NULL, 0, COHORT_FOREVER));
    MUST(cohort_connection_recv(p->end, p->buffer, 1, &size, COHORT_FOREVER));
    bench_check(p->buffer[0] == 1, "all arrived, in order");
    return bench_now() - begin;
}

/* Takes messages until an empty one, and answers whether all were there. */
static int sink_round(cohort_connection_t *end, char *buffer, apr_status_t *status) {
    char good = 1;
    for (int i = 0;; i++) {
        apr_size_t size;
        *status = cohort_connection_recv(end, buffer, MEGABYTE, &size, COHORT_FOREVER);
        if (*status || size == 0) break;
        good &= size == MEGABYTE && !memcmp(buffer, &i, sizeof i) &&
                !memcmp(buffer + size - sizeof i, &i, sizeof i);
    }
    return *status ? 0 : cohort_connection_send(end, &good, 1, COHORT_FOREVER) == APR_SUCCESS;
}

static int sink_blocks_round(cohort_connection_t *end, apr_status_t *status) {
    char good = 1;
    for (int i = 0;; i++) {
        apr_size_t size;
        char *block;
        *status = cohort_connection_recv_block(end, (void **)&block, &size, COHORT_FOREVER);
        if (*status) return 0;
        good &= size == 0 ||
                (!memcmp(block, &i, sizeof i) && !memcmp(block + size - sizeof i, &i, sizeof i));
        if (cohort_free(block)) return 0;
        if (size == 0) return cohort_connection_send(end, &good, 1, COHORT_FOREVER) == APR_SUCCESS;
    }
}

static int sink(void *args) {
    cohort_connection_t *end = *(cohort_connection_t **)args;
    apr_status_t status = APR_SUCCESS;
    char *buffer = malloc(MEGABYTE);
    while (sink_round(end, buffer, &status))
        ;
    return status != APR_EOF;
}

static int sink_blocks(void *args) {
    cohort_connection_t *end = *(cohort_connection_t **)args;
    apr_status_t status = APR_SUCCESS;
    while (sink_blocks_round(end, &status))
        ;
    return status != APR_EOF;
}

static cohort_process_t *start_sink(cohort_target_t target, ping_t *arg) {
    cohort_connection_t *there;
    cohort_process_t *p;
    MUST(cohort_pipe_create(&arg->end, &there, &(cohort_pipe_options_t){.bytes = 4 * MEGABYTE},
                            NULL));
    cohort_process_options_t options = {
        .lifetime = COHORT_LIFETIME_DAEMON, .connections = &there, .n_connections = 1};
    MUST(cohort_process_create(&p, target, &there, sizeof there, &options, NULL));
    MUST(cohort_process_start(p));
    MUST(cohort_connection_close(there));
    arg->size = MEGABYTE;
    arg->buffer = calloc(1, MEGABYTE);
    return p;
}

static void one_way(void) {
    ping_t args[2];
    cohort_process_t *p[] = {start_sink(sink, &args[0]), start_sink(sink_blocks, &args[1])};
    bench_contestant_t cohort[] = {{"cohort", run_one_way, &args[0], NULL},
                                   {"cohort-block", run_one_way, &args[1], NULL}};
    BENCH_CONTEST(
        (&(bench_contest_t){"oneway.1MiB.free", "GB/s", -(double)MEGABYTE / 1000, 16, 4000}),
        cohort, "raw:spin raw:pipe raw:socketpair mpi:send python:Pipe");
    for (int i = 0; i < 2; i++) {
        MUST(cohort_connection_close(args[i].end));
        bench_finish_child(p[i]);
        free(args[i].buffer);
    }
}

/* ---- without a copy ------------------------------------------------------------------------- */

enum { COLD = 256 * MEGABYTE, BATCH = 16, BATCHES = 5 };

/* Nothing of the pipe is in the caches afterwards, whatever the size of what was sent. (A long
 * memset() goes past them.) */
static void read_all(const volatile char *cold) {
    unsigned sum = 0;
    for (apr_size_t i = 0; i < COLD; i += 64) sum += (unsigned)cold[i];
    bench_check(sum == COLD / 64, "memory");
}

/* Blocks lie ready in the pipe; the clock runs while they are received. */
static double run_receive(void *arg, int count) {
    ping_t *p = arg;
    cohort_connection_t *here, *there;
    void *blocks[BATCH];
    char *cold = malloc(COLD);
    double took[BATCHES];
    cohort_pipe_options_t options = {.messages = BATCH, .bytes = BATCH * p->size};
    bench_check(cold != NULL, "memory");
    memset(cold, 1, COLD);
    MUST(cohort_pipe_create(&here, &there, &options, NULL));
    for (int i = 0; i < BATCHES; i++) {
        for (int k = 0; k < BATCH; k++)
            MUST(cohort_connection_send(here, p->buffer, p->size, COHORT_FOREVER));
        read_all(cold);
        double begin = bench_now();
        for (int k = 0; k < BATCH; k++) {
            apr_size_t size;
            MUST(cohort_connection_recv_block(there, &blocks[k], &size, COHORT_FOREVER));
            bench_check(size == p->size, "size");
        }
        took[i] = bench_now() - begin;
        for (int k = 0; k < BATCH; k++) MUST(cohort_free(blocks[k]));
    }
    free(cold);
    MUST(cohort_connection_close(here));
    MUST(cohort_connection_close(there));
    return bench_median(took, BATCHES) * count / BATCH;
}

/* One block goes through a queue, out of which it comes as it went in. */
static double run_handover(void *arg, int count) {
    ping_t *p = arg;
    cohort_queue_t *queue;
    void *block, *got;
    MUST(cohort_queue_create(&queue, NULL, NULL));
    MUST(cohort_alloc(&block, p->size));
    memset(block, 7, p->size);
    double begin = bench_now();
    for (int i = 0; i < count; i++) {
        apr_size_t size;
        MUST(cohort_queue_put_block(queue, block, p->size, COHORT_FOREVER));
        MUST(cohort_queue_get_block(queue, &got, &size, COHORT_FOREVER));
        bench_check(got == block && size == p->size, "block");
    }
    double took = bench_now() - begin;
    MUST(cohort_free(block));
    MUST(cohort_queue_destroy(queue));
    return took;
}

/* All sizes in turns, since they are compared with each other. */
static void without_a_copy(void) {
    static const apr_size_t sizes[] = {65536, MEGABYTE, 16 * MEGABYTE};
    static const char *const receive[] = {"receive.block.64KiB", "receive.block.1MiB",
                                          "receive.block.16MiB"};
    static const char *const handover[] = {"handover.block.64KiB", "handover.block.1MiB",
                                           "handover.block.16MiB"};
    ping_t args[3];
    bench_contestant_t receivers[3], givers[3];
    for (int i = 0; i < 3; i++) {
        args[i] = (ping_t){.size = sizes[i], .buffer = calloc(1, sizes[i])};
        receivers[i] = (bench_contestant_t){"cohort", run_receive, &args[i], receive[i]};
        givers[i] = (bench_contestant_t){"cohort", run_handover, &args[i], handover[i]};
    }
    BENCH_CONTEST((&(bench_contest_t){receive[0], "ns", BENCH_NS, BATCH * BATCHES, 0}), receivers,
                  NULL);
    BENCH_CONTEST((&(bench_contest_t){handover[0], "ns", BENCH_NS, 100, 10000000}), givers, NULL);
    for (int i = 0; i < 3; i++) free(args[i].buffer);
}

void bench_section_pipe(void) {
    ping("1B", 1, "free", "raw:spin raw:futex raw:pipe zmq:pair mpi:send python:Pipe");
    ping("1B", 1, "same", "raw:futex raw:pipe zmq:pair python:Pipe");
    ping("1B", 1, "split", "raw:spin raw:futex raw:pipe zmq:pair mpi:send python:Pipe");
    ping("64KiB", 65536, "free", "raw:spin raw:pipe raw:socketpair zmq:pair mpi:send python:Pipe");
    one_way();
    without_a_copy();
}
