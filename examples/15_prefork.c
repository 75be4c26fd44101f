/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * 15: A prefork server: workers that all accept from one listening socket, which each of them is
 * given when it is started. One that dies is replaced, and a reload starts a new generation before
 * the old one is asked to finish, so that no connection is refused meanwhile.
 *
 * This is the same under every start method and, but for what docs/platforms.md says, on Windows.
 * The server is its own client here; a real one would do in a loop what main() does once each.
 */
#include "check.h"

#include <string.h>

enum { WORKERS = 3 };

typedef struct {
    int generation;
    cohort_event_t *retire; /* set when this generation is to finish */
} args_t;

/* ---- a worker ------------------------------------------------------------------------------- */

/* The word "crash" is what a bug would be. */
static void answer(apr_socket_t *client, int generation) {
    char text[64] = "";
    apr_size_t size = sizeof text - 1;
    if (apr_socket_recv(client, text, &size) == APR_SUCCESS) {
        if (strcmp(text, "crash") == 0) cohort_process_kill(cohort_process_current());
        size = (apr_size_t)snprintf(text, sizeof text, "generation %d", generation);
        apr_socket_send(client, text, &size);
    }
    apr_socket_close(client);
}

/* Another worker may have been faster: then there is nothing to accept. */
static int serve(void *data) {
    args_t *args = data;
    apr_pool_t *pool;
    apr_socket_t *listener, *client;
    check(apr_pool_create(&pool, NULL), "pool");
    check(cohort_gift_socket(&listener, "listener", 0, pool), "listener");
    cohort_waitable_t items[] = {{.socket = listener}, {.object = args->retire}};
    while (!cohort_event_is_set(args->retire)) {
        check(cohort_wait(items, 2, COHORT_WAIT_ANY, COHORT_FOREVER), "wait");
        if (apr_socket_accept(&client, listener, pool) != APR_SUCCESS) continue;
        /* on some systems it does not block, as the listener, and APR does not know that */
        apr_socket_timeout_set(client, 0);
        apr_socket_timeout_set(client, -1);
        answer(client, args->generation);
    }
    return 0;
}

/* ---- the server ----------------------------------------------------------------------------- */

static apr_pool_t *server_pool;
static apr_socket_t *listener;

static cohort_process_t *start_worker(const args_t *args) {
    cohort_gift_t gift = {.name = "listener", .socket = listener};
    cohort_process_options_t options = {
        .lifetime = COHORT_LIFETIME_DAEMON, .gifts = &gift, .n_gifts = 1};
    cohort_process_t *worker;
    check(cohort_process_launch(&worker, serve, args, sizeof *args, &options, NULL), "worker");
    return worker;
}

static void start_generation(args_t *args, cohort_process_t *workers[WORKERS]) {
    args->generation++;
    check(cohort_event_create(&args->retire, NULL), "event");
    for (int i = 0; i < WORKERS; i++) workers[i] = start_worker(args);
}

static void finish_generation(const args_t *args, cohort_process_t *workers[WORKERS]) {
    check(cohort_event_set(args->retire), "retire");
    for (int i = 0; i < WORKERS; i++) {
        check(cohort_process_join(workers[i], COHORT_FOREVER), "join");
        check(cohort_process_destroy(workers[i]), "destroy");
    }
    check(cohort_event_destroy(args->retire), "event");
}

static void replace_dead(const args_t *args, cohort_process_t *workers[WORKERS]) {
    cohort_waitable_t items[WORKERS] = {{.object = NULL}};
    for (int i = 0; i < WORKERS; i++) items[i].object = workers[i];
    check(cohort_wait(items, WORKERS, COHORT_WAIT_ANY, COHORT_FOREVER), "wait");
    for (int i = 0; i < WORKERS; i++) {
        if (!items[i].ready) continue;
        check(cohort_process_destroy(workers[i]), "destroy");
        workers[i] = start_worker(args);
        printf("a worker has died and is replaced\n");
    }
}

/* ---- its client ----------------------------------------------------------------------------- */

static void ask(apr_sockaddr_t *address, const char *word) {
    apr_socket_t *socket;
    char text[64] = "";
    apr_size_t size = strlen(word), room = sizeof text - 1;
    check(apr_socket_create(&socket, APR_INET, SOCK_STREAM, APR_PROTO_TCP, server_pool), "socket");
    check(apr_socket_connect(socket, address), "connect");
    check(apr_socket_send(socket, word, &size), "send");
    if (apr_socket_recv(socket, text, &room) != APR_SUCCESS) strcpy(text, "no answer");
    printf("%s: %s\n", word, text);
    apr_socket_close(socket);
}

int main(void) {
    apr_sockaddr_t *address;
    cohort_process_t *workers[WORKERS], *old[WORKERS];
    args_t args = {0}, old_args;
    check(cohort_initialize(NULL), "cohort_initialize");
    check(apr_pool_create(&server_pool, NULL), "pool");
    check(apr_sockaddr_info_get(&address, "127.0.0.1", APR_INET, 0, 0, server_pool), "address");
    check(apr_socket_create(&listener, APR_INET, SOCK_STREAM, APR_PROTO_TCP, server_pool),
          "socket");
    check(apr_socket_bind(listener, address), "bind");
    check(apr_socket_listen(listener, 64), "listen");
    check(apr_socket_timeout_set(listener, 0), "timeout");
    check(apr_socket_addr_get(&address, APR_LOCAL, listener), "address");

    start_generation(&args, workers);
    ask(address, "hello");
    ask(address, "crash");
    replace_dead(&args, workers);
    ask(address, "hello");

    old_args = args;
    memcpy(old, workers, sizeof old);
    start_generation(&args, workers);
    finish_generation(&old_args, old);
    ask(address, "hello");
    finish_generation(&args, workers);
    return 0;
}
