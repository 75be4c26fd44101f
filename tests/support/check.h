/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing tests in C. A test file tests/api/test_NAME.c (or tests/core/, tests/os/) exports one
 * table, NAME_cases, ended by {0}:
 *
 *     static int child(void *args) { CHECK_INT(7, *(int *)args); return 0; } static void
 *     starts(void) { ... CHECK_STATUS(APR_SUCCESS, cohort_process_start(p)); ... CHECK_INT(0,
 *     cohort_process_exit_code(p)); } const test_case_t process_cases[] = {{"Process",
 *     "PROC_07_life_cycle", starts}, {0}};
 *
 * A check that fails ends the function that runs the test at once, from whatever function and depth
 * it is called:
 *  - in the test's own thread the case fails with file and line, and what follows is not run;
 *  - in another thread of the test's process the whole process ends with TEST_EXIT_FAILED;
 *  - in a child process the child prints where it failed and ends with TEST_EXIT_FAILED, so that
 *    the parent's check of the exit code 0 fails too.
 * Every case has a process of its own under CTest, and a watchdog (COHORT_TEST_TIMEOUT seconds, 180
 * by default), which names the case and aborts.
 */
#ifndef COHORT_TESTS_CHECK_H
#define COHORT_TESTS_CHECK_H

#include <apr_errno.h>
#include <apr_pools.h>
#include <stdbool.h>
#include <string.h>

/* Words that the headers of some systems, which APR's bring along, take for themselves. */
#ifndef __cplusplus
#undef near
#undef far
#endif

#ifdef __cplusplus
#define TEST_NORETURN [[noreturn]]
extern "C" {
#else
#define TEST_NORETURN _Noreturn
#endif

typedef struct {
    const char *suite, *name;
    void (*run)(void);
} test_case_t;

/* The exit code of a process in which a check failed. */
#define TEST_EXIT_FAILED 99

#define CHECK(condition) \
    ((condition) ? (void)0 : test_fail(__FILE__, __LINE__, "CHECK(%s)", #condition))
#define CHECK_INT(expected, actual) \
    test_check_int(__FILE__, __LINE__, #actual, (long long)(expected), (long long)(actual))
#define CHECK_STATUS(expected, expression) \
    test_check_status(__FILE__, __LINE__, #expression, (expected), (expression))
#define CHECK_STR(expected, actual) \
    test_check_str(__FILE__, __LINE__, #actual, (expected), (actual))
#define CHECK_MEM(expected, actual, size) \
    test_check_mem(__FILE__, __LINE__, #actual, (expected), (actual), (size))
/* End the case as skipped; say what the platform or the machine lacks. */
#define SKIP(reason) test_skip(reason)

TEST_NORETURN void test_fail(const char *file, int line, const char *format, ...);
TEST_NORETURN void test_skip(const char *reason);
void test_check_int(const char *file, int line, const char *what, long long expected,
                    long long actual);
void test_check_status(const char *file, int line, const char *what, apr_status_t expected,
                       apr_status_t actual);
void test_check_str(const char *file, int line, const char *what, const char *expected,
                    const char *actual);
void test_check_mem(const char *file, int line, const char *what, const void *expected,
                    const void *actual, size_t size);

/* A pool that lives as long as the running case; each process has its own. */
apr_pool_t *test_pool(void);
/* The start method under test, by name: "fork", "spawn" or "forkserver"; "" when none was asked
 * for. It is the process' default method already. */
const char *test_method(void);

#ifdef __cplusplus
}
#endif

#endif
