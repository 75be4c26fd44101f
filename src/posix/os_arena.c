/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The arena's mapping. Guarantee: either the whole object is mapped at one of the agreed addresses, or nothing is, and nothing that was mapped
 * there before is disturbed. The shared memory object itself comes from os_arena_memfd.c or os_arena_shm.c.
 *
 * The limits are looked at first, since an ftruncate() beyond `ulimit -f` raises SIGXFSZ.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0 /* then the address is a hint, and any other answer is given back */
#endif

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

static uint64_t soft_limit(int resource) {
    struct rlimit limit;
    if (getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return UINT64_MAX;
    return (uint64_t)limit.rlim_cur;
}

/* What may still be mapped. */
static uint64_t space_left(void) {
    uint64_t limit = soft_limit(RLIMIT_AS);
    if (limit == UINT64_MAX) return limit;
    uint64_t used = cohort__address_space_used();
    return used < limit ? limit - used : 0;
}

static _Atomic uint64_t object_inode; /* of the one arena of this process */

static uint64_t inode(int fd) {
    struct stat facts;
    return fstat(fd, &facts) == 0 ? (uint64_t)facts.st_ino : UINT64_MAX;
}

/* A program that closes descriptors which are not its own, and opens a file in the place of ours, must not have that file extended. */
bool cohort__arena_handle_is_ours(const cohort_os_arena_t *arena) {
    return inode((int)arena->handle) == atomic_load(&object_inode);
}

static apr_status_t map_at(uint64_t base, uint64_t size, int fd) {
    void *want = (void *)(uintptr_t)base;
    void *got = mmap(want, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | MAP_FIXED_NOREPLACE, fd, 0);
    if (got == MAP_FAILED) return errno == ENOMEM && space_left() < size ? APR_ENOMEM : COHORT_EADDRESS;
    if (got == want) atomic_store(&object_inode, inode(fd));
    if (got == want) return APR_SUCCESS;
    munmap(got, size);
    return COHORT_EADDRESS;
}

static apr_status_t map_somewhere(cohort_os_arena_t *arena, uint64_t size, int fd) {
    apr_status_t status = COHORT_EADDRESS;
    for (const uint64_t *base = cohort__arena_bases; *base && status == COHORT_EADDRESS; ++base) {
        if (size > cohort__arena_limit(*base) - *base) continue;
        status = map_at(*base, size, fd);
        if (status == APR_SUCCESS) *arena = (cohort_os_arena_t){(char *)(uintptr_t)*base, size, fd};
    }
    return status;
}

static void keep_out_of_dumps(const cohort_os_arena_t *arena) {
#ifdef MADV_DONTDUMP
    madvise(arena->base, arena->size, MADV_DONTDUMP);
#else
    (void)arena;
#endif
}

apr_status_t cohort_os_arena_create(uint64_t size, cohort_os_arena_t *arena) {
    if (size == 0 || size % MIB != 0) return APR_EINVAL;
    if (size > soft_limit(RLIMIT_FSIZE) || size > space_left()) return APR_ENOMEM;
    int fd = cohort__arena_object(size);
    if (fd < 0) return errno == EFBIG || errno == ENOSPC ? APR_ENOMEM : errno;
    apr_status_t status = map_somewhere(arena, size, fd);
    if (status != APR_SUCCESS) close(fd);
    else keep_out_of_dumps(arena);
    return status;
}

apr_status_t cohort_os_arena_attach(const cohort_os_arena_t *arena) {
    struct stat facts;
    int fd = (int)arena->handle;
    if (!arena->base || arena->size == 0 || arena->size % MIB != 0) return APR_EINVAL;
    if (fstat(fd, &facts) != 0) return errno;
    if ((uint64_t)facts.st_size < arena->size) return APR_EINVAL;
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    apr_status_t status = map_at((uint64_t)(uintptr_t)arena->base, arena->size, fd);
    if (status == APR_SUCCESS) keep_out_of_dumps(arena);
    return status;
}

void cohort_os_arena_detach(cohort_os_arena_t *arena) {
    if (!arena->base) return;
    munmap(arena->base, arena->size);
    if (cohort__arena_handle_is_ours(arena)) close((int)arena->handle);
    *arena = (cohort_os_arena_t){NULL, 0, COHORT_OS_NONE};
}

uint64_t cohort_os_arena_default_size(void) {
    uint64_t size = cohort__memory_size() * 4, most = cohort__arena_limit(cohort__arena_bases[0]) - cohort__arena_bases[0];
    if (size < 4 * GIB) size = 4 * GIB;
    if (size > most) size = most;
    if (size > 256 * GIB) size = 256 * GIB;
    uint64_t file = soft_limit(RLIMIT_FSIZE), space = space_left();
    if (size > file) size = file;
    if (size > space / 2) size = space / 2;
    size -= size % MIB;
    return size ? size : MIB;
}
