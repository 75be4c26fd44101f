/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Pools: jobs of several submitters have the workers by turns. */
#include "pools.h"

/* How the items of a job are run. */
typedef struct {
    _Atomic int begun, done, again; /* again: an attempt that is not the first */
    int pause;                      /* microseconds */
    _Atomic int runs[];
} board_t;

static board_t *new_board(int n, int pause) {
    board_t *board = party_memory(sizeof *board + (apr_size_t)n * sizeof *board->runs);
    board->pause = pause;
    return board;
}

static void run_item(board_t *board, apr_size_t i) {
    atomic_fetch_add(&board->begun, 1);
    atomic_fetch_add(&board->runs[i], 1);
    if (cohort_task_attempt() != 1) atomic_fetch_add(&board->again, 1);
    apr_sleep(board->pause);
    atomic_fetch_add(&board->done, 1);
}

static apr_status_t item(const void *input, void *output) {
    apr_size_t i = cohort_task_index();
    (void)input;
    run_item((board_t *)(uintptr_t)cohort_task_context(), i);
    *(apr_size_t *)output = i + 1;
    return APR_SUCCESS;
}

static apr_status_t range(const void *inputs, void *outputs, apr_size_t first, apr_size_t last) {
    (void)inputs;
    for (apr_size_t i = first; i < last; i++) {
        run_item((board_t *)(uintptr_t)cohort_task_context(), i);
        ((apr_size_t *)outputs)[i] = i + 1;
    }
    return APR_SUCCESS;
}

static void check_board(cohort_result_t *result, board_t *board, int n) {
    CHECK_STATUS(APR_SUCCESS, cohort_result_wait(result, COHORT_FOREVER));
    CHECK_INT(1, cohort_result_is_successful(result));
    const apr_size_t *out = cohort_result_outputs(result);
    for (int i = 0; i < n; i++) {
        CHECK_INT(1, atomic_load(&board->runs[i]));
        CHECK_INT(i + 1, out[i]);
    }
    CHECK_INT(0, atomic_load(&board->again));
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
}

/* Each worker has half of a job as one chunk, and no chunk is left: yet a job that comes later is
 * done before the first one is through its chunk. */
static void long_and_short(void) {
    enum { N = 400 };
    cohort_pool_t *pool = new_pool(2);
    board_t *board = new_board(N, 3000);
    cohort_result_t *result;
    SUBMIT(&result, pool, NULL, .task = item, .n = N, .output_size = sizeof(apr_size_t),
           .chunk = N / 2, .context = board);
    party_await(&board->begun, 2);
    for (int i = 0; i < 5; i++) check_works(pool);
    CHECK(atomic_load(&board->done) < N / 2);
    check_board(result, board, N);
    finish_pool(pool);
}

/* The same when the long job is still on its list. */
static void many_chunks(void) {
    enum { N = 300 };
    cohort_pool_t *pool = new_pool(1);
    board_t *board = new_board(N, 2000);
    cohort_result_t *result;
    SUBMIT(&result, pool, NULL, .task = item, .n = N, .output_size = sizeof(apr_size_t), .chunk = 1,
           .context = board);
    party_await(&board->begun, 1);
    for (int i = 0; i < 5; i++) check_works(pool);
    CHECK(atomic_load(&board->done) < N / 2);
    check_board(result, board, N);
    finish_pool(pool);
}

/* One after the other would have the first done before the second begins. */
static void long_and_long(void) {
    enum { N = 200, JOBS = 3 };
    cohort_pool_t *pool = new_pool(2);
    board_t *boards[JOBS];
    cohort_result_t *results[JOBS];
    for (int i = 0; i < JOBS; i++) {
        boards[i] = new_board(N, 1000);
        SUBMIT(&results[i], pool, NULL, .task = i < 2 ? item : NULL, .range = i < 2 ? NULL : range,
               .n = N, .output_size = sizeof(apr_size_t), .chunk = i == 0 ? N / 2 : 3,
               .context = boards[i]);
    }
    while (atomic_load(&boards[0]->done) < N) apr_sleep(100);
    for (int i = 1; i < JOBS; i++) CHECK(atomic_load(&boards[i]->done) > N / 5);
    for (int i = 0; i < JOBS; i++) check_board(results[i], boards[i], N);
    finish_pool(pool);
}

/* Items that take no time, of jobs that come and go, while workers give way all the time. */
static void crowd(void) {
    enum { N = 1000, ROUNDS = 30 };
    cohort_pool_t *pool = new_pool(3);
    board_t *board = new_board(2 * N, 500);
    cohort_result_t *result;
    SUBMIT(&result, pool, NULL, .task = item, .n = 2 * N, .output_size = sizeof(apr_size_t),
           .chunk = 100, .context = board);
    for (int i = 0; i < ROUNDS; i++) {
        board_t *other = new_board(N, 0);
        cohort_result_t *one;
        SUBMIT(&one, pool, NULL, .task = item, .n = N, .output_size = sizeof(apr_size_t),
               .chunk = (apr_size_t)i * i, .context = other);
        check_works(pool);
        check_board(one, other, N);
        CHECK_STATUS(APR_SUCCESS, cohort_free(other));
    }
    check_board(result, board, 2 * N);
    finish_pool(pool);
}

/* The portions of an imap are in no hurry among themselves, but make room for another job: that
 * does not wait until all that was taken in is done. */
static void beside_an_imap(void) {
    enum { N = 600 };
    cohort_pool_t *pool = new_pool(1);
    board_t *board = new_board(N, 1000);
    cohort_imap_t *imap;
    cohort_item_t got = {0};
    cohort_job_t job = {
        .task = item, .n = N, .output_size = sizeof(apr_size_t), .chunk = 64, .context = board};
    CHECK_STATUS(APR_SUCCESS, cohort_pool_imap(&imap, pool, &job,
                                               &(cohort_imap_options_t){.window = 512}, NULL));
    party_await(&board->begun, 10);
    for (int i = 0; i < 5; i++) check_works(pool);
    CHECK(atomic_load(&board->done) < N / 2);
    for (apr_size_t i = 0; i < N; i++) {
        CHECK_STATUS(APR_SUCCESS, cohort_imap_next(imap, &got, COHORT_FOREVER));
        CHECK_STATUS(APR_SUCCESS, got.status);
        CHECK_INT(i, got.index);
        CHECK_INT(i + 1, *(apr_size_t *)got.data);
        CHECK_INT(1, atomic_load(&board->runs[i]));
    }
    CHECK_STATUS(APR_EOF, cohort_imap_next(imap, &got, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_item_release(&got));
    CHECK_STATUS(APR_SUCCESS, cohort_imap_destroy(imap));
    CHECK_INT(0, atomic_load(&board->again));
    finish_pool(pool);
}

const test_case_t pool_fair_cases[] = {
    {"PoolFair", "long_and_short", long_and_short}, {"PoolFair", "many_chunks", many_chunks},
    {"PoolFair", "long_and_long", long_and_long},   {"PoolFair", "crowd", crowd},
    {"PoolFair", "beside_an_imap", beside_an_imap}, {0},
};
