/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What a terminal does to each lifetime: Ctrl-C, Ctrl-Z and a hang-up, for functions by each start
 * method and for programs. A leader of a session with a pseudo-terminal plays the shell; the host
 * is its job in the foreground; the test is at the other end of the terminal.
 */
#include "terminal.h"

#include <cohort/pool.h>
#include <stdlib.h>

enum {
    FOREGROUND,
    DAEMON,
    BACKGROUND,
    APART,
    FOREGROUND_PROGRAM,
    DAEMON_PROGRAM,
    BACKGROUND_PROGRAM,
    WORKER,
    KINDS
};

/* In the arena. */
typedef struct {
    terminal_t terminal;
    cohort_event_t *ready, *shown, *go;
    _Atomic apr_int64_t pids[KINDS], groups[KINDS];
    _Atomic int there, interrupted;
    _Atomic apr_int64_t host;
    cohort_process_t *processes[KINDS];
} board_t;

typedef struct {
    board_t *board;
    int kind;
} place_t;

static board_t *board; /* of the host */

static int be_there(void *args) {
    const place_t *place = args;
    atomic_store(&place->board->groups[place->kind], getpgrp());
    atomic_store(&place->board->pids[place->kind], getpid());
    atomic_fetch_add(&place->board->there, 1);
    party_wait_for_death();
}

static cohort_process_t *start_kind(int kind, cohort_process_options_t options) {
    place_t place = {board, kind};
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_create(&process, be_there, &place, sizeof place, &options, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
    return process;
}

static cohort_process_t *start_program_kind(int kind, cohort_lifetime_t lifetime) {
    cohort_program_t program = {.argv = (const char *const[]){TEST_ACTOR, "wait", NULL}};
    cohort_process_options_t options = {.lifetime = lifetime};
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_process_create_program(&process, &program, &options, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
    atomic_store(&board->pids[kind], cohort_process_pid(process));
    atomic_store(&board->groups[kind], getpgid((pid_t)cohort_process_pid(process)));
    return process;
}

static apr_status_t work(const void *input, void *output) {
    (void)output;
    place_t place = *(const place_t *)input;
    (void)be_there(&place);
    return APR_SUCCESS;
}

static void start_worker(void) {
    place_t place = {board, WORKER};
    cohort_pool_t *pool;
    cohort_result_t *result;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_create(&pool, &(cohort_pool_options_t){.workers = 1}, NULL));
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_submit(&result, pool,
                                    &(cohort_job_t){.task = work, COHORT_INPUTS(&place, 1)}, NULL));
}

static void start_all(void) {
    board->processes[FOREGROUND] =
        start_kind(FOREGROUND, (cohort_process_options_t){.lifetime = COHORT_LIFETIME_FOREGROUND});
    board->processes[DAEMON] =
        start_kind(DAEMON, (cohort_process_options_t){.lifetime = COHORT_LIFETIME_DAEMON});
    board->processes[BACKGROUND] =
        start_kind(BACKGROUND, (cohort_process_options_t){.lifetime = COHORT_LIFETIME_BACKGROUND});
    board->processes[APART] =
        start_kind(APART, (cohort_process_options_t){.lifetime = COHORT_LIFETIME_DAEMON,
                                                     .group = COHORT_GROUP_OWN});
    board->processes[FOREGROUND_PROGRAM] =
        start_program_kind(FOREGROUND_PROGRAM, COHORT_LIFETIME_FOREGROUND);
    board->processes[DAEMON_PROGRAM] = start_program_kind(DAEMON_PROGRAM, COHORT_LIFETIME_DAEMON);
    board->processes[BACKGROUND_PROGRAM] =
        start_program_kind(BACKGROUND_PROGRAM, COHORT_LIFETIME_BACKGROUND);
    start_worker();
    party_await(&board->there, 5);
}

static void note_interrupt(int number) {
    (void)number;
    atomic_fetch_add(&board->interrupted, 1);
}

static int be_host(void *args) {
    board = *(board_t **)args;
    await_event(board->shown);
    CHECK_INT(getpgrp(), tcgetpgrp(0));
    atomic_store(&board->host, getpid());
    start_all();
    signal(SIGINT, note_interrupt); /* not before, lest forked children do the same */
    set_event(board->ready);
    await_event(board->go);
    for (int kind = 0; kind < WORKER; kind++)
        CHECK_STATUS(APR_SUCCESS, cohort_process_kill(board->processes[kind]));
    return 0;
}

static int be_leader(void *args) {
    board = *(board_t **)args;
    take_terminal(&board->terminal);
    lead_job(be_host, args, sizeof board, board->shown);
    return 0;
}

static board_t *new_board(void) {
    board_t *b = party_memory(sizeof *b);
    b->ready = new_event();
    b->shown = new_event();
    b->go = new_event();
    return b;
}

static cohort_process_t *start_leader(board_t *b, int *master) {
    *master = open_terminal(&b->terminal);
    cohort_process_t *leader = start_as(COHORT_LIFETIME_FOREGROUND, be_leader, &b, sizeof b);
    await_event(b->ready);
    return leader;
}

static const bool in_the_group[KINDS] = {[FOREGROUND] = true,
                                         [DAEMON] = true,
                                         [FOREGROUND_PROGRAM] = true,
                                         [DAEMON_PROGRAM] = true,
                                         [WORKER] = true};

static void the_owner_of_the_terminal_stays_in_its_group(void) {
    int master;
    board_t *b = new_board();
    cohort_process_t *leader = start_leader(b, &master);
    for (int kind = 0; kind < KINDS; kind++)
        CHECK_INT(in_the_group[kind] ? b->host : b->pids[kind], b->groups[kind]);
    set_event(b->go);
    party_finish(leader);
    for (int kind = 0; kind < KINDS; kind++) await_gone(b->pids[kind]);
    close(master);
}

/* Ends every process that is in the foreground and does not catch or ignore it, as workers do;
 * and nothing in the background. */
static void an_interrupt_reaches_the_foreground(void) {
    int master;
    board_t *b = new_board();
    cohort_process_t *leader = start_leader(b, &master);
    type(master, 3);
    for (int kind = 0; kind < WORKER; kind++) {
        if (in_the_group[kind]) party_end(b->processes[kind], -2);
    }
    party_await(&b->interrupted, 1);
    CHECK(process_runs(b->pids[WORKER]));
    CHECK_INT(1, cohort_process_is_alive(b->processes[BACKGROUND]));
    CHECK_INT(1, cohort_process_is_alive(b->processes[BACKGROUND_PROGRAM]));
    CHECK_INT(1, cohort_process_is_alive(b->processes[APART]));
    CHECK(process_runs(b->host));
    set_event(b->go);
    party_finish(leader);
    for (int kind = 0; kind < KINDS; kind++) await_gone(b->pids[kind]);
    close(master);
}

static void await_state(apr_int64_t pid, bool stopped) {
    int parent;
    while ((process_state(pid, &parent) == 'T') != stopped) apr_sleep(1000);
}

/* Stops the same, and workers, and they go on. */
static void a_stop_reaches_the_foreground(void) {
    int master, parent;
    if (access("/proc/self/stat", R_OK)) SKIP("needs /proc");
    board_t *b = new_board();
    cohort_process_t *leader = start_leader(b, &master);
    type(master, 26);
    for (int kind = 0; kind < KINDS; kind++) {
        if (in_the_group[kind]) await_state(b->pids[kind], true);
        else CHECK(process_state(b->pids[kind], &parent) != 'T');
    }
    await_state(b->host, true);
    CHECK_INT(0, kill(-(pid_t)b->host, SIGCONT));
    for (int kind = 0; kind < KINDS; kind++) await_state(b->pids[kind], false);
    set_event(b->go);
    party_finish(leader);
    for (int kind = 0; kind < KINDS; kind++) await_gone(b->pids[kind]);
    close(master);
}

/* The leader dies of it, and then its job in the foreground; what the job has started apart ends
 * with it, because it is a daemon. */
static void a_hang_up_ends_all_but_the_background(void) {
    int master;
    board_t *b = new_board();
    cohort_process_t *leader = start_leader(b, &master);
    close(master);
    party_end(leader, -1);
    await_gone(b->host);
    for (int kind = 0; kind < KINDS; kind++) {
        if (kind != BACKGROUND && kind != BACKGROUND_PROGRAM) await_gone(b->pids[kind]);
    }
    CHECK(process_runs(b->pids[BACKGROUND]));
    CHECK(process_runs(b->pids[BACKGROUND_PROGRAM]));
    CHECK_STATUS(APR_SUCCESS, cohort_process_kill(b->processes[BACKGROUND]));
    CHECK_STATUS(APR_SUCCESS, cohort_process_kill(b->processes[BACKGROUND_PROGRAM]));
    await_gone(b->pids[BACKGROUND]);
    await_gone(b->pids[BACKGROUND_PROGRAM]);
}

const test_case_t terminal_cases[] = {
    {"Terminal", "the_owner_of_the_terminal_stays_in_its_group",
     the_owner_of_the_terminal_stays_in_its_group},
    {"Terminal", "an_interrupt_reaches_the_foreground", an_interrupt_reaches_the_foreground},
    {"Terminal", "a_stop_reaches_the_foreground", a_stop_reaches_the_foreground},
    {"Terminal", "a_hang_up_ends_all_but_the_background", a_hang_up_ends_all_but_the_background},
    {0},
};
