/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/**
 * @file waitset.h
 * Wait sets: wait again and again for many things, at the cost of those that become ready; and have
 * a descriptor that an event loop polls for all of them.
 *
 * A set remembers its items between the waits, as epoll and kqueue do, and as `selectors` does in
 * Python. A wait does not look at all of them, but at those of which something was heard since the
 * last one, so it takes the same time with 10 and with 10,000 items. cohort_wait() (wait.h) is the
 * simpler call for a few things, and for all of several.
 *
 * A set belongs to the process that has made it; in a child of any start method the pointer is
 * no live set. It is memory of that process alone: a process that dies with its sets, or with their
 * descriptors, leaves nothing behind.
 *
 * Thread safety: a set is used by one thread at a time; a call that comes while another thread is
 * in one is APR_EBUSY. cohort_waitset_interrupt() may be called by any thread at any time, and in
 * signal handlers, as long as the set is not being destroyed. Sets differ from one another: each
 * thread may have its own.
 *
 * The common statuses, which any function may return to which they can apply:
 *  - COHORT_EHANDLE: the pointer is no live wait set of this process
 *  - APR_EBUSY: another thread is in a call on the set
 *  - APR_EINVAL: NULL where something is needed
 *  - COHORT_ENOTINIT: this process has not called cohort_initialize()
 *  - COHORT_ENOTMEMBER: this process is a raw fork() copy of a member
 *  - COHORT_ELIMIT: the cohort has too many threads
 */
#ifndef COHORT_WAITSET_H
#define COHORT_WAITSET_H

#include <cohort/wait.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Things that are waited for together, again and again. */
typedef struct cohort_waitset_t cohort_waitset_t;

/**
 * Make a set without items.
 *
 * @param set  receives it
 * @param pool the set is destroyed with it, by this process; NULL: it lives until it is destroyed
 * @return
 *  - APR_SUCCESS
 *  - APR_ENOMEM: no memory
 *  - the common statuses of waitset.h
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_waitset_create(cohort_waitset_t **set,
                                                               apr_pool_t *pool);

/**
 * Have one more item in the set.
 *
 * A thing may be added twice, with different conditions or data; each of these items says what
 * holds of it. An object that is destroyed stays in the set, and is ready with all that was wanted
 * of it, whatever is made in its place, until it is removed. A socket, file, descriptor or HANDLE
 * must be removed before it is closed, as from a pollset of APR; a wait looks at each file and
 * HANDLE of Windows (wait.h), so it takes longer the more of these there are.
 *
 * @param set  the set
 * @param item what to wait for, and the caller's data; copied. `ready` is not looked at
 * @return
 *  - APR_SUCCESS
 *  - what cohort_wait() answers to such an item: APR_EINVAL, APR_ENOTIMPL, COHORT_EOPTION,
 *    COHORT_EHANDLE, COHORT_ENOTSTARTED, COHORT_EDIRECTION, COHORT_ECLOSED, COHORT_ENOWAIT,
 *    APR_EBADF, APR_EACCES
 *  - APR_ENOTIMPL: a socket, file or descriptor, and the set has a descriptor of its own: the loop
 *    that polls that one can poll this one, too
 *  - APR_ENOMEM: no memory
 *  - the common statuses of waitset.h
 */
COHORT_API apr_status_t cohort_waitset_add(cohort_waitset_t *set, const cohort_waitable_t *item);

/**
 * Have a thing in the set no more: all items that name the same object, socket, file or descriptor.
 *
 * @param set  the set
 * @param item names the thing; all else of it is not looked at
 * @return
 *  - APR_SUCCESS
 *  - APR_NOTFOUND: it is not in the set
 *  - APR_EINVAL: it names nothing, or more than one thing
 *  - the common statuses of waitset.h
 */
COHORT_API apr_status_t cohort_waitset_remove(cohort_waitset_t *set, const cohort_waitable_t *item);

/**
 * Wait until an item is ready, and have those that are.
 *
 * Level-triggered: nothing is taken, and what holds is told again by the next call. Of more than
 * `most` items that are ready, those come first which were told the longest time ago. What of one
 * item was seen may have changed by the time another one is looked at, or the caller acts: another
 * process may be quicker, so get with a time-out of 0, as after cohort_wait().
 *
 * @param set     the set; with no item in it the call waits all the same
 * @param ready   receives up to `most` items as they were added, with `ready` set
 * @param most    how many at most; not 0
 * @param n       receives how many
 * @param timeout microseconds (see types.h)
 * @return
 *  - APR_SUCCESS: *n items are ready, at least one
 *  - APR_EAGAIN: none is, and `timeout` <= 0
 *  - APR_TIMEUP: none was, within the time
 *  - APR_EINTR: cohort_waitset_interrupt() was called
 *  - what a poll fails with, when a socket, file or descriptor is in the set
 *  - the common statuses of waitset.h
 */
COHORT_API apr_status_t cohort_waitset_wait(cohort_waitset_t *set, cohort_waitable_t *ready,
                                            apr_size_t most, apr_size_t *n,
                                            apr_interval_time_t timeout);

/**
 * End the wait on the set that is under way, or else the next one, with APR_EINTR.
 *
 * This is how another thread stops one that waits, and how a signal of the host's choice does: a
 * wait goes on after a signal, unless its handler calls this. Several calls before the wait has
 * ended are one.
 *
 * Thread safety: may be called by any thread, and in a signal handler (it changes no errno). The
 * set must not be destroyed meanwhile, and is not checked.
 *
 * @param set the set; with NULL nothing happens
 */
COHORT_API void cohort_waitset_interrupt(cohort_waitset_t *set);

/**
 * What an event loop polls for the set: a descriptor for poll(), epoll, kqueue, libuv (uv_poll_t),
 * GLib (g_unix_fd_add()) or a pollset of APR; on Windows a HANDLE for WaitForMultipleObjects() or
 * RegisterWaitForSingleObject(), from which a completion port or uv_async_send() can be reached.
 *
 * It is readable when an item may be ready, and stays so until a call of cohort_waitset_wait() has
 * found none. So, level-triggered: when it is readable, call that with a time-out of 0, do what the
 * items ask for, and poll again. It must be neither read nor closed; it is the set's, is the same
 * for its whole life, and no child inherits it but a copy made by fork.
 *
 * While it is polled and nothing happens, that costs nothing: a thread of the library's sleeps for
 * all sets of this process that have one (and for waits that have both sockets and objects as
 * items), on what the cohort notifies in any case. A put or get of a queue that is in no set is as
 * it was.
 *
 * @param set        the set; without sockets, files and descriptors, which the loop polls by itself
 * @param descriptor receives the descriptor or HANDLE
 * @return
 *  - APR_SUCCESS
 *  - APR_ENOTIMPL: a socket, file or descriptor is in the set
 *  - what the system answers when it has no descriptor left
 *  - the common statuses of waitset.h
 */
COHORT_API apr_status_t cohort_waitset_descriptor(cohort_waitset_t *set, apr_os_file_t *descriptor);

/**
 * Have one thing in an event loop: a set of it alone, and what the loop polls for it.
 *
 *     cohort_waitset_of(&set, &descriptor, queue, COHORT_READY_IN, pool);
 *     ... the loop polls `descriptor`, and when it is readable:
 *     while (cohort_waitset_ready(set) && take(queue)) ...
 *
 * where take() gets with a time-out of 0 and says whether the loop goes on: not after
 * `COHORT_ECLOSED`, since a queue that is closed and empty stays ready for ever.
 *
 * This is cohort_waitset_create(), _add() and _descriptor() in one call, of which all is undone
 * when one fails; the set is one as any other, and more may be added to it. It goes with `pool`, or
 * by cohort_waitset_destroy(), and its descriptor with it.
 *
 * @param set        receives it; as it was when this fails
 * @param descriptor receives the descriptor or HANDLE (see cohort_waitset_descriptor()); the same
 * @param object     the thing: an object, not a socket, a file or a descriptor
 * @param wanted     bits of cohort_ready_t; 0: what one usually waits for
 * @param pool       the set is destroyed with it, by this process; NULL: it lives until it is
 *                   destroyed
 * @return
 *  - APR_SUCCESS
 *  - APR_EINVAL: `set`, `descriptor` or `object` is NULL
 *  - what cohort_waitset_create(), cohort_waitset_add() and cohort_waitset_descriptor() answer
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_waitset_of(cohort_waitset_t **set,
                                                           apr_os_file_t *descriptor, void *object,
                                                           unsigned wanted, apr_pool_t *pool);

/**
 * What holds now: the short form of cohort_waitset_wait() with a time-out of 0, for sets of one
 * thing. In a larger set it tells of one of the items that are ready, and not which.
 *
 * When it finds nothing, the set's descriptor is not readable from here on.
 *
 * @param set the set
 * @return the bits of cohort_ready_t that are wanted and hold; 0: none does, or the wait failed or
 *         was interrupted, which cohort_last_error() tells (errors.h)
 */
COHORT_API unsigned cohort_waitset_ready(cohort_waitset_t *set);

/**
 * How many items are in the set.
 *
 * @param set the set
 * @return their number; 0 of what is no live set
 */
COHORT_API apr_size_t cohort_waitset_count(const cohort_waitset_t *set);

/**
 * Destroy the set and close its descriptor. Its items stay what they are.
 *
 * @param set the set; NULL is APR_SUCCESS
 * @return
 *  - APR_SUCCESS
 *  - the common statuses of waitset.h
 */
COHORT_API apr_status_t cohort_waitset_destroy(cohort_waitset_t *set);

#ifdef __cplusplus
}
#endif

#endif
