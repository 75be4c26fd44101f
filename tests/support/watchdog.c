/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* A thread that waits for the end of the case or of its time. It takes no lock of Cohort's, so that
 * a hang inside Cohort cannot hold it. */
#include "watchdog.h"

#include <apr_thread_cond.h>
#include <apr_thread_proc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#define DEFAULT_SECONDS 180

static struct {
    apr_pool_t *pool;
    apr_thread_t *thread;
    apr_thread_mutex_t *mutex;
    apr_thread_cond_t *changed;
    bool begun, ended;
    int seconds;
    volatile int step;
    const char *suite, *name;
} dog;

static int seconds_allowed(void) {
    const char *text = getenv("COHORT_TEST_TIMEOUT");
    int seconds = text != NULL ? atoi(text) : 0;
    return seconds > 0 ? seconds : DEFAULT_SECONDS;
}

static void *APR_THREAD_FUNC watch(apr_thread_t *thread, void *unused) {
    apr_time_t deadline = apr_time_now() + apr_time_from_sec(dog.seconds);
    (void)thread;
    (void)unused;
    apr_thread_mutex_lock(dog.mutex);
    dog.begun = true;
    apr_thread_cond_broadcast(dog.changed);
    while (!dog.ended && apr_time_now() < deadline) {
        apr_thread_cond_timedwait(dog.changed, dog.mutex, deadline - apr_time_now());
    }
    if (!dog.ended) {
        fprintf(stderr, "%s.%s has not ended after %d seconds, in step %d\n", dog.suite, dog.name,
                dog.seconds, dog.step);
        abort();
    }
    apr_thread_mutex_unlock(dog.mutex);
    return NULL;
}

/* Returns when the thread waits: a case that forks while a thread is being made may copy a lock
 * that this thread holds (the sanitizers' heap has such). */
void test_watchdog_start(const char *suite, const char *name) {
    dog.suite = suite;
    dog.name = name;
    dog.seconds = seconds_allowed();
    dog.begun = dog.ended = false;
    dog.step = 0;
    if (apr_pool_create(&dog.pool, NULL) != APR_SUCCESS ||
        apr_thread_mutex_create(&dog.mutex, APR_THREAD_MUTEX_DEFAULT, dog.pool) != APR_SUCCESS ||
        apr_thread_cond_create(&dog.changed, dog.pool) != APR_SUCCESS ||
        apr_thread_create(&dog.thread, NULL, watch, NULL, dog.pool) != APR_SUCCESS) {
        fprintf(stderr, "the watchdog of %s.%s cannot be started\n", suite, name);
        abort();
    }
    apr_thread_mutex_lock(dog.mutex);
    while (!dog.begun) apr_thread_cond_wait(dog.changed, dog.mutex);
    apr_thread_mutex_unlock(dog.mutex);
}

void test_watchdog_step(int step) { dog.step = step; }

void test_watchdog_stop(void) {
    apr_status_t unused;
    apr_thread_mutex_lock(dog.mutex);
    dog.ended = true;
    apr_thread_cond_broadcast(dog.changed);
    apr_thread_mutex_unlock(dog.mutex);
    apr_thread_join(&unused, dog.thread);
    apr_pool_destroy(dog.pool);
}
