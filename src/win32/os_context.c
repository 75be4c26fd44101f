/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What a child can be given from outside. A child inherits all of it from its parent, and no server
 * starts children for another process, so nothing has to be noted or handed on. */
#include "os_win32.h"

apr_status_t cohort_os_context_capture(void *buffer, size_t *length, cohort_os_state_t *state) {
    (void)buffer;
    *length = 0;
    return cohort_os_state_look(0, state);
}

apr_status_t cohort_os_context_apply(const void *buffer, size_t length, bool signals) {
    (void)buffer;
    (void)signals;
    return length ? APR_EINVAL : APR_SUCCESS;
}

apr_status_t cohort_os_context_environment(const void *buffer, size_t length,
                                           const char ***environment) {
    (void)buffer;
    (void)length;
    *environment = NULL; /* the caller's, when the child is started */
    return APR_SUCCESS;
}
