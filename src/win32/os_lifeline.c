/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Dying with another process: a job that kills what is in it when its last handle closes, as the
 * system does for a holder that ends in any way. A child is put into the job before it runs
 * (os_start.c), and what it starts is in it too, unless it breaks away (background).
 *
 * Keeper and reader are two handles of the job in the holder; no child ever gets one. When a living
 * holder closes the keeper, the job is ended then and there, and a process that is started with the
 * reader after that is ended too.
 */
#include "os_win32.h"

#include <stdlib.h>

typedef struct lifeline_t {
    HANDLE reader, keeper; /* NULL when closed */
    struct lifeline_t *next;
} lifeline_t;

static lifeline_t *lifelines;
static SRWLOCK lifelines_lock = SRWLOCK_INIT;

static apr_status_t create_job(HANDLE *job) {
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits = {0};
    limits.BasicLimitInformation.LimitFlags =
        JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE | JOB_OBJECT_LIMIT_BREAKAWAY_OK;
    *job = CreateJobObjectW(NULL, NULL);
    if (!*job) return cohort__last_error();
    if (SetInformationJobObject(*job, JobObjectExtendedLimitInformation, &limits, sizeof limits))
        return APR_SUCCESS;
    apr_status_t status = cohort__last_error();
    CloseHandle(*job);
    return status;
}

static void remember(lifeline_t *lifeline) {
    AcquireSRWLockExclusive(&lifelines_lock);
    lifeline->next = lifelines;
    lifelines = lifeline;
    ReleaseSRWLockExclusive(&lifelines_lock);
}

apr_status_t cohort__job_create(cohort_os_handle_t *reader, cohort_os_handle_t *keeper) {
    HANDLE job, copy, self = GetCurrentProcess();
    lifeline_t *lifeline = malloc(sizeof *lifeline);
    if (!lifeline) return APR_ENOMEM;
    apr_status_t status = create_job(&job);
    if (status == APR_SUCCESS &&
        !DuplicateHandle(self, job, self, &copy, 0, FALSE, DUPLICATE_SAME_ACCESS)) {
        status = cohort__last_error();
        CloseHandle(job);
    }
    if (status != APR_SUCCESS) {
        free(lifeline);
        return status;
    }
    *lifeline = (lifeline_t){copy, job, NULL};
    remember(lifeline);
    *reader = (cohort_os_handle_t)copy;
    *keeper = (cohort_os_handle_t)job;
    return APR_SUCCESS;
}

/* A process that was started with the lifeline is in the job already and has no handle of it. */
apr_status_t cohort__lifeline_take(cohort_os_handle_t reader, cohort_os_lifeline_t how) {
    apr_status_t status = APR_SUCCESS;
    if (reader == COHORT_OS_NONE) return APR_SUCCESS;
    if (how != COHORT_OS_LIFELINE_DECLINED &&
        !AssignProcessToJobObject(cohort__handle(reader), GetCurrentProcess()))
        status = cohort__last_error();
    cohort_os_close(reader);
    return status;
}

/* The link that points at the lifeline with this end, or at NULL. */
static lifeline_t **lifeline_link(HANDLE end) {
    lifeline_t **link = &lifelines;
    while (*link && (*link)->reader != end && (*link)->keeper != end) link = &(*link)->next;
    return link;
}

static void end_job(HANDLE job) { TerminateJobObject(job, cohort__exit_status(COHORT__SIGKILL)); }

/* The child is in the job by now; the keeper ends the job after it has let go, so one of the two
 * ends the child. */
void cohort__job_check(cohort_os_handle_t reader) {
    AcquireSRWLockShared(&lifelines_lock);
    lifeline_t *lifeline = *lifeline_link(cohort__handle(reader));
    bool broken = lifeline && !lifeline->keeper;
    ReleaseSRWLockShared(&lifelines_lock);
    if (broken) end_job(cohort__handle(reader));
}

bool cohort__job_close(HANDLE end) {
    AcquireSRWLockExclusive(&lifelines_lock);
    lifeline_t **link = lifeline_link(end), *lifeline = *link;
    bool is_keeper = lifeline && lifeline->keeper == end;
    if (is_keeper) lifeline->keeper = NULL;
    else if (lifeline) lifeline->reader = NULL;
    bool unused = lifeline && !lifeline->keeper && !lifeline->reader;
    if (unused) *link = lifeline->next;
    ReleaseSRWLockExclusive(&lifelines_lock);
    if (is_keeper) end_job(end);
    if (unused) free(lifeline);
    if (lifeline) CloseHandle(end);
    return lifeline != NULL;
}
