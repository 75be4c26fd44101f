/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Waiting for any or all of several processes and results. */
#include "parties.h"

typedef struct {
    _Atomic int open[8];
    _Atomic int begun;
} doors_t;

typedef struct {
    doors_t *doors;
    int number;
} visitor_t;

static int wait_at_door(void *args) {
    visitor_t *v = args;
    atomic_fetch_add(&v->doors->begun, 1);
    while (!atomic_load(&v->doors->open[v->number])) apr_sleep(1000);
    return v->number;
}

static apr_status_t task_at_door(const void *input, void *output) {
    visitor_t v = *(const visitor_t *)input;
    (void)output;
    (void)wait_at_door(&v);
    return APR_SUCCESS;
}

static cohort_process_t *visitor(doors_t *doors, int number) {
    visitor_t v = {doors, number};
    return party_start(wait_at_door, &v, sizeof v);
}

static cohort_result_t *result_at_door(cohort_pool_t *pool, doors_t *doors, int number) {
    visitor_t v = {doors, number};
    cohort_result_t *result;
    cohort_job_t job = {.task = task_at_door, COHORT_INPUTS(&v, 1)};
    CHECK_STATUS(APR_SUCCESS, cohort_pool_submit(&result, pool, &job, test_pool()));
    return result;
}

static void open_door(doors_t *doors, int number) { atomic_store(&doors->open[number], 1); }

static void any_process(void) {
    doors_t *doors = party_memory(sizeof *doors);
    cohort_waitable_t items[4] = {{0}};
    for (int i = 0; i < 4; i++) items[i].object = visitor(doors, i);
    CHECK_STATUS(APR_EAGAIN, cohort_wait(items, 4, COHORT_WAIT_ANY, 0));
    CHECK_STATUS(APR_EAGAIN, cohort_wait(items, 4, COHORT_WAIT_ANY, -1));
    open_door(doors, 2);
    CHECK_STATUS(APR_SUCCESS, cohort_wait(items, 4, COHORT_WAIT_ANY, COHORT_FOREVER));
    for (int i = 0; i < 4; i++) CHECK_INT(i == 2, items[i].ready);
    CHECK_INT(2, cohort_process_exit_code(items[2].object));
    for (int i = 0; i < 4; i++) open_door(doors, i);
    CHECK_STATUS(APR_SUCCESS, cohort_wait(items, 4, COHORT_WAIT_ALL, COHORT_FOREVER));
    for (int i = 0; i < 4; i++) {
        CHECK_INT(1, items[i].ready);
        party_end(items[i].object, i);
        CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(items[i].object));
    }
}

static void timeout(void) {
    doors_t *doors = party_memory(sizeof *doors);
    cohort_waitable_t items[2] = {{.object = visitor(doors, 0)}, {.object = visitor(doors, 1)}};
    apr_time_t begin = apr_time_now();
    CHECK_STATUS(APR_TIMEUP, cohort_wait(items, 2, COHORT_WAIT_ANY, A_WHILE));
    AT_LEAST(A_WHILE, begin);
    CHECK_INT(0, items[0].ready);
    CHECK_INT(0, items[1].ready);
    open_door(doors, 1);
    party_end(items[1].object, 1);
    begin = apr_time_now();
    CHECK_STATUS(APR_TIMEUP, cohort_wait(items, 2, COHORT_WAIT_ALL, A_WHILE));
    AT_LEAST(A_WHILE, begin);
    CHECK_INT(0, items[0].ready);
    CHECK_INT(1, items[1].ready);
    CHECK_STATUS(APR_SUCCESS, cohort_wait(items, 2, COHORT_WAIT_ANY, 0));
    party_kill(items[0].object);
    CHECK_STATUS(APR_SUCCESS, cohort_wait(items, 2, COHORT_WAIT_ALL, 0));
}

static void mixed(void) {
    doors_t *doors = party_memory(sizeof *doors);
    cohort_pool_options_t options = {.workers = 2};
    cohort_pool_t *pool;
    cohort_waitable_t items[3] = {{0}};
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&pool, &options, test_pool()));
    items[0].object = result_at_door(pool, doors, 0);
    items[1].object = result_at_door(pool, doors, 1);
    items[2].object = visitor(doors, 2);
    party_await(&doors->begun, 3);
    CHECK_STATUS(APR_EAGAIN, cohort_wait(items, 3, COHORT_WAIT_ANY, 0));
    open_door(doors, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_wait(items, 3, COHORT_WAIT_ANY, COHORT_FOREVER));
    CHECK_INT(0, items[0].ready);
    CHECK_INT(1, items[1].ready);
    CHECK_INT(0, items[2].ready);
    party_kill(items[2].object);
    CHECK_STATUS(APR_SUCCESS, cohort_wait(items, 3, COHORT_WAIT_ANY, 0));
    CHECK_INT(1, items[2].ready);
    open_door(doors, 0);
    CHECK_STATUS(APR_SUCCESS, cohort_wait(items, 3, COHORT_WAIT_ALL, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(items[0].object));
    CHECK_STATUS(COHORT_EHANDLE, cohort_wait(items, 3, COHORT_WAIT_ALL, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_terminate(pool));
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(items[1].object));
}

/* A terminated pool and a killed worker both make results ready. */
static void ended_results(void) {
    doors_t *doors = party_memory(sizeof *doors);
    cohort_pool_options_t options = {.workers = 1};
    cohort_pool_t *pool;
    cohort_process_t **workers;
    cohort_waitable_t items[2] = {{0}};
    apr_size_t n;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&pool, &options, test_pool()));
    for (int i = 0; i < 2; i++) items[i].object = result_at_door(pool, doors, 0);
    party_await(&doors->begun, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_workers(pool, &workers, &n, test_pool()));
    party_kill(workers[0]);
    CHECK_STATUS(APR_SUCCESS, cohort_wait(items, 2, COHORT_WAIT_ANY, COHORT_FOREVER));
    CHECK_INT(1, items[0].ready);
    CHECK_INT(0, items[1].ready);
    party_await(&doors->begun, 2);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_terminate(pool));
    CHECK_STATUS(APR_SUCCESS, cohort_wait(items, 2, COHORT_WAIT_ALL, COHORT_FOREVER));
    CHECK_STATUS(COHORT_EWORKERDIED, cohort_result_get(items[0].object, NULL, 0, 0));
    CHECK_STATUS(COHORT_ETERMINATED, cohort_result_get(items[1].object, NULL, 0, 0));
}

static void many_processes(void) {
    enum { N = 100 };
    doors_t *doors = party_memory(sizeof *doors);
    cohort_waitable_t items[N] = {{0}};
    for (int i = 0; i < N; i++) items[i].object = visitor(doors, i % 4);
    CHECK_STATUS(APR_EAGAIN, cohort_wait(items, N, COHORT_WAIT_ANY, 0));
    for (int i = 3; i >= 0; i--) open_door(doors, i);
    CHECK_STATUS(APR_SUCCESS, cohort_wait(items, N, COHORT_WAIT_ALL, COHORT_FOREVER));
    for (int i = 0; i < N; i++) CHECK_INT(i % 4, cohort_process_exit_code(items[i].object));
}

static int wait_for_sibling(void *args) {
    cohort_waitable_t item = {.object = *(cohort_process_t **)args};
    return cohort_wait(&item, 1, COHORT_WAIT_ALL, COHORT_FOREVER) == APR_SUCCESS && item.ready == 1
               ? 0
               : 1;
}

static void from_another_process(void) {
    doors_t *doors = party_memory(sizeof *doors);
    cohort_process_t *sibling = visitor(doors, 5),
                     *waiter = party_start(wait_for_sibling, &sibling, sizeof sibling);
    CHECK_INT(1, cohort_process_is_alive(waiter));
    open_door(doors, 5);
    party_finish(waiter);
    party_end(sibling, 5);
}

/* ---- threads -------------------------------------------------------------------------------- */

enum { CROWD = 6, THREADS = 3 };

typedef struct {
    cohort_process_t *children[CROWD];
    unsigned seed;
} crowd_t;

static int stay_a_little(void *args) {
    int number = *(int *)args;
    if (number % 3 == 2) party_wait_for_death();
    apr_sleep(number * 700);
    return number;
}

static int is_over(const crowd_t *c) {
    for (int i = 0; i < CROWD; i++) {
        if (cohort_process_is_alive(c->children[i])) return 0;
    }
    return 1;
}

/* For one, for any of some and for all, with little patience: what one thread waits for is given up
 * and taken by another all the time. */
static void *APR_THREAD_FUNC wait_in_every_way(apr_thread_t *thread, void *arg) {
    crowd_t *c = arg;
    (void)thread;
    while (!is_over(c)) {
        cohort_waitable_t items[CROWD] = {{0}};
        c->seed = c->seed * 1103515245u + 12345u;
        int first = (int)(c->seed >> 16) % CROWD, n = 1 + (int)(c->seed >> 20) % (CROWD - first);
        apr_interval_time_t patience = (apr_interval_time_t)(c->seed >> 8) % 1500;
        for (int i = 0; i < n; i++) items[i].object = c->children[first + i];
        apr_status_t status =
            (c->seed >> 24) % 4 == 0
                ? cohort_process_join(c->children[first], patience)
                : cohort_wait(items, (apr_size_t)n,
                              (c->seed >> 24) % 4 == 1 ? COHORT_WAIT_ALL : COHORT_WAIT_ANY,
                              patience);
        CHECK(status == APR_SUCCESS || status == APR_TIMEUP || status == APR_EAGAIN);
    }
    for (int i = 0; i < CROWD; i++) {
        CHECK_STATUS(APR_SUCCESS, cohort_process_join(c->children[i], COHORT_FOREVER));
        CHECK_INT(i % 3 == 2 ? -9 : i, cohort_process_exit_code(c->children[i]));
    }
    return NULL;
}

static void threads_wait_for_the_same_children(void) {
    for (int round = 0; round < 15; round++) {
        crowd_t crowds[THREADS];
        apr_thread_t *threads[THREADS];
        for (int i = 0; i < CROWD; i++)
            crowds[0].children[i] = party_start(stay_a_little, &i, sizeof i);
        for (int t = 0; t < THREADS; t++) {
            crowds[t] = crowds[0];
            crowds[t].seed = (unsigned)(round * THREADS + t);
            threads[t] = party_thread(wait_in_every_way, &crowds[t]);
        }
        for (int i = 2; i < CROWD; i += 3)
            CHECK_STATUS(APR_SUCCESS, cohort_process_kill(crowds[0].children[i]));
        for (int t = 0; t < THREADS; t++) party_thread_finish(threads[t]);
        for (int i = 0; i < CROWD; i++)
            CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(crowds[0].children[i]));
    }
}

static int unreached(void *args) {
    (void)args;
    return 1;
}

static void bad_arguments(void) {
    cohort_waitable_t none = {0}, self = {.object = cohort_process_current()},
                      wild = {.object = &none};
    cohort_process_t *process;
    CHECK_STATUS(APR_SUCCESS, cohort_wait(NULL, 0, COHORT_WAIT_ALL, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_wait(&none, 0, COHORT_WAIT_ANY, 0));
    CHECK_STATUS(APR_EINVAL, cohort_wait(NULL, 1, COHORT_WAIT_ANY, 0));
    CHECK_STATUS(APR_EINVAL, cohort_wait(&none, 1, COHORT_WAIT_ANY, 0));
    CHECK_STATUS(APR_EINVAL, cohort_wait(&self, 1, (cohort_wait_mode_t)7, 0));
    CHECK_STATUS(COHORT_ENOWAIT, cohort_wait(&self, 1, COHORT_WAIT_ANY, 0));
    CHECK_STATUS(COHORT_EHANDLE, cohort_wait(&wild, 1, COHORT_WAIT_ANY, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_process_create(&process, unreached, NULL, 0, NULL, NULL));
    cohort_waitable_t fresh = {.object = process};
    CHECK_STATUS(COHORT_ENOTSTARTED, cohort_wait(&fresh, 1, COHORT_WAIT_ANY, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(process));
    CHECK_STATUS(COHORT_EHANDLE, cohort_wait(&fresh, 1, COHORT_WAIT_ANY, 0));
}

const test_case_t wait_cases[] = {
    {"Wait", "any_process", any_process},
    {"Wait", "WT_03_timeout", timeout},
    {"Wait", "WT_04_mixed", mixed},
    {"Wait", "ended_results", ended_results},
    {"Wait", "many_processes", many_processes},
    {"Wait", "from_another_process", from_another_process},
    {"Wait", "threads_wait_for_the_same_children", threads_wait_for_the_same_children},
    {"Wait", "bad_arguments", bad_arguments},
    {0}};
