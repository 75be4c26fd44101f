/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What cannot change while this process runs, on a POSIX system. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <pthread.h>

static cohort_os_facts_t facts;

/* No variant of os_park needs memory. What gave this program its rights, the file, would give them
 * again to one that is executed. */
static void find_facts(void) {
    bool privileged = cohort__is_privileged();
    facts = (cohort_os_facts_t){.park_region = 0,
                                .streams = {{0, 1, 2}},
                                .can_fork = true,
                                .fork_is_default = cohort__fork_is_default(),
                                .privileged = privileged,
                                .can_reexec = !privileged,
                                .can_keep_files = true,
                                .needs_keeper = true};
}

const cohort_os_facts_t *cohort_os_facts(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, find_facts);
    return &facts;
}
