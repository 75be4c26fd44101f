/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Pipes: a bounded ring per direction, and a roster of which process holds which end.
 *
 * An end is closed for good when no process that holds it is alive. That is found out by a thread
 * that would wait for it, or that sends after any process of the cohort has died, and is then
 * written down once (pipe->closed), so it is true for everybody from then on: by one store, which
 * comes after what it was concluded from is committed, and is never undone. A process that closed
 * an end stays in the roster with a mark, so that it does not get hold of it again by using it.
 *
 * A pipe is destroyed when both of its ends are closed, by the process that finds this. Should that
 * one die before, the repair of its death does it, as it destroys every pipe that is closed and not
 * destroyed, whichever process closed it.
 *
 * The two connections are addresses inside the pipe's block, told apart by their low bits; nothing
 * is stored there.
 */
#include <cohort/pipe.h>

#include "core/object/pipe.h"
#include "core/object/ring.h"
#include "core/object/roster.h"

#define TAG COHORT__TAG('P', 'I', 'P', 'E')
#define DEFAULT_MESSAGES 64
#define DEFAULT_BYTES ((apr_size_t)1 << 20)
#define INLINE 232 /* makes slots of 256 bytes */
#define BOTH 3u
#define DROPS 4 /* entries of dead processes at a time; the journal has room for them */

/* The parts of a pipe: its rings are bounded, so each has one. */
enum { PARTS_RINGS, PARTS_ROSTER = PARTS_RINGS + 2 };
_Static_assert(PARTS_ROSTER + COHORT__ROSTER_HOMES <= COHORT__PARTS, "a pipe's parts");

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
    _Atomic uint64_t closed;    /* bits: ends that are closed for good */
    _Alignas(64) cohort__ring_t rings[2]; /* [i] brings messages to end i */
    cohort__guard_t guard;
    cohort__roster_t holders; /* per process: bits, see below */
} pipe_t;
_Static_assert(sizeof(pipe_t) <= COHORT__OBJECT_SIZE_MAX, "a pipe fits its block");
_Static_assert(offsetof(pipe_t, ends) == 64, "the ends lie where end_of() looks");

/* In the roster. */
#define HOLDS(end) ((uint64_t)1 << (end))
#define GAVE_UP(end) ((uint64_t)4 << (end))

cohort__ring_t *cohort__pipe_ring(cohort__ring_owner_t *owner, int i) {
    return i < 2 ? &((pipe_t *)owner)->rings[i] : NULL;
}

/* ---- ends ----------------------------------------------------------------------------------- */

typedef struct {
    cohort__call_t call;
    cohort__ring_t *ring; /* the one that the operation is about */
    pipe_t *pipe;
    int end;
    union {
        cohort__send_t send;
        cohort__receive_t receive;
    } as;
} use_t;

static apr_status_t end_of(const cohort_connection_t *connection, use_t *use) {
    uintptr_t address = (uintptr_t)connection, low = address & 63;
    if (!connection) return APR_EINVAL;
    if ((low != 0 && low != sizeof(cohort_connection_t)) ||
        !cohort__in_arena(connection, sizeof *connection))
        return COHORT_EHANDLE;
    use->pipe = (pipe_t *)(address - low - offsetof(pipe_t, ends));
    use->end = low != 0;
    return cohort__call_aim(&use->call, use->pipe, COHORT__KIND_PIPE, TAG) ? COHORT_EHANDLE
                                                                           : APR_SUCCESS;
}

static apr_status_t enter(const cohort_connection_t *connection, use_t *use) {
    apr_status_t status = cohort__enter(&use->call.me);
    return status ? status : end_of(connection, use);
}

/* Work on the roster: the guard, with the object announced. The ring for that is always the first,
 * which is there in any pipe. */
static bool roster_open(const use_t *use) {
    cohort__ring_t *ring = &use->pipe->rings[0];
    if (!cohort__call_look(&use->call)) return false;
    if (cohort__ring_guard(&use->call, ring, &use->pipe->owner.object.parts[PARTS_ROSTER],
                           COHORT__ROSTER_HOMES))
        return true;
    cohort__call_look_end(&use->call);
    return false;
}

static void roster_close(const use_t *use) {
    cohort__guard_leave(&use->pipe->guard);
    cohort__call_look_end(&use->call);
}

static uint64_t closed_ends(pipe_t *pipe) {
    return atomic_load_explicit(&pipe->closed, memory_order_acquire);
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
    case COHORT__SLOT_FAILED:
        return true;
    default:
        return cohort__process_alive(process, thorough);
    }
}

/* With the roster open: write down which ends nobody holds any more, then remove some entries of
 * dead processes. In this order: as long as an end that they held is not known to be closed, their
 * entries have the repair of their deaths look here. */
static void look_who_is_left(pipe_t *pipe, bool thorough) {
    uint64_t held = 0;
    int drops = 0;
    cohort__roster_entry_t *dead[DROPS];
    uint32_t deaths = atomic_load(&cohort__arena->death);
    cohort__guard_commit(&pipe->guard);
    for (cohort__roster_entry_t *e = NULL; (e = cohort__roster_next(&pipe->holders, e)) != NULL;) {
        if (may_use(atomic_load(&e->id), thorough)) held |= atomic_load(&e->value) & BOTH;
        else if (drops < DROPS) dead[drops++] = e;
    }
    uint64_t closed = closed_ends(pipe) | (~held & BOTH);
    if (closed != closed_ends(pipe)) atomic_store(&pipe->closed, closed);
    while (drops > 0) cohort__roster_remove(&pipe->guard, dead[--drops]);
    atomic_store(&pipe->deaths[0], deaths);
    atomic_store(&pipe->deaths[1], deaths);
}

/* After a change of the roster, which it closes: is a holder left? The caller destroys the pipe if
 * there is none. */
static void settle(const use_t *use) {
    pipe_t *pipe = use->pipe;
    /* the unrecorded dead will be, and then their pipes are looked at */
    look_who_is_left(pipe, false);
    bool over = closed_ends(pipe) == BOTH;
    roster_close(use);
    cohort__ring_stir(&pipe->rings[0]);
    cohort__ring_stir(&pipe->rings[1]);
    if (over) cohort__ring_owner_destroy(&use->call, COHORT__KIND_PIPE);
}

/* Is this end closed for good? Looks again after any death, and when `thorough`. */
static bool is_closed(const use_t *use, int end, bool thorough) {
    pipe_t *pipe = use->pipe;
    uint64_t bit = HOLDS(end);
    if (closed_ends(pipe) & bit) return true;
    if (!thorough && atomic_load(&pipe->deaths[end]) == atomic_load(&cohort__arena->death))
        return false;
    if (!roster_open(use)) return true;
    look_who_is_left(pipe, thorough);
    roster_close(use);
    if (!(closed_ends(pipe) & bit)) return false;
    cohort__ring_stir(&pipe->rings[0]);
    cohort__ring_stir(&pipe->rings[1]);
    return true;
}

/* With the roster open. */
static apr_status_t mark(const use_t *use, cohort__pid_t process, uint64_t set, uint64_t clear) {
    pipe_t *pipe = use->pipe;
    cohort__roster_entry_t *e = cohort__roster_find(&pipe->holders, process);
    if (!e)
        return cohort__roster_add(&pipe->holders, &pipe->guard, use->call.me, process, set, NULL);
    cohort__roster_set(&pipe->guard, e, (atomic_load(&e->value) | set) & ~clear);
    return APR_SUCCESS;
}

static apr_status_t hold(const use_t *use, cohort__pid_t process) {
    if (!roster_open(use)) return COHORT_EHANDLE;
    cohort__roster_entry_t *e = cohort__roster_find(&use->pipe->holders, process);
    bool refused = closed_ends(use->pipe) & HOLDS(use->end) ||
                   (e && atomic_load(&e->value) & GAVE_UP(use->end));
    apr_status_t status = refused ? COHORT_ECLOSED : mark(use, process, HOLDS(use->end), 0);
    roster_close(use);
    return status;
}

/* This process holds these ends no more, for good. */
static apr_status_t give_up(const use_t *use, uint64_t ends) {
    if (!roster_open(use)) return APR_SUCCESS;
    apr_status_t status = mark(use, cohort__self_id(), ends * GAVE_UP(0), ends);
    if (status) roster_close(use);
    else settle(use);
    return status;
}

/* What this process has in the roster, as far as it can be seen at once; 0 when it cannot. */
static uint64_t own_mark(const use_t *use) {
    uint64_t value = 0;
    return cohort__roster_peek(&use->pipe->holders, cohort__self_id(), &value) ? value : 0;
}

/* Another thread of this process may close the end while this one waits. */
static bool has_given_up(const use_t *use, bool thorough) {
    uint64_t own = own_mark(use);
    if (!own && thorough && roster_open(use)) {
        cohort__roster_entry_t *e = cohort__roster_find(&use->pipe->holders, cohort__self_id());
        own = e ? atomic_load(&e->value) : 0;
        roster_close(use);
    }
    return own & GAVE_UP(use->end) || closed_ends(use->pipe) & HOLDS(use->end);
}

/* The start of every use of an end. */
static apr_status_t begin(cohort_connection_t *connection, use_t *use) {
    apr_status_t status = enter(connection, use);
    if (status) return status;
    uint64_t own = own_mark(use);
    if (own & GAVE_UP(use->end)) return COHORT_ECLOSED;
    return own & HOLDS(use->end) ? APR_SUCCESS : hold(use, cohort__self_id());
}

static bool can_receive(const use_t *use) {
    return !use->pipe->one_way || use->end == 0;
}

static bool can_send(const use_t *use) {
    return !use->pipe->one_way || use->end == 1;
}

/* ---- making --------------------------------------------------------------------------------- */

/* The pool of the process that made it is gone. */
static apr_status_t release(void *object) {
    use_t use;
    apr_status_t status = enter(((pipe_t *)object)->ends, &use);
    return status ? APR_SUCCESS : give_up(&use, BOTH);
}

static apr_status_t set_up(cohort__thread_t *me, pipe_t *pipe, const cohort_pipe_options_t *o) {
    cohort__home_t *parts = pipe->owner.object.parts;
    uint64_t messages = o->messages ? o->messages : DEFAULT_MESSAGES;
    pipe->bytes = o->bytes ? o->bytes : DEFAULT_BYTES;
    pipe->one_way = o->one_way != 0;
    cohort__roster_setup(&pipe->holders, &parts[PARTS_ROSTER]);
    atomic_store(&pipe->holders.first[0].value, BOTH);
    atomic_store(&pipe->holders.first[0].id, cohort__self_id());
    atomic_store(&pipe->deaths[0], atomic_load(&cohort__arena->death));
    atomic_store(&pipe->deaths[1], atomic_load(&pipe->deaths[0]));
    apr_status_t status = cohort__ring_setup(me, &pipe->rings[0], &pipe->guard, &parts[PARTS_RINGS],
                                             messages, INLINE, 0);
    if (status || pipe->one_way) return status;
    return cohort__ring_setup(me, &pipe->rings[1], &pipe->guard, &parts[PARTS_RINGS + 1], messages,
                              INLINE, 0);
}

static apr_status_t pipe_create(cohort_connection_t **first, cohort_connection_t **second,
                                const cohort_pipe_options_t *options, apr_pool_t *pool) {
    static const cohort_pipe_options_t defaults;
    cohort__thread_t *me;
    pipe_t *pipe;
    apr_status_t status = cohort__enter(&me);
    if (status) return status;
    if (!first || !second) return cohort__null(first ? "second" : "first");
    status = cohort__object_new(me, COHORT__KIND_PIPE, sizeof *pipe, &pipe);
    if (status) return status;
    status = set_up(me, pipe, options ? options : &defaults);
    if (status) {
        cohort__object_free(me, pipe);
        return status;
    }
    cohort__object_publish(me, pipe, TAG, pool, release);
    *first = &pipe->ends[0];
    *second = &pipe->ends[1];
    return APR_SUCCESS;
}

apr_status_t cohort_pipe_create(cohort_connection_t **first, cohort_connection_t **second,
                                const cohort_pipe_options_t *options, apr_pool_t *pool) {
    return COHORT__CALL_ANEW(pipe_create(first, second, options, pool));
}

/* ---- sending -------------------------------------------------------------------------------- */

/* Only large messages count, since small ones are bounded by their number. */
static bool has_room(const use_t *u) {
    if (!u->as.send.staged) return true;
    uint64_t bytes = cohort__ring_bytes(&u->call, u->ring);
    return bytes == 0 ||
           (u->as.send.size <= u->pipe->bytes && bytes <= u->pipe->bytes - u->as.send.size);
}

/* A pipe goes with its ends, so a call during which it does finds its own end closed. */
static apr_status_t said(const use_t *use, apr_status_t status) {
    return status && cohort__call_over(&use->call) ? COHORT_ECLOSED : status;
}

static apr_status_t send_once(use_t *u, bool thorough) {
    if (has_given_up(u, thorough)) return COHORT_ECLOSED;
    if (is_closed(u, !u->end, false)) return APR_EOF;
    apr_status_t status =
        has_room(u) ? cohort__ring_put(&u->call, u->ring, &u->as.send, thorough) : APR_EAGAIN;
    return status == APR_EAGAIN && thorough && is_closed(u, !u->end, true) ? APR_EOF : status;
}

static apr_status_t try_send(void *arg, bool thorough) {
    return said(arg, send_once(arg, thorough));
}

static apr_status_t connection_send(cohort_connection_t *connection, const void *data,
                                    apr_size_t size, apr_interval_time_t timeout) {
    use_t u;
    apr_status_t status = begin(connection, &u);
    if (status) return status;
    if (!can_send(&u)) return COHORT_EDIRECTION;
    if (!data && size) return cohort__null("data");
    u.ring = &u.pipe->rings[!u.end];
    u.as.send = (cohort__send_t){data, size, false};
    status = cohort__ring_stage(&u.call, u.ring, &u.as.send);
    if (!status) status = cohort__ring_await(&u.call, &u.ring->space, try_send, &u, timeout);
    if (u.as.send.staged) cohort__ring_unstage(&u.call);
    return status;
}

apr_status_t cohort_connection_send(cohort_connection_t *connection, const void *data,
                                    apr_size_t size, apr_interval_time_t timeout) {
    return COHORT__CALL(connection_send(connection, data, size, timeout));
}

/* ---- receiving ------------------------------------------------------------------------------ */

/* After the other end is found closed, look once more: what was sent before comes first, and so
 * does what a dead receiver gives back. */
static apr_status_t receive_once(use_t *u, bool thorough) {
    if (has_given_up(u, thorough)) return COHORT_ECLOSED;
    apr_status_t status = cohort__ring_get(&u->call, u->ring, &u->as.receive, thorough);
    if (status != APR_EAGAIN || !is_closed(u, !u->end, thorough)) return status;
    bool idle = cohort__ring_is_idle(&u->call, u->ring, thorough);
    status = cohort__ring_get(&u->call, u->ring, &u->as.receive, true);
    return status == APR_EAGAIN && idle ? APR_EOF : status;
}

static apr_status_t try_receive(void *arg, bool thorough) {
    return said(arg, receive_once(arg, thorough));
}

static apr_status_t receive(cohort_connection_t *connection, use_t *u,
                            apr_interval_time_t timeout) {
    apr_status_t status = begin(connection, u);
    if (status) return status;
    if (!can_receive(u)) return COHORT_EDIRECTION;
    u->ring = &u->pipe->rings[u->end];
    status = cohort__ring_await(&u->call, &u->ring->items, try_receive, u, timeout);
    bool taken = status == APR_SUCCESS && u->as.receive.how != COHORT__RECEIVE_PEEK;
    /* A message that stays needs the wake-up that this call may have had. Room for one may be room
     * for several, or for another. */
    if (taken) cohort__notify(&u->ring->space, COHORT__ALL);
    else if (status != APR_EAGAIN) cohort__notify(&u->ring->items, 1);
    return status;
}

static apr_status_t connection_recv_message(cohort_connection_t *connection,
                                            cohort_message_t *message,
                                            apr_interval_time_t timeout) {
    if (!message || (!message->data && message->size))
        return cohort__null(message ? "the buffer" : "message");
    use_t u = {.as.receive = {
                   .how = COHORT__RECEIVE_INTO, .data = message->data, .capacity = message->size}};
    apr_status_t status = receive(connection, &u, timeout);
    if (!status) message->returned = u.as.receive.returned;
    if (!status || status == COHORT_ETOOSMALL) message->size = u.as.receive.size;
    return status;
}

apr_status_t cohort_connection_recv_message(cohort_connection_t *connection,
                                            cohort_message_t *message,
                                            apr_interval_time_t timeout) {
    return COHORT__CALL(connection_recv_message(connection, message, timeout));
}

static apr_status_t connection_recv(cohort_connection_t *connection, void *buffer, apr_size_t *size,
                                    apr_interval_time_t timeout) {
    cohort_message_t message = {.data = buffer, .size = size ? *size : 0};
    apr_status_t status = connection_recv_message(connection, size ? &message : NULL, timeout);
    if (!status || status == COHORT_ETOOSMALL) *size = message.size;
    return status;
}

apr_status_t cohort_connection_recv(cohort_connection_t *connection, void *buffer, apr_size_t *size,
                                    apr_interval_time_t timeout) {
    return COHORT__CALL(connection_recv(connection, buffer, size, timeout));
}

static apr_status_t receive_made(cohort_connection_t *connection, use_t *u, void **data,
                                 apr_size_t *size, apr_interval_time_t timeout) {
    if (!data || !size) return cohort__null(data ? "size" : "data");
    apr_status_t status = receive(connection, u, timeout);
    if (status) return status;
    *data = u->as.receive.data;
    *size = u->as.receive.size;
    return APR_SUCCESS;
}

static apr_status_t connection_recv_copy(cohort_connection_t *connection, void **data,
                                         apr_size_t *size, apr_interval_time_t timeout,
                                         apr_pool_t *pool) {
    use_t u = {.as.receive = {.how = COHORT__RECEIVE_COPY, .pool = pool}};
    return pool ? receive_made(connection, &u, data, size, timeout) : cohort__null("pool");
}

apr_status_t cohort_connection_recv_copy(cohort_connection_t *connection, void **data,
                                         apr_size_t *size, apr_interval_time_t timeout,
                                         apr_pool_t *pool) {
    return COHORT__CALL(connection_recv_copy(connection, data, size, timeout, pool));
}

static apr_status_t connection_recv_block(cohort_connection_t *connection, void **block,
                                          apr_size_t *size, apr_interval_time_t timeout) {
    use_t u = {.as.receive = {.how = COHORT__RECEIVE_BLOCK}};
    return receive_made(connection, &u, block, size, timeout);
}

apr_status_t cohort_connection_recv_block(cohort_connection_t *connection, void **block,
                                          apr_size_t *size, apr_interval_time_t timeout) {
    return COHORT__CALL(connection_recv_block(connection, block, size, timeout));
}

static apr_status_t connection_poll(cohort_connection_t *connection, apr_interval_time_t timeout) {
    use_t u = {.as.receive = {.how = COHORT__RECEIVE_PEEK}};
    return receive(connection, &u, timeout);
}

apr_status_t cohort_connection_poll(cohort_connection_t *connection, apr_interval_time_t timeout) {
    return COHORT__CALL(connection_poll(connection, timeout));
}

/* ---- holding and closing -------------------------------------------------------------------- */

static apr_status_t connection_close(cohort_connection_t *connection) {
    use_t use;
    if (!connection) return APR_SUCCESS;
    apr_status_t status = enter(connection, &use);
    if (status == COHORT_EHANDLE && cohort__in_arena(connection, 1)) return APR_SUCCESS;
    return status ? status : give_up(&use, HOLDS(use.end));
}

apr_status_t cohort_connection_close(cohort_connection_t *connection) {
    return COHORT__CALL_ANEW(connection_close(connection));
}

static int is_able(const cohort_connection_t *connection, bool (*can)(const use_t *)) {
    use_t use;
    return enter(connection, &use) == APR_SUCCESS && !has_given_up(&use, true) && can(&use);
}

int cohort_connection_readable(const cohort_connection_t *connection) {
    return is_able(connection, can_receive);
}

int cohort_connection_writable(const cohort_connection_t *connection) {
    return is_able(connection, can_send);
}

apr_status_t cohort__connection_hold(cohort_connection_t *connection, cohort__pid_t process) {
    use_t use;
    apr_status_t status = enter(connection, &use);
    return status ? status : hold(&use, process);
}

static void take_away(const use_t *use, cohort__pid_t process) {
    if (!roster_open(use)) return;
    cohort__roster_entry_t *e = cohort__roster_find(&use->pipe->holders, process);
    if (e) cohort__roster_set(&use->pipe->guard, e, BOTH * GAVE_UP(0));
    settle(use);
}

/* The next pipe after `pipe` that must be looked at when this process is gone: it may hold an end,
 * or is closed and not destroyed yet. What the roster shows without the guard may be a change that
 * its maker died over and that is going to be undone; so an entry counts whatever it says, and
 * while a change is under way the pipe counts whatever the entries are. */
static pipe_t *next_of(cohort__pid_t process, pipe_t *pipe, use_t *use) {
    uint64_t value;
    while ((pipe = cohort__object_next(COHORT__KIND_PIPE, pipe)) != NULL) {
        if (end_of(pipe->ends, use)) continue;
        if (closed_ends(pipe) == BOTH || cohort__guard_is_changing(&pipe->guard)) break;
        if (cohort__roster_peek(&pipe->holders, process, &value)) break;
        /* there are more entries, which cannot be seen here */
        if (atomic_load_explicit(&pipe->holders.active, memory_order_acquire)) break;
    }
    return pipe;
}

void cohort__pipes_drop(cohort__pid_t process) {
    cohort__thread_t *me;
    use_t use;
    if (cohort__enter(&me)) return;
    for (pipe_t *pipe = NULL; (pipe = next_of(process, pipe, &use)) != NULL;) {
        use.call.me = me;
        take_away(&use, process);
    }
}

/* ---- deaths --------------------------------------------------------------------------------- */

void cohort__pipes_repair(cohort__pid_t dead) {
    cohort__thread_t *me;
    use_t use;
    if (cohort__enter(&me)) return;
    for (pipe_t *pipe = NULL; (pipe = next_of(dead, pipe, &use)) != NULL;) {
        use.call.me = me;
        /* whatever the number of deaths: this one is counted when it is repaired, or by a
         * repairer that has died since */
        if (roster_open(&use)) settle(&use);
    }
}
