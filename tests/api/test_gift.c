/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Files, sockets and handles that a child is given and takes by name or index. */
#include "facts.h"
#include "parties.h"

#include <apr_file_io.h>
#include <apr_network_io.h>
#include <apr_portable.h>

static apr_file_t *temporary(void) {
    char name[] = "gift_XXXXXX";
    apr_file_t *file = NULL;
    CHECK_STATUS(APR_SUCCESS, apr_file_mktemp(&file, name, 0, test_pool()));
    return file;
}

static void check_text(const char *expected, apr_file_t *file) {
    char text[64] = "";
    apr_off_t begin = 0;
    apr_size_t size = sizeof text - 1;
    CHECK_STATUS(APR_SUCCESS, apr_file_seek(file, APR_SET, &begin));
    CHECK_STATUS(APR_SUCCESS, apr_file_read(file, text, &size));
    text[size] = 0;
    CHECK_STR(expected, text);
}

static void run_with(cohort_target_t target, const cohort_gift_t *gifts, apr_size_t n) {
    cohort_process_options_t options = {.gifts = gifts, .n_gifts = n};
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_launch(&process, target, NULL, 0, &options, test_pool()));
    party_finish(process);
}

/* ---- files and pipes ------------------------------------------------------------------------ */

static void say(apr_file_t *file, const char *text) {
    CHECK_STATUS(APR_SUCCESS, apr_file_write_full(file, text, strlen(text), NULL));
}

static int write_by_name_and_index(void *args) {
    apr_file_t *file = NULL, *pipe = NULL;
    (void)args;
    CHECK_INT(3, cohort_gift_count());
    CHECK_STATUS(APR_SUCCESS, cohort_gift_file(&file, "log", 17, test_pool()));
    say(file, "by name");
    CHECK_STATUS(APR_SUCCESS, cohort_gift_file(&pipe, NULL, 2, test_pool()));
    say(pipe, "by index");
    return 0;
}

static void files_by_name_and_index(void) {
    apr_file_t *reader = NULL, *writer = NULL, *log = temporary(), *other = temporary();
    char text[32] = "";
    apr_size_t size = sizeof text - 1;
    CHECK_STATUS(APR_SUCCESS, apr_file_pipe_create(&reader, &writer, test_pool()));
    const cohort_gift_t gifts[] = {
        {.file = other}, {.name = "log", .file = log}, {.name = "pipe", .file = writer}};
    run_with(write_by_name_and_index, gifts, 3);
    check_text("by name", log);
    CHECK_STATUS(APR_SUCCESS, apr_file_read(reader, text, &size));
    CHECK_STR("by index", text);
    /* the child has ended, and had no other copy of the writing end */
    CHECK_STATUS(APR_SUCCESS, apr_file_close(writer));
    size = sizeof text;
    CHECK_STATUS(APR_EOF, apr_file_read(reader, text, &size));
}

static int take_what_is_not_there(void *args) {
    apr_file_t *file = NULL;
    apr_socket_t *socket = NULL;
    apr_os_file_t handle;
    (void)args;
    CHECK_STATUS(APR_NOTFOUND, cohort_gift_file(&file, "lag", 0, test_pool()));
    CHECK_STATUS(APR_NOTFOUND, cohort_gift_file(&file, "", 0, test_pool()));
    CHECK_STATUS(APR_NOTFOUND, cohort_gift_file(&file, NULL, 1, test_pool()));
    CHECK_STATUS(APR_EINVAL, cohort_gift_file(NULL, "log", 0, test_pool()));
    CHECK_STATUS(APR_EINVAL, cohort_gift_file(&file, "log", 0, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_gift_socket(NULL, "log", 0, test_pool()));
    CHECK_STATUS(APR_EINVAL, cohort_gift_handle(NULL, "log", 0));
    CHECK_STATUS(APR_SUCCESS, cohort_gift_handle(&handle, "log", 0));
    CHECK_STATUS(APR_NOTFOUND, cohort_gift_handle(&handle, "log", 0));
    CHECK_STATUS(APR_NOTFOUND, cohort_gift_file(&file, NULL, 0, test_pool()));
    CHECK_STATUS(APR_NOTFOUND, cohort_gift_socket(&socket, NULL, 0, test_pool()));
    return 0;
}

static void each_is_taken_once(void) {
    const cohort_gift_t gift = {.name = "log", .file = temporary()};
    run_with(take_what_is_not_there, &gift, 1);
    CHECK_INT(0, cohort_gift_count());
    CHECK_STATUS(APR_NOTFOUND, cohort_gift_handle(&(apr_os_file_t){0}, NULL, 0));
}

/* Each of them is closed by itself, and the third is a standard stream of the parent's. */
static int close_both(void *args) {
    apr_file_t *one = NULL, *two = NULL, *three = NULL;
    (void)args;
    CHECK_STATUS(APR_SUCCESS, cohort_gift_file(&one, NULL, 0, test_pool()));
    CHECK_STATUS(APR_SUCCESS, cohort_gift_file(&two, NULL, 1, test_pool()));
    CHECK_STATUS(APR_SUCCESS, cohort_gift_file(&three, "errors", 0, test_pool()));
    CHECK_STATUS(APR_SUCCESS, apr_file_close(one));
    say(two, "twice");
    CHECK_STATUS(APR_SUCCESS, apr_file_close(two));
    CHECK_STATUS(APR_SUCCESS, apr_file_close(three));
    CHECK_INT(0, fflush(stderr));
    return 0;
}

static void one_file_given_twice(void) {
    apr_file_t *file = temporary(), *errors = NULL;
    CHECK_STATUS(APR_SUCCESS, apr_file_open_stderr(&errors, test_pool()));
    const cohort_gift_t gifts[] = {
        {.file = file}, {.file = file}, {.name = "errors", .file = errors}};
    run_with(close_both, gifts, 3);
    check_text("twice", file);
}

/* ---- sockets -------------------------------------------------------------------------------- */

static apr_socket_t *listening(apr_sockaddr_t **address) {
    apr_socket_t *socket = NULL;
    CHECK_STATUS(APR_SUCCESS,
                 apr_sockaddr_info_get(address, "127.0.0.1", APR_INET, 0, 0, test_pool()));
    CHECK_STATUS(APR_SUCCESS,
                 apr_socket_create(&socket, APR_INET, SOCK_STREAM, APR_PROTO_TCP, test_pool()));
    CHECK_STATUS(APR_SUCCESS, apr_socket_bind(socket, *address));
    CHECK_STATUS(APR_SUCCESS, apr_socket_listen(socket, 16));
    CHECK_STATUS(APR_SUCCESS, apr_socket_addr_get(address, APR_LOCAL, socket));
    return socket;
}

static int accept_one(void *args) {
    apr_socket_t *listener = NULL, *peer = NULL;
    apr_size_t size = 5;
    apr_file_t *file = NULL;
    (void)args;
    CHECK_STATUS(APR_EINVAL, cohort_gift_file(&file, "listener", 0, test_pool()));
    CHECK_STATUS(APR_SUCCESS, cohort_gift_socket(&listener, "listener", 0, test_pool()));
    CHECK_STATUS(APR_SUCCESS, apr_socket_accept(&peer, listener, test_pool()));
    CHECK_STATUS(APR_SUCCESS, apr_socket_send(peer, "hello", &size));
    CHECK_INT(5, size);
    CHECK_STATUS(APR_SUCCESS, apr_socket_close(peer));
    return 0;
}

/* The giver may close what it gave as soon as the start has returned. */
static void a_listening_socket(void) {
    apr_sockaddr_t *address = NULL;
    apr_socket_t *listener = listening(&address), *client = NULL;
    const cohort_gift_t gift = {.name = "listener", .socket = listener};
    cohort_process_options_t options = {.gifts = &gift, .n_gifts = 1};
    cohort_process_t *process = NULL;
    char text[6] = "";
    apr_size_t size = 5;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_launch(&process, accept_one, NULL, 0, &options, test_pool()));
    CHECK_STATUS(APR_SUCCESS, apr_socket_close(listener));
    CHECK_STATUS(APR_SUCCESS,
                 apr_socket_create(&client, APR_INET, SOCK_STREAM, APR_PROTO_TCP, test_pool()));
    CHECK_STATUS(APR_SUCCESS, apr_socket_connect(client, address));
    CHECK_STATUS(APR_SUCCESS, apr_socket_recv(client, text, &size));
    CHECK_STR("hello", text);
    party_finish(process);
}

/* ---- what is not given, and what is left ---------------------------------------------------- */

static void what_cannot_be_meant(void) {
    const cohort_gift_t nameless = {.name = "", .file = temporary()},
                        long_name = {.name = "a name with more than thirty-one bytes",
                                     .file = nameless.file},
                        reserved = {.file = nameless.file, .reserved = {[3] = 1}};
    const cohort_process_options_t bad[] = {{.n_gifts = 1},
                                            {.gifts = &nameless, .n_gifts = 1},
                                            {.gifts = &long_name, .n_gifts = 1},
                                            {.gifts = &nameless, .n_gifts = 254}};
    cohort_process_options_t option = {.gifts = &reserved, .n_gifts = 1};
    cohort_process_t *process = NULL;
    apr_uint64_t blocks = blocks_in_use();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_STATUS(APR_EINVAL, cohort_process_create(&process, nothing, NULL, 0, &bad[i], NULL));
    CHECK_STATUS(COHORT_EOPTION, cohort_process_create(&process, nothing, NULL, 0, &option, NULL));
    CHECK_INT(blocks, blocks_in_use());
}

/* The start says which gift it is, and there is no child. */
static void what_is_closed(void) {
    apr_file_t *file = temporary();
    const cohort_gift_t gift = {.name = "log", .file = file};
    cohort_process_options_t options = {.gifts = &gift, .n_gifts = 1};
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_process_create(&process, nothing, NULL, 0, &options, NULL));
    CHECK_STATUS(APR_SUCCESS, apr_file_close(file));
    apr_status_t status = cohort_process_start(process);
    CHECK_STATUS(APR_EBADF, status);
    CHECK(strstr(cohort_last_error(), "gift 0, log") != NULL);
    CHECK_STATUS(COHORT_ENOTSTARTED, cohort_process_join(process, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(process));
}

#define STARTS 30

static void starts_leave_nothing(void) {
    apr_file_t *file = temporary();
    const cohort_gift_t gifts[] = {{.file = file}, {.name = "again", .file = file}};
    run_with(nothing, gifts, 2);
    int handles = system_handles();
    apr_uint64_t blocks = blocks_in_use();
    for (int i = 0; i < STARTS; i++) run_with(nothing, gifts, 2);
    CHECK(system_handles() <= handles);
    CHECK(blocks_in_use() <= blocks);
}

const test_case_t gift_cases[] = {{"Gift", "files_by_name_and_index", files_by_name_and_index},
                                  {"Gift", "each_is_taken_once", each_is_taken_once},
                                  {"Gift", "one_file_given_twice", one_file_given_twice},
                                  {"Gift", "a_listening_socket", a_listening_socket},
                                  {"Gift", "what_cannot_be_meant", what_cannot_be_meant},
                                  {"Gift", "what_is_closed", what_is_closed},
                                  {"Gift", "starts_leave_nothing", starts_leave_nothing},
                                  {0}};
