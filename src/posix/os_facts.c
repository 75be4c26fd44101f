/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What cannot change while this process runs, on a POSIX system. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <pthread.h>

static cohort_os_facts_t facts;

static uint32_t settings_here(void) {
    unsigned char cpus[1024];
    uint32_t all = COHORT_OS_SET_LIMIT * ((1u << COHORT_OS_LIMITS) - 1) |
                   (COHORT_OS_SET_LIMIT - 1) | COHORT_OS_SET_SESSION;
    if (cohort__memory_limit < 0) all &= ~(uint32_t)COHORT_OS_SET_LIMIT;
    if (cohort__affinity_get(0, cpus, sizeof cpus) == 0) all &= ~(uint32_t)COHORT_OS_SET_CPUS;
    return all;
}

/* What gave this program its rights, the file, would give them
 * again to one that is executed. */
static void find_facts(void) {
    bool privileged = cohort__is_privileged();
    if (!privileged) cohort__mark_begin();
    facts = (cohort_os_facts_t){.streams = {{0, 1, 2}},
                                .can_fork = true,
                                .fork_is_default = cohort__fork_is_default(),
                                .privileged = privileged,
                                .can_reexec = !privileged,
                                .can_keep_files = true,
                                .settings = settings_here(),
                                .needs_keeper = true};
}

const cohort_os_facts_t *cohort_os_facts(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, find_facts);
    return &facts;
}
