/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Jobs of the local back end: submitted, completed, freed. Results, which is what users call them:
 * pool_result.c. */
#include "core/pool/backend_local.h"

#include <string.h>

/* ---- submitting ----------------------------------------------------------------------------- */

static bool is_product(uint64_t a, uint64_t b) { return a == 0 || b <= (UINT64_MAX >> 1) / a; }

static apr_status_t context_check(const cohort_job_t *order) {
    if (!order->context) return order->context_size ? cohort__null("context") : APR_SUCCESS;
    if (!order->context_size && !cohort__in_arena(order->context, 1))
        return cohort__fail(APR_EINVAL, "context_size is 0, and context does not lie in the arena");
    if (order->context_size > UINT64_MAX >> 2)
        return cohort__fail(APR_EINVAL, "context_size is too large for a size");
    return APR_SUCCESS;
}

static apr_status_t order_check(const cohort_job_t *order) {
    if (!order->task) return cohort__null("task");
    if (order->input_size && order->n && !order->inputs) return cohort__null("the input");
    if (order->n > COHORT__ITEMS_MAX)
        return cohort__fail(COHORT_ELIMIT, "n is more than the %u items that a job can have",
                            (unsigned)COHORT__ITEMS_MAX);
    if (!is_product(order->n, order->input_size))
        return cohort__fail(APR_EINVAL, "n times input_size is too large for a size");
    if (!is_product(order->n, order->output_size))
        return cohort__fail(APR_EINVAL, "n times output_size is too large for a size");
    return context_check(order);
}

/* Finding the code of a function is slow where the system must be asked; a thread mostly submits
 * the same. */
static apr_status_t find_code(cohort_task_t task, cohort__code_t *code) {
    static _Thread_local cohort_task_t known_task;
    static _Thread_local uint32_t member;
    static _Thread_local cohort__code_t found;
    if (known_task != task || member != cohort__membership()) {
        apr_status_t status = cohort__code_find((cohort__function_t)task, &found);
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

/* Inputs and context; copies of both share one place. */
static apr_status_t place_inputs(cohort__thread_t *me, cohort_result_t *job,
                                 const cohort_job_t *order, uint64_t *used) {
    uint64_t size = order->n * order->input_size;
    uint64_t inputs = is_private(order->inputs, size) ? padded(size) : 0;
    uint64_t context = is_private(order->context, order->context_size) ? order->context_size : 0;
    char *at;
    job->input_size = order->input_size;
    job->inputs = size ? order->inputs : NULL;
    job->context = order->context;
    if (!inputs && !context) return APR_SUCCESS;
    apr_status_t status = take_room(me, job, PART_INPUTS, inputs + context, used, &at);
    if (status) return status;
    if (inputs) job->inputs = memcpy(at, order->inputs, (size_t)size);
    if (context) job->context = memcpy(at + inputs, order->context, (size_t)context);
    return APR_SUCCESS;
}

static apr_status_t place_outputs(cohort__thread_t *me, cohort_result_t *job,
                                  const cohort_job_t *order, uint64_t *used) {
    uint64_t size = order->n * order->output_size;
    job->output_size = order->output_size;
    if (!size) return APR_SUCCESS;
    job->outputs = order->outputs;
    if (order->outputs && cohort__in_arena(order->outputs, (size_t)size)) return APR_SUCCESS;
    job->destination = order->outputs;
    *used = (*used + 63) & ~(uint64_t)63;
    return take_room(me, job, PART_OUTPUTS, size, used, &job->outputs);
}

/* Words of the chunks, and the heads of the chains of failures behind them. */
static apr_status_t place_words(cohort__thread_t *me, cohort_result_t *job, uint32_t workers) {
    if (job->chunks <= 1) {
        job->by_chunk = 1;
        job->words = &job->word;
        job->failures = &job->failure;
        return APR_SUCCESS;
    }
    job->by_chunk = job->chunks <= workers;
    uint64_t heads = job->by_chunk ? job->chunks : workers,
             size = (job->chunks + heads) * sizeof *job->words;
    apr_status_t status =
        cohort__block_new(me, COHORT__KIND_BYTES, (size_t)size, &job->object.parts[PART_WORDS]);
    if (status) return status;
    job->words = atomic_load(&job->object.parts[PART_WORDS]);
    job->failures = (cohort__owner_ptr_t *)(void *)(job->words + job->chunks);
    memset((void *)job->words, 0, (size_t)size);
    return APR_SUCCESS;
}

static void cut(cohort_result_t *job, const cohort_job_t *order, uint32_t workers) {
    uint64_t chunk = order->chunk;
    if (!chunk) chunk = order->n / (4 * (uint64_t)workers);
    if (!chunk) chunk = 1;
    if (chunk > order->n && order->n) chunk = order->n;
    job->n = order->n;
    job->chunk = chunk;
    job->chunks = (order->n + chunk - 1) / chunk;
    /* one without items is over before another thread knows it */
    if (!job->chunks) atomic_store(&job->state, cohort__job_state(COHORT__JOB_DONE, APR_SUCCESS));
}

static apr_status_t fill_job(cohort__thread_t *me, cohort_result_t *job, cohort_pool_t *pool,
                             const cohort_job_t *order, bool blocking) {
    uint64_t used = 0;
    uint32_t workers = pool->workers;
    if (!workers) return COHORT_EHANDLE;
    cut(job, order, workers);
    atomic_store_explicit(&job->backend, COHORT__BACKEND_LOCAL, memory_order_relaxed);
    job->submitter = cohort__self_id();
    job->waiter = blocking ? cohort__thread_id(me) : 0;
    job->attempts = order->attempts ? cohort__attempts(order->attempts) : pool->attempts;
    bool callbacks = !blocking && (order->on_success || order->on_error);
    atomic_store_explicit(&job->callbacks, callbacks, memory_order_relaxed);
    apr_status_t status = find_code(order->task, &job->task);
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
static apr_status_t enlist(cohort__thread_t *me, cohort_pool_t *pool, uint64_t tag,
                           cohort_result_t *job, apr_pool_t *parent) {
    apr_status_t status = cohort__pool_enter_live(pool, me, tag);
    if (status) return status;
    status = refusal(pool);
    if (!status) {
        atomic_store(&job->pool, pool);
        cohort__block_move(me, &me->in_flight[COHORT__IN_FLIGHT_OBJECT],
                           &pool->in_flight.owner_ptr);
        cohort__link_put(&pool->guard, &pool->all, &job->all, false);
        cohort__guard_set(&pool->guard, &pool->in_flight.word, 0);
        cohort__guard_commit(&pool->guard);
        if (job->chunks) cohort__link_put(&pool->guard, &pool->ready, &job->ready, false);
        cohort__guard_commit(&pool->guard);
        cohort__object_publish(me, job, COHORT__RESULT_TAG, parent, destroy_result);
    }
    cohort__pool_leave(pool);
    return status;
}

apr_status_t cohort__job_submit(cohort_result_t **made, const cohort__call_t *use,
                                const cohort_job_t *order, bool blocking, apr_pool_t *parent) {
    cohort_result_t *job;
    cohort_pool_t *pool = (cohort_pool_t *)use->object;
    cohort__thread_t *me = use->me;
    apr_status_t status = order_check(order);
    if (!status) status = refusal(pool);
    if (cohort__call_over(use)) status = COHORT_EHANDLE;
    if (status) return status;
    status = cohort__object_new(me, COHORT__KIND_RESULT, offsetof(cohort_result_t, changed), &job);
    if (status) return status;
    status = fill_job(me, job, pool, order, blocking);
    if (!status) status = enlist(me, pool, use->life, job, parent);
    if (status) {
        cohort__object_free(me, job);
        return status;
    }
    *made = job;
    uint64_t wake = job->chunks < pool->workers ? job->chunks : pool->workers;
    if (!wake) return APR_SUCCESS;
    atomic_thread_fence(memory_order_seq_cst);
    cohort__notify(&pool->work, (int)wake);
    return APR_SUCCESS;
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
    cohort__notify(&job->changed, COHORT__ALL);
    cohort__notify(&cohort__arena->completed, COHORT__ALL);
}

/* Of the workers that finish the last chunks at the same time, the fence lets at least one see all
 * of these. */
void cohort__job_settle(cohort_result_t *job) {
    atomic_thread_fence(memory_order_seq_cst);
    /* a thread that passes over chunks has seen them as the thread that scanned them has */
    uint64_t before = atomic_load_explicit(&job->scanned, memory_order_acquire), done = before;
    while (done < job->chunks &&
           cohort__word_state(atomic_load_explicit(&job->words[done], memory_order_acquire)) ==
               COHORT__CHUNK_DONE) {
        done++;
    }
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

static void free_failures(cohort__thread_t *me, cohort_pool_t *pool, cohort_result_t *job) {
    uint64_t chains = job->chunks <= 1 ? 1 : job->by_chunk ? job->chunks : pool->workers;
    if (!job->failures || !job->chunks) return;
    /* a repetition: they are gone */
    if (job->chunks > 1 && !atomic_load(&job->object.parts[PART_WORDS])) return;
    for (uint64_t i = 0; i < chains; i++) free_chain(me, job, &job->failures[i]);
}

void cohort__job_free(cohort_pool_t *pool, cohort__thread_t *me) {
    cohort_result_t *job = atomic_load(&pool->in_flight.owner_ptr);
    free_failures(me, pool, job);
    if (atomic_load(&job->reason)) cohort__block_free(me, &job->reason);
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
    cohort__guard_set(&pool->guard, &job->unwanted, 1);
    if (cohort__linked(&job->ready)) cohort__link_take(&pool->guard, &job->ready);
    cohort__guard_commit(&pool->guard);
    atomic_thread_fence(memory_order_seq_cst);
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

static bool is_orphan_job(cohort_result_t *job) {
    if (cohort__tag_type(atomic_load(&job->object.tag)) != COHORT__RESULT_TAG) return true;
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
