/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Chunks of a job, in a worker of the local back end: claimed in batches, and run item by item. The
 * order of stores matters in every line here; see pool.h, and pool_run.h for the two loops. */
#include "core/pool/pool_bytes.h"

#include "core/base/bits.h"
#include "core/pool/pool_imap.h"

#define BATCH_MAX    64   /* chunks taken from the cursor at once: eight cache lines of words */
#define SETTLE_EVERY 1024 /* chunks of a job: a worker that crosses a multiple looks what is done */

/* ---- the task ------------------------------------------------------------------------------- */

/* Stands in for a task that is not there. */
static apr_status_t lost_task(const void *input, void *output) {
    (void)input, (void)output;
    return cohort__running.lost;
}

/* The code of one task is mostly that of the one before. */
void cohort__run_begin(cohort__worker_self_t *w) {
    cohort__function_t function = NULL;
    const cohort__code_t *code = &w->job->task;
    if (w->task && w->task != lost_task && w->code.module == code->module &&
        w->code.offset == code->offset)
        return;
    cohort__running.lost = cohort__code_at(code, &function);
    if (!function && !cohort__running.lost) cohort__running.lost = COHORT_ETARGET;
    w->task = function ? (cohort_task_t)function : lost_task;
    w->code = *code;
}

/* ---- the loop apart ------------------------------------------------------------------------- */

static uint64_t underway(uint64_t item) { return cohort__progress(item, true); }

/* So many items have, from the one on that the record names. */
static COHORT__APART void items_failed(cohort__worker_self_t *w, apr_status_t status,
                                       uint64_t attempt, uint64_t count) {
    uint64_t c = atomic_load_explicit(&w->record->chunk, memory_order_relaxed);
    uint64_t progress = atomic_load_explicit(&w->record->progress, memory_order_relaxed);
    bool shared = cohort__chain_is_shared(w->job, w->number);
    cohort__running.attempt = attempt + 1;
    cohort__running.count = count;
    if (shared) cohort__pool_enter(w->pool, w->me);
    cohort__failure_record(w->me, cohort__job_chain(w->job, c, w->number), status);
    if (shared) cohort__pool_leave(w->pool);
    cohort__job_failed(w->job, cohort__progress_item(progress), status);
}

/* In the plain loop: its task has failed, or there is more to do than to call the next one. */
static COHORT__APART void item_is_unusual(cohort__worker_self_t *w, apr_status_t status,
                                          uint64_t attempt) {
    cohort__task_over(status);
    if (status) items_failed(w, status, attempt, 1);
}

static inline void chunk_done(_Atomic uint64_t *progress, _Atomic uint64_t *word, uint64_t number,
                              uint64_t end) {
    atomic_store_explicit(progress, cohort__progress(end, false), memory_order_release);
    atomic_store_explicit(word, cohort__chunk_word(COHORT__CHUNK_DONE, 0, number, 0),
                          memory_order_release);
}

/* The thread that ends the job, or drops it, has set COHORT__NEEDS_LOOK before. */
static bool job_goes_on(const cohort__worker_self_t *w) {
    return !cohort__job_is_over(w->job) && !atomic_load(&w->job->unwanted) &&
           atomic_load(&w->pool->state) != COHORT__POOL_ENDED;
}

/* The record says that the turn is under way. Any other status than APR_SUCCESS: the task is not
 * run, and its item fails with that. */
static apr_status_t turn_begins(cohort__worker_self_t *w, cohort__turn_t *turn) {
    if (turn->needs & COHORT__NEEDS_BYTES) cohort__bytes_begin(w->job, turn);
    if (turn->needs & COHORT__NEEDS_MARKS) {
        cohort__running.skipped = cohort__item_is_marked(w->job, turn->first);
        if (cohort__running.skipped) return COHORT_ECANCELLED;
    }
    if (turn->needs & COHORT__NEEDS_TIMES)
        atomic_store_explicit(&w->record->begun, cohort_os_now(), memory_order_release);
    return APR_SUCCESS;
}

/* The task has returned this status, or was not run; what its item is to end with. */
static apr_status_t turn_ends(cohort__worker_self_t *w, const cohort__turn_t *turn,
                              apr_status_t status) {
    if (turn->needs & COHORT__NEEDS_TIMES)
        atomic_store_explicit(&w->record->begun, 0, memory_order_relaxed);
    if (turn->needs & COHORT__NEEDS_BYTES) cohort__bytes_end(w, turn, status);
    return status;
}

/* A raw copy of the worker, which a task may make and return in, ends before anything is said of
 * the item. */
static apr_status_t call_task(const cohort__worker_self_t *w, const cohort__turn_t *turn) {
    apr_status_t status;
    if (turn->needs & COHORT__NEEDS_RANGE && w->task != lost_task) {
        cohort_range_task_t range = (cohort_range_task_t)(cohort__function_t)w->task;
        status = range(turn->input, turn->output, (apr_size_t)turn->first, (apr_size_t)turn->last);
    } else status = w->task(turn->input, turn->output);
    if (cohort__is_unusual(status)) cohort__task_over(status);
    return status;
}

/* Its items, and where their data is; a range gets whole arrays, and the rest of the chunk. */
static void set_turn(const cohort_result_t *job, cohort__turn_t *turn, uint64_t end) {
    uint64_t at = turn->needs & COHORT__NEEDS_RANGE ? 0 : turn->first;
    turn->last = turn->needs & COHORT__NEEDS_RANGE ? end : turn->first + 1;
    turn->input = job->inputs ? job->inputs + at * job->input_size : NULL;
    turn->output = job->outputs ? job->outputs + at * job->output_size : NULL;
}

/* False: it is to be run again, at once, or by any worker when it has waited. */
static bool run_turn(cohort__worker_self_t *w, cohort__turn_t *turn) {
    atomic_store_explicit(&w->record->progress, underway(turn->first), memory_order_release);
    apr_status_t status = turn_begins(w, turn);
    if (!status) status = call_task(w, turn);
    bool again =
        status && turn->needs & COHORT__NEEDS_AGAIN && cohort__is_turn_again(w, turn, status);
    status = turn_ends(w, turn, status);
    if (!again && status) items_failed(w, status, turn->attempt, turn->last - turn->first);
    if (turn->needs & COHORT__NEEDS_COUNTS) cohort__tally_turn(w, turn, status, again);
    if (again) cohort__turn_again(w, turn);
    cohort__running.skipped = false;
    return !again;
}

/* The record says what is left before the word does: the repairer of this worker finds the one or
 * the other. Should it die before the job is on the list, the repairer puts it there. */
void cohort__run_give_back(cohort__worker_self_t *w, const cohort__turn_t *turn) {
    cohort_result_t *job = w->job;
    uint64_t start = turn->first - turn->chunk * job->chunk;
    atomic_store(&w->record->progress, cohort__progress(turn->first, false));
    atomic_store(&job->words[turn->chunk],
                 cohort__chunk_word(COHORT__CHUNK_RETRY, turn->attempt, w->number, start));
    cohort__job_cancel_chunk(job, turn->chunk);
    if (!atomic_load(&job->cancelled)) return;
    cohort__job_settle(job);
    if (turn->needs & COHORT__NEEDS_NEWS) cohort__imap_news(job->imap);
}

/* The chunk from this item on. False: the job is over or not wanted, and the rest is abandoned. */
static COHORT__NOINLINE bool run_apart(cohort__worker_self_t *w, uint64_t word, uint64_t at) {
    cohort_result_t *job = w->job;
    const uint64_t c = atomic_load_explicit(&w->record->chunk, memory_order_relaxed);
    const uint64_t first = c * job->chunk, left = job->n - first,
                   end = left < job->chunk ? job->n : first + job->chunk;
    cohort__turn_t turn = {
        .chunk = c, .first = at, .attempt = cohort__word_attempt_of(word, at - first)};
    while (turn.first < end) {
        turn.needs = atomic_load(&job->needs);
        if (!job_goes_on(w)) return false;
        if (turn.needs & (COHORT__NEEDS_CANCEL | COHORT__NEEDS_TIMES) &&
            !cohort__item_may_begin(w->record, job, c, turn.first, &w->ends)) {
            if (turn.needs & COHORT__NEEDS_NEWS) cohort__imap_news(job->imap);
            return !w->ends;
        }
        if (turn.needs & COHORT__NEEDS_LIMIT && cohort__run_retires(w, &turn)) return false;
        if (turn.needs & COHORT__NEEDS_ROOM && cohort__run_gives_way(w, &turn)) return false;
        set_turn(job, &turn, end);
        bool over = run_turn(w, &turn);
        if (turn.needs & COHORT__NEEDS_LIMIT) cohort__run_counts(w);
        if (!over && turn.needs & COHORT__NEEDS_DELAY) return true;
        if (!over) continue;
        turn.first = turn.last;
        turn.attempt = 0;
    }
    chunk_done(&w->record->progress, &job->words[c], w->number, end);
    if (turn.needs & COHORT__NEEDS_NEWS) cohort__imap_news(job->imap);
    return true;
}

/* ---- the plain loop ------------------------------------------------------------------------- */

/* What a batch needs, in variables of its own: for all that the compiler knows a task might change
 * everything else. */
typedef struct {
    const _Atomic uint32_t *needs; /* of the job */
    _Atomic uint64_t *words, *progress, *at;
    cohort_task_t task;
    uint64_t chunk, n, number;
    uintptr_t inputs, outputs, input_size, output_size;
} batch_t;

static batch_t batch_of(const cohort__worker_self_t *w) {
    cohort_result_t *job = w->job;
    return (batch_t){.needs = &job->needs,
                     .words = job->words,
                     .progress = &w->record->progress,
                     .at = &w->record->chunk,
                     .task = w->task,
                     .chunk = job->chunk,
                     .n = job->n,
                     .number = w->number,
                     .inputs = (uintptr_t)job->inputs,
                     .outputs = (uintptr_t)job->outputs,
                     .input_size = job->inputs ? job->input_size : 0,
                     .output_size = job->outputs ? job->output_size : 0};
}

/* What the record says is true the moment the word says RUNNING(me), and of no meaning before. */
static inline bool claim_chunk(const batch_t *b, uint64_t c, uint64_t *word) {
    *word = atomic_load_explicit(&b->words[c], memory_order_acquire);
    if (!cohort__word_claimable(*word)) return false;
    uint64_t start = cohort__word_start(*word), attempt = cohort__word_attempt(*word);
    /* after the word of the chunk before says DONE */
    atomic_store_explicit(b->at, c, memory_order_release);
    atomic_store_explicit(b->progress, cohort__progress(c * b->chunk + start, false),
                          memory_order_release);
    return atomic_compare_exchange_strong(
        &b->words[c], word, cohort__chunk_word(COHORT__CHUNK_RUNNING, attempt, b->number, start));
}

/* One store says that an item is done and that the next one begins. `plain`: what the job may need
 * and still go through here. False: see run_apart(). */
static inline bool run_chunk(cohort__worker_self_t *w, const batch_t *b, uint64_t c, uint64_t word,
                             const uint32_t plain) {
    const uint64_t first = c * b->chunk, end = b->n - first < b->chunk ? b->n : first + b->chunk;
    const uint64_t begin = first + cohort__word_start(word), last = underway(end - 1);
    uintptr_t input = b->inputs + begin * b->input_size,
              output = b->outputs + begin * b->output_size;
    uint64_t now = underway(begin);
    COHORT__UNROLL
    for (; !(atomic_load_explicit(b->needs, memory_order_relaxed) & ~plain);
         now += underway(1) - underway(0)) {
        atomic_store_explicit(b->progress, now, memory_order_release);
        apr_status_t status = b->task((const void *)input, (void *)output);
        if (cohort__is_unusual(status))
            item_is_unusual(w, status, now == underway(begin) ? cohort__word_attempt(word) : 0);
        if (now == last) {
            chunk_done(b->progress, &b->words[c], b->number, end);
            if (plain & COHORT__NEEDS_NEWS) cohort__imap_news(w->job->imap);
            return true;
        }
        input += b->input_size;
        output += b->output_size;
    }
    return run_apart(w, word, cohort__progress_item(now));
}

static COHORT__NOINLINE void run_batch(cohort__worker_self_t *w, uint64_t from, uint64_t to) {
    const batch_t b = batch_of(w);
    uint64_t word;
    for (uint64_t c = from; c < to; c++) {
        if (claim_chunk(&b, c, &word) && !run_chunk(w, &b, c, word, 0)) return;
    }
}

/* Of a portion of an imap. */
static COHORT__NOINLINE void run_portion(cohort__worker_self_t *w, uint64_t from, uint64_t to) {
    const batch_t b = batch_of(w);
    uint64_t word;
    for (uint64_t c = from; c < to; c++) {
        if (!claim_chunk(&b, c, &word)) continue;
        if (!run_chunk(w, &b, c, word, COHORT__NEEDS_NEWS)) return;
    }
}

/* ---- batches -------------------------------------------------------------------------------- */

/* bytes that are asked for before they are used; what is longer the caches see coming */
#define AHEAD_MAX 512
_Static_assert(BATCH_MAX * sizeof(uint64_t) <= AHEAD_MAX, "all words of a batch are asked for");

static void prefetch(const void *data, uint64_t size) {
    for (uint64_t at = 0; at < size && at < AHEAD_MAX; at += 64)
        cohort__prefetch((const char *)data + at);
}

/* Lines that are written come while the first chunk is at work, and not each when its turn is. */
static void prefetch_batch(const cohort_result_t *job, uint64_t from, uint64_t to) {
    uint64_t size = job->chunk * job->output_size;
    prefetch(&job->words[from], (to - from) * sizeof *job->words);
    if (job->outputs) prefetch(job->outputs + from * size, (to - from) * size);
}

/* From the cursor: big batches at first, single chunks towards the end. False: it is there. */
static bool from_cursor(const cohort__worker_self_t *w, uint64_t *from, uint64_t *to) {
    cohort_result_t *job = w->job;
    uint64_t at = atomic_load_explicit(&job->cursor, memory_order_relaxed);
    uint64_t share = at < job->chunks ? (job->chunks - at) / (4 * (uint64_t)w->pool->workers) : 0;
    uint64_t count = share < 1 ? 1 : share < BATCH_MAX ? share : BATCH_MAX;
    if (at < job->chunks) at = atomic_fetch_add(&job->cursor, count);
    if (at >= job->chunks) return false;
    *from = at;
    *to = job->chunks - at > count ? at + count : job->chunks;
    prefetch_batch(job, *from, *to);
    return true;
}

/* Of a job that runs once on every worker. */
static COHORT__APART bool own_chunk(cohort__worker_self_t *w, uint64_t *from, uint64_t *to) {
    w->passing = true;
    *from = w->number;
    *to = *from + 1;
    return *from < w->job->chunks;
}

/* Chunks of which each may be this worker's, if it is quicker than others; false: it has seen
 * all. */
static bool next_batch(cohort__worker_self_t *w, uint64_t *from, uint64_t *to) {
    if (w->passing) return false;
    if (cohort__job_is_each(w->job)) return own_chunk(w, from, to);
    w->passing = !from_cursor(w, from, to);
    if (w->passing) {
        if (cohort__job_delays(w->job)) cohort__chunks_open(w->job);
        *from = atomic_load(&w->job->scanned);
        *to = w->job->chunks;
    }
    return true;
}

/* A visit that is not cut short ends with a pass, and that at the last chunk: so a worker that has
 * stored a DONE settles after it. The rest is for speed: looking for the first chunk that is not
 * done takes the lines of the words from the workers that are at work there, so it is done seldom;
 * but then little is left to be looked at in the end. */
static bool is_time_to_settle(const cohort_result_t *job, uint64_t from, uint64_t to) {
    return to == job->chunks || from / SETTLE_EVERY != to / SETTLE_EVERY;
}

bool cohort__run_next(cohort__worker_self_t *w) {
    uint64_t from, to;
    if (!job_goes_on(w) || !next_batch(w, &from, &to)) return false;
    if (cohort__job_is_portion(w->job)) run_portion(w, from, to);
    else run_batch(w, from, to);
    if (w->ends || w->gives_way) return false;
    if (w->retires || cohort__job_is_each(w->job) || is_time_to_settle(w->job, from, to))
        cohort__job_settle(w->job);
    return !w->retires;
}

/* ---- what a task can ask -------------------------------------------------------------------- */

/* The word of the chunk that is under way says RUNNING(this worker), and nothing but the death of
 * this process changes it. */
void cohort__worker_task(const cohort_result_t *job, cohort__task_t *task) {
    uint64_t c = atomic_load_explicit(cohort__running.chunk, memory_order_relaxed);
    uint64_t progress = atomic_load_explicit(cohort__running.progress, memory_order_relaxed);
    const _Atomic uint64_t *word = job->words + c;
    if (!cohort__progress_runs(progress) || c >= job->chunks ||
        !cohort__in_arena((const void *)word, sizeof *word))
        return;
    uint64_t item = cohort__progress_item(progress), at = item - c * job->chunk;
    task->index = item;
    task->base = job->base;
    task->attempt =
        cohort__word_attempt_of(atomic_load_explicit(word, memory_order_relaxed), at) + 1;
    task->context = job->context;
    task->input_size = job->bytes & COHORT__BYTES_IN
                           ? atomic_load_explicit(&cohort__running.input_size, memory_order_relaxed)
                           : job->input_size;
}
