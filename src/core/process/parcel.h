/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The table of what is on its way between processes: parcel.c says what holds of it. */
#ifndef COHORT_CORE_PARCEL_H
#define COHORT_CORE_PARCEL_H

#include "core/memory/arena.h"

typedef struct {
    _Atomic uint64_t word;   /* number, sender, state; see parcel.c */
    _Atomic int64_t expires; /* COHORT_OS_NEVER: with the sender */
    cohort_os_offer_t offer;
    cohort_os_gift_t gift; /* what it is, to APR */
} cohort__parcel_t;
_Static_assert(sizeof(cohort__parcel_t) <= COHORT__PARCEL_SIZE, "an entry fits its place");

enum { COHORT__PARCEL_ABSENT, COHORT__PARCEL_MADE, COHORT__PARCEL_OFFERED, COHORT__PARCEL_TAKEN };
static inline unsigned cohort__parcel_state(uint64_t word) { return (unsigned)(word & 3); }

static inline cohort__parcel_t *cohort__parcel_at(uint64_t i) {
    char *table = (char *)cohort__arena + cohort__arena->parcel_offset;
    return (cohort__parcel_t *)(table + i * COHORT__PARCEL_SIZE);
}

#endif
