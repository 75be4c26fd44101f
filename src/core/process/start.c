/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting a process, by the method that its slot names. The fork server is asked first where it
 * is the method; what it cannot take is started as a server would be, by spawn.
 */
#include "core/process/streams.h"

/* What replaces a worker may not be more than what the maker's first thread is. What it can take
 * over of that (its priority, CPUs) it does itself. */
static apr_status_t check_state(cohort_process_t *slot) {
    bool another = false;
    apr_status_t status = slot->replaces ? cohort__maker_look(&slot->state, &another) : APR_SUCCESS;
    if (!status && another)
        status = cohort__fail(
            COHORT_ESTART,
            "the first thread of this process is not what the thread is that replaces workers");
    return status;
}

static apr_status_t launch_by(cohort_process_t *slot) {
    cohort_os_handle_t lifeline = COHORT_OS_NONE;
    /* a server has none of these files */
    bool by_itself = slot->method != COHORT_START_FORKSERVER || slot->n_files > 0;
    apr_status_t status = by_itself ? APR_SUCCESS : cohort__server_launch(slot, &by_itself);
    if (!by_itself) return status;
    status = check_state(slot);
    if (!status && slot->bound) status = cohort__lifeline(&lifeline);
    if (status) return status;
    return slot->method == COHORT_START_FORK ? cohort__launch_fork(slot, lifeline)
                                             : cohort__launch_spawn(slot, lifeline);
}

static apr_status_t launch_with(cohort_process_t *slot, cohort__streams_t *s,
                                const cohort_stream_t *streams) {
    apr_status_t status = cohort__streams_check(streams, "options->streams");
    if (status) return status;
    status = cohort__streams_open(s, streams, slot);
    if (!status) status = launch_by(slot);
    cohort__streams_close(s, status != APR_SUCCESS);
    slot->streams = NULL;
    return status;
}

apr_status_t cohort__process_launch(cohort_process_t *slot) {
    cohort_stream_t *streams = slot->program;
    cohort__streams_t s;
    if (!cohort__attempt_begin(slot, true)) return COHORT_ESTARTED;
    apr_status_t status = streams ? launch_with(slot, &s, streams) : launch_by(slot);
    if (status) return cohort__attempt_failed(slot, status);
    cohort__keeper_hold(slot);
    return streams ? cohort__streams_hand_over(&s, streams, slot) : APR_SUCCESS;
}

apr_status_t cohort__function_run(cohort_process_t *slot, cohort__streams_t *streams) {
    slot->streams = streams;
    slot->attended = 1;
    apr_status_t status = cohort__process_launch(slot);
    slot->streams = NULL;
    return status;
}

apr_status_t cohort__process_start(cohort_process_t *process) {
    cohort__thread_t *me;
    apr_status_t status = cohort__process_check(process);
    if (!status) status = cohort__enter(&me);
    if (status) return status;
    if (cohort__process_state(process) != COHORT__SLOT_NEW) return COHORT_ESTARTED;
    status = cohort__creator_check(process);
    if (!status) status = cohort__gifts_check(process);
    if (status) return status;
    if (process->role == COHORT__ROLE_SERVICE) return cohort__service_start(process);
    return process->role == COHORT__ROLE_PROGRAM ? cohort__program_launch(process)
                                                 : cohort__process_launch(process);
}

apr_status_t cohort_process_start(cohort_process_t *process) {
    return COHORT__CALL_ANEW(cohort__process_start(process));
}
