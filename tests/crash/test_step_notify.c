/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Death of those that notify a wait set of a connection, a result or a process: the sender, the
 * worker that ends the job, the process that ends itself, and the one that records its end. After
 * the victim's death the survivor's set tells what holds, no more and no less. Events, queues, and
 * those that wait are in test_step_wait.c.
 */
#include "step_pool.h"

#include <cohort/cohort.h>

/* Of the survivor, and made anew for each try. */
static cohort_waitset_t *set;

static void make_set(cohort_waitable_t item) {
    CHECK_STATUS(APR_SUCCESS, cohort_waitset_create(&set, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_waitset_add(set, &item));
    CHECK_STATUS(APR_EAGAIN, cohort_waitset_wait(set, &item, 1, &(apr_size_t){0}, 0));
}

static int told(apr_interval_time_t timeout) {
    cohort_waitable_t item;
    apr_size_t n = 0;
    apr_status_t status = cohort_waitset_wait(set, &item, 1, &n, timeout);
    if (status) CHECK_STATUS(APR_EAGAIN, status);
    CHECK_INT(status ? 0 : 1, n);
    return status ? 0 : item.ready;
}

static void end_set(void) { CHECK_STATUS(APR_SUCCESS, cohort_waitset_destroy(set)); }

/* ---- a connection --------------------------------------------------------------------------- */

typedef struct {
    cohort_connection_t *in, *out;
} line_t;

static void *a_line(void) {
    line_t *line = step_new(sizeof *line);
    const cohort_pipe_options_t one_way = {.one_way = 1};
    CHECK_STATUS(APR_SUCCESS, cohort_pipe_create(&line->in, &line->out, &one_way, NULL));
    make_set((cohort_waitable_t){.object = line->in});
    return line;
}

static void send_one(void *state) {
    (void)!cohort_connection_send(((line_t *)state)->out, "x", 1, 0);
}

static apr_status_t receive(line_t *line) {
    char byte;
    apr_size_t size;
    return cohort_connection_recv(line->in, &byte, 1, &size, 0);
}

static void check_sent(void *state, bool finished) {
    line_t *line = state;
    int ready = told(0);
    apr_status_t status = receive(line);
    CHECK(status == APR_SUCCESS || (!finished && APR_STATUS_IS_EAGAIN(status)));
    CHECK_INT(status ? 0 : COHORT_READY_IN, ready);
    for (int i = 0; i < 2; i++) {
        CHECK_INT(0, told(0));
        send_one(line);
        CHECK_INT(COHORT_READY_IN, told(0));
        CHECK_STATUS(APR_SUCCESS, receive(line));
    }
}

static void discard_line(void *state) {
    line_t *line = state;
    end_set();
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(line->in));
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(line->out));
    CHECK_STATUS(APR_SUCCESS, cohort_free(line));
}

STEP_CASES(connection_of_a_set, .prepare = a_line, .operate = send_one, .check = check_sent,
           .discard = discard_line)

/* ---- a result ------------------------------------------------------------------------------- */

/* Ends in the job behind it, so that the result has ended before. */
static void *a_result(void) {
    static const cohort_pool_options_t one_worker = {
        .workers = 1, .method = COHORT_START_FORK, .name = "stepped"};
    state_t *s = new_state();
    item_t items[ITEMS];
    for (int i = 0; i < ITEMS; i++) items[i] = (item_t){s, i};
    cohort_job_t job = {.task = run_item,
                        COHORT_INPUTS(items, ITEMS - 1),
                        .output_size = sizeof(int),
                        .chunk = ITEMS};
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&s->pool, &one_worker, NULL));
    atomic_store(&s->armed, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_submit(&s->job, s->pool, &job, NULL));
    job.inputs = &items[ITEMS - 1];
    job.n = 1;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_submit(&s->before, s->pool, &job, NULL));
    make_set((cohort_waitable_t){.object = s->job});
    return s;
}

static void check_result(void *state, bool finished) {
    state_t *s = state;
    (void)finished;
    CHECK(told(COHORT_FOREVER) != 0);
    CHECK(cohort_result_is_ready(s->job));
    int charged = check_items(s, s->job, 0, ITEMS - 1);
    CHECK(charged + check_items(s, s->before, ITEMS - 1, 1) <= 1);
    check_pool_works(s);
}

static void discard_result(void *state) {
    end_set();
    discard(state);
}

STEP_CASES(result_of_a_set, .prepare = a_result, .victim = the_worker, .check = check_result,
           .discard = discard_result)

/* ---- a process ------------------------------------------------------------------------------ */

typedef struct {
    step_place_t place;
    cohort_process_t *process;
} life_t;

static int end_itself(void *args) {
    life_t *life = *(life_t **)args;
    atomic_store(&life->place.ready, 1);
    while (!atomic_load(&life->place.go)) sched_yield();
    raise(SIGTRAP);
    cohort_exit(STEP_EXIT_CODE);
}

static void *a_process(void) {
    const cohort_process_options_t daemon = {.lifetime = COHORT_LIFETIME_DAEMON,
                                             .method = COHORT_START_FORK};
    life_t *life = step_new(sizeof *life);
    CHECK_STATUS(APR_SUCCESS, cohort_process_launch(&life->process, end_itself, &life, sizeof life,
                                                    &daemon, NULL));
    make_set((cohort_waitable_t){.object = life->process});
    return life;
}

static cohort_process_t *the_process(void *state, step_place_t **place) {
    life_t *life = state;
    *place = &life->place;
    return life->process;
}

static void check_process(void *state, bool finished) {
    life_t *life = state;
    (void)finished;
    CHECK(told(COHORT_FOREVER) != 0);
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(life->process, 0));
    int code = cohort_process_exit_code(life->process);
    CHECK(code == STEP_EXIT_CODE || code == -SIGKILL);
}

static void discard_process(void *state) {
    life_t *life = state;
    end_set();
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(life->process));
    CHECK_STATUS(APR_SUCCESS, cohort_free(life));
}

STEP_CASES(process_of_a_set, .prepare = a_process, .victim = the_process, .check = check_process,
           .discard = discard_process)

#define ENTRIES(function) \
    {"StepNotify", #function, function}, { "StepNotify", #function "_repair", function##_repair }
const test_case_t step_notify_cases[] = {
    ENTRIES(connection_of_a_set), ENTRIES(result_of_a_set), ENTRIES(process_of_a_set), {0}};
