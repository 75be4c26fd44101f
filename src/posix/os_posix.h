/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What the files of this back end share with each other, and with nobody else. */
#ifndef COHORT_POSIX_OS_POSIX_H
#define COHORT_POSIX_OS_POSIX_H

#include <cohort/errors.h>

#include "core/os.h"

#include <errno.h>
#include <signal.h>
#include <sys/types.h>
#include <time.h>

/* Marks a birth that is an inode number of pidfs, as against a start time. */
#define COHORT__BIRTH_INODE ((uint64_t)1 << 63)
/* The birth of a child that was gone before it could be looked at: equal to nobody's. */
#define COHORT__BIRTH_GONE ((uint64_t)1)

#define COHORT__RETRY(result, call)               \
    do {                                          \
        (result) = (call);                        \
    } while ((result) == -1 && errno == EINTR)

/* os_bytes.c: move a descriptor above the standard three and make it close on exec; -1 with errno, and it is closed. */
int cohort__fd_safe(int fd);
apr_status_t cohort__fd_pair(int raw[2], cohort_os_handle_t *first, cohort_os_handle_t *second);
/* All of it, in however many pieces the system moves it. Returns the number of bytes: fewer at the end of the input, or when it fails. Async-signal-safe. */
size_t cohort__read_all(int fd, void *buffer, size_t size);
size_t cohort__write_all(int fd, const void *buffer, size_t size);
/* One message of a channel: 1, 0 when the writers are gone, -1 with errno (EAGAIN: none there). */
int cohort__channel_take(int reader, uint64_t *value);

/* os_arena.c: the same for every kind of shared memory object. */
int cohort__arena_object(uint64_t size); /* of the variant: a new object of that size, or -1 with errno */
bool cohort__arena_handle_is_ours(const cohort_os_arena_t *arena);

/* os_machine.c */
extern _Thread_local bool cohort__forking; /* this thread forks on behalf of cohort_os_start() */
/* What a copy of this thread should have blocked: NULL: what this thread has. Cohort's own threads block everything, but begin on behalf of another one. */
extern _Thread_local const sigset_t *cohort__copy_mask;
struct timespec cohort__timespec(int64_t nanoseconds);
/* Milliseconds until the deadline for poll(), rounded up; -1 for never. */
int cohort__milliseconds(int64_t deadline);

/* os_title.c: the command line in process lists */
void cohort__title_take(void);
void cohort__title_set(const char *name);

/* os_process.c */
void cohort__process_forked(void); /* in a forked copy */
/* Who this new child is. Where there are descriptors of processes, one is opened at once and kept for the watcher, so that the code of a child is known
 * that somebody else reaps. */
void cohort__child_identify(pid_t pid, cohort_os_id_t *id);
/* The descriptor kept for this child, which is the caller's then; -1: none. */
int cohort__child_descriptor(cohort_os_id_t child);
void cohort__child_keep(cohort_os_id_t child, int fd);
/* Exit codes seen by a watcher before somebody else could take them. */
void cohort__code_remember(cohort_os_id_t process, int code);
/* The code of an ended, unreaped child, which stays reapable. False when it runs, or is no child of ours. By its descriptor, -1: by the pid. */
bool cohort__code_peek(int fd, int64_t pid, int *code);

/* os_vfork.c: vfork(). In the child `child` is called, which must not return; `tidy`: no signal has a handler there. */
pid_t cohort__vfork(void (*child)(void *arg, bool tidy), void *arg);

/* os_lifeline_*.c: between fork and exec of a program, in the child: arm `reader` such that it outlasts exec. Async-signal-safe. */
apr_status_t cohort__lifeline_exec(int reader);

/* os_facts_*.c: what differs from system to system and is not a mechanism. */
typedef enum { COHORT__GONE, COHORT__ENDED, COHORT__RUNS, COHORT__UNKNOWN } cohort__life_t;
/* What became of a pid and, if it is there, its birth (0 when that cannot be told). */
cohort__life_t cohort__life(int64_t pid, uint64_t *birth);
/* The same of a child, by a descriptor that stays open; -1: that cannot be had. */
int cohort__life_open(int64_t pid, uint64_t *birth);
/* waitid() for the child of this descriptor; EINVAL where that cannot be had. */
int cohort__wait_exact(int fd, siginfo_t *info, int options);
/* 0, or -1 with errno; ENOSYS when only a check of the birth and kill() remain. */
int cohort__signal_exact(cohort_os_id_t process, int signal);
extern const uint64_t cohort__arena_bases[]; /* ends with 0 */
uint64_t cohort__arena_limit(uint64_t base); /* where an arena at this base must end */
/* Bytes of address space this process uses already; 0 when unknown. */
uint64_t cohort__address_space_used(void);
uint64_t cohort__memory_size(void);
/* A path that execs this program again, even when its file was replaced. */
apr_status_t cohort__own_executable(char *path, size_t size);
mode_t cohort__umask(void);
char ***cohort__environment(void); /* the address of environ */
/* CPUs that control groups allow, rounded up; 0 for no limit. */
int cohort__cpu_quota(void);
size_t cohort__affinity_get(void *set, size_t size); /* bytes used; 0 when there is nothing of the kind */
void cohort__affinity_set(const void *set, size_t size);
int cohort__affinity_count(void); /* 0 when unknown */
void cohort__thread_title(const char *name);

/* A lock of threads, free when zero. os_mutex_*.c */
#define COHORT__MUTEX_SIZE 48 /* glibc on arm64 */
void cohort__mutex_acquire(void *lock);
void cohort__mutex_release(void *lock);

#endif
