/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Guarantee: each meeting has one outcome, the same for all its parties; a party that dies at
 * whatever instruction has arrived or has not, and in both cases no party waits for it for ever.
 *
 * One word says all about the meetings: phase (which meeting is being formed) << 32 | phases since
 * the last reset << 8 | outcomes of the last six << 2 | state. It is changed by compare-and-swap
 * alone: to the next phase, with the outcome "released", by the party that finds all there; with
 * the outcome "broken" by reset; to the state BROKEN by any thread that gives up, aborts or finds a
 * party dead. A party remembers its phase, so it learns its outcome however late it looks, others
 * having met thousands of times meanwhile. (One exception: more than six phases later and with a
 * reset in between it learns that it was broken.)
 *
 * Arrivals are entries of an array: to arrive is one compare-and-swap that writes phase and thread
 * into an entry of an earlier phase. The number of the entry is the party's index. After its entry
 * a party adds itself to a count, which also says where the next one looks for an entry first. It
 * need not be true: it falls short only of parties that died before they counted themselves, and
 * their entries break the meeting. The party that makes the count full looks at all entries once,
 * runs the action and releases.
 *
 * Odd and even phases have an array each, so during a meeting the other array still says which
 * processes took part in the last one. Such a process, if it was killed since, will not come: that
 * breaks the barrier too. A process that ended by itself does not, as others may come in its place.
 *
 * The barrier may be destroyed, and another made in its place, while parties are inside. So the
 * entries, which are a part, are touched only under a look at the object, and the words above go on
 * from one barrier to the next: a compare-and-swap that was meant for a phase of the one before
 * never succeeds on this one. A party learns of a meeting that came about although the barrier was
 * destroyed since.
 *
 * Looking for the dead costs nothing as long as no process dies: the entries are gone through only
 * when the cohort's count of deaths has changed since the last look, or half a second after it,
 * then asking the system (one party does that for all).
 */
#include "core/base/reserved.h"
#include "core/object/sync.h"

#include <cohort/barrier.h>
#include <stdio.h>

#define HISTORY    6u
#define SINCE_MAX  0xffffffu
#define LOOK_AGAIN 500000000 /* nanoseconds */

/* ACTION: all are there, and the last is running the action */
typedef enum { OPEN, ACTION, BROKEN } state_t;

typedef struct {
    /* phase << 32 | generation << 15 | thread; the generation is cut to 17 bits */
    _Atomic uint64_t arrival;
    _Atomic cohort__pid_t process;
} entry_t;

enum { PART_ENTRIES }; /* the part of a barrier: 2 * parties entries */

struct cohort_barrier_t {
    cohort__object_t object;
    uint32_t parties;
    cohort__code_t action;
    void *action_arg;
    apr_interval_time_t timeout;
    _Alignas(64) _Atomic uint64_t deaths; /* the count of deaths up to which no party was missing */
    _Atomic int64_t looked;               /* when the system was asked last */
    /* from here on nothing is cleared for the next barrier */
    _Alignas(64) _Atomic uint64_t word;
    cohort__eventcount_t changed;
    _Alignas(64) _Atomic uint64_t arrived; /* phase << 32 | count */
};

_Static_assert(sizeof(cohort_barrier_t) <= COHORT__OBJECT_SIZE_MAX,
               "a barrier fits into an object block");
_Static_assert(COHORT__THREADS_MAX < 1u << 15, "a thread's number fits into an arrival");

typedef struct {
    cohort__call_t call;
    cohort_barrier_t *barrier;
    bool polls;
    bool there;
    uint32_t phase, index; /* when there */
    cohort__code_t action; /* when last */
    void *action_arg;
} wait_t;

/* ---- the word ------------------------------------------------------------------------------- */

static uint64_t load_word(cohort_barrier_t *b) {
    return atomic_load_explicit(&b->word, memory_order_acquire);
}

static uint32_t phase_of(uint64_t word) { return (uint32_t)(word >> 32); }

/* The word `arrived`: a phase, and how many have arrived in it. An arrival begins like that. */
static uint64_t count_word(uint32_t phase, uint32_t count) { return (uint64_t)phase << 32 | count; }

static uint32_t arrived_count(uint64_t arrived) { return (uint32_t)arrived; }

static state_t barrier_state(uint64_t word) { return (state_t)(word & 3); }

/* The phases since the last reset, that one included; stays at its maximum, which counts as for
 * ever. */
static uint32_t since_of(uint64_t word) { return (uint32_t)word >> 8; }

static bool released(uint64_t word, uint32_t ago) {
    if (ago <= HISTORY) return word >> (1 + ago) & 1;
    return since_of(word) > ago || since_of(word) == SINCE_MAX;
}

/* The outcome for a party of this phase; APR_EAGAIN: nothing yet. */
static apr_status_t outcome(uint64_t word, uint32_t phase) {
    if (phase_of(word) != phase)
        return released(word, phase_of(word) - phase) ? APR_SUCCESS : COHORT_EBROKEN;
    return barrier_state(word) == BROKEN ? COHORT_EBROKEN : APR_EAGAIN;
}

static uint64_t next_phase(uint64_t word, bool is_released) {
    uint32_t since = !is_released ? 1 : since_of(word) < SINCE_MAX ? since_of(word) + 1 : SINCE_MAX;
    uint32_t history = ((uint32_t)word >> 2 << 1 | is_released) & ((1u << HISTORY) - 1);
    return ((word >> 32) + 1) << 32 | since << 8 | history << 2;
}

/* False when the phase is over or broken already. */
static bool break_phase(cohort_barrier_t *b, uint32_t phase) {
    uint64_t word = load_word(b);
    do {
        if (outcome(word, phase) != APR_EAGAIN) return false;
    } while (!atomic_compare_exchange_weak(&b->word, &word, (word & ~(uint64_t)3) | BROKEN));
    cohort__notify(&b->changed, COHORT__ALL);
    return true;
}

static bool begin_action(cohort_barrier_t *b, uint32_t phase) {
    uint64_t word = load_word(b);
    do {
        if (outcome(word, phase) != APR_EAGAIN) return false;
    } while (!atomic_compare_exchange_weak(&b->word, &word, word | ACTION));
    return true;
}

static apr_status_t release_phase(cohort_barrier_t *b, uint32_t phase) {
    uint64_t word = load_word(b);
    do {
        if (outcome(word, phase) != APR_EAGAIN) return outcome(word, phase);
    } while (!atomic_compare_exchange_weak(&b->word, &word, next_phase(word, true)));
    cohort__notify(&b->changed, COHORT__ALL);
    return APR_SUCCESS;
}

/* ---- which parties are there, and which will not come --------------------------------------- */

/* Under a look, and so is all that uses it. */
static entry_t *barrier_entry_at(cohort_barrier_t *b, uint32_t phase, uint32_t index) {
    entry_t *entries = atomic_load_explicit(&b->object.parts[PART_ENTRIES], memory_order_acquire);
    return &entries[(phase & 1 ? b->parties : 0) + index];
}

static uint64_t arrival_of(cohort__tid_t thread, uint32_t phase) {
    uint64_t generation = cohort__tid_generation(thread) & 0x1ffff;
    return (uint64_t)phase << 32 | generation << 15 | cohort__tid_number(thread);
}

static bool has_left(uint64_t arrival, bool thorough) {
    cohort__tid_t thread = cohort__thread_id(cohort__thread_at((uint32_t)(arrival & 0x7fff) - 1));
    return arrival_of(thread, phase_of(arrival)) != arrival ||
           !cohort__thread_alive(thread, thorough);
}

/* Did it end, and not by itself? It says so itself, since the killer of a process may choose its
 * exit code on some systems. A slot that was freed says so until it is used again. */
static bool was_killed(cohort__pid_t id, bool thorough) {
    if (cohort__process_alive(id, thorough)) return false;
    cohort_process_t *process = cohort__process_at(cohort__pid_slot(id));
    bool left = atomic_load(&process->left);
    return cohort__process_id(process) == id && !left;
}

static bool party_missing(cohort_barrier_t *b, uint32_t phase, bool thorough) {
    for (uint32_t i = 0; i < b->parties; i++) {
        uint64_t arrival =
            atomic_load_explicit(&barrier_entry_at(b, phase, i)->arrival, memory_order_acquire);
        if (phase_of(arrival) == phase && has_left(arrival, thorough)) return true;
    }
    return false;
}

/* 0: none was. */
static cohort__pid_t last_party_killed(cohort_barrier_t *b, uint32_t last, bool thorough) {
    for (uint32_t i = 0; i < b->parties; i++) {
        entry_t *e = barrier_entry_at(b, last, i);
        if (phase_of(atomic_load_explicit(&e->arrival, memory_order_acquire)) != last) continue;
        cohort__pid_t process = atomic_load_explicit(&e->process, memory_order_acquire);
        if (was_killed(process, thorough)) return process;
    }
    return 0;
}

/* True once per half second, for one caller. */
static bool time_to_ask(cohort_barrier_t *b) {
    int64_t now = cohort_os_now(), looked = atomic_load_explicit(&b->looked, memory_order_relaxed);
    return now - looked >= LOOK_AGAIN && atomic_compare_exchange_strong(&b->looked, &looked, now);
}

/* Break the phase if a party it depends on is dead; a death that has not been seen is recorded now.
 * A look at a phase that was over meanwhile says nothing about the next one. */
static void look_for_missing(const cohort__call_t *call, cohort_barrier_t *b) {
    uint64_t word = load_word(b), deaths = atomic_load(&cohort__arena->death);
    bool ask = time_to_ask(b);
    if (!ask && atomic_load_explicit(&b->deaths, memory_order_acquire) == deaths) return;
    uint32_t phase = phase_of(word);
    if (!cohort__call_look(call)) return;
    bool missing = party_missing(b, phase, ask);
    cohort__pid_t killed = !missing && released(word, 1) ? last_party_killed(b, phase - 1, ask) : 0;
    cohort__call_look_end(call);
    if (killed) (void)cohort__process_check_dead(killed);
    if (missing || killed) break_phase(b, phase);
    else if (phase_of(load_word(b)) == phase)
        atomic_store_explicit(&b->deaths, deaths, memory_order_release);
}

/* ---- arriving ------------------------------------------------------------------------------- */

/* True for an entry of an earlier phase that is ours now. */
static bool claim_entry(entry_t *e, uint64_t arrival) {
    uint64_t seen = atomic_load_explicit(&e->arrival, memory_order_acquire);
    return (int32_t)(phase_of(seen) - phase_of(arrival)) < 0 &&
           atomic_compare_exchange_strong(&e->arrival, &seen, arrival);
}

static bool take_entry(wait_t *w, uint32_t phase, uint32_t start) {
    cohort_barrier_t *b = w->barrier;
    uint64_t arrival = arrival_of(cohort__thread_id(w->call.me), phase);
    for (uint32_t i = 0; i < b->parties; i++) {
        uint32_t index = start + i < b->parties ? start + i : start + i - b->parties;
        entry_t *e = barrier_entry_at(b, phase, index);
        if (!claim_entry(e, arrival)) continue;
        atomic_store_explicit(&e->process, cohort__self_id(), memory_order_release);
        w->there = true;
        w->phase = phase;
        w->index = index;
        return true;
    }
    return false;
}

static uint32_t count_of(cohort_barrier_t *b, uint32_t phase) {
    uint64_t arrived = atomic_load_explicit(&b->arrived, memory_order_acquire);
    return phase_of(arrived) == phase ? arrived_count(arrived) : 0;
}

/* The count with the caller; 0 when the phase is over. */
static uint32_t count_me(cohort_barrier_t *b, uint32_t phase) {
    uint64_t old = atomic_load(&b->arrived), now;
    do {
        int32_t ahead = (int32_t)(phase_of(old) - phase);
        if (ahead > 0) return 0;
        now = count_word(phase, ahead < 0 ? 1 : arrived_count(old) + 1);
    } while (!atomic_compare_exchange_weak(&b->arrived, &old, now));
    return arrived_count(now);
}

static apr_status_t run_action(const wait_t *w) {
    cohort__function_t function;
    apr_status_t status = cohort__code_at(&w->action, &function);
    if (!status && function) ((void (*)(void *))function)(w->action_arg);
    return status;
}

/* By the last to arrive. The action may do anything, so nothing is looked at here. */
static apr_status_t complete_phase(const wait_t *w) {
    cohort_barrier_t *b = w->barrier;
    uint32_t phase = w->phase;
    if (!w->action.module) return release_phase(b, phase);
    if (!begin_action(b, phase)) return outcome(load_word(b), phase);
    apr_status_t status = run_action(w);
    if (cohort__is_copy()) return COHORT_ENOTMEMBER;
    if (!status) return release_phase(b, phase);
    break_phase(b, phase);
    return status;
}

/* APR_EAGAIN: waits for the others, if there; else for the next meeting. */
static apr_status_t arrive(wait_t *w) {
    cohort_barrier_t *b = w->barrier;
    uint64_t word = load_word(b);
    uint32_t phase = phase_of(word), count = count_of(b, phase);
    if (barrier_state(word) == BROKEN) return COHORT_EBROKEN;
    if (count >= b->parties || (w->polls && count + 1 < b->parties)) return APR_EAGAIN;
    if (!cohort__call_look(&w->call)) return COHORT_EHANDLE;
    bool last = take_entry(w, phase, count) && count_me(b, phase) == b->parties;
    bool missing = last && party_missing(b, phase, false);
    if (last) {
        w->action = b->action;
        w->action_arg = b->action_arg;
    }
    cohort__call_look_end(&w->call);
    if (missing) break_phase(b, phase);
    return last ? complete_phase(w) : APR_EAGAIN;
}

/* The outcome of a party's phase, which counts although the barrier was destroyed since; but what
 * stopped the phase was the end of the barrier. */
static apr_status_t outcome_of(const wait_t *w) {
    apr_status_t status = w->there ? outcome(load_word(w->barrier), w->phase) : APR_EAGAIN;
    return status && cohort__call_over(&w->call) ? COHORT_EHANDLE : status;
}

static apr_status_t try_meet(void *arg, bool thorough) {
    wait_t *w = arg;
    apr_status_t status = w->there ? APR_EAGAIN : arrive(w);
    if (status != APR_EAGAIN)
        return cohort__call_over(&w->call) && status == COHORT_EBROKEN ? COHORT_EHANDLE : status;
    if (thorough) look_for_missing(&w->call, w->barrier);
    return outcome_of(w);
}

static apr_status_t barrier_wait(cohort_barrier_t *barrier, apr_size_t *index,
                                 apr_interval_time_t timeout) {
    wait_t w = {.barrier = barrier, .polls = timeout <= 0};
    apr_status_t status =
        cohort__call_begin(&w.call, barrier, COHORT__KIND_BARRIER, COHORT__TAG_BARRIER);
    if (status) return status;
    if (timeout == COHORT_FOREVER) timeout = barrier->timeout;
    if (cohort__call_over(&w.call)) return COHORT_EHANDLE;
    status = cohort__await(&barrier->changed, try_meet, &w, cohort__deadline(timeout));
    if (status == APR_TIMEUP && w.there && !break_phase(barrier, w.phase)) status = outcome_of(&w);
    if (!status && index) *index = w.index;
    return status;
}

apr_status_t cohort_barrier_wait(cohort_barrier_t *barrier, apr_size_t *index,
                                 apr_interval_time_t timeout) {
    return COHORT__CALL(barrier_wait(barrier, index, timeout));
}

/* ---- the rest ------------------------------------------------------------------------------- */

static apr_status_t destroy_barrier(void *object) { return cohort_barrier_destroy(object); }

static apr_status_t set_action(cohort_barrier_t *b, const cohort_barrier_options_t *options) {
    b->action_arg = options->action_arg;
    return cohort__code_find((cohort__function_t)options->action, &b->action);
}

/* The phases go on from those of the barrier that was here before, as if after a reset. The entries
 * are of one before the last, in which no party was. */
static apr_status_t set_up_barrier(cohort_barrier_t *b, cohort__thread_t *me) {
    apr_status_t status =
        cohort__block_new(me, COHORT__KIND_BYTES, 2 * (size_t)b->parties * sizeof(entry_t),
                          &b->object.parts[PART_ENTRIES]);
    if (status) return status;
    uint64_t word = next_phase(load_word(b), false), arrival = count_word(phase_of(word) - 2, 0);
    for (uint32_t i = 0; i < b->parties * 2; i++) {
        entry_t *e = barrier_entry_at(b, 0, i);
        atomic_store_explicit(&e->arrival, arrival, memory_order_relaxed);
        atomic_store_explicit(&e->process, 0, memory_order_relaxed);
    }
    atomic_store(&b->word, word);
    atomic_store(&b->deaths, atomic_load(&cohort__arena->death));
    return APR_SUCCESS;
}

static apr_status_t barrier_create(cohort_barrier_t **barrier, apr_size_t parties,
                                   const cohort_barrier_options_t *options, apr_pool_t *pool) {
    static const cohort_barrier_options_t defaults = {0};
    const cohort_barrier_options_t *o = options ? options : &defaults;
    cohort__thread_t *me;
    cohort_barrier_t *b;
    if (!barrier) return cohort__null("barrier");
    if (parties < 1 || parties > COHORT_BARRIER_PARTIES_MAX) {
        return cohort__fail(APR_EINVAL, "parties is %" APR_SIZE_T_FMT ", not between 1 and %u",
                            parties, COHORT_BARRIER_PARTIES_MAX);
    }
    if (o->timeout < 0) return cohort__fail(APR_EINVAL, "timeout in the options is negative");
    apr_status_t status = cohort__check_reserved(o->reserved, 8, "options.reserved");
    if (!status) status = cohort__enter(&me);
    if (!status)
        status = cohort__object_new(me, COHORT__KIND_BARRIER, offsetof(cohort_barrier_t, word), &b);
    if (status) return status;
    b->parties = (uint32_t)parties;
    b->timeout = o->timeout ? o->timeout : COHORT_FOREVER;
    status = set_action(b, o);
    if (!status) status = set_up_barrier(b, me);
    if (status) {
        cohort__object_free(me, b);
        return status;
    }
    cohort__object_publish(me, b, COHORT__TAG_BARRIER, pool, destroy_barrier);
    *barrier = b;
    return APR_SUCCESS;
}

apr_status_t cohort_barrier_create(cohort_barrier_t **barrier, apr_size_t parties,
                                   const cohort_barrier_options_t *options, apr_pool_t *pool) {
    return COHORT__CALL_ANEW(barrier_create(barrier, parties, options, pool));
}

static apr_status_t barrier_abort(cohort_barrier_t *barrier) {
    cohort__call_t call;
    apr_status_t status =
        cohort__call_begin(&call, barrier, COHORT__KIND_BARRIER, COHORT__TAG_BARRIER);
    if (status) return status;
    for (;;) {
        uint64_t word = load_word(barrier);
        if (cohort__call_over(&call)) return COHORT_EHANDLE;
        if (barrier_state(word) == BROKEN || break_phase(barrier, phase_of(word)))
            return APR_SUCCESS;
    }
}

apr_status_t cohort_barrier_abort(cohort_barrier_t *barrier) {
    return COHORT__CALL(barrier_abort(barrier));
}

static apr_status_t barrier_reset(cohort_barrier_t *barrier) {
    cohort__call_t call;
    apr_status_t status =
        cohort__call_begin(&call, barrier, COHORT__KIND_BARRIER, COHORT__TAG_BARRIER);
    if (status) return status;
    uint64_t word = load_word(barrier);
    do {
        if (cohort__call_over(&call)) return COHORT_EHANDLE;
    } while (!atomic_compare_exchange_weak(&barrier->word, &word, next_phase(word, false)));
    cohort__notify(&barrier->changed, COHORT__ALL);
    return APR_SUCCESS;
}

apr_status_t cohort_barrier_reset(cohort_barrier_t *barrier) {
    return COHORT__CALL(barrier_reset(barrier));
}

/* A party that is dead breaks it, also for a process that only looks. */
static apr_status_t barrier_ask(const cohort_barrier_t *asked, cohort_barrier_t **barrier) {
    cohort__call_t call;
    *barrier = (cohort_barrier_t *)asked;
    apr_status_t status =
        cohort__call_begin(&call, *barrier, COHORT__KIND_BARRIER, COHORT__TAG_BARRIER);
    if (!status) look_for_missing(&call, *barrier);
    return status;
}

apr_size_t cohort_barrier_parties(const cohort_barrier_t *asked) {
    cohort_barrier_t *barrier;
    return COHORT__CALL_ANEW(barrier_ask(asked, &barrier)) ? 0 : barrier->parties;
}

apr_size_t cohort_barrier_waiting(const cohort_barrier_t *asked) {
    cohort_barrier_t *barrier;
    if (COHORT__CALL_ANEW(barrier_ask(asked, &barrier))) return 0;
    uint64_t word = load_word(barrier);
    return barrier_state(word) == BROKEN ? 0 : count_of(barrier, phase_of(word));
}

int cohort_barrier_is_broken(const cohort_barrier_t *asked) {
    cohort_barrier_t *barrier;
    return COHORT__CALL_ANEW(barrier_ask(asked, &barrier)) ||
           barrier_state(load_word(barrier)) == BROKEN;
}

unsigned cohort__barrier_ready(const cohort__aim_t *aim, unsigned wanted, bool thorough) {
    const cohort__call_t call = {aim->me, aim->handle, aim->life};
    cohort_barrier_t *b = aim->handle;
    if (thorough) look_for_missing(&call, b);
    return barrier_state(load_word(b)) == BROKEN || cohort__call_over(&call) ? wanted : 0;
}

cohort__eventcount_t *cohort__barrier_event(const cohort__aim_t *aim, unsigned wanted, int i) {
    (void)wanted;
    return i == 0 ? &((cohort_barrier_t *)aim->handle)->changed : NULL;
}

void cohort__barrier_describe(const cohort__aim_t *aim, char *text, size_t size) {
    cohort_barrier_t *b = aim->handle;
    uint64_t word = load_word(b);
    if (barrier_state(word) == BROKEN)
        snprintf(text, size, "a broken barrier of %u parties", (unsigned)b->parties);
    else
        snprintf(text, size, "a barrier with %u of %u parties waiting",
                 (unsigned)count_of(b, phase_of(word)), (unsigned)b->parties);
}

static apr_status_t barrier_destroy(cohort_barrier_t *barrier) {
    cohort__call_t call;
    apr_status_t status;
    if (!cohort__sync_end(&call, barrier, COHORT__KIND_BARRIER, COHORT__TAG_BARRIER, false,
                          &status))
        return status;
    cohort__notify(&barrier->changed, COHORT__ALL);
    cohort__object_free(call.me, barrier);
    return APR_SUCCESS;
}

apr_status_t cohort_barrier_destroy(cohort_barrier_t *barrier) {
    return COHORT__CALL_ANEW(barrier_destroy(barrier));
}
