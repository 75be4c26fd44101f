/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Death around outputs with a size each: a worker that makes one, a caller that all are handed to,
 * one that takes one, one that destroys them, a submitter. Whatever is killed where, each output is
 * got once or freed, and what a dead worker had made is freed before its item is run again.
 */
#include "check.h"
#include "step.h"

#include <cohort/cohort.h>
#include <sched.h>
#include <signal.h>

enum { ITEMS = 3, LARGE = 200000 };

typedef struct {
    cohort_pool_t *pool;
    cohort_result_t *job;
    step_place_t place;
    _Atomic int armed; /* the first item is to be stopped in */
    _Atomic int runs[ITEMS];
    cohort_bytes_t out[ITEMS]; /* the victim's */
} state_t;

typedef struct {
    state_t *state;
    int item;
} item_t;

static const cohort_pool_options_t one_worker = {
    .workers = 1, .method = COHORT_START_FORK, .name = "stepped"};

static void *a_pool(void) {
    state_t *s = step_new(sizeof *s);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&s->pool, &one_worker, NULL));
    return s;
}

static void discard(void *state) {
    state_t *s = state;
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(s->job));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(s->pool));
    CHECK_STATUS(APR_SUCCESS, cohort_free(s));
}

static apr_size_t size_of(int item) { return (apr_size_t)item * 5000 + 10; }

static void check_output(const cohort_bytes_t *output, int item) {
    CHECK_INT(size_of(item), output->size);
    CHECK_INT(item, ((const char *)output->data)[0]);
    CHECK_INT(item, ((const char *)output->data)[output->size - 1]);
    CHECK_STATUS(APR_SUCCESS, cohort_free(output->data));
}

static bool is_none(const cohort_bytes_t *output) { return !output->data && !output->size; }

/* ---- a worker ------------------------------------------------------------------------------- */

/* The output is made, larger, small again, and of the size that it has in the end. */
static apr_status_t make(const void *input, void *output) {
    const item_t *item = input;
    const apr_size_t sizes[] = {100, LARGE, 1000, size_of(item->item)};
    state_t *s = item->state;
    char *data = NULL;
    (void)output;
    atomic_fetch_add(&s->runs[item->item], 1);
    if (item->item == 0 && atomic_exchange(&s->armed, 0)) {
        atomic_store(&s->place.ready, 1);
        while (!atomic_load(&s->place.go)) sched_yield();
        raise(SIGTRAP);
    }
    for (int i = 0; i < 4; i++) {
        data = cohort_task_output(sizes[i]);
        if (!data || (i > 0 && *data != item->item)) return APR_ENOMEM;
        data[0] = data[sizes[i] - 1] = (char)item->item;
    }
    if (item->item == ITEMS - 1) atomic_store(&s->place.done, 1);
    return APR_SUCCESS;
}

static state_t *with_job(int armed, apr_size_t attempts) {
    state_t *s = a_pool();
    item_t items[ITEMS];
    for (int i = 0; i < ITEMS; i++) items[i] = (item_t){s, i};
    atomic_store(&s->armed, armed);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_submit(&s->job, s->pool,
                                                 &(cohort_job_t){.task = make,
                                                                 COHORT_INPUTS(items, ITEMS),
                                                                 .output_size = COHORT_BYTES,
                                                                 .attempts = attempts},
                                                 NULL));
    return s;
}

static void *a_job(void) { return with_job(1, 1); }
static void *a_repeated_job(void) { return with_job(1, 2); }

static cohort_process_t *the_worker(void *state, step_place_t **place) {
    state_t *s = state;
    *place = &s->place;
    return step_worker(s->pool, *place);
}

/* The item that is charged with the death has no output, all others have theirs. A worker that has
 * noted that it begins with an item may die before it does. */
static void check_charged(void *state, bool finished) {
    state_t *s = state;
    cohort_bytes_t out[ITEMS];
    cohort_task_error_t error;
    apr_status_t status = cohort_result_get(s->job, out, sizeof out, COHORT_FOREVER);
    CHECK(status == APR_SUCCESS || (status == COHORT_EWORKERDIED));
    (void)finished;
    CHECK_STATUS(APR_SUCCESS, cohort_result_error(s->job, &error));
    CHECK_STATUS(status, error.status);
    for (int i = 0; i < ITEMS; i++) {
        bool charged = status && error.index == (apr_size_t)i;
        CHECK(atomic_load(&s->runs[i]) == 1 || (charged && atomic_load(&s->runs[i]) == 0));
        if (charged) CHECK(is_none(&out[i]));
        else check_output(&out[i], i);
    }
}

/* It is run again, and has one output like the others. */
static void check_repeated(void *state, bool finished) {
    state_t *s = state;
    cohort_bytes_t out[ITEMS];
    int runs = 0;
    (void)finished;
    CHECK_STATUS(APR_SUCCESS, cohort_result_get(s->job, out, sizeof out, COHORT_FOREVER));
    for (int i = 0; i < ITEMS; i++) {
        check_output(&out[i], i);
        runs += atomic_load(&s->runs[i]);
    }
    CHECK(runs == ITEMS || runs == ITEMS + 1);
}

/* ---- those that get the outputs ------------------------------------------------------------- */

static void *a_done_job(void) {
    state_t *s = with_job(0, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_result_wait(s->job, COHORT_FOREVER));
    return s;
}

static void get_all(void *state) {
    state_t *s = state;
    (void)!cohort_result_get(s->job, s->out, sizeof s->out, 0);
}

/* All are still there, or all are the victim's. */
static void check_all(void *state, bool finished) {
    state_t *s = state;
    cohort_bytes_t left[ITEMS];
    CHECK_STATUS(APR_SUCCESS, cohort_result_get(s->job, left, sizeof left, 0));
    bool given = is_none(&left[0]);
    CHECK(given || !finished);
    for (int i = 0; i < ITEMS; i++) {
        if (given) CHECK(is_none(&left[i]));
        check_output(given ? &s->out[i] : &left[i], i);
    }
}

static void take_one(void *state) {
    state_t *s = state;
    (void)!cohort_result_take(s->job, 1, &s->out[1].data, &s->out[1].size);
}

/* It is still there, or the victim's, or freed with it. */
static void check_one(void *state, bool finished) {
    state_t *s = state;
    cohort_bytes_t left = {0};
    apr_status_t status = cohort_result_take(s->job, 1, &left.data, &left.size);
    CHECK(status == COHORT_ENOTOWNER || (!status && !finished));
    if (!status) check_output(&left, 1);
    else if (finished) check_output(&s->out[1], 1);
    else CHECK(cohort_free(s->out[1].data) == APR_SUCCESS || s->out[1].data);
}

static void destroy_all(void *state) { (void)cohort_result_destroy(((state_t *)state)->job); }

static void check_destroyed(void *state, bool finished) {
    state_t *s = state;
    if (finished) CHECK_STATUS(COHORT_EHANDLE, cohort_result_wait(s->job, 0));
}

/* ---- a submitter ---------------------------------------------------------------------------- */

static apr_status_t double_it(const void *input, void *output) {
    apr_size_t size = cohort_task_input_size();
    char *data = cohort_task_output(2 * size);
    (void)output;
    if (!data) return APR_ENOMEM;
    for (int i = 0; i < 2; i++) memcpy(data + i * size, input, size);
    return APR_SUCCESS;
}

/* Its inputs are copied, and its outputs dropped. */
static void submit(void *state) {
    static char large[5000];
    const char *words[] = {"some", "words", large};
    memset(large, 'x', sizeof large - 1);
    (void)!cohort_pool_run(((state_t *)state)->pool, &(cohort_job_t){.task = double_it,
                                                                     COHORT_INPUT_STRINGS(words, 3),
                                                                     .output_size = COHORT_BYTES});
}

static void check_pool(void *state, bool finished) {
    int in = 1, out = 0;
    (void)finished;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_apply(((state_t *)state)->pool, step_task, &in, sizeof in,
                                                &out, sizeof out));
    CHECK_INT(2, out);
}

#define CASE(function, prepare_, operate_, victim_, check_)                           \
    STEP_CASES(function, .prepare = prepare_, .operate = operate_, .victim = victim_, \
               .check = check_, .discard = discard)

CASE(worker_makes, a_job, NULL, the_worker, check_charged)
CASE(worker_makes_again, a_repeated_job, NULL, the_worker, check_repeated)
CASE(all_handed_over, a_done_job, get_all, NULL, check_all)
CASE(one_taken, a_done_job, take_one, NULL, check_one)
CASE(all_destroyed, a_done_job, destroy_all, NULL, check_destroyed)
CASE(run_and_dropped, a_pool, submit, NULL, check_pool)

#define ENTRIES(function) \
    {"StepBytes", #function, function}, { "StepBytes", #function "_repair", function##_repair }
const test_case_t step_bytes_cases[] = {ENTRIES(worker_makes),
                                        ENTRIES(worker_makes_again),
                                        ENTRIES(all_handed_over),
                                        ENTRIES(one_taken),
                                        ENTRIES(all_destroyed),
                                        ENTRIES(run_and_dropped),
                                        {0}};
