/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What the next instruction of a stopped process may do that other processes can see. */
#ifndef COHORT_TESTS_STEP_POINTS_H
#define COHORT_TESTS_STEP_POINTS_H

#include <stdint.h>
#include <sys/types.h>

typedef enum {
    STEP_PRIVATE, /* surely neither of these */
    STEP_STORES,  /* perhaps a store to the arena */
    STEP_CALLS    /* a system call */
} step_effect_t;

typedef struct {
    step_effect_t effect;
    uint64_t at;   /* where the instruction lies */
    uint64_t left; /* repetitions of one that repeats, else 0 */
} step_next_t;

/* Of a process that the calling thread traces. Where no decoder is (all but x86-64), everything may
 * be a store. */
step_next_t step_next(pid_t pid);

#endif
