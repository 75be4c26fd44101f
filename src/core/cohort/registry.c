/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The one file that knows every part of the core by name: all that a lower storey calls in a higher
 * one is in a table here. Only slow paths go through them.
 */
#include "core/cohort/registry.h"

#include "core/memory/arena.h"
#include "core/memory/upward.h"
#include "core/object/pipe.h"
#include "core/object/pipe_ends.h"
#include "core/object/queue.h"
#include "core/object/sync.h"
#include "core/pool/pool.h"
#include "core/process/process.h"

#include <cohort/wait.h>

/* ---- types, and kinds of objects ------------------------------------------------------------ */

/* What ends or is done is told to all threads that wait for several things. */
static cohort__eventcount_t *completed(const cohort__aim_t *aim) {
    (void)aim;
    return &cohort__arena->completed;
}

static const cohort__type_t process_type = {.name = "process",
                                            .conditions = COHORT_READY_END,
                                            .usual = COHORT_READY_END,
                                            .check = cohort__process_waitable,
                                            .ready = cohort__process_ready,
                                            .event = completed,
                                            .await_any = cohort__process_await_any,
                                            .describe = cohort__process_describe};

static const cohort__type_t queue_types[] = {
    {.name = "queue", .tag = COHORT__QUEUE_TAG, .describe = cohort__queue_describe}, {0}};

static const cohort__type_t pipe_types[] = {
    {.name = "connection", .tag = COHORT__PIPE_TAG, .describe = cohort__connection_describe}, {0}};

static const cohort__type_t sync_types[] = {
    {.name = "lock", .tag = COHORT__TAG_LOCK, .describe = cohort__lock_describe},
    {.name = "recursive lock", .tag = COHORT__TAG_RLOCK, .describe = cohort__rlock_describe},
    {.name = "semaphore", .tag = COHORT__TAG_SEMAPHORE, .describe = cohort__semaphore_describe},
    {.name = "condition", .tag = COHORT__TAG_CONDITION, .describe = cohort__condition_describe},
    {.name = "event", .tag = COHORT__TAG_EVENT, .describe = cohort__event_describe},
    {0}};

static const cohort__type_t barrier_types[] = {
    {.name = "barrier", .tag = COHORT__TAG_BARRIER, .describe = cohort__barrier_describe}, {0}};

static const cohort__type_t pool_types[] = {
    {.name = "pool", .tag = COHORT__POOL_TAG, .describe = cohort__pool_describe}, {0}};

static const cohort__type_t result_types[] = {{.name = "result",
                                               .tag = COHORT__RESULT_TAG,
                                               .conditions = COHORT_READY_END,
                                               .usual = COHORT_READY_END,
                                               .ready = cohort__result_ready,
                                               .event = completed,
                                               .pace = &cohort__pace_brisk,
                                               .describe = cohort__result_describe},
                                              {0}};

static void *queue_ring(void *object, int i) { return cohort__queue_ring(object, i); }

static void *pipe_ring(void *object, int i) { return cohort__pipe_ring(object, i); }

static const cohort__kind_ops_t kinds[COHORT__KINDS] = {
    [COHORT__KIND_BYTES] = {.name = "bytes"},
    [COHORT__KIND_QUEUE] = {.name = "queue",
                            .size = 1024,
                            .types = queue_types,
                            .ring = queue_ring},
    [COHORT__KIND_PIPE] = {.name = "pipe",
                           .size = 1024,
                           .types = pipe_types,
                           .object = cohort__pipe_of,
                           .ring = pipe_ring},
    [COHORT__KIND_SYNC] = {.name = "synchroniser", .size = 768, .types = sync_types},
    [COHORT__KIND_BARRIER] = {.name = "barrier", .size = 768, .types = barrier_types},
    [COHORT__KIND_POOL] = {.name = "pool", .size = 1024, .types = pool_types},
    [COHORT__KIND_RESULT] = {.name = "result", .size = 1024, .types = result_types},
};

/* ---- deaths --------------------------------------------------------------------------------- */

static bool repair_ring(cohort__thread_t *me, cohort__thread_t *dead) {
    (void)me;
    return cohort__ring_repair(dead);
}

static bool repair_slot(cohort__thread_t *me, cohort__thread_t *dead) {
    (void)me;
    cohort__slot_repair(dead);
    return true;
}

static bool repair_object(cohort__thread_t *me, cohort__thread_t *dead) {
    cohort__object_repair(me, dead);
    return true;
}

static bool repair_in_flight(cohort__thread_t *me, cohort__thread_t *dead) {
    for (int i = 0; i < COHORT__IN_FLIGHT_COUNT; i++) cohort__block_free(me, &dead->in_flight[i]);
    return true;
}

static bool repair_slabs(cohort__thread_t *me, cohort__thread_t *dead) {
    (void)me;
    cohort__alloc_retire(dead);
    return true;
}

/*
 * A death is repaired in this order. The blocks that the dead process' threads had on the move come
 * first, of all its threads (cohort__threads_repair()): guards wait for that, and every step below
 * enters guards. Then, thread by thread:
 *
 *  - ring: it asks what the in-flight pointers are for, so they still hold what they held. It may
 *    have to leave the record to another thread, so nothing that it needs is gone by then.
 *  - slot: before the record is free, since the record alone says that the slot was in the making.
 *  - object: it may put an object that the dead thread had claimed into the first of the in-flight
 *    pointers, and frees the parts of what is there.
 *  - in_flight: now no step asks for them any more, and what they own is garbage.
 *  - slabs: from here on other threads take blocks from the spans that were the dead thread's
 *    alone.
 */
static const cohort__thread_step_t thread_steps[] = {
    {"ring", repair_ring},           {"slot", repair_slot},   {"object", repair_object},
    {"in_flight", repair_in_flight}, {"slabs", repair_slabs}, {0}};

static void pools(cohort__pid_t dead) {
    (void)dead;
    cohort__pools_repair();
}

/*
 * Then the process itself:
 *
 *  - pipes: all that a program has to be repaired, so it comes before what only members have.
 *  - handles: what the dead process was starting and no child has claimed is withdrawn. A process
 *    that was made and never started holds ends of pipes, too, and lets go of them here.
 *  - pools: after the handles, so that a worker with a withdrawn start is no staff any more when
 *    its pool is looked at.
 */
static const cohort__death_step_t death_steps[] = {
    {"pipes", true, cohort__pipes_repair, cohort__pipes_drop},
    {"handles", false, cohort__handles_drop, NULL},
    {"pools", false, pools, NULL},
    {0}};

/* ---- roles ---------------------------------------------------------------------------------- */

/* A worker is replaced by the process that made its pool; a fork server notifies that one. */
static void worker_ended(cohort__pid_t id, cohort_pool_t *pool) {
    (void)id;
    if (pool && cohort__is_server()) cohort__server_tell();
    else if (pool) cohort__pool_tend(pool);
}

static void server_ended(cohort__pid_t id, cohort_pool_t *pool) {
    cohort_process_t *slot = cohort__process_find(id);
    (void)pool;
    /* a start that failed is its starter's to give up */
    if (slot && cohort__process_state(slot) >= COHORT__SLOT_RUNNING) cohort__slot_let_go(id);
}

static void keeper_ended(cohort__pid_t id, cohort_pool_t *pool) {
    (void)pool;
    cohort__keeper_lost(id);
}

static const cohort__role_ops_t roles[COHORT__ROLES] = {
    [COHORT__ROLE_ROOT] = {.name = "root"},
    [COHORT__ROLE_CHILD] = {.name = "child"},
    [COHORT__ROLE_SERVER] = {.name = "server", .ended = server_ended},
    [COHORT__ROLE_PROGRAM] = {.name = "program"},
    [COHORT__ROLE_WORKER] = {.name = "worker",
                             .run = cohort__pool_worker_main,
                             .died = cohort__pool_worker_died,
                             .ended = worker_ended},
    [COHORT__ROLE_KEEPER] = {.name = "keeper", .ended = keeper_ended},
};

/* ---- the watcher ---------------------------------------------------------------------------- */

static const cohort__watch_ops_t watch = {
    .tend = cohort__pools_tend,
    .is_cut_off = cohort__server_is_cut_off,
    .introduce = cohort__server_introduce,
    .contained_ended = cohort__keeper_ended,
    .adopt = cohort__orphans_adopt,
    .exit = cohort_exit,
};

/* ---- parts ---------------------------------------------------------------------------------- */

/* In the order in which a fork takes their locks: a thread that holds one of them takes none of
 * those before it. */
static const cohort__part_t parts[] = {
    {"watcher", NULL, NULL, cohort__watcher_reset, NULL},
    {"servers", cohort__server_lock, cohort__server_unlock, cohort__server_reset, NULL},
    {"keeper", cohort__keeper_lock, cohort__keeper_unlock, cohort__keeper_reset, NULL},
    {"lifeline", cohort__lifeline_lock, cohort__lifeline_unlock, cohort__lifeline_reset, NULL},
    {"arena", cohort__arena_handle_lock, cohort__arena_handle_unlock, cohort__arena_handle_reset,
     NULL},
    {"settings", cohort__settings_lock, cohort__settings_unlock, cohort__settings_reset, NULL},
    {"pools", NULL, NULL, NULL, cohort__pools_end},
    {0}};

/* --------------------------------------------------------------------------------------------- */

static const cohort__upward_t upward = {
    .kinds = kinds,
    .process = &process_type,
    .check_dead = cohort__process_check_dead,
    .thread_steps = thread_steps,
    .death_steps = death_steps,
    .roles = roles,
    .watch = &watch,
    .parts = parts,
};

void cohort__registry_hand_down(void) { cohort__upward = &upward; }
