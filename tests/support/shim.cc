/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The one file in C++: it makes a GoogleTest case of every row of the C tables. */
#include "runner.h"
#include "watchdog.h"

#include <gtest/gtest.h>
#include <stdio.h>
#include <stdlib.h>

namespace {

class Case : public testing::Test {
  public:
    explicit Case(const test_case_t *test) : test_(test) {}

    void TestBody() override {
        test_report_t report;
        test_run_case(test_, &report);
        if (report.outcome == TEST_FAILED) {
            ADD_FAILURE_AT(report.file, report.line) << report.message;
        } else if (report.outcome == TEST_SKIPPED) {
            GTEST_SKIP() << report.message;
        }
    }

  private:
    const test_case_t *test_;
};

void register_table(const test_case_t *table) {
    for (const test_case_t *test = table; test->name != nullptr; test++) {
        testing::RegisterTest(test->suite, test->name, nullptr, nullptr, __FILE__, __LINE__,
                              [test]() -> testing::Test * { return new Case(test); });
    }
}

#ifdef TEST_ONE_CASE
/* Cases of these programs change their process for good: its arena, hooks and handlers. */
class OneCase : public testing::EmptyTestEventListener {
    void OnTestProgramStart(const testing::UnitTest &tests) override {
        if (tests.test_to_run_count() > 1) {
            fprintf(stderr, "This program runs one case in a process, named by "
                            "--gtest_filter=SUITE.CASE; ctest runs them all.\n");
            exit(EXIT_FAILURE);
        }
    }
};
#endif

} // namespace

extern "C" int test_main(int *argc, char **argv) {
    testing::InitGoogleTest(argc, argv);
#ifdef TEST_ONE_CASE
    testing::UnitTest::GetInstance()->listeners().Append(new OneCase); /* which then owns it */
#endif
    for (const test_case_t *const *table = test_tables; *table != nullptr; table++) {
        register_table(*table);
    }
    int result = RUN_ALL_TESTS();
    test_watchdog_start("program", "exit"); /* what atexit does can hang too: it joins children */
    return result;
}
