/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Sockets among the items of cohort_wait() and of wait sets, beside objects. */
#include "waits.h"

#include <apr_network_io.h>

typedef struct {
    apr_socket_t *near, *far;
} link_t;

static link_t new_link(void) {
    apr_sockaddr_t *at, *bound;
    apr_socket_t *listener;
    link_t link;
    CHECK_STATUS(APR_SUCCESS, apr_sockaddr_info_get(&at, "127.0.0.1", APR_INET, 0, 0, test_pool()));
    CHECK_STATUS(APR_SUCCESS,
                 apr_socket_create(&listener, APR_INET, SOCK_STREAM, APR_PROTO_TCP, test_pool()));
    CHECK_STATUS(APR_SUCCESS, apr_socket_bind(listener, at));
    CHECK_STATUS(APR_SUCCESS, apr_socket_listen(listener, 1));
    CHECK_STATUS(APR_SUCCESS, apr_socket_addr_get(&bound, APR_LOCAL, listener));
    CHECK_STATUS(APR_SUCCESS,
                 apr_socket_create(&link.far, APR_INET, SOCK_STREAM, APR_PROTO_TCP, test_pool()));
    CHECK_STATUS(APR_SUCCESS, apr_socket_connect(link.far, bound));
    CHECK_STATUS(APR_SUCCESS, apr_socket_accept(&link.near, listener, test_pool()));
    CHECK_STATUS(APR_SUCCESS, apr_socket_close(listener));
    return link;
}

static void say(apr_socket_t *socket) {
    apr_size_t size = 1;
    CHECK_STATUS(APR_SUCCESS, apr_socket_send(socket, "x", &size));
    CHECK_INT(1, size);
}

static void hear(apr_socket_t *socket) {
    char byte;
    apr_size_t size = 1;
    CHECK_STATUS(APR_SUCCESS, apr_socket_recv(socket, &byte, &size));
    CHECK_INT(1, size);
}

static cohort_event_t *new_event(void) {
    cohort_event_t *event;
    CHECK_STATUS(APR_SUCCESS, cohort_event_create(&event, test_pool()));
    return event;
}

static int set_event(void *args) {
    apr_sleep(A_WHILE / 5);
    CHECK_STATUS(APR_SUCCESS, cohort_event_set(*(cohort_event_t **)args));
    return 0;
}

static void *APR_THREAD_FUNC say_later(apr_thread_t *thread, void *arg) {
    (void)thread;
    apr_sleep(A_WHILE / 5);
    say(arg);
    return NULL;
}

/* ---- cohort_wait() -------------------------------------------------------------------------- */

/* Each ends a wait for both, of a thread that sleeps. */
static void any_of_both(void) {
    link_t link = new_link();
    cohort_event_t *event = new_event();
    cohort_waitable_t items[] = {{.socket = link.near}, {.object = event}, {.socket = link.near}};
    CHECK_STATUS(APR_EAGAIN, cohort_wait(items, 3, ANY_OF, 0));
    CHECK_STATUS(APR_TIMEUP, cohort_wait(items, 3, ANY_OF, A_WHILE));
    for (int i = 0; i < 10; i++) {
        cohort_process_t *other = party_start(set_event, &event, sizeof event);
        CHECK_STATUS(APR_SUCCESS, cohort_wait(items, 3, ANY_OF, COHORT_FOREVER));
        CHECK_INT(0, items[0].ready);
        CHECK_INT(GETS, items[1].ready);
        CHECK_INT(0, items[2].ready);
        party_finish(other);
        CHECK_STATUS(APR_SUCCESS, cohort_event_clear(event));
        apr_thread_t *thread = party_thread(say_later, link.far);
        CHECK_STATUS(APR_SUCCESS, cohort_wait(items, 3, ANY_OF, COHORT_FOREVER));
        CHECK_INT(GETS, items[0].ready);
        CHECK_INT(0, items[1].ready);
        CHECK_INT(GETS, items[2].ready);
        party_thread_finish(thread);
        hear(link.near);
    }
}

static void all_of_both(void) {
    link_t link = new_link();
    cohort_event_t *event = new_event();
    cohort_waitable_t items[] = {{.socket = link.near}, {.object = event}};
    CHECK_STATUS(APR_SUCCESS, cohort_event_set(event));
    CHECK_STATUS(APR_TIMEUP, cohort_wait(items, 2, COHORT_WAIT_ALL, A_WHILE));
    CHECK_INT(0, items[0].ready);
    CHECK_INT(GETS, items[1].ready);
    apr_thread_t *thread = party_thread(say_later, link.far);
    CHECK_STATUS(APR_SUCCESS, cohort_wait(items, 2, COHORT_WAIT_ALL, COHORT_FOREVER));
    party_thread_finish(thread);
    CHECK_STATUS(APR_SUCCESS, cohort_event_clear(event));
    cohort_process_t *other = party_start(set_event, &event, sizeof event);
    CHECK_STATUS(APR_SUCCESS, cohort_wait(items, 2, COHORT_WAIT_ALL, COHORT_FOREVER));
    party_finish(other);
}

static int fail(void *args) { return *(int *)args; }

static void first_failure(void) {
    link_t link = new_link();
    int codes[] = {0, 3};
    cohort_process_t *well = party_start(fail, &codes[0], sizeof codes[0]);
    cohort_waitable_t items[] = {{.socket = link.near}, {.object = well}, {.object = NULL}};
    say(link.far);
    CHECK_STATUS(APR_SUCCESS, cohort_wait(items, 2, COHORT_WAIT_FAILURE, COHORT_FOREVER));
    hear(link.near);
    CHECK_STATUS(APR_TIMEUP, cohort_wait(items, 2, COHORT_WAIT_FAILURE, A_WHILE));
    items[2].object = party_start(fail, &codes[1], sizeof codes[1]);
    CHECK_STATUS(APR_SUCCESS, cohort_wait(items, 3, COHORT_WAIT_FAILURE, COHORT_FOREVER));
    CHECK_INT(COHORT_READY_END, items[2].ready);
    party_finish(well);
    party_end(items[2].object, 3);
}

/* ---- sets ----------------------------------------------------------------------------------- */

static cohort_waitset_t *new_set(void) {
    cohort_waitset_t *set;
    CHECK_STATUS(APR_SUCCESS, cohort_waitset_create(&set, test_pool()));
    return set;
}

static void add(cohort_waitset_t *set, cohort_waitable_t item) {
    CHECK_STATUS(APR_SUCCESS, cohort_waitset_add(set, &item));
}

/* A socket that can be read and written, and its other side goes. */
static void conditions_of_sockets(void) {
    link_t link = new_link();
    cohort_waitset_t *set = new_set();
    cohort_waitable_t item = {.socket = link.near, .wanted = COHORT_READY_END}, got;
    apr_size_t n;
    CHECK_STATUS(APR_ENOTIMPL, cohort_waitset_add(set, &item));
    add(set, (cohort_waitable_t){.socket = link.near, .wanted = GETS | PUTS, .data = &link});
    CHECK_STATUS(APR_SUCCESS, cohort_waitset_wait(set, &got, 1, &n, COHORT_FOREVER));
    CHECK(got.socket == link.near && got.data == &link);
    CHECK_INT(PUTS, got.ready);
    say(link.far);
    do {
        CHECK_STATUS(APR_SUCCESS, cohort_waitset_wait(set, &got, 1, &n, COHORT_FOREVER));
    } while (got.ready != (GETS | PUTS));
    hear(link.near);
    item.wanted = 0;
    CHECK_STATUS(APR_SUCCESS, cohort_waitset_remove(set, &item));
    CHECK_STATUS(APR_NOTFOUND, cohort_waitset_remove(set, &item));
    add(set, item);
    CHECK_STATUS(APR_EAGAIN, cohort_waitset_wait(set, &got, 1, &n, 0));
    CHECK_STATUS(APR_SUCCESS, apr_socket_close(link.far));
    CHECK_STATUS(APR_SUCCESS, cohort_waitset_wait(set, &got, 1, &n, COHORT_FOREVER));
    CHECK_INT(GETS, got.ready);
}

enum { LINKS = 40, ROUNDS = 200 };

/* More sockets than a pollset begins with, and events; whatever is ready is told, and only that. */
static void many_of_both(void) {
    link_t links[LINKS];
    cohort_event_t *events[LINKS];
    cohort_waitset_t *set = new_set();
    cohort_waitable_t got[4];
    apr_size_t n;
    for (int i = 0; i < LINKS; i++) {
        links[i] = new_link();
        events[i] = new_event();
        add(set, (cohort_waitable_t){.socket = links[i].near});
        add(set, (cohort_waitable_t){.object = events[i]});
    }
    CHECK_INT(2 * LINKS, cohort_waitset_count(set));
    CHECK_STATUS(APR_EAGAIN, cohort_waitset_wait(set, got, 4, &n, 0));
    for (int i = 0; i < ROUNDS; i++) {
        link_t *link = &links[i * 7 % LINKS];
        cohort_event_t *event = events[i * 11 % LINKS];
        bool told = false;
        if (i % 3) say(link->far);
        if (i % 3 != 1) CHECK_STATUS(APR_SUCCESS, cohort_event_set(event));
        while (!told) {
            CHECK_STATUS(APR_SUCCESS, cohort_waitset_wait(set, got, 4, &n, COHORT_FOREVER));
            for (apr_size_t k = 0; k < n; k++) {
                CHECK(i % 3 ? got[k].socket == link->near || got[k].object == event
                            : got[k].object == event);
                told = told || (i % 3 ? got[k].socket == link->near : true);
            }
        }
        if (i % 3) hear(link->near);
        CHECK_STATUS(APR_SUCCESS, cohort_event_clear(event));
    }
    CHECK_STATUS(APR_EAGAIN, cohort_waitset_wait(set, got, 4, &n, 0));
}

/* Neither kind keeps the other from being told. */
static void neither_starves(void) {
    link_t link = new_link();
    cohort_event_t *event = new_event();
    cohort_waitset_t *set = new_set();
    cohort_waitable_t got;
    apr_size_t n;
    int sockets = 0, objects = 0;
    add(set, (cohort_waitable_t){.socket = link.near});
    add(set, (cohort_waitable_t){.object = event});
    say(link.far);
    CHECK_STATUS(APR_SUCCESS, cohort_event_set(event));
    while (!sockets || !objects) {
        CHECK_STATUS(APR_SUCCESS, cohort_waitset_wait(set, &got, 1, &n, COHORT_FOREVER));
        if (got.socket) sockets++;
        else objects++;
    }
}

typedef struct {
    cohort_waitset_t *set;
    _Atomic int waits;
} waiter_t;

static void *APR_THREAD_FUNC wait_in_vain(apr_thread_t *thread, void *arg) {
    waiter_t *w = arg;
    cohort_waitable_t got;
    apr_size_t n;
    (void)thread;
    atomic_store(&w->waits, 1);
    CHECK_STATUS(APR_EINTR, cohort_waitset_wait(w->set, &got, 1, &n, COHORT_FOREVER));
    return NULL;
}

/* In the poll of the system, with objects and without. */
static void interrupted_in_the_poll(void) {
    for (int i = 0; i < 40; i++) {
        link_t link = new_link();
        waiter_t w = {.set = new_set()};
        add(w.set, (cohort_waitable_t){.socket = link.near});
        if (i % 2) add(w.set, (cohort_waitable_t){.object = new_event()});
        apr_thread_t *thread = party_thread(wait_in_vain, &w);
        party_await(&w.waits, 1);
        if (i % 4 > 1) apr_sleep(A_WHILE / 50);
        cohort_waitset_interrupt(w.set);
        party_thread_finish(thread);
        CHECK_STATUS(APR_SUCCESS, cohort_waitset_destroy(w.set));
        CHECK_STATUS(APR_SUCCESS, apr_socket_close(link.near));
        CHECK_STATUS(APR_SUCCESS, apr_socket_close(link.far));
    }
}

/* A loop polls its sockets by itself. */
static void no_sockets_behind_a_descriptor(void) {
    link_t link = new_link();
    cohort_waitset_t *with = new_set(), *without = new_set();
    cohort_waitable_t item = {.socket = link.near};
    apr_os_file_t descriptor;
    add(with, item);
    CHECK_STATUS(APR_ENOTIMPL, cohort_waitset_descriptor(with, &descriptor));
    CHECK_STATUS(APR_SUCCESS, cohort_waitset_descriptor(without, &descriptor));
    CHECK_STATUS(APR_ENOTIMPL, cohort_waitset_add(without, &item));
    CHECK_INT(0, cohort_waitset_count(without));
}

const test_case_t wait_sockets_cases[] = {
    {"WaitSet", "any_of_both", any_of_both},
    {"WaitSet", "all_of_both", all_of_both},
    {"WaitSet", "first_failure_beside_sockets", first_failure},
    {"WaitSet", "conditions_of_sockets", conditions_of_sockets},
    {"WaitSet", "many_of_both", many_of_both},
    {"WaitSet", "neither_starves", neither_starves},
    {"WaitSet", "interrupted_in_the_poll", interrupted_in_the_poll},
    {"WaitSet", "no_sockets_behind_a_descriptor", no_sockets_behind_a_descriptor},
    {0}};
