/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What the tests of Lock, RLock, Semaphore, Condition and Event share: what they give to their
 * children. */
#ifndef COHORT_TESTS_SYNCHRONISERS_H
#define COHORT_TESTS_SYNCHRONISERS_H

#include "parties.h"

/* One kind of arguments for all children: what a case does not need is NULL. */
typedef struct {
    cohort_lock_t *lock;
    cohort_rlock_t *rlock;
    cohort_semaphore_t *semaphore;
    cohort_condition_t *condition, *other;
    cohort_event_t *event;
    _Atomic int *ready, *done;
    int *number;
    int rounds;
} args_t;

static inline args_t new_args(void) {
    args_t args = {0};
    args.ready = party_memory(sizeof(int));
    args.done = party_memory(sizeof(int));
    args.number = party_memory(sizeof(int));
    return args;
}

static inline args_t lock_args(void) {
    args_t args = new_args();
    CHECK_STATUS(APR_SUCCESS, cohort_lock_create(&args.lock, test_pool()));
    return args;
}

#endif
