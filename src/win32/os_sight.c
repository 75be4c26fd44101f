/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Sights: whether a handle is ready, and a call when it may be. Sockets are for a pollset of APR,
 * which neither makes them non-blocking nor takes their events from the program.
 *
 * A wait takes nothing of a process, a thread, a manual-reset event or a console: the thread pool
 * waits for these (RegisterWaitForSingleObject), for any number. It would take an auto-reset event,
 * a permit of a semaphore or a mutex, and the system has no other wait, so their state is queried
 * at intervals, as that of a pipe is, which is no object to wait for at all.
 */
#include <winsock2.h>

#include "os_win32.h"

#define LOOK_EVERY INT64_C(10000000) /* nanoseconds */

#define TYPE_MISMATCH   ((LONG)0xC0000024)
#define ACCESS_REFUSED  ((LONG)0xC0000022)
#define PIPE_FACTS      24 /* FilePipeLocalInformation */
#define PIPE_IS_CLOSING 4

enum { NEW, ALWAYS, PIPE, EVENT, SEMAPHORE, MUTEX, TIMER, STEADY };

/* ---- what the system tells without a wait --------------------------------------------------- */

typedef union {
    LONG numbers[4];
    LONGLONG align[2];
} state_t;

typedef struct {
    ULONG type, configuration, most, count, in_quota, readable, out_quota, room, state, end;
} pipe_facts_t;

typedef LONG(NTAPI *query_t)(HANDLE handle, int what, void *state, ULONG size, ULONG *length);
typedef LONG(NTAPI *query_file_t)(HANDLE handle, void *report, void *facts, ULONG size, int what);

static query_t queries[STEADY];
static query_file_t query_file;

static FARPROC system_call(const char *name) {
    HMODULE ntdll = GetModuleHandleW(L"ntdll.dll");
    return ntdll ? GetProcAddress(ntdll, name) : NULL;
}

static BOOL CALLBACK find_calls(INIT_ONCE *once, void *given, void **result) {
    (void)once, (void)given, (void)result;
    queries[EVENT] = (query_t)(void (*)(void))system_call("NtQueryEvent");
    queries[SEMAPHORE] = (query_t)(void (*)(void))system_call("NtQuerySemaphore");
    queries[MUTEX] = (query_t)(void (*)(void))system_call("NtQueryMutant");
    queries[TIMER] = (query_t)(void (*)(void))system_call("NtQueryTimer");
    query_file = (query_file_t)(void (*)(void))system_call("NtQueryInformationFile");
    return TRUE;
}

/* TYPE_MISMATCH: it is none of this kind. */
static LONG query(int kind, HANDLE handle, state_t *state) {
    static INIT_ONCE once = INIT_ONCE_STATIC_INIT;
    static const ULONG sizes[STEADY] = {[EVENT] = 2 * sizeof(LONG),
                                        [SEMAPHORE] = 2 * sizeof(LONG),
                                        [MUTEX] = 2 * sizeof(LONG),
                                        [TIMER] = 2 * sizeof(LONGLONG)};
    InitOnceExecuteOnce(&once, find_calls, NULL, NULL);
    *state = (state_t){{0}};
    return queries[kind] ? queries[kind](handle, 0, state, sizes[kind], NULL) : TYPE_MISMATCH;
}

/* An event's type comes first, and is 0 for manual reset. */
static bool is_free(int kind, const state_t *state) {
    switch (kind) {
    case EVENT: return state->numbers[1] != 0;
    case TIMER: return (state->numbers[2] & 0xff) != 0;
    default: return state->numbers[0] > 0;
    }
}

bool cohort__is_socket(HANDLE handle) {
    int type, size = sizeof type;
    return GetFileType(handle) == FILE_TYPE_PIPE &&
           getsockopt((SOCKET)handle, SOL_SOCKET, SO_TYPE, (char *)&type, &size) == 0;
}

/* ---- of which kind it is -------------------------------------------------------------------- */

static bool is_console_input(HANDLE handle) {
    DWORD events;
    return GetNumberOfConsoleInputEvents(handle, &events) != 0;
}

/* A handle that may be waited for, and that a wait takes nothing of. */
static apr_status_t check_steady(HANDLE handle) {
    if (WaitForSingleObject(handle, 0) != WAIT_FAILED) return APR_SUCCESS;
    return cohort__fail(cohort__last_error(), "waiting for a handle");
}

static apr_status_t find_object(HANDLE handle, int *kind) {
    state_t state;
    for (int k = EVENT; k <= TIMER; k++) {
        LONG status = query(k, handle, &state);
        if (status == TYPE_MISMATCH) continue;
        if (status == ACCESS_REFUSED)
            return cohort__fail(APR_EACCES, "the handle lacks the right to query its state");
        if (status < 0) return cohort__fail(APR_EGENERAL, "querying a handle's state");
        *kind = k == EVENT && state.numbers[0] == 0 ? STEADY : k;
        return *kind == STEADY ? check_steady(handle) : APR_SUCCESS;
    }
    *kind = STEADY;
    return check_steady(handle);
}

static apr_status_t find_kind(cohort_os_sight_t *sight) {
    HANDLE handle = cohort__handle(sight->handle);
    DWORD flags;
    if (sight->handle == COHORT_OS_NONE || !GetHandleInformation(handle, &flags)) return APR_EBADF;
    switch (GetFileType(handle)) {
    case FILE_TYPE_DISK: sight->kind = ALWAYS; return APR_SUCCESS;
    case FILE_TYPE_CHAR:
        sight->kind = is_console_input(handle) ? STEADY : ALWAYS;
        return APR_SUCCESS;
    case FILE_TYPE_PIPE:
        sight->kind = PIPE;
        sight->polled = sight->is_socket = cohort__is_socket(handle);
        return APR_SUCCESS;
    default: return find_object(handle, &sight->kind);
    }
}

/* ---- the look ------------------------------------------------------------------------------- */

/* Of either end: does no process have the other one? *told: the system says so of this handle. */
static bool is_closing(HANDLE handle, bool *told) {
    pipe_facts_t facts = {0};
    void *report[2];
    state_t none;
    (void)query(EVENT, handle, &none); /* the calls are found */
    *told = query_file && query_file(handle, report, &facts, sizeof facts, PIPE_FACTS) >= 0;
    return *told && facts.state == PIPE_IS_CLOSING;
}

static void look_at_pipe(cohort_os_sight_t *sight) {
    HANDLE handle = cohort__handle(sight->handle);
    DWORD there = 0;
    bool told;
    if (PeekNamedPipe(handle, NULL, 0, NULL, &there, NULL)) {
        if (there) sight->holds |= COHORT_OS_SIGHT_IN;
    } else if (GetLastError() != ERROR_ACCESS_DENIED) {
        sight->holds |= COHORT_OS_SIGHT_GONE;
    }
    if (is_closing(handle, &told)) sight->holds |= COHORT_OS_SIGHT_GONE;
}

static void look_at_object(cohort_os_sight_t *sight) {
    HANDLE handle = cohort__handle(sight->handle);
    state_t state;
    DWORD end;
    if (sight->kind != STEADY) {
        if (query(sight->kind, handle, &state) < 0) sight->holds = COHORT_OS_SIGHT_GONE;
        else if (is_free(sight->kind, &state)) sight->holds = COHORT_OS_SIGHT_IN;
        return;
    }
    end = WaitForSingleObject(handle, 0);
    if (end == WAIT_OBJECT_0) sight->holds = COHORT_OS_SIGHT_IN;
    else if (end == WAIT_FAILED) sight->holds = COHORT_OS_SIGHT_GONE;
}

static bool look(cohort_os_sight_t *sight) {
    sight->holds = 0;
    if (sight->kind == ALWAYS) sight->holds = COHORT_OS_SIGHT_IN | COHORT_OS_SIGHT_OUT;
    else if (sight->kind == PIPE) look_at_pipe(sight);
    else look_at_object(sight);
    if (sight->holds & COHORT_OS_SIGHT_GONE) sight->holds |= sight->wanted;
    else sight->holds &= sight->wanted;
    return sight->holds != 0;
}

/* ---- the call ------------------------------------------------------------------------------- */

static void CALLBACK has_come(void *context, BOOLEAN timed_out) {
    cohort_os_sight_t *sight = context;
    (void)timed_out;
    atomic_store(&sight->stirred, 1);
    sight->stir(sight->arg);
}

/* Until a callback that runs at this moment has ended. */
static void disarm(cohort_os_sight_t *sight) {
    if (sight->wait) UnregisterWaitEx(sight->wait, INVALID_HANDLE_VALUE);
    sight->wait = NULL;
    atomic_store(&sight->stirred, 0);
}

/* A callback may come before this has returned: also for what came since the look. It is short, so
 * the thread that waits makes it, and it needs no worker that is free. */
static bool arm_steady(cohort_os_sight_t *sight) {
    if (atomic_load(&sight->stirred)) disarm(sight);
    if (sight->wait) return true;
    if (RegisterWaitForSingleObject(&sight->wait, cohort__handle(sight->handle), has_come, sight,
                                    INFINITE, WT_EXECUTEONLYONCE | WT_EXECUTEINWAITTHREAD))
        return true;
    sight->wait = NULL;
    return false;
}

/* What nothing could ever be told of. */
static apr_status_t check(const cohort_os_sight_t *sight) {
    bool told = true;
    if (sight->kind == PIPE && sight->wanted & COHORT_OS_SIGHT_OUT)
        return cohort__fail(APR_ENOTIMPL, "nothing tells of a pipe's room");
    if (sight->kind == PIPE && sight->wanted == COHORT_OS_SIGHT_GONE)
        (void)is_closing(cohort__handle(sight->handle), &told);
    if (!told) return cohort__fail(APR_EACCES, "the handle lacks the right to query its state");
    if (sight->kind > PIPE && sight->wanted & ~(unsigned)COHORT_OS_SIGHT_IN)
        return cohort__fail(APR_ENOTIMPL, "a handle of this kind is signalled, and no more");
    return APR_SUCCESS;
}

apr_status_t cohort_os_sight(cohort_os_sight_t *sight, bool arm, int64_t *again) {
    bool is_new = sight->kind == NEW;
    apr_status_t status = APR_SUCCESS;
    if (!sight->wanted) {
        disarm(sight);
        return APR_EAGAIN;
    }
    if (is_new) status = find_kind(sight);
    if (status == APR_SUCCESS && !sight->polled && !arm) status = check(sight);
    if (status != APR_SUCCESS || sight->polled || look(sight)) return status;
    if (arm && !(sight->kind == STEADY && arm_steady(sight))) {
        int64_t next = cohort_os_now() + LOOK_EVERY;
        if (next < *again) *again = next;
    }
    return APR_EAGAIN;
}
