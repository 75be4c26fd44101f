/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The seam on POSIX systems: what a process says of its own crash, and that it ends as it would
 * have without. Each case crashes in a fork() of the test, in all ways that there are. */
#ifdef _WIN32

#include "check.h"

const test_case_t os_posix_crash_cases[] = {{0}};

#else

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "seam_posix.h"

#include <dlfcn.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* What the crashing process has in common with the test. */
typedef struct {
    cohort_os_crash_t crash;
    _Atomic int first;  /* the program's handler was called, and nothing was said before */
    _Atomic int second; /* another one of it was, after that */
    _Atomic int went_on;
} scene_t;

static scene_t *scene;
static volatile uintptr_t nowhere = 0x10;

/* No sanitizer is to see it coming. */
__attribute__((no_sanitize("undefined"))) static void fault(void) { *(volatile int *)nowhere = 1; }

static volatile int depth;

static int overflow(int n) {
    volatile char frame[1024];
    frame[n % 1000] = (char)++depth;
    return depth < 0 ? 0 : overflow(n + 1) + frame[n % 1000];
}

static void overflows(void) { (void)overflow(1); }

static void aborts(void) { abort(); }

static void is_sent(void) {
    kill(getpid(), SIGSEGV);
    for (;;) pause();
}

/* What a sanitizer has set would go first. */
static void forget_handlers(void) {
    const int numbers[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    for (int i = 0; i < 5; i++) signal(numbers[i], SIG_DFL);
}

static void report(void) {
    cohort_os_become_t what = {.crash = &scene->crash};
    if (cohort_os_become(&what)) _exit(20);
}

/* Some systems have macros that want a variable. */
static int signal_of(int status) { return WTERMSIG(status); }
static int code_of(int status) { return WEXITSTATUS(status); }

/* How a process ends that does this, as waitpid() says it. Core dumps go where nobody reads them;
 * whether there was one is known all the same. */
static int end_of(void (*prepare)(void), void (*body)(void)) {
    const struct rlimit most = {1 << 20, 1 << 20};
    int status = 0;
    memset(scene, 0, sizeof *scene);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        char name[] = "/tmp/cohort-crash-XXXXXX";
        if (!mkdtemp(name) || chdir(name) || rmdir(name)) _exit(21);
        setrlimit(RLIMIT_CORE, &most);
        forget_handlers();
        if (prepare) prepare();
        body();
        _exit(22);
    }
    CHECK_INT(pid, waitpid(pid, &status, 0));
    return status;
}

static void setup(void) {
    scene = mmap(NULL, sizeof *scene, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(scene != MAP_FAILED);
}

static bool said(const char *first) {
    return strncmp(scene->crash.text, first, strlen(first)) == 0;
}

/* ---- ends ----------------------------------------------------------------------------------- */

static void ends_as_without(void) {
    static void (*const ways[])(void) = {fault, overflows, aborts, is_sent};
    static const char *const firsts[] = {"SIGSEGV at 0x10", "SIGSEGV at 0x", "SIGABRT", "SIGSEGV"};
    setup();
    for (int i = 0; i < 4; i++) {
        int without = end_of(NULL, ways[i]);
        CHECK_INT(0, atomic_load(&scene->crash.code));
        CHECK(WIFSIGNALED(without));
        CHECK_INT(without, end_of(report, ways[i]));
        CHECK_INT(-WTERMSIG(without), atomic_load(&scene->crash.code));
        CHECK(said(firsts[i]));
    }
}

/* A name that is not exported, where the unwinder and the file's symbols have it. */
static void names_functions(void) {
    setup();
    (void)end_of(report, fault);
#if defined __linux__ && (defined __x86_64__ || defined __aarch64__)
    CHECK(said("SIGSEGV at 0x10 in function fault\n#0 0x"));
#ifdef __GLIBC__
    if (strstr(scene->crash.text, "\n#1")) CHECK(strstr(scene->crash.text, " in end_of+0x"));
#endif
#endif
}

static void *crash_elsewhere(void *unused) {
    (void)unused;
    fault();
    return NULL;
}

static void in_a_thread(void) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, crash_elsewhere, NULL) == 0) pthread_join(thread, NULL);
}

static void other_threads(void) {
    setup();
    CHECK_INT(SIGSEGV, signal_of(end_of(report, in_a_thread)));
    CHECK(said("SIGSEGV at 0x10"));
}

static void copy_crashes(void) {
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) fault();
    waitpid(pid, &status, 0);
    _exit(WIFSIGNALED(status) ? WTERMSIG(status) : 0);
}

/* A copy of the process says nothing, and ends as ever. */
static void copies(void) {
    setup();
    CHECK_INT(SIGSEGV, code_of(end_of(report, copy_crashes)));
    CHECK_INT(0, atomic_load(&scene->crash.code));
}

/* ---- handlers of the program ---------------------------------------------------------------- */

static struct sigaction chained;

static void set_handler(void (*handler)(int), struct sigaction *before) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    sigaction(SIGSEGV, &action, before);
}

static void notes_and_ends(int number) {
    atomic_store(&scene->first, atomic_load(&scene->crash.code) == 0);
    signal(number, SIG_DFL);
}

static void with_handler_before(void) {
    set_handler(notes_and_ends, NULL);
    report();
}

static void notes_and_hands_on(int number) {
    atomic_store(&scene->second, atomic_load(&scene->crash.code) == 0);
    if (chained.sa_flags & SA_SIGINFO) {
        siginfo_t info = {.si_signo = number};
        ucontext_t context;
        memset(&context, 0, sizeof context);
        chained.sa_sigaction(number, &info, &context);
    } else if (chained.sa_handler != SIG_DFL) chained.sa_handler(number);
}

static void with_handler_after(void) {
    report();
    set_handler(notes_and_hands_on, &chained);
}

/* As with an initializer that sets a handler which hands on to what was there. */
static void with_handlers_between(void) {
    set_handler(notes_and_ends, NULL);
    report();
    set_handler(notes_and_hands_on, &chained);
    report();
}

/* As in a worker that is a copy of a worker: the one that hands on gets itself from there. */
static void with_handlers_in_a_copy(void) {
    int status = 0;
    with_handlers_between();
    pid_t copy = fork();
    if (copy == 0) {
        report();
        set_handler(notes_and_hands_on, &chained);
        report();
        return;
    }
    CHECK_INT(copy, waitpid(copy, &status, 0));
    signal(SIGSEGV, SIG_DFL);
    if (WIFSIGNALED(status)) raise(WTERMSIG(status));
    _exit(1);
}

static void handlers_go_first(void) {
    setup();
    CHECK_INT(SIGSEGV, signal_of(end_of(with_handler_before, fault)));
    CHECK_INT(1, atomic_load(&scene->first));
    CHECK(said("SIGSEGV at 0x10"));
    CHECK_INT(SIGSEGV, signal_of(end_of(with_handler_after, fault)));
    CHECK_INT(1, atomic_load(&scene->second));
    CHECK(said("SIGSEGV"));
    CHECK_INT(SIGSEGV, signal_of(end_of(with_handlers_between, fault)));
    CHECK_INT(1, atomic_load(&scene->first));
    CHECK_INT(1, atomic_load(&scene->second));
    CHECK(said("SIGSEGV"));
    CHECK_INT(SIGSEGV, signal_of(end_of(with_handlers_in_a_copy, fault)));
    CHECK_INT(1, atomic_load(&scene->second));
    CHECK(said("SIGSEGV"));
}

static sigjmp_buf back;

static void jumps(int number) {
    (void)number;
    siglongjmp(back, 1);
}

static void exits(int number) {
    (void)number;
    _exit(7);
}

static void with_jump(void) {
    set_handler(jumps, NULL);
    report();
}

static void with_exit(void) {
    set_handler(exits, NULL);
    report();
}

/* Again and again, and then another crash. */
static void faults_and_goes_on(void) {
    for (volatile int i = 0; i < 100; i++)
        if (!sigsetjmp(back, 1)) fault();
    atomic_store(&scene->went_on, atomic_load(&scene->crash.code) == 0);
    abort();
}

static void *page;

static void makes_page(int number) {
    (void)number;
    mprotect(page, 4096, PROT_READ | PROT_WRITE);
}

static void with_repair(void) {
    set_handler(makes_page, NULL);
    report();
}

static void writes_to_page(void) {
    page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *(volatile char *)page = 1;
    atomic_store(&scene->went_on, atomic_load(&scene->crash.code) == 0);
    abort();
}

static void handlers_that_deal_with_it(void) {
    setup();
    CHECK_INT(7, code_of(end_of(with_exit, fault)));
    CHECK_INT(0, atomic_load(&scene->crash.code));
    CHECK_INT(SIGABRT, signal_of(end_of(with_jump, faults_and_goes_on)));
    CHECK_INT(1, atomic_load(&scene->went_on));
    CHECK(said("SIGABRT"));
    CHECK_INT(SIGABRT, signal_of(end_of(with_repair, writes_to_page)));
    CHECK_INT(1, atomic_load(&scene->went_on));
    CHECK(said("SIGABRT"));
}

/* ---- what is damaged ------------------------------------------------------------------------ */

static void without_memory(void) {
    void *gone =
        mmap(NULL, sizeof(cohort_os_crash_t), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cohort_os_become_t what = {.crash = gone};
    if (cohort_os_become(&what)) _exit(20);
}

/* What it writes to is no memory any more. */
static void memory_gone(void) {
    setup();
    CHECK_INT(SIGABRT, signal_of(end_of(without_memory, aborts)));
    CHECK_INT(SIGSEGV, signal_of(end_of(without_memory, fault)));
}

static void *load(void *unused) {
    (void)unused;
    dlopen(TEST_HOLD, RTLD_NOW);
    return NULL;
}

/* Another thread has the loader's lock, for ever, and names cannot be found without. */
static void crash_without_loader(void) {
    int ends[2];
    char text[16];
    pthread_t thread;
    if (pipe(ends) != 0) _exit(23);
    snprintf(text, sizeof text, "%d", ends[1]);
    setenv("HOLD_LOADER", text, 1);
    if (pthread_create(&thread, NULL, load, NULL) != 0 || read(ends[0], text, 1) != 1) _exit(24);
    fault();
}

static void time_is_limited(void) {
    setup();
    CHECK_INT(SIGSEGV, signal_of(end_of(report, crash_without_loader)));
    CHECK_INT(-SIGSEGV, atomic_load(&scene->crash.code));
    CHECK(said("SIGSEGV at 0x10"));
#ifdef __GLIBC__
    CHECK(strstr(scene->crash.text, "\n#0") == NULL);
#endif
}

const test_case_t os_posix_crash_cases[] = {
    {"OsPosixCrash", "ends_as_without", ends_as_without},
    {"OsPosixCrash", "names_functions", names_functions},
    {"OsPosixCrash", "other_threads", other_threads},
    {"OsPosixCrash", "copies", copies},
    {"OsPosixCrash", "handlers_go_first", handlers_go_first},
    {"OsPosixCrash", "handlers_that_deal_with_it", handlers_that_deal_with_it},
    {"OsPosixCrash", "memory_gone", memory_gone},
    {"OsPosixCrash", "time_is_limited", time_is_limited},
    {0},
};

#endif
