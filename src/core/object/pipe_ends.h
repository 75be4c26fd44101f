/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Between pipe.c and pipe_ends.c: what a pipe is, and the use of one of its ends. Here is what each
 * send and receive asks and mostly finds at once; what takes the holder table is in pipe_ends.c. */
#ifndef COHORT_CORE_PIPE_ENDS_H
#define COHORT_CORE_PIPE_ENDS_H

#include "core/object/ring.h"
#include "core/object/holders.h"

#include <cohort/pipe.h>

#define COHORT__PIPE_TAG COHORT__TAG('P', 'I', 'P', 'E')

/* The parts of a pipe: its rings are bounded, so each has one. */
enum { COHORT__PIPE_RINGS, COHORT__PIPE_HOLDERS = COHORT__PIPE_RINGS + 2 };
_Static_assert(COHORT__PIPE_HOLDERS + COHORT__HOLDERS_PARTS <= COHORT__PARTS, "a pipe's parts");

struct cohort_connection_t {
    unsigned char place[16];
};

typedef struct {
    cohort__ring_owner_t owner;
    _Alignas(64) cohort_connection_t ends[2];
    uint64_t bytes;
    uint32_t one_way;
    /* how many there had been when the holders of this end were last looked at */
    _Atomic uint32_t deaths[2];
    _Atomic uint64_t closed;              /* bits: ends that are closed for good */
    _Alignas(64) cohort__ring_t rings[2]; /* [i] brings messages to end i */
    /* unless NULL: the queue of which the holders of an end are the producers */
    _Atomic(cohort_queue_t *) fed;
    cohort__guard_t guard;
    cohort__holders_t holders; /* per process: bits, see below */
} cohort__pipe_t;
_Static_assert(sizeof(cohort__pipe_t) <= COHORT__OBJECT_SIZE_MAX, "a pipe fits its block");
_Static_assert(offsetof(cohort__pipe_t, ends) == 64, "the ends lie where cohort__end_aim() looks");

/* What the holder table has of a process: the ends that it holds, and those that it closed. Ends
 * that are closed for good have the bits of those that are held. */
#define COHORT__HOLDS(end)   ((uint64_t)1 << (end))
#define COHORT__GAVE_UP(end) ((uint64_t)4 << (end))
#define COHORT__BOTH_ENDS    3u

/* A call on an end. */
typedef struct {
    cohort__call_t call;
    cohort__ring_t *ring; /* the one that the operation is about */
    cohort__pipe_t *pipe;
    int end;
    union {
        cohort__send_t send;
        cohort__receive_t receive;
    } as;
} cohort__end_t;

/* Which end this is, for a caller that has entered. COHORT_EHANDLE; APR_EINVAL for NULL. */
static inline apr_status_t cohort__end_aim(const cohort_connection_t *connection,
                                           cohort__end_t *use) {
    uintptr_t address = (uintptr_t)connection, low = address & 63;
    if (!connection) return APR_EINVAL;
    if ((low != 0 && low != sizeof(cohort_connection_t)) ||
        !cohort__in_arena(connection, sizeof *connection))
        return COHORT_EHANDLE;
    use->pipe = (cohort__pipe_t *)(address - low - offsetof(cohort__pipe_t, ends));
    use->end = low != 0;
    bool found = !cohort__call_aim(&use->call, use->pipe, COHORT__KIND_PIPE, COHORT__PIPE_TAG);
    return found ? APR_SUCCESS : COHORT_EHANDLE;
}

/* The same, and what cohort__enter() says. */
static inline apr_status_t cohort__end_enter(const cohort_connection_t *connection,
                                             cohort__end_t *use) {
    apr_status_t status = cohort__enter(&use->call.me);
    return status ? status : cohort__end_aim(connection, use);
}

static inline uint64_t cohort__pipe_closed(cohort__pipe_t *pipe) {
    return atomic_load_explicit(&pipe->closed, memory_order_acquire);
}

/* What this process has in the holder table, as far as it can be seen at once; 0 when it cannot. */
static inline uint64_t cohort__end_own_mark(const cohort__end_t *use) {
    uint64_t value = 0;
    return cohort__holders_peek(&use->pipe->holders, cohort__self_id(), &value) ? value : 0;
}

/* For the tables of kinds and types. */
void *cohort__pipe_of(const void *connection);
apr_status_t cohort__connection_check(const cohort__aim_t *aim, unsigned wanted);
unsigned cohort__connection_ready(const cohort__aim_t *aim, unsigned wanted, bool thorough);
cohort__eventcount_t *cohort__connection_event(const cohort__aim_t *aim, unsigned wanted, int i);
void cohort__connection_describe(const cohort__aim_t *aim, char *text, size_t size);

/* ---- pipe_ends.c ---------------------------------------------------------------------------- */

/* A process holds the end from here on. COHORT_ECLOSED, COHORT_EHANDLE, APR_ENOMEM. */
apr_status_t cohort__end_hold(const cohort__end_t *use, cohort__pid_t process);
/* This process holds these ends no more, for good; a pipe that no process holds is destroyed. */
apr_status_t cohort__end_give_up(const cohort__end_t *use, uint64_t ends);
/* Is this end closed for good? Looks at all holders. */
bool cohort__end_look(const cohort__end_t *use, int end, bool thorough);
/* What this process has in the holder table, wherever it is there. */
uint64_t cohort__end_find_own_mark(const cohort__end_t *use);

/* ---- what each call asks -------------------------------------------------------------------- */

/* Is this end closed for good? Looks again after any death, and when `thorough`. */
static inline bool cohort__end_is_closed(const cohort__end_t *use, int end, bool thorough) {
    if (cohort__pipe_closed(use->pipe) & COHORT__HOLDS(end)) return true;
    if (!thorough && atomic_load(&use->pipe->deaths[end]) == atomic_load(&cohort__arena->death))
        return false;
    return cohort__end_look(use, end, thorough);
}

/* Another thread of this process may close the end while this one waits. */
static inline bool cohort__end_is_given_up(const cohort__end_t *use, bool thorough) {
    uint64_t own = cohort__end_own_mark(use);
    if (!own && thorough) own = cohort__end_find_own_mark(use);
    return own & COHORT__GAVE_UP(use->end) ||
           cohort__pipe_closed(use->pipe) & COHORT__HOLDS(use->end);
}

/* The start of every use of an end. */
static inline apr_status_t cohort__end_begin(cohort_connection_t *connection, cohort__end_t *use) {
    apr_status_t status = cohort__end_enter(connection, use);
    if (status) return status;
    uint64_t own = cohort__end_own_mark(use);
    if (own & COHORT__GAVE_UP(use->end)) return COHORT_ECLOSED;
    return own & COHORT__HOLDS(use->end) ? APR_SUCCESS : cohort__end_hold(use, cohort__self_id());
}

#endif
