/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What a result that is done says: its outputs, and which of its items failed and why. */
#include "core/pool/backend.h"

#include <stdlib.h>
#include <string.h>

apr_status_t cohort__result_successful(cohort_result_t *result, int *successful) {
    cohort__call_t use;
    apr_status_t status = cohort__result_look_ready(&use, result);
    if (status) return status;
    *successful = cohort__result_find(result).status == APR_SUCCESS;
    cohort__result_look_end(&use);
    return APR_SUCCESS;
}

int cohort_result_is_successful(const cohort_result_t *result) {
    int successful = 0;
    (void)COHORT__CALL_ANEW(cohort__result_successful((cohort_result_t *)result, &successful));
    return successful;
}

static void describe_failure(const cohort__failure_t *failure, cohort_task_error_t *error) {
    *error = (cohort_task_error_t){.status = failure->status,
                                   .message = failure->message,
                                   .message_size = failure->length,
                                   .index = (apr_size_t)failure->index,
                                   .worker = failure->worker,
                                   .pid = failure->pid,
                                   .exit_code = failure->exit_code,
                                   .attempt = failure->attempt,
                                   .count = (apr_size_t)failure->count,
                                   .file = failure->file ? failure->file : "",
                                   .function = failure->function ? failure->function : "",
                                   .line = failure->line,
                                   .crash = failure->crash ? failure->crash : ""};
}

static cohort__failure_t *next_failure(const cohort_result_t *result, cohort__failure_t *at,
                                       uint64_t *chain) {
    return cohort__backend_of_job(result)->next_failure(result, at, chain);
}

/* An item that has ended without being begun. */
static void describe_cancelled(uint64_t index, apr_status_t status, cohort_task_error_t *error) {
    error->index = (apr_size_t)index;
    error->count = 1;
    error->status = status;
    error->message = status == COHORT_ECANCELLED ? "it was cancelled before it was run"
                                                 : "it was not run within the time";
    error->message_size = strlen(error->message);
}

static uint64_t next_cancelled(const cohort_result_t *result, uint64_t from, apr_status_t *status) {
    return cohort__backend_of_job(result)->next_cancelled(result, from, status);
}

/* The failed item with the lowest index, or why it was ended before it was done. It is done. */
static void find_error(const cohort_result_t *result, const cohort__found_t *found,
                       cohort_task_error_t *error) {
    uint64_t chain = 0;
    *error = (cohort_task_error_t){.status = found->status,
                                   .message = "",
                                   .worker = "",
                                   .file = "",
                                   .function = "",
                                   .crash = "",
                                   .exit_code = COHORT_EXIT_NONE};
    const cohort__failure_t *reason = found->reason;
    if (found->abandoned && reason && reason->status == error->status)
        describe_failure(reason, error);
    if (found->abandoned || !found->failed) return;
    error->index = (apr_size_t)found->first;
    error->count = 1;
    if (found->cancelled && next_cancelled(result, found->first, &error->status) == found->first)
        describe_cancelled(found->first, error->status, error);
    for (cohort__failure_t *at = NULL; (at = next_failure(result, at, &chain)) != NULL;) {
        if (at->index == error->index) {
            describe_failure(at, error);
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
    const char *said = has_message ? error.message : "", *colon = has_message ? ": " : "";
    const char *run = *error.worker ? ", run by " : "";
    unsigned long first = (unsigned long)error.index, last = first + (unsigned long)error.count - 1;
    if (error.count <= 1)
        return cohort__fail(status, "item %lu%s%s%s%s", first, run, error.worker, colon, said);
    return cohort__fail(status, "the range of items %lu to %lu%s%s%s%s", first, last, run,
                        error.worker, colon, said);
}

/* Where the outputs are to go, of which the caller has said this. */
static void *destination_of(const cohort_result_t *job, void *outputs) {
    return !outputs && job->submitter == cohort__self_id() ? job->destination : outputs;
}

static COHORT__APART apr_status_t give_outputs(const cohort__call_t *use, cohort_bytes_t *outputs) {
    cohort_result_t *job = cohort__result_of(use);
    cohort_pool_t *pool = atomic_load(&job->pool);
    const cohort__backend_t *backend = cohort__backend_of_job(job);
    if (cohort__call_over(use)) return COHORT_EHANDLE;
    cohort__pool_enter(pool, use->me);
    apr_status_t status = backend->give(pool, use, outputs);
    cohort__pool_leave_last(pool, use->me);
    return status;
}

apr_status_t cohort__result_give(const cohort__call_t *use, void *outputs) {
    const cohort_result_t *job = cohort__result_of(use);
    if (!(job->bytes & COHORT__BYTES_OUT)) return APR_SUCCESS;
    outputs = destination_of(job, outputs);
    return outputs ? give_outputs(use, outputs) : APR_SUCCESS;
}

/* Of a job that is over, and not freed meanwhile. */
apr_status_t cohort__result_collect(cohort_result_t *job, void *outputs) {
    const cohort__found_t found = cohort__result_find(job);
    if (found.abandoned) return explain_failure(job);
    outputs = destination_of(job, outputs);
    if (outputs && found.outputs && outputs != found.outputs)
        memcpy(outputs, found.outputs, (size_t)found.size);
    return found.status ? explain_failure(job) : APR_SUCCESS;
}

static apr_status_t check_room(const cohort__call_t *use, apr_size_t size) {
    if (!cohort__result_look(use)) return COHORT_EHANDLE;
    uint64_t need = cohort__result_find(cohort__result_of(use)).size;
    cohort__result_look_end(use);
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
    if (!status) status = cohort__result_give(&use, outputs);
    if (status) return status;
    if (!cohort__result_look(&use)) return COHORT_EHANDLE;
    status = cohort__result_collect(result, outputs);
    cohort__result_look_end(&use);
    return status;
}

apr_status_t cohort_result_get(cohort_result_t *result, void *outputs, apr_size_t size,
                               apr_interval_time_t timeout) {
    return COHORT__CALL_ANEW(result_get(result, outputs, size, timeout));
}

static apr_status_t result_outputs(cohort_result_t *result, void **outputs) {
    cohort__call_t use;
    apr_status_t status = cohort__result_use(&use, result);
    if (!status && !cohort__result_look(&use)) status = COHORT_EHANDLE;
    if (status) return status;
    *outputs = cohort__result_find(result).outputs;
    cohort__result_look_end(&use);
    return APR_SUCCESS;
}

void *cohort_result_outputs(const cohort_result_t *result) {
    void *outputs = NULL;
    (void)COHORT__CALL_ANEW(result_outputs((cohort_result_t *)result, &outputs));
    return outputs;
}

static apr_status_t result_error(cohort_result_t *result, cohort_task_error_t *error) {
    cohort__call_t use;
    apr_status_t status = error ? cohort__result_look_ready(&use, result) : cohort__null("error");
    if (status) return status;
    const cohort__found_t found = cohort__result_find(result);
    find_error(result, &found, error);
    cohort__result_look_end(&use);
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
    for (apr_size_t i = 0; i < count; i++) {
        errors[i] = (cohort_task_error_t){
            .worker = "", .file = "", .function = "", .crash = "", .exit_code = COHORT_EXIT_NONE};
        list[i] = &errors[i];
    }
    return list;
}

/* Those that ended without being begun: the first `room` of them, without a list all. Their
 * number. */
static apr_size_t list_cancelled(const cohort_result_t *result, const cohort__found_t *found,
                                 cohort_task_error_t **list, apr_size_t room) {
    apr_status_t status;
    apr_size_t count = 0;
    for (uint64_t at = 0;
         (!list || count < room) && (at = next_cancelled(result, at, &status)) < found->n; at++) {
        if (list) describe_cancelled(at, status, list[count]);
        count++;
    }
    return count;
}

static apr_status_t look_for_errors(cohort__call_t *use, cohort_result_t *result,
                                    cohort_task_error_t ***errors, apr_size_t *n,
                                    apr_pool_t *pool) {
    if (!errors || !n || !pool) return cohort__null(!errors ? "errors" : !n ? "n" : "pool");
    return cohort__result_look_ready(use, result);
}

static apr_status_t result_errors(cohort_result_t *result, cohort_task_error_t ***errors,
                                  apr_size_t *n, apr_pool_t *pool) {
    cohort__call_t use;
    apr_status_t status = look_for_errors(&use, result, errors, n, pool);
    uint64_t chain = 0;
    apr_size_t count = 0, filled = 0;
    if (status) return status;
    const cohort__found_t found = cohort__result_find(result);
    for (cohort__failure_t *at = NULL; (at = next_failure(result, at, &chain)) != NULL;) count++;
    if (found.cancelled) count += list_cancelled(result, &found, NULL, 0);
    cohort_task_error_t **list = new_errors(pool, count);
    chain = 0;
    for (cohort__failure_t *at = NULL;
         filled < count && (at = next_failure(result, at, &chain)) != NULL;) {
        describe_failure(at, list[filled++]);
    }
    if (found.cancelled) filled += list_cancelled(result, &found, list + filled, count - filled);
    cohort__result_look_end(&use);
    if (filled) qsort(list, filled, sizeof *list, by_index);
    *errors = list;
    *n = filled;
    return APR_SUCCESS;
}

apr_status_t cohort_result_errors(const cohort_result_t *result, cohort_task_error_t ***errors,
                                  apr_size_t *n, apr_pool_t *pool) {
    return COHORT__CALL_ANEW(result_errors((cohort_result_t *)result, errors, n, pool));
}
