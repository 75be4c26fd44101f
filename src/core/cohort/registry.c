/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The one file that knows every part of the core by name: all that a lower storey calls in a higher
 * one is in a table here. Only slow paths go through them.
 */
#include "core/cohort/registry.h"

#include "core/cohort/waitset.h"
#include "core/memory/arena.h"
#include "core/memory/upward.h"
#include "core/object/pipe.h"
#include "core/object/pipe_ends.h"
#include "core/object/queue.h"
#include "core/object/sync.h"
#include "core/pool/pool_result.h"
#include "core/pool/pool_imap.h"
#include "core/process/process.h"
#include "core/process/run.h"

#include <cohort/wait.h>

/* ---- types, and kinds of objects ------------------------------------------------------------ */

/* What ends or is done is told to all threads that wait for several things. */
static cohort__eventcount_t *completed(const cohort__aim_t *aim, unsigned wanted, int i) {
    (void)aim, (void)wanted;
    return i == 0 ? &cohort__arena->completed : NULL;
}

static const cohort__type_t process_type = {.name = "process",
                                            .conditions = COHORT_READY_END,
                                            .usual = COHORT_READY_END,
                                            .check = cohort__process_waitable,
                                            .ready = cohort__process_ready,
                                            .event = completed,
                                            .await_any = cohort__process_await_any,
                                            .failed = cohort__process_failed,
                                            .describe = cohort__process_describe};

/* What messages go through: something to get, room to put, closed. */
#define TRAFFIC (COHORT_READY_IN | COHORT_READY_OUT | COHORT_READY_GONE)

static const cohort__type_t queue_types[] = {{.name = "queue",
                                              .tag = COHORT__QUEUE_TAG,
                                              .conditions = TRAFFIC,
                                              .usual = COHORT_READY_IN,
                                              .ready = cohort__queue_ready,
                                              .event = cohort__queue_event,
                                              .describe = cohort__queue_describe},
                                             {0}};

static const cohort__type_t pipe_types[] = {{.name = "connection",
                                             .tag = COHORT__PIPE_TAG,
                                             .conditions = TRAFFIC,
                                             .usual = COHORT_READY_IN,
                                             .check = cohort__connection_check,
                                             .ready = cohort__connection_ready,
                                             .event = cohort__connection_event,
                                             .describe = cohort__connection_describe},
                                            {0}};

static const cohort__type_t sync_types[] = {
    {.name = "lock", .tag = COHORT__TAG_LOCK, .describe = cohort__lock_describe},
    {.name = "recursive lock", .tag = COHORT__TAG_RLOCK, .describe = cohort__rlock_describe},
    {.name = "semaphore",
     .tag = COHORT__TAG_SEMAPHORE,
     .conditions = COHORT_READY_IN,
     .usual = COHORT_READY_IN,
     .ready = cohort__semaphore_ready,
     .event = cohort__sync_event,
     .describe = cohort__semaphore_describe},
    {.name = "region", .tag = COHORT__TAG_REGION, .describe = cohort__region_describe},
    {.name = "condition", .tag = COHORT__TAG_CONDITION, .describe = cohort__condition_describe},
    {.name = "event",
     .tag = COHORT__TAG_EVENT,
     .conditions = COHORT_READY_IN,
     .usual = COHORT_READY_IN,
     .ready = cohort__event_ready,
     .event = cohort__sync_event,
     .describe = cohort__event_describe},
    {.name = "runner",
     .tag = COHORT__TAG_RUNNER,
     .conditions = COHORT_READY_IN,
     .usual = COHORT_READY_IN,
     .ready = cohort__runner_ready,
     .event = cohort__sync_event,
     .describe = cohort__runner_describe},
    {.name = "run",
     .tag = COHORT__TAG_RUN,
     .conditions = COHORT_READY_END,
     .usual = COHORT_READY_END,
     .ready = cohort__run_ready,
     .event = cohort__sync_event,
     .failed = cohort__run_failed,
     .describe = cohort__run_describe},
    {0}};

static const cohort__type_t barrier_types[] = {{.name = "barrier",
                                                .tag = COHORT__TAG_BARRIER,
                                                .conditions = COHORT_READY_GONE,
                                                .usual = COHORT_READY_GONE,
                                                .ready = cohort__barrier_ready,
                                                .event = cohort__barrier_event,
                                                .describe = cohort__barrier_describe},
                                               {0}};

static const cohort__type_t pool_types[] = {
    {.name = "pool", .tag = COHORT__POOL_TAG, .describe = cohort__pool_describe}, {0}};

static const cohort__type_t result_types[] = {{.name = "result",
                                               .tag = COHORT__RESULT_TAG,
                                               .conditions = COHORT_READY_END,
                                               .usual = COHORT_READY_END,
                                               .ready = cohort__result_ready,
                                               .event = completed,
                                               .pace = &cohort__pace_brisk,
                                               .failed = cohort__result_failed,
                                               .describe = cohort__result_describe},
                                              {0}};

static const cohort__type_t imap_types[] = {{.name = "imap",
                                             .tag = COHORT__IMAP_TAG,
                                             .conditions = COHORT_READY_IN,
                                             .usual = COHORT_READY_IN,
                                             .ready = cohort__imap_ready,
                                             .event = cohort__imap_event,
                                             .pace = &cohort__pace_brisk,
                                             .describe = cohort__imap_describe},
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
    [COHORT__KIND_IMAP] = {.name = "imap", .size = 768, .types = imap_types},
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
 *  - regions: memory that goes with the process, which may have been a program, too; not when a
 *    start has failed, since the process may be started again.
 *  - handles: what the dead process was starting and no child has claimed is withdrawn. A process
 *    that was made and never started holds ends of pipes, too, and lets go of them here.
 *  - services: those of which the dead process was the supervisor are over. After the handles: one
 *    that had not begun is withdrawn like any start.
 *  - parcels: what the dead process had on its way to others is gone with it.
 *  - pools: after the handles, so that a worker with a withdrawn start is no staff any more when
 *    its pool is looked at.
 */
static const cohort__death_step_t death_steps[] = {
    {"pipes", true, cohort__pipes_repair, cohort__pipes_drop},
    {"regions", true, cohort__regions_repair, cohort__regions_drop},
    {"handles", false, cohort__handles_drop, NULL},
    {"services", false, cohort__services_drop, NULL},
    {"parcels", false, cohort__parcels_repair, NULL},
    {"pools", false, pools, NULL},
    {0}};

/* ---- roles ---------------------------------------------------------------------------------- */

/* A worker is replaced by the process that made its pool; a fork server notifies that one. */
static void worker_ended(cohort__pid_t id, cohort_pool_t *pool) {
    (void)id;
    if (pool && cohort__is_server()) cohort__server_tell();
    else if (pool) cohort__pool_tend(pool);
}

/* One that is a command is attended to by the process that made it. */
static void child_ended(cohort__pid_t id, cohort_pool_t *pool) {
    const cohort_process_t *slot = cohort__process_find(id);
    cohort__service_ended(id);
    if (!slot || !slot->attended) return;
    if (cohort__is_server()) cohort__server_tell();
    else cohort__run_ended(id, pool);
}

static void server_ended(cohort__pid_t id, cohort_pool_t *pool) {
    cohort_process_t *slot = cohort__process_find(id);
    (void)pool;
    /* a start that failed is its starter's to give up */
    if (slot && cohort__process_state(slot) >= COHORT__SLOT_RUNNING) cohort__slot_let_go(id);
}

static void program_ended(cohort__pid_t id, cohort_pool_t *pool) {
    cohort__run_ended(id, pool);
    cohort__service_ended(id);
}

static void keeper_ended(cohort__pid_t id, cohort_pool_t *pool) {
    (void)pool;
    cohort__keeper_lost(id);
}

static const cohort__role_ops_t roles[COHORT__ROLES] = {
    [COHORT__ROLE_ROOT] = {.name = "root"},
    [COHORT__ROLE_CHILD] = {.name = "child", .ended = child_ended},
    [COHORT__ROLE_SERVER] = {.name = "server", .ended = server_ended},
    [COHORT__ROLE_PROGRAM] = {.name = "program", .ended = program_ended},
    [COHORT__ROLE_WORKER] = {.name = "worker",
                             .run = cohort__pool_worker_main,
                             .died = cohort__pool_worker_died,
                             .ended = worker_ended},
    [COHORT__ROLE_KEEPER] = {.name = "keeper", .ended = keeper_ended},
    [COHORT__ROLE_SERVICE] = {.name = "service"},
};

/* ---- the watcher ---------------------------------------------------------------------------- */

static void tend_all(void) {
    cohort__pools_tend();
    cohort__deadlines_tend();
    cohort__parcels_tend();
    cohort__runs_tend();
    cohort__services_tend();
}

static const cohort__watch_ops_t watch = {
    .tend = tend_all,
    .is_cut_off = cohort__server_is_cut_off,
    .introduce = cohort__server_introduce,
    .held_ended = cohort__keeper_ended,
    .adopt = cohort__orphans_adopt,
    .exit = cohort_exit,
};

/* ---- parts ---------------------------------------------------------------------------------- */

/* In the order in which a fork takes their locks: a thread that holds one of them takes none of
 * those before it. */
static const cohort__part_t parts[] = {
    {"runs", cohort__runs_lock, cohort__runs_unlock, cohort__runs_reset, cohort__runners_end},
    {"streams", cohort__streams_lock, cohort__streams_unlock, cohort__streams_reset, NULL},
    {"wait sets", cohort__sets_lock, cohort__sets_unlock, cohort__sets_reset, cohort__ringer_end},
    {"services", NULL, NULL, NULL, cohort__services_end},
    {"watcher", NULL, NULL, cohort__watcher_reset, NULL},
    {"servers", cohort__server_lock, cohort__server_unlock, cohort__server_reset, NULL},
    {"keeper", cohort__keeper_lock, cohort__keeper_unlock, cohort__keeper_reset, NULL},
    {"lifeline", cohort__lifeline_lock, cohort__lifeline_unlock, cohort__lifeline_reset, NULL},
    {"arena", cohort__arena_handle_lock, cohort__arena_handle_unlock, cohort__arena_handle_reset,
     NULL},
    {"settings", cohort__settings_lock, cohort__settings_unlock, cohort__settings_reset, NULL},
    {"progress", NULL, NULL, NULL, cohort__progress_end},
    {"imaps", NULL, NULL, NULL, cohort__feeds_end},
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
