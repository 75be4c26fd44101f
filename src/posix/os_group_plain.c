/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * For systems that know process groups by their number alone: a group is signalled while its leader
 * is seen not to be reaped. (Between the look and the signal the leader could be reaped by another
 * thread and its number be given away, which takes a whole round of the system's numbers.)
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <signal.h>
#include <unistd.h>

static bool is_unreaped(cohort_os_id_t leader) {
    uint64_t birth = 0;
    cohort__life_t life = cohort__life(leader.pid, &birth);
    return (life == COHORT__RUNS || life == COHORT__ENDED) && leader.birth != COHORT__BIRTH_GONE &&
           (birth == leader.birth || !leader.birth);
}

void cohort__group_end(cohort_os_id_t child) {
    if (cohort__is_unreaped(-1, child)) (void)kill(-(pid_t)child.pid, SIGKILL);
}

apr_status_t cohort_os_hold_take(cohort_os_id_t leader, bool alone, cohort_os_hold_t *hold) {
    *hold = (cohort_os_hold_t){leader, COHORT_OS_NONE, COHORT_OS_NONE, alone};
    return cohort_os_alive(leader, NULL) ? APR_SUCCESS : ESRCH;
}

/* No group has the number of a process that leads none. */
void cohort_os_hold_release(cohort_os_hold_t *hold, bool kill_it) {
    if (!kill_it) return;
    if (!hold->alone && is_unreaped(hold->leader)) (void)kill(-(pid_t)hold->leader.pid, SIGKILL);
    (void)cohort_os_signal(hold->leader, COHORT_OS_KILL);
}
