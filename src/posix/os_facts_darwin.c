/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What is particular to macOS. The birth of a process is its start time in microseconds, by sysctl. */
#include "os_posix.h"

#include <crt_externs.h>
#include <mach-o/dyld.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysctl.h>
#include <unistd.h>

cohort__life_t cohort__life(int64_t pid, uint64_t *birth) {
    struct kinfo_proc info;
    size_t size = sizeof info;
    int name[] = {CTL_KERN, KERN_PROC, KERN_PROC_PID, (int)pid};
    if (sysctl(name, 4, &info, &size, NULL, 0) != 0) return COHORT__UNKNOWN;
    if (size == 0) return COHORT__GONE;
    *birth = (uint64_t)info.kp_proc.p_starttime.tv_sec * 1000000u + (uint64_t)info.kp_proc.p_starttime.tv_usec + 2;
    return info.kp_proc.p_stat == SZOMB ? COHORT__ENDED : COHORT__RUNS;
}

int cohort__life_open(int64_t pid, uint64_t *birth) {
    (void)pid, (void)birth;
    return -1;
}

int cohort__wait_exact(int fd, siginfo_t *info, int options) {
    (void)fd, (void)info, (void)options;
    errno = EINVAL;
    return -1;
}

int cohort__signal_exact(cohort_os_id_t process, int signal) {
    (void)process, (void)signal;
    errno = ENOSYS;
    return -1;
}

/* The low addresses are the system's on arm64. */
const uint64_t cohort__arena_bases[] = {0x200000000000u, 0x2000000000u, 0};

uint64_t cohort__arena_limit(uint64_t base) { return base < 0x8000000000u ? 0x8000000000u : 0x600000000000u; }

uint64_t cohort__address_space_used(void) { return 0; }

uint64_t cohort__memory_size(void) {
    uint64_t bytes = 0;
    size_t size = sizeof bytes;
    return sysctlbyname("hw.memsize", &bytes, &size, NULL, 0) == 0 ? bytes : 0;
}

apr_status_t cohort__own_executable(char *path, size_t size) {
    uint32_t room = (uint32_t)size;
    return _NSGetExecutablePath(path, &room) == 0 ? APR_SUCCESS : APR_ENOSPC;
}

/* The system's frameworks do not stand a fork without exec. */
bool cohort_os_fork_is_default(void) { return false; }

char ***cohort__environment(void) { return _NSGetEnviron(); }

/* The kernel tells nobody's but by setting it. The moment is kept as short as it can be. */
mode_t cohort__umask(void) {
    mode_t mode = umask(077);
    umask(mode);
    return mode;
}

int cohort__cpu_quota(void) { return 0; }

size_t cohort__affinity_get(void *set, size_t size) {
    (void)set, (void)size;
    return 0;
}

void cohort__affinity_set(const void *set, size_t size) { (void)set, (void)size; }

int cohort__affinity_count(void) { return 0; }

int cohort_os_cpu(void) { return -1; }

void cohort__thread_title(const char *name) {
    if (pthread_main_np()) pthread_setname_np(name);
}
