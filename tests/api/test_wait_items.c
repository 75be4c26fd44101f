/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What an item of cohort_wait() may be, and what is said of one that it may not. */
#include "parties.h"

#include <stdio.h>

/* ---- things --------------------------------------------------------------------------------- */

static void *empty_queue(void) {
    cohort_queue_t *queue;
    CHECK_STATUS(APR_SUCCESS, cohort_queue_create(&queue, NULL, test_pool()));
    return queue;
}

static void *queue_of_five(void) {
    cohort_queue_t *queue = empty_queue();
    for (int i = 0; i < 5; i++)
        CHECK_STATUS(APR_SUCCESS, cohort_queue_put(queue, &i, sizeof i, COHORT_FOREVER));
    return queue;
}

static void *closed_queue(void) {
    cohort_queue_t *queue = empty_queue();
    CHECK_STATUS(APR_SUCCESS, cohort_queue_close(queue));
    return queue;
}

static cohort_connection_t *connection_with(int messages, bool close_other) {
    cohort_connection_t *near, *far;
    CHECK_STATUS(APR_SUCCESS, cohort_pipe_create(&near, &far, NULL, test_pool()));
    for (int i = 0; i < messages; i++)
        CHECK_STATUS(APR_SUCCESS, cohort_connection_send(far, "x", 1, COHORT_FOREVER));
    if (close_other) CHECK_STATUS(APR_SUCCESS, cohort_connection_close(far));
    return near;
}

static void *connection_with_two(void) { return connection_with(2, false); }
static void *connection_left_alone(void) { return connection_with(1, true); }

static void *writing_end(void) {
    cohort_connection_t *near, *far;
    cohort_pipe_options_t options = {.one_way = 1};
    CHECK_STATUS(APR_SUCCESS, cohort_pipe_create(&near, &far, &options, test_pool()));
    CHECK_STATUS(APR_SUCCESS, cohort_connection_send(far, "x", 1, COHORT_FOREVER));
    return far;
}

static void *closed_connection(void) {
    cohort_connection_t *near = connection_with(1, false);
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(near));
    return near;
}

static void *free_lock(void) {
    cohort_lock_t *lock;
    CHECK_STATUS(APR_SUCCESS, cohort_lock_create(&lock, test_pool()));
    return lock;
}

static void *held_lock(void) {
    cohort_lock_t *lock = free_lock();
    CHECK_STATUS(APR_SUCCESS, cohort_lock_acquire(lock, COHORT_FOREVER));
    return lock;
}

static int die_with_lock(void *args) {
    CHECK_STATUS(APR_SUCCESS, cohort_lock_acquire(*(cohort_lock_t **)args, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_process_kill(cohort_process_current()));
    party_wait_for_death();
    return 0;
}

static void *lock_of_the_dead(void) {
    cohort_lock_t *lock = free_lock();
    party_end(party_start(die_with_lock, &lock, sizeof lock), -9);
    return lock;
}

static void *free_rlock(void) {
    cohort_rlock_t *lock;
    CHECK_STATUS(APR_SUCCESS, cohort_rlock_create(&lock, test_pool()));
    return lock;
}

static void *held_rlock(void) {
    cohort_rlock_t *lock = free_rlock();
    CHECK_STATUS(APR_SUCCESS, cohort_rlock_acquire(lock, COHORT_FOREVER));
    return lock;
}

static void *semaphore_of_three(void) {
    cohort_semaphore_t *semaphore;
    CHECK_STATUS(APR_SUCCESS, cohort_semaphore_create(&semaphore, 3, NULL, test_pool()));
    return semaphore;
}

static void *semaphore_of_one(void) {
    cohort_semaphore_t *semaphore = semaphore_of_three();
    for (int i = 0; i < 2; i++)
        CHECK_STATUS(APR_SUCCESS, cohort_semaphore_acquire(semaphore, COHORT_FOREVER));
    return semaphore;
}

static void *condition(void) {
    cohort_condition_t *made;
    CHECK_STATUS(APR_SUCCESS, cohort_condition_create(&made, NULL, test_pool()));
    return made;
}

static void *cleared_event(void) {
    cohort_event_t *event;
    CHECK_STATUS(APR_SUCCESS, cohort_event_create(&event, test_pool()));
    return event;
}

static void *set_event(void) {
    cohort_event_t *event = cleared_event();
    CHECK_STATUS(APR_SUCCESS, cohort_event_set(event));
    return event;
}

static void *barrier_of_four(void) {
    cohort_barrier_t *barrier;
    CHECK_STATUS(APR_SUCCESS, cohort_barrier_create(&barrier, 4, NULL, test_pool()));
    return barrier;
}

static void *broken_barrier(void) {
    cohort_barrier_t *barrier = barrier_of_four();
    CHECK_STATUS(APR_SUCCESS, cohort_barrier_abort(barrier));
    return barrier;
}

static void *open_pool(void) {
    cohort_pool_t *pool;
    cohort_pool_options_t options = {.workers = 2};
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&pool, &options, test_pool()));
    return pool;
}

static void *closed_pool(void) {
    cohort_pool_t *pool = open_pool();
    CHECK_STATUS(APR_SUCCESS, cohort_pool_close(pool));
    return pool;
}

static void *terminated_pool(void) {
    cohort_pool_t *pool = open_pool();
    CHECK_STATUS(APR_SUCCESS, cohort_pool_terminate(pool));
    return pool;
}

#define MESSAGES (COHORT_READY_IN | COHORT_READY_OUT | COHORT_READY_GONE)

static const struct {
    const char *is; /* "SELF": the name of this process */
    void *(*make)(void);
    unsigned conditions; /* that such a thing has */
} things[] = {
    {"an open queue with 0 messages", empty_queue, MESSAGES},
    {"an open queue with 5 messages", queue_of_five, MESSAGES},
    {"a closed queue with 0 messages", closed_queue, MESSAGES},
    {"an open connection with 2 messages to receive", connection_with_two, MESSAGES},
    {"an open connection with 1 message to receive, with the other end closed",
     connection_left_alone, MESSAGES},
    {"an open connection with 0 messages to receive", writing_end, MESSAGES},
    {"a closed connection", closed_connection, MESSAGES},
    {"a free lock", free_lock, 0},
    {"a lock that SELF holds", held_lock, 0},
    {"a lock that a dead process holds", lock_of_the_dead, 0},
    {"a free recursive lock", free_rlock, 0},
    {"a recursive lock that SELF holds", held_rlock, 0},
    {"a semaphore with 3 free permits", semaphore_of_three, COHORT_READY_IN},
    {"a semaphore with 1 free permit", semaphore_of_one, COHORT_READY_IN},
    {"a condition with 0 waiting threads", condition, 0},
    {"an event that is not set", cleared_event, COHORT_READY_IN},
    {"an event that is set", set_event, COHORT_READY_IN},
    {"a barrier with 0 of 4 parties waiting", barrier_of_four, COHORT_READY_GONE},
    {"a broken barrier of 4 parties", broken_barrier, COHORT_READY_GONE},
    {"an open pool with 2 workers", open_pool, 0},
    {"a closed pool with 2 workers", closed_pool, 0},
    {"a terminated pool with 2 workers", terminated_pool, 0},
};
enum { THINGS = sizeof things / sizeof *things };

static int sleep_long(void *args) {
    (void)args;
    party_wait_for_death();
    return 0;
}

static apr_status_t task_of_a_worker(const void *input, void *output) {
    (void)output;
    if (*(const int *)input) party_wait_for_death();
    return APR_SUCCESS;
}

static cohort_result_t *result_of(cohort_pool_t *pool, int sleeps) {
    cohort_result_t *result;
    cohort_job_t job = {.task = task_of_a_worker, COHORT_INPUTS(&sleeps, 1)};
    CHECK_STATUS(APR_SUCCESS, cohort_pool_submit(&result, pool, &job, test_pool()));
    return result;
}

/* ---- what is not to be waited for ----------------------------------------------------------- */

/* The sentence begins so; behind it is the status' message. */
static void check_says(const char *expected) {
    char said[320];
    snprintf(said, sizeof said, "%.*s", (int)strlen(expected), cohort_last_error());
    CHECK_STR(expected, said);
}

static void check_refused(cohort_waitable_t *items, unsigned wanted, const char *is,
                          const char *conditions) {
    char text[300];
    items[1].wanted = wanted;
    CHECK_STATUS(APR_ENOTIMPL, cohort_wait(items, 2, COHORT_WAIT_ANY, COHORT_FOREVER));
    snprintf(text, sizeof text, "cohort_wait: items[1] is %s: nothing waits for %sthat yet: ", is,
             conditions);
    check_says(text);
}

/* "COHORT_READY_END | COHORT_READY_OUT of " */
static const char *named(unsigned conditions, char *text, size_t size) {
    static const char *const names[] = {"COHORT_READY_END", "COHORT_READY_IN", "COHORT_READY_OUT",
                                        "COHORT_READY_GONE"};
    int length = 0;
    for (int i = 0; i < 4; i++)
        if (conditions >> i & 1)
            length += snprintf(text + length, size - (size_t)length, "%s%s", length ? " | " : "",
                               names[i]);
    snprintf(text + length, size - (size_t)length, " of ");
    return text;
}

static void other_types(void) {
    char name[64], is[200], text[200];
    cohort_waitable_t items[2] = {{.object = party_start(sleep_long, NULL, 0)}};
    CHECK_STATUS(APR_SUCCESS, cohort_process_name(cohort_process_current(), name, sizeof name));
    for (int i = 0; i < THINGS; i++) {
        const char *self = strstr(things[i].is, "SELF");
        int before = self ? (int)(self - things[i].is) : (int)strlen(things[i].is);
        snprintf(is, sizeof is, "%.*s%s%s", before, things[i].is, self ? name : "",
                 self ? self + 4 : "");
        items[1].object = things[i].make();
        unsigned lacks = (COHORT_READY_END | MESSAGES) & ~things[i].conditions;
        if (!things[i].conditions) check_refused(items, 0, is, "");
        check_refused(items, COHORT_READY_END, is, "COHORT_READY_END of ");
        check_refused(items, COHORT_READY_END | MESSAGES, is, named(lacks, text, sizeof text));
    }
}

/* Only what a type has not is named. */
static void other_conditions(void) {
    char name[64], is[200];
    cohort_process_t *process = party_start(sleep_long, NULL, 0);
    cohort_pool_t *pool = open_pool();
    cohort_waitable_t items[2] = {{.object = process}, {.object = process}};
    CHECK_STATUS(APR_SUCCESS, cohort_process_name(process, name, sizeof name));
    snprintf(is, sizeof is, "the process %s, which runs", name);
    check_refused(items, COHORT_READY_IN, is, "COHORT_READY_IN of ");
    check_refused(items, COHORT_READY_END | COHORT_READY_GONE, is, "COHORT_READY_GONE of ");
    party_kill(process);
    snprintf(is, sizeof is, "the process %s, which has ended", name);
    check_refused(items, COHORT_READY_OUT, is, "COHORT_READY_OUT of ");
    items[1].object = result_of(pool, 1);
    check_refused(items, COHORT_READY_OUT | COHORT_READY_GONE, "a result that is not done",
                  "COHORT_READY_OUT | COHORT_READY_GONE of ");
    items[1].object = result_of(pool, 0);
    CHECK_STATUS(APR_SUCCESS, cohort_result_wait(items[1].object, COHORT_FOREVER));
    check_refused(items, COHORT_READY_IN, "a result that is done", "COHORT_READY_IN of ");
    CHECK_STATUS(APR_SUCCESS, cohort_pool_terminate(pool));
}

static void check_no_object(void *address) {
    cohort_waitable_t item = {.object = address};
    CHECK_STATUS(COHORT_EHANDLE, cohort_wait(&item, 1, COHORT_WAIT_ALL, COHORT_FOREVER));
    check_says("cohort_wait: items[0]: ");
    item.wanted = COHORT_READY_IN;
    CHECK_STATUS(COHORT_EHANDLE, cohort_wait(&item, 1, COHORT_WAIT_ALL, COHORT_FOREVER));
}

static void no_objects(void) {
    static int here;
    char *queue = empty_queue(), *near = (char *)connection_with(0, false);
    check_no_object(&here);
    check_no_object(queue + 1);
    check_no_object(queue + 16);
    check_no_object(queue + 64);
    check_no_object(near + 1);
    check_no_object(near + 8);
    check_no_object(near + 32);
    check_no_object(near - 64); /* the pipe: nobody is given that */
    check_no_object(near + 64);
    check_no_object((char *)cohort_process_current() + 64);
    check_no_object(party_memory(100));
    check_no_object(party_memory(100000));
    check_no_object((void *)(uintptr_t)64);
    check_no_object((void *)UINTPTR_MAX);
    CHECK_STATUS(APR_SUCCESS, cohort_queue_destroy((cohort_queue_t *)(void *)queue));
    check_no_object(queue);
}

/* ---- the words of an item ------------------------------------------------------------------- */

static void unknown_options(void) {
    char text[100];
    for (int word = 0; word < 2; word++) {
        cohort_waitable_t items[3] = {{0}};
        for (int i = 0; i < 3; i++) items[i].object = party_start(nothing, NULL, 0);
        items[2].reserved[word] = (apr_uint64_t)1 << 63;
        CHECK_STATUS(COHORT_EOPTION, cohort_wait(items, 3, COHORT_WAIT_ANY, COHORT_FOREVER));
        snprintf(text, sizeof text, "cohort_wait: items[2].reserved[%d] is not 0: ", word);
        check_says(text);
    }
    cohort_waitable_t item = {.object = party_start(nothing, NULL, 0)};
    for (int bit = 4; bit < 32; bit++) {
        item.wanted = 1u << bit | COHORT_READY_END;
        CHECK_STATUS(COHORT_EOPTION, cohort_wait(&item, 1, COHORT_WAIT_ANY, COHORT_FOREVER));
        snprintf(text, sizeof text,
                 "cohort_wait: items[0].wanted has unknown bits, 0x%x: ", 1u << bit);
        check_says(text);
    }
}

/* `ready` has the conditions that were seen, whatever was in it. */
static void ready_bits(void) {
    cohort_pool_t *pool = open_pool();
    cohort_process_t *ended = party_start(nothing, NULL, 0);
    cohort_result_t *done = result_of(pool, 0);
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(ended, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_result_wait(done, COHORT_FOREVER));
    for (unsigned wanted = 0; wanted <= COHORT_READY_END; wanted++) {
        cohort_waitable_t items[] = {
            {.object = ended, .wanted = wanted, .ready = ~0u},
            {.object = done, .wanted = wanted, .ready = ~0u},
            {.object = party_start(sleep_long, NULL, 0), .wanted = wanted, .ready = ~0u},
            {.object = result_of(pool, 1), .wanted = wanted, .ready = ~0u}};
        CHECK_STATUS(APR_SUCCESS, cohort_wait(items, 4, COHORT_WAIT_ANY, COHORT_FOREVER));
        for (int i = 0; i < 4; i++) CHECK_INT(i < 2 ? COHORT_READY_END : 0, items[i].ready);
        CHECK_STATUS(APR_EAGAIN, cohort_wait(items, 4, COHORT_WAIT_ALL, 0));
        for (int i = 0; i < 4; i++) CHECK_INT(i < 2 ? COHORT_READY_END : 0, items[i].ready);
        CHECK_STATUS(APR_TIMEUP, cohort_wait(items + 2, 2, COHORT_WAIT_ANY, A_WHILE));
        CHECK_INT(0, items[2].ready + items[3].ready);
        for (int i = 0; i < 4; i++) CHECK_INT(wanted, items[i].wanted);
    }
    CHECK_STATUS(APR_SUCCESS, cohort_pool_terminate(pool));
}

/* The same thing in many items, while it ends. */
static void the_same_item_twice(void) {
    enum { N = 40, PROCESSES = 4, ROUNDS = 10 };
    for (int round = 0; round < ROUNDS; round++) {
        cohort_process_t *processes[PROCESSES];
        cohort_waitable_t items[N] = {{0}};
        int n = round % 2 ? N : 8;
        parties_start(processes, PROCESSES, nothing, NULL, 0);
        for (int i = 0; i < n; i++) items[i].object = processes[i % PROCESSES];
        CHECK_STATUS(APR_SUCCESS,
                     cohort_wait(items, (apr_size_t)n, COHORT_WAIT_ANY, COHORT_FOREVER));
        for (int i = PROCESSES; i < n; i++) CHECK_INT(items[i % PROCESSES].ready, items[i].ready);
        CHECK_STATUS(APR_SUCCESS,
                     cohort_wait(items, (apr_size_t)n, COHORT_WAIT_ALL, COHORT_FOREVER));
        for (int i = 0; i < n; i++) CHECK_INT(COHORT_READY_END, items[i].ready);
        parties_finish(processes, PROCESSES);
    }
}

const test_case_t wait_items_cases[] = {{"WaitItems", "other_types", other_types},
                                        {"WaitItems", "other_conditions", other_conditions},
                                        {"WaitItems", "no_objects", no_objects},
                                        {"WaitItems", "unknown_options", unknown_options},
                                        {"WaitItems", "ready_bits", ready_bits},
                                        {"WaitItems", "the_same_item_twice", the_same_item_twice},
                                        {0}};
