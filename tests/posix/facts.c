/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
#include "facts.h"

#include "system.h"

bool system_runs(int64_t pid) {
    return process_runs(pid);
}

int system_handles(void) {
    return count_descriptors(getpid());
}
