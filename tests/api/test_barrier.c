/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Barrier: meetings, actions, what breaks it, and that no death makes a party wait. */
#include "parties.h"

#include <stdlib.h>

#define ROUNDS_MAX 400

typedef struct {
    cohort_barrier_t *barrier;
    _Atomic int *ready;   /* whatever a case counts */
    _Atomic int *arrived; /* per round */
    _Atomic int *seen;    /* per round and index */
    _Atomic int *actions;
    int parties, rounds, number;
    apr_interval_time_t timeout;
} args_t;

static args_t new_args(int parties, int rounds, void (*action)(void *)) {
    args_t args = {.parties = parties, .rounds = rounds, .timeout = COHORT_FOREVER};
    args.ready = party_memory(sizeof(int));
    args.actions = party_memory(sizeof(int));
    args.arrived = party_memory((apr_size_t)(rounds + 1) * sizeof(int));
    args.seen = party_memory((apr_size_t)((rounds + 1) * parties) * sizeof(int));
    cohort_barrier_options_t options = {.action = action, .action_arg = args.actions};
    CHECK_STATUS(APR_SUCCESS,
                 cohort_barrier_create(&args.barrier, (unsigned)parties, &options, test_pool()));
    return args;
}

static void check_waiting(unsigned expected, cohort_barrier_t *barrier) {
    unsigned waiting = 4711;
    waiting = cohort_barrier_waiting(barrier);
    CHECK_INT(expected, waiting);
}

static void check_broken(int expected, cohort_barrier_t *barrier) {
    int broken = 4711;
    broken = cohort_barrier_is_broken(barrier);
    CHECK_INT(expected, broken);
}

static void await_waiting(cohort_barrier_t *barrier, unsigned n) {
    unsigned waiting = 0;
    for (; waiting < n; apr_sleep(500)) waiting = cohort_barrier_waiting(barrier);
}

static apr_status_t meet(cohort_barrier_t *barrier) {
    return cohort_barrier_wait(barrier, NULL, COHORT_FOREVER);
}

/* Children that say what came of their wait. */

static int expect_met(void *data) {
    CHECK_STATUS(APR_SUCCESS, meet(((args_t *)data)->barrier));
    return 0;
}

static int expect_broken(void *data) {
    CHECK_STATUS(COHORT_EBROKEN, meet(((args_t *)data)->barrier));
    return 0;
}

static int expect_destroyed(void *data) {
    args_t *a = data;
    atomic_fetch_add(a->ready, 1);
    CHECK_STATUS(COHORT_EHANDLE, meet(a->barrier));
    return 0;
}

/* ---- meetings ------------------------------------------------------------------------------- */

static void count_action(void *arg) { atomic_fetch_add((_Atomic int *)arg, 1); }

/* No party goes on before all are there; the action has been run exactly once per round by then;
 * each has an index of its own. */
static int meet_often(void *data) {
    args_t *a = data;
    for (int round = 0; round < a->rounds; round++) {
        apr_size_t index = 4711;
        atomic_fetch_add(&a->arrived[round], 1);
        CHECK_STATUS(APR_SUCCESS, cohort_barrier_wait(a->barrier, &index, a->timeout));
        CHECK_INT(a->parties, atomic_load(&a->arrived[round]));
        int actions = atomic_load(a->actions);
        CHECK(actions == round + 1 ||
              (actions == round + 2 && atomic_load(&a->arrived[round + 1]) == a->parties));
        CHECK(index < (unsigned)a->parties);
        CHECK_INT(0, atomic_fetch_add(&a->seen[round * a->parties + (int)index], 1));
    }
    return 0;
}

static void *APR_THREAD_FUNC meet_often_thread(apr_thread_t *thread, void *data) {
    (void)thread;
    (void)meet_often(data);
    return NULL;
}

static void check_all_met(args_t *a) {
    for (int i = 0; i < a->rounds * a->parties; i++) CHECK_INT(1, atomic_load(&a->seen[i]));
    CHECK_INT(a->rounds, atomic_load(a->actions));
    check_waiting(0, a->barrier);
    check_broken(0, a->barrier);
}

static void processes_meet(int parties, int rounds, apr_interval_time_t timeout) {
    cohort_process_t *children[PARTIES_MAX];
    args_t args = new_args(parties, rounds, count_action);
    args.timeout = timeout;
    parties_start(children, parties - 1, meet_often, &args, sizeof args);
    (void)meet_often(&args);
    parties_finish(children, parties - 1);
    check_all_met(&args);
}

static void two_meet(void) { processes_meet(2, ROUNDS_MAX, COHORT_FOREVER); }

static void five_meet(void) { processes_meet(5, 100, COHORT_FOREVER); }

static void sixteen_meet(void) { processes_meet(16, 30, apr_time_from_sec(100)); }

static void threads_meet(int parties, int rounds) {
    apr_thread_t *threads[PARTIES_MAX];
    args_t args = new_args(parties, rounds, count_action);
    for (int i = 1; i < parties; i++) threads[i] = party_thread(meet_often_thread, &args);
    (void)meet_often(&args);
    for (int i = 1; i < parties; i++) party_thread_finish(threads[i]);
    check_all_met(&args);
}

static void four_threads_meet(void) { threads_meet(4, ROUNDS_MAX); }

static void sixty_four_threads_meet(void) { threads_meet(64, 20); }

static void alone(void) {
    apr_size_t index = 4711;
    args_t args = new_args(1, 1, count_action);
    CHECK_STATUS(APR_SUCCESS, cohort_barrier_wait(args.barrier, &index, COHORT_FOREVER));
    CHECK_INT(0, index);
    CHECK_STATUS(APR_SUCCESS, cohort_barrier_wait(args.barrier, NULL, 0));
    CHECK_INT(2, atomic_load(args.actions));
}

/* More come than it takes: they meet in whatever groups. The number of visits is even, so no party
 * is left over. */
static void *APR_THREAD_FUNC visit(apr_thread_t *thread, void *data) {
    args_t *a = data;
    (void)thread;
    while (atomic_fetch_sub(a->ready, 1) > 0) CHECK_STATUS(APR_SUCCESS, meet(a->barrier));
    return NULL;
}

static void more_come_than_it_takes(void) {
    apr_thread_t *threads[5];
    args_t args = new_args(2, 1, count_action);
    atomic_store(args.ready, 600);
    for (int i = 0; i < 5; i++) threads[i] = party_thread(visit, &args);
    for (int i = 0; i < 5; i++) party_thread_finish(threads[i]);
    CHECK_INT(300, atomic_load(args.actions));
}

/* Each meeting by other processes: that the last ones have ended by themselves breaks nothing. */
static void parties_end_and_others_come(void) {
    args_t args = new_args(2, 1, count_action);
    for (int i = 0; i < 3; i++) {
        cohort_process_t *children[2];
        parties_start(children, 2, expect_met, &args, sizeof args);
        for (int k = 0; k < 2; k++) party_end(children[k], 0);
    }
    CHECK_INT(3, atomic_load(args.actions));
}

static void tries(void) {
    args_t args = new_args(2, 1, NULL);
    CHECK_STATUS(APR_EAGAIN, cohort_barrier_wait(args.barrier, NULL, 0));
    CHECK_STATUS(APR_EAGAIN, cohort_barrier_wait(args.barrier, NULL, -5));
    check_waiting(0, args.barrier);
    cohort_process_t *child = party_start(expect_met, &args, sizeof args);
    await_waiting(args.barrier, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_barrier_wait(args.barrier, NULL, 0));
    party_finish(child);
    CHECK_STATUS(APR_SUCCESS, cohort_barrier_abort(args.barrier));
    CHECK_STATUS(COHORT_EBROKEN, cohort_barrier_wait(args.barrier, NULL, 0));
}

/* ---- breaking it, by will or by time -------------------------------------------------------- */

static void aborted(void) {
    cohort_process_t *children[2];
    args_t args = new_args(3, 1, count_action);
    parties_start(children, 2, expect_broken, &args, sizeof args);
    await_waiting(args.barrier, 2);
    CHECK_STATUS(APR_SUCCESS, cohort_barrier_abort(args.barrier));
    CHECK_STATUS(APR_SUCCESS, cohort_barrier_abort(args.barrier));
    parties_finish(children, 2);
    check_broken(1, args.barrier);
    check_waiting(0, args.barrier);
    CHECK_STATUS(COHORT_EBROKEN, meet(args.barrier));
    CHECK_INT(0, atomic_load(args.actions));
}

static void reset_when_broken(void) {
    args_t args = new_args(2, 20, count_action);
    CHECK_STATUS(APR_SUCCESS, cohort_barrier_abort(args.barrier));
    CHECK_STATUS(APR_SUCCESS, cohort_barrier_reset(args.barrier));
    check_broken(0, args.barrier);
    cohort_process_t *child = party_start(meet_often, &args, sizeof args);
    (void)meet_often(&args);
    party_finish(child);
    check_all_met(&args);
}

/* Those that wait are told, and those that come afterwards begin anew: not even the places of the
 * former are taken. */
static void reset_under_parties(void) {
    cohort_process_t *waiting[2], *children[2];
    args_t args = new_args(3, 10, count_action);
    CHECK_STATUS(APR_SUCCESS, cohort_barrier_reset(args.barrier));
    parties_start(waiting, 2, expect_broken, &args, sizeof args);
    await_waiting(args.barrier, 2);
    CHECK_STATUS(APR_SUCCESS, cohort_barrier_reset(args.barrier));
    parties_finish(waiting, 2);
    check_broken(0, args.barrier);
    check_waiting(0, args.barrier);
    parties_start(children, 2, meet_often, &args, sizeof args);
    (void)meet_often(&args);
    parties_finish(children, 2);
    check_all_met(&args);
}

static void time_runs_out(void) {
    args_t args = new_args(3, 1, NULL);
    cohort_process_t *child = party_start(expect_broken, &args, sizeof args);
    await_waiting(args.barrier, 1);
    apr_time_t begin = apr_time_now();
    CHECK_STATUS(APR_TIMEUP, cohort_barrier_wait(args.barrier, NULL, A_WHILE));
    AT_LEAST(A_WHILE, begin);
    party_finish(child);
    check_broken(1, args.barrier);
    CHECK_STATUS(COHORT_EBROKEN, cohort_barrier_wait(args.barrier, NULL, A_WHILE));
}

static void own_time_runs_out(void) {
    cohort_barrier_t *barrier;
    cohort_barrier_options_t options = {.timeout = A_WHILE};
    CHECK_STATUS(APR_SUCCESS, cohort_barrier_create(&barrier, 2, &options, test_pool()));
    apr_time_t begin = apr_time_now();
    CHECK_STATUS(APR_TIMEUP, meet(barrier));
    AT_LEAST(A_WHILE, begin);
    check_broken(1, barrier);
}

static void sleep_for_long(void *arg) {
    atomic_fetch_add((_Atomic int *)arg, 1);
    party_wait_for_death();
}

/* A caller in excess, which waits for the meeting to end, runs out of time without harm to it. */
static void time_runs_out_in_excess(void) {
    args_t args = new_args(2, 1, sleep_for_long);
    cohort_process_t *first = party_start(expect_broken, &args, sizeof args);
    await_waiting(args.barrier, 1);
    cohort_process_t *last = party_start(expect_met, &args, sizeof args); /* runs the action */
    party_await(args.actions, 1);
    CHECK_STATUS(APR_TIMEUP, cohort_barrier_wait(args.barrier, NULL, 1000));
    CHECK_STATUS(APR_EAGAIN, cohort_barrier_wait(args.barrier, NULL, 0));
    check_broken(0, args.barrier);
    check_waiting(2, args.barrier);
    CHECK_STATUS(APR_SUCCESS, cohort_barrier_abort(args.barrier));
    party_finish(first);
    party_kill(last);
}

static int meet_after_first(void *data) {
    args_t *a = data;
    await_waiting(a->barrier, 1);
    (void)meet(a->barrier);
    return 0;
}

/* One of the meeting does not wait for the action for ever. */
static void time_runs_out_during_action(void) {
    args_t args = new_args(2, 1, sleep_for_long);
    apr_status_t status;
    cohort_process_t *last = NULL;
    /* The one that comes second runs the action. If time ran out before it came, it is broken for
     * it, and there is another try. */
    do {
        CHECK_STATUS(APR_SUCCESS, cohort_barrier_reset(args.barrier));
        atomic_store(args.actions, 0);
        last = party_start(meet_after_first, &args, sizeof args);
        status = cohort_barrier_wait(args.barrier, NULL, 4 * A_WHILE);
        CHECK_STATUS(APR_TIMEUP, status);
        CHECK_STATUS(APR_SUCCESS, cohort_process_kill(last));
        CHECK_STATUS(APR_SUCCESS, cohort_process_join(last, COHORT_FOREVER));
    } while (atomic_load(args.actions) == 0);
    check_broken(1, args.barrier);
    CHECK_STATUS(COHORT_EBROKEN, meet(args.barrier));
}

static void arguments(void) {
    cohort_barrier_t *barrier = NULL;
    cohort_barrier_options_t negative = {.timeout = -1};
    unsigned parties = 0;
    CHECK_STATUS(APR_EINVAL, cohort_barrier_create(NULL, 2, NULL, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_barrier_create(&barrier, 0, NULL, NULL));
    CHECK_STATUS(APR_EINVAL,
                 cohort_barrier_create(&barrier, COHORT_BARRIER_PARTIES_MAX + 1, NULL, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_barrier_create(&barrier, 2, &negative, NULL));
    CHECK_STATUS(APR_SUCCESS,
                 cohort_barrier_create(&barrier, COHORT_BARRIER_PARTIES_MAX, NULL, NULL));
    parties = cohort_barrier_parties(barrier);
    CHECK_INT(COHORT_BARRIER_PARTIES_MAX, parties);
    CHECK_STATUS(APR_TIMEUP, cohort_barrier_wait(barrier, NULL, 1000));
    CHECK_STATUS(COHORT_EHANDLE, cohort_lock_acquire((cohort_lock_t *)barrier, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_barrier_destroy(barrier));
    CHECK_STATUS(APR_SUCCESS, cohort_barrier_destroy(barrier));
    CHECK_STATUS(APR_SUCCESS, cohort_barrier_destroy(NULL));
    CHECK_STATUS(COHORT_EHANDLE, meet(barrier));
    CHECK_STATUS(COHORT_EHANDLE, cohort_barrier_reset(barrier));
    CHECK_STATUS(APR_EINVAL, meet(NULL));
}

static void destroyed_under_parties(void) {
    cohort_process_t *children[2];
    args_t args = new_args(3, 1, NULL);
    parties_start(children, 2, expect_destroyed, &args, sizeof args);
    party_await(args.ready, 2);
    CHECK_STATUS(APR_SUCCESS, cohort_barrier_destroy(args.barrier));
    parties_finish(children, 2);
}

/* ---- deaths --------------------------------------------------------------------------------- */

static void waiting_party_killed(void) {
    args_t args = new_args(3, 10, count_action);
    cohort_process_t *victim = party_start(expect_met, &args, sizeof args);
    cohort_process_t *other = party_start(expect_broken, &args, sizeof args);
    await_waiting(args.barrier, 2);
    CHECK_STATUS(APR_SUCCESS, cohort_process_kill(victim));
    party_finish(other);
    party_end(victim, -9);
    check_broken(1, args.barrier);
    CHECK_STATUS(COHORT_EBROKEN, meet(args.barrier));
    CHECK_INT(0, atomic_load(args.actions));

    cohort_process_t *children[2];
    CHECK_STATUS(APR_SUCCESS, cohort_barrier_reset(args.barrier)); /* forgets the dead */
    parties_start(children, 2, meet_often, &args, sizeof args);
    (void)meet_often(&args);
    parties_finish(children, 2);
    check_all_met(&args);
}

/* No other party waits when it dies: the one that comes last does not meet a dead one. */
static void first_party_killed_before_last_comes(void) {
    args_t args = new_args(2, 1, count_action);
    cohort_process_t *victim = party_start(expect_met, &args, sizeof args);
    await_waiting(args.barrier, 1);
    party_kill(victim);
    CHECK_STATUS(COHORT_EBROKEN, meet(args.barrier));
    CHECK_INT(0, atomic_load(args.actions));
}

static void killed_in_action(void) {
    args_t args = new_args(2, 1, sleep_for_long);
    cohort_process_t *other = party_start(expect_broken, &args, sizeof args);
    await_waiting(args.barrier, 1);
    cohort_process_t *victim = party_start(expect_met, &args, sizeof args);
    party_await(args.actions, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_process_kill(victim));
    party_finish(other);
    party_end(victim, -9);
    check_broken(1, args.barrier);
}

static void end_process(void *arg) {
    atomic_fetch_add((_Atomic int *)arg, 1);
    cohort_exit(7);
}

static void ended_in_action(void) {
    args_t args = new_args(2, 1, end_process);
    cohort_process_t *other = party_start(expect_broken, &args, sizeof args);
    await_waiting(args.barrier, 1);
    cohort_process_t *last = party_start(expect_met, &args, sizeof args);
    party_end(last, 7);
    party_finish(other);
    CHECK_INT(1, atomic_load(args.actions));
}

static int meet_once_and_idle(void *data) {
    args_t *a = data;
    CHECK_STATUS(APR_SUCCESS, meet(a->barrier));
    atomic_fetch_add(a->ready, 1);
    party_wait_for_death();
}

/* It met the others once, and is killed before it comes again. */
static void killed_between_meetings(void) {
    args_t args = new_args(2, 1, NULL);
    cohort_process_t *victim = party_start(meet_once_and_idle, &args, sizeof args);
    CHECK_STATUS(APR_SUCCESS, meet(args.barrier));
    party_await(args.ready, 1);
    party_kill(victim);
    CHECK_STATUS(COHORT_EBROKEN, meet(args.barrier));
    check_broken(1, args.barrier);
}

static int meet_once_and_vanish(void *data) {
    CHECK_STATUS(APR_SUCCESS, meet(((args_t *)data)->barrier));
    _Exit(0);
}

/* An exit code says nothing about what has chosen it: a process that goes without a word is
 * dead. */
static void vanished_between_meetings(void) {
    args_t args = new_args(2, 1, NULL);
    cohort_process_t *victim = party_start(meet_once_and_vanish, &args, sizeof args);
    CHECK_STATUS(APR_SUCCESS, meet(args.barrier));
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(victim, COHORT_FOREVER));
    CHECK_STATUS(COHORT_EBROKEN, meet(args.barrier));
    check_broken(1, args.barrier);
}

static int meet_once_and_exit(void *data) {
    CHECK_STATUS(APR_SUCCESS, meet(((args_t *)data)->barrier));
    exit(3);
}

static void exit_between_meetings(void) {
    args_t args = new_args(2, 1, NULL);
    cohort_process_t *first = party_start(meet_once_and_exit, &args, sizeof args), *second;
    CHECK_STATUS(APR_SUCCESS, meet(args.barrier));
    party_end(first, 3);
    second = party_start(expect_met, &args, sizeof args);
    CHECK_STATUS(APR_SUCCESS, meet(args.barrier));
    party_finish(second);
}

static void killed_between_meetings_under_parties(void) {
    args_t args = new_args(3, 1, NULL);
    cohort_process_t *victim = party_start(meet_once_and_idle, &args, sizeof args);
    cohort_process_t *other = party_start(expect_met, &args, sizeof args);
    CHECK_STATUS(APR_SUCCESS, meet(args.barrier));
    party_finish(other);
    party_await(args.ready, 1);
    cohort_process_t *children[2];
    parties_start(children, 2, expect_broken, &args, sizeof args);
    await_waiting(args.barrier, 2);
    CHECK_STATUS(APR_SUCCESS, cohort_process_kill(victim));
    parties_finish(children, 2);
    party_end(victim, -9);
}

static void *APR_THREAD_FUNC meet_once_thread(apr_thread_t *thread, void *data) {
    (void)thread;
    CHECK_STATUS(APR_SUCCESS, meet(((args_t *)data)->barrier));
    return NULL;
}

/* A thread that ends is not a death. */
static void thread_ends_between_meetings(void) {
    args_t args = new_args(2, 1, NULL);
    for (int i = 0; i < 3; i++) {
        apr_thread_t *thread = party_thread(meet_once_thread, &args);
        CHECK_STATUS(APR_SUCCESS, meet(args.barrier));
        party_thread_finish(thread);
    }
}

/* Meets until it is broken; says so. */
static int meet_until_broken(void *data) {
    args_t *a = data;
    apr_status_t status;
    while ((status = meet(a->barrier)) == APR_SUCCESS) atomic_fetch_add(a->ready, 1);
    CHECK_STATUS(COHORT_EBROKEN, status);
    return 0;
}

/* Killed at any moment of busy meetings: all the others are told, each time. */
static void killed_at_any_moment(void) {
    for (int round = 0; round < 25; round++) {
        cohort_process_t *children[4];
        args_t args = new_args(4, 1, round % 2 ? count_action : NULL);
        parties_start(children, 4, meet_until_broken, &args, sizeof args);
        party_await(args.ready, 40 + round * 13);
        CHECK_STATUS(APR_SUCCESS, cohort_process_kill(children[round % 4]));
        for (int i = 0; i < 4; i++) {
            CHECK_STATUS(APR_SUCCESS, cohort_process_join(children[i], COHORT_FOREVER));
            int code = cohort_process_exit_code(children[i]);
            CHECK_INT(i == round % 4 ? -9 : 0, code);
            CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(children[i]));
        }
        check_broken(1, args.barrier);
        CHECK_STATUS(APR_SUCCESS, cohort_barrier_destroy(args.barrier));
    }
}

/* No thread waits any more, and none comes. */
static void a_look_sees_a_death(void) {
    args_t args = new_args(2, 1, NULL);
    cohort_process_t *child = party_start(expect_met, &args, sizeof args);
    await_waiting(args.barrier, 1);
    party_kill(child);
    while (!cohort_barrier_is_broken(args.barrier)) apr_sleep(1000);
    check_waiting(0, args.barrier);
}

const test_case_t barrier_cases[] = {
    {"Barrier", "two_meet", two_meet},
    {"Barrier", "five_meet", five_meet},
    {"Barrier", "sixteen_meet", sixteen_meet},
    {"Barrier", "four_threads_meet", four_threads_meet},
    {"Barrier", "sixty_four_threads_meet", sixty_four_threads_meet},
    {"Barrier", "alone", alone},
    {"Barrier", "more_come_than_it_takes", more_come_than_it_takes},
    {"Barrier", "parties_end_and_others_come", parties_end_and_others_come},
    {"Barrier", "tries", tries},
    {"Barrier", "aborted", aborted},
    {"Barrier", "reset_when_broken", reset_when_broken},
    {"Barrier", "reset_under_parties", reset_under_parties},
    {"Barrier", "time_runs_out", time_runs_out},
    {"Barrier", "own_time_runs_out", own_time_runs_out},
    {"Barrier", "time_runs_out_in_excess", time_runs_out_in_excess},
    {"Barrier", "time_runs_out_during_action", time_runs_out_during_action},
    {"Barrier", "arguments", arguments},
    {"Barrier", "destroyed_under_parties", destroyed_under_parties},
    {"Barrier", "waiting_party_killed", waiting_party_killed},
    {"Barrier", "first_party_killed_before_last_comes", first_party_killed_before_last_comes},
    {"Barrier", "killed_in_action", killed_in_action},
    {"Barrier", "ended_in_action", ended_in_action},
    {"Barrier", "killed_between_meetings", killed_between_meetings},
    {"Barrier", "vanished_between_meetings", vanished_between_meetings},
    {"Barrier", "exit_between_meetings", exit_between_meetings},
    {"Barrier", "killed_between_meetings_under_parties", killed_between_meetings_under_parties},
    {"Barrier", "thread_ends_between_meetings", thread_ends_between_meetings},
    {"Barrier", "killed_at_any_moment", killed_at_any_moment},
    {"Barrier", "a_look_sees_a_death", a_look_sees_a_death},
    {0}};
