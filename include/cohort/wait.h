/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/**
 * @file wait.h
 * Wait for any or all of several things: processes, results, imaps, runners and their runs,
 * queues, connections, events, semaphores, barriers, sockets and descriptors, of any number and
 * mixed. Wait sets (waitset.h) wait for the same again and again, and for very many.
 *
 * Thread safety: cohort_wait() may be called by any thread of any process of the cohort at the same
 * time as anything else, not from a signal handler. Its items are the caller's: no other thread may
 * use them meanwhile.
 */
#ifndef COHORT_WAIT_H
#define COHORT_WAIT_H

#include <cohort/types.h>

#include <apr_file_io.h>
#include <apr_network_io.h>
#include <apr_portable.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * What one can wait for: bits of `wanted` and `ready`. Which of them a type has:
 *
 * | type | COHORT_READY_END | COHORT_READY_IN | COHORT_READY_OUT | COHORT_READY_GONE |
 * | --- | --- | --- | --- | --- |
 * | process | it has ended | | | |
 * | result | it is done | | | |
 * | imap | | an item, or the end, is there | | |
 * | run (run.h) | it has ended | | | |
 * | runner | | cohort_runner_next() would return at once | | |
 * | queue | | a get would return at once | a put would return at once | it is closed |
 * | connection | | a receive would return at once | a send would return at once | no process has the other end any more, or this process has closed its own |
 * | event | | it is set | | |
 * | semaphore | | a permit is free | | |
 * | barrier | | | | it is broken |
 * | socket, file, descriptor | | it is readable, or at its end, or a connection waits | it is writable | the other side has hung up, or it has an error |
 *
 * A call "would return at once" with a message or room for a small one, and also when it would say
 * that there will be none (`COHORT_ECLOSED`, `APR_EOF`), so a wait for COHORT_READY_IN ends when a
 * queue is closed and empty. Another process may be quicker: what is ready when this one looks may
 * be taken when it comes, so get with a time-out of 0 then, and wait again after `APR_EAGAIN`.
 *
 * When `wanted` is 0, COHORT_READY_END is meant for processes, results and runs, COHORT_READY_GONE
 * for barriers, COHORT_READY_IN for the rest.
 *
 * Sockets, files and descriptors are what a pollset of APR tells of: sockets on every system, the
 * blocking and events of which (WSAEventSelect()), stay as they are; pipes, terminals and raw
 * descriptors where the system polls them as it does sockets (POSIX). The file of a disk is always
 * ready, and some systems poll none (EPERM on Linux). One with a hang-up or an error is ready with
 * all that was wanted of it, since no call would wait.
 *
 * On Windows a descriptor is a HANDLE, in any number (no limit of 64), and nothing is taken of it:
 *
 * | HANDLE | COHORT_READY_IN | how it is waited for |
 * | --- | --- | --- |
 * | process, thread, manual-reset event, console input, any other that can be waited for | it is signalled | by the system's thread pool; the handle needs the right SYNCHRONIZE, an event EVENT_QUERY_STATE, too, else APR_EACCES |
 * | auto-reset event, semaphore, mutex, waitable timer | it is signalled, and free to be had | its state is looked at every 10 to 16 ms, since a wait of the system's would take it; the handle needs the right to query it (EVENT_QUERY_STATE ...), else APR_EACCES |
 * | a pipe's end that is read | there are bytes, or no process has the other end | the same; no other thread may be in a read or write of it, unless that is overlapped, or a look lasts as long as that |
 * | file of a disk, null device, console output, any other character device (a serial line), of which nothing tells | always | |
 * | SOCKET | as a socket of APR's | by a poll |
 *
 * COHORT_READY_OUT of a pipe is APR_ENOTIMPL there, since nothing tells of its room. What the first
 * two rows name has neither COHORT_READY_OUT nor COHORT_READY_GONE: APR_ENOTIMPL.
 *
 * To wait for anything else is APR_ENOTIMPL.
 */
typedef enum {
    COHORT_READY_END = 1, /**< The process or run has ended; the result is done. */
    COHORT_READY_IN = 2,  /**< There is something to get; the event is set; a permit is free. */
    COHORT_READY_OUT = 4, /**< There is room to put something. */
    COHORT_READY_GONE = 8 /**< The other side is gone; it is closed, or broken. */
} cohort_ready_t;

/**
 * One thing to wait for. Zero means the default for all but `object`:
 *
 *     cohort_waitable_t items[] = {{.object = process}, {.object = result}};
 */
typedef struct cohort_waitable_t {
    void *object;         /**< A process, a result, or an object of another type. */
    unsigned wanted;      /**< Bits of cohort_ready_t; 0: what one usually waits for. */
    unsigned ready;       /**< Set by cohort_wait(): those of them that were seen; or 0. */
    apr_socket_t *socket; /**< When `object` is NULL: a socket of APR. */
    apr_file_t *file;     /**< When `object` is NULL: a pipe or terminal of APR's. */
    /** When `object` is NULL: where a descriptor (POSIX) or HANDLE (Windows) is. */
    const apr_os_file_t *descriptor;
    void *data;               /**< The caller's own; not looked at. */
    apr_uint64_t reserved[2]; /**< All 0; else COHORT_EOPTION. */
} cohort_waitable_t;

/** How many of the items to wait for. */
typedef enum {
    COHORT_WAIT_ANY, /**< until at least one is ready */
    COHORT_WAIT_ALL, /**< until every one is, at one time */
    /** Until one has failed, or every one is ready: a process with an exit code other than 0, a
     * result of which a task failed or that was ended, a run that has not succeeded. Things of
     * other types do not fail. */
    COHORT_WAIT_FAILURE
} cohort_wait_mode_t;

/**
 * Wait for any number of items, of any types. An item is ready when one of the conditions that are
 * wanted of it holds.
 *
 * Nothing is taken, and what holds is told again by the next call (level-triggered): what has ended
 * or is done stays ready, so leave it out then, as after Python's
 * multiprocessing.connection.wait(), which this resembles (Win32: WaitForMultipleObjects(), without
 * its limit of 64). An event that is set and cleared at once may be missed; cohort_event_wait()
 * does not miss it. What is destroyed during the wait is ready, with all that was wanted of it (the
 * next call on it is COHORT_EHANDLE), whatever is made at the same address meanwhile. The same
 * thing may be in several items; they say the same of it.
 *
 * A signal does not end the wait. Another thread, or process, does by an event among the items; for
 * one that a signal's handler can end, use a wait set and cohort_waitset_interrupt().
 *
 * Up to 32 objects are waited for without an allocation of memory. The time that a call takes
 * grows with the number of its items, and no faster. Sockets and descriptors among them make it a
 * wait set for the time of the call: a loop should have one of its own.
 *
 * @param items   their `ready` say on return which of them are ready, with APR_SUCCESS,
 *                APR_EAGAIN and APR_TIMEUP; may be NULL when `n` is 0
 * @param n       their number; with 0 it succeeds at once
 * @param mode    for any of them, or for all
 * @param timeout microseconds (see types.h)
 * @return
 *  - APR_SUCCESS: one (ANY) or all (ALL) are ready, or one has failed (FAILURE)
 *  - APR_EAGAIN: they are not, and `timeout` <= 0
 *  - APR_TIMEUP: they were not, within the time
 *  - APR_EINVAL: `items` is NULL, an item names nothing or more than one thing, or the mode is none
 *  - APR_ENOTIMPL: nothing waits for things of this type, or for this condition of them;
 *    cohort_last_error() names the item, what it is, and the condition
 *  - COHORT_EOPTION: `wanted` has a bit that this version does not know, or a word of `reserved`
 *    is not 0
 *  - COHORT_EHANDLE: an `object` is no live object
 *  - COHORT_ENOTSTARTED: a process was never started
 *  - COHORT_EDIRECTION: COHORT_READY_IN of a connection that only sends, COHORT_READY_OUT of one
 *    that only receives
 *  - COHORT_ECLOSED: this process has closed the connection
 *  - COHORT_ENOWAIT: an item is the calling process itself
 *  - APR_EBADF: a file, socket or descriptor is not open
 *  - APR_EACCES: of a HANDLE (Windows) the state may not be looked at
 *  - APR_ENOMEM: no memory for more than 32 items
 *  - COHORT_ENOTINIT: cohort_initialize() has not been called
 *  - what a poll fails with, when a socket, file or descriptor is among the items
 *  - COHORT_ENOTMEMBER: called in a raw fork() copy
 *  - COHORT_ELIMIT: the cohort has too many threads
 */
COHORT_API apr_status_t cohort_wait(cohort_waitable_t *items, apr_size_t n, cohort_wait_mode_t mode,
                                    apr_interval_time_t timeout);

#ifdef __cplusplus
}
#endif

#endif
