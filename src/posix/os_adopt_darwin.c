/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Becoming what a requester of a server is, in the child that the server has forked, on macOS: the
 * process group, the priority, the limits. */
#include "os_posix.h"

#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static cohort_os_state_t own;

apr_status_t cohort__state_remember(void) {
    return cohort_os_state_look(COHORT_OS_LOOK_THREAD, &own, NULL);
}

static apr_status_t adopt_limits(const cohort_os_state_t *wanted) {
    for (int i = 0; i < RLIM_NLIMITS; ++i) {
        const uint64_t *values = &wanted->wishes[COHORT__WISH_LIMITS + 2 * i];
        const uint64_t *ours = &own.wishes[COHORT__WISH_LIMITS + 2 * i];
        if (memcmp(values, ours, 2 * sizeof *values) == 0) continue;
        struct rlimit limit = {(rlim_t)values[0], (rlim_t)values[1]};
        if (setrlimit(i, &limit) != 0) return cohort__fail(errno, "set resource limit %d", i);
    }
    return APR_SUCCESS;
}

apr_status_t cohort__state_adopt(const cohort_os_state_t *wanted) {
    pid_t group = (pid_t)wanted->wishes[COHORT__WISH_PROCESS_GROUP];
    int nice = (int)(int64_t)wanted->wishes[COHORT__WISH_NICE];
    if (!cohort__leads_group() && group != (pid_t)own.wishes[COHORT__WISH_PROCESS_GROUP] &&
        setpgid(0, group) != 0)
        return cohort__fail(errno, "join process group %d", (int)group);
    if (nice != (int)(int64_t)own.wishes[COHORT__WISH_NICE] &&
        setpriority(PRIO_PROCESS, 0, nice) != 0)
        return cohort__fail(errno, "set the priority to %d", nice);
    return adopt_limits(wanted);
}
