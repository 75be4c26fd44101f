/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool's workers: started, mourned, replaced. A place is taken and vacated under the guard, and a
 * replacement gets it only when the process before it is dealt with, so a worker's number is enough
 * to say which process owns a chunk. Everything here may be done by any process, and repeated when
 * the one that did it died; and the pool may be destroyed meanwhile by another, so each step asks
 * for it anew. While a place is taken the pool stays.
 */
#include "core/pool/pool.h"

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

/* Guard. With no worker there, what is not over is on the list: the thread that mourns a worker has
 * put it back. */
static bool has_work(cohort_pool_t *pool) {
    uint64_t end = (uint64_t)(uintptr_t)&pool->ready;
    for (uint64_t at = atomic_load(&pool->ready.next); at != end;
         at = atomic_load(&cohort__job_of_ready(at)->ready.next)) {
        if (!cohort__job_is_over(cohort__job_of_ready(at))) return true;
    }
    return false;
}

/* Guard. */
static bool wanted(cohort_pool_t *pool) {
    uint64_t state = atomic_load(&pool->state);
    if (!cohort__process_alive(pool->owner, false)) return false;
    return state == COHORT__POOL_OPEN || (state == COHORT__POOL_CLOSED && has_work(pool));
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

static void record_death(cohort_pool_t *pool, cohort__thread_t *me, cohort__home_t *chain,
                         cohort__failure_t *what) {
    char message[160];
    cohort__home_t *home = &pool->object.parts[2];
    cohort__failure_t *last = cohort__failure_last(chain);
    int length = snprintf(message, sizeof message,
                          "worker %s (pid %lld) ended with exit code %d in the task", what->worker,
                          (long long)what->pid, (int)what->exit_code);
    cohort__block_free(me, home);
    if (cohort__failure_make(me, home, what, message, (size_t)length)) return;
    cohort__block_move(me, home, last ? &last->next : chain);
}

/* The item that was running: failed already, to be tried again, or charged with the death. True: it
 * is over. */
static bool charge_item(cohort_pool_t *pool, cohort__thread_t *me, cohort_result_t *job,
                        cohort__home_t *chain, cohort__failure_t *what) {
    cohort__failure_t *last = cohort__failure_last(chain);
    if (last && last->index == what->index) {
        cohort__job_failed(job, what->index, last->status);
        return true;
    }
    if (what->attempt < pool->attempts) return false;
    record_death(pool, me, chain, what);
    cohort__job_failed(job, what->index, COHORT_EWORKERDIED);
    return true;
}

/* Only the dead worker could change the word of its chunk, and now only the guard's owner; its one
 * store is the last step. */
static void charge_chunk(cohort_pool_t *pool, cohort__thread_t *me, cohort_result_t *job,
                         uint32_t number, cohort__failure_t *what) {
    cohort__worker_t *worker = cohort__pool_worker(pool, number);
    uint64_t c = atomic_load(&worker->chunk), progress = atomic_load(&worker->progress);
    if (c >= job->chunks) return;
    uint64_t word = atomic_load(&job->words[c]), first = c * job->chunk, item = progress >> 1;
    uint64_t end = job->n - first < job->chunk ? job->n : first + job->chunk;
    if (cohort__word_state(word) != COHORT__CHUNK_RUNNING || cohort__word_worker(word) != number)
        return;
    uint64_t attempt = item == first + cohort__word_start(word) ? cohort__word_attempt(word) : 0;
    if (progress & 1) {
        what->index = item;
        what->attempt = (uint32_t)attempt + 1;
        bool over = charge_item(pool, me, job, cohort__job_chain(job, c, number), what);
        item += over;
        attempt = over ? 0 : attempt + 1;
    }
    unsigned state = item < end ? COHORT__CHUNK_RETRY : COHORT__CHUNK_DONE;
    atomic_store(&job->words[c], cohort__word(state, attempt, number, item - first));
}

/* It may have taken a batch from the cursor that nobody else will look at, so the job is looked
 * through again in any case. */
static void put_back(cohort_pool_t *pool, cohort_result_t *job) {
    if (atomic_load(&job->state) || atomic_load(&job->doomed) ||
        atomic_load(&pool->state) == COHORT__POOL_ENDED)
        return;
    cohort__guard_set(&pool->guard, &job->round, atomic_load(&job->round) + 1);
    if (!cohort__linked(&job->ready))
        cohort__link_put(&pool->guard, &pool->ready, &job->ready, true);
    cohort__guard_commit(&pool->guard);
}

static void charge(cohort_pool_t *pool, cohort__thread_t *me, uint32_t number, cohort__pid_t dead,
                   int code) {
    cohort__worker_t *worker = cohort__pool_worker(pool, number);
    cohort_result_t *job = atomic_load(&worker->job);
    cohort_process_t *slot = cohort__process_find(dead);
    cohort__failure_t what = {.process = dead, .status = COHORT_EWORKERDIED, .exit_code = code};
    if (job && cohort__job_is_of(job, pool)) {
        what.pid = slot ? slot->os.pid : 0;
        cohort__worker_name(pool, number, what.worker);
        charge_chunk(pool, me, job, number, &what);
        cohort__job_settle(job);
        put_back(pool, job);
        atomic_store(&worker->job, NULL);
        if (atomic_load(&job->doomed)) cohort__job_doom(pool, me, job);
    }
    atomic_store(&worker->job, NULL);
}

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
        charge(pool, me, number, dead, code);
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
    return atomic_load(&pool->state) == COHORT__POOL_CLOSED && has_work(pool) ? COHORT__STAFF_VACANT
                                                                              : COHORT__STAFF_NONE;
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

/* The pool is joined: free it, or let its last job do that. Nothing when it is gone. */
void cohort__pool_retire(cohort_pool_t *pool, cohort__thread_t *me, uint64_t tag) {
    cohort__setting_drop(pool, tag);
    if (cohort__pool_enter_live(pool, me, tag)) return;
    cohort__staff_release(pool);
    cohort__jobs_sweep(pool, me);
    cohort__guard_commit(&pool->guard);
    /* others go by it without the guard, so it is never undone */
    atomic_store(&pool->object.tag,
                 cohort__tag_word(COHORT__POOL_TAG_RETIRED, cohort__tag_generation(tag)));
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
        if (cohort__tag_type(tag) == COHORT__POOL_TAG) cohort__pool_abandon(pool, me, tag);
        if (cohort__tag_type(tag) != COHORT__POOL_TAG_RETIRED ||
            cohort__pool_enter_live(pool, me, tag))
            continue;
        cohort__jobs_sweep(pool, me);
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
