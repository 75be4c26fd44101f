/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* For systems that do not tell which processes a process has started. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

static apr_status_t unknown(void) {
    return cohort__fail(APR_ENOTIMPL, "this system does not tell what a process has started");
}

apr_status_t cohort_os_tree_end(const cohort_os_tree_t *tree, cohort_os_id_t leader, bool whole,
                                int64_t ask, bool (*spares)(int64_t pid)) {
    (void)ask, (void)spares;
    if (tree || whole) return unknown();
    cohort__group_end(leader);
    return APR_SUCCESS;
}
