/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* main() of tests that make and end cohorts themselves: the test's own process is a member of none
 * when a case begins. */
#include "runner.h"

#include "core/base/os.h"

#include <apr_general.h>
#include <cohort/cohort.h>
#include <stdio.h>
#include <stdlib.h>

static int64_t root;

bool test_in_child(void) { return cohort_os_self().pid != root; }

/* A process that was re-executed does not come back from cohort_initialize(). */
static bool pass_children(void) {
    char text[200];
    apr_status_t status = cohort_initialize(NULL);
    if (status == APR_SUCCESS) cohort_finalize();
    else fprintf(stderr, "cohort_initialize: %s\n", cohort_strerror(status, text, sizeof text));
    return status == APR_SUCCESS;
}

int main(int argc, char **argv) {
    bool lists = argc > 1 && strcmp(argv[1], "--gtest_list_tests") == 0;
    root = cohort_os_self().pid;
    if (apr_initialize() != APR_SUCCESS || (!lists && !pass_children())) {
        return EXIT_FAILURE;
    }
    return test_main(&argc, argv);
}
