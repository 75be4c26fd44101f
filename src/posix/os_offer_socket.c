/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors that other processes may have, by a socket of the offering process' with a name of
 * the kernel's (Linux: it is in no directory, and gone with the process). A thread, begun with the
 * first offer, serves it: a process that wants a descriptor sends its token and gets a copy, by
 * SCM_RIGHTS; when it says that it has won, the copy that was kept is closed. The kernel says which
 * process serves a socket, so none can pass for another, and the token is what no other user knows.
 * Where the kernel allows it a process takes the copy by itself (os_direct.c), and the thread only
 * gets a datagram with the token of what was won.
 * A process that is stopped in the middle keeps the others waiting for two seconds.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define PATIENCE   2         /* seconds */
#define LOOK_EVERY 250000000 /* nanoseconds: does the offering process live? */
#define PAUSE      10        /* milliseconds, when the system has no descriptor to give */
#define AT_ONCE    64        /* notices that are taken with the mutex held */
#define GATHER     1         /* milliseconds in which further notices may come, for one look */

typedef struct {
    uint64_t token; /* 0: none */
    cohort_os_known_t kept;
} entry_t;

static struct {
    cohort_os_mutex_t mutex;
    entry_t *entries;
    size_t room;
    cohort_os_known_t listener, notices;
    struct sockaddr_un name, notice;
    socklen_t name_size, notice_size;
    bool serving;
    uint64_t next; /* token; begins with a number that no other user knows */
} offers = {.listener = {.handle = COHORT_OS_NONE}, .notices = {.handle = COHORT_OS_NONE}};

static _Atomic bool used; /* so that a copy of a process that offers nothing writes nothing here */

/* ---- what is kept. Mutex. ------------------------------------------------------------------- */

static entry_t *find_entry(uint64_t token) {
    for (size_t i = 0; i < offers.room; ++i)
        if (offers.entries[i].token == token) return &offers.entries[i];
    return NULL;
}

static entry_t *free_entry(void) {
    entry_t *found = find_entry(0);
    size_t room = offers.room ? 2 * offers.room : 16;
    if (found) return found;
    entry_t *grown = realloc(offers.entries, room * sizeof *grown);
    if (!grown) return NULL;
    memset(grown + offers.room, 0, (room - offers.room) * sizeof *grown);
    found = grown + offers.room;
    offers.entries = grown;
    offers.room = room;
    return found;
}

static void drop_entry(entry_t *entry) {
    entry->token = 0;
    cohort_os_close_known(&entry->kept);
}

/* ---- serving -------------------------------------------------------------------------------- */

static void be_patient(int fd) {
    struct timeval patience = {.tv_sec = PATIENCE};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
}

typedef union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int))];
} rights_t;

/* One byte, and the descriptor unless it is -1. */
static bool send_copy(int to, int fd) {
    char byte = fd >= 0 ? 1 : 0;
    rights_t rights;
    struct iovec part = {&byte, 1};
    struct msghdr head = {.msg_iov = &part, .msg_iovlen = 1};
    memset(&rights, 0, sizeof rights);
    rights.align.cmsg_len = CMSG_LEN(sizeof(int));
    rights.align.cmsg_level = SOL_SOCKET;
    rights.align.cmsg_type = SCM_RIGHTS;
    memcpy(CMSG_DATA(&rights.align), &fd, sizeof fd);
    if (fd >= 0) head.msg_control = &rights;
    if (fd >= 0) head.msg_controllen = sizeof rights;
    ssize_t sent;
    COHORT__RETRY(sent, sendmsg(to, &head, MSG_NOSIGNAL));
    return sent == 1;
}

static bool send_kept(int to, uint64_t token) {
    cohort_os_mutex_lock(&offers.mutex);
    entry_t *entry = token ? find_entry(token) : NULL;
    bool there = entry && cohort_os_is_known(&entry->kept);
    bool sent = send_copy(to, there ? (int)entry->kept.handle : -1);
    cohort_os_mutex_unlock(&offers.mutex);
    return there && sent;
}

static void serve_one(int fd) {
    uint64_t token = 0;
    char won = 0;
    ssize_t got;
    be_patient(fd);
    COHORT__RETRY(got, recv(fd, &token, sizeof token, 0));
    if (got != (ssize_t)sizeof token || !send_kept(fd, token)) return;
    COHORT__RETRY(got, recv(fd, &won, 1, 0));
    if (got == 1 && won) cohort_os_offer_end(&(cohort_os_offer_t){.token = token}, true);
}

/* Mutex. What was won is closed. Not more than some at once: others may send on and on. */
static void take_notices(int fd) {
    uint64_t token;
    for (int i = 0; i < AT_ONCE; i++) {
        if (recv(fd, &token, sizeof token, MSG_DONTWAIT) != (ssize_t)sizeof token) return;
        entry_t *entry = token ? find_entry(token) : NULL;
        if (entry) drop_entry(entry);
    }
}

/* A thread that sends takes them too, so that this one has little to do when there are many. */
static void gather_notices(int fd) {
    cohort_os_mutex_lock(&offers.mutex);
    take_notices(fd);
    cohort_os_mutex_unlock(&offers.mutex);
    poll(NULL, 0, GATHER);
}

/* False: the socket is none any more. */
static bool take_request(int listener) {
    int fd;
    COHORT__RETRY(fd, accept4(listener, NULL, NULL, SOCK_CLOEXEC));
    if (fd < 0 && (errno == EBADF || errno == EINVAL || errno == ENOTSOCK)) return false;
    if (fd < 0) poll(NULL, 0, PAUSE);
    else serve_one(fd);
    cohort_os_close(fd < 0 ? COHORT_OS_NONE : fd);
    return true;
}

/* Ends when this program has closed the sockets as ones that are not its own: the next offer makes
 * others. */
static void serve(void *arg) {
    (void)arg;
    (void)atomic_fetch_add(&cohort__own_threads, 1);
    cohort_os_mutex_lock(&offers.mutex); /* until they are there */
    cohort_os_known_t listener = offers.listener, notices = offers.notices;
    cohort_os_mutex_unlock(&offers.mutex);
    for (;;) {
        struct pollfd set[] = {{.fd = (int)listener.handle, .events = POLLIN},
                               {.fd = (int)notices.handle, .events = POLLIN}};
        if (poll(set, 2, -1) < 0) continue;
        if (!cohort_os_is_known(&listener) || !cohort_os_is_known(&notices)) break;
        if (set[0].revents && !take_request((int)listener.handle)) break;
        if (set[1].revents) gather_notices((int)notices.handle);
    }
    cohort_os_mutex_lock(&offers.mutex);
    offers.serving = false;
    cohort_os_mutex_unlock(&offers.mutex);
    (void)atomic_fetch_sub(&cohort__own_threads, 1);
}

/* One with a name of the kernel's. */
static int open_socket(int type, struct sockaddr_un *name, socklen_t *size) {
    struct sockaddr_un any = {.sun_family = AF_UNIX};
    int fd = cohort__fd_safe(socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
    *size = sizeof *name;
    if (fd < 0) return -1;
    if (bind(fd, (struct sockaddr *)&any, sizeof any.sun_family) == 0 &&
        (type == SOCK_DGRAM || listen(fd, SOMAXCONN) == 0) &&
        getsockname(fd, (struct sockaddr *)name, size) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

/* Mutex. */
static apr_status_t begin_serving(void) {
    apr_status_t status = APR_SUCCESS;
    if (offers.serving && cohort_os_is_known(&offers.listener) &&
        cohort_os_is_known(&offers.notices))
        return APR_SUCCESS;
    cohort_os_close_known(&offers.listener);
    cohort_os_close_known(&offers.notices);
    int fd = open_socket(SOCK_SEQPACKET, &offers.name, &offers.name_size);
    int notice = fd < 0 ? -1 : open_socket(SOCK_DGRAM, &offers.notice, &offers.notice_size);
    if (notice < 0) status = cohort__fail(errno, "making a socket for what is sent");
    if (status == APR_SUCCESS) status = cohort_os_thread_start(serve, NULL);
    if (status == APR_SUCCESS) {
        offers.listener = cohort_os_know(fd);
        offers.notices = cohort_os_know(notice);
        offers.serving = true;
        return APR_SUCCESS;
    }
    if (notice >= 0) close(notice);
    if (fd >= 0) close(fd);
    return status;
}

/* Mutex. */
static apr_status_t keep(cohort_os_handle_t handle, cohort_os_offer_t *offer) {
    entry_t *entry = free_entry();
    if (!entry) return cohort__fail(APR_ENOMEM, "noting what is sent");
    while (offers.next == 0)
        if (getrandom(&offers.next, sizeof offers.next, 0) != (ssize_t)sizeof offers.next &&
            errno != EINTR)
            return cohort__fail(errno, "getrandom");
    uint64_t token = offers.next++;
    int fd = fcntl((int)handle, F_DUPFD_CLOEXEC, 3);
    if (fd < 0) return cohort__fail(errno, "duplicating what is sent");
    *entry = (entry_t){token, cohort_os_know(fd)};
    memset(offer, 0, sizeof *offer);
    offer->token = token;
    offer->address_size = (uint32_t)offers.name_size;
    memcpy(offer->address, &offers.name, sizeof offer->address);
    offer->notice_size = (uint32_t)offers.notice_size;
    memcpy(offer->notice, &offers.notice, sizeof offer->notice);
    offer->kept = fd;
    offer->device = entry->kept.device;
    offer->file = entry->kept.file;
    return APR_SUCCESS;
}

apr_status_t cohort_os_offer_make(cohort_os_handle_t handle, cohort_os_offer_t *offer) {
    atomic_store(&used, true);
    cohort_os_mutex_lock(&offers.mutex);
    apr_status_t status = begin_serving();
    if (status == APR_SUCCESS &&
        (offers.name_size > sizeof offer->address || offers.notice_size > sizeof offer->notice))
        status = cohort__fail(APR_EGENERAL, "a socket has too long a name");
    if (status == APR_SUCCESS) take_notices((int)offers.notices.handle);
    if (status == APR_SUCCESS) status = keep(handle, offer);
    cohort_os_mutex_unlock(&offers.mutex);
    return status;
}

/* ---- fetching ------------------------------------------------------------------------------- */

/* Does the socket belong to the process that is meant? */
static bool is_served_by(int fd, cohort_os_id_t owner) {
    struct ucred peer;
    socklen_t size = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.pid == owner.pid &&
           cohort_os_alive(owner, NULL);
}

static apr_status_t connect_to(const cohort_os_offer_t *offer, cohort_os_id_t owner, int *fd) {
    struct sockaddr_un name;
    memset(&name, 0, sizeof name);
    memcpy(&name, offer->address, sizeof offer->address);
    *fd = cohort__fd_safe(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    if (*fd < 0) return errno;
    be_patient(*fd);
    int result;
    COHORT__RETRY(result, connect(*fd, (struct sockaddr *)&name, (socklen_t)offer->address_size));
    if (result == 0 && is_served_by(*fd, owner)) return APR_SUCCESS;
    int error = result == 0 ? ECONNREFUSED : errno;
    close(*fd);
    if (error == EAGAIN) return APR_TIMEUP;
    if (error != ECONNREFUSED) return error;
    return cohort_os_alive(owner, NULL) ? APR_NOTFOUND : APR_EOF;
}

/* Until there is an answer, or none will come. */
static apr_status_t await_answer(int fd, cohort_os_id_t owner, int64_t deadline) {
    for (;;) {
        struct pollfd item = {.fd = fd, .events = POLLIN};
        int64_t look = cohort_os_now() + LOOK_EVERY;
        int ready = poll(&item, 1, cohort__milliseconds(look < deadline ? look : deadline));
        if (ready > 0) return APR_SUCCESS;
        if (!cohort_os_alive(owner, NULL)) return APR_EOF;
        if (cohort_os_now() >= deadline) return APR_TIMEUP;
    }
}

static apr_status_t receive_copy(int from, int *fd) {
    char byte = 0;
    rights_t rights;
    struct iovec part = {&byte, 1};
    struct msghdr head = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &rights, .msg_controllen = sizeof rights};
    ssize_t got;
    COHORT__RETRY(got, recvmsg(from, &head, MSG_CMSG_CLOEXEC));
    if (got <= 0) return got == 0 || errno == ECONNRESET ? APR_EOF : errno;
    struct cmsghdr *control = CMSG_FIRSTHDR(&head);
    if (!byte) return APR_NOTFOUND;
    if (!control || control->cmsg_type != SCM_RIGHTS) return EMFILE; /* there was no room */
    memcpy(fd, CMSG_DATA(control), sizeof *fd);
    *fd = cohort__fd_safe(*fd);
    return *fd < 0 ? errno : APR_SUCCESS;
}

static apr_status_t ask(int to, const cohort_os_offer_t *offer, cohort_os_id_t owner,
                        int64_t deadline, int *fd) {
    ssize_t sent;
    COHORT__RETRY(sent, send(to, &offer->token, sizeof offer->token, MSG_NOSIGNAL));
    if (sent < 0 && errno != EPIPE && errno != ECONNRESET) return errno;
    apr_status_t status = sent < 0 ? APR_EOF : await_answer(to, owner, deadline);
    return status == APR_SUCCESS ? receive_copy(to, fd) : status;
}

static apr_status_t fetch_by_asking(const cohort_os_offer_t *offer, cohort_os_id_t owner,
                                    int64_t deadline, bool (*win)(void *arg), void *arg,
                                    cohort_os_handle_t *handle, bool *told) {
    int to, fd = -1;
    apr_status_t status = connect_to(offer, owner, &to);
    if (status != APR_SUCCESS) return status;
    status = ask(to, offer, owner, deadline, &fd);
    if (status == APR_SUCCESS && !win(arg)) {
        close(fd);
        status = APR_NOTFOUND;
    }
    if (status == APR_SUCCESS) {
        *told = send(to, "\1", 1, MSG_NOSIGNAL) == 1;
        *handle = fd;
    }
    close(to);
    /* it lives, so this is about the socket alone */
    return status == APR_EOF && cohort_os_alive(owner, NULL) ? APR_NOTFOUND : status;
}

static bool is_won(void *arg) {
    (void)arg;
    return true;
}

/* A datagram tells the owner; when it takes none now, a request does, the answer of which is
 * dropped. False: neither did. */
static bool have_closed(const cohort_os_offer_t *offer, cohort_os_id_t owner, int64_t deadline) {
    cohort_os_handle_t second;
    bool told = false;
    int64_t latest = cohort_os_now() + PATIENCE * INT64_C(1000000000);
    if (cohort__direct_taken(offer)) return true;
    if (deadline > latest) deadline = latest;
    if (fetch_by_asking(offer, owner, deadline, is_won, NULL, &second, &told) == APR_SUCCESS)
        close((int)second);
    return told;
}

apr_status_t cohort_os_offer_fetch(const cohort_os_offer_t *offer, cohort_os_id_t owner,
                                   int64_t deadline, bool (*win)(void *arg), void *arg,
                                   cohort_os_handle_t *handle, bool *told) {
    int fd = cohort__direct_fetch(offer, owner);
    if (fd < 0) return fetch_by_asking(offer, owner, deadline, win, arg, handle, told);
    if (!win(arg)) {
        close(fd);
        return APR_NOTFOUND;
    }
    *handle = fd;
    *told = have_closed(offer, owner, deadline);
    return APR_SUCCESS;
}

void cohort_os_offer_end(const cohort_os_offer_t *offer, bool taken) {
    (void)taken; /* a token is never used twice */
    cohort_os_mutex_lock(&offers.mutex);
    entry_t *entry = offer->token ? find_entry(offer->token) : NULL;
    if (entry) drop_entry(entry);
    cohort_os_mutex_unlock(&offers.mutex);
}

/* ---- a copy of the process ------------------------------------------------------------------ */

/* Offers nothing. Its descriptors are copies, which would keep open what the original closes. */
void cohort__offers_forked(void) {
    cohort__direct_forked();
    if (!atomic_load(&used)) return;
    cohort_os_mutex_reset(&offers.mutex);
    for (size_t i = 0; i < offers.room; ++i)
        if (offers.entries[i].token) drop_entry(&offers.entries[i]);
    if (offers.serving) cohort_os_close_known(&offers.listener);
    if (offers.serving) cohort_os_close_known(&offers.notices);
    if (offers.serving) offers.serving = false;
    offers.next = 0;
}
