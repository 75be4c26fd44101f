/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Death in a region: its own memory goes with the victim, and one that is another process' is whole
 * for that. One that is made for a process which is destroyed meanwhile goes with that. */
#include "check.h"
#include "step.h"

#include <cohort/cohort.h>

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
    {0}};
