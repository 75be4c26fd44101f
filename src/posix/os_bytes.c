/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors. Each is moved above the standard three (a host that has closed its stdin must not
 * find one of ours there) and closes on exec. A channel is a socket pair, which can carry
 * descriptors, and keeps messages apart where the system has such.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif

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

int cohort__files_walk(int first) {
    int bound = cohort__files_bound();
    for (int fd = first; fd < bound; ++fd)
        if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 && errno != EBADF) return -1;
    return 0;
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

/* ---- pipes ---------------------------------------------------------------------------------- */

#ifdef COHORT_HAVE_SEQPACKET
#define CHANNEL_TYPE (SOCK_SEQPACKET | SOCK_CLOEXEC)
#else
#define CHANNEL_TYPE SOCK_STREAM
#endif

static int channel(int raw[2]) {
    int room = 1 << 20;
    if (socketpair(AF_UNIX, CHANNEL_TYPE, 0, raw) != 0) return -1;
    setsockopt(raw[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
#ifdef SO_NOSIGPIPE
    room = 1;
    setsockopt(raw[1], SOL_SOCKET, SO_NOSIGPIPE, &room, sizeof room);
#endif
    shutdown(raw[0], SHUT_WR);
    return 0;
}

static int raw_pipe(int raw[2]) {
#ifdef COHORT_HAVE_PIPE2
    return pipe2(raw, O_CLOEXEC);
#else
    return pipe(raw);
#endif
}

/* A lifeline is opened once more by those that hang on it, as whatever user they run then
 * (os_lifeline_sigio.c). A process that may look into them to find it may do more than that. */
apr_status_t cohort_os_pipe_create(cohort_os_pipe_t what, cohort_os_handle_t *reader,
                                   cohort_os_handle_t *writer) {
    int raw[2];
    if (what == COHORT_OS_PIPE_TERMINAL) return cohort__terminal_create(reader, writer);
    if ((what == COHORT_OS_PIPE_MESSAGES ? channel(raw) : raw_pipe(raw)) != 0) return errno;
    if (what == COHORT_OS_PIPE_OUTWARD) (void)fcntl(raw[1], F_SETFL, O_NONBLOCK);
    if (what == COHORT_OS_PIPE_LIFELINE) (void)fchmod(raw[0], S_IRUSR | S_IRGRP | S_IROTH);
    for (int i = 0; i < 2 && what == COHORT_OS_PIPE_FLAG; ++i)
        (void)fcntl(raw[i], F_SETFL, O_NONBLOCK);
    return cohort__fd_pair(raw, reader, writer);
}

/* ---- channels ------------------------------------------------------------------------------- */

#define OWN_FIRST 3 /* what is not a standard stream begins here */

/* What goes through the socket; the descriptors of the streams that are there go beside it, in
 * their order. */
typedef struct {
    uint64_t value;
    uint32_t streams; /* a bit for each that is there, and GIVEN */
    uint32_t reserved;
} message_t;

#define GIVEN 8u

typedef union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(3 * sizeof(int))];
} rights_t;

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* then SO_NOSIGPIPE is there */
#endif

static int put_rights(rights_t *rights, const cohort_os_streams_t *streams, message_t *message) {
    int fds[3], n = 0;
    for (int i = 0; i < 3; ++i) {
        if (streams->handles[i] == COHORT_OS_NONE) continue;
        fds[n++] = (int)streams->handles[i];
        message->streams |= 1u << i;
    }
    memset(rights, 0, sizeof *rights);
    rights->align.cmsg_len = CMSG_LEN((size_t)n * sizeof(int));
    rights->align.cmsg_level = SOL_SOCKET;
    rights->align.cmsg_type = SCM_RIGHTS;
    memcpy(CMSG_DATA(&rights->align), fds, (size_t)n * sizeof(int));
    return n;
}

static ssize_t put(int writer, uint64_t value, const cohort_os_streams_t *streams) {
    message_t message = {.value = value, .streams = streams ? GIVEN : 0};
    rights_t rights;
    struct iovec part = {&message, sizeof message};
    struct msghdr head = {.msg_iov = &part, .msg_iovlen = 1};
    int n = streams ? put_rights(&rights, streams, &message) : 0;
    if (n) head.msg_control = &rights;
    if (n) head.msg_controllen = CMSG_SPACE((size_t)n * sizeof(int));
    ssize_t sent;
    COHORT__RETRY(sent, sendmsg(writer, &head, MSG_NOSIGNAL));
    return sent;
}

/* The writer's or one of the streams: which descriptor is it that is not there? */
static bool leave_out_closed(cohort_os_streams_t *streams) {
    bool closed = false;
    for (int i = 0; i < 3; ++i) {
        if (streams->handles[i] == COHORT_OS_NONE || fcntl((int)streams->handles[i], F_GETFD) >= 0)
            continue;
        streams->handles[i] = COHORT_OS_NONE;
        closed = true;
    }
    return closed;
}

/* Room is there for the small messages, so a part of one is sent only where messages are not
 * kept apart; and no other thread writes meanwhile then. */
static apr_status_t posted(ssize_t sent) {
    if (sent == (ssize_t)sizeof(message_t)) return APR_SUCCESS;
    if (sent >= 0) return EPIPE;
    if (errno == ENOBUFS || errno == ENOMEM || errno == ETOOMANYREFS) return APR_ENOMEM;
    return errno == ECONNRESET || errno == ENOTCONN || errno == EBADF || errno == ENOTSOCK ? EPIPE
                                                                                           : errno;
}

/* What is no descriptor yet is one now. *null: what was opened for that, or -1. */
static apr_status_t settle(cohort_os_streams_t *streams, int *null) {
    for (int i = 0; i < 3; ++i) {
        cohort_os_handle_t *handle = &streams->handles[i];
        if (*handle == COHORT_OS_OUTPUT) *handle = streams->handles[1];
        if (*handle != COHORT_OS_NULL) continue;
        if (*null < 0) *null = cohort__null_open();
        if (*null < 0) return cohort__fail(APR_ENOMEM, "opening the null device");
        *handle = *null;
    }
    return APR_SUCCESS;
}

static apr_status_t post_with(int writer, uint64_t value, cohort_os_streams_t given) {
    ssize_t sent = put(writer, value, &given);
    if (sent < 0 && errno == EBADF && leave_out_closed(&given)) sent = put(writer, value, &given);
    return posted(sent);
}

apr_status_t cohort_os_channel_post(cohort_os_handle_t writer, uint64_t value,
                                    const cohort_os_streams_t *streams) {
    int null = -1;
    if (!streams) return posted(put((int)writer, value, NULL));
    cohort_os_streams_t given = *streams;
    apr_status_t status = settle(&given, &null);
    if (status == APR_SUCCESS) status = post_with((int)writer, value, given);
    if (null >= 0) close(null);
    return status;
}

/* All of them or none: where there was no room for a descriptor, the system has left some out. */
static void sort_rights(struct msghdr *head, const message_t *message, cohort_os_event_t *event) {
    struct cmsghdr *rights = CMSG_FIRSTHDR(head);
    bool are = rights && rights->cmsg_level == SOL_SOCKET && rights->cmsg_type == SCM_RIGHTS;
    size_t n = are ? (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0, used = 0;
    int fds[3];
    if (n > 3) n = 3;
    if (n) memcpy(fds, CMSG_DATA(rights), n * sizeof(int));
    for (int i = 0; i < 3; ++i) {
        bool there = (message->streams & 1u << i) && used < n;
        if ((message->streams & 1u << i) && !there) event->streams_status = EMFILE;
        event->streams.handles[i] = there ? fds[used++] : COHORT_OS_NONE;
    }
    event->with_streams = (message->streams & GIVEN) != 0;
    if (event->streams_status != APR_SUCCESS) cohort_os_streams_close(&event->streams);
}

int cohort__channel_take(int reader, cohort_os_event_t *event) {
    message_t message = {0, 0, 0};
    rights_t rights;
    struct iovec part = {&message, sizeof message};
    struct msghdr head = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &rights, .msg_controllen = sizeof rights};
    ssize_t got;
    COHORT__RETRY(got, recvmsg(reader, &head, MSG_DONTWAIT));
    if (got < 0 && errno != ECONNRESET) return -1;
    *event = (cohort_os_event_t){.kind = COHORT_OS_GONE};
    size_t have = got > 0 ? (size_t)got : 0;
    if (have && have < sizeof message)
        have += cohort__read_all(reader, (char *)&message + have, sizeof message - have);
    if (have < sizeof message) return 0;
    event->kind = COHORT_OS_MESSAGE;
    event->value = message.value;
    sort_rights(&head, &message, event);
    return 1;
}

/* ---- standard streams ----------------------------------------------------------------------- */

/* A full pipe is readable, too. */
void cohort_os_flag(cohort_os_handle_t reader, cohort_os_handle_t writer, bool readable) {
    char bytes[64] = {0};
    ssize_t count;
    if (readable) {
        COHORT__RETRY(count, write((int)writer, bytes, 1));
        return;
    }
    do {
        COHORT__RETRY(count, read((int)reader, bytes, sizeof bytes));
    } while (count == (ssize_t)sizeof bytes);
}

apr_status_t cohort__streams_copy(cohort_os_streams_t *streams) {
    cohort_os_streams_t copy = COHORT_OS_NO_STREAMS;
    apr_status_t status = APR_SUCCESS;
    for (int i = 0; i < 3 && status == APR_SUCCESS; ++i) {
        int fd = fcntl(i, F_DUPFD_CLOEXEC, OWN_FIRST);
        if (fd >= 0) copy.handles[i] = fd;
        else if (errno != EBADF) status = errno;
    }
    if (status != APR_SUCCESS) cohort_os_streams_close(&copy);
    else *streams = copy;
    return status;
}

/* Another one of them that lies where this one belongs goes out of its way. */
static int make_way(cohort_os_streams_t *streams, int number) {
    for (int i = 0; i < 3; ++i) {
        if (i == number || streams->handles[i] != number) continue;
        streams->handles[i] = fcntl(number, F_DUPFD, OWN_FIRST);
        if (streams->handles[i] < 0) return -1;
    }
    return 0;
}

static int move(cohort_os_streams_t *streams, int number) {
    int fd = (int)streams->handles[number], result;
    if (fd == number) return 0;
    if (make_way(streams, number) != 0) return -1;
    if (fd < 0) return close(number), 0;
    COHORT__RETRY(result, dup2(fd, number));
    if (result < 0) return -1;
    close(fd);
    streams->handles[number] = number;
    return 0;
}

/* They lie there already if the process had none: the lowest numbers are given first. */
int cohort__streams_take(const cohort_os_streams_t *streams) {
    cohort_os_streams_t given = *streams;
    for (int i = 0; i < 3; ++i)
        if (move(&given, i) != 0) return -1;
    return 0;
}

void cohort__streams_drop(void) {
#ifdef SYS_close_range
    if (syscall(SYS_close_range, 0, OWN_FIRST - 1, 0) == 0) return;
#endif
    for (int fd = 0; fd < OWN_FIRST; ++fd) close(fd);
}

/* ---- other descriptors ---------------------------------------------------------------------- */

void cohort_os_close(cohort_os_handle_t handle) {
    if (handle != COHORT_OS_NONE) close((int)handle);
}

cohort_os_known_t cohort_os_know(cohort_os_handle_t handle) {
    struct stat facts;
    if (handle == COHORT_OS_NONE || fstat((int)handle, &facts) != 0)
        return (cohort_os_known_t){.handle = COHORT_OS_NONE};
    cohort_os_known_t known = {
        .handle = handle, .device = (uint64_t)facts.st_dev, .file = (uint64_t)facts.st_ino};
    struct winsize window;
    if (S_ISCHR(facts.st_mode) && ioctl((int)handle, TIOCGWINSZ, &window) == 0) {
        known.columns = window.ws_col ? window.ws_col : 80;
        known.has_moves = true;
    }
    return known;
}
