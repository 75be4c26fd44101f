/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* One descriptor after the other, for every POSIX system. */
#include "os_posix.h"

int cohort__files_close_on_exec(int first) { return cohort__files_walk(first); }
