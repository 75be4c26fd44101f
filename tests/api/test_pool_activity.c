/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Pools: which worker runs which item, and since when. */
#include "pools.h"

static cohort_activity_t **ask(cohort_pool_t *pool, apr_size_t *n) {
    cohort_activity_t **list = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_activity(pool, &list, n, test_pool()));
    return list;
}

/* The one that runs an item; NULL: none. */
static cohort_activity_t *ask_for_running(cohort_pool_t *pool) {
    apr_size_t n;
    cohort_activity_t **list = ask(pool, &n);
    for (apr_size_t i = 0; i < n; i++) {
        if (list[i]->state == COHORT_WORKER_RUNNING) return list[i];
    }
    return NULL;
}

static void idle_workers(void) {
    cohort_pool_t *pool = new_pool(3);
    apr_size_t n;
    check_works(pool);
    cohort_activity_t **list = ask(pool, &n);
    CHECK_INT(3, n);
    CHECK_STR("P-1", list[0]->name);
    CHECK_STR("P-3", list[2]->name);
    for (apr_size_t i = 0; i < n; i++) {
        CHECK(list[i]->pid != 0);
        CHECK(list[i]->process != NULL);
        CHECK(list[i]->result == NULL);
        CHECK_INT(0, list[i]->index);
    }
    while (ask_for_running(pool)) apr_sleep(1000);
    finish_pool(pool);
}

/* Items that a worker goes through as the test opens their gates. */
static void running_items(void) {
    cohort_pool_t *pool = new_pool(1);
    gate_t *gates[3];
    cohort_result_t *result;
    for (int i = 0; i < 3; i++) gates[i] = new_gate();
    SUBMIT(&result, pool, test_pool(), .task = pass_gate, COHORT_INPUTS(gates, 3), .chunk = 3);
    party_await(&gates[0]->begun, 1);
    cohort_activity_t *first = ask_for_running(pool);
    CHECK(first != NULL);
    CHECK(first->result == result);
    CHECK_INT(0, first->index);
    CHECK_INT(1, first->count);
    CHECK_INT(1, first->attempt);
    CHECK_INT(0, first->exact); /* it ran before the question */
    apr_time_t begin = apr_time_now();
    apr_sleep(A_WHILE);
    cohort_activity_t *again = ask_for_running(pool);
    CHECK_INT(0, again->exact);
    CHECK(again->elapsed >= A_WHILE - 5000);
    AT_LEAST(A_WHILE, begin);
    atomic_store(&gates[0]->open, 1);
    party_await(&gates[1]->begun, 1);
    apr_time_t second_begun = apr_time_now();
    apr_sleep(A_WHILE);
    cohort_activity_t *second = ask_for_running(pool);
    CHECK_INT(1, second->index);
    CHECK_INT(1, second->exact);
    CHECK(second->elapsed >= A_WHILE - 5000);
    CHECK(second->elapsed <= apr_time_now() - begin + 5000);
    AT_LEAST(A_WHILE, second_begun);
    atomic_store(&gates[1]->open, 1);
    atomic_store(&gates[2]->open, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
    finish_pool(pool);
}

/* Jobs that come after a question, and jobs with times, are known exactly at once. */
static void exact(void) {
    cohort_pool_t *pool = new_pool(1);
    gate_t *gate = new_gate();
    cohort_result_t *result;
    SUBMIT(&result, pool, test_pool(), .task = pass_gate, COHORT_INPUTS(&gate, 1),
           .task_timeout = apr_time_from_sec(1000));
    party_await(&gate->begun, 1);
    CHECK_INT(1, ask_for_running(pool)->exact);
    atomic_store(&gate->open, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
    gate = new_gate();
    SUBMIT(&result, pool, test_pool(), .task = pass_gate, COHORT_INPUTS(&gate, 1));
    party_await(&gate->begun, 1);
    CHECK_INT(1, ask_for_running(pool)->exact);
    atomic_store(&gate->open, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
    finish_pool(pool);
}

typedef struct {
    cohort_pool_t *pool;
    gate_t *gate;
} elsewhere_t;

static int ask_elsewhere(void *args) {
    const elsewhere_t *e = args;
    cohort_activity_t *running = ask_for_running(e->pool);
    CHECK(running != NULL);
    CHECK_INT(0, running->index);
    return 0;
}

static int run_there(void *args) {
    const elsewhere_t *e = args;
    gate_t *gate = e->gate;
    RUN(e->pool, .task = pass_gate, COHORT_INPUTS(&gate, 1));
    return 0;
}

/* A job of cohort_pool_run() in one process, and the question in another. */
static void from_any_process(void) {
    elsewhere_t e = {new_pool(2), new_gate()};
    cohort_process_t *runner = party_start(run_there, &e, sizeof e);
    party_await(&e.gate->begun, 1);
    party_finish(party_start(ask_elsewhere, &e, sizeof e));
    CHECK(ask_for_running(e.pool)->result == NULL);
    atomic_store(&e.gate->open, 1);
    party_finish(runner);
    finish_pool(e.pool);
}

/* One that is listed may not have been started yet. */
static void kill_listed(cohort_activity_t *worker) {
    apr_status_t status = cohort_process_kill(worker->process);
    if (worker->state == COHORT_WORKER_STARTING && status == COHORT_ENOTSTARTED) return;
    CHECK_STATUS(APR_SUCCESS, status);
}

/* While workers are killed, and while they go from item to item. */
static void at_any_time(void) {
    cohort_pool_t *pool = new_pool(3);
    int in[2000], out[2000];
    cohort_result_t *result;
    fill(in, 2000);
    SUBMIT(&result, pool, test_pool(), .task = square, COHORT_INPUTS(in, 2000), COHORT_OUTPUTS(out),
           .attempts = 1000, .chunk = 1);
    for (int i = 0; i < 200 || !cohort_result_is_ready(result); i++) {
        apr_size_t n;
        cohort_activity_t **list = ask(pool, &n);
        CHECK(n <= 3);
        for (apr_size_t k = 0; k < n; k++) {
            if (list[k]->state == COHORT_WORKER_RUNNING) CHECK(list[k]->index < 2000);
            CHECK(list[k]->elapsed >= 0);
        }
        if (i % 50 == 10 && n) kill_listed(list[0]);
    }
    CHECK_STATUS(APR_SUCCESS, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_stop(pool, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
}

const test_case_t pool_activity_cases[] = {
    {"PoolActivity", "idle_workers", idle_workers},
    {"PoolActivity", "running_items", running_items},
    {"PoolActivity", "exact", exact},
    {"PoolActivity", "from_any_process", from_any_process},
    {"PoolActivity", "at_any_time", at_any_time},
    {0},
};
