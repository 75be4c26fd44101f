/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the seam on POSIX systems share: the roles of their children, forks and other
 * programs. */
#ifndef COHORT_TESTS_OS_SEAM_POSIX_H
#define COHORT_TESTS_OS_SEAM_POSIX_H

#include "check.h"
#include "seam.h"

#include <unistd.h>

#define MIB ((uint64_t)1 << 20)
#define FORK                                                                              \
    {                                                                                     \
        .how = COHORT_OS_FORK, .stdio = {COHORT_OS_NONE, COHORT_OS_NONE, COHORT_OS_NONE}, \
        .lifeline = COHORT_OS_NONE                                                        \
    }

enum { TITLE = SEAM_SYSTEM_ROLES, DESCRIPTORS, MASK, ARM_AND_CLOSE_ALL, SESSION };

/* In the child it returns true. */
static inline bool fork_child(cohort_os_id_t *id) {
    cohort_os_start_t start = FORK;
    bool in_child;
    CHECK_STATUS(APR_SUCCESS, cohort_os_start(&start, id, &in_child));
    return in_child;
}

static inline cohort_os_start_t program(const char *const *argv) {
    return (cohort_os_start_t){.how = COHORT_OS_PROGRAM,
                               .path = argv[0],
                               .argv = argv,
                               .stdio = {COHORT_OS_NONE, COHORT_OS_NONE, COHORT_OS_NONE},
                               .lifeline = COHORT_OS_NONE};
}

static inline cohort_os_id_t run(const cohort_os_start_t *start) {
    cohort_os_id_t id;
    bool in_child;
    CHECK_STATUS(APR_SUCCESS, cohort_os_start(start, &id, &in_child));
    return id;
}

static inline void close_all(void) {
    for (int fd = 3; fd < 1024; ++fd) close(fd);
}

#endif
