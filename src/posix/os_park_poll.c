/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Sleeping on a word where the system has no way of doing so that processes can share: a sleeper
 * looks again after pauses that grow.
 *
 * Guarantee: nothing of a sleeper or a waker is anywhere but in its own process, so one that is
 * killed leaves nothing behind. Conditions and semaphores of POSIX cannot give that: a condition
 * has a lock inside that the dead keep, and process-shared semaphores are missing on the very
 * systems that would need them. The price is a late awakening, by up to a quarter of the time
 * slept, and at most by PAUSE_LAST.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <time.h>

#define PAUSE_FIRST INT64_C(20000) /* nanoseconds */
#define PAUSE_LAST  INT64_C(8000000)

static void rest(int64_t nanoseconds) {
    struct timespec pause = {0, (long)nanoseconds};
    (void)nanosleep(&pause, NULL);
}

apr_status_t cohort_os_park(_Atomic uint32_t *word, uint32_t expected, int64_t deadline) {
    for (int64_t pause = PAUSE_FIRST; atomic_load(word) == expected;) {
        int64_t left = deadline - cohort_os_now();
        if (left <= 0) return APR_TIMEUP;
        rest(pause < left ? pause : left);
        if (pause < PAUSE_LAST) pause += pause / 4;
    }
    return APR_SUCCESS;
}

/* A sleeper sees by itself that the word has changed. */
int cohort_os_wake(_Atomic uint32_t *word, int count) {
    (void)word, (void)count;
    return 0;
}

void cohort_os_park_forget(cohort_os_id_t dead) { (void)dead; }
