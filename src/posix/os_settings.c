/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What a new process makes itself by its settings. A function's process does that when it has
 * become all that its starter is; one that will be another program between fork and exec, where it
 * shares its starter's memory, and may call only what is async-signal-safe. What fails is noted as
 * a step, which is put in words in the process that may.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif

/* ---- async-signal-safe ---------------------------------------------------------------------- */

static int ignore_signals(uint64_t ignored) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = SIG_IGN;
    for (int number = 1; number <= 64; ++number)
        if ((ignored >> (number - 1) & 1) && sigaction(number, &action, NULL) != 0) return -1;
    return 0;
}

static int be_nice(int nice) {
    errno = 0;
    int now = getpriority(PRIO_PROCESS, 0);
    if (errno != 0) return -1;
    return setpriority(PRIO_PROCESS, 0, now + nice);
}

#define WORD_BITS (8 * sizeof(unsigned long))

/* One of those that are in the set stays there; they are counted from 0, and round. */
static int keep_nth_cpu(unsigned char *set, size_t bytes, unsigned n) {
    unsigned count = 0, at = 0;
    for (size_t i = 0; i < bytes * 8; ++i) count += (unsigned)set[i / 8] >> i % 8 & 1u;
    if (count == 0) return -1;
    for (size_t i = 0; i < bytes * 8; ++i) {
        bool is_set = (unsigned)set[i / 8] >> i % 8 & 1u;
        if (is_set && at++ != n % count) set[i / 8] &= (unsigned char)~(1u << i % 8);
    }
    return cohort__affinity_set(set, bytes);
}

static int set_cpus(const cohort_os_settings_t *settings) {
    const uint32_t *cpus = (const uint32_t *)cohort_os_settings_part(settings, settings->cpus);
    unsigned long set[COHORT_OS_CPUS_MAX / WORD_BITS];
    memset(set, 0, sizeof set);
    if (settings->set & COHORT_OS_SET_NTH_CPU)
        return keep_nth_cpu((unsigned char *)set, cohort__affinity_get(0, set, sizeof set),
                            cpus[0]);
    for (uint32_t i = 0; i < settings->n_cpus; ++i)
        set[cpus[i] / WORD_BITS] |= 1ul << cpus[i] % WORD_BITS;
    return cohort__affinity_set(set, sizeof set);
}

/* At the hard limit the process is killed, at the soft one it is told by a signal that says why: so
 * the hard one comes later, where it may. */
static int limit_cpu_time(uint64_t seconds) {
    struct rlimit limit;
    limit.rlim_cur = (rlim_t)seconds;
    limit.rlim_max = (rlim_t)(seconds ? seconds : 1) + 1;
    if (setrlimit(RLIMIT_CPU, &limit) == 0) return 0;
    limit.rlim_max = limit.rlim_cur;
    return setrlimit(RLIMIT_CPU, &limit);
}

static int set_limit(const cohort_os_settings_t *settings, int which) {
    const unsigned numbers[COHORT_OS_LIMITS] = {(unsigned)cohort__memory_limit, RLIMIT_CPU,
                                                RLIMIT_NOFILE, RLIMIT_NPROC, RLIMIT_CORE};
    uint64_t value = settings->limits[which];
    struct rlimit limit, now;
    if (numbers[which] == RLIMIT_CPU && value < UINT32_MAX) return limit_cpu_time(value);
    limit.rlim_cur = limit.rlim_max = value == UINT64_MAX ? RLIM_INFINITY : (rlim_t)value;
    if (value == UINT64_MAX && getrlimit(numbers[which], &now) == 0 && geteuid() != 0)
        limit.rlim_cur = limit.rlim_max = now.rlim_max; /* as far as the process may */
    return setrlimit(numbers[which], &limit);
}

/* `shares`: the memory, with threads that the C library would ask to change their user too. */
static int change_groups(const cohort_os_settings_t *settings, bool shares) {
    const gid_t *groups = (const gid_t *)cohort_os_settings_part(settings, settings->groups);
    _Static_assert(sizeof(gid_t) == sizeof(uint32_t), "as they are packed");
#ifdef SYS_setgroups
    if (shares) return (int)syscall(SYS_setgroups, (size_t)settings->n_groups, groups);
#endif
    (void)shares;
    return setgroups(settings->n_groups, groups);
}

static int change_ids(const cohort_os_settings_t *settings, bool shares, bool user) {
    if (shares)
        return user ? cohort__change_user(settings->user) : cohort__change_group(settings->group);
    return user ? setuid(settings->user) : setgid(settings->group);
}

static int take_step(const cohort_os_settings_t *settings, int step, bool shares) {
    switch (step) {
    case COHORT__TAKE_SIGNALS: return ignore_signals(settings->ignored);
    case COHORT__TAKE_UMASK:
        if (settings->set & COHORT_OS_SET_UMASK) umask((mode_t)settings->mode);
        return 0;
    case COHORT__TAKE_NICE: return settings->nice ? be_nice(settings->nice) : 0;
    case COHORT__TAKE_CPUS: return settings->n_cpus ? set_cpus(settings) : 0;
    case COHORT__TAKE_GROUPS:
        return settings->set & COHORT_OS_SET_GROUPS ? change_groups(settings, shares) : 0;
    case COHORT__TAKE_GROUP:
        return settings->set & COHORT_OS_SET_GROUP ? change_ids(settings, shares, false) : 0;
    case COHORT__TAKE_USER:
        return settings->set & COHORT_OS_SET_USER ? change_ids(settings, shares, true) : 0;
    case COHORT__TAKE_DIRECTORY:
        return settings->cwd ? chdir(cohort_os_settings_part(settings, settings->cwd)) : 0;
    default: break;
    }
    int which = step - COHORT__TAKE_LIMITS;
    return settings->set & (uint32_t)COHORT_OS_SET_LIMIT << which ? set_limit(settings, which) : 0;
}

int cohort__settings_take(const cohort_os_settings_t *settings, int end, bool shares) {
    for (int step = 0; step < end; ++step)
        if (take_step(settings, step, shares) != 0) return step;
    return -1;
}

/* ---- in words ------------------------------------------------------------------------------- */

apr_status_t cohort__settings_failed(const cohort_os_settings_t *settings, int step, int error) {
    static const char *const limits[] = {"memory", "CPU time", "open files", "processes",
                                         "core dumps"};
    switch (step) {
    case COHORT__TAKE_SIGNALS:
        return cohort__fail(error, "ignoring the signals %#llx",
                            (unsigned long long)settings->ignored);
    case COHORT__TAKE_NICE: return cohort__fail(error, "nice %d", (int)settings->nice);
    case COHORT__TAKE_CPUS:
        return cohort__fail(error, "using %u CPUs, the first of them %u",
                            (unsigned)settings->n_cpus,
                            *(const unsigned *)cohort_os_settings_part(settings, settings->cpus));
    case COHORT__TAKE_GROUPS:
        return cohort__fail(error, "setgroups of %u", (unsigned)settings->n_groups);
    case COHORT__TAKE_GROUP: return cohort__fail(error, "setgid %u", (unsigned)settings->group);
    case COHORT__TAKE_USER: return cohort__fail(error, "setuid %u", (unsigned)settings->user);
    case COHORT__TAKE_DIRECTORY:
        return cohort__fail(error, "chdir %s", cohort_os_settings_part(settings, settings->cwd));
    default: break;
    }
    int which = step - COHORT__TAKE_LIMITS;
    return cohort__fail(error, "a limit of %llu for %s",
                        (unsigned long long)settings->limits[which], limits[which]);
}

/* ---- the environment ------------------------------------------------------------------------ */

static size_t name_length(const char *variable) { return strcspn(variable, "="); }

static bool is_changed(const cohort_os_settings_t *settings, const char *variable) {
    const char *change = cohort_os_settings_part(settings, settings->env);
    size_t length = name_length(variable);
    for (uint32_t i = 0; i < settings->n_env; ++i, change += strlen(change) + 1)
        if (name_length(change) == length && strncmp(change, variable, length) == 0) return true;
    return false;
}

/* Of two changes of one variable the last one counts. */
static bool is_last(const cohort_os_settings_t *settings, const char *change, uint32_t at) {
    const char *next = change;
    for (uint32_t i = at + 1; i < settings->n_env; ++i) {
        next += strlen(next) + 1;
        if (name_length(next) == name_length(change) &&
            strncmp(next, change, name_length(change)) == 0)
            return false;
    }
    return true;
}

const char **cohort__settings_environment(const cohort_os_settings_t *settings,
                                          const char *const *from) {
    size_t count = 0, n = 0;
    while (from && from[count]) ++count;
    const char **made = calloc(count + settings->n_env + 1, sizeof *made),
               *change = cohort_os_settings_part(settings, settings->env);
    if (!made) return NULL;
    for (size_t i = 0; i < count; ++i)
        if (!is_changed(settings, from[i])) made[n++] = from[i];
    for (uint32_t i = 0; i < settings->n_env; ++i, change += strlen(change) + 1)
        if (strchr(change, '=') && is_last(settings, change, i)) made[n++] = change;
    return made;
}

/* Not by setenv(), the lock of which another thread may hold in what this is a copy of. The copy
 * of the settings, where the strings are, lasts as long as the process. */
static apr_status_t change_environment(const cohort_os_settings_t *settings) {
    char ***here = cohort__environment();
    cohort_os_settings_t *kept = malloc(settings->size);
    if (kept) memcpy(kept, settings, settings->size);
    const char **made =
        kept ? cohort__settings_environment(kept, (const char *const *)*here) : NULL;
    if (!made) {
        free(kept);
        return cohort__fail(APR_ENOMEM, "changing the environment");
    }
    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the environment has both */
    *here = (char **)(uintptr_t)made;
    return cohort__mark_renew();
}

apr_status_t cohort__settings_begin(const cohort_os_settings_t *settings) {
    apr_status_t status = settings->n_env ? change_environment(settings) : APR_SUCCESS;
    if (status != APR_SUCCESS) return status;
    int step = cohort__settings_take(settings, COHORT__TAKE_STEPS, false);
    return step < 0 ? APR_SUCCESS : cohort__settings_failed(settings, step, errno);
}
