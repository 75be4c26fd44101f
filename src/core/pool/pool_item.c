/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The items of a result, one by one. */
#include "core/pool/backend.h"

static apr_status_t result_item(cohort_result_t *result, apr_size_t index, cohort_item_t *item) {
    cohort__call_t use;
    apr_status_t status = item ? cohort__result_use(&use, result) : cohort__null("item");
    if (status) return status;
    (void)cohort__result_glance(&use);
    if (!cohort__result_look(&use)) return COHORT_EHANDLE;
    status = cohort__backend_of_job(result)->item(result, index, item);
    cohort__result_look_end(&use);
    return status;
}

apr_status_t cohort_result_item(const cohort_result_t *result, apr_size_t index,
                                cohort_item_t *item) {
    return COHORT__CALL_ANEW(result_item((cohort_result_t *)result, index, item));
}

/* The block is in the thread's in-flight pointer when the guard is left, and the user's from the
 * return on. */
static apr_status_t take_one_output(const cohort__call_t *use, apr_size_t index, uint64_t *size) {
    cohort_result_t *job = (cohort_result_t *)use->object;
    cohort_pool_t *pool = atomic_load(&job->pool);
    const cohort__backend_t *backend = cohort__backend_of_job(job);
    if (cohort__call_over(use)) return COHORT_EHANDLE;
    cohort__pool_enter(pool, use->me);
    apr_status_t status =
        backend->take(pool, use, index, &use->me->in_flight[COHORT__IN_FLIGHT_MESSAGE], size);
    cohort__pool_leave_last(pool, use->me);
    return status;
}

static apr_status_t result_take(cohort_result_t *result, apr_size_t index, void **data,
                                apr_size_t *size) {
    cohort__call_t use;
    uint64_t bytes = 0;
    if (!data || !size) return cohort__null(!data ? "data" : "size");
    apr_status_t status = cohort__result_use(&use, result);
    if (status) return status;
    (void)cohort__result_glance(&use);
    status = take_one_output(&use, index, &bytes);
    if (status) return status;
    *size = (apr_size_t)bytes;
    *data = atomic_load(&use.me->in_flight[COHORT__IN_FLIGHT_MESSAGE]);
    (void)cohort__block_give(&use.me->in_flight[COHORT__IN_FLIGHT_MESSAGE]);
    return APR_SUCCESS;
}

apr_status_t cohort_result_take(cohort_result_t *result, apr_size_t index, void **data,
                                apr_size_t *size) {
    return COHORT__CALL_ANEW(result_take(result, index, data, size));
}
