/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Imaps: items in order and as they are done, by one reader and by several, in bounded number, and
 * what ends them. */
#include "imaps.h"

/* The block of an item is used again by the next call. */
static void in_order(void) {
    cohort_pool_t *pool = new_pool(3);
    counter_t counter = {.n = 1000};
    cohort_imap_t *imap;
    cohort_item_t item = {0};
    cohort_job_t job = squares;
    job.chunk = 100;
    IMAP(&imap, pool, &job, .source = count_up, .source_arg = &counter);
    check_next(imap, &item, 0);
    void *block = item.data;
    for (int i = 1; i < 1000; i++) check_next(imap, &item, i);
    CHECK(item.data == block);
    check_end(imap, &item, APR_EOF);
    CHECK(item.data == NULL);
    CHECK_INT(1001, counter.calls);
    finish_pool(pool);
}

static void as_they_are_done(void) {
    enum { N = 1000 };
    cohort_pool_t *pool = new_pool(3);
    counter_t counter = {.n = N};
    cohort_imap_t *imap;
    int out = 0, seen[N] = {0};
    cohort_item_t item = {.data = &out, .capacity = sizeof out};
    IMAP(&imap, pool, &squares, .source = count_up, .source_arg = &counter, .unordered = 1);
    for (int i = 0; i < N; i++) {
        CHECK_STATUS(APR_SUCCESS, cohort_imap_next(imap, &item, COHORT_FOREVER));
        CHECK(item.index < N && !seen[item.index]++);
        CHECK_INT(item.index * item.index, out);
    }
    CHECK(item.data == &out);
    check_end(imap, &item, APR_EOF);
    finish_pool(pool);
}

/* In the arena, or copied: then the array need not stay. */
static void of_an_array(void) {
    cohort_pool_t *pool = new_pool(2);
    int *shared = party_memory(100 * sizeof(int)), own[100];
    cohort_imap_t *imap;
    cohort_item_t item = {0};
    fill(shared, 100);
    fill(own, 100);
    for (int copied = 0; copied < 2; copied++) {
        cohort_job_t job = squares;
        job.inputs = copied ? own : shared;
        job.n = 100;
        CHECK_STATUS(APR_SUCCESS, cohort_pool_imap(&imap, pool, &job, NULL, NULL));
        if (copied) memset(own, 0xff, sizeof own);
        for (int i = 0; i < 100; i++) check_next(imap, &item, i);
        check_end(imap, &item, APR_EOF);
    }
    CHECK_STATUS(APR_SUCCESS, cohort_free(shared));
    finish_pool(pool);
}

static apr_status_t nothing_at_all(const void *input, void *output) {
    return input || output ? APR_EGENERAL : APR_SUCCESS;
}

/* Neither inputs nor outputs; and no items. */
static void of_nothing(void) {
    cohort_pool_t *pool = new_pool(2);
    cohort_job_t job = {.task = nothing_at_all, .n = 70};
    cohort_imap_t *imap;
    cohort_item_t item = {0};
    CHECK_STATUS(APR_SUCCESS, cohort_pool_imap(&imap, pool, &job, NULL, NULL));
    for (int i = 0; i < 70; i++) {
        CHECK_STATUS(APR_SUCCESS, cohort_imap_next(imap, &item, COHORT_FOREVER));
        CHECK_STATUS(APR_SUCCESS, item.status);
        CHECK(item.data == NULL && item.size == 0);
    }
    check_end(imap, &item, APR_EOF);
    job.n = 0;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_imap(&imap, pool, &job, NULL, NULL));
    check_end(imap, &item, APR_EOF);
    finish_pool(pool);
}

static apr_status_t tell_index(const void *input, void *output) {
    (void)input;
    *(int *)output = (int)cohort_task_index();
    return *(const int *)cohort_task_context() == 7 ? APR_SUCCESS : APR_EGENERAL;
}

static apr_status_t square_range(const void *inputs, void *outputs, apr_size_t first,
                                 apr_size_t last) {
    const int *in = inputs;
    int *out = outputs;
    if ((int)cohort_task_index() != in[first]) return APR_EGENERAL;
    for (apr_size_t i = first; i < last; i++) out[i] = in[i] * in[i];
    return APR_SUCCESS;
}

/* A context, which need not stay, the index in the imap, and ranges. */
static void as_other_jobs(void) {
    cohort_pool_t *pool = new_pool(2);
    counter_t counter = {.n = 500}, again = counter;
    int context = 7;
    cohort_job_t job = squares;
    cohort_imap_t *imap;
    cohort_item_t item = {0};
    job.task = tell_index;
    job.context = &context;
    job.context_size = sizeof context;
    IMAP(&imap, pool, &job, .source = count_up, .source_arg = &counter);
    context = 0;
    for (int i = 0; i < 500; i++) {
        CHECK_STATUS(APR_SUCCESS, cohort_imap_next(imap, &item, COHORT_FOREVER));
        CHECK_STATUS(APR_SUCCESS, item.status);
        CHECK_INT(i, *(int *)item.data);
    }
    check_end(imap, &item, APR_EOF);
    job = (cohort_job_t){
        .range = square_range, .input_size = sizeof(int), .output_size = sizeof(int), .chunk = 8};
    IMAP(&imap, pool, &job, .source = count_up, .source_arg = &again);
    for (int i = 0; i < 500; i++) check_next(imap, &item, i);
    check_end(imap, &item, APR_EOF);
    finish_pool(pool);
}

/* A task that fails is its item's result. */
static void failures_are_items(void) {
    cohort_pool_t *pool = new_pool(2);
    counter_t counter = {.n = 200};
    cohort_job_t job = squares;
    cohort_imap_t *imap;
    cohort_item_t item = {0};
    job.task = odd_fails;
    IMAP(&imap, pool, &job, .source = count_up, .source_arg = &counter);
    for (int i = 0; i < 200; i++) {
        CHECK_STATUS(APR_SUCCESS, cohort_imap_next(imap, &item, COHORT_FOREVER));
        CHECK_INT(i, item.index);
        CHECK_STATUS(i % 2 == 0 ? APR_SUCCESS : i == 1 ? APR_ENOTIMPL : APR_EINVAL, item.status);
        CHECK_INT(i % 2 ? COHORT_ITEM_FAILED : COHORT_ITEM_DONE, item.state);
        CHECK_INT(i % 2 ? 0 : sizeof(int), item.size);
        if (i == 3) CHECK(strstr(cohort_last_error(), "3 is odd") != NULL);
    }
    check_end(imap, &item, APR_EOF);
    finish_pool(pool);
}

/* Portions of as many items as there can be in one, so that all bits of a word are used. */
static void large_window(int unordered) {
    enum { N = 5000 };
    cohort_pool_t *pool = new_pool(2);
    for (apr_size_t window = 127; window <= 1024; window = window * 2 + 1) {
        counter_t counter = {.n = N};
        cohort_imap_t *imap;
        int out = 0, seen[N] = {0};
        cohort_item_t item = {.data = &out, .capacity = sizeof out};
        IMAP(&imap, pool, &squares, .source = count_up, .source_arg = &counter, .window = window,
             .unordered = unordered);
        for (int i = 0; i < N; i++) {
            CHECK_STATUS(APR_SUCCESS, cohort_imap_next(imap, &item, COHORT_FOREVER));
            CHECK(item.index < N && !seen[item.index]++);
            CHECK(unordered || item.index == (apr_size_t)i);
            CHECK_INT(item.index * item.index, out);
        }
        check_end(imap, &item, APR_EOF);
    }
    finish_pool(pool);
}

static void large_windows(void) { large_window(0); }
static void large_windows_unordered(void) { large_window(1); }

static void other_status(int unordered) {
    enum { N = 10 };
    cohort_pool_t *pool = new_pool(2);
    counter_t counter = {.n = N, .end = APR_EBADF};
    cohort_imap_t *imap;
    int seen[N] = {0};
    cohort_item_t item = {0};
    IMAP(&imap, pool, &squares, .source = count_up, .source_arg = &counter, .unordered = unordered);
    for (int i = 0; i < N; i++) {
        CHECK_STATUS(APR_SUCCESS, cohort_imap_next(imap, &item, COHORT_FOREVER));
        CHECK(item.index < N && !seen[item.index]++);
        CHECK(unordered || item.index == (apr_size_t)i);
    }
    check_end(imap, &item, APR_EBADF);
    finish_pool(pool);
}

static void other_status_ends_input(void) { other_status(0); }
static void other_status_ends_input_unordered(void) { other_status(1); }

/* What a reader has not got is not taken in beyond the window, and the arena holds no more. */
static void window_bounds(void) {
    cohort_pool_t *pool = new_pool(2);
    counter_t counter = {.n = 1000000};
    cohort_imap_t *imap;
    cohort_item_t item = {0};
    IMAP(&imap, pool, &squares, .source = count_up, .source_arg = &counter, .window = 20);
    party_await(&counter.calls, 15);
    apr_sleep(A_WHILE);
    CHECK(counter.calls <= 20);
    for (int i = 0; i < 10; i++) check_next(imap, &item, i);
    party_await(&counter.calls, 25);
    apr_sleep(A_WHILE);
    CHECK(counter.calls <= 30);
    CHECK_STATUS(APR_SUCCESS, cohort_imap_destroy(imap));
    counter = (counter_t){.n = 100};
    IMAP(&imap, pool, &squares, .source = count_up, .source_arg = &counter,
         .window_bytes = 5 * sizeof(int));
    party_await(&counter.calls, 2);
    apr_sleep(A_WHILE);
    CHECK_INT(2, counter.calls);
    CHECK_STATUS(APR_SUCCESS, cohort_imap_destroy(imap));
    CHECK_STATUS(APR_SUCCESS, cohort_item_release(&item));
    finish_pool(pool);
}

static void long_input(void) {
    enum { N = 1000000 };
    cohort_pool_t *pool = new_pool(2);
    counter_t counter = {.n = N};
    cohort_imap_t *imap;
    int out;
    cohort_item_t item = {.data = &out, .capacity = sizeof out};
    IMAP(&imap, pool, &squares, .source = count_up, .source_arg = &counter);
    apr_uint64_t most = 0;
    for (int i = 0; i < N; i++) {
        CHECK_STATUS(APR_SUCCESS, cohort_imap_next(imap, &item, COHORT_FOREVER));
        CHECK_INT(i, item.index);
        if (i == N / 10) most = arena_usage().used + (256 << 10);
        if (i % (N / 100) == 0 && i > N / 10) CHECK(arena_usage().used < most);
    }
    check_end(imap, &item, APR_EOF);
    finish_pool(pool);
}

static void too_small(void) {
    cohort_pool_t *pool = new_pool(1);
    counter_t counter = {.n = 2};
    cohort_imap_t *imap;
    char out[16];
    cohort_item_t item = {.data = out, .capacity = sizeof(int) - 1};
    IMAP(&imap, pool, &squares, .source = count_up, .source_arg = &counter);
    CHECK_STATUS(COHORT_ETOOSMALL, cohort_imap_next(imap, &item, COHORT_FOREVER));
    CHECK_INT(sizeof(int), item.size);
    item.capacity = sizeof out;
    CHECK_STATUS(APR_SUCCESS, cohort_imap_next(imap, &item, COHORT_FOREVER));
    CHECK_INT(0, item.index);
    item = (cohort_item_t){.data = out};
    CHECK_STATUS(COHORT_EFREE, cohort_imap_next(imap, &item, COHORT_FOREVER));
    item = (cohort_item_t){.capacity = 4};
    CHECK_STATUS(APR_EINVAL, cohort_imap_next(imap, &item, COHORT_FOREVER));
    item = (cohort_item_t){0};
    check_next(imap, &item, 1);
    int *kept = item.data;
    item.data = NULL;
    check_end(imap, &item, APR_EOF);
    CHECK_INT(1, *kept);
    CHECK_STATUS(APR_SUCCESS, cohort_free(kept));
    finish_pool(pool);
}

/* ---- time ----------------------------------------------------------------------------------- */

static apr_status_t one_gate(void *arg, void *input) {
    gate_t **gate = arg;
    if (!*gate) return APR_EOF;
    *(gate_t **)input = *gate;
    *gate = NULL;
    return APR_SUCCESS;
}

static const cohort_job_t gates = {.task = pass_gate, .input_size = sizeof(gate_t *)};

static void waits_no_longer(void) {
    cohort_pool_t *pool = new_pool(1);
    gate_t *gate = new_gate(), *given = gate;
    cohort_imap_t *imap;
    cohort_item_t item = {0};
    IMAP(&imap, pool, &gates, .source = one_gate, .source_arg = &given);
    cohort_waitable_t wait = {.object = imap};
    CHECK_STATUS(APR_EAGAIN, cohort_imap_next(imap, &item, 0));
    apr_time_t begin = apr_time_now();
    CHECK_STATUS(APR_TIMEUP, cohort_imap_next(imap, &item, A_WHILE));
    AT_LEAST(A_WHILE, begin);
    CHECK_STATUS(APR_TIMEUP, cohort_wait(&wait, 1, COHORT_WAIT_ANY, A_WHILE));
    atomic_store(&gate->open, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_wait(&wait, 1, COHORT_WAIT_ANY, COHORT_FOREVER));
    CHECK_INT(COHORT_READY_IN, wait.ready);
    CHECK_STATUS(APR_SUCCESS, cohort_imap_next(imap, &item, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_wait(&wait, 1, COHORT_WAIT_ANY, COHORT_FOREVER));
    check_end(imap, &item, APR_EOF);
    CHECK_STATUS(COHORT_EHANDLE, cohort_wait(&wait, 1, COHORT_WAIT_ANY, 0));
    finish_pool(pool);
}

/* The gates of these are shut at first. */
typedef struct {
    gate_t *gate;
    int next, shut, n;
} gates_t;

static gate_t *open_gate; /* for all others */

static apr_status_t next_gate(void *arg, void *input) {
    gates_t *g = arg;
    if (g->next == g->n) return APR_EOF;
    *(gate_t **)input = g->next++ < g->shut ? g->gate : open_gate;
    return APR_SUCCESS;
}

static gates_t new_gates(int shut, int n) {
    open_gate = new_gate();
    atomic_store(&open_gate->open, 1);
    return (gates_t){new_gate(), 0, shut, n};
}

static void free_gates(gates_t *g) {
    CHECK_STATUS(APR_SUCCESS, cohort_free(g->gate));
    CHECK_STATUS(APR_SUCCESS, cohort_free(open_gate));
}

/* Of `timeout` and of `task_timeout`: the first item never ends by itself. */
static void a_late_item_is_a_result(void) {
    enum { N = 100 };
    cohort_pool_t *pool = new_pool(2);
    for (int whole = 0; whole < 2; whole++) {
        gates_t g = new_gates(1, N);
        cohort_job_t job = gates;
        cohort_imap_t *imap;
        cohort_item_t item = {0};
        apr_time_t begin = apr_time_now();
        if (whole) job.timeout = A_WHILE;
        else job.task_timeout = A_WHILE;
        IMAP(&imap, pool, &job, .source = next_gate, .source_arg = &g);
        for (apr_size_t i = 0; i < N; i++) {
            CHECK_STATUS(APR_SUCCESS, cohort_imap_next(imap, &item, COHORT_FOREVER));
            CHECK_INT(i, item.index);
            if (i == 0) AT_LEAST(A_WHILE, begin);
            if (i == 0) CHECK_STATUS(COHORT_EDEADLINE, item.status);
            else CHECK(item.status == APR_SUCCESS || (whole && item.status == COHORT_EDEADLINE));
        }
        check_end(imap, &item, APR_EOF);
        free_gates(&g);
    }
    finish_pool(pool);
}

/* The one worker is busy for so long that the second item, taken in meanwhile, is not run. */
static void an_item_late_in_the_queue(void) {
    cohort_pool_t *pool = new_pool(1);
    gates_t g = new_gates(1, 2);
    cohort_job_t job = gates;
    cohort_imap_t *imap;
    cohort_item_t item = {0};
    job.queue_timeout = A_WHILE;
    IMAP(&imap, pool, &job, .source = next_gate, .source_arg = &g, .unordered = 1);
    party_await(&g.gate->begun, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_imap_next(imap, &item, COHORT_FOREVER));
    CHECK_INT(1, item.index);
    CHECK_STATUS(COHORT_EDEADLINE, item.status);
    CHECK_INT(0, open_gate->begun);
    atomic_store(&g.gate->open, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_imap_next(imap, &item, COHORT_FOREVER));
    CHECK_INT(0, item.index);
    CHECK_STATUS(APR_SUCCESS, item.status);
    check_end(imap, &item, APR_EOF);
    free_gates(&g);
    finish_pool(pool);
}

/* A time that is long for an item: one that is done in it is not late, however long the reader
 * takes. */
static void times_are_of_items(void) {
    enum { N = 6, TIME = 40 * A_WHILE };
    cohort_pool_t *pool = new_pool(1);
    gates_t g = new_gates(0, N);
    cohort_job_t job = gates;
    cohort_imap_t *imap;
    cohort_item_t item = {0};
    job.timeout = job.queue_timeout = TIME;
    IMAP(&imap, pool, &job, .source = next_gate, .source_arg = &g, .window = 2);
    for (int i = 0; i < N; i++) {
        party_await(&open_gate->done, i + 1 < N ? i + 1 : N);
        if (i == 3) apr_sleep(TIME);
        CHECK_STATUS(APR_SUCCESS, cohort_imap_next(imap, &item, COHORT_FOREVER));
        CHECK_STATUS(APR_SUCCESS, item.status);
    }
    check_end(imap, &item, APR_EOF);
    free_gates(&g);
    finish_pool(pool);
}

const test_case_t imap_cases[] = {
    {"Imap", "POOL_11_in_order", in_order},
    {"Imap", "POOL_13_as_they_are_done", as_they_are_done},
    {"Imap", "of_an_array", of_an_array},
    {"Imap", "of_nothing", of_nothing},
    {"Imap", "as_other_jobs", as_other_jobs},
    {"Imap", "failures_are_items", failures_are_items},
    {"Imap", "large_windows", large_windows},
    {"Imap", "large_windows_unordered", large_windows_unordered},
    {"Imap", "POOL_12_other_status_ends_input", other_status_ends_input},
    {"Imap", "POOL_13_other_status_ends_input", other_status_ends_input_unordered},
    {"Imap", "window_bounds", window_bounds},
    {"Imap", "long_input", long_input},
    {"Imap", "too_small", too_small},
    {"Imap", "waits_no_longer", waits_no_longer},
    {"Imap", "a_late_item_is_a_result", a_late_item_is_a_result},
    {"Imap", "an_item_late_in_the_queue", an_item_late_in_the_queue},
    {"Imap", "times_are_of_items", times_are_of_items},
    {0}};
