/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What cannot change while this process runs, on Windows. */
#include "os_win32.h"

static cohort_os_facts_t facts;

/* Children have their parent's token, so those of a privileged process are not privileged. Jobs end
 * what is contained. */
static BOOL CALLBACK find_facts(INIT_ONCE *once, void *given, void **result) {
    (void)once, (void)given, (void)result;
    facts = (cohort_os_facts_t){.streams = {{COHORT_OS_NONE, COHORT_OS_NONE, COHORT_OS_NONE}},
                                .can_fork = false,
                                .fork_is_default = false,
                                .privileged = cohort__is_privileged(),
                                .can_reexec = true,
                                .can_keep_files = false,
                                .settings = COHORT_OS_SET_CPUS | COHORT__LIMITS_HERE,
                                .needs_keeper = false};
    return TRUE;
}

const cohort_os_facts_t *cohort_os_facts(void) {
    static INIT_ONCE once = INIT_ONCE_STATIC_INIT;
    InitOnceExecuteOnce(&once, find_facts, NULL, NULL);
    return &facts;
}
