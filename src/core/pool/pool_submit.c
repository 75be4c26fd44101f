/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Submitting jobs to a pool. */
#include "core/base/fail.h"
#include "core/base/reserved.h"
#include "core/pool/backend.h"

#include <stdlib.h>
#include <string.h>

static apr_status_t submit_order(cohort_result_t **job, const cohort__call_t *use,
                                 const cohort_job_t *order, bool blocking, apr_pool_t *parent) {
    const cohort__backend_t *backend = cohort__backend_meant(use);
    return backend ? backend->submit(job, use, order, blocking, NULL, parent) : COHORT_EHANDLE;
}

/* Of an order that a user has written. */
static apr_status_t check_order(const cohort_job_t *order) {
    return order ? cohort__check_reserved(order->reserved, 6, "job.reserved") : cohort__null("job");
}

/* No other thread has the result, so it lives until this one destroys it. */
static apr_status_t finish_order(cohort__call_t *use, cohort_result_t *job) {
    use->object = &job->object;
    use->life = atomic_load(&use->object->tag);
    apr_status_t status = cohort__result_await(use, COHORT_FOREVER);
    cohort__result_prefetch(job);
    if (!status) status = cohort__result_give(use, NULL);
    if (!status) status = cohort__result_collect(job, NULL);
    (void)cohort__result_destroy(job);
    return status;
}

static apr_status_t run_order(cohort_pool_t *pool, const cohort_job_t *order) {
    cohort__call_t use;
    cohort_result_t *job;
    apr_status_t status = cohort__pool_call(&use, pool);
    if (!status) status = submit_order(&job, &use, order, true, NULL);
    return status ? status : finish_order(&use, job);
}

static apr_status_t submit(cohort_result_t **result, cohort_pool_t *pool, const cohort_job_t *order,
                           apr_pool_t *parent) {
    cohort__callback_t *callback = NULL;
    cohort__call_t use;
    apr_status_t status = result ? check_order(order) : cohort__null("result");
    if (!status) status = cohort__pool_call(&use, pool);
    if (!status) status = cohort__callback_make(&callback, order);
    if (!status) status = submit_order(result, &use, order, false, parent);
    if (status) cohort__callback_drop(callback);
    else if (callback) cohort__callback_add(callback, *result);
    return status;
}

static apr_status_t pool_run(cohort_pool_t *pool, const cohort_job_t *order) {
    apr_status_t status = check_order(order);
    return status ? status : run_order(pool, order);
}

apr_status_t cohort_pool_run(cohort_pool_t *pool, const cohort_job_t *job) {
    return COHORT__CALL_ANEW(pool_run(pool, job));
}

apr_status_t cohort_pool_submit(cohort_result_t **result, cohort_pool_t *pool,
                                const cohort_job_t *job, apr_pool_t *parent) {
    return COHORT__CALL_ANEW(submit(result, pool, job, parent));
}

apr_status_t cohort_pool_map(cohort_pool_t *pool, cohort_task_t task, const void *inputs,
                             apr_size_t input_size, apr_size_t n, void *outputs,
                             apr_size_t output_size) {
    const cohort_job_t order = {.task = task,
                                .inputs = inputs,
                                .input_size = input_size,
                                .n = n,
                                .outputs = outputs,
                                .output_size = output_size};
    return COHORT__CALL_ANEW(run_order(pool, &order));
}

apr_status_t cohort_pool_map_ranges(cohort_pool_t *pool, cohort_range_task_t range,
                                    const void *inputs, apr_size_t input_size, apr_size_t n,
                                    void *outputs, apr_size_t output_size) {
    const cohort_job_t order = {.range = range,
                                .inputs = inputs,
                                .input_size = input_size,
                                .n = n,
                                .outputs = outputs,
                                .output_size = output_size};
    return COHORT__CALL_ANEW(range ? run_order(pool, &order) : cohort__null("range"));
}

apr_status_t cohort_pool_apply(cohort_pool_t *pool, cohort_task_t task, const void *input,
                               apr_size_t input_size, void *output, apr_size_t output_size) {
    const cohort_job_t order = {.task = task,
                                .inputs = input,
                                .input_size = input_size,
                                .n = 1,
                                .outputs = output,
                                .output_size = output_size};
    return COHORT__CALL_ANEW(run_order(pool, &order));
}

/* ---- once on every worker ------------------------------------------------------------------- */

/* With an input for each, the same for all. APR_EAGAIN: there are more workers by now, or fewer. */
static apr_status_t submit_to_each(cohort_result_t **job, const cohort__call_t *use,
                                   const cohort_job_t *order) {
    const cohort__backend_t *backend = cohort__backend_meant(use);
    const cohort__origin_t each = {.each = true};
    cohort_job_t own_order = *order;
    if (!backend) return COHORT_EHANDLE;
    if (order->input_size && !order->inputs) return cohort__null("the input");
    if (order->input_size > (apr_size_t)-1 / 2 / COHORT__WORKERS_MAX)
        return cohort__fail(APR_EINVAL, "input_size is too large for an input");
    char *inputs = malloc(order->n * order->input_size + 1);
    if (!inputs) return cohort__fail(APR_ENOMEM, "copying the input for each worker");
    for (apr_size_t i = 0; i < order->n && order->input_size; i++)
        memcpy(inputs + i * order->input_size, order->inputs, order->input_size);
    own_order.inputs = inputs;
    apr_status_t status = backend->submit(job, use, &own_order, true, &each, NULL);
    free(inputs);
    return status;
}

static apr_status_t run_on_each(cohort_pool_t *pool, cohort_job_t *order, apr_size_t *n) {
    cohort__call_t use;
    cohort_result_t *job = NULL;
    if (!order->task) return cohort__null("task");
    if (order->outputs && order->output_size && !n) return cohort__null("n");
    apr_status_t status = cohort__pool_call(&use, pool);
    if (status) return status;
    if (cohort__is_own_worker(pool)) return COHORT_ENOWAIT;
    do {
        order->n = (apr_size_t)atomic_load(&pool->target);
        if (order->outputs && order->output_size && *n < order->n)
            return cohort__fail(COHORT_ETOOSMALL, "n is %u, and the pool has %u workers",
                                (unsigned)*n, (unsigned)order->n);
        status = submit_to_each(&job, &use, order);
    } while (APR_STATUS_IS_EAGAIN(status));
    if (status) return status;
    if (n) *n = order->n;
    return finish_order(&use, job);
}

apr_status_t cohort_pool_run_on_each(cohort_pool_t *pool, cohort_task_t task, const void *input,
                                     apr_size_t input_size, void *outputs, apr_size_t output_size,
                                     apr_size_t *n) {
    cohort_job_t order = {.task = task,
                          .inputs = input,
                          .input_size = input_size,
                          .outputs = outputs,
                          .output_size = output_size};
    order.chunk = 1;
    return COHORT__CALL_ANEW(run_on_each(pool, &order, n));
}
