/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Condition. Guarantee: a notification reaches exactly one waiter that was there when it was given, however many die.
 *
 * Who waits is written down: an entry per waiter, with its thread and its place in the order, changed under a guard (the lock is not
 * enough: time runs out without it, and anybody may release it). To notify is to mark an entry; its waiter removes it when it holds the lock again.
 * So a marked entry of a dead thread is a notification that nobody has consumed: any waiter that is about to sleep (and
 * each death wakes all) gives it to the oldest of those who were waiting when it was given.
 *
 * Each entry has its own event count, so that the one who was chosen is the one who wakes. The entries never move: the object has the first few, then
 * come up to three blocks, each far larger than the one before; together they are enough for all threads of a cohort.
 */
#include "core/sync.h"

#include <cohort/sync.h>

#define TAG_CONDITION COHORT__TAG('C', 'O', 'N', 'D')
#define FIRST 16u
#define SEGMENTS 3
static const uint32_t segment_size[SEGMENTS] = {64, 1024, COHORT__THREADS_MAX};

typedef struct {
    _Atomic cohort__tid_t who; /* 0 = not in use */
    _Atomic uint64_t place;    /* in the order of waits and notifications, * 2 | notified */
    cohort__ec_t changed;
} entry_t;

struct cohort_condition_t {
    cohort__object_t object; /* parts[i] = segment i */
    cohort__object_t *lock_object; /* where the lock lies: the caller's, or this object itself */
    uint64_t lock_life;            /* 0: this object's */
    cohort__lock_t *lock;
    cohort__lock_t own;
    cohort__guard_t guard;
    _Atomic uint64_t segments;  /* usable */
    _Atomic uint64_t next;      /* place in the order */
    entry_t first[FIRST];
};

typedef struct {
    cohort__use_t use, lock_use;
    cohort_condition_t *condition;
    cohort__tid_t who;
    entry_t *entry;
} wait_t;

_Static_assert(sizeof(cohort_condition_t) <= COHORT__OBJECT_SIZE_MAX, "a condition fits into an object block");

/* ---- entries ----------------------------------------------------------------------------------------------------------------- */

static entry_t *entry_at(cohort_condition_t *c, uint32_t index) {
    if (index < FIRST) return &c->first[index];
    index -= FIRST;
    uint64_t segments = atomic_load_explicit(&c->segments, memory_order_acquire);
    for (uint32_t i = 0; i < segments; index -= segment_size[i++]) {
        if (index < segment_size[i]) return (entry_t *)atomic_load_explicit(&c->object.parts[i], memory_order_acquire) + index;
    }
    return NULL;
}

static cohort__tid_t who_of(entry_t *e) {
    return atomic_load_explicit(&e->who, memory_order_acquire);
}

static uint64_t place_of(entry_t *e) {
    return atomic_load_explicit(&e->place, memory_order_acquire) >> 1;
}

static bool is_notified(entry_t *e) {
    return atomic_load_explicit(&e->place, memory_order_acquire) & 1;
}

static bool is_waiting(entry_t *e) {
    return who_of(e) && !is_notified(e) && cohort__thread_alive(who_of(e), false);
}

static bool is_lost(entry_t *e) {
    return who_of(e) && is_notified(e) && !cohort__thread_alive(who_of(e), true);
}

/* All below: with the guard, unless said otherwise. */

/* A block that the maker died over is still in its home: it is used now. */
static apr_status_t grow(cohort_condition_t *c, cohort__thread_t *me) {
    uint64_t n = atomic_load_explicit(&c->segments, memory_order_relaxed);
    if (n == SEGMENTS) return COHORT_ELIMIT;
    cohort__home_t *home = &c->object.parts[n];
    if (!atomic_load(home)) {
        apr_status_t status = cohort__block_new(me, COHORT__KIND_BYTES, segment_size[n] * sizeof(entry_t), home);
        if (status) return status;
    }
    entry_t *entries = atomic_load(home);
    for (uint32_t i = 0; i < segment_size[n]; i++) {
        atomic_store_explicit(&entries[i].who, 0, memory_order_relaxed);
        atomic_store_explicit(&entries[i].place, 0, memory_order_relaxed);
        atomic_store_explicit(&entries[i].changed.word, 0, memory_order_relaxed);
    }
    cohort__guard_set(&c->guard, &c->segments, n + 1);
    return APR_SUCCESS;
}

/* Not in use, or left by a thread that died waiting. */
static entry_t *find_free(cohort_condition_t *c) {
    entry_t *e;
    for (uint32_t i = 0; (e = entry_at(c, i)) != NULL; i++) {
        if (!who_of(e) || (!is_notified(e) && !cohort__thread_alive(who_of(e), false))) return e;
    }
    return NULL;
}

/* The waiter that came first, of those before `before`. */
static entry_t *find_oldest(cohort_condition_t *c, uint64_t before) {
    entry_t *oldest = NULL, *e;
    for (uint32_t i = 0; (e = entry_at(c, i)) != NULL; i++) {
        if (!who_of(e) || place_of(e) >= before || (oldest && place_of(e) > place_of(oldest))) continue;
        if (is_waiting(e)) oldest = e;
    }
    return oldest;
}

static uint64_t take_place(cohort_condition_t *c) {
    uint64_t place = atomic_load_explicit(&c->next, memory_order_relaxed);
    cohort__guard_set(&c->guard, &c->next, place + 1);
    return place;
}

static apr_status_t add_entry(cohort_condition_t *c, wait_t *w) {
    w->entry = find_free(c);
    if (!w->entry) {
        apr_status_t status = grow(c, w->use.me);
        if (status) return status;
        w->entry = find_free(c);
    }
    cohort__guard_set(&c->guard, &w->entry->place, take_place(c) * 2);
    cohort__guard_set(&c->guard, &w->entry->who, w->who);
    return APR_SUCCESS;
}

static void mark(cohort_condition_t *c, entry_t *e, uint64_t place) {
    cohort__guard_set(&c->guard, &e->place, place * 2 | 1);
    cohort__guard_commit(&c->guard);
}

static void mark_some(cohort_condition_t *c, unsigned n, uint64_t place) {
    entry_t *e;
    while (n-- > 0 && (e = find_oldest(c, place)) != NULL) mark(c, e, place);
}

static void mark_all(cohort_condition_t *c, uint64_t place) {
    entry_t *e;
    for (uint32_t i = 0; (e = entry_at(c, i)) != NULL; i++) {
        if (is_waiting(e)) mark(c, e, place);
    }
}

static unsigned count_waiting(cohort_condition_t *c) {
    unsigned count = 0;
    entry_t *e;
    for (uint32_t i = 0; (e = entry_at(c, i)) != NULL; i++) count += is_waiting(e);
    return count;
}

/* Without the guard: wake all whose entries are marked. */
static void wake_marked(cohort_condition_t *c) {
    entry_t *e;
    for (uint32_t i = 0; (e = entry_at(c, i)) != NULL; i++) {
        if (who_of(e) && is_notified(e)) cohort__notify(&e->changed, 1);
    }
}

/* The heir is marked and the entry of the dead removed in one step. */
static void pass_on(cohort_condition_t *c, entry_t *dead) {
    uint64_t place = place_of(dead);
    entry_t *heir = find_oldest(c, place);
    cohort__guard_set(&c->guard, &dead->who, 0);
    if (heir) cohort__guard_set(&c->guard, &heir->place, place * 2 | 1);
    cohort__guard_commit(&c->guard);
}

/* Without the guard, which is taken only when there is something to do. */
static void pass_on_lost(cohort_condition_t *c, cohort__thread_t *me) {
    bool any = false;
    entry_t *e;
    for (uint32_t i = 0; !any && (e = entry_at(c, i)) != NULL; i++) any = is_lost(e);
    if (!any) return;
    cohort__guard_enter(&c->guard, me);
    for (uint32_t i = 0; (e = entry_at(c, i)) != NULL; i++) {
        if (is_lost(e)) pass_on(c, e);
    }
    cohort__guard_leave(&c->guard);
    wake_marked(c);
}

/* ---- life -------------------------------------------------------------------------------------------------------------------- */

static apr_status_t destroy_condition(void *object) {
    return cohort_condition_destroy(object);
}

static void set_lock(cohort_condition_t *c, cohort_lock_t *lock, uint64_t life) {
    c->lock_object = lock ? &lock->object : &c->object;
    c->lock_life = life;
    c->lock = lock ? &lock->lock : &c->own;
}

apr_status_t cohort_condition_create(cohort_condition_t **condition, cohort_lock_t *lock, apr_pool_t *pool) {
    cohort__use_t use = {0};
    cohort_condition_t *made;
    apr_status_t status = condition ? cohort__enter(&use.me) : APR_EINVAL;
    if (!status && lock) status = cohort__use_begin(&use, lock, COHORT__KIND_SYNC, COHORT__TAG_LOCK);
    if (!status) status = cohort__object_new(use.me, COHORT__KIND_SYNC, sizeof *made, &made);
    if (status) return status;
    set_lock(made, lock, use.life);
    atomic_store_explicit(&made->next, 1, memory_order_relaxed);
    cohort__object_publish(use.me, made, TAG_CONDITION, pool, destroy_condition);
    *condition = made;
    return APR_SUCCESS;
}

/* Who calls, on which condition, with which lock. */
static apr_status_t begin(wait_t *w, cohort_condition_t *c) {
    apr_status_t status = cohort__use_begin(&w->use, c, COHORT__KIND_SYNC, TAG_CONDITION);
    if (status) return status;
    w->condition = c;
    w->who = cohort__thread_id(w->use.me);
    w->lock_use.me = w->use.me;
    w->lock_use.object = c->lock_object;
    w->lock_use.life = c->lock_life ? c->lock_life : w->use.life;
    return cohort__use_over(&w->lock_use) ? COHORT_EHANDLE : APR_SUCCESS;
}

static apr_status_t begin_as_owner(wait_t *w, cohort_condition_t *c) {
    apr_status_t status = begin(w, c);
    if (status) return status;
    return cohort__lock_owner(c->lock) == w->who ? APR_SUCCESS : COHORT_ENOTOWNER;
}

apr_status_t cohort_condition_acquire(cohort_condition_t *condition, apr_interval_time_t timeout) {
    wait_t w;
    apr_status_t status = begin(&w, condition);
    return status ? status : cohort__hold_acquire(&w.lock_use, condition->lock, cohort__deadline(timeout));
}

apr_status_t cohort_condition_release(cohort_condition_t *condition) {
    wait_t w;
    apr_status_t status = begin(&w, condition);
    return status ? status : cohort__hold_release(condition->lock);
}

static void wake_all(cohort_condition_t *c) {
    entry_t *e;
    for (uint32_t i = 0; (e = entry_at(c, i)) != NULL; i++) cohort__notify(&e->changed, COHORT__ALL);
}

apr_status_t cohort_condition_destroy(cohort_condition_t *condition) {
    cohort__use_t use;
    apr_status_t status;
    if (!cohort__use_end(&use, condition, COHORT__KIND_SYNC, TAG_CONDITION, &status)) return status;
    wake_all(condition);
    cohort__hold_abandon(&condition->own);
    cohort__object_free(use.me, condition);
    return APR_SUCCESS;
}

/* ---- wait and notify ------------------------------------------------------------------------------------------------------------ */

static apr_status_t try_notified(void *arg, bool thorough) {
    wait_t *w = arg;
    if (cohort__use_over(&w->use)) return COHORT_EHANDLE;
    if (is_notified(w->entry)) return APR_SUCCESS;
    if (thorough) pass_on_lost(w->condition, w->use.me);
    return is_notified(w->entry) ? APR_SUCCESS : APR_EAGAIN;
}

static apr_status_t enter_wait(wait_t *w) {
    cohort__guard_enter(&w->condition->guard, w->use.me);
    apr_status_t status = add_entry(w->condition, w);
    cohort__guard_leave(&w->condition->guard);
    return status;
}

static void remove_entry(wait_t *w) {
    if (cohort__use_over(&w->use)) return;
    cohort__guard_enter(&w->condition->guard, w->use.me);
    cohort__guard_set(&w->condition->guard, &w->entry->who, 0);
    cohort__guard_leave(&w->condition->guard);
}

/* Sleep until the entry is marked for good: a mark that was seen without the guard may still be undone, if who made it died. An entry that
 * is not marked when the time is over is removed. */
static apr_status_t sleep_until(wait_t *w, int64_t deadline) {
    cohort_condition_t *c = w->condition;
    for (;;) {
        apr_status_t status = cohort__await(&w->entry->changed, try_notified, w, deadline);
        if (status == COHORT_EHANDLE) return status;
        cohort__guard_enter(&c->guard, w->use.me);
        bool notified = is_notified(w->entry);
        if (!notified && status) cohort__guard_set(&c->guard, &w->entry->who, 0);
        cohort__guard_leave(&c->guard);
        if (notified || status) return notified ? APR_SUCCESS : status;
    }
}

/* What the lock says comes first: EOWNERDEAD is said once, and EHANDLE means that it is not held. */
static apr_status_t wait_until(wait_t *w, int64_t deadline) {
    cohort__lock_t *lock = w->condition->lock;
    apr_status_t status = enter_wait(w);
    if (status) return status;
    cohort__lock_release(lock);
    status = sleep_until(w, deadline);
    apr_status_t held = w->lock_use.object == w->use.object && status == COHORT_EHANDLE
                            ? COHORT_EHANDLE
                            : cohort__hold_acquire(&w->lock_use, lock, COHORT_OS_NEVER);
    if (!status) remove_entry(w);
    return held ? held : status;
}

apr_status_t cohort_condition_wait(cohort_condition_t *condition, apr_interval_time_t timeout) {
    wait_t w;
    apr_status_t status = begin_as_owner(&w, condition);
    int64_t deadline = cohort__deadline(timeout);
    if (status) return status;
    return deadline ? wait_until(&w, deadline) : APR_EAGAIN;
}

apr_status_t cohort_condition_wait_for(cohort_condition_t *condition, int (*predicate)(void *arg), void *arg,
                                       apr_interval_time_t timeout) {
    wait_t w;
    apr_status_t status = predicate ? begin_as_owner(&w, condition) : APR_EINVAL;
    int64_t deadline = cohort__deadline(timeout);
    if (status) return status;
    while (!predicate(arg)) {
        if (!deadline) return APR_EAGAIN;
        status = wait_until(&w, deadline);
        if (status == APR_TIMEUP) return predicate(arg) ? APR_SUCCESS : APR_TIMEUP;
        if (status) return status;
    }
    return APR_SUCCESS;
}

static apr_status_t notify(cohort_condition_t *c, unsigned n, bool all) {
    wait_t w;
    apr_status_t status = begin_as_owner(&w, c);
    if (status) return status;
    cohort__guard_enter(&c->guard, w.use.me);
    uint64_t place = take_place(c);
    cohort__guard_commit(&c->guard);
    if (all || n >= count_waiting(c)) mark_all(c, place);
    else mark_some(c, n, place);
    cohort__guard_leave(&c->guard);
    wake_marked(c);
    return APR_SUCCESS;
}

apr_status_t cohort_condition_notify(cohort_condition_t *condition, unsigned n) {
    return notify(condition, n, false);
}

apr_status_t cohort_condition_notify_all(cohort_condition_t *condition) {
    return notify(condition, 0, true);
}
