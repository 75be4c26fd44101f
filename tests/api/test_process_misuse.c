/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What a user of processes may do wrong, and what is closed without being asked. */
#include "processes.h"

#include <stdlib.h>

static int run_nothing(cohort_process_base_t *self) {
    (void)self;
    return 0;
}

static void nulls_are_refused(void) {
    cohort_process_t *p = NULL;
    cohort_process_t **list = NULL;
    apr_size_t count;
    char name[8];
    CHECK_STATUS(APR_EINVAL, cohort_process_create(NULL, nothing, NULL, 0, NULL, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_process_create(&p, NULL, NULL, 0, NULL, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_process_create(&p, nothing, NULL, 1, NULL, NULL));
    cohort_process_options_t lifetime = {.lifetime = (cohort_lifetime_t)9},
                             method = {.method = (cohort_start_method_t)9},
                             ends = {.n_connections = 1},
                             signals = {.signals = (cohort_signals_t)9},
                             negative = {.signals = (cohort_signals_t)-1};
    CHECK_STATUS(APR_EINVAL, cohort_process_create(&p, nothing, NULL, 0, &lifetime, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_process_create(&p, nothing, NULL, 0, &method, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_process_create(&p, nothing, NULL, 0, &ends, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_process_create(&p, nothing, NULL, 0, &signals, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_process_create(&p, nothing, NULL, 0, &negative, NULL));
    cohort_process_base_t base = {.size = sizeof base}, small = {.size = 1, .run = run_nothing};
    CHECK_STATUS(APR_EINVAL, cohort_process_create_object(&p, NULL, NULL, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_process_create_object(&p, &base, NULL, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_process_create_object(&p, &small, NULL, NULL));
    cohort_process_base_t whole = {.size = sizeof whole, .run = run_nothing};
    cohort_program_t program = {.argv = (const char *const[]){"true", NULL}};
    CHECK_STATUS(APR_EINVAL, cohort_process_create_object(&p, &whole, &ends, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_process_create_program(&p, &program, &ends, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_process_create_program(&p, NULL, NULL, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_process_start(NULL));
    CHECK_STATUS(APR_EINVAL, cohort_process_join(NULL, 0));
    CHECK_STATUS(APR_EINVAL, cohort_process_terminate(NULL));
    CHECK_STATUS(APR_EINVAL, cohort_process_kill(NULL));
    CHECK_STATUS(APR_EINVAL, cohort_process_interrupt(NULL));
    CHECK_STATUS(APR_EINVAL, cohort_process_stop(NULL, 0));
    CHECK_STATUS(APR_EINVAL, cohort_process_set_name(NULL, "x"));
    CHECK_STATUS(APR_EINVAL, cohort_process_name(NULL, name, sizeof name));
    CHECK_STATUS(APR_EINVAL, cohort_process_name(cohort_process_current(), NULL, 1));
    CHECK_STATUS(APR_EINVAL, cohort_process_name(cohort_process_current(), name, 0));
    CHECK_STATUS(APR_EINVAL, cohort_process_active_children(NULL, &count, test_pool()));
    CHECK_STATUS(APR_EINVAL, cohort_process_active_children(&list, NULL, test_pool()));
    CHECK_STATUS(APR_EINVAL, cohort_process_active_children(&list, &count, NULL));
    CHECK_INT(0, cohort_process_is_alive(NULL));
    CHECK_INT(0, cohort_process_pid(NULL));
    CHECK_INT(0, cohort_process_is_daemon(NULL));
    CHECK_INT(COHORT_EXIT_NONE, cohort_process_exit_code(NULL));
    CHECK(p == NULL);
}

static void strangers_are_refused(void) {
    int on_the_stack = 0;
    void *block = party_memory(4096);
    char *self = (char *)cohort_process_current();
    cohort_process_t *strangers[] = {(cohort_process_t *)&on_the_stack,
                                     block,
                                     (cohort_process_t *)(self + 8),
                                     (cohort_process_t *)(self - 64),
                                     (cohort_process_t *)1,
                                     (cohort_process_t *)~(uintptr_t)0,
                                     (cohort_process_t *)(self + ((apr_size_t)1 << 22))};
    for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++) {
        CHECK_STATUS(COHORT_EHANDLE, cohort_process_join(strangers[i], 0));
        CHECK_STATUS(COHORT_EHANDLE, cohort_process_start(strangers[i]));
        CHECK_STATUS(COHORT_EHANDLE, cohort_process_kill(strangers[i]));
        CHECK_INT(0, cohort_process_is_alive(strangers[i]));
    }
}

static void absurd_sizes_are_refused(void) {
    cohort_process_t *p = NULL;
    char byte = 0;
    apr_uint64_t before = arena_usage().blocks;
    CHECK_STATUS(APR_ENOMEM,
                 cohort_process_create(&p, nothing, &byte, arena_usage().limit + 1, NULL, NULL));
    CHECK_STATUS(APR_ENOMEM, cohort_process_create(&p, nothing, &byte, (apr_size_t)-1, NULL, NULL));
    CHECK_STATUS(APR_ENOMEM,
                 cohort_process_create(&p, nothing, &byte, (apr_size_t)-1 / 2, NULL, NULL));
    CHECK_INT(before, arena_usage().blocks);
    party_finish(party_start(nothing, NULL, 0));
}

static void target_that_is_no_code(void) {
    static int data;
    cohort_process_t *p = NULL;
    void *block = party_memory(64);
    cohort_target_t heap;
    memcpy(&heap, &block, sizeof heap);
    CHECK_STATUS(COHORT_ETARGET, cohort_process_create(&p, heap, &data, sizeof data, NULL, NULL));
}

static void two_thousand_objects(void) {
    enum { N = 2000 };
    cohort_process_t **list = malloc(N * sizeof(cohort_process_t *));
    apr_uint64_t before = arena_usage().blocks;
    int five = 5;
    for (int i = 0; i < N; i++) list[i] = make(give_number, &five, sizeof five, NULL);
    CHECK_INT(before + N, arena_usage().blocks);
    for (int i = 0; i < N; i += 400) {
        CHECK_STATUS(APR_SUCCESS, cohort_process_start(list[i]));
        party_end(list[i], 5);
    }
    for (int i = 0; i < N; i++) CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(list[i]));
    CHECK_INT(before, arena_usage().blocks);
    free(list);
}

static void pool_closes_the_handle(void) {
    apr_pool_t *pool = NULL;
    cohort_process_t *p = NULL;
    args_t a = {.go = new_event(), .there = new_event()};
    CHECK_STATUS(APR_SUCCESS, apr_pool_create(&pool, test_pool()));
    CHECK_STATUS(APR_SUCCESS, cohort_process_create(&p, nothing, NULL, 0, NULL, pool));
    apr_pool_clear(pool);
    CHECK_STATUS(COHORT_EHANDLE, cohort_process_start(p));
    CHECK_STATUS(APR_SUCCESS, cohort_process_create(&p, wait_for_go, &a, sizeof a, NULL, pool));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(p));
    apr_pool_destroy(pool); /* it goes on, and its record goes away at its end */
    CHECK_STATUS(APR_SUCCESS, cohort_event_wait(a.there, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_event_set(a.go));
}

static void twice_is_refused(void) {
    CHECK_STATUS(COHORT_ETWICE, cohort_initialize(NULL));
    party_finish(party_start(nothing, NULL, 0));
}

static int children_are_members(void *data) {
    (void)data;
    CHECK_STATUS(COHORT_ETWICE, cohort_initialize(NULL));
    cohort_finalize();
    cohort_finalize();
    CHECK(cohort_process_current() == NULL);
    CHECK(cohort_process_parent() == NULL);
    void *block = NULL;
    CHECK_STATUS(COHORT_ENOTINIT, cohort_alloc(&block, 1));
    CHECK_STATUS(COHORT_ENOTINIT,
                 cohort_process_create(&(cohort_process_t *){NULL}, nothing, NULL, 0, NULL, NULL));
    return 11;
}

static void finalize_in_a_child(void) { party_end(party_start(children_are_members, NULL, 0), 11); }

const test_case_t process_misuse_cases[] = {
    {"Process", "nulls_are_refused", nulls_are_refused},
    {"Process", "strangers_are_refused", strangers_are_refused},
    {"Process", "absurd_sizes_are_refused", absurd_sizes_are_refused},
    {"Process", "target_that_is_no_code", target_that_is_no_code},
    {"Process", "two_thousand_objects", two_thousand_objects},
    {"Process", "pool_closes_the_handle", pool_closes_the_handle},
    {"Process", "twice_is_refused", twice_is_refused},
    {"Process", "finalize_in_a_child", finalize_in_a_child},
    {0},
};
