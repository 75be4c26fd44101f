/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Histograms of times: each time has one cell, the cells are in order and none is wider than it is
 * said to be, and percentiles of times that are known. */
#include "check.h"

#include "core/base/spread.h"

#include <stdlib.h>

static void check_cell(uint64_t time, unsigned cell) {
    uint64_t middle = cohort__spread_time(cell),
             off = middle > time ? middle - time : time - middle;
    CHECK(cell < COHORT__SPREAD_CELLS);
    CHECK_INT(cell, cohort__spread_cell(middle));
    CHECK(off * 32 <= time);
}

/* Around each power of two, and in between. */
static void each_time_has_a_cell(void) {
    unsigned last = 0;
    for (uint64_t time = 0; time < 100000; time++) {
        unsigned cell = cohort__spread_cell(time);
        CHECK(cell == last || cell == last + 1);
        check_cell(time, cell);
        last = cell;
    }
    for (unsigned bit = 16; bit <= COHORT__SPREAD_TOP; bit++) {
        uint64_t power = (uint64_t)1 << bit;
        CHECK_INT(cohort__spread_cell(power - 1) + 1, cohort__spread_cell(power));
        check_cell(power - 1, cohort__spread_cell(power - 1));
        check_cell(power, cohort__spread_cell(power));
        check_cell(power + power / 3, cohort__spread_cell(power + power / 3));
    }
    CHECK_INT(COHORT__SPREAD_CELLS - 1,
              cohort__spread_cell(((uint64_t)2 << COHORT__SPREAD_TOP) - 1));
    CHECK_INT(COHORT__SPREAD_CELLS - 1, cohort__spread_cell((uint64_t)2 << COHORT__SPREAD_TOP));
    CHECK_INT(COHORT__SPREAD_CELLS - 1, cohort__spread_cell(UINT64_MAX));
}

static cohort__spread_t *new_spread(void) { return calloc(1, sizeof(cohort__spread_t)); }

static void check_near(uint64_t expected, uint64_t found) {
    uint64_t off = expected > found ? expected - found : found - expected;
    CHECK(off * 32 <= expected);
}

static void percentiles(void) {
    cohort__spread_t *spread = new_spread(), *other = new_spread();
    cohort__spread_sum_t sum = {0};
    CHECK_INT(0, cohort__spread_percentile(&sum, 50));
    for (int i = 1; i <= 1000; i++) cohort__spread_add(spread, i * 1000);
    cohort__spread_read(spread, &sum);
    CHECK_INT(1000, sum.count);
    CHECK_INT(500500000, sum.sum);
    CHECK_INT(1000000, sum.most);
    check_near(500000, cohort__spread_percentile(&sum, 50));
    check_near(990000, cohort__spread_percentile(&sum, 99));
    CHECK(cohort__spread_percentile(&sum, 100) <= 1000000);
    check_near(1000, cohort__spread_percentile(&sum, 0));
    for (int i = 0; i < 9000; i++) cohort__spread_add(other, 7);
    cohort__spread_add(other, -5); /* a clock that stood still */
    cohort__spread_read(other, &sum);
    CHECK_INT(10001, sum.count);
    CHECK_INT(1000000, sum.most);
    CHECK_INT(7, cohort__spread_percentile(&sum, 50));
    check_near(900000, cohort__spread_percentile(&sum, 99));
    free(spread);
    free(other);
}

/* One of a hundred, and one of many more: at the rank, and not one beside it. */
static void ranks(void) {
    cohort__spread_t *spread = new_spread();
    cohort__spread_sum_t sum = {0}, again = {0};
    for (int i = 0; i < 99; i++) cohort__spread_add(spread, 1);
    cohort__spread_add(spread, 15);
    cohort__spread_read(spread, &sum);
    CHECK_INT(1, cohort__spread_percentile(&sum, 99));
    CHECK_INT(15, cohort__spread_percentile(&sum, 100));
    cohort__spread_add(spread, 15);
    cohort__spread_read(spread, &again);
    CHECK_INT(15, cohort__spread_percentile(&again, 99));
    free(spread);
}

const test_case_t spread_cases[] = {
    {"CoreSpread", "each_time_has_a_cell", each_time_has_a_cell},
    {"CoreSpread", "percentiles", percentiles},
    {"CoreSpread", "ranks", ranks},
    {0},
};
