/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Pools of two workers: what a task costs, how long one takes there and back, how much of two
 * processors the work gets, what idle costs. */
#include "bench.h"
#include "burn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TASKS = 1000000, MAPS = 5, IDLE_WORKERS = 64, IDLE_APPLIES = 60 };

typedef struct {
    cohort_pool_t *pool;
    apr_int64_t *in, *out;
    apr_size_t chunk;
    int range; /* its task does ranges */
} map_t;

/* ---- map and apply -------------------------------------------------------------------------- */

static apr_status_t square(const void *input, void *output) {
    *(apr_int64_t *)output = *(const apr_int64_t *)input * *(const apr_int64_t *)input;
    return APR_SUCCESS;
}

static apr_status_t squares(const void *inputs, void *outputs, apr_size_t first, apr_size_t last) {
    const apr_int64_t *in = inputs;
    apr_int64_t *out = outputs;
    for (apr_size_t i = first; i < last; i++) out[i] = in[i] * in[i];
    return APR_SUCCESS;
}

static double map_once(map_t *a, int count) {
    memset(a->out, 0xff, (size_t)count * sizeof *a->out);
    double begin = bench_now();
    MUST(cohort_pool_run(a->pool, &(cohort_job_t){.task = a->range ? NULL : square,
                                                  .range = a->range ? squares : NULL,
                                                  COHORT_INPUTS(a->in, (apr_size_t)count),
                                                  COHORT_OUTPUTS(a->out),
                                                  .chunk = a->chunk}));
    double took = bench_now() - begin;
    for (int i = 0; i < count; i++) bench_check(a->out[i] == (apr_int64_t)i * i, "square");
    return took;
}

/* One takes no longer than a switch between processes now and then. */
static double run_map(void *arg, int count) {
    double took[MAPS];
    for (int i = 0; i < MAPS; i++) took[i] = map_once(arg, count);
    return bench_median(took, MAPS);
}

static void apply(void *arg, int first, int n) {
    map_t *a = arg;
    for (int i = first; i < first + n; i++) {
        apr_int64_t in = i, out = -1;
        MUST(cohort_pool_apply(a->pool, square, &in, sizeof in, &out, sizeof out));
        bench_check(out == in * in, "square");
    }
}

static double run_apply(void *arg, int count) { return bench_blocks(apply, arg, count); }

/* The pool has had time to fall asleep before each; the clock does not run meanwhile. */
static double run_apply_idle(void *arg, int count) {
    double took[IDLE_APPLIES];
    for (int i = 0; i < count; i++) {
        apr_sleep(2000);
        double begin = bench_now();
        apply(arg, i, 1);
        took[i] = bench_now() - begin;
    }
    return bench_median(took, count) * count;
}

static void maps(map_t *a) {
    bench_contestant_t cohort[] = {{"cohort", run_map, a, NULL}};
    a->chunk = 1;
    BENCH_CONTEST((&(bench_contest_t){"pool.map.x*x.chunk1", "ns", BENCH_NS, 50000, TASKS}), cohort,
                  "openmp:dynamic,1 raw:fetch_add python:Pool");
    a->chunk = 0;
    BENCH_CONTEST((&(bench_contest_t){"pool.map.x*x.default", "ns", BENCH_NS, TASKS, 0}), cohort,
                  "openmp:static raw:fetch_add python:Pool");
    a->range = 1;
    BENCH_CONTEST((&(bench_contest_t){"pool.map.x*x.range", "ns", BENCH_NS, TASKS, 0}), cohort,
                  "openmp:static");
    a->range = 0;
    bench_contestant_t hot[] = {{"cohort", run_apply, a, NULL}},
                       idle[] = {{"cohort", run_apply_idle, a, NULL}};
    BENCH_CONTEST((&(bench_contest_t){"pool.apply.hot", "us", BENCH_US, 100, 1000000}), hot,
                  "openmp:region raw:spin-worker raw:futex-worker python:Pool");
    BENCH_CONTEST((&(bench_contest_t){"pool.apply.idle", "us", BENCH_US, IDLE_APPLIES, 0}), idle,
                  "raw:futex-worker python:Pool");
}

/* ---- an array in the arena, with elements that the tasks do not touch ----------------------- */

static apr_status_t ignore(const void *input, void *output) {
    *(apr_int64_t *)output = input != NULL;
    return APR_SUCCESS;
}

enum { ELEMENTS = 4000 };

typedef struct {
    map_t *map;
    char *elements;
    apr_size_t size;
} array_t;

static double run_array(void *arg, int count) {
    array_t *a = arg;
    memset(a->map->out, 0, (size_t)count * sizeof *a->map->out);
    double begin = bench_now();
    MUST(cohort_pool_run(a->map->pool, &(cohort_job_t){.task = ignore,
                                                       .inputs = a->elements,
                                                       .input_size = a->size,
                                                       .n = (apr_size_t)count,
                                                       COHORT_OUTPUTS(a->map->out),
                                                       .chunk = 1}));
    double took = bench_now() - begin;
    for (int i = 0; i < count; i++) bench_check(a->map->out[i] == 1, "element");
    return took;
}

/* The arrays are there already, as the tasks' programs would have them; all sizes in turns, since
 * they are compared with each other. */
static void arrays(map_t *map) {
    static const struct {
        const char *metric;
        apr_size_t size;
    } sizes[] = {{"pool.array.8B", 8}, {"pool.array.1KiB", 1024}, {"pool.array.64KiB", 65536}};
    array_t array[3];
    bench_contestant_t cohort[3];
    for (int i = 0; i < 3; i++) {
        array[i] = (array_t){.map = map, .size = sizes[i].size};
        MUST(cohort_alloc((void **)&array[i].elements, ELEMENTS * array[i].size));
        cohort[i] = (bench_contestant_t){"cohort", run_array, &array[i], sizes[i].metric};
    }
    BENCH_CONTEST((&(bench_contest_t){sizes[0].metric, "ns", BENCH_NS, ELEMENTS, 0}), cohort, NULL);
    for (int i = 0; i < 3; i++) MUST(cohort_free(array[i].elements));
}

/* ---- times ---------------------------------------------------------------------------------- */

static double run_job(map_t *a, int count, cohort_job_t job) {
    memset(a->out, 0xff, (size_t)count * sizeof *a->out);
    if (!job.task) job.task = square;
    job.inputs = a->in;
    job.input_size = sizeof *a->in;
    job.n = (apr_size_t)count;
    job.outputs = a->out;
    job.output_size = sizeof *a->out;
    double begin = bench_now();
    MUST(cohort_pool_run(a->pool, &job));
    double took = bench_now() - begin;
    for (int i = 0; i < count; i++) bench_check(a->out[i] == (apr_int64_t)i * i, "square");
    return took;
}

static double run_untimed_map(void *arg, int count) {
    return run_job(arg, count, (cohort_job_t){0});
}

static double run_map_with_time(void *arg, int count) {
    return run_job(arg, count, (cohort_job_t){.timeout = 60000000, .queue_timeout = 60000000});
}

static double run_items_with_times(void *arg, int count) {
    return run_job(arg, count, (cohort_job_t){.task_timeout = 10000000});
}

/* The same map without times, with times for all of it, and with one for each item. */
static void times(map_t *map) {
    bench_contestant_t cohort[] = {
        {"cohort", run_untimed_map, map, "pool.times.none"},
        {"cohort", run_map_with_time, map, "pool.times.job"},
        {"cohort", run_items_with_times, map, "pool.times.items"},
    };
    BENCH_CONTEST((&(bench_contest_t){"pool.times.none", "ns", BENCH_NS, 100000, 0}), cohort, NULL);
}

/* ---- tasks that are run again --------------------------------------------------------------- */

static apr_status_t fail_once(const void *input, void *output) {
    return cohort_task_attempt() == 1 ? APR_EBUSY : square(input, output);
}

typedef struct {
    map_t *map;
    cohort_job_t job;
} retry_t;

static double run_retry(void *arg, int count) {
    const retry_t *r = arg;
    return run_job(r->map, count, r->job);
}

/* The same map of tasks that succeed, without a delay and with one that is not used; and of such as
 * fail once each, and are run again at once, or when they have waited for a millisecond. */
static void retries(map_t *map) {
    cohort_job_t job = {.task = square, .chunk = 1, .attempts = 2, .retry_on = {APR_EBUSY}};
    retry_t plain = {map, job}, fails = {map, job}, unused, delayed;
    fails.job.task = fail_once;
    unused = plain;
    delayed = fails;
    unused.job.retry_delay = delayed.job.retry_delay = 1000;
    bench_contestant_t good[] = {{"cohort", run_retry, &plain, NULL},
                                 {"cohort", run_retry, &unused, "pool.retry.none.delay"}};
    bench_contestant_t bad[] = {{"cohort", run_retry, &fails, NULL},
                                {"cohort", run_retry, &delayed, "pool.retry.once.delay"}};
    BENCH_CONTEST((&(bench_contest_t){"pool.retry.none", "ns", BENCH_NS, 100000, 0}), good, NULL);
    BENCH_CONTEST((&(bench_contest_t){"pool.retry.once", "ns", BENCH_NS, 100000, 0}), bad, NULL);
}

/* ---- inputs and outputs with a size each ---------------------------------------------------- */

enum { DATA_ITEMS = 1000, DATA_SIZE = 4096 };

typedef struct {
    cohort_pool_t *pool;
    char *in, *out; /* outside the arena */
    cohort_bytes_t *in_bytes, *out_bytes;
} data_t;

static apr_status_t copy_fixed(const void *input, void *output) {
    memcpy(output, input, DATA_SIZE);
    return APR_SUCCESS;
}

static apr_status_t copy_bytes(const void *input, void *output) {
    apr_size_t size = cohort_task_input_size();
    output = cohort_task_output(size);
    if (!output) return APR_ENOMEM;
    memcpy(output, input, size);
    return APR_SUCCESS;
}

static double run_fixed(void *arg, int count) {
    data_t *d = arg;
    memset(d->out, 0, (size_t)count * DATA_SIZE);
    double begin = bench_now();
    MUST(cohort_pool_map(d->pool, copy_fixed, d->in, DATA_SIZE, (apr_size_t)count, d->out,
                         DATA_SIZE));
    double took = bench_now() - begin;
    bench_check(!memcmp(d->in, d->out, (size_t)count * DATA_SIZE), "data");
    return took;
}

/* The outputs are freed within the time. */
static double run_bytes(void *arg, int count) {
    data_t *d = arg;
    double begin = bench_now();
    MUST(cohort_pool_map(d->pool, copy_bytes, d->in_bytes, COHORT_BYTES, (apr_size_t)count,
                         d->out_bytes, COHORT_BYTES));
    double took = bench_now() - begin;
    for (int i = 0; i < count; i++)
        bench_check(!memcmp(d->out_bytes[i].data, d->in_bytes[i].data, DATA_SIZE), "data");
    begin = bench_now();
    for (int i = 0; i < count; i++) MUST(cohort_free(d->out_bytes[i].data));
    return took + bench_now() - begin;
}

/* In turns, since they are compared with each other. */
static void data(cohort_pool_t *pool) {
    static const char fixed[] = "pool.data.4KiB.fixed", bytes[] = "pool.data.4KiB.bytes";
    data_t d = {.pool = pool};
    bench_contestant_t cohort[] = {{"cohort", run_fixed, &d, fixed},
                                   {"cohort", run_bytes, &d, bytes}};
    d.in = malloc((size_t)DATA_ITEMS * DATA_SIZE);
    d.out = malloc((size_t)DATA_ITEMS * DATA_SIZE);
    d.in_bytes = malloc(DATA_ITEMS * sizeof *d.in_bytes);
    d.out_bytes = malloc(DATA_ITEMS * sizeof *d.out_bytes);
    bench_check(d.in && d.out && d.in_bytes && d.out_bytes, "memory");
    for (int i = 0; i < DATA_ITEMS; i++) {
        memset(d.in + (size_t)i * DATA_SIZE, i, DATA_SIZE);
        d.in_bytes[i] = (cohort_bytes_t){d.in + (size_t)i * DATA_SIZE, DATA_SIZE};
    }
    BENCH_CONTEST((&(bench_contest_t){fixed, "ns", BENCH_NS, DATA_ITEMS, 0}), cohort, NULL);
    free(d.in);
    free(d.out);
    free(d.in_bytes);
    free(d.out_bytes);
}

/* ---- efficiency ----------------------------------------------------------------------------- */

static apr_status_t burn_task(const void *input, void *output) {
    *(apr_uint64_t *)output = burn(*(const apr_uint64_t *)input);
    return APR_SUCCESS;
}

static apr_status_t burn_range(const void *inputs, void *outputs, apr_size_t first,
                               apr_size_t last) {
    const apr_uint64_t *turns = inputs;
    apr_uint64_t *out = outputs;
    for (apr_size_t i = first; i < last; i++) out[i] = burn(turns[i]);
    return APR_SUCCESS;
}

typedef struct {
    map_t *map;
    double us;
} work_t;

/* The part of the ideal speed-up that a map of tasks so long reaches; one process alone is timed
 * before and after. */
static double run_work(void *arg, int count) {
    work_t *w = arg;
    apr_int64_t *in = w->map->in;
    apr_uint64_t turns = burn_turns(bench_now, w->us), right = burn(turns);
    double before = burn_alone(bench_now, turns);
    for (int i = 0; i < count; i++) {
        in[i] = (apr_int64_t)turns;
        w->map->out[i] = 0;
    }
    double begin = bench_now();
    MUST(cohort_pool_run(w->map->pool, &(cohort_job_t){.task = w->map->range ? NULL : burn_task,
                                                       .range = w->map->range ? burn_range : NULL,
                                                       COHORT_INPUTS(in, (apr_size_t)count),
                                                       COHORT_OUTPUTS(w->map->out),
                                                       .chunk = w->map->chunk}));
    double took = bench_now() - begin, after = burn_alone(bench_now, turns);
    for (int i = 0; i < count; i++) bench_check((apr_uint64_t)w->map->out[i] == right, "work");
    return (after < before ? after : before) * count / BURN_WORKERS / took;
}

static void efficiency(map_t *map) {
    static const char *const metrics[] = {"pool.eff.1us", "pool.eff.10us", "pool.eff.100us",
                                          "pool.eff.1ms", "pool.eff.10ms"};
    for (int i = 0; i < 5; i++) {
        work_t work = {map, burn_microseconds(metrics[i])};
        bench_contestant_t cohort[] = {{"cohort", run_work, &work, NULL}};
        int count = (int)(400e3 / work.us); /* 0.4 s of work */
        map->chunk = 1;
        BENCH_CONTEST((&(bench_contest_t){metrics[i], "frac", BENCH_FIGURE, count, 0}), cohort,
                      "openmp:dynamic,1 raw:fetch_add");
    }
    work_t work = {map, burn_microseconds("pool.eff.1us")};
    bench_contestant_t cohort[] = {{"cohort", run_work, &work, NULL}};
    map->chunk = 0;
    map->range = 1;
    BENCH_CONTEST((&(bench_contest_t){"pool.eff.1us.range", "frac", BENCH_FIGURE, 400000, 0}),
                  cohort, "openmp:dynamic,1");
    map->range = 0;
}

/* ---- statistics ------------------------------------------------------------------------------ */

/* Tasks that take a microsecond. */
static double run_burn(void *arg, int count) {
    map_t *a = arg;
    apr_uint64_t turns = burn_turns(bench_now, 1);
    for (int i = 0; i < count; i++) a->in[i] = (apr_int64_t)turns;
    double begin = bench_now();
    MUST(COHORT_MAP(a->pool, burn_task, a->in, (apr_size_t)count, a->out));
    double took = bench_now() - begin;
    for (int i = 0; i < count; i++) a->in[i] = i;
    bench_check((apr_uint64_t)a->out[count - 1] == burn(turns), "work");
    return took;
}

/* The same map in a pool that counts and in one that does not, of empty tasks and longer ones. */
static void statistics(map_t *map) {
    map_t counted = *map;
    cohort_pool_options_t options = {.workers = BURN_WORKERS, .statistics = 1};
    MUST(cohort_pool_create(&counted.pool, &options, NULL));
    for (int i = 0; i < TASKS; i++) map->in[i] = i;
    bench_contestant_t empty[] = {{"cohort", run_untimed_map, map, "pool.statistics.off"},
                                  {"cohort", run_untimed_map, &counted, "pool.statistics.on"}};
    bench_contestant_t burns[] = {{"cohort", run_burn, map, "pool.statistics.1us.off"},
                                  {"cohort", run_burn, &counted, "pool.statistics.1us.on"}};
    bench_contest_t contest = {"pool.statistics.off", "ns", BENCH_NS, 100000, 0};
    BENCH_CONTEST(&contest, empty, NULL);
    contest.metric = "pool.statistics.1us.off";
    BENCH_CONTEST(&contest, burns, NULL);
    MUST(cohort_pool_destroy(counted.pool));
}

/* ---- idle ----------------------------------------------------------------------------------- */

/* The workers', and this process'. */
static double cpu_of(cohort_process_t **workers, int n) {
    double all = bench_cpu_seconds(cohort_process_pid(cohort_process_current()));
    for (int i = 0; i < n; i++) {
        double one = bench_cpu_seconds(cohort_process_pid(workers[i]));
        if (one < 0) return -1;
        all += one;
    }
    return all;
}

/* Ten seconds of nothing. */
static void idle_pool(void) {
    cohort_pool_t *pool;
    cohort_process_t **workers;
    apr_pool_t *memory;
    apr_size_t n;
    double dirty = 0;
    MUST(apr_pool_create(&memory, NULL));
    MUST(cohort_pool_create(&pool, &(cohort_pool_options_t){.workers = IDLE_WORKERS}, NULL));
    apr_int64_t in[4 * IDLE_WORKERS] = {0}, out[4 * IDLE_WORKERS];
    MUST(COHORT_MAP(pool, square, in, 4 * IDLE_WORKERS, out));
    MUST(cohort_pool_workers(pool, &workers, &n, memory));
    apr_sleep(1000000);
    double before = cpu_of(workers, n);
    apr_sleep(10000000);
    double used = (cpu_of(workers, n) - before) * 1e3;
    for (apr_size_t i = 0; i < n; i++)
        dirty += bench_private_dirty_kib(cohort_process_pid(workers[i])) / n;
    if (before >= 0) bench_print("pool.idle64.cpu", "cohort", "ms", &used, 1);
    if (dirty > 0) bench_print("pool.idle64.private", "cohort", "KiB", &dirty, 1);
    MUST(cohort_pool_destroy(pool));
    apr_pool_destroy(memory);
}

void bench_section_pool(void) {
    map_t a = {.chunk = 1};
    MUST(cohort_pool_create(&a.pool, &(cohort_pool_options_t){.workers = BURN_WORKERS}, NULL));
    MUST(cohort_alloc((void **)&a.in, TASKS * sizeof *a.in));
    MUST(cohort_alloc((void **)&a.out, TASKS * sizeof *a.out));
    for (int i = 0; i < TASKS; i++) a.in[i] = i;
    maps(&a);
    arrays(&a);
    times(&a);
    retries(&a);
    data(a.pool);
    efficiency(&a);
    statistics(&a);
    MUST(cohort_pool_destroy(a.pool));
    MUST(cohort_free(a.in));
    MUST(cohort_free(a.out));
    idle_pool();
}
