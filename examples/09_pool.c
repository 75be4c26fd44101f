/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * 09: A pool of worker processes computes the squares of 0 to 99, in four ways.
 *
 * A map runs a task on each element of an array, apply on one value; both wait. What else there is
 * to say about a job stands in a cohort_job_t: it is run, or submitted for a result to wait for.
 */
#include "check.h"

enum { COUNT = 100 };

static apr_status_t square(const void *input, void *output) {
    int number = *(const int *)input;
    if (number < 0) return cohort_task_fail(APR_EINVAL, "%d is negative", number);
    *(int *)output = number * number;
    return APR_SUCCESS;
}

/* Has no input but its index, and what all tasks of the job share. */
static apr_status_t square_from(const void *input, void *output) {
    const int *first = cohort_task_context();
    int number = *first + (int)cohort_task_index();
    (void)input;
    *(int *)output = number * number;
    return APR_SUCCESS;
}

static void show(const char *how, const int *squares) {
    long sum = 0;
    for (int i = 0; i < COUNT; i++) sum += squares[i];
    printf("%s: %d %d %d ... %d, sum %ld\n", how, squares[0], squares[1], squares[2],
           squares[COUNT - 1], sum);
}

static void map(cohort_pool_t *workers, const int *numbers) {
    int squares[COUNT];
    check(COHORT_MAP(workers, square, numbers, COUNT, squares), "map");
    show("map", squares);
}

static void apply(cohort_pool_t *workers, const int *numbers) {
    int squares[COUNT];
    for (int i = 0; i < COUNT; i++)
        check(
            cohort_pool_apply(workers, square, &numbers[i], sizeof(int), &squares[i], sizeof(int)),
            "apply");
    show("apply", squares);
}

static void run(cohort_pool_t *workers) {
    int first = 0, squares[COUNT];
    cohort_job_t job = {.task = square_from,
                        .n = COUNT,
                        COHORT_OUTPUTS(squares),
                        .chunk = 10,
                        .context = &first,
                        .context_size = sizeof first};
    check(cohort_pool_run(workers, &job), "run");
    show("run", squares);
}

/* One of the tasks fails, three times, a moment apart, and nothing else. */
static void submit(cohort_pool_t *workers, int *numbers) {
    int squares[COUNT];
    cohort_job_t job = {.task = square,
                        COHORT_INPUTS(numbers, COUNT),
                        COHORT_OUTPUTS(squares),
                        .attempts = 3,
                        .retry_on = {APR_EINVAL},
                        .retry_delay = 1000};
    cohort_result_t *result;
    cohort_task_error_t error;
    numbers[7] = -7;
    check(cohort_pool_submit(&result, workers, &job, NULL), "submit");
    if (cohort_result_get(result, NULL, 0, COHORT_FOREVER) != APR_EINVAL)
        check(APR_EGENERAL, "task 7 should have failed");
    check(cohort_result_error(result, &error), "error");
    printf("submit: task %d failed: %s\n", (int)error.index, error.message);
    check(cohort_result_destroy(result), "destroy");
    squares[7] = 49;
    show("submit", squares);
}

/* Is counted as the options of the pool say; for people there is cohort_pool_print_statistics(). */
static void show_statistics(cohort_pool_t *workers) {
    cohort_pool_statistics_t *statistics;
    apr_pool_t *pool;
    check(apr_pool_create(&pool, NULL), "apr_pool_create");
    check(cohort_pool_statistics(workers, &statistics, pool), "statistics");
    printf("statistics: %d done, %d failed, by %d workers\n", (int)statistics->counts.done,
           (int)statistics->counts.failed, (int)statistics->n);
    apr_pool_destroy(pool);
}

int main(void) {
    cohort_pool_t *workers;
    int numbers[COUNT];
    for (int i = 0; i < COUNT; i++) numbers[i] = i;
    check(cohort_initialize(NULL), "cohort_initialize");
    cohort_pool_options_t options = {.workers = 4, .statistics = 1};
    check(cohort_pool_create(&workers, &options, NULL), "pool");
    map(workers, numbers);
    apply(workers, numbers);
    run(workers);
    submit(workers, numbers);
    show_statistics(workers);
    return cohort_pool_destroy(workers);
}
