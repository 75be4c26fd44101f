/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Running other programs: what they are given, where their streams go, how they end, and why they
 * do not begin. The other program is tests/actor. */
#include "facts.h"
#include "programs.h"

#include <apr_env.h>
#include <apr_file_info.h>
#include <apr_file_io.h>
#include <apr_lib.h>
#include <apr_strings.h>

#define ACT(...) ((const char *const[]){TEST_ACTOR, __VA_ARGS__, NULL})

static void arguments_arrive(void) {
    CHECK_STR("<><two words><$HOME %PATH% \"'\\><\\\\\\\"><a\\ b\\><tab\t><\x01\n"
              "><gr\xc3\xbc\xc3\x9f \xe2\x82\xac>",
              output_of(ACT("arguments", "", "two words", "$HOME %PATH% \"'\\", "\\\\\\\"",
                            "a\\ b\\", "tab\t", "\x01\n", "gr\xc3\xbc\xc3\x9f \xe2\x82\xac"),
                        NULL, NULL));
}

static void environment_is_replaced(void) {
    const char *const env[] = {"TWO=two words, gr\xc3\xbc\xc3\x9f", "ONE=1", NULL};
    CHECK_STATUS(APR_SUCCESS, apr_env_set("COHORT_TEST_VARIABLE", "inherited", test_pool()));
    CHECK_STR(
        "1\ntwo words, gr\xc3\xbc\xc3\x9f\n(none)\n",
        output_of(ACT("variable", "ONE", "variable", "TWO", "variable", "COHORT_TEST_VARIABLE"),
                  env, NULL));
    CHECK_STR("inherited\n", output_of(ACT("variable", "COHORT_TEST_VARIABLE"), NULL, NULL));
    CHECK_STR("(none)\n", output_of(ACT("variable", "COHORT_BOOT"), NULL, NULL));
}

static void directory_is_changed(void) {
    /* all three may be made at once */
    const char *called = apr_pstrcat(test_pool(), "program_directory_", test_method(), NULL);
    char *directory;
    CHECK_STATUS(APR_SUCCESS, apr_filepath_get(&directory, APR_FILEPATH_NATIVE, test_pool()));
    directory = apr_pstrcat(test_pool(), directory, "/", called, NULL);
    CHECK_STATUS(APR_SUCCESS, apr_dir_make(directory, APR_OS_DEFAULT, test_pool()));
    const char *said = output_of(ACT("cwd"), NULL, directory), *name = strrchr(said, '/');
    apr_status_t removed = apr_dir_remove(directory, test_pool());
    if (!name) name = strrchr(said, '\\');
    CHECK(name != NULL);
    CHECK_STR(apr_pstrcat(test_pool(), called, "\n", NULL), name + 1);
    CHECK_STATUS(APR_SUCCESS, removed);
}

static void path_is_searched(void) {
    const char *name = apr_filepath_name_get(TEST_ACTOR);
    const char *path =
        apr_psprintf(test_pool(), "PATH=%.*s", (int)(name - TEST_ACTOR - 1), TEST_ACTOR);
    const char *const found[] = {path, NULL}, *const nowhere[] = {"PATH=/nonexistent", NULL},
                      *const argv[] = {name, "say", "found", NULL};
    CHECK_STR("found\n", output_of(argv, found, NULL));
    cohort_program_t program = {.argv = argv, .env = nowhere};
    CHECK(APR_STATUS_IS_ENOENT(start_fails(&program)));
}

static void pipes_in_both_directions(void) {
    cohort_program_t program = {.argv = ACT("cat", "cry", "problem", "exit", "4"),
                                .streams = {PIPE, PIPE, PIPE}};
    cohort_process_t *process = start_program(&program, NULL);
    CHECK_STATUS(APR_SUCCESS, apr_file_write_full(program.streams[0].file, "in and out", 10, NULL));
    CHECK_STATUS(APR_SUCCESS, apr_file_close(program.streams[0].file));
    CHECK_STR("in and out", read_all(program.streams[1].file));
    CHECK_STR("problem\n", read_all(program.streams[2].file));
    party_end(process, 4);
}

/* The parent's end of a pipe must not be open in the second program, or the first would never see
 * the end of its input.
 */
static void pipes_are_not_inherited(void) {
    cohort_program_t first = {.argv = ACT("cat"), .streams = {PIPE}};
    cohort_program_t second = {.argv = ACT("cat"), .streams = {PIPE}};
    cohort_process_t *one = start_program(&first, NULL), *two = start_program(&second, NULL);
    CHECK_STATUS(APR_SUCCESS, apr_file_close(first.streams[0].file));
    party_finish(one);
    CHECK_STATUS(APR_SUCCESS, apr_file_close(second.streams[0].file));
    party_finish(two);
}

static void null_streams(void) {
    cohort_program_t program = {.argv =
                                    ACT("say", "nobody sees this", "cry", "nor this", "no-line"),
                                .streams = {NO_STREAM, NO_STREAM, NO_STREAM}};
    run_program(&program, 0);
}

static apr_file_t *new_file(char *path) {
    apr_file_t *file = NULL;
    CHECK_STATUS(APR_SUCCESS,
                 apr_file_mktemp(&file, path,
                                 APR_READ | APR_WRITE | APR_CREATE | APR_BINARY | APR_DELONCLOSE,
                                 test_pool()));
    return file;
}

static void rewind_file(apr_file_t *file) {
    apr_off_t start = 0;
    CHECK_STATUS(APR_SUCCESS, apr_file_seek(file, APR_SET, &start));
}

static void check_contents(const char *expected, apr_file_t *file) {
    char text[64] = "";
    apr_size_t size = sizeof text - 1;
    rewind_file(file);
    CHECK_STATUS(APR_SUCCESS, apr_file_read(file, text, &size));
    CHECK_STR(expected, text);
}

static void files_as_streams(void) {
    char path[] = "program_file.XXXXXX";
    apr_file_t *file = new_file(path);
    cohort_program_t out = {.argv = ACT("say", "one"),
                            .streams = {[1] = {.kind = COHORT_STREAM_FILE, .file = file}}};
    run_program(&out, 0);
    cohort_program_t err = {.argv = ACT("cry", "two"),
                            .streams = {[2] = {.kind = COHORT_STREAM_FILE, .file = file}}};
    run_program(&err, 0);
    check_contents("one\ntwo\n", file); /* it is still ours, and open */
    rewind_file(file);
    cohort_program_t in = {.argv = ACT("line", "line", "no-line"),
                           .streams = {{.kind = COHORT_STREAM_FILE, .file = file}}};
    run_program(&in, 0);
    CHECK_STATUS(APR_SUCCESS, apr_file_close(file));
}

static int run_inheriting(void *data) {
    (void)data;
    cohort_program_t program = {.argv = ACT("say", "inherited"), .streams = {[2] = NO_STREAM}};
    run_program(&program, 0);
    return 0;
}

/* Whatever the test's own output is, a program that is given no other writes there; here it is only
 * seen to end well.
 */
static void children_run_programs(void) { party_finish(party_start(run_inheriting, NULL, 0)); }

static void exit_codes(void) {
    static const struct {
        const char *text;
        int code;
    } cases[] = {{"0", 0}, {"1", 1}, {"3", 3}, {"255", 255}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cohort_program_t program = {.argv = ACT("exit", cases[i].text)};
        run_program(&program, cases[i].code);
    }
    cohort_program_t crash = {.argv = ACT("crash"), .streams = {NO_STREAM, NO_STREAM, NO_STREAM}};
    run_program(&crash, -11);
}

static void signals_reach_it(void) {
    static apr_status_t (*const stops[])(cohort_process_t *) = {
        cohort_process_terminate, cohort_process_kill, cohort_process_interrupt};
    static const int codes[] = {-15, -9, -2};
    for (int i = 0; i < 3; i++) {
        cohort_program_t program = {.argv = ACT("cat"), .streams = {PIPE}};
        cohort_process_t *process = start_program(&program, NULL);
        CHECK_INT(1, cohort_process_is_alive(process));
        CHECK_STATUS(APR_EAGAIN, cohort_process_join(process, 0));
        CHECK_STATUS(APR_SUCCESS, stops[i](process));
        party_end(process, codes[i]);
        CHECK_STATUS(APR_SUCCESS, stops[i](process));
    }
}

static void what_is_not_there(void) {
    cohort_program_t missing = {.argv = (const char *const[]){"/nonexistent/program", NULL}};
    CHECK(APR_STATUS_IS_ENOENT(start_fails(&missing)));
    cohort_program_t nowhere = {.argv = (const char *const[]){"no-program-has-this-name", NULL}};
    CHECK(APR_STATUS_IS_ENOENT(start_fails(&nowhere)));
    cohort_program_t cwd = {.argv = ACT("exit", "0"), .cwd = "/nonexistent/directory"};
    CHECK(APR_STATUS_IS_ENOENT(start_fails(&cwd)));
}

static void what_is_no_program(void) {
    char name[] = "program_file.XXXXXX";
    apr_file_t *file = NULL;
    CHECK_STATUS(APR_SUCCESS,
                 apr_file_mktemp(&file, name, APR_READ | APR_WRITE | APR_CREATE, test_pool()));
    CHECK_STATUS(APR_SUCCESS, apr_file_write_full(file, "only text\n", 10, NULL));
    CHECK_STATUS(APR_SUCCESS, apr_file_close(file));
    cohort_program_t data = {
        .argv = (const char *const[]){apr_pstrcat(test_pool(), "./", name, NULL), NULL}};
    apr_status_t status = start_fails(&data);
    CHECK_STATUS(APR_SUCCESS, apr_file_remove(name, test_pool()));
    CHECK(APR_STATUS_IS_EACCES(status));
}

static void failed_starts_leave_nothing(void) {
    cohort_program_t program = {.argv = (const char *const[]){"/nonexistent/program", NULL},
                                .streams = {PIPE, PIPE, NO_STREAM}};
    (void)start_fails(&program);
    int before = system_handles();
    if (before < 0) SKIP("the system does not tell descriptors");
    for (int i = 0; i < 40; i++) (void)start_fails(&program);
    CHECK(system_handles() - before < 20); /* some systems keep a few for later */
}

static void names_of_programs(void) {
    char name[64];
    cohort_program_t program = {.argv = ACT("exit", "0")};
    cohort_process_options_t options = {.name = "another name"};
    cohort_process_t *process = start_program(&program, NULL);
    CHECK_STATUS(APR_SUCCESS, cohort_process_name(process, name, sizeof name));
    CHECK_STR(apr_filepath_name_get(TEST_ACTOR), name);
    party_end(process, 0);
    process = start_program(&program, &options);
    CHECK_STATUS(APR_SUCCESS, cohort_process_name(process, name, sizeof name));
    CHECK_STR("another name", name);
    party_end(process, 0);
}

static void bad_programs(void) {
    cohort_process_t *process = NULL;
    cohort_program_t none = {0}, empty = {.argv = (const char *const[]){NULL}},
                     nameless = {.argv = (const char *const[]){"", NULL}},
                     file = {.argv = ACT("exit", "0"), .streams = {{.kind = COHORT_STREAM_FILE}}},
                     kind = {.argv = ACT("exit", "0"),
                             .streams = {{.kind = (cohort_stream_kind_t)17}}},
                     pipe = {.argv = ACT("exit", "0"), .streams = {PIPE}};
    cohort_program_t *bad[] = {&none, &empty, &nameless, &file, &kind};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_STATUS(APR_EINVAL,
                     cohort_process_create_program(&process, bad[i], NULL, test_pool()));
    }
    CHECK_STATUS(APR_EINVAL, cohort_process_create_program(&process, &pipe, NULL, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_process_create_program(NULL, &pipe, NULL, test_pool()));
    CHECK_STATUS(APR_EINVAL, cohort_process_create_program(&process, NULL, NULL, test_pool()));
}

static int join_program(void *data) {
    party_end(*(cohort_process_t **)data, -15);
    return 0;
}

static void any_process_may_join_a_program(void) {
    cohort_program_t program = {.argv = ACT("cat"), .streams = {PIPE}};
    cohort_process_t *process = start_program(&program, NULL),
                     *joiner = party_start(join_program, &process, sizeof process);
    CHECK_STATUS(APR_SUCCESS, cohort_process_terminate(process));
    party_finish(joiner);
    party_end(process, -15);
}

const test_case_t program_cases[] = {
    {"Program", "arguments_arrive", arguments_arrive},
    {"Program", "environment_is_replaced", environment_is_replaced},
    {"Program", "directory_is_changed", directory_is_changed},
    {"Program", "path_is_searched", path_is_searched},
    {"Program", "pipes_in_both_directions", pipes_in_both_directions},
    {"Program", "pipes_are_not_inherited", pipes_are_not_inherited},
    {"Program", "null_streams", null_streams},
    {"Program", "files_as_streams", files_as_streams},
    {"Program", "children_run_programs", children_run_programs},
    {"Program", "exit_codes", exit_codes},
    {"Program", "signals_reach_it", signals_reach_it},
    {"Program", "what_is_not_there", what_is_not_there},
    {"Program", "what_is_no_program", what_is_no_program},
    {"Program", "failed_starts_leave_nothing", failed_starts_leave_nothing},
    {"Program", "names_of_programs", names_of_programs},
    {"Program", "bad_programs", bad_programs},
    {"Program", "any_process_may_join_a_program", any_process_may_join_a_program},
    {0},
};
