/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The modules of the cohort (executable and libraries that targets lie in) are numbered in the
 * arena, in order of first use. An entry is complete before the count says that it exists, and
 * never changes, so reading needs no lock. Where the executable lies is looked up once: it stays
 * there.
 */
#include "core/memory/code.h"

#include "core/memory/arena.h"

#include <cohort/errors.h>
#include <string.h>

/* The executable's number, and its base once that is known. */
static _Atomic uint32_t own_number;
static _Atomic uintptr_t own_base;

static cohort_os_code_t *module_at(uint32_t number) {
    return (cohort_os_code_t *)((char *)cohort__arena + cohort__arena->module_offset) +
           (number - 1);
}

static uint32_t find_module(const cohort_os_code_t *code, uint32_t count) {
    for (uint32_t i = 1; i <= count; i++) {
        const cohort_os_code_t *m = module_at(i);
        if (!strcmp(m->path, code->path) && !memcmp(m->build, code->build, sizeof m->build))
            return i;
    }
    return 0;
}

static apr_status_t add_module(const cohort_os_code_t *code, uint32_t *number) {
    cohort__thread_t *me;
    apr_status_t status = cohort__enter(&me);
    if (status) return status;
    cohort__guard_enter(&cohort__arena->tables, me);
    uint32_t count = atomic_load(&cohort__arena->modules);
    *number = find_module(code, count); /* another thread may have added it meanwhile */
    if (!*number && count >= COHORT__MODULES_MAX) {
        status =
            cohort__fail(COHORT_ELIMIT, "targets from %u modules", (unsigned)COHORT__MODULES_MAX);
    }
    if (!*number && !status) status = cohort__arena_commit(module_at(count + 1), sizeof *code);
    if (!*number && !status) {
        *module_at(count + 1) = *code;
        *number = count + 1;
        atomic_store(&cohort__arena->modules, count + 1);
    }
    cohort__guard_leave(&cohort__arena->tables);
    return status;
}

apr_status_t cohort__code_find(cohort__function_t function, cohort__code_t *code) {
    cohort_os_code_t found;
    uint32_t number = 0;
    *code = (cohort__code_t){0, 0, 0};
    if (!function) return APR_SUCCESS;
    apr_status_t status = cohort_os_code_find((const void *)(uintptr_t)function, &found);
    if (status)
        return cohort__explain(status, "the function at %p", (const void *)(uintptr_t)function);
    number = find_module(&found, atomic_load(&cohort__arena->modules));
    if (!number) status = add_module(&found, &number);
    if (!status) *code = (cohort__code_t){number, 0, found.offset};
    return status;
}

apr_status_t cohort__code_at(const cohort__code_t *code, cohort__function_t *function) {
    void *address = NULL;
    if (code->module == 0) {
        *function = NULL;
        return APR_SUCCESS;
    }
    if (code->module > atomic_load(&cohort__arena->modules)) return COHORT_ETARGET;
    if (code->module == atomic_load(&own_number)) {
        *function = (cohort__function_t)(atomic_load(&own_base) + (uintptr_t)code->offset);
        return APR_SUCCESS;
    }
    cohort_os_code_t wanted = *module_at(code->module);
    wanted.offset = code->offset;
    apr_status_t status = cohort_os_code_at(&wanted, &address);
    if (status)
        return cohort__explain(status, "%s",
                               wanted.path[0] ? wanted.path : "this program's executable");
    *function = (cohort__function_t)(uintptr_t)address;
    if (wanted.path[0]) return APR_SUCCESS;
    atomic_store(&own_base, (uintptr_t)address - (uintptr_t)code->offset);
    atomic_store(&own_number, code->module);
    return APR_SUCCESS;
}

/* Only of the executable: to load a library is the child's own business. */
void cohort__code_warm(const cohort__code_t *code) {
    cohort__function_t function;
    if (code->module == 0 || code->module > atomic_load(&cohort__arena->modules) ||
        module_at(code->module)->path[0])
        return;
    (void)cohort__code_at(code, &function);
}

void cohort__code_forget(void) { atomic_store(&own_number, 0); }
