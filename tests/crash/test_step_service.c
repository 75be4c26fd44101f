/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Death of a process that makes a service, or stops another one's, which rests between two runs:
 * the service goes on or is over, and is so for all; it can be stopped again. And death of a
 * supervisor that asks for the next run, starts it, or records the end of one: its service is over,
 * no run of it is left, and no record.
 */
#include "check.h"
#include "core/memory/arena.h"
#include "core/process/process.h"
#include "step.h"

#include <apr_thread_proc.h>
#include <cohort/cohort.h>
#include <sched.h>

typedef struct {
    cohort_process_t *service;
    cohort_connection_t *in, *out;
    _Atomic int leave; /* runs end in order */
} state_t;

static int stay(void *args) {
    state_t *s = *(state_t **)args;
    while (!atomic_load(&s->leave)) apr_sleep(1000);
    return 0;
}

static cohort_process_t *make_with(state_t *s, cohort_restart_when_t when) {
    const cohort_restart_t policy = {.when = when, .delay = APR_INT64_C(3600000000)};
    cohort_process_options_t options = {.lifetime = COHORT_LIFETIME_DAEMON,
                                        .connections = &s->out,
                                        .n_connections = 1,
                                        .restart = &policy};
    cohort_process_t *service = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_process_create(&service, stay, &s, sizeof s, &options, NULL));
    return service;
}

static cohort_process_t *make(state_t *s) { return make_with(s, COHORT_RESTART_ALWAYS); }

static void *with_a_pipe(void) {
    state_t *s = step_new(sizeof *s);
    CHECK_STATUS(APR_SUCCESS, cohort_pipe_create(&s->in, &s->out, NULL, NULL));
    return s;
}

static void start(state_t *s, cohort_restart_when_t when) {
    s->service = make_with(s, when);
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(s->service));
}

static void end_a_run(state_t *s) {
    CHECK_STATUS(APR_SUCCESS, cohort_process_kill(s->service));
    while (cohort_process_pid(s->service)) apr_sleep(200);
}

static void *at_rest(void) {
    state_t *s = with_a_pipe();
    start(s, COHORT_RESTART_ALWAYS);
    end_a_run(s);
    return s;
}

static void discard(void *state) {
    state_t *s = state;
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(s->in));
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(s->out));
    CHECK_STATUS(APR_SUCCESS, cohort_free(s));
}

static void make_and_destroy(void *state) { (void)cohort_process_destroy(make(state)); }

/* The ends of the pipe are those of this process still. */
static void check_pipe(void *state, bool finished) {
    state_t *s = state;
    char byte = 0;
    apr_size_t size;
    (void)finished;
    CHECK_STATUS(APR_SUCCESS, cohort_connection_send(s->out, &byte, 1, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_connection_recv(s->in, &byte, 1, &size, 0));
}

STEP_CASES(make_a_service, .prepare = with_a_pipe, .operate = make_and_destroy, .check = check_pipe,
           .discard = discard)

static void stop(void *state) { (void)cohort_process_stop(((state_t *)state)->service, 0); }

static void check_stopped(void *state, bool finished) {
    state_t *s = state;
    cohort_service_info_t info;
    if (finished) CHECK_STATUS(APR_SUCCESS, cohort_process_join(s->service, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_process_stop(s->service, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_process_service(s->service, &info));
    CHECK_INT(COHORT_SERVICE_STOPPED, info.end);
    CHECK_INT(-9, cohort_process_exit_code(s->service));
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(s->service));
    check_pipe(s, finished);
}

STEP_CASES(stop_a_service, .prepare = at_rest, .operate = stop, .check = check_stopped,
           .discard = discard)

/* ---- the supervisor ------------------------------------------------------------------------- */

static void run_always(void *state) { start(state, COHORT_RESTART_ALWAYS); }
static void run_until_done(void *state) { start(state, COHORT_RESTART_ON_FAILURE); }

static void rest(void *state) {
    start(state, COHORT_RESTART_ALWAYS);
    end_a_run(state);
}

static void restart(void *state) { (void)cohort_process_restart(((state_t *)state)->service, 0); }

static bool is_restarted(void *state) {
    restart(state);
    return true;
}

static void kill_run(void *state) { (void)cohort_process_kill(((state_t *)state)->service); }
static void let_leave(void *state) { atomic_store(&((state_t *)state)->leave, 1); }

static int records_of_runs(cohort__pid_t service) {
    int n = 0;
    for (uint32_t i = 0; i < cohort__process_count(); i++) {
        cohort_process_t *slot = cohort__process_at(i);
        n += cohort__process_state(slot) != COHORT__SLOT_FREE &&
             atomic_load(&slot->serves) == service;
    }
    return n;
}

static bool rests(void *state) {
    cohort_process_t *service = ((state_t *)state)->service;
    return !atomic_load(&service->current) && !records_of_runs(cohort__process_id(service));
}

static bool has_ended(void *state) {
    return cohort__process_state(((state_t *)state)->service) == COHORT__SLOT_ENDED;
}

static void check_over(void *state, bool finished) {
    step_end_orphans();
    check_pipe(state, finished);
}

STEP_CASES(next_run_at_once, .prepare = with_a_pipe, .warm = rest, .operate = restart,
           .check = check_over, .discard = discard)
STEP_CASES(next_run_for_a_present_one, .prepare = with_a_pipe, .warm = run_always,
           .operate = restart, .check = check_over, .discard = discard)
STEP_CASES(next_run_begins, .prepare = with_a_pipe, .warm = rest, .over = is_restarted,
           .check = check_over, .discard = discard)
STEP_CASES(run_has_ended, .prepare = with_a_pipe, .warm = run_always, .operate = kill_run,
           .over = rests, .check = check_over, .discard = discard)
STEP_CASES(last_run_has_ended, .prepare = with_a_pipe, .warm = run_until_done, .operate = let_leave,
           .over = has_ended, .check = check_over, .discard = discard)

#define ENTRIES(function) \
    {"Step", #function, function}, { "Step", #function "_repair", function##_repair }
const test_case_t step_service_cases[] = {ENTRIES(next_run_at_once),
                                          ENTRIES(next_run_for_a_present_one),
                                          ENTRIES(next_run_begins),
                                          ENTRIES(run_has_ended),
                                          ENTRIES(last_run_has_ended),
                                          {"Step", "make_a_service", make_a_service},
                                          {"Step", "make_a_service_repair", make_a_service_repair},
                                          {"Step", "stop_a_service", stop_a_service},
                                          {"Step", "stop_a_service_repair", stop_a_service_repair},
                                          {0}};
