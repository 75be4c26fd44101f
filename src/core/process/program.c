/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Another program as a process. It is no member, so it takes no part in its
 * start: it runs as soon as the system has executed it.
 */
#include "core/base/reserved.h"
#include "core/process/streams.h"

static void program_runs(cohort_process_t *slot, cohort_os_id_t child, cohort__watched_t *watched) {
    slot->os = child;
    atomic_store(&slot->reaper, cohort__self_id());
    cohort__slot_step(slot, COHORT__SLOT_STARTING, COHORT__SLOT_RUNNING);
    apr_status_t status =
        cohort__watcher_add(watched, slot, cohort__process_attempt(slot), child, true);
    if (!status) cohort__keeper_hold(slot);
    if (!status) return;
    atomic_store(&slot->reaper, 0); /* the waiting thread finds the end itself */
    cohort_os_signal(child, COHORT_OS_KILL);
}

static apr_status_t exec_program(cohort_process_t *slot, const cohort_program_t *program,
                                 const cohort_os_handle_t child[3]) {
    cohort_os_start_t start = cohort__start_of(slot, COHORT_OS_PROGRAM);
    cohort__watched_t *watched;
    cohort_os_id_t os;
    bool in_child;
    start.path = program->argv[0];
    start.argv = program->argv;
    start.env = program->env;
    start.cwd = program->cwd;
    for (int i = 0; i < 3; i++) start.stdio[i] = child[i];
    if (start.detach && child[2] == COHORT_OS_OUTPUT && child[1] == COHORT_OS_NONE)
        start.stdio[2] = COHORT_OS_NONE;
    apr_status_t status = slot->bound ? cohort__lifeline(&start.lifeline) : APR_SUCCESS;
    if (!status) status = cohort__watcher_reserve(&watched);
    if (status) return status;
    status = cohort_os_start(&start, &os, &in_child);
    if (status) cohort__watcher_unreserve(watched);
    else program_runs(slot, os, watched);
    return status;
}

apr_status_t cohort__program_check(const cohort_program_t *program) {
    apr_status_t status = cohort__check_reserved(program->reserved, 8, "program->reserved");
    return status ? status : cohort__streams_check(program->streams, "program->streams");
}

apr_status_t cohort__program_launch(cohort_process_t *slot) {
    cohort_program_t *program = slot->program;
    cohort__streams_t s;
    if (!cohort__attempt_begin(slot, false)) return COHORT_ESTARTED;
    apr_status_t status = cohort__program_check(program);
    if (status) return cohort__attempt_failed(slot, status);
    status = cohort__streams_open(&s, program->streams, slot);
    if (!status) status = exec_program(slot, program, s.child);
    cohort__streams_close(&s, status != APR_SUCCESS);
    slot->streams = NULL;
    if (status) return cohort__attempt_failed(slot, status);
    return cohort__streams_hand_over(&s, program->streams, slot);
}

apr_status_t cohort__program_run(cohort_process_t *slot, const cohort_program_t *program,
                                 const cohort_os_handle_t child[3]) {
    if (!cohort__attempt_begin(slot, false)) return COHORT_ESTARTED;
    apr_status_t status = exec_program(slot, program, child);
    return status ? cohort__attempt_failed(slot, status) : APR_SUCCESS;
}
