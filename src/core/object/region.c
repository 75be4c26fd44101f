/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Regions: chunks of memory in a chain, of which the newest is used up from its beginning to its
 * end. All is done under the region's guard. The first part of the object owns the newest chunk,
 * each chunk the one before; a chunk that is on its way in or out is owned by the second part, so
 * whatever the holder of the guard dies over the chain is whole, but for one chunk that the next
 * holder puts in its place (settle()).
 *
 * The memory goes before the region does: a process that destroys a region owns it from then on, so
 * that the repair of its death, too, finds a region that is alive, and frees the rest.
 */
#include "core/base/reserved.h"
#include "core/object/sync.h"

#include <cohort/region.h>
#include <stdio.h>

#define CHUNK     65536
#define CHUNK_MIN 1024

enum { NEWEST, SPARE };

typedef struct chunk_t {
    cohort__owner_ptr_t before;
    _Atomic uint64_t used, size; /* with this head */
} chunk_t;
_Static_assert(sizeof(chunk_t) <= 64, "what is allocated begins at a line");

struct cohort_region_t {
    cohort__sync_t sync;
    _Atomic cohort__pid_t owner; /* 0: none */
    _Atomic uint64_t chunk;      /* bytes; 0: it is being destroyed */
};

static chunk_t *chunk_at(cohort__owner_ptr_t *place) { return atomic_load(place); }

/* ---- the chain, with the guard held --------------------------------------------------------- */

/* The last holder of the guard may have died over a chunk on its way: into an empty place, which it
 * had made for it; else what it is the owner of goes where the rest of the chain was, and it is
 * freed. */
static void settle(cohort__thread_t *me, cohort__owner_ptr_t *parts) {
    chunk_t *spare = chunk_at(&parts[SPARE]), *newest = chunk_at(&parts[NEWEST]);
    if (!spare) return;
    if (!newest) {
        cohort__block_move(me, &parts[SPARE], &parts[NEWEST]);
        return;
    }
    if (chunk_at(&spare->before)) cohort__block_move(me, &spare->before, &newest->before);
    cohort__block_free(me, &parts[SPARE]);
}

/* Free the chain that begins at this place. A repeat goes on where the last one has ended. */
static void free_from(cohort__thread_t *me, cohort__owner_ptr_t *parts,
                      cohort__owner_ptr_t *place) {
    for (chunk_t *chunk; (chunk = chunk_at(place)) != NULL;) {
        cohort__block_move(me, place, &parts[SPARE]);
        if (chunk_at(&chunk->before)) cohort__block_move(me, &chunk->before, place);
        cohort__block_free(me, &parts[SPARE]);
    }
}

static apr_status_t add_chunk(cohort__thread_t *me, cohort__owner_ptr_t *parts, uint64_t size) {
    cohort__owner_ptr_t *made = &me->in_flight[COHORT__IN_FLIGHT_OBJECT];
    apr_status_t status = cohort__block_new(me, COHORT__KIND_BYTES, size, made);
    if (status) return status;
    chunk_t *chunk = chunk_at(made);
    atomic_store(&chunk->before, NULL);
    atomic_store(&chunk->used, 64);
    atomic_store(&chunk->size, size);
    cohort__block_move(me, made, &parts[SPARE]);
    if (chunk_at(&parts[NEWEST])) cohort__block_move(me, &parts[NEWEST], &chunk->before);
    cohort__block_move(me, &parts[SPARE], &parts[NEWEST]);
    return APR_SUCCESS;
}

/* NULL: it has no room for that. */
static void *take_from_chunk(chunk_t *chunk, size_t size) {
    uint64_t unit = size >= 64 ? 64 : 16;
    if (!chunk) return NULL;
    uint64_t at = (atomic_load(&chunk->used) + unit - 1) / unit * unit,
             whole = atomic_load(&chunk->size);
    if (at > whole || size > whole - at) return NULL;
    atomic_store(&chunk->used, at + size);
    return (char *)chunk + at;
}

/* ---- calls ---------------------------------------------------------------------------------- */

static apr_status_t region_begin(cohort__call_t *call, cohort_region_t *region) {
    apr_status_t status = cohort__call_begin(call, region, COHORT__KIND_SYNC, COHORT__TAG_REGION);
    if (status) return status;
    if (!cohort__sync_guard(call)) return COHORT_EHANDLE;
    settle(call->me, region->sync.object.parts);
    return APR_SUCCESS;
}

static void region_leave(cohort_region_t *region) { cohort__guard_leave(&region->sync.guard); }

/* Frees what is in it and claims it with the guard still held: once that is free, another process
 * may destroy it, and a region of its own may lie in its place. */
static void region_end(cohort__call_t *call, cohort_region_t *region) {
    cohort__owner_ptr_t *parts = region->sync.object.parts;
    atomic_store(&region->owner, cohort__self_id());
    atomic_store(&region->chunk, 0);
    free_from(call->me, parts, &parts[NEWEST]);
    bool mine = cohort__object_claim(call->me, region, COHORT__TAG_REGION);
    region_leave(region);
    if (!mine) return;
    cohort__object_free(call->me, region);
    atomic_fetch_sub(&cohort__arena->regions, 1);
}

static apr_status_t region_destroy(cohort_region_t *region) {
    cohort__call_t call;
    if (!region) return APR_SUCCESS;
    apr_status_t status = region_begin(&call, region);
    bool was_one = status == COHORT_EHANDLE && cohort__object_place(region, COHORT__KIND_SYNC);
    if (status) return was_one ? APR_SUCCESS : status;
    region_end(&call, region);
    return APR_SUCCESS;
}

apr_status_t cohort_region_destroy(cohort_region_t *region) {
    return COHORT__CALL_ANEW(region_destroy(region));
}

static apr_status_t destroy_region(void *object) { return cohort_region_destroy(object); }

/* If it is this process' still. */
static void drop_one(cohort__thread_t *me, cohort_region_t *region, cohort__pid_t dead) {
    cohort__call_t call = {.me = me};
    if (cohort__call_aim(&call, region, COHORT__KIND_SYNC, COHORT__TAG_REGION)) return;
    if (atomic_load(&region->owner) != dead || !cohort__sync_guard(&call)) return;
    settle(me, region->sync.object.parts);
    if (atomic_load(&region->owner) == dead) region_end(&call, region);
    else region_leave(region);
}

/* Or is about to be, since it was never started and no process holds it. The state is read after
 * the holder, which alone could start it, and the id after both: they may be another process'. */
static bool owner_has_ended(cohort__pid_t id) {
    cohort_process_t *slot = cohort__process_find(id);
    if (!slot) return true;
    cohort__pid_t creator = atomic_load(&slot->creator);
    bool held = creator && cohort__process_alive(creator, false);
    cohort__slot_state_t state = cohort__process_state(slot);
    return state >= COHORT__SLOT_DEAD || (state == COHORT__SLOT_NEW && !held) ||
           cohort__process_find(id) != slot;
}

static apr_status_t check_region_options(const cohort_region_options_t *o) {
    apr_status_t status = cohort__check_reserved(o->reserved, 6, "options.reserved");
    if (!status && o->owner && o->lasting)
        status = cohort__fail(APR_EINVAL, "a lasting region has no owner");
    if (!status && o->chunk && o->chunk < CHUNK_MIN)
        status = cohort__fail(APR_EINVAL, "chunk is %lu bytes, of which 1024 are the least",
                              (unsigned long)o->chunk);
    return !status && o->owner ? cohort__process_check(o->owner) : status;
}

static apr_status_t make(cohort__thread_t *me, cohort__pid_t owner, uint64_t chunk,
                         apr_pool_t *pool, cohort_region_t **region) {
    cohort_region_t *made;
    apr_status_t status = cohort__sync_new(me, sizeof *made, &made);
    if (status) return status;
    atomic_store(&made->owner, owner);
    atomic_store(&made->chunk, chunk ? chunk : CHUNK);
    atomic_fetch_add(&cohort__arena->regions, 1);
    cohort__object_publish(me, made, COHORT__TAG_REGION, pool, destroy_region);
    *region = made;
    return APR_SUCCESS;
}

static apr_status_t region_create(cohort_region_t **region, const cohort_region_options_t *options,
                                  apr_pool_t *pool) {
    static const cohort_region_options_t usual;
    const cohort_region_options_t *o = options ? options : &usual;
    cohort__thread_t *me = NULL;
    cohort_region_t *made;
    apr_status_t status = region ? cohort__enter(&me) : cohort__null("region");
    if (!status) status = check_region_options(o);
    if (status) return status;
    cohort__pid_t owner = o->owner ? cohort__process_id(o->owner) : cohort__self_id();
    if (o->lasting) owner = 0;
    status = make(me, owner, o->chunk, pool, &made);
    if (status) return status;
    /* the repair of its death may have come before that */
    if (owner && owner_has_ended(owner)) {
        drop_one(me, made, owner);
        return COHORT_EOWNERDEAD;
    }
    *region = made;
    return APR_SUCCESS;
}

apr_status_t cohort_region_create(cohort_region_t **region, const cohort_region_options_t *options,
                                  apr_pool_t *pool) {
    return COHORT__CALL_ANEW(region_create(region, options, pool));
}

static apr_status_t allocate(cohort__call_t *call, cohort_region_t *region, size_t size,
                             void **block) {
    cohort__owner_ptr_t *parts = region->sync.object.parts;
    uint64_t chunk = atomic_load(&region->chunk);
    if (!chunk) return COHORT_EHANDLE;
    *block = take_from_chunk(chunk_at(&parts[NEWEST]), size);
    if (*block) return APR_SUCCESS;
    if (size > SIZE_MAX - 128) return APR_ENOMEM;
    apr_status_t status = add_chunk(call->me, parts, size + 128 > chunk ? size + 128 : chunk);
    if (!status) *block = take_from_chunk(chunk_at(&parts[NEWEST]), size);
    return status;
}

static apr_status_t region_alloc(void **block, cohort_region_t *region, apr_size_t size) {
    cohort__call_t call;
    void *made = NULL;
    if (!block) return cohort__null("block");
    apr_status_t status = region_begin(&call, region);
    if (status) return status;
    status = allocate(&call, region, size ? size : 1, &made);
    region_leave(region);
    if (!status) *block = made;
    return status;
}

apr_status_t cohort_region_alloc(void **block, cohort_region_t *region, apr_size_t size) {
    return COHORT__CALL(region_alloc(block, region, size));
}

static apr_status_t region_clear(cohort_region_t *region) {
    cohort__call_t call;
    cohort__owner_ptr_t *parts;
    apr_status_t status = region_begin(&call, region);
    if (status) return status;
    parts = region->sync.object.parts;
    chunk_t *newest = chunk_at(&parts[NEWEST]);
    if (newest) atomic_store(&newest->used, 64);
    if (newest) free_from(call.me, parts, &newest->before);
    region_leave(region);
    return APR_SUCCESS;
}

apr_status_t cohort_region_clear(cohort_region_t *region) {
    return COHORT__CALL(region_clear(region));
}

/* ---- within the library --------------------------------------------------------------------- */

apr_status_t cohort__region_open(cohort__call_t *use) {
    cohort_region_t *made;
    apr_status_t status = make(use->me, cohort__self_id(), 0, NULL, &made);
    return status ? status : cohort__call_aim(use, made, COHORT__KIND_SYNC, COHORT__TAG_REGION);
}

void cohort__region_shut(cohort__call_t *use) {
    if (cohort__call_over(use) || !cohort__sync_guard(use)) return;
    settle(use->me, use->object->parts);
    region_end(use, (cohort_region_t *)use->object);
}

/* ---- for the tables ------------------------------------------------------------------------- */

void cohort__regions_drop(cohort__pid_t dead) {
    cohort__thread_t *me;
    if (!atomic_load(&cohort__arena->regions) || cohort__enter(&me)) return;
    for (void *at = cohort__object_next(COHORT__KIND_SYNC, NULL), *next; at; at = next) {
        next = cohort__object_next(COHORT__KIND_SYNC, at);
        drop_one(me, at, dead);
    }
}

void cohort__regions_repair(cohort__pid_t dead) {
    const cohort_process_t *slot = cohort__process_find(dead);
    if (slot && cohort__process_state(slot) < COHORT__SLOT_RUNNING) return;
    cohort__regions_drop(dead);
}

void cohort__region_describe(const cohort__aim_t *aim, char *text, size_t size) {
    const cohort_region_t *region = aim->handle;
    bool lasting = !atomic_load(&((cohort_region_t *)region)->owner);
    snprintf(text, size, "a region %s", lasting ? "of no process" : "of a process");
}
