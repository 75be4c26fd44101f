/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Between the parts of the test support: how one case is run, whichever main() counts it. */
#ifndef COHORT_TESTS_RUNNER_H
#define COHORT_TESTS_RUNNER_H

#include "check.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum { TEST_PASSED, TEST_FAILED, TEST_SKIPPED } test_outcome_t;

typedef struct {
    test_outcome_t outcome;
    const char *file; /* of a failure */
    int line;
    char message[1024];
} test_report_t;

/* Run one case under the watchdog. Returns in the test's own process only. */
void test_run_case(const test_case_t *test, test_report_t *report);
/* Is the caller a child of the test's process? Each kind of main has its own way to know. */
bool test_in_child(void);

/* The case tables linked into this program, ended by NULL; the build writes this list. */
extern const test_case_t *const test_tables[];
/* Register every case with GoogleTest and run those that the arguments select; the process' exit
 * code. */
int test_main(int *argc, char **argv);

#ifdef __cplusplus
}
#endif

#endif
