/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Settings of a child that only POSIX has, in functions under each start method and in programs:
 * what the system says of them there. */
#include "../api/pools.h"
#include "../api/programs.h"
#include "sanitized.h"

#include <cohort/terminal.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static void run_set(cohort_target_t target, const cohort_settings_t *settings) {
    cohort_process_options_t options = {.settings = settings};
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_launch(&process, target, NULL, 0, &options, test_pool()));
    party_finish(process);
}

/* What a shell says that was started with them. */
static const char *shell_set(const char *command, const cohort_settings_t *settings) {
    const char *const argv[] = {"/bin/sh", "-c", command, NULL};
    cohort_program_t program = {.argv = argv, .streams = {[1] = PIPE}};
    cohort_process_options_t options = {.settings = settings};
    cohort_process_t *process = start_program(&program, &options);
    const char *text = read_all(program.streams[1].file);
    party_finish(process);
    return text;
}

static int look_at_umask(void *args) {
    (void)args;
    CHECK_INT(0137, umask(0));
    return 0;
}

static void umask_is_set(void) {
    cohort_settings_t settings = {.umask = COHORT_UMASK(0137)};
    mode_t before = umask(022);
    run_set(look_at_umask, &settings);
    CHECK_STR("0137\n", shell_set("umask", &settings));
    CHECK_INT(022, umask(before));
}

static long limit_of(int which, bool hard) {
    struct rlimit limit;
    CHECK_INT(0, getrlimit(which, &limit));
    return (long)(hard ? limit.rlim_max : limit.rlim_cur);
}

static int look_at_limits(void *args) {
    (void)args;
    CHECK_INT(100, limit_of(RLIMIT_NOFILE, false));
    CHECK_INT(100, limit_of(RLIMIT_NOFILE, true));
    CHECK_INT(0, limit_of(RLIMIT_CORE, false));
    CHECK_INT(1000, limit_of(RLIMIT_CPU, false));
    CHECK_INT(1001, limit_of(RLIMIT_CPU, true)); /* where the signal was not obeyed */
    return 0;
}

static void limits_are_set(void) {
    cohort_settings_t settings = {
        .limits = {.files = 100, .core = COHORT_LIMIT_ZERO, .cpu_time = 1000}};
    long before = limit_of(RLIMIT_NOFILE, false);
    run_set(look_at_limits, &settings);
    CHECK_STR("100\n0\n1000\n", shell_set("ulimit -n; ulimit -c; ulimit -t", &settings));
    CHECK_INT(before, limit_of(RLIMIT_NOFILE, false));
}

#define LIMIT ((size_t)128 << 20)

/* What it has of the arena does not count. */
static int allocate(void *args) {
    void *shared = NULL, *volatile block = malloc(LIMIT / 4);
    (void)args;
    CHECK(block != NULL);
    free(block);
    block = malloc(2 * LIMIT);
    CHECK(block == NULL);
    CHECK_STATUS(APR_SUCCESS, cohort_alloc(&shared, 8 << 20));
    CHECK_STATUS(APR_SUCCESS, cohort_free(shared));
    return 0;
}

static void memory_is_limited(void) {
    cohort_settings_t settings = {.limits = {.memory = LIMIT}};
    cohort_process_options_t options = {.settings = &settings};
    cohort_process_t *process = NULL;
    if (SANITIZED) SKIP("a sanitizer needs more memory than that");
    apr_status_t status = cohort_process_create(&process, allocate, NULL, 0, &options, NULL);
    if (APR_STATUS_IS_ENOTIMPL(status)) SKIP("this system does not limit memory");
    CHECK_STATUS(APR_SUCCESS, status);
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
    party_finish(process);
    CHECK_STR("131072\n", shell_set("ulimit -d", &settings));
}

static int look_at_nice(void *args) {
    (void)args;
    CHECK_INT(5, getpriority(PRIO_PROCESS, 0));
    return 0;
}

static void nice_is_added(void) {
    cohort_settings_t settings = {.nice = 5};
    if (getpriority(PRIO_PROCESS, 0) != 0) SKIP("this process is nice itself");
    run_set(look_at_nice, &settings);
    CHECK_STR("5\n", shell_set("nice", &settings));
    CHECK_INT(0, getpriority(PRIO_PROCESS, 0));
}

static int look_at_signals(void *args) {
    struct sigaction action;
    (void)args;
    CHECK_INT(0, sigaction(SIGUSR1, NULL, &action));
    CHECK(action.sa_handler == SIG_IGN);
    CHECK_INT(0, sigaction(SIGUSR2, NULL, &action));
    CHECK(action.sa_handler == SIG_DFL);
    return 0;
}

static void signals_are_ignored(void) {
    const int ignored[] = {SIGUSR1, SIGTERM};
    cohort_settings_t settings = {.ignored = ignored, .n_ignored = 2};
    run_set(look_at_signals, &settings);
    CHECK_STR("still here\n",
              shell_set("kill -TERM $$; kill -USR1 $$; echo still here", &settings));
}

static int look_at_user(void *args) {
    gid_t groups[8];
    (void)args;
    CHECK_INT(65534, getuid());
    CHECK_INT(65534, geteuid());
    CHECK_INT(65533, getgid());
    CHECK_INT(2, getgroups(8, groups));
    CHECK_INT(65531, groups[0]);
    CHECK_INT(65532, groups[1]);
    CHECK_INT(-1, setuid(0)); /* it is that for good */
    return 0;
}

static void user_and_groups(void) {
    const char *const groups[] = {"65531", "65532", NULL};
    cohort_settings_t settings = {.user = "65534", .group = "65533", .groups = groups};
    if (geteuid() != 0) SKIP("only root may change its user");
    run_set(look_at_user, &settings);
    CHECK_STR("65534 65533\n", shell_set("echo $(id -u) $(id -g)", &settings));
    CHECK_INT(0, geteuid());
}

static void users_that_are_unknown(void) {
    cohort_settings_t settings = {.user = "no such user"}, other = {.group = "no such group"};
    cohort_process_options_t options = {.settings = &settings};
    cohort_process_t *process = NULL;
    CHECK(cohort_process_create(&process, nothing, NULL, 0, &options, NULL) != APR_SUCCESS);
    CHECK(strstr(cohort_last_error(), "user no such user") != NULL);
    options.settings = &other;
    CHECK(cohort_process_create(&process, nothing, NULL, 0, &options, NULL) != APR_SUCCESS);
    CHECK(strstr(cohort_last_error(), "group no such group") != NULL);
}

/* A hard limit above that of the parent, which is not root. */
static int raise_limit(void *args) {
    cohort_settings_t settings = {.limits = {.files = (apr_uint64_t)1 << 40}};
    cohort_process_options_t options = {.settings = &settings};
    cohort_process_t *process = NULL;
    (void)args;
    CHECK_STATUS(APR_SUCCESS, cohort_process_create(&process, nothing, NULL, 0, &options, NULL));
    CHECK(cohort_process_start(process) != APR_SUCCESS);
    CHECK(strstr(cohort_last_error(), "for open files") != NULL);
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(process));
    return 0;
}

static void what_may_not_be(void) {
    cohort_settings_t settings = {.user = "65534", .group = "65534"};
    if (geteuid() != 0) raise_limit(NULL);
    else run_set(raise_limit, &settings);
}

/* ---- CPU time ------------------------------------------------------------------------------- */

/* No core is dumped by the signal. */
static const cohort_limits_t one_second = {.cpu_time = 1, .core = COHORT_LIMIT_ZERO};

static _Noreturn void burn(void) {
    volatile unsigned turns = 0;
    while (true) turns++;
}

static int burn_all(void *args) {
    (void)args;
    burn();
}

static void check_end_of(const cohort_settings_t *settings, int code) {
    cohort_process_options_t options = {.settings = settings, .lifetime = COHORT_LIFETIME_DAEMON};
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_launch(&process, burn_all, NULL, 0, &options, test_pool()));
    party_end(process, code);
}

/* A function is told by the signal, and one that ignores it is killed a second later. */
static void cpu_time_ends_a_function(void) {
    static const int ignored = SIGXCPU;
    cohort_settings_t settings = {.limits = one_second};
    check_end_of(&settings, -SIGXCPU);
    settings.ignored = &ignored;
    settings.n_ignored = 1;
    check_end_of(&settings, -SIGKILL);
}

static void cpu_time_ends_a_program(void) {
    static const char *const argv[] = {"/bin/sh", "-c", "while :; do :; done", NULL};
    cohort_settings_t settings = {.limits = one_second};
    cohort_process_options_t options = {.settings = &settings};
    cohort_program_t program = {.argv = argv};
    party_end(start_program(&program, &options), -SIGXCPU);
}

static apr_status_t burn_if(const void *input, void *output) {
    (void)output;
    if (*(const int *)input) burn();
    return APR_SUCCESS;
}

/* The item that a worker burns all its time in; the next worker does the rest. */
static void cpu_time_ends_a_worker(void) {
    const int burns[] = {0, 1, 0};
    cohort_settings_t settings = {.limits = one_second};
    cohort_pool_options_t options = {.workers = 1, .settings = &settings};
    cohort_pool_t *pool;
    cohort_result_t *result;
    cohort_task_error_t **errors;
    apr_size_t n;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&pool, &options, test_pool()));
    cohort_job_t job = {.task = burn_if, COHORT_INPUTS(burns, 3), .chunk = 1};
    CHECK_STATUS(APR_SUCCESS, cohort_pool_submit(&result, pool, &job, test_pool()));
    CHECK_STATUS(COHORT_EWORKERDIED, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_result_errors(result, &errors, &n, test_pool()));
    CHECK_INT(1, n);
    CHECK_INT(1, errors[0]->index);
    CHECK_INT(-SIGXCPU, errors[0]->exit_code);
    CHECK(strstr(errors[0]->message, "it was limited to 1 s of CPU time") != NULL);
    finish_pool(pool);
}

/* ---- processes ------------------------------------------------------------------------------ */

/* Itself is one of its user's. */
static int fork_no_more(void *args) {
    (void)args;
    CHECK_INT(1, limit_of(RLIMIT_NPROC, false));
    if (getuid() == 0) return 0; /* root is not limited */
    pid_t child = fork();
    if (child == 0) _exit(0);
    CHECK_INT(-1, child);
    CHECK_INT(EAGAIN, errno);
    return 0;
}

static void processes_are_counted(void) {
    cohort_settings_t settings = {.limits = {.processes = 1}};
    if (SANITIZED) SKIP("a sanitizer needs a thread at the end of a process");
    if (geteuid() == 0) settings.user = settings.group = "65534";
    run_set(fork_no_more, &settings);
}

/* ---- the step that fails -------------------------------------------------------------------- */

static void check_step(const cohort_settings_t *settings, const char *words) {
    const char *const argv[] = {"/bin/true", NULL};
    cohort_process_options_t options = {.settings = settings};
    cohort_program_t program = {.argv = argv};
    cohort_process_t *function = NULL, *other = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_process_create(&function, nothing, NULL, 0, &options, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_process_create_program(&other, &program, &options, NULL));
    cohort_process_t *const both[] = {function, other};
    for (int i = 0; i < 2; i++) {
        CHECK(cohort_process_start(both[i]) != APR_SUCCESS);
        if (!strstr(cohort_last_error(), words)) CHECK_STR(words, cohort_last_error());
        CHECK_STATUS(COHORT_ENOTSTARTED, cohort_process_join(both[i], 0));
        CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(both[i]));
    }
}

/* What no process can have. (A umask is taken always, of a user that may do nothing, too.) */
static void steps_that_fail_are_named(void) {
    static const int far = 4000, kill = SIGKILL;
    check_step(&(cohort_settings_t){.ignored = &kill, .n_ignored = 1},
               "ignoring the signals 0x100: ");
#ifdef __linux__
    check_step(&(cohort_settings_t){.cpus = &far, .n_cpus = 1},
               "using 1 CPUs, the first of them 4000: ");
#endif
    (void)far;
}

/* What a user may not that is not root; its limits are low, and it would raise them. */
static int raise_all(void *args) {
    static const cohort_settings_t more[] = {{.nice = -5},
                                             {.limits = {.cpu_time = 2000}},
                                             {.limits = {.files = 2000}},
                                             {.limits = {.processes = 1 << 20}},
                                             {.limits = {.core = 2000}},
                                             {.group = "1"},
                                             {.user = "1", .group = "1"}};
    static const char *const words[] = {"nice -5: ",
                                        "a limit of 2000 for CPU time: ",
                                        "a limit of 2000 for open files: ",
                                        "a limit of 1048576 for processes: ",
                                        "a limit of 2000 for core dumps: ",
                                        "setgroups of 0: ",
                                        "setgroups of 0: "};
    (void)args;
    for (int i = 0; i < 7; i++) check_step(&more[i], words[i]);
    return 0;
}

static void steps_that_are_refused_are_named(void) {
    cohort_settings_t settings = {
        .limits = {.cpu_time = 1000, .files = 500, .processes = 4000, .core = COHORT_LIMIT_ZERO}};
    if (geteuid() == 0) settings.user = settings.group = "65534";
    run_set(raise_all, &settings);
}

/* ---- a session of its own ------------------------------------------------------------------- */

static const cohort_settings_t own_session = {.session = 1};

static bool has_terminal(void) {
    int fd = open("/dev/tty", O_RDWR | O_NOCTTY);
    if (fd >= 0) close(fd);
    return fd >= 0;
}

static int look_at_session(void *args) {
    const int *terminal = args;
    CHECK_INT(getpid(), getsid(0));
    CHECK_INT(getpid(), getpgrp());
    CHECK_INT(*terminal, has_terminal());
    CHECK(isatty(1));
    return 0;
}

static void check_function(cohort_process_options_t options, int terminal) {
    cohort_process_t *process = NULL;
    options.settings = &own_session;
    CHECK_STATUS(APR_SUCCESS, cohort_process_launch(&process, look_at_session, &terminal,
                                                    sizeof terminal, &options, test_pool()));
    party_finish(process);
}

static void check_program_apart(void) {
    cohort_program_t program = {.argv = (const char *const[]){TEST_ACTOR, "wait", NULL}};
    cohort_process_options_t options = {.settings = &own_session,
                                        .lifetime = COHORT_LIFETIME_DAEMON};
    cohort_process_t *process = start_program(&program, &options);
    pid_t pid = (pid_t)cohort_process_pid(process);
    CHECK_INT(pid, getsid(pid));
    CHECK_INT(pid, getpgid(pid));
    party_kill(process);
}

static apr_status_t look_in_a_worker(const void *input, void *output) {
    int terminal = 0;
    (void)input, (void)output;
    return look_at_session(&terminal);
}

static void check_worker(void) {
    cohort_pool_options_t options = {.workers = 1, .settings = &own_session};
    cohort_pool_t *pool = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&pool, &options, NULL));
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_run(pool, &(cohort_job_t){.task = look_in_a_worker, .n = 1}));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
}

/* In a process with a terminal, which those with a session of their own have not. */
static int start_apart(void *args) {
    cohort_stream_t streams[3] = {{.kind = COHORT_STREAM_TERMINAL},
                                  {.kind = COHORT_STREAM_TERMINAL}};
    (void)args;
    CHECK(has_terminal());
    check_function((cohort_process_options_t){.lifetime = COHORT_LIFETIME_FOREGROUND}, 0);
    check_function((cohort_process_options_t){.lifetime = COHORT_LIFETIME_DAEMON}, 0);
    check_function((cohort_process_options_t){.group = COHORT_GROUP_OWN}, 0);
    check_function((cohort_process_options_t){.streams = streams}, 1);
    check_program_apart();
    check_worker();
    return 0;
}

static void a_session_of_its_own(void) {
    cohort_stream_t streams[3] = {{.kind = COHORT_STREAM_TERMINAL},
                                  {.kind = COHORT_STREAM_TERMINAL}};
    cohort_process_options_t options = {.streams = streams};
    cohort_process_t *process = NULL;
    char text[64];
    apr_size_t size;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_launch(&process, start_apart, NULL, 0, &options, test_pool()));
    while (cohort_terminal_read(streams[1].file, text, sizeof text, &size) == APR_SUCCESS) continue;
    party_finish(process);
}

static void a_session_is_no_part_of_a_group(void) {
    cohort_process_options_t options = {.settings = &own_session, .group = COHORT_GROUP_PARENT};
    cohort_pool_options_t workers = {.settings = &own_session, .group = COHORT_GROUP_PARENT};
    cohort_program_t program = {.argv = (const char *const[]){TEST_ACTOR, "wait", NULL}};
    cohort_process_t *process = NULL;
    cohort_pool_t *pool = NULL;
    apr_uint64_t blocks = blocks_in_use();
    CHECK_STATUS(APR_EINVAL, cohort_process_create(&process, nothing, NULL, 0, &options, NULL));
    CHECK(strstr(cohort_last_error(), "session") != NULL);
    CHECK_STATUS(APR_EINVAL, cohort_process_create_program(&process, &program, &options, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_pool_create(&pool, &workers, NULL));
    CHECK(!process && !pool);
    CHECK_INT(blocks, blocks_in_use());
}

const test_case_t settings_cases[] = {
    {"Settings", "umask_is_set", umask_is_set},
    {"Settings", "limits_are_set", limits_are_set},
    {"Settings", "memory_is_limited", memory_is_limited},
    {"Settings", "nice_is_added", nice_is_added},
    {"Settings", "signals_are_ignored", signals_are_ignored},
    {"Settings", "user_and_groups", user_and_groups},
    {"Settings", "users_that_are_unknown", users_that_are_unknown},
    {"Settings", "what_may_not_be", what_may_not_be},
    {"Settings", "cpu_time_ends_a_function", cpu_time_ends_a_function},
    {"Settings", "cpu_time_ends_a_program", cpu_time_ends_a_program},
    {"Settings", "cpu_time_ends_a_worker", cpu_time_ends_a_worker},
    {"Settings", "processes_are_counted", processes_are_counted},
    {"Settings", "steps_that_fail_are_named", steps_that_fail_are_named},
    {"Settings", "steps_that_are_refused_are_named", steps_that_are_refused_are_named},
    {"Settings", "a_session_of_its_own", a_session_of_its_own},
    {"Settings", "a_session_is_no_part_of_a_group", a_session_is_no_part_of_a_group},
    {0}};
