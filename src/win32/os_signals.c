/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Events instead of signals.
 *
 * "Terminate" is an event with the identity in its name; a thread of the process waits for it and
 * calls the C runtime's handler of SIGTERM, or ends the process when there is none (console control
 * events do not reach a process without a console, or of another group). The parent makes the event
 * before the child runs, so that it may be set at any time. A process without such an event
 * (another program) is ended by force.
 */
#include "os_win32.h"

#include <signal.h>
#include <stdio.h>

static _Atomic bool interrupts_off; /* by cohort__signals_begin(), not by the host */

bool cohort__interrupts_off(void) { return atomic_load(&interrupts_off); }

/* Ctrl-C at the console, and the events. */
void cohort__signals_begin(cohort_os_signals_t signals) {
    /* whatever main() has done before */
    if (signals != COHORT_OS_SIGNALS_INHERIT) signal(SIGTERM, SIG_DFL);
    if (signals == COHORT_OS_SIGNALS_RESET) signal(SIGINT, SIG_DFL);
    if (signals == COHORT_OS_SIGNALS_NO_INTERRUPT) SetConsoleCtrlHandler(NULL, TRUE);
    if (signals == COHORT_OS_SIGNALS_RESET) SetConsoleCtrlHandler(NULL, FALSE);
    atomic_store(&interrupts_off, signals == COHORT_OS_SIGNALS_NO_INTERRUPT);
}

static const int signal_numbers[COHORT__OWN_SIGNALS] = {COHORT__SIGTERM, COHORT__SIGINT};

static void event_name(cohort_os_id_t id, int number, wchar_t name[COHORT__EVENT_NAME]) {
    _snwprintf(name, COHORT__EVENT_NAME, L"Local\\cohort-signal-%llx-%llx-%d",
               (unsigned long long)id.pid, (unsigned long long)id.birth, number);
}

apr_status_t cohort__events_make(cohort_os_id_t id, HANDLE events[COHORT__OWN_SIGNALS]) {
    wchar_t name[COHORT__EVENT_NAME];
    for (int i = 0; i < COHORT__OWN_SIGNALS; i++) {
        event_name(id, signal_numbers[i], name);
        events[i] = CreateEventW(cohort__own_security(), FALSE, FALSE, name);
        if (events[i]) continue;
        apr_status_t status = cohort__last_error();
        while (i-- > 0) CloseHandle(events[i]);
        return status;
    }
    return APR_SUCCESS;
}

/* What a signal does: the program's own handler (set by signal()), nothing if it ignores it, else
 * the end. */
static void obey(int number) {
    if (number == COHORT__SIGINT && atomic_load(&interrupts_off)) return;
    void (*handler)(int) = signal(number, SIG_IGN);
    if (handler == SIG_DFL || handler == SIG_ERR)
        TerminateProcess(GetCurrentProcess(), cohort__exit_status(number));
    signal(number, handler);
    if (handler != SIG_IGN) handler(number);
}

static DWORD WINAPI obey_events(void *arg) {
    HANDLE *events = arg;
    for (;;) {
        DWORD which =
            WaitForMultipleObjects(COHORT__OWN_SIGNALS, events, FALSE, INFINITE) - WAIT_OBJECT_0;
        if (which >= COHORT__OWN_SIGNALS) return 1;
        obey(signal_numbers[which]);
    }
}

apr_status_t cohort__events_obey(HANDLE events[COHORT__OWN_SIGNALS]) {
    static HANDLE mine[COHORT__OWN_SIGNALS];
    for (int i = 0; i < COHORT__OWN_SIGNALS; i++) mine[i] = events[i];
    HANDLE thread = CreateThread(NULL, 0, obey_events, mine, 0, NULL);
    if (!thread) return cohort__last_error();
    CloseHandle(thread);
    return APR_SUCCESS;
}

/* True when the process listens. */
bool cohort__event_raise(cohort_os_id_t id, int number) {
    wchar_t name[COHORT__EVENT_NAME];
    event_name(id, number, name);
    HANDLE event = OpenEventW(EVENT_MODIFY_STATE, FALSE, name);
    if (!event) return false;
    SetEvent(event);
    CloseHandle(event);
    return true;
}
