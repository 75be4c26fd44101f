/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The ringer (waitset.h): begun when the first set is armed, gone when none has been for a second.
 * While sets are armed it sleeps on the event count of completions, so that it costs nothing as
 * long as nothing is notified that a thread has shared; while none is, on a word of its own.
 *
 * An armed set is missed by no notification: the thread that arms it looks at it once more
 * afterwards, so what came before is seen by that thread, and of what comes later the ringer is
 * told, which sleeps on that event count since before, or wakes up to go there.
 */
#include "core/cohort/waitset.h"
#include "core/life/watcher.h"
#include "core/memory/arena.h"

#include <apr_thread_proc.h>
#include <errno.h>

#define LINGER 1000000 /* microseconds */

static cohort_os_mutex_t sets_mutex;
static cohort_waitset_t *first_armed, *looked_at;
static bool runs, stops;
static _Atomic bool exists;         /* until the thread's last instruction but one */
static cohort__eventcount_t called; /* changes when a set is armed while none was */

void cohort__sets_lock(void) { cohort_os_mutex_lock(&sets_mutex); }

void cohort__sets_unlock(void) { cohort_os_mutex_unlock(&sets_mutex); }

/* ---- ringing -------------------------------------------------------------------------------- */

void cohort__ring(cohort_waitset_t *set) {
    int error = errno;
    atomic_store(&set->rung, 1);
    atomic_fetch_add(&set->ringing, 1);
    if (atomic_load(&set->sleeps)) (void)apr_pollset_wakeup(set->pollset);
    atomic_fetch_sub(&set->ringing, 1);
    if (set->writer != COHORT_OS_NONE && !atomic_exchange(&set->raised, 1))
        cohort_os_flag(set->reader, set->writer, true);
    errno = error;
}

/* The next armed set that was not looked at in this round; the ringer's until it has been. */
static cohort_waitset_t *begin_look(unsigned round) {
    cohort__sets_lock();
    looked_at = first_armed;
    while (looked_at && looked_at->round == round) looked_at = looked_at->next_armed;
    if (looked_at) looked_at->round = round;
    cohort_waitset_t *set = looked_at;
    cohort__sets_unlock();
    return set;
}

/* Sets' mutex. */
static void unarm(cohort_waitset_t *set) {
    cohort_waitset_t **at = &first_armed;
    while (*at && *at != set) at = &(*at)->next_armed;
    if (*at) *at = set->next_armed;
    set->armed = false;
}

static void end_look(cohort_waitset_t *set, bool rung) {
    cohort__sets_lock();
    if (rung) unarm(set);
    looked_at = NULL;
    cohort__sets_unlock();
}

/* No mutex but the set's own is held meanwhile: a look may find a death, and start a worker. */
static bool ring_if_ready(cohort_waitset_t *set, cohort__thread_t *me, bool thorough) {
    cohort_os_mutex_lock(&set->mutex);
    bool ready = cohort__entries_look(set, me, thorough, NULL, 1) != 0;
    cohort_os_mutex_unlock(&set->mutex);
    if (ready) cohort__ring(set);
    return ready;
}

static apr_status_t try_ring(void *arg, bool thorough) {
    static unsigned round;
    cohort_waitset_t *set;
    for (round++; (set = begin_look(round)) != NULL;)
        end_look(set, ring_if_ready(set, arg, thorough));
    cohort__sets_lock();
    apr_status_t status = stops ? APR_EOF : first_armed ? APR_EAGAIN : APR_SUCCESS;
    cohort__sets_unlock();
    return status;
}

static apr_status_t try_armed(void *arg, bool thorough) {
    (void)arg, (void)thorough;
    cohort__sets_lock();
    apr_status_t status = stops ? APR_EOF : first_armed ? APR_SUCCESS : APR_EAGAIN;
    cohort__sets_unlock();
    return status;
}

/* ---- the thread ----------------------------------------------------------------------------- */

static bool is_poll_over(apr_status_t status) {
    cohort__sets_lock();
    bool over = stops || (APR_STATUS_IS_TIMEUP(status) && !first_armed);
    if (over) runs = false;
    cohort__sets_unlock();
    return over;
}

static void run_ringer(void *arg) {
    cohort__thread_t *me;
    apr_status_t status = APR_SUCCESS;
    (void)arg;
    while (!is_poll_over(status)) {
        status = cohort__enter(&me);
        if (!status)
            status = cohort__await(&cohort__arena->completed, try_ring, me, COHORT_OS_NEVER);
        if (!status) status = cohort__await(&called, try_armed, NULL, cohort__deadline(LINGER));
    }
    if (!cohort__enter(&me)) cohort__thread_exit(me);
    cohort__watcher_discount(-1);
    atomic_store(&exists, false);
}

/* Sets' mutex. */
static apr_status_t begin_ringer(void) {
    if (runs) return APR_SUCCESS;
    apr_status_t status = cohort__watcher_begin(); /* else main() could not end before this */
    if (status) return status;
    while (atomic_load(&exists)) apr_thread_yield(); /* on its way out */
    cohort__watcher_discount(1);
    atomic_store(&exists, true);
    status = cohort_os_thread_start(run_ringer, NULL);
    if (!status) {
        runs = true;
        return APR_SUCCESS;
    }
    atomic_store(&exists, false);
    cohort__watcher_discount(-1);
    return cohort__explain(status, "starting the thread that rings for wait sets");
}

apr_status_t cohort__ringer_arm(cohort_waitset_t *set) {
    apr_status_t status = APR_SUCCESS;
    cohort__sets_lock();
    bool first = !first_armed;
    if (!set->armed) status = stops ? COHORT_ENOTINIT : begin_ringer();
    set->was_armed = true;
    if (!status && !set->armed) {
        set->armed = true;
        set->next_armed = first_armed;
        first_armed = set;
    }
    cohort__sets_unlock();
    atomic_thread_fence(memory_order_seq_cst);
    if (!status && first) cohort__notify(&called, COHORT__ALL);
    return status;
}

/* And the ringer is not at it any more. */
void cohort__ringer_disarm(cohort_waitset_t *set) {
    if (!set->was_armed) return;
    cohort__sets_lock();
    while (looked_at == set) {
        cohort__sets_unlock();
        apr_thread_yield();
        cohort__sets_lock();
    }
    if (set->armed) unarm(set);
    cohort__sets_unlock();
    set->was_armed = false;
}

void cohort__ringer_end(void) {
    cohort__sets_lock();
    stops = true;
    cohort__sets_unlock();
    atomic_thread_fence(memory_order_seq_cst);
    cohort__notify(&called, COHORT__ALL);
    cohort__notify(&cohort__arena->completed, COHORT__ALL);
    while (atomic_load(&exists)) apr_thread_yield();
    cohort__sets_lock();
    for (; first_armed; first_armed = first_armed->next_armed) first_armed->armed = false;
    stops = false;
    cohort__sets_unlock();
}

/* In a copy of this process, which has neither the thread nor the sets. */
void cohort__ringer_reset(void) {
    if (atomic_load(&exists)) cohort__watcher_discount(-1);
    cohort_os_mutex_reset(&sets_mutex);
    first_armed = looked_at = NULL;
    runs = stops = false;
    atomic_store(&exists, false);
    atomic_store(&called.word, 0);
}
