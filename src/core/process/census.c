/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* All processes of the cohort, as any of them sees them. Nothing is locked: each is
 * looked at by itself, and left out when its slot has become another one's meanwhile. */
#include "core/process/process.h"

#include "core/memory/arena.h"

#include <string.h>

static cohort_process_kind_t kind_of(const cohort_process_t *slot) {
    switch (atomic_load(&slot->role)) {
    case COHORT__ROLE_ROOT: return COHORT_PROCESS_ROOT;
    case COHORT__ROLE_PROGRAM: return COHORT_PROCESS_PROGRAM;
    case COHORT__ROLE_WORKER: return COHORT_PROCESS_WORKER;
    case COHORT__ROLE_CHILD: return COHORT_PROCESS_FUNCTION;
    case COHORT__ROLE_SERVICE: return COHORT_PROCESS_SERVICE;
    default: return COHORT_PROCESS_HELPER;
    }
}

static cohort_process_state_t census_state(cohort__slot_state_t state) {
    switch (state) {
    case COHORT__SLOT_NEW: return COHORT_PROCESS_NEW;
    case COHORT__SLOT_STARTING:
    case COHORT__SLOT_FAILED: return COHORT_PROCESS_STARTING;
    case COHORT__SLOT_ENDED: return COHORT_PROCESS_ENDED;
    default: return COHORT_PROCESS_RUNNING;
    }
}

static void look_at_process(cohort_process_t *slot, cohort_process_info_t *info) {
    cohort_os_usage_t usage = {-1, -1};
    cohort__slot_state_t state = cohort__process_state(slot);
    memset(info, 0, sizeof *info);
    info->process = slot;
    info->parent = cohort__process_find(atomic_load(&slot->parent));
    info->kind = kind_of(slot);
    info->state = census_state(state);
    info->lifetime = (cohort_lifetime_t)slot->lifetime;
    info->pid = state >= COHORT__SLOT_RUNNING ? cohort__process_seen(slot).pid : 0;
    info->started = atomic_load(&slot->started);
    info->exit_code = state == COHORT__SLOT_ENDED ? cohort__exit_code(slot) : COHORT_EXIT_NONE;
    if (state == COHORT__SLOT_RUNNING && info->pid)
        (void)cohort_os_alive(cohort__process_seen(slot), &usage);
    info->cpu_time = usage.cpu_time < 0 ? -1 : usage.cpu_time / 1000;
    info->memory = usage.memory;
    cohort__process_get_name(slot, info->name, sizeof info->name);
}

/* False: no process is there, or one that came or went meanwhile. */
static bool look_at_slot(cohort_process_t *slot, cohort_process_info_t *info) {
    cohort__slot_state_t state = cohort__process_state(slot);
    cohort__pid_t id = cohort__process_id(slot);
    if (state == COHORT__SLOT_FREE || state == COHORT__SLOT_MAKING) return false;
    if (state == COHORT__SLOT_RUNNING) (void)cohort__process_check_dead(id);
    look_at_process(slot, info);
    state = cohort__process_state(slot);
    return cohort__process_id(slot) == id && state != COHORT__SLOT_FREE &&
           state != COHORT__SLOT_MAKING;
}

static apr_status_t processes(cohort_process_info_t **list, apr_size_t *count, apr_pool_t *pool) {
    cohort__thread_t *me;
    if (!list || !count || !pool) return cohort__null(!list ? "list" : !count ? "count" : "pool");
    apr_status_t status = cohort__enter(&me);
    if (status) return status;
    uint32_t all = cohort__process_count();
    cohort_process_info_t *found = apr_palloc(pool, all * sizeof *found);
    apr_size_t n = 0;
    for (uint32_t i = 0; i < all; i++) n += look_at_slot(cohort__process_at(i), &found[n]);
    *list = found;
    *count = n;
    return APR_SUCCESS;
}

apr_status_t cohort_processes(cohort_process_info_t **list, apr_size_t *count, apr_pool_t *pool) {
    return COHORT__CALL_ANEW(processes(list, count, pool));
}
