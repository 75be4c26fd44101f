/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Faults where the cohort begins, where processes and programs are started and end, and in the
 * processes that are started. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "operation.h"

#include "core/memory/arena.h"
#include "core/process/process.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- processes ------------------------------------------------------------------------------ */

static int nothing(void *args) {
    (void)args;
    fault_disarm();
    return 0;
}

static apr_status_t process_create(things_t *t) {
    static const char args[BIG];
    return cohort_process_create(&t->process, nothing, args, sizeof args, NULL, NULL);
}
static void process_destroy(things_t *t) {
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(t->process));
}
static void process_make(things_t *t) { CHECK_STATUS(APR_SUCCESS, process_create(t)); }

static int run_object(cohort_process_base_t *self) {
    (void)self;
    return 0;
}
static apr_status_t process_create_object(things_t *t) {
    cohort_process_base_t base = {.size = sizeof base, .run = run_object};
    return cohort_process_create_object(&t->process, &base, NULL, NULL);
}

/* A daemon lives until it is told to end, so that it is held by a keeper in each try. */
static int daemon_until(void *args) {
    cohort_connection_t *end = *(cohort_connection_t **)args;
    char byte;
    apr_size_t size;
    return cohort_connection_recv(end, &byte, sizeof byte, &size, COHORT_FOREVER) != APR_SUCCESS;
}
static void daemon_make(things_t *t) {
    CHECK_STATUS(APR_SUCCESS, cohort_pipe_create(&t->near, &t->far, 0, NULL));
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_create(
                     &t->process, daemon_until, &t->far, sizeof t->far,
                     &(cohort_process_options_t){.lifetime = COHORT_LIFETIME_DAEMON}, NULL));
}
static void daemon_discard(things_t *t) {
    process_destroy(t);
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(t->near));
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(t->far));
}

#define KEPT 130 /* a descriptor that is open meanwhile */

static const int kept[] = {KEPT};

static cohort_process_options_t keeping(void) {
    bool travels = start_method() == COHORT_START_FORK || start_method() == COHORT_START_SPAWN;
    return (cohort_process_options_t){
        .files = kept, .n_files = travels, .signals = COHORT_SIGNALS_INHERIT};
}

static apr_status_t keeper_create(things_t *t) {
    cohort_process_options_t options = keeping();
    return cohort_process_create(&t->process, nothing, NULL, 0, &options, NULL);
}
static void keeper_make(things_t *t) {
    CHECK_INT(KEPT, dup2(2, KEPT));
    CHECK_STATUS(APR_SUCCESS, keeper_create(t));
}
static void keeper_close(things_t *t) {
    process_destroy(t);
    close(KEPT);
}

static apr_status_t process_start(things_t *t) { return cohort_process_start(t->process); }

static void join(things_t *t) {
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(t->process, COHORT_FOREVER));
    CHECK_INT(0, cohort_process_exit_code(t->process));
}

static void daemon_join(things_t *t) {
    CHECK_STATUS(APR_SUCCESS, cohort_connection_send(t->near, "", 1, COHORT_FOREVER));
    join(t);
}

static void process_make_started(things_t *t) {
    process_make(t);
    CHECK_STATUS(APR_SUCCESS, process_start(t));
}
static apr_status_t process_join(things_t *t) {
    return cohort_process_join(t->process, COHORT_FOREVER);
}

static int sleeper(void *args) {
    (void)args;
    return cohort_process_join(cohort_process_parent(), COHORT_FOREVER);
}

static void sleeper_make(things_t *t) {
    CHECK_STATUS(APR_SUCCESS, cohort_process_create(&t->process, sleeper, NULL, 0, NULL, NULL));
    CHECK_STATUS(APR_SUCCESS, process_start(t));
}
static apr_status_t process_kill(things_t *t) { return cohort_process_kill(t->process); }
static void reaped(things_t *t) {
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(t->process, COHORT_FOREVER));
    CHECK_INT(-9, cohort_process_exit_code(t->process));
}

static apr_status_t active_children(things_t *t) {
    cohort_process_t **list;
    apr_size_t n;
    apr_status_t status = cohort_process_active_children(&list, &n, t->memory);
    CHECK_INT(status == APR_SUCCESS, n > 0);
    return status;
}
static void sleeper_end(things_t *t) {
    CHECK_STATUS(APR_SUCCESS, process_kill(t));
    reaped(t);
    process_destroy(t);
}

static void processes_start(void) {
    static const operation_t operations[] = {
        {"process_create", NULL, process_create, process_destroy, NULL},
        {"process_create_object", NULL, process_create_object, process_destroy, NULL},
        {"process_start", process_make, process_start, join, process_destroy},
    };
    TRY_ALL(operations);
}

static void daemons_start(void) {
    static const operation_t operations[] = {
        {"daemon_start", daemon_make, process_start, daemon_join, daemon_discard},
    };
    TRY_ALL(operations);
}

/* With what the options can ask for. */
static void processes_start_with_options(void) {
    static const operation_t operations[] = {
        {"keeper_create", NULL, keeper_create, process_destroy, NULL},
        {"keeper_start", keeper_make, process_start, join, keeper_close},
    };
    TRY_ALL(operations);
}

static void processes_end(void) {
    static const operation_t operations[] = {
        {"process_join", process_make_started, process_join, NULL, process_destroy},
        {"process_kill", sleeper_make, process_kill, reaped, process_destroy},
        {"active_children", sleeper_make, active_children, NULL, sleeper_end},
    };
    TRY_ALL(operations);
}

static void program_make(things_t *t) {
    static const char *const argv[] = {"sh", "-c", "read line; exit 0", NULL};
    t->program = (cohort_program_t){.argv = argv, .cwd = "/"};
    for (int i = 0; i < 3; i++)
        t->program.streams[i].kind = i == 2 ? COHORT_STREAM_NULL : COHORT_STREAM_PIPE;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_create_program(
                     &t->process, &t->program,
                     &(cohort_process_options_t){.lifetime = COHORT_LIFETIME_DAEMON}, t->memory));
}
/* The program lives until its input ends: one that ended at once might not be held by a keeper, and
 * whether there is a keeper would be left to chance. */
static void program_join(things_t *t) {
    CHECK_STATUS(APR_SUCCESS, apr_file_close(t->program.streams[0].file));
    join(t);
}
static void program_keeper_make(things_t *t) {
    static const char *const argv[] = {"sh", "-c", "test -e /dev/fd/130", NULL};
    cohort_process_options_t options = {.files = kept, .n_files = 1};
    t->program = (cohort_program_t){.argv = argv};
    CHECK_INT(KEPT, dup2(2, KEPT));
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_create_program(&t->process, &t->program, &options, t->memory));
}
static apr_status_t program_create(things_t *t) {
    static const char *const argv[] = {"sh", NULL};
    t->program = (cohort_program_t){.argv = argv};
    return cohort_process_create_program(&t->process, &t->program, NULL, NULL);
}

static void missing_make(things_t *t) {
    static const char *const argv[] = {"/nowhere/at/all", NULL};
    t->program = (cohort_program_t){.argv = argv};
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_create_program(&t->process, &t->program, NULL, t->memory));
}
static apr_status_t missing_start(things_t *t) {
    apr_status_t status = process_start(t);
    return status == ENOENT ? APR_SUCCESS : status ? status : APR_EGENERAL;
}

/* Its pipes belong to the pool that `discard` destroys. */
static void programs(void) {
    static const operation_t operations[] = {
        {"program_create", NULL, program_create, process_destroy, NULL},
        {"program_start", program_make, process_start, program_join, process_destroy},
        {"program_keeper_start", program_keeper_make, process_start, join, keeper_close},
        {"program_missing", missing_make, missing_start, NULL, process_destroy},
    };
    TRY_ALL(operations);
}

/* Why a program does not begin is told through a pipe, by a child that also writes what it has to
 * say in pieces. */
static void report_in_pieces(fault_kind_t kind, long n) {
    things_t t = {0};
    static const operation_t missing = {"program_missing", missing_make, missing_start, NULL,
                                        process_destroy};
    prepare(&missing, &t);
    fault_arm_children(kind, n);
    fault_arm(kind, n);
    apr_status_t status = missing_start(&t);
    fault_disarm();
    CHECK_STATUS(APR_SUCCESS, status);
    discard(&missing, &t);
}

static void reports(void) {
    CHECK_STATUS(APR_SUCCESS, begin_cohort());
    for (long n = 1; n < 10; n++) report_in_pieces(FAULT_SHORT, n);
    report_in_pieces(FAULT_DRIP, 0);
    report_in_pieces(FAULT_STORM, 0);
    cohort_finalize();
    check_childless("program_missing", 0);
}

/* ---- in the processes that are started ------------------------------------------------------ */

typedef struct {
    int *hit; /* in the arena */
} word_t;

static int tell(void *args) {
    word_t *word = args;
    *word->hit = fault_disarm();
    return 0;
}

static apr_status_t start_faulted(cohort_process_t *process, fault_kind_t kind, long n) {
    fault_arm_children(kind, n);
    apr_status_t status = cohort_process_start(process);
    fault_disarm();
    return status;
}

/* The child (and a server that is made for it) meets the fault: then the start fails, or the child
 * copes. The server goes on counting, so a second start may fail too: it gets another one. */
static bool try_child(cohort_lifetime_t lifetime, fault_kind_t kind, long n, int *failures) {
    word_t word;
    cohort_process_t *process;
    CHECK_STATUS(APR_SUCCESS, begin_cohort());
    CHECK_STATUS(APR_SUCCESS, cohort_alloc((void **)&word.hit, sizeof *word.hit));
    *word.hit = 1;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_create(&process, tell, &word, sizeof word,
                                       &(cohort_process_options_t){.lifetime = lifetime}, NULL));
    apr_status_t status = start_faulted(process, kind, n);
    if (getenv("COHORT_FAULT_TRACE")) fprintf(stderr, "child %ld: %d\n", n, (int)status);
    if (status) {
        if (is_short(kind) || kind == FAULT_STORM) CHECK_STATUS(APR_SUCCESS, status);
        check_status_is_clear("child", n, status);
        (*failures)++;
        cohort__server_close();
        CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
    }
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(process, COHORT_FOREVER));
    bool hit = status || *word.hit;
    CHECK_INT(0, cohort_process_exit_code(process));
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(process));
    CHECK_STATUS(APR_SUCCESS, cohort_free(word.hit));
    cohort_finalize();
    return hit;
}

static void children_with(cohort_lifetime_t lifetime, fault_kind_t kind) {
    int failures = 0;
    long n = 1;
    holdings_t before = holdings_now();
    for (; n < POINTS_MAX && try_child(lifetime, kind, n, &failures); n++) {
        check_held("child", n, &before);
        check_childless("child", n);
    }
    CHECK(n < POINTS_MAX);
    printf("%s child, %s: %ld points, %d failed starts\n",
           lifetime == COHORT_LIFETIME_DAEMON ? "daemon" : "foreground", kind_name(kind), n - 1,
           failures);
}

static void children_of(cohort_lifetime_t lifetime) {
    int failures = 0;
    children_with(lifetime, FAULT_ONCE);
    children_with(lifetime, FAULT_ONWARD);
    children_with(lifetime, FAULT_SHORT);
    (void)try_child(lifetime, FAULT_DRIP, 0, &failures);
    (void)try_child(lifetime, FAULT_STORM, 0, &failures);
}

static void children(void) {
    children_of(COHORT_LIFETIME_FOREGROUND);
    children_of(COHORT_LIFETIME_DAEMON);
}

/* ---- the host reaps for itself -------------------------------------------------------------- */

enum { CODE_KNOWN, NOTHING_FAILED, CODE_LOST, CODE = 9 };

static cohort_os_id_t start_exiting(void) {
    cohort_os_start_t start = {.how = COHORT_OS_FORK};
    cohort_os_id_t child;
    bool in_child;
    CHECK_STATUS(APR_SUCCESS, cohort_os_start(&start, &child, &in_child));
    if (in_child) _exit(CODE);
    return child;
}

/* Between the report of the end and the library's reaping, of which no call may depend on
 * memory. */
static int reap_as_host(long n) {
    cohort_os_watch_t *watch;
    cohort_os_watch_room_t room;
    cohort_os_event_t event;
    int code = -1;
    CHECK_STATUS(APR_SUCCESS, cohort_os_watch_create(&watch));
    cohort_os_id_t child = start_exiting();
    CHECK_STATUS(APR_SUCCESS, cohort_os_watch_process(watch, &room, child, true, 1));
    fault_arm(FAULT_ONCE, n);
    apr_status_t status = cohort_os_watch_wait(watch, COHORT_OS_NEVER, &event);
    bool hit = fault_disarm();
    if (status) CHECK_STATUS(APR_SUCCESS, cohort_os_watch_wait(watch, COHORT_OS_NEVER, &event));
    CHECK_INT(child.pid, waitpid((pid_t)child.pid, NULL, 0));
    if (cohort_os_reap(child, &code) || code != CODE) return CODE_LOST;
    return hit ? CODE_KNOWN : NOTHING_FAILED;
}

/* Each in a process of its own, which sees its first end. */
static void host_that_reaps(void) {
    int status = CODE_KNOWN;
    long n = 1;
    for (; status == CODE_KNOWN && n < POINTS_MAX; n++) {
        pid_t pid = fork();
        if (pid == 0) _exit(reap_as_host(n));
        CHECK_INT(pid, waitpid(pid, &status, 0));
        status = WIFEXITED(status) ? WEXITSTATUS(status) : CODE_LOST;
        if (status == CODE_LOST)
            test_fail(__FILE__, __LINE__, "the exit code was lost with the call %ld", n);
    }
    CHECK_INT(NOTHING_FAILED, status);
}

/* ---- the cohort itself ---------------------------------------------------------------------- */

/* Up to 32 things are waited for without memory; in vain when there is none for more. */
static void wait_for_many(void) {
    cohort_process_t *process;
    cohort_waitable_t items[33] = {{0}};
    CHECK_STATUS(APR_SUCCESS, begin_cohort());
    CHECK_STATUS(APR_SUCCESS, cohort_process_create(&process, nothing, NULL, 0, NULL, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(process, COHORT_FOREVER));
    for (int i = 0; i < 33; i++) items[i].object = process;
    fault_arm(FAULT_ONWARD, 1);
    apr_status_t few = cohort_wait(items, 32, COHORT_WAIT_ALL, 0);
    bool hit = fault_disarm();
    fault_arm(FAULT_ONWARD, 1);
    apr_status_t many = cohort_wait(items, 33, COHORT_WAIT_ALL, 0);
    CHECK(!hit && fault_disarm());
    CHECK_STATUS(APR_SUCCESS, few);
    CHECK_STATUS(APR_ENOMEM, many);
    CHECK_STATUS(APR_SUCCESS, cohort_wait(items, 33, COHORT_WAIT_ALL, 0));
    cohort_finalize();
}

static void initialize_with(fault_kind_t kind) {
    int failures = 0;
    long n = 1;
    holdings_t before = holdings_now();
    for (bool hit = true; hit && n < POINTS_MAX; n++) {
        fault_arm(kind, n);
        apr_status_t status = begin_cohort();
        hit = fault_disarm();
        if (status) {
            CHECK(hit && !is_short(kind));
            check_status_is_clear("initialize", n, status);
            failures++;
            CHECK(cohort__arena == NULL);
            check_held("initialize", n, &before);
            CHECK_STATUS(APR_SUCCESS, begin_cohort());
        }
        cohort_finalize();
        check_held("initialize", n, &before);
    }
    CHECK(n < POINTS_MAX);
    printf("initialize, %s: %ld points, %d told\n", kind_name(kind), n - 2, failures);
}

static void initialize(void) {
    initialize_with(FAULT_ONCE);
    initialize_with(FAULT_ONWARD);
    initialize_with(FAULT_SHORT);
}

const test_case_t faults_processes_cases[] = {
    {"Faults", "initialize", initialize},
    {"Faults", "processes_start", processes_start},
    {"Faults", "daemons_start", daemons_start},
    {"Faults", "processes_start_with_options", processes_start_with_options},
    {"Faults", "processes_end", processes_end},
    {"Faults", "programs", programs},
    {"Faults", "reports", reports},
    {"Faults", "host_that_reaps", host_that_reaps},
    {"Faults", "children", children},
    {"Faults", "wait_for_many", wait_for_many},
    {0},
};
