/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a forked copy, for every POSIX system. The first handler that a copy registers is the
 * last of its own to be called, and ends the process before those that were copied; but no handler
 * gets the exit code, so it does that only where the code is known from cohort_os_exit(). When
 * the user's code has called exit() by itself, the copied handlers run too.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <stdlib.h>

static void (*last)(void);
static bool leaving;
static int exit_code;

static void end_here(void) {
    last();
    if (leaving) cohort_os_exit(exit_code, COHORT_OS_EXIT_FLUSHED);
}

apr_status_t cohort__exit_own(void (*run)(void)) {
    cohort__streams_purge();
    last = run;
    leaving = false;
    return atexit(end_here) == 0 ? APR_SUCCESS : APR_ENOMEM;
}

_Noreturn void cohort__leave(int code) {
    exit_code = code;
    leaving = true;
    exit(code);
}
