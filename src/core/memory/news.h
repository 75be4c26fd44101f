/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The news: which event counts have been notified of late, of those that a thread has shared. A
 * wait set reads from them which of its many items may have become ready, so that it looks at
 * these, and not at all. They are a ring in the arena that each reader follows by itself; a reader
 * that falls behind by more than the ring holds looks at everything once.
 *
 * A writer takes a position, then writes its entry there. A reader that finds an entry missing goes
 * on with the later ones and comes back to that one: the writer notifies the sleepers after it has
 * written. If the writer dies before, the count of deaths changes, and the reader looks at
 * everything.
 */
#ifndef COHORT_CORE_NEWS_H
#define COHORT_CORE_NEWS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define COHORT__NEWS_MOST 4096u

/* Lies in the arena. */
typedef struct {
    _Alignas(64) _Atomic uint64_t count; /* positions ever taken */
    /* the low half of position + 1 << 32 | the key */
    _Alignas(64) _Atomic uint64_t entries[COHORT__NEWS_MOST];
} cohort__news_t;

/* What an entry says of an address of the arena; those of two may be the same. Not 0. */
static inline uint32_t cohort__news_key(const void *address) {
    uint64_t mixed = (uint64_t)(uintptr_t)address * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(mixed >> 32) | 1;
}

/* Before the sleepers are notified. */
void cohort__news_add(const void *address);
/* Where a reader begins that looks at everything afterwards. */
uint64_t cohort__news_end(void);
/* Calls `found` with each key from *cursor on, and moves that. False: some are lost, so the reader
 * looks at everything, and *cursor is as by cohort__news_end(). */
bool cohort__news_read(uint64_t *cursor, void (*found)(void *arg, uint32_t key), void *arg);

#endif
