/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What a pool has counted, read by any process: copied under the pool's guard, with all that can be
 * looked at; the system is asked for the memory of workers afterwards. */
#include "core/base/fail.h"
#include "core/pool/backend.h"
#include "core/pool/pool_tally.h"

#include <cohort/statistics.h>

#include <stdio.h>
#include <string.h>

/* Histograms of all places, and of one. */
typedef struct {
    cohort__spread_sum_t run, wait, one;
} sums_t;

static cohort_spread_t spread_of(const cohort__spread_sum_t *sum) {
    return (cohort_spread_t){.count = sum->count,
                             .mean = sum->count ? sum->sum / sum->count : 0,
                             .p50 = cohort__spread_percentile(sum, 50),
                             .p99 = cohort__spread_percentile(sum, 99),
                             .max = sum->most};
}

static cohort_spread_t read_spread(cohort__spread_t *spread, cohort__spread_sum_t *all,
                                   cohort__spread_sum_t *one) {
    memset(one, 0, sizeof *one);
    cohort__spread_read(spread, one);
    cohort__spread_read(spread, all);
    return spread_of(one);
}

/* Up to now. */
#define LOOKS 100

/* Again, when the worker has changed them meanwhile; 0 stays where there is no worker, or one that
 * was killed or stopped over it. */
static void read_times(cohort__tally_t *tally, int64_t now, cohort_counts_t *counts) {
    int64_t since = 0, time[2] = {0, 0};
    for (int looks = 0; looks < LOOKS; looks++) {
        since = atomic_load(&tally->since);
        time[0] = atomic_load(&tally->time[0]);
        time[1] = atomic_load(&tally->time[1]);
        atomic_thread_fence(memory_order_acquire);
        if (since && atomic_load(&tally->since) == since) break;
    }
    int64_t begun = cohort__since_time(since);
    if (since && now > begun) time[cohort__since_busy(since)] += now - begun;
    counts->idle = time[0] / 1000;
    counts->busy = time[1] / 1000;
}

static void read_counts(cohort__tally_t *tally, int64_t now, sums_t *sums,
                        cohort_counts_t *counts) {
    uint64_t memory = atomic_load(&tally->memory);
    counts->done = atomic_load(&tally->ended[COHORT__TALLY_DONE]);
    counts->failed = atomic_load(&tally->ended[COHORT__TALLY_FAILED]);
    counts->cancelled = atomic_load(&tally->ended[COHORT__TALLY_CANCELLED]);
    counts->retried = atomic_load(&tally->again);
    counts->starts = atomic_load(&tally->starts);
    counts->deaths = atomic_load(&tally->deaths);
    counts->memory_most = memory ? (apr_int64_t)memory : -1;
    read_times(tally, now, counts);
    counts->run = read_spread(&tally->run, &sums->run, &sums->one);
    counts->wait = read_spread(&tally->wait, &sums->wait, &sums->one);
}

/* Guard. False: no worker is at that place, and none was that is counted. */
static bool read_place(cohort_pool_t *pool, uint32_t number, int64_t now, sums_t *sums,
                       cohort_worker_statistics_t *place) {
    cohort__tally_t *tally = cohort__pool_tally(pool, number);
    cohort_process_t *slot =
        cohort__process_find(atomic_load(&cohort__pool_worker(pool, number)->process));
    bool is_there = slot && cohort__process_state(slot) <= COHORT__SLOT_RUNNING;
    if (!is_there && !(tally && atomic_load(&tally->starts))) return false;
    cohort__worker_name(pool, number, place->name);
    place->process = is_there ? slot : NULL;
    if (is_there && cohort__process_state(slot) == COHORT__SLOT_RUNNING) place->pid = slot->os.pid;
    place->counts.memory = place->counts.memory_most = -1;
    if (tally) read_counts(tally, now, sums, &place->counts);
    return true;
}

/* Guard. */
static void read_pool(cohort_pool_t *pool, int64_t now, cohort_pool_statistics_t *all) {
    cohort__pool_tally_t *tally = cohort__pool_tally_all(pool);
    snprintf(all->name, sizeof all->name, "%s", pool->name);
    uint64_t jobs, items;
    cohort__backend_of(pool)->queued(pool, &jobs, &items);
    all->jobs = jobs;
    all->items = items;
    all->counted = pool->counts != 0;
    if (!all->counted) return;
    all->elapsed = (now - atomic_load(&tally->made)) / 1000;
    all->submitted = atomic_load(&tally->jobs);
    all->jobs_most = atomic_load(&tally->jobs_most);
    all->items_most = atomic_load(&tally->items_most);
    all->counts.cancelled = atomic_load(&tally->cancelled);
}

/* ---- memory --------------------------------------------------------------------------------- */

static void read_memory(cohort_worker_statistics_t *place) {
    cohort_counts_t *counts = &place->counts;
    if (!place->pid) return;
    cohort_os_usage_t usage = {-1, -1};
    (void)cohort_os_alive(cohort__process_os(place->process), &usage);
    if (cohort__process_os(place->process).pid != place->pid) return; /* another one by now */
    counts->memory = usage.memory;
    if (usage.memory > counts->memory_most) counts->memory_most = usage.memory;
}

static void add(cohort_counts_t *all, const cohort_counts_t *one) {
    all->done += one->done;
    all->failed += one->failed;
    all->cancelled += one->cancelled;
    all->retried += one->retried;
    all->starts += one->starts;
    all->deaths += one->deaths;
    all->busy += one->busy;
    all->idle += one->idle;
    if (one->memory >= 0) all->memory = one->memory + (all->memory < 0 ? 0 : all->memory);
    if (one->memory_most > all->memory_most) all->memory_most = one->memory_most;
}

/* ---- the call ------------------------------------------------------------------------------- */

static cohort_pool_statistics_t *new_statistics(apr_pool_t *parent, uint32_t places) {
    cohort_pool_statistics_t *made = apr_pcalloc(parent, sizeof *made);
    cohort_worker_statistics_t *all = apr_pcalloc(parent, places * sizeof *all);
    made->workers = apr_palloc(parent, places * sizeof(cohort_worker_statistics_t *));
    for (uint32_t i = 0; i < places; i++) made->workers[i] = &all[i];
    made->counts.memory = made->counts.memory_most = -1;
    return made;
}

static apr_status_t statistics(cohort_pool_t *pool, cohort_pool_statistics_t **made,
                               apr_pool_t *parent) {
    cohort__call_t use;
    if (!made || !parent) return cohort__null(!made ? "statistics" : "parent");
    apr_status_t status = cohort__pool_call(&use, pool);
    if (status) return status;
    sums_t *sums = apr_pcalloc(parent, sizeof *sums);
    status = cohort__pool_enter_live(pool, use.me, use.life);
    if (status) return status;
    int64_t now = cohort_os_now();
    cohort_pool_statistics_t *all = new_statistics(parent, pool->workers);
    read_pool(pool, now, all);
    for (uint32_t i = 0; i < pool->workers; i++)
        all->n += read_place(pool, i, now, sums, all->workers[all->n]);
    cohort__pool_leave(pool);
    for (apr_size_t i = 0; i < all->n; i++) {
        read_memory(all->workers[i]);
        add(&all->counts, &all->workers[i]->counts);
    }
    all->counts.run = spread_of(&sums->run);
    all->counts.wait = spread_of(&sums->wait);
    *made = all;
    return APR_SUCCESS;
}

apr_status_t cohort_pool_statistics(const cohort_pool_t *pool,
                                    cohort_pool_statistics_t **statistics_, apr_pool_t *parent) {
    return COHORT__CALL_ANEW(statistics((cohort_pool_t *)pool, statistics_, parent));
}

static apr_status_t print_to(cohort_pool_t *pool, apr_file_t *file, apr_pool_t *parent) {
    cohort_pool_statistics_t *all;
    char *table;
    apr_status_t status = statistics(pool, &all, parent);
    if (!status) status = cohort__statistics_table(&table, all, parent);
    if (!status && !file) status = apr_file_open_stderr(&file, parent);
    return status ? status : apr_file_write_full(file, table, strlen(table), NULL);
}

static apr_status_t print_statistics(cohort_pool_t *pool, apr_file_t *file) {
    apr_pool_t *own;
    apr_status_t status = apr_pool_create(&own, NULL);
    if (status) return status;
    status = print_to(pool, file, own);
    apr_pool_destroy(own);
    return status;
}

apr_status_t cohort_pool_print_statistics(const cohort_pool_t *pool, apr_file_t *file) {
    return COHORT__CALL_ANEW(print_statistics((cohort_pool_t *)pool, file));
}
