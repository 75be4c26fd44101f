/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Pages that every copy of the process finds empty, by the kernel, whether or not fork handlers
 * run. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <sys/mman.h>

void cohort__clear_in_copies(void *pages, size_t size) {
    (void)madvise(pages, size, MADV_WIPEONFORK);
}
