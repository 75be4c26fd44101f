/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Pages that every copy of the process finds empty, by the kernel, whether or not fork handlers
 * run. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <sys/mman.h>

apr_status_t cohort_os_clear_in_copies(void *pages, size_t size) {
    return madvise(pages, size, MADV_WIPEONFORK) == 0 ? APR_SUCCESS : errno;
}
