/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Linked to an example that is compiled with cohort_initialize=example_initialize: the environment
 * chooses its start method. */
#undef cohort_initialize
#include <cohort/cohort.h>

#include <stdlib.h>
#include <string.h>

apr_status_t example_initialize(const cohort_options_t *options) {
    static const char *const names[] = {"", "fork", "spawn", "forkserver"};
    static const cohort_start_method_t methods[] = {COHORT_START_DEFAULT, COHORT_START_FORK,
                                                    COHORT_START_SPAWN, COHORT_START_FORKSERVER};
    cohort_options_t own = {0};
    const char *wanted = getenv("COHORT_TEST_METHOD");
    size_t i = 0;
    while (i < 4 && strcmp(names[i], wanted ? wanted : "") != 0) i++;
    if (i == 4) return APR_EINVAL;
    if (options) own = *options;
    own.method = methods[i];
    return cohort_initialize(&own);
}
