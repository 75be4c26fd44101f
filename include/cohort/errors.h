/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/**
 * @file errors.h
 * Cohort's own status codes. Every function returns an apr_status_t: APR_SUCCESS, one of APR's or
 * the system's codes (errno's meaning, readable with `APR_STATUS_IS_*`), or one of these.
 *
 * Thread safety: every function of this header may be called by any thread at any time, also before
 * cohort_initialize(), after cohort_finalize() and in raw fork() copies. None but
 * cohort_error_name() may be called from a signal handler.
 */
#ifndef COHORT_ERRORS_H
#define COHORT_ERRORS_H

#include <cohort/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* clang-format off */
/** The one list: code, offset, message. Offsets are fixed for ever; new codes go to the end. */
#define COHORT_ERROR_LIST(X) \
    X(COHORT_ENOTINIT, 0, "cohort_initialize() has not been called in this process") \
    X(COHORT_ENOTMEMBER, 1, "this process is a raw fork() copy and not a member of the cohort") \
    X(COHORT_EVERSION, 2, "the two sides use different versions of Cohort") \
    X(COHORT_ETWICE, 3, \
      "this copy of Cohort, or another one, is already initialised in this process") \
    X(COHORT_EADDRESS, 4, "the shared arena could not be mapped at its address") \
    X(COHORT_EBINARY, 5, "the child runs another build of the target's module") \
    X(COHORT_ETARGET, 6, "the target function could not be found in the child") \
    X(COHORT_ESTART, 7, "the child ended before it had started") \
    X(COHORT_ENOTSTARTED, 8, "the process has not been started") \
    X(COHORT_ESTARTED, 9, "the process has already been started") \
    X(COHORT_ERUNNING, 10, "the process is still running") \
    X(COHORT_ECLOSED, 11, "the object is closed") \
    X(COHORT_EHANDLE, 12, "not a live object of this type (destroyed, or never one)") \
    X(COHORT_ETOOSMALL, 13, "the buffer is too small for the message, which was kept") \
    X(COHORT_EDIRECTION, 14, "this end of the pipe cannot do that") \
    X(COHORT_EOWNERDEAD, 15, \
      "the last owner died holding the lock, which is now yours; check the data") \
    X(COHORT_ENOTOWNER, 16, "not held, or not owned, by the caller") \
    X(COHORT_EOVERRELEASE, 17, "released more often than acquired") \
    X(COHORT_EBROKEN, 18, "the barrier is broken") \
    X(COHORT_EDEADLOCK, 19, "the caller already holds this lock") \
    X(COHORT_EWORKERDIED, 20, "the worker process died while it ran the task") \
    X(COHORT_ENOTRUNNING, 21, "the pool is closed or terminated") \
    X(COHORT_ETERMINATED, 22, "the pool was terminated before the task was done") \
    X(COHORT_ELIMIT, 23, "a fixed limit of the cohort is reached") \
    X(COHORT_EFREE, 24, "not a block that cohort_alloc() returned, or freed already") \
    X(COHORT_ENOWAIT, 25, "a process cannot wait for itself") \
    X(COHORT_EINITFAILED, 26, "the pool's initializer failed in a worker") \
    X(COHORT_EDAMAGED, 27, \
      "a process of the cohort has written over what is not its own in the shared memory") \
    X(COHORT_EPRIVILEGED, 28, \
      "a program with rights that its caller may not have (set-user-id, set-group-id, file " \
      "capabilities) starts processes by fork only") \
    X(COHORT_EUNTRUSTED, 29, "COHORT_BOOT in the environment is not for this process") \
    X(COHORT_EOPTION, 30, "an option that this version of Cohort does not know") \
    X(COHORT_ECANCELLED, 31, "the work was cancelled") \
    X(COHORT_EDEADLINE, 32, "the work was not done within its time")
/* clang-format on */

/** Cohort's own statuses: the codes of COHORT_ERROR_LIST, each with its message. */
enum {
/* docs/Doxyfile has its own, which makes each message the description of its code. */
/** @cond */
#define COHORT_ERROR_ENUM(name, offset, message) name = APR_OS_START_USERERR + 7300 + (offset),
    /** @endcond */
    COHORT_ERROR_LIST(COHORT_ERROR_ENUM)
#undef COHORT_ERROR_ENUM
};

/**
 * The message of a status, Cohort's own or APR's. As apr_strerror().
 *
 * @param status any status that a function of Cohort or APR returned
 * @param buffer receives the text, always terminated when size > 0; may be NULL when size is 0
 * @param size   size of the buffer in bytes
 * @return buffer
 */
COHORT_API char *cohort_strerror(apr_status_t status, char *buffer, apr_size_t size);

/**
 * The name of a Cohort status as it is written in C ("COHORT_ECLOSED").
 *
 * @param status any status
 * @return a constant string; NULL when the status is not one of Cohort's
 *
 * Thread safety: may be called from a signal handler, too.
 */
COHORT_API const char *cohort_error_name(apr_status_t status);

/**
 * What went wrong in the calling thread's last call that returned a status other than APR_SUCCESS.
 *
 * It is a sentence with the call's name, what it failed at, and the message of its status, as
 * "cohort_process_start: chdir /no/such: No such file or directory".
 *
 * Each failing call of Cohort sets it, APR_EAGAIN and the like included, and so does a question
 * about what is no live object; calls that succeed leave it as it is. It is for people: programs go
 * by the status. As errno and strerror() are for POSIX, GetLastError() and FormatMessage() for
 * Win32.
 *
 * @return the sentence, at most 319 bytes; "" when no call of this thread has failed yet. It is the
 *         library's, and valid until the thread's next call that fails, or its end.
 *
 * Thread safety: each thread has its own, also one that has used nothing else of Cohort; a raw
 * fork() copy begins with that of the thread that forked. Allocates nothing.
 */
COHORT_API const char *cohort_last_error(void);

#ifdef __cplusplus
}
#endif

#endif
