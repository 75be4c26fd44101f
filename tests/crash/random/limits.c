/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The root's jobs that are cancelled as a whole or by their items, softly or hard, or that have
 * little time, while workers and all others are killed and the pool changes its size. Each item has
 * one outcome, of those that were asked for; one that was not charged with anything has its output.
 * It ran once; again only if its worker was ended for another item, at most once for each of these.
 */
#include "limits.h"

#include <string.h>

#define ITEMS 200

typedef enum { CANCEL_JOB, CANCEL_ITEMS, LIMIT_JOB, LIMIT_QUEUE, LIMIT_ITEMS, WAYS } way_t;

static struct {
    cohort_result_t *result;
    _Atomic uint32_t *runs;
    uint32_t n, ended; /* how many workers may have been ended for another item */
    way_t way;
} at;

static void set_limits(cohort_job_t *job, dice_t *dice) {
    static const apr_interval_time_t graces[] = {0, 500, COHORT_FOREVER};
    apr_interval_time_t time = 500 + (apr_interval_time_t)roll_below(dice, 8000);
    if (at.way == LIMIT_JOB) job->timeout = time;
    if (at.way == LIMIT_QUEUE) job->queue_timeout = time;
    if (at.way == LIMIT_ITEMS) job->task_timeout = 300 + time / 8;
    if (at.way != LIMIT_QUEUE) job->task_grace = graces[roll_below(dice, 3)];
}

static void begin(board_t *board, dice_t *dice) {
    job_t items[ITEMS];
    if (!at.runs && cohort_alloc((void **)&at.runs, ITEMS * sizeof *at.runs)) return;
    memset((void *)at.runs, 0, ITEMS * sizeof *at.runs);
    at.n = 1 + (uint32_t)roll_below(dice, ITEMS);
    at.ended = 0;
    at.way = (way_t)roll_below(dice, WAYS);
    for (uint32_t i = 0; i < at.n; i++) items[i] = (job_t){at.runs, i};
    cohort_job_t job = load_order(LOAD_TASK, items, NULL, at.n);
    job.chunk = (apr_size_t)roll_below(dice, 9);
    if (at.way >= LIMIT_JOB) set_limits(&job, dice);
    apr_status_t status = cohort_pool_submit(&at.result, board->pool, &job, NULL);
    MUST(board, !status, "a submission with limits gave status %d", status);
    if (status) at.result = NULL;
}

static void cancel(board_t *board, dice_t *dice, limits_tally_t *tally) {
    cohort_cancel_t how = roll_below(dice, 2) ? COHORT_CANCEL_HARD : COHORT_CANCEL_SOFT;
    apr_status_t status = APR_SUCCESS;
    if (at.way == CANCEL_JOB) status = cohort_result_cancel(at.result, how);
    for (int i = 0; at.way == CANCEL_ITEMS && i < 4 && !status; i++)
        status = cohort_result_cancel_item(at.result, (apr_size_t)roll_below(dice, at.n), how);
    if (how == COHORT_CANCEL_HARD && at.way == CANCEL_ITEMS) at.ended += 4;
    if (how == COHORT_CANCEL_HARD) tally->ended += 4;
    MUST(board, !status, "a cancellation gave status %d", status);
}

static bool is_right(apr_status_t status, uint32_t i) {
    if (!status) return i % 97 != 96;
    if (status == COHORT_ECANCELLED) return at.way <= CANCEL_ITEMS;
    if (status == COHORT_EDEADLINE) return at.way >= LIMIT_JOB;
    return status == COHORT_EWORKERDIED || (status == TASK_FAILS && i % 97 == 96);
}

static void check_item(board_t *board, uint32_t i, const uint32_t *outputs, limits_tally_t *tally) {
    cohort_item_t item = {0};
    uint32_t runs = atomic_load(&at.runs[i]);
    apr_status_t status = cohort_result_item(at.result, i, &item);
    MUST(board, !status, "item %u of a limited job gave status %d", i, status);
    status = item.status;
    bool returned = !status || status == TASK_FAILS;
    MUST(board, is_right(status, i), "item %u of a limited job (%d) ended with %d", i, at.way,
         status);
    MUST(board, status || outputs[i] == i + 1, "item %u of a limited job gave %u", i, outputs[i]);
    MUST(board, runs >= returned && runs <= 1 + at.ended,
         "item %u of a limited job (%d) with status %d ran %u times, %u were ended", i, at.way,
         status, runs, at.ended);
    tally->cancelled += status == COHORT_ECANCELLED;
    tally->late += status == COHORT_EDEADLINE;
}

static void check(board_t *board, limits_tally_t *tally) {
    uint32_t outputs[ITEMS] = {0};
    uint64_t late = tally->late;
    (void)!cohort_result_get(at.result, outputs, sizeof outputs, 0);
    for (uint32_t i = 0; at.way == LIMIT_ITEMS && i < at.n; i++) {
        cohort_item_t item = {0};
        at.ended += !cohort_result_item(at.result, i, &item) && item.status == COHORT_EDEADLINE;
    }
    for (uint32_t i = 0; i < at.n; i++) check_item(board, i, outputs, tally);
    if (at.way == LIMIT_ITEMS) tally->ended += at.ended;
    if (at.way == LIMIT_JOB) tally->ended += 4;
    MUST(board, at.way >= LIMIT_JOB || late == tally->late, "an item without a time is late");
    apr_status_t status = cohort_result_destroy(at.result);
    MUST(board, !status, "the end of a limited job gave status %d", status);
    at.result = NULL;
    tally->jobs++;
}

static void resize(board_t *board, dice_t *dice, limits_tally_t *tally) {
    apr_status_t status = cohort_pool_resize(board->pool, 1 + (apr_size_t)roll_below(dice, 4));
    MUST(board, !status, "another size of the pool gave status %d", status);
    tally->resized++;
}

void limits_go_on(board_t *board, dice_t *dice, limits_tally_t *tally) {
    if (roll_below(dice, 30) == 0) resize(board, dice, tally);
    if (at.result && at.way <= CANCEL_ITEMS && roll_below(dice, 3) == 0) cancel(board, dice, tally);
    if (at.result && cohort_result_is_ready(at.result)) check(board, tally);
    if (!at.result) begin(board, dice);
}

bool limits_excuse(limits_tally_t *tally, uint32_t runs) {
    if (runs < 2) return false;
    return (tally->excused += runs - 1) <= tally->ended;
}

void limits_end(board_t *board, limits_tally_t *tally) {
    if (at.result) (void)cohort_result_wait(at.result, COHORT_FOREVER);
    if (at.result) check(board, tally);
    (void)cohort_free((void *)at.runs);
    at.runs = NULL;
}
