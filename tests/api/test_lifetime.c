/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Which processes outlive which, and what is left of those that do not; tests/posix/test_lifetime.c
 * has what takes POSIX. */
#include "events.h"
#include "facts.h"

#include <apr_dso.h>
#include <apr_env.h>
#include <apr_file_info.h>
#include <apr_file_io.h>
#include <apr_strings.h>
#include <apr_thread_proc.h>
#include <stdio.h>
#include <stdlib.h>

/* What the processes of a case tell each other; in the arena. */
typedef struct {
    cohort_event_t *ready, *go, *done;
    _Atomic int count, written;
    _Atomic apr_int64_t pids[16];
    cohort_lifetime_t lifetime;
    int depth;
    char directory[1024];
} board_t;

static board_t *new_board(void) {
    board_t *board = party_memory(sizeof *board);
    board->ready = new_event();
    board->go = new_event();
    board->done = new_event();
    return board;
}

static board_t *board_of(void *args) { return *(board_t **)args; }

static cohort_process_t *start_as(cohort_lifetime_t lifetime, cohort_target_t target,
                                  board_t *board) {
    cohort_process_options_t options = {.lifetime = lifetime};
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_create(&process, target, &board, sizeof board, &options, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
    return process;
}

/* The watchdog sees to it that this ends. */
static void await_gone(apr_int64_t pid) {
    CHECK(pid > 0);
    while (system_runs(pid)) apr_sleep(1000);
}

/* Write a number on the board; the one that makes it `n` says that all are there. */
static void write_down(board_t *board, apr_int64_t number, int n) {
    atomic_store(&board->pids[atomic_fetch_add(&board->count, 1)], number);
    if (atomic_fetch_add(&board->written, 1) + 1 == n) set_event(board->ready);
}

static void sign_in(board_t *board, int n) {
    write_down(board, cohort_process_pid(cohort_process_current()), n);
}

/* ---- daemons -------------------------------------------------------------------------------- */

/* A chain of processes, each starting the next: a daemon first, then what the board says. */
static int descend(void *args) {
    board_t *board = board_of(args);
    int level = atomic_load(&board->count);
    sign_in(board, board->depth);
    if (level + 1 < board->depth)
        (void)start_as(level == 0 ? COHORT_LIFETIME_DAEMON : board->lifetime, descend, board);
    party_wait_for_death();
}

static void check_chain_dies(cohort_lifetime_t lifetime, apr_status_t (*how)(cohort_process_t *),
                             int code) {
    board_t *board = new_board();
    board->depth = 4;
    board->lifetime = lifetime;
    cohort_process_t *top = start_as(COHORT_LIFETIME_FOREGROUND, descend, board);
    await_event(board->ready);
    for (int i = 0; i < board->depth; i++) CHECK(system_runs(board->pids[i]));
    CHECK_STATUS(APR_SUCCESS, how(top));
    party_end(top, code);
    for (int i = 0; i < board->depth; i++) await_gone(board->pids[i]);
}

static void daemons_die_with_a_killed_parent(void) {
    check_chain_dies(COHORT_LIFETIME_DAEMON, cohort_process_kill, -9);
}

static void daemons_die_with_a_terminated_parent(void) {
    check_chain_dies(COHORT_LIFETIME_DEFAULT, cohort_process_terminate, -15);
}

static void what_daemons_join_dies_with_them(void) {
    check_chain_dies(COHORT_LIFETIME_FOREGROUND, cohort_process_kill, -9);
}

static int be_daemon(void *args) {
    CHECK_INT(1, cohort_process_is_daemon(cohort_process_current()));
    sign_in(board_of(args), 2);
    party_wait_for_death();
}

static int start_daemon_and_return(void *args) {
    (void)start_as(COHORT_LIFETIME_DAEMON, be_daemon, board_of(args));
    sign_in(board_of(args), 2);
    await_event(board_of(args)->ready);
    return 0;
}

static void check_daemon_ends(cohort_target_t target, int code) {
    board_t *board = new_board();
    party_end(start_as(COHORT_LIFETIME_FOREGROUND, target, board), code);
    await_gone(board->pids[0]);
    await_gone(board->pids[1]);
}

static void daemons_end_with_a_parent_that_returns(void) {
    check_daemon_ends(start_daemon_and_return, 0);
}

static int start_daemon_and_vanish(void *args) {
    (void)start_daemon_and_return(args);
    _Exit(5); /* no handler runs */
}

static void daemons_end_with_a_parent_that_vanishes(void) {
    check_daemon_ends(start_daemon_and_vanish, 5);
}

static int start_daemon_program(void *args) {
    board_t *board = board_of(args);
    cohort_process_options_t options = {.lifetime = COHORT_LIFETIME_DAEMON};
    cohort_program_t program = {.argv = (const char *const[]){TEST_ACTOR, "cat", NULL},
                                .streams = {{.kind = COHORT_STREAM_PIPE}}};
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_create_program(&process, &program, &options, test_pool()));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
    write_down(board, cohort_process_pid(process), 1);
    party_wait_for_death();
}

static void programs_may_be_daemons(void) {
    board_t *board = new_board();
    cohort_process_t *parent = start_as(COHORT_LIFETIME_FOREGROUND, start_daemon_program, board);
    await_event(board->ready);
    CHECK(system_runs(board->pids[0]));
    party_kill(parent);
    await_gone(board->pids[0]);
}

/* ---- what a daemon has started that is no process of the cohort ----------------------------- */

static apr_int64_t start_by_apr(const char *const *argv) {
    apr_proc_t process;
    apr_procattr_t *attributes;
    CHECK_STATUS(APR_SUCCESS, apr_procattr_create(&attributes, test_pool()));
    CHECK_STATUS(APR_SUCCESS, apr_procattr_cmdtype_set(attributes, APR_PROGRAM));
    CHECK_STATUS(APR_SUCCESS,
                 apr_proc_create(&process, argv[0], argv, NULL, attributes, test_pool()));
    return process.pid;
}

enum { WAITS, RETURNS, VANISHES, CRASHES };

static int daemon_with_programs(void *args) {
    board_t *board = board_of(args);
    sign_in(board, 3);
    for (int i = 0; i < 2; i++)
        write_down(board, start_by_apr((const char *const[]){TEST_ACTOR, "wait", NULL}), 3);
    if (board->depth == WAITS) party_wait_for_death();
    await_event(board->go);
    if (board->depth == RETURNS) return 4;
    if (board->depth == CRASHES)
        CHECK_STATUS(APR_SUCCESS, cohort_process_kill(cohort_process_current()));
    _Exit(5);
}

static board_t *new_tree(int way) {
    board_t *board = new_board();
    board->depth = way;
    return board;
}

static void check_tree_gone(board_t *board) {
    for (int i = 0; i < 3; i++) await_gone(board->pids[i]);
}

/* In its own group also where the tests have a terminal. */
static cohort_process_t *start_with_programs(board_t *board) {
    cohort_process_options_t options = {.lifetime = COHORT_LIFETIME_DAEMON,
                                        .group = COHORT_GROUP_OWN};
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_process_create(&process, daemon_with_programs, &board,
                                                    sizeof board, &options, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
    return process;
}

static void check_daemon_takes_its_tree(int way, apr_interval_time_t grace, int code) {
    board_t *board = new_tree(way);
    cohort_process_t *daemon = start_with_programs(board);
    await_event(board->ready);
    for (int i = 0; i < 3; i++) CHECK(system_runs(board->pids[i]));
    set_event(board->go);
    if (way == WAITS) CHECK_STATUS(APR_SUCCESS, cohort_process_stop(daemon, grace));
    party_end(daemon, code);
    check_tree_gone(board);
}

static void a_tree_ends_with_a_daemon_that_returns(void) {
    check_daemon_takes_its_tree(RETURNS, 0, 4);
}

static void a_tree_ends_with_a_daemon_that_vanishes(void) {
    check_daemon_takes_its_tree(VANISHES, 0, 5);
}

static void a_tree_ends_with_a_daemon_that_crashes(void) {
    check_daemon_takes_its_tree(CRASHES, 0, -9);
}

static void a_tree_ends_with_a_daemon_that_is_stopped(void) {
    check_daemon_takes_its_tree(WAITS, COHORT_FOREVER, -15);
}

static int start_tree(void *args) {
    (void)start_with_programs(board_of(args));
    await_event(board_of(args)->go);
    return 0;
}

static void check_parent_takes_all(bool kill) {
    board_t *board = new_tree(WAITS);
    cohort_process_t *parent = start_as(COHORT_LIFETIME_FOREGROUND, start_tree, board);
    await_event(board->ready);
    if (kill) party_kill(parent);
    else set_event(board->go);
    party_end(parent, kill ? -9 : 0);
    check_tree_gone(board);
}

static void a_tree_ends_with_a_killed_parent(void) { check_parent_takes_all(true); }

static void a_tree_ends_with_a_parent_that_returns(void) { check_parent_takes_all(false); }

/* A pool's workers are daemons. */
static apr_status_t start_in_a_task(const void *input, void *output) {
    board_t *board = *(board_t *const *)input;
    (void)output;
    (void)daemon_with_programs(&board);
    return APR_SUCCESS;
}

static void check_worker_takes_its_tree(int way, apr_status_t status) {
    board_t *board = new_tree(way);
    cohort_pool_t *pool;
    cohort_result_t *result;
    cohort_pool_options_t options = {.workers = 1, .group = COHORT_GROUP_OWN};
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&pool, &options, NULL));
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_submit(
                     &result, pool,
                     &(cohort_job_t){.task = start_in_a_task, COHORT_INPUTS(&board, 1)}, NULL));
    await_event(board->ready);
    set_event(board->go);
    CHECK_STATUS(status, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
    if (way == CRASHES) check_tree_gone(board);
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
    check_tree_gone(board);
}

static void a_tree_ends_with_a_pools_worker(void) {
    check_worker_takes_its_tree(RETURNS, APR_SUCCESS);
    check_worker_takes_its_tree(CRASHES, COHORT_EWORKERDIED);
}

/* ---- foreground and background -------------------------------------------------------------- */

static int wait_and_count(void *args) {
    board_t *board = board_of(args);
    set_event(board->ready);
    await_event(board->go);
    atomic_fetch_add(&board->count, 1);
    return 0;
}

static int start_foreground_and_return(void *args) {
    for (int i = 0; i < 3; i++)
        (void)start_as(COHORT_LIFETIME_FOREGROUND, wait_and_count, board_of(args));
    return 0;
}

static void foreground_is_joined_at_the_end(void) {
    board_t *board = new_board();
    cohort_process_t *parent =
        start_as(COHORT_LIFETIME_FOREGROUND, start_foreground_and_return, board);
    await_event(board->ready);
    CHECK_STATUS(APR_TIMEUP, cohort_process_join(parent, 50000));
    CHECK_INT(0, board->count);
    set_event(board->go);
    party_finish(parent);
    CHECK_INT(3, board->count);
}

static int finalize_and_return(void *args) {
    (void)start_foreground_and_return(args);
    cohort_finalize();
    return 3;
}

static void finalize_joins_too(void) {
    board_t *board = new_board();
    cohort_process_t *parent = start_as(COHORT_LIFETIME_FOREGROUND, finalize_and_return, board);
    await_event(board->ready);
    set_event(board->go);
    party_end(parent, 3);
    CHECK_INT(3, board->count);
}

static int be_in_background(void *args) {
    board_t *board = board_of(args);
    CHECK_INT(EOF, getchar()); /* no input, but nothing else there either */
    sign_in(board, 2);
    await_event(board->go);
    set_event(board->done);
    return 0;
}

static int start_background(void *args) {
    (void)start_as(COHORT_LIFETIME_BACKGROUND, be_in_background, board_of(args));
    sign_in(board_of(args), 2);
    return 0;
}

static int start_background_and_wait(void *args) {
    (void)start_background(args);
    party_wait_for_death();
}

static void check_background_goes_on(board_t *board) {
    set_event(board->go);
    await_event(board->done);
    await_gone(board->pids[0]);
    await_gone(board->pids[1]);
}

static void background_survives(void) {
    board_t *board = new_board();
    cohort_process_t *parent =
        start_as(COHORT_LIFETIME_FOREGROUND, start_background_and_wait, board);
    await_event(board->ready);
    party_kill(parent);
    check_background_goes_on(board);
}

static void background_is_not_joined(void) {
    board_t *board = new_board();
    party_finish(start_as(COHORT_LIFETIME_FOREGROUND, start_background, board));
    await_event(board->ready);
    check_background_goes_on(board);
}

static int start_daemon_with_background(void *args) {
    (void)start_as(COHORT_LIFETIME_DAEMON, start_background_and_wait, board_of(args));
    party_wait_for_death();
}

/* Even from within a daemon, which dies with its parent. */
static void background_survives_a_daemon(void) {
    board_t *board = new_board();
    cohort_process_t *parent =
        start_as(COHORT_LIFETIME_FOREGROUND, start_daemon_with_background, board);
    await_event(board->ready);
    party_kill(parent);
    check_background_goes_on(board);
}

/* ---- what children are given ---------------------------------------------------------------- */

static char *working_directory(void) {
    char *path = NULL;
    CHECK_STATUS(APR_SUCCESS, apr_filepath_get(&path, APR_FILEPATH_NATIVE, test_pool()));
    return path;
}

static int tell_context(void *args) {
    char *value = NULL;
    apr_status_t status = apr_env_get(&value, "COHORT_TEST_CONTEXT", test_pool());
    board_of(args)->depth = status == APR_SUCCESS && !strcmp(value, "yes");
    snprintf(board_of(args)->directory, sizeof board_of(args)->directory, "%s",
             working_directory());
    return 0;
}

static int change_context(void *args) {
    board_t *board = board_of(args);
    party_finish(start_as(COHORT_LIFETIME_FOREGROUND, tell_context, board));
    CHECK_INT(0, board->depth);
    CHECK_STR(working_directory(), board->directory);
    CHECK_STATUS(APR_SUCCESS, apr_filepath_set("/", test_pool()));
    CHECK_STATUS(APR_SUCCESS, apr_env_set("COHORT_TEST_CONTEXT", "yes", test_pool()));
    party_finish(start_as(COHORT_LIFETIME_FOREGROUND, tell_context, board));
    CHECK_INT(1, board->depth);
    CHECK_STR(working_directory(), board->directory);
    return 0;
}

static void children_take_over_directory_and_environment(void) {
    party_finish(start_as(COHORT_LIFETIME_FOREGROUND, change_context, new_board()));
}

static int run_itself(void *args) {
    cohort_program_t program = {
        .argv =
            (const char *const[]){TEST_ITSELF,
                                  "--gtest_filter=Lifetime.daemons_end_with_a_parent_that_returns",
                                  NULL},
        .streams = {[1] = {.kind = COHORT_STREAM_NULL}}};
    cohort_process_t *process = NULL;
    (void)args;
    CHECK_STATUS(APR_SUCCESS, cohort_process_create_program(&process, &program, NULL, test_pool()));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
    party_finish(process);
    return 0;
}

/* A child that runs the same executable by itself starts an ordinary program. */
static void children_may_run_themselves(void) {
    party_finish(start_as(COHORT_LIFETIME_FOREGROUND, run_itself, new_board()));
}

/* ---- what starts leave ---------------------------------------------------------------------- */

static int tell_handles_and_wait(void *args) {
    write_down(board_of(args), system_handles(), -1);
    set_event(board_of(args)->ready);
    await_event(board_of(args)->go);
    return 0;
}

/* Not even when its parent has many children already does a child begin with more than the first
 * one. */
static void children_inherit_nothing(void) {
    if (!strcmp(test_method(), "fork")) SKIP("a fork copies the parent's descriptors");
    if (system_handles() < 0) SKIP("the system does not tell descriptors");
    board_t *board = new_board();
    cohort_process_t *list[12];
    for (int i = 0; i < 12; i++) {
        list[i] = start_as(COHORT_LIFETIME_DAEMON, tell_handles_and_wait, board);
        await_event(board->ready);
        CHECK_STATUS(APR_SUCCESS, cohort_event_clear(board->ready));
    }
    CHECK(board->pids[11] < board->pids[0] + 6);
    set_event(board->go);
    parties_finish(list, 12);
}

static void start_many(int n) {
    for (int i = 0; i < n; i++) {
        cohort_process_t *process = start_as(COHORT_LIFETIME_DAEMON, seven, NULL);
        if (i % 2) CHECK_STATUS(APR_SUCCESS, cohort_process_kill(process));
        CHECK_STATUS(APR_SUCCESS, cohort_process_join(process, COHORT_FOREVER));
        CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(process));
    }
}

/* Each start that left something would show; a few the system may keep for later. The thread that
 * waited may go on before the watcher has put all away. */
static void handles_do_not_accumulate(void) {
    if (system_handles() < 0) SKIP("the system does not tell descriptors");
    start_many(10);
    int before = system_handles();
    start_many(40);
    while (system_handles() >= before + 20) apr_sleep(1000);
}

/* ---- two copies of the library -------------------------------------------------------------- */

static void a_second_copy_is_refused(void) {
    apr_dso_handle_t *second;
    apr_dso_handle_sym_t symbol = NULL;
    apr_status_t (*initialize)(const cohort_options_t *);
    const char *copy = apr_pstrcat(test_pool(), working_directory(), "/second_copy-", test_method(),
                                   ".module", NULL);
    CHECK_STATUS(APR_SUCCESS,
                 apr_file_copy(TEST_LIBRARY, copy, APR_FILE_SOURCE_PERMS, test_pool()));
    CHECK_STATUS(APR_SUCCESS, apr_dso_load(&second, copy, test_pool()));
    apr_status_t found = apr_dso_sym(&symbol, second, "cohort_initialize");
    memcpy(&initialize, &symbol, sizeof initialize);
    apr_status_t status =
        found || initialize == cohort_initialize ? APR_EGENERAL : initialize(NULL);
    CHECK_STATUS(APR_SUCCESS, apr_dso_unload(second));
    CHECK_STATUS(APR_SUCCESS, apr_file_remove(copy, test_pool()));
    CHECK_STATUS(APR_SUCCESS, found);
    CHECK_STATUS(COHORT_ETWICE, status);
    party_end(start_as(COHORT_LIFETIME_FOREGROUND, seven, NULL), 7);
}

const test_case_t lifetime_cases[] = {
    {"Lifetime", "daemons_die_with_a_killed_parent", daemons_die_with_a_killed_parent},
    {"Lifetime", "daemons_die_with_a_terminated_parent", daemons_die_with_a_terminated_parent},
    {"Lifetime", "what_daemons_join_dies_with_them", what_daemons_join_dies_with_them},
    {"Lifetime", "daemons_end_with_a_parent_that_returns", daemons_end_with_a_parent_that_returns},
    {"Lifetime", "daemons_end_with_a_parent_that_vanishes",
     daemons_end_with_a_parent_that_vanishes},
    {"Lifetime", "programs_may_be_daemons", programs_may_be_daemons},
    {"Lifetime", "a_tree_ends_with_a_daemon_that_returns", a_tree_ends_with_a_daemon_that_returns},
    {"Lifetime", "a_tree_ends_with_a_daemon_that_vanishes",
     a_tree_ends_with_a_daemon_that_vanishes},
    {"Lifetime", "a_tree_ends_with_a_daemon_that_crashes", a_tree_ends_with_a_daemon_that_crashes},
    {"Lifetime", "a_tree_ends_with_a_daemon_that_is_stopped",
     a_tree_ends_with_a_daemon_that_is_stopped},
    {"Lifetime", "a_tree_ends_with_a_killed_parent", a_tree_ends_with_a_killed_parent},
    {"Lifetime", "a_tree_ends_with_a_parent_that_returns", a_tree_ends_with_a_parent_that_returns},
    {"Lifetime", "a_tree_ends_with_a_pools_worker", a_tree_ends_with_a_pools_worker},
    {"Lifetime", "foreground_is_joined_at_the_end", foreground_is_joined_at_the_end},
    {"Lifetime", "finalize_joins_too", finalize_joins_too},
    {"Lifetime", "background_survives", background_survives},
    {"Lifetime", "background_is_not_joined", background_is_not_joined},
    {"Lifetime", "background_survives_a_daemon", background_survives_a_daemon},
    {"Lifetime", "children_take_over_directory_and_environment",
     children_take_over_directory_and_environment},
    {"Lifetime", "children_may_run_themselves", children_may_run_themselves},
    {"Lifetime", "children_inherit_nothing", children_inherit_nothing},
    {"Lifetime", "handles_do_not_accumulate", handles_do_not_accumulate},
    {"Lifetime", "a_second_copy_is_refused", a_second_copy_is_refused},
    {0},
};
