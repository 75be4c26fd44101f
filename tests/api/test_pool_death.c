/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Pools: what is left of the work when workers, submitters and makers are killed. */
#include "pools.h"

#include <stdlib.h>

typedef enum { NO_DEATH, BY_KILL, BY_EXIT, BY_COHORT_EXIT, BY_ABORT } death_t;

typedef struct {
    int number;
    death_t death;
    int times; /* at most so many runs of it end in death */
    gate_t *gate;
} mortal_t;

static void die(death_t death) {
    switch (death) {
    case BY_KILL: (void)cohort_process_kill(cohort_process_current()); party_wait_for_death();
    case BY_EXIT: exit(3);
    case BY_COHORT_EXIT: cohort_exit(4); break;
    case BY_ABORT: abort();
    default: break;
    }
}

static apr_status_t mortal(const void *input, void *output) {
    const mortal_t *m = input;
    if (atomic_fetch_add(&m->gate[m->number].runs, 1) < m->times) die(m->death);
    *(int *)output = m->number * m->number;
    return APR_SUCCESS;
}

static mortal_t *new_mortals(int n) {
    mortal_t *list = party_memory((apr_size_t)n * sizeof *list);
    gate_t *gates = party_memory((apr_size_t)n * sizeof *gates);
    for (int i = 0; i < n; i++) list[i] = (mortal_t){i, NO_DEATH, 1, gates};
    return list;
}

/* Each ran exactly as often as expected, and has its output unless it failed. */
static void check_mortals(const mortal_t *list, const int *out, int n) {
    for (int i = 0; i < n; i++) {
        CHECK_INT(1, atomic_load(&list[i].gate[i].runs));
        if (list[i].death == NO_DEATH) CHECK_INT(i * i, out[i]);
    }
}

static void one_death(death_t death, int code) {
    cohort_pool_t *pool = new_pool(2);
    mortal_t *in = new_mortals(100);
    cohort_result_t *result;
    cohort_task_error_t error, **list;
    apr_size_t n;
    int out[100];
    in[57].death = death;
    SUBMIT(&result, pool, test_pool(), .task = mortal, COHORT_INPUTS(in, 100), COHORT_OUTPUTS(out),
           .chunk = 10);
    CHECK_STATUS(COHORT_EWORKERDIED, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
    check_mortals(in, out, 100);
    CHECK_STATUS(APR_SUCCESS, cohort_result_error(result, &error));
    CHECK_STATUS(COHORT_EWORKERDIED, error.status);
    CHECK_INT(57, error.index);
    CHECK_INT(code, error.exit_code);
    CHECK_INT(1, error.attempt);
    CHECK(error.pid > 0);
    CHECK(strcmp(error.worker, "P-1") == 0 || strcmp(error.worker, "P-2") == 0);
    CHECK(strstr(error.message, error.worker) != NULL);
    CHECK_STATUS(APR_SUCCESS, cohort_result_errors(result, &list, &n, test_pool()));
    CHECK_INT(1, n);
    check_works(pool);
    finish_pool(pool);
}

static void death_by_kill(void) { one_death(BY_KILL, -9); }
static void death_by_exit(void) { one_death(BY_EXIT, 3); }
static void death_by_cohort_exit(void) { one_death(BY_COHORT_EXIT, 4); }
static void death_by_abort(void) { one_death(BY_ABORT, -6); }

static void every_task_dies(void) {
    cohort_pool_t *pool = new_pool(3);
    mortal_t *in = new_mortals(30);
    cohort_result_t *result;
    cohort_task_error_t **list;
    apr_size_t n;
    int out[30];
    for (int i = 0; i < 30; i++) in[i].death = BY_KILL;
    SUBMIT(&result, pool, test_pool(), .task = mortal, COHORT_INPUTS(in, 30), COHORT_OUTPUTS(out),
           .chunk = 7);
    CHECK_STATUS(COHORT_EWORKERDIED, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
    check_mortals(in, out, 30);
    CHECK_STATUS(APR_SUCCESS, cohort_result_errors(result, &list, &n, test_pool()));
    CHECK_INT(30, n);
    for (int i = 0; i < 30; i++) {
        CHECK_INT(i, list[i]->index);
        CHECK_INT(-9, list[i]->exit_code);
    }
    check_works(pool);
    finish_pool(pool);
}

static cohort_pool_t *patient_pool(int workers, int attempts) {
    cohort_pool_options_t options = {.workers = workers, .name = "P", .attempts = attempts};
    cohort_pool_t *pool = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&pool, &options, test_pool()));
    return pool;
}

static void retries(void) {
    cohort_pool_t *pool = patient_pool(2, 3);
    mortal_t *in = new_mortals(40);
    int out[40];
    for (int i = 0; i < 40; i += 10) {
        in[i + 2].death = BY_KILL;
        in[i + 2].times = 2;
    }
    RUN(pool, .task = mortal, COHORT_INPUTS(in, 40), COHORT_OUTPUTS(out), .chunk = 5);
    check_squares(out, 40);
    for (int i = 0; i < 40; i++) CHECK_INT(i % 10 == 2 ? 3 : 1, atomic_load(&in[i].gate[i].runs));
    finish_pool(pool);
}

static void poison(void) {
    cohort_pool_t *pool = patient_pool(2, 3);
    mortal_t *in = new_mortals(10);
    cohort_result_t *result;
    cohort_task_error_t error;
    int out[10];
    in[4].death = BY_KILL;
    in[4].times = 1000;
    SUBMIT(&result, pool, test_pool(), .task = mortal, COHORT_INPUTS(in, 10), COHORT_OUTPUTS(out));
    CHECK_STATUS(COHORT_EWORKERDIED, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
    for (int i = 0; i < 10; i++) CHECK_INT(i == 4 ? 3 : 1, atomic_load(&in[i].gate[i].runs));
    CHECK_STATUS(APR_SUCCESS, cohort_result_error(result, &error));
    CHECK_INT(4, error.index);
    CHECK_INT(3, error.attempt);
    finish_pool(pool);
}

/* The only worker of a closed pool dies: what is left is done all the same. */
static void death_after_close(void) {
    cohort_pool_t *pool = new_pool(1);
    mortal_t *in = new_mortals(20);
    cohort_result_t *result;
    int out[20];
    in[9].death = BY_KILL;
    SUBMIT(&result, pool, test_pool(), .task = mortal, COHORT_INPUTS(in, 20), COHORT_OUTPUTS(out),
           .chunk = 20);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_close(pool));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_join(pool, COHORT_FOREVER));
    CHECK_STATUS(COHORT_EWORKERDIED, cohort_result_get(result, NULL, 0, 0));
    check_mortals(in, out, 20);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
}

static void kill_from_outside(void) {
    cohort_pool_t *pool = new_pool(2);
    cohort_process_t **workers;
    gate_t *gate = new_gate();
    cohort_result_t *result;
    cohort_task_error_t error;
    apr_size_t n;
    SUBMIT(&result, pool, test_pool(), .task = pass_gate, COHORT_INPUTS(&gate, 1));
    party_await(&gate->begun, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_workers(pool, &workers, &n, test_pool()));
    CHECK_INT(2, n);
    for (int i = 0; i < 2; i++) party_kill(workers[i]);
    CHECK_STATUS(COHORT_EWORKERDIED, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_result_error(result, &error));
    CHECK_INT(-9, error.exit_code);
    check_works(pool);
    finish_pool(pool);
}

typedef struct {
    cohort_pool_t *pool;
    _Atomic int stop, kills;
} killer_t;

/* Kill one worker after the other, whatever it is doing; but not the only one, so that something
 * gets done where starting takes long. */
static void *APR_THREAD_FUNC kill_workers(apr_thread_t *thread, void *arg) {
    killer_t *killer = arg;
    (void)thread;
    for (int round = 0; !atomic_load(&killer->stop); round++) {
        cohort_process_t **workers;
        apr_pool_t *pool;
        apr_size_t n;
        CHECK_STATUS(APR_SUCCESS, apr_pool_create(&pool, NULL));
        CHECK_STATUS(APR_SUCCESS, cohort_pool_workers(killer->pool, &workers, &n, pool));
        if (n > 1) {
            (void)cohort_process_kill(workers[round % n]);
            atomic_fetch_add(&killer->kills, 1);
        }
        apr_pool_destroy(pool);
        apr_sleep(1500);
    }
    return NULL;
}

/* Whatever was not charged with a death has its right output, and all that was charged says so. */
static void check_storm(cohort_result_t *result, const int *out, int n) {
    cohort_task_error_t **list;
    apr_size_t errors, next = 0;
    CHECK_STATUS(APR_SUCCESS, cohort_result_errors(result, &list, &errors, test_pool()));
    for (int i = 0; i < n; i++) {
        if (next < errors && list[next]->index == (apr_size_t)i) {
            CHECK_STATUS(COHORT_EWORKERDIED, list[next]->status);
            CHECK_INT(-9, list[next]->exit_code);
            next++;
            CHECK(next == errors || list[next]->index > (apr_size_t)i);
        } else {
            CHECK_INT(i % 5000 * (i % 5000), out[i]);
        }
    }
    CHECK_INT(errors, next);
}

static void storm(apr_size_t chunk) {
    enum { N = 60000, ROUNDS = 12 };
    killer_t killer = {.pool = new_pool(3)};
    int *in = malloc(N * sizeof *in), *out = malloc(N * sizeof *out);
    for (int i = 0; i < N; i++) in[i] = i % 5000;
    apr_thread_t *thread = party_thread(kill_workers, &killer);
    for (int round = 0; round < ROUNDS || atomic_load(&killer.kills) < 20; round++) {
        cohort_result_t *result;
        memset(out, 0xff, N * sizeof *out);
        SUBMIT(&result, killer.pool, NULL, .task = square, COHORT_INPUTS(in, N),
               COHORT_OUTPUTS(out), .chunk = chunk);
        (void)!cohort_result_get(result, NULL, 0, COHORT_FOREVER);
        check_storm(result, out, N);
        CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
    }
    atomic_store(&killer.stop, 1);
    party_thread_finish(thread);
    check_works(killer.pool);
    /* the last one killed is replaced, too */
    while (count_workers(killer.pool) < 3) apr_sleep(1000);
    CHECK_INT(3, count_workers(killer.pool));
    finish_pool(killer.pool);
    free(in);
    free(out);
}

static void storm_chunk_1(void) { storm(1); }
static void storm_default_chunk(void) { storm(0); }

/* Thousands of small jobs while workers are killed: each ends, well or charged. */
static void storm_apply(void) {
    enum { N = 3000 };
    killer_t killer = {.pool = new_pool(3)};
    apr_thread_t *thread = party_thread(kill_workers, &killer);
    for (int i = 0; i < N || atomic_load(&killer.kills) < 20; i++) {
        int x = i % 1000, y = -1;
        apr_status_t status = cohort_pool_apply(killer.pool, square, &x, sizeof x, &y, sizeof y);
        if (status) CHECK_STATUS(COHORT_EWORKERDIED, status);
        else CHECK_INT(x * x, y);
    }
    atomic_store(&killer.stop, 1);
    party_thread_finish(thread);
    check_works(killer.pool);
    finish_pool(killer.pool);
}

static void deaths_leak_nothing(void) {
    cohort_process_t **children;
    apr_size_t n;
    storm_apply();
    every_task_dies();
    apr_uint64_t before = blocks_in_use();
    storm_apply();
    CHECK_INT(before, blocks_in_use());
    CHECK_STATUS(APR_SUCCESS, cohort_process_active_children(&children, &n, test_pool()));
    CHECK_INT(0, n);
}

_Noreturn static int submit_for_ever(void *args) {
    int in[64], out[64];
    fill(in, 64);
    for (;;) (void)!COHORT_MAP(((submit_t *)args)->pool, square, in, 64, out);
}

/* Submitters die in the middle of a map: the pool goes on, and nothing of theirs stays. */
static void submitter_dies(void) {
    submit_t args = {new_pool(2)};
    check_works(args.pool);
    party_kill(party_start(submit_for_ever, &args, sizeof args));
    check_works(args.pool);
    for (int i = 0; i < 20; i++) {
        cohort_process_t *child = party_start(submit_for_ever, &args, sizeof args);
        apr_sleep(i * 500);
        party_kill(child);
        CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(child));
    }
    check_works(args.pool);
    finish_pool(args.pool);
}

static void dead_submitters_leak_nothing(void) {
    submitter_dies();
    apr_uint64_t before = blocks_in_use();
    submitter_dies();
    CHECK_INT(before, blocks_in_use());
}

typedef struct {
    _Atomic(cohort_result_t *) result;
    _Atomic(cohort_pool_t *) pool;
    gate_t gate;
    _Atomic int ready;
} shared_t;

static int own_a_pool(void *args) {
    shared_t *shared = *(shared_t **)args;
    gate_t *gate = &shared->gate;
    cohort_pool_t *pool = new_pool(2);
    cohort_result_t *result;
    SUBMIT(&result, pool, NULL, .task = pass_gate, COHORT_INPUTS(&gate, 1));
    atomic_store(&shared->pool, pool);
    atomic_store(&shared->result, result);
    atomic_store(&shared->ready, 1);
    party_wait_for_death();
}

/* A pool ends with its maker: workers too, and results say so to the threads that wait. */
static void maker_dies(void) {
    shared_t *shared = party_memory(sizeof *shared);
    cohort_process_t *maker = party_start(own_a_pool, &shared, sizeof shared), **workers;
    apr_size_t n;
    party_await(&shared->ready, 1);
    party_await(&shared->gate.begun, 1);
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_workers(atomic_load(&shared->pool), &workers, &n, test_pool()));
    CHECK_INT(2, n);
    CHECK_STATUS(APR_EAGAIN, cohort_result_wait(atomic_load(&shared->result), 0));
    party_kill(maker);
    cohort_result_t *result = atomic_load(&shared->result);
    apr_status_t status = cohort_result_get(result, NULL, 0, COHORT_FOREVER);
    if (status != COHORT_EWORKERDIED) CHECK_STATUS(COHORT_ETERMINATED, status);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(atomic_load(&shared->pool)));
    for (int i = 0; i < 2; i++) CHECK_INT(0, cohort_process_is_alive(workers[i]));
    CHECK_STATUS(COHORT_EHANDLE, cohort_pool_close(atomic_load(&shared->pool)));
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
}

/* An initializer is run again in the next worker when its worker is killed once. */
static apr_status_t deadly_initializer(void *args) {
    if (atomic_fetch_add(*(_Atomic int **)args, 1) == 0) die(BY_KILL);
    return APR_SUCCESS;
}

static void initializer_dies(void) {
    _Atomic int *count = party_memory(sizeof *count);
    cohort_pool_options_t options = {.workers = 2,
                                     .initializer = deadly_initializer,
                                     .init_args = &count,
                                     .init_size = sizeof count};
    cohort_pool_t *pool;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&pool, &options, test_pool()));
    check_works(pool);
    party_await(count, 3);
    finish_pool(pool);
    CHECK_INT(3, atomic_load(count));
}

const test_case_t pool_death_cases[] = {
    {"PoolDeath", "by_kill", death_by_kill},
    {"PoolDeath", "by_exit", death_by_exit},
    {"PoolDeath", "by_cohort_exit", death_by_cohort_exit},
    {"PoolDeath", "by_abort", death_by_abort},
    {"PoolDeath", "every_task_dies", every_task_dies},
    {"PoolDeath", "retries", retries},
    {"PoolDeath", "poison", poison},
    {"PoolDeath", "after_close", death_after_close},
    {"PoolDeath", "kill_from_outside", kill_from_outside},
    {"PoolDeath", "storm_chunk_1", storm_chunk_1},
    {"PoolDeath", "storm_default_chunk", storm_default_chunk},
    {"PoolDeath", "storm_apply", storm_apply},
    {"PoolDeath", "leaks_nothing", deaths_leak_nothing},
    {"PoolDeath", "submitter_dies", submitter_dies},
    {"PoolDeath", "dead_submitters_leak_nothing", dead_submitters_leak_nothing},
    {"PoolDeath", "maker_dies", maker_dies},
    {"PoolDeath", "initializer_dies", initializer_dies},
    {0},
};
