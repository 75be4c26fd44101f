/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Queues that know their producers: the processes that hold an end of a pipe. */
#include "parties.h"

typedef struct {
    cohort_queue_t *queue;
    cohort_connection_t *end, *other;
    cohort_event_t *there, *go;
    int messages, joinable;
} line_t;

static line_t make_line(const cohort_queue_options_t *given) {
    cohort_queue_options_t options = *given;
    line_t line = {NULL, NULL, NULL, NULL, NULL, 5, given->joinable};
    CHECK_STATUS(APR_SUCCESS, cohort_pipe_create(&line.other, &line.end, NULL, test_pool()));
    options.producers = line.end;
    CHECK_STATUS(APR_SUCCESS, cohort_queue_create(&line.queue, &options, test_pool()));
    CHECK_STATUS(APR_SUCCESS, cohort_event_create(&line.there, test_pool()));
    CHECK_STATUS(APR_SUCCESS, cohort_event_create(&line.go, test_pool()));
    return line;
}

static cohort_process_t *start_producer(cohort_target_t target, line_t *line) {
    cohort_process_options_t options = {
        .lifetime = COHORT_LIFETIME_DAEMON, .connections = &line->end, .n_connections = 1};
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_process_launch(&process, target, line, sizeof *line, &options,
                                                    test_pool()));
    return process;
}

static int produce(void *args) {
    line_t *line = args;
    for (int i = 0; i < line->messages; i++)
        CHECK_STATUS(APR_SUCCESS, cohort_queue_put(line->queue, &i, sizeof i, COHORT_FOREVER));
    return 0;
}

static int produce_and_stay(void *args) {
    line_t *line = args;
    produce(args);
    CHECK_STATUS(APR_SUCCESS, cohort_event_set(line->there));
    party_wait_for_death();
}

static int close_when_told(void *args) {
    line_t *line = args;
    CHECK_STATUS(APR_SUCCESS, cohort_event_set(line->there));
    CHECK_STATUS(APR_SUCCESS, cohort_event_wait(line->go, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(line->end));
    party_wait_for_death();
}

static apr_status_t get(line_t *line, apr_interval_time_t timeout) {
    int value;
    apr_size_t size;
    apr_status_t status = cohort_queue_get(line->queue, &value, sizeof value, &size, timeout);
    if (!status && line->joinable) CHECK_STATUS(APR_SUCCESS, cohort_queue_task_done(line->queue));
    return status;
}

static void get_all(line_t *line, int messages) {
    for (int i = 0; i < messages; i++) CHECK_STATUS(APR_SUCCESS, get(line, COHORT_FOREVER));
    CHECK_STATUS(APR_EOF, get(line, COHORT_FOREVER));
    CHECK_STATUS(APR_EOF, get(line, 0)); /* and so it stays */
    CHECK_INT(1, cohort_queue_is_closed(line->queue));
}

static const cohort_queue_options_t forms[] = {{.capacity = 3}, {0}, {.joinable = 1}};

#define FORMS (sizeof forms / sizeof *forms)

static void end_when_all_have_ended(void) {
    for (size_t i = 0; i < FORMS; i++) {
        line_t line = make_line(&forms[i]);
        cohort_process_t *one = start_producer(produce, &line);
        cohort_process_t *two = start_producer(produce, &line);
        CHECK_STATUS(APR_SUCCESS, cohort_connection_close(line.end));
        get_all(&line, 2 * line.messages);
        party_finish(one);
        party_finish(two);
    }
}

/* This process holds the end, too, since it has made it. */
static void no_end_while_one_is_left(void) {
    line_t line = make_line(&forms[0]);
    cohort_process_t *one = start_producer(produce, &line);
    for (int i = 0; i < line.messages; i++) CHECK_STATUS(APR_SUCCESS, get(&line, COHORT_FOREVER));
    party_finish(one);
    CHECK_STATUS(APR_TIMEUP, get(&line, A_WHILE));
    line.messages = 2;
    produce(&line);
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(line.end));
    get_all(&line, 2);
}

static void killed_producers(void) {
    for (size_t i = 0; i < FORMS; i++) {
        line_t line = make_line(&forms[i]);
        line.messages = 2;
        cohort_process_t *one = start_producer(produce_and_stay, &line);
        CHECK_STATUS(APR_SUCCESS, cohort_connection_close(line.end));
        CHECK_STATUS(APR_SUCCESS, cohort_event_wait(line.there, COHORT_FOREVER));
        party_kill(one);
        get_all(&line, 2);
    }
}

typedef struct {
    line_t *line;
    _Atomic int waiting;
} waiter_t;

static void *APR_THREAD_FUNC wait_for_end(apr_thread_t *self, void *arg) {
    waiter_t *waiter = arg;
    (void)self;
    atomic_store(&waiter->waiting, 1);
    CHECK_STATUS(APR_EOF, get(waiter->line, COHORT_FOREVER));
    return NULL;
}

/* A thread that waits learns of it when the last one closes its end, and lives on. */
static void a_waiting_get_ends(void) {
    line_t line = make_line(&forms[1]);
    waiter_t waiter = {&line, 0};
    cohort_process_t *one = start_producer(close_when_told, &line);
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(line.end));
    CHECK_STATUS(APR_SUCCESS, cohort_event_wait(line.there, COHORT_FOREVER));
    apr_thread_t *thread = party_thread(wait_for_end, &waiter);
    party_await(&waiter.waiting, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_event_set(line.go));
    party_thread_finish(thread);
    party_kill(one);
}

static void waits_know_it(void) {
    line_t line = make_line(&forms[0]);
    cohort_waitable_t items[] = {{.object = line.queue},
                                 {.object = line.queue, .wanted = COHORT_READY_GONE}};
    cohort_process_t *one = start_producer(close_when_told, &line);
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(line.end));
    CHECK_STATUS(APR_EAGAIN, cohort_wait(items, 2, COHORT_WAIT_ANY, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_event_set(line.go));
    CHECK_STATUS(APR_SUCCESS, cohort_wait(items, 2, COHORT_WAIT_ALL, COHORT_FOREVER));
    CHECK_STATUS(APR_EOF, get(&line, 0));
    CHECK_STATUS(COHORT_ECLOSED, cohort_queue_put(line.queue, "x", 1, 0));
    party_kill(one);
}

static void what_cannot_be_declared(void) {
    line_t line = make_line(&forms[0]);
    cohort_queue_options_t again = {.producers = line.end},
                           none = {.producers = (void *)line.queue};
    cohort_queue_t *queue = NULL;
    apr_uint64_t blocks = blocks_in_use();
    CHECK_STATUS(APR_EINVAL, cohort_queue_create(&queue, &again, NULL));
    CHECK_STATUS(COHORT_EHANDLE, cohort_queue_create(&queue, &none, NULL));
    CHECK_INT(blocks, blocks_in_use());
    CHECK_STATUS(APR_SUCCESS, cohort_queue_close(line.queue)); /* by a process: that is no end */
    CHECK_STATUS(COHORT_ECLOSED, get(&line, 0));
}

const test_case_t queue_producers_cases[] = {
    {"Producers", "end_when_all_have_ended", end_when_all_have_ended},
    {"Producers", "no_end_while_one_is_left", no_end_while_one_is_left},
    {"Producers", "killed_producers", killed_producers},
    {"Producers", "a_waiting_get_ends", a_waiting_get_ends},
    {"Producers", "waits_know_it", waits_know_it},
    {"Producers", "what_cannot_be_declared", what_cannot_be_declared},
    {0}};
