/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What the tests of waits share: one of everything that can be waited for. */
#ifndef COHORT_TESTS_WAITS_H
#define COHORT_TESTS_WAITS_H

#include "parties.h"

#define ANY_OF COHORT_WAIT_ANY
#define GETS   COHORT_READY_IN
#define PUTS   COHORT_READY_OUT
#define LEFT   COHORT_READY_GONE

static inline cohort_queue_t *queue_for(apr_size_t capacity) {
    cohort_queue_t *queue;
    cohort_queue_options_t options = {.capacity = capacity};
    CHECK_STATUS(APR_SUCCESS, cohort_queue_create(&queue, &options, test_pool()));
    return queue;
}

static inline void put(cohort_queue_t *queue) {
    CHECK_STATUS(APR_SUCCESS, cohort_queue_put(queue, "x", 1, COHORT_FOREVER));
}

static inline void get(cohort_queue_t *queue) {
    char byte;
    apr_size_t size;
    CHECK_STATUS(APR_SUCCESS, cohort_queue_get(queue, &byte, 1, &size, 0));
}

/* One of everything, of which nothing is ready. */
enum { QUEUE_IN, QUEUE_OUT, CONNECTION, EVENT, SEMAPHORE, BARRIER, RESULT, PROCESS, THINGS_IN_ALL };

typedef struct {
    cohort_queue_t *empty, *full;
    cohort_connection_t *far;
    cohort_event_t *event, *go_on;
    cohort_semaphore_t *semaphore;
    cohort_barrier_t *barrier;
    int which;
} family_t;

static inline apr_status_t wait_for_event(const void *input, void *output) {
    (void)output;
    return cohort_event_wait(*(cohort_event_t *const *)input, COHORT_FOREVER);
}

static inline int wait_to_go_on(void *args) {
    CHECK_STATUS(APR_SUCCESS, cohort_event_wait(*(cohort_event_t **)args, COHORT_FOREVER));
    return 0;
}

/* In another process: one of the items becomes ready. */
static inline int make_ready(void *args) {
    family_t *f = args;
    switch (f->which) {
    case QUEUE_IN: put(f->empty); break;
    case QUEUE_OUT: get(f->full); break;
    case CONNECTION:
        CHECK_STATUS(APR_SUCCESS, cohort_connection_send(f->far, "x", 1, COHORT_FOREVER));
        break;
    case EVENT: CHECK_STATUS(APR_SUCCESS, cohort_event_set(f->event)); break;
    case SEMAPHORE: CHECK_STATUS(APR_SUCCESS, cohort_semaphore_release(f->semaphore, 1)); break;
    case BARRIER: CHECK_STATUS(APR_SUCCESS, cohort_barrier_abort(f->barrier)); break;
    default: CHECK_STATUS(APR_SUCCESS, cohort_event_set(f->go_on));
    }
    return 0;
}

static inline void make_family(family_t *f, cohort_waitable_t *items, cohort_pool_t *pool) {
    cohort_connection_t *near;
    cohort_event_t **go_on = party_memory(sizeof(cohort_event_t *));
    cohort_job_t job = {.task = wait_for_event, COHORT_INPUTS(go_on, 1)};
    cohort_result_t *result;
    f->empty = queue_for(1);
    f->full = queue_for(1);
    put(f->full);
    CHECK_STATUS(APR_SUCCESS, cohort_pipe_create(&near, &f->far, NULL, test_pool()));
    CHECK_STATUS(APR_SUCCESS, cohort_event_create(&f->event, test_pool()));
    CHECK_STATUS(APR_SUCCESS, cohort_event_create(&f->go_on, test_pool()));
    CHECK_STATUS(APR_SUCCESS, cohort_semaphore_create(&f->semaphore, 0, NULL, test_pool()));
    CHECK_STATUS(APR_SUCCESS, cohort_barrier_create(&f->barrier, 2, NULL, test_pool()));
    *go_on = f->go_on;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_submit(&result, pool, &job, test_pool()));
    void *objects[THINGS_IN_ALL] = {
        f->empty,     f->full,    near,   f->event,
        f->semaphore, f->barrier, result, party_start(wait_to_go_on, &f->go_on, sizeof f->go_on)};
    for (int i = 0; i < THINGS_IN_ALL; i++) items[i] = (cohort_waitable_t){.object = objects[i]};
    items[QUEUE_OUT].wanted = PUTS;
    items[CONNECTION].wanted = GETS | LEFT;
}

#endif
