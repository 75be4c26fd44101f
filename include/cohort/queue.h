/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/**
 * @file queue.h
 * Queues of messages between any number of processes and threads, as Python's
 * multiprocessing.Queue, JoinableQueue and SimpleQueue in one, without their feeder threads: what
 * put() returned from is in the queue.
 *
 * A message is any number of bytes, also none. Messages of one thread come out in the order in
 * which they went in. A cohort_queue_t pointer is valid in every process of the cohort, however it
 * got there.
 *
 * Deaths: a process killed during a put has put the whole message or nothing; one killed during a
 * get has received the whole message or left it in the queue, where it may then come later than its
 * turn. No thread waits for the dead.
 *
 * Thread safety: every function of this header may be called by any thread of any process of the
 * cohort at the same time as any other; none may be called from a signal handler.
 *
 * The common statuses, which any function may return to which they can apply:
 *  - COHORT_ENOTINIT: this process has not called cohort_initialize()
 *  - COHORT_ENOTMEMBER: this process is a raw fork() copy, or one that the others hold for dead
 *  - COHORT_EHANDLE: the pointer is not a queue, or no more; waits in progress end with it when the
 *    queue is destroyed
 *  - COHORT_ELIMIT: the cohort has too many threads
 *  - APR_EINVAL: NULL where something is needed
 */
#ifndef COHORT_QUEUE_H
#define COHORT_QUEUE_H

#include <cohort/errors.h>

#ifdef __cplusplus
extern "C" {
#endif

/** How a queue is; zero means default throughout. */
typedef struct cohort_queue_options_t {
    /** Messages that fit before put() waits, exactly; 0 = as many as the arena holds: the queue
     * grows by blocks of some 32 KiB, which it gives back as it is emptied, but for the one in use
     * and one to spare. */
    apr_size_t capacity;
    /** Bytes per message that are kept in the queue itself; larger messages take a block of the
     * arena each. A hint for speed and memory only (rounded up, at most 65536); 0 = 64. */
    apr_size_t message_size;
    /** Not 0: task_done() and join() can be used. Costs each get() an entry in a list. */
    int joinable;
    /** Its producers: an end of a pipe; they are the processes that hold this end (pipe.h), which
     * they are given and close as any other. When no process holds it any more and the queue is
     * empty, a get is APR_EOF; what producers that died had put comes before. A put does not ask
     * whether the caller is one of them, and is COHORT_ECLOSED once a get has found that none is
     * left. Messages may go through the pipe as well; it can be declared for one queue. NULL: any
     * process may always put something. */
    cohort_connection_t *producers;
    apr_uint64_t reserved[8]; /**< all 0; else COHORT_EOPTION */
} cohort_queue_options_t;

/**
 * Make a queue in the arena.
 *
 * @param queue   receives it
 * @param options NULL for the defaults
 * @param pool    the queue is destroyed with it, by the process that made it only (a forked copy of
 *                the pool does not); NULL: it lives until cohort_queue_destroy()
 * @return
 *  - APR_SUCCESS
 *  - COHORT_EOPTION: a reserved word of the options is not 0
 *  - APR_ENOMEM: the arena is full, or the capacity is beyond any arena
 *  - COHORT_EHANDLE: `producers` is no end of a pipe
 *  - APR_EINVAL: `producers` is an end of a pipe that was declared for another queue
 *  - the common statuses of queue.h
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_queue_create(cohort_queue_t **queue,
                                                             const cohort_queue_options_t *options,
                                                             apr_pool_t *pool);

/**
 * Put a copy of a message.
 *
 * @param queue   the queue
 * @param data    its bytes; may be NULL when size is 0
 * @param size    how many
 * @param timeout how long to wait for room, in microseconds (see types.h)
 * @return
 *  - APR_SUCCESS: the message is in the queue; with anything else nothing was put
 *  - APR_EAGAIN: full, and `timeout` <= 0
 *  - APR_TIMEUP: still full
 *  - APR_ENOMEM: the arena has no room
 *  - COHORT_ECLOSED: the queue is closed, or was during the call
 *  - COHORT_EDAMAGED: a process has written over the queue's memory
 *  - the common statuses of queue.h
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_queue_put(cohort_queue_t *queue, const void *data,
                                                          apr_size_t size,
                                                          apr_interval_time_t timeout);

/**
 * Put a block that cohort_alloc() made, without copying it.
 *
 * @param queue   the queue
 * @param block   the whole block belongs to the queue after APR_SUCCESS, and to the caller still
 *                after anything else
 * @param size    bytes of it that are the message
 * @param timeout how long to wait for room, in microseconds (see types.h)
 * @return as cohort_queue_put(), and
 *  - COHORT_EFREE: not a block in use
 *  - APR_EINVAL: `size` is more than the block has
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_queue_put_block(cohort_queue_t *queue, void *block,
                                                                apr_size_t size,
                                                                apr_interval_time_t timeout);

/**
 * Take the next message into a buffer of the caller.
 *
 * @param queue    the queue
 * @param buffer   receives the bytes; what lies behind them is not touched. May be NULL when
 *                 `capacity` is 0.
 * @param capacity the buffer's bytes
 * @param size     receives the message's bytes, with APR_SUCCESS and with COHORT_ETOOSMALL only;
 *                 not NULL
 * @param timeout  how long to wait for a message, in microseconds (see types.h)
 * @return
 *  - APR_SUCCESS: the message has been taken
 *  - COHORT_ETOOSMALL: the buffer is too small; the message is still the next
 *  - APR_EAGAIN: nothing to be had at once, and `timeout` <= 0
 *  - APR_TIMEUP: nothing to be had meanwhile
 *  - APR_EOF: nothing is in it, and no producer is left (`producers` of its options)
 *  - COHORT_ECLOSED: the queue is closed, nothing is in it, and no thread is in the middle of a put
 *    or a get; so it will be for ever
 *  - APR_ENOMEM: for joinable queues only; the message is still there
 *  - COHORT_EDAMAGED: a process has written over the queue's memory; a message that cannot
 *    be made sense of is dropped
 *  - the common statuses of queue.h
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_queue_get(cohort_queue_t *queue, void *buffer,
                                                          apr_size_t capacity, apr_size_t *size,
                                                          apr_interval_time_t timeout);

/**
 * Take the next message as a copy in a pool, with a zero byte behind it that is not counted.
 *
 * @param queue   the queue
 * @param data    receives the copy, which lives as long as `pool`
 * @param size    receives the message's bytes
 * @param timeout how long to wait for a message, in microseconds (see types.h)
 * @param pool    not NULL
 * @return as cohort_queue_get(), but never COHORT_ETOOSMALL; APR_ENOMEM: no room, and the message
 *         is still there
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_queue_get_copy(cohort_queue_t *queue, void **data,
                                                               apr_size_t *size,
                                                               apr_interval_time_t timeout,
                                                               apr_pool_t *pool);

/**
 * Take the next message as a block of the arena. Large messages are not copied.
 *
 * @param queue   the queue
 * @param block   receives the block, which is the caller's: cohort_free() releases it
 * @param size    receives the message's bytes
 * @param timeout how long to wait for a message, in microseconds (see types.h)
 * @return as cohort_queue_get_copy()
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_queue_get_block(cohort_queue_t *queue, void **block,
                                                                apr_size_t *size,
                                                                apr_interval_time_t timeout);

/**
 * Take the next message into a buffer of the caller, and be told whether it comes out of turn.
 *
 * @param queue   the queue
 * @param message in: a buffer and its capacity; out: the message's size, and whether it came back
 *                from a process that died getting it
 * @param timeout how long to wait for a message, in microseconds (see types.h)
 * @return as cohort_queue_get()
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_queue_get_message(cohort_queue_t *queue,
                                                                  cohort_message_t *message,
                                                                  apr_interval_time_t timeout);

/**
 * Put several messages, waiting for room for each.
 *
 * @param queue    the queue
 * @param messages what to put; may be NULL when `count` is 0
 * @param count    how many
 * @param done     receives how many were put, whatever is returned; they are the first ones. Not
 *                 written when the queue or `messages` itself is refused (a common status).
 * @param timeout  how long to wait for room, in microseconds (see types.h), for each message anew
 * @return APR_SUCCESS: all were put; else as cohort_queue_put(), for the first that was not put
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_queue_put_many(cohort_queue_t *queue,
                                                               const cohort_message_t *messages,
                                                               apr_size_t count, apr_size_t *done,
                                                               apr_interval_time_t timeout);

/**
 * Take several messages: wait for one, then take as many more as are there.
 *
 * @param queue    the queue
 * @param messages in: buffers and their capacities; out: of those that were taken as
 *                 cohort_queue_get_message(). May be NULL when `count` is 0.
 * @param count    how many at most
 * @param done     receives how many were taken, as cohort_queue_put_many()
 * @param timeout  how long to wait for the first, in microseconds (see types.h)
 * @return APR_SUCCESS: at least one was taken, or `count` is 0 (COHORT_ETOOSMALL of a later one
 *         shows when it is the first of the next call); else as cohort_queue_get()
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_queue_get_many(cohort_queue_t *queue,
                                                               cohort_message_t *messages,
                                                               apr_size_t count, apr_size_t *done,
                                                               apr_interval_time_t timeout);

/**
 * How many messages are in the queue; exact while no thread puts or gets (Python's qsize).
 *
 * @param queue the queue
 * @return their number, also of a closed queue; 0 for what is no live queue
 */
COHORT_API apr_size_t cohort_queue_size(const cohort_queue_t *queue);

/**
 * Is nothing in it?
 *
 * @param queue the queue
 * @return 1 or 0, also of a closed queue; 1 for what is no live queue
 */
COHORT_API int cohort_queue_is_empty(const cohort_queue_t *queue);

/**
 * Is a bounded queue full? Others never are.
 *
 * @param queue the queue
 * @return 1 or 0, also of a closed queue; 0 for what is no live queue
 */
COHORT_API int cohort_queue_is_full(const cohort_queue_t *queue);

/**
 * Has it been closed, or discarded?
 *
 * @param queue the queue
 * @return 1 or 0; 1 also for what is no live queue
 */
COHORT_API int cohort_queue_is_closed(const cohort_queue_t *queue);

/**
 * Close the queue for all processes: nothing more goes in, and what is in it still comes out.
 *
 * Every later put is COHORT_ECLOSED, and so is one that waits for room. A put that is under way has
 * put its message, which is then got before any get says COHORT_ECLOSED, or is COHORT_ECLOSED
 * itself. A get takes what there is. It says COHORT_ECLOSED when the queue is empty and no process
 * is in the middle of a put or a get; until then it waits as long as its time-out lets it, for a
 * process that dies in the middle of a get gives its message back to those that wait. So processes
 * that get until COHORT_ECLOSED have had every message between them.
 *
 * join() goes on waiting until every message that was put has been dealt with, and task_done(),
 * size() and the others work on.
 *
 * @param queue the queue; closing again does nothing
 * @return APR_SUCCESS, or one of the common statuses of queue.h
 */
COHORT_API apr_status_t cohort_queue_close(cohort_queue_t *queue);

/**
 * Close the queue for all processes, and throw away what is in it. For join() those messages have
 * been dealt with.
 *
 * Waits only for calls that are copying a message right now: one that is got is its getter's, one
 * that is put is thrown away. After it the queue is empty, and every get is COHORT_ECLOSED. When
 * the process dies in the middle of it, the queue is closed or is not; if it is, some of its
 * messages may still be in it: a get may take them, and a get that waits, a join() or another
 * discard throws them away.
 *
 * @param queue the queue, which may be closed; discarding again does nothing
 * @return
 *  - APR_SUCCESS
 *  - COHORT_EDAMAGED: a process has written over the queue's memory; a message that cannot be
 *    made sense of is dropped, and what is behind it is there for another discard
 *  - the common statuses of queue.h
 */
COHORT_API apr_status_t cohort_queue_discard(cohort_queue_t *queue);

/**
 * Say that one message of a joinable queue has been dealt with.
 *
 * When a process ends without saying so for what it got, those messages count as dealt with.
 *
 * @param queue the queue, which may be closed
 * @return
 *  - APR_SUCCESS
 *  - COHORT_EOVERRELEASE: more often than messages were put
 *  - APR_EINVAL: the queue is not joinable
 *  - the common statuses of queue.h
 */
COHORT_API apr_status_t cohort_queue_task_done(cohort_queue_t *queue);

/**
 * Wait until every message that was put has been dealt with.
 *
 * @param queue   the queue, which may be closed
 * @param timeout microseconds (see types.h)
 * @return
 *  - APR_SUCCESS: nothing is left to be done
 *  - APR_EAGAIN: something is, and `timeout` <= 0
 *  - APR_TIMEUP: something is still
 *  - APR_EINVAL: the queue is not joinable
 *  - the common statuses of queue.h
 */
COHORT_API apr_status_t cohort_queue_join(cohort_queue_t *queue, apr_interval_time_t timeout);

/**
 * Destroy the queue for all processes and free what is in it.
 *
 * A call that waits in it returns COHORT_EHANDLE. Waits only for calls that are copying a message
 * right now.
 *
 * @param queue the queue; NULL, or one that is destroyed already, is fine
 * @return
 *  - APR_SUCCESS
 *  - COHORT_EHANDLE: not in the arena at all
 *  - the other common statuses of queue.h
 */
COHORT_API apr_status_t cohort_queue_destroy(cohort_queue_t *queue);

#ifdef __cplusplus
}
#endif

#endif
