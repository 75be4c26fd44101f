/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What a worker of the local back end does: find a job, claim its chunks, run them. The order of
 * stores matters in every line here; see pool.h. */
#include "core/base/bits.h"
#include "core/pool/backend_local.h"

#include <stdlib.h>
#include <string.h>

#define BATCH_MAX    64   /* chunks taken from the cursor at once: eight cache lines of words */
#define SETTLE_EVERY 1024 /* chunks of a job: a worker that crosses a multiple looks what is done */

typedef struct {
    cohort_pool_t *pool;
    cohort__thread_t *me;
    cohort__worker_t *record;
    uint32_t number;
    uint32_t deaths; /* of the cohort, when orphans were last looked for */
    char name[COHORT__NAME_MAX];
    /* the job at hand */
    cohort_result_t *job;
    cohort_task_t task;
    uint64_t round;      /* of the job, when this visit began */
    bool passing;        /* over all words, once: the cursor is at the end */
    cohort__code_t code; /* of the task that was looked up last */
} worker_t;

/* ---- ranges of chunks ----------------------------------------------------------------------- */

/* bytes that are asked for before they are used; what is longer the caches see coming */
#define AHEAD_MAX 512
_Static_assert(BATCH_MAX * sizeof(uint64_t) <= AHEAD_MAX, "all words of a batch are asked for");

static void prefetch(const void *data, uint64_t size) {
    for (uint64_t at = 0; at < size && at < AHEAD_MAX; at += 64)
        cohort__prefetch((const char *)data + at);
}

/* Lines that are written come while the first chunk is at work, and not each when its turn is. */
static void prefetch_range(const cohort_result_t *job, uint64_t from, uint64_t to) {
    uint64_t size = job->chunk * job->output_size;
    prefetch(&job->words[from], (to - from) * sizeof *job->words);
    if (job->outputs) prefetch(job->outputs + from * size, (to - from) * size);
}

/* From the cursor: big batches at first, single chunks towards the end. False: it is there. */
static bool take_batch(const worker_t *w, uint64_t *from, uint64_t *to) {
    cohort_result_t *job = w->job;
    uint64_t at = atomic_load_explicit(&job->cursor, memory_order_relaxed);
    uint64_t share = at < job->chunks ? (job->chunks - at) / (4 * (uint64_t)w->pool->workers) : 0;
    uint64_t count = share < 1 ? 1 : share < BATCH_MAX ? share : BATCH_MAX;
    if (at < job->chunks) at = atomic_fetch_add(&job->cursor, count);
    if (at >= job->chunks) return false;
    *from = at;
    *to = job->chunks - at > count ? at + count : job->chunks;
    prefetch_range(job, *from, *to);
    return true;
}

/* Chunks of which each may be this worker's, if it is quicker than others; false: it has seen
 * all. */
static bool next_range(worker_t *w, uint64_t *from, uint64_t *to) {
    if (w->passing) return false;
    w->passing = !take_batch(w, from, to);
    if (w->passing) {
        *from = atomic_load(&w->job->scanned);
        *to = w->job->chunks;
    }
    return true;
}

/* ---- running -------------------------------------------------------------------------------- */

/* What a range needs, in variables of its own: for all that the compiler knows a task might change
 * everything else. */
typedef struct {
    const _Atomic uint64_t *state, *unwanted; /* of the pool; of the job */
    _Atomic uint64_t *words, *progress, *at;
    cohort_task_t task;
    uint64_t chunk, n, number;
    uintptr_t inputs, outputs, input_size, output_size;
} range_t;

static range_t range_of(const worker_t *w) {
    cohort_result_t *job = w->job;
    return (range_t){.state = &w->pool->state,
                     .unwanted = &job->unwanted,
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

static bool claimable(uint64_t word) {
    unsigned state = cohort__word_state(word);
    return state == COHORT__CHUNK_FREE || state == COHORT__CHUNK_RETRY;
}

/* What the record says is true the moment the word says RUNNING(me), and of no meaning before. */
static inline bool claim_chunk(const range_t *r, uint64_t c, uint64_t *word) {
    *word = atomic_load_explicit(&r->words[c], memory_order_acquire);
    if (!claimable(*word)) return false;
    uint64_t start = cohort__word_start(*word), attempt = cohort__word_attempt(*word);
    /* after the word of the chunk before says DONE */
    atomic_store_explicit(r->at, c, memory_order_release);
    atomic_store_explicit(r->progress, cohort__progress(c * r->chunk + start, false),
                          memory_order_release);
    return atomic_compare_exchange_strong(
        &r->words[c], word, cohort__word(COHORT__CHUNK_RUNNING, attempt, r->number, start));
}

static uint64_t underway(uint64_t item) { return cohort__progress(item, true); }

/* Stands in for a task that is not there. */
static apr_status_t lost(const void *input, void *output) {
    (void)input, (void)output;
    return cohort__running.lost;
}

static COHORT__APART void item_failed(worker_t *w, uint64_t c, apr_status_t status,
                                      uint64_t attempt) {
    cohort__end_copied_task(status);
    cohort__running.attempt = attempt + 1;
    cohort__failure_record(w->me, cohort__job_chain(w->job, c, w->number), status);
    uint64_t progress = atomic_load_explicit(&w->record->progress, memory_order_relaxed);
    cohort__job_failed(w->job, cohort__progress_item(progress), status);
}

static inline void chunk_done(const range_t *r, uint64_t c, uint64_t end) {
    atomic_store_explicit(r->progress, cohort__progress(end, false), memory_order_release);
    atomic_store_explicit(&r->words[c], cohort__word(COHORT__CHUNK_DONE, 0, r->number, 0),
                          memory_order_release);
}

/* False: the pool has ended, the rest of the chunk is abandoned. One store says that an item is
 * done and that the next one begins. */
static inline bool run_chunk(worker_t *w, const range_t *r, uint64_t c, uint64_t word) {
    const uint64_t first = c * r->chunk, end = r->n - first < r->chunk ? r->n : first + r->chunk;
    const uint64_t begin = first + cohort__word_start(word), last = underway(end - 1);
    uintptr_t input = r->inputs + begin * r->input_size,
              output = r->outputs + begin * r->output_size;
    uint64_t now = underway(begin);
    COHORT__UNROLL
    for (; atomic_load_explicit(r->state, memory_order_relaxed) != COHORT__POOL_ENDED;
         now += underway(1) - underway(0)) {
        atomic_store_explicit(r->progress, now, memory_order_release);
        apr_status_t status = r->task((const void *)input, (void *)output);
        if (cohort__is_unusual(status))
            item_failed(w, c, status, now == underway(begin) ? cohort__word_attempt(word) : 0);
        if (now == last) {
            chunk_done(r, c, end);
            return true;
        }
        input += r->input_size;
        output += r->output_size;
    }
    return false;
}

static bool run_range(worker_t *w, uint64_t from, uint64_t to) {
    const range_t r = range_of(w);
    uint64_t word;
    for (uint64_t c = from; c < to && !atomic_load_explicit(r.unwanted, memory_order_relaxed);
         c++) {
        if (claim_chunk(&r, c, &word) && !run_chunk(w, &r, c, word)) return false;
    }
    return true;
}

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
    task->attempt =
        cohort__word_attempt_of(atomic_load_explicit(word, memory_order_relaxed), at) + 1;
    task->context = job->context;
}

/* ---- jobs ----------------------------------------------------------------------------------- */

/* The code of one task is mostly that of the one before. */
static void look_up(worker_t *w) {
    cohort__function_t function = NULL;
    const cohort__code_t *code = &w->job->task;
    if (w->task && w->task != lost && w->code.module == code->module &&
        w->code.offset == code->offset)
        return;
    cohort__running.lost = cohort__code_at(code, &function);
    if (!function && !cohort__running.lost) cohort__running.lost = COHORT_ETARGET;
    w->task = function ? (cohort_task_t)function : lost;
    w->code = *code;
}

/* A visit that is not cut short ends with a pass, and that at the last chunk: so a worker that has
 * stored a DONE settles after it. The rest is for speed: looking for the first chunk that is not
 * done takes the lines of the words from the workers that are at work there, so it is done seldom;
 * but then little is left to be looked at in the end. */
static bool is_time_to_settle(const cohort_result_t *job, uint64_t from, uint64_t to) {
    return to == job->chunks || from / SETTLE_EVERY != to / SETTLE_EVERY;
}

static void begin_visit(worker_t *w) {
    w->round = atomic_load(&w->job->round);
    w->passing = false;
    look_up(w);
    if (w->job->chunks > 1) atomic_fetch_add_explicit(&w->job->visits, 1, memory_order_relaxed);
    cohort__running.progress = &w->record->progress;
    cohort__running.visit++;
    atomic_store_explicit(&cohort__running.job, w->job, memory_order_release);
}

/* Every chunk was seen taken. Unless some became free again since, the job need not be found any
 * more. What is done stays: mostly a thread waits for it, which will take it off. */
static void unlist(worker_t *w) {
    cohort_result_t *job = w->job;
    if (cohort__job_is_over(job) || !cohort__linked(&job->ready)) return;
    cohort__pool_enter(w->pool, w->me);
    if (cohort__linked(&job->ready) && atomic_load(&job->round) == w->round) {
        cohort__link_take(&w->pool->guard, &job->ready);
    }
    cohort__pool_leave(w->pool);
}

/* From the store on the job may be freed by another thread, and be another job; what is said of it
 * is looked at again under the guard. */
static void leave(worker_t *w) {
    cohort_result_t *job = w->job;
    w->job = NULL;
    atomic_store_explicit(&cohort__running.job, NULL, memory_order_relaxed);
    atomic_store(&w->record->job, NULL);
    if (!atomic_load(&job->unwanted)) return;
    cohort__pool_enter(w->pool, w->me);
    cohort__job_left(w->pool, w->me, job);
    cohort__pool_leave(w->pool);
}

/* False: the pool has ended. (A function of its own, so that the loop over the items has the
 * registers to itself.) */
static COHORT__NOINLINE bool work(worker_t *w) {
    const cohort_result_t *job = w->job;
    uint64_t from, to;
    bool goes_on = true;
    begin_visit(w);
    while (goes_on && !cohort__job_is_over(job) &&
           !atomic_load_explicit(&job->unwanted, memory_order_relaxed) &&
           next_range(w, &from, &to)) {
        goes_on = run_range(w, from, to);
        if (goes_on && is_time_to_settle(job, from, to)) cohort__job_settle(w->job);
    }
    if (goes_on) unlist(w);
    leave(w);
    return goes_on;
}

/* ---- finding one ---------------------------------------------------------------------------- */

/* The first job is done, and there are others behind it. */
static void pass_over(worker_t *w, cohort_result_t *job) {
    cohort__pool_enter(w->pool, w->me);
    if (cohort__pool_first(w->pool) == job && cohort__job_is_over(job))
        cohort__link_take(&w->pool->guard, &job->ready);
    cohort__pool_leave(w->pool);
}

/* A job that is still the first after the record names it cannot be freed before the record names
 * another. */
static bool find_job(worker_t *w) {
    cohort_pool_t *pool = w->pool;
    cohort_result_t *first;
    while ((first = cohort__pool_first(pool)) != NULL) {
        if (cohort__job_is_over(first)) {
            pass_over(w, first);
            continue;
        }
        w->job = first;
        atomic_store(&w->record->job, w->job);
        if (cohort__pool_first(pool) == first) return true;
        leave(w);
    }
    return false;
}

/* An idle worker looks, after each death, whether a dead process has left jobs that no worker will
 * ever ask for. */
static void look_around(worker_t *w) {
    cohort_pool_t *pool = w->pool;
    uint32_t deaths = atomic_load(&cohort__arena->death);
    if (deaths == w->deaths || atomic_load(&pool->swept) == deaths) return;
    w->deaths = deaths;
    cohort__pool_enter(pool, w->me);
    cohort__jobs_sweep(pool, w->me);
    atomic_store(&pool->swept, deaths);
    cohort__pool_leave(pool);
}

static apr_status_t try_find(void *arg, bool thorough) {
    worker_t *w = arg;
    uint64_t state = atomic_load(&w->pool->state);
    if (state == COHORT__POOL_ENDED) return APR_EOF;
    if (find_job(w)) return APR_SUCCESS;
    if (state == COHORT__POOL_CLOSED) return APR_EOF;
    if (thorough) look_around(w);
    return APR_EAGAIN;
}

/* ---- the life of a worker ------------------------------------------------------------------- */

static void *args; /* of the initializer: a copy of this worker's own, for its life */

static apr_status_t initialise(worker_t *w) {
    cohort__function_t function;
    size_t size = (size_t)w->pool->init_size;
    apr_status_t status = cohort__code_at(&w->pool->initializer, &function);
    if (status || !function) return status;
    if (size && !(args = malloc(size)))
        return cohort__fail(APR_ENOMEM, "copying the initializer's arguments");
    if (size) memcpy(args, atomic_load(&w->pool->object.parts[1]), size);
    status = ((cohort_initializer_t)function)(args);
    cohort__end_copied_task(status);
    return status;
}

/* Why the initializer failed, in the words that it gave to cohort_task_fail(), if any. */
static void initializer_failed(worker_t *w, apr_status_t status) {
    cohort__failure_t what = {.status = status,
                              .exit_code = COHORT_EXIT_NONE,
                              .process = cohort__self_id(),
                              .pid = cohort__self()->os.pid,
                              .attempt = 1};
    char text[400];
    size_t length;
    const char *message = cohort__failure_message(status, 0, text, sizeof text, &length);
    memcpy(what.worker, w->name, sizeof what.worker);
    atomic_store(&w->record->phase, COHORT__WORKER_FAILED);
    cohort__start_failed(w->pool, w->me, w->record, &what, message, length);
}

/* How the start of this worker came out. */
static void report(worker_t *w, apr_status_t status) {
    cohort__pool_enter(w->pool, w->me);
    if (status) initializer_failed(w, status);
    else cohort__start_succeeded(w->pool, w->record);
    cohort__pool_leave(w->pool);
}

/* Nothing of what the process was at that this one is a fork of. */
static void begin_running(const worker_t *w) {
    cohort__running_t *running = &cohort__running;
    atomic_store_explicit(&running->job, NULL, memory_order_relaxed);
    running->process = cohort__self_id();
    running->progress = NULL; /* what the record says is of the worker before */
    running->chunk = &w->record->chunk;
    running->worker = w->name;
}

int cohort__pool_worker_main(cohort_process_t *self) {
    worker_t w = {0};
    w.pool = atomic_load(&self->pool);
    w.number = atomic_load(&self->worker);
    w.record = cohort__pool_worker(w.pool, w.number);
    if (cohort__enter(&w.me)) return 1;
    cohort__worker_name(w.pool, w.number, w.name);
    begin_running(&w);
    atomic_store(&w.record->phase, COHORT__WORKER_INITIALISING);
    apr_status_t status = initialise(&w);
    report(&w, status);
    if (status) return 1;
    for (bool goes_on = true; goes_on;) {
        goes_on =
            !cohort__await_paced(&w.pool->work, try_find, &w, COHORT_OS_NEVER, cohort__pace_idle) &&
            work(&w);
    }
    cohort__failure_forget();
    return 0;
}
