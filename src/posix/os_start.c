/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting processes. Guarantees: a failure of exec is a status here, and then no child exists; no
 * handler of the parent runs in the child; nothing but the standard streams and the named
 * descriptors is inherited, whether or not the others close on exec. The boot block of a
 * re-executed child is os_boot.c's.
 *
 * Everything that needs memory is prepared before the child exists, since the child of vfork() runs
 * in the parent's memory. It says so in `shared`: then the outcome is known when vfork() returns.
 * Where vfork() is a fork() (valgrind, sanitizers, systems without it) the outcome comes through a
 * pipe instead, which is made until a child has shared memory. All signals are blocked meanwhile.
 *
 * What the child does about signals is in os_signals.c.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "core/base/gifts.h"
#include "os_posix.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TITLE_ROOM 192 /* how long a name the child can show of itself later */

_Thread_local bool cohort__forking;

/* What the child does before it is another program. */
typedef enum {
    CLOSE_FILES,
    GIVE_HANDLES,
    GIVE_FILES,
    REDIRECT,
    TERMINAL,
    CHANGE_DIRECTORY,
    ARM_LIFELINE,
    SETTLE_USER,
    TAKE_SETTINGS,
    EXECUTE
} step_t;

typedef struct {
    int error; /* 0: it is another program by now */
    step_t at; /* where it failed */
    int step;  /* of the settings */
} outcome_t;

typedef struct {
    const cohort_os_start_t *start;
    const char *const *argv;
    const char *const *environment;
    const char **env;            /* the same, as it was made */
    const char **given_env;      /* the one in the context, or NULL */
    char **candidates;           /* paths to try, NULL-terminated */
    char boot[COHORT__BOOT_MAX]; /* "COHORT_BOOT=..." */
    char *boot_pid;              /* where in it the child writes its pid */
    char *gifts;                 /* room for what the child writes of them, or NULL */
    cohort_os_handle_t witness;  /* by which the child knows its parent; NONE */
    bool own_witness;            /* it is for this child alone */
    char mark[sizeof COHORT__MARK_NAME + COHORT__MARK_MAX];
    bool marked;
    char title[TITLE_ROOM + 1];
    const char *self_argv[3];
    int report[2];          /* how the outcome comes back when memory is not shared; -1 = it is */
    const sigset_t *before; /* what the starter has blocked */
    int gate[2];            /* the child waits there until we know it; -1 = it does not */
    int step;               /* of the settings, which failed */
    volatile int shared;    /* the child runs in our memory */
    volatile outcome_t outcome;
} plan_t;

/* ---- in the child: only async-signal-safe calls, no allocation ------------------------------ */

static _Noreturn void fail(plan_t *plan, step_t at, int error) {
    outcome_t outcome = {error, at, plan->step};
    plan->outcome = outcome;
    if (plan->report[1] >= 0) (void)cohort__write_all(plan->report[1], &outcome, sizeof outcome);
    _exit(127);
}

static void give_one(plan_t *plan, cohort_os_handle_t handle) {
    if (handle != COHORT_OS_NONE && fcntl((int)handle, F_SETFD, 0) != 0)
        fail(plan, GIVE_HANDLES, errno);
}

static void give_boot_handles(plan_t *plan) {
    const cohort_os_boot_t *boot = plan->start->boot;
    give_one(plan, boot->arena);
    give_one(plan, boot->lifeline);
    give_one(plan, boot->channel);
    give_one(plan, plan->witness);
}

static void try_all(plan_t *plan) {
    int error = ENOENT;
    for (char **path = plan->candidates; *path; ++path) {
        execve(*path, (char *const *)plan->argv, (char *const *)plan->environment);
        if (errno != ENOENT && errno != ENOTDIR && errno != EACCES) fail(plan, EXECUTE, errno);
        /* one that may not be run tells more than those that are not there */
        if (errno == EACCES || error != EACCES) error = errno;
    }
    fail(plan, EXECUTE, error);
}

/* As its first thing: what leads a group already could not. */
static void enter_session(const cohort_os_start_t *start) {
    bool own = start->settings && start->settings->set & COHORT_OS_SET_SESSION;
    if (own || start->terminal.own) setsid();
    else cohort__group_enter(start->group);
}

static void pass_gate(const int gate[2]) {
    char byte;
    ssize_t result;
    if (gate[0] < 0) return;
    close(gate[1]);
    COHORT__RETRY(result, read(gate[0], &byte, 1));
    close(gate[0]);
}

static void take_settings(plan_t *plan) {
    const cohort_os_start_t *start = plan->start;
    int end = start->cwd ? COHORT__TAKE_DIRECTORY : COHORT__TAKE_STEPS; /* its own counts */
    plan->step = cohort__settings_take(start->settings, end, true);
    if (plan->step >= 0) fail(plan, TAKE_SETTINGS, errno);
}

static void child_main(void *arg, bool tidy) {
    plan_t *plan = arg;
    const cohort_os_start_t *start = plan->start;
    plan->shared = 1;
    pass_gate(plan->gate);
    if (plan->boot_pid) cohort__boot_write_pid(plan->boot_pid);
    if (cohort__files_close_on_exec(3) != 0) fail(plan, CLOSE_FILES, errno);
    if (start->boot) give_boot_handles(plan);
    if (start->detach) setsid();
    else enter_session(start);
    if (cohort__gifts_give(start) != 0) fail(plan, GIVE_FILES, errno);
    if (plan->gifts) cohort__gifts_write(plan->gifts, start, getpid());
    if (cohort__streams_redirect(start->stdio) != 0) fail(plan, REDIRECT, errno);
    if (start->detach) cohort__streams_null(start->stdio);
    if (cohort__terminal_enter(&start->terminal) != 0) fail(plan, TERMINAL, errno);
    if (start->cwd && chdir(start->cwd) != 0) fail(plan, CHANGE_DIRECTORY, errno);
    if (start->how == COHORT_OS_PROGRAM && start->lifeline != COHORT_OS_NONE) {
        apr_status_t status = cohort__lifeline_exec((int)start->lifeline, start->alone);
        if (status != APR_SUCCESS) fail(plan, ARM_LIFELINE, status);
    }
    cohort__signals_exec(start->signals, tidy, start->how == COHORT_OS_REEXEC, plan->before);
    if (start->how == COHORT_OS_REEXEC && cohort__boot_settle_user() != 0)
        fail(plan, SETTLE_USER, errno);
    if (start->how == COHORT_OS_PROGRAM && start->settings) take_settings(plan);
    try_all(plan);
    _exit(127);
}

static pid_t launch(plan_t *plan) {
    if (plan->gate[0] < 0) return cohort__vfork(child_main, plan);
    pid_t pid = fork();
    if (pid == 0) child_main(plan, false);
    return pid;
}

/* ---- preparing ------------------------------------------------------------------------------ */

static apr_status_t own_path(plan_t *plan) {
    char path[COHORT_OS_PATH_MAX];
    apr_status_t status = APR_SUCCESS;
    if (!plan->start->path) status = cohort__own_executable(path, sizeof path);
    if (status != APR_SUCCESS) return status;
    plan->candidates = calloc(2, sizeof *plan->candidates);
    if (!plan->candidates) return APR_ENOMEM;
    plan->candidates[0] = strdup(plan->start->path ? plan->start->path : path);
    return plan->candidates[0] ? APR_SUCCESS : APR_ENOMEM;
}

static const char *search_path(const char *const *env) {
    if (!env) return cohort_os_facts()->privileged ? NULL : getenv("PATH");
    for (; *env; ++env)
        if (strncmp(*env, "PATH=", 5) == 0) return *env + 5;
    return NULL;
}

static char *joined(const char *directory, size_t length, const char *name) {
    char *path = malloc(length + strlen(name) + 2);
    if (!path) return NULL;
    memcpy(path, directory, length);
    if (length) path[length++] = '/'; /* an empty entry is the current directory */
    strcpy(path + length, name);
    return path;
}

static apr_status_t program_paths(plan_t *plan) {
    const char *name = plan->start->path, *list = search_path(plan->start->env);
    if (!name || !*name) return name ? ENOENT : APR_EINVAL;
    if (strchr(name, '/')) list = ""; /* "name" itself is tried */
    if (!list) list = "/usr/local/bin:/bin:/usr/bin";
    size_t count = 2;
    for (const char *s = list; *s; ++s) count += *s == ':';
    plan->candidates = calloc(count, sizeof *plan->candidates);
    if (!plan->candidates) return APR_ENOMEM;
    for (size_t i = 0; i < count - 1; ++i) {
        size_t length = strcspn(list, ":");
        plan->candidates[i] = joined(list, length, name);
        if (!plan->candidates[i]) return APR_ENOMEM;
        list += length + 1;
    }
    return APR_SUCCESS;
}

static bool is_of_gifts(const char *variable) {
    return strncmp(variable, COHORT__GIFTS "=", sizeof COHORT__GIFTS) == 0;
}

/* The environment with the boot block, the mark and the gifts in front, and no other of these: what
 * this process was given itself is not its children's. */
static apr_status_t add_to_environment(plan_t *plan) {
    const char *const *from = plan->environment;
    size_t count = 0, n = 0;
    while (from && from[count]) ++count;
    plan->env = calloc(count + 4, sizeof *plan->env);
    if (!plan->env) return APR_ENOMEM;
    if (plan->start->boot) plan->env[n++] = plan->boot;
    if (plan->marked) plan->env[n++] = plan->mark;
    if (plan->gifts) plan->env[n++] = plan->gifts;
    for (size_t i = 0; i < count; ++i) {
        bool ours = is_of_gifts(from[i]) || (plan->start->boot && cohort__boot_is(from[i]));
        if (!ours && !(plan->marked && cohort__mark_is(from[i]))) plan->env[n++] = from[i];
    }
    plan->environment = plan->env;
    return APR_SUCCESS;
}

/* The second argument is the name, padded, so that the child has room to show another one later. */
static void own_arguments(plan_t *plan) {
    const char *name = plan->start->name ? plan->start->name : "";
    size_t length = strnlen(name, TITLE_ROOM);
    memset(plan->title, ' ', TITLE_ROOM);
    memcpy(plan->title, name, length);
    plan->title[TITLE_ROOM] = 0;
    plan->self_argv[0] = plan->candidates[0];
    plan->self_argv[1] = plan->title;
    plan->argv = plan->self_argv;
}

static apr_status_t prepare(plan_t *plan) {
    const cohort_os_start_t *start = plan->start;
    apr_status_t status = start->how == COHORT_OS_REEXEC ? own_path(plan) : program_paths(plan);
    if (status != APR_SUCCESS) return status;
    plan->argv = start->argv;
    plan->environment = start->env ? start->env : (const char *const *)*cohort__environment();
    if (start->context_size)
        status = cohort__context_environment(start->context, start->context_size, &plan->given_env);
    if (status != APR_SUCCESS) return status;
    if (start->how == COHORT_OS_PROGRAM && start->settings && start->settings->n_env) {
        plan->given_env = cohort__settings_environment(start->settings, plan->environment);
        if (!plan->given_env) return APR_ENOMEM;
    }
    if (plan->given_env) plan->environment = plan->given_env;
    if (start->how == COHORT_OS_PROGRAM && (!start->argv || !start->argv[0])) return APR_EINVAL;
    if (start->how == COHORT_OS_REEXEC) own_arguments(plan);
    if (!start->boot && start->how == COHORT_OS_REEXEC) return APR_EINVAL;
    if (start->boot) plan->witness = cohort__witness_take(&plan->own_witness);
    if (start->boot) plan->boot_pid = cohort__boot_write(plan->boot, start->boot, plan->witness);
    plan->marked = cohort__mark_variable(start, plan->mark);
    if (cohort__gifts_any(start) && !(plan->gifts = malloc(cohort__gifts_room(start))))
        return APR_ENOMEM;
    return add_to_environment(plan);
}

static void discard(plan_t *plan) {
    for (char **path = plan->candidates; path && *path; ++path) free(*path);
    free(plan->candidates);
    free((void *)plan->env);
    free((void *)plan->given_env);
    free(plan->gifts);
    if (plan->own_witness) cohort_os_close(plan->witness);
}

/* ---- in the parent -------------------------------------------------------------------------- */

static outcome_t outcome_of(plan_t *plan) {
    outcome_t outcome = {0, EXECUTE, 0};
    if (plan->shared || plan->report[0] < 0) return plan->outcome;
    if (cohort__read_all(plan->report[0], &outcome, sizeof outcome) != sizeof outcome)
        outcome.error = 0;
    return outcome;
}

static apr_status_t explain(const plan_t *plan, outcome_t outcome) {
    const cohort_os_start_t *start = plan->start;
    const char *program = start->how == COHORT_OS_PROGRAM ? start->path : plan->candidates[0];
    switch (outcome.at) {
    case CLOSE_FILES: return cohort__fail(outcome.error, "keeping descriptors from %s", program);
    case GIVE_FILES:
        return cohort__fail(outcome.error, "giving %s what the options gifts and files name",
                            program);
    case GIVE_HANDLES:
        return cohort__fail(outcome.error, "passing descriptors of the cohort to %s", program);
    case REDIRECT:
        return cohort__fail(outcome.error, "connecting the standard streams of %s", program);
    case TERMINAL: return cohort__fail(outcome.error, "giving %s a terminal", program);
    case TAKE_SETTINGS:
        return cohort__settings_failed(start->settings, outcome.step, outcome.error);
    case CHANGE_DIRECTORY: return cohort__fail(outcome.error, "chdir %s", start->cwd);
    case ARM_LIFELINE:
        return cohort__fail(outcome.error, "binding %s to the life of its parent", program);
    case SETTLE_USER:
        return cohort__fail(outcome.error,
                            "making the effective user and group of %s its real ones", program);
    default: break;
    }
    bool searched = start->how == COHORT_OS_PROGRAM && !strchr(program, '/');
    if (outcome.error == ENOENT && !searched && access(program, F_OK) == 0)
        return cohort__fail(outcome.error, "exec %s, which is there: its interpreter is not",
                            program);
    return cohort__fail(outcome.error, searched ? "exec %s, searched for on PATH" : "exec %s",
                        program);
}

/* The host ignores its children, so the system forgets them as they end: their codes can only be
 * learnt by a watcher that knew the children before. */
static bool children_vanish(void) {
    struct sigaction action;
    return sigaction(SIGCHLD, NULL, &action) == 0 &&
           (action.sa_handler == SIG_IGN || action.sa_flags & SA_NOCLDWAIT);
}

static apr_status_t make_gate(int gate[2]) {
    cohort_os_handle_t reader, writer;
    gate[0] = gate[1] = -1;
    if (!children_vanish()) return APR_SUCCESS;
    apr_status_t status = cohort_os_pipe_create(COHORT_OS_PIPE_BYTES, &reader, &writer);
    if (status != APR_SUCCESS) return status;
    gate[0] = (int)reader;
    gate[1] = (int)writer;
    return APR_SUCCESS;
}

static void open_gate(const int gate[2]) {
    ssize_t result;
    if (gate[0] < 0) return;
    COHORT__RETRY(result, write(gate[1], "", 1)); /* its reader is open here too */
    close(gate[0]);
    close(gate[1]);
}

static apr_status_t launched(plan_t *plan, pid_t pid, cohort_os_id_t *id) {
    siginfo_t info;
    if (plan->gate[0] >= 0) cohort__child_identify(pid, id);
    open_gate(plan->gate);
    int result;
    outcome_t outcome = outcome_of(plan);
    if (outcome.error == 0) {
        if (plan->gate[0] < 0) cohort__child_identify(pid, id);
        return APR_SUCCESS;
    }
    if (plan->gate[0] >= 0) cohort_os_close(cohort__child_descriptor(*id));
    COHORT__RETRY(result, waitid(P_PID, (id_t)pid, &info, WEXITED));
    return explain(plan, outcome);
}

static _Atomic bool vfork_shares; /* as has been seen */

static apr_status_t make_report(int report[2]) {
    cohort_os_handle_t reader, writer;
    apr_status_t status = cohort_os_pipe_create(COHORT_OS_PIPE_BYTES, &reader, &writer);
    if (status != APR_SUCCESS) return status;
    report[0] = (int)reader;
    report[1] = (int)writer;
    return APR_SUCCESS;
}

/* A gate is for a fork(). */
static apr_status_t make_pipes(plan_t *plan) {
    plan->report[0] = plan->report[1] = -1;
    apr_status_t status = make_gate(plan->gate);
    if (status == APR_SUCCESS && (plan->gate[0] >= 0 || !atomic_load(&vfork_shares)))
        status = make_report(plan->report);
    if (status != APR_SUCCESS) open_gate(plan->gate);
    return status;
}

static apr_status_t execute(plan_t *plan, cohort_os_id_t *id) {
    sigset_t all, before;
    apr_status_t status = make_pipes(plan);
    if (status != APR_SUCCESS) return status;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    plan->before = cohort__copy_mask ? cohort__copy_mask : &before;
    cohort__forking = true;
    pid_t pid = launch(plan);
    int error = errno;
    cohort__forking = false;
    cohort_os_close(plan->report[1]);
    if (pid < 0) open_gate(plan->gate);
    status = pid < 0 ? cohort__fail(error, "making a child") : launched(plan, pid, id);
    if (plan->shared) atomic_store(&vfork_shares, true);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    plan->before = NULL;
    cohort_os_close(plan->report[0]);
    return status;
}

/* In the copy. */
static apr_status_t be_copy(const cohort_os_start_t *start, const int gate[2], sigset_t *before) {
    pass_gate(gate);
    cohort__signals_forked(start->signals, before);
    if (start->detach) cohort__detach(false);
    else enter_session(start);
    if (cohort__gifts_give(start) != 0) return cohort__fail(errno, "giving a copy its gifts");
    if ((start->streams ? cohort__streams_take(start->streams)
                        : cohort__streams_redirect(start->stdio)) != 0)
        return cohort__fail(errno, "connecting the standard streams of a copy");
    if (!start->streams && start->stdio[0] != COHORT_OS_NONE) cohort__input_purge();
    if (cohort__terminal_enter(&start->terminal) != 0)
        return cohort__fail(errno, "giving a copy a terminal");
    apr_status_t status = start->at_exit ? cohort__exit_own(start->at_exit) : APR_SUCCESS;
    return status == APR_SUCCESS ? status : cohort__fail(status, "atexit in a copy");
}

static apr_status_t duplicate(const cohort_os_start_t *start, cohort_os_id_t *child,
                              bool *in_child) {
    sigset_t all, before;
    int gate[2];
    apr_status_t status = make_gate(gate);
    if (status != APR_SUCCESS) return status;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (cohort__copy_mask) before = *cohort__copy_mask;
    cohort__forking = true;
    pid_t pid = cohort__copy();
    if (pid < 0) status = cohort__fail(errno, "fork");
    cohort__forking = false;
    *in_child = pid == 0;
    if (pid == 0) status = be_copy(start, gate, &before);
    if (pid == 0) *child = cohort_os_self();
    if (pid > 0) cohort__child_identify(pid, child);
    if (pid != 0) open_gate(gate);
    pthread_sigmask(SIG_SETMASK, pid != 0 && cohort__copy_mask ? &all : &before, NULL);
    if (pid > 0 && start->lifeline != COHORT_OS_NONE) cohort__lifeline_prepare(start->lifeline);
    return status;
}

/* Needs much of the stack. A function of its own keeps that out of the way of fork(): its copies
 * would have to copy one more page. */
static __attribute__((noinline)) apr_status_t carry_out(const cohort_os_start_t *start,
                                                        cohort_os_id_t *child) {
    plan_t plan = {.start = start, .witness = COHORT_OS_NONE};
    apr_status_t status = prepare(&plan);
    /* what shares our memory would be cancelled in our place */
    bool cancellable = cohort__allow_cancel(false);
    if (status == APR_SUCCESS) status = execute(&plan, child);
    (void)cohort__allow_cancel(cancellable);
    discard(&plan);
    return status;
}

apr_status_t cohort_os_start(const cohort_os_start_t *start, cohort_os_id_t *child,
                             bool *in_child) {
    apr_status_t status = cohort__gifts_open(start);
    if (status != APR_SUCCESS) return status;
    if (start->how == COHORT_OS_FORK) return duplicate(start, child, in_child);
    status = carry_out(start, child);
    if (status == APR_SUCCESS) *in_child = false;
    return status;
}
