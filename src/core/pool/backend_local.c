/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The back ends of pools, of which there is one: what is found of its jobs, what becomes of a chunk
 * with a dead worker, and how jobs are abandoned. Jobs are made, completed and freed in pool_job.c,
 * and worked on in pool_worker.c.
 */
#include "core/pool/backend_local.h"

#include <stdio.h>

/* ---- collecting ----------------------------------------------------------------------------- */

static bool local_is_over(const cohort_result_t *job) { return cohort__job_is_over(job); }

static cohort__eventcount_t *local_event(cohort_result_t *job) { return &job->changed; }

static bool local_is_short_of_workers(const cohort_result_t *job) {
    const cohort_pool_t *pool = atomic_load(&job->pool);
    uint64_t hands = pool ? pool->hands : 0, wanted = job->chunks < hands ? job->chunks : hands;
    return wanted > 1 && atomic_load_explicit(&job->visits, memory_order_relaxed) < wanted;
}

static void local_find(const cohort_result_t *job, cohort__found_t *found) {
    cohort__job_find(job, found);
}

static uint64_t chains_of(const cohort_result_t *job) {
    if (!job->chunks) return 0;
    return job->by_chunk ? job->chunks : atomic_load(&job->pool)->workers;
}

static cohort__failure_t *local_next_failure(const cohort_result_t *job, cohort__failure_t *at,
                                             uint64_t *chain) {
    if (at) at = atomic_load(&at->next);
    while (!at && *chain < chains_of(job)) at = atomic_load(&job->failures[(*chain)++]);
    return at;
}

/* ---- a worker is dead ----------------------------------------------------------------------- */

static void record_death(cohort_pool_t *pool, cohort__thread_t *me, cohort__owner_ptr_t *chain,
                         cohort__failure_t *what) {
    char message[160];
    cohort__owner_ptr_t *owner_ptr = &pool->object.parts[2];
    cohort__failure_t *last = cohort__failure_last(chain);
    int length = snprintf(message, sizeof message,
                          "worker %s (pid %lld) ended with exit code %d in the task", what->worker,
                          (long long)what->pid, (int)what->exit_code);
    cohort__block_free(me, owner_ptr);
    if (cohort__failure_make(me, owner_ptr, what, message, (size_t)length)) return;
    cohort__block_move(me, owner_ptr, last ? &last->next : chain);
}

/* The item that was running: failed already, to be tried again, or charged with the death. True: it
 * is over. */
static bool charge_item(cohort_pool_t *pool, cohort__thread_t *me, cohort_result_t *job,
                        cohort__owner_ptr_t *chain, cohort__failure_t *what) {
    cohort__failure_t *last = cohort__failure_last(chain);
    if (last && last->index == what->index) {
        cohort__job_failed(job, what->index, last->status);
        return true;
    }
    if (what->attempt < job->attempts) return false;
    record_death(pool, me, chain, what);
    cohort__job_failed(job, what->index, COHORT_EWORKERDIED);
    return true;
}

/* Only the dead worker could change the word of its chunk, and now only the guard's owner; its one
 * store is the last step. */
static void charge_chunk(cohort_pool_t *pool, cohort__thread_t *me, cohort_result_t *job,
                         uint32_t number, cohort__failure_t *what) {
    cohort__worker_t *worker = cohort__pool_worker(pool, number);
    uint64_t c = atomic_load(&worker->chunk), progress = atomic_load(&worker->progress);
    if (c >= job->chunks) return;
    uint64_t word = atomic_load(&job->words[c]), first = c * job->chunk;
    uint64_t item = cohort__progress_item(progress);
    uint64_t end = job->n - first < job->chunk ? job->n : first + job->chunk;
    if (cohort__word_state(word) != COHORT__CHUNK_RUNNING || cohort__word_worker(word) != number)
        return;
    uint64_t attempt = cohort__word_attempt_of(word, item - first);
    if (cohort__progress_runs(progress)) {
        what->index = item;
        what->attempt = (uint32_t)attempt + 1;
        bool over = charge_item(pool, me, job, cohort__job_chain(job, c, number), what);
        item += over;
        attempt = over ? 0 : attempt + 1;
    }
    unsigned state = item < end ? COHORT__CHUNK_RETRY : COHORT__CHUNK_DONE;
    atomic_store(&job->words[c], cohort__word(state, attempt, number, item - first));
}

/* It may have taken a batch from the cursor that no other will look at, so the job is looked
 * through again in any case. */
static void put_back(cohort_pool_t *pool, cohort_result_t *job) {
    if (atomic_load(&job->state) || atomic_load(&job->unwanted) ||
        atomic_load(&pool->state) == COHORT__POOL_ENDED)
        return;
    cohort__guard_set(&pool->guard, &job->round, atomic_load(&job->round) + 1);
    if (!cohort__linked(&job->ready))
        cohort__link_put(&pool->guard, &pool->ready, &job->ready, true);
    cohort__guard_commit(&pool->guard);
}

static void local_lost_worker(cohort_pool_t *pool, cohort__thread_t *me, uint32_t number,
                              cohort__pid_t dead, int code) {
    cohort__worker_t *worker = cohort__pool_worker(pool, number);
    cohort_result_t *job = atomic_load(&worker->job);
    cohort_process_t *slot = cohort__process_find(dead);
    cohort__failure_t what = {.process = dead, .status = COHORT_EWORKERDIED, .exit_code = code};
    if (job && cohort__job_is_of(job, pool)) {
        what.pid = slot ? slot->os.pid : 0;
        cohort__worker_name(pool, number, what.worker);
        charge_chunk(pool, me, job, number, &what);
        cohort__job_settle(job);
        put_back(pool, job);
        atomic_store(&worker->job, NULL);
        if (atomic_load(&job->unwanted)) cohort__job_release_when_unused(pool, me, job);
    }
    atomic_store(&worker->job, NULL);
}

/* With no worker there, what is not over is on the list: the thread that settles a worker has
 * put it back. */
static bool local_has_work(cohort_pool_t *pool) {
    uint64_t end = (uint64_t)(uintptr_t)&pool->ready;
    for (uint64_t at = atomic_load(&pool->ready.next); at != end;
         at = atomic_load(&cohort__job_of_ready(at)->ready.next)) {
        if (!cohort__job_is_over(cohort__job_of_ready(at))) return true;
    }
    return false;
}

/* ---- the end -------------------------------------------------------------------------------- */

static void local_abandon(cohort_result_t *job, apr_status_t status) {
    cohort__job_finish(job, COHORT__JOB_ABANDONED, status);
}

static void give_reason(cohort_pool_t *pool, cohort__thread_t *me, cohort_result_t *job,
                        const cohort__failure_t *why) {
    cohort__owner_ptr_t *making = &pool->object.parts[2];
    cohort__block_free(me, making);
    if (!atomic_load(&job->reason) &&
        !cohort__failure_make(me, making, why, why->message, why->length)) {
        cohort__block_move(me, making, &job->reason);
    }
}

static void local_abandon_all(cohort_pool_t *pool, cohort__thread_t *me, apr_status_t status,
                              const cohort__failure_t *why) {
    uint64_t end = cohort__link_address(&pool->all);
    for (uint64_t at = atomic_load(&pool->all.next); at != end;
         at = atomic_load(&cohort__link_at(at)->next)) {
        cohort_result_t *job = cohort__job_of_all(at);
        if (cohort__job_is_over(job)) continue;
        if (why) give_reason(pool, me, job, why);
        local_abandon(job, status);
    }
}

static bool local_drop(cohort_pool_t *pool, const cohort__call_t *use) {
    cohort_result_t *job = (cohort_result_t *)use->object;
    if (!cohort__job_is_of(job, pool) || cohort__call_over(use) ||
        !cohort__object_end(job, COHORT__RESULT_TAG))
        return false;
    cohort__job_release_when_unused(pool, use->me, job);
    return true;
}

static bool local_has_jobs(const cohort_pool_t *pool) {
    return atomic_load(&pool->all.next) != cohort__link_address((cohort__link_t *)&pool->all);
}

static void local_setup(cohort_pool_t *pool) {
    cohort__list_setup(&pool->all);
    cohort__list_setup(&pool->ready);
}

/* --------------------------------------------------------------------------------------------- */

const cohort__backend_t cohort__backends[COHORT__BACKENDS] = {
    [COHORT__BACKEND_LOCAL] = {.name = "local",
                               .setup = local_setup,
                               .submit = cohort__job_submit,
                               .is_over = local_is_over,
                               .event = local_event,
                               .is_short_of_workers = local_is_short_of_workers,
                               .find = local_find,
                               .next_failure = local_next_failure,
                               .lost_worker = local_lost_worker,
                               .lost_makers = cohort__jobs_sweep,
                               .recover = cohort__job_free,
                               .has_work = local_has_work,
                               .abandon = local_abandon,
                               .abandon_all = local_abandon_all,
                               .has_jobs = local_has_jobs,
                               .drop = local_drop,
                               .left = cohort__job_left,
                               .task = cohort__worker_task},
};
