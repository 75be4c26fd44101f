/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/**
 * @file pipe.h
 * Pipes of messages between two ends, as Python's multiprocessing.Pipe().
 *
 * A message is any number of bytes, also none; messages never merge or split. Each end is a
 * cohort_connection_t, a pointer valid in every process of the cohort. An end is *held* by
 * processes: its creator holds both; a process that is started with an end among its options holds
 * it before start returns; and a process that uses an open end holds it from then on.
 * cohort_connection_close() gives up the calling process' hold, and the end of a process, however
 * it ends, gives up all of its. An end that no process holds is closed for good, and the other side
 * reads what is still there and then APR_EOF. A pipe both ends of which are closed is freed.
 *
 * So a parent closes the child's end right after start, as with POSIX pipes:
 *
 *     cohort_pipe_create(&mine, &its, NULL, pool);
 *     cohort_process_options_t o = {.connections = &its, .n_connections = 1};
 *     cohort_process_create(&child, target, &its, sizeof its, &o, pool);
 *     cohort_process_start(child);
 *     cohort_connection_close(its);
 *
 * Deaths: a process killed in the middle of a send has sent the whole message or nothing; one
 * killed in a receive has received it whole or left it for the other holders of that end.
 *
 * Thread safety: every function of this header may be called by any thread of any process of the
 * cohort at the same time as any other; none may be called from a signal handler.
 *
 * The common statuses, which any function may return to which they can apply:
 *  - COHORT_ENOTINIT: this process has not called cohort_initialize()
 *  - COHORT_ENOTMEMBER: this process is a raw fork() copy, or one that the others hold for dead
 *  - COHORT_EHANDLE: the pointer is no end of a pipe, or no more, because both ends were closed
 *  - COHORT_ELIMIT: the cohort has too many threads
 *  - APR_EINVAL: NULL where something is needed
 *
 * Those that use an end, to send, receive or poll, may also return:
 *  - COHORT_ECLOSED: this process has closed the end, or all have
 *  - APR_ENOMEM: the arena has no room to note that this process holds the end, which it uses for
 *    the first time
 *  - COHORT_EDAMAGED: a process has written over the pipe's memory; a message that cannot
 *    be made sense of is dropped
 */
#ifndef COHORT_PIPE_H
#define COHORT_PIPE_H

#include <cohort/errors.h>

#ifdef __cplusplus
extern "C" {
#endif

/** How a pipe is; zero means default throughout. */
typedef struct cohort_pipe_options_t {
    /** Not 0: the first end only receives, the second only sends (Python's duplex=False). */
    int one_way;
    /** Messages on their way in one direction before send() waits; 0 = 64. */
    apr_size_t messages;
    /** Bytes on their way in one direction before send() waits; 0 = 1 MiB. One message may always
     * be on its way, however large. */
    apr_size_t bytes;
    apr_uint64_t reserved[8]; /**< all 0; else COHORT_EOPTION */
} cohort_pipe_options_t;

/**
 * Make a pipe. The calling process holds both ends.
 *
 * @param first   receives one end
 * @param second  receives the other end
 * @param options NULL for the defaults
 * @param pool    when it is destroyed, by the process that made the pipe only, that process' holds
 *                on both ends are given up; may be NULL
 * @return
 *  - APR_SUCCESS
 *  - COHORT_EOPTION: a reserved word of the options is not 0
 *  - APR_ENOMEM: the arena is full
 *  - the common statuses of pipe.h
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_pipe_create(cohort_connection_t **first,
                                                            cohort_connection_t **second,
                                                            const cohort_pipe_options_t *options,
                                                            apr_pool_t *pool);

/**
 * Send a copy of a message to the other end.
 *
 * @param connection an end that can send
 * @param data       its bytes; may be NULL when size is 0
 * @param size       how many
 * @param timeout    how long to wait for room, in microseconds (see types.h)
 * @return
 *  - APR_SUCCESS: the message was sent; with anything else nothing was
 *  - APR_EAGAIN: no room, and `timeout` <= 0
 *  - APR_TIMEUP: still none
 *  - APR_EOF: no process holds the other end any more
 *  - APR_ENOMEM: the arena is full
 *  - COHORT_EDIRECTION: this end only receives
 *  - the common statuses of pipe.h
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_connection_send(cohort_connection_t *connection,
                                                                const void *data, apr_size_t size,
                                                                apr_interval_time_t timeout);

/**
 * Receive the next message into a buffer of the caller.
 *
 * @param connection an end that can receive
 * @param buffer     receives the bytes; what lies behind them is not touched. May be NULL when
 *                   `capacity` is 0.
 * @param capacity   the buffer's bytes
 * @param size       receives the message's bytes, with APR_SUCCESS and with COHORT_ETOOSMALL only;
 *                   not NULL
 * @param timeout    how long to wait for a message, in microseconds (see types.h)
 * @return
 *  - APR_SUCCESS: the message has been taken
 *  - COHORT_ETOOSMALL: the buffer is too small; the message is still the next
 *  - APR_EAGAIN: nothing there, and `timeout` <= 0
 *  - APR_TIMEUP: still nothing
 *  - APR_EOF: nothing there, and no process holds the other end any more
 *  - COHORT_EDIRECTION: this end only sends
 *  - the common statuses of pipe.h
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_connection_recv(cohort_connection_t *connection,
                                                                void *buffer, apr_size_t capacity,
                                                                apr_size_t *size,
                                                                apr_interval_time_t timeout);

/**
 * Receive the next message into a buffer of the caller, and be told whether it comes out of turn.
 *
 * @param connection an end that can receive
 * @param message    in: a buffer and its capacity; out: the message's size, and whether it came
 *                   back from a process that died receiving it
 * @param timeout    how long to wait for a message, in microseconds (see types.h)
 * @return as cohort_connection_recv()
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_connection_recv_message(
    cohort_connection_t *connection, cohort_message_t *message, apr_interval_time_t timeout);

/**
 * Receive the next message as a copy in a pool, with a zero byte behind it that is not counted.
 *
 * @param connection an end that can receive
 * @param data       receives the copy, which lives as long as `pool`
 * @param size       receives the message's bytes
 * @param timeout    how long to wait for a message, in microseconds (see types.h)
 * @param pool       not NULL
 * @return as cohort_connection_recv(), but never COHORT_ETOOSMALL; APR_ENOMEM: no room for the
 *         copy, and the message is still there
 */
COHORT_NODISCARD COHORT_API apr_status_t
cohort_connection_recv_copy(cohort_connection_t *connection, void **data, apr_size_t *size,
                            apr_interval_time_t timeout, apr_pool_t *pool);

/**
 * Receive the next message as a block of the arena. Large messages are not copied.
 *
 * @param connection an end that can receive
 * @param block      receives the block, which is the caller's: cohort_free() releases it
 * @param size       receives the message's bytes
 * @param timeout    how long to wait for a message, in microseconds (see types.h)
 * @return as cohort_connection_recv(), but never COHORT_ETOOSMALL; APR_ENOMEM: no room for the
 *         block, and the message is still there
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_connection_recv_block(
    cohort_connection_t *connection, void **block, apr_size_t *size, apr_interval_time_t timeout);

/**
 * Wait until there is a message, also an empty one, without taking it.
 *
 * @param connection an end that can receive
 * @param timeout    how long to wait for a message, in microseconds (see types.h)
 * @return
 *  - APR_SUCCESS: a receive would have found a message
 *  - APR_EAGAIN: nothing there, and `timeout` <= 0
 *  - APR_TIMEUP: still nothing
 *  - APR_EOF: nothing there, and no process holds the other end any more
 *  - COHORT_EDIRECTION: this end only sends
 *  - the common statuses of pipe.h
 */
COHORT_API apr_status_t cohort_connection_poll(cohort_connection_t *connection,
                                               apr_interval_time_t timeout);

/**
 * Close the end for this process: give up its hold. Nothing more goes in here; what is in still
 * comes out at the other end.
 *
 * A call that waits on it in this process returns COHORT_ECLOSED. A child that was started by fork
 * holds only what its start options gave it, so it need not close the rest.
 *
 * @param connection the end; doing it again, or after the pipe is gone, or with NULL, is fine
 * @return
 *  - APR_SUCCESS
 *  - APR_ENOMEM: the arena has no room to note it
 *  - COHORT_EHANDLE: not in the arena at all
 *  - the other common statuses of pipe.h
 */
COHORT_API apr_status_t cohort_connection_close(cohort_connection_t *connection);

/**
 * Can this end receive?
 *
 * @param connection the end; NULL is fine
 * @return 1 or 0; 0 also for what is no end of a pipe, and when this process has closed it
 */
COHORT_API int cohort_connection_is_readable(const cohort_connection_t *connection);

/**
 * Can this end send?
 *
 * @param connection the end; NULL is fine
 * @return 1 or 0; 0 also for what is no end of a pipe, and when this process has closed it
 */
COHORT_API int cohort_connection_is_writable(const cohort_connection_t *connection);

#ifdef __cplusplus
}
#endif

#endif
