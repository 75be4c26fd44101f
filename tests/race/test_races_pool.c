/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Races of what pools have beside jobs that are submitted and waited for: results in the order in
 * which they end, items that wait before they are run again, times, room, resizing, statistics.
 * What a submitter writes, a task reads, and what a task writes, the submitter reads, is plain
 * memory. threads.h says how.
 */
#include "threads.h"

#include "core/process/process.h"

#include <cohort/completed.h>
#include <cohort/statistics.h>
#include <stdatomic.h>

enum { PARTIES = 3, WORKERS = 3, ITEMS = 40 };

static cohort_pool_t *pool;
static cohort_result_t *_Atomic handed; /* to those that ask; it may be destroyed meanwhile */
static _Atomic int over;

static void with_options(const cohort_pool_options_t *options, void (*run)(void *arg, int index)) {
    apr_uint64_t before = blocks_in_use();
    atomic_store(&over, 0);
    atomic_store(&handed, NULL);
    pool = begin_pool_with(options);
    together(PARTIES, run, NULL);
    end_pool(pool, before);
}

static void with_pool(void (*run)(void *arg, int index)) {
    with_options(&(cohort_pool_options_t){.workers = WORKERS}, run);
}

/* Inputs and outputs in the arena, as plain memory of the submitter's. */
typedef struct {
    int in[ITEMS], out[ITEMS];
} numbers_t;

static numbers_t *new_numbers(int from) {
    numbers_t *numbers;
    CHECK_STATUS(APR_SUCCESS, cohort_alloc((void **)&numbers, sizeof *numbers));
    for (int i = 0; i < ITEMS; i++) numbers->in[i] = from + i;
    return numbers;
}

static apr_status_t add_one(const void *input, void *output) {
    *(int *)output = *(const int *)input + 1;
    return APR_SUCCESS;
}

static cohort_job_t job_of(numbers_t *numbers, cohort_task_t task) {
    return (cohort_job_t){task, COHORT_INPUTS(numbers->in, ITEMS), COHORT_OUTPUTS(numbers->out)};
}

static void check_numbers(const numbers_t *numbers) {
    for (int i = 0; i < ITEMS; i++) CHECK_INT(numbers->in[i] + 1, numbers->out[i]);
}

/* One job, by any participant. */
static void run_one(numbers_t *numbers, int round) {
    cohort_job_t job = job_of(numbers, add_one);
    for (int i = 0; i < ITEMS; i++) numbers->in[i] = round + i;
    job.chunk = (apr_size_t)(round % 7 + 1);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_run(pool, &job));
    check_numbers(numbers);
}

/* ---- results as they end -------------------------------------------------------------------- */

enum { AT_ONCE = 8 };

static void follow_round(numbers_t **numbers, int round, apr_pool_t *own) {
    cohort_result_t *results[AT_ONCE], *result;
    cohort_completed_t *completed;
    apr_size_t index;
    int seen[AT_ONCE] = {0};
    for (int i = 0; i < AT_ONCE; i++) {
        cohort_job_t job = job_of(numbers[i], add_one);
        job.chunk = (apr_size_t)(round % 7 + 1);
        CHECK_STATUS(APR_SUCCESS, cohort_pool_submit(&results[i], pool, &job, NULL));
    }
    CHECK_STATUS(APR_SUCCESS, cohort_completed_create(&completed, results, AT_ONCE / 2, own));
    for (int i = AT_ONCE / 2; i < AT_ONCE; i++)
        CHECK_STATUS(APR_SUCCESS, cohort_completed_add(completed, results[i]));
    for (int i = 0; i < AT_ONCE; i++) {
        CHECK_STATUS(APR_SUCCESS,
                     cohort_completed_next(completed, &result, &index, COHORT_FOREVER));
        CHECK(index < AT_ONCE && result == results[index] && !seen[index]++);
        check_numbers(numbers[index]);
        CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
    }
    CHECK_STATUS(APR_EOF, cohort_completed_next(completed, &result, &index, 0));
}

static void follow(void *arg, int index) {
    numbers_t *numbers[AT_ONCE];
    (void)arg;
    for (int i = 0; i < AT_ONCE; i++) numbers[i] = new_numbers(1000 * index + i);
    for (int round = 0; round < 60; round++) {
        apr_pool_t *own;
        CHECK_STATUS(APR_SUCCESS, apr_pool_create(&own, NULL));
        follow_round(numbers, round, own);
        apr_pool_destroy(own);
    }
    for (int i = 0; i < AT_ONCE; i++) CHECK_STATUS(APR_SUCCESS, cohort_free(numbers[i]));
}

static void completed(void) { with_pool(follow); }

/* ---- time ----------------------------------------------------------------------------------- */

/* What any process may ask while the result is run, and when it is gone. */
static void ask(int index) {
    apr_pool_t *own;
    cohort_item_t item = {0};
    cohort_activity_t **list;
    apr_size_t n;
    CHECK_STATUS(APR_SUCCESS, apr_pool_create(&own, NULL));
    while (!atomic_load(&over)) {
        cohort_result_t *result = atomic_load(&handed);
        if (result && index == 1) (void)cohort_result_state(result);
        if (result && index == 1) (void)cohort_result_is_ready(result);
        if (result && index == 2) (void)cohort_result_item(result, ITEMS / 2, &item);
        if (index == 2) CHECK_STATUS(APR_SUCCESS, cohort_pool_activity(pool, &list, &n, own));
        apr_pool_clear(own);
    }
    apr_pool_destroy(own);
}

static apr_status_t fail_at_first(const void *input, void *output) {
    *(int *)output = *(const int *)input + 1;
    return cohort_task_attempt() < 2 ? APR_EBUSY : APR_SUCCESS;
}

/* The watcher is begun by the participant that submits, so it keeps that one's times. */
static void wait_and_run_again(void *arg, int index) {
    (void)arg;
    if (index) {
        ask(index);
        return;
    }
    CHECK_STATUS(APR_SUCCESS, cohort__watcher_begin());
    numbers_t *numbers = new_numbers(7);
    for (int round = 0; round < 40; round++) {
        cohort_result_t *result;
        cohort_job_t job = job_of(numbers, fail_at_first);
        job.chunk = (apr_size_t)(round % 3 + 1);
        job.attempts = 4;
        job.retry_any = 1;
        job.retry_delay = 1000;
        CHECK_STATUS(APR_SUCCESS, cohort_pool_submit(&result, pool, &job, NULL));
        atomic_store(&handed, result);
        CHECK_STATUS(APR_SUCCESS, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
        check_numbers(numbers);
        CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
    }
    atomic_store(&over, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_free(numbers));
}

static void delay(void) { with_pool(wait_and_run_again); }

/* Every third item takes until it is told that its time is over. */
static apr_status_t heed(const void *input, void *output) {
    apr_status_t told = APR_SUCCESS;
    while (*(const int *)input % 3 == 0 && !(told = cohort_task_should_stop())) apr_sleep(50);
    *(int *)output = *(const int *)input + 1;
    return told;
}

static void set_times(cohort_job_t *job, int round) {
    if (round % 3 == 0) job->task_timeout = 1500;
    if (round % 3 == 1) job->timeout = 2000;
    if (round % 3 == 2) job->queue_timeout = 1000;
    if (round % 3 == 2) job->task_timeout = 1000;
    job->task_grace = COHORT_FOREVER;
}

static void be_late(void *arg, int index) {
    (void)arg;
    if (index) {
        ask(index);
        return;
    }
    CHECK_STATUS(APR_SUCCESS, cohort__watcher_begin());
    numbers_t *numbers = new_numbers(0);
    for (int round = 0; round < 60; round++) {
        cohort_result_t *result;
        cohort_job_t job = job_of(numbers, heed);
        job.chunk = (apr_size_t)(round % 5 + 1);
        set_times(&job, round);
        CHECK_STATUS(APR_SUCCESS, cohort_pool_submit(&result, pool, &job, NULL));
        atomic_store(&handed, result);
        CHECK_STATUS(COHORT_EDEADLINE, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
        for (apr_size_t i = 0; i < ITEMS; i++) {
            cohort_item_t item = {0};
            CHECK_STATUS(APR_SUCCESS, cohort_result_item(result, i, &item));
            CHECK(item.status == COHORT_EDEADLINE || (item.status == APR_SUCCESS && i % 3 != 0));
            if (!item.status) CHECK_INT(i + 1, numbers->out[i]);
        }
        CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
    }
    atomic_store(&over, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_free(numbers));
}

static void deadline(void) { with_pool(be_late); }

/* ---- room, resizing, statistics -------------------------------------------------------------- */

/* Some wait for room, some do not, and some for a time. */
static void make_do(void *arg, int index) {
    numbers_t *numbers = new_numbers(index);
    (void)arg;
    for (int round = 0; round < 300; round++) {
        static const apr_interval_time_t times[] = {0, -1, 200};
        cohort_result_t *result;
        cohort_job_t job = job_of(numbers, add_one);
        job.submit_timeout = times[round % 3];
        apr_status_t status = cohort_pool_submit(&result, pool, &job, NULL);
        if (status) CHECK_STATUS(round % 3 == 1 ? APR_EAGAIN : APR_TIMEUP, status);
        if (status) continue;
        if (round % 5)
            CHECK_STATUS(APR_SUCCESS, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
        if (round % 5) check_numbers(numbers);
        else CHECK_STATUS(APR_SUCCESS, cohort_result_wait(result, COHORT_FOREVER));
        CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
    }
    CHECK_STATUS(APR_SUCCESS, cohort_free(numbers));
}

static void room(void) {
    with_options(&(cohort_pool_options_t){.workers = WORKERS, .max_jobs = 2}, make_do);
    with_options(&(cohort_pool_options_t){.workers = WORKERS, .max_bytes = 200}, make_do);
}

/* From here on the calling thread is this process. */
static void become(cohort_process_t *process) {
    cohort__thread_t *me;
    CHECK_STATUS(APR_SUCCESS, cohort__enter(&me));
    cohort__thread_exit(me);
    cohort__self_set(process);
}

/* By the pool's maker, which waits for the participants in another thread; jobs by the others
 * meanwhile. */
static void grow_and_shrink(void *arg, int index) {
    (void)arg;
    if (index) {
        numbers_t *numbers = new_numbers(0);
        for (int round = 0; !atomic_load(&over); round++) run_one(numbers, round);
        CHECK_STATUS(APR_SUCCESS, cohort_free(numbers));
        return;
    }
    cohort_process_t *self = cohort__self();
    become(root);
    for (int i = 0; i < 120; i++) {
        CHECK_STATUS(APR_SUCCESS, cohort_pool_resize(pool, (apr_size_t)(i * 5 % 4 + 1)));
        apr_sleep(i % 3 * 500);
    }
    become(self);
    atomic_store(&over, 1);
}

static void resize(void) { with_pool(grow_and_shrink); }

static void count_up(int index) {
    apr_uint64_t items = 0;
    (void)index;
    while (!atomic_load(&over)) {
        apr_pool_t *own;
        cohort_pool_statistics_t *found;
        char *table;
        CHECK_STATUS(APR_SUCCESS, apr_pool_create(&own, NULL));
        CHECK_STATUS(APR_SUCCESS, cohort_pool_statistics(pool, &found, own));
        CHECK(found->counted && found->counts.done >= items);
        items = found->counts.done;
        CHECK_STATUS(APR_SUCCESS, cohort_statistics_table(&table, found, own));
        apr_pool_destroy(own);
    }
}

static void work_and_look(void *arg, int index) {
    static _Atomic int left;
    (void)arg;
    if (index == 2) {
        count_up(index);
        return;
    }
    numbers_t *numbers = new_numbers(0);
    for (int round = 0; round < 400; round++) run_one(numbers, round);
    CHECK_STATUS(APR_SUCCESS, cohort_free(numbers));
    if (atomic_fetch_add(&left, 1) == 1) atomic_store(&over, 1);
}

static void statistics(void) {
    with_options(&(cohort_pool_options_t){.workers = WORKERS, .statistics = 1}, work_and_look);
}

const test_case_t races_pool_cases[] = {{"Races", "completed", completed},
                                        {"Races", "delay", delay},
                                        {"Races", "deadline", deadline},
                                        {"Races", "room", room},
                                        {"Races", "resize", resize},
                                        {"Races", "statistics", statistics},
                                        {0}};
