/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for any number of processes and for channels: everything arrives at one completion port.
 * The ends of processes come there through the system's thread pool (RegisterWaitForSingleObject),
 * since WaitForMultipleObjects() takes 64 handles and no more; messages come as completed reads.
 *
 * An item is one process or one channel. It belongs to the watch's list from its making until its
 * last report; the callback of the thread pool touches nothing but the port and the item's own
 * address.
 */
#include "os_win32.h"

#include <stdlib.h>

typedef struct item_t {
    OVERLAPPED overlapped; /* first: what the port returns */
    struct item_t *next, **link;
    HANDLE port;
    HANDLE handle; /* process, or reader of the channel */
    HANDLE wait;   /* NULL for a channel */
    uint64_t cookie;
    uint64_t value; /* where a message lands */
    bool is_channel;
    bool idle; /* watch_destroy: its read has come to an end */
} item_t;

_Static_assert(sizeof(item_t) <= sizeof(cohort_os_watch_room_t), "a process' item fits its room");

struct cohort_os_watch_t {
    HANDLE port;
    SRWLOCK lock;
    item_t *items;
};

/* Both under the lock. */
static void link_item(cohort_os_watch_t *watch, item_t *item) {
    item->next = watch->items;
    item->link = &watch->items;
    if (item->next) item->next->link = &item->next;
    watch->items = item;
}

static void unlink_item(item_t *item) {
    *item->link = item->next;
    if (item->next) item->next->link = item->link;
}

/* With `wait`, until a callback that runs at this moment has ended. */
static void free_item(item_t *item, bool wait) {
    if (item->wait) UnregisterWaitEx(item->wait, wait ? INVALID_HANDLE_VALUE : NULL);
    if (item->handle) cohort_os_close((cohort_os_handle_t)item->handle);
    if (item->is_channel) free(item);
}

apr_status_t cohort_os_watch_create(cohort_os_watch_t **watch) {
    cohort_os_watch_t *made = calloc(1, sizeof *made);
    if (!made) return APR_ENOMEM;
    made->port = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 1);
    if (!made->port) {
        free(made);
        return cohort__last_error();
    }
    InitializeSRWLock(&made->lock);
    *watch = made;
    return APR_SUCCESS;
}

/*
 * The buffer of a read must not go before the read has, and only its packet says so for certain:
 * the system may still write to it when it has said that there is nothing to cancel. What else
 * comes meanwhile is not reported any more.
 */
static void stop_reading(cohort_os_watch_t *watch, item_t *item) {
    CancelIoEx(item->handle, &item->overlapped);
    while (!item->idle) {
        DWORD length;
        ULONG_PTR key;
        OVERLAPPED *overlapped = NULL;
        GetQueuedCompletionStatus(watch->port, &length, &key, &overlapped, INFINITE);
        if (overlapped) ((item_t *)overlapped)->idle = true;
    }
}

void cohort_os_watch_destroy(cohort_os_watch_t *watch) {
    if (!watch) return;
    for (item_t *item = watch->items; item; item = item->next) {
        if (item->is_channel) stop_reading(watch, item);
    }
    for (item_t *item = watch->items, *next; item; item = next) {
        next = item->next;
        free_item(item, true);
    }
    CloseHandle(watch->port);
    free(watch);
}

static void CALLBACK process_ended(void *context, BOOLEAN timed_out) {
    item_t *item = context;
    (void)timed_out;
    PostQueuedCompletionStatus(item->port, 0, 0, &item->overlapped);
}

static HANDLE handle_of(cohort_os_id_t process, bool child) {
    HANDLE handle = child ? cohort__child_handle(process) : NULL;
    return handle ? handle : cohort__process_open(process, 0);
}

/* Under the lock, since the report may be on its way before the system has stored the number of the
 * wait. */
static apr_status_t await_end(cohort_os_watch_t *watch, item_t *item) {
    apr_status_t status = APR_SUCCESS;
    AcquireSRWLockExclusive(&watch->lock);
    link_item(watch, item);
    bool done = item->handle ? RegisterWaitForSingleObject(&item->wait, item->handle, process_ended,
                                                           item, INFINITE, WT_EXECUTEONLYONCE)
                             : PostQueuedCompletionStatus(watch->port, 0, 0, &item->overlapped);
    if (!done) {
        status = cohort__last_error();
        unlink_item(item);
    }
    ReleaseSRWLockExclusive(&watch->lock);
    return status;
}

/* One that cannot be found any more has ended, and is reported so. */
apr_status_t cohort_os_watch_process(cohort_os_watch_t *watch, cohort_os_watch_room_t *room,
                                     cohort_os_id_t process, bool child, uint64_t cookie) {
    item_t *item = (void *)room;
    *item = (item_t){.port = watch->port, .cookie = cookie, .handle = handle_of(process, child)};
    if (!item->handle && GetLastError() == ERROR_ACCESS_DENIED) return cohort__last_error();
    apr_status_t status = await_end(watch, item);
    if (status != APR_SUCCESS) free_item(item, false);
    return status;
}

/* Start the next read. Its result, an end of the channel too, comes through the port. */
static bool read_next(item_t *item) {
    item->overlapped = (OVERLAPPED){0};
    if (ReadFile(item->handle, &item->value, sizeof item->value, NULL, &item->overlapped))
        return true;
    return GetLastError() == ERROR_IO_PENDING ||
           PostQueuedCompletionStatus(item->port, 0, 0, &item->overlapped);
}

apr_status_t cohort_os_watch_channel(cohort_os_watch_t *watch, cohort_os_handle_t reader,
                                     bool alone) {
    (void)alone;
    item_t *item = calloc(1, sizeof *item);
    if (!item) return APR_ENOMEM;
    item->port = watch->port;
    item->is_channel = true;
    item->handle = cohort__handle(reader);
    if (!CreateIoCompletionPort(item->handle, watch->port, 0, 0)) {
        free(item);
        return cohort__last_error();
    }
    apr_status_t status = APR_SUCCESS;
    AcquireSRWLockExclusive(&watch->lock);
    link_item(watch, item);
    if (!read_next(item)) {
        status = cohort__last_error();
        unlink_item(item);
    }
    ReleaseSRWLockExclusive(&watch->lock);
    if (status != APR_SUCCESS) free(item);
    return status;
}

static void forget_item(cohort_os_watch_t *watch, item_t *item) {
    AcquireSRWLockExclusive(&watch->lock);
    unlink_item(item);
    ReleaseSRWLockExclusive(&watch->lock);
    free_item(item, false);
}

static void report_process(cohort_os_watch_t *watch, item_t *item, cohort_os_event_t *event) {
    *event = (cohort_os_event_t){.kind = COHORT_OS_ENDED, .cookie = item->cookie};
    forget_item(watch, item);
}

/* A message of another length is none of ours: no process writes such. */
static void report_channel(cohort_os_watch_t *watch, item_t *item, DWORD length,
                           cohort_os_event_t *event) {
    *event = (cohort_os_event_t){.kind = COHORT_OS_MESSAGE, .value = item->value};
    if (length == sizeof item->value && read_next(item)) return;
    if (length != sizeof item->value) event->kind = COHORT_OS_GONE;
    forget_item(watch, item);
}

apr_status_t cohort_os_watch_wait(cohort_os_watch_t *watch, int64_t deadline,
                                  cohort_os_event_t *event) {
    for (;;) {
        DWORD length = 0;
        ULONG_PTR key;
        OVERLAPPED *overlapped = NULL;
        GetQueuedCompletionStatus(watch->port, &length, &key, &overlapped,
                                  cohort__milliseconds(deadline));
        item_t *item = (item_t *)overlapped;
        if (item && item->is_channel) report_channel(watch, item, length, event);
        else if (item) report_process(watch, item, event);
        if (item) return APR_SUCCESS;
        if (cohort_os_now() >= deadline) return APR_TIMEUP;
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
