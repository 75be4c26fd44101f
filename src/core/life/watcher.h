/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Seeing the ends of processes. */
#ifndef COHORT_CORE_WATCHER_H
#define COHORT_CORE_WATCHER_H

#include "core/life/slots.h"

/* What it takes to watch one more process, had before that process is started: then nothing is left
 * that can fail for want of means. */
typedef struct cohort__watched_t cohort__watched_t;
apr_status_t cohort__watcher_reserve(cohort__watched_t **watched);
void cohort__watcher_unreserve(cohort__watched_t *watched);
/* Before this process is copied: a thread that is being made holds locks which the copy would find
 * locked for ever (a sanitizer's, for one). */
void cohort__watcher_await_begun(void);
/* Have this process' watcher (a thread, or the server's loop) see the end of `os`, which was
 * started for the slot. `attempt`: to start it, by which it came; the slot may be at another one by
 * now. `child`: it is a child of this process. `watched` is used up in any case. */
apr_status_t cohort__watcher_add(cohort__watched_t *watched, cohort_process_t *slot,
                                 uint32_t attempt, cohort_os_id_t os, bool child);
/* Both for one that runs already or is about to, of another process' making. Should that fail, the
 * waiting thread finds the end itself. */
void cohort__watcher_adopt(cohort_process_t *slot);
/* A thread that waits for children of this very process sees their ends itself, where the system
 * lets it sleep on that, and the watcher sleeps on: that spares two wake-ups. Returns when one of
 * them has ended, when that takes long, and at once when one is not of this kind; nothing is sure
 * then. */
void cohort__watcher_borrow(cohort_process_t *const *slots, int count, int64_t deadline);
/* The alarm: at this time, or earlier, this process' watcher, if it has one, looks after the pools,
 * and at what else has asked for it. */
void cohort__watcher_alarm(int64_t when);
/* See to it that this process has a watcher. */
apr_status_t cohort__watcher_begin(void);
/* The calling thread, the first of the process, ends: the watcher sees to it that the process ends
 * with the last one of the others. */
void cohort__watcher_first_thread_ended(void);
/* A thread of the library's own begins (1) or has ended (-1) that must not keep this process. */
void cohort__watcher_discount(int threads);
/* In a copy of the process: it watches nothing. */
void cohort__watcher_reset(void);
/* Returns when the watcher's thread will not touch the arena any more; false: it cannot be
 * notified. */
bool cohort__watcher_stop(void);
/* For a process that is to watch with its main thread, in cohort__watcher_loop(): `requests` is
 * served there, too. */
apr_status_t cohort__watcher_own(cohort_os_handle_t requests);
/* Serve one end of a process, if there is one before the deadline. */
void cohort__watcher_once(int64_t deadline);
/* Serves events until `other`, which is given each of them (an end after it is dealt with), returns
 * false. */
void cohort__watcher_loop(bool (*other)(cohort_os_event_t *event));
/* The watcher's channel, for messages such as COHORT__WATCHER_TEND: look after the pools of
 * this process. NONE: nowhere. */
enum { COHORT__WATCHER_STOP, COHORT__WATCHER_ALARM, COHORT__WATCHER_TEND };
cohort_os_handle_t cohort__watcher_channel(void);

#endif
