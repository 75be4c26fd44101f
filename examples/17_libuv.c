/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * 17: Cohort's objects in the event loop of libuv, beside a timer of its own.
 *
 * A process counts down into a queue and ends. The loop polls the descriptor of a wait set with the
 * queue and the process in it; what the loop itself has to do goes on meanwhile.
 */
#include "check.h"

#include <uv.h>

static cohort_queue_t *queue;
static cohort_process_t *process;
static cohort_waitset_t *set;
static uv_poll_t watcher;
static uv_timer_t timer;
static int ticks;

static int count_down(void *args) {
    cohort_queue_t *to = *(cohort_queue_t **)args;
    for (int i = 3; i > 0; i--) {
        if (cohort_queue_put(to, &i, sizeof i, COHORT_FOREVER)) return 1;
    }
    return 0;
}

static void on_tick(uv_timer_t *handle) {
    (void)handle;
    ticks++;
}

static void show_messages(void) {
    int number;
    apr_size_t size;
    while (!cohort_queue_get(queue, &number, sizeof number, &size, 0)) printf("%d\n", number);
}

/* The wait that finds nothing is what makes the descriptor unreadable. */
static void on_readable(uv_poll_t *handle, int status, int events) {
    cohort_waitable_t item;
    apr_size_t n;
    (void)events;
    if (status < 0) check(APR_EGENERAL, uv_strerror(status));
    while (!cohort_waitset_wait(set, &item, 1, &n, 0)) {
        show_messages(); /* also those that were put before the end */
        if (item.object != process) continue;
        printf("it has ended with %d\n", cohort_process_exit_code(process));
        uv_close((uv_handle_t *)handle, NULL);
        uv_close((uv_handle_t *)&timer, NULL);
        return;
    }
}

int main(void) {
    uv_loop_t *loop = uv_default_loop();
    apr_os_file_t descriptor;
    check(cohort_initialize(NULL), "cohort_initialize");
    check(cohort_queue_create(&queue, NULL, NULL), "cohort_queue_create");
    check(cohort_process_launch(&process, count_down, &queue, sizeof queue, NULL, NULL), "launch");
    check(cohort_waitset_of(&set, &descriptor, queue, 0, NULL), "cohort_waitset_of");
    check(cohort_waitset_add(set, &(cohort_waitable_t){.object = process}), "add the process");
    if (uv_timer_init(loop, &timer) || uv_timer_start(&timer, on_tick, 0, 5) ||
        uv_poll_init(loop, &watcher, descriptor) ||
        uv_poll_start(&watcher, UV_READABLE, on_readable))
        check(APR_EGENERAL, "libuv");
    if (uv_run(loop, UV_RUN_DEFAULT)) check(APR_EGENERAL, "uv_run");
    if (!ticks) check(APR_EGENERAL, "the timer did not tick");
    return cohort_waitset_destroy(set);
}
