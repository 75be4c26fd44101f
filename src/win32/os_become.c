/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What a new process makes of itself. It has inherited all else from its parent, whichever thread
 * started it (nothing that is a thread's is handed on), and was started without a console if it is
 * to have none; there are no servers, since there is no fork(). */
#include "os_win32.h"

apr_status_t cohort_os_become(const cohort_os_become_t *what) {
    if (what->context_size) return APR_EINVAL;
    if (what->state || what->detach || what->serves) return APR_ENOTIMPL;
    if (what->signals) cohort__signals_begin(*what->signals);
    return APR_SUCCESS;
}
