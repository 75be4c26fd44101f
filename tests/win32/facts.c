/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
#include "facts.h"

#include <windows.h>
/* after it */
#include <tlhelp32.h>

bool system_runs(int64_t pid) {
    HANDLE process = OpenProcess(SYNCHRONIZE, FALSE, (DWORD)pid);
    bool runs = process && WaitForSingleObject(process, 0) == WAIT_TIMEOUT;
    if (process) CloseHandle(process);
    return runs;
}

bool system_kill(int64_t pid) {
    HANDLE process = OpenProcess(PROCESS_TERMINATE, FALSE, (DWORD)pid);
    bool killed = process && TerminateProcess(process, 1);
    if (process) CloseHandle(process);
    return killed;
}

int system_handles(void) {
    DWORD count = 0;
    return GetProcessHandleCount(GetCurrentProcess(), &count) ? (int)count : -1;
}

int system_handles_of(int64_t pid) {
    DWORD count = 0;
    HANDLE process = OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, FALSE, (DWORD)pid);
    bool known = process && GetProcessHandleCount(process, &count);
    if (process) CloseHandle(process);
    return known ? (int)count : -1;
}

bool system_is_wine(void) {
    return GetProcAddress(GetModuleHandleW(L"ntdll.dll"), "wine_get_version") != NULL;
}

bool system_has_jobs(void) { return true; }

bool system_has_signals(void) { return false; }

int system_nice(void) {
    switch (GetPriorityClass(GetCurrentProcess())) {
    case IDLE_PRIORITY_CLASS: return 10;
    case BELOW_NORMAL_PRIORITY_CLASS: return 1;
    case NORMAL_PRIORITY_CLASS: return 0;
    case ABOVE_NORMAL_PRIORITY_CLASS: return -1;
    case HIGH_PRIORITY_CLASS: return -10;
    default: return -100;
    }
}

typedef HRESULT(WINAPI *described_t)(HANDLE, PWSTR *);

static void describe(described_t described, DWORD id, char *name, size_t size) {
    HANDLE thread = OpenThread(THREAD_QUERY_LIMITED_INFORMATION, FALSE, id);
    PWSTR wide = NULL;
    if (thread && SUCCEEDED(described(thread, &wide)))
        WideCharToMultiByte(CP_UTF8, 0, wide, -1, name, (int)size, NULL, NULL);
    LocalFree(wide);
    if (thread) CloseHandle(thread);
}

/* The first of its threads that has a description. */
bool system_name(int64_t pid, char *name, size_t size) {
    HMODULE kernel = GetModuleHandleW(L"kernel32.dll");
    described_t described =
        (described_t)(void (*)(void))GetProcAddress(kernel, "GetThreadDescription");
    THREADENTRY32 entry = {.dwSize = sizeof entry};
    if (!described) return false;
    HANDLE all = CreateToolhelp32Snapshot(TH32CS_SNAPTHREAD, 0);
    name[0] = 0;
    for (BOOL more = Thread32First(all, &entry); more && !name[0];
         more = Thread32Next(all, &entry)) {
        if (entry.th32OwnerProcessID == (DWORD)pid)
            describe(described, entry.th32ThreadID, name, size);
    }
    CloseHandle(all);
    return true;
}

bool system_command_line(int64_t pid, char *line, size_t size) {
    (void)pid;
    (void)line;
    (void)size;
    return false;
}

bool system_tells_cpus(void) { return true; }

int system_only_cpu(void) {
    DWORD_PTR own = 0, all = 0;
    if (!GetProcessAffinityMask(GetCurrentProcess(), &own, &all) || !own || (own & (own - 1)))
        return -1;
    for (int i = 0;; i++) {
        if (own >> i & 1) return i;
    }
}
