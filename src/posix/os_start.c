/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting processes. Guarantees: a failure of exec is a status here, and then no child exists; no handler of the parent runs in the
 * child; nothing but the named descriptors is inherited; the boot block is believed only by the very process it was made for.
 *
 * Everything that needs memory is prepared before the child exists, since the child of vfork() runs in the parent's memory. It says so in
 * `shared`: then the outcome is known when vfork() returns. Where vfork() is a fork() (valgrind, sanitizers, systems without it) the
 * outcome comes through a pipe instead, which is made until a child has shared memory. All signals are blocked meanwhile.
 *
 * A program and a re-executed child begin with no signal blocked and SIGCHLD at its default, whatever the host did (a host that
 * ignores SIGCHLD would make its children lose the exit codes of theirs); other ignored signals stay ignored, as exec has it.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef NSIG
#define NSIG 65
#endif

#define BOOT_NAME "COHORT_BOOT"
#define BOOT_MAX 256
#define PID_DIGITS 20
#define TITLE_ROOM 192 /* how long a name the child can show of itself later */

_Thread_local bool cohort__forking;
static bool interrupts_off; /* by cohort_os_set_interrupts(), not by the host */

typedef struct {
    const cohort_os_start_t *start;
    const char *const *argv;
    const char *const *environment;
    const char **env;      /* the same when it had to be made, else NULL */
    char **candidates;     /* paths to try, NULL-terminated */
    char boot[BOOT_MAX];   /* "COHORT_BOOT=..." */
    char *boot_pid;        /* where in it the child writes its pid */
    char title[TITLE_ROOM + 1];
    const char *self_argv[3];
    int report[2];         /* how the outcome comes back when memory is not shared; -1 = it is */
    int gate[2];           /* the child waits there until we know it; -1 = it does not */
    volatile int shared;   /* the child runs in our memory */
    volatile int error;
} plan_t;

/* ---- in the child: only async-signal-safe calls, no allocation ------------------------------------------------ */

static _Noreturn void fail(plan_t *plan, int error) {
    plan->error = error;
    if (plan->report[1] >= 0) (void)cohort__write_all(plan->report[1], &error, sizeof error);
    _exit(127);
}

static void write_pid(char *digits) {
    int64_t pid = getpid();
    for (int i = PID_DIGITS; i-- > 0; pid /= 10) digits[i] = (char)('0' + pid % 10);
}

static void reset_handler(int number) {
    struct sigaction action;
    bool ours = number == SIGCHLD || (number == SIGINT && interrupts_off);
    if (sigaction(number, NULL, &action) != 0 || action.sa_handler == SIG_DFL || (action.sa_handler == SIG_IGN && !ours)) return;
    memset(&action, 0, sizeof action);
    action.sa_handler = SIG_DFL;
    sigaction(number, &action, NULL);
}

/* `tidy`: only what is ignored may have to be reset. */
static void default_signals(bool tidy) {
    sigset_t none;
    for (int number = 1; number < NSIG && !tidy; ++number) reset_handler(number);
    if (tidy) reset_handler(SIGCHLD);
    if (tidy) reset_handler(SIGINT);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void give_one(plan_t *plan, cohort_os_handle_t handle) {
    if (handle != COHORT_OS_NONE && fcntl((int)handle, F_SETFD, 0) != 0) fail(plan, errno);
}

static void give_boot_handles(plan_t *plan) {
    const cohort_os_boot_t *boot = plan->start->boot;
    give_one(plan, boot->arena);
    give_one(plan, boot->lifeline);
    give_one(plan, boot->channel);
}

static void redirect(plan_t *plan) {
    int from[3];
    for (int i = 0; i < 3; ++i) {
        from[i] = (int)plan->start->stdio[i];
        bool in_the_way = from[i] >= 0 && from[i] < 3 && from[i] != i; /* a dup2() below would overwrite it */
        if (in_the_way) from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, 3);
        if (in_the_way && from[i] < 0) fail(plan, errno);
    }
    for (int i = 0; i < 3; ++i) {
        if (from[i] < 0) continue;
        int result;
        COHORT__RETRY(result, from[i] == i ? fcntl(i, F_SETFD, 0) : dup2(from[i], i));
        if (result < 0) fail(plan, errno);
    }
}

static void null_input(void) {
    int fd;
    COHORT__RETRY(fd, open("/dev/null", O_RDONLY));
    if (fd <= 0) return;
    dup2(fd, 0);
    close(fd);
}

static void try_all(plan_t *plan) {
    int error = ENOENT;
    for (char **path = plan->candidates; *path; ++path) {
        execve(*path, (char *const *)plan->argv, (char *const *)plan->environment);
        if (errno != ENOENT && errno != ENOTDIR && errno != EACCES) fail(plan, errno);
        if (errno == EACCES || error != EACCES) error = errno; /* one that may not be run tells more than those that are not there */
    }
    fail(plan, error);
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
    if (plan->boot_pid) write_pid(plan->boot_pid);
    if (start->boot) give_boot_handles(plan);
    if (start->detach) setsid();
    if (start->detach && start->stdio[0] == COHORT_OS_NONE) null_input();
    redirect(plan);
    if (start->cwd && chdir(start->cwd) != 0) fail(plan, errno);
    if (start->how == COHORT_OS_PROGRAM && start->lifeline != COHORT_OS_NONE) {
        apr_status_t status = cohort__lifeline_exec((int)start->lifeline);
        if (status != APR_SUCCESS) fail(plan, status);
    }
    default_signals(tidy);
    try_all(plan);
    _exit(127);
}

static pid_t launch(plan_t *plan) {
    if (plan->gate[0] < 0) return cohort__vfork(child_main, plan);
    pid_t pid = fork();
    if (pid == 0) child_main(plan, false);
    return pid;
}

/* ---- preparing ------------------------------------------------------------------------------------------------- */

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
    if (!env) return getenv("PATH");
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

static void write_boot(plan_t *plan) {
    const cohort_os_boot_t *b = plan->start->boot;
    int at = snprintf(plan->boot, BOOT_MAX, BOOT_NAME "=%u ", COHORT_OS_BOOT_VERSION);
    plan->boot_pid = plan->boot + at;
    snprintf(plan->boot_pid, (size_t)(BOOT_MAX - at),
             "%020d %" PRIu32 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIdPTR " %" PRIdPTR " %" PRIdPTR, 0, b->role, b->slot,
             b->base, b->size, b->arena, b->lifeline, b->channel);
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
        if (strncmp(from[i], BOOT_NAME "=", sizeof BOOT_NAME) != 0) plan->env[n++] = from[i];
    plan->environment = plan->env;
    return APR_SUCCESS;
}

/* The second argument is the name, padded, so that the child has room to show another one later. */
static void own_arguments(plan_t *plan) {
    const char *name = plan->start->name ? plan->start->name : "";
    snprintf(plan->title, sizeof plan->title, "%-*s", TITLE_ROOM, name);
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
    if (start->how == COHORT_OS_PROGRAM && (!start->argv || !start->argv[0])) return APR_EINVAL;
    if (start->how == COHORT_OS_REEXEC) own_arguments(plan);
    if (!start->boot) return start->how == COHORT_OS_REEXEC ? APR_EINVAL : APR_SUCCESS;
    write_boot(plan);
    return boot_environment(plan);
}

static void discard(plan_t *plan) {
    for (char **path = plan->candidates; path && *path; ++path) free(*path);
    free(plan->candidates);
    free((void *)plan->env);
}

/* ---- in the parent ---------------------------------------------------------------------------------------------- */

static int outcome(plan_t *plan) {
    int error = 0;
    if (plan->shared || plan->report[0] < 0) return plan->error;
    return cohort__read_all(plan->report[0], &error, sizeof error) == sizeof error ? error : 0;
}

/* The host ignores its children, so the system forgets them as they end: their codes can only be learnt by who knew them before. */
static bool children_vanish(void) {
    struct sigaction action;
    return sigaction(SIGCHLD, NULL, &action) == 0 && (action.sa_handler == SIG_IGN || action.sa_flags & SA_NOCLDWAIT);
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
    int result, error = outcome(plan);
    if (error == 0) {
        if (plan->gate[0] < 0) cohort__child_identify(pid, id);
        return APR_SUCCESS;
    }
    if (plan->gate[0] >= 0) cohort_os_close(cohort__child_descriptor(*id));
    COHORT__RETRY(result, waitid(P_PID, (id_t)pid, &info, WEXITED));
    return error;
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
    if (status == APR_SUCCESS && (plan->gate[0] >= 0 || !atomic_load(&vfork_shares))) status = make_report(plan->report);
    if (status != APR_SUCCESS) open_gate(plan->gate);
    return status;
}

static apr_status_t execute(plan_t *plan, cohort_os_id_t *id) {
    sigset_t all, before;
    apr_status_t status = make_pipes(plan);
    if (status != APR_SUCCESS) return status;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    cohort__forking = true;
    pid_t pid = launch(plan);
    int error = errno;
    cohort__forking = false;
    cohort_os_close(plan->report[1]);
    if (pid < 0) open_gate(plan->gate);
    status = pid < 0 ? error : launched(plan, pid, id);
    if (plan->shared) atomic_store(&vfork_shares, true);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    cohort_os_close(plan->report[0]);
    return status;
}

static apr_status_t duplicate(const cohort_os_start_t *start, cohort_os_id_t *child, bool *in_child) {
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
    if (pid == 0 && start->detach) cohort_os_detach();
    if (pid == 0) *child = cohort_os_self();
    if (pid > 0) cohort__child_identify(pid, child);
    if (pid != 0) open_gate(gate);
    pthread_sigmask(SIG_SETMASK, pid != 0 && cohort__copy_mask ? &all : &before, NULL);
    return pid < 0 ? error : APR_SUCCESS;
}

/* Needs much of the stack. A function of its own keeps that out of the way of fork(), whose copies would have to copy one more page. */
static __attribute__((noinline)) apr_status_t carry_out(const cohort_os_start_t *start, cohort_os_id_t *child) {
    plan_t plan = {.start = start};
    apr_status_t status = prepare(&plan);
    bool cancellable = cohort_os_forbid_cancel(); /* what shares our memory would be cancelled in our place */
    if (status == APR_SUCCESS) status = execute(&plan, child);
    cohort_os_allow_cancel(cancellable);
    discard(&plan);
    return status;
}

apr_status_t cohort_os_start(const cohort_os_start_t *start, cohort_os_id_t *child, bool *in_child) {
    if (start->how == COHORT_OS_FORK) return duplicate(start, child, in_child);
    apr_status_t status = carry_out(start, child);
    if (status == APR_SUCCESS) *in_child = false;
    return status;
}

/* ---- at the other end ------------------------------------------------------------------------------------------- */

static void keep(cohort_os_handle_t handle) {
    if (handle != COHORT_OS_NONE) fcntl((int)handle, F_SETFD, FD_CLOEXEC);
}

static apr_status_t read_boot(const char *text, cohort_os_boot_t *boot) {
    int64_t pid = 0;
    cohort_os_boot_t b;
    int n = sscanf(text, "%" SCNu32 " %" SCNd64 " %" SCNu32 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNdPTR " %" SCNdPTR " %" SCNdPTR,
                   &b.version, &pid, &b.role, &b.slot, &b.base, &b.size, &b.arena, &b.lifeline, &b.channel);
    if (n >= 2 && pid != (int64_t)getpid()) return APR_ENOENT; /* it leaked from somebody else */
    if (n >= 2 && b.version != COHORT_OS_BOOT_VERSION) return COHORT_EVERSION;
    if (n != 9) return APR_ENOENT;
    *boot = b;
    return APR_SUCCESS;
}

apr_status_t cohort_os_boot_take(cohort_os_boot_t *boot) {
    const char *text = getenv(BOOT_NAME);
    if (!text) return APR_ENOENT;
    apr_status_t status = read_boot(text, boot);
    unsetenv(BOOT_NAME);
    if (status != APR_SUCCESS) return status;
    keep(boot->arena);
    keep(boot->lifeline);
    keep(boot->channel);
    cohort__title_take();
    return APR_SUCCESS;
}

bool cohort_os_can_fork(void) { return true; }

/* A host that ignores interrupts by itself (nohup, a shell's background job) goes on doing so: only what was turned off here is turned on. */
void cohort_os_set_interrupts(bool on) {
    struct sigaction action;
    if (on != interrupts_off) return;
    memset(&action, 0, sizeof action);
    action.sa_handler = on ? SIG_DFL : SIG_IGN;
    interrupts_off = !on && sigaction(SIGINT, &action, NULL) == 0;
    if (on) sigaction(SIGINT, &action, NULL);
}

void cohort_os_detach(void) {
    setsid();
    null_input();
}

_Noreturn void cohort_os_exit(int code, bool flush) {
    if (flush) {
        fflush(stdout);
        fflush(stderr);
    }
    _exit(code);
}
