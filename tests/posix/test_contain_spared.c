/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What does not end with a daemon, the groups that processes are in, and a host that is process 1:
 * test_contain.c has what ends. */
#include "contain.h"

/* ---- what is spared ------------------------------------------------------------------------- */

typedef struct {
    cohort_event_t *ready, *go, *done;
    _Atomic apr_int64_t background, orphan, program;
} spared_t;

static int be_in_background(void *args) {
    spared_t *s = *(spared_t **)args;
    atomic_store(&s->orphan, start_orphan());
    atomic_store(&s->background, getpid());
    set_event(s->ready);
    await_event(s->go);
    CHECK(process_runs(s->orphan));
    CHECK(process_runs(s->program));
    CHECK_INT(0, kill((pid_t)s->orphan, SIGKILL));
    CHECK_INT(0, kill((pid_t)s->program, SIGKILL));
    set_event(s->done);
    return 0;
}

static int start_background(void *args) {
    spared_t *s = *(spared_t **)args;
    cohort_program_t program = {.argv = (const char *const[]){TEST_ACTOR, "wait", NULL}};
    cohort_process_options_t options = {.lifetime = COHORT_LIFETIME_BACKGROUND};
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_process_create_program(&process, &program, &options, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
    atomic_store(&s->program, cohort_process_pid(process));
    (void)start_as(COHORT_LIFETIME_BACKGROUND, be_in_background, args, sizeof s);
    party_wait_for_death();
}

static int start_middle(void *args) {
    (void)start_as(COHORT_LIFETIME_DAEMON, start_background, args, sizeof(spared_t *));
    party_wait_for_death();
}

static void check_spared(cohort_lifetime_t lifetime, cohort_target_t target) {
    spared_t *s = party_memory(sizeof *s);
    s->ready = new_event();
    s->go = new_event();
    s->done = new_event();
    cohort_process_t *top = start_as(lifetime, target, &s, sizeof s);
    await_event(s->ready);
    party_kill(top);
    set_event(s->go);
    await_event(s->done);
    await_gone(s->background);
    await_gone(s->orphan);
    await_gone(s->program);
}

static void background_processes_of_a_daemon_are_spared(void) {
    check_spared(COHORT_LIFETIME_DAEMON, start_background);
    check_spared(COHORT_LIFETIME_FOREGROUND, start_middle);
}

static int leave_an_orphan(void *args) {
    atomic_store(&board_of(args)->orphan, start_orphan());
    return 0;
}

/* As with any program: its jobs are its own. */
static void what_a_foreground_process_leaves_goes_on(void) {
    board_t *board = new_board(RETURNS);
    party_finish(start_as(COHORT_LIFETIME_FOREGROUND, leave_an_orphan, &board, sizeof board));
    CHECK(process_runs(board->orphan));
    CHECK_INT(0, kill((pid_t)board->orphan, SIGKILL));
    await_gone(board->orphan);
    free_board(board);
}

/* ---- nothing ends with it ------------------------------------------------------------------- */

static int be_free(void *args) {
    board_t *board = board_of(args);
    atomic_store(&board->child, start_child(false));
    atomic_store(&board->orphan, start_orphan());
    atomic_store(&board->daemon, getpid());
    set_event(board->ready);
    if (board->what == WAITS) party_wait_for_death();
    return 6;
}

static cohort_process_t *start_free(board_t *board, cohort_group_t group) {
    cohort_process_options_t options = {
        .lifetime = COHORT_LIFETIME_DAEMON, .group = group, .containment = COHORT_CONTAIN_NONE};
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_launch(&process, be_free, &board, sizeof board, &options, NULL));
    return process;
}

static void check_goes_on(board_t *board) {
    CHECK(process_runs(board->child));
    CHECK(process_runs(board->orphan));
    CHECK_INT(0, kill((pid_t)board->child, SIGKILL));
    CHECK_INT(0, kill((pid_t)board->orphan, SIGKILL));
    free_board(board);
}

static int start_free_and_wait(void *args) {
    (void)start_free(board_of(args), COHORT_GROUP_OWN);
    party_wait_for_death();
}

static void nothing_ends_with_a_process_of_that_kind(void) {
    board_t *board = new_board(RETURNS);
    party_end(start_free(board, COHORT_GROUP_DEFAULT), 6);
    check_goes_on(board);
    board = new_board(WAITS);
    cohort_process_t *process = start_free(board, COHORT_GROUP_OWN);
    await_event(board->ready);
    party_kill(process);
    check_goes_on(board);
    board = new_board(WAITS);
    process = start_as(COHORT_LIFETIME_FOREGROUND, start_free_and_wait, &board, sizeof board);
    await_event(board->ready);
    await_keeper(cohort_process_pid(process));
    party_kill(process);
    await_gone(board->daemon);
    for (int i = 0; i < 50; i++) apr_sleep(2000); /* what would end it has done so by then */
    check_goes_on(board);
}

static void a_foreground_process_may_contain_its_group(void) {
    board_t *board = new_board(RETURNS);
    cohort_process_options_t options = {.containment = COHORT_CONTAIN_GROUP};
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_launch(&process, be_free, &board, sizeof board, &options, NULL));
    party_end(process, 6);
    await_gone(board->child);
    await_gone(board->orphan);
    free_board(board);
}

/* ---- the background has none of its parent's streams ---------------------------------------- */

typedef struct {
    char fifo[256];
    cohort_event_t *ready, *go;
    _Atomic int nulls;
    _Atomic apr_int64_t function, program;
    char said[16]; /* by a program to a stream that it was given */
} streams_t;

static int is_null(int fd) {
    struct stat null, found;
    return stat("/dev/null", &null) == 0 && fstat(fd, &found) == 0 && S_ISCHR(found.st_mode) &&
           found.st_rdev == null.st_rdev;
}

static int look_at_streams(void *args) {
    streams_t *s = *(streams_t **)args;
    printf("this goes nowhere\n");
    atomic_store(&s->nulls, is_null(0) + is_null(1) + is_null(2));
    atomic_store(&s->function, getpid());
    set_event(s->ready);
    await_event(s->go);
    return 0;
}

static cohort_process_t *start_background_program(cohort_program_t *program) {
    cohort_process_options_t options = {.lifetime = COHORT_LIFETIME_BACKGROUND};
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_create_program(&process, program, &options, test_pool()));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
    return process;
}

static int write_into_fifo(void *args) {
    streams_t *s = *(streams_t **)args;
    int fd = open(s->fifo, O_WRONLY);
    CHECK(fd >= 0);
    CHECK_INT(1, dup2(fd, 1));
    CHECK_INT(2, dup2(fd, 2));
    close(fd);
    cohort_program_t waits = {.argv = (const char *const[]){TEST_ACTOR, "wait", NULL}};
    cohort_program_t says = {.argv = (const char *const[]){TEST_ACTOR, "say", "given", NULL},
                             .streams = {[1] = {.kind = COHORT_STREAM_PIPE}}};
    atomic_store(&s->program, cohort_process_pid(start_background_program(&waits)));
    cohort_process_t *saying = start_background_program(&says);
    CHECK_STATUS(APR_SUCCESS, apr_file_gets(s->said, sizeof s->said, says.streams[1].file));
    party_end(saying, 0);
    (void)start_as(COHORT_LIFETIME_BACKGROUND, look_at_streams, args, sizeof s);
    return 0;
}

static void the_background_keeps_no_output_open(void) {
    char text[64];
    ssize_t got;
    streams_t *s = party_memory(sizeof *s);
    s->ready = new_event();
    s->go = new_event();
    snprintf(s->fifo, sizeof s->fifo, "contain-%s-%d.fifo", test_method(), (int)getpid());
    CHECK_INT(0, mkfifo(s->fifo, 0600));
    cohort_process_t *host = start_as(COHORT_LIFETIME_FOREGROUND, write_into_fifo, &s, sizeof s);
    int reader = open(s->fifo, O_RDONLY | O_CLOEXEC);
    CHECK(reader >= 0);
    CHECK_INT(0, unlink(s->fifo));
    do got = read(reader, text, sizeof text);
    while (got > 0); /* to the end, although the background processes run */
    CHECK_INT(0, got);
    close(reader);
    party_finish(host);
    await_event(s->ready);
    CHECK_INT(3, s->nulls);
    CHECK_STR("given\n", s->said);
    CHECK(process_runs(s->function));
    CHECK(process_runs(s->program));
    CHECK_INT(0, kill((pid_t)s->program, SIGKILL));
    set_event(s->go);
    await_gone(s->function);
    await_gone(s->program);
}

/* ---- process 1 ------------------------------------------------------------------------------ */

/* A process with a dead server is this process' child. */
static void host_as_process_1(void) {
    cohort_process_t *child = start_as(COHORT_LIFETIME_FOREGROUND, stay, NULL, 0),
                     *daemon = start_as(COHORT_LIFETIME_DAEMON, stay, NULL, 0);
    apr_int64_t server = child_named(1, "cohort-server");
    CHECK((server > 0) == !strcmp(test_method(), "forkserver"));
    if (server) CHECK_INT(0, kill((pid_t)server, SIGKILL));
    if (server) await_gone(server);
    party_finish(start_as(COHORT_LIFETIME_FOREGROUND, nothing, NULL, 0));
    party_kill(child);
    party_kill(daemon);
    while (count_zombies(1) > 0) apr_sleep(1000);
}

static int run_program(const char *const *argv) {
    cohort_program_t program = {.argv = argv};
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_process_create_program(&process, &program, NULL, NULL));
    if (cohort_process_start(process)) return -1;
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(process, COHORT_FOREVER));
    return cohort_process_exit_code(process);
}

static void a_host_as_process_1_keeps_no_zombies(void) {
    if (getpid() == 1) {
        host_as_process_1();
        return;
    }
    if (run_program(
            (const char *const[]){"unshare", "--pid", "--fork", "--mount-proc", "true", NULL}))
        SKIP("needs root, unshare and namespaces of processes");
    CHECK_INT(0, run_program((const char *const[]){
                     "unshare", "--pid", "--fork", "--mount-proc", TEST_ITSELF,
                     "--gtest_filter=Contain.a_host_as_process_1_keeps_no_zombies", NULL}));
}

/* ---- groups --------------------------------------------------------------------------------- */

typedef struct {
    cohort_lifetime_t lifetime;
    cohort_group_t group;
    int own; /* what is right */
    _Atomic apr_int64_t *told;
} group_t;

static int tell_group(void *args) {
    const group_t *g = args;
    atomic_store(g->told, getpgrp());
    return 0;
}

static void check_group(group_t g, bool own) {
    cohort_process_options_t options = {.lifetime = g.lifetime, .group = g.group};
    cohort_process_t *process = NULL;
    g.told = party_memory(sizeof *g.told);
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_create(&process, tell_group, &g, sizeof g, &options, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
    apr_int64_t pid = cohort_process_pid(process);
    party_finish(process);
    CHECK_INT(own ? pid : getpgrp(), *g.told);
}

static apr_status_t tell_group_of_worker(const void *input, void *output) {
    (void)input;
    *(int *)output = getpgrp() == getpid();
    return APR_SUCCESS;
}

static void check_workers_group(cohort_group_t group, int own) {
    cohort_pool_t *pool = NULL;
    int told = -1;
    CHECK_STATUS(
        APR_SUCCESS,
        cohort_pool_create(&pool, &(cohort_pool_options_t){.workers = 1, .group = group}, NULL));
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_apply(pool, tell_group_of_worker, NULL, 0, &told, sizeof told));
    CHECK_INT(own, told);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
}

static void groups_are_as_asked_for(void) {
    const group_t daemon = {.lifetime = COHORT_LIFETIME_DAEMON},
                  foreground = {.lifetime = COHORT_LIFETIME_FOREGROUND};
    check_group(daemon, true);
    check_group(foreground, false);
    check_group((group_t){.lifetime = COHORT_LIFETIME_DAEMON, .group = COHORT_GROUP_PARENT}, false);
    check_group((group_t){.lifetime = COHORT_LIFETIME_FOREGROUND, .group = COHORT_GROUP_OWN}, true);
    check_group((group_t){.lifetime = COHORT_LIFETIME_BACKGROUND, .group = COHORT_GROUP_PARENT},
                true);
    check_workers_group(COHORT_GROUP_DEFAULT, 1);
    check_workers_group(COHORT_GROUP_PARENT, 0);
}

static int start_grandchild(void *args) {
    (void)args;
    check_group((group_t){.lifetime = COHORT_LIFETIME_FOREGROUND}, false);
    check_group((group_t){.lifetime = COHORT_LIFETIME_DAEMON}, true);
    return 0;
}

static void children_of_daemons_join_their_group(void) {
    party_finish(start_as(COHORT_LIFETIME_DAEMON, start_grandchild, NULL, 0));
}

/* Only one leader may have the number of a group, so a group that a process has taken over is not
 * signalled; nor is the parent's. */
static int fork_into_own_group(void *args) {
    board_t *board = board_of(args);
    apr_int64_t pid = start_child(true);
    while (getpgid((pid_t)pid) != (pid_t)pid) apr_sleep(1000);
    atomic_store(&board->child, pid);
    return 0;
}

static void what_has_left_the_group_goes_on(void) {
    board_t *board = new_board(RETURNS);
    party_finish(start_as(COHORT_LIFETIME_DAEMON, fork_into_own_group, &board, sizeof board));
    CHECK(process_runs(board->child));
    CHECK_INT(0, kill((pid_t)board->child, SIGKILL));
    await_gone(board->child);
    free_board(board);
}

#define CASES(X)                                   \
    X(background_processes_of_a_daemon_are_spared) \
    X(what_a_foreground_process_leaves_goes_on)    \
    X(the_background_keeps_no_output_open)         \
    X(nothing_ends_with_a_process_of_that_kind)    \
    X(a_foreground_process_may_contain_its_group)  \
    X(a_host_as_process_1_keeps_no_zombies)        \
    X(groups_are_as_asked_for)                     \
    X(children_of_daemons_join_their_group)        \
    X(what_has_left_the_group_goes_on)

CASES(RUN)

const test_case_t contain_spared_cases[] = {CASES(ENTRY){0}};
