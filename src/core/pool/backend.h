/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Back ends of pools: the table through which the API and the staff of a pool reach its jobs, in
 * groups: work is submitted, what has become of it is collected, what was lost with a dead process
 * is dealt with, how jobs end otherwise; and what a task can ask about itself.
 *
 * A result is common to all back ends: the object that a user holds, its pool, its callback, its
 * owner. Chunks, lists and which worker has what belong to the back end. So pool_result.c,
 * pool_submit.c, pool_callback.c and the files of the staff name no field of them, and include
 * this header alone (the test check.backend).
 *
 * The tables lie in each process, since functions have no common address, and shared memory has
 * only their number: in the pool, and in each of its jobs, since a thread that waits for a job
 * may look at it when its pool is gone.
 */
#ifndef COHORT_CORE_BACKEND_H
#define COHORT_CORE_BACKEND_H

#include "core/pool/pool_result.h"

typedef enum {
    COHORT__BACKEND_LOCAL, /* the workers are processes of this cohort */
    COHORT__BACKENDS
} cohort__backend_number_t;

/* What a thread that looks at a job finds there. */
typedef struct {
    void *outputs; /* of all items, from the submission on; NULL: none, or with a size each */
    uint64_t size; /* in bytes; when outputs have a size each, of an array of cohort_bytes_t */
    uint64_t n;    /* items */
    bool begun;    /* a worker has come to it */
    /* From here on: only of one that is over. */
    apr_status_t status;
    bool abandoned; /* it was ended before all its items were run, with that status */
    bool cancelled; /* items have ended because it was, or was out of time, and not by running */
    bool failed;    /* an item has; `first` is the lowest one */
    uint64_t first;
    const cohort__failure_t *reason; /* more of why it was abandoned, or NULL */
} cohort__found_t;

/* What a task can ask about itself. */
typedef struct {
    uint64_t index, attempt; /* the attempt is 0 when no task is under way */
    uint64_t base;           /* where its job begins in an imap's input */
    uint64_t input_size;
    const void *context;
} cohort__task_t;

/* "Guard": called with the guard of the pool, which is held throughout. A process can be killed
 * inside each of these functions. Another one calls lost_*, recover and abandon_all again; what a
 * killed submitter leaves goes with its in-flight pointer or by recover; what a killed caller of
 * drop or left leaves, by the look for makers that are lost. */
typedef struct {
    const char *name;

    /* ---- submit */

    /* A new pool, which no other thread knows yet, has no jobs. */
    void (*setup)(cohort_pool_t *pool);
    /* Make a job of the pool that `use` means, as `order` describes, and have it begun. The caller
     * has checked nothing of the order but its reserved words, nor whether the pool takes work; and
     * the pool may be gone by now. Blocking: the calling thread waits for the job and destroys it,
     * or its death does; no callback is called. `origin`, unless it is NULL: the job is a portion
     * of that, and is destroyed with it; readers are told of each chunk. */
    apr_status_t (*submit)(cohort_result_t **job, const cohort__call_t *use,
                           const cohort_job_t *order, bool blocking, const cohort__origin_t *origin,
                           apr_pool_t *parent);

    /* ---- collect: without a guard */

    /* These three also of a job that was destroyed, or is another by now; what is found then is of
     * no meaning, and the caller knows that from the job's life. */
    bool (*is_over)(const cohort_result_t *job);
    /* What is notified when it is over. It outlives the job. */
    cohort__eventcount_t *(*event)(cohort_result_t *job);
    /* Not all the workers that could be at it have come, so a waiting thread should make room. */
    bool (*is_short_of_workers)(const cohort_result_t *job);
    /* The caller looks at the job. */
    void (*find)(const cohort_result_t *job, cohort__found_t *found);
    /* The same: every failed item, in no order; NULL after the last. *chain is 0 and `at` NULL at
     * first. */
    cohort__failure_t *(*next_failure)(const cohort_result_t *job, cohort__failure_t *at,
                                       uint64_t *chain);
    /* The same: how far an item is, and its output if it is done. APR_EINVAL, with words: there is
     * no such item. */
    apr_status_t (*item)(const cohort_result_t *job, uint64_t index, cohort_item_t *item);
    /* Guard: of a job that is over, with outputs that have a size each: all of them that were not
     * taken become the user's, in one step, and are written to an array. Nothing of a job that was
     * abandoned. COHORT_EHANDLE: the job that `use` means is gone. */
    apr_status_t (*give)(cohort_pool_t *pool, const cohort__call_t *use, cohort_bytes_t *outputs);
    /* Guard: the output of one item is moved to an owner pointer, which stays NULL when there is
     * none. Statuses as cohort_result_take(). */
    apr_status_t (*take)(cohort_pool_t *pool, const cohort__call_t *use, uint64_t index,
                         cohort__owner_ptr_t *to, uint64_t *size);

    /* The same: the first item from this one on that has ended without being begun, and with what
     * status; no failure is recorded of it. The number of items: there is none. */
    uint64_t (*next_cancelled)(const cohort_result_t *job, uint64_t from, apr_status_t *status);

    /* The caller looks at the job: how many of its items are over. Cheaper with *from as the last
     * call for the same job has left it, 0 at first. */
    uint64_t (*over)(const cohort_result_t *job, uint64_t *from);

    /* ---- cancel: without a guard; the caller looks at the job */

    /* Cancel it so far. Harmless when it is over, and when it was cancelled so far already: then
     * what a dead caller has left undone is done. The system's reason why workers could not be
     * ended: they end when their items do. */
    apr_status_t (*cancel)(cohort_result_t *job, cohort__thread_t *me, cohort__why_t why,
                           cohort__cancel_level_t level);

    /* The same for one of its items, of which it has that many: told, or ended too. */
    apr_status_t (*cancel_item)(cohort_result_t *job, cohort__thread_t *me, uint64_t index,
                                bool ends);
    /* The caller looks at no job. Of this life of the pool: deal with all that is over its time.
     * When something will be; COHORT_OS_NEVER: nothing. */
    int64_t (*deadlines)(cohort_pool_t *pool, cohort__thread_t *me, uint64_t tag);

    /* ---- lost: all with the guard */

    /* A worker has died, in this place, with this exit code, and its place still names it. What it
     * had in hand is charged with that or given to others. */
    void (*lost_worker)(cohort_pool_t *pool, cohort__thread_t *me, uint32_t number,
                        cohort__pid_t dead, int code);
    /* Drop the jobs of threads and processes that died before they could. */
    void (*lost_makers)(cohort_pool_t *pool, cohort__thread_t *me);
    /* An owner of the guard died while a block was in pool->in_flight: free that. */
    void (*recover)(cohort_pool_t *pool, cohort__thread_t *me);
    /* There are fewer workers from here on: those that are at jobs are to see that. Any number of
     * times. */
    void (*fewer)(cohort_pool_t *pool);
    /* With no worker there: is something to be done for which workers should be started? */
    bool (*has_work)(cohort_pool_t *pool);

    /* ---- the end */

    /* End a job with this status, unless it is over. The caller looks at it. */
    void (*abandon)(cohort_result_t *job, apr_status_t status);
    /* Guard: the same with all jobs of the pool, which get a copy of `why` as their reason, unless
     * that is NULL. */
    void (*abandon_all)(cohort_pool_t *pool, cohort__thread_t *me, apr_status_t status,
                        const cohort__failure_t *why);
    /* Guard: what the worker at this place, which is ready, runs, and since when. `now` is noted of
     * what is seen running without a time. */
    void (*activity)(cohort_pool_t *pool, uint32_t number, int64_t now,
                     cohort_activity_t *activity);
    /* Guard: how many jobs are not over, and of their items how many have not ended. */
    void (*queued)(cohort_pool_t *pool, uint64_t *jobs, uint64_t *items);
    /* Guard: has the pool any jobs? */
    bool (*has_jobs)(const cohort_pool_t *pool);
    /* Guard: the job is not wanted any more. Its life ends, and it is freed now, or by the last
     * thread that leaves it. False: it is none of the pool's any more, or that life is over. */
    bool (*drop)(cohort_pool_t *pool, const cohort__call_t *use);
    /* Guard: the caller does not look at the job any more, which may be another by now. Frees it if
     * it was dropped meanwhile and no other thread is at it. */
    void (*left)(cohort_pool_t *pool, cohort__thread_t *me, cohort_result_t *job);

    /* ---- run: in a worker */

    /* The item of the job that this process is at. A thread that has outlived its task may ask too,
     * when the job is freed or another: the answer is then of no meaning. */
    void (*task)(const cohort_result_t *job, cohort__task_t *task);
    /* Why that item should stop; APR_SUCCESS: it need not. */
    apr_status_t (*told)(const cohort_result_t *job);
    /* In the thread of the task that is under way for this item: make its output, or make it larger
     * or smaller. APR_ENOMEM; APR_EINVAL: outputs have a fixed size. */
    apr_status_t (*output)(cohort_result_t *job, cohort__thread_t *me, uint64_t index,
                           uint64_t size, void **data);
} cohort__backend_t;

extern COHORT__HIDDEN const cohort__backend_t cohort__backends[COHORT__BACKENDS];

/* A number that another process has written over is not believed. */
static inline const cohort__backend_t *cohort__backend_at(uint32_t number) {
    return &cohort__backends[number < COHORT__BACKENDS ? number : COHORT__BACKEND_LOCAL];
}
/* The number is of the pool that is meant only as long as that cannot go: the caller has entered
 * its guard with its tag, or looks at one of its jobs; or it looks at the tag after this, as the
 * next function does. */
static inline const cohort__backend_t *cohort__backend_of(const cohort_pool_t *pool) {
    return cohort__backend_at(
        atomic_load_explicit(&((cohort_pool_t *)pool)->backend, memory_order_acquire));
}
/* Of the pool that the call means; NULL when that is gone. */
static inline const cohort__backend_t *cohort__backend_meant(const cohort__call_t *use) {
    const cohort__backend_t *backend = cohort__backend_of((cohort_pool_t *)use->object);
    return cohort__call_over(use) ? NULL : backend;
}
static inline const cohort__backend_t *cohort__backend_of_job(const cohort_result_t *job) {
    return cohort__backend_at(
        atomic_load_explicit(&((cohort_result_t *)job)->backend, memory_order_acquire));
}

/* What each waiting thread asks, most of it again and again, the local back end answers in line.
 * The number is in the same cache line as the state. */
static inline bool cohort__result_is_local(const cohort_result_t *job) {
    return atomic_load_explicit(&job->backend, memory_order_relaxed) == COHORT__BACKEND_LOCAL;
}
static inline bool cohort__result_is_over(const cohort_result_t *job) {
    if (cohort__result_is_local(job)) return cohort__job_is_over(job);
    return cohort__backend_of_job(job)->is_over(job);
}
static inline cohort__eventcount_t *cohort__result_event(cohort_result_t *job) {
    if (cohort__result_is_local(job)) return &job->changed;
    return cohort__backend_of_job(job)->event(job);
}
/* Each worker that comes to a job takes from its cursor first. */
static inline bool cohort__job_is_begun(const cohort_result_t *job) {
    return atomic_load(&job->cursor) != 0;
}
static inline void cohort__job_find(const cohort_result_t *job, cohort__found_t *found) {
    uint64_t state = atomic_load(&job->state), first = atomic_load(&job->first_failed);
    *found =
        (cohort__found_t){.outputs = job->bytes & COHORT__BYTES_OUT ? NULL : job->outputs,
                          .size = job->n * job->output_size,
                          .n = job->n,
                          .begun = cohort__job_is_begun(job),
                          .status = cohort__job_state_status(state),
                          .abandoned = cohort__job_state_end(state) == COHORT__JOB_ABANDONED,
                          .cancelled = (atomic_load(&job->cancelled) & COHORT__CANCEL_HAS) != 0,
                          .failed = first != 0,
                          .first = cohort__first_failed_index(first),
                          .reason = atomic_load(&job->reason)};
}
static inline cohort__found_t cohort__result_find(const cohort_result_t *job) {
    cohort__found_t found;
    if (cohort__result_is_local(job)) cohort__job_find(job, &found);
    else cohort__backend_of_job(job)->find(job, &found);
    return found;
}

#endif
