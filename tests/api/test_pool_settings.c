/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Pools: what workers are made different in from the process that makes the pool, those too that
 * replace others. */
#include "facts.h"
#include "pools.h"
#include "sanitized.h"

#include <stdlib.h>

#define LIMIT ((apr_size_t)160 << 20)

static cohort_pool_t *pool_with(cohort_pool_options_t options) {
    cohort_pool_t *pool = NULL;
    apr_status_t status = cohort_pool_create(&pool, &options, test_pool());
    if (APR_STATUS_IS_ENOTIMPL(status)) SKIP("this system does not have that");
    if (status == APR_FROM_OS_ERROR(EINVAL)) SKIP("CPU 0 is not for this process");
    CHECK_STATUS(APR_SUCCESS, status);
    return pool;
}

static apr_status_t ask_environment(const void *input, void *output) {
    const char *value = getenv("COHORT_TEST_POOL");
    (void)input;
    *(int *)output = value && !strcmp(value, "set") && !getenv("COHORT_TEST_GONE");
    return APR_SUCCESS;
}

/* Each worker, by what it answers. */
static void check_each(cohort_pool_t *pool, cohort_task_t task, int expected) {
    int answers[4] = {0};
    apr_size_t n = 4;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_run_on_each(pool, task, NULL, 0, answers, sizeof(int), &n));
    CHECK_INT(2, n);
    for (apr_size_t i = 0; i < n; i++) CHECK_INT(expected, answers[i]);
}

static void of_the_environment(void) {
    const char *env[] = {"COHORT_TEST_POOL=set", "COHORT_TEST_GONE", NULL};
    cohort_settings_t settings = {.env = env};
    cohort_pool_t *pool = pool_with((cohort_pool_options_t){.workers = 2, .settings = &settings});
    env[0] = "COHORT_TEST_POOL=later";
    settings.env = NULL;
    check_each(pool, ask_environment, 1);
    kill_worker(pool);
    check_each(pool, ask_environment, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_resize(pool, 1));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_resize(pool, 2));
    check_each(pool, ask_environment, 1);
    CHECK(getenv("COHORT_TEST_POOL") == NULL);
    finish_pool(pool);
}

/* ---- CPUs ----------------------------------------------------------------------------------- */

static apr_status_t ask_cpus(const void *input, void *output) {
    (void)input;
    *(int *)output = cohort_cpu_count();
    return APR_SUCCESS;
}

static void of_one_cpu_each(void) {
    cohort_pool_t *pool = pool_with((cohort_pool_options_t){.workers = 2, .pin = COHORT_PIN_EACH});
    check_each(pool, ask_cpus, 1);
    kill_worker(pool);
    check_each(pool, ask_cpus, 1);
    finish_pool(pool);
}

static void of_sets_of_cpus(void) {
    const int first = 0;
    const cohort_cpu_set_t sets[] = {{&first, 1}};
    cohort_pool_t *pool =
        pool_with((cohort_pool_options_t){.workers = 2, .cpu_sets = sets, .n_cpu_sets = 1});
    check_each(pool, ask_cpus, 1);
    kill_worker(pool);
    check_each(pool, ask_cpus, 1);
    finish_pool(pool);
}

/* The only CPU that the worker may use, at its place in the answers. */
static apr_status_t ask_which(const void *input, void *output) {
    (void)input;
    *(int *)output = system_only_cpu();
    return APR_SUCCESS;
}

/* As many workers as there are answers; place i has set i % 2, and so has one that replaces it. */
static void check_places(cohort_pool_t *pool, const int *cpus, int workers) {
    int answers[5] = {-1, -1, -1, -1, -1};
    apr_size_t n = 5;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_run_on_each(pool, ask_which, NULL, 0, answers, sizeof(int), &n));
    CHECK_INT(workers, n);
    for (int i = 0; i < workers; i++) CHECK_INT(cpus[i % 2], answers[i]);
}

static void of_two_sets_of_cpus(void) {
    const int cpus[] = {0, 1};
    const cohort_cpu_set_t sets[] = {{&cpus[0], 1}, {&cpus[1], 1}};
    if (cohort_cpu_count() < 2) SKIP("there is one CPU only");
    if (!system_tells_cpus()) SKIP("this system does not tell which CPUs a process may use");
    cohort_pool_t *pool =
        pool_with((cohort_pool_options_t){.workers = 3, .cpu_sets = sets, .n_cpu_sets = 2});
    check_places(pool, cpus, 3);
    kill_worker(pool);
    check_places(pool, cpus, 3);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_resize(pool, 5));
    check_places(pool, cpus, 5);
    finish_pool(pool);
}

/* ---- memory --------------------------------------------------------------------------------- */

enum { MODEST, REFUSED, DIES };

static apr_status_t allocate(const void *input, void *output) {
    int how = *(const int *)input;
    void *volatile block = malloc(how == MODEST ? LIMIT / 16 : 4 * LIMIT);
    (void)output;
    if (!block && how == DIES) cohort_process_kill(cohort_process_current());
    if (!block) return APR_ENOMEM;
    free(block);
    return APR_SUCCESS;
}

/* The item that asks for too much says so, or what its worker was limited to when it died. */
static void of_memory(void) {
    const cohort_settings_t settings = {.limits = {.memory = LIMIT}};
    const int how[] = {MODEST, REFUSED, DIES, MODEST, DIES};
    cohort_result_t *result;
    cohort_task_error_t **errors;
    apr_size_t n;
    if (SANITIZED) SKIP("a sanitizer needs more memory than that");
    cohort_pool_t *pool = pool_with((cohort_pool_options_t){.workers = 1, .settings = &settings});
    SUBMIT(&result, pool, test_pool(), .task = allocate, COHORT_INPUTS(how, 5));
    apr_status_t status = cohort_result_get(result, NULL, 0, COHORT_FOREVER);
    if (!status) SKIP("no such limit is kept here, as by Wine");
    CHECK_STATUS(APR_ENOMEM, status);
    CHECK_STATUS(APR_SUCCESS, cohort_result_errors(result, &errors, &n, test_pool()));
    CHECK_INT(3, n);
    for (int i = 0; i < 3; i++) {
        CHECK_INT(i + 1 + (i == 2), errors[i]->index);
        CHECK_STATUS(i ? COHORT_EWORKERDIED : APR_ENOMEM, errors[i]->status);
        CHECK(!i || strstr(errors[i]->message, "limited to 167772160 bytes of memory") != NULL);
    }
    finish_pool(pool);
}

/* ---- what cannot be ------------------------------------------------------------------------- */

static void that_cannot_be(void) {
    const int cpu = 0;
    const cohort_settings_t nowhere = {.cwd = "./no_such"}, a_cpu = {.cpus = &cpu, .n_cpus = 1},
                            unknown = {.reserved = {[6] = 1}};
    const cohort_cpu_set_t none[] = {{&cpu, 0}}, one[] = {{&cpu, 1}};
    const struct {
        cohort_pool_options_t options;
        apr_status_t status;
        const char *words;
    } bad[] = {
        {{.settings = &unknown}, COHORT_EOPTION, "settings.reserved[6]"},
        {{.n_cpu_sets = 1}, APR_EINVAL, "cpu_sets is NULL"},
        {{.cpu_sets = none, .n_cpu_sets = 1}, APR_EINVAL, "cpu_sets[0] is empty"},
        {{.cpu_sets = one, .n_cpu_sets = 9999}, APR_EINVAL, "n_cpu_sets is 9999"},
        {{.pin = (cohort_pin_t)7}, APR_EINVAL, "pin is 7"},
        {{.cpu_sets = one, .n_cpu_sets = 1, .pin = COHORT_PIN_EACH}, APR_EINVAL, "more than one"},
        {{.settings = &a_cpu, .pin = COHORT_PIN_EACH}, APR_EINVAL, "more than one"},
        {{.settings = &nowhere}, APR_ENOENT, "no_such"},
    };
    cohort_pool_t *pool = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        apr_status_t status = cohort_pool_create(&pool, &bad[i].options, NULL);
        CHECK(status == bad[i].status ||
              (bad[i].status == APR_ENOENT && APR_STATUS_IS_ENOENT(status)));
        CHECK(strstr(cohort_last_error(), bad[i].words) != NULL);
        CHECK(pool == NULL);
    }
}

const test_case_t pool_settings_cases[] = {
    {"PoolSettings", "of_the_environment", of_the_environment},
    {"PoolSettings", "of_one_cpu_each", of_one_cpu_each},
    {"PoolSettings", "of_sets_of_cpus", of_sets_of_cpus},
    {"PoolSettings", "of_two_sets_of_cpus", of_two_sets_of_cpus},
    {"PoolSettings", "of_memory", of_memory},
    {"PoolSettings", "that_cannot_be", that_cannot_be},
    {0},
};
