/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What the linker gives to all code that asks whether the program is privileged. */
#include <stdbool.h>

bool __wrap_cohort__is_privileged(void);

bool __wrap_cohort__is_privileged(void) { return false; }
