/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* cohort_wait() for what changes back and forth: queues, connections, events, semaphores, barriers,
 * by themselves and mixed with what ends. */
#include "waits.h"

/* Of the conditions `wanted` exactly these hold now. */
static void check_holds(void *object, unsigned wanted, unsigned expected) {
    cohort_waitable_t item = {.object = object, .wanted = wanted};
    CHECK_STATUS(expected ? APR_SUCCESS : APR_EAGAIN, cohort_wait(&item, 1, ANY_OF, 0));
    CHECK_INT(expected, item.ready);
}

/* ---- what holds ----------------------------------------------------------------------------- */

static void of_queues(void) {
    cohort_queue_t *queue = queue_for(2);
    check_holds(queue, GETS | PUTS | LEFT, PUTS);
    check_holds(queue, 0, 0);
    put(queue);
    check_holds(queue, GETS | PUTS | LEFT, GETS | PUTS);
    check_holds(queue, 0, GETS);
    check_holds(queue, 0, GETS); /* nothing was taken */
    put(queue);
    check_holds(queue, GETS | PUTS | LEFT, GETS);
    CHECK_STATUS(APR_SUCCESS, cohort_queue_close(queue));
    check_holds(queue, GETS | PUTS | LEFT, GETS | PUTS | LEFT);
    check_holds(queue, LEFT, LEFT);
    get(queue);
    get(queue);
    check_holds(queue, GETS, GETS); /* a get is ECLOSED at once */
    cohort_queue_t *unbounded = queue_for(0);
    for (int i = 0; i < 1000; i++) put(unbounded);
    check_holds(unbounded, GETS | PUTS | LEFT, GETS | PUTS);
    CHECK_STATUS(APR_SUCCESS, cohort_queue_discard(unbounded));
    check_holds(unbounded, GETS | PUTS | LEFT, GETS | PUTS | LEFT);
}

static void of_connections(void) {
    cohort_connection_t *near, *far;
    cohort_pipe_options_t two = {.messages = 2};
    CHECK_STATUS(APR_SUCCESS, cohort_pipe_create(&near, &far, &two, test_pool()));
    check_holds(near, GETS | PUTS | LEFT, PUTS);
    for (int i = 0; i < 2; i++)
        CHECK_STATUS(APR_SUCCESS, cohort_connection_send(far, "x", 1, COHORT_FOREVER));
    check_holds(near, GETS | PUTS | LEFT, GETS | PUTS);
    check_holds(far, GETS | PUTS | LEFT, 0);
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(far));
    check_holds(near, GETS | PUTS | LEFT, GETS | PUTS | LEFT);
    cohort_waitable_t item = {.object = far};
    CHECK_STATUS(COHORT_ECLOSED, cohort_wait(&item, 1, ANY_OF, 0));

    cohort_pipe_options_t one_way = {.one_way = 1};
    CHECK_STATUS(APR_SUCCESS, cohort_pipe_create(&near, &far, &one_way, test_pool()));
    check_holds(near, GETS | LEFT, 0);
    check_holds(far, PUTS | LEFT, PUTS);
    item = (cohort_waitable_t){.object = near, .wanted = PUTS};
    CHECK_STATUS(COHORT_EDIRECTION, cohort_wait(&item, 1, ANY_OF, COHORT_FOREVER));
    item = (cohort_waitable_t){.object = far};
    CHECK_STATUS(COHORT_EDIRECTION, cohort_wait(&item, 1, ANY_OF, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(near));
    check_holds(far, PUTS | LEFT, PUTS | LEFT);
}

static void of_synchronisers(void) {
    cohort_event_t *event;
    cohort_semaphore_t *semaphore;
    cohort_barrier_t *barrier;
    CHECK_STATUS(APR_SUCCESS, cohort_event_create(&event, test_pool()));
    CHECK_STATUS(APR_SUCCESS, cohort_semaphore_create(&semaphore, 1, NULL, test_pool()));
    CHECK_STATUS(APR_SUCCESS, cohort_barrier_create(&barrier, 2, NULL, test_pool()));
    check_holds(event, 0, 0);
    CHECK_STATUS(APR_SUCCESS, cohort_event_set(event));
    check_holds(event, 0, GETS);
    CHECK_STATUS(APR_SUCCESS, cohort_event_clear(event));
    check_holds(event, GETS, 0);
    check_holds(semaphore, 0, GETS);
    CHECK_STATUS(APR_SUCCESS, cohort_semaphore_acquire(semaphore, 0));
    check_holds(semaphore, 0, 0);
    CHECK_STATUS(APR_SUCCESS, cohort_semaphore_release(semaphore, 1));
    check_holds(semaphore, GETS, GETS);
    check_holds(barrier, 0, 0);
    CHECK_STATUS(APR_SUCCESS, cohort_barrier_abort(barrier));
    check_holds(barrier, 0, LEFT);
    CHECK_STATUS(APR_SUCCESS, cohort_barrier_reset(barrier));
    check_holds(barrier, LEFT, 0);
}

/* ---- all of it is waited for ---------------------------------------------------------------- */

/* Each alone ends a wait for all, of a thread that sleeps; only it is ready. */
static void each_among_all(void) {
    cohort_pool_t *pool;
    cohort_pool_options_t two = {.workers = 2};
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&pool, &two, test_pool()));
    for (int which = 0; which < RESULT; which++) {
        family_t f = {.which = which};
        cohort_waitable_t items[THINGS_IN_ALL];
        make_family(&f, items, pool);
        CHECK_STATUS(APR_TIMEUP, cohort_wait(items, THINGS_IN_ALL, ANY_OF, A_WHILE));
        cohort_process_t *other = party_start(make_ready, &f, sizeof f);
        CHECK_STATUS(APR_SUCCESS, cohort_wait(items, THINGS_IN_ALL, ANY_OF, COHORT_FOREVER));
        unsigned expected = which == QUEUE_OUT ? PUTS
                            : which == BARRIER ? LEFT
                            : which == RUN     ? COHORT_READY_END
                                               : GETS;
        for (int i = 0; i < THINGS_IN_ALL; i++)
            CHECK_INT(i == which ? expected : 0, items[i].ready);
        party_finish(other);
        end_family(&f, items);
        party_finish(items[PROCESS].object);
    }
    CHECK_STATUS(APR_SUCCESS, cohort_pool_terminate(pool));
}

/* And the wait for every one of them ends when the last one is ready. */
static void all_of_all(void) {
    cohort_pool_t *pool;
    cohort_pool_options_t two = {.workers = 2};
    family_t f = {0};
    cohort_waitable_t items[THINGS_IN_ALL];
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&pool, &two, test_pool()));
    make_family(&f, items, pool);
    for (f.which = 0; f.which <= RESULT; f.which++) {
        CHECK_STATUS(APR_EAGAIN, cohort_wait(items, THINGS_IN_ALL, COHORT_WAIT_ALL, 0));
        party_finish(party_start(make_ready, &f, sizeof f));
    }
    CHECK_STATUS(APR_SUCCESS, cohort_wait(items, THINGS_IN_ALL, COHORT_WAIT_ALL, COHORT_FOREVER));
    for (int i = 0; i < THINGS_IN_ALL; i++) CHECK(items[i].ready);
    get(f.empty);
    CHECK_STATUS(APR_TIMEUP, cohort_wait(items, THINGS_IN_ALL, COHORT_WAIT_ALL, A_WHILE));
    CHECK_INT(0, items[QUEUE_IN].ready); /* as it is now, not as it once was */
    CHECK_STATUS(APR_SUCCESS, cohort_pool_terminate(pool));
}

/* ---- ends ----------------------------------------------------------------------------------- */

typedef struct {
    cohort_waitable_t items[3];
    _Atomic int waits;
} waiter_t;

static void *APR_THREAD_FUNC wait_for_any(apr_thread_t *thread, void *arg) {
    waiter_t *w = arg;
    (void)thread;
    atomic_store(&w->waits, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_wait(w->items, 3, ANY_OF, COHORT_FOREVER));
    return NULL;
}

/* What is destroyed or closed during the wait ends it. */
static void destroyed_while_waited_for(void) {
    for (int which = 0; which < 4; which++) {
        cohort_connection_t *near, *far;
        cohort_event_t *event;
        CHECK_STATUS(APR_SUCCESS, cohort_pipe_create(&near, &far, NULL, NULL));
        CHECK_STATUS(APR_SUCCESS, cohort_event_create(&event, NULL));
        cohort_queue_t *queue;
        CHECK_STATUS(APR_SUCCESS, cohort_queue_create(&queue, NULL, NULL));
        waiter_t w = {.items = {{.object = queue, .wanted = GETS | LEFT},
                                {.object = near},
                                {.object = event}}};
        apr_thread_t *thread = party_thread(wait_for_any, &w);
        party_await(&w.waits, 1);
        apr_sleep(A_WHILE / 5);
        if (which == 0) CHECK_STATUS(APR_SUCCESS, cohort_queue_destroy(queue));
        if (which == 1) CHECK_STATUS(APR_SUCCESS, cohort_connection_close(far));
        if (which == 2) CHECK_STATUS(APR_SUCCESS, cohort_event_destroy(event));
        if (which == 3) CHECK_STATUS(APR_SUCCESS, cohort_queue_close(queue));
        party_thread_finish(thread);
        int item = which % 3;
        CHECK(w.items[item].ready);
        for (int i = 0; i < 3; i++) CHECK(i == item || !w.items[i].ready);
        if (which != 0) CHECK_STATUS(APR_SUCCESS, cohort_queue_destroy(queue));
        if (which != 1) CHECK_STATUS(APR_SUCCESS, cohort_connection_close(far));
        if (which != 2) CHECK_STATUS(APR_SUCCESS, cohort_event_destroy(event));
        CHECK_STATUS(APR_SUCCESS, cohort_connection_close(near));
    }
}

typedef struct {
    cohort_connection_t *far;
    cohort_semaphore_t *semaphore;
    cohort_barrier_t *barrier;
    _Atomic int *there;
} held_t;

static void *APR_THREAD_FUNC come_to_barrier(apr_thread_t *thread, void *arg) {
    (void)thread;
    CHECK_STATUS(COHORT_EBROKEN, cohort_barrier_wait(arg, NULL, COHORT_FOREVER));
    return NULL;
}

/* Holds an end, a permit, a place in a barrier. */
static int hold_all(void *args) {
    held_t *held = args;
    CHECK(cohort_connection_is_writable(held->far));
    CHECK_STATUS(APR_SUCCESS, cohort_connection_send(held->far, "x", 1, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_semaphore_acquire(held->semaphore, COHORT_FOREVER));
    party_thread(come_to_barrier, held->barrier);
    while (cohort_barrier_waiting(held->barrier) < 1) apr_sleep(500);
    atomic_store(held->there, 1);
    party_wait_for_death();
}

/* A death that makes something ready is seen: the other end, a permit, a party. */
static void deaths(void) {
    for (int which = 0; which < 3; which++) {
        cohort_connection_t *near;
        held_t held = {.there = party_memory(sizeof(int))};
        char byte;
        apr_size_t size;
        cohort_queue_t *never = queue_for(1);
        CHECK_STATUS(APR_SUCCESS, cohort_pipe_create(&near, &held.far, NULL, test_pool()));
        CHECK_STATUS(APR_SUCCESS, cohort_semaphore_create(&held.semaphore, 1, NULL, test_pool()));
        CHECK_STATUS(APR_SUCCESS, cohort_barrier_create(&held.barrier, 2, NULL, test_pool()));
        cohort_process_t *process = party_start(hold_all, &held, sizeof held);
        CHECK_STATUS(APR_SUCCESS, cohort_connection_recv(near, &byte, 1, &size, COHORT_FOREVER));
        CHECK_STATUS(APR_SUCCESS, cohort_connection_close(held.far));
        party_await(held.there, 1);
        void *objects[] = {near, held.semaphore, held.barrier};
        cohort_waitable_t items[] = {{.object = objects[which]}, {.object = never}};
        CHECK_STATUS(APR_TIMEUP, cohort_wait(items, 2, ANY_OF, A_WHILE / 5));
        CHECK_STATUS(APR_SUCCESS, cohort_process_kill(process));
        CHECK_STATUS(APR_SUCCESS, cohort_wait(items, 2, ANY_OF, COHORT_FOREVER));
        CHECK(items[0].ready);
        party_end(process, -9);
    }
}

/* ---- many threads, and no message is lost --------------------------------------------------- */

enum { QUEUES = 3, READERS = 3, MESSAGES = 3000 };

typedef struct {
    cohort_queue_t *queues[QUEUES];
    _Atomic int *taken;
    int sender;
} traffic_t;

/* Until all are closed and empty. */
static int read_any(void *args) {
    traffic_t *t = args;
    cohort_waitable_t items[QUEUES];
    int open = QUEUES;
    for (int i = 0; i < QUEUES; i++) items[i] = (cohort_waitable_t){.object = t->queues[i]};
    while (open) {
        CHECK_STATUS(APR_SUCCESS, cohort_wait(items, (apr_size_t)open, ANY_OF, COHORT_FOREVER));
        for (int i = open; i-- > 0;) {
            int value;
            apr_size_t size;
            if (!items[i].ready) continue;
            apr_status_t status = cohort_queue_get(items[i].object, &value, sizeof value, &size, 0);
            if (status == COHORT_ECLOSED) items[i] = items[--open];
            else if (status != APR_EAGAIN) {
                CHECK_STATUS(APR_SUCCESS, status);
                CHECK_INT(1, atomic_fetch_add(&t->taken[value], 1) + 1);
            }
        }
    }
    return 0;
}

static int send_to_one(void *args) {
    traffic_t *t = args;
    for (int i = 0; i < MESSAGES; i++) {
        int value = t->sender * MESSAGES + i;
        CHECK_STATUS(APR_SUCCESS,
                     cohort_queue_put(t->queues[t->sender], &value, sizeof value, COHORT_FOREVER));
    }
    return 0;
}

static void readers_of_several_queues(void) {
    cohort_process_t *readers[READERS], *senders[QUEUES];
    traffic_t t = {.taken = party_memory(QUEUES * MESSAGES * sizeof(int))};
    for (int i = 0; i < QUEUES; i++) t.queues[i] = queue_for(i == 0 ? 1 : 16);
    parties_start(readers, READERS, read_any, &t, sizeof t);
    for (t.sender = 0; t.sender < QUEUES; t.sender++)
        senders[t.sender] = party_start(send_to_one, &t, sizeof t);
    parties_finish(senders, QUEUES);
    for (int i = 0; i < QUEUES; i++) CHECK_STATUS(APR_SUCCESS, cohort_queue_close(t.queues[i]));
    parties_finish(readers, READERS);
    for (int i = 0; i < QUEUES * MESSAGES; i++) CHECK_INT(1, t.taken[i]);
}

/* Two ask one another by turns, and wait for two queues each time: a lost wake-up would cost a
 * second each. */
static int answer_any(void *args) {
    cohort_queue_t **q = args; /* asked by either of the first two, answers to the third */
    for (int i = 0; i < MESSAGES; i++) {
        cohort_waitable_t items[] = {{.object = q[0]}, {.object = q[1]}};
        CHECK_STATUS(APR_SUCCESS, cohort_wait(items, 2, ANY_OF, COHORT_FOREVER));
        get(items[0].ready ? q[0] : q[1]);
        put(q[2]);
    }
    return 0;
}

static void questions_and_answers(void) {
    cohort_queue_t *q[4] = {queue_for(1), queue_for(1), queue_for(1), queue_for(1)};
    cohort_process_t *other = party_start(answer_any, q, sizeof q);
    for (int i = 0; i < MESSAGES; i++) {
        cohort_waitable_t items[] = {{.object = q[2]}, {.object = q[3]}};
        put(q[i % 2]);
        CHECK_STATUS(APR_SUCCESS, cohort_wait(items, 2, ANY_OF, COHORT_FOREVER));
        get(q[2]);
    }
    party_finish(other);
}

/* ---- the first failure ---------------------------------------------------------------------- */

static apr_status_t fail_if(const void *input, void *output) {
    (void)output;
    return *(const int *)input ? APR_EGENERAL : APR_SUCCESS;
}

static void first_failure(void) {
    cohort_pool_t *pool;
    cohort_result_t *results[2];
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&pool, NULL, test_pool()));
    for (int fails = 0; fails < 2; fails++) {
        cohort_job_t job = {.task = fail_if, COHORT_INPUTS(&fails, 1)};
        CHECK_STATUS(APR_SUCCESS, cohort_pool_submit(&results[fails], pool, &job, test_pool()));
    }
    cohort_process_t *stays = party_start(stay, NULL, 0), *ends = party_start(nothing, NULL, 0);
    cohort_waitable_t items[] = {{.object = stays}, {.object = ends}, {.object = results[0]}};
    CHECK_STATUS(APR_SUCCESS, cohort_wait(items + 1, 2, COHORT_WAIT_FAILURE, COHORT_FOREVER));
    CHECK_STATUS(APR_TIMEUP, cohort_wait(items, 3, COHORT_WAIT_FAILURE, A_WHILE));
    CHECK_INT(0, items[0].ready);
    CHECK_INT(COHORT_READY_END, items[1].ready);
    items[2].object = results[1];
    CHECK_STATUS(APR_SUCCESS, cohort_wait(items, 3, COHORT_WAIT_FAILURE, COHORT_FOREVER));
    items[2].object = results[0];
    CHECK_STATUS(APR_SUCCESS, cohort_process_kill(stays));
    CHECK_STATUS(APR_SUCCESS, cohort_wait(items, 3, COHORT_WAIT_FAILURE, COHORT_FOREVER));
    CHECK_INT(COHORT_READY_END, items[0].ready);
    CHECK_STATUS(APR_EINVAL, cohort_wait(items, 3, (cohort_wait_mode_t)3, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_terminate(pool));
}

const test_case_t wait_mixed_cases[] = {
    {"WaitMixed", "of_queues", of_queues},
    {"WaitMixed", "of_connections", of_connections},
    {"WaitMixed", "of_synchronisers", of_synchronisers},
    {"WaitMixed", "each_among_all", each_among_all},
    {"WaitMixed", "all_of_all", all_of_all},
    {"WaitMixed", "destroyed_while_waited_for", destroyed_while_waited_for},
    {"WaitMixed", "deaths", deaths},
    {"WaitMixed", "readers_of_several_queues", readers_of_several_queues},
    {"WaitMixed", "questions_and_answers", questions_and_answers},
    {"WaitMixed", "first_failure", first_failure},
    {0}};
