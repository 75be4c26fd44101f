/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The clock, CPUs, what this process uses. What differs between POSIX systems is in
 * os_machine_*.c. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <unistd.h>

#define SECOND ((int64_t)1000000000)

/* ---- time ----------------------------------------------------------------------------------- */

int64_t cohort_os_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * SECOND + now.tv_nsec;
}

struct timespec cohort__timespec(int64_t nanoseconds) {
    if (nanoseconds < 0) nanoseconds = 0;
    return (struct timespec){.tv_sec = (time_t)(nanoseconds / SECOND),
                             .tv_nsec = (long)(nanoseconds % SECOND)};
}

int cohort__milliseconds(int64_t deadline) {
    if (deadline == COHORT_OS_NEVER) return -1;
    int64_t left = deadline - cohort_os_now();
    if (left <= 0) return 0;
    return left > 60 * SECOND ? 60000 : (int)((left + 999999) / 1000000);
}

/* ---- CPUs ----------------------------------------------------------------------------------- */

static int cpu_count(void) {
    int count = cohort__affinity_count(), quota = cohort__cpu_quota();
    if (count <= 0) count = (int)sysconf(_SC_NPROCESSORS_ONLN);
    if (quota > 0 && quota < count) count = quota;
    return count > 0 ? count : 1;
}

/* ---- figures -------------------------------------------------------------------------------- */

static int64_t used_threads(void) {
    int count = cohort__threads();
    return count > 0 ? count - atomic_load(&cohort__own_threads) : 0;
}

int64_t cohort_os_figure(cohort_os_figure_t what) {
    switch (what) {
    case COHORT_OS_CPUS: return cpu_count();
    case COHORT_OS_CPU_IDLE: return cohort__cpu_is_idle();
    case COHORT_OS_ARENA_SIZE: return (int64_t)cohort__arena_default_size();
    case COHORT_OS_USED_THREADS: return used_threads();
    case COHORT_OS_USED_MEMORY: return (int64_t)cohort__memory_peak();
    case COHORT_OS_USED_OWN_MEMORY: return (int64_t)cohort__memory_own();
    }
    return 0;
}
