/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* A worker of the local back end: its life, and how it finds jobs and leaves them. The order of
 * stores matters in every line here; see pool.h. Their chunks it runs in pool_run.c. */
#include "core/base/bits.h"
#include "core/pool/pool_run.h"

#include <apr_thread_proc.h>
#include <stdlib.h>
#include <string.h>

/* ---- jobs ----------------------------------------------------------------------------------- */

static void begin_visit(cohort__worker_self_t *w) {
    w->round = atomic_load(&w->job->round);
    w->passing = false;
    if (w->tally) cohort__tally_visit(w);
    cohort__run_begin(w);
    cohort__run_look_behind(w);
    if (cohort__place_is_over(w->pool, w->number)) cohort__job_need(w->job, COHORT__NEEDS_LIMIT);
    if (w->job->chunks > 1) atomic_fetch_add_explicit(&w->job->visits, 1, memory_order_relaxed);
    cohort__running.progress = &w->record->progress;
    cohort__running.visit++;
    atomic_store_explicit(&cohort__running.job, w->job, memory_order_release);
}

/* Every chunk was seen taken. Unless some became free again since, the job need not be found any
 * more. What is done stays: mostly a thread waits for it, which will take it off. */
static void unlist_worker(cohort__worker_self_t *w) {
    cohort_result_t *job = w->job;
    if (cohort__job_is_over(job) || !cohort__linked(&job->ready) || cohort__job_is_each(job))
        return;
    cohort__pool_enter(w->pool, w->me);
    if (cohort__linked(&job->ready) && atomic_load(&job->round) == w->round) {
        cohort__link_take(&w->pool->guard, &job->ready);
    }
    cohort__pool_leave(w->pool);
}

/* From the store on the job may be freed by another thread, and be another job; what is said of it
 * is looked at again under the guard. */
static void leave_job(cohort__worker_self_t *w) {
    cohort_result_t *job = w->job;
    w->job = NULL;
    atomic_store_explicit(&cohort__running.job, NULL, memory_order_relaxed);
    atomic_store(&w->record->job, NULL);
    if (!atomic_load(&job->unwanted)) return;
    cohort__pool_enter(w->pool, w->me);
    cohort__job_left(w->pool, w->me, job);
    cohort__pool_leave(w->pool);
}

/* False: the pool has ended, or this process does. */
static bool work(cohort__worker_self_t *w) {
    bool is_portion = cohort__job_is_portion(w->job);
    begin_visit(w);
    while (cohort__run_next(w)) {
    }
    if (w->ends) return false; /* and the repair of that finds what it has in hand */
    if (w->tally) cohort__tally_leave(w);
    bool goes_on = atomic_load(&w->pool->state) != COHORT__POOL_ENDED;
    if (goes_on && (w->gives_way || w->retires)) cohort__run_make_room(w);
    else if (goes_on) unlist_worker(w);
    leave_job(w);
    /* while the other workers are at the next portion, a reader may take the items of this one */
    if (goes_on && is_portion) apr_thread_yield();
    return goes_on && !w->retires;
}

#define TIMES_LOOK INT64_C(1000000000) /* ns after which a worker without work looks at them */

/* ---- finding one ---------------------------------------------------------------------------- */

/* The first job is done, and there are others behind it. */
static void pass_over(cohort__worker_self_t *w, cohort_result_t *job) {
    cohort__pool_enter(w->pool, w->me);
    if (cohort__pool_first(w->pool) == job && cohort__job_is_over(job))
        cohort__link_take(&w->pool->guard, &job->ready);
    cohort__pool_leave(w->pool);
}

/* Lines of it that its submitter has just written; asked for one after the other, as they are used,
 * each would be waited for. */
static void prefetch_job(const cohort_result_t *job) {
    cohort__prefetch(&job->task);
    cohort__prefetch(&job->n);
    cohort__prefetch(&job->cursor);
    cohort__prefetch(job->data);
}

/* A job that is still the first after the record names it cannot be freed before the record names
 * another. */
static bool find_job(cohort__worker_self_t *w) {
    cohort_pool_t *pool = w->pool;
    cohort_result_t *first;
    if (cohort__each_waits(w) && cohort__each_find(w)) return true;
    while ((first = cohort__pool_first(pool)) != NULL) {
        prefetch_job(first);
        if (cohort__job_is_over(first)) {
            pass_over(w, first);
            continue;
        }
        w->job = first;
        uint32_t visit = atomic_load_explicit(&w->record->visit, memory_order_relaxed);
        atomic_store_explicit(&w->record->visit, visit + 1, memory_order_relaxed);
        atomic_store(&w->record->job, w->job);
        if (cohort__pool_first(pool) == first) return true;
        leave_job(w);
    }
    return false;
}

/* An idle worker looks, after each death, whether a dead process has left jobs that no worker will
 * ever ask for. */
static void look_for_work(cohort__worker_self_t *w) {
    cohort_pool_t *pool = w->pool;
    uint32_t deaths = atomic_load(&cohort__arena->death);
    if (deaths == w->deaths || atomic_load(&pool->swept) == deaths) return;
    w->deaths = deaths;
    cohort__pool_enter(pool, w->me);
    cohort__jobs_sweep(pool, w->me);
    atomic_store(&pool->swept, deaths);
    cohort__pool_leave(pool);
}

/* Times of jobs are not kept while the process that is to keep them is stopped, or when it has died
 * and the one that repaired that has no watcher. True: they were looked at. */
static bool look_at_times(const cohort__worker_self_t *w) {
    cohort_pool_t *pool = w->pool;
    if (!atomic_load(&pool->timed) || cohort_os_now() - atomic_load(&pool->tended) < TIMES_LOOK)
        return false;
    (void)cohort__job_deadlines(pool, w->me, cohort__pool_tag(pool));
    return true;
}

static bool items_wait(const cohort__worker_self_t *w) {
    if (!atomic_load(&w->pool->timed)) return false;
    cohort__pool_enter(w->pool, w->me);
    bool wait = cohort__delays_unfinished(w->pool);
    cohort__pool_leave(w->pool);
    return wait;
}

static apr_status_t try_find(void *arg, bool thorough) {
    cohort__worker_self_t *w = arg;
    uint64_t state = atomic_load(&w->pool->state);
    if (state == COHORT__POOL_ENDED || atomic_load(&w->record->verdict)) return APR_EOF;
    w->retires = cohort__place_is_over(w->pool, w->number);
    if (w->retires) return APR_EOF;
    if (find_job(w)) return APR_SUCCESS;
    if (state == COHORT__POOL_CLOSED && !items_wait(w)) return APR_EOF;
    if (!thorough) return APR_EAGAIN;
    look_for_work(w);
    return look_at_times(w) && find_job(w) ? APR_SUCCESS : APR_EAGAIN;
}

/* ---- the life of a worker ------------------------------------------------------------------- */

static void *args; /* of initializer and finalizer: a copy of this worker's own, for its life */

static apr_status_t copy_worker_args(const cohort_pool_t *pool) {
    size_t size = (size_t)pool->init_size;
    if (!size || (!pool->initializer.module && !pool->finalizer.module)) return APR_SUCCESS;
    args = malloc(size);
    if (!args) return cohort__fail(APR_ENOMEM, "copying the initializer's arguments");
    memcpy(args, atomic_load(&((cohort_pool_t *)pool)->object.parts[1]), size);
    return APR_SUCCESS;
}

static apr_status_t initialise(cohort__worker_self_t *w) {
    cohort__function_t function;
    apr_status_t status = cohort__crash_prepare(w->pool, w->me, w->record);
    if (!status) status = copy_worker_args(w->pool);
    if (!status) status = cohort__code_at(&w->pool->initializer, &function);
    if (status || !function) return status;
    status = ((cohort_initializer_t)function)(args);
    cohort__end_copied_task(status);
    return status ? status : cohort__crash_prepare(w->pool, w->me, w->record);
}

/* Why the initializer failed, in the words that it gave to cohort_task_fail(), if any. */
static void initializer_failed(cohort__worker_self_t *w, apr_status_t status) {
    cohort__failure_t what = {.status = status,
                              .exit_code = COHORT_EXIT_NONE,
                              .process = cohort__self_id(),
                              .pid = cohort__self()->os.pid,
                              .attempt = 1};
    char text[400];
    size_t length;
    const char *message = cohort__failure_message(&what, text, sizeof text, &length);
    memcpy(what.worker, w->name, sizeof what.worker);
    atomic_store(&w->record->phase, COHORT__WORKER_FAILED);
    cohort__start_failed(w->pool, w->me, w->record, &what, message, length);
}

/* How the start of this worker came out. */
static void report_start(cohort__worker_self_t *w, apr_status_t status) {
    cohort__pool_enter(w->pool, w->me);
    if (status) initializer_failed(w, status);
    else cohort__start_succeeded(w->pool, w->record);
    cohort__pool_leave(w->pool);
    if (!status) cohort__tally_begin(w);
    if (!status && w->pool->age_most != COHORT_OS_NEVER) w->born = cohort_os_now();
    atomic_thread_fence(memory_order_seq_cst);
    cohort__notify(&w->pool->changed, COHORT__ALL);
}

/* False: this worker ends. */
static bool serve_pool(cohort__worker_self_t *w) {
    apr_status_t status =
        cohort__await_paced(&w->pool->work, try_find, w, cohort__idle_until(w), cohort__pace_idle);
    if (APR_STATUS_IS_TIMEUP(status)) cohort__idle_over(w);
    else return !status && work(w);
    return !w->retires;
}

/* Nothing of what the process was at that this one is a fork of. */
static void begin_running(const cohort__worker_self_t *w) {
    cohort__running_t *running = &cohort__running;
    atomic_store_explicit(&running->job, NULL, memory_order_relaxed);
    running->process = cohort__self_id();
    running->progress = NULL; /* what the record says is of the worker before */
    running->chunk = &w->record->chunk;
    running->begun = &w->record->begun;
    running->thread = w->me;
    running->worker = w->name;
    running->state = NULL;
    running->region.object = NULL;
}

int cohort__pool_worker_main(cohort_process_t *self) {
    cohort__worker_self_t w = {0};
    w.pool = atomic_load(&self->pool);
    w.number = atomic_load(&self->worker);
    w.record = cohort__pool_worker(w.pool, w.number);
    if (cohort__enter(&w.me)) return 1;
    cohort__worker_name(w.pool, w.number, w.name);
    begin_running(&w);
    atomic_store(&w.record->phase, COHORT__WORKER_INITIALISING);
    apr_status_t status = initialise(&w);
    report_start(&w, status);
    if (status) return 1;
    while (serve_pool(&w)) {
    }
    cohort__run_retired(&w);
    cohort__run_finalise(&w, args);
    cohort__failure_forget();
    return 0;
}
