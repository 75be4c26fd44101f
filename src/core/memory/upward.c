/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
#include "core/memory/upward.h"

const cohort__upward_t *cohort__upward;
