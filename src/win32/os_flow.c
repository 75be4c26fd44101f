/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Flows: overlapped pipes at a completion port. A transfer, the system's part of a flow, has a
 * buffer of its own, so that the caller's may be elsewhere by the next call. The system writes into
 * a transfer until it has reported it, also when it was cancelled: one that is closed meanwhile is
 * freed when the report comes, and a port is closed after all of them.
 */
#include "os_win32.h"

#include <stdlib.h>
#include <string.h>

#define TRANSFER_BYTES 65536
#define LAST_REPORTS   5000 /* milliseconds */

typedef struct {
    HANDLE completions;
    long under_way; /* transfers that the system has yet to report */
} waiting_t;

typedef struct transfer_t {
    OVERLAPPED overlapped; /* first: a report names it */
    struct transfer_t *next;
    HANDLE handle; /* NULL: it was closed */
    bool under_way;
    DWORD error;
    size_t from, to; /* what of the buffer has come and was not handed on, or has gone out */
    char bytes[TRANSFER_BYTES];
} transfer_t;

static waiting_t *waiting_at(const cohort_os_port_t *port) {
    return (waiting_t *)(uintptr_t)port->reader;
}

apr_status_t cohort_os_port_create(cohort_os_port_t *port) {
    waiting_t *waiting = calloc(1, sizeof *waiting);
    if (!waiting) return APR_ENOMEM;
    waiting->completions = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 1);
    if (!waiting->completions) {
        apr_status_t status = cohort__last_error();
        free(waiting);
        return status;
    }
    *port = (cohort_os_port_t){(cohort_os_handle_t)waiting, COHORT_OS_NONE};
    return APR_SUCCESS;
}

/* One report, or a wake-up, within so many milliseconds; false: neither. */
static bool take_report(waiting_t *waiting, DWORD milliseconds) {
    DWORD bytes = 0;
    ULONG_PTR key;
    OVERLAPPED *report = NULL;
    BOOL good =
        GetQueuedCompletionStatus(waiting->completions, &bytes, &key, &report, milliseconds);
    transfer_t *transfer = (transfer_t *)(void *)report;
    if (!transfer) return good;
    DWORD error = good ? 0 : GetLastError();
    waiting->under_way--;
    transfer->under_way = false;
    transfer->error = error;
    transfer->to = bytes;
    if (!transfer->handle) free(transfer);
    return true;
}

void cohort_os_port_close(cohort_os_port_t *port) {
    waiting_t *waiting = waiting_at(port);
    while (waiting->under_way && take_report(waiting, LAST_REPORTS)) continue;
    CloseHandle(waiting->completions);
    free(waiting);
    port->reader = COHORT_OS_NONE;
}

void cohort__port_wake(cohort_os_handle_t reader) {
    const waiting_t *waiting = (const waiting_t *)(uintptr_t)reader;
    PostQueuedCompletionStatus(waiting->completions, 0, 0, NULL);
}

/* ---- one flow ------------------------------------------------------------------------------- */

/* Those of open handles. */
static transfer_t *transfers;
static SRWLOCK transfers_lock = SRWLOCK_INIT;

static void enlist(transfer_t *transfer) {
    AcquireSRWLockExclusive(&transfers_lock);
    transfer->next = transfers;
    transfers = transfer;
    ReleaseSRWLockExclusive(&transfers_lock);
}

static transfer_t *take_off(HANDLE handle) {
    AcquireSRWLockExclusive(&transfers_lock);
    transfer_t **link = &transfers, *transfer;
    while (*link && (*link)->handle != handle) link = &(*link)->next;
    transfer = *link;
    if (transfer) *link = transfer->next;
    ReleaseSRWLockExclusive(&transfers_lock);
    return transfer;
}

static transfer_t *open_transfer(const waiting_t *waiting, cohort_os_flow_t *flow) {
    HANDLE handle = cohort__handle(flow->handle);
    if (flow->state) return flow->state;
    transfer_t *transfer = malloc(sizeof *transfer);
    if (!transfer) return NULL;
    memset(transfer, 0, offsetof(transfer_t, bytes));
    transfer->handle = handle;
    if (!CreateIoCompletionPort(handle, waiting->completions, 0, 0))
        transfer->error = GetLastError();
    enlist(transfer);
    return flow->state = transfer;
}

static void begin(waiting_t *waiting, cohort_os_flow_t *flow, transfer_t *transfer) {
    HANDLE handle = cohort__handle(flow->handle);
    size_t size = flow->size < TRANSFER_BYTES ? flow->size : TRANSFER_BYTES;
    memset(&transfer->overlapped, 0, sizeof transfer->overlapped);
    transfer->from = transfer->to = 0;
    if (flow->outward) memcpy(transfer->bytes, flow->bytes, size);
    BOOL done = flow->outward
                    ? WriteFile(handle, transfer->bytes, (DWORD)size, NULL, &transfer->overlapped)
                    : ReadFile(handle, transfer->bytes, (DWORD)size, NULL, &transfer->overlapped);
    DWORD error = done ? ERROR_IO_PENDING : GetLastError(); /* it is reported in any case */
    if (error == ERROR_IO_PENDING || error == ERROR_MORE_DATA) {
        transfer->under_way = true;
        waiting->under_way++;
    } else {
        transfer->error = error;
    }
}

static bool is_end(DWORD error) {
    return error == ERROR_BROKEN_PIPE || error == ERROR_NO_DATA || error == ERROR_HANDLE_EOF ||
           error == ERROR_PIPE_NOT_CONNECTED;
}

/* What has come is handed on, or told of what has gone out. True: there was something to tell. */
static bool tell(cohort_os_flow_t *flow, transfer_t *transfer) {
    if (transfer->under_way) return false;
    size_t there = transfer->to - transfer->from;
    if (there > flow->size) there = flow->size;
    if (there && !flow->outward) memcpy(flow->bytes, transfer->bytes + transfer->from, there);
    transfer->from += there;
    flow->moved = there;
    if (!there && transfer->error)
        flow->status = is_end(transfer->error) ? APR_EOF : APR_FROM_OS_ERROR((int)transfer->error);
    return there || transfer->error;
}

static bool is_passed_over(const cohort_os_flow_t *flow) {
    return flow->handle == COHORT_OS_NONE || flow->size == 0;
}

static bool tell_all(cohort_os_flow_t *const *flows, int count) {
    bool told = false;
    for (int i = 0; i < count; i++)
        if (!is_passed_over(flows[i]) && flows[i]->state) told |= tell(flows[i], flows[i]->state);
    return told;
}

static apr_status_t begin_all(waiting_t *waiting, cohort_os_flow_t *const *flows, int count) {
    for (int i = 0; i < count; i++) {
        flows[i]->moved = 0;
        flows[i]->status = APR_SUCCESS;
        if (is_passed_over(flows[i])) continue;
        transfer_t *transfer = open_transfer(waiting, flows[i]);
        if (!transfer) return APR_ENOMEM;
        if (!transfer->under_way && !transfer->error && transfer->from == transfer->to)
            begin(waiting, flows[i], transfer);
    }
    return APR_SUCCESS;
}

bool cohort__flow_close(HANDLE handle) {
    transfer_t *transfer = take_off(handle);
    if (!transfer) return false;
    if (transfer->under_way) CancelIoEx(handle, NULL);
    CloseHandle(handle);
    transfer->handle = NULL;
    if (!transfer->under_way) free(transfer);
    return true;
}

/* ---- the wait ------------------------------------------------------------------------------- */

static DWORD until(int64_t deadline) {
    int64_t rest = deadline - cohort_os_now();
    if (deadline == COHORT_OS_NEVER) return INFINITE;
    if (rest <= 0) return 0;
    return rest > INT64_C(3600000000000) ? 3600000 : (DWORD)((rest + 999999) / 1000000);
}

apr_status_t cohort_os_port_wait(const cohort_os_port_t *port, cohort_os_flow_t *const *flows,
                                 int count, int64_t deadline) {
    waiting_t *waiting = waiting_at(port);
    apr_status_t status = begin_all(waiting, flows, count);
    if (status || tell_all(flows, count)) return status;
    if (!take_report(waiting, until(deadline))) return APR_TIMEUP;
    while (take_report(waiting, 0)) continue;
    (void)tell_all(flows, count);
    return APR_SUCCESS;
}
