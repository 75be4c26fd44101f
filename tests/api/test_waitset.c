/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Wait sets of objects: what is told, what is remembered, and that nothing is missed. */
#include "waits.h"

static cohort_waitset_t *new_set(void) {
    cohort_waitset_t *set;
    CHECK_STATUS(APR_SUCCESS, cohort_waitset_create(&set, test_pool()));
    return set;
}

static void add(cohort_waitset_t *set, void *object, unsigned wanted, void *data) {
    cohort_waitable_t item = {.object = object, .wanted = wanted, .data = data};
    CHECK_STATUS(APR_SUCCESS, cohort_waitset_add(set, &item));
}

static apr_status_t remove_from(cohort_waitset_t *set, void *object) {
    cohort_waitable_t item = {.object = object};
    return cohort_waitset_remove(set, &item);
}

static cohort_event_t *new_event(void) {
    cohort_event_t *event;
    CHECK_STATUS(APR_SUCCESS, cohort_event_create(&event, test_pool()));
    return event;
}

/* Exactly this one is ready, with these conditions. */
static void check_only(cohort_waitset_t *set, const void *object, unsigned ready,
                       apr_interval_time_t timeout) {
    cohort_waitable_t items[4];
    apr_size_t n = 0;
    CHECK_STATUS(APR_SUCCESS, cohort_waitset_wait(set, items, 4, &n, timeout));
    CHECK_INT(1, n);
    CHECK(items[0].object == object);
    CHECK_INT(ready, items[0].ready);
}

static void check_none(cohort_waitset_t *set) {
    cohort_waitable_t item;
    apr_size_t n = 7;
    CHECK_STATUS(APR_EAGAIN, cohort_waitset_wait(set, &item, 1, &n, 0));
    CHECK_INT(7, n);
}

/* ---- what is told --------------------------------------------------------------------------- */

/* As many are ready at the same time. */
static void check_ready(cohort_waitset_t *set, apr_size_t expected) {
    cohort_waitable_t got[THINGS_IN_ALL];
    apr_size_t n;
    do {
        CHECK_STATUS(APR_SUCCESS, cohort_waitset_wait(set, got, THINGS_IN_ALL, &n, COHORT_FOREVER));
    } while (n < expected);
    CHECK_INT(expected, n);
}

static void check_one_of_a_family(int which, cohort_pool_t *pool) {
    static const unsigned holds[] = {
        GETS, PUTS, GETS, GETS, GETS, LEFT, GETS, GETS, COHORT_READY_END};
    family_t f = {.which = which};
    cohort_waitable_t items[THINGS_IN_ALL], got[THINGS_IN_ALL];
    cohort_waitset_t *set = new_set();
    apr_size_t n;
    make_family(&f, items, pool);
    for (int i = 0; i < THINGS_IN_ALL; i++)
        CHECK_STATUS(APR_SUCCESS, cohort_waitset_add(set, &items[i]));
    CHECK_INT(THINGS_IN_ALL, cohort_waitset_count(set));
    CHECK_STATUS(APR_TIMEUP, cohort_waitset_wait(set, got, 1, &n, A_WHILE));
    cohort_process_t *other = party_start(make_ready, &f, sizeof f);
    CHECK_STATUS(APR_SUCCESS, cohort_waitset_wait(set, got, THINGS_IN_ALL, &n, COHORT_FOREVER));
    if (which < RESULT) check_only(set, items[which].object, holds[which], COHORT_FOREVER);
    party_finish(other);
    end_family(&f, items);
    check_ready(set, THINGS_IN_ALL - IMAP + (which < IMAP));
    CHECK_STATUS(APR_SUCCESS, cohort_waitset_destroy(set));
    party_finish(items[PROCESS].object);
}

/* Each of everything ends the wait of a thread that sleeps, and stays ready until it is not. */
static void each_of_a_family(void) {
    cohort_pool_t *pool;
    cohort_pool_options_t two = {.workers = 2};
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&pool, &two, test_pool()));
    for (int which = 0; which <= RESULT; which++) check_one_of_a_family(which, pool);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_terminate(pool));
}

/* More are ready than are asked for: each has its turn. */
static void by_turns(void) {
    enum { N = 5 };
    cohort_waitset_t *set = new_set();
    int told[N] = {0};
    for (int i = 0; i < N; i++) {
        cohort_event_t *event = new_event();
        add(set, event, 0, &told[i]);
        CHECK_STATUS(APR_SUCCESS, cohort_event_set(event));
    }
    for (int i = 0; i < 4 * N; i++) {
        cohort_waitable_t item;
        apr_size_t n;
        CHECK_STATUS(APR_SUCCESS, cohort_waitset_wait(set, &item, 1, &n, COHORT_FOREVER));
        CHECK_INT(1, n);
        ++*(int *)item.data;
    }
    for (int i = 0; i < N; i++) CHECK_INT(4, told[i]);
}

/* A thing in two items, with a condition each. */
static void twice(void) {
    cohort_waitset_t *set = new_set();
    cohort_queue_t *queue = queue_for(1);
    cohort_waitable_t items[4];
    apr_size_t n;
    add(set, queue, GETS, "gets");
    add(set, queue, PUTS, "puts");
    add(set, queue, GETS, "gets");
    check_only(set, queue, PUTS, COHORT_FOREVER);
    put(queue);
    CHECK_STATUS(APR_SUCCESS, cohort_waitset_wait(set, items, 4, &n, COHORT_FOREVER));
    CHECK_INT(2, n);
    CHECK_STR("gets", items[0].data);
    CHECK_STR("gets", items[1].data);
    CHECK_STATUS(APR_SUCCESS, remove_from(set, queue));
    CHECK_INT(0, cohort_waitset_count(set));
    CHECK_STATUS(APR_NOTFOUND, remove_from(set, queue));
    check_none(set);
}

/* What is destroyed is ready, whatever is made in its place, until it is removed. */
static void destroyed(void) {
    cohort_waitset_t *set = new_set();
    cohort_event_t *event, *other;
    CHECK_STATUS(APR_SUCCESS, cohort_event_create(&event, NULL));
    add(set, event, 0, NULL);
    check_none(set);
    CHECK_STATUS(APR_SUCCESS, cohort_event_destroy(event));
    CHECK_STATUS(APR_SUCCESS, cohort_event_create(&other, NULL));
    check_only(set, event, GETS, COHORT_FOREVER);
    check_only(set, event, GETS, 0);
    CHECK_STATUS(APR_SUCCESS, remove_from(set, event));
    check_none(set);
    CHECK_STATUS(APR_SUCCESS, cohort_event_destroy(other));
}

/* ---- nothing is missed ---------------------------------------------------------------------- */

enum { MANY = 3000, LAPS = 3 };

/* More becomes ready between two waits than the news hold. */
static void more_than_the_news(void) {
    cohort_waitset_t *set = new_set();
    cohort_event_t **events = party_memory(MANY * sizeof(cohort_event_t *));
    cohort_waitable_t *items = apr_palloc(test_pool(), MANY * sizeof *items);
    apr_size_t n;
    for (int i = 0; i < MANY; i++) {
        events[i] = new_event();
        add(set, events[i], 0, NULL);
    }
    check_none(set);
    for (int lap = 0; lap < LAPS; lap++) {
        cohort_waitset_t *busy = new_set();
        for (int i = 0; i < MANY; i++) {
            add(busy, events[i], 0, NULL);
            check_none(busy); /* it is shared by this one, too */
            CHECK_STATUS(APR_SUCCESS, cohort_event_set(events[i]));
            CHECK_STATUS(APR_SUCCESS, remove_from(busy, events[i]));
        }
        CHECK_STATUS(APR_SUCCESS, cohort_waitset_wait(set, items, MANY, &n, COHORT_FOREVER));
        CHECK_INT(MANY, n);
        for (int i = 0; i < MANY; i++) CHECK_STATUS(APR_SUCCESS, cohort_event_clear(events[i]));
        for (int i = 0; lap == 1 && i < 2 * MANY; i++) {
            check_none(busy);
            add(busy, events[7], 0, NULL);
            check_none(busy);
            CHECK_STATUS(APR_SUCCESS, cohort_event_set(events[7]));
            CHECK_STATUS(APR_SUCCESS, cohort_event_clear(events[7]));
            CHECK_STATUS(APR_SUCCESS, remove_from(busy, events[7]));
        }
        if (lap == 1) CHECK_STATUS(APR_SUCCESS, cohort_event_set(events[MANY - 1]));
        if (lap == 1) check_only(set, events[MANY - 1], GETS, COHORT_FOREVER);
        if (lap == 1) CHECK_STATUS(APR_SUCCESS, cohort_event_clear(events[MANY - 1]));
        check_none(set);
        CHECK_STATUS(APR_SUCCESS, cohort_waitset_destroy(busy));
    }
}

enum { QUEUES = 40, SENDERS = 3, READERS = 3, MESSAGES = 3000 };

typedef struct {
    cohort_queue_t *queues[QUEUES];
    _Atomic int *taken;
    int sender;
} traffic_t;

static void take_from(traffic_t *t, cohort_queue_t *queue, cohort_waitset_t *set) {
    int value;
    apr_size_t size;
    apr_status_t status = cohort_queue_get(queue, &value, sizeof value, &size, 0);
    if (!status) atomic_fetch_add(&t->taken[value], 1);
    else if (status == COHORT_ECLOSED) CHECK_STATUS(APR_SUCCESS, remove_from(set, queue));
    else CHECK_STATUS(APR_EAGAIN, status);
}

/* Until all are closed and empty. */
static int read_any(void *args) {
    traffic_t *t = args;
    cohort_waitset_t *set = new_set();
    cohort_waitable_t items[8];
    apr_size_t n;
    for (int i = 0; i < QUEUES; i++) add(set, t->queues[i], 0, NULL);
    while (cohort_waitset_count(set)) {
        CHECK_STATUS(APR_SUCCESS, cohort_waitset_wait(set, items, 8, &n, COHORT_FOREVER));
        for (apr_size_t i = 0; i < n; i++) take_from(t, items[i].object, set);
    }
    return 0;
}

static int send_all(void *args) {
    traffic_t *t = args;
    for (int i = 0; i < MESSAGES; i++) {
        int value = t->sender * MESSAGES + i;
        CHECK_STATUS(APR_SUCCESS, cohort_queue_put(t->queues[value * 7 % QUEUES], &value,
                                                   sizeof value, COHORT_FOREVER));
    }
    return 0;
}

/* Readers with a set each, of queues that hold two messages. */
static void readers_with_sets(void) {
    traffic_t t = {.taken = party_memory(SENDERS * MESSAGES * sizeof(int))};
    cohort_process_t *readers[READERS], *senders[SENDERS];
    for (int i = 0; i < QUEUES; i++) t.queues[i] = queue_for(2);
    parties_start(readers, READERS, read_any, &t, sizeof t);
    for (t.sender = 0; t.sender < SENDERS; t.sender++)
        senders[t.sender] = party_start(send_all, &t, sizeof t);
    parties_finish(senders, SENDERS);
    for (int i = 0; i < QUEUES; i++) CHECK_STATUS(APR_SUCCESS, cohort_queue_close(t.queues[i]));
    parties_finish(readers, READERS);
    for (int i = 0; i < SENDERS * MESSAGES; i++) CHECK_INT(1, t.taken[i]);
}

/* ---- deaths --------------------------------------------------------------------------------- */

enum { ROUNDS = 20 };

typedef struct {
    cohort_queue_t *question, *answer;
    cohort_event_t *event;
} talk_t;

/* Sets and clears without end, and is killed at it. */
static int flicker(void *args) {
    talk_t *t = args;
    put(t->answer);
    while (!cohort_event_set(t->event) && !cohort_event_clear(t->event)) continue;
    return 1;
}

static int answer_once(void *args) {
    talk_t *t = args;
    char byte;
    apr_size_t size;
    CHECK_STATUS(APR_SUCCESS, cohort_queue_get(t->question, &byte, 1, &size, COHORT_FOREVER));
    put(t->answer);
    return 0;
}

/* Processes die while they notify, and the set still hears of what comes then. */
static void notifiers_die(void) {
    cohort_waitset_t *set = new_set();
    talk_t t = {queue_for(1), queue_for(1), new_event()};
    cohort_waitable_t item;
    apr_size_t n;
    add(set, t.event, 0, NULL);
    add(set, t.answer, 0, NULL);
    for (int i = 0; i < ROUNDS; i++) {
        cohort_process_t *victim = party_start(flicker, &t, sizeof t);
        do {
            CHECK_STATUS(APR_SUCCESS, cohort_waitset_wait(set, &item, 1, &n, COHORT_FOREVER));
        } while (item.object != t.answer);
        get(t.answer);
        cohort_process_t *other = party_start(answer_once, &t, sizeof t);
        for (int k = 0; k < i; k++) (void)cohort_waitset_wait(set, &item, 1, &n, 100);
        party_kill(victim);
        CHECK_STATUS(APR_SUCCESS, cohort_event_clear(t.event));
        put(t.question);
        check_only(set, t.answer, GETS, COHORT_FOREVER);
        get(t.answer);
        party_finish(other);
    }
}

/* A process that dies in a wait, and one that dies with a set, leave nothing that hinders. */
static int wait_for_ever(void *args) {
    talk_t *t = args;
    cohort_waitset_t *set = new_set();
    cohort_waitable_t item;
    apr_size_t n;
    apr_os_file_t descriptor;
    add(set, t->event, 0, NULL);
    CHECK_STATUS(APR_SUCCESS, cohort_waitset_descriptor(set, &descriptor));
    put(t->answer);
    return cohort_waitset_wait(set, &item, 1, &n, COHORT_FOREVER) != APR_SUCCESS;
}

static void waiters_die(void) {
    talk_t t = {queue_for(1), queue_for(1), new_event()};
    cohort_waitset_t *set = new_set();
    add(set, t.event, 0, NULL);
    for (int i = 0; i < 4; i++) {
        cohort_process_t *victim = party_start(wait_for_ever, &t, sizeof t);
        char byte;
        apr_size_t size;
        CHECK_STATUS(APR_SUCCESS, cohort_queue_get(t.answer, &byte, 1, &size, COHORT_FOREVER));
        party_kill(victim);
        check_none(set);
        CHECK_STATUS(APR_SUCCESS, cohort_event_set(t.event));
        check_only(set, t.event, GETS, COHORT_FOREVER);
        CHECK_STATUS(APR_SUCCESS, cohort_event_clear(t.event));
    }
}

/* ---- which set it is ------------------------------------------------------------------------ */

static int use_parents(void *args) {
    cohort_waitset_t *set = *(cohort_waitset_t **)args;
    cohort_waitable_t item = {.object = cohort_process_current()};
    apr_size_t n;
    CHECK_STATUS(COHORT_EHANDLE, cohort_waitset_wait(set, &item, 1, &n, COHORT_FOREVER));
    CHECK_STATUS(COHORT_EHANDLE, cohort_waitset_destroy(set));
    CHECK_INT(0, cohort_waitset_count(set));
    cohort_waitset_t *own = new_set();
    add(own, cohort_process_parent(), 0, NULL);
    check_none(own);
    return 0;
}

/* A child has not its parent's sets. */
static void of_this_process_alone(void) {
    cohort_waitset_t *set = new_set();
    cohort_event_t *event = new_event();
    apr_os_file_t descriptor;
    add(set, event, 0, NULL);
    CHECK_STATUS(APR_SUCCESS, cohort_waitset_descriptor(set, &descriptor));
    check_none(set);
    party_finish(party_start(use_parents, &set, sizeof set));
    check_none(set);
    CHECK_STATUS(APR_SUCCESS, cohort_event_set(event));
    check_only(set, event, GETS, COHORT_FOREVER);
}

typedef struct {
    cohort_waitset_t *set;
    _Atomic int waits;
    apr_status_t status;
} waiter_t;

static void *APR_THREAD_FUNC wait_on_set(apr_thread_t *thread, void *arg) {
    waiter_t *w = arg;
    cohort_waitable_t item;
    apr_size_t n;
    (void)thread;
    atomic_store(&w->waits, 1);
    do {
        w->status = cohort_waitset_wait(w->set, &item, 1, &n, COHORT_FOREVER);
    } while (APR_STATUS_IS_EBUSY(w->status));
    return NULL;
}

/* From another thread, before the wait and in it. */
static void interrupted(void) {
    cohort_waitset_t *set = new_set();
    cohort_waitable_t item;
    apr_size_t n;
    add(set, new_event(), 0, NULL);
    cohort_waitset_interrupt(set);
    cohort_waitset_interrupt(set);
    CHECK_STATUS(APR_EINTR, cohort_waitset_wait(set, &item, 1, &n, COHORT_FOREVER));
    check_none(set);
    for (int i = 0; i < 50; i++) {
        waiter_t w = {.set = set};
        apr_thread_t *thread = party_thread(wait_on_set, &w);
        party_await(&w.waits, 1);
        if (i % 2) apr_sleep(A_WHILE / 50);
        cohort_waitset_interrupt(set);
        party_thread_finish(thread);
        CHECK_STATUS(APR_EINTR, w.status);
    }
    cohort_waitset_interrupt(NULL);
}

static void one_thread_at_a_time(void) {
    cohort_waitset_t *set = new_set();
    waiter_t w = {.set = set};
    apr_status_t status;
    cohort_waitable_t item = {.object = new_event()};
    apr_thread_t *thread = party_thread(wait_on_set, &w);
    party_await(&w.waits, 1);
    while (!(status = cohort_waitset_add(set, &item))) apr_thread_yield();
    CHECK_STATUS(APR_EBUSY, status);
    CHECK_STATUS(APR_EBUSY, cohort_waitset_destroy(set));
    cohort_waitset_interrupt(set);
    party_thread_finish(thread);
    CHECK_STATUS(APR_EINTR, w.status);
    CHECK_STATUS(APR_SUCCESS, cohort_waitset_destroy(set));
}

static void refused(void) {
    cohort_waitset_t *set = new_set(), *none = NULL;
    cohort_lock_t *lock;
    cohort_waitable_t item = {0};
    apr_size_t n;
    apr_os_file_t file;
    CHECK_STATUS(APR_SUCCESS, cohort_lock_create(&lock, test_pool()));
    CHECK_STATUS(APR_EINVAL, cohort_waitset_create(NULL, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_waitset_add(set, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_waitset_add(none, &item));
    CHECK_STATUS(APR_EINVAL, cohort_waitset_add(set, &item));
    CHECK_STATUS(APR_EINVAL, cohort_waitset_remove(set, &item));
    CHECK_STATUS(APR_EINVAL, cohort_waitset_wait(set, &item, 0, &n, 0));
    CHECK_STATUS(APR_EINVAL, cohort_waitset_wait(set, NULL, 1, &n, 0));
    CHECK_STATUS(APR_EINVAL, cohort_waitset_wait(set, &item, 1, NULL, 0));
    CHECK_STATUS(APR_EINVAL, cohort_waitset_descriptor(set, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_waitset_of(NULL, &file, set, 0, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_waitset_of(&none, NULL, set, 0, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_waitset_of(&none, &file, NULL, 0, NULL));
    CHECK(none == NULL);
    CHECK_INT(0, cohort_waitset_ready(NULL));
    CHECK_STATUS(APR_EINVAL, cohort_waitset_descriptor(NULL, &file));
    item.object = lock;
    CHECK_STATUS(APR_ENOTIMPL, cohort_waitset_add(set, &item));
    item.object = &item;
    CHECK_STATUS(COHORT_EHANDLE, cohort_waitset_add(set, &item));
    item = (cohort_waitable_t){.object = new_event(), .wanted = 64};
    CHECK_STATUS(COHORT_EOPTION, cohort_waitset_add(set, &item));
    item = (cohort_waitable_t){.object = new_event(), .reserved = {0, 1}};
    CHECK_STATUS(COHORT_EOPTION, cohort_waitset_add(set, &item));
    item = (cohort_waitable_t){.file = (apr_file_t *)&item, .descriptor = &file};
    CHECK_STATUS(APR_EINVAL, cohort_waitset_add(set, &item));
    CHECK_INT(0, cohort_waitset_count(set));
    CHECK_STATUS(APR_SUCCESS, cohort_waitset_destroy(NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_waitset_destroy(set));
    none = (cohort_waitset_t *)lock;
    CHECK_STATUS(COHORT_EHANDLE, cohort_waitset_destroy(set));
    CHECK_STATUS(COHORT_EHANDLE, cohort_waitset_wait(set, &item, 1, &n, COHORT_FOREVER));
    CHECK_STATUS(COHORT_EHANDLE, cohort_waitset_descriptor(none, &file));
}

const test_case_t waitset_cases[] = {{"WaitSet", "each_of_a_family", each_of_a_family},
                                     {"WaitSet", "by_turns", by_turns},
                                     {"WaitSet", "twice", twice},
                                     {"WaitSet", "destroyed", destroyed},
                                     {"WaitSet", "more_than_the_news", more_than_the_news},
                                     {"WaitSet", "readers_with_sets", readers_with_sets},
                                     {"WaitSet", "notifiers_die", notifiers_die},
                                     {"WaitSet", "waiters_die", waiters_die},
                                     {"WaitSet", "of_this_process_alone", of_this_process_alone},
                                     {"WaitSet", "interrupted", interrupted},
                                     {"WaitSet", "one_thread_at_a_time", one_thread_at_a_time},
                                     {"WaitSet", "refused", refused},
                                     {0}};
