/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Progress: the line of a bar, what callbacks are told, and silence where there is no terminal. How
 * bars look on one: tests/posix/test_bars.c. */
#include "pools.h"

#include <apr_file_io.h>

/* ---- lines ---------------------------------------------------------------------------------- */

static void check_line(const char *expected, const cohort_progress_t *progress, int columns,
                       int ascii) {
    char line[512];
    apr_size_t length =
        cohort_progress_line(line, sizeof line, progress, (apr_size_t)columns, ascii);
    CHECK_STR(expected, line);
    CHECK_INT(strlen(line), length);
}

static const cohort_progress_t half = {.label = "pages",
                                       .done = 450,
                                       .total = 1000,
                                       .rate = 150.24,
                                       .elapsed = 3000000,
                                       .remaining = 3660000};

static void line_with_a_total(void) {
    check_line("pages:  45%|####5     | 450/1000 [00:03<00:03, 150.2it/s]", &half, 57, 1);
    check_line("pages:  45% 450/1000 [00:03<00:03, 150.2it/s]", &half, 50, 1);
    check_line("pages:  45% 450/1000 [00", &half, 24, 1);
    check_line("", &half, 0, 1);
}

static void line_of_each_width(void) {
    char line[512];
    for (apr_size_t columns = 0; columns < 200; columns++) {
        for (int ascii = 0; ascii < 2; ascii++) {
            apr_size_t shown = 0;
            CHECK_INT(0,
                      columns && !cohort_progress_line(line, sizeof line, &half, columns, ascii));
            for (const char *at = line; columns && *at; at++) shown += (*at & 0xc0) != 0x80;
            CHECK(shown <= columns);
            /* wide enough for a bar: it takes all that is left */
            if (columns >= 57) CHECK_INT(columns, shown);
        }
    }
    /* a buffer that is too small has whole characters and a zero */
    for (apr_size_t size = 1; size < 120; size++) {
        memset(line, 'x', sizeof line);
        CHECK(cohort_progress_line(line, size, &half, 100, 0) < size);
        CHECK(strlen(line) < size);
    }
    CHECK_INT(0, cohort_progress_line(line, 0, &half, 80, 1));
    CHECK_INT(0, cohort_progress_line(NULL, 9, &half, 80, 1));
    CHECK_INT(0, cohort_progress_line(line, 9, NULL, 80, 1));
}

static void line_without_a_total(void) {
    cohort_progress_t p = {.label = "", .done = 12, .rate = 0.5, .elapsed = 3725000000};
    p.remaining = -1;
    check_line("12it [1:02:05, 2.00s/it]", &p, 80, 1);
    p.rate = 0;
    check_line("12it [1:02:05, ?it/s]", &p, 80, 1);
    p.rate = 2500000;
    check_line("12it [1:02:05, 2.50Mit/s]", &p, 80, 1);
    p.total = 24;
    check_line(" 50%|#####     | 12/24 [1:02:05<?, 2.50Mit/s]", &p, 45, 1);
}

static void line_of_an_end(void) {
    cohort_progress_t p = {.label = "a\nb", .done = 4, .total = 4, .rate = 4, .over = 1};
    p.elapsed = 1000000;
    check_line("ab: 100%|##########| 4/4 [00:01<00:00, 4.0it/s]", &p, 48, 1);
    check_line("ab: 100%|\xe2\x96\x88\xe2\x96\x88\xe2\x96\x88\xe2\x96\x88\xe2\x96\x88\xe2\x96\x88"
               "\xe2\x96\x88\xe2\x96\x88\xe2\x96\x88\xe2\x96\x88| 4/4 [00:01<00:00, 4.0it/s]",
               &p, 48, 0);
    static const struct {
        apr_status_t status;
        const char *word;
    } ends[] = {{COHORT_ETERMINATED, ", terminated]"},
                {COHORT_ECANCELLED, ", cancelled]"},
                {COHORT_EDEADLINE, ", out of time]"},
                {APR_INCOMPLETE, ", stopped]"},
                {APR_EGENERAL, ", failed]"}};
    for (int i = 0; i < 5; i++) {
        char line[512];
        p.status = ends[i].status;
        (void)cohort_progress_line(line, sizeof line, &p, 100, 1);
        CHECK(strstr(line, ends[i].word) != NULL);
    }
}

/* ---- callbacks ------------------------------------------------------------------------------ */

typedef struct {
    _Atomic int calls, overs;
    cohort_progress_t last;
    apr_uint64_t before;
    char label[16];
} told_t;

static void be_told(const cohort_progress_t *progress, void *arg) {
    told_t *told = arg;
    CHECK(progress->done >= told->before);
    CHECK(!told->overs);
    told->before = progress->done;
    told->last = *progress;
    strcpy(told->label, progress->label);
    atomic_fetch_add(&told->overs, progress->over != 0);
    atomic_fetch_add(&told->calls, 1);
}

static cohort_progress_watch_t *watch_of(void *object, told_t *told, apr_pool_t *parent) {
    cohort_progress_options_t options = {.label = "work", .callback = be_told, .arg = told};
    cohort_progress_watch_t *watch = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_progress_watch(&watch, object, &options, parent));
    return watch;
}

static cohort_result_t *submit_gates(cohort_pool_t *pool, gate_t *gate, int n) {
    gate_t *gates[100];
    cohort_result_t *result;
    for (int i = 0; i < n; i++) gates[i] = gate;
    SUBMIT(&result, pool, NULL, .task = pass_gate, COHORT_INPUTS(gates, (apr_size_t)n),
           .chunk = 10);
    return result;
}

/* What is told while the work is held up, when it is done, and that it is told once. */
static void callback_of_a_result(void) {
    cohort_pool_t *pool = new_pool(2);
    gate_t *gate = new_gate();
    told_t told = {0};
    cohort_result_t *result = submit_gates(pool, gate, 100);
    cohort_progress_watch_t *watch = watch_of(result, &told, NULL);
    while (atomic_load(&told.calls) < 3) apr_sleep(1000);
    atomic_store(&gate->open, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_result_wait(result, COHORT_FOREVER));
    while (!atomic_load(&told.overs)) apr_sleep(1000);
    CHECK_STATUS(APR_SUCCESS, cohort_progress_stop(watch));
    CHECK_INT(1, told.overs);
    CHECK_INT(100, told.last.done);
    CHECK_INT(100, told.last.total);
    CHECK_STATUS(APR_SUCCESS, told.last.status);
    CHECK_INT(0, told.last.remaining);
    CHECK(told.last.rate > 0);
    CHECK(told.last.elapsed >= 200000); /* three calls, a tenth of a second apart */
    CHECK_STR("work", told.label);
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
    finish_pool(pool);
}

/* A task that waits for its turn: so many items are over as the test lets through. */
static apr_status_t take_turn(const void *input, void *output) {
    gate_t *gate = *(gate_t *const *)input;
    (void)output;
    while (atomic_load(&gate->open) <= (int)cohort_task_index()) apr_sleep(500);
    return APR_SUCCESS;
}

/* Items of a chunk that is under way count; rate and remaining time follow. */
static void part_of_a_chunk(void) {
    enum { N = 40 };
    cohort_pool_t *pool = new_pool(1);
    gate_t *gate = new_gate(), *gates[N];
    told_t told = {0};
    cohort_result_t *result;
    for (int i = 0; i < N; i++) gates[i] = gate;
    SUBMIT(&result, pool, NULL, .task = take_turn, COHORT_INPUTS(gates, N), .chunk = N);
    cohort_progress_watch_t *watch = watch_of(result, &told, NULL);
    for (int open = 5; open < N; open += 5) {
        atomic_store(&gate->open, open);
        for (;;) {
            int calls = atomic_load(&told.calls);
            while (atomic_load(&told.calls) == calls) apr_sleep(1000);
            if (told.last.done >= (apr_uint64_t)open) break;
        }
        CHECK_INT(open, told.last.done);
    }
    CHECK(told.last.rate > 0);
    CHECK(told.last.remaining > 0);
    atomic_store(&gate->open, N);
    CHECK_STATUS(APR_SUCCESS, cohort_result_wait(result, COHORT_FOREVER));
    /* destroyed at once: the watch has seen all */
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
    CHECK_STATUS(APR_SUCCESS, cohort_progress_stop(watch));
    CHECK_INT(1, told.overs);
    CHECK_INT(N, told.last.done);
    CHECK_STATUS(APR_SUCCESS, told.last.status);
    finish_pool(pool);
}

static void callback_of_an_imap(void) {
    enum { N = 200 };
    cohort_pool_t *pool = new_pool(2);
    told_t told = {0};
    cohort_imap_t *imap;
    cohort_item_t item = {0};
    int in[N];
    fill(in, N);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_imap(&imap, pool,
                                               &(cohort_job_t){.task = square,
                                                               COHORT_INPUTS(in, N),
                                                               .output_size = sizeof(int)},
                                               NULL, NULL));
    cohort_progress_watch_t *watch = watch_of(imap, &told, NULL);
    for (int i = 0; i < N / 2; i++)
        CHECK_STATUS(APR_SUCCESS, cohort_imap_next(imap, &item, COHORT_FOREVER));
    while (told.last.done < N / 2) apr_sleep(1000);
    CHECK_INT(N / 2, told.last.done);
    while (cohort_imap_next(imap, &item, COHORT_FOREVER) == APR_SUCCESS) {
    }
    CHECK_STATUS(APR_SUCCESS, cohort_progress_stop(watch));
    CHECK_INT(1, told.overs);
    CHECK_INT(N, told.last.done);
    CHECK_INT(N, told.last.total);
    CHECK_STATUS(APR_SUCCESS, told.last.status);
    CHECK_STATUS(APR_SUCCESS, cohort_item_release(&item));
    CHECK_STATUS(APR_SUCCESS, cohort_imap_destroy(imap));
    finish_pool(pool);
}

/* ---- ends ----------------------------------------------------------------------------------- */

static void ends_otherwise(void) {
    cohort_pool_t *pool = new_pool(1);
    gate_t *gate = new_gate();
    told_t told[4] = {{.before = 0}};
    apr_pool_t *parent;
    CHECK_STATUS(APR_SUCCESS, apr_pool_create(&parent, NULL));
    cohort_result_t *result = submit_gates(pool, gate, 100);
    cohort_progress_watch_t *watch = watch_of(result, &told[0], NULL), *other;
    (void)watch_of(result, &told[1], parent);
    other = watch_of(result, &told[2], parent);
    CHECK_STATUS(APR_SUCCESS, cohort_progress_stop(other));
    CHECK_STATUS(APR_INCOMPLETE, told[2].last.status);
    apr_pool_destroy(parent);
    CHECK_INT(1, told[1].overs);
    CHECK_STATUS(APR_INCOMPLETE, told[1].last.status);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_terminate(pool));
    while (!atomic_load(&told[0].overs)) apr_sleep(1000);
    CHECK_STATUS(COHORT_ETERMINATED, told[0].last.status);
    CHECK_STATUS(APR_SUCCESS, cohort_progress_stop(watch));
    CHECK_INT(1, told[0].overs);
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
}

static int destroy_it(void *args) {
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(*(cohort_result_t **)args));
    return 0;
}

static void destroyed_elsewhere(void) {
    cohort_pool_t *pool = new_pool(1);
    gate_t *gate = new_gate();
    told_t told = {0};
    cohort_result_t *result = submit_gates(pool, gate, 100);
    cohort_progress_watch_t *watch = watch_of(result, &told, NULL);
    party_finish(party_start(destroy_it, &result, sizeof result));
    while (!atomic_load(&told.overs)) apr_sleep(1000);
    CHECK_STATUS(COHORT_EHANDLE, told.last.status);
    CHECK_STATUS(APR_SUCCESS, cohort_progress_stop(watch));
    CHECK_STATUS(APR_SUCCESS, cohort_progress_stop(NULL));
    atomic_store(&gate->open, 1);
    finish_pool(pool);
}

static void misuse(void) {
    cohort_pool_t *pool = new_pool(1);
    cohort_progress_watch_t *watch = NULL;
    cohort_progress_options_t options = {.reserved = {1}};
    CHECK_STATUS(COHORT_EHANDLE, cohort_progress_watch(&watch, pool, NULL, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_progress_watch(&watch, NULL, NULL, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_progress_watch(NULL, pool, NULL, NULL));
    CHECK_STATUS(COHORT_EOPTION, cohort_progress_watch(&watch, pool, &options, NULL));
    CHECK(!watch);
    finish_pool(pool);
}

/* A child that is a copy has no watches of its parent's, and can have its own. */
static int watch_too(void *args) {
    told_t told = {0};
    cohort_progress_watch_t *watch = watch_of(*(cohort_result_t **)args, &told, NULL);
    CHECK_STATUS(APR_SUCCESS, cohort_progress_stop(watch));
    CHECK_INT(1, told.overs);
    return 0;
}

static void children_watch_too(void) {
    cohort_pool_t *pool = new_pool(1);
    gate_t *gate = new_gate();
    told_t told = {0};
    cohort_result_t *result = submit_gates(pool, gate, 20);
    cohort_progress_watch_t *watch = watch_of(result, &told, NULL);
    party_finish(party_start(watch_too, &result, sizeof result));
    atomic_store(&gate->open, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_result_wait(result, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_progress_stop(watch));
    CHECK_STATUS(APR_SUCCESS, told.last.status);
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
    finish_pool(pool);
}

/* ---- no terminal ---------------------------------------------------------------------------- */

static void silent_without_a_terminal(void) {
    cohort_pool_t *pool = new_pool(1);
    gate_t *gate = new_gate();
    told_t told = {0};
    apr_file_t *reader, *writer;
    char text[16];
    apr_size_t size = sizeof text;
    CHECK_STATUS(APR_SUCCESS, apr_file_pipe_create(&reader, &writer, test_pool()));
    cohort_result_t *result = submit_gates(pool, gate, 20);
    cohort_progress_options_t options = {
        .callback = be_told, .arg = &told, .bar = 1, .file = writer, .label = "silent"};
    cohort_progress_watch_t *watch;
    CHECK_STATUS(APR_SUCCESS, cohort_progress_watch(&watch, result, &options, NULL));
    while (atomic_load(&told.calls) < 2) apr_sleep(1000);
    atomic_store(&gate->open, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_result_wait(result, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_progress_stop(watch));
    CHECK_INT(20, told.last.done);
    CHECK_STATUS(APR_SUCCESS, apr_file_close(writer));
    CHECK_STATUS(APR_EOF, apr_file_read(reader, text, &size));
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
    finish_pool(pool);
}

const test_case_t progress_cases[] = {
    {"Progress", "line_with_a_total", line_with_a_total},
    {"Progress", "line_of_each_width", line_of_each_width},
    {"Progress", "line_without_a_total", line_without_a_total},
    {"Progress", "line_of_an_end", line_of_an_end},
    {"Progress", "callback_of_a_result", callback_of_a_result},
    {"Progress", "part_of_a_chunk", part_of_a_chunk},
    {"Progress", "callback_of_an_imap", callback_of_an_imap},
    {"Progress", "ends_otherwise", ends_otherwise},
    {"Progress", "destroyed_elsewhere", destroyed_elsewhere},
    {"Progress", "misuse", misuse},
    {"Progress", "children_watch_too", children_watch_too},
    {"Progress", "silent_without_a_terminal", silent_without_a_terminal},
    {0}};
