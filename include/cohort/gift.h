/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/**
 * @file gift.h
 * Gifts: open files, sockets, descriptors and handles for other processes. A child is given them
 * when it is started, by the option `gifts` of cohort_process_options_t, and takes them by name or
 * by index; any other process of the cohort is sent them at any time, as parcels.
 *
 * A gift works with every start method and on every system. The child has a copy of its own, as by
 * dup() or DuplicateHandle(): what is shared is the open file or socket, with its position and with
 * whether it blocks. The giver keeps what it gave, and closes it when it likes once
 * cohort_process_start() has returned. What a child does not take stays open there until the child
 * ends, but what it starts itself does not get it.
 *
 * A program finds its gifts, which it inherits, by the variable COHORT_GIFTS of its environment,
 * without this library:
 *
 *     COHORT_GIFTS=4711:5=listener:7=log:8=
 *
 * First comes the id of the process that is meant: a program that finds another one than its own
 * has inherited the variable from a process that did not remove it, and must not believe it. It is
 * 0 on Windows, where the id is known only when the environment is made; and 0 means any process.
 * Then comes for each gift, in the order of the option, a colon, its descriptor (POSIX), or HANDLE
 * or SOCKET (Windows), as a decimal number, a `=`, and its name, which is all up to the next colon
 * or the end. No other process that the library starts has the variable; a program that starts
 * others by itself removes it first, as cohort_initialize() does. What is given by the option
 * `files` has its number, and is not in it. A program with this library that becomes the root of a
 * cohort of its own takes its gifts by the functions below, as a child does: those that it had when
 * it first called cohort_initialize(), each once. A program with rights that its starter lacks
 * finds none. (systemd's LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES, of which
 * the descriptors begin at 3 and which know no handles.)
 *
 * (Python's multiprocessing pickles sockets and descriptors for spawn, and has pass_fds in
 * subprocess; here both are one option.)
 *
 * Thread safety: every function of this header may be called by any thread of a process of the
 * cohort at any time; a gift is taken once. None may be called from a signal handler.
 */
#ifndef COHORT_GIFT_H
#define COHORT_GIFT_H

#include <cohort/errors.h>
#include <cohort/types.h>

#include <apr_file_io.h>
#include <apr_network_io.h>
#include <apr_portable.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What a name of a gift has room for, its end included, in bytes. */
#define COHORT_GIFT_NAME_SIZE 32

/** Something open that a child is given. Of `file`, `socket` and `handle` one counts: the first
 * that is not NULL, else `handle`. */
typedef struct cohort_gift_t {
    /** by which the child can take it; copied, with less than COHORT_GIFT_NAME_SIZE bytes; NULL:
     * it has none, only an index. That of a program's has no colon (else APR_EINVAL) */
    const char *name;
    apr_file_t *file;     /**< a file or an end of a pipe; stays the caller's */
    apr_socket_t *socket; /**< a socket, listening or not; stays the caller's */
    /** a descriptor (POSIX), or a HANDLE, or a SOCKET as one (Windows); stays the caller's */
    apr_os_file_t handle;
    apr_uint64_t reserved[4]; /**< all 0; else COHORT_EOPTION */
} cohort_gift_t;

/**
 * How many gifts this process was started with.
 *
 * @return their number, taken or not; in a root, those of the program that it is; 0 in what is no
 *         member
 */
COHORT_API apr_size_t cohort_gift_count(void);

/**
 * Take a gift as a file or pipe of APR's.
 *
 * @param file  receives it; it is closed with `pool`
 * @param name  which one; NULL: the one at `index`
 * @param index from 0, in the order of the option `gifts`; plays no part with a name
 * @param pool  not NULL
 * @return
 *  - APR_SUCCESS
 *  - APR_NOTFOUND: there is no such gift, or it was taken before
 *  - APR_EINVAL: `file` or `pool` is NULL, or the gift is a socket (not in a root)
 *  - COHORT_ENOTINIT, COHORT_ENOTMEMBER (errors.h)
 *  - APR's reason why it cannot be a file
 */
COHORT_API apr_status_t cohort_gift_file(apr_file_t **file, const char *name, apr_size_t index,
                                         apr_pool_t *pool);

/**
 * Take a gift as a socket of APR's: of the giver's family, type, protocol and timeout, if it was
 * one of APR's there, else, and in a root, which is told only numbers and names, as a TCP socket of
 * IPv4.
 *
 * @param socket receives it; it is closed with `pool`
 * @param name   as cohort_gift_file()
 * @param index  as cohort_gift_file()
 * @param pool   not NULL
 * @return as cohort_gift_file(); APR_EINVAL also for a gift that is a file
 */
COHORT_API apr_status_t cohort_gift_socket(apr_socket_t **socket, const char *name,
                                           apr_size_t index, apr_pool_t *pool);

/**
 * Take a gift of any kind as the system's descriptor or handle.
 *
 * @param handle receives it; it is the caller's to close, a socket on Windows by closesocket(), and
 *               does not close on exec (POSIX)
 * @param name   as cohort_gift_file()
 * @param index  as cohort_gift_file()
 * @return as cohort_gift_file()
 */
COHORT_API apr_status_t cohort_gift_handle(apr_os_file_t *handle, const char *name,
                                           apr_size_t index);

/**
 * A gift on its way to another process: a few words to be put into a message of any kind, alone or
 * among others, by any queue or connection, or into shared memory. The words mean the same in every
 * process of the cohort; what they stand for is taken once, by whichever process is the first.
 */
typedef struct cohort_parcel_t {
    apr_uint64_t word[4]; /**< the library's */
} cohort_parcel_t;

/**
 * Send a gift: make a parcel of it, which another process takes when it has received that. This
 * process keeps a copy until then, and the original may be closed.
 *
 * What no process takes is closed: when its time is over, when it is discarded, and with the end of
 * this process, however that comes. A parcel lives no longer than its sender; the message that it
 * is in arrives all the same, and taking it is COHORT_EOWNERDEAD. On Linux a thread of the library
 * in this process hands the copy out, begun with the first parcel; on Windows the taker duplicates
 * the handle, and only sockets are handed out by such a thread. (SCM_RIGHTS; DuplicateHandle(),
 * WSADuplicateSocket().)
 *
 * No other process keeps a parcel beyond its sender's death, on purpose. What a dead process had
 * open is closed: the other side of its sockets and pipes sees the end then, and not when a copy in
 * a process that neither side knows is given up; and such a keeper could be killed itself, so that
 * a taker would have to reckon with COHORT_EOWNERDEAD all the same. What is to outlive its sender
 * is taken by another process, which sends it on.
 *
 * @param parcel   receives it
 * @param gift     what to send; its name plays no part. On Windows no other thread may be in a read
 *                 or write of a pipe, unless that is overlapped, or this call lasts as long as that
 * @param lifetime how long it may be taken, in microseconds; COHORT_FOREVER: as long as this
 *                 process lives
 * @return
 *  - APR_SUCCESS
 *  - APR_EINVAL: `parcel` or `gift` is NULL
 *  - APR_EBADF: what the gift names is not open
 *  - COHORT_EOPTION: a reserved word of the gift is not 0
 *  - COHORT_ELIMIT: 1024 parcels of the cohort have not been taken
 *  - APR_ENOTIMPL: this system hands descriptors on to children alone (macOS)
 *  - APR_ENOMEM, or the system's reason: too many open descriptors
 *  - COHORT_ENOTINIT, COHORT_ENOTMEMBER (errors.h)
 */
COHORT_NODISCARD COHORT_API apr_status_t cohort_gift_send(cohort_parcel_t *parcel,
                                                          const cohort_gift_t *gift,
                                                          apr_interval_time_t lifetime);

/**
 * Take a parcel as a file or pipe of APR's.
 *
 * @param file    receives it; it is closed with `pool`
 * @param parcel  as it was sent
 * @param timeout how long to wait for a sender that does not answer (it may be stopped), in
 *                microseconds (see types.h). On Windows the answer of a socket's sender, once that
 *                has been asked, is waited for up to two seconds in any case, since it opens the
 *                socket here; what has come late is closed, and the parcel stays as it was. So with
 *                a time-out of 0 no socket is ever taken there
 * @param pool    not NULL
 * @return
 *  - APR_SUCCESS
 *  - COHORT_EOWNERDEAD: its sender has ended, and it with that
 *  - APR_NOTFOUND: another process, or this one, has taken it; it was discarded; its time is over
 *  - APR_TIMEUP: the sender has not answered within the time; it may be tried again
 *  - COHORT_EHANDLE: this is no parcel
 *  - APR_EINVAL: a parameter is NULL; the parcel is a socket, and was taken and closed
 *  - COHORT_ENOTINIT, COHORT_ENOTMEMBER (errors.h)
 *  - the system's reason: too many open descriptors
 */
COHORT_API apr_status_t cohort_parcel_file(apr_file_t **file, const cohort_parcel_t *parcel,
                                           apr_interval_time_t timeout, apr_pool_t *pool);

/**
 * Take a parcel as a socket of APR's: of the sender's family, type, protocol and timeout, if it was
 * one of APR's there, else as a TCP socket of IPv4.
 *
 * @param socket  receives it; it is closed with `pool`
 * @param parcel  as it was sent
 * @param timeout as cohort_parcel_file()
 * @param pool    not NULL
 * @return as cohort_parcel_file()
 */
COHORT_API apr_status_t cohort_parcel_socket(apr_socket_t **socket, const cohort_parcel_t *parcel,
                                             apr_interval_time_t timeout, apr_pool_t *pool);

/**
 * Take a parcel of any kind as the system's descriptor or handle.
 *
 * @param handle  receives it; it is the caller's to close, a socket on Windows by closesocket(),
 *                and no child inherits it
 * @param parcel  as it was sent
 * @param timeout as cohort_parcel_file()
 * @return as cohort_parcel_file()
 */
COHORT_API apr_status_t cohort_parcel_handle(apr_os_file_t *handle, const cohort_parcel_t *parcel,
                                             apr_interval_time_t timeout);

/**
 * Take a parcel back that this process has sent: what was kept for it is closed.
 *
 * @param parcel as it was sent
 * @return
 *  - APR_SUCCESS
 *  - APR_NOTFOUND: it has been taken, or discarded before, or its time is over
 *  - COHORT_ENOTOWNER: another process has sent it
 *  - APR_EINVAL: NULL
 *  - COHORT_EHANDLE: this is no parcel
 *  - COHORT_ENOTINIT, COHORT_ENOTMEMBER (errors.h)
 */
COHORT_API apr_status_t cohort_parcel_discard(const cohort_parcel_t *parcel);

#ifdef __cplusplus
}
#endif

#endif
