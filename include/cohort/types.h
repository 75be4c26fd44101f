/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/**
 * @file types.h
 * What every other header of Cohort uses: export marks, time-outs and the opaque types.
 */
#ifndef COHORT_TYPES_H
#define COHORT_TYPES_H

#include <cohort/export.h> /* COHORT_API; made by the build */

#include <apr.h>
#include <apr_errno.h>
#include <apr_pools.h>
#include <apr_time.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A function that does not return. */
#if defined __cplusplus || (defined __STDC_VERSION__ && __STDC_VERSION__ >= 202311L)
#define COHORT_NORETURN [[noreturn]]
#elif defined _MSC_VER
#define COHORT_NORETURN __declspec(noreturn)
#else
#define COHORT_NORETURN _Noreturn
#endif

/** A function with a format as of printf(), its n-th parameter, and what it formats from the m-th
 * on. */
#if defined __GNUC__
#define COHORT_PRINTF(n, m) __attribute__((format(printf, n, m)))
#else
#define COHORT_PRINTF(n, m)
#endif

/** The status of this function must be looked at: whether the lock is held, whether there is a
 * message. Where a program can know that it succeeds, `(void)!function()` says so. */
#if defined __GNUC__
#define COHORT_NODISCARD __attribute__((warn_unused_result))
#elif defined _MSC_VER
#define COHORT_NODISCARD _Check_return_
#else
#define COHORT_NODISCARD
#endif

/** The most bytes of a process' name, without the terminating zero; what is longer is cut. */
#define COHORT_NAME_MAX 63

/**
 * A time-out that never runs out.
 *
 * Time-outs are in microseconds, as everywhere in APR (apr_time_from_sec() helps). Zero and
 * negative values never block: a call that would have to wait returns APR_EAGAIN at once (as in
 * Python, where a negative time-out is a poll). A call that runs out of time returns APR_TIMEUP.
 * COHORT_FOREVER waits without limit. All clocks are monotonic.
 */
#define COHORT_FOREVER APR_INT64_MAX

/** No exit code yet: the process has not ended. */
#define COHORT_EXIT_NONE (-2147483647 - 1)
/** The process has ended, and no process could see how. Never a guess. */
#define COHORT_EXIT_UNKNOWN (-2147483647)

/** A message, for those calls that put or get several, or say more of one. */
typedef struct cohort_message_t {
    /** To put: its bytes. To get: a buffer. */
    void *data;
    /** To put: bytes of it. To get, out: bytes of the message, also with COHORT_ETOOSMALL. */
    apr_size_t size;
    /** To get: bytes of the buffer. Never written, so a message can be used again as it is. */
    apr_size_t capacity;
    /** To get, out: not 0 when a process died getting this message before. It kept its place, so
     * others that were put after it may have been got before. */
    int returned;
    /** For later versions. Not read. */
    apr_uint64_t reserved[2];
} cohort_message_t;

/** A process of the cohort. Valid in every process of the cohort, as all pointers below. */
typedef struct cohort_process_t cohort_process_t;
/** One end of a pipe. */
typedef struct cohort_connection_t cohort_connection_t;
/** A queue of messages between any number of processes. */
typedef struct cohort_queue_t cohort_queue_t;
/** A barrier, at which a fixed number of parties meet. */
typedef struct cohort_barrier_t cohort_barrier_t;
/** A lock that is held by one thread at a time. */
typedef struct cohort_lock_t cohort_lock_t;
/** A lock that its owner may take again. */
typedef struct cohort_rlock_t cohort_rlock_t;
/** A number of permits that threads take and give back. */
typedef struct cohort_semaphore_t cohort_semaphore_t;
/** A condition variable, with its lock. */
typedef struct cohort_condition_t cohort_condition_t;
/** A flag for which threads wait. */
typedef struct cohort_event_t cohort_event_t;
/** A pool of worker processes. */
typedef struct cohort_pool_t cohort_pool_t;
/** The outcome, now or later, of work given to a pool. */
typedef struct cohort_result_t cohort_result_t;

#ifdef __cplusplus
}
#endif

#endif
