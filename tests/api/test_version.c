/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The version of the headers and that of the library. */
#include "check.h"

#include <cohort/cohort.h>
#include <stdio.h>

#if !COHORT_VERSION_AT_LEAST(0, 2, 0) || COHORT_VERSION_AT_LEAST(1000, 0, 0)
#error the preprocessor knows the version, too
#endif

static void headers_and_library_agree(void) {
    char version[64];
    snprintf(version, sizeof version, "%d.%d.%d", COHORT_VERSION_MAJOR, COHORT_VERSION_MINOR,
             COHORT_VERSION_PATCH);
    CHECK_STR(version, COHORT_VERSION_STRING);
    CHECK_STR(version, cohort_version());
}

/* Each number counts, the first one most. */
static void at_least(void) {
    const int major = COHORT_VERSION_MAJOR, minor = COHORT_VERSION_MINOR,
              patch = COHORT_VERSION_PATCH;
    CHECK(COHORT_VERSION_AT_LEAST(major, minor, patch));
    CHECK(!COHORT_VERSION_AT_LEAST(major, minor, patch + 1));
    CHECK(!COHORT_VERSION_AT_LEAST(major, minor + 1, 0));
    CHECK(!COHORT_VERSION_AT_LEAST(major + 1, 0, 0));
    CHECK(COHORT_VERSION_AT_LEAST(major, minor - 1, patch + 1));
    CHECK(COHORT_VERSION_AT_LEAST(major - 1, minor + 1, patch + 1));
}

const test_case_t version_cases[] = {
    {"Version", "headers_and_library_agree", headers_and_library_agree},
    {"Version", "at_least", at_least},
    {0},
};
