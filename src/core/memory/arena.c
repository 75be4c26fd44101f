/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process does about the mapping of the arena: it makes memory of it usable, shows it in
 * core dumps, and gives its handle to those that it starts, also when this program has closed the
 * handle as one that is not its own.
 */
#include "core/memory/arena.h"

#include "core/memory/member.h"

#include <cohort/errors.h>
#include <errno.h>
#include <string.h>

cohort__arena_t *cohort__arena;
cohort_os_arena_t cohort__map;

/* ---- core dumps ----------------------------------------------------------------------------- */

#define PARTS 9
static _Atomic uint64_t dumped[PARTS]; /* how much of each part this process has in its dumps */

static bool extent(unsigned i, uint64_t *offset, uint64_t *size) {
    const cohort__arena_t *arena = cohort__arena;
    const uint64_t parts[][2] = {
        {0, sizeof *arena},
        {arena->process_offset, atomic_load(&arena->processes) * sizeof(cohort_process_t)},
        {arena->thread_offset, atomic_load(&arena->threads) * sizeof(cohort__thread_t)},
        {arena->module_offset, atomic_load(&arena->modules) * sizeof(cohort_os_code_t)}};
    unsigned count = sizeof parts / sizeof *parts;
    if (i >= count) return cohort__alloc_extent(i - count, offset, size);
    *offset = parts[i][0];
    *size = parts[i][1];
    return true;
}

void cohort__arena_dump(void) {
    uint64_t offset, size;
    if (!cohort__arena || !cohort__arena->dump) return;
    for (unsigned i = 0; i < PARTS && extent(i, &offset, &size); i++) {
        uint64_t before = atomic_load(&dumped[i]);
        size = (size + COHORT__GRANULE - 1) & ~(COHORT__GRANULE - 1);
        if (size <= before) continue;
        (void)cohort_os_arena_pages(&cohort__map, COHORT_OS_PAGES_DUMP, offset + before,
                                    size - before);
        atomic_store(&dumped[i], size);
    }
}

void cohort__arena_dump_nothing(void) {
    for (unsigned i = 0; i < PARTS; i++) atomic_store(&dumped[i], 0);
}

/* ---- memory --------------------------------------------------------------------------------- */

apr_status_t cohort__arena_commit(const void *at, size_t size) {
    uint64_t from = (uint64_t)((const char *)at - cohort__map.base);
    uint64_t to = (from + size + COHORT__GRANULE - 1) & ~(COHORT__GRANULE - 1);
    from &= ~(COHORT__GRANULE - 1);
    apr_status_t status =
        cohort_os_arena_pages(&cohort__map, COHORT_OS_PAGES_COMMIT, from, to - from);
    if (status)
        return cohort__explain(status, "getting %lu KiB of memory for the arena",
                               (unsigned long)((to - from) >> 10));
    if (cohort__arena->dump)
        (void)cohort_os_arena_pages(&cohort__map, COHORT_OS_PAGES_DUMP, from, to - from);
    return APR_SUCCESS;
}

/* ---- its handle ----------------------------------------------------------------------------- */

static cohort_os_mutex_t handle_mutex;

/* Nothing to do when it is open; else from the mapping, or from any member that has it. */
static apr_status_t reopen(void) {
    cohort_os_handle_t lost = cohort__map.handle;
    apr_status_t status = cohort_os_arena_reopen(&cohort__map, 0, COHORT_OS_NONE);
    uint32_t count = cohort__process_count();
    for (uint32_t i = 0; i < count && status; i++) {
        cohort_process_t *slot = cohort__process_at(i);
        bool has = slot != cohort__self() && !cohort__is_no_member(slot) &&
                   cohort__process_state(slot) == COHORT__SLOT_RUNNING;
        if (has)
            status = cohort_os_arena_reopen(&cohort__map, slot->os.pid,
                                            (cohort_os_handle_t)atomic_load(&slot->arena));
    }
    if (!status) {
        atomic_store(&cohort__self()->arena, (int64_t)cohort__map.handle);
        return APR_SUCCESS;
    }
    return cohort__fail(
        APR_FROM_OS_ERROR(EBADF),
        "this program has closed descriptor %d, the shared memory's; only the start method fork "
        "does without",
        (int)lost);
}

apr_status_t cohort__arena_handle(cohort_os_handle_t *handle) {
    cohort_os_mutex_lock(&handle_mutex);
    apr_status_t status = reopen();
    *handle = cohort__map.handle;
    cohort_os_mutex_unlock(&handle_mutex);
    return status;
}

void cohort__arena_handle_lock(void) { cohort_os_mutex_lock(&handle_mutex); }

void cohort__arena_handle_unlock(void) { cohort_os_mutex_unlock(&handle_mutex); }

void cohort__arena_handle_reset(void) { cohort_os_mutex_reset(&handle_mutex); }
