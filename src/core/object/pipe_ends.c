/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The ends of pipes: a holder table of which process holds which end.
 *
 * An end is closed for good when no process that holds it is alive. That is found out by a thread
 * that would wait for it, or that sends after any process of the cohort has died, and is then
 * written down once (pipe->closed), so it is true for all processes from then on: by one store,
 * which comes after what it was concluded from is committed, and is never undone. A process that
 * closed an end stays in the holder table with a mark, so that it does not get hold of it again by
 * using it.
 *
 * A pipe is destroyed when both of its ends are closed, by the process that finds this. Should that
 * one die before, the repair of its death does it, as it destroys every pipe that is closed and not
 * destroyed, whichever process closed it.
 */
#include "core/object/pipe.h"
#include "core/object/pipe_ends.h"
#include "core/object/queue.h"

#define DROPS 4 /* entries of dead processes at a time; the journal has room for them */

/* Work on the holder table: the guard, with the object announced. The ring for that is always the
 * first, which is there in any pipe. */
static bool holders_open(const cohort__end_t *use) {
    cohort__ring_t *ring = &use->pipe->rings[0];
    if (!cohort__call_look(&use->call)) return false;
    if (cohort__ring_guard(&use->call, ring, &use->pipe->owner.object.parts[COHORT__PIPE_HOLDERS],
                           COHORT__HOLDERS_PARTS))
        return true;
    cohort__call_look_end(&use->call);
    return false;
}

static void holders_close(const cohort__end_t *use) {
    cohort__guard_leave(&use->pipe->guard);
    cohort__call_look_end(&use->call);
}

/* A process that is yet to be started holds what it was given. `thorough`: ask the system whether
 * it lives, which takes its time. */
static bool may_use(cohort__pid_t process, bool thorough) {
    cohort_process_t *slot = cohort__process_find(process);
    if (!slot) return false;
    switch (cohort__process_state(slot)) {
    case COHORT__SLOT_MAKING:
    case COHORT__SLOT_NEW:
    case COHORT__SLOT_STARTING:
    case COHORT__SLOT_FAILED: return true;
    default: return cohort__process_alive(process, thorough);
    }
}

/* With the holder table open: write down which ends no process holds any more, then remove some
 * entries of dead processes. In this order: as long as an end that they held is not known to be
 * closed, their entries have the repair of their deaths look here. */
static void look_for_holders(cohort__pipe_t *pipe, bool thorough) {
    uint64_t held = 0;
    int drops = 0;
    cohort__holder_t *dead[DROPS];
    uint32_t deaths = atomic_load(&cohort__arena->death);
    cohort__guard_commit(&pipe->guard);
    for (cohort__holder_t *e = NULL; (e = cohort__holders_next(&pipe->holders, e)) != NULL;) {
        if (may_use(atomic_load(&e->id), thorough))
            held |= atomic_load(&e->value) & COHORT__BOTH_ENDS;
        else if (drops < DROPS) dead[drops++] = e;
    }
    uint64_t closed = cohort__pipe_closed(pipe) | (~held & COHORT__BOTH_ENDS);
    if (closed != cohort__pipe_closed(pipe)) atomic_store(&pipe->closed, closed);
    while (drops > 0) cohort__holders_remove(&pipe->guard, dead[--drops]);
    atomic_store(&pipe->deaths[0], deaths);
    atomic_store(&pipe->deaths[1], deaths);
}

/* All that wait for the pipe, or for the queue that it feeds, look again. That queue may be gone,
 * or be another one: then its threads look once in vain. */
static void stir(cohort__pipe_t *pipe) {
    cohort_queue_t *queue = atomic_load(&pipe->fed);
    cohort__ring_stir(&pipe->rings[0]);
    cohort__ring_stir(&pipe->rings[1]);
    if (queue) cohort__ring_stir(&queue->ring);
}

/* After a change of the holder table, which it closes: is a holder left? The caller destroys the
 * pipe if there is none. */
static void settle_holders(const cohort__end_t *use) {
    cohort__pipe_t *pipe = use->pipe;
    /* the unrecorded dead will be, and then their pipes are looked at */
    look_for_holders(pipe, false);
    bool over = cohort__pipe_closed(pipe) == COHORT__BOTH_ENDS;
    holders_close(use);
    stir(pipe);
    if (over) cohort__ring_owner_destroy(&use->call, COHORT__KIND_PIPE);
}

bool cohort__end_look(const cohort__end_t *use, int end, bool thorough) {
    cohort__pipe_t *pipe = use->pipe;
    if (!holders_open(use)) return true;
    look_for_holders(pipe, thorough);
    holders_close(use);
    if (!(cohort__pipe_closed(pipe) & COHORT__HOLDS(end))) return false;
    stir(pipe);
    return true;
}

/* With the holder table open. */
static apr_status_t mark_holder(const cohort__end_t *use, cohort__pid_t process, uint64_t set,
                                uint64_t clear) {
    cohort__pipe_t *pipe = use->pipe;
    cohort__holder_t *e = cohort__holders_find(&pipe->holders, process);
    if (!e)
        return cohort__holders_add(&pipe->holders, &pipe->guard, use->call.me, process, set, NULL);
    cohort__holders_set(&pipe->guard, e, (atomic_load(&e->value) | set) & ~clear);
    return APR_SUCCESS;
}

apr_status_t cohort__end_hold(const cohort__end_t *use, cohort__pid_t process) {
    if (!holders_open(use)) return COHORT_EHANDLE;
    cohort__holder_t *e = cohort__holders_find(&use->pipe->holders, process);
    bool refused = cohort__pipe_closed(use->pipe) & COHORT__HOLDS(use->end) ||
                   (e && atomic_load(&e->value) & COHORT__GAVE_UP(use->end));
    apr_status_t status =
        refused ? COHORT_ECLOSED : mark_holder(use, process, COHORT__HOLDS(use->end), 0);
    holders_close(use);
    return status;
}

apr_status_t cohort__end_give_up(const cohort__end_t *use, uint64_t ends) {
    if (!holders_open(use)) return APR_SUCCESS;
    apr_status_t status = mark_holder(use, cohort__self_id(), ends * COHORT__GAVE_UP(0), ends);
    if (status) holders_close(use);
    else settle_holders(use);
    return status;
}

uint64_t cohort__end_find_own_mark(const cohort__end_t *use) {
    if (!holders_open(use)) return 0;
    cohort__holder_t *e = cohort__holders_find(&use->pipe->holders, cohort__self_id());
    uint64_t own = e ? atomic_load(&e->value) : 0;
    holders_close(use);
    return own;
}

/* ---- processes that come and go ------------------------------------------------------------- */

apr_status_t cohort__connection_hold(cohort_connection_t *connection, cohort__pid_t process) {
    cohort__end_t use;
    apr_status_t status = cohort__end_enter(connection, &use);
    return status ? status : cohort__end_hold(&use, process);
}

static void take_away(const cohort__end_t *use, cohort__pid_t process) {
    if (!holders_open(use)) return;
    cohort__holder_t *e = cohort__holders_find(&use->pipe->holders, process);
    if (e) cohort__holders_set(&use->pipe->guard, e, COHORT__BOTH_ENDS * COHORT__GAVE_UP(0));
    settle_holders(use);
}

/* The next pipe after `pipe` that must be looked at when this process is gone: it may hold an end,
 * or is closed and not destroyed yet. What the holder table shows without the guard may be a change
 * that its maker died over and that is going to be undone; so an entry counts whatever it says, and
 * while a change is under way the pipe counts whatever the entries are. */
static cohort__pipe_t *next_pipe_of(cohort__pid_t process, cohort__pipe_t *pipe,
                                    cohort__end_t *use) {
    uint64_t value;
    while ((pipe = cohort__object_next(COHORT__KIND_PIPE, pipe)) != NULL) {
        if (cohort__end_aim(pipe->ends, use)) continue;
        if (cohort__pipe_closed(pipe) == COHORT__BOTH_ENDS ||
            cohort__guard_is_changing(&pipe->guard))
            break;
        if (cohort__holders_peek(&pipe->holders, process, &value)) break;
        /* there are more entries, which cannot be seen here */
        if (atomic_load_explicit(&pipe->holders.active, memory_order_acquire)) break;
    }
    return pipe;
}

void cohort__pipes_drop(cohort__pid_t process) {
    cohort__thread_t *me;
    cohort__end_t use;
    if (cohort__enter(&me)) return;
    for (cohort__pipe_t *pipe = NULL; (pipe = next_pipe_of(process, pipe, &use)) != NULL;) {
        use.call.me = me;
        take_away(&use, process);
    }
}

/* ---- deaths --------------------------------------------------------------------------------- */

void cohort__pipes_repair(cohort__pid_t dead) {
    cohort__thread_t *me;
    cohort__end_t use;
    if (cohort__enter(&me)) return;
    for (cohort__pipe_t *pipe = NULL; (pipe = next_pipe_of(dead, pipe, &use)) != NULL;) {
        use.call.me = me;
        /* whatever the number of deaths: this one is counted when it is repaired, or by a
         * repairer that has died since */
        if (holders_open(&use)) settle_holders(&use);
    }
}
