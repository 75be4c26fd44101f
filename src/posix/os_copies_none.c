/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* No such pages: the fork handler has to do. */
#include "os_posix.h"

apr_status_t cohort_os_clear_in_copies(void *pages, size_t size) {
    (void)pages, (void)size;
    return APR_ENOTIMPL;
}
