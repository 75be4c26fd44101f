/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Making the n-th allocation or system call of an operation fail, or the n-th transfer of bytes end
 * early. The calls are wrapped by the linker (see CMakeLists.txt for which), so the library has no
 * code for this. They are counted in the thread that armed the fault alone; or, on demand, in the
 * processes that it starts.
 */
#ifndef COHORT_TESTS_FAULTS_H
#define COHORT_TESTS_FAULTS_H

#include <stdbool.h>

typedef enum {
    FAULT_ONCE,   /* the n-th call fails */
    FAULT_ONWARD, /* and so do all after it */
    /* every call that a signal can interrupt is interrupted twice before it is made; n is not
     * used */
    FAULT_STORM,
    FAULT_SHORT, /* the n-th transfer that may end early moves one byte */
    FAULT_DRIP   /* and so do all of them; n is not used */
} fault_kind_t;

/* In the calling thread, from now on. */
void fault_arm(fault_kind_t kind, long n);
/* In the main thread of each process that this one starts, from its first instruction on: told by
 * the environment, and by what a fork copies. */
void fault_arm_children(fault_kind_t kind, long n);
/* The end of it. True when a call was made to fail since. */
bool fault_disarm(void);
/* Which one, the last of them. */
const char *fault_name(void);

#endif
