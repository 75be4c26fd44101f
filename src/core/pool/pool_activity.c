/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Which worker runs which item, and since when.
 *
 * Workers do not note when an item begins unless its job needs that: it has a time for its items,
 * or the pool is *observed*. It is for some seconds from each question on: jobs that are under way
 * get the bit that has their next items timed, and those that are submitted in that time have it
 * from the start. So a pool that nobody asks about pays one load for each job; and of an item that
 * runs when the first question comes it is known since when it has been seen running, which is
 * noted in the worker's record then.
 */
#include "core/base/fail.h"
#include "core/pool/backend.h"

#define OBSERVED_NS INT64_C(10000000000) /* that a pool is observed after a question */

static cohort_activity_t **new_list(apr_pool_t *parent, uint32_t n) {
    cohort_activity_t **list = apr_palloc(parent, n * sizeof *list),
                      *all = apr_pcalloc(parent, n * sizeof *all);
    for (uint32_t i = 0; i < n; i++) list[i] = &all[i];
    return list;
}

/* Guard. False: nothing is at that place. */
static bool fill_activity(cohort_pool_t *pool, uint32_t number, int64_t now,
                          cohort_activity_t *activity) {
    cohort__worker_t *worker = cohort__pool_worker(pool, number);
    cohort_process_t *slot = cohort__process_find(atomic_load(&worker->process));
    if (!slot || cohort__process_state(slot) > COHORT__SLOT_RUNNING) return false;
    activity->process = slot;
    activity->pid = cohort__process_state(slot) == COHORT__SLOT_RUNNING ? slot->os.pid : 0;
    activity->state = atomic_load(&worker->phase) == COHORT__WORKER_READY ? COHORT_WORKER_IDLE
                                                                          : COHORT_WORKER_STARTING;
    cohort__worker_name(pool, number, activity->name);
    if (activity->state == COHORT_WORKER_IDLE)
        cohort__backend_of(pool)->activity(pool, number, now, activity);
    return true;
}

static apr_status_t activity(cohort_pool_t *pool, cohort_activity_t ***list, apr_size_t *n,
                             apr_pool_t *parent) {
    cohort__call_t use;
    if (!list || !n || !parent) return cohort__null(!list ? "list" : !n ? "n" : "parent");
    apr_status_t status = cohort__pool_call(&use, pool);
    if (!status) status = cohort__pool_enter_live(pool, use.me, use.life);
    if (status) return status;
    int64_t now = cohort_os_now();
    cohort_activity_t **all = new_list(parent, pool->workers);
    apr_size_t count = 0;
    atomic_store(&pool->observed, now + OBSERVED_NS);
    for (uint32_t i = 0; i < pool->workers; i++) count += fill_activity(pool, i, now, all[count]);
    cohort__pool_leave(pool);
    *list = all;
    *n = count;
    return APR_SUCCESS;
}

apr_status_t cohort_pool_activity(const cohort_pool_t *pool, cohort_activity_t ***list,
                                  apr_size_t *n, apr_pool_t *parent) {
    return COHORT__CALL_ANEW(activity((cohort_pool_t *)pool, list, n, parent));
}
