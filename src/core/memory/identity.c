/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
#include "core/memory/identity.h"

#include "core/memory/member.h"

COHORT__PER_PROCESS _Alignas(COHORT_COPIES_ALIGNED) cohort__identity_t cohort__identity;
/* outlives the page, so that a copy never comes to a number that its threads remember */
static COHORT__PER_PROCESS uint32_t last_epoch;

void cohort__self_set(cohort_process_t *slot) {
    cohort__identity.self = slot;
    cohort__identity.id = slot ? cohort__process_id(slot) : 0;
    if (slot) cohort__identity.original = cohort__identity.usual = COHORT__ORIGINAL;
}

void cohort__identity_clear(void) {
    cohort__identity.self = NULL;
    cohort__identity.id = 0;
    cohort__identity.original = cohort__identity.usual = 0;
}

void cohort__threads_reset(void) { atomic_store(&cohort__identity.epoch, ++last_epoch); }

void cohort__end_copied_task(apr_status_t status) {
    cohort__end_copy(status && !(status & 0xff) ? 255 : status);
}
