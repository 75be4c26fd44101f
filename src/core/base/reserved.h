/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The reserved tails of public structs. A later version of the library makes options of these
 * words; a program that uses one of them may come to run with this version, which then refuses the
 * call instead of doing something else than what it was asked for. Look before anything is made:
 *
 *     cohort__check_reserved(options->reserved, 8, "options.reserved")
 *     cohort__check_reserved_at(item->reserved, 2, "items", i)
 *
 * make "cohort_queue_create: options.reserved[7] is not 0: an option that ..." and "cohort_wait:
 * items[3].reserved[1] is not 0: ...".
 */
#ifndef COHORT_CORE_RESERVED_H
#define COHORT_CORE_RESERVED_H

#include "core/base/fail.h"

#include <apr.h>
#include <cohort/errors.h>

/* COHORT_EOPTION unless all `n` words are 0. `name`: what the caller knows them by. */
static inline apr_status_t cohort__check_reserved(const apr_uint64_t *words, unsigned n,
                                                  const char *name) {
    for (unsigned i = 0; i < n; i++) {
        if (words[i]) return cohort__fail(COHORT_EOPTION, "%s[%u] is not 0", name, i);
    }
    return APR_SUCCESS;
}

/* The same for the words `reserved` of the element `at` of the array `array`. */
static inline apr_status_t cohort__check_reserved_at(const apr_uint64_t *words, unsigned n,
                                                     const char *array, apr_size_t at) {
    for (unsigned i = 0; i < n; i++) {
        if (words[i])
            return cohort__fail(COHORT_EOPTION, "%s[%llu].reserved[%u] is not 0", array,
                                (unsigned long long)at, i);
    }
    return APR_SUCCESS;
}

#endif
