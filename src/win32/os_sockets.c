/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets that other processes may have. One is duplicated for a certain process, by the process
 * that has it (WSADuplicateSocketW()), so the taker asks: a thread of the sender's serves at a pipe
 * with a name that no other user knows, or may open. It keeps each socket under a number that is
 * never used twice, and closes it when its taker says that it has won, or at the offer's end.
 */
#include <winsock2.h>

#include "os_win32.h"

#include <bcrypt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE   2000 /* milliseconds that the thread has for a taker */
#define LOOK_EVERY 250  /* does the sender live? */

typedef struct kept_t {
    struct kept_t *next;
    uint64_t token;
    SOCKET socket;
} kept_t;

typedef struct {
    uint64_t token, pid;
} request_t;

typedef struct {
    DWORD error; /* 0: there it is */
    WSAPROTOCOL_INFOW info;
} reply_t;

static struct {
    SRWLOCK lock;
    kept_t *kept;
    uint64_t next, name[2];
    bool serving;
} sockets = {.lock = SRWLOCK_INIT};

/* ---- a pipe, with patience ------------------------------------------------------------------ */

/* One message out or in, of this size; ERROR_TIMEOUT. */
static DWORD transfer(HANDLE pipe, bool out, void *bytes, DWORD size, DWORD milliseconds) {
    OVERLAPPED overlapped = {.hEvent = CreateEventW(NULL, TRUE, FALSE, NULL)};
    DWORD moved = 0, error = 0;
    bool late = false;
    if (!overlapped.hEvent) return GetLastError();
    BOOL done = out ? WriteFile(pipe, bytes, size, NULL, &overlapped)
                    : ReadFile(pipe, bytes, size, NULL, &overlapped);
    if (!done && GetLastError() != ERROR_IO_PENDING) {
        error = GetLastError();
    } else {
        late = WaitForSingleObject(overlapped.hEvent, milliseconds) != WAIT_OBJECT_0;
        if (late) CancelIoEx(pipe, &overlapped);
        if (!GetOverlappedResult(pipe, &overlapped, &moved, TRUE))
            error = late ? ERROR_TIMEOUT : GetLastError();
    }
    CloseHandle(overlapped.hEvent);
    return error || moved == size ? error : ERROR_INVALID_DATA;
}

static void write_name(const uint64_t name[2], wchar_t text[COHORT__EVENT_NAME]) {
    _snwprintf(text, COHORT__EVENT_NAME, L"\\\\.\\pipe\\cohort-sockets-%016llx%016llx",
               (unsigned long long)name[0], (unsigned long long)name[1]);
}

/* ---- the sender ----------------------------------------------------------------------------- */

static SOCKET duplicate(SOCKET socket, DWORD pid) {
    WSAPROTOCOL_INFOW info;
    if (WSADuplicateSocketW(socket, pid, &info) != 0) return INVALID_SOCKET;
    return WSASocketW(FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, &info, 0,
                      WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT);
}

void cohort__socket_drop(const cohort_os_offer_t *offer) {
    AcquireSRWLockExclusive(&sockets.lock);
    kept_t **link = &sockets.kept, *kept;
    while (*link && (*link)->token != offer->token) link = &(*link)->next;
    kept = *link;
    if (kept) *link = kept->next;
    ReleaseSRWLockExclusive(&sockets.lock);
    if (kept) closesocket(kept->socket);
    free(kept);
}

/* With the lock, so that it is not closed meanwhile. */
static void answer(const request_t *request, reply_t *reply) {
    AcquireSRWLockExclusive(&sockets.lock);
    const kept_t *kept = sockets.kept;
    while (kept && kept->token != request->token) kept = kept->next;
    if (!kept) reply->error = ERROR_NOT_FOUND;
    else if (WSADuplicateSocketW(kept->socket, (DWORD)request->pid, &reply->info) != 0)
        reply->error = (DWORD)WSAGetLastError();
    ReleaseSRWLockExclusive(&sockets.lock);
}

static void serve_one(HANDLE pipe) {
    request_t request;
    reply_t reply = {0};
    char won = 0;
    if (transfer(pipe, false, &request, sizeof request, PATIENCE)) return;
    answer(&request, &reply);
    if (transfer(pipe, true, &reply, sizeof reply, PATIENCE)) return;
    if (transfer(pipe, false, &won, 1, PATIENCE) || !won) return; /* or the taker closes it */
    if (!reply.error) cohort__socket_drop(&(cohort_os_offer_t){.token = request.token});
}

static bool await_taker(HANDLE pipe) {
    OVERLAPPED overlapped = {.hEvent = CreateEventW(NULL, TRUE, FALSE, NULL)};
    DWORD none, error = 0;
    if (!overlapped.hEvent) return false;
    if (!ConnectNamedPipe(pipe, &overlapped)) error = GetLastError();
    if (error == ERROR_IO_PENDING)
        error = GetOverlappedResult(pipe, &overlapped, &none, TRUE) ? 0 : GetLastError();
    CloseHandle(overlapped.hEvent);
    return error == 0 || error == ERROR_PIPE_CONNECTED || error == ERROR_NO_DATA;
}

static void serve(void *pipe) {
    while (await_taker(pipe)) {
        serve_one(pipe);
        DisconnectNamedPipe(pipe);
    }
    CloseHandle(pipe);
    AcquireSRWLockExclusive(&sockets.lock);
    sockets.serving = false;
    ReleaseSRWLockExclusive(&sockets.lock);
}

/* Lock. */
static apr_status_t begin_serving(void) {
    wchar_t name[COHORT__EVENT_NAME];
    if (sockets.serving) return APR_SUCCESS;
    if (BCryptGenRandom(NULL, (PUCHAR)sockets.name, sizeof sockets.name,
                        BCRYPT_USE_SYSTEM_PREFERRED_RNG) < 0)
        return APR_EGENERAL;
    write_name(sockets.name, name);
    HANDLE pipe = CreateNamedPipeW(
        name, PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED | FILE_FLAG_FIRST_PIPE_INSTANCE,
        PIPE_TYPE_MESSAGE | PIPE_READMODE_MESSAGE | PIPE_REJECT_REMOTE_CLIENTS, 1, sizeof(reply_t),
        sizeof(request_t), 0, cohort__own_security());
    if (pipe == INVALID_HANDLE_VALUE) return cohort__last_error();
    apr_status_t status = cohort_os_thread_start(serve, pipe);
    if (status != APR_SUCCESS) CloseHandle(pipe);
    sockets.serving = status == APR_SUCCESS;
    return status;
}

apr_status_t cohort__socket_offer(HANDLE handle, cohort_os_offer_t *offer) {
    SOCKET copy = duplicate((SOCKET)handle, GetCurrentProcessId());
    kept_t *kept = copy == INVALID_SOCKET ? NULL : malloc(sizeof *kept);
    if (copy == INVALID_SOCKET)
        return cohort__fail(APR_FROM_OS_ERROR(WSAGetLastError()), "duplicating what is sent");
    AcquireSRWLockExclusive(&sockets.lock);
    apr_status_t status = kept ? begin_serving() : APR_ENOMEM;
    if (status == APR_SUCCESS) {
        *kept = (kept_t){sockets.kept, ++sockets.next, copy};
        sockets.kept = kept;
        *offer = (cohort_os_offer_t){.token = kept->token, .address_size = sizeof sockets.name};
        memcpy(offer->address, sockets.name, sizeof sockets.name);
    }
    ReleaseSRWLockExclusive(&sockets.lock);
    if (status == APR_SUCCESS) return status;
    closesocket(copy);
    free(kept);
    return cohort__explain(status, "serving the sockets that are sent");
}

/* ---- the taker ------------------------------------------------------------------------------ */

static DWORD time_left(int64_t deadline) {
    DWORD left = cohort__milliseconds(deadline);
    return left < LOOK_EVERY ? left : LOOK_EVERY;
}

/* Until it is this one's turn. */
static apr_status_t connect_to(const cohort_os_offer_t *offer, cohort_os_id_t owner,
                               int64_t deadline, HANDLE *pipe) {
    wchar_t text[COHORT__EVENT_NAME];
    uint64_t name[2];
    DWORD messages = PIPE_READMODE_MESSAGE;
    memcpy(name, offer->address, sizeof name);
    write_name(name, text);
    for (;;) {
        *pipe =
            CreateFileW(text, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING,
                        FILE_FLAG_OVERLAPPED | SECURITY_SQOS_PRESENT | SECURITY_ANONYMOUS, NULL);
        if (*pipe != INVALID_HANDLE_VALUE) break;
        if (GetLastError() != ERROR_PIPE_BUSY)
            return cohort_os_alive(owner, NULL) ? APR_NOTFOUND : APR_EOF;
        if (cohort_os_now() >= deadline) return APR_TIMEUP;
        (void)WaitNamedPipeW(text, time_left(deadline) ? time_left(deadline) : 1);
    }
    SetNamedPipeHandleState(*pipe, &messages, NULL, NULL);
    return APR_SUCCESS;
}

/* One message to or from the owner. */
static apr_status_t speak(HANDLE pipe, bool out, void *bytes, DWORD size, cohort_os_id_t owner,
                          int64_t deadline) {
    DWORD error = transfer(pipe, out, bytes, size, cohort__milliseconds(deadline));
    if (!error) return APR_SUCCESS;
    if (!cohort_os_alive(owner, NULL)) return APR_EOF;
    return error == ERROR_TIMEOUT ? APR_TIMEUP : APR_NOTFOUND;
}

apr_status_t cohort__socket_fetch(const cohort_os_offer_t *offer, cohort_os_id_t owner,
                                  int64_t deadline, bool (*win)(void *arg), void *arg,
                                  cohort_os_handle_t *handle, bool *told) {
    HANDLE pipe;
    request_t request = {offer->token, GetCurrentProcessId()};
    reply_t reply;
    char won = 1;
    apr_status_t status = connect_to(offer, owner, deadline, &pipe);
    if (status != APR_SUCCESS) return status;
    status = speak(pipe, true, &request, sizeof request, owner, deadline);
    if (status == APR_SUCCESS) status = speak(pipe, false, &reply, sizeof reply, owner, deadline);
    if (status == APR_SUCCESS && reply.error)
        status =
            reply.error == ERROR_NOT_FOUND ? APR_NOTFOUND : APR_FROM_OS_ERROR((int)reply.error);
    SOCKET taken = INVALID_SOCKET;
    if (status == APR_SUCCESS) {
        taken = WSASocketW(FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, &reply.info,
                           0, WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT);
        if (taken == INVALID_SOCKET) status = APR_FROM_OS_ERROR(WSAGetLastError());
    }
    if (status == APR_SUCCESS && !win(arg)) {
        closesocket(taken);
        status = APR_NOTFOUND;
    } else if (status == APR_SUCCESS) {
        *told = transfer(pipe, true, &won, 1, PATIENCE) == 0;
        *handle = (cohort_os_handle_t)taken;
    }
    CloseHandle(pipe);
    return status;
}
