/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Starting processes, and being one. */
#ifndef COHORT_CORE_PROCESS_H
#define COHORT_CORE_PROCESS_H

#include "core/table.h"

#include <cohort/process.h>

/* Make a slot in state NEW, owned by this process' handle. name NULL: a default name. */
apr_status_t cohort__process_make(cohort_process_t **slot, cohort__role_t role, const char *name, cohort_lifetime_t lifetime,
                                  cohort_start_method_t method);
/* Start it, in the context of any process of the cohort: a fork server forks it directly. Returns when the child has taken off, or why not. */
apr_status_t cohort__process_launch(cohort_process_t *slot);

/* The start method that a NEW slot's start would use; APR_ENOTIMPL where it is not to be had. */
apr_status_t cohort__method_resolve(cohort_start_method_t wanted, cohort_start_method_t *method);

/* How a re-executed child ends that cannot even reach its slot. */
#define COHORT__EXIT_ADDRESS 251
#define COHORT__EXIT_VERSION 252

/* What spawn re-executes instead of the own executable, NULL = itself. */
const char *cohort__executable(void);

/* ---- child.c: being a child ------------------------------------------------------------------------------------ */

/* How the child came into being: what it inherited, and so how it ends. */
typedef enum { COHORT__BORN_FORK, COHORT__BORN_SPAWN, COHORT__BORN_SERVED } cohort__birth_t;
/* Become the process of this slot, run it, end. `attempt` is the start that this child belongs to. */
_Noreturn void cohort__child_main(cohort_process_t *slot, uint32_t attempt, cohort__birth_t birth,
                                  cohort_os_handle_t lifeline);
/* This process is a root now. */
void cohort__children_begin(void);
/* It has made one: there is something to end. */
void cohort__children_made(void);
/* Children joined or ended; the exit code stored. Once per process. */
void cohort__children_end(void);
/* Runs at exit() of any member. */
void cohort__at_exit(void);

/* ---- watcher.c: seeing the ends of processes ---------------------------------------------------------------------- */

/* What it takes to watch one more process, had before that process is started: then nothing is left that can fail for want of means. */
typedef struct cohort__watched_t cohort__watched_t;
apr_status_t cohort__watcher_reserve(cohort__watched_t **watched);
void cohort__watcher_unreserve(cohort__watched_t *watched);
/* Before this process is copied: a thread that is being made holds locks which the copy would find locked for ever (a sanitizer's, for one). */
void cohort__watcher_await_begun(void);
/* Have this process' watcher (a thread, or the server's loop) see the end of `os`, which was started for the slot. `child`: it is a child of this process.
 * `watched` is used up in any case. */
apr_status_t cohort__watcher_add(cohort__watched_t *watched, cohort_process_t *slot, cohort_os_id_t os, bool child);
/* Both for one that runs already, of another process' making. Should that fail, whoever waits for its end finds it himself. */
void cohort__watcher_adopt(cohort_process_t *slot);
/* Whoever waits for children of this very process sees their ends himself, where the system lets him sleep on that, and the watcher sleeps on: that spares
 * two wake-ups. Returns when one of them has ended, when that takes long, and at once when one is not of this kind; nothing is sure then. */
void cohort__watcher_assist(cohort_process_t *const *slots, int count, int64_t deadline);
/* In a copy of the process: it watches nothing. */
void cohort__watcher_reset(void);
/* Returns when the watcher's thread will not touch the arena any more; false: it cannot be told. */
bool cohort__watcher_stop(void);
/* For a process that is to watch with its main thread: everything but ends of processes goes to `other`, until that returns false. */
apr_status_t cohort__watcher_own(cohort_os_handle_t channel);
/* Serve one end of a process, if there is one before the deadline. */
void cohort__watcher_once(int64_t deadline);
void cohort__watcher_loop(bool (*other)(const cohort_os_event_t *event));

/* ---- server.c: the fork server ----------------------------------------------------------------------------------------- */

/* Have this process' server, started at need, fork the process of the slot, and wait until it has taken off. */
apr_status_t cohort__server_launch(cohort_process_t *slot);
_Noreturn void cohort__server_main(cohort_process_t *slot, const cohort_os_boot_t *boot);
bool cohort__is_server(void);
/* In the server: fork now, wait for nothing. */
apr_status_t cohort__server_fork(cohort_process_t *slot);
/* A server of this process has ended: adopt its children. */
void cohort__server_lost(cohort_process_t *server);
void cohort__server_close(void);
/* In a copy of the process: the server is the original's. */
void cohort__server_reset(void);
/* Around a fork, so that the copy never has handles that nobody there knows of. In the copy, reset instead of unlock. */
void cohort__server_lock(void);
void cohort__server_unlock(void);

/* ---- process.c ----------------------------------------------------------------------------------------------------------- */

/* This process' lifeline, made at first use: what its daemons die with. In a copy, reset lets go of it. */
apr_status_t cohort__lifeline(cohort_os_handle_t *reader);
void cohort__lifeline_reset(void);
/* Nobody hangs on it any more. */
void cohort__lifeline_close(void);
/* Wait until the slot's process runs, or cannot any more. `child`: who it will be, when that is known; else COHORT_EWORKERDIED says that the slot's reaper
 * died before anybody claimed the slot. */
apr_status_t cohort__await_takeoff(cohort_process_t *slot, const cohort_os_id_t *child);
/* The child exists: have it watched, and wait until it has taken off. If it cannot be watched it must not live: nobody would learn of its end. */
apr_status_t cohort__watch_takeoff(cohort_process_t *slot, cohort_os_id_t child, cohort__watched_t *watched);
/* The start failed: NEW again. */
apr_status_t cohort__launch_failed(cohort_process_t *slot, apr_status_t status);
/* Start a process of the own executable for the slot. */
apr_status_t cohort__reexec(cohort_process_t *slot, cohort_os_boot_t *boot, cohort_os_id_t *child);

/* ---- init.c ---------------------------------------------------------------------------------------------------------------- */

/* In a copy of the process (fork): everything that belongs to the original is let go of. */
void cohort__forked(void);
extern cohort_start_method_t cohort__default_method;

#endif
