/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Items that fail some times and are run again, while workers are killed. */
#ifndef COHORT_TESTS_RETRIES_H
#define COHORT_TESTS_RETRIES_H

#include "pools.h"

enum { LOAD = 400, FAILS = 3, ATTEMPTS = 200 };

typedef struct {
    _Atomic int runs[LOAD], good[LOAD], all;
} load_t;

typedef struct {
    load_t *load;
    int number;
} loaded_t;

static inline apr_status_t carry(const void *input, void *output) {
    const loaded_t *l = input;
    (void)output;
    atomic_fetch_add(&l->load->all, 1);
    if (atomic_fetch_add(&l->load->runs[l->number], 1) < FAILS) return APR_EBUSY;
    atomic_fetch_add(&l->load->good[l->number], 1);
    return APR_SUCCESS;
}

/* Every item ends well; it was run so often as its failures and one success want, and once more for
 * each death at most. */
static inline void retry_under_kills(int n, apr_interval_time_t delay) {
    cohort_pool_t *pool = new_pool(4);
    load_t *load = party_memory(sizeof *load);
    loaded_t inputs[LOAD];
    cohort_result_t *result;
    int kills = 0, extra = 0;
    for (int i = 0; i < n; i++) inputs[i] = (loaded_t){load, i};
    SUBMIT(&result, pool, test_pool(), .task = carry, COHORT_INPUTS(inputs, (apr_size_t)n),
           .attempts = ATTEMPTS, .retry_on = {APR_EBUSY}, .chunk = 3, .retry_delay = delay,
           .retry_delay_max = 2 * delay);
    for (int at = 20; at < FAILS * n && !cohort_result_is_ready(result); at += 60) {
        while (atomic_load(&load->all) < at && !cohort_result_is_ready(result)) apr_sleep(100);
        cohort_process_t **workers;
        apr_size_t count;
        CHECK_STATUS(APR_SUCCESS, cohort_pool_workers(pool, &workers, &count, test_pool()));
        if (count && !cohort_process_kill(workers[(apr_size_t)at % count])) kills++;
    }
    CHECK_STATUS(APR_SUCCESS, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
    for (int i = 0; i < n; i++) {
        CHECK(atomic_load(&load->good[i]) >= 1);
        CHECK(atomic_load(&load->runs[i]) >= FAILS + 1);
        extra += atomic_load(&load->runs[i]) - (FAILS + 1);
    }
    CHECK(extra <= kills);
    finish_pool(pool);
}

#endif
