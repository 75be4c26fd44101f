/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What a thread is, for its children to be the same. A process keeps its token for life, so there
 * is nothing to be seen. What a child can be given from outside it inherits from its parent, and no
 * server starts children for another process: so nothing has to be noted or handed on. What a
 * pool's maker had when it made the pool is not kept: a worker has what the maker has when it is
 * started. */
#include "os_win32.h"

#include <string.h>

apr_status_t cohort_os_state_look(cohort_os_look_t what, cohort_os_state_t *state,
                                  cohort_os_context_t *context) {
    if (what == COHORT_OS_LOOK_CONTEXT) {
        context->size = 0;
        if (context->streams) *context->streams = cohort_os_facts()->streams;
    }
    memset(state, 0, sizeof *state);
    return APR_SUCCESS;
}
