/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What belongs to a daemon ends with it: the processes that it has started by means of its own (a
 * shell's background jobs, what system() started), when it has ended and when its parent has, in
 * whatever way, also when the daemon has become another program, has closed all its descriptors,
 * has lost its server or its keeper. tests/api/test_lifetime.c has what takes no POSIX;
 * test_terminal.c what a terminal does.
 */
#include "contain.h"

#include <errno.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif

/* ---- trees ---------------------------------------------------------------------------------- */

static void close_all(void) {
    for (int fd = 3; fd < 1024; fd++) close(fd);
}

static int end_in_some_way(board_t *board) {
    await_event(board->go);
    if (board->what == EXITS) exit(7);
    if (board->what == DIES) raise(SIGKILL);
    return 6;
}

static int be_daemon(void *args) {
    board_t *board = board_of(args);
    bool closes = board->what == CLOSES || board->what == CLOSES_AND_EXECS;
    if (board->session) CHECK_INT(getpid(), getsid(0));
    if (!board->alone) atomic_store(&board->child, start_child(false));
    if (!board->alone) atomic_store(&board->orphan, start_orphan());
    atomic_store(&board->daemon, getpid());
    set_event(board->ready);
    if (closes) close_all();
    if (board->what == EXECS || board->what == CLOSES_AND_EXECS)
        execl(TEST_ACTOR, TEST_ACTOR, "wait", (char *)NULL);
    if (board->what == WAITS || board->what == CLOSES) party_wait_for_death();
    return end_in_some_way(board);
}

static void await_tree_gone(board_t *board) {
    await_gone(board->daemon);
    if (board->alone) return;
    await_gone(board->child);
    await_gone(board->orphan);
}

static void check_tree_runs(board_t *board) {
    CHECK(process_runs(board->daemon));
    CHECK(process_runs(board->child));
    CHECK(process_runs(board->orphan));
}

/* ---- the end of the daemon ------------------------------------------------------------------ */

static void check_end(what_t what, int code) {
    board_t *board = new_board(what);
    cohort_process_t *daemon = start_as(COHORT_LIFETIME_DAEMON, be_daemon, &board, sizeof board);
    await_event(board->ready);
    check_tree_runs(board);
    set_event(board->go);
    party_end(daemon, code);
    await_tree_gone(board);
    free_board(board);
}

static void its_tree_ends_with_a_daemon(void) {
    check_end(RETURNS, 6);
    check_end(EXITS, 7);
    check_end(DIES, -9);
}

static void check_kill(what_t what, apr_status_t (*how)(cohort_process_t *), int code) {
    board_t *board = new_board(what);
    cohort_process_t *daemon = start_as(COHORT_LIFETIME_DAEMON, be_daemon, &board, sizeof board);
    await_event(board->ready);
    if (what == EXECS || what == CLOSES_AND_EXECS) await_exec(board->daemon);
    check_tree_runs(board);
    CHECK_STATUS(APR_SUCCESS, how(daemon));
    party_end(daemon, code);
    await_tree_gone(board);
    free_board(board);
}

static void its_tree_ends_with_a_killed_daemon(void) {
    check_kill(WAITS, cohort_process_kill, -9);
    check_kill(WAITS, cohort_process_terminate, -15);
    check_kill(EXECS, cohort_process_kill, -9);
    check_kill(CLOSES_AND_EXECS, cohort_process_terminate, -15);
}

/* The group of one that has been reaped is known by its descriptor. */
static int start_and_lose(void *args) {
    board_t *board = board_of(args);
    signal(SIGCHLD, SIG_IGN);
    cohort_process_t *daemon = start_as(COHORT_LIFETIME_DAEMON, be_daemon, args, sizeof board);
    await_event(board->ready);
    check_tree_runs(board);
    set_event(board->go);
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(daemon, COHORT_FOREVER));
    await_tree_gone(board);
    return 0;
}

static bool can_signal_groups(void) {
#if defined(__linux__) && defined(SYS_pidfd_open)
    int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    long result = syscall(SYS_pidfd_send_signal, fd, 0, NULL, 4u);
    close(fd);
    return result == 0 || errno == ESRCH; /* this process need lead no group */
#else
    return false;
#endif
}

static void its_tree_ends_though_the_host_reaps_the_daemon(void) {
#if defined(COHORT_NO_PIDFD)
    SKIP("needs process descriptors");
#endif
    if (!can_signal_groups()) SKIP("needs signals to groups by descriptor (Linux 6.9)");
    for (int i = 0; i < 5; i++) {
        board_t *board = new_board(DIES);
        party_finish(start_as(COHORT_LIFETIME_FOREGROUND, start_and_lose, &board, sizeof board));
        free_board(board);
    }
}

/* ---- the end of its parent ------------------------------------------------------------------ */

static cohort_process_t *start_daemon(board_t *board) {
    const cohort_settings_t apart = {.session = 1};
    cohort_process_options_t options = {.lifetime = board->lifetime,
                                        .settings = board->session ? &apart : NULL};
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_launch(&process, be_daemon, &board, sizeof board, &options, NULL));
    return process;
}

static int start_one(void *args) {
    board_t *board = board_of(args);
    (void)start_daemon(board);
    await_event(board->go);
    return 0;
}

static void await_daemon(board_t *board) {
    await_event(board->ready);
    if (board->what == EXECS || board->what == CLOSES_AND_EXECS) await_exec(board->daemon);
    while (board->what == CLOSES && count_descriptors(board->daemon) > 3) apr_sleep(1000);
}

static void check_parent_of(board_t *board, bool kill) {
    cohort_process_t *parent =
        start_as(COHORT_LIFETIME_FOREGROUND, start_one, &board, sizeof board);
    await_daemon(board);
    if (kill) await_keeper(cohort_process_pid(parent));
    if (kill) CHECK_STATUS(APR_SUCCESS, cohort_process_kill(parent));
    else set_event(board->go);
    party_end(parent, kill ? -9 : 0);
    await_tree_gone(board);
    free_board(board);
}

static void check_parent(what_t what, bool alone, bool kill) {
    board_t *board = new_board(what);
    board->alone = alone;
    check_parent_of(board, kill);
}

static board_t *new_session(what_t what) {
    board_t *board = new_board(what);
    board->session = 1;
    return board;
}

/* Its group is that of the session. */
static void a_daemon_with_a_session_ends_as_any_other(void) {
    static const what_t ways[] = {WAITS, EXECS, CLOSES_AND_EXECS};
    for (int i = 0; i < 6; i++) check_parent_of(new_session(ways[i % 3]), i < 3);
    board_t *board = new_session(DIES);
    cohort_process_t *daemon = start_daemon(board);
    await_event(board->ready);
    check_tree_runs(board);
    set_event(board->go);
    party_end(daemon, -9);
    await_tree_gone(board);
    free_board(board);
}

/* ... but not that of the daemon which it is a foreground process of. */
static void a_session_within_a_tree_ends_with_it(void) {
    skip_without_trees();
    board_t *board = new_session(WAITS);
    board->lifetime = COHORT_LIFETIME_FOREGROUND;
    cohort_process_options_t options = {.lifetime = COHORT_LIFETIME_DAEMON,
                                        .containment = COHORT_CONTAIN_TREE};
    cohort_process_t *daemon = NULL;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_launch(&daemon, start_one, &board, sizeof board, &options, NULL));
    await_event(board->ready);
    check_tree_runs(board);
    party_kill(daemon);
    await_tree_gone(board);
    free_board(board);
}

static void a_daemon_with_its_tree_ends_with_its_parent(void) {
    for (int kill = 0; kill < 2; kill++) {
        for (int what = WAITS; what <= CLOSES_AND_EXECS; what++) {
            if (what != RETURNS && what != EXITS && what != DIES)
                check_parent((what_t)what, false, kill);
        }
    }
}

static void a_daemon_that_has_lost_its_lifeline_ends_with_its_parent(void) {
    check_parent(EXECS, true, true);
    check_parent(CLOSES, true, true);
    check_parent(CLOSES_AND_EXECS, true, true);
}

static void await_descriptors_closed(apr_int64_t pid) {
    while (count_descriptors(pid) > 0) apr_sleep(1000);
}

static int start_program(void *args) {
    board_t *board = board_of(args);
    const char *tree[] = {
        "sh", "-c",
        TEST_ACTOR " wait & " TEST_ACTOR " wait & echo $!; exec " TEST_ACTOR " close wait", NULL};
    cohort_program_t program = {
        .argv = tree, .streams = {{.kind = COHORT_STREAM_NULL}, {.kind = COHORT_STREAM_PIPE}}};
    cohort_process_options_t options = {.lifetime = COHORT_LIFETIME_DAEMON};
    cohort_process_t *process = NULL;
    char text[32] = "";
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_create_program(&process, &program, &options, test_pool()));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
    CHECK_STATUS(APR_SUCCESS, apr_file_gets(text, sizeof text, program.streams[1].file));
    atomic_store(&board->child, atoll(text));
    atomic_store(&board->daemon, cohort_process_pid(process));
    await_exec(board->daemon);
    await_descriptors_closed(board->daemon);
    set_event(board->ready);
    await_event(board->go);
    if (board->what == RETURNS) return 0;
    CHECK_STATUS(APR_SUCCESS, cohort_process_kill(process));
    party_end(process, -9);
    await_gone(board->child);
    return 0;
}

static void check_program(what_t what) {
    board_t *board = new_board(what);
    cohort_process_t *parent =
        start_as(COHORT_LIFETIME_FOREGROUND, start_program, &board, sizeof board);
    await_event(board->ready);
    CHECK(process_runs(board->child));
    if (what == DIES) CHECK_STATUS(APR_SUCCESS, cohort_process_kill(parent));
    else set_event(board->go);
    party_end(parent, what == DIES ? -9 : 0);
    await_gone(board->daemon);
    await_gone(board->child);
    free_board(board);
}

/* The jobs of a shell run on when it has become a program that closes all descriptors, its
 * lifeline's too. */
static void a_program_with_its_tree_ends_with_its_parent(void) {
    check_program(RETURNS); /* the parent does */
    check_program(DIES);
}

static void its_tree_ends_with_a_program(void) { check_program(WAITS); }

/* What a daemon starts to join is no group of its own, and ends with the daemon's. */
static int start_foreground(void *args) {
    board_t *board = board_of(args);
    board->lifetime = COHORT_LIFETIME_FOREGROUND;
    return start_one(args);
}

static void what_a_daemon_would_join_ends_with_it(void) {
    for (int what = EXECS; what <= CLOSES_AND_EXECS; what++) {
        board_t *board = new_board((what_t)what);
        cohort_process_t *daemon =
            start_as(COHORT_LIFETIME_DAEMON, start_foreground, &board, sizeof board);
        await_daemon(board);
        party_kill(daemon);
        await_tree_gone(board);
        free_board(board);
    }
}

/* ---- servers and keepers -------------------------------------------------------------------- */

/* Another keeper than this one, which has been told of all daemons before it can be told of the one
 * that is started here, without a server that would hold it. */
static void await_keeper_told(apr_int64_t former) {
    cohort_process_options_t options = {.lifetime = COHORT_LIFETIME_DAEMON,
                                        .method = COHORT_START_FORK};
    cohort_process_t *last;
    (void)await_child_named(getpid(), "cohort-keeper", former);
    CHECK_STATUS(APR_SUCCESS, cohort_process_launch(&last, stay, NULL, 0, &options, NULL));
}

static int start_without_server(void *args) {
    board_t *board = board_of(args);
    (void)start_as(COHORT_LIFETIME_DAEMON, be_daemon, args, sizeof board);
    await_daemon(board);
    apr_int64_t server = child_named(getpid(), "cohort-server");
    CHECK(server > 0);
    CHECK_INT(0, kill((pid_t)server, SIGKILL));
    await_keeper_told(0); /* from now on that holds the daemon */
    set_event(board->go);
    party_wait_for_death();
}

static void a_daemon_without_server_ends_with_its_parent(void) {
    if (strcmp(test_method(), "forkserver")) SKIP("only this start method has a server");
    for (int what = EXECS; what <= CLOSES_AND_EXECS; what++) {
        board_t *board = new_board((what_t)what);
        cohort_process_t *parent =
            start_as(COHORT_LIFETIME_FOREGROUND, start_without_server, &board, sizeof board);
        await_event(board->go);
        party_kill(parent);
        await_tree_gone(board);
        free_board(board);
    }
}

static int start_without_keeper(void *args) {
    board_t *board = board_of(args);
    (void)start_as(COHORT_LIFETIME_DAEMON, be_daemon, args, sizeof board);
    await_daemon(board);
    apr_int64_t keeper = await_child_named(getpid(), "cohort-keeper", 0);
    CHECK_INT(keeper, getsid((pid_t)keeper));
    apr_sleep(1100000); /* one that ends sooner after its start is not replaced at once */
    CHECK_INT(0, kill((pid_t)keeper, SIGKILL));
    await_keeper_told(keeper);
    set_event(board->go);
    party_wait_for_death();
}

/* Also: of all its keepers a process has one at a time, however many daemons. */
static void a_killed_keeper_is_replaced(void) {
    if (!strcmp(test_method(), "forkserver"))
        SKIP("with this start method the server is the keeper");
    board_t *board = new_board(CLOSES_AND_EXECS);
    cohort_process_t *parent =
        start_as(COHORT_LIFETIME_FOREGROUND, start_without_keeper, &board, sizeof board);
    await_event(board->go);
    party_kill(parent);
    await_tree_gone(board);
    free_board(board);
}

/* What is run in its stead never joins the cohort: it is ended, and no zombie, when this process
 * has left. */
static void a_keeper_that_does_not_come(void) {
    cohort_process_options_t options = {.lifetime = COHORT_LIFETIME_DAEMON,
                                        .method = COHORT_START_FORK};
    cohort_process_t *daemon;
    CHECK_STATUS(APR_SUCCESS, cohort_set_start_method(COHORT_START_DEFAULT, "/usr/bin/yes"));
    CHECK_STATUS(APR_SUCCESS, cohort_process_launch(&daemon, stay, NULL, 0, &options, NULL));
    cohort_finalize();
    CHECK_INT(-1, waitpid(-1, NULL, WNOHANG));
    CHECK_INT(ECHILD, errno);
    CHECK_STATUS(APR_SUCCESS, cohort_initialize(NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_set_start_method(COHORT_START_DEFAULT, TEST_ITSELF));
}

static bool is_a(int fd, mode_t kind) {
    struct stat facts;
    return fstat(fd, &facts) == 0 && (facts.st_mode & S_IFMT) == kind;
}

/* All but the lifeline, a pipe: a system may hold the daemon's end of it for a moment after the
 * daemon has called exec, and ends the daemon if its parent closes the pipe meanwhile. Where the
 * keeper's channel is a pipe, too, all. */
static void close_channel(void) {
    bool sockets = false;
    for (int fd = 3; fd < 1024; fd++) sockets |= is_a(fd, S_IFSOCK);
    for (int fd = 3; fd < 1024; fd++) {
        if (!sockets || !is_a(fd, S_IFIFO)) close(fd);
    }
}

/* That the parent has closed its descriptors is not its end. */
static int start_and_close_all(void *args) {
    board_t *board = board_of(args);
    (void)start_as(COHORT_LIFETIME_DAEMON, be_daemon, args, sizeof board);
    await_daemon(board);
    await_keeper_told(0);
    close_channel();
    set_event(board->go);
    party_wait_for_death();
}

static void a_keeper_waits_for_the_end_itself(void) {
    if (!strcmp(test_method(), "forkserver"))
        SKIP("with this start method the server is the keeper");
    board_t *board = new_board(CLOSES_AND_EXECS);
    cohort_process_t *parent =
        start_as(COHORT_LIFETIME_FOREGROUND, start_and_close_all, &board, sizeof board);
    await_event(board->go);
    for (int i = 0; i < 50; i++) { /* long enough for one that takes this for the end */
        check_tree_runs(board);
        apr_sleep(2000);
    }
    party_kill(parent);
    await_tree_gone(board);
    free_board(board);
}

#define CASES(X)                                                \
    X(its_tree_ends_with_a_daemon)                              \
    X(its_tree_ends_with_a_killed_daemon)                       \
    X(its_tree_ends_though_the_host_reaps_the_daemon)           \
    X(a_daemon_with_its_tree_ends_with_its_parent)              \
    X(a_daemon_with_a_session_ends_as_any_other)                \
    X(a_session_within_a_tree_ends_with_it)                     \
    X(a_daemon_that_has_lost_its_lifeline_ends_with_its_parent) \
    X(a_program_with_its_tree_ends_with_its_parent)             \
    X(its_tree_ends_with_a_program)                             \
    X(what_a_daemon_would_join_ends_with_it)                    \
    X(a_daemon_without_server_ends_with_its_parent)             \
    X(a_killed_keeper_is_replaced)                              \
    X(a_keeper_that_does_not_come)                              \
    X(a_keeper_waits_for_the_end_itself)

CASES(RUN)

const test_case_t contain_cases[] = {CASES(ENTRY){0}};
