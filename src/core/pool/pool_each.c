/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs of the local back end that run once on every worker. Such a job has a chunk for each place
 * of the pool, and only the worker at that place takes it; it is on a list of its own, where a
 * worker looks before it looks for other work, and once more when another such job has come (the
 * pool's `each_serial`). A worker that dies over its chunk leaves it to the one that takes its
 * place. It stays on the list until it is destroyed.
 *
 * When there are to be fewer workers, the chunks of places that stay vacant are cancelled, by the
 * thread that says so, or by the one that settles the death of a worker that had one of them.
 */
#include "core/pool/pool_run.h"

static cohort_result_t *job_after(const cohort_pool_t *pool, uint64_t link) {
    uint64_t next = atomic_load(&cohort__link_at(link)->next);
    return next == cohort__link_address((cohort__link_t *)&pool->each) ? NULL
                                                                       : cohort__job_of_ready(next);
}

static cohort_result_t *first_of(cohort_pool_t *pool) {
    return job_after(pool, cohort__link_address(&pool->each));
}

static cohort_result_t *next_each_of(cohort_pool_t *pool, cohort_result_t *job) {
    return job_after(pool, cohort__link_address(&job->ready));
}

/* Guard. */
static bool is_each_due(cohort_result_t *job, uint32_t number) {
    return !cohort__job_is_over(job) && !atomic_load(&job->unwanted) && number < job->chunks &&
           cohort__word_claimable(atomic_load(&job->words[number]));
}

/* A job that the record names under the guard is not freed. */
bool cohort__each_find(cohort__worker_self_t *w) {
    cohort_pool_t *pool = w->pool;
    cohort__pool_enter(pool, w->me);
    w->each_seen = atomic_load(&pool->each_serial);
    cohort_result_t *job = first_of(pool);
    while (job && !is_each_due(job, w->number)) job = next_each_of(pool, job);
    if (job) {
        w->each_seen--; /* there may be more of them */
        w->job = job;
        atomic_fetch_add_explicit(&w->record->visit, 1, memory_order_relaxed);
        atomic_store(&w->record->job, job);
    }
    cohort__pool_leave(pool);
    return job != NULL;
}

/* Guard: jobs that are under way make room. */
static void make_room_for_it(cohort_pool_t *pool) {
    uint64_t end = cohort__link_address(&pool->all);
    for (uint64_t at = atomic_load(&pool->all.next); at != end;
         at = atomic_load(&cohort__link_at(at)->next)) {
        cohort_result_t *job = cohort__job_of_all(at);
        if (!cohort__job_is_each(job) && !cohort__job_is_over(job))
            cohort__job_need(job, COHORT__NEEDS_ROOM);
    }
}

void cohort__each_begins(cohort_pool_t *pool) {
    cohort__guard_set(&pool->guard, &pool->demand, atomic_load(&pool->target));
    atomic_fetch_add(&pool->each_serial, 1);
    make_room_for_it(pool);
}

void cohort__each_lost(cohort_pool_t *pool, cohort_result_t *job, uint64_t number) {
    if (!cohort__job_is_each(job) || number < atomic_load(&pool->target) || number >= job->chunks)
        return;
    cohort__chunk_cancel(job, number, COHORT__WHY_CANCELLED);
    cohort__job_settle(job);
}

void cohort__each_fewer(cohort_pool_t *pool) {
    for (cohort_result_t *job = first_of(pool); job; job = next_each_of(pool, job)) {
        for (uint64_t c = atomic_load(&pool->target); c < job->chunks; c++)
            cohort__each_lost(pool, job, c);
    }
}

bool cohort__each_unfinished(const cohort_pool_t *pool) {
    for (cohort_result_t *job = first_of((cohort_pool_t *)pool); job;
         job = next_each_of((cohort_pool_t *)pool, job)) {
        if (!cohort__job_is_over(job)) return true;
    }
    return false;
}
