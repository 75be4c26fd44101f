/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Death in a region: its own memory goes with the victim, that of a task with the worker, and one
 * that is another process' is whole for that. One that is made for a process which is destroyed
 * meanwhile goes with that. */
#include "check.h"
#include "step.h"

#include <cohort/cohort.h>
#include <sched.h>
#include <signal.h>

static void *a_region(void) {
    cohort_region_options_t options = {.chunk = 4096, .owner = cohort_process_current()};
    cohort_region_t *region = NULL;
    void *block;
    CHECK_STATUS(APR_SUCCESS, cohort_region_create(&region, &options, NULL));
    for (int i = 0; i < 3; i++)
        CHECK_STATUS(APR_SUCCESS, cohort_region_alloc(&block, region, 3000));
    return region;
}

static void use(void *region) {
    void *block;
    for (int i = 0; i < 2; i++) (void)!cohort_region_alloc(&block, region, 3000);
    (void)cohort_region_clear(region);
}

static void check_use(void *region, bool finished) {
    void *block;
    (void)finished;
    CHECK_STATUS(APR_SUCCESS, cohort_region_alloc(&block, region, 3000));
    memset(block, 1, 3000);
    CHECK_STATUS(APR_SUCCESS, cohort_region_clear(region));
}

static void discard(void *region) { CHECK_STATUS(APR_SUCCESS, cohort_region_destroy(region)); }

STEP_CASES(use_a_region, .prepare = a_region, .operate = use, .check = check_use,
           .discard = discard)

static void destroy(void *region) { (void)cohort_region_destroy(region); }

static void check_destroyed(void *region, bool finished) {
    void *block;
    if (finished) CHECK_STATUS(COHORT_EHANDLE, cohort_region_alloc(&block, region, 1));
}

STEP_CASES(destroy_a_region, .prepare = a_region, .operate = destroy, .check = check_destroyed,
           .discard = discard)

static void *nothing(void) { return NULL; }

static void make_and_leave(void *state) {
    (void)state;
    use(a_region());
}

static void check_nothing(void *state, bool finished) { (void)state, (void)finished; }

static void discard_nothing(void *state) { (void)state; }

STEP_CASES(leave_a_region, .prepare = nothing, .operate = make_and_leave, .check = check_nothing,
           .discard = discard_nothing)

/* ---- for a process that is destroyed at the same time ---------------------------------------- */

typedef struct {
    cohort_process_t *owner; /* NULL: destroyed */
} made_for_t;

static int be_nothing(void *args) {
    (void)args;
    return 0;
}

static void *a_process(void) {
    made_for_t *s = step_new(sizeof *s);
    CHECK_STATUS(APR_SUCCESS, cohort_process_create(
                                  &s->owner, be_nothing, NULL, 0,
                                  &(cohort_process_options_t){.method = COHORT_START_FORK}, NULL));
    return s;
}

static void make_for(void *state) {
    cohort_region_t *region;
    const cohort_region_options_t options = {.owner = ((made_for_t *)state)->owner};
    if (options.owner) (void)!cohort_region_create(&region, &options, NULL);
}

static void destroy_owner(void *state) {
    made_for_t *s = state;
    cohort_process_t *owner = s->owner;
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(owner));
    s->owner = NULL;
}

/* And the region with it, or the framework finds it. */
static void destroy_the_rest(void *state, bool finished) {
    (void)finished;
    if (((made_for_t *)state)->owner) destroy_owner(state);
}

static void discard_made_for(void *state) { CHECK_STATUS(APR_SUCCESS, cohort_free(state)); }

STEP_CASES(make_for_another, .prepare = a_process, .operate = make_for, .check = destroy_the_rest,
           .discard = discard_made_for)

static void make_beside_the_end(void) {
    step_beside("make_beside_the_end", &make_for_another_scenario, destroy_owner);
}

/* ---- of a task ------------------------------------------------------------------------------ */

enum { ITEMS = 3 };

typedef struct {
    cohort_pool_t *pool;
    cohort_result_t *job;
    step_place_t place;
    _Atomic int armed; /* the first item is to be stopped in */
    _Atomic int runs[ITEMS];
} state_t;

typedef struct {
    state_t *state;
    int item;
} item_t;

/* The first two items have one, and the second fails. */
static apr_status_t use_own(const void *input, void *output) {
    const item_t *item = input;
    state_t *s = item->state;
    cohort_region_t *region;
    void *block;
    (void)output;
    atomic_fetch_add(&s->runs[item->item], 1);
    if (item->item == 0 && atomic_exchange(&s->armed, 0)) {
        atomic_store(&s->place.ready, 1);
        while (!atomic_load(&s->place.go)) sched_yield();
        raise(SIGTRAP);
    }
    if (item->item == ITEMS - 1) {
        atomic_store(&s->place.done, 1);
        return APR_SUCCESS;
    }
    apr_status_t status = cohort_task_region(&region);
    for (int i = 0; i <= item->item && !status; i++)
        status = cohort_region_alloc(&block, region, 40000);
    return status ? status : item->item == 1 ? APR_EBUSY : APR_SUCCESS;
}

static void *a_job(void) {
    static const cohort_pool_options_t one_worker = {
        .workers = 1, .method = COHORT_START_FORK, .name = "stepped"};
    state_t *s = step_new(sizeof *s);
    item_t items[ITEMS];
    for (int i = 0; i < ITEMS; i++) items[i] = (item_t){s, i};
    atomic_store(&s->armed, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&s->pool, &one_worker, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_submit(&s->job, s->pool,
                                                 &(cohort_job_t){.task = use_own,
                                                                 COHORT_INPUTS(items, ITEMS),
                                                                 .chunk = ITEMS,
                                                                 .attempts = 2},
                                                 NULL));
    return s;
}

static cohort_process_t *the_worker(void *state, step_place_t **place) {
    state_t *s = state;
    cohort_process_t **list;
    apr_size_t n = 0;
    *place = &s->place;
    while (!atomic_load(&s->place.ready)) sched_yield();
    CHECK_STATUS(APR_SUCCESS, cohort_pool_workers(s->pool, &list, &n, test_pool()));
    CHECK_INT(1, n);
    return list[0];
}

/* One item may have been run twice. */
static void check_job(void *state, bool finished) {
    state_t *s = state;
    int runs = 0;
    (void)finished;
    CHECK_STATUS(APR_EBUSY, cohort_result_get(s->job, NULL, 0, COHORT_FOREVER));
    for (int i = 0; i < ITEMS; i++) runs += atomic_load(&s->runs[i]);
    CHECK(runs == ITEMS || runs == ITEMS + 1);
}

static void discard_job(void *state) {
    state_t *s = state;
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(s->job));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(s->pool));
    CHECK_STATUS(APR_SUCCESS, cohort_free(s));
}

STEP_CASES(region_of_a_task, .prepare = a_job, .victim = the_worker, .check = check_job,
           .discard = discard_job)

const test_case_t step_region_cases[] = {
    {"Step", "use_a_region", use_a_region},
    {"Step", "use_a_region_repair", use_a_region_repair},
    {"Step", "destroy_a_region", destroy_a_region},
    {"Step", "destroy_a_region_repair", destroy_a_region_repair},
    {"Step", "leave_a_region", leave_a_region},
    {"Step", "leave_a_region_repair", leave_a_region_repair},
    {"Step", "make_for_another", make_for_another},
    {"Step", "make_for_another_repair", make_for_another_repair},
    {"Step", "make_beside_the_end", make_beside_the_end},
    {"Step", "region_of_a_task", region_of_a_task},
    {"Step", "region_of_a_task_repair", region_of_a_task_repair},
    {0}};
