/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The processes of a cohort run the same version of the library. */
#include "../api/parties.h"

#include "core/memory/arena.h"

/* What a child finds in the arena when its parent has a library of the next version. */
static void another_version_is_refused(void) {
    cohort_process_t *process;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_create(&process, nothing, NULL, 0,
                                       &(cohort_process_options_t){.method = cohort_start_method()},
                                       NULL));
    bool looks =
        strcmp(test_method(), "fork") != 0; /* children of fork have what their parent has */
    cohort__arena->version++;
    CHECK_STATUS(looks ? COHORT_EVERSION : APR_SUCCESS, cohort_process_start(process));
    cohort__arena->version--;
    if (looks) CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
    party_end(process, 0);
}

static void the_arena_has_it(void) {
    uint32_t version =
        COHORT_VERSION_MAJOR << 16 | COHORT_VERSION_MINOR << 8 | COHORT_VERSION_PATCH;
    CHECK_INT(version, cohort__arena->version & 0xffffff);
}

const test_case_t version_cases[] = {
    {"CoreVersion", "another_version_is_refused", another_version_is_refused},
    {"CoreVersion", "the_arena_has_it", the_arena_has_it},
    {0},
};
