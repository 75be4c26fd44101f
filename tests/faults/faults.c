/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "faults.h"

#include "core/memory/alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <linux/magic.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define VARIABLE "COHORT_TEST_FAULT"
#define STORM    2 /* interruptions of each call */

static _Thread_local bool armed;
static bool children_armed;
static bool hit;
static fault_kind_t kind;
static long count;
static const char *name = "";

static void set(fault_kind_t how, long n) {
    kind = how;
    count = n;
    hit = false;
    name = "";
}

void fault_arm(fault_kind_t how, long n) {
    set(how, n);
    armed = true;
}

void fault_arm_children(fault_kind_t how, long n) {
    char text[40];
    snprintf(text, sizeof text, "%d %ld", (int)how, n);
    setenv(VARIABLE, text, 1);
    set(how, n);
    children_armed = true;
}

bool fault_disarm(void) {
    armed = children_armed = false;
    unsetenv(VARIABLE);
    return hit;
}

const char *fault_name(void) { return name; }

/* Before main(): a process that was executed by an armed one. */
__attribute__((constructor)) static void inherit(void) {
    const char *text = getenv(VARIABLE);
    int how;
    long n;
    if (!text || sscanf(text, "%d %ld", &how, &n) != 2) return;
    set((fault_kind_t)how, n);
    armed = children_armed = true;
    unsetenv(VARIABLE);
}

static bool now(const char *what) {
    if (!armed || (kind != FAULT_ONCE && kind != FAULT_ONWARD)) return false;
    if (--count > 0 || (count < 0 && kind == FAULT_ONCE)) return false;
    hit = true;
    name = what;
    return true;
}

/* A call that a signal has interrupted is made again at once, so it suffices to count. */
static bool interrupted(const char *what) {
    static _Thread_local int calls;
    if (!armed || kind != FAULT_STORM || calls++ % (STORM + 1) == STORM) return false;
    hit = true;
    name = what;
    errno = EINTR;
    return true;
}

/* What a stream of bytes takes or gives may be less than what was asked for. What is moved as a
 * whole: the messages of SOCK_SEQPACKET and SOCK_DGRAM, and the number in an eventfd. A file of
 * /proc takes each write for all that it is told. */
static bool may_be_short(int fd, bool writes) {
    struct stat facts;
    struct statfs system;
    int type;
    socklen_t length = sizeof type;
    if (fstat(fd, &facts) != 0) return false;
    if (S_ISSOCK(facts.st_mode))
        return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_STREAM;
    if (S_ISREG(facts.st_mode))
        return !writes || (fstatfs(fd, &system) == 0 && system.f_type != PROC_SUPER_MAGIC);
    return S_ISFIFO(facts.st_mode);
}

/* How many bytes of these are moved. */
static size_t part(const char *what, int fd, size_t size, bool writes) {
    if (!armed || (kind != FAULT_SHORT && kind != FAULT_DRIP) || size < 2 ||
        !may_be_short(fd, writes))
        return size;
    if (kind == FAULT_SHORT && --count != 0) return size;
    hit = true;
    name = what;
    return 1;
}

static pid_t copied(pid_t pid) {
    if (pid == 0) armed = children_armed;
    return pid;
}

/* ---- the wrapped calls ---------------------------------------------------------------------- */

#define WRAP(result, call, parameters, arguments, failure, error) \
    result __real_##call parameters;                              \
    result __wrap_##call parameters;                              \
    result __wrap_##call parameters {                             \
        if (!now(#call)) return __real_##call arguments;          \
        errno = (error);                                          \
        return failure;                                           \
    }

#define WRAP_SLOW(result, call, parameters, arguments, error)            \
    result __real_##call parameters;                                     \
    result __wrap_##call parameters;                                     \
    result __wrap_##call parameters {                                    \
        if (interrupted(#call)) return -1;                               \
        if ((error) == 0 || !now(#call)) return __real_##call arguments; \
        errno = (error);                                                 \
        return -1;                                                       \
    }

#define WRAP_TRANSFER(call, parameters, arguments, writes, error) \
    ssize_t __real_##call parameters;                             \
    ssize_t __wrap_##call parameters;                             \
    ssize_t __wrap_##call parameters {                            \
        if (interrupted(#call)) return -1;                        \
        if ((error) != 0 && now(#call)) {                         \
            errno = (error);                                      \
            return -1;                                            \
        }                                                         \
        size = part(#call, fd, size, writes);                     \
        return __real_##call arguments;                           \
    }

WRAP(void *, malloc, (size_t size), (size), NULL, ENOMEM)
WRAP(void *, calloc, (size_t n, size_t size), (n, size), NULL, ENOMEM)
WRAP(char *, strdup, (const char *text), (text), NULL, ENOMEM)
WRAP(int, pipe2, (int fds[2], int flags), (fds, flags), -1, EMFILE)
WRAP(int, socketpair, (int domain, int type, int protocol, int fds[2]),
     (domain, type, protocol, fds), -1, EMFILE)
WRAP(int, memfd_create, (const char *text, unsigned flags), (text, flags), -1, EMFILE)
WRAP(void *, mmap, (void *at, size_t size, int prot, int flags, int fd, off_t offset),
     (at, size, prot, flags, fd, offset), MAP_FAILED, ENOMEM)
WRAP(int, epoll_create1, (int flags), (flags), -1, EMFILE)
WRAP(int, eventfd, (unsigned value, int flags), (value, flags), -1, EMFILE)
WRAP(char *, getcwd, (char *buffer, size_t size), (buffer, size), NULL, ENOENT)
WRAP(int, chdir, (const char *path), (path), -1, ENOMEM)
WRAP(int, execve, (const char *path, char *const argv[], char *const env[]), (path, argv, env), -1,
     ENOMEM)
WRAP(ssize_t, readlink, (const char *path, char *buffer, size_t size), (path, buffer, size), -1,
     ENOMEM)
WRAP(char *, realpath, (const char *path, char *to), (path, to), NULL, ENOMEM)
WRAP_SLOW(int, ftruncate, (int fd, off_t size), (fd, size), ENOSPC)
WRAP_SLOW(int, fallocate, (int fd, int mode, off_t offset, off_t size), (fd, mode, offset, size),
          ENOSPC)
WRAP_SLOW(int, dup2, (int from, int to), (from, to), EMFILE)
WRAP_TRANSFER(read, (int fd, void *buffer, size_t size), (fd, buffer, size), false, 0)
WRAP_TRANSFER(write, (int fd, const void *buffer, size_t size), (fd, buffer, size), true, 0)
WRAP_TRANSFER(send, (int fd, const void *buffer, size_t size, int flags), (fd, buffer, size, flags),
              true, ENOBUFS)
WRAP_TRANSFER(recv, (int fd, void *buffer, size_t size, int flags), (fd, buffer, size, flags),
              false, 0)
WRAP_SLOW(int, waitid, (idtype_t type, id_t id, siginfo_t *info, int options),
          (type, id, info, options), 0)
WRAP_SLOW(int, epoll_wait, (int fd, struct epoll_event *events, int n, int timeout),
          (fd, events, n, timeout), 0)

/* Taking something out of the set does not need memory. */
int __real_epoll_ctl(int fd, int op, int what, struct epoll_event *event);
int __wrap_epoll_ctl(int fd, int op, int what, struct epoll_event *event);
int __wrap_epoll_ctl(int fd, int op, int what, struct epoll_event *event) {
    if (op != EPOLL_CTL_ADD || !now("epoll_ctl")) return __real_epoll_ctl(fd, op, what, event);
    errno = ENOSPC;
    return -1;
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...) {
    va_list list;
    va_start(list, flags);
    mode_t mode = flags & O_CREAT ? (mode_t)va_arg(list, int) : 0;
    va_end(list);
    if (interrupted("open")) return -1;
    if (!now("open")) return __real_open(path, flags, mode);
    errno = EMFILE;
    return -1;
}

/* Only making a descriptor can fail. */
int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...) {
    va_list list;
    va_start(list, command);
    void *argument = va_arg(list, void *);
    va_end(list);
    if (command != F_DUPFD_CLOEXEC || !now("fcntl")) return __real_fcntl(fd, command, argument);
    errno = EMFILE;
    return -1;
}

static bool may_fail(long number) {
    return number == SYS_io_setup || number == SYS_io_submit
#ifdef SYS_pidfd_open
           || number == SYS_pidfd_open
#endif
        ;
}

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);
/* it reads as many arguments as a call can have, whatever was given */
__attribute__((no_sanitize_address)) long __wrap_syscall(long number, ...) {
    long a[6];
    va_list list;
    va_start(list, number);
    for (int i = 0; i < 6; i++) a[i] = va_arg(list, long);
    va_end(list);
    if (number == SYS_futex && interrupted("futex")) return -1;
    if (!may_fail(number) || !now("syscall"))
        return __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    errno = number == SYS_io_setup || number == SYS_io_submit ? EAGAIN : EMFILE;
    return -1;
}

pid_t __real_fork(void);
pid_t __wrap_fork(void);
pid_t __wrap_fork(void) {
    if (!now("fork")) return copied(__real_fork());
    errno = EAGAIN;
    return -1;
}

/* A fork() is what vfork() is elsewhere. */
pid_t __wrap_cohort__vfork(void (*child)(void *arg, bool tidy), void *arg);
pid_t __wrap_cohort__vfork(void (*child)(void *arg, bool tidy), void *arg) {
    bool fails = now("vfork");
    pid_t pid = fails ? -1 : copied(__real_fork());
    if (pid == 0) child(arg, false);
    if (fails) errno = EAGAIN;
    return pid;
}

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *arg) {
    return now("pthread_create") ? EAGAIN : __real_pthread_create(thread, attributes, run, arg);
}

/* ---- the arena ------------------------------------------------------------------------------ */

apr_status_t __real_cohort__block_new(cohort__thread_t *me, cohort__kind_t what, size_t size,
                                      cohort__owner_ptr_t *owner_ptr);
apr_status_t __wrap_cohort__block_new(cohort__thread_t *me, cohort__kind_t what, size_t size,
                                      cohort__owner_ptr_t *owner_ptr);
apr_status_t __wrap_cohort__block_new(cohort__thread_t *me, cohort__kind_t what, size_t size,
                                      cohort__owner_ptr_t *owner_ptr) {
    return now("cohort__block_new") ? APR_ENOMEM
                                    : __real_cohort__block_new(me, what, size, owner_ptr);
}

apr_status_t __real_cohort_os_arena_pages(const cohort_os_arena_t *arena, cohort_os_pages_t how,
                                          uint64_t offset, uint64_t length);
apr_status_t __wrap_cohort_os_arena_pages(const cohort_os_arena_t *arena, cohort_os_pages_t how,
                                          uint64_t offset, uint64_t length);
apr_status_t __wrap_cohort_os_arena_pages(const cohort_os_arena_t *arena, cohort_os_pages_t how,
                                          uint64_t offset, uint64_t length) {
    return how == COHORT_OS_PAGES_COMMIT && now("cohort_os_arena_pages")
               ? APR_ENOMEM
               : __real_cohort_os_arena_pages(arena, how, offset, length);
}

apr_status_t __real_cohort__exit_own(void (*run)(void));
apr_status_t __wrap_cohort__exit_own(void (*run)(void));
apr_status_t __wrap_cohort__exit_own(void (*run)(void)) {
    return now("cohort__exit_own") ? APR_ENOMEM : __real_cohort__exit_own(run);
}
