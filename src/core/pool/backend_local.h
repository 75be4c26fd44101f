/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The local back end of pools: jobs, the words of their chunks, the lists. pool.h says how they
 * work. For the files that implement it, which check.backend lists, and no other: the API and the
 * staff of a pool reach all this through the table of backend.h.
 */
#ifndef COHORT_CORE_BACKEND_LOCAL_H
#define COHORT_CORE_BACKEND_LOCAL_H

#include "core/pool/backend.h"

/* ---- words of chunks: state:3 | attempts so far:13 | worker:16 | offset of the first item that is
 * not done:32 */

enum {
    COHORT__CHUNK_FREE,
    COHORT__CHUNK_RUNNING,
    COHORT__CHUNK_DONE,
    COHORT__CHUNK_RETRY,
    /* final as DONE is: its items from the offset on were cancelled. Instead of the attempts it
     * says why (cohort__why_t). */
    COHORT__CHUNK_CANCELLED,
    /* no worker's until the time that is noted of it, see pool_delay.c */
    COHORT__CHUNK_WAITING
};

static inline uint64_t cohort__chunk_word(unsigned state, uint64_t attempt, uint64_t worker,
                                          uint64_t start) {
    return (uint64_t)state << 61 | (attempt & 0x1fff) << 48 | worker << 32 | start;
}
static inline unsigned cohort__word_state(uint64_t word) { return (unsigned)(word >> 61); }
static inline uint64_t cohort__word_attempt(uint64_t word) { return word >> 48 & 0x1fff; }
static inline uint64_t cohort__word_worker(uint64_t word) { return word >> 32 & 0xffff; }
static inline uint64_t cohort__word_start(uint64_t word) { return word & 0xffffffff; }
static inline bool cohort__word_claimable(uint64_t word) {
    unsigned state = cohort__word_state(word);
    return state == COHORT__CHUNK_FREE || state == COHORT__CHUNK_RETRY;
}
/* No worker has it, and it is not final. */
static inline bool cohort__word_is_open(uint64_t word) {
    return cohort__word_claimable(word) || cohort__word_state(word) == COHORT__CHUNK_WAITING;
}
static inline bool cohort__word_runs_in(uint64_t word, uint64_t worker) {
    return cohort__word_state(word) == COHORT__CHUNK_RUNNING && cohort__word_worker(word) == worker;
}
/* How often an item of the chunk was begun before: the word counts that of its first one that is
 * not done, at the place `at` in the chunk; its worker has begun no other. */
static inline uint64_t cohort__word_attempt_of(uint64_t word, uint64_t at) {
    return at == cohort__word_start(word) ? cohort__word_attempt(word) : 0;
}

/* ---- pool_order.c --------------------------------------------------------------------------- */

/* APR_EINVAL, COHORT_ELIMIT: an order that makes no sense, or is too large. */
apr_status_t cohort__order_check(const cohort_job_t *order);
/* Bytes from one element of an array to the next. */
static inline uint64_t cohort__order_stride(apr_size_t size) {
    return size >= COHORT_STRINGS ? sizeof(cohort_bytes_t) : size;
}

/* ---- what a job needs beyond calls of its task: bits of its word `needs`. A job has some from the
 * submission on, others are set by any process, at any time. pool_run.h says what comes of them. */

enum {
    /* To be looked at whether it goes on. Set before the job is ended or dropped, so that a thread
     * that is killed in between has harmed nothing. */
    COHORT__NEEDS_LOOK = 1,
    COHORT__NEEDS_RANGE = 2, /* its task is for a range of items; from the submission on */
    /* its inputs or outputs have a size each, see pool_bytes.c */
    COHORT__NEEDS_BYTES = 4,
    COHORT__NEEDS_CANCEL = 8, /* it was cancelled, or items are marked, see pool_cancel.c */
    COHORT__NEEDS_MARKS = 32, /* items are */
    COHORT__NEEDS_TIMES = 64, /* it is noted when items begin; from the submission on */
    /* it is a portion: readers of its imap are told of each chunk; from the submission on */
    COHORT__NEEDS_NEWS = 16,
    COHORT__NEEDS_ROOM = 128,  /* other jobs may be waiting, see pool_fair.c */
    COHORT__NEEDS_AGAIN = 256, /* statuses have its items run again; from the submission on */
    /* its workers may have to end, see pool_retire.c; in a pool with such limits from the
     * submission on */
    COHORT__NEEDS_LIMIT = 512,
    /* it has a chunk for each place, see pool_each.c; from the submission on */
    COHORT__NEEDS_EACH = 1024,
    COHORT__NEEDS_COUNTS = 2048, /* its pool counts, see pool_tally.h; from the submission on */
    COHORT__NEEDS_DELAY = 4096   /* items wait before they run again; from the submission on */
};

static inline void cohort__job_need(cohort_result_t *job, uint32_t bits) {
    atomic_fetch_or(&job->needs, bits);
}

/* Known without a look at the imap's line, which workers read of no other job. */
static inline bool cohort__job_is_portion(const cohort_result_t *job) {
    return (atomic_load_explicit(&job->needs, memory_order_relaxed) & COHORT__NEEDS_NEWS) != 0;
}
/* Likewise: chunks of it may be WAITING. */
static inline bool cohort__job_delays(const cohort_result_t *job) {
    return (atomic_load_explicit(&job->needs, memory_order_relaxed) & COHORT__NEEDS_DELAY) != 0;
}
static inline bool cohort__job_is_each(const cohort_result_t *job) {
    return atomic_load_explicit(&((cohort_result_t *)job)->needs, memory_order_relaxed) &
           COHORT__NEEDS_EACH;
}

/* ---- pool_run.c ----------------------------------------------------------------------------- */

/* The item that this worker is at, for its task. */
void cohort__worker_task(const cohort_result_t *job, cohort__task_t *task);

/* ---- pool_job_item.c ------------------------------------------------------------------------- */

/* How far an item is; of the table of backend.h. */
apr_status_t cohort__job_item(const cohort_result_t *job, uint64_t index, cohort_item_t *item);

/* What a worker that is ready runs, and since when; of the table of backend.h. */
void cohort__worker_activity(cohort_pool_t *pool, uint32_t number, int64_t now,
                             cohort_activity_t *activity);

/* ---- pool_again.c ---------------------------------------------------------------------------- */

/* Before the job is submitted, when its attempts are known. */
void cohort__again_set(cohort_result_t *job, const cohort_job_t *order);

/* ---- pool_delay.c ---------------------------------------------------------------------------- */

apr_status_t cohort__delay_check(const cohort_job_t *order);
/* Before the job is submitted, when its attempts are known. */
void cohort__delay_set(cohort_result_t *job, const cohort_job_t *order);
/* By the worker that has the chunk, or with the guard when that has died: the item at this place in
 * it, which has been run so often, waits to be run again. */
void cohort__chunk_wait(cohort_result_t *job, uint64_t chunk, uint64_t worker, uint64_t runs,
                        uint64_t start);
/* One may have begun to wait. */
void cohort__delays_count(cohort_result_t *job);
/* Guard: have workers come to what is due, and add how many chunks are. When the next will be. */
int64_t cohort__delays_look(cohort_pool_t *pool, cohort_result_t *job, int64_t now,
                            uint64_t *roused);
/* Guard: is there a job of which items may wait? Workers of a closed pool stay as long. */
bool cohort__delays_unfinished(const cohort_pool_t *pool);
/* The job is over, or is not wanted any more. */
void cohort__delays_over(cohort_result_t *job);

/* ---- pool_cancel.c -------------------------------------------------------------------------- */

/* See the table of backend.h. */
apr_status_t cohort__job_cancel(cohort_result_t *job, cohort__thread_t *me, cohort__why_t why,
                                cohort__cancel_level_t level);
apr_status_t cohort__job_cancel_item(cohort_result_t *job, cohort__thread_t *me, uint64_t index,
                                     bool ends);
uint64_t cohort__job_next_cancelled(const cohort_result_t *job, uint64_t from,
                                    apr_status_t *status);
apr_status_t cohort__worker_told(const cohort_result_t *job);
/* In a worker, before an item of a job that needs it: may it be run? False: it may not, nor the
 * rest of the chunk; the chunk's word says so, unless the worker is to end: then `ends`. */
bool cohort__item_may_begin(cohort__worker_t *record, cohort_result_t *job, uint64_t chunk,
                            uint64_t item, bool *ends);
/* In a worker, of a job that needs marks, when its record says that the item is under way: has that
 * been cancelled? */
bool cohort__item_is_marked(const cohort_result_t *job, uint64_t item);
/* The word of its chunk says by now that this item waits to be run again: if it was cancelled while
 * it ran, it does not, unless others are behind it in its chunk. */
void cohort__item_cancel_again(cohort_result_t *job, uint64_t c, uint64_t start);
/* Workers that are to be ended, as many as fit under one guard entry. */
#define COHORT__ENDED_AT_ONCE 32
typedef struct {
    uint32_t count;
    cohort__pid_t ids[COHORT__ENDED_AT_ONCE];
} cohort__condemned_t;
/* Guard. Put the worker at this place on the list, with a verdict, if it has a chunk of the job,
 * and, but for COHORT__ALL_ITEMS, runs this item. There is room. */
#define COHORT__ALL_ITEMS UINT64_MAX
void cohort__worker_condemn(cohort_pool_t *pool, uint32_t number, const cohort_result_t *job,
                            uint64_t item, cohort__why_t why, cohort__condemned_t *list);
/* Without the guard: end them. The reason why one could not be ended though it runs. */
apr_status_t cohort__workers_end(const cohort__condemned_t *list);
/* Guard. Of a worker that has died and ran this item: how the item is to be charged. */
typedef enum {
    COHORT__CHARGE_DEATH, /* as with any death */
    COHORT__CHARGE_WHY,   /* it was ended for this */
    COHORT__CHARGE_NONE   /* the worker was ended for another item: this one is run again */
} cohort__charge_t;
cohort__charge_t cohort__worker_charge(const cohort__worker_t *worker, const cohort_result_t *job,
                                       uint64_t item, cohort__why_t *why);
/* An item of the job has been ended so. */
void cohort__job_has_cancelled(cohort_result_t *job);
/* After a chunk of the job was made free again: what has been cancelled meanwhile is. */
void cohort__job_cancel_chunk(cohort_result_t *job, uint64_t chunk);

/* ---- pool_deadline.c ------------------------------------------------------------------------ */

/* Before a job is made: are its times in order, and can they be kept? */
apr_status_t cohort__times_check(const cohort_job_t *order);
/* What they are, from now on; before the job is submitted. */
void cohort__times_set(cohort_result_t *job, const cohort_job_t *order);
/* It has been: have the times kept. */
void cohort__times_keep(const cohort_result_t *job);
/* See the table of backend.h. */
int64_t cohort__job_deadlines(cohort_pool_t *pool, cohort__thread_t *me, uint64_t tag);
/* In a worker: is the item that began then over its own time? */
bool cohort__times_over(const cohort_result_t *job, int64_t begun);

/* Guard, or of a chunk that no worker will claim: it is cancelled if no worker has it. */
void cohort__chunk_cancel(cohort_result_t *job, uint64_t chunk, cohort__why_t why);

/* ---- pool_room.c ---------------------------------------------------------------------------- */

/* When a submitter stops waiting. */
int64_t cohort__room_deadline(const cohort_job_t *order);
/* Wait until a job that holds so many bytes has room. */
apr_status_t cohort__room_await(const cohort__call_t *use, uint64_t bytes, int64_t deadline);
/* Guard: this job is taken in, and counted. False: there is no room. */
bool cohort__room_take(cohort_pool_t *pool, const cohort_result_t *job);

/* ---- pool_each.c ---------------------------------------------------------------------------- */

/* Guard: such a job is on the list. */
void cohort__each_begins(cohort_pool_t *pool);
/* Guard: chunks of places that are to stay vacant are cancelled: all; or this one, which a worker
 * that has died may have had. */
void cohort__each_fewer(cohort_pool_t *pool);
void cohort__each_lost(cohort_pool_t *pool, cohort_result_t *job, uint64_t number);
/* Guard: one is not over. */
bool cohort__each_unfinished(const cohort_pool_t *pool);

/* ---- pool_job_count.c ----------------------------------------------------------------------- */

/* Of the table of backend.h. */
uint64_t cohort__job_items_over(const cohort_result_t *job, uint64_t *from);

/* ---- pool_fair.c ---------------------------------------------------------------------------- */

/* Guard: this job is ready from here on, behind all others of its priority, or in front of them. */
void cohort__job_list(cohort_pool_t *pool, cohort_result_t *job, bool front);
/* Guard: this job is ready, and others may have all workers. */
void cohort__job_waits(cohort_pool_t *pool, cohort_result_t *job);

/* ---- pool_retire.c -------------------------------------------------------------------------- */

/* Guard: there are fewer workers from here on; those that are at jobs are told. */
void cohort__jobs_limit(cohort_pool_t *pool);
/* Guard: so many chunks of this job are ready, in a pool that starts workers on demand: how many
 * there are to be. */
void cohort__jobs_call(cohort_pool_t *pool, const cohort_result_t *job, uint64_t chunks);

/* ---- jobs: pool_job.c ----------------------------------------------------------------------- */

apr_status_t cohort__job_submit(cohort_result_t **job, const cohort__call_t *use,
                                const cohort_job_t *order, bool blocking,
                                const cohort__origin_t *origin, apr_pool_t *parent);
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
/* The chain that a worker writes to while it has that chunk. A job has none for a worker at a place
 * that the pool has had only since the job was submitted: these workers share one, with the pool's
 * guard. */
static inline bool cohort__chain_is_shared(const cohort_result_t *job, uint64_t worker) {
    return !job->by_chunk && worker >= job->chains;
}
static inline cohort__owner_ptr_t *cohort__job_chain(cohort_result_t *job, uint64_t chunk,
                                                     uint64_t worker) {
    if (cohort__chain_is_shared(job, worker)) return &job->failure;
    return &job->failures[job->by_chunk ? chunk : worker];
}

#endif
