/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Submitting work to a pool. */
#include "core/pool/backend.h"

static apr_status_t check_pool(cohort__call_t *use, cohort_pool_t *pool) {
    return cohort__call_begin(use, pool, COHORT__KIND_POOL, COHORT__POOL_TAG);
}

static apr_status_t submit_spec(cohort_result_t **job, const cohort__call_t *use,
                                const cohort__spec_t *order, apr_pool_t *parent) {
    const cohort__backend_t *backend = cohort__backend_meant(use);
    return backend ? backend->submit(job, use, order, parent) : COHORT_EHANDLE;
}

/* No other thread has the result, so it lives until this one destroys it. */
static apr_status_t run_spec(cohort_pool_t *pool, const cohort__spec_t *order) {
    cohort__call_t use;
    cohort_result_t *job;
    apr_status_t status = check_pool(&use, pool);
    if (!status) status = submit_spec(&job, &use, order, NULL);
    if (status) return status;
    use.object = &job->object;
    use.life = atomic_load(&use.object->tag);
    status = cohort__result_await(&use, COHORT_FOREVER);
    if (!status) status = cohort__result_collect(job, NULL);
    (void)cohort__result_destroy(job);
    return status;
}

static apr_status_t submit(cohort_result_t **result, cohort_pool_t *pool,
                           const cohort__spec_t *order, apr_pool_t *parent) {
    cohort__callback_t *callback = NULL;
    cohort__call_t use;
    if (!result) return cohort__null("result");
    apr_status_t status = check_pool(&use, pool);
    if (!status) status = cohort__callback_make(&callback, order->options);
    if (!status) status = submit_spec(result, &use, order, parent);
    if (status) cohort__callback_drop(callback);
    else if (callback) cohort__callback_add(callback, *result);
    return status;
}

apr_status_t cohort_pool_map(cohort_pool_t *pool, cohort_task_t task, const void *inputs,
                             apr_size_t input_size, apr_size_t n, void *outputs,
                             apr_size_t output_size, const cohort_map_options_t *options) {
    return COHORT__CALL_ANEW(run_spec(
        pool, &(cohort__spec_t){task, inputs, outputs, input_size, output_size, n, options, true}));
}

apr_status_t cohort_pool_apply(cohort_pool_t *pool, cohort_task_t task, const void *input,
                               apr_size_t input_size, void *output, apr_size_t output_size) {
    return COHORT__CALL_ANEW(run_spec(
        pool, &(cohort__spec_t){task, input, output, input_size, output_size, 1, NULL, true}));
}

static apr_status_t pool_map_async(cohort_result_t **result, cohort_pool_t *pool,
                                   cohort_task_t task, const void *inputs, apr_size_t input_size,
                                   apr_size_t n, void *outputs, apr_size_t output_size,
                                   const cohort_map_options_t *options, apr_pool_t *parent) {
    cohort__spec_t order = {task, inputs, outputs, input_size, output_size, n, options, false};
    return submit(result, pool, &order, parent);
}

apr_status_t cohort_pool_map_async(cohort_result_t **result, cohort_pool_t *pool,
                                   cohort_task_t task, const void *inputs, apr_size_t input_size,
                                   apr_size_t n, void *outputs, apr_size_t output_size,
                                   const cohort_map_options_t *options, apr_pool_t *parent) {
    return COHORT__CALL_ANEW(pool_map_async(result, pool, task, inputs, input_size, n, outputs,
                                            output_size, options, parent));
}

apr_status_t cohort_pool_apply_async(cohort_result_t **result, cohort_pool_t *pool,
                                     cohort_task_t task, const void *input, apr_size_t input_size,
                                     void *output, apr_size_t output_size,
                                     const cohort_map_options_t *options, apr_pool_t *parent) {
    return COHORT__CALL_ANEW(pool_map_async(result, pool, task, input, input_size, 1, output,
                                            output_size, options, parent));
}
