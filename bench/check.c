/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The guard of the hot paths: how many instructions each takes, as valgrind counts them, compared
 * with what counts.txt says. Times change with the machine and its other work; these numbers change
 * only with the code, the compiler and the C library, which are the key of a record.
 *
 * `cohort-bench --count OPERATION`, run by callgrind, does the operation COUNT times between
 * count_begin() and count_end(), at which callgrind starts its count and writes it down.
 */
#include "bench.h"

#include <apr_strings.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COUNT = 2000, WARM = 3000, KEY = 160, BATCH = 50, DEAR = 10, STARTS = WARM / DEAR };
static const double MORE = 1.05;         /* what a count may grow to */
static const double MORE_OF_DEAR = 1.15; /* the same, where the texts count that the system gives */

#if defined(__clang__)
#define APART __attribute__((noinline, used))
#elif defined(__GNUC__)
#define APART __attribute__((noinline, noclone, used))
#else
#define APART
#endif

void count_begin(void);
void count_end(void);
static volatile int marks;
APART void count_begin(void) { marks++; }
APART void count_end(void) { marks--; }

/* ---- the operations ------------------------------------------------------------------------- */

static cohort_queue_t *queue;
static cohort_lock_t *lock;
static void *blocks[WARM];

static void puts_only(int n) {
    char message[64] = {0};
    for (int i = 0; i < n; i++)
        MUST(cohort_queue_put(queue, message, sizeof message, COHORT_FOREVER));
}

static void gets_only(int n) {
    char message[64];
    for (int i = 0; i < n; i++) {
        apr_size_t size;
        MUST(cohort_queue_get(queue, message, sizeof message, &size, COHORT_FOREVER));
    }
}

static void batch_of(cohort_message_t *batch) {
    static char bytes[BATCH][64];
    for (int i = 0; i < BATCH; i++)
        batch[i] = (cohort_message_t){
            .data = bytes[i], .size = sizeof bytes[i], .capacity = sizeof bytes[i]};
}

static void puts_many(int n) {
    cohort_message_t batch[BATCH];
    apr_size_t done = 0;
    batch_of(batch);
    for (int i = 0; i < n / BATCH; i++)
        MUST(cohort_queue_put_many(queue, batch, BATCH, &done, COHORT_FOREVER));
}

static void gets_many(int n) {
    cohort_message_t batch[BATCH];
    apr_size_t done = 0;
    batch_of(batch);
    for (int i = 0; i < n / BATCH; i++) {
        MUST(cohort_queue_get_many(queue, batch, BATCH, &done, COHORT_FOREVER));
        bench_check(done == BATCH, "get_many");
    }
}

static void locks_only(int n) {
    for (int i = 0; i < n; i++)
        MUST(cohort_lock_acquire(lock, COHORT_FOREVER)), MUST(cohort_lock_release(lock));
}

static void allocs_only(int n) {
    for (int i = 0; i < n; i++) MUST(cohort_alloc(&blocks[i], 64));
}

static void frees_only(int n) {
    for (int i = 0; i < n; i++) MUST(cohort_free(blocks[i]));
}

static cohort_process_t *processes[STARTS];

static int idle(void *args) {
    (void)args;
    return 0;
}

static void creates_only(int n) {
    for (int i = 0; i < n / DEAR; i++)
        MUST(cohort_process_create(&processes[i], idle, NULL, 0, NULL, NULL));
}

/* What the caller does; while it waits for the child nothing is counted (see count()). */
static void starts_only(int n) {
    for (int i = 0; i < n / DEAR; i++) MUST(cohort_process_start(processes[i]));
}

static void ends_only(int n) {
    for (int i = 0; i < n / DEAR; i++)
        MUST(cohort_process_join(processes[i], COHORT_FOREVER)),
            MUST(cohort_process_destroy(processes[i]));
}

static void lives_only(int n) {
    for (int i = 0; i < n / DEAR; i++) creates_only(DEAR), starts_only(DEAR), ends_only(DEAR);
}

static cohort_event_t *over;

static int stay(void *args) {
    (void)args;
    return cohort_event_wait(over, COHORT_FOREVER) != APR_SUCCESS;
}

static apr_status_t task_of_result(const void *input, void *output) {
    (void)output;
    return *(const int *)input ? cohort_event_wait(over, COHORT_FOREVER) : APR_SUCCESS;
}

/* Two processes and two results, one of each is ready. */
static cohort_waitable_t *items_to_wait_for(void) {
    static cohort_waitable_t items[4];
    static const int waits[] = {1, 0};
    cohort_pool_t *pool;
    cohort_process_t *children[2];
    cohort_result_t *results[2];
    MUST(cohort_event_create(&over, NULL));
    MUST(cohort_pool_create(&pool, &(cohort_pool_options_t){.workers = 2}, NULL));
    for (int i = 0; i < 2; i++) {
        MUST(cohort_process_create(&children[i], i ? idle : stay, NULL, 0, NULL, NULL));
        MUST(cohort_process_start(children[i]));
        cohort_job_t job = {.task = task_of_result, COHORT_INPUTS(&waits[i], 1)};
        MUST(cohort_pool_submit(&results[i], pool, &job, NULL));
        items[i].object = children[i];
        items[2 + i].object = results[i];
    }
    MUST(cohort_process_join(children[1], COHORT_FOREVER));
    MUST(cohort_result_wait(results[1], COHORT_FOREVER));
    return items;
}

static void waits_only(int n) {
    static cohort_waitable_t *items;
    if (!items) items = items_to_wait_for();
    for (int i = 0; i < n; i++) MUST(cohort_wait(items, 4, COHORT_WAIT_ANY, COHORT_FOREVER));
}

static void waits_end(int n) {
    (void)n;
    MUST(cohort_event_set(over));
}

static void nothing(int n) { (void)n; }

/* Warm up with both halves of a pair, then count one: `before` and `after` keep the pair in
 * balance. */
static const struct {
    const char *name;
    void (*warm[2])(int), (*before)(int), (*counted)(int), (*after)(int);
    int dear; /* done that many times less often */
} pairs[] = {
    {"put", {puts_only, gets_only}, nothing, puts_only, gets_only, 1},
    {"get", {puts_only, gets_only}, puts_only, gets_only, nothing, 1},
    {"put_many", {puts_many, gets_many}, nothing, puts_many, gets_many, 1},
    {"get_many", {puts_many, gets_many}, puts_many, gets_many, nothing, 1},
    {"lock+unlock", {locks_only, nothing}, nothing, locks_only, nothing, 1},
    {"alloc", {allocs_only, frees_only}, nothing, allocs_only, frees_only, 1},
    {"free", {allocs_only, frees_only}, allocs_only, frees_only, nothing, 1},
    {"wait", {waits_only, nothing}, nothing, waits_only, waits_end, 1},
    {"start", {lives_only, nothing}, creates_only, starts_only, ends_only, DEAR},
};
enum { PAIRS = sizeof pairs / sizeof *pairs };

static apr_status_t task(const void *input, void *output) {
    int i = *(const int *)input;
    *(int *)output = i;
    if (i == WARM) count_begin();
    if (i == WARM + COUNT) count_end();
    return APR_SUCCESS;
}

/* The steps of a pool's only worker from one task to the next; callgrind looks into the worker,
 * which is a fork of this process. */
static void count_steps(void) {
    static int in[WARM + COUNT + 10], out[WARM + COUNT + 10];
    int n = WARM + COUNT + 10;
    cohort_pool_t *pool;
    for (int i = 0; i < n; i++) in[i] = i;
    MUST(cohort_pool_create(
        &pool,
        &(cohort_pool_options_t){.workers = 1,
                                 .method = cohort_start_method() == COHORT_START_SPAWN
                                               ? COHORT_START_SPAWN
                                               : COHORT_START_FORK},
        NULL));
    MUST(cohort_pool_run(pool, &(cohort_job_t){.task = task,
                                               COHORT_INPUTS(in, (apr_size_t)n),
                                               COHORT_OUTPUTS(out),
                                               .chunk = 1}));
    bench_check(out[n - 1] == n - 1, "map");
    MUST(cohort_pool_destroy(pool));
}

int bench_counts_one(const char *operation) {
    MUST(cohort_queue_create(&queue, &(cohort_queue_options_t){.capacity = 4096}, NULL));
    MUST(cohort_lock_create(&lock, NULL));
    if (!strcmp(operation, "map-step")) {
        count_steps();
        return 0;
    }
    for (int i = 0; i < PAIRS; i++) {
        if (strcmp(pairs[i].name, operation)) continue;
        pairs[i].warm[0](WARM);
        pairs[i].warm[1](WARM);
        pairs[i].before(COUNT);
        count_begin();
        pairs[i].counted(COUNT);
        count_end();
        pairs[i].after(COUNT);
        return 0;
    }
    return 2;
}

/* ---- counting ------------------------------------------------------------------------------- */

/* The total of the part that callgrind wrote down at count_end(). */
static double read_total(const char *path) {
    char line[256];
    double total = -1;
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f)) {
        if (!strncmp(line, "totals:", 7) || !strncmp(line, "summary:", 8))
            total = strtod(strchr(line, ':') + 1, NULL);
    }
    if (f) fclose(f);
    return total;
}

static int dear(const char *operation) {
    for (int i = 0; i < PAIRS; i++) {
        if (!strcmp(pairs[i].name, operation)) return pairs[i].dear;
    }
    return 1;
}

/* callgrind names its files PREFIX.PID.PART-THREAD; the first part ends with count_end() and is of
 * the thread that called it. Returns the instructions in it; -1: none. */
static double find_total(const char *prefix, apr_pool_t *pool) {
    apr_dir_t *directory;
    apr_finfo_t info;
    double total = -1;
    MUST(apr_dir_open(&directory, ".", pool));
    while (apr_dir_read(&info, APR_FINFO_NAME, directory) == APR_SUCCESS) {
        if (strncmp(info.name, prefix, strlen(prefix))) continue;
        const char *part = strchr(info.name + strlen(prefix) + 1, '.');
        if (part && !strncmp(part, ".1-", 3)) total = read_total(info.name);
        (void)apr_file_remove(info.name, pool);
    }
    (void)apr_dir_close(directory);
    return total;
}

static double count(const char *program, const char *operation, apr_pool_t *pool) {
    char output[256];
    const char *prefix = apr_psprintf(pool, "cohort-count-%" APR_INT64_T_FMT,
                                      cohort_process_pid(cohort_process_current()));
    const char *path = getenv("PATH");
    /* A start hands the environment over, so that is the same each time. How long a start waits is
     * chance, so --toggle-collect leaves that out (it would also begin with collecting nothing),
     * and so is what the watcher's thread does meanwhile. */
    const char *argv[] = {"env",
                          "-i",
                          apr_psprintf(pool, "PATH=%s", path ? path : ""),
                          "valgrind",
                          "--tool=callgrind",
                          "--quiet",
                          "--log-file=cohort-valgrind.log",
                          "--zero-before=count_begin",
                          "--dump-before=count_end",
                          "--trace-children=no",
                          "--separate-threads=yes",
                          "--toggle-collect=cohort__await_running",
                          "--collect-atstart=yes",
                          apr_psprintf(pool, "--callgrind-out-file=%s.%%p", prefix),
                          program,
                          "--count",
                          operation,
                          NULL};
    int code = bench_program(argv, output, sizeof output);
    (void)apr_file_remove("cohort-valgrind.log",
                          /* what valgrind does not know; its own failures end it with a code */
                          pool);
    double total = find_total(prefix, pool);
    if (code != 0)
        fprintf(stderr, "cohort-bench: %s under valgrind ended with %d\n", operation, code);
    return code == 0 && total >= 0 ? total / (COUNT / dear(operation)) : -1;
}

/* ---- the record ----------------------------------------------------------------------------- */

/* Compiler, C library, and what the build has chosen. */
static const char *key(apr_pool_t *pool) {
    return apr_pstrcat(pool, BENCH_BUILD, "/", bench_libc(), NULL);
}

static double recorded(const char *of_key, const char *operation) {
    char a[KEY], b[KEY], line[2 * KEY];
    double value, found = -1;
    FILE *f = fopen(BENCH_COUNTS, "r");
    while (f && fgets(line, sizeof line, f)) {
        if (sscanf(line, "%159s %159s %lf", a, b, &value) == 3 && !strcmp(a, of_key) &&
            !strcmp(b, operation))
            found = value;
    }
    if (f) fclose(f);
    return found;
}

/* Replace what the record says under this key. */
static void write_record(const char *of_key, const char *lines, apr_pool_t *pool) {
    char line[2 * KEY];
    const char *others = "";
    size_t n = strlen(of_key);
    FILE *f = fopen(BENCH_COUNTS, "r");
    while (f && fgets(line, sizeof line, f)) {
        if (strncmp(line, of_key, n) || line[n] != ' ')
            others = apr_pstrcat(pool, others, line, NULL);
    }
    if (f) fclose(f);
    f = fopen(BENCH_COUNTS, "w");
    bench_check(f != NULL && fputs(others, f) >= 0 && fputs(lines, f) >= 0 && fclose(f) == 0,
                BENCH_COUNTS);
    printf("recorded in %s\n", BENCH_COUNTS);
}

/* 1: worse than recorded. */
static int judge(const char *of_key, const char *operation, double value, int *missing) {
    double old = recorded(of_key, operation);
    if (old < 0) {
        *missing = 1;
        printf("%-12s %8.1f instructions, not recorded\n", operation, value);
        return 0;
    }
    int worse = value > old * (dear(operation) > 1 ? MORE_OF_DEAR : MORE);
    printf("%-12s %8.1f instructions, recorded %8.1f, %+.1f %%%s\n", operation, value, old,
           (value / old - 1) * 100, worse ? "  TOO MANY" : "");
    return worse;
}

int bench_counts_check(const char *program, int record) {
    static const char *const operations[] = {"put",   "get",  "put_many", "get_many", "lock+unlock",
                                             "alloc", "free", "wait",     "map-step", "start"};
    apr_pool_t *pool;
    int worse = 0, missing = 0;
    const char *lines = "";
    MUST(apr_pool_create(&pool, NULL));
    const char *of_key = key(pool);
    printf("%s\n", of_key);
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
        double value = count(program, operations[i], pool);
        if (value <= 0) {
            fprintf(stderr, "cohort-bench: nothing was counted for %s: is valgrind there?\n",
                    operations[i]);
            return 1;
        }
        lines = apr_psprintf(pool, "%s%s %s %.1f\n", lines, of_key, operations[i], value);
        if (!record) worse += judge(of_key, operations[i], value, &missing);
    }
    if (record) write_record(of_key, lines, pool);
    if (missing)
        printf("There is no record for this compiler and C library; these lines in %s make one "
               "(--record writes them):\n%s",
               BENCH_COUNTS, lines);
    if (worse)
        printf("%d operations take more instructions than recorded, and than the spread allows. "
               "If that is meant, record them anew (--record).\n",
               worse);
    apr_pool_destroy(pool);
    return worse != 0;
}
