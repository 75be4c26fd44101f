/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Results: waited for, asked, released. */
#include "core/base/bits.h"
#include "core/pool/backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- waiting -------------------------------------------------------------------------------- */

apr_status_t cohort__result_use(cohort__call_t *use, cohort_result_t *result) {
    return cohort__call_begin(use, result, COHORT__KIND_RESULT, COHORT__RESULT_TAG);
}

static cohort_result_t *job_of(const cohort__call_t *use) { return (cohort_result_t *)use->object; }

/* Between these two the job is not freed, nor its pool, in which it is listed. A thread that
 * destroys the job meanwhile leaves it to the last one that ends its look, or to the sweep after
 * that one's death. */
static bool look_at_job(const cohort__call_t *use) {
    atomic_store_explicit(&job_of(use)->looked, 1, memory_order_relaxed);
    return cohort__call_look(use);
}

static void look_end(const cohort__call_t *use) {
    cohort_result_t *job = job_of(use);
    cohort_pool_t *pool = atomic_load(&job->pool);
    const cohort__backend_t *backend = cohort__backend_of_job(job);
    cohort__call_look_end(use);
    atomic_thread_fence(memory_order_seq_cst);
    if (!cohort__call_over(use)) return;
    cohort__pool_enter(pool, use->me);
    backend->left(pool, use->me, job);
    cohort__pool_leave_last(pool, use->me);
}

/* A thread that waits sees what the callback did; unless it waits in a callback, or the process
 * that was to call it is dead. */
static bool is_called(cohort_result_t *job, bool thorough) {
    if (!atomic_load_explicit(&job->callbacks, memory_order_relaxed) || atomic_load(&job->called) ||
        cohort__in_callback())
        return true;
    return thorough && !cohort__process_alive(job->submitter, true);
}

/* What is read is of the life that is meant if that goes on afterwards: the state of a job is
 * final. */
static apr_status_t peek(const cohort__call_t *use, bool thorough) {
    cohort_result_t *job = job_of(use);
    bool ready = cohort__result_is_over(job) && is_called(job, thorough);
    if (cohort__call_over(use)) return COHORT_EHANDLE;
    return ready ? APR_SUCCESS : APR_EAGAIN;
}

/* The process that ended the pool ends its jobs too, unless it dies over that. */
static void end_with_pool(const cohort__call_t *use) {
    cohort_result_t *job = job_of(use);
    if (!look_at_job(use)) return;
    cohort_pool_t *pool = atomic_load(&job->pool);
    if (!cohort__result_is_over(job) && atomic_load(&pool->state) == COHORT__POOL_ENDED) {
        cohort__backend_of(pool)->abandon(job, COHORT_ETERMINATED);
    }
    look_end(use);
}

/* Dead processes are noticed, and what they leave undone is done; workers that are missing are
 * started only by a thread that waits. */
static apr_status_t look_around(const cohort__call_t *use, bool waits) {
    cohort_result_t *job = job_of(use);
    apr_status_t status = peek(use, true);
    if (status != APR_EAGAIN || cohort__result_is_over(job)) return status;
    cohort_pool_t *pool = atomic_load(&job->pool);
    end_with_pool(use);
    status = peek(use, true);
    if (status != APR_EAGAIN || cohort__result_is_over(job)) return status;
    /* if that is another pool by now, it is looked after for once */
    cohort__pool_look(pool, use->me, waits);
    return peek(use, true);
}

apr_status_t cohort__result_try(const cohort__call_t *use, bool thorough) {
    return thorough ? look_around(use, true) : peek(use, false);
}

static apr_status_t try_result(void *arg, bool thorough) {
    return cohort__result_try(arg, thorough);
}

unsigned cohort__result_ready(const cohort__aim_t *aim, unsigned wanted, bool thorough) {
    cohort__call_t use = {aim->me, aim->handle, aim->life};
    apr_status_t status = thorough ? cohort__result_try(&use, true) : peek(&use, false);
    return status == APR_EAGAIN ? 0 : wanted;
}

void cohort__result_describe(const cohort__aim_t *aim, char *text, size_t size) {
    snprintf(text, size, "a result that is %sdone",
             cohort__result_is_over(aim->handle) ? "" : "not ");
}

static bool is_short_of_workers(void *arg) {
    const cohort_result_t *job = job_of(arg);
    return cohort__backend_of_job(job)->is_short_of_workers(job);
}

apr_status_t cohort__result_await(cohort__call_t *use, apr_interval_time_t timeout) {
    cohort__pace_t pace = cohort__pace_brisk;
    pace.unrest = is_short_of_workers;
    return cohort__await_paced(cohort__result_event(job_of(use)), try_result, use,
                               cohort__deadline(timeout), pace);
}

static apr_status_t result_wait(cohort_result_t *result, apr_interval_time_t timeout) {
    cohort__call_t use;
    apr_status_t status = cohort__result_use(&use, result);
    return status ? status : cohort__result_await(&use, timeout);
}

apr_status_t cohort_result_wait(cohort_result_t *result, apr_interval_time_t timeout) {
    return COHORT__CALL_ANEW(result_wait(result, timeout));
}

#define ASK_AGAIN_NS INT64_C(50000000)

/* True once in that time, for one caller. */
static bool is_time_to_look(cohort_result_t *job) {
    int64_t now = cohort_os_now(), asked = atomic_load_explicit(&job->asked, memory_order_relaxed);
    return now - asked >= ASK_AGAIN_NS && atomic_compare_exchange_strong(&job->asked, &asked, now);
}

/* A process that asks again and again notices deaths as one that waits does. */
int cohort_result_is_ready(const cohort_result_t *asked) {
    cohort_result_t *result = (cohort_result_t *)asked;
    cohort__call_t use;
    if (COHORT__CALL_ANEW(cohort__result_use(&use, result))) return 1;
    if (peek(&use, false) != APR_EAGAIN) return 1;
    if (is_time_to_look(result)) return look_around(&use, false) != APR_EAGAIN;
    if (!cohort__result_is_over(result)) end_with_pool(&use);
    return peek(&use, false) != APR_EAGAIN;
}

/* ---- asking --------------------------------------------------------------------------------- */

/* If the result is ready: look at it. */
static apr_status_t look_ready(cohort__call_t *use, cohort_result_t *result) {
    apr_status_t status = cohort__result_use(use, result);
    if (!status) status = look_around(use, false);
    if (status) return status;
    return look_at_job(use) ? APR_SUCCESS : COHORT_EHANDLE;
}

apr_status_t cohort__result_successful(cohort_result_t *result, int *successful) {
    cohort__call_t use;
    apr_status_t status = look_ready(&use, result);
    if (status) return status;
    *successful = cohort__result_find(result).status == APR_SUCCESS;
    look_end(&use);
    return APR_SUCCESS;
}

int cohort_result_is_successful(const cohort_result_t *result) {
    int successful = 0;
    (void)COHORT__CALL_ANEW(cohort__result_successful((cohort_result_t *)result, &successful));
    return successful;
}

static void describe(const cohort__failure_t *failure, cohort_task_error_t *error) {
    *error = (cohort_task_error_t){.status = failure->status,
                                   .message = failure->message,
                                   .message_size = failure->length,
                                   .index = (apr_size_t)failure->index,
                                   .worker = failure->worker,
                                   .pid = failure->pid,
                                   .exit_code = failure->exit_code,
                                   .attempt = failure->attempt};
}

static cohort__failure_t *next_failure(const cohort_result_t *result, cohort__failure_t *at,
                                       uint64_t *chain) {
    return cohort__backend_of_job(result)->next_failure(result, at, chain);
}

/* The failed item with the lowest index, or why it was ended before it was done. It is done. */
static void find_error(const cohort_result_t *result, const cohort__found_t *found,
                       cohort_task_error_t *error) {
    uint64_t chain = 0;
    *error = (cohort_task_error_t){
        .status = found->status, .message = "", .worker = "", .exit_code = COHORT_EXIT_NONE};
    const cohort__failure_t *reason = found->reason;
    if (found->abandoned && reason && reason->status == error->status) describe(reason, error);
    if (found->abandoned || !found->failed) return;
    error->index = (apr_size_t)found->first;
    for (cohort__failure_t *at = NULL; (at = next_failure(result, at, &chain)) != NULL;) {
        if (at->index == error->index) {
            describe(at, error);
            break;
        }
    }
}

/* The status of a job that has failed; it is said which item did, where, and what its task said. */
static apr_status_t explain_failure(const cohort_result_t *result) {
    const cohort__found_t found = cohort__result_find(result);
    cohort_task_error_t error;
    char plain[160];
    apr_status_t status = found.status;
    find_error(result, &found, &error);
    if (error.status != status) return status;
    bool has_message =
        *error.message && strcmp(error.message, cohort_strerror(status, plain, sizeof plain)) != 0;
    if (found.abandoned) return has_message ? cohort__fail(status, "%s", error.message) : status;
    return cohort__fail(status, "item %lu, run by %s%s%s", (unsigned long)error.index, error.worker,
                        has_message ? ": " : "", has_message ? error.message : "");
}

/* Of a job that is over, and not freed meanwhile. */
apr_status_t cohort__result_collect(cohort_result_t *job, void *outputs) {
    const cohort__found_t found = cohort__result_find(job);
    if (found.abandoned) return explain_failure(job);
    if (!outputs && job->submitter == cohort__self_id()) outputs = job->destination;
    if (outputs && found.size && outputs != found.outputs)
        memcpy(outputs, found.outputs, (size_t)found.size);
    return found.status ? explain_failure(job) : APR_SUCCESS;
}

static apr_status_t check_room(const cohort__call_t *use, apr_size_t size) {
    if (!look_at_job(use)) return COHORT_EHANDLE;
    uint64_t need = cohort__result_find(job_of(use)).size;
    look_end(use);
    if (size >= need) return APR_SUCCESS;
    return cohort__fail(COHORT_ETOOSMALL, "outputs has %lu bytes, and %lu are needed",
                        (unsigned long)size, (unsigned long)need);
}

static apr_status_t result_get(cohort_result_t *result, void *outputs, apr_size_t size,
                               apr_interval_time_t timeout) {
    cohort__call_t use;
    apr_status_t status = cohort__result_use(&use, result);
    if (!status && outputs) status = check_room(&use, size);
    if (!status) status = cohort__result_await(&use, timeout);
    if (status) return status;
    if (!look_at_job(&use)) return COHORT_EHANDLE;
    status = cohort__result_collect(result, outputs);
    look_end(&use);
    return status;
}

apr_status_t cohort_result_get(cohort_result_t *result, void *outputs, apr_size_t size,
                               apr_interval_time_t timeout) {
    return COHORT__CALL_ANEW(result_get(result, outputs, size, timeout));
}

static apr_status_t result_outputs(cohort_result_t *result, void **outputs) {
    cohort__call_t use;
    apr_status_t status = cohort__result_use(&use, result);
    if (!status && !look_at_job(&use)) status = COHORT_EHANDLE;
    if (status) return status;
    *outputs = cohort__result_find(result).outputs;
    look_end(&use);
    return APR_SUCCESS;
}

void *cohort_result_outputs(const cohort_result_t *result) {
    void *outputs = NULL;
    (void)COHORT__CALL_ANEW(result_outputs((cohort_result_t *)result, &outputs));
    return outputs;
}

static apr_status_t result_error(cohort_result_t *result, cohort_task_error_t *error) {
    cohort__call_t use;
    apr_status_t status = error ? look_ready(&use, result) : cohort__null("error");
    if (status) return status;
    const cohort__found_t found = cohort__result_find(result);
    find_error(result, &found, error);
    look_end(&use);
    return APR_SUCCESS;
}

apr_status_t cohort_result_error(const cohort_result_t *result, cohort_task_error_t *error) {
    return COHORT__CALL_ANEW(result_error((cohort_result_t *)result, error));
}

static int by_index(const void *a, const void *b) {
    apr_size_t left = (*(cohort_task_error_t *const *)a)->index,
               right = (*(cohort_task_error_t *const *)b)->index;
    return left < right ? -1 : left > right;
}

/* An array of pointers, so that a later version can make the elements larger. */
static cohort_task_error_t **new_errors(apr_pool_t *pool, apr_size_t count) {
    if (!count) return NULL;
    cohort_task_error_t **list = apr_palloc(pool, count * sizeof *list);
    cohort_task_error_t *errors = apr_palloc(pool, count * sizeof *errors);
    for (apr_size_t i = 0; i < count; i++) list[i] = &errors[i];
    return list;
}

static apr_status_t look_for_errors(cohort__call_t *use, cohort_result_t *result,
                                    cohort_task_error_t ***errors, apr_size_t *n,
                                    apr_pool_t *pool) {
    if (!errors || !n || !pool) return cohort__null(!errors ? "errors" : !n ? "n" : "pool");
    return look_ready(use, result);
}

static apr_status_t result_errors(cohort_result_t *result, cohort_task_error_t ***errors,
                                  apr_size_t *n, apr_pool_t *pool) {
    cohort__call_t use;
    apr_status_t status = look_for_errors(&use, result, errors, n, pool);
    uint64_t chain = 0;
    apr_size_t count = 0, filled = 0;
    if (status) return status;
    for (cohort__failure_t *at = NULL; (at = next_failure(result, at, &chain)) != NULL;) count++;
    cohort_task_error_t **list = new_errors(pool, count);
    chain = 0;
    for (cohort__failure_t *at = NULL;
         filled < count && (at = next_failure(result, at, &chain)) != NULL;) {
        describe(at, list[filled++]);
    }
    look_end(&use);
    if (filled) qsort(list, filled, sizeof *list, by_index);
    *errors = list;
    *n = filled;
    return APR_SUCCESS;
}

apr_status_t cohort_result_errors(const cohort_result_t *result, cohort_task_error_t ***errors,
                                  apr_size_t *n, apr_pool_t *pool) {
    return COHORT__CALL_ANEW(result_errors((cohort_result_t *)result, errors, n, pool));
}

/* ---- releasing ------------------------------------------------------------------------------ */

/* Lines that the back end wrote to, and that will be written here: to take it off the lists, and to
 * make another in its place. */
static void prefetch_result(const cohort_result_t *job) {
    for (size_t at = offsetof(cohort_result_t, pool); at < offsetof(cohort_result_t, data) + 64;
         at += 64) {
        cohort__prefetch((const char *)job + at);
    }
}

/* The guard is left: wake all that wait for the job, to find that it is gone. */
static void notify_all(cohort_result_t *job) {
    cohort__notify(cohort__result_event(job), COHORT__ALL);
    cohort__notify(&cohort__arena->completed, COHORT__ALL);
}

apr_status_t cohort__result_destroy(cohort_result_t *result) {
    cohort__call_t use;
    if (!result) return APR_SUCCESS;
    apr_status_t status = cohort__result_use(&use, result);
    if (status)
        return status == COHORT_EHANDLE && cohort__object_place(result, COHORT__KIND_RESULT)
                   ? APR_SUCCESS
                   : status;
    cohort_pool_t *pool = atomic_load(&result->pool);
    const cohort__backend_t *backend = cohort__backend_of_job(result);
    /* another call has destroyed it, and it may be being made anew */
    if (cohort__call_over(&use)) return APR_SUCCESS;
    prefetch_result(result);
    cohort__pool_enter(pool, use.me);
    bool ended = backend->drop(pool, &use);
    cohort__pool_leave_last(pool, use.me);
    if (ended) notify_all(result);
    return APR_SUCCESS;
}

apr_status_t cohort_result_destroy(cohort_result_t *result) {
    return COHORT__CALL_ANEW(cohort__result_destroy(result));
}
