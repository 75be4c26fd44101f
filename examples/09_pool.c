/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * 09: A pool of worker processes computes the squares of 0 to 99, in four ways.
 *
 * map runs a task on each element of an array, apply on one; the _async forms return at once with a
 * result to wait for.
 */
#include "check.h"

static apr_status_t square(const void *input, void *output) {
    int number = *(const int *)input;
    if (number < 0) return cohort_task_fail(APR_EINVAL, "%d is negative", number);
    *(int *)output = number * number;
    return APR_SUCCESS;
}

static void show(const char *how, const int *squares) {
    long sum = 0;
    for (int i = 0; i < 100; i++) sum += squares[i];
    printf("%s: %d %d %d ... %d, sum %ld\n", how, squares[0], squares[1], squares[2], squares[99],
           sum);
}

int main(void) {
    cohort_pool_t *workers;
    cohort_result_t *results[100], *all;
    cohort_task_error_t error;
    int numbers[100], by_map[100], by_apply[100], by_apply_async[100], by_map_async[100];
    for (int i = 0; i < 100; i++) numbers[i] = i;
    check(cohort_initialize(NULL), "cohort_initialize");
    check(cohort_pool_create(&workers, &(cohort_pool_options_t){.workers = 4}, NULL), "pool");

    check(cohort_pool_map(workers, square, numbers, sizeof(int), 100, by_map, sizeof(int), NULL),
          "map");
    show("map", by_map);

    for (int i = 0; i < 100; i++)
        check(cohort_pool_apply(workers, square, &i, sizeof i, &by_apply[i], sizeof(int)), "apply");
    show("apply", by_apply);

    for (int i = 0; i < 100; i++)
        check(cohort_pool_apply_async(&results[i], workers, square, &i, sizeof i, NULL, sizeof(int),
                                      NULL, NULL),
              "apply_async");
    for (int i = 0; i < 100; i++) {
        check(cohort_result_get(results[i], &by_apply_async[i], sizeof(int), COHORT_FOREVER),
              "get");
        check(cohort_result_destroy(results[i]), "destroy");
    }
    show("apply_async", by_apply_async);

    numbers[7] = -7; /* the task fails, and nothing else */
    check(cohort_pool_map_async(&all, workers, square, numbers, sizeof(int), 100, by_map_async,
                                sizeof(int), NULL, NULL),
          "map_async");
    if (cohort_result_get(all, NULL, 0, COHORT_FOREVER) != APR_EINVAL) return 1;
    check(cohort_result_error(all, &error), "error");
    printf("map_async: task %d failed: %s\n", (int)error.index, error.message);
    by_map_async[7] = 49;
    show("map_async", by_map_async);
    check(cohort_result_destroy(all), "destroy");
    return cohort_pool_destroy(workers);
}
