/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* main() that ends by pthread_exit(): its process goes on with the other threads, starts and
 * waits as before, and ends in order with the last of them. */
#include "../api/pools.h"
#include "system.h"

#include <pthread.h>

typedef struct {
    _Atomic int rounds, exits;
    cohort_event_t *first_is_gone;
    apr_int64_t pid;
} board_t;

static board_t *board;

static void note_exit(void) {
    if (board->pid == getpid()) atomic_fetch_add(&board->exits, 1);
}

/* The first thread is there still, as a zombie, for as long as others run. */
static void await_first_thread_gone(void) {
    char path[64], text[512];
    for (;; apr_sleep(1000)) {
        snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)getpid());
        FILE *file = fopen(path, "r");
        size_t got = file ? fread(text, 1, sizeof text - 1, file) : 0;
        if (file) fclose(file);
        text[got] = 0;
        const char *after = strrchr(text, ')');
        if (!after || after[2] == 'Z') return;
    }
}

/* In a process without its first thread. */
static void *work(void *arg) {
    cohort_pool_t *pool = arg;
    cohort_process_t *daemon = NULL, *child = NULL;
    int x = 6, y = 0;
    await_first_thread_gone();
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_create(
                     &daemon, stay, NULL, 0,
                     &(cohort_process_options_t){.lifetime = COHORT_LIFETIME_DAEMON}, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(daemon));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_apply(pool, square, &x, sizeof x, &y, sizeof y));
    CHECK_INT(36, y);
    CHECK_STATUS(APR_SUCCESS, cohort_process_create(&child, seven, NULL, 0, NULL, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(child));
    party_end(child, 7);
    CHECK_INT(1, cohort_process_is_alive(daemon));
    atomic_fetch_add(&board->rounds, 1);
    return NULL; /* the daemon and the workers are there still */
}

static _Noreturn void leave_main(void) {
    cohort_pool_t *pool = NULL;
    pthread_t thread;
    board->pid = getpid();
    CHECK_INT(0, atexit(note_exit));
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_create(&pool, &(cohort_pool_options_t){.workers = 2}, NULL));
    CHECK_INT(0, pthread_create(&thread, NULL, work, pool));
    pthread_exit(NULL);
}

static int run_without_main(void *args) {
    board = *(board_t **)args;
    leave_main();
}

static void *start_child(void *arg) {
    cohort_process_t **process = arg;
    cohort_process_options_t options = {.lifetime = COHORT_LIFETIME_FOREGROUND};
    CHECK_STATUS(APR_SUCCESS, cohort_process_create(process, run_without_main, &board, sizeof board,
                                                    &options, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(*process));
    return NULL;
}

/* From a thread of its own: what pthread_exit() unwinds in a forked child must not be a C++
 * program's main(). */
static void call(void *(*run)(void *), void *arg) {
    pthread_t thread;
    CHECK_INT(0, pthread_create(&thread, NULL, run, arg));
    CHECK_INT(0, pthread_join(thread, NULL));
}

static void a_child_goes_on_and_ends(void) {
    if (access("/proc/self/stat", R_OK)) SKIP("nothing tells whether a thread has ended");
    if (SANITIZED) SKIP("what the first thread's stack names counts as leaked");
    board = party_memory(sizeof *board);
    cohort_process_t *process = NULL;
    call(start_child, &process);
    party_end(process, 0);
    CHECK_INT(1, atomic_load(&board->rounds));
    CHECK_INT(1, atomic_load(&board->exits));
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(process));
}

/* A copy of this process that begins a cohort of its own. */
static void *start_root(void *pid) {
    if ((*(pid_t *)pid = fork()) != 0) return NULL;
    cohort_finalize();
    CHECK_STATUS(APR_SUCCESS, cohort_initialize(NULL));
    board = party_memory(sizeof *board);
    leave_main();
}

/* The same of a root. */
static void a_root_goes_on_and_ends(void) {
    int status;
    pid_t pid = -1;
    if (access("/proc/self/stat", R_OK)) SKIP("nothing tells whether a thread has ended");
    if (SANITIZED) SKIP("what the first thread's stack names counts as leaked");
    int ends[2];
    char text[64] = "";
    CHECK_INT(0, pipe(ends));
    call(start_root, &pid);
    close(ends[1]);
    CHECK_INT(pid, waitpid(pid, &status, 0));
    CHECK_INT(0, status);
    CHECK_INT(0, read(ends[0], text, sizeof text)); /* no process has it any more */
    close(ends[0]);
}

const test_case_t first_thread_cases[] = {
    {"FirstThread", "a_child_goes_on_and_ends", a_child_goes_on_and_ends},
    {"FirstThread", "a_root_goes_on_and_ends", a_root_goes_on_and_ends},
    {0}};
