/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Wait sets: what the files of them have for one another, and for cohort_wait(). A set is memory of
 * its process alone; in the arena it leaves no more than the bits SHARED of its things' event
 * counts (park.h), so a process that dies with sets leaks nothing.
 */
#ifndef COHORT_CORE_WAITSET_H
#define COHORT_CORE_WAITSET_H

#include "core/cohort/thing.h"

#include <apr_hash.h>
#include <apr_poll.h>
#include <cohort/waitset.h>

typedef struct cohort__entry_t cohort__entry_t;

/* What is found by a key in a table: an entry by one of its event counts, or by what it is. */
typedef struct cohort__ear_t {
    struct cohort__ear_t *next;
    cohort__entry_t *entry;
    uint32_t key;
} cohort__ear_t;

typedef struct {
    cohort__ear_t **buckets;
    apr_size_t room, count; /* `room` is 0 or a power of 2 */
} cohort__ears_t;

#define COHORT__EARS 2

/* An item of a set. */
struct cohort__entry_t {
    cohort__thing_t thing;
    cohort_waitable_t item; /* as it was added */
    cohort__ear_t ears[COHORT__EARS], name;
    int heard; /* so many ears it has */
    /* its event counts are shared since before it was last found not ready, and nothing was in the
     * news of them */
    bool shared;
    cohort__entry_t *next, *previous; /* in the list of candidates; NULL: it is in none */
    cohort__entry_t *later, **link;   /* all */
    apr_os_file_t descriptor;
    /* in the pollset, where it stands for all entries that name the same, too */
    bool polled;
    apr_pollfd_t poll;
    bool sighted; /* the same of what no pollset polls */
    cohort_os_sight_t sight;
};

struct cohort_waitset_t {
    cohort_waitset_t *next, **link; /* the sets of this process. Their mutex */
    cohort_waitset_t *next_armed;   /* those that are to be rung for. The same */
    bool armed;
    bool was_armed;           /* it may be still; of the thread that uses the set */
    unsigned round;           /* in which the ringer has looked at it last */
    uint32_t membership;      /* the membership that it was made in */
    apr_pool_t *pool, *owner; /* its own; the user's, or NULL */
    _Atomic int busy;         /* a thread is in a call on it */
    _Atomic int interrupted;  /* a wait is to end */
    /* of what follows, for the ringer looks, too */
    cohort_os_mutex_t mutex;
    cohort__ears_t by_event, by_name;
    cohort__entry_t *all;
    cohort__entry_t candidates; /* the head of a ring: those that may be ready */
    _Atomic apr_size_t count;
    apr_size_t polled; /* entries, and those that a poll tells of */
    uint64_t news;     /* how far it has read them */
    uint32_t deaths;   /* those that it has looked after */
    int64_t looked;    /* when it last looked at all, for deaths that no process told */
    /* what a poll tells of */
    apr_hash_t *wrapped, *wrapped_sockets; /* descriptors as files and sockets of APR's */
    apr_pool_t *poll_pool;
    apr_pollset_t *pollset;
    apr_size_t poll_room;
    cohort__entry_t **sights; /* what no pollset polls */
    apr_size_t n_sights, sights_room;
    unsigned turn, polls; /* waits for both kinds, and looks at what a poll tells of, so far */
    _Atomic int rung;     /* since the last sleep there began */
    _Atomic int sleeps;   /* in the pollset */
    _Atomic int ringing;  /* so many threads use the pollset to end that sleep */
    cohort_os_handle_t reader, writer; /* the descriptor that users poll; NONE: there is none */
    _Atomic int raised;                /* it is readable */
};

/* ---- entries (waitset_entry.c) ------------------------------------------------------------- */

apr_status_t cohort__entry_add(cohort_waitset_t *set, cohort_waitable_t *item, apr_size_t i,
                               cohort__thread_t *me);
/* Guard. False: there is none. */
bool cohort__entry_remove(cohort_waitset_t *set, const cohort_waitable_t *item);
void cohort__entries_free(cohort_waitset_t *set);
/* The first entry that names what this one does, or the next one after another; NULL: there is
 * none. The first that was added is the last. */
cohort__entry_t *cohort__entry_same(const cohort_waitset_t *set, const cohort__entry_t *entry,
                                    const cohort__entry_t *after);
/* Set's mutex. Up to `most` entries that are ready, written to `ready` unless that is NULL; how
 * many they are. */
apr_size_t cohort__entries_look(cohort_waitset_t *set, cohort__thread_t *me, bool thorough,
                                cohort_waitable_t *ready, apr_size_t most);

/* ---- what a poll tells of (waitset_poll.c) -------------------------------------------------- */

apr_status_t cohort__poll_add(cohort_waitset_t *set, cohort__entry_t *entry);
void cohort__poll_remove(cohort_waitset_t *set, cohort__entry_t *entry);
void cohort__poll_free(cohort_waitset_t *set);
/* Up to `most` that are ready now, or until the deadline, or the set is rung for: *n. APR_EINTR. */
apr_status_t cohort__poll(cohort_waitset_t *set, cohort_waitable_t *ready, apr_size_t most,
                          int64_t deadline, apr_size_t *n);

/* ---- the ringer (waitset_ring.c) ------------------------------------------------------------ */

/*
 * A thread that sleeps in a poll, of the system or of the user's event loop, is not woken by an
 * event count. The ringer is: a thread of this process that sleeps on the event count of
 * completions for all sets that are armed, and rings for one of which an entry is ready.
 */
/* The set is to be rung for, once, from here on; then the caller looks at it once more. */
apr_status_t cohort__ringer_arm(cohort_waitset_t *set);
void cohort__ringer_disarm(cohort_waitset_t *set);
/* End the set's poll, and make its descriptor readable. Also in a signal handler. */
void cohort__ring(cohort_waitset_t *set);
/* The process ends: the ringer does first. */
void cohort__ringer_end(void);
/* Around a fork: no set of this process changes. In the copy, reset instead of unlock. */
void cohort__sets_lock(void);
void cohort__sets_unlock(void);
void cohort__sets_reset(void);
void cohort__ringer_reset(void);

/* ---- sets (waitset.c) ----------------------------------------------------------------------- */

apr_status_t cohort__set_open(cohort_waitset_t **set);
void cohort__set_close(cohort_waitset_t *set);
apr_status_t cohort__set_wait(cohort_waitset_t *set, cohort__thread_t *me, cohort_waitable_t *ready,
                              apr_size_t most, apr_size_t *n, int64_t deadline);
/* cohort_wait() for items of which some are told of by a poll; all of them are in order. */
apr_status_t cohort__wait_polled(cohort_waitable_t *items, apr_size_t n, cohort_wait_mode_t mode,
                                 int64_t deadline);

#endif
