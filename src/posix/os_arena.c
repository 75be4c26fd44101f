/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The arena's mapping. Guarantee: either the whole object is mapped at one of the agreed addresses,
 * or nothing is, and nothing that was mapped there before is disturbed. The shared memory object
 * itself comes from os_arena_memfd.c or os_arena_shm.c.
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

static uint64_t soft_limit(int failed, const struct rlimit *limit) { /* of getrlimit() */
    return failed || limit->rlim_cur == RLIM_INFINITY ? UINT64_MAX : (uint64_t)limit->rlim_cur;
}

static uint64_t file_limit(void) {
    struct rlimit limit;
    return soft_limit(getrlimit(RLIMIT_FSIZE, &limit), &limit);
}

/* What may still be mapped. */
static uint64_t space_left(void) {
    struct rlimit space;
    uint64_t limit = soft_limit(getrlimit(RLIMIT_AS, &space), &space);
    if (limit == UINT64_MAX) return limit;
    uint64_t used = cohort__address_space_used();
    return used < limit ? limit - used : 0;
}

static _Atomic uint64_t object_inode; /* of the one arena of this process */

static uint64_t inode(int fd) {
    struct stat facts;
    return fstat(fd, &facts) == 0 ? (uint64_t)facts.st_ino : UINT64_MAX;
}

/* A program that closes descriptors which are not its own, and opens a file in the place of ours,
 * must not have that file extended. */
bool cohort__arena_handle_is_ours(const cohort_os_arena_t *arena) {
    return inode((int)arena->handle) == atomic_load(&object_inode);
}

/* A process that has asked the system to lock all that it will map (mlockall) does not mean the
 * address space that the arena never uses: what is mapped first is small, and grows when it is not
 * locked any more; pages that are used are locked then as far as the limits allow. */
static apr_status_t map_at(uint64_t base, uint64_t size, int fd) {
    void *want = (void *)(uintptr_t)base;
    bool locks = cohort__locks_new_memory();
    void *got = mmap(want, locks ? MIB : size, PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_NORESERVE | MAP_FIXED_NOREPLACE, fd, 0);
    if (locks && got == want) got = cohort__grow_unlocked(want, MIB, size);
    if (got == MAP_FAILED && errno == EAGAIN) {
        return cohort__fail(
            APR_ENOMEM,
            "the process locks its memory (mlockall), and ulimit -l leaves nothing for the arena; "
            "initialize before mlockall, or raise it");
    }
    if (got == MAP_FAILED)
        return errno == ENOMEM && space_left() < size ? APR_ENOMEM : COHORT_EADDRESS;
    if (got == want) atomic_store(&object_inode, inode(fd));
    if (got == want) return APR_SUCCESS;
    munmap(got, size);
    return COHORT_EADDRESS;
}

/* One of those that this system's arenas have. */
static bool is_place(uint64_t at, uint64_t size) {
    for (const uint64_t *base = cohort__arena_bases; *base; ++base)
        if (*base == at) return size > 0 && size % MIB == 0 && size <= cohort__arena_limit(at) - at;
    return false;
}

static apr_status_t map_somewhere(cohort_os_arena_t *arena, uint64_t size, int fd) {
    apr_status_t status = COHORT_EADDRESS;
    for (const uint64_t *base = cohort__arena_bases; *base && status == COHORT_EADDRESS; ++base) {
        if (size > cohort__arena_limit(*base) - *base) continue;
        status = map_at(*base, size, fd);
        if (status == APR_SUCCESS) *arena = (cohort_os_arena_t){(char *)(uintptr_t)*base, size, fd};
    }
    if (status == COHORT_EADDRESS)
        return cohort__fail(
            status,
            "%lu MiB at none of the addresses that are agreed upon; a smaller arena_size may fit",
            (unsigned long)(size / MIB));
    return status;
}

/* By different names; some systems write all that is mapped. */
#if defined(MADV_DONTDUMP)
#define LEAVE_OUT MADV_DONTDUMP
#define TAKE_IN   MADV_DODUMP
#elif defined(MADV_NOCORE)
#define LEAVE_OUT MADV_NOCORE
#define TAKE_IN   MADV_CORE
#endif

static void keep_out_of_dumps(const cohort_os_arena_t *arena) {
#ifdef LEAVE_OUT
    madvise(arena->base, arena->size, LEAVE_OUT);
#else
    (void)arena;
#endif
}

static unsigned long in_mib(uint64_t size) { return (unsigned long)(size / MIB); }

static apr_status_t check_limits(uint64_t size) {
    uint64_t file = file_limit(), space = space_left();
    if (size > file)
        return cohort__fail(APR_ENOMEM, "an arena of %lu MiB; ulimit -f allows files of %lu MiB",
                            in_mib(size), in_mib(file));
    if (size > space)
        return cohort__fail(APR_ENOMEM, "an arena of %lu MiB; ulimit -v leaves %lu MiB to map",
                            in_mib(size), in_mib(space));
    return APR_SUCCESS;
}

apr_status_t cohort_os_arena_create(uint64_t size, cohort_os_arena_t *arena) {
    if (size == 0 || size % MIB != 0) return APR_EINVAL;
    apr_status_t status = check_limits(size);
    if (status != APR_SUCCESS) return status;
    int fd = cohort__arena_object(size);
    if (fd < 0)
        return cohort__fail(errno == EFBIG || errno == ENOSPC ? APR_ENOMEM : errno,
                            "making a shared memory object of %lu MiB", in_mib(size));
    status = map_somewhere(arena, size, fd);
    if (status != APR_SUCCESS) close(fd);
    else keep_out_of_dumps(arena);
    return status;
}

apr_status_t cohort_os_arena_attach(const cohort_os_arena_t *arena) {
    struct stat facts;
    int fd = (int)arena->handle;
    if (!is_place((uint64_t)(uintptr_t)arena->base, arena->size)) return APR_EINVAL;
    if (fstat(fd, &facts) != 0) return errno;
    if ((uint64_t)facts.st_size != arena->size) return APR_EINVAL;
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    apr_status_t status = map_at((uint64_t)(uintptr_t)arena->base, arena->size, fd);
    if (status == APR_SUCCESS) keep_out_of_dumps(arena);
    return status;
}

apr_status_t cohort_os_arena_reopen(cohort_os_arena_t *arena, int64_t from,
                                    cohort_os_handle_t there) {
    if (cohort__arena_handle_is_ours(arena)) return APR_SUCCESS;
    int fd = cohort__fd_safe(from ? cohort__file_of(from, (int)there)
                                  : cohort__file_mapped(arena->base));
    if (fd < 0) return errno;
    cohort_os_arena_t found = {arena->base, arena->size, fd};
    if (cohort__arena_handle_is_ours(&found)) {
        arena->handle = fd;
        return APR_SUCCESS;
    }
    close(fd);
    return APR_ENOENT;
}

void cohort_os_arena_detach(cohort_os_arena_t *arena) {
    if (!arena->base) return;
    munmap(arena->base, arena->size);
    if (cohort__arena_handle_is_ours(arena)) close((int)arena->handle);
    *arena = (cohort_os_arena_t){NULL, 0, COHORT_OS_NONE};
}

static void dump(const cohort_os_arena_t *arena, uint64_t offset, uint64_t length) {
#ifdef TAKE_IN
    madvise(arena->base + offset, length, TAKE_IN);
#else
    (void)arena, (void)offset, (void)length;
#endif
}

apr_status_t cohort_os_arena_pages(const cohort_os_arena_t *arena, cohort_os_pages_t how,
                                   uint64_t offset, uint64_t length) {
    if (offset > arena->size || length > arena->size - offset) return APR_EINVAL;
    if (how == COHORT_OS_PAGES_COMMIT) return cohort__pages_commit(arena, offset, length);
    if (how == COHORT_OS_PAGES_DISCARD) cohort__pages_discard(arena, offset, length);
    else dump(arena, offset, length);
    return APR_SUCCESS;
}

uint64_t cohort__arena_default_size(void) {
    uint64_t size = cohort__memory_size() * 4,
             most = cohort__arena_limit(cohort__arena_bases[0]) - cohort__arena_bases[0];
    if (size < 4 * GIB) size = 4 * GIB;
    if (size > most) size = most;
    if (size > 256 * GIB) size = 256 * GIB;
    uint64_t file = file_limit(), space = space_left();
    if (size > file) size = file;
    if (size > space / 2) size = space / 2;
    size -= size % MIB;
    return size ? size : MIB;
}
