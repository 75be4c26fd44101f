/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * 14: A server with a pollset of APR as its loop, over sockets and Cohort's objects.
 *
 * Clients send a number each; a worker process squares them. The pollset polls the sockets, and the
 * descriptor of a wait set, which stands for the queue of answers and for the worker itself.
 */
#include "check.h"

#include <apr_poll.h>

enum { CLIENTS = 3 };

typedef struct {
    cohort_queue_t *questions, *answers;
} desk_t;

typedef struct {
    int client, number;
} letter_t;

static int square(void *args) {
    desk_t *desk = args;
    letter_t letter;
    apr_size_t size;
    while (!cohort_queue_get(desk->questions, &letter, sizeof letter, &size, COHORT_FOREVER)) {
        letter.number *= letter.number;
        if (cohort_queue_put(desk->answers, &letter, sizeof letter, COHORT_FOREVER)) return 1;
    }
    return 0;
}

static apr_pool_t *pool;

static apr_socket_t *new_socket(void) {
    apr_socket_t *socket;
    check(apr_socket_create(&socket, APR_INET, SOCK_STREAM, APR_PROTO_TCP, pool), "socket");
    return socket;
}

/* The clients are of this program, to keep the example in one piece. */
static void connect_clients(apr_socket_t **clients, apr_socket_t **ends) {
    apr_sockaddr_t *address;
    apr_socket_t *listener = new_socket();
    check(apr_sockaddr_info_get(&address, "127.0.0.1", APR_INET, 0, 0, pool), "address");
    check(apr_socket_bind(listener, address), "bind");
    check(apr_socket_listen(listener, CLIENTS), "listen");
    check(apr_socket_addr_get(&address, APR_LOCAL, listener), "local address");
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = new_socket();
        check(apr_socket_connect(clients[i], address), "connect");
        check(apr_socket_accept(&ends[i], listener, pool), "accept");
    }
}

static void watch(apr_pollset_t *pollset, apr_pollfd_t poll) {
    poll.p = pool;
    poll.reqevents = APR_POLLIN;
    check(apr_pollset_add(pollset, &poll), "apr_pollset_add");
}

static void ask(desk_t *desk, apr_socket_t *socket, int client) {
    letter_t letter = {.client = client};
    apr_size_t size = sizeof letter.number;
    check(apr_socket_recv(socket, (char *)&letter.number, &size), "receive");
    check(cohort_queue_put(desk->questions, &letter, sizeof letter, COHORT_FOREVER), "put");
}

/* What is ready behind the descriptor, until nothing is. */
static int show_answers(cohort_waitset_t *set, desk_t *desk) {
    cohort_waitable_t item;
    letter_t letter;
    apr_size_t n, size;
    int shown = 0;
    while (!cohort_waitset_wait(set, &item, 1, &n, 0)) {
        if (item.object != desk->answers) check(APR_EGENERAL, "the worker has ended");
        if (cohort_queue_get(desk->answers, &letter, sizeof letter, &size, 0)) continue;
        printf("client %d: %d\n", letter.client, letter.number);
        shown++;
    }
    return shown;
}

int main(void) {
    static const int indices[CLIENTS] = {0, 1, 2};
    apr_socket_t *clients[CLIENTS], *ends[CLIENTS];
    apr_pollset_t *pollset;
    apr_os_file_t descriptor;
    apr_file_t *file;
    cohort_waitset_t *set;
    cohort_process_t *worker;
    desk_t desk;
    check(cohort_initialize(NULL), "cohort_initialize");
    check(apr_pool_create(&pool, NULL), "apr_pool_create");
    check(cohort_queue_create(&desk.questions, NULL, pool), "questions");
    check(cohort_queue_create(&desk.answers, NULL, pool), "answers");
    check(cohort_process_launch(&worker, square, &desk, sizeof desk, NULL, NULL), "worker");
    check(cohort_waitset_of(&set, &descriptor, desk.answers, 0, pool), "cohort_waitset_of");
    check(cohort_waitset_add(set, &(cohort_waitable_t){.object = worker}), "add");
    check(apr_os_file_put(&file, &descriptor, 0, pool), "apr_os_file_put");

    check(apr_pollset_create(&pollset, CLIENTS + 1, pool, 0), "apr_pollset_create");
    watch(pollset, (apr_pollfd_t){.desc_type = APR_POLL_FILE, .desc.f = file});
    connect_clients(clients, ends);
    for (int i = 0; i < CLIENTS; i++) {
        int number = i + 7;
        apr_size_t size = sizeof number;
        watch(pollset, (apr_pollfd_t){.desc_type = APR_POLL_SOCKET,
                                      .desc.s = ends[i],
                                      .client_data = (void *)&indices[i]});
        check(apr_socket_send(clients[i], (const char *)&number, &size), "send");
    }
    for (int shown = 0; shown < CLIENTS;) {
        const apr_pollfd_t *ready;
        apr_int32_t n;
        check(apr_pollset_poll(pollset, -1, &n, &ready), "apr_pollset_poll");
        for (apr_int32_t i = 0; i < n; i++) {
            const int *client = ready[i].client_data;
            if (client) ask(&desk, ready[i].desc.s, *client);
            else shown += show_answers(set, &desk);
        }
    }
    check(cohort_queue_close(desk.questions), "close");
    check(cohort_process_join(worker, COHORT_FOREVER), "join");
    return cohort_process_exit_code(worker);
}
