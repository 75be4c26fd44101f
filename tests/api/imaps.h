/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What the tests of imaps share: a source that counts, and imaps of squares. */
#ifndef COHORT_TESTS_IMAPS_H
#define COHORT_TESTS_IMAPS_H

#include "pools.h"

/* Counts up to n. */
typedef struct {
    int next, n;
    apr_status_t end;
    _Atomic int calls;
} counter_t;

static inline apr_status_t count_up(void *arg, void *input) {
    counter_t *counter = arg;
    atomic_fetch_add(&counter->calls, 1);
    if (counter->next == counter->n) return counter->end ? counter->end : APR_EOF;
    *(int *)input = counter->next++;
    return APR_SUCCESS;
}

static const cohort_job_t squares = {
    .task = square, .input_size = sizeof(int), .output_size = sizeof(int)};

/* An imap of these options. */
#define IMAP(imap, pool, job, ...) \
    CHECK_STATUS(APR_SUCCESS,      \
                 cohort_pool_imap(imap, pool, job, &(cohort_imap_options_t){__VA_ARGS__}, NULL))

static inline void check_next(cohort_imap_t *imap, cohort_item_t *item, int index) {
    CHECK_STATUS(APR_SUCCESS, cohort_imap_next(imap, item, COHORT_FOREVER));
    CHECK_INT(index, item->index);
    CHECK_STATUS(APR_SUCCESS, item->status);
    CHECK_INT(COHORT_ITEM_DONE, item->state);
    CHECK_INT(sizeof(int), item->size);
    CHECK_INT(index * index, *(int *)item->data);
}

static inline void check_end(cohort_imap_t *imap, cohort_item_t *item, apr_status_t status) {
    CHECK_STATUS(status, cohort_imap_next(imap, item, COHORT_FOREVER));
    CHECK_STATUS(APR_EOF, cohort_imap_next(imap, item, COHORT_FOREVER));
    CHECK_STATUS(APR_EOF, cohort_imap_next(imap, item, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_item_release(item));
    CHECK_STATUS(APR_SUCCESS, cohort_imap_destroy(imap));
    CHECK_STATUS(COHORT_EHANDLE, cohort_imap_next(imap, item, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_imap_destroy(imap));
}

#endif
