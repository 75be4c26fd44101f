/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What a new process makes of itself: each part is in the file that knows it. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

static apr_status_t serve(cohort_os_handle_t lifeline) {
    cohort__group_leave();
    cohort__lifeline_prepare(lifeline);
    return cohort__state_remember();
}

apr_status_t cohort_os_become(const cohort_os_become_t *what) {
    apr_status_t status = APR_SUCCESS;
    if (what->context_size)
        status = cohort__context_apply(what->context, what->context_size, what->signals != NULL);
    if (status == APR_SUCCESS && what->state) status = cohort__state_adopt(what->state);
    if (status != APR_SUCCESS) return status;
    if (what->detach) cohort__detach();
    if (what->signals) cohort__signals_begin(*what->signals);
    if (what->like) status = cohort__state_remember();
    if (what->like && status == APR_SUCCESS) status = cohort__state_adopt(what->like);
    if (status != APR_SUCCESS) return status;
    return what->serves ? serve(what->lifeline) : APR_SUCCESS;
}
