/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The root's imaps in the load of the random kills. */
#ifndef COHORT_TESTS_RANDOM_IMAPS_H
#define COHORT_TESTS_RANDOM_IMAPS_H

#include "load.h"

typedef struct {
    uint64_t imaps, left, charged;
} imap_tally_t;

/* Read what there is of the imap that is under way, or begin one; sometimes it is destroyed. */
void imaps_go_on(board_t *board, dice_t *dice, imap_tally_t *tally);
/* Read the last one to its end, and free what there is. */
void imaps_end(board_t *board, imap_tally_t *tally);

#endif
