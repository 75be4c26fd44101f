/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Pipes: what Python's tests ask of Connection and Poll; then bounds and use after the end. */
#include "pipes.h"

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
    apr_size_t size;
    memset(buffer, 'x', sizeof buffer);
    send_text(end, "hello");
    CHECK_STATUS(APR_SUCCESS, cohort_connection_recv(end, buffer, sizeof buffer, &size, FOREVER));
    CHECK_INT(5, size);
    CHECK_MEM("helloxxxxxxxxxxxxxxx", buffer, 20);
    send_text(end, "hello");
    CHECK_STATUS(APR_SUCCESS, cohort_connection_recv(end, buffer + 3, 17, &size, FOREVER));
    CHECK_INT(5, size);
    CHECK_MEM("helhelloxxxxxxxxxxxx", buffer, 20);
    send_text(end, "too long for it");
    CHECK_STATUS(COHORT_ETOOSMALL, cohort_connection_recv(end, buffer, 4, &size, FOREVER));
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
    apr_size_t size;
    for (int i = 0; i < SIZE; i++) out[i] = (unsigned char)(i * 7 + i / 256);
    CHECK_STATUS(APR_SUCCESS, cohort_connection_send(end, out, SIZE, FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_connection_recv(end, in, SIZE, &size, FOREVER));
    CHECK_INT(SIZE, size);
    CHECK(memcmp(out, in, SIZE) == 0);
}

static void CON_01_connection(void) {
    args_t a = new_args(0);
    cohort_process_t *child = start_with(a.far, echo, &a);
    CHECK_INT(1, cohort_connection_is_readable(a.end));
    CHECK_INT(1, cohort_connection_is_writable(a.end));
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
    CHECK_INT(1, cohort_connection_is_readable(reader));
    CHECK_INT(0, cohort_connection_is_writable(reader));
    CHECK_INT(0, cohort_connection_is_readable(writer));
    CHECK_INT(1, cohort_connection_is_writable(writer));
    send_text(writer, "one way");
    check_text("one way", reader);
    CHECK_STATUS(COHORT_EDIRECTION, cohort_connection_send(reader, "x", 1, FOREVER));
    CHECK_STATUS(COHORT_EDIRECTION, receive_any(writer, FOREVER));
    CHECK_STATUS(COHORT_EDIRECTION, cohort_connection_poll(writer, FOREVER));
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
    apr_size_t size;
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(a.end));
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(a.end));
    CHECK_STATUS(COHORT_ECLOSED, cohort_connection_send(a.end, "x", 1, FOREVER));
    CHECK_STATUS(COHORT_ECLOSED,
                 cohort_connection_recv(a.end, buffer, sizeof buffer, &size, FOREVER));
    CHECK_STATUS(COHORT_ECLOSED, cohort_connection_poll(a.end, FOREVER));
    CHECK_INT(0, cohort_connection_is_readable(a.end));
    CHECK_INT(0, cohort_connection_is_writable(a.end));
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(a.far)); /* that frees the pipe */
    CHECK_STATUS(COHORT_EHANDLE, cohort_connection_send(a.end, "x", 1, FOREVER));
    CHECK_STATUS(COHORT_EHANDLE,
                 cohort_connection_recv(a.far, buffer, sizeof buffer, &size, FOREVER));
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

/* ---- close, bounds, blocks, arguments ------------------------------------------------------- */

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
    CHECK_STATUS(APR_EINVAL, cohort_connection_recv(a.end, here, sizeof here, NULL, 0));
    CHECK_STATUS(APR_EINVAL, cohort_connection_recv(a.end, NULL, 1, &size, 0));
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
    CHECK_INT(0, cohort_connection_is_readable(NULL));
    CHECK_INT(0, cohort_connection_is_writable((cohort_connection_t *)(void *)here));
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

/* The numbers 0..9 go through a second process that squares them, over two pipes. */
typedef struct {
    cohort_connection_t *in, *out;
} squarer_t;

static int square(void *data) {
    squarer_t *s = data;
    apr_status_t status;
    for (;;) {
        int number;
        apr_size_t size;
        status = cohort_connection_recv(s->in, &number, sizeof number, &size, FOREVER);
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
        apr_size_t size;
        CHECK_STATUS(APR_SUCCESS, cohort_connection_send(to, &number, sizeof number, FOREVER));
        CHECK_STATUS(APR_SUCCESS,
                     cohort_connection_recv(from, &number, sizeof number, &size, FOREVER));
        CHECK_INT(i * i, number);
    }
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(to));
    int number;
    apr_size_t size;
    CHECK_STATUS(APR_EOF, cohort_connection_recv(from, &number, sizeof number, &size, FOREVER));
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
    {"Pipe", "close_wakes_the_threads_of_this_process", close_wakes_the_threads_of_this_process},
    {"Pipe", "bounded_by_messages", bounded_by_messages},
    {"Pipe", "bounded_by_bytes", bounded_by_bytes},
    {"Pipe", "bad_arguments", bad_arguments},
    {"Pipe", "memory_comes_back", memory_comes_back},
    {"Pipe", "squares_over_two_pipes", squares_over_two_pipes},
    {0},
};
