/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Ctrl-C while a host at a terminal runs commands, by cohort_run() and by a runner: programs and
 * functions end by it, those with a group of their own do not, and the host goes on. */
#include "terminal.h"

/* In the arena. */
typedef struct {
    terminal_t terminal;
    cohort_event_t *shown, *ready;
    _Atomic int begun, interrupted;
} board_t;

enum { COMMANDS = 4 };

static board_t *board; /* of the host */

static void note_interrupt(int number) {
    (void)number;
    atomic_fetch_add(&board->interrupted, 1);
}

/* Each of them says that it has begun by a line. That the host catches interrupts is after the last
 * start, lest forked children do the same. */
static int begin(void *user, int stream, const char *line, apr_size_t length) {
    (void)user, (void)stream, (void)line, (void)length;
    if (atomic_fetch_add(&board->begun, 1) + 1 < COMMANDS) return 0;
    signal(SIGINT, note_interrupt);
    set_event(board->ready);
    return 0;
}

static int say_and_wait(void *args) {
    (void)args;
    CHECK_INT(6, write(1, "begun\n", 6));
    party_wait_for_death();
}

static const char *const argv[] = {TEST_ACTOR, "say", "begun", "flush", "wait", NULL};

static cohort_runner_t *submit_all(cohort_run_t **runs, const cohort_process_options_t *apart) {
    const cohort_command_t commands[] = {{.argv = argv, .line = begin},
                                         {.target = say_and_wait, .line = begin},
                                         {.argv = argv, .line = begin, .process = apart}};
    cohort_runner_options_t options = {.limit = COMMANDS};
    cohort_runner_t *runner = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_runner_create(&runner, &options, NULL));
    for (int i = 0; i < 3; i++)
        CHECK_STATUS(APR_SUCCESS, cohort_runner_submit(&runs[i], runner, &commands[i]));
    return runner;
}

static void check_interrupted(const cohort_outcome_t *outcome) {
    CHECK(outcome != NULL);
    CHECK_INT(COHORT_RUN_FAILED, outcome->end);
    CHECK_INT(-SIGINT, outcome->exit_code);
}

static int run_all(void *args) {
    const cohort_process_options_t apart = {.group = COHORT_GROUP_OWN};
    cohort_run_t *runs[3];
    cohort_outcome_t outcome;
    board = *(board_t **)args;
    await_event(board->shown);
    cohort_runner_t *runner = submit_all(runs, &apart);
    while (atomic_load(&board->begun) < COMMANDS - 1) apr_sleep(1000);
    CHECK_STATUS(APR_SUCCESS, cohort_run(&outcome, &(cohort_command_t){.argv = argv, .line = begin},
                                         test_pool()));
    check_interrupted(&outcome);
    for (int i = 0; i < 2; i++) {
        CHECK_STATUS(APR_SUCCESS, cohort_run_wait(runs[i], COHORT_FOREVER));
        check_interrupted(cohort_run_outcome(runs[i]));
    }
    party_await(&board->interrupted, 1);
    CHECK_STATUS(APR_EAGAIN, cohort_run_wait(runs[2], 0));
    CHECK_STATUS(APR_SUCCESS, cohort_runner_destroy(runner));
    return 0;
}

static int be_leader(void *args) {
    board_t *b = *(board_t **)args;
    take_terminal(&b->terminal);
    lead_job(run_all, args, sizeof b, b->shown);
    return 0;
}

static void an_interrupt_ends_commands(void) {
    board_t *b = party_memory(sizeof *b);
    b->shown = new_event();
    b->ready = new_event();
    int master = open_terminal(&b->terminal);
    cohort_process_t *leader = start_as(COHORT_LIFETIME_FOREGROUND, be_leader, &b, sizeof b);
    await_event(b->ready);
    type(master, 3);
    party_finish(leader);
    close(master);
}

const test_case_t terminal_runs_cases[] = {
    {"Terminal", "an_interrupt_ends_commands", an_interrupt_ends_commands}, {0}};
