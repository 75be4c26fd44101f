/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Between queue.c and queue_account.c: what a queue is, the beginning of a call on it, and what a
 * get has to do with the account of a joinable one. */
#ifndef COHORT_CORE_QUEUE_H
#define COHORT_CORE_QUEUE_H

#include "core/object/ring.h"
#include "core/object/holders.h"
#include "core/object/pipe_ends.h"

#include <cohort/queue.h>

#define COHORT__QUEUE_TAG COHORT__TAG('Q', 'U', 'E', 'U')

/* The parts of a queue. */
enum { COHORT__QUEUE_RING, COHORT__QUEUE_HOLDERS = COHORT__QUEUE_RING + COHORT__RING_PARTS };
_Static_assert(COHORT__QUEUE_HOLDERS + COHORT__HOLDERS_PARTS <= COHORT__PARTS, "a queue's parts");

struct cohort_queue_t {
    cohort__ring_owner_t owner;
    _Alignas(64) cohort__ring_t ring;
    uint32_t joinable;
    cohort__guard_t guard; /* the ring's chain, and what follows */
    cohort__holders_t outstanding;
    _Atomic uint64_t credit;
    cohort__eventcount_t done; /* nothing is unfinished */
    /* unless NULL: an end of a pipe; the processes that hold it are the producers */
    cohort_connection_t *producers;
    uint64_t producers_life;   /* of that pipe */
    _Atomic uint32_t deserted; /* closed, since there is no producer any more */
};
_Static_assert(sizeof(cohort_queue_t) <= COHORT__OBJECT_SIZE_MAX, "a queue fits its block");

/* COHORT_EHANDLE and the rest, as cohort__call_begin(). */
static inline apr_status_t cohort__queue_begin(cohort_queue_t *queue, cohort__call_t *call) {
    return cohort__call_begin(call, queue, COHORT__KIND_QUEUE, COHORT__QUEUE_TAG);
}

static inline cohort_queue_t *cohort__queue_of(const cohort__call_t *call) {
    return (cohort_queue_t *)call->object;
}

/* One try to throw away what is in a queue that is being discarded, as any thread that comes by
 * does: APR_SUCCESS: nothing is in it any more. APR_EAGAIN: something is in the middle of a put or
 * a get. COHORT_EHANDLE, COHORT_EDAMAGED. */
apr_status_t cohort__queue_throw_away(const cohort__call_t *call, bool thorough);

/* For the table of types. */
unsigned cohort__queue_ready(const cohort__aim_t *aim, unsigned wanted, bool thorough);
cohort__eventcount_t *cohort__queue_event(const cohort__aim_t *aim, unsigned wanted, int i);
void cohort__queue_describe(const cohort__aim_t *aim, char *text, size_t size);

/* For cohort__receive_t, of a get from a joinable queue; the argument is the call. The calling
 * process has one more message outstanding. */
apr_status_t cohort__queue_expect(void *call);
/* It has not, after all. */
void cohort__queue_unexpect(void *call);

#endif
