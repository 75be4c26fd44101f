/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What a pool with the option `statistics` counts. The counters lie behind the records of the
 * workers, and are a place's: they go on with the worker that takes it next. Only the worker at the
 * place writes them, and when it is dead the thread that settles its death, with the pool's guard.
 *
 * Guarantee: each item that has ended by its worker is counted once, as done, failed or cancelled,
 * whatever process dies at whatever instruction. A worker counts an item before its record goes on
 * to the next one; it notes first which item, as what, and what the counter will be. So the thread
 * that settles a dead worker knows whether the item that the record says is under way has been
 * counted, takes that back, and counts it as what it is charged with.
 *
 * Times, memory, runs that are repeated, and what is counted of the whole pool besides are what
 * they were but for the last change that a killed process was at.
 */
#ifndef COHORT_CORE_POOL_TALLY_H
#define COHORT_CORE_POOL_TALLY_H

#include "core/base/spread.h"
#include "core/pool/pool.h"

#include <cohort/statistics.h>

/* As what an item has ended. */
typedef enum {
    COHORT__TALLY_DONE,
    COHORT__TALLY_FAILED,
    COHORT__TALLY_CANCELLED,
    COHORT__TALLY_ENDS
} cohort__tally_end_t;

/* Of a place. */
typedef struct {
    _Alignas(64) _Atomic uint64_t ended[COHORT__TALLY_ENDS];
    _Atomic uint64_t note;                /* see pool_tally.c */
    _Atomic uint64_t again;               /* runs that were repeated */
    _Atomic int64_t time[2];              /* nanoseconds that its workers were idle, and busy */
    _Atomic int64_t since;                /* time << 1 | it is busy; 0: no worker is ready */
    _Alignas(64) _Atomic uint64_t memory; /* the most that one of them had */
    _Atomic uint64_t starts, deaths;      /* Guard. */
    cohort__spread_t run, wait;           /* of runs; and of items, from the submission on */
} cohort__tally_t;

/* The word `since`. */
static inline int64_t cohort__since(int64_t now, bool busy) { return now << 1 | busy; }
static inline int64_t cohort__since_time(int64_t since) { return since >> 1; }
static inline bool cohort__since_busy(int64_t since) { return since & 1; }

/* Of the whole pool; behind the records of its first workers. Written with the guard, but for what
 * is over, which any process adds to. */
typedef struct {
    _Alignas(64) _Atomic uint64_t jobs, items; /* that were submitted */
    _Atomic uint64_t jobs_most, items_most;    /* of jobs that were not over */
    _Alignas(64) _Atomic uint64_t jobs_over, items_over;
    _Atomic uint64_t cancelled; /* items that no worker has begun */
    _Atomic int64_t made;
} cohort__pool_tally_t;

/* ---- pool_resize.c -------------------------------------------------------------------------- */

/* Bytes of so many places with what is counted of them, the first ones of a pool or others. */
size_t cohort__places_size(const cohort_pool_t *pool, uint32_t places, bool first);
/* NULL: the pool counts nothing. */
cohort__tally_t *cohort__pool_tally(cohort_pool_t *pool, uint32_t number);
cohort__pool_tally_t *cohort__pool_tally_all(cohort_pool_t *pool);

/* ---- pool_tally.c --------------------------------------------------------------------------- */

/* Guard: a worker is started at this place; and it has ended, in order or not. */
void cohort__tally_starts(cohort_pool_t *pool, uint32_t number);
void cohort__tally_stops(cohort_pool_t *pool, uint32_t number, bool in_order);
/* Guard: of a dead worker, the item that was under way, or the range: it has ended with this status
 * (over), or is to be run again, which counts as a run or does not. */
void cohort__tally_settle(cohort_pool_t *pool, uint32_t number, const cohort__failure_t *what,
                          bool over, bool again);
/* A job in the making, of a pool that counts. */
void cohort__tally_expect(cohort_result_t *job);
/* Guard: it is submitted. Four entries of the journal at most. */
void cohort__tally_takes(cohort_pool_t *pool, const cohort_result_t *job);
/* It is over: called once. */
void cohort__tally_job_over(cohort_result_t *job);

/* ---- pool_statistics_table.c ----------------------------------------------------------------- */

/* cohort_statistics_table(), for use within the library. */
apr_status_t cohort__statistics_table(char **table, const cohort_pool_statistics_t *statistics,
                                      apr_pool_t *parent);

#endif
