/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Pools: what a worker says of its own crash. */
#include "pools.h"

#include <signal.h>
#include <stdint.h>
#include <stdlib.h>

typedef enum { BY_ADDRESS, BY_DIVISION, BY_ABORT, BY_EXIT, BY_KILL, BY_NONE } crash_t;

/* No sanitizer is to see it coming. */
#ifdef __GNUC__
#define UNSEEN __attribute__((no_sanitize("undefined")))
#else
#define UNSEEN
#endif
static volatile uintptr_t nowhere = 0x10;
static volatile int zero;

UNSEEN static int crash_by_address(int n) { return *(volatile int *)nowhere = n; }

UNSEEN static int crash_by_division(int n) { return zero = n / zero; }

static int crash_by_abort(int n) {
    if (n) abort();
    return 0;
}

/* No compiler knows which of them is called. */
static int (*volatile const ways[])(int) = {crash_by_address, crash_by_division, crash_by_abort};

static apr_status_t crash(const void *input, void *output) {
    crash_t how = *(const crash_t *)input;
    (void)output;
    if (how == BY_EXIT) exit(11);
    if (how == BY_KILL) {
        (void)cohort_process_kill(cohort_process_current());
        party_wait_for_death();
    }
    return how == BY_NONE ? APR_SUCCESS : ways[how](7);
}

/* What a sanitizer has set would go first. */
static apr_status_t by_default(void *args) {
    const int numbers[] = {SIGSEGV, SIGFPE, SIGILL, SIGABRT};
    for (int i = 0; i < 4; i++) signal(numbers[i], SIG_DFL);
    if (args && *(const crash_t *)args != BY_NONE) crash(args, NULL);
    return APR_SUCCESS;
}

static cohort_pool_t *crashing_pool(int crash_report, crash_t in_initializer) {
    cohort_pool_options_t options = {.workers = 1,
                                     .name = "P",
                                     .initializer = by_default,
                                     .init_args = &in_initializer,
                                     .init_size = sizeof in_initializer,
                                     .crash_report = crash_report};
    cohort_pool_t *pool = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&pool, &options, test_pool()));
    return pool;
}

/* One item between two that go well. */
static void crash_once(cohort_pool_t *pool, crash_t how, cohort_task_error_t *error) {
    crash_t in[3] = {BY_NONE, how, BY_NONE};
    cohort_result_t *result;
    SUBMIT(&result, pool, test_pool(), .task = crash, COHORT_INPUTS(in, 3), .chunk = 1);
    CHECK_STATUS(COHORT_EWORKERDIED, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_result_error(result, error));
    CHECK_INT(1, error->index);
}

/* The exit codes of crashes do not depend on what is said of them. */
static int code_without(crash_t how) {
    cohort_pool_t *pool = crashing_pool(0, BY_NONE);
    cohort_task_error_t error;
    crash_once(pool, how, &error);
    CHECK_STR("", error.crash);
    CHECK(strstr(error.message, "crashed") == NULL);
    finish_pool(pool);
    return error.exit_code;
}

static void check_report(crash_t how, const char *first, const char *function) {
    int code = code_without(how);
    cohort_pool_t *pool = crashing_pool(1, BY_NONE);
    cohort_task_error_t error;
    crash_once(pool, how, &error);
    CHECK_INT(code, error.exit_code);
    CHECK(strncmp(error.crash, first, strlen(first)) == 0);
    CHECK(strstr(error.message, first) != NULL);
    CHECK(strstr(error.message, "crashed by") != NULL);
    CHECK(strchr(error.message, '\n') == NULL);
    char *name = strstr(error.message, " in function ");
    if (name) CHECK(strstr(name, function) != NULL);
    check_works(pool);
    finish_pool(pool);
}

static void address(void) { check_report(BY_ADDRESS, "SIGSEGV at 0x10", "crash_by_address"); }

static void division(void) {
#if defined __x86_64__ || defined __i386__ || defined _M_X64
    check_report(BY_DIVISION, "SIGFPE at 0x", "crash_by_division");
#else
    SKIP("nothing happens at a division by zero");
#endif
}

static void by_abort(void) { check_report(BY_ABORT, "SIGABRT", "crash_by_abort"); }

/* Ends that are no crashes have no report, one of an earlier worker least of all. */
static void no_crash(void) {
    cohort_pool_t *pool = crashing_pool(1, BY_NONE);
    const crash_t others[] = {BY_EXIT, BY_KILL};
    cohort_task_error_t error;
    for (int i = 0; i < 2; i++) {
        crash_once(pool, BY_ADDRESS, &error);
        CHECK(*error.crash);
        crash_once(pool, others[i], &error);
        CHECK_STR("", error.crash);
    }
    finish_pool(pool);
}

const test_case_t pool_crash_cases[] = {
    {"PoolCrash", "address", address},
    {"PoolCrash", "division", division},
    {"PoolCrash", "by_abort", by_abort},
    {"PoolCrash", "no_crash", no_crash},
    {0},
};
