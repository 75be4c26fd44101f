/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Public structs can grow: a word that this version does not know is refused before anything is
 * done, and what the library fills is written to the end. */
#include "parties.h"

#include <stdio.h>

#define WORDS 8

/* The struct of a call, the call, and what comes of it: an object, the unknown word's number and
 * where the sentence says that it is. */
typedef struct {
    const char *call, *words;
    int last; /* the number of the struct's last word */
    apr_status_t (*run)(void **made, int word);
} refusal_t;

/* The word at `word`; none with a number that is less than 0. */
static void set(apr_uint64_t *reserved, int word) {
    if (word >= 0) reserved[word] = (apr_uint64_t)1 << 63;
}

static apr_status_t queue(void **made, int word) {
    cohort_queue_options_t options = {.joinable = 1};
    set(options.reserved, word);
    return cohort_queue_create((cohort_queue_t **)made, &options, NULL);
}

static apr_status_t pipe_of_two(void **made, int word) {
    cohort_pipe_options_t options = {.messages = 1};
    cohort_connection_t *second = NULL;
    set(options.reserved, word);
    apr_status_t status = cohort_pipe_create((cohort_connection_t **)made, &second, &options, NULL);
    if (!status) CHECK_STATUS(APR_SUCCESS, cohort_connection_close(second));
    else CHECK(!second);
    return status;
}

static apr_status_t barrier(void **made, int word) {
    cohort_barrier_options_t options = {.timeout = 1};
    set(options.reserved, word);
    return cohort_barrier_create((cohort_barrier_t **)made, 2, &options, NULL);
}

static apr_status_t semaphore(void **made, int word) {
    cohort_semaphore_options_t options = {.bounded = 1};
    set(options.reserved, word);
    return cohort_semaphore_create((cohort_semaphore_t **)made, 1, &options, NULL);
}

static apr_status_t region(void **made, int word) {
    cohort_region_options_t options = {.lasting = 1};
    set(options.reserved, word);
    return cohort_region_create((cohort_region_t **)made, &options, NULL);
}

static apr_status_t pool(void **made, int word) {
    cohort_pool_options_t options = {.workers = 1};
    set(options.reserved, word);
    return cohort_pool_create((cohort_pool_t **)made, &options, NULL);
}

static cohort_process_options_t process_options(int word) {
    cohort_process_options_t options = {.name = "grown"};
    set(options.reserved, word);
    return options;
}

static apr_status_t process(void **made, int word) {
    cohort_process_options_t options = process_options(word);
    return cohort_process_create((cohort_process_t **)made, nothing, NULL, 0, &options, NULL);
}

static apr_status_t service(void **made, int word) {
    cohort_restart_t policy = {.when = COHORT_RESTART_ALWAYS};
    cohort_process_options_t options = {.restart = &policy};
    set(policy.reserved, word);
    return cohort_process_create((cohort_process_t **)made, nothing, NULL, 0, &options, NULL);
}

static int run_object(cohort_process_base_t *self) { return self->size != sizeof *self; }

static apr_status_t object_options(void **made, int word) {
    cohort_process_base_t base = {.size = sizeof base, .run = run_object};
    cohort_process_options_t options = process_options(word);
    return cohort_process_create_object((cohort_process_t **)made, &base, &options, NULL);
}

static apr_status_t object(void **made, int word) {
    cohort_process_base_t base = {.size = sizeof base, .run = run_object};
    set(base.reserved, word);
    return cohort_process_create_object((cohort_process_t **)made, &base, NULL, NULL);
}

/* It is read when it is started. */
static cohort_program_t a_program;

static const char *const no_program[] = {"/no/such/program", NULL};

static apr_status_t create_program(void **made, int word) {
    cohort_process_options_t options = process_options(word);
    return cohort_process_create_program((cohort_process_t **)made, &a_program, &options, NULL);
}

static apr_status_t program_options(void **made, int word) {
    a_program = (cohort_program_t){.argv = no_program};
    return create_program(made, word);
}

static apr_status_t program(void **made, int word) {
    a_program = (cohort_program_t){.argv = no_program};
    set(a_program.reserved, word);
    return create_program(made, -1);
}

static apr_status_t stream(void **made, int word) {
    a_program = (cohort_program_t){.argv = no_program};
    set(a_program.streams[2].reserved, word);
    return create_program(made, -1);
}

static apr_status_t own_stream(void **made, int word) {
    static cohort_stream_t streams[3];
    cohort_process_options_t options = {.streams = streams};
    memset(streams, 0, sizeof streams);
    set(streams[1].reserved, word);
    return cohort_process_create((cohort_process_t **)made, nothing, NULL, 0, &options, NULL);
}

static int no_line(void *user, int stream, const char *line, apr_size_t length) {
    (void)user, (void)stream, (void)line, (void)length;
    return 0;
}

static apr_status_t lines_of_a_stream(void **made, int word) {
    static cohort_lines_t lines;
    lines = (cohort_lines_t){.line = no_line};
    set(lines.reserved, word);
    a_program = (cohort_program_t){
        .argv = no_program, .streams = {[1] = {.kind = COHORT_STREAM_LINES, .lines = &lines}}};
    return create_program(made, -1);
}

/* ... of a process that has been created. */
static apr_status_t program_started(void **made, int word) {
    cohort_process_t *process = NULL;
    a_program = (cohort_program_t){.argv = no_program};
    CHECK_STATUS(APR_SUCCESS, create_program((void **)&process, -1));
    set(a_program.reserved, word);
    apr_status_t status = cohort_process_start(process);
    CHECK_INT(COHORT_EXIT_NONE, cohort_process_exit_code(process));
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(process));
    (void)made;
    return status;
}

/* The calls that start what they have made. */
static apr_status_t launch(void **made, int word) {
    cohort_process_options_t options = process_options(word);
    return cohort_process_launch((cohort_process_t **)made, nothing, NULL, 0, &options, NULL);
}

static apr_status_t launch_object(void **made, int word) {
    cohort_process_base_t base = {.size = sizeof base, .run = run_object};
    set(base.reserved, word);
    return cohort_process_launch_object((cohort_process_t **)made, &base, NULL, NULL);
}

static apr_status_t launch_program(void **made, int word) {
    a_program = (cohort_program_t){.argv = no_program};
    set(a_program.streams[0].reserved, word);
    return cohort_process_launch_program((cohort_process_t **)made, &a_program, NULL, NULL);
}

static apr_status_t runner(void **made, int word) {
    cohort_runner_options_t options = {0};
    set(options.reserved, word);
    return cohort_runner_create((cohort_runner_t **)made, &options, test_pool());
}

static apr_status_t command(void **made, int word) {
    cohort_command_t bad = {.argv = no_program};
    set(bad.reserved, word);
    return cohort_run(*(cohort_outcome_t **)made, &bad, test_pool());
}

static const refusal_t refusals[] = {
    {"cohort_queue_create", "options.reserved[%d]", WORDS - 1, queue},
    {"cohort_pipe_create", "options.reserved[%d]", WORDS - 1, pipe_of_two},
    {"cohort_barrier_create", "options.reserved[%d]", WORDS - 1, barrier},
    {"cohort_semaphore_create", "options.reserved[%d]", WORDS - 1, semaphore},
    {"cohort_pool_create", "options.reserved[%d]", 3, pool},
    {"cohort_region_create", "options.reserved[%d]", 5, region},
    {"cohort_process_create", "options.reserved[%d]", WORDS - 2, process},
    {"cohort_process_create", "options->streams[1].reserved[%d]", 0, own_stream},
    {"cohort_process_create_object", "options.reserved[%d]", WORDS - 2, object_options},
    {"cohort_process_create", "restart->reserved[%d]", 3, service},
    {"cohort_process_create_object", "self->reserved[%d]", WORDS - 1, object},
    {"cohort_process_create_program", "options.reserved[%d]", WORDS - 2, program_options},
    {"cohort_process_create_program", "program->reserved[%d]", WORDS - 1, program},
    {"cohort_process_create_program", "program->streams[2].reserved[%d]", 0, stream},
    {"cohort_process_create_program", "lines->reserved[%d]", 3, lines_of_a_stream},
    {"cohort_process_start", "program->reserved[%d]", WORDS - 1, program_started},
    {"cohort_process_launch", "options.reserved[%d]", WORDS - 2, launch},
    {"cohort_process_launch_object", "self->reserved[%d]", WORDS - 1, launch_object},
    {"cohort_process_launch_program", "program->streams[0].reserved[%d]", 0, launch_program},
    {"cohort_runner_create", "options.reserved[%d]", WORDS - 1, runner},
    {"cohort_run", "command->reserved[%d]", WORDS - 1, command},
};

static void check_refusal(const refusal_t *r, int word) {
    char words[64], sentence[200];
    void *made = NULL;
    apr_size_t n = 0;
    cohort_process_t **children = NULL;
    apr_uint64_t before = blocks_in_use();
    CHECK_STATUS(COHORT_EOPTION, r->run(&made, word));
    snprintf(words, sizeof words, r->words, word);
    snprintf(sentence, sizeof sentence,
             "%s: %s is not 0: an option that this version of Cohort does not know", r->call,
             words);
    CHECK_STR(sentence, cohort_last_error());
    CHECK(!made);
    CHECK_INT(before, blocks_in_use());
    CHECK_STATUS(APR_SUCCESS, cohort_process_active_children(&children, &n, test_pool()));
    CHECK_INT(0, n);
}

static void unknown_options_are_refused(void) {
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        check_refusal(&refusals[i], refusals[i].last);
        check_refusal(&refusals[i], 0);
    }
}

/* The same calls with nothing in these words do make something. */
static void known_options_are_not(void) {
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        void *made = NULL;
        if (refusals[i].run == program_started || refusals[i].run == launch_program ||
            refusals[i].run == command)
            continue; /* there is no such program */
        CHECK_STATUS(APR_SUCCESS, refusals[i].run(&made, -1));
        CHECK(made);
    }
}

/* Another root refuses them before it has anything. */
static int initialize_anew(void *args) {
    cohort_options_t options = {.arena_size = *(apr_uint64_t *)args};
    cohort_finalize();
    options.reserved[WORDS - 1] = 1;
    CHECK_STATUS(COHORT_EOPTION, cohort_initialize(&options));
    CHECK_STR("cohort_initialize: options.reserved[7] is not 0: an option that this version of "
              "Cohort does not know",
              cohort_last_error());
    CHECK_STATUS(COHORT_ENOTINIT, cohort_alloc(&(void *){NULL}, 1));
    options.reserved[WORDS - 1] = 0;
    CHECK_STATUS(APR_SUCCESS, cohort_initialize(&options));
    CHECK_STATUS(APR_SUCCESS, cohort_free(party_memory(1)));
    cohort_finalize();
    return 0;
}

static void a_root_refuses_them(void) {
    apr_uint64_t size = (apr_uint64_t)64 << 20;
    party_finish(party_start(initialize_anew, &size, sizeof size));
}

/* What is filled is filled to its end. */
static void outputs_are_written_zero(void) {
    static const apr_uint64_t zero[WORDS];
    cohort_arena_usage_t usage;
    memset(&usage, 0xff, sizeof usage);
    CHECK_STATUS(APR_SUCCESS, cohort_arena_usage(&usage));
    CHECK_INT(sizeof zero, sizeof usage.reserved);
    CHECK_MEM(zero, usage.reserved, sizeof zero);
}

/* The sizes for ever, on every system: a program has them in its code. */
#define SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), "the size of " #type)
SIZE(cohort_activity_t, 192);
SIZE(cohort_arena_usage_t, 96);
SIZE(cohort_barrier_options_t, 88);
SIZE(cohort_bytes_t, 16);
SIZE(cohort_collected_t, 24);
SIZE(cohort_command_t, 352);
SIZE(cohort_counts_t, 224);
SIZE(cohort_gift_t, 64);
SIZE(cohort_imap_options_t, 104);
SIZE(cohort_item_t, 112);
SIZE(cohort_job_t, 240);
SIZE(cohort_options_t, 96);
SIZE(cohort_outcome_t, 160);
SIZE(cohort_parcel_t, 32);
SIZE(cohort_pipe_options_t, 88);
SIZE(cohort_pool_options_t, 216);
SIZE(cohort_pool_statistics_t, 424);
SIZE(cohort_process_base_t, 96);
SIZE(cohort_process_info_t, 160);
SIZE(cohort_process_options_t, 160);
SIZE(cohort_program_t, 232);
SIZE(cohort_progress_options_t, 120);
SIZE(cohort_progress_t, 88);
SIZE(cohort_queue_options_t, 96);
SIZE(cohort_runner_options_t, 80);
SIZE(cohort_region_options_t, 72);
SIZE(cohort_restart_t, 64);
SIZE(cohort_semaphore_options_t, 72);
SIZE(cohort_service_info_t, 328);
SIZE(cohort_settings_t, 216);
SIZE(cohort_spread_t, 40);
SIZE(cohort_stream_t, 48);
SIZE(cohort_task_error_t, 136);
SIZE(cohort_worker_statistics_t, 336);

const test_case_t growth_cases[] = {
    {"Growth", "unknown_options_are_refused", unknown_options_are_refused},
    {"Growth", "known_options_are_not", known_options_are_not},
    {"Growth", "a_root_refuses_them", a_root_refuses_them},
    {"Growth", "outputs_are_written_zero", outputs_are_written_zero},
    {0},
};
