/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Locks that the dead cannot hold, and guards that undo what a dead owner had begun. */
#include "threads.h"

#include <apr_thread_proc.h>

typedef struct {
    cohort__lock_t lock;
    cohort__guard_t guard;
    _Atomic uint64_t words[COHORT__JOURNAL];
    _Atomic uint64_t counter, inside;
    _Atomic int ready;
    int changes, end;
} table_t;

static table_t *new_table(void) { return party_memory(sizeof(table_t)); }

static void states_of_a_lock(void) {
    table_t *t = new_table();
    cohort__thread_t *me = enter();
    CHECK_INT(0, cohort__lock_owner(&t->lock));
    CHECK_STATUS(APR_SUCCESS, cohort__lock_acquire(&t->lock, me, COHORT_OS_NEVER));
    CHECK_INT(cohort__thread_id(me), cohort__lock_owner(&t->lock));
    CHECK_STATUS(APR_EAGAIN, cohort__lock_acquire(&t->lock, me, 0));
    CHECK_STATUS(COHORT_EDEADLOCK, cohort__lock_acquire(&t->lock, me, COHORT_OS_NEVER));
    cohort__lock_release(&t->lock);
    CHECK_INT(0, cohort__lock_owner(&t->lock));
}

static int hold_and_wait(void *data) {
    table_t *t = *(table_t **)data;
    CHECK_STATUS(APR_SUCCESS, cohort__lock_acquire(&t->lock, enter(), COHORT_OS_NEVER));
    atomic_fetch_add(&t->ready, 1);
    party_wait_for_death();
}

static void a_dead_owner_is_reported_once(void) {
    table_t *t = new_table();
    cohort__thread_t *me = enter();
    cohort_process_t *owner = party_start(hold_and_wait, &t, sizeof t);
    party_await(&t->ready, 1);
    CHECK_STATUS(APR_EAGAIN, cohort__lock_acquire(&t->lock, me, 0));
    CHECK_STATUS(APR_TIMEUP, cohort__lock_acquire(&t->lock, me, soon()));
    CHECK_STATUS(APR_SUCCESS, cohort_process_kill(owner));
    CHECK_STATUS(COHORT_EOWNERDEAD, cohort__lock_acquire(&t->lock, me, COHORT_OS_NEVER));
    cohort__lock_release(&t->lock);
    CHECK_STATUS(APR_SUCCESS, cohort__lock_acquire(&t->lock, me, 0));
    cohort__lock_release(&t->lock);
    party_end(owner, -9);
}

static void *APR_THREAD_FUNC take_and_leave(apr_thread_t *thread, void *data) {
    (void)thread;
    CHECK_STATUS(APR_SUCCESS,
                 cohort__lock_acquire(&((table_t *)data)->lock, enter(), COHORT_OS_NEVER));
    return NULL;
}

static void an_ended_thread_holds_nothing(void) {
    table_t *t = new_table();
    party_thread_finish(party_thread(take_and_leave, t));
    CHECK_STATUS(COHORT_EOWNERDEAD, cohort__lock_acquire(&t->lock, enter(), COHORT_OS_NEVER));
    cohort__lock_release(&t->lock);
}

static int count(void *data) {
    table_t *t = *(table_t **)data;
    cohort__thread_t *me = enter();
    for (int i = 0; t->end == 0 || i < t->end; i++) {
        apr_status_t status = cohort__lock_acquire(&t->lock, me, COHORT_OS_NEVER);
        CHECK(status == APR_SUCCESS || status == COHORT_EOWNERDEAD);
        if (status == COHORT_EOWNERDEAD) atomic_store(&t->inside, 0);
        CHECK_INT(0, atomic_fetch_add(&t->inside, 1));
        atomic_store(&t->counter, atomic_load(&t->counter) + 1);
        atomic_fetch_sub(&t->inside, 1);
        cohort__lock_release(&t->lock);
    }
    return 0;
}

static void one_at_a_time(void) {
    table_t *t = new_table();
    cohort_process_t *counters[4];
    t->end = 3000;
    parties_start(counters, 4, count, &t, sizeof t);
    parties_finish(counters, 4);
    CHECK_INT(4 * t->end, t->counter);
}

static void one_at_a_time_whatever_dies(void) {
    table_t *t = new_table();
    for (int round = 0; round < 10; round++) {
        cohort_process_t *counters[3];
        parties_start(counters, 3, count, &t, sizeof t);
        for (int i = 0; i < 3; i++) {
            for (uint64_t goal = atomic_load(&t->counter) + (uint64_t)(round * 17 % 100) + 1;
                 atomic_load(&t->counter) < goal;)
                apr_thread_yield();
            party_kill(counters[i]);
        }
    }
}

/* ---- guards --------------------------------------------------------------------------------- */

static int change_and_wait(void *data) {
    table_t *t = *(table_t **)data;
    cohort__guard_enter(&t->guard, enter());
    for (int i = 0; i < t->changes; i++)
        cohort__guard_set(&t->guard, &t->words[i % 5], (uint64_t)(1000 + i));
    atomic_fetch_add(&t->ready, 1);
    party_wait_for_death();
}

static void what_a_dead_owner_began_is_undone(void) {
    cohort__thread_t *me = enter();
    for (int changes = 0; changes <= COHORT__JOURNAL; changes++) {
        table_t *t = new_table();
        for (int i = 0; i < 5; i++) atomic_store(&t->words[i], (uint64_t)i);
        t->changes = changes;
        cohort_process_t *owner = party_start(change_and_wait, &t, sizeof t);
        party_await(&t->ready, 1);
        party_kill(owner);
        cohort__guard_enter(&t->guard, me);
        for (int i = 0; i < 5; i++) CHECK_INT(i, t->words[i]);
        CHECK_INT(0, t->guard.changes);
        cohort__guard_leave(&t->guard);
    }
}

static int commit_and_change(void *data) {
    table_t *t = *(table_t **)data;
    cohort__guard_enter(&t->guard, enter());
    cohort__guard_set(&t->guard, &t->words[0], 1);
    cohort__guard_commit(&t->guard);
    cohort__guard_set(&t->guard, &t->words[0], 2);
    cohort__guard_set(&t->guard, &t->words[1], 2);
    atomic_fetch_add(&t->ready, 1);
    party_wait_for_death();
}

static void what_was_committed_stays(void) {
    table_t *t = new_table();
    cohort_process_t *owner = party_start(commit_and_change, &t, sizeof t);
    party_await(&t->ready, 1);
    party_kill(owner);
    cohort__guard_enter(&t->guard, enter());
    CHECK_INT(1, t->words[0]);
    CHECK_INT(0, t->words[1]);
    cohort__guard_leave(&t->guard);
}

/* All words are always equal for the guard's owner. */
static int change_together(void *data) {
    table_t *t = *(table_t **)data;
    cohort__thread_t *me = enter();
    for (int i = 0; t->end == 0 || i < t->end; i++) {
        cohort__guard_enter(&t->guard, me);
        uint64_t value = atomic_load(&t->words[0]);
        for (int k = 1; k < COHORT__JOURNAL; k++) CHECK_INT(value, t->words[k]);
        for (int k = 0; k < COHORT__JOURNAL; k++)
            cohort__guard_set(&t->guard, &t->words[k], value + 1);
        cohort__guard_leave(&t->guard);
        atomic_fetch_add(&t->counter, 1);
    }
    return 0;
}

static void all_or_nothing_whatever_dies(void) {
    table_t *t = new_table();
    for (int round = 0; round < 12; round++) {
        cohort_process_t *changers[3];
        parties_start(changers, 3, change_together, &t, sizeof t);
        for (int i = 0; i < 3; i++) {
            for (uint64_t goal = atomic_load(&t->counter) + (uint64_t)(round * 13 % 60) + 1;
                 atomic_load(&t->counter) < goal;)
                apr_thread_yield();
            party_kill(changers[i]);
        }
    }
    t->end = 200;
    party_finish(party_start(change_together, &t, sizeof t));
}

const test_case_t lock_cases[] = {
    {"CoreLock", "states_of_a_lock", states_of_a_lock},
    {"CoreLock", "a_dead_owner_is_reported_once", a_dead_owner_is_reported_once},
    {"CoreLock", "an_ended_thread_holds_nothing", an_ended_thread_holds_nothing},
    {"CoreLock", "one_at_a_time", one_at_a_time},
    {"CoreLock", "one_at_a_time_whatever_dies", one_at_a_time_whatever_dies},
    {"CoreLock", "what_a_dead_owner_began_is_undone", what_a_dead_owner_began_is_undone},
    {"CoreLock", "what_was_committed_stays", what_was_committed_stays},
    {"CoreLock", "all_or_nothing_whatever_dies", all_or_nothing_whatever_dies},
    {0},
};
