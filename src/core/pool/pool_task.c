/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What a task can ask about itself. */
#include "core/pool/backend.h"

/* All zero outside a task. A copy of a worker, and a process that its task starts by fork, has what
 * the worker noted, and not its id. */
static cohort__task_t this_task(void) {
    cohort__task_t task = {0};
    const cohort_result_t *job = atomic_load_explicit(&cohort__running.job, memory_order_acquire);
    if (job && cohort__running.process == cohort__self_id())
        cohort__backend_of_job(job)->task(job, &task);
    return task;
}

apr_size_t cohort_task_index(void) { return (apr_size_t)this_task().index; }

apr_size_t cohort_task_attempt(void) { return (apr_size_t)this_task().attempt; }

const void *cohort_task_context(void) { return this_task().context; }
