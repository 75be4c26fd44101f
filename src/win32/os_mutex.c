/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The mutex for threads of one process: the system's. Threads are not cancelled there, and one
 * that is zero is free. */
#include "os_win32.h"

_Static_assert(sizeof(SRWLOCK) <= sizeof(cohort_os_mutex_t),
               "the seam's mutex has room for the system's");

static SRWLOCK *lock_of(cohort_os_mutex_t *mutex) { return (SRWLOCK *)(void *)mutex->opaque; }

void cohort_os_mutex_lock(cohort_os_mutex_t *mutex) { AcquireSRWLockExclusive(lock_of(mutex)); }

void cohort_os_mutex_unlock(cohort_os_mutex_t *mutex) { ReleaseSRWLockExclusive(lock_of(mutex)); }
