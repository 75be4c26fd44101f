/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Flows: poll(), and then one read() or write() for each descriptor that is ready. A reading end
 * blocks, and is read only when something is there to be read, by one thread; a writing end does
 * not, since no system says how much it would take. The port is a pipe of which neither end blocks:
 * when it is full a wake-up is on its way.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define FEW 32

apr_status_t cohort_os_port_create(cohort_os_port_t *port) {
    apr_status_t status =
        cohort_os_pipe_create(COHORT_OS_PIPE_OUTWARD, &port->reader, &port->writer);
    if (status == APR_SUCCESS) (void)fcntl((int)port->reader, F_SETFL, O_NONBLOCK);
    return status;
}

void cohort_os_port_close(cohort_os_port_t *port) {
    cohort_os_close(port->reader);
    cohort_os_close(port->writer);
    port->reader = port->writer = COHORT_OS_NONE;
}

/* ---- one flow ------------------------------------------------------------------------------- */

/* A write to a pipe without a reader must not end the host: the signal that it raises is blocked,
 * and taken, unless one was there before. */
static ssize_t write_quietly(int fd, const char *bytes, size_t size) {
    sigset_t pipe, before, pending;
    ssize_t put;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &pipe, &before);
    COHORT__RETRY(put, write(fd, bytes, size));
    int error = errno, taken;
    if (put < 0 && error == EPIPE && !sigismember(&pending, SIGPIPE)) {
        sigpending(&pending);
        if (sigismember(&pending, SIGPIPE)) sigwait(&pipe, &taken);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return put;
}

/* EIO is what the end of a terminal is. */
static void move(cohort_os_flow_t *flow) {
    ssize_t moved;
    if (flow->outward) moved = write_quietly((int)flow->handle, flow->bytes, flow->size);
    else COHORT__RETRY(moved, read((int)flow->handle, flow->bytes, flow->size));
    if (moved > 0) flow->moved = (size_t)moved;
    else if (moved == 0) flow->status = flow->outward ? APR_SUCCESS : APR_EOF;
    else if (errno == EPIPE || errno == EIO) flow->status = APR_EOF;
    else if (errno != EAGAIN && errno != EWOULDBLOCK) flow->status = errno;
}

/* ---- the wait ------------------------------------------------------------------------------- */

static bool is_passed_over(const cohort_os_flow_t *flow) {
    return flow->handle == COHORT_OS_NONE || flow->size == 0;
}

/* Milliseconds, not too few; a longer time is cut. */
static int until(int64_t deadline) {
    int64_t rest = deadline - cohort_os_now();
    if (deadline == COHORT_OS_NEVER) return -1;
    if (rest <= 0) return 0;
    return rest > INT64_C(3600000000000) ? 3600000 : (int)((rest + 999999) / 1000000);
}

static void drain(int fd) {
    char bytes[64];
    ssize_t got;
    do COHORT__RETRY(got, read(fd, bytes, sizeof bytes));
    while (got == (ssize_t)sizeof bytes);
}

static apr_status_t poll_all(const cohort_os_port_t *port, cohort_os_flow_t *const *flows,
                             int count, int64_t deadline, struct pollfd *set) {
    int n = 1, ready;
    set[0] = (struct pollfd){.fd = (int)port->reader, .events = POLLIN};
    for (int i = 0; i < count; ++i) {
        flows[i]->moved = 0;
        flows[i]->status = APR_SUCCESS;
        if (is_passed_over(flows[i])) continue;
        set[n].fd = (int)flows[i]->handle;
        set[n++].events = flows[i]->outward ? POLLOUT : POLLIN;
    }
    do ready = poll(set, (nfds_t)n, until(deadline));
    while (ready < 0 && errno == EINTR && cohort_os_now() < deadline);
    if (ready <= 0) return ready == 0 || errno == EINTR ? APR_TIMEUP : errno;
    if (set[0].revents) drain((int)port->reader);
    for (int i = 0, at = 1; i < count; ++i) {
        if (is_passed_over(flows[i])) continue;
        if (set[at++].revents) move(flows[i]);
    }
    return APR_SUCCESS;
}

apr_status_t cohort_os_port_wait(const cohort_os_port_t *port, cohort_os_flow_t *const *flows,
                                 int count, int64_t deadline) {
    struct pollfd few[FEW + 1], *set = few;
    if (count > FEW) set = malloc(((size_t)count + 1) * sizeof *set);
    if (!set) return APR_ENOMEM;
    apr_status_t status = poll_all(port, flows, count, deadline, set);
    if (set != few) free(set);
    return status;
}
