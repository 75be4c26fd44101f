/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Wait for several things: whatever ends or becomes ready notifies one event count of the cohort,
 * on which all waiting threads for more than one thing sleep; each looks at its own items.
 */
#include <cohort/wait.h>

#include "core/pool/pool.h"
#include "core/process/process.h"

#include <stdlib.h>

#define FEW 32

/* lives[i] says which process, or which result, was at the place of item i when the wait began. */
typedef struct {
    cohort_waitable_t *items;
    uint64_t *lives;
    apr_size_t n;
    cohort_wait_mode_t mode;
    cohort__thread_t *me;
} wait_t;

static apr_status_t check_process(const cohort_process_t *process, uint64_t *life) {
    apr_status_t status = cohort__process_check(process);
    if (status) return status;
    if (process == cohort__self()) return COHORT_ENOWAIT;
    *life = cohort__process_id(process);
    cohort__slot_state_t state = cohort__process_state(process);
    return state == COHORT__SLOT_NEW || state == COHORT__SLOT_MAKING ? COHORT_ENOTSTARTED
                                                                     : APR_SUCCESS;
}

static apr_status_t check_result(cohort_result_t *result, uint64_t *life) {
    cohort__call_t use;
    apr_status_t status = cohort__result_use(&use, result);
    if (!status) *life = use.life;
    return status;
}

static apr_status_t check_items(const wait_t *wait) {
    for (apr_size_t i = 0; i < wait->n; i++) {
        cohort_waitable_t *item = &wait->items[i];
        if (!item->process == !item->result) {
            return cohort__fail(APR_EINVAL, "items[%lu] has %s", (unsigned long)i,
                                item->process ? "both a process and a result"
                                              : "neither a process nor a result");
        }
        apr_status_t status = item->process ? check_process(item->process, &wait->lives[i])
                                            : check_result(item->result, &wait->lives[i]);
        if (status) return cohort__explain(status, "items[%lu]", (unsigned long)i);
        item->ready = 0;
    }
    return APR_SUCCESS;
}

/* A slot that holds another process by now, or one that was not started, held one that has
 * ended. */
static bool has_ended(cohort__pid_t id, bool thorough) {
    if (thorough) (void)cohort__process_check_dead(id);
    cohort_process_t *process = cohort__process_find(id);
    if (!process) return true;
    switch (cohort__process_state(process)) {
    case COHORT__SLOT_STARTING:
    case COHORT__SLOT_RUNNING:
    case COHORT__SLOT_DEAD: return cohort__process_find(id) != process;
    default: return true;
    }
}

static bool is_ready(const wait_t *wait, apr_size_t i, bool thorough) {
    if (wait->items[i].process) return has_ended(wait->lives[i], thorough);
    cohort__call_t use = {wait->me, (cohort__object_t *)wait->items[i].result, wait->lives[i]};
    return cohort__result_try(&use, thorough) != APR_EAGAIN;
}

static apr_status_t try_items(void *arg, bool thorough) {
    wait_t *wait = arg;
    apr_size_t ready = 0;
    for (apr_size_t i = 0; i < wait->n; i++) {
        cohort_waitable_t *item = &wait->items[i];
        item->ready = item->ready || is_ready(wait, i, thorough);
        ready += item->ready != 0;
    }
    return ready == wait->n || (ready && wait->mode == COHORT_WAIT_ANY) ? APR_SUCCESS : APR_EAGAIN;
}

/* For one of a few children. */
static void sleep_on_children(const wait_t *wait, int64_t deadline) {
    cohort_process_t *children[COHORT_OS_BORROW_MAX];
    if (wait->mode != COHORT_WAIT_ANY || wait->n == 0 || wait->n > COHORT_OS_BORROW_MAX) return;
    for (apr_size_t i = 0; i < wait->n; i++) {
        if (!(children[i] = wait->items[i].process)) return;
    }
    cohort__watcher_borrow(children, (int)wait->n, deadline);
}

static cohort__pace_t pace(const wait_t *wait) {
    for (apr_size_t i = 0; i < wait->n; i++) {
        if (wait->items[i].result) return cohort__pace_brisk;
    }
    return cohort__pace_steady;
}

static apr_status_t await_items(wait_t *wait, apr_interval_time_t timeout) {
    apr_status_t status = check_items(wait);
    int64_t deadline = cohort__deadline(timeout);
    if (status) return status;
    sleep_on_children(wait, deadline);
    return cohort__await_paced(&cohort__arena->completed, try_items, wait, deadline, pace(wait));
}

static apr_status_t wait_for(cohort_waitable_t *items, apr_size_t n, cohort_wait_mode_t mode,
                             apr_interval_time_t timeout) {
    uint64_t few[FEW], *lives = few;
    cohort__thread_t *me;
    apr_status_t status = cohort__enter(&me);
    if (status) return status;
    if (n && !items) return cohort__null("items");
    if (mode != COHORT_WAIT_ANY && mode != COHORT_WAIT_ALL)
        return cohort__fail(APR_EINVAL, "mode is %d", (int)mode);
    if (n > FEW && !(lives = n <= SIZE_MAX / sizeof *lives ? malloc(n * sizeof *lives) : NULL))
        return APR_ENOMEM;
    wait_t wait = {items, lives, n, mode, me};
    status = await_items(&wait, timeout);
    if (lives != few) free(lives);
    return status;
}

apr_status_t cohort_wait(cohort_waitable_t *items, apr_size_t n, cohort_wait_mode_t mode,
                         apr_interval_time_t timeout) {
    return COHORT__CALL_ANEW(wait_for(items, n, mode, timeout));
}
