/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Which member of the cohort this process is. It is kept in a page that is empty in every copy of
 * the process, however the copy was made (fork, _Fork, a bare system call), where the system can do
 * that, and is emptied by a fork handler elsewhere. So a copy is no member, and knows it by the
 * loads that every call makes anyway.
 */
#ifndef COHORT_CORE_IDENTITY_H
#define COHORT_CORE_IDENTITY_H

#include "core/base/bits.h"
#include "core/base/os.h"

#include <cohort/types.h>

/* What belongs to one process. _Thread_local in tests that play processes with threads, where
 * nothing is copied. */
#ifndef COHORT__PER_PROCESS
#define COHORT__PER_PROCESS
#else
#undef COHORT_COPIES_ALIGNED
#endif

/* The size of a page, which the back end gives where it can empty pages in copies. */
#ifndef COHORT_COPIES_ALIGNED
#define COHORT_COPIES_ALIGNED 64
#endif

/* A process of the cohort: generation << 16 | slot; 0 is none. Never reused. */
typedef uint64_t cohort__pid_t;
static inline cohort__pid_t cohort__pid(uint64_t generation, uint32_t slot) {
    return generation << 16 | slot;
}
static inline uint64_t cohort__pid_generation(cohort__pid_t id) { return id >> 16; }
/* The place in the table of the slot that the process has, or had. */
static inline uint32_t cohort__pid_slot(cohort__pid_t id) { return (uint32_t)(id & 0xffff); }

typedef union {
    struct {
        cohort_process_t *self; /* NULL: no member */
        cohort__pid_t id;
        /* COHORT__ORIGINAL in a process that is or was a member, 0 in its copies */
        uint32_t original;
        /* the same, and 0 also in a worker when more than its status is to be looked at of the task
         * that it runs */
        uint32_t usual;
        /* changes when the process becomes another member, or none: what its threads remember of
         * it is void then */
        _Atomic uint32_t epoch;
    };
    char alone[COHORT_COPIES_ALIGNED];
} cohort__identity_t;
extern COHORT__HIDDEN COHORT__PER_PROCESS cohort__identity_t cohort__identity;

/* The one number that only 0 is below, so one comparison shows both that a status is 0 and that
 * this is no copy. */
#define COHORT__ORIGINAL 1u

/* Become this process (NULL: none). */
void cohort__self_set(cohort_process_t *slot);
/* In a copy, where the system has not done so: it is no member. */
void cohort__identity_clear(void);
/* No thread of this process has a record yet. */
void cohort__threads_reset(void);

/* This process. NULL before cohort_initialize() and in raw copies. */
static inline cohort_process_t *cohort__self(void) { return cohort__identity.self; }
static inline cohort__pid_t cohort__self_id(void) { return cohort__identity.id; }
/* A number that changes with each such reset: of what a thread has learnt of the cohort, nothing is
 * true any more. */
static inline uint32_t cohort__membership(void) {
    return atomic_load_explicit(&cohort__identity.epoch, memory_order_relaxed);
}

/* What a process keeps for itself belongs to one membership, which it names; it begins anew in the
 * next. True, for one thread of those that come first: the caller puts it in order, and then has it
 * name the membership, which the others wait for. A copy may find that one was at it in the
 * original. */
static inline bool cohort__membership_is_new(_Atomic uint32_t *named) {
    const uint32_t now = cohort__membership(), begun = now | (uint32_t)1 << 31;
    for (;;) {
        uint32_t seen = atomic_load_explicit(named, memory_order_acquire);
        if (seen == now) return false;
        if (seen != begun && atomic_compare_exchange_strong(named, &seen, begun)) return true;
        cohort__relax();
    }
}

/* After each call of a function of the user's (a task, a target, a hook, a callback, an action): is
 * this still the process that called it, and not a copy that the function has made and that came
 * back too? A copy must do nothing in the name of the original. */
static inline bool cohort__is_copy(void) { return cohort__identity.original != COHORT__ORIGINAL; }
/* A copy that came back ends here, with this exit code, without any handler and without writing
 * what the original has buffered. */
static inline void cohort__end_copy(int code) {
    if (cohort__is_copy()) cohort_os_exit(code & 0xff, COHORT_OS_EXIT_NOW);
}
/* The same for a task's status. */
void cohort__end_copied_task(apr_status_t status);
/* False when the task has succeeded, in the original, and that is all that there is to say. */
static inline bool cohort__is_unusual(apr_status_t status) {
    return (uint32_t)status >= cohort__identity.usual;
}

#endif
