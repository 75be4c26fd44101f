/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The local back end of pools: jobs, the words of their chunks, the lists. pool.h says how they
 * work. For the files that implement it (backend_local.c, pool_job.c, pool_worker.c) and no other:
 * the API and the staff of a pool reach all this through the table of backend.h.
 */
#ifndef COHORT_CORE_BACKEND_LOCAL_H
#define COHORT_CORE_BACKEND_LOCAL_H

#include "core/pool/backend.h"

/* ---- words of chunks: state:3 | attempts so far:13 | worker:16 | offset of the first item that is
 * not done:32 */

enum { COHORT__CHUNK_FREE, COHORT__CHUNK_RUNNING, COHORT__CHUNK_DONE, COHORT__CHUNK_RETRY };

static inline uint64_t cohort__word(unsigned state, uint64_t attempt, uint64_t worker,
                                    uint64_t start) {
    return (uint64_t)state << 61 | (attempt & 0x1fff) << 48 | worker << 32 | start;
}
static inline unsigned cohort__word_state(uint64_t word) { return (unsigned)(word >> 61); }
static inline uint64_t cohort__word_attempt(uint64_t word) { return word >> 48 & 0x1fff; }
static inline uint64_t cohort__word_worker(uint64_t word) { return word >> 32 & 0xffff; }
static inline uint64_t cohort__word_start(uint64_t word) { return word & 0xffffffff; }
/* How often an item of the chunk was begun before: the word counts that of its first one that is
 * not done, at the place `at` in the chunk; its worker has begun no other. */
static inline uint64_t cohort__word_attempt_of(uint64_t word, uint64_t at) {
    return at == cohort__word_start(word) ? cohort__word_attempt(word) : 0;
}

/* ---- pool_worker.c -------------------------------------------------------------------------- */

/* The item that this worker is at, for its task. */
void cohort__worker_task(const cohort_result_t *job, cohort__task_t *task);

/* ---- jobs: pool_job.c ----------------------------------------------------------------------- */

apr_status_t cohort__job_submit(cohort_result_t **job, const cohort__call_t *use,
                                const cohort_job_t *order, bool blocking, apr_pool_t *parent);
/* End the job unless it has ended: all items were run, or it is abandoned with this status. */
void cohort__job_finish(cohort_result_t *job, cohort__job_end_t end, apr_status_t status);
/* Complete it if all chunks are done; after the caller's last store to a word. */
void cohort__job_settle(cohort_result_t *job);
/* The job of a link. */
static inline cohort_result_t *cohort__job_of_all(uint64_t link) {
    return (cohort_result_t *)(uintptr_t)(link - offsetof(cohort_result_t, all));
}
static inline cohort_result_t *cohort__job_of_ready(uint64_t link) {
    return (cohort_result_t *)(uintptr_t)(link - offsetof(cohort_result_t, ready));
}
/* Guard of the pool: the job may be of another, or of none. A job has its pool before it is linked,
 * so one that is seen linked is seen with the pool that it belongs to. */
static inline bool cohort__job_is_of(cohort_result_t *job, const cohort_pool_t *pool) {
    return cohort__linked(&job->all) && atomic_load(&job->pool) == pool;
}
/* For workers of the pool. The first ready job; NULL when there is none but one that is over.
 * Without the guard it may be another by now. */
static inline cohort_result_t *cohort__pool_first(const cohort_pool_t *pool) {
    uint64_t first = atomic_load(&pool->ready.next);
    if (first == (uint64_t)(uintptr_t)&pool->ready) return NULL;
    cohort_result_t *job = cohort__job_of_ready(first);
    return cohort__job_is_over(job) && atomic_load(&pool->ready.prev) == first ? NULL : job;
}
/* Guard: the job is not wanted any more. */
void cohort__job_release_when_unused(cohort_pool_t *pool, cohort__thread_t *me,
                                     cohort_result_t *job);
/* Guard: the caller is not at the job any more, which may be another by now. Free it now if
 * that had to wait for the caller. */
void cohort__job_left(cohort_pool_t *pool, cohort__thread_t *me, cohort_result_t *job);
/* Guard: free what pool->in_flight owns. */
void cohort__job_free(cohort_pool_t *pool, cohort__thread_t *me);
/* Guard: mark as unwanted the jobs of owners that died before they could. */
void cohort__jobs_sweep(cohort_pool_t *pool, cohort__thread_t *me);
/* Item `index` has failed; the lowest one decides the job's status. */
void cohort__job_failed(cohort_result_t *job, uint64_t index, apr_status_t status);
/* The chain that a worker writes to while it has that chunk. */
static inline cohort__owner_ptr_t *cohort__job_chain(cohort_result_t *job, uint64_t chunk,
                                                     uint64_t worker) {
    return &job->failures[job->by_chunk ? chunk : worker];
}

#endif
