/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The event count: word = changes * CHANGE | SHARED | SLEEPS. A sleeper sets SLEEPS, looks once
 * more, and sleeps as long as the word is what it saw. A thread that changes something adds CHANGE
 * when the bit is set, so a sleeper that looked too early does not fall asleep. The bit is taken
 * away together with that when all are woken, else only after a wake-up found no sleeper; since a
 * newcomer may have fallen asleep between that wake-up and the taking, there is another wake-up
 * then. Later newcomers see another word than they slept on, or set the bit themselves.
 *
 * A thread that waits for several things sets SLEEPS in the event count of completions, on which it
 * sleeps, then SHARED in that of each thing, and then looks at all. A notification takes SHARED
 * away, notes in the news (news.h) what was notified, for those that wait for very many things, and
 * goes on to the event count of completions; should its thread die in between, the death wakes all.
 * In the event count of completions itself SHARED stays: there it says that a thread reads the
 * news.
 */
#include "core/memory/park.h"

#include "core/base/bits.h"
#include "core/memory/arena.h"

#include <apr_thread_proc.h>

#define SPINS_MOST  128 /* pauses before the CPU is given up, a few microseconds */
#define SPINS_LEAST 16
#define EAGER       32 /* of these, with a look after each; then after every fourth */
/* a thread that waits for what one holds at a time looks less often: each look costs the holder a
 * cache miss */
#define HANDOFF_LOOKS  32
#define YIELDS_MOST    64 /* before going to sleep */
#define YIELDS_LEAST   2
#define WORTH          100000  /* nanoseconds: about twice what a sleep and its wake-up cost */
#define ENOUGH         1000000 /* nanoseconds after which giving up the CPU is no use */
#define PATIENCE_MOST  50000   /* nanoseconds: what going to sleep and being woken costs */
#define PATIENCE_LEAST 4000
#define DOUBTS         16
#define MILLISECOND    INT64_C(1000000)
/* a sleeper that looks again after less than that does not look after deaths that no process has
 * announced */
#define BRIEF (100 * MILLISECOND)

#define UNREST 40 /* looks */

/* waits, one after the other, that were over when the CPU had been given up */
#define ROW         64
#define STAND       (12 * MILLISECOND) /* that the CPU is kept then, once */
#define STANDS      4                  /* in a row */
#define APART       (MILLISECOND / 4)  /* a partner that comes sooner has another CPU */
#define PAUSE_LEAST (2 * MILLISECOND)
#define PAUSE_MOST  (1000 * MILLISECOND)

const cohort__pace_t cohort__pace_steady = {.first = 250 * MILLISECOND, .last = 1000 * MILLISECOND};
const cohort__pace_t cohort__pace_idle = {.first = 250 * MILLISECOND, .last = 4000 * MILLISECOND};
const cohort__pace_t cohort__pace_brisk = {.first = MILLISECOND / 20, .last = 1000 * MILLISECOND};

/* How long this thread spins, and how often it gives up the CPU before it goes to sleep: longer as
 * long as that is rewarded, less when it is not. */
static _Thread_local unsigned spins = SPINS_MOST, yields = 8;

/* How long at least it does so, in nanoseconds, when no other thread wants the CPU: longer after
 * sleeps that this would have spared. When all of it was in vain, so many of these are let pass
 * before it is tried again. */
static _Thread_local int64_t spin_patience;
static _Thread_local unsigned doubts;

/* Two that wait for one another and have been put on one CPU: each time one of them gives the
 * CPU up, the other ends its wait. So both are for ever too busy there to be moved to a CPU that
 * is idle, for a system moves what waits for a CPU. A thread that sees a row of such waits,
 * while another CPU is idle, keeps its CPU for some milliseconds, as a thread does that never
 * gives it up. When that parts no threads, it is not tried again soon. */
static _Thread_local struct {
    unsigned row, stands;
    int64_t next, pause;
} company;

int64_t cohort__deadline(apr_interval_time_t timeout) {
    if (timeout <= 0) return 0;
    if (timeout > COHORT_OS_NEVER / 1000) return COHORT_OS_NEVER;
    int64_t now = cohort_os_now();
    return timeout * 1000 > COHORT_OS_NEVER - now ? COHORT_OS_NEVER : now + timeout * 1000;
}

static unsigned adapt(unsigned budget, bool rewarded, unsigned least, unsigned most) {
    if (rewarded) return budget * 2 < most ? budget * 2 : most;
    return budget / 2 > least ? budget / 2 : least;
}

static apr_status_t spin(cohort__try_t try, void *arg, bool handoff) {
    apr_status_t status = handoff ? APR_EAGAIN : try(arg, false);
    for (unsigned i = 0; status == APR_EAGAIN && i < spins; i++) {
        cohort__relax();
        if (handoff ? i % HANDOFF_LOOKS == HANDOFF_LOOKS - 1 : i < EAGER || i % 4 == 3)
            status = try(arg, false);
    }
    spins = adapt(spins, status != APR_EAGAIN, SPINS_LEAST, SPINS_MOST);
    return status;
}

/* The thread that is waited for may want this CPU, and then the wait is over without any sleep. A
 * neighbour that keeps it for long is no help. */
static apr_status_t yield(cohort__try_t try, void *arg, int64_t begin, int64_t deadline) {
    apr_status_t status = APR_EAGAIN;
    int64_t took = 0;
    for (unsigned i = 0; status == APR_EAGAIN && took < ENOUGH && took < deadline - begin &&
                         (i < yields || took < spin_patience);
         i++) {
        apr_thread_yield();
        status = try(arg, false);
        took = cohort_os_now() - begin;
    }
    yields = adapt(yields, status != APR_EAGAIN && took < WORTH, YIELDS_LEAST, YIELDS_MOST);
    return status;
}

static apr_status_t stand(cohort__try_t try, void *arg, int64_t begin, int64_t deadline) {
    apr_status_t status = APR_EAGAIN;
    int64_t now = begin;
    for (unsigned i = 1; status == APR_EAGAIN && now - begin < STAND && now < deadline; i++) {
        cohort__relax();
        if (i % 4 == 0) status = try(arg, false);
        if (i % 64 == 0) now = cohort_os_now();
    }
    return status;
}

/* Not before `pause` has passed. */
static void rest(int64_t now, int64_t pause) {
    company.pause = pause < PAUSE_LEAST ? PAUSE_LEAST : pause > PAUSE_MOST ? PAUSE_MOST : pause;
    company.next = now + company.pause;
    company.row = company.stands = 0;
}

/* Keeps the CPU, where this thread seems to share it for no good reason. */
static apr_status_t part(cohort__try_t try, void *arg, int64_t begin, int64_t deadline) {
    if (company.row < ROW || begin < company.next) return APR_EAGAIN;
    if (!cohort_os_figure(COHORT_OS_CPU_IDLE)) {
        rest(begin, company.pause * 2);
        return APR_EAGAIN;
    }
    apr_status_t status = stand(try, arg, begin, deadline);
    int64_t now = cohort_os_now();
    if (status != APR_EAGAIN && now - begin < APART) rest(now, 0);
    else if (++company.stands == STANDS) rest(now, company.pause * 2);
    return status;
}

static void lose_patience(void) { spin_patience -= spin_patience / 4; }

static void learn(int64_t waited) {
    if (waited >= WORTH) {
        lose_patience();
    } else if (spin_patience == PATIENCE_MOST) {
        spin_patience = 0;
        doubts = DOUBTS;
    } else if (doubts) {
        doubts--;
    } else {
        spin_patience = spin_patience < PATIENCE_LEAST ? PATIENCE_LEAST : spin_patience * 2;
        if (spin_patience > PATIENCE_MOST) spin_patience = PATIENCE_MOST;
    }
}

typedef struct {
    cohort__thread_t *me; /* NULL: no member of the cohort */
    bool brief;           /* the last sleep was */
    uint32_t deaths;      /* those that were looked after */
    void (*share)(void *arg);
} sleeper_t;

/* Between prepare and the park the thread's record says where it sleeps, so that a death can wake
 * it. The try function may itself have slept, on something else: a death that was announced
 * meanwhile is seen by the count. */
static apr_status_t sleep_once(cohort__eventcount_t *ec, cohort__try_t try, void *arg,
                               int64_t until, sleeper_t *s) {
    cohort__thread_t *me = s->me;
    uint32_t seen = atomic_fetch_or(&ec->word, COHORT__EVENT_SLEEPS) | COHORT__EVENT_SLEEPS;
    cohort__eventcount_t *outer = me ? atomic_exchange(&me->parked, ec) : NULL;
    uint32_t deaths = me ? atomic_load(&cohort__arena->death) : 0;
    if (s->share) s->share(arg);
    apr_status_t status = try(arg, !s->brief || deaths != s->deaths);
    s->deaths = deaths;
    bool told = me && atomic_load(&cohort__arena->death) != deaths;
    if (status == APR_EAGAIN && !told) {
        (void)cohort_os_park(&ec->word, seen, until);
        cohort__arena_dump();
    }
    if (me && !cohort__is_copy()) atomic_store_explicit(&me->parked, outer, memory_order_release);
    return status;
}

static apr_status_t await_event(cohort__eventcount_t *ec, cohort__try_t try, void *arg,
                                int64_t deadline, cohort__pace_t pace, bool *slept) {
    if (deadline == 0) return try(arg, true);
    sleeper_t sleeper = {.share = pace.share};
    apr_status_t status = pace.gives ? try(arg, false) : spin(try, arg, slept != NULL);
    if (status != APR_EAGAIN) {
        company.row = 0;
        return status;
    }
    int64_t begin = cohort_os_now();
    if (!pace.gives) status = part(try, arg, begin, deadline);
    if (status == APR_EAGAIN) status = yield(try, arg, begin, deadline);
    cohort__arena_dump();
    if (status != APR_EAGAIN) {
        company.row++;
        return status;
    }
    company.row = 0;
    if (cohort__enter(&sleeper.me)) sleeper.me = NULL;
    int64_t look = pace.first;
    for (int looks = 1;; looks++) {
        int64_t now = cohort_os_now(), until = now + look;
        if (now >= deadline) {
            status = try(arg, true);
            if (status != APR_EAGAIN) return status;
            lose_patience();
            return APR_TIMEUP;
        }
        if (slept) *slept = true;
        status = sleep_once(ec, try, arg, until < deadline ? until : deadline, &sleeper);
        if (status == APR_EAGAIN) status = try(arg, false);
        if (status != APR_EAGAIN) {
            learn(cohort_os_now() - begin);
            return status;
        }
        sleeper.brief = look < BRIEF;
        if (looks < UNREST && pace.unrest && pace.unrest(arg)) continue;
        look = look * 2 < pace.last ? look * 2 : pace.last;
    }
}

apr_status_t cohort__await(cohort__eventcount_t *ec, cohort__try_t try, void *arg,
                           int64_t deadline) {
    return await_event(ec, try, arg, deadline, cohort__pace_steady, NULL);
}

apr_status_t cohort__await_paced(cohort__eventcount_t *ec, cohort__try_t try, void *arg,
                                 int64_t deadline, cohort__pace_t pace) {
    return await_event(ec, try, arg, deadline, pace, NULL);
}

apr_status_t cohort__await_handoff(cohort__eventcount_t *ec, cohort__try_t try, void *arg,
                                   int64_t deadline, bool *slept) {
    *slept = false;
    return await_event(ec, try, arg, deadline, cohort__pace_steady, slept);
}

/* After a change of which the threads that wait for several things are told elsewhere. */
static uint32_t changed_word(uint32_t seen) {
    return (seen & ~(uint32_t)COHORT__EVENT_SHARED) + COHORT__EVENT_CHANGE;
}

static void wake_sleepers(cohort__eventcount_t *ec, uint32_t now, int count) {
    if (cohort_os_wake(&ec->word, count) > 0 || count == COHORT__ALL) return;
    if (atomic_compare_exchange_strong(&ec->word, &now, now & ~(uint32_t)COHORT__EVENT_SLEEPS))
        (void)cohort_os_wake(&ec->word, COHORT__ALL);
}

static void notify_completions(void) {
    cohort__eventcount_t *ec = &cohort__arena->completed;
    uint32_t seen = atomic_load(&ec->word), next;
    do {
        if (!(seen & COHORT__EVENT_SLEEPS)) return;
        next = (seen & ~(uint32_t)COHORT__EVENT_SLEEPS) + COHORT__EVENT_CHANGE;
    } while (!atomic_compare_exchange_weak(&ec->word, &seen, next));
    wake_sleepers(ec, next, COHORT__ALL);
}

static void notify_shared(const cohort__eventcount_t *ec) {
    cohort__news_add(ec);
    notify_completions();
}

void cohort__notify_completed(const void *what) {
    if (atomic_load(&cohort__arena->completed.word) & COHORT__EVENT_SHARED) cohort__news_add(what);
    notify_completions();
}

/* What is in no arena yet or any more, is notified by its own threads alone, and never shared. */
static bool is_of_completions(const cohort__eventcount_t *ec) {
    return cohort__arena && ec == &cohort__arena->completed;
}

void cohort__notify_sleepers(cohort__eventcount_t *ec, uint32_t seen, int count) {
    uint32_t next;
    if (is_of_completions(ec)) {
        notify_completions();
        return;
    }
    do {
        if (!(seen & (COHORT__EVENT_SLEEPS | COHORT__EVENT_SHARED))) return;
        next = changed_word(seen);
        if (count == COHORT__ALL) next &= ~(uint32_t)COHORT__EVENT_SLEEPS;
    } while (!atomic_compare_exchange_weak(&ec->word, &seen, next));
    if (seen & COHORT__EVENT_SLEEPS) wake_sleepers(ec, next, count);
    if (seen & COHORT__EVENT_SHARED) notify_shared(ec);
}

void cohort__wake_handoff(cohort__eventcount_t *ec, uint32_t seen) {
    while (seen & COHORT__EVENT_SLEEPS) {
        uint32_t next = seen + COHORT__EVENT_CHANGE - COHORT__EVENT_SLEEPS;
        if (!atomic_compare_exchange_weak(&ec->word, &seen, next)) continue;
        (void)cohort_os_wake(&ec->word, 1);
        return;
    }
}

/* Where the bit says that no thread sleeps, a hand-off waiter may have died before it set it again.
 * A thread that is about to sleep there sees another word than it has read. Once for each word,
 * however many sleep on it; of many words the table forgets some, which are notified again. */
void cohort__wake_all_sleepers(void) {
    const cohort__eventcount_t *told[64] = {NULL};
    uint32_t count = cohort__thread_count();
    for (uint32_t i = 0; i < count; i++) {
        cohort__eventcount_t *ec = atomic_load(&cohort__thread_at(i)->parked);
        const cohort__eventcount_t **place = &told[(uintptr_t)ec / 64 % 64];
        if (!ec || *place == ec) continue;
        *place = ec;
        uint32_t seen = atomic_load(&ec->word);
        if (seen & COHORT__EVENT_SLEEPS) cohort__notify_sleepers(ec, seen, COHORT__ALL);
        else (void)cohort_os_wake(&ec->word, COHORT__ALL);
    }
}
