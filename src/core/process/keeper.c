/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper: a small, single-threaded process of the library's own, at most one for each process
 * that starts others. It holds those that are to end with that process (cohort_os_hold_t), and
 * kills them, with the groups that they lead, when that process has died. A lifeline does the same
 * at once, but a daemon that calls exec, or that closes all its descriptors, has lost its lifeline;
 * the keeper still knows it. Children of a fork server are held by that, and by the keeper when
 * their server has died. A process that does not end with its parent, but is contained in a tree,
 * is held for the sake of that: after the parent's end the keeper stays until it ends.
 *
 * It is a session of its own, so no signal that is meant for a group or a terminal reaches it, and
 * has none of its parent's streams.
 *
 * A message on its channel is the id of a process, with the marks below. The channel ends with the
 * parent, or because the parent has closed descriptors that are not its own, or calls exec; so then
 * the keeper waits for the end of the parent itself. A keeper that dies is replaced, and the new
 * one is informed of all there are; where there can be none (no process, no executable), the
 * lifelines remain.
 */
#include "core/process/process.h"

#include "core/base/fail.h"
#include "core/memory/arena.h"

#include <stdlib.h>

/* the process has ended: what is left of its group is to end, too */
#define ENDED  ((uint64_t)1 << 63)
#define RETIRE ((uint64_t)1 << 62) /* another keeper has taken over: go, and kill no process */

/* ---- the side of the process that has a keeper ---------------------------------------------- */

static struct {
    cohort_os_mutex_t mutex;
    cohort_process_t *slot; /* NULL: none */
    cohort__pid_t id;
    cohort_os_id_t os;
    cohort_os_known_t channel;
    uint64_t users;
    int64_t begun;
} keeper;

/* nanoseconds from the start of one that ends by itself to that of the next one */
#define RENEWAL    1000000000
#define CLOSE_TIME 2000000 /* microseconds that it gets to come, to go by itself, and to die */

static void forget_keeper(void) {
    if (!keeper.slot) return;
    keeper.slot = NULL; /* first: a fork in another thread may copy this at any point */
    cohort_os_close_known(&keeper.channel);
}

static apr_status_t exec_keeper(cohort_process_t *slot, cohort_os_handle_t reader) {
    cohort_os_boot_t boot = {.lifeline = COHORT_OS_NONE, .channel = reader};
    cohort__watched_t *watched;
    apr_status_t status = cohort__reexec(slot, &boot, NULL, &keeper.os, &watched);
    if (status) return status;
    status = cohort__watcher_add(watched, slot, cohort__process_attempt(slot), keeper.os, true);
    if (!status) return APR_SUCCESS;
    cohort__attempt_end_child(keeper.os);
    cohort__process_ended(slot, COHORT_EXIT_UNKNOWN);
    return status;
}

static uint64_t own_users(void) {
    cohort_os_state_t state;
    (void)cohort_os_state_look(COHORT_OS_LOOK_QUICK, &state, NULL);
    return state.quick[0];
}

/* No thread waits until it runs: the channel keeps what is written to it. */
static apr_status_t start_keeper(void) {
    cohort_process_t *slot;
    cohort_os_handle_t reader, writer;
    apr_status_t status = cohort__process_make(&slot, COHORT__ROLE_KEEPER, "cohort-keeper",
                                               COHORT_LIFETIME_DAEMON, COHORT_START_SPAWN);
    if (status) return status;
    cohort__pid_t id = cohort__process_id(slot);
    status = cohort_os_pipe_create(COHORT_OS_PIPE_MESSAGES, &reader, &writer);
    if (status) goto no_channel;
    (void)cohort__attempt_begin(slot, false);
    keeper.begun = cohort_os_now();
    status = exec_keeper(slot, reader);
    cohort_os_close(reader);
    if (status) goto no_keeper;
    keeper.id = id;
    keeper.channel = cohort_os_know(writer);
    keeper.users = own_users();
    keeper.slot = slot;
    return APR_SUCCESS;

no_keeper:
    cohort_os_close(writer);
    status = cohort__attempt_failed(slot, status);
no_channel:
    cohort__slot_let_go(id);
    return status;
}

static bool is_kept(cohort_process_t *slot) {
    bool for_tree = slot->tree.token && slot->lifetime != COHORT_LIFETIME_BACKGROUND;
    return (slot->bound || for_tree) && !cohort__is_helper(slot) &&
           atomic_load(&slot->parent) == cohort__self_id() &&
           atomic_load(&slot->reaper) == cohort__self_id() &&
           cohort__process_state(slot) == COHORT__SLOT_RUNNING;
}

/* False: there is no keeper that would hear of it. */
static bool post_to_keeper(uint64_t message) {
    bool heard = keeper.slot && cohort_os_is_known(&keeper.channel) &&
                 !cohort_os_channel_post(keeper.channel.handle, message, NULL);
    if (!heard) forget_keeper();
    return keeper.slot != NULL;
}

static void post_all(void) {
    uint32_t count = cohort__process_count();
    for (uint32_t i = 0; i < count; i++) {
        cohort_process_t *slot = cohort__process_at(i);
        if (is_kept(slot)) (void)post_to_keeper(cohort__process_id(slot));
    }
}

/* The former one cannot signal what this process starts as another user. */
static void renew_keeper(void) {
    cohort_os_known_t former = keeper.channel;
    bool replaced = keeper.slot != NULL;
    keeper.slot = NULL;
    if (cohort_os_facts()->can_reexec && !start_keeper()) post_all();
    cohort__forget(); /* what is held by its lifeline alone is no failure */
    if (!replaced) return;
    if (cohort_os_is_known(&former)) (void)cohort_os_channel_post(former.handle, RETIRE, NULL);
    cohort_os_close_known(&former);
}

static bool works(void) {
    return keeper.slot && keeper.users == own_users() && cohort__process_alive(keeper.id, false);
}

void cohort__keeper_hold(cohort_process_t *slot) {
    if (!cohort_os_facts()->needs_keeper || !is_kept(slot)) return;
    cohort_os_mutex_lock(&keeper.mutex);
    if (!works() || !post_to_keeper(cohort__process_id(slot))) renew_keeper();
    cohort_os_mutex_unlock(&keeper.mutex);
}

void cohort__keeper_ended(cohort__pid_t id) {
    if (!cohort_os_facts()->needs_keeper) return;
    cohort_os_mutex_lock(&keeper.mutex);
    (void)post_to_keeper(ENDED | id);
    cohort_os_mutex_unlock(&keeper.mutex);
}

/* One that never ran, or ends again and again, is replaced when the next process is to be held. */
void cohort__keeper_lost(cohort__pid_t id) {
    cohort_os_mutex_lock(&keeper.mutex);
    bool current = keeper.slot && keeper.id == id;
    bool ran = current && cohort__claim_pid(atomic_load(&keeper.slot->claim)) != 0;
    if (current) forget_keeper();
    if (ran && cohort_os_now() - keeper.begun > RENEWAL) renew_keeper();
    cohort_os_mutex_unlock(&keeper.mutex);
    cohort__slot_let_go(id);
}

static apr_status_t try_started_keeper(void *arg, bool thorough) {
    cohort__pid_t id = *(cohort__pid_t *)arg;
    cohort_process_t *slot = cohort__process_find(id);
    (void)thorough; /* the watcher sees its end */
    return slot && cohort__process_state(slot) == COHORT__SLOT_STARTING ? APR_EAGAIN : APR_SUCCESS;
}

/* One that does not even run by now would end when it comes to its channel: after this process has
 * left the cohort, and be a zombie from then on. Under the guard with which the watcher reaps. */
static void kill_starting(cohort_process_t *slot, cohort__pid_t id, cohort_os_id_t os) {
    cohort__thread_t *me;
    if (cohort__enter(&me)) return;
    cohort__guard_enter(&slot->guard, me);
    if (try_started_keeper(&id, false) == APR_EAGAIN) (void)cohort_os_signal(os, COHORT_OS_KILL);
    cohort__guard_leave(&slot->guard);
}

void cohort__keeper_close(void) {
    cohort_os_mutex_lock(&keeper.mutex);
    cohort_process_t *slot = keeper.slot && cohort__process_find(keeper.id) ? keeper.slot : NULL;
    cohort__pid_t id = keeper.id;
    cohort_os_id_t os = keeper.os;
    forget_keeper();
    cohort_os_mutex_unlock(&keeper.mutex);
    if (!slot) return;
    if (cohort__await(&slot->changed, try_started_keeper, &id, cohort__deadline(CLOSE_TIME))) {
        kill_starting(slot, id, os);
        (void)cohort__await(&slot->changed, try_started_keeper, &id, cohort__deadline(CLOSE_TIME));
    }
    if (!cohort__process_join(id, CLOSE_TIME)) return;
    (void)cohort__process_signal(id, COHORT_OS_KILL);
    (void)cohort__process_join(id, CLOSE_TIME);
}

void cohort__keeper_lock(void) { cohort_os_mutex_lock(&keeper.mutex); }

void cohort__keeper_unlock(void) { cohort_os_mutex_unlock(&keeper.mutex); }

void cohort__keeper_reset(void) {
    cohort_os_mutex_reset(&keeper.mutex);
    forget_keeper();
}

/* ---- the keeper ----------------------------------------------------------------------------- */

typedef struct ward_t {
    struct ward_t *next;
    cohort__pid_t id;
    cohort_os_hold_t hold;
    cohort_os_tree_t tree;
    cohort_os_watch_room_t room;
    bool contained; /* its group ends with it, and not with its parent only */
    bool bound;     /* it ends with its parent */
} ward_t;

static ward_t *wards;

static ward_t **find_ward(cohort__pid_t id) {
    ward_t **link = &wards;
    while (*link && (*link)->id != id) link = &(*link)->next;
    return link;
}

static void let_go(ward_t **link) {
    ward_t *ward = *link;
    if (!ward) return;
    *link = ward->next;
    cohort_os_hold_release(&ward->hold, ward->contained);
    free(ward);
}

static void take_ward(cohort__pid_t id) {
    cohort_process_t *slot = cohort__process_find(id);
    ward_t *ward = slot && !*find_ward(id) ? calloc(1, sizeof *ward) : NULL;
    if (!ward) return;
    cohort_os_id_t os = slot->os;
    ward->id = id;
    ward->contained = cohort__is_contained(slot);
    ward->bound = slot->bound;
    ward->tree = slot->tree;
    ward->next = wards;
    bool alone = slot->containment == COHORT_CONTAIN_NONE;
    bool same = cohort__process_find(id) == slot;
    if (same && !cohort_os_hold_take(os, alone, &ward->hold)) wards = ward;
    else free(ward);
}

static void obey(uint64_t message) {
    if (message == RETIRE) cohort_os_exit(0, COHORT_OS_EXIT_NOW);
    if (message & ENDED) let_go(find_ward(message & ~ENDED));
    else take_ward(message);
}

/* With no process to hold, the parent may be on its way to an orderly end, in which it waits for
 * this process. */
static void await_parent(cohort_os_watch_t *watch, cohort__pid_t parent) {
    cohort_os_watch_room_t room;
    cohort_os_event_t event = {.kind = COHORT_OS_GONE};
    cohort_process_t *slot = cohort__process_find(parent);
    if (!wards || !slot || cohort_os_watch_process(watch, &room, slot->os, false, 0)) return;
    while (event.kind != COHORT_OS_ENDED)
        (void)cohort_os_watch_wait(watch, COHORT_OS_NEVER, &event);
}

static void end_ward(ward_t *ward) {
    if (ward->tree.token)
        (void)cohort_os_tree_end(&ward->tree, ward->hold.leader, ward->bound, 0, cohort__is_spared);
    cohort_os_hold_release(&ward->hold, ward->bound);
}

/* Those first that take no search, then those that are to run to their end. One that cannot be
 * watched has ended. */
static _Noreturn void end_all(cohort_os_watch_t *watch) {
    cohort_os_event_t event;
    int others = 0;
    for (ward_t *ward = wards; ward; ward = ward->next) {
        if (!ward->tree.token) end_ward(ward);
    }
    for (ward_t *ward = wards; ward; ward = ward->next) {
        if (!ward->tree.token) continue;
        bool waits = !ward->bound && !cohort_os_watch_process(watch, &ward->room, ward->hold.leader,
                                                              false, (uint64_t)(uintptr_t)ward);
        if (waits) others++;
        else end_ward(ward);
    }
    while (others > 0) {
        if (cohort_os_watch_wait(watch, COHORT_OS_NEVER, &event)) continue;
        if (event.kind != COHORT_OS_ENDED || !event.cookie) continue;
        end_ward((ward_t *)(uintptr_t)event.cookie);
        others--;
    }
    cohort_os_exit(0, COHORT_OS_EXIT_NOW);
}

void cohort__keeper_main(cohort_process_t *slot, const cohort_os_boot_t *boot) {
    const cohort_os_signals_t signals = COHORT_OS_SIGNALS_NO_INTERRUPT;
    cohort_os_watch_t *watch;
    cohort_os_event_t event;
    if (!cohort__attempt_claim(slot, cohort__boot_attempt(boot)))
        cohort_os_exit(255, COHORT_OS_EXIT_NOW);
    cohort__self_set(slot);
    apr_status_t status = cohort_os_become(&(cohort_os_become_t){.signals = &signals});
    if (!status) status = cohort_os_watch_create(&watch);
    if (!status) status = cohort_os_watch_channel(watch, boot->channel, true);
    if (status || !cohort__slot_step(slot, COHORT__SLOT_STARTING, COHORT__SLOT_RUNNING))
        cohort_os_exit(255, COHORT_OS_EXIT_NOW);
    cohort__notify(&slot->changed, COHORT__ALL);
    for (;;) {
        if (cohort_os_watch_wait(watch, COHORT_OS_NEVER, &event)) continue;
        if (event.kind == COHORT_OS_GONE) break;
        obey(event.value);
    }
    await_parent(watch, atomic_load(&slot->parent));
    end_all(watch);
}
