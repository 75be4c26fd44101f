/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What the tests share: children and threads to run against each other, and ways to see how far
 * they are and what they leave. */
#ifndef COHORT_TESTS_PARTIES_H
#define COHORT_TESTS_PARTIES_H

#include "check.h"

#include <apr_thread_proc.h>
#include <cohort/cohort.h>
#include <stdatomic.h>
#include <stdint.h>

#define PARTIES_MAX 64
#define A_WHILE     50000 /* microseconds, where time has to run out */

/* A daemon, so that a failed case does not wait for it. */
static inline cohort_process_t *party_start(cohort_target_t target, const void *args,
                                            apr_size_t size) {
    cohort_process_options_t options = {.lifetime = COHORT_LIFETIME_DAEMON};
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_process_create(&process, target, args, size, &options, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
    return process;
}

static inline void party_end(cohort_process_t *process, int code) {
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(process, COHORT_FOREVER));
    CHECK_INT(code, cohort_process_exit_code(process));
}

/* It went through its checks and ended by itself. */
static inline void party_finish(cohort_process_t *process) {
    party_end(process, 0);
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(process));
}

/* Dead, and known to be. Its handle stays open. */
static inline void party_kill(cohort_process_t *process) {
    CHECK_STATUS(APR_SUCCESS, cohort_process_kill(process));
    party_end(process, -9);
}

static inline void parties_start(cohort_process_t **list, int n, cohort_target_t target,
                                 const void *args, apr_size_t size) {
    for (int i = 0; i < n; i++) list[i] = party_start(target, args, size);
}

static inline void parties_finish(cohort_process_t **list, int n) {
    for (int i = 0; i < n; i++) party_finish(list[i]);
}

/* Zeroed memory of the arena. */
static inline void *party_memory(apr_size_t size) {
    void *block = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_alloc(&block, size));
    memset(block, 0, size);
    return block;
}

static inline cohort_arena_usage_t arena_usage(void) {
    cohort_arena_usage_t now;
    CHECK_STATUS(APR_SUCCESS, cohort_arena_usage(&now));
    return now;
}

/* Blocks of the arena in use: to see that nothing is left. */
static inline apr_uint64_t blocks_in_use(void) { return arena_usage().blocks; }

static inline void check_name(const char *expected, cohort_process_t *process) {
    char name[64];
    CHECK_STATUS(APR_SUCCESS, cohort_process_name(process, name, sizeof name));
    CHECK_STR(expected, name);
}

/* Return when the counter has got there; the watchdog sees to it if it never does. */
static inline void party_await(_Atomic int *counter, int value) {
    while (atomic_load(counter) < value) apr_sleep(500);
}

/* For processes that are to be killed. */
static inline _Noreturn void party_wait_for_death(void) {
    for (;;) apr_sleep(apr_time_from_sec(1));
}

/* Targets that say nothing of how they were started. */
static inline int nothing(void *args) {
    (void)args;
    return 0;
}

static inline int seven(void *args) {
    (void)args;
    return 7;
}

static inline int stay(void *args) {
    (void)args;
    party_wait_for_death();
}

static inline apr_thread_t *party_thread(apr_thread_start_t run, void *arg) {
    apr_thread_t *thread = NULL;
    CHECK_STATUS(APR_SUCCESS, apr_thread_create(&thread, NULL, run, arg, test_pool()));
    return thread;
}

static inline void party_thread_finish(apr_thread_t *thread) {
    apr_status_t status, joined = apr_thread_join(&status, thread);
    /* what APR may say when the thread returned instead of apr_thread_exit() */
    CHECK(joined == APR_SUCCESS || joined == APR_INCOMPLETE);
}

/* Microseconds that a call took at least are measured with APR's clock: leave it some tolerance. */
#define AT_LEAST(microseconds, begin) CHECK(apr_time_now() - (begin) >= (microseconds)-5000)

#endif
