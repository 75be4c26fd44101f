/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
#include "facts.h"

#include <windows.h>

bool system_runs(int64_t pid) {
    HANDLE process = OpenProcess(SYNCHRONIZE, FALSE, (DWORD)pid);
    bool runs = process && WaitForSingleObject(process, 0) == WAIT_TIMEOUT;
    if (process)
        CloseHandle(process);
    return runs;
}

int system_handles(void) {
    DWORD count = 0;
    return GetProcessHandleCount(GetCurrentProcess(), &count) ? (int)count : -1;
}
