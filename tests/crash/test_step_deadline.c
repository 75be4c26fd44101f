/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Death around what is late. The process that has submitted keeps the times, by its watcher: it
 * dies while that finds an item over its time, a job, or one that has waited for too long, marks
 * it and ends its worker. The worker of a late item dies while it ends, as it was told to, or by
 * its verdict, which a keeper that died itself has left to it. What is late is late for all, once;
 * every other item has its output, and the pool goes on.
 *
 * task_timeout and its grace take the way of an item, timeout that of a job; a job that is told
 * first goes through both levels. retry_delay is with test_step_delay.c.
 */
#include "step_pool.h"

#include "core/memory/arena.h"
#include "core/pool/backend_local.h"
#include "core/pool/pool_result.h"

#include <apr_time.h>
#include <stdio.h>
#include <string.h>

enum { LATE = 40000, NEVER_LATE = 3600000 }; /* microseconds, milliseconds */

/* ---- the keeper ----------------------------------------------------------------------------- */

/* The first item ends with its worker alone. */
static apr_status_t outlast(const void *input, void *output) {
    const item_t *item = input;
    atomic_fetch_add(&item->state->runs[item->item], 1);
    while (item->item == 0) usleep(1000);
    *(int *)output = item->item + 1;
    return APR_SUCCESS;
}

static void submit(state_t *s, cohort_job_t job) {
    item_t items[ITEMS];
    for (int i = 0; i < ITEMS; i++) items[i] = (item_t){s, i};
    job.inputs = items;
    job.input_size = sizeof *items;
    job.n = ITEMS;
    job.output_size = sizeof(int);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_submit(&s->job, s->pool, &job, NULL));
}

static state_t *with_pool(void) {
    static const cohort_pool_options_t one_worker = {
        .workers = 1, .method = COHORT_START_FORK, .name = "stepped"};
    state_t *s = new_state();
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&s->pool, &one_worker, NULL));
    return s;
}

static void *idle(void) { return with_pool(); }

static bool is_over(void *state) { return cohort__job_is_over(((state_t *)state)->job); }

static pid_t late_worker;

static void submit_late_item(void *state) {
    state_t *s = state;
    submit(s, (cohort_job_t){.task = outlast, .chunk = ITEMS, .task_timeout = LATE});
    while (!atomic_load(&s->runs[0])) sched_yield();
    cohort__pid_t id = atomic_load(&cohort__pool_worker(s->pool, 0)->process);
    late_worker = (pid_t)cohort__process_find(id)->os.pid;
}

/* As the system says; the survivor comes to the pool only when the watcher lets it. */
static bool is_ended(void *state) {
    char path[64], line[200];
    (void)state;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)late_worker);
    FILE *file = fopen(path, "r");
    const char *end = file && fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL;
    if (file) fclose(file);
    return !end || strchr("ZX", end[2]);
}

static void submit_late_job(void *state) {
    submit(state,
           (cohort_job_t){.task = outlast, .chunk = 1, .timeout = LATE, .task_grace = LATE / 2});
}

/* Of each item: its status, and whether it has its output. How many were late. */
static int check_late(state_t *s) {
    const int *out = cohort_result_outputs(s->job);
    int late = 0;
    for (apr_size_t i = 0; i < ITEMS; i++) {
        cohort_item_t item = {0};
        CHECK_STATUS(APR_SUCCESS, cohort_result_item(s->job, i, &item));
        CHECK(item.status == APR_SUCCESS || item.status == COHORT_EDEADLINE);
        CHECK(item.status || out[i] == (int)i + 1);
        int runs = atomic_load(&s->runs[i]);
        CHECK(item.status ? runs <= 1 : runs == 1);
        late += item.status != APR_SUCCESS;
    }
    return late;
}

static void check_ended(void *state, bool finished) {
    state_t *s = state;
    cohort_item_t item;
    (void)finished;
    CHECK_STATUS(COHORT_EDEADLINE, cohort_result_get(s->job, NULL, 0, COHORT_FOREVER));
    CHECK(check_late(s) >= 1);
    CHECK_STATUS(APR_SUCCESS, cohort_result_item(s->job, 0, &item));
    CHECK_STATUS(COHORT_EDEADLINE, item.status);
    check_pool_works(s);
}

STEP_CASES(item_is_late, .prepare = idle, .operate = submit_late_item, .over = is_ended,
           .check = check_ended, .discard = discard)
STEP_CASES(job_is_late, .prepare = idle, .operate = submit_late_job, .over = is_over,
           .check = check_ended, .discard = discard)

/* The only worker has something else to do for as long. */
static apr_status_t occupy(const void *input, void *output) {
    state_t *s = *(state_t *const *)input;
    (void)output;
    while (!atomic_load(&s->place.go)) usleep(200);
    return APR_SUCCESS;
}

static void *occupied(void) {
    state_t *s = with_pool();
    cohort_job_t job = {.task = occupy, COHORT_INPUTS(&s, 1)};
    CHECK_STATUS(APR_SUCCESS, cohort_pool_submit(&s->before, s->pool, &job, NULL));
    return s;
}

static void submit_in_vain(void *state) {
    submit(state, (cohort_job_t){.task = outlast, .chunk = 1, .queue_timeout = LATE});
}

static void check_in_vain(void *state, bool finished) {
    state_t *s = state;
    (void)finished;
    CHECK_STATUS(COHORT_EDEADLINE, cohort_result_get(s->job, NULL, 0, COHORT_FOREVER));
    atomic_store(&s->place.go, 1);
    CHECK_INT(ITEMS, check_late(s));
    CHECK_STATUS(APR_SUCCESS, cohort_result_wait(s->before, COHORT_FOREVER));
    for (int i = 0; i < ITEMS; i++) CHECK_INT(0, atomic_load(&s->runs[i]));
    check_pool_works(s);
}

STEP_CASES(job_waits_too_long, .prepare = occupied, .operate = submit_in_vain, .over = is_over,
           .check = check_in_vain, .discard = discard)

/* ---- the late worker ------------------------------------------------------------------------ */

/* It ends the item as it was told to. */
static apr_status_t heed(const void *input, void *output) {
    const item_t *item = input;
    apr_status_t told = APR_SUCCESS;
    while (item->item == 0 && (told = cohort_task_should_stop()) == APR_SUCCESS) usleep(100);
    apr_status_t status = run_item(input, output);
    return told ? told : status;
}

static void *told(void) {
    state_t *s = with_pool();
    atomic_store(&s->armed, 1);
    submit(s, (cohort_job_t){.task = heed,
                             .chunk = ITEMS,
                             .task_timeout = 1000,
                             .task_grace = apr_time_from_msec(NEVER_LATE)});
    return s;
}

/* One item at most is charged with a death, and what was told says so if it came so far. */
static void check_told(void *state, bool finished) {
    state_t *s = state;
    apr_status_t status = cohort_result_get(s->job, NULL, 0, COHORT_FOREVER);
    const int *out = cohort_result_outputs(s->job);
    int charged = 0;
    CHECK(status == COHORT_EDEADLINE || (!finished && status == COHORT_EWORKERDIED));
    for (apr_size_t i = 0; i < ITEMS; i++) {
        cohort_item_t item;
        CHECK_STATUS(APR_SUCCESS, cohort_result_item(s->job, i, &item));
        charged += item.status == COHORT_EWORKERDIED;
        if (i == 0) CHECK(item.status == COHORT_EDEADLINE || item.status == COHORT_EWORKERDIED);
        else if (item.status) CHECK_STATUS(COHORT_EWORKERDIED, item.status);
        else CHECK_INT(i + 1, out[i]);
        CHECK(atomic_load(&s->runs[i]) == 1 || (item.status && !atomic_load(&s->runs[i])));
    }
    CHECK(charged <= 1);
    check_pool_works(s);
}

STEP_CASES(worker_is_told, .prepare = told, .victim = the_worker, .check = check_told,
           .discard = discard)

static void *condemned(void) {
    state_t *s = with_pool();
    atomic_store(&s->armed, 1);
    submit(s, (cohort_job_t){.task = run_item,
                             .chunk = ITEMS,
                             .task_timeout = apr_time_from_msec(NEVER_LATE)});
    return s;
}

static void condemn(state_t *s) {
    cohort__condemned_t list = {.count = 0};
    cohort__worker_condemn(s->pool, 0, s->job, 0, COHORT__WHY_DEADLINE, &list);
    s->slow = list.count != 1;
}

static void enter(state_t *s) {
    cohort__thread_t *me;
    CHECK_STATUS(APR_SUCCESS, cohort__enter(&me));
    cohort__pool_enter(s->pool, me);
}

/* As it is when a keeper dies before it has sent the signal. */
static cohort_process_t *worker_with_verdict(void *state, step_place_t **place) {
    state_t *s = state;
    cohort_process_t *worker = the_worker(state, place);
    enter(s);
    condemn(s);
    cohort__pool_leave(s->pool);
    CHECK_INT(0, s->slow);
    return worker;
}

/* The item has ended, or its worker over it; and no other one is charged. */
static void check_condemned(void *state, bool finished) {
    state_t *s = state;
    apr_status_t status = cohort_result_get(s->job, NULL, 0, COHORT_FOREVER);
    (void)finished;
    CHECK(status == APR_SUCCESS || status == COHORT_EDEADLINE);
    CHECK_INT(status != APR_SUCCESS, check_late(s));
    for (int i = 0; i < ITEMS; i++) CHECK_INT(1, atomic_load(&s->runs[i]));
    check_pool_works(s);
}

STEP_CASES(worker_has_a_verdict, .prepare = condemned, .victim = worker_with_verdict,
           .check = check_condemned, .discard = discard)

/* A keeper comes to one that the signal has reached before, and the death of which no process has
 * seen yet. */
static void *condemned_before(void) {
    state_t *s = with_pool();
    submit(s, (cohort_job_t){
                  .task = outlast, .chunk = ITEMS, .task_timeout = apr_time_from_msec(NEVER_LATE)});
    while (!atomic_load(&s->runs[0])) sched_yield();
    enter(s);
    condemn(s);
    cohort__pool_leave(s->pool);
    return s;
}

static void enter_first(void *state) { enter(state); }
static void condemn_again(void *state) { condemn(state); }

static void check_condemned_again(void *state, bool finished) {
    state_t *s = state;
    cohort_process_t **list;
    apr_size_t n = 0;
    CHECK_INT(0, s->slow);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_workers(s->pool, &list, &n, test_pool()));
    CHECK_INT(1, n);
    CHECK_STATUS(APR_SUCCESS, cohort_process_kill(list[0]));
    check_ended(s, finished);
}

STEP_CASES(worker_is_condemned_again, .prepare = condemned_before, .warm = enter_first,
           .operate = condemn_again, .check = check_condemned_again, .discard = discard)

/* As it is when that item was over before the verdict on it was there, and its keeper died. */
static void *condemned_too_late(void) {
    state_t *s = condemned_before();
    atomic_store(&cohort__pool_worker(s->pool, 0)->condemned, ITEMS - 1);
    return s;
}

/* Only a verdict that was finished is one on the item that runs. */
static void check_condemned_instead(void *state, bool finished) {
    state_t *s = state;
    if (finished) check_condemned_again(state, true);
    else CHECK_STATUS(APR_SUCCESS, cohort_result_cancel(s->job, COHORT_CANCEL_HARD));
}

STEP_CASES(worker_is_condemned_instead, .prepare = condemned_too_late, .warm = enter_first,
           .operate = condemn_again, .check = check_condemned_instead, .discard = discard)

#define ENTRIES(function)                                      \
    {"StepDeadline", #function, function}, {                   \
        "StepDeadline", #function "_repair", function##_repair \
    }
const test_case_t step_deadline_cases[] = {ENTRIES(item_is_late),
                                           ENTRIES(job_is_late),
                                           ENTRIES(job_waits_too_long),
                                           ENTRIES(worker_is_told),
                                           ENTRIES(worker_has_a_verdict),
                                           ENTRIES(worker_is_condemned_again),
                                           ENTRIES(worker_is_condemned_instead),
                                           {0}};
