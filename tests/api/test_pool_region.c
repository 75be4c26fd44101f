/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Pools: the region of a task, which goes when the attempt at its item ends, in whatever way. */
#include "pools.h"

#include <cohort/region.h>

enum { N = 40, LARGE = 300000 };

/* In the arena: the region of the task that was last begun. */
typedef struct {
    _Atomic(cohort_region_t *) last;
    _Atomic int runs, held, open;
} scene_t;

static scene_t *scene(void) { return (scene_t *)(uintptr_t)cohort_task_context(); }

static int is_gone(cohort_region_t *region) {
    void *block;
    return cohort_region_alloc(&block, region, 1) == COHORT_EHANDLE;
}

static scene_t *new_scene(void) { return party_memory(sizeof(scene_t)); }

/* Nothing is left of the pool, nor of what its tasks have had. */
static void finish_clean(cohort_pool_t *pool, scene_t *s, apr_uint64_t before) {
    CHECK(is_gone(atomic_load(&s->last)));
    CHECK_STATUS(APR_SUCCESS, cohort_free(s));
    finish_pool(pool);
    CHECK_INT(before, blocks_in_use());
}

/* That of the task before is gone by now. */
static apr_status_t use_region(apr_size_t size) {
    cohort_region_t *region = NULL, *again = NULL, *last = atomic_load(&scene()->last);
    void *block = NULL;
    if (last && !is_gone(last)) return cohort_task_fail(APR_EGENERAL, "there is one still");
    apr_status_t status = cohort_task_region(&region);
    atomic_store(&scene()->last, region);
    if (!status) status = cohort_region_alloc(&block, region, size);
    if (!status) memset(block, 1, size);
    if (!status) status = cohort_task_region(&again);
    return !status && again != region ? APR_EINVAL : status;
}

/* ---- the task returns ----------------------------------------------------------------------- */

/* Every third item has none. */
static apr_status_t take_some(const void *input, void *output) {
    (void)input;
    *(int *)output = (int)cohort_task_index();
    return cohort_task_index() % 3 == 2 ? APR_SUCCESS : use_region(100 + cohort_task_index() * 999);
}

static void each_item_has_its_own(void) {
    apr_uint64_t before = blocks_in_use();
    scene_t *s = new_scene();
    cohort_pool_t *pool = new_pool(1);
    for (apr_size_t chunk = 1; chunk <= N; chunk *= N) {
        int out[N];
        RUN(pool, .task = take_some, .n = N, COHORT_OUTPUTS(out), .chunk = chunk, .context = s);
        CHECK(is_gone(atomic_load(&s->last)));
        for (int i = 0; i < N; i++) CHECK_INT(i, out[i]);
    }
    finish_clean(pool, s, before);
}

static apr_status_t take_for_range(const void *in, void *out, apr_size_t first, apr_size_t last) {
    (void)in, (void)out, (void)first, (void)last;
    return use_region(LARGE);
}

static void a_range_has_one(void) {
    apr_uint64_t before = blocks_in_use();
    scene_t *s = new_scene();
    cohort_pool_t *pool = new_pool(1);
    RUN(pool, .range = take_for_range, .n = N, .chunk = 7, .context = s);
    finish_clean(pool, s, before);
}

static apr_status_t take_and_fail(const void *input, void *output) {
    (void)input, (void)output;
    apr_status_t status = use_region(LARGE);
    return status ? status : atomic_fetch_add(&scene()->runs, 1) < 3 ? APR_EBUSY : APR_ENOSPC;
}

static void each_attempt_has_its_own(void) {
    apr_uint64_t before = blocks_in_use();
    scene_t *s = new_scene();
    cohort_pool_t *pool = new_pool(1);
    CHECK_STATUS(APR_ENOSPC, cohort_pool_run(pool, &(cohort_job_t){.task = take_and_fail,
                                                                   .n = 1,
                                                                   .attempts = 9,
                                                                   .retry_on = {APR_EBUSY},
                                                                   .context = s}));
    CHECK_INT(4, atomic_load(&s->runs));
    finish_clean(pool, s, before);
}

/* ---- the attempt is ended ------------------------------------------------------------------- */

/* Until it is ended, or, if it heeds that, told to stop. */
static apr_status_t take_and_stay(const void *input, void *output) {
    bool heeds = *(const int *)input != 0;
    apr_status_t status = use_region(LARGE);
    (void)output;
    if (status) return status;
    atomic_store(&scene()->held, 1);
    while (!heeds || (status = cohort_task_should_stop()) == APR_SUCCESS) apr_sleep(1000);
    return status;
}

static void cancelled(cohort_cancel_t how, int heeds) {
    apr_uint64_t before = blocks_in_use();
    scene_t *s = new_scene();
    cohort_pool_t *pool = new_pool(1);
    cohort_result_t *result;
    SUBMIT(&result, pool, NULL, .task = take_and_stay, COHORT_INPUTS(&heeds, 1), .context = s);
    party_await(&s->held, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_result_cancel(result, how));
    CHECK_STATUS(COHORT_ECANCELLED, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
    finish_clean(pool, s, before);
}

static void a_soft_cancel(void) { cancelled(COHORT_CANCEL_SOFT, 1); }
static void a_hard_cancel(void) { cancelled(COHORT_CANCEL_HARD, 0); }

static void a_deadline(void) {
    apr_uint64_t before = blocks_in_use();
    scene_t *s = new_scene();
    cohort_pool_t *pool = new_pool(1);
    int heeds = 0;
    CHECK_STATUS(COHORT_EDEADLINE, cohort_pool_run(pool, &(cohort_job_t){.task = take_and_stay,
                                                                         COHORT_INPUTS(&heeds, 1),
                                                                         .task_timeout = A_WHILE,
                                                                         .task_grace = 1000,
                                                                         .context = s}));
    finish_clean(pool, s, before);
}

/* The next attempt, in another worker, begins when it is gone. */
static apr_status_t take_and_die(const void *input, void *output) {
    (void)input, (void)output;
    apr_status_t status = use_region(LARGE);
    if (!status && cohort_task_attempt() < 3) {
        (void)cohort_process_kill(cohort_process_current());
        party_wait_for_death();
    }
    return status;
}

static void its_worker_dies(void) {
    apr_uint64_t before = blocks_in_use();
    scene_t *s = new_scene();
    cohort_pool_t *pool = new_pool(2);
    RUN(pool, .task = take_and_die, .n = 1, .attempts = 3, .context = s);
    finish_clean(pool, s, before);
}

/* ---- what is asked wrongly, and oddly ------------------------------------------------------- */

static int is_refused(void) {
    cohort_region_t *region = NULL;
    return cohort_task_region(&region) == APR_EINVAL && !region &&
           strstr(cohort_last_error(), "this thread is not that of a task") != NULL;
}

static void *APR_THREAD_FUNC from_a_thread(apr_thread_t *thread, void *arg) {
    *(int *)arg = is_refused();
    (void)thread;
    return NULL;
}

static int in_a_process(void *args) {
    (void)args;
    CHECK(is_refused());
    return 0;
}

static apr_status_t initialise(void *args) {
    (void)args;
    return is_refused() ? APR_SUCCESS : APR_EGENERAL;
}

static apr_status_t ask_elsewhere(const void *input, void *output) {
    cohort_region_t *region = NULL;
    apr_pool_t *pool = NULL;
    int refused = 0;
    (void)input, (void)output;
    if (cohort_task_region(NULL) != APR_EINVAL || cohort_task_region(&region)) return APR_EGENERAL;
    CHECK_STATUS(APR_SUCCESS, apr_pool_create(&pool, NULL));
    apr_thread_t *thread = NULL;
    CHECK_STATUS(APR_SUCCESS, apr_thread_create(&thread, NULL, from_a_thread, &refused, pool));
    party_thread_finish(thread);
    apr_pool_destroy(pool);
    party_finish(party_start(in_a_process, NULL, 0));
    return refused ? APR_SUCCESS : APR_EINVAL;
}

static void only_in_its_task(void) {
    cohort_pool_options_t options = {.workers = 1, .initializer = initialise};
    cohort_pool_t *pool = NULL;
    CHECK(is_refused());
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&pool, &options, test_pool()));
    RUN(pool, .task = ask_elsewhere, .n = 1);
    finish_pool(pool);
}

/* Another object may be in the place of one that the task has destroyed. */
static apr_status_t destroy_it(const void *input, void *output) {
    cohort_region_t *region = NULL, *other = NULL;
    cohort_region_options_t lasting = {.lasting = 1};
    apr_status_t status = cohort_task_region(&region);
    (void)input;
    if (!status) status = cohort_region_destroy(region);
    if (!status && cohort_task_index() % 2) status = cohort_task_region(&region);
    if (!status && cohort_task_index() % 2) status = cohort_region_destroy(region);
    if (!status) status = cohort_region_create(&other, &lasting, NULL);
    *(cohort_region_t **)output = other;
    return status;
}

static void one_that_was_destroyed(void) {
    cohort_pool_t *pool = new_pool(1);
    cohort_region_t *others[4];
    RUN(pool, .task = destroy_it, .n = 4, COHORT_OUTPUTS(others));
    for (int i = 0; i < 4; i++) {
        CHECK(!is_gone(others[i]));
        CHECK_STATUS(APR_SUCCESS, cohort_region_destroy(others[i]));
    }
    finish_pool(pool);
}

#define ENTRY(name) \
    { "PoolRegion", #name, name }
const test_case_t pool_region_cases[] = {ENTRY(each_item_has_its_own),
                                         ENTRY(a_range_has_one),
                                         ENTRY(each_attempt_has_its_own),
                                         ENTRY(a_soft_cancel),
                                         ENTRY(a_hard_cancel),
                                         ENTRY(a_deadline),
                                         ENTRY(its_worker_dies),
                                         ENTRY(only_in_its_task),
                                         ENTRY(one_that_was_destroyed),
                                         {0}};
