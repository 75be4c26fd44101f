/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What the synchronisers share: the beginning of a call on an object, and the public locks' acquire and release. */
#ifndef COHORT_CORE_SYNC_H
#define COHORT_CORE_SYNC_H

#include "core/lock.h"
#include "core/object.h"

#include <cohort/errors.h>

/* A call on an object: who calls, and which life of the object is meant. Waits end when that life does. */
typedef struct {
    cohort__thread_t *me;
    cohort__object_t *object;
    uint64_t life;
} cohort__use_t;

/* COHORT_EHANDLE unless it is a live object of that type; COHORT_ENOTINIT, COHORT_ENOTMEMBER. */
static inline apr_status_t cohort__use_begin(cohort__use_t *use, void *object, cohort__kind_t kind, uint32_t tag) {
    apr_status_t status = cohort__enter(&use->me);
    if (status) return status;
    if (!cohort__object_place(object, kind)) return object ? COHORT_EHANDLE : APR_EINVAL;
    use->object = object;
    use->life = atomic_load_explicit(&use->object->tag, memory_order_acquire);
    return use->life >> 32 == tag ? APR_SUCCESS : COHORT_EHANDLE;
}
static inline bool cohort__use_over(const cohort__use_t *use) {
    return atomic_load_explicit(&use->object->tag, memory_order_acquire) != use->life;
}

/* The first half of every destroy: *use when the caller is the one who has to free the object, which is no longer alive then. False:
 * nothing is left to do but to return *status. */
bool cohort__use_end(cohort__use_t *use, void *object, cohort__kind_t kind, uint32_t tag, apr_status_t *status);

struct cohort_lock_t {
    cohort__object_t object;
    cohort__lock_t lock;
};
#define COHORT__TAG_LOCK COHORT__TAG('L', 'O', 'C', 'K')

/* cohort__lock_acquire() for a lock that lies in use->object: COHORT_EHANDLE when that is destroyed meanwhile. */
apr_status_t cohort__hold_acquire(const cohort__use_t *use, cohort__lock_t *lock, int64_t deadline);
/* By anybody. COHORT_EOVERRELEASE when nobody holds it. */
apr_status_t cohort__hold_release(cohort__lock_t *lock);
/* The end of the lock's object: let those who wait for it find out, one after the other. */
void cohort__hold_abandon(cohort__lock_t *lock);
apr_status_t cohort__hold_owner(cohort__lock_t *lock, cohort_process_t **owner);

#endif
