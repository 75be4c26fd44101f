/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Imaps that end before their input does: destroyed, or with their pool; and sources that call. */
#include "imaps.h"

/* ---- with the pool -------------------------------------------------------------------------- */

static apr_status_t next_gate(void *arg, void *input) {
    gate_t *gate = arg;
    atomic_fetch_add(&gate->runs, 1);
    *(gate_t **)input = gate;
    return APR_SUCCESS;
}

static const cohort_job_t gates = {.task = pass_gate, .input_size = sizeof(gate_t *)};

/* What was taken in comes out, and then it is said once that there would have been more. */
static void pool_closed(void) {
    cohort_pool_t *pool = new_pool(2);
    gate_t *gate = new_gate();
    cohort_imap_t *imap;
    cohort_item_t item = {0};
    atomic_store(&gate->open, 1);
    IMAP(&imap, pool, &gates, .source = next_gate, .source_arg = gate, .window = 40);
    party_await(&gate->done, 30);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_close(pool));
    apr_status_t status;
    int n = 0;
    for (; !(status = cohort_imap_next(imap, &item, COHORT_FOREVER)); n++) {
        CHECK_INT(n, item.index);
        CHECK_STATUS(APR_SUCCESS, item.status);
    }
    CHECK_STATUS(COHORT_ENOTRUNNING, status);
    CHECK(n >= 30 && n <= 40);
    check_end(imap, &item, APR_EOF);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_join(pool, COHORT_FOREVER));
    CHECK_STATUS(COHORT_ENOTRUNNING, cohort_pool_imap(&imap, pool, &gates, NULL, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
    CHECK_STATUS(APR_SUCCESS, cohort_free(gate));
}

/* Items that are not done are cancelled. The pool's memory goes with the last of the two. */
static void pool_ended(bool destroyed) {
    apr_uint64_t before = blocks_in_use();
    cohort_pool_t *pool = new_pool(2);
    gate_t *gate = new_gate();
    cohort_imap_t *imap;
    cohort_item_t item = {0};
    IMAP(&imap, pool, &gates, .source = next_gate, .source_arg = gate, .window = 16);
    party_await(&gate->begun, 2);
    CHECK_STATUS(APR_EAGAIN, cohort_imap_next(imap, &item, 0));
    CHECK_STATUS(APR_SUCCESS, destroyed ? cohort_pool_destroy(pool) : cohort_pool_terminate(pool));
    apr_status_t status;
    int n = 0;
    for (; !(status = cohort_imap_next(imap, &item, COHORT_FOREVER)); n++) {
        CHECK_INT(n, item.index);
        CHECK_INT(COHORT_ITEM_CANCELLED, item.state);
        CHECK_STATUS(COHORT_ETERMINATED, item.status);
    }
    CHECK_STATUS(COHORT_ENOTRUNNING, status);
    CHECK(n >= 2 && n <= 16);
    if (!destroyed) CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
    check_end(imap, &item, APR_EOF);
    CHECK_STATUS(APR_SUCCESS, cohort_free(gate));
    CHECK_INT(before, blocks_in_use());
}

static void pool_terminated(void) { pool_ended(false); }
static void pool_destroyed(void) { pool_ended(true); }

/* ---- destroyed ------------------------------------------------------------------------------ */

typedef struct {
    cohort_imap_t *imap;
    _Atomic int *waits;
} reader_t;

static int wait_for_item(void *args) {
    reader_t *reader = args;
    cohort_item_t item = {0};
    atomic_fetch_add(reader->waits, 1);
    CHECK_STATUS(COHORT_EHANDLE, cohort_imap_next(reader->imap, &item, COHORT_FOREVER));
    return 0;
}

/* While others wait for it; what it had under way is gone when its tasks have ended. */
static void destroyed_while_read(void) {
    cohort_pool_t *pool = new_pool(2);
    apr_uint64_t before = blocks_in_use();
    gate_t *gate = new_gate();
    cohort_process_t *readers[3];
    cohort_imap_t *imap;
    IMAP(&imap, pool, &gates, .source = next_gate, .source_arg = gate);
    reader_t reader = {imap, &gate->done};
    parties_start(readers, 3, wait_for_item, &reader, sizeof reader);
    party_await(&gate->begun, 2);
    party_await(&gate->done, 3);
    apr_sleep(A_WHILE);
    CHECK_STATUS(APR_SUCCESS, cohort_imap_destroy(imap));
    int calls = atomic_load(&gate->runs);
    parties_finish(readers, 3);
    atomic_store(&gate->open, 1);
    check_works(pool);
    CHECK_INT(calls, atomic_load(&gate->runs));
    while (blocks_in_use() > before + 1) apr_sleep(1000);
    CHECK_STATUS(APR_SUCCESS, cohort_free(gate));
    finish_pool(pool);
}

/* At any time: nothing is left. */
static void destroyed_at_any_time(void) {
    cohort_pool_t *pool = new_pool(2);
    check_works(pool);
    apr_uint64_t before = blocks_in_use();
    for (int i = 0; i < 300; i++) {
        counter_t counter = {.n = 200};
        cohort_imap_t *imap;
        cohort_item_t item = {0};
        IMAP(&imap, pool, &squares, .source = count_up, .source_arg = &counter, .unordered = i % 2,
             .window = 1 + i % 37);
        for (int n = i % 60; n > 0; n--)
            CHECK_STATUS(APR_SUCCESS, cohort_imap_next(imap, &item, COHORT_FOREVER));
        CHECK_STATUS(APR_SUCCESS, cohort_item_release(&item));
        CHECK_STATUS(APR_SUCCESS, cohort_imap_destroy(imap));
        memset(&counter, 0xff, sizeof counter); /* it is not called any more */
    }
    while (blocks_in_use() > before) apr_sleep(1000);
    finish_pool(pool);
}

static void with_an_apr_pool(void) {
    cohort_pool_t *pool = new_pool(2);
    apr_pool_t *parent;
    counter_t counter = {.n = 1000};
    cohort_imap_t *imap;
    cohort_item_t item = {0};
    CHECK_STATUS(APR_SUCCESS, apr_pool_create(&parent, test_pool()));
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_imap(
                     &imap, pool, &squares,
                     &(cohort_imap_options_t){.source = count_up, .source_arg = &counter}, parent));
    check_next(imap, &item, 0);
    apr_pool_destroy(parent);
    CHECK_STATUS(COHORT_EHANDLE, cohort_imap_next(imap, &item, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_item_release(&item));
    finish_pool(pool);
}

/* ---- sources that call ---------------------------------------------------------------------- */

typedef struct {
    cohort_imap_t *_Atomic imap;
    cohort_pool_t *pool;
    _Atomic int calls;
    apr_status_t status;
} caller_t;

static cohort_imap_t *imap_of(caller_t *caller) {
    cohort_imap_t *imap;
    while (!(imap = atomic_load(&caller->imap))) apr_sleep(500);
    return imap;
}

/* Nothing is taken in that could be waited for, and this is the thread that would take it in. */
static apr_status_t read_in_source(void *arg, void *input) {
    caller_t *caller = arg;
    cohort_item_t item = {0};
    int x = 6, y = 0;
    (void)input;
    CHECK_STATUS(APR_EAGAIN, cohort_imap_next(imap_of(caller), &item, 0));
    caller->status = cohort_imap_next(imap_of(caller), &item, COHORT_FOREVER);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_apply(caller->pool, square, &x, sizeof x, &y, sizeof y));
    CHECK_INT(36, y);
    return APR_EOF;
}

static void source_reads(void) {
    caller_t caller = {.pool = new_pool(1)};
    cohort_imap_t *imap;
    cohort_item_t item = {0};
    IMAP(&imap, caller.pool, &squares, .source = read_in_source, .source_arg = &caller);
    atomic_store(&caller.imap, imap);
    check_end(imap, &item, APR_EOF);
    CHECK_STATUS(COHORT_ENOWAIT, caller.status);
    finish_pool(caller.pool);
}

static apr_status_t destroy_in_source(void *arg, void *input) {
    caller_t *caller = arg;
    *(int *)input = atomic_fetch_add(&caller->calls, 1);
    if (*(int *)input == 20) CHECK_STATUS(APR_SUCCESS, cohort_imap_destroy(imap_of(caller)));
    return APR_SUCCESS;
}

static void source_destroys(void) {
    caller_t caller = {.pool = new_pool(1)};
    cohort_imap_t *imap;
    cohort_item_t item = {0};
    apr_status_t status;
    IMAP(&imap, caller.pool, &squares, .source = destroy_in_source, .source_arg = &caller);
    atomic_store(&caller.imap, imap);
    while (!(status = cohort_imap_next(imap, &item, COHORT_FOREVER))) continue;
    CHECK_STATUS(COHORT_EHANDLE, status);
    apr_sleep(A_WHILE);
    CHECK_INT(21, caller.calls);
    CHECK_STATUS(APR_SUCCESS, cohort_item_release(&item));
    finish_pool(caller.pool);
}

static apr_status_t destroy_pool_in_source(void *arg, void *input) {
    caller_t *caller = arg;
    *(int *)input = atomic_fetch_add(&caller->calls, 1);
    if (*(int *)input == 20) CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(caller->pool));
    return APR_SUCCESS;
}

static void source_destroys_pool(void) {
    caller_t caller = {.pool = new_pool(1)};
    cohort_imap_t *imap;
    cohort_item_t item = {0};
    apr_status_t status;
    int n = 0;
    IMAP(&imap, caller.pool, &squares, .source = destroy_pool_in_source, .source_arg = &caller);
    for (; !(status = cohort_imap_next(imap, &item, COHORT_FOREVER)); n++) CHECK_INT(n, item.index);
    CHECK_STATUS(COHORT_ENOTRUNNING, status);
    CHECK(n <= 20);
    check_end(imap, &item, APR_EOF);
}

/* The callbacks of a result come between the calls of a source that never ends. */
static void callbacks_have_their_turn(void) {
    cohort_pool_t *pool = new_pool(2);
    counter_t counter = {.n = 1 << 30};
    cohort_imap_t *imaps[2];
    cohort_item_t item = {0};
    int x = 3, y = 0;
    for (int i = 0; i < 2; i++)
        IMAP(&imaps[i], pool, &squares, .source = count_up, .source_arg = &counter);
    for (int i = 0; i < 100; i++) {
        CHECK_STATUS(APR_SUCCESS, cohort_imap_next(imaps[i % 2], &item, COHORT_FOREVER));
        CHECK_INT(i / 2, item.index);
    }
    CHECK_STATUS(APR_SUCCESS, cohort_pool_apply(pool, square, &x, sizeof x, &y, sizeof y));
    CHECK_INT(9, y);
    for (int i = 0; i < 2; i++) CHECK_STATUS(APR_SUCCESS, cohort_imap_destroy(imaps[i]));
    CHECK_STATUS(APR_SUCCESS, cohort_item_release(&item));
    finish_pool(pool);
}

static int leave_with_imap(void *args) {
    cohort_pool_t *pool = *(cohort_pool_t **)args;
    static counter_t counter = {.n = 1 << 30};
    cohort_imap_t *imap;
    cohort_item_t item = {0};
    IMAP(&imap, pool, &squares, .source = count_up, .source_arg = &counter);
    check_next(imap, &item, 0);
    return 3;
}

static void process_ends_with_imap(void) {
    cohort_pool_t *pool = new_pool(2);
    cohort_process_t *maker = party_start(leave_with_imap, &pool, sizeof pool);
    party_end(maker, 3);
    check_works(pool);
    finish_pool(pool);
}

const test_case_t imap_end_cases[] = {
    {"ImapEnd", "pool_closed", pool_closed},
    {"ImapEnd", "pool_terminated", pool_terminated},
    {"ImapEnd", "pool_destroyed", pool_destroyed},
    {"ImapEnd", "destroyed_while_read", destroyed_while_read},
    {"ImapEnd", "destroyed_at_any_time", destroyed_at_any_time},
    {"ImapEnd", "with_an_apr_pool", with_an_apr_pool},
    {"ImapEnd", "source_reads", source_reads},
    {"ImapEnd", "source_destroys", source_destroys},
    {"ImapEnd", "source_destroys_pool", source_destroys_pool},
    {"ImapEnd", "callbacks_have_their_turn", callbacks_have_their_turn},
    {"ImapEnd", "process_ends_with_imap", process_ends_with_imap},
    {0}};
