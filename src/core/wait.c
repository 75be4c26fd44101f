/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Wait for several things: whatever ends or becomes ready notifies one event count of the cohort, on which all who wait
 * for more than one thing sleep; each looks at its own items.
 */
#include <cohort/wait.h>

#include "core/pool.h"
#include "core/process.h"

typedef struct {
    cohort_waitable_t *items;
    apr_size_t n;
    cohort_wait_mode_t mode;
} wait_t;

static apr_status_t check_process(const cohort_process_t *process) {
    apr_status_t status = cohort__process_check(process);
    if (status) return status;
    if (process == cohort__self()) return COHORT_ENOWAIT;
    cohort__slot_state_t state = cohort__process_state(process);
    return state == COHORT__SLOT_NEW || state == COHORT__SLOT_MAKING ? COHORT_ENOTSTARTED : APR_SUCCESS;
}

static apr_status_t check(cohort_waitable_t *items, apr_size_t n, cohort_wait_mode_t mode) {
    if ((n && !items) || (mode != COHORT_WAIT_ANY && mode != COHORT_WAIT_ALL)) return APR_EINVAL;
    for (apr_size_t i = 0; i < n; i++) {
        if (!items[i].process == !items[i].result) return APR_EINVAL;
        apr_status_t status =
            items[i].process ? check_process(items[i].process) : cohort__result_check(items[i].result);
        if (status) return status;
        items[i].ready = 0;
    }
    return APR_SUCCESS;
}

/* A slot that holds no started process any more held one that has ended. */
static bool has_ended(cohort_process_t *process, bool thorough) {
    if (thorough) (void)cohort__process_bury(cohort__process_id(process));
    switch (cohort__process_state(process)) {
    case COHORT__SLOT_STARTING:
    case COHORT__SLOT_RUNNING:
    case COHORT__SLOT_DEAD:
        return false;
    default:
        return true;
    }
}

static bool is_ready(const cohort_waitable_t *item, bool thorough) {
    if (item->process) return has_ended(item->process, thorough);
    return cohort__result_check(item->result) || cohort__result_try(item->result, thorough) != APR_EAGAIN;
}

static apr_status_t try_wait(void *arg, bool thorough) {
    wait_t *wait = arg;
    apr_size_t ready = 0;
    for (apr_size_t i = 0; i < wait->n; i++) {
        cohort_waitable_t *item = &wait->items[i];
        item->ready = item->ready || is_ready(item, thorough);
        ready += item->ready != 0;
    }
    return ready == wait->n || (ready && wait->mode == COHORT_WAIT_ANY) ? APR_SUCCESS : APR_EAGAIN;
}

/* For one of a few children. */
static void assist(const wait_t *wait, int64_t deadline) {
    cohort_process_t *children[COHORT_OS_AWAIT_MAX];
    if (wait->mode != COHORT_WAIT_ANY || wait->n == 0 || wait->n > COHORT_OS_AWAIT_MAX) return;
    for (apr_size_t i = 0; i < wait->n; i++) {
        if (!(children[i] = wait->items[i].process)) return;
    }
    cohort__watcher_assist(children, (int)wait->n, deadline);
}

static cohort__pace_t pace(const wait_t *wait) {
    for (apr_size_t i = 0; i < wait->n; i++) {
        if (wait->items[i].result) return cohort__pace_brisk;
    }
    return cohort__pace_steady;
}

apr_status_t cohort_wait(cohort_waitable_t *items, apr_size_t n, cohort_wait_mode_t mode, apr_interval_time_t timeout) {
    cohort__thread_t *me;
    wait_t wait = {items, n, mode};
    apr_status_t status = cohort__enter(&me);
    if (!status) status = check(items, n, mode);
    if (status) return status;
    int64_t deadline = cohort__deadline(timeout);
    assist(&wait, deadline);
    return cohort__await_paced(&cohort__arena->completed, try_wait, &wait, deadline, pace(&wait));
}
