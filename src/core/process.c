/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
#include "core/process.h"

#include "core/arena.h"
#include "core/pipe.h"

#include <apr_lib.h>
#include <apr_portable.h>
#include <apr_strings.h>
#include <cohort/pool.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

cohort_start_method_t cohort__default_method;

/* ---- making ----------------------------------------------------------------------------------------------------- */

apr_status_t cohort__method_resolve(cohort_start_method_t wanted, cohort_start_method_t *method) {
    if (wanted == COHORT_START_DEFAULT) wanted = cohort__default_method;
    if (wanted == COHORT_START_DEFAULT) wanted = cohort_os_fork_is_default() ? COHORT_FORKSERVER : COHORT_SPAWN;
    if (wanted < COHORT_FORK || wanted > COHORT_FORKSERVER) return APR_EINVAL;
    if (wanted != COHORT_SPAWN && !cohort_os_can_fork()) return APR_ENOTIMPL;
    *method = wanted;
    return APR_SUCCESS;
}

/* "1" for the root's first child, "1:2" for that one's second. */
static void identify(cohort_process_t *slot, const char *name) {
    cohort_process_t *parent = cohort__process_find(atomic_load(&slot->parent));
    char text[COHORT__NAME_MAX + 16];
    bool counts = slot->role == COHORT__ROLE_CHILD || slot->role == COHORT__ROLE_WORKER;
    unsigned n = parent && counts ? atomic_fetch_add(&parent->children, 1) + 1 : 0;
    const char *above = parent ? parent->identity : "";
    snprintf(text, sizeof text, "%s%s%u", above, *above ? ":" : "", n);
    apr_cpystrn(slot->identity, text, sizeof slot->identity);
    snprintf(text, sizeof text, "Process-%s", slot->identity);
    cohort__process_put_name(slot, name ? name : text);
}

static cohort_lifetime_t inherited(cohort_lifetime_t wanted) {
    cohort_process_t *self = cohort__self();
    if (wanted != COHORT_LIFETIME_DEFAULT) return wanted;
    return self && self->lifetime == COHORT_DAEMON ? COHORT_DAEMON : COHORT_FOREGROUND;
}

/* What a daemon starts and means to join must not outlive it either, when it is killed. */
static bool is_bound(cohort_lifetime_t lifetime) {
    cohort_process_t *self = cohort__self();
    return lifetime == COHORT_DAEMON || (lifetime == COHORT_FOREGROUND && self && self->bound);
}

apr_status_t cohort__process_make(cohort_process_t **made, cohort__role_t role, const char *name, cohort_lifetime_t lifetime,
                                  cohort_start_method_t method) {
    cohort__thread_t *me;
    apr_status_t status = cohort__enter(&me);
    if (status) return status;
    if (lifetime < COHORT_LIFETIME_DEFAULT || lifetime > COHORT_BACKGROUND) return APR_EINVAL;
    if (role != COHORT__ROLE_PROGRAM) status = cohort__method_resolve(method, &method);
    if (!status) status = cohort__slot_new(made);
    if (status) return status;
    cohort__children_made();
    (*made)->role = role;
    (*made)->lifetime = inherited(lifetime);
    (*made)->bound = is_bound((*made)->lifetime);
    (*made)->method = method;
    identify(*made, name);
    return APR_SUCCESS;
}

static apr_status_t close_with_pool(void *data) {
    cohort_process_t *slot = data;
    if (!cohort__arena || atomic_load(&slot->creator) != cohort__self_id()) return APR_SUCCESS;
    atomic_store(&slot->creator, 0);
    cohort__slot_release(slot);
    return APR_SUCCESS;
}

static apr_status_t give(cohort_process_t *slot, const cohort_process_options_t *o) {
    for (apr_size_t i = 0; i < o->n_connections; i++) {
        apr_status_t status = cohort__connection_hold(o->connections[i], cohort__process_id(slot));
        if (status) return status;
    }
    return APR_SUCCESS;
}

static apr_status_t abandon(cohort_process_t *slot, apr_status_t status) {
    atomic_store(&slot->creator, 0);
    cohort__slot_release(slot);
    return status;
}

/* The common end of the creating functions. */
static apr_status_t made(cohort_process_t *slot, const cohort_process_options_t *o, apr_pool_t *pool, cohort_process_t **process) {
    apr_status_t status = give(slot, o);
    if (status) return abandon(slot, status);
    if (pool) apr_pool_cleanup_register(pool, slot, close_with_pool, apr_pool_cleanup_null);
    *process = slot;
    return APR_SUCCESS;
}

static const cohort_process_options_t no_options;

static apr_status_t set_args(cohort_process_t *slot, const void *args, apr_size_t size) {
    cohort__thread_t *me;
    apr_status_t status = cohort__enter(&me);
    if (status || size == 0) return status;
    status = cohort__block_new(me, COHORT__KIND_BYTES, size, &slot->args);
    if (status) return status;
    memcpy(atomic_load(&slot->args), args, size);
    slot->args_size = size;
    return APR_SUCCESS;
}

static apr_status_t make_child(cohort_process_t **slot, const cohort_process_options_t *o, const void *args, apr_size_t size,
                               cohort__function_t run) {
    apr_status_t status = cohort__process_make(slot, COHORT__ROLE_CHILD, o->name, o->lifetime, o->method);
    if (status) return status;
    status = set_args(*slot, args, size);
    if (!status) status = cohort__code_find(run, &(*slot)->run);
    return status ? abandon(*slot, status) : APR_SUCCESS;
}

apr_status_t cohort_process_create(cohort_process_t **process, cohort_target_t target, const void *args, apr_size_t args_size,
                                   const cohort_process_options_t *options, apr_pool_t *pool) {
    const cohort_process_options_t *o = options ? options : &no_options;
    cohort_process_t *slot;
    if (!process || !target || (!args && args_size) || (!o->connections && o->n_connections)) return APR_EINVAL;
    apr_status_t status = make_child(&slot, o, args, args_size, (cohort__function_t)target);
    return status ? status : made(slot, o, pool, process);
}

apr_status_t cohort_process_create_object(cohort_process_t **process, const cohort_process_base_t *self,
                                          const cohort_process_options_t *options, apr_pool_t *pool) {
    const cohort_process_options_t *o = options ? options : &no_options;
    cohort_process_t *slot;
    if (!process || !self || !self->run || self->size < sizeof *self) return APR_EINVAL;
    if (!o->connections && o->n_connections) return APR_EINVAL;
    apr_status_t status = make_child(&slot, o, self, self->size, (cohort__function_t)self->run);
    if (status) return status;
    slot->subclass = 1;
    status = cohort__code_find((cohort__function_t)self->on_start, &slot->on_start);
    if (!status) status = cohort__code_find((cohort__function_t)self->on_exit, &slot->on_exit);
    return status ? abandon(slot, status) : made(slot, o, pool, process);
}

apr_status_t cohort_process_create_program(cohort_process_t **process, cohort_program_t *program,
                                           const cohort_process_options_t *options, apr_pool_t *pool) {
    const cohort_process_options_t *o = options ? options : &no_options;
    cohort_process_t *slot;
    if (!process || !program || !program->argv || !program->argv[0] || !*program->argv[0]) return APR_EINVAL;
    for (int i = 0; i < 3; i++) {
        const cohort_stream_t *s = &program->streams[i];
        if (s->kind < COHORT_STREAM_INHERIT || s->kind > COHORT_STREAM_PIPE) return APR_EINVAL;
        if ((s->kind == COHORT_STREAM_PIPE && !pool) || (s->kind == COHORT_STREAM_FILE && !s->file)) return APR_EINVAL;
    }
    const char *name = o->name ? o->name : apr_filepath_name_get(program->argv[0]);
    apr_status_t status = cohort__process_make(&slot, COHORT__ROLE_PROGRAM, name, o->lifetime, COHORT_SPAWN);
    if (status) return status;
    slot->program = program;
    slot->program_pool = pool;
    return made(slot, o, pool, process);
}

/* ---- lifeline ---------------------------------------------------------------------------------------------------------- */

static cohort_os_mutex_t lifeline_mutex;
static bool lifeline_made;
static cohort_os_handle_t lifeline_reader, lifeline_keeper;

apr_status_t cohort__lifeline(cohort_os_handle_t *reader) {
    apr_status_t status = APR_SUCCESS;
    cohort_os_mutex_lock(&lifeline_mutex);
    if (!lifeline_made) status = cohort_os_lifeline_create(&lifeline_reader, &lifeline_keeper);
    if (!status) {
        lifeline_made = true;
        *reader = lifeline_reader;
    }
    cohort_os_mutex_unlock(&lifeline_mutex);
    return status;
}

void cohort__lifeline_close(void) {
    if (!lifeline_made) return;
    lifeline_made = false;
    cohort_os_close(lifeline_keeper);
    cohort_os_close(lifeline_reader);
}

static void fork_lock(void) {
    cohort__server_lock();
    cohort_os_mutex_lock(&lifeline_mutex);
}

static void fork_unlock(void) {
    cohort_os_mutex_unlock(&lifeline_mutex);
    cohort__server_unlock();
}

/* The reader stays open: this may be a child that is about to arm it. */
void cohort__lifeline_reset(void) {
    cohort_os_mutex_reset(&lifeline_mutex);
    if (lifeline_made) cohort_os_close(lifeline_keeper);
    lifeline_made = false;
}

/* ---- starting ------------------------------------------------------------------------------------------------------------ */

typedef struct {
    cohort_process_t *slot;
    const cohort_os_id_t *child;
    int dead_looks;
} takeoff_t;

/* Nobody has claimed the slot yet. Can somebody still? */
static apr_status_t check_unclaimed(takeoff_t *t) {
    if (t->child) {
        /* This process' watcher will see its end, and the exit code says why; unless the watcher itself is waiting here, or for whoever does. */
        if (!cohort_os_alive(*t->child) && t->dead_looks++ > 0) cohort__process_ended(t->slot, COHORT_EXIT_NONE);
        return APR_EAGAIN;
    }
    return cohort__process_alive(atomic_load(&t->slot->reaper), true) ? APR_EAGAIN : COHORT_EWORKERDIED;
}

static apr_status_t try_takeoff(void *arg, bool thorough) {
    takeoff_t *t = arg;
    if (cohort__process_state(t->slot) != COHORT__SLOT_STARTING) return APR_SUCCESS;
    if (!thorough) return APR_EAGAIN;
    int64_t pid = (int64_t)(atomic_load(&t->slot->claim) & 0xffffffff);
    if (pid == 0) return check_unclaimed(t);
    if (cohort_os_alive((cohort_os_id_t){pid, 0})) return APR_EAGAIN;
    cohort__process_ended(t->slot, COHORT_EXIT_NONE); /* this makes the start a failed one */
    return APR_EAGAIN;
}

apr_status_t cohort__await_takeoff(cohort_process_t *slot, const cohort_os_id_t *child) {
    takeoff_t t = {slot, child, 0};
    apr_status_t status = cohort__await(&slot->changed, try_takeoff, &t, COHORT_OS_NEVER);
    bool failed = !status && cohort__process_state(slot) == COHORT__SLOT_FAILED;
    return failed ? atomic_load(&slot->start_status) : status; /* which may be any, what cohort__await() goes on at too */
}

apr_status_t cohort__launch_failed(cohort_process_t *slot, apr_status_t status) {
    if (!cohort__slot_step(slot, COHORT__SLOT_FAILED, COHORT__SLOT_NEW)) cohort__slot_step(slot, COHORT__SLOT_STARTING, COHORT__SLOT_NEW);
    return status;
}


apr_status_t cohort__watch_takeoff(cohort_process_t *slot, cohort_os_id_t child, cohort__watched_t *watched) {
    int code;
    apr_status_t status = cohort__watcher_add(watched, slot, child, true);
    if (!status) return cohort__await_takeoff(slot, &child);
    (void)cohort_os_signal(child, COHORT_OS_KILL);
    while (APR_STATUS_IS_EAGAIN(cohort_os_reap(child, &code))) cohort_os_yield();
    cohort__slot_step(slot, COHORT__SLOT_RUNNING, COHORT__SLOT_STARTING);
    cohort__process_ended(slot, COHORT_EXIT_NONE);
    return status;
}

apr_status_t cohort__reexec(cohort_process_t *slot, cohort_os_boot_t *boot, cohort_os_id_t *child) {
    char name[COHORT__NAME_MAX];
    cohort_os_start_t start = {.how = COHORT_OS_REEXEC, .boot = boot, .path = cohort__executable(), .name = name,
                               .stdio = {COHORT_OS_NONE, COHORT_OS_NONE, COHORT_OS_NONE}, .lifeline = COHORT_OS_NONE};
    bool in_child;
    cohort__process_get_name(slot, name, sizeof name);
    start.detach = slot->lifetime == COHORT_BACKGROUND;
    boot->version = COHORT_OS_BOOT_VERSION;
    boot->role = slot->role | cohort__process_attempt(slot) << 8;
    boot->slot = cohort__process_id(slot);
    boot->base = (uint64_t)(uintptr_t)cohort__map.base;
    boot->size = cohort__map.size;
    boot->arena = cohort__map.handle;
    return cohort_os_start(&start, child, &in_child);
}

static apr_status_t launch_spawn(cohort_process_t *slot, cohort_os_handle_t lifeline) {
    cohort_os_boot_t boot = {.lifeline = lifeline, .channel = COHORT_OS_NONE};
    cohort__watched_t *watched;
    cohort_os_id_t child;
    atomic_store(&slot->reaper, cohort__self_id());
    apr_status_t status = cohort__watcher_reserve(&watched);
    if (status) return status;
    status = cohort__reexec(slot, &boot, &child);
    if (!status) return cohort__watch_takeoff(slot, child, watched);
    cohort__watcher_unreserve(watched);
    return status;
}

static apr_status_t launch_fork(cohort_process_t *slot, cohort_os_handle_t lifeline) {
    cohort_os_start_t start = {.how = COHORT_OS_FORK};
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
        cohort__forked();
        cohort__watcher_unreserve(watched);
        cohort__child_main(slot, attempt, COHORT__BORN_FORK, lifeline);
    }
    fork_unlock();
    if (!status) return cohort__watch_takeoff(slot, child, watched);
    cohort__watcher_unreserve(watched);
    return status;
}

static apr_status_t launch_by(cohort_process_t *slot) {
    cohort_os_handle_t lifeline = COHORT_OS_NONE;
    if (slot->method == COHORT_FORKSERVER) return cohort__server_launch(slot);
    if (slot->bound) {
        apr_status_t status = cohort__lifeline(&lifeline);
        if (status) return status;
    }
    return slot->method == COHORT_SPAWN ? launch_spawn(slot, lifeline) : launch_fork(slot, lifeline);
}

apr_status_t cohort__process_launch(cohort_process_t *slot) {
    if (!cohort__slot_step(slot, COHORT__SLOT_NEW, COHORT__SLOT_STARTING)) return COHORT_ESTARTED;
    cohort__slot_settle(slot);
    atomic_store(&slot->claim, cohort__claim_next(atomic_load(&slot->claim)));
    atomic_store(&slot->start_status, APR_SUCCESS);
    atomic_store(&slot->exit_code, COHORT_EXIT_NONE);
    atomic_store(&slot->repaired, 0);
    atomic_store(&slot->awaited, !cohort__is_server());
    apr_status_t status = cohort__is_server() ? cohort__server_fork(slot) : launch_by(slot);
    return status ? cohort__launch_failed(slot, status) : APR_SUCCESS;
}

/* ---- starting a program --------------------------------------------------------------------------------------------------- */

/* The child's end of each stream; what was opened for it is closed after the start, whatever came of it. */
typedef struct {
    cohort_os_handle_t child[3], parent[3];
    bool opened[3];
} streams_t;

static apr_status_t open_stream(const cohort_stream_t *stream, int i, streams_t *s) {
    apr_os_file_t file;
    apr_status_t status = APR_SUCCESS;
    switch (stream->kind) {
    case COHORT_STREAM_NULL:
        status = cohort_os_null_open(&s->child[i]);
        break;
    case COHORT_STREAM_FILE:
        status = apr_os_file_get(&file, stream->file);
        if (!status) s->child[i] = (cohort_os_handle_t)file;
        return status;
    case COHORT_STREAM_PIPE:
        status = i == 0 ? cohort_os_pipe_create(&s->child[i], &s->parent[i]) : cohort_os_pipe_create(&s->parent[i], &s->child[i]);
        break;
    default:
        return APR_SUCCESS;
    }
    s->opened[i] = !status;
    return status;
}

static void close_streams(streams_t *s, bool failed) {
    for (int i = 0; i < 3; i++) {
        if (s->opened[i]) cohort_os_close(s->child[i]);
        if (failed && s->parent[i] != COHORT_OS_NONE) cohort_os_close(s->parent[i]);
    }
}

/* The parents' ends become files of the caller's pool. */
static apr_status_t hand_over(cohort_program_t *program, streams_t *s, apr_pool_t *pool) {
    for (int i = 0; i < 3; i++) {
        if (s->parent[i] == COHORT_OS_NONE) continue;
        apr_os_file_t file = (apr_os_file_t)s->parent[i];
        apr_status_t status = apr_os_pipe_put_ex(&program->streams[i].file, &file, 1, pool);
        if (status) return status;
    }
    return APR_SUCCESS;
}

static void program_runs(cohort_process_t *slot, cohort_os_id_t child, cohort__watched_t *watched) {
    slot->os = child;
    atomic_store(&slot->reaper, cohort__self_id());
    cohort__slot_step(slot, COHORT__SLOT_STARTING, COHORT__SLOT_RUNNING);
    if (!cohort__watcher_add(watched, slot, child, true)) return;
    atomic_store(&slot->reaper, 0); /* whoever waits for its end finds it himself */
    cohort_os_signal(child, COHORT_OS_KILL);
}

static apr_status_t exec_program(cohort_process_t *slot, const cohort_program_t *program, const streams_t *s) {
    cohort_os_start_t start = {.how = COHORT_OS_PROGRAM, .path = program->argv[0], .argv = program->argv, .env = program->env,
                               .cwd = program->cwd, .stdio = {s->child[0], s->child[1], s->child[2]},
                               .lifeline = COHORT_OS_NONE, .detach = slot->lifetime == COHORT_BACKGROUND};
    cohort__watched_t *watched;
    cohort_os_id_t child;
    bool in_child;
    apr_status_t status = slot->bound ? cohort__lifeline(&start.lifeline) : APR_SUCCESS;
    if (!status) status = cohort__watcher_reserve(&watched);
    if (status) return status;
    status = cohort_os_start(&start, &child, &in_child);
    if (status) cohort__watcher_unreserve(watched);
    else program_runs(slot, child, watched);
    return status;
}

static apr_status_t launch_program(cohort_process_t *slot) {
    cohort_program_t *program = slot->program;
    streams_t s = {{COHORT_OS_NONE, COHORT_OS_NONE, COHORT_OS_NONE}, {COHORT_OS_NONE, COHORT_OS_NONE, COHORT_OS_NONE}, {false}};
    apr_status_t status = APR_SUCCESS;
    if (!cohort__slot_step(slot, COHORT__SLOT_NEW, COHORT__SLOT_STARTING)) return COHORT_ESTARTED;
    for (int i = 0; i < 3 && !status; i++) status = open_stream(&program->streams[i], i, &s);
    if (!status) status = exec_program(slot, program, &s);
    close_streams(&s, status != APR_SUCCESS);
    if (status) return cohort__launch_failed(slot, status);
    return hand_over(program, &s, slot->program_pool);
}

apr_status_t cohort_process_start(cohort_process_t *process) {
    cohort__thread_t *me;
    apr_status_t status = cohort__process_check(process);
    if (!status) status = cohort__enter(&me);
    if (status) return status;
    if (cohort__process_state(process) != COHORT__SLOT_NEW) return COHORT_ESTARTED;
    if (atomic_load(&process->creator) != cohort__self_id()) return COHORT_ENOTOWNER;
    return process->role == COHORT__ROLE_PROGRAM ? launch_program(process) : cohort__process_launch(process);
}

/* ---- asking --------------------------------------------------------------------------------------------------------------- */

typedef struct {
    cohort_process_t *slot;
    cohort__pid_t id;
} join_t;

static apr_status_t try_join(void *arg, bool thorough) {
    join_t *j = arg;
    cohort_process_t *slot = cohort__process_find(j->id);
    if (!slot || cohort__process_state(slot) == COHORT__SLOT_ENDED) return APR_SUCCESS;
    if (thorough) cohort__process_bury(j->id);
    slot = cohort__process_find(j->id);
    return !slot || cohort__process_state(slot) == COHORT__SLOT_ENDED ? APR_SUCCESS : APR_EAGAIN;
}

static bool is_started(const cohort_process_t *process) {
    return cohort__process_state(process) >= COHORT__SLOT_RUNNING;
}

/* The parent's record may be another process' by the time a child asks; the child remembers which one it was. */
static bool is_gone_parent(const cohort_process_t *process) {
    cohort_process_t *self = cohort__self();
    if (!self || !process) return false;
    cohort__pid_t parent = atomic_load(&self->parent);
    return parent && process == cohort__process_at((uint32_t)(parent & 0xffff)) && !cohort__process_find(parent);
}

apr_status_t cohort_process_join(cohort_process_t *process, apr_interval_time_t timeout) {
    if (is_gone_parent(process)) return APR_SUCCESS;
    apr_status_t status = cohort__process_check(process);
    if (status) return status;
    if (!cohort__self()) return COHORT_ENOTMEMBER;
    if (process == cohort__self()) return COHORT_ENOWAIT;
    join_t j = {process, cohort__process_id(process)};
    if (!is_started(process)) return COHORT_ENOTSTARTED;
    int64_t deadline = cohort__deadline(timeout);
    cohort__watcher_assist(&process, 1, deadline);
    return cohort__await(&process->changed, try_join, &j, deadline);
}

int cohort_process_is_alive(const cohort_process_t *process) {
    if (cohort__process_check(process) || is_gone_parent(process)) return 0;
    if (cohort__process_state(process) != COHORT__SLOT_RUNNING) return 0;
    return cohort__process_alive(cohort__process_id(process), true);
}

int cohort_process_exit_code(const cohort_process_t *process) {
    cohort_process_t *slot = (cohort_process_t *)process;
    if (is_gone_parent(process)) return COHORT_EXIT_UNKNOWN;
    if (cohort__process_check(process)) return COHORT_EXIT_NONE;
    if (cohort__process_state(process) != COHORT__SLOT_ENDED) return COHORT_EXIT_NONE;
    return atomic_load(&slot->exit_code);
}

apr_int64_t cohort_process_pid(const cohort_process_t *process) {
    return is_gone_parent(process) || cohort__process_check(process) || !is_started(process) ? 0 : process->os.pid;
}

apr_status_t cohort_process_name(const cohort_process_t *process, char *buffer, apr_size_t size) {
    apr_status_t status = is_gone_parent(process) ? COHORT_EHANDLE : cohort__process_check(process);
    if (status) return status;
    if (!buffer || size == 0) return APR_EINVAL;
    cohort__process_get_name(process, buffer, size);
    return APR_SUCCESS;
}

apr_status_t cohort_process_set_name(cohort_process_t *process, const char *name) {
    cohort__thread_t *me;
    apr_status_t status = cohort__process_check(process);
    if (!status && (!name || !*name)) status = APR_EINVAL;
    if (!status) status = cohort__enter(&me);
    if (status) return status;
    cohort__guard_enter(&process->guard, me);
    cohort__process_put_name(process, name);
    cohort__guard_leave(&process->guard);
    if (process == cohort__self()) cohort_os_set_name(name);
    return APR_SUCCESS;
}

int cohort_process_is_daemon(const cohort_process_t *process) {
    return !cohort__process_check(process) && process->lifetime == COHORT_DAEMON;
}

/* Under the guard that the reaper holds while it releases the pid, so the pid is still this process. */
static apr_status_t send_signal(cohort_process_t *process, cohort_os_signal_t signal) {
    cohort__thread_t *me;
    if (is_gone_parent(process)) return APR_SUCCESS;
    apr_status_t status = cohort__process_check(process);
    if (!status) status = cohort__enter(&me);
    if (status) return status;
    if (!is_started(process)) return COHORT_ENOTSTARTED;
    cohort__guard_enter(&process->guard, me);
    if (cohort__process_state(process) == COHORT__SLOT_RUNNING) status = cohort_os_signal(process->os, signal);
    cohort__guard_leave(&process->guard);
    return status == APR_FROM_OS_ERROR(ESRCH) ? APR_SUCCESS : status; /* ended, and not recorded yet */
}

apr_status_t cohort_process_terminate(cohort_process_t *process) {
    return send_signal(process, COHORT_OS_TERMINATE);
}

apr_status_t cohort_process_kill(cohort_process_t *process) {
    return send_signal(process, COHORT_OS_KILL);
}

apr_status_t cohort_process_interrupt(cohort_process_t *process) {
    return send_signal(process, COHORT_OS_INTERRUPT);
}

apr_status_t cohort_process_stop(cohort_process_t *process, apr_interval_time_t grace) {
    if (process && process == cohort__self()) return COHORT_ENOWAIT;
    apr_status_t status = cohort_process_terminate(process);
    if (status) return status;
    status = cohort_process_join(process, grace);
    if (!APR_STATUS_IS_EAGAIN(status) && !APR_STATUS_IS_TIMEUP(status)) return status;
    status = cohort_process_kill(process);
    return status ? status : cohort_process_join(process, COHORT_FOREVER);
}

apr_status_t cohort_process_close(cohort_process_t *process) {
    if (!process) return APR_SUCCESS;
    apr_status_t status = cohort__process_check(process);
    if (status) return status == COHORT_EHANDLE && cohort__in_arena(process, sizeof *process) ? APR_SUCCESS : status;
    if (atomic_load(&process->creator) != cohort__self_id()) return COHORT_ENOTOWNER;
    cohort__slot_state_t state = cohort__process_state(process);
    if (state != COHORT__SLOT_NEW && state != COHORT__SLOT_ENDED) return COHORT_ERUNNING;
    atomic_store(&process->creator, 0);
    cohort__slot_release(process);
    return APR_SUCCESS;
}

cohort_process_t *cohort_process_current(void) {
    return cohort__self();
}

cohort_process_t *cohort_process_parent(void) {
    cohort_process_t *self = cohort__self();
    cohort__pid_t parent = self ? atomic_load(&self->parent) : 0;
    return parent ? cohort__process_at((uint32_t)(parent & 0xffff)) : NULL;
}

static bool is_active_child(cohort_process_t *slot) {
    return slot->role != COHORT__ROLE_SERVER && atomic_load(&slot->parent) == cohort__self_id() &&
           cohort__process_state(slot) == COHORT__SLOT_RUNNING && cohort__process_alive(cohort__process_id(slot), true);
}

apr_status_t cohort_process_active_children(cohort_process_t ***list, int *count, apr_pool_t *pool) {
    if (!list || !count || !pool) return APR_EINVAL;
    if (!cohort__arena) return COHORT_ENOTINIT;
    if (!cohort__self()) return COHORT_ENOTMEMBER;
    uint32_t all = cohort__process_count();
    cohort_process_t **found = apr_palloc(pool, all * sizeof(cohort_process_t *));
    int n = 0;
    for (uint32_t i = 0; i < all; i++) {
        if (is_active_child(cohort__process_at(i))) found[n++] = cohort__process_at(i);
    }
    *list = found;
    *count = n;
    return APR_SUCCESS;
}

int cohort_cpu_count(void) {
    return cohort_os_cpu_count();
}
