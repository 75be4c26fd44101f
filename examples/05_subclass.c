/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * 05: A process type of one's own.
 *
 * A struct that begins with cohort_process_base_t is a process type: its run function is what the
 * process does, and the child gets a copy of the whole struct. Hooks are called before and after
 * run.
 */
#include "check.h"

typedef struct {
    cohort_process_base_t base;
    int number;
    char name[64];
} worker_t;

static void worker_begin(cohort_process_base_t *self) {
    worker_t *worker = (worker_t *)self;
    check(cohort_process_name(cohort_process_current(), worker->name, sizeof worker->name), "name");
}

static int worker_run(cohort_process_base_t *self) {
    worker_t *worker = (worker_t *)self;
    printf("called run in %s, the square of %d is %d\n", worker->name, worker->number,
           worker->number * worker->number);
    return worker->number;
}

static const worker_t worker_type = {
    .base = {.size = sizeof(worker_t), .run = worker_run, .on_start = worker_begin}};

int main(void) {
    cohort_process_t *processes[3];
    check(cohort_initialize(NULL), "cohort_initialize");

    for (int i = 0; i < 3; i++) {
        worker_t worker = worker_type;
        worker.number = i;
        check(cohort_process_launch_object(&processes[i], &worker.base, NULL, NULL), "launch");
    }
    for (int i = 0; i < 3; i++) {
        check(cohort_process_join(processes[i], COHORT_FOREVER), "join");
        if (cohort_process_exit_code(processes[i]) != i) return 1;
    }
    return 0;
}
