/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What the system says, for tests that do not want to take Cohort's word for it. By tests/posix/facts.c and
 * tests/win32/facts.c. */
#ifndef COHORT_TESTS_FACTS_H
#define COHORT_TESTS_FACTS_H

#include <stdbool.h>
#include <stdint.h>

/* Does this process exist and run? One that has ended and is only kept for its parent does not. */
bool system_runs(int64_t pid);
/* Open descriptors or handles of this process, -1 when the system does not tell. */
int system_handles(void);

#endif
