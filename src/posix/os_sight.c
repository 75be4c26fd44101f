/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Sights: what can be waited for here is a descriptor, and a pollset of APR polls each of them. */
#include "os_posix.h"

apr_status_t cohort_os_sight(cohort_os_sight_t *sight, bool arm, int64_t *again) {
    (void)arm, (void)again;
    sight->polled = true;
    return APR_SUCCESS;
}
