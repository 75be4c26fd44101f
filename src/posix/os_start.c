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
    REDIRECT,
    GIVE_FILES,
    CHANGE_DIRECTORY,
    ARM_LIFELINE,
    SETTLE_USER,
    EXECUTE
} step_t;

typedef struct {
    int error; /* 0: it is another program by now */
    step_t at; /* where it failed */
} outcome_t;

typedef struct {
    const cohort_os_start_t *start;
    const char *const *argv;
    const char *const *environment;
    const char **env;            /* the same when it had to be made, else NULL */
    const char **given_env;      /* the one in the context, or NULL */
    char **candidates;           /* paths to try, NULL-terminated */
    char boot[COHORT__BOOT_MAX]; /* "COHORT_BOOT=..." */
    char *boot_pid;              /* where in it the child writes its pid */
    /* a socket pair, by which the child knows its parent: its end, the parent's; NONE */
    cohort_os_handle_t witness[2];
    char title[TITLE_ROOM + 1];
    const char *self_argv[3];
    int report[2];          /* how the outcome comes back when memory is not shared; -1 = it is */
    const sigset_t *before; /* what the starter has blocked */
    int gate[2];            /* the child waits there until we know it; -1 = it does not */
    volatile int shared;    /* the child runs in our memory */
    volatile outcome_t outcome;
} plan_t;

/* ---- in the child: only async-signal-safe calls, no allocation ------------------------------ */

static _Noreturn void fail(plan_t *plan, step_t at, int error) {
    outcome_t outcome = {error, at};
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
    give_one(plan, plan->witness[0]);
}

/* Under the number that it has. */
static void give_files(plan_t *plan) {
    for (uint32_t i = 0; i < plan->start->n_files; ++i)
        if (fcntl(plan->start->files[i], F_SETFD, 0) != 0) fail(plan, GIVE_FILES, errno);
}

static int open_null(plan_t *plan) {
    int null;
    COHORT__RETRY(null, open("/dev/null", O_RDWR | O_CLOEXEC));
    null = cohort__fd_safe(null);
    if (null < 0) fail(plan, REDIRECT, errno);
    return null;
}

static void redirect(plan_t *plan) {
    int from[3], null = -1;
    for (int i = 0; i < 3; ++i) {
        from[i] = (int)plan->start->stdio[i];
        if (from[i] == COHORT_OS_NULL && null < 0) null = open_null(plan);
        if (from[i] == COHORT_OS_NULL) from[i] = null;
        /* a dup2() below would overwrite it */
        bool in_the_way = from[i] >= 0 && from[i] < 3 && from[i] != i;
        if (in_the_way) from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, 3);
        if (in_the_way && from[i] < 0) fail(plan, REDIRECT, errno);
    }
    for (int i = 0; i < 3; ++i) {
        int result;
        if (from[i] < 0) fcntl(i, F_SETFD, 0); /* if it is open */
        if (from[i] < 0) continue;
        COHORT__RETRY(result, from[i] == i ? fcntl(i, F_SETFD, 0) : dup2(from[i], i));
        if (result < 0) fail(plan, REDIRECT, errno);
    }
}

/* The null device where `given` (NULL: nowhere) names no stream. What cannot have it is closed:
 * nothing of the parent's may stay open. */
static void null_streams(const cohort_os_handle_t *given) {
    int null;
    COHORT__RETRY(null, open("/dev/null", O_RDWR));
    for (int i = 0; i < 3; ++i) {
        if (i == null || (given && given[i] != COHORT_OS_NONE)) continue;
        if (null < 0 || dup2(null, i) < 0) close(i);
    }
    if (null > 2) close(null);
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

static void pass_gate(const int gate[2]) {
    char byte;
    ssize_t result;
    if (gate[0] < 0) return;
    close(gate[1]);
    COHORT__RETRY(result, read(gate[0], &byte, 1));
    close(gate[0]);
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
    else cohort__group_enter(start->group);
    redirect(plan);
    if (start->detach) null_streams(start->stdio);
    give_files(plan);
    if (start->cwd && chdir(start->cwd) != 0) fail(plan, CHANGE_DIRECTORY, errno);
    if (start->how == COHORT_OS_PROGRAM && start->lifeline != COHORT_OS_NONE) {
        apr_status_t status = cohort__lifeline_exec((int)start->lifeline);
        if (status != APR_SUCCESS) fail(plan, ARM_LIFELINE, status);
    }
    cohort__signals_exec(start->signals, tidy, start->how == COHORT_OS_REEXEC, plan->before);
    if (start->how == COHORT_OS_REEXEC && cohort__boot_settle_user() != 0)
        fail(plan, SETTLE_USER, errno);
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

/* The environment with the boot block in front, and no other. */
static apr_status_t boot_environment(plan_t *plan) {
    const char *const *from = plan->environment;
    size_t count = 0, n = 0;
    while (from && from[count]) ++count;
    plan->env = calloc(count + 2, sizeof *plan->env);
    if (!plan->env) return APR_ENOMEM;
    plan->env[n++] = plan->boot;
    for (size_t i = 0; i < count; ++i)
        if (!cohort__boot_is(from[i])) plan->env[n++] = from[i];
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
    if (plan->given_env) plan->environment = plan->given_env;
    if (start->how == COHORT_OS_PROGRAM && (!start->argv || !start->argv[0])) return APR_EINVAL;
    if (start->how == COHORT_OS_REEXEC) own_arguments(plan);
    if (!start->boot) return start->how == COHORT_OS_REEXEC ? APR_EINVAL : APR_SUCCESS;
    cohort__witness_create(plan->witness);
    plan->boot_pid = cohort__boot_write(plan->boot, start->boot, plan->witness[0]);
    return boot_environment(plan);
}

static void discard(plan_t *plan) {
    for (char **path = plan->candidates; path && *path; ++path) free(*path);
    free(plan->candidates);
    free((void *)plan->env);
    free((void *)plan->given_env);
    cohort_os_close(plan->witness[0]);
    cohort_os_close(plan->witness[1]);
}

/* ---- in the parent -------------------------------------------------------------------------- */

static outcome_t outcome_of(plan_t *plan) {
    outcome_t outcome = {0, EXECUTE};
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
        return cohort__fail(outcome.error, "keeping the descriptors of the option files for %s",
                            program);
    case GIVE_HANDLES:
        return cohort__fail(outcome.error, "passing descriptors of the cohort to %s", program);
    case REDIRECT:
        return cohort__fail(outcome.error, "connecting the standard streams of %s", program);
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
    apr_status_t status = cohort_os_pipe_create(&reader, &writer);
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
    apr_status_t status = cohort_os_pipe_create(&reader, &writer);
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
    pid_t pid = fork();
    int error = pid < 0 ? errno : 0;
    cohort__forking = false;
    *in_child = pid == 0;
    if (pid == 0) pass_gate(gate);
    if (pid == 0) cohort__signals_forked(start->signals, &before);
    if (pid == 0 && start->detach) cohort__detach();
    if (pid == 0 && !start->detach) cohort__group_enter(start->group);
    if (pid == 0) *child = cohort_os_self();
    if (pid > 0) cohort__child_identify(pid, child);
    if (pid != 0) open_gate(gate);
    pthread_sigmask(SIG_SETMASK, pid != 0 && cohort__copy_mask ? &all : &before, NULL);
    if (pid > 0 && start->lifeline != COHORT_OS_NONE) cohort__lifeline_prepare(start->lifeline);
    return pid < 0 ? cohort__fail(error, "fork") : APR_SUCCESS;
}

/* Needs much of the stack. A function of its own keeps that out of the way of fork(): its copies
 * would have to copy one more page. */
static __attribute__((noinline)) apr_status_t carry_out(const cohort_os_start_t *start,
                                                        cohort_os_id_t *child) {
    plan_t plan = {.start = start, .witness = {COHORT_OS_NONE, COHORT_OS_NONE}};
    apr_status_t status = prepare(&plan);
    /* what shares our memory would be cancelled in our place */
    bool cancellable = cohort__allow_cancel(false);
    if (status == APR_SUCCESS) status = execute(&plan, child);
    (void)cohort__allow_cancel(cancellable);
    discard(&plan);
    return status;
}

static apr_status_t check_files(const cohort_os_start_t *start) {
    for (uint32_t i = 0; i < start->n_files; ++i)
        if (fcntl(start->files[i], F_GETFD) < 0)
            return cohort__fail(errno, "descriptor %d of the option files", (int)start->files[i]);
    return APR_SUCCESS;
}

apr_status_t cohort_os_start(const cohort_os_start_t *start, cohort_os_id_t *child,
                             bool *in_child) {
    apr_status_t status = check_files(start);
    if (status != APR_SUCCESS) return status;
    if (start->how == COHORT_OS_FORK) return duplicate(start, child, in_child);
    status = carry_out(start, child);
    if (status == APR_SUCCESS) *in_child = false;
    return status;
}

/* ---- without a terminal --------------------------------------------------------------------- */

void cohort__detach(void) {
    setsid();
    null_streams(NULL);
}
