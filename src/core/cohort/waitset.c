/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Wait sets as users have them, and the waits. A thread sleeps on the event count of completions,
 * as in cohort_wait(); where the set has something that the system polls, it sleeps in that poll,
 * and has the ringer (waitset.h) end the sleep when an object may be ready.
 */
#include "core/cohort/waitset.h"

#include "core/memory/arena.h"

#include <stdlib.h>

static cohort_waitset_t *all_sets; /* of this process. Sets' mutex */

/* ---- which sets there are ------------------------------------------------------------------- */

static void close_descriptor(cohort_waitset_t *set) {
    if (set->reader == COHORT_OS_NONE) return;
    cohort_os_close(set->reader);
    cohort_os_close(set->writer);
}

apr_status_t cohort__set_open(cohort_waitset_t **set) {
    cohort_waitset_t *made = calloc(1, sizeof *made);
    if (!made) return cohort__fail(APR_ENOMEM, "making a wait set");
    apr_status_t status = apr_pool_create(&made->pool, NULL);
    if (status) {
        free(made);
        return status;
    }
    made->membership = cohort__membership();
    made->candidates.next = made->candidates.previous = &made->candidates;
    made->reader = made->writer = COHORT_OS_NONE;
    made->news = cohort__news_end();
    made->deaths = atomic_load(&cohort__arena->death);
    made->looked = cohort_os_now();
    *set = made;
    return APR_SUCCESS;
}

void cohort__set_close(cohort_waitset_t *set) {
    cohort__ringer_disarm(set);
    cohort__entries_free(set);
    cohort__poll_free(set);
    free(set->sights);
    apr_pool_destroy(set->pool);
    close_descriptor(set);
    free(set);
}

/* Sets' mutex. */
static bool is_live(const cohort_waitset_t *set) {
    const cohort_waitset_t *at = all_sets;
    while (at && at != set) at = at->next;
    return at && at->membership == cohort__membership();
}

/* The beginning of each call on a set: it is the caller's until leave_set(). */
static apr_status_t enter_set(cohort_waitset_t *set, cohort__thread_t **me) {
    if (!set) return cohort__null("set");
    apr_status_t status = cohort__enter(me);
    if (status) return status;
    cohort__sets_lock();
    if (!is_live(set)) status = COHORT_EHANDLE;
    else if (atomic_exchange(&set->busy, 1)) status = APR_EBUSY;
    cohort__sets_unlock();
    if (APR_STATUS_IS_EBUSY(status))
        return cohort__fail(status, "another thread is in a call on the set");
    return status ? cohort__fail(status, "not a live wait set of this process") : APR_SUCCESS;
}

static void leave_set(cohort_waitset_t *set) { atomic_store(&set->busy, 0); }

static void enlist_set(cohort_waitset_t *set) {
    cohort__sets_lock();
    set->next = all_sets;
    set->link = &all_sets;
    if (set->next) set->next->link = &set->next;
    all_sets = set;
    cohort__sets_unlock();
}

static void delist(cohort_waitset_t *set) {
    cohort__sets_lock();
    *set->link = set->next;
    if (set->next) set->next->link = set->link;
    cohort__sets_unlock();
}

/* A copy of this process has none of its sets; what is left of them is only memory. */
void cohort__sets_reset(void) {
    all_sets = NULL;
    cohort__ringer_reset();
}

/* ---- the descriptor ------------------------------------------------------------------------- */

/* From the caller's last look on, which found nothing ready, the descriptor is for the ringer to
 * raise. */
static void lower(cohort_waitset_t *set) {
    cohort__ringer_disarm(set);
    cohort_os_flag(set->reader, set->writer, false);
    atomic_store(&set->raised, 0);
    if (atomic_load(&set->interrupted)) cohort__ring(set);
}

static apr_size_t look_at_set(cohort_waitset_t *set, cohort__thread_t *me, bool thorough,
                              cohort_waitable_t *ready, apr_size_t most) {
    cohort_os_mutex_lock(&set->mutex);
    apr_size_t n = cohort__entries_look(set, me, thorough, ready, most);
    cohort_os_mutex_unlock(&set->mutex);
    return n;
}

/* The end of a wait that has found nothing. What comes between the lowering and the arming is
 * found by the look after that. */
static void hand_to_ringer(cohort_waitset_t *set, cohort__thread_t *me) {
    lower(set);
    if (cohort__ringer_arm(set) || look_at_set(set, me, false, NULL, 1)) cohort__ring(set);
}

/* ---- the wait ------------------------------------------------------------------------------- */

typedef struct {
    cohort_waitset_t *set;
    cohort__thread_t *me;
    cohort_waitable_t *ready;
    apr_size_t most, n;
} wait_t;

static apr_status_t try_set(void *arg, bool thorough) {
    wait_t *w = arg;
    if (atomic_load(&w->set->interrupted) && atomic_exchange(&w->set->interrupted, 0))
        return APR_EINTR;
    w->n += look_at_set(w->set, w->me, thorough, w->ready + w->n, w->most - w->n);
    return w->n ? APR_SUCCESS : APR_EAGAIN;
}

/* What the system polls, without a sleep. */
static apr_status_t try_poll(wait_t *w) {
    apr_size_t n = 0;
    apr_status_t status = APR_SUCCESS;
    if (w->n < w->most) status = cohort__poll(w->set, w->ready + w->n, w->most - w->n, 0, &n);
    w->n += n;
    return status;
}

/* Both kinds, without a sleep, and neither always first. */
static apr_status_t try_both(wait_t *w, bool thorough) {
    bool poll_first = w->set->turn++ & 1;
    apr_status_t status = poll_first ? try_poll(w) : APR_SUCCESS;
    if (!status && w->n < w->most) status = try_set(w, thorough);
    if (APR_STATUS_IS_EAGAIN(status)) status = APR_SUCCESS;
    if (!status && !poll_first) status = try_poll(w);
    if (status) return status;
    return w->n ? APR_SUCCESS : APR_EAGAIN;
}

/* Only polls: one call of the system's is the look and the sleep. */
static bool has_objects(const cohort_waitset_t *set) { return set->count > set->polled; }

static apr_status_t sleep_in_poll(wait_t *w, int64_t deadline) {
    cohort_waitset_t *set = w->set;
    apr_status_t status = APR_EAGAIN;
    atomic_store(&set->rung, 0);
    if (has_objects(set)) {
        status = cohort__ringer_arm(set);
        if (!status) status = try_set(w, true);
    }
    if (APR_STATUS_IS_EAGAIN(status))
        status = cohort__poll(set, w->ready, w->most, deadline, &w->n);
    cohort__ringer_disarm(set);
    if (status) return status;
    return w->n ? APR_SUCCESS : APR_EAGAIN;
}

static apr_status_t await_polled(wait_t *w, int64_t deadline) {
    apr_status_t status = APR_EAGAIN;
    if (has_objects(w->set) || deadline == 0) status = try_both(w, deadline == 0);
    while (APR_STATUS_IS_EAGAIN(status) && deadline != 0) {
        status = sleep_in_poll(w, deadline);
        if (APR_STATUS_IS_EAGAIN(status)) status = try_both(w, false);
        if (APR_STATUS_IS_EAGAIN(status) && cohort_os_now() >= deadline) return APR_TIMEUP;
    }
    return status;
}

apr_status_t cohort__set_wait(cohort_waitset_t *set, cohort__thread_t *me, cohort_waitable_t *ready,
                              apr_size_t most, apr_size_t *n, int64_t deadline) {
    wait_t w = {set, me, ready, most, 0};
    apr_status_t status = set->polled
                              ? await_polled(&w, deadline)
                              : cohort__await(&cohort__arena->completed, try_set, &w, deadline);
    if (!status) *n = w.n;
    return status;
}

/* ---- cohort_wait() -------------------------------------------------------------------------- */

/* An item that was added has its place in the array as data. */
typedef struct {
    cohort_waitable_t *items, *ready;
    apr_size_t n;
    cohort_wait_mode_t mode;
    cohort__thread_t *me;
} flat_t;

/* A set of the items: of all, or of those that are not ready. */
static apr_status_t set_of(const flat_t *flat, bool unready, cohort_waitset_t **set) {
    *set = NULL;
    apr_status_t status = cohort__set_open(set);
    if (!*set) return status;
    for (apr_size_t i = 0; i < flat->n && !status; i++) {
        cohort_waitable_t item = flat->items[i];
        if (unready && item.ready) continue;
        item.data = &flat->items[i];
        item.ready = 0;
        status = cohort__entry_add(*set, &item, i, flat->me);
    }
    if (status) cohort__set_close(*set);
    return status;
}

static bool item_has_failed(const flat_t *flat, cohort_waitable_t *item) {
    cohort__thing_t thing;
    if (!item->object) return false;
    cohort_waitable_t copy = *item;
    if (cohort__thing_aim(&thing, &copy, 0, flat->me) || !thing.type->failed) return false;
    return thing.type->failed(&thing.aim);
}

/* What holds of all of them now; is that what is waited for? */
static apr_status_t look_at_flat(const flat_t *flat, cohort_waitset_t *set) {
    apr_size_t n = 0;
    bool failed = false;
    for (apr_size_t i = 0; i < flat->n; i++) flat->items[i].ready = 0;
    apr_status_t status = cohort__set_wait(set, flat->me, flat->ready, flat->n, &n, 0);
    if (status) return status;
    for (apr_size_t i = 0; i < n; i++) {
        cohort_waitable_t *item = flat->ready[i].data;
        item->ready = flat->ready[i].ready;
        failed = failed || (flat->mode == COHORT_WAIT_FAILURE && item_has_failed(flat, item));
    }
    return n == flat->n || failed || flat->mode == COHORT_WAIT_ANY ? APR_SUCCESS : APR_EAGAIN;
}

/* Until one more is ready than are now. */
static apr_status_t await_change(const flat_t *flat, cohort_waitset_t *all, int64_t deadline) {
    cohort_waitset_t *set = all;
    cohort_waitable_t one;
    apr_size_t n;
    apr_status_t status = APR_SUCCESS;
    if (flat->mode != COHORT_WAIT_ANY) status = set_of(flat, true, &set);
    if (status || !set) return status;
    status = cohort__set_wait(set, flat->me, &one, 1, &n, deadline);
    if (set != all) cohort__set_close(set);
    return status;
}

static apr_status_t await_flat(const flat_t *flat, int64_t deadline) {
    cohort_waitset_t *all;
    apr_status_t status = set_of(flat, false, &all);
    if (status || !all) return status;
    for (;;) {
        status = look_at_flat(flat, all);
        if (!APR_STATUS_IS_EAGAIN(status) || deadline == 0) break;
        status = await_change(flat, all, deadline);
        if (status) break;
    }
    cohort__set_close(all);
    return status;
}

apr_status_t cohort__wait_polled(cohort_waitable_t *items, apr_size_t n, cohort_wait_mode_t mode,
                                 int64_t deadline) {
    flat_t flat = {.items = items, .n = n, .mode = mode};
    apr_status_t status = cohort__enter(&flat.me);
    if (status) return status;
    flat.ready = n <= SIZE_MAX / sizeof *flat.ready ? malloc(n * sizeof *flat.ready) : NULL;
    if (!flat.ready) return APR_ENOMEM;
    status = await_flat(&flat, deadline);
    free(flat.ready);
    return status;
}

/* ---- the API -------------------------------------------------------------------------------- */

static apr_status_t clean_up_set(void *data) {
    cohort_waitset_t *set = data;
    cohort__sets_lock();
    bool live = is_live(set);
    cohort__sets_unlock();
    if (!live) return APR_SUCCESS;
    delist(set);
    cohort__set_close(set);
    return APR_SUCCESS;
}

static void discard(cohort_waitset_t *set) {
    if (set->owner) apr_pool_cleanup_kill(set->owner, set, clean_up_set);
    delist(set);
    cohort__set_close(set);
}

static apr_status_t set_create(cohort_waitset_t **set, apr_pool_t *pool) {
    cohort__thread_t *me;
    cohort_waitset_t *made = NULL;
    if (!set) return cohort__null("set");
    apr_status_t status = cohort__enter(&me);
    if (!status) status = cohort__set_open(&made);
    if (!made) return status;
    made->owner = pool;
    enlist_set(made);
    if (pool) apr_pool_cleanup_register(pool, made, clean_up_set, apr_pool_cleanup_null);
    *set = made;
    return APR_SUCCESS;
}

apr_status_t cohort_waitset_create(cohort_waitset_t **set, apr_pool_t *pool) {
    return COHORT__CALL(set_create(set, pool));
}

static apr_status_t set_add(cohort_waitset_t *set, const cohort_waitable_t *item) {
    cohort__thread_t *me;
    apr_status_t status = item ? enter_set(set, &me) : cohort__null("item");
    if (status) return status;
    cohort_waitable_t copy = *item;
    status = cohort__entry_add(set, &copy, COHORT__ALONE, me);
    if (!status) cohort__ring(set); /* the descriptor tells of it, if it is ready */
    leave_set(set);
    return status;
}

apr_status_t cohort_waitset_add(cohort_waitset_t *set, const cohort_waitable_t *item) {
    return COHORT__CALL_ANEW(set_add(set, item));
}

static apr_status_t set_remove(cohort_waitset_t *set, const cohort_waitable_t *item) {
    cohort__thread_t *me;
    if (!item) return cohort__null("item");
    if (cohort__named_by(item) != 1)
        return cohort__fail(APR_EINVAL, "item names %u things", cohort__named_by(item));
    apr_status_t status = enter_set(set, &me);
    if (status) return status;
    if (!cohort__entry_remove(set, item)) status = APR_NOTFOUND;
    leave_set(set);
    return status ? cohort__fail(status, "the thing is not in the set") : APR_SUCCESS;
}

apr_status_t cohort_waitset_remove(cohort_waitset_t *set, const cohort_waitable_t *item) {
    return COHORT__CALL(set_remove(set, item));
}

static apr_status_t set_wait(cohort_waitset_t *set, cohort_waitable_t *ready, apr_size_t most,
                             apr_size_t *n, apr_interval_time_t timeout) {
    cohort__thread_t *me;
    if (!ready || !n) return cohort__null(ready ? "n" : "ready");
    if (!most) return cohort__fail(APR_EINVAL, "most is 0");
    apr_status_t status = enter_set(set, &me);
    if (status) return status;
    status = cohort__set_wait(set, me, ready, most, n, cohort__deadline(timeout));
    if (status && set->reader != COHORT_OS_NONE) hand_to_ringer(set, me);
    leave_set(set);
    return status;
}

apr_status_t cohort_waitset_wait(cohort_waitset_t *set, cohort_waitable_t *ready, apr_size_t most,
                                 apr_size_t *n, apr_interval_time_t timeout) {
    return COHORT__CALL_ANEW(set_wait(set, ready, most, n, timeout));
}

void cohort_waitset_interrupt(cohort_waitset_t *set) {
    if (!set || atomic_exchange(&set->interrupted, 1)) return;
    cohort__ring(set);
    if (cohort__arena) cohort__notify(&cohort__arena->completed, COHORT__ALL);
}

static apr_status_t set_descriptor(cohort_waitset_t *set, apr_os_file_t *descriptor) {
    cohort__thread_t *me;
    apr_status_t status = descriptor ? enter_set(set, &me) : cohort__null("descriptor");
    if (status) return status;
    if (set->polled) {
        status = cohort__fail(APR_ENOTIMPL, "the set has %lu sockets, files or descriptors",
                              (unsigned long)set->polled);
    } else if (set->reader == COHORT_OS_NONE) {
        status = cohort_os_pipe_create(COHORT_OS_PIPE_FLAG, &set->reader, &set->writer);
        if (status) set->reader = set->writer = COHORT_OS_NONE;
        else cohort__ring(set); /* so that the loop begins with a wait */
    }
    if (!status) *descriptor = (apr_os_file_t)set->reader;
    leave_set(set);
    return status;
}

apr_status_t cohort_waitset_descriptor(cohort_waitset_t *set, apr_os_file_t *descriptor) {
    return COHORT__CALL(set_descriptor(set, descriptor));
}

static apr_status_t set_of_one(cohort_waitset_t **set, apr_os_file_t *descriptor, void *object,
                               unsigned wanted, apr_pool_t *pool) {
    cohort_waitset_t *made = NULL;
    cohort_waitable_t item = {.object = object, .wanted = wanted};
    if (!set || !descriptor) return cohort__null(set ? "descriptor" : "set");
    apr_status_t status = set_create(&made, pool);
    if (!made) return status;
    status = set_add(made, &item);
    if (!status) status = set_descriptor(made, descriptor);
    if (!status) *set = made;
    else discard(made);
    return status;
}

apr_status_t cohort_waitset_of(cohort_waitset_t **set, apr_os_file_t *descriptor, void *object,
                               unsigned wanted, apr_pool_t *pool) {
    return COHORT__CALL_ANEW(set_of_one(set, descriptor, object, wanted, pool));
}

static apr_status_t set_is_ready(cohort_waitset_t *set, cohort_waitable_t *item) {
    apr_size_t n;
    apr_status_t status = set_wait(set, item, 1, &n, 0);
    return APR_STATUS_IS_EAGAIN(status) ? APR_SUCCESS : status;
}

unsigned cohort_waitset_ready(cohort_waitset_t *set) {
    cohort_waitable_t item = {0};
    (void)COHORT__CALL_ANEW(set_is_ready(set, &item));
    return item.ready;
}

/* Also while another thread waits on it. */
static apr_status_t set_count(const cohort_waitset_t *set, apr_size_t *count) {
    cohort__thread_t *me;
    apr_status_t status = set ? cohort__enter(&me) : cohort__null("set");
    if (status) return status;
    cohort__sets_lock();
    bool live = is_live(set);
    if (live) *count = set->count;
    cohort__sets_unlock();
    return live ? APR_SUCCESS : cohort__fail(COHORT_EHANDLE, "not a live wait set of this process");
}

apr_size_t cohort_waitset_count(const cohort_waitset_t *set) {
    apr_size_t count = 0;
    (void)COHORT__CALL(set_count(set, &count));
    return count;
}

static apr_status_t set_destroy(cohort_waitset_t *set) {
    cohort__thread_t *me;
    if (!set) return APR_SUCCESS;
    apr_status_t status = enter_set(set, &me);
    if (!status) discard(set);
    return status;
}

apr_status_t cohort_waitset_destroy(cohort_waitset_t *set) {
    return COHORT__CALL(set_destroy(set));
}
