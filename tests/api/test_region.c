/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Regions: memory that is freed as a whole, and goes with the process that it belongs to. */
#include "processes.h"

#define CHILDREN 5

static cohort_region_t *new_region(const cohort_region_options_t *options) {
    cohort_region_t *region = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_region_create(&region, options, NULL));
    return region;
}

static void *take(cohort_region_t *region, apr_size_t size) {
    void *block = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_region_alloc(&block, region, size));
    CHECK(cohort_is_shared(block, size));
    CHECK_INT(0, (uintptr_t)block % (size >= 64 ? 64 : 16));
    memset(block, (int)(size & 0xff), size);
    return block;
}

static void many_blocks(void) {
    apr_uint64_t blocks = blocks_in_use();
    cohort_region_t *region = new_region(&(cohort_region_options_t){.chunk = 4096});
    for (int pass = 0; pass < 3; pass++) {
        unsigned char *list[500];
        for (int i = 0; i < 500; i++) list[i] = take(region, (apr_size_t)(i * 7 % 300));
        unsigned char *large = take(region, 1000000);
        for (int i = 0; i < 500; i++) {
            apr_size_t size = (apr_size_t)(i * 7 % 300);
            for (apr_size_t at = 0; at < size; at++) CHECK_INT(size & 0xff, list[i][at]);
        }
        CHECK_INT(1000000 & 0xff, large[999999]);
        CHECK(blocks_in_use() > blocks + 2);
        CHECK_STATUS(APR_SUCCESS, cohort_region_clear(region));
        CHECK_INT(blocks + 2, blocks_in_use()); /* it, and a chunk */
    }
    CHECK_STATUS(APR_SUCCESS, cohort_region_destroy(region));
    CHECK_STATUS(APR_SUCCESS, cohort_region_destroy(region));
    void *block = NULL;
    CHECK_STATUS(COHORT_EHANDLE, cohort_region_alloc(&block, region, 1));
    CHECK_INT(blocks, blocks_in_use());
}

static int fill(void *args) {
    args_t *a = args;
    cohort_region_t *region = new_region(NULL);
    for (int i = 0; i < 300; i++) (void)take(region, 5000);
    return wait_for_go(a);
}

/* However they end. */
static void owners_end(void) {
    cohort_event_t *there[CHILDREN];
    cohort_process_t *list[CHILDREN];
    cohort_event_t *go = new_event();
    for (int i = 0; i < CHILDREN; i++) there[i] = new_event();
    apr_uint64_t blocks = blocks_in_use();
    for (int i = 0; i < CHILDREN; i++) {
        args_t args = {.go = go, .there = there[i]};
        list[i] = party_start(fill, &args, sizeof args);
        await_event(there[i]);
    }
    CHECK(blocks_in_use() > blocks + CHILDREN * 10);
    for (int i = 1; i < CHILDREN; i++) party_kill(list[i]);
    set_event(go);
    party_end(list[0], 0);
    CHECK_INT(blocks, blocks_in_use());
    for (int i = 0; i < CHILDREN; i++) {
        CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(list[i]));
        CHECK_STATUS(APR_SUCCESS, cohort_event_destroy(there[i]));
    }
    CHECK_STATUS(APR_SUCCESS, cohort_event_destroy(go));
}

static int allocate_more(void *args) {
    (void)take(*(cohort_region_t **)args, 100000);
    return 0;
}

static void for_another_process(void) {
    apr_uint64_t blocks = blocks_in_use();
    cohort_process_t *other = make(stay, NULL, 0, NULL);
    cohort_region_t *region = new_region(&(cohort_region_options_t){.owner = other});
    (void)take(region, 100);
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(other)); /* it will never start */
    void *block = NULL;
    CHECK_STATUS(COHORT_EHANDLE, cohort_region_alloc(&block, region, 1));
    CHECK_INT(blocks, blocks_in_use());
    other = party_start(stay, NULL, 0);
    region = new_region(&(cohort_region_options_t){.owner = other});
    party_finish(party_start(allocate_more, &region, sizeof region));
    (void)take(region, 10);
    party_kill(other);
    CHECK_STATUS(COHORT_EHANDLE, cohort_region_clear(region));
    CHECK_STATUS(COHORT_EOWNERDEAD,
                 cohort_region_create(&region, &(cohort_region_options_t){.owner = other}, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(other));
    CHECK_INT(blocks, blocks_in_use());
}

/* It may be started again. */
static void whole_after_a_failed_start(void) {
    const cohort_settings_t settings = {.cwd = "./no_such"};
    cohort_process_options_t options = {.settings = &settings};
    apr_uint64_t blocks = blocks_in_use();
    cohort_process_t *process = make(stay, NULL, 0, &options);
    cohort_region_t *region = new_region(&(cohort_region_options_t){.owner = process});
    void *block = take(region, 100);
    for (int i = 0; i < 2; i++) {
        CHECK(APR_STATUS_IS_ENOENT(cohort_process_start(process)));
        CHECK(cohort_is_shared(block, 100));
        (void)take(region, 100);
    }
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(process));
    CHECK_STATUS(COHORT_EHANDLE, cohort_region_alloc(&block, region, 1));
    CHECK_INT(blocks, blocks_in_use());
}

static int leave_a_lasting_one(void *args) {
    **(cohort_region_t ***)args = new_region(&(cohort_region_options_t){.lasting = 1});
    return 0;
}

static void lasting(void) {
    cohort_region_t **place = party_memory(sizeof *place);
    party_finish(party_start(leave_a_lasting_one, &place, sizeof place));
    (void)take(*place, 1000);
    CHECK_STATUS(APR_SUCCESS, cohort_region_destroy(*place));
    CHECK_STATUS(APR_SUCCESS, cohort_free(place));
    cohort_region_options_t both = {.owner = cohort_process_current(), .lasting = 1};
    cohort_region_t *region = NULL;
    CHECK_STATUS(APR_EINVAL, cohort_region_create(&region, &both, NULL));
    CHECK_STATUS(APR_EINVAL,
                 cohort_region_create(&region, &(cohort_region_options_t){.chunk = 10}, NULL));
}

const test_case_t region_cases[] = {
    {"Region", "many_blocks", many_blocks},
    {"Region", "owners_end", owners_end},
    {"Region", "for_another_process", for_another_process},
    {"Region", "whole_after_a_failed_start", whole_after_a_failed_start},
    {"Region", "lasting", lasting},
    {0}};
