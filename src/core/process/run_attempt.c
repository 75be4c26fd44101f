/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * One attempt at a command, attended to by one thread: the caller's, or a runner's. The thread
 * sleeps until bytes can move through one of the pipes, and moves them: so no pipe is ever full, or
 * empty, while the thread waits for another one. It is woken when the watcher has seen the end of
 * the program; where nothing is left of the pipes, a thread that attends to one attempt alone waits
 * for the end itself.
 *
 * A program's end is the end of its attempt when all pipes are at their ends, too, or when `grace`
 * has passed: other processes may hold them for as long as they like.
 *
 * Should the thread's process die, the system ends the program, which hangs on its lifeline as all
 * daemons do.
 */
#include "core/process/runner.h"

#include "core/base/reserved.h"
#include "core/memory/park.h"

#include <stdlib.h>

#define DEFAULT_GRACE 250000 /* microseconds */
#define LOOK_TIME     INT64_C(1000000000)
#define FEW           48

/* ---- stations ------------------------------------------------------------------------------- */

/* All of this process, for the watcher to find the attempt of a program that has ended, and for
 * copies of the process to close what is the original's: so no port is opened or closed but with
 * the mutex held, which a fork takes, too. The streams are streams.c's. */
static cohort__station_t *stations;
static cohort_os_mutex_t mutex;

void cohort__runs_lock(void) { cohort_os_mutex_lock(&mutex); }

void cohort__runs_unlock(void) { cohort_os_mutex_unlock(&mutex); }

void cohort__runs_reset(void) {
    cohort_os_mutex_reset(&mutex);
    for (cohort__station_t *s = stations; s; s = s->next) cohort_os_port_close(&s->port);
    stations = NULL;
    cohort__runners_reset();
    cohort__lines_reset();
}

apr_status_t cohort__station_open(cohort__station_t *station, bool patient) {
    *station = (cohort__station_t){.patient = patient};
    cohort__runs_lock();
    apr_status_t status = cohort_os_port_create(&station->port);
    station->next = stations;
    if (!status) stations = station;
    cohort__runs_unlock();
    return status;
}

void cohort__station_close(cohort__station_t *station) {
    cohort__runs_lock();
    cohort__station_t **link = &stations;
    while (*link != station) link = &(*link)->next;
    *link = station->next;
    cohort_os_port_close(&station->port);
    cohort__runs_unlock();
}

void cohort__run_ended(cohort__pid_t id, cohort_pool_t *pool) {
    (void)pool;
    cohort__runs_lock();
    for (cohort__station_t *s = stations; s; s = s->next) {
        cohort__attempt_t *a = s->attempts;
        while (a && atomic_load(&a->id) != id) a = a->next;
        if (a) cohort_os_port_wake(&s->port);
    }
    cohort__runs_unlock();
}

void cohort__runs_tend(void) {
    cohort__runs_lock();
    for (cohort__station_t *s = stations; s; s = s->next) cohort_os_port_wake(&s->port);
    cohort__runs_unlock();
}

void cohort__station_enter(cohort__station_t *station, cohort__attempt_t *attempt) {
    attempt->station = station;
    cohort__runs_lock();
    attempt->next = station->attempts;
    station->attempts = attempt;
    cohort__runs_unlock();
}

void cohort__station_leave(cohort__attempt_t *attempt) {
    cohort__runs_lock();
    cohort__attempt_t **link = &attempt->station->attempts;
    while (*link != attempt) link = &(*link)->next;
    *link = attempt->next;
    cohort__runs_unlock();
    for (int i = 0; i < 3; i++) attempt->flows[i].handle = COHORT_OS_NONE;
    cohort__streams_end(&attempt->streams);
}

static void close_flow(cohort__attempt_t *attempt, int i) {
    cohort__streams_close_end(&attempt->streams, attempt->flows[i].handle);
    attempt->flows[i].handle = COHORT_OS_NONE;
}

/* ---- the command ---------------------------------------------------------------------------- */

static bool is_terminal(const cohort_command_t *command, int i) {
    return command->streams[i].kind == COHORT_STREAM_TERMINAL;
}

static apr_status_t check_terminal(const cohort_command_t *command) {
    if (!is_terminal(command, 0)) return APR_SUCCESS;
    if (command->input) return cohort__fail(APR_EINVAL, "input is for a terminal");
    if (is_terminal(command, 1) || is_terminal(command, 2)) return APR_SUCCESS;
    return cohort__fail(APR_EINVAL, "nothing but standard input is the terminal");
}

static apr_status_t check_command_streams(const cohort_command_t *command) {
    apr_status_t status = cohort__streams_check(command->streams, "command->streams");
    for (int i = 0; i < 3 && !status; i++) {
        status = cohort__stream_check(&command->streams[i], i, "command");
        bool lines = command->streams[i].kind == COHORT_STREAM_LINES;
        if (!status && (lines || command->streams[i].kind == COHORT_STREAM_PIPE))
            status = cohort__fail(APR_EINVAL, "command->streams[%d] is %s", i,
                                  lines ? "for lines" : "a pipe");
    }
    return status ? status : check_terminal(command);
}

static apr_status_t check_command_function(const cohort_command_t *command) {
    if (!command->target) return cohort__null("command->argv");
    if (!command->args && command->args_size) return cohort__null("command->args");
    if (command->env || command->cwd)
        return cohort__fail(APR_EINVAL, "command->%s is for programs",
                            command->env ? "env" : "cwd");
    if (command->process && command->process->streams)
        return cohort__fail(APR_EINVAL, "command->process->streams is not NULL");
    return APR_SUCCESS;
}

static apr_status_t check_command_program(const cohort_command_t *command) {
    if (command->target) return cohort__fail(APR_EINVAL, "command has an argv and a target");
    if (!command->argv[0] || !*command->argv[0])
        return cohort__fail(APR_EINVAL, "command->argv[0] is empty");
    return APR_SUCCESS;
}

apr_status_t cohort__command_check(const cohort_command_t *command) {
    if (!command) return cohort__null("command");
    apr_status_t status =
        command->argv ? check_command_program(command) : check_command_function(command);
    if (status) return status;
    if (!command->input && command->input_size) return cohort__null("command->input");
    status = cohort__check_reserved(command->reserved, 8, "command->reserved");
    return status ? status : check_command_streams(command);
}

/* ---- its streams ---------------------------------------------------------------------------- */

static apr_status_t open_input(cohort__attempt_t *attempt) {
    cohort_os_flow_t *flow = &attempt->flows[0];
    const cohort_command_t *command = attempt->command;
    attempt->streams.child[0] = COHORT_OS_NULL;
    if (!command->input_size) return APR_SUCCESS;
    flow->outward = true;
    flow->bytes = (char *)(uintptr_t)command->input;
    flow->size = command->input_size;
    apr_status_t status = cohort__stream_pipe(&attempt->streams, 0, COHORT_OS_PIPE_OUTWARD);
    flow->handle = attempt->streams.parent[0];
    return status;
}

static apr_status_t open_output(cohort__attempt_t *attempt, int i) {
    apr_status_t status = cohort__collect_begin(&attempt->collects[i], attempt->command, i);
    if (!status) status = cohort__stream_pipe(&attempt->streams, i, COHORT_OS_PIPE_INWARD);
    attempt->flows[i].handle = attempt->streams.parent[i];
    return status;
}

/* This process' side is the flow of the output, or else of the errors. */
static apr_status_t open_command_terminal(cohort__attempt_t *attempt, int i) {
    const cohort_command_t *command = attempt->command;
    cohort__streams_t *s = &attempt->streams;
    int out = is_terminal(command, 1) ? 1 : 2;
    bool first = s->first_terminal == 3;
    apr_status_t status = cohort__stream_open(s, &command->streams[i], i, NULL);
    if (status || !first) return status;
    attempt->flows[out].handle = s->parent[i];
    return cohort__collect_begin(&attempt->collects[out], command, out);
}

static apr_status_t open_command_stream(cohort__attempt_t *attempt, int i) {
    const cohort_stream_t *stream = &attempt->command->streams[i];
    if (stream->kind == COHORT_STREAM_TERMINAL) return open_command_terminal(attempt, i);
    if (stream->kind != COHORT_STREAM_INHERIT)
        return cohort__stream_open(&attempt->streams, stream, i, NULL);
    return i ? open_output(attempt, i) : open_input(attempt);
}

/* ---- its start ------------------------------------------------------------------------------ */

static apr_status_t make_command(cohort__attempt_t *attempt) {
    const cohort_command_t *command = attempt->command;
    cohort_process_options_t options = {0};
    if (command->process) options = *command->process;
    if (options.lifetime == COHORT_LIFETIME_DEFAULT) options.lifetime = COHORT_LIFETIME_DAEMON;
    return command->argv ? cohort__program_make(&attempt->slot, command->argv[0], &options, NULL)
                         : cohort__function_make(&attempt->slot, command->target, command->args,
                                                 command->args_size, &options, NULL);
}

static apr_status_t launch_command(cohort__attempt_t *attempt) {
    const cohort_command_t *command = attempt->command;
    cohort_program_t program = {.argv = command->argv, .env = command->env, .cwd = command->cwd};
    apr_status_t status = make_command(attempt);
    if (status) return status;
    atomic_store(&attempt->id, cohort__process_id(attempt->slot));
    attempt->slot->terminal = attempt->streams.terminal;
    status = command->argv ? cohort__program_run(attempt->slot, &program, attempt->streams.child)
                           : cohort__function_run(attempt->slot, &attempt->streams);
    if (status) cohort__slot_let_go(atomic_load(&attempt->id));
    return status;
}

static int64_t after(int64_t now, apr_interval_time_t microseconds) {
    if (microseconds <= 0) return COHORT_OS_NEVER;
    return microseconds < (COHORT_OS_NEVER - now) / 1000 ? now + microseconds * 1000
                                                         : COHORT_OS_NEVER;
}

static apr_status_t start_with_streams(cohort__attempt_t *attempt) {
    apr_status_t status = APR_SUCCESS;
    for (int i = 0; i < 3 && !status; i++) status = open_command_stream(attempt, i);
    if (!status) status = launch_command(attempt);
    cohort__streams_started(&attempt->streams);
    return status;
}

apr_status_t cohort__attempt_start(cohort__attempt_t *attempt, cohort__station_t *station,
                                   const cohort_command_t *command) {
    *attempt = (cohort__attempt_t){0};
    attempt->command = command;
    attempt->begun = cohort_os_now();
    attempt->deadline = after(attempt->begun, command->timeout);
    attempt->kill = attempt->give_up = COHORT_OS_NEVER;
    for (int i = 0; i < 3; i++) attempt->flows[i].handle = COHORT_OS_NONE;
    cohort__streams_begin(&attempt->streams);
    cohort__station_enter(station, attempt); /* before it can end */
    apr_status_t status = start_with_streams(attempt);
    if (!status) return APR_SUCCESS;
    cohort__station_leave(attempt);
    for (int i = 1; i < 3; i++) cohort__collect_free(&attempt->collects[i]);
    return status;
}

/* ---- bytes ---------------------------------------------------------------------------------- */

static bool is_open(const cohort_os_flow_t *flow) { return flow->handle != COHORT_OS_NONE; }

static bool any_open(const cohort__attempt_t *attempt) {
    return is_open(&attempt->flows[0]) || is_open(&attempt->flows[1]) ||
           is_open(&attempt->flows[2]);
}

static void take_input(cohort__attempt_t *attempt) {
    cohort_os_flow_t *flow = &attempt->flows[0];
    flow->bytes += flow->moved;
    flow->size -= flow->moved;
    if (!flow->size || flow->status) close_flow(attempt, 0);
}

/* Its user wants no more of it. */
static void drop_command(cohort__attempt_t *attempt) {
    cohort__attempt_cancel(attempt);
    for (int i = 1; i < 3; i++) cohort__collect_drop(&attempt->collects[i]);
}

static void take_output(cohort__attempt_t *attempt, int i) {
    cohort_os_flow_t *flow = &attempt->flows[i];
    if (flow->moved && !cohort__collect_take(&attempt->collects[i], flow->moved)) {
        if (!attempt->command) cohort__collect_drop(&attempt->collects[i]);
        else drop_command(attempt);
    }
    if (flow->status && !APR_STATUS_IS_EOF(flow->status)) attempt->status = flow->status;
    if (flow->status) close_flow(attempt, i);
}

static void take_bytes(cohort__attempt_t *attempt) {
    for (int i = 0; i < 3; i++) {
        if (!is_open(&attempt->flows[i])) continue;
        if (i == 0) take_input(attempt);
        else take_output(attempt, i);
    }
}

static int list_flows(const cohort__station_t *station, cohort_os_flow_t **flows) {
    int count = 0;
    for (cohort__attempt_t *a = station->attempts; a; a = a->next) {
        for (int i = 0; i < 3; i++) {
            if (!is_open(&a->flows[i])) continue;
            if (i && flows)
                cohort__collect_room(&a->collects[i], &a->flows[i].bytes, &a->flows[i].size);
            if (flows) flows[count] = &a->flows[i];
            count++;
        }
    }
    return count;
}

/* ---- the wait ------------------------------------------------------------------------------- */

static int64_t sooner(int64_t a, int64_t b) { return a < b ? a : b; }

static int64_t next_time_of(const cohort__station_t *station, int64_t until) {
    for (const cohort__attempt_t *a = station->attempts; a; a = a->next) {
        int64_t next = sooner(sooner(a->deadline, a->kill), a->give_up);
        until = sooner(until, next);
    }
    return until;
}

/* No wake-up is relied upon alone: the watcher may be one that was killed in a copy, or stopped. */
static void look_for_deaths(const cohort__station_t *station) {
    for (const cohort__attempt_t *a = station->attempts; a; a = a->next)
        (void)cohort__process_check_dead(atomic_load(&a->id));
}

static void join_command(const cohort__attempt_t *attempt, int64_t until) {
    int64_t rest = until == COHORT_OS_NEVER ? LOOK_TIME : until - cohort_os_now();
    (void)cohort__process_join(atomic_load(&attempt->id), rest > 0 ? rest / 1000 + 1 : 0);
}

static void move_bytes(cohort__station_t *station, int count, int64_t until) {
    cohort_os_flow_t *few[FEW], **flows = few;
    if (count > FEW) flows = malloc((size_t)count * sizeof *flows);
    if (!flows) return;
    (void)list_flows(station, flows);
    int64_t look = station->streams_only ? until : sooner(until, cohort_os_now() + LOOK_TIME);
    apr_status_t status = cohort_os_port_wait(&station->port, flows, count, look);
    if (flows != few) free(flows);
    if (status && look < until) look_for_deaths(station);
    if (status) return;
    for (cohort__attempt_t *a = station->attempts; a; a = a->next) take_bytes(a);
}

void cohort__station_wait(cohort__station_t *station, int64_t until) {
    int count = list_flows(station, NULL);
    bool alone = station->patient && !count;
    until = next_time_of(station, until);
    if (alone) join_command(station->attempts, until);
    else move_bytes(station, count, until);
}

/* ---- its end -------------------------------------------------------------------------------- */

void cohort__attempt_cancel(cohort__attempt_t *attempt) {
    if (attempt->why == COHORT_RUN_SUCCEEDED) attempt->why = COHORT_RUN_CANCELLED;
    attempt->kill = 0;
}

/* What is due of a program that runs. */
static void hold_to_time(cohort__attempt_t *attempt, int64_t now) {
    if (now >= attempt->deadline) {
        attempt->deadline = COHORT_OS_NEVER;
        if (attempt->why == COHORT_RUN_SUCCEEDED) attempt->why = COHORT_RUN_TIMED_OUT;
        attempt->kill = sooner(
            attempt->kill, attempt->command->stop > 0 ? after(now, attempt->command->stop) : now);
        if (attempt->kill > now)
            (void)cohort__process_signal(atomic_load(&attempt->id), COHORT_OS_TERMINATE);
    }
    if (now < attempt->kill) return;
    attempt->kill = COHORT_OS_NEVER;
    if (!attempt->killed) (void)cohort__process_kill_all(atomic_load(&attempt->id));
    attempt->killed = true;
}

static bool attempt_has_ended(const cohort__attempt_t *attempt) {
    return cohort__process_state(attempt->slot) == COHORT__SLOT_ENDED;
}

/* It has ended, and others may hold its pipes. */
static bool let_go_of_pipes(cohort__attempt_t *attempt, int64_t now) {
    apr_interval_time_t grace = attempt->command->grace;
    if (attempt->give_up == COHORT_OS_NEVER) {
        attempt->deadline = attempt->kill = COHORT_OS_NEVER;
        attempt->give_up = after(now, grace > 0 ? grace : DEFAULT_GRACE);
        close_flow(attempt, 0);
        if (any_open(attempt)) return false;
    }
    if (now < attempt->give_up && any_open(attempt)) return false;
    if (any_open(attempt)) attempt->status = APR_INCOMPLETE;
    return true;
}

bool cohort__attempt_tend(cohort__attempt_t *attempt) {
    int64_t now = cohort_os_now();
    if (attempt_has_ended(attempt)) return let_go_of_pipes(attempt, now);
    hold_to_time(attempt, now);
    return false;
}

static void hand_out(cohort__collect_t *collect, cohort_collected_t *collected) {
    static char nothing[1];
    *collected = (cohort_collected_t){nothing, 0, 0};
    if (!collect->data) return;
    cohort__collect_end(collect);
    *collected = (cohort_collected_t){collect->data, collect->size, collect->seen};
    if (collect->size) return;
    cohort__collect_free(collect);
    collected->data = nothing;
}

void cohort__attempt_finish(cohort__attempt_t *attempt, cohort_outcome_t *outcome) {
    cohort__station_leave(attempt);
    outcome->exit_code = cohort__exit_code(attempt->slot);
    cohort__slot_let_go(atomic_load(&attempt->id));
    outcome->end = attempt->why;
    if (outcome->end == COHORT_RUN_SUCCEEDED && outcome->exit_code != 0)
        outcome->end = COHORT_RUN_FAILED;
    outcome->status = attempt->status;
    for (int i = 1; i < 3; i++)
        if (attempt->collects[i].status) outcome->status = attempt->collects[i].status;
    hand_out(&attempt->collects[1], &outcome->output);
    hand_out(&attempt->collects[2], &outcome->error);
    outcome->time = (cohort_os_now() - attempt->begun) / 1000;
}
