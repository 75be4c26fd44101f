/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Races of imaps: several readers beside the feeder and the workers, in order and not, with outputs
 * that are copied and that are handed over; and an imap that is destroyed while it is read. What a
 * source writes, a task reads, and what a task writes, a reader reads, is plain memory. */
#include "threads.h"

#include <stdatomic.h>

enum { ITEMS = 3000, READERS = 3 };

typedef struct {
    cohort_imap_t *imap;
    int next, n;   /* the source's */
    int ends_with; /* a destruction, at the n-th */
    _Atomic int got[ITEMS];
} reading_t;

static apr_status_t next_number(void *arg, void *input) {
    reading_t *r = arg;
    if (r->next == r->n && r->ends_with) CHECK_STATUS(APR_SUCCESS, cohort_imap_destroy(r->imap));
    if (r->next == r->n) return APR_EOF;
    *(int *)input = r->next++;
    return APR_SUCCESS;
}

static apr_status_t square(const void *input, void *output) {
    *(int *)output = *(const int *)input * *(const int *)input;
    return *(const int *)input == 13 ? cohort_task_fail(APR_EGENERAL, "no %d", 13) : APR_SUCCESS;
}

static apr_status_t square_in_block(const void *input, void *output) {
    (void)output;
    void *place = cohort_task_output(sizeof(int));
    return place ? square(input, place) : APR_ENOMEM;
}

/* Readers with a place of their own for outputs, and others. */
static void read_items(void *arg, int index) {
    reading_t *r = arg;
    int out;
    cohort_item_t item = {0};
    apr_status_t status;
    if (index == 0) item = (cohort_item_t){.data = &out, .capacity = sizeof out};
    while (!(status = cohort_imap_next(r->imap, &item, COHORT_FOREVER))) {
        CHECK(item.index < (apr_size_t)r->n);
        atomic_fetch_add(&r->got[item.index], 1);
        CHECK_STATUS(item.index == 13 ? APR_EGENERAL : APR_SUCCESS, item.status);
        if (!item.status) CHECK_INT(item.index * item.index, *(int *)item.data);
    }
    CHECK(status == APR_EOF || (r->ends_with && status == COHORT_EHANDLE));
    CHECK_STATUS(APR_SUCCESS, cohort_item_release(&item));
}

static void read_together(cohort_pool_t *pool, cohort_job_t job, int unordered, int destroyed) {
    static reading_t r;
    cohort_imap_options_t options = {
        .source = next_number, .source_arg = &r, .window = 200, .unordered = unordered};
    r = (reading_t){.n = ITEMS, .ends_with = destroyed};
    job.input_size = sizeof(int);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_imap(&r.imap, pool, &job, &options, NULL));
    together(READERS, read_items, &r);
    for (int i = 0; i < ITEMS; i++) CHECK(r.got[i] == 1 || (destroyed && r.got[i] == 0));
    CHECK_STATUS(APR_SUCCESS, cohort_imap_destroy(r.imap));
}

static void with_imaps(int destroyed) {
    apr_uint64_t before = blocks_in_use();
    cohort_pool_t *pool = begin_pool(2);
    for (int round = 0; round < 8; round++) {
        cohort_job_t job = {.task = square, .output_size = sizeof(int)};
        if (round & 2) job = (cohort_job_t){square_in_block, .output_size = COHORT_BYTES};
        read_together(pool, job, round & 1, destroyed);
    }
    end_pool(pool, before);
}

static void imaps(void) { with_imaps(0); }
static void imaps_destroyed(void) { with_imaps(1); }

const test_case_t races_imap_cases[] = {
    {"Races", "imaps", imaps}, {"Races", "imaps_destroyed", imaps_destroyed}, {0}};
