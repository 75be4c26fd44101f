/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What a pool's options say of its workers: how long each lives, and how many there are. */
#include "core/base/fail.h"
#include "core/pool/pool.h"

#include <limits.h>

/* ---- checks --------------------------------------------------------------------------------- */

/* A negative number that became a size is more than half of them all. */
static apr_status_t check_size(const char *name, apr_size_t size) {
    if (size <= (apr_size_t)-1 / 2) return APR_SUCCESS;
    return cohort__fail(APR_EINVAL, "%s is %" APR_SIZE_T_FMT ", which is no such number", name,
                        size);
}

static apr_status_t check_time(const char *name, apr_interval_time_t time) {
    if (time >= 0) return APR_SUCCESS;
    return cohort__fail(APR_EINVAL, "%s is %" APR_INT64_T_FMT, name, (apr_int64_t)time);
}

static apr_status_t check_demand(const cohort_pool_options_t *o) {
    if (!o->on_demand && (o->min_workers || o->idle_timeout))
        return cohort__fail(APR_EINVAL, "%s is given, and on_demand is not",
                            o->min_workers ? "min_workers" : "idle_timeout");
    if (o->workers && o->min_workers > o->workers)
        return cohort__fail(APR_EINVAL,
                            "min_workers is %" APR_SIZE_T_FMT ", and workers %" APR_SIZE_T_FMT,
                            o->min_workers, o->workers);
    return APR_SUCCESS;
}

static apr_status_t check_cpus(const cohort_pool_options_t *o) {
    bool sets = o->n_cpu_sets != 0, own = o->settings && o->settings->n_cpus;
    if (sets && !o->cpu_sets) return cohort__null("cpu_sets");
    if (o->n_cpu_sets > COHORT__WORKERS_MAX)
        return cohort__fail(APR_EINVAL, "n_cpu_sets is %" APR_SIZE_T_FMT, o->n_cpu_sets);
    for (apr_size_t i = 0; i < o->n_cpu_sets; i++) {
        if (!o->cpu_sets[i].n)
            return cohort__fail(APR_EINVAL, "cpu_sets[%" APR_SIZE_T_FMT "] is empty", i);
    }
    if (o->pin < COHORT_PIN_NONE || o->pin > COHORT_PIN_EACH)
        return cohort__fail(APR_EINVAL, "pin is %d", (int)o->pin);
    if (sets + own + (o->pin != COHORT_PIN_NONE) <= 1) return APR_SUCCESS;
    return cohort__fail(APR_EINVAL,
                        "CPUs are given by more than one of settings, cpu_sets and pin");
}

apr_status_t cohort__limits_check(const cohort_pool_options_t *options) {
    const cohort_pool_options_t *o = options;
    apr_status_t status = check_size("tasks_per_worker", o->tasks_per_worker);
    if (!status) status = check_size("worker_memory", o->worker_memory);
    if (!status) status = check_size("max_jobs", o->max_jobs);
    if (!status) status = check_size("max_bytes", o->max_bytes);
    if (!status) status = check_time("worker_age", o->worker_age);
    if (!status) status = check_time("idle_timeout", o->idle_timeout);
    if (!status) status = check_cpus(o);
    return status ? status : check_demand(o);
}

/* ---- settings ------------------------------------------------------------------------------- */

/* Nanoseconds; 0 and what is too long are no limit. */
static int64_t limit_of(apr_interval_time_t time) {
    return time && time < INT64_MAX / 4000 ? time * 1000 : COHORT_OS_NEVER;
}

static void set_demand(cohort_pool_t *pool, const cohort_pool_options_t *o) {
    uint64_t workers = pool->workers, least = o->on_demand ? o->min_workers : workers;
    pool->on_demand = o->on_demand != 0;
    pool->least = (uint32_t)(least < workers ? least : workers);
    pool->idle_most = o->on_demand ? limit_of(o->idle_timeout) : COHORT_OS_NEVER;
    atomic_store(&pool->target, workers);
    atomic_store(&pool->demand, pool->least);
}

static uint64_t given_limit(apr_uint64_t limit) { return limit < COHORT_LIMIT_ZERO ? limit : 0; }

static void note_hard_limits(cohort_pool_t *pool, const cohort_limits_t *limits) {
    pool->hard_memory = given_limit(limits->memory);
    pool->hard_time = given_limit(limits->cpu_time);
}

apr_status_t cohort__limits_set(cohort_pool_t *pool, const cohort_pool_options_t *options) {
    pool->tasks_most = options->tasks_per_worker;
    pool->memory_most = options->worker_memory;
    if (options->settings) note_hard_limits(pool, &options->settings->limits);
    pool->age_most = limit_of(options->worker_age);
    pool->limited = pool->tasks_most || pool->memory_most || pool->age_most != COHORT_OS_NEVER;
    pool->most_jobs = options->max_jobs;
    pool->most_bytes = options->max_bytes;
    pool->bounded = pool->most_jobs || pool->most_bytes;
    pool->reports_crashes = options->crash_report != 0;
    set_demand(pool, options);
    return cohort__code_find((cohort__function_t)options->finalizer, &pool->finalizer);
}
