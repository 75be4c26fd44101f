/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The program that this process runs, on macOS: where it is found to be executed again, and where
 * its environment lies. */
#include "os_posix.h"

#include <crt_externs.h>
#include <mach-o/dyld.h>

apr_status_t cohort__own_executable(char *path, size_t size) {
    uint32_t room = (uint32_t)size;
    return _NSGetExecutablePath(path, &room) == 0 ? APR_SUCCESS : APR_ENOSPC;
}

char ***cohort__environment(void) { return _NSGetEnviron(); }

/* The system's frameworks do not stand a fork without exec. */
bool cohort__fork_is_default(void) { return false; }
