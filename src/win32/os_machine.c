/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The clock, the CPUs, what this process uses. */
#include "os_win32.h"

#include <psapi.h>

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

static int cpu_count(void) {
    int allowed = affinity_count();
    int share =
        (int)(((int64_t)GetActiveProcessorCount(ALL_PROCESSOR_GROUPS) * job_share() + 9999) /
              10000);
    if (share > 0 && share < allowed) allowed = share;
    return allowed > 0 ? allowed : 1;
}

static int64_t used_memory(bool own) {
    PROCESS_MEMORY_COUNTERS_EX counters = {0}; /* Wine tells nothing of private memory */
    if (!K32GetProcessMemoryInfo(GetCurrentProcess(), (PROCESS_MEMORY_COUNTERS *)&counters,
                                 sizeof counters))
        return 0;
    if (!own) return (int64_t)counters.PeakWorkingSetSize;
    return (int64_t)(counters.PrivateUsage ? counters.PrivateUsage : counters.WorkingSetSize);
}

/* Of those that it may use, counted from 0, and round. */
static DWORD_PTR nth_cpu(HANDLE process, uint32_t n) {
    DWORD_PTR mask = 0, all, one = 1;
    unsigned count = 0, at = 0;
    if (!GetProcessAffinityMask(process, &mask, &all) || !mask) return 0;
    for (DWORD_PTR rest = mask; rest; rest &= rest - 1) count++;
    for (; !(mask & one) || at++ != n % count; one <<= 1) {
    }
    return one;
}

apr_status_t cohort__set_cpus(HANDLE process, const cohort_os_settings_t *s) {
    DWORD_PTR mask = 0;
    const uint32_t *cpus = s ? (const uint32_t *)cohort_os_settings_part(s, s->cpus) : NULL;
    for (uint32_t i = 0; s && i < s->n_cpus; i++) {
        if (cpus[i] < 64) mask |= (DWORD_PTR)1 << cpus[i];
    }
    if (s && s->set & COHORT_OS_SET_NTH_CPU) mask = nth_cpu(process, cpus[0]);
    if (!s || !s->n_cpus || SetProcessAffinityMask(process, mask)) return APR_SUCCESS;
    return cohort__fail(cohort__last_error(), "using %u CPUs, the first of them %u",
                        (unsigned)s->n_cpus, (unsigned)cpus[0]);
}

int64_t cohort_os_figure(cohort_os_figure_t what) {
    switch (what) {
    case COHORT_OS_CPUS: return cpu_count();
    case COHORT_OS_ARENA_SIZE: return (int64_t)cohort__arena_default_size();
    case COHORT_OS_USED_MEMORY: return used_memory(false);
    case COHORT_OS_USED_OWN_MEMORY: return used_memory(true);
    default: return 0;
    }
}
