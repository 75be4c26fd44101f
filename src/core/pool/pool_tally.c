/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The counting for pool_tally.h, in workers of the local back end, in the threads that settle their
 * deaths, and where jobs begin and end. */
#include "core/base/os.h"
#include "core/pool/pool_run.h"

#define MEMORY_EVERY INT64_C(100000000) /* ns from one look at a worker's memory to the next */

/* ---- items ---------------------------------------------------------------------------------- */

/* A note: 1:1 | as what the item has ended:2 | what that counter will be:29 | the item:32; 0: of no
 * item. */
#define NUMBER_MASK UINT64_C(0x1fffffff)

static uint64_t note_of(uint64_t item, cohort__tally_end_t end, uint64_t number) {
    return UINT64_C(1) << 63 | (uint64_t)end << 61 | (number & NUMBER_MASK) << 32 |
           (item & 0xffffffff);
}

static uint64_t noted_end(uint64_t note) { return note >> 61 & 3; }
static bool note_is_of(uint64_t note, uint64_t item) {
    return note && (note & 0xffffffff) == (item & 0xffffffff);
}
/* What the counter is or will be. */
static bool note_has(uint64_t note, uint64_t number) {
    return (number & NUMBER_MASK) == (note >> 32 & NUMBER_MASK);
}

static cohort__tally_end_t tally_end_of(apr_status_t status) {
    if (!status) return COHORT__TALLY_DONE;
    return status == COHORT_ECANCELLED || status == COHORT_EDEADLINE ? COHORT__TALLY_CANCELLED
                                                                     : COHORT__TALLY_FAILED;
}

static void count_item(cohort__tally_t *tally, uint64_t item, cohort__tally_end_t end,
                       uint64_t count) {
    _Atomic uint64_t *ended = &tally->ended[end];
    uint64_t number = atomic_load_explicit(ended, memory_order_relaxed) + count;
    atomic_store_explicit(&tally->note, note_of(item, end, number), memory_order_release);
    atomic_store_explicit(ended, number, memory_order_release);
}

/* Guard, or its worker. The counter is what the note says, or what it was before. */
static void take_back_count(cohort__tally_t *tally, uint64_t item, uint64_t count) {
    uint64_t note = atomic_load(&tally->note), end = noted_end(note);
    if (!note_is_of(note, item) || end >= COHORT__TALLY_ENDS) return;
    uint64_t number = atomic_load(&tally->ended[end]);
    if (!note_has(note, number)) return;
    atomic_store(&tally->ended[end], number - count);
}

void cohort__tally_settle(cohort_pool_t *pool, uint32_t number, const cohort__failure_t *what,
                          bool over, bool again) {
    cohort__tally_t *tally = cohort__pool_tally(pool, number);
    if (!tally) return;
    take_back_count(tally, what->index, what->count);
    if (over) count_item(tally, what->index, tally_end_of(what->status), what->count);
    else if (again) cohort__count(&tally->again, 1);
}

void cohort__tally_turn(cohort__worker_self_t *w, const cohort__turn_t *turn, apr_status_t status,
                        bool again) {
    cohort__tally_t *tally = w->tally;
    int64_t now = cohort_os_now();
    if (!cohort__running.skipped) {
        cohort__spread_add(&tally->run, now - w->clock);
        if (!turn->attempt) cohort__spread_add(&tally->wait, w->clock - w->job->submitted);
    }
    w->clock = now;
    if (again) cohort__count(&tally->again, 1);
    else count_item(tally, turn->first, tally_end_of(status), turn->last - turn->first);
}

/* ---- workers -------------------------------------------------------------------------------- */

/* `since` is 0 while the time is changed, for those that read both. A worker that is killed then
 * has counted the time or has not. */
static void turn_to(cohort__tally_t *tally, bool busy, int64_t now) {
    int64_t since = atomic_load_explicit(&tally->since, memory_order_relaxed);
    _Atomic int64_t *time = &tally->time[cohort__since_busy(since)];
    int64_t all =
        atomic_load_explicit(time, memory_order_relaxed) + now - cohort__since_time(since);
    atomic_store_explicit(&tally->since, 0, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    atomic_store_explicit(time, all, memory_order_relaxed);
    atomic_store_explicit(&tally->since, cohort__since(now, busy), memory_order_release);
}

static void look_at_memory(cohort__worker_self_t *w, int64_t now) {
    if (now < w->memory_next) return;
    w->memory_next = now + MEMORY_EVERY;
    uint64_t memory = (uint64_t)cohort_os_figure(COHORT_OS_USED_MEMORY);
    if (memory > atomic_load_explicit(&w->tally->memory, memory_order_relaxed))
        atomic_store_explicit(&w->tally->memory, memory, memory_order_relaxed);
}

void cohort__tally_begin(cohort__worker_self_t *w) {
    w->tally = cohort__pool_tally(w->pool, w->number);
    if (!w->tally) return;
    int64_t now = cohort_os_now();
    atomic_store(&w->tally->since, cohort__since(now, false));
    look_at_memory(w, now);
}

void cohort__tally_visit(cohort__worker_self_t *w) {
    w->clock = cohort_os_now();
    atomic_store(&w->tally->note, 0); /* it may name an item of the job before */
    turn_to(w->tally, true, w->clock);
}

void cohort__tally_leave(cohort__worker_self_t *w) {
    int64_t now = cohort_os_now();
    turn_to(w->tally, false, now);
    look_at_memory(w, now);
}

void cohort__tally_starts(cohort_pool_t *pool, uint32_t number) {
    cohort__tally_t *tally = cohort__pool_tally(pool, number);
    if (!tally) return;
    cohort__guard_set(&pool->guard, &tally->starts, atomic_load(&tally->starts) + 1);
}

void cohort__tally_stops(cohort_pool_t *pool, uint32_t number, bool in_order) {
    cohort__tally_t *tally = cohort__pool_tally(pool, number);
    if (!tally) return;
    if (atomic_load(&tally->since)) turn_to(tally, false, cohort_os_now());
    atomic_store(&tally->since, 0);
    if (!in_order) cohort__guard_set(&pool->guard, &tally->deaths, atomic_load(&tally->deaths) + 1);
}

/* ---- jobs ----------------------------------------------------------------------------------- */

void cohort__tally_expect(cohort_result_t *job) {
    job->submitted = cohort_os_now();
    cohort__job_need(job, COHORT__NEEDS_COUNTS);
}

/* Never too low: what a thread that has died did not say is over stays in. */
static void note_most(cohort_pool_t *pool, _Atomic uint64_t *most, uint64_t all, uint64_t over) {
    uint64_t now = all > over ? all - over : 0;
    if (now > atomic_load(most)) cohort__guard_set(&pool->guard, most, now);
}

void cohort__tally_takes(cohort_pool_t *pool, const cohort_result_t *job) {
    cohort__pool_tally_t *tally = cohort__pool_tally_all(pool);
    uint64_t jobs = atomic_load(&tally->jobs) + 1, items = atomic_load(&tally->items) + job->n;
    cohort__guard_set(&pool->guard, &tally->jobs, jobs);
    cohort__guard_set(&pool->guard, &tally->items, items);
    if (!job->n) atomic_fetch_add(&tally->jobs_over, 1);
    note_most(pool, &tally->jobs_most, jobs, atomic_load(&tally->jobs_over));
    note_most(pool, &tally->items_most, items, atomic_load(&tally->items_over));
}

/* The items of the chunk that were cancelled before a worker began them. */
static uint64_t cancelled_in(const cohort_result_t *job, uint64_t c) {
    uint64_t word = atomic_load(&job->words[c]), left = job->n - c * job->chunk;
    if (cohort__word_state(word) != COHORT__CHUNK_CANCELLED) return 0;
    return (left < job->chunk ? left : job->chunk) - cohort__word_start(word);
}

void cohort__tally_job_over(cohort_result_t *job) {
    cohort__pool_tally_t *tally = cohort__pool_tally_all(atomic_load(&job->pool));
    uint64_t cancelled = 0;
    for (uint64_t c = 0; atomic_load(&job->cancelled) && c < job->chunks; c++)
        cancelled += cancelled_in(job, c);
    if (cancelled) atomic_fetch_add(&tally->cancelled, cancelled);
    atomic_fetch_add(&tally->items_over, job->n);
    atomic_fetch_add(&tally->jobs_over, 1);
}
