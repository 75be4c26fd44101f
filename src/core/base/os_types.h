/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What the functions of the seam (os.h) take and give: handles, and what stands for processes. */
#ifndef COHORT_CORE_OS_TYPES_H
#define COHORT_CORE_OS_TYPES_H

#include <apr_errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A file descriptor or a HANDLE. */
typedef intptr_t cohort_os_handle_t;
#define COHORT_OS_NONE   ((cohort_os_handle_t)-1)
#define COHORT_OS_NULL   ((cohort_os_handle_t)-2) /* as a new process' stream: the null device */
#define COHORT_OS_OUTPUT ((cohort_os_handle_t)-3) /* as its standard error: its standard output */

/* Standard input, output and error of a process; NONE for one that it has closed. */
typedef struct {
    cohort_os_handle_t handles[3];
} cohort_os_streams_t;
#define COHORT_OS_NO_STREAMS \
    ((cohort_os_streams_t){{COHORT_OS_NONE, COHORT_OS_NONE, COHORT_OS_NONE}})
/* Is a new process to have a terminal of its own, and how large is it? */
typedef struct {
    uint32_t own;
    uint16_t columns, rows;
} cohort_os_terminal_t;
/* What goes from the writing end of a pipe to the reading end. */
typedef enum {
    COHORT_OS_PIPE_BYTES,    /* for the standard streams of a program */
    COHORT_OS_PIPE_INWARD,   /* the same; the reading end is for a flow */
    COHORT_OS_PIPE_OUTWARD,  /* the same; the writing end is for a flow */
    COHORT_OS_PIPE_MESSAGES, /* a channel: 64 bits each, from any number of writers to one watch */
    /* nothing: the holder keeps the writing end open (it is never inherited), and a process that
     * armed the reading end is killed when the holder is gone */
    COHORT_OS_PIPE_LIFELINE,
    COHORT_OS_PIPE_TERMINAL, /* a pseudo-terminal, for the standard streams of a process */
    COHORT_OS_PIPE_FLAG /* nothing: a poll, or a wait for the handle, finds the reader readable */
} cohort_os_pipe_t;
/* A process of the system, as told apart from a later one with the same pid. Lies in the arena. */
typedef struct {
    int64_t pid;
    uint64_t birth; /* any number that differs between two processes with one pid; 0 = unknown */
} cohort_os_id_t;
/* What a process has used so far; -1: the system does not tell. */
typedef struct {
    int64_t cpu_time; /* nanoseconds, user and system */
    int64_t memory;   /* bytes of it that are in memory now */
} cohort_os_usage_t;
/* By what all that a process has started is known. Lies in the arena. */
typedef struct {
    uint64_t token;        /* the mark that it inherits, of no other tree; 0 = none */
    uint64_t device, file; /* the executable of copies that are marked in their memory; 0 = none */
} cohort_os_tree_t;
/* How a process is started. */
typedef enum {
    /* a copy of the caller, its calling thread alone; APR_ENOTIMPL where there is none */
    COHORT_OS_FORK,
    COHORT_OS_REEXEC, /* the own executable again, with `boot` */
    COHORT_OS_PROGRAM /* another program */
} cohort_os_how_t;
/* What the new process does about signals. Nothing has a handler in it and nothing is blocked,
 * except in a FORK, which is a copy. What the starter ignores is ignored there too, but for an
 * interrupt that only the library made it ignore (cohort_os_become()). */
typedef enum {
    /* a request to terminate and the end of a child do what is the default, and the former is
     * not blocked */
    COHORT_OS_SIGNALS_NORMAL,
    COHORT_OS_SIGNALS_NO_INTERRUPT, /* the same, and interrupts (Ctrl-C) are ignored */
    COHORT_OS_SIGNALS_INHERIT,      /* whatever the starter ignores or has blocked stays so */
    /* everything does what is the default, nothing is blocked, in a FORK too */
    COHORT_OS_SIGNALS_RESET
} cohort_os_signals_t;
/* The process group that a new process belongs to (POSIX). */
typedef enum {
    COHORT_OS_GROUP_JOIN, /* its starter's */
    /* its own, unless it has a terminal, from which another group could not read: then its
     * starter's */
    COHORT_OS_GROUP_QUIET,
    COHORT_OS_GROUP_OWN /* its own */
} cohort_os_group_t;
/* A handle that a new process is given. Lies in the arena. */
#define COHORT_OS_GIFT_NAME 32
typedef struct {
    int64_t handle;        /* the starter's */
    uint64_t device, file; /* what it is, as cohort_os_know() has it; for the core */
    _Atomic int64_t there; /* the new process'; set by the start, before that process runs */
    bool numbered;         /* they are the same, and not one of the standard streams */
    bool is_socket;        /* with the four that follow, in APR's words */
    int32_t family, type, protocol;
    int64_t timeout;
    _Atomic uint32_t taken;         /* the new process has it in use */
    char name[COHORT_OS_GIFT_NAME]; /* "": it has none */
} cohort_os_gift_t;
/* A handle that a process keeps for others to fetch. Lies in the arena. */
typedef struct {
    uint64_t token; /* the back end's, as all of it */
    int64_t kept;
    uint64_t device, file;
    uint32_t address_size, notice_size;
    char address[20], notice[12];
} cohort_os_offer_t;
/* What a new process is made different in from its starter: a block, of which the texts and numbers
 * lie behind this head, at these distances from its beginning. Lies in the arena, too. */
#define COHORT_OS_CPUS_MAX 8192
#define COHORT_OS_LIMITS   5 /* memory, CPU seconds, open files, processes, bytes of a core dump */
enum {
    COHORT_OS_SET_USER = 1,
    COHORT_OS_SET_GROUP = 2,
    COHORT_OS_SET_GROUPS = 4,
    COHORT_OS_SET_UMASK = 8,
    COHORT_OS_SET_CPUS = 16,
    COHORT_OS_SET_IGNORED = 32,
    COHORT_OS_SET_LIMIT = 64, /* the first of the limits, then the next bit for the second ... */
    COHORT_OS_SET_SESSION = 2048, /* its own, and no terminal but one that is made for it */
    COHORT_OS_SET_NTH_CPU = 4096  /* CPUs: one, the n-th of those that it might use without that */
};
typedef struct {
    uint32_t size; /* of all */
    uint32_t set;  /* which of the optional parts are: COHORT_OS_SET_... */
    uint32_t cwd;  /* a text; 0: none */
    /* texts, one behind the other: "NAME=value" is set, "NAME" is removed */
    uint32_t env, n_env;
    uint32_t cpus, n_cpus, groups, n_groups; /* uint32_t each */
    uint32_t user, group, mode;
    int32_t nice;                      /* added to the starter's */
    uint64_t ignored;                  /* signal 1 is the lowest bit */
    uint64_t limits[COHORT_OS_LIMITS]; /* UINT64_MAX: lifted */
} cohort_os_settings_t;
static inline const char *cohort_os_settings_part(const cohort_os_settings_t *settings,
                                                  uint32_t at) {
    return (const char *)settings + at;
}
/* This process' end of a pipe, and what goes through it. Not moved in memory while it is open. */
typedef struct {
    cohort_os_handle_t handle; /* of an INWARD or OUTWARD pipe; NONE: passed over */
    bool outward;              /* bytes go out of this process */
    char *bytes;               /* what is to go, or the room for what comes */
    size_t size;               /* of that; 0: passed over */
    size_t moved;              /* of that, by the last wait */
    apr_status_t status;       /* of the last wait; APR_EOF: the other side is closed */
    void *state;               /* the back end's; NULL at first */
} cohort_os_flow_t;
/* What a thread waits at; a flow belongs to the first port at which it is waited for. */
typedef struct {
    cohort_os_handle_t reader, writer;
} cohort_os_port_t;
/* What one waits for by its handle. Not moved in memory until `wanted` was 0. */
enum { COHORT_OS_SIGHT_IN = 1, COHORT_OS_SIGHT_OUT = 2, COHORT_OS_SIGHT_GONE = 4 };
typedef struct {
    cohort_os_handle_t handle;
    unsigned wanted, holds; /* COHORT_OS_SIGHT_...; with GONE all that is wanted does */
    void (*stir)(void *arg);
    void *arg;
    bool polled, is_socket; /* a pollset tells of it; as of a socket, though it is a plain handle */
    /* the back end's; 0 at first */
    int kind;
    void *wait;
    _Atomic int stirred;
} cohort_os_sight_t;
/* What a thread is, for its children to be the same: first what a process has from its beginning
 * and no request can give it (users, groups, capabilities, sandbox, root, namespaces, session),
 * of which few system calls give the `quick` part; then what a child can take over (limits,
 * priority, CPUs, process group). The numbers are the system's own. */
typedef struct {
    uint64_t quick[5]; /* the first: the users by which the process may signal others */
    uint64_t rest[18], wishes[36];
    bool unseen; /* something of the rest could not be looked at: it is the same as no other's */
    bool subtle; /* threads may differ with the same quick part (sandboxes) */
} cohort_os_state_t;
typedef enum {
    COHORT_OS_LOOK_QUICK,   /* the quick part of the calling thread; does not fail */
    COHORT_OS_LOOK_THREAD,  /* everything, of the calling thread */
    COHORT_OS_LOOK_CONTEXT, /* the same but for the quick part, and the context */
    /* everything, of this process' first thread; what cannot be seen of that is the caller's */
    COHORT_OS_LOOK_FIRST
} cohort_os_look_t;
/* A hold of a process, and of the group that it leads: what is ended by it is never another
 * process or group that has the number by now. */
typedef struct {
    cohort_os_id_t leader;
    cohort_os_handle_t reader, writer; /* the back end's; NONE: it leads no group */
    bool alone;                        /* it, without its group */
} cohort_os_hold_t;
/* What there is for a process, and what it uses. */
typedef enum {
    /* CPUs that it may use: affinity and control groups considered; at least 1 */
    COHORT_OS_CPUS,
    /* 1: a CPU is idle that the calling thread may use, though it shares its own with another
     * thread that can run. 0: that is not known, too */
    COHORT_OS_CPU_IDLE,
    /* bytes of address space that are sensible for an arena by default (a few times the machine's
     * memory, within the bases' and the process' limits) */
    COHORT_OS_ARENA_SIZE,
    /* threads that run, but for those that the back end has for itself */
    COHORT_OS_USED_THREADS,
    /* the most memory that has been real at one time so far, in bytes, shared memory included */
    COHORT_OS_USED_MEMORY,
    /* memory that is real now and shared with no other process, in bytes */
    COHORT_OS_USED_OWN_MEMORY
} cohort_os_figure_t;
/* Where code is, whatever the addresses are. */
typedef struct {
    char path[512];
    uint64_t offset;
    uint8_t build[20];
} cohort_os_code_t;
/* What a process says of its own crash, in memory that others have: zero until then. */
typedef struct {
    _Atomic int32_t code; /* how it ends by that, as cohort_os_reap() has it; 0: no crash */
    /* lines of ASCII, zero-terminated, and shorter than this if the time was over: first "SIGSEGV
     * at 0x0 in function work", without what is not known; then a line for each function, from the
     * one that crashed to the outermost */
    char text[4092];
} cohort_os_crash_t;

#endif
