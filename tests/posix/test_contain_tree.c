/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * All that a process has started ends with it, where that is asked for: what has left its group and
 * session, what has lost its parent, copies and programs. test_contain.c has what is in the group.
 */
#include "contain.h"

#ifdef __linux__
#include <sched.h>
#include <sys/mount.h>
#endif

/* ---- processes that get away ---------------------------------------------------------------- */

enum { PROGRAM, COPY, ORPHANED_PROGRAM, ORPHANED_COPY, SHELL_JOB, JOB_OF_GROUP, STRAYS };

typedef struct {
    cohort_event_t *ready, *go;
    what_t what;
    cohort_process_options_t options; /* of the process, without pointers */
    int bare;                         /* what is executed has nothing in its environment */
    _Atomic apr_int64_t leader, strays[STRAYS];
} tree_t;

static tree_t *new_tree(what_t what, cohort_lifetime_t lifetime, cohort_containment_t containment) {
    tree_t *tree = party_memory(sizeof *tree);
    tree->ready = new_event();
    tree->go = new_event();
    tree->what = what;
    tree->options.lifetime = lifetime;
    tree->options.containment = containment;
    return tree;
}

static tree_t *tree_of(void *args) { return *(tree_t **)args; }

static void free_tree(tree_t *tree) {
    CHECK_STATUS(APR_SUCCESS, cohort_event_destroy(tree->ready));
    CHECK_STATUS(APR_SUCCESS, cohort_event_destroy(tree->go));
    CHECK_STATUS(APR_SUCCESS, cohort_free(tree));
}

static _Noreturn void go_on(bool executes, bool bare) {
    char *const none[] = {NULL};
    if (executes && bare) execle(TEST_ACTOR, TEST_ACTOR, "wait", (char *)NULL, none);
    if (executes) execl(TEST_ACTOR, TEST_ACTOR, "wait", (char *)NULL);
    for (;;) pause();
}

/* In a session of its own; an orphan, if it is to be. */
static apr_int64_t get_away(bool orphan, bool executes, bool bare) {
    int ends[2];
    long long pid = 0;
    CHECK_INT(0, pipe(ends));
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        setsid();
        if (orphan && fork() != 0) _exit(0);
        pid = getpid();
        if (write(ends[1], &pid, sizeof pid) != sizeof pid) _exit(9);
        go_on(executes, bare);
    }
    CHECK_INT(sizeof pid, read(ends[0], &pid, sizeof pid));
    close(ends[0]);
    close(ends[1]);
    if (orphan) CHECK_INT(child, waitpid(child, NULL, 0));
    return pid;
}

static apr_int64_t shell_says(const char *command) {
    FILE *shell = popen(command, "r");
    long long pid = 0;
    CHECK(shell != NULL);
    CHECK_INT(1, fscanf(shell, "%lld", &pid));
    CHECK_INT(0, pclose(shell));
    return pid;
}

/* The shell says its number before it has left the group. */
static apr_int64_t start_session(void) {
    apr_int64_t pid =
        shell_says("nohup setsid " TEST_ACTOR " wait >/dev/null 2>&1 </dev/null & echo $!");
    while (getsid((pid_t)pid) != (pid_t)pid) apr_sleep(1000);
    return pid;
}

/* A shell that controls its jobs gives each a group of its own. */
static apr_int64_t start_group(void) {
    if (access("/bin/bash", X_OK)) return get_away(true, true, false);
    return shell_says("bash -c 'set -m; " TEST_ACTOR " wait >/dev/null 2>&1 </dev/null & echo $!'");
}

static void start_strays(tree_t *tree) {
    atomic_store(&tree->strays[PROGRAM], get_away(false, true, tree->bare));
    atomic_store(&tree->strays[COPY], get_away(false, false, false));
    atomic_store(&tree->strays[ORPHANED_PROGRAM], get_away(true, true, false));
    atomic_store(&tree->strays[ORPHANED_COPY], get_away(true, false, false));
    atomic_store(&tree->strays[SHELL_JOB], start_session());
    atomic_store(&tree->strays[JOB_OF_GROUP], start_group());
}

static int be_leader(void *args) {
    tree_t *tree = tree_of(args);
    atomic_store(&tree->leader, getpid());
    start_strays(tree);
    set_event(tree->ready);
    if (tree->what == EXECS) execl(TEST_ACTOR, TEST_ACTOR, "close", "wait", (char *)NULL);
    if (tree->what == WAITS) party_wait_for_death();
    await_event(tree->go);
    if (tree->what == EXITS) exit(7);
    if (tree->what == DIES) raise(SIGKILL);
    return 6;
}

static cohort_process_t *launch_tree(tree_t *tree) {
    cohort_process_t *process = NULL;
    apr_status_t status =
        cohort_process_launch(&process, be_leader, &tree, sizeof tree, &tree->options, NULL);
    if (APR_STATUS_IS_ENOTIMPL(status))
        SKIP("this system does not tell what a process has started");
    CHECK_STATUS(APR_SUCCESS, status);
    await_event(tree->ready);
    return process;
}

static void check_strays_run(tree_t *tree) {
    for (int i = 0; i < STRAYS; i++) CHECK(process_runs(tree->strays[i]));
}

static void await_strays_gone(tree_t *tree) {
    for (int i = 0; i < STRAYS; i++) await_gone(tree->strays[i]);
}

/* What has got away runs on, until it is killed here. */
static void check_strays_go_on(tree_t *tree) {
    check_strays_run(tree);
    for (int i = 0; i < STRAYS; i++) CHECK_INT(0, kill((pid_t)tree->strays[i], SIGKILL));
    await_strays_gone(tree);
}

/* ---- the end of the process ----------------------------------------------------------------- */

static void check_end(what_t what, cohort_lifetime_t lifetime, int code) {
    tree_t *tree = new_tree(what, lifetime, COHORT_CONTAIN_TREE),
           *other = new_tree(RETURNS, COHORT_LIFETIME_FOREGROUND, COHORT_CONTAIN_DEFAULT);
    cohort_process_t *process = launch_tree(tree), *next = launch_tree(other);
    check_strays_run(tree);
    set_event(tree->go);
    party_end(process, code);
    await_strays_gone(tree);
    check_strays_run(other); /* which another process has started, in the same way */
    set_event(other->go);
    party_end(next, 6);
    check_strays_go_on(other);
    free_tree(tree);
    free_tree(other);
}

static void all_ends_with_a_process(void) {
    check_end(RETURNS, COHORT_LIFETIME_DAEMON, 6);
    check_end(EXITS, COHORT_LIFETIME_FOREGROUND, 7);
    check_end(DIES, COHORT_LIFETIME_DAEMON, -9);
    check_end(RETURNS, COHORT_LIFETIME_BACKGROUND, 6);
}

static apr_status_t stop(cohort_process_t *process) { return cohort_process_stop(process, 0); }

/* It is stopped before it is killed, so its children are found that bear no mark. */
static void check_kill(what_t what, apr_status_t (*how)(cohort_process_t *), bool bare, int code) {
    tree_t *tree = new_tree(what, COHORT_LIFETIME_DAEMON, COHORT_CONTAIN_TREE);
    tree->bare = bare;
    cohort_process_t *process = launch_tree(tree);
    if (what == EXECS) await_exec(tree->leader);
    check_strays_run(tree);
    CHECK_STATUS(APR_SUCCESS, how(process));
    party_end(process, code);
    await_strays_gone(tree);
    free_tree(tree);
}

static void all_ends_with_a_killed_process(void) {
    check_kill(WAITS, cohort_process_kill, true, -9);
    check_kill(EXECS, cohort_process_kill, true, -9);
    check_kill(WAITS, cohort_process_terminate, false, -15);
    check_kill(WAITS, cohort_process_kill_tree, true, -9);
}

static void a_stopped_process_takes_all_with_it(void) {
    tree_t *tree = new_tree(RETURNS, COHORT_LIFETIME_FOREGROUND, COHORT_CONTAIN_TREE);
    cohort_process_t *process = launch_tree(tree);
    CHECK_STATUS(APR_SUCCESS, stop(process));
    await_strays_gone(tree);
    free_tree(tree);
}

/* By default, and where that is said. */
static void check_spares(cohort_containment_t containment) {
    tree_t *tree = new_tree(RETURNS, COHORT_LIFETIME_DAEMON, containment);
    cohort_process_t *process = launch_tree(tree);
    set_event(tree->go);
    party_end(process, 6);
    check_strays_go_on(tree);
    free_tree(tree);
}

static void what_has_left_the_group_is_spared_otherwise(void) {
    check_spares(COHORT_CONTAIN_DEFAULT);
    check_spares(COHORT_CONTAIN_GROUP);
    check_spares(COHORT_CONTAIN_NONE);
}

static void all_ends_with_a_program(void) {
    const char *script[] = {"sh", "-c",
                            "setsid " TEST_ACTOR " wait >/dev/null 2>&1 & echo $!;"
                            "(setsid " TEST_ACTOR " wait >/dev/null 2>&1 & echo $!);"
                            "env -i " TEST_ACTOR " wait >/dev/null 2>&1 & echo $!;"
                            "exec " TEST_ACTOR " close wait",
                            NULL};
    cohort_program_t program = {.argv = script, .streams = {[1] = {.kind = COHORT_STREAM_PIPE}}};
    cohort_process_options_t options = {.containment = COHORT_CONTAIN_TREE};
    cohort_process_t *process = NULL;
    char line[32];
    apr_int64_t pids[3];
    apr_status_t status = cohort_process_launch_program(&process, &program, &options, test_pool());
    if (APR_STATUS_IS_ENOTIMPL(status))
        SKIP("this system does not tell what a process has started");
    CHECK_STATUS(APR_SUCCESS, status);
    for (int i = 0; i < 3; i++) {
        CHECK_STATUS(APR_SUCCESS, apr_file_gets(line, sizeof line, program.streams[1].file));
        pids[i] = atoll(line);
        await_exec(pids[i]);
    }
    CHECK_STATUS(APR_SUCCESS, cohort_process_kill(process));
    party_end(process, -9);
    for (int i = 0; i < 3; i++) await_gone(pids[i]);
}

/* ---- a tree that grows ---------------------------------------------------------------------- */

#define GROWTH 400

typedef struct {
    _Atomic int made;
    _Atomic apr_int64_t pids[GROWTH];
} growth_t;

static _Noreturn void grow(growth_t *growth) {
    for (;;) {
        int number = atomic_load(&growth->made);
        if (number >= GROWTH) pause();
        else if (fork() == 0) {
            number = atomic_fetch_add(&growth->made, 1);
            if (number >= GROWTH) _exit(0);
            atomic_store(&growth->pids[number], getpid());
            if (number % 3 == 0) setsid();
        }
    }
}

static int grow_for_ever(void *args) { grow(*(growth_t **)args); }

static void a_tree_that_grows_is_ended(void) {
    for (int i = 0; i < 3; i++) {
        growth_t *growth = party_memory(sizeof *growth);
        cohort_process_options_t options = {.containment = COHORT_CONTAIN_TREE};
        cohort_process_t *process = NULL;
        apr_status_t status =
            cohort_process_launch(&process, grow_for_ever, &growth, sizeof growth, &options, NULL);
        if (APR_STATUS_IS_ENOTIMPL(status))
            SKIP("this system does not tell what a process has started");
        CHECK_STATUS(APR_SUCCESS, status);
        party_await(&growth->made, 20);
        if (i == 0) CHECK_STATUS(APR_SUCCESS, cohort_process_kill_tree(process));
        if (i == 1) CHECK_STATUS(APR_SUCCESS, cohort_process_kill(process));
        if (i == 2) CHECK_INT(0, kill((pid_t)cohort_process_pid(process), SIGKILL));
        party_end(process, -9);
        for (int k = 0; k < GROWTH; k++)
            if (growth->pids[k]) await_gone(growth->pids[k]);
        CHECK_STATUS(APR_SUCCESS, cohort_free(growth));
    }
}

/* ---- the end of its parent ------------------------------------------------------------------ */

static int start_tree(void *args) {
    tree_t *tree = tree_of(args);
    cohort_event_t *all = tree->go;
    (void)launch_tree(tree);
    if (tree->what == RETURNS) await_event(all);
    else party_wait_for_death();
    return 0;
}

/* The tree's process waits for the word, and this one for its death. */
static int start_other_tree(void *args) {
    tree_t *tree = tree_of(args);
    tree->what = RETURNS;
    (void)launch_tree(tree);
    party_wait_for_death();
}

static void check_parent(what_t what) {
    tree_t *tree = new_tree(what, COHORT_LIFETIME_DAEMON, COHORT_CONTAIN_TREE);
    cohort_process_t *parent = start_as(COHORT_LIFETIME_FOREGROUND, start_tree, &tree, sizeof tree);
    await_event(tree->ready);
    if (what == EXECS) await_exec(tree->leader);
    check_strays_run(tree);
    if (what != RETURNS) await_keeper(cohort_process_pid(parent));
    if (what != RETURNS) CHECK_STATUS(APR_SUCCESS, cohort_process_kill(parent));
    else set_event(tree->go);
    party_end(parent, what != RETURNS ? -9 : 0);
    await_gone(tree->leader);
    await_strays_gone(tree);
    free_tree(tree);
}

static void all_ends_with_the_parent(void) {
    skip_without_trees();
    check_parent(RETURNS);
    check_parent(WAITS);
    check_parent(EXECS);
}

/* Its parent has ended before, and it runs to its end. */
static void all_ends_with_a_process_without_parent(void) {
    skip_without_trees();
    tree_t *tree = new_tree(WAITS, COHORT_LIFETIME_FOREGROUND, COHORT_CONTAIN_TREE);
    cohort_process_t *parent =
        start_as(COHORT_LIFETIME_FOREGROUND, start_other_tree, &tree, sizeof tree);
    await_event(tree->ready);
    await_keeper(cohort_process_pid(parent));
    party_kill(parent);
    for (int i = 0; i < 50; i++) apr_sleep(2000); /* what would end it has done so by then */
    CHECK(process_runs(tree->leader));
    check_strays_run(tree);
    set_event(tree->go);
    await_gone(tree->leader);
    await_strays_gone(tree);
    free_tree(tree);
}

static int lose_keeper(void *args) {
    tree_t *tree = tree_of(args);
    (void)launch_tree(tree);
    const char *helper = strcmp(test_method(), "forkserver") ? "cohort-keeper" : "cohort-server";
    apr_int64_t lost = await_child_named(getpid(), helper, 0);
    apr_sleep(1100000); /* one that ends sooner after its start is not replaced at once */
    CHECK_INT(0, kill((pid_t)lost, SIGKILL));
    (void)await_child_named(getpid(), "cohort-keeper", lost);
    await_keeper(getpid());
    set_event(tree->go);
    party_wait_for_death();
}

/* The next keeper holds it, also where it was a fork server's. */
static void all_ends_with_the_parent_that_has_lost_its_keeper(void) {
    skip_without_trees();
    tree_t *tree = new_tree(WAITS, COHORT_LIFETIME_DAEMON, COHORT_CONTAIN_TREE);
    cohort_process_t *parent =
        start_as(COHORT_LIFETIME_FOREGROUND, lose_keeper, &tree, sizeof tree);
    await_event(tree->go);
    party_kill(parent);
    await_gone(tree->leader);
    await_strays_gone(tree);
    free_tree(tree);
}

/* ---- trees in trees ------------------------------------------------------------------------- */

typedef struct {
    tree_t *outer, *inner;
} nested_t;

static int start_inner(void *args) {
    nested_t *n = args;
    atomic_store(&n->outer->leader, getpid());
    start_strays(n->outer);
    (void)launch_tree(n->inner);
    set_event(n->outer->ready);
    party_wait_for_death();
}

static void check_nested(cohort_containment_t inner, bool inner_first) {
    nested_t n = {new_tree(WAITS, COHORT_LIFETIME_DAEMON, COHORT_CONTAIN_TREE),
                  new_tree(RETURNS, COHORT_LIFETIME_DAEMON, inner)};
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_process_launch(&process, start_inner, &n, sizeof n,
                                                    &n.outer->options, NULL));
    await_event(n.outer->ready);
    if (inner_first) {
        set_event(n.inner->go);
        await_strays_gone(n.inner);
        check_strays_run(n.outer);
        CHECK(process_runs(n.outer->leader));
    }
    CHECK_INT(0, kill((pid_t)cohort_process_pid(process), SIGKILL));
    party_end(process, -9);
    await_gone(n.inner->leader);
    await_strays_gone(n.inner);
    await_strays_gone(n.outer);
    free_tree(n.outer);
    free_tree(n.inner);
}

static void a_daemon_of_a_daemon_is_in_both_trees(void) {
    skip_without_trees();
    check_nested(COHORT_CONTAIN_TREE, true);
    check_nested(COHORT_CONTAIN_TREE, false);
    check_nested(COHORT_CONTAIN_DEFAULT, false);
}

static int start_background(void *args) {
    nested_t *n = args;
    start_strays(n->outer);
    (void)launch_tree(n->inner);
    cohort_program_t program = {.argv = (const char *const[]){TEST_ACTOR, "wait", NULL}};
    cohort_process_options_t options = {.lifetime = COHORT_LIFETIME_BACKGROUND};
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_process_launch_program(&process, &program, &options, NULL));
    atomic_store(&n->outer->leader, cohort_process_pid(process));
    set_event(n->outer->ready);
    party_wait_for_death();
}

static void check_background(apr_status_t (*how)(cohort_process_t *)) {
    nested_t n = {new_tree(WAITS, COHORT_LIFETIME_DAEMON, COHORT_CONTAIN_TREE),
                  new_tree(RETURNS, COHORT_LIFETIME_BACKGROUND, COHORT_CONTAIN_DEFAULT)};
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_process_launch(&process, start_background, &n, sizeof n,
                                                    &n.outer->options, NULL));
    await_event(n.outer->ready);
    CHECK_STATUS(APR_SUCCESS, how(process));
    party_end(process, how == cohort_process_terminate ? -15 : -9);
    await_strays_gone(n.outer);
    CHECK(process_runs(n.inner->leader));
    CHECK(process_runs(n.outer->leader)); /* the program */
    CHECK_INT(0, kill((pid_t)n.outer->leader, SIGKILL));
    set_event(n.inner->go);
    await_gone(n.inner->leader);
    check_strays_go_on(n.inner);
    free_tree(n.outer);
    free_tree(n.inner);
}

static void background_processes_are_spared(void) {
    skip_without_trees();
    check_background(cohort_process_kill);
    check_background(cohort_process_terminate);
    check_background(cohort_process_kill_tree);
}

/* Also those of another cohort, which a program of the tree is the root of. */
static void background_processes_of_a_program_are_spared(void) {
    skip_without_trees();
    cohort_program_t program = {.argv = (const char *const[]){TEST_NESTED, test_method(), NULL},
                                .streams = {[1] = {.kind = COHORT_STREAM_PIPE}}};
    cohort_process_options_t options = {.containment = COHORT_CONTAIN_TREE};
    cohort_process_t *process = NULL;
    char line[32];
    apr_int64_t pids[7];
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_launch_program(&process, &program, &options, test_pool()));
    for (int i = 0; i < 7; i++) {
        CHECK_STATUS(APR_SUCCESS, apr_file_gets(line, sizeof line, program.streams[1].file));
        pids[i] = atoll(line);
    }
    CHECK_STATUS(APR_SUCCESS, cohort_process_kill(process));
    party_end(process, -9);
    for (int i = 4; i < 7; i++) await_gone(pids[i]);
    for (int i = 0; i < 4; i++) CHECK(process_runs(pids[i]));
    for (int i = 0; i < 4; i++) CHECK_INT(0, kill((pid_t)pids[i], SIGKILL));
}

/* ---- workers -------------------------------------------------------------------------------- */

static apr_status_t start_strays_in_task(const void *input, void *output) {
    tree_t *tree = *(tree_t *const *)input;
    (void)output;
    start_strays(tree);
    if (tree->what == DIES) raise(SIGKILL);
    return APR_SUCCESS;
}

static void check_worker(what_t what) {
    tree_t *tree = new_tree(what, COHORT_LIFETIME_DAEMON, COHORT_CONTAIN_TREE);
    cohort_pool_options_t options = {.workers = 1, .containment = COHORT_CONTAIN_TREE};
    cohort_pool_t *pool = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&pool, &options, NULL));
    CHECK_STATUS(what == DIES ? COHORT_EWORKERDIED : APR_SUCCESS,
                 cohort_pool_apply(pool, start_strays_in_task, &tree, sizeof tree, NULL, 0));
    if (what != DIES) check_strays_run(tree);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
    await_strays_gone(tree);
    free_tree(tree);
}

static void all_ends_with_a_worker(void) {
    skip_without_trees();
    check_worker(RETURNS);
    check_worker(DIES);
}

/* ---- kill_tree ------------------------------------------------------------------------------ */

/* Its descendants are known by their parents alone. */
static void check_kill_tree(cohort_lifetime_t lifetime) {
    tree_t *tree = new_tree(WAITS, lifetime, COHORT_CONTAIN_DEFAULT);
    tree->bare = true;
    cohort_process_t *process = launch_tree(tree);
    apr_status_t status = cohort_process_kill_tree(process);
    bool works = !APR_STATUS_IS_ENOTIMPL(status);
    if (works) {
        CHECK_STATUS(APR_SUCCESS, status);
    } else {
        CHECK(process_runs(tree->leader));
        CHECK_STATUS(APR_SUCCESS, cohort_process_kill(process));
    }
    party_end(process, -9);
    if (works) {
        await_gone(tree->strays[PROGRAM]);
        await_gone(tree->strays[COPY]);
        CHECK(process_runs(tree->strays[ORPHANED_PROGRAM]));
    }
    for (int i = 0; i < STRAYS; i++) (void)kill((pid_t)tree->strays[i], SIGKILL);
    free_tree(tree);
    if (!works) SKIP("this system does not tell what a process has started");
}

static void descendants_of_any_process_are_killed(void) {
    check_kill_tree(COHORT_LIFETIME_FOREGROUND);
    check_kill_tree(COHORT_LIFETIME_DAEMON);
    check_kill_tree(COHORT_LIFETIME_BACKGROUND);
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_process_create(&process, nothing, NULL, 0, NULL, NULL));
    CHECK_STATUS(COHORT_ENOTSTARTED, cohort_process_kill_tree(process));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(process, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_process_kill_tree(process));
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(process));
}

static int kill_own_tree(void *args) {
    tree_t *tree = tree_of(args);
    start_strays(tree);
    CHECK_STATUS(APR_SUCCESS, cohort_process_kill_tree(cohort_process_current()));
    return 5;
}

static int kill_parents_tree(void *args) {
    (void)args;
    CHECK_STATUS(APR_SUCCESS, cohort_process_kill_tree(cohort_process_parent()));
    return 5;
}

static int start_killer(void *args) {
    start_strays(tree_of(args));
    (void)start_as(COHORT_LIFETIME_FOREGROUND, kill_parents_tree, args, sizeof(tree_t *));
    party_wait_for_death();
}

static void check_from_within(cohort_target_t target) {
    tree_t *tree = new_tree(WAITS, COHORT_LIFETIME_DAEMON, COHORT_CONTAIN_TREE);
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_launch(&process, target, &tree, sizeof tree, &tree->options, NULL));
    party_end(process, -9);
    await_strays_gone(tree);
    free_tree(tree);
}

static void a_process_may_kill_its_own_tree(void) {
    skip_without_trees();
    check_from_within(kill_own_tree);
    check_from_within(start_killer);
}

static cohort_process_t *start_by(cohort_start_method_t method, cohort_target_t target) {
    cohort_process_options_t options = {.method = method};
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_process_launch(&process, target, NULL, 0, &options, NULL));
    return process;
}

static void *APR_THREAD_FUNC start_others(apr_thread_t *thread, void *goes_on) {
    (void)thread;
    while (atomic_load((_Atomic int *)goes_on))
        party_finish(start_by(COHORT_START_FORKSERVER, nothing));
    return NULL;
}

/* In a session of its own, so in a group that is orphaned but for the children that a fork server
 * has put into it: were one of its processes stopped when the last of these ends, the system would
 * hang up on all of it. */
static int kill_while_others_end(void *args) {
    enum { ROUNDS = 200 };
    _Atomic int goes_on = 1;
    (void)args;
    apr_thread_t *thread = party_thread(start_others, (void *)&goes_on);
    for (int i = 0; i < ROUNDS; i++) {
        cohort_process_t *stays = start_by(COHORT_START_FORK, stay);
        CHECK_STATUS(APR_SUCCESS, cohort_process_kill_tree(stays));
        party_end(stays, -9);
        CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(stays));
    }
    atomic_store(&goes_on, 0);
    party_thread_finish(thread);
    return 0;
}

static void the_callers_group_is_not_stopped(void) {
    skip_without_trees();
    party_finish(start_as(COHORT_LIFETIME_BACKGROUND, kill_while_others_end, NULL, 0));
}

/* ---- without means -------------------------------------------------------------------------- */

static void check_words(apr_status_t status) {
    CHECK_STATUS(APR_ENOTIMPL, status);
    CHECK(strstr(cohort_last_error(), "what a process has started") != NULL);
}

/* In a process that has lost /proc, where it may. */
static int try_without_proc(void *args) {
    cohort_process_options_t options = {.containment = COHORT_CONTAIN_TREE};
    cohort_process_t *process = NULL;
    (void)args;
#ifdef __linux__
    if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
        mount("none", "/proc", "tmpfs", 0, NULL))
        return 77;
#endif
    check_words(cohort_process_create(&process, nothing, NULL, 0, &options, NULL));
    cohort_pool_options_t pool_options = {.workers = 1, .containment = COHORT_CONTAIN_TREE};
    cohort_pool_t *pool = NULL;
    check_words(cohort_pool_create(&pool, &pool_options, NULL));
    check_words(cohort_process_kill_tree(cohort_process_current()));
    return 0;
}

static void what_a_system_lacks_is_said(void) {
    if (SANITIZED) SKIP("a sanitizer needs /proc");
    cohort_process_t *process = start_as(COHORT_LIFETIME_FOREGROUND, try_without_proc, NULL, 0);
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(process, COHORT_FOREVER));
    int code = cohort_process_exit_code(process);
    if (code == 77) SKIP("needs root and mounts");
    CHECK_INT(0, code);
}

static void what_cannot_be_meant_is_refused(void) {
    cohort_process_t *process = NULL;
    cohort_process_options_t options = {.containment = (cohort_containment_t)9};
    CHECK_STATUS(APR_EINVAL, cohort_process_create(&process, nothing, NULL, 0, &options, NULL));
    CHECK(strstr(cohort_last_error(), "containment is 9") != NULL);
    options.containment = COHORT_CONTAIN_GROUP;
    options.group = COHORT_GROUP_PARENT;
    CHECK_STATUS(APR_EINVAL, cohort_process_create(&process, nothing, NULL, 0, &options, NULL));
    CHECK(strstr(cohort_last_error(), "the parent's") != NULL);
}

#define CASES(X)                                         \
    X(all_ends_with_a_process)                           \
    X(all_ends_with_a_killed_process)                    \
    X(a_stopped_process_takes_all_with_it)               \
    X(what_has_left_the_group_is_spared_otherwise)       \
    X(all_ends_with_a_program)                           \
    X(a_tree_that_grows_is_ended)                        \
    X(all_ends_with_the_parent)                          \
    X(all_ends_with_a_process_without_parent)            \
    X(all_ends_with_the_parent_that_has_lost_its_keeper) \
    X(a_daemon_of_a_daemon_is_in_both_trees)             \
    X(background_processes_are_spared)                   \
    X(background_processes_of_a_program_are_spared)      \
    X(all_ends_with_a_worker)                            \
    X(descendants_of_any_process_are_killed)             \
    X(a_process_may_kill_its_own_tree)                   \
    X(the_callers_group_is_not_stopped)                  \
    X(what_a_system_lacks_is_said)                       \
    X(what_cannot_be_meant_is_refused)

CASES(RUN)

const test_case_t contain_tree_cases[] = {CASES(ENTRY){0}};
