/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What a contained process starts is in a job with it, nested in its parent's, unless it breaks
 * away (background). Only the parent has a handle of that job (os_process.c keeps it with the
 * child), so the system ends the job when the parent dies, and no keeper is needed.
 */
#include "os_win32.h"

#include <cohort/errors.h>

void cohort__group_end(cohort_os_id_t child) {
    HANDLE job = cohort__child_job(child);
    if (!job) return;
    TerminateJobObject(job, cohort__exit_status(COHORT__SIGKILL));
    CloseHandle(job);
}

apr_status_t cohort_os_hold_take(cohort_os_id_t leader, bool alone, cohort_os_hold_t *hold) {
    (void)leader, (void)alone, (void)hold;
    return APR_ENOTIMPL;
}

void cohort_os_hold_release(cohort_os_hold_t *hold, bool kill_it) { (void)hold, (void)kill_it; }
