/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What a process starts after it has become another one: fork servers for its states, and which
 * process may end which when rights have been given up. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "system.h"

#include <errno.h>
#include <grp.h>
#include <string.h>
#include <sys/stat.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif

#define STATES      12
#define SERVERS_MAX 8
#define FIRST_GROUP 23450 /* groups that no process is in */
#define NOBODY      12345

static void need_root(void) {
    if (geteuid() != 0) SKIP("only root can become another user");
    if (SANITIZED) SKIP("the leak check needs the privileges");
    if (!open_to_others()) SKIP("the executable is closed to others");
}

static void need_servers(void) {
    need_root();
    if (strcmp(test_method(), "forkserver")) SKIP("only this start method has servers");
}

/* Children of this process that are fork servers and run. */
static int count_servers(void) {
    int n = 0;
    DIR *directory = opendir("/proc");
    if (!directory) SKIP("needs /proc");
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        char path[300], name[32] = "";
        int of = 0;
        apr_int64_t pid = atoll(entry->d_name);
        char state = pid > 0 ? process_state(pid, &of) : 0;
        if (!state || state == 'Z' || of != (int)getpid()) continue;
        snprintf(path, sizeof path, "/proc/%s/comm", entry->d_name);
        FILE *file = fopen(path, "r");
        if (!file) continue;
        n += fgets(name, sizeof name, file) && !strncmp(name, "cohort-server", 13);
        fclose(file);
    }
    closedir(directory);
    return n;
}

static void be_in_group(gid_t group) { CHECK_INT(0, setgroups(1, &group)); }

typedef struct {
    _Atomic int ready, go;
    _Atomic int64_t group[STATES], parent[STATES];
    apr_int64_t daemon; /* its pid */
} board_t;

typedef struct {
    board_t *board;
    int place;
    bool stays;
} seat_t;

static int say_group(void *args) {
    const seat_t *seat = args;
    gid_t groups[4];
    CHECK_INT(1, getgroups(4, groups));
    atomic_store(&seat->board->group[seat->place], groups[0]);
    atomic_store(&seat->board->parent[seat->place], getppid());
    atomic_fetch_add(&seat->board->ready, 1);
    while (seat->stays && !atomic_load(&seat->board->go)) apr_sleep(1000);
    return 0;
}

/* A server that is wanted no more and has no child ends. */
static void servers_without_work_end(void) {
    need_servers();
    board_t *board = party_memory(sizeof *board);
    for (int i = 0; i < STATES; i++) {
        seat_t seat = {board, i, false};
        be_in_group(FIRST_GROUP + i);
        party_finish(party_start(say_group, &seat, sizeof seat));
        CHECK_INT(FIRST_GROUP + i, atomic_load(&board->group[i]));
        CHECK(count_servers() <= SERVERS_MAX);
    }
    while (count_servers() != 1) apr_sleep(1000);
}

/* One that has children stays, and goes on as their parent; beyond the last server children are
 * started by this process itself. */
static void more_states_than_servers(void) {
    need_servers();
    board_t *board = party_memory(sizeof *board);
    cohort_process_t *children[STATES];
    int own = 0;
    for (int i = 0; i < STATES; i++) {
        seat_t seat = {board, i, true};
        be_in_group(FIRST_GROUP + i);
        children[i] = party_start(say_group, &seat, sizeof seat);
    }
    party_await(&board->ready, STATES);
    for (int i = 0; i < STATES; i++) {
        CHECK_INT(FIRST_GROUP + i, atomic_load(&board->group[i]));
        own += atomic_load(&board->parent[i]) == getpid();
    }
    CHECK_INT(SERVERS_MAX, count_servers());
    CHECK_INT(STATES - SERVERS_MAX, own);
    atomic_store(&board->go, 1);
    parties_finish(children, STATES);
}

/* A state that comes again finds its server. */
static void states_come_again(void) {
    need_servers();
    board_t *board = party_memory(sizeof *board);
    cohort_process_t *children[2];
    for (int i = 0; i < 2; i++) {
        seat_t seat = {board, i, true};
        be_in_group(FIRST_GROUP + i);
        children[i] = party_start(say_group, &seat, sizeof seat);
    }
    party_await(&board->ready, 2);
    for (int i = 2; i < STATES; i++) {
        seat_t seat = {board, i, false};
        be_in_group(FIRST_GROUP + i % 2);
        party_finish(party_start(say_group, &seat, sizeof seat));
        CHECK_INT(FIRST_GROUP + i % 2, atomic_load(&board->group[i]));
        CHECK_INT(atomic_load(&board->parent[i % 2]), atomic_load(&board->parent[i]));
    }
    CHECK_INT(2, count_servers());
    atomic_store(&board->go, 1);
    parties_finish(children, 2);
}

/* ---- servers that are killed ---------------------------------------------------------------- */

static int say_parent(void *args) {
    _Atomic int64_t *parent = *(_Atomic int64_t **)args;
    atomic_store(parent, getppid());
    return 0;
}

#if defined(SYS_pidfd_open) && defined(SYS_pidfd_getfd)
/* Copies of the ends of channels that a process has: they stay open when it is dead. */
static int copy_sockets(apr_int64_t pid, int copies[], int max) {
    int n = 0, process = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
    if (process < 0) SKIP("the system has no pidfd_open");
    for (int number = 3; number < 64 && n < max; number++) {
        struct stat info;
        int copy = (int)syscall(SYS_pidfd_getfd, process, number, 0);
        if (copy < 0 && (errno == ENOSYS || errno == EPERM)) SKIP("the system gives no copies");
        if (copy < 0) continue;
        if (fstat(copy, &info) == 0 && S_ISSOCK(info.st_mode)) copies[n++] = copy;
        else close(copy);
    }
    close(process);
    return n;
}
#else
static int copy_sockets(apr_int64_t pid, int copies[], int max) {
    (void)pid, (void)copies, (void)max;
    SKIP("the system gives no copies");
    return 0;
}
#endif

/* A request is posted to a server that is being killed, and has its channel open still: it goes
 * to another one. */
static void killed_while_its_channel_is_open(void) {
    if (strcmp(test_method(), "forkserver")) SKIP("only this start method has servers");
    _Atomic int64_t *parent = party_memory(sizeof *parent);
    for (int round = 0; round < 30; round++) {
        int copies[8];
        party_finish(party_start(say_parent, &parent, sizeof parent));
        pid_t server = (pid_t)atomic_load(parent);
        int n = copy_sockets(server, copies, 8);
        CHECK(n > 0);
        CHECK_INT(0, kill(server, SIGKILL));
        party_finish(party_start(say_parent, &parent, sizeof parent));
        CHECK(atomic_load(parent) != server);
        for (int i = 0; i < n; i++) close(copies[i]);
    }
}

/* ---- rights that are given up --------------------------------------------------------------- */

static void give_up_rights(void) {
    CHECK_INT(0, setgroups(0, NULL));
    CHECK_INT(0, setgid(NOBODY));
    CHECK_INT(0, setuid(NOBODY));
}

static int leave_cohort(void *args) {
    board_t *board = *(board_t **)args;
    cohort_process_t *before = party_start(stay, NULL, 0);
    board->daemon = cohort_process_pid(before);
    give_up_rights();
    cohort_process_t *after = party_start(stay, NULL, 0);
    party_kill(after);
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(after));
    apr_status_t status = cohort_process_kill(before);
    CHECK_INT(EPERM, APR_TO_OS_ERROR(status));
    CHECK(process_runs(board->daemon));
    return 0;
}

/* What cannot be signalled any more says so, and ends with its parent all the same. */
static void daemons_after_setuid(void) {
    need_root();
    board_t *board = party_memory(sizeof *board);
    party_finish(party_start(leave_cohort, &board, sizeof board));
    await_gone(board->daemon);
}

static apr_status_t effective_user(const void *input, void *output) {
    (void)input;
    *(int *)output = (int)geteuid();
    return APR_SUCCESS;
}

static apr_status_t die(const void *input, void *output) {
    (void)input, (void)output;
    raise(SIGKILL);
    return APR_SUCCESS;
}

static int replace_a_worker(void *args) {
    cohort_pool_t *pool = NULL;
    int user = -1;
    (void)args;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_create(&pool, &(cohort_pool_options_t){.workers = 1}, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_apply(pool, effective_user, NULL, 0, &user, sizeof user));
    CHECK_INT(0, user);
    give_up_rights();
    CHECK_STATUS(COHORT_EWORKERDIED, cohort_pool_apply(pool, die, NULL, 0, NULL, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_apply(pool, effective_user, NULL, 0, &user, sizeof user));
    CHECK_INT(NOBODY, user);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
    return 0;
}

/* Never more rights than the pool's maker has now. */
static void replacements_are_what_the_maker_is(void) {
    need_root();
    party_finish(party_start(replace_a_worker, NULL, 0));
}

const test_case_t servers_cases[] = {
    {"Servers", "servers_without_work_end", servers_without_work_end},
    {"Servers", "more_states_than_servers", more_states_than_servers},
    {"Servers", "states_come_again", states_come_again},
    {"Servers", "killed_while_its_channel_is_open", killed_while_its_channel_is_open},
    {"Servers", "daemons_after_setuid", daemons_after_setuid},
    {"Servers", "replacements_are_what_the_maker_is", replacements_are_what_the_maker_is},
    {0}};
