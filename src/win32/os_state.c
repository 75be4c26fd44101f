/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What a thread is, for its children to be the same. A process keeps its token for life, so there
 * is nothing to be seen. */
#include "os_win32.h"

#include <string.h>

void cohort_os_state_quick(cohort_os_state_t *state) {
    memset(state->quick, 0, sizeof state->quick);
}

apr_status_t cohort_os_state_look(int64_t pid, cohort_os_state_t *state) {
    (void)pid;
    memset(state, 0, sizeof *state);
    return APR_SUCCESS;
}
