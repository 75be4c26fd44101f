/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Fork servers, from the side of the process that is served: it makes them, asks them for children,
 * and ends them. server.c says what a server is.
 *
 * A request goes to a server that was made in the state in which the requesting thread is. The
 * states that it compares are distinguished by few system calls, unless a child has stepped back:
 * then by all. What a server cannot know, since it changes from start to start, goes with the
 * request or is written into the slot while the server forks. A server that dies before a child has
 * claimed the slot is replaced by another one: taking the attempt back is one compare-and-swap
 * against the claim.
 */
#include "core/process/server.h"

#include "core/base/fail.h"
#include "core/memory/alloc.h"
#include "core/process/streams.h"

#include <stdlib.h>
#include <string.h>

#define SERVERS_MAX 8
#define ATTEMPTS    5
#define CLOSE_TIME  2000000 /* microseconds that servers get to go by themselves */

typedef struct {
    cohort_process_t *slot; /* NULL: none */
    cohort__pid_t id;
    cohort_os_known_t channel;
    cohort_os_state_t state; /* of the thread that made it */
    bool unfit;              /* has been found not to be what its state says */
    bool retired;            /* has been asked to end with its last child */
    uint32_t posted;         /* requests so far */
    void *context;           /* what it took over from us when it was started */
    size_t context_size;
} server_t;

static cohort_os_mutex_t mutex;
static server_t *servers; /* SERVERS_MAX of them, once one is wanted */
static bool is_subtle;    /* the quick part of a state has been seen not to be enough */

/* Which process is to be started in which state. */
typedef struct {
    cohort_process_t *slot;
    cohort_os_state_t state;
    bool whole;   /* the whole state is known, not only its quick part */
    bool another; /* it is that of another thread: the caller itself can make no server for it */
    server_t *server;
    bool fresh;   /* which was made for this */
    bool retried; /* a child has stepped back */
} request_t;

static void forget_server(server_t *server) {
    void *context = server->context;
    if (!server->slot) return;
    server->slot = NULL; /* first: a fork in another thread may copy this at any point */
    server->context = NULL;
    cohort_os_close_known(&server->channel);
    free(context);
}

static int places(void) { return servers ? SERVERS_MAX : 0; }

static void forget_all(void) {
    for (int i = 0; i < places(); i++) forget_server(&servers[i]);
}

static apr_status_t spawn_server(cohort_process_t *slot, cohort_os_handle_t reader) {
    cohort_os_boot_t boot = {.channel = reader};
    cohort_os_streams_t streams = {{COHORT_OS_NULL, COHORT_OS_NULL, COHORT_OS_NULL}};
    cohort__watched_t *watched;
    cohort_os_id_t child;
    apr_status_t status = cohort__lifeline(&boot.lifeline);
    if (status) return status;
    status = cohort__reexec(slot, &boot, &streams, &child, &watched);
    return status ? status : cohort__watch_until_running(slot, child, watched);
}

/* Another thread may have changed meanwhile what this one is: then it is not known what the server
 * is. */
static apr_status_t confirm(const cohort_os_state_t *before) {
    cohort_os_state_t now;
    apr_status_t status = cohort_os_state_look(COHORT_OS_LOOK_THREAD, &now, NULL);
    bool same = !memcmp(now.quick, before->quick, sizeof now.quick) &&
                !memcmp(now.rest, before->rest, sizeof now.rest);
    return status || same ? status : COHORT_EWORKERDIED;
}

static apr_status_t start_process(cohort_process_t *slot, cohort_os_handle_t *channel,
                                  const cohort_os_state_t *state) {
    cohort_os_handle_t reader;
    apr_status_t status = cohort_os_pipe_create(COHORT_OS_PIPE_MESSAGES, &reader, channel);
    if (status) return status;
    (void)cohort__attempt_begin(slot, true);
    slot->state = *state;
    status = spawn_server(slot, reader);
    cohort_os_close(reader);
    if (!status) return APR_SUCCESS;
    cohort_os_close(*channel);
    return cohort__attempt_failed(slot, status);
}

/* It learns through which channel it can notify this process' watcher. */
static apr_status_t introduce(server_t *server) {
    cohort_os_streams_t back = {{cohort__watcher_channel(), COHORT_OS_NONE, COHORT_OS_NONE}};
    return back.handles[0] == COHORT_OS_NONE
               ? APR_SUCCESS
               : cohort_os_channel_post(server->channel.handle,
                                        cohort__server_control(COHORT__TELL_MAKER), &back);
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
                                      COHORT_LIFETIME_DAEMON, COHORT_START_SPAWN);
    if (status) goto no_slot;
    made.id = cohort__process_id(made.slot); /* at once, while it is held */
    status = start_process(made.slot, &writer, &made.state);
    if (status) goto no_server;
    made.channel = cohort_os_know(writer);
    *server = made;
    is_subtle |= made.state.subtle;
    status = confirm(&made.state);
    if (!status && introduce(server)) status = COHORT_EWORKERDIED;
    if (status) server->unfit = true;
    return status;

no_server:
    status = cohort__explain(status, "start a fork server for what this thread is now");
    cohort__slot_let_go(made.id);
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
static apr_status_t look_at_state(request_t *request, void **context, size_t *size) {
    if (!request->slot->given) return cohort__context_capture(context, size, &request->state);
    return request->whole ? APR_SUCCESS
                          : cohort_os_state_look(COHORT_OS_LOOK_THREAD, &request->state, NULL);
}

/* While the server forks. The start may be over meanwhile, and the slot another's: this process
 * need not be the parent. */
static void tell_context(request_t *request, cohort__pid_t id, uint32_t attempt) {
    cohort_process_t *slot = request->slot;
    cohort__thread_t *me;
    void *context = NULL;
    size_t size = 0;
    if (cohort__enter(&me)) return; /* which was done before, so it works */
    apr_status_t status = look_at_state(request, &context, &size);
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

static apr_status_t post_request(request_t *request, const cohort_os_streams_t *streams) {
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
    apr_status_t status = cohort_os_channel_post(server->channel.handle,
                                                 cohort__server_request(attempt, id), streams);
    if (!status) tell_context(request, id, attempt);
    if (!status || status == APR_ENOMEM) return status;
    forget_server(server);
    return COHORT_EWORKERDIED; /* of the server: try again */
}

static bool is_right(const server_t *server, const request_t *request) {
    if (server->unfit || !cohort_os_state_same_quick(&server->state, &request->state)) return false;
    return !request->whole || cohort_os_state_same(&server->state, &request->state);
}

/* False: not now. */
static bool tell_server(server_t *server, cohort__tell_t what) {
    if (!cohort_os_is_known(&server->channel)) return true;
    uint64_t message = cohort__server_control(what);
    return cohort_os_channel_post(server->channel.handle, message, NULL) != APR_ENOMEM;
}

/* One that is right; the others learn that they are not. That one is dead is found by posting
 * to it. */
static void choose(request_t *request, server_t **free_place) {
    request->server = *free_place = NULL;
    if (!servers) servers = calloc(SERVERS_MAX, sizeof *servers);
    for (int i = 0; i < places(); i++) {
        server_t *server = &servers[i];
        bool right = server->slot && !request->server && is_right(server, request);
        if (server->slot && (!cohort__process_alive(server->id, false) ||
                             (right && !cohort_os_is_known(&server->channel))))
            forget_server(server);
        if (!server->slot) *free_place = server;
        else if (right) request->server = server;
        else if (!server->retired) server->retired = tell_server(server, COHORT__TELL_RETIRE);
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
            "the first thread of this process is not what the thread is that replaces workers, "
            "and no fork server of its own lives");
    }
    if (request->fresh && !place) {
        *full = true;
        return COHORT_ELIMIT;
    }
    if (request->fresh) {
        status = start_server(place, &request->state);
        request->server = place;
    }
    return status ? status : post_request(request, streams);
}

static apr_status_t send_request(request_t *request, bool *full) {
    cohort_os_streams_t streams = cohort_os_facts()->streams;
    apr_status_t status = APR_SUCCESS;
    (void)cohort__given_streams(request->slot->given, &streams);
    if (request->slot->streams) streams = cohort__streams_whole(request->slot);
    if (request->slot->replaces) status = cohort__maker_look(&request->state, &request->another);
    else status = cohort_os_state_look(COHORT_OS_LOOK_QUICK, &request->state, NULL);
    request->whole = request->slot->replaces;
    if (status) return status;
    cohort_os_mutex_lock(&mutex);
    if (is_subtle && !request->whole) {
        status = cohort_os_state_look(COHORT_OS_LOOK_THREAD, &request->state, NULL);
        request->whole = true;
    }
    if (!status) status = serve_request(request, &streams, full);
    cohort_os_mutex_unlock(&mutex);
    return status;
}

/* If its server is dead by now, its children may have been adopted before this one was to be
 * seen. */
static apr_status_t await_served(cohort_process_t *slot) {
    apr_status_t status = cohort__await_running(slot, NULL);
    cohort__pid_t reaper = atomic_load(&slot->reaper);
    if (!status && reaper != cohort__self_id() && !cohort__process_alive(reaper, false))
        cohort__orphan_adopt(slot, reaper);
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
        if (dead) forget_server(&servers[i]);
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
        else cohort__attempt_again(slot);
        return !request->fresh;
    }
    if (*status == COHORT_ESTART && request->retried &&
        cohort__process_state(slot) == COHORT__SLOT_FAILED) {
        cohort__attempt_again(slot);
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

/* All are asked before the first is waited for. One that cannot be killed, since this process has
 * given up the right to do that, goes by itself or is left. */
void cohort__server_close(void) {
    cohort__pid_t ids[SERVERS_MAX];
    int n = 0;
    cohort_os_mutex_lock(&mutex);
    for (int i = 0; i < places(); i++) {
        if (!servers[i].slot) continue;
        ids[n++] = servers[i].id;
        (void)tell_server(&servers[i], COHORT__TELL_END);
    }
    forget_all();
    cohort_os_mutex_unlock(&mutex);
    int64_t until = cohort__deadline(CLOSE_TIME);
    for (int i = 0; i < n; i++) {
        apr_status_t status = cohort__process_join(ids[i], (until - cohort_os_now()) / 1000);
        if (status) (void)cohort__process_signal(ids[i], COHORT_OS_KILL);
    }
}

void cohort__server_lock(void) { cohort_os_mutex_lock(&mutex); }

void cohort__server_unlock(void) { cohort_os_mutex_unlock(&mutex); }

void cohort__server_reset(void) {
    cohort_os_mutex_reset(&mutex);
    forget_all();
    is_subtle = false;
}
