/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for ends of processes on a system without process descriptors or kqueue: poll() on the
 * channel and on a socket by which other threads wake the waiter, bounded, and a look at each
 * process in between. The pause starts at a millisecond whenever something happened and doubles up
 * to MOST_MS, so that a busy watcher is prompt and an idle one cheap. Ways that need a hand in the
 * child (a pipe that its end closes) would miss programs, and children that close descriptors which
 * are not their own.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define LEAST_MS   1
#define MOST_MS    25
#define LONGEST_MS 1000 /* without a look whether the descriptors are there still */
#ifdef MSG_NOSIGNAL
#define AT_ONCE (MSG_DONTWAIT | MSG_NOSIGNAL)
#else
#define AT_ONCE MSG_DONTWAIT
#endif
/* looks at a child that has ended and cannot be reaped: a debugger has it first */
#define HELD_MOST 30

typedef struct entry_t {
    struct entry_t *next;
    cohort_os_id_t process;
    uint64_t cookie;
    bool child;
    int held;
} entry_t;

_Static_assert(sizeof(entry_t) <= sizeof(cohort_os_watch_room_t), "an entry fits its room");

struct cohort_os_watch_t {
    cohort_os_mutex_t mutex; /* of the list */
    entry_t *entries;
    cohort_os_known_t nudged, nudge;
    cohort_os_known_t known; /* the channel */
    int channel, pause_ms;
};

/* Sockets, since what is asked of them by number neither waits nor takes anything when the program
 * has closed the number a moment ago and another thread has got it for a pipe or a file. */
static apr_status_t make_nudge(cohort_os_watch_t *watch) {
    cohort_os_handle_t nudged, nudge;
    int raw[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, raw) != 0) return errno;
    apr_status_t status = cohort__fd_pair(raw, &nudged, &nudge);
    if (status != APR_SUCCESS) return status;
    fcntl((int)nudged, F_SETFD, FD_CLOEXEC);
    fcntl((int)nudge, F_SETFD, FD_CLOEXEC);
    watch->nudged = cohort_os_know(nudged);
    watch->nudge = cohort_os_know(nudge);
    return APR_SUCCESS;
}

apr_status_t cohort_os_watch_create(cohort_os_watch_t **result) {
    cohort_os_watch_t *watch = calloc(1, sizeof *watch);
    if (!watch) return APR_ENOMEM;
    watch->channel = -1;
    watch->pause_ms = LEAST_MS;
    apr_status_t status = make_nudge(watch);
    if (status != APR_SUCCESS) {
        free(watch);
        return status;
    }
    *result = watch;
    return APR_SUCCESS;
}

void cohort_os_watch_destroy(cohort_os_watch_t *watch) {
    if (!watch) return;
    cohort_os_close_known(&watch->nudged);
    cohort_os_close_known(&watch->nudge);
    if (watch->channel >= 0) cohort_os_close_known(&watch->known);
    free(watch);
}

apr_status_t cohort_os_watch_process(cohort_os_watch_t *watch, cohort_os_watch_room_t *room,
                                     cohort_os_id_t process, bool child, uint64_t cookie) {
    entry_t *entry = (void *)room;
    *entry = (entry_t){.process = process, .cookie = cookie, .child = child};
    cohort_os_mutex_lock(&watch->mutex);
    entry->next = watch->entries;
    watch->entries = entry;
    ssize_t result;
    /* full is fine too */
    if (cohort_os_is_known(&watch->nudge))
        COHORT__RETRY(result, send((int)watch->nudge.handle, "", 1, AT_ONCE));
    cohort_os_mutex_unlock(&watch->mutex);
    return APR_SUCCESS;
}

apr_status_t cohort_os_watch_channel(cohort_os_watch_t *watch, cohort_os_handle_t reader,
                                     bool alone) {
    (void)alone;
    if (watch->channel >= 0) return APR_EINVAL;
    watch->channel = (int)reader;
    watch->known = cohort_os_know(reader);
    return APR_SUCCESS;
}

/* Reported now it would stay a zombie, since no thread would come back to reap it. */
static bool is_held(entry_t *entry) {
    uint64_t birth = 0;
    return entry->child && entry->held++ < HELD_MOST &&
           cohort__life(entry->process.pid, &birth) == COHORT__ENDED;
}

static bool has_ended(entry_t *entry) {
    int code;
    if (entry->child && cohort__code_peek(-1, entry->process.pid, &code)) {
        /* even if other code reaps the child, cohort_os_reap() will know */
        cohort__code_remember(entry->process, code);
        return true;
    }
    return !cohort_os_alive(entry->process, NULL) && !is_held(entry);
}

static bool ask(cohort_os_watch_t *watch, cohort_os_event_t *event) {
    bool found = false;
    cohort_os_mutex_lock(&watch->mutex);
    for (entry_t **link = &watch->entries; *link && !found; link = found ? link : &(*link)->next) {
        entry_t *entry = *link;
        if (!has_ended(entry)) continue;
        *event = (cohort_os_event_t){.kind = COHORT_OS_ENDED, .cookie = entry->cookie};
        *link = entry->next;
        found = true;
    }
    cohort_os_mutex_unlock(&watch->mutex);
    return found;
}

static bool take_message(cohort_os_watch_t *watch, cohort_os_event_t *event) {
    int got = cohort__channel_take(watch->channel, event);
    if (got < 0) return false;
    if (got == 0) {
        close(watch->channel);
        watch->channel = -1;
    }
    return true;
}

/* This program may have closed descriptors that are not its own. The pipe is made again; the
 * channel cannot be, and is gone. */
static bool find_lost(cohort_os_watch_t *watch, cohort_os_event_t *event) {
    cohort_os_mutex_lock(&watch->mutex);
    bool whole = cohort_os_is_known(&watch->nudged) && cohort_os_is_known(&watch->nudge);
    if (!whole) cohort_os_close_known(&watch->nudged);
    if (!whole) cohort_os_close_known(&watch->nudge);
    if (!whole) (void)make_nudge(watch); /* else threads wait until the next look */
    cohort_os_mutex_unlock(&watch->mutex);
    if (watch->channel < 0 || cohort_os_is_known(&watch->known)) return false;
    watch->channel = -1;
    *event = (cohort_os_event_t){.kind = COHORT_OS_GONE};
    return true;
}

/* Sleep until the channel or another thread has something, or it is time to look again. */
static bool sleep_a_little(cohort_os_watch_t *watch, int64_t deadline, cohort_os_event_t *event) {
    struct pollfd look[2] = {{.fd = (int)watch->nudged.handle, .events = POLLIN},
                             {.fd = watch->channel, .events = POLLIN}};
    char bytes[64];
    cohort_os_mutex_lock(&watch->mutex);
    bool asking = watch->entries != NULL;
    cohort_os_mutex_unlock(&watch->mutex);
    int left = cohort__milliseconds(deadline);
    bool bounded = asking && (left < 0 || left > watch->pause_ms);
    if (!bounded && (left < 0 || left > LONGEST_MS)) left = LONGEST_MS;
    if (poll(look, 2, bounded ? watch->pause_ms : left) == 0 && watch->pause_ms < MOST_MS)
        watch->pause_ms *= 2;
    if (look[0].revents) {
        while (recv((int)watch->nudged.handle, bytes, sizeof bytes, MSG_DONTWAIT) ==
               (ssize_t)sizeof bytes)
            continue;
        watch->pause_ms = LEAST_MS;
    }
    return look[1].revents && take_message(watch, event);
}

apr_status_t cohort_os_watch_wait(cohort_os_watch_t *watch, int64_t deadline,
                                  cohort_os_event_t *event) {
    for (;;) {
        bool found =
            find_lost(watch, event) || ask(watch, event) || sleep_a_little(watch, deadline, event);
        if (found) {
            watch->pause_ms = LEAST_MS;
            return APR_SUCCESS;
        }
        if (deadline != COHORT_OS_NEVER && cohort_os_now() >= deadline) return APR_TIMEUP;
    }
}

bool cohort_os_borrow_begin(cohort_os_watch_t *watch, cohort_os_borrow_t *borrow) {
    return (void)watch, (void)borrow, false;
}

apr_status_t cohort_os_borrow_wait(const cohort_os_borrow_t *borrow, int64_t deadline, int *which,
                                   int *code) {
    (void)borrow, (void)deadline, (void)which, (void)code;
    return APR_ENOTIMPL;
}

void cohort_os_borrow_return(cohort_os_watch_t *watch, const cohort_os_borrow_t *borrow,
                             int reported) {
    (void)watch, (void)borrow, (void)reported;
}
