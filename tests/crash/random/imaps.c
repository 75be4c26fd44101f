/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The root's imaps, while workers and all others are killed. The root feeds and reads, and is not
 * killed itself; so each item has one outcome, in an ordered imap in the order of the inputs, and
 * ran once, or never if it is charged with a death. */
#include "imaps.h"

#include <string.h>

#define ITEMS 400

static struct {
    cohort_imap_t *imap;
    _Atomic uint32_t *runs;
    uint32_t n, given, got;
    bool unordered, seen[ITEMS];
    cohort_item_t item;
} at;

static apr_status_t next_job(void *arg, void *input) {
    (void)arg;
    if (at.given == at.n) return APR_EOF;
    *(job_t *)input = (job_t){at.runs, at.given++};
    return APR_SUCCESS;
}

static void begin(board_t *board, dice_t *dice) {
    if (!at.runs && cohort_alloc((void **)&at.runs, ITEMS * sizeof *at.runs)) return;
    memset((void *)at.runs, 0, ITEMS * sizeof *at.runs);
    memset(at.seen, 0, sizeof at.seen);
    at.n = 1 + (uint32_t)roll_below(dice, ITEMS);
    at.given = at.got = 0;
    at.unordered = roll_below(dice, 2) != 0;
    cohort_job_t job = {.task = load_task,
                        .input_size = sizeof(job_t),
                        .output_size = sizeof(uint32_t),
                        .chunk = (apr_size_t)roll_below(dice, 5)};
    cohort_imap_options_t options = {.source = next_job,
                                     .unordered = at.unordered,
                                     .window = 1 + (apr_size_t)roll_below(dice, 200)};
    apr_status_t status = cohort_pool_imap(&at.imap, board->pool, &job, &options, NULL);
    MUST(board, !status, "an imap gave status %d", status);
    if (status) at.imap = NULL;
}

static void check_item(board_t *board, imap_tally_t *tally) {
    uint32_t i = (uint32_t)at.item.index;
    bool known = i < at.n && !at.seen[i];
    MUST(board, known, "item %u of an imap came twice, or is none", i);
    if (!known) return;
    MUST(board, at.unordered || i == at.got, "item %u of an imap came as number %u", i, at.got);
    uint32_t runs = atomic_load(&at.runs[i]);
    apr_status_t status = at.item.status;
    bool died = status == COHORT_EWORKERDIED;
    MUST(board, runs == 1 || (!runs && died), "item %u of an imap ran %u times", i, runs);
    MUST(board, died || status == (i % 97 == 96 ? TASK_FAILS : APR_SUCCESS),
         "item %u of an imap ended with %d", i, status);
    MUST(board, status || *(uint32_t *)at.item.data == i + 1, "item %u of an imap is wrong", i);
    at.seen[i] = true;
    at.got++;
    tally->charged += died;
}

static void end(board_t *board, imap_tally_t *tally, apr_status_t status) {
    MUST(board, status == APR_EOF, "the next item of an imap gave status %d", status);
    MUST(board, at.got == at.n, "%u of %u items of an imap came", at.got, at.n);
    status = cohort_imap_destroy(at.imap);
    if (!status) status = cohort_item_release(&at.item);
    MUST(board, !status, "the end of an imap gave status %d", status);
    at.imap = NULL;
    tally->imaps++;
}

static void read_on(board_t *board, imap_tally_t *tally, apr_interval_time_t timeout) {
    apr_status_t status;
    while (!(status = cohort_imap_next(at.imap, &at.item, timeout))) check_item(board, tally);
    if (status != APR_EAGAIN) end(board, tally, status);
}

/* Some are left in the middle. */
void imaps_go_on(board_t *board, dice_t *dice, imap_tally_t *tally) {
    if (!at.imap) begin(board, dice);
    if (at.imap && roll_below(dice, 50)) {
        read_on(board, tally, 0);
        return;
    }
    apr_status_t status = cohort_imap_destroy(at.imap);
    MUST(board, !status, "an imap that is left gave status %d", status);
    at.imap = NULL;
    tally->left++;
}

void imaps_end(board_t *board, imap_tally_t *tally) {
    if (at.imap) read_on(board, tally, COHORT_FOREVER);
    (void)cohort_item_release(&at.item);
    (void)cohort_free((void *)at.runs);
    at.runs = NULL;
}
