/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Lock and RLock: what each call says, and what is left of them when their owners and waiters are
 * killed. */
#include "synchronisers.h"

/* ---- Lock ----------------------------------------------------------------------------------- */

static void lock_states(void) {
    cohort_lock_t *lock = lock_args().lock;
    CHECK_STATUS(COHORT_EOVERRELEASE, cohort_lock_release(lock));
    CHECK_STATUS(APR_SUCCESS, cohort_lock_acquire(lock, COHORT_FOREVER));
    CHECK_STATUS(APR_EAGAIN, cohort_lock_acquire(lock, 0));
    CHECK_STATUS(APR_EAGAIN, cohort_lock_acquire(lock, -1));
    CHECK_STATUS(COHORT_EDEADLOCK, cohort_lock_acquire(lock, 1));
    CHECK_STATUS(COHORT_EDEADLOCK, cohort_lock_acquire(lock, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_lock_release(lock));
    CHECK_STATUS(COHORT_EOVERRELEASE, cohort_lock_release(lock));
    CHECK_STATUS(APR_SUCCESS, cohort_lock_acquire(lock, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_lock_release(lock));
}

static void lock_arguments(void) {
    cohort_lock_t *lock = NULL;
    cohort_process_t *owner;
    CHECK_STATUS(APR_EINVAL, cohort_lock_create(NULL, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_lock_create(&lock, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_lock_acquire(NULL, 0));
    CHECK_STATUS(COHORT_EHANDLE, cohort_rlock_acquire((cohort_rlock_t *)lock, 0));
    CHECK_STATUS(COHORT_EHANDLE, cohort_event_set((cohort_event_t *)lock));
    CHECK_STATUS(COHORT_EHANDLE, cohort_lock_acquire((cohort_lock_t *)((char *)lock + 8), 0));
    CHECK_STATUS(COHORT_EHANDLE, cohort_lock_acquire((cohort_lock_t *)&owner, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_lock_destroy(lock));
    CHECK_STATUS(APR_SUCCESS, cohort_lock_destroy(lock));
    CHECK_STATUS(APR_SUCCESS, cohort_lock_destroy(NULL));
    CHECK_STATUS(COHORT_EHANDLE, cohort_lock_acquire(lock, 0));
    CHECK_STATUS(COHORT_EHANDLE, cohort_lock_release(lock));
    CHECK(cohort_lock_owner(lock) == NULL);
}

static void lock_lives_in_pool(void) {
    apr_pool_t *pool;
    cohort_lock_t *lock;
    CHECK_STATUS(APR_SUCCESS, apr_pool_create(&pool, test_pool()));
    CHECK_STATUS(APR_SUCCESS, cohort_lock_create(&lock, pool));
    CHECK_STATUS(APR_SUCCESS, cohort_lock_acquire(lock, 0));
    apr_pool_destroy(pool);
    CHECK_STATUS(COHORT_EHANDLE, cohort_lock_release(lock));
}

static int count_up(void *data) {
    args_t *a = data;
    for (int i = 0; i < a->rounds; i++) {
        CHECK_STATUS(APR_SUCCESS, cohort_lock_acquire(a->lock, COHORT_FOREVER));
        int seen = *(volatile int *)a->number;
        if (i % 64 == 0) apr_sleep(0); /* let others run into the held lock */
        *(volatile int *)a->number = seen + 1;
        CHECK_STATUS(APR_SUCCESS, cohort_lock_release(a->lock));
    }
    return 0;
}

static void *APR_THREAD_FUNC count_up_thread(apr_thread_t *thread, void *data) {
    (void)thread;
    (void)count_up(data);
    return NULL;
}

static void lock_excludes(void) {
    cohort_process_t *children[4];
    args_t args = lock_args();
    args.rounds = 2000;
    parties_start(children, 4, count_up, &args, sizeof args);
    apr_thread_t *first = party_thread(count_up_thread, &args),
                 *second = party_thread(count_up_thread, &args);
    (void)count_up(&args);
    party_thread_finish(first);
    party_thread_finish(second);
    parties_finish(children, 4);
    CHECK_INT(7 * args.rounds, *args.number);
}

static int run_out(void *data) {
    args_t *a = data;
    apr_time_t begin = apr_time_now();
    CHECK_STATUS(APR_TIMEUP, cohort_lock_acquire(a->lock, A_WHILE));
    AT_LEAST(A_WHILE, begin);
    CHECK_STATUS(APR_EAGAIN, cohort_lock_acquire(a->lock, 0));
    CHECK_STATUS(APR_EAGAIN, cohort_lock_acquire(a->lock, APR_INT64_MIN));
    return 0;
}

static void lock_runs_out(void) {
    args_t args = lock_args();
    CHECK_STATUS(APR_SUCCESS, cohort_lock_acquire(args.lock, 0));
    party_finish(party_start(run_out, &args, sizeof args));
    CHECK_STATUS(APR_SUCCESS, cohort_lock_release(args.lock));
}

static int release(void *data) {
    CHECK_STATUS(APR_SUCCESS, cohort_lock_release(((args_t *)data)->lock));
    return 0;
}

static void lock_released_by_another(void) {
    args_t args = lock_args();
    CHECK_STATUS(APR_SUCCESS, cohort_lock_acquire(args.lock, 0));
    party_finish(party_start(release, &args, sizeof args));
    CHECK_STATUS(APR_SUCCESS, cohort_lock_acquire(args.lock, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_lock_release(args.lock));
}

static int hold_for_ever(void *data) {
    args_t *a = data;
    CHECK_STATUS(APR_SUCCESS, cohort_lock_acquire(a->lock, COHORT_FOREVER));
    atomic_fetch_add(a->ready, 1);
    party_wait_for_death();
}

static void lock_names_owner(void) {
    cohort_process_t *owner = NULL;
    args_t args = lock_args();
    owner = cohort_lock_owner(args.lock);
    CHECK(owner == NULL);
    cohort_process_t *child = party_start(hold_for_ever, &args, sizeof args);
    CHECK_STATUS(APR_SUCCESS, cohort_process_set_name(child, "miser"));
    party_await(args.ready, 1);
    owner = cohort_lock_owner(args.lock);
    check_name("miser", owner);
    party_kill(child);
    CHECK(cohort_lock_owner(args.lock) == NULL);
    CHECK(strstr(cohort_last_error(), "cohort_lock_owner: ") == cohort_last_error());
    CHECK_STATUS(COHORT_EOWNERDEAD, cohort_lock_acquire(args.lock, 0));
    owner = cohort_lock_owner(args.lock);
    CHECK(owner == cohort_process_current());
}

static void lock_owner_killed(void) {
    args_t args = lock_args();
    cohort_process_t *child = party_start(hold_for_ever, &args, sizeof args);
    party_await(args.ready, 1);
    CHECK_STATUS(APR_EAGAIN, cohort_lock_acquire(args.lock, 0));
    party_kill(child);
    CHECK_STATUS(COHORT_EOWNERDEAD, cohort_lock_acquire(args.lock, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_lock_release(args.lock));
    CHECK_STATUS(APR_SUCCESS, cohort_lock_acquire(args.lock, COHORT_FOREVER));
}

static int expect_dead_owner(void *data) {
    args_t *a = data;
    atomic_fetch_add(a->ready, 1);
    apr_status_t status = cohort_lock_acquire(a->lock, COHORT_FOREVER);
    if (status == COHORT_EOWNERDEAD) atomic_fetch_add(a->done, 1);
    else CHECK_STATUS(APR_SUCCESS, status);
    CHECK_STATUS(APR_SUCCESS, cohort_lock_release(a->lock));
    return 0;
}

/* Of several that wait when the owner is killed, one is told, and all get the lock. */
static void lock_owner_killed_under_waiters(void) {
    cohort_process_t *waiters[3];
    args_t args = lock_args();
    cohort_process_t *child = party_start(hold_for_ever, &args, sizeof args);
    party_await(args.ready, 1);
    parties_start(waiters, 3, expect_dead_owner, &args, sizeof args);
    party_await(args.ready, 4);
    CHECK_STATUS(APR_SUCCESS, cohort_process_kill(child));
    parties_finish(waiters, 3);
    CHECK_INT(1, atomic_load(args.done));
    party_end(child, -9);
}

static void lock_waiter_killed(void) {
    args_t args = lock_args();
    CHECK_STATUS(APR_SUCCESS, cohort_lock_acquire(args.lock, 0));
    cohort_process_t *victim = party_start(expect_dead_owner, &args, sizeof args);
    party_await(args.ready, 1);
    cohort_process_t *waiter = party_start(expect_dead_owner, &args, sizeof args);
    party_await(args.ready, 2);
    CHECK_STATUS(APR_SUCCESS, cohort_process_kill(victim));
    CHECK_STATUS(APR_SUCCESS, cohort_lock_release(args.lock)); /* the wake-up may go to the dead */
    party_finish(waiter);
    party_end(victim, -9);
    CHECK_STATUS(APR_SUCCESS, cohort_lock_acquire(args.lock, COHORT_FOREVER));
}

static void *APR_THREAD_FUNC take_and_end(apr_thread_t *thread, void *data) {
    (void)thread;
    CHECK_STATUS(APR_SUCCESS, cohort_lock_acquire(data, 0));
    return NULL;
}

static void lock_owner_thread_ended(void) {
    cohort_lock_t *lock = lock_args().lock;
    party_thread_finish(party_thread(take_and_end, lock));
    CHECK_STATUS(COHORT_EOWNERDEAD, cohort_lock_acquire(lock, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_lock_release(lock));
    CHECK_STATUS(APR_SUCCESS, cohort_lock_acquire(lock, 0));
}

static int take_and_return(void *data) {
    CHECK_STATUS(APR_SUCCESS, cohort_lock_acquire(((args_t *)data)->lock, 0));
    return 0;
}

static void lock_owner_ended(void) {
    args_t args = lock_args();
    party_finish(party_start(take_and_return, &args, sizeof args));
    CHECK_STATUS(COHORT_EOWNERDEAD, cohort_lock_acquire(args.lock, COHORT_FOREVER));
}

static int expect_destroyed(void *data) {
    args_t *a = data;
    atomic_fetch_add(a->ready, 1);
    CHECK_STATUS(COHORT_EHANDLE, cohort_lock_acquire(a->lock, COHORT_FOREVER));
    return 0;
}

static void lock_destroyed_under_waiters(void) {
    cohort_process_t *waiters[3];
    args_t args = lock_args();
    CHECK_STATUS(APR_SUCCESS, cohort_lock_acquire(args.lock, 0));
    parties_start(waiters, 3, expect_destroyed, &args, sizeof args);
    party_await(args.ready, 3);
    CHECK_STATUS(APR_SUCCESS, cohort_lock_destroy(args.lock));
    parties_finish(waiters, 3);
}

/* Owners are killed over and over while others count: the count stays right for an owner that
 * repairs it when told. */
static int count_until_killed(void *data) {
    args_t *a = data;
    while (atomic_load(a->done) == 0) {
        apr_status_t status = cohort_lock_acquire(a->lock, COHORT_FOREVER);
        if (status == COHORT_EOWNERDEAD) a->number[0] = a->number[1];
        else CHECK_STATUS(APR_SUCCESS, status);
        a->number[0]++;
        apr_sleep(0);
        a->number[1]++;
        atomic_fetch_add(a->ready, 1);
        CHECK_STATUS(APR_SUCCESS, cohort_lock_release(a->lock));
    }
    return 0;
}

static void lock_owners_killed_over_and_over(void) {
    args_t args = lock_args();
    args.number = party_memory(2 * sizeof(int));
    for (int i = 0; i < 20; i++) {
        cohort_process_t *first = party_start(count_until_killed, &args, sizeof args);
        cohort_process_t *second = party_start(count_until_killed, &args, sizeof args);
        party_await(args.ready, atomic_load(args.ready) + 20);
        party_kill(first);
        party_await(args.ready, atomic_load(args.ready) + 20);
        party_kill(second);
        CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(first));
        CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(second));
    }
    apr_status_t status = cohort_lock_acquire(args.lock, COHORT_FOREVER);
    if (status == COHORT_EOWNERDEAD) args.number[0] = args.number[1];
    else CHECK_STATUS(APR_SUCCESS, status);
    CHECK_INT(args.number[0], args.number[1]);
}

/* ---- RLock ---------------------------------------------------------------------------------- */

static args_t rlock_args(void) {
    args_t args = new_args();
    CHECK_STATUS(APR_SUCCESS, cohort_rlock_create(&args.rlock, test_pool()));
    return args;
}

static int expect_not_mine(void *data) {
    args_t *a = data;
    cohort_process_t *owner = NULL;
    CHECK_STATUS(COHORT_ENOTOWNER, cohort_rlock_release(a->rlock));
    CHECK_STATUS(APR_EAGAIN, cohort_rlock_acquire(a->rlock, 0));
    CHECK_STATUS(APR_TIMEUP, cohort_rlock_acquire(a->rlock, 1000));
    owner = cohort_rlock_owner(a->rlock);
    CHECK(owner == cohort_process_parent());
    return 0;
}

static void *APR_THREAD_FUNC expect_not_mine_thread(apr_thread_t *thread, void *data) {
    (void)thread;
    CHECK_STATUS(COHORT_ENOTOWNER, cohort_rlock_release(data));
    CHECK_STATUS(APR_EAGAIN, cohort_rlock_acquire(data, 0));
    return NULL;
}

static int take_and_give(void *data) {
    args_t *a = data;
    CHECK_STATUS(APR_SUCCESS, cohort_rlock_acquire(a->rlock, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_rlock_release(a->rlock));
    return 0;
}

static void rlock_recurses(void) {
    args_t args = rlock_args();
    CHECK_STATUS(COHORT_ENOTOWNER, cohort_rlock_release(args.rlock));
    for (int i = 0; i < 3; i++) CHECK_STATUS(APR_SUCCESS, cohort_rlock_acquire(args.rlock, i - 1));
    for (int i = 0; i < 2; i++) {
        party_finish(party_start(expect_not_mine, &args, sizeof args));
        party_thread_finish(party_thread(expect_not_mine_thread, args.rlock));
        CHECK_STATUS(APR_SUCCESS, cohort_rlock_release(args.rlock));
    }
    CHECK_STATUS(APR_SUCCESS, cohort_rlock_release(args.rlock));
    party_finish(party_start(take_and_give, &args, sizeof args));
    CHECK_STATUS(COHORT_ENOTOWNER, cohort_rlock_release(args.rlock));
}

static int hold_deeply(void *data) {
    args_t *a = data;
    for (int i = 0; i < 3; i++)
        CHECK_STATUS(APR_SUCCESS, cohort_rlock_acquire(a->rlock, COHORT_FOREVER));
    atomic_fetch_add(a->ready, 1);
    party_wait_for_death();
}

static void rlock_owner_killed(void) {
    cohort_process_t *owner;
    args_t args = rlock_args();
    cohort_process_t *child = party_start(hold_deeply, &args, sizeof args);
    party_await(args.ready, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_process_kill(child));
    CHECK_STATUS(COHORT_EOWNERDEAD, cohort_rlock_acquire(args.rlock, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_rlock_acquire(args.rlock, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_rlock_release(args.rlock));
    CHECK_STATUS(APR_SUCCESS, cohort_rlock_release(args.rlock));
    CHECK_STATUS(COHORT_ENOTOWNER, cohort_rlock_release(args.rlock));
    owner = cohort_rlock_owner(args.rlock);
    CHECK(owner == NULL);
    party_finish(party_start(take_and_give, &args, sizeof args));
    party_end(child, -9);
}

static void rlock_arguments(void) {
    cohort_rlock_t *lock = NULL;
    CHECK_STATUS(APR_EINVAL, cohort_rlock_create(NULL, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_rlock_create(&lock, NULL));
    CHECK_STATUS(COHORT_EHANDLE, cohort_lock_acquire((cohort_lock_t *)lock, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_rlock_destroy(lock));
    CHECK_STATUS(APR_SUCCESS, cohort_rlock_destroy(lock));
    CHECK_STATUS(APR_SUCCESS, cohort_rlock_destroy(NULL));
    CHECK_STATUS(COHORT_EHANDLE, cohort_rlock_acquire(lock, 0));
}

const test_case_t lock_cases[] = {
    {"Lock", "states", lock_states},
    {"Lock", "arguments", lock_arguments},
    {"Lock", "lives_in_pool", lock_lives_in_pool},
    {"Lock", "excludes", lock_excludes},
    {"Lock", "runs_out", lock_runs_out},
    {"Lock", "released_by_another", lock_released_by_another},
    {"Lock", "names_owner", lock_names_owner},
    {"Lock", "owner_killed", lock_owner_killed},
    {"Lock", "owner_killed_under_waiters", lock_owner_killed_under_waiters},
    {"Lock", "waiter_killed", lock_waiter_killed},
    {"Lock", "owner_thread_ended", lock_owner_thread_ended},
    {"Lock", "owner_ended", lock_owner_ended},
    {"Lock", "destroyed_under_waiters", lock_destroyed_under_waiters},
    {"Lock", "owners_killed_over_and_over", lock_owners_killed_over_and_over},
    {"RLock", "recurses", rlock_recurses},
    {"RLock", "owner_killed", rlock_owner_killed},
    {"RLock", "arguments", rlock_arguments},
    {0},
};
