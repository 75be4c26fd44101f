/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
#include "threads.h"

#include "core/pool/pool_result.h"
#include "core/process/process.h"

#include <apr_thread_proc.h>
#include <stdatomic.h>
#include <stdlib.h>

/* ---- threads that are processes ------------------------------------------------------------- */

typedef struct {
    cohort_process_t *slot;
    void (*run)(void *arg, int index);
    void *arg;
    int index;
} life_t;

cohort_process_t *root;

static cohort_process_t *new_slot(void) {
    cohort_process_t *slot;
    CHECK_STATUS(APR_SUCCESS, cohort__process_make(&slot, COHORT__ROLE_CHILD, NULL,
                                                   COHORT_LIFETIME_FOREGROUND, COHORT_START_SPAWN));
    slot->os = cohort_os_self();
    CHECK(cohort__slot_step(slot, COHORT__SLOT_NEW, COHORT__SLOT_STARTING));
    CHECK(cohort__slot_step(slot, COHORT__SLOT_STARTING, COHORT__SLOT_RUNNING));
    return slot;
}

/* Its death is recorded by the root; for that, the thread goes on in the root's name. */
static void end_slot(cohort_process_t *slot) {
    cohort__thread_t *me;
    CHECK_STATUS(APR_SUCCESS, cohort__enter(&me));
    cohort__thread_exit(me);
    cohort__self_set(root);
    cohort__process_ended(slot, 0);
    if (!cohort__enter(&me)) cohort__thread_exit(me);
}

static void *APR_THREAD_FUNC live(apr_thread_t *thread, void *given) {
    life_t *life = given;
    (void)thread;
    cohort__self_set(life->slot);
    life->run(life->arg, life->index);
    end_slot(life->slot);
    return NULL;
}

void together(int n, void (*run)(void *arg, int index), void *arg) {
    apr_thread_t *threads[MOST];
    life_t lives[MOST];
    apr_status_t status;
    /* a worker that ends meanwhile reads it */
    if (root != cohort_process_current()) root = cohort_process_current();
    /* in the name of the root: what a thread holds in that of a process that has ended is free */
    CHECK_STATUS(APR_SUCCESS, cohort__watcher_begin());
    for (int i = 0; i < n; i++) {
        lives[i] = (life_t){new_slot(), run, arg, i};
        CHECK_STATUS(APR_SUCCESS,
                     apr_thread_create(&threads[i], NULL, live, &lives[i], test_pool()));
    }
    for (int i = 0; i < n; i++) (void)apr_thread_join(&status, threads[i]);
    for (int i = 0; i < n; i++) CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(lives[i].slot));
}

/* The linker gives these two calls of the library to us. */

typedef struct {
    void (*run)(void *arg);
    void *arg;
    cohort_process_t *self;
    uint32_t membership; /* by which a process tells its own from what a copy of it has */
} helper_t;

static void help(void *given) {
    helper_t h = *(helper_t *)given;
    free(given);
    cohort__self_set(h.self);
    atomic_store(&cohort__identity.epoch, h.membership);
    h.run(h.arg);
}

apr_status_t __real_cohort_os_thread_start(void (*run)(void *arg), void *arg);
apr_status_t __wrap_cohort_os_thread_start(void (*run)(void *arg), void *arg);
apr_status_t __wrap_cohort_os_thread_start(void (*run)(void *arg), void *arg) {
    helper_t *h = malloc(sizeof *h);
    CHECK(h != NULL);
    *h = (helper_t){run, arg, cohort__self(), cohort__membership()};
    return __real_cohort_os_thread_start(help, h);
}

static void *APR_THREAD_FUNC be_worker(apr_thread_t *thread, void *given) {
    cohort_process_t *slot = given;
    (void)thread;
    cohort__self_set(slot);
    CHECK_INT(0, cohort__pool_worker_main(slot));
    end_slot(slot);
    return NULL;
}

static apr_thread_t *workers[MOST_WORKERS];
static _Atomic int started;

apr_status_t __real_cohort__process_launch(cohort_process_t *slot);
apr_status_t __wrap_cohort__process_launch(cohort_process_t *slot);
apr_status_t __wrap_cohort__process_launch(cohort_process_t *slot) {
    if (slot->role != COHORT__ROLE_WORKER) return __real_cohort__process_launch(slot);
    slot->os = cohort_os_self();
    CHECK(cohort__slot_step(slot, COHORT__SLOT_NEW, COHORT__SLOT_STARTING));
    CHECK(cohort__slot_step(slot, COHORT__SLOT_STARTING, COHORT__SLOT_RUNNING));
    int i = atomic_fetch_add(&started, 1);
    apr_pool_t *own = NULL; /* a test's pool is for one thread */
    CHECK(i < MOST_WORKERS);
    CHECK_STATUS(APR_SUCCESS, apr_pool_create(&own, NULL));
    return apr_thread_create(&workers[i], NULL, be_worker, slot, own);
}

void check_heap(apr_uint64_t blocks) {
    char why[200];
    CHECK_INT(blocks, blocks_in_use());
    if (!cohort__alloc_sound(why, sizeof why)) test_fail(__FILE__, __LINE__, "%s", why);
}

/* ---- pools ---------------------------------------------------------------------------------- */

cohort_pool_t *begin_pool_with(const cohort_pool_options_t *options) {
    cohort_pool_t *pool;
    root = cohort_process_current();
    atomic_store(&started, 0);
    CHECK_STATUS(APR_SUCCESS, cohort__watcher_begin());
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&pool, options, NULL));
    return pool;
}

cohort_pool_t *begin_pool(int n) { return begin_pool_with(&(cohort_pool_options_t){.workers = n}); }

void end_pool(cohort_pool_t *pool, apr_uint64_t blocks) {
    apr_status_t status;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_close(pool));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_join(pool, COHORT_FOREVER));
    for (int i = 0; i < atomic_load(&started); i++) (void)apr_thread_join(&status, workers[i]);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
    check_heap(blocks);
}
