/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Locks of threads on macOS: its pthread mutex is not usable when zero, while this one is. */
#include "os_posix.h"

#include <os/lock.h>

_Static_assert(sizeof(os_unfair_lock) <= COHORT__MUTEX_SIZE, "an unfair lock fits");

void cohort__mutex_acquire(void *lock) { os_unfair_lock_lock((os_unfair_lock_t)lock); }
void cohort__mutex_release(void *lock) { os_unfair_lock_unlock((os_unfair_lock_t)lock); }
