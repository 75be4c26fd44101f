/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The address space of a process and the memory of the machine, as the arena needs to know them, on
 * Linux; and its memory object opened anew, from another process or from the mapping. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

const uint64_t cohort__arena_bases[] = {0x2000000000u, 0x200000000000u, 0};

uint64_t cohort__arena_limit(uint64_t base) {
    return base < 0x8000000000u ? 0x8000000000u : 0x600000000000u;
}

uint64_t cohort__address_space_used(void) {
    char text[128];
    if (cohort__read_text("/proc/self/statm", text, sizeof text) <= 0) return 0;
    return strtoull(text, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Not by getrusage(): that counts what the process was before it executed this program. */
uint64_t cohort__memory_peak(void) {
    char text[4096];
    if (cohort__read_text("/proc/self/status", text, sizeof text) <= 0) return 0;
    const char *peak = strstr(text, "VmHWM:");
    return peak ? strtoull(peak + 6, NULL, 10) * 1024 : 0;
}

/* The second number is what is real, the third what of that is of files and shared memory. */
uint64_t cohort__memory_own(void) {
    char text[128], *at = text;
    if (cohort__read_text("/proc/self/statm", text, sizeof text) <= 0) return 0;
    (void)strtoull(at, &at, 10);
    uint64_t resident = strtoull(at, &at, 10), shared = strtoull(at, &at, 10);
    return (resident - shared) * (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t cohort__memory_size(void) {
    return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Told by a page of its own: of one that is locked the caches cannot be dropped. */
bool cohort__locks_new_memory(void) {
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) return errno == EAGAIN;
    bool locked = msync(page, size, MS_ASYNC | MS_INVALIDATE) != 0 && errno == EBUSY;
    munmap(page, size);
    return locked;
}

/* The limit of locked memory is asked only about mappings that are locked, and so is what is to
 * become real at once. */
void *cohort__grow_unlocked(void *at, size_t mapped, size_t size) {
    if (munlock(at, mapped) == 0 && mremap(at, mapped, size, 0) == at) {
#ifdef MLOCK_ONFAULT
        (void)syscall(SYS_mlock2, at, size, MLOCK_ONFAULT);
#endif
        return at;
    }
    int error = errno;
    munmap(at, mapped);
    errno = error;
    return MAP_FAILED;
}

int cohort__file_of(int64_t pid, int number) {
    char path[64];
    int fd;
    snprintf(path, sizeof path, "/proc/%lld/fd/%d", (long long)pid, number);
    COHORT__RETRY(fd, open(path, O_RDWR | O_CLOEXEC));
    return fd;
}

/* The end of the mapping that begins there; 0: there is none. */
static unsigned long mapping_end(unsigned long begin) {
    FILE *maps = fopen("/proc/thread-self/maps", "re");
    char line[512];
    unsigned long from = 0, to = 0;
    while (maps && from != begin && fgets(line, sizeof line, maps))
        if (sscanf(line, "%lx-%lx", &from, &to) != 2) from = 0;
    if (maps) fclose(maps);
    return from == begin ? to : 0;
}

/* Only for root. The directory is not among those of a thread under /proc/thread-self, and the one
 * under /proc/self is gone when the first thread has ended. */
int cohort__file_mapped(const void *at) {
    char path[96];
    unsigned long begin = (unsigned long)(uintptr_t)at;
    int fd;
    snprintf(path, sizeof path, "/proc/%ld/map_files/%lx-%lx", (long)syscall(SYS_gettid), begin,
             mapping_end(begin));
    COHORT__RETRY(fd, open(path, O_RDWR | O_CLOEXEC));
    return fd;
}
