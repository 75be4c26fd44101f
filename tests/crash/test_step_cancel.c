/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Death around a cancellation: of the process that cancels, while a worker runs an item of the job,
 * and of the worker that comes to the end of its item. Each item has one outcome, what is not
 * charged has its output, the result is ready, and the pool goes on.
 */
#include "check.h"
#include "step.h"

#include <cohort/cohort.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#define ITEMS 6

typedef struct {
    cohort_pool_t *pool;
    cohort_result_t *job, *behind; /* one that the worker comes to after it */
    cohort_cancel_t how;
    step_place_t place;
    _Atomic int begun, open; /* item 1 is held until then */
    _Atomic int armed;       /* and is where the stepping begins */
    _Atomic int runs[ITEMS];
} state_t;

typedef struct {
    state_t *state;
    int item;
} item_t;

static apr_status_t run_item(const void *input, void *output) {
    const item_t *item = input;
    state_t *s = item->state;
    atomic_fetch_add(&s->runs[item->item], 1);
    if (item->item == 1) {
        atomic_store(&s->begun, 1);
        while (!atomic_load(&s->open)) usleep(100);
        if (atomic_exchange(&s->armed, 0)) {
            atomic_store(&s->place.ready, 1);
            while (!atomic_load(&s->place.go)) sched_yield();
            raise(SIGTRAP);
        }
    }
    *(int *)output = item->item + 1;
    return APR_SUCCESS;
}

static apr_status_t say_done(const void *input, void *output) {
    state_t *s = *(state_t *const *)input;
    (void)output;
    atomic_store(&s->place.done, 1);
    return APR_SUCCESS;
}

/* Its second item runs; `chunk` says whether the others are in the same worker's hands. */
static state_t *with_job(cohort_cancel_t how, apr_size_t chunk, bool armed) {
    static const cohort_pool_options_t one_worker = {
        .workers = 1, .method = COHORT_START_FORK, .name = "stepped"};
    state_t *s = step_new(sizeof *s);
    item_t items[ITEMS];
    s->how = how;
    atomic_store(&s->armed, armed);
    atomic_store(&s->open, armed);
    for (int i = 0; i < ITEMS; i++) items[i] = (item_t){s, i};
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&s->pool, &one_worker, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_submit(&s->job, s->pool,
                                                 &(cohort_job_t){.task = run_item,
                                                                 COHORT_INPUTS(items, ITEMS),
                                                                 .output_size = sizeof(int),
                                                                 .chunk = chunk},
                                                 NULL));
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_submit(&s->behind, s->pool,
                                    &(cohort_job_t){.task = say_done, COHORT_INPUTS(&s, 1)}, NULL));
    while (!atomic_load(&s->begun)) sched_yield();
    return s;
}

static void *soft(void) { return with_job(COHORT_CANCEL_SOFT, ITEMS, false); }
static void *soft_chunks(void) { return with_job(COHORT_CANCEL_SOFT, 2, false); }
static void *hard(void) { return with_job(COHORT_CANCEL_HARD, ITEMS, false); }
static void *hard_chunks(void) { return with_job(COHORT_CANCEL_HARD, 2, false); }
static void *armed(void) { return with_job(COHORT_CANCEL_SOFT, ITEMS, true); }
static void *armed_chunks(void) { return with_job(COHORT_CANCEL_SOFT, 2, true); }

static void discard(void *state) {
    state_t *s = state;
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(s->job));
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(s->behind));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(s->pool));
    CHECK_STATUS(APR_SUCCESS, cohort_free(s));
}

static void cancel_item(void *state) {
    state_t *s = state;
    (void)cohort_result_cancel_item(s->job, 4, s->how);
    (void)cohort_result_cancel_item(s->job, 1, s->how);
}

static void cancel(void *state) {
    state_t *s = state;
    (void)cohort_result_cancel(s->job, s->how);
}

/* Each item has an output or is in the errors, once, with one of these statuses. How many are. */
static int check_items(const state_t *s, apr_status_t other) {
    const int *out = cohort_result_outputs(s->job);
    cohort_task_error_t **errors;
    apr_size_t n, next = 0;
    CHECK_STATUS(APR_SUCCESS, cohort_result_errors(s->job, &errors, &n, test_pool()));
    for (int i = 0; i < ITEMS; i++) {
        bool failed = next < n && errors[next]->index == (apr_size_t)i;
        apr_status_t status = failed ? errors[next]->status : APR_SUCCESS;
        CHECK(!failed || status == COHORT_ECANCELLED || status == other);
        CHECK(failed || out[i] == i + 1);
        CHECK(atomic_load(&s->runs[i]) <= 1 && (failed || atomic_load(&s->runs[i]) == 1));
        next += failed;
    }
    CHECK_INT(n, next);
    return (int)n;
}

static void check_pool_works(state_t *s) {
    int in[5] = {0, 1, 2, 3, 4}, out[5] = {0};
    CHECK_STATUS(APR_SUCCESS, COHORT_MAP(s->pool, step_task, in, 5, out));
    for (int i = 0; i < 5; i++) CHECK_INT(i + 1, out[i]);
}

/* It was cancelled so far, or not at all: then nothing is charged. */
static void check_cancelled(void *state, bool finished) {
    state_t *s = state;
    atomic_store(&s->open, 1);
    apr_status_t status = cohort_result_get(s->job, NULL, 0, COHORT_FOREVER);
    int failed = check_items(s, COHORT_ECANCELLED);
    CHECK(status == APR_SUCCESS ? failed == 0 : status == COHORT_ECANCELLED);
    if (finished) CHECK_INT(ITEMS - 2 + (s->how == COHORT_CANCEL_HARD), failed);
    CHECK_STATUS(APR_SUCCESS, cohort_result_get(s->behind, NULL, 0, COHORT_FOREVER));
    check_pool_works(s);
}

/* The same for two single items, of which the second one to be cancelled runs. */
static void check_items_cancelled(void *state, bool finished) {
    state_t *s = state;
    atomic_store(&s->open, 1);
    apr_status_t status = cohort_result_get(s->job, NULL, 0, COHORT_FOREVER);
    int failed = check_items(s, COHORT_ECANCELLED);
    CHECK(status == APR_SUCCESS ? failed == 0 : status == COHORT_ECANCELLED);
    CHECK(failed <= 1 + (s->how == COHORT_CANCEL_HARD));
    if (finished) CHECK_INT(1 + (s->how == COHORT_CANCEL_HARD), failed);
    check_pool_works(s);
}

/* The worker, once it is in its item and the job is cancelled. */
static cohort_process_t *the_worker(void *state, step_place_t **place) {
    state_t *s = state;
    *place = &s->place;
    cohort_process_t *worker = step_worker(s->pool, *place);
    CHECK_STATUS(APR_SUCCESS, cohort_result_cancel(s->job, COHORT_CANCEL_SOFT));
    return worker;
}

/* Item 0 has its output; item 1 too, or its death; the rest is cancelled. Where the death comes in
 * the job behind, that one is charged. */
static void check_worker(void *state, bool finished) {
    state_t *s = state;
    apr_status_t status = cohort_result_get(s->job, NULL, 0, COHORT_FOREVER);
    int failed = check_items(s, COHORT_EWORKERDIED);
    (void)finished;
    CHECK(status == COHORT_ECANCELLED || status == COHORT_EWORKERDIED);
    CHECK_INT(ITEMS - 2 + (status == COHORT_EWORKERDIED), failed);
    status = cohort_result_get(s->behind, NULL, 0, COHORT_FOREVER);
    CHECK(status == APR_SUCCESS || (status == COHORT_EWORKERDIED && failed == ITEMS - 2));
    check_pool_works(s);
}

#define CASE(function, prepare_, operate_, victim_, check_)                           \
    STEP_CASES(function, .prepare = prepare_, .operate = operate_, .victim = victim_, \
               .check = check_, .discard = discard)

CASE(cancel_soft, soft, cancel, NULL, check_cancelled)
CASE(cancel_soft_chunks, soft_chunks, cancel, NULL, check_cancelled)
CASE(cancel_hard, hard, cancel, NULL, check_cancelled)
CASE(cancel_hard_chunks, hard_chunks, cancel, NULL, check_cancelled)
CASE(cancel_items_soft, soft, cancel_item, NULL, check_items_cancelled)
CASE(cancel_items_hard, hard, cancel_item, NULL, check_items_cancelled)
CASE(worker_of_a_cancelled_job, armed, NULL, the_worker, check_worker)
CASE(worker_of_cancelled_chunks, armed_chunks, NULL, the_worker, check_worker)

#define ENTRIES(function) \
    {"StepCancel", #function, function}, { "StepCancel", #function "_repair", function##_repair }
const test_case_t step_cancel_cases[] = {ENTRIES(cancel_soft),
                                         ENTRIES(cancel_soft_chunks),
                                         ENTRIES(cancel_hard),
                                         ENTRIES(cancel_hard_chunks),
                                         ENTRIES(cancel_items_soft),
                                         ENTRIES(cancel_items_hard),
                                         ENTRIES(worker_of_a_cancelled_job),
                                         ENTRIES(worker_of_cancelled_chunks),
                                         {0}};
