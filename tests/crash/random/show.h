/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What is printed when something does not hold. */
#ifndef COHORT_TESTS_RANDOM_SHOW_H
#define COHORT_TESTS_RANDOM_SHOW_H

#include "core/life/slots.h"

void show_process(cohort_process_t *process, uint32_t index);
void show_thread(cohort__thread_t *thread, uint32_t index);
void show_blocks(void);

#endif
