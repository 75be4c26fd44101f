/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The descriptor of a wait set in poll(), descriptors among the items, signals, and what an idle
 * wait costs. */
#include "../api/waits.h"

#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

static cohort_waitset_t *new_set(void) {
    cohort_waitset_t *set;
    CHECK_STATUS(APR_SUCCESS, cohort_waitset_create(&set, test_pool()));
    return set;
}

static cohort_event_t *new_event(cohort_waitset_t *set) {
    cohort_event_t *event;
    CHECK_STATUS(APR_SUCCESS, cohort_event_create(&event, test_pool()));
    cohort_waitable_t item = {.object = event};
    CHECK_STATUS(APR_SUCCESS, cohort_waitset_add(set, &item));
    return event;
}

static int descriptor_of(cohort_waitset_t *set) {
    apr_os_file_t descriptor = -1, same;
    CHECK_STATUS(APR_SUCCESS, cohort_waitset_descriptor(set, &descriptor));
    CHECK_STATUS(APR_SUCCESS, cohort_waitset_descriptor(set, &same));
    CHECK_INT(descriptor, same);
    return descriptor;
}

static int readable(int descriptor, int milliseconds) {
    struct pollfd look = {.fd = descriptor, .events = POLLIN};
    return poll(&look, 1, milliseconds);
}

static apr_size_t take(cohort_waitset_t *set) {
    cohort_waitable_t items[8];
    apr_size_t n = 0;
    apr_status_t status = cohort_waitset_wait(set, items, 8, &n, 0);
    if (status) CHECK_STATUS(APR_EAGAIN, status);
    return n;
}

/* As a loop does at its beginning. */
static void settle(cohort_waitset_t *set, int descriptor) {
    while (readable(descriptor, 0)) CHECK_INT(0, take(set));
}

static int set_event(void *args) {
    apr_sleep(A_WHILE / 5);
    CHECK_STATUS(APR_SUCCESS, cohort_event_set(*(cohort_event_t **)args));
    return 0;
}

/* Readable when an item is ready, until a wait has found none. */
static void descriptor_is_level_triggered(void) {
    cohort_waitset_t *set = new_set();
    cohort_event_t *event = new_event(set);
    int descriptor = descriptor_of(set);
    for (int i = 0; i < 20; i++) {
        settle(set, descriptor);
        CHECK_INT(0, readable(descriptor, 1));
        cohort_process_t *other = party_start(set_event, &event, sizeof event);
        CHECK_INT(1, readable(descriptor, -1));
        CHECK_INT(1, take(set));
        CHECK_INT(1, readable(descriptor, 0));
        CHECK_INT(1, take(set));
        party_finish(other);
        CHECK_STATUS(APR_SUCCESS, cohort_event_clear(event));
        CHECK_INT(1, readable(descriptor, 0));
        CHECK_INT(0, take(set));
    }
}

/* What is added is told of; an interruption, too. */
static void descriptor_tells_of_all(void) {
    cohort_waitset_t *set = new_set();
    int descriptor = descriptor_of(set);
    cohort_waitable_t item;
    apr_size_t n;
    settle(set, descriptor);
    cohort_queue_t *queue = queue_for(1);
    put(queue);
    item = (cohort_waitable_t){.object = queue};
    CHECK_STATUS(APR_SUCCESS, cohort_waitset_add(set, &item));
    CHECK_INT(1, readable(descriptor, -1));
    CHECK_INT(1, take(set));
    get(queue);
    settle(set, descriptor);
    cohort_waitset_interrupt(set);
    CHECK_INT(1, readable(descriptor, -1));
    CHECK_STATUS(APR_EINTR, cohort_waitset_wait(set, &item, 1, &n, 0));
    settle(set, descriptor);
    put(queue);
    CHECK_INT(1, readable(descriptor, -1));
    CHECK_STATUS(APR_SUCCESS, cohort_waitset_destroy(set));
    CHECK_INT(-1, write(descriptor, "", 0));
}

enum { MESSAGES = 2000 };

static int send_messages(void *args) {
    cohort_queue_t **queues = args;
    for (int i = 0; i < MESSAGES; i++) put(queues[i % 2]);
    return 0;
}

/* Two sets behind descriptors in one poll; no message is left lying. */
static void a_loop_over_two_sets(void) {
    cohort_queue_t *queues[2] = {queue_for(3), queue_for(3)};
    struct pollfd look[2];
    cohort_waitset_t *sets[2];
    int got = 0;
    for (int i = 0; i < 2; i++) {
        cohort_waitable_t item = {.object = queues[i]};
        sets[i] = new_set();
        CHECK_STATUS(APR_SUCCESS, cohort_waitset_add(sets[i], &item));
        look[i] = (struct pollfd){.fd = descriptor_of(sets[i]), .events = POLLIN};
    }
    cohort_process_t *other = party_start(send_messages, queues, sizeof queues);
    while (got < MESSAGES) {
        CHECK(poll(look, 2, -1) > 0);
        for (int i = 0; i < 2; i++) {
            if (!look[i].revents || !take(sets[i])) continue;
            get(queues[i]);
            got++;
        }
    }
    party_finish(other);
    CHECK_INT(0, take(sets[0]) + take(sets[1]));
}

/* ---- descriptors as items ------------------------------------------------------------------- */

static void descriptors_as_items(void) {
    cohort_waitset_t *set = new_set();
    cohort_event_t *event = new_event(set);
    cohort_waitable_t got;
    apr_size_t n;
    apr_os_file_t ends[2];
    char byte;
    CHECK_INT(0, pipe(ends));
    for (int i = 0; i < 100; i++) { /* the number of a descriptor that was closed comes again */
        cohort_waitable_t item = {.descriptor = &ends[0]};
        CHECK_STATUS(APR_SUCCESS, cohort_waitset_add(set, &item));
        CHECK_STATUS(APR_EAGAIN, cohort_waitset_wait(set, &got, 1, &n, 0));
        CHECK_INT(1, write(ends[1], "x", 1));
        CHECK_STATUS(APR_SUCCESS, cohort_waitset_wait(set, &got, 1, &n, COHORT_FOREVER));
        CHECK(*got.descriptor == ends[0]);
        CHECK_INT(1, read(ends[0], &byte, 1));
        CHECK_INT(0, close(ends[1]));
        CHECK_STATUS(APR_SUCCESS, cohort_waitset_wait(set, &got, 1, &n, COHORT_FOREVER));
        CHECK_INT(GETS, got.ready);
        CHECK_STATUS(APR_SUCCESS, cohort_waitset_remove(set, &item));
        CHECK_INT(0, close(ends[0]));
        CHECK_INT(0, pipe(ends));
    }
    cohort_waitable_t items[] = {{.descriptor = &ends[0]}, {.object = event}};
    cohort_process_t *other = party_start(set_event, &event, sizeof event);
    CHECK_STATUS(APR_SUCCESS, cohort_wait(items, 2, ANY_OF, COHORT_FOREVER));
    CHECK_INT(0, items[0].ready);
    party_finish(other);
}

/* ---- signals -------------------------------------------------------------------------------- */

static cohort_waitset_t *signalled;
static volatile sig_atomic_t signals;

static void interrupt_it(int signal) {
    (void)signal;
    signals = signals + 1;
    cohort_waitset_interrupt(signalled);
}

static void count_it(int signal) {
    (void)signal;
    signals = signals + 1;
}

static int send_signals(void *args) {
    pid_t to = *(pid_t *)args;
    for (int i = 0; i < 20; i++) {
        apr_sleep(A_WHILE / 20);
        CHECK_INT(0, kill(to, i % 2 ? SIGUSR2 : SIGUSR1));
    }
    return 0;
}

/* A signal ends the wait when its handler says so, another one does not. */
static void signal_of_choice(void) {
    apr_os_file_t ends[2];
    pid_t self = getpid();
    CHECK_INT(0, pipe(ends));
    for (int polled = 0; polled < 2; polled++) {
        cohort_waitable_t item = {.descriptor = &ends[0]}, got;
        apr_size_t n;
        signalled = new_set();
        (void)new_event(signalled);
        if (polled) CHECK_STATUS(APR_SUCCESS, cohort_waitset_add(signalled, &item));
        CHECK(signal(SIGUSR1, count_it) != SIG_ERR);
        CHECK(signal(SIGUSR2, interrupt_it) != SIG_ERR);
        cohort_process_t *other = party_start(send_signals, &self, sizeof self);
        for (int i = 0; i < 3; i++) {
            CHECK_STATUS(APR_EINTR, cohort_waitset_wait(signalled, &got, 1, &n, COHORT_FOREVER));
        }
        CHECK(signals >= 3);
        party_finish(other);
    }
    CHECK(signal(SIGUSR2, SIG_DFL) != SIG_ERR);
}

/* ---- idle ----------------------------------------------------------------------------------- */

static long switches(void) {
    struct rusage used;
    CHECK_INT(0, getrusage(RUSAGE_SELF, &used));
    return used.ru_nvcsw;
}

/* In a wait for a queue alone, with the back end's means to sleep. */
static long switches_of_a_wait(cohort_queue_t *queue) {
    char byte;
    apr_size_t size;
    long before = switches();
    CHECK_STATUS(APR_TIMEUP, cohort_queue_get(queue, &byte, 1, &size, 3000000));
    return switches() - before;
}

/* A process that waits is woken to look around as seldom as by any other wait, by each thread that
 * does: wake-ups are counted, not time. Other processes put and get meanwhile. */
static int be_idle(void *args) {
    cohort_queue_t *queue = *(cohort_queue_t **)args;
    cohort_waitset_t *set = new_set();
    cohort_waitable_t item = {.object = queue}, got;
    apr_size_t n;
    long most = 60 + 3 * switches_of_a_wait(queue);
    CHECK_STATUS(APR_SUCCESS, cohort_waitset_add(set, &item));
    int descriptor = descriptor_of(set);
    settle(set, descriptor);
    apr_sleep(A_WHILE);
    long before = switches();
    CHECK_INT(0, readable(descriptor, 3000));
    CHECK(switches() - before < most);
    before = switches();
    CHECK_STATUS(APR_TIMEUP, cohort_waitset_wait(set, &got, 1, &n, 3000000));
    CHECK(switches() - before < most + 90); /* the CPU is given up some times before the sleep */
    return 0;
}

static void idle_waits_sleep(void) {
    cohort_queue_t *watched = queue_for(1), *busy = queue_for(1);
    cohort_process_t *other = party_start(be_idle, &watched, sizeof watched);
    while (cohort_process_is_alive(other)) {
        put(busy);
        get(busy);
    }
    party_finish(other);
}

const test_case_t wait_loop_cases[] = {
    {"WaitSet", "descriptor_is_level_triggered", descriptor_is_level_triggered},
    {"WaitSet", "descriptor_tells_of_all", descriptor_tells_of_all},
    {"WaitSet", "a_loop_over_two_sets", a_loop_over_two_sets},
    {"WaitSet", "descriptors_as_items", descriptors_as_items},
    {"WaitSet", "signal_of_choice", signal_of_choice},
    {"WaitSet", "idle_waits_sleep", idle_waits_sleep},
    {0}};
