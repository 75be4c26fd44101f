/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The mutex for threads of one process, where a zeroed pthread mutex is an initialised one (checked by the build). */
#include "os_posix.h"

#include <pthread.h>
#include <string.h>

_Static_assert(sizeof(pthread_mutex_t) <= sizeof(cohort_os_mutex_t), "the seam's mutex must hold a pthread mutex");

void cohort_os_mutex_lock(cohort_os_mutex_t *mutex) { pthread_mutex_lock((pthread_mutex_t *)(void *)mutex->opaque); }
void cohort_os_mutex_unlock(cohort_os_mutex_t *mutex) { pthread_mutex_unlock((pthread_mutex_t *)(void *)mutex->opaque); }
void cohort_os_mutex_reset(cohort_os_mutex_t *mutex) { memset(mutex, 0, sizeof *mutex); }
