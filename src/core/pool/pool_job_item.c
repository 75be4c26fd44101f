/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Items of jobs of the local back end: how far each is, as the word of its chunk and the record of
 * the worker that has the chunk tell. */
#include "core/pool/pool_bytes.h"

/* How far a chunk is. */
typedef struct {
    uint64_t item;    /* the items before it are over */
    bool runs;        /* it is under way */
    uint64_t attempt; /* how often it was begun before */
    uint64_t why;     /* it and all after it were cancelled: cohort__why_t */
} reach_t;

static reach_t reach(uint64_t item, bool runs, uint64_t word, uint64_t first) {
    return (reach_t){item, runs, cohort__word_attempt_of(word, item - first), 0};
}

/* A worker's record tells of the chunk for as long as the word is RUNNING(that worker). The same
 * word can come again, by the worker that takes the place of one that has died, but only in another
 * round. */
static reach_t reach_of_chunk(const cohort_result_t *job, uint64_t c) {
    cohort_pool_t *pool = atomic_load(&((cohort_result_t *)job)->pool);
    _Atomic uint64_t *round = &((cohort_result_t *)job)->round;
    const uint64_t first = c * job->chunk;
    for (;;) {
        uint64_t before = atomic_load(round), word = atomic_load(&job->words[c]);
        if (cohort__word_state(word) == COHORT__CHUNK_DONE) return (reach_t){job->n, false, 0, 0};
        if (cohort__word_state(word) == COHORT__CHUNK_CANCELLED)
            return (reach_t){first + cohort__word_start(word), false, 0,
                             cohort__word_attempt(word)};
        if (cohort__word_state(word) != COHORT__CHUNK_RUNNING)
            return reach(first + cohort__word_start(word), false, word, first);
        cohort__worker_t *worker = cohort__pool_worker(pool, (uint32_t)cohort__word_worker(word));
        uint64_t progress = atomic_load(&worker->progress);
        if (atomic_load(&job->words[c]) == word && atomic_load(round) == before)
            return reach(cohort__progress_item(progress), cohort__progress_runs(progress), word,
                         first);
    }
}

static bool is_ended(const cohort__failure_t *failure) {
    return failure->status == COHORT_ECANCELLED || failure->status == COHORT_EDEADLINE;
}

/* The record of a failure is in its chain before the item is over. */
static const cohort__failure_t *failure_of(const cohort_result_t *job, uint64_t index) {
    uint64_t chain = job->by_chunk ? index / job->chunk : 0;
    cohort__failure_t *at = NULL;
    if (!atomic_load(&((cohort_result_t *)job)->first_failed)) return NULL;
    while ((at = cohort__backend_of_job(job)->next_failure(job, at, &chain)) != NULL &&
           at->index != index) {
    }
    return at;
}

/* The item that the words and records name for this one: the first of its range. */
static uint64_t named_item(const cohort_result_t *job, uint64_t index) {
    uint32_t needs = atomic_load(&((cohort_result_t *)job)->needs);
    return needs & COHORT__NEEDS_RANGE ? index - index % job->chunk : index;
}

/* There may have been no memory for a record of its failure. */
static apr_status_t unrecorded(const cohort_result_t *job, uint64_t index) {
    uint64_t first = atomic_load(&((cohort_result_t *)job)->first_failed);
    if (first && cohort__first_failed_index(first) == index)
        return cohort__first_failed_status(first);
    return cohort__output_status(job, index);
}

static void fill_output(const cohort_result_t *job, cohort_item_t *item) {
    cohort_bytes_t output = {NULL, (apr_size_t)job->output_size};
    if (job->bytes & COHORT__BYTES_OUT) cohort__output_look(job, item->index, &output);
    else if (output.size) output.data = job->outputs + item->index * output.size;
    item->data = output.data;
    item->size = output.size;
}

static void fill_over(const cohort_result_t *job, uint64_t named, cohort_item_t *item) {
    const cohort__failure_t *failure = failure_of(job, named);
    item->status = failure ? failure->status : unrecorded(job, named);
    item->attempt = failure ? failure->attempt : 0;
    item->state = item->status ? COHORT_ITEM_FAILED : COHORT_ITEM_DONE;
    if (failure && is_ended(failure)) item->state = COHORT_ITEM_CANCELLED;
    if (!item->status) fill_output(job, item);
}

/* What is looked for mostly: an item of a chunk that is done, of a job of which none has failed.
 * The failures of a chunk are known before its word says that it is done. */
static inline bool is_plainly_done(const cohort_result_t *job, uint64_t index) {
    uint64_t word = atomic_load_explicit(&job->words[index / job->chunk], memory_order_acquire);
    return cohort__word_state(word) == COHORT__CHUNK_DONE &&
           !atomic_load(&((cohort_result_t *)job)->first_failed) &&
           !(job->bytes & COHORT__BYTES_OUT);
}

apr_status_t cohort__job_item(const cohort_result_t *job, uint64_t index, cohort_item_t *item) {
    if (index >= job->n)
        return cohort__fail(APR_EINVAL, "index is %llu, and the job has %llu items",
                            (unsigned long long)index, (unsigned long long)job->n);
    if (is_plainly_done(job, index)) {
        apr_size_t size = (apr_size_t)job->output_size;
        *item = (cohort_item_t){.index = (apr_size_t)index,
                                .state = COHORT_ITEM_DONE,
                                .data = size ? job->outputs + index * size : NULL,
                                .size = size};
        return APR_SUCCESS;
    }
    const reach_t at = reach_of_chunk(job, index / job->chunk);
    *item = (cohort_item_t){.index = (apr_size_t)index, .state = COHORT_ITEM_QUEUED};
    const uint64_t named = named_item(job, index);
    if (named < at.item) {
        fill_over(job, named, item);
        return APR_SUCCESS;
    }
    if (named == at.item) {
        item->state = at.runs ? COHORT_ITEM_RUNNING : COHORT_ITEM_QUEUED;
        item->attempt = (apr_size_t)at.attempt + at.runs;
    }
    uint64_t state = atomic_load(&((cohort_result_t *)job)->state);
    if (at.why) {
        item->state = COHORT_ITEM_CANCELLED;
        item->status = cohort__why_status(at.why);
        item->attempt = 0;
    } else if (cohort__job_state_end(state) == COHORT__JOB_ABANDONED) {
        item->state = COHORT_ITEM_CANCELLED;
        item->status = cohort__job_state_status(state);
        item->attempt = 0;
    }
    return APR_SUCCESS;
}

/* ---- what workers are at --------------------------------------------------------------------- */

/* An item that a worker is seen at. */
typedef struct {
    cohort_result_t *job;
    uint64_t item, attempt;
    uint32_t visit;
    int64_t begun; /* 0: not noted */
} seen_t;

/* Guard. What the record says is of one item if it says the same afterwards. False: it runs none,
 * or goes from one to the next. */
static bool see(cohort_pool_t *pool, uint32_t number, seen_t *seen) {
    cohort__worker_t *worker = cohort__pool_worker(pool, number);
    uint64_t progress = atomic_load(&worker->progress), c = atomic_load(&worker->chunk);
    seen->visit = atomic_load(&worker->visit);
    seen->job = atomic_load(&worker->job);
    if (!seen->job || !cohort__job_is_of(seen->job, pool) || c >= seen->job->chunks) return false;
    uint64_t word = atomic_load(&seen->job->words[c]);
    seen->begun = atomic_load(&worker->begun);
    seen->item = cohort__progress_item(progress);
    if (!cohort__progress_runs(progress) || !cohort__word_runs_in(word, number)) return false;
    seen->attempt = cohort__word_attempt_of(word, seen->item - c * seen->job->chunk) + 1;
    return atomic_load(&worker->progress) == progress && atomic_load(&worker->job) == seen->job &&
           atomic_load(&worker->visit) == seen->visit && atomic_load(&worker->begun) == seen->begun;
}

/* Guard. Since when it has been seen running. */
static int64_t seen_since(cohort__worker_t *worker, const seen_t *seen, int64_t now) {
    if (atomic_load(&worker->seen) != seen->item || atomic_load(&worker->seen_visit) != seen->visit)
        atomic_store(&worker->seen_since, now);
    if (!atomic_load(&worker->seen_since)) atomic_store(&worker->seen_since, now);
    atomic_store(&worker->seen, seen->item);
    atomic_store(&worker->seen_visit, seen->visit);
    return atomic_load(&worker->seen_since);
}

/* A result that no user has, or has any more, is not shown. */
static bool is_shown(cohort_result_t *job) {
    return !job->waiter && !job->imap &&
           cohort__tag_type(atomic_load(&job->object.tag)) == COHORT__RESULT_TAG;
}

#define LOOKS 100 /* at a worker that goes from one item to the next all the time */

void cohort__worker_activity(cohort_pool_t *pool, uint32_t number, int64_t now,
                             cohort_activity_t *activity) {
    seen_t seen;
    bool runs = false;
    for (int i = 0; i < LOOKS && !runs; i++) runs = see(pool, number, &seen);
    if (!runs) return;
    uint64_t left = seen.job->chunk - seen.item % seen.job->chunk, n = seen.job->n;
    bool range = atomic_load(&seen.job->needs) & COHORT__NEEDS_RANGE;
    int64_t since =
        seen.begun ? seen.begun : seen_since(cohort__pool_worker(pool, number), &seen, now);
    cohort__job_need(seen.job, COHORT__NEEDS_TIMES);
    activity->state = COHORT_WORKER_RUNNING;
    activity->result = is_shown(seen.job) ? seen.job : NULL;
    activity->index = (apr_size_t)(seen.job->base + seen.item);
    activity->count = (apr_size_t)(!range ? 1 : left < n - seen.item ? left : n - seen.item);
    activity->attempt = (apr_size_t)seen.attempt;
    activity->elapsed = since < now ? (now - since) / 1000 : 0;
    activity->exact = seen.begun != 0;
}
