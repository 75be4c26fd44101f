/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Pipes: a bounded ring per direction. Which process holds which end, and what becomes of a pipe
 * that no process holds any more, is told in pipe_ends.c.
 *
 * The two connections are addresses inside the pipe's block, told apart by their low bits; nothing
 * is stored there.
 */
#include "core/object/pipe_ends.h"

#include "core/base/reserved.h"

#include <cohort/wait.h>
#include <stdio.h>

#define DEFAULT_MESSAGES 64
#define DEFAULT_BYTES    ((apr_size_t)1 << 20)
#define INLINE           232 /* makes cells of 256 bytes */

cohort__ring_t *cohort__pipe_ring(cohort__ring_owner_t *owner, int i) {
    return i < 2 ? &((cohort__pipe_t *)owner)->rings[i] : NULL;
}

static bool can_receive(const cohort__end_t *use) { return !use->pipe->one_way || use->end == 0; }

static bool can_send(const cohort__end_t *use) { return !use->pipe->one_way || use->end == 1; }

/* ---- making --------------------------------------------------------------------------------- */

/* The pool of the process that made it is gone. */
static apr_status_t release_pipe(void *object) {
    cohort__end_t use;
    apr_status_t status = cohort__end_enter(((cohort__pipe_t *)object)->ends, &use);
    return status ? APR_SUCCESS : cohort__end_give_up(&use, COHORT__BOTH_ENDS);
}

static apr_status_t set_up_pipe(cohort__thread_t *me, cohort__pipe_t *pipe,
                                const cohort_pipe_options_t *o) {
    cohort__owner_ptr_t *parts = pipe->owner.object.parts;
    uint64_t messages = o->messages ? o->messages : DEFAULT_MESSAGES;
    pipe->bytes = o->bytes ? o->bytes : DEFAULT_BYTES;
    pipe->one_way = o->one_way != 0;
    cohort__holders_setup(&pipe->holders, &parts[COHORT__PIPE_HOLDERS]);
    atomic_store(&pipe->holders.first[0].value, COHORT__BOTH_ENDS);
    atomic_store(&pipe->holders.first[0].id, cohort__self_id());
    atomic_store(&pipe->deaths[0], atomic_load(&cohort__arena->death));
    atomic_store(&pipe->deaths[1], atomic_load(&pipe->deaths[0]));
    apr_status_t status = cohort__ring_setup(me, &pipe->rings[0], &pipe->guard,
                                             &parts[COHORT__PIPE_RINGS], messages, INLINE, 0);
    if (status || pipe->one_way) return status;
    return cohort__ring_setup(me, &pipe->rings[1], &pipe->guard, &parts[COHORT__PIPE_RINGS + 1],
                              messages, INLINE, 0);
}

static apr_status_t pipe_create(cohort_connection_t **first, cohort_connection_t **second,
                                const cohort_pipe_options_t *options, apr_pool_t *pool) {
    static const cohort_pipe_options_t defaults;
    cohort__thread_t *me;
    cohort__pipe_t *pipe;
    apr_status_t status = cohort__enter(&me);
    if (status) return status;
    if (!first || !second) return cohort__null(first ? "second" : "first");
    if (!options) options = &defaults;
    status = cohort__check_reserved(options->reserved, 8, "options.reserved");
    if (!status) status = cohort__object_new(me, COHORT__KIND_PIPE, sizeof *pipe, &pipe);
    if (status) return status;
    status = set_up_pipe(me, pipe, options);
    if (status) {
        cohort__object_free(me, pipe);
        return status;
    }
    cohort__object_publish(me, pipe, COHORT__PIPE_TAG, pool, release_pipe);
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
static bool pipe_has_room(const cohort__end_t *u) {
    if (!u->as.send.in_flight) return true;
    uint64_t bytes = cohort__ring_bytes(&u->call, u->ring);
    return bytes == 0 ||
           (u->as.send.size <= u->pipe->bytes && bytes <= u->pipe->bytes - u->as.send.size);
}

/* A pipe goes with its ends, so a call during which it does finds its own end closed. */
static apr_status_t closed_or(const cohort__end_t *use, apr_status_t status) {
    return status && cohort__call_over(&use->call) ? COHORT_ECLOSED : status;
}

static apr_status_t send_once(cohort__end_t *u, bool thorough) {
    if (cohort__end_is_given_up(u, thorough)) return COHORT_ECLOSED;
    if (cohort__end_is_closed(u, !u->end, false)) return APR_EOF;
    apr_status_t status =
        pipe_has_room(u) ? cohort__ring_put(&u->call, u->ring, &u->as.send, thorough) : APR_EAGAIN;
    return status == APR_EAGAIN && thorough && cohort__end_is_closed(u, !u->end, true) ? APR_EOF
                                                                                       : status;
}

static apr_status_t try_send(void *arg, bool thorough) {
    return closed_or(arg, send_once(arg, thorough));
}

static apr_status_t connection_send(cohort_connection_t *connection, const void *data,
                                    apr_size_t size, apr_interval_time_t timeout) {
    cohort__end_t u;
    apr_status_t status = cohort__end_begin(connection, &u);
    if (status) return status;
    if (!can_send(&u)) return COHORT_EDIRECTION;
    if (!data && size) return cohort__null("data");
    u.ring = &u.pipe->rings[!u.end];
    u.as.send = (cohort__send_t){data, size, false};
    status = cohort__ring_send_begin(&u.call, u.ring, &u.as.send);
    if (!status) status = cohort__ring_await(&u.call, &u.ring->space, try_send, &u, timeout);
    if (u.as.send.in_flight) cohort__ring_send_end(&u.call);
    return status;
}

apr_status_t cohort_connection_send(cohort_connection_t *connection, const void *data,
                                    apr_size_t size, apr_interval_time_t timeout) {
    return COHORT__CALL(connection_send(connection, data, size, timeout));
}

/* ---- receiving ------------------------------------------------------------------------------ */

/* After the other end is found closed, look once more: what was sent before comes first, and so
 * does what a dead receiver gives back. */
static apr_status_t receive_once(cohort__end_t *u, bool thorough) {
    if (cohort__end_is_given_up(u, thorough)) return COHORT_ECLOSED;
    apr_status_t status = cohort__ring_get(&u->call, u->ring, &u->as.receive, thorough);
    if (status != APR_EAGAIN || !cohort__end_is_closed(u, !u->end, thorough)) return status;
    bool idle = cohort__ring_is_idle(&u->call, u->ring, thorough);
    status = cohort__ring_get(&u->call, u->ring, &u->as.receive, true);
    return status == APR_EAGAIN && idle ? APR_EOF : status;
}

static apr_status_t try_receive(void *arg, bool thorough) {
    return closed_or(arg, receive_once(arg, thorough));
}

static apr_status_t receive_any(cohort_connection_t *connection, cohort__end_t *u,
                                apr_interval_time_t timeout) {
    apr_status_t status = cohort__end_begin(connection, u);
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
    if (!message || (!message->data && message->capacity))
        return cohort__null(message ? "the buffer" : "message");
    cohort__end_t u = {.as.receive = {.how = COHORT__RECEIVE_INTO,
                                      .data = message->data,
                                      .capacity = message->capacity}};
    apr_status_t status = receive_any(connection, &u, timeout);
    if (!status) message->returned = u.as.receive.returned;
    if (!status || status == COHORT_ETOOSMALL) message->size = u.as.receive.size;
    return status;
}

apr_status_t cohort_connection_recv_message(cohort_connection_t *connection,
                                            cohort_message_t *message,
                                            apr_interval_time_t timeout) {
    return COHORT__CALL(connection_recv_message(connection, message, timeout));
}

static apr_status_t connection_recv(cohort_connection_t *connection, void *buffer,
                                    apr_size_t capacity, apr_size_t *size,
                                    apr_interval_time_t timeout) {
    cohort_message_t message; /* of which a receive reads no more than data and capacity */
    message.data = buffer;
    message.capacity = capacity;
    message.size = 0;
    apr_status_t status = connection_recv_message(connection, &message, timeout);
    if (!status || status == COHORT_ETOOSMALL) *size = message.size;
    return status;
}

apr_status_t cohort_connection_recv(cohort_connection_t *connection, void *buffer,
                                    apr_size_t capacity, apr_size_t *size,
                                    apr_interval_time_t timeout) {
    return COHORT__CALL(size ? connection_recv(connection, buffer, capacity, size, timeout)
                             : cohort__null("size"));
}

static apr_status_t receive_made(cohort_connection_t *connection, cohort__end_t *u, void **data,
                                 apr_size_t *size, apr_interval_time_t timeout) {
    if (!data || !size) return cohort__null(data ? "size" : "data");
    apr_status_t status = receive_any(connection, u, timeout);
    if (status) return status;
    *data = u->as.receive.data;
    *size = u->as.receive.size;
    return APR_SUCCESS;
}

static apr_status_t connection_recv_copy(cohort_connection_t *connection, void **data,
                                         apr_size_t *size, apr_interval_time_t timeout,
                                         apr_pool_t *pool) {
    cohort__end_t u = {.as.receive = {.how = COHORT__RECEIVE_COPY, .pool = pool}};
    return pool ? receive_made(connection, &u, data, size, timeout) : cohort__null("pool");
}

apr_status_t cohort_connection_recv_copy(cohort_connection_t *connection, void **data,
                                         apr_size_t *size, apr_interval_time_t timeout,
                                         apr_pool_t *pool) {
    return COHORT__CALL(connection_recv_copy(connection, data, size, timeout, pool));
}

static apr_status_t connection_recv_block(cohort_connection_t *connection, void **block,
                                          apr_size_t *size, apr_interval_time_t timeout) {
    cohort__end_t u = {.as.receive = {.how = COHORT__RECEIVE_BLOCK}};
    return receive_made(connection, &u, block, size, timeout);
}

apr_status_t cohort_connection_recv_block(cohort_connection_t *connection, void **block,
                                          apr_size_t *size, apr_interval_time_t timeout) {
    return COHORT__CALL(connection_recv_block(connection, block, size, timeout));
}

static apr_status_t connection_poll(cohort_connection_t *connection, apr_interval_time_t timeout) {
    cohort__end_t u = {.as.receive = {.how = COHORT__RECEIVE_PEEK}};
    return receive_any(connection, &u, timeout);
}

apr_status_t cohort_connection_poll(cohort_connection_t *connection, apr_interval_time_t timeout) {
    return COHORT__CALL(connection_poll(connection, timeout));
}

/* ---- closing -------------------------------------------------------------------------------- */

static apr_status_t connection_close(cohort_connection_t *connection) {
    cohort__end_t use;
    if (!connection) return APR_SUCCESS;
    apr_status_t status = cohort__end_enter(connection, &use);
    if (status == COHORT_EHANDLE && cohort__in_arena(connection, 1)) return APR_SUCCESS;
    return status ? status : cohort__end_give_up(&use, COHORT__HOLDS(use.end));
}

apr_status_t cohort_connection_close(cohort_connection_t *connection) {
    return COHORT__CALL_ANEW(connection_close(connection));
}

static int is_able(const char *call, const cohort_connection_t *connection,
                   bool (*can)(const cohort__end_t *)) {
    cohort__end_t use;
    cohort__forget();
    apr_status_t status = cohort__end_enter(connection, &use);
    if (status) return (void)cohort__returned(call, status), 0;
    return !cohort__end_is_given_up(&use, true) && can(&use);
}

int cohort_connection_is_readable(const cohort_connection_t *connection) {
    return is_able(__func__, connection, can_receive);
}

int cohort_connection_is_writable(const cohort_connection_t *connection) {
    return is_able(__func__, connection, can_send);
}

/* ---- the tables ----------------------------------------------------------------------------- */

void *cohort__pipe_of(const void *connection) {
    cohort__end_t use;
    return cohort__end_aim(connection, &use) ? NULL : use.pipe;
}

/* False: the pipe that was meant is gone. */
static bool find_end(const cohort__aim_t *aim, cohort__end_t *use) {
    *use = (cohort__end_t){.call.me = aim->me};
    if (cohort__end_aim(aim->handle, use)) return false;
    use->call.life = aim->life;
    return !cohort__call_over(&use->call);
}

/* From here on the process holds the end, as after any other call on it. */
apr_status_t cohort__connection_check(const cohort__aim_t *aim, unsigned wanted) {
    cohort__end_t use;
    apr_status_t status = cohort__end_begin(aim->handle, &use);
    if (status) return status;
    bool able = (!(wanted & COHORT_READY_IN) || can_receive(&use)) &&
                (!(wanted & COHORT_READY_OUT) || can_send(&use));
    return able ? APR_SUCCESS : COHORT_EDIRECTION;
}

static bool is_receivable(cohort__end_t *use, bool thorough) {
    use->ring = &use->pipe->rings[use->end];
    use->as.receive = (cohort__receive_t){.how = COHORT__RECEIVE_PEEK};
    return receive_once(use, thorough) != APR_EAGAIN;
}

/* Would a send of a small message return at once? */
static bool is_sendable(const cohort__end_t *use, bool thorough) {
    return cohort__end_is_given_up(use, thorough) ||
           cohort__end_is_closed(use, !use->end, thorough) ||
           cohort__ring_find_room(&use->call, &use->pipe->rings[!use->end], thorough) != APR_EAGAIN;
}

unsigned cohort__connection_ready(const cohort__aim_t *aim, unsigned wanted, bool thorough) {
    cohort__end_t use;
    unsigned ready = 0;
    if (!find_end(aim, &use)) return wanted;
    if (wanted & COHORT_READY_IN && is_receivable(&use, thorough)) ready |= COHORT_READY_IN;
    if (wanted & COHORT_READY_OUT && is_sendable(&use, thorough)) ready |= COHORT_READY_OUT;
    if (wanted & COHORT_READY_GONE && (cohort__end_is_given_up(&use, thorough) ||
                                       cohort__end_is_closed(&use, !use.end, thorough)))
        ready |= COHORT_READY_GONE;
    return cohort__call_over(&use.call) ? wanted : ready;
}

/* Of a pipe that is gone no event count is needed: it is ready. */
cohort__eventcount_t *cohort__connection_event(const cohort__aim_t *aim, unsigned wanted, int i) {
    cohort__end_t use;
    if (!find_end(aim, &use)) return i == 0 ? &cohort__arena->completed : NULL;
    cohort__ring_t *in = can_receive(&use) ? &use.pipe->rings[use.end] : NULL,
                   *out = can_send(&use) ? &use.pipe->rings[!use.end] : NULL;
    return cohort__ring_event(in, out, wanted, i);
}

void cohort__connection_describe(const cohort__aim_t *aim, char *text, size_t size) {
    cohort__end_t use = {.call.me = aim->me};
    if (cohort__end_aim(aim->handle, &use)) return;
    cohort__ring_t *ring = &use.pipe->rings[use.end];
    unsigned long n = can_receive(&use) ? (unsigned long)cohort__ring_count(&use.call, ring) : 0;
    bool gone = cohort__pipe_closed(use.pipe) & COHORT__HOLDS(!use.end);
    if (cohort__end_is_given_up(&use, false)) snprintf(text, size, "a closed connection");
    else
        snprintf(text, size, "an open connection with %lu message%s to receive%s", n,
                 n == 1 ? "" : "s", gone ? ", with the other end closed" : "");
}
