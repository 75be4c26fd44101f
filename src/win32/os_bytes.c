/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Handles; no process inherits them. A channel is a pipe of messages, since only such a
 * pipe keeps eight bytes together and can be read while its reader waits for other things too; its
 * name is taken once, by its own writer, and cannot be opened again.
 */
#include <winsock2.h>

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

static apr_status_t create_channel(cohort_os_handle_t *reader, cohort_os_handle_t *writer) {
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

static apr_status_t create_bytes(cohort_os_handle_t *reader, cohort_os_handle_t *writer) {
    HANDLE in, out;
    if (!CreatePipe(&in, &out, NULL, PIPE_BYTES)) return cohort__last_error();
    *reader = (cohort_os_handle_t)in;
    *writer = (cohort_os_handle_t)out;
    return APR_SUCCESS;
}

/* As CreatePipe() makes it, but for the end that this process keeps: that one is overlapped. */
static apr_status_t create_flow(DWORD reader_flags, DWORD writer_flags, cohort_os_handle_t *reader,
                                cohort_os_handle_t *writer) {
    wchar_t name[COHORT__EVENT_NAME];
    if (!random_name(name)) return APR_EGENERAL;
    HANDLE in =
        CreateNamedPipeW(name, PIPE_ACCESS_INBOUND | FILE_FLAG_FIRST_PIPE_INSTANCE | reader_flags,
                         PIPE_TYPE_BYTE | PIPE_READMODE_BYTE | PIPE_REJECT_REMOTE_CLIENTS, 1,
                         PIPE_BYTES, PIPE_BYTES, 0, cohort__own_security());
    if (in == INVALID_HANDLE_VALUE) return cohort__last_error();
    HANDLE out = CreateFileW(name, GENERIC_WRITE | FILE_READ_ATTRIBUTES, 0, NULL, OPEN_EXISTING,
                             writer_flags, NULL);
    if (out == INVALID_HANDLE_VALUE) {
        apr_status_t status = cohort__last_error();
        CloseHandle(in);
        return status;
    }
    *reader = (cohort_os_handle_t)in;
    *writer = (cohort_os_handle_t)out;
    return APR_SUCCESS;
}

/* An event stands for both ends. */
static apr_status_t create_flag(cohort_os_handle_t *reader, cohort_os_handle_t *writer) {
    HANDLE self = GetCurrentProcess(), flag = CreateEventW(NULL, TRUE, FALSE, NULL), same;
    if (!flag) return cohort__last_error();
    if (!DuplicateHandle(self, flag, self, &same, 0, FALSE, DUPLICATE_SAME_ACCESS)) {
        apr_status_t status = cohort__last_error();
        CloseHandle(flag);
        return status;
    }
    *reader = (cohort_os_handle_t)flag;
    *writer = (cohort_os_handle_t)same;
    return APR_SUCCESS;
}

apr_status_t cohort_os_pipe_create(cohort_os_pipe_t what, cohort_os_handle_t *reader,
                                   cohort_os_handle_t *writer) {
    switch (what) {
    case COHORT_OS_PIPE_MESSAGES: return create_channel(reader, writer);
    case COHORT_OS_PIPE_LIFELINE: return cohort__job_create(reader, writer);
    case COHORT_OS_PIPE_INWARD: return create_flow(FILE_FLAG_OVERLAPPED, 0, reader, writer);
    case COHORT_OS_PIPE_OUTWARD: return create_flow(0, FILE_FLAG_OVERLAPPED, reader, writer);
    case COHORT_OS_PIPE_FLAG: return create_flag(reader, writer);
    case COHORT_OS_PIPE_TERMINAL:
        return cohort__fail(APR_ENOTIMPL, "this system has no terminals to be made");
    default: return create_bytes(reader, writer);
    }
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

void cohort_os_flag(cohort_os_handle_t reader, cohort_os_handle_t writer, bool readable) {
    if (writer == COHORT_OS_NONE) cohort__port_wake(reader);
    else if (readable) SetEvent(cohort__handle(writer));
    else ResetEvent(cohort__handle(reader));
}

void cohort_os_close(cohort_os_handle_t handle) {
    if (handle == COHORT_OS_NONE || handle == 0) return;
    HANDLE closed = cohort__handle(handle);
    if (cohort__job_close(closed) || cohort__flow_close(closed)) return;
    if (cohort__is_socket(closed)) closesocket((SOCKET)closed);
    else CloseHandle(closed);
}

#ifndef ENABLE_VIRTUAL_TERMINAL_PROCESSING
#define ENABLE_VIRTUAL_TERMINAL_PROCESSING 0x0004
#endif

/* A console that would take control sequences when it is asked to is asked. */
static void look_at_console(HANDLE handle, cohort_os_known_t *known) {
    CONSOLE_SCREEN_BUFFER_INFO info;
    DWORD mode;
    if (GetFileType(handle) != FILE_TYPE_CHAR || !GetConsoleScreenBufferInfo(handle, &info)) return;
    known->columns = info.srWindow.Right - info.srWindow.Left + 1;
    if (!GetConsoleMode(handle, &mode)) return;
    known->has_moves = (mode & ENABLE_VIRTUAL_TERMINAL_PROCESSING) != 0 ||
                       SetConsoleMode(handle, mode | ENABLE_VIRTUAL_TERMINAL_PROCESSING) != 0;
}

/* A file on a disk has an identity; another object is told from one of its kind by the handle's
 * number alone. */
static void look_at_file(HANDLE handle, cohort_os_known_t *known) {
    BY_HANDLE_FILE_INFORMATION info;
    known->device = (uint64_t)GetFileType(handle) << 32;
    if (GetFileType(handle) != FILE_TYPE_DISK || !GetFileInformationByHandle(handle, &info)) return;
    known->device |= info.dwVolumeSerialNumber;
    known->file = (uint64_t)info.nFileIndexHigh << 32 | info.nFileIndexLow;
}

cohort_os_known_t cohort_os_know(cohort_os_handle_t handle) {
    DWORD flags;
    bool open = handle != COHORT_OS_NONE && GetHandleInformation(cohort__handle(handle), &flags);
    cohort_os_known_t known = {.handle = open ? handle : COHORT_OS_NONE};
    if (open) look_at_file(cohort__handle(handle), &known);
    if (open) look_at_console(cohort__handle(handle), &known);
    return known;
}
