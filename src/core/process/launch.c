/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The two start methods that need no server: spawn executes this program again, fork copies this
 * process. A server and a keeper are made by the first; what a copy of this process lets go of is
 * the same for a copy of any making.
 */
#include "core/process/process.h"

#include "core/memory/arena.h"
#include "core/memory/code.h"
#include "core/memory/upward.h"
#include "core/process/streams.h"

#include <stdio.h>

/* A copy leaves its session by itself, when it is the process of the slot; one that leads a group
 * could not. */
cohort_os_start_t cohort__start_of(cohort_process_t *slot, cohort_os_how_t how) {
    bool apart = slot->lifetime == COHORT_LIFETIME_BACKGROUND || slot->role == COHORT__ROLE_KEEPER;
    return (cohort_os_start_t){.how = how,
                               .signals = (cohort_os_signals_t)slot->signals,
                               .stdio = {COHORT_OS_NONE, COHORT_OS_NONE, COHORT_OS_NONE},
                               .lifeline = COHORT_OS_NONE,
                               .gifts = atomic_load(&slot->files),
                               .n_gifts = slot->n_files,
                               .settings = atomic_load(&slot->settings),
                               .group =
                                   apart ? COHORT_OS_GROUP_JOIN : (cohort_os_group_t)slot->group,
                               .terminal = slot->terminal,
                               .contained = cohort__is_contained(slot),
                               .alone = slot->containment == COHORT_CONTAIN_NONE,
                               .tree = slot->tree.token ? &slot->tree : NULL,
                               .detach = apart && how != COHORT_OS_FORK};
}

/* ---- spawn ---------------------------------------------------------------------------------- */

static apr_status_t execute(cohort_process_t *slot, cohort_os_boot_t *boot,
                            const cohort_os_streams_t *streams, cohort_os_id_t *child) {
    char name[COHORT__NAME_MAX];
    cohort_os_start_t start = cohort__start_of(slot, COHORT_OS_REEXEC);
    bool in_child;
    apr_status_t status = cohort__reexec_check();
    if (status) return status;
    for (int i = 0; streams && i < 3; i++) start.stdio[i] = streams->handles[i];
    if (slot->streams) cohort__streams_of(slot, start.stdio);
    const cohort__given_t *given = slot->given;
    if (given) start.context = given->context;
    if (given) start.context_size = given->size;
    cohort__process_get_name(slot, name, sizeof name);
    start.boot = boot;
    start.path = cohort__executable();
    start.name = name;
    boot->version = COHORT_OS_BOOT_VERSION;
    boot->role = cohort__boot_tag(slot->role, cohort__process_attempt(slot));
    boot->slot = cohort__process_id(slot);
    boot->base = (uint64_t)(uintptr_t)cohort__map.base;
    boot->size = cohort__map.size;
    status = cohort__arena_handle(&boot->arena);
    return status ? status : cohort_os_start(&start, child, &in_child);
}

apr_status_t cohort__reexec(cohort_process_t *slot, cohort_os_boot_t *boot,
                            const cohort_os_streams_t *streams, cohort_os_id_t *child,
                            cohort__watched_t **watched) {
    atomic_store(&slot->reaper, cohort__self_id());
    apr_status_t status = cohort__watcher_reserve(watched);
    if (status) return status;
    status = execute(slot, boot, streams, child);
    if (status) cohort__watcher_unreserve(*watched);
    return status;
}

apr_status_t cohort__launch_spawn(cohort_process_t *slot, cohort_os_handle_t lifeline) {
    cohort_os_boot_t boot = {.lifeline = lifeline, .channel = COHORT_OS_NONE};
    cohort__watched_t *watched;
    cohort_os_id_t child;
    cohort_os_streams_t streams;
    apr_status_t status =
        cohort__reexec(slot, &boot, cohort__given_streams(slot->given, &streams), &child, &watched);
    return status ? status : cohort__watch_until_running(slot, child, watched);
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

apr_status_t cohort__launch_fork(cohort_process_t *slot, cohort_os_handle_t lifeline) {
    cohort_os_start_t start = cohort__start_of(slot, COHORT_OS_FORK);
    cohort_os_streams_t streams;
    cohort__watched_t *watched;
    cohort_os_id_t child;
    uint32_t attempt = cohort__process_attempt(slot);
    bool in_child = false;
    atomic_store(&slot->reaper, cohort__self_id());
    apr_status_t status = cohort__watcher_reserve(&watched);
    if (status) return status;
    start.streams = cohort__given_streams(slot->given, &streams);
    if (slot->streams) cohort__streams_of(slot, start.stdio);
    start.at_exit = cohort__at_exit;
    cohort__code_warm(&slot->run);
    cohort__watcher_await_begun();
    fflush(stdout);
    fflush(stderr);
    fork_lock();
    status = cohort_os_start(&start, &child, &in_child);
    if (in_child) {
        cohort__forked();
        if (status) cohort__child_refuse(slot, attempt, status);
        cohort__watcher_unreserve(watched);
        cohort__child_main(slot, attempt, COHORT__BORN_FORK, lifeline);
    }
    fork_unlock();
    if (!status) return cohort__watch_until_running(slot, child, watched);
    cohort__watcher_unreserve(watched);
    return status;
}
