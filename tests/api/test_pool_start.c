/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Pools: how their workers begin, with an initializer or not at all: a pool with workers that
 * cannot be started ends, and says why. */
#include "pools.h"

#include <stdlib.h>

/* ---- initializers --------------------------------------------------------------------------- */

static int *initialised_with;

static apr_status_t initializer(void *args) {
    initialised_with = args;
    atomic_fetch_add(*(_Atomic int **)args, 1);
    return APR_SUCCESS;
}

static apr_status_t see_initialised(const void *input, void *output) {
    *(int *)output = *(const int *)input;
    return initialised_with ? APR_SUCCESS : APR_EGENERAL;
}

static void initializers(void) {
    _Atomic int *count = party_memory(sizeof *count);
    cohort_pool_options_t options = {
        .workers = 3, .initializer = initializer, .init_args = &count, .init_size = sizeof count};
    cohort_pool_t *pool;
    int in[30], out[30];
    fill(in, 30);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&pool, &options, test_pool()));
    CHECK_STATUS(APR_SUCCESS, COHORT_MAP(pool, see_initialised, in, 30, out));
    finish_pool(pool);
    CHECK_INT(3, atomic_load(count));
}

/* ---- workers that cannot be started --------------------------------------------------------- */

/* What initializers that fail share with the test. In the arena. */
typedef struct {
    _Atomic int runs;
    _Atomic int good;   /* from here on they succeed */
    _Atomic int spared; /* so many of the first succeed in any case */
    _Atomic int exits;  /* they do not return, but end the process */
    gate_t *gate;
} failing_t;

static apr_status_t failing_initializer(void *args) {
    failing_t *f = *(failing_t **)args;
    int run = atomic_fetch_add(&f->runs, 1);
    if (atomic_load(&f->good) || run < atomic_load(&f->spared)) return APR_SUCCESS;
    if (atomic_load(&f->exits)) exit(3);
    return cohort_task_fail(APR_EACCES, "there is no table %d", 7);
}

static cohort_pool_t *failing_pool(int workers, failing_t *f) {
    cohort_pool_options_t options = {.workers = workers,
                                     .name = "Failing",
                                     .initializer = failing_initializer,
                                     .init_args = &f,
                                     .init_size = sizeof f};
    cohort_pool_t *pool = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&pool, &options, test_pool()));
    return pool;
}

static cohort_result_t *submit_squares(cohort_pool_t *pool, int n) {
    cohort_result_t *result = NULL;
    int in[100];
    CHECK(n <= 100);
    fill(in, n);
    SUBMIT(&result, pool, NULL, .task = square, COHORT_INPUTS(in, (apr_size_t)n),
           .output_size = sizeof *in);
    return result;
}

/* The result ended with the failure of a start; the sentence has these words. */
static void check_ended(cohort_result_t *result, apr_status_t status, const char *words) {
    cohort_task_error_t error;
    int out[100];
    CHECK_STATUS(APR_SUCCESS, cohort_result_wait(result, COHORT_FOREVER));
    CHECK_STATUS(status, cohort_result_get(result, out, sizeof out, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_result_error(result, &error));
    CHECK_STATUS(status, error.status);
    if (!strstr(error.message, words))
        test_fail(__FILE__, __LINE__, "\"%s\" is not in \"%s\"", words, error.message);
    CHECK(strstr(error.worker, "Failing-") == error.worker);
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
}

/* The status and the words of the initializer reach every result. The pool goes on trying, and
 * works when it succeeds. */
static void initializer_fails(void) {
    failing_t *f = party_memory(sizeof *f);
    int x = 3, y = 0;
    apr_time_t begin = apr_time_now();
    cohort_pool_t *pool = failing_pool(2, f);
    cohort_result_t *first = submit_squares(pool, 100), *second = submit_squares(pool, 1);
    CHECK_STATUS(APR_EACCES, cohort_pool_apply(pool, square, &x, sizeof x, &y, sizeof y));
    AT_LEAST(2000000, begin);
    check_ended(first, APR_EACCES, "there is no table 7");
    check_ended(second, APR_EACCES, "there is no table 7");
    check_ended(submit_squares(pool, 10), APR_EACCES, "there is no table 7");
    atomic_store(&f->good, 1);
    check_works(pool);
    finish_pool(pool);
}

/* Two starts are a pause apart, 10 ms at first and a second in the end, however many workers there
 * are. */
static void failing_starts_are_few(void) {
    failing_t *f = party_memory(sizeof *f);
    apr_time_t begin = apr_time_now();
    cohort_pool_t *pool = failing_pool(8, f);
    check_ended(submit_squares(pool, 10), APR_EACCES, "there is no table 7");
    party_await(&f->runs, 8 + 9);
    int seconds = (int)apr_time_sec(apr_time_now() - begin);
    CHECK(atomic_load(&f->runs) <= 8 + 9 + seconds);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
}

/* One that ends the process instead of failing. */
static void initializer_exits(void) {
    failing_t *f = party_memory(sizeof *f);
    atomic_store(&f->exits, 1);
    cohort_pool_t *pool = failing_pool(1, f);
    check_ended(submit_squares(pool, 5), COHORT_EINITFAILED,
                "ended with exit code 3 in the initializer");
    atomic_store(&f->good, 1);
    check_works(pool);
    finish_pool(pool);
}

/* While one worker lives nothing fails, however often others cannot be started; and all are there
 * in the end. */
static void one_worker_will_do(void) {
    failing_t *f = party_memory(sizeof *f);
    int x = 5, out[20];
    f->gate = new_gate();
    atomic_store(&f->spared, 1);
    cohort_pool_t *pool = failing_pool(3, f);
    cohort_result_t *held = NULL;
    SUBMIT(&held, pool, NULL, .task = pass_gate, COHORT_INPUTS(&f->gate, 1));
    cohort_result_t *waiting = submit_squares(pool, 20);
    party_await(&f->runs, 3 + 9);
    CHECK_INT(0, cohort_result_is_ready(held));
    CHECK_INT(0, cohort_result_is_ready(waiting));
    atomic_store(&f->gate->open, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_result_get(held, NULL, 0, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_result_get(waiting, out, sizeof out, COHORT_FOREVER));
    check_squares(out, 20);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_apply(pool, square, &x, sizeof x, &x, sizeof x));
    CHECK_INT(25, x);
    atomic_store(&f->good, 1);
    while (count_workers(pool) < 3) apr_sleep(1000);
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(held));
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(waiting));
    finish_pool(pool);
}

/* A pool that is closed, terminated or destroyed meanwhile has its end in any case. */
static void failing_pools_end(void) {
    failing_t *f = party_memory(sizeof *f);
    cohort_pool_t *pool = failing_pool(2, f);
    cohort_result_t *result = submit_squares(pool, 50);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_close(pool));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_join(pool, COHORT_FOREVER));
    check_ended(result, APR_EACCES, "there is no table 7");
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
    pool = failing_pool(2, f);
    result = submit_squares(pool, 50);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_terminate(pool));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_join(pool, COHORT_FOREVER));
    CHECK_STATUS(COHORT_ETERMINATED, cohort_result_wait(result, 0)
                                         ? APR_EAGAIN
                                         : cohort_result_get(result, NULL, 0, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(failing_pool(2, f)));
}

/* The table of processes is filled up until three are left: the fourth worker cannot be made. */
static void constructor_fails(void) {
    enum { LIMIT = 16384 };
    cohort_process_t **fill_up = malloc(LIMIT * sizeof *fill_up), **children;
    cohort_pool_options_t options = {.workers = 5};
    cohort_pool_t *pool = NULL;
    int n = 0;
    apr_size_t running = -1;
    cohort_process_t *stays = party_start(stay, NULL, 0); /* whatever serves starts is there */
    party_kill(stays);
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(stays));
    while (n < LIMIT &&
           cohort_process_create(&fill_up[n], nothing, NULL, 0, NULL, NULL) == APR_SUCCESS)
        n++;
    CHECK(n > 3);
    for (int i = 0; i < 3; i++) CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(fill_up[--n]));
    CHECK_STATUS(COHORT_ELIMIT, cohort_pool_create(&pool, &options, test_pool()));
    CHECK(pool == NULL);
    CHECK_STATUS(APR_SUCCESS, cohort_process_active_children(&children, &running, test_pool()));
    CHECK_INT(0, running);
    options.workers = 3;
    apr_status_t status;
    /* the watcher frees the slots of the workers that have ended */
    while ((status = cohort_pool_create(&pool, &options, test_pool())) == COHORT_ELIMIT)
        apr_sleep(1000);
    CHECK_STATUS(APR_SUCCESS, status);
    check_works(pool);
    finish_pool(pool);
    while (n > 0) CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(fill_up[--n]));
    free(fill_up);
}

/* The same when it is the start itself that fails: there is no place for one more process. */
static void replacement_fails(void) {
    enum { LIMIT = 16384 };
    cohort_process_t **fill_up = malloc(LIMIT * sizeof *fill_up);
    cohort_pool_options_t options = {.workers = 1, .name = "Failing"};
    cohort_pool_t *pool = NULL;
    int n = 0;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&pool, &options, test_pool()));
    check_works(pool);
    while (n < LIMIT &&
           cohort_process_create(&fill_up[n], nothing, NULL, 0, NULL, NULL) == APR_SUCCESS)
        n++;
    kill_worker(pool);
    check_ended(submit_squares(pool, 10), COHORT_ELIMIT, "could not be started");
    check_ended(submit_squares(pool, 1), COHORT_ELIMIT, "could not be started");
    while (n > 0) CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(fill_up[--n]));
    free(fill_up);
    check_works(pool);
    finish_pool(pool);
}

const test_case_t pool_start_cases[] = {
    {"Pool", "POOL_29_initializer", initializers},
    {"Pool", "POOL_30_constructor_fails", constructor_fails},
    {"Pool", "initializer_fails", initializer_fails},
    {"Pool", "initializer_exits", initializer_exits},
    {"Pool", "failing_starts_are_few", failing_starts_are_few},
    {"Pool", "one_worker_will_do", one_worker_will_do},
    {"Pool", "failing_pools_end", failing_pools_end},
    {"Pool", "replacement_fails", replacement_fails},
    {0},
};
