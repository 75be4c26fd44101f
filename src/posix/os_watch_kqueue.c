/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for ends of processes by kqueue. A process that has ended before its filter was added is
 * reported through a user event, so that every end comes out of one place. A kqueue is not
 * inherited by fork(): a forked copy has only memory to release.
 */
#include "os_posix.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/event.h>
#include <unistd.h>

typedef struct entry_t {
    struct entry_t *next, **link;
    cohort_os_id_t process;
    uint64_t cookie;
    bool child;
} entry_t;

#define RETRY_NS ((int64_t)10000000)

_Static_assert(sizeof(entry_t) <= sizeof(cohort_os_watch_room_t), "an entry fits its room");

struct cohort_os_watch_t {
    cohort_os_mutex_t mutex; /* of the list */
    entry_t *entries;
    int queue, channel;
    cohort_os_known_t known; /* the channel */
    pid_t owner;
};

static int change(cohort_os_watch_t *watch, uintptr_t ident, int16_t filter, uint16_t flags,
                  uint32_t fflags, void *what) {
    struct kevent event;
    EV_SET(&event, ident, filter, flags, fflags, 0, what);
    int result;
    COHORT__RETRY(result, kevent(watch->queue, &event, 1, NULL, 0, NULL));
    return result;
}

apr_status_t cohort_os_watch_create(cohort_os_watch_t **result) {
    cohort_os_watch_t *watch = calloc(1, sizeof *watch);
    if (!watch) return APR_ENOMEM;
    watch->channel = -1;
    watch->owner = getpid();
    watch->queue = cohort__fd_safe(kqueue());
    if (watch->queue < 0) {
        apr_status_t status = errno;
        free(watch);
        return status;
    }
    *result = watch;
    return APR_SUCCESS;
}

void cohort_os_watch_destroy(cohort_os_watch_t *watch) {
    if (!watch) return;
    if (watch->owner == getpid()) close(watch->queue);
    if (watch->channel >= 0) cohort_os_close_known(&watch->known);
    free(watch);
}

static void link_entry(cohort_os_watch_t *watch, entry_t *entry) {
    entry->next = watch->entries;
    entry->link = &watch->entries;
    if (entry->next) entry->next->link = &entry->next;
    watch->entries = entry;
}

static void unlink_entry(entry_t *entry) {
    *entry->link = entry->next;
    if (entry->next) entry->next->link = entry->link;
}

static void prefetch(cohort_os_watch_t *watch, entry_t *entry) {
    uintptr_t pid = (uintptr_t)entry->process.pid;
    bool added = change(watch, pid, EVFILT_PROC, EV_ADD | EV_ONESHOT, NOTE_EXIT, entry) == 0;
    if (added && cohort_os_alive(entry->process, NULL)) return;
    if (added) change(watch, pid, EVFILT_PROC, EV_DELETE, 0, NULL);
    change(watch, (uintptr_t)entry, EVFILT_USER, EV_ADD | EV_ONESHOT, 0, entry);
    change(watch, (uintptr_t)entry, EVFILT_USER, 0, NOTE_TRIGGER, entry);
}

apr_status_t cohort_os_watch_process(cohort_os_watch_t *watch, cohort_os_watch_room_t *room,
                                     cohort_os_id_t process, bool child, uint64_t cookie) {
    entry_t *entry = (void *)room;
    *entry = (entry_t){.process = process, .cookie = cookie, .child = child};
    cohort_os_mutex_lock(&watch->mutex);
    link_entry(watch, entry);
    prefetch(watch, entry);
    cohort_os_mutex_unlock(&watch->mutex);
    return APR_SUCCESS;
}

/* This program may have closed descriptors that are not its own. The queue is made again; the
 * channel cannot be, and is gone. */
static bool make_again(cohort_os_watch_t *watch, cohort_os_event_t *event) {
    struct timespec pause = cohort__timespec(RETRY_NS);
    cohort_os_mutex_lock(&watch->mutex);
    watch->queue = cohort__fd_safe(kqueue());
    for (entry_t *entry = watch->queue >= 0 ? watch->entries : NULL; entry; entry = entry->next)
        prefetch(watch, entry);
    cohort_os_mutex_unlock(&watch->mutex);
    if (watch->queue < 0) nanosleep(&pause, NULL);
    if (watch->queue < 0 || watch->channel < 0) return false;
    watch->channel = -1;
    *event = (cohort_os_event_t){.kind = COHORT_OS_GONE};
    return true;
}

apr_status_t cohort_os_watch_channel(cohort_os_watch_t *watch, cohort_os_handle_t reader,
                                     bool alone) {
    (void)alone;
    if (watch->channel >= 0) return APR_EINVAL;
    if (change(watch, (uintptr_t)reader, EVFILT_READ, EV_ADD, 0, NULL) != 0) return errno;
    watch->channel = (int)reader;
    watch->known = cohort_os_know(reader);
    return APR_SUCCESS;
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

static void report_end(cohort_os_watch_t *watch, entry_t *entry, cohort_os_event_t *event) {
    int code;
    if (entry->child && cohort__code_peek(-1, entry->process.pid, &code))
        cohort__code_remember(entry->process, code);
    *event = (cohort_os_event_t){.kind = COHORT_OS_ENDED, .cookie = entry->cookie};
    cohort_os_mutex_lock(&watch->mutex);
    unlink_entry(entry);
    cohort_os_mutex_unlock(&watch->mutex);
}

apr_status_t cohort_os_watch_wait(cohort_os_watch_t *watch, int64_t deadline,
                                  cohort_os_event_t *event) {
    for (;;) {
        struct kevent found;
        int64_t left = deadline == COHORT_OS_NEVER ? 0 : deadline - cohort_os_now();
        struct timespec wait = cohort__timespec(left);
        int n =
            kevent(watch->queue, NULL, 0, &found, 1, deadline == COHORT_OS_NEVER ? NULL : &wait);
        if (n < 0 && errno == EBADF && make_again(watch, event)) return APR_SUCCESS;
        if (n < 0 && errno != EINTR && errno != EBADF) return errno;
        if (n == 1 && found.filter == EVFILT_READ) {
            if (take_message(watch, event)) return APR_SUCCESS;
        } else if (n == 1) {
            report_end(watch, found.udata, event);
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
