/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors. Each is moved above the standard three (a host that has closed its stdin must not find one of ours there) and closes on
 * exec. A channel is a socket pair that keeps messages apart where the system has such, else a pipe, whose small writes are atomic too.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

int cohort__fd_safe(int fd) {
    if (fd < 0) return -1;
    if (fd > 2) {
        fcntl(fd, F_SETFD, FD_CLOEXEC);
        return fd;
    }
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    int error = errno;
    close(fd);
    errno = error;
    return moved;
}

apr_status_t cohort__fd_pair(int raw[2], cohort_os_handle_t *first, cohort_os_handle_t *second) {
    int a = cohort__fd_safe(raw[0]);
    int b = cohort__fd_safe(raw[1]);
    if (a >= 0 && b >= 0) {
        *first = a;
        *second = b;
        return APR_SUCCESS;
    }
    apr_status_t status = errno;
    if (a >= 0) close(a);
    if (b >= 0) close(b);
    return status;
}

size_t cohort__read_all(int fd, void *buffer, size_t size) {
    size_t total = 0;
    ssize_t got = 1;
    while (got > 0 && total < size) {
        COHORT__RETRY(got, read(fd, (char *)buffer + total, size - total));
        if (got > 0) total += (size_t)got;
    }
    return total;
}

size_t cohort__write_all(int fd, const void *buffer, size_t size) {
    size_t total = 0;
    ssize_t put = 1;
    while (put > 0 && total < size) {
        COHORT__RETRY(put, write(fd, (const char *)buffer + total, size - total));
        if (put > 0) total += (size_t)put;
    }
    return total;
}

static int raw_pipe(int raw[2]) {
#ifdef COHORT_HAVE_PIPE2
    return pipe2(raw, O_CLOEXEC);
#else
    return pipe(raw);
#endif
}

apr_status_t cohort_os_pipe_create(cohort_os_handle_t *reader, cohort_os_handle_t *writer) {
    int raw[2];
    if (raw_pipe(raw) != 0) return errno;
    return cohort__fd_pair(raw, reader, writer);
}

#ifdef COHORT_HAVE_SEQPACKET

apr_status_t cohort_os_channel_create(cohort_os_handle_t *reader, cohort_os_handle_t *writer) {
    int raw[2], room = 1 << 20;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, raw) != 0) return errno;
    setsockopt(raw[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    shutdown(raw[0], SHUT_WR);
    return cohort__fd_pair(raw, reader, writer);
}

static ssize_t put(int writer, const uint64_t *value) { return send(writer, value, sizeof *value, MSG_NOSIGNAL); }
static ssize_t take(int reader, uint64_t *value) { return recv(reader, value, sizeof *value, MSG_DONTWAIT); }

#else

apr_status_t cohort_os_channel_create(cohort_os_handle_t *reader, cohort_os_handle_t *writer) {
    apr_status_t status = cohort_os_pipe_create(reader, writer);
    if (status != APR_SUCCESS) return status;
    fcntl((int)*reader, F_SETFL, O_NONBLOCK);
    fcntl((int)*writer, F_SETNOSIGPIPE, 1);
    return APR_SUCCESS;
}

static ssize_t put(int writer, const uint64_t *value) { return write(writer, value, sizeof *value); }
static ssize_t take(int reader, uint64_t *value) { return read(reader, value, sizeof *value); }

#endif

apr_status_t cohort_os_channel_post(cohort_os_handle_t writer, uint64_t value) {
    ssize_t sent;
    COHORT__RETRY(sent, put((int)writer, &value));
    if (sent == (ssize_t)sizeof value) return APR_SUCCESS;
    if (errno == ENOBUFS || errno == ENOMEM) return APR_ENOMEM;
    return errno == ECONNRESET || errno == ENOTCONN ? EPIPE : errno;
}

int cohort__channel_take(int reader, uint64_t *value) {
    ssize_t got;
    COHORT__RETRY(got, take(reader, value));
    if (got == (ssize_t)sizeof *value) return 1;
    return got >= 0 || errno == ECONNRESET ? 0 : -1;
}

apr_status_t cohort_os_null_open(cohort_os_handle_t *handle) {
    int fd;
    COHORT__RETRY(fd, open("/dev/null", O_RDWR | O_CLOEXEC));
    fd = cohort__fd_safe(fd);
    if (fd < 0) return errno;
    *handle = fd;
    return APR_SUCCESS;
}

void cohort_os_close(cohort_os_handle_t handle) {
    if (handle != COHORT_OS_NONE) close((int)handle);
}
