/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The mutex for threads of one process on macOS, whose pthread mutex is not usable when zero, while this one is. */
#include "os_posix.h"

#include <os/lock.h>
#include <string.h>

void cohort_os_mutex_lock(cohort_os_mutex_t *mutex) { os_unfair_lock_lock((os_unfair_lock_t)(void *)mutex->opaque); }
void cohort_os_mutex_unlock(cohort_os_mutex_t *mutex) { os_unfair_lock_unlock((os_unfair_lock_t)(void *)mutex->opaque); }
void cohort_os_mutex_reset(cohort_os_mutex_t *mutex) { memset(mutex, 0, sizeof *mutex); }
