/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Death of a process that makes a service, or stops another one's, which rests between two runs.
 * The service goes on or is over, and is so for all; it can be stopped again. */
#include "check.h"
#include "step.h"

#include <apr_thread_proc.h>
#include <cohort/cohort.h>

typedef struct {
    cohort_process_t *service;
    cohort_connection_t *in, *out;
} state_t;

static int stay(void *args) {
    (void)args;
    apr_sleep(apr_time_from_sec(3600)); /* it is killed before */
    return 0;
}

static const cohort_restart_t policy = {.when = COHORT_RESTART_ALWAYS,
                                        .delay = APR_INT64_C(3600000000)};

static cohort_process_t *make(state_t *s) {
    cohort_process_options_t options = {.lifetime = COHORT_LIFETIME_DAEMON,
                                        .connections = &s->out,
                                        .n_connections = 1,
                                        .restart = &policy};
    cohort_process_t *service = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_process_create(&service, stay, s, sizeof *s, &options, NULL));
    return service;
}

static void *with_a_pipe(void) {
    state_t *s = step_new(sizeof *s);
    CHECK_STATUS(APR_SUCCESS, cohort_pipe_create(&s->in, &s->out, NULL, NULL));
    return s;
}

static void *at_rest(void) {
    state_t *s = with_a_pipe();
    s->service = make(s);
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(s->service));
    CHECK_STATUS(APR_SUCCESS, cohort_process_kill(s->service));
    while (cohort_process_pid(s->service)) apr_sleep(200);
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

const test_case_t step_service_cases[] = {{"Step", "make_a_service", make_a_service},
                                          {"Step", "make_a_service_repair", make_a_service_repair},
                                          {"Step", "stop_a_service", stop_a_service},
                                          {"Step", "stop_a_service_repair", stop_a_service_repair},
                                          {0}};
