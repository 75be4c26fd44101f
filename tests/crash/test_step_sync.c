/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Death in the synchronisers. The victim does one thing to an object, sometimes with a thread of
 * the survivor that waits in it; after its death no lock stays held, no permit is missing, no
 * notification is lost or doubled, every waiter comes back and is told the truth, and the object
 * does all that it did before.
 */
#include "check.h"
#include "step.h"

#include <apr_thread_proc.h>
#include <cohort/cohort.h>
#include <stdatomic.h>

#define HOLDERS 6 /* one more does not fit into a semaphore */
#define PERMITS 10

typedef struct {
    cohort_lock_t *lock;
    cohort_rlock_t *rlock;
    cohort_semaphore_t *semaphore;
    cohort_condition_t *condition;
    cohort_event_t *event;
    cohort_barrier_t *barrier;
    _Atomic int actions, ready;
    /* of the survivor alone */
    apr_pool_t *pool;
    apr_thread_t *thread;
    apr_status_t result;
} state_t;

static state_t *new_state(void) {
    state_t *s = step_new(sizeof(state_t));
    CHECK_STATUS(APR_SUCCESS, apr_pool_create(&s->pool, test_pool()));
    return s;
}

static void discard(void *state) {
    state_t *s = state;
    CHECK_STATUS(APR_SUCCESS, cohort_lock_destroy(s->lock));
    CHECK_STATUS(APR_SUCCESS, cohort_rlock_destroy(s->rlock));
    CHECK_STATUS(APR_SUCCESS, cohort_semaphore_destroy(s->semaphore));
    CHECK_STATUS(APR_SUCCESS, cohort_condition_destroy(s->condition));
    CHECK_STATUS(APR_SUCCESS, cohort_event_destroy(s->event));
    CHECK_STATUS(APR_SUCCESS, cohort_barrier_destroy(s->barrier));
    apr_pool_destroy(s->pool);
    CHECK_STATUS(APR_SUCCESS, cohort_free(s));
}

static void thread_start(state_t *s, apr_thread_start_t run) {
    CHECK_STATUS(APR_SUCCESS, apr_thread_create(&s->thread, NULL, run, s, s->pool));
}

static apr_status_t thread_result(state_t *s) {
    apr_status_t status, joined = apr_thread_join(&status, s->thread);
    /* what APR may say when the thread returned instead of apr_thread_exit() */
    CHECK(joined == APR_SUCCESS || joined == APR_INCOMPLETE);
    return s->result;
}

static bool is_mine(apr_status_t status) {
    return status == APR_SUCCESS || status == COHORT_EOWNERDEAD;
}

/* ---- Lock and RLock ------------------------------------------------------------------------- */

static void *a_lock(void) {
    state_t *s = new_state();
    CHECK_STATUS(APR_SUCCESS, cohort_lock_create(&s->lock, NULL));
    return s;
}

static void lock_acquire(void *state) { (void)!cohort_lock_acquire(((state_t *)state)->lock, 0); }

static void lock_release(void *state) { (void)cohort_lock_release(((state_t *)state)->lock); }

static void check_lock_works(state_t *s) {
    CHECK_STATUS(APR_SUCCESS, cohort_lock_release(s->lock));
    CHECK_STATUS(COHORT_EOVERRELEASE, cohort_lock_release(s->lock));
    CHECK_STATUS(APR_SUCCESS, cohort_lock_acquire(s->lock, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_lock_release(s->lock));
}

static void check_acquire(void *state, bool finished) {
    state_t *s = state;
    apr_status_t status = cohort_lock_acquire(s->lock, COHORT_FOREVER);
    CHECK(status == COHORT_EOWNERDEAD || (status == APR_SUCCESS && !finished));
    check_lock_works(s);
}

static void check_release(void *state, bool finished) {
    state_t *s = state;
    apr_status_t status = cohort_lock_acquire(s->lock, COHORT_FOREVER);
    CHECK(status == APR_SUCCESS || (status == COHORT_EOWNERDEAD && !finished));
    check_lock_works(s);
}

static void *an_rlock(void) {
    state_t *s = new_state();
    CHECK_STATUS(APR_SUCCESS, cohort_rlock_create(&s->rlock, NULL));
    return s;
}

static void rlock_twice(void *state) {
    state_t *s = state;
    for (int i = 0; i < 2; i++) (void)!cohort_rlock_acquire(s->rlock, 0);
    for (int i = 0; i < 2; i++) (void)cohort_rlock_release(s->rlock);
}

static void check_rlock(void *state, bool finished) {
    state_t *s = state;
    apr_status_t status = cohort_rlock_acquire(s->rlock, COHORT_FOREVER);
    CHECK(status == APR_SUCCESS || (status == COHORT_EOWNERDEAD && !finished));
    CHECK_STATUS(APR_SUCCESS, cohort_rlock_release(s->rlock));
    CHECK_STATUS(COHORT_ENOTOWNER, cohort_rlock_release(s->rlock));
}

/* ---- Semaphore ------------------------------------------------------------------------------ */

static void *a_semaphore(void) {
    state_t *s = new_state();
    CHECK_STATUS(APR_SUCCESS,
                 cohort_semaphore_create(&s->semaphore, PERMITS,
                                         &(cohort_semaphore_options_t){.bounded = 1}, NULL));
    return s;
}

/* Processes that live as long as the case and take a permit of each new semaphore; it is destroyed
 * before the next. */
typedef struct {
    cohort_semaphore_t *semaphore;
    _Atomic int begun, round, ready;
} crowd_t;

static int hold_permits(void *args) {
    crowd_t *crowd = *(crowd_t **)args;
    atomic_fetch_add(&crowd->begun, 1);
    for (int round = 1;; round++) {
        while (atomic_load(&crowd->round) < round) apr_sleep(200);
        CHECK_STATUS(APR_SUCCESS, cohort_semaphore_acquire(crowd->semaphore, COHORT_FOREVER));
        atomic_fetch_add(&crowd->ready, 1);
    }
    return 0;
}

static crowd_t *crowd;

static void start_crowd(void) {
    void *block;
    cohort_process_options_t options = {.lifetime = COHORT_LIFETIME_DAEMON};
    CHECK_STATUS(APR_SUCCESS, cohort_alloc(&block, sizeof(crowd_t)));
    crowd = memset(block, 0, sizeof(crowd_t));
    for (int i = 0; i < HOLDERS; i++) {
        cohort_process_t *process;
        CHECK_STATUS(APR_SUCCESS, cohort_process_create(&process, hold_permits, &crowd,
                                                        sizeof crowd, &options, NULL));
        CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
    }
    /* each has freed its arguments by then, before which no block is counted */
    while (atomic_load(&crowd->begun) < HOLDERS) sched_yield();
}

static void *a_crowded_semaphore(void) {
    state_t *s = a_semaphore();
    crowd->semaphore = s->semaphore;
    atomic_store(&crowd->ready, 0);
    atomic_fetch_add(&crowd->round, 1);
    while (atomic_load(&crowd->ready) < HOLDERS) apr_sleep(200);
    atomic_store(&s->ready, HOLDERS);
    return s;
}

static void semaphore_take(void *state) {
    (void)!cohort_semaphore_acquire(((state_t *)state)->semaphore, 0);
}

static void semaphore_take_and_give(void *state) {
    semaphore_take(state);
    (void)cohort_semaphore_release(((state_t *)state)->semaphore, 1);
}

static void check_permits(void *state, bool finished) {
    state_t *s = state;
    unsigned free_permits = PERMITS - (unsigned)atomic_load(&s->ready), value;
    (void)finished;
    for (unsigned i = 0; i < free_permits; i++)
        CHECK_STATUS(APR_SUCCESS, cohort_semaphore_acquire(s->semaphore, 0));
    CHECK_STATUS(APR_EAGAIN, cohort_semaphore_acquire(s->semaphore, 0));
    CHECK_STATUS(COHORT_EOVERRELEASE, cohort_semaphore_release(s->semaphore, PERMITS + 1));
    CHECK_STATUS(APR_SUCCESS, cohort_semaphore_release(s->semaphore, free_permits));
    value = cohort_semaphore_value(s->semaphore);
    CHECK_INT(free_permits, value);
}

static void *a_signal(void) {
    state_t *s = new_state();
    CHECK_STATUS(APR_SUCCESS, cohort_semaphore_create(&s->semaphore, 0, NULL, NULL));
    return s;
}

static void semaphore_signal(void *state) {
    (void)cohort_semaphore_release(((state_t *)state)->semaphore, 2);
}

static void check_signal(void *state, bool finished) {
    state_t *s = state;
    unsigned value;
    value = cohort_semaphore_value(s->semaphore);
    CHECK(value == 2 || (value == 0 && !finished));
    CHECK_STATUS(APR_SUCCESS, cohort_semaphore_release(s->semaphore, 1));
    for (unsigned i = 0; i <= value; i++)
        CHECK_STATUS(APR_SUCCESS, cohort_semaphore_acquire(s->semaphore, 0));
    CHECK_STATUS(APR_EAGAIN, cohort_semaphore_acquire(s->semaphore, 0));
}

static void semaphore_take_in_vain(void *state) {
    (void)!cohort_semaphore_acquire(((state_t *)state)->semaphore, 1);
}

/* A process that waited in vain has taken nothing. */
static void check_no_permit(void *state, bool finished) {
    state_t *s = state;
    unsigned value;
    (void)finished;
    value = cohort_semaphore_value(s->semaphore);
    CHECK_INT(0, value);
    CHECK_STATUS(APR_SUCCESS, cohort_semaphore_release(s->semaphore, 1));
    CHECK_STATUS(APR_SUCCESS, cohort_semaphore_acquire(s->semaphore, 0));
    CHECK_STATUS(APR_EAGAIN, cohort_semaphore_acquire(s->semaphore, 0));
}

/* ---- Lock, held by another ------------------------------------------------------------------ */

static void *a_held_lock(void) {
    state_t *s = a_lock();
    CHECK_STATUS(APR_SUCCESS, cohort_lock_acquire(s->lock, 0));
    return s;
}

static void lock_in_vain(void *state) { (void)!cohort_lock_acquire(((state_t *)state)->lock, 1); }

static void check_held(void *state, bool finished) {
    state_t *s = state;
    (void)finished;
    CHECK_STATUS(APR_EAGAIN, cohort_lock_acquire(s->lock, 0));
    check_lock_works(s);
}

/* ---- Event ---------------------------------------------------------------------------------- */

static void *APR_THREAD_FUNC await_event(apr_thread_t *thread, void *state) {
    state_t *s = state;
    (void)thread;
    s->result = cohort_event_wait(s->event, COHORT_FOREVER);
    return NULL;
}

static void *an_awaited_event(void) {
    state_t *s = new_state();
    CHECK_STATUS(APR_SUCCESS, cohort_event_create(&s->event, NULL));
    thread_start(s, await_event);
    return s;
}

static void event_set(void *state) { (void)cohort_event_set(((state_t *)state)->event); }

static void check_event(void *state, bool finished) {
    state_t *s = state;
    int is_set;
    is_set = cohort_event_is_set(s->event);
    CHECK(is_set || !finished);
    if (!is_set) CHECK_STATUS(APR_SUCCESS, cohort_event_set(s->event));
    CHECK_STATUS(APR_SUCCESS, thread_result(s));
}

/* ---- Condition ------------------------------------------------------------------------------ */

static void *APR_THREAD_FUNC wait_for_notice(apr_thread_t *thread, void *state) {
    state_t *s = state;
    (void)thread;
    CHECK_STATUS(APR_SUCCESS, cohort_condition_acquire(s->condition, COHORT_FOREVER));
    atomic_store(&s->ready, 1);
    s->result = cohort_condition_wait(s->condition, COHORT_FOREVER);
    CHECK_STATUS(APR_SUCCESS, cohort_condition_release(s->condition));
    return NULL;
}

/* With a waiter in it. */
static void *a_condition(void) {
    state_t *s = new_state();
    CHECK_STATUS(APR_SUCCESS, cohort_condition_create(&s->condition, NULL, NULL));
    thread_start(s, wait_for_notice);
    while (!atomic_load(&s->ready)) apr_sleep(100);
    /* when it waits */
    CHECK_STATUS(APR_SUCCESS, cohort_condition_acquire(s->condition, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_condition_release(s->condition));
    return s;
}

static void condition_notify(void *state) {
    state_t *s = state;
    (void)!cohort_condition_acquire(s->condition, 0);
    (void)cohort_condition_notify(s->condition, 1);
    (void)cohort_condition_release(s->condition);
}

static void condition_wait(void *state) {
    state_t *s = state;
    (void)!cohort_condition_acquire(s->condition, 0);
    (void)!cohort_condition_wait(s->condition, 1);
    (void)cohort_condition_release(s->condition);
}

static void notify_one(state_t *s) {
    CHECK(is_mine(cohort_condition_acquire(s->condition, COHORT_FOREVER)));
    CHECK_STATUS(APR_SUCCESS, cohort_condition_notify(s->condition, 1));
    CHECK_STATUS(APR_SUCCESS, cohort_condition_release(s->condition));
}

static void check_nothing_left(state_t *s) {
    CHECK_STATUS(APR_SUCCESS, cohort_condition_acquire(s->condition, COHORT_FOREVER));
    CHECK_STATUS(APR_TIMEUP, cohort_condition_wait(s->condition, 1));
    CHECK_STATUS(APR_SUCCESS, cohort_condition_release(s->condition));
}

static void check_notified(void *state, bool finished) {
    state_t *s = state;
    if (!finished) notify_one(s);
    CHECK(is_mine(thread_result(s)));
    CHECK(!finished || s->result == APR_SUCCESS);
    check_nothing_left(s);
}

/* The dead waiter does not get what is meant for the living. */
static void check_waited(void *state, bool finished) {
    state_t *s = state;
    (void)finished;
    notify_one(s);
    CHECK(is_mine(thread_result(s)));
    check_nothing_left(s);
}

/* ---- Barrier -------------------------------------------------------------------------------- */

static void count_action(void *arg) { atomic_fetch_add((_Atomic int *)arg, 1); }

static void *APR_THREAD_FUNC meet(apr_thread_t *thread, void *state) {
    state_t *s = state;
    (void)thread;
    s->result = cohort_barrier_wait(s->barrier, NULL, COHORT_FOREVER);
    return NULL;
}

static void *a_barrier(void) {
    state_t *s = new_state();
    cohort_barrier_options_t options = {.action = count_action, .action_arg = &s->actions};
    CHECK_STATUS(APR_SUCCESS, cohort_barrier_create(&s->barrier, 2, &options, NULL));
    return s;
}

static void *a_barrier_with_one(void) {
    state_t *s = a_barrier();
    unsigned waiting = 0;
    thread_start(s, meet);
    for (; waiting == 0; apr_sleep(100)) waiting = cohort_barrier_waiting(s->barrier);
    return s;
}

static void barrier_wait_in_vain(void *state) {
    (void)!cohort_barrier_wait(((state_t *)state)->barrier, NULL, 1);
}

static void barrier_wait_as_last(void *state) {
    (void)!cohort_barrier_wait(((state_t *)state)->barrier, NULL, 0);
}

static void check_barrier_works(state_t *s) {
    int actions = atomic_load(&s->actions);
    CHECK_STATUS(APR_SUCCESS, cohort_barrier_reset(s->barrier));
    for (int i = 1; i <= 2; i++) {
        thread_start(s, meet);
        CHECK_STATUS(APR_SUCCESS, cohort_barrier_wait(s->barrier, NULL, COHORT_FOREVER));
        CHECK_STATUS(APR_SUCCESS, thread_result(s));
        CHECK_INT(actions + i, atomic_load(&s->actions));
    }
}

/* Two others come. They meet if the victim never came, or find the barrier broken. */
static void check_first(void *state, bool finished) {
    state_t *s = state;
    thread_start(s, meet);
    apr_status_t status = cohort_barrier_wait(s->barrier, NULL, COHORT_FOREVER);
    CHECK(status == COHORT_EBROKEN || (status == APR_SUCCESS && !finished));
    CHECK_STATUS(status, thread_result(s));
    CHECK_INT(status == APR_SUCCESS, atomic_load(&s->actions));
    check_barrier_works(s);
}

/* One more comes. It meets the one that waits if the victim never came. Else it finds the barrier
 * broken: as the victim died in the meeting, or after it. */
static void check_last(void *state, bool finished) {
    state_t *s = state;
    apr_status_t status = cohort_barrier_wait(s->barrier, NULL, COHORT_FOREVER),
                 other = thread_result(s);
    CHECK(status == COHORT_EBROKEN || (status == APR_SUCCESS && other == APR_SUCCESS && !finished));
    CHECK(other == APR_SUCCESS || (other == COHORT_EBROKEN && !finished));
    CHECK(other != APR_SUCCESS || atomic_load(&s->actions) == 1);
    check_barrier_works(s);
}

/* Of three, one waits; the victim is the second, and goes again when its time is over. */
static void *a_barrier_of_three(void) {
    state_t *s = new_state();
    cohort_barrier_options_t options = {.action = count_action, .action_arg = &s->actions};
    unsigned waiting = 0;
    CHECK_STATUS(APR_SUCCESS, cohort_barrier_create(&s->barrier, 3, &options, NULL));
    thread_start(s, meet);
    for (; waiting == 0; apr_sleep(100)) waiting = cohort_barrier_waiting(s->barrier);
    return s;
}

static apr_status_t meet_three(state_t *s, bool first_waits) {
    state_t second = {.barrier = s->barrier, .pool = s->pool};
    if (!first_waits) thread_start(s, meet);
    thread_start(&second, meet);
    apr_status_t status = cohort_barrier_wait(s->barrier, NULL, COHORT_FOREVER);
    CHECK_STATUS(status, thread_result(&second));
    CHECK_STATUS(status, thread_result(s));
    return status;
}

/* Two more come. They meet the one that waits if the victim never came, or all find the barrier
 * broken. */
static void check_middle(void *state, bool finished) {
    state_t *s = state;
    apr_status_t status = meet_three(s, true);
    CHECK(status == COHORT_EBROKEN || (status == APR_SUCCESS && !finished));
    CHECK_INT(status == APR_SUCCESS, atomic_load(&s->actions));
    CHECK_STATUS(APR_SUCCESS, cohort_barrier_reset(s->barrier));
    CHECK_STATUS(APR_SUCCESS, meet_three(s, false));
}

static void barrier_destroy(void *state) {
    (void)cohort_barrier_destroy(((state_t *)state)->barrier);
}

static void semaphore_destroy(void *state) {
    (void)cohort_semaphore_destroy(((state_t *)state)->semaphore);
}

/* Nothing but what discard and the count of blocks check. */
static void check_destroyed(void *state, bool finished) {
    (void)state;
    (void)finished;
}

#define CASE_AFTER(begin_, function, prepare_, warm_, operate_, check_)      \
    static const step_scenario_t function##_scenario = {.prepare = prepare_, \
                                                        .warm = warm_,       \
                                                        .operate = operate_, \
                                                        .check = check_,     \
                                                        .discard = discard}; \
    static void case_##function(void) {                                      \
        begin_;                                                              \
        step_through(#function, &function##_scenario);                       \
    }                                                                        \
    static void case_##function##_repair(void) {                             \
        begin_;                                                              \
        step_through_repair(#function, &function##_scenario);                \
    }
#define CASE(...) CASE_AFTER((void)0, __VA_ARGS__)

CASE(lock_acquire, a_lock, NULL, lock_acquire, check_acquire)
CASE(lock_release, a_lock, lock_acquire, lock_release, check_release)
CASE(rlock, an_rlock, NULL, rlock_twice, check_rlock)
CASE(semaphore_take, a_semaphore, NULL, semaphore_take, check_permits)
CASE(semaphore_take_and_give, a_semaphore, NULL, semaphore_take_and_give, check_permits)
CASE_AFTER(start_crowd(), semaphore_crowded, a_crowded_semaphore, NULL, semaphore_take,
           check_permits)
CASE(semaphore_signal, a_signal, NULL, semaphore_signal, check_signal)
CASE_AFTER(start_crowd(), semaphore_destroy, a_crowded_semaphore, semaphore_take, semaphore_destroy,
           check_destroyed)
CASE(event_set, an_awaited_event, NULL, event_set, check_event)
CASE(condition_notify, a_condition, NULL, condition_notify, check_notified)
CASE(condition_wait, a_condition, NULL, condition_wait, check_waited)
CASE(barrier_first, a_barrier, NULL, barrier_wait_in_vain, check_first)
CASE(barrier_last, a_barrier_with_one, NULL, barrier_wait_as_last, check_last)
CASE(barrier_middle, a_barrier_of_three, NULL, barrier_wait_in_vain, check_middle)
CASE(semaphore_blocked, a_signal, NULL, semaphore_take_in_vain, check_no_permit)
CASE(lock_blocked, a_held_lock, NULL, lock_in_vain, check_held)
CASE(barrier_destroy, a_barrier, NULL, barrier_destroy, check_destroyed)

#define ENTRIES(function)                                         \
    {"StepSync", #function, case_##function}, {                   \
        "StepSync", #function "_repair", case_##function##_repair \
    }
const test_case_t step_sync_cases[] = {ENTRIES(lock_acquire),
                                       ENTRIES(lock_release),
                                       ENTRIES(rlock),
                                       ENTRIES(semaphore_take),
                                       ENTRIES(semaphore_take_and_give),
                                       ENTRIES(semaphore_crowded),
                                       ENTRIES(semaphore_signal),
                                       ENTRIES(semaphore_destroy),
                                       ENTRIES(event_set),
                                       ENTRIES(condition_notify),
                                       ENTRIES(condition_wait),
                                       ENTRIES(barrier_first),
                                       ENTRIES(barrier_last),
                                       ENTRIES(barrier_middle),
                                       ENTRIES(semaphore_blocked),
                                       ENTRIES(lock_blocked),
                                       ENTRIES(barrier_destroy),
                                       {0}};
