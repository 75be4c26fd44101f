/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Items that are run again because of what their tasks returned. The worker that has the chunk does
 * that at once, by one store: the chunk's word counts one run more of the item, and stays this
 * worker's. The record says all the time that the item is under way. So the repairer of a worker
 * that dies before the store charges that run with the death; after it, the next one, which may not
 * have begun: an item is never run more often than its job has attempts, and may be run once less.
 * Where items wait before they are run again, the store gives the chunk away (pool_delay.c).
 */
#include "core/pool/pool_imap.h"
#include "core/pool/pool_run.h"

void cohort__again_set(cohort_result_t *job, const cohort_job_t *order) {
    for (int i = 0; i < 4 && order->retry_on[i]; i++) job->retry_on[i] = order->retry_on[i];
    job->retry_any = order->retry_any != 0;
    if (job->attempts > 1 && (job->retry_any || job->retry_on[0]))
        cohort__job_need(job, COHORT__NEEDS_AGAIN);
}

static bool is_retried(const cohort_result_t *job, apr_status_t status) {
    if (job->retry_any) return true;
    for (int i = 0; i < 4 && job->retry_on[i]; i++) {
        if (job->retry_on[i] == status) return true;
    }
    return false;
}

bool cohort__is_turn_again(const cohort__worker_self_t *w, const cohort__turn_t *turn,
                           apr_status_t status) {
    const cohort_result_t *job = w->job;
    return turn->attempt + 1 < job->attempts && is_retried(job, status) &&
           !cohort__running.skipped && !cohort__worker_told(job);
}

/* The record is of no meaning when the word says WAITING. */
static void let_wait(const cohort__worker_self_t *w, const cohort__turn_t *turn, uint64_t start) {
    cohort_result_t *job = w->job;
    cohort__chunk_wait(job, turn->chunk, w->number, turn->attempt, start);
    atomic_store(&w->record->progress, cohort__progress(turn->first, false));
    if (!(atomic_load(&job->needs) & COHORT__NEEDS_CANCEL)) return;
    cohort__job_settle(job);
    if (turn->needs & COHORT__NEEDS_NEWS) cohort__imap_news(job->imap);
}

void cohort__turn_again(const cohort__worker_self_t *w, cohort__turn_t *turn) {
    cohort_result_t *job = w->job;
    uint64_t start = turn->first - turn->chunk * job->chunk;
    turn->attempt++;
    if (turn->needs & COHORT__NEEDS_DELAY) let_wait(w, turn, start);
    else
        atomic_store(&job->words[turn->chunk],
                     cohort__chunk_word(COHORT__CHUNK_RUNNING, turn->attempt, w->number, start));
}
