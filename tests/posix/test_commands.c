/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Commands and what they have started: ended at the deadline, with the process that runs them, by
 * cohort_process_stop_tree(); and signals by number. */
#include "contain.h"

#include <apr_strings.h>
#include <signal.h>

/* ---- pids that programs print --------------------------------------------------------------- */

typedef struct {
    _Atomic apr_int64_t pids[8];
    _Atomic int count;
    cohort_event_t *all; /* set when so many are known: */
    int wanted;
} printed_t;

static printed_t *new_printed(int wanted) {
    printed_t *printed = party_memory(sizeof *printed);
    printed->all = new_event();
    printed->wanted = wanted;
    return printed;
}

static int note_pid(void *user, int stream, const char *line, apr_size_t length) {
    printed_t *printed = user;
    (void)stream, (void)length;
    int n = printed->count;
    if (n < 8) atomic_store(&printed->pids[n], atoll(line));
    atomic_store(&printed->count, n + 1);
    if (n + 1 == printed->wanted) set_event(printed->all);
    return 0;
}

static void await_printed_gone(printed_t *printed) {
    CHECK(printed->count >= printed->wanted);
    for (int i = 0; i < printed->wanted; i++) await_gone(printed->pids[i]);
}

/* A shell, its child in the background, and one that has another session. */
static const char *const tree[] = {
    "sh", "-c",
    "echo $$; sh -c 'echo $$; exec " TEST_ACTOR " wait' & " TEST_ACTOR " session & wait", NULL};

/* ---- the deadline --------------------------------------------------------------------------- */

/* Where the system does not tell what has left the session, that goes on. */
static void deadline_ends_the_tree(void) {
    printed_t *printed = new_printed(3);
    cohort_command_t command = {
        .argv = tree, .line = note_pid, .user = printed, .timeout = 1000000};
    cohort_outcome_t outcome;
    CHECK_STATUS(APR_SUCCESS, cohort_run(&outcome, &command, test_pool()));
    CHECK_INT(COHORT_RUN_TIMED_OUT, outcome.end);
    for (int i = 0; !has_trees() && i < 3; i++)
        if (getsid((pid_t)printed->pids[i]) == printed->pids[i])
            CHECK_INT(0, kill((pid_t)printed->pids[i], SIGKILL));
    await_printed_gone(printed);
}

/* ---- the caller is killed ------------------------------------------------------------------- */

/* How many processes have this among their arguments? */
static int with_argument(const char *text) {
    int found = 0;
    DIR *directory = opendir("/proc");
    if (!directory) SKIP("needs /proc");
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        char path[300], line[1024] = "";
        int of;
        snprintf(path, sizeof path, "/proc/%s/cmdline", entry->d_name);
        FILE *file = atoll(entry->d_name) > 0 ? fopen(path, "r") : NULL;
        if (!file) continue;
        size_t length = fread(line, 1, sizeof line - 1, file);
        fclose(file);
        for (size_t i = 0; i < length; i++)
            if (!line[i]) line[i] = ' ';
        bool runs = process_state(atoll(entry->d_name), &of) != 'Z';
        if (runs && strstr(line, text)) found++;
    }
    closedir(directory);
    return found;
}

typedef struct {
    cohort_event_t *begun;
    char name[32];
    int by_runner;
} killed_t;

static int run_on_and_on(void *args) {
    killed_t *killed = args;
    const char *const argv[] = {TEST_ACTOR, "say", killed->name, "wait", NULL};
    cohort_command_t command = {.argv = argv, .timeout = 3000};
    cohort_runner_t *runner;
    cohort_outcome_t outcome;
    CHECK_STATUS(APR_SUCCESS, cohort_runner_create(&runner, &(cohort_runner_options_t){.limit = 3},
                                                   test_pool()));
    for (int i = 0; killed->by_runner && i < 1000; i++)
        CHECK_STATUS(APR_SUCCESS, cohort_runner_submit(NULL, runner, &command));
    set_event(killed->begun);
    while (!killed->by_runner)
        CHECK_STATUS(APR_SUCCESS, cohort_run(&outcome, &command, test_pool()));
    party_wait_for_death();
    return 0;
}

static void kill_at_some_point(int n, bool by_runner) {
    killed_t killed = {.begun = new_event(), .by_runner = by_runner};
    snprintf(killed.name, sizeof killed.name, "command-%d-%d", (int)getpid(), n);
    cohort_process_t *process = party_start(run_on_and_on, &killed, sizeof killed);
    await_event(killed.begun);
    apr_sleep(n * 1237 % 20000);
    party_kill(process);
    while (with_argument(killed.name)) apr_sleep(1000);
}

static void nothing_outlives_the_caller(void) {
    for (int i = 0; i < 15; i++) kill_at_some_point(i, false);
}

static void nothing_outlives_the_runner(void) {
    for (int i = 0; i < 15; i++) kill_at_some_point(i, true);
}

/* ---- stop_tree, and signals ----------------------------------------------------------------- */

static cohort_process_t *start_tree(const char *const *argv, cohort_program_t *program) {
    cohort_process_t *process;
    *program = (cohort_program_t){.argv = argv, .streams = {[1] = {.kind = COHORT_STREAM_PIPE}}};
    CHECK_STATUS(APR_SUCCESS, cohort_process_launch_program(&process, program, NULL, test_pool()));
    return process;
}

static apr_int64_t read_pid(cohort_program_t *program) {
    char line[32];
    CHECK_STATUS(APR_SUCCESS, apr_file_gets(line, sizeof line, program->streams[1].file));
    return atoll(line);
}

static void all_are_asked(void) {
    cohort_program_t program;
    apr_int64_t pids[3];
    skip_without_trees();
    cohort_process_t *process = start_tree(tree, &program);
    for (int i = 0; i < 3; i++) pids[i] = read_pid(&program);
    CHECK_STATUS(APR_SUCCESS, cohort_process_stop_tree(process, COHORT_FOREVER));
    for (int i = 0; i < 3; i++) await_gone(pids[i]);
    int code = cohort_process_exit_code(process);
    CHECK(code == -15 || code == 0); /* its children ended before it had been asked */
}

static void those_that_refuse_are_killed(void) {
    static const char *const stubborn[] = {"sh", "-c",
                                           "trap '' TERM; sh -c 'echo $$; exec " TEST_ACTOR
                                           " wait' & echo $$; " TEST_ACTOR " wait",
                                           NULL};
    cohort_program_t program;
    skip_without_trees();
    cohort_process_t *process = start_tree(stubborn, &program);
    apr_int64_t one = read_pid(&program), two = read_pid(&program);
    CHECK_STATUS(APR_SUCCESS, cohort_process_stop_tree(process, A_WHILE));
    await_gone(one);
    await_gone(two);
    int code = cohort_process_exit_code(process);
    CHECK(code == -9 || code == 128 + 9); /* its child was killed before it */
    CHECK_STATUS(COHORT_ENOWAIT, cohort_process_stop_tree(cohort_process_current(), 0));
}

static void any_signal(void) {
    static const char *const argv[] = {TEST_ACTOR, "wait", NULL};
    cohort_program_t program;
    cohort_process_t *process = start_tree(argv, &program);
    CHECK_STATUS(APR_SUCCESS, cohort_process_signal(process, 0));
    CHECK_INT(1, cohort_process_is_alive(process));
    CHECK_STATUS(APR_EINVAL, cohort_process_signal(process, 12345));
    CHECK_STATUS(APR_SUCCESS, cohort_process_signal(process, SIGUSR1));
    party_end(process, -SIGUSR1);
    CHECK_STATUS(APR_SUCCESS, cohort_process_signal(process, SIGUSR1)); /* it has ended */
}

/* ---- copies --------------------------------------------------------------------------------- */

static int wait_for_death(void *args) {
    (void)args;
    party_wait_for_death();
    return 0;
}

/* A copy of the process must not hold the input of a program that runs: the program would never see
 * the end of it. */
static void copies_hold_no_pipes(void) {
    static const char *const argv[] = {TEST_ACTOR, "say", "x", "flush", "cat", NULL};
    enum { SIZE = 1 << 18 };
    const cohort_process_options_t as_copy = {.lifetime = COHORT_LIFETIME_DAEMON,
                                              .method = COHORT_START_FORK};
    cohort_runner_t *runner;
    cohort_run_t *run;
    char *input = party_memory(SIZE);
    cohort_command_t command = {.argv = argv, .input = input, .input_size = SIZE};
    CHECK_STATUS(APR_SUCCESS, cohort_runner_create(&runner, NULL, test_pool()));
    for (int i = 0; i < 8; i++) {
        CHECK_STATUS(APR_SUCCESS, cohort_runner_submit(NULL, runner, &command));
        cohort_process_t *copy;
        CHECK_STATUS(APR_SUCCESS,
                     cohort_process_launch(&copy, wait_for_death, NULL, 0, &as_copy, NULL));
        CHECK_STATUS(APR_SUCCESS, cohort_runner_next(runner, &run, COHORT_FOREVER));
        CHECK_INT(COHORT_RUN_SUCCEEDED, cohort_run_outcome(run)->end);
        CHECK_INT(SIZE + 2, cohort_run_outcome(run)->output.size);
        party_kill(copy);
    }
    CHECK_STATUS(APR_SUCCESS, cohort_runner_destroy(runner));
}

const test_case_t commands_cases[] = {
    {"Commands", "deadline_ends_the_tree", deadline_ends_the_tree},
    {"Commands", "nothing_outlives_the_caller", nothing_outlives_the_caller},
    {"Commands", "nothing_outlives_the_runner", nothing_outlives_the_runner},
    {"Commands", "all_are_asked", all_are_asked},
    {"Commands", "those_that_refuse_are_killed", those_that_refuse_are_killed},
    {"Commands", "any_signal", any_signal},
    {"Commands", "copies_hold_no_pipes", copies_hold_no_pipes},
    {0},
};
