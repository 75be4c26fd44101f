/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Joinable queues: what Python's tests ask of JoinableQueue, which messages count as done, and what
 * the dead have outstanding. */
#include "queues.h"

static int work_until_asked(void *data) {
    args_t *a = data;
    for (;;) {
        int value;
        CHECK_STATUS(APR_SUCCESS, get_int(a->queue, &value, COHORT_FOREVER));
        if (value < 0) return 0;
        apr_sleep(2000);
        atomic_fetch_add(a->ready, 1);
        CHECK_STATUS(APR_SUCCESS, cohort_queue_task_done(a->queue));
    }
}

static void Q_05_task_done(void) {
    cohort_process_t *workers[4];
    args_t a = {.queue = new_queue(0, 1), .ready = party_memory(sizeof(int))};
    parties_start(workers, 4, work_until_asked, &a, sizeof a);
    for (int i = 0; i < 10; i++) CHECK_STATUS(APR_SUCCESS, put_int(a.queue, i, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_queue_join(a.queue, COHORT_FOREVER));
    CHECK_INT(10, atomic_load(a.ready));
    for (int i = 0; i < 4; i++) CHECK_STATUS(APR_SUCCESS, put_int(a.queue, -1, COHORT_FOREVER));
    parties_finish(workers, 4);
}

/* What is being taken counts as long as it is not done. */
static void join_waits_for_what_is_being_taken(void) {
    cohort_process_t *workers[3];
    args_t a = {.queue = new_queue(4, 1), .ready = party_memory(sizeof(int))};
    parties_start(workers, 3, work_until_asked, &a, sizeof a);
    for (int i = 1; i <= 300; i++) {
        CHECK_STATUS(APR_SUCCESS, put_int(a.queue, i, COHORT_FOREVER));
        CHECK_STATUS(APR_SUCCESS, cohort_queue_join(a.queue, COHORT_FOREVER));
        CHECK_INT(i, atomic_load(a.ready));
    }
    for (int i = 0; i < 3; i++) CHECK_STATUS(APR_SUCCESS, put_int(a.queue, -1, COHORT_FOREVER));
    parties_finish(workers, 3);
}

/* ---- deaths --------------------------------------------------------------------------------- */

static int get_and_stay(void *data) {
    args_t *a = data;
    int value;
    CHECK_STATUS(APR_SUCCESS, get_int(a->queue, &value, COHORT_FOREVER));
    atomic_fetch_add(a->ready, 1);
    party_wait_for_death();
}

static void join_does_not_wait_for_the_dead(void) {
    args_t a = {.queue = new_queue(0, 1), .ready = party_memory(sizeof(int))};
    cohort_process_t *workers[3];
    for (int i = 0; i < 4; i++) CHECK_STATUS(APR_SUCCESS, put_int(a.queue, i, 0));
    parties_start(workers, 3, get_and_stay, &a, sizeof a);
    party_await(a.ready, 3);
    CHECK_STATUS(APR_TIMEUP, cohort_queue_join(a.queue, A_WHILE));
    for (int i = 0; i < 3; i++) party_kill(workers[i]);
    CHECK_STATUS(APR_EAGAIN, cohort_queue_join(a.queue, 0)); /* one is still in the queue */
    check_get(3, a.queue, 0);
    CHECK_STATUS(APR_EAGAIN, cohort_queue_join(a.queue, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_queue_task_done(a.queue));
    CHECK_STATUS(APR_SUCCESS, cohort_queue_join(a.queue, COHORT_FOREVER));
    CHECK_STATUS(COHORT_EOVERRELEASE, cohort_queue_task_done(a.queue));
}

/* However many they are, one look at them is enough. */
static void join_drops_all_the_dead_at_once(void) {
    enum { MANY = 20 };
    args_t a = {.queue = new_queue(0, 1), .ready = party_memory(sizeof(int))};
    cohort_process_t *workers[MANY];
    for (int i = 0; i < MANY; i++) CHECK_STATUS(APR_SUCCESS, put_int(a.queue, i, 0));
    parties_start(workers, MANY, get_and_stay, &a, sizeof a);
    party_await(a.ready, MANY);
    CHECK_STATUS(APR_EAGAIN, cohort_queue_join(a.queue, 0));
    for (int i = 0; i < MANY; i++) party_kill(workers[i]);
    CHECK_STATUS(APR_SUCCESS, cohort_queue_join(a.queue, 0));
}

static int join_it(void *data) {
    args_t *a = data;
    atomic_fetch_add(a->ready, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_queue_join(a->queue, COHORT_FOREVER));
    return 0;
}

static void a_death_ends_a_join_that_waits(void) {
    args_t a = {.queue = new_queue(2, 1), .ready = party_memory(sizeof(int))};
    CHECK_STATUS(APR_SUCCESS, put_int(a.queue, 1, 0));
    cohort_process_t *worker = party_start(get_and_stay, &a, sizeof a);
    party_await(a.ready, 1);
    cohort_process_t *joiner = party_start(join_it, &a, sizeof a);
    party_await(a.ready, 2);
    apr_sleep(A_WHILE);
    CHECK(cohort_process_is_alive(joiner));
    party_kill(worker);
    party_finish(joiner);
}

/* ---- counts --------------------------------------------------------------------------------- */

static void task_done_is_counted(void) {
    cohort_queue_t *queue = new_queue(0, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_queue_join(queue, 0));
    CHECK_STATUS(COHORT_EOVERRELEASE, cohort_queue_task_done(queue));
    for (int i = 0; i < 3; i++) CHECK_STATUS(APR_SUCCESS, put_int(queue, i, 0));
    CHECK_STATUS(APR_EAGAIN, cohort_queue_join(queue, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_queue_task_done(queue)); /* before its get, as Python allows */
    check_get(0, queue, 0);
    check_get(1, queue, 0);
    CHECK_STATUS(APR_SUCCESS, cohort_queue_task_done(queue));
    CHECK_STATUS(APR_EAGAIN, cohort_queue_join(queue, 0));
    apr_time_t begin = apr_time_now();
    CHECK_STATUS(APR_TIMEUP, cohort_queue_join(queue, A_WHILE));
    AT_LEAST(A_WHILE, begin);
    CHECK_STATUS(APR_SUCCESS, cohort_queue_task_done(queue));
    CHECK_STATUS(APR_SUCCESS, cohort_queue_join(queue, 0));
    CHECK_STATUS(COHORT_EOVERRELEASE, cohort_queue_task_done(queue));
    check_get(2, queue, 0);
    CHECK_STATUS(COHORT_EOVERRELEASE, cohort_queue_task_done(queue));
}

static int get_one(void *data) {
    args_t *a = data;
    int value;
    CHECK_STATUS(APR_SUCCESS, get_int(a->queue, &value, COHORT_FOREVER));
    atomic_fetch_add(a->ready, 1);
    CHECK_STATUS(APR_SUCCESS, get_int(a->other, &value, COHORT_FOREVER));
    return 0;
}

/* More getters than the holder table has places in the object; and one process says for all that it
 * is done. */
static void many_have_something_outstanding(void) {
    enum { GETTERS = 20 };
    cohort_process_t *getters[GETTERS];
    args_t a = {
        .queue = new_queue(0, 1), .other = new_queue(0, 0), .ready = party_memory(sizeof(int))};
    parties_start(getters, GETTERS, get_one, &a, sizeof a);
    for (int i = 0; i < GETTERS; i++) CHECK_STATUS(APR_SUCCESS, put_int(a.queue, i, 0));
    party_await(a.ready, GETTERS);
    for (int i = 0; i < GETTERS; i++) {
        CHECK_STATUS(APR_EAGAIN, cohort_queue_join(a.queue, 0));
        CHECK_STATUS(APR_SUCCESS, cohort_queue_task_done(a.queue));
    }
    CHECK_STATUS(APR_SUCCESS, cohort_queue_join(a.queue, 0));
    CHECK_STATUS(COHORT_EOVERRELEASE, cohort_queue_task_done(a.queue));
    for (int i = 0; i < GETTERS; i++) CHECK_STATUS(APR_SUCCESS, put_int(a.other, i, 0));
    parties_finish(getters, GETTERS);
    CHECK_STATUS(APR_SUCCESS, cohort_queue_join(a.queue, 0));
}

const test_case_t queue_join_cases[] = {
    {"Queue", "Q_05_task_done", Q_05_task_done},
    {"Queue", "join_waits_for_what_is_being_taken", join_waits_for_what_is_being_taken},
    {"Queue", "join_does_not_wait_for_the_dead", join_does_not_wait_for_the_dead},
    {"Queue", "join_drops_all_the_dead_at_once", join_drops_all_the_dead_at_once},
    {"Queue", "a_death_ends_a_join_that_waits", a_death_ends_a_join_that_waits},
    {"Queue", "task_done_is_counted", task_done_is_counted},
    {"Queue", "many_have_something_outstanding", many_have_something_outstanding},
    {0},
};
