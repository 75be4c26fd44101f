/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The fork server: a small, single-threaded process of its own for each process that starts others, re-executed from the same
 * program at its first start. It forks the children, so that a start costs the same whatever the parent has grown to, and it is their reaper and repairer.
 *
 * A request is 64 bits on a channel, slot and attempt; all else is in the slot, or comes there while the server forks. The channel also tells the server when the process it serves is gone:
 * then it ends that one's daemons (which also hang on a lifeline of their own) and goes when its other children have.
 * If the server dies, its children go on; their parent watches them from then on, and the next start makes a new server.
 */
#include "core/process.h"

#include "core/arena.h"

#include <cohort/pool.h>
#include <stdlib.h>
#include <string.h>

/* ---- the side of the process that is served ---------------------------------------------------------------------------- */

static struct {
    cohort_os_mutex_t mutex;
    cohort_process_t *slot; /* NULL: none */
    cohort__pid_t id;
    cohort_os_handle_t channel;
    uint64_t credentials;
    void *context; /* what it took over from us when it was started */
    size_t context_size;
} server;

static apr_status_t capture(void **context, size_t *size) {
    size_t capacity = 16384;
    for (;;) {
        void *buffer = malloc(capacity);
        if (!buffer) return APR_ENOMEM;
        size_t length = capacity;
        apr_status_t status = cohort_os_context_capture(buffer, &length);
        if (!status) {
            *context = buffer;
            *size = length;
            return APR_SUCCESS;
        }
        free(buffer);
        if (!APR_STATUS_IS_ENOSPC(status)) return status;
        capacity = length > capacity ? length : capacity * 2;
    }
}

static void forget(void) {
    void *context = server.context;
    if (!server.slot) return;
    server.slot = NULL; /* first: a fork in another thread may copy this at any point */
    server.context = NULL;
    cohort_os_close(server.channel);
    free(context);
}

static apr_status_t spawn_server(cohort_process_t *slot, cohort_os_handle_t reader) {
    cohort_os_boot_t boot = {.channel = reader};
    cohort__watched_t *watched;
    cohort_os_id_t child;
    apr_status_t status = cohort__lifeline(&boot.lifeline);
    if (!status) status = cohort__watcher_reserve(&watched);
    if (status) return status;
    status = cohort__reexec(slot, &boot, &child);
    if (status) cohort__watcher_unreserve(watched);
    else status = cohort__watch_takeoff(slot, child, watched);
    return status;
}

static apr_status_t start_server(void) {
    cohort_process_t *slot;
    cohort_os_handle_t reader, writer;
    apr_status_t status = cohort__process_make(&slot, COHORT__ROLE_SERVER, "cohort-server", COHORT_DAEMON, COHORT_SPAWN);
    if (status) return status;
    status = cohort_os_channel_create(&reader, &writer);
    if (status) goto no_channel;
    cohort__slot_step(slot, COHORT__SLOT_NEW, COHORT__SLOT_STARTING);
    atomic_store(&slot->awaited, 1);
    atomic_store(&slot->claim, cohort__claim_next(atomic_load(&slot->claim)));
    atomic_store(&slot->reaper, cohort__self_id());
    status = spawn_server(slot, reader);
    cohort_os_close(reader);
    if (status) goto no_server;
    server.slot = slot;
    server.id = cohort__process_id(slot);
    server.channel = writer;
    server.credentials = cohort_os_credentials();
    return capture(&server.context, &server.context_size);

no_server:
    cohort_os_close(writer);
    cohort__launch_failed(slot, status);
no_channel:
    atomic_store(&slot->creator, 0);
    cohort__slot_release(slot);
    return status;
}

/* That it is dead is found by posting to it. */
static bool server_works(void) {
    return server.slot && server.credentials == cohort_os_credentials() && cohort__process_alive(server.id, false);
}

/* Guard: what has changed in this process since the server was started goes with the request. */
static apr_status_t attach(cohort_process_t *slot, cohort__thread_t *me, const void *context, size_t size) {
    apr_status_t status = APR_SUCCESS;
    cohort__block_free(me, &slot->context);
    slot->context_size = 0;
    bool same = server.context && size == server.context_size && !memcmp(context, server.context, size);
    if (!same) status = cohort__block_new(me, COHORT__KIND_BYTES, size, &slot->context);
    if (!same && !status) {
        memcpy(atomic_load(&slot->context), context, size);
        slot->context_size = size;
    }
    return status;
}

/* While the server forks. The start may be over meanwhile, and the slot another's: this process need not be the parent. */
static void tell_context(cohort_process_t *slot, cohort__pid_t id, uint32_t attempt) {
    cohort__thread_t *me;
    void *context = NULL;
    size_t size = 0;
    if (cohort__enter(&me)) return; /* which was done before, so it works */
    apr_status_t status = capture(&context, &size), none = APR_SUCCESS;
    cohort__guard_enter(&slot->guard, me);
    if (cohort__process_id(slot) == id && cohort__process_attempt(slot) == attempt) {
        if (!status) status = attach(slot, me, context, size);
        if (status) atomic_compare_exchange_strong(&slot->start_status, &none, status);
        atomic_store(&slot->context_state, status ? COHORT__CONTEXT_FAILED : COHORT__CONTEXT_THERE);
    }
    cohort__guard_leave(&slot->guard);
    free(context);
    cohort__notify(&slot->changed, COHORT__ALL);
}

static apr_status_t post(cohort_process_t *slot) {
    cohort__pid_t id = cohort__process_id(slot);
    uint32_t attempt = cohort__process_attempt(slot);
    atomic_store(&slot->reaper, server.id);
    atomic_store(&slot->requester, cohort__self_id());
    atomic_store(&slot->start_status, APR_SUCCESS);
    atomic_store(&slot->context_state, COHORT__CONTEXT_UNDERWAY);
    apr_status_t status = cohort_os_channel_post(server.channel, (uint64_t)attempt << 48 | id);
    if (!status) tell_context(slot, id, attempt);
    if (!status || status == APR_ENOMEM) return status;
    forget();
    return COHORT_EWORKERDIED; /* of the server: try again */
}

static apr_status_t request(cohort_process_t *slot) {
    apr_status_t status = APR_SUCCESS;
    cohort_os_mutex_lock(&server.mutex);
    if (!server_works()) {
        forget();
        status = start_server();
    }
    if (!status) status = post(slot);
    cohort_os_mutex_unlock(&server.mutex);
    return status;
}

/* One that has been found dead already has no exit code yet, and now nobody will learn it any more. */
static void adopt(cohort_process_t *slot, cohort__pid_t from) {
    if (!atomic_compare_exchange_strong(&slot->reaper, &from, cohort__self_id())) return;
    if (cohort__process_state(slot) != COHORT__SLOT_RUNNING) cohort__process_ended(slot, COHORT_EXIT_UNKNOWN);
    else cohort__watcher_adopt(slot);
}

/* If its server is dead by now, its children may have been adopted before this one was to be seen. */
static apr_status_t await_served(cohort_process_t *slot) {
    apr_status_t status = cohort__await_takeoff(slot, NULL);
    cohort__pid_t reaper = atomic_load(&slot->reaper);
    if (!status && reaper != cohort__self_id() && !cohort__process_alive(reaper, false)) adopt(slot, reaper);
    return status;
}

#define ATTEMPTS 5
#define CLOSE_TIME 2000000 /* microseconds that a server gets to go by itself */

/* A server that died before a child claimed the slot is replaced. Taking the attempt back is one compare-and-swap against the child's claim. */
apr_status_t cohort__server_launch(cohort_process_t *slot) {
    apr_status_t status = COHORT_ESTART;
    for (int i = 0; i < ATTEMPTS; i++) {
        status = request(slot);
        if (!status) status = await_served(slot);
        if (status != COHORT_EWORKERDIED) return status;
        if (!cohort__claim_withdraw(slot)) return await_served(slot);
    }
    return status == COHORT_EWORKERDIED ? COHORT_ESTART : status;
}

void cohort__server_lost(cohort_process_t *lost) {
    cohort__pid_t id = cohort__process_id(lost);
    uint32_t count = cohort__process_count();
    for (uint32_t i = 0; i < count; i++) {
        cohort_process_t *slot = cohort__process_at(i);
        cohort__slot_state_t state = cohort__process_state(slot);
        if ((state == COHORT__SLOT_RUNNING || state == COHORT__SLOT_DEAD) && atomic_load(&slot->reaper) == id) adopt(slot, id);
    }
    atomic_store(&lost->creator, 0);
    cohort__slot_release(lost);
}

void cohort__server_close(void) {
    cohort_os_mutex_lock(&server.mutex);
    cohort_process_t *slot = server.slot && cohort__process_find(server.id) ? server.slot : NULL;
    forget();
    cohort_os_mutex_unlock(&server.mutex);
    if (slot && cohort_process_join(slot, CLOSE_TIME)) (void)cohort_process_kill(slot);
}

void cohort__server_lock(void) {
    cohort_os_mutex_lock(&server.mutex);
}

void cohort__server_unlock(void) {
    cohort_os_mutex_unlock(&server.mutex);
}

void cohort__server_reset(void) {
    cohort_os_mutex_reset(&server.mutex);
    forget();
}

/* ---- the server -------------------------------------------------------------------------------------------------------------- */

static cohort_process_t *me_slot;
static cohort_os_handle_t daemons_lifeline;

bool cohort__is_server(void) {
    return me_slot != NULL;
}

static _Noreturn void be_child(cohort_process_t *slot, uint32_t attempt) {
    cohort_os_handle_t lifeline = daemons_lifeline;
    me_slot = NULL;
    cohort__forked();
    cohort__child_main(slot, attempt, COHORT__BORN_SERVED, lifeline);
}

static apr_status_t fork_child(cohort_process_t *slot, uint32_t attempt) {
    cohort_os_start_t start = {.how = COHORT_OS_FORK};
    cohort__watched_t *watched;
    cohort_os_id_t child;
    bool in_child = false;
    apr_status_t status = cohort__watcher_reserve(&watched);
    if (status) return status;
    cohort__code_foresee(&slot->run);
    status = cohort_os_start(&start, &child, &in_child);
    if (!status && !in_child) {
        status = cohort__watcher_add(watched, slot, child, true);
        cohort_os_lifeline_prepare(daemons_lifeline); /* for the next one */
        return status;
    }
    cohort__watcher_unreserve(watched);
    if (in_child) be_child(slot, attempt);
    return status;
}

apr_status_t cohort__server_fork(cohort_process_t *slot) {
    atomic_store(&slot->reaper, cohort__self_id());
    atomic_store(&slot->context_state, COHORT__CONTEXT_THERE); /* that of the server */
    return fork_child(slot, (uint32_t)(atomic_load(&slot->claim) >> 32));
}

static void serve(uint64_t value) {
    cohort_process_t *slot = cohort__process_find(value & 0xffffffffffff);
    if (!slot || cohort__process_state(slot) != COHORT__SLOT_STARTING) return;
    uint64_t attempt = atomic_load(&slot->claim) >> 32;
    if ((attempt & 0xffff) != value >> 48) return;
    apr_status_t status = fork_child(slot, (uint32_t)attempt);
    if (!status) return;
    atomic_store(&slot->start_status, status);
    if (cohort__slot_step(slot, COHORT__SLOT_STARTING, COHORT__SLOT_FAILED)) cohort__notify(&slot->changed, COHORT__ALL);
}

/* Children of ours that still run, of this lifetime. */
static int children(uint32_t lifetime, bool kill) {
    int n = 0;
    uint32_t count = cohort__process_count();
    for (uint32_t i = 0; i < count; i++) {
        cohort_process_t *slot = cohort__process_at(i);
        if (atomic_load(&slot->reaper) != cohort__self_id() || slot->lifetime != lifetime) continue;
        cohort__slot_state_t state = cohort__process_state(slot);
        if (state != COHORT__SLOT_RUNNING && state != COHORT__SLOT_STARTING && state != COHORT__SLOT_DEAD) continue;
        if (kill) (void)cohort_process_kill(slot);
        n++;
    }
    return n;
}

static bool other_event(const cohort_os_event_t *event) {
    if (event->kind == COHORT_OS_MESSAGE) serve(event->value);
    return event->kind != COHORT_OS_GONE;
}

/* Nobody will tell these in what context they are to run. */
static void fail_starts(void) {
    uint32_t count = cohort__process_count();
    for (uint32_t i = 0; i < count; i++) {
        cohort_process_t *slot = cohort__process_at(i);
        uint32_t underway = COHORT__CONTEXT_UNDERWAY;
        apr_status_t none = APR_SUCCESS;
        if (atomic_load(&slot->reaper) != cohort__self_id() || cohort__process_state(slot) != COHORT__SLOT_STARTING) continue;
        atomic_compare_exchange_strong(&slot->start_status, &none, COHORT_ESTART);
        if (atomic_compare_exchange_strong(&slot->context_state, &underway, COHORT__CONTEXT_FAILED)) cohort__notify(&slot->changed, COHORT__ALL);
    }
}

#define WIND_UP_LOOK 100000 /* microseconds */

/* Nobody is there to be served. Its daemons end now; foreground children are waited for, for the sake of their exit codes. The channel may close
 * a moment before the system calls the process dead, so that is waited for too, since the death cancels what was about to start. */
static _Noreturn void wind_up(void) {
    cohort__pid_t parent = atomic_load(&me_slot->parent);
    cohort_process_t *slot = cohort__process_find(parent);
    if (slot && !cohort__process_bury(parent)) cohort__watcher_adopt(slot);
    fail_starts();
    (void)children(COHORT_DAEMON, true);
    /* Others may record the end of a child too, so not every end is an event here. */
    while (children(COHORT_DAEMON, false) + children(COHORT_FOREGROUND, false) > 0) {
        cohort__watcher_once(cohort__deadline(WIND_UP_LOOK));
    }
    cohort_os_exit(0, true);
}

void cohort__server_main(cohort_process_t *slot, const cohort_os_boot_t *boot) {
    uint64_t open = (uint64_t)(boot->role >> 8) << 32;
    cohort_os_id_t os = cohort_os_self();
    if (!atomic_compare_exchange_strong(&slot->claim, &open, open | (uint64_t)os.pid)) cohort_os_exit(255, false);
    slot->os = os;
    cohort__self_set(slot);
    cohort__threads_reset();
    cohort_os_set_interrupts(false);
    daemons_lifeline = boot->lifeline;
    me_slot = slot;
    apr_status_t status = cohort__watcher_own(boot->channel);
    if (status) {
        atomic_store(&slot->start_status, status);
        cohort_os_exit(255, false);
    }
    if (!cohort__slot_step(slot, COHORT__SLOT_STARTING, COHORT__SLOT_RUNNING)) cohort_os_exit(255, false);
    cohort__notify(&slot->changed, COHORT__ALL);
    cohort_os_lifeline_prepare(daemons_lifeline);
    cohort__watcher_loop(other_event);
    wind_up();
}
