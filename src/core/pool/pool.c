/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Pools: made, closed, ended, joined. How a pool works is described in pool.h. */
#include "core/base/reserved.h"
#include "core/pool/backend.h"
#include "core/pool/pool_tally.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define GRACE INT64_C(1000000000) /* from terminate to kill, nanoseconds */

_Static_assert(sizeof(cohort_pool_t) <= COHORT__OBJECT_SIZE_MAX, "a pool fits its block");
_Static_assert(sizeof(cohort_result_t) <= COHORT__OBJECT_SIZE_MAX, "a result fits its block");

/* ---- making --------------------------------------------------------------------------------- */

typedef struct {
    cohort_pool_options_t given;
    uint32_t workers, hands;
    char name[COHORT__POOL_NAME_MAX];
    cohort__code_t initializer;
} plan_t;

static apr_status_t plan_name(plan_t *plan) {
    static _Atomic uint32_t made;
    const char *name = plan->given.name;
    if (name) {
        size_t length = strlen(name);
        if (length == 0 || length >= sizeof plan->name) {
            return cohort__fail(APR_EINVAL, "name has %u bytes, not between 1 and %u",
                                (unsigned)length, (unsigned)sizeof plan->name - 1);
        }
        memcpy(plan->name, name, length + 1);
    } else {
        snprintf(plan->name, sizeof plan->name, "Pool-%u",
                 (unsigned)atomic_fetch_add(&made, 1) + 1);
    }
    return APR_SUCCESS;
}

static apr_status_t plan_make(plan_t *plan, const cohort_pool_options_t *options) {
    if (options) plan->given = *options;
    const cohort_pool_options_t *o = &plan->given;
    apr_status_t status = cohort__check_reserved(o->reserved, 4, "options.reserved");
    if (status) return status;
    if (o->init_size && !o->init_args) return cohort__null("init_args");
    status = cohort__limits_check(o);
    if (status) return status;
    if (o->signals < COHORT_SIGNALS_DEFAULT || o->signals > COHORT_SIGNALS_RESET)
        return cohort__fail(APR_EINVAL, "signals is %d", (int)o->signals);
    if (o->group < COHORT_GROUP_DEFAULT || o->group > COHORT_GROUP_OWN)
        return cohort__fail(APR_EINVAL, "group is %d", (int)o->group);
    status = cohort__containment_check(o->containment, o->group);
    if (!status) status = cohort__session_check(o->settings, o->group);
    if (status) return status;
    if (o->workers > COHORT__WORKERS_MAX) {
        return cohort__fail(COHORT_ELIMIT, "workers is %" APR_SIZE_T_FMT "; a pool has at most %d",
                            o->workers, COHORT__WORKERS_MAX);
    }
    plan->hands = (uint32_t)cohort_os_figure(COHORT_OS_CPUS);
    plan->workers = o->workers ? (uint32_t)o->workers : plan->hands;
    if (plan->workers > COHORT__WORKERS_MAX) plan->workers = COHORT__WORKERS_MAX;
    if (plan->hands > plan->workers) plan->hands = plan->workers;
    status = plan_name(plan);
    if (status) return status;
    return cohort__code_find((cohort__function_t)o->initializer, &plan->initializer);
}

static apr_status_t add_blocks(cohort_pool_t *pool, cohort__thread_t *me, const plan_t *plan) {
    pool->counts = plan->given.statistics != 0;
    size_t size = cohort__places_size(pool, plan->workers, true);
    apr_status_t status = cohort__block_new(me, COHORT__KIND_BYTES, size, &pool->object.parts[0]);
    if (status) return status;
    memset(atomic_load(&pool->object.parts[0]), 0, size);
    if (!plan->given.init_size) return APR_SUCCESS;
    status =
        cohort__block_new(me, COHORT__KIND_BYTES, plan->given.init_size, &pool->object.parts[1]);
    if (!status)
        memcpy(atomic_load(&pool->object.parts[1]), plan->given.init_args, plan->given.init_size);
    return status;
}

static apr_status_t fill_pool(cohort_pool_t *pool, const plan_t *plan) {
    atomic_store_explicit(&pool->backend, COHORT__BACKEND_LOCAL, memory_order_relaxed);
    cohort__backend_of(pool)->setup(pool);
    pool->maker = cohort__self_id();
    pool->workers = pool->first = plan->workers;
    if (pool->counts) atomic_store(&cohort__pool_tally_all(pool)->made, cohort_os_now());
    pool->hands = plan->hands;
    pool->attempts = cohort__attempts(plan->given.attempts);
    pool->method = plan->given.method;
    pool->signals = plan->given.signals;
    pool->group = plan->given.group;
    pool->containment = plan->given.containment;
    pool->initializer = plan->initializer;
    pool->init_size = plan->given.init_size;
    memcpy(pool->name, plan->name, sizeof pool->name);
    return cohort__limits_set(pool, &plan->given);
}

static apr_status_t pool_destroy(cohort_pool_t *pool);

static apr_status_t destroy_pool(void *object) { return pool_destroy(object); }

/* A watcher that has just seen the end of a pool at the same place must not take it for this one:
 * it would start the same workers. */
static apr_status_t start_workers(cohort_pool_t *pool, cohort__thread_t *me) {
    apr_status_t status = APR_SUCCESS;
    uint64_t tag = cohort__pool_tag(pool);
    for (uint32_t i = 0; i < pool->workers && !status; i++)
        status = cohort__worker_start(pool, me, tag, i);
    atomic_store(&pool->staffed, 1);
    if (!status && pool->on_demand) status = cohort__recruiter_start(pool, tag);
    if (!status) cohort__pool_tend(pool); /* those that have died already */
    return status;
}

static apr_status_t pool_create(cohort_pool_t **pool, const cohort_pool_options_t *options,
                                apr_pool_t *parent) {
    plan_t plan = {0};
    cohort_pool_t *made;
    cohort__thread_t *me;
    if (!pool) return cohort__null("pool");
    apr_status_t status = cohort__enter(&me);
    if (!status) status = plan_make(&plan, options);
    if (!status)
        status = cohort__object_new(me, COHORT__KIND_POOL, offsetof(cohort_pool_t, work), &made);
    if (status) return status;
    status = add_blocks(made, me, &plan);
    if (status) {
        cohort__object_free(me, made);
        return status;
    }
    status = fill_pool(made, &plan);
    if (status) {
        cohort__object_free(me, made);
        return status;
    }
    cohort__object_publish(me, made, COHORT__POOL_TAG, parent, destroy_pool);
    status = cohort__setting_make(made, cohort__pool_tag(made), &plan.given);
    if (!status) status = start_workers(made, me);
    if (status) (void)pool_destroy(made);
    else *pool = made;
    return status;
}

apr_status_t cohort_pool_create(cohort_pool_t **pool, const cohort_pool_options_t *options,
                                apr_pool_t *parent) {
    return COHORT__CALL_ANEW(pool_create(pool, options, parent));
}

void cohort__pool_describe(const cohort__aim_t *aim, char *text, size_t size) {
    static const char *const states[] = {"an open", "a closed", "a terminated"};
    cohort_pool_t *pool = aim->handle;
    snprintf(text, size, "%s pool with %u worker%s", states[atomic_load(&pool->state)],
             (unsigned)pool->workers, pool->workers == 1 ? "" : "s");
}

/* ---- the end -------------------------------------------------------------------------------- */

static apr_status_t check_call(cohort_pool_t *pool, cohort__thread_t **me, uint64_t *tag) {
    apr_status_t status = cohort__enter(me);
    if (!status) status = cohort__object_check(pool, COHORT__KIND_POOL, COHORT__POOL_TAG);
    if (status) return status;
    *tag = cohort__pool_tag(pool);
    return *tag ? APR_SUCCESS : COHORT_EHANDLE;
}

static apr_status_t pool_close(cohort_pool_t *pool) {
    cohort__thread_t *me;
    uint64_t tag;
    apr_status_t status = check_call(pool, &me, &tag);
    if (!status) status = cohort__pool_enter_live(pool, me, tag);
    if (status) return status;
    if (atomic_load(&pool->state) == COHORT__POOL_OPEN) {
        atomic_store(&pool->state, COHORT__POOL_CLOSED);
    }
    cohort__pool_leave(pool);
    atomic_thread_fence(memory_order_seq_cst);
    cohort__notify(&pool->work, COHORT__ALL);
    cohort__notify(&cohort__arena->completed, COHORT__ALL); /* its imaps end */
    return APR_SUCCESS;
}

apr_status_t cohort_pool_close(cohort_pool_t *pool) { return COHORT__CALL_ANEW(pool_close(pool)); }

/* The status of the first that could not be reached though it runs: this process may not signal
 * it any more. */
static apr_status_t signal_workers(cohort_pool_t *pool, cohort__thread_t *me, uint64_t tag,
                                   int signal) {
    apr_status_t refused = APR_SUCCESS;
    for (uint32_t i = 0;
         i < COHORT__WORKERS_MAX && cohort__pool_tag(pool) == tag && i < pool->workers; i++) {
        cohort__pid_t id = cohort__staff_at(pool, me, tag, i);
        cohort_process_t *slot = cohort__process_find(id);
        if (!slot || cohort__process_state(slot) != COHORT__SLOT_RUNNING) continue;
        apr_status_t status = cohort__process_signal(id, signal);
        if (APR_STATUS_IS_EACCES(status) || status == APR_FROM_OS_ERROR(EPERM)) {
            if (!refused)
                refused = cohort__fail(status, "ending worker %u (pid %lld)", (unsigned)i + 1,
                                       (long long)slot->os.pid);
        }
    }
    return refused;
}

/* The earliest time counts. Of a pool that is gone, or another by now, it may be written in vain:
 * it is looked at only when the pool has been ended, and set before that. */
static void kill_workers_at(cohort_pool_t *pool, int64_t when) {
    int64_t set = atomic_load(&pool->kill);
    while ((!set || set > when) && !atomic_compare_exchange_weak(&pool->kill, &set, when)) {
    }
}

/* They are asked to end, and to be killed at this time. */
static apr_status_t end_workers(cohort_pool_t *pool, cohort__thread_t *me, uint64_t tag,
                                int64_t when) {
    kill_workers_at(pool, when);
    cohort__pool_end(pool, me, tag);
    return signal_workers(pool, me, tag,
                          when > cohort_os_now() ? COHORT_OS_TERMINATE : COHORT_OS_KILL);
}

static apr_status_t pool_terminate(cohort_pool_t *pool) {
    cohort__thread_t *me;
    uint64_t tag;
    apr_status_t status = check_call(pool, &me, &tag);
    return status ? status : end_workers(pool, me, tag, cohort_os_now() + GRACE);
}

apr_status_t cohort_pool_terminate(cohort_pool_t *pool) {
    return COHORT__CALL_ANEW(pool_terminate(pool));
}

/* ---- joining -------------------------------------------------------------------------------- */

typedef struct {
    cohort_pool_t *pool;
    cohort__thread_t *me;
    uint64_t tag;
} join_t;

static apr_status_t press(join_t *join) {
    cohort_pool_t *pool = join->pool;
    cohort__pool_look(pool, join->me, true);
    if (atomic_load(&pool->state) != COHORT__POOL_ENDED ||
        cohort_os_now() < atomic_load(&pool->kill))
        return APR_SUCCESS;
    return signal_workers(pool, join->me, join->tag, COHORT_OS_KILL);
}

static apr_status_t try_join_pool(void *arg, bool thorough) {
    join_t *join = arg;
    cohort_pool_t *pool = join->pool;
    cohort__staff_t staff = cohort__staff_check(pool, join->me, join->tag, false);
    if (staff == COHORT__STAFF_GONE) return APR_SUCCESS;
    if (staff != COHORT__STAFF_NONE) {
        apr_status_t refused = thorough ? press(join) : APR_SUCCESS;
        return refused ? refused : APR_EAGAIN;
    }
    return !cohort__in_callback() && cohort__callbacks_pending(pool) ? APR_EAGAIN : APR_SUCCESS;
}

static apr_status_t join(cohort_pool_t *pool, cohort__thread_t *me, uint64_t tag,
                         int64_t deadline) {
    join_t j = {pool, me, tag};
    return cohort__await_paced(&pool->changed, try_join_pool, &j, deadline, cohort__pace_brisk);
}

static apr_status_t pool_join(cohort_pool_t *pool, apr_interval_time_t timeout) {
    cohort__thread_t *me;
    uint64_t tag;
    apr_status_t status = check_call(pool, &me, &tag);
    if (status) return status;
    if (cohort__is_own_worker(pool)) return COHORT_ENOWAIT;
    if (atomic_load(&pool->state) == COHORT__POOL_OPEN)
        return cohort__fail(APR_EINVAL, "the pool is neither closed nor terminated");
    return join(pool, me, tag, cohort__deadline(timeout));
}

apr_status_t cohort_pool_join(cohort_pool_t *pool, apr_interval_time_t timeout) {
    return COHORT__CALL_ANEW(pool_join(pool, timeout));
}

/* Workers that are never to be killed, and could not even be asked, end with their tasks, if ever:
 * that is given some time, and then said. */
static apr_status_t stop_without_kill(cohort_pool_t *pool, cohort__thread_t *me, uint64_t tag) {
    if (!end_workers(pool, me, tag, COHORT_OS_NEVER)) return join(pool, me, tag, COHORT_OS_NEVER);
    apr_status_t status = join(pool, me, tag, cohort_os_now() + GRACE / 4);
    if (!APR_STATUS_IS_TIMEUP(status)) return status;
    status = end_workers(pool, me, tag, COHORT_OS_NEVER);
    return status ? status : join(pool, me, tag, COHORT_OS_NEVER);
}

static apr_status_t pool_stop(cohort_pool_t *pool, apr_interval_time_t grace) {
    cohort__thread_t *me;
    uint64_t tag;
    if (grace < 0)
        return cohort__fail(APR_EINVAL, "grace is %" APR_INT64_T_FMT, (apr_int64_t)grace);
    apr_status_t status = check_call(pool, &me, &tag);
    if (status) return status;
    if (cohort__is_own_worker(pool)) return COHORT_ENOWAIT;
    int64_t when = grace ? cohort__deadline(grace) : cohort_os_now();
    if (when == COHORT_OS_NEVER) return stop_without_kill(pool, me, tag);
    (void)end_workers(pool, me, tag, when);
    status = join(pool, me, tag, when);
    return APR_STATUS_IS_TIMEUP(status) ? join(pool, me, tag, COHORT_OS_NEVER) : status;
}

apr_status_t cohort_pool_stop(cohort_pool_t *pool, apr_interval_time_t grace) {
    return COHORT__CALL_ANEW(pool_stop(pool, grace));
}

static apr_status_t pool_destroy(cohort_pool_t *pool) {
    cohort__thread_t *me;
    uint64_t tag;
    if (!pool) return APR_SUCCESS;
    apr_status_t status = check_call(pool, &me, &tag);
    if (status)
        return status == COHORT_EHANDLE && cohort__object_place(pool, COHORT__KIND_POOL)
                   ? APR_SUCCESS
                   : status;
    if (cohort__is_own_worker(pool)) return COHORT_ENOWAIT;
    (void)pool_terminate(pool);
    status = join(pool, me, tag, COHORT_OS_NEVER);
    if (!status) cohort__pool_retire(pool, me, tag);
    return status;
}

/* All are asked to stop before the first is waited for. */
void cohort__pools_end(void) {
    apr_status_t (*const steps[])(cohort_pool_t *) = {pool_terminate, pool_destroy};
    for (int step = 0; step < 2; step++) {
        for (cohort_pool_t *pool = NULL;
             (pool = cohort__object_next(COHORT__KIND_POOL, pool)) != NULL;) {
            if (cohort__pool_tag(pool) && pool->maker == cohort__self_id()) (void)steps[step](pool);
        }
    }
    cohort__recruiters_end();
}

apr_status_t cohort_pool_destroy(cohort_pool_t *pool) {
    return COHORT__CALL_ANEW(pool_destroy(pool));
}

/* ---- asking --------------------------------------------------------------------------------- */

static apr_status_t pool_workers(cohort_pool_t *pool, cohort_process_t ***workers, apr_size_t *n,
                                 apr_pool_t *parent) {
    cohort__thread_t *me;
    uint64_t tag;
    if (!workers || !n || !parent) return cohort__null(!workers ? "workers" : !n ? "n" : "parent");
    apr_status_t status = check_call(pool, &me, &tag);
    if (!status) status = cohort__pool_enter_live(pool, me, tag);
    if (status) return status;
    cohort_process_t **list = apr_palloc(parent, pool->workers * sizeof *list);
    apr_size_t count = 0;
    for (uint32_t i = 0; i < pool->workers; i++) {
        cohort_process_t *slot =
            cohort__process_find(atomic_load(&cohort__pool_worker(pool, i)->process));
        if (slot && cohort__process_state(slot) == COHORT__SLOT_RUNNING) list[count++] = slot;
    }
    cohort__pool_leave(pool);
    *workers = list;
    *n = count;
    return APR_SUCCESS;
}

apr_status_t cohort_pool_workers(const cohort_pool_t *pool, cohort_process_t ***workers,
                                 apr_size_t *n, apr_pool_t *parent) {
    return COHORT__CALL_ANEW(pool_workers((cohort_pool_t *)pool, workers, n, parent));
}
