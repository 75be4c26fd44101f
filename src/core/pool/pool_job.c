/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Jobs of the local back end: submitted, completed, freed. Results, which is what users call them:
 * pool_result.c. */
#include "core/base/bits.h"
#include "core/pool/pool_bytes.h"
#include "core/pool/pool_imap.h"

#include <string.h>

/* ---- submitting ----------------------------------------------------------------------------- */

/* Finding the code of a function is slow where the system must be asked; a thread mostly submits
 * the same. */
static apr_status_t find_code(cohort__function_t task, cohort__code_t *code) {
    static _Thread_local cohort__function_t known_task;
    static _Thread_local uint32_t member;
    static _Thread_local cohort__code_t found;
    if (known_task != task || member != cohort__membership()) {
        apr_status_t status = cohort__code_find(task, &found);
        known_task = status ? NULL : task;
        member = cohort__membership();
        if (status) return status;
    }
    *code = found;
    return APR_SUCCESS;
}

static uint64_t padded(uint64_t size) { return (size + 15) & ~(uint64_t)15; }

enum { PART_INPUTS, PART_OUTPUTS, PART_WORDS, PART_FAILURE }; /* the parts of a job */

/* Take room for something of the job: in the job itself, or a block. */
static apr_status_t take_room(cohort__thread_t *me, cohort_result_t *job, unsigned part,
                              uint64_t size, uint64_t *used, char **at) {
    size = padded(size);
    job->held += size;
    if (size <= sizeof job->data - *used) {
        *at = job->data + *used;
        *used += size;
        return APR_SUCCESS;
    }
    apr_status_t status =
        cohort__block_new(me, COHORT__KIND_BYTES, (size_t)size, &job->object.parts[part]);
    if (!status) *at = atomic_load(&job->object.parts[part]);
    return status;
}

/* What does not lie in the arena is copied. */
static bool is_private(const void *data, uint64_t size) {
    return size && !cohort__in_arena(data, (size_t)size);
}

/* Bytes of what is copied of the inputs. */
static apr_status_t measure_inputs(const cohort_job_t *order, uint64_t *copied) {
    uint64_t size = order->n * order->input_size;
    if (order->input_size >= COHORT_STRINGS) return cohort__inputs_measure(order, copied);
    *copied = is_private(order->inputs, size) ? padded(size) : 0;
    return APR_SUCCESS;
}

static apr_status_t copy_inputs(cohort_result_t *job, const cohort_job_t *order, char *at,
                                uint64_t copied) {
    job->inputs = at;
    if (order->input_size >= COHORT_STRINGS) return cohort__inputs_pack(order, at, copied);
    memcpy(at, order->inputs, (size_t)(order->n * order->input_size));
    return APR_SUCCESS;
}

/* Inputs and context; copies of both share one place. */
static apr_status_t place_inputs(cohort__thread_t *me, cohort_result_t *job,
                                 const cohort_job_t *order, uint64_t *used) {
    uint64_t inputs;
    uint64_t context = is_private(order->context, order->context_size) ? order->context_size : 0;
    char *at;
    apr_status_t status = measure_inputs(order, &inputs);
    if (status) return status;
    job->input_size = cohort__order_stride(order->input_size);
    job->inputs = order->n && job->input_size ? order->inputs : NULL;
    job->context = order->context;
    if (!inputs && !context) return APR_SUCCESS;
    status = take_room(me, job, PART_INPUTS, inputs + context, used, &at);
    if (!status && inputs) status = copy_inputs(job, order, at, inputs);
    if (!status && context) job->context = memcpy(at + inputs, order->context, (size_t)context);
    return status;
}

/* Records of outputs with a size each. The user's array is not written before they are its own. */
static apr_status_t place_records(cohort__thread_t *me, cohort_result_t *job,
                                  const cohort_job_t *order, uint64_t *used) {
    uint64_t size = order->n * job->output_size;
    job->destination = order->outputs;
    apr_status_t status = take_room(me, job, PART_OUTPUTS, size, used, &job->outputs);
    if (!status) memset(job->outputs, 0, (size_t)size);
    return status;
}

/* What a type of so many bytes may need: its size is a multiple of its alignment. No more, so that
 * the input and the output of a small task share a cache line, which then goes there and back. */
static uint64_t alignment_of(uint64_t size) {
    uint64_t alignment = size & (0 - size);
    return alignment < 64 ? alignment : 64;
}

static apr_status_t place_outputs(cohort__thread_t *me, cohort_result_t *job,
                                  const cohort_job_t *order, uint64_t *used) {
    job->output_size = cohort__order_stride(order->output_size);
    uint64_t size = order->n * job->output_size;
    if (!size) return APR_SUCCESS;
    if (order->output_size == COHORT_BYTES) return place_records(me, job, order, used);
    job->outputs = order->outputs;
    if (order->outputs && cohort__in_arena(order->outputs, (size_t)size)) return APR_SUCCESS;
    job->destination = order->outputs;
    uint64_t alignment = alignment_of(order->output_size);
    *used = (*used + alignment - 1) & ~(alignment - 1);
    return take_room(me, job, PART_OUTPUTS, size, used, &job->outputs);
}

/* Words of the chunks, and behind them the heads of the chains of failures, and times. */
static apr_status_t place_words(cohort__thread_t *me, cohort_result_t *job, uint32_t workers) {
    if (job->chunks <= 1) {
        job->by_chunk = 1;
        job->words = &job->word;
        job->failures = &job->failure;
        job->due = &job->due_of_one;
        return APR_SUCCESS;
    }
    job->by_chunk = job->chunks <= workers;
    job->chains = workers;
    uint64_t heads = job->by_chunk ? job->chunks : workers, times = job->delay ? job->chunks : 0,
             size = (job->chunks + heads + times) * sizeof *job->words;
    apr_status_t status =
        cohort__block_new(me, COHORT__KIND_BYTES, (size_t)size, &job->object.parts[PART_WORDS]);
    if (status) return status;
    job->words = atomic_load(&job->object.parts[PART_WORDS]);
    job->failures = (cohort__owner_ptr_t *)(void *)(job->words + job->chunks);
    job->due = (_Atomic int64_t *)(void *)(job->words + job->chunks + heads);
    memset((void *)job->words, 0, (size_t)size);
    return APR_SUCCESS;
}

#define RANGE_LEAST 1024 /* items of a range, where there are enough for all workers */

/* Handing out a range costs as much as handing out one item, so of many items there are many: then
 * a worker that wakes late delays nothing, and all end at about the same time. Multiples of 64
 * items, so that no two ranges share a cache line. */
static uint64_t default_range(uint64_t n, uint64_t workers) {
    uint64_t few = n / (16 * workers), many = n / (128 * workers);
    uint64_t range = many < RANGE_LEAST ? RANGE_LEAST : many;
    if (range > few) range = few;
    return range > 64 ? (range + 63) & ~(uint64_t)63 : range;
}

static uint64_t chunk_of(const cohort_job_t *order, uint64_t workers) {
    uint64_t chunk = order->chunk;
    if (!chunk && order->retry_delay && !order->range) chunk = 1; /* it waits as a whole */
    if (!chunk) chunk = order->range ? default_range(order->n, workers) : order->n / (4 * workers);
    return chunk ? chunk : 1;
}

/* What its items need beyond calls of the task. */
static void note_needs(cohort_result_t *job, const cohort_job_t *order) {
    if (order->input_size >= COHORT_STRINGS) job->bytes |= COHORT__BYTES_IN;
    if (order->input_size == COHORT_STRINGS) job->bytes |= COHORT__STRINGS_IN;
    if (order->output_size == COHORT_BYTES) job->bytes |= COHORT__BYTES_OUT;
    uint32_t needs = job->bytes ? COHORT__NEEDS_BYTES : 0;
    if (order->range) needs |= COHORT__NEEDS_RANGE;
    atomic_store_explicit(&job->needs, needs, memory_order_relaxed);
}

static void cut(cohort_result_t *job, const cohort_job_t *order, uint32_t workers) {
    uint64_t chunk = chunk_of(order, workers);
    if (chunk > order->n && order->n) chunk = order->n;
    job->n = order->n;
    job->chunk = chunk;
    job->chunks = (order->n + chunk - 1) / chunk;
    /* one without items is over before another thread knows it */
    if (!job->chunks) atomic_store(&job->state, cohort__job_state(COHORT__JOB_DONE, APR_SUCCESS));
}

static apr_status_t fill_job(cohort__thread_t *me, cohort_result_t *job, cohort_pool_t *pool,
                             const cohort_job_t *order, bool blocking,
                             const cohort__origin_t *origin) {
    uint64_t used = 0;
    uint32_t workers = pool->workers, target = (uint32_t)atomic_load(&pool->target);
    if (!workers || !target) return COHORT_EHANDLE;
    cut(job, order, target);
    note_needs(job, order);
    if (pool->limited) cohort__job_need(job, COHORT__NEEDS_LIMIT);
    if (pool->counts) cohort__tally_expect(job);
    atomic_store_explicit(&job->backend, COHORT__BACKEND_LOCAL, memory_order_relaxed);
    job->submitter = cohort__self_id();
    job->waiter = blocking ? cohort__thread_id(me) : 0;
    if (origin && origin->each) cohort__job_need(job, COHORT__NEEDS_EACH);
    if (origin && !origin->each) {
        job->imap = (cohort_imap_t *)origin->imap.object;
        job->imap_life = origin->imap.life;
        job->base = origin->base;
        cohort__job_need(job, COHORT__NEEDS_NEWS);
    }
    atomic_store_explicit(&job->priority, order->priority, memory_order_relaxed);
    job->attempts = order->attempts ? cohort__attempts(order->attempts) : pool->attempts;
    bool callbacks = !blocking && (order->on_success || order->on_error);
    atomic_store_explicit(&job->callbacks, callbacks, memory_order_relaxed);
    cohort__delay_set(job, order);
    cohort__times_set(job, order);
    cohort__again_set(job, order);
    int64_t observed = atomic_load_explicit(&pool->observed, memory_order_relaxed);
    if (observed && cohort_os_now() < observed) cohort__job_need(job, COHORT__NEEDS_TIMES);
    apr_status_t status =
        find_code(order->range ? (cohort__function_t)order->range : (cohort__function_t)order->task,
                  &job->task);
    if (!status) status = place_inputs(me, job, order, &used);
    if (!status) status = place_outputs(me, job, order, &used);
    if (!status) status = place_words(me, job, workers);
    return status;
}

static apr_status_t refusal(cohort_pool_t *pool) {
    uint64_t state = atomic_load(&pool->state);
    return state == COHORT__POOL_OPEN ? APR_SUCCESS : COHORT_ENOTRUNNING;
}

static apr_status_t destroy_result(void *object) { return cohort_result_destroy(object); }

/* Owned by the thread's in-flight pointer, then by the pool's, then by the list; alive at the end.
 * In between the next owner of the guard, or a sweep, frees it. */
static apr_status_t enlist_job(cohort__thread_t *me, cohort_pool_t *pool, uint64_t tag,
                               cohort_result_t *job, apr_pool_t *parent) {
    apr_status_t status = cohort__pool_enter_live(pool, me, tag);
    if (status) return status;
    status = refusal(pool);
    if (!status && cohort__job_is_each(job) && job->n != atomic_load(&pool->target))
        status = APR_EAGAIN;
    if (!status && !cohort__room_take(pool, job)) status = APR_EAGAIN;
    if (!status) {
        atomic_store(&job->pool, pool);
        if (job->timed) atomic_store(&pool->timed, 1);
        cohort__block_move(me, &me->in_flight[COHORT__IN_FLIGHT_OBJECT],
                           &pool->in_flight.owner_ptr);
        cohort__link_put(&pool->guard, &pool->all, &job->all, false);
        cohort__guard_set(&pool->guard, &pool->in_flight.word, 0);
        cohort__guard_commit(&pool->guard);
        if (cohort__job_is_each(job))
            cohort__link_put(&pool->guard, &pool->each, &job->ready, false);
        else if (job->chunks) cohort__job_list(pool, job, false);
        if (pool->counts) cohort__tally_takes(pool, job);
        cohort__guard_commit(&pool->guard);
        if (cohort__job_is_each(job)) cohort__each_begins(pool);
        if (pool->on_demand && !cohort__job_is_each(job)) cohort__jobs_call(pool, job, job->chunks);
        cohort__object_publish(me, job, COHORT__RESULT_TAG, parent, destroy_result);
        if (job->chunks && !cohort__job_is_each(job)) cohort__job_waits(pool, job);
    }
    cohort__pool_leave(pool);
    return status;
}

/* *held: what the job holds, for a submitter that has to wait for room. */
static apr_status_t submit_now(cohort_result_t **made, const cohort__call_t *use,
                               const cohort_job_t *order, bool blocking,
                               const cohort__origin_t *origin, apr_pool_t *parent, uint64_t *held) {
    cohort_result_t *job;
    cohort_pool_t *pool = (cohort_pool_t *)use->object;
    cohort__thread_t *me = use->me;
    apr_status_t status =
        cohort__object_new(me, COHORT__KIND_RESULT, offsetof(cohort_result_t, changed), &job);
    if (status) return status;
    status = fill_job(me, job, pool, order, blocking, origin);
    if (!status) *held = job->held;
    if (!status) status = enlist_job(me, pool, use->life, job, parent);
    if (status) {
        cohort__object_free(me, job);
        return status;
    }
    *made = job;
    if (job->timed) cohort__times_keep(job);
    uint64_t wake = job->chunks < pool->workers ? job->chunks : pool->workers;
    if (!wake) return APR_SUCCESS;
    atomic_thread_fence(memory_order_seq_cst);
    cohort__notify(&pool->work, (int)wake);
    if (pool->on_demand) cohort__notify(&pool->changed, COHORT__ALL);
    return APR_SUCCESS;
}

/* With the job goes the room that it was to have: others may be faster. */
static COHORT__APART apr_status_t submit_bounded(cohort_result_t **made, const cohort__call_t *use,
                                                 const cohort_job_t *order, bool blocking,
                                                 apr_pool_t *parent) {
    int64_t deadline = cohort__room_deadline(order);
    uint64_t held = 0;
    apr_status_t status;
    do {
        status = cohort__room_await(use, held, deadline);
        if (!status) status = submit_now(made, use, order, blocking, NULL, parent, &held);
    } while (APR_STATUS_IS_EAGAIN(status) && deadline);
    return status;
}

apr_status_t cohort__job_submit(cohort_result_t **made, const cohort__call_t *use,
                                const cohort_job_t *order, bool blocking,
                                const cohort__origin_t *origin, apr_pool_t *parent) {
    uint64_t held;
    cohort_pool_t *pool = (cohort_pool_t *)use->object;
    apr_status_t status = cohort__order_check(order);
    if (!status) status = refusal(pool);
    bool waits = pool->bounded && !origin;
    if (cohort__call_over(use)) status = COHORT_EHANDLE;
    if (status) return status;
    return waits ? submit_bounded(made, use, order, blocking, parent)
                 : submit_now(made, use, order, blocking, origin, parent, &held);
}

/* ---- completing ----------------------------------------------------------------------------- */

void cohort__job_failed(cohort_result_t *job, uint64_t index, apr_status_t status) {
    uint64_t mine = cohort__first_failed(index, status), first = atomic_load(&job->first_failed);
    while ((first == 0 || cohort__first_failed_index(first) > index) &&
           !atomic_compare_exchange_weak(&job->first_failed, &first, mine)) {
    }
}

void cohort__job_finish(cohort_result_t *job, cohort__job_end_t end, apr_status_t status) {
    uint64_t running = 0;
    if (!atomic_compare_exchange_strong(&job->state, &running, cohort__job_state(end, status)))
        return;
    cohort__tally_over(job);
    if (atomic_load(&job->followed)) cohort__completed_note(job);
    if (cohort__job_delays(job)) cohort__delays_over(job);
    /* no thread waits for a portion of an imap, and of its chunks readers have been told */
    if (cohort__job_is_portion(job)) {
        if (end == COHORT__JOB_ABANDONED) cohort__imap_news(job->imap);
        return;
    }
    cohort__notify(&job->changed, COHORT__ALL);
    cohort__notify_completed(job);
}

/* A cancelled chunk: its first item that has not ended by itself has failed. The thread that passes
 * over the chunk says so, before others may pass over it. */
static COHORT__APART bool is_cancelled(cohort_result_t *job, uint64_t c, uint64_t word) {
    if (cohort__word_state(word) != COHORT__CHUNK_CANCELLED) return false;
    cohort__job_has_cancelled(job);
    cohort__job_failed(job, c * job->chunk + cohort__word_start(word),
                       cohort__why_status(cohort__word_attempt(word)));
    return true;
}

static inline bool is_chunk_final(cohort_result_t *job, uint64_t c) {
    uint64_t word = atomic_load_explicit(&job->words[c], memory_order_acquire);
    return cohort__word_state(word) == COHORT__CHUNK_DONE || is_cancelled(job, c, word);
}

/* Of the workers that finish the last chunks at the same time, the fence lets at least one see all
 * of these. */
void cohort__job_settle(cohort_result_t *job) {
    atomic_thread_fence(memory_order_seq_cst);
    /* a thread that passes over chunks has seen them as the thread that scanned them has */
    uint64_t before = atomic_load_explicit(&job->scanned, memory_order_acquire), done = before;
    while (done < job->chunks && is_chunk_final(job, done)) done++;
    if (done < job->chunks) {
        if (done != before) atomic_store_explicit(&job->scanned, done, memory_order_release);
        return;
    }
    if (atomic_load_explicit(&job->state, memory_order_relaxed)) return;
    cohort__job_finish(job, COHORT__JOB_DONE,
                       cohort__first_failed_status(atomic_load(&job->first_failed)));
}

/* ---- freeing -------------------------------------------------------------------------------- */

/* Each record leaves its chain by way of an owner pointer of the job, and what hangs on it goes
 * back to be the chain: the thread that repeats this after a death finds every record in one of the
 * two. */
static void free_chain(cohort__thread_t *me, cohort_result_t *job, cohort__owner_ptr_t *chain) {
    cohort__owner_ptr_t *one = &job->object.parts[PART_FAILURE];
    for (;;) {
        cohort__failure_t *failure = atomic_load(one);
        if (!failure && atomic_load(chain)) {
            cohort__block_move(me, chain, one);
            continue;
        }
        if (!failure) return;
        if (atomic_load(&failure->next)) cohort__block_move(me, &failure->next, chain);
        cohort__block_free(me, one);
    }
}

static void free_failures(cohort__thread_t *me, cohort_result_t *job) {
    uint64_t chains = job->chunks <= 1 ? 1 : job->by_chunk ? job->chunks : job->chains;
    free_chain(me, job, &job->failure);
    if (!job->failures || !job->chunks) return;
    /* a repetition: they are gone */
    if (job->chunks > 1 && !atomic_load(&job->object.parts[PART_WORDS])) return;
    for (uint64_t i = 0; i < chains; i++) free_chain(me, job, &job->failures[i]);
}

static void free_outputs(cohort__thread_t *me, cohort_result_t *job) {
    bool here = job->outputs >= job->data && job->outputs < job->data + sizeof job->data;
    /* without them it is a repetition: they are gone */
    if (here || atomic_load(&job->object.parts[PART_OUTPUTS])) cohort__outputs_free(me, job);
}

void cohort__job_free(cohort_pool_t *pool, cohort__thread_t *me) {
    cohort_result_t *job = atomic_load(&pool->in_flight.owner_ptr);
    free_failures(me, job);
    free_outputs(me, job);
    if (atomic_load(&job->reason)) cohort__block_free(me, &job->reason);
    if (atomic_load(&job->marks)) cohort__block_free(me, &job->marks);
    for (int i = 0; i < COHORT__PARTS; i++) cohort__block_free(me, &job->object.parts[i]);
    cohort__block_free(me, &pool->in_flight.owner_ptr);
}

static bool is_wanted(cohort_pool_t *pool, cohort__thread_t *me, cohort_result_t *job) {
    for (uint32_t i = 0; i < pool->workers; i++) {
        if (atomic_load(&cohort__pool_worker(pool, i)->job) == job) return true;
    }
    return atomic_load(&job->looked) && cohort__thread_at_object(me, job);
}

void cohort__job_release_when_unused(cohort_pool_t *pool, cohort__thread_t *me,
                                     cohort_result_t *job) {
    cohort__guard_commit(&pool->guard);
    if (!cohort__job_is_over(job)) cohort__job_need(job, COHORT__NEEDS_LOOK);
    cohort__guard_set(&pool->guard, &job->unwanted, 1);
    if (cohort__linked(&job->ready)) cohort__link_take(&pool->guard, &job->ready);
    cohort__guard_commit(&pool->guard);
    atomic_thread_fence(memory_order_seq_cst);
    if (cohort__job_delays(job) && !cohort__job_is_over(job)) cohort__delays_over(job);
    cohort__tally_over(job);
    if (is_wanted(pool, me, job)) return;
    cohort__link_take(&pool->guard, &job->all);
    cohort__guard_set(&pool->guard, &pool->in_flight.word, (uint64_t)(uintptr_t)job);
    cohort__guard_commit(&pool->guard);
    cohort__job_free(pool, me);
}

void cohort__job_left(cohort_pool_t *pool, cohort__thread_t *me, cohort_result_t *job) {
    if (cohort__job_is_of(job, pool) && atomic_load(&job->unwanted))
        cohort__job_release_when_unused(pool, me, job);
}

/* A portion that its dead maker had not hung in, which no reader can find; or one of an imap that
 * was destroyed. Of an imap that is another by the look at its tag, no matter what was seen. */
static bool is_orphan_portion(const cohort_result_t *job) {
    cohort_imap_t *imap = job->imap;
    bool lost = job->base >= atomic_load(&imap->in) && !cohort__process_alive(imap->maker, false);
    return lost || atomic_load(&imap->object.tag) != job->imap_life;
}

static bool is_orphan_job(cohort_result_t *job) {
    if (cohort__tag_type(atomic_load(&job->object.tag)) != COHORT__RESULT_TAG) return true;
    if (job->imap && is_orphan_portion(job)) return true;
    return job->waiter && !cohort__thread_alive(job->waiter, false);
}

void cohort__jobs_sweep(cohort_pool_t *pool, cohort__thread_t *me) {
    uint64_t end = (uint64_t)(uintptr_t)&pool->all, next;
    for (uint64_t at = atomic_load(&pool->all.next); at != end; at = next) {
        cohort_result_t *job = cohort__job_of_all(at);
        next = atomic_load(&job->all.next);
        if (!is_orphan_job(job)) continue;
        (void)cohort__object_end(job, COHORT__RESULT_TAG);
        cohort__job_release_when_unused(pool, me, job);
    }
}
