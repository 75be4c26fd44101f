/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Sleeping on a word on macOS: os_sync_wait_on_address() with SHARED where the system has it (14.4
 * and newer), else the older __ulock calls, which the former is built on. Both keep nothing of a
 * sleeper that is killed.
 */
#include "os_posix.h"

#include <dlfcn.h>
#include <limits.h>

#define OSYNC_SHARED               1u
#define OSYNC_CLOCK_MACH_ABSOLUTE  32u
#define UL_COMPARE_AND_WAIT_SHARED 3u
#define ULF_WAKE_ALL               0x100u
#define ULF_NO_ERRNO               0x01000000u

typedef int (*osync_wait_t)(void *word, uint64_t value, size_t size, uint32_t flags);
typedef int (*osync_wait_for_t)(void *word, uint64_t value, size_t size, uint32_t flags,
                                uint32_t clock, uint64_t timeout_ns);
typedef int (*osync_wake_t)(void *word, size_t size, uint32_t flags);

extern int __ulock_wait(uint32_t operation, void *word, uint64_t value, uint32_t timeout_us);
extern int __ulock_wake(uint32_t operation, void *word, uint64_t value);

static osync_wait_t osync_wait;
static osync_wait_for_t osync_wait_for;
static osync_wake_t osync_wake_any, osync_wake_all;

static void find(const char *name, void *function) {
    *(void **)function = dlsym(RTLD_DEFAULT, name);
}

__attribute__((constructor)) static void find_all(void) {
    find("os_sync_wait_on_address", &osync_wait);
    find("os_sync_wait_on_address_with_timeout", &osync_wait_for);
    find("os_sync_wake_by_address_any", &osync_wake_any);
    find("os_sync_wake_by_address_all", &osync_wake_all);
}

static bool have_osync(void) {
    return osync_wait && osync_wait_for && osync_wake_any && osync_wake_all;
}

/* 0 or more: woken; negative: -errno. */
static int sleep_ns(_Atomic uint32_t *word, uint32_t expected, int64_t nanoseconds) {
    if (have_osync()) {
        int result = nanoseconds < 0
                         ? osync_wait((void *)word, expected, sizeof *word, OSYNC_SHARED)
                         : osync_wait_for((void *)word, expected, sizeof *word, OSYNC_SHARED,
                                          OSYNC_CLOCK_MACH_ABSOLUTE, (uint64_t)nanoseconds);
        return result < 0 ? -errno : result;
    }
    /* 0 is for ever */
    uint64_t microseconds = nanoseconds < 0 ? 0 : (uint64_t)nanoseconds / 1000 + 1;
    if (microseconds > UINT_MAX) microseconds = UINT_MAX;
    return __ulock_wait(UL_COMPARE_AND_WAIT_SHARED | ULF_NO_ERRNO, (void *)word, expected,
                        (uint32_t)microseconds);
}

apr_status_t cohort_os_park(_Atomic uint32_t *word, uint32_t expected, int64_t deadline) {
    int64_t left = -1;
    if (deadline != COHORT_OS_NEVER) {
        left = deadline - cohort_os_now();
        if (left <= 0) return *word == expected ? APR_TIMEUP : APR_SUCCESS;
    }
    return sleep_ns(word, expected, left) == -ETIMEDOUT ? APR_TIMEUP : APR_SUCCESS;
}

static int wake_some(_Atomic uint32_t *word, bool all) {
    if (have_osync())
        return (all ? osync_wake_all : osync_wake_any)((void *)word, sizeof *word, OSYNC_SHARED);
    return __ulock_wake(UL_COMPARE_AND_WAIT_SHARED | ULF_NO_ERRNO | (all ? ULF_WAKE_ALL : 0),
                        (void *)word, 0);
}

int cohort_os_wake(_Atomic uint32_t *word, int count) {
    if (count == INT32_MAX) return wake_some(word, true) < 0 ? 0 : count;
    int woken = 0;
    while (woken < count && wake_some(word, false) >= 0) ++woken;
    return woken;
}

void cohort_os_park_forget(cohort_os_id_t dead) { (void)dead; }
