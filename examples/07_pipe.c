/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * 07: Two pipes: one process sends 0 to 9, a second one squares them, the parent receives.
 *
 * The ends that a child gets are listed in its options; the parent then closes its own hold on
 * them. So each reader gets an end of file as soon as no process can write any more, whether the
 * writer has closed its end or died.
 */
#include "check.h"

typedef struct {
    cohort_connection_t *in, *out;
} ends_t;

static int send_numbers(void *args) {
    ends_t *ends = args;
    for (int i = 0; i < 10; i++)
        check(cohort_connection_send(ends->out, &i, sizeof i, COHORT_FOREVER), "send");
    return 0; /* the end of the process closes its ends */
}

static int square_numbers(void *args) {
    ends_t *ends = args;
    int number;
    apr_size_t size;
    while (cohort_connection_recv(ends->in, &number, sizeof number, &size, COHORT_FOREVER) ==
           APR_SUCCESS) {
        number *= number;
        check(cohort_connection_send(ends->out, &number, sizeof number, COHORT_FOREVER), "send");
    }
    return 0;
}

/* Start a process that gets the two ends (`in` may be NULL), and keep them no longer. */
static void start(cohort_target_t target, ends_t ends) {
    cohort_connection_t *list[] = {ends.out, ends.in};
    cohort_process_options_t options = {.connections = list, .n_connections = ends.in ? 2 : 1};
    cohort_process_t *process;
    check(cohort_process_launch(&process, target, &ends, sizeof ends, &options, NULL), "launch");
    for (apr_size_t i = 0; i < options.n_connections; i++)
        check(cohort_connection_close(list[i]), "close");
}

int main(void) {
    /* the first end receives, the second one sends */
    cohort_pipe_options_t one_way = {.one_way = 1};
    cohort_connection_t *numbers_in, *numbers_out, *squares_in, *squares_out;
    int square;
    apr_size_t size;
    apr_status_t status;
    check(cohort_initialize(NULL), "cohort_initialize");
    check(cohort_pipe_create(&numbers_in, &numbers_out, &one_way, NULL), "pipe");
    check(cohort_pipe_create(&squares_in, &squares_out, &one_way, NULL), "pipe");
    start(send_numbers, (ends_t){.out = numbers_out});
    start(square_numbers, (ends_t){.in = numbers_in, .out = squares_out});

    while ((status = cohort_connection_recv(squares_in, &square, sizeof square, &size,
                                            COHORT_FOREVER)) == APR_SUCCESS)
        printf("%d\n", square);
    printf(APR_STATUS_IS_EOF(status) ? "end\n" : "error\n");
    return !APR_STATUS_IS_EOF(status);
}
