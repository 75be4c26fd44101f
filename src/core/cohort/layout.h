/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Having an arena. */
#ifndef COHORT_CORE_LAYOUT_H
#define COHORT_CORE_LAYOUT_H

#include "core/memory/arena.h"

apr_status_t cohort__arena_create(uint64_t size, bool dump);
apr_status_t cohort__arena_attach(const cohort_os_arena_t *map);
void cohort__arena_detach(void);

#endif
