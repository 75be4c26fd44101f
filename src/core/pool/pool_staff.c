/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool's workers: started, mourned, replaced. A place is taken and vacated under the guard, and a
 * replacement gets it only when the process before it is dealt with, so a worker's number is enough
 * to say which process owns a chunk. Everything here may be done by any process, and repeated when
 * the one that did it died; and the pool may be destroyed meanwhile by another, so each step asks
 * for it anew. While a place is taken the pool stays.
 */
#include "core/pool/backend.h"

#include "core/base/fail.h"

#include <stdio.h>
#include <string.h>

#define PATIENCE INT64_C(1000000000) /* nanoseconds that a watcher is given to replace a worker */

/* ---- starting ------------------------------------------------------------------------------- */

/* What is needed of the pool to start a worker, copied under the guard. */
typedef struct {
    char name[COHORT__NAME_MAX];
    cohort_start_method_t method;
    cohort_signals_t signals;
    cohort_group_t group;
    cohort__pid_t owner;
    bool replaces;
} post_t;

/* Guard. */
static bool wanted(cohort_pool_t *pool) {
    uint64_t state = atomic_load(&pool->state);
    if (!cohort__process_alive(pool->owner, false)) return false;
    return state == COHORT__POOL_OPEN ||
           (state == COHORT__POOL_CLOSED && cohort__backend_of(pool)->has_work(pool));
}

static bool describe_post(cohort_pool_t *pool, cohort__thread_t *me, uint64_t tag, uint32_t number,
                          post_t *post) {
    if (cohort__pool_enter_live(pool, me, tag)) return false;
    bool open = number < pool->workers &&
                !atomic_load(&cohort__pool_worker(pool, number)->process) && wanted(pool) &&
                cohort__start_may_begin(pool) && pool->owner == cohort__self_id();
    cohort__worker_name(pool, number, post->name);
    post->method = pool->method;
    post->signals = pool->signals;
    post->group = pool->group;
    post->owner = pool->owner;
    post->replaces = atomic_load(&pool->staffed) != 0;
    cohort__pool_leave(pool);
    return open;
}

static bool take_place(cohort_pool_t *pool, cohort__thread_t *me, uint64_t tag, uint32_t number,
                       cohort_process_t *slot) {
    if (cohort__pool_enter_live(pool, me, tag)) return false;
    cohort__worker_t *worker = cohort__pool_worker(pool, number);
    bool taken = !atomic_load(&worker->process) && wanted(pool) && cohort__start_may_begin(pool);
    if (taken) {
        atomic_store(&worker->launcher, cohort__thread_id(me));
        cohort__start_begins(pool, worker);
        cohort__guard_set(&pool->guard, &worker->process, cohort__process_id(slot));
    }
    cohort__pool_leave(pool);
    return taken;
}

/* The handle of a slot that no pool names any more, or that nobody but this thread knows. */
static void drop_slot(cohort_process_t *slot) {
    atomic_store(&slot->creator, 0);
    cohort__slot_release(slot);
}

static void start_failed(cohort_pool_t *pool, cohort__thread_t *me, uint64_t tag, uint32_t number,
                         cohort_process_t *slot, apr_status_t status) {
    if (!cohort__pool_enter_live(pool, me, tag)) {
        cohort__worker_t *worker = cohort__pool_worker(pool, number);
        if (atomic_load(&worker->process) == cohort__process_id(slot)) {
            cohort__worker_not_launched(pool, me, number, status);
            atomic_store(&pool->vacant, cohort_os_now());
            cohort__guard_set(&pool->guard, &worker->process, 0);
        }
        cohort__pool_leave(pool);
    }
    drop_slot(slot);
    cohort__notify(&pool->changed, COHORT__ALL);
}

/* There is not even a slot for it. */
static void not_made(cohort_pool_t *pool, cohort__thread_t *me, uint64_t tag, uint32_t number,
                     apr_status_t status) {
    if (cohort__pool_enter_live(pool, me, tag)) return;
    cohort__worker_t *worker = cohort__pool_worker(pool, number);
    if (!atomic_load(&worker->process)) {
        cohort__start_begins(pool, worker);
        cohort__worker_not_launched(pool, me, number, status);
    }
    cohort__pool_leave(pool);
}

static apr_status_t launch(cohort_pool_t *pool, uint64_t tag, cohort_process_t *slot) {
    cohort__setting_t *setting = cohort__setting_use(pool, tag);
    if (!setting) return cohort__fail(COHORT_EHANDLE, "start a worker of a pool that is gone");
    apr_status_t status = cohort__given_attach(cohort__setting_given(setting), slot);
    if (!status) status = cohort__process_launch(slot);
    slot->given = NULL;
    cohort__setting_release(setting);
    return status;
}

apr_status_t cohort__worker_start(cohort_pool_t *pool, cohort__thread_t *me, uint64_t tag,
                                  uint32_t number) {
    cohort_process_t *slot;
    post_t post;
    if (!describe_post(pool, me, tag, number, &post)) return APR_SUCCESS;
    apr_status_t status =
        cohort__process_make(&slot, COHORT__ROLE_WORKER, post.name, COHORT_DAEMON, post.method);
    if (status) {
        not_made(pool, me, tag, number, status);
        return status;
    }
    (void)cohort__process_signals(slot, post.signals);
    (void)cohort__process_group(slot, post.group);
    atomic_store(&slot->worker, number);
    atomic_store(&slot->pool, pool);
    if (!take_place(pool, me, tag, number, slot)) {
        drop_slot(slot);
        return APR_SUCCESS;
    }
    slot->replaces = post.replaces;
    status = launch(pool, tag, slot);
    if (status) start_failed(pool, me, tag, number, slot, status);
    return status;
}

/* ---- deaths --------------------------------------------------------------------------------- */

static void release_slot(cohort__pid_t id) {
    cohort_process_t *slot = cohort__process_find(id);
    if (slot) drop_slot(slot);
}

/* The last change: with the process' name the place is vacant, and none of this is done again. */
static void vacate(cohort_pool_t *pool, cohort__thread_t *me, uint32_t number, cohort__pid_t dead,
                   int code) {
    cohort__worker_t *worker = cohort__pool_worker(pool, number);
    cohort_process_t *slot = cohort__process_find(dead);
    cohort__failure_t what = {.process = dead, .pid = slot ? slot->os.pid : 0, .exit_code = code};
    cohort__worker_name(pool, number, what.worker);
    if (atomic_load(&worker->phase) < COHORT__WORKER_FAILED)
        cohort__worker_not_ready(pool, me, number, &what);
    release_slot(atomic_load(&worker->previous));
    atomic_store(&pool->vacant, cohort_os_now());
    cohort__guard_set(&pool->guard, &worker->previous, dead);
    cohort__guard_set(&pool->guard, &worker->process, 0);
}

static void mourn(cohort_pool_t *pool, cohort__thread_t *me, uint64_t tag, uint32_t number,
                  cohort__pid_t dead, int code) {
    if (cohort__pool_enter_live(pool, me, tag)) return;
    cohort__worker_t *worker = cohort__pool_worker(pool, number);
    if (atomic_load(&worker->process) == dead) {
        cohort__backend_of(pool)->lost_worker(pool, me, number, dead, code);
        vacate(pool, me, number, dead, code);
    }
    cohort__pool_leave(pool);
    cohort__notify(&pool->work, COHORT__ALL);
    cohort__notify(&pool->changed, COHORT__ALL);
}

void cohort__pool_worker_died(cohort_process_t *slot) {
    cohort_pool_t *pool = atomic_load(&slot->pool);
    uint64_t tag = pool ? cohort__pool_tag(pool) : 0;
    int code = atomic_load(&slot->exit_code);
    cohort__pid_t id = cohort__process_id(slot);
    uint32_t number = atomic_load(&slot->worker);
    cohort__thread_t *me;
    if (!tag || code == COHORT_EXIT_NONE || cohort__enter(&me)) return;
    if (cohort__staff_at(pool, me, tag, number) != id) return;
    mourn(pool, me, tag, number, id, code);
    cohort__pool_abandon(pool, me, tag);
}

/* ---- looking after them --------------------------------------------------------------------- */

cohort__pid_t cohort__staff_at(cohort_pool_t *pool, cohort__thread_t *me, uint64_t tag,
                               uint32_t number) {
    if (cohort__pool_enter_live(pool, me, tag)) return 0;
    cohort__pid_t id =
        number < pool->workers ? atomic_load(&cohort__pool_worker(pool, number)->process) : 0;
    cohort__pool_leave(pool);
    return id;
}

/* Has it ended, and how? A slot that is somebody else's by now says nothing. */
static bool is_over(cohort__pid_t id, int *code) {
    cohort_process_t *slot = cohort__process_find(id);
    *code = COHORT_EXIT_UNKNOWN;
    if (!slot) return true;
    *code = atomic_load(&slot->exit_code);
    return cohort__process_state(slot) == COHORT__SLOT_ENDED;
}

static cohort__tid_t launcher_of(cohort_pool_t *pool, cohort__thread_t *me, uint64_t tag,
                                 uint32_t number) {
    if (cohort__pool_enter_live(pool, me, tag)) return 0;
    cohort__tid_t launcher = atomic_load(&cohort__pool_worker(pool, number)->launcher);
    cohort__pool_leave(pool);
    return launcher;
}

/* The thread that was to start this worker is dead: the worker will not start any more. A child
 * that takes off all the same finds the slot changed, and ends. */
static void check_launch(cohort_pool_t *pool, cohort__thread_t *me, uint64_t tag, uint32_t number,
                         cohort__pid_t id) {
    cohort_process_t *slot = cohort__process_find(id);
    if (!slot || cohort__process_state(slot) > COHORT__SLOT_FAILED) return;
    cohort__tid_t launcher = launcher_of(pool, me, tag, number);
    if (!launcher || cohort__thread_alive(launcher, true) || cohort__process_find(id) != slot)
        return;
    if (cohort__process_state(slot) == COHORT__SLOT_STARTING && cohort__claim_withdraw(slot)) {
        cohort__process_ended(slot, COHORT_EXIT_UNKNOWN);
    }
    cohort__slot_step(slot, COHORT__SLOT_FAILED, COHORT__SLOT_NEW);
    if (cohort__process_state(slot) == COHORT__SLOT_NEW)
        start_failed(pool, me, tag, number, slot, COHORT_ESTART);
}

static void check_worker(cohort_pool_t *pool, cohort__thread_t *me, uint64_t tag, uint32_t number,
                         cohort__pid_t id, bool thorough) {
    int code;
    if (thorough) {
        (void)cohort__process_bury(id);
        check_launch(pool, me, tag, number, id);
    }
    if (is_over(id, &code)) mourn(pool, me, tag, number, id, code);
}

/* Guard. One that is mourned has ended only when its slot says so. A closed pool without workers is
 * done only if its work is; a worker that died last may have left some. */
static cohort__staff_t take_stock(cohort_pool_t *pool) {
    uint32_t vacant = 0, ending = 0;
    for (uint32_t i = 0; i < pool->workers; i++) {
        cohort__worker_t *worker = cohort__pool_worker(pool, i);
        cohort_process_t *before = cohort__process_find(atomic_load(&worker->previous));
        vacant += !atomic_load(&worker->process);
        ending += before && cohort__process_state(before) != COHORT__SLOT_ENDED;
    }
    if (!vacant) return COHORT__STAFF_COMPLETE;
    if (vacant < pool->workers || ending) return COHORT__STAFF_VACANT;
    bool has_work = atomic_load(&pool->state) == COHORT__POOL_CLOSED &&
                    cohort__backend_of(pool)->has_work(pool);
    return has_work ? COHORT__STAFF_VACANT : COHORT__STAFF_NONE;
}

cohort__staff_t cohort__staff_check(cohort_pool_t *pool, cohort__thread_t *me, uint64_t tag,
                                    bool thorough) {
    if (cohort__pool_enter_live(pool, me, tag)) return COHORT__STAFF_GONE;
    uint32_t workers = pool->workers;
    cohort__pool_leave(pool);
    for (uint32_t i = 0; i < workers; i++) {
        cohort__pid_t id = cohort__staff_at(pool, me, tag, i);
        if (id) check_worker(pool, me, tag, i, id, thorough);
    }
    if (cohort__pool_enter_live(pool, me, tag)) return COHORT__STAFF_GONE;
    cohort__staff_t staff = take_stock(pool);
    cohort__pool_leave(pool);
    return staff;
}

/* How many places there are to be filled by this process; 0: none, or not now. */
static uint32_t places(cohort_pool_t *pool, cohort__thread_t *me, uint64_t tag) {
    if (cohort__pool_enter_live(pool, me, tag)) return 0;
    uint32_t n = atomic_load(&pool->staffed) && pool->owner == cohort__self_id() && wanted(pool)
                     ? pool->workers
                     : 0;
    cohort__pool_leave(pool);
    return n;
}

/* Have it done again when places are vacant still, because starts fail, or because another thread
 * was at it. */
static void tend_again(cohort_pool_t *pool, cohort__thread_t *me, uint64_t tag) {
    int64_t next = COHORT_OS_NEVER;
    if (cohort__pool_enter_live(pool, me, tag)) return;
    for (uint32_t i = 0; i < pool->workers && next == COHORT_OS_NEVER; i++) {
        bool vacant = !atomic_load(&cohort__pool_worker(pool, i)->process);
        if (vacant && wanted(pool)) next = cohort__start_next(pool);
    }
    cohort__pool_leave(pool);
    if (next != COHORT_OS_NEVER) cohort__watcher_alarm(next);
}

void cohort__pool_tend(cohort_pool_t *pool) {
    cohort__thread_t *me;
    apr_status_t status = APR_SUCCESS;
    uint64_t tag = cohort__pool_tag(pool);
    if (!tag || cohort__enter(&me)) return;
    cohort__staff_t staff = cohort__staff_check(pool, me, tag, false);
    cohort__pool_abandon(pool, me, tag);
    if (staff == COHORT__STAFF_GONE || staff == COHORT__STAFF_COMPLETE) return;
    uint32_t count = places(pool, me, tag);
    for (uint32_t i = 0; i < count && !status; i++) status = cohort__worker_start(pool, me, tag, i);
    if (count) tend_again(pool, me, tag);
}

void cohort__pools_tend(void) {
    for (cohort_pool_t *pool = NULL;
         (pool = cohort__object_next(COHORT__KIND_POOL, pool)) != NULL;) {
        if (cohort__pool_tag(pool) && pool->owner == cohort__self_id()) cohort__pool_tend(pool);
    }
}

void cohort__staff_release(cohort_pool_t *pool) {
    for (uint32_t i = 0; i < pool->workers; i++) {
        cohort__worker_t *worker = cohort__pool_worker(pool, i);
        release_slot(atomic_load(&worker->previous));
        atomic_store(&worker->previous, 0);
    }
}

/* ---- the end of a pool ---------------------------------------------------------------------- */

/* Workers go by the state as soon as it is there, so it is never taken back: not the journal's, one
 * store that is made or not. */
void cohort__pool_end(cohort_pool_t *pool, cohort__thread_t *me, uint64_t tag) {
    if (cohort__pool_enter_live(pool, me, tag)) return;
    if (atomic_load(&pool->state) != COHORT__POOL_ENDED) {
        atomic_store(&pool->ended, cohort_os_now());
        atomic_store(&pool->state, COHORT__POOL_ENDED);
    }
    cohort__backend_of(pool)->abandon_all(pool, me, COHORT_ETERMINATED, NULL);
    cohort__pool_leave(pool);
    atomic_thread_fence(memory_order_seq_cst);
    cohort__notify(&pool->work, COHORT__ALL);
    cohort__notify(&pool->changed, COHORT__ALL);
}

/* The pool is joined: free it, or let its last job do that. Nothing when it is gone. */
void cohort__pool_retire(cohort_pool_t *pool, cohort__thread_t *me, uint64_t tag) {
    cohort__setting_drop(pool, tag);
    if (cohort__pool_enter_live(pool, me, tag)) return;
    cohort__staff_release(pool);
    cohort__backend_of(pool)->lost_makers(pool, me);
    cohort__guard_commit(&pool->guard);
    /* others go by it without the guard, so it is never undone */
    atomic_store(&pool->object.tag, (uint64_t)COHORT__POOL_TAG_RETIRED << 32 | (uint32_t)tag);
    cohort__pool_leave_last(pool, me);
}

static bool has_staff(cohort_pool_t *pool, cohort__thread_t *me, uint64_t tag) {
    for (uint32_t i = 0; i < COHORT__WORKERS_MAX && i < pool->workers; i++) {
        if (cohort__staff_at(pool, me, tag, i)) return true;
    }
    return false;
}

/* Nobody takes a place any more when the maker is dead. */
void cohort__pool_abandon(cohort_pool_t *pool, cohort__thread_t *me, uint64_t tag) {
    if (cohort__process_alive(pool->owner, true)) return;
    cohort__pool_end(pool, me, tag);
    (void)cohort__staff_check(pool, me, tag, false);
    if (!has_staff(pool, me, tag)) cohort__pool_retire(pool, me, tag);
}

void cohort__pools_repair(void) {
    cohort__thread_t *me;
    if (cohort__enter(&me)) return;
    for (cohort_pool_t *pool = NULL;
         (pool = cohort__object_next(COHORT__KIND_POOL, pool)) != NULL;) {
        uint64_t tag = atomic_load(&pool->object.tag);
        if (tag >> 32 == COHORT__POOL_TAG) cohort__pool_abandon(pool, me, tag);
        if (tag >> 32 != COHORT__POOL_TAG_RETIRED || cohort__pool_enter_live(pool, me, tag))
            continue;
        cohort__backend_of(pool)->lost_makers(pool, me);
        cohort__pool_leave_last(pool, me);
    }
}

/* Replacing workers is the watcher's work; only if that has not been done for a while, the waiting
 * thread does it. */
void cohort__pool_look(cohort_pool_t *pool, cohort__thread_t *me) {
    uint64_t tag = cohort__pool_tag(pool);
    if (!tag) return;
    cohort__staff_t staff = cohort__staff_check(pool, me, tag, true);
    cohort__pool_abandon(pool, me, tag);
    if (staff == COHORT__STAFF_GONE || staff == COHORT__STAFF_COMPLETE) return;
    int64_t vacant = atomic_load(&pool->vacant), retry = atomic_load(&pool->retry);
    if (cohort_os_now() - (retry > vacant ? retry : vacant) > PATIENCE) cohort__pool_tend(pool);
}
