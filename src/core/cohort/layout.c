/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What lies where in the arena, and how a process comes to have it. */
#include "core/cohort/layout.h"

#include "core/cohort/registry.h"
#include "core/memory/code.h"
#include "core/memory/member.h"

#include <cohort/errors.h>
#include <cohort/version.h>

#define MAGIC 0x636f686f72743031u /* "cohort01" */
/* What is in the arena is promised between processes of the same version only. */
#define VERSION                                                            \
    (COHORT_OS_BOOT_VERSION << 24 | (uint32_t)COHORT_VERSION_MAJOR << 16 | \
     (uint32_t)COHORT_VERSION_MINOR << 8 | (uint32_t)COHORT_VERSION_PATCH)
#define SIZE_MIN ((uint64_t)64 << 20) /* the tables alone need some address space */

static uint64_t place(uint64_t *at, uint64_t size) {
    uint64_t offset = *at;
    *at = (*at + size + COHORT__GRANULE - 1) & ~(COHORT__GRANULE - 1);
    return offset;
}

/* Each table begins on a granule of its own, which is what makes it usable bit by bit. */
static void place_tables(cohort__arena_t *arena) {
    uint64_t at = 0;
    (void)place(&at, sizeof *arena);
    arena->magic = MAGIC;
    arena->version = VERSION;
    arena->size = cohort__map.size;
    arena->process_offset = place(&at, COHORT__PROCESSES_MAX * sizeof(cohort_process_t));
    arena->thread_offset = place(&at, COHORT__THREADS_MAX * sizeof(cohort__thread_t));
    arena->module_offset = place(&at, COHORT__MODULES_MAX * sizeof(cohort_os_code_t));
    arena->parcel_offset = place(&at, (uint64_t)COHORT__PARCELS_MAX * COHORT__PARCEL_SIZE);
    arena->heap_offset = at;
}

static apr_status_t lay_out_arena(cohort__arena_t *arena) {
    place_tables(arena);
    return cohort__arena_commit((char *)arena + arena->heap_offset, (size_t)COHORT__GRANULE);
}

/* What this library would have laid out in a map of this size, to the byte. Counts of the tables'
 * entries are limited by the tables' ends. */
static bool is_ours(const cohort__arena_t *arena) {
    cohort__arena_t ours = {0};
    if (cohort__map.size < SIZE_MIN) return false;
    place_tables(&ours);
    bool same =
        arena->magic == ours.magic && arena->version == ours.version && arena->size == ours.size &&
        arena->process_offset == ours.process_offset &&
        arena->thread_offset == ours.thread_offset && arena->module_offset == ours.module_offset &&
        arena->parcel_offset == ours.parcel_offset && arena->heap_offset == ours.heap_offset;
    return same && atomic_load(&arena->processes) <= COHORT__PROCESSES_MAX &&
           atomic_load(&arena->threads) <= COHORT__THREADS_MAX &&
           atomic_load(&arena->modules) <= COHORT__MODULES_MAX &&
           atomic_load(&arena->parcels) <= COHORT__PARCELS_MAX;
}

static apr_status_t enter_map(bool fresh) {
    cohort__registry_hand_down();
    cohort__arena = (cohort__arena_t *)cohort__map.base;
    apr_status_t status = fresh                    ? lay_out_arena(cohort__arena)
                          : is_ours(cohort__arena) ? APR_SUCCESS
                                                   : COHORT_EVERSION;
    if (!status && !cohort__alloc_setup(fresh)) status = COHORT_EVERSION;
    if (status) cohort__arena_detach();
    return status;
}

static apr_status_t create_map(uint64_t size) {
    apr_status_t status = cohort_os_arena_create(size, &cohort__map);
    if (status) return status;
    status = cohort_os_arena_pages(&cohort__map, COHORT_OS_PAGES_COMMIT, 0, COHORT__GRANULE);
    if (status) cohort_os_arena_detach(&cohort__map);
    return status;
}

/* With a size of 0, the system's default, halved until the limits of this process allow it, or it
 * is the least that is of use. */
apr_status_t cohort__arena_create(uint64_t size, bool dump) {
    bool chosen = size != 0;
    if (!chosen) size = (uint64_t)cohort_os_figure(COHORT_OS_ARENA_SIZE);
    size = (size + (1 << 20) - 1) >> 20 << 20;
    if (!chosen && size < SIZE_MIN) size = SIZE_MIN;
    if (size < SIZE_MIN)
        return cohort__fail(APR_EINVAL, "an arena of %lu MiB, where %lu MiB are the least",
                            (unsigned long)(size >> 20), (unsigned long)(SIZE_MIN >> 20));
    apr_status_t status = create_map(size);
    while (!chosen && status == APR_ENOMEM && size > SIZE_MIN) {
        size = size / 2 > SIZE_MIN ? size >> 21 << 20 : SIZE_MIN;
        status = create_map(size);
    }
    if (!status) status = enter_map(true);
    if (status) return status;
    cohort__arena->dump = dump;
    cohort__arena_dump();
    return APR_SUCCESS;
}

apr_status_t cohort__arena_attach(const cohort_os_arena_t *map) {
    apr_status_t status = cohort_os_arena_attach(map);
    if (status) return status;
    cohort__map = *map;
    status = enter_map(false);
    if (!status) cohort__arena_dump();
    return status;
}

void cohort__arena_detach(void) {
    cohort__arena_dump_nothing();
    cohort__code_forget();
    cohort__arena = NULL;
    cohort_os_arena_detach(&cohort__map);
}
