/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets that other processes may have. One is duplicated for a certain process, by the process
 * that has it (WSADuplicateSocketW()), so the taker asks: a thread of the sender's serves at a pipe
 * that no other user may open. Any may see its name and make one of that name when this process has
 * ended, so the taker looks at which process serves; and the system says which one asks. The thread
 * keeps each socket under a number that is never used twice, and closes it when its taker says that
 * it has won, or at the offer's end.
 */
#include <winsock2.h>

#include "os_win32.h"

#include <bcrypt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE   2000 /* milliseconds that the thread has for a taker */
#define LOOK_EVERY 250  /* does the sender live? */
#define PAUSE      10   /* after an error, before the thread goes on */

typedef struct kept_t {
    struct kept_t *next;
    uint64_t token;
    SOCKET socket;
} kept_t;

/* What is asked for: its number alone. */
typedef uint64_t request_t;

typedef struct {
    DWORD error; /* 0: there it is */
    WSAPROTOCOL_INFOW info;
} reply_t;

/* Which one thread uses, for one transfer at a time. */
typedef struct {
    HANDLE pipe, event;
} line_t;

static struct {
    SRWLOCK lock;
    kept_t *kept;
    uint64_t next, name[2];
    bool serving;
    line_t line; /* the thread's */
} sockets = {.lock = SRWLOCK_INIT};

/* ---- a pipe, with patience ------------------------------------------------------------------ */

/* One message out or in, of this size; ERROR_TIMEOUT. */
static DWORD transfer(const line_t *line, bool out, void *bytes, DWORD size, DWORD milliseconds) {
    OVERLAPPED overlapped = {.hEvent = line->event};
    DWORD moved = 0;
    BOOL done = out ? WriteFile(line->pipe, bytes, size, NULL, &overlapped)
                    : ReadFile(line->pipe, bytes, size, NULL, &overlapped);
    if (!done && GetLastError() != ERROR_IO_PENDING) return GetLastError();
    bool late = WaitForSingleObject(line->event, milliseconds) != WAIT_OBJECT_0;
    if (late) CancelIoEx(line->pipe, &overlapped);
    if (!GetOverlappedResult(line->pipe, &overlapped, &moved, TRUE))
        return late ? ERROR_TIMEOUT : GetLastError();
    return moved == size ? 0 : ERROR_INVALID_DATA;
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
static void answer(request_t token, DWORD pid, reply_t *reply) {
    AcquireSRWLockExclusive(&sockets.lock);
    const kept_t *kept = sockets.kept;
    while (kept && kept->token != token) kept = kept->next;
    if (!kept) reply->error = ERROR_NOT_FOUND;
    else if (WSADuplicateSocketW(kept->socket, pid, &reply->info) != 0)
        reply->error = (DWORD)WSAGetLastError();
    ReleaseSRWLockExclusive(&sockets.lock);
}

/* An answer opens the socket in the taker, before that has the reply: so not for one that has
 * given up. */
static void serve_one(const line_t *line) {
    request_t token;
    reply_t reply = {0};
    ULONG pid;
    char won = 0;
    if (transfer(line, false, &token, sizeof token, PATIENCE)) return;
    if (!PeekNamedPipe(line->pipe, NULL, 0, NULL, NULL, NULL)) return;
    if (GetNamedPipeClientProcessId(line->pipe, &pid)) answer(token, pid, &reply);
    else reply.error = GetLastError();
    if (transfer(line, true, &reply, sizeof reply, PATIENCE)) return;
    if (transfer(line, false, &won, 1, PATIENCE) || !won) return; /* or the taker closes it */
    if (!reply.error) cohort__socket_drop(&(cohort_os_offer_t){.token = token});
}

static bool await_taker(const line_t *line) {
    OVERLAPPED overlapped = {.hEvent = line->event};
    DWORD none, error = 0;
    if (!ConnectNamedPipe(line->pipe, &overlapped)) error = GetLastError();
    if (error == ERROR_IO_PENDING)
        error = GetOverlappedResult(line->pipe, &overlapped, &none, TRUE) ? 0 : GetLastError();
    return error == 0 || error == ERROR_PIPE_CONNECTED || error == ERROR_NO_DATA;
}

/* As long as the process: what is offered names this pipe. */
static void serve(void *line) {
    for (;;) {
        if (await_taker(line)) serve_one(line);
        else Sleep(PAUSE);
        DisconnectNamedPipe(((line_t *)line)->pipe);
    }
}

/* Lock. */
static apr_status_t begin_serving(void) {
    wchar_t name[COHORT__EVENT_NAME];
    if (sockets.serving) return APR_SUCCESS;
    if (BCryptGenRandom(NULL, (PUCHAR)sockets.name, sizeof sockets.name,
                        BCRYPT_USE_SYSTEM_PREFERRED_RNG) < 0)
        return APR_EGENERAL;
    write_name(sockets.name, name);
    line_t line = {.event = CreateEventW(NULL, TRUE, FALSE, NULL)};
    if (!line.event) return cohort__last_error();
    line.pipe = CreateNamedPipeW(
        name, PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED | FILE_FLAG_FIRST_PIPE_INSTANCE,
        PIPE_TYPE_MESSAGE | PIPE_READMODE_MESSAGE | PIPE_REJECT_REMOTE_CLIENTS, 1, sizeof(reply_t),
        sizeof(request_t), 0, cohort__own_security());
    sockets.line = line;
    apr_status_t status = line.pipe == INVALID_HANDLE_VALUE
                              ? cohort__last_error()
                              : cohort_os_thread_start(serve, &sockets.line);
    sockets.serving = status == APR_SUCCESS;
    if (sockets.serving) return status;
    if (line.pipe != INVALID_HANDLE_VALUE) CloseHandle(line.pipe);
    CloseHandle(line.event);
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

/* What an error at the pipe means; APR_EAGAIN: the owner has hung up, and lives. */
static apr_status_t meaning(DWORD error, cohort_os_id_t owner) {
    if (!error) return APR_SUCCESS;
    if (!cohort_os_alive(owner, NULL)) return APR_EOF;
    switch (error) {
    case ERROR_FILE_NOT_FOUND: return APR_NOTFOUND;
    case ERROR_TIMEOUT: return APR_TIMEUP;
    case ERROR_BROKEN_PIPE:
    case ERROR_NO_DATA:
    case ERROR_PIPE_NOT_CONNECTED: return APR_EAGAIN;
    default: SetLastError(error); return cohort__last_error();
    }
}

static DWORD check_server(HANDLE pipe, cohort_os_id_t owner) {
    ULONG pid;
    if (!GetNamedPipeServerProcessId(pipe, &pid)) return GetLastError();
    return pid == owner.pid ? 0 : ERROR_FILE_NOT_FOUND;
}

/* Until it is this one's turn. */
static DWORD connect_to(const cohort_os_offer_t *offer, cohort_os_id_t owner, int64_t deadline,
                        HANDLE *pipe) {
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
        if (GetLastError() != ERROR_PIPE_BUSY) return GetLastError();
        if (cohort_os_now() >= deadline) return ERROR_TIMEOUT;
        (void)WaitNamedPipeW(text, time_left(deadline) ? time_left(deadline) : 1);
    }
    SetNamedPipeHandleState(*pipe, &messages, NULL, NULL);
    return check_server(*pipe, owner);
}

/* With the reply the socket is open here, so the taker that has asked has patience for it,
 * whatever the deadline; what has come late is closed. */
static apr_status_t ask(const line_t *line, request_t token, cohort_os_id_t owner, int64_t deadline,
                        SOCKET *taken) {
    reply_t reply;
    DWORD error = transfer(line, true, &token, sizeof token, cohort__milliseconds(deadline));
    DWORD left = cohort__milliseconds(deadline);
    if (!error)
        error = transfer(line, false, &reply, sizeof reply, left > PATIENCE ? left : PATIENCE);
    if (error) return meaning(error, owner);
    if (reply.error)
        return reply.error == ERROR_NOT_FOUND ? APR_NOTFOUND : APR_FROM_OS_ERROR((int)reply.error);
    *taken = WSASocketW(FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, &reply.info, 0,
                        WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT);
    if (*taken == INVALID_SOCKET) return APR_FROM_OS_ERROR(WSAGetLastError());
    if (cohort_os_now() < deadline) return APR_SUCCESS;
    closesocket(*taken);
    return APR_TIMEUP;
}

static apr_status_t try_once(line_t *line, const cohort_os_offer_t *offer, cohort_os_id_t owner,
                             int64_t deadline, SOCKET *taken) {
    DWORD error = connect_to(offer, owner, deadline, &line->pipe);
    return error ? meaning(error, owner) : ask(line, offer->token, owner, deadline, taken);
}

static void hang_up(const line_t *line) {
    if (line->pipe != INVALID_HANDLE_VALUE) CloseHandle(line->pipe);
}

apr_status_t cohort__socket_fetch(const cohort_os_offer_t *offer, cohort_os_id_t owner,
                                  int64_t deadline, bool (*win)(void *arg), void *arg,
                                  cohort_os_handle_t *handle, bool *told) {
    line_t line = {.event = CreateEventW(NULL, TRUE, FALSE, NULL)};
    SOCKET taken = INVALID_SOCKET;
    char won = 1;
    if (!line.event) return cohort__last_error();
    apr_status_t status = try_once(&line, offer, owner, deadline, &taken);
    while (status == APR_EAGAIN && cohort_os_now() < deadline) {
        hang_up(&line);
        status = try_once(&line, offer, owner, deadline, &taken);
    }
    if (status == APR_EAGAIN) status = APR_TIMEUP;
    if (status == APR_SUCCESS && !win(arg)) {
        closesocket(taken);
        status = APR_NOTFOUND;
    } else if (status == APR_SUCCESS) {
        *told = transfer(&line, true, &won, 1, PATIENCE) == 0;
        *handle = (cohort_os_handle_t)taken;
    }
    hang_up(&line);
    CloseHandle(line.event);
    return status;
}
