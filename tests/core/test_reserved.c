/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The look at the reserved tail of a struct: each word of it counts, and the sentence names it. */
#include "check.h"

#include "core/base/reserved.h"

#include <stdio.h>

static apr_status_t look(const apr_uint64_t *words) {
    return COHORT__CALL(cohort__check_reserved(words, 8, "options.reserved"));
}

static apr_status_t look_at(const apr_uint64_t *words) {
    return COHORT__CALL(cohort__check_reserved_at(words, 2, "items", 7));
}

static void each_word_counts(void) {
    char sentence[200];
    for (int i = 0; i < 8; i++) {
        for (int bit = 0; bit < 64; bit += 21) {
            apr_uint64_t words[8] = {0};
            CHECK_STATUS(APR_SUCCESS, look(words));
            words[i] = (apr_uint64_t)1 << bit;
            CHECK_STATUS(COHORT_EOPTION, look(words));
            snprintf(sentence, sizeof sentence,
                     "look: options.reserved[%d] is not 0: an option that this version of Cohort "
                     "does not know",
                     i);
            CHECK_STR(sentence, cohort_last_error());
        }
    }
}

static void an_element_is_named(void) {
    apr_uint64_t words[3] = {0, 0, 1}; /* the last is beyond the tail */
    CHECK_STATUS(APR_SUCCESS, look_at(words));
    words[1] = 5;
    CHECK_STATUS(COHORT_EOPTION, look_at(words));
    CHECK_STR("look_at: items[7].reserved[1] is not 0: an option that this version of Cohort does "
              "not know",
              cohort_last_error());
}

const test_case_t reserved_cases[] = {
    {"CoreReserved", "each_word_counts", each_word_counts},
    {"CoreReserved", "an_element_is_named", an_element_is_named},
    {0},
};
