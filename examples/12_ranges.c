/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * 12: A million temperatures are converted, in ranges.
 *
 * One conversion takes less time than the call of a function. So the task is given the whole arrays
 * and the range of items that it is to do, and the loop over them is its own. The arrays lie in the
 * arena: nothing of them is copied.
 */
#include "check.h"

enum { COUNT = 1000000, RANGE = 10000 };

typedef struct {
    float factor, offset;
} scale_t;

static const float COLDEST = -273.15f;

/* A range fails as one: with the first reading that cannot be right. */
static apr_status_t convert(const void *inputs, void *outputs, apr_size_t first, apr_size_t last) {
    const scale_t *scale = cohort_task_context();
    const float *in = inputs;
    float *out = outputs;
    for (apr_size_t i = first; i < last; i++) {
        if (in[i] < COLDEST)
            return cohort_task_fail(APR_EINVAL, "reading %d is %.1f", (int)i, (double)in[i]);
    }
    for (apr_size_t i = first; i < last; i++) out[i] = in[i] * scale->factor + scale->offset;
    return APR_SUCCESS;
}

static void show(const char *what, const float *list) {
    printf("%s: %.1f %.1f ... %.1f\n", what, (double)list[0], (double)list[1],
           (double)list[COUNT - 1]);
}

int main(void) {
    const scale_t to_fahrenheit = {1.8f, 32.0f};
    cohort_pool_t *workers;
    cohort_result_t *result;
    cohort_task_error_t error;
    float *celsius, *fahrenheit;
    check(cohort_initialize(NULL), "cohort_initialize");
    check(COHORT_ALLOC(&celsius, COUNT), "celsius");
    check(COHORT_ALLOC_ZEROED(&fahrenheit, COUNT), "fahrenheit");
    check(cohort_pool_create(&workers, &(cohort_pool_options_t){.workers = 4}, NULL), "pool");
    for (int i = 0; i < COUNT; i++) celsius[i] = (float)(i % 100);
    celsius[123456] = -1000;

    cohort_job_t job = {.range = convert,
                        COHORT_INPUTS(celsius, COUNT),
                        COHORT_OUTPUTS(fahrenheit),
                        .chunk = RANGE,
                        .context = &to_fahrenheit,
                        .context_size = sizeof to_fahrenheit};
    check(cohort_pool_submit(&result, workers, &job, NULL), "submit");
    if (cohort_result_get(result, NULL, 0, COHORT_FOREVER) != APR_EINVAL)
        check(APR_EGENERAL, "a reading should have been found wrong");
    check(cohort_result_error(result, &error), "error");
    show("Celsius", celsius);
    show("Fahrenheit", fahrenheit);
    printf("not converted: %d items from %d on, since %s\n", (int)error.count, (int)error.index,
           error.message);
    check(cohort_result_destroy(result), "destroy");
    return cohort_pool_destroy(workers);
}
