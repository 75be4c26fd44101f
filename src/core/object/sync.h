/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What the synchronisers share: what each begins with, the first half of every destroy, and the
 * public locks' acquire and release. */
#ifndef COHORT_CORE_SYNC_H
#define COHORT_CORE_SYNC_H

#include "core/memory/lock.h"
#include "core/object/object.h"

#include <cohort/errors.h>

/* What every synchroniser of COHORT__KIND_SYNC begins with, whether or not its type needs it all:
 * one may be made in the place of another while a thread is still in a call on that, and then no
 * word means two things. */
typedef struct {
    cohort__object_t object;
    cohort__lock_t lock;          /* lock, rlock, condition */
    cohort__eventcount_t changed; /* semaphore, event */
    /* rlock: how often its owner holds it beyond the first time, changed while the owner looks at
     * the object; cleared for each object, as the lock's owner is, and what lies behind this
     * struct */
    _Atomic uint32_t depth;
    _Atomic uint64_t word; /* event */
    cohort__guard_t guard; /* semaphore, condition */
} cohort__sync_t;

/* Make a synchroniser of `size` bytes, as cohort__object_new(). */
apr_status_t cohort__sync_new(cohort__thread_t *me, size_t size, void *object);

/* The first half of every destroy: *call when the caller is the one that has to free the object,
 * which is no longer alive then. False: nothing is left to do but to return *status. guarded: the
 * parts of this synchroniser are used under its guard alone. */
bool cohort__sync_end(cohort__call_t *call, void *object, cohort__kind_t kind, uint32_t tag,
                      bool guarded, apr_status_t *status);
/* Enter the guard of a synchroniser that may be destroyed meanwhile: false, and not entered, when
 * it is. */
bool cohort__sync_guard(const cohort__call_t *call);

struct cohort_lock_t {
    cohort__sync_t sync;
};

#define COHORT__TAG_LOCK      COHORT__TAG('L', 'O', 'C', 'K')
#define COHORT__TAG_RLOCK     COHORT__TAG('R', 'L', 'O', 'K')
#define COHORT__TAG_SEMAPHORE COHORT__TAG('S', 'E', 'M', 'A')
#define COHORT__TAG_CONDITION COHORT__TAG('C', 'O', 'N', 'D')
#define COHORT__TAG_EVENT     COHORT__TAG('E', 'V', 'N', 'T')
#define COHORT__TAG_REGION    COHORT__TAG('R', 'E', 'G', 'N')
#define COHORT__TAG_BARRIER   COHORT__TAG('B', 'A', 'R', 'R')

/* For the table of types. */
unsigned cohort__event_ready(const cohort__aim_t *aim, unsigned wanted, bool thorough);
unsigned cohort__semaphore_ready(const cohort__aim_t *aim, unsigned wanted, bool thorough);
unsigned cohort__barrier_ready(const cohort__aim_t *aim, unsigned wanted, bool thorough);
cohort__eventcount_t *cohort__sync_event(const cohort__aim_t *aim, unsigned wanted, int i);
cohort__eventcount_t *cohort__barrier_event(const cohort__aim_t *aim, unsigned wanted, int i);
void cohort__lock_describe(const cohort__aim_t *aim, char *text, size_t size);
void cohort__rlock_describe(const cohort__aim_t *aim, char *text, size_t size);
void cohort__semaphore_describe(const cohort__aim_t *aim, char *text, size_t size);
void cohort__condition_describe(const cohort__aim_t *aim, char *text, size_t size);
void cohort__region_describe(const cohort__aim_t *aim, char *text, size_t size);
void cohort__event_describe(const cohort__aim_t *aim, char *text, size_t size);
void cohort__barrier_describe(const cohort__aim_t *aim, char *text, size_t size);

/* A region of this process, and the life of it in *use; me is the caller's. And its end, if it has
 * not come before. */
apr_status_t cohort__region_open(cohort__call_t *use);
void cohort__region_shut(cohort__call_t *use);
/* This process has ended, or will never start: the regions that it owns go. */
void cohort__regions_drop(cohort__pid_t dead);
/* The same in the repair of a death, which may be that of a start. */
void cohort__regions_repair(cohort__pid_t dead);

/* cohort__lock_acquire() for a lock that lies in call->object: COHORT_EHANDLE when that is
 * destroyed meanwhile. */
apr_status_t cohort__hold_acquire(const cohort__call_t *call, cohort__lock_t *lock,
                                  int64_t deadline);
/* false: the thread does not hold it. When the lock's object is gone another lock may lie here,
 * which another thread holds, and which stays as it is. */
bool cohort__hold_let_go(cohort__thread_t *me, cohort__lock_t *lock);
/* By any thread. COHORT_EOVERRELEASE when no thread holds it. */
apr_status_t cohort__hold_release(const cohort__call_t *call, cohort__lock_t *lock);
/* The end of the lock's object: let the threads that wait for it find out, one after the other. */
void cohort__hold_abandon(cohort__lock_t *lock);
apr_status_t cohort__hold_owner(cohort__lock_t *lock, cohort_process_t **owner);

#endif
