/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Where a thread has come from, by the system's unwinder, which loads a library when it is first
 * called. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <execinfo.h>

void cohort__trace_begin(void) {
    void *frame;
    (void)backtrace(&frame, 1);
}

int cohort__trace(void **frames, int most) { return backtrace(frames, most); }
