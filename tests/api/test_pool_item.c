/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Pools: the items of a result, looked at one by one while others run. */
#include "pools.h"

static cohort_item_t look_at(cohort_result_t *result, apr_size_t index) {
    static const apr_uint64_t zero[8];
    cohort_item_t item;
    memset(&item, 0xff, sizeof item);
    CHECK_STATUS(APR_SUCCESS, cohort_result_item(result, index, &item));
    CHECK_INT(index, item.index);
    CHECK_INT(0, item.capacity);
    CHECK_MEM(zero, item.reserved, sizeof zero);
    return item;
}

static void check_item(cohort_result_t *result, apr_size_t index, cohort_item_state_t state,
                       apr_status_t status, apr_size_t attempt) {
    const cohort_item_t item = look_at(result, index);
    CHECK_INT(state, item.state);
    CHECK_STATUS(status, item.status);
    CHECK_INT(attempt, item.attempt);
    if (state == COHORT_ITEM_DONE) return;
    CHECK(!item.data);
    CHECK_INT(0, item.size);
}

static void check_square(cohort_result_t *result, apr_size_t index) {
    const cohort_item_t item = look_at(result, index);
    CHECK_INT(COHORT_ITEM_DONE, item.state);
    CHECK_STATUS(APR_SUCCESS, item.status);
    CHECK_INT(sizeof(int), item.size);
    CHECK_INT((int)(index * index), *(const int *)item.data);
}

/* A task that waits at its gate if it has one, is killed there, or fails. */
typedef struct {
    int number, deaths, fails;
    gate_t *gate;
} held_t;

static apr_status_t pass_and_square(const void *input, void *output) {
    const held_t *held = input;
    gate_t *gate = held->gate;
    if (gate) {
        int runs = atomic_fetch_add(&gate->runs, 1);
        atomic_store(&gate->begun, runs + 1);
        while (!atomic_load(&gate->open) || runs < held->deaths) apr_sleep(500);
    }
    *(int *)output = held->number * held->number;
    return held->fails ? APR_ENOTIMPL : APR_SUCCESS;
}

static void fill_held(held_t *list, int n) {
    memset(list, 0, (apr_size_t)n * sizeof *list);
    for (int i = 0; i < n; i++) list[i].number = i;
}

static void states(void) {
    enum { N = 7 };
    cohort_pool_t *pool = new_pool(1);
    gate_t *gate = new_gate();
    cohort_result_t *result;
    cohort_item_t item;
    held_t in[N];
    fill_held(in, N);
    in[1].gate = gate;
    SUBMIT(&result, pool, NULL, .task = pass_and_square, COHORT_INPUTS(in, N),
           .output_size = sizeof(int), .chunk = 3);
    party_await(&gate->begun, 1);
    check_square(result, 0);
    check_item(result, 1, COHORT_ITEM_RUNNING, APR_SUCCESS, 1);
    for (int i = 2; i < N; i++) check_item(result, i, COHORT_ITEM_QUEUED, APR_SUCCESS, 0);
    CHECK_STATUS(APR_EINVAL, cohort_result_item(result, N, &item));
    CHECK_STR("cohort_result_item: index is 7, and the job has 7 items: Invalid argument",
              cohort_last_error());
    CHECK_STATUS(APR_EINVAL, cohort_result_item(result, (apr_size_t)-1, &item));
    atomic_store(&gate->open, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_result_wait(result, COHORT_FOREVER));
    for (int i = 0; i < N; i++) check_square(result, i);
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
    CHECK_STATUS(COHORT_EHANDLE, cohort_result_item(result, 0, &item));
    finish_pool(pool);
}

/* What has failed has no output, and says which attempt it was. */
static void failed_items(void) {
    enum { N = 40 };
    cohort_pool_t *pool = new_pool(3);
    cohort_result_t *result;
    int in[N];
    fill(in, N);
    for (apr_size_t chunk = 1; chunk <= N; chunk *= 3) {
        SUBMIT(&result, pool, NULL, .task = odd_fails, COHORT_INPUTS(in, N),
               .output_size = sizeof(int), .chunk = chunk);
        CHECK_STATUS(APR_SUCCESS, cohort_result_wait(result, COHORT_FOREVER));
        for (int i = 0; i < N; i++) {
            apr_status_t status = i % 2 == 0 ? APR_SUCCESS : i == 1 ? APR_ENOTIMPL : APR_EINVAL;
            check_item(result, i, status ? COHORT_ITEM_FAILED : COHORT_ITEM_DONE, status,
                       status != 0);
            if (!status) CHECK_INT(i, *(int *)look_at(result, i).data);
        }
        CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
    }
    finish_pool(pool);
}

static void await_state(cohort_result_t *result, apr_size_t index, cohort_item_state_t state) {
    while (look_at(result, index).state != state) apr_sleep(500);
}

/* No thread waits for the result: the look at its items alone sees to it that the deaths are
 * noticed. The worker is replaced by its maker's watcher. */
static void deaths(void) {
    enum { N = 5 };
    cohort_pool_t *pool = new_pool(1);
    gate_t *gates[2] = {new_gate(), new_gate()};
    cohort_result_t *result;
    held_t in[N];
    fill_held(in, N);
    in[1].gate = gates[0];
    in[1].deaths = 2;
    in[3].gate = gates[1];
    in[3].deaths = 1;
    SUBMIT(&result, pool, test_pool(), .task = pass_and_square, COHORT_INPUTS(in, N),
           .output_size = sizeof(int), .chunk = N, .attempts = 2);
    for (int i = 0; i < 2; i++) {
        party_await(&gates[0]->begun, i + 1);
        check_item(result, 1, COHORT_ITEM_RUNNING, APR_SUCCESS, i + 1);
        check_item(result, 2, COHORT_ITEM_QUEUED, APR_SUCCESS, 0);
        kill_worker(pool);
    }
    await_state(result, 1, COHORT_ITEM_FAILED);
    check_item(result, 1, COHORT_ITEM_FAILED, COHORT_EWORKERDIED, 2);
    atomic_store(&gates[1]->open, 1);
    party_await(&gates[1]->begun, 1);
    kill_worker(pool);
    await_state(result, 4, COHORT_ITEM_DONE);
    for (int i = 0; i < N; i++) {
        if (i != 1) check_square(result, i);
    }
    CHECK_INT(2, atomic_load(&gates[0]->runs));
    CHECK_INT(2, atomic_load(&gates[1]->runs));
    CHECK_STATUS(COHORT_EWORKERDIED, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
    finish_pool(pool);
}

/* A dead worker's item waits for the next one with the attempts that it has had. */
static void between_attempts(void) {
    cohort_pool_t *pool = new_pool(1);
    gate_t *gate = new_gate();
    cohort_result_t *result;
    held_t in[2];
    fill_held(in, 2);
    in[0].gate = gate;
    in[0].deaths = 1;
    SUBMIT(&result, pool, test_pool(), .task = pass_and_square, COHORT_INPUTS(in, 2),
           .output_size = sizeof(int), .chunk = 2, .attempts = 3);
    party_await(&gate->begun, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_close(pool));
    kill_worker(pool);
    for (cohort_item_t item = look_at(result, 0); item.attempt != 2; item = look_at(result, 0)) {
        CHECK_INT(1, item.attempt);
        CHECK(item.state == COHORT_ITEM_RUNNING || item.state == COHORT_ITEM_QUEUED);
    }
    atomic_store(&gate->open, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_result_wait(result, COHORT_FOREVER));
    check_square(result, 0);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_join(pool, COHORT_FOREVER));
    check_square(result, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
    check_square(result, 1); /* results outlive their pool */
}

static void terminated(void) {
    enum { N = 4 };
    cohort_pool_t *pool = new_pool(1);
    gate_t *gate = new_gate();
    cohort_result_t *result;
    held_t in[N];
    fill_held(in, N);
    in[0].fails = 1;
    in[2].gate = gate;
    SUBMIT(&result, pool, test_pool(), .task = pass_and_square, COHORT_INPUTS(in, N),
           .output_size = sizeof(int), .chunk = 1);
    party_await(&gate->begun, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_terminate(pool));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_join(pool, COHORT_FOREVER));
    check_item(result, 0, COHORT_ITEM_FAILED, APR_ENOTIMPL, 1);
    check_square(result, 1);
    check_item(result, 2, COHORT_ITEM_CANCELLED, COHORT_ETERMINATED, 0);
    check_item(result, 3, COHORT_ITEM_CANCELLED, COHORT_ETERMINATED, 0);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
    check_item(result, 3, COHORT_ITEM_CANCELLED, COHORT_ETERMINATED, 0);
}

/* ---- by another process, meanwhile ---------------------------------------------------------- */

enum { WATCHED = 3000 };

typedef struct {
    cohort_result_t *result;
    _Atomic int *stage;
} watch_t;

/* No item goes back, and what is done has its output. */
static int watch_all(void *args) {
    watch_t *watch = args;
    static unsigned char seen[WATCHED];
    int over;
    atomic_fetch_add(watch->stage, 1);
    do {
        over = 0;
        for (int i = 0; i < WATCHED; i++) {
            const cohort_item_t item = look_at(watch->result, i);
            if ((int)item.state < seen[i]) return 1;
            seen[i] = (unsigned char)item.state;
            over += item.state == COHORT_ITEM_DONE;
            if (item.state == COHORT_ITEM_DONE) check_square(watch->result, i);
        }
    } while (over < WATCHED);
    return 0;
}

static void watched(void) {
    cohort_pool_t *pool = new_pool(3);
    cohort_process_t *watcher[2];
    gate_t *gate = new_gate();
    watch_t watch = {.stage = &gate->begun};
    static held_t in[WATCHED];
    fill_held(in, WATCHED);
    in[0].gate = new_gate();
    SUBMIT(&watch.result, pool, test_pool(), .task = pass_and_square, COHORT_INPUTS(in, WATCHED),
           .output_size = sizeof(int), .chunk = 5);
    parties_start(watcher, 2, watch_all, &watch, sizeof watch);
    party_await(watch.stage, 2);
    atomic_store(&in[0].gate->open, 1);
    parties_finish(watcher, 2);
    finish_pool(pool);
}

static apr_status_t take_a_microsecond(const void *input, void *output) {
    for (volatile int i = 0; i < 300; i++) {
    }
    return square(input, output);
}

/* A worker goes from job to job while its record is read for the job before: an item that is done
 * does not run again. */
static void one_job_after_another(void) {
    enum { ROUNDS = 150, JOBS = 60, N = 8 };
    cohort_pool_t *pool = new_pool(1);
    cohort_result_t *results[JOBS];
    int in[N];
    fill(in, N);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < JOBS; i++) {
            SUBMIT(&results[i], pool, NULL, .task = take_a_microsecond, COHORT_INPUTS(in, N),
                   .output_size = sizeof(int), .chunk = N);
        }
        for (int i = 0; i < JOBS; i++) {
            cohort_item_state_t before = COHORT_ITEM_QUEUED;
            do {
                const cohort_item_t item = look_at(results[i], 0);
                CHECK(item.state >= before);
                before = item.state;
            } while (look_at(results[i], N - 1).state != COHORT_ITEM_DONE);
            CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(results[i]));
        }
    }
    finish_pool(pool);
}

const test_case_t pool_item_cases[] = {
    {"PoolItem", "states", states},
    {"PoolItem", "failed_items", failed_items},
    {"PoolItem", "deaths", deaths},
    {"PoolItem", "between_attempts", between_attempts},
    {"PoolItem", "terminated", terminated},
    {"PoolItem", "watched", watched},
    {"PoolItem", "one_job_after_another", one_job_after_another},
    {0},
};
