/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Results of pools, what is recorded of items that failed, callbacks, and imaps that this process
 * feeds: what their files have for one another and for those above. */
#ifndef COHORT_CORE_POOL_RESULT_H
#define COHORT_CORE_POOL_RESULT_H

#include "core/pool/pool.h"

/* ---- pool_result.c -------------------------------------------------------------------------- */

static inline cohort_result_t *cohort__result_of(const cohort__call_t *use) {
    return (cohort_result_t *)use->object;
}
/* The start of a call on a result: as cohort__call_begin(). */
apr_status_t cohort__result_use(cohort__call_t *use, cohort_result_t *result);
/* Between these two the job is not freed, nor its pool, in which it is listed. False: it was
 * destroyed, and nothing has begun. */
bool cohort__result_look(const cohort__call_t *use);
void cohort__result_look_end(const cohort__call_t *use);
/* The start of a call on a result that has to be ready: look at it. APR_EAGAIN: it is not. */
apr_status_t cohort__result_look_ready(cohort__call_t *use, cohort_result_t *result);
/* Is it done, its callback included? For a thread that does not wait but may ask again and again:
 * it notices deaths as one that waits does, in the end. Statuses as of the next function. */
apr_status_t cohort__result_glance(const cohort__call_t *use);
/* Is it done, its callback included? thorough: look after dead workers too; not with a guard held.
 * APR_EAGAIN: no; COHORT_EHANDLE: it was destroyed. */
apr_status_t cohort__result_try(const cohort__call_t *use, bool thorough);
/* For the table of types. */
unsigned cohort__result_ready(const cohort__aim_t *aim, unsigned wanted, bool thorough);
bool cohort__result_failed(const cohort__aim_t *aim);
void cohort__result_describe(const cohort__aim_t *aim, char *text, size_t size);
/* The same, thorough, but for the workers: what dead processes have left undone of it alone. */
apr_status_t cohort__result_mend(const cohort__call_t *use);
/* Wait until it is done. */
apr_status_t cohort__result_await(cohort__call_t *use, apr_interval_time_t timeout);
/* Destroy what `use` means, if that lives: false when it does not. No waiting thread is woken. */
bool cohort__result_drop(const cohort__call_t *use);
/* cohort_result_destroy(), for use within the library. */
apr_status_t cohort__result_destroy(cohort_result_t *result);
/* How often an item is run in all when its worker dies; 0: once. */
static inline uint32_t cohort__attempts(apr_size_t wanted) {
    return wanted < 1 ? 1 : wanted > COHORT__ATTEMPTS_MAX ? COHORT__ATTEMPTS_MAX : (uint32_t)wanted;
}

/* ---- pool_answer.c -------------------------------------------------------------------------- */

/* Of one that is done, before the next call, and not while looking at it: outputs with a size each
 * become the user's, where they are wanted. COHORT_EHANDLE: it was destroyed. */
apr_status_t cohort__result_give(const cohort__call_t *use, void *outputs);
/* Of one that is done and will be collected or destroyed: ask for its lines. */
void cohort__result_prefetch(const cohort_result_t *job);
/* Of one that is done: its outputs where they are wanted, and its status. */
apr_status_t cohort__result_collect(cohort_result_t *job, void *outputs);
/* cohort_result_is_successful() with a status, for use within the library. */
apr_status_t cohort__result_successful(cohort_result_t *result, int *successful);

/* ---- pool_failure.c ------------------------------------------------------------------------- */

/* Make a record of a failure in an owner pointer that is NULL. APR_ENOMEM. */
apr_status_t cohort__failure_make(cohort__thread_t *me, cohort__owner_ptr_t *owner_ptr,
                                  const cohort__failure_t *what, const char *message,
                                  size_t length);
/* The last record of a chain, or NULL. */
cohort__failure_t *cohort__failure_last(cohort__owner_ptr_t *chain);
/* In a worker: what it is at, so that a task can ask, and a message of cohort_task_fail() is known
 * to belong to its item. */
typedef struct {
    cohort__pid_t process; /* the worker: what else is said here is not true of its copies */
    _Atomic(cohort_result_t *) job;
    const _Atomic uint64_t *progress; /* of its record */
    const _Atomic uint64_t *chunk;    /* likewise */
    const _Atomic int64_t *begun;     /* likewise */
    const cohort__thread_t *thread;   /* in which tasks run */
    const char *worker;
    bool skipped;                /* its item ends without being run */
    _Atomic uint64_t input_size; /* of its item, when inputs have a size each */
    uint64_t attempt, count;     /* of the item that has failed; see cohort__failure_t */
    apr_status_t lost;           /* why there is no task */
    uint64_t visit;              /* counts the jobs that this worker has come to */
    void *state;                 /* the user's, of this worker */
    cohort__call_t region;       /* of its item; the object is NULL: it has none */
} cohort__running_t;
extern COHORT__HIDDEN COHORT__PER_PROCESS cohort__running_t cohort__running;
/* pool_task.c: what a task had for itself goes, when it has returned and before anything is said of
 * its item. A raw copy of the worker ends here. */
void cohort__task_over(apr_status_t status);
/* In a worker: what is to be said of the failure that has just been met, of which the status and
 * the item are known: the message that cohort_task_fail() was given for it, else a description of
 * the status, written to `text`. It says where, too, for as long as nothing else fails. */
const char *cohort__failure_message(cohort__failure_t *what, char *text, size_t size,
                                    size_t *length);
/* In a worker: the running item has failed. */
void cohort__failure_record(cohort__thread_t *me, cohort__owner_ptr_t *chain, apr_status_t status);
/* In a worker that ends: what was last said of a failure is not needed any more. */
void cohort__failure_forget(void);

/* ---- pool_crash.c --------------------------------------------------------------------------- */

#define COHORT__CRASH_TEXT sizeof(((cohort_os_crash_t *)NULL)->text)
#define COHORT__CRASH_LINE 200
typedef char cohort__crash_text_t[COHORT__CRASH_TEXT];
/* In a worker: from here on it says what it knows of its crash, if its pool has that. Again, after
 * handlers were set that go first. */
apr_status_t cohort__crash_prepare(const cohort_pool_t *pool, cohort__thread_t *me,
                                   cohort__worker_t *worker);
/* Guard. What a worker that has ended with this code has said; NULL: nothing. */
const char *cohort__crash_read(cohort__worker_t *worker, int code, cohort__crash_text_t text);
/* The length of its first line, as far as that goes into a message. */
int cohort__crash_first_line(const char *text);
/* Guard. */
void cohort__crash_drop(cohort__thread_t *me, cohort__worker_t *worker);

/* ---- pool_callback.c ------------------------------------------------------------------------ */

/* The thread that calls is there, and stays until the release: before the latter there is
 * something else that keeps it. */
apr_status_t cohort__caller_reserve(void);
void cohort__caller_release(void);
typedef struct cohort__callback_t cohort__callback_t;
/* Before a job with a callback is submitted: make sure that it can be called. */
apr_status_t cohort__callback_make(cohort__callback_t **callback, const cohort_job_t *order);
void cohort__callback_drop(cohort__callback_t *callback);
/* After it was submitted. */
void cohort__callback_add(cohort__callback_t *callback, cohort_result_t *job);
/* Is the caller inside a callback? */
bool cohort__in_callback(void);
/* Are callbacks of this pool outstanding in this process? */
bool cohort__callbacks_pending(const cohort_pool_t *pool);

/* ---- pool_completed.c ----------------------------------------------------------------------- */

/* A result that is followed has become ready. */
void cohort__completed_note(cohort_result_t *result);
/* The life of one that was followed is over. */
void cohort__completed_gone(const cohort_result_t *result);

/* ---- pool_feed.c: imaps that this process has made ---------------------------------------- */

/* For the thread that calls. Is there one to be fed now? Then the next function feeds it. */
bool cohort__feeds_are_due(void);
void cohort__feeds_serve(void);
/* Are there any, to be fed now or later? */
bool cohort__feeds_any(void);
/* This process ends: no source is called any more. */
void cohort__feeds_end(void);

/* ---- progress.c ----------------------------------------------------------------------------- */

/* Without a guard. It is about to be destroyed: watches of this process look for the last time. */
void cohort__progress_last(const cohort__object_t *object);
/* This process ends: so do its watches. */
void cohort__progress_end(void);

#endif
