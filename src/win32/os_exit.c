/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The end of this process. */
#include "os_win32.h"

#include <stdio.h>
#include <stdlib.h>

/* ExitProcess() runs the ends of libraries while other threads hang where they were, their locks
 * held; this does not. */
_Noreturn void cohort_os_exit(int code, cohort_os_exit_t how) {
    if (how == COHORT_OS_EXIT_ORDERLY) exit(code);
    if (how == COHORT_OS_EXIT_FLUSHED) {
        fflush(stdout);
        fflush(stderr);
    }
    TerminateProcess(GetCurrentProcess(), (UINT)code);
    for (;;) Sleep(INFINITE);
}
