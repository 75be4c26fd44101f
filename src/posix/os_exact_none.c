/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* There are no descriptors of processes: a process is known by its pid, and its start time. */
#include "os_posix.h"

cohort__life_t cohort__life(int64_t pid, uint64_t *birth) {
    return cohort__life_by_pid(pid, birth);
}

int cohort__life_open(int64_t pid, uint64_t *birth) {
    (void)pid, (void)birth;
    return -1;
}

int cohort__wait_exact(int fd, siginfo_t *info, int options) {
    (void)fd, (void)info, (void)options;
    errno = EINVAL;
    return -1;
}

int cohort__signal_exact(cohort_os_id_t process, int signal) {
    (void)process, (void)signal;
    errno = ENOSYS;
    return -1;
}

int cohort__signal_group(int fd, cohort_os_id_t leader, int signal) {
    (void)fd, (void)leader, (void)signal;
    errno = ENOSYS;
    return -1;
}
