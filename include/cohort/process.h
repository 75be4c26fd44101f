/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/**
 * @file process.h
 * Processes: create, name, start, join, stop, specialise.
 *
 * A cohort_process_t is valid in every process of the cohort: any of them may join, name, query or
 * stop any other.
 *
 * When a process has ended: it has ended at one moment for all callers, when its exit code is
 * recorded and all that its death left half done is repaired. Until then cohort_process_is_alive()
 * is 1, cohort_process_exit_code() COHORT_EXIT_NONE, a join that does not wait APR_EAGAIN,
 * cohort_wait() does not find it ready, cohort_process_active_children() lists it and
 * cohort_process_destroy() is COHORT_ERUNNING, although the system may know of its death already.
 * All of these but exit_code and destroy notice the death themselves and repair what is to be
 * repaired, so a loop that asks one of them sees the end. The exit code comes from the process that
 * started it (or its fork server); where that one is dead, it is the code that the process stored
 * itself, or COHORT_EXIT_UNKNOWN, and where that one does not come to it for a second (it may be
 * stopped), the code that the process stored itself.
 *
 * Thread safety: every function of this header may be called by any thread of any process of the
 * cohort at the same time as any other; none may be called from a signal handler.
 *
 * The common statuses, which any function may return to which they can apply:
 *  - COHORT_ENOTINIT: this process has not called cohort_initialize()
 *  - COHORT_ENOTMEMBER: this process is a raw fork() copy
 *  - COHORT_EHANDLE: the pointer is not a process, or one that was destroyed
 *  - COHORT_ELIMIT: the cohort has too many threads
 *  - APR_EINVAL: NULL where something is needed
 */
#ifndef COHORT_PROCESS_H
#define COHORT_PROCESS_H

#include <cohort/errors.h>
#include <cohort/gift.h>
#include <cohort/settings.h>
#include <cohort/supervise.h>

#include <apr_file_io.h>

#ifdef __cplusplus
extern "C" {
#endif

/** How a child comes to be. As Python's start methods. */
typedef enum {
    COHORT_START_DEFAULT = 0, /**< what cohort_initialize() was given, else the system's default */
    /** a copy of the calling thread and all memory (POSIX; APR_ENOTIMPL elsewhere) */
    COHORT_START_FORK,
    /** a fresh process: the executable again; the default where there is no forkserver */
    COHORT_START_SPAWN,
    /** a fresh process, forked from a small server (POSIX; the default on Linux) */
    COHORT_START_FORKSERVER
} cohort_start_method_t;

/** What happens to a process when its parent ends. */
typedef enum {
    /** daemon if the creator is one, else foreground (Python: the flag is inherited) */
    COHORT_LIFETIME_DEFAULT = 0,
    /** the parent joins it when it exits normally (Python's non-daemon) */
    COHORT_LIFETIME_FOREGROUND,
    /** ends with its parent, however that ends. What it has started by whatever means ends with
     * it, but for background processes: on Windows all of it (a job), on POSIX what has stayed
     * in its process group (see cohort_group_t), unless cohort_containment_t says otherwise. */
    COHORT_LIFETIME_DAEMON,
    /** own session, no terminal, survives its parent, and has none of its streams: standard
     * input, output and error are the null device, except for those that are given (the option
     * `streams`; cohort_program_t), as to a log file (COHORT_STREAM_LOG) */
    COHORT_LIFETIME_BACKGROUND
} cohort_lifetime_t;

/**
 * The process group of a new process (POSIX), and so which processes get what a terminal sends
 * (Ctrl-C, Ctrl-Z, a hang-up), and what ends with a daemon. A process that leads a group cannot
 * call setsid(): the option `settings` has a session for it. Background processes are sessions of
 * their own whatever is said here. On Windows COHORT_GROUP_OWN is a process group of the console
 * (no Ctrl-C), and what ends with a daemon does not depend on it.
 */
typedef enum {
    /** COHORT_GROUP_OWN for daemons and workers of pools if they have no terminal, else
     * COHORT_GROUP_PARENT */
    COHORT_GROUP_DEFAULT = 0,
    /** the parent's: it may read from the terminal when that may. Of a daemon in it nothing else
     * ends with the daemon */
    COHORT_GROUP_PARENT,
    COHORT_GROUP_OWN /**< its own. Reading from a terminal would stop it (SIGTTIN) */
} cohort_group_t;

/**
 * How much of what a process has started, by whatever means, ends with it, however it ends: killed
 * before any process learns of its end. Background processes of Cohort's, and what they start, are
 * spared. What is promised on which system is in docs/processes.md, "What ends with a process".
 */
typedef enum {
    /** COHORT_CONTAIN_GROUP for daemons and workers of pools, else COHORT_CONTAIN_NONE */
    COHORT_CONTAIN_DEFAULT = 0,
    /** nothing: also of a daemon that leads a process group, or is in a job, what it has started
     * goes on when it, or its parent, has ended */
    COHORT_CONTAIN_NONE,
    /** what has stayed in its process group, if it leads one (cohort_group_t); on Windows all of it
     * (a job) */
    COHORT_CONTAIN_GROUP,
    /** all of it: the group, and also what has left the group or the session (setsid, a shell's
     * job control), and what has lost its parent (a double fork). On Linux it is found by a mark, a
     * variable of the environment (COHORT_TREE), which what it starts inherits, in a search of
     * /proc at its end. Not found is what has left the group, has lost its parent, and has lost the
     * mark too: its environment replaced, or not to be read, and another program executed. On
     * Windows as COHORT_CONTAIN_GROUP. APR_ENOTIMPL on other systems, and without /proc. */
    COHORT_CONTAIN_TREE
} cohort_containment_t;

/**
 * What signals do in a new process, whatever its start method, and in a program. No child has a
 * handler of its parent's and none begins with a signal blocked, but under COHORT_START_FORK, where
 * both are copied; what the parent ignores when it starts the child stays ignored, as exec() has
 * it. On Windows, where there is no more to hand on, this is about Ctrl-C alone. docs/processes.md
 * has the whole table.
 */
typedef enum {
    /** COHORT_SIGNALS_NORMAL; for workers of a pool COHORT_SIGNALS_NO_INTERRUPT */
    COHORT_SIGNALS_DEFAULT = 0,
    /** SIGTERM and SIGCHLD do what is their default, and SIGTERM is not blocked, also where the
     * parent ignores, blocks or catches them: cohort_process_terminate() ends what does not ask
     * for anything else */
    COHORT_SIGNALS_NORMAL,
    /** the same, and SIGINT (Ctrl-C) is ignored; but not by what this child starts, unless that
     * asks for it too */
    COHORT_SIGNALS_NO_INTERRUPT,
    /** as fork() and exec() have it: what the parent ignores, and what the starting thread has
     * blocked, SIGTERM and SIGCHLD included */
    COHORT_SIGNALS_INHERIT,
    /** all signals do what is their default and none is blocked, under COHORT_START_FORK too */
    COHORT_SIGNALS_RESET
} cohort_signals_t;

/**
 * The function that a process runs.
 *
 * @param args the child's own copy of the argument bytes, aligned for any type; NULL when there are
 *             none
 * @return its exit code, 0 to 255 (what does not fit is cut to 8 bits, as by exit())
 */
typedef int (*cohort_target_t)(void *args);

/**
 * A whole line of standard output, or of standard error; also what is behind the last newline, and
 * the first COHORT_LINE_MAX bytes of a longer one, and so on.
 *
 * Of a process (COHORT_STREAM_LINES) it is called by one thread, the same for all processes that
 * the calling process has started so: never twice at the same time, in the order of the lines of a
 * stream, and also before start has returned. While it is called no other stream is read, and a
 * child that has filled its pipe waits. It may call any function but exit(), cohort_exit() and
 * cohort_finalize(), of the same process, too: destroy it (the lines go on until their end), kill
 * it, and join it once all its streams are at their ends; before that the child may wait for its
 * pipe to be read, and a join without a time for ever.
 *
 * Of a command (run.h) it is called in the thread that calls cohort_run(), else in the runner's,
 * which does nothing else meanwhile.
 *
 * @param user   as it was given with the function
 * @param stream 1: of standard output, 2: of standard error
 * @param line   without the newline, or carriage return and newline, with a zero behind it; valid
 *               until the return. NULL, of a process only: the stream is at its end, which is the
 *               last call for it
 * @param length its bytes, which may be zeros
 * @return 0: go on; else a command is killed, as by cohort_run_cancel(), and of a process what
 *         comes of this stream from here on is read and dropped, but for the end
 */
typedef int (*cohort_line_t)(void *user, int stream, const char *line, apr_size_t length);

/** The longest piece of a line that a cohort_line_t is given, in bytes. */
#define COHORT_LINE_MAX 65536

/** The function that gets the lines of a stream. */
typedef struct cohort_lines_t {
    cohort_line_t line;       /**< not NULL */
    void *user;               /**< for it */
    apr_uint64_t reserved[4]; /**< all 0; else COHORT_EOPTION */
} cohort_lines_t;

/** Where a standard stream of a process goes, or comes from. */
typedef enum {
    COHORT_STREAM_INHERIT = 0, /**< the parent's; in the background none, the null device */
    COHORT_STREAM_NULL,        /**< nowhere, or end of file */
    COHORT_STREAM_FILE,        /**< the open file in `file`; stays the caller's */
    /** a new pipe; `file` receives the parent's end from start, in the process' pool.
     * apr_file_pipe_timeout_set() makes its reads and writes wait for so long at most, on every
     * system. */
    COHORT_STREAM_PIPE,
    COHORT_STREAM_PARENT, /**< the parent's; COHORT_STREAM_INHERIT by another name */
    COHORT_STREAM_OUTPUT, /**< of standard error alone: where standard output goes */
    /** not of standard input: the end of the file `path`, which start makes if it is not there.
     * Several processes may write to one log. (On Windows those that were started with it at the
     * same place in the file overwrite one another's lines.) */
    COHORT_STREAM_LOG,
    /**
     * A new pseudo-terminal, the same for all streams of the process that are of this kind:
     * the process leads a session of its own and has it as its controlling terminal, so that what
     * the parent writes to it is typed there (the byte 3, Ctrl-C, is SIGINT to its foreground
     * group). `file` receives the parent's side from start, in the process' pool: one file, for
     * reading and writing, of all these streams; read it by cohort_terminal_read() (terminal.h).
     * When it is closed the terminal is hung up: SIGHUP. The modes are the system's: lines are
     * edited and echoed, and end in carriage return and newline. APR_ENOTIMPL at start on Windows.
     */
    COHORT_STREAM_TERMINAL,
    /**
     * Not of standard input: each line is given to the function in `lines` (cohort_line_t), by a
     * thread of the process that starts it. The stream is at its end when all have closed it that
     * hold it, processes which the child has started included, whether or not the child has ended
     * or its handle is destroyed; and when the starting process leaves the cohort or exits, which
     * waits until what had come by then was given. From then on, as when that process dies, those
     * that hold it write to a pipe that nobody reads. Copies of the process by fork have neither
     * the thread nor the pipe.
     */
    COHORT_STREAM_LINES
} cohort_stream_kind_t;

/** A standard stream of a process. */
typedef struct cohort_stream_t {
    cohort_stream_kind_t kind;   /**< where it goes */
    apr_file_t *file;            /**< FILE: in; PIPE, TERMINAL: out, valid after start succeeded */
    const char *path;            /**< LOG: of the file, from the caller's working directory */
    apr_uint16_t columns;        /**< TERMINAL, the first of them: its width; 0: 80 */
    apr_uint16_t rows;           /**< and its height; 0: 24 */
    const cohort_lines_t *lines; /**< LINES: the function that gets them; read at start */
    apr_uint64_t reserved[1];    /**< all 0; else COHORT_EOPTION */
} cohort_stream_t;

/** Options of a process; zero means default. */
typedef struct cohort_process_options_t {
    /** copied, cut to COHORT_NAME_MAX bytes; default "Process-N", in a child "Process-1:N", of a
     * program the last part of its path */
    const char *name;
    cohort_lifetime_t lifetime;   /**< what happens to it when its parent ends */
    cohort_start_method_t method; /**< default: the cohort's */
    /** pipe ends that the child gets: it holds them before start returns */
    cohort_connection_t *const *connections;
    apr_size_t n_connections; /**< how many ends */
    cohort_signals_t signals; /**< what signals do in it */
    /** descriptors of the caller, from 3 on, that the child has under the same numbers, whether
     * they close on exec or not; read when the process is made, and open when it is started. Of
     * all others it has none, but under COHORT_START_FORK, where all are copied. Not on Windows
     * (APR_ENOTIMPL). What a program gets as its standard streams is in cohort_program_t. */
    const int *files;
    apr_size_t n_files;   /**< at most 253 */
    cohort_group_t group; /**< its process group */
    /** what ends with it. With COHORT_CONTAIN_GROUP and _TREE, a process that is no daemon has the
     * process group that a daemon has by default; COHORT_GROUP_PARENT with the former is
     * APR_EINVAL */
    cohort_containment_t containment;
    /** what else the child, a function or a program, has open, and takes there by name or index
     * (gift.h), on every system; open when the process is made (else APR_EBADF), and the same
     * when it is started */
    const cohort_gift_t *gifts;
    apr_size_t n_gifts; /**< with `n_files` at most 253 */
    /** what the child is made different in: directory, environment, user, limits, ...; copied when
     * the process is made. NULL: nothing */
    const cohort_settings_t *settings;
    /** of a function's process: three, its standard input, output and error, read and written as
     * those of a program (cohort_program_t), and valid until it was started. NULL: it has its
     * parent's, in the background the null device. Not for programs (APR_EINVAL). */
    cohort_stream_t *streams;
    /** when it is started again (supervise.h): it is a service then. Copied when the process is
     * made. NULL: never */
    const cohort_restart_t *restart;
    apr_uint64_t reserved[7]; /**< all 0; else COHORT_EOPTION */
} cohort_process_options_t;

/** The base of a process type; see the struct of this name. */
typedef struct cohort_process_base_t cohort_process_base_t;
/**
 * The base of a process type: embed it as the first member of a struct of yours, set `size` and
 * `run`, and give the struct to cohort_process_create_object(). The child gets a copy of the whole
 * struct, under every start method; pointers into the arena stay valid in it, others do not.
 * (Python: a subclass of Process.)
 */
struct cohort_process_base_t {
    apr_size_t size; /**< of the whole struct, in bytes */
    /** in the child; returns the exit code */
    int (*run)(cohort_process_base_t *self);
    /** in the child, before run; may be NULL */
    void (*on_start)(cohort_process_base_t *self);
    /** in the child, after run or cohort_exit(); may be NULL */
    void (*on_exit)(cohort_process_base_t *self, int code);
    apr_uint64_t reserved[8]; /**< all 0; else COHORT_EOPTION */
};

/** Another program to run as a process. The struct must stay valid until start; everything in it is
 * read then. */
typedef struct cohort_program_t {
    /** NULL-terminated; argv[0] is the program, searched on PATH if it has no separator */
    const char *const *argv;
    const char *const *env;     /**< "NAME=value", NULL-terminated; NULL: the caller's */
    const char *cwd;            /**< NULL: the caller's */
    cohort_stream_t streams[3]; /**< standard input, output, error */
    apr_uint64_t reserved[8];   /**< all 0; else COHORT_EOPTION */
} cohort_program_t;

/**
 * Make a process; nothing runs before cohort_process_start(). As Python's Process(target, args,
 * name, daemon).
 *
 * @param process   receives it
 * @param target    an ordinary function of this executable or of a library
 * @param args      copied now and given to the child; may be NULL if args_size is 0
 * @param args_size bytes
 * @param options   NULL for the defaults
 * @param pool      the process is destroyed with it, unless it still runs then (it goes on, and its
 *                  record goes away at its end); NULL: it lives until cohort_process_destroy(), and
 *                  no stream is a pipe or terminal, since the parent's end of it lives in the pool
 * @return
 *  - APR_SUCCESS
 *  - COHORT_EOPTION: a reserved word of the options, or of a stream in them, is not 0
 *  - APR_EINVAL: no target, args NULL with a size, unknown enumerators, files that cannot be meant,
 *    streams as in cohort_process_create_program()
 *  - APR_ENOMEM: the arena is full
 *  - COHORT_ELIMIT: too many processes, created and not destroyed, or functions of too many modules
 *  - COHORT_ETARGET: the target is not in any module
 *  - APR_ENOTIMPL: this system does not have the start method, `files` or the containment
 *  - COHORT_EPRIVILEGED: a start method other than fork in a privileged program
 *  - COHORT_EHANDLE, COHORT_ECLOSED: one of the connections is none, or closed
 *  - the common statuses of process.h
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_process_create(
    cohort_process_t **process, cohort_target_t target, const void *args, apr_size_t args_size,
    const cohort_process_options_t *options, apr_pool_t *pool);

/**
 * Make a process of a type of yours. Otherwise as cohort_process_create().
 *
 * @param process receives it
 * @param self    the base in a struct of yours; the struct, self->size bytes, is copied now
 * @param options NULL for the defaults
 * @param pool    as cohort_process_create()
 * @return as cohort_process_create(); APR_EINVAL also when self->size is smaller than the base or
 *         self->run is NULL; COHORT_ETARGET also for self->on_start and self->on_exit;
 *         COHORT_EOPTION also for the reserved words of the base
 */
COHORT_NODISCARD COHORT_API apr_status_t
cohort_process_create_object(cohort_process_t **process, const cohort_process_base_t *self,
                             const cohort_process_options_t *options, apr_pool_t *pool);

/**
 * Make a process that will run another program. Its start method plays no part. Otherwise as
 * cohort_process_create().
 *
 * @param process receives it
 * @param program must stay valid until the process was started; start writes the parents' ends of
 *                pipes into it
 * @param options NULL for the defaults
 * @param pool    as cohort_process_create()
 * @return
 *  - APR_SUCCESS
 *  - COHORT_EOPTION: a reserved word of the program, of a stream or of the options is not 0
 *  - APR_EINVAL: no or an empty argv[0], a stream of no known kind, or of one that it cannot be, a
 *    file, path, `lines` or its function that is NULL, a pipe or terminal without a pool,
 *    `streams` in the options, unknown enumerators, files that cannot be meant
 *  - APR_ENOMEM: the arena is full
 *  - COHORT_ELIMIT: too many processes, created and not destroyed
 *  - APR_ENOTIMPL: this system does not have `files` or the containment
 *  - COHORT_EHANDLE, COHORT_ECLOSED: one of the connections is none, or closed
 *  - the common statuses of process.h
 */
COHORT_NODISCARD COHORT_API apr_status_t
cohort_process_create_program(cohort_process_t **process, cohort_program_t *program,
                              const cohort_process_options_t *options, apr_pool_t *pool);

/**
 * Make a process from a function and start it: cohort_process_create(), then
 * cohort_process_start(). When it does not start, nothing is left of it but some bytes of `pool`.
 *
 * @param process   receives it, only on success
 * @param target    as cohort_process_create()
 * @param args      as cohort_process_create()
 * @param args_size as cohort_process_create()
 * @param options   NULL for the defaults
 * @param pool      as cohort_process_create()
 * @return as cohort_process_create() and cohort_process_start()
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_process_launch(
    cohort_process_t **process, cohort_target_t target, const void *args, apr_size_t args_size,
    const cohort_process_options_t *options, apr_pool_t *pool);

/**
 * Make a process from a "subclass" and start it: cohort_process_create_object(), then
 * cohort_process_start(). When it does not start, nothing is left of it but some bytes of `pool`.
 *
 * @param process receives it, only on success
 * @param self    as cohort_process_create_object()
 * @param options NULL for the defaults
 * @param pool    as cohort_process_create_object()
 * @return as cohort_process_create_object() and cohort_process_start()
 */
COHORT_NODISCARD COHORT_API apr_status_t
cohort_process_launch_object(cohort_process_t **process, const cohort_process_base_t *self,
                             const cohort_process_options_t *options, apr_pool_t *pool);

/**
 * Run another program: cohort_process_create_program(), then cohort_process_start(). When it does
 * not start, nothing is left of it but some bytes of `pool`. The program's description may go when
 * this returns.
 *
 * @param process receives it, only on success
 * @param program as cohort_process_create_program(); receives the parent's ends of pipes
 * @param options NULL for the defaults
 * @param pool    as cohort_process_create_program()
 * @return as cohort_process_create_program() and cohort_process_start()
 */
COHORT_NODISCARD COHORT_API apr_status_t
cohort_process_launch_program(cohort_process_t **process, cohort_program_t *program,
                              const cohort_process_options_t *options, apr_pool_t *pool);

/**
 * Start it. When this returns, the child exists, has found its target and is about to run it (or is
 * the program). Only the process that made it can start it.
 *
 * @param process the process; after a failure it may be started again
 * @return
 *  - APR_SUCCESS
 *  - COHORT_EOPTION: a reserved word of the program, or of a stream, is not 0 any more
 *  - APR_ENOTIMPL: a stream is a terminal, and this system has none to give
 *  - COHORT_ESTARTED: started before
 *  - COHORT_ENOTOWNER: made by another process
 *  - a reason why there is no child: COHORT_ETARGET, COHORT_EBINARY, COHORT_EADDRESS,
 *    COHORT_EVERSION, COHORT_ESTART, COHORT_EPRIVILEGED, COHORT_EUNTRUSTED (errors.h says what they
 *    mean), APR_ENOMEM, the system's reasons (EAGAIN: too many processes; EBADF: one of `files`, or
 *    the file of a stream, is not open; why a log cannot be opened), and for programs
 *    errno's meaning of exec (APR_STATUS_IS_ENOENT: no such program or directory; EACCES ...)
 *  - the common statuses of process.h
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_process_start(cohort_process_t *process);

/**
 * Wait until it has ended, and all that its death left half done is repaired. On POSIX the system
 * may still list a child as a zombie for a moment then.
 *
 * @param process any process but the calling one
 * @param timeout microseconds (see types.h)
 * @return
 *  - APR_SUCCESS: it has ended
 *  - APR_EAGAIN: it has not, and `timeout` <= 0
 *  - APR_TIMEUP: it has not, within the time
 *  - COHORT_ENOTSTARTED: it was never started
 *  - COHORT_ENOWAIT: it is the caller itself
 *  - the common statuses of process.h
 */
COHORT_API apr_status_t cohort_process_join(cohort_process_t *process, apr_interval_time_t timeout);

/**
 * Does it run? Waits for nothing, but may repair what its death left half done.
 *
 * @param process any process, or NULL
 * @return 1 from the moment start returned until it has ended (see process.h), else 0, also for
 *         what is no process
 */
COHORT_API int cohort_process_is_alive(const cohort_process_t *process);

/**
 * How it ended.
 *
 * @param process any process, or NULL
 * @return
 *  - COHORT_EXIT_NONE until it has ended (see process.h), also for what is no process
 *  - 0 or more: its exit code
 *  - the negative number of the signal that ended it (-15 after terminate, -9 after kill, on every
 *    system)
 *  - COHORT_EXIT_UNKNOWN: it has ended, and no process could see how
 */
COHORT_API int cohort_process_exit_code(const cohort_process_t *process);

/**
 * The system's process id.
 *
 * @param process any process, or NULL
 * @return the id; 0 before start, and for what is no process
 */
COHORT_API apr_int64_t cohort_process_pid(const cohort_process_t *process);

/**
 * Copy its name, cut and terminated.
 *
 * @param process any process
 * @param buffer  receives the name
 * @param size    its bytes
 * @return
 *  - APR_SUCCESS
 *  - APR_EINVAL: `size` is 0
 *  - the common statuses of process.h
 */
COHORT_API apr_status_t cohort_process_name(const cohort_process_t *process, char *buffer,
                                            apr_size_t size);

/**
 * Rename it, before its start or while it runs. A process that renames itself also changes what the
 * system shows (ps, top).
 *
 * @param process any process
 * @param name    copied, cut to COHORT_NAME_MAX bytes
 * @return
 *  - APR_SUCCESS
 *  - APR_EINVAL: NULL or empty name
 *  - the common statuses of process.h
 */
COHORT_API apr_status_t cohort_process_set_name(cohort_process_t *process, const char *name);

/**
 * Does it end with its parent?
 *
 * @param process any process, or NULL
 * @return 1 or 0; 0 also for what is no process
 */
COHORT_API int cohort_process_is_daemon(const cohort_process_t *process);

/**
 * Ask it to end (SIGTERM, or its equivalent): it may clean up, or even refuse.
 *
 * @param process any process. One that has ended: nothing is done, and never is another process
 *                with the same pid reached.
 * @return
 *  - APR_SUCCESS, also when it has ended
 *  - COHORT_ENOTSTARTED: it was never started
 *  - the system's reason (EPERM)
 *  - the common statuses of process.h
 */
COHORT_API apr_status_t cohort_process_terminate(cohort_process_t *process);

/**
 * End it now (SIGKILL, TerminateProcess).
 *
 * @param process as cohort_process_terminate()
 * @return as cohort_process_terminate()
 */
COHORT_API apr_status_t cohort_process_kill(cohort_process_t *process);

/**
 * End it now, and all that it has started, whatever its containment: the processes are found by
 * their parents, and where it is COHORT_CONTAIN_TREE also those that have lost theirs. They are
 * stopped as they are found, so that they start no more, and killed when no more are found, which
 * is before this returns (after at most five seconds, for a tree that grows faster than it is
 * found). Background processes of this cohort, and what they start, are spared; so are processes
 * that the caller may not signal. A process may end its own tree, or one that it is in: it is
 * killed last. A caller that is killed meanwhile may leave them stopped. Linux with /proc, and
 * Windows.
 *
 * @param process as cohort_process_terminate()
 * @return
 *  - APR_SUCCESS, also when it has ended
 *  - COHORT_ENOTSTARTED: it was never started
 *  - APR_ENOTIMPL: this system does not tell what a process has started; nothing was done
 *  - APR_ENOMEM: it was killed, and not all that it has started
 *  - APR_TIMEUP: it was killed, and new processes of its tree were found to the last
 *  - the system's reason (EPERM)
 *  - the common statuses of process.h
 */
COHORT_API apr_status_t cohort_process_kill_tree(cohort_process_t *process);

/**
 * Interrupt it as Ctrl-C would (SIGINT).
 *
 * @param process as cohort_process_terminate()
 * @return as cohort_process_terminate()
 */
COHORT_API apr_status_t cohort_process_interrupt(cohort_process_t *process);

/**
 * Terminate it, wait, then kill it if it is still there; returns when it has ended.
 *
 * @param process any process but the calling one
 * @param grace   how long to wait before the kill, in microseconds
 * @return
 *  - APR_SUCCESS: it has ended
 *  - COHORT_ENOTSTARTED: it was never started
 *  - COHORT_ENOWAIT: it is the caller itself
 *  - the system's reason (EPERM)
 *  - the common statuses of process.h
 */
COHORT_API apr_status_t cohort_process_stop(cohort_process_t *process, apr_interval_time_t grace);

/**
 * Ask it and all that it has started to end (SIGTERM), wait, then kill what is left of it, and what
 * was started meanwhile, as cohort_process_kill_tree() does. Returns when it has ended, and the
 * others are killed. On Windows a program that does not belong to the cohort cannot be asked: it is
 * ended at once.
 *
 * @param process any process but the calling one
 * @param grace   how long to wait before the kill, in microseconds, for all of them together
 * @return
 *  - APR_SUCCESS: it has ended
 *  - COHORT_ENOWAIT: it is the caller itself
 *  - as cohort_process_kill_tree()
 */
COHORT_API apr_status_t cohort_process_stop_tree(cohort_process_t *process,
                                                 apr_interval_time_t grace);

/**
 * Send it a signal of the system.
 *
 * @param process as cohort_process_terminate()
 * @param signal  the system's number (SIGUSR1); 0 sends none: it asks whether one could be sent. On
 *                Windows 2, 15 and 9 do what cohort_process_interrupt(), _terminate() and _kill()
 *                do, and there are no others.
 * @return as cohort_process_terminate(); APR_EINVAL: no system has such a signal; APR_ENOTIMPL:
 *         this one does not have it
 */
COHORT_API apr_status_t cohort_process_signal(cohort_process_t *process, int signal);

/**
 * Destroy the record of a process, for all processes: from here on every use of the handle is
 * COHORT_EHANDLE. Only by the process that made it (Python's Process.close()).
 *
 * @param process one that has ended or was never started; NULL and a destroyed one are fine
 * @return
 *  - APR_SUCCESS
 *  - COHORT_ERUNNING: it runs (Python: ValueError)
 *  - COHORT_ENOTOWNER: made by another process
 *  - the common statuses of process.h
 */
COHORT_API apr_status_t cohort_process_destroy(cohort_process_t *process);

/**
 * The calling process.
 *
 * @return its handle; NULL before cohort_initialize() and in a raw fork() copy
 */
COHORT_API cohort_process_t *cohort_process_current(void);

/**
 * The process that created the calling one.
 *
 * @return its handle, which may be joined and asked after the parent's end too; when the record of
 *         the parent is gone by then, its name is COHORT_EHANDLE and its pid 0. NULL in the root,
 *         before cohort_initialize() and in a raw fork() copy.
 */
COHORT_API cohort_process_t *cohort_process_parent(void);

/**
 * The running children of the calling process, as Python's active_children().
 *
 * @param list  receives an array in `pool`, in no particular order
 * @param count receives how many
 * @param pool  not NULL
 * @return APR_SUCCESS, COHORT_ENOTINIT, COHORT_ENOTMEMBER, or APR_EINVAL (a parameter is NULL)
 */
COHORT_API apr_status_t cohort_process_active_children(cohort_process_t ***list, apr_size_t *count,
                                                       apr_pool_t *pool);

/** What a process of the cohort is. */
typedef enum {
    COHORT_PROCESS_ROOT,     /**< that which has called cohort_initialize() */
    COHORT_PROCESS_FUNCTION, /**< a function's or an object's */
    COHORT_PROCESS_PROGRAM,  /**< another program */
    COHORT_PROCESS_WORKER,   /**< of a pool */
    COHORT_PROCESS_HELPER,   /**< one of the library's own: a fork server, a keeper */
    COHORT_PROCESS_SERVICE   /**< a process that is started again, over its runs (supervise.h) */
} cohort_process_kind_t;

/** How far a process is. */
typedef enum {
    COHORT_PROCESS_NEW,      /**< made and not started */
    COHORT_PROCESS_STARTING, /**< being started */
    COHORT_PROCESS_RUNNING,  /**< running, or its end is not recorded yet */
    COHORT_PROCESS_ENDED     /**< it has ended (see the head of process.h) */
} cohort_process_state_t;

/** What is to be known of a process. */
typedef struct cohort_process_info_t {
    cohort_process_t *process;      /**< its handle, which its creator may destroy at any time */
    cohort_process_t *parent;       /**< that of its parent; NULL: the root's, or gone */
    apr_int64_t pid;                /**< the system's id; 0 until it runs */
    char name[COHORT_NAME_MAX + 1]; /**< its name */
    cohort_process_kind_t kind;     /**< what it is */
    cohort_process_state_t state;   /**< how far it is */
    cohort_lifetime_t lifetime;     /**< never the default */
    int exit_code;                  /**< as cohort_process_exit_code() */
    apr_time_t started;             /**< when it began to run; 0 until then */
    apr_interval_time_t cpu_time;   /**< microseconds that it has used; -1: not known */
    apr_int64_t memory;       /**< bytes that it has in memory now, with what it has touched of
                                   * the arena; -1: not known */
    apr_uint64_t reserved[4]; /**< written as 0 */
} cohort_process_info_t;

/**
 * All processes of the cohort, with what is known of each, for any member to see: also those of
 * other processes, programs, workers of pools, those that were made and not started, those that
 * have ended and were not destroyed, and the library's own helpers. As ps, for the cohort.
 *
 * @param list  receives an array in `pool`, in no particular order
 * @param count receives how many
 * @param pool  not NULL
 * @return APR_SUCCESS, APR_EINVAL (a parameter is NULL), or one of the common statuses of process.h
 */
COHORT_API apr_status_t cohort_processes(cohort_process_info_t **list, apr_size_t *count,
                                         apr_pool_t *pool);

/**
 * End the calling process in the order in which a target's return would: exit hook, children joined
 * (foreground) or ended (daemons), streams flushed. In the root as exit(). Does not return.
 *
 * @param code the exit code, cut to 8 bits
 */
COHORT_NORETURN COHORT_API void cohort_exit(int code);

/**
 * CPUs that this process may use: affinity and control groups are considered.
 *
 * @return at least 1
 */
COHORT_API apr_size_t cohort_cpu_count(void);

#ifdef __cplusplus
}
#endif

#endif
