/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool's workers: started, settled, replaced. A place is taken and vacated under the guard, and a
 * replacement gets it only when the process before it is dealt with, so a worker's number is enough
 * to say which process owns a chunk. Everything here may be done by any process, and repeated when
 * the one that did it died; and the pool may be destroyed meanwhile by another, so each step asks
 * for it anew. While a place is taken the pool stays.
 */
#include "core/pool/backend.h"
#include "core/pool/pool_tally.h"

#include "core/base/fail.h"

#include <stdio.h>
#include <string.h>

#define PATIENCE       INT64_C(1000000000) /* ns that a watcher has to replace a worker */
#define PLACES_AT_ONCE 32                  /* copied under one guard entry */

/* ---- starting ------------------------------------------------------------------------------- */

/* What is needed of the pool to start a worker, copied under the guard. */
typedef struct {
    char name[COHORT__NAME_MAX];
    cohort_start_method_t method;
    cohort_signals_t signals;
    cohort_group_t group;
    cohort_containment_t containment;
    cohort__pid_t maker;
    bool replaces;
} post_t;

/* Guard. */
static bool wanted(cohort_pool_t *pool) {
    uint64_t state = atomic_load(&pool->state);
    if (!cohort__process_alive(pool->maker, false)) return false;
    return state == COHORT__POOL_OPEN ||
           (state == COHORT__POOL_CLOSED && cohort__backend_of(pool)->has_work(pool));
}

/* The first place from *number to before `end` at which this process may start a worker now. */
static bool next_post(cohort_pool_t *pool, cohort__thread_t *me, uint64_t tag, uint32_t *number,
                      uint32_t end, post_t *post) {
    if (cohort__pool_enter_live(pool, me, tag)) return false;
    if (end > pool->workers) end = pool->workers;
    while (*number < end && !cohort__place_is_vacant(pool, *number)) ++*number;
    bool open = *number < end && cohort__staff_is_short(pool) && wanted(pool) &&
                cohort__start_may_begin(pool) && pool->maker == cohort__self_id();
    if (open) {
        cohort__worker_name(pool, *number, post->name);
        post->method = pool->method;
        post->signals = pool->signals;
        post->group = pool->group;
        post->containment = pool->containment;
        post->maker = pool->maker;
        post->replaces = atomic_load(&pool->staffed) != 0;
    }
    cohort__pool_leave(pool);
    return open;
}

static bool take_vacancy(cohort_pool_t *pool, cohort__thread_t *me, uint64_t tag, uint32_t number,
                         cohort_process_t *slot) {
    if (cohort__pool_enter_live(pool, me, tag)) return false;
    cohort__worker_t *worker = cohort__pool_worker(pool, number);
    bool taken = cohort__place_is_vacant(pool, number) && cohort__staff_is_short(pool) &&
                 wanted(pool) && cohort__start_may_begin(pool);
    if (taken) {
        atomic_store(&worker->launcher, cohort__thread_id(me));
        cohort__start_begins(pool, worker);
        cohort__guard_set(&pool->guard, &worker->process, cohort__process_id(slot));
        cohort__tally_starts(pool, number);
    }
    cohort__pool_leave(pool);
    return taken;
}

static void worker_start_failed(cohort_pool_t *pool, cohort__thread_t *me, uint64_t tag,
                                uint32_t number, cohort__pid_t id, apr_status_t status) {
    if (!cohort__pool_enter_live(pool, me, tag)) {
        cohort__worker_t *worker = cohort__pool_worker(pool, number);
        if (atomic_load(&worker->process) == id) {
            cohort__worker_not_launched(pool, me, number, status);
            atomic_store(&pool->vacant, cohort_os_now());
            cohort__guard_set(&pool->guard, &worker->process, 0);
        }
        cohort__pool_leave(pool);
    }
    cohort__slot_let_go(id);
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

static apr_status_t launch_worker(cohort_pool_t *pool, uint64_t tag, cohort_process_t *slot,
                                  uint32_t number) {
    cohort__setting_t *setting = cohort__setting_use(pool, tag);
    if (!setting) return cohort__fail(COHORT_EHANDLE, "start a worker of a pool that is gone");
    apr_status_t status = cohort__setting_attach(setting, slot, number);
    if (!status) status = cohort__process_launch(slot);
    slot->given = NULL;
    cohort__setting_release(setting);
    return status;
}

static apr_status_t start_at(cohort_pool_t *pool, cohort__thread_t *me, uint64_t tag,
                             uint32_t number, const post_t *post) {
    cohort_process_t *slot;
    apr_status_t status = cohort__process_make(&slot, COHORT__ROLE_WORKER, post->name,
                                               COHORT_LIFETIME_DAEMON, post->method);
    if (status) {
        not_made(pool, me, tag, number, status);
        return status;
    }
    cohort__pid_t id = cohort__process_id(slot);
    (void)cohort__process_signals(slot, post->signals);
    (void)cohort__process_group(slot, post->group);
    (void)cohort__process_contain(slot, post->containment, post->group);
    atomic_store(&slot->worker, number);
    atomic_store(&slot->pool, pool);
    if (!take_vacancy(pool, me, tag, number, slot)) {
        cohort__slot_let_go(id);
        return APR_SUCCESS;
    }
    slot->replaces = post->replaces;
    status = launch_worker(pool, tag, slot, number);
    if (status) worker_start_failed(pool, me, tag, number, id, status);
    return status;
}

apr_status_t cohort__worker_start(cohort_pool_t *pool, cohort__thread_t *me, uint64_t tag,
                                  uint32_t number) {
    post_t post;
    if (!next_post(pool, me, tag, &number, number + 1, &post)) return APR_SUCCESS;
    return start_at(pool, me, tag, number, &post);
}

/* ---- deaths --------------------------------------------------------------------------------- */

/* The slot of a worker is kept until the next death at its place. It is let go of without the
 * pool's guard, since that needs the slot's own, and before the place forgets it: the thread that
 * settles the next death finds it kept, leaves the guard, lets it go, and looks again. So should it
 * die in between, the place names both dead processes still, and whichever thread comes next does
 * the same. */
typedef struct {
    uint32_t count;
    cohort__pid_t ids[PLACES_AT_ONCE];
} kept_slots_t;

/* Guard. True when the place keeps a slot; what there is no room for is found in the next pass. */
static bool note_kept_slot(cohort__worker_t *worker, kept_slots_t *kept) {
    cohort__pid_t id = atomic_load(&worker->previous);
    cohort_process_t *slot = cohort__process_find(id);
    if (!slot || !atomic_load(&slot->creator)) return false;
    if (kept->count < PLACES_AT_ONCE) kept->ids[kept->count++] = id;
    return true;
}

/* Without the guard. True: there were some. */
static bool let_go_of_kept(const kept_slots_t *kept) {
    for (uint32_t i = 0; i < kept->count; i++) cohort__slot_let_go(kept->ids[i]);
    return kept->count != 0;
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
    cohort__crash_drop(me, worker);
    atomic_store(&pool->vacant, cohort_os_now());
    cohort__guard_set(&pool->guard, &worker->previous, dead);
    cohort__guard_set(&pool->guard, &worker->process, 0);
}

/* Guard; the place keeps no slot. It is committed with each worker, as if the guard were left: a
 * thread that dies over the next one has done this one for good, and the place of the next one
 * names the dead still. */
static void settle_worker(cohort_pool_t *pool, cohort__thread_t *me, uint32_t number,
                          cohort__pid_t dead, int code) {
    bool in_order = (code == 0 && !atomic_load(&cohort__pool_worker(pool, number)->job)) ||
                    atomic_load(&pool->state) == COHORT__POOL_ENDED;
    cohort__backend_of(pool)->lost_worker(pool, me, number, dead, code);
    cohort__tally_stops(pool, number, in_order);
    vacate(pool, me, number, dead, code);
    cohort__guard_commit(&pool->guard);
}

static void tell_of_death(cohort_pool_t *pool) {
    cohort__notify(&pool->work, COHORT__ALL);
    cohort__notify(&pool->changed, COHORT__ALL);
}

/* False: that process is at that place no more. */
static bool settle_worker_at(cohort_pool_t *pool, cohort__thread_t *me, uint64_t tag,
                             uint32_t number, cohort__pid_t id, int code) {
    kept_slots_t kept;
    bool there;
    do {
        if (cohort__pool_enter_live(pool, me, tag)) return false;
        cohort__worker_t *worker = cohort__pool_worker(pool, number);
        there = number < pool->workers && atomic_load(&worker->process) == id;
        kept.count = 0;
        if (there && !note_kept_slot(worker, &kept)) settle_worker(pool, me, number, id, code);
        cohort__pool_leave(pool);
    } while (let_go_of_kept(&kept));
    return there;
}

/* This and no more is the repair's part: one place, under the guard. The place is known from
 * the slot, so no other worker is looked at; and any process may be the repairer, while only the
 * pool's maker starts workers. That one looks at them all, once, when its watcher sees this end
 * (cohort__pool_tend()). */
void cohort__pool_worker_died(cohort__pid_t id) {
    cohort_process_t *slot = cohort__process_find(id);
    cohort_pool_t *pool = slot ? atomic_load(&slot->pool) : NULL;
    uint64_t tag = pool ? cohort__pool_tag(pool) : 0;
    int code = slot ? cohort__exit_code(slot) : COHORT_EXIT_NONE;
    uint32_t number = slot ? atomic_load(&slot->worker) : 0;
    cohort__thread_t *me;
    if (cohort__process_find(id) != slot) return; /* another process' by now */
    if (!tag || code == COHORT_EXIT_NONE || cohort__enter(&me)) return;
    if (!settle_worker_at(pool, me, tag, number, id, code)) return;
    tell_of_death(pool);
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

/* Has it ended, and how? A slot that is another process' by now says nothing. */
static bool has_worker_ended(cohort__pid_t id, int *code) {
    cohort_process_t *slot = cohort__process_find(id);
    *code = COHORT_EXIT_UNKNOWN;
    if (!slot) return true;
    int found = cohort__exit_code(slot);
    bool over = cohort__process_state(slot) == COHORT__SLOT_ENDED;
    if (cohort__process_find(id) != slot) return true;
    *code = found;
    return over;
}

/* The thread that was to start this worker is dead: the worker will not start any more. A child
 * that starts all the same finds the slot changed, and ends. */
static void check_launch(cohort_pool_t *pool, cohort__thread_t *me, uint64_t tag, uint32_t number,
                         cohort__pid_t id, cohort__tid_t launcher) {
    cohort_process_t *slot = cohort__process_find(id);
    if (!slot) return;
    uint64_t life = cohort__process_life(slot), open = atomic_load(&slot->claim);
    if (cohort__life_state(life) > COHORT__SLOT_FAILED) return;
    if (!launcher || cohort__thread_alive(launcher, true) || cohort__process_find(id) != slot)
        return;
    /* each step is one of this very start: another repairer may be faster, and the slot another
     * process' */
    if (cohort__life_state(life) == COHORT__SLOT_STARTING && !cohort__claim_pid(open) &&
        atomic_compare_exchange_strong(&slot->claim, &open, cohort__claim_next(open)))
        cohort__start_died(id, life, COHORT_EXIT_UNKNOWN);
    cohort__slot_step_of(slot, life, COHORT__SLOT_FAILED, COHORT__SLOT_NEW);
    if (cohort__process_life(slot) == cohort__life_with(life, COHORT__SLOT_NEW))
        worker_start_failed(pool, me, tag, number, id, COHORT_ESTART);
}

typedef struct {
    uint32_t number;
    cohort__pid_t process;
    cohort__tid_t launcher;
} occupant_t;

/* The next places that are taken, from *number on; 0: there are no more. */
static uint32_t copy_places(cohort_pool_t *pool, cohort__thread_t *me, uint64_t tag,
                            uint32_t *number, occupant_t places[PLACES_AT_ONCE]) {
    uint32_t count = 0;
    if (cohort__pool_enter_live(pool, me, tag)) return 0;
    for (; *number < pool->workers && count < PLACES_AT_ONCE; ++*number) {
        cohort__worker_t *worker = cohort__pool_worker(pool, *number);
        cohort__pid_t process = atomic_load(&worker->process);
        if (process)
            places[count++] = (occupant_t){*number, process, atomic_load(&worker->launcher)};
    }
    cohort__pool_leave(pool);
    return count;
}

/* Those not yet seen to have ended. That waits for other processes, so not with the guard. */
static void check_staff(cohort_pool_t *pool, cohort__thread_t *me, uint64_t tag) {
    occupant_t places[PLACES_AT_ONCE];
    uint32_t number = 0, count;
    while ((count = copy_places(pool, me, tag, &number, places)) != 0) {
        for (uint32_t i = 0; i < count; i++) {
            const occupant_t *place = &places[i];
            (void)cohort__process_check_dead(place->process);
            check_launch(pool, me, tag, place->number, place->process, place->launcher);
        }
    }
}

/* Guard. A worker that has ended and is not settled, as its repairer may have died in between, or
 * was busy. */
static bool settle_ended_worker(cohort_pool_t *pool, cohort__thread_t *me, uint32_t number,
                                kept_slots_t *kept) {
    cohort__worker_t *worker = cohort__pool_worker(pool, number);
    cohort__pid_t id = atomic_load(&worker->process);
    int code;
    if (!id || !has_worker_ended(id, &code) || note_kept_slot(worker, kept)) return false;
    settle_worker(pool, me, number, id, code);
    return true;
}

/* Guard. What one pass over the workers finds; those that have ended and are not settled are
 * settled on the way. One that is settled has ended only when its slot says so. A closed pool
 * without workers is done only if its work is; a worker that died last may have left some. */
static cohort__staff_t take_stock(cohort_pool_t *pool, cohort__thread_t *me, kept_slots_t *kept,
                                  bool *settled) {
    uint32_t taken = 0, ending = 0;
    for (uint32_t i = 0; i < pool->workers; i++) {
        cohort__worker_t *worker = cohort__pool_worker(pool, i);
        *settled = settle_ended_worker(pool, me, i, kept) || *settled;
        cohort_process_t *before = cohort__process_find(atomic_load(&worker->previous));
        taken += atomic_load(&worker->process) != 0;
        ending += before && cohort__process_state(before) != COHORT__SLOT_ENDED;
    }
    if (taken && !cohort__staff_is_short(pool)) return COHORT__STAFF_COMPLETE;
    if (taken || ending) return COHORT__STAFF_VACANT;
    bool has_work = atomic_load(&pool->state) == COHORT__POOL_CLOSED &&
                    cohort__backend_of(pool)->has_work(pool);
    return has_work ? COHORT__STAFF_VACANT : COHORT__STAFF_NONE;
}

/* One guard entry is enough for all workers: each is settled by steps that a next owner of the
 * guard undoes or finds done, whatever was done to others under the same entry. */
cohort__staff_t cohort__staff_check(cohort_pool_t *pool, cohort__thread_t *me, uint64_t tag,
                                    bool thorough) {
    bool settled = false;
    kept_slots_t kept;
    cohort__staff_t staff;
    if (thorough) check_staff(pool, me, tag);
    do {
        if (cohort__pool_enter_live(pool, me, tag)) return COHORT__STAFF_GONE;
        kept.count = 0;
        staff = take_stock(pool, me, &kept, &settled);
        cohort__pool_leave(pool);
    } while (let_go_of_kept(&kept));
    if (settled) tell_of_death(pool);
    return staff;
}

/* Have it done again when places are vacant still, because starts fail, or because another thread
 * was at it. */
static void tend_again(cohort_pool_t *pool, cohort__thread_t *me, uint64_t tag) {
    int64_t next = COHORT_OS_NEVER;
    if (cohort__pool_enter_live(pool, me, tag)) return;
    bool mine = atomic_load(&pool->staffed) && pool->maker == cohort__self_id();
    if (mine && cohort__staff_is_short(pool) && wanted(pool)) next = cohort__start_next(pool);
    cohort__pool_leave(pool);
    if (next != COHORT_OS_NEVER) cohort__watcher_alarm(next);
}

/* Once for each vacant place, and once more to find that there is none behind it. */
static void fill_places(cohort_pool_t *pool, cohort__thread_t *me, uint64_t tag) {
    apr_status_t status = APR_SUCCESS;
    post_t post;
    for (uint32_t i = 0; !status && next_post(pool, me, tag, &i, COHORT__WORKERS_MAX, &post); i++) {
        if (!post.replaces) return; /* its maker is still at it */
        status = start_at(pool, me, tag, i, &post);
    }
    tend_again(pool, me, tag);
}

/* The maker's part of a death: one pass over the workers, under one guard entry, and what a start
 * costs for each place that is vacant. Should this process die over it, the pool ends with it, and
 * nothing that was done here is needed by the process that ends the pool: the pass settles what the
 * place still names, by the same steps. */
void cohort__pool_tend(cohort_pool_t *pool) {
    cohort__thread_t *me;
    uint64_t tag = cohort__pool_tag(pool);
    if (!tag || cohort__enter(&me)) return;
    cohort__staff_t staff = cohort__staff_check(pool, me, tag, false);
    cohort__pool_abandon(pool, me, tag);
    if (staff == COHORT__STAFF_GONE || staff == COHORT__STAFF_COMPLETE) return;
    fill_places(pool, me, tag);
}

void cohort__pools_tend(void) {
    for (cohort_pool_t *pool = NULL;
         (pool = cohort__object_next(COHORT__KIND_POOL, pool)) != NULL;) {
        if (cohort__pool_tag(pool) && pool->maker == cohort__self_id()) cohort__pool_tend(pool);
    }
}

/* ---- the end of a pool ---------------------------------------------------------------------- */

/* Workers go by the state as soon as it is there, so it is never taken back: not the journal's, one
 * store that is made or not. */
void cohort__pool_end(cohort_pool_t *pool, cohort__thread_t *me, uint64_t tag) {
    if (cohort__pool_enter_live(pool, me, tag)) return;
    if (atomic_load(&pool->state) != COHORT__POOL_ENDED)
        atomic_store(&pool->state, COHORT__POOL_ENDED);
    cohort__backend_of(pool)->abandon_all(pool, me, COHORT_ETERMINATED, NULL);
    cohort__pool_leave(pool);
    atomic_thread_fence(memory_order_seq_cst);
    cohort__notify(&pool->work, COHORT__ALL);
    cohort__notify(&pool->changed, COHORT__ALL);
    cohort__notify(&cohort__arena->completed, COHORT__ALL); /* its imaps end */
}

/* The slots that the places of a pool without workers keep: as long as the pool is not retired,
 * whichever thread retires it does this first. */
static void release_kept_slots(cohort_pool_t *pool, cohort__thread_t *me, uint64_t tag) {
    kept_slots_t kept;
    do {
        if (cohort__pool_enter_live(pool, me, tag)) return;
        kept.count = 0;
        for (uint32_t i = 0; i < pool->workers; i++)
            (void)note_kept_slot(cohort__pool_worker(pool, i), &kept);
        cohort__pool_leave(pool);
    } while (let_go_of_kept(&kept));
}

/* The pool is joined: free it, or let its last job do that. Nothing when it is gone. */
void cohort__pool_retire(cohort_pool_t *pool, cohort__thread_t *me, uint64_t tag) {
    cohort__setting_drop(pool, tag);
    release_kept_slots(pool, me, tag);
    if (cohort__pool_enter_live(pool, me, tag)) return;
    cohort__backend_of(pool)->lost_makers(pool, me);
    cohort__guard_commit(&pool->guard);
    /* others go by it without the guard, so it is never undone */
    atomic_store(&pool->object.tag,
                 cohort__tag_word(COHORT__POOL_TAG_RETIRED, cohort__tag_generation(tag)));
    cohort__pool_leave_last(pool, me);
}

static bool has_staff(cohort_pool_t *pool, cohort__thread_t *me, uint64_t tag) {
    bool any = false;
    if (cohort__pool_enter_live(pool, me, tag)) return false;
    for (uint32_t i = 0; i < pool->workers && !any; i++)
        any = atomic_load(&cohort__pool_worker(pool, i)->process) != 0;
    cohort__pool_leave(pool);
    return any;
}

/* No process takes a place any more when the maker is dead. */
void cohort__pool_abandon(cohort_pool_t *pool, cohort__thread_t *me, uint64_t tag) {
    if (cohort__process_alive(pool->maker, true)) return;
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
        if (atomic_load(&pool->timed)) cohort__watcher_alarm(cohort_os_now());
        if (cohort__tag_type(tag) != COHORT__POOL_TAG_RETIRED ||
            cohort__pool_enter_live(pool, me, tag))
            continue;
        cohort__backend_of(pool)->lost_makers(pool, me);
        cohort__pool_leave_last(pool, me);
    }
}

/* Replacing workers is the watcher's work; only if that has not been done for a while, the waiting
 * thread does it. */
void cohort__pool_look(cohort_pool_t *pool, cohort__thread_t *me, bool waits) {
    uint64_t tag = cohort__pool_tag(pool);
    if (!tag) return;
    cohort__staff_t staff = cohort__staff_check(pool, me, tag, true);
    cohort__pool_abandon(pool, me, tag);
    if (atomic_load(&pool->timed)) (void)cohort__backend_of(pool)->deadlines(pool, me, tag);
    if (!waits || staff == COHORT__STAFF_GONE || staff == COHORT__STAFF_COMPLETE) return;
    int64_t vacant = atomic_load(&pool->vacant), retry = atomic_load(&pool->retry);
    if (cohort_os_now() - (retry > vacant ? retry : vacant) > PATIENCE) cohort__pool_tend(pool);
}
