/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The commands of a runner: copied, put in, waited for. */
#include "core/process/runner.h"

#include "core/memory/park.h"
#include "core/process/packing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- a copy of a command, in one block with its task ---------------------------------------- */

static void pack_command(cohort__packing_t *p, cohort_command_t *command) {
    command->argv = cohort__pack_list(p, command->argv);
    command->env = cohort__pack_list(p, command->env);
    command->cwd = cohort__pack_text(p, command->cwd);
    command->input = command->input ? cohort__pack(p, command->input, command->input_size) : NULL;
    command->args = command->args_size ? cohort__pack(p, command->args, command->args_size) : NULL;
}

static cohort__runner_task_t *copy_command(const cohort_command_t *command) {
    cohort__packing_t p = {NULL, 0};
    cohort_command_t copy = *command;
    pack_command(&p, &copy);
    cohort__runner_task_t *task = malloc(sizeof *task + p.size);
    if (!task) return NULL;
    memset(task, 0, sizeof *task);
    p = (cohort__packing_t){(char *)(task + 1), 0};
    task->command = *command;
    pack_command(&p, &task->command);
    return task;
}

/* ---- put into a runner ---------------------------------------------------------------------- */

void cohort__task_hurry(cohort__runner_task_t *task) {
    if (task->state == COHORT__TASK_WAITS) {
        APR_RING_REMOVE(task, turn);
        APR_RING_INSERT_HEAD(&task->runner->waiting, task, cohort__runner_task_t, turn);
    }
    cohort_os_port_wake(&task->runner->station.port);
}

static void enlist_task(cohort__runner_t *runner, cohort__runner_task_t *task) {
    task->runner = runner;
    APR_RING_INSERT_TAIL(&runner->waiting, task, cohort__runner_task_t, turn);
    APR_RING_INSERT_TAIL(&runner->order, task, cohort__runner_task_t, order);
    APR_RING_INSERT_TAIL(&runner->all, task, cohort__runner_task_t, all);
    cohort__runner_changed(runner);
    cohort_os_port_wake(&runner->station.port);
}

static apr_status_t put_in(cohort_run_t **run, cohort_runner_t *handle, cohort__runner_task_t *task,
                           cohort__thread_t *me) {
    cohort__runner_t *runner;
    apr_status_t status = cohort__waited_new(me, sizeof **run, &task->handle);
    if (status) return status;
    cohort_run_t *made = task->handle;
    made->waited.local = task;
    made->runner = handle; /* by which others find it, should this process die */
    cohort__runs_lock();
    status = cohort__runner_of(handle, &runner);
    if (!status) cohort__object_publish(me, made, COHORT__TAG_RUN, NULL, NULL);
    if (!status) enlist_task(runner, task);
    cohort__runs_unlock();
    if (status) cohort__block_free(me, &me->in_flight[COHORT__IN_FLIGHT_OBJECT]);
    else if (run) *run = made;
    return status;
}

static apr_status_t submit_command(cohort_run_t **run, cohort_runner_t *runner,
                                   const cohort_command_t *command) {
    cohort__thread_t *me;
    cohort__runner_t *local;
    apr_status_t status = cohort__enter(&me);
    if (!status) status = cohort__command_check(command);
    if (status) return status;
    cohort__runs_lock();
    status = cohort__runner_of(runner, &local);
    cohort__runs_unlock();
    if (status) return status;
    cohort__runner_task_t *task = copy_command(command);
    if (!task) return APR_ENOMEM;
    status = put_in(run, runner, task, me);
    if (status) free(task);
    return status;
}

apr_status_t cohort_runner_submit(cohort_run_t **run, cohort_runner_t *runner,
                                  const cohort_command_t *command) {
    return COHORT__CALL_ANEW(submit_command(run, runner, command));
}

/* ---- waited for, and asked ------------------------------------------------------------------ */

static cohort__waited_t *waited_of(const cohort__aim_t *aim) { return aim->handle; }

static bool is_aim_over(const cohort__aim_t *aim) {
    const cohort__object_t *object = aim->handle;
    return atomic_load_explicit(&((cohort__object_t *)object)->tag, memory_order_acquire) !=
           aim->life;
}

/* The process that runs it is dead. */
static bool is_run_lost(const cohort__waited_t *waited, bool thorough) {
    cohort__pid_t owner = waited->owner;
    if (owner == cohort__self_id()) return false;
    return thorough ? cohort__process_is_gone(owner) : !cohort__process_find(owner);
}

static unsigned is_ready(const cohort__aim_t *aim, unsigned wanted, bool thorough) {
    cohort__waited_t *waited = waited_of(aim);
    bool ready = atomic_load(&waited->word) || is_run_lost(waited, thorough) || is_aim_over(aim);
    return ready ? wanted : 0;
}

unsigned cohort__run_ready(const cohort__aim_t *aim, unsigned wanted, bool thorough) {
    return is_ready(aim, wanted, thorough);
}

unsigned cohort__runner_ready(const cohort__aim_t *aim, unsigned wanted, bool thorough) {
    return is_ready(aim, wanted, thorough);
}

/* Of one that has ended; one that is destroyed has not failed, as far as is known. */
bool cohort__run_failed(const cohort__aim_t *aim) {
    uint32_t word = atomic_load(&waited_of(aim)->word);
    return !is_aim_over(aim) && word != COHORT__RUN_DONE;
}

void cohort__run_describe(const cohort__aim_t *aim, char *text, size_t size) {
    bool ended = atomic_load(&waited_of(aim)->word) != 0;
    snprintf(text, size, "the run of a command that has %sended", ended ? "" : "not ");
}

void cohort__runner_describe(const cohort__aim_t *aim, char *text, size_t size) {
    bool ready = atomic_load(&waited_of(aim)->word) != 0;
    snprintf(text, size, "a runner of commands with %s to give", ready ? "one" : "none");
}

static apr_status_t try_ended(void *arg, bool thorough) {
    const cohort__aim_t *aim = arg;
    if (is_aim_over(aim)) return COHORT_EHANDLE;
    return is_ready(aim, 1, thorough) ? APR_SUCCESS : APR_EAGAIN;
}

apr_status_t cohort__run_await(cohort_run_t *run, int64_t deadline) {
    cohort__call_t call;
    apr_status_t status = cohort__call_begin(&call, run, COHORT__KIND_SYNC, COHORT__TAG_RUN);
    cohort__aim_t aim = {call.me, run, call.life};
    return status ? status : cohort__await(&run->waited.sync.changed, try_ended, &aim, deadline);
}

apr_status_t cohort_run_wait(cohort_run_t *run, apr_interval_time_t timeout) {
    return COHORT__CALL(cohort__run_await(run, cohort__deadline(timeout)));
}

static apr_status_t find_outcome(const cohort_run_t *run, const cohort_outcome_t **outcome) {
    cohort__thread_t *me;
    cohort__runner_task_t *task;
    apr_status_t status = cohort__enter(&me);
    if (status) return status;
    cohort__runs_lock();
    status = cohort__task_of(run, &task);
    if (!status && task->state == COHORT__TASK_ENDED) *outcome = &task->outcome;
    cohort__runs_unlock();
    return status;
}

const cohort_outcome_t *cohort_run_outcome(const cohort_run_t *run) {
    const cohort_outcome_t *outcome = NULL;
    return COHORT__CALL_ANEW(find_outcome(run, &outcome)) ? NULL : outcome;
}
