/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What this process says of its own crash.
 *
 * Guarantee: it ends by the signal by which it would have ended without this, and about as soon. A
 * fault is met again by the instruction that caused it, after the default action has been restored,
 * so a core dump shows the same as ever; a signal that was sent is sent again. What is written goes
 * into the memory that was given, which may be the one that is damaged: a second fault, in here,
 * ends the process at once, and what takes longer than TIME_MOST is ended by an alarm.
 *
 * The program's handlers go first. One that was there before is called from here; when it returns
 * and has not restored the default action, the program has dealt with the signal, and nothing more
 * happens. One that is set later stands before this in any case, and hands on if it likes. If
 * handlers are looked at anew (cohort_os_become() again) and there are some that may hand on to
 * this, another function is put before them: hence the two levels.
 *
 * Async-signal-safe but for backtrace() and dladdr(), which may wait for a lock that this very
 * thread, or another one, has: the alarm ends that, too, and the lines before are there.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <dlfcn.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#ifndef MAP_ANONYMOUS
#define MAP_ANONYMOUS MAP_ANON
#endif

#define TIME_MOST  2 /* seconds */
#define STACK_SIZE ((size_t)128 * 1024)
#define FRAMES     64
#define LEVELS     2

static const struct {
    int number;
    char name[8];
} crashes[] = {{SIGSEGV, "SIGSEGV"}, {SIGBUS, "SIGBUS"},   {SIGFPE, "SIGFPE"}, {SIGILL, "SIGILL"},
               {SIGABRT, "SIGABRT"}, {SIGTRAP, "SIGTRAP"}, {SIGSYS, "SIGSYS"}};
#define COUNT (sizeof crashes / sizeof *crashes)

enum { IDLE, WRITING, WRITTEN };
static struct {
    cohort_os_crash_t *to;
    pid_t process; /* which this is said of: not of its copies */
    struct sigaction before[LEVELS][COUNT];
    struct {
        pthread_t thread;
        const char *frame;
    } inside[LEVELS]; /* the call of such a handler that is under way */
    _Atomic int state;
    pthread_t writer; /* when the state says WRITING */
    volatile sig_atomic_t number;
} own;

/* ---- text ----------------------------------------------------------------------------------- */

static void put(cohort__text_t *to, char c) {
    if (to->at < to->end) *to->at++ = c;
}

void cohort__text_put(cohort__text_t *to, const char *text) {
    for (; *text; text++) put(to, *text);
}

static void put_number(cohort__text_t *to, uintptr_t number, unsigned base) {
    char digits[24];
    int count = 0;
    do digits[count++] = "0123456789abcdef"[number % base];
    while ((number /= base) != 0);
    while (count) put(to, digits[--count]);
}

static void put_hex(cohort__text_t *to, uintptr_t number) {
    cohort__text_put(to, "0x");
    put_number(to, number, 16);
}

/* ---- what is known -------------------------------------------------------------------------- */

/* Where the thread was when the signal came; 0: not known here. */
static uintptr_t counter_of(const void *given) {
    const ucontext_t *context = given;
    (void)context;
#if defined __APPLE__ && defined __x86_64__
    return context->uc_mcontext->__ss.__rip;
#elif defined __APPLE__ && defined __aarch64__
    return context->uc_mcontext->__ss.__pc;
#elif defined __linux__ && defined __x86_64__
    return (uintptr_t)context->uc_mcontext.gregs[REG_RIP];
#elif defined __linux__ && defined __i386__
    return (uintptr_t)context->uc_mcontext.gregs[REG_EIP];
#elif defined __linux__ && defined __aarch64__
    return (uintptr_t)context->uc_mcontext.pc;
#elif defined __linux__ && defined __riscv
    return (uintptr_t)context->uc_mcontext.__gregs[REG_PC];
#else
    return 0;
#endif
}

typedef struct {
    char name[120];
    uintptr_t offset; /* in that */
    const char *module;
    uintptr_t base; /* of the module */
} place_t;

static void find(uintptr_t address, place_t *place) {
    Dl_info info;
    *place = (place_t){.name = ""};
    if (!dladdr((void *)address, &info) || !info.dli_fname) return;
    place->base = (uintptr_t)info.dli_fbase;
    const char *file = cohort__symbol_file(info.dli_fname, place->base),
               *slash = strrchr(file, '/');
    place->module = slash ? slash + 1 : file;
    cohort__text_t name = {place->name, place->name + sizeof place->name - 1};
    uintptr_t start = (uintptr_t)info.dli_saddr;
    if (info.dli_sname) cohort__text_put(&name, info.dli_sname);
    else start = cohort__symbol(file, place->base, address, &name);
    if (start) place->offset = address - start;
}

/* "#3 0x5555 in work+0x12 (program+0x3456)" */
static void put_frame(cohort__text_t *to, int number, uintptr_t address, bool returns) {
    place_t place;
    find(address - returns, &place);
    cohort__text_put(to, "\n#");
    put_number(to, (uintptr_t)number, 10);
    put(to, ' ');
    put_hex(to, address);
    if (place.name[0]) {
        cohort__text_put(to, " in ");
        cohort__text_put(to, place.name);
        put(to, '+');
        put_hex(to, place.offset + returns);
    }
    if (!place.module) return;
    cohort__text_put(to, " (");
    cohort__text_put(to, place.module);
    put(to, '+');
    put_hex(to, address - place.base);
    put(to, ')');
}

/* ---- the lines ------------------------------------------------------------------------------ */

typedef struct {
    void *frames[FRAMES + 16]; /* from the one that crashed on */
    int count;
} trace_t;

/* The frames above the one that crashed are this file's and the system's; if that one is not among
 * them, for the stack could not be unwound, it is all that there is. */
static void take_trace(trace_t *trace, uintptr_t counter) {
    int all = cohort__trace(trace->frames, FRAMES + 16), first = 0;
    while (first < all && (uintptr_t)trace->frames[first] != counter) first++;
    if (first == all) {
        trace->count = counter != 0;
        trace->frames[0] = (void *)counter;
        return;
    }
    trace->count = all - first < FRAMES ? all - first : FRAMES;
    memmove(trace->frames, trace->frames + first, (size_t)trace->count * sizeof *trace->frames);
}

/* The one that called abort(), or has the assertion that failed. */
static void name_of_abort(const trace_t *trace, place_t *place) {
    bool behind = false;
    for (int i = 1; i < trace->count; i++) {
        find((uintptr_t)trace->frames[i] - 1, place);
        bool is_abort = strcmp(place->name, "abort") == 0;
        if (behind && !is_abort && strncmp(place->name, "__assert", 8) != 0) return;
        behind = behind || is_abort;
    }
    *place = (place_t){.name = ""};
}

static void put_function(cohort__text_t *to, const place_t *place) {
    if (!place->name[0]) return;
    cohort__text_put(to, " in function ");
    cohort__text_put(to, place->name);
}

static void put_signal(cohort__text_t *to, size_t which, const siginfo_t *info) {
    int number = crashes[which].number;
    cohort__text_put(to, crashes[which].name);
    if (info->si_code <= 0 || number == SIGABRT || number == SIGSYS) return;
    cohort__text_put(to, " at ");
    put_hex(to, (uintptr_t)info->si_addr);
}

/* What is there is zero-terminated at any time, whenever the rest is cut off. What is known
 * without the unwinder, or a look at any file, comes first: one of these may fault itself, or not
 * return. */
static void write_all(size_t which, const siginfo_t *info, const void *context) {
    static trace_t trace;
    place_t place = {.name = ""};
    bool aborts = crashes[which].number == SIGABRT;
    cohort__text_t to = {own.to->text, own.to->text + sizeof own.to->text - 1};
    uintptr_t counter = counter_of(context);
    memset(own.to->text, 0, sizeof own.to->text);
    atomic_store(&own.to->code, -crashes[which].number);
    put_signal(&to, which, info);
    if (!aborts && counter) find(counter, &place);
    put_function(&to, &place);
    take_trace(&trace, counter);
    if (aborts) name_of_abort(&trace, &place);
    if (aborts) put_function(&to, &place);
    for (int i = 0; i < trace.count; i++) put_frame(&to, i, (uintptr_t)trace.frames[i], i > 0);
    put(&to, '\n');
}

/* ---- the end -------------------------------------------------------------------------------- */

static void restore(int number) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = SIG_DFL;
    sigaction(number, &action, NULL);
}

static void end_now(int number) {
    sigset_t set;
    restore(number);
    sigemptyset(&set);
    sigaddset(&set, number);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    raise(number);
    _exit(128 + number);
}

static void on_alarm(int number) {
    (void)number;
    end_now((int)own.number);
}

/* The handler that calls this returns to what comes then: the fault once more, or the signal. */
static void end_next(int number, const siginfo_t *info) {
    bool again = number == SIGSEGV || number == SIGBUS || number == SIGFPE || number == SIGILL;
    restore(number);
    if (info->si_code <= 0 || !again) raise(number);
}

static void set_alarm(struct sigaction *before, struct itimerval *timer) {
    const struct itimerval most = {.it_value = {.tv_sec = TIME_MOST}};
    struct sigaction action;
    sigset_t set;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_alarm;
    action.sa_flags = SA_ONSTACK;
    sigaction(SIGALRM, &action, before);
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    setitimer(ITIMER_REAL, &most, timer);
}

/* A thread that comes here while another writes waits for the end of the process, which is near. */
static bool may_write(int number) {
    int idle = IDLE;
    if (getpid() != own.process) return false;
    if (atomic_compare_exchange_strong(&own.state, &idle, WRITING)) {
        own.number = number;
        own.writer = pthread_self();
        return true;
    }
    if (idle == WRITING && pthread_equal(own.writer, pthread_self())) end_now((int)own.number);
    for (int i = 0; i < 10 * TIME_MOST && atomic_load(&own.state) == WRITING; i++)
        (void)poll(NULL, 0, 100);
    return false;
}

/* ---- handlers ------------------------------------------------------------------------------- */

static void on_crash(int number, siginfo_t *info, void *context);
static void on_crash_again(int number, siginfo_t *info, void *context);

static bool is_default(const struct sigaction *action) {
    return !(action->sa_flags & SA_SIGINFO) && action->sa_handler == SIG_DFL;
}

static bool is_ignored(const struct sigaction *action) {
    return !(action->sa_flags & SA_SIGINFO) && action->sa_handler == SIG_IGN;
}

static bool is_ours(const struct sigaction *action) {
    return action->sa_flags & SA_SIGINFO &&
           (action->sa_sigaction == on_crash || action->sa_sigaction == on_crash_again);
}

static void call(const struct sigaction *handler, int number, siginfo_t *info, void *context) {
    if (handler->sa_flags & SA_SIGINFO) handler->sa_sigaction(number, info, context);
    else handler->sa_handler(number);
}

/* Is this call inside that of the program's handler, which hands on to this one? One that a handler
 * has left by a jump is not: its frame was not above this one. */
static bool is_inside(int level, const char *here) {
    return own.inside[level].frame && here < own.inside[level].frame &&
           pthread_equal(own.inside[level].thread, pthread_self());
}

/* Has a handler of the program dealt with it? */
static bool was_dealt_with(int level, const struct sigaction *before, int number, siginfo_t *info,
                           void *context) {
    struct sigaction now;
    /* not the address of a variable, which a sanitizer may keep elsewhere */
    const char *here = __builtin_frame_address(0);
    if (is_default(before) || is_inside(level, here)) return false;
    own.inside[level].thread = pthread_self();
    own.inside[level].frame = here;
    call(before, number, info, context);
    own.inside[level].frame = NULL;
    if (before->sa_flags & (int)SA_RESETHAND) return false;
    return sigaction(number, NULL, &now) != 0 || !is_default(&now);
}

static void meet(int level, int number, siginfo_t *info, void *context) {
    int error = errno;
    size_t which = 0;
    struct sigaction alarms;
    struct itimerval timer;
    while (which < COUNT - 1 && crashes[which].number != number) which++;
    bool over = was_dealt_with(level, &own.before[level][which], number, info, context);
    /* abort() ends the process whatever its handler does */
    if ((!over || number == SIGABRT) && may_write(number)) {
        set_alarm(&alarms, &timer);
        write_all(which, info, context);
        alarm(0);
        sigaction(SIGALRM, &alarms, NULL);
        setitimer(ITIMER_REAL, &timer, NULL); /* the program's, which may go on */
        atomic_store(&own.state, over ? IDLE : WRITTEN);
    }
    if (!over) end_next(number, info);
    errno = error;
}

static void on_crash(int number, siginfo_t *info, void *context) { meet(0, number, info, context); }

static void on_crash_again(int number, siginfo_t *info, void *context) {
    meet(1, number, info, context);
}

/* ---- set up --------------------------------------------------------------------------------- */

/* What is ignored stays so: a program that is executed takes that over. */
static apr_status_t watch(size_t which, int level) {
    struct sigaction before, action;
    if (sigaction(crashes[which].number, NULL, &before) != 0) return errno;
    if (is_ours(&before) || is_ignored(&before)) return APR_SUCCESS;
    own.before[level][which] = before;
    memset(&action, 0, sizeof action);
    action.sa_mask = before.sa_mask;
    action.sa_sigaction = level ? on_crash_again : on_crash;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | (before.sa_flags & (SA_NODEFER | SA_RESTART));
    return sigaction(crashes[which].number, &action, NULL) == 0 ? APR_SUCCESS : errno;
}

/* It stays for good, as the thread does. */
static apr_status_t have_stack(void) {
    stack_t stack;
    if (sigaltstack(NULL, &stack) == 0 && !(stack.ss_flags & SS_DISABLE)) return APR_SUCCESS;
    size_t page = (size_t)sysconf(_SC_PAGESIZE); /* below it, for what overflows it */
    char *memory =
        mmap(NULL, page + STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return cohort__fail(errno, "mmap of a stack for signals");
    (void)mprotect(memory, page, PROT_NONE);
    memset(&stack, 0, sizeof stack);
    stack.ss_sp = memory + page;
    stack.ss_size = STACK_SIZE;
    if (sigaltstack(&stack, NULL) == 0) return APR_SUCCESS;
    apr_status_t status = errno;
    munmap(memory, page + STACK_SIZE);
    return cohort__fail(status, "sigaltstack");
}

apr_status_t cohort__crash_begin(cohort_os_crash_t *crash) {
    int level = own.to != NULL && own.process == getpid();
    apr_status_t status = have_stack();
    if (!status && !level) {
        cohort__trace_begin();
        cohort__symbol_begin();
    }
    own.to = crash;
    own.process = getpid();
    atomic_store(&own.state, IDLE);
    for (size_t i = 0; i < COUNT && !status; i++) status = watch(i, level);
    return status;
}
