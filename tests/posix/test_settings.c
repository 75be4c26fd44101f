/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Settings of a child that only POSIX has, in functions under each start method and in programs:
 * what the system says of them there. */
#include "../api/parties.h"
#include "../api/programs.h"
#include "sanitized.h"

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
    CHECK_INT(1000, limit_of(RLIMIT_CPU, true));
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

const test_case_t settings_cases[] = {
    {"Settings", "umask_is_set", umask_is_set},
    {"Settings", "limits_are_set", limits_are_set},
    {"Settings", "memory_is_limited", memory_is_limited},
    {"Settings", "nice_is_added", nice_is_added},
    {"Settings", "signals_are_ignored", signals_are_ignored},
    {"Settings", "user_and_groups", user_and_groups},
    {"Settings", "users_that_are_unknown", users_that_are_unknown},
    {"Settings", "what_may_not_be", what_may_not_be},
    {0}};
