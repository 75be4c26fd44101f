/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What the tests of queues share: queues of ints, and what they give to their children. */
#ifndef COHORT_TESTS_QUEUES_H
#define COHORT_TESTS_QUEUES_H

#include "traffic.h"

typedef struct {
    cohort_queue_t *queue, *other;
    tally_t *tally;
    _Atomic int *ready;
    _Atomic int *sent; /* per sender */
    int sender, messages;
} args_t;

static inline cohort_queue_t *new_queue(apr_size_t capacity, int joinable) {
    cohort_queue_t *queue = NULL;
    cohort_queue_options_t options = {.capacity = capacity, .joinable = joinable};
    CHECK_STATUS(APR_SUCCESS, cohort_queue_create(&queue, &options, test_pool()));
    return queue;
}

static inline apr_status_t put_int(cohort_queue_t *queue, int value, apr_interval_time_t timeout) {
    return cohort_queue_put(queue, &value, sizeof value, timeout);
}

static inline apr_status_t get_int(cohort_queue_t *queue, int *value, apr_interval_time_t timeout) {
    apr_size_t size;
    apr_status_t status = cohort_queue_get(queue, value, sizeof *value, &size, timeout);
    if (!status) CHECK_INT(sizeof *value, size);
    return status;
}

static inline void check_get(int expected, cohort_queue_t *queue, apr_interval_time_t timeout) {
    int value = -4711;
    CHECK_STATUS(APR_SUCCESS, get_int(queue, &value, timeout));
    CHECK_INT(expected, value);
}

static inline void check_state(cohort_queue_t *queue, apr_size_t size, int empty, int full) {
    apr_size_t n = 4711;
    int is = 4711;
    n = cohort_queue_size(queue);
    CHECK_INT(size, n);
    is = cohort_queue_is_empty(queue);
    CHECK_INT(empty, is);
    is = cohort_queue_is_full(queue);
    CHECK_INT(full, is);
}

#endif
