/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The two start methods that need no server: spawn executes this program again, fork copies this
 * process. A server and a keeper are made by the first; what a copy of this process lets go of is
 * the same for a copy of any making.
 */
#include "core/process/process.h"

#include "core/memory/arena.h"
#include "core/memory/upward.h"

#include <stdio.h>

/* ---- spawn ---------------------------------------------------------------------------------- */

apr_status_t cohort__reexec(cohort_process_t *slot, cohort_os_boot_t *boot, cohort_os_id_t *child,
                            const cohort_os_streams_t *streams) {
    char name[COHORT__NAME_MAX];
    cohort_os_start_t start = {.how = COHORT_OS_REEXEC,
                               .boot = boot,
                               .path = cohort__executable(),
                               .name = name,
                               .stdio = {COHORT_OS_NONE, COHORT_OS_NONE, COHORT_OS_NONE},
                               .lifeline = COHORT_OS_NONE,
                               .signals = (cohort_os_signals_t)slot->signals,
                               .files = atomic_load(&slot->files),
                               .n_files = slot->n_files};
    bool in_child;
    apr_status_t status = cohort__reexec_check();
    if (status) return status;
    for (int i = 0; streams && i < 3; i++) start.stdio[i] = streams->handles[i];
    if (slot->given) start.env = cohort__given_environment(slot->given);
    cohort__process_get_name(slot, name, sizeof name);
    start.group = (cohort_os_group_t)slot->group;
    start.contained = cohort__is_contained(slot);
    start.detach = slot->lifetime == COHORT_BACKGROUND || slot->role == COHORT__ROLE_KEEPER;
    boot->version = COHORT_OS_BOOT_VERSION;
    boot->role = slot->role | cohort__process_attempt(slot) << 8;
    boot->slot = cohort__process_id(slot);
    boot->base = (uint64_t)(uintptr_t)cohort__map.base;
    boot->size = cohort__map.size;
    status = cohort__arena_handle(&boot->arena);
    return status ? status : cohort_os_start(&start, child, &in_child);
}

apr_status_t cohort__launch_spawn(cohort_process_t *slot, cohort_os_handle_t lifeline) {
    cohort_os_boot_t boot = {.lifeline = lifeline, .channel = COHORT_OS_NONE};
    cohort__watched_t *watched;
    cohort_os_id_t child;
    atomic_store(&slot->reaper, cohort__self_id());
    apr_status_t status = cohort__watcher_reserve(&watched);
    if (status) return status;
    cohort_os_streams_t streams =
        slot->given ? cohort__given_streams(slot->given) : cohort_os_streams_own();
    status = cohort__reexec(slot, &boot, &child, slot->given ? &streams : NULL);
    if (!status) return cohort__watch_takeoff(slot, child, watched);
    cohort__watcher_unreserve(watched);
    return status;
}

/* ---- fork ----------------------------------------------------------------------------------- */

static void fork_lock(void) {
    for (const cohort__part_t *part = cohort__upward->parts; part->name; part++) {
        if (part->fork_begin) part->fork_begin();
    }
}

static void fork_unlock(void) {
    const cohort__part_t *part = cohort__upward->parts;
    while (part->name) part++;
    while (part != cohort__upward->parts) {
        part--;
        if (part->fork_end) part->fork_end();
    }
}

/* In every copy of this process: what belongs to the original is let go of, and nothing is a
 * member's any more. */
void cohort__forked(void) {
    cohort__identity_clear();
    cohort__threads_reset();
    for (const cohort__part_t *part = cohort__upward->parts; part->name; part++) {
        if (part->forked) part->forked();
    }
}

/* In the copy, where they are copies too. */
static apr_status_t take_streams(const cohort__given_t *given) {
    cohort_os_streams_t streams = cohort__given_streams(given);
    return cohort_os_streams_take(&streams);
}

apr_status_t cohort__launch_fork(cohort_process_t *slot, cohort_os_handle_t lifeline) {
    cohort_os_start_t start = {.how = COHORT_OS_FORK,
                               .signals = (cohort_os_signals_t)slot->signals,
                               .files = atomic_load(&slot->files),
                               .n_files = slot->n_files,
                               .group = (cohort_os_group_t)slot->group,
                               .contained = cohort__is_contained(slot)};
    cohort__watched_t *watched;
    cohort_os_id_t child;
    uint32_t attempt = cohort__process_attempt(slot);
    bool in_child = false;
    atomic_store(&slot->reaper, cohort__self_id());
    apr_status_t status = cohort__watcher_reserve(&watched);
    if (status) return status;
    cohort__watcher_await_begun();
    fflush(stdout);
    fflush(stderr);
    fork_lock();
    status = cohort_os_start(&start, &child, &in_child);
    if (!status && in_child) {
        if (slot->given) status = take_streams(slot->given);
        if (status) cohort_os_exit(255, false);
        cohort__forked();
        cohort__watcher_unreserve(watched);
        cohort__child_main(slot, attempt, COHORT__BORN_FORK, lifeline);
    }
    fork_unlock();
    if (!status) return cohort__watch_takeoff(slot, child, watched);
    cohort__watcher_unreserve(watched);
    return status;
}
