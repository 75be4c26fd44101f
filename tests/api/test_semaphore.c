/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Semaphore: what each call says, and what becomes of the permits of holders that are killed. */
#include "synchronisers.h"

static args_t semaphore_args(unsigned value, int bounded) {
    cohort_semaphore_options_t options = {.bounded = bounded};
    args_t args = new_args();
    CHECK_STATUS(APR_SUCCESS,
                 cohort_semaphore_create(&args.semaphore, value, &options, test_pool()));
    return args;
}

static void check_value(unsigned expected, cohort_semaphore_t *semaphore) {
    unsigned value = 4711;
    value = cohort_semaphore_value(semaphore);
    CHECK_INT(expected, value);
}

static void semaphore_counts(void) {
    cohort_semaphore_t *s = semaphore_args(2, 0).semaphore;
    check_value(2, s);
    CHECK_STATUS(APR_SUCCESS, cohort_semaphore_acquire(s, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_semaphore_acquire(s, COHORT_FOREVER));
    check_value(0, s);
    CHECK_STATUS(APR_EAGAIN, cohort_semaphore_acquire(s, 0));
    apr_time_t begin = apr_time_now();
    CHECK_STATUS(APR_TIMEUP, cohort_semaphore_acquire(s, A_WHILE));
    AT_LEAST(A_WHILE, begin);
    CHECK_STATUS(APR_SUCCESS, cohort_semaphore_release(s, 1));
    check_value(1, s);
    CHECK_STATUS(APR_SUCCESS, cohort_semaphore_release(s, 5));
    check_value(6, s);
    CHECK_STATUS(COHORT_EOVERRELEASE, cohort_semaphore_release(s, UINT32_MAX));
    check_value(6, s);
}

static void semaphore_bounded(void) {
    cohort_semaphore_t *s = semaphore_args(3, 1).semaphore;
    CHECK_STATUS(COHORT_EOVERRELEASE, cohort_semaphore_release(s, 1));
    CHECK_STATUS(APR_SUCCESS, cohort_semaphore_acquire(s, 0));
    CHECK_STATUS(COHORT_EOVERRELEASE, cohort_semaphore_release(s, 2));
    check_value(2, s);
    CHECK_STATUS(APR_SUCCESS, cohort_semaphore_release(s, 1));
    check_value(3, s);
    CHECK_STATUS(COHORT_EOVERRELEASE, cohort_semaphore_release(s, 1));
    check_value(3, s);
}

static void semaphore_arguments(void) {
    cohort_semaphore_t *s = NULL;
    const apr_size_t too_many = (apr_size_t)COHORT_SEMAPHORE_VALUE_MAX + 1;
    CHECK_STATUS(APR_EINVAL, cohort_semaphore_create(NULL, 1, NULL, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_semaphore_create(&s, too_many, NULL, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_semaphore_create(&s, 0, NULL, NULL));
    CHECK_STATUS(APR_EAGAIN, cohort_semaphore_acquire(s, 0));
    CHECK_STATUS(APR_EINVAL, cohort_semaphore_release(s, 0));
    CHECK_STATUS(COHORT_EOVERRELEASE, cohort_semaphore_release(s, too_many));
    CHECK_STATUS(COHORT_EOVERRELEASE, cohort_semaphore_release(s, (apr_size_t)-1));
    CHECK_STATUS(APR_SUCCESS, cohort_semaphore_destroy(s));
    CHECK_STATUS(APR_SUCCESS, cohort_semaphore_destroy(s));
    CHECK_STATUS(APR_SUCCESS, cohort_semaphore_destroy(NULL));
    CHECK_STATUS(COHORT_EHANDLE, cohort_semaphore_acquire(s, 0));
    CHECK_STATUS(COHORT_EHANDLE, cohort_semaphore_release(s, 1));
    CHECK_INT(0, cohort_semaphore_value(s));
}

static int share_permits(void *data) {
    args_t *a = data;
    for (int i = 0; i < a->rounds; i++) {
        CHECK_STATUS(APR_SUCCESS, cohort_semaphore_acquire(a->semaphore, COHORT_FOREVER));
        CHECK(atomic_fetch_add(a->ready, 1) < 3);
        if (i % 16 == 0) apr_sleep(0);
        atomic_fetch_sub(a->ready, 1);
        CHECK_STATUS(APR_SUCCESS, cohort_semaphore_release(a->semaphore, 1));
    }
    return 0;
}

static void semaphore_limits(void) {
    cohort_process_t *children[8];
    args_t args = semaphore_args(3, 1);
    args.rounds = 300;
    parties_start(children, 8, share_permits, &args, sizeof args);
    parties_finish(children, 8);
    check_value(3, args.semaphore);
    CHECK_STATUS(COHORT_EOVERRELEASE, cohort_semaphore_release(args.semaphore, 1));
}

static int take_permits(void *data) {
    args_t *a = data;
    for (int i = 0; i < a->rounds; i++)
        CHECK_STATUS(APR_SUCCESS, cohort_semaphore_acquire(a->semaphore, COHORT_FOREVER));
    atomic_fetch_add(a->ready, 1);
    party_wait_for_death();
}

static void semaphore_holder_killed(void) {
    args_t args = semaphore_args(5, 1);
    args.rounds = 3;
    CHECK_STATUS(APR_SUCCESS, cohort_semaphore_acquire(args.semaphore, 0));
    cohort_process_t *child = party_start(take_permits, &args, sizeof args);
    party_await(args.ready, 1);
    check_value(1, args.semaphore);
    party_kill(child);
    check_value(4, args.semaphore);
    /* changes nothing */
    CHECK_STATUS(COHORT_EOVERRELEASE, cohort_semaphore_release(args.semaphore, 2));
    CHECK_STATUS(APR_SUCCESS, cohort_semaphore_release(args.semaphore, 1));
    check_value(5, args.semaphore);
}

static int take_one(void *data) {
    args_t *a = data;
    CHECK_STATUS(APR_SUCCESS, cohort_semaphore_acquire(a->semaphore, COHORT_FOREVER));
    return 0;
}

static void semaphore_holder_killed_under_waiter(void) {
    cohort_process_t *waiters[2];
    args_t args = semaphore_args(2, 0);
    args.rounds = 2;
    cohort_process_t *child = party_start(take_permits, &args, sizeof args);
    party_await(args.ready, 1);
    parties_start(waiters, 2, take_one, &args, sizeof args);
    CHECK_STATUS(APR_SUCCESS, cohort_process_kill(child));
    parties_finish(waiters, 2);
    party_end(child, -9);
    check_value(2, args.semaphore); /* those that ended without a release gave theirs back, too */
}

/* More holders than fit into the object. */
static void semaphore_many_holders_killed(void) {
    cohort_process_t *children[24];
    args_t args = semaphore_args(30, 1);
    args.rounds = 1;
    parties_start(children, 24, take_permits, &args, sizeof args);
    party_await(args.ready, 24);
    check_value(6, args.semaphore);
    for (int i = 0; i < 12; i++) party_kill(children[i]);
    check_value(18, args.semaphore);
    for (int i = 12; i < 24; i++) party_kill(children[i]);
    check_value(30, args.semaphore);
    CHECK_STATUS(COHORT_EOVERRELEASE, cohort_semaphore_release(args.semaphore, 1));
}

/* Used as a signal: what the dead consumer took is consumed. */
static void semaphore_as_signal(void) {
    args_t args = semaphore_args(0, 0);
    args.rounds = 3;
    cohort_process_t *child = party_start(take_permits, &args, sizeof args);
    CHECK_STATUS(APR_SUCCESS, cohort_semaphore_release(args.semaphore, 1));
    CHECK_STATUS(APR_SUCCESS, cohort_semaphore_release(args.semaphore, 3));
    party_await(args.ready, 1);
    party_kill(child);
    check_value(1, args.semaphore);
}

static int share_until_killed(void *data) {
    args_t *a = data;
    for (;; atomic_fetch_add(a->ready, 1)) {
        CHECK_STATUS(APR_SUCCESS, cohort_semaphore_acquire(a->semaphore, COHORT_FOREVER));
        CHECK_STATUS(APR_SUCCESS, cohort_semaphore_release(a->semaphore, 1));
    }
    return 0;
}

/* Killed at any moment of taking and giving back, and in the middle of taking back what others
 * left: no permit is lost or doubled. */
static void semaphore_holders_killed_over_and_over(void) {
    args_t args = semaphore_args(2, 1);
    for (int round = 0; round < 15; round++) {
        cohort_process_t *children[4];
        parties_start(children, 4, share_until_killed, &args, sizeof args);
        for (int i = 0; i < 4; i++) {
            party_await(args.ready, atomic_load(args.ready) + 50 + round);
            CHECK_STATUS(APR_SUCCESS, cohort_process_kill(children[i]));
        }
        for (int i = 0; i < 4; i++) {
            party_end(children[i], -9);
            CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(children[i]));
        }
        check_value(2, args.semaphore);
    }
    for (int i = 0; i < 2; i++)
        CHECK_STATUS(APR_SUCCESS, cohort_semaphore_acquire(args.semaphore, 0));
    CHECK_STATUS(APR_EAGAIN, cohort_semaphore_acquire(args.semaphore, 0));
}

static int expect_no_semaphore(void *data) {
    args_t *a = data;
    atomic_fetch_add(a->ready, 1);
    CHECK_STATUS(COHORT_EHANDLE, cohort_semaphore_acquire(a->semaphore, COHORT_FOREVER));
    return 0;
}

static void semaphore_destroyed_under_waiters(void) {
    cohort_process_t *waiters[2];
    args_t args = semaphore_args(0, 0);
    parties_start(waiters, 2, expect_no_semaphore, &args, sizeof args);
    party_await(args.ready, 2);
    CHECK_STATUS(APR_SUCCESS, cohort_semaphore_destroy(args.semaphore));
    parties_finish(waiters, 2);
}

const test_case_t semaphore_cases[] = {
    {"Semaphore", "counts", semaphore_counts},
    {"Semaphore", "bounded", semaphore_bounded},
    {"Semaphore", "arguments", semaphore_arguments},
    {"Semaphore", "limits", semaphore_limits},
    {"Semaphore", "holder_killed", semaphore_holder_killed},
    {"Semaphore", "holder_killed_under_waiter", semaphore_holder_killed_under_waiter},
    {"Semaphore", "many_holders_killed", semaphore_many_holders_killed},
    {"Semaphore", "holders_killed_over_and_over", semaphore_holders_killed_over_and_over},
    {"Semaphore", "as_signal", semaphore_as_signal},
    {"Semaphore", "destroyed_under_waiters", semaphore_destroyed_under_waiters},
    {0},
};
