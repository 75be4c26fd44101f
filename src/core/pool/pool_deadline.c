/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Times of jobs of the local back end. A job that has none is not concerned.
 *
 * A worker notes when an item begins, in its record, if items of the job have a limit; no thread is
 * woken for that. The watcher of the process that has submitted has one alarm: it looks at all
 * pools, at their jobs with times and at what runs of them, has what is late cancelled or ended
 * (pool_cancel.c), and sets the alarm for the next of these times: that is for an item that might
 * begin now, too, so it looks once in the time that an item has. Likewise it looks at items that
 * wait to be run again (pool_delay.c). When that process dies, the one that repairs the death goes
 * on. Threads that wait for a result do
 * the same, should that process be dead or stopped. To tell a task that its own time is over needs
 * no thread: it looks at the clock itself when it asks.
 */
#include "core/pool/backend_local.h"

#define NEVER       COHORT_OS_NEVER
#define SHORTEST    INT64_C(1000000) /* ns from one look to the next, at least */
#define MICROSECOND INT64_C(1000)

/* ---- a job's times -------------------------------------------------------------------------- */

static apr_status_t is_time(apr_interval_time_t time, const char *name) {
    return time >= 0 ? APR_SUCCESS
                     : cohort__fail(APR_EINVAL, "%s is %" APR_INT64_T_FMT, name, (apr_int64_t)time);
}

static bool has_times(const cohort_job_t *order) {
    return order->timeout || order->queue_timeout || order->task_timeout || order->retry_delay;
}

apr_status_t cohort__times_check(const cohort_job_t *order) {
    apr_status_t status = is_time(order->timeout, "timeout");
    if (!status) status = is_time(order->queue_timeout, "queue_timeout");
    if (!status) status = is_time(order->task_timeout, "task_timeout");
    if (!status) status = is_time(order->task_grace, "task_grace");
    if (!status) status = cohort__delay_check(order);
    if (!status && order->task_grace && !order->timeout && !order->task_timeout)
        return cohort__fail(APR_EINVAL, "task_grace is given without timeout and task_timeout");
    if (status || !has_times(order)) return status;
    return cohort__watcher_begin();
}

static int64_t later(int64_t time, int64_t by) { return by > NEVER - time ? NEVER : time + by; }

/* Nanoseconds; 0 and what is too long mean never. */
static int64_t span_of(apr_interval_time_t time) {
    return time == 0 || time > NEVER / MICROSECOND ? NEVER : time * MICROSECOND;
}

void cohort__times_set(cohort_result_t *job, const cohort_job_t *order) {
    int64_t grace = order->task_grace ? span_of(order->task_grace) : 0;
    if (!has_times(order)) return;
    int64_t now = cohort_os_now();
    job->queue_end = later(now, span_of(order->queue_timeout));
    job->tell = later(now, span_of(order->timeout));
    job->end = later(job->tell, grace);
    job->item_tell = span_of(order->task_timeout);
    job->item_end = later(job->item_tell, grace);
    job->timed =
        job->queue_end != NEVER || job->tell != NEVER || job->item_tell != NEVER || job->delay;
    if (job->item_tell != NEVER) cohort__job_need(job, COHORT__NEEDS_TIMES);
}

static int64_t earlier(int64_t a, int64_t b) { return a < b ? a : b; }

void cohort__times_keep(const cohort_result_t *job) {
    int64_t next = earlier(job->queue_end, job->tell);
    if (job->item_end != NEVER) next = earlier(next, later(cohort_os_now(), job->item_end));
    if (job->delay) next = earlier(next, later(cohort_os_now(), job->delay));
    if (next != NEVER) cohort__watcher_alarm(next);
}

bool cohort__times_over(const cohort_result_t *job, int64_t begun) {
    return begun && job->item_tell != NEVER && cohort_os_now() >= later(begun, job->item_tell);
}

/* ---- what is late --------------------------------------------------------------------------- */

typedef struct {
    cohort_pool_t *pool;
    int64_t now, next;
    cohort__call_t late;          /* a job, or none: no object */
    cohort__cancel_level_t level; /* so far */
    cohort__condemned_t list;
    uint64_t roused; /* chunks that had waited */
} look_t;

/* Is this step of a job's due? When it will be is noted. */
static bool is_step_due(look_t *look, int64_t when, bool is_done) {
    if (is_done || when == NEVER) return false;
    if (look->now >= when) return true;
    look->next = earlier(look->next, when);
    return false;
}

/* Of jobs of other processes these keep the times. An item that begins to wait now does so for
 * `delay` at least. */
static void look_at_delays(look_t *look, cohort_result_t *job) {
    int64_t next = cohort__delays_look(look->pool, job, look->now, &look->roused);
    next = earlier(next, later(look->now, job->delay));
    if (job->submitter == cohort__self_id() || !cohort__process_alive(job->submitter, false))
        look->next = earlier(look->next, next);
}

static void look_at_job(look_t *look, cohort_result_t *job) {
    uint32_t cancelled = atomic_load(&job->cancelled);
    bool ends = is_step_due(look, job->end, cancelled & COHORT__CANCEL_ENDS),
         tells = is_step_due(look, job->tell, cohort__cancel_running(cancelled) != 0),
         waiting = is_step_due(look, job->queue_end, cohort__cancel_waiting(cancelled) != 0);
    if (job->item_end != NEVER) look->next = earlier(look->next, later(look->now, job->item_end));
    if (!ends && !tells && !waiting) return;
    look->late.object = &job->object;
    look->late.life = atomic_load(&job->object.tag);
    look->level = ends ? COHORT__CANCEL_END : tells ? COHORT__CANCEL_TELL : COHORT__CANCEL_WAITING;
}

/* The time is of the item that the record named before, and names after: it is cleared in between
 * two items. */
static void look_at_worker(look_t *look, uint32_t number) {
    cohort__worker_t *worker = cohort__pool_worker(look->pool, number);
    cohort_result_t *job = atomic_load(&worker->job);
    if (!job || !cohort__job_is_of(job, look->pool) || job->item_end == NEVER || !job->timed)
        return;
    uint64_t progress = atomic_load(&worker->progress);
    int64_t begun = atomic_load(&worker->begun);
    if (!begun || !cohort__progress_runs(progress)) return;
    if (is_step_due(look, later(begun, job->item_end), false))
        cohort__worker_condemn(look->pool, number, job, cohort__progress_item(progress),
                               COHORT__WHY_DEADLINE, &look->list);
}

static bool is_timed(cohort_result_t *job) {
    return job->timed && !cohort__job_is_over(job) &&
           cohort__tag_type(atomic_load(&job->object.tag)) == COHORT__RESULT_TAG;
}

/* Guard. Up to the first job that is late; if there is none, the workers from *number on. */
static void look_at_deadlines(look_t *look, uint32_t *number) {
    cohort_pool_t *pool = look->pool;
    uint64_t end = cohort__link_address(&pool->all);
    bool any = false;
    for (uint64_t at = atomic_load(&pool->all.next); at != end && !look->late.object;
         at = atomic_load(&cohort__link_at(at)->next)) {
        cohort_result_t *job = cohort__job_of_all(at);
        if (!is_timed(job)) continue;
        any = true;
        look_at_job(look, job);
        if (job->delay) look_at_delays(look, job);
    }
    if (look->late.object) return;
    if (!any) atomic_store(&pool->timed, 0);
    for (; any && *number < pool->workers && look->list.count < COHORT__ENDED_AT_ONCE; ++*number)
        look_at_worker(look, *number);
}

static void call_workers(cohort_pool_t *pool, uint64_t chunks) {
    atomic_thread_fence(memory_order_seq_cst);
    cohort__notify(&pool->work, chunks < INT32_MAX ? (int)chunks : COHORT__ALL);
    if (pool->on_demand) cohort__notify(&pool->changed, COHORT__ALL);
}

/* A job that is late is not late by the same step again, but for one that is destroyed: then it is
 * none of those that are looked at. */
int64_t cohort__job_deadlines(cohort_pool_t *pool, cohort__thread_t *me, uint64_t tag) {
    look_t look = {.pool = pool};
    uint32_t number = 0;
    do {
        look.now = cohort_os_now();
        look.next = NEVER;
        look.late = (cohort__call_t){.me = me};
        look.list.count = 0;
        if (cohort__pool_enter_live(pool, me, tag)) return NEVER;
        look_at_deadlines(&look, &number);
        cohort__pool_leave(pool);
        if (look.late.object && cohort__result_look(&look.late)) {
            (void)cohort__job_cancel((cohort_result_t *)look.late.object, me, COHORT__WHY_DEADLINE,
                                     look.level);
            cohort__result_look_end(&look.late);
        }
        (void)cohort__workers_end(&look.list);
    } while (look.late.object || look.list.count == COHORT__ENDED_AT_ONCE);
    atomic_store(&pool->tended, look.now);
    if (look.roused) call_workers(pool, look.roused);
    if (look.next != NEVER && look.next < look.now + SHORTEST) look.next = look.now + SHORTEST;
    return look.next;
}

/* ---- the watcher ---------------------------------------------------------------------------- */

void cohort__deadlines_tend(void) {
    cohort__thread_t *me;
    int64_t next = NEVER;
    if (cohort__enter(&me)) return;
    for (cohort_pool_t *pool = NULL;
         (pool = cohort__object_next(COHORT__KIND_POOL, pool)) != NULL;) {
        uint64_t tag = cohort__pool_tag(pool);
        if (tag && atomic_load(&pool->timed))
            next = earlier(next, cohort__backend_of(pool)->deadlines(pool, me, tag));
    }
    if (next != NEVER) cohort__watcher_alarm(next);
}
