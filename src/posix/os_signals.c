/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What a new process does about signals. A child that executes a program takes over what is ignored
 * and what is blocked, so both are set between fork and exec; a forked copy settles them before the
 * first signal can be delivered to it; a copy of a server does so when it has received what its
 * requester ignores and blocks.
 *
 * SIGINT may be ignored by the host, which its children inherit, or by this library on behalf of a
 * pool's worker or of a server (`interrupts_off`), which they do not.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#ifndef NSIG
#define NSIG 65
#endif

#define BIT(number) ((uint64_t)1 << ((number)-1))
#define ALL         (~(uint64_t)0)

static bool interrupts_off; /* by this library, not by the host */
/* what the requester has is known, and not yet taken over */
static bool received;
static uint64_t received_ignored, received_blocked;
/* this library's alone: what is ignored is known, and begun with */
static bool settled;
static uint64_t settled_ignored;

/* ---- async-signal-safe ---------------------------------------------------------------------- */

static void dispose(int number, void (*handler)(int)) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    sigaction(number, &action, NULL);
}

static bool is_ignored(int number) {
    struct sigaction action;
    return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

static void drop_handlers(void) {
    struct sigaction action;
    for (int number = 1; number < NSIG; ++number) {
        if (sigaction(number, NULL, &action) != 0 || action.sa_handler == SIG_DFL ||
            action.sa_handler == SIG_IGN)
            continue;
        dispose(number, SIG_DFL);
    }
}

/* What shall be ignored by a process with a starter that ignores `from`. */
static uint64_t wanted(cohort_os_signals_t what, uint64_t from, bool *off) {
    if (what == COHORT_OS_SIGNALS_INHERIT) return from;
    uint64_t want = what == COHORT_OS_SIGNALS_RESET ? 0 : from & ~(BIT(SIGTERM) | BIT(SIGCHLD));
    if (*off) want &= ~BIT(SIGINT);
    *off = what == COHORT_OS_SIGNALS_NO_INTERRUPT && !(want & BIT(SIGINT));
    return *off ? want | BIT(SIGINT) : want;
}

/* What is set whatever it is now, for it may have a handler. */
static uint64_t always(cohort_os_signals_t what) {
    if (what == COHORT_OS_SIGNALS_INHERIT) return 0;
    return what == COHORT_OS_SIGNALS_RESET ? ALL : BIT(SIGTERM) | BIT(SIGCHLD);
}

static void change(uint64_t changed, uint64_t want) {
    for (int number = 1; number < NSIG && number <= 64; ++number)
        if (changed & BIT(number)) dispose(number, want & BIT(number) ? SIG_IGN : SIG_DFL);
}

/* Of what is ignored here, only this one is to be known when nothing else changes, and where it
 * does not change either, not even that. */
static uint64_t interrupt_ignored(cohort_os_signals_t what) {
    bool matters = what == COHORT_OS_SIGNALS_NO_INTERRUPT ||
                   (what == COHORT_OS_SIGNALS_NORMAL && interrupts_off);
    return matters && is_ignored(SIGINT) ? BIT(SIGINT) : 0;
}

void cohort__signals_exec(cohort_os_signals_t what, bool tidy, bool reexec,
                          const sigset_t *before) {
    sigset_t mask;
    bool off = interrupts_off, later = reexec && what == COHORT_OS_SIGNALS_NO_INTERRUPT;
    uint64_t now = interrupt_ignored(what);
    if (!tidy) drop_handlers();
    uint64_t want = wanted(later ? COHORT_OS_SIGNALS_NORMAL : what, now, &off);
    change((now ^ want) | always(what), want);
    sigemptyset(&mask);
    /* the child itself has to find out whether the host ignores it */
    if (later) sigaddset(&mask, SIGINT);
    sigprocmask(SIG_SETMASK, what == COHORT_OS_SIGNALS_INHERIT ? before : &mask, NULL);
}

/* ---- in a new process ----------------------------------------------------------------------- */

void cohort__signals_forked(cohort_os_signals_t what, sigset_t *mask) {
    uint64_t now = interrupt_ignored(what), want = wanted(what, now, &interrupts_off);
    change((now ^ want) | always(what), want);
    if (what == COHORT_OS_SIGNALS_RESET) sigemptyset(mask);
    else if (what != COHORT_OS_SIGNALS_INHERIT) sigdelset(mask, SIGTERM);
}

static uint64_t ignored_now(void) {
    uint64_t ignored = 0;
    for (int number = 1; number < NSIG && number <= 64; ++number)
        if (is_ignored(number)) ignored |= BIT(number);
    return ignored;
}

static uint64_t bits_of(const sigset_t *set) {
    uint64_t bits = 0;
    for (int number = 1; number < NSIG && number <= 64; ++number)
        if (sigismember(set, number) == 1) bits |= BIT(number);
    return bits;
}

static void set_of(uint64_t bits, sigset_t *set) {
    sigemptyset(set);
    for (int number = 1; number < NSIG && number <= 64; ++number)
        if (bits & BIT(number)) sigaddset(set, number);
}

void cohort__signals_begin(cohort_os_signals_t what) {
    sigset_t mask;
    uint64_t now = settled ? settled_ignored : received ? ignored_now() : interrupt_ignored(what);
    uint64_t want = wanted(what, received ? received_ignored : now, &interrupts_off);
    bool begun = settled && what != COHORT_OS_SIGNALS_RESET;
    change((now ^ want) | (begun ? 0 : always(what)), want);
    set_of(what == COHORT_OS_SIGNALS_INHERIT && received ? received_blocked : 0, &mask);
    if (received || what != COHORT_OS_SIGNALS_INHERIT) pthread_sigmask(SIG_SETMASK, &mask, NULL);
    received = settled = false;
}

void cohort__signals_settled(uint64_t ignored) {
    settled = true;
    settled_ignored = ignored;
}

/* ---- from one process to another ------------------------------------------------------------ */

void cohort__signals_tell(cohort__status_t *status) {
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    status->ignored = ignored_now();
    status->blocked = bits_of(&mask);
}

void cohort__signals_complete(cohort__status_t *status) {
    if (cohort__copy_mask) status->blocked = bits_of(cohort__copy_mask);
    status->interrupts_off = interrupts_off;
}

void cohort__signals_received(const cohort__status_t *status) {
    received = true;
    received_ignored = status->ignored;
    received_blocked = status->blocked;
    interrupts_off = status->interrupts_off;
}
