/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Pipes: what Python's tests ask of Connection and Poll; then which process holds what, deaths,
 * bounds and use after the end. */
#include "traffic.h"

#include <stdlib.h>

#define FOREVER COHORT_FOREVER

typedef struct {
    cohort_connection_t *end, *far;
    tally_t *tally;
    _Atomic int *ready;
    _Atomic int *sent;
    int sender, messages;
} args_t;

static void new_pipe(cohort_connection_t **first, cohort_connection_t **second, int one_way) {
    cohort_pipe_options_t options = {.one_way = one_way};
    CHECK_STATUS(APR_SUCCESS, cohort_pipe_create(first, second, &options, test_pool()));
}

static args_t new_args(int one_way) {
    args_t a = {.ready = party_memory(sizeof(int)), .sent = party_memory(sizeof(int))};
    new_pipe(&a.end, &a.far, one_way);
    return a;
}

/* Started with an end of its own. */
static cohort_process_t *start_with(cohort_connection_t *end, cohort_target_t target, args_t *a) {
    cohort_process_options_t options = {
        .lifetime = COHORT_DAEMON, .connections = &end, .n_connections = 1};
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_create(&process, target, a, sizeof *a, &options, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
    return process;
}

static void send_text(cohort_connection_t *end, const char *text) {
    CHECK_STATUS(APR_SUCCESS, cohort_connection_send(end, text, strlen(text), FOREVER));
}

static void check_text(const char *expected, cohort_connection_t *end) {
    void *data = NULL;
    apr_size_t size = 4711;
    CHECK_STATUS(APR_SUCCESS, cohort_connection_recv_copy(end, &data, &size, FOREVER, test_pool()));
    CHECK_INT(strlen(expected), size);
    CHECK_STR(expected, data);
}

static apr_status_t receive_any(cohort_connection_t *end, apr_interval_time_t timeout) {
    void *data = NULL;
    apr_size_t size = 0;
    return cohort_connection_recv_copy(end, &data, &size, timeout, test_pool());
}

/* ---- rows of the conformance list ----------------------------------------------------------- */

static int echo(void *data) {
    args_t *a = data;
    for (;;) {
        void *message = NULL;
        apr_size_t size = 0;
        apr_status_t status =
            cohort_connection_recv_copy(a->far, &message, &size, FOREVER, test_pool());
        if (status == APR_EOF) return 0;
        CHECK_STATUS(APR_SUCCESS, status);
        CHECK_STATUS(APR_SUCCESS, cohort_connection_send(a->far, message, size, FOREVER));
    }
}

static void echo_into_a_buffer(cohort_connection_t *end) {
    char buffer[20];
    apr_size_t size = sizeof buffer;
    memset(buffer, 'x', sizeof buffer);
    send_text(end, "hello");
    CHECK_STATUS(APR_SUCCESS, cohort_connection_recv(end, buffer, &size, FOREVER));
    CHECK_INT(5, size);
    CHECK_MEM("helloxxxxxxxxxxxxxxx", buffer, 20);
    send_text(end, "hello");
    size = sizeof buffer - 3;
    CHECK_STATUS(APR_SUCCESS, cohort_connection_recv(end, buffer + 3, &size, FOREVER));
    CHECK_MEM("helhelloxxxxxxxxxxxx", buffer, 20);
    send_text(end, "too long for it");
    size = 4;
    CHECK_STATUS(COHORT_ETOOSMALL, cohort_connection_recv(end, buffer, &size, FOREVER));
    CHECK_INT(15, size);
    check_text("too long for it", end);
}

static void echo_polled(cohort_connection_t *end) {
    CHECK_STATUS(APR_EAGAIN, cohort_connection_poll(end, 0));
    CHECK_STATUS(APR_EAGAIN, cohort_connection_poll(end, -1));
    apr_time_t begin = apr_time_now();
    CHECK_STATUS(APR_TIMEUP, cohort_connection_poll(end, A_WHILE));
    AT_LEAST(A_WHILE, begin);
    send_text(end, "polled");
    CHECK_STATUS(APR_SUCCESS, cohort_connection_poll(end, apr_time_from_sec(30)));
    CHECK_STATUS(APR_SUCCESS, cohort_connection_poll(end, 0));
    check_text("polled", end);
}

static void echo_large(cohort_connection_t *end) {
    enum { SIZE = 16 << 20 };
    unsigned char *out = apr_palloc(test_pool(), SIZE), *in = apr_palloc(test_pool(), SIZE);
    apr_size_t size = SIZE;
    for (int i = 0; i < SIZE; i++) out[i] = (unsigned char)(i * 7 + i / 256);
    CHECK_STATUS(APR_SUCCESS, cohort_connection_send(end, out, SIZE, FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_connection_recv(end, in, &size, FOREVER));
    CHECK_INT(SIZE, size);
    CHECK(memcmp(out, in, SIZE) == 0);
}

static void CON_01_connection(void) {
    args_t a = new_args(0);
    cohort_process_t *child = start_with(a.far, echo, &a);
    CHECK_INT(1, cohort_connection_readable(a.end));
    CHECK_INT(1, cohort_connection_writable(a.end));
    send_text(a.end, "");
    check_text("", a.end);
    echo_into_a_buffer(a.end);
    echo_polled(a.end);
    echo_large(a.end);
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(a.end));
    party_finish(child); /* it had EOF */
}

static int send_and_close(void *data) {
    args_t *a = data;
    send_text(a->far, "last");
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(a->far));
    atomic_store(a->ready, 1);
    CHECK_STATUS(COHORT_ECLOSED, receive_any(a->far, FOREVER));
    party_wait_for_death();
}

static void CON_01_eof_after_close(void) {
    args_t a = new_args(0);
    cohort_process_t *child = start_with(a.far, send_and_close, &a);
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(a.far));
    party_await(a.ready, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_connection_poll(a.end, FOREVER));
    check_text("last", a.end); /* what was sent before comes first */
    for (int i = 0; i < 2; i++) {
        CHECK_STATUS(APR_EOF, receive_any(a.end, FOREVER));
        CHECK_STATUS(APR_EOF, receive_any(a.end, 0));
        CHECK_STATUS(APR_EOF, cohort_connection_poll(a.end, FOREVER));
        CHECK_STATUS(APR_EOF, cohort_connection_poll(a.end, 0));
        CHECK_STATUS(APR_EOF, cohort_connection_send(a.end, "x", 1, FOREVER));
    }
    party_kill(child);
}

static void CON_02_one_way(void) {
    cohort_connection_t *reader, *writer;
    new_pipe(&reader, &writer, 1);
    CHECK_INT(1, cohort_connection_readable(reader));
    CHECK_INT(0, cohort_connection_writable(reader));
    CHECK_INT(0, cohort_connection_readable(writer));
    CHECK_INT(1, cohort_connection_writable(writer));
    send_text(writer, "one way");
    check_text("one way", reader);
    CHECK_STATUS(COHORT_EDIRECTION, cohort_connection_send(reader, "x", 1, FOREVER));
    CHECK_STATUS(COHORT_EDIRECTION, receive_any(writer, FOREVER));
    CHECK_STATUS(COHORT_EDIRECTION, cohort_connection_poll(writer, FOREVER));
}

static int send_hello(void *data) {
    args_t *a = data;
    send_text(a->far, "hello");
    return 0;
}

static void CON_03_parent_closes_at_once(void) {
    args_t a = new_args(0);
    cohort_process_t *child = start_with(a.far, send_hello, &a);
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(a.far));
    check_text("hello", a.end);
    CHECK_STATUS(APR_EOF, receive_any(a.end, FOREVER));
    party_finish(child);
}

/* Offsets are pointers in C; what is left of Python's checks is NULL. */
static void CON_04_parts_of_a_buffer(void) {
    args_t a = new_args(0);
    const char *text = "latin-1, no: ascii";
    CHECK_STATUS(APR_SUCCESS, cohort_connection_send(a.end, text + 5, strlen(text) - 5, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_connection_send(a.end, text + 7, 8, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_connection_send(a.end, text + strlen(text), 0, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_connection_send(a.end, NULL, 0, 0));
    CHECK_STATUS(APR_EINVAL, cohort_connection_send(a.end, NULL, 1, 0));
    check_text(text + 5, a.far);
    check_text(", no: as", a.far);
    check_text("", a.far);
    check_text("", a.far);
    CHECK_STATUS(APR_EAGAIN, receive_any(a.far, 0));
}

static void CON_08_close(void) {
    args_t a = new_args(0);
    char buffer[4];
    apr_size_t size = sizeof buffer;
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(a.end));
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(a.end));
    CHECK_STATUS(COHORT_ECLOSED, cohort_connection_send(a.end, "x", 1, FOREVER));
    CHECK_STATUS(COHORT_ECLOSED, cohort_connection_recv(a.end, buffer, &size, FOREVER));
    CHECK_STATUS(COHORT_ECLOSED, cohort_connection_poll(a.end, FOREVER));
    CHECK_INT(0, cohort_connection_readable(a.end));
    CHECK_INT(0, cohort_connection_writable(a.end));
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(a.far)); /* that frees the pipe */
    CHECK_STATUS(COHORT_EHANDLE, cohort_connection_send(a.end, "x", 1, FOREVER));
    CHECK_STATUS(COHORT_EHANDLE, cohort_connection_recv(a.far, buffer, &size, FOREVER));
    CHECK_STATUS(COHORT_EHANDLE, cohort_connection_poll(a.far, FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(a.far));
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(NULL));
}

static void POLL_01_empty_message(void) {
    args_t a = new_args(0);
    CHECK_STATUS(APR_EAGAIN, cohort_connection_poll(a.end, 0));
    send_text(a.far, "");
    for (int i = 0; i < 3; i++) CHECK_STATUS(APR_SUCCESS, cohort_connection_poll(a.end, 0));
    check_text("", a.end);
    CHECK_STATUS(APR_EAGAIN, cohort_connection_poll(a.end, 0));
}

static const char *const strings[] = {"hello", "", "a", "b", "", "bye", "", "lop"};

static int send_strings(void *data) {
    args_t *a = data;
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
        send_text(a->far, strings[i]);
        apr_sleep(1000);
    }
    return 0;
}

static void POLL_02_strings(void) {
    args_t a = new_args(0);
    cohort_process_t *child = start_with(a.far, send_strings, &a);
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
        apr_status_t status;
        while ((status = cohort_connection_poll(a.end, 10000)) == APR_TIMEUP) continue;
        CHECK_STATUS(APR_SUCCESS, status);
        check_text(strings[i], a.end);
    }
    party_finish(child);
}

static int poll_only(void *data) {
    args_t *a = data;
    CHECK_STATUS(APR_SUCCESS, cohort_connection_poll(a->end, FOREVER));
    return 0;
}

static void POLL_03_boundaries(void) {
    args_t a = new_args(0);
    cohort_process_t *child = start_with(a.end, poll_only, &a);
    send_text(a.far, "this will not be split");
    party_finish(child);
    check_text("this will not be split", a.end);
}

static void POLL_04_messages_do_not_merge(void) {
    args_t a = new_args(0);
    CHECK_STATUS(APR_EAGAIN, cohort_connection_poll(a.end, 0));
    send_text(a.far, "a");
    send_text(a.far, "b");
    send_text(a.far, "cd");
    CHECK_STATUS(APR_SUCCESS, cohort_connection_poll(a.end, 0));
    check_text("a", a.end);
    check_text("b", a.end);
    CHECK_STATUS(APR_SUCCESS, cohort_connection_poll(a.end, 0));
    check_text("cd", a.end);
    CHECK_STATUS(APR_EAGAIN, cohort_connection_poll(a.end, 0));
}

/* ---- holding -------------------------------------------------------------------------------- */

static int wait_for_death(void *data) {
    args_t *a = data;
    atomic_fetch_add(a->ready, 1);
    party_wait_for_death();
}

/* The receiver waits before the sender dies, and the sender's end is given up by that alone. */
static void eof_when_the_other_side_is_killed(void) {
    args_t a = new_args(0);
    cohort_process_t *child = start_with(a.far, wait_for_death, &a);
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(a.far));
    party_await(a.ready, 1);
    CHECK_STATUS(APR_TIMEUP, receive_any(a.end, A_WHILE));
    CHECK_STATUS(APR_SUCCESS, cohort_process_kill(child));
    CHECK_STATUS(APR_EOF, receive_any(a.end, FOREVER));
    CHECK_STATUS(APR_EOF, cohort_connection_send(a.end, "x", 1, FOREVER));
    party_end(child, -9);
}

/* A send that has room notices too. */
static void send_to_the_dead(void) {
    args_t a = new_args(1);
    cohort_process_t *child = start_with(a.end, wait_for_death, &a);
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(a.end));
    party_await(a.ready, 1);
    send_text(a.far, "nobody will read this");
    party_kill(child);
    CHECK_STATUS(APR_EOF, cohort_connection_send(a.far, "x", 1, 0));
}

static int fill_until_eof(void *data) {
    args_t *a = data;
    apr_status_t status = APR_SUCCESS;
    while (status == APR_SUCCESS) {
        status = cohort_connection_send(a->far, "x", 1, FOREVER);
        atomic_fetch_add(a->sent, 1);
    }
    CHECK_STATUS(APR_EOF, status);
    return 0;
}

static void blocked_sender_sees_the_end(void) {
    args_t a = new_args(1);
    cohort_process_t *child = start_with(a.far, fill_until_eof, &a);
    party_await(a.sent, 64);
    apr_sleep(A_WHILE);
    CHECK(cohort_process_is_alive(child));
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(a.end));
    party_finish(child);
}

static int hold_until_told(void *data) {
    args_t *a = data;
    atomic_fetch_add(a->ready, 1);
    check_text("go", a->end);
    return 0;
}

/* More holders than fit the object; the end is open until the last of them is gone. */
static void many_holders(void) {
    enum { HOLDERS = 15 };
    args_t a = new_args(0);
    cohort_process_t *holders[HOLDERS];
    for (int i = 0; i < HOLDERS; i++) holders[i] = start_with(a.end, hold_until_told, &a);
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(a.end));
    party_await(a.ready, HOLDERS);
    for (int i = 0; i < HOLDERS / 3; i++) party_kill(holders[i]);
    CHECK_STATUS(APR_TIMEUP, receive_any(a.far, A_WHILE));
    for (int i = HOLDERS / 3; i < HOLDERS; i++) send_text(a.far, "go");
    for (int i = HOLDERS / 3; i < HOLDERS; i++) party_finish(holders[i]);
    CHECK_STATUS(APR_EOF, receive_any(a.far, FOREVER));
}

static int use_what_was_not_given(void *data) {
    args_t *a = data;
    send_text(a->far, "mine now");
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(a->far));
    CHECK_STATUS(COHORT_ECLOSED, cohort_connection_send(a->far, "x", 1, 0));
    return 0;
}

static int find_closed(void *data) {
    args_t *a = data;
    CHECK_STATUS(COHORT_ECLOSED, cohort_connection_send(a->far, "x", 1, 0));
    CHECK_STATUS(COHORT_ECLOSED, receive_any(a->far, 0));
    return 0;
}

static void using_an_end_holds_it(void) {
    args_t a = new_args(0);
    party_finish(party_start(use_what_was_not_given, &a, sizeof a));
    check_text("mine now", a.end);
    CHECK_STATUS(APR_EAGAIN, receive_any(a.end, 0)); /* this process still holds the far end too */
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(a.far));
    CHECK_STATUS(APR_EOF, receive_any(a.end, 0));
    /* closed for good: nobody gets hold of it again */
    party_finish(party_start(find_closed, &a, sizeof a));
}

/* Given at create, held from then on, and given up with the process' handle if it is never
 * started. */
static void a_process_that_is_not_started_holds_its_ends(void) {
    args_t a = new_args(0);
    cohort_process_options_t options = {.connections = &a.far, .n_connections = 1};
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_create(&process, send_hello, &a, sizeof a, &options, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(a.far));
    CHECK_STATUS(APR_TIMEUP, receive_any(a.end, A_WHILE));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
    check_text("hello", a.end);
    party_finish(process);

    a = new_args(0);
    options.connections = &a.far;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_create(&process, send_hello, &a, sizeof a, &options, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(a.far));
    CHECK_STATUS(APR_EAGAIN, receive_any(a.end, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_process_close(process));
    CHECK_STATUS(APR_EOF, receive_any(a.end, 0));
}

static void *APR_THREAD_FUNC thread_receives(apr_thread_t *thread, void *data) {
    args_t *a = data;
    apr_pool_t *pool = apr_thread_pool_get(thread);
    void *message = NULL;
    apr_size_t size = 0;
    atomic_fetch_add(a->ready, 1);
    CHECK_STATUS(COHORT_ECLOSED,
                 cohort_connection_recv_copy(a->end, &message, &size, FOREVER, pool));
    return NULL;
}

static void close_wakes_the_threads_of_this_process(void) {
    args_t a = new_args(0);
    apr_thread_t *thread = party_thread(thread_receives, &a);
    party_await(a.ready, 1);
    apr_sleep(A_WHILE / 2);
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(a.end));
    party_thread_finish(thread);
}

/* ---- bounds, blocks, arguments -------------------------------------------------------------- */

static void bounded_by_messages(void) {
    cohort_connection_t *reader, *writer;
    cohort_pipe_options_t options = {.one_way = 1, .messages = 3};
    CHECK_STATUS(APR_SUCCESS, cohort_pipe_create(&reader, &writer, &options, test_pool()));
    for (int i = 0; i < 3; i++) send_text(writer, "x");
    CHECK_STATUS(APR_EAGAIN, cohort_connection_send(writer, "y", 1, 0));
    CHECK_STATUS(APR_TIMEUP, cohort_connection_send(writer, "y", 1, A_WHILE));
    check_text("x", reader);
    CHECK_STATUS(APR_SUCCESS, cohort_connection_send(writer, "y", 1, 0));
}

static void bounded_by_bytes(void) {
    cohort_connection_t *reader, *writer;
    cohort_pipe_options_t options = {.one_way = 1, .bytes = 10000};
    char *large = apr_pcalloc(test_pool(), 50000);
    void *data = NULL;
    apr_size_t size = 0;
    CHECK_STATUS(APR_SUCCESS, cohort_pipe_create(&reader, &writer, &options, test_pool()));
    /* one, however large */
    CHECK_STATUS(APR_SUCCESS, cohort_connection_send(writer, large, 50000, 0));
    CHECK_STATUS(APR_EAGAIN, cohort_connection_send(writer, large, 5000, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_connection_recv_block(reader, &data, &size, 0));
    CHECK_INT(50000, size);
    CHECK_STATUS(APR_SUCCESS, cohort_free(data));
    CHECK_STATUS(APR_SUCCESS, cohort_connection_send(writer, large, 5000, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_connection_send(writer, large, 5000, 0));
    CHECK_STATUS(APR_EAGAIN, cohort_connection_send(writer, large, 5000, 0));
    CHECK_STATUS(APR_ENOMEM, cohort_connection_send(writer, large, (apr_size_t)1 << 60, 0));
    CHECK_STATUS(APR_ENOMEM, cohort_connection_send(writer, large, (apr_size_t)-1, 0));
}

static void bad_arguments(void) {
    args_t a = new_args(0);
    cohort_connection_t *end = NULL;
    cohort_pipe_options_t absurd = {.messages = (apr_size_t)-1};
    apr_uint64_t blocks = blocks_in_use();
    char here[64];
    void *data;
    apr_size_t size = 1;
    CHECK_STATUS(APR_EINVAL, cohort_pipe_create(&end, NULL, NULL, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_pipe_create(NULL, &end, NULL, NULL));
    CHECK_STATUS(APR_ENOMEM, cohort_pipe_create(&end, &end, &absurd, NULL));
    CHECK(end == NULL);
    CHECK_INT(blocks, blocks_in_use());
    CHECK_STATUS(APR_EINVAL, cohort_connection_send(NULL, "x", 1, 0));
    CHECK_STATUS(APR_EINVAL, cohort_connection_recv(a.end, here, NULL, 0));
    CHECK_STATUS(APR_EINVAL, cohort_connection_recv(a.end, NULL, &size, 0));
    CHECK_STATUS(APR_EINVAL, cohort_connection_recv_copy(a.end, &data, &size, 0, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_connection_recv_block(a.end, NULL, &size, 0));
    CHECK_STATUS(APR_EINVAL, cohort_connection_poll(NULL, 0));
    CHECK_STATUS(COHORT_EHANDLE,
                 cohort_connection_send((cohort_connection_t *)(void *)here, "x", 1, 0));
    CHECK_STATUS(COHORT_EHANDLE, cohort_connection_close((cohort_connection_t *)(void *)here));
    data = party_memory(4096);
    for (int i = 0; i < 256; i++)
        CHECK_STATUS(COHORT_EHANDLE, cohort_connection_poll((void *)((char *)data + i), 0));
    CHECK_STATUS(COHORT_EHANDLE, cohort_connection_poll((void *)((char *)a.end + 1), 0));
    CHECK_STATUS(COHORT_EHANDLE, cohort_connection_poll((void *)((char *)a.end + 64), 0));
    CHECK_INT(0, cohort_connection_readable(NULL));
    CHECK_INT(0, cohort_connection_writable((cohort_connection_t *)(void *)here));
}

static void memory_comes_back(void) {
    apr_uint64_t blocks = 0;
    char *large = apr_pcalloc(test_pool(), 5000);
    for (int i = 0; i < 20; i++) {
        apr_pool_t *pool = NULL;
        cohort_connection_t *first, *second;
        CHECK_STATUS(APR_SUCCESS, apr_pool_create(&pool, test_pool()));
        CHECK_STATUS(APR_SUCCESS, cohort_pipe_create(&first, &second, NULL, pool));
        for (int n = 0; n < 30; n++)
            CHECK_STATUS(APR_SUCCESS, cohort_connection_send(n % 2 ? first : second, large,
                                                             n % 3 ? 100 : 5000, 0));
        if (i % 2) CHECK_STATUS(APR_SUCCESS, cohort_connection_close(first));
        if (i % 3 == 0) CHECK_STATUS(APR_SUCCESS, cohort_connection_close(second));
        apr_pool_destroy(pool);
        CHECK_STATUS(COHORT_EHANDLE, cohort_connection_poll(first, 0));
        if (i == 0) blocks = blocks_in_use();
    }
    CHECK_INT(blocks, blocks_in_use());
}

/* ---- traffic and deaths --------------------------------------------------------------------- */

/* The last thousand when told. */
static int send_traffic(void *data) {
    args_t *a = data;
    traffic_t *m = apr_palloc(test_pool(), sizeof *m);
    for (int i = 0; i < a->messages; i++) {
        CHECK_STATUS(APR_SUCCESS,
                     cohort_connection_send(a->far, m, traffic_make(m, a->sender, i), FOREVER));
        atomic_store(a->sent, i + 1);
        if (i == a->messages - 1000) party_await(a->ready, 1);
    }
    return 0;
}

/* Until EOF. */
static int receive_traffic(void *data) {
    args_t *a = data;
    traffic_t *m = apr_palloc(test_pool(), sizeof *m);
    apr_status_t status;
    for (;;) {
        apr_size_t size = sizeof *m;
        status = cohort_connection_recv(a->end, m, &size, FOREVER);
        if (status) break;
        traffic_check(m, size);
        tally_count(a->tally, m);
    }
    CHECK_STATUS(APR_EOF, status);
    return 0;
}

static void a_sender_dies(void) {
    for (int round = 0; round < 15; round++) {
        args_t a = new_args(round % 2);
        a.messages = 20000;
        a.tally = tally_new(1, a.messages);
        cohort_process_t *victim = start_with(a.far, send_traffic, &a),
                         *receiver = start_with(a.end, receive_traffic, &a);
        CHECK_STATUS(APR_SUCCESS, cohort_connection_close(a.far));
        CHECK_STATUS(APR_SUCCESS, cohort_connection_close(a.end));
        party_await(a.sent, 20);
        apr_sleep(round * 37 % 300);
        party_kill(victim);
        party_finish(receiver); /* all that was sent, whole, and then EOF */
        int sent = atomic_load(a.sent);
        CHECK_INT(0, tally_missing(a.tally, 0, sent));
        CHECK(atomic_load(&a.tally->got) <= sent + 1);
    }
}

/* Two receive at one end. One dies; the other gets what is left, also what the dead one was in the
 * middle of receiving, before EOF. */
static void a_receiver_dies(void) {
    for (int round = 0; round < 15; round++) {
        args_t a = new_args(1);
        a.messages = 5000;
        a.tally = tally_new(1, a.messages);
        cohort_process_t *victim = start_with(a.end, receive_traffic, &a),
                         *other = start_with(a.end, receive_traffic, &a);
        cohort_process_t *sender = start_with(a.far, send_traffic, &a);
        CHECK_STATUS(APR_SUCCESS, cohort_connection_close(a.far));
        CHECK_STATUS(APR_SUCCESS, cohort_connection_close(a.end));
        party_await(&a.tally->got, 100 + round * 50);
        apr_sleep(round * 37 % 300);
        party_kill(victim);
        atomic_store(a.ready, 1);
        party_finish(sender);
        party_finish(other);
        CHECK(tally_missing(a.tally, 0, a.messages) <= 1); /* received and not counted any more */
    }
}

#define SLOW_TO_COPY (16 << 20) /* bytes: time enough to be killed in the middle */

static int receive_slowly(void *data) {
    args_t *a = data;
    apr_size_t size = SLOW_TO_COPY;
    void *buffer = malloc(SLOW_TO_COPY);
    CHECK(buffer != NULL);
    atomic_store(a->ready, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_connection_recv(a->end, buffer, &size, COHORT_FOREVER));
    party_wait_for_death();
}

/* One child after the other is killed while it receives the message, until one was in the middle of
 * it. */
static void what_came_back_from_the_dead_says_so(void) {
    args_t a = new_args(1);
    char *buffer = malloc(SLOW_TO_COPY);
    cohort_message_t message = {.returned = 0};
    CHECK(buffer != NULL);
    memset(buffer, 7, SLOW_TO_COPY);
    while (!message.returned) {
        apr_status_t status = cohort_connection_send(a.far, buffer, SLOW_TO_COPY, 0);
        /* the last one died too early */
        CHECK(status == APR_SUCCESS || APR_STATUS_IS_EAGAIN(status));
        atomic_store(a.ready, 0);
        cohort_process_t *receiver = start_with(a.end, receive_slowly, &a);
        party_await(a.ready, 1);
        party_kill(receiver);
        message = (cohort_message_t){buffer, SLOW_TO_COPY, 4711};
        status = cohort_connection_recv_message(a.end, &message, 0);
        if (APR_STATUS_IS_EAGAIN(status)) message.returned = 0; /* it died too late */
        else CHECK_STATUS(APR_SUCCESS, status);
        CHECK(message.returned == 0 || message.returned == 1);
        CHECK_INT(SLOW_TO_COPY, message.size);
        CHECK(buffer[0] == 7 && buffer[SLOW_TO_COPY - 1] == 7);
    }
    CHECK_STATUS(APR_SUCCESS, cohort_connection_send(a.far, "x", 1, 0));
    message.size = SLOW_TO_COPY;
    CHECK_STATUS(APR_SUCCESS, cohort_connection_recv_message(a.end, &message, 0));
    CHECK_INT(0, message.returned);
    CHECK_INT(1, message.size);
    CHECK_STATUS(APR_EINVAL, cohort_connection_recv_message(a.end, NULL, 0));
    free(buffer);
}

static int talk_and_leave(void *data) {
    args_t *a = data;
    char large[3000] = "";
    CHECK_STATUS(APR_SUCCESS,
                 cohort_connection_send(a->messages ? a->far : a->end, large, sizeof large, 0));
    atomic_fetch_add(a->ready, 1);
    if (a->messages == 2) party_wait_for_death();
    party_await(a->ready, 2);
    return 0;
}

/* Nobody closes anything, one child ends and the other is killed: the pipe between them, and what
 * is in it, is freed all the same. */
static void what_the_dead_held_is_freed(void) {
    apr_uint64_t blocks = 0;
    for (int round = 0; round < 5; round++) {
        args_t a = {.ready = party_memory(sizeof(int))};
        CHECK_STATUS(APR_SUCCESS, cohort_pipe_create(&a.end, &a.far, NULL, NULL));
        cohort_process_t *one = start_with(a.end, talk_and_leave, &a);
        a.messages = 2;
        cohort_process_t *other = start_with(a.far, talk_and_leave, &a);
        CHECK_STATUS(APR_SUCCESS, cohort_connection_close(a.end));
        CHECK_STATUS(APR_SUCCESS, cohort_connection_close(a.far));
        party_await(a.ready, 2);
        party_finish(one);
        party_kill(other);
        CHECK_STATUS(APR_SUCCESS, cohort_process_close(other));
        CHECK_STATUS(COHORT_EHANDLE, cohort_connection_poll(a.end, 0));
        CHECK_STATUS(APR_SUCCESS, cohort_free((void *)a.ready));
        if (round == 0) blocks = blocks_in_use();
    }
    CHECK_INT(blocks, blocks_in_use());
}

/* The numbers 0..9 go through a second process that squares them, over two pipes. */
typedef struct {
    cohort_connection_t *in, *out;
} squarer_t;

static int square(void *data) {
    squarer_t *s = data;
    apr_status_t status;
    for (;;) {
        int number;
        apr_size_t size = sizeof number;
        status = cohort_connection_recv(s->in, &number, &size, FOREVER);
        if (status) break;
        number *= number;
        CHECK_STATUS(APR_SUCCESS, cohort_connection_send(s->out, &number, sizeof number, FOREVER));
    }
    CHECK_STATUS(APR_EOF, status);
    return 0;
}

static void squares_over_two_pipes(void) {
    cohort_connection_t *to, *from;
    squarer_t s;
    cohort_process_t *child = NULL;
    new_pipe(&s.in, &to, 1);
    new_pipe(&from, &s.out, 1);
    cohort_connection_t *const ends[] = {s.in, s.out};
    cohort_process_options_t options = {.connections = ends, .n_connections = 2};
    CHECK_STATUS(APR_SUCCESS, cohort_process_create(&child, square, &s, sizeof s, &options, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(child));
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(s.in));
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(s.out));
    for (int i = 0; i < 10; i++) {
        int number = i;
        apr_size_t size = sizeof number;
        CHECK_STATUS(APR_SUCCESS, cohort_connection_send(to, &number, sizeof number, FOREVER));
        CHECK_STATUS(APR_SUCCESS, cohort_connection_recv(from, &number, &size, FOREVER));
        CHECK_INT(i * i, number);
    }
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(to));
    int number;
    apr_size_t size = sizeof number;
    CHECK_STATUS(APR_EOF, cohort_connection_recv(from, &number, &size, FOREVER));
    party_finish(child);
}

const test_case_t pipe_cases[] = {
    {"Pipe", "CON_01_connection", CON_01_connection},
    {"Pipe", "CON_01_eof_after_close", CON_01_eof_after_close},
    {"Pipe", "CON_02_one_way", CON_02_one_way},
    {"Pipe", "CON_03_parent_closes_at_once", CON_03_parent_closes_at_once},
    {"Pipe", "CON_04_parts_of_a_buffer", CON_04_parts_of_a_buffer},
    {"Pipe", "CON_08_close", CON_08_close},
    {"Pipe", "POLL_01_empty_message", POLL_01_empty_message},
    {"Pipe", "POLL_02_strings", POLL_02_strings},
    {"Pipe", "POLL_03_boundaries", POLL_03_boundaries},
    {"Pipe", "POLL_04_messages_do_not_merge", POLL_04_messages_do_not_merge},
    {"Pipe", "eof_when_the_other_side_is_killed", eof_when_the_other_side_is_killed},
    {"Pipe", "send_to_the_dead", send_to_the_dead},
    {"Pipe", "blocked_sender_sees_the_end", blocked_sender_sees_the_end},
    {"Pipe", "many_holders", many_holders},
    {"Pipe", "using_an_end_holds_it", using_an_end_holds_it},
    {"Pipe", "a_process_that_is_not_started_holds_its_ends",
     a_process_that_is_not_started_holds_its_ends},
    {"Pipe", "close_wakes_the_threads_of_this_process", close_wakes_the_threads_of_this_process},
    {"Pipe", "bounded_by_messages", bounded_by_messages},
    {"Pipe", "bounded_by_bytes", bounded_by_bytes},
    {"Pipe", "bad_arguments", bad_arguments},
    {"Pipe", "memory_comes_back", memory_comes_back},
    {"Pipe", "a_sender_dies", a_sender_dies},
    {"Pipe", "a_receiver_dies", a_receiver_dies},
    {"Pipe", "what_the_dead_held_is_freed", what_the_dead_held_is_freed},
    {"Pipe", "what_came_back_from_the_dead_says_so", what_came_back_from_the_dead_says_so},
    {"Pipe", "squares_over_two_pipes", squares_over_two_pipes},
    {0},
};
