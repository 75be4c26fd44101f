/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What the scenarios of pools share: a job of a few items in a pool of one worker, which is stepped
 * from the first item on to the last; and what must hold of its items and of the pool after the
 * worker's death. */
#ifndef COHORT_TESTS_STEP_POOL_H
#define COHORT_TESTS_STEP_POOL_H

#include "check.h"
#include "step.h"

#include <cohort/cohort.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#define ITEMS 3

typedef struct {
    cohort_pool_t *pool;
    cohort_result_t *job;
    cohort_result_t *before;      /* that one, done and kept */
    cohort_start_method_t method; /* of a process that the victim starts */
    step_place_t place;
    _Atomic int armed; /* the first item is to be stopped in */
    int slow;          /* the second item takes so many microseconds */
    _Atomic int runs[ITEMS];
} state_t;

typedef struct {
    state_t *state;
    int item;
} item_t;

static inline state_t *new_state(void) { return step_new(sizeof(state_t)); }

static inline void discard(void *state) {
    state_t *s = state;
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(s->job));
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(s->before));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(s->pool));
    CHECK_STATUS(APR_SUCCESS, cohort_free(s));
}

static inline void check_pool_works(state_t *s) {
    int in[5] = {0, 1, 2, 3, 4}, out[5] = {0};
    CHECK_STATUS(APR_SUCCESS, COHORT_MAP(s->pool, step_task, in, 5, out));
    for (int i = 0; i < 5; i++) CHECK_INT(i + 1, out[i]);
}

/* The stepping begins in the first item and ends in the last: in between lie two results and two
 * tasks that are taken. */
static inline apr_status_t run_item(const void *input, void *output) {
    const item_t *item = input;
    state_t *s = item->state;
    atomic_fetch_add(&s->runs[item->item], 1);
    if (item->item == 0 && atomic_exchange(&s->armed, 0)) {
        atomic_store(&s->place.ready, 1);
        while (!atomic_load(&s->place.go)) sched_yield();
        raise(SIGTRAP);
    }
    if (item->item == 1 && s->slow) usleep((useconds_t)s->slow);
    if (item->item == ITEMS - 1) atomic_store(&s->place.done, 1);
    *(int *)output = item->item + 1;
    return APR_SUCCESS;
}

static inline cohort_process_t *the_worker(void *state, step_place_t **place) {
    state_t *s = state;
    *place = &s->place;
    return step_worker(s->pool, *place);
}

/* Each item, from this one on, ran once at most and has one outcome; at most one, or one range, is
 * charged with the death: how many are. */
static inline int check_items(const state_t *s, cohort_result_t *job, int from, int count) {
    int out[ITEMS] = {0};
    cohort_task_error_t **errors = NULL;
    apr_size_t n = 0;
    apr_status_t status = cohort_result_get(job, out, sizeof out, COHORT_FOREVER);
    CHECK(status == APR_SUCCESS || status == COHORT_EWORKERDIED);
    CHECK_STATUS(APR_SUCCESS, cohort_result_errors(job, &errors, &n, test_pool()));
    CHECK_INT(status != APR_SUCCESS, n);
    for (int i = 0; i < count; i++) {
        bool charged = n == 1 && (apr_size_t)i - errors[0]->index < errors[0]->count;
        int runs = atomic_load(&s->runs[from + i]);
        CHECK(charged ? runs <= 1 : runs == 1 && out[i] == from + i + 1);
    }
    return (int)n;
}

#endif
