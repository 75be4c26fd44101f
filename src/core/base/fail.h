/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What went wrong, in words. This lies below the seam as well as above it: the back ends say here
 * what they failed at, the core what it refused, and neither knows the other by it.
 *
 * A failing function says what it failed at with the status that it returns; the public call that
 * returns this status makes that the thread's last error, under its own name. Nothing is said and
 * nothing is read on the way to success.
 *
 *     if (chdir(cwd) != 0) return cohort__fail(errno, "chdir %s", cwd);
 *     apr_status_t cohort_queue_put(...) { return COHORT__CALL(put(...)); }
 *
 * together make "cohort_queue_put: chdir /no/such: No such file or directory". The message of the
 * status is always added at the end, so a function says only what the status does not. Some
 * statuses need no words of their own: an object that is no more, a wait that came to no end, an
 * object's pointer that is NULL (APR_EINVAL about which nothing was said).
 */
#ifndef COHORT_CORE_FAIL_H
#define COHORT_CORE_FAIL_H

#include "core/base/bits.h"

#include <apr_errno.h>
#include <cohort/types.h>
#include <stddef.h>

#define COHORT__REASON_MAX 320 /* bytes of a sentence, with its zero */

#if defined __clang_analyzer__ && !defined COHORT__ERRORS
/* The analyzer of another file cannot see that these return the status. */
static inline apr_status_t cohort__fail(apr_status_t status, const char *format, ...) {
    (void)format;
    return status;
}
static inline apr_status_t cohort__explain(apr_status_t status, const char *format, ...) {
    (void)format;
    return status;
}
static inline apr_status_t cohort__null(const char *name) {
    (void)name;
    return APR_EINVAL;
}
#else
/* Say what failed; returns the status. Replaces what was said before, which may be among the
 * arguments. */
COHORT__APART apr_status_t cohort__fail(apr_status_t status, const char *format, ...)
    COHORT_PRINTF(2, 3);
/* The same, unless something has been said of this status already, by a function that knew more. */
COHORT__APART apr_status_t cohort__explain(apr_status_t status, const char *format, ...)
    COHORT_PRINTF(2, 3);
/* APR_EINVAL: an argument of this name is NULL. */
COHORT__APART apr_status_t cohort__null(const char *name);
#endif
/* What was said of this status; "" when nothing was. Valid until this thread fails again. */
const char *cohort__reason(apr_status_t status);
/* The message of the status, behind what was said of it: "chdir /no/such: No such file or
 * directory". Written to `text`, which is returned. */
char *cohort__describe(apr_status_t status, char *text, size_t size);
/* A failure has been made good. */
void cohort__forget(void);

/* The end of each public call: an expression, the value of `expression`. A thread's last error is
 * what it was when that is APR_SUCCESS. No public call is made from within the library (but by the
 * clean-up of an APR pool), so that the name is the one which the user has called. */
#define COHORT__CALL(expression) cohort__returned(__func__, (expression))
/* The same for calls that may fail inside and go on: what was said there before, and made good, is
 * not taken for the reason of this call's failure. */
#define COHORT__CALL_ANEW(expression) cohort__returned(__func__, (cohort__forget(), (expression)))

#if defined __clang_analyzer__ && !defined COHORT__ERRORS
static inline apr_status_t cohort__call_failed(const char *call, apr_status_t status) {
    (void)call;
    return status;
}
#else
COHORT__APART apr_status_t cohort__call_failed(const char *call, apr_status_t status);
#endif
static inline apr_status_t cohort__returned(const char *call, apr_status_t status) {
    return status ? cohort__call_failed(call, status) : APR_SUCCESS;
}

#endif
