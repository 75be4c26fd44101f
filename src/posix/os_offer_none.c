/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* For systems where a socket needs a place in a directory, which a killed process would leave
 * behind. */
#include "os_posix.h"

apr_status_t cohort_os_offer_make(cohort_os_handle_t handle, cohort_os_offer_t *offer) {
    (void)handle, (void)offer;
    return cohort__fail(APR_ENOTIMPL, "this system hands descriptors on to children alone");
}

apr_status_t cohort_os_offer_fetch(const cohort_os_offer_t *offer, cohort_os_id_t owner,
                                   int64_t deadline, bool (*win)(void *arg), void *arg,
                                   cohort_os_handle_t *handle, bool *told) {
    (void)offer, (void)owner, (void)deadline, (void)win, (void)arg, (void)handle, (void)told;
    return APR_ENOTIMPL;
}

void cohort_os_offer_end(const cohort_os_offer_t *offer, bool taken) { (void)offer, (void)taken; }

void cohort__offers_forked(void) {}
