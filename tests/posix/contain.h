/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What the tests of containment share: a board on which a daemon and its tree are written down,
 * processes that are started by means of one's own, and a terminal that is left. */
#ifndef COHORT_TESTS_CONTAIN_H
#define COHORT_TESTS_CONTAIN_H

#include "system.h"

#include <sys/ioctl.h>

typedef enum { WAITS, RETURNS, EXITS, DIES, EXECS, CLOSES, CLOSES_AND_EXECS } what_t;

/* In the arena. */
typedef struct {
    cohort_event_t *ready, *go;
    what_t what;
    cohort_lifetime_t lifetime;
    int alone;   /* the daemon starts nothing */
    int session; /* it has one of its own */
    /* the daemon's own child, and one that has lost its parent */
    _Atomic apr_int64_t daemon, child, orphan;
} board_t;

static inline board_t *new_board(what_t what) {
    board_t *board = party_memory(sizeof *board);
    board->ready = new_event();
    board->go = new_event();
    board->what = what;
    board->lifetime = COHORT_LIFETIME_DAEMON;
    return board;
}

static inline board_t *board_of(void *args) { return *(board_t **)args; }

static inline void free_board(board_t *board) {
    CHECK_STATUS(APR_SUCCESS, cohort_event_destroy(board->ready));
    CHECK_STATUS(APR_SUCCESS, cohort_event_destroy(board->go));
    CHECK_STATUS(APR_SUCCESS, cohort_free(board));
}

static inline apr_int64_t start_child(bool apart) {
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
static inline apr_int64_t start_orphan(void) {
    FILE *shell = popen(TEST_ACTOR " wait > /dev/null 2>&1 < /dev/null & echo $!", "r");
    long long pid = 0;
    CHECK(shell != NULL);
    CHECK_INT(1, fscanf(shell, "%lld", &pid));
    CHECK_INT(0, pclose(shell));
    return pid;
}

/* A child of `parent` with a name that begins so; 0: there is none. */
static inline apr_int64_t child_named(apr_int64_t parent, const char *name) {
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

/* The command name of a process becomes that of the program when it has been exec'ed. */
static inline void await_exec(apr_int64_t pid) {
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

static inline apr_int64_t await_child_named(apr_int64_t parent, const char *name,
                                            apr_int64_t other_than) {
    apr_int64_t pid;
    while ((pid = child_named(parent, name)) == 0 || pid == other_than) apr_sleep(1000);
    return pid;
}

/* A parent that is killed while its keeper begins leaves a daemon that has lost its lifeline. A
 * keeper that has begun sleeps, and one that begins does not for long. */
static inline void await_keeper(apr_int64_t parent) {
    int of = 0;
    if (!strcmp(test_method(), "forkserver")) return;
    apr_int64_t keeper = await_child_named(parent, "cohort-keeper", 0);
    for (int asleep = 0; asleep < 20; apr_sleep(1000))
        asleep = process_state(keeper, &of) == 'S' ? asleep + 1 : 0;
}

/* Each case runs without a terminal, whether or not the tests have one. */
static inline void leave_terminal(void) {
    int fd = open("/dev/tty", O_RDWR | O_NOCTTY);
    if (fd < 0) return;
    CHECK_INT(0, ioctl(fd, TIOCNOTTY));
    close(fd);
}

#define RUN(name)                  \
    static void run_##name(void) { \
        leave_terminal();          \
        name();                    \
    }
#define ENTRY(name) {"Contain", #name, run_##name},

static inline int leave_at_once(void *args) {
    (void)args;
    return 0;
}

static inline bool has_trees(void) {
    cohort_process_t *process = NULL;
    cohort_process_options_t options = {.containment = COHORT_CONTAIN_TREE};
    apr_status_t status = cohort_process_create(&process, leave_at_once, NULL, 0, &options, NULL);
    if (APR_STATUS_IS_ENOTIMPL(status)) return false;
    CHECK_STATUS(APR_SUCCESS, status);
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(process));
    return true;
}

static inline void skip_without_trees(void) {
    if (!has_trees()) SKIP("this system does not tell what a process has started");
}

#endif
