/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Processes of macOS, as the system shows them. The birth of a process is its start time in
 * microseconds, by sysctl. */
#include "os_posix.h"

#include <libproc.h>
#include <mach/mach.h>
#include <mach/mach_time.h>
#include <pthread.h>
#include <sys/sysctl.h>
#include <unistd.h>

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

cohort__life_t cohort__life_by_pid(int64_t pid, uint64_t *birth) {
    struct kinfo_proc info;
    size_t size = sizeof info;
    int name[] = {CTL_KERN, KERN_PROC, KERN_PROC_PID, (int)pid};
    if (sysctl(name, 4, &info, &size, NULL, 0) != 0) return COHORT__UNKNOWN;
    if (size == 0) return COHORT__GONE;
    *birth = (uint64_t)info.kp_proc.p_starttime.tv_sec * 1000000u +
             (uint64_t)info.kp_proc.p_starttime.tv_usec + 2;
    return info.kp_proc.p_stat == SZOMB ? COHORT__ENDED : COHORT__RUNS;
}

cohort_os_usage_t cohort__usage(int64_t pid) {
    struct proc_taskinfo info;
    mach_timebase_info_data_t base;
    int size = proc_pidinfo((int)pid, PROC_PIDTASKINFO, 0, &info, (int)sizeof info);
    if (size != (int)sizeof info || mach_timebase_info(&base) != KERN_SUCCESS || base.denom == 0)
        return (cohort_os_usage_t){-1, -1};
    uint64_t ticks = info.pti_total_user + info.pti_total_system;
    return (cohort_os_usage_t){(int64_t)(ticks * base.numer / base.denom),
                               (int64_t)info.pti_resident_size};
}
