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
/* Make these the standard streams of this process, and close what it had. 0, or -1 with errno */
int cohort__streams_take(const cohort_os_streams_t *streams);
void cohort__streams_drop(void); /* it has none */
/* Copies of this process' standard streams, which stay what they are now. */
apr_status_t cohort__streams_copy(cohort_os_streams_t *streams);
/* os_context.c: see cohort_os_state_look() */
apr_status_t cohort__context_look(cohort_os_state_t *state, cohort_os_context_t *context);
/* os_lifeline_*.c: see cohort_os_become_t */
apr_status_t cohort__lifeline_take(cohort_os_handle_t reader, cohort_os_lifeline_t how, bool alone);
/* os_files_*.c: all descriptors from `first` on close on exec; 0, or -1 with errno.
 * Async-signal-safe, and meant for a child that shares them with no other process. */
int cohort__files_close_on_exec(int first);
int cohort__files_walk(int first); /* os_bytes.c: the same, one by one */
/* One message of a channel, as an event: 1, 0 when the writers are gone, -1 with errno (EAGAIN:
 * none there). The streams close not on exec. */
int cohort__channel_take(int reader, cohort_os_event_t *event);

/* os_gifts.c: is what a start gives open? And, in the child, before its standard streams are what
 * they are to be, what closes on exec being marked: give it. 0, or -1 with errno.
 * Async-signal-safe. */
apr_status_t cohort__gifts_open(const cohort_os_start_t *start);
int cohort__gifts_give(const cohort_os_start_t *start);

/* os_crash.c: from here on this process says of its crash there what is known. */
apr_status_t cohort__crash_begin(cohort_os_crash_t *crash);
typedef struct {
    char *at, *end; /* where the next character goes, and no later one */
} cohort__text_t;
void cohort__text_put(cohort__text_t *to, const char *text);
/* os_trace_*.c: where the calling thread has come from, the innermost address first; their number.
 * All that would be loaded for that is loaded by _begin(). */
void cohort__trace_begin(void);
int cohort__trace(void **frames, int most);
/* os_symbol_*.c, async-signal-safe but for _begin(): the file of a module, which the loader has
 * under this name; and the function of it that has an address for which the loader knows none, its
 * start, or 0. One thread at a time. */
void cohort__symbol_begin(void);
const char *cohort__symbol_file(const char *name, uintptr_t base);
uintptr_t cohort__symbol(const char *file, uintptr_t base, uintptr_t address, cohort__text_t *name);

/* os_settings.c: what settings say, in their order. */
enum {
    COHORT__TAKE_SIGNALS,
    COHORT__TAKE_UMASK,
    COHORT__TAKE_NICE,
    COHORT__TAKE_CPUS,
    COHORT__TAKE_LIMITS, /* one after the other */
    COHORT__TAKE_GROUPS = COHORT__TAKE_LIMITS + COHORT_OS_LIMITS,
    COHORT__TAKE_GROUP,
    COHORT__TAKE_USER,
    COHORT__TAKE_DIRECTORY,
    COHORT__TAKE_STEPS
};
/* All but the environment, up to `end`: -1, or the step that failed, with errno. `shares`: this
 * process shares its starter's memory. Async-signal-safe. */
int cohort__settings_take(const cohort_os_settings_t *settings, int end, bool shares);
/* Say so. */
apr_status_t cohort__settings_failed(const cohort_os_settings_t *settings, int step, int error);
/* `from`, with the changes, as one block of malloc()'s with the strings of the two; NULL: no
 * memory. */
const char **cohort__settings_environment(const cohort_os_settings_t *settings,
                                          const char *const *from);
/* In a function's process: all of it. */
apr_status_t cohort__settings_begin(const cohort_os_settings_t *settings);

/* os_direct.c: a copy of what that process keeps, or -1: it is to be asked. And, when it has been
 * won: that process closes its own, or false. */
int cohort__direct_fetch(const cohort_os_offer_t *offer, cohort_os_id_t owner);
bool cohort__direct_taken(const cohort_os_offer_t *offer);
void cohort__direct_forked(void); /* in a forked copy */
/* os_offer_*.c: in a forked copy */
void cohort__offers_forked(void);

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

/* os_copy.c: fork(), while no lock is held that the copy could not take any more; and modules are
 * looked through with them locked. */
pid_t cohort__copy(void);
void cohort__modules_lock(void);
void cohort__modules_unlock(void);
void cohort__modules_forked(void); /* in a forked copy */

/* os_code_*.c: what distinguishes this program's executable from another, and from another build of
 * it. */
void cohort__own_build(uint8_t build[20]);
struct dl_phdr_info;
/* dl_iterate_phdr(), with the modules locked. */
void cohort__modules_walk(int (*visit)(struct dl_phdr_info *, size_t, void *), void *arg);

/* os_arena.c: the same for every kind of shared memory object. */
/* of the variant: a new object of that size, or -1 with errno */
int cohort__arena_object(uint64_t size);
/* is it one, as far as its kind goes? It cannot be shrunk. */
bool cohort__arena_object_is(int fd, const struct stat *facts);
bool cohort__arena_handle_is_ours(const cohort_os_arena_t *arena);
uint64_t cohort__arena_default_size(void);
/* of the variant: pages of a range that is inside */
apr_status_t cohort__pages_commit(const cohort_os_arena_t *arena, uint64_t offset, uint64_t length);
void cohort__pages_discard(const cohort_os_arena_t *arena, uint64_t offset, uint64_t length);

/* os_exit_*.c: in a forked copy, `at_exit` of its start. APR_ENOMEM */
apr_status_t cohort__exit_own(void (*run)(void));
_Noreturn void cohort__leave(int code); /* exit() */

/* os_streams.c. In a new process, its streams become what a start says (`stdio`); the null device
 * where `given` (NULL: nowhere) names no stream, and what cannot have that is closed, since nothing
 * of the parent's may stay open; it leaves terminal and session; in a session of its own, the
 * terminal among its streams becomes its own. 0, or -1 with errno. Async-signal-safe. */
int cohort__null_open(void);
int cohort__streams_redirect(const cohort_os_handle_t stdio[3]);
void cohort__streams_null(const cohort_os_handle_t *given);
void cohort__detach(bool keep_streams);
int cohort__terminal_enter(const cohort_os_terminal_t *terminal);
/* A pseudo-terminal: this process' side of it, and the new process'. */
apr_status_t cohort__terminal_create(cohort_os_handle_t *ours, cohort_os_handle_t *theirs);
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
void cohort__mutexes_forked(void); /* in a forked copy: its thread holds none */

/* os_machine.c */
struct timespec cohort__timespec(int64_t nanoseconds);
/* Milliseconds until the deadline for poll(), rounded up; -1 for never. */
int cohort__milliseconds(int64_t deadline);

/* os_title.c: the command line in process lists */
void cohort__title_take(void);
void cohort__name_show(const char *name); /* there, and as the thread's name */

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
/* Kill this process, with its group if it leads one, or alone. Async-signal-safe. */
static inline void cohort__die(bool alone) {
    kill(!alone && cohort__leads_group() ? 0 : getpid(), SIGKILL);
}

/* os_mark_*.c: the mark of the trees that a process is in: a variable of the environment and, in a
 * copy, which shows that of its original, a name in its memory. Both are a list of numbers, the
 * outermost tree first; with a dash before the first one the process was detached in that tree. */
#define COHORT__MARK_NAME   "COHORT_TREE="
#define COHORT__MARK_MEMORY "cohort-tree:"
#define COHORT__MARK_DIGITS 16
#define COHORT__MARK_MAX    224 /* a list, with its zero */
/* No two on this machine are the same, nor 0. */
uint64_t cohort__mark_fresh(void);
/* Does the list name it? */
bool cohort__mark_has(const char *list, uint64_t token);
/* The innermost one; 0: the list is empty. */
uint64_t cohort__mark_last(const char *list);
/* First of all: this process is in the trees that its environment names. */
void cohort__mark_begin(void);
/* The variable of a process that is to be executed; false: it needs none. */
bool cohort__mark_variable(const cohort_os_start_t *start,
                           char text[sizeof COHORT__MARK_NAME + COHORT__MARK_MAX]);
bool cohort__mark_is(const char *variable); /* is it that one? */
/* The environment has been replaced: it bears the mark again. */
apr_status_t cohort__mark_renew(void);
/* In a copy: it is detached, or in this tree too (unless NULL). */
apr_status_t cohort__mark_enter(cohort_os_tree_t *tree, bool detach);

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
apr_status_t cohort__lifeline_wait(cohort_os_handle_t reader, bool alone);
/* os_lifeline_*.c: in a server, at first and after each copy that arms this handle, or declines it:
 * much is done for the next one in advance */
void cohort__lifeline_prepare(cohort_os_handle_t reader);
/* between fork and exec of a program, in the child: arm `reader` such that it
 * outlasts exec. Async-signal-safe. */
apr_status_t cohort__lifeline_exec(int reader, bool alone);

/* os_life_*.c: processes, as the system shows them. */
/* What /proc/PID/stat says. Linux. */
typedef struct {
    char state;
    int parent, group;
    long threads;
    unsigned long long started;
} cohort__stat_t;
/* 1; -1 when it is not understood. */
int cohort__stat_parse(const char *text, cohort__stat_t *stat);
typedef enum { COHORT__GONE, COHORT__ENDED, COHORT__RUNS, COHORT__UNKNOWN } cohort__life_t;
/* What became of a pid and, if it is there, its birth (0 when that is not known). */
cohort__life_t cohort__life_by_pid(int64_t pid, uint64_t *birth);
/* What this process has used; -1: unknown. */
cohort_os_usage_t cohort__usage(int64_t pid);
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
/* Of a child that has ended: see cohort_os_tree_end(). */
void cohort__group_end(cohort_os_id_t child);

/* os_memory_*.c */
extern const uint64_t cohort__arena_bases[]; /* ends with 0 */
uint64_t cohort__arena_limit(uint64_t base); /* where an arena at this base must end */
/* Bytes of address space this process uses already; 0 when unknown. */
uint64_t cohort__address_space_used(void);
uint64_t cohort__memory_size(void);
/* The most of it that was this process' at one time; 0: unknown. */
uint64_t cohort__memory_peak(void);
/* What this process has for itself alone; 0: unknown. */
uint64_t cohort__memory_own(void);
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
/* What a child will see its parent by, NONE where there is nothing of the kind. `own`: it is for
 * this start alone, which closes it then. */
cohort_os_handle_t cohort__witness_take(bool *own);
void cohort__witness_forked(void); /* in a forked copy */
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
bool cohort__cpu_is_idle(void); /* see COHORT_OS_CPU_IDLE */
/* of a thread, 0 = the caller; bytes used, 0 when there is nothing of the kind */
size_t cohort__affinity_get(int64_t tid, void *set, size_t size);
int cohort__affinity_count(void); /* 0 when unknown */
/* of the caller; -1 with errno. Async-signal-safe */
int cohort__affinity_set(const void *set, size_t size);
/* The number of the limit that counts the memory of a process without what it shares; -1: there is
 * none that the system keeps. */
extern const int cohort__memory_limit;
void cohort__thread_title(const char *name);
void cohort__streams_purge(void); /* drop what waits to be written to stdout and stderr */
void cohort__input_purge(void);   /* and what was read for stdin */

/* A lock of threads, free when zero. os_mutex_*.c */
#define COHORT__MUTEX_SIZE 48 /* glibc on arm64 */
void cohort__mutex_acquire(void *lock);
void cohort__mutex_release(void *lock);

#endif
