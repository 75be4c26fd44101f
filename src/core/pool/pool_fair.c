/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs that share the workers of a pool: they have them by turns. A worker that is at a job while
 * others wait leaves it when its time there is over, in front of the next item, and goes to the job
 * that has waited longest. What is left of its chunk it gives back, as the repairer of a dead
 * worker does.
 *
 * A job for which a worker has to look for others has a bit for that, so a job that is alone goes
 * through the plain loop. The bit is set by the thread that submits another job, to jobs that
 * workers are at, and by a worker that comes to a job with others behind it. Portions of one imap
 * are no others to each other: the first is wanted first.
 */
#include "core/pool/pool_run.h"

#define SLICE      INT64_C(1000000) /* nanoseconds that a worker is at a job while others wait */
#define LOOKS_MOST 64               /* workers that one submission looks at */

static int32_t priority_of(const cohort_result_t *job) {
    return atomic_load_explicit(&((cohort_result_t *)job)->priority, memory_order_relaxed);
}

/* The first ready job of those that have chunks no worker has begun, besides this one; by now it
 * may be another. */
static cohort_result_t *other_job(cohort_pool_t *pool, cohort_result_t *job) {
    cohort_result_t *first = cohort__pool_first(pool);
    if (first != job) return first;
    uint64_t next = atomic_load(&job->ready.next);
    return next && next != cohort__link_address(&pool->ready) ? cohort__job_of_ready(next) : NULL;
}

/* As the list was a moment ago. A job of which this is not true any more was submitted since then,
 * and its submitter looks for those that are to give way. */
static bool only_kin_wait(const cohort_pool_t *pool, const cohort_result_t *job) {
    uint64_t kin = atomic_load(&((cohort_pool_t *)pool)->kin);
    return kin && kin == (uint64_t)(uintptr_t)job->imap;
}

static bool others_wait(cohort_pool_t *pool, cohort_result_t *job) {
    if (only_kin_wait(pool, job)) return false;
    const cohort_result_t *other = other_job(pool, job);
    return other && priority_of(other) >= priority_of(job);
}

/* Guard, before the job is listed: a thread that dies in between has said too little of kinship. */
static void note_kin(cohort_pool_t *pool, const cohort_result_t *job) {
    uint64_t mine = (uint64_t)(uintptr_t)job->imap, kin = atomic_load(&pool->kin);
    bool alone = atomic_load(&pool->ready.next) == cohort__link_address(&pool->ready);
    uint64_t now = alone || kin == mine ? mine : 0;
    if (now != kin) atomic_store(&pool->kin, now);
}

/* The list is in the order of priorities. */
void cohort__job_list(cohort_pool_t *pool, cohort_result_t *job, bool front) {
    note_kin(pool, job);
    cohort__link_t *list = &pool->ready, *before = cohort__link_at(atomic_load(&list->prev));
    int32_t mine = priority_of(job);
    for (; before != list; before = cohort__link_at(atomic_load(&before->prev))) {
        int32_t other = priority_of(cohort__job_of_ready(cohort__link_address(before)));
        if (front ? other > mine : other >= mine) break;
    }
    cohort__link_put(&pool->guard, before, &job->ready, true);
}

static void make_way_in(cohort_result_t *job) {
    if (job->n > 1 && !cohort__job_is_each(job) && !(atomic_load(&job->needs) & COHORT__NEEDS_ROOM))
        cohort__job_need(job, COHORT__NEEDS_ROOM);
}

/* Jobs may be under way that are on no list, since all of their chunks are taken; workers know
 * them. Not for each of many jobs that are submitted together, all of no imap, or of the same. */
static void look_at_workers(cohort_pool_t *pool, const cohort_result_t *job) {
    int64_t now = cohort_os_now();
    uint64_t kin = (uint64_t)(uintptr_t)job->imap;
    if (now - atomic_load(&pool->pressed) < SLICE && atomic_load(&pool->pressing) == kin) return;
    atomic_store(&pool->pressed, now);
    atomic_store(&pool->pressing, kin);
    for (uint32_t i = 0; i < pool->workers && i < LOOKS_MOST; i++) {
        cohort_result_t *other = atomic_load(&cohort__pool_worker(pool, i)->job);
        if (other && other != job) make_way_in(other);
    }
}

void cohort__job_waits(cohort_pool_t *pool, cohort_result_t *job) {
    if (atomic_load(&pool->all.next) == atomic_load(&pool->all.prev)) return;
    if (!only_kin_wait(pool, job)) {
        cohort_result_t *other = other_job(pool, job);
        if (other) make_way_in(other);
    }
    look_at_workers(pool, job);
}

void cohort__run_look_behind(cohort__worker_self_t *w) {
    w->began = 0;
    w->gives_way = false;
    if (atomic_load_explicit(&w->pool->ready.next, memory_order_relaxed) !=
            atomic_load_explicit(&w->pool->ready.prev, memory_order_relaxed) &&
        !only_kin_wait(w->pool, w->job))
        make_way_in(w->job);
}

/* A job that is submitted between the two looks is seen by the second one, or its submitter sets
 * the bit after this has taken it away. */
static void be_alone(cohort__worker_self_t *w) {
    w->began = 0;
    if (cohort__linked(&w->pool->each) &&
        atomic_load(&w->pool->each.next) != cohort__link_address(&w->pool->each))
        return; /* others may not have come to that yet */
    atomic_fetch_and(&w->job->needs, ~(uint32_t)COHORT__NEEDS_ROOM);
    if (others_wait(w->pool, w->job)) cohort__job_need(w->job, COHORT__NEEDS_ROOM);
}

/* A job of a higher priority waits for no more than the item that is under way. */
static bool is_pressing(cohort__worker_self_t *w) {
    const cohort_result_t *other = other_job(w->pool, w->job);
    return other && priority_of(other) > priority_of(w->job);
}

/* The time begins with the first look, so that it is not asked for in vain. */
static bool is_time_to_give_way(cohort__worker_self_t *w) {
    if (!others_wait(w->pool, w->job) && !cohort__each_waits(w)) {
        be_alone(w);
        return false;
    }
    if (is_pressing(w)) return true;
    int64_t now = cohort_os_now();
    if (!w->began) w->began = now;
    return now - w->began >= SLICE;
}

bool cohort__run_gives_way(cohort__worker_self_t *w, const cohort__turn_t *turn) {
    w->gives_way = is_time_to_give_way(w);
    if (w->gives_way) cohort__run_give_back(w, turn);
    return w->gives_way;
}

/* All is looked through again: a worker that passes over the job's chunks may have seen that one
 * taken. */
void cohort__run_make_room(cohort__worker_self_t *w) {
    cohort_pool_t *pool = w->pool;
    cohort_result_t *job = w->job;
    cohort__pool_enter(pool, w->me);
    if (!cohort__job_is_over(job) && !atomic_load(&job->unwanted) &&
        atomic_load(&pool->state) != COHORT__POOL_ENDED) {
        cohort__guard_set(&pool->guard, &job->round, atomic_load(&job->round) + 1);
        if (cohort__linked(&job->ready) && !cohort__job_is_each(job))
            cohort__link_take(&pool->guard, &job->ready);
        if (!cohort__job_is_each(job)) cohort__job_list(pool, job, false);
    }
    cohort__pool_leave(pool);
    atomic_thread_fence(memory_order_seq_cst);
    cohort__notify(&pool->work, 1);
}
