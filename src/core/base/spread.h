/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Histograms of times, in memory of a fixed size: each power of two of nanoseconds is cut into 16
 * cells of the same width, and times under 16 have a cell each. What is read back is the middle of
 * a cell, which is at most 1/32 (3.2 %) off. The last cell has all that is longer than 9.7 hours.
 *
 * A histogram has one writer; readers see each word as it was at some moment.
 */
#ifndef COHORT_CORE_SPREAD_H
#define COHORT_CORE_SPREAD_H

#include "core/base/bits.h"

#include <stdatomic.h>

#define COHORT__SPREAD_TOP   44 /* the highest bit of the longest times that are told apart */
#define COHORT__SPREAD_CELLS ((COHORT__SPREAD_TOP - 2) * 16)

typedef struct {
    _Atomic uint64_t sum, most;
    _Atomic uint64_t cells[COHORT__SPREAD_CELLS];
} cohort__spread_t;

/* For counters with one writer. */
static inline void cohort__count(_Atomic uint64_t *word, uint64_t more) {
    atomic_store_explicit(word, atomic_load_explicit(word, memory_order_relaxed) + more,
                          memory_order_relaxed);
}

static inline unsigned cohort__spread_cell(uint64_t time) {
    if (time < 16) return (unsigned)time;
    unsigned bit = (unsigned)cohort__highest_bit(time);
    if (bit > COHORT__SPREAD_TOP) return COHORT__SPREAD_CELLS - 1;
    return (bit - 3) * 16 + (unsigned)(time >> (bit - 4) & 15);
}

/* The middle of a cell. */
static inline uint64_t cohort__spread_time(unsigned cell) {
    if (cell < 32) return cell;
    unsigned shift = cell / 16 - 1;
    return ((uint64_t)(16 + cell % 16) << shift) + ((uint64_t)1 << shift) / 2;
}

static inline void cohort__spread_add(cohort__spread_t *spread, int64_t time) {
    uint64_t t = time > 0 ? (uint64_t)time : 0;
    cohort__count(&spread->cells[cohort__spread_cell(t)], 1);
    cohort__count(&spread->sum, t);
    if (t > atomic_load_explicit(&spread->most, memory_order_relaxed))
        atomic_store_explicit(&spread->most, t, memory_order_relaxed);
}

/* What was read of one or of several histograms. */
typedef struct {
    uint64_t count, sum, most;
    uint64_t cells[COHORT__SPREAD_CELLS];
} cohort__spread_sum_t;

static inline void cohort__spread_read(cohort__spread_t *spread, cohort__spread_sum_t *sum) {
    uint64_t most = atomic_load_explicit(&spread->most, memory_order_relaxed);
    sum->sum += atomic_load_explicit(&spread->sum, memory_order_relaxed);
    if (most > sum->most) sum->most = most;
    for (unsigned i = 0; i < COHORT__SPREAD_CELLS; i++) {
        uint64_t count = atomic_load_explicit(&spread->cells[i], memory_order_relaxed);
        sum->cells[i] += count;
        sum->count += count;
    }
}

/* The time that so many percent of all do not exceed; 0: there are none. */
static inline uint64_t cohort__spread_percentile(const cohort__spread_sum_t *sum,
                                                 unsigned percent) {
    uint64_t rank = sum->count / 100 * percent + (sum->count % 100 * percent + 99) / 100, seen = 0;
    if (!sum->count) return 0;
    if (!rank) rank = 1;
    for (unsigned i = 0; i < COHORT__SPREAD_CELLS; i++) {
        seen += sum->cells[i];
        if (seen < rank) continue;
        uint64_t time = cohort__spread_time(i);
        return time < sum->most ? time : sum->most;
    }
    return sum->most;
}

#endif
