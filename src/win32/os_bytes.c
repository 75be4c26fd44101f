/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Handles; no process inherits them. A channel is a pipe of messages, since only such a
 * pipe keeps eight bytes together and can be read while its reader waits for other things too; its
 * name is taken once, by its own writer, and cannot be opened again.
 */
#include "os_win32.h"

#include <bcrypt.h>
#include <stdio.h>

#define PIPE_BYTES 65536

static bool random_name(wchar_t name[COHORT__EVENT_NAME]) {
    unsigned long long number[2];
    if (BCryptGenRandom(NULL, (PUCHAR)number, sizeof number, BCRYPT_USE_SYSTEM_PREFERRED_RNG) < 0)
        return false;
    _snwprintf(name, COHORT__EVENT_NAME, L"\\\\.\\pipe\\cohort-%016llx%016llx", number[0],
               number[1]);
    return true;
}

apr_status_t cohort_os_channel_create(cohort_os_handle_t *reader, cohort_os_handle_t *writer) {
    wchar_t name[COHORT__EVENT_NAME];
    if (!random_name(name)) return APR_EGENERAL;
    HANDLE in = CreateNamedPipeW(
        name, PIPE_ACCESS_INBOUND | FILE_FLAG_OVERLAPPED | FILE_FLAG_FIRST_PIPE_INSTANCE,
        PIPE_TYPE_MESSAGE | PIPE_READMODE_MESSAGE | PIPE_REJECT_REMOTE_CLIENTS, 1, PIPE_BYTES,
        PIPE_BYTES, 0, cohort__own_security());
    if (in == INVALID_HANDLE_VALUE) return cohort__last_error();
    HANDLE out = CreateFileW(name, GENERIC_WRITE, 0, NULL, OPEN_EXISTING, 0, NULL);
    if (out == INVALID_HANDLE_VALUE) {
        apr_status_t status = cohort__last_error();
        CloseHandle(in);
        return status;
    }
    *reader = (cohort_os_handle_t)in;
    *writer = (cohort_os_handle_t)out;
    return APR_SUCCESS;
}

/* A process gives its streams to a child as it starts it, so none ever goes through a channel. */
apr_status_t cohort_os_channel_post(cohort_os_handle_t writer, uint64_t value,
                                    const cohort_os_streams_t *streams) {
    DWORD written;
    if (streams) return APR_ENOTIMPL;
    if (WriteFile(cohort__handle(writer), &value, sizeof value, &written, NULL)) return APR_SUCCESS;
    switch (GetLastError()) {
    case ERROR_BROKEN_PIPE:
    case ERROR_NO_DATA:
    case ERROR_PIPE_NOT_CONNECTED: return APR_EPIPE;
    default: return cohort__last_error();
    }
}

/* What a pool's maker had when it made the pool is not kept: a worker has what the maker has when
 * it is started. */
apr_status_t cohort_os_streams_copy(cohort_os_streams_t *streams) {
    *streams = cohort_os_facts()->streams;
    return APR_SUCCESS;
}

apr_status_t cohort_os_streams_take(cohort_os_streams_t *streams) {
    return (void)streams, APR_ENOTIMPL;
}

apr_status_t cohort_os_pipe_create(cohort_os_handle_t *reader, cohort_os_handle_t *writer) {
    HANDLE in, out;
    if (!CreatePipe(&in, &out, NULL, PIPE_BYTES)) return cohort__last_error();
    *reader = (cohort_os_handle_t)in;
    *writer = (cohort_os_handle_t)out;
    return APR_SUCCESS;
}

void cohort_os_close(cohort_os_handle_t handle) {
    if (handle == COHORT_OS_NONE || handle == 0) return;
    if (!cohort__job_close(cohort__handle(handle))) CloseHandle(cohort__handle(handle));
}

/* Code can close a handle that is not its own only by guessing; then the number is not used at
 * once. */
cohort_os_known_t cohort_os_know(cohort_os_handle_t handle) {
    DWORD flags;
    bool open = handle != COHORT_OS_NONE && GetHandleInformation(cohort__handle(handle), &flags);
    return (cohort_os_known_t){.handle = open ? handle : COHORT_OS_NONE};
}
