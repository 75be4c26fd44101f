/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Memory that is empty in every copy of this process: there are no copies. */
#include "os_win32.h"

apr_status_t cohort_os_clear_in_copies(void *pages, size_t size) {
    (void)pages, (void)size;
    return APR_ENOTIMPL;
}
