/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
#include "core/arena.h"

#include <cohort/shared.h>

apr_status_t cohort_alloc(void **block, apr_size_t size) {
    cohort__thread_t *me;
    if (!block) return APR_EINVAL;
    apr_status_t status = cohort__enter(&me);
    return status ? status : cohort__block_obtain(me, size, block);
}

apr_status_t cohort_free(void *block) {
    cohort__thread_t *me;
    apr_status_t status = cohort__enter(&me);
    if (status || !block) return status;
    return cohort__block_release(me, block);
}

apr_status_t cohort_arena_usage(cohort_arena_usage_t *usage) {
    cohort__usage_t now;
    if (!usage) return APR_EINVAL;
    if (!cohort__arena) return COHORT_ENOTINIT;
    cohort__alloc_usage(&now);
    *usage = (cohort_arena_usage_t){now.limit, now.committed, now.used, now.blocks};
    return APR_SUCCESS;
}

int cohort_is_shared(const void *address, apr_size_t size) {
    return cohort__in_arena(address, size);
}
