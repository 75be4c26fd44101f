/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What users do with a pool: submit work, and wait for it, ask it, release it. */
#include "core/bits.h"
#include "core/pool.h"

#include <stdlib.h>
#include <string.h>

/* ---- submitting -------------------------------------------------------------------------------------------------- */

static apr_status_t check_pool(cohort_pool_t *pool, cohort__thread_t **me) {
    apr_status_t status = cohort__enter(me);
    return status ? status : cohort__object_check(pool, COHORT__KIND_POOL, COHORT__POOL_TAG);
}

static apr_status_t run(cohort_pool_t *pool, const cohort__order_t *order) {
    cohort__thread_t *me;
    cohort_result_t *job;
    apr_status_t status = check_pool(pool, &me);
    if (!status) status = cohort__job_submit(&job, pool, me, order, NULL);
    if (status) return status;
    status = cohort_result_get(job, NULL, 0, COHORT_FOREVER);
    (void)cohort_result_destroy(job);
    return status;
}

static apr_status_t submit(cohort_result_t **result, cohort_pool_t *pool, const cohort__order_t *order,
                           apr_pool_t *parent) {
    cohort__callback_t *callback = NULL;
    cohort__thread_t *me;
    if (!result) return APR_EINVAL;
    apr_status_t status = check_pool(pool, &me);
    if (!status) status = cohort__callback_make(&callback, order->options);
    if (!status) status = cohort__job_submit(result, pool, me, order, parent);
    if (status)
        cohort__callback_drop(callback);
    else if (callback)
        cohort__callback_add(callback, *result);
    return status;
}

apr_status_t cohort_pool_map(cohort_pool_t *pool, cohort_task_t task, const void *inputs, apr_size_t input_size,
                             apr_size_t n, void *outputs, apr_size_t output_size, const cohort_map_options_t *options) {
    return run(pool, &(cohort__order_t){task, inputs, outputs, input_size, output_size, n, options, true});
}

apr_status_t cohort_pool_apply(cohort_pool_t *pool, cohort_task_t task, const void *input, apr_size_t input_size,
                               void *output, apr_size_t output_size) {
    return run(pool, &(cohort__order_t){task, input, output, input_size, output_size, 1, NULL, true});
}

apr_status_t cohort_pool_map_async(cohort_result_t **result, cohort_pool_t *pool, cohort_task_t task,
                                   const void *inputs, apr_size_t input_size, apr_size_t n, void *outputs,
                                   apr_size_t output_size, const cohort_map_options_t *options, apr_pool_t *parent) {
    cohort__order_t order = {task, inputs, outputs, input_size, output_size, n, options, false};
    return submit(result, pool, &order, parent);
}

apr_status_t cohort_pool_apply_async(cohort_result_t **result, cohort_pool_t *pool, cohort_task_t task,
                                     const void *input, apr_size_t input_size, void *output, apr_size_t output_size,
                                     const cohort_map_options_t *options, apr_pool_t *parent) {
    return cohort_pool_map_async(result, pool, task, input, input_size, 1, output, output_size, options, parent);
}

/* ---- waiting ----------------------------------------------------------------------------------------------------- */

apr_status_t cohort__result_check(cohort_result_t *result) {
    return cohort__object_check(result, COHORT__KIND_RESULT, COHORT__RESULT_TAG);
}

/* Who waits sees what the callback did; unless it waits in a callback, or whoever was to call it is dead. */
static bool is_called(cohort_result_t *job, bool thorough) {
    if (!job->callbacks || atomic_load(&job->called) || cohort__in_callback()) return true;
    return thorough && !cohort__process_alive(job->submitter, true);
}

apr_status_t cohort__result_try(cohort_result_t *job, bool thorough) {
    cohort__thread_t *me;
    cohort_pool_t *pool = atomic_load(&job->pool);
    if (!atomic_load(&job->state) && atomic_load(&pool->state) == COHORT__POOL_ENDED) {
        cohort__job_finish(job, COHORT__JOB_ABANDONED, (apr_status_t)atomic_load(&pool->status));
    }
    if (!atomic_load(&job->state)) {
        if (thorough && !cohort__enter(&me)) cohort__pool_look(pool, me);
        if (!atomic_load(&job->state)) return APR_EAGAIN;
    }
    return is_called(job, thorough) ? APR_SUCCESS : APR_EAGAIN;
}

static apr_status_t try_wait(void *arg, bool thorough) {
    return cohort__result_try(arg, thorough);
}

static bool is_short_of_workers(void *arg) {
    cohort_result_t *job = arg;
    uint64_t hands = atomic_load(&job->pool)->hands, wanted = job->chunks < hands ? job->chunks : hands;
    return wanted > 1 && atomic_load_explicit(&job->visits, memory_order_relaxed) < wanted;
}

apr_status_t cohort_result_wait(cohort_result_t *result, apr_interval_time_t timeout) {
    cohort__thread_t *me;
    cohort__pace_t pace = cohort__pace_brisk;
    apr_status_t status = cohort__enter(&me);
    if (!status) status = cohort__result_check(result);
    if (status) return status;
    pace.unrest = is_short_of_workers;
    return cohort__await_paced(&result->changed, try_wait, result, cohort__deadline(timeout), pace);
}

int cohort_result_ready(cohort_result_t *result) {
    return cohort__result_check(result) || cohort__result_try(result, false) != APR_EAGAIN;
}

/* ---- asking ------------------------------------------------------------------------------------------------------ */

static apr_status_t check_ready(cohort_result_t *result) {
    apr_status_t status = cohort__result_check(result);
    return status ? status : cohort__result_try(result, true);
}

static apr_status_t status_of(cohort_result_t *result) {
    return (apr_status_t)(uint32_t)atomic_load(&result->state);
}

static bool is_abandoned(cohort_result_t *result) {
    return atomic_load(&result->state) >> 32 == COHORT__JOB_ABANDONED;
}

apr_status_t cohort_result_successful(cohort_result_t *result, int *successful) {
    apr_status_t status = successful ? check_ready(result) : APR_EINVAL;
    if (!status) *successful = status_of(result) == APR_SUCCESS;
    return status;
}

apr_status_t cohort_result_get(cohort_result_t *result, void *outputs, apr_size_t size, apr_interval_time_t timeout) {
    apr_status_t status = cohort__result_check(result);
    if (status) return status;
    uint64_t need = result->n * result->output_size;
    if (outputs && size < need) return COHORT_ETOOSMALL;
    status = cohort_result_wait(result, timeout);
    if (status) return status;
    if (is_abandoned(result)) return status_of(result);
    if (!outputs && result->submitter == cohort__self_id()) outputs = result->destination;
    if (outputs && need && outputs != result->outputs) memcpy(outputs, result->outputs, (size_t)need);
    return status_of(result);
}

apr_status_t cohort_result_outputs(cohort_result_t *result, void **outputs) {
    apr_status_t status = outputs ? cohort__result_check(result) : APR_EINVAL;
    if (!status) *outputs = result->outputs;
    return status;
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

static uint64_t chains_of(cohort_result_t *result) {
    if (!result->chunks) return 0;
    return result->by_chunk ? result->chunks : atomic_load(&result->pool)->workers;
}

/* Every failure of the job, in no order; NULL after the last. */
static cohort__failure_t *next_failure(cohort_result_t *result, cohort__failure_t *at, uint64_t *chain) {
    if (at) at = atomic_load(&at->next);
    while (!at && *chain < chains_of(result)) at = atomic_load(&result->failures[(*chain)++]);
    return at;
}

apr_status_t cohort_result_error(cohort_result_t *result, cohort_task_error_t *error) {
    apr_status_t status = error ? check_ready(result) : APR_EINVAL;
    uint64_t chain = 0, first;
    if (status) return status;
    first = atomic_load(&result->first_failed);
    *error =
        (cohort_task_error_t){.status = status_of(result), .message = "", .worker = "", .exit_code = COHORT_EXIT_NONE};
    if (is_abandoned(result) || !first) return APR_SUCCESS;
    error->index = (apr_size_t)((first >> 32) - 1);
    for (cohort__failure_t *at = NULL; (at = next_failure(result, at, &chain)) != NULL;) {
        if (at->index == error->index) {
            describe(at, error);
            break;
        }
    }
    return APR_SUCCESS;
}

static int by_index(const void *a, const void *b) {
    apr_size_t left = ((const cohort_task_error_t *)a)->index, right = ((const cohort_task_error_t *)b)->index;
    return left < right ? -1 : left > right;
}

apr_status_t cohort_result_errors(cohort_result_t *result, cohort_task_error_t **errors, apr_size_t *n,
                                  apr_pool_t *pool) {
    apr_status_t status = errors && n && pool ? check_ready(result) : APR_EINVAL;
    uint64_t chain = 0;
    apr_size_t count = 0, filled = 0;
    if (status) return status;
    for (cohort__failure_t *at = NULL; (at = next_failure(result, at, &chain)) != NULL;) count++;
    *errors = count ? apr_palloc(pool, count * sizeof **errors) : NULL;
    chain = 0;
    for (cohort__failure_t *at = NULL; filled < count && (at = next_failure(result, at, &chain)) != NULL;) {
        describe(at, &(*errors)[filled++]);
    }
    if (filled) qsort(*errors, filled, sizeof **errors, by_index);
    *n = filled;
    return APR_SUCCESS;
}

/* ---- releasing --------------------------------------------------------------------------------------------------- */

/* Lines that workers wrote to, and that will be written here: to take it off the lists, and to make another in its place. */
static void ask_for(const cohort_result_t *job) {
    for (size_t at = offsetof(cohort_result_t, ready); at <= offsetof(cohort_result_t, data); at += 64) {
        cohort__prefetch((const char *)job + at);
    }
}

apr_status_t cohort_result_destroy(cohort_result_t *result) {
    cohort__thread_t *me;
    if (!result) return APR_SUCCESS;
    apr_status_t status = cohort__enter(&me);
    if (!status) status = cohort__result_check(result);
    if (status)
        return status == COHORT_EHANDLE && cohort__object_place(result, COHORT__KIND_RESULT) ? APR_SUCCESS : status;
    uint64_t tag = atomic_load(&result->object.tag);
    cohort_pool_t *pool = atomic_load(&result->pool);
    if (!pool) return APR_SUCCESS; /* another call has destroyed it, and it is being made anew */
    ask_for(result);
    cohort__pool_enter(pool, me);
    bool same = cohort__job_is_of(result, pool) && atomic_load(&result->object.tag) == tag;
    if (same && cohort__object_end(result, COHORT__RESULT_TAG)) cohort__job_doom(pool, me, result);
    cohort__pool_leave_last(pool, me);
    return APR_SUCCESS;
}
