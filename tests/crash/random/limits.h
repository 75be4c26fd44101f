/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The root's jobs that are cancelled, or out of time, in the load of the random kills; and the
 * pool's size. */
#ifndef COHORT_TESTS_RANDOM_LIMITS_H
#define COHORT_TESTS_RANDOM_LIMITS_H

#include "load.h"

typedef struct {
    uint64_t jobs, cancelled, late, resized;
    uint64_t ended, excused; /* workers that may have been; items of other jobs that ran twice */
} limits_tally_t;

/* See to the job that is under way, or begin one; sometimes the pool gets another size. */
void limits_go_on(board_t *board, dice_t *dice, limits_tally_t *tally);
/* May an item of another job have run that often? A worker that is ended for an item may have come
 * to the next one: that is run again, once for each such worker. */
bool limits_excuse(limits_tally_t *tally, uint32_t runs);
/* Wait for the last one, and free what there is. */
void limits_end(board_t *board, limits_tally_t *tally);

#endif
