/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
#include "core/arena.h"

#include <cohort/errors.h>
#include <string.h>

#define MAGIC 0x636f686f72743031u /* "cohort01" */
#define GRANULE ((uint64_t)65536)
#define SIZE_MIN ((uint64_t)64 << 20) /* the tables alone need some address space */

cohort__arena_t *cohort__arena;
cohort_os_arena_t cohort__map;

apr_status_t cohort__arena_commit(const void *at, size_t size) {
    uint64_t from = (uint64_t)((const char *)at - cohort__map.base);
    uint64_t to = (from + size + GRANULE - 1) & ~(GRANULE - 1);
    from &= ~(GRANULE - 1);
    return cohort_os_arena_commit(&cohort__map, from, to - from);
}

static uint64_t place(uint64_t *at, uint64_t size) {
    uint64_t offset = *at;
    *at = (*at + size + GRANULE - 1) & ~(GRANULE - 1);
    return offset;
}

/* Each table begins on a granule of its own, which is what makes it usable bit by bit. */
static apr_status_t lay_out(cohort__arena_t *arena) {
    uint64_t at = 0;
    (void)place(&at, sizeof *arena);
    arena->magic = MAGIC;
    arena->version = COHORT_OS_BOOT_VERSION;
    arena->size = cohort__map.size;
    arena->process_offset = place(&at, COHORT__PROCESSES_MAX * sizeof(cohort_process_t));
    arena->thread_offset = place(&at, COHORT__THREADS_MAX * sizeof(cohort__thread_t));
    arena->module_offset = place(&at, COHORT__MODULES_MAX * sizeof(cohort_os_code_t));
    arena->park_offset = place(&at, cohort_os_park_region_size());
    arena->heap_offset = at;
    apr_status_t status = cohort__arena_commit((char *)arena + at, (size_t)GRANULE);
    if (!status && cohort_os_park_region_size()) {
        status = cohort__arena_commit((char *)arena + arena->park_offset, cohort_os_park_region_size());
    }
    return status;
}

static apr_status_t enter_map(bool fresh) {
    cohort__arena = (cohort__arena_t *)cohort__map.base;
    apr_status_t status = fresh ? lay_out(cohort__arena) : APR_SUCCESS;
    if (!status && (cohort__arena->magic != MAGIC || cohort__arena->version != COHORT_OS_BOOT_VERSION)) {
        status = COHORT_EVERSION;
    }
    if (!status) status = cohort_os_park_setup(cohort__map.base + cohort__arena->park_offset, fresh);
    if (!status) cohort__alloc_setup(fresh);
    if (status) cohort__arena_detach();
    return status;
}

static apr_status_t create_map(uint64_t size) {
    apr_status_t status = cohort_os_arena_create(size, &cohort__map);
    if (status) return status;
    status = cohort_os_arena_commit(&cohort__map, 0, GRANULE);
    if (status) cohort_os_arena_detach(&cohort__map);
    return status;
}

/* With a size of 0, the system's default, halved until the limits of this process allow it. */
apr_status_t cohort__arena_create(uint64_t size) {
    bool chosen = size != 0;
    if (!chosen) size = cohort_os_arena_default_size();
    size = (size + (1 << 20) - 1) >> 20 << 20;
    if (size < SIZE_MIN) return APR_EINVAL;
    apr_status_t status = create_map(size);
    while (!chosen && status == APR_ENOMEM && size / 2 >= SIZE_MIN) {
        size /= 2;
        status = create_map(size);
    }
    return status ? status : enter_map(true);
}

apr_status_t cohort__arena_attach(const cohort_os_arena_t *map) {
    apr_status_t status = cohort_os_arena_attach(map);
    if (status) return status;
    cohort__map = *map;
    return enter_map(false);
}

void cohort__arena_detach(void) {
    cohort__code_forget();
    cohort__arena = NULL;
    cohort_os_arena_detach(&cohort__map);
}
