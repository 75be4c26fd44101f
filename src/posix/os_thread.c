/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Threads of this process, and what is called at the end of one, in a copy of the process, and at
 * the end of the process. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

_Thread_local const sigset_t *cohort__copy_mask;
_Atomic int cohort__own_threads;

/* ---- hooks ---------------------------------------------------------------------------------- */

static pthread_once_t hooks_once = PTHREAD_ONCE_INIT;
static pthread_key_t mark_key;
static int hooks_error;
static void (*forked_hook)(void);
static void (*thread_hook)(void *mark, bool first);

static void on_fork(void) {
    cohort__process_forked();
    if (!cohort__forking && forked_hook) forked_hook();
}

static void on_thread_exit(void *mark) {
    if (thread_hook) thread_hook(mark, cohort__is_first_thread());
}

static void install_hooks(void) {
    cohort__state_begin();
    hooks_error = pthread_key_create(&mark_key, on_thread_exit);
    if (!hooks_error) hooks_error = pthread_atfork(NULL, NULL, on_fork);
}

/* exit() calls `at_exit` in the thread that ends the process, while all others go on. */
apr_status_t cohort_os_hooks(const cohort_os_hooks_t *hooks) {
    forked_hook = hooks->forked;
    thread_hook = hooks->thread_exit;
    pthread_once(&hooks_once, install_hooks);
    if (hooks->cleared) cohort__clear_in_copies(hooks->cleared, hooks->cleared_size);
    if (!hooks_error && hooks->at_exit && atexit(hooks->at_exit) != 0) return APR_ENOMEM;
    return hooks_error;
}

void cohort_os_thread_mark(void *mark) { pthread_setspecific(mark_key, mark); }

/* ---- threads -------------------------------------------------------------------------------- */

typedef struct {
    void (*run)(void *arg);
    void *arg;
    sigset_t mask; /* of the thread that started it */
} thread_start_t;

static void *thread_main(void *given) {
    thread_start_t start = *(thread_start_t *)given;
    free(given);
    cohort__copy_mask = &start.mask;
    start.run(start.arg);
    return NULL;
}

apr_status_t cohort_os_thread_start(void (*run)(void *arg), void *arg) {
    thread_start_t *start = malloc(sizeof *start);
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, before;
    if (!start) return APR_ENOMEM;
    *start = (thread_start_t){.run = run, .arg = arg};
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* inherited by the thread */
    start->mask = cohort__copy_mask ? *cohort__copy_mask : before;
    int error = pthread_create(&thread, &attributes, thread_main, start);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (!error) return APR_SUCCESS;
    free(start);
    return cohort__fail(
        error,
        "pthread_create (limits on threads and memory: ulimit -u, -v, and -l after mlockall)");
}
