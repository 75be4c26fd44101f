/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * THE SEAM: everything Cohort asks of an operating system. src/posix and src/win32 implement it in
 * files of the same names, which are, in the order of the groups below and each named as its group:
 *
 *   os_arena.c os_park.c os_start.c os_boot.c os_exit.c os_state.c os_become.c
 *   os_process.c os_group.c os_tree.c os_watch.c os_bytes.c os_flow.c os_sight.c os_offer.c
 *   os_facts.c os_machine.c os_code.c os_thread.c os_mutex.c
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
#include "core/base/os_types.h"

#include <apr_errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define COHORT_OS_NEVER    INT64_MAX
#define COHORT_OS_PATH_MAX 4096

/* ---- arena ---------------------------------------------------------------------------------- */

/* What the back end itself wants of shared memory, for parking, lies beside it. */
typedef struct {
    char *base;
    uint64_t size;
    cohort_os_handle_t handle; /* what a child needs to map the same memory */
} cohort_os_arena_t;
/* Make shared memory of `size` bytes (a multiple of 1 MiB) and map it at the first base of this
 * system's list that is free. Address space only: no page may be touched before
 * cohort_os_arena_pages(). Nothing with a name stays behind, ever. COHORT_EADDRESS: no base was
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
typedef enum {
    /* usable: after success no access to it can fault for want of memory. 64 KiB granules */
    COHORT_OS_PAGES_COMMIT,
    /* given back where the system can; the contents are lost, and it must be committed again before
     * use */
    COHORT_OS_PAGES_DISCARD,
    /* in this process' core dumps, which the whole arena is kept out of until then: reading all of
     * it would make all of it real. In a forked copy it is as in the original */
    COHORT_OS_PAGES_DUMP
} cohort_os_pages_t;
/* Have [offset, offset + length) so; only the first fails. */
apr_status_t cohort_os_arena_pages(const cohort_os_arena_t *arena, cohort_os_pages_t how,
                                   uint64_t offset, uint64_t length);

/* ---- park: sleep on a word of the arena ----------------------------------------------------- */
/* Sleep while *word == expected, until woken or the deadline: APR_SUCCESS (woken, changed, or for
 * no reason) or APR_TIMEUP. Works between all that have the arena. A sleeper or waker that is
 * killed at any point harms no other process. */
apr_status_t cohort_os_park(_Atomic uint32_t *word, uint32_t expected, int64_t deadline);
/* Wake up to `count` sleepers of the word, which was changed before; returns how many were woken.
 * Too high an estimate is allowed; 0 only when no thread sleeps, or when the change alone wakes all
 * sleepers. */
int cohort_os_wake(_Atomic uint32_t *word, int count);
/* A process has died: drop what is left of it as a sleeper. */
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

typedef struct {
    cohort_os_how_t how;
    cohort_os_signals_t signals;
    const cohort_os_boot_t *boot; /* REEXEC: handles in it are given to the child */
    /* PROGRAM: searched on PATH when it has no separator; REEXEC: NULL = own executable */
    const char *path;
    const char *const *argv; /* PROGRAM: NULL-terminated; REEXEC: NULL */
    /* NULL = the caller's; "NAME=value", NULL-terminated, any order */
    const char *const *env;
    const void *context; /* REEXEC: the environment in it instead */
    size_t context_size; /* 0: none */
    const char *cwd;     /* NULL = the caller's */
    const char *name;    /* REEXEC: shown in process lists from the start */
    /* NONE = inherit; NULL = the null device; OUTPUT, the last one = as the one before */
    cohort_os_handle_t stdio[3];
    /* FORK: these instead become the copy's, which closes them, and it has no others; NULL: not */
    const cohort_os_streams_t *streams;
    /* `own`: it is in a session of its own, the terminal of which is the one of its streams that is
     * the writing end of such a pipe */
    cohort_os_terminal_t terminal;
    /* FORK, unless NULL: exit() in the copy calls the handlers that the copy registers, then this,
     * and ends it with stdout and stderr flushed. Copied handlers are not called, and what was
     * copied of the two streams' buffers is dropped. (Some systems give no handler the exit code:
     * there the copied handlers are called, too, after an exit() not by cohort_os_exit().) */
    void (*at_exit)(void);
    /* PROGRAM: reader to die with, or NONE. FORK, in a process that serves (cohort_os_become()):
     * the one that the copy will arm; much of that is done in advance for the next one */
    cohort_os_handle_t lifeline;
    /* handles that the child shall have beside the streams; a `numbered` one is APR_ENOTIMPL where
     * handles have no numbers that could be kept. A FORK has all that there are */
    cohort_os_gift_t *gifts;
    uint32_t n_gifts;
    /* unless NULL: of a PROGRAM, and where nothing but its starter can make a process so, of any;
     * the session of any, before it hangs on a lifeline */
    const cohort_os_settings_t *settings;
    cohort_os_group_t group;
    bool contained; /* cohort_os_tree_end() will end what it leaves behind */
    bool alone;     /* what it starts does not end with it, nor with the lifeline */
    /* unless NULL: it and all that it will start is in this tree. A FORK becomes it by itself */
    const cohort_os_tree_t *tree;
    /* own session, no terminal, survives the caller (background); the null device where stdio
     * says NONE */
    bool detach;
} cohort_os_start_t;
/* Start a process. In a FORK child this returns with *in_child = true, and fails if the copy could
 * not be given what it should have. For the other two, errors of exec itself (no such program, no
 * such directory, not executable) are returned here, with errno's meaning, and no child exists. */
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

/* ---- state: what a thread is ---------------------------------------------------------------- */

/* What a child can be given from outside. */
typedef struct {
    /* the cwd, umask, environment, and what signals do, unless NULL. Reads the environment, so only
     * in calls of the host's own threads */
    void *bytes;
    size_t size; /* the capacity on entry, then the need; APR_ENOSPC when that was too little */
    cohort_os_streams_t *streams; /* unless NULL: copies of this process' standard streams */
} cohort_os_context_t;
/* `context`: with COHORT_OS_LOOK_CONTEXT, else NULL. One look at the system gives some of both. */
apr_status_t cohort_os_state_look(cohort_os_look_t what, cohort_os_state_t *state,
                                  cohort_os_context_t *context);
/* May a process that the one has started stand for a process that the other starts? */
static inline bool cohort_os_state_same_quick(const cohort_os_state_t *a,
                                              const cohort_os_state_t *b) {
    return memcmp(a->quick, b->quick, sizeof a->quick) == 0;
}
static inline bool cohort_os_state_same(const cohort_os_state_t *a, const cohort_os_state_t *b) {
    return cohort_os_state_same_quick(a, b) && memcmp(a->rest, b->rest, sizeof a->rest) == 0 &&
           !a->unseen;
}

/* ---- become: what a process makes of itself ------------------------------------------------- */

/* A lifeline: a process that armed it dies with the one that holds the writing end, however that
 * dies. */
typedef enum {
    COHORT_OS_LIFELINE_LEFT, /* nothing is done */
    /* armed, and it outlasts a program that closes handles which are not its own (on Linux that
     * makes the end of a process take 25 ms) */
    COHORT_OS_LIFELINE_LASTING,
    COHORT_OS_LIFELINE_BACKED,  /* armed; another process will end this one then */
    COHORT_OS_LIFELINE_DECLINED /* not armed; does not fail */
} cohort_os_lifeline_t;
/* All that is left out stays as it is. Everything but the name is for a new process. */
typedef struct {
    /* what it does with the reader that it was given, `lifeline`, which is consumed */
    cohort_os_lifeline_t hangs;
    bool alone;          /* with `hangs`: the group that it leads does not end with it */
    const char *name;    /* shown in the system's process lists, as far as that can be */
    const void *context; /* take over all of it but what signals do, which `signals` does */
    size_t context_size; /* 0: none */
    /* in a child that a server forks for a requester which waits: take over what is wished. Whether
     * the server's maker was the same in all else is for the core to see */
    const cohort_os_state_t *state;
    const cohort_os_state_t *like; /* in the end: be as this thread, which has not started it */
    /* leave terminal and session (background), and the tree that this process is in; the streams
     * are the null device, unless this process has what it shall have */
    bool detach, has_streams;
    cohort_os_tree_t *tree; /* in a copy, unless NULL: it is in this tree, which it completes */
    /* in a process that was re-executed, or forked by a server: from here on signals do what this
     * says, whatever main() has done before, in view of what they did where the context is from. An
     * interrupt that this makes it ignore is not ignored by the children that it starts */
    const cohort_os_signals_t *signals;
    /* unless NULL: then it makes itself different from its starter by these, where it can itself */
    const cohort_os_settings_t *settings;
    /* this process forks copies for others: it has no standard streams (those that come with a
     * message take their places), leaves its parent's group, so as to outlive that, and notes what
     * it is, so that a copy which takes over a state changes only what differs */
    bool serves;
    /* with `hangs`, or, with `serves`, the reader that its copies arm, or decline */
    cohort_os_handle_t lifeline;
    /* unless NULL: if it crashes it says so there, in bounded time, and then ends as it would have,
     * once handlers that were set before have had their turn. This thread has a stack for it */
    cohort_os_crash_t *crash;
} cohort_os_become_t;
/* In that order, up to the first that fails. */
apr_status_t cohort_os_become(const cohort_os_become_t *what);

/* ---- process -------------------------------------------------------------------------------- */

cohort_os_id_t cohort_os_self(void);
/* False when it has ended, zombies included, or when the pid is another process by now. `usage`,
 * unless NULL: what one that runs uses; both -1 where nothing is to be seen of it. */
bool cohort_os_alive(cohort_os_id_t process, cohort_os_usage_t *usage);
/* Their numbers on every system that has numbers for them; other numbers are the system's own. */
enum { COHORT_OS_INTERRUPT = 2, COHORT_OS_KILL = 9, COHORT_OS_TERMINATE = 15 };
/* APR_ESRCH-like (APR_FROM_OS_ERROR(ESRCH)) when it has ended; never reaches a later process with
 * the same pid. 0: could it be signalled? APR_ENOTIMPL: this system has no such signal, APR_EINVAL:
 * none has. */
apr_status_t cohort_os_signal(cohort_os_id_t process, int signal);
/* Take the exit code of an ended child of this process: 0, >0, or -signal. APR_EAGAIN: not ended
 * yet. APR_ENOENT: it is no child of ours, or another waiter took the code. Also releases what the
 * system keeps for it. */
apr_status_t cohort_os_reap(cohort_os_id_t child, int *code);

/* ---- group: what a process has started, as far as the system keeps it together -------------- */

/* Fails when the process has ended. */
apr_status_t cohort_os_hold_take(cohort_os_id_t leader, bool alone, cohort_os_hold_t *hold);
/* `kill_it`: kill the process first, if it runs, and its group. */
void cohort_os_hold_release(cohort_os_hold_t *hold, bool kill_it);

/* ---- tree: what a process has started, wherever it is --------------------------------------- */

/* Kill all that is in this tree, started by the process `leader`. `whole`: and `leader`, if it
 * runs, from which all are known that have a living parent (in no tree: NULL). `ask` not 0, with
 * `whole`: all that are found are asked to terminate first, and have until this time for it. Those
 * that are detached in the tree, or of which `spares` says so, and what they start, go on.
 * APR_TIMEUP, APR_ENOMEM: not all; else a failure has killed no process. This process is the last
 * to be killed, if it is one of them. APR_ENOTIMPL: this system tells nothing of the kind; so it
 * says of a tree without a mark, too, of which nothing is killed. NULL, and not whole: what is left
 * of the group that `leader` led, a contained child that has ended and was not reaped by this
 * process yet. When it has been reaped elsewhere, nothing may happen; what has nothing to do with
 * it is never reached. */
apr_status_t cohort_os_tree_end(const cohort_os_tree_t *tree, cohort_os_id_t leader, bool whole,
                                int64_t ask, bool (*spares)(int64_t pid));

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

/* ---- bytes ---------------------------------------------------------------------------------- */

/* Of a terminal the reading end is this process' side, and bytes go both ways. APR_ENOTIMPL: this
 * system has no such pipe. */
apr_status_t cohort_os_pipe_create(cohort_os_pipe_t what, cohort_os_handle_t *reader,
                                   cohort_os_handle_t *writer);
/* APR_EOF-like (APR_EPIPE) when the reader is gone, APR_ENOMEM when it may go better later; no
 * signal. With `streams`, unless NULL, which of them are closed is found by then (NULL and OUTPUT
 * are what they are to a start); one writer at a time, and APR_ENOTIMPL where there is no fork(),
 * so no process that would want them. */
apr_status_t cohort_os_channel_post(cohort_os_handle_t writer, uint64_t value,
                                    const cohort_os_streams_t *streams);
/* Have the reader of a flag readable or not. Raising it is safe in a signal handler. Raised, a port
 * (of flows) is woken. */
void cohort_os_flag(cohort_os_handle_t reader, cohort_os_handle_t writer, bool readable);
void cohort_os_close(cohort_os_handle_t handle);
/* A handle, and what it is, to know it again: a program may close handles that are not its own,
 * and what has the number then is another's. It must neither be used nor closed. */
typedef struct {
    cohort_os_handle_t handle;
    uint64_t device, file;
    int32_t columns; /* of a terminal, as wide as it is now, 80 if unknown; 0: it is none */
    bool has_moves;  /* of a terminal: it takes the control sequences that move the cursor */
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

/* ---- flow: bytes through many pipes, by one thread ------------------------------------------ */

apr_status_t cohort_os_port_create(cohort_os_port_t *port);
/* After its flows, which are handles that cohort_os_close() closes, by the thread that waits here;
 * what has not gone out yet is lost then. In a forked copy both release the copy's handles only. */
void cohort_os_port_close(cohort_os_port_t *port);
/* The wait that is under way, or the next one, is over. By any thread. */
static inline void cohort_os_port_wake(const cohort_os_port_t *port) {
    cohort_os_flag(port->reader, port->writer, true);
}
/* Until bytes have moved through one of the flows, or one has failed, or the port was woken.
 * `moved` and `status` are written for each of them. One thread at a time. APR_TIMEUP: none of
 * this until the deadline. */
apr_status_t cohort_os_port_wait(const cohort_os_port_t *port, cohort_os_flow_t *const *flows,
                                 int count, int64_t deadline);

/* ---- sight: whether a handle is ready ------------------------------------------------------- */

/* What holds of the handle now, of what is wanted: APR_SUCCESS, or APR_EAGAIN if nothing does.
 * Nothing is taken of it. `arm`: `stir` is called, once and by any thread, when that may have
 * changed after APR_EAGAIN; or *again is made the time of the next look, if it was later. `polled`,
 * with APR_SUCCESS: a pollset of APR tells of the handle, and nothing is done here. `wanted` 0:
 * `stir` is not called any more. APR_EBADF: it is not open. APR_ENOTIMPL: nothing tells of that.
 * A handle that is closed meanwhile is ready with all that is wanted. One thread at a time. */
apr_status_t cohort_os_sight(cohort_os_sight_t *sight, bool arm, int64_t *again);

/* ---- offer: a handle that other processes may have ------------------------------------------ */

/* Keep a copy of this handle, for as long as this process lives or until the offer's end.
 * APR_ENOTIMPL: this system has no way for that. */
apr_status_t cohort_os_offer_make(cohort_os_handle_t handle, cohort_os_offer_t *offer);
/* Have a copy of what `owner` keeps. `win` is asked when it is there: if it says no, the copy is
 * closed (APR_NOTFOUND); else the owner's is, some time later if this process dies now. `told`:
 * the owner closes it; false: it could not be told, and keeps it until cohort_os_offer_end().
 * APR_NOTFOUND also: it is kept no more. APR_EOF: the owner has ended. APR_TIMEUP. */
apr_status_t cohort_os_offer_fetch(const cohort_os_offer_t *offer, cohort_os_id_t owner,
                                   int64_t deadline, bool (*win)(void *arg), void *arg,
                                   cohort_os_handle_t *handle, bool *told);
/* In the owner: keep it no more. `taken`: it has been won, so it may have been closed already. */
void cohort_os_offer_end(const cohort_os_offer_t *offer, bool taken);

/* ---- facts ---------------------------------------------------------------------------------- */

/* What cannot change while a process runs. */
typedef struct {
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
    bool can_keep_files; /* handles have numbers that a child can keep: a gift `numbered` */
    uint32_t settings;   /* which optional settings there are: COHORT_OS_SET_... */
    bool needs_keeper;   /* contained processes outlive their parent, unless another holds them */
} cohort_os_facts_t;
const cohort_os_facts_t *cohort_os_facts(void);

/* ---- machine -------------------------------------------------------------------------------- */

/* Nanoseconds of one monotonic clock that all processes of the machine share. */
int64_t cohort_os_now(void);
/* How many, or how much; 0: unknown. Up to tens of microseconds. */
int64_t cohort_os_figure(cohort_os_figure_t what);

/* ---- code ----------------------------------------------------------------------------------- */

/* A code address as (module path, offset, build id), stable over runs; and back. An empty path is
 * the executable itself. code_at loads the module when it must: COHORT_ETARGET when it cannot,
 * COHORT_EBINARY when it is another build. */
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
/* Call `run` in a new thread of this process that never takes a signal and never outlives it. */
apr_status_t cohort_os_thread_start(void (*run)(void *arg), void *arg);

/* ---- mutex ---------------------------------------------------------------------------------- */

/* A mutex for threads of this process alone, usable when zero; a forked copy, the thread of which
 * holds none, resets it. A thread that another one cancels ends only when it holds none. */
typedef struct {
    _Alignas(8) unsigned char opaque[48];
} cohort_os_mutex_t;
void cohort_os_mutex_lock(cohort_os_mutex_t *mutex);
void cohort_os_mutex_unlock(cohort_os_mutex_t *mutex);
static inline void cohort_os_mutex_reset(cohort_os_mutex_t *mutex) {
    *mutex = (cohort_os_mutex_t){{0}};
}

#endif
