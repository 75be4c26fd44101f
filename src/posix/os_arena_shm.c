/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The arena's memory as a POSIX shared memory object, for systems without memfd. Where the file
 * system of these objects gives nameless files, one of those is taken, so that a death in the
 * middle leaves nothing; else the name is removed as soon as it exists.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define STEP ((uint64_t)4 << 20)

static int nameless(void) {
#ifdef O_TMPFILE
    return open("/dev/shm", O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC, 0600);
#else
    return -1;
#endif
}

static int named_for_a_moment(void) {
    for (unsigned attempt = 0; attempt < 100; ++attempt) {
        char name[32]; /* macOS allows 31 characters */
        unsigned salt = (unsigned)cohort_os_now() ^ attempt * 2654435761u;
        snprintf(name, sizeof name, "/cohort-%lx-%x", (unsigned long)getpid(), salt & 0xffffffu);
        int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
        if (fd >= 0) shm_unlink(name);
        if (fd >= 0 || errno != EEXIST) return fd;
    }
    return -1;
}

int cohort__arena_object(uint64_t size) {
    int fd = nameless();
    if (fd < 0) fd = named_for_a_moment();
    fd = cohort__fd_safe(fd);
    if (fd < 0) return -1;
    int result;
    COHORT__RETRY(result, ftruncate(fd, (off_t)size));
    if (result == 0) return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

/* A file of no name and for no other user, so only processes that were given it can shrink it. Some
 * systems call it no file. */
bool cohort__arena_object_is(int fd, const struct stat *facts) {
    (void)fd;
    mode_t kind = facts->st_mode & S_IFMT;
    return (kind == S_IFREG || kind == 0) && facts->st_nlink == 0 && (facts->st_mode & 077) == 0;
}

/* Where a system backs shared memory by swap that grows, or when the program has closed the
 * descriptor, touching is all there is. */
static apr_status_t touch(const cohort_os_arena_t *arena, uint64_t offset, uint64_t length) {
    for (uint64_t at = offset; at < offset + length; at += 4096)
        atomic_fetch_or((_Atomic unsigned char *)(arena->base + at), 0);
    return APR_SUCCESS;
}

static apr_status_t reserve(const cohort_os_arena_t *arena, uint64_t offset, uint64_t length) {
#ifdef COHORT_HAVE_POSIX_FALLOCATE
    int error = EINTR;
    bool ours = cohort__arena_handle_is_ours(arena);
    while (ours && error == EINTR)
        error = posix_fallocate((int)arena->handle, (off_t)offset, (off_t)length);
    if (ours) return error == ENOSPC ? APR_ENOMEM : error;
#endif
    return touch(arena, offset, length);
}

apr_status_t cohort__pages_commit(const cohort_os_arena_t *arena, uint64_t offset,
                                  uint64_t length) {
    apr_status_t status = APR_SUCCESS;
    while (length && status == APR_SUCCESS) {
        uint64_t step = length < STEP ? length : STEP;
        status = reserve(arena, offset, step);
        offset += step;
        length -= step;
    }
    return status;
}

void cohort__pages_discard(const cohort_os_arena_t *arena, uint64_t offset, uint64_t length) {
#if defined(MADV_REMOVE)
    madvise(arena->base + offset, length, MADV_REMOVE);
#else
    (void)arena, (void)offset, (void)length; /* no means that every process would see */
#endif
}
