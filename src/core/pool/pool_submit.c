/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Submitting jobs to a pool. */
#include "core/base/reserved.h"
#include "core/pool/backend.h"

static apr_status_t check_pool(cohort__call_t *use, cohort_pool_t *pool) {
    return cohort__call_begin(use, pool, COHORT__KIND_POOL, COHORT__POOL_TAG);
}

static apr_status_t submit_order(cohort_result_t **job, const cohort__call_t *use,
                                 const cohort_job_t *order, bool blocking, apr_pool_t *parent) {
    const cohort__backend_t *backend = cohort__backend_meant(use);
    return backend ? backend->submit(job, use, order, blocking, parent) : COHORT_EHANDLE;
}

/* Of an order that a user has written. */
static apr_status_t check_order(const cohort_job_t *order) {
    return order ? cohort__check_reserved(order->reserved, 8, "job.reserved") : cohort__null("job");
}

/* No other thread has the result, so it lives until this one destroys it. */
static apr_status_t run_order(cohort_pool_t *pool, const cohort_job_t *order) {
    cohort__call_t use;
    cohort_result_t *job;
    apr_status_t status = check_pool(&use, pool);
    if (!status) status = submit_order(&job, &use, order, true, NULL);
    if (status) return status;
    use.object = &job->object;
    use.life = atomic_load(&use.object->tag);
    status = cohort__result_await(&use, COHORT_FOREVER);
    if (!status) status = cohort__result_collect(job, NULL);
    (void)cohort__result_destroy(job);
    return status;
}

static apr_status_t submit(cohort_result_t **result, cohort_pool_t *pool, const cohort_job_t *order,
                           apr_pool_t *parent) {
    cohort__callback_t *callback = NULL;
    cohort__call_t use;
    apr_status_t status = result ? check_order(order) : cohort__null("result");
    if (!status) status = check_pool(&use, pool);
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
