/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Items that wait before they are run again: jobs with a `retry_delay`.
 *
 * A chunk of which the next item waits goes from RUNNING to WAITING, by its worker or by the one
 * that settles that worker's death. Until when is noted beside the words before, so this one store
 * makes it true. A worker that begins a pass over the job's chunks makes those RETRY that have
 * waited long enough; if it dies then, its repairer has the job looked through again.
 *
 * But the job may have left the list of ready jobs, and workers sleep. So it is *roused*: listed,
 * and looked through again. The threads that keep the times of jobs (pool_deadline.c) do that, any
 * number of times: what is due by now and was not when the job was last roused has it roused. A
 * pass that begins later finds that due, and one that began before does not take the job off the
 * list, since its round has changed. Nothing wakes the keeper when an item begins to wait: it looks
 * once in the shortest time that one can wait.
 *
 * `delays` of a job counts the chunks that have begun to wait, each after its word said so (the
 * settler of a dead worker counts in its stead), and `settled` is the count with which none was
 * left waiting: so a job without waiting items is not looked through.
 */
#include "core/pool/pool_run.h"

#define NEVER COHORT_OS_NEVER

/* ---- a job's delays ------------------------------------------------------------------------- */

apr_status_t cohort__delay_check(const cohort_job_t *order) {
    apr_interval_time_t first = order->retry_delay, most = order->retry_delay_max;
    if (first < 0 || first == COHORT_FOREVER)
        return cohort__fail(APR_EINVAL, "retry_delay is %" APR_INT64_T_FMT, (apr_int64_t)first);
    if (most < 0 || (most && most < first) || (most && !first))
        return cohort__fail(APR_EINVAL,
                            "retry_delay_max is %" APR_INT64_T_FMT
                            ", and retry_delay %" APR_INT64_T_FMT,
                            (apr_int64_t)most, (apr_int64_t)first);
    return APR_SUCCESS;
}

static int64_t nanoseconds(apr_interval_time_t time) {
    return time > NEVER / 4000 ? NEVER / 4 : time * 1000;
}

void cohort__delay_set(cohort_result_t *job, const cohort_job_t *order) {
    if (!order->retry_delay || job->attempts <= 1) return;
    cohort__job_need(job, COHORT__NEEDS_DELAY);
    job->delay = nanoseconds(order->retry_delay);
    job->delay_most = nanoseconds(order->retry_delay_max ? order->retry_delay_max : COHORT_FOREVER);
}

/* After so many runs of the item. */
static int64_t delay_after(const cohort_result_t *job, uint64_t runs) {
    int64_t delay = job->delay;
    for (; runs > 1 && delay < job->delay_most; runs--) delay *= 2;
    return delay < job->delay_most ? delay : job->delay_most;
}

/* ---- a chunk waits -------------------------------------------------------------------------- */

void cohort__chunk_wait(cohort_result_t *job, uint64_t c, uint64_t worker, uint64_t runs,
                        uint64_t start) {
    atomic_store(&job->due[c], cohort_os_now() + delay_after(job, runs));
    atomic_store(&job->words[c], cohort__chunk_word(COHORT__CHUNK_WAITING, runs, worker, start));
    cohort__job_cancel_chunk(job, c);
    cohort__item_cancel_again(job, c, start);
    cohort__delays_count(job);
}

void cohort__delays_count(cohort_result_t *job) {
    if (job->delay) atomic_fetch_add(&job->delays, 1);
}

/* ---- what is due ---------------------------------------------------------------------------- */

void cohort__chunks_open(cohort_result_t *job) {
    int64_t now = cohort_os_now();
    for (uint64_t c = atomic_load(&job->scanned); c < job->chunks; c++) {
        uint64_t word = atomic_load(&job->words[c]);
        if (cohort__word_state(word) != COHORT__CHUNK_WAITING || atomic_load(&job->due[c]) > now)
            continue;
        uint64_t next = cohort__chunk_word(COHORT__CHUNK_RETRY, cohort__word_attempt(word),
                                           cohort__word_worker(word), cohort__word_start(word));
        (void)atomic_compare_exchange_strong(&job->words[c], &word, next);
    }
}

/* Guard. It is looked through by workers from here on. */
static void rouse(cohort_pool_t *pool, cohort_result_t *job, uint64_t chunks, int64_t now) {
    cohort__guard_set(&pool->guard, &job->round, atomic_load(&job->round) + 1);
    if (!cohort__linked(&job->ready)) cohort__job_list(pool, job, false);
    cohort__guard_commit(&pool->guard);
    if (pool->on_demand) cohort__jobs_call(pool, job, chunks);
    cohort__job_waits(pool, job);
    atomic_store(&job->roused, now);
}

int64_t cohort__delays_look(cohort_pool_t *pool, cohort_result_t *job, int64_t now,
                            uint64_t *roused) {
    uint64_t delays = atomic_load(&job->delays), due = 0;
    int64_t next = NEVER, before = atomic_load(&job->roused);
    bool any = false;
    if (delays == atomic_load(&job->settled)) return NEVER;
    for (uint64_t c = atomic_load(&job->scanned); c < job->chunks; c++) {
        if (cohort__word_state(atomic_load(&job->words[c])) != COHORT__CHUNK_WAITING) continue;
        int64_t when = atomic_load(&job->due[c]);
        any = true;
        /* before a job is taken off the list its worker has looked through it: but the word may
         * have said so later than it was due */
        if (when <= now) due += when > before || !cohort__linked(&job->ready);
        else if (when < next) next = when;
    }
    if (!any) atomic_store(&job->settled, delays);
    if (due && atomic_load(&pool->state) != COHORT__POOL_ENDED) rouse(pool, job, due, now);
    *roused += due;
    return next;
}

/* ---- pools that are closed ------------------------------------------------------------------ */

/* Another item of such a job may be about to wait, so it is enough that the job is not over. */
bool cohort__delays_unfinished(const cohort_pool_t *pool) {
    uint64_t end = cohort__link_address(&((cohort_pool_t *)pool)->all);
    if (!atomic_load(&((cohort_pool_t *)pool)->timed)) return false;
    for (uint64_t at = atomic_load(&((cohort_pool_t *)pool)->all.next); at != end;
         at = atomic_load(&cohort__link_at(at)->next)) {
        cohort_result_t *job = cohort__job_of_all(at);
        if (job->delay && !cohort__job_is_over(job) && !atomic_load(&job->unwanted)) return true;
    }
    return false;
}

void cohort__delays_over(cohort_result_t *job) {
    cohort_pool_t *pool = atomic_load(&job->pool);
    if (pool && atomic_load(&pool->state) == COHORT__POOL_CLOSED)
        cohort__notify(&pool->work, COHORT__ALL);
}
