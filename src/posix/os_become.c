/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What a process makes of itself: each part is in the file that knows it. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

static apr_status_t serve(cohort_os_handle_t lifeline) {
    cohort__streams_drop();
    cohort__group_leave();
    cohort__lifeline_prepare(lifeline);
    return cohort__state_remember();
}

apr_status_t cohort_os_become(const cohort_os_become_t *what) {
    apr_status_t status = APR_SUCCESS;
    if (what->hangs) status = cohort__lifeline_take(what->lifeline, what->hangs, what->alone);
    if (status != APR_SUCCESS) return status;
    if (what->name) cohort__name_show(what->name);
    if (what->context_size)
        status = cohort__context_apply(what->context, what->context_size, what->signals != NULL);
    if (what->context_size && status == APR_SUCCESS) status = cohort__mark_renew();
    if (status == APR_SUCCESS && what->state) status = cohort__state_adopt(what->state);
    if (status != APR_SUCCESS) return status;
    if (what->detach) cohort__detach(what->has_streams);
    if (what->detach || what->tree) status = cohort__mark_enter(what->tree, what->detach);
    if (status != APR_SUCCESS) return status;
    if (what->signals) cohort__signals_begin(*what->signals);
    if (what->like) status = cohort__state_remember();
    if (what->like && status == APR_SUCCESS) status = cohort__state_adopt(what->like);
    if (status == APR_SUCCESS && what->settings) status = cohort__settings_begin(what->settings);
    if (status == APR_SUCCESS && what->crash) status = cohort__crash_begin(what->crash);
    if (status != APR_SUCCESS) return status;
    return what->serves ? serve(what->lifeline) : APR_SUCCESS;
}
