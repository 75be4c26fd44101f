/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Runners: commands run by a thread, so many at once.
 *
 * What all processes may wait for is an object of the arena: a runner, and each of its runs, with
 * one word that says whether it is ready and an event count. All else is memory of the process that
 * made the runner, its tasks in three lists: those that wait for their turn, those that run, which
 * only the runner's thread touches, and those that have ended and were not given yet. The mutex of
 * run_attempt.c is held around every look at them; no command is started, and nothing is waited
 * for, while it is. When that process dies, its programs end with it, and its runs have ended for
 * all that wait for them.
 */
#include "core/process/runner.h"

#include "core/base/reserved.h"
#include "core/memory/park.h"

#include <apr_thread_proc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The runner that the calling thread belongs to: what waits for that thread is not for it. */
static _Thread_local const cohort__runner_t *serving;
static cohort__runner_t *runners; /* of this process */

/* ---- which one is meant: with the mutex held ------------------------------------------------ */

static apr_status_t owned(const cohort__waited_t *waited, uint32_t tag, void **local) {
    apr_status_t status = cohort__object_check(waited, COHORT__KIND_SYNC, tag);
    if (status) return status;
    if (waited->owner != cohort__self_id())
        return cohort__fail(COHORT_ENOTOWNER, "that is for the process which made the runner");
    *local = waited->local;
    return *local ? APR_SUCCESS : COHORT_EHANDLE;
}

apr_status_t cohort__runner_of(const cohort_runner_t *handle, cohort__runner_t **runner) {
    void *local = NULL;
    apr_status_t status = owned((const void *)handle, COHORT__TAG_RUNNER, &local);
    *runner = local;
    return status;
}

apr_status_t cohort__task_of(const cohort_run_t *handle, cohort__runner_task_t **task) {
    void *local = NULL;
    apr_status_t status = owned((const void *)handle, COHORT__TAG_RUN, &local);
    *task = local;
    return status;
}

/* Of a call that destroys: what was destroyed already is well. */
static apr_status_t forgive(apr_status_t status, const void *handle) {
    bool was_one = status == COHORT_EHANDLE && cohort__object_place(handle, COHORT__KIND_SYNC);
    return was_one ? APR_SUCCESS : status;
}

/* ---- what all processes see ----------------------------------------------------------------- */

apr_status_t cohort__waited_new(cohort__thread_t *me, size_t size, void *object) {
    cohort__waited_t *waited;
    apr_status_t status = cohort__sync_new(me, size, &waited);
    if (status) return status;
    waited->owner = cohort__self_id();
    *(void **)object = waited;
    return APR_SUCCESS;
}

static void set_ready(cohort__waited_t *waited, uint32_t word) {
    if (atomic_exchange(&waited->word, word) != word)
        cohort__notify(&waited->sync.changed, COHORT__ALL);
}

/* Would cohort_runner_next() return at once? */
static cohort__runner_task_t *next_task(const cohort__runner_t *runner) {
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): a ring has no NULL */
    cohort__runner_task_t *first = APR_RING_FIRST(&runner->order);
    if (!runner->ordered) first = runner->first_ended;
    else if (first == APR_RING_SENTINEL(&runner->order, cohort__runner_task_t, order) ||
             first->state != COHORT__TASK_ENDED)
        first = NULL;
    return first;
}

void cohort__runner_changed(cohort__runner_t *runner) {
    bool over = APR_RING_EMPTY(&runner->order, cohort__runner_task_t, order);
    set_ready(&runner->handle->waited, next_task(runner) || over);
}

/* ---- the lists ------------------------------------------------------------------------------ */

static void append_ended(cohort__runner_t *runner, cohort__runner_task_t *task) {
    task->next = NULL;
    if (runner->last_ended) runner->last_ended->next = task;
    else runner->first_ended = task;
    runner->last_ended = task;
}

static void take_out_task(cohort__runner_t *runner, cohort__runner_task_t *task) {
    cohort__runner_task_t *before = NULL, *at = runner->first_ended;
    while (at && at != task) before = at, at = at->next;
    if (!at) return;
    if (before) before->next = task->next;
    else runner->first_ended = task->next;
    if (runner->last_ended == task) runner->last_ended = before;
}

/* It was given, or is not to be given any more. */
static void give_task(cohort__runner_t *runner, cohort__runner_task_t *task) {
    if (task->given) return;
    task->given = true;
    APR_RING_REMOVE(task, order);
    if (task->state == COHORT__TASK_ENDED) take_out_task(runner, task);
    cohort__runner_changed(runner);
}

/* ---- the thread ----------------------------------------------------------------------------- */

static void ended(cohort__runner_t *runner, cohort__runner_task_t *task) {
    char text[COHORT__REASON_MAX];
    cohort_outcome_t *outcome = &task->outcome;
    if (outcome->status) {
        snprintf(task->message, sizeof task->message, "%s",
                 cohort__describe(outcome->status, text, sizeof text));
        outcome->message = task->message;
    }
    cohort__runs_lock();
    task->state = COHORT__TASK_ENDED;
    if (!task->given) append_ended(runner, task);
    cohort__runner_changed(runner);
    set_ready(&task->handle->waited,
              outcome->end == COHORT_RUN_SUCCEEDED ? COHORT__RUN_DONE : COHORT__RUN_LOST);
    cohort__runs_unlock();
}

/* Behind all that wait already, but for the time that it has to wait. */
static void attempt_over(cohort__runner_t *runner, cohort__runner_task_t *task) {
    const cohort_outcome_t *outcome = &task->outcome;
    bool again = cohort__run_again(&task->command, outcome) && !atomic_load(&task->cancelled);
    if (!again) {
        ended(runner, task);
        return;
    }
    cohort__outcome_free(&task->outcome);
    task->not_before = cohort_os_now() + cohort__run_pause(&task->command, outcome->attempts);
    cohort__runs_lock();
    task->state = COHORT__TASK_WAITS;
    APR_RING_INSERT_TAIL(&runner->pausing, task, cohort__runner_task_t, turn);
    if (atomic_load(&task->cancelled)) cohort__task_hurry(task);
    cohort__runs_unlock();
}

static void begin_task(cohort__runner_t *runner, cohort__runner_task_t *task) {
    apr_size_t attempts = task->outcome.attempts;
    task->outcome = (cohort_outcome_t){.attempts = attempts + 1, .user = task->command.user};
    if (atomic_load(&task->cancelled)) {
        cohort__run_unstarted(&task->outcome, APR_SUCCESS);
        task->outcome.end = COHORT_RUN_CANCELLED;
        task->outcome.attempts = attempts;
        ended(runner, task);
        return;
    }
    apr_status_t status = cohort__attempt_start(&task->attempt, &runner->station, &task->command);
    if (!status) {
        task->next = runner->active;
        runner->active = task;
        runner->n_active++;
        return;
    }
    cohort__run_unstarted(&task->outcome, status);
    attempt_over(runner, task);
}

/* The next one that has its turn, `full`: one that is not to begin; *pause: when the turn of
 * another one comes. */
static cohort__runner_task_t *take_task(cohort__runner_t *runner, bool full, int64_t *pause) {
    cohort__runner_task_t *task, *found = NULL;
    int64_t now = cohort_os_now();
    *pause = COHORT_OS_NEVER;
    cohort__runs_lock();
    APR_RING_FOREACH(task, &runner->pausing, cohort__runner_task_t, turn) {
        bool due = !full && task->not_before <= now;
        if (due && !found) found = task;
        else if (task->not_before < *pause) *pause = task->not_before;
    }
    task = APR_RING_FIRST(&runner->waiting);
    if (!APR_RING_EMPTY(&runner->waiting, cohort__runner_task_t, turn) &&
        (atomic_load(&task->cancelled) || (!found && !full)))
        found = task;
    if (found) APR_RING_REMOVE(found, turn);
    if (found) found->state = COHORT__TASK_RUNS;
    cohort__runs_unlock();
    return found;
}

/* Until when nothing more is to begin. */
static int64_t begin_tasks(cohort__runner_t *runner) {
    int64_t pause = COHORT_OS_NEVER;
    cohort__runner_task_t *task;
    while ((task = take_task(runner, runner->n_active >= runner->limit, &pause)) != NULL)
        begin_task(runner, task);
    return runner->n_active < runner->limit ? pause : COHORT_OS_NEVER;
}

static void tend_tasks(cohort__runner_t *runner) {
    cohort__runner_task_t **link = &runner->active;
    while (*link) {
        cohort__runner_task_t *task = *link;
        if (atomic_load(&task->cancelled) && !task->attempt.killed)
            cohort__attempt_cancel(&task->attempt);
        if (!cohort__attempt_tend(&task->attempt)) {
            link = &task->next;
            continue;
        }
        *link = task->next;
        runner->n_active--;
        cohort__attempt_finish(&task->attempt, &task->outcome);
        attempt_over(runner, task);
    }
}

/* Nothing of the arena is touched any more when `left` is set, nor of the runner. */
static void leave_runner(cohort__runner_t *runner) {
    cohort__thread_t *me;
    atomic_store(&runner->handle->gone, 1);
    cohort__notify(&runner->handle->waited.sync.changed, COHORT__ALL);
    if (!cohort__enter(&me)) cohort__thread_exit(me);
    atomic_store(&runner->left, true);
}

static void run_thread(void *arg) {
    cohort__runner_t *runner = arg;
    serving = runner;
    for (;;) {
        bool stop = atomic_load(&runner->stop);
        int64_t pause = begin_tasks(runner);
        tend_tasks(runner);
        if (stop && !runner->active) break;
        if (pause <= cohort_os_now()) continue;
        cohort__station_wait(&runner->station, pause);
        tend_tasks(runner);
    }
    leave_runner(runner);
}

/* ---- its life ------------------------------------------------------------------------------- */

static apr_status_t try_gone(void *arg, bool thorough) {
    cohort_runner_t *handle = arg;
    (void)thorough; /* it is a thread of this process */
    return atomic_load(&handle->gone) ? APR_SUCCESS : APR_EAGAIN;
}

/* With the mutex held; what is called next is stop_runner(), without it. */
static void unlist_runner(cohort__runner_t *runner) {
    cohort__runner_t **link = &runners;
    while (*link != runner) link = &(*link)->next;
    *link = runner->next; /* NOLINT(clang-analyzer-core.NullDereference): it is on the list */
    runner->handle->waited.local = NULL;
}

static void free_task(cohort__thread_t *me, cohort__runner_task_t *task) {
    cohort_run_t *handle = task->handle;
    cohort__outcome_free(&task->outcome);
    free(task);
    if (me) cohort__waited_end(me, &handle->waited, COHORT__TAG_RUN);
}

/* All of its tasks are cancelled, and its thread ends when none of them runs any more. */
static void stop_runner(cohort__runner_t *runner) {
    cohort__runner_task_t *task;
    cohort__runs_lock();
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): a ring has no NULL */
    APR_RING_FOREACH(task, &runner->all, cohort__runner_task_t, all) {
        atomic_store(&task->cancelled, true);
    }
    atomic_store(&runner->stop, true);
    cohort_os_port_wake(&runner->station.port);
    cohort__runs_unlock();
    (void)cohort__await(&runner->handle->waited.sync.changed, try_gone, runner->handle,
                        COHORT_OS_NEVER);
    while (!atomic_load(&runner->left)) apr_thread_yield();
}

/* me NULL: the arena goes away. */
static void free_runner(cohort__thread_t *me, cohort__runner_t *runner) {
    cohort__station_close(&runner->station);
    /* NOLINTBEGIN(clang-analyzer-core.NullDereference, clang-analyzer-unix.Malloc): a task is on
     * the ring once, and a ring has no NULL */
    while (!APR_RING_EMPTY(&runner->all, cohort__runner_task_t, all)) {
        cohort__runner_task_t *task = APR_RING_FIRST(&runner->all);
        APR_RING_REMOVE(task, all);
        cohort__runs_lock();
        task->handle->waited.local = NULL;
        cohort__runs_unlock();
        free_task(me, task);
    }
    /* NOLINTEND(clang-analyzer-core.NullDereference, clang-analyzer-unix.Malloc) */
    free(runner);
}

static apr_status_t destroy_runner(cohort_runner_t *handle) {
    cohort__thread_t *me;
    cohort__runner_t *runner = NULL;
    apr_status_t status = handle ? cohort__enter(&me) : APR_SUCCESS;
    if (status || !handle) return status;
    cohort__runs_lock();
    status = cohort__runner_of(handle, &runner);
    if (!status && runner == serving)
        status = cohort__fail(COHORT_ENOWAIT, "the thread is the runner's own");
    if (!status) unlist_runner(runner);
    cohort__runs_unlock();
    if (status == COHORT_ENOTOWNER) status = cohort__lost_destroy(me, handle, COHORT__TAG_RUNNER);
    else if (!status) {
        cohort__notify(&handle->waited.sync.changed, COHORT__ALL);
        stop_runner(runner);
        free_runner(me, runner);
        cohort__waited_end(me, &handle->waited, COHORT__TAG_RUNNER);
    }
    return forgive(status, handle);
}

void cohort__runners_end(void) {
    cohort__runner_t *runner;
    do {
        cohort__runs_lock();
        runner = runners;
        if (runner) unlist_runner(runner);
        cohort__runs_unlock();
        if (!runner || runner == serving) continue;
        stop_runner(runner);
        free_runner(NULL, runner);
    } while (runner);
}

void cohort__runners_reset(void) {
    runners = NULL;
    serving = NULL;
}

static apr_status_t destroy_object(void *object) { return cohort_runner_destroy(object); }

static void list_new(cohort__runner_t *runner) {
    APR_RING_INIT(&runner->waiting, cohort__runner_task_t, turn);
    APR_RING_INIT(&runner->pausing, cohort__runner_task_t, turn);
    APR_RING_INIT(&runner->order, cohort__runner_task_t, order);
    APR_RING_INIT(&runner->all, cohort__runner_task_t, all);
}

static apr_status_t begin_runner(cohort__thread_t *me, cohort__runner_t *runner, apr_pool_t *pool) {
    cohort_runner_t *handle;
    apr_status_t status = cohort__station_open(&runner->station, false);
    if (status) return status;
    status = cohort__waited_new(me, sizeof *handle, &handle);
    if (!status) {
        handle->waited.local = runner;
        atomic_store(&handle->waited.word, 1);
        runner->handle = handle;
        status = cohort_os_thread_start(run_thread, runner);
        if (status) cohort__block_free(me, &me->in_flight[COHORT__IN_FLIGHT_OBJECT]);
    }
    if (status) {
        cohort__station_close(&runner->station);
        return status;
    }
    cohort__runs_lock();
    runner->next = runners;
    runners = runner;
    cohort__runs_unlock();
    cohort__object_publish(me, handle, COHORT__TAG_RUNNER, pool, destroy_object);
    return APR_SUCCESS;
}

static const cohort_runner_options_t no_options;

static apr_status_t create(cohort_runner_t **handle, const cohort_runner_options_t *options,
                           apr_pool_t *pool) {
    cohort__thread_t *me = NULL;
    const cohort_runner_options_t *o = options ? options : &no_options;
    apr_status_t status = handle ? cohort__enter(&me) : cohort__null("runner");
    if (!status) status = cohort__check_reserved(o->reserved, 8, "options.reserved");
    if (status) return status;
    cohort__runner_t *runner = calloc(1, sizeof *runner);
    if (!runner) return APR_ENOMEM;
    list_new(runner);
    runner->limit = o->limit ? o->limit : (size_t)cohort_os_figure(COHORT_OS_CPUS);
    runner->ordered = o->ordered != 0;
    status = begin_runner(me, runner, pool);
    if (status) free(runner);
    else *handle = runner->handle;
    return status;
}

/* ---- what has ended ------------------------------------------------------------------------- */

typedef struct {
    cohort__call_t call;
    cohort_runner_t *handle;
    cohort_run_t *run;
} next_t;

static apr_status_t try_next_run(void *arg, bool thorough) {
    next_t *next = arg;
    cohort__runner_t *runner;
    (void)thorough; /* what it depends on is this process */
    if (cohort__call_over(&next->call)) return COHORT_EHANDLE;
    cohort__runs_lock();
    apr_status_t status = cohort__runner_of(next->handle, &runner);
    if (!status) {
        cohort__runner_task_t *task = next_task(runner);
        bool over = APR_RING_EMPTY(&runner->order, cohort__runner_task_t, order);
        status = task ? APR_SUCCESS : over ? APR_EOF : APR_EAGAIN;
        if (task) next->run = task->handle;
        if (task) give_task(runner, task);
    }
    cohort__runs_unlock();
    return status;
}

static apr_status_t next(cohort_runner_t *handle, cohort_run_t **run, apr_interval_time_t timeout) {
    next_t next = {.handle = handle};
    if (!run) return cohort__null("run");
    apr_status_t status =
        cohort__call_begin(&next.call, handle, COHORT__KIND_SYNC, COHORT__TAG_RUNNER);
    if (status) return status;
    status =
        cohort__await(&handle->waited.sync.changed, try_next_run, &next, cohort__deadline(timeout));
    if (!status) *run = next.run;
    return status;
}

/* ---- runs that go before their runner ------------------------------------------------------- */

static apr_status_t cancel(cohort_run_t *handle) {
    cohort__thread_t *me;
    cohort__runner_task_t *task;
    apr_status_t status = cohort__enter(&me);
    if (status) return status;
    cohort__runs_lock();
    status = cohort__task_of(handle, &task);
    if (!status) atomic_store(&task->cancelled, true);
    if (!status) cohort__task_hurry(task);
    cohort__runs_unlock();
    return status;
}

/* One that was cancelled. */
static apr_status_t end_run(cohort__thread_t *me, cohort_run_t *handle) {
    cohort__runner_task_t *task = NULL;
    if (serving && serving->handle == handle->runner)
        return cohort__fail(COHORT_ENOWAIT, "the thread is the runner's own");
    apr_status_t status = cohort__run_await(handle, COHORT_OS_NEVER);
    cohort__runs_lock();
    if (!status) status = cohort__task_of(handle, &task);
    if (!status) {
        /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): it has been found */
        give_task(task->runner, task);
        APR_RING_REMOVE(task, all);
        handle->waited.local = NULL;
    }
    cohort__runs_unlock();
    if (!status) free_task(me, task);
    return status;
}

static apr_status_t destroy_run(cohort_run_t *handle) {
    cohort__thread_t *me;
    apr_status_t status = handle ? cohort__enter(&me) : APR_SUCCESS;
    if (status || !handle) return status;
    status = cancel(handle);
    if (status == COHORT_ENOTOWNER) status = cohort__lost_destroy(me, handle, COHORT__TAG_RUN);
    else if (!status) status = end_run(me, handle);
    return forgive(status, handle);
}

/* ---- the calls ------------------------------------------------------------------------------ */

apr_status_t cohort_runner_create(cohort_runner_t **runner, const cohort_runner_options_t *options,
                                  apr_pool_t *pool) {
    return COHORT__CALL_ANEW(create(runner, options, pool));
}

apr_status_t cohort_runner_next(cohort_runner_t *runner, cohort_run_t **run,
                                apr_interval_time_t timeout) {
    return COHORT__CALL_ANEW(next(runner, run, timeout));
}

apr_status_t cohort_runner_destroy(cohort_runner_t *runner) {
    return COHORT__CALL_ANEW(destroy_runner(runner));
}

apr_status_t cohort_run_cancel(cohort_run_t *run) { return COHORT__CALL_ANEW(cancel(run)); }

apr_status_t cohort_run_destroy(cohort_run_t *run) { return COHORT__CALL_ANEW(destroy_run(run)); }
