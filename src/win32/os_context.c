/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What a child can be given from outside. A child inherits all of it from its parent, and no server
 * starts children for another process, so nothing has to be noted or handed on. */
#include "os_win32.h"

apr_status_t cohort_os_context_capture(void *buffer, size_t *length, cohort_os_state_t *state) {
    (void)buffer;
    *length = 0;
    return cohort_os_state_look(COHORT_OS_LOOK_THREAD, state);
}
