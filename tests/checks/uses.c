/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* For headers.cmake, which compiles it as C and as C++: the macros of the headers, used. */
#include <cohort/cohort.h>
#include <cohort/cohort.h>

#if !COHORT_VERSION_AT_LEAST(0, 2, 0)
#error the version
#endif

/* What a program does with the macros of shared.h. */
apr_status_t allocates(long **numbers);
apr_status_t allocates(long **numbers) {
    apr_status_t status = COHORT_ALLOC(numbers, 10);
    if (status == APR_SUCCESS) status = cohort_free(*numbers);
    return status == APR_SUCCESS ? COHORT_ALLOC_ZEROED(numbers, 10) : status;
}

/* Without a return: cohort_exit() does not. */
int ends(const char *why);
int ends(const char *why) {
    (void)cohort_task_fail(APR_EGENERAL, "%s", why);
    cohort_exit(COHORT_NAME_MAX);
}

/* What it does with those of pool.h. */
static apr_status_t squares(const void *inputs, void *outputs, apr_size_t first, apr_size_t last) {
    for (apr_size_t i = first; i < last; i++)
        ((float *)outputs)[i] = ((const float *)inputs)[i] * ((const float *)inputs)[i];
    return APR_SUCCESS;
}

apr_status_t maps_ranges(cohort_pool_t *pool, const float *in, float *out);
apr_status_t maps_ranges(cohort_pool_t *pool, const float *in, float *out) {
    return COHORT_MAP_RANGES(pool, squares, in, 10, out);
}

apr_interval_time_t uses(int *codes);
apr_interval_time_t uses(int *codes) {
    codes[0] = COHORT_EXIT_NONE;
    codes[1] = COHORT_EXIT_UNKNOWN;
    codes[2] = COHORT_ECLOSED;
    codes[3] =
        COHORT_VERSION_AT_LEAST(COHORT_VERSION_MAJOR, COHORT_VERSION_MINOR, COHORT_VERSION_PATCH);
    return COHORT_FOREVER;
}
