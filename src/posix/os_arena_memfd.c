/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The arena's memory as a memfd: it has no name anywhere, so nothing can stay behind.
 *
 * Memory is reserved by fallocate() before it is used, so that running out of it is a status here
 * and not a SIGBUS later. When the program has closed the descriptor, the memory is populated
 * through the mapping instead.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* No process takes pages away under another that uses them. */
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

/* Short enough that a stream of signals cannot keep fallocate() from ever finishing. */
#define STEP ((uint64_t)4 << 20)

int cohort__arena_object(uint64_t size) {
    int fd = memfd_create("cohort-arena", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL)
        fd = memfd_create("cohort-arena", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    fd = cohort__fd_safe(fd);
    if (fd < 0) return -1;
    int result;
    COHORT__RETRY(result, ftruncate(fd, (off_t)size));
    if (result != 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    fchmod(fd, 0600); /* for processes that come by it through /proc */
    if (fcntl(fd, F_ADD_SEALS, SEALS) == 0) return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

/* Only such files have seals at all. */
bool cohort__arena_object_is(int fd, const struct stat *facts) {
    int seals = fcntl(fd, F_GET_SEALS);
    return S_ISREG(facts->st_mode) && seals != -1 && (seals & SEALS) == SEALS;
}

static apr_status_t populate(const cohort_os_arena_t *arena, uint64_t offset, uint64_t length) {
    int result;
    COHORT__RETRY(result, madvise(arena->base + offset, length, MADV_POPULATE_WRITE));
    if (result == 0) return APR_SUCCESS;
    return errno == EFAULT ? APR_ENOMEM : errno;
}

apr_status_t cohort__pages_commit(const cohort_os_arena_t *arena, uint64_t offset,
                                  uint64_t length) {
    if (!cohort__arena_handle_is_ours(arena)) return populate(arena, offset, length);
    while (length) {
        uint64_t step = length < STEP ? length : STEP;
        int result;
        COHORT__RETRY(result, fallocate((int)arena->handle, 0, (off_t)offset, (off_t)step));
        if (result != 0) return errno == ENOSPC || errno == EDQUOT ? APR_ENOMEM : errno;
        offset += step;
        length -= step;
    }
    return APR_SUCCESS;
}

void cohort__pages_discard(const cohort_os_arena_t *arena, uint64_t offset, uint64_t length) {
    madvise(arena->base + offset, length, MADV_REMOVE);
}
