/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs of the local back end that are cancelled, by a user or because their time is over.
 *
 * The job's word `cancelled` says how far, and is set first: from then on it is true, and all that
 * follows can be done by any thread, any number of times. Chunks that no worker has go from FREE,
 * RETRY or WAITING to CANCELLED, which is final; a worker that has a chunk does the same with what
 * is left of it, as does the thread that settles a dead worker, after it has made a chunk free. The
 * thread that completes the job finds the first cancelled item of a chunk in its word. So each item
 * has ended by its worker or is covered by a word, and by one of them only.
 *
 * A worker that has an item of a job that is to be ended gets a *verdict*: its record says, under
 * the guard, for what it is ended; then it is killed. The one that settles its death goes by that:
 * the item that it was ended for gets the verdict's status, whatever its attempts are, and any
 * other is run again without counting. A worker that sees its verdict between two items ends itself
 * there; so a killer that dies first, or may not kill, leaves no worker that would be ended later
 * for what it did before. tests/models/cancel.pml has the proof, of one item.
 */
#include "core/base/fail.h"
#include "core/pool/backend_local.h"
#include "core/pool/pool_imap.h"

#include <errno.h>
#include <string.h>

/* ---- words ---------------------------------------------------------------------------------- */

void cohort__chunk_cancel(cohort_result_t *job, uint64_t c, cohort__why_t why) {
    uint64_t word = atomic_load(&job->words[c]);
    while (cohort__word_is_open(word) &&
           !atomic_compare_exchange_weak(
               &job->words[c], &word,
               cohort__chunk_word(COHORT__CHUNK_CANCELLED, why, 0, cohort__word_start(word)))) {
    }
}

/* The chunk was made free before this looks at the job's word, which is set before the words of the
 * chunks are looked at: one of the two sees the other. */
void cohort__job_cancel_chunk(cohort_result_t *job, uint64_t c) {
    cohort__why_t why = cohort__cancel_waiting(atomic_load(&job->cancelled));
    if (why) cohort__chunk_cancel(job, c, why);
}

static void cancel_waiting(cohort_result_t *job) {
    cohort__why_t why = cohort__cancel_waiting(atomic_load(&job->cancelled));
    if (!why) return;
    for (uint64_t c = atomic_load(&job->scanned); c < job->chunks; c++)
        cohort__chunk_cancel(job, c, why);
}

uint64_t cohort__job_next_cancelled(const cohort_result_t *job, uint64_t from,
                                    apr_status_t *status) {
    for (uint64_t c = from / (job->chunk ? job->chunk : 1); c < job->chunks; c++) {
        uint64_t word = atomic_load(&job->words[c]), first = c * job->chunk,
                 at = first + cohort__word_start(word),
                 end = job->n - first < job->chunk ? job->n : first + job->chunk;
        if (cohort__word_state(word) != COHORT__CHUNK_CANCELLED) continue;
        if (at < from) at = from;
        *status = cohort__why_status(cohort__word_attempt(word));
        if (at < end) return at;
    }
    return job->n;
}

/* ---- marks of items ------------------------------------------------------------------------- */

/* Two bits for each item of the job; there from the first one that is cancelled by itself on. The
 * job needs COHORT__NEEDS_MARKS when they are cleared. */
enum { MARK_TOLD = 1, MARK_ENDS = 2, MARKS_IN_WORD = 32 };

static _Atomic uint64_t *marks_word(const cohort_result_t *job, uint64_t item) {
    return (_Atomic uint64_t *)atomic_load(&((cohort_result_t *)job)->marks) + item / MARKS_IN_WORD;
}

static unsigned marks_of(const cohort_result_t *job, uint64_t item) {
    if (!(atomic_load(&((cohort_result_t *)job)->needs) & COHORT__NEEDS_MARKS) || item >= job->n)
        return 0;
    return (unsigned)(atomic_load(marks_word(job, item)) >> item % MARKS_IN_WORD * 2 & 3);
}

bool cohort__item_is_marked(const cohort_result_t *job, uint64_t item) {
    atomic_thread_fence(memory_order_seq_cst);
    return marks_of(job, item) != 0;
}

/* A thread that dies in between leaves room that is not cleared, for the next one. */
static apr_status_t make_marks(cohort_result_t *job, cohort__thread_t *me) {
    cohort_pool_t *pool = atomic_load(&job->pool);
    uint64_t size = (job->n + MARKS_IN_WORD - 1) / MARKS_IN_WORD * sizeof(uint64_t);
    apr_status_t status = APR_SUCCESS;
    cohort__pool_enter(pool, me);
    bool needed = !(atomic_load(&job->needs) & COHORT__NEEDS_MARKS);
    if (needed && !atomic_load(&job->marks))
        status = cohort__block_new(me, COHORT__KIND_BYTES, (size_t)size, &job->marks);
    if (needed && !status) {
        memset(atomic_load(&job->marks), 0, (size_t)size);
        cohort__job_need(job, COHORT__NEEDS_MARKS);
    }
    cohort__pool_leave(pool);
    return status;
}

/* ---- verdicts ------------------------------------------------------------------------------- */

/* A verdict: the visit of the worker that it is for:32 | why. */
static uint64_t verdict_of(uint32_t visit, cohort__why_t why) { return (uint64_t)visit << 8 | why; }
static uint32_t verdict_visit(uint64_t verdict) { return (uint32_t)(verdict >> 8); }
static cohort__why_t verdict_why(uint64_t verdict) { return (cohort__why_t)(verdict & 3); }

static bool has_verdict(cohort__worker_t *worker, uint32_t visit) {
    uint64_t verdict = atomic_load(&worker->verdict);
    return verdict && verdict_visit(verdict) == visit;
}

/* What was condemned at this visit, since this item runs now. */
static bool is_over(cohort__worker_t *worker, uint64_t item) {
    uint64_t condemned = atomic_load(&worker->condemned);
    return condemned != COHORT__ALL_ITEMS && condemned != item;
}

/* Guard, and the caller looks at the job. The worker goes on meanwhile; but while its record names
 * the job it is at that visit, or the next one to the same job. It may be dead already, by the
 * signal that went with an earlier verdict: that one stays, for this thread may die over another.
 * One of an earlier visit means no item, and one of an item that is over gives way to this; in
 * between it means none. */
void cohort__worker_condemn(cohort_pool_t *pool, uint32_t number, const cohort_result_t *job,
                            uint64_t item, cohort__why_t why, cohort__condemned_t *list) {
    cohort__worker_t *worker = cohort__pool_worker(pool, number);
    if (!atomic_load(&worker->process) || atomic_load(&worker->job) != job) return;
    uint64_t c = atomic_load(&worker->chunk);
    uint32_t visit = atomic_load(&worker->visit);
    if (c >= job->chunks || !cohort__word_runs_in(atomic_load(&job->words[c]), number)) return;
    if (item != COHORT__ALL_ITEMS && atomic_load(&worker->progress) != cohort__progress(item, true))
        return;
    if (atomic_load(&worker->job) != job) return;
    if (!has_verdict(worker, visit)) {
        atomic_store(&worker->condemned, item);
        atomic_store(&worker->verdict, verdict_of(visit, why));
    } else if (item != COHORT__ALL_ITEMS && is_over(worker, item)) {
        atomic_store(&worker->verdict, verdict_of(visit, why));
        atomic_store(&worker->condemned, item);
    }
    list->ids[list->count++] = atomic_load(&worker->process);
}

cohort__charge_t cohort__worker_charge(const cohort__worker_t *dead, const cohort_result_t *job,
                                       uint64_t item, cohort__why_t *why) {
    cohort__worker_t *worker = (cohort__worker_t *)dead;
    uint64_t verdict = atomic_load(&worker->verdict), condemned = atomic_load(&worker->condemned);
    uint32_t cancelled = atomic_load(&((cohort_result_t *)job)->cancelled);
    *why = verdict_why(verdict);
    if (verdict && verdict_visit(verdict) == atomic_load(&worker->visit) &&
        (condemned == COHORT__ALL_ITEMS || condemned == item))
        return COHORT__CHARGE_WHY;
    *why = COHORT__WHY_CANCELLED;
    if (marks_of(job, item) & MARK_ENDS) return COHORT__CHARGE_WHY;
    *why = cohort__cancel_running(cancelled);
    if (cancelled & COHORT__CANCEL_ENDS) return COHORT__CHARGE_WHY;
    return verdict ? COHORT__CHARGE_NONE : COHORT__CHARGE_DEATH;
}

/* Guard. The worker at this place, if the job is to be ended, or the item that it runs. */
static void condemn_for(cohort_pool_t *pool, uint32_t number, cohort_result_t *job,
                        cohort__condemned_t *list) {
    uint32_t cancelled = atomic_load(&job->cancelled);
    uint64_t progress = atomic_load(&cohort__pool_worker(pool, number)->progress),
             item = cohort__progress_item(progress);
    if (cancelled & COHORT__CANCEL_ENDS)
        cohort__worker_condemn(pool, number, job, COHORT__ALL_ITEMS,
                               cohort__cancel_running(cancelled), list);
    else if (cohort__progress_runs(progress) && marks_of(job, item) & MARK_ENDS)
        cohort__worker_condemn(pool, number, job, item, COHORT__WHY_CANCELLED, list);
}

/* From the place *number on; false: those were all. */
static bool condemn_some(cohort_pool_t *pool, cohort__thread_t *me, cohort_result_t *job,
                         uint32_t *number, cohort__condemned_t *list) {
    list->count = 0;
    cohort__pool_enter(pool, me);
    for (; *number < pool->workers && list->count < COHORT__ENDED_AT_ONCE; ++*number)
        condemn_for(pool, *number, job, list);
    bool more = *number < pool->workers;
    cohort__pool_leave(pool);
    return more;
}

apr_status_t cohort__workers_end(const cohort__condemned_t *list) {
    apr_status_t refused = APR_SUCCESS;
    for (uint32_t i = 0; i < list->count; i++) {
        apr_status_t status = cohort__process_signal(list->ids[i], COHORT_OS_KILL);
        if (!refused && (APR_STATUS_IS_EACCES(status) || status == APR_FROM_OS_ERROR(EPERM)))
            refused = cohort__fail(status, "ending a worker of the job");
    }
    return refused;
}

static apr_status_t end_job_workers(cohort_result_t *job, cohort__thread_t *me) {
    cohort_pool_t *pool = atomic_load(&job->pool);
    apr_status_t refused = APR_SUCCESS;
    uint32_t number = 0;
    cohort__condemned_t list;
    for (bool more = true; more;) {
        more = condemn_some(pool, me, job, &number, &list);
        apr_status_t status = cohort__workers_end(&list);
        if (!refused) refused = status;
    }
    return refused;
}

/* ---- cancelling ----------------------------------------------------------------------------- */

void cohort__job_has_cancelled(cohort_result_t *job) {
    if (!(atomic_load(&job->cancelled) & COHORT__CANCEL_HAS))
        atomic_fetch_or(&job->cancelled, COHORT__CANCEL_HAS);
}

static uint32_t raise_to(uint32_t word, cohort__why_t why, cohort__cancel_level_t level) {
    if (!cohort__cancel_waiting(word)) word |= why;
    if (level >= COHORT__CANCEL_TELL && !cohort__cancel_running(word))
        word |= cohort__cancel_running_for(why);
    if (level >= COHORT__CANCEL_END) word |= COHORT__CANCEL_ENDS;
    return word;
}

/* A claim of a chunk is a full barrier, as is what is done to `needs`: so either the worker sees
 * what the job needs before it runs an item, or this thread sees that the worker has the chunk. */
apr_status_t cohort__job_cancel(cohort_result_t *job, cohort__thread_t *me, cohort__why_t why,
                                cohort__cancel_level_t level) {
    uint32_t word = atomic_load(&job->cancelled);
    apr_status_t status = APR_SUCCESS;
    if (cohort__job_is_over(job)) return status;
    while (!atomic_compare_exchange_weak(&job->cancelled, &word, raise_to(word, why, level))) {
    }
    cohort__job_need(job, COHORT__NEEDS_CANCEL);
    cancel_waiting(job);
    if (atomic_load(&job->cancelled) & (COHORT__CANCEL_ENDS | COHORT__CANCEL_ITEMS))
        status = end_job_workers(job, me);
    cohort__job_settle(job);
    if (atomic_load(&job->needs) & COHORT__NEEDS_NEWS) cohort__imap_news(job->imap);
    return status;
}

/* Of a chunk that no worker has, and of which this item alone is left. */
static void cancel_last(cohort_result_t *job, uint64_t index) {
    uint64_t c = index / job->chunk, first = c * job->chunk, word = atomic_load(&job->words[c]),
             end = job->n - first < job->chunk ? job->n : first + job->chunk;
    if (cohort__word_is_open(word) && index + 1 == end &&
        cohort__word_start(word) == index - first) {
        uint64_t next = cohort__chunk_word(COHORT__CHUNK_CANCELLED, COHORT__WHY_CANCELLED, 0,
                                           cohort__word_start(word));
        (void)atomic_compare_exchange_strong(&job->words[c], &word, next);
    }
}

void cohort__item_cancel_again(cohort_result_t *job, uint64_t c, uint64_t start) {
    uint64_t index = c * job->chunk + start;
    if (cohort__item_is_marked(job, index)) cancel_last(job, index);
}

/* What a worker says of its item comes before it looks at the mark: so it sees the mark, or this
 * thread sees the item run. In the plain loop a worker may not have seen yet what the job needs. */
apr_status_t cohort__job_cancel_item(cohort_result_t *job, cohort__thread_t *me, uint64_t index,
                                     bool ends) {
    uint64_t mark = ends ? MARK_TOLD | MARK_ENDS : MARK_TOLD;
    if (index >= job->n)
        return cohort__fail(APR_EINVAL, "index is %llu, and the job has %llu items",
                            (unsigned long long)index, (unsigned long long)job->n);
    if (atomic_load(&job->needs) & COHORT__NEEDS_RANGE)
        return cohort__fail(APR_EINVAL, "the items of a job of ranges are not run one by one");
    if (cohort__job_is_over(job)) return APR_SUCCESS;
    apr_status_t status = make_marks(job, me);
    if (status) return status;
    atomic_fetch_or(marks_word(job, index), mark << index % MARKS_IN_WORD * 2);
    if (ends) atomic_fetch_or(&job->cancelled, COHORT__CANCEL_ITEMS);
    cohort__job_need(job, COHORT__NEEDS_CANCEL);
    cancel_last(job, index);
    if (ends) status = end_job_workers(job, me);
    cohort__job_settle(job);
    return status;
}

/* ---- in a worker ---------------------------------------------------------------------------- */

bool cohort__item_may_begin(cohort__worker_t *record, cohort_result_t *job, uint64_t c,
                            uint64_t item, bool *ends) {
    cohort__why_t why = cohort__cancel_waiting(atomic_load(&job->cancelled));
    *ends = atomic_load(&record->verdict) != 0;
    if (!*ends && !why) return true;
    atomic_store_explicit(&record->progress, cohort__progress(item, false), memory_order_release);
    if (!*ends)
        atomic_store(&job->words[c],
                     cohort__chunk_word(COHORT__CHUNK_CANCELLED, why, 0, item - c * job->chunk));
    return false;
}

apr_status_t cohort__worker_told(const cohort_result_t *at) {
    cohort_result_t *job = (cohort_result_t *)at;
    cohort_pool_t *pool = atomic_load(&job->pool);
    uint64_t progress = atomic_load_explicit(cohort__running.progress, memory_order_relaxed);
    if (!cohort__progress_runs(progress)) return APR_SUCCESS;
    if (!atomic_load_explicit(&job->needs, memory_order_relaxed) && !job->timed) return APR_SUCCESS;
    cohort__why_t why = cohort__cancel_running(atomic_load(&job->cancelled));
    if (why) return cohort__why_status(why);
    if (marks_of(job, cohort__progress_item(progress))) return COHORT_ECANCELLED;
    if (job->timed && cohort__times_over(job, atomic_load(cohort__running.begun)))
        return COHORT_EDEADLINE;
    if (atomic_load(&job->unwanted)) return COHORT_ECANCELLED;
    return pool && atomic_load(&pool->state) == COHORT__POOL_ENDED ? COHORT_ETERMINATED
                                                                   : APR_SUCCESS;
}
