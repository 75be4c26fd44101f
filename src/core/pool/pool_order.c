/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What an order says, looked at before a job of the local back end is made of it. */
#include "core/pool/backend_local.h"

static bool is_product(uint64_t a, uint64_t b) { return a == 0 || b <= (UINT64_MAX >> 1) / a; }

static apr_status_t context_check(const cohort_job_t *order) {
    if (!order->context) return order->context_size ? cohort__null("context") : APR_SUCCESS;
    if (!order->context_size && !cohort__in_arena(order->context, 1))
        return cohort__fail(APR_EINVAL, "context_size is 0, and context does not lie in the arena");
    if (order->context_size > UINT64_MAX >> 2)
        return cohort__fail(APR_EINVAL, "context_size is too large for a size");
    return APR_SUCCESS;
}

apr_status_t cohort__order_check(const cohort_job_t *order) {
    if (!order->task && !order->range) return cohort__null("task");
    if (order->task && order->range)
        return cohort__fail(APR_EINVAL, "both task and range are given, and one is called");
    if (order->input_size && order->n && !order->inputs) return cohort__null("the input");
    if (order->n > COHORT__ITEMS_MAX)
        return cohort__fail(COHORT_ELIMIT, "n is more than the %u items that a job can have",
                            (unsigned)COHORT__ITEMS_MAX);
    if (order->output_size == COHORT_STRINGS)
        return cohort__fail(APR_EINVAL, "output_size is COHORT_STRINGS, which is for inputs");
    if (order->output_size == COHORT_BYTES && order->range)
        return cohort__fail(APR_EINVAL, "output_size is COHORT_BYTES, which a range has none of");
    if (!is_product(order->n, cohort__order_stride(order->input_size)))
        return cohort__fail(APR_EINVAL, "n times input_size is too large for a size");
    if (!is_product(order->n, cohort__order_stride(order->output_size)))
        return cohort__fail(APR_EINVAL, "n times output_size is too large for a size");
    apr_status_t status = cohort__times_check(order);
    return status ? status : context_check(order);
}
