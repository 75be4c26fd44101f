/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs one case: a failed check jumps back here, so no C++ frame is ever jumped over, and checks
 * may stand in functions of any type. A child must not come back: its copy of the frames below
 * belongs to the parent's GoogleTest.
 */
#include "runner.h"

#include "watchdog.h"

#include <apr_portable.h>
#include <cohort/errors.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static jmp_buf escape;
static test_report_t *running;
static apr_os_thread_t runner;
static apr_pool_t *pool;

TEST_NORETURN static void end_process(void) {
    fflush(NULL);
    _Exit(TEST_EXIT_FAILED);
}

/* Only the case's own thread of the test's own process may jump; everything else can but end. */
static void end_case(test_outcome_t outcome) {
    if (running == NULL || test_in_child() ||
        !apr_os_thread_equal(runner, apr_os_thread_current())) {
        end_process();
    }
    running->outcome = outcome;
    longjmp(escape, 1);
}

void test_fail(const char *file, int line, const char *format, ...) {
    char message[sizeof running->message];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    fprintf(stderr, "%s:%d: failed%s: %s\n", file, line, test_in_child() ? " in a child" : "",
            message);
    if (running != NULL) {
        running->file = file;
        running->line = line;
        memcpy(running->message, message, sizeof message);
    }
    end_case(TEST_FAILED);
    abort();
}

void test_skip(const char *reason) {
    if (running != NULL) {
        snprintf(running->message, sizeof running->message, "%s", reason);
    }
    end_case(TEST_SKIPPED);
    abort();
}

void test_check_int(const char *file, int line, const char *what, long long expected,
                    long long actual) {
    if (expected != actual) {
        test_fail(file, line, "%s is %lld, expected %lld", what, actual, expected);
    }
}

static const char *status_text(apr_status_t status, char *buffer, size_t size) {
    char message[200];
    const char *name = status == APR_SUCCESS ? "APR_SUCCESS" : cohort_error_name(status);
    cohort_strerror(status, message, sizeof message);
    snprintf(buffer, size, "%s %d (%s)", name != NULL ? name : "status", (int)status, message);
    return buffer;
}

void test_check_status(const char *file, int line, const char *what, apr_status_t expected,
                       apr_status_t actual) {
    char is[300], wanted[300];
    if (expected != actual) {
        test_fail(file, line, "%s gives %s, expected %s", what, status_text(actual, is, sizeof is),
                  status_text(expected, wanted, sizeof wanted));
    }
}

void test_check_str(const char *file, int line, const char *what, const char *expected,
                    const char *actual) {
    if (actual == NULL || strcmp(expected, actual) != 0) {
        test_fail(file, line, "%s is \"%s\", expected \"%s\"", what,
                  actual != NULL ? actual : "(null)", expected);
    }
}

void test_check_mem(const char *file, int line, const char *what, const void *expected,
                    const void *actual, size_t size) {
    const unsigned char *a = expected, *b = actual;
    for (size_t i = 0; i < size; i++) {
        if (a[i] != b[i]) {
            test_fail(file, line, "byte %zu of %s is %02x, expected %02x", i, what, b[i], a[i]);
        }
    }
}

apr_pool_t *test_pool(void) {
    if (pool == NULL && apr_pool_create(&pool, NULL) != APR_SUCCESS) {
        test_fail(__FILE__, __LINE__, "no memory for the pool of the case");
    }
    return pool;
}

const char *test_method(void) {
    const char *method = getenv("COHORT_TEST_METHOD");
    return method != NULL ? method : "";
}

static void close_pool(void) {
    if (pool != NULL) {
        apr_pool_destroy(pool);
        pool = NULL;
    }
}

void test_run_case(const test_case_t *test, test_report_t *report) {
    memset(report, 0, sizeof *report);
    runner = apr_os_thread_current();
    running = report;
    test_watchdog_start(test->suite, test->name);
    if (setjmp(escape) == 0) {
        test->run();
    }
    if (test_in_child()) {
        fprintf(stderr, "a child of %s.%s returned into the test runner\n", test->suite,
                test->name);
        end_process();
    }
    close_pool();
    test_watchdog_stop();
    running = NULL;
}
