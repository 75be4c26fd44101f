/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The running of a job's chunks in a worker of the local back end, for pool_worker.c, which finds
 * the job, and for the files that see to what some jobs need.
 *
 * A job that needs no more than its tasks called goes through the plain loop, which is as short as
 * can be and looks at one word for each item: what the job needs. When that is anything, the rest
 * of the chunk goes through the loop apart. So a bit that is set later reaches a chunk that is
 * under way with its next item. In the loop apart a turn is one call of the task: turn_begins()
 * comes before it, turn_ends() after it, and each asks, for each bit that concerns it, the file
 * that sees to that. */
#ifndef COHORT_CORE_POOL_RUN_H
#define COHORT_CORE_POOL_RUN_H

#include "core/pool/backend_local.h"
#include "core/pool/pool_tally.h"

/* A worker, as its process knows itself. */
typedef struct {
    cohort_pool_t *pool;
    cohort__thread_t *me;
    cohort__worker_t *record;
    uint32_t number;
    uint32_t deaths; /* of the cohort, when orphans were last looked for */
    char name[COHORT__NAME_MAX];
    /* the job at hand */
    cohort_result_t *job;
    cohort_task_t task;
    uint64_t round;      /* of the job, when this visit began */
    bool passing;        /* over all words, once: the cursor is at the end */
    bool ends;           /* this process does, in the middle of its chunk */
    cohort__code_t code; /* of the task that was looked up last */
    uint64_t each_seen;  /* of the pool's serial, see pool_each.c */
    /* for other jobs, see pool_fair.c */
    int64_t began;  /* the time here, when others were first seen waiting; 0: they were not */
    bool gives_way; /* this visit is cut short */
    /* see pool_retire.c */
    int64_t born;   /* when it was ready, if its age counts */
    uint64_t tasks; /* it has run so many, if they count */
    bool retires;   /* it ends before it takes anything more */
    /* see pool_tally.c */
    cohort__tally_t *tally; /* of its place; NULL: the pool counts nothing */
    int64_t clock;          /* when its visit began, or the last turn ended */
    int64_t memory_next;    /* when its memory is looked at again */
} cohort__worker_self_t;

/* One call of a task in the loop apart. */
typedef struct {
    uint32_t needs; /* of the job, when it began */
    uint64_t chunk;
    uint64_t first, last; /* its items: one, or a range; `last` is the one after them */
    uint64_t attempt;     /* how often it was begun before */
    const void *input;    /* what the task is called with; a range, with the whole arrays */
    void *output;
} cohort__turn_t;

/* Before the first chunk of a visit: the task is found. */
void cohort__run_begin(cohort__worker_self_t *w);
/* The next batch of chunks: run those that no other worker has. False: this worker has seen all
 * chunks of the job, or nothing more of it is to be run. */
bool cohort__run_next(cohort__worker_self_t *w);

/* This worker leaves its chunk before this turn: what is left of it is free. */
void cohort__run_give_back(cohort__worker_self_t *w, const cohort__turn_t *turn);

/* ---- pool_again.c ---------------------------------------------------------------------------- */

/* In the loop apart, when the task has returned this status: is the turn to be run again? */
bool cohort__is_turn_again(const cohort__worker_self_t *w, const cohort__turn_t *turn,
                           apr_status_t status);
/* It is: after the turn has ended. */
void cohort__turn_again(const cohort__worker_self_t *w, cohort__turn_t *turn);

/* ---- pool_delay.c --------------------------------------------------------------------------- */

/* This worker is going to pass over all chunks of the job: those that have waited are free. */
void cohort__chunks_open(cohort_result_t *job);

/* ---- pool_each.c ---------------------------------------------------------------------------- */

/* There may be a job that runs once on every worker, and has not on this one. */
static inline bool cohort__each_waits(const cohort__worker_self_t *w) {
    return atomic_load_explicit(&w->pool->each_serial, memory_order_relaxed) != w->each_seen;
}
/* Then: come to it, if it is so. */
bool cohort__each_find(cohort__worker_self_t *w);

/* ---- pool_retire.c -------------------------------------------------------------------------- */

/* In the loop apart, of a job that needs it: after a turn; and before one: true when this worker
 * ends, and does not have the chunk any more. */
void cohort__run_counts(cohort__worker_self_t *w);
bool cohort__run_retires(cohort__worker_self_t *w, const cohort__turn_t *turn);
/* How long to wait for work; and it has been waited for so long. */
int64_t cohort__idle_until(cohort__worker_self_t *w);
void cohort__idle_over(cohort__worker_self_t *w);
/* It has left its job. */
void cohort__run_retired(const cohort__worker_self_t *w);
/* At its orderly end, the last thing. */
void cohort__run_finalise(const cohort__worker_self_t *w, void *args);

/* ---- pool_tally.c --------------------------------------------------------------------------- */

/* A job is over, or no process wants it any more, in whatever thread: counted once. */
static inline void cohort__tally_over(cohort_result_t *job) {
    const uint32_t counts = COHORT__NEEDS_COUNTS;
    if (atomic_load_explicit(&job->needs, memory_order_relaxed) & counts &&
        atomic_fetch_and(&job->needs, ~counts) & counts)
        cohort__tally_job_over(job);
}
/* This worker is ready. The others: if its pool counts. It begins a visit, and ends it; and in the
 * loop apart, a turn has ended, with this status, or is to be run again. */
void cohort__tally_begin(cohort__worker_self_t *w);
void cohort__tally_visit(cohort__worker_self_t *w);
void cohort__tally_leave(cohort__worker_self_t *w);
void cohort__tally_turn(cohort__worker_self_t *w, const cohort__turn_t *turn, apr_status_t status,
                        bool again);

/* ---- pool_fair.c ---------------------------------------------------------------------------- */

/* A visit begins; do others wait behind the job? */
void cohort__run_look_behind(cohort__worker_self_t *w);
/* In the loop apart, before a turn: true when this worker has to go to another job. It does not
 * have the chunk any more. */
bool cohort__run_gives_way(cohort__worker_self_t *w, const cohort__turn_t *turn);
/* Such a visit ends: the job goes behind the others. */
void cohort__run_make_room(cohort__worker_self_t *w);

#endif
