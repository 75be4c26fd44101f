/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Results: waited for, cancelled, released. What one that is done says: pool_answer.c. */
#include "core/base/bits.h"
#include "core/pool/backend.h"

#include <stdio.h>

/* ---- waiting -------------------------------------------------------------------------------- */

apr_status_t cohort__result_use(cohort__call_t *use, cohort_result_t *result) {
    return cohort__call_begin(use, result, COHORT__KIND_RESULT, COHORT__RESULT_TAG);
}

/* A thread that destroys the job meanwhile leaves it to the last one that ends its look, or to the
 * sweep after that one's death. */
bool cohort__result_look(const cohort__call_t *use) {
    atomic_store_explicit(&cohort__result_of(use)->looked, 1, memory_order_relaxed);
    return cohort__call_look(use);
}

void cohort__result_look_end(const cohort__call_t *use) {
    cohort_result_t *job = cohort__result_of(use);
    cohort_pool_t *pool = atomic_load(&job->pool);
    const cohort__backend_t *backend = cohort__backend_of_job(job);
    cohort__call_look_end(use);
    atomic_thread_fence(memory_order_seq_cst);
    if (!cohort__call_over(use)) return;
    cohort__pool_enter(pool, use->me);
    backend->left(pool, use->me, job);
    cohort__pool_leave_last(pool, use->me);
}

/* A thread that waits sees what the callback did; unless it waits in a callback, or the process
 * that was to call it is dead. */
static bool is_called(cohort_result_t *job, bool thorough) {
    if (!atomic_load_explicit(&job->callbacks, memory_order_relaxed) || atomic_load(&job->called) ||
        cohort__in_callback())
        return true;
    return thorough && !cohort__process_alive(job->submitter, true);
}

/* What is read is of the life that is meant if that goes on afterwards: the state of a job is
 * final. */
static apr_status_t peek(const cohort__call_t *use, bool thorough) {
    cohort_result_t *job = cohort__result_of(use);
    bool ready = cohort__result_is_over(job) && is_called(job, thorough);
    if (cohort__call_over(use)) return COHORT_EHANDLE;
    return ready ? APR_SUCCESS : APR_EAGAIN;
}

/* The process that ended the pool ends its jobs too, unless it dies over that. */
static void end_with_pool(const cohort__call_t *use) {
    cohort_result_t *job = cohort__result_of(use);
    if (!cohort__result_look(use)) return;
    cohort_pool_t *pool = atomic_load(&job->pool);
    if (!cohort__result_is_over(job) && atomic_load(&pool->state) == COHORT__POOL_ENDED) {
        cohort__backend_of(pool)->abandon(job, COHORT_ETERMINATED);
    }
    cohort__result_look_end(use);
}

/* The process that cancelled it does all that follows, too, unless it dies over that. */
static void cancel_on(const cohort__call_t *use) {
    cohort_result_t *job = cohort__result_of(use);
    if (!atomic_load(&job->cancelled) || !cohort__result_look(use)) return;
    (void)cohort__backend_of_job(job)->cancel(
        job, use->me, cohort__cancel_waiting(atomic_load(&job->cancelled)), COHORT__CANCEL_WAITING);
    cohort__result_look_end(use);
}

/* Dead processes are noticed, and what they leave undone is done; workers that are missing are
 * started only by a thread that waits. */
apr_status_t cohort__result_mend(const cohort__call_t *use) {
    apr_status_t status = peek(use, true);
    if (status != APR_EAGAIN || cohort__result_is_over(cohort__result_of(use))) return status;
    end_with_pool(use);
    cancel_on(use);
    return peek(use, true);
}

static apr_status_t look_around(const cohort__call_t *use, bool waits) {
    cohort_result_t *job = cohort__result_of(use);
    cohort_pool_t *pool = atomic_load(&job->pool);
    apr_status_t status = cohort__result_mend(use);
    if (status != APR_EAGAIN || cohort__result_is_over(job)) return status;
    /* if that is another pool by now, it is looked after for once */
    cohort__pool_look(pool, use->me, waits);
    return peek(use, true);
}

apr_status_t cohort__result_try(const cohort__call_t *use, bool thorough) {
    return thorough ? look_around(use, true) : peek(use, false);
}

static apr_status_t try_result(void *arg, bool thorough) {
    return cohort__result_try(arg, thorough);
}

unsigned cohort__result_ready(const cohort__aim_t *aim, unsigned wanted, bool thorough) {
    cohort__call_t use = {aim->me, aim->handle, aim->life};
    apr_status_t status = thorough ? cohort__result_try(&use, true) : peek(&use, false);
    return status == APR_EAGAIN ? 0 : wanted;
}

/* Of one that is ready; one that was destroyed has not. */
bool cohort__result_failed(const cohort__aim_t *aim) {
    const cohort__call_t use = {aim->me, aim->handle, aim->life};
    bool failed = cohort__result_find(aim->handle).status != APR_SUCCESS;
    return failed && !cohort__call_over(&use);
}

void cohort__result_describe(const cohort__aim_t *aim, char *text, size_t size) {
    snprintf(text, size, "a result that is %sdone",
             cohort__result_is_over(aim->handle) ? "" : "not ");
}

static bool is_short_of_workers(void *arg) {
    const cohort_result_t *job = cohort__result_of(arg);
    return cohort__backend_of_job(job)->is_short_of_workers(job);
}

apr_status_t cohort__result_await(cohort__call_t *use, apr_interval_time_t timeout) {
    cohort__pace_t pace = cohort__pace_brisk;
    pace.unrest = is_short_of_workers;
    return cohort__await_paced(cohort__result_event(cohort__result_of(use)), try_result, use,
                               cohort__deadline(timeout), pace);
}

static apr_status_t result_wait(cohort_result_t *result, apr_interval_time_t timeout) {
    cohort__call_t use;
    apr_status_t status = cohort__result_use(&use, result);
    return status ? status : cohort__result_await(&use, timeout);
}

apr_status_t cohort_result_wait(cohort_result_t *result, apr_interval_time_t timeout) {
    return COHORT__CALL_ANEW(result_wait(result, timeout));
}

#define ASK_AGAIN_NS INT64_C(50000000)

/* True once in that time, for one caller. */
static bool is_time_to_look(cohort_result_t *job) {
    int64_t now = cohort_os_now(), asked = atomic_load_explicit(&job->asked, memory_order_relaxed);
    return now - asked >= ASK_AGAIN_NS && atomic_compare_exchange_strong(&job->asked, &asked, now);
}

apr_status_t cohort__result_glance(const cohort__call_t *use) {
    cohort_result_t *job = cohort__result_of(use);
    apr_status_t status = peek(use, false);
    if (status != APR_EAGAIN) return status;
    if (is_time_to_look(job)) return look_around(use, false);
    if (!cohort__result_is_over(job)) end_with_pool(use);
    return peek(use, false);
}

int cohort_result_is_ready(const cohort_result_t *result) {
    cohort__call_t use;
    if (COHORT__CALL_ANEW(cohort__result_use(&use, (cohort_result_t *)result))) return 1;
    return cohort__result_glance(&use) != APR_EAGAIN;
}

apr_status_t cohort__result_look_ready(cohort__call_t *use, cohort_result_t *result) {
    apr_status_t status = cohort__result_use(use, result);
    if (!status) status = look_around(use, false);
    if (status) return status;
    return cohort__result_look(use) ? APR_SUCCESS : COHORT_EHANDLE;
}

/* ---- cancelling ----------------------------------------------------------------------------- */

static apr_status_t result_cancel(cohort_result_t *result, cohort_cancel_t how) {
    cohort__call_t use;
    if (how != COHORT_CANCEL_SOFT && how != COHORT_CANCEL_HARD)
        return cohort__fail(APR_EINVAL, "how is %d", (int)how);
    apr_status_t status = cohort__result_use(&use, result);
    if (!status && !cohort__result_look(&use)) status = COHORT_EHANDLE;
    if (status) return status;
    status = cohort__backend_of_job(result)->cancel(
        result, use.me, COHORT__WHY_CANCELLED,
        how == COHORT_CANCEL_HARD ? COHORT__CANCEL_END : COHORT__CANCEL_TELL);
    cohort__result_look_end(&use);
    return status;
}

static apr_status_t result_cancel_item(cohort_result_t *result, apr_size_t index,
                                       cohort_cancel_t how) {
    cohort__call_t use;
    if (how != COHORT_CANCEL_SOFT && how != COHORT_CANCEL_HARD)
        return cohort__fail(APR_EINVAL, "how is %d", (int)how);
    apr_status_t status = cohort__result_use(&use, result);
    if (!status && !cohort__result_look(&use)) status = COHORT_EHANDLE;
    if (status) return status;
    status = cohort__backend_of_job(result)->cancel_item(result, use.me, index,
                                                         how == COHORT_CANCEL_HARD);
    cohort__result_look_end(&use);
    return status;
}

apr_status_t cohort_result_cancel_item(cohort_result_t *result, apr_size_t index,
                                       cohort_cancel_t how) {
    return COHORT__CALL_ANEW(result_cancel_item(result, index, how));
}

apr_status_t cohort_result_cancel(cohort_result_t *result, cohort_cancel_t how) {
    return COHORT__CALL_ANEW(result_cancel(result, how));
}

static cohort_result_state_t state_of(const cohort__call_t *use) {
    bool over = peek(use, false) != APR_EAGAIN;
    const cohort__found_t found = cohort__result_find(cohort__result_of(use));
    if (!over) return found.begun ? COHORT_RESULT_RUNNING : COHORT_RESULT_QUEUED;
    if (!found.status) return COHORT_RESULT_DONE;
    return found.cancelled && !found.abandoned ? COHORT_RESULT_CANCELLED : COHORT_RESULT_FAILED;
}

static apr_status_t result_state(cohort_result_t *result, cohort_result_state_t *state) {
    cohort__call_t use;
    apr_status_t status = cohort__result_use(&use, result);
    if (!status) end_with_pool(&use);
    if (!status && !cohort__result_look(&use)) status = COHORT_EHANDLE;
    if (status) return status;
    *state = state_of(&use);
    cohort__result_look_end(&use);
    return APR_SUCCESS;
}

cohort_result_state_t cohort_result_state(const cohort_result_t *result) {
    cohort_result_state_t state = COHORT_RESULT_NONE;
    (void)COHORT__CALL_ANEW(result_state((cohort_result_t *)result, &state));
    return state;
}

/* ---- releasing ------------------------------------------------------------------------------ */

/* Lines that the back end wrote to, and that will be written here: to take it off the lists, and to
 * make another in its place. */
void cohort__result_prefetch(const cohort_result_t *job) {
    for (size_t at = offsetof(cohort_result_t, pool); at < offsetof(cohort_result_t, data) + 64;
         at += 64) {
        cohort__prefetch((const char *)job + at);
    }
}

/* The guard is left: wake all that wait for the job, to find that it is gone. */
static void notify_all(cohort_result_t *job) {
    cohort__notify(cohort__result_event(job), COHORT__ALL);
    cohort__notify_completed(job);
}

bool cohort__result_drop(const cohort__call_t *use) {
    cohort_result_t *job = cohort__result_of(use);
    cohort_pool_t *pool = atomic_load(&job->pool);
    const cohort__backend_t *backend = cohort__backend_of_job(job);
    /* another call has destroyed it, and it may be being made anew */
    if (cohort__call_over(use)) return false;
    cohort__result_prefetch(job);
    cohort__pool_enter(pool, use->me);
    bool followed = atomic_load(&job->followed) && !cohort__result_is_over(job);
    bool ended = backend->drop(pool, use);
    cohort__pool_leave_last(pool, use->me);
    if (ended && followed) cohort__completed_gone(job);
    return ended;
}

apr_status_t cohort__result_destroy(cohort_result_t *result) {
    cohort__call_t use;
    if (!result) return APR_SUCCESS;
    apr_status_t status = cohort__result_use(&use, result);
    if (status)
        return status == COHORT_EHANDLE && cohort__object_place(result, COHORT__KIND_RESULT)
                   ? APR_SUCCESS
                   : status;
    cohort__progress_last(use.object);
    if (cohort__result_drop(&use)) notify_all(result);
    return APR_SUCCESS;
}

apr_status_t cohort_result_destroy(cohort_result_t *result) {
    return COHORT__CALL_ANEW(cohort__result_destroy(result));
}
