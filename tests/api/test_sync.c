/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Lock, RLock, Semaphore, Condition, Event: what each call says, and what is left of them when
 * somebody is killed. */
#include "parties.h"

/* One kind of arguments for all children: what a case does not need is NULL. */
typedef struct {
    cohort_lock_t *lock;
    cohort_rlock_t *rlock;
    cohort_semaphore_t *semaphore;
    cohort_condition_t *condition, *other;
    cohort_event_t *event;
    _Atomic int *ready, *done;
    int *number;
    int rounds;
} args_t;

static args_t new_args(void) {
    args_t args = {0};
    args.ready = party_memory(sizeof(int));
    args.done = party_memory(sizeof(int));
    args.number = party_memory(sizeof(int));
    return args;
}

/* ---- Lock ----------------------------------------------------------------------------------- */

static args_t lock_args(void) {
    args_t args = new_args();
    CHECK_STATUS(APR_SUCCESS, cohort_lock_create(&args.lock, test_pool()));
    return args;
}

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
    CHECK_STATUS(APR_EINVAL, cohort_lock_owner(lock, NULL));
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
    CHECK_STATUS(COHORT_EHANDLE, cohort_lock_owner(lock, &owner));
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
    CHECK_STATUS(APR_SUCCESS, cohort_lock_owner(args.lock, &owner));
    CHECK(owner == NULL);
    cohort_process_t *child = party_start(hold_for_ever, &args, sizeof args);
    CHECK_STATUS(APR_SUCCESS, cohort_process_set_name(child, "miser"));
    party_await(args.ready, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_lock_owner(args.lock, &owner));
    check_name("miser", owner);
    party_kill(child);
    CHECK_STATUS(COHORT_EOWNERDEAD, cohort_lock_owner(args.lock, &owner));
    CHECK(owner == NULL);
    CHECK_STATUS(COHORT_EOWNERDEAD, cohort_lock_acquire(args.lock, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_lock_owner(args.lock, &owner));
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
        CHECK_STATUS(APR_SUCCESS, cohort_process_close(first));
        CHECK_STATUS(APR_SUCCESS, cohort_process_close(second));
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
    CHECK_STATUS(APR_SUCCESS, cohort_rlock_owner(a->rlock, &owner));
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
    CHECK_STATUS(APR_SUCCESS, cohort_rlock_owner(args.rlock, &owner));
    CHECK(owner == NULL);
    party_finish(party_start(take_and_give, &args, sizeof args));
    party_end(child, -9);
}

static void rlock_arguments(void) {
    cohort_rlock_t *lock = NULL;
    CHECK_STATUS(APR_EINVAL, cohort_rlock_create(NULL, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_rlock_create(&lock, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_rlock_owner(lock, NULL));
    CHECK_STATUS(COHORT_EHANDLE, cohort_lock_acquire((cohort_lock_t *)lock, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_rlock_destroy(lock));
    CHECK_STATUS(APR_SUCCESS, cohort_rlock_destroy(lock));
    CHECK_STATUS(APR_SUCCESS, cohort_rlock_destroy(NULL));
    CHECK_STATUS(COHORT_EHANDLE, cohort_rlock_acquire(lock, 0));
}

/* ---- Semaphore ------------------------------------------------------------------------------ */

static args_t semaphore_args(unsigned value, int bounded) {
    cohort_semaphore_options_t options = {bounded};
    args_t args = new_args();
    CHECK_STATUS(APR_SUCCESS,
                 cohort_semaphore_create(&args.semaphore, value, &options, test_pool()));
    return args;
}

static void check_value(unsigned expected, cohort_semaphore_t *semaphore) {
    unsigned value = 4711;
    CHECK_STATUS(APR_SUCCESS, cohort_semaphore_value(semaphore, &value));
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
    unsigned value;
    CHECK_STATUS(APR_EINVAL, cohort_semaphore_create(NULL, 1, NULL, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_semaphore_create(&s, 0, NULL, NULL));
    CHECK_STATUS(APR_EAGAIN, cohort_semaphore_acquire(s, 0));
    CHECK_STATUS(APR_EINVAL, cohort_semaphore_release(s, 0));
    CHECK_STATUS(APR_EINVAL, cohort_semaphore_value(s, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_semaphore_destroy(s));
    CHECK_STATUS(APR_SUCCESS, cohort_semaphore_destroy(s));
    CHECK_STATUS(APR_SUCCESS, cohort_semaphore_destroy(NULL));
    CHECK_STATUS(COHORT_EHANDLE, cohort_semaphore_acquire(s, 0));
    CHECK_STATUS(COHORT_EHANDLE, cohort_semaphore_release(s, 1));
    CHECK_STATUS(COHORT_EHANDLE, cohort_semaphore_value(s, &value));
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
            CHECK_STATUS(APR_SUCCESS, cohort_process_close(children[i]));
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

/* ---- Condition ------------------------------------------------------------------------------ */

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
    CHECK_STATUS(APR_SUCCESS, cohort_condition_notify(c, 7)); /* nobody there: it is not kept */
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

static int number_is_seven(void *arg) {
    return *(int *)arg == 7;
}

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
    cohort_process_t *heir = party_start(wait_once, &args, sizeof args);
    acquire_when_waiting(&args, 2);
    give_back(&args);
    cohort_process_t *last = party_start(wait_once, &args, sizeof args);
    acquire_when_waiting(&args, 3);
    CHECK_STATUS(APR_SUCCESS, cohort_condition_notify(args.condition, 1));
    party_kill(victim);
    give_back(&args);
    party_finish(heir);
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

/* Time runs out again and again; while somebody else holds the lock that takes until the lock is
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
            CHECK_STATUS(APR_SUCCESS, cohort_process_close(children[i]));
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

/* ---- Event ---------------------------------------------------------------------------------- */

static args_t event_args(void) {
    args_t args = new_args();
    CHECK_STATUS(APR_SUCCESS, cohort_event_create(&args.event, test_pool()));
    return args;
}

static void check_set(int expected, cohort_event_t *event) {
    int is_set = 4711;
    CHECK_STATUS(APR_SUCCESS, cohort_event_is_set(event, &is_set));
    CHECK_INT(expected, is_set);
}

static void event_states(void) {
    cohort_event_t *event = event_args().event;
    check_set(0, event);
    CHECK_STATUS(APR_EAGAIN, cohort_event_wait(event, 0));
    apr_time_t begin = apr_time_now();
    CHECK_STATUS(APR_TIMEUP, cohort_event_wait(event, A_WHILE));
    AT_LEAST(A_WHILE, begin);
    CHECK_STATUS(APR_SUCCESS, cohort_event_set(event));
    CHECK_STATUS(APR_SUCCESS, cohort_event_set(event));
    check_set(1, event);
    CHECK_STATUS(APR_SUCCESS, cohort_event_wait(event, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_event_wait(event, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_event_clear(event));
    CHECK_STATUS(APR_SUCCESS, cohort_event_clear(event));
    check_set(0, event);
    CHECK_STATUS(APR_EAGAIN, cohort_event_wait(event, 0));
}

static void event_arguments(void) {
    cohort_event_t *event = NULL;
    CHECK_STATUS(APR_EINVAL, cohort_event_create(NULL, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_event_create(&event, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_event_is_set(event, NULL));
    CHECK_STATUS(COHORT_EHANDLE, cohort_semaphore_acquire((cohort_semaphore_t *)event, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_event_destroy(event));
    CHECK_STATUS(APR_SUCCESS, cohort_event_destroy(event));
    CHECK_STATUS(APR_SUCCESS, cohort_event_destroy(NULL));
    CHECK_STATUS(COHORT_EHANDLE, cohort_event_set(event));
}

static int await_event(void *data) {
    args_t *a = data;
    atomic_fetch_add(a->ready, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_event_wait(a->event, COHORT_FOREVER));
    atomic_fetch_add(a->done, 1);
    return 0;
}

static void event_wakes_all(void) {
    cohort_process_t *children[6];
    args_t args = event_args();
    parties_start(children, 6, await_event, &args, sizeof args);
    party_await(args.ready, 6);
    CHECK_INT(0, atomic_load(args.done));
    CHECK_STATUS(APR_SUCCESS, cohort_event_set(args.event));
    parties_finish(children, 6);
    check_set(1, args.event);
}

/* Set and cleared at once, again and again until all have seen one: each reaches all that wait, and
 * the event is not set for an instant that they could find by chance. */
static void event_pulses(void) {
    cohort_process_t *children[4];
    args_t args = event_args();
    parties_start(children, 4, await_event, &args, sizeof args);
    party_await(args.ready, 4);
    while (atomic_load(args.done) < 4) {
        CHECK_STATUS(APR_SUCCESS, cohort_event_set(args.event));
        CHECK_STATUS(APR_SUCCESS, cohort_event_clear(args.event));
        apr_sleep(1000);
    }
    parties_finish(children, 4);
    check_set(0, args.event);
}

static void event_waiter_killed(void) {
    cohort_process_t *children[3];
    args_t args = event_args();
    parties_start(children, 3, await_event, &args, sizeof args);
    party_await(args.ready, 3);
    party_kill(children[1]);
    CHECK_STATUS(APR_SUCCESS, cohort_event_set(args.event));
    party_finish(children[0]);
    party_finish(children[2]);
    CHECK_INT(2, atomic_load(args.done));
}

static int expect_no_event(void *data) {
    args_t *a = data;
    atomic_fetch_add(a->ready, 1);
    CHECK_STATUS(COHORT_EHANDLE, cohort_event_wait(a->event, COHORT_FOREVER));
    return 0;
}

static void event_destroyed_under_waiters(void) {
    cohort_process_t *children[2];
    args_t args = event_args();
    parties_start(children, 2, expect_no_event, &args, sizeof args);
    party_await(args.ready, 2);
    CHECK_STATUS(APR_SUCCESS, cohort_event_destroy(args.event));
    parties_finish(children, 2);
}

const test_case_t sync_cases[] = {
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
    {"Event", "states", event_states},
    {"Event", "arguments", event_arguments},
    {"Event", "wakes_all", event_wakes_all},
    {"Event", "pulses", event_pulses},
    {"Event", "waiter_killed", event_waiter_killed},
    {"Event", "destroyed_under_waiters", event_destroyed_under_waiters},
    {0}};
