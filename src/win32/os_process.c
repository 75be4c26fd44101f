/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes: identity, life, signals, exit codes.
 *
 * A pid may be given again as soon as the last handle of its process is closed, so a process is
 * named by pid and time of creation, and each handle is checked against both. The handles of
 * children are kept until they are reaped; a child's pid cannot be reused while they are.
 */
#include "os_win32.h"

#include <psapi.h>
#include <stdlib.h>

/* ---- exit codes ----------------------------------------------------------------------------- */

/* Customer's bit, severity "error", letters "CO": no code of Windows, and no exit code that a
 * program chooses. */
#define SIGNAL_STATUS 0xE0434F00u

DWORD cohort__exit_status(int signal) { return SIGNAL_STATUS + (DWORD)signal; }

static const struct {
    DWORD status;
    int code;
} meanings[] = {
    {0xC0000005, -11}, /* access violation: SIGSEGV */
    {0xC00000FD, -11}, /* stack overflow */
    {0x80000001, -11}, /* guard page */
    {0xC0000096, -11}, /* privileged instruction */
    {0xC0000006, -7},  /* in-page error: SIGBUS */
    {0x80000002, -7},  /* misaligned access */
    {0xC000001D, -4},  /* illegal instruction: SIGILL */
    {0x80000003, -5},  /* breakpoint: SIGTRAP */
    {0x80000004, -5},  /* single step */
    {0xC000008C, -8},  /* array bounds: SIGFPE, as the C runtime says */
    {0xC000008D, -8},  /* floating point: denormal operand ... */
    {0xC000008E, -8},
    {0xC000008F, -8},
    {0xC0000090, -8},
    {0xC0000091, -8},
    {0xC0000092, -8},
    {0xC0000093, -8},
    {0xC0000094, -8},               /* integer division by zero */
    {0xC0000095, -8},               /* integer overflow */
    {0xC0000374, -COHORT__SIGABRT}, /* heap corruption */
    {0xC0000409, -COHORT__SIGABRT}, /* stack buffer overrun, fail fast */
    {0xC0000420, -COHORT__SIGABRT}, /* assertion */
    {0xC0000025, -COHORT__SIGABRT}, /* exception that cannot be continued */
    {0xC000013A, -2},               /* Ctrl-C: SIGINT */
    {0xC0000135, 127}, /* a DLL is missing: as a shell reports a program that cannot run */
    {0xC0000139, 127}, /* a DLL lacks an entry point */
    {0xC0000142, 127}, /* a DLL could not be initialised */
};

int cohort__exit_code(DWORD status) {
    if (status <= INT32_MAX) return (int)status;
    if (status > SIGNAL_STATUS && status <= SIGNAL_STATUS + 64)
        return -(int)(status - SIGNAL_STATUS);
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++) {
        if (meanings[i].status == status) return meanings[i].code;
    }
    if (status >> 28 == 0xC) return -COHORT__SIGABRT; /* any other crash */
    /* exit(-1) and the like: the low byte, but not success */
    return status & 0xFF ? status & 0xFF : 1;
}

/* ---- identity ------------------------------------------------------------------------------- */

uint64_t cohort__birth(HANDLE process) {
    FILETIME birth, end, kernel, user;
    if (!GetProcessTimes(process, &birth, &end, &kernel, &user)) return 0;
    return (uint64_t)birth.dwHighDateTime << 32 | birth.dwLowDateTime;
}

cohort_os_id_t cohort_os_self(void) {
    return (cohort_os_id_t){(int64_t)GetCurrentProcessId(), cohort__birth(GetCurrentProcess())};
}

static bool has_ended(HANDLE process) { return WaitForSingleObject(process, 0) == WAIT_OBJECT_0; }

static bool is_meant(HANDLE process, cohort_os_id_t id) {
    uint64_t birth = cohort__birth(process);
    return !has_ended(process) && (!id.birth || !birth || id.birth == birth);
}

HANDLE cohort__process_open(cohort_os_id_t id, DWORD access) {
    HANDLE process =
        OpenProcess(access | SYNCHRONIZE | PROCESS_QUERY_LIMITED_INFORMATION, FALSE, (DWORD)id.pid);
    if (!process) return NULL;
    if (is_meant(process, id)) return process;
    CloseHandle(process);
    SetLastError(ERROR_INVALID_PARAMETER); /* what OpenProcess says of a pid that no process has */
    return NULL;
}

/* ---- children ------------------------------------------------------------------------------- */

typedef struct child_t {
    cohort_os_id_t id;
    HANDLE process, job; /* NULL: what it starts is in none of its own */
    bool ours;
    struct child_t *next;
} child_t;

#define BUCKETS 256
static child_t *children[BUCKETS];
static SRWLOCK children_lock = SRWLOCK_INIT;

/* The link that points at the child, or at NULL. Pids are multiples of four. */
static child_t **child_link(cohort_os_id_t id) {
    child_t **link = &children[id.pid / 4 % BUCKETS];
    while (*link && ((*link)->id.pid != id.pid || (*link)->id.birth != id.birth))
        link = &(*link)->next;
    return link;
}

apr_status_t cohort__child_add(cohort_os_id_t id, HANDLE process, HANDLE job, bool ours) {
    child_t *child = malloc(sizeof *child);
    if (!child) return APR_ENOMEM;
    *child = (child_t){id, process, job, ours, NULL};
    AcquireSRWLockExclusive(&children_lock);
    child->next = children[id.pid / 4 % BUCKETS];
    children[id.pid / 4 % BUCKETS] = child;
    ReleaseSRWLockExclusive(&children_lock);
    return APR_SUCCESS;
}

static HANDLE copied(HANDLE handle) {
    HANDLE copy = NULL, self = GetCurrentProcess();
    return handle && DuplicateHandle(self, handle, self, &copy, 0, FALSE, DUPLICATE_SAME_ACCESS)
               ? copy
               : NULL;
}

HANDLE cohort__child_handle(cohort_os_id_t id) {
    AcquireSRWLockShared(&children_lock);
    child_t *child = *child_link(id);
    HANDLE copy = child ? copied(child->process) : NULL;
    ReleaseSRWLockShared(&children_lock);
    return copy;
}

HANDLE cohort__child_job(cohort_os_id_t id) {
    AcquireSRWLockShared(&children_lock);
    child_t *child = *child_link(id);
    HANDLE copy = child ? copied(child->job) : NULL;
    ReleaseSRWLockShared(&children_lock);
    return copy;
}

/* ---- the seam ------------------------------------------------------------------------------- */

static int64_t nanoseconds_of(const FILETIME *time) {
    return (int64_t)(((uint64_t)time->dwHighDateTime << 32 | time->dwLowDateTime) * 100);
}

static cohort_os_usage_t usage_of(HANDLE process) {
    cohort_os_usage_t usage = {-1, -1};
    FILETIME birth, end, kernel, user;
    PROCESS_MEMORY_COUNTERS memory = {.cb = sizeof memory};
    if (GetProcessTimes(process, &birth, &end, &kernel, &user))
        usage.cpu_time = nanoseconds_of(&kernel) + nanoseconds_of(&user);
    if (K32GetProcessMemoryInfo(process, &memory, sizeof memory))
        usage.memory = (int64_t)memory.WorkingSetSize;
    return usage;
}

bool cohort_os_alive(cohort_os_id_t id, cohort_os_usage_t *usage) {
    HANDLE process = cohort__process_open(id, usage ? PROCESS_QUERY_LIMITED_INFORMATION : 0);
    if (!process && GetLastError() != ERROR_ACCESS_DENIED) return false;
    /* without a handle there is one, and of another user */
    if (usage) *usage = process ? usage_of(process) : (cohort_os_usage_t){-1, -1};
    if (process) CloseHandle(process);
    return true;
}

/* A process on its way out cannot be ended again, and has its exit code already. */
static bool is_ending(HANDLE process) {
    DWORD error = GetLastError(), code = STILL_ACTIVE;
    bool ending =
        has_ended(process) || (GetExitCodeProcess(process, &code) && code != STILL_ACTIVE);
    SetLastError(error);
    return ending;
}

/* 1: it is one of those that there are here; 0: of those that others have; -1: of none. */
static int is_signal(int number) {
    if (number == 0 || number == COHORT__SIGKILL || number == COHORT__SIGTERM ||
        number == COHORT__SIGINT)
        return 1;
    return number > 0 && number <= 64 ? 0 : -1;
}

apr_status_t cohort_os_signal(cohort_os_id_t id, int number) {
    apr_status_t status = APR_SUCCESS;
    int known = is_signal(number);
    if (known != 1) return known ? APR_EINVAL : APR_ENOTIMPL;
    HANDLE process = cohort__process_open(id, PROCESS_TERMINATE);
    if (!process)
        return GetLastError() == ERROR_ACCESS_DENIED ? cohort__last_error()
                                                     : APR_FROM_OS_ERROR(ESRCH);
    bool raised = !number || (number != COHORT__SIGKILL && cohort__event_raise(id, number));
    if (!raised && !TerminateProcess(process, cohort__exit_status(number)) && !is_ending(process))
        status = cohort__last_error();
    CloseHandle(process);
    return status;
}

static int exit_code(DWORD status, bool ours) {
    int code = cohort__exit_code(status);
    return ours && code > 0 ? code & 0xFF : code;
}

apr_status_t cohort_os_reap(cohort_os_id_t id, int *code) {
    DWORD exit_status = 0;
    apr_status_t status = APR_ENOENT;
    AcquireSRWLockExclusive(&children_lock);
    child_t **link = child_link(id), *child = *link;
    if (child) status = has_ended(child->process) ? APR_SUCCESS : APR_EAGAIN;
    if (status == APR_SUCCESS) {
        bool known = GetExitCodeProcess(child->process, &exit_status), ours = child->ours;
        *link = child->next;
        CloseHandle(child->process);
        if (child->job) CloseHandle(child->job);
        free(child);
        if (known) *code = exit_code(exit_status, ours);
        else status = APR_ENOENT;
    }
    ReleaseSRWLockExclusive(&children_lock);
    return status;
}
