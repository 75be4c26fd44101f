/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Imaps of work. Guarantee: whatever process dies at whatever instruction, each item that was
 * taken in is got once at most, by one reader, and no reader waits for the dead.
 *
 * An imap is a window over its input. What was taken in lies in *portions*: each is a job of the
 * pool with up to 64 items, and has a place in the imap's ring, with a bit for each item that was
 * got. The process that made the imap feeds it (pool_feed.c); any process reads (pool_imap.c).
 *
 * The ring and all counts are changed under the imap's guard, with its journal. A reader copies
 * the output to where it is wanted and sets the bit then: killed before, it has got nothing; after
 * that, the item. A portion of which all items were got leaves the ring, and is noted as leaving
 * by the same change: the thread that took it out drops the job, or the next reader does.
 *
 * The jobs are listed in the pool, and know their imap: what is in the pool and has no live
 * imap is swept as the jobs of dead submitters are. So is a portion that its feeder had submitted
 * and not hung in when it died: it begins at an item that the imap does not count as taken in.
 *
 * `news` counts what readers may wait for: a worker adds one after each chunk, the feeder after
 * each portion and at the end. A reader that has found nothing notes the count that it began with
 * (`barren`): as long as it is the same, no reader need look again.
 */
#ifndef COHORT_CORE_POOL_IMAP_H
#define COHORT_CORE_POOL_IMAP_H

#include "core/pool/backend.h"

#include <cohort/imap.h>

#define COHORT__IMAP_TAG    COHORT__TAG('I', 'M', 'A', 'P')
#define COHORT__PORTION_MAX 64
#define COHORT__WINDOW_MAX  65536

/* A place in the ring. */
typedef struct {
    _Atomic uint64_t job, life; /* cohort_result_t *, and which life of it */
    _Atomic uint64_t place;     /* index of its first item << 8 | how many */
    _Atomic uint64_t got;       /* a bit for each item that was */
    _Atomic uint64_t bytes;     /* of its inputs, where they have a size each */
} cohort__portion_t;

struct cohort_imap_t {
    cohort__object_t object; /* parts: the ring */
    cohort_pool_t *pool;
    uint64_t pool_tag;
    cohort__pid_t maker;
    uint64_t window;       /* items, and places in the ring */
    uint64_t window_bytes; /* of such inputs; 0: no limit */
    uint32_t unordered;
    uint32_t gives; /* outputs have a size each, and are given without a copy */
    /* Guard. The ring's portions are those from head to tail. What readers change for each item,
     * what the feeder does for each portion, what workers do for each chunk, and the guard have a
     * cache line each. */
    _Alignas(64) _Atomic uint64_t head;
    _Atomic uint64_t out;                       /* items that were got */
    _Atomic uint64_t leaving_job, leaving_life; /* the last portion that left the ring, or 0 */
    _Atomic uint64_t barren;                    /* UINT64_MAX: no reader has noted it */
    _Alignas(64) _Atomic uint64_t tail;
    _Atomic uint64_t in;     /* items taken in */
    _Atomic uint64_t bytes;  /* of the portions in the ring */
    _Atomic uint64_t end;    /* 0: not seen; else 1 << 32 | status */
    _Atomic uint64_t wanted; /* room for so many items is worth a wake-up */
    /* From here on nothing is ever cleared: a thread may come late to notify it. */
    _Alignas(64) _Atomic uint64_t news;
    cohort__eventcount_t changed;
    _Alignas(64) cohort__guard_t guard;
};

static inline cohort__portion_t *cohort__imap_portion(cohort_imap_t *imap, uint64_t number) {
    cohort__portion_t *ring = atomic_load_explicit(&imap->object.parts[0], memory_order_relaxed);
    return &ring[number % imap->window];
}
static inline cohort_result_t *cohort__portion_job(cohort__portion_t *portion) {
    return (cohort_result_t *)(uintptr_t)atomic_load_explicit(&portion->job, memory_order_relaxed);
}
static inline uint64_t cohort__portion_place(uint64_t first, uint64_t count) {
    return first << 8 | count;
}
static inline uint64_t cohort__portion_first(cohort__portion_t *portion) {
    return atomic_load_explicit(&portion->place, memory_order_relaxed) >> 8;
}
static inline unsigned cohort__portion_count(cohort__portion_t *portion) {
    return atomic_load_explicit(&portion->place, memory_order_relaxed) & 0xff;
}

static inline uint64_t cohort__imap_end(apr_status_t status) {
    return (uint64_t)1 << 32 | (uint32_t)status;
}
static inline apr_status_t cohort__imap_end_status(uint64_t end) {
    return (apr_status_t)(uint32_t)end;
}

/* After a change that readers may wait for. Also of an imap that was destroyed, or is another by
 * now. */
static inline void cohort__imap_news(cohort_imap_t *imap) {
    atomic_fetch_add(&imap->news, 1);
    cohort__notify(&imap->changed, COHORT__ALL);
}

/* ---- pool_imap.c -------------------------------------------------------------------------- */

/* Enter the guard of an imap that may be destroyed meanwhile: false, and not entered, when it
 * is. */
bool cohort__imap_enter(const cohort__call_t *call);
/* No more is taken in, for this reason, unless there is another: then false. */
bool cohort__imap_finish(const cohort__call_t *call, apr_status_t status);
/* The imap's life is over: drop its portions. */
void cohort__imap_sweep(const cohort__call_t *pool);
/* For the table of types. */
unsigned cohort__imap_ready(const cohort__aim_t *aim, unsigned wanted, bool thorough);
cohort__eventcount_t *cohort__imap_event(const cohort__aim_t *aim, unsigned wanted, int i);
void cohort__imap_describe(const cohort__aim_t *aim, char *text, size_t size);

/* ---- pool_feed.c: in the process that made it ----------------------------------------------- */

typedef struct cohort__feed_t cohort__feed_t;
/* Before the imap is made: what is needed to feed it, and the thread. */
apr_status_t cohort__feed_make(cohort__feed_t **feed, const cohort__call_t *pool,
                               const cohort_job_t *order, const cohort_imap_options_t *options,
                               uint64_t window);
void cohort__feed_drop(cohort__feed_t *feed);
/* After it was made: what is fed; and have it done. */
void cohort__feed_aim(cohort__feed_t *feed, cohort_imap_t *imap);
void cohort__feed_begin(cohort__feed_t *feed);
/* Feed it with one portion at most, so that callbacks and other imaps have their turn. Never two
 * threads at a time. True: it was the last. */
bool cohort__feed_once(cohort__feed_t *feed, cohort__thread_t *me);
/* The imap's life is over: wait until its source is not called any more. */
void cohort__feed_await_end(const cohort_imap_t *imap);

#endif
