/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Dying with another process: a job that kills what is in it when its last handle closes, as the system does for a holder that ends in any way.
 * A child is put into the job before it runs (os_start.c), and what it starts is in it too, unless it breaks away (background).
 *
 * Keeper and reader are two handles of the job in the holder; no child ever gets one. When a living holder closes the keeper, the job is
 * ended then and there, whoever still has the reader.
 */
#include "os_win32.h"

#include <stdlib.h>

typedef struct keeper_t {
    HANDLE job;
    struct keeper_t *next;
} keeper_t;

static keeper_t *keepers;
static SRWLOCK keepers_lock = SRWLOCK_INIT;

static apr_status_t create_job(HANDLE *job) {
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits = {0};
    limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE | JOB_OBJECT_LIMIT_BREAKAWAY_OK;
    *job = CreateJobObjectW(NULL, NULL);
    if (!*job) return cohort__last_error();
    if (SetInformationJobObject(*job, JobObjectExtendedLimitInformation, &limits, sizeof limits)) return APR_SUCCESS;
    apr_status_t status = cohort__last_error();
    CloseHandle(*job);
    return status;
}

static void remember(keeper_t *keeper) {
    AcquireSRWLockExclusive(&keepers_lock);
    keeper->next = keepers;
    keepers = keeper;
    ReleaseSRWLockExclusive(&keepers_lock);
}

apr_status_t cohort_os_lifeline_create(cohort_os_handle_t *reader, cohort_os_handle_t *keeper) {
    HANDLE job, copy, self = GetCurrentProcess();
    keeper_t *entry = malloc(sizeof *entry);
    if (!entry) return APR_ENOMEM;
    apr_status_t status = create_job(&job);
    if (status == APR_SUCCESS && !DuplicateHandle(self, job, self, &copy, 0, FALSE, DUPLICATE_SAME_ACCESS)) {
        status = cohort__last_error();
        CloseHandle(job);
    }
    if (status != APR_SUCCESS) {
        free(entry);
        return status;
    }
    entry->job = job;
    remember(entry);
    *reader = (cohort_os_handle_t)copy;
    *keeper = (cohort_os_handle_t)job;
    return APR_SUCCESS;
}

/* Whoever was started with the lifeline is in the job already and has no handle of it. */
apr_status_t cohort_os_lifeline_arm(cohort_os_handle_t reader) {
    apr_status_t status = APR_SUCCESS;
    if (reader == COHORT_OS_NONE) return APR_SUCCESS;
    if (!AssignProcessToJobObject(cohort__handle(reader), GetCurrentProcess())) status = cohort__last_error();
    cohort_os_close(reader);
    return status;
}

bool cohort__keeper_close(HANDLE handle) {
    keeper_t *found = NULL;
    AcquireSRWLockExclusive(&keepers_lock);
    for (keeper_t **link = &keepers; *link && !found; link = found ? link : &(*link)->next) {
        if ((*link)->job != handle) continue;
        found = *link;
        *link = found->next;
        break;
    }
    ReleaseSRWLockExclusive(&keepers_lock);
    if (!found) return false;
    TerminateJobObject(handle, cohort__exit_status(COHORT__SIGKILL));
    CloseHandle(handle);
    free(found);
    return true;
}
