/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A process that is started by fork() has the arena from its first instruction on. One that
 * executes a program first loads that, some hundred thousand instructions during which only its
 * system calls can be noticed by others; so until it has mapped the arena it stops before and after
 * system calls only.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "step_trace.h"

#include "check.h"
#include "core/memory/arena.h"
#include "step_points.h"

#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>

#define REPETITIONS 256 /* a power of two */

void trace_seize(pid_t pid, bool children) {
    CHECK_INT(0, ptrace(PTRACE_SEIZE, pid, NULL,
                        children ? PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK : 0));
}

/* Stopped by a signal of its own making, or by what was asked for: which event, 0 = the signal. */
static int await_stop(pid_t pid, int *signal) {
    int status;
    CHECK_INT(pid, waitpid(pid, &status, __WALL));
    CHECK(WIFSTOPPED(status));
    *signal = WSTOPSIG(status);
    return status >> 16;
}

/* What it has started may end before, and tells it by a signal. */
traced_t trace_trapped(pid_t pid) {
    int signal, event;
    while ((event = await_stop(pid, &signal)) != 0 || signal != SIGTRAP) {
        CHECK(event || signal == SIGCHLD);
        CHECK_INT(0, ptrace(PTRACE_CONT, pid, NULL, event ? 0 : signal));
    }
    return (traced_t){.pid = pid};
}

traced_t trace_interrupted(pid_t pid) {
    int signal;
    CHECK_INT(0, ptrace(PTRACE_INTERRUPT, pid, NULL, NULL));
    while (await_stop(pid, &signal) != PTRACE_EVENT_STOP)
        CHECK_INT(0, ptrace(PTRACE_CONT, pid, NULL, signal));
    return (traced_t){.pid = pid};
}

static pid_t child_of_event(pid_t parent) {
    unsigned long child = 0;
    CHECK_INT(0, ptrace(PTRACE_GETEVENTMSG, parent, NULL, &child));
    return (pid_t)child;
}

traced_t trace_child(pid_t parent) {
    int signal, event;
    while ((event = await_stop(parent, &signal)) != PTRACE_EVENT_FORK &&
           event != PTRACE_EVENT_VFORK) {
        CHECK_INT(0, ptrace(PTRACE_CONT, parent, NULL, event ? 0 : signal));
    }
    pid_t child = child_of_event(parent);
    CHECK_INT(PTRACE_EVENT_STOP, await_stop(child, &signal));
    /* instead of those it has inherited */
    CHECK_INT(0,
              ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_TRACEEXEC | PTRACE_O_TRACESYSGOOD));
    CHECK_INT(0, ptrace(PTRACE_DETACH, parent, NULL, NULL));
    return (traced_t){.pid = child};
}

bool trace_at_point(traced_t *traced) {
    if (traced->is_apart) return traced->in_call;
    step_next_t next = step_next(traced->pid);
    bool again = next.left && next.at == traced->at;
    traced->at = next.at;
    return next.effect != STEP_PRIVATE && (!again || next.left % REPETITIONS == 0);
}

static bool has_arena(pid_t pid) {
    char byte;
    struct iovec to = {&byte, 1}, from = {cohort__map.base, 1};
    return process_vm_readv(pid, &to, 1, &from, 1, 0) == 1;
}

static void moved(traced_t *traced, int status) {
    if (status >> 16 == PTRACE_EVENT_EXEC) {
        traced->is_apart = traced->in_call = true; /* next comes the end of that call */
    } else if (traced->is_apart && WSTOPSIG(status) == (SIGTRAP | 0x80)) {
        traced->in_call = !traced->in_call;
        traced->is_apart = traced->in_call || !has_arena(traced->pid);
    }
}

/* What has ended by itself may be reaped by this process' watcher by now. */
void trace_move(traced_t *traced) {
    int status = 0;
    traced->ended = true;
    if (ptrace(traced->is_apart ? PTRACE_SYSCALL : PTRACE_SINGLESTEP, traced->pid, NULL, NULL) !=
        0) {
        CHECK_INT(ESRCH, errno);
        return;
    }
    if (waitpid(traced->pid, &status, __WALL) != traced->pid) {
        CHECK_INT(ECHILD, errno);
        return;
    }
    CHECK(WIFEXITED(status) || WIFSTOPPED(status));
    traced->ended = !WIFSTOPPED(status);
    if (!traced->ended) moved(traced, status);
}

void trace_let_go(traced_t *traced) {
    CHECK(traced->ended || ptrace(PTRACE_DETACH, traced->pid, NULL, NULL) == 0);
}

void trace_reap(const traced_t *traced) {
    int status = 0;
    do CHECK_INT(traced->pid, waitpid(traced->pid, &status, __WALL));
    while (!WIFSIGNALED(status));
}

void trace_kill(traced_t *traced) {
    if (traced->ended) return;
    CHECK_INT(0, kill(traced->pid, SIGKILL));
    trace_reap(traced);
    traced->ended = true;
}
