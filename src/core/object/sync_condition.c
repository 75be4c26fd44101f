/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Condition. Guarantee: a notification reaches exactly one waiter that was there when it was given,
 * however many die.
 *
 * The waiters are written down: an entry for each, with its thread and its place in the order,
 * changed under a guard (the lock is not enough: time runs out without it, and any thread may
 * release it). To notify is to mark an entry; its waiter removes it when it holds the lock again.
 * So a marked entry of a dead thread is a notification that has not been consumed: any waiter that
 * is about to sleep (and each death wakes all) gives it to the oldest of the waiters that were
 * there when it was given.
 *
 * A waiter sleeps in its thread's record, which outlives the condition, so that the one that was
 * chosen is the one that wakes. There it learns that an entry of its was marked, and looks at the
 * entry under the guard. The entries never move: the object has the first few, then come up to
 * three blocks, each far larger than the one before; together they are enough for all threads of a
 * cohort.
 */
#include "core/object/sync.h"

#include <cohort/sync.h>
#include <stdio.h>

#define FIRST    16u
#define SEGMENTS 3
static const uint32_t segment_size[SEGMENTS] = {64, 1024, COHORT__THREADS_MAX};

typedef struct {
    _Atomic cohort__tid_t waiter; /* 0 = not in use */
    _Atomic uint64_t place;       /* in the order of waits and notifications, * 2 | notified */
} entry_t;

struct cohort_condition_t {
    cohort__sync_t sync;           /* its parts are the segments */
    cohort__object_t *lock_object; /* where the lock lies: the caller's, or this object itself */
    uint64_t lock_life;            /* 0: this object's */
    cohort__lock_t *lock;
    _Atomic uint64_t segments; /* usable */
    _Atomic uint64_t next;     /* place in the order */
    entry_t first[FIRST];
};

typedef struct {
    cohort__call_t call, lock_call;
    cohort_condition_t *condition;
    cohort__lock_t *lock;
    cohort__tid_t waiter;
    entry_t *entry;         /* to be touched with the guard */
    uint32_t notifications; /* of this thread, when its entry was last seen not to be marked */
} wait_t;

/* Threads with entries that were marked under the guard, to be woken without it. */
#define WAKES 64
typedef struct {
    cohort__tid_t waiter[WAKES];
    unsigned count;
} wakes_t;

_Static_assert(sizeof(cohort_condition_t) <= COHORT__OBJECT_SIZE_MAX,
               "a condition fits into an object block");

/* ---- entries, under the guard --------------------------------------------------------------- */

static entry_t *condition_entry_at(cohort_condition_t *c, uint32_t index) {
    if (index < FIRST) return &c->first[index];
    index -= FIRST;
    uint64_t segments = atomic_load_explicit(&c->segments, memory_order_acquire);
    for (uint32_t i = 0; i < segments; index -= segment_size[i++]) {
        if (index < segment_size[i])
            return (entry_t *)atomic_load_explicit(&c->sync.object.parts[i], memory_order_acquire) +
                   index;
    }
    return NULL;
}

static cohort__tid_t waiter_of(entry_t *e) {
    return atomic_load_explicit(&e->waiter, memory_order_acquire);
}

static uint64_t place_of(entry_t *e) {
    return atomic_load_explicit(&e->place, memory_order_acquire) >> 1;
}

static bool is_notified(entry_t *e) {
    return atomic_load_explicit(&e->place, memory_order_acquire) & 1;
}

static bool is_waiting(entry_t *e) {
    return waiter_of(e) && !is_notified(e) && cohort__thread_alive(waiter_of(e), false);
}

static bool is_notice_lost(entry_t *e) {
    return waiter_of(e) && is_notified(e) && !cohort__thread_alive(waiter_of(e), true);
}

/* A block that the maker died over is still in its owner pointer: it is used now. */
static apr_status_t grow_condition(cohort_condition_t *c, cohort__thread_t *me) {
    uint64_t n = atomic_load_explicit(&c->segments, memory_order_relaxed);
    if (n == SEGMENTS)
        return cohort__fail(COHORT_ELIMIT, "more than %u threads that wait for one condition",
                            COHORT__THREADS_MAX);
    cohort__owner_ptr_t *owner_ptr = &c->sync.object.parts[n];
    if (!atomic_load(owner_ptr)) {
        apr_status_t status =
            cohort__block_new(me, COHORT__KIND_BYTES, segment_size[n] * sizeof(entry_t), owner_ptr);
        if (status) return status;
    }
    entry_t *entries = atomic_load(owner_ptr);
    for (uint32_t i = 0; i < segment_size[n]; i++) {
        atomic_store_explicit(&entries[i].waiter, 0, memory_order_relaxed);
        atomic_store_explicit(&entries[i].place, 0, memory_order_relaxed);
    }
    cohort__guard_set(&c->sync.guard, &c->segments, n + 1);
    return APR_SUCCESS;
}

/* Not in use, or left by a thread that died waiting. */
static entry_t *find_free_entry(cohort_condition_t *c) {
    entry_t *e;
    for (uint32_t i = 0; (e = condition_entry_at(c, i)) != NULL; i++) {
        if (!waiter_of(e) || (!is_notified(e) && !cohort__thread_alive(waiter_of(e), false)))
            return e;
    }
    return NULL;
}

/* The waiter that came first, of those before `before`. */
static entry_t *find_oldest(cohort_condition_t *c, uint64_t before) {
    entry_t *oldest = NULL, *e;
    for (uint32_t i = 0; (e = condition_entry_at(c, i)) != NULL; i++) {
        if (!waiter_of(e) || place_of(e) >= before || (oldest && place_of(e) > place_of(oldest)))
            continue;
        if (is_waiting(e)) oldest = e;
    }
    return oldest;
}

static uint64_t take_number(cohort_condition_t *c) {
    uint64_t place = atomic_load_explicit(&c->next, memory_order_relaxed);
    cohort__guard_set(&c->sync.guard, &c->next, place + 1);
    return place;
}

static apr_status_t add_entry(cohort_condition_t *c, wait_t *w) {
    w->entry = find_free_entry(c);
    if (!w->entry) {
        apr_status_t status = grow_condition(c, w->call.me);
        if (status) return status;
        w->entry = find_free_entry(c);
    }
    cohort__guard_set(&c->sync.guard, &w->entry->place, take_number(c) * 2);
    cohort__guard_set(&c->sync.guard, &w->entry->waiter, w->waiter);
    return APR_SUCCESS;
}

/* The count is raised before the guard is left, so that a waiter which has seen it finds the
 * mark. */
static void note_mark(entry_t *e, wakes_t *wakes) {
    cohort__thread_t *thread = cohort__thread_find(waiter_of(e));
    if (!thread) return;
    atomic_fetch_add(&thread->notifications, 1);
    wakes->waiter[wakes->count++] = waiter_of(e);
}

static void mark_entry(cohort_condition_t *c, entry_t *e, uint64_t place, wakes_t *wakes) {
    cohort__guard_set(&c->sync.guard, &e->place, place * 2 | 1);
    cohort__guard_commit(&c->sync.guard);
    note_mark(e, wakes);
}

/* Up to as many as can be woken at a time; returns how many. */
static unsigned mark_some(cohort_condition_t *c, apr_size_t n, uint64_t place, wakes_t *wakes) {
    unsigned marked = 0;
    entry_t *e;
    while (marked < n && wakes->count < WAKES && (e = find_oldest(c, place)) != NULL) {
        mark_entry(c, e, place, wakes);
        marked++;
    }
    return marked;
}

static unsigned mark_all(cohort_condition_t *c, uint64_t place, wakes_t *wakes) {
    unsigned marked = 0;
    entry_t *e;
    for (uint32_t i = 0; wakes->count < WAKES && (e = condition_entry_at(c, i)) != NULL; i++) {
        if (!is_waiting(e) || place_of(e) >= place) continue;
        mark_entry(c, e, place, wakes);
        marked++;
    }
    return marked;
}

static unsigned count_waiting(cohort_condition_t *c) {
    unsigned count = 0;
    entry_t *e;
    for (uint32_t i = 0; (e = condition_entry_at(c, i)) != NULL; i++) count += is_waiting(e);
    return count;
}

/* The next waiter is marked and the entry of the dead removed in one step. */
static void pass_on_wake(cohort_condition_t *c, entry_t *dead, wakes_t *wakes) {
    uint64_t place = place_of(dead);
    entry_t *next = find_oldest(c, place);
    cohort__guard_set(&c->sync.guard, &dead->waiter, 0);
    if (next) cohort__guard_set(&c->sync.guard, &next->place, place * 2 | 1);
    cohort__guard_commit(&c->sync.guard);
    if (next) note_mark(next, wakes);
}

static void pass_on_lost(cohort_condition_t *c, wakes_t *wakes) {
    entry_t *e;
    for (uint32_t i = 0; wakes->count < WAKES && (e = condition_entry_at(c, i)) != NULL; i++) {
        if (is_notice_lost(e)) pass_on_wake(c, e, wakes);
    }
}

/* Without the guard. */
static void wake_marked(const wakes_t *wakes) {
    for (unsigned i = 0; i < wakes->count; i++) {
        cohort__thread_t *thread = cohort__thread_find(wakes->waiter[i]);
        if (thread) cohort__notify(&thread->notified, COHORT__ALL);
    }
}

/* ---- life ----------------------------------------------------------------------------------- */

static apr_status_t destroy_condition(void *object) { return cohort_condition_destroy(object); }

static void set_lock(cohort_condition_t *c, cohort_lock_t *lock, uint64_t life) {
    c->lock_object = lock ? &lock->sync.object : &c->sync.object;
    c->lock_life = life;
    c->lock = lock ? &lock->sync.lock : &c->sync.lock;
}

static apr_status_t condition_create(cohort_condition_t **condition, cohort_lock_t *lock,
                                     apr_pool_t *pool) {
    cohort__call_t call = {0};
    cohort_condition_t *made;
    apr_status_t status = condition ? cohort__enter(&call.me) : cohort__null("condition");
    if (!status && lock)
        status = cohort__call_begin(&call, lock, COHORT__KIND_SYNC, COHORT__TAG_LOCK);
    if (!status) status = cohort__sync_new(call.me, sizeof *made, &made);
    if (status) return status;
    set_lock(made, lock, call.life);
    atomic_store_explicit(&made->next, 1, memory_order_relaxed);
    cohort__object_publish(call.me, made, COHORT__TAG_CONDITION, pool, destroy_condition);
    *condition = made;
    return APR_SUCCESS;
}

apr_status_t cohort_condition_create(cohort_condition_t **condition, cohort_lock_t *lock,
                                     apr_pool_t *pool) {
    return COHORT__CALL_ANEW(condition_create(condition, lock, pool));
}

/* Where the lock is. Its block is another object's, and the pointers are anything, once the
 * condition's life is over: they are read while the calling thread looks at it. */
static bool find_lock(wait_t *w, cohort_condition_t *c) {
    if (!cohort__call_look(&w->call)) return false;
    w->lock = c->lock;
    w->lock_call.me = w->call.me;
    w->lock_call.object = c->lock_object;
    w->lock_call.life = c->lock_life ? c->lock_life : w->call.life;
    cohort__call_look_end(&w->call);
    return !cohort__call_over(&w->lock_call);
}

/* The calling thread, the condition and its lock. */
static apr_status_t begin_condition(wait_t *w, cohort_condition_t *c) {
    apr_status_t status = cohort__call_begin(&w->call, c, COHORT__KIND_SYNC, COHORT__TAG_CONDITION);
    if (status) return status;
    w->condition = c;
    w->waiter = cohort__thread_id(w->call.me);
    return find_lock(w, c) ? APR_SUCCESS : COHORT_EHANDLE;
}

static apr_status_t begin_as_owner(wait_t *w, cohort_condition_t *c) {
    apr_status_t status = begin_condition(w, c);
    if (status) return status;
    if (cohort__lock_owner(w->lock) == w->waiter) return APR_SUCCESS;
    return cohort__call_over(&w->lock_call) ? COHORT_EHANDLE : COHORT_ENOTOWNER;
}

static apr_status_t condition_acquire(cohort_condition_t *condition, apr_interval_time_t timeout) {
    wait_t w;
    apr_status_t status = begin_condition(&w, condition);
    return status ? status : cohort__hold_acquire(&w.lock_call, w.lock, cohort__deadline(timeout));
}

apr_status_t cohort_condition_acquire(cohort_condition_t *condition, apr_interval_time_t timeout) {
    return COHORT__CALL(condition_acquire(condition, timeout));
}

static apr_status_t condition_release(cohort_condition_t *condition) {
    wait_t w;
    apr_status_t status = begin_condition(&w, condition);
    return status ? status : cohort__hold_release(&w.lock_call, w.lock);
}

apr_status_t cohort_condition_release(cohort_condition_t *condition) {
    return COHORT__CALL(condition_release(condition));
}

/* By the thread that has ended its life: no other touches the entries any more. */
static void wake_all(cohort_condition_t *c) {
    entry_t *e;
    for (uint32_t i = 0; (e = condition_entry_at(c, i)) != NULL; i++) {
        cohort__thread_t *thread = waiter_of(e) ? cohort__thread_find(waiter_of(e)) : NULL;
        if (thread) cohort__notify(&thread->notified, COHORT__ALL);
    }
}

void cohort__condition_describe(const cohort__aim_t *aim, char *text, size_t size) {
    cohort__call_t call = {aim->me, aim->handle, aim->life};
    if (!cohort__sync_guard(&call)) return;
    unsigned waiting = count_waiting(aim->handle);
    cohort__guard_leave(&((cohort__sync_t *)aim->handle)->guard);
    snprintf(text, size, "a condition with %u waiting thread%s", waiting, waiting == 1 ? "" : "s");
}

static apr_status_t condition_destroy(cohort_condition_t *condition) {
    cohort__call_t call;
    apr_status_t status;
    if (!cohort__sync_end(&call, condition, COHORT__KIND_SYNC, COHORT__TAG_CONDITION, true,
                          &status))
        return status;
    wake_all(condition);
    cohort__hold_abandon(&condition->sync.lock);
    cohort__object_free(call.me, condition);
    return APR_SUCCESS;
}

apr_status_t cohort_condition_destroy(cohort_condition_t *condition) {
    return COHORT__CALL_ANEW(condition_destroy(condition));
}

/* ---- wait and notify ------------------------------------------------------------------------ */

/* No thread notifies through a lock that is gone. */
static bool is_wait_over(const wait_t *w) {
    return cohort__call_over(&w->call) || cohort__call_over(&w->lock_call);
}

static apr_status_t check_entry(wait_t *w, bool thorough) {
    cohort_condition_t *c = w->condition;
    wakes_t wakes = {.count = 0};
    w->notifications = atomic_load(&w->call.me->notifications);
    if (!cohort__sync_guard(&w->call)) return COHORT_EHANDLE;
    if (thorough && !is_notified(w->entry)) pass_on_lost(c, &wakes);
    bool notified = is_notified(w->entry);
    cohort__guard_leave(&c->sync.guard);
    wake_marked(&wakes);
    return notified ? APR_SUCCESS : APR_EAGAIN;
}

static apr_status_t try_notified(void *arg, bool thorough) {
    wait_t *w = arg;
    if (is_wait_over(w)) return COHORT_EHANDLE;
    if (!thorough && atomic_load(&w->call.me->notifications) == w->notifications) return APR_EAGAIN;
    return check_entry(w, thorough);
}

static apr_status_t enter_wait(wait_t *w) {
    w->notifications = atomic_load(&w->call.me->notifications);
    if (!cohort__sync_guard(&w->call)) return COHORT_EHANDLE;
    apr_status_t status = add_entry(w->condition, w);
    cohort__guard_leave(&w->condition->sync.guard);
    return status;
}

static void remove_entry(wait_t *w) {
    if (!cohort__sync_guard(&w->call)) return;
    cohort__guard_set(&w->condition->sync.guard, &w->entry->waiter, 0);
    cohort__guard_leave(&w->condition->sync.guard);
}

/* An entry that is not marked when the time is over is removed. */
static apr_status_t sleep_until(wait_t *w, int64_t deadline) {
    cohort_condition_t *c = w->condition;
    apr_status_t status = cohort__await(&w->call.me->notified, try_notified, w, deadline);
    if (status != APR_TIMEUP) return status;
    if (!cohort__sync_guard(&w->call)) return COHORT_EHANDLE;
    bool notified = is_notified(w->entry);
    if (!notified) cohort__guard_set(&c->sync.guard, &w->entry->waiter, 0);
    cohort__guard_leave(&c->sync.guard);
    return notified ? APR_SUCCESS : APR_TIMEUP;
}

/* What the lock says comes first: EOWNERDEAD is said once, and EHANDLE means that it is not
 * held. */
static apr_status_t wait_until(wait_t *w, int64_t deadline) {
    apr_status_t status = enter_wait(w);
    if (status) return status;
    (void)cohort__hold_let_go(w->call.me, w->lock);
    status = sleep_until(w, deadline);
    apr_status_t held = w->lock_call.object == w->call.object && status == COHORT_EHANDLE
                            ? COHORT_EHANDLE
                            : cohort__hold_acquire(&w->lock_call, w->lock, COHORT_OS_NEVER);
    if (status != APR_TIMEUP) remove_entry(w);
    return held ? held : status;
}

static apr_status_t condition_wait(cohort_condition_t *condition, apr_interval_time_t timeout) {
    wait_t w;
    apr_status_t status = begin_as_owner(&w, condition);
    int64_t deadline = cohort__deadline(timeout);
    if (status) return status;
    return deadline ? wait_until(&w, deadline) : APR_EAGAIN;
}

apr_status_t cohort_condition_wait(cohort_condition_t *condition, apr_interval_time_t timeout) {
    return COHORT__CALL(condition_wait(condition, timeout));
}

/* APR_EAGAIN: it does not hold. */
static apr_status_t ask_predicate(int (*predicate)(void *arg), void *arg) {
    int holds = predicate(arg);
    return cohort__is_copy() ? COHORT_ENOTMEMBER : holds ? APR_SUCCESS : APR_EAGAIN;
}

static apr_status_t condition_wait_for(cohort_condition_t *condition, int (*predicate)(void *arg),
                                       void *arg, apr_interval_time_t timeout) {
    wait_t w;
    apr_status_t status = predicate ? begin_as_owner(&w, condition) : cohort__null("predicate");
    int64_t deadline = cohort__deadline(timeout);
    if (status) return status;
    while ((status = ask_predicate(predicate, arg)) == APR_EAGAIN) {
        if (!deadline) return APR_EAGAIN;
        status = wait_until(&w, deadline);
        if (status == APR_TIMEUP) {
            status = ask_predicate(predicate, arg);
            return status == APR_EAGAIN ? APR_TIMEUP : status;
        }
        if (status) return status;
    }
    return status;
}

apr_status_t cohort_condition_wait_for(cohort_condition_t *condition, int (*predicate)(void *arg),
                                       void *arg, apr_interval_time_t timeout) {
    return COHORT__CALL(condition_wait_for(condition, predicate, arg, timeout));
}

static apr_status_t notify_waiters(cohort_condition_t *c, apr_size_t n, bool all) {
    wait_t w;
    apr_status_t status = begin_as_owner(&w, c);
    if (status) return status;
    if (!cohort__sync_guard(&w.call)) return COHORT_EHANDLE;
    uint64_t place = take_number(c);
    cohort__guard_commit(&c->sync.guard);
    if (n >= count_waiting(c)) all = true;
    if (all) n = 1; /* until none is left */
    for (;;) {
        wakes_t wakes = {.count = 0};
        unsigned marked = all ? mark_all(c, place, &wakes) : mark_some(c, n, place, &wakes);
        cohort__guard_leave(&c->sync.guard);
        wake_marked(&wakes);
        n -= all ? 0 : marked;
        if (marked < WAKES || !n || !cohort__sync_guard(&w.call)) return APR_SUCCESS;
    }
}

apr_status_t cohort_condition_notify(cohort_condition_t *condition, apr_size_t n) {
    return COHORT__CALL(notify_waiters(condition, n, false));
}

apr_status_t cohort_condition_notify_all(cohort_condition_t *condition) {
    return COHORT__CALL(notify_waiters(condition, 0, true));
}
