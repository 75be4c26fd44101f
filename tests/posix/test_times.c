/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What times of jobs cost where nothing is late: no thread and no wake-up for an item, in the
 * process that keeps the times and in the worker. Wake-ups are counted, not time: what the system
 * says of how often the CPU was given up. */
#include "../api/pools.h"

#include <dirent.h>
#include <sys/resource.h>

enum { MANY = 50000, TIME = 600000000 };

static long wake_ups(void) {
    struct rusage used;
    CHECK_INT(0, getrusage(RUSAGE_SELF, &used));
    return used.ru_nvcsw;
}

static int threads(void) {
    int n = 0;
    DIR *tasks = opendir("/proc/self/task");
    if (!tasks) return -1;
    for (struct dirent *task; (task = readdir(tasks)) != NULL;) n += task->d_name[0] != '.';
    closedir(tasks);
    return n;
}

/* The first item of the worker's answers what was before it, the last what has been. */
static apr_status_t tell(const void *input, void *output) {
    int i = *(const int *)input;
    *(long *)output = i == 0 || i == MANY - 1 ? wake_ups() : i;
    return APR_SUCCESS;
}

typedef struct {
    long submitter, worker; /* how often they were woken */
    int threads;            /* the most that the submitter had */
} cost_t;

static cost_t cost_of(cohort_pool_t *pool, cohort_job_t job, int *in, long *out) {
    cost_t cost = {0};
    cohort_result_t *result;
    fill(in, MANY);
    job.task = tell;
    job.inputs = in;
    job.input_size = sizeof *in;
    job.n = MANY;
    job.outputs = out;
    job.output_size = sizeof *out;
    job.chunk = MANY / 10;
    long before = wake_ups();
    CHECK_STATUS(APR_SUCCESS, cohort_pool_submit(&result, pool, &job, NULL));
    cost.threads = threads();
    CHECK_STATUS(APR_SUCCESS, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
    int now = threads();
    if (now > cost.threads) cost.threads = now;
    cost.submitter = wake_ups() - before;
    cost.worker = out[MANY - 1] - out[0];
    for (int i = 1; i < MANY - 1; i++) CHECK_INT(i, out[i]);
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
    return cost;
}

/* Each of them, and all together. */
static const cohort_job_t timed[] = {
    {.task_timeout = TIME},
    {.timeout = TIME},
    {.queue_timeout = TIME},
    {.timeout = TIME, .queue_timeout = TIME, .task_timeout = TIME, .task_grace = 1000},
};

static void times_wake_no_thread(void) {
    cohort_pool_t *pool = new_pool(1);
    int *in = party_memory(MANY * sizeof *in);
    long *out = party_memory(MANY * sizeof *out);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_wait_ready(pool, COHORT_FOREVER));
    (void)cost_of(pool, timed[0], in, out); /* brings what stays: the watcher */
    cost_t plain = cost_of(pool, (cohort_job_t){0}, in, out);
    for (size_t i = 0; i < sizeof timed / sizeof *timed; i++) {
        cost_t cost = cost_of(pool, timed[i], in, out);
        CHECK_INT(plain.threads, cost.threads);
        CHECK(cost.submitter <= plain.submitter + MANY / 100);
        CHECK(cost.worker <= plain.worker + MANY / 100);
    }
    CHECK_STATUS(APR_SUCCESS, cohort_free(in));
    CHECK_STATUS(APR_SUCCESS, cohort_free(out));
    finish_pool(pool);
}

const test_case_t times_cases[] = {{"PoolDeadline", "times_wake_no_thread", times_wake_no_thread},
                                   {0}};
