/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Waiting: what a wait returns when, and that no wake-up is lost. */
#include "threads.h"

#include <apr_thread_proc.h>

typedef struct {
    cohort__eventcount_t changed[2];
    _Atomic uint64_t turn;
    _Atomic int ready, woken, tries, thorough;
    uint64_t end;
} place_t;

typedef struct {
    place_t *place;
    uint64_t value;
    int side;
} waiter_t;

static apr_status_t try_turn(void *data, bool thorough) {
    waiter_t *w = data;
    atomic_fetch_add(&w->place->tries, 1);
    if (thorough) atomic_fetch_add(&w->place->thorough, 1);
    return atomic_load(&w->place->turn) >= w->value ? APR_SUCCESS : APR_EAGAIN;
}

static apr_status_t fail_at_once(void *data, bool thorough) {
    (void)data;
    (void)thorough;
    return COHORT_EBROKEN;
}

static void deadlines_of_timeouts(void) {
    CHECK_INT(0, cohort__deadline(0));
    CHECK_INT(0, cohort__deadline(-1));
    CHECK_INT(0, cohort__deadline(APR_INT64_MIN));
    CHECK_INT(COHORT_OS_NEVER, cohort__deadline(COHORT_FOREVER));
    CHECK_INT(COHORT_OS_NEVER, cohort__deadline(COHORT_FOREVER - 1));
    CHECK_INT(COHORT_OS_NEVER, cohort__deadline(COHORT_FOREVER / 1000));
    int64_t now = cohort_os_now(), deadline = cohort__deadline(1000000);
    CHECK(deadline >= now + 1000000000 && deadline < now + 60000000000);
}

static void results_of_waits(void) {
    waiter_t w = {party_memory(sizeof(place_t)), 1, 0};
    place_t *p = w.place;
    CHECK_STATUS(APR_EAGAIN, cohort__await(&p->changed[0], try_turn, &w, 0));
    CHECK_INT(1, p->tries);
    CHECK_INT(1, p->thorough); /* a poll looks for deaths too */
    int64_t begin = cohort_os_now();
    CHECK_STATUS(APR_TIMEUP, cohort__await(&p->changed[0], try_turn, &w, soon()));
    CHECK(cohort_os_now() - begin >= 29000000);
    CHECK_STATUS(APR_TIMEUP, cohort__await(&p->changed[0], try_turn, &w, begin)); /* long past */
    atomic_store(&p->turn, 1);
    CHECK_STATUS(APR_SUCCESS, cohort__await(&p->changed[0], try_turn, &w, 0));
    CHECK_STATUS(APR_SUCCESS, cohort__await(&p->changed[0], try_turn, &w, begin));
    CHECK_STATUS(COHORT_EBROKEN, cohort__await(&p->changed[0], fail_at_once, &w, COHORT_OS_NEVER));
}

/* A notification of an event count that is shared is one of the completions', once, whether or not
 * a thread sleeps on the former. */
static void shared_with_completions(void) {
    cohort__eventcount_t *ec = party_memory(sizeof *ec), *all = &cohort__arena->completed;
    for (int sleeps = 0; sleeps < 2; sleeps++) {
        cohort__notify(all, COHORT__ALL);
        uint32_t before = atomic_fetch_or(&all->word, COHORT__EVENT_SLEEPS) | COHORT__EVENT_SLEEPS;
        cohort__notify(ec, 1);
        CHECK_INT(before, atomic_load(&all->word)); /* not shared yet */
        cohort__event_share(ec);
        if (sleeps) atomic_fetch_or(&ec->word, COHORT__EVENT_SLEEPS);
        uint32_t shared = atomic_load(&ec->word);
        cohort__notify(ec, 1);
        CHECK_INT(before - COHORT__EVENT_SLEEPS + COHORT__EVENT_CHANGE, atomic_load(&all->word));
        /* no thread was found asleep, so both bits are gone */
        CHECK_INT((shared & ~3u) + COHORT__EVENT_CHANGE, atomic_load(&ec->word));
        before = atomic_fetch_or(&all->word, COHORT__EVENT_SLEEPS) | COHORT__EVENT_SLEEPS;
        cohort__notify(ec, COHORT__ALL);
        CHECK_INT(before, atomic_load(&all->word));
    }
    cohort__notify(all, COHORT__ALL);
    CHECK_STATUS(APR_SUCCESS, cohort_free(ec));
}

static int sleep_for_turn(void *data) {
    waiter_t *w = data;
    atomic_fetch_add(&w->place->ready, 1);
    CHECK_STATUS(APR_SUCCESS, cohort__await(&w->place->changed[0], try_turn, w, COHORT_OS_NEVER));
    atomic_fetch_add(&w->place->woken, 1);
    return 0;
}

static void all_are_woken(void) {
    for (int round = 0; round < 10; round++) {
        cohort_process_t *sleepers[5];
        waiter_t w = {party_memory(sizeof(place_t)), 1, 0};
        parties_start(sleepers, 5, sleep_for_turn, &w, sizeof w);
        party_await(&w.place->ready, 5);
        atomic_fetch_add(&w.place->turn, 1);
        cohort__notify(&w.place->changed[0], COHORT__ALL);
        parties_finish(sleepers, 5);
        CHECK_INT(5, w.place->woken);
    }
}

static int play_ball(void *data) {
    waiter_t w = *(waiter_t *)data;
    place_t *p = w.place;
    for (w.value = (uint64_t)w.side; w.value < p->end; w.value += 2) {
        CHECK_STATUS(APR_SUCCESS,
                     cohort__await(&p->changed[w.side], try_turn, &w, COHORT_OS_NEVER));
        atomic_fetch_add(&p->turn, 1);
        cohort__notify(&p->changed[1 - w.side], 1);
    }
    return 0;
}

/* If wake-ups were lost, each would cost a quarter of a second, and the watchdog would bite. */
static void no_wake_up_is_lost(void) {
    cohort_process_t *sides[2];
    waiter_t w = {.place = party_memory(sizeof(place_t))};
    w.place->end = 4000;
    for (w.side = 0; w.side < 2; w.side++) sides[w.side] = party_start(play_ball, &w, sizeof w);
    parties_finish(sides, 2);
    CHECK_INT(w.place->end, w.place->turn);
}

/* What is waited for happens just when the sleeper falls asleep. */
static apr_status_t try_almost(void *data, bool thorough) {
    place_t *p = data;
    if (!thorough) return atomic_exchange(&p->turn, 0) ? APR_SUCCESS : APR_EAGAIN;
    atomic_store(&p->turn, 1);
    cohort__notify(&p->changed[0], COHORT__ALL);
    return APR_EAGAIN;
}

/* A thread that has learnt to stay awake for a little, since that would have spared it sleeps,
 * unlearns it when nothing comes any more; each look of the waits that time out counts. */
static void patience_is_lost_over_time_outs(void) {
    enum { SHORT_WAITS = 5, TIME_OUTS = 300, LOOKS_EACH = 60 };
    waiter_t w = {party_memory(sizeof(place_t)), 1, 0};
    for (int i = 0; i < SHORT_WAITS; i++) {
        CHECK_STATUS(APR_SUCCESS,
                     cohort__await(&w.place->changed[0], try_almost, w.place, COHORT_OS_NEVER));
    }
    for (int i = 0; i < TIME_OUTS; i++) {
        CHECK_STATUS(APR_TIMEUP,
                     cohort__await(&w.place->changed[0], try_turn, &w, cohort__deadline(1000)));
    }
    CHECK(w.place->tries < TIME_OUTS * LOOKS_EACH);
}

static bool always(void *data) {
    (void)data;
    return true;
}

static void unrest_comes_to_an_end(void) {
    enum { LOOKS_MOST = 400 }; /* it would be thousands, of 50 microseconds each */
    cohort__pace_t pace = cohort__pace_brisk;
    waiter_t w = {party_memory(sizeof(place_t)), 1, 0};
    pace.unrest = always;
    CHECK_STATUS(APR_TIMEUP, cohort__await_paced(&w.place->changed[0], try_turn, &w,
                                                 cohort__deadline(300000), pace));
    CHECK(w.place->tries < LOOKS_MOST);
    CHECK(w.place->thorough > 1);
}

/* By brief sleeps too, and by none when the deadline is near. */
static void paces_keep_deadlines(void) {
    const cohort__pace_t paces[] = {cohort__pace_steady, cohort__pace_brisk, cohort__pace_idle};
    waiter_t w = {party_memory(sizeof(place_t)), 1, 0};
    for (int i = 0; i < 3; i++) {
        for (apr_interval_time_t timeout = 1; timeout < 100000; timeout *= 7) {
            int64_t begin = cohort_os_now();
            atomic_store(&w.place->thorough, 0);
            CHECK_STATUS(APR_TIMEUP, cohort__await_paced(&w.place->changed[0], try_turn, &w,
                                                         cohort__deadline(timeout), paces[i]));
            CHECK(cohort_os_now() - begin >= timeout * 1000);
            CHECK(w.place->thorough > 0);
        }
    }
}

static int notify_all_the_time(void *data) {
    place_t *p = ((waiter_t *)data)->place;
    while (atomic_load(&p->turn) < p->end) {
        cohort__notify(&p->changed[0], 1);
        cohort__notify(&p->changed[1], COHORT__ALL);
        apr_thread_yield();
    }
    return 0;
}

/* Wake-ups that mean nothing take the sleepers' bit away at every possible moment. */
static void empty_notices_take_nothing_away(void) {
    cohort_process_t *all[4];
    waiter_t w = {.place = party_memory(sizeof(place_t))};
    w.place->end = 2000;
    all[2] = party_start(notify_all_the_time, &w, sizeof w);
    all[3] = party_start(notify_all_the_time, &w, sizeof w);
    for (w.side = 0; w.side < 2; w.side++) all[w.side] = party_start(play_ball, &w, sizeof w);
    parties_finish(all, 4);
    CHECK_INT(w.place->end, w.place->turn);
}

static int sleep_for_ever(void *data) {
    waiter_t *w = data;
    atomic_fetch_add(&w->place->ready, 1);
    w->value = UINT64_MAX;
    (void)cohort__await(&w->place->changed[w->side], try_turn, w, COHORT_OS_NEVER);
    return 1;
}

/* Sleepers that are killed leave neither the word in a state that others trip over, nor take their
 * wake-ups with them for good. */
static void killed_sleepers_do_no_harm(void) {
    cohort_process_t *sleepers[3], *sides[2];
    waiter_t w = {.place = party_memory(sizeof(place_t))};
    w.place->end = 200;
    parties_start(sleepers, 3, sleep_for_ever, &w, sizeof w);
    party_await(&w.place->ready, 3);
    for (w.side = 0; w.side < 2; w.side++) sides[w.side] = party_start(play_ball, &w, sizeof w);
    for (int i = 0; i < 3; i++) party_kill(sleepers[i]);
    parties_finish(sides, 2);
}

const test_case_t park_cases[] = {
    {"CorePark", "deadlines_of_timeouts", deadlines_of_timeouts},
    {"CorePark", "shared_with_completions", shared_with_completions},
    {"CorePark", "results_of_waits", results_of_waits},
    {"CorePark", "all_are_woken", all_are_woken},
    {"CorePark", "no_wake_up_is_lost", no_wake_up_is_lost},
    {"CorePark", "patience_is_lost_over_time_outs", patience_is_lost_over_time_outs},
    {"CorePark", "paces_keep_deadlines", paces_keep_deadlines},
    {"CorePark", "unrest_comes_to_an_end", unrest_comes_to_an_end},
    {"CorePark", "empty_notices_take_nothing_away", empty_notices_take_nothing_away},
    {"CorePark", "killed_sleepers_do_no_harm", killed_sleepers_do_no_harm},
    {0},
};
