/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Many processes and threads that start, join and kill each other. */
#include "processes.h"

static int join_other(void *data) {
    args_t *a = data;
    CHECK_STATUS(APR_SUCCESS, cohort_event_set(a->there));
    party_end(a->other, 5);
    return 0;
}

static int end_with_five(void *data) {
    (void)wait_for_go(data);
    return 5;
}

static void any_process_may_join(void) {
    args_t a = {.go = new_event(), .there = new_event()};
    cohort_process_t *joiners[6];
    a.other = party_start(end_with_five, &a, sizeof a);
    parties_start(joiners, 6, join_other, &a, sizeof a);
    CHECK_STATUS(APR_SUCCESS, cohort_event_wait(a.there, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_event_set(a.go));
    parties_finish(joiners, 6);
    party_end(a.other, 5);
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(a.other));
}

static int kill_other(void *data) {
    args_t *a = data;
    CHECK_STATUS(COHORT_ESTARTED, cohort_process_start(a->other));
    CHECK_STATUS(COHORT_ENOTOWNER, cohort_process_destroy(a->other));
    party_kill(a->other);
    return 0;
}

static void any_process_may_kill(void) {
    args_t a = {.go = new_event()};
    a.other = party_start(wait_for_go, &a, sizeof a);
    party_finish(party_start(kill_other, &a, sizeof a));
    party_end(a.other, -9);
}

static int start_foreign(void *data) {
    CHECK_STATUS(COHORT_ENOTOWNER, cohort_process_start(((args_t *)data)->other));
    return 0;
}

static void only_the_maker_starts(void) {
    args_t a = {.other = make(nothing, NULL, 0, NULL)};
    party_finish(party_start(start_foreign, &a, sizeof a));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(a.other));
    party_finish(a.other);
}

static void *APR_THREAD_FUNC start_some(apr_thread_t *thread, void *data) {
    (void)thread;
    for (int i = 0; i < 8; i++)
        party_end(party_start(give_number, data, sizeof(int)), *(int *)data);
    return NULL;
}

static void threads_start_at_once(void) {
    int numbers[4] = {1, 2, 3, 4};
    apr_thread_t *threads[4];
    for (int i = 0; i < 4; i++) threads[i] = party_thread(start_some, &numbers[i]);
    for (int i = 0; i < 4; i++) party_thread_finish(threads[i]);
}

static int start_each_other(void *data) {
    int depth = *(int *)data - 1;
    if (depth >= 0) {
        cohort_process_t *list[2];
        parties_start(list, 2, start_each_other, &depth, sizeof depth);
        parties_finish(list, 2);
    }
    return 0;
}

static void trees_grow_at_once(void) {
    int depth = 2;
    cohort_process_t *list[3];
    parties_start(list, 3, start_each_other, &depth, sizeof depth);
    parties_finish(list, 3);
}

static void every_method_on_demand(void) {
    static const cohort_start_method_t methods[] = {COHORT_START_FORK, COHORT_START_SPAWN,
                                                    COHORT_START_FORKSERVER};
    int five = 5;
    for (int i = 0; i < 3; i++) {
        cohort_process_options_t options = {.method = methods[i]};
        cohort_process_t *process = NULL;
        apr_status_t status =
            cohort_process_create(&process, give_number, &five, sizeof five, &options, NULL);
        if (status == APR_ENOTIMPL) continue;
        CHECK_STATUS(APR_SUCCESS, status);
        CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
        party_end(process, 5);
    }
}

static int join_within(void *data) {
    args_t *a = data;
    apr_time_t begin = apr_time_now();
    CHECK_STATUS(APR_TIMEUP, cohort_process_join(a->other, 50000));
    AT_LEAST(50000, begin);
    return 0;
}

static void join_runs_out(void) {
    args_t a = {.go = new_event()};
    a.other = party_start(wait_for_go, &a, sizeof a);
    CHECK_INT(0, join_within(&a));
    party_finish(party_start(join_within, &a, sizeof a));
    party_kill(a.other);
}

const test_case_t process_many_cases[] = {
    {"Process", "any_process_may_join", any_process_may_join},
    {"Process", "any_process_may_kill", any_process_may_kill},
    {"Process", "only_the_maker_starts", only_the_maker_starts},
    {"Process", "threads_start_at_once", threads_start_at_once},
    {"Process", "trees_grow_at_once", trees_grow_at_once},
    {"Process", "every_method_on_demand", every_method_on_demand},
    {"Process", "join_runs_out", join_runs_out},
    {0},
};
