/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Death of a process that is being started: between its first instruction and the first of its
 * target function, which it reaches by way of its claim of the slot, the arena, its arguments and
 * the take-off. Its starter gets a status, and never waits for ever; if that is success, the
 * process can be joined and has the exit code of a kill, or an unknown one; if not, it can be
 * started again. Of the dead one nothing is left.
 *
 * The same of a child that is given files and settings (gift.h, settings.h), which it takes over on
 * the way. These settings stand for all others, which are applied in one row.
 *
 * The same of a pool's worker, until its initializer begins, also of one that has settings and is
 * to report its crash: the pool is made, and replaces it, or can be made again. And of a fork
 * server, until it has started its first child: that one's start fails, or it lives on. And of a
 * keeper, until it runs: another one takes its place.
 */
#include "check.h"
#include "core/memory/arena.h"
#include "core/process/process.h"
#include "step.h"

#include <cohort/cohort.h>
#include <dirent.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CODE 7

typedef enum { A_CHILD, A_GIVEN_CHILD, A_WORKER, A_SET_WORKER, A_SERVER, A_KEEPER } victim_t;

typedef struct {
    cohort_start_method_t method;
    victim_t victim;
    cohort_process_t *starter; /* which starts the victim */
    cohort_process_t *ward;    /* what a keeper is to hold */
    step_place_t place;
    /* the victim's parent to be: the starter, or its fork server */
    _Atomic int64_t forker;
    _Atomic int again;           /* the victim is dead */
    _Atomic apr_status_t status; /* of its start */
} state_t;

/* ---- the starter ---------------------------------------------------------------------------- */

typedef struct {
    uint64_t blocks;
    int processes, records, descriptors, zombies;
} left_t;

static int descriptors_of(int64_t pid) {
    char path[64];
    int n = 0;
    snprintf(path, sizeof path, "/proc/%lld/fd", (long long)pid);
    DIR *directory = opendir(path);
    while (directory && readdir(directory)) n++;
    if (directory) closedir(directory);
    return n;
}

static bool has_zombie(void) {
    siginfo_t info = {.si_pid = 0};
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0;
}

/* Of processes that are not alive, records of threads count; those of the living come and go. */
static left_t measure(const state_t *s) {
    left_t left = {0};
    cohort__usage_t usage;
    cohort__alloc_usage(&usage);
    left.blocks = usage.blocks;
    for (uint32_t i = 0; i < cohort__process_count(); i++) {
        left.processes += cohort__process_state(cohort__process_at(i)) != COHORT__SLOT_FREE;
    }
    for (uint32_t i = 0; i < cohort__thread_count(); i++) {
        cohort__pid_t owner = atomic_load(&cohort__thread_at(i)->owner);
        left.records += owner && !cohort__process_alive(owner, false);
    }
    left.descriptors = descriptors_of(getpid()) + descriptors_of(atomic_load(&s->forker));
    left.zombies = has_zombie();
    return left;
}

#define LOOKS 500

static void check_left(const state_t *s, const left_t *before) {
    left_t now = measure(s);
    for (int i = 0; i < LOOKS && memcmp(&now, before, sizeof now) != 0; i++) {
        apr_sleep(10000);
        now = measure(s);
    }
    CHECK_INT(before->blocks, now.blocks);
    CHECK_INT(before->processes, now.processes);
    CHECK_INT(before->records, now.records);
    /* fewer when one was about to be closed as they were counted first */
    CHECK(now.descriptors <= before->descriptors);
    CHECK_INT(before->zombies, now.zombies);
}

/* In the process that is started: the victim is dead when it comes back. A server's child is not
 * the victim. */
static void come_to_the_end(state_t *s) {
    atomic_store(&s->place.done, 1);
    while (!atomic_load(&s->again) && s->victim != A_SERVER) sched_yield();
}

static int be_the_child(void *args) {
    come_to_the_end(*(state_t **)args);
    return CODE;
}

/* A fork server cannot hand them on: its client would start the child by spawn. */
static bool has_gifts(const state_t *s) { return s->method != COHORT_START_FORKSERVER; }

/* It has what it was given. */
static int be_a_given_child(void *args) {
    apr_file_t *file = NULL;
    const char *set = getenv("COHORT_STEP");
    state_t *s = *(state_t **)args;
    bool there = set && !strcmp(set, "given") && umask(0) == 077;
    if (has_gifts(s)) there = there && !cohort_gift_file(&file, "null", 0, test_pool());
    come_to_the_end(s);
    return there ? CODE : 0;
}

/* Opened once, before descriptors are counted. */
static apr_file_t *null_file;

static cohort_process_t *a_given_child(state_t *s) {
    static const char *const variables[] = {"COHORT_STEP=given", NULL};
    const cohort_settings_t settings = {
        .cwd = "/", .env = variables, .umask = COHORT_UMASK(077), .nice = 1};
    const cohort_gift_t gifts[] = {{.name = "null", .file = null_file}, {.file = null_file}};
    cohort_process_options_t options = {.lifetime = COHORT_LIFETIME_DAEMON,
                                        .method = s->method,
                                        .gifts = gifts,
                                        .n_gifts = has_gifts(s) ? 2 : 0,
                                        .settings = &settings};
    cohort_process_t *child;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_create(&child, be_a_given_child, &s, sizeof s, &options, NULL));
    return child;
}

static cohort_process_t *a_child_by(state_t *s, cohort_start_method_t method) {
    cohort_process_t *child;
    cohort_process_options_t options = {.lifetime = COHORT_LIFETIME_DAEMON, .method = method};
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_create(&child, be_the_child, &s, sizeof s, &options, NULL));
    return child;
}

static cohort_process_t *a_child(state_t *s) {
    return s->victim == A_GIVEN_CHILD ? a_given_child(s) : a_child_by(s, s->method);
}

static void run_to_its_end(cohort_process_t *child) {
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(child));
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(child, COHORT_FOREVER));
    CHECK_INT(CODE, cohort_process_exit_code(child));
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(child));
}

static void start_a_child(state_t *s) {
    cohort_process_t *child = a_child(s);
    apr_status_t status = cohort_process_start(child);
    atomic_store(&s->status, status);
    if (status) {
        CHECK_INT(COHORT_EXIT_NONE, cohort_process_exit_code(child));
        run_to_its_end(child);
        return;
    }
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(child, COHORT_FOREVER));
    int code = cohort_process_exit_code(child);
    if (s->victim == A_SERVER) CHECK_INT(CODE, code);
    else if (code != COHORT_EXIT_UNKNOWN) CHECK_INT(-SIGKILL, code);
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(child));
}

#define UMASK 027

/* A worker that replaces the victim has its settings, too. */
static apr_status_t be_a_set_worker(void *args) {
    come_to_the_end(*(state_t **)args);
    return umask(UMASK) == UMASK ? APR_SUCCESS : APR_EGENERAL;
}

static apr_status_t be_a_worker(void *args) {
    come_to_the_end(*(state_t **)args);
    return APR_SUCCESS;
}

static void start_a_worker(state_t *s) {
    int in[3] = {0, 1, 2}, out[3] = {0};
    cohort_pool_t *pool;
    cohort_pool_options_t options = {.workers = 1,
                                     .method = s->method,
                                     .initializer = be_a_worker,
                                     .init_args = &s,
                                     .init_size = sizeof s};
    const cohort_settings_t settings = {.umask = COHORT_UMASK(UMASK)};
    if (s->victim == A_SET_WORKER) {
        options.initializer = be_a_set_worker;
        options.settings = &settings;
        options.crash_report = 1;
    }
    apr_status_t status = cohort_pool_create(&pool, &options, NULL);
    atomic_store(&s->status, status);
    if (status) CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&pool, &options, NULL));
    CHECK_STATUS(APR_SUCCESS, COHORT_MAP(pool, step_task, in, 3, out));
    for (int i = 0; i < 3; i++) CHECK_INT(i + 1, out[i]);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
}

static int be_held(void *args) {
    (void)args;
    apr_sleep(apr_time_from_sec(3600)); /* it is killed before */
    return 0;
}

/* A daemon that no keeper has been told of yet. */
static cohort_process_t *a_ward(void) {
    cohort_process_t *ward;
    cohort_process_options_t options = {.lifetime = COHORT_LIFETIME_DAEMON,
                                        .method = COHORT_START_FORK};
    CHECK_STATUS(APR_SUCCESS, cohort_process_create(&ward, be_held, NULL, 0, &options, NULL));
    ward->bound = 0;
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(ward));
    ward->bound = 1;
    return ward;
}

static bool has_keeper(cohort__slot_state_t state) {
    bool found = false;
    for (uint32_t i = 0; i < cohort__process_count() && !found; i++) {
        cohort_process_t *slot = cohort__process_at(i);
        bool is_keeper = slot->role == COHORT__ROLE_KEEPER;
        bool mine = is_keeper && atomic_load(&slot->parent) == cohort__self_id();
        found = mine && cohort__process_state(slot) == state;
    }
    return found;
}

/* No call waits for a keeper. After its death the next process to be held brings another. */
static void start_a_keeper(state_t *s) {
    cohort__keeper_hold(s->ward);
    while (has_keeper(COHORT__SLOT_STARTING)) sched_yield();
    atomic_store(&s->place.done, 1);
    while (!atomic_load(&s->again)) sched_yield();
    while (!has_keeper(COHORT__SLOT_RUNNING)) {
        cohort__keeper_hold(s->ward);
        sched_yield();
    }
    CHECK_STATUS(APR_SUCCESS, cohort_process_kill(s->ward));
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(s->ward, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(s->ward));
}

static void start_a_victim(state_t *s) {
    if (s->victim == A_KEEPER) start_a_keeper(s);
    else if (s->victim == A_WORKER || s->victim == A_SET_WORKER) start_a_worker(s);
    else start_a_child(s);
}

static int64_t find_forker(const state_t *s) {
    if (s->method != COHORT_START_FORKSERVER || s->victim == A_SERVER) return getpid();
    for (uint32_t i = 0; i < cohort__process_count(); i++) {
        cohort_process_t *slot = cohort__process_at(i);
        bool mine =
            slot->role == COHORT__ROLE_SERVER && atomic_load(&slot->parent) == cohort__self_id();
        if (mine && cohort__process_state(slot) == COHORT__SLOT_RUNNING) return slot->os.pid;
    }
    return 0;
}

/* The starts before bring what stays: the watcher, the fork server, the keeper, which holds a
 * dead server's children too, and their descriptors. */
static int be_the_starter(void *args) {
    state_t *s = *(state_t **)args;
    atomic_store(&s->again, 1);
    CHECK_STATUS(APR_SUCCESS, apr_file_open(&null_file, "/dev/null", APR_READ | APR_WRITE,
                                            APR_OS_DEFAULT, test_pool()));
    run_to_its_end(a_child_by(s, COHORT_START_FORK));
    run_to_its_end(a_child(s));
    start_a_worker(s);
    atomic_store(&s->forker, find_forker(s));
    CHECK(atomic_load(&s->forker));
    /* a process that is joined is reaped a little later */
    for (int i = 0; i < LOOKS && has_zombie(); i++) apr_sleep(10000);
    left_t before = measure(s);
    if (s->victim == A_SERVER) cohort__server_close();
    if (s->victim == A_KEEPER) cohort__keeper_close();
    if (s->victim == A_KEEPER) s->ward = a_ward();
    atomic_store(&s->again, 0);
    atomic_store(&s->place.done, 0);
    atomic_store(&s->place.ready, 1);
    while (!atomic_load(&s->place.go)) sched_yield();
    start_a_victim(s);
    run_to_its_end(a_child(s));
    check_left(s, &before);
    return 0;
}

/* ---- the test ------------------------------------------------------------------------------- */

static void *prepare(cohort_start_method_t method, victim_t victim) {
    void *block;
    cohort_process_options_t options = {.lifetime = COHORT_LIFETIME_DAEMON,
                                        .method = COHORT_START_FORK};
    CHECK_STATUS(APR_SUCCESS, cohort_alloc(&block, sizeof(state_t)));
    state_t *s = memset(block, 0, sizeof(state_t));
    s->method = method;
    s->victim = victim;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_create(&s->starter, be_the_starter, &s, sizeof s, &options, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(s->starter));
    return s;
}

static void *child_by_fork(void) { return prepare(COHORT_START_FORK, A_CHILD); }
static void *child_by_server(void) { return prepare(COHORT_START_FORKSERVER, A_CHILD); }
static void *child_by_spawn(void) { return prepare(COHORT_START_SPAWN, A_CHILD); }
static void *given_by_fork(void) { return prepare(COHORT_START_FORK, A_GIVEN_CHILD); }
static void *given_by_server(void) { return prepare(COHORT_START_FORKSERVER, A_GIVEN_CHILD); }
static void *given_by_spawn(void) { return prepare(COHORT_START_SPAWN, A_GIVEN_CHILD); }
static void *worker_by_fork(void) { return prepare(COHORT_START_FORK, A_WORKER); }
static void *worker_by_server(void) { return prepare(COHORT_START_FORKSERVER, A_WORKER); }
static void *worker_by_spawn(void) { return prepare(COHORT_START_SPAWN, A_WORKER); }
static void *set_worker_by_fork(void) { return prepare(COHORT_START_FORK, A_SET_WORKER); }
static void *set_worker_by_server(void) { return prepare(COHORT_START_FORKSERVER, A_SET_WORKER); }
static void *set_worker_by_spawn(void) { return prepare(COHORT_START_SPAWN, A_SET_WORKER); }
static void *new_server(void) { return prepare(COHORT_START_FORKSERVER, A_SERVER); }

static void *new_keeper(void) { return prepare(COHORT_START_FORK, A_KEEPER); }

static pid_t the_forker(void *state, step_place_t **place) {
    state_t *s = state;
    *place = &s->place;
    while (!atomic_load(&s->place.ready) && cohort_process_is_alive(s->starter)) sched_yield();
    CHECK(atomic_load(&s->place.ready));
    return (pid_t)atomic_load(&s->forker);
}

static void check_start(void *state, bool finished) {
    state_t *s = state;
    atomic_store(&s->again, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(s->starter, COHORT_FOREVER));
    CHECK_INT(0, cohort_process_exit_code(s->starter));
    apr_status_t status = atomic_load(&s->status);
    CHECK(status == APR_SUCCESS || (status == COHORT_ESTART && !finished));
    step_end_orphans();
}

static void discard(void *state) {
    state_t *s = state;
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(s->starter));
    CHECK_STATUS(APR_SUCCESS, cohort_free(s));
}

#define CASE(function, prepare_)                                                               \
    static const step_scenario_t function##_scenario = {                                       \
        .prepare = prepare_, .check = check_start, .discard = discard, .starter = the_forker}; \
    static void function(void) { step_through(#function, &function##_scenario); }

CASE(child_of_fork, child_by_fork)
CASE(child_of_server, child_by_server)
CASE(child_of_spawn, child_by_spawn)
CASE(given_child_of_fork, given_by_fork)
CASE(given_child_of_server, given_by_server)
CASE(given_child_of_spawn, given_by_spawn)
CASE(worker_of_fork, worker_by_fork)
CASE(worker_of_server, worker_by_server)
CASE(worker_of_spawn, worker_by_spawn)
CASE(set_worker_of_fork, set_worker_by_fork)
CASE(set_worker_of_server, set_worker_by_server)
CASE(set_worker_of_spawn, set_worker_by_spawn)
CASE(fork_server, new_server)
CASE(keeper, new_keeper)

#define ENTRY(function) \
    { "StepStart", #function, function }
const test_case_t step_start_cases[] = {
    ENTRY(child_of_fork),
    ENTRY(child_of_server),
    ENTRY(child_of_spawn),
    ENTRY(given_child_of_fork),
    ENTRY(given_child_of_server),
    ENTRY(given_child_of_spawn),
    ENTRY(worker_of_fork),
    ENTRY(worker_of_server),
    ENTRY(worker_of_spawn),
    ENTRY(set_worker_of_fork),
    ENTRY(set_worker_of_server),
    ENTRY(set_worker_of_spawn),
    ENTRY(fork_server),
    ENTRY(keeper),
    {0},
};
