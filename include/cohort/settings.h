/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/**
 * @file settings.h
 * Settings: what a child is made different in from the process that starts it. They are an option
 * of processes of every kind, functions and programs, under every start method.
 *
 * Where nothing is set a child is what docs/processes.md says: mostly the same as its starter. A
 * setting that the system does not have is APR_ENOTIMPL when the process is made; which system has
 * which is in that text, too. A setting that cannot be taken, since there is no such directory or
 * the process may not do that, fails the start, with the step and the thing in
 * cohort_last_error(): "chdir /no/such: No such file or directory".
 */
#ifndef COHORT_SETTINGS_H
#define COHORT_SETTINGS_H

#include <cohort/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A limit that is lifted, as far as the starter may. */
#define COHORT_UNLIMITED ((apr_uint64_t)-1)
/** A limit of 0, since 0 itself is "as the starter has it". */
#define COHORT_LIMIT_ZERO ((apr_uint64_t)-2)

/** Limits of a process, the soft and the hard one; 0 is as the starter has it. What it starts has
 * the same, each process by itself. */
typedef struct cohort_limits_t {
    /** bytes of memory of its own: what it has allocated or could write privately (Linux: what
     * RLIMIT_DATA counts, thread stacks included; Windows: committed memory, by a job). The arena
     * does not count. What goes beyond fails: malloc() gives NULL. Not on macOS. */
    apr_uint64_t memory;
    /** seconds of CPU time, after which the system ends it: on POSIX by SIGXCPU, which is told by
     * the exit code, and a second later by a kill if it goes on; where the starter's own hard limit
     * leaves no such second, by the kill alone. On Windows by a job. */
    apr_uint64_t cpu_time;
    apr_uint64_t files;       /**< open descriptors; not on Windows */
    apr_uint64_t processes;   /**< of its user (POSIX); of it and what it starts (Windows) */
    apr_uint64_t core;        /**< bytes of a core dump; not on Windows */
    apr_uint64_t reserved[4]; /**< all 0; else COHORT_EOPTION */
} cohort_limits_t;

/** CPUs that a process may use, by their numbers from 0. */
typedef struct cohort_cpu_set_t {
    const int *cpus; /**< their numbers */
    apr_size_t n;    /**< how many; not 0 */
} cohort_cpu_set_t;

/** Which CPUs each of several processes gets, the workers of a pool. */
typedef enum {
    COHORT_PIN_NONE, /**< those that all of them have */
    COHORT_PIN_EACH /**< one each, of those that its starter may use, one process after the other */
} cohort_pin_t;

/** The umask of these bits, for cohort_settings_t, where 0 is the starter's. */
#define COHORT_UMASK(bits) (((unsigned)(bits)&0777u) | 0x10000u)

/** What a child is to be; zero means as its starter. All of it is copied when the process is
 * made. It is taken in this order, before the child runs a function of the user's or is another
 * program: session, ignored signals, umask, nice, CPUs, limits, groups and user, directory. */
typedef struct cohort_settings_t {
    /** the working directory, entered as the user of the child; a relative one is meant from the
     * starter's. `cwd` of a program comes before it. */
    const char *cwd;
    /** changes of the environment, NULL-terminated: "NAME=value" sets, "NAME" removes. What `env`
     * of a program names is changed, too. */
    const char *const *env;
    /** a user by name or number, which becomes real, effective and saved; the child has that
     * user's main group and no other, unless the next two say so. Not on Windows. */
    const char *user;
    const char *group; /**< a group by name or number. Not on Windows. */
    /** supplementary groups by name or number, NULL-terminated; NULL: none when there is a `user`
     * or `group`, else the starter's. Not on Windows. */
    const char *const *groups;
    unsigned umask; /**< COHORT_UMASK(bits). Not on Windows. */
    /** added to the starter's: above 0 the child gives way to others. On Windows its priority
     * class: below normal from 1, idle from 10, above normal from -1, high from -10. */
    int nice;
    cohort_limits_t limits; /**< resources */
    /** CPUs that it may use, by their numbers from 0 (Linux, Windows up to 63) */
    const int *cpus;
    apr_size_t n_cpus; /**< 0: those of the starter */
    /** signals that it ignores, by the system's numbers, beside what the option `signals` says;
     * not on Windows */
    const int *ignored;
    apr_size_t n_ignored; /**< how many */
    /** not 0: it leads a session of its own, and so a process group, without a terminal (but with
     * the one that is made for it, COHORT_STREAM_TERMINAL). Streams that are a terminal go on, but
     * no Ctrl-C, Ctrl-Z or hang-up of that one reaches it or what it starts. It ends with its
     * parent as any other of its lifetime. The option `group` is COHORT_GROUP_OWN then in any
     * case; COHORT_GROUP_PARENT beside it is APR_EINVAL. A background process has one already. Not
     * on Windows. */
    int session;
    apr_uint64_t reserved[7]; /**< all 0; else COHORT_EOPTION */
} cohort_settings_t;

#ifdef __cplusplus
}
#endif

#endif
