/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
#include "raw.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

void raw_sleep(word_t *word, uint32_t value) {
    (void)syscall(SYS_futex, word, FUTEX_WAIT, value, NULL, NULL, 0);
}

void raw_wake(word_t *word, int n) { (void)syscall(SYS_futex, word, FUTEX_WAKE, n, NULL, NULL, 0); }
