/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/**
 * @file run.h
 * Commands: programs, and functions as processes, that are run to their end, with input, output and
 * a deadline.
 *
 * cohort_run() is one command and one call. A runner runs any number of them, so many at once, and
 * gives what became of each, as they end or in order; cohort_wait() takes a runner and each of its
 * runs. For a program that is to be talked to while it runs see cohort_process_create_program().
 *
 * @code
 * const char *const argv[] = {"sort", "-u", NULL};
 * cohort_command_t command = {.argv = argv, .input = text, .input_size = strlen(text),
 *                             .timeout = apr_time_from_sec(5)};
 * cohort_outcome_t outcome;
 * if (cohort_run(&outcome, &command, pool) == APR_SUCCESS && outcome.end == COHORT_RUN_SUCCEEDED)
 *     puts(outcome.output.data);
 * @endcode
 *
 * What holds for each command:
 *  - Whatever it prints in whatever order, and whether or not it reads its input, nothing waits for
 *    ever: input, output and errors go on at the same time. Input that it does not read is dropped.
 *  - It is a daemon (COHORT_LIFETIME_DAEMON) unless its options say otherwise: it ends with the
 *    process that runs it, however that ends, and Ctrl-C reaches it, unless its options say
 *    otherwise (cohort_group_t, cohort_signals_t).
 *  - At its deadline it is killed, and all that it has started (cohort_process_kill_tree(); where
 *    the system does not tell what that is, it alone and its process group).
 *  - When it has ended, what others (processes that it has started) still hold of its pipes is
 *    waited for no longer than `grace`.
 *
 * Thread safety: every function of this header may be called by any thread at the same time as any
 * other; none may be called from a signal handler. Runners, and what became of runs, belong to the
 * process that made the runner: others, copies by fork included, may only wait for them, and
 * destroy them when that process has died.
 *
 * The common statuses, which any function may return to which they can apply:
 *  - COHORT_ENOTINIT: this process has not called cohort_initialize()
 *  - COHORT_ENOTMEMBER: this process is a raw fork() copy
 *  - COHORT_EHANDLE: the pointer is not a runner, or not a run, or one that was destroyed
 *  - COHORT_ENOTOWNER: the runner was made by another process
 *  - COHORT_ELIMIT: the cohort has too many threads
 *  - APR_EINVAL: NULL where something is needed
 */
#ifndef COHORT_RUN_H
#define COHORT_RUN_H

#include <cohort/process.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Commands run by a thread of this process, so many at once. */
typedef struct cohort_runner_t cohort_runner_t;
/** One command that was given to a runner. */
typedef struct cohort_run_t cohort_run_t;

/** A program, or a function, to run to its end; zero means default. */
typedef struct cohort_command_t {
    /** NULL-terminated; argv[0] is the program, searched on PATH if it has no separator. NULL:
     * `target` is run */
    const char *const *argv;
    const char *const *env; /**< "NAME=value", NULL-terminated; NULL: the caller's */
    const char *cwd;        /**< NULL: the caller's */
    const void *input;      /**< bytes for its standard input; NULL: end of file at once */
    apr_size_t input_size;  /**< of these */
    /**
     * Where its streams go, or come from. COHORT_STREAM_INHERIT, which is 0, means here: `input`,
     * and that output and errors are collected, or given to `line`. COHORT_STREAM_PARENT: the
     * caller's. COHORT_STREAM_OUTPUT, of standard error: where the output goes, in the order in
     * which they were written. COHORT_STREAM_TERMINAL: one that it has for itself; what comes there
     * is collected as output if that is one of them, else as errors, with a carriage return before
     * each newline but in lines given to `line`; nothing is typed there, so with it for standard
     * input `input` is NULL. Not COHORT_STREAM_PIPE or COHORT_STREAM_LINES, nor a terminal for
     * standard input alone. Nothing is written to the struct.
     */
    cohort_stream_t streams[3];
    /** how many bytes of output are kept; 0: all, as long as there is memory. What comes behind
     * that is read, counted and dropped. */
    apr_size_t output_limit;
    apr_size_t error_limit; /**< the same of errors */
    /** gets the lines of what is collected instead, as they come; NULL: it is kept */
    cohort_line_t line;
    void *user; /**< of `line`, and of the outcome */
    /** microseconds that each attempt is given; 0: as many as it takes */
    apr_interval_time_t timeout;
    /** microseconds between the request to end (SIGTERM) that the command gets at its deadline, and
     * the kill; 0: it is killed at once */
    apr_interval_time_t stop;
    /** microseconds that pipes are read which others hold when the command has ended; 0: 250 ms */
    apr_interval_time_t grace;
    /** how often it is run at most, until it succeeds; 0: once. Each attempt begins with the whole
     * input and without output; lines that were given are given again. */
    apr_size_t attempts;
    /** microseconds before the second attempt, twice as many before the third, and so on */
    apr_interval_time_t pause;
    /** name, group, signals and the rest, where NULL is the defaults; a runner reads it until the
     * command has ended. COHORT_LIFETIME_DEFAULT is COHORT_LIFETIME_DAEMON here. */
    const cohort_process_options_t *process;
    /** when `argv` is NULL: an ordinary function of this executable or of a library, the process of
     * which is the command. Its environment and directory are in the settings of `process`; `env`
     * and `cwd` are NULL. A runner begins no other command while one of these starts. */
    cohort_target_t target;
    const void *args;         /**< of `target`: copied and given to it; may be NULL */
    apr_size_t args_size;     /**< of these, in bytes */
    apr_uint64_t reserved[8]; /**< all 0; else COHORT_EOPTION */
} cohort_command_t;

/** What ended a command, in its last attempt. */
typedef enum {
    COHORT_RUN_SUCCEEDED = 0, /**< it ended by itself, with exit code 0 */
    COHORT_RUN_FAILED,        /**< it ended by itself, or by a signal from elsewhere */
    COHORT_RUN_TIMED_OUT,     /**< its deadline came */
    COHORT_RUN_CANCELLED,     /**< cohort_run_cancel(), its `line`, or the end of the runner */
    COHORT_RUN_UNSTARTED      /**< it did not begin; `status` and `message` say why */
} cohort_run_end_t;

/** What was collected of a stream. */
typedef struct cohort_collected_t {
    char *data;        /**< with a zero behind it; never NULL */
    apr_size_t size;   /**< bytes at `data` */
    apr_uint64_t seen; /**< bytes that came, also those behind the limit */
} cohort_collected_t;

/** What became of a command. */
typedef struct cohort_outcome_t {
    cohort_run_end_t end; /**< what ended it */
    /** as cohort_process_exit_code(); COHORT_EXIT_NONE when it did not begin */
    int exit_code;
    cohort_collected_t output; /**< of its last attempt, unless its lines were given to `line` */
    cohort_collected_t error;  /**< the same of standard error */
    /** APR_SUCCESS; why it did not begin; or why not all that it wrote is here: APR_ENOMEM, or
     * APR_INCOMPLETE, when others held its pipes for longer than `grace` */
    apr_status_t status;
    const char *message;      /**< `status` in a sentence; NULL when it is APR_SUCCESS */
    apr_size_t attempts;      /**< how often it was run */
    apr_interval_time_t time; /**< microseconds of the last attempt */
    void *user;               /**< the command's */
    apr_uint64_t reserved[8]; /**< written 0 */
} cohort_outcome_t;

/**
 * Run a program to its end. As Python's subprocess.run().
 *
 * @param outcome receives what became of it, on success; what it points at lives in `pool`
 * @param command read during the call only
 * @param pool    not NULL
 * @return
 *  - APR_SUCCESS: it has begun and ended; `outcome->end` says how
 *  - COHORT_EOPTION: a reserved word is not 0
 *  - APR_EINVAL: no or an empty argv[0], both or none of a program and a function, input or args
 *    NULL with a size, a stream of no known kind or that is a pipe or for lines, a terminal with
 *    input or without output, a file that is NULL, `streams` in `process`; and as
 *    cohort_process_create_program() or cohort_process_create()
 *  - why it could not be started, as cohort_process_start(): ENOENT and so on, of the last attempt;
 *    cohort_last_error() names the step, as "chdir /no/such: No such file or directory"
 *  - the common statuses of run.h
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_run(cohort_outcome_t *outcome,
                                                    const cohort_command_t *command,
                                                    apr_pool_t *pool);

/** Options of a runner; zero means default. */
typedef struct cohort_runner_options_t {
    apr_size_t limit; /**< how many commands run at once; 0: cohort_cpu_count() */
    /** not 0: cohort_runner_next() gives the runs in the order in which they were submitted; else
     * as they end */
    int ordered;
    apr_uint64_t reserved[8]; /**< all 0; else COHORT_EOPTION */
} cohort_runner_options_t;

/**
 * Make a runner, with a thread of its own that starts the commands, reads their pipes and sees
 * their ends. As Python's asyncio.create_subprocess_exec() with a semaphore.
 *
 * @param runner  receives it
 * @param options NULL for the defaults
 * @param pool    it is destroyed with it; NULL: it lives until cohort_runner_destroy()
 * @return
 *  - APR_SUCCESS
 *  - COHORT_EOPTION: a reserved word of the options is not 0
 *  - APR_ENOMEM: no memory, in the arena or elsewhere
 *  - the system's reason why there is no thread or no descriptor
 *  - the common statuses of run.h
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_runner_create(
    cohort_runner_t **runner, const cohort_runner_options_t *options, apr_pool_t *pool);

/**
 * Have a command run as soon as fewer than `limit` others of this runner run. Waits for nothing.
 *
 * @param run     receives it, if not NULL; it lives until it, or the runner, is destroyed
 * @param runner  of this process
 * @param command copied, with its arguments, environment, directory, input and args, but for
 *                `process`,
 *                `user` and files, which must stay until the run has ended
 * @return
 *  - APR_SUCCESS: it will run, and an outcome comes of it in any case
 *  - COHORT_EOPTION, APR_EINVAL: as cohort_run()
 *  - APR_ENOMEM: no memory, in the arena or elsewhere
 *  - the common statuses of run.h
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_runner_submit(cohort_run_t **run,
                                                              cohort_runner_t *runner,
                                                              const cohort_command_t *command);

/**
 * The next run that has ended and was not given by this function before: as they end, or in order.
 *
 * @param runner  of this process
 * @param run     receives it; cohort_run_outcome() says what became of it
 * @param timeout microseconds (see types.h)
 * @return
 *  - APR_SUCCESS: it is another one for each call
 *  - APR_EOF: all that were submitted so far were given, or destroyed
 *  - APR_EAGAIN: none has ended, and `timeout` <= 0
 *  - APR_TIMEUP: none has ended within the time
 *  - the common statuses of run.h
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_runner_next(cohort_runner_t *runner,
                                                            cohort_run_t **run,
                                                            apr_interval_time_t timeout);

/**
 * Destroy a runner and its runs. What still runs is killed, with all that it has started, what has
 * not begun does not begin, and no `line` is called from the return on.
 *
 * @param runner of this process, or of one that has died; NULL and a destroyed one are fine
 * @return APR_SUCCESS, or one of the common statuses of run.h
 */
COHORT_API apr_status_t cohort_runner_destroy(cohort_runner_t *runner);

/**
 * Wait until a command has ended, however that came.
 *
 * @param run     any process may wait for it; when the process that runs it dies, it has ended
 * @param timeout microseconds (see types.h)
 * @return
 *  - APR_SUCCESS: it has ended
 *  - APR_EAGAIN: it has not, and `timeout` <= 0
 *  - APR_TIMEUP: it has not, within the time
 *  - the common statuses of run.h
 */
COHORT_API apr_status_t cohort_run_wait(cohort_run_t *run, apr_interval_time_t timeout);

/**
 * What became of a command.
 *
 * @param run of a runner of this process
 * @return valid until the run or its runner is destroyed; NULL while it has not ended, and for what
 *         is no run of this process
 */
COHORT_API const cohort_outcome_t *cohort_run_outcome(const cohort_run_t *run);

/**
 * Kill a command, with all that it has started, or see to it that it does not begin. Its outcome
 * comes soon after: this does not wait.
 *
 * @param run of a runner of this process; one that has ended stays as it is
 * @return APR_SUCCESS, or one of the common statuses of run.h
 */
COHORT_API apr_status_t cohort_run_cancel(cohort_run_t *run);

/**
 * Destroy a run and what became of it. One that has not ended is cancelled first, and its end
 * waited for; cohort_runner_next() does not give it any more.
 *
 * @param run of a runner of this process, or of one that has died; NULL and a destroyed one are
 *            fine
 * @return APR_SUCCESS, or one of the common statuses of run.h
 */
COHORT_API apr_status_t cohort_run_destroy(cohort_run_t *run);

#ifdef __cplusplus
}
#endif

#endif
