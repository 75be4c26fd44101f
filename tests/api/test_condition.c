/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Condition: what each call says, which waiters a notification wakes, and what is left of it when
 * owners, waiters and notifiers are killed. */
#include "synchronisers.h"

static args_t condition_args(void) {
    args_t args = new_args();
    CHECK_STATUS(APR_SUCCESS, cohort_condition_create(&args.condition, NULL, test_pool()));
    return args;
}

static void acquire(args_t *a) {
    CHECK_STATUS(APR_SUCCESS, cohort_condition_acquire(a->condition, COHORT_FOREVER));
}

static void give_back(args_t *a) {
    CHECK_STATUS(APR_SUCCESS, cohort_condition_release(a->condition));
}

/* Return with the lock, when `n` have counted themselves ready under it: they are waiting then. */
static void acquire_when_waiting(args_t *a, int n) {
    for (;; apr_sleep(500)) {
        acquire(a);
        if (atomic_load(a->ready) >= n) return;
        give_back(a);
    }
}

static int wait_once(void *data) {
    args_t *a = data;
    acquire(a);
    atomic_fetch_add(a->ready, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_condition_wait(a->condition, COHORT_FOREVER));
    atomic_fetch_add(a->done, 1);
    give_back(a);
    return 0;
}

static void *APR_THREAD_FUNC wait_once_thread(apr_thread_t *thread, void *data) {
    (void)thread;
    (void)wait_once(data);
    return NULL;
}

static int never(void *arg) {
    ++*(int *)arg;
    return 0;
}

static void condition_states(void) {
    int calls = 0;
    args_t args = condition_args();
    cohort_condition_t *c = args.condition;
    CHECK_STATUS(COHORT_ENOTOWNER, cohort_condition_wait(c, COHORT_FOREVER));
    CHECK_STATUS(COHORT_ENOTOWNER, cohort_condition_wait_for(c, never, &calls, COHORT_FOREVER));
    CHECK_STATUS(COHORT_ENOTOWNER, cohort_condition_notify(c, 1));
    CHECK_STATUS(COHORT_ENOTOWNER, cohort_condition_notify_all(c));
    CHECK_STATUS(COHORT_EOVERRELEASE, cohort_condition_release(c));
    acquire(&args);
    CHECK_STATUS(COHORT_EDEADLOCK, cohort_condition_acquire(c, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_condition_notify(c, 7)); /* no waiter there: it is not kept */
    CHECK_STATUS(APR_SUCCESS, cohort_condition_notify_all(c));
    CHECK_STATUS(APR_EAGAIN, cohort_condition_wait(c, 0));
    apr_time_t begin = apr_time_now();
    CHECK_STATUS(APR_TIMEUP, cohort_condition_wait(c, A_WHILE));
    AT_LEAST(A_WHILE, begin);
    CHECK_INT(0, calls);
    CHECK_STATUS(APR_EAGAIN, cohort_condition_wait_for(c, never, &calls, 0));
    CHECK_INT(1, calls);
    begin = apr_time_now();
    CHECK_STATUS(APR_TIMEUP, cohort_condition_wait_for(c, never, &calls, A_WHILE));
    AT_LEAST(A_WHILE, begin);
    CHECK_INT(3, calls);
    CHECK_STATUS(APR_EINVAL, cohort_condition_wait_for(c, NULL, NULL, 0));
    give_back(&args); /* it was ours all the time */
}

static void condition_arguments(void) {
    cohort_lock_t *lock;
    cohort_condition_t *c = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_lock_create(&lock, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_condition_create(NULL, NULL, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_condition_create(&c, lock, NULL));
    CHECK_STATUS(COHORT_EHANDLE, cohort_lock_acquire((cohort_lock_t *)c, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_lock_destroy(lock));
    CHECK_STATUS(COHORT_EHANDLE, cohort_condition_acquire(c, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_condition_destroy(c));
    CHECK_STATUS(APR_SUCCESS, cohort_condition_destroy(c));
    CHECK_STATUS(APR_SUCCESS, cohort_condition_destroy(NULL));
    CHECK_STATUS(COHORT_EHANDLE, cohort_condition_acquire(c, 0));
    CHECK_STATUS(COHORT_EHANDLE, cohort_condition_create(&c, lock, NULL));
}

/* Exactly as many as were notified: the others are still there for the next ones. */
static void condition_notifies_n(void) {
    cohort_process_t *children[6];
    args_t args = condition_args();
    parties_start(children, 6, wait_once, &args, sizeof args);
    acquire_when_waiting(&args, 6);
    CHECK_STATUS(APR_SUCCESS, cohort_condition_notify(args.condition, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_condition_notify(args.condition, 2));
    give_back(&args);
    party_await(args.done, 2);
    acquire(&args);
    CHECK_STATUS(APR_TIMEUP, cohort_condition_wait_for(args.condition, never, args.number, 1000));
    CHECK_INT(2, atomic_load(args.done));
    CHECK_STATUS(APR_SUCCESS, cohort_condition_notify(args.condition, 1));
    give_back(&args);
    party_await(args.done, 3);
    acquire(&args);
    CHECK_INT(3, atomic_load(args.done));
    CHECK_STATUS(APR_SUCCESS, cohort_condition_notify_all(args.condition));
    give_back(&args);
    parties_finish(children, 6);
    CHECK_INT(6, atomic_load(args.done));
}

/* More waiters than fit into the object. */
static void condition_many_waiters(void) {
    enum { N = 40 };
    apr_thread_t *threads[N];
    args_t args = condition_args();
    for (int i = 0; i < N; i++) threads[i] = party_thread(wait_once_thread, &args);
    acquire_when_waiting(&args, N);
    CHECK_STATUS(APR_SUCCESS, cohort_condition_notify(args.condition, 17));
    give_back(&args);
    party_await(args.done, 17);
    acquire(&args);
    CHECK_INT(17, atomic_load(args.done));
    CHECK_STATUS(APR_SUCCESS, cohort_condition_notify(args.condition, 1000));
    give_back(&args);
    for (int i = 0; i < N; i++) party_thread_finish(threads[i]);
    CHECK_INT(N, atomic_load(args.done));
}

/* The one that has waited longest is the one that is notified. */
static void condition_is_fair(void) {
    cohort_process_t *children[3];
    args_t args = condition_args();
    for (int i = 0; i < 3; i++) {
        children[i] = party_start(wait_once, &args, sizeof args);
        acquire_when_waiting(&args, i + 1);
        give_back(&args);
    }
    for (int i = 0; i < 3; i++) {
        acquire(&args);
        CHECK_STATUS(APR_SUCCESS, cohort_condition_notify(args.condition, 1));
        give_back(&args);
        party_finish(children[i]);
        CHECK_INT(i + 1, atomic_load(args.done));
    }
}

static int number_is_seven(void *arg) { return *(int *)arg == 7; }

static int wait_for_seven(void *data) {
    args_t *a = data;
    acquire(a);
    atomic_fetch_add(a->ready, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_condition_wait_for(a->condition, number_is_seven, a->number,
                                                        COHORT_FOREVER));
    CHECK_INT(7, *a->number);
    give_back(a);
    return 0;
}

static void condition_waits_for(void) {
    cohort_process_t *children[2];
    args_t args = condition_args();
    parties_start(children, 2, wait_for_seven, &args, sizeof args);
    acquire_when_waiting(&args, 2);
    give_back(&args);
    while (*args.number < 7) {
        acquire(&args);
        ++*args.number;
        CHECK_STATUS(APR_SUCCESS, cohort_condition_notify_all(args.condition));
        give_back(&args);
    }
    parties_finish(children, 2);
}

/* A lock with two conditions: a buffer for one number, filled and emptied in turn. */
static int consume(void *data) {
    args_t *a = data;
    for (int i = 1; i <= a->rounds; i++) {
        CHECK_STATUS(APR_SUCCESS, cohort_lock_acquire(a->lock, COHORT_FOREVER));
        while (*a->number == 0)
            CHECK_STATUS(APR_SUCCESS, cohort_condition_wait(a->condition, COHORT_FOREVER));
        CHECK_INT(i, *a->number);
        *a->number = 0;
        CHECK_STATUS(APR_SUCCESS, cohort_condition_notify(a->other, 1));
        CHECK_STATUS(APR_SUCCESS, cohort_lock_release(a->lock));
    }
    return 0;
}

static void condition_shares_lock(void) {
    args_t args = lock_args();
    args.rounds = 500;
    CHECK_STATUS(APR_SUCCESS, cohort_condition_create(&args.condition, args.lock, test_pool()));
    CHECK_STATUS(APR_SUCCESS, cohort_condition_create(&args.other, args.lock, test_pool()));
    cohort_process_t *child = party_start(consume, &args, sizeof args);
    for (int i = 1; i <= args.rounds; i++) {
        CHECK_STATUS(APR_SUCCESS, cohort_condition_acquire(args.other, COHORT_FOREVER));
        while (*args.number != 0)
            CHECK_STATUS(APR_SUCCESS, cohort_condition_wait(args.other, COHORT_FOREVER));
        *args.number = i;
        CHECK_STATUS(APR_SUCCESS, cohort_condition_notify(args.condition, 1));
        CHECK_STATUS(APR_SUCCESS, cohort_lock_release(args.lock));
    }
    party_finish(child);
}

static void condition_dead_waiter_is_passed_over(void) {
    args_t args = condition_args();
    cohort_process_t *victim = party_start(wait_once, &args, sizeof args);
    acquire_when_waiting(&args, 1);
    give_back(&args);
    cohort_process_t *waiter = party_start(wait_once, &args, sizeof args);
    acquire_when_waiting(&args, 2);
    party_kill(victim);
    CHECK_STATUS(APR_SUCCESS, cohort_condition_notify(args.condition, 1));
    give_back(&args);
    party_finish(waiter);
    CHECK_INT(1, atomic_load(args.done));
}

/* The first is notified, but cannot come back from its wait as we hold the lock; then it is killed.
 * The oldest of the others inherits. */
static void condition_notification_of_dead_goes_on(void) {
    args_t args = condition_args();
    cohort_process_t *victim = party_start(wait_once, &args, sizeof args);
    acquire_when_waiting(&args, 1);
    give_back(&args);
    cohort_process_t *next = party_start(wait_once, &args, sizeof args);
    acquire_when_waiting(&args, 2);
    give_back(&args);
    cohort_process_t *last = party_start(wait_once, &args, sizeof args);
    acquire_when_waiting(&args, 3);
    CHECK_STATUS(APR_SUCCESS, cohort_condition_notify(args.condition, 1));
    party_kill(victim);
    give_back(&args);
    party_finish(next);
    CHECK_INT(1, atomic_load(args.done));
    acquire(&args);
    CHECK_STATUS(APR_SUCCESS, cohort_condition_notify_all(args.condition));
    give_back(&args);
    party_finish(last);
    CHECK_INT(2, atomic_load(args.done));
}

static int expect_owner_dead(void *data) {
    args_t *a = data;
    acquire(a);
    atomic_fetch_add(a->ready, 1);
    CHECK_STATUS(COHORT_EOWNERDEAD, cohort_condition_wait(a->condition, COHORT_FOREVER));
    give_back(a);
    return 0;
}

static int notify_and_die_holding(void *data) {
    args_t *a = data;
    acquire(a);
    CHECK_STATUS(APR_SUCCESS, cohort_condition_notify(a->condition, 1));
    atomic_fetch_add(a->ready, 1);
    party_wait_for_death();
}

static void condition_notifier_killed(void) {
    args_t args = condition_args();
    cohort_process_t *waiter = party_start(expect_owner_dead, &args, sizeof args);
    acquire_when_waiting(&args, 1);
    give_back(&args);
    cohort_process_t *notifier = party_start(notify_and_die_holding, &args, sizeof args);
    party_await(args.ready, 2);
    party_kill(notifier);
    party_finish(waiter);
    acquire(&args);
    give_back(&args);
}

/* Time runs out again and again; while another thread holds the lock that takes until the lock is
 * back, and when its owner was killed that is said. */
static int run_out_of_time(void *data) {
    args_t *a = data;
    apr_status_t status;
    acquire(a);
    atomic_fetch_add(a->ready, 1);
    do {
        apr_time_t begin = apr_time_now();
        status = cohort_condition_wait(a->condition, A_WHILE);
        AT_LEAST(A_WHILE, begin);
    } while (status == APR_TIMEUP);
    CHECK_STATUS(COHORT_EOWNERDEAD, status);
    give_back(a);
    return 0;
}

static int hold_condition(void *data) {
    args_t *a = data;
    acquire_when_waiting(a, 1);
    atomic_fetch_add(a->ready, 1);
    party_wait_for_death();
}

static void condition_owner_killed_and_time_up(void) {
    args_t args = condition_args();
    cohort_process_t *waiter = party_start(run_out_of_time, &args, sizeof args);
    cohort_process_t *owner = party_start(hold_condition, &args, sizeof args);
    party_await(args.ready, 2);
    party_kill(owner);
    party_finish(waiter);
}

static void check_held(apr_status_t status) {
    if (status != COHORT_EOWNERDEAD && status != APR_TIMEUP) CHECK_STATUS(APR_SUCCESS, status);
}

static int wait_and_notify(void *data) {
    args_t *a = data;
    for (;; atomic_fetch_add(a->ready, 1)) {
        check_held(cohort_condition_acquire(a->condition, COHORT_FOREVER));
        check_held(cohort_condition_wait(a->condition, 1 + atomic_load(a->ready) % 300));
        CHECK_STATUS(APR_SUCCESS, cohort_condition_notify(a->condition,
                                                          1 + (unsigned)atomic_load(a->ready) % 2));
        give_back(a);
    }
    return 0;
}

/* Killed at any moment of waiting and notifying: the others go on, and in the end the condition
 * still does what it should. */
static void condition_killed_over_and_over(void) {
    args_t args = condition_args();
    for (int round = 0; round < 15; round++) {
        cohort_process_t *children[4];
        parties_start(children, 4, wait_and_notify, &args, sizeof args);
        for (int i = 0; i < 4; i++) {
            party_await(args.ready, atomic_load(args.ready) + 20 + round);
            party_kill(children[i]);
            CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(children[i]));
        }
    }
    check_held(cohort_condition_acquire(args.condition, COHORT_FOREVER));
    /* no notification is left over */
    CHECK_STATUS(APR_TIMEUP, cohort_condition_wait(args.condition, 1000));
    give_back(&args);
    atomic_store(args.ready, 0);
    cohort_process_t *child = party_start(wait_once, &args, sizeof args);
    acquire_when_waiting(&args, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_condition_notify(args.condition, 1));
    give_back(&args);
    party_finish(child);
}

static int expect_no_condition(void *data) {
    args_t *a = data;
    acquire(a);
    atomic_fetch_add(a->ready, 1);
    CHECK_STATUS(COHORT_EHANDLE, cohort_condition_wait(a->condition, COHORT_FOREVER));
    return 0;
}

static void condition_destroyed_under_waiters(void) {
    cohort_process_t *children[2];
    args_t args = condition_args();
    parties_start(children, 2, expect_no_condition, &args, sizeof args);
    acquire_when_waiting(&args, 2);
    CHECK_STATUS(APR_SUCCESS, cohort_condition_destroy(args.condition));
    parties_finish(children, 2);
}

const test_case_t condition_cases[] = {
    {"Condition", "states", condition_states},
    {"Condition", "arguments", condition_arguments},
    {"Condition", "notifies_n", condition_notifies_n},
    {"Condition", "many_waiters", condition_many_waiters},
    {"Condition", "is_fair", condition_is_fair},
    {"Condition", "waits_for", condition_waits_for},
    {"Condition", "shares_lock", condition_shares_lock},
    {"Condition", "dead_waiter_is_passed_over", condition_dead_waiter_is_passed_over},
    {"Condition", "notification_of_dead_goes_on", condition_notification_of_dead_goes_on},
    {"Condition", "notifier_killed", condition_notifier_killed},
    {"Condition", "owner_killed_and_time_up", condition_owner_killed_and_time_up},
    {"Condition", "killed_over_and_over", condition_killed_over_and_over},
    {"Condition", "destroyed_under_waiters", condition_destroyed_under_waiters},
    {0},
};
