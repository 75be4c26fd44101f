/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What the files of this back end share with each other alone. */
#ifndef COHORT_POSIX_OS_POSIX_H
#define COHORT_POSIX_OS_POSIX_H

#include <cohort/errors.h>

#include "core/base/os.h"

#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

/* Marks a birth that is an inode number of pidfs, as against a start time. */
#define COHORT__BIRTH_INODE ((uint64_t)1 << 63)
/* The birth of a child that was gone before it could be looked at: equal to no process'. */
#define COHORT__BIRTH_GONE ((uint64_t)1)

#define COHORT__RETRY(result, call) \
    do {                            \
        (result) = (call);          \
    } while ((result) == -1 && errno == EINTR)

/* os_bytes.c: move a descriptor above the standard three and make it close on exec; -1 with errno,
 * and it is closed. */
int cohort__fd_safe(int fd);
apr_status_t cohort__fd_pair(int raw[2], cohort_os_handle_t *first, cohort_os_handle_t *second);
/* All of it, in however many pieces the system moves it. Returns the number of bytes: fewer at the
 * end of the input, or when it fails. Async-signal-safe. */
size_t cohort__read_all(int fd, void *buffer, size_t size);
size_t cohort__write_all(int fd, const void *buffer, size_t size);
/* os_files_*.c: all descriptors from `first` on close on exec; 0, or -1 with errno.
 * Async-signal-safe, and meant for a child that shares them with no other process. */
int cohort__files_close_on_exec(int first);
int cohort__files_walk(int first); /* os_bytes.c: the same, one by one */
/* One message of a channel, as an event: 1, 0 when the writers are gone, -1 with errno (EAGAIN:
 * none there). The streams close not on exec. */
int cohort__channel_take(int reader, cohort_os_event_t *event);

/* os_boot.c: writes "COHORT_BOOT=...", and returns where in it the child writes its pid. The latter
 * is async-signal-safe. */
#define COHORT__BOOT_MAX 320
char *cohort__boot_write(char text[COHORT__BOOT_MAX], const cohort_os_boot_t *boot,
                         cohort_os_handle_t witness);
void cohort__boot_write_pid(char *digits);
bool cohort__boot_is(const char *variable); /* is it that one? */
/* In the child of a vfork, before the program is executed again: the real and saved user and group
 * become the effective ones. 0, or -1 with errno. */
int cohort__boot_settle_user(void);

/* os_code_*.c: what distinguishes this program's executable from another, and from another build of
 * it. */
void cohort__own_build(uint8_t build[20]);

/* os_arena.c: the same for every kind of shared memory object. */
/* of the variant: a new object of that size, or -1 with errno */
int cohort__arena_object(uint64_t size);
/* is it one, as far as its kind goes? It cannot be shrunk. */
bool cohort__arena_object_is(int fd, const struct stat *facts);
bool cohort__arena_handle_is_ours(const cohort_os_arena_t *arena);

/* os_exit_*.c: exit(), in a forked copy as cohort_os_exit_own() says. */
_Noreturn void cohort__leave(int code);

/* os_start.c: leave terminal and session; the streams are the null device */
void cohort__detach(void);
/* this thread forks on behalf of cohort_os_start(). */
extern _Thread_local bool cohort__forking;

/* os_thread.c */
/* What a copy of this thread should have blocked: NULL: what this thread has. Cohort's own threads
 * block everything, but begin on behalf of another one. */
extern _Thread_local const sigset_t *cohort__copy_mask;
/* of the back end, which last as long as the process */
extern _Atomic int cohort__own_threads;

/* os_copies_*.c: these pages are to read as zero in copies, where the system can do that; else the
 * fork handler has to do. */
void cohort__clear_in_copies(void *pages, size_t size);

/* os_mutex.c: may another thread cancel this one from now on? Tells whether it could. */
bool cohort__allow_cancel(bool allowed);

/* os_machine.c */
struct timespec cohort__timespec(int64_t nanoseconds);
/* Milliseconds until the deadline for poll(), rounded up; -1 for never. */
int cohort__milliseconds(int64_t deadline);

/* os_title.c: the command line in process lists */
void cohort__title_take(void);
void cohort__title_set(const char *name);

/* os_process.c */
void cohort__process_forked(void); /* in a forked copy */
/* The identity of this new child. Where there are descriptors of processes, one is opened at once
 * and kept for the watcher, so that the code of a child is known that is reaped elsewhere. */
void cohort__child_identify(pid_t pid, cohort_os_id_t *id);
/* The descriptor kept for this child, which is the caller's then; -1: none. */
/* A descriptor of the process with this number, which closes on exec; -1 and errno. */
int cohort__pidfd_open(int64_t pid);
int cohort__child_descriptor(cohort_os_id_t child);
void cohort__child_keep(cohort_os_id_t child, int fd);
/* Exit codes seen by a watcher before another waiter could take them. */
void cohort__code_remember(cohort_os_id_t process, int code);
/* The code of an ended, unreaped child, which stays reapable. False when it runs, or is no child of
 * ours. By its descriptor, -1: by the pid. */
bool cohort__code_peek(int fd, int64_t pid, int *code);
/* An ended child that has not been reaped yet. By its descriptor, if that is not -1. */
bool cohort__is_unreaped(int fd, cohort_os_id_t child);

/* os_group*.c */
/* In the child, before exec of a program or in a copy. Async-signal-safe. */
void cohort__group_enter(cohort_os_group_t group);
void cohort__group_leave(void);
static inline bool cohort__leads_group(void) { return getpgrp() == getpid(); }
/* Kill this process, with its group if it leads one. Async-signal-safe. */
static inline void cohort__die(void) { kill(cohort__leads_group() ? 0 : getpid(), SIGKILL); }

/* What a child takes over and nothing but /proc shows in one look. */
typedef struct {
    /* signals: by this process, by this thread; signal 1 is the lowest bit */
    uint64_t ignored, blocked;
    uint32_t mode;           /* umask */
    uint32_t interrupts_off; /* SIGINT is ignored by this library, not by the host */
} cohort__status_t;

/* os_signals.c. In the child of a vfork, before exec, with all signals blocked: `tidy`: none has a
 * handler; `before`: what the starter had blocked. Async-signal-safe. */
void cohort__signals_exec(cohort_os_signals_t what, bool tidy, bool reexec, const sigset_t *before);
/* In a forked copy with all signals blocked: *mask is what the starter had blocked, and then what
 * is to be blocked. */
void cohort__signals_forked(cohort_os_signals_t what, sigset_t *mask);
/* The part of the status that is about signals: by asking; what the host would see of it; and, in
 * the child, before it begins. */
void cohort__signals_tell(cohort__status_t *status);
void cohort__signals_complete(cohort__status_t *status);
void cohort__signals_received(const cohort__status_t *status);
/* In a new process: from here on they do what `what` says. */
void cohort__signals_begin(cohort_os_signals_t what);
/* In a server, which has begun: it ignores these, and only this library will change that. */
void cohort__signals_settled(uint64_t ignored);

/* os_state_*.c: all but the quick part, and the status, but for what this library does about
 * signals. */
apr_status_t cohort__state_rest(cohort_os_state_t *state, cohort__status_t *status);
/* os_context.c: the parts of a context; `signals`: what they did is told. The environment is one
 * block of malloc()'s, the strings are those in the buffer. */
apr_status_t cohort__context_apply(const void *buffer, size_t length, bool signals);
apr_status_t cohort__context_environment(const void *buffer, size_t length,
                                         const char ***environment);

/* os_adopt_*.c: in a server, know what it is; in its copy, take over what is wished */
apr_status_t cohort__state_remember(void);
apr_status_t cohort__state_adopt(const cohort_os_state_t *wanted);

/* os_state_*.c: know what this process begins with. */
void cohort__state_begin(void);
/* What lies where among the wishes of a state. */
enum {
    COHORT__WISH_PID,
    COHORT__WISH_TID, /* where each thread has its own */
    COHORT__WISH_PROCESS_GROUP,
    COHORT__WISH_NICE,   /* where all threads have the same */
    COHORT__WISH_LIMITS, /* a soft and a hard one for each, by the system's number */
    COHORT__WISH_LIMITS_MAX = 16
};

/* os_vfork.c: vfork(). In the child `child` is called, which must not return; `tidy`: no signal has
 * a handler there. */
pid_t cohort__vfork(void (*child)(void *arg, bool tidy), void *arg);

/* os_lifeline.c: a thread that waits for the end of the pipe, and ends this process then. The
 * handle is consumed. */
apr_status_t cohort__lifeline_wait(cohort_os_handle_t reader);
/* os_lifeline_*.c: in a server, at first and after each copy that arms this handle, or declines it:
 * much is done for the next one in advance */
void cohort__lifeline_prepare(cohort_os_handle_t reader);
/* between fork and exec of a program, in the child: arm `reader` such that it
 * outlasts exec. Async-signal-safe. */
apr_status_t cohort__lifeline_exec(int reader);

/* os_life_*.c: processes, as the system shows them. */
typedef enum { COHORT__GONE, COHORT__ENDED, COHORT__RUNS, COHORT__UNKNOWN } cohort__life_t;
/* What became of a pid and, if it is there, its birth (0 when that is not known). */
cohort__life_t cohort__life_by_pid(int64_t pid, uint64_t *birth);
/* All threads of this process that run; 0: unknown. */
int cohort__threads(void);
bool cohort__is_first_thread(void);

/* os_exact_*.c: by descriptors of processes, or without */
cohort__life_t cohort__life(int64_t pid, uint64_t *birth); /* the same as by_pid */
/* The same of a child, by a descriptor that stays open; -1: that cannot be had. */
int cohort__life_open(int64_t pid, uint64_t *birth);
/* waitid() for the child of this descriptor; EINVAL where that cannot be had. */
int cohort__wait_exact(int fd, siginfo_t *info, int options);
/* 0, or -1 with errno; ENOSYS when only a check of the birth and kill() remain. */
int cohort__signal_exact(cohort_os_id_t process, int signal);
/* The same of the group that this process leads or has led, by its descriptor; ESRCH: no process is
 * in it. Any other failure: this cannot be had. */
int cohort__signal_group(int fd, cohort_os_id_t leader, int signal);

/* os_memory_*.c */
extern const uint64_t cohort__arena_bases[]; /* ends with 0 */
uint64_t cohort__arena_limit(uint64_t base); /* where an arena at this base must end */
/* Bytes of address space this process uses already; 0 when unknown. */
uint64_t cohort__address_space_used(void);
uint64_t cohort__memory_size(void);
/* Does the system lock in memory what this process maps from now on, as mlockall() asks it to? */
bool cohort__locks_new_memory(void);
/* Unlock this mapping, grow it to `size` bytes where it is, and have pages locked as they are used
 * if that is allowed. Its address; MAP_FAILED, with errno, and it is unmapped. */
void *cohort__grow_unlocked(void *at, size_t mapped, size_t size);
/* Open again what another process has open under this number, and what is mapped at an address;
 * -1 with errno. */
int cohort__file_of(int64_t pid, int number);
int cohort__file_mapped(const void *at);

/* os_rights_*.c */
bool cohort__is_privileged(void); /* the fact */
/* Real, effective and saved user, or group, of the calling thread alone; in the child of a vfork.
 * 0, or -1 with errno. */
int cohort__change_user(uid_t user);
int cohort__change_group(gid_t group);
/* What a child will see its parent by: theirs, ours; NONE where there is nothing of the kind. */
void cohort__witness_create(cohort_os_handle_t witness[2]);
/* The user as which our parent, this pid, runs, by the system's own word; false: that cannot be
 * told. */
bool cohort__parent_user(int witness, int64_t parent, uid_t *user);

/* os_program_*.c */
/* A path that execs this program again, even when its file was replaced. */
apr_status_t cohort__own_executable(char *path, size_t size);
char ***cohort__environment(void);  /* the address of environ */
bool cohort__fork_is_default(void); /* the fact */

/* os_machine_*.c: what differs from system to system and is no mechanism. */
/* A small file of the system's, as a string: its length, or -1. Linux. */
ssize_t cohort__read_text(const char *path, char *buffer, size_t size);
/* A number above all open descriptors. Async-signal-safe. */
int cohort__files_bound(void);
/* CPUs that control groups allow, rounded up; 0 for no limit. */
int cohort__cpu_quota(void);
/* of a thread, 0 = the caller; bytes used, 0 when there is nothing of the kind */
size_t cohort__affinity_get(int64_t tid, void *set, size_t size);
int cohort__affinity_count(void); /* 0 when unknown */
void cohort__thread_title(const char *name);
void cohort__streams_purge(void); /* drop what waits to be written to stdout and stderr */

/* A lock of threads, free when zero. os_mutex_*.c */
#define COHORT__MUTEX_SIZE 48 /* glibc on arm64 */
void cohort__mutex_acquire(void *lock);
void cohort__mutex_release(void *lock);

#endif
