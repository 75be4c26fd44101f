/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The sockets, files and descriptors of a wait set: a pollset of APR, which is made with the first
 * of them, and anew when they outgrow it. What the system polls is found there without a look at
 * the others, where it can do that (epoll, kqueue). What no pollset polls is looked at handle by
 * handle (sights), and ends the sleep in the pollset as the ringer does, or at an interval.
 */
#include "core/cohort/waitset.h"

#include <apr_hash.h>
#include <apr_strings.h>
#include <apr_thread_proc.h>
#include <stdlib.h>

#define ROOM_LEAST 32
/* no sleep in a poll is longer: the watched processes are looked at, too */
#define SLEEP_MOST INT64_C(1000000)

/* ---- the pollset ---------------------------------------------------------------------------- */

static apr_status_t fill_pollset(cohort_waitset_t *set, apr_pollset_t *pollset) {
    apr_status_t status = APR_SUCCESS;
    for (cohort__entry_t *m = set->all; m && !status; m = m->later) {
        if (m->polled) status = apr_pollset_add(pollset, &m->poll);
    }
    return status;
}

static apr_status_t make_poll_room(cohort_waitset_t *set) {
    apr_size_t room = set->poll_room ? set->poll_room * 2 : ROOM_LEAST;
    apr_pool_t *pool;
    apr_pollset_t *pollset;
    if (set->polled < set->poll_room) return APR_SUCCESS;
    if (room > UINT32_MAX / 2) return APR_ENOMEM;
    apr_status_t status = apr_pool_create(&pool, set->pool);
    if (status) return status;
    status = apr_pollset_create(&pollset, (apr_uint32_t)room, pool, APR_POLLSET_WAKEABLE);
    if (!status) status = fill_pollset(set, pollset);
    if (status) {
        apr_pool_destroy(pool);
        return cohort__explain(status, "making a pollset of %lu", (unsigned long)room);
    }
    cohort__poll_free(set);
    set->poll_pool = pool;
    set->pollset = pollset;
    set->poll_room = room;
    return APR_SUCCESS;
}

void cohort__poll_free(cohort_waitset_t *set) {
    while (atomic_load(&set->ringing)) apr_thread_yield();
    if (set->poll_pool) apr_pool_destroy(set->poll_pool);
    set->poll_pool = NULL;
    set->pollset = NULL;
    set->poll_room = 0;
}

/* As a file of APR's, which APR does not close; made once for each number, since it lives as long
 * as the set. */
static apr_status_t wrap(cohort_waitset_t *set, const apr_os_file_t *descriptor,
                         apr_file_t **file) {
    if (!set->wrapped) set->wrapped = apr_hash_make(set->pool);
    *file = apr_hash_get(set->wrapped, descriptor, sizeof *descriptor);
    if (*file) return APR_SUCCESS;
    apr_os_file_t number = *descriptor;
    apr_status_t status = apr_os_file_put(file, &number, 0, set->pool);
    const void *key = apr_pmemdup(set->pool, descriptor, sizeof *descriptor);
    if (!status) apr_hash_set(set->wrapped, key, sizeof *descriptor, *file);
    return status;
}

/* A plain handle that is a socket; the same. */
static apr_status_t wrap_socket(cohort_waitset_t *set, cohort__entry_t *entry) {
    apr_os_sock_t handle = (apr_os_sock_t)entry->sight.handle;
    apr_socket_t **made = &entry->poll.desc.s;
    entry->poll.desc_type = APR_POLL_SOCKET;
    if (!set->wrapped_sockets) set->wrapped_sockets = apr_hash_make(set->pool);
    *made = apr_hash_get(set->wrapped_sockets, &handle, sizeof handle);
    if (*made) return APR_SUCCESS;
    apr_status_t status = apr_os_sock_put(made, &handle, set->pool);
    const void *key = apr_pmemdup(set->pool, &handle, sizeof handle);
    if (!status) apr_hash_set(set->wrapped_sockets, key, sizeof handle, *made);
    return status;
}

static apr_status_t describe_polled(cohort_waitset_t *set, cohort__entry_t *entry) {
    apr_pollfd_t *poll = &entry->poll;
    if (entry->item.socket) {
        poll->desc_type = APR_POLL_SOCKET;
        poll->desc.s = entry->item.socket;
        return APR_SUCCESS;
    }
    if (entry->sight.is_socket) return wrap_socket(set, entry);
    poll->desc_type = APR_POLL_FILE;
    poll->desc.f = entry->item.file;
    if (entry->item.file) return APR_SUCCESS;
    return wrap(set, &entry->descriptor, &poll->desc.f);
}

static apr_int16_t events_of(unsigned wanted) {
    apr_int16_t events = 0;
    if (wanted & COHORT_READY_IN) events |= APR_POLLIN;
    if (wanted & COHORT_READY_OUT) events |= APR_POLLOUT;
    return events;
}

/* ---- handles that no pollset polls ---------------------------------------------------------- */

static unsigned sighted_of(unsigned wanted) {
    unsigned sighted = 0;
    if (wanted & COHORT_READY_IN) sighted |= COHORT_OS_SIGHT_IN;
    if (wanted & COHORT_READY_OUT) sighted |= COHORT_OS_SIGHT_OUT;
    if (wanted & COHORT_READY_GONE) sighted |= COHORT_OS_SIGHT_GONE;
    return sighted;
}

static void stir_poll(void *set) { cohort__ring(set); }

/* The look that says whether it is such a handle, or one for the pollset. */
static apr_status_t take_sight(cohort_waitset_t *set, cohort__entry_t *entry, unsigned wanted) {
    apr_os_file_t handle = entry->descriptor;
    apr_status_t status =
        entry->item.file ? apr_os_file_get(&handle, entry->item.file) : APR_SUCCESS;
    if (status) return status;
    entry->sight = (cohort_os_sight_t){.handle = (cohort_os_handle_t)handle,
                                       .wanted = sighted_of(wanted),
                                       .stir = stir_poll,
                                       .arg = set};
    status = cohort_os_sight(&entry->sight, false, NULL);
    return APR_STATUS_IS_EAGAIN(status) ? APR_SUCCESS : status;
}

static apr_status_t note_sight(cohort_waitset_t *set, cohort__entry_t *entry) {
    if (set->n_sights == set->sights_room) {
        apr_size_t room = set->sights_room ? 2 * set->sights_room : ROOM_LEAST;
        cohort__entry_t **grown = realloc(set->sights, room * sizeof(cohort__entry_t *));
        if (!grown) return APR_ENOMEM;
        set->sights = grown;
        set->sights_room = room;
    }
    set->sights[set->n_sights++] = entry;
    entry->sighted = true;
    return APR_SUCCESS;
}

static void drop_sight(cohort_waitset_t *set, cohort__entry_t *entry) {
    apr_size_t at = 0;
    entry->sight.wanted = 0;
    (void)cohort_os_sight(&entry->sight, false, NULL);
    while (set->sights[at] != entry) at++;
    set->sights[at] = set->sights[--set->n_sights];
}

static apr_status_t sight_more(cohort__entry_t *lead, unsigned wanted) {
    unsigned before = lead->sight.wanted;
    lead->sight.wanted |= sighted_of(wanted);
    apr_status_t status = cohort_os_sight(&lead->sight, false, NULL);
    if (!status || APR_STATUS_IS_EAGAIN(status)) return APR_SUCCESS;
    lead->sight.wanted = before;
    return status;
}

/* ---- in and out ----------------------------------------------------------------------------- */

/* The entry by which the system is asked of what this one names. */
static cohort__entry_t *lead_of(const cohort_waitset_t *set, const cohort__entry_t *entry) {
    cohort__entry_t *same = cohort__entry_same(set, entry, NULL);
    while (same && !same->polled && !same->sighted) same = cohort__entry_same(set, entry, same);
    return same;
}

static apr_status_t poll_more(cohort_waitset_t *set, cohort__entry_t *lead, unsigned wanted) {
    apr_int16_t events = events_of(wanted);
    if (lead->sighted) return sight_more(lead, wanted);
    if ((lead->poll.reqevents & events) == events) return APR_SUCCESS;
    (void)apr_pollset_remove(set->pollset, &lead->poll);
    lead->poll.reqevents = (apr_int16_t)(lead->poll.reqevents | events);
    return apr_pollset_add(set->pollset, &lead->poll);
}

static apr_status_t poll_anew(cohort_waitset_t *set, cohort__entry_t *entry) {
    unsigned wanted = entry->thing.wanted;
    apr_status_t status = entry->item.socket ? APR_SUCCESS : take_sight(set, entry, wanted);
    if (!status && !entry->item.socket && !entry->sight.polled) return note_sight(set, entry);
    if (!status) status = describe_polled(set, entry);
    if (status) return status;
    entry->poll.reqevents = events_of(wanted);
    entry->poll.client_data = entry;
    status = apr_pollset_add(set->pollset, &entry->poll);
    entry->polled = !status;
    return status;
}

apr_status_t cohort__poll_add(cohort_waitset_t *set, cohort__entry_t *entry) {
    if (set->reader != COHORT_OS_NONE)
        return cohort__fail(APR_ENOTIMPL, "a set with a descriptor of its own has none as items");
    apr_status_t status = make_poll_room(set);
    if (status) return status;
    cohort__entry_t *lead = lead_of(set, entry);
    status = lead ? poll_more(set, lead, entry->thing.wanted) : poll_anew(set, entry);
    return status ? cohort__explain(status, "polling it") : APR_SUCCESS;
}

void cohort__poll_remove(cohort_waitset_t *set, cohort__entry_t *entry) {
    if (entry->polled) (void)apr_pollset_remove(set->pollset, &entry->poll);
    if (entry->sighted) drop_sight(set, entry);
}

/* ---- the poll ------------------------------------------------------------------------------- */

/* A descriptor with an error or a hang-up would keep no call waiting. */
static unsigned seen_by_poll(const apr_pollfd_t *poll) {
    unsigned seen = 0;
    if (poll->rtnevents & (APR_POLLHUP | APR_POLLERR | APR_POLLNVAL)) return ~0u;
    if (poll->rtnevents & APR_POLLIN) seen |= COHORT_READY_IN;
    if (poll->rtnevents & APR_POLLOUT) seen |= COHORT_READY_OUT;
    return seen;
}

static unsigned seen_by_sight(const cohort_os_sight_t *sight) {
    unsigned seen = 0;
    if (sight->holds & COHORT_OS_SIGHT_GONE) return ~0u;
    if (sight->holds & COHORT_OS_SIGHT_IN) seen |= COHORT_READY_IN;
    if (sight->holds & COHORT_OS_SIGHT_OUT) seen |= COHORT_READY_OUT;
    return seen;
}

/* What was seen of one descriptor, to all entries that name it. */
static apr_size_t report_to(const cohort_waitset_t *set, const cohort__entry_t *lead, unsigned seen,
                            cohort_waitable_t *ready, apr_size_t most) {
    apr_size_t n = 0;
    for (const cohort__entry_t *entry = NULL;
         n < most && (entry = cohort__entry_same(set, lead, entry)) != NULL;) {
        unsigned holds = entry->thing.wanted & seen;
        if (!holds) continue;
        ready[n] = entry->item;
        ready[n++].ready = holds;
    }
    return n;
}

/* Where there are more than asked for, others come first next time. */
static apr_size_t report_polled(const cohort_waitset_t *set, const apr_pollfd_t *polls,
                                apr_size_t count, cohort_waitable_t *ready, apr_size_t most) {
    apr_size_t n = 0, first = count > most ? set->polls / 2 % count : 0;
    for (apr_size_t i = 0; i < count && n < most; i++) {
        const apr_pollfd_t *poll = &polls[(first + i) % count];
        n += report_to(set, poll->client_data, seen_by_poll(poll), ready + n, most - n);
    }
    return n;
}

typedef struct {
    bool arm, any; /* have the set rung for; some are ready */
    int64_t again; /* the next look is due then */
} look_t;

/* Those that no pollset polls; the same. */
static apr_size_t report_sights(const cohort_waitset_t *set, look_t *look, cohort_waitable_t *ready,
                                apr_size_t most) {
    apr_size_t n = 0, first = set->n_sights > most ? set->polls / 2 % set->n_sights : 0;
    for (apr_size_t i = 0; i < set->n_sights && (n < most || !look->any); i++) {
        cohort__entry_t *entry = set->sights[(first + i) % set->n_sights];
        if (cohort_os_sight(&entry->sight, look->arm, &look->again)) continue;
        look->any = true;
        n += report_to(set, entry, seen_by_sight(&entry->sight), ready + n, most - n);
    }
    return n;
}

/* In microseconds; less than 0: without end, where no process' death is of interest. */
static apr_interval_time_t time_left(const cohort_waitset_t *set, int64_t deadline) {
    bool alone = set->count == set->polled;
    if (deadline == 0) return 0;
    if (deadline == COHORT_OS_NEVER) return alone ? -1 : SLEEP_MOST;
    int64_t now = cohort_os_now();
    int64_t left = deadline > now ? (deadline - now + 999) / 1000 : 0;
    return alone || left < SLEEP_MOST ? left : SLEEP_MOST;
}

/* One sleep, which only a pollset is. */
static apr_status_t poll_set(cohort_waitset_t *set, int64_t deadline, apr_int32_t *count,
                             const apr_pollfd_t **polls) {
    bool stop = deadline != 0 && (atomic_load(&set->interrupted) || atomic_load(&set->rung));
    apr_status_t status =
        stop ? APR_EINTR : apr_pollset_poll(set->pollset, time_left(set, deadline), count, polls);
    if (!APR_STATUS_IS_TIMEUP(status) && !APR_STATUS_IS_EINTR(status)) return status;
    *count = 0;
    return APR_SUCCESS;
}

/* By turns one kind and the other comes first, as there may be more than is asked for. */
apr_status_t cohort__poll(cohort_waitset_t *set, cohort_waitable_t *ready, apr_size_t most,
                          int64_t deadline, apr_size_t *n) {
    const apr_pollfd_t *polls = NULL;
    apr_int32_t count = 0;
    look_t look = {.arm = deadline != 0, .again = deadline};
    bool later = set->polls++ & 1;
    atomic_store(&set->sleeps, 1);
    apr_size_t told = report_sights(set, &look, ready, later ? 0 : most);
    apr_status_t status = poll_set(set, look.any ? 0 : look.again, &count, &polls);
    atomic_store(&set->sleeps, 0);
    if (!status) told += report_polled(set, polls, (apr_size_t)count, ready + told, most - told);
    if (later && look.any) told += report_sights(set, &look, ready + told, most - told);
    *n = status ? 0 : told;
    return status ? cohort__fail(status, "polling") : APR_SUCCESS;
}
