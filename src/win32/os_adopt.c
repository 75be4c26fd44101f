/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Becoming what a requester of a server is: there are no servers, since there is no fork(). */
#include "os_win32.h"

apr_status_t cohort_os_state_remember(void) { return APR_SUCCESS; }
apr_status_t cohort_os_state_adopt(const cohort_os_state_t *wanted) {
    return (void)wanted, APR_SUCCESS; /* nothing that is a thread's is handed on */
}
