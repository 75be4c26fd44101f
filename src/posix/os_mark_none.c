/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* For systems without a search that would find a mark: there are no trees. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

void cohort__mark_begin(void) {}

bool cohort__mark_variable(const cohort_os_start_t *start,
                           char text[sizeof COHORT__MARK_NAME + COHORT__MARK_MAX]) {
    (void)start, (void)text;
    return false;
}

bool cohort__mark_is(const char *variable) {
    (void)variable;
    return false;
}

apr_status_t cohort__mark_renew(void) { return APR_SUCCESS; }

apr_status_t cohort__mark_enter(cohort_os_tree_t *tree, bool detach) {
    (void)tree, (void)detach;
    return APR_SUCCESS;
}
