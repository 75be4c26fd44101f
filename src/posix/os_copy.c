/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A copy of this process, in which no lock is held for good by a thread that the copy does not
 * have. What the C library and this one lock is made ready in a copy by themselves; but not
 *
 *  - the loader's lock, which looking through the modules takes: this library's looks are over when
 *    a copy is made. Of the host's nothing is known;
 *  - the mutex of the memory pools of APR without a parent, of whichever code.
 */
#include "os_posix.h"

#include <apr_allocator.h>
#include <apr_pools.h>
#include <apr_thread_mutex.h>
#include <unistd.h>

static cohort_os_mutex_t modules;

void cohort__modules_lock(void) { cohort_os_mutex_lock(&modules); }

void cohort__modules_unlock(void) { cohort_os_mutex_unlock(&modules); }

/* NULL: there is none. */
static apr_thread_mutex_t *mutex_of_pools(void) {
    apr_pool_t *pool;
    if (apr_pool_create(&pool, NULL) != APR_SUCCESS) return NULL;
    apr_allocator_t *allocator = apr_pool_allocator_get(apr_pool_parent_get(pool));
    apr_pool_destroy(pool);
    return allocator ? apr_allocator_mutex_get(allocator) : NULL;
}

pid_t cohort__copy(void) {
    apr_thread_mutex_t *pools = mutex_of_pools();
    cohort__modules_lock();
    if (pools) (void)apr_thread_mutex_lock(pools);
    pid_t pid = fork();
    int error = errno;
    if (pools) (void)apr_thread_mutex_unlock(pools);
    if (pid != 0) cohort__modules_unlock();
    else cohort__process_forked(); /* a host of this layer alone has no hooks */
    errno = error;
    return pid;
}

void cohort__modules_forked(void) { cohort_os_mutex_reset(&modules); }
