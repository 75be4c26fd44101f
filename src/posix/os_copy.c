/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A copy of this process, in which no lock is held for good by a thread that the copy does not
 * have. What the C library and this one lock is made ready in a copy by themselves; but not
 *
 *  - the loader's lock, which looking through the modules takes: this library's looks are over when
 *    a copy is made. Of the host's nothing is known;
 *  - the mutex of the memory pools of APR without a parent, of whichever code.
 *
 * A process with one thread, as a fork server, locks nothing: each copy would have to copy what is
 * written to.
 */
#include "os_posix.h"

#include <apr_allocator.h>
#include <apr_pools.h>
#include <apr_thread_mutex.h>
#include <stdatomic.h>
#include <unistd.h>
#ifdef COHORT_HAVE_SINGLE_THREADED
#include <sys/single_threaded.h>
#endif

static cohort_os_mutex_t modules;

void cohort__modules_lock(void) { cohort_os_mutex_lock(&modules); }

void cohort__modules_unlock(void) { cohort_os_mutex_unlock(&modules); }

#ifdef COHORT_HAVE_SINGLE_THREADED
static bool is_alone(void) { return __libc_single_threaded; }
#else
static bool is_alone(void) { return false; }
#endif

/* NULL: there is none. This library has initialised APR, and does not terminate it. */
static apr_thread_mutex_t *mutex_of_pools(void) {
    static _Atomic(apr_thread_mutex_t *) known;
    apr_pool_t *pool;
    if (atomic_load(&known) || apr_pool_create(&pool, NULL) != APR_SUCCESS)
        return atomic_load(&known);
    apr_allocator_t *allocator = apr_pool_allocator_get(apr_pool_parent_get(pool));
    apr_pool_destroy(pool);
    if (allocator) atomic_store(&known, apr_allocator_mutex_get(allocator));
    return atomic_load(&known);
}

/* The copied locks are reset. */
static pid_t fork_once(void) {
    pid_t pid = fork();
    if (pid == 0) cohort__process_forked(); /* a host of this layer alone has no hooks */
    return pid;
}

pid_t cohort__copy(void) {
    if (is_alone()) return fork_once();
    apr_thread_mutex_t *pools = mutex_of_pools();
    cohort__modules_lock();
    if (pools) (void)apr_thread_mutex_lock(pools);
    pid_t pid = fork_once();
    int error = errno;
    if (pools) (void)apr_thread_mutex_unlock(pools);
    if (pid != 0) cohort__modules_unlock();
    errno = error;
    return pid;
}

void cohort__modules_forked(void) { cohort_os_mutex_reset(&modules); }
