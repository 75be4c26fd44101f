/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * How many system calls a start takes in the process that asks a fork server for it, as the system
 * tells a tracer: until it waits for the child. How it waits, and how often it looks meanwhile
 * whether the server lives, is chance.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "system.h"

#ifdef __linux__
#include <errno.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#endif

#if defined(__linux__) && defined(PTRACE_GET_SYSCALL_INFO)

enum {
    BASE_CALLS = 12, /* a request, and what goes with it: the directory, limits, umask, signals */
    MORE_CALLS = 6,  /* looks at what this thread is, and whether the channel is the library's */
    LEAST_CALLS = 8, /* else it has waited before it was through */
    CALLS_MAX = 100,
    MARK = -4242 /* what the traced process closes before and after the counted start */
};

typedef struct {
    _Atomic int tid, traced;
} counted_t;

/* The server is there when the second start is counted. */
static int start_counted(void *args) {
    counted_t *counted = *(counted_t **)args;
    cohort_process_t *process;
    party_finish(party_start(nothing, NULL, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_process_create(&process, nothing, NULL, 0, NULL, NULL));
    atomic_store(&counted->tid, (int)syscall(SYS_gettid));
    while (!atomic_load(&counted->traced)) apr_sleep(1000);
    close(MARK);
    apr_status_t status = cohort_process_start(process);
    close(MARK);
    CHECK_STATUS(APR_SUCCESS, status);
    party_finish(process);
    return 0;
}

static bool is_wait(long long number) { return number == SYS_sched_yield || number == SYS_futex; }

static bool is_mark(const struct __ptrace_syscall_info *info) {
    return info->entry.nr == SYS_close && (int)info->entry.args[0] == MARK;
}

/* On to its next system call. */
static struct __ptrace_syscall_info next_call(pid_t tid) {
    struct __ptrace_syscall_info info = {0};
    int status;
    do {
        CHECK_INT(0, ptrace(PTRACE_SYSCALL, tid, NULL, NULL));
        CHECK_INT(tid, waitpid(tid, &status, __WALL));
        CHECK(WIFSTOPPED(status));
        CHECK(ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof info, &info) > 0);
    } while (info.op != PTRACE_SYSCALL_INFO_ENTRY);
    return info;
}

static int count_between_marks(pid_t tid, long long numbers[CALLS_MAX]) {
    int n = 0;
    struct __ptrace_syscall_info call = next_call(tid);
    while (!is_mark(&call)) call = next_call(tid);
    bool waits = false;
    for (call = next_call(tid); !is_mark(&call); call = next_call(tid)) {
        waits |= is_wait((long long)call.entry.nr);
        if (!waits && n < CALLS_MAX) numbers[n++] = (long long)call.entry.nr;
    }
    return n;
}

static void a_start_by_a_server_takes_few(void) {
    long long numbers[CALLS_MAX];
    int status;
    if (strcmp(test_method(), "forkserver") != 0) SKIP("by a fork server only");
    if (SANITIZED) SKIP("a sanitizer makes calls of its own");
    if (access("/proc/thread-self/status", R_OK)) SKIP("each fact takes a call of its own");
    counted_t *counted = party_memory(sizeof *counted);
    cohort_process_t *process = party_start(start_counted, &counted, sizeof counted);
    party_await(&counted->tid, (int)cohort_process_pid(process));
    pid_t tid = (pid_t)atomic_load(&counted->tid);
    if (ptrace(PTRACE_SEIZE, tid, NULL, PTRACE_O_TRACESYSGOOD) != 0) {
        atomic_store(&counted->traced, 1);
        party_end(process, 0);
        SKIP("tracing is refused");
    }
    CHECK_INT(0, ptrace(PTRACE_INTERRUPT, tid, NULL, NULL));
    CHECK_INT(tid, waitpid(tid, &status, __WALL));
    atomic_store(&counted->traced, 1);
    int n = count_between_marks(tid, numbers);
    CHECK_INT(0, ptrace(PTRACE_DETACH, tid, NULL, NULL));
    for (int i = 0; i < n; i++) printf("%lld ", numbers[i]);
    printf("are the %d calls of a start\n", n);
    CHECK(n >= LEAST_CALLS);
    CHECK(n <= BASE_CALLS + MORE_CALLS);
    party_finish(process);
}

#else

static void a_start_by_a_server_takes_few(void) { SKIP("nothing tells of system calls"); }

#endif

const test_case_t calls_cases[] = {
    {"Calls", "a_start_by_a_server_takes_few", a_start_by_a_server_takes_few},
    {0},
};
