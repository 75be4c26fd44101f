/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Locks of threads, where a zeroed pthread mutex is an initialised one (checked by the build). */
#include "os_posix.h"

#include <pthread.h>

_Static_assert(sizeof(pthread_mutex_t) <= COHORT__MUTEX_SIZE, "a pthread mutex fits");

void cohort__mutex_acquire(void *lock) { pthread_mutex_lock((pthread_mutex_t *)lock); }
void cohort__mutex_release(void *lock) { pthread_mutex_unlock((pthread_mutex_t *)lock); }
