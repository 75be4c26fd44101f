/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Runners and runs of processes that have died: others may still wait for them, and any process may
 * destroy them. No process adds to them any more, so the runs of a runner are found by a walk over
 * the objects. Each is ended by one process, with its guard held, so that what is looked at before
 * is of the life that is ended; a process that dies at it leaves the others for another destroyer.
 */
#include "core/process/runner.h"

#include "core/memory/park.h"

void cohort__waited_end(cohort__thread_t *me, cohort__waited_t *waited, uint32_t tag) {
    if (!cohort__object_claim(me, waited, tag)) return;
    cohort__notify(&waited->sync.changed, COHORT__ALL);
    cohort__object_free(me, waited);
}

static void end_lost(cohort__call_t *call, uint32_t tag) {
    cohort__waited_t *waited = (void *)call->object;
    if (!cohort__sync_guard(call)) return;
    bool mine = cohort__object_claim(call->me, waited, tag);
    cohort__guard_leave(&waited->sync.guard);
    if (!mine) return;
    cohort__notify(&waited->sync.changed, COHORT__ALL);
    cohort__object_free(call->me, waited);
}

static void end_runs(cohort__thread_t *me, const cohort_runner_t *runner, cohort__pid_t owner) {
    void *next;
    for (void *at = cohort__object_next(COHORT__KIND_SYNC, NULL); at; at = next) {
        cohort__call_t call = {.me = me};
        const cohort_run_t *run = at;
        next = cohort__object_next(COHORT__KIND_SYNC, at);
        if (cohort__call_aim(&call, at, COHORT__KIND_SYNC, COHORT__TAG_RUN)) continue;
        if (run->runner == runner && run->waited.owner == owner) end_lost(&call, COHORT__TAG_RUN);
    }
}

apr_status_t cohort__lost_destroy(cohort__thread_t *me, void *handle, uint32_t tag) {
    cohort__call_t call = {.me = me};
    apr_status_t status = cohort__call_aim(&call, handle, COHORT__KIND_SYNC, tag);
    if (status) return status;
    cohort__pid_t owner = ((const cohort__waited_t *)handle)->owner;
    if (!cohort__process_is_gone(owner)) return COHORT_ENOTOWNER;
    if (tag == COHORT__TAG_RUNNER) end_runs(me, handle, owner);
    end_lost(&call, tag);
    return APR_SUCCESS;
}
