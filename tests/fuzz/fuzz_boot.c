/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The boot block, which a process finds in its environment and which anybody may have put there, and the head of the arena that it names. The first line of the
 * input is the block, with '@' for this process' pid; what follows it is the beginning of the arena.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "fuzz.h"

#include "core/arena.h"

#include <cohort/errors.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ARENA (1 << 20)

/* The block with this process' pid in it, as often as it is asked for. */
static void make_block(char *block, size_t room, const char *from, size_t size) {
    size_t at = 0;
    for (size_t i = 0; i < size && at + 24 < room && from[i]; i++) {
        if (from[i] == '@') at += (size_t)snprintf(block + at, room - at, "%020ld", (long)getpid());
        else block[at++] = from[i];
    }
    block[at] = 0;
}

/* It says where it wants to be mapped and how large it is; what is behind the handle is ours. */
static void attach(const cohort_os_boot_t *boot, const void *head, size_t size) {
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, ARENA) != 0 || pwrite(fd, head, size, 0) < 0) abort();
    cohort_os_arena_t map = {(char *)(uintptr_t)boot->base, boot->size, fd};
    if (cohort__arena_attach(&map) == APR_SUCCESS) cohort__arena_detach();
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *text = (const char *)data, *line = size ? memchr(text, '\n', size) : NULL;
    size_t length = line ? (size_t)(line - text) : size;
    char block[4096];
    cohort_os_boot_t boot;
    make_block(block, sizeof block, text, length);
    setenv("COHORT_BOOT", block, 1);
    apr_status_t status = cohort_os_boot_take(&boot);
    if (getenv("COHORT_BOOT")) abort(); /* a child of this process must not see it */
    if (status && status != APR_ENOENT && status != COHORT_EVERSION) abort();
    if (!status && boot.version != COHORT_OS_BOOT_VERSION) abort();
    if (!status) attach(&boot, line ? line + 1 : text, line ? size - length - 1 : 0);
    return 0;
}
