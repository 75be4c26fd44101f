/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Workers that cannot be started. A start has failed when the launch fails, when the initializer
 * fails, and when a worker ends before it could take work.
 *
 * Guarantee: starts that fail are repeated for as long as the pool is open, each a pause after the
 * one before, so no fault makes a pool start processes as fast as it can. When no worker has become
 * ready for two seconds in which starts failed, no worker is there to do what was submitted: all of
 * it ends with the status and the sentence of the last failure. The pool stays open, and what is
 * submitted later runs as soon as a worker can be started again.
 *
 * All of this is written under the pool's guard. A worker becomes ready under the guard, too: where
 * none is ready, no worker has a job in its hands, and may be ended.
 */
#include "core/base/fail.h"
#include "core/pool/backend.h"

#include <stdio.h>
#include <string.h>

#define MILLISECOND INT64_C(1000000)
#define PAUSE_LEAST (10 * MILLISECOND)
#define PAUSE_MOST  (1000 * MILLISECOND)
#define HOPE        (2000 * MILLISECOND) /* how long work waits for a worker when starts fail */

/* From 10 ms after the first failure, doubled with each that follows, to a second. */
static int64_t pause_after(uint64_t failures) {
    int64_t pause = PAUSE_LEAST;
    for (uint64_t i = 1; i < failures && pause < PAUSE_MOST; i++) pause *= 2;
    return pause < PAUSE_MOST ? pause : PAUSE_MOST;
}

bool cohort__start_may_begin(cohort_pool_t *pool) {
    return !atomic_load(&pool->failures) || cohort_os_now() >= atomic_load(&pool->retry);
}

void cohort__start_begins(cohort_pool_t *pool, cohort__worker_t *worker) {
    int64_t now = cohort_os_now();
    uint64_t failures = atomic_load(&pool->failures);
    atomic_store(&worker->since, now);
    atomic_store(&worker->phase, COHORT__WORKER_STARTING);
    if (failures) atomic_store(&pool->retry, now + pause_after(failures));
}

void cohort__start_succeeded(cohort_pool_t *pool, cohort__worker_t *worker) {
    atomic_store(&worker->phase, COHORT__WORKER_READY);
    atomic_store(&pool->failing, 0);
    atomic_store(&pool->failures, 0);
}

/* The sentence that the next jobs to be ended get a copy of. */
static void keep_reason(cohort_pool_t *pool, cohort__thread_t *me, const cohort__failure_t *what,
                        const char *message, size_t length) {
    cohort__owner_ptr_t *making = &pool->object.parts[2], *reason = &pool->object.parts[3];
    cohort__block_free(me, making);
    cohort__block_free(me, reason);
    atomic_store(&pool->why, (uint64_t)(uint32_t)what->status);
    if (!cohort__failure_make(me, making, what, message, length)) {
        cohort__block_move(me, making, reason);
    }
}

static cohort__worker_t *occupied(cohort_pool_t *pool, uint32_t i, const cohort__worker_t *except) {
    cohort__worker_t *worker = cohort__pool_worker(pool, i);
    return worker != except && atomic_load(&worker->process) ? worker : NULL;
}

static bool has_ready(cohort_pool_t *pool, const cohort__worker_t *except) {
    for (uint32_t i = 0; i < pool->workers; i++) {
        cohort__worker_t *worker = occupied(pool, i, except);
        if (worker && atomic_load(&worker->phase) == COHORT__WORKER_READY) return true;
    }
    return false;
}

/* A worker with a start that began before the first of these failures may still become ready: its
 * initializer may be a slow one. What began later is one more try at what fails. */
static bool is_hopeless(cohort_pool_t *pool, const cohort__worker_t *failed, int64_t now) {
    int64_t failing = atomic_load(&pool->failing);
    if (!failing || now - failing < HOPE) return false;
    for (uint32_t i = 0; i < pool->workers; i++) {
        cohort__worker_t *worker = occupied(pool, i, failed);
        if (worker && atomic_load(&worker->since) < failing) return false;
    }
    return true;
}

/* Starts that were under way together and fail together are one failure: the pause follows how
 * often starting was tried again, not how many workers there are. */
void cohort__start_failed(cohort_pool_t *pool, cohort__thread_t *me, cohort__worker_t *worker,
                          const cohort__failure_t *what, const char *message, size_t length) {
    int64_t now = cohort_os_now();
    if (atomic_load(&pool->state) == COHORT__POOL_ENDED) return;
    keep_reason(pool, me, what, message, length);
    if (!atomic_load(&pool->failing) && !has_ready(pool, worker)) atomic_store(&pool->failing, now);
    if (!atomic_load(&pool->failures) ||
        atomic_load(&worker->since) >= atomic_load(&pool->failed)) {
        atomic_store(&pool->failed, now);
        atomic_fetch_add(&pool->failures, 1);
        atomic_store(&pool->retry, now + pause_after(atomic_load(&pool->failures)));
    }
    if (is_hopeless(pool, worker, now)) {
        cohort__backend_of(pool)->abandon_all(pool, me,
                                              (apr_status_t)(uint32_t)atomic_load(&pool->why),
                                              atomic_load(&pool->object.parts[3]));
    }
}

void cohort__worker_not_launched(cohort_pool_t *pool, cohort__thread_t *me, uint32_t number,
                                 apr_status_t status) {
    char message[512], text[400];
    cohort__failure_t what = {.status = status, .exit_code = COHORT_EXIT_NONE};
    cohort__worker_name(pool, number, what.worker);
    int length = snprintf(message, sizeof message, "worker %s could not be started: %s",
                          what.worker, cohort__describe(status, text, sizeof text));
    cohort__start_failed(pool, me, cohort__pool_worker(pool, number), &what, message,
                         (size_t)length);
}

void cohort__worker_not_ready(cohort_pool_t *pool, cohort__thread_t *me, uint32_t number,
                              cohort__failure_t *what) {
    char message[512];
    cohort__crash_text_t text;
    cohort__worker_t *worker = cohort__pool_worker(pool, number);
    bool initialising =
        pool->initializer.module && atomic_load(&worker->phase) == COHORT__WORKER_INITIALISING;
    what->status = initialising ? COHORT_EINITFAILED : COHORT_ESTART;
    what->crash = cohort__crash_read(worker, what->exit_code, text);
    int length =
        snprintf(message, sizeof message, "worker %s (pid %lld) ended with exit code %d %s%s%.*s",
                 what->worker, (long long)what->pid, (int)what->exit_code,
                 initialising ? "in the initializer" : "before it could take work",
                 what->crash ? ", crashed by " : "", cohort__crash_first_line(what->crash),
                 what->crash ? what->crash : "");
    cohort__start_failed(pool, me, worker, what, message, (size_t)length);
}

apr_status_t cohort__start_verdict(cohort_pool_t *pool) {
    int64_t failing = atomic_load(&pool->failing);
    const cohort__failure_t *reason = atomic_load(&pool->object.parts[3]);
    apr_status_t status = (apr_status_t)(uint32_t)atomic_load(&pool->why);
    if (!failing || cohort_os_now() - failing < HOPE) return APR_SUCCESS;
    return reason ? cohort__fail(status, "%s", reason->message) : status;
}

int64_t cohort__start_next(cohort_pool_t *pool) {
    return atomic_load(&pool->failures) ? atomic_load(&pool->retry) : cohort_os_now() + PAUSE_LEAST;
}
