/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The end of this process. That of a forked copy, which is to call no handler of the original's, is
 * in os_exit_*.c. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <stdio.h>
#include <unistd.h>

_Noreturn void cohort_os_exit(int code, bool flush) {
    if (flush) {
        fflush(stdout);
        fflush(stderr);
    }
    _exit(code);
}
