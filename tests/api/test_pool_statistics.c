/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Pools: what is counted of them, and the table of it. */
#include "pools.h"

#include <stdio.h>

static cohort_pool_t *new_counted(int workers) {
    cohort_pool_options_t options = {.workers = workers, .name = "P", .statistics = 1};
    cohort_pool_t *pool = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&pool, &options, test_pool()));
    return pool;
}

static cohort_pool_statistics_t *ask(cohort_pool_t *pool) {
    cohort_pool_statistics_t *statistics = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_statistics(pool, &statistics, test_pool()));
    return statistics;
}

static void check_ended(cohort_pool_t *pool, int done, int failed, int cancelled) {
    const cohort_pool_statistics_t *s = ask(pool);
    CHECK_INT(done, s->counts.done);
    CHECK_INT(failed, s->counts.failed);
    CHECK_INT(cancelled, s->counts.cancelled);
}

static void check_sum(const cohort_pool_statistics_t *s) {
    apr_uint64_t done = 0, failed = 0, starts = 0, runs = 0, waits = 0;
    for (apr_size_t i = 0; i < s->n; i++) {
        done += s->workers[i]->counts.done;
        failed += s->workers[i]->counts.failed;
        starts += s->workers[i]->counts.starts;
        runs += s->workers[i]->counts.run.count;
        waits += s->workers[i]->counts.wait.count;
    }
    CHECK_INT(s->counts.done, done);
    CHECK_INT(s->counts.failed, failed);
    CHECK_INT(s->counts.starts, starts);
    CHECK_INT(s->counts.run.count, runs);
    CHECK_INT(s->counts.wait.count, waits);
}

static apr_status_t sleep_a_while(const void *input, void *output) {
    (void)output;
    apr_sleep(*(const int *)input);
    return APR_SUCCESS;
}

static void items(void) {
    cohort_pool_t *pool = new_counted(2);
    int in[300], out[300];
    fill(in, 300);
    check_works(pool); /* 40 */
    CHECK_STATUS(APR_EINVAL, cohort_pool_apply(pool, odd_fails, &in[3], sizeof(int), out, 4));
    CHECK_STATUS(APR_ENOTIMPL, COHORT_MAP(pool, odd_fails, in, 300, out));
    const cohort_pool_statistics_t *s = ask(pool);
    CHECK_STR("P", s->name);
    CHECK_INT(1, s->counted);
    CHECK_INT(190, s->counts.done);
    CHECK_INT(151, s->counts.failed);
    CHECK_INT(341, s->counts.run.count);
    CHECK_INT(341, s->counts.wait.count);
    CHECK_INT(3, s->submitted);
    CHECK_INT(1, s->jobs_most);
    CHECK_INT(300, s->items_most);
    CHECK_INT(0, s->jobs);
    CHECK_INT(0, s->items);
    CHECK_INT(2, s->n);
    CHECK_INT(2, s->counts.starts);
    CHECK_INT(0, s->counts.deaths);
    CHECK_INT(0, s->counts.retried);
    CHECK_STR("P-1", s->workers[0]->name);
    check_sum(s);
    finish_pool(pool);
}

/* A pool that does not count says what can be looked at. */
static void not_counted(void) {
    cohort_pool_t *pool = new_pool(2);
    check_works(pool);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_wait_ready(pool, COHORT_FOREVER));
    const cohort_pool_statistics_t *s = ask(pool);
    CHECK_INT(0, s->counted);
    CHECK_INT(0, s->counts.done);
    CHECK_INT(0, s->counts.starts);
    CHECK_INT(0, s->counts.run.count);
    CHECK_INT(2, s->n);
    CHECK(s->workers[1]->pid != 0);
    CHECK(s->workers[1]->process != NULL);
    finish_pool(pool);
}

/* Times are at least what the tasks took. */
static void times(void) {
    cohort_pool_t *pool = new_counted(1);
    int in[4] = {A_WHILE, A_WHILE, A_WHILE, A_WHILE};
    RUN(pool, .task = sleep_a_while, COHORT_INPUTS(in, 4), .chunk = 4);
    apr_sleep(A_WHILE);
    const cohort_counts_t *c = &ask(pool)->workers[0]->counts;
    apr_uint64_t least = (apr_uint64_t)(A_WHILE - 5000) * 1000;
    CHECK_INT(4, c->run.count);
    CHECK(c->run.p50 >= least);
    CHECK(c->run.p99 >= c->run.p50);
    CHECK(c->run.max >= c->run.p99);
    CHECK(c->run.mean >= least);
    CHECK(c->run.mean <= c->run.max);
    CHECK(c->wait.max >= 3 * least); /* that of the fourth */
    CHECK(c->wait.p50 >= least);
    CHECK(c->busy >= 4 * (A_WHILE - 5000));
    CHECK(c->idle >= A_WHILE - 5000);
    CHECK(ask(pool)->elapsed >= c->busy + c->idle - 5000);
    finish_pool(pool);
}

/* Jobs that are destroyed before they are done do not wait any more. */
static void destroyed(void) {
    cohort_pool_t *pool = new_counted(1);
    gate_t *gate = new_gate(), *gates[3] = {gate, gate, gate};
    cohort_result_t *first, *other;
    SUBMIT(&first, pool, test_pool(), .task = pass_gate, COHORT_INPUTS(&gate, 1));
    party_await(&gate->begun, 1);
    for (int i = 0; i < 5; i++) {
        SUBMIT(&other, pool, NULL, .task = pass_gate, COHORT_INPUTS(gates, 3));
        CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(other));
    }
    CHECK_INT(1, ask(pool)->jobs);
    CHECK_INT(2, ask(pool)->jobs_most);
    CHECK_INT(4, ask(pool)->items_most);
    atomic_store(&gate->open, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_result_get(first, NULL, 0, COHORT_FOREVER));
    finish_pool(pool);
}

/* What is under way counts as time, and what waits as a queue. */
static void while_it_runs(void) {
    cohort_pool_t *pool = new_counted(1);
    gate_t *gate = new_gate(), *gates[3] = {gate, gate, gate};
    cohort_result_t *first, *second;
    SUBMIT(&first, pool, test_pool(), .task = pass_gate, COHORT_INPUTS(&gate, 1));
    party_await(&gate->begun, 1);
    SUBMIT(&second, pool, test_pool(), .task = pass_gate, COHORT_INPUTS(gates, 3));
    apr_interval_time_t before = ask(pool)->counts.busy;
    apr_sleep(A_WHILE);
    const cohort_pool_statistics_t *s = ask(pool);
    CHECK(s->counts.busy >= before + A_WHILE - 5000);
    CHECK_INT(0, s->counts.done);
    CHECK_INT(2, s->jobs);
    CHECK_INT(4, s->items);
    CHECK_INT(2, s->jobs_most);
    CHECK_INT(4, s->items_most);
    CHECK(s->counts.memory != 0);
    CHECK(s->counts.memory_most >= s->workers[0]->counts.memory);
    atomic_store(&gate->open, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_result_get(first, NULL, 0, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_result_get(second, NULL, 0, COHORT_FOREVER));
    check_ended(pool, 4, 0, 0);
    CHECK_INT(0, ask(pool)->items);
    CHECK_INT(2, ask(pool)->jobs_most);
    finish_pool(pool);
}

static int ask_elsewhere(void *args) {
    check_ended(*(cohort_pool_t **)args, 40, 0, 0);
    return 0;
}

static void from_any_process(void) {
    cohort_pool_t *pool = new_counted(2);
    check_works(pool);
    party_finish(party_start(ask_elsewhere, &pool, sizeof pool));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_close(pool));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_join(pool, COHORT_FOREVER));
    check_ended(pool, 40, 0, 0); /* its workers have ended */
    CHECK_INT(2, ask(pool)->n);
    CHECK_INT(0, ask(pool)->counts.deaths);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
}

/* Ranges count their items, and one run each. */
static apr_status_t any_range(const void *in, void *out, apr_size_t first, apr_size_t last) {
    (void)in, (void)out, (void)last;
    return first ? APR_SUCCESS : APR_EGENERAL;
}

static void ranges(void) {
    cohort_pool_t *pool = new_counted(2);
    cohort_job_t job = {.range = any_range, .n = 100, .chunk = 30};
    CHECK_STATUS(APR_EGENERAL, cohort_pool_run(pool, &job));
    check_ended(pool, 70, 30, 0);
    CHECK_INT(4, ask(pool)->counts.run.count);
    finish_pool(pool);
}

static apr_status_t second_time(const void *input, void *output) {
    (void)input, (void)output;
    return cohort_task_attempt() < 2 ? APR_EBUSY : APR_SUCCESS;
}

static void repeated(void) {
    cohort_pool_t *pool = new_counted(1);
    RUN(pool, .task = second_time, .n = 5, .attempts = 3, .retry_on = {APR_EBUSY});
    check_ended(pool, 5, 0, 0);
    CHECK_INT(5, ask(pool)->counts.retried);
    CHECK_INT(10, ask(pool)->counts.run.count);
    CHECK_INT(5, ask(pool)->counts.wait.count);
    finish_pool(pool);
}

static cohort_result_t *begin_gates(cohort_pool_t *pool, gate_t *gate) {
    cohort_result_t *result;
    gate_t *gates[10];
    for (int i = 0; i < 10; i++) gates[i] = gate;
    SUBMIT(&result, pool, test_pool(), .task = pass_gate, COHORT_INPUTS(gates, 10), .chunk = 4);
    party_await(&gate->begun, 1);
    return result;
}

/* One item of a job; and a whole job of which one item runs. */
static void cancelled(void) {
    cohort_pool_t *pool = new_counted(1);
    gate_t *gate = new_gate();
    cohort_result_t *result = begin_gates(pool, gate);
    CHECK_STATUS(APR_SUCCESS, cohort_result_cancel_item(result, 2, COHORT_CANCEL_SOFT));
    atomic_store(&gate->open, 1);
    CHECK_STATUS(COHORT_ECANCELLED, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
    check_ended(pool, 9, 0, 1);
    CHECK_INT(9, ask(pool)->counts.run.count);
    result = begin_gates(pool, new_gate());
    CHECK_STATUS(APR_SUCCESS, cohort_result_cancel(result, COHORT_CANCEL_HARD));
    CHECK_STATUS(COHORT_ECANCELLED, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
    while (ask(pool)->counts.cancelled < 11) apr_sleep(1000); /* it is counted after its end */
    check_ended(pool, 9, 0, 11);
    CHECK_INT(2, ask(pool)->workers[0]->counts.cancelled);
    CHECK_INT(1, ask(pool)->counts.deaths);
    finish_pool(pool);
}

/* A worker's death is charged to its item; the place goes on counting. */
static void deaths(void) {
    cohort_pool_t *pool = new_counted(1);
    gate_t *gate = new_gate();
    cohort_result_t *result;
    check_works(pool);
    SUBMIT(&result, pool, test_pool(), .task = pass_gate, COHORT_INPUTS(&gate, 1), .attempts = 2);
    for (int i = 1; i <= 2; i++) {
        party_await(&gate->begun, i);
        kill_worker(pool);
    }
    CHECK_STATUS(COHORT_EWORKERDIED, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
    check_works(pool);
    const cohort_pool_statistics_t *s = ask(pool);
    CHECK_INT(80, s->counts.done);
    CHECK_INT(1, s->counts.failed);
    CHECK_INT(1, s->counts.retried);
    CHECK_INT(2, s->counts.deaths);
    CHECK_INT(3, s->counts.starts);
    CHECK_INT(1, s->n);
    finish_pool(pool);
}

/* The odd ones fail, and each takes a little. */
static apr_status_t odd_fails_late(const void *input, void *output) {
    apr_time_t begin = apr_time_now();
    while (apr_time_now() - begin < 10) {
    }
    return odd_fails(input, output);
}

/* Until the job is over; how many were killed. */
static int kill_meanwhile(cohort_pool_t *pool, cohort_result_t *result) {
    int kills = 0;
    while (!cohort_result_is_ready(result)) {
        apr_size_t n;
        cohort_process_t **workers;
        CHECK_STATUS(APR_SUCCESS, cohort_pool_workers(pool, &workers, &n, test_pool()));
        if (n) kills += !cohort_process_kill(workers[kills % n]);
        apr_sleep(1000 + kills % 7 * 500);
    }
    return kills;
}

/* Workers are killed at any moment: each item is counted once all the same. */
static void exact_under_kills(void) {
    enum { N = 1500 };
    cohort_pool_t *pool = new_counted(3);
    int *in = party_memory(N * sizeof *in), kills = 0;
    cohort_result_t *result;
    fill(in, N);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_wait_ready(pool, COHORT_FOREVER));
    for (int round = 1; round <= 2; round++) {
        SUBMIT(&result, pool, test_pool(), .task = odd_fails_late, COHORT_INPUTS(in, N),
               .output_size = sizeof(int), .chunk = round == 2 ? 1 : 50, .attempts = round);
        kills += kill_meanwhile(pool, result);
        const cohort_pool_statistics_t *s = ask(pool);
        CHECK_INT(round * N, s->counts.done + s->counts.failed);
        CHECK(s->counts.failed >= (apr_uint64_t)(round * N / 2));
        CHECK(s->counts.failed <= (apr_uint64_t)(round * N / 2 + kills));
        check_sum(s);
    }
    CHECK(kills > 0);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_stop(pool, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
}

static void resized(void) {
    cohort_pool_t *pool = new_counted(1);
    int in[200], out[200];
    fill(in, 200);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_resize(pool, 3));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_wait_ready(pool, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, COHORT_MAP(pool, square, in, 200, out));
    CHECK_STATUS(APR_EBUSY, cohort_pool_run_on_each(pool, second_time, NULL, 0, NULL, 0, NULL));
    check_ended(pool, 200, 3, 0);
    CHECK_INT(3, ask(pool)->n);
    CHECK_INT(3, ask(pool)->counts.starts);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_resize(pool, 1));
    while (count_workers(pool) > 1) apr_sleep(1000);
    CHECK_STATUS(APR_SUCCESS, COHORT_MAP(pool, square, in, 200, out));
    check_ended(pool, 400, 3, 0);
    check_sum(ask(pool));
    finish_pool(pool);
}

/* The table of numbers that are known. */
static void table(void) {
    cohort_worker_statistics_t worker = {.name = "P-1"}, *workers[] = {&worker};
    cohort_counts_t counts = {.done = 1234567,
                              .failed = 5,
                              .starts = 2,
                              .deaths = 1,
                              .busy = 1500000,
                              .idle = 250,
                              .memory = 12582912,
                              .memory_most = 1610612736,
                              .run = {3, 900, 999, 1000, 1234567890123},
                              .wait = {0}};
    cohort_pool_statistics_t all = {.name = "P",
                                    .counted = 1,
                                    .elapsed = 12345678,
                                    .jobs = 1,
                                    .items = 20,
                                    .jobs_most = 3,
                                    .items_most = 4000,
                                    .submitted = 17,
                                    .workers = workers,
                                    .n = 1};
    char *text;
    worker.counts = all.counts = counts;
    CHECK_STATUS(APR_SUCCESS, cohort_statistics_table(&text, &all, test_pool()));
    CHECK_STR("P: jobs not done: 1, at most 3, with 20 items, at most 4000; submitted: 17; 12.3s\n"
              "worker     done  failed  cancelled  retried  starts  deaths  busy   idle  memory  "
              "most  run: p50    p99    max  wait: p50  p99  max\n"
              "P-1     1234567       5          0        0       2       1  1.5s  250us   12.0M  "
              "1.5G     999ns  1.0us  1234s          -    -    -\n"
              "all     1234567       5          0        0       2       1  1.5s  250us   12.0M  "
              "1.5G     999ns  1.0us  1234s          -    -    -\n",
              text);
    all.counted = 0;
    all.n = 0;
    CHECK_STATUS(APR_SUCCESS, cohort_statistics_table(&text, &all, test_pool()));
    CHECK_STR("P: jobs not done: 1, with 20 items; not counted\n"
              "worker  done  failed  cancelled  retried  starts  deaths  busy  idle  memory  most  "
              "run: p50    p99    max  wait: p50  p99  max\n"
              "all        -       -          -        -       -       -     -     -   12.0M  1.5G  "
              "   999ns  1.0us  1234s          -    -    -\n",
              text);
}

/* To a file: the lines of a pool with two workers. */
static void printed(void) {
    cohort_pool_t *pool = new_counted(2);
    apr_file_t *reader, *writer;
    char text[4096];
    apr_size_t size = sizeof text - 1;
    int lines = 0;
    check_works(pool);
    CHECK_STATUS(APR_SUCCESS, apr_file_pipe_create(&reader, &writer, test_pool()));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_print_statistics(pool, writer));
    CHECK_STATUS(APR_SUCCESS, apr_file_close(writer));
    CHECK_STATUS(APR_SUCCESS, apr_file_read(reader, text, &size));
    CHECK_STATUS(APR_SUCCESS, apr_file_close(reader));
    text[size] = 0;
    for (char *at = text; (at = strchr(at, '\n')) != NULL; at++) lines++;
    CHECK_INT(5, lines);
    CHECK(strncmp(text, "P: jobs not done: 0, ", 21) == 0);
    CHECK(strstr(text, "\nP-2 ") != NULL);
    CHECK(strstr(text, "\nall ") != NULL);
    finish_pool(pool);
}

const test_case_t pool_statistics_cases[] = {
    {"PoolStatistics", "items", items},
    {"PoolStatistics", "not_counted", not_counted},
    {"PoolStatistics", "times", times},
    {"PoolStatistics", "destroyed", destroyed},
    {"PoolStatistics", "while_it_runs", while_it_runs},
    {"PoolStatistics", "from_any_process", from_any_process},
    {"PoolStatistics", "ranges", ranges},
    {"PoolStatistics", "repeated", repeated},
    {"PoolStatistics", "cancelled", cancelled},
    {"PoolStatistics", "deaths", deaths},
    {"PoolStatistics", "exact_under_kills", exact_under_kills},
    {"PoolStatistics", "resized", resized},
    {"PoolStatistics", "table", table},
    {"PoolStatistics", "printed", printed},
    {0},
};
