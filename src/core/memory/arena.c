/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
#include "core/memory/arena.h"

#include "core/memory/member.h"

#include <cohort/errors.h>
#include <string.h>

cohort__arena_t *cohort__arena;
cohort_os_arena_t cohort__map;

/* ---- core dumps ----------------------------------------------------------------------------- */

#define PARTS 10
static _Atomic uint64_t dumped[PARTS]; /* how much of each part this process has in its dumps */

static bool extent(unsigned i, uint64_t *offset, uint64_t *size) {
    const cohort__arena_t *arena = cohort__arena;
    const uint64_t parts[][2] = {
        {0, sizeof *arena},
        {arena->process_offset, atomic_load(&arena->processes) * sizeof(cohort_process_t)},
        {arena->thread_offset, atomic_load(&arena->threads) * sizeof(cohort__thread_t)},
        {arena->module_offset, atomic_load(&arena->modules) * sizeof(cohort_os_code_t)},
        {arena->park_offset, cohort_os_facts()->park_region}};
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
        cohort_os_arena_dump(&cohort__map, offset + before, size - before);
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
    apr_status_t status = cohort_os_arena_commit(&cohort__map, from, to - from);
    if (status)
        return cohort__explain(status, "getting %lu KiB of memory for the arena",
                               (unsigned long)((to - from) >> 10));
    if (cohort__arena->dump) cohort_os_arena_dump(&cohort__map, from, to - from);
    return APR_SUCCESS;
}
