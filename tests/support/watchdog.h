/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Ends a test that hangs, by name: a wait without an end is a bug that must not look like a slow
 * machine. */
#ifndef COHORT_TESTS_WATCHDOG_H
#define COHORT_TESTS_WATCHDOG_H

#ifdef __cplusplus
extern "C" {
#endif

/* Abort the process with the case's name unless test_watchdog_stop() is called within
 * COHORT_TEST_TIMEOUT seconds (180 by default). */
void test_watchdog_start(const char *suite, const char *name);
void test_watchdog_stop(void);
/* What the case is at, for the message; 0 from the start. */
void test_watchdog_step(int step);

#ifdef __cplusplus
}
#endif

#endif
