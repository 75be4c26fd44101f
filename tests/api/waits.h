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
enum {
    QUEUE_IN,
    QUEUE_OUT,
    CONNECTION,
    EVENT,
    SEMAPHORE,
    BARRIER,
    IMAP,
    RUNNER,
    RUN,
    RESULT,
    PROCESS,
    THINGS_IN_ALL
};

typedef struct {
    cohort_queue_t *empty, *full;
    cohort_connection_t *far;
    cohort_event_t *event, *item, *any_run, *run, *go_on; /* each but the first ends some work */
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
    case IMAP: CHECK_STATUS(APR_SUCCESS, cohort_event_set(f->item)); break;
    case RUNNER: CHECK_STATUS(APR_SUCCESS, cohort_event_set(f->any_run)); break;
    case RUN: CHECK_STATUS(APR_SUCCESS, cohort_event_set(f->run)); break;
    default: CHECK_STATUS(APR_SUCCESS, cohort_event_set(f->go_on));
    }
    return 0;
}

/* What it waits for is copied, as the input of a task. */
static inline cohort_job_t job_until(cohort_event_t *const *event) {
    return (cohort_job_t){.task = wait_for_event, COHORT_INPUTS(event, 1)};
}

/* A runner of a function that runs until then, and that run. */
static inline cohort_runner_t *runner_until(cohort_event_t **event, cohort_run_t **run) {
    cohort_command_t command = {
        .target = wait_to_go_on, .args = event, .args_size = sizeof(cohort_event_t *)};
    cohort_runner_t *runner;
    CHECK_STATUS(APR_SUCCESS, cohort_runner_create(&runner, NULL, test_pool()));
    CHECK_STATUS(APR_SUCCESS, cohort_runner_submit(run, runner, &command));
    return runner;
}

/* The pool has two workers that are free. */
static inline void make_family(family_t *f, cohort_waitable_t *items, cohort_pool_t *pool) {
    cohort_event_t **events[] = {&f->event, &f->item, &f->any_run, &f->run, &f->go_on};
    cohort_connection_t *near;
    cohort_result_t *result;
    cohort_imap_t *imap;
    cohort_run_t *run;
    f->empty = queue_for(1);
    f->full = queue_for(1);
    put(f->full);
    CHECK_STATUS(APR_SUCCESS, cohort_pipe_create(&near, &f->far, NULL, test_pool()));
    CHECK_STATUS(APR_SUCCESS, cohort_semaphore_create(&f->semaphore, 0, NULL, test_pool()));
    CHECK_STATUS(APR_SUCCESS, cohort_barrier_create(&f->barrier, 2, NULL, test_pool()));
    for (int i = 0; i < 5; i++)
        CHECK_STATUS(APR_SUCCESS, cohort_event_create(events[i], test_pool()));
    cohort_job_t task = job_until(&f->go_on), item = job_until(&f->item);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_submit(&result, pool, &task, test_pool()));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_imap(&imap, pool, &item, NULL, test_pool()));
    cohort_runner_t *runner = runner_until(&f->any_run, NULL);
    (void)runner_until(&f->run, &run);
    void *objects[THINGS_IN_ALL] = {f->empty,
                                    f->full,
                                    near,
                                    f->event,
                                    f->semaphore,
                                    f->barrier,
                                    imap,
                                    runner,
                                    run,
                                    result,
                                    party_start(wait_to_go_on, &f->go_on, sizeof f->go_on)};
    for (int i = 0; i < THINGS_IN_ALL; i++) items[i] = (cohort_waitable_t){.object = objects[i]};
    items[QUEUE_OUT].wanted = PUTS;
    items[CONNECTION].wanted = GETS | LEFT;
}

/* What does some work in it ends. */
static inline void end_family(family_t *f, cohort_waitable_t *items) {
    cohort_event_t *events[] = {f->item, f->any_run, f->run, f->go_on};
    for (int i = 0; i < 4; i++) CHECK_STATUS(APR_SUCCESS, cohort_event_set(events[i]));
    CHECK_STATUS(APR_SUCCESS,
                 cohort_wait(items + IMAP, THINGS_IN_ALL - IMAP, COHORT_WAIT_ALL, COHORT_FOREVER));
}

#endif
