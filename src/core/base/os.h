/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * THE SEAM: everything Cohort asks of an operating system. src/posix and src/win32 implement it in
 * files of the same names, which are, in the order of the groups below and each named as its group:
 *
 *   os_arena.c os_park.c os_start.c os_boot.c os_exit.c os_state.c os_context.c os_become.c
 *   os_process.c os_group.c os_watch.c os_lifeline.c os_bytes.c os_facts.c os_machine.c
 *   os_code.c os_thread.c os_mutex.c
 *
 * A function of group X lies in os_X.c, or in each of its variants os_X_*.c, of which the build
 * takes one, in the order of declaration here, and in no other file (the test check.seam looks).
 *
 * Contract:
 * - results are apr_status_t; outputs are written only on success; where the status alone does not
 *   tell what failed, cohort__fail() says it (core/base/fail.h);
 * - deadlines are absolute nanoseconds of cohort_os_now(), COHORT_OS_NEVER means no deadline;
 * - interrupted system calls never show (no EINTR);
 * - no child inherits a handle, whichever code it belongs to, unless it is a standard stream or the
 *   function that starts it was given that handle.
 */
#ifndef COHORT_CORE_OS_H
#define COHORT_CORE_OS_H

#include "core/base/fail.h"

#include <apr_errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define COHORT_OS_NEVER    INT64_MAX
#define COHORT_OS_PATH_MAX 4096

/* A file descriptor or a HANDLE. */
typedef intptr_t cohort_os_handle_t;
#define COHORT_OS_NONE ((cohort_os_handle_t)-1)
#define COHORT_OS_NULL ((cohort_os_handle_t)-2) /* as a stream of a new process: the null device */

/* Standard input, output and error of a process; NONE for one that it has closed. */
typedef struct {
    cohort_os_handle_t handles[3];
} cohort_os_streams_t;
#define COHORT_OS_NO_STREAMS \
    ((cohort_os_streams_t){{COHORT_OS_NONE, COHORT_OS_NONE, COHORT_OS_NONE}})
/* A process of the system, as told apart from a later one with the same pid. Lies in the arena. */
typedef struct {
    int64_t pid;
    uint64_t birth; /* any number that differs between two processes with one pid; 0 = unknown */
} cohort_os_id_t;

/* ---- arena ---------------------------------------------------------------------------------- */

typedef struct {
    char *base;
    uint64_t size;
    cohort_os_handle_t handle; /* what a child needs to map the same memory */
} cohort_os_arena_t;
/* Make shared memory of `size` bytes (a multiple of 1 MiB) and map it at the first base of this
 * system's list that is free. Address space only: no page may be touched before
 * cohort_os_arena_commit(). Nothing with a name stays behind, ever. COHORT_EADDRESS: no base was
 * free. APR_ENOMEM: the system's limits do not allow this size (a smaller one may do). */
apr_status_t cohort_os_arena_create(uint64_t size, cohort_os_arena_t *arena);
/* Map an existing arena at exactly arena->base, from arena->handle. COHORT_EADDRESS when something
 * else lies there. */
apr_status_t cohort_os_arena_attach(const cohort_os_arena_t *arena);
/* Have a handle that can be given to a child: the same, unless this program has closed it; else
 * from the mapping itself, where the system allows that (`from` 0), or as this process has it,
 * which has mapped the same arena. */
apr_status_t cohort_os_arena_reopen(cohort_os_arena_t *arena, int64_t from,
                                    cohort_os_handle_t there);
void cohort_os_arena_detach(cohort_os_arena_t *arena);
/* Make [offset, offset + length) usable: after success no access to it can fault for want of
 * memory. 64 KiB granules. */
apr_status_t cohort_os_arena_commit(const cohort_os_arena_t *arena, uint64_t offset,
                                    uint64_t length);
/* Give the memory back where the system can; its contents are lost, and it must be committed again
 * before use. */
void cohort_os_arena_discard(const cohort_os_arena_t *arena, uint64_t offset, uint64_t length);
/* Have this range in this process' core dumps, which the whole arena is kept out of until then:
 * reading all of it would make all of it real. In a forked copy it is as in the original. */
void cohort_os_arena_dump(const cohort_os_arena_t *arena, uint64_t offset, uint64_t length);
/* Bytes of address space that are sensible by default on this machine (a few times its memory,
 * within the bases' limits). */
uint64_t cohort_os_arena_default_size(void);

/* ---- park: sleep on a word of the arena ----------------------------------------------------- */

/* Called once in each process after the arena is mapped, with the back end's region of it
 * (`park_region` of the facts). `fresh` in the process that made it. */
apr_status_t cohort_os_park_setup(void *region, bool fresh);
/* Sleep while *word == expected, until woken or the deadline: APR_SUCCESS (woken, changed, or for
 * no reason) or APR_TIMEUP. Works between processes. A sleeper or waker that is killed at any point
 * harms no other process. */
apr_status_t cohort_os_park(_Atomic uint32_t *word, uint32_t expected, int64_t deadline);
/* Wake up to `count` sleepers of the word, which was changed before; returns how many were woken.
 * Too high an estimate is allowed; 0 only when no thread sleeps, or when the change alone wakes all
 * sleepers. */
int cohort_os_wake(_Atomic uint32_t *word, int count);
/* A process has died: drop what it left in the region. */
void cohort_os_park_forget(cohort_os_id_t dead);

/* ---- start ---------------------------------------------------------------------------------- */

/* What a re-executed child learns before it runs a line of its own. Travels by the environment,
 * never further than that child. */
typedef struct {
    uint32_t version; /* COHORT_OS_BOOT_VERSION; checked by boot_take */
    uint32_t role;    /* the core's own */
    uint64_t slot;    /* the core's own: which process this is */
    /* the pid of the process that started this one, by the system's own word; set by boot_take */
    int64_t parent;
    uint64_t base; /* the arena */
    uint64_t size;
    cohort_os_handle_t arena;
    cohort_os_handle_t lifeline; /* reader to die with, or NONE */
    cohort_os_handle_t channel;  /* reader of requests, or NONE */
} cohort_os_boot_t;
#define COHORT_OS_BOOT_VERSION 4u

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

typedef struct {
    cohort_os_how_t how;
    cohort_os_signals_t signals;
    const cohort_os_boot_t *boot; /* REEXEC: handles in it are given to the child */
    /* PROGRAM: searched on PATH when it has no separator; REEXEC: NULL = own executable */
    const char *path;
    const char *const *argv; /* PROGRAM: NULL-terminated; REEXEC: NULL */
    /* NULL = the caller's; "NAME=value", NULL-terminated, any order */
    const char *const *env;
    const void *context;         /* REEXEC: the environment in it instead */
    size_t context_size;         /* 0: none */
    const char *cwd;             /* NULL = the caller's */
    const char *name;            /* REEXEC: shown in process lists from the start */
    cohort_os_handle_t stdio[3]; /* NONE = inherit; NULL = the null device */
    /* PROGRAM: reader to die with, or NONE. FORK, in a process that serves (cohort_os_become()):
     * the one that the copy will arm; much of that is done in advance for the next one */
    cohort_os_handle_t lifeline;
    /* numbers of handles that the child shall have under the same numbers, beside the streams;
     * APR_ENOTIMPL where handles have none that could be kept. A FORK has them all */
    const int32_t *files;
    uint32_t n_files;
    cohort_os_group_t group;
    bool contained; /* cohort_os_group_end() will end what it leaves behind */
    /* own session, no terminal, survives the caller (background); the null device where stdio
     * says NONE */
    bool detach;
} cohort_os_start_t;

/* Start a process. In a FORK child this returns APR_SUCCESS with *in_child = true. For the other
 * two, errors of exec itself (no such program, no such directory, not executable) are returned
 * here, with errno's meaning, and no child exists then. */
apr_status_t cohort_os_start(const cohort_os_start_t *start, cohort_os_id_t *child, bool *in_child);

/* ---- boot: the identity of a re-executed child ---------------------------------------------- */

/* First thing in cohort_initialize(): if this process was started with REEXEC, take the boot block
 * out of the environment (so that nothing this process starts later sees it) and return
 * APR_SUCCESS. APR_ENOENT: there is none, an ordinary program run. All else: there is one that this
 * process must not take, nor go on as an ordinary program run; what is wrong with it is said.
 * COHORT_EPRIVILEGED: this process takes none. COHORT_EUNTRUSTED: not meant for this very process,
 * or not from its parent, which runs as the same user or as root, with shared memory of one of the
 * two. COHORT_EBINARY: the parent runs another program. COHORT_EVERSION: of another version.
 * APR_EOF: the parent has ended meanwhile. What the system itself says is all that counts; what the
 * shared memory says is the core's to look at, and may be anything. */
apr_status_t cohort_os_boot_take(cohort_os_boot_t *boot);

/* ---- exit ----------------------------------------------------------------------------------- */

typedef enum {
    COHORT_OS_EXIT_NOW,     /* no handler is called, nothing is flushed */
    COHORT_OS_EXIT_FLUSHED, /* no handler is called; stdout and stderr are flushed */
    COHORT_OS_EXIT_ORDERLY  /* as exit() does it */
} cohort_os_exit_t;
/* End this process. */
_Noreturn void cohort_os_exit(int code, cohort_os_exit_t how);
/* In a FORK child, first of all: from here on exit() calls the handlers that this process
 * registers, then `run`, and ends the process with stdout and stderr flushed. Handlers that were
 * copied are not called, and what was copied of the two streams' buffers is dropped: both are the
 * original's. APR_ENOMEM. (Some systems give no handler the exit code: there the copied handlers
 * are called, too, when exit() was not called by cohort_os_exit().) */
apr_status_t cohort_os_exit_own(void (*run)(void));

/* ---- state: what a thread is ---------------------------------------------------------------- */

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
    COHORT_OS_LOOK_QUICK,  /* the quick part of the calling thread; does not fail */
    COHORT_OS_LOOK_THREAD, /* everything, of the calling thread */
    /* everything, of this process' first thread; what cannot be seen of that is the caller's */
    COHORT_OS_LOOK_FIRST
} cohort_os_look_t;
apr_status_t cohort_os_state_look(cohort_os_look_t what, cohort_os_state_t *state);
/* May a process that the one has started stand for a process that the other starts? */
static inline bool cohort_os_state_same_quick(const cohort_os_state_t *a,
                                              const cohort_os_state_t *b) {
    return memcmp(a->quick, b->quick, sizeof a->quick) == 0;
}
static inline bool cohort_os_state_same(const cohort_os_state_t *a, const cohort_os_state_t *b) {
    return cohort_os_state_same_quick(a, b) && memcmp(a->rest, b->rest, sizeof a->rest) == 0 &&
           !a->unseen;
}

/* ---- context: what a child can be given from outside ---------------------------------------- */

/* The cwd, umask, environment, and what signals do, in opaque bytes. Reads the environment, so only
 * in calls of the host's own threads. *length is the capacity on entry, the need on return;
 * APR_ENOSPC when that was too little. Fills in the state, too, but for the quick part: one look at
 * the system gives some of both. */
apr_status_t cohort_os_context_capture(void *buffer, size_t *length, cohort_os_state_t *state);

/* ---- become: what a new process makes of itself --------------------------------------------- */

/* All that is left out stays as it is. */
typedef struct {
    const void *context; /* take over all of it but what signals do, which `signals` does */
    size_t context_size; /* 0: none */
    /* in a child that a server forks for a requester which waits: take over what is wished. Whether
     * the server's maker was the same in all else is for the core to see */
    const cohort_os_state_t *state;
    const cohort_os_state_t *like; /* in the end: be as this thread, which has not started it */
    bool detach; /* leave terminal and session (background); the streams are the null device */
    /* in a process that was re-executed, or forked by a server: from here on signals do what this
     * says, whatever main() has done before, in view of what they did where the context is from. An
     * interrupt that this makes it ignore is not ignored by the children that it starts */
    const cohort_os_signals_t *signals;
    /* this process forks copies for others: it leaves its parent's group, so as to outlive that,
     * and notes what it is, so that a copy which takes over a state changes only what differs */
    bool serves;
    cohort_os_handle_t lifeline; /* with `serves`: the reader that its copies arm, or decline */
} cohort_os_become_t;
/* In that order, up to the first that fails. */
apr_status_t cohort_os_become(const cohort_os_become_t *what);

/* ---- process -------------------------------------------------------------------------------- */

cohort_os_id_t cohort_os_self(void);
/* False when it has ended, zombies included, or when the pid is another process by now. */
bool cohort_os_alive(cohort_os_id_t process);
typedef enum { COHORT_OS_TERMINATE, COHORT_OS_KILL, COHORT_OS_INTERRUPT } cohort_os_signal_t;
/* APR_ESRCH-like (APR_FROM_OS_ERROR(ESRCH)) when it has ended; never reaches a later process with
 * the same pid. */
apr_status_t cohort_os_signal(cohort_os_id_t process, cohort_os_signal_t signal);
/* Take the exit code of an ended child of this process: 0, >0, or -signal. APR_EAGAIN: not ended
 * yet. APR_ENOENT: it is no child of ours, or another waiter took the code. Also releases what the
 * system keeps for it. */
apr_status_t cohort_os_reap(cohort_os_id_t child, int *code);

/* ---- group: what a process has started, as far as the system keeps it together -------------- */

/* `child`, which was started as contained, has ended and was not reaped by this process yet: end
 * what is left of the group that it led. When it has been reaped elsewhere, nothing may happen;
 * what has nothing to do with it is never reached. */
void cohort_os_group_end(cohort_os_id_t child);
/* A hold of a process, and of the group that it leads: what is ended by it is never another
 * process or group that has the number by now. */
typedef struct {
    cohort_os_id_t leader;
    cohort_os_handle_t reader, writer; /* the back end's; NONE: it leads no group */
} cohort_os_hold_t;
/* Fails when the process has ended. */
apr_status_t cohort_os_hold_take(cohort_os_id_t leader, cohort_os_hold_t *hold);
/* `kill_it`: kill the process first, if it runs, and its group. */
void cohort_os_hold_release(cohort_os_hold_t *hold, bool kill_it);

/* ---- watch: wait for the ends of processes, and for messages -------------------------------- */

typedef struct cohort_os_watch_t cohort_os_watch_t;
typedef enum {
    COHORT_OS_ENDED,   /* process `cookie` has ended; reap it now */
    COHORT_OS_MESSAGE, /* `value` arrived on the channel */
    COHORT_OS_GONE     /* the channel's writers are all gone */
} cohort_os_event_kind_t;
typedef struct {
    cohort_os_event_kind_t kind;
    uint64_t cookie;   /* ENDED */
    uint64_t value;    /* MESSAGE */
    bool with_streams; /* MESSAGE: streams came with it, and are the caller's now */
    cohort_os_streams_t streams;
    /* why they could not be received, if they could not; none is left over then */
    apr_status_t streams_status;
} cohort_os_event_t;
apr_status_t cohort_os_watch_create(cohort_os_watch_t **watch);
/* Also closes it; in a forked copy it releases the copy's handles only. */
void cohort_os_watch_destroy(cohort_os_watch_t *watch);
/* What watching one process needs of memory, so that it is there before the process is: any process
 * that was started can be watched. */
typedef struct {
    _Alignas(16) unsigned char opaque[128];
} cohort_os_watch_room_t;
/* Report the end of this process once, by ENDED with the cookie. `child`: it is a child of the
 * calling process. Others may be watched too (the system may need to poll them). `room` is the
 * watch's until then, or until the watch is destroyed. Fails only where the system itself may
 * refuse. Thread-safe against watch_wait in another thread. */
apr_status_t cohort_os_watch_process(cohort_os_watch_t *watch, cohort_os_watch_room_t *room,
                                     cohort_os_id_t process, bool child, uint64_t cookie);
/* `alone`: this process runs no code but this library's, so no code closes descriptors that are not
 * its own. */
apr_status_t cohort_os_watch_channel(cohort_os_watch_t *watch, cohort_os_handle_t reader,
                                     bool alone);
/* One event, or APR_TIMEUP. One thread at a time. */
apr_status_t cohort_os_watch_wait(cohort_os_watch_t *watch, int64_t deadline,
                                  cohort_os_event_t *event);
/* For a thread that waits for watched children itself: from begin to done the watch reports none of
 * these. The thread must not be cancelled meanwhile. begin: `rooms` and `count` are filled in (a
 * room is zero until its process is watched); false, and nothing has begun: not this way (never, on
 * some systems). It is thread-safe as watch_process. end: sleep until one of them has ended,
 * rooms[*which], with this exit code, and is there to be reaped still. APR_TIMEUP; anything else:
 * it is not known. return: `reported` is the one of which the caller has recorded the end, -1 for
 * none: the watch does not know it any more, as if it had been reported. Not called when the watch
 * was destroyed meanwhile. */
#define COHORT_OS_BORROW_MAX 16
typedef struct {
    cohort_os_watch_room_t *rooms[COHORT_OS_BORROW_MAX];
    cohort_os_id_t children[COHORT_OS_BORROW_MAX];
    cohort_os_handle_t handles[COHORT_OS_BORROW_MAX];
    int count;
} cohort_os_borrow_t;
bool cohort_os_borrow_begin(cohort_os_watch_t *watch, cohort_os_borrow_t *borrow);
apr_status_t cohort_os_borrow_wait(const cohort_os_borrow_t *borrow, int64_t deadline, int *which,
                                   int *code);
void cohort_os_borrow_return(cohort_os_watch_t *watch, const cohort_os_borrow_t *borrow,
                             int reported);

/* ---- lifeline: die with another process, however it dies ------------------------------------ */

/* The holder keeps `keeper` open (it is never inherited); a process that armed `reader` is killed
 * when the holder is gone. */
apr_status_t cohort_os_lifeline_create(cohort_os_handle_t *reader, cohort_os_handle_t *keeper);
typedef enum {
    /* armed, and it outlasts a program that closes handles which are not its own (on Linux that
     * makes the end of a process take 25 ms) */
    COHORT_OS_LIFELINE_LASTING,
    COHORT_OS_LIFELINE_BACKED,  /* armed; another process will end this one then */
    COHORT_OS_LIFELINE_DECLINED /* not armed; does not fail */
} cohort_os_lifeline_t;
/* What this process does with a reader that it was given. The handle is consumed. */
apr_status_t cohort_os_lifeline_take(cohort_os_handle_t reader, cohort_os_lifeline_t how);

/* ---- bytes ---------------------------------------------------------------------------------- */

/* 64-bit messages from any number of writers to one watcher. post: APR_EOF-like (APR_EPIPE) when
 * the reader is gone, APR_ENOMEM when it may go better later; no signal. With `streams`, unless
 * NULL, which of them are closed is found by then; one writer at a time, and APR_ENOTIMPL where
 * there is no fork(), so no process that would want them. */
apr_status_t cohort_os_channel_create(cohort_os_handle_t *reader, cohort_os_handle_t *writer);
apr_status_t cohort_os_channel_post(cohort_os_handle_t writer, uint64_t value,
                                    const cohort_os_streams_t *streams);
/* Copies of this process' standard streams, which stay what they are now. */
apr_status_t cohort_os_streams_copy(cohort_os_streams_t *streams);
/* Make these, which came with a message, the standard streams of this process, and close what it
 * had. With NO_STREAMS it has none, and what it receives next takes their place at once. */
apr_status_t cohort_os_streams_take(cohort_os_streams_t *streams);
/* A byte pipe for the standard streams of a program. */
apr_status_t cohort_os_pipe_create(cohort_os_handle_t *reader, cohort_os_handle_t *writer);
void cohort_os_close(cohort_os_handle_t handle);
/* A handle, and what it is, to know it again: a program may close handles that are not its own,
 * and what has the number then is another's. It must neither be used nor closed. */
typedef struct {
    cohort_os_handle_t handle;
    uint64_t device, file;
} cohort_os_known_t;
cohort_os_known_t cohort_os_know(cohort_os_handle_t handle); /* NONE: it is not open */
/* False when it was closed, whatever has its number now; for NONE; and for one that is all 0: none
 * of the library's own is 0. */
static inline bool cohort_os_is_known(const cohort_os_known_t *known) {
    if (known->handle == 0 || known->handle == COHORT_OS_NONE) return false;
    cohort_os_known_t now = cohort_os_know(known->handle);
    return now.handle == known->handle && now.device == known->device && now.file == known->file;
}
/* If it is still the same. It is NONE then. */
static inline void cohort_os_close_known(cohort_os_known_t *known) {
    if (cohort_os_is_known(known)) cohort_os_close(known->handle);
    known->handle = COHORT_OS_NONE;
}
static inline void cohort_os_streams_close(cohort_os_streams_t *streams) {
    for (int i = 0; i < 3; i++) cohort_os_close(streams->handles[i]);
    *streams = COHORT_OS_NO_STREAMS;
}

/* ---- facts ---------------------------------------------------------------------------------- */

/* What cannot change while a process runs. */
typedef struct {
    size_t park_region; /* bytes of the arena, zeroed, that the back end wants for parking */
    /* the standard streams of a process, open or closed; NONE where no process could post them */
    cohort_os_streams_t streams;
    bool can_fork;        /* COHORT_OS_FORK works */
    bool fork_is_default; /* forks of one thread are sound, so a fork server starts best */
    /* This program has, or had, rights that need not be those of the process that started it:
     * set-user-id or set-group-id, capabilities of its file, a token that differs from its
     * parent's. Nothing of its environment and no handle that it inherited may be used. The same
     * for the whole life of the process, also after it has given up the rights: executed again, it
     * would have them again. */
    bool privileged;
    bool can_reexec; /* COHORT_OS_REEXEC works: executed again, this program takes its boot block */
    bool can_keep_files; /* handles have numbers that a child can keep: `files` of a start */
    bool needs_keeper;   /* contained processes outlive their parent, unless another holds them */
} cohort_os_facts_t;
const cohort_os_facts_t *cohort_os_facts(void);

/* ---- machine -------------------------------------------------------------------------------- */

/* Nanoseconds of one monotonic clock that all processes of the machine share. */
int64_t cohort_os_now(void);
/* CPUs that this process may use: affinity and control groups considered; at least 1. */
int cohort_os_cpu_count(void);
/* Is a CPU idle that the calling thread may use, though it shares its own with another thread
 * that can run? False where that is not known. Some microseconds. */
bool cohort_os_cpu_is_idle(void);
/* Show this name for the calling process in the system's process lists, as far as that can be. */
void cohort_os_set_name(const char *name);

/* ---- code ----------------------------------------------------------------------------------- */

/* A code address as (module path, offset, build id), stable over runs; and back. An empty path is
 * the executable itself. code_at loads the module when it must: COHORT_ETARGET when it cannot,
 * COHORT_EBINARY when it is another build. */
typedef struct {
    char path[512];
    uint64_t offset;
    uint8_t build[20];
} cohort_os_code_t;
apr_status_t cohort_os_code_find(const void *address, cohort_os_code_t *code);
apr_status_t cohort_os_code_at(const cohort_os_code_t *code, void **address);

/* ---- thread --------------------------------------------------------------------------------- */

/* What happens in this process by itself. */
typedef struct {
    /* in every fork() copy of this process that is not made by cohort_os_start() */
    void (*forked)(void);
    /* when a thread ends that has called cohort_os_thread_mark(), with the pointer it marked;
     * `first`: main() was called in it (never, where the end of that one ends the process) */
    void (*thread_exit)(void *mark, bool first);
    /* unless NULL, when this process exits in an orderly way, while its threads still run (a
     * library's own atexit() comes too late for that on some systems): the last one given is the
     * first one called */
    void (*at_exit)(void);
    /* whole pages of zero-initialised static memory, or NULL: in every copy of this process,
     * however it is made, they read as zero where the system can do that */
    void *cleared;
    size_t cleared_size;
} cohort_os_hooks_t;
apr_status_t cohort_os_hooks(const cohort_os_hooks_t *hooks);
void cohort_os_thread_mark(void *mark);
/* The threads of this process that run, but for those that the back end has for itself; 0:
 * unknown. */
int cohort_os_thread_count(void);
/* Call `run` in a new thread of this process that never takes a signal and never outlives it. */
apr_status_t cohort_os_thread_start(void (*run)(void *arg), void *arg);

/* ---- mutex ---------------------------------------------------------------------------------- */

/* A mutex for threads of this process alone, usable when zero; `reset` makes it free in a forked
 * copy. A thread that another one cancels ends only when it holds none. */
typedef struct {
    _Alignas(8) unsigned char opaque[64];
} cohort_os_mutex_t;
void cohort_os_mutex_lock(cohort_os_mutex_t *mutex);
void cohort_os_mutex_unlock(cohort_os_mutex_t *mutex);
void cohort_os_mutex_reset(cohort_os_mutex_t *mutex);

#endif
