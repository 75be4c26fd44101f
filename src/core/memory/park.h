/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting. Every blocking call of Cohort is cohort__await() over an event count: a word that
 * changes whenever something happened that a sleeper may wait for. Two bits of it say which threads
 * are to be told: SLEEPS, that a thread sleeps there or is about to; SHARED, that a thread waits
 * for several things and sleeps where all of them are told of, on cohort__arena->completed.
 *
 * No wait is for ever: a sleeper looks again at least every second (an idle worker, every four),
 * and at once when any process of the cohort has died, and each time, but for short sleeps without
 * any death, its try function is asked to look thoroughly, that is, to ask whether what it depends
 * on still lives. So neither a killed waker nor a killed sleeper that took a wake-up with it can
 * hang a thread.
 */
#ifndef COHORT_CORE_PARK_H
#define COHORT_CORE_PARK_H

#include "core/base/bits.h"
#include "core/base/os.h"

#include <apr_time.h>

typedef struct {
    _Atomic uint32_t word; /* changes * CHANGE | SHARED | SLEEPS */
} cohort__eventcount_t;
enum { COHORT__EVENT_SLEEPS = 1, COHORT__EVENT_SHARED = 2, COHORT__EVENT_CHANGE = 4 };

/* Returns APR_EAGAIN when it must be called again after something happened, else the result of the
 * wait. `thorough`: about to sleep for long, so check for deaths too; false: be quick. */
typedef apr_status_t (*cohort__try_t)(void *arg, bool thorough);

/* Microseconds of the public API to a deadline of the seam; 0 for "do not wait". */
int64_t cohort__deadline(apr_interval_time_t timeout);

/* Call `try` until it returns something else than APR_EAGAIN: spin a little, then sleep on `ec`.
 * deadline 0: APR_EAGAIN after one thorough try; a deadline that passed: APR_TIMEUP. Needs no
 * registration as a member of the cohort. */
apr_status_t cohort__await(cohort__eventcount_t *ec, cohort__try_t try, void *arg,
                           int64_t deadline);

/* How often a sleeper looks around by itself: first after so many nanoseconds, then each time after
 * twice as many, up to the last; but for a number of looks as often as at first, as long as
 * `unrest`, if there is one, says so of the try function's argument. `share`, if there is one, is
 * called with that argument before the last look before each sleep: it calls cohort__event_share()
 * for all that this sleep may end by. */
typedef struct {
    int64_t first, last;
    bool (*unrest)(void *arg);
    void (*share)(void *arg);
    bool gives; /* the CPU is given up at once: what is waited for needs it to come about */
} cohort__pace_t;
extern COHORT__HIDDEN const cohort__pace_t cohort__pace_steady; /* cohort__await() */
/* for a thread that has nothing to do and keeps no other waiting: what it waits for concerns no
 * dead process */
extern COHORT__HIDDEN const cohort__pace_t cohort__pace_idle;
/* For a thread that waits for a pool. Workers that are woken together may have been put on one CPU
 * by the system, and a thread that goes to sleep has the system look for work that its CPU can take
 * over; but the system does not look each time, so the waiting thread goes to sleep again and again
 * at first. */
extern COHORT__HIDDEN const cohort__pace_t cohort__pace_brisk;
apr_status_t cohort__await_paced(cohort__eventcount_t *ec, cohort__try_t try, void *arg,
                                 int64_t deadline, cohort__pace_t pace);

void cohort__notify_sleepers(cohort__eventcount_t *ec, uint32_t seen, int count);
/* This process or result has come to its end, of which cohort__arena->completed is notified. */
void cohort__notify_completed(const void *what);

/* After a change that others may wait for, made by a sequentially consistent read-modify-write (or
 * followed by a fence): wake up to `count`. Costs one load when no thread sleeps. */
static inline void cohort__notify(cohort__eventcount_t *ec, int count) {
    uint32_t seen = atomic_load(&ec->word);
    if (seen & (COHORT__EVENT_SLEEPS | COHORT__EVENT_SHARED))
        cohort__notify_sleepers(ec, seen, count);
}
#define COHORT__ALL INT32_MAX
/* The next notification of this event count is one of cohort__arena->completed, too, and in the
 * news (news.h). A thread that dies after this leaves no more behind than that one notification.
 * Of cohort__arena->completed itself: from here on all completions are in the news. */
static inline void cohort__event_share(cohort__eventcount_t *ec) {
    atomic_fetch_or(&ec->word, COHORT__EVENT_SHARED);
}

/* For what only one at a time can have: wake one, and no other until that one gives it back. So
 * a thread that slept (*slept) sets the bit again when it is done waiting: cohort__handoff_came().
 * Should it die before, all are woken. */
void cohort__wake_handoff(cohort__eventcount_t *ec, uint32_t seen);
static inline void cohort__notify_handoff(cohort__eventcount_t *ec) {
    uint32_t seen = atomic_load(&ec->word);
    if (seen & COHORT__EVENT_SLEEPS) cohort__wake_handoff(ec, seen);
}
apr_status_t cohort__await_handoff(cohort__eventcount_t *ec, cohort__try_t try, void *arg,
                                   int64_t deadline, bool *slept);
static inline void cohort__handoff_came(cohort__eventcount_t *ec) {
    atomic_fetch_or(&ec->word, COHORT__EVENT_SLEEPS);
}

/* Wake every sleeper of the cohort, so that each looks for itself: after a death. */
void cohort__wake_all_sleepers(void);

#endif
