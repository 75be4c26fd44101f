/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* main() of the tests that use the library as a member of a cohort: its root, with the start method
 * that COHORT_TEST_METHOD names. */
#include "runner.h"

#include <apr_general.h>
#include <cohort/cohort.h>
#include <stdio.h>
#include <stdlib.h>

static cohort_process_t *root;

bool test_in_child(void) { return cohort_process_current() != root; }

static bool method_find(const char *name, cohort_start_method_t *method) {
    static const struct {
        const char *name;
        cohort_start_method_t method;
    } methods[] = {{"", COHORT_START_DEFAULT},
                   {"fork", COHORT_START_FORK},
                   {"spawn", COHORT_START_SPAWN},
                   {"forkserver", COHORT_START_FORKSERVER}};
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        if (strcmp(methods[i].name, name) == 0) {
            *method = methods[i].method;
            return true;
        }
    }
    return false;
}

/* The build asks for the list of cases; it must not need a cohort for that. */
static bool only_lists(int argc, char **argv) {
    return argc > 1 && strcmp(argv[1], "--gtest_list_tests") == 0;
}

static bool begin(void) {
    cohort_options_t options = {0};
    apr_status_t status;
    char text[200];
    if (!method_find(test_method(), &options.method)) {
        fprintf(stderr, "COHORT_TEST_METHOD=%s is no start method\n", test_method());
        return false;
    }
    status = cohort_initialize(&options);
    if (status != APR_SUCCESS) {
        fprintf(stderr, "cohort_initialize: %s\n", cohort_strerror(status, text, sizeof text));
        return false;
    }
    root = cohort_process_current();
    return true;
}

int main(int argc, char **argv) {
    if (!only_lists(argc, argv) && !begin()) {
        return EXIT_FAILURE;
    }
    if (apr_initialize() != APR_SUCCESS) {
        return EXIT_FAILURE;
    }
    return test_main(&argc, argv);
}
