/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What the files of this back end share. Windows 10 (1803) or newer, 64-bit. */
#ifndef COHORT_WIN32_OS_WIN32_H
#define COHORT_WIN32_OS_WIN32_H

#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#ifndef NOMINMAX
#define NOMINMAX
#endif
#ifndef _WIN32_WINNT
#define _WIN32_WINNT 0x0A00
#endif
#include "core/base/os.h"

#include <windows.h>

#define COHORT__OWN_SIGNALS 2  /* terminate, interrupt */
#define COHORT__EVENT_NAME  96 /* characters of a name of ours, the end included */

/* The numbers that exit codes report on every system, whether or not <signal.h> has them here (its
 * SIGABRT is 22). */
enum { COHORT__SIGINT = 2, COHORT__SIGABRT = 6, COHORT__SIGKILL = 9, COHORT__SIGTERM = 15 };

/* of a job: memory, CPU time, processes */
#define COHORT__LIMITS_HERE \
    (COHORT_OS_SET_LIMIT | COHORT_OS_SET_LIMIT << 1 | COHORT_OS_SET_LIMIT << 3)

static inline HANDLE cohort__handle(cohort_os_handle_t handle) { return (HANDLE)handle; }

/* os_text.c: UTF-8 outside, UTF-16 to the system. Results are from malloc(); NULL: no memory, or
 * not UTF-8. */
wchar_t *cohort__wide(const char *text);
/* For show only: what is not UTF-8 becomes a replacement character. */
wchar_t *cohort__wide_name(const char *name);
/* Into a buffer; false when it does not fit. */
bool cohort__narrow(const wchar_t *text, char *buffer, size_t size);
/* A command line that the C runtime of the child takes apart into exactly these arguments. */
wchar_t *cohort__command_line(const char *const *argv);
/* The environment block of a child: `env`, or the caller's own when NULL, with the changes of the
 * settings unless NULL, sorted, without the boot block and the gifts, plus `extra` unless
 * NULL. */
wchar_t *cohort__environment(const char *const *env, const cohort_os_settings_t *settings,
                             const wchar_t *extra);
/* A child that does not run yet uses the CPUs of the settings, unless NULL. */
apr_status_t cohort__set_cpus(HANDLE process, const cohort_os_settings_t *settings);
/* A path that may be longer than MAX_PATH: made absolute and prefixed when it is. Takes and gives
 * ownership. */
wchar_t *cohort__long_path(wchar_t *path);
/* The file of a module, of any length. */
wchar_t *cohort__module_path(HMODULE module);
/* GetLastError() as a status that the APR_STATUS_IS_* macros know. */
apr_status_t cohort__last_error(void);

/* Milliseconds until a deadline, rounded up; INFINITE for none. */
DWORD cohort__milliseconds(int64_t deadline);

void cohort__aborted(int number); /* os_boot.c: what SIGABRT does unless the program has a say */
/* os_crash.c: from here on this process says of its crash there what is known. */
apr_status_t cohort__crash_begin(cohort_os_crash_t *crash);

/* os_boot.c: the page that a child learns its identity from. */
#define COHORT__PAGE_MAGIC 0x746f6f62u
typedef struct {
    uint32_t magic;
    bool premapped, interrupts_off;
    uint64_t pid;
    uint8_t build[20];
    HANDLE events[COHORT__OWN_SIGNALS];
    cohort_os_boot_t boot;
} cohort__page_t;
/* What says for which process it is and from which it comes, and the boot block with handles of
 * this process. */
void cohort__page_write(cohort__page_t *page, const cohort_os_boot_t *boot, cohort_os_id_t child);
/* The fact, as long as the parent is there to be looked at. */
bool cohort__is_privileged(void);
/* For objects with names: for this user and the system alone. NULL, the system's
 * default, should that not be possible. */
SECURITY_ATTRIBUTES *cohort__own_security(void);
/* os_code.c: what distinguishes a module from another build of it. */
void cohort__build_of(HMODULE module, uint8_t build[20]);

/* os_process.c */
#define COHORT__BOOT_VARIABLE L"COHORT_BOOT"
uint64_t cohort__birth(HANDLE process);
/* The process, when it has not ended and is the one meant; else NULL. Close it. */
HANDLE cohort__process_open(cohort_os_id_t id, DWORD access);
/* Remember the handle of a child for reaping, and the job of what it starts, or NULL; takes
 * both. `ours`: a child of Cohort: its exit code has eight bits as everywhere. */
apr_status_t cohort__child_add(cohort_os_id_t id, HANDLE process, HANDLE job, bool ours);
/* A new handle of a child that has not been reaped, ended or not; else NULL. */
HANDLE cohort__child_handle(cohort_os_id_t id);
HANDLE cohort__child_job(cohort_os_id_t id);
void cohort__group_end(cohort_os_id_t child); /* the job of a child */
/* The code that says "ended by this signal", and what a code means: 0, positive, or -signal. */
DWORD cohort__exit_status(int signal);
int cohort__exit_code(DWORD status);

/* os_signals.c */
/* From here on they do what `signals` says. */
void cohort__signals_begin(cohort_os_signals_t signals);
/* Has that switched interrupts off? */
bool cohort__interrupts_off(void);
/* The events by which a process is asked to terminate or to interrupt itself. */
apr_status_t cohort__events_make(cohort_os_id_t id, HANDLE events[COHORT__OWN_SIGNALS]);
/* Obey them from now on, in a thread of this process. Takes the events. */
apr_status_t cohort__events_obey(HANDLE events[COHORT__OWN_SIGNALS]);
/* True when the process listens. */
bool cohort__event_raise(cohort_os_id_t id, int number);

/* os_program.c: the file of the program to start, found as the child would find it from `cwd`,
 * which may be NULL; NULL, with the system's last error: there is none. */
wchar_t *cohort__find_program(const cohort_os_start_t *start, const wchar_t *cwd);

/* os_arena.c: the parent has mapped the arena at this base already. */
void cohort__arena_premapped(uint64_t base);
/* os_lifeline.c: what a new process does with the one that it was given */
apr_status_t cohort__lifeline_take(cohort_os_handle_t reader, cohort_os_lifeline_t how);
/* os_flow.c: the same as cohort__job_close(), for a flow that has been waited for; a port, of which
 * this is the reader, is woken */
bool cohort__flow_close(HANDLE handle);
void cohort__port_wake(cohort_os_handle_t reader);
/* os_sight.c */
bool cohort__is_socket(HANDLE handle);
/* os_sockets.c: offers of sockets, as cohort_os_offer_make() and its kin; those have an address */
apr_status_t cohort__socket_offer(HANDLE handle, cohort_os_offer_t *offer);
apr_status_t cohort__socket_fetch(const cohort_os_offer_t *offer, cohort_os_id_t owner,
                                  int64_t deadline, bool (*win)(void *arg), void *arg,
                                  cohort_os_handle_t *handle, bool *told);
void cohort__socket_drop(const cohort_os_offer_t *offer);
uint64_t cohort__arena_default_size(void);
/* os_park.c: how much memory it has behind the arena, a multiple of 1 MiB; it is there now, `fresh`
 * in the process that made it; it goes away */
#define COHORT__PARK_BYTES ((uint64_t)1 << 20)
apr_status_t cohort__park_begin(void *memory, bool fresh);
void cohort__park_end(const void *memory);
/* os_lifeline.c: two handles of a new job, the ends of a lifeline */
apr_status_t cohort__job_create(cohort_os_handle_t *reader, cohort_os_handle_t *keeper);
/* if it is an end of a lifeline, close it (a keeper ends the processes that were to
 * die with it): true. */
bool cohort__job_close(HANDLE end);
/* After a start with this reader: was the keeper closed before? */
void cohort__job_check(cohort_os_handle_t reader);

#endif
