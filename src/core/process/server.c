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
 * that was made in the same state: few system calls tell states apart as a rule, and the child
 * looks whether the requester's whole state is that of the server's making, or else ends before it
 * has done anything; then the request is repeated, with a look at everything from then on, and with
 * a new server if no other is right. A server that is right no more is told so, and ends with its
 * last child, unless it is wanted again before. When SERVERS_MAX live a child is started as a
 * server would be, by spawn.
 *
 * A request is 64 bits on a channel, slot and attempt. The channel also tells the server when the
 * process it serves is gone: then it ends that one's daemons (which also hang on a lifeline of
 * their own) and goes when its other children have. A host that closes the channel, and lives, is
 * waited for. If the server dies, its children go on; their parent watches them from then on, and
 * the next start makes a new server.
 */
#include "core/process/process.h"

#include "core/base/fail.h"
#include "core/memory/arena.h"

#include <cohort/pool.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Instead of a slot's id, which is never that small: */
enum { TELL_RETIRE = 1, TELL_END, TELL_MAKER };
#define CONTROL(what) ((uint64_t)(what) << 48)

/* ---- the side of the process that is served ------------------------------------------------- */

#define SERVERS_MAX 8
#define ATTEMPTS 5
#define CLOSE_TIME 2000000 /* microseconds that servers get to go by themselves */

typedef struct {
    cohort_process_t *slot; /* NULL: none */
    cohort__pid_t id;
    cohort_os_known_t channel;
    cohort_os_state_t state; /* of the thread that made it */
    bool unfit;              /* has been found not to be what its state says */
    bool retired;            /* has been told to end with its last child */
    uint32_t posted;         /* requests so far */
    void *context;           /* what it took over from us when it was started */
    size_t context_size;
} server_t;

static cohort_os_mutex_t mutex;
static server_t *servers; /* SERVERS_MAX of them, once one is wanted */
static bool is_subtle; /* the quick part of a state has been seen not to be enough */

/* Which process is to be started in which state. */
typedef struct {
    cohort_process_t *slot;
    cohort_os_state_t state;
    bool whole;    /* the whole state is known, not only its quick part */
    bool another;  /* it is that of another thread: the caller itself can make no server for it */
    server_t *server;
    bool fresh;    /* which was made for this */
    bool retried;  /* a child has stepped back */
} request_t;

static void forget(server_t *server) {
    void *context = server->context;
    if (!server->slot) return;
    server->slot = NULL; /* first: a fork in another thread may copy this at any point */
    server->context = NULL;
    cohort_os_close_known(&server->channel);
    free(context);
}

static int places(void) {
    return servers ? SERVERS_MAX : 0;
}

static void forget_all(void) {
    for (int i = 0; i < places(); i++) forget(&servers[i]);
}

static apr_status_t spawn_server(cohort_process_t *slot, cohort_os_handle_t reader) {
    cohort_os_boot_t boot = {.channel = reader};
    cohort_os_handle_t null;
    cohort__watched_t *watched;
    cohort_os_id_t child;
    apr_status_t status = cohort__lifeline(&boot.lifeline);
    if (!status) status = cohort__watcher_reserve(&watched);
    if (status) return status;
    status = cohort_os_null_open(&null);
    if (!status) {
        status = cohort__reexec(slot, &boot, &child, &(cohort_os_streams_t){{null, null, null}});
        cohort_os_close(null);
    }
    if (status) cohort__watcher_unreserve(watched);
    else status = cohort__watch_takeoff(slot, child, watched);
    return status;
}

/* Another thread may have changed meanwhile what this one is: then nobody knows what the server
 * is. */
static apr_status_t confirm(const cohort_os_state_t *before) {
    cohort_os_state_t now;
    apr_status_t status = cohort_os_state_look(0, &now);
    bool same = !memcmp(now.quick, before->quick, sizeof now.quick) &&
                !memcmp(now.rest, before->rest, sizeof now.rest);
    return status || same ? status : COHORT_EWORKERDIED;
}

static apr_status_t start_process(cohort_process_t *slot, cohort_os_handle_t *channel,
                                  const cohort_os_state_t *state) {
    cohort_os_handle_t reader;
    apr_status_t status = cohort_os_channel_create(&reader, channel);
    if (status) return status;
    cohort__slot_step(slot, COHORT__SLOT_NEW, COHORT__SLOT_STARTING);
    atomic_store(&slot->awaited, 1);
    atomic_store(&slot->claim, cohort__claim_next(atomic_load(&slot->claim)));
    atomic_store(&slot->reaper, cohort__self_id());
    slot->state = *state;
    status = spawn_server(slot, reader);
    cohort_os_close(reader);
    if (!status) return APR_SUCCESS;
    cohort_os_close(*channel);
    return cohort__launch_failed(slot, status);
}

/* It is told through which channel it can tell this process' watcher something. */
static apr_status_t introduce(server_t *server) {
    cohort_os_streams_t back = {{cohort__watcher_channel(), COHORT_OS_NONE, COHORT_OS_NONE}};
    return back.handles[0] == COHORT_OS_NONE
               ? APR_SUCCESS
               : cohort_os_channel_post(server->channel.handle, CONTROL(TELL_MAKER), &back);
}

void cohort__server_introduce(void) {
    cohort_os_mutex_lock(&mutex);
    for (int i = 0; i < places(); i++) {
        if (servers[i].slot && cohort_os_is_known(&servers[i].channel))
            (void)introduce(&servers[i]);
    }
    cohort_os_mutex_unlock(&mutex);
}

static bool is_reachable(const cohort_process_t *slot) {
    cohort__pid_t id = cohort__process_id(slot);
    bool found = false;
    cohort_os_mutex_lock(&mutex);
    for (int i = 0; i < places() && !found; i++)
        found = servers[i].slot && servers[i].id == id && cohort_os_is_known(&servers[i].channel);
    cohort_os_mutex_unlock(&mutex);
    return found;
}

bool cohort__server_is_cut_off(void) {
    uint32_t count = cohort__process_count();
    for (uint32_t i = 0; i < count; i++) {
        cohort_process_t *slot = cohort__process_at(i);
        bool ours = slot->role == COHORT__ROLE_SERVER &&
                    atomic_load(&slot->parent) == cohort__self_id() &&
                    cohort__process_state(slot) == COHORT__SLOT_RUNNING;
        if (ours && !is_reachable(slot)) return true;
    }
    return false;
}

static apr_status_t start_server(server_t *server, cohort_os_state_t *state) {
    server_t made = {.state = *state};
    cohort_os_handle_t writer;
    apr_status_t status = cohort__context_capture(&made.context, &made.context_size, &made.state);
    if (!status)
        status = cohort__process_make(&made.slot, COHORT__ROLE_SERVER, "cohort-server",
                                      COHORT_DAEMON, COHORT_SPAWN);
    if (status) goto no_slot;
    status = start_process(made.slot, &writer, &made.state);
    if (status) goto no_server;
    made.id = cohort__process_id(made.slot);
    made.channel = cohort_os_know(writer);
    *server = made;
    is_subtle |= made.state.subtle;
    status = confirm(&made.state);
    if (!status && introduce(server)) status = COHORT_EWORKERDIED;
    if (status) server->unfit = true;
    return status;

no_server:
    status = cohort__explain(status, "start a fork server for what this thread is now");
    atomic_store(&made.slot->creator, 0);
    cohort__slot_release(made.slot);
no_slot:
    free(made.context);
    return status;
}

/* Guard: what has changed in this process since the server was started goes with the request; what
 * is blocked here a server never has. */
static apr_status_t attach(cohort_process_t *slot, cohort__thread_t *me, const server_t *server,
                           const void *context, size_t size) {
    apr_status_t status = APR_SUCCESS;
    cohort__block_free(me, &slot->context);
    slot->context_size = 0;
    bool same = slot->signals != COHORT_OS_SIGNALS_INHERIT && server->context &&
                size == server->context_size && !memcmp(context, server->context, size);
    if (!same) status = cohort__block_new(me, COHORT__KIND_BYTES, size, &slot->context);
    if (!same && !status) {
        memcpy(atomic_load(&slot->context), context, size);
        slot->context_size = size;
    }
    return status;
}

/* A worker's context is its pool's, and there already. */
static apr_status_t look(request_t *request, void **context, size_t *size) {
    if (!request->slot->given) return cohort__context_capture(context, size, &request->state);
    return request->whole ? APR_SUCCESS : cohort_os_state_look(0, &request->state);
}

/* While the server forks. The start may be over meanwhile, and the slot another's: this process
 * need not be the parent. */
static void tell_context(request_t *request, cohort__pid_t id, uint32_t attempt) {
    cohort_process_t *slot = request->slot;
    cohort__thread_t *me;
    void *context = NULL;
    size_t size = 0;
    if (cohort__enter(&me)) return; /* which was done before, so it works */
    apr_status_t status = look(request, &context, &size);
    cohort__guard_enter(&slot->guard, me);
    if (cohort__process_id(slot) == id && cohort__process_attempt(slot) == attempt) {
        if (!status && context) status = attach(slot, me, request->server, context, size);
        slot->state = request->state;
        if (status) cohort__slot_refuse(slot, status);
        atomic_store(&slot->context_state, status ? COHORT__CONTEXT_FAILED : COHORT__CONTEXT_THERE);
    }
    cohort__guard_leave(&slot->guard);
    free(context);
    cohort__notify(&slot->changed, COHORT__ALL);
}

static apr_status_t post(request_t *request, const cohort_os_streams_t *streams) {
    cohort_process_t *slot = request->slot;
    server_t *server = request->server;
    cohort__pid_t id = cohort__process_id(slot);
    uint32_t attempt = cohort__process_attempt(slot);
    atomic_store(&slot->reaper, server->id);
    atomic_store(&slot->requester, cohort__self_id());
    slot->reason[0] = 0;
    atomic_store(&slot->start_status, APR_SUCCESS);
    atomic_store(&slot->unfit, 0);
    atomic_store(&slot->context_state, COHORT__CONTEXT_UNDERWAY);
    server->retired = false;
    apr_status_t status =
        cohort_os_channel_post(server->channel.handle, (uint64_t)attempt << 48 | id, streams);
    if (!status) tell_context(request, id, attempt);
    if (!status || status == APR_ENOMEM) return status;
    forget(server);
    return COHORT_EWORKERDIED; /* of the server: try again */
}

static bool is_right(const server_t *server, const request_t *request) {
    if (server->unfit || !cohort_os_state_same_quick(&server->state, &request->state)) return false;
    return !request->whole || cohort_os_state_same(&server->state, &request->state);
}

/* False: not now. */
static bool tell(server_t *server, uint64_t what) {
    return !cohort_os_is_known(&server->channel) ||
           cohort_os_channel_post(server->channel.handle, CONTROL(what), NULL) != APR_ENOMEM;
}

/* One that is right; the others are told that they are not. That one is dead is found by posting
 * to it. */
static void choose(request_t *request, server_t **free_place) {
    request->server = *free_place = NULL;
    if (!servers) servers = calloc(SERVERS_MAX, sizeof *servers);
    for (int i = 0; i < places(); i++) {
        server_t *server = &servers[i];
        bool right = server->slot && !request->server && is_right(server, request);
        if (server->slot && (!cohort__process_alive(server->id, false) ||
                             (right && !cohort_os_is_known(&server->channel))))
            forget(server);
        if (!server->slot) *free_place = server;
        else if (right) request->server = server;
        else if (!server->retired) server->retired = tell(server, TELL_RETIRE);
    }
}

/* Two servers may be right as far as the quick part tells, and the first be retired for the
 * second's sake; it is used again when it is wanted. */
static apr_status_t serve_request(request_t *request, const cohort_os_streams_t *streams,
                                  bool *full) {
    server_t *place;
    apr_status_t status = APR_SUCCESS;
    choose(request, &place);
    request->fresh = !request->server;
    if (request->fresh && request->another) {
        return cohort__fail(
            COHORT_ESTART,
            "the first thread of this process is not what the thread is that replaces workers, and no fork server of its own lives");
    }
    if (request->fresh && !place) {
        *full = true;
        return COHORT_ELIMIT;
    }
    if (request->fresh) {
        status = start_server(place, &request->state);
        request->server = place;
    }
    return status ? status : post(request, streams);
}

static apr_status_t send_request(request_t *request, bool *full) {
    cohort_os_streams_t streams = cohort_os_facts()->streams;
    apr_status_t status = APR_SUCCESS;
    if (request->slot->given) streams = cohort__given_streams(request->slot->given);
    if (request->slot->replaces) status = cohort__maker_look(&request->state, &request->another);
    else cohort_os_state_quick(&request->state);
    request->whole = request->slot->replaces;
    if (status) return status;
    cohort_os_mutex_lock(&mutex);
    if (is_subtle && !request->whole) {
        status = cohort_os_state_look(0, &request->state);
        request->whole = true;
    }
    if (!status) status = serve_request(request, &streams, full);
    cohort_os_mutex_unlock(&mutex);
    return status;
}

/* One that has been found dead already has no exit code yet, and now nobody will learn it any
 * more. */
static void adopt(cohort_process_t *slot, cohort__pid_t from) {
    if (!atomic_compare_exchange_strong(&slot->reaper, &from, cohort__self_id())) return;
    if (cohort__process_state(slot) == COHORT__SLOT_DEAD)
        cohort__process_ended(slot, COHORT_EXIT_UNKNOWN);
    else cohort__watcher_adopt(slot);
    cohort__keeper_hold(slot);
}

/* If its server is dead by now, its children may have been adopted before this one was to be
 * seen. */
static apr_status_t await_served(cohort_process_t *slot) {
    apr_status_t status = cohort__await_takeoff(slot, NULL);
    cohort__pid_t reaper = atomic_load(&slot->reaper);
    if (!status && reaper != cohort__self_id() && !cohort__process_alive(reaper, false))
        adopt(slot, reaper);
    return status;
}

/* The child has found that it cannot become what it should be: there is more to a state than was
 * looked at; if all was, the server is not what its state says. */
static void stepped_back(cohort__pid_t id, bool whole) {
    cohort_os_mutex_lock(&mutex);
    is_subtle = true;
    for (int i = 0; i < places() && whole; i++)
        servers[i].unfit |= servers[i].slot && servers[i].id == id;
    cohort_os_mutex_unlock(&mutex);
}

/* Posting to a process that has been killed works until the system has closed its channel. */
static void forget_dead(cohort__pid_t id) {
    cohort_os_mutex_lock(&mutex);
    for (int i = 0; i < places(); i++) {
        bool dead = servers[i].slot && servers[i].id == id && !cohort__process_alive(id, true);
        if (dead) forget(&servers[i]);
    }
    cohort_os_mutex_unlock(&mutex);
}

/* To be asked of another server, as another attempt; false: it is over, and the status says why. */
static bool repeat(request_t *request, apr_status_t *status) {
    cohort_process_t *slot = request->slot;
    if (*status && atomic_load(&slot->unfit)) {
        stepped_back(atomic_load(&slot->reaper), request->whole);
        request->retried = true;
        if (request->fresh) *status = cohort__slot_refusal(slot);
        else cohort__launch_again(slot);
        return !request->fresh;
    }
    if (*status == COHORT_ESTART && request->retried &&
        cohort__process_state(slot) == COHORT__SLOT_FAILED) {
        cohort__launch_again(slot);
        return true;
    }
    if (*status != COHORT_EWORKERDIED) return false;
    forget_dead(atomic_load(&slot->reaper));
    if (cohort__claim_withdraw(slot)) return true;
    *status = await_served(slot);
    return *status && atomic_load(&slot->unfit) ? repeat(request, status) : false;
}

/* A server that died before a child claimed the slot is replaced. Taking the attempt back is one
 * compare-and-swap against the child's claim. */
apr_status_t cohort__server_launch(cohort_process_t *slot, bool *full) {
    apr_status_t status = COHORT_ESTART;
    request_t request = {.slot = slot};
    for (int i = 0; i < ATTEMPTS; i++) {
        status = send_request(&request, full);
        if (!status) status = await_served(slot);
        if (!repeat(&request, &status)) return status;
    }
    return status == COHORT_EWORKERDIED
               ? cohort__fail(COHORT_ESTART, "%d fork servers died at it, one after the other",
                              ATTEMPTS)
               : status;
}

/* Of one that is starting this concerns the child that has come as far as its claim. */
static bool may_be_watched(cohort_process_t *slot) {
    cohort__slot_state_t state = cohort__process_state(slot);
    if (state == COHORT__SLOT_STARTING) return cohort__process_os(slot).pid != 0;
    return state == COHORT__SLOT_RUNNING || state == COHORT__SLOT_DEAD;
}

/* A process with a living parent that has lost its server is that parent's. */
static bool is_orphan(cohort_process_t *slot, cohort__pid_t reaper, cohort__pid_t dead) {
    if (!reaper || slot == cohort__self() || cohort__process_alive(reaper, false)) return false;
    return reaper == dead || !cohort__process_alive(atomic_load(&slot->parent), false);
}

void cohort__orphans_adopt(cohort__pid_t dead) {
    uint32_t count = cohort__process_count();
    for (uint32_t i = 0; i < count; i++) {
        cohort_process_t *slot = cohort__process_at(i);
        cohort__pid_t reaper = atomic_load(&slot->reaper);
        if (is_orphan(slot, reaper, dead) && may_be_watched(slot)) adopt(slot, reaper);
    }
}

void cohort__server_lost(cohort_process_t *lost) {
    atomic_store(&lost->creator, 0);
    cohort__slot_release(lost);
}

/* All are told before the first is waited for. One that cannot be killed, since this process has
 * given up the right to do that, goes by itself or is left. */
void cohort__server_close(void) {
    cohort__pid_t ids[SERVERS_MAX];
    int n = 0;
    cohort_os_mutex_lock(&mutex);
    for (int i = 0; i < places(); i++) {
        if (!servers[i].slot) continue;
        ids[n++] = servers[i].id;
        (void)tell(&servers[i], TELL_END);
    }
    forget_all();
    cohort_os_mutex_unlock(&mutex);
    int64_t until = cohort__deadline(CLOSE_TIME);
    for (int i = 0; i < n; i++) {
        apr_status_t status = cohort__process_join(ids[i], (until - cohort_os_now()) / 1000);
        if (status) (void)cohort__process_signal(ids[i], COHORT_OS_KILL);
    }
}

void cohort__server_lock(void) {
    cohort_os_mutex_lock(&mutex);
}

void cohort__server_unlock(void) {
    cohort_os_mutex_unlock(&mutex);
}

void cohort__server_reset(void) {
    cohort_os_mutex_reset(&mutex);
    forget_all();
    is_subtle = false;
}

/* ---- the server ----------------------------------------------------------------------------- */

static cohort_process_t *me_slot;
static cohort_os_handle_t daemons_lifeline;
static cohort_os_handle_t maker = COHORT_OS_NONE; /* its watcher's channel */
static cohort_os_state_t made_for;
static bool retired, told_to_end;

bool cohort__is_server(void) {
    return me_slot != NULL;
}

static _Noreturn void be_child(cohort_process_t *slot, uint32_t attempt) {
    cohort_os_handle_t lifeline = daemons_lifeline;
    me_slot = NULL;
    cohort_os_close(maker);
    cohort__forked();
    cohort__child_main(slot, attempt, COHORT__BORN_SERVED, lifeline);
}

static apr_status_t fork_child(cohort_process_t *slot, uint32_t attempt) {
    /* until the child knows more */
    cohort_os_start_t start = {.how = COHORT_OS_FORK,
                               .signals = COHORT_OS_SIGNALS_INHERIT,
                               .group = (cohort_os_group_t)slot->group,
                               .contained = cohort__is_contained(slot)};
    cohort__watched_t *watched;
    cohort_os_id_t child;
    bool in_child = false, arms = slot->bound;
    apr_status_t status = cohort__watcher_reserve(&watched);
    if (status) return status;
    cohort__code_foresee(&slot->run);
    status = cohort_os_start(&start, &child, &in_child);
    if (!status && !in_child) {
        cohort_os_streams_drop();
        status = cohort__watcher_add(watched, slot, attempt, child, true);
        if (arms) cohort_os_lifeline_prepare(daemons_lifeline); /* for the next one */
        return status;
    }
    cohort__watcher_unreserve(watched);
    if (in_child) be_child(slot, attempt);
    return status;
}

/* In the child: be what the requester is. */
apr_status_t cohort__server_adopt(const cohort_process_t *slot) {
    bool same = !memcmp(slot->state.quick, made_for.quick, sizeof made_for.quick) &&
                !memcmp(slot->state.rest, made_for.rest, sizeof made_for.rest);
    return same ? cohort_os_state_adopt(&slot->state) : APR_FROM_OS_ERROR(EPERM);
}

static apr_status_t start_child(cohort_process_t *slot, uint32_t attempt,
                                cohort_os_event_t *event) {
    apr_status_t status = event->streams_status;
    if (!status) status = cohort_os_streams_take(&event->streams);
    if (!status) status = fork_child(slot, attempt);
    if (status) cohort_os_streams_drop();
    return status;
}

static void serve(cohort_os_event_t *event) {
    cohort_process_t *slot = cohort__process_find(event->value & 0xffffffffffff);
    uint64_t attempt = slot ? atomic_load(&slot->claim) >> 32 : 0;
    bool wanted = slot && cohort__process_state(slot) == COHORT__SLOT_STARTING &&
                  (attempt & 0xffff) == event->value >> 48;
    if (!wanted) cohort_os_streams_close(&event->streams);
    if (!wanted) return;
    retired = false;
    apr_status_t status = start_child(slot, (uint32_t)attempt, event);
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
            (slot->lifetime == COHORT_BACKGROUND && !all))
            continue;
        /* an orphan, which is only watched */
        if (atomic_load(&slot->parent) != atomic_load(&me_slot->parent)) continue;
        cohort__slot_state_t state = cohort__process_state(slot);
        if (state != COHORT__SLOT_RUNNING && state != COHORT__SLOT_STARTING &&
            state != COHORT__SLOT_DEAD)
            continue;
        if (kill && slot->bound) (void)cohort__process_signal(id, COHORT_OS_KILL);
        n++;
    }
    return n;
}

static void listen_to(const cohort_os_event_t *event) {
    cohort_os_streams_t streams = event->streams;
    switch (event->value >> 48) {
    case TELL_RETIRE:
        retired = true;
        break;
    case TELL_END:
        told_to_end = true;
        break;
    case TELL_MAKER:
        cohort_os_close(maker);
        maker = cohort_os_streams_keep(&streams) ? COHORT_OS_NONE : streams.handles[0];
        break;
    default:
        break;
    }
}

static bool other_event(cohort_os_event_t *event) {
    bool control = event->kind == COHORT_OS_MESSAGE && !(event->value & 0xffffffffffff);
    if (control) listen_to(event);
    else if (event->kind == COHORT_OS_MESSAGE) serve(event);
    return event->kind != COHORT_OS_GONE && !told_to_end &&
           !(retired && children(true, false) == 0);
}

/* Nobody will tell these in what context they are to run. */
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
    bool ended = cohort__process_bury(parent);
    if (slot && !ended) cohort__watcher_adopt(slot);
    for (;;) {
        ended = ended || told_to_end || cohort__process_bury(parent);
        if (ended) fail_starts();
        /* Others may record the end of a child too, so not every end is an event here. */
        if (children(!ended, ended) == 0) break;
        cohort__watcher_once(cohort__deadline(WIND_UP_LOOK));
    }
    cohort_os_exit(0, true);
}

/* Called by the watcher: a worker of a pool has ended, which only the pool's maker can replace. */
void cohort__server_tell(void) {
    (void)cohort_os_channel_post(maker, COHORT__WATCHER_TEND, NULL);
}

void cohort__server_main(cohort_process_t *slot, const cohort_os_boot_t *boot) {
    uint64_t open = (uint64_t)(boot->role >> 8) << 32;
    cohort_os_id_t os = cohort_os_self();
    if (!atomic_compare_exchange_strong(&slot->claim, &open, open | (uint64_t)os.pid))
        cohort_os_exit(255, false);
    slot->os = os;
    atomic_store(&slot->arena, (int64_t)cohort__map.handle);
    cohort__self_set(slot);
    cohort__threads_reset();
    cohort_os_signals_begin(COHORT_OS_SIGNALS_NO_INTERRUPT);
    cohort_os_group_leave();
    daemons_lifeline = boot->lifeline;
    me_slot = slot;
    made_for = slot->state;
    fflush(stdout); /* what the program wrote on its way here is nobody's */
    fflush(stderr);
    cohort_os_streams_drop();
    apr_status_t status = cohort_os_state_remember();
    if (!status) status = cohort__watcher_own(boot->channel);
    if (status) {
        cohort__slot_refuse(slot, status);
        cohort_os_exit(255, false);
    }
    if (!cohort__slot_step(slot, COHORT__SLOT_STARTING, COHORT__SLOT_RUNNING))
        cohort_os_exit(255, false);
    cohort__notify(&slot->changed, COHORT__ALL);
    cohort_os_lifeline_prepare(daemons_lifeline);
    cohort__watcher_loop(other_event);
    wind_up();
}
