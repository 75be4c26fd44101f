/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * 06: A producer and a consumer process with a queue between them, and a joinable queue.
 *
 * The queue holds three messages: the producer waits for room, the consumer for messages. The
 * producer closes the queue after the last one; what is in it still comes out. A joinable queue
 * also knows when all messages are dealt with.
 */
#include "check.h"

static int produce(void *args) {
    cohort_queue_t *queue = *(cohort_queue_t **)args;
    for (int item = 0; item < 10; item++) {
        check(cohort_queue_put(queue, &item, sizeof item, COHORT_FOREVER), "put");
        printf("producer: item %d put\n", item);
    }
    check(cohort_queue_close(queue), "close");
    return 0;
}

static int consume(void *args) {
    cohort_queue_t *queue = *(cohort_queue_t **)args;
    int item;
    apr_size_t size;
    while (cohort_queue_get(queue, &item, sizeof item, &size, COHORT_FOREVER) == APR_SUCCESS)
        printf("consumer: item %d got\n", item);
    return 0; /* the queue is closed, and nothing is left in it */
}

static int consume_and_tell(void *args) {
    cohort_queue_t *queue = *(cohort_queue_t **)args;
    int item;
    apr_size_t size;
    while (cohort_queue_get(queue, &item, sizeof item, &size, COHORT_FOREVER) == APR_SUCCESS) {
        printf("worker: job %d done\n", item);
        fflush(stdout);
        check(cohort_queue_task_done(queue), "task_done");
    }
    return 0;
}

int main(void) {
    cohort_queue_options_t bounded = {.capacity = 3}, joinable = {.joinable = 1};
    cohort_queue_t *items, *jobs;
    cohort_process_t *processes[3];
    check(cohort_initialize(NULL), "cohort_initialize");
    check(cohort_queue_create(&items, &bounded, NULL), "queue");
    check(cohort_queue_create(&jobs, &joinable, NULL), "queue");
    check(cohort_process_launch(&processes[0], produce, &items, sizeof items, NULL, NULL),
          "launch");
    check(cohort_process_launch(&processes[1], consume, &items, sizeof items, NULL, NULL),
          "launch");
    check(cohort_process_launch(&processes[2], consume_and_tell, &jobs, sizeof jobs, NULL, NULL),
          "launch");
    for (int job = 0; job < 5; job++)
        check(cohort_queue_put(jobs, &job, sizeof job, COHORT_FOREVER), "put");
    check(cohort_queue_join(jobs, COHORT_FOREVER), "queue join");
    printf("main: all jobs are done\n");
    check(cohort_queue_close(jobs), "close");
    for (int i = 0; i < 3; i++) check(cohort_process_join(processes[i], COHORT_FOREVER), "join");
    return 0;
}
