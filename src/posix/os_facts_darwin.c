/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What is particular to macOS. The birth of a process is its start time in microseconds, by
 * sysctl. */
#include "os_posix.h"

#include <crt_externs.h>
#include <libproc.h>
#include <mach-o/dyld.h>
#include <mach/mach.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysctl.h>
#include <unistd.h>

cohort__life_t cohort__life(int64_t pid, uint64_t *birth) {
    struct kinfo_proc info;
    size_t size = sizeof info;
    int name[] = {CTL_KERN, KERN_PROC, KERN_PROC_PID, (int)pid};
    if (sysctl(name, 4, &info, &size, NULL, 0) != 0) return COHORT__UNKNOWN;
    if (size == 0) return COHORT__GONE;
    *birth = (uint64_t)info.kp_proc.p_starttime.tv_sec * 1000000u +
             (uint64_t)info.kp_proc.p_starttime.tv_usec + 2;
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

int cohort__signal_group(int fd, cohort_os_id_t leader, int signal) {
    (void)fd, (void)leader, (void)signal;
    errno = ENOSYS;
    return -1;
}

/* The low addresses are the system's on arm64. */
const uint64_t cohort__arena_bases[] = {0x200000000000u, 0x2000000000u, 0};

uint64_t cohort__arena_limit(uint64_t base) {
    return base < 0x8000000000u ? 0x8000000000u : 0x600000000000u;
}

uint64_t cohort__address_space_used(void) { return 0; }

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

int cohort__threads(void) {
    thread_act_array_t list;
    mach_msg_type_number_t count;
    if (task_threads(mach_task_self(), &list, &count) != KERN_SUCCESS) return 0;
    for (mach_msg_type_number_t i = 0; i < count; ++i)
        mach_port_deallocate(mach_task_self(), list[i]);
    vm_deallocate(mach_task_self(), (vm_address_t)list, count * sizeof *list);
    return (int)count;
}

bool cohort__is_first_thread(void) { return pthread_main_np() == 1; }

uint64_t cohort__memory_size(void) {
    uint64_t bytes = 0;
    size_t size = sizeof bytes;
    return sysctlbyname("hw.memsize", &bytes, &size, NULL, 0) == 0 ? bytes : 0;
}

apr_status_t cohort__own_executable(char *path, size_t size) {
    uint32_t room = (uint32_t)size;
    return _NSGetExecutablePath(path, &room) == 0 ? APR_SUCCESS : APR_ENOSPC;
}

/* Sampled as the program begins: later it also says so of a process that has changed its user
 * itself. */
static int privileged;

__attribute__((constructor)) static void note_privilege(void) { privileged = issetugid(); }

bool cohort_os_privileged(void) { return privileged != 0; }

int cohort__change_user(uid_t user) { return setreuid(user, user); }
int cohort__change_group(gid_t group) { return setregid(group, group); }

/* The kernel tells everybody of each process. */
void cohort__witness_create(cohort_os_handle_t witness[2]) {
    witness[0] = witness[1] = COHORT_OS_NONE;
}

bool cohort__parent_user(int witness, int64_t parent, uid_t *user) {
    struct kinfo_proc info;
    size_t size = sizeof info;
    int name[] = {CTL_KERN, KERN_PROC, KERN_PROC_PID, (int)parent};
    (void)witness;
    if (sysctl(name, 4, &info, &size, NULL, 0) != 0 || size == 0) return false;
    *user = info.kp_eproc.e_ucred.cr_uid;
    return true;
}

/* The system's frameworks do not stand a fork without exec. */
bool cohort_os_fork_is_default(void) { return false; }

char ***cohort__environment(void) { return _NSGetEnviron(); }

/* The kernel answers with the size of the table, and some. */
int cohort__files_bound(void) {
    int bytes = proc_pidinfo(getpid(), PROC_PIDLISTFDS, 0, NULL, 0);
    return bytes > 0 ? bytes / (int)PROC_PIDLISTFD_SIZE : 10240;
}

int cohort__cpu_quota(void) { return 0; }

int cohort__affinity_count(void) { return 0; }

int cohort_os_cpu(void) { return -1; }

bool cohort_os_cpu_is_idle(void) { return false; }

void cohort__thread_title(const char *name) {
    if (pthread_main_np()) pthread_setname_np(name);
}

void cohort__streams_purge(void) {
    fpurge(stdout);
    fpurge(stderr);
}
