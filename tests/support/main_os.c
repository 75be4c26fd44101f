/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * main() of the tests of the seam: no cohort, so that arena, park and hooks are the tests' own. A
 * process that was started again with a boot block runs the function test_reexec(), which the test
 * file that starts such processes defines.
 */
#include "core/base/os.h"
#include "runner.h"

#include <apr_general.h>
#include <stdio.h>
#include <stdlib.h>

/* Ends the process. */
void test_reexec(const cohort_os_boot_t *boot);

static int64_t root;

bool test_in_child(void) { return cohort_os_self().pid != root; }

int main(int argc, char **argv) {
    cohort_os_boot_t boot;
    root = cohort_os_self().pid;
    apr_status_t status = cohort_os_boot_take(&boot);
    if (status == APR_SUCCESS) test_reexec(&boot);
    if (!APR_STATUS_IS_ENOENT(status)) {
        fprintf(stderr, "%s\n", cohort__reason(status));
        return TEST_EXIT_FAILED;
    }
    if (apr_initialize() != APR_SUCCESS) {
        return EXIT_FAILURE;
    }
    return test_main(&argc, argv);
}
