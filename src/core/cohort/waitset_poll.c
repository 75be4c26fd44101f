/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The sockets, files and descriptors of a wait set: a pollset of APR, which is made with the first
 * of them, and anew when they outgrow it. What the system polls is found there without a look at
 * the others, where it can do that (epoll, kqueue).
 */
#include "core/cohort/waitset.h"

#include <apr_hash.h>
#include <apr_strings.h>
#include <apr_thread_proc.h>

#define ROOM_LEAST 32
/* no sleep in a poll is longer: the watched processes are looked at, too */
#define SLEEP_MOST INT64_C(1000000)

/* ---- the pollset ---------------------------------------------------------------------------- */

static apr_status_t fill(cohort_waitset_t *set, apr_pollset_t *pollset) {
    apr_status_t status = APR_SUCCESS;
    for (cohort__entry_t *m = set->all; m && !status; m = m->later) {
        if (m->polled) status = apr_pollset_add(pollset, &m->poll);
    }
    return status;
}

static apr_status_t make_room(cohort_waitset_t *set) {
    apr_size_t room = set->poll_room ? set->poll_room * 2 : ROOM_LEAST;
    apr_pool_t *pool;
    apr_pollset_t *pollset;
    if (set->polled < set->poll_room) return APR_SUCCESS;
    if (room > UINT32_MAX / 2) return APR_ENOMEM;
    apr_status_t status = apr_pool_create(&pool, set->pool);
    if (status) return status;
    status = apr_pollset_create(&pollset, (apr_uint32_t)room, pool, APR_POLLSET_WAKEABLE);
    if (!status) status = fill(set, pollset);
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

static apr_status_t describe(cohort_waitset_t *set, cohort__entry_t *entry) {
    apr_pollfd_t *poll = &entry->poll;
    if (entry->item.socket) {
        poll->desc_type = APR_POLL_SOCKET;
        poll->desc.s = entry->item.socket;
        return APR_SUCCESS;
    }
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

/* The entry that is in the pollset for what this one names. */
static cohort__entry_t *lead_of(const cohort_waitset_t *set, const cohort__entry_t *entry) {
    cohort__entry_t *same = cohort__entry_same(set, entry, NULL);
    while (same && !same->polled) same = cohort__entry_same(set, entry, same);
    return same;
}

static apr_status_t poll_more(cohort_waitset_t *set, cohort__entry_t *lead, unsigned wanted) {
    apr_int16_t events = events_of(wanted);
    if ((lead->poll.reqevents & events) == events) return APR_SUCCESS;
    (void)apr_pollset_remove(set->pollset, &lead->poll);
    lead->poll.reqevents = (apr_int16_t)(lead->poll.reqevents | events);
    return apr_pollset_add(set->pollset, &lead->poll);
}

static apr_status_t poll_anew(cohort_waitset_t *set, cohort__entry_t *entry) {
    apr_status_t status = describe(set, entry);
    if (status) return status;
    entry->poll.reqevents = events_of(entry->thing.wanted);
    entry->poll.client_data = entry;
    status = apr_pollset_add(set->pollset, &entry->poll);
    if (APR_STATUS_IS_EBADF(status) && !entry->item.socket && !cohort_os_facts()->can_fork)
        status = APR_ENOTIMPL; /* so this system's APR says it of all files */
    entry->polled = !status;
    return status;
}

apr_status_t cohort__poll_add(cohort_waitset_t *set, cohort__entry_t *entry) {
    if (set->reader != COHORT_OS_NONE)
        return cohort__fail(APR_ENOTIMPL, "a set with a descriptor of its own has none as items");
    apr_status_t status = make_room(set);
    if (status) return status;
    cohort__entry_t *lead = lead_of(set, entry);
    status = lead ? poll_more(set, lead, entry->thing.wanted) : poll_anew(set, entry);
    return status ? cohort__fail(status, "polling it") : APR_SUCCESS;
}

void cohort__poll_remove(cohort_waitset_t *set, cohort__entry_t *entry) {
    if (entry->polled) (void)apr_pollset_remove(set->pollset, &entry->poll);
}

/* ---- the poll ------------------------------------------------------------------------------- */

/* A descriptor with an error or a hang-up would keep no call waiting. */
static unsigned holds(const apr_pollfd_t *poll, unsigned wanted) {
    unsigned ready = 0;
    if (poll->rtnevents & (APR_POLLHUP | APR_POLLERR | APR_POLLNVAL)) return wanted;
    if (poll->rtnevents & APR_POLLIN) ready |= COHORT_READY_IN;
    if (poll->rtnevents & APR_POLLOUT) ready |= COHORT_READY_OUT;
    return ready & wanted;
}

/* Of one descriptor, to all entries that name it. */
static apr_size_t report_to(cohort_waitset_t *set, const apr_pollfd_t *poll,
                            cohort_waitable_t *ready, apr_size_t most) {
    const cohort__entry_t *lead = poll->client_data;
    apr_size_t n = 0;
    for (const cohort__entry_t *entry = NULL;
         n < most && (entry = cohort__entry_same(set, lead, entry)) != NULL;) {
        unsigned seen = holds(poll, entry->thing.wanted);
        if (!seen) continue;
        ready[n] = entry->item;
        ready[n++].ready = seen;
    }
    return n;
}

/* Where there are more than asked for, others come first next time. */
static apr_size_t report(cohort_waitset_t *set, const apr_pollfd_t *polls, apr_size_t count,
                         cohort_waitable_t *ready, apr_size_t most) {
    apr_size_t n = 0, first = count > most ? set->turn % count : 0;
    for (apr_size_t i = 0; i < count && n < most; i++)
        n += report_to(set, &polls[(first + i) % count], ready + n, most - n);
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

apr_status_t cohort__poll(cohort_waitset_t *set, cohort_waitable_t *ready, apr_size_t most,
                          int64_t deadline, apr_size_t *n) {
    const apr_pollfd_t *polls = NULL;
    apr_int32_t count = 0;
    *n = 0;
    atomic_store(&set->sleeps, 1);
    bool stop = deadline != 0 && (atomic_load(&set->interrupted) || atomic_load(&set->rung));
    apr_status_t status =
        stop ? APR_EINTR : apr_pollset_poll(set->pollset, time_left(set, deadline), &count, &polls);
    atomic_store(&set->sleeps, 0);
    if (APR_STATUS_IS_TIMEUP(status) || APR_STATUS_IS_EINTR(status)) return APR_SUCCESS;
    if (!status) *n = report(set, polls, (apr_size_t)count, ready, most);
    return status ? cohort__fail(status, "polling") : APR_SUCCESS;
}
