/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the seam share: starting this program again in some role, and seeing how it
 * ends. */
#ifndef COHORT_TESTS_OS_SEAM_H
#define COHORT_TESTS_OS_SEAM_H

#include "core/base/os.h"

#define SEAM_SYSTEM_ROLES 100

/* A start of this program in this role; `boot` must live until then. */
cohort_os_start_t seam_reexec(cohort_os_boot_t *boot, uint32_t role, uint64_t argument);
/* Done, and checked. */
cohort_os_id_t seam_start(uint32_t role, uint64_t argument);
/* Wait for its end; with the latter, for its exit code too. */
void seam_await_end(cohort_os_id_t id, bool child);
int seam_end_code(cohort_os_id_t id);
/* The roles from SEAM_SYSTEM_ROLES on, by the tests of one family of systems. The arena's base may
 * be NULL. */
int seam_system_role(const cohort_os_boot_t *boot, const cohort_os_arena_t *arena);

#endif
