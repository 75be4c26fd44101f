/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Workers of the local back end that end in order while their pool goes on: after so many tasks, at
 * an age, over a size, because there are to be fewer, or since there is nothing to do.
 *
 * Guarantee: no item is lost by that, and none is run twice. A worker ends between two tasks, when
 * it has given back what is left of its chunk as pool_fair.c does, has the job looked through
 * again, and does not name it any more. Until then its death is that of any worker; from then on it
 * has nothing that could be lost. Its place is settled and filled as after any death.
 *
 * Jobs of a pool without such limits do not need COHORT__NEEDS_LIMIT, and go through the plain
 * loop; when there are to be fewer workers, those that are under way get it.
 */
#include "core/pool/pool_run.h"

#include "core/base/os.h"

/* ---- limits --------------------------------------------------------------------------------- */

static bool is_too_old(const cohort__worker_self_t *w) {
    return w->pool->age_most != COHORT_OS_NEVER && cohort_os_now() - w->born >= w->pool->age_most;
}

void cohort__run_counts(cohort__worker_self_t *w) {
    const cohort_pool_t *pool = w->pool;
    w->tasks++;
    if ((pool->tasks_most && w->tasks >= pool->tasks_most) || is_too_old(w) ||
        (pool->memory_most &&
         (uint64_t)cohort_os_figure(COHORT_OS_USED_OWN_MEMORY) > pool->memory_most))
        w->retires = true;
}

bool cohort__run_retires(cohort__worker_self_t *w, const cohort__turn_t *turn) {
    if (cohort__job_is_each(w->job)) return false; /* no other worker would do it */
    if (cohort__place_is_over(w->pool, w->number)) w->retires = true;
    if (w->retires) cohort__run_give_back(w, turn);
    return w->retires;
}

/* A job that is submitted after the look at the job's worker is one that this worker finds with the
 * pool's target. */
void cohort__jobs_limit(cohort_pool_t *pool) {
    uint64_t end = cohort__link_address(&pool->all);
    for (uint64_t at = atomic_load(&pool->all.next); at != end;
         at = atomic_load(&cohort__link_at(at)->next)) {
        cohort_result_t *job = cohort__job_of_all(at);
        if (!cohort__job_is_over(job)) cohort__job_need(job, COHORT__NEEDS_LIMIT);
    }
    cohort__each_fewer(pool);
}

/* ---- workers on demand ---------------------------------------------------------------------- */

static uint64_t idle_workers(cohort_pool_t *pool) {
    uint64_t idle = 0, target = atomic_load(&pool->target);
    for (uint32_t i = 0; i < target; i++) {
        cohort__worker_t *worker = cohort__pool_worker(pool, i);
        idle += atomic_load(&worker->process) && !atomic_load(&worker->leaves) &&
                !atomic_load(&worker->job);
    }
    return idle;
}

/* Workers without a job, those that are being started included, will take this one, unless others
 * are before it. */
void cohort__jobs_call(cohort_pool_t *pool, const cohort_result_t *job, uint64_t chunks) {
    uint64_t demand = atomic_load(&pool->demand), target = atomic_load(&pool->target);
    if (demand >= target || !chunks) return;
    uint64_t idle = cohort__pool_first(pool) == job ? idle_workers(pool) : 0;
    uint64_t more = chunks > idle ? chunks - idle : 0;
    if (more > target - demand) more = target - demand;
    if (more) cohort__guard_set(&pool->guard, &pool->demand, demand + more);
}

/* ---- a worker without work ------------------------------------------------------------------ */

int64_t cohort__idle_until(cohort__worker_self_t *w) {
    const cohort_pool_t *pool = w->pool;
    int64_t until = pool->age_most == COHORT_OS_NEVER ? COHORT_OS_NEVER : w->born + pool->age_most;
    if (pool->idle_most == COHORT_OS_NEVER) return until;
    int64_t idle = cohort_os_now() + pool->idle_most;
    return idle < until ? idle : until;
}

/* Guard: the demand is one less, and this worker does not count any more; both or none. Not while a
 * job has a chunk for each place: a place that is vacant then has to be filled; nor in a closed
 * pool, of which items wait. */
static bool leave_for_good(cohort__worker_self_t *w) {
    cohort_pool_t *pool = w->pool;
    uint64_t demand = atomic_load(&pool->demand);
    if (demand <= pool->least || cohort__pool_first(pool) || cohort__each_unfinished(pool) ||
        atomic_load(&pool->state) != COHORT__POOL_OPEN)
        return false;
    cohort__guard_set(&pool->guard, &pool->demand, demand - 1);
    cohort__guard_set(&pool->guard, &w->record->leaves, 1);
    return true;
}

void cohort__idle_over(cohort__worker_self_t *w) {
    w->retires = is_too_old(w);
    if (w->retires || w->pool->idle_most == COHORT_OS_NEVER) return;
    cohort__pool_enter(w->pool, w->me);
    w->retires = leave_for_good(w);
    cohort__pool_leave(w->pool);
}

/* A submitter may have counted on this worker. */
void cohort__run_retired(const cohort__worker_self_t *w) {
    if (w->retires && (cohort__pool_first(w->pool) || cohort__each_waits(w)))
        cohort__notify(&w->pool->work, 1);
}

/* ---- the orderly end ------------------------------------------------------------------------ */

void cohort__run_finalise(const cohort__worker_self_t *w, void *args) {
    cohort__function_t function;
    if (w->ends || atomic_load(&w->record->verdict) ||
        atomic_load(&w->pool->state) == COHORT__POOL_ENDED)
        return;
    if (cohort__code_at(&w->pool->finalizer, &function) || !function) return;
    ((cohort_finalizer_t)function)(args);
    cohort__end_copied_task(APR_SUCCESS);
}
