/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The standard streams of functions' processes: pipes, files, logs, one to another, and none. */
#include "facts.h"
#include "programs.h"

#include <apr_file_info.h>
#include <apr_strings.h>
#include <stdio.h>
#include <stdlib.h>

static cohort_process_t *start_with(cohort_target_t target, cohort_stream_t streams[3],
                                    cohort_lifetime_t lifetime) {
    cohort_process_options_t options = {.streams = streams, .lifetime = lifetime};
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_launch(&process, target, NULL, 0, &options, test_pool()));
    return process;
}

static void say(FILE *to, const char *text) {
    fputs(text, to);
    fflush(to);
}

/* Copies its input to its output, and says so. */
static int copy(void *args) {
    char bytes[64];
    size_t got;
    (void)args;
    while ((got = fread(bytes, 1, sizeof bytes, stdin)) > 0) fwrite(bytes, 1, got, stdout);
    fputs("copied", stderr);
    return 3;
}

/* With an end of file that this process has seen, and bytes that it has read and not used. */
static void spoil_stdin(void) {
    int byte = getc(stdin);
    if (byte != EOF) (void)ungetc(byte, stdin);
}

static void pipes_of_a_function(void) {
    spoil_stdin();
    cohort_stream_t streams[3] = {PIPE, PIPE, PIPE};
    cohort_process_t *process = start_with(copy, streams, COHORT_LIFETIME_DAEMON);
    CHECK_STATUS(APR_SUCCESS, apr_file_write_full(streams[0].file, "in and out", 10, NULL));
    CHECK_STATUS(APR_SUCCESS, apr_file_close(streams[0].file));
    CHECK_STR("in and out", read_all(streams[1].file));
    CHECK_STR("copied", read_all(streams[2].file));
    party_end(process, 3);
}

static int say_in_turn(void *args) {
    (void)args;
    if (getc(stdin) != EOF) return 1;
    say(stdout, "one ");
    say(stderr, "two ");
    say(stdout, "three");
    return 0;
}

static void errors_go_where_output_goes(void) {
    cohort_stream_t streams[3] = {NO_STREAM, PIPE, {.kind = COHORT_STREAM_OUTPUT}};
    cohort_process_t *process = start_with(say_in_turn, streams, COHORT_LIFETIME_DAEMON);
    CHECK_STR("one two three", read_all(streams[1].file));
    party_end(process, 0);
    /* into nothing, which is no error */
    cohort_stream_t nowhere[3] = {NO_STREAM, NO_STREAM, {.kind = COHORT_STREAM_OUTPUT}};
    party_finish(start_with(say_in_turn, nowhere, COHORT_LIFETIME_FOREGROUND));
}

static int say_when_asked(void *args) {
    (void)args;
    if (getc(stdin) == EOF) return 1;
    say(stdout, "!");
    return getc(stdin) != EOF;
}

static void reads_have_time_outs(void) {
    cohort_stream_t streams[3] = {PIPE, PIPE};
    cohort_process_t *process = start_with(say_when_asked, streams, COHORT_LIFETIME_DAEMON);
    char byte;
    apr_size_t size = 1;
    CHECK_STATUS(APR_SUCCESS, apr_file_pipe_timeout_set(streams[1].file, 1000));
    apr_status_t status = apr_file_read(streams[1].file, &byte, &size);
    CHECK(APR_STATUS_IS_TIMEUP(status) || APR_STATUS_IS_EAGAIN(status));
    CHECK_STATUS(APR_SUCCESS, apr_file_write_full(streams[0].file, "?", 1, NULL));
    CHECK_STATUS(APR_SUCCESS, apr_file_pipe_timeout_set(streams[1].file, COHORT_FOREVER));
    size = 1;
    CHECK_STATUS(APR_SUCCESS, apr_file_read(streams[1].file, &byte, &size));
    CHECK_INT('!', byte);
    CHECK_STATUS(APR_SUCCESS, apr_file_close(streams[0].file));
    party_end(process, 0);
}

/* All three are made at once. */
static const char *path_of(const char *name) {
    char *directory;
    CHECK_STATUS(APR_SUCCESS, apr_temp_dir_get((const char **)&directory, test_pool()));
    return apr_psprintf(test_pool(), "%s/cohort_%s_%s_%ld", directory, name, test_method(),
                        (long)cohort_process_pid(cohort_process_current()));
}

static char *contents(const char *path) {
    apr_file_t *file = NULL;
    CHECK_STATUS(APR_SUCCESS,
                 apr_file_open(&file, path, APR_FOPEN_READ, APR_FPROT_OS_DEFAULT, test_pool()));
    char *text = read_all(file);
    CHECK_STATUS(APR_SUCCESS, apr_file_close(file));
    return text;
}

/* A process in the background says what it has to a log, whatever becomes of its parent; without
 * one it says it to nobody. */
static void the_background_has_a_log(void) {
    const char *path = path_of("log");
    cohort_stream_t streams[3] = {
        [1] = {.kind = COHORT_STREAM_LOG, .path = path}, [2] = {.kind = COHORT_STREAM_OUTPUT}};
    (void)apr_file_remove(path, test_pool());
    for (int i = 0; i < 2; i++)
        party_finish(start_with(say_in_turn, streams, COHORT_LIFETIME_BACKGROUND));
    CHECK_STR("one two threeone two three", contents(path));
    cohort_stream_t apart[3] = {[2] = {.kind = COHORT_STREAM_LOG, .path = path}};
    party_finish(start_with(say_in_turn, apart, COHORT_LIFETIME_BACKGROUND));
    CHECK_STR("one two threeone two threetwo ", contents(path));
    CHECK_STATUS(APR_SUCCESS, apr_file_remove(path, test_pool()));
    cohort_stream_t none[3] = {{0}};
    party_finish(start_with(say_in_turn, none, COHORT_LIFETIME_BACKGROUND));
    party_finish(start_with(say_in_turn, NULL, COHORT_LIFETIME_BACKGROUND));
}

static void files_are_given(void) {
    apr_file_t *in = NULL, *out = NULL;
    const char *from = path_of("in"), *to = path_of("out");
    const apr_int32_t both = APR_FOPEN_READ | APR_FOPEN_WRITE | APR_FOPEN_CREATE;
    apr_off_t start = 0;
    CHECK_STATUS(APR_SUCCESS, apr_file_open(&in, from, both | APR_FOPEN_TRUNCATE,
                                            APR_FPROT_OS_DEFAULT, test_pool()));
    CHECK_STATUS(APR_SUCCESS, apr_file_open(&out, to, both | APR_FOPEN_TRUNCATE,
                                            APR_FPROT_OS_DEFAULT, test_pool()));
    CHECK_STATUS(APR_SUCCESS, apr_file_write_full(in, "from a file", 11, NULL));
    CHECK_STATUS(APR_SUCCESS, apr_file_seek(in, APR_SET, &start));
    cohort_stream_t streams[3] = {{.kind = COHORT_STREAM_FILE, .file = in},
                                  {.kind = COHORT_STREAM_FILE, .file = out},
                                  {.kind = COHORT_STREAM_FILE, .file = out}};
    party_end(start_with(copy, streams, COHORT_LIFETIME_DAEMON), 3);
    CHECK_STATUS(APR_SUCCESS, apr_file_close(in));
    CHECK_STATUS(APR_SUCCESS, apr_file_write_full(out, ".", 1, NULL)); /* it is open here */
    CHECK_STATUS(APR_SUCCESS, apr_file_close(out));
    char *text = contents(to);
    CHECK(strcmp(text, "from a filecopied.") == 0 || strcmp(text, "copiedfrom a file.") == 0);
    CHECK_STATUS(APR_SUCCESS, apr_file_remove(from, test_pool()));
    CHECK_STATUS(APR_SUCCESS, apr_file_remove(to, test_pool()));
}

static int run_object(cohort_process_base_t *self) {
    say(stdout, "of a type");
    return self->size != sizeof *self;
}

static void types_have_streams(void) {
    cohort_process_base_t base = {.size = sizeof base, .run = run_object};
    cohort_stream_t streams[3] = {[1] = PIPE};
    cohort_process_options_t options = {.streams = streams};
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_process_launch_object(&process, &base, &options, test_pool()));
    CHECK_STR("of a type", read_all(streams[1].file));
    party_end(process, 0);
}

static apr_status_t refusal(cohort_stream_t *streams, apr_pool_t *pool) {
    cohort_process_options_t options = {.streams = streams};
    cohort_process_t *process = NULL;
    apr_status_t status = cohort_process_create(&process, nothing, NULL, 0, &options, pool);
    CHECK(process == NULL);
    return status;
}

static void misuse_is_refused(void) {
    CHECK_STATUS(APR_EINVAL, refusal((cohort_stream_t[3]){[1] = PIPE}, NULL));
    CHECK_STATUS(APR_EINVAL,
                 refusal((cohort_stream_t[3]){{.kind = COHORT_STREAM_OUTPUT}}, test_pool()));
    CHECK_STATUS(APR_EINVAL,
                 refusal((cohort_stream_t[3]){{.kind = COHORT_STREAM_LOG, .path = "x"}}, NULL));
    CHECK_STATUS(APR_EINVAL,
                 refusal((cohort_stream_t[3]){[1] = {.kind = COHORT_STREAM_LOG}}, NULL));
    CHECK_STATUS(APR_EINVAL,
                 refusal((cohort_stream_t[3]){[2] = {.kind = COHORT_STREAM_FILE}}, NULL));
    CHECK_STATUS(APR_EINVAL, refusal((cohort_stream_t[3]){{.kind = COHORT_STREAM_TERMINAL}}, NULL));
    CHECK_STATUS(COHORT_EOPTION, refusal((cohort_stream_t[3]){[2] = {.reserved = {1}}}, NULL));
    cohort_stream_t streams[3] = {{0}};
    cohort_program_t program = {.argv = (const char *const[]){TEST_ACTOR, NULL}};
    cohort_process_options_t options = {.streams = streams};
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_EINVAL, cohort_process_create_program(&process, &program, &options, NULL));
}

/* A start that fails leaves nothing open, and may be repeated. */
static void starts_fail_and_are_repeated(void) {
    cohort_stream_t streams[3] = {
        PIPE, PIPE, {.kind = COHORT_STREAM_LOG, .path = "/no/such/directory/log"}};
    cohort_process_options_t options = {.streams = streams};
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_create(&process, copy, NULL, 0, &options, test_pool()));
    CHECK(APR_STATUS_IS_ENOENT(cohort_process_start(process)));
    CHECK(strstr(cohort_last_error(), "/no/such/directory/log") != NULL);
    CHECK(streams[0].file == NULL);
    streams[2] = (cohort_stream_t){.kind = COHORT_STREAM_OUTPUT};
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
    CHECK_STATUS(APR_SUCCESS, apr_file_close(streams[0].file));
    CHECK_STR("copied", read_all(streams[1].file));
    party_end(process, 3);
}

const test_case_t streams_cases[] = {
    {"Streams", "pipes_of_a_function", pipes_of_a_function},
    {"Streams", "errors_go_where_output_goes", errors_go_where_output_goes},
    {"Streams", "reads_have_time_outs", reads_have_time_outs},
    {"Streams", "the_background_has_a_log", the_background_has_a_log},
    {"Streams", "files_are_given", files_are_given},
    {"Streams", "types_have_streams", types_have_streams},
    {"Streams", "misuse_is_refused", misuse_is_refused},
    {"Streams", "starts_fail_and_are_repeated", starts_fail_and_are_repeated},
    {0}};
