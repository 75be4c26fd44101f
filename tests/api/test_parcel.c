/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Files, sockets and handles that are sent from one process to any other. */
#include "facts.h"
#include "parties.h"

#include <apr_file_io.h>
#include <apr_network_io.h>
#include <apr_portable.h>
#include <apr_strings.h>
#include <stdlib.h>

typedef struct {
    cohort_parcel_t parcel;
    char text[32];
} letter_t;

typedef struct {
    cohort_queue_t *letters, *answers;
} desk_t;

static desk_t make_desk(void) {
    desk_t desk = {NULL, NULL};
    CHECK_STATUS(APR_SUCCESS, cohort_queue_create(&desk.letters, NULL, test_pool()));
    CHECK_STATUS(APR_SUCCESS, cohort_queue_create(&desk.answers, NULL, test_pool()));
    return desk;
}

static letter_t send_file(apr_file_t *file, const char *text, apr_interval_time_t lifetime) {
    letter_t letter;
    const cohort_gift_t gift = {.file = file};
    memset(&letter, 0, sizeof letter);
    apr_cpystrn(letter.text, text, sizeof letter.text);
    apr_status_t status = cohort_gift_send(&letter.parcel, &gift, lifetime);
    if (APR_STATUS_IS_ENOTIMPL(status)) SKIP("this system hands descriptors on to children alone");
    CHECK_STATUS(APR_SUCCESS, status);
    return letter;
}

static void put_letter(const desk_t *desk, const letter_t *letter) {
    CHECK_STATUS(APR_SUCCESS,
                 cohort_queue_put(desk->letters, letter, sizeof *letter, COHORT_FOREVER));
}

static letter_t get_letter(cohort_queue_t *queue) {
    letter_t letter;
    apr_size_t size;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_queue_get(queue, &letter, sizeof letter, &size, COHORT_FOREVER));
    return letter;
}

static void make_pipe(apr_file_t **reader, apr_file_t **writer) {
    CHECK_STATUS(APR_SUCCESS, apr_file_pipe_create(reader, writer, test_pool()));
}

static void say(apr_file_t *file, const char *text) {
    CHECK_STATUS(APR_SUCCESS, apr_file_write_full(file, text, strlen(text), NULL));
}

static void check_heard(const char *expected, apr_file_t *file) {
    char text[64] = "";
    apr_size_t size = strlen(expected);
    CHECK_STATUS(APR_SUCCESS, apr_file_read_full(file, text, size, NULL));
    CHECK_STR(expected, text);
}

/* No process has the writing end any more. */
static void check_end(apr_file_t *reader) {
    char byte;
    apr_size_t size = 1;
    CHECK_STATUS(APR_EOF, apr_file_read(reader, &byte, &size));
}

static apr_status_t take(const letter_t *letter, apr_file_t **file) {
    return cohort_parcel_file(file, &letter->parcel, COHORT_FOREVER, test_pool());
}

/* ---- to another process --------------------------------------------------------------------- */

static int write_what_comes(void *args) {
    const desk_t *desk = args;
    letter_t letter = get_letter(desk->letters);
    apr_file_t *file = NULL;
    CHECK_STATUS(APR_SUCCESS, take(&letter, &file));
    say(file, letter.text);
    CHECK_STATUS(APR_NOTFOUND, take(&letter, &file));
    return 0;
}

/* It is closed here, where it was taken, and in what was kept for it. */
static void through_a_queue(void) {
    desk_t desk = make_desk();
    apr_file_t *reader = NULL, *writer = NULL;
    cohort_process_t *taker = party_start(write_what_comes, &desk, sizeof desk);
    make_pipe(&reader, &writer);
    letter_t letter = send_file(writer, "by queue", COHORT_FOREVER);
    CHECK_STATUS(APR_SUCCESS, apr_file_close(writer));
    put_letter(&desk, &letter);
    check_heard("by queue", reader);
    party_finish(taker);
    check_end(reader);
}

static int send_to_parent(void *args) {
    cohort_connection_t *there = *(cohort_connection_t **)args;
    apr_file_t *reader = NULL, *writer = NULL;
    char byte;
    apr_size_t size;
    make_pipe(&reader, &writer);
    letter_t letter = send_file(reader, "from a child", COHORT_FOREVER);
    say(writer, "from a child");
    CHECK_STATUS(APR_SUCCESS,
                 cohort_connection_send(there, &letter, sizeof letter, COHORT_FOREVER));
    /* until it has been taken: it lives no longer than this process */
    CHECK_STATUS(APR_SUCCESS, cohort_connection_recv(there, &byte, 1, &size, COHORT_FOREVER));
    return 0;
}

static void through_a_connection(void) {
    cohort_connection_t *here = NULL, *there = NULL;
    letter_t letter;
    apr_file_t *file = NULL;
    apr_size_t size;
    CHECK_STATUS(APR_SUCCESS, cohort_pipe_create(&here, &there, NULL, test_pool()));
    cohort_process_t *sender = party_start(send_to_parent, &there, sizeof there);
    apr_status_t status =
        cohort_connection_recv(here, &letter, sizeof letter, &size, COHORT_FOREVER);
    CHECK_STATUS(APR_SUCCESS, status);
    CHECK_STATUS(APR_SUCCESS, take(&letter, &file));
    check_heard("from a child", file);
    CHECK_STATUS(APR_SUCCESS, cohort_connection_send(here, "x", 1, COHORT_FOREVER));
    party_finish(sender);
}

static int answer_on_socket(void *args) {
    const desk_t *desk = args;
    letter_t letter = get_letter(desk->letters);
    apr_socket_t *socket = NULL;
    apr_size_t size = 5;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_parcel_socket(&socket, &letter.parcel, COHORT_FOREVER, test_pool()));
    CHECK_STATUS(APR_SUCCESS, apr_socket_send(socket, "hello", &size));
    CHECK_STATUS(APR_SUCCESS, apr_socket_close(socket));
    return 0;
}

typedef struct {
    apr_socket_t *client, *accepted;
} line_t;

static line_t connect_line(void) {
    apr_sockaddr_t *address = NULL;
    apr_socket_t *listener = NULL;
    line_t line = {NULL, NULL};
    apr_pool_t *pool = test_pool();
    CHECK_STATUS(APR_SUCCESS, apr_sockaddr_info_get(&address, "127.0.0.1", APR_INET, 0, 0, pool));
    CHECK_STATUS(APR_SUCCESS,
                 apr_socket_create(&listener, APR_INET, SOCK_STREAM, APR_PROTO_TCP, pool));
    CHECK_STATUS(APR_SUCCESS, apr_socket_bind(listener, address));
    CHECK_STATUS(APR_SUCCESS, apr_socket_listen(listener, 4));
    CHECK_STATUS(APR_SUCCESS, apr_socket_addr_get(&address, APR_LOCAL, listener));
    CHECK_STATUS(APR_SUCCESS,
                 apr_socket_create(&line.client, APR_INET, SOCK_STREAM, APR_PROTO_TCP, pool));
    CHECK_STATUS(APR_SUCCESS, apr_socket_connect(line.client, address));
    CHECK_STATUS(APR_SUCCESS, apr_socket_accept(&line.accepted, listener, pool));
    CHECK_STATUS(APR_SUCCESS, apr_socket_close(listener));
    return line;
}

/* The sender keeps none. */
static letter_t send_accepted(apr_socket_t *accepted) {
    letter_t letter;
    const cohort_gift_t gift = {.socket = accepted};
    memset(&letter, 0, sizeof letter);
    apr_status_t status = cohort_gift_send(&letter.parcel, &gift, COHORT_FOREVER);
    if (APR_STATUS_IS_ENOTIMPL(status)) SKIP("this system hands descriptors on to children alone");
    CHECK_STATUS(APR_SUCCESS, status);
    CHECK_STATUS(APR_SUCCESS, apr_socket_close(accepted));
    return letter;
}

/* No process has the other end any more. */
static void check_hung_up(apr_socket_t *client) {
    char byte;
    apr_size_t size = 1;
    apr_status_t status = apr_socket_recv(client, &byte, &size);
    CHECK(APR_STATUS_IS_EOF(status) || APR_STATUS_IS_ECONNRESET(status));
}

/* What a server does that hands its clients to others: the client sees the end as soon as the
 * process that took it has closed it. */
static void an_accepted_connection(void) {
    desk_t desk = make_desk();
    char text[6] = "";
    apr_size_t size = 5;
    for (int i = 0; i < 3; i++) {
        line_t line = connect_line();
        cohort_process_t *taker = party_start(answer_on_socket, &desk, sizeof desk);
        letter_t letter = send_accepted(line.accepted);
        put_letter(&desk, &letter);
        CHECK_STATUS(APR_SUCCESS, apr_socket_recv(line.client, text, &size));
        CHECK_STR("hello", text);
        check_hung_up(line.client);
        party_finish(taker);
    }
}

static int answer_if_first(void *args) {
    const desk_t *desk = args;
    letter_t letter = get_letter(desk->letters);
    apr_socket_t *socket = NULL;
    apr_size_t size = 5;
    apr_status_t status =
        cohort_parcel_socket(&socket, &letter.parcel, COHORT_FOREVER, test_pool());
    if (status) CHECK_STATUS(APR_NOTFOUND, status);
    else CHECK_STATUS(APR_SUCCESS, apr_socket_send(socket, "hello", &size));
    return 0;
}

/* Two take it at once: one has it, and the client hears of nothing else. */
static void a_connection_for_the_first(void) {
    desk_t desk = make_desk();
    for (int i = 0; i < 5; i++) {
        char text[6] = "";
        apr_size_t size = 5;
        cohort_process_t *takers[2];
        line_t line = connect_line();
        parties_start(takers, 2, answer_if_first, &desk, sizeof desk);
        letter_t letter = send_accepted(line.accepted);
        put_letter(&desk, &letter);
        put_letter(&desk, &letter);
        CHECK_STATUS(APR_SUCCESS, apr_socket_recv(line.client, text, &size));
        CHECK_STR("hello", text);
        parties_finish(takers, 2);
        check_hung_up(line.client);
    }
}

static int send_socket_and_stay(void *args) {
    const desk_t *desk = args;
    line_t line = connect_line();
    letter_t letter = send_accepted(line.accepted);
    put_letter(desk, &letter);
    const cohort_gift_t gift = {.socket = line.client};
    CHECK_STATUS(APR_SUCCESS, cohort_gift_send(&letter.parcel, &gift, COHORT_FOREVER));
    put_letter(desk, &letter);
    party_wait_for_death();
}

/* With its sender, or when it is discarded, the other side sees the end. */
static void connections_that_are_not_taken(void) {
    desk_t desk = make_desk();
    apr_socket_t *client = NULL, *taken = NULL;
    line_t line = connect_line();
    letter_t letter = send_accepted(line.accepted);
    CHECK_STATUS(APR_SUCCESS, cohort_parcel_discard(&letter.parcel));
    check_hung_up(line.client);
    cohort_process_t *sender = party_start(send_socket_and_stay, &desk, sizeof desk);
    letter = get_letter(desk.letters);
    letter_t other = get_letter(desk.letters);
    CHECK_STATUS(APR_SUCCESS,
                 cohort_parcel_socket(&client, &other.parcel, COHORT_FOREVER, test_pool()));
    party_kill(sender);
    check_hung_up(client);
    CHECK_STATUS(COHORT_EOWNERDEAD,
                 cohort_parcel_socket(&taken, &letter.parcel, COHORT_FOREVER, test_pool()));
}

/* A taker that has no time may be given it all the same, but keeps it only if it says so: after the
 * one that has taken it has closed it, no process has it. */
static void taken_without_time(void) {
    for (int i = 0; i < 5; i++) {
        line_t line = connect_line();
        letter_t letter = send_accepted(line.accepted);
        apr_socket_t *taken = NULL;
        apr_status_t status = APR_TIMEUP;
        for (int j = 0; j < 10 && APR_STATUS_IS_TIMEUP(status); j++)
            status = cohort_parcel_socket(&taken, &letter.parcel, 0, test_pool());
        if (APR_STATUS_IS_TIMEUP(status))
            status = cohort_parcel_socket(&taken, &letter.parcel, COHORT_FOREVER, test_pool());
        CHECK_STATUS(APR_SUCCESS, status);
        CHECK_STATUS(APR_SUCCESS, apr_socket_close(taken));
        check_hung_up(line.client);
    }
}

/* What it cannot be it is not, but it has been taken, and is closed. */
static void a_connection_taken_as_a_file(void) {
    line_t line = connect_line();
    letter_t letter = send_accepted(line.accepted);
    apr_file_t *file = NULL;
    CHECK_STATUS(APR_EINVAL, take(&letter, &file));
    CHECK_STATUS(APR_NOTFOUND, take(&letter, &file));
    check_hung_up(line.client);
}

/* ---- what is not taken ---------------------------------------------------------------------- */

static void within_a_process(void) {
    apr_file_t *reader = NULL, *writer = NULL, *taken = NULL;
    make_pipe(&reader, &writer);
    letter_t letter = send_file(writer, "", COHORT_FOREVER);
    CHECK_STATUS(APR_SUCCESS, take(&letter, &taken));
    say(taken, "here");
    check_heard("here", reader);
    CHECK_STATUS(APR_NOTFOUND, cohort_parcel_discard(&letter.parcel));
}

static void discarded(void) {
    apr_file_t *reader = NULL, *writer = NULL, *taken = NULL;
    make_pipe(&reader, &writer);
    letter_t letter = send_file(writer, "", COHORT_FOREVER);
    CHECK_STATUS(APR_SUCCESS, apr_file_close(writer));
    CHECK_STATUS(APR_SUCCESS, cohort_parcel_discard(&letter.parcel));
    check_end(reader);
    CHECK_STATUS(APR_NOTFOUND, take(&letter, &taken));
    CHECK_STATUS(APR_NOTFOUND, cohort_parcel_discard(&letter.parcel));
}

/* The watcher closes it, with no call of this process meanwhile. */
static void too_old(void) {
    apr_file_t *reader = NULL, *writer = NULL, *taken = NULL;
    make_pipe(&reader, &writer);
    letter_t letter = send_file(writer, "", A_WHILE);
    CHECK_STATUS(APR_SUCCESS, apr_file_close(writer));
    check_end(reader);
    CHECK_STATUS(APR_NOTFOUND, take(&letter, &taken));
}

static int send_and_stay(void *args) {
    const desk_t *desk = args;
    apr_file_t *reader = NULL, *writer = NULL;
    make_pipe(&reader, &writer);
    letter_t letter = send_file(reader, "", COHORT_FOREVER);
    put_letter(desk, &letter);
    party_wait_for_death();
}

static void a_dead_sender(void) {
    desk_t desk = make_desk();
    apr_file_t *taken = NULL;
    cohort_process_t *sender = party_start(send_and_stay, &desk, sizeof desk);
    letter_t letter = get_letter(desk.letters);
    party_kill(sender);
    CHECK_STATUS(COHORT_EOWNERDEAD, take(&letter, &taken));
    CHECK_STATUS(COHORT_ENOTOWNER, cohort_parcel_discard(&letter.parcel));
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(sender));
    CHECK_STATUS(COHORT_EOWNERDEAD, take(&letter, &taken));
}

/* The message is lost with its receiver; what it stood for is closed when it is discarded. */
static int receive_and_stay(void *args) {
    const desk_t *desk = args;
    letter_t letter = get_letter(desk->letters);
    CHECK_STATUS(APR_SUCCESS,
                 cohort_queue_put(desk->answers, &letter, sizeof letter, COHORT_FOREVER));
    party_wait_for_death();
}

static void a_dead_receiver(void) {
    desk_t desk = make_desk();
    apr_file_t *reader = NULL, *writer = NULL;
    cohort_process_t *taker = party_start(receive_and_stay, &desk, sizeof desk);
    make_pipe(&reader, &writer);
    letter_t letter = send_file(writer, "", COHORT_FOREVER);
    CHECK_STATUS(APR_SUCCESS, apr_file_close(writer));
    put_letter(&desk, &letter);
    letter = get_letter(desk.answers);
    party_kill(taker);
    CHECK_STATUS(APR_SUCCESS, cohort_parcel_discard(&letter.parcel));
    check_end(reader);
}

static void what_is_no_parcel(void) {
    cohort_parcel_t nothing = {{0}}, wild = {{1 << 30, 1, 1, 0}}, damaged = {{0, 1, 1, 9}};
    apr_file_t *reader = NULL, *writer = NULL, *taken = NULL;
    make_pipe(&reader, &writer);
    letter_t letter = send_file(writer, "", COHORT_FOREVER); /* so there is a table */
    CHECK_STATUS(COHORT_EHANDLE, cohort_parcel_file(&taken, &wild, 0, test_pool()));
    CHECK_STATUS(COHORT_EHANDLE, cohort_parcel_file(&taken, &damaged, 0, test_pool()));
    apr_status_t status = cohort_parcel_file(&taken, &nothing, 0, test_pool());
    CHECK(status == COHORT_EOWNERDEAD || status == APR_NOTFOUND);
    letter.parcel.word[1] += (apr_uint64_t)1 << 40; /* a later one there */
    CHECK_STATUS(APR_NOTFOUND, take(&letter, &taken));
    letter.parcel.word[1] -= (apr_uint64_t)1 << 40;
    CHECK_STATUS(APR_SUCCESS, take(&letter, &taken));
    CHECK_STATUS(APR_SUCCESS, apr_file_close(writer));
    letter.parcel = nothing;
    const cohort_gift_t closed = {.file = writer};
    CHECK(cohort_gift_send(&letter.parcel, &closed, COHORT_FOREVER) != APR_SUCCESS);
}

/* ---- many, and two at once ------------------------------------------------------------------ */

#define MANY   2000
#define TAKERS 3

static int take_all(void *args) {
    const desk_t *desk = args;
    int taken = 0;
    for (;;) {
        letter_t letter = get_letter(desk->letters);
        apr_os_file_t handle;
        if (!*letter.text) break;
        apr_status_t status = cohort_parcel_handle(&handle, &letter.parcel, COHORT_FOREVER);
        CHECK(status == APR_SUCCESS || status == APR_NOTFOUND);
        if (status) continue;
        taken++;
        apr_file_t *file = NULL;
        CHECK_STATUS(APR_SUCCESS, apr_os_pipe_put_ex(&file, &handle, 1, test_pool()));
        say(file, "!");
        CHECK_STATUS(APR_SUCCESS, apr_file_close(file));
    }
    (void)taken;
    return 0;
}

/* Each letter goes out twice, and is taken once; none leaves a handle behind. */
static void two_at_once(void) {
    desk_t desk = make_desk();
    cohort_process_t *takers[TAKERS];
    apr_file_t *reader = NULL, *writer = NULL;
    letter_t last, letter;
    memset(&last, 0, sizeof last);
    make_pipe(&reader, &writer);
    parties_start(takers, TAKERS, take_all, &desk, sizeof desk);
    letter = send_file(writer, "first", COHORT_FOREVER);
    put_letter(&desk, &letter);
    check_heard("!", reader);
    int handles = system_handles();
    for (int i = 0; i < MANY / 10; i++) {
        letter = send_file(writer, "again", COHORT_FOREVER);
        put_letter(&desk, &letter);
        put_letter(&desk, &letter);
        check_heard("!", reader);
    }
    for (int i = 0; i < TAKERS; i++) put_letter(&desk, &last);
    parties_finish(takers, TAKERS);
    /* the last may still be being closed */
    while (system_handles() > handles + 1) apr_sleep(1000);
    CHECK_STATUS(APR_SUCCESS, apr_file_close(writer));
    check_end(reader);
}

static void more_than_the_table_has(void) {
    apr_file_t *reader = NULL, *writer = NULL;
    cohort_parcel_t *sent = calloc(1100, sizeof *sent);
    int n = 0;
    apr_status_t status = APR_SUCCESS;
    make_pipe(&reader, &writer);
    letter_t letter = send_file(writer, "", COHORT_FOREVER);
    const cohort_gift_t end = {.file = writer};
    while (n < 1100 && !status) status = cohort_gift_send(&sent[n++], &end, COHORT_FOREVER);
    /* or the system has no more descriptors for this process */
    CHECK(status != APR_SUCCESS);
    for (int i = 0; i < n - 1; i++) CHECK_STATUS(APR_SUCCESS, cohort_parcel_discard(&sent[i]));
    CHECK_STATUS(APR_SUCCESS, cohort_parcel_discard(&letter.parcel));
    CHECK_STATUS(APR_SUCCESS, cohort_gift_send(&sent[0], &end, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_parcel_discard(&sent[0]));
    free(sent);
}

/* ---- kills ---------------------------------------------------------------------------------- */

#define KILLS 30

static int send_and_take(void *args) {
    const desk_t *desk = args;
    apr_file_t *reader = NULL, *writer = NULL, *taken = NULL;
    make_pipe(&reader, &writer);
    for (;;) {
        letter_t letter = send_file(writer, "x", COHORT_FOREVER);
        put_letter(desk, &letter);
        letter = get_letter(desk->letters);
        apr_status_t status = take(&letter, &taken);
        CHECK(status == APR_SUCCESS || status == COHORT_EOWNERDEAD || status == APR_NOTFOUND);
        if (!status) CHECK_STATUS(APR_SUCCESS, apr_file_close(taken));
    }
}

/* Processes that send to each other are killed one after the other, wherever they are in it; the
 * table is empty again when all are gone. */
static void killed_while_at_it(void) {
    desk_t desk = make_desk();
    cohort_process_t *parties[TAKERS];
    apr_file_t *reader = NULL, *writer = NULL, *taken = NULL;
    make_pipe(&reader, &writer);
    letter_t letter = send_file(writer, "", COHORT_FOREVER);
    CHECK_STATUS(APR_SUCCESS, take(&letter, &taken));
    parties_start(parties, TAKERS, send_and_take, &desk, sizeof desk);
    for (int i = 0; i < KILLS; i++) {
        apr_sleep(1000 + i * 317 % 4000);
        party_kill(parties[i % TAKERS]);
        CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(parties[i % TAKERS]));
        parties[i % TAKERS] = party_start(send_and_take, &desk, sizeof desk);
    }
    for (int i = 0; i < TAKERS; i++) party_kill(parties[i]);
    cohort_parcel_t all[1024];
    const cohort_gift_t end = {.file = writer};
    int n = 0;
    while (n < 900) CHECK_STATUS(APR_SUCCESS, cohort_gift_send(&all[n++], &end, COHORT_FOREVER));
    while (n > 0) CHECK_STATUS(APR_SUCCESS, cohort_parcel_discard(&all[--n]));
}

const test_case_t parcel_cases[] = {
    {"Parcel", "through_a_queue", through_a_queue},
    {"Parcel", "through_a_connection", through_a_connection},
    {"Parcel", "an_accepted_connection", an_accepted_connection},
    {"Parcel", "a_connection_for_the_first", a_connection_for_the_first},
    {"Parcel", "connections_that_are_not_taken", connections_that_are_not_taken},
    {"Parcel", "taken_without_time", taken_without_time},
    {"Parcel", "a_connection_taken_as_a_file", a_connection_taken_as_a_file},
    {"Parcel", "within_a_process", within_a_process},
    {"Parcel", "discarded", discarded},
    {"Parcel", "too_old", too_old},
    {"Parcel", "a_dead_sender", a_dead_sender},
    {"Parcel", "a_dead_receiver", a_dead_receiver},
    {"Parcel", "what_is_no_parcel", what_is_no_parcel},
    {"Parcel", "two_at_once", two_at_once},
    {"Parcel", "more_than_the_table_has", more_than_the_table_has},
    {"Parcel", "killed_while_at_it", killed_while_at_it},
    {0}};
