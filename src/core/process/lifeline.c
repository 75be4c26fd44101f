/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The lifeline: what those processes hang on that are to die with this one, however it dies. One
 * for all of them, made at first use, and made anew when this program has closed it as a handle
 * that is not its own.
 */
#include "core/process/process.h"

static cohort_os_mutex_t lifeline_mutex;
static cohort_os_known_t lifeline_reader, lifeline_keeper;
static cohort_os_known_t lifeline_before; /* a keeper on which processes hang still */

/* What this program has closed is made anew. If it was the keeper, the processes that hung on it
 * are dead; if it was only the reader, they live, and the keeper stays for them. */
static apr_status_t make_lifeline(void) {
    cohort_os_handle_t reader, keeper;
    if (cohort_os_is_known(&lifeline_keeper)) {
        cohort_os_close_known(&lifeline_before);
        lifeline_before = lifeline_keeper;
        lifeline_keeper.handle = COHORT_OS_NONE;
    }
    cohort_os_close_known(&lifeline_reader);
    apr_status_t status = cohort_os_pipe_create(COHORT_OS_PIPE_LIFELINE, &reader, &keeper);
    if (status) return cohort__explain(status, "making what daemons die with");
    lifeline_reader = cohort_os_know(reader);
    lifeline_keeper = cohort_os_know(keeper);
    return APR_SUCCESS;
}

apr_status_t cohort__lifeline(cohort_os_handle_t *reader) {
    apr_status_t status = APR_SUCCESS;
    cohort_os_mutex_lock(&lifeline_mutex);
    if (!cohort_os_is_known(&lifeline_reader) || !cohort_os_is_known(&lifeline_keeper))
        status = make_lifeline();
    if (!status) *reader = lifeline_reader.handle;
    cohort_os_mutex_unlock(&lifeline_mutex);
    return status;
}

void cohort__lifeline_close(void) {
    cohort_os_close_known(&lifeline_before);
    cohort_os_close_known(&lifeline_keeper);
    cohort_os_close_known(&lifeline_reader);
}

void cohort__lifeline_lock(void) { cohort_os_mutex_lock(&lifeline_mutex); }

void cohort__lifeline_unlock(void) { cohort_os_mutex_unlock(&lifeline_mutex); }

/* The reader stays open: this may be a child that is about to arm it. */
void cohort__lifeline_reset(void) {
    cohort_os_mutex_reset(&lifeline_mutex);
    cohort_os_close_known(&lifeline_before);
    cohort_os_close_known(&lifeline_keeper);
    lifeline_reader.handle = COHORT_OS_NONE;
}
