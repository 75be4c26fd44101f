/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Two processes with a channel in each direction: one of the system's, or a ring of four messages
 * in shared memory. */
#include "raw.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SLOTS = 4, PARENT = 0, CHILD = 1 };

typedef struct {
    _Alignas(128) word_t written;
    word_t reader_sleeps;
    _Alignas(128) word_t read;
    word_t writer_sleeps;
    _Alignas(128) char data[];
} ring_t;

typedef struct {
    void (*open)(size_t size);
    void (*send)(int side, const void *data, size_t size);
    void (*receive)(int side, void *data, size_t size);
} channel_t;

static ring_t *rings[2]; /* written by each side */
static size_t slot;
static int in[2], out[2]; /* of each side */

/* ---- the system's --------------------------------------------------------------------------- */

static void open_pipes(size_t size) {
    int there[2], back[2];
    (void)size;
    PEER_MUST(pipe(there) == 0 && pipe(back) == 0);
    in[CHILD] = there[0], out[PARENT] = there[1];
    in[PARENT] = back[0], out[CHILD] = back[1];
}

static void open_sockets(size_t size) {
    int ends[2];
    (void)size;
    PEER_MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    for (int side = 0; side < 2; side++) in[side] = out[side] = ends[side];
}

static void send_bytes(int side, const void *data, size_t size) {
    for (const char *next = data; size > 0;) {
        ssize_t n = write(out[side], next, size);
        PEER_MUST(n > 0);
        next += n;
        size -= (size_t)n;
    }
}

static void receive_bytes(int side, void *data, size_t size) {
    for (char *next = data; size > 0;) {
        ssize_t n = read(in[side], next, size);
        PEER_MUST(n > 0);
        next += n;
        size -= (size_t)n;
    }
}

/* ---- rings ---------------------------------------------------------------------------------- */

static void open_rings(size_t size) {
    slot = (size + 127) / 128 * 128;
    for (int side = 0; side < 2; side++) rings[side] = peer_shared(sizeof(ring_t) + SLOTS * slot);
}

static void spin_until_not(word_t *word, word_t *sleeps, uint32_t value) {
    (void)sleeps;
    while (atomic_load_explicit(word, memory_order_acquire) == value) relax();
}

static void spin_signal(word_t *word, word_t *sleeps, uint32_t value) {
    (void)sleeps;
    atomic_store_explicit(word, value, memory_order_release);
}

typedef void (*until_not_t)(word_t *, word_t *, uint32_t);

static inline void ring_send(int side, const void *data, size_t size, until_not_t until_not,
                             until_not_t signal) {
    ring_t *r = rings[side];
    uint32_t n = atomic_load_explicit(&r->written, memory_order_relaxed);
    until_not(&r->read, &r->writer_sleeps, n - SLOTS);
    memcpy(r->data + n % SLOTS * slot, data, size);
    signal(&r->written, &r->reader_sleeps, n + 1);
}

static inline void ring_receive(int side, void *data, size_t size, until_not_t until_not,
                                until_not_t signal) {
    ring_t *r = rings[!side];
    uint32_t n = atomic_load_explicit(&r->read, memory_order_relaxed);
    until_not(&r->written, &r->reader_sleeps, n);
    memcpy(data, r->data + n % SLOTS * slot, size);
    signal(&r->read, &r->writer_sleeps, n + 1);
}

static void spin_send(int side, const void *data, size_t size) {
    ring_send(side, data, size, spin_until_not, spin_signal);
}

static void spin_receive(int side, void *data, size_t size) {
    ring_receive(side, data, size, spin_until_not, spin_signal);
}

#ifdef RAW_FUTEX
static void futex_until_not(word_t *word, word_t *sleeps, uint32_t value) {
    while (atomic_load(word) == value) {
        atomic_store(sleeps, 1);
        if (atomic_load(word) == value) raw_sleep(word, value);
        atomic_store(sleeps, 0);
    }
}

static void futex_signal(word_t *word, word_t *sleeps, uint32_t value) {
    atomic_store(word, value);
    if (atomic_load(sleeps)) raw_wake(word, 1);
}

static void futex_send(int side, const void *data, size_t size) {
    ring_send(side, data, size, futex_until_not, futex_signal);
}

static void futex_receive(int side, void *data, size_t size) {
    ring_receive(side, data, size, futex_until_not, futex_signal);
}
#endif

/* ---- there and back ------------------------------------------------------------------------- */

typedef struct {
    const channel_t *channel;
    const char *metric;
    size_t size;
    long count;
    char *buffer;
} work_t;

static void echo(void *arg) {
    const work_t *w = arg;
    peer_pin(w->metric, CHILD);
    for (char *buffer = calloc(1, w->size);;) {
        w->channel->receive(CHILD, buffer, w->size);
        buffer[0]++;
        buffer[w->size - 1] ^= 1;
        w->channel->send(CHILD, buffer, w->size);
    }
}

static void round_trip(const work_t *w, long i) {
    char *buffer = w->buffer, first = (char)i, last = w->size > 1 ? (char)(i >> 8) : first;
    buffer[0] = first;
    buffer[w->size - 1] = last;
    w->channel->send(PARENT, buffer, w->size);
    w->channel->receive(PARENT, buffer, w->size);
    PEER_MUST(buffer[0] == (w->size > 1 ? (char)(first + 1) : (char)((char)(first + 1) ^ 1)));
    PEER_MUST(w->size == 1 || buffer[w->size - 1] == (char)(last ^ 1));
}

static void round_trips(void *arg, long first, long n) {
    for (long i = first; i < first + n; i++) round_trip(arg, i);
}

static double pingpong(const channel_t *channel, const char *metric, long count) {
    work_t w = {channel, metric, peer_size(metric), count, NULL};
    w.buffer = calloc(1, w.size);
    channel->open(w.size);
    int pid = peer_fork(echo, &w);
    peer_pin(metric, PARENT);
    round_trips(&w, 0, 10);
    double took = peer_blocks(round_trips, &w, count);
    peer_kill(pid);
    return took;
}

/* ---- one way -------------------------------------------------------------------------------- */

static void sink(void *arg) {
    const work_t *w = arg;
    char *buffer = calloc(1, w->size);
    for (long i = 0; i < w->count; i++) {
        w->channel->receive(CHILD, buffer, w->size);
        PEER_MUST(!memcmp(buffer, &i, sizeof i) &&
                  !memcmp(buffer + w->size - sizeof i, &i, sizeof i));
    }
    w->channel->send(CHILD, buffer, 1);
}

static double oneway(const channel_t *channel, const char *metric, long count) {
    work_t w = {channel, metric, peer_size(metric), count, NULL};
    char *buffer = calloc(1, w.size);
    channel->open(w.size);
    int pid = peer_fork(sink, &w);
    double begin = peer_now();
    for (long i = 0; i < count; i++) {
        memcpy(buffer, &i, sizeof i);
        memcpy(buffer + w.size - sizeof i, &i, sizeof i);
        channel->send(PARENT, buffer, w.size);
    }
    channel->receive(PARENT, buffer, 1);
    double took = peer_now() - begin;
    peer_join(pid);
    return took;
}

static const channel_t pipes = {open_pipes, send_bytes, receive_bytes};
static const channel_t sockets = {open_sockets, send_bytes, receive_bytes};
static const channel_t spinning = {open_rings, spin_send, spin_receive};

double raw_pingpong_spin(const char *metric, long count) {
    return pingpong(&spinning, metric, count);
}

double raw_pingpong_pipe(const char *metric, long count) { return pingpong(&pipes, metric, count); }

double raw_pingpong_socketpair(const char *metric, long count) {
    return pingpong(&sockets, metric, count);
}

double raw_oneway_spin(const char *metric, long count) { return oneway(&spinning, metric, count); }

double raw_oneway_pipe(const char *metric, long count) { return oneway(&pipes, metric, count); }

double raw_oneway_socketpair(const char *metric, long count) {
    return oneway(&sockets, metric, count);
}

#ifdef RAW_FUTEX
double raw_pingpong_futex(const char *metric, long count) {
    static const channel_t futexes = {open_rings, futex_send, futex_receive};
    return pingpong(&futexes, metric, count);
}
#endif
