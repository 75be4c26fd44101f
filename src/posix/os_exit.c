/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The end of this process. That of a forked copy, which is to call no handler of the original's, is
 * in os_exit_*.c. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <stdio.h>
#include <unistd.h>

_Noreturn void cohort_os_exit(int code, cohort_os_exit_t how) {
    if (how == COHORT_OS_EXIT_ORDERLY) cohort__leave(code);
    if (how == COHORT_OS_EXIT_FLUSHED) {
        fflush(stdout);
        fflush(stderr);
    }
    _exit(code);
}
