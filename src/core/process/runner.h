/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Runners, and the commands that they were given: tasks here. */
#ifndef COHORT_CORE_RUNNER_H
#define COHORT_CORE_RUNNER_H

#include <stddef.h>
/* before APR's headers, the rings of which then need no NULL to find the place of a member */
#include "core/object/sync.h"
#include "core/process/run.h"

#include <apr_ring.h>

/* What a runner and a run are to all processes. */
typedef struct {
    cohort__sync_t sync; /* its event count */
    cohort__pid_t owner; /* the process that made it */
    void *local;         /* what it is there; with the mutex held */
    _Atomic uint32_t word;
} cohort__waited_t;

struct cohort_runner_t {
    cohort__waited_t waited; /* word: cohort_runner_next() would not wait */
    _Atomic uint32_t gone;   /* its thread is */
};

enum { COHORT__RUN_DONE = 1, COHORT__RUN_LOST = 2 };
struct cohort_run_t {
    cohort__waited_t waited; /* word: it has ended, well or not */
    cohort_runner_t *runner;
};

typedef enum { COHORT__TASK_WAITS, COHORT__TASK_RUNS, COHORT__TASK_ENDED } cohort__task_state_t;

typedef struct cohort__runner_t cohort__runner_t;
typedef struct cohort__runner_task_t cohort__runner_task_t;
struct cohort__runner_task_t {
    cohort_command_t command; /* what it points at lies behind this struct */
    cohort_run_t *handle;
    cohort__runner_t *runner;
    cohort__task_state_t state;
    bool given; /* by cohort_runner_next(), or not to be */
    _Atomic bool cancelled;
    int64_t not_before;
    cohort__attempt_t attempt;
    cohort_outcome_t outcome;
    char message[COHORT__REASON_MAX];
    APR_RING_ENTRY(cohort__runner_task_t) turn;  /* of those that wait */
    APR_RING_ENTRY(cohort__runner_task_t) order; /* of those that are to be given */
    APR_RING_ENTRY(cohort__runner_task_t) all;
    cohort__runner_task_t *next; /* of those that run, or have ended */
};

APR_RING_HEAD(cohort__tasks_t, cohort__runner_task_t);

struct cohort__runner_t {
    cohort_runner_t *handle;
    cohort__station_t station;
    size_t limit, n_active;
    bool ordered;
    _Atomic bool stop, left;
    struct cohort__tasks_t waiting, pausing, order, all;
    cohort__runner_task_t *active; /* the thread's own */
    cohort__runner_task_t *first_ended, *last_ended;
    cohort__runner_t *next;
};

/* With the mutex held: what a handle of this process means. */
apr_status_t cohort__runner_of(const cohort_runner_t *handle, cohort__runner_t **runner);
apr_status_t cohort__task_of(const cohort_run_t *handle, cohort__runner_task_t **task);
/* With the mutex held: there may be another answer for cohort_runner_next(). */
void cohort__runner_changed(cohort__runner_t *runner);
/* With the mutex held: one that waits and was cancelled is the next one. */
void cohort__task_hurry(cohort__runner_task_t *task);
/* As cohort__object_new(). */
apr_status_t cohort__waited_new(cohort__thread_t *me, size_t size, void *object);
/* Until it has ended, for whatever reason. */
apr_status_t cohort__run_await(cohort_run_t *run, int64_t deadline);
/* Its life is over, once, and it is freed. */
void cohort__waited_end(cohort__thread_t *me, cohort__waited_t *waited, uint32_t tag);
/* One of another process, which has died (else COHORT_ENOTOWNER); of a runner, with its runs. */
apr_status_t cohort__lost_destroy(cohort__thread_t *me, void *handle, uint32_t tag);
/* In a copy of the process: the runners are the original's. */
void cohort__runners_reset(void);

#endif
