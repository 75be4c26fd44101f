/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The clock, the CPUs, names. A function that came with late versions of Windows 10 is looked up at
 * run time, so that its absence costs a name in a debugger and not the start of the program. */
#include "os_win32.h"

#include <stdlib.h>

#define SECOND 1000000000

int64_t cohort_os_now(void) {
    static _Atomic int64_t frequency;
    LARGE_INTEGER ticks, fetched;
    int64_t per_second = atomic_load_explicit(&frequency, memory_order_relaxed);
    if (!per_second) {
        QueryPerformanceFrequency(&fetched);
        per_second = fetched.QuadPart;
        atomic_store_explicit(&frequency, per_second, memory_order_relaxed);
    }
    QueryPerformanceCounter(&ticks);
    return ticks.QuadPart / per_second * SECOND + ticks.QuadPart % per_second * SECOND / per_second;
}

static int count_bits(uint64_t mask) {
    int count = 0;
    for (; mask; mask &= mask - 1) count++;
    return count;
}

/* A process that may use all of its group of 64 may use the other groups' CPUs too. */
static int affinity_count(void) {
    DWORD_PTR own = 0, all = 0;
    int everywhere = (int)GetActiveProcessorCount(ALL_PROCESSOR_GROUPS);
    /* threads in several groups */
    if (!GetProcessAffinityMask(GetCurrentProcess(), &own, &all) || own == 0) return everywhere;
    return own == all && GetActiveProcessorGroupCount() > 1 ? everywhere : count_bits(own);
}

/* The share of all CPUs that the job we are in may use, in 1/100 of a percent (containers). */
static int job_share(void) {
    JOBOBJECT_CPU_RATE_CONTROL_INFORMATION rate = {0};
    const DWORD hard = JOB_OBJECT_CPU_RATE_CONTROL_ENABLE | JOB_OBJECT_CPU_RATE_CONTROL_HARD_CAP;
    if (!QueryInformationJobObject(NULL, JobObjectCpuRateControlInformation, &rate, sizeof rate,
                                   NULL))
        return 10000;
    return (rate.ControlFlags & hard) == hard && rate.CpuRate ? (int)rate.CpuRate : 10000;
}

int cohort_os_cpu_count(void) {
    int allowed = affinity_count();
    int share =
        (int)(((int64_t)GetActiveProcessorCount(ALL_PROCESSOR_GROUPS) * job_share() + 9999) /
              10000);
    if (share > 0 && share < allowed) allowed = share;
    return allowed > 0 ? allowed : 1;
}

bool cohort_os_cpu_is_idle(void) { return false; }

/* A process has the name of its file for ever; its thread can have another, which debuggers and
 * Process Explorer show. */
void cohort_os_set_name(const char *name) {
    typedef HRESULT(WINAPI * describe_t)(HANDLE, PCWSTR);
    HMODULE kernel = GetModuleHandleW(L"kernel32.dll");
    describe_t describe =
        kernel ? (describe_t)(void (*)(void))GetProcAddress(kernel, "SetThreadDescription") : NULL;
    wchar_t *wide = describe ? cohort__wide_name(name) : NULL;
    if (wide) describe(GetCurrentThread(), wide);
    free(wide);
}
