/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The tables through which the storeys call upward. */
#ifndef COHORT_CORE_REGISTRY_H
#define COHORT_CORE_REGISTRY_H

/* Have the lower storeys know them. Before anything else in a process; may be repeated. */
void cohort__registry_hand_down(void);

#endif
