/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Death around the end of a result that another process follows, and around the questions of one
 * that does. The worker dies from the first item on to the one behind the last, before which the
 * result has ended: the iterator gives the result once, and the callback that was added is called
 * once. A process that dies while it follows a result or asks what the workers do leaves the result
 * and the pool as they are for all others.
 */
#include "step_pool.h"

#include "core/memory/arena.h"
#include "core/pool/pool.h"

#include <cohort/completed.h>
#include <string.h>

typedef struct {
    state_t pool; /* first: what step_pool.h works on */
    _Atomic int called, ended, open;
} followed_t;

/* Of the survivor, and made anew for each try. */
static cohort_completed_t *following;

static void count_call(cohort_result_t *result, void *arg) {
    followed_t *f = arg;
    if (cohort_result_is_ready(result)) atomic_fetch_add(&f->ended, 1);
    atomic_fetch_add(&f->called, 1);
}

/* Fails once, where items are run again. */
static apr_status_t fail_once(const void *input, void *output) {
    const item_t *item = input;
    apr_status_t status = run_item(input, output);
    return item->item == 1 && atomic_load(&item->state->runs[1]) == 1 ? APR_EBUSY : status;
}

static followed_t *with_pool(int armed) {
    static const cohort_pool_options_t one_worker = {
        .workers = 1, .method = COHORT_START_FORK, .name = "stepped"};
    followed_t *f = step_new(sizeof *f);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&f->pool.pool, &one_worker, NULL));
    atomic_store(&f->pool.armed, armed);
    return f;
}

/* Of so many items, from this one on. */
static cohort_result_t *submit(followed_t *f, cohort_job_t job, int from, int count) {
    item_t items[ITEMS];
    cohort_result_t *result = NULL;
    for (int i = 0; i < count; i++) items[i] = (item_t){&f->pool, from + i};
    job.inputs = items;
    job.input_size = sizeof *items;
    job.n = (apr_size_t)count;
    job.output_size = sizeof(int);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_submit(&result, f->pool.pool, &job, NULL));
    return result;
}

/* The stepping ends in the job behind it. */
static void *followed(void) {
    const cohort_job_t job = {.task = run_item, .chunk = ITEMS};
    followed_t *f = with_pool(1);
    f->pool.job = submit(f, job, 0, ITEMS - 1);
    f->pool.before = submit(f, job, ITEMS - 1, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_completed_create(&following, &f->pool.job, 1, test_pool()));
    CHECK_STATUS(APR_SUCCESS, cohort_result_add_callback(f->pool.job, count_call, f));
    return f;
}

static void check_callback(followed_t *f) {
    while (!atomic_load(&f->called)) sched_yield();
    CHECK_INT(1, atomic_load(&f->called));
    CHECK_INT(1, atomic_load(&f->ended));
}

/* The iterator may be told before the worker that ended the result is dead. */
static void check_followed(void *state, bool finished) {
    followed_t *f = state;
    cohort_result_t *result = NULL;
    apr_size_t index = 7;
    (void)finished;
    CHECK_STATUS(APR_SUCCESS, cohort_completed_next(following, &result, &index, COHORT_FOREVER));
    CHECK(result == f->pool.job && index == 0 && cohort_result_is_ready(result));
    CHECK_STATUS(APR_EOF, cohort_completed_next(following, &result, &index, COHORT_FOREVER));
    check_callback(f);
    int charged = check_items(&f->pool, f->pool.job, 0, ITEMS - 1);
    CHECK(charged + check_items(&f->pool, f->pool.before, ITEMS - 1, 1) <= 1);
    check_pool_works(&f->pool);
}

STEP_CASES(ends_what_is_followed, .prepare = followed, .victim = the_worker,
           .check = check_followed, .discard = discard)

/* ---- the process that asks ------------------------------------------------------------------ */

static void *unarmed(void) {
    followed_t *f = with_pool(0);
    f->pool.job = submit(f, (cohort_job_t){.task = run_item, .chunk = 1}, 0, ITEMS);
    CHECK_STATUS(APR_SUCCESS, cohort_result_wait(f->pool.job, COHORT_FOREVER));
    return f;
}

static void follow(void *state) {
    followed_t *f = state;
    cohort_completed_t *completed;
    cohort_result_t *result;
    apr_size_t index;
    if (cohort_completed_create(&completed, &f->pool.job, 1, test_pool())) return;
    (void)!cohort_completed_next(completed, &result, &index, 0);
}

static void ask(void *state) {
    followed_t *f = state;
    cohort_activity_t **list;
    apr_size_t n;
    (void)!cohort_pool_activity(f->pool.pool, &list, &n, test_pool());
}

/* The result is there for others, and the pool answers and works. */
static void check_others(void *state, bool finished) {
    followed_t *f = state;
    cohort_completed_t *completed;
    cohort_result_t *result = NULL;
    cohort_activity_t **list;
    apr_size_t index, n = 0;
    (void)finished;
    CHECK_STATUS(APR_SUCCESS, cohort_completed_create(&completed, &f->pool.job, 1, test_pool()));
    CHECK_STATUS(APR_SUCCESS, cohort_completed_next(completed, &result, &index, COHORT_FOREVER));
    CHECK(result == f->pool.job);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_activity(f->pool.pool, &list, &n, test_pool()));
    CHECK_INT(1, n);
    CHECK_INT(0, check_items(&f->pool, f->pool.job, 0, ITEMS));
    check_pool_works(&f->pool);
}

STEP_CASES(follows, .prepare = unarmed, .operate = follow, .check = check_others,
           .discard = discard)
STEP_CASES(asks_what_workers_do, .prepare = unarmed, .operate = ask, .check = check_others,
           .discard = discard)

/* ---- a result that has no number ------------------------------------------------------------ */

static apr_status_t wait_until_open(const void *input, void *output) {
    const item_t *item = input;
    while (!atomic_load(&((followed_t *)item->state)->open)) sched_yield();
    return run_item(input, output);
}

/* As one that died between the end of the result and its number leaves it; and the log is empty, as
 * for an iterator that is behind. */
static void *not_numbered(void) {
    followed_t *f = with_pool(0);
    f->pool.job = submit(f, (cohort_job_t){.task = wait_until_open, .chunk = 1}, 0, ITEMS);
    CHECK_STATUS(APR_SUCCESS, cohort_completed_create(&following, &f->pool.job, 1, test_pool()));
    atomic_store(&f->open, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_result_wait(f->pool.job, COHORT_FOREVER));
    while (atomic_load(&f->pool.job->followed) == 1) sched_yield();
    atomic_store(&f->pool.job->followed, 1);
    memset(cohort__arena->ended, 0, sizeof cohort__arena->ended);
    return f;
}

/* Of the victim, which is a copy, the iterator is the same. */
static void find_it(void *state) {
    followed_t *f = state;
    cohort_result_t *result;
    apr_size_t index;
    atomic_store(&f->ended, 1 + cohort_completed_next(following, &result, &index, 0));
}

static void check_found(void *state, bool finished) {
    followed_t *f = state;
    cohort_result_t *result = NULL;
    apr_size_t index = 7;
    if (finished) CHECK_INT(1 + APR_SUCCESS, f->ended);
    CHECK_STATUS(APR_SUCCESS, cohort_completed_next(following, &result, &index, COHORT_FOREVER));
    CHECK(result == f->pool.job && index == 0);
    CHECK_STATUS(APR_EOF, cohort_completed_next(following, &result, &index, COHORT_FOREVER));
    check_others(state, finished);
}

STEP_CASES(finds_what_has_no_number, .prepare = not_numbered, .operate = find_it,
           .check = check_found, .discard = discard)

/* ---- items that are run again --------------------------------------------------------------- */

static void *again(void) {
    const cohort_job_t job = {
        .task = fail_once, .chunk = ITEMS, .attempts = 3, .retry_on = {APR_EBUSY}};
    followed_t *f = with_pool(1);
    f->pool.job = submit(f, job, 0, ITEMS);
    return f;
}

/* A death and a status are two attempts at most of the item that had both. */
static void check_again(void *state, bool finished) {
    followed_t *f = state;
    int out[ITEMS] = {0};
    (void)finished;
    CHECK_STATUS(APR_SUCCESS, cohort_result_get(f->pool.job, out, sizeof out, COHORT_FOREVER));
    for (int i = 0; i < ITEMS; i++) {
        int runs = atomic_load(&f->pool.runs[i]);
        CHECK_INT(i + 1, out[i]);
        CHECK(runs >= 1 + (i == 1) && runs <= 2 + (i == 1));
    }
    check_pool_works(&f->pool);
}

STEP_CASES(runs_again, .prepare = again, .victim = the_worker, .check = check_again,
           .discard = discard)

#define ENTRY(function) \
    { "StepCompleted", #function, function }
const test_case_t step_completed_cases[] = {ENTRY(ends_what_is_followed),
                                            ENTRY(ends_what_is_followed_repair),
                                            ENTRY(follows),
                                            ENTRY(follows_repair),
                                            ENTRY(asks_what_workers_do),
                                            ENTRY(asks_what_workers_do_repair),
                                            ENTRY(finds_what_has_no_number),
                                            ENTRY(finds_what_has_no_number_repair),
                                            ENTRY(runs_again),
                                            ENTRY(runs_again_repair),
                                            {0}};
