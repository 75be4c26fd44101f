/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Fork servers: small, single-threaded processes, re-executed from the same program. They fork the
 * children of the process that made them, so that a start costs the same whatever that has grown
 * to, and are their reapers and repairers.
 *
 * A child is what the requesting thread is when it starts it. Part of that goes with the request:
 * the standard streams through the channel, the rest (directory, environment, umask, limits,
 * priority, ...) into the slot while the server forks, for the child to take over; a server has no
 * streams of its own. What no request can give (users, capabilities, sandbox, root, namespaces,
 * session) a server has from the thread that made it, as it was then. So a request goes to a server
 * that was made in the same state: few system calls distinguish states as a rule, and the child
 * looks whether the requester's whole state is that of the server's making, or else ends before it
 * has done anything; then the request is repeated, with a look at everything from then on, and with
 * a new server if no other is right. A server that is right no more is retired, and ends with its
 * last child, unless it is wanted again before. When SERVERS_MAX live a child is started as a
 * server would be, by spawn.
 *
 * A request is 64 bits on a channel, slot and attempt. The channel also shows the server when the
 * process it serves is gone: then it ends that one's daemons (which also hang on a lifeline of
 * their own) and goes when its other children have. A host that closes the channel, and lives, is
 * waited for. If the server dies, its children go on; their parent watches them from then on, and
 * the next start makes a new server.
 */
#include "core/process/server.h"

#include "core/base/fail.h"
#include "core/memory/arena.h"

#include <apr_thread_proc.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static cohort_process_t *me_slot;
static cohort_os_handle_t daemons_lifeline;
static cohort_os_handle_t maker = COHORT_OS_NONE; /* its watcher's channel */
static bool retired, ending_requested;
/* The state of this server's maker. Not static: see the back end's list of what is large. */
cohort_os_state_t cohort__server_made_for;

bool cohort__is_server(void) { return me_slot != NULL; }

/* The failure is of the fork. */
static _Noreturn void be_child(cohort_process_t *slot, uint32_t attempt, apr_status_t status) {
    cohort_os_handle_t lifeline = daemons_lifeline;
    me_slot = NULL;
    cohort_os_close(maker);
    cohort__forked();
    if (status) cohort__child_refuse(slot, attempt, status);
    cohort__child_main(slot, attempt, COHORT__BORN_SERVED, lifeline);
}

static apr_status_t fork_child(cohort_process_t *slot, uint32_t attempt,
                               const cohort_os_streams_t *streams) {
    cohort_os_start_t start = cohort__start_of(slot, COHORT_OS_FORK);
    cohort__watched_t *watched;
    cohort_os_id_t child;
    bool in_child = false;
    apr_status_t status = cohort__watcher_reserve(&watched);
    if (status) return status;
    start.signals = COHORT_OS_SIGNALS_INHERIT; /* until the child knows more */
    start.n_gifts = 0;                         /* a server has none of the starter's */
    start.streams = streams;
    if (slot->bound) start.lifeline = daemons_lifeline;
    cohort__code_warm(&slot->run);
    status = cohort_os_start(&start, &child, &in_child);
    if (!status && !in_child) {
        status = cohort__watcher_add(watched, slot, attempt, child, true);
        if (status) cohort__attempt_end_child(child);
        return status;
    }
    cohort__watcher_unreserve(watched);
    if (in_child) be_child(slot, attempt, status);
    return status;
}

bool cohort__server_suits(const cohort_process_t *slot) {
    return !memcmp(slot->state.quick, cohort__server_made_for.quick,
                   sizeof cohort__server_made_for.quick) &&
           !memcmp(slot->state.rest, cohort__server_made_for.rest,
                   sizeof cohort__server_made_for.rest);
}

static void serve_next(cohort_os_event_t *event) {
    cohort_process_t *slot = cohort__process_find(cohort__server_requested(event->value));
    uint32_t attempt = slot ? cohort__process_attempt(slot) : 0;
    bool wanted = slot && cohort__process_state(slot) == COHORT__SLOT_STARTING &&
                  cohort__server_is_attempt(event->value, attempt);
    if (!wanted) cohort_os_streams_close(&event->streams);
    if (!wanted) return;
    retired = false;
    apr_status_t status = event->streams_status;
    if (!status) status = fork_child(slot, attempt, &event->streams);
    cohort_os_streams_close(&event->streams);
    if (!status) return;
    cohort__slot_refuse(slot, status);
    if (cohort__slot_step(slot, COHORT__SLOT_STARTING, COHORT__SLOT_FAILED))
        cohort__notify(&slot->changed, COHORT__ALL);
}

/* How many children of ours still run, without those that outlive their parent or with all.
 * `kill`: those that end with their parent are killed. */
static int children(bool all, bool kill) {
    int n = 0;
    uint32_t count = cohort__process_count();
    for (uint32_t i = 0; i < count; i++) {
        cohort_process_t *slot = cohort__process_at(i);
        /* First: what follows may be about the slot's next process, which no signal reaches. */
        cohort__pid_t id = cohort__process_id(slot);
        if (atomic_load(&slot->reaper) != cohort__self_id() ||
            (slot->lifetime == COHORT_LIFETIME_BACKGROUND && !all))
            continue;
        /* an orphan, which is only watched */
        if (atomic_load(&slot->parent) != atomic_load(&me_slot->parent)) continue;
        cohort__slot_state_t state = cohort__process_state(slot);
        if (state != COHORT__SLOT_RUNNING && state != COHORT__SLOT_STARTING &&
            state != COHORT__SLOT_DEAD)
            continue;
        if (kill && slot->bound) (void)cohort__process_kill(id);
        n++;
    }
    return n;
}

/* What comes with a message takes the places of the standard streams, of which this process has
 * none. The handle is kept out of their way. */
static cohort_os_handle_t keep_first(cohort_os_streams_t *streams) {
    cohort_os_streams_t kept = COHORT_OS_NO_STREAMS;
    (void)cohort__given_streams_copy(&kept);
    cohort_os_streams_close(streams);
    return kept.handles[0];
}

static void listen_to(cohort_os_event_t *event) {
    switch (cohort__server_message(event->value)) {
    case COHORT__TELL_RETIRE: retired = true; break;
    case COHORT__TELL_END: ending_requested = true; break;
    case COHORT__TELL_MAKER:
        cohort_os_close(maker);
        maker = keep_first(&event->streams);
        break;
    default: break;
    }
}

static bool other_event(cohort_os_event_t *event) {
    bool control = event->kind == COHORT_OS_MESSAGE && !cohort__server_requested(event->value);
    if (control) listen_to(event);
    else if (event->kind == COHORT_OS_MESSAGE) serve_next(event);
    return event->kind != COHORT_OS_GONE && !ending_requested &&
           !(retired && children(true, false) == 0);
}

/* No message will say in what context these are to run. */
static void fail_starts(void) {
    uint32_t count = cohort__process_count();
    for (uint32_t i = 0; i < count; i++) {
        cohort_process_t *slot = cohort__process_at(i);
        uint32_t underway = COHORT__CONTEXT_UNDERWAY;
        if (atomic_load(&slot->reaper) != cohort__self_id() ||
            cohort__process_state(slot) != COHORT__SLOT_STARTING)
            continue;
        cohort__slot_refuse(slot,
                            cohort__fail(COHORT_ESTART, "the process that asked for it has ended"));
        if (atomic_compare_exchange_strong(&slot->context_state, &underway, COHORT__CONTEXT_FAILED))
            cohort__notify(&slot->changed, COHORT__ALL);
    }
}

#define WIND_UP_LOOK 100000 /* microseconds */

/* The process that was served has ended, or wants this server to: its daemons end now;
 * foreground children are waited for, for the sake of their exit codes. The channel may close a
 * moment before the system calls the process dead, so that is waited for, since the death
 * cancels what was about to start; or because the host has closed a descriptor that is not its
 * own, and lives: then nothing more can be asked for here, but the children are as well looked
 * after as before. */
static _Noreturn void wind_up(void) {
    cohort__pid_t parent = atomic_load(&me_slot->parent);
    cohort_process_t *slot = cohort__process_find(parent);
    bool ended = cohort__process_check_dead(parent);
    if (slot && !ended) cohort__watcher_adopt(slot);
    for (;;) {
        ended = ended || ending_requested || cohort__process_check_dead(parent);
        if (ended) fail_starts();
        /* Others may record the end of a child too, so not every end is an event here. */
        if (children(!ended, ended) == 0) break;
        cohort__watcher_once(cohort__deadline(WIND_UP_LOOK));
    }
    cohort_os_exit(0, COHORT_OS_EXIT_FLUSHED);
}

/* Called by the watcher: a worker of a pool has ended, which only the pool's maker can replace. */
void cohort__server_tell(void) { (void)cohort_os_channel_post(maker, COHORT__WATCHER_TEND, NULL); }

static apr_status_t become_server(void) {
    const cohort_os_signals_t signals = COHORT_OS_SIGNALS_NO_INTERRUPT;
    const cohort_os_become_t what = {
        .signals = &signals, .serves = true, .lifeline = daemons_lifeline};
    return cohort_os_become(&what);
}

void cohort__server_main(cohort_process_t *slot, const cohort_os_boot_t *boot) {
    if (!cohort__attempt_claim(slot, cohort__boot_attempt(boot)))
        cohort_os_exit(255, COHORT_OS_EXIT_NOW);
    atomic_store(&slot->arena, (int64_t)cohort__map.handle);
    cohort__self_set(slot);
    cohort__threads_reset();
    daemons_lifeline = boot->lifeline;
    me_slot = slot;
    cohort__server_made_for = slot->state;
    fflush(stdout); /* what the program wrote on its way here is discarded */
    fflush(stderr);
    apr_thread_yield(); /* APR writes down what it calls there, once and not in each child */
    apr_status_t status = become_server();
    if (!status) status = cohort__watcher_own(boot->channel);
    if (status) {
        cohort__slot_refuse(slot, status);
        cohort_os_exit(255, COHORT_OS_EXIT_NOW);
    }
    if (!cohort__slot_step(slot, COHORT__SLOT_STARTING, COHORT__SLOT_RUNNING))
        cohort_os_exit(255, COHORT_OS_EXIT_NOW);
    cohort__notify(&slot->changed, COHORT__ALL);
    cohort__watcher_loop(other_event);
    wind_up();
}
