/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Pools: outputs with a size each are handed over, once each, and lost with nobody. */
#include "pools.h"

#include <stdio.h>
#include <stdlib.h>

/* A task makes an output of its number of bytes and more. */
typedef struct {
    int number;
    int deaths; /* so many runs of it end in death, with an output */
    gate_t *gate;
} made_t;

static apr_size_t size_of(int number) { return (apr_size_t)number % 10 * 500; }

static apr_status_t make(const void *input, void *output) {
    const made_t *made = input;
    (void)output;
    int runs = made->gate ? atomic_fetch_add(&made->gate->runs, 1) : 0;
    char *data = cohort_task_output(size_of(made->number));
    if (!data) return APR_ENOMEM;
    memset(data, runs < made->deaths ? 0xff : made->number, size_of(made->number));
    if (!made->gate) return APR_SUCCESS;
    if (runs < made->deaths) abort();
    atomic_store(&made->gate->begun, runs + 1);
    while (!atomic_load(&made->gate->open)) apr_sleep(500);
    return APR_SUCCESS;
}

static void fill_made(made_t *list, int n) {
    memset(list, 0, (apr_size_t)n * sizeof *list);
    for (int i = 0; i < n; i++) list[i].number = i;
}

static void check_made(const void *data, apr_size_t size, int number) {
    CHECK_INT(size_of(number), size);
    for (apr_size_t i = 0; i < size; i++) CHECK_INT((char)number, ((const char *)data)[i]);
}

static void take_made(cohort_result_t *result, int index) {
    void *data = NULL;
    apr_size_t size = 0;
    CHECK_STATUS(APR_SUCCESS, cohort_result_take(result, index, &data, &size));
    check_made(data, size, index);
    CHECK_STATUS(APR_SUCCESS, cohort_free(data));
}

static void check_taken(cohort_result_t *result, int index) {
    void *data = NULL;
    apr_size_t size = 0;
    cohort_item_t item;
    char sentence[100];
    CHECK_STATUS(COHORT_ENOTOWNER, cohort_result_take(result, index, &data, &size));
    snprintf(sentence, sizeof sentence, "the output of item %d was taken before", index);
    CHECK(strstr(cohort_last_error(), sentence) != NULL);
    CHECK_STATUS(APR_SUCCESS, cohort_result_item(result, index, &item));
    CHECK_INT(COHORT_ITEM_DONE, item.state);
    CHECK(!item.data && !item.size);
}

static void finish_clean(cohort_pool_t *pool, apr_uint64_t before) {
    finish_pool(pool);
    CHECK_INT(before, blocks_in_use());
}

/* While others run, and then all that is left. */
static void one_by_one(void) {
    enum { N = 6 };
    apr_uint64_t before = blocks_in_use();
    cohort_pool_t *pool = new_pool(1);
    gate_t *gate = new_gate();
    cohort_result_t *result;
    cohort_item_t item;
    cohort_bytes_t out[N], again[N];
    made_t in[N];
    void *data;
    apr_size_t size;
    fill_made(in, N);
    in[2].gate = gate;
    SUBMIT(&result, pool, NULL, .task = make, COHORT_INPUTS(in, N), COHORT_OUTPUT_BYTES(out),
           .chunk = 4);
    party_await(&gate->begun, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_result_item(result, 1, &item));
    check_made(item.data, item.size, 1);
    take_made(result, 1);
    check_taken(result, 1);
    CHECK_STATUS(APR_EAGAIN, cohort_result_take(result, 2, &data, &size));
    CHECK_STATUS(APR_EAGAIN, cohort_result_take(result, 5, &data, &size));
    CHECK_STATUS(APR_EINVAL, cohort_result_take(result, N, &data, &size));
    CHECK_STATUS(APR_EINVAL, cohort_result_take(result, 0, NULL, &size));
    CHECK_STATUS(APR_EINVAL, cohort_result_take(result, 0, &data, NULL));
    atomic_store(&gate->open, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_result_wait(result, COHORT_FOREVER));
    CHECK(!cohort_result_outputs(result));
    CHECK_STATUS(COHORT_ETOOSMALL, cohort_result_get(result, again, sizeof again - 1, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_result_get(result, NULL, 0, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_result_get(result, again, sizeof again, 0));
    for (int i = 0; i < N; i++) {
        check_taken(result, i);
        CHECK(!again[i].data && !again[i].size);
        if (i != 1) check_made(out[i].data, out[i].size, i);
        else CHECK(!out[i].data && !out[i].size);
    }
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result)); /* they are not freed with it */
    for (int i = 0; i < N; i++) CHECK_STATUS(APR_SUCCESS, cohort_free(out[i].data));
    CHECK_STATUS(APR_SUCCESS, cohort_free(gate));
    finish_clean(pool, before);
}

static apr_status_t make_some(const void *input, void *output) {
    const made_t *made = input;
    if (made->number == 0) return APR_SUCCESS;
    apr_status_t status = make(input, output);
    return status || made->number != 1 ? status : APR_ENOTIMPL;
}

/* Nothing to take: none was made, or the item failed, or will never run; or outputs are of one
 * size. */
static void nothing_there(void) {
    cohort_pool_t *pool = new_pool(1);
    gate_t *gate = new_gate();
    cohort_result_t *result;
    made_t in[4];
    int numbers[2] = {1, 2};
    void *data = &pool;
    apr_size_t size = 1;
    fill_made(in, 4);
    in[2].gate = gate;
    SUBMIT(&result, pool, test_pool(), .task = square, COHORT_INPUTS(numbers, 2),
           .output_size = sizeof(int));
    CHECK_STATUS(APR_EINVAL, cohort_result_take(result, 0, &data, &size));
    CHECK(strstr(cohort_last_error(), "output_size is not COHORT_BYTES") != NULL);
    SUBMIT(&result, pool, test_pool(), .task = make_some, COHORT_INPUTS(in, 4),
           .output_size = COHORT_BYTES, .chunk = 1);
    party_await(&gate->begun, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_result_take(result, 0, &data, &size));
    CHECK(!data && !size);
    CHECK_STATUS(APR_ENOTIMPL, cohort_result_take(result, 1, &data, &size));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_terminate(pool));
    CHECK_STATUS(COHORT_ETERMINATED, cohort_result_take(result, 3, &data, &size));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
    CHECK_STATUS(COHORT_EHANDLE, cohort_result_take(result, 0, &data, &size));
}

/* A worker dies with an output in hand: its attempt frees it, whether the item is run again or
 * not. */
static void deaths(void) {
    enum { N = 40 };
    apr_uint64_t before = blocks_in_use();
    cohort_pool_t *pool = new_pool(2);
    gate_t *gates = party_memory(N * sizeof *gates);
    cohort_bytes_t out[N];
    cohort_result_t *result;
    made_t in[N];
    fill_made(in, N);
    for (int i = 3; i < N; i += 9) {
        in[i] = (made_t){i, i == 12 ? 9 : 2, &gates[i]};
        atomic_store(&gates[i].open, 1);
    }
    SUBMIT(&result, pool, NULL, .task = make, COHORT_INPUTS(in, N), COHORT_OUTPUT_BYTES(out),
           .chunk = 7, .attempts = 3);
    CHECK_STATUS(COHORT_EWORKERDIED, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
    for (int i = 0; i < N; i++) {
        CHECK_INT(in[i].gate ? 3 : 0, atomic_load(&gates[i].runs));
        if (i != 12) check_made(out[i].data, out[i].size, i);
        else CHECK(!out[i].data && !out[i].size);
        CHECK_STATUS(APR_SUCCESS, cohort_free(out[i].data));
    }
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
    CHECK_STATUS(APR_SUCCESS, cohort_free(gates));
    finish_clean(pool, before);
}

/* The result is destroyed, or the pool ended, while a task that has made its output runs; others
 * have made theirs before. */
static void ended_meanwhile(void) {
    enum { N = 4 };
    for (int way = 0; way < 3; way++) {
        apr_uint64_t before = blocks_in_use();
        cohort_pool_t *pool = new_pool(1);
        gate_t *gate = new_gate();
        cohort_result_t *result;
        cohort_bytes_t out[N];
        made_t in[N];
        fill_made(in, N);
        in[2].gate = gate;
        memset(out, 0, sizeof out);
        SUBMIT(&result, pool, NULL, .task = make, COHORT_INPUTS(in, N), COHORT_OUTPUT_BYTES(out));
        party_await(&gate->begun, 1);
        if (way == 0) CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
        else CHECK_STATUS(APR_SUCCESS, cohort_pool_terminate(pool));
        if (way < 2) atomic_store(&gate->open, 1);
        if (way == 0) check_works(pool);
        if (way > 0) {
            CHECK_STATUS(COHORT_ETERMINATED, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
            CHECK_STATUS(APR_SUCCESS, cohort_pool_join(pool, COHORT_FOREVER));
            take_made(result, 1);
            CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
        }
        for (int i = 0; i < N; i++) CHECK(!out[i].data); /* nothing was handed over */
        CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
        CHECK_STATUS(APR_SUCCESS, cohort_free(gate));
        CHECK_INT(before, blocks_in_use());
    }
}

/* ---- several that take ---------------------------------------------------------------------- */

enum { RACED = 400 };

typedef struct {
    cohort_result_t *result;
    _Atomic int *begun, *taken; /* by each taker; how often each item was */
} taker_t;

static int take_what_comes(void *args) {
    const taker_t *taker = args;
    int over = 0;
    atomic_fetch_add(taker->begun, 1);
    while (over < RACED) {
        over = 0;
        for (int i = 0; i < RACED; i++) {
            void *data;
            apr_size_t size;
            apr_status_t status = cohort_result_take(taker->result, i, &data, &size);
            over += status != APR_EAGAIN;
            if (status) continue;
            check_made(data, size, i);
            CHECK_STATUS(APR_SUCCESS, cohort_free(data));
            atomic_fetch_add(&taker->taken[i], 1);
        }
    }
    return 0;
}

static void takers(void) {
    apr_uint64_t before = blocks_in_use();
    cohort_pool_t *pool = new_pool(2);
    cohort_process_t *processes[3];
    _Atomic int *counts = party_memory((RACED + 1) * sizeof *counts);
    taker_t taker = {.begun = counts, .taken = counts + 1};
    static made_t in[RACED];
    gate_t *gate = new_gate();
    cohort_bytes_t out[RACED];
    fill_made(in, RACED);
    in[0].gate = gate;
    SUBMIT(&taker.result, pool, NULL, .task = make, COHORT_INPUTS(in, RACED),
           COHORT_OUTPUT_BYTES(out), .chunk = 1);
    parties_start(processes, 3, take_what_comes, &taker, sizeof taker);
    party_await(taker.begun, 3);
    atomic_store(&gate->open, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_result_get(taker.result, NULL, 0, COHORT_FOREVER));
    parties_finish(processes, 3);
    for (int i = 0; i < RACED; i++) {
        CHECK_INT(1, atomic_load(&taker.taken[i]) + (out[i].data != NULL));
        CHECK_STATUS(APR_SUCCESS, cohort_free(out[i].data));
    }
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(taker.result));
    CHECK_STATUS(APR_SUCCESS, cohort_free((void *)counts));
    CHECK_STATUS(APR_SUCCESS, cohort_free(gate));
    finish_clean(pool, before);
}

const test_case_t pool_take_cases[] = {
    {"PoolTake", "one_by_one", one_by_one}, {"PoolTake", "nothing_there", nothing_there},
    {"PoolTake", "deaths", deaths},         {"PoolTake", "ended_meanwhile", ended_meanwhile},
    {"PoolTake", "takers", takers},         {0},
};
