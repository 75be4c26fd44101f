/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The start methods: which of them there are in this process, which one is used by default, and
 * the program that is executed by those that execute one.
 */
#include "core/process/process.h"

#include <stdlib.h>
#include <string.h>

static _Atomic int default_start; /* a cohort_start_method_t; DEFAULT: the system's */

/* Paths of executables that were set. They are kept, since another thread may be starting a process
 * from one that has been replaced. */
typedef struct kept_t {
    struct kept_t *next;
    char path[];
} kept_t;

static _Atomic(kept_t *) kept_paths;
static _Atomic(kept_t *) executable; /* what spawn re-executes; NULL: the own executable */

apr_status_t cohort__reexec_check(void) {
    if (cohort_os_facts()->can_reexec) return APR_SUCCESS;
    return cohort__fail(
        COHORT_EPRIVILEGED,
        "a child that runs the program anew would be privileged itself, and so take nothing "
        "from its environment; use the method fork");
}

const char *cohort__executable(void) {
    kept_t *kept = atomic_load(&executable);
    return kept ? kept->path : NULL;
}

/* Where a re-executed child would not believe its boot block, fork is all there is. */
static cohort_start_method_t default_method(void) {
    if (cohort_os_facts()->can_fork && !cohort_os_facts()->can_reexec) return COHORT_START_FORK;
    return cohort_os_facts()->fork_is_default ? COHORT_START_FORKSERVER : COHORT_START_SPAWN;
}

apr_status_t cohort__method_resolve(cohort_start_method_t wanted, cohort_start_method_t *method) {
    if (wanted == COHORT_START_DEFAULT) wanted = (cohort_start_method_t)atomic_load(&default_start);
    if (wanted == COHORT_START_DEFAULT) wanted = default_method();
    if (wanted < COHORT_START_FORK || wanted > COHORT_START_FORKSERVER)
        return cohort__fail(APR_EINVAL, "method is %d", (int)wanted);
    if (wanted != COHORT_START_SPAWN && !cohort_os_facts()->can_fork)
        return cohort__fail(APR_ENOTIMPL, "this system has no fork, only the method spawn");
    apr_status_t status = wanted != COHORT_START_FORK ? cohort__reexec_check() : APR_SUCCESS;
    if (!status) *method = wanted;
    return status;
}

/* NULL: no memory. */
static kept_t *keep_path(const char *path) {
    kept_t *first = atomic_load(&kept_paths), *kept = first;
    while (kept && strcmp(kept->path, path) != 0) kept = kept->next;
    if (kept) return kept;
    size_t size = strlen(path) + 1;
    kept = malloc(sizeof *kept + size);
    if (!kept) return NULL;
    memcpy(kept->path, path, size);
    kept->next = first;
    while (!atomic_compare_exchange_weak(&kept_paths, &kept->next, kept)) continue;
    return kept;
}

apr_status_t cohort__start_by(cohort_start_method_t method, const char *path) {
    cohort_start_method_t resolved = method;
    apr_status_t status = method ? cohort__method_resolve(method, &resolved) : APR_SUCCESS;
    if (status) return status;
    kept_t *kept = path ? keep_path(path) : NULL;
    if (path && !kept) return cohort__fail(APR_ENOMEM, "noting the executable");
    if (kept) atomic_store(&executable, kept);
    if (method) atomic_store(&default_start, (int)resolved);
    return APR_SUCCESS;
}
