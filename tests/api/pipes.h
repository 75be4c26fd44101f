/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What the tests of pipes share: ends, children that hold them, and messages of text. */
#ifndef COHORT_TESTS_PIPES_H
#define COHORT_TESTS_PIPES_H

#include "traffic.h"

#define FOREVER COHORT_FOREVER

typedef struct {
    cohort_connection_t *end, *far;
    tally_t *tally;
    _Atomic int *ready;
    _Atomic int *sent;
    int sender, messages;
} args_t;

static inline void new_pipe(cohort_connection_t **first, cohort_connection_t **second,
                            int one_way) {
    cohort_pipe_options_t options = {.one_way = one_way};
    CHECK_STATUS(APR_SUCCESS, cohort_pipe_create(first, second, &options, test_pool()));
}

static inline args_t new_args(int one_way) {
    args_t a = {.ready = party_memory(sizeof(int)), .sent = party_memory(sizeof(int))};
    new_pipe(&a.end, &a.far, one_way);
    return a;
}

/* Started with an end of its own. */
static inline cohort_process_t *start_with(cohort_connection_t *end, cohort_target_t target,
                                           args_t *a) {
    cohort_process_options_t options = {
        .lifetime = COHORT_LIFETIME_DAEMON, .connections = &end, .n_connections = 1};
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_create(&process, target, a, sizeof *a, &options, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
    return process;
}

static inline void send_text(cohort_connection_t *end, const char *text) {
    CHECK_STATUS(APR_SUCCESS, cohort_connection_send(end, text, strlen(text), FOREVER));
}

static inline void check_text(const char *expected, cohort_connection_t *end) {
    void *data = NULL;
    apr_size_t size = 4711;
    CHECK_STATUS(APR_SUCCESS, cohort_connection_recv_copy(end, &data, &size, FOREVER, test_pool()));
    CHECK_INT(strlen(expected), size);
    CHECK_STR(expected, data);
}

static inline apr_status_t receive_any(cohort_connection_t *end, apr_interval_time_t timeout) {
    void *data = NULL;
    apr_size_t size = 0;
    return cohort_connection_recv_copy(end, &data, &size, timeout, test_pool());
}

static inline int send_hello(void *data) {
    args_t *a = data;
    send_text(a->far, "hello");
    return 0;
}

#endif
