/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Which processes outlive which, and what is left of those that do not, where it takes POSIX:
 * tests/api/test_lifetime.c has the rest. */
#include "system.h"

#include <apr_signal.h>

/* What the processes of a case tell each other; in the arena. */
typedef struct {
    cohort_event_t *ready, *go, *done;
    _Atomic int count, written;
    _Atomic apr_int64_t pids[16];
    _Atomic apr_int64_t parents[16];
    cohort_lifetime_t lifetime;
    _Atomic int depth;
} board_t;

static board_t *new_board(void) {
    board_t *board = party_memory(sizeof *board);
    board->ready = new_event();
    board->go = new_event();
    board->done = new_event();
    return board;
}

/* Write oneself on the board; the one that makes it `n` says that all are there. */
static void sign_in(board_t *board, int n) {
    int i = atomic_fetch_add(&board->count, 1);
    atomic_store(&board->pids[i], getpid());
    atomic_store(&board->parents[i], getppid());
    if (atomic_fetch_add(&board->written, 1) + 1 == n) set_event(board->ready);
}

static board_t *board_of(void *args) { return *(board_t **)args; }

/* ---- daemons -------------------------------------------------------------------------------- */

static int be_daemon(void *args) {
    CHECK_INT(1, cohort_process_is_daemon(cohort_process_current()));
    sign_in(board_of(args), 2);
    party_wait_for_death();
}

static int start_daemon_and_return(void *args) {
    (void)start_as(COHORT_LIFETIME_DAEMON, be_daemon, args, sizeof(void *));
    sign_in(board_of(args), 2);
    await_event(board_of(args)->ready);
    return 0;
}

static int start_daemon_and_exec(void *args) {
    (void)start_daemon_and_return(args);
    execl("/bin/sh", "sh", "-c", "exit 6", (char *)NULL);
    return 99;
}

static void daemons_end_with_a_parent_that_becomes_another_program(void) {
    board_t *board = new_board();
    party_end(start_as(COHORT_LIFETIME_FOREGROUND, start_daemon_and_exec, &board, sizeof board), 6);
    await_gone(board->pids[0]);
    await_gone(board->pids[1]);
}

static int close_everything_and_wait(void *args) {
    board_t *board = board_of(args);
    for (int fd = 3; fd < 1024; fd++) close(fd);
    /* memory needs no descriptor */
    CHECK_STATUS(APR_SUCCESS, cohort_alloc(&(void *){NULL}, 10 << 20));
    sign_in(board, 1);
    party_wait_for_death();
}

static int start_closer(void *args) {
    (void)start_as(COHORT_LIFETIME_DAEMON, close_everything_and_wait, args, sizeof(void *));
    party_wait_for_death();
}

static void a_daemon_that_closes_everything_dies_too(void) {
    board_t *board = new_board();
    cohort_process_t *parent =
        start_as(COHORT_LIFETIME_FOREGROUND, start_closer, &board, sizeof board);
    await_event(board->ready);
    party_kill(parent);
    await_gone(board->pids[0]);
}

/* ---- foreground and background -------------------------------------------------------------- */

static int be_in_background(void *args) {
    board_t *board = board_of(args);
    char byte;
    CHECK_INT(getpid(), getsid(0));
    CHECK(open("/dev/tty", O_RDWR) < 0);
    CHECK_INT(0, read(0, &byte, 1)); /* no input, but nothing else there either */
    sign_in(board, 2);
    await_event(board->go);
    set_event(board->done);
    return 0;
}

static int start_background(void *args) {
    (void)start_as(COHORT_LIFETIME_BACKGROUND, be_in_background, args, sizeof(void *));
    sign_in(board_of(args), 2);
    party_wait_for_death();
}

static void background_has_a_session_of_its_own(void) {
    board_t *board = new_board();
    cohort_process_t *parent =
        start_as(COHORT_LIFETIME_FOREGROUND, start_background, &board, sizeof board);
    await_event(board->ready);
    party_kill(parent);
    set_event(board->go);
    await_event(board->done);
    await_gone(board->pids[0]);
    await_gone(board->pids[1]);
}

/* ---- the fork server ------------------------------------------------------------------------ */

static void need_server(void) {
    if (strcmp(test_method(), "forkserver")) SKIP("only this start method has a server");
}

static int tell_parent_and_wait(void *args) {
    board_t *board = board_of(args);
    sign_in(board, 1);
    await_event(board->go);
    return 0;
}

static int tell_parent(void *args) {
    sign_in(board_of(args), -1);
    return 0;
}

static void check_server_hit(int signal, bool dies) {
    board_t *board = new_board();
    cohort_process_t *child =
        start_as(COHORT_LIFETIME_DAEMON, tell_parent_and_wait, &board, sizeof board);
    await_event(board->ready);
    pid_t server = (pid_t)board->parents[0];
    CHECK(server != getpid());
    CHECK_INT(0, kill(server, signal));
    if (dies) await_gone(server);
    CHECK_INT(1, cohort_process_is_alive(child));
    cohort_process_t *next = start_as(COHORT_LIFETIME_DAEMON, tell_parent, &board, sizeof board);
    party_end(next, 0);
    if (dies) CHECK(board->parents[1] != server);
    set_event(board->go);
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(child, COHORT_FOREVER));
    CHECK_INT(0, cohort_process_exit_code(child));
}

static void PROC_24_forkserver_sigint(void) {
    need_server();
    check_server_hit(SIGINT, false);
}

static void PROC_24_forkserver_sigkill(void) {
    need_server();
    check_server_hit(SIGKILL, true);
}

static void child_killed_after_its_server(void) {
    need_server();
    board_t *board = new_board();
    cohort_process_t *child =
        start_as(COHORT_LIFETIME_DAEMON, tell_parent_and_wait, &board, sizeof board);
    await_event(board->ready);
    kill((pid_t)board->parents[0], SIGKILL);
    await_gone(board->parents[0]);
    CHECK_STATUS(APR_SUCCESS, cohort_process_kill(child));
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(child, COHORT_FOREVER));
    int code = cohort_process_exit_code(child);
    CHECK(code == COHORT_EXIT_UNKNOWN || code == -9); /* no process could see it: never a guess */
}

static void *APR_THREAD_FUNC kill_servers(apr_thread_t *thread, void *data) {
    board_t *board = data;
    (void)thread;
    for (int at = 0; !atomic_load(&board->depth);) {
        if (at >= atomic_load(&board->count)) {
            apr_sleep(200);
            continue;
        }
        apr_int64_t server = atomic_load(&board->parents[at % 16]);
        if (server > 1 && server != getpid()) kill((pid_t)server, SIGKILL);
        at = atomic_load(&board->count);
    }
    return NULL;
}

static int sign_in_around(void *args) {
    board_t *board = board_of(args);
    int parent = getppid(), own = 0;
    /* Only of the server that is the test's child, so that no other is hit. */
    if (process_state(parent, &own) && own == (int)board->pids[15]) {
        int i = atomic_load(&board->count);
        atomic_store(&board->parents[i % 16], parent);
        atomic_store(&board->count, i + 1);
    }
    return 7;
}

/* Whatever instant the server dies at, a start succeeds in the end, and its child's code is right
 * or unknown. */
static void servers_are_killed_all_the_time(void) {
    need_server();
    board_t *board = new_board();
    atomic_store(&board->pids[15], getpid());
    apr_thread_t *killer = party_thread(kill_servers, board);
    for (int i = 0; i < 60; i++) {
        cohort_process_t *process = NULL;
        cohort_process_options_t options = {.lifetime = COHORT_LIFETIME_DAEMON};
        CHECK_STATUS(APR_SUCCESS, cohort_process_create(&process, sign_in_around, &board,
                                                        sizeof board, &options, NULL));
        apr_status_t status = cohort_process_start(process);
        if (status != COHORT_ESTART) {
            CHECK_STATUS(APR_SUCCESS, status);
            CHECK_STATUS(APR_SUCCESS, cohort_process_join(process, COHORT_FOREVER));
            CHECK_INT(7, cohort_process_exit_code(process));
        }
        CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(process));
    }
    board->depth = 1;
    party_thread_finish(killer);
}

static int start_and_tell(void *args) {
    board_t *board = board_of(args);
    (void)start_as(COHORT_LIFETIME_DAEMON, tell_parent_and_wait, args, sizeof board);
    party_wait_for_death();
}

static void parent_and_server_die_at_once(void) {
    need_server();
    for (int i = 0; i < 5; i++) {
        board_t *board = new_board();
        cohort_process_t *parent =
            start_as(COHORT_LIFETIME_FOREGROUND, start_and_tell, &board, sizeof board);
        await_event(board->ready);
        pid_t first = (pid_t)board->parents[0], second = (pid_t)cohort_process_pid(parent);
        kill(i % 2 ? second : first, SIGKILL);
        kill(i % 2 ? first : second, SIGKILL);
        await_gone(board->pids[0]);
        await_gone(first);
        party_end(parent, -9);
    }
}

/* The requester's directory, umask and environment reach the child, although the server was there
 * before. */
static int tell_context(void *args) {
    board_t *board = board_of(args);
    char cwd[64] = "";
    const char *variable = getenv("COHORT_TEST_CONTEXT");
    CHECK(getcwd(cwd, sizeof cwd) != NULL);
    mode_t mask = umask(0);
    board->depth =
        !strcmp(cwd, "/") << 2 | (mask == 0137) << 1 | (variable && !strcmp(variable, "yes"));
    return 0;
}

static int change_context(void *args) {
    party_finish(start_as(COHORT_LIFETIME_FOREGROUND, tell_context, args, sizeof(void *)));
    CHECK_INT(0, board_of(args)->depth);
    CHECK_INT(0, chdir("/"));
    umask(0137);
    setenv("COHORT_TEST_CONTEXT", "yes", 1);
    party_finish(start_as(COHORT_LIFETIME_FOREGROUND, tell_context, args, sizeof(void *)));
    CHECK_INT(7, board_of(args)->depth);
    return 0;
}

static void children_begin_where_their_parent_is(void) {
    board_t *board = new_board();
    party_finish(start_as(COHORT_LIFETIME_FOREGROUND, change_context, &board, sizeof board));
}

static int tell_user(void *args) {
    board_of(args)->depth = (int)geteuid();
    return 0;
}

static int leave_cohort(void *args) {
    party_finish(start_as(COHORT_LIFETIME_FOREGROUND, tell_user, args, sizeof(void *)));
    CHECK_INT(0, board_of(args)->depth);
    CHECK_INT(0, setegid(65534));
    CHECK_INT(0, seteuid(65534));
    party_finish(start_as(COHORT_LIFETIME_FOREGROUND, tell_user, args, sizeof(void *)));
    CHECK_INT(65534, board_of(args)->depth);
    return 0;
}

static void children_get_no_privileges_that_were_given_up(void) {
    if (geteuid() != 0) SKIP("only root can give up privileges");
    if (SANITIZED) SKIP("the leak check needs the privileges");
    if (strcmp(test_method(), "fork") && !open_to_others())
        SKIP("the executable is closed to others");
    board_t *board = new_board();
    party_finish(start_as(COHORT_LIFETIME_FOREGROUND, leave_cohort, &board, sizeof board));
}

/* ---- newborns ------------------------------------------------------------------------------- */

/* The newest process of the machine, 0 when the system does not tell. */
static int newest_process(void) {
    int newest = 0;
    FILE *file = fopen("/proc/loadavg", "r");
    if (file && fscanf(file, "%*s %*s %*s %*s %d", &newest) != 1) newest = 0;
    if (file) fclose(file);
    return newest;
}

/* Kill this process' child, or grandchild, if it is one of the newest. */
static int kill_newest(bool grandchildren) {
    int newest = newest_process(), parent = 0, above = 0;
    for (int pid = newest; pid > newest - 6 && pid > 1; pid--) {
        if (!process_state(pid, &parent) || pid == getpid()) continue;
        if (grandchildren ? process_state(parent, &above) && above == getpid() : parent == getpid())
            return kill(pid, SIGKILL) == 0;
    }
    return 0;
}

static void *APR_THREAD_FUNC kill_newborns(apr_thread_t *thread, void *data) {
    board_t *board = data;
    (void)thread;
    while (!atomic_load(&board->parents[0]))
        atomic_fetch_add(&board->count, kill_newest(board->lifetime != 0));
    return NULL;
}

static void start_under_fire(int n) {
    for (int i = 0; i < n; i++) {
        cohort_process_t *process = NULL;
        apr_status_t status;
        CHECK_STATUS(APR_SUCCESS, cohort_process_create(&process, seven, "args", 5, NULL, NULL));
        for (int attempt = 0;
             (status = cohort_process_start(process)) == COHORT_ESTART && attempt < 20;)
            attempt++;
        if (status == APR_SUCCESS) {
            CHECK_STATUS(APR_SUCCESS, cohort_process_join(process, COHORT_FOREVER));
            int code = cohort_process_exit_code(process);
            CHECK(code == 7 || code == -9 || code == COHORT_EXIT_UNKNOWN);
        } else {
            CHECK_STATUS(COHORT_ESTART, status);
        }
        CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(process));
    }
}

/* The system's own children of this process (servers too), or their children, are killed at every
 * moment of their lives. */
static int be_under_fire(void *args) {
    board_t *board = board_of(args);
    cohort_arena_usage_t before, after;
    start_under_fire(1);
    CHECK_STATUS(APR_SUCCESS, cohort_arena_usage(&before));
    apr_thread_t *killer = party_thread(kill_newborns, board);
    for (int i = 0; i < 100 && board->count < 12; i++) start_under_fire(2);
    atomic_store(&board->parents[0], 1);
    party_thread_finish(killer);
    start_under_fire(1);
    CHECK_STATUS(APR_SUCCESS, cohort_arena_usage(&after));
    CHECK_INT(before.blocks, after.blocks);
    return 0;
}

static void newborns_may_be_killed(void) {
    if (!newest_process()) SKIP("the system does not tell of new processes");
    for (int grandchildren = 0; grandchildren < 2; grandchildren++) {
        if (grandchildren && strcmp(test_method(), "forkserver")) return;
        board_t *board = new_board();
        board->lifetime = (cohort_lifetime_t)grandchildren;
        party_finish(start_as(COHORT_LIFETIME_FOREGROUND, be_under_fire, &board, sizeof board));
    }
}

/* ---- hosts with habits ---------------------------------------------------------------------- */

static int sleep_until_killed(void *args) {
    (void)args;
    party_wait_for_death();
}

static int hard_exit(void *args) {
    (void)args;
    _exit(8);
}

/* Without descriptors of processes it is not known how a child ended that the system forgot at
 * once. */
static void end_unseen(cohort_process_t *process, int code) {
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(process, COHORT_FOREVER));
#ifdef COHORT_NO_PIDFD
    if (cohort_process_exit_code(process) == COHORT_EXIT_UNKNOWN) return;
#endif
    party_end(process, code);
}

static void check_codes(void) {
    for (int i = 0; i < 5; i++) {
        party_end(start_as(COHORT_LIFETIME_FOREGROUND, seven, NULL, 0), 7);
        end_unseen(start_as(COHORT_LIFETIME_FOREGROUND, hard_exit, NULL, 0), 8);
        cohort_process_t *process =
            start_as(COHORT_LIFETIME_FOREGROUND, sleep_until_killed, NULL, 0);
        CHECK_STATUS(APR_SUCCESS, cohort_process_kill(process));
        end_unseen(process, -9);
        cohort_program_t program = {.argv = (const char *const[]){"/bin/sh", "-c", "exit 9", NULL}};
        CHECK_STATUS(APR_SUCCESS,
                     cohort_process_create_program(&process, &program, NULL, test_pool()));
        CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
        end_unseen(process, 9);
    }
}

static int ignore_children(void *args) {
    (void)args;
    signal(SIGCHLD, SIG_IGN);
    check_codes();
    return 0;
}

static void host_that_ignores_its_children(void) {
    party_finish(start_as(COHORT_LIFETIME_FOREGROUND, ignore_children, NULL, 0));
}

static void on_child(int number) {
    (void)number;
    while (waitpid(-1, NULL, WNOHANG) > 0) continue;
}

static int reap_everything(void *args) {
    struct sigaction action = {.sa_handler = on_child, .sa_flags = SA_RESTART};
    (void)args;
    sigaction(SIGCHLD, &action, NULL);
    for (int i = 0; i < 20; i++) {
        party_end(start_as(COHORT_LIFETIME_FOREGROUND, seven, NULL, 0), 7);
        cohort_process_t *process =
            start_as(COHORT_LIFETIME_FOREGROUND, sleep_until_killed, NULL, 0);
        CHECK_STATUS(APR_SUCCESS, cohort_process_kill(process));
        CHECK_STATUS(APR_SUCCESS, cohort_process_join(process, COHORT_FOREVER));
        int code = cohort_process_exit_code(process);
        /* the system may not tell those that come second */
        CHECK(code == -9 || code == COHORT_EXIT_UNKNOWN);
    }
    return 0;
}

static void host_that_reaps_everything(void) {
    party_finish(start_as(COHORT_LIFETIME_FOREGROUND, reap_everything, NULL, 0));
}

static int close_standard_streams(void *args) {
    for (int fd = 0; fd < 3; fd++) close(fd);
    for (int i = 0; i < 3; i++) {
        cohort_process_t *process = start_as(COHORT_LIFETIME_FOREGROUND, seven, NULL, 0);
        if (cohort_process_join(process, COHORT_FOREVER) || cohort_process_exit_code(process) != 7)
            _exit(1);
    }
    for (int fd = 0; fd < 3; fd++) {
        if (fcntl(fd, F_GETFD) >= 0) _exit(2); /* something of ours took its place */
    }
    (void)args;
    return 0;
}

static void host_without_standard_streams(void) {
    party_finish(start_as(COHORT_LIFETIME_FOREGROUND, close_standard_streams, NULL, 0));
}

static int close_all(void *args) {
    (void)args;
    for (int fd = 3; fd < 1024; fd++) close(fd);
    cohort_event_t *event = new_event();
    set_event(event);
    await_event(event);
    if (!strcmp(test_method(), "fork"))
        party_end(start_as(COHORT_LIFETIME_FOREGROUND, seven, NULL, 0), 7);
    return 0;
}

static int start_then_close_all(void *args) {
    party_end(start_as(COHORT_LIFETIME_FOREGROUND, seven, NULL, 0), 7);
    return close_all(args);
}

/* What was started before or after is still seen to end; only a re-executed child needs the arena's
 * descriptor. */
static void host_that_closes_everything(void) {
    party_finish(start_as(COHORT_LIFETIME_FOREGROUND, close_all, NULL, 0));
    party_finish(start_as(COHORT_LIFETIME_FOREGROUND, start_then_close_all, NULL, 0));
}

/* ---- raw copies ----------------------------------------------------------------------------- */

typedef struct {
    cohort_event_t *event;
    cohort_lock_t *lock;
    cohort_queue_t *queue;
    cohort_process_t *process;
    apr_pool_t *pool;
} things_t;

#define EXPECT(status, call) \
    if ((call) != (status)) _exit(__LINE__ % 200 + 1)

static void be_no_member(things_t *t, apr_pool_t *pool) {
    void *block = NULL;
    cohort_process_t *process = NULL;
    cohort_event_t *event = NULL;
    if (cohort_process_current() || cohort_process_parent()) _exit(201);
    EXPECT(COHORT_ENOTMEMBER, cohort_alloc(&block, 10));
    EXPECT(COHORT_ENOTMEMBER, cohort_process_create(&process, seven, NULL, 0, NULL, NULL));
    EXPECT(COHORT_ENOTMEMBER, cohort_process_start(t->process));
    EXPECT(COHORT_ENOTMEMBER, cohort_process_kill(t->process));
    EXPECT(COHORT_ENOTMEMBER, cohort_process_join(t->process, 0));
    EXPECT(COHORT_ENOTMEMBER, cohort_event_create(&event, NULL));
    EXPECT(COHORT_ENOTMEMBER, cohort_lock_acquire(t->lock, 0));
    EXPECT(COHORT_ENOTMEMBER, cohort_lock_release(t->lock));
    EXPECT(COHORT_ENOTMEMBER, cohort_queue_put(t->queue, "x", 1, 0));
    EXPECT(COHORT_ETWICE, cohort_initialize(NULL));
    apr_pool_destroy(pool); /* it made none of these */
}

static int fork_raw(void *args) {
    things_t t = {0};
    board_t *board = board_of(args);
    int status;
    CHECK_STATUS(APR_SUCCESS, apr_pool_create(&t.pool, test_pool()));
    CHECK_STATUS(APR_SUCCESS, cohort_event_create(&t.event, t.pool));
    CHECK_STATUS(APR_SUCCESS, cohort_lock_create(&t.lock, t.pool));
    CHECK_STATUS(APR_SUCCESS, cohort_queue_create(&t.queue, NULL, t.pool));
    CHECK_STATUS(APR_SUCCESS, cohort_lock_acquire(t.lock, COHORT_FOREVER));
    cohort_process_options_t options = {.lifetime = COHORT_LIFETIME_DAEMON};
    CHECK_STATUS(APR_SUCCESS, cohort_process_create(&t.process, tell_parent_and_wait, &board,
                                                    sizeof board, &options, t.pool));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(t.process));
    await_event(board->ready);
    for (int how = 0; how < 2; how++) {
        pid_t pid = fork();
        if (pid == 0) {
            be_no_member(&t, t.pool);
            if (how == 0) _exit(0);
            cohort_finalize();
            _exit(0);
        }
        CHECK_INT(pid, waitpid(pid, &status, 0));
        CHECK_INT(0, status);
    }
    CHECK_INT(1, cohort_process_is_alive(t.process));
    CHECK_STATUS(APR_SUCCESS, cohort_lock_release(t.lock));
    CHECK_STATUS(APR_SUCCESS, cohort_queue_put(t.queue, "x", 1, 0));
    set_event(t.event);
    set_event(board->go);
    party_end(t.process, 0);
    party_end(start_as(COHORT_LIFETIME_FOREGROUND, seven, NULL, 0), 7);
    apr_pool_destroy(t.pool);
    return 0;
}

static void raw_copies_are_no_members(void) {
    board_t *board = new_board();
    party_finish(start_as(COHORT_LIFETIME_FOREGROUND, fork_raw, &board, sizeof board));
}

/* A raw copy that lives on keeps no daemon alive and no server busy. */
static int fork_and_be_killed(void *args) {
    board_t *board = board_of(args);
    (void)start_as(COHORT_LIFETIME_DAEMON, tell_parent_and_wait, args, sizeof board);
    pid_t pid = fork();
    if (pid == 0) {
        for (;;) pause();
    }
    atomic_store(&board->pids[8], pid);
    set_event(board->done);
    party_wait_for_death();
}

static void raw_copies_keep_nothing_alive(void) {
    board_t *board = new_board();
    cohort_process_t *parent =
        start_as(COHORT_LIFETIME_FOREGROUND, fork_and_be_killed, &board, sizeof board);
    await_event(board->ready);
    await_event(board->done);
    party_kill(parent);
    await_gone(board->pids[0]);
    CHECK(process_runs(board->pids[8]));
    kill((pid_t)board->pids[8], SIGKILL);
}

/* ---- what starts leave ---------------------------------------------------------------------- */

static int tell_descriptors(void *args) {
    board_t *board = board_of(args);
    int i = atomic_fetch_add(&board->count, 1);
    atomic_store(&board->pids[i], count_descriptors(getpid()));
    if (atomic_fetch_add(&board->written, 1) + 1 == board->depth) set_event(board->ready);
    await_event(board->go);
    return 0;
}

/* So what the server has of its children are no numbers in a row any more. */
static void replace_some(cohort_process_t **list, board_t *board) {
    board->depth = 9;
    CHECK_STATUS(APR_SUCCESS, cohort_event_clear(board->ready));
    for (int i = 1; i < 6; i += 2) party_kill(list[i]);
    for (int i = 1; i < 6; i += 2) list[i] = party_start(tell_descriptors, &board, sizeof board);
    await_event(board->ready);
}

static void PROC_20_child_fd_inflation(void) {
    if (!strcmp(test_method(), "fork")) SKIP("a fork copies the parent's descriptors");
    board_t *board = new_board();
    cohort_process_t *list[6];
    board->depth = 6;
    if (count_descriptors(getpid()) < 0) SKIP("the system does not tell descriptors");
    parties_start(list, 6, tell_descriptors, &board, sizeof board);
    await_event(board->ready);
    for (int i = 1; i < 6; i++) CHECK_INT(board->pids[0], board->pids[i]);
    replace_some(list, board);
    for (int i = 6; i < 9; i++) CHECK_INT(board->pids[0], board->pids[i]);
    set_event(board->go);
    parties_finish(list, 6);
}

/* The thread that waited may go on a moment before the watcher has put everything away. */
static void await_tidy(apr_int64_t pid, int descriptors) {
    while (count_descriptors(pid) > descriptors || count_zombies(pid) > 0) apr_sleep(1000);
}

static void nothing_accumulates(void) {
    board_t *board = new_board();
    for (int i = 0; i < 3; i++)
        party_finish(start_as(COHORT_LIFETIME_DAEMON, tell_parent, &board, sizeof board));
    int server = (int)board->parents[0], own = count_descriptors(getpid()),
        servers = count_descriptors(server);
    if (own < 0) SKIP("the system does not tell descriptors");
    for (int i = 0; i < 30; i++) {
        atomic_store(&board->count, 0);
        cohort_process_t *process =
            start_as(COHORT_LIFETIME_DAEMON, tell_parent, &board, sizeof board);
        if (i % 2) CHECK_STATUS(APR_SUCCESS, cohort_process_kill(process));
        CHECK_STATUS(APR_SUCCESS, cohort_process_join(process, COHORT_FOREVER));
        CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(process));
    }
    await_tidy(getpid(), own);
    if (server != getpid()) await_tidy(server, servers);
}

static void run_limited(const char *limit) {
    char path[512] = "", script[700];
    cohort_process_t *process = NULL;
    if (readlink("/proc/self/exe", path, sizeof path - 1) < 0) SKIP("the executable is not known");
    snprintf(script, sizeof script,
             "%s || exit 77; exec '%s' --gtest_filter=Lifetime.nothing_accumulates >/dev/null",
             limit, path);
    cohort_program_t program = {.argv = (const char *const[]){"/bin/sh", "-c", script, NULL}};
    CHECK_STATUS(APR_SUCCESS, cohort_process_create_program(&process, &program, NULL, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(process, COHORT_FOREVER));
    if (cohort_process_exit_code(process) == 77) SKIP("the limit cannot be set");
    CHECK_INT(0, cohort_process_exit_code(process));
}

static void limits_of_the_system_are_kept(void) {
    if (!SANITIZED) run_limited("ulimit -v 600000"); /* the sanitizers need more */
    run_limited("ulimit -f 200000");
    run_limited("ulimit -n 40");
}

const test_case_t lifetime_cases[] = {
    {"Lifetime", "daemons_end_with_a_parent_that_becomes_another_program",
     daemons_end_with_a_parent_that_becomes_another_program},
    {"Lifetime", "a_daemon_that_closes_everything_dies_too",
     a_daemon_that_closes_everything_dies_too},
    {"Lifetime", "background_has_a_session_of_its_own", background_has_a_session_of_its_own},
    {"Lifetime", "PROC_20_child_fd_inflation", PROC_20_child_fd_inflation},
    {"Lifetime", "PROC_24_forkserver_sigint", PROC_24_forkserver_sigint},
    {"Lifetime", "PROC_24_forkserver_sigkill", PROC_24_forkserver_sigkill},
    {"Lifetime", "child_killed_after_its_server", child_killed_after_its_server},
    {"Lifetime", "servers_are_killed_all_the_time", servers_are_killed_all_the_time},
    {"Lifetime", "parent_and_server_die_at_once", parent_and_server_die_at_once},
    {"Lifetime", "children_begin_where_their_parent_is", children_begin_where_their_parent_is},
    {"Lifetime", "children_get_no_privileges_that_were_given_up",
     children_get_no_privileges_that_were_given_up},
    {"Lifetime", "newborns_may_be_killed", newborns_may_be_killed},
    {"Lifetime", "host_that_ignores_its_children", host_that_ignores_its_children},
    {"Lifetime", "host_that_reaps_everything", host_that_reaps_everything},
    {"Lifetime", "host_without_standard_streams", host_without_standard_streams},
    {"Lifetime", "host_that_closes_everything", host_that_closes_everything},
    {"Lifetime", "raw_copies_are_no_members", raw_copies_are_no_members},
    {"Lifetime", "raw_copies_keep_nothing_alive", raw_copies_keep_nothing_alive},
    {"Lifetime", "nothing_accumulates", nothing_accumulates},
    {"Lifetime", "limits_of_the_system_are_kept", limits_of_the_system_are_kept},
    {0},
};
