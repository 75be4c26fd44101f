/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The source of an imap: in which thread it is called, never in two at once, and what its end by
 * another status than APR_EOF leaves to readers, at the first input and with chunks. */
#include "imaps.h"

#include <apr_portable.h>

/* ---- another status ------------------------------------------------------------------------- */

/* All that was given before comes, whole chunks or not; then the status, once. */
static void end_after(int n, apr_size_t chunk, int unordered) {
    cohort_pool_t *pool = new_pool(2);
    counter_t counter = {.n = n, .end = APR_EBADF};
    cohort_job_t job = squares;
    cohort_imap_t *imap;
    int seen[10] = {0};
    cohort_item_t item = {0};
    job.chunk = chunk;
    IMAP(&imap, pool, &job, .source = count_up, .source_arg = &counter, .unordered = unordered);
    for (int i = 0; i < n; i++) {
        CHECK_STATUS(APR_SUCCESS, cohort_imap_next(imap, &item, COHORT_FOREVER));
        CHECK(item.index < (apr_size_t)n && !seen[item.index]++);
        CHECK(unordered || item.index == (apr_size_t)i);
        CHECK_INT(item.index * item.index, *(int *)item.data);
    }
    check_end(imap, &item, APR_EBADF);
    CHECK_INT(n + 1, counter.calls);
    finish_pool(pool);
}

static void ends_at_the_first_input(void) {
    for (int unordered = 0; unordered < 2; unordered++) {
        end_after(0, 1, unordered);
        end_after(0, 7, unordered);
    }
}

static void ends_within_a_chunk(void) {
    for (int unordered = 0; unordered < 2; unordered++) {
        end_after(10, 4, unordered);
        end_after(10, 5, unordered);
        end_after(3, 100, unordered);
    }
}

/* ---- its thread ----------------------------------------------------------------------------- */

enum { N = 3000, IMAPS = 3 };

/* Of all imaps of the test together. */
static struct { _Atomic int inside, entered_again; } source;

typedef struct {
    cohort_imap_t *imap;
    int next;
    apr_os_thread_t thread; /* of the first call */
    int others;             /* calls by another thread */
} given_t;

static apr_status_t give(void *arg, void *input) {
    given_t *given = arg;
    apr_os_thread_t me = apr_os_thread_current();
    if (atomic_fetch_add(&source.inside, 1)) atomic_store(&source.entered_again, 1);
    if (given->next == 0) given->thread = me;
    else given->others += !apr_os_thread_equal(me, given->thread);
    if (given->next % 50 == 0) apr_sleep(200); /* time for another thread to come in */
    apr_status_t status = given->next == N ? APR_EOF : APR_SUCCESS;
    if (!status) *(int *)input = given->next++;
    atomic_fetch_sub(&source.inside, 1);
    return status;
}

static void *APR_THREAD_FUNC read_on(apr_thread_t *thread, void *arg) {
    given_t *given = arg;
    cohort_item_t item = {0};
    (void)thread;
    while (!cohort_imap_next(given->imap, &item, COHORT_FOREVER)) continue;
    (void)cohort_item_release(&item);
    return NULL;
}

typedef struct {
    apr_os_thread_t thread;
    _Atomic int called;
} call_t;

static void note_thread(cohort_result_t *result, void *arg) {
    call_t *call = arg;
    (void)result;
    call->thread = apr_os_thread_current();
    atomic_store(&call->called, 1);
}

/* While an imap is fed. */
static apr_os_thread_t thread_of_callbacks(cohort_pool_t *pool) {
    call_t call = {.called = 0};
    int in = 3, out = 0;
    cohort_result_t *result;
    SUBMIT(&result, pool, NULL, .task = square, COHORT_INPUTS(&in, 1), .outputs = &out,
           .output_size = sizeof out);
    CHECK_STATUS(APR_SUCCESS, cohort_result_add_callback(result, note_thread, &call));
    party_await(&call.called, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
    return call.thread;
}

/* Two readers of each imap ask for more at the same time. */
static void one_thread_calls_it(void) {
    cohort_pool_t *pool = new_pool(2);
    given_t given[IMAPS] = {{0}};
    apr_thread_t *readers[2 * IMAPS];
    for (int i = 0; i < IMAPS; i++)
        IMAP(&given[i].imap, pool, &squares, .source = give, .source_arg = &given[i], .window = 40);
    apr_os_thread_t caller = thread_of_callbacks(pool);
    for (int i = 0; i < 2 * IMAPS; i++) readers[i] = party_thread(read_on, &given[i / 2]);
    for (int i = 0; i < 2 * IMAPS; i++) party_thread_finish(readers[i]);
    CHECK_INT(0, atomic_load(&source.entered_again));
    CHECK(!apr_os_thread_equal(caller, apr_os_thread_current()));
    for (int i = 0; i < IMAPS; i++) {
        CHECK_INT(N, given[i].next);
        CHECK_INT(0, given[i].others);
        CHECK(apr_os_thread_equal(caller, given[i].thread));
        CHECK_STATUS(APR_SUCCESS, cohort_imap_destroy(given[i].imap));
    }
    finish_pool(pool);
}

const test_case_t imap_source_cases[] = {
    {"Imap", "POOL_12_ends_at_the_first_input", ends_at_the_first_input},
    {"Imap", "POOL_12_ends_within_a_chunk", ends_within_a_chunk},
    {"Imap", "one_thread_calls_the_source", one_thread_calls_it},
    {0}};
