/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The back ends of pools, of which there is one: what is found of its jobs, what becomes of a chunk
 * with a dead worker, and how jobs are abandoned. Jobs are made, completed and freed in pool_job.c,
 * and worked on in pool_worker.c and pool_run.c.
 */
#include "core/pool/pool_bytes.h"
#include "core/pool/pool_imap.h"

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
    return job->by_chunk ? job->chunks : job->chains + 1;
}

static cohort__failure_t *chain_at(const cohort_result_t *job, uint64_t number) {
    bool shared = cohort__chain_is_shared(job, number);
    return atomic_load(shared ? &((cohort_result_t *)job)->failure : &job->failures[number]);
}

static cohort__failure_t *local_next_failure(const cohort_result_t *job, cohort__failure_t *at,
                                             uint64_t *chain) {
    if (at) at = atomic_load(&at->next);
    while (!at && *chain < chains_of(job)) at = chain_at(job, (*chain)++);
    return at;
}

/* ---- a worker is dead ----------------------------------------------------------------------- */

/* Of which the system says to no process whether one of them was the reason. */
static const char *name_limits(const cohort_pool_t *pool, char *text, size_t size) {
    unsigned long long memory = pool->hard_memory, time = pool->hard_time;
    *text = 0;
    if (memory && time)
        snprintf(text, size, "; it was limited to %llu bytes of memory and %llu s of CPU time",
                 memory, time);
    else if (memory) snprintf(text, size, "; it was limited to %llu bytes of memory", memory);
    else if (time) snprintf(text, size, "; it was limited to %llu s of CPU time", time);
    return text;
}

static void record_death(cohort_pool_t *pool, cohort__thread_t *me, cohort__owner_ptr_t *chain,
                         cohort__failure_t *what) {
    char message[512], limits[120];
    cohort__owner_ptr_t *owner_ptr = &pool->object.parts[2];
    cohort__failure_t *last = cohort__failure_last(chain);
    bool own = what->status == COHORT_EWORKERDIED;
    int length = snprintf(
        message, sizeof message, "worker %s (pid %lld) %s with exit code %d in the task%s%.*s%s",
        what->worker, (long long)what->pid, own ? "ended" : "was ended", (int)what->exit_code,
        what->crash ? ", crashed by " : "", cohort__crash_first_line(what->crash),
        what->crash ? what->crash : "", own ? name_limits(pool, limits, sizeof limits) : "");
    cohort__block_free(me, owner_ptr);
    if (cohort__failure_make(me, owner_ptr, what, message, (size_t)length)) return;
    cohort__block_move(me, owner_ptr, last ? &last->next : chain);
}

/* Its worker has recorded it before it died: as the last of its chain, or somewhere in a shared
 * one. */
static const cohort__failure_t *failure_in(cohort__owner_ptr_t *chain, uint64_t index) {
    const cohort__failure_t *at = atomic_load(chain);
    while (at && at->index != index) at = atomic_load(&((cohort__failure_t *)at)->next);
    return at;
}

/* The item that was running, or the range: failed already, to be tried again, or charged with the
 * death; one of a job that was abandoned is charged with nothing more. True: it is over. */
static bool charge_item(cohort_pool_t *pool, cohort__thread_t *me, cohort_result_t *job,
                        cohort__owner_ptr_t *chain, cohort__failure_t *what,
                        cohort__charge_t charge) {
    const cohort__failure_t *failed = failure_in(chain, what->index);
    if (failed) {
        what->status = failed->status;
        cohort__job_failed(job, what->index, failed->status);
        return true;
    }
    if (charge == COHORT__CHARGE_NONE || cohort__job_is_over(job) ||
        (charge == COHORT__CHARGE_DEATH && what->attempt < job->attempts))
        return false;
    if (charge == COHORT__CHARGE_WHY) cohort__job_has_cancelled(job);
    record_death(pool, me, chain, what);
    cohort__job_failed(job, what->index, what->status);
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
    bool waits = false;
    if (cohort__progress_runs(progress)) {
        what->index = item;
        what->count = atomic_load(&job->needs) & COHORT__NEEDS_RANGE ? end - item : 1;
        what->attempt = (uint32_t)attempt + 1;
        cohort__why_t why;
        cohort__charge_t charge = cohort__worker_charge(worker, job, item, &why);
        if (charge == COHORT__CHARGE_WHY) what->status = cohort__why_status(why);
        bool over = charge_item(pool, me, job, cohort__job_chain(job, c, number), what, charge);
        bool again = !over && charge != COHORT__CHARGE_NONE && !cohort__job_is_over(job);
        cohort__tally_settle(pool, number, what, over, again);
        cohort__output_drop(me, job, item, over ? what->status : APR_SUCCESS);
        if (over) item += what->count;
        attempt = over ? 0 : attempt + (charge != COHORT__CHARGE_NONE);
        waits = job->delay && !over && charge != COHORT__CHARGE_NONE;
    }
    if (waits) {
        cohort__chunk_wait(job, c, number, attempt, item - first);
        return;
    }
    unsigned state = item < end ? COHORT__CHUNK_RETRY : COHORT__CHUNK_DONE;
    atomic_store(&job->words[c], cohort__chunk_word(state, attempt, number, item - first));
    cohort__job_cancel_chunk(job, c);
}

/* It may have taken a batch from the cursor that no other will look at, so the job is looked
 * through again in any case. */
static void put_back_job(cohort_pool_t *pool, cohort_result_t *job) {
    if (atomic_load(&job->state) || atomic_load(&job->unwanted) ||
        atomic_load(&pool->state) == COHORT__POOL_ENDED)
        return;
    cohort__guard_set(&pool->guard, &job->round, atomic_load(&job->round) + 1);
    if (!cohort__linked(&job->ready)) cohort__job_list(pool, job, true);
    cohort__guard_commit(&pool->guard);
}

static void local_lost_worker(cohort_pool_t *pool, cohort__thread_t *me, uint32_t number,
                              cohort__pid_t dead, int code) {
    cohort__worker_t *worker = cohort__pool_worker(pool, number);
    cohort_result_t *job = atomic_load(&worker->job);
    cohort_process_t *slot = cohort__process_find(dead);
    cohort__failure_t what = {.process = dead, .status = COHORT_EWORKERDIED, .exit_code = code};
    cohort__crash_text_t text;
    if (job && cohort__job_is_of(job, pool)) {
        what.crash = cohort__crash_read(worker, code, text);
        what.pid = slot ? slot->os.pid : 0;
        cohort__worker_name(pool, number, what.worker);
        charge_chunk(pool, me, job, number, &what);
        cohort__delays_count(job);
        cohort__each_lost(pool, job, number);
        cohort__job_settle(job);
        put_back_job(pool, job);
        if (job->imap) cohort__imap_news(job->imap);
        atomic_store(&worker->job, NULL);
        if (atomic_load(&job->unwanted)) cohort__job_release_when_unused(pool, me, job);
    }
    atomic_store(&worker->job, NULL);
    atomic_store(&worker->verdict, 0);
    atomic_store(&worker->leaves, 0);
    atomic_store(&worker->begun, 0);
}

/* With no worker there, what is not over is on the list: the thread that settles a worker has
 * put it back. */
static bool local_has_work(cohort_pool_t *pool) {
    uint64_t end = (uint64_t)(uintptr_t)&pool->ready;
    if (cohort__each_unfinished(pool) || cohort__delays_unfinished(pool)) return true;
    for (uint64_t at = atomic_load(&pool->ready.next); at != end;
         at = atomic_load(&cohort__job_of_ready(at)->ready.next)) {
        if (!cohort__job_is_over(cohort__job_of_ready(at))) return true;
    }
    return false;
}

/* ---- the end -------------------------------------------------------------------------------- */

static void local_abandon(cohort_result_t *job, apr_status_t status) {
    cohort__job_need(job, COHORT__NEEDS_LOOK);
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
    if (pool->bounded) cohort__notify(&cohort__arena->completed, COHORT__ALL);
    return true;
}

static bool local_has_jobs(const cohort_pool_t *pool) {
    return atomic_load(&pool->all.next) != cohort__link_address((cohort__link_t *)&pool->all);
}

static void local_queued(cohort_pool_t *pool, uint64_t *jobs, uint64_t *items) {
    uint64_t end = cohort__link_address(&pool->all), from;
    *jobs = *items = 0;
    for (uint64_t at = atomic_load(&pool->all.next); at != end;
         at = atomic_load(&cohort__link_at(at)->next)) {
        cohort_result_t *job = cohort__job_of_all(at);
        if (cohort__job_is_over(job) || atomic_load(&job->unwanted)) continue;
        uint64_t over = cohort__job_items_over(job, (from = 0, &from));
        ++*jobs;
        if (over < job->n) *items += job->n - over;
    }
}

static void local_setup(cohort_pool_t *pool) {
    cohort__list_setup(&pool->all);
    cohort__list_setup(&pool->ready);
    cohort__list_setup(&pool->each);
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
                               .item = cohort__job_item,
                               .next_cancelled = cohort__job_next_cancelled,
                               .over = cohort__job_items_over,
                               .cancel = cohort__job_cancel,
                               .cancel_item = cohort__job_cancel_item,
                               .deadlines = cohort__job_deadlines,
                               .give = cohort__job_give,
                               .take = cohort__job_take,
                               .lost_worker = local_lost_worker,
                               .lost_makers = cohort__jobs_sweep,
                               .recover = cohort__job_free,
                               .fewer = cohort__jobs_limit,
                               .has_work = local_has_work,
                               .abandon = local_abandon,
                               .abandon_all = local_abandon_all,
                               .activity = cohort__worker_activity,
                               .queued = local_queued,
                               .has_jobs = local_has_jobs,
                               .drop = local_drop,
                               .left = cohort__job_left,
                               .task = cohort__worker_task,
                               .told = cohort__worker_told,
                               .output = cohort__job_output},
};
