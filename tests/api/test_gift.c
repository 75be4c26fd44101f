/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Files, sockets and handles that a child is given and takes by name or index. */
#include "facts.h"
#include "programs.h"

#include <apr_env.h>
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

/* ---- descriptors and handles, and ends of pipes ---------------------------------------------- */

static apr_os_file_t handle_of(apr_file_t *file) {
    apr_os_file_t handle;
    CHECK_STATUS(APR_SUCCESS, apr_os_file_get(&handle, file));
    return handle;
}

/* One is taken as a file, the other as the system has it. */
static int write_to_handles(void *args) {
    apr_file_t *one = NULL, *two = NULL;
    apr_os_file_t handle;
    (void)args;
    CHECK_STATUS(APR_SUCCESS, cohort_gift_file(&one, "one", 0, test_pool()));
    CHECK_STATUS(APR_SUCCESS, cohort_gift_handle(&handle, "two", 0));
    CHECK_STATUS(APR_SUCCESS, apr_os_file_put(&two, &handle, APR_FOPEN_WRITE, test_pool()));
    say(one, "as a file");
    say(two, "as a handle");
    return 0;
}

static void plain_handles(void) {
    apr_file_t *one = temporary(), *two = temporary();
    const cohort_gift_t gifts[] = {{.name = "one", .handle = handle_of(one)},
                                   {.name = "two", .handle = handle_of(two)}};
    run_with(write_to_handles, gifts, 2);
    check_text("as a file", one);
    check_text("as a handle", two);
    say(one, ", still open"); /* what was given stays the giver's */
    check_text("as a file, still open", one);
}

/* What it reads, once, until the fifth byte. */
static int echo(void *args) {
    apr_file_t *in = NULL, *out = NULL;
    char text[8] = "";
    (void)args;
    CHECK_STATUS(APR_SUCCESS, cohort_gift_file(&in, "in", 0, test_pool()));
    CHECK_STATUS(APR_SUCCESS, cohort_gift_file(&out, "out", 0, test_pool()));
    CHECK_STATUS(APR_SUCCESS, apr_file_read_full(in, text, 5, NULL));
    say(out, text);
    return 0;
}

/* Two pipes, of which the child has the far ends; they are closed here while it waits. */
static void ends_of_pipes(void) {
    apr_file_t *theirs[2] = {NULL, NULL}, *ours[2] = {NULL, NULL};
    cohort_process_t *process = NULL;
    char text[8] = "";
    apr_size_t size = 1;
    CHECK_STATUS(APR_SUCCESS, apr_file_pipe_create(&theirs[0], &ours[0], test_pool()));
    CHECK_STATUS(APR_SUCCESS, apr_file_pipe_create(&ours[1], &theirs[1], test_pool()));
    const cohort_gift_t gifts[] = {{.name = "in", .file = theirs[0]},
                                   {.name = "out", .handle = handle_of(theirs[1])}};
    cohort_process_options_t options = {.gifts = gifts, .n_gifts = 2};
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_launch(&process, echo, NULL, 0, &options, test_pool()));
    for (int i = 0; i < 2; i++) CHECK_STATUS(APR_SUCCESS, apr_file_close(theirs[i]));
    say(ours[0], "hello");
    CHECK_STATUS(APR_SUCCESS, apr_file_read_full(ours[1], text, 5, NULL));
    CHECK_STR("hello", text);
    party_finish(process);
    CHECK_STATUS(APR_EOF, apr_file_read(ours[1], text, &size));
}

static int count_none(void *args) {
    (void)args;
    CHECK_INT(0, cohort_gift_count());
    return 0;
}

static int count_own(void *args) {
    apr_os_file_t handle;
    CHECK_INT(*(int *)args, cohort_gift_count());
    CHECK_STATUS(APR_SUCCESS, cohort_gift_handle(&handle, NULL, 0));
    CHECK_INT(*(int *)args, cohort_gift_count());
    party_finish(party_start(count_none, NULL, 0)); /* it was given nothing */
    return 0;
}

static void they_are_counted(void) {
    apr_file_t *file = temporary();
    cohort_gift_t gifts[20];
    for (int i = 0; i < 20; i++) gifts[i] = (cohort_gift_t){.file = file};
    for (int n = 1; n <= 20; n += 19) {
        cohort_process_options_t options = {.gifts = gifts, .n_gifts = (apr_size_t)n};
        cohort_process_t *process = NULL;
        CHECK_STATUS(APR_SUCCESS, cohort_process_launch(&process, count_own, &n, sizeof n, &options,
                                                        test_pool()));
        party_finish(process);
    }
    CHECK_INT(0, cohort_gift_count());
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

static int talk(void *args) {
    apr_socket_t *peer = NULL;
    char text[6] = "";
    apr_size_t size = 5;
    (void)args;
    CHECK_STATUS(APR_SUCCESS, cohort_gift_socket(&peer, "peer", 0, test_pool()));
    CHECK_STATUS(APR_SUCCESS, apr_socket_recv(peer, text, &size));
    CHECK_STR("first", text);
    size = 6;
    CHECK_STATUS(APR_SUCCESS, apr_socket_send(peer, "second", &size));
    CHECK_INT(6, size);
    return 0;
}

/* A connection, as a socket of APR's or as the system has it, is the child's alone when the giver
 * has closed it: it ends with the child. */
static void a_connected_socket(void) {
    if (system_is_wine()) SKIP("Wine sends nothing by a socket that was duplicated");
    for (int plain = 0; plain < 2; plain++) {
        apr_sockaddr_t *address = NULL;
        apr_socket_t *listener = listening(&address), *client = NULL, *peer = NULL;
        apr_os_sock_t socket;
        cohort_process_t *process = NULL;
        char text[7] = "";
        apr_size_t size = 5;
        CHECK_STATUS(APR_SUCCESS,
                     apr_socket_create(&client, APR_INET, SOCK_STREAM, APR_PROTO_TCP, test_pool()));
        CHECK_STATUS(APR_SUCCESS, apr_socket_connect(client, address));
        CHECK_STATUS(APR_SUCCESS, apr_socket_accept(&peer, listener, test_pool()));
        CHECK_STATUS(APR_SUCCESS, apr_os_sock_get(&socket, peer));
        cohort_gift_t gift = {.name = "peer", .socket = peer};
        if (plain)
            gift = (cohort_gift_t){.name = "peer", .handle = (apr_os_file_t)(intptr_t)socket};
        cohort_process_options_t options = {.gifts = &gift, .n_gifts = 1};
        CHECK_STATUS(APR_SUCCESS,
                     cohort_process_launch(&process, talk, NULL, 0, &options, test_pool()));
        CHECK_STATUS(APR_SUCCESS, apr_socket_close(peer));
        CHECK_STATUS(APR_SUCCESS, apr_socket_send(client, "first", &size));
        for (apr_size_t got = 0; got < 6; got += size) {
            size = 6 - got;
            CHECK_STATUS(APR_SUCCESS, apr_socket_recv(client, text + got, &size));
        }
        CHECK_STR("second", text);
        party_finish(process);
        size = 1;
        CHECK_STATUS(APR_EOF, apr_socket_recv(client, text, &size));
    }
}

/* ---- programs ------------------------------------------------------------------------------- */

static void run_given(const char *const *argv, const char *const *env, const cohort_gift_t *gifts,
                      apr_size_t n, int code) {
    cohort_program_t program = {.argv = argv, .env = env};
    cohort_process_options_t options = {.gifts = gifts, .n_gifts = n};
    party_end(start_program(&program, &options), code);
}

/* One is given twice, and one has no name. */
static void a_program_finds_them_by_name(void) {
    apr_file_t *one = temporary(), *two = temporary();
    const char *const argv[] = {TEST_ACTOR, "give", "a=b c", "give", "two", NULL};
    const char *const env[] = {"COHORT_GIFTS=0:999=a=b c", NULL};
    const cohort_gift_t gifts[] = {
        {.name = "a=b c", .file = one}, {.file = one}, {.name = "two", .file = two}};
    run_given(argv, NULL, gifts, 3, 0);
    check_text("a=b c", one);
    check_text("two", two);
    run_given(argv, env, gifts, 3, 0); /* its own counts */
    check_text("twotwo", two);
    run_given((const char *const[]){TEST_ACTOR, "give", "three", NULL}, NULL, gifts, 3, 1);
}

/* What a process was given itself is not its programs', whether they are given anything or not. */
static void it_is_not_handed_down(void) {
    const char *const argv[] = {TEST_ACTOR, "give", "log", NULL};
    const cohort_gift_t other = {.name = "other", .file = temporary()};
    CHECK_STATUS(APR_SUCCESS, apr_env_set("COHORT_GIFTS", "0:3=log", test_pool()));
    run_given(argv, NULL, NULL, 0, 1);
    run_given(argv, NULL, &other, 1, 1);
    CHECK_STR(
        "(none)\n",
        output_of((const char *const[]){TEST_ACTOR, "variable", "COHORT_GIFTS", NULL}, NULL, NULL));
    CHECK_STATUS(APR_SUCCESS, apr_env_delete("COHORT_GIFTS", test_pool()));
    CHECK_INT(0, cohort_gift_count()); /* this one looked when it began */
}

static void a_cohort_of_its_own_has_them(void) {
    apr_file_t *log = temporary();
    const char *const argv[] = {TEST_GIVEN, "log", "written", NULL};
    const cohort_gift_t gifts[] = {{.name = "log", .file = log}, {.file = log}};
    run_given(argv, NULL, gifts, 2, 0);
    check_text("written", log);
    run_given((const char *const[]){TEST_GIVEN, NULL}, NULL, NULL, 0, 0);
}

static void a_programs_name_has_no_colon(void) {
    const cohort_gift_t gift = {.name = "a:b", .file = temporary()};
    cohort_process_options_t options = {.gifts = &gift, .n_gifts = 1};
    cohort_program_t program = {.argv = (const char *const[]){TEST_ACTOR, NULL}};
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_EINVAL, cohort_process_create_program(&process, &program, &options, NULL));
    CHECK(strstr(cohort_last_error(), "gifts[0]") != NULL);
    run_with(nothing, &gift, 1);
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

const test_case_t gift_cases[] = {
    {"Gift", "files_by_name_and_index", files_by_name_and_index},
    {"Gift", "each_is_taken_once", each_is_taken_once},
    {"Gift", "one_file_given_twice", one_file_given_twice},
    {"Gift", "plain_handles", plain_handles},
    {"Gift", "ends_of_pipes", ends_of_pipes},
    {"Gift", "they_are_counted", they_are_counted},
    {"Gift", "a_listening_socket", a_listening_socket},
    {"Gift", "a_connected_socket", a_connected_socket},
    {"Gift", "a_program_finds_them_by_name", a_program_finds_them_by_name},
    {"Gift", "it_is_not_handed_down", it_is_not_handed_down},
    {"Gift", "a_cohort_of_its_own_has_them", a_cohort_of_its_own_has_them},
    {"Gift", "a_programs_name_has_no_colon", a_programs_name_has_no_colon},
    {"Gift", "what_cannot_be_meant", what_cannot_be_meant},
    {"Gift", "what_is_closed", what_is_closed},
    {"Gift", "starts_leave_nothing", starts_leave_nothing},
    {0}};
