/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * vfork(), or what is closest to it. Where clone3() can (Linux 5.5), the child begins with no
 * handler of any signal, which spares it to ask for each of them. That call has no function in the
 * C library, and a function it could not be: the child, on the same stack, would overwrite where to
 * return to.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <unistd.h>

/* Nothing of the caller may live in registers over vfork(), so it has a function of its own. */
static __attribute__((noinline)) pid_t plain(void (*child)(void *arg, bool tidy), void *arg) {
#ifdef COHORT_HAVE_VFORK
    pid_t pid = vfork();
#else
    pid_t pid = fork();
#endif
    if (pid == 0) child(arg, false);
    return pid;
}

#ifdef COHORT_VFORK_BY_CLONE3

#include <linux/sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>

static inline __attribute__((always_inline)) long system_call(long number, const void *first,
                                                              size_t second) {
#ifdef __x86_64__
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "0"(number), "D"(first), "S"(second)
                     : "rcx", "r11", "memory", "cc");
    return result;
#else
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = (long)first;
    register long x1 __asm__("x1") = (long)second;
    __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1) : "memory", "cc");
    return x0;
#endif
}

/* The child goes on in this very frame, deeper, while the parent is stopped; so the frame is as it
 * was when the parent goes on. */
static __attribute__((noinline)) pid_t tidy(void (*child)(void *arg, bool tidy), void *arg) {
    struct clone_args how = {.flags = CLONE_VM | CLONE_VFORK | CLONE_CLEAR_SIGHAND,
                             .exit_signal = SIGCHLD};
    long result = system_call(SYS_clone3, &how, sizeof how);
    if (result == 0) child(arg, true);
    if (result >= 0) return (pid_t)result;
    errno = (int)-result;
    return -1;
}

/* What an older kernel does not know (ENOSYS, EINVAL), and what a sandbox does not let through, is
 * asked for once. */
pid_t cohort__vfork(void (*child)(void *arg, bool tidy), void *arg) {
    static _Atomic bool absent;
    pid_t pid = atomic_load(&absent) ? -1 : tidy(child, arg);
    if (pid >= 0 || (!atomic_load(&absent) && (errno == EAGAIN || errno == ENOMEM))) return pid;
    atomic_store(&absent, true);
    return plain(child, arg);
}

#else

pid_t cohort__vfork(void (*child)(void *arg, bool tidy), void *arg) { return plain(child, arg); }

#endif
