/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Queues: made, put into, got from, closed, destroyed. A queue is a ring; of a joinable one
 * queue_account.c keeps account. */
#include "core/object/queue.h"

#include "core/base/reserved.h"

#include <cohort/wait.h>
#include <stdio.h>

#define DEFAULT_MESSAGE 64

cohort__ring_t *cohort__queue_ring(cohort__ring_owner_t *owner, int i) {
    return i == 0 ? &((cohort_queue_t *)owner)->ring : NULL;
}

static apr_status_t destroy_queue(void *queue) { return cohort_queue_destroy(queue); }

/* Then what ends with the last holder of this end is told to the threads that wait for the queue,
 * too. A pipe has one queue. */
static apr_status_t declare_producers(cohort__thread_t *me, cohort_queue_t *queue,
                                      cohort_connection_t *connection) {
    cohort__end_t use = {.call.me = me};
    if (!connection) return APR_SUCCESS;
    if (cohort__end_aim(connection, &use)) return COHORT_EHANDLE;
    queue->producers = connection;
    queue->producers_life = use.call.life;
    cohort_queue_t *none = NULL;
    if (atomic_compare_exchange_strong(&use.pipe->fed, &none, queue)) return APR_SUCCESS;
    return cohort__fail(APR_EINVAL, "the ends of this pipe are the producers of another queue");
}

static apr_status_t queue_create(cohort_queue_t **queue, const cohort_queue_options_t *options,
                                 apr_pool_t *pool) {
    static const cohort_queue_options_t defaults;
    cohort__thread_t *me;
    cohort_queue_t *q;
    apr_status_t status = cohort__enter(&me);
    if (status) return status;
    if (!queue) return cohort__null("queue");
    if (!options) options = &defaults;
    status = cohort__check_reserved(options->reserved, 8, "options.reserved");
    if (!status) status = cohort__object_new(me, COHORT__KIND_QUEUE, sizeof *q, &q);
    if (status) return status;
    cohort__owner_ptr_t *parts = q->owner.object.parts;
    q->joinable = options->joinable != 0;
    cohort__holders_setup(&q->outstanding, &parts[COHORT__QUEUE_HOLDERS]);
    status =
        cohort__ring_setup(me, &q->ring, &q->guard, &parts[COHORT__QUEUE_RING], options->capacity,
                           options->message_size ? options->message_size : DEFAULT_MESSAGE, 0);
    if (!status) status = declare_producers(me, q, options->producers);
    if (status) {
        cohort__object_free(me, q);
        return status;
    }
    cohort__object_publish(me, q, COHORT__QUEUE_TAG, pool, destroy_queue);
    *queue = q;
    return APR_SUCCESS;
}

apr_status_t cohort_queue_create(cohort_queue_t **queue, const cohort_queue_options_t *options,
                                 apr_pool_t *pool) {
    return COHORT__CALL_ANEW(queue_create(queue, options, pool));
}

static bool is_queue_closed(cohort_queue_t *queue) {
    return cohort__ring_state(&queue->ring) != COHORT__RING_OPEN;
}

/* What a call says that finds the queue closed: it may be another queue by now. */
static apr_status_t say_closed(const cohort__call_t *call) {
    return cohort__call_over(call) ? COHORT_EHANDLE : COHORT_ECLOSED;
}

/* ---- put ------------------------------------------------------------------------------------ */

typedef struct {
    cohort__call_t call;
    cohort__send_t send;
} put_t;

static apr_status_t try_put(void *arg, bool thorough) {
    put_t *p = arg;
    cohort_queue_t *queue = cohort__queue_of(&p->call);
    if (is_queue_closed(queue)) return say_closed(&p->call);
    return cohort__ring_put(&p->call, &queue->ring, &p->send, thorough);
}

static apr_status_t put_slowly(put_t *p, apr_interval_time_t timeout) {
    cohort_queue_t *queue = cohort__queue_of(&p->call);
    if (!p->send.data && p->send.size) return cohort__null("data");
    if (is_queue_closed(queue)) return say_closed(&p->call);
    apr_status_t status = cohort__ring_send_begin(&p->call, &queue->ring, &p->send);
    if (!status) status = cohort__ring_await(&p->call, &queue->ring.space, try_put, p, timeout);
    if (p->send.in_flight) cohort__ring_send_end(&p->call);
    return status;
}

/* What most calls are: the message is small, and there is room. Whatever else there is to see to is
 * not seen to here. */
static bool put_quickly(const cohort__call_t *call, cohort_queue_t *queue, const void *data,
                        size_t size) {
    cohort_message_t message; /* of which a put reads no more than these two */
    message.data = (void *)data;
    message.size = size;
    if (is_queue_closed(queue) || !cohort__ring_put_run(call, &queue->ring, &message, 1))
        return false;
    call->me->waited = &queue->ring.space;
    return true;
}

static apr_status_t queue_put(cohort_queue_t *queue, const void *data, apr_size_t size,
                              apr_interval_time_t timeout) {
    cohort__call_t call;
    apr_status_t status = cohort__queue_begin(queue, &call);
    if (status) return status;
    if (put_quickly(&call, queue, data, size)) return APR_SUCCESS;
    put_t p = {.call = call, .send = {data, size, false}};
    return put_slowly(&p, timeout);
}

apr_status_t cohort_queue_put(cohort_queue_t *queue, const void *data, apr_size_t size,
                              apr_interval_time_t timeout) {
    return COHORT__CALL(queue_put(queue, data, size, timeout));
}

static apr_status_t queue_put_many(cohort_queue_t *queue, const cohort_message_t *messages,
                                   apr_size_t count, apr_size_t *done,
                                   apr_interval_time_t timeout) {
    put_t p;
    apr_status_t status = cohort__queue_begin(queue, &p.call);
    if (status) return status;
    if (!done || (!messages && count)) return cohort__null(done ? "messages" : "done");
    for (*done = 0; *done < count;) {
        if (!is_queue_closed(queue))
            *done += cohort__ring_put_run(&p.call, &queue->ring, messages + *done,
                                          cohort__ring_run_of(&queue->ring, count - *done));
        if (*done == count) break;
        p.send = (cohort__send_t){messages[*done].data, messages[*done].size, false};
        status = put_slowly(&p, timeout);
        if (status) return status;
        ++*done;
    }
    return APR_SUCCESS;
}

apr_status_t cohort_queue_put_many(cohort_queue_t *queue, const cohort_message_t *messages,
                                   apr_size_t count, apr_size_t *done,
                                   apr_interval_time_t timeout) {
    return COHORT__CALL(queue_put_many(queue, messages, count, done, timeout));
}

static apr_status_t queue_put_block(cohort_queue_t *queue, void *block, apr_size_t size,
                                    apr_interval_time_t timeout) {
    put_t p = {.send = {block, size, true}};
    apr_status_t status = cohort__queue_begin(queue, &p.call);
    if (status) return status;
    if (!block) return cohort__null("block");
    if (!cohort__block_is(block, COHORT__KIND_BYTES)) return COHORT_EFREE;
    if (size > cohort__block_size(block))
        return cohort__fail(APR_EINVAL, "size is more than the block has");
    cohort__owner_ptr_t *in_flight = &p.call.me->in_flight[COHORT__IN_FLIGHT_MESSAGE];
    status = cohort__block_take(p.call.me, block, in_flight);
    if (status) return status;
    status = cohort__ring_await(&p.call, &queue->ring.space, try_put, &p, timeout);
    if (status) (void)cohort__block_give(in_flight);
    return status;
}

apr_status_t cohort_queue_put_block(cohort_queue_t *queue, void *block, apr_size_t size,
                                    apr_interval_time_t timeout) {
    return COHORT__CALL(queue_put_block(queue, block, size, timeout));
}

/* ---- get ------------------------------------------------------------------------------------ */

/* Is there no producer any more? What they have put is there to be got still. */
static bool is_deserted(const cohort__call_t *call, bool thorough) {
    cohort_queue_t *queue = cohort__queue_of(call);
    cohort__end_t use = {.call.me = call->me};
    bool gone = cohort__end_aim(queue->producers, &use) || use.call.life != queue->producers_life ||
                cohort__end_is_closed(&use, use.end, thorough);
    return gone && !cohort__call_over(call);
}

/* Closes it then, for all; one that a process has closed before stays as that has left it. */
static void look_for_producers(const cohort__call_t *call, bool thorough) {
    cohort_queue_t *queue = cohort__queue_of(call);
    if (!queue->producers || is_queue_closed(queue) || !is_deserted(call, thorough)) return;
    atomic_store(&queue->deserted, 1);
    cohort__ring_close(call, &queue->ring, COHORT__RING_CLOSED);
}

/* What a get says when nothing will come. */
static apr_status_t say_end(const cohort__call_t *call) {
    if (cohort__call_over(call)) return COHORT_EHANDLE;
    return atomic_load(&cohort__queue_of(call)->deserted) ? APR_EOF : COHORT_ECLOSED;
}

typedef struct {
    cohort__call_t call;
    cohort__receive_t receive;
} get_t;

/* After the look at what is on its way, look once more: that may have brought a message back. */
static apr_status_t get_the_last(get_t *g, bool thorough) {
    cohort__ring_t *ring = &cohort__queue_of(&g->call)->ring;
    if (cohort__ring_is_drained(&g->call, ring, thorough)) return say_end(&g->call);
    return thorough ? cohort__ring_get(&g->call, ring, &g->receive, true) : APR_EAGAIN;
}

static apr_status_t try_get(void *arg, bool thorough) {
    get_t *g = arg;
    cohort__ring_t *ring = &cohort__queue_of(&g->call)->ring;
    if (cohort__ring_state(ring) == COHORT__RING_DISCARDING) {
        apr_status_t thrown = cohort__queue_throw_away(&g->call, thorough);
        return thrown ? thrown : say_closed(&g->call);
    }
    apr_status_t status = cohort__ring_get(&g->call, ring, &g->receive, thorough);
    if (status == APR_EAGAIN) look_for_producers(&g->call, thorough);
    if (status != APR_EAGAIN || !cohort__ring_state(ring)) return status;
    return get_the_last(g, thorough);
}

static apr_status_t get_slowly(get_t *g, apr_interval_time_t timeout) {
    cohort_queue_t *queue = cohort__queue_of(&g->call);
    if (queue->joinable) {
        g->receive.expect = cohort__queue_expect;
        g->receive.in_vain = cohort__queue_unexpect;
        g->receive.arg = &g->call;
    }
    apr_status_t status = cohort__ring_await(&g->call, &queue->ring.items, try_get, g, timeout);
    /* The message stays, and so must the wake-up that this one took. */
    if (status == COHORT_ETOOSMALL || status == APR_ENOMEM) cohort__notify(&queue->ring.items, 1);
    return status;
}

/* What most calls are: a small message is there. Whatever else there is to see to is not seen to
 * here. */
static bool get_quickly(const cohort__call_t *call, cohort_queue_t *queue,
                        cohort_message_t *message) {
    if (queue->joinable || !cohort__ring_get_run(call, &queue->ring, message, 1)) return false;
    call->me->waited = &queue->ring.items;
    return true;
}

static apr_status_t get_into(get_t *g, cohort_message_t *message, apr_interval_time_t timeout) {
    if (!message->data && message->capacity) return cohort__null("the buffer");
    g->receive.data = message->data;
    g->receive.capacity = message->capacity;
    apr_status_t status = get_slowly(g, timeout);
    if (!status) message->returned = g->receive.returned;
    if (!status || status == COHORT_ETOOSMALL) message->size = g->receive.size;
    return status;
}

static apr_status_t queue_get_message(cohort_queue_t *queue, cohort_message_t *message,
                                      apr_interval_time_t timeout) {
    cohort__call_t call;
    apr_status_t status = cohort__queue_begin(queue, &call);
    if (!status && !message) status = cohort__null("message");
    if (status) return status;
    if (get_quickly(&call, queue, message)) return APR_SUCCESS;
    get_t g = {.call = call, .receive = {.how = COHORT__RECEIVE_INTO}};
    return get_into(&g, message, timeout);
}

apr_status_t cohort_queue_get_message(cohort_queue_t *queue, cohort_message_t *message,
                                      apr_interval_time_t timeout) {
    return COHORT__CALL(queue_get_message(queue, message, timeout));
}

static apr_status_t queue_get(cohort_queue_t *queue, void *buffer, apr_size_t capacity,
                              apr_size_t *size, apr_interval_time_t timeout) {
    cohort_message_t message; /* of which a get reads no more than these two */
    message.data = buffer;
    message.capacity = capacity;
    apr_status_t status = queue_get_message(queue, &message, timeout);
    /* NOLINTNEXTLINE(clang-analyzer-core.uninitialized.Assign): both statuses come with a size */
    if (!status || status == COHORT_ETOOSMALL) *size = message.size;
    return status;
}

apr_status_t cohort_queue_get(cohort_queue_t *queue, void *buffer, apr_size_t capacity,
                              apr_size_t *size, apr_interval_time_t timeout) {
    return COHORT__CALL(size ? queue_get(queue, buffer, capacity, size, timeout)
                             : cohort__null("size"));
}

static apr_status_t queue_get_many(cohort_queue_t *queue, cohort_message_t *messages,
                                   apr_size_t count, apr_size_t *done,
                                   apr_interval_time_t timeout) {
    get_t g = {.receive = {.how = COHORT__RECEIVE_INTO}};
    apr_status_t status = cohort__queue_begin(queue, &g.call);
    if (status) return status;
    if (!done || (!messages && count)) return cohort__null(done ? "messages" : "done");
    for (*done = 0; !status && *done < count;) {
        if (!queue->joinable)
            *done += cohort__ring_get_run(&g.call, &queue->ring, messages + *done,
                                          cohort__ring_run_of(&queue->ring, count - *done));
        if (*done == count) break;
        status = get_into(&g, &messages[*done], *done ? 0 : timeout);
        *done += !status;
    }
    return *done ? APR_SUCCESS : status;
}

apr_status_t cohort_queue_get_many(cohort_queue_t *queue, cohort_message_t *messages,
                                   apr_size_t count, apr_size_t *done,
                                   apr_interval_time_t timeout) {
    return COHORT__CALL(queue_get_many(queue, messages, count, done, timeout));
}

static apr_status_t get_made(cohort_queue_t *queue, cohort__receive_how_t how, void **data,
                             apr_size_t *size, apr_interval_time_t timeout, apr_pool_t *pool) {
    get_t g = {.receive = {.how = how, .pool = pool}};
    apr_status_t status = cohort__queue_begin(queue, &g.call);
    if (status) return status;
    if (!data || !size) return cohort__null(data ? "size" : "data");
    status = get_slowly(&g, timeout);
    if (status) return status;
    *data = g.receive.data;
    *size = g.receive.size;
    return APR_SUCCESS;
}

static apr_status_t queue_get_copy(cohort_queue_t *queue, void **data, apr_size_t *size,
                                   apr_interval_time_t timeout, apr_pool_t *pool) {
    if (!pool) return cohort__null("pool");
    return get_made(queue, COHORT__RECEIVE_COPY, data, size, timeout, pool);
}

apr_status_t cohort_queue_get_copy(cohort_queue_t *queue, void **data, apr_size_t *size,
                                   apr_interval_time_t timeout, apr_pool_t *pool) {
    return COHORT__CALL(queue_get_copy(queue, data, size, timeout, pool));
}

apr_status_t cohort_queue_get_block(cohort_queue_t *queue, void **block, apr_size_t *size,
                                    apr_interval_time_t timeout) {
    return COHORT__CALL(get_made(queue, COHORT__RECEIVE_BLOCK, block, size, timeout, NULL));
}

/* ---- looking -------------------------------------------------------------------------------- */

/* What is asked of a live queue: how many messages are in it, whether none is, whether it is full,
 * whether it is closed. */
typedef enum { ASK_SIZE, ASK_EMPTY, ASK_FULL, ASK_CLOSED } ask_t;

static apr_status_t queue_ask(const cohort_queue_t *asked, ask_t what, apr_size_t *answer) {
    cohort_queue_t *queue = (cohort_queue_t *)asked;
    cohort__call_t call;
    apr_status_t status = cohort__queue_begin(queue, &call);
    if (status) return status;
    *answer = what == ASK_CLOSED ? is_queue_closed(queue) : 0;
    /* the messages of an unbounded one are counted under its guard */
    if (what == ASK_CLOSED || (what == ASK_FULL && !queue->ring.capacity)) return APR_SUCCESS;
    apr_size_t size = (apr_size_t)cohort__ring_count(&call, &queue->ring);
    *answer = what == ASK_SIZE    ? size
              : what == ASK_EMPTY ? size == 0
                                  : size >= queue->ring.capacity;
    return APR_SUCCESS;
}

apr_size_t cohort_queue_size(const cohort_queue_t *queue) {
    apr_size_t size = 0;
    (void)COHORT__CALL(queue_ask(queue, ASK_SIZE, &size));
    return size;
}

int cohort_queue_is_empty(const cohort_queue_t *queue) {
    apr_size_t empty = 1;
    (void)COHORT__CALL(queue_ask(queue, ASK_EMPTY, &empty));
    return (int)empty;
}

int cohort_queue_is_full(const cohort_queue_t *queue) {
    apr_size_t full = 0;
    (void)COHORT__CALL(queue_ask(queue, ASK_FULL, &full));
    return (int)full;
}

int cohort_queue_is_closed(const cohort_queue_t *queue) {
    apr_size_t closed = 1;
    (void)COHORT__CALL(queue_ask(queue, ASK_CLOSED, &closed));
    return (int)closed;
}

/* Would a get return at once? */
static bool has_something(const cohort__call_t *call, bool thorough) {
    get_t peek = {.call = *call, .receive = {.how = COHORT__RECEIVE_PEEK}};
    cohort__ring_t *ring = &cohort__queue_of(call)->ring;
    if (cohort__ring_state(ring) >= COHORT__RING_DISCARDING) return true;
    apr_status_t status = cohort__ring_get(call, ring, &peek.receive, thorough);
    if (status == APR_EAGAIN) look_for_producers(call, thorough);
    if (status == APR_EAGAIN && cohort__ring_state(ring)) status = get_the_last(&peek, thorough);
    return status != APR_EAGAIN;
}

unsigned cohort__queue_ready(const cohort__aim_t *aim, unsigned wanted, bool thorough) {
    const cohort__call_t call = {aim->me, aim->handle, aim->life};
    cohort_queue_t *queue = aim->handle;
    unsigned ready = 0;
    if (wanted & COHORT_READY_GONE) look_for_producers(&call, thorough);
    bool closed = is_queue_closed(queue);
    if (wanted & COHORT_READY_IN && has_something(&call, thorough)) ready |= COHORT_READY_IN;
    if (wanted & COHORT_READY_OUT &&
        (closed || cohort__ring_find_room(&call, &queue->ring, thorough) != APR_EAGAIN))
        ready |= COHORT_READY_OUT;
    if (wanted & COHORT_READY_GONE && closed) ready |= COHORT_READY_GONE;
    return cohort__call_over(&call) ? wanted : ready;
}

cohort__eventcount_t *cohort__queue_event(const cohort__aim_t *aim, unsigned wanted, int i) {
    cohort_queue_t *queue = aim->handle;
    return cohort__ring_event(&queue->ring, &queue->ring, wanted, i);
}

void cohort__queue_describe(const cohort__aim_t *aim, char *text, size_t size) {
    cohort_queue_t *queue = aim->handle;
    cohort__call_t call = {aim->me, aim->handle, aim->life};
    unsigned long n = (unsigned long)cohort__ring_count(&call, &queue->ring);
    snprintf(text, size, "%s queue with %lu message%s",
             is_queue_closed(queue) ? "a closed" : "an open", n, n == 1 ? "" : "s");
}

/* ---- the end -------------------------------------------------------------------------------- */

static apr_status_t queue_close(cohort_queue_t *queue) {
    cohort__call_t call;
    apr_status_t status = cohort__queue_begin(queue, &call);
    if (status) return status;
    cohort__ring_close(&call, &queue->ring, COHORT__RING_CLOSED);
    return APR_SUCCESS;
}

apr_status_t cohort_queue_close(cohort_queue_t *queue) {
    return COHORT__CALL_ANEW(queue_close(queue));
}

static apr_status_t drop_messages(const cohort__call_t *call, bool thorough) {
    cohort_queue_t *queue = cohort__queue_of(call);
    size_t dropped = 0;
    apr_status_t status = cohort__ring_drop(call, &queue->ring, thorough, &dropped);
    if (dropped && queue->joinable) cohort__notify(&queue->done, COHORT__ALL);
    return status;
}

/* As a get looks for the last message. */
apr_status_t cohort__queue_throw_away(const cohort__call_t *call, bool thorough) {
    apr_status_t status = drop_messages(call, thorough);
    if (status != APR_EAGAIN) return status;
    if (cohort__ring_is_drained(call, &cohort__queue_of(call)->ring, thorough)) return APR_SUCCESS;
    return thorough ? drop_messages(call, true) : APR_EAGAIN;
}

static apr_status_t try_discard(void *arg, bool thorough) {
    return cohort__queue_throw_away(arg, thorough);
}

/* If this process dies in the middle, the next thread that waits in a get, joins or discards goes
 * on. */
static apr_status_t queue_discard(cohort_queue_t *queue) {
    cohort__call_t call;
    apr_status_t status = cohort__queue_begin(queue, &call);
    if (status) return status;
    cohort__ring_close(&call, &queue->ring, COHORT__RING_DISCARDING);
    status = cohort__ring_await(&call, &queue->ring.items, try_discard, &call, COHORT_FOREVER);
    return cohort__call_over(&call) ? COHORT_EHANDLE : status;
}

apr_status_t cohort_queue_discard(cohort_queue_t *queue) {
    return COHORT__CALL_ANEW(queue_discard(queue));
}

static apr_status_t queue_destroy(cohort_queue_t *queue) {
    cohort__call_t call;
    if (!queue) return APR_SUCCESS;
    apr_status_t status = cohort__queue_begin(queue, &call);
    if (status == COHORT_EHANDLE && cohort__in_arena(queue, 1)) return APR_SUCCESS;
    if (status) return status;
    cohort__ring_owner_destroy(&call, COHORT__KIND_QUEUE);
    cohort__notify(&queue->done, COHORT__ALL);
    return APR_SUCCESS;
}

apr_status_t cohort_queue_destroy(cohort_queue_t *queue) {
    return COHORT__CALL_ANEW(queue_destroy(queue));
}
