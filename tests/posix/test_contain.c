/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What belongs to a daemon ends with it: the processes that it has started by means of its own (a
 * shell's background jobs, what system() started), when it has ended and when its parent has, in
 * whatever way, also when the daemon has become another program, has closed all its descriptors,
 * has lost its server or its keeper. tests/api/test_lifetime.c has what takes no POSIX;
 * test_terminal.c what a terminal does.
 */
#include "system.h"

#include <cohort/pool.h>
#include <stdio.h>
#include <errno.h>
#include <sys/ioctl.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif

typedef enum { WAITS, RETURNS, EXITS, DIES, EXECS, CLOSES, CLOSES_AND_EXECS } what_t;

/* In the arena. */
typedef struct {
    cohort_event_t *ready, *go;
    what_t what;
    cohort_lifetime_t lifetime;
    int alone;   /* the daemon starts nothing */
    /* the daemon's own child, and one that has lost its parent */
    _Atomic apr_int64_t daemon, child, orphan;
} board_t;

static board_t *new_board(what_t what) {
    board_t *board = party_memory(sizeof *board);
    board->ready = new_event();
    board->go = new_event();
    board->what = what;
    board->lifetime = COHORT_DAEMON;
    return board;
}

static board_t *board_of(void *args) {
    return *(board_t **)args;
}

static void free_board(board_t *board) {
    CHECK_STATUS(APR_SUCCESS, cohort_event_destroy(board->ready));
    CHECK_STATUS(APR_SUCCESS, cohort_event_destroy(board->go));
    CHECK_STATUS(APR_SUCCESS, cohort_free(board));
}

/* ---- trees ---------------------------------------------------------------------------------- */

static apr_int64_t start_child(bool apart) {
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        if (apart) setpgid(0, 0);
        execl(TEST_ACTOR, TEST_ACTOR, "wait", (char *)NULL);
        _exit(127);
    }
    return pid;
}

/* A shell's job, when the shell has gone. */
static apr_int64_t start_orphan(void) {
    FILE *shell = popen(TEST_ACTOR " wait > /dev/null 2>&1 < /dev/null & echo $!", "r");
    long long pid = 0;
    CHECK(shell != NULL);
    CHECK_INT(1, fscanf(shell, "%lld", &pid));
    CHECK_INT(0, pclose(shell));
    return pid;
}

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

/* The command name of a process becomes that of the program when it has been exec'ed. */
static void await_exec(apr_int64_t pid) {
    char path[64], name[32] = "";
    snprintf(path, sizeof path, "/proc/%lld/comm", (long long)pid);
    if (access(path, R_OK)) SKIP("needs /proc");
    while (strncmp(name, "test_actor", 10)) {
        FILE *file = fopen(path, "r");
        CHECK(file != NULL);
        if (!fgets(name, sizeof name, file)) name[0] = 0;
        fclose(file);
        apr_sleep(1000);
    }
}

static void check_tree_runs(board_t *board) {
    CHECK(process_runs(board->daemon));
    CHECK(process_runs(board->child));
    CHECK(process_runs(board->orphan));
}

/* ---- the end of the daemon ------------------------------------------------------------------ */

static void check_end(what_t what, int code) {
    board_t *board = new_board(what);
    cohort_process_t *daemon = start_as(COHORT_DAEMON, be_daemon, &board, sizeof board);
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
    cohort_process_t *daemon = start_as(COHORT_DAEMON, be_daemon, &board, sizeof board);
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
    cohort_process_t *daemon = start_as(COHORT_DAEMON, be_daemon, args, sizeof board);
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
        party_finish(start_as(COHORT_FOREGROUND, start_and_lose, &board, sizeof board));
        free_board(board);
    }
}

/* ---- the end of its parent ------------------------------------------------------------------ */

static int start_one(void *args) {
    board_t *board = board_of(args);
    (void)start_as(board->lifetime, be_daemon, args, sizeof board);
    await_event(board->go);
    return 0;
}

static void await_daemon(board_t *board) {
    await_event(board->ready);
    if (board->what == EXECS || board->what == CLOSES_AND_EXECS) await_exec(board->daemon);
    while (board->what == CLOSES && count_descriptors(board->daemon) > 3) apr_sleep(1000);
}

/* A child of `parent` with a name that begins so; 0: there is none. */
static apr_int64_t child_named(apr_int64_t parent, const char *name) {
    apr_int64_t found = 0;
    DIR *directory = opendir("/proc");
    if (!directory) SKIP("needs /proc");
    for (struct dirent *entry; !found && (entry = readdir(directory)) != NULL;) {
        char path[300], comm[32] = "";
        int of = 0;
        apr_int64_t pid = atoll(entry->d_name);
        char state = pid > 0 ? process_state(pid, &of) : 0;
        snprintf(path, sizeof path, "/proc/%s/comm", entry->d_name);
        FILE *file = state && state != 'Z' && of == (int)parent ? fopen(path, "r") : NULL;
        if (!file) continue;
        if (fgets(comm, sizeof comm, file) && !strncmp(comm, name, strlen(name))) found = pid;
        fclose(file);
    }
    closedir(directory);
    return found;
}

static apr_int64_t await_child_named(apr_int64_t parent, const char *name, apr_int64_t other_than) {
    apr_int64_t pid;
    while ((pid = child_named(parent, name)) == 0 || pid == other_than) apr_sleep(1000);
    return pid;
}

/* A parent that is killed while its keeper begins leaves a daemon that has lost its lifeline. A
 * keeper that has begun sleeps, and one that begins does not for long. */
static void await_keeper(apr_int64_t parent) {
    int of = 0;
    if (!strcmp(test_method(), "forkserver")) return;
    apr_int64_t keeper = await_child_named(parent, "cohort-keeper", 0);
    for (int asleep = 0; asleep < 20; apr_sleep(1000))
        asleep = process_state(keeper, &of) == 'S' ? asleep + 1 : 0;
}

static void check_parent(what_t what, bool alone, bool kill) {
    board_t *board = new_board(what);
    board->alone = alone;
    cohort_process_t *parent = start_as(COHORT_FOREGROUND, start_one, &board, sizeof board);
    await_daemon(board);
    if (kill) await_keeper(cohort_process_pid(parent));
    if (kill) CHECK_STATUS(APR_SUCCESS, cohort_process_kill(parent));
    else set_event(board->go);
    party_end(parent, kill ? -9 : 0);
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
    cohort_process_options_t options = {.lifetime = COHORT_DAEMON};
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
    cohort_process_t *parent = start_as(COHORT_FOREGROUND, start_program, &board, sizeof board);
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

static void its_tree_ends_with_a_program(void) {
    check_program(WAITS);
}

/* What a daemon starts to join is no group of its own, and ends with the daemon's. */
static int start_foreground(void *args) {
    board_t *board = board_of(args);
    board->lifetime = COHORT_FOREGROUND;
    return start_one(args);
}

static void what_a_daemon_would_join_ends_with_it(void) {
    for (int what = EXECS; what <= CLOSES_AND_EXECS; what++) {
        board_t *board = new_board((what_t)what);
        cohort_process_t *daemon = start_as(COHORT_DAEMON, start_foreground, &board, sizeof board);
        await_daemon(board);
        party_kill(daemon);
        await_tree_gone(board);
        free_board(board);
    }
}

/* ---- servers and keepers -------------------------------------------------------------------- */

static int start_without_server(void *args) {
    board_t *board = board_of(args);
    (void)start_as(COHORT_DAEMON, be_daemon, args, sizeof board);
    await_daemon(board);
    apr_int64_t server = child_named(getpid(), "cohort-server");
    CHECK(server > 0);
    CHECK_INT(0, kill((pid_t)server, SIGKILL));
    (void)await_child_named(getpid(), "cohort-keeper", 0); /* from now on that holds the daemon */
    set_event(board->go);
    party_wait_for_death();
}

static void a_daemon_without_server_ends_with_its_parent(void) {
    if (strcmp(test_method(), "forkserver")) SKIP("only this start method has a server");
    for (int what = EXECS; what <= CLOSES_AND_EXECS; what++) {
        board_t *board = new_board((what_t)what);
        cohort_process_t *parent =
            start_as(COHORT_FOREGROUND, start_without_server, &board, sizeof board);
        await_event(board->go);
        party_kill(parent);
        await_tree_gone(board);
        free_board(board);
    }
}

static int start_without_keeper(void *args) {
    board_t *board = board_of(args);
    (void)start_as(COHORT_DAEMON, be_daemon, args, sizeof board);
    await_daemon(board);
    apr_int64_t keeper = await_child_named(getpid(), "cohort-keeper", 0);
    CHECK_INT(keeper, getsid((pid_t)keeper));
    apr_sleep(1100000); /* one that ends sooner after its start is not replaced at once */
    CHECK_INT(0, kill((pid_t)keeper, SIGKILL));
    (void)await_child_named(getpid(), "cohort-keeper", keeper);
    set_event(board->go);
    party_wait_for_death();
}

/* Also: of all its keepers a process has one at a time, however many daemons. */
static void a_killed_keeper_is_replaced(void) {
    if (!strcmp(test_method(), "forkserver"))
        SKIP("with this start method the server is the keeper");
    board_t *board = new_board(CLOSES_AND_EXECS);
    cohort_process_t *parent =
        start_as(COHORT_FOREGROUND, start_without_keeper, &board, sizeof board);
    await_event(board->go);
    party_kill(parent);
    await_tree_gone(board);
    free_board(board);
}

/* That the parent has closed its descriptors is not its end. */
static int start_and_close_all(void *args) {
    board_t *board = board_of(args);
    (void)start_as(COHORT_DAEMON, be_daemon, args, sizeof board);
    await_daemon(board);
    (void)await_child_named(getpid(), "cohort-keeper", 0);
    close_all();
    set_event(board->go);
    party_wait_for_death();
}

static void a_keeper_waits_for_the_end_itself(void) {
    if (!strcmp(test_method(), "forkserver"))
        SKIP("with this start method the server is the keeper");
    board_t *board = new_board(CLOSES_AND_EXECS);
    cohort_process_t *parent =
        start_as(COHORT_FOREGROUND, start_and_close_all, &board, sizeof board);
    await_event(board->go);
    for (int i = 0; i < 50; i++) { /* long enough for one that takes this for the end */
        check_tree_runs(board);
        apr_sleep(2000);
    }
    party_kill(parent);
    await_tree_gone(board);
    free_board(board);
}

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
    cohort_process_options_t options = {.lifetime = COHORT_BACKGROUND};
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_process_create_program(&process, &program, &options, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
    atomic_store(&s->program, cohort_process_pid(process));
    (void)start_as(COHORT_BACKGROUND, be_in_background, args, sizeof s);
    party_wait_for_death();
}

static int start_middle(void *args) {
    (void)start_as(COHORT_DAEMON, start_background, args, sizeof(spared_t *));
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
    check_spared(COHORT_DAEMON, start_background);
    check_spared(COHORT_FOREGROUND, start_middle);
}

static int leave_an_orphan(void *args) {
    atomic_store(&board_of(args)->orphan, start_orphan());
    return 0;
}

/* As with any program: its jobs are its own. */
static void what_a_foreground_process_leaves_goes_on(void) {
    board_t *board = new_board(RETURNS);
    party_finish(start_as(COHORT_FOREGROUND, leave_an_orphan, &board, sizeof board));
    CHECK(process_runs(board->orphan));
    CHECK_INT(0, kill((pid_t)board->orphan, SIGKILL));
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
    cohort_process_options_t options = {.lifetime = COHORT_BACKGROUND};
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
    (void)start_as(COHORT_BACKGROUND, look_at_streams, args, sizeof s);
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
    cohort_process_t *host = start_as(COHORT_FOREGROUND, write_into_fifo, &s, sizeof s);
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
    cohort_process_t *child = start_as(COHORT_FOREGROUND, stay, NULL, 0),
                     *daemon = start_as(COHORT_DAEMON, stay, NULL, 0);
    apr_int64_t server = child_named(1, "cohort-server");
    CHECK((server > 0) == !strcmp(test_method(), "forkserver"));
    if (server) CHECK_INT(0, kill((pid_t)server, SIGKILL));
    if (server) await_gone(server);
    party_finish(start_as(COHORT_FOREGROUND, nothing, NULL, 0));
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
    const group_t daemon = {.lifetime = COHORT_DAEMON},
                  foreground = {.lifetime = COHORT_FOREGROUND};
    check_group(daemon, true);
    check_group(foreground, false);
    check_group((group_t){.lifetime = COHORT_DAEMON, .group = COHORT_GROUP_PARENT}, false);
    check_group((group_t){.lifetime = COHORT_FOREGROUND, .group = COHORT_GROUP_OWN}, true);
    check_group((group_t){.lifetime = COHORT_BACKGROUND, .group = COHORT_GROUP_PARENT}, true);
    check_workers_group(COHORT_GROUP_DEFAULT, 1);
    check_workers_group(COHORT_GROUP_PARENT, 0);
}

static int start_grandchild(void *args) {
    (void)args;
    check_group((group_t){.lifetime = COHORT_FOREGROUND}, false);
    check_group((group_t){.lifetime = COHORT_DAEMON}, true);
    return 0;
}

static void children_of_daemons_join_their_group(void) {
    party_finish(start_as(COHORT_DAEMON, start_grandchild, NULL, 0));
}

/* Only one leader may have the number of a group, so a group that somebody has taken over is not
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
    party_finish(start_as(COHORT_DAEMON, fork_into_own_group, &board, sizeof board));
    CHECK(process_runs(board->child));
    CHECK_INT(0, kill((pid_t)board->child, SIGKILL));
    await_gone(board->child);
    free_board(board);
}

/* ---- without a terminal, whether or not the tests have one ---------------------------------- */

static void leave_terminal(void) {
    int fd = open("/dev/tty", O_RDWR | O_NOCTTY);
    if (fd < 0) return;
    CHECK_INT(0, ioctl(fd, TIOCNOTTY));
    close(fd);
}

#define CASES(X)                                            \
    X(its_tree_ends_with_a_daemon)                          \
    X(its_tree_ends_with_a_killed_daemon)                   \
    X(its_tree_ends_though_the_host_reaps_the_daemon)       \
    X(a_daemon_with_its_tree_ends_with_its_parent)          \
    X(a_daemon_that_has_lost_its_lifeline_ends_with_its_parent) \
    X(a_program_with_its_tree_ends_with_its_parent)         \
    X(its_tree_ends_with_a_program)                         \
    X(what_a_daemon_would_join_ends_with_it)                \
    X(a_daemon_without_server_ends_with_its_parent)         \
    X(a_killed_keeper_is_replaced)                          \
    X(a_keeper_waits_for_the_end_itself)                    \
    X(background_processes_of_a_daemon_are_spared)          \
    X(what_a_foreground_process_leaves_goes_on)             \
    X(the_background_keeps_no_output_open)                  \
    X(a_host_as_process_1_keeps_no_zombies)                 \
    X(groups_are_as_asked_for)                              \
    X(children_of_daemons_join_their_group)                 \
    X(what_has_left_the_group_goes_on)

#define RUN(name)                     \
    static void run_##name(void) {    \
        leave_terminal();             \
        name();                       \
    }
CASES(RUN)

#define ENTRY(name) {"Contain", #name, run_##name},
const test_case_t contain_cases[] = {CASES(ENTRY){0}};
