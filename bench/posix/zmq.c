/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * cohort-peer-zmq: ZeroMQ over its local transport. Every consumer binds and every producer
 * connects to all, which deals the messages out: there is no common queue. Its high-water marks are
 * the default, 1000 messages.
 */
#include "peer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

enum { PATIENCE = 20 }; /* milliseconds */

static char directory[64];
static void *context, *at;

static void make_directory(void) {
    snprintf(directory, sizeof directory, "/tmp/cohort-peer-XXXXXX");
    PEER_MUST(mkdtemp(directory) != NULL);
}

static void open_socket(int type, int number, int binds) {
    char address[100];
    if (!context) context = zmq_ctx_new();
    if (!at) at = zmq_socket(context, type);
    snprintf(address, sizeof address, "ipc://%s/%d", directory, number);
    PEER_MUST(at && (binds ? zmq_bind(at, address) : zmq_connect(at, address)) == 0);
}

static void close_socket(void) { PEER_MUST(zmq_close(at) == 0 && zmq_ctx_term(context) == 0); }

static void destroy(void) {
    char path[100];
    for (int i = 0; i < 16; i++) {
        snprintf(path, sizeof path, "%s/%d", directory, i);
        (void)unlink(path);
    }
    (void)rmdir(directory);
}

/* ---- push and pull -------------------------------------------------------------------------- */

static void create(size_t size, int producers, int consumers) {
    (void)size, (void)producers, (void)consumers;
    make_directory();
}

static void open_producer(int number, int consumers) {
    (void)number;
    for (int i = 0; i < consumers; i++) open_socket(ZMQ_PUSH, i, 0);
    usleep(50000); /* all connections stand */
}

static void open_consumer(int number) {
    int patience = PATIENCE;
    open_socket(ZMQ_PULL, number, 1);
    PEER_MUST(zmq_setsockopt(at, ZMQ_RCVTIMEO, &patience, sizeof patience) == 0);
}

static void put(const void *message, size_t size) {
    PEER_MUST(zmq_send(at, message, size, 0) == (int)size);
}

static int get(void *message, size_t size, double *since) {
    int n = zmq_recv(at, message, size, ZMQ_DONTWAIT);
    if (n < 0) {
        *since = peer_now();
        n = zmq_recv(at, message, size, 0);
    }
    PEER_MUST(n == (int)size || (n < 0 && errno == EAGAIN));
    return n > 0;
}

static double run_queue(const char *metric, long count) {
    static const peer_queue_t queue = {create, open_producer, open_consumer, put,
                                       get,    close_socket,  destroy,       1};
    return peer_crowd(&queue, metric, count);
}

/* ---- a pair, there and back ----------------------------------------------------------------- */

typedef struct {
    const char *metric;
    size_t size;
    char *buffer;
} work_t;

static void echo(void *arg) {
    const work_t *w = arg;
    char *buffer = malloc(w->size);
    peer_pin(w->metric, 1);
    open_socket(ZMQ_PAIR, 0, 0);
    for (;;) {
        PEER_MUST(zmq_recv(at, buffer, w->size, 0) == (int)w->size);
        buffer[0]++;
        put(buffer, w->size);
    }
}

static void round_trips(void *arg, long first, long n) {
    work_t *w = arg;
    for (long i = first; i < first + n; i++) {
        w->buffer[0] = (char)i;
        put(w->buffer, w->size);
        PEER_MUST(zmq_recv(at, w->buffer, w->size, 0) == (int)w->size &&
                  w->buffer[0] == (char)(i + 1));
    }
}

static double run_pair(const char *metric, long count) {
    work_t w = {metric, peer_size(metric), NULL};
    w.buffer = calloc(1, w.size);
    make_directory();
    int pid = peer_fork(echo, &w);
    peer_pin(metric, 0);
    open_socket(ZMQ_PAIR, 0, 1);
    round_trips(&w, 0, 10);
    double took = peer_blocks(round_trips, &w, count);
    peer_kill(pid);
    close_socket();
    destroy();
    return took;
}

int main(int argc, char **argv) {
    static const peer_work_t table[] = {
        {"push-pull", "queue", run_queue}, {"pair", "pingpong", run_pair}, {NULL, NULL, NULL}};
    return peer_main(argc, argv, table);
}
