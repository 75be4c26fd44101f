/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
#include "core/process/process.h"

#include "core/memory/arena.h"
#include "core/memory/upward.h"
#include "core/object/pipe.h"

#include <apr_lib.h>
#include <apr_portable.h>
#include <apr_strings.h>
#include <cohort/pool.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static cohort_start_method_t default_start; /* DEFAULT: the system's */
static char *executable;                     /* what spawn re-executes; NULL: the own executable */

/* ---- making --------------------------------------------------------------------------------- */

static apr_status_t privileged(void) {
    return cohort__fail(
        COHORT_EPRIVILEGED,
        "a child that runs the program anew would be privileged itself, and so take nothing from its environment; use the method fork");
}

/* Where a re-executed child would not believe its boot block, fork is all there is. */
static cohort_start_method_t default_method(void) {
    if (cohort_os_facts()->can_fork && !cohort_os_facts()->can_reexec) return COHORT_FORK;
    return cohort_os_facts()->fork_is_default ? COHORT_FORKSERVER : COHORT_SPAWN;
}

apr_status_t cohort__method_resolve(cohort_start_method_t wanted, cohort_start_method_t *method) {
    if (wanted == COHORT_START_DEFAULT) wanted = default_start;
    if (wanted == COHORT_START_DEFAULT) wanted = default_method();
    if (wanted < COHORT_FORK || wanted > COHORT_FORKSERVER)
        return cohort__fail(APR_EINVAL, "method is %d", (int)wanted);
    if (wanted != COHORT_SPAWN && !cohort_os_facts()->can_fork)
        return cohort__fail(APR_ENOTIMPL, "this system has no fork, only the method spawn");
    if (wanted != COHORT_FORK && !cohort_os_facts()->can_reexec) return privileged();
    *method = wanted;
    return APR_SUCCESS;
}

apr_status_t cohort__start_by(cohort_start_method_t method, const char *path) {
    cohort_start_method_t resolved;
    apr_status_t status = method ? cohort__method_resolve(method, &resolved) : APR_SUCCESS;
    if (status) return status;
    char *copy = path ? strdup(path) : NULL;
    if (path && !copy) return cohort__fail(APR_ENOMEM, "noting the executable");
    if (path) {
        free(executable);
        executable = copy;
    }
    if (method) default_start = resolved;
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

apr_status_t cohort__process_make(cohort_process_t **made, cohort__role_t role, const char *name,
                                  cohort_lifetime_t lifetime, cohort_start_method_t method) {
    cohort__thread_t *me;
    apr_status_t status = cohort__enter(&me);
    if (status) return status;
    if (lifetime < COHORT_LIFETIME_DEFAULT || lifetime > COHORT_BACKGROUND)
        return cohort__fail(APR_EINVAL, "lifetime is %d", (int)lifetime);
    if (role != COHORT__ROLE_PROGRAM) status = cohort__method_resolve(method, &method);
    if (!status) status = cohort__slot_new(made);
    if (status) return status;
    cohort__children_made();
    (*made)->role = role;
    (*made)->lifetime = inherited(lifetime);
    (*made)->bound = is_bound((*made)->lifetime);
    (*made)->method = method;
    (*made)->signals = role == COHORT__ROLE_WORKER || cohort__is_helper(*made)
                           ? COHORT_OS_SIGNALS_NO_INTERRUPT
                           : COHORT_OS_SIGNALS_NORMAL;
    (*made)->group = cohort__is_contained(*made) ? COHORT_OS_GROUP_QUIET : COHORT_OS_GROUP_JOIN;
    identify(*made, name);
    return APR_SUCCESS;
}

/* The numbers of the public ones, behind the default. */
_Static_assert(COHORT_SIGNALS_NORMAL == COHORT_OS_SIGNALS_NORMAL + 1 &&
                   COHORT_SIGNALS_RESET == COHORT_OS_SIGNALS_RESET + 1,
               "in the same order");

apr_status_t cohort__process_signals(cohort_process_t *slot, cohort_signals_t signals) {
    if (signals < COHORT_SIGNALS_DEFAULT || signals > COHORT_SIGNALS_RESET)
        return cohort__fail(APR_EINVAL, "signals is %d", (int)signals);
    if (signals != COHORT_SIGNALS_DEFAULT) slot->signals = (uint32_t)signals - 1;
    return APR_SUCCESS;
}

apr_status_t cohort__process_group(cohort_process_t *slot, cohort_group_t group) {
    if (group < COHORT_GROUP_DEFAULT || group > COHORT_GROUP_OWN)
        return cohort__fail(APR_EINVAL, "group is %d", (int)group);
    if (group == COHORT_GROUP_PARENT) slot->group = COHORT_OS_GROUP_JOIN;
    if (group == COHORT_GROUP_OWN) slot->group = COHORT_OS_GROUP_OWN;
    return APR_SUCCESS;
}

static apr_status_t check_files(const cohort_process_options_t *o) {
    if (o->n_files && !o->files)
        return cohort__fail(APR_EINVAL, "files is NULL, n_files is %" APR_SIZE_T_FMT, o->n_files);
    if (o->n_files > COHORT__FILES_MAX)
        return cohort__fail(APR_EINVAL, "n_files is %" APR_SIZE_T_FMT, o->n_files);
    if (o->n_files && !cohort_os_facts()->can_keep_files)
        return cohort__fail(APR_ENOTIMPL,
                            "handles of this system have no numbers for a child to know them by");
    for (apr_size_t i = 0; i < o->n_files; i++) {
        if (o->files[i] < 3)
            return cohort__fail(APR_EINVAL,
                                "files[%" APR_SIZE_T_FMT "] is %d; 0 to 2 are the standard streams",
                                i, o->files[i]);
    }
    return APR_SUCCESS;
}

static apr_status_t set_files(cohort_process_t *slot, const cohort_process_options_t *o) {
    cohort__thread_t *me;
    apr_status_t status = check_files(o);
    if (!status) status = cohort__enter(&me);
    if (!status && o->n_files)
        status =
            cohort__block_new(me, COHORT__KIND_BYTES, o->n_files * sizeof(int32_t), &slot->files);
    if (status || !o->n_files) return status;
    int32_t *numbers = atomic_load(&slot->files);
    for (apr_size_t i = 0; i < o->n_files; i++) numbers[i] = o->files[i];
    slot->n_files = (uint32_t)o->n_files;
    return APR_SUCCESS;
}

/* The process of which an APR pool closes the handle: the slot may be another process' by then, and
 * this process in another cohort, or a copy. */
typedef struct {
    cohort__pid_t id;
    uint32_t membership;
} cleanup_t;

static apr_status_t close_with_pool(void *data) {
    const cleanup_t *cleanup = data;
    if (!cohort__self() || cohort__membership() != cleanup->membership) return APR_SUCCESS;
    cohort_process_t *slot = cohort__process_find(cleanup->id);
    if (!slot || atomic_load(&slot->creator) != cohort__self_id()) return APR_SUCCESS;
    atomic_store(&slot->creator, 0);
    cohort__slot_release(slot);
    return APR_SUCCESS;
}

static apr_status_t give(cohort_process_t *slot, const cohort_process_options_t *o) {
    for (apr_size_t i = 0; i < o->n_connections; i++) {
        apr_status_t status = cohort__connection_hold(o->connections[i], cohort__process_id(slot));
        if (status) return cohort__explain(status, "connections[%u]", (unsigned)i);
    }
    return APR_SUCCESS;
}

static apr_status_t abandon(cohort_process_t *slot, apr_status_t status) {
    atomic_store(&slot->creator, 0);
    cohort__slot_release(slot);
    return status;
}

/* The common end of the creating functions. */
static apr_status_t made(cohort_process_t *slot, const cohort_process_options_t *o,
                         apr_pool_t *pool, cohort_process_t **process) {
    apr_status_t status = cohort__process_signals(slot, o->signals);
    if (!status) status = cohort__process_group(slot, o->group);
    if (!status) status = set_files(slot, o);
    if (!status) status = give(slot, o);
    if (status) return abandon(slot, status);
    if (pool) {
        cleanup_t *cleanup = apr_palloc(pool, sizeof *cleanup);
        *cleanup = (cleanup_t){cohort__process_id(slot), cohort__membership()};
        apr_pool_cleanup_register(pool, cleanup, close_with_pool, apr_pool_cleanup_null);
    }
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

static apr_status_t make_child(cohort_process_t **slot, const cohort_process_options_t *o,
                               const void *args, apr_size_t size, cohort__function_t run) {
    apr_status_t status =
        cohort__process_make(slot, COHORT__ROLE_CHILD, o->name, o->lifetime, o->method);
    if (status) return status;
    status = set_args(*slot, args, size);
    if (!status) status = cohort__code_find(run, &(*slot)->run);
    return status ? abandon(*slot, status) : APR_SUCCESS;
}

static apr_status_t process_create(cohort_process_t **process, cohort_target_t target,
                                   const void *args, apr_size_t args_size,
                                   const cohort_process_options_t *options, apr_pool_t *pool) {
    const cohort_process_options_t *o = options ? options : &no_options;
    cohort_process_t *slot;
    if (!process || !target) return cohort__null(process ? "target" : "process");
    if (!args && args_size) return cohort__null("args");
    if (!o->connections && o->n_connections) return cohort__null("connections in the options");
    apr_status_t status = make_child(&slot, o, args, args_size, (cohort__function_t)target);
    return status ? status : made(slot, o, pool, process);
}

apr_status_t cohort_process_create(cohort_process_t **process, cohort_target_t target,
                                   const void *args, apr_size_t args_size,
                                   const cohort_process_options_t *options, apr_pool_t *pool) {
    return COHORT__CALL_ANEW(process_create(process, target, args, args_size, options, pool));
}

static apr_status_t process_create_object(cohort_process_t **process,
                                          const cohort_process_base_t *self,
                                          const cohort_process_options_t *options,
                                          apr_pool_t *pool) {
    const cohort_process_options_t *o = options ? options : &no_options;
    cohort_process_t *slot;
    if (!process || !self || !self->run)
        return cohort__null(!process ? "process" : !self ? "self" : "self->run");
    if (self->size < sizeof *self)
        return cohort__fail(APR_EINVAL, "self->size is %u, less than its base",
                            (unsigned)self->size);
    if (!o->connections && o->n_connections) return cohort__null("connections in the options");
    apr_status_t status = make_child(&slot, o, self, self->size, (cohort__function_t)self->run);
    if (status) return status;
    slot->subclass = 1;
    status = cohort__code_find((cohort__function_t)self->on_start, &slot->on_start);
    if (!status) status = cohort__code_find((cohort__function_t)self->on_exit, &slot->on_exit);
    return status ? abandon(slot, status) : made(slot, o, pool, process);
}

apr_status_t cohort_process_create_object(cohort_process_t **process,
                                          const cohort_process_base_t *self,
                                          const cohort_process_options_t *options,
                                          apr_pool_t *pool) {
    return COHORT__CALL_ANEW(process_create_object(process, self, options, pool));
}

static apr_status_t check_program(cohort_process_t **process, const cohort_program_t *program,
                                  const apr_pool_t *pool) {
    if (!process || !program || !program->argv)
        return cohort__null(!process ? "process" : !program ? "program" : "program->argv");
    if (!program->argv[0] || !*program->argv[0])
        return cohort__fail(APR_EINVAL, "program->argv[0] is empty");
    for (int i = 0; i < 3; i++) {
        const cohort_stream_t *s = &program->streams[i];
        if (s->kind < COHORT_STREAM_INHERIT || s->kind > COHORT_STREAM_PIPE) {
            return cohort__fail(APR_EINVAL, "program->streams[%d].kind is %d", i, (int)s->kind);
        }
        if (s->kind == COHORT_STREAM_PIPE && !pool)
            return cohort__fail(APR_EINVAL, "pool is NULL, and program->streams[%d] is a pipe", i);
        if (s->kind == COHORT_STREAM_FILE && !s->file)
            return cohort__fail(APR_EINVAL, "program->streams[%d].file is NULL", i);
    }
    return APR_SUCCESS;
}

static apr_status_t process_create_program(cohort_process_t **process, cohort_program_t *program,
                                           const cohort_process_options_t *options,
                                           apr_pool_t *pool) {
    const cohort_process_options_t *o = options ? options : &no_options;
    cohort_process_t *slot;
    apr_status_t status = check_program(process, program, pool);
    if (status) return status;
    const char *name = o->name ? o->name : apr_filepath_name_get(program->argv[0]);
    status = cohort__process_make(&slot, COHORT__ROLE_PROGRAM, name, o->lifetime, COHORT_SPAWN);
    if (status) return status;
    slot->program = program;
    slot->program_pool = pool;
    return made(slot, o, pool, process);
}

apr_status_t cohort_process_create_program(cohort_process_t **process, cohort_program_t *program,
                                           const cohort_process_options_t *options,
                                           apr_pool_t *pool) {
    return COHORT__CALL_ANEW(process_create_program(process, program, options, pool));
}

/* ---- lifeline ------------------------------------------------------------------------------- */

static cohort_os_mutex_t lifeline_mutex;
static cohort_os_known_t lifeline_reader, lifeline_keeper;
static cohort_os_known_t lifeline_before; /* a keeper on which processes hang still */

/* What this program has closed is made anew. If it was the keeper, the processes that hung on it
 * are dead; if it was only the reader, they live, and the keeper stays for them. */
static apr_status_t make_lifeline(void) {
    cohort_os_handle_t reader, keeper;
    if (cohort_os_is_known(&lifeline_keeper)) {
        cohort_os_close_known(&lifeline_before);
        lifeline_before = lifeline_keeper;
        lifeline_keeper.handle = COHORT_OS_NONE;
    }
    cohort_os_close_known(&lifeline_reader);
    apr_status_t status = cohort_os_lifeline_create(&reader, &keeper);
    if (status) return cohort__explain(status, "making what daemons die with");
    lifeline_reader = cohort_os_know(reader);
    lifeline_keeper = cohort_os_know(keeper);
    return APR_SUCCESS;
}

apr_status_t cohort__lifeline(cohort_os_handle_t *reader) {
    apr_status_t status = APR_SUCCESS;
    cohort_os_mutex_lock(&lifeline_mutex);
    if (!cohort_os_is_known(&lifeline_reader) || !cohort_os_is_known(&lifeline_keeper))
        status = make_lifeline();
    if (!status) *reader = lifeline_reader.handle;
    cohort_os_mutex_unlock(&lifeline_mutex);
    return status;
}

void cohort__lifeline_close(void) {
    cohort_os_close_known(&lifeline_before);
    cohort_os_close_known(&lifeline_keeper);
    cohort_os_close_known(&lifeline_reader);
}

void cohort__lifeline_lock(void) {
    cohort_os_mutex_lock(&lifeline_mutex);
}

void cohort__lifeline_unlock(void) {
    cohort_os_mutex_unlock(&lifeline_mutex);
}

/* The reader stays open: this may be a child that is about to arm it. */
void cohort__lifeline_reset(void) {
    cohort_os_mutex_reset(&lifeline_mutex);
    cohort_os_close_known(&lifeline_before);
    cohort_os_close_known(&lifeline_keeper);
    lifeline_reader.handle = COHORT_OS_NONE;
}

/* ---- copies of this process ----------------------------------------------------------------- */

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

/* ---- starting ------------------------------------------------------------------------------- */

typedef struct {
    cohort_process_t *slot;
    const cohort_os_id_t *child;
    int dead_looks;
} takeoff_t;

/* Nobody has claimed the slot yet. Can somebody still? */
static apr_status_t check_unclaimed(takeoff_t *t) {
    if (t->child) {
        /* This process' watcher will see its end, and the exit code says why; unless the watcher
         * itself is waiting here, or for the thread that does. */
        if (!cohort_os_alive(*t->child) && t->dead_looks++ > 0)
            cohort__process_ended(t->slot, COHORT_EXIT_NONE);
        return APR_EAGAIN;
    }
    return cohort__process_alive(atomic_load(&t->slot->reaper), true) ? APR_EAGAIN
                                                                      : COHORT_EWORKERDIED;
}

static apr_status_t try_takeoff(void *arg, bool thorough) {
    takeoff_t *t = arg;
    if (cohort__process_state(t->slot) != COHORT__SLOT_STARTING) return APR_SUCCESS;
    if (atomic_load(&t->slot->unfit)) return COHORT_EWORKERDIED;
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
    if (failed) status = cohort__slot_refusal(slot);
    /* which may be any, what cohort__await() goes on at too */
    return failed && !status ? COHORT_ESTART : status;
}

/* The number of the attempt is given up first, so that no late child takes the next one for it. */
apr_status_t cohort__launch_failed(cohort_process_t *slot, apr_status_t status) {
    atomic_store(&slot->claim, cohort__claim_next(atomic_load(&slot->claim)));
    if (!cohort__slot_step(slot, COHORT__SLOT_FAILED, COHORT__SLOT_NEW))
        cohort__slot_step(slot, COHORT__SLOT_STARTING, COHORT__SLOT_NEW);
    return status;
}

apr_status_t cohort__watch_takeoff(cohort_process_t *slot, cohort_os_id_t child,
                                   cohort__watched_t *watched) {
    int code;
    apr_status_t status =
        cohort__watcher_add(watched, slot, cohort__process_attempt(slot), child, true);
    if (!status) return cohort__await_takeoff(slot, &child);
    (void)cohort_os_signal(child, COHORT_OS_KILL);
    while (APR_STATUS_IS_EAGAIN(cohort_os_reap(child, &code))) cohort_os_yield();
    cohort__slot_step(slot, COHORT__SLOT_RUNNING, COHORT__SLOT_STARTING);
    cohort__process_ended(slot, COHORT_EXIT_NONE);
    return status;
}

/* Nothing to do when it is open; else from the mapping, or from any member that has it. */
static apr_status_t reopen_arena(void) {
    cohort_os_handle_t lost = cohort__map.handle;
    apr_status_t status = cohort_os_arena_reopen(&cohort__map, 0, COHORT_OS_NONE);
    uint32_t count = cohort__process_count();
    for (uint32_t i = 0; i < count && status; i++) {
        cohort_process_t *slot = cohort__process_at(i);
        bool has = slot != cohort__self() && slot->role != COHORT__ROLE_PROGRAM &&
                   cohort__process_state(slot) == COHORT__SLOT_RUNNING;
        if (has)
            status = cohort_os_arena_reopen(&cohort__map, slot->os.pid,
                                            (cohort_os_handle_t)atomic_load(&slot->arena));
    }
    if (!status) {
        atomic_store(&cohort__self()->arena, (int64_t)cohort__map.handle);
        return APR_SUCCESS;
    }
    return cohort__fail(
        APR_FROM_OS_ERROR(EBADF),
        "this program has closed descriptor %d, the shared memory's; only the start method fork does without",
        (int)lost);
}

static apr_status_t arena_handle(cohort_os_handle_t *handle) {
    cohort_os_mutex_lock(&lifeline_mutex);
    apr_status_t status = reopen_arena();
    *handle = cohort__map.handle;
    cohort_os_mutex_unlock(&lifeline_mutex);
    return status;
}

apr_status_t cohort__context_capture(void **context, size_t *size, cohort_os_state_t *state) {
    size_t capacity = 16384;
    for (;;) {
        void *buffer = malloc(capacity);
        if (!buffer) return cohort__fail(APR_ENOMEM, "noting the environment for the child");
        size_t length = capacity;
        apr_status_t status = cohort_os_context_capture(buffer, &length, state);
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

apr_status_t cohort__reexec(cohort_process_t *slot, cohort_os_boot_t *boot, cohort_os_id_t *child,
                            const cohort_os_streams_t *streams) {
    char name[COHORT__NAME_MAX];
    cohort_os_start_t start = {.how = COHORT_OS_REEXEC,
                               .boot = boot,
                               .path = executable,
                               .name = name,
                               .stdio = {COHORT_OS_NONE, COHORT_OS_NONE, COHORT_OS_NONE},
                               .lifeline = COHORT_OS_NONE,
                               .signals = (cohort_os_signals_t)slot->signals,
                               .files = atomic_load(&slot->files),
                               .n_files = slot->n_files};
    bool in_child;
    if (!cohort_os_facts()->can_reexec) return privileged();
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
    apr_status_t status = arena_handle(&boot->arena);
    return status ? status : cohort_os_start(&start, child, &in_child);
}

static apr_status_t launch_spawn(cohort_process_t *slot, cohort_os_handle_t lifeline) {
    cohort_os_boot_t boot = {.lifeline = lifeline, .channel = COHORT_OS_NONE};
    cohort__watched_t *watched;
    cohort_os_id_t child;
    atomic_store(&slot->reaper, cohort__self_id());
    apr_status_t status = cohort__watcher_reserve(&watched);
    if (status) return status;
    cohort_os_streams_t streams =
        slot->given ? cohort__given_streams(slot->given) : cohort_os_facts()->streams;
    status = cohort__reexec(slot, &boot, &child, slot->given ? &streams : NULL);
    if (!status) return cohort__watch_takeoff(slot, child, watched);
    cohort__watcher_unreserve(watched);
    return status;
}

/* In the copy, where they are copies too. */
static apr_status_t take_streams(const cohort__given_t *given) {
    cohort_os_streams_t streams = cohort__given_streams(given);
    return cohort_os_streams_take(&streams);
}

static apr_status_t launch_fork(cohort_process_t *slot, cohort_os_handle_t lifeline) {
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

/* What replaces a worker may not be more than what the maker's first thread is. */
static apr_status_t check_state(cohort_process_t *slot) {
    cohort_os_state_t state;
    bool another = false;
    apr_status_t status = slot->replaces ? cohort__maker_look(&state, &another) : APR_SUCCESS;
    if (!status && another)
        status = cohort__fail(
            COHORT_ESTART,
            "the first thread of this process is not what the thread is that replaces workers");
    return status;
}

static apr_status_t launch_by(cohort_process_t *slot) {
    cohort_os_handle_t lifeline = COHORT_OS_NONE;
    /* a server has none of these files */
    bool by_itself = slot->method != COHORT_FORKSERVER || slot->n_files > 0;
    apr_status_t status = by_itself ? APR_SUCCESS : cohort__server_launch(slot, &by_itself);
    if (!by_itself) return status;
    status = check_state(slot);
    if (!status && slot->bound) status = cohort__lifeline(&lifeline);
    if (status) return status;
    return slot->method == COHORT_FORK ? launch_fork(slot, lifeline) : launch_spawn(slot, lifeline);
}

static void prepare_launch(cohort_process_t *slot) {
    cohort__slot_settle(slot);
    atomic_store(&slot->claim, cohort__claim_next(atomic_load(&slot->claim)));
    slot->reason[0] = 0;
    atomic_store(&slot->start_status, APR_SUCCESS);
    atomic_store(&slot->exit_code, COHORT_EXIT_NONE);
    atomic_store(&slot->repaired, COHORT__REPAIRED_NOTHING);
    atomic_store(&slot->reported, 0);
    atomic_store(&slot->awaited, 1);
    atomic_store(&slot->unfit, 0); /* not before the claim is another's */
}

/* The next start of this life first: what is late to tell of the end of the child that has
 * stepped back does not mean this one. */
void cohort__launch_again(cohort_process_t *slot) {
    /* the server that it was asked of does not wait for it any more */
    atomic_store(&slot->reaper, 0);
    cohort__slot_restart(slot);
    prepare_launch(slot);
}

apr_status_t cohort__process_launch(cohort_process_t *slot) {
    if (!cohort__slot_step(slot, COHORT__SLOT_NEW, COHORT__SLOT_STARTING)) return COHORT_ESTARTED;
    prepare_launch(slot);
    apr_status_t status = launch_by(slot);
    if (status) return cohort__launch_failed(slot, status);
    cohort__keeper_hold(slot);
    return APR_SUCCESS;
}

/* ---- starting a program --------------------------------------------------------------------- */

/* The child's end of each stream; what was opened for it is closed after the start, whatever came
 * of it. */
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
        status = i == 0 ? cohort_os_pipe_create(&s->child[i], &s->parent[i])
                        : cohort_os_pipe_create(&s->parent[i], &s->child[i]);
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
    apr_status_t status =
        cohort__watcher_add(watched, slot, cohort__process_attempt(slot), child, true);
    if (!status) cohort__keeper_hold(slot);
    if (!status) return;
    atomic_store(&slot->reaper, 0); /* the waiting thread finds the end itself */
    cohort_os_signal(child, COHORT_OS_KILL);
}

static apr_status_t exec_program(cohort_process_t *slot, const cohort_program_t *program,
                                 const streams_t *s) {
    cohort_os_start_t start = {.how = COHORT_OS_PROGRAM,
                               .path = program->argv[0],
                               .argv = program->argv,
                               .env = program->env,
                               .cwd = program->cwd,
                               .stdio = {s->child[0], s->child[1], s->child[2]},
                               .lifeline = COHORT_OS_NONE,
                               .detach = slot->lifetime == COHORT_BACKGROUND,
                               .signals = (cohort_os_signals_t)slot->signals,
                               .files = atomic_load(&slot->files),
                               .n_files = slot->n_files,
                               .group = (cohort_os_group_t)slot->group,
                               .contained = cohort__is_contained(slot)};
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
    streams_t s = {{COHORT_OS_NONE, COHORT_OS_NONE, COHORT_OS_NONE},
                   {COHORT_OS_NONE, COHORT_OS_NONE, COHORT_OS_NONE},
                   {false}};
    apr_status_t status = APR_SUCCESS;
    if (!cohort__slot_step(slot, COHORT__SLOT_NEW, COHORT__SLOT_STARTING)) return COHORT_ESTARTED;
    for (int i = 0; i < 3 && !status; i++) status = open_stream(&program->streams[i], i, &s);
    if (!status) status = exec_program(slot, program, &s);
    close_streams(&s, status != APR_SUCCESS);
    if (status) return cohort__launch_failed(slot, status);
    return hand_over(program, &s, slot->program_pool);
}

static apr_status_t not_creator(void) {
    return cohort__fail(COHORT_ENOTOWNER, "that is for the process which created it");
}

static apr_status_t process_start(cohort_process_t *process) {
    cohort__thread_t *me;
    apr_status_t status = cohort__process_check(process);
    if (!status) status = cohort__enter(&me);
    if (status) return status;
    if (cohort__process_state(process) != COHORT__SLOT_NEW) return COHORT_ESTARTED;
    if (atomic_load(&process->creator) != cohort__self_id()) return not_creator();
    return process->role == COHORT__ROLE_PROGRAM ? launch_program(process)
                                                 : cohort__process_launch(process);
}

apr_status_t cohort_process_start(cohort_process_t *process) {
    return COHORT__CALL_ANEW(process_start(process));
}

/* ---- asking --------------------------------------------------------------------------------- */

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

/* The parent's record may be another process' by the time a child asks; the child remembers which
 * one it was. */
static bool is_gone_parent(const cohort_process_t *process) {
    cohort_process_t *self = cohort__self();
    if (!self || !process) return false;
    cohort__pid_t parent = atomic_load(&self->parent);
    return parent && process == cohort__process_at((uint32_t)(parent & 0xffff)) &&
           !cohort__process_find(parent);
}

/* The slot was seen before its start: of this process, or of the next one in it. */
static apr_status_t not_started(cohort__pid_t id) {
    return cohort__process_find(id) ? COHORT_ENOTSTARTED : APR_SUCCESS;
}

apr_status_t cohort__process_join(cohort__pid_t id, apr_interval_time_t timeout) {
    cohort_process_t *slot = cohort__process_find(id);
    if (!slot) return APR_SUCCESS;
    if (!cohort__self()) return COHORT_ENOTMEMBER;
    if (slot == cohort__self()) return COHORT_ENOWAIT;
    join_t j = {slot, id};
    if (!is_started(slot)) return not_started(id);
    int64_t deadline = cohort__deadline(timeout);
    cohort__watcher_assist(&slot, 1, deadline);
    return cohort__await(&slot->changed, try_join, &j, deadline);
}

/* The id of a process that a caller of the library means; 0: *status says what it is instead. */
static cohort__pid_t id_of(const cohort_process_t *process, apr_status_t *status) {
    *status = APR_SUCCESS;
    if (is_gone_parent(process)) return 0;
    *status = cohort__process_check(process);
    return *status ? 0 : cohort__process_id(process);
}

static apr_status_t process_join(cohort_process_t *process, apr_interval_time_t timeout) {
    apr_status_t status;
    cohort__pid_t id = id_of(process, &status);
    return id ? cohort__process_join(id, timeout) : status;
}

apr_status_t cohort_process_join(cohort_process_t *process, apr_interval_time_t timeout) {
    return COHORT__CALL_ANEW(process_join(process, timeout));
}

int cohort_process_is_alive(const cohort_process_t *process) {
    if (cohort__process_check(process) || is_gone_parent(process)) return 0;
    cohort__slot_state_t state = cohort__process_state(process);
    if (state != COHORT__SLOT_RUNNING && state != COHORT__SLOT_DEAD) return 0;
    return cohort__self() ? cohort__process_lives_on(cohort__process_id(process)) : 1;
}

int cohort_process_exit_code(const cohort_process_t *process) {
    cohort_process_t *slot = (cohort_process_t *)process;
    if (is_gone_parent(process)) return COHORT_EXIT_UNKNOWN;
    if (cohort__process_check(process)) return COHORT_EXIT_NONE;
    if (cohort__process_state(process) != COHORT__SLOT_ENDED) return COHORT_EXIT_NONE;
    return atomic_load(&slot->exit_code);
}

apr_int64_t cohort_process_pid(const cohort_process_t *process) {
    return is_gone_parent(process) || cohort__process_check(process) || !is_started(process)
               ? 0
               : process->os.pid;
}

static apr_status_t process_name(const cohort_process_t *process, char *buffer, apr_size_t size) {
    apr_status_t status = is_gone_parent(process) ? COHORT_EHANDLE : cohort__process_check(process);
    if (status) return status;
    if (!buffer || size == 0)
        return buffer ? cohort__fail(APR_EINVAL, "size is 0") : cohort__null("buffer");
    cohort__process_get_name(process, buffer, size);
    return APR_SUCCESS;
}

apr_status_t cohort_process_name(const cohort_process_t *process, char *buffer, apr_size_t size) {
    return COHORT__CALL_ANEW(process_name(process, buffer, size));
}

static apr_status_t process_set_name(cohort_process_t *process, const char *name) {
    cohort__thread_t *me;
    apr_status_t status = cohort__process_check(process);
    if (!status && (!name || !*name))
        status = name ? cohort__fail(APR_EINVAL, "name is empty") : cohort__null("name");
    if (!status) status = cohort__enter(&me);
    if (status) return status;
    cohort__guard_enter(&process->guard, me);
    cohort__process_put_name(process, name);
    cohort__guard_leave(&process->guard);
    if (process == cohort__self()) cohort_os_set_name(name);
    return APR_SUCCESS;
}

apr_status_t cohort_process_set_name(cohort_process_t *process, const char *name) {
    return COHORT__CALL_ANEW(process_set_name(process, name));
}

int cohort_process_is_daemon(const cohort_process_t *process) {
    return !cohort__process_check(process) && process->lifetime == COHORT_DAEMON;
}

/* Under the guard that the reaper holds while it releases the pid, so the pid is still this
 * process. */
apr_status_t cohort__process_signal(cohort__pid_t id, cohort_os_signal_t signal) {
    cohort__thread_t *me;
    cohort_process_t *slot = cohort__process_find(id);
    apr_status_t status = cohort__enter(&me);
    if (status || !slot) return status;
    if (!is_started(slot)) return not_started(id);
    cohort__guard_enter(&slot->guard, me);
    bool is_it = cohort__process_find(id) == slot;
    bool runs = cohort__process_state(slot) == COHORT__SLOT_RUNNING;
    if (is_it && runs) status = cohort_os_signal(slot->os, signal);
    cohort__guard_leave(&slot->guard);
    /* ended, and not recorded yet */
    return status == APR_FROM_OS_ERROR(ESRCH) ? APR_SUCCESS : status;
}

static apr_status_t process_signal(cohort_process_t *process, cohort_os_signal_t signal) {
    apr_status_t status;
    cohort__pid_t id = id_of(process, &status);
    return id ? cohort__process_signal(id, signal) : status;
}

apr_status_t cohort_process_terminate(cohort_process_t *process) {
    return COHORT__CALL_ANEW(process_signal(process, COHORT_OS_TERMINATE));
}

apr_status_t cohort_process_kill(cohort_process_t *process) {
    return COHORT__CALL_ANEW(process_signal(process, COHORT_OS_KILL));
}

apr_status_t cohort_process_interrupt(cohort_process_t *process) {
    return COHORT__CALL_ANEW(process_signal(process, COHORT_OS_INTERRUPT));
}

static apr_status_t process_stop(cohort_process_t *process, apr_interval_time_t grace) {
    if (process && process == cohort__self()) return COHORT_ENOWAIT;
    apr_status_t status;
    cohort__pid_t id = id_of(process, &status);
    if (!id) return status;
    status = cohort__process_signal(id, COHORT_OS_TERMINATE);
    if (status) return status;
    status = cohort__process_join(id, grace);
    if (!APR_STATUS_IS_EAGAIN(status) && !APR_STATUS_IS_TIMEUP(status)) return status;
    status = cohort__process_signal(id, COHORT_OS_KILL);
    return status ? status : cohort__process_join(id, COHORT_FOREVER);
}

apr_status_t cohort_process_stop(cohort_process_t *process, apr_interval_time_t grace) {
    return COHORT__CALL_ANEW(process_stop(process, grace));
}

static apr_status_t process_close(cohort_process_t *process) {
    if (!process) return APR_SUCCESS;
    apr_status_t status = cohort__process_check(process);
    if (status)
        return status == COHORT_EHANDLE && cohort__in_arena(process, sizeof *process) ? APR_SUCCESS
                                                                                      : status;
    if (atomic_load(&process->creator) != cohort__self_id()) return not_creator();
    cohort__slot_state_t state = cohort__process_state(process);
    if (state != COHORT__SLOT_NEW && state != COHORT__SLOT_ENDED) return COHORT_ERUNNING;
    atomic_store(&process->creator, 0);
    cohort__slot_release(process);
    return APR_SUCCESS;
}

apr_status_t cohort_process_close(cohort_process_t *process) {
    return COHORT__CALL_ANEW(process_close(process));
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
    return !cohort__is_helper(slot) && atomic_load(&slot->parent) == cohort__self_id() &&
           cohort__process_lives_on(cohort__process_id(slot));
}

static apr_status_t process_active_children(cohort_process_t ***list, int *count,
                                            apr_pool_t *pool) {
    if (!list || !count || !pool) return cohort__null(!list ? "list" : !count ? "count" : "pool");
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

apr_status_t cohort_process_active_children(cohort_process_t ***list, int *count,
                                            apr_pool_t *pool) {
    return COHORT__CALL_ANEW(process_active_children(list, count, pool));
}

int cohort_cpu_count(void) {
    return cohort_os_cpu_count();
}
