/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * How many workers a pool has. Places are added, and never taken away before the pool is freed: a
 * place is known by its number, in the words of chunks and in the records of processes. What says
 * how many there are to be is one word, the pool's `target`: workers at places from there on end
 * when they are between two tasks, and these places stay vacant.
 *
 * Places come in parts, each as large as all that were added before it, so a record never moves. A
 * part is made before its places are counted: a thread that dies in between leaves a part for the
 * next one.
 */
#include "core/base/fail.h"
#include "core/pool/backend.h"
#include "core/pool/pool_tally.h"

#include <string.h>

#define ADDED_LEAST 64 /* places of the first part that is added */

/* Places of the part k. */
static uint32_t part_size(const cohort_pool_t *pool, unsigned k) {
    return (pool->first > ADDED_LEAST ? pool->first : ADDED_LEAST) << k;
}

/* The part of a place behind the first ones, which is at *number there. */
static unsigned part_of(const cohort_pool_t *pool, uint32_t *number) {
    unsigned k = 0;
    for (*number -= pool->first; *number >= part_size(pool, k); k++) *number -= part_size(pool, k);
    return k;
}

cohort__worker_t *cohort__pool_worker_behind(cohort_pool_t *pool, uint32_t number) {
    unsigned k = part_of(pool, &number);
    return (cohort__worker_t *)atomic_load(&pool->more[k]) + number;
}

size_t cohort__places_size(const cohort_pool_t *pool, uint32_t places, bool first) {
    size_t size = places * sizeof(cohort__worker_t);
    if (pool->counts) size += places * sizeof(cohort__tally_t);
    return pool->counts && first ? size + sizeof(cohort__pool_tally_t) : size;
}

cohort__pool_tally_t *cohort__pool_tally_all(cohort_pool_t *pool) {
    cohort__worker_t *workers = atomic_load(&pool->object.parts[0]);
    return (cohort__pool_tally_t *)(void *)(workers + pool->first);
}

cohort__tally_t *cohort__pool_tally(cohort_pool_t *pool, uint32_t number) {
    if (!pool->counts) return NULL;
    if (number < pool->first)
        return (cohort__tally_t *)(void *)(cohort__pool_tally_all(pool) + 1) + number;
    unsigned k = part_of(pool, &number);
    cohort__worker_t *workers = atomic_load(&pool->more[k]);
    return (cohort__tally_t *)(void *)(workers + part_size(pool, k)) + number;
}

/* ---- workers that there are to be ----------------------------------------------------------- */

/* Guard. */
static bool counts(cohort_pool_t *pool, uint32_t number) {
    cohort__worker_t *worker = cohort__pool_worker(pool, number);
    return atomic_load(&worker->process) && !atomic_load(&worker->leaves);
}

/* Where all places are taken, one has to be left first. */
bool cohort__staff_is_short(cohort_pool_t *pool) {
    uint64_t target = atomic_load(&pool->target), taken = 0, vacant = 0;
    for (uint32_t i = 0; i < target; i++) {
        taken += counts(pool, i);
        vacant += cohort__place_is_vacant(pool, i);
    }
    return vacant && taken < atomic_load(&pool->demand);
}

/* ---- places --------------------------------------------------------------------------------- */

/* Guard. */
static apr_status_t add_part(cohort_pool_t *pool, cohort__thread_t *me, unsigned k) {
    uint32_t places = pool->workers + part_size(pool, k);
    size_t size = cohort__places_size(pool, part_size(pool, k), false);
    apr_status_t status = APR_SUCCESS;
    if (!atomic_load(&pool->more[k]))
        status = cohort__block_new(me, COHORT__KIND_BYTES, size, &pool->more[k]);
    if (status) return status;
    memset(atomic_load(&pool->more[k]), 0, size);
    atomic_store(&pool->workers, places < COHORT__WORKERS_MAX ? places : COHORT__WORKERS_MAX);
    return APR_SUCCESS;
}

/* Guard. */
static apr_status_t add_places(cohort_pool_t *pool, cohort__thread_t *me, uint64_t wanted) {
    uint32_t end = pool->first;
    apr_status_t status = APR_SUCCESS;
    for (unsigned k = 0; end < wanted && !status; k++) {
        if (end >= pool->workers) status = add_part(pool, me, k);
        end += part_size(pool, k);
    }
    return status;
}

void cohort__places_drop(cohort_pool_t *pool, cohort__thread_t *me) {
    atomic_store(&pool->workers, pool->first);
    for (unsigned k = 0; k < COHORT__SEGMENTS; k++) {
        if (atomic_load(&pool->more[k])) cohort__block_free(me, &pool->more[k]);
    }
}

/* ---- resizing ------------------------------------------------------------------------------- */

/* Guard. Both words change or none. */
static void set_target(cohort_pool_t *pool, uint64_t workers) {
    uint64_t target = atomic_load(&pool->target), demand = atomic_load(&pool->demand);
    bool all = demand == target; /* not on demand, or all of them are wanted */
    cohort__guard_set(&pool->guard, &pool->target, workers);
    if (all || demand > workers) cohort__guard_set(&pool->guard, &pool->demand, workers);
    if (workers < target) cohort__backend_of(pool)->fewer(pool);
}

static apr_status_t resize_open(const cohort__call_t *use, uint64_t workers) {
    cohort_pool_t *pool = (cohort_pool_t *)use->object;
    apr_status_t status = cohort__pool_enter_live(pool, use->me, use->life);
    if (status) return status;
    if (pool->maker != cohort__self_id())
        status = cohort__fail(COHORT_ENOTOWNER, "only the process that made the pool resizes it");
    else if (atomic_load(&pool->state) != COHORT__POOL_OPEN) status = COHORT_ENOTRUNNING;
    if (!status) status = add_places(pool, use->me, workers);
    if (!status) set_target(pool, workers);
    cohort__pool_leave(pool);
    return status;
}

static apr_status_t pool_resize(cohort_pool_t *pool, apr_size_t workers) {
    cohort__call_t use;
    apr_status_t status = cohort__pool_call(&use, pool);
    if (status) return status;
    if (workers > COHORT__WORKERS_MAX)
        return cohort__fail(COHORT_ELIMIT, "workers is %" APR_SIZE_T_FMT "; a pool has at most %d",
                            workers, COHORT__WORKERS_MAX);
    if (!workers) workers = (apr_size_t)cohort_os_figure(COHORT_OS_CPUS);
    status = resize_open(&use, workers < COHORT__WORKERS_MAX ? workers : COHORT__WORKERS_MAX);
    if (status) return status;
    atomic_thread_fence(memory_order_seq_cst);
    cohort__notify(&pool->work, COHORT__ALL);
    cohort__notify(&pool->changed, COHORT__ALL);
    cohort__pool_tend(pool);
    return APR_SUCCESS;
}

apr_status_t cohort_pool_resize(cohort_pool_t *pool, apr_size_t workers) {
    return COHORT__CALL_ANEW(pool_resize(pool, workers));
}

/* ---- waiting until they are there ----------------------------------------------------------- */

/* Guard. */
static bool are_ready(cohort_pool_t *pool) {
    uint64_t target = atomic_load(&pool->target), demand = atomic_load(&pool->demand), ready = 0;
    for (uint32_t i = 0; i < target && ready < demand; i++)
        ready += counts(pool, i) &&
                 atomic_load(&cohort__pool_worker(pool, i)->phase) == COHORT__WORKER_READY;
    return ready >= demand;
}

static apr_status_t look_ready(const cohort__call_t *use) {
    cohort_pool_t *pool = (cohort_pool_t *)use->object;
    apr_status_t status = cohort__pool_enter_live(pool, use->me, use->life);
    if (status) return status;
    if (atomic_load(&pool->state) != COHORT__POOL_OPEN) status = COHORT_ENOTRUNNING;
    else if (!are_ready(pool)) status = cohort__start_verdict(pool);
    else status = APR_EOF;
    cohort__pool_leave(pool);
    return status == APR_EOF ? APR_SUCCESS : status ? status : APR_EAGAIN;
}

static apr_status_t try_ready(void *arg, bool thorough) {
    const cohort__call_t *use = arg;
    apr_status_t status = look_ready(use);
    if (status != APR_EAGAIN || !thorough) return status;
    cohort__pool_look((cohort_pool_t *)use->object, use->me, true);
    return look_ready(use);
}

static apr_status_t wait_ready(cohort_pool_t *pool, apr_interval_time_t timeout) {
    cohort__call_t use;
    apr_status_t status = cohort__pool_call(&use, pool);
    if (status) return status;
    if (cohort__is_own_worker(pool)) return COHORT_ENOWAIT;
    return cohort__await(&pool->changed, try_ready, &use, cohort__deadline(timeout));
}

apr_status_t cohort_pool_wait_ready(cohort_pool_t *pool, apr_interval_time_t timeout) {
    return COHORT__CALL_ANEW(wait_ready(pool, timeout));
}
