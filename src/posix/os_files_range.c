/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* All descriptors from one on at once, where the kernel can (Linux 5.11). */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#define ON_EXEC (1u << 2) /* CLOSE_RANGE_CLOEXEC */

int cohort__files_close_on_exec(int first) {
    if (syscall(SYS_close_range, (unsigned)first, ~0u, ON_EXEC) == 0) return 0;
    return cohort__files_walk(first);
}
