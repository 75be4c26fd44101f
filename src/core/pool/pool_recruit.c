/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting workers on demand. Only the process that has made a pool starts its workers, and any
 * process may submit: so the maker has a thread for each such pool, which sleeps until the pool is
 * short of workers, and ends with it. A submitter that dies before it has woken that thread costs
 * time: the thread looks again within a second, as every sleeper does.
 */
#include "core/pool/backend.h"

#include <apr_thread_proc.h>
#include <stdlib.h>

typedef struct {
    cohort_pool_t *pool;
    cohort__thread_t *me;
    uint64_t tag;
} recruiter_t;

/* of this process; a copy of it has none */
static _Atomic uint32_t recruiters;
static _Atomic uint32_t owner; /* the membership that they belong to */

static apr_status_t try_recruit(void *arg, bool thorough) {
    recruiter_t *r = arg;
    (void)thorough;
    /* a closed pool may be short of workers that it does not need any more */
    if (cohort__pool_enter_live(r->pool, r->me, r->tag)) return APR_EOF;
    uint64_t state = atomic_load(&r->pool->state);
    bool is_short = cohort__staff_is_short(r->pool) && cohort__start_may_begin(r->pool);
    bool ended = state == COHORT__POOL_ENDED;
    if (is_short && state == COHORT__POOL_CLOSED)
        is_short = cohort__backend_of(r->pool)->has_work(r->pool);
    cohort__pool_leave(r->pool);
    return ended ? APR_EOF : is_short ? APR_SUCCESS : APR_EAGAIN;
}

/* Starts that fail are tried again by the watcher. */
static bool recruit(recruiter_t *r) {
    if (cohort__await(&r->pool->changed, try_recruit, r, COHORT_OS_NEVER)) return false;
    cohort__pool_tend(r->pool);
    return true;
}

static void run_recruiter(void *arg) {
    recruiter_t r = *(recruiter_t *)arg;
    free(arg);
    if (!cohort__enter(&r.me)) {
        while (recruit(&r)) {
        }
        cohort__thread_exit(r.me);
    }
    atomic_fetch_sub(&recruiters, 1);
}

apr_status_t cohort__recruiter_start(cohort_pool_t *pool, uint64_t tag) {
    recruiter_t *r = malloc(sizeof *r);
    if (!r) return APR_ENOMEM;
    *r = (recruiter_t){.pool = pool, .tag = tag};
    if (atomic_exchange(&owner, cohort__membership()) != cohort__membership())
        atomic_store(&recruiters, 0);
    atomic_fetch_add(&recruiters, 1);
    apr_status_t status = cohort_os_thread_start(run_recruiter, r);
    if (!status) return status;
    atomic_fetch_sub(&recruiters, 1);
    free(r);
    return status;
}

void cohort__recruiters_end(void) {
    if (atomic_load(&owner) != cohort__membership()) return;
    while (atomic_load(&recruiters)) apr_thread_yield();
}
