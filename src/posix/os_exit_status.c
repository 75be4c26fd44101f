/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a forked copy, where on_exit() gives handlers the exit code. The first handler that a
 * copy registers is the last of its own to be called, so it ends the process before those that were
 * copied.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <stdlib.h>

static void (*last)(void);

static void end_here(int code, void *arg) {
    (void)arg;
    last();
    cohort_os_exit(code, COHORT_OS_EXIT_FLUSHED);
}

apr_status_t cohort__exit_own(void (*run)(void)) {
    cohort__streams_purge();
    last = run;
    return on_exit(end_here, NULL) == 0 ? APR_SUCCESS : APR_ENOMEM;
}

_Noreturn void cohort__leave(int code) { exit(code); }
