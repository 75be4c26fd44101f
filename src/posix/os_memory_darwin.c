/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The address space of a process and the memory of the machine, as the arena needs to know them, on
 * macOS. */
#include "os_posix.h"

#include <mach/mach.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sysctl.h>

/* The low addresses are the system's on arm64. */
const uint64_t cohort__arena_bases[] = {0x200000000000u, 0x2000000000u, 0};

uint64_t cohort__arena_limit(uint64_t base) {
    return base < 0x8000000000u ? 0x8000000000u : 0x600000000000u;
}

uint64_t cohort__address_space_used(void) { return 0; }

uint64_t cohort__memory_peak(void) {
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (uint64_t)usage.ru_maxrss : 0;
}

uint64_t cohort__memory_own(void) {
    task_vm_info_data_t info;
    mach_msg_type_number_t count = TASK_VM_INFO_COUNT;
    if (task_info(mach_task_self(), TASK_VM_INFO, (task_info_t)&info, &count) != KERN_SUCCESS)
        return 0;
    return info.internal + info.compressed;
}

uint64_t cohort__memory_size(void) {
    uint64_t bytes = 0;
    size_t size = sizeof bytes;
    return sysctlbyname("hw.memsize", &bytes, &size, NULL, 0) == 0 ? bytes : 0;
}

/* There is no mlockall(). */
bool cohort__locks_new_memory(void) { return false; }

void *cohort__grow_unlocked(void *at, size_t mapped, size_t size) {
    (void)at, (void)mapped, (void)size;
    return MAP_FAILED;
}

/* Descriptors of other processes are their own. */
int cohort__file_of(int64_t pid, int number) {
    (void)pid, (void)number;
    errno = ENOSYS;
    return -1;
}

int cohort__file_mapped(const void *at) {
    (void)at;
    errno = ENOSYS;
    return -1;
}
