/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The mutex for threads of one process: the system's, and that a thread which holds any is
 * cancelled only when it has given back the last one. */
#include "os_posix.h"

#include <pthread.h>

_Static_assert(COHORT__MUTEX_SIZE <= sizeof(cohort_os_mutex_t),
               "the seam's mutex must hold the system's");

static _Thread_local unsigned held;  /* how many this thread holds, or waits for */
static _Thread_local bool forbidden; /* by the first of them: cancelling this thread */

void cohort_os_mutex_lock(cohort_os_mutex_t *mutex) {
    if (held++ == 0) forbidden = cohort__allow_cancel(false);
    cohort__mutex_acquire(mutex->opaque);
}

void cohort_os_mutex_unlock(cohort_os_mutex_t *mutex) {
    cohort__mutex_release(mutex->opaque);
    if (--held == 0 && forbidden) (void)cohort__allow_cancel(true);
}

/* The only thread of the copy is the one that forked, and it may have held some. */
void cohort__mutexes_forked(void) {
    if (held && forbidden) (void)cohort__allow_cancel(true);
    held = 0;
}

bool cohort__allow_cancel(bool allowed) {
    int before;
    pthread_setcancelstate(allowed ? PTHREAD_CANCEL_ENABLE : PTHREAD_CANCEL_DISABLE, &before);
    return before == PTHREAD_CANCEL_ENABLE;
}
