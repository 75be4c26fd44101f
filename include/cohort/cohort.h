/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/**
 * @file cohort.h
 * Cohort: multiprocessing for C. Includes everything.
 *
 * @code
 * static int greet(void *args) {                        // runs in a process of its own
 *     return printf("hello, %s\n", (char *)args) < 0;
 * }
 * int main(int argc, char **argv) {
 *     cohort_process_t *process;
 *     cohort_initialize(NULL);            // first thing in main
 *     if (cohort_process_create(&process, greet, "world", 6, NULL, NULL)) return 1;
 *     if (cohort_process_start(process)) return 1;
 *     cohort_process_join(process, COHORT_FOREVER);
 *     return cohort_process_exit_code(process);
 * }
 * @endcode
 *
 * A *cohort* is the root process and all that is started through Cohort under it. They share one
 * arena at one address: every pointer to a Cohort object or to memory of cohort_alloc() is valid in
 * all of them. They trust each other: each can write the whole arena.
 *
 * Thread safety: cohort_initialize() and cohort_finalize() are for one thread of the process, while
 * no other one uses Cohort. The other functions of this header may be called by any thread at any
 * time. None may be called from a signal handler.
 */
#ifndef COHORT_H
#define COHORT_H

#include <cohort/barrier.h>
#include <cohort/completed.h>
#include <cohort/gift.h>
#include <cohort/pipe.h>
#include <cohort/pool.h>
#include <cohort/process.h>
#include <cohort/progress.h>
#include <cohort/queue.h>
#include <cohort/region.h>
#include <cohort/result.h>
#include <cohort/run.h>
#include <cohort/settings.h>
#include <cohort/shared.h>
#include <cohort/statistics.h>
#include <cohort/imap.h>
#include <cohort/supervise.h>
#include <cohort/sync.h>
#include <cohort/terminal.h>
#include <cohort/version.h>
#include <cohort/wait.h>
#include <cohort/waitset.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Options of the cohort; zero means default. */
typedef struct cohort_options_t {
    /** Bytes of address space for the arena; default: COHORT_ARENA_SIZE of the environment (a
     * number with K, M, G or T), else a few times the machine's memory. Memory itself is taken
     * only when used. At least 64 MiB. */
    apr_uint64_t arena_size;
    cohort_start_method_t method; /**< Default start method of this process' children. */
    /** What spawn and the fork server run instead of the own executable; it must hold the same
     * program, in the same build. Copied. NULL: the own executable. */
    const char *executable;
    /** Not 0: core dumps of the processes of this cohort hold what they use of the arena;
     * default: if COHORT_DUMP of the environment is 1. Else they hold nothing of it. A process
     * that has not waited in a call of Cohort for a while may lack what others have come to use
     * since. */
    int dump;
    apr_uint64_t reserved[8]; /**< all 0; else COHORT_EOPTION */
} cohort_options_t;

/**
 * Begin: the first call in main().
 *
 * In a process that Cohort started by re-executing the program it runs the target and never
 * returns; elsewhere it makes this process the root of a cohort. A process that finds a boot block
 * in its environment (COHORT_BOOT) which is not for it, or not to be trusted, ends here, with a
 * line on stderr: it would start itself again and again as a root. So main() neither forks nor
 * daemonizes before, nor runs a program of a cohort. A privileged program (set-user-id,
 * set-group-id, capabilities of its file) uses no variable of its environment, and starts processes
 * by fork only; see docs/security.md.
 *
 * It initialises APR. At exit() the root joins its foreground children, ends its daemons and leaves
 * nothing behind; so does cohort_finalize().
 *
 * @param options NULL for the defaults
 * @return
 *  - APR_SUCCESS: this process is the root of a cohort
 *  - COHORT_EOPTION: a reserved word of the options is not 0
 *  - COHORT_ETWICE: second call, or a second copy of the library in the program
 *  - APR_ENOMEM: the address space for options->arena_size is not to be had; without a chosen size
 *    smaller ones are tried
 *  - COHORT_EADDRESS: the arena could not be mapped at its address
 *  - APR_EINVAL: a size under 64 MiB, an unreadable COHORT_ARENA_SIZE or COHORT_DUMP, no such start
 *    method
 *  - COHORT_EPRIVILEGED: a start method other than fork in a privileged program
 *  - APR_ENOTIMPL: a start method that this system does not have
 *  - the system's or APR's reason why a part of it could not be set up
 *
 * Thread safety: call it once, while the process has a single thread.
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_initialize(const cohort_options_t *options);

/**
 * End the cohort's work in this process now instead of at exit(): foreground children are joined,
 * daemons ended.
 *
 * Later calls of Cohort in this process return COHORT_ENOTINIT, until it is initialised again, as a
 * new cohort. Idempotent.
 *
 * In a raw fork() copy of a member it joins and ends nothing: the copy lets go of what it has of
 * its original (the mapping of the arena, descriptors), and may call cohort_initialize() then to be
 * the root of a cohort of its own. That is what a program does that becomes a daemon of the system,
 * by daemon(3) or the like, after cohort_initialize(): docs/guide.md, "Daemons of the system".
 *
 * Thread safety: other threads must be done with Cohort.
 */
COHORT_API void cohort_finalize(void);

/**
 * The version of the library that runs.
 *
 * @return the COHORT_VERSION_STRING that it was compiled with, as "0.2.0": a constant string
 */
COHORT_API const char *cohort_version(void);

/**
 * Change the executable or the default start method of later starts in this process.
 *
 * It may be called any number of times and holds for this process alone: children of fork begin
 * with what their parent had, others with what their own cohort_initialize() was given (Python's
 * set_start_method() works once, and all children go by it).
 *
 * @param method     the default from now on; 0 (COHORT_START_DEFAULT) leaves it as it is
 * @param executable as cohort_options_t.executable, copied; NULL leaves it as it is. A path that
 *                   does not exist makes the next start fail.
 * @return
 *  - APR_SUCCESS
 *  - APR_EINVAL: no such start method
 *  - APR_ENOTIMPL: a start method that this system does not have
 *  - COHORT_EPRIVILEGED: a start method other than fork in a privileged program
 *  - APR_ENOMEM: no room for a copy of the path
 *  - COHORT_ENOTINIT: cohort_initialize() has not been called
 *
 * With any other status than APR_SUCCESS nothing has changed. The memory of each path stays, since
 * another thread may be starting a process from it.
 */
COHORT_API apr_status_t cohort_set_start_method(cohort_start_method_t method,
                                                const char *executable);

/**
 * The default start method of this process' children.
 *
 * @return what cohort_initialize() or cohort_set_start_method() was given, else the system's
 *         default; never COHORT_START_DEFAULT
 */
COHORT_API cohort_start_method_t cohort_start_method(void);

#ifdef __cplusplus
}
#endif

#endif
