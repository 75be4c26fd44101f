/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/**
 * @file shared.h
 * Shared memory: blocks with the same address in every process of the cohort, so that they can hold
 * ordinary pointers to each other.
 *
 * Thread safety: every function of this header may be called by any thread of any process of the
 * cohort at the same time as any other; none may be called from a signal handler. The arena is safe
 * against the death of any process at any instruction.
 */
#ifndef COHORT_SHARED_H
#define COHORT_SHARED_H

#include <cohort/errors.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Allocate shared memory.
 *
 * The block belongs to the cohort until it is freed: any process may, and the end of the one
 * that allocated it changes nothing.
 *
 * @param block receives the address, aligned for any type (to 64 bytes when size >= 64); the
 *              contents are undefined
 * @param size  bytes; 0 gives a block that can be freed and nothing else
 * @return
 *  - APR_SUCCESS
 *  - APR_ENOMEM: the arena, or the system's memory, is used up; nothing else has changed
 *  - APR_EINVAL: `block` is NULL
 *  - COHORT_ENOTINIT: cohort_initialize() has not been called
 *  - COHORT_ENOTMEMBER: called in a raw fork() copy
 *  - COHORT_ELIMIT: the cohort has too many threads
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_alloc(void **block, apr_size_t size);

/**
 * Allocate shared memory for `n` elements; COHORT_ALLOC() takes their size from the pointer. As
 * cohort_alloc() otherwise.
 *
 * @param pointer the address of a pointer to any type, which receives the block's address
 * @param n       how many elements
 * @param size    bytes of one
 * @return as cohort_alloc(); APR_ENOMEM also when `n` times `size` is more than a size can be
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_alloc_array(void *pointer, apr_size_t n,
                                                            apr_size_t size);

/**
 * The same, with all bytes zero (C's calloc()).
 *
 * @param pointer as cohort_alloc_array()
 * @param n       how many elements
 * @param size    bytes of one
 * @return as cohort_alloc_array()
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_alloc_zeroed(void *pointer, apr_size_t n,
                                                             apr_size_t size);

/**
 * Allocate `n` elements of the type that `*pointer` points to.
 *
 * @code
 * node_t *node;
 * apr_status_t status = COHORT_ALLOC(&node, 1);
 * @endcode
 */
#define COHORT_ALLOC(pointer, n) cohort_alloc_array((pointer), (n), sizeof **(pointer))
/** The same, with all bytes zero. */
#define COHORT_ALLOC_ZEROED(pointer, n) cohort_alloc_zeroed((pointer), (n), sizeof **(pointer))

/**
 * Free a block. Freed memory goes back to the system where it can.
 *
 * @param block as cohort_alloc() gave it, or NULL
 * @return
 *  - APR_SUCCESS
 *  - COHORT_EFREE: not such a block, or freed already, as far as that can be seen
 *  - COHORT_ENOTINIT, COHORT_ENOTMEMBER, COHORT_ELIMIT: as cohort_alloc()
 */
COHORT_API apr_status_t cohort_free(void *block);

/** The arena in bytes. */
typedef struct cohort_arena_usage_t {
    apr_uint64_t limit;     /**< what it can hold at most */
    apr_uint64_t committed; /**< memory that the system keeps for blocks now */
    apr_uint64_t used;      /**< in blocks in use, rounded up to their sizes */
    apr_uint64_t blocks;    /**< number of blocks in use, those of Cohort's own objects included */
    apr_uint64_t reserved[8]; /**< written 0 */
} cohort_arena_usage_t;

/**
 * Measure the arena. Takes time in proportion to its use; exact when nothing changes meanwhile.
 *
 * @param usage receives the measures
 * @return
 *  - APR_SUCCESS
 *  - APR_EINVAL: `usage` is NULL
 *  - COHORT_ENOTINIT: cohort_initialize() has not been called
 */
COHORT_API apr_status_t cohort_arena_usage(cohort_arena_usage_t *usage);

/**
 * Does memory lie in the arena?
 *
 * @param address any address; nothing is read there
 * @param size    bytes from there on
 * @return 1 if the whole of [address, address + size) lies in the arena, else 0
 */
COHORT_API int cohort_is_shared(const void *address, apr_size_t size);

#ifdef __cplusplus
}
#endif

#endif
