/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/**
 * @file supervise.h
 * Supervised processes: started again when they end, by the option `restart` of a process; and many
 * processes stopped in one time.
 *
 * @code
 * cohort_restart_t policy = {.when = COHORT_RESTART_ON_FAILURE, .limit = 3};
 * cohort_process_options_t options = {.name = "web", .restart = &policy};
 * cohort_process_launch(&web, serve, &port, sizeof port, &options, pool);
 * @endcode
 *
 * A process with this option is a *service*: its handle names it over all of its *runs*, each of
 * which is a process of the system with a pid of its own. The process that has started it, its
 * *supervisor*, starts the next run from the thread in which it sees the ends of its children, by
 * the same start method and with the same function, argument, ends of pipes, gifts and settings; of
 * a program with the same arguments, environment and directory. Standard streams go to the same
 * file or log; no pipe or terminal can be one (APR_EINVAL), since each run would have another. A
 * file that is a stream, and what the option `files` names, stays open in the supervisor as long as
 * the service lives: when it has been closed, the start of a run fails with APR_EBADF. Of an
 * apr_file_t only the handle is kept, when the service is started. Functions, objects and programs
 * can be services, daemons and background processes too.
 *
 * The runs of a function or object have the environment, working directory, umask and dispositions
 * of signals that the supervisor had when it started the service, as the workers of a pool have
 * those of its maker, and what else a child inherits as that is when they start. A program, and on
 * Windows a function too, has all of this as it is then, but for `env` and `cwd` where they are
 * set. So while a service of a program without `env` lives, no thread of the supervisor may change
 * the environment (on Windows any may).
 *
 * To all calls on its handle a service runs until it has ended for good: cohort_process_is_alive()
 * is 1 between two runs, too, cohort_process_join() and cohort_wait() wait for that end, and
 * cohort_process_exit_code() is the exit code of the last run then. cohort_process_pid() is that of
 * the present run, and 0 between two. The calls that signal, cohort_process_kill() and _kill_tree()
 * among them, reach the present run alone: what comes after it is for the policy to say.
 * cohort_process_stop(), _stop_tree() and cohort_processes_stop() end the service for good.
 *
 * A service ends for good when its policy asks for no more runs, or allows none, or when it is
 * stopped. When its supervisor ends in order, no more runs are started from the beginning of that
 * end on, and the present one is treated as any child of its lifetime. When the supervisor is
 * killed, the present run ends, or goes on, as any child of its lifetime does, and the record of
 * the service goes with the supervisor: calls that wait for its end return APR_SUCCESS or
 * COHORT_EHANDLE, and all later ones COHORT_EHANDLE.
 *
 * cohort_processes() lists a service as COHORT_PROCESS_SERVICE, and its present run by itself;
 * cohort_process_active_children() lists services and not their runs.
 *
 * Thread safety: every function of this header may be called by any thread of any process of the
 * cohort at the same time as any other; none may be called from a signal handler.
 *
 * The common statuses are those of process.h.
 */
#ifndef COHORT_SUPERVISE_H
#define COHORT_SUPERVISE_H

#include <cohort/errors.h>

#ifdef __cplusplus
extern "C" {
#endif

/** No delay before a process is started again; 0 is the default one. */
#define COHORT_RESTART_AT_ONCE ((apr_interval_time_t)-1)
/** Any number of restarts. */
#define COHORT_RESTART_UNLIMITED ((unsigned)-1)

/** After which ends of a process it is started again. */
typedef enum {
    COHORT_RESTART_NEVER = 0,  /**< after none: it is an ordinary process */
    COHORT_RESTART_ON_FAILURE, /**< when its exit code was not 0, so also when a signal ended it */
    COHORT_RESTART_ALWAYS      /**< after any */
} cohort_restart_when_t;

/** A restart policy; zero means default. It is copied when the process is made. */
typedef struct cohort_restart_t {
    cohort_restart_when_t when; /**< after which ends */
    /** So many restarts within `period` are allowed: when one more would be due, the service is
     * given up. A start that fails counts as a run that failed at once. 0: 5;
     * COHORT_RESTART_UNLIMITED; at most 10000 else. */
    unsigned limit;
    /** Microseconds: 0 is a minute. After a run that lasted so long the delay is the first one
     * again. */
    apr_interval_time_t period;
    /** Microseconds from the end of a run to the next start. It doubles from restart to restart. 0
     * is a tenth of a second; COHORT_RESTART_AT_ONCE. After a start that failed it is 10 ms at
     * least, and that doubles up to a second until a start succeeds. */
    apr_interval_time_t delay;
    /** What the delay grows to at most; 0: 30 seconds, or `delay` if that is longer. */
    apr_interval_time_t delay_max;
    apr_uint64_t reserved[4]; /**< all 0; else COHORT_EOPTION */
} cohort_restart_t;

/** Why no more runs of a service come. */
typedef enum {
    COHORT_SERVICE_GOES_ON = 0, /**< they do come; or it was not started */
    COHORT_SERVICE_DONE,        /**< its policy asks for none after the end that it came to */
    COHORT_SERVICE_GIVEN_UP,    /**< too many restarts within the period */
    COHORT_SERVICE_STOPPED,     /**< it was stopped, or its supervisor ends */
    /** its supervisor was killed; seen only by a call that is made while that is recorded, since
     * the record of the service goes with it */
    COHORT_SERVICE_ORPHANED
} cohort_service_end_t;

/** What is to be known of a service. */
typedef struct cohort_service_info_t {
    cohort_service_end_t end;  /**< why it has ended, or will when its present run does */
    int exit_code;             /**< of the last run that has ended; COHORT_EXIT_NONE: none has */
    apr_status_t start_status; /**< why the last start failed; APR_SUCCESS: it did not */
    apr_uint64_t restarts;     /**< runs that were started, but for the first one */
    apr_int64_t pid;           /**< of the present run; 0: there is none */
    apr_interval_time_t wait;  /**< between two runs: microseconds until the next; else 0 */
    /** all of this in a sentence, as "web: given up after 5 restarts in 60 s, the last run was
     * ended by signal 11" */
    char text[256];
    apr_uint64_t reserved[4]; /**< written as 0 */
} cohort_service_info_t;

/**
 * How a service is, and why it has ended.
 *
 * @param process a service: a process with the option `restart`
 * @param info    receives it
 * @return
 *  - APR_SUCCESS
 *  - APR_EINVAL: a parameter is NULL, or the process is no service
 *  - the common statuses of process.h
 */
COHORT_API apr_status_t cohort_process_service(cohort_process_t *process,
                                               cohort_service_info_t *info);

/**
 * Start the next run of a service now: to reload it. The present run, if there is one, is asked to
 * end, and killed when it has not within the grace; then the next one is started without a delay,
 * whatever the policy says. It does not count towards the limit.
 *
 * @param process a service; by its supervisor alone
 * @param grace   how long to wait before the kill, in microseconds
 * @return
 *  - APR_SUCCESS: the next run has begun
 *  - APR_EINVAL: NULL, or no service
 *  - COHORT_ENOTOWNER: started by another process
 *  - COHORT_ENOTSTARTED: it was never started
 *  - COHORT_ECLOSED: it has ended for good, or is being stopped
 *  - why the start of the next run has failed, as cohort_process_start(); the policy goes on from
 *    there
 *  - the system's reason for which the present run cannot be asked (EPERM): then it goes on as if
 *    this had not been called
 *  - the common statuses of process.h
 */
COHORT_API apr_status_t cohort_process_restart(cohort_process_t *process,
                                               apr_interval_time_t grace);

/**
 * Stop many processes in one time: all are asked to end, as cohort_process_stop() asks, then all
 * are waited for until the grace is over, then what still runs is killed. Returns when all have
 * ended. Services among them end for good; what has ended already is left alone.
 *
 * @param processes any but the calling one; may be NULL when `n` is 0
 * @param n         how many
 * @param grace     how long to wait before the kill, in microseconds, for all of them together
 * @return
 *  - APR_SUCCESS: all have ended
 *  - APR_EINVAL, COHORT_EHANDLE, COHORT_ENOWAIT: one is NULL, no process, or the caller itself;
 *    none was asked
 *  - COHORT_ENOTSTARTED, the system's reason (EPERM): the first that could not be stopped; all
 *    others have ended
 *  - APR_ENOMEM: there is no memory to note them; none was asked
 *  - the common statuses of process.h
 */
COHORT_API apr_status_t cohort_processes_stop(cohort_process_t *const *processes, apr_size_t n,
                                              apr_interval_time_t grace);

#ifdef __cplusplus
}
#endif

#endif
