/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * THE SEAM: everything Cohort asks of an operating system. src/posix and src/win32 implement it, file by file:
 *   os_arena.c  os_park*.c  os_start.c  os_process.c  os_watch*.c  os_lifeline*.c  os_bytes.c  os_machine.c
 *
 * Contract:
 *  - results are apr_status_t: APR_SUCCESS or a reason; outputs are written only on success;
 *  - deadlines are absolute nanoseconds of cohort_os_now(), COHORT_OS_NEVER means no deadline;
 *  - interrupted system calls never show (no EINTR);
 *  - no child inherits a handle unless the function that starts it was given that handle;
 *  - nothing here knows a queue, a lock, a pool: those live in src/core, once.
 */
#ifndef COHORT_CORE_OS_H
#define COHORT_CORE_OS_H

#include <apr_errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COHORT_OS_NEVER INT64_MAX
#define COHORT_OS_PATH_MAX 4096

/* A file descriptor or a HANDLE. */
typedef intptr_t cohort_os_handle_t;
#define COHORT_OS_NONE ((cohort_os_handle_t)-1)

/* A process of the system, as told apart from a later one with the same pid. Lies in the arena. */
typedef struct {
    int64_t pid;
    uint64_t birth; /* any number that differs between two processes with one pid; 0 = unknown */
} cohort_os_id_t;

/* ---- arena ------------------------------------------------------------------------------------------------ */

typedef struct {
    char *base;
    uint64_t size;
    cohort_os_handle_t handle; /* what a child needs to map the same memory */
} cohort_os_arena_t;

/* Make shared memory of `size` bytes (a multiple of 1 MiB) and map it at the first base of this system's list that is free.
 * Address space only: no page may be touched before cohort_os_arena_commit(). Nothing with a name stays behind, ever.
 * COHORT_EADDRESS: no base was free. APR_ENOMEM: the system's limits do not allow this size (a smaller one may do). */
apr_status_t cohort_os_arena_create(uint64_t size, cohort_os_arena_t *arena);
/* Map an existing arena at exactly arena->base, from arena->handle. COHORT_EADDRESS when something else lies there. */
apr_status_t cohort_os_arena_attach(const cohort_os_arena_t *arena);
void cohort_os_arena_detach(cohort_os_arena_t *arena);
/* Make [offset, offset + length) usable: after success no access to it can fault for want of memory. 64 KiB granules. */
apr_status_t cohort_os_arena_commit(const cohort_os_arena_t *arena, uint64_t offset, uint64_t length);
/* Give the memory back where the system can; its contents are lost, and it must be committed again before use. */
void cohort_os_arena_discard(const cohort_os_arena_t *arena, uint64_t offset, uint64_t length);
/* Bytes of address space that are sensible by default on this machine (a few times its memory, within the bases' limits). */
uint64_t cohort_os_arena_default_size(void);

/* ---- park: sleep on a word of the arena --------------------------------------------------------------------- */

/* Bytes that the back end wants in the arena, zeroed, for its own bookkeeping; may be 0. */
size_t cohort_os_park_region_size(void);
/* Called once in each process after the arena is mapped, with that region. `fresh` in the process that made it. */
apr_status_t cohort_os_park_setup(void *region, bool fresh);
/* Sleep while *word == expected, until woken or the deadline: APR_SUCCESS (woken, changed, or for no reason) or APR_TIMEUP.
 * Works between processes. A sleeper or waker that is killed at any point harms nobody else. */
apr_status_t cohort_os_park(_Atomic uint32_t *word, uint32_t expected, int64_t deadline);
/* Wake up to `count` sleepers of the word, which was changed before; returns how many were woken. Too high an estimate is allowed; 0 only when nobody
 * sleeps, or when the change alone wakes all sleepers. */
int cohort_os_wake(_Atomic uint32_t *word, int count);
/* A process has died: drop what it left in the region. */
void cohort_os_park_forget(cohort_os_id_t dead);

/* ---- start -------------------------------------------------------------------------------------------------- */

/* What a re-executed child is told before it runs a line of its own. Travels by the environment, never further than that child. */
typedef struct {
    uint32_t version; /* COHORT_OS_BOOT_VERSION; checked by boot_take */
    uint32_t role;    /* the core's own */
    uint64_t slot;    /* the core's own: which process this is */
    uint64_t base;    /* the arena */
    uint64_t size;
    cohort_os_handle_t arena;
    cohort_os_handle_t lifeline; /* reader to die with, or NONE */
    cohort_os_handle_t channel;  /* reader of requests, or NONE */
} cohort_os_boot_t;
#define COHORT_OS_BOOT_VERSION 2u

typedef enum {
    COHORT_OS_FORK,    /* a copy of the caller, its calling thread alone; APR_ENOTIMPL where there is none */
    COHORT_OS_REEXEC,  /* the own executable again, with `boot` */
    COHORT_OS_PROGRAM  /* another program */
} cohort_os_how_t;

typedef struct {
    cohort_os_how_t how;
    const cohort_os_boot_t *boot;  /* REEXEC: handles in it are given to the child */
    const char *path;              /* PROGRAM: searched on PATH when it has no separator; REEXEC: NULL = own executable */
    const char *const *argv;       /* PROGRAM: NULL-terminated; REEXEC: NULL */
    const char *const *env;        /* NULL = the caller's; "NAME=value", NULL-terminated, any order */
    const char *cwd;               /* NULL = the caller's */
    const char *name;              /* REEXEC: shown in process lists from the start */
    cohort_os_handle_t stdio[3];   /* NONE = inherit */
    cohort_os_handle_t lifeline;   /* PROGRAM: reader to die with, or NONE */
    bool detach;                   /* own session, no terminal, survives the caller (background) */
} cohort_os_start_t;

/* Start a process. In a FORK child this returns APR_SUCCESS with *in_child = true (signal mask and dispositions as in the
 * parent). For the other two, errors of exec itself (no such program, no such directory, not executable) are
 * returned here, with errno's meaning, and no child exists then. */
apr_status_t cohort_os_start(const cohort_os_start_t *start, cohort_os_id_t *child, bool *in_child);

/* First thing in cohort_initialize(): if this process was started with REEXEC, take the boot block out of the environment (so that
 * nothing this process starts later sees it) and return APR_SUCCESS. APR_ENOENT: an ordinary program run.
 * COHORT_EVERSION: a boot block of another version. The block must belong to this very process (its pid is in it). */
apr_status_t cohort_os_boot_take(cohort_os_boot_t *boot);

/* What a child made by a server must take over from the requester: cwd, umask, environment, CPU affinity. Opaque bytes.
 * capture: *length is the capacity on entry, the need on return; APR_ENOSPC when that was too little. */
apr_status_t cohort_os_context_capture(void *buffer, size_t *length);
apr_status_t cohort_os_context_apply(const void *buffer, size_t length);
/* Changes when the caller's credentials (users, groups) do. */
uint64_t cohort_os_credentials(void);
/* In a child: leave the terminal and session (background). stdin becomes null. */
void cohort_os_detach(void);
/* End this process now, without atexit handlers; with `flush` stdout and stderr are flushed first. */
_Noreturn void cohort_os_exit(int code, bool flush);

/* ---- process ------------------------------------------------------------------------------------------------ */

cohort_os_id_t cohort_os_self(void);
/* False when it has ended, zombies included, or when the pid is another process by now. */
bool cohort_os_alive(cohort_os_id_t process);
typedef enum { COHORT_OS_TERMINATE, COHORT_OS_KILL, COHORT_OS_INTERRUPT } cohort_os_signal_t;
/* APR_ESRCH-like (APR_FROM_OS_ERROR(ESRCH)) when it has ended; never reaches a later process with the same pid. */
apr_status_t cohort_os_signal(cohort_os_id_t process, cohort_os_signal_t signal);
/* Take the exit code of an ended child of this process: 0, >0, or -signal. APR_EAGAIN: not ended yet.
 * APR_ENOENT: it is no child of ours, or somebody else took the code. Also releases what the system keeps for it. */
apr_status_t cohort_os_reap(cohort_os_id_t child, int *code);

/* ---- watch: wait for the ends of processes, and for messages ---------------------------------------------------- */

typedef struct cohort_os_watch_t cohort_os_watch_t;
typedef enum {
    COHORT_OS_ENDED,   /* process `cookie` has ended; reap it now */
    COHORT_OS_MESSAGE, /* `value` arrived on the channel */
    COHORT_OS_GONE     /* the channel's writers are all gone */
} cohort_os_event_kind_t;
typedef struct {
    cohort_os_event_kind_t kind;
    uint64_t cookie; /* ENDED */
    uint64_t value;  /* MESSAGE */
} cohort_os_event_t;

apr_status_t cohort_os_watch_create(cohort_os_watch_t **watch);
/* Also closes it; in a forked copy it releases the copy's handles only. */
void cohort_os_watch_destroy(cohort_os_watch_t *watch);
/* What watching one process needs of memory, so that it is there before the process is: whoever was started can be watched. */
typedef struct { _Alignas(16) unsigned char opaque[128]; } cohort_os_watch_room_t;
/* Report the end of this process once, by ENDED with the cookie. `child`: it is a child of the calling process.
 * Others may be watched too (the system may need to poll them). `room` is the watch's until then, or until the watch is destroyed. Fails only
 * where the system itself may refuse. Thread-safe against watch_wait in another thread. */
apr_status_t cohort_os_watch_process(cohort_os_watch_t *watch, cohort_os_watch_room_t *room, cohort_os_id_t process, bool child, uint64_t cookie);
apr_status_t cohort_os_watch_channel(cohort_os_watch_t *watch, cohort_os_handle_t reader);
/* One event, or APR_TIMEUP. One thread at a time. */
apr_status_t cohort_os_watch_wait(cohort_os_watch_t *watch, int64_t deadline, cohort_os_event_t *event);
/* Whoever waits for watched children by himself: from begin to done the watch reports none of these. The thread must not be cancelled meanwhile.
 * begin: `rooms` and `count` are filled in (a room is zero until its process is watched); false, and nothing has begun: not this way (never, on some
 * systems). It is thread-safe as watch_process.
 * end: sleep until one of them has ended, rooms[*which], with this exit code, and is there to be reaped still. APR_TIMEUP; anything else: it cannot be told.
 * done: `told` is the one whose end the caller has told, -1 for none: the watch does not know it any more, as if it had been reported.
 * Not called when the watch was destroyed meanwhile. */
#define COHORT_OS_AWAIT_MAX 16
typedef struct {
    cohort_os_watch_room_t *rooms[COHORT_OS_AWAIT_MAX];
    cohort_os_id_t children[COHORT_OS_AWAIT_MAX];
    cohort_os_handle_t handles[COHORT_OS_AWAIT_MAX];
    int count;
} cohort_os_await_t;
bool cohort_os_await_begin(cohort_os_watch_t *watch, cohort_os_await_t *await);
apr_status_t cohort_os_await_end(const cohort_os_await_t *await, int64_t deadline, int *which, int *code);
void cohort_os_await_done(cohort_os_watch_t *watch, const cohort_os_await_t *await, int told);

/* ---- lifeline: die with another process, however it dies ------------------------------------------------------------- */

/* The holder keeps `keeper` open (it is never inherited); whoever armed `reader` is killed when the holder is gone. */
apr_status_t cohort_os_lifeline_create(cohort_os_handle_t *reader, cohort_os_handle_t *keeper);
/* Arm it for this process. The handle is consumed. It outlasts a program that closes handles which are not its own, unless it is `backed`: somebody else will
 * end this process then. (On Linux the former makes the end of a process take 25 ms.) */
apr_status_t cohort_os_lifeline_arm(cohort_os_handle_t reader, bool backed);
/* Instead: let go of it. */
void cohort_os_lifeline_decline(cohort_os_handle_t reader);
/* For who forks copies that arm this handle, and no other, or decline it: at first and after each, so that much is done for the next one in advance. */
void cohort_os_lifeline_prepare(cohort_os_handle_t reader);

/* ---- bytes ------------------------------------------------------------------------------------------------------------- */

/* 64-bit messages from any number of writers to one watcher. post: APR_EOF-like (APR_EPIPE) when the reader is gone, APR_ENOMEM when it
 * may go better later; no signal. */
apr_status_t cohort_os_channel_create(cohort_os_handle_t *reader, cohort_os_handle_t *writer);
apr_status_t cohort_os_channel_post(cohort_os_handle_t writer, uint64_t value);
/* A byte pipe for the standard streams of a program. */
apr_status_t cohort_os_pipe_create(cohort_os_handle_t *reader, cohort_os_handle_t *writer);
/* The null device, for reading and writing. */
apr_status_t cohort_os_null_open(cohort_os_handle_t *handle);
void cohort_os_close(cohort_os_handle_t handle);

/* ---- machine ------------------------------------------------------------------------------------------------------------- */

/* Nanoseconds of one monotonic clock that all processes of the machine share. */
int64_t cohort_os_now(void);
/* CPUs that this process may use: affinity and control groups considered; at least 1. */
int cohort_os_cpu_count(void);
/* The CPU that the caller runs on now, or -1. */
int cohort_os_cpu(void);
/* Does an interrupt (Ctrl-C) end this process, as is the default, or pass it by? Also for children it forks. */
void cohort_os_set_interrupts(bool on);
/* Facts about the system. */
bool cohort_os_can_fork(void);       /* COHORT_OS_FORK works */
bool cohort_os_fork_is_default(void); /* forking from a single-threaded process is sound here, so a fork server is the best way to start */
/* One step of a busy wait, and giving up the CPU. */
void cohort_os_relax(void);
void cohort_os_yield(void);
/* Show this name for the calling process in the system's process lists, as far as the system allows. */
void cohort_os_set_name(const char *name);
/* A code address as (module path, offset, build id), stable over runs; and back. An empty path is the executable itself.
 * code_at loads the module when it must: COHORT_ETARGET when it cannot, COHORT_EBINARY when it is another build. */
typedef struct {
    char path[512];
    uint64_t offset;
    uint8_t build[20];
} cohort_os_code_t;
apr_status_t cohort_os_code_find(const void *address, cohort_os_code_t *code);
apr_status_t cohort_os_code_at(const cohort_os_code_t *code, void **address);
/* Hooks: `forked` runs in every fork() copy of this process that is not made by cohort_os_start(); `thread_exit` runs when a thread ends
 * that has called cohort_os_thread_mark(), with the pointer it marked. */
apr_status_t cohort_os_hooks(void (*forked)(void), void (*thread_exit)(void *mark));
void cohort_os_thread_mark(void *mark);
/* Call `run` when this process exits in an orderly way, while its threads still run (a library's own atexit() comes too late for that on
 * some systems). The last one registered is the first one called. */
apr_status_t cohort_os_at_exit(void (*run)(void));
/* Call `run` in a new thread of this process that never takes a signal and never outlives it. */
apr_status_t cohort_os_thread_start(void (*run)(void *arg), void *arg);
/* A mutex for threads of this process alone, usable when zero; `reset` makes it free in a forked copy. A thread that another one cancels ends only when it
 * holds none. */
typedef struct { _Alignas(8) unsigned char opaque[64]; } cohort_os_mutex_t;
void cohort_os_mutex_lock(cohort_os_mutex_t *mutex);
void cohort_os_mutex_unlock(cohort_os_mutex_t *mutex);
void cohort_os_mutex_reset(cohort_os_mutex_t *mutex);
/* The same without a mutex: from forbid to allow, which takes what forbid has returned, this thread is not cancelled. */
bool cohort_os_forbid_cancel(void);
void cohort_os_allow_cancel(bool forbidden);

#endif
