/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The watcher sees the ends of the processes that this process started (a thread, begun with the
 * first of them) or, in the fork server, that the server forked (its main thread). It takes the
 * exit code, has the death repaired, and lets pools replace their workers (watcher_end.c); so all
 * that goes on whether or not any thread is inside a call. Here is its loop: how it begins, what it
 * receives through its channel, and how it stops.
 */
#include "core/life/watcher.h"

#include "core/life/watched.h"
#include "core/memory/arena.h"
#include "core/memory/upward.h"

#include <apr_thread_proc.h>

static cohort_os_known_t channel; /* to the thread. Mutex. */
/* the thread: from its start, and from its first own instruction */
static _Atomic bool watcher_runs, begun;
static _Atomic bool first_thread_ended;
/* when the watcher looks after what has asked for it: pools, a server that cannot report, the end
 * of the last thread */
static _Atomic int64_t alarm_time = COHORT_OS_NEVER;
static _Thread_local bool is_watching; /* the calling thread runs the loop */

void cohort__watcher_once(int64_t deadline) {
    cohort_os_event_t event;
    if (cohort_os_watch_wait(cohort__watching.watch, deadline, &event)) return;
    if (event.kind == COHORT_OS_ENDED) cohort__end_of((cohort__watched_t *)(uintptr_t)event.cookie);
}

/* ---- the end of the first thread ------------------------------------------------------------ */

/*
 * Where main() has ended by pthread_exit(), a process ends with its last thread. The watcher's
 * thread never ends, and must not keep the process; so from then on it looks whether it is alone,
 * and has the process end in order if so. No system reports the end of a thread that has not asked
 * for it.
 */
#define ALONE_LOOK_NS INT64_C(100000000)

static _Atomic int discounted;

void cohort__watcher_discount(int threads) { atomic_fetch_add(&discounted, threads); }

void cohort__watcher_first_thread_ended(void) {
    atomic_store(&first_thread_ended, true);
    cohort__watcher_alarm(cohort_os_now());
}

/* In a thread of its own, since the watcher's is needed until the end. */
static void end_process(void *arg) {
    (void)arg;
    cohort__upward->watch->exit(0);
}

static void look_alone(void) {
    bool alone = cohort_os_figure(COHORT_OS_USED_THREADS) == 1 + atomic_load(&discounted);
    if (alone && !cohort_os_thread_start(end_process, NULL))
        atomic_store(&first_thread_ended, false);
    else cohort__watcher_alarm(cohort_os_now() + ALONE_LOOK_NS);
}

/* ---- the loop ------------------------------------------------------------------------------- */

#define CUT_OFF_LOOK_NS INT64_C(100000000)

/* The alarm is spent before the work is done; what wants another look sets it again. */
static void answer_alarm(void) {
    int64_t when = atomic_load(&alarm_time);
    if (when > cohort_os_now() ||
        !atomic_compare_exchange_strong(&alarm_time, &when, COHORT_OS_NEVER))
        return;
    cohort__upward->watch->tend();
    if (cohort__upward->watch->is_cut_off())
        cohort__watcher_alarm(cohort_os_now() + CUT_OFF_LOOK_NS);
    if (atomic_load(&first_thread_ended)) look_alone();
}

void cohort__watcher_loop(bool (*other)(cohort_os_event_t *event)) {
    cohort_os_event_t event;
    is_watching = true;
    for (;;) {
        answer_alarm();
        if (cohort_os_watch_wait(cohort__watching.watch, atomic_load(&alarm_time), &event))
            continue;
        if (event.kind == COHORT_OS_ENDED)
            cohort__end_of((cohort__watched_t *)(uintptr_t)event.cookie);
        if (!other(&event)) return;
    }
}

/* Mutex: the channel is not closed meanwhile. */
static bool post_to_watcher(uint64_t value) {
    return cohort_os_is_known(&channel) && !cohort_os_channel_post(channel.handle, value, NULL);
}

void cohort__watcher_alarm(int64_t when) {
    int64_t set = atomic_load(&alarm_time);
    do {
        if (set <= when) return;
    } while (!atomic_compare_exchange_weak(&alarm_time, &set, when));
    if (is_watching) return;
    cohort_os_mutex_lock(&cohort__watching.mutex);
    (void)post_to_watcher(COHORT__WATCHER_ALARM);
    cohort_os_mutex_unlock(&cohort__watching.mutex);
}

/* Mutex. */
static apr_status_t make_channel(cohort_os_watch_t *of) {
    cohort_os_handle_t reader, writer;
    apr_status_t status = cohort_os_pipe_create(COHORT_OS_PIPE_MESSAGES, &reader, &writer);
    if (status) return status;
    status = cohort_os_watch_channel(of, reader, false);
    if (status) cohort_os_close(reader);
    if (status) cohort_os_close(writer);
    else channel = cohort_os_know(writer);
    return status;
}

/* Gone: this program has closed descriptors that are not its own, and the channel was among
 * them. */
static void renew_channel(void) {
    cohort_os_mutex_lock(&cohort__watching.mutex);
    cohort_os_close_known(&channel);
    (void)make_channel(cohort__watching.watch);
    cohort_os_mutex_unlock(&cohort__watching.mutex);
    cohort__upward->watch->introduce();
    cohort__watcher_alarm(cohort_os_now()); /* what a server could not report meanwhile */
}

static bool watcher_goes_on(cohort_os_event_t *event) {
    if (event->kind == COHORT_OS_GONE) renew_channel();
    if (event->kind != COHORT_OS_MESSAGE) return true;
    if (event->value == COHORT__WATCHER_TEND) cohort__upward->watch->tend();
    return event->value != COHORT__WATCHER_STOP;
}

cohort_os_handle_t cohort__watcher_channel(void) {
    cohort_os_mutex_lock(&cohort__watching.mutex);
    cohort_os_handle_t writer = cohort_os_is_known(&channel) ? channel.handle : COHORT_OS_NONE;
    cohort_os_mutex_unlock(&cohort__watching.mutex);
    return writer;
}

static void run_watcher(void *arg) {
    cohort__thread_t *me;
    (void)arg;
    atomic_store(&begun, true);
    cohort__watcher_loop(watcher_goes_on);
    if (!cohort__enter(&me)) cohort__thread_exit(me);
    atomic_store(&watcher_runs, false);
}

static apr_status_t begin_watching(void) {
    if (cohort__watching.watch) return APR_SUCCESS;
    cohort_os_watch_t *made;
    apr_status_t status = cohort_os_watch_create(&made);
    if (status) return status;
    status = make_channel(made);
    if (status) goto no_channel;
    cohort__watching.watch = made;
    atomic_store(&begun, false);
    atomic_store(&watcher_runs, true);
    status = cohort_os_thread_start(run_watcher, NULL);
    if (!status) return APR_SUCCESS;
    atomic_store(&watcher_runs, false);
    cohort__watching.watch = NULL;
    cohort_os_close_known(&channel);
no_channel:
    cohort_os_watch_destroy(made);
    return status;
}

apr_status_t cohort__watcher_begin(void) {
    cohort_os_mutex_lock(&cohort__watching.mutex);
    apr_status_t status = begin_watching();
    cohort_os_mutex_unlock(&cohort__watching.mutex);
    return status;
}

/* No watcher will see the ends of our children: joiners find out themselves. */
static void disown(void) {
    uint32_t count = cohort__process_count();
    for (uint32_t i = 0; i < count; i++) {
        cohort__pid_t reaper = cohort__self_id();
        atomic_compare_exchange_strong(&cohort__process_at(i)->reaper, &reaper, 0);
    }
}

/* microseconds within which the thread finds that its channel was closed, and makes another */
#define RENEWAL_TIME 3000000

static apr_status_t try_tell(void *arg, bool thorough) {
    (void)arg, (void)thorough;
    cohort_os_mutex_lock(&cohort__watching.mutex);
    bool posted = post_to_watcher(COHORT__WATCHER_STOP);
    cohort_os_mutex_unlock(&cohort__watching.mutex);
    return posted ? APR_SUCCESS : APR_EAGAIN;
}

/* The watching thread does its last work as the caller, so that it reaps what it has heard of. */
static bool stop_thread(void) {
    cohort__eventcount_t no_notification = {0};
    if (!cohort__watching.watch) return true;
    if (cohort__await(&no_notification, try_tell, NULL, cohort__deadline(RENEWAL_TIME)))
        return false;
    while (atomic_load(&watcher_runs)) apr_thread_yield();
    /* a thread may wait for a child itself, and come back */
    cohort_os_mutex_lock(&cohort__watching.mutex);
    cohort_os_close_known(&channel);
    cohort_os_watch_destroy(cohort__watching.watch);
    cohort__watching.watch = NULL;
    cohort__watching.gone++;
    cohort_os_mutex_unlock(&cohort__watching.mutex);
    return true;
}

bool cohort__watcher_stop(void) {
    bool stopped = stop_thread();
    disown();
    if (!stopped) return false;
    cohort__watched_reap_all();
    cohort__watched_forget_all();
    return true;
}

apr_status_t cohort__watcher_own(cohort_os_handle_t requests) {
    apr_status_t status = cohort_os_watch_create(&cohort__watching.watch);
    return status ? status : cohort_os_watch_channel(cohort__watching.watch, requests, true);
}

apr_status_t cohort__watcher_reserve(cohort__watched_t **watched) {
    cohort__watched_t *w = cohort__watched_new();
    if (!w) return cohort__fail(APR_ENOMEM, "noting a child to be watched");
    apr_status_t status = cohort__watcher_begin();
    if (status) cohort__watched_free(w);
    else *watched = w;
    return status;
}

void cohort__watcher_await_begun(void) {
    while (atomic_load(&watcher_runs) && !atomic_load(&begun)) apr_thread_yield();
}

void cohort__watcher_unreserve(cohort__watched_t *watched) { cohort__watched_free(watched); }

apr_status_t cohort__watcher_add(cohort__watched_t *w, cohort_process_t *slot, uint32_t attempt,
                                 cohort_os_id_t os, bool child) {
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): it has been reserved */
    w->id = cohort__process_id(slot);
    w->os = os;
    w->attempt = attempt;
    w->child = child;
    w->contained = cohort__is_contained(slot);
    w->bound = slot->bound && !cohort__is_helper(slot);
    w->tree = slot->tree;
    cohort__watched_remember(w);
    apr_status_t status = cohort_os_watch_process(cohort__watching.watch, &w->room, os, child,
                                                  (uint64_t)(uintptr_t)w);
    if (status) cohort__watched_forget(w);
    return status;
}

void cohort__watcher_adopt(cohort_process_t *slot) {
    cohort__pid_t me = cohort__self_id();
    cohort__watched_t *w = NULL;
    apr_status_t status = cohort__watcher_reserve(&w);
    if (!status)
        status = cohort__watcher_add(w, slot, cohort__process_attempt(slot),
                                     cohort__process_os(slot), false);
    if (status) atomic_compare_exchange_strong(&slot->reaper, &me, 0);
}

void cohort__watcher_reset(void) {
    cohort_os_mutex_reset(&cohort__watching.mutex);
    if (cohort__watching.watch)
        cohort_os_watch_destroy(cohort__watching.watch); /* the copy's handles only */
    cohort_os_close_known(&channel);
    atomic_store(&first_thread_ended, false);
    atomic_store(&watcher_runs, false);
    if (atomic_load(&alarm_time) != COHORT_OS_NEVER) atomic_store(&alarm_time, COHORT_OS_NEVER);
    is_watching = false;
    cohort__watching.watch = NULL;
    cohort__watched_set_aside();
}
