/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Becoming what a requester of a server is, in the child that the server has forked, on Linux. What
 * that is was looked at in os_state_linux.c. Scheduling, CPUs and the score for the OOM killer are
 * looked at here, in the requester, which waits meanwhile; and all that is the server's already
 * costs no call. A worker that replaces another one under fork or spawn becomes like its maker's
 * first thread by the same steps.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef struct {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
} schedule_t;

#define RESET_ON_FORK 1u

/* Of the server. It is no static: what a copy writes to lies close together. */
static struct {
    cohort_os_state_t state;
    schedule_t schedule;
    char oom[16];
    unsigned char cpus[1024];
    size_t cpu_bytes;
} * own;

static void look_at_schedule(uint64_t tid, schedule_t *schedule) {
    memset(schedule, 0, sizeof *schedule);
    if (syscall(SYS_sched_getattr, (pid_t)tid, schedule, (unsigned)sizeof *schedule, 0u) != 0)
        schedule->size = 0;
    schedule->size = schedule->size ? (uint32_t)sizeof *schedule : 0;
}

/* As the system does it for a child. */
static void reset_for_child(schedule_t *schedule) {
    if (!(schedule->flags & RESET_ON_FORK)) return;
    /* neither OTHER nor BATCH nor IDLE */
    bool realtime = schedule->policy != 0 && schedule->policy != 3 && schedule->policy != 5;
    if (realtime) schedule->policy = schedule->priority = 0;
    if (realtime || schedule->nice < 0) schedule->nice = 0;
    schedule->flags &= ~(uint64_t)RESET_ON_FORK;
}

#define OOM "/oom_score_adj"

/* Without snprintf(): it would cost a forked child half a dozen page faults. */
static void oom_path(uint64_t pid, char path[48]) {
    char text[20], *at = text + sizeof text;
    do *--at = (char)('0' + pid % 10);
    while (pid /= 10);
    size_t digits = (size_t)(text + sizeof text - at);
    memcpy(path, "/proc/", 6);
    memcpy(path + 6, at, digits);
    memcpy(path + 6 + digits, OOM, sizeof OOM);
}

static void read_oom(const char *path, char oom[16]) {
    int fd;
    COHORT__RETRY(fd, open(path, O_RDONLY | O_CLOEXEC));
    ssize_t got = 0;
    if (fd >= 0) COHORT__RETRY(got, read(fd, oom, 15)); /* a file of /proc comes at once */
    oom[got > 0 ? got : 0] = 0;
    if (fd >= 0) close(fd);
}

apr_status_t cohort__state_remember(void) {
    cohort__status_t also;
    if (!own) own = malloc(sizeof *own);
    if (!own) return cohort__fail(APR_ENOMEM, "noting what this fork server is");
    (void)cohort_os_state_look(COHORT_OS_LOOK_QUICK, &own->state, NULL);
    apr_status_t status = cohort__state_rest(&own->state, &also);
    if (status == APR_SUCCESS) cohort__signals_settled(also.ignored);
    look_at_schedule(0, &own->schedule);
    read_oom("/proc/self" OOM, own->oom);
    own->cpu_bytes = cohort__affinity_get(0, own->cpus, sizeof own->cpus);
    return status;
}

static apr_status_t adopt_limits(const cohort_os_state_t *wanted) {
    for (int i = 0; i < COHORT__WISH_LIMITS_MAX; ++i) {
        const uint64_t *values = &wanted->wishes[COHORT__WISH_LIMITS + 2 * i];
        const uint64_t *ours = &own->state.wishes[COHORT__WISH_LIMITS + 2 * i];
        if (memcmp(values, ours, 2 * sizeof *values) == 0) continue;
        struct rlimit limit = {(rlim_t)values[0], (rlim_t)values[1]};
        if (syscall(SYS_prlimit64, 0, i, &limit, NULL) != 0)
            return cohort__fail(errno, "set resource limit %d", i);
    }
    return APR_SUCCESS;
}

static apr_status_t adopt_schedule(uint64_t tid) {
    schedule_t schedule;
    look_at_schedule(tid, &schedule);
    reset_for_child(&schedule);
    if (!schedule.size || memcmp(&schedule, &own->schedule, sizeof schedule) == 0)
        return APR_SUCCESS;
    if (syscall(SYS_sched_setattr, 0, &schedule, 0u) == 0) return APR_SUCCESS;
    return cohort__fail(errno, "set scheduling policy %u, priority %u, nice %d", schedule.policy,
                        schedule.priority, (int)schedule.nice);
}

static apr_status_t adopt_cpus(uint64_t tid) {
    unsigned char cpus[sizeof own->cpus];
    size_t bytes = cohort__affinity_get((int64_t)tid, cpus, sizeof cpus);
    if (bytes == 0 || (bytes == own->cpu_bytes && memcmp(cpus, own->cpus, bytes) == 0))
        return APR_SUCCESS;
    return syscall(SYS_sched_setaffinity, 0, bytes, cpus) == 0
               ? APR_SUCCESS
               : cohort__fail(errno, "set the CPUs");
}

static apr_status_t adopt_oom(uint64_t pid) {
    char path[48], oom[16];
    oom_path(pid, path);
    read_oom(path, oom);
    if (!*oom || strcmp(oom, own->oom) == 0) return APR_SUCCESS;
    int fd;
    COHORT__RETRY(fd, open("/proc/self" OOM, O_WRONLY | O_CLOEXEC));
    if (fd < 0) return cohort__fail(errno, "open /proc/self" OOM);
    ssize_t put;
    COHORT__RETRY(put, write(fd, oom, strlen(oom)));
    apr_status_t status =
        put < 0 ? cohort__fail(errno, "set oom_score_adj to %s", oom) : APR_SUCCESS;
    close(fd);
    return status;
}

static apr_status_t adopt_group(uint64_t group) {
    if (group == 0 || group == own->state.wishes[COHORT__WISH_PROCESS_GROUP] ||
        cohort__leads_group())
        return APR_SUCCESS;
    return setpgid(0, (pid_t)group) == 0
               ? APR_SUCCESS
               : cohort__fail(errno, "join process group %llu", (unsigned long long)group);
}

apr_status_t cohort__state_adopt(const cohort_os_state_t *wanted) {
    apr_status_t status = APR_SUCCESS;
    if (status == APR_SUCCESS) status = adopt_group(wanted->wishes[COHORT__WISH_PROCESS_GROUP]);
    if (status == APR_SUCCESS) status = adopt_oom(wanted->wishes[COHORT__WISH_PID]);
    if (status == APR_SUCCESS) status = adopt_cpus(wanted->wishes[COHORT__WISH_TID]);
    if (status == APR_SUCCESS) status = adopt_schedule(wanted->wishes[COHORT__WISH_TID]);
    if (status == APR_SUCCESS) status = adopt_limits(wanted);
    return status;
}
