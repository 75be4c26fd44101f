/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Jobs of the local back end as numbers: how many of their items are over. */
#include "core/pool/backend_local.h"

static uint64_t size_of_chunk(const cohort_result_t *job, uint64_t c) {
    uint64_t left = job->n - c * job->chunk;
    return left < job->chunk ? left : job->chunk;
}

static bool is_word_final(uint64_t word) {
    unsigned state = cohort__word_state(word);
    return state == COHORT__CHUNK_DONE || state == COHORT__CHUNK_CANCELLED;
}

/* The items of chunks that are under way, or wait to be gone on with, that are over: the word says
 * where the chunk was begun, and the worker's record how far it has come. */
static uint64_t over_in_chunk(const cohort_result_t *job, uint64_t c, uint64_t word) {
    uint64_t start = cohort__word_start(word);
    if (cohort__word_state(word) != COHORT__CHUNK_RUNNING) return start;
    const cohort__worker_t *worker = cohort__pool_worker(
        atomic_load(&((cohort_result_t *)job)->pool), (uint32_t)cohort__word_worker(word));
    uint64_t item = cohort__progress_item(atomic_load(&worker->progress)), first = c * job->chunk;
    bool is_of_it = atomic_load(&job->words[c]) == word && item >= first + start &&
                    item - first <= size_of_chunk(job, c);
    return is_of_it ? item - first : start;
}

/* Workers take chunks from the cursor in order, so what is over is mostly in the first ones, and
 * what is behind the cursor is not. `from` chunks at the beginning are final and stay so. */
uint64_t cohort__job_items_over(const cohort_result_t *job, uint64_t *from) {
    uint64_t end = atomic_load(&job->cursor), before = atomic_load(&job->scanned);
    if (cohort__job_is_over(job) && !atomic_load(&job->cancelled) &&
        cohort__job_state_end(atomic_load(&job->state)) == COHORT__JOB_DONE)
        return job->n;
    if (end > job->chunks || atomic_load(&job->cancelled)) end = job->chunks;
    if (before > *from) *from = before;
    uint64_t c = *from;
    while (c < end && is_word_final(atomic_load_explicit(&job->words[c], memory_order_acquire)))
        c++;
    *from = c;
    uint64_t items = c < job->chunks ? c * job->chunk : job->n;
    for (; c < end; c++) {
        uint64_t word = atomic_load_explicit(&job->words[c], memory_order_acquire);
        items += is_word_final(word) ? size_of_chunk(job, c) : over_in_chunk(job, c, word);
    }
    return items;
}
