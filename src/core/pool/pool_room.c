/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Pools of the local back end that take a bounded number of jobs, or of bytes. What a job holds is
 * counted when it is submitted. Nothing is counted when it is over, so that a thread that dies then
 * leaves no count wrong: the two numbers of the pool are never too low, and where they say that
 * there is no room, the jobs are counted anew.
 *
 * A submitter that waits holds nothing. It sleeps where all are told of the end of a job or a pool,
 * and looks at the pool's workers as each thread does that waits for a pool's work.
 */
#include "core/pool/backend_local.h"

typedef struct {
    const cohort__call_t *use;
    uint64_t bytes;
} room_t;

/* Guard. Portions of imaps are bounded by their windows. */
static void count_anew(cohort_pool_t *pool) {
    uint64_t end = cohort__link_address(&pool->all), jobs = 0, bytes = 0;
    for (uint64_t at = atomic_load(&pool->all.next); at != end;
         at = atomic_load(&cohort__link_at(at)->next)) {
        cohort_result_t *job = cohort__job_of_all(at);
        if (job->imap || cohort__job_is_over(job) || atomic_load(&job->unwanted)) continue;
        jobs++;
        bytes += job->held;
    }
    atomic_store(&pool->queued, jobs);
    atomic_store(&pool->queued_bytes, bytes);
}

/* Guard. What is larger than all that may be has room when there is nothing else. */
static bool fits(cohort_pool_t *pool, uint64_t bytes) {
    uint64_t jobs = atomic_load(&pool->queued), held = atomic_load(&pool->queued_bytes);
    if (pool->most_jobs && jobs >= pool->most_jobs) return false;
    return !pool->most_bytes || !jobs ||
           (held < pool->most_bytes && bytes <= pool->most_bytes - held);
}

static bool pool_has_room(cohort_pool_t *pool, uint64_t bytes) {
    if (fits(pool, bytes)) return true;
    count_anew(pool);
    return fits(pool, bytes);
}

bool cohort__room_take(cohort_pool_t *pool, const cohort_result_t *job) {
    if (!pool->bounded || job->imap || cohort__job_is_each(job)) return true;
    if (!pool_has_room(pool, job->held)) return false;
    atomic_fetch_add(&pool->queued, 1);
    atomic_fetch_add(&pool->queued_bytes, job->held);
    return true;
}

static apr_status_t try_room(void *arg, bool thorough) {
    const room_t *room = arg;
    cohort_pool_t *pool = (cohort_pool_t *)room->use->object;
    if (thorough) cohort__pool_look(pool, room->use->me, true);
    apr_status_t status = cohort__pool_enter_live(pool, room->use->me, room->use->life);
    if (status) return status;
    if (atomic_load(&pool->state) != COHORT__POOL_OPEN) status = COHORT_ENOTRUNNING;
    else if (!pool_has_room(pool, room->bytes)) status = APR_EAGAIN;
    cohort__pool_leave(pool);
    return status;
}

int64_t cohort__room_deadline(const cohort_job_t *order) {
    apr_interval_time_t timeout = order->submit_timeout;
    return timeout ? cohort__deadline(timeout) : COHORT_OS_NEVER;
}

apr_status_t cohort__room_await(const cohort__call_t *use, uint64_t bytes, int64_t deadline) {
    room_t room = {use, bytes};
    return cohort__await(&cohort__arena->completed, try_room, &room, deadline);
}
