# Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0
# One case of each noun under valgrind, which looks at the test's process only: children are followed by their own tests. Definite leaks and errors fail it.
# The arena is small, since the search for leaks reads, and so commits, all of it.
add_test(NAME valgrind.representative
  COMMAND ${COHORT_VALGRIND} --quiet --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite --error-exitcode=98
          --suppressions=${CMAKE_CURRENT_SOURCE_DIR}/support/valgrind.supp
          --child-silent-after-fork=yes $<TARGET_FILE:test_api> --gtest_filter=${COHORT_VALGRIND_CASES}
  WORKING_DIRECTORY ${COHORT_TEST_DIR})
set_tests_properties(valgrind.representative PROPERTIES
  ENVIRONMENT "COHORT_TEST_METHOD=forkserver;COHORT_TEST_TIMEOUT=240;COHORT_ARENA_SIZE=256M" TIMEOUT 900 LABELS check FIXTURES_REQUIRED leftovers)
