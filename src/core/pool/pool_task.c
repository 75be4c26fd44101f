/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What a task can ask about itself. */
#include "core/object/sync.h"
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

apr_size_t cohort_task_index(void) {
    const cohort__task_t task = this_task();
    return (apr_size_t)(task.base + task.index);
}

apr_size_t cohort_task_attempt(void) { return (apr_size_t)this_task().attempt; }

apr_status_t cohort_task_should_stop(void) {
    const cohort_result_t *job = atomic_load_explicit(&cohort__running.job, memory_order_acquire);
    if (!job || cohort__running.process != cohort__self_id()) return APR_SUCCESS;
    return cohort__backend_of_job(job)->told(job);
}

apr_size_t cohort_task_input_size(void) { return (apr_size_t)this_task().input_size; }

static apr_status_t task_output(apr_size_t size, void **data) {
    cohort__thread_t *me;
    apr_status_t status = cohort__enter(&me);
    if (status) return status;
    const cohort__task_t task = this_task();
    cohort_result_t *job = atomic_load_explicit(&cohort__running.job, memory_order_relaxed);
    if (!task.attempt || me != cohort__running.thread)
        return cohort__fail(APR_EINVAL, "this thread is not that of a task");
    return cohort__backend_of_job(job)->output(job, me, task.index, size, data);
}

void *cohort_task_output(apr_size_t size) {
    void *data = NULL;
    (void)COHORT__CALL_ANEW(task_output(size, &data));
    return data;
}

/* ---- memory that goes with the task --------------------------------------------------------- */

/* It is the worker's own, so should that die the repairer frees it as any region of a process. */
static apr_status_t task_region(cohort_region_t **region) {
    cohort__call_t *own = &cohort__running.region;
    cohort__thread_t *me;
    apr_status_t status = cohort__enter(&me);
    if (!status && !region) status = cohort__null("region");
    if (!status && (!this_task().attempt || me != cohort__running.thread))
        status = cohort__fail(APR_EINVAL, "this thread is not that of a task");
    if (status) return status;
    if (!own->object || cohort__call_over(own)) {
        own->me = me;
        status = cohort__region_open(own);
        if (status) return status;
        cohort__identity.usual = 0;
    }
    *region = (cohort_region_t *)own->object;
    return APR_SUCCESS;
}

apr_status_t cohort_task_region(cohort_region_t **region) {
    return COHORT__CALL_ANEW(task_region(region));
}

void cohort__task_over(apr_status_t status) {
    cohort__call_t *own = &cohort__running.region;
    cohort__end_copied_task(status);
    if (!own->object) return;
    cohort__identity.usual = COHORT__ORIGINAL;
    cohort__region_shut(own);
    own->object = NULL;
}

/* --------------------------------------------------------------------------------------------- */

const void *cohort_task_context(void) { return this_task().context; }

/* ---- a worker's own state ------------------------------------------------------------------- */

static bool is_worker(void) {
    return cohort__running.process && cohort__running.process == cohort__self_id();
}

void *cohort_task_worker_state(void) { return is_worker() ? cohort__running.state : NULL; }

static apr_status_t set_worker_state(void *state) {
    if (!is_worker()) return cohort__fail(APR_EINVAL, "this process is no worker of a pool");
    cohort__running.state = state;
    return APR_SUCCESS;
}

apr_status_t cohort_task_set_worker_state(void *state) {
    return COHORT__CALL_ANEW(set_worker_state(state));
}
