/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What ends with a process, of what it has started itself, as the option says, and what
 * cohort_process_kill_tree() and _stop_tree() end; tests/posix/test_contain_tree.c has what takes
 * POSIX. */
#include "events.h"
#include "facts.h"

#include <apr_thread_proc.h>
#include <stdlib.h>

/* What the processes of a case tell each other; in the arena. */
typedef struct {
    cohort_event_t *ready, *go, *there;
    _Atomic apr_int64_t self, programs[2], background;
    bool waits;
} board_t;

static board_t *new_board(bool waits) {
    board_t *board = party_memory(sizeof *board);
    board->ready = new_event();
    board->go = new_event();
    board->there = new_event();
    board->waits = waits;
    return board;
}

static board_t *board_of(void *args) { return *(board_t **)args; }

static void free_board(board_t *board) {
    CHECK_STATUS(APR_SUCCESS, cohort_event_destroy(board->ready));
    CHECK_STATUS(APR_SUCCESS, cohort_event_destroy(board->go));
    CHECK_STATUS(APR_SUCCESS, cohort_event_destroy(board->there));
    CHECK_STATUS(APR_SUCCESS, cohort_free(board));
}

static void await_gone(apr_int64_t pid) {
    CHECK(pid > 0);
    while (system_runs(pid)) apr_sleep(1000);
}

static apr_int64_t start_by_apr(void) {
    static const char *const argv[] = {TEST_ACTOR, "wait", NULL};
    apr_proc_t process;
    apr_procattr_t *attributes;
    CHECK_STATUS(APR_SUCCESS, apr_procattr_create(&attributes, test_pool()));
    CHECK_STATUS(APR_SUCCESS, apr_procattr_cmdtype_set(attributes, APR_PROGRAM_ENV));
    CHECK_STATUS(APR_SUCCESS,
                 apr_proc_create(&process, argv[0], argv, NULL, attributes, test_pool()));
    return process.pid;
}

static int start_programs(void *args) {
    board_t *board = board_of(args);
    atomic_store(&board->self, cohort_process_pid(cohort_process_current()));
    for (int i = 0; i < 2; i++) atomic_store(&board->programs[i], start_by_apr());
    set_event(board->ready);
    if (board->waits) party_wait_for_death();
    await_event(board->go);
    return 4;
}

static bool is_unknown(apr_status_t status) {
    if (!APR_STATUS_IS_ENOTIMPL(status)) return false;
    CHECK(strstr(cohort_last_error(), "what a process has started") != NULL);
    return true;
}

static cohort_process_t *launch(cohort_target_t target, board_t *board, cohort_lifetime_t lifetime,
                                cohort_containment_t containment) {
    cohort_process_options_t options = {.lifetime = lifetime, .containment = containment};
    cohort_process_t *process = NULL;
    apr_status_t status =
        cohort_process_launch(&process, target, &board, sizeof board, &options, NULL);
    if (containment == COHORT_CONTAIN_TREE && is_unknown(status))
        SKIP("this system does not tell what a process has started");
    CHECK_STATUS(APR_SUCCESS, status);
    await_event(board->ready);
    for (int i = 0; i < 2; i++) CHECK(system_runs(board->programs[i]));
    return process;
}

static void await_programs_gone(board_t *board) {
    for (int i = 0; i < 2; i++) await_gone(board->programs[i]);
}

static void check_programs_go_on(board_t *board) {
    for (int i = 0; i < 2; i++) CHECK(system_runs(board->programs[i]));
    for (int i = 0; i < 2; i++) CHECK(system_kill(board->programs[i]));
    await_programs_gone(board);
}

static void check_tree(cohort_lifetime_t lifetime, bool waits) {
    board_t *board = new_board(waits);
    cohort_process_t *process = launch(start_programs, board, lifetime, COHORT_CONTAIN_TREE);
    if (waits) CHECK_STATUS(APR_SUCCESS, cohort_process_kill(process));
    else set_event(board->go);
    party_end(process, waits ? -9 : 4);
    await_programs_gone(board);
    free_board(board);
}

static void a_tree_ends_with_its_process(void) {
    check_tree(COHORT_LIFETIME_DAEMON, true);
    check_tree(COHORT_LIFETIME_FOREGROUND, false);
    check_tree(COHORT_LIFETIME_FOREGROUND, true);
    check_tree(COHORT_LIFETIME_BACKGROUND, false);
}

/* When it ends by itself. */
static void nothing_ends_where_that_is_asked_for(void) {
    board_t *board = new_board(false);
    cohort_process_t *process =
        launch(start_programs, board, COHORT_LIFETIME_DAEMON, COHORT_CONTAIN_NONE);
    set_event(board->go);
    party_end(process, 4);
    check_programs_go_on(board);
    free_board(board);
}

static int start_free(void *args) {
    (void)launch(start_programs, board_of(args), COHORT_LIFETIME_DAEMON, COHORT_CONTAIN_NONE);
    set_event(board_of(args)->there);
    party_wait_for_death();
}

/* And when its parent's end ends it. */
static void nothing_else_ends_with_the_parent(void) {
    board_t *board = new_board(true);
    cohort_process_t *parent =
        launch(start_free, board, COHORT_LIFETIME_FOREGROUND, COHORT_CONTAIN_DEFAULT);
    await_event(board->there);
    party_kill(parent);
    await_gone(board->self);
    check_programs_go_on(board);
    free_board(board);
}

static int stay_in_background(void *args) {
    board_t *board = board_of(args);
    atomic_store(&board->background, cohort_process_pid(cohort_process_current()));
    set_event(board->there);
    await_event(board->go);
    return 0;
}

static int start_background_and_programs(void *args) {
    board_t *board = board_of(args);
    cohort_process_options_t options = {.lifetime = COHORT_LIFETIME_BACKGROUND};
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_process_launch(&process, stay_in_background, args,
                                                    sizeof board, &options, NULL));
    await_event(board->there);
    return start_programs(args);
}

static void check_kill_tree(cohort_lifetime_t lifetime) {
    board_t *board = new_board(true);
    cohort_process_t *process =
        launch(start_background_and_programs, board, lifetime, COHORT_CONTAIN_DEFAULT);
    apr_status_t status = cohort_process_kill_tree(process);
    bool unknown = is_unknown(status);
    if (!unknown) CHECK_STATUS(APR_SUCCESS, status);
    if (unknown) CHECK(cohort_process_is_alive(process));
    if (unknown) party_kill(process);
    party_end(process, -9);
    if (!unknown) await_programs_gone(board);
    else if (lifetime == COHORT_LIFETIME_FOREGROUND) check_programs_go_on(board);
    CHECK(system_runs(board->background));
    set_event(board->go);
    await_gone(board->background);
}

static void a_tree_is_killed(void) {
    check_kill_tree(COHORT_LIFETIME_FOREGROUND);
    check_kill_tree(COHORT_LIFETIME_DAEMON);
}

/* All of them are asked, and obey. */
static void check_stop_tree(cohort_lifetime_t lifetime) {
    board_t *board = new_board(true);
    cohort_process_t *process = launch(start_programs, board, lifetime, COHORT_CONTAIN_DEFAULT);
    apr_status_t status = cohort_process_stop_tree(process, COHORT_FOREVER);
    bool unknown = is_unknown(status);
    if (!unknown) CHECK_STATUS(APR_SUCCESS, status);
    if (unknown) CHECK(cohort_process_is_alive(process));
    if (unknown) party_kill(process);
    party_end(process, unknown ? -9 : -15);
    if (!unknown) await_programs_gone(board);
    else if (lifetime == COHORT_LIFETIME_FOREGROUND) check_programs_go_on(board);
    free_board(board);
}

static void a_tree_is_stopped(void) {
    check_stop_tree(COHORT_LIFETIME_FOREGROUND);
    check_stop_tree(COHORT_LIFETIME_DAEMON);
    CHECK_STATUS(COHORT_ENOWAIT, cohort_process_stop_tree(cohort_process_current(), 0));
}

static void options_that_mean_nothing_are_refused(void) {
    cohort_process_t *process = NULL;
    cohort_pool_t *pool = NULL;
    cohort_process_options_t options = {.containment = (cohort_containment_t)4};
    cohort_pool_options_t of_pool = {.workers = 1, .containment = (cohort_containment_t)7};
    CHECK_STATUS(APR_EINVAL, cohort_process_create(&process, nothing, NULL, 0, &options, NULL));
    CHECK(strstr(cohort_last_error(), "containment is 4") != NULL);
    CHECK_STATUS(APR_EINVAL, cohort_pool_create(&pool, &of_pool, NULL));
    CHECK(strstr(cohort_last_error(), "containment is 7") != NULL);
    of_pool.containment = COHORT_CONTAIN_GROUP;
    of_pool.group = COHORT_GROUP_PARENT;
    CHECK_STATUS(APR_EINVAL, cohort_pool_create(&pool, &of_pool, NULL));
    CHECK(strstr(cohort_last_error(), "containment in a group that is the parent's") != NULL);
}

const test_case_t tree_cases[] = {
    {"Tree", "a_tree_ends_with_its_process", a_tree_ends_with_its_process},
    {"Tree", "nothing_ends_where_that_is_asked_for", nothing_ends_where_that_is_asked_for},
    {"Tree", "nothing_else_ends_with_the_parent", nothing_else_ends_with_the_parent},
    {"Tree", "a_tree_is_killed", a_tree_is_killed},
    {"Tree", "a_tree_is_stopped", a_tree_is_stopped},
    {"Tree", "options_that_mean_nothing_are_refused", options_that_mean_nothing_are_refused},
    {0}};
