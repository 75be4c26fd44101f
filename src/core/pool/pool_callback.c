/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Callbacks of results. One thread of the process that gave them calls them; it exists while there
 * are some to be called, or imaps to be fed (pool_feed.c). It sleeps on the cohort's count of
 * completions and goes through all that are outstanding when one of them may be ready.
 */
#include "core/pool/backend.h"

#include <stdlib.h>

struct cohort__callback_t {
    cohort__callback_t *next;
    cohort_result_t *job;
    cohort_pool_t *pool;
    /* of the job, by the thread that calls; the life says whether it was destroyed */
    cohort__call_t use;
    cohort_callback_t on_success, on_error;
    void *arg;
    bool added; /* later, to the result: that is ready without it */
};

static cohort_os_mutex_t callbacks_mutex;
static cohort__callback_t *first_callback, **last_callback = &first_callback;
static cohort__callback_t *calling; /* being called now */
static unsigned reserved;           /* submissions under way that will bring one */
static bool caller_runs;
/* the membership that all this belongs to; a forked copy, or a later cohort, starts afresh */
static _Atomic uint32_t owner;
static _Thread_local bool inside;

bool cohort__in_callback(void) { return inside; }

/* A copy of another process has neither its thread nor its callbacks; the copied mutex may be
 * locked. */
static void lock_callbacks(void) {
    if (cohort__membership_is_new(&owner)) {
        cohort_os_mutex_reset(&callbacks_mutex);
        first_callback = calling = NULL;
        last_callback = &first_callback;
        reserved = 0;
        caller_runs = false;
        atomic_store(&owner, cohort__membership());
    }
    cohort_os_mutex_lock(&callbacks_mutex);
}

static bool is_destroyed(const cohort__callback_t *callback) {
    return cohort__call_over(&callback->use);
}

static bool is_callback_due(const cohort__callback_t *callback) {
    cohort_pool_t *pool = callback->pool;
    if (cohort__result_is_over(callback->job) || is_destroyed(callback)) return true;
    return atomic_load(&pool->state) == COHORT__POOL_ENDED;
}

static bool is_of_same(const cohort__callback_t *a, const cohort__callback_t *b) {
    return a->job == b->job && a->use.life == b->use.life;
}

/* Mutex. One that is due by now may have been passed over before it was, and others of the same
 * result come after it. */
static cohort__callback_t **first_of_result(const cohort__callback_t *due) {
    cohort__callback_t **at = &first_callback;
    while (!is_of_same(*at, due)) at = &(*at)->next;
    return at;
}

/* Take the first that is due; the order in which they came is kept as far as completion allows, and
 * among those of one result in any case. */
static bool take_due(void) {
    bool found = false;
    lock_callbacks();
    for (cohort__callback_t **at = &first_callback; *at && !found; at = &(*at)->next) {
        if (!is_callback_due(*at)) continue;
        if ((*at)->added) at = first_of_result(*at);
        calling = *at;
        *at = calling->next;
        if (last_callback == &calling->next) last_callback = at;
        found = true;
        break;
    }
    cohort_os_mutex_unlock(&callbacks_mutex);
    return found;
}

static bool is_idle(void) {
    lock_callbacks();
    bool idle = !first_callback && !reserved && !cohort__feeds_any();
    cohort_os_mutex_unlock(&callbacks_mutex);
    return idle;
}

static bool get_oldest(cohort__call_t *use) {
    lock_callbacks();
    bool any = first_callback != NULL;
    if (any) *use = first_callback->use;
    cohort_os_mutex_unlock(&callbacks_mutex);
    return any && !cohort__enter(&use->me);
}

static apr_status_t try_due(void *arg, bool thorough) {
    cohort__call_t oldest;
    (void)arg;
    if (take_due() || cohort__feeds_are_due()) return APR_SUCCESS;
    if (!thorough) return APR_EAGAIN;
    bool any = get_oldest(&oldest);
    if (any) (void)cohort__result_try(&oldest, true);
    if (take_due()) return APR_SUCCESS;
    return !any && is_idle() ? APR_EOF : APR_EAGAIN;
}

static void call_back(cohort__callback_t *callback) {
    int successful = 0;
    if (is_destroyed(callback) || cohort__result_successful(callback->job, &successful)) return;
    if (successful && callback->on_success) callback->on_success(callback->job, callback->arg);
    if (!successful && callback->on_error) callback->on_error(callback->job, callback->arg);
    cohort__end_copy(0);
}

static void done(cohort__callback_t *callback) {
    lock_callbacks();
    calling = NULL;
    cohort_os_mutex_unlock(&callbacks_mutex);
    if (!callback->added && !is_destroyed(callback)) {
        cohort_result_t *job = callback->job;
        atomic_store(&job->called, 1);
        if (atomic_load(&job->followed)) cohort__completed_note(job);
        cohort__notify(cohort__result_event(job), COHORT__ALL);
    }
    atomic_thread_fence(memory_order_seq_cst);
    cohort__notify(&callback->pool->changed, COHORT__ALL);
    cohort__notify(&cohort__arena->completed, COHORT__ALL);
    free(callback);
}

static bool more(void) {
    lock_callbacks();
    caller_runs = first_callback || reserved || cohort__feeds_any();
    bool go_on = caller_runs;
    cohort_os_mutex_unlock(&callbacks_mutex);
    return go_on;
}

static void dispatch(void *arg) {
    (void)arg;
    inside = true;
    while (more()) {
        cohort__pace_t pace = cohort__pace_steady;
        pace.gives = cohort__feeds_any();
        if (cohort__await_paced(&cohort__arena->completed, try_due, NULL, COHORT_OS_NEVER, pace))
            continue;
        if (!calling) {
            cohort__feeds_serve();
            continue;
        }
        call_back(calling);
        done(calling);
    }
}

/* The thread is there before the work is submitted, so that a submitted callback can be called. */
apr_status_t cohort__caller_reserve(void) {
    apr_status_t status = APR_SUCCESS;
    lock_callbacks();
    if (!caller_runs) status = cohort_os_thread_start(dispatch, NULL);
    if (!status) {
        caller_runs = true;
        reserved++;
    }
    cohort_os_mutex_unlock(&callbacks_mutex);
    return status;
}

static void unreserve(cohort__callback_t *callback) {
    lock_callbacks();
    reserved--;
    if (callback) {
        *last_callback = callback;
        last_callback = &callback->next;
    }
    cohort_os_mutex_unlock(&callbacks_mutex);
    atomic_thread_fence(memory_order_seq_cst);
    cohort__notify(&cohort__arena->completed, COHORT__ALL);
}

void cohort__caller_release(void) { unreserve(NULL); }

apr_status_t cohort__callback_make(cohort__callback_t **callback, const cohort_job_t *order) {
    if (!order->on_success && !order->on_error) return APR_SUCCESS;
    cohort__callback_t *made = calloc(1, sizeof *made);
    if (!made) return cohort__fail(APR_ENOMEM, "noting the callbacks");
    made->on_success = order->on_success;
    made->on_error = order->on_error;
    made->arg = order->callback_arg;
    apr_status_t status = cohort__caller_reserve();
    if (status) free(made);
    else *callback = made;
    return status;
}

void cohort__callback_drop(cohort__callback_t *callback) {
    if (!callback) return;
    unreserve(NULL);
    free(callback);
}

void cohort__callback_add(cohort__callback_t *callback, cohort_result_t *job) {
    callback->job = job;
    callback->pool = atomic_load(&job->pool);
    callback->use.object = &job->object;
    callback->use.life = atomic_load(&job->object.tag);
    unreserve(callback);
}

/* Kept until the thread that calls has it: the result may be destroyed meanwhile, which cancels
 * it. */
static apr_status_t add_later(cohort_result_t *result, cohort_callback_t callback, void *arg) {
    const cohort_job_t order = {.on_success = callback, .on_error = callback, .callback_arg = arg};
    cohort__callback_t *made = NULL;
    cohort__call_t use;
    if (!callback) return cohort__null("callback");
    apr_status_t status = cohort__result_use(&use, result);
    if (!status) status = cohort__callback_make(&made, &order);
    if (!made) return status;
    if (!cohort__result_look(&use)) {
        cohort__callback_drop(made);
        return COHORT_EHANDLE;
    }
    made->added = true;
    cohort__callback_add(made, result);
    cohort__result_look_end(&use);
    return APR_SUCCESS;
}

apr_status_t cohort_result_add_callback(cohort_result_t *result, cohort_callback_t callback,
                                        void *arg) {
    return COHORT__CALL_ANEW(add_later(result, callback, arg));
}

bool cohort__callbacks_pending(const cohort_pool_t *pool) {
    bool pending;
    lock_callbacks();
    pending = calling && calling->pool == pool;
    for (cohort__callback_t *at = first_callback; at && !pending; at = at->next)
        pending = at->pool == pool;
    cohort_os_mutex_unlock(&callbacks_mutex);
    return pending;
}
