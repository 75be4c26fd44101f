/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Pools: tasks that do a range of items. */
#include "pools.h"

/* ---- which ranges there are ----------------------------------------------------------------- */

/* What a range says of each of its items. */
typedef struct {
    apr_size_t calls, first, last, index, attempt;
} seen_t;

static apr_status_t look(const void *inputs, void *outputs, apr_size_t first, apr_size_t last) {
    const apr_size_t *in = inputs;
    seen_t *out = outputs;
    const int *context = cohort_task_context();
    if (*context != 42) return APR_EGENERAL;
    for (apr_size_t i = first; i < last; i++) {
        if (in[i] != i) return APR_EGENERAL;
        out[i] =
            (seen_t){out[i].calls + 1, first, last, cohort_task_index(), cohort_task_attempt()};
    }
    return APR_SUCCESS;
}

/* As the header says. */
static apr_size_t expected_chunk(apr_size_t n, apr_size_t chunk, apr_size_t workers) {
    apr_size_t most = n / (16 * workers), least = n / (128 * workers);
    if (chunk) return chunk;
    if (least < 1024) least = 1024;
    if (least < most) most = least;
    if (most > 64) most = (most + 63) / 64 * 64;
    return most ? most : 1;
}

/* Each item is in one range, the ranges are the chunks, and all but the last one are whole. */
static void check_partition(const seen_t *seen, apr_size_t n, apr_size_t chunk) {
    for (apr_size_t i = 0; i < n; i++) {
        apr_size_t first = i / chunk * chunk, last = n - first < chunk ? n : first + chunk;
        CHECK_INT(1, seen[i].calls);
        CHECK_INT(first, seen[i].first);
        CHECK_INT(last, seen[i].last);
        CHECK_INT(first, seen[i].index);
        CHECK_INT(1, seen[i].attempt);
    }
}

static void partition(void) {
    enum { MOST = 500001, WORKERS = 3 };
    static const apr_size_t counts[] = {1, 2, 47, 48, 3071, 3072, 3121, 49152, 60001, MOST},
                            chunks[] = {0, 1, 2, 7, 64, 1000, MOST, MOST + 1};
    cohort_pool_t *pool = new_pool(WORKERS);
    apr_size_t *in = party_memory(MOST * sizeof *in);
    seen_t *out = party_memory(MOST * sizeof *out);
    const int context = 42;
    for (apr_size_t i = 0; i < MOST; i++) in[i] = i;
    for (unsigned i = 0; i < sizeof counts / sizeof *counts; i++) {
        for (unsigned j = 0; j < sizeof chunks / sizeof *chunks; j++) {
            if (counts[i] > 5000 && chunks[j] && chunks[j] < 64) continue;
            memset(out, 0, MOST * sizeof *out);
            RUN(pool, .range = look, COHORT_INPUTS(in, counts[i]), COHORT_OUTPUTS(out),
                .chunk = chunks[j], .context = &context, .context_size = sizeof context);
            check_partition(out, counts[i], expected_chunk(counts[i], chunks[j], WORKERS));
            if (counts[i] < MOST) CHECK_INT(0, out[counts[i]].calls);
        }
    }
    finish_pool(pool);
}

/* ---- where the data is ---------------------------------------------------------------------- */

static apr_status_t squares(const void *inputs, void *outputs, apr_size_t first, apr_size_t last) {
    const int *in = inputs;
    int *out = outputs;
    for (apr_size_t i = first; i < last; i++) out[i] = in[i] * in[i];
    return APR_SUCCESS;
}

static void values(void) {
    enum { N = 10007 };
    static int in[N], out[N];
    int *shared_in = party_memory(sizeof in), *shared_out = party_memory(sizeof out);
    cohort_pool_t *pool = new_pool(2);
    cohort_result_t *result;
    fill(in, N);
    fill(shared_in, N);
    CHECK_STATUS(APR_SUCCESS, COHORT_MAP_RANGES(pool, squares, in, N, out));
    check_squares(out, N);
    CHECK_STATUS(APR_SUCCESS, COHORT_MAP_RANGES(pool, squares, shared_in, N, shared_out));
    check_squares(shared_out, N);
    memset(out, 0, sizeof out);
    SUBMIT(&result, pool, test_pool(), .range = squares, COHORT_INPUTS(shared_in, N),
           COHORT_OUTPUTS(out));
    CHECK_STATUS(APR_SUCCESS, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
    check_squares(out, N);
    SUBMIT(&result, pool, test_pool(), .range = squares, COHORT_INPUTS(in, N),
           .output_size = sizeof(int));
    CHECK_STATUS(APR_SUCCESS, cohort_result_wait(result, COHORT_FOREVER));
    check_squares(cohort_result_outputs(result), N);
    CHECK_STATUS(APR_SUCCESS, COHORT_MAP_RANGES(pool, squares, in, 0, out));
    finish_pool(pool);
}

static apr_status_t has_no_data(const void *inputs, void *outputs, apr_size_t first,
                                apr_size_t last) {
    gate_t *const *gate = cohort_task_context();
    if (inputs || outputs) return APR_EGENERAL;
    atomic_fetch_add(&(*gate)->runs, (int)(last - first));
    return APR_SUCCESS;
}

static void no_data(void) {
    cohort_pool_t *pool = new_pool(2);
    gate_t *gate = new_gate();
    RUN(pool, .range = has_no_data, .n = 1001, .context = &gate, .context_size = sizeof gate);
    CHECK_INT(1001, atomic_load(&gate->runs));
    finish_pool(pool);
}

/* Ranges and plain tasks by turns, of the same workers. */
static void in_turns(void) {
    enum { N = 100 };
    int in[N], out[N];
    cohort_pool_t *pool = new_pool(1);
    fill(in, N);
    for (int i = 0; i < 20; i++) {
        memset(out, 0, sizeof out);
        CHECK_STATUS(APR_SUCCESS, COHORT_MAP_RANGES(pool, squares, in, N, out));
        check_squares(out, N);
        check_works(pool);
    }
    finish_pool(pool);
}

/* ---- failures ------------------------------------------------------------------------------- */

enum { ITEMS = 95, CHUNK = 10 };

static apr_status_t some_fail(const void *inputs, void *outputs, apr_size_t first,
                              apr_size_t last) {
    apr_status_t status = squares(inputs, outputs, first, last);
    if (first == 30) return APR_ENOTIMPL;
    return first == 90 ? cohort_task_fail(APR_EINVAL, "%d items", (int)(last - first)) : status;
}

static void check_error(const cohort_task_error_t *error, apr_status_t status, int index,
                        int count) {
    CHECK_STATUS(status, error->status);
    CHECK_INT(index, error->index);
    CHECK_INT(count, error->count);
    CHECK_INT(1, error->attempt);
}

static void check_item(cohort_result_t *result, int index, cohort_item_state_t state,
                       apr_status_t status) {
    cohort_item_t item;
    CHECK_STATUS(APR_SUCCESS, cohort_result_item(result, (apr_size_t)index, &item));
    CHECK_INT(state, item.state);
    CHECK_STATUS(status, item.status);
    CHECK_INT(1, item.attempt + (state == COHORT_ITEM_QUEUED || state == COHORT_ITEM_DONE));
    if (state == COHORT_ITEM_DONE) CHECK_INT(index * index, *(int *)item.data);
}

/* A failure is that of its range; what the others did is there. */
static void failure(void) {
    cohort_pool_t *pool = new_pool(2);
    cohort_result_t *result;
    cohort_task_error_t error, **errors;
    apr_size_t n;
    int in[ITEMS], out[ITEMS];
    fill(in, ITEMS);
    SUBMIT(&result, pool, test_pool(), .range = some_fail, COHORT_INPUTS(in, ITEMS),
           COHORT_OUTPUTS(out), .chunk = CHUNK);
    CHECK_STATUS(APR_ENOTIMPL, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
    CHECK(strstr(cohort_last_error(), "the range of items 30 to 39, run by P-") != NULL);
    check_squares(out, ITEMS);
    CHECK_STATUS(APR_SUCCESS, cohort_result_error(result, &error));
    check_error(&error, APR_ENOTIMPL, 30, CHUNK);
    for (int i = 0; i < ITEMS; i++) {
        bool failed = i / CHUNK == 3 || i / CHUNK == 9;
        check_item(result, i, failed ? COHORT_ITEM_FAILED : COHORT_ITEM_DONE,
                   !failed          ? APR_SUCCESS
                   : i / CHUNK == 3 ? APR_ENOTIMPL
                                    : APR_EINVAL);
    }
    CHECK_STATUS(APR_SUCCESS, cohort_result_errors(result, &errors, &n, test_pool()));
    CHECK_INT(2, n);
    check_error(errors[0], APR_ENOTIMPL, 30, CHUNK);
    check_error(errors[1], APR_EINVAL, 90, ITEMS % CHUNK);
    CHECK_STR("5 items", errors[1]->message);
    CHECK_STATUS(APR_SUCCESS, COHORT_MAP_RANGES(pool, squares, in, ITEMS, out));
    finish_pool(pool);
}

static apr_status_t wait_in_second(const void *inputs, void *outputs, apr_size_t first,
                                   apr_size_t last) {
    gate_t *gate = (gate_t *)(uintptr_t)cohort_task_context();
    if (first == CHUNK) (void)!pass_gate(&gate, NULL);
    return squares(inputs, outputs, first, last);
}

/* All items of a range are as far as the range is. */
static void items(void) {
    cohort_pool_t *pool = new_pool(1);
    gate_t *gate = new_gate();
    cohort_result_t *result;
    int in[3 * CHUNK];
    fill(in, 3 * CHUNK);
    SUBMIT(&result, pool, test_pool(), .range = wait_in_second, COHORT_INPUTS(in, 3 * CHUNK),
           .output_size = sizeof *in, .chunk = CHUNK, .context = gate);
    party_await(&gate->begun, 1);
    for (int i = 0; i < 3 * CHUNK; i++) {
        check_item(result, i,
                   i < CHUNK       ? COHORT_ITEM_DONE
                   : i < 2 * CHUNK ? COHORT_ITEM_RUNNING
                                   : COHORT_ITEM_QUEUED,
                   APR_SUCCESS);
    }
    atomic_store(&gate->open, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_result_wait(result, COHORT_FOREVER));
    for (int i = 0; i < 3 * CHUNK; i++) check_item(result, i, COHORT_ITEM_DONE, APR_SUCCESS);
    finish_pool(pool);
}

/* An imap's items are done in ranges, too; each has the outcome of its range. */
static void of_an_imap(void) {
    cohort_pool_t *pool = new_pool(2);
    cohort_imap_t *imap;
    int in[ITEMS];
    fill(in, ITEMS);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_imap(&imap, pool,
                                               &(cohort_job_t){.range = squares,
                                                               COHORT_INPUTS(in, ITEMS),
                                                               .output_size = sizeof(int)},
                                               NULL, test_pool()));
    for (int i = 0; i < ITEMS; i++) {
        cohort_item_t item = {0};
        CHECK_STATUS(APR_SUCCESS, cohort_imap_next(imap, &item, COHORT_FOREVER));
        CHECK_INT(i, item.index);
        CHECK_INT(COHORT_ITEM_DONE, item.state);
        CHECK_INT(i * i, *(int *)item.data);
        CHECK_STATUS(APR_SUCCESS, cohort_item_release(&item));
    }
    CHECK_STATUS(APR_EOF, cohort_imap_next(imap, &(cohort_item_t){0}, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_imap_destroy(imap));
    finish_pool(pool);
}

/* Of a plain task it is one item, and of what was ended before it failed none. */
static void count_of_others(void) {
    cohort_pool_t *pool = new_pool(1);
    gate_t *gate = new_gate();
    cohort_result_t *result;
    cohort_task_error_t error;
    int in[4] = {0, 1, 2, 3};
    SUBMIT(&result, pool, test_pool(), .task = odd_fails, COHORT_INPUTS(in, 4),
           .output_size = sizeof *in, .chunk = 4);
    CHECK_STATUS(APR_SUCCESS, cohort_result_wait(result, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_result_error(result, &error));
    check_error(&error, APR_ENOTIMPL, 1, 1);
    SUBMIT(&result, pool, test_pool(), .task = pass_gate, COHORT_INPUTS(&gate, 1));
    party_await(&gate->begun, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_terminate(pool));
    CHECK_STATUS(APR_SUCCESS, cohort_result_error(result, &error));
    CHECK_STATUS(COHORT_ETERMINATED, error.status);
    CHECK_INT(0, error.count);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
}

/* ---- deaths --------------------------------------------------------------------------------- */

/* What every range of a job shares. */
typedef struct {
    int deadly; /* the item with the range that dies, */
    int times;  /* at most so often */
    _Atomic int calls[ITEMS / CHUNK + 1], attempts;
} mortal_t;

static apr_status_t mortal(const void *inputs, void *outputs, apr_size_t first, apr_size_t last) {
    mortal_t *m = (mortal_t *)(uintptr_t)cohort_task_context();
    const apr_size_t deadly = (apr_size_t)m->deadly;
    int calls = atomic_fetch_add(&m->calls[first / CHUNK], 1);
    if (deadly < first || deadly >= last) return squares(inputs, outputs, first, last);
    (void)!squares(inputs, outputs, first, deadly);
    atomic_store(&m->attempts, (int)cohort_task_attempt());
    if (calls < m->times) {
        (void)cohort_process_kill(cohort_process_current());
        party_wait_for_death();
    }
    return squares(inputs, outputs, deadly, last);
}

typedef struct {
    apr_size_t attempts;
    int deadly, times;
    apr_status_t status;
} death_t;

static void check_death(const cohort_result_t *result, int first, int attempts) {
    cohort_task_error_t **errors;
    apr_size_t n;
    CHECK_STATUS(APR_SUCCESS, cohort_result_errors(result, &errors, &n, test_pool()));
    CHECK_INT(1, n);
    CHECK_STATUS(COHORT_EWORKERDIED, errors[0]->status);
    CHECK_INT(first, errors[0]->index);
    CHECK_INT(first + CHUNK > ITEMS ? ITEMS - first : CHUNK, errors[0]->count);
    CHECK_INT(-9, errors[0]->exit_code);
    CHECK_INT(attempts, errors[0]->attempt);
    CHECK(strstr(errors[0]->message, errors[0]->worker) != NULL);
}

/* The dead one's range was begun as often as the attempts allow and is charged once; all others are
 * done, once each. */
static void one_death(cohort_pool_t *pool, death_t death) {
    mortal_t *m = party_memory(sizeof *m);
    cohort_result_t *result;
    int in[ITEMS], out[ITEMS], first = death.deadly / CHUNK * CHUNK;
    int begun = death.status ? (int)death.attempts : death.times + 1;
    fill(in, ITEMS);
    m->deadly = death.deadly;
    m->times = death.times;
    SUBMIT(&result, pool, test_pool(), .range = mortal, COHORT_INPUTS(in, ITEMS),
           COHORT_OUTPUTS(out), .chunk = CHUNK, .attempts = death.attempts, .context = m);
    CHECK_STATUS(death.status, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
    for (int i = 0; i < ITEMS; i++) {
        bool dies = i / CHUNK == death.deadly / CHUNK;
        CHECK_INT(dies ? begun : 1, atomic_load(&m->calls[i / CHUNK]));
        if (!dies || !death.status) CHECK_INT(i * i, out[i]);
    }
    CHECK_INT(begun, atomic_load(&m->attempts));
    if (death.status) check_death(result, first, begun);
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
}

static void deaths(void) {
    static const death_t all[] = {
        {1, 34, 1, COHORT_EWORKERDIED}, {1, 0, 1, COHORT_EWORKERDIED},
        {1, 94, 1, COHORT_EWORKERDIED}, {2, 35, 1, APR_SUCCESS},
        {2, 90, 1, APR_SUCCESS},        {2, 57, 2, COHORT_EWORKERDIED},
        {3, 9, 9, COHORT_EWORKERDIED},
    };
    cohort_pool_t *pool = new_pool(2);
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) one_death(pool, all[i]);
    check_works(pool);
    finish_pool(pool);
}

/* ---- what is refused ------------------------------------------------------------------------ */

static void refusals(void) {
    cohort_pool_t *pool = new_pool(1);
    int x = 1;
    cohort_job_t both = {.task = square, .range = squares, COHORT_INPUTS(&x, 1)},
                 neither = {COHORT_INPUTS(&x, 1)};
    CHECK_STATUS(APR_EINVAL, cohort_pool_run(pool, &both));
    CHECK(strstr(cohort_last_error(), "both task and range are given") != NULL);
    CHECK_STATUS(APR_EINVAL, cohort_pool_run(pool, &neither));
    CHECK_STATUS(APR_EINVAL, cohort_pool_map_ranges(pool, squares, NULL, 4, 1, NULL, 0));
    finish_pool(pool);
}

const test_case_t pool_range_cases[] = {
    {"PoolRange", "partition", partition},
    {"PoolRange", "values", values},
    {"PoolRange", "no_data", no_data},
    {"PoolRange", "in_turns", in_turns},
    {"PoolRange", "failure", failure},
    {"PoolRange", "items", items},
    {"PoolRange", "of_an_imap", of_an_imap},
    {"PoolRange", "count_of_others", count_of_others},
    {"PoolRange", "deaths", deaths},
    {"PoolRange", "refusals", refusals},
    {0},
};
