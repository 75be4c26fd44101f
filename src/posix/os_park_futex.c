/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Sleeping on a word by futex. The kernel keys shared futexes by the memory object, so processes
 * need nothing in common but the arena, and a sleeper that is killed leaves nothing behind.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

apr_status_t cohort_os_park(_Atomic uint32_t *word, uint32_t expected, int64_t deadline) {
    struct timespec at, *until = NULL;
    if (deadline != COHORT_OS_NEVER) {
        at = cohort__timespec(deadline);
        until = &at;
    }
    /* The bitset form takes an absolute time of the monotonic clock. */
    long result =
        syscall(SYS_futex, word, FUTEX_WAIT_BITSET, expected, until, NULL, FUTEX_BITSET_MATCH_ANY);
    if (result == 0 || errno == EAGAIN || errno == EINTR) return APR_SUCCESS;
    return errno == ETIMEDOUT ? APR_TIMEUP : errno;
}

int cohort_os_wake(_Atomic uint32_t *word, int count) {
    long woken = syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);
    return woken < 0 ? 0 : (int)woken;
}

void cohort_os_park_forget(cohort_os_id_t dead) { (void)dead; }
