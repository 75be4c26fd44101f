/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The mutex for threads of one process: the system's, and that a thread which holds one is
 * cancelled only when it has given it back. */
#include "os_posix.h"

#include <pthread.h>
#include <string.h>

typedef struct {
    _Alignas(8) unsigned char lock[COHORT__MUTEX_SIZE];
    pthread_t holder;
    bool forbidden; /* by this mutex: cancelling the holder */
} mutex_t;

_Static_assert(sizeof(mutex_t) <= sizeof(cohort_os_mutex_t), "the seam's mutex must hold this one");

void cohort_os_mutex_lock(cohort_os_mutex_t *mutex) {
    mutex_t *m = (mutex_t *)(void *)mutex->opaque;
    bool forbidden = cohort__allow_cancel(false);
    cohort__mutex_acquire(m->lock);
    m->holder = pthread_self();
    m->forbidden = forbidden;
}

void cohort_os_mutex_unlock(cohort_os_mutex_t *mutex) {
    mutex_t *m = (mutex_t *)(void *)mutex->opaque;
    bool forbidden = m->forbidden;
    m->forbidden = false;
    cohort__mutex_release(m->lock);
    if (forbidden) (void)cohort__allow_cancel(true);
}

/* The only thread of the copy is the one that forked, and it may be the holder. */
void cohort_os_mutex_reset(cohort_os_mutex_t *mutex) {
    const mutex_t *m = (const mutex_t *)(const void *)mutex->opaque;
    bool forbidden = m->forbidden && pthread_equal(m->holder, pthread_self());
    memset(mutex, 0, sizeof *mutex);
    if (forbidden) (void)cohort__allow_cancel(true);
}

bool cohort__allow_cancel(bool allowed) {
    int before;
    pthread_setcancelstate(allowed ? PTHREAD_CANCEL_ENABLE : PTHREAD_CANCEL_DISABLE, &before);
    return before == PTHREAD_CANCEL_ENABLE;
}
