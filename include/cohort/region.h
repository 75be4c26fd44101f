/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/**
 * @file region.h
 * Regions: shared memory that is freed as a whole, and that goes with its owner. What lies in a
 * region is allocated one behind the other, quicker than by cohort_alloc(), and never freed by
 * itself. A region belongs to a process: when that has ended, however it ends, the region is
 * destroyed before any process learns of the end, so a worker that is killed leaves nothing.
 *
 * Thread safety: every function of this header may be called by any thread of any process of the
 * cohort at the same time as any other; none may be called from a signal handler.
 *
 * The common statuses, which any function may return to which they can apply:
 *  - COHORT_ENOTINIT, COHORT_ENOTMEMBER: this process is no member of a cohort
 *  - COHORT_EHANDLE: the pointer is not a region, or one that was destroyed
 *  - COHORT_ELIMIT: the cohort has too many threads
 *  - APR_EINVAL: NULL where something is needed
 */
#ifndef COHORT_REGION_H
#define COHORT_REGION_H

#include <cohort/errors.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Memory that is freed as a whole. */
typedef struct cohort_region_t cohort_region_t;

/** Options of a region; zero means default. */
typedef struct cohort_region_options_t {
    /** the process that it goes with, started or not; NULL: the calling one */
    cohort_process_t *owner;
    int lasting;              /**< not 0: it goes with no process; `owner` is NULL then */
    apr_size_t chunk;         /**< bytes that it gets from the arena at once; 0: 64 KiB */
    apr_uint64_t reserved[6]; /**< all 0; else COHORT_EOPTION */
} cohort_region_options_t;

/**
 * Make a region.
 *
 * @param region  receives it
 * @param options NULL for the defaults
 * @param pool    the region is destroyed with it; NULL: it lives until cohort_region_destroy() or
 *                the end of its owner
 * @return
 *  - APR_SUCCESS
 *  - COHORT_EOPTION: a reserved word of the options is not 0
 *  - APR_EINVAL: an owner of a lasting region, or a chunk of less than 1024 bytes
 *  - COHORT_EHANDLE: the owner is no process
 *  - COHORT_EOWNERDEAD: the owner has ended
 *  - APR_ENOMEM: the arena is full
 *  - the common statuses of region.h
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_region_create(
    cohort_region_t **region, const cohort_region_options_t *options, apr_pool_t *pool);

/**
 * Allocate memory of a region. It is there until the region is cleared or destroyed, and cannot be
 * given to cohort_free().
 *
 * @param block  receives the address, aligned for any type (to 64 bytes when size >= 64); the
 *               contents are undefined
 * @param region the region
 * @param size   bytes; 0 is as 1
 * @return
 *  - APR_SUCCESS
 *  - APR_ENOMEM: the arena is full
 *  - the common statuses of region.h
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_region_alloc(void **block, cohort_region_t *region,
                                                             apr_size_t size);

/**
 * Free all that was allocated of a region. It keeps one chunk, for what comes next.
 *
 * @param region the region
 * @return APR_SUCCESS, or one of the common statuses of region.h
 */
COHORT_API apr_status_t cohort_region_clear(cohort_region_t *region);

/**
 * Destroy a region, and free all that was allocated of it.
 *
 * @param region the region; NULL and a destroyed one are fine
 * @return APR_SUCCESS, or one of the common statuses of region.h
 */
COHORT_API apr_status_t cohort_region_destroy(cohort_region_t *region);

#ifdef __cplusplus
}
#endif

#endif
