/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Streams that are given line by line to a callback of the process that starts the child. */
#include "facts.h"
#include "programs.h"

#include <stdio.h>
#include <stdlib.h>

#define ACT(...) ((const char *const[]){TEST_ACTOR, __VA_ARGS__, NULL})
#define A_LOT    20000 /* lines, more than any pipe holds */

/* What the callbacks of this process are told. */
typedef struct {
    _Atomic int ends, lines, inside;
    apr_size_t bytes, longest;
    char text[2][256];
    _Atomic int *gate;         /* the first line waits until it is 1 */
    cohort_process_t *process; /* for those that have something to do with it */
    int answer;
} heard_t;

static void note(heard_t *heard, int stream, const char *line, apr_size_t length) {
    char *text = heard->text[stream - 1];
    size_t used = strlen(text);
    snprintf(text + used, sizeof heard->text[0] - used, "%.60s|", line ? line : "(end)");
    heard->bytes += length;
    if (length > heard->longest) heard->longest = length;
    if (line) CHECK_INT(0, line[length]);
    if (line) atomic_fetch_add(&heard->lines, 1);
}

static int hear(void *user, int stream, const char *line, apr_size_t length) {
    heard_t *heard = user;
    CHECK_INT(0, atomic_fetch_add(&heard->inside, 1));
    if (heard->gate && line) party_await(heard->gate, 1);
    note(heard, stream, line, length);
    CHECK_INT(1, atomic_fetch_sub(&heard->inside, 1));
    if (!line) atomic_fetch_add(&heard->ends, 1);
    return heard->answer;
}

static cohort_process_t *start_heard(cohort_target_t target, const cohort_lines_t *output,
                                     const cohort_lines_t *errors) {
    cohort_stream_t streams[3] = {[1] = {.kind = COHORT_STREAM_LINES, .lines = output}};
    if (errors) streams[2] = (cohort_stream_t){.kind = COHORT_STREAM_LINES, .lines = errors};
    cohort_process_options_t options = {.streams = streams, .lifetime = COHORT_LIFETIME_DAEMON};
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_process_launch(&process, target, NULL, 0, &options, NULL));
    return process;
}

/* ---- what is given -------------------------------------------------------------------------- */

static int speak(void *args) {
    (void)args;
    printf("one\ntwo\n\nlast");
    fprintf(stderr, "an error\n");
    return 0;
}

static void lines_and_ends(void) {
    heard_t heard = {0};
    const cohort_lines_t lines = {hear, &heard, {0}};
    party_finish(start_heard(speak, &lines, &lines));
    party_await(&heard.ends, 2);
    CHECK_STR("one|two||last|(end)|", heard.text[0]);
    CHECK_STR("an error|(end)|", heard.text[1]);
}

static void of_a_program(void) {
    heard_t heard = {0};
    const cohort_lines_t lines = {hear, &heard, {0}};
    cohort_program_t program = {.argv = ACT("say", "out\r", "flush", "cry", "err", "add", "rest"),
                                .streams = {NO_STREAM,
                                            {.kind = COHORT_STREAM_LINES, .lines = &lines},
                                            {.kind = COHORT_STREAM_OUTPUT}}};
    party_finish(start_program(&program, NULL));
    party_await(&heard.ends, 1);
    CHECK_INT(3, heard.lines);
    CHECK_STR("out|err|rest|(end)|", heard.text[0]);
}

static int speak_long(void *args) {
    (void)args;
    for (int i = 0; i < COHORT_LINE_MAX + 5; i++) putchar('x');
    return puts("") < 0;
}

static void long_lines_are_cut(void) {
    heard_t heard = {0};
    const cohort_lines_t lines = {hear, &heard, {0}};
    party_finish(start_heard(speak_long, &lines, NULL));
    party_await(&heard.ends, 1);
    CHECK_INT(2, heard.lines);
    CHECK_INT(COHORT_LINE_MAX, heard.longest);
    CHECK_INT(COHORT_LINE_MAX + 5, heard.bytes);
}

/* ---- callbacks that take their time, or want no more ---------------------------------------- */

static int speak_a_lot(void *args) {
    (void)args;
    for (int i = 0; i < A_LOT; i++) puts("a line of some length");
    return 0;
}

static void the_child_waits_for_the_callback(void) {
    _Atomic int gate = 0;
    heard_t heard = {.gate = &gate};
    const cohort_lines_t lines = {hear, &heard, {0}};
    cohort_process_t *process = start_heard(speak_a_lot, &lines, NULL);
    CHECK_STATUS(APR_TIMEUP, cohort_process_join(process, A_WHILE));
    atomic_store(&gate, 1);
    party_finish(process);
    party_await(&heard.ends, 1);
    CHECK_INT(A_LOT, heard.lines);
}

static void what_is_not_wanted_is_dropped(void) {
    heard_t heard = {.answer = 1};
    const cohort_lines_t lines = {hear, &heard, {0}};
    party_finish(start_heard(speak_a_lot, &lines, &lines));
    party_await(&heard.ends, 2);
    CHECK_INT(1, heard.lines);
    CHECK_STR("(end)|", heard.text[1]);
}

/* One thread for all: `inside` is looked at by each. */
static void never_two_at_once(void) {
    heard_t heard = {0};
    const cohort_lines_t lines = {hear, &heard, {0}};
    cohort_process_t *list[4];
    for (int i = 0; i < 4; i++) list[i] = start_heard(speak_a_lot, &lines, &lines);
    parties_finish(list, 4);
    party_await(&heard.ends, 8);
    CHECK_INT(4 * A_LOT, heard.lines);
}

/* ---- callbacks that call -------------------------------------------------------------------- */

static int speak_for_ever(void *args) {
    (void)args;
    for (;;) puts("again");
    return 0;
}

static int kill_and_destroy(void *user, int stream, const char *line, apr_size_t length) {
    heard_t *heard = user;
    (void)stream, (void)length;
    party_await(heard->gate, 1);
    if (line && heard->process) {
        party_kill(heard->process);
        CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(heard->process));
        heard->process = NULL;
    }
    if (!line) atomic_fetch_add(&heard->ends, 1);
    return 0;
}

static void a_callback_kills_and_destroys(void) {
    _Atomic int gate = 0;
    heard_t heard = {.gate = &gate};
    const cohort_lines_t lines = {kill_and_destroy, &heard, {0}};
    heard.process = start_heard(speak_for_ever, &lines, NULL);
    atomic_store(&gate, 1);
    party_await(&heard.ends, 1);
    CHECK(heard.process == NULL);
}

/* A copy of the process is made of the thread that reads, and then of that copy's. */
static int start_another(void *user, int stream, const char *line, apr_size_t length) {
    static const char *const said[] = {"one", "two", "", "last"};
    heard_t *heard = user;
    const cohort_lines_t lines = {hear, heard + 1, {0}};
    (void)stream, (void)length;
    if (!line) atomic_fetch_add(&heard->ends, 1);
    if (line) CHECK_STR(said[atomic_fetch_add(&heard->lines, 1)], line);
    else heard->process = start_heard(speak, &lines, NULL);
    return 0;
}

static void a_callback_starts_another(void) {
    heard_t heard[2] = {{0}};
    const cohort_lines_t lines = {start_another, heard, {0}};
    party_finish(start_heard(speak, &lines, NULL));
    party_await(&heard[1].ends, 1);
    party_finish(heard[0].process);
    CHECK_STR("one|two||last|(end)|", heard[1].text[0]);
}

/* ---- holders of the pipe, and deaths -------------------------------------------------------- */

/* What the program has started goes on for three seconds, and has its streams. */
static void grandchildren_hold_the_pipe(void) {
    heard_t heard = {0};
    const cohort_lines_t lines = {hear, &heard, {0}};
    cohort_process_options_t alone = {.containment = COHORT_CONTAIN_NONE};
    cohort_program_t program = {.argv = ACT("leave", "say", "mine"),
                                .streams = {[1] = {.kind = COHORT_STREAM_LINES, .lines = &lines}}};
    party_finish(start_program(&program, &alone)); /* the handle is destroyed */
    party_await(&heard.lines, 1);
    CHECK_INT(0, heard.ends);
    party_await(&heard.ends, 1);
    CHECK_STR("mine|(end)|", heard.text[0]);
}

typedef struct {
    _Atomic int lines, ends;
    _Atomic int64_t pid;
} told_t;

static int count_line(void *user, int stream, const char *line, apr_size_t length) {
    told_t *told = user;
    (void)stream, (void)length;
    atomic_fetch_add(line ? &told->lines : &told->ends, 1);
    return 0;
}

/* Its child is joined by its end, and goes on speaking until then. */
static int leave_early(void *args) {
    told_t *told = *(told_t **)args;
    const cohort_lines_t lines = {count_line, told, {0}};
    cohort_stream_t streams[3] = {[1] = {.kind = COHORT_STREAM_LINES, .lines = &lines}};
    cohort_process_options_t options = {.streams = streams, .lifetime = COHORT_LIFETIME_FOREGROUND};
    cohort_process_t *process;
    return cohort_process_launch(&process, speak_a_lot, NULL, 0, &options, NULL);
}

static void the_last_lines_come_before_the_exit(void) {
    told_t *told = party_memory(sizeof *told);
    cohort_process_options_t options = {.lifetime = COHORT_LIFETIME_FOREGROUND};
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_launch(&process, leave_early, &told, sizeof told, &options, NULL));
    party_finish(process);
    CHECK_INT(A_LOT, told->lines);
    CHECK_INT(1, told->ends);
    cohort_free(told);
}

static int stall(void *user, int stream, const char *line, apr_size_t length) {
    told_t *told = user;
    (void)stream, (void)line, (void)length;
    atomic_store(&told->lines, 1);
    party_wait_for_death();
}

static int listen_and_stall(void *args) {
    told_t *told = *(told_t **)args;
    const cohort_lines_t lines = {stall, told, {0}};
    cohort_process_options_t background = {.lifetime = COHORT_LIFETIME_BACKGROUND};
    cohort_program_t program = {
        .argv = ACT("flood", "1000000"),
        .streams = {NO_STREAM, {.kind = COHORT_STREAM_LINES, .lines = &lines}, NO_STREAM}};
    atomic_store(&told->pid, cohort_process_pid(start_program(&program, &background)));
    party_wait_for_death();
}

/* The child, which outlives it, does not wait for a pipe that nobody reads. */
static void the_listener_is_killed(void) {
    told_t *told = party_memory(sizeof *told);
    cohort_process_t *listener = party_start(listen_and_stall, &told, sizeof told);
    party_await(&told->lines, 1);
    while (!atomic_load(&told->pid)) apr_sleep(500);
    CHECK(system_runs(told->pid));
    party_kill(listener);
    while (system_runs(told->pid)) apr_sleep(500);
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(listener));
    cohort_free(told);
}

/* ---- starts that fail ----------------------------------------------------------------------- */

static void failed_starts_say_nothing(void) {
    heard_t heard = {0};
    const cohort_lines_t lines = {hear, &heard, {0}}, none = {0},
                         later = {hear, &heard, {0, 0, 0, 1}};
    cohort_program_t program = {.argv = (const char *const[]){"/no/such/program", NULL},
                                .streams = {[1] = {.kind = COHORT_STREAM_LINES, .lines = &lines}}};
    cohort_process_t *process = NULL;
    int handles = 0;
    for (int i = 0; i < 3; i++) {
        CHECK(APR_STATUS_IS_ENOENT(start_fails(&program)));
        if (i > 0) CHECK(system_handles() <= handles); /* cases before may close some more */
        handles = system_handles();
    }
    CHECK_INT(0, heard.ends + heard.lines);
    const cohort_lines_t *bad[] = {NULL, &none, &later};
    for (int i = 0; i < 3; i++) {
        program.streams[1].lines = bad[i];
        CHECK_STATUS(i < 2 ? APR_EINVAL : COHORT_EOPTION,
                     cohort_process_create_program(&process, &program, NULL, NULL));
    }
    program.streams[0] = (cohort_stream_t){.kind = COHORT_STREAM_LINES, .lines = &lines};
    CHECK_STATUS(APR_EINVAL, cohort_process_create_program(&process, &program, NULL, NULL));
    cohort_command_t command = {.argv = ACT("exit", "0"),
                                .streams = {[1] = {.kind = COHORT_STREAM_LINES, .lines = &lines}}};
    cohort_outcome_t outcome;
    CHECK_STATUS(APR_EINVAL, cohort_run(&outcome, &command, test_pool()));
}

static void nothing_is_left_open(void) {
    heard_t heard = {0};
    const cohort_lines_t lines = {hear, &heard, {0}};
    int handles = 0;
    for (int i = 0; i < 30; i++) {
        party_finish(start_heard(speak, &lines, &lines));
        party_await(&heard.ends, 2 * (i + 1));
        if (i == 9) handles = system_handles();
    }
    /* what the thread closes after the last ends, it may not have closed yet */
    while (system_handles() > handles) apr_sleep(500);
}

const test_case_t lines_cases[] = {
    {"Lines", "lines_and_ends", lines_and_ends},
    {"Lines", "of_a_program", of_a_program},
    {"Lines", "long_lines_are_cut", long_lines_are_cut},
    {"Lines", "the_child_waits_for_the_callback", the_child_waits_for_the_callback},
    {"Lines", "what_is_not_wanted_is_dropped", what_is_not_wanted_is_dropped},
    {"Lines", "never_two_at_once", never_two_at_once},
    {"Lines", "a_callback_kills_and_destroys", a_callback_kills_and_destroys},
    {"Lines", "a_callback_starts_another", a_callback_starts_another},
    {"Lines", "grandchildren_hold_the_pipe", grandchildren_hold_the_pipe},
    {"Lines", "the_last_lines_come_before_the_exit", the_last_lines_come_before_the_exit},
    {"Lines", "the_listener_is_killed", the_listener_is_killed},
    {"Lines", "failed_starts_say_nothing", failed_starts_say_nothing},
    {"Lines", "nothing_is_left_open", nothing_is_left_open},
    {0}};
