/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
#include "core/memory/arena.h"

#include <cohort/shared.h>

#include <string.h>

static apr_status_t allocate_block(void **block, apr_size_t size) {
    cohort__thread_t *me;
    if (!block) return cohort__null("block");
    apr_status_t status = cohort__enter(&me);
    return status ? status : cohort__block_obtain(me, size, block);
}

apr_status_t cohort_alloc(void **block, apr_size_t size) {
    return COHORT__CALL(allocate_block(block, size));
}

/* The address is stored as bytes: the caller's pointer is of a type that is not known here. */
static apr_status_t allocate_array(void *pointer, apr_size_t n, apr_size_t size, bool zeroed) {
    void *block;
    if (!pointer) return cohort__null("pointer");
    if (size && n > APR_SIZE_MAX / size) {
        return cohort__fail(APR_ENOMEM, "%llu elements of %llu bytes are more than any arena has",
                            (unsigned long long)n, (unsigned long long)size);
    }
    apr_status_t status = allocate_block(&block, n * size);
    if (status) return status;
    if (zeroed) memset(block, 0, n * size);
    memcpy(pointer, &block, sizeof block);
    return APR_SUCCESS;
}

apr_status_t cohort_alloc_array(void *pointer, apr_size_t n, apr_size_t size) {
    return COHORT__CALL(allocate_array(pointer, n, size, false));
}

apr_status_t cohort_alloc_zeroed(void *pointer, apr_size_t n, apr_size_t size) {
    return COHORT__CALL(allocate_array(pointer, n, size, true));
}

static apr_status_t release_block(void *block) {
    cohort__thread_t *me;
    apr_status_t status = cohort__enter(&me);
    if (status || !block) return status;
    return cohort__block_release(me, block);
}

apr_status_t cohort_free(void *block) { return COHORT__CALL(release_block(block)); }

static apr_status_t usage_of_arena(cohort_arena_usage_t *usage) {
    cohort__usage_t now;
    if (!usage) return cohort__null("usage");
    if (!cohort__arena) return COHORT_ENOTINIT;
    cohort__alloc_usage(&now);
    *usage = (cohort_arena_usage_t){now.limit, now.committed, now.used, now.blocks, {0}};
    return APR_SUCCESS;
}

apr_status_t cohort_arena_usage(cohort_arena_usage_t *usage) {
    return COHORT__CALL(usage_of_arena(usage));
}

int cohort_is_shared(const void *address, apr_size_t size) {
    return cohort__in_arena(address, size);
}
