/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What a child is made different in from its parent, on every system. */
#include "facts.h"
#include "parties.h"
#include "programs.h"
#include "sanitized.h"

#include <apr_env.h>
#include <apr_file_info.h>
#include <apr_strings.h>
#include <stdlib.h>

#define ACT(...) ((const char *const[]){TEST_ACTOR, __VA_ARGS__, NULL})

static void run_set(cohort_target_t target, const cohort_settings_t *settings) {
    cohort_process_options_t options = {.settings = settings};
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_launch(&process, target, NULL, 0, &options, test_pool()));
    party_finish(process);
}

static const char *output_set(const char *const *argv, const char *const *env,
                              const cohort_settings_t *settings) {
    cohort_program_t program = {.argv = argv, .env = env, .streams = {[1] = PIPE}};
    cohort_process_options_t options = {.settings = settings};
    cohort_process_t *process = start_program(&program, &options);
    const char *text = read_all(program.streams[1].file);
    party_finish(process);
    return text;
}

/* ---- environment and directory -------------------------------------------------------------- */

static void check_variable(const char *name, const char *expected) {
    char *value = NULL;
    apr_status_t status = apr_env_get(&value, name, test_pool());
    CHECK_STR(expected, status ? "(none)" : value);
}

static int look_at_environment(void *args) {
    (void)args;
    check_variable("COHORT_TEST_KEPT", "kept");
    check_variable("COHORT_TEST_GONE", "(none)");
    check_variable("COHORT_TEST_NEW", "new=1");
    check_variable("COHORT_TEST_CHANGED", "after");
    return 0;
}

static const char *const changes[] = {"COHORT_TEST_GONE",           "COHORT_TEST_NEW=new=1",
                                      "COHORT_TEST_CHANGED=before", "COHORT_TEST_CHANGED=after",
                                      "COHORT_TEST_UNKNOWN",        NULL};

static void environment_is_changed(void) {
    cohort_settings_t settings = {.env = changes};
    CHECK_STATUS(APR_SUCCESS, apr_env_set("COHORT_TEST_KEPT", "kept", test_pool()));
    CHECK_STATUS(APR_SUCCESS, apr_env_set("COHORT_TEST_GONE", "here", test_pool()));
    CHECK_STATUS(APR_SUCCESS, apr_env_set("COHORT_TEST_CHANGED", "first", test_pool()));
    run_set(look_at_environment, &settings);
    CHECK_STR("kept\n(none)\nnew=1\nafter\n",
              output_set(ACT("variable", "COHORT_TEST_KEPT", "variable", "COHORT_TEST_GONE",
                             "variable", "COHORT_TEST_NEW", "variable", "COHORT_TEST_CHANGED"),
                         NULL, &settings));
    check_variable("COHORT_TEST_GONE", "here");
    check_variable("COHORT_TEST_CHANGED", "first");
}

/* The program's own environment is what is changed then. */
static void a_given_environment_is_changed(void) {
    const char *const env[] = {"ONE=1", "COHORT_TEST_GONE=2", NULL};
    cohort_settings_t settings = {.env = changes};
    CHECK_STR("1\n(none)\nafter\n",
              output_set(ACT("variable", "ONE", "variable", "COHORT_TEST_GONE", "variable",
                             "COHORT_TEST_CHANGED"),
                         env, &settings));
}

static char *fresh_directory(void) {
    const char *temporary;
    CHECK_STATUS(APR_SUCCESS, apr_temp_dir_get(&temporary, test_pool()));
    char *path = apr_pstrcat(test_pool(), temporary, "/settings_", test_method(), NULL);
    apr_dir_remove(path, test_pool());
    CHECK_STATUS(APR_SUCCESS, apr_dir_make(path, APR_OS_DEFAULT, test_pool()));
    return path;
}

static bool ends_with(const char *path, const char *name) {
    size_t length = strlen(path), tail = strlen(name);
    return length >= tail && strncmp(path + length - tail, name, tail) == 0;
}

static int look_at_directory(void *args) {
    char *path = NULL;
    (void)args;
    CHECK_STATUS(APR_SUCCESS, apr_filepath_get(&path, APR_FILEPATH_NATIVE, test_pool()));
    CHECK(ends_with(path, apr_pstrcat(test_pool(), "settings_", test_method(), NULL)));
    return 0;
}

static void directory_is_entered(void) {
    char *path = fresh_directory(), *wanted;
    cohort_settings_t settings = {.cwd = path};
    wanted = apr_pstrcat(test_pool(), "settings_", test_method(), "\n", NULL);
    run_set(look_at_directory, &settings);
    CHECK(ends_with(output_set(ACT("cwd"), NULL, &settings), wanted));
    CHECK_STATUS(APR_SUCCESS, apr_dir_remove(path, test_pool()));
}

/* ---- what cannot be ------------------------------------------------------------------------- */

static void check_reason(cohort_process_t *process) {
    apr_status_t status = cohort_process_start(process);
    CHECK(APR_STATUS_IS_ENOENT(status));
    CHECK(strstr(cohort_last_error(), "chdir ") != NULL);
    CHECK(strstr(cohort_last_error(), "no_such") != NULL);
    CHECK_STATUS(COHORT_ENOTSTARTED, cohort_process_join(process, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(process));
}

static void the_failed_step_is_named(void) {
    cohort_settings_t settings = {.cwd = "./no_such"};
    cohort_process_options_t options = {.settings = &settings};
    cohort_program_t program = {.argv = ACT("cwd")};
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_process_create(&process, nothing, NULL, 0, &options, NULL));
    check_reason(process);
    CHECK_STATUS(APR_SUCCESS, cohort_process_create_program(&process, &program, &options, NULL));
    check_reason(process);
}

static void what_cannot_be_meant(void) {
    static const char *const no_name[] = {"=x", NULL};
    static const int cpu = -1, signal = 65;
    const cohort_settings_t bad[] = {{.env = no_name},
                                     {.n_cpus = 1},
                                     {.cpus = &cpu, .n_cpus = 1},
                                     {.n_ignored = 1},
                                     {.ignored = &signal, .n_ignored = 1},
                                     {.umask = 0022}};
    const cohort_settings_t unknown[] = {{.reserved = {[6] = 1}},
                                         {.limits = {.reserved = {[3] = 1}}}};
    cohort_process_t *process = NULL;
    apr_uint64_t blocks = blocks_in_use();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cohort_process_options_t options = {.settings = &bad[i]};
        apr_status_t status = cohort_process_create(&process, nothing, NULL, 0, &options, NULL);
        CHECK(status == APR_EINVAL || status == APR_ENOTIMPL);
    }
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        cohort_process_options_t options = {.settings = &unknown[i]};
        CHECK_STATUS(COHORT_EOPTION,
                     cohort_process_create(&process, nothing, NULL, 0, &options, NULL));
    }
    CHECK_INT(blocks, blocks_in_use());
}

/* tests/posix has what it is. */
static void a_session_where_there_is_such(void) {
    cohort_settings_t settings = {.session = 1};
    cohort_process_options_t options = {.settings = &settings};
    cohort_process_t *process = NULL;
    apr_status_t status = cohort_process_create(&process, nothing, NULL, 0, &options, NULL);
    if (APR_STATUS_IS_ENOTIMPL(status)) {
        CHECK(!process && strstr(cohort_last_error(), "no session for settings") != NULL);
        return;
    }
    CHECK_STATUS(APR_SUCCESS, status);
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
    party_finish(process);
}

/* ---- CPUs ----------------------------------------------------------------------------------- */

static int count_cpus(void *args) {
    (void)args;
    CHECK_INT(1, cohort_cpu_count());
    return 0;
}

static void one_cpu(void) {
    static const int first = 0;
    cohort_settings_t settings = {.cpus = &first, .n_cpus = 1};
    cohort_process_options_t options = {.settings = &settings};
    cohort_process_t *process = NULL;
    apr_status_t status = cohort_process_create(&process, count_cpus, NULL, 0, &options, NULL);
    if (APR_STATUS_IS_ENOTIMPL(status)) SKIP("this system has no CPUs to choose from");
    CHECK_STATUS(APR_SUCCESS, status);
    status = cohort_process_start(process);
    if (status == APR_FROM_OS_ERROR(EINVAL)) SKIP("CPU 0 is not for this process");
    CHECK_STATUS(APR_SUCCESS, status);
    party_finish(process);
}

/* ---- priority, limits ----------------------------------------------------------------------- */

static int look_at_nice(void *args) {
    CHECK_INT(*(int *)args, system_nice());
    return 0;
}

/* Added to that of the starter on POSIX; on Windows these are two priority classes. */
static void priority_is_lower(void) {
    static const int nices[] = {1, 10};
    if (system_nice() != 0) SKIP("this process is nice itself");
    if (system_is_wine()) SKIP("Wine sets no priority class");
    for (int i = 0; i < 2; i++) {
        cohort_settings_t settings = {.nice = nices[i]};
        cohort_process_options_t options = {.settings = &settings};
        cohort_process_t *process = NULL;
        CHECK_STATUS(APR_SUCCESS, cohort_process_launch(&process, look_at_nice, (void *)&nices[i],
                                                        sizeof nices[i], &options, test_pool()));
        party_finish(process);
    }
    CHECK_INT(0, system_nice());
}

static cohort_process_t *launch_limited(cohort_target_t target, const cohort_limits_t *limits) {
    cohort_settings_t settings = {.limits = *limits};
    cohort_process_options_t options = {.settings = &settings, .lifetime = COHORT_LIFETIME_DAEMON};
    cohort_process_t *process = NULL;
    apr_status_t status = cohort_process_launch(&process, target, NULL, 0, &options, test_pool());
    if (APR_STATUS_IS_ENOTIMPL(status)) SKIP("this system has no such limit");
    CHECK_STATUS(APR_SUCCESS, status);
    return process;
}

static int burn(void *args) {
    (void)args;
    volatile bool burns = true;
    while (burns) continue;
    return 0;
}

static void cpu_time_is_limited(void) {
    if (system_is_wine()) SKIP("Wine limits no CPU time");
    cohort_process_t *process = launch_limited(burn, &(cohort_limits_t){.cpu_time = 1});
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(process, COHORT_FOREVER));
    CHECK(cohort_process_exit_code(process) != 0);
    CHECK(cohort_process_exit_code(process) != COHORT_EXIT_UNKNOWN);
}

#define LIMIT ((apr_size_t)256 << 20)
enum { NOT_LIMITED = 3 };

static int allocate_too_much(void *args) {
    void *volatile block = malloc(LIMIT / 8);
    (void)args;
    CHECK(block != NULL);
    free(block);
    block = malloc(2 * LIMIT);
    return block ? NOT_LIMITED : 0;
}

static void too_much_memory_is_refused(void) {
    if (SANITIZED) SKIP("a sanitizer needs more memory than that");
    cohort_process_t *process =
        launch_limited(allocate_too_much, &(cohort_limits_t){.memory = LIMIT});
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(process, COHORT_FOREVER));
    if (cohort_process_exit_code(process) == NOT_LIMITED && system_is_wine())
        SKIP("Wine limits no memory");
    CHECK_INT(0, cohort_process_exit_code(process));
}

static int start_one_more(void *args) {
    cohort_process_t *process = NULL;
    (void)args;
    apr_status_t status = cohort_process_launch(&process, nothing, NULL, 0, NULL, test_pool());
    return status ? 0 : NOT_LIMITED;
}

/* By a job, which counts what the child starts. */
static void processes_are_limited(void) {
    if (!system_has_jobs()) SKIP("the limit is that of a user: tests/posix/test_settings.c");
    cohort_process_t *process = launch_limited(start_one_more, &(cohort_limits_t){.processes = 1});
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(process, COHORT_FOREVER));
    if (cohort_process_exit_code(process) == NOT_LIMITED && system_is_wine())
        SKIP("Wine counts no processes of a job");
    CHECK_INT(0, cohort_process_exit_code(process));
}

/* What a system has not is said when the process is made. */
static void what_a_system_lacks(void) {
    const cohort_limits_t none = {0}, files = {.files = 100}, core = {.core = 1};
    static const int signal = 1;
    const cohort_settings_t settings[] = {{.limits = files},
                                          {.limits = core},
                                          {.umask = COHORT_UMASK(022)},
                                          {.ignored = &signal, .n_ignored = 1},
                                          {.user = "1"},
                                          {.limits = none}};
    static const char *const names[] = {"files", "core", "umask", "ignored", "user"};
    cohort_process_t *process = NULL;
    if (!system_has_jobs()) SKIP("POSIX has all of them");
    for (int i = 0; i < 5; i++) {
        cohort_process_options_t options = {.settings = &settings[i]};
        CHECK_STATUS(APR_ENOTIMPL,
                     cohort_process_create(&process, nothing, NULL, 0, &options, NULL));
        CHECK(strstr(cohort_last_error(), names[i]) != NULL);
    }
    run_set(nothing, &settings[5]);
}

const test_case_t settings_cases[] = {
    {"Settings", "environment_is_changed", environment_is_changed},
    {"Settings", "a_given_environment_is_changed", a_given_environment_is_changed},
    {"Settings", "directory_is_entered", directory_is_entered},
    {"Settings", "the_failed_step_is_named", the_failed_step_is_named},
    {"Settings", "what_cannot_be_meant", what_cannot_be_meant},
    {"Settings", "a_session_where_there_is_such", a_session_where_there_is_such},
    {"Settings", "one_cpu", one_cpu},
    {"Settings", "priority_is_lower", priority_is_lower},
    {"Settings", "cpu_time_is_limited", cpu_time_is_limited},
    {"Settings", "too_much_memory_is_refused", too_much_memory_is_refused},
    {"Settings", "processes_are_limited", processes_are_limited},
    {"Settings", "what_a_system_lacks", what_a_system_lacks},
    {0}};
