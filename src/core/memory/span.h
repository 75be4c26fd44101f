/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Spans, of which the heap consists, and the word that describes each: what it is in the low byte;
 * the class of a slab's blocks in the next; in the next two the number of the thread that owns the
 * slab, or that is making or freeing the large block, 0 = none; and how many spans a large block
 * or a free row has in the upper half.
 */
#ifndef COHORT_CORE_SPAN_H
#define COHORT_CORE_SPAN_H

#include <stdbool.h>
#include <stdint.h>

#define COHORT__SPAN ((uint64_t)65536)

typedef enum {
    COHORT__HEAP_FREE,  /* the first span of a row of free ones */
    COHORT__HEAP_READY, /* the same, and the row keeps its memory */
    COHORT__HEAP_SLAB,  /* blocks of one size */
    COHORT__HEAP_LARGE, /* the first span of a large block */
    COHORT__HEAP_TAIL   /* a later span of a large block or of a free row */
} cohort__span_kind_t;

static inline unsigned cohort__span_kind(uint64_t word) { return word & 0xff; }
static inline unsigned cohort__span_class(uint64_t word) { return word >> 8 & 0xff; }
/* Of a slab: the thread that takes blocks from it. Of a large block: the one that makes or frees
 * it. 0 = none. */
static inline uint32_t cohort__span_owner(uint64_t word) { return (uint32_t)(word >> 16 & 0xffff); }
/* Spans that the word describes. That of a span never used, or of a slab, has no count. */
static inline uint64_t cohort__span_count(uint64_t word) { return word >> 32 ? word >> 32 : 1; }
static inline bool cohort__span_is_free(uint64_t word) {
    return cohort__span_kind(word) <= COHORT__HEAP_READY;
}
/* A slab of blocks of this class, of any owner. */
static inline bool cohort__span_is_slab_of(uint64_t word, unsigned class) {
    return (word & 0xffff) == (COHORT__HEAP_SLAB | (uint64_t) class << 8);
}

static inline uint64_t cohort__slab_word(unsigned class, uint32_t owner) {
    return COHORT__HEAP_SLAB | (uint64_t) class << 8 | (uint64_t)owner << 16;
}
static inline uint64_t cohort__large_word(uint64_t count, uint32_t mover) {
    return COHORT__HEAP_LARGE | (uint64_t)mover << 16 | count << 32;
}
/* `kind`: FREE or READY. */
static inline uint64_t cohort__free_word(unsigned kind, uint64_t count) {
    return kind | count << 32;
}

#endif
