/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes as users make them: from a function, an object or a program, each with its options; and
 * the record, which is destroyed at last.
 */
#include "core/process/process.h"

#include "core/base/reserved.h"
#include "core/memory/arena.h"
#include "core/object/pipe.h"
#include "core/process/streams.h"

#include <apr_general.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <cohort/pool.h>
#include <stdio.h>
#include <string.h>

/* ---- a slot --------------------------------------------------------------------------------- */

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
    return self && self->lifetime == COHORT_LIFETIME_DAEMON ? COHORT_LIFETIME_DAEMON
                                                            : COHORT_LIFETIME_FOREGROUND;
}

/* What a daemon starts and means to join must not outlive it either, when it is killed. */
static bool is_bound(cohort_lifetime_t lifetime) {
    cohort_process_t *self = cohort__self();
    return lifetime == COHORT_LIFETIME_DAEMON ||
           (lifetime == COHORT_LIFETIME_FOREGROUND && self && self->bound);
}

apr_status_t cohort__process_make(cohort_process_t **made, cohort__role_t role, const char *name,
                                  cohort_lifetime_t lifetime, cohort_start_method_t method) {
    cohort__thread_t *me;
    apr_status_t status = cohort__enter(&me);
    if (status) return status;
    if (lifetime < COHORT_LIFETIME_DEFAULT || lifetime > COHORT_LIFETIME_BACKGROUND)
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
    bool contained = (*made)->lifetime == COHORT_LIFETIME_DAEMON && !cohort__is_helper(*made);
    (*made)->containment = contained ? COHORT_CONTAIN_GROUP : COHORT_CONTAIN_DEFAULT;
    (*made)->tree = (cohort_os_tree_t){0};
    (*made)->group = contained ? COHORT_OS_GROUP_QUIET : COHORT_OS_GROUP_JOIN;
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

/* A mark that no other tree has, of this cohort or any; none where what is contained ends by
 * itself. */
static apr_status_t make_tree(cohort_os_tree_t *tree) {
    static const cohort_os_tree_t none;
    static const cohort_os_id_t nobody;
    apr_status_t status = cohort_os_tree_end(&none, nobody, false, 0, cohort__is_spared);
    *tree = none;
    while (!status && !tree->token && cohort_os_facts()->needs_keeper)
        status = apr_generate_random_bytes((unsigned char *)&tree->token, sizeof tree->token);
    return status;
}

apr_status_t cohort__containment_check(cohort_containment_t containment, cohort_group_t group) {
    cohort_os_tree_t tree;
    if (containment < COHORT_CONTAIN_DEFAULT || containment > COHORT_CONTAIN_TREE)
        return cohort__fail(APR_EINVAL, "containment is %d", (int)containment);
    if (containment == COHORT_CONTAIN_GROUP && group == COHORT_GROUP_PARENT)
        return cohort__fail(APR_EINVAL, "containment in a group that is the parent's");
    return containment == COHORT_CONTAIN_TREE ? make_tree(&tree) : APR_SUCCESS;
}

apr_status_t cohort__process_contain(cohort_process_t *slot, cohort_containment_t containment,
                                     cohort_group_t group) {
    apr_status_t status = cohort__containment_check(containment, group);
    if (status || containment == COHORT_CONTAIN_DEFAULT) return status;
    slot->containment = containment;
    if (containment != COHORT_CONTAIN_NONE && group == COHORT_GROUP_DEFAULT)
        slot->group = COHORT_OS_GROUP_QUIET;
    return containment == COHORT_CONTAIN_TREE ? make_tree(&slot->tree) : APR_SUCCESS;
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
    if (slot && atomic_load(&slot->creator) == cohort__self_id()) cohort__slot_let_go(cleanup->id);
    return APR_SUCCESS;
}

static apr_status_t give_connections(cohort_process_t *slot, const cohort_process_options_t *o) {
    for (apr_size_t i = 0; i < o->n_connections; i++) {
        apr_status_t status = cohort__connection_hold(o->connections[i], cohort__process_id(slot));
        if (status) return cohort__explain(status, "connections[%u]", (unsigned)i);
    }
    return APR_SUCCESS;
}

static apr_status_t abandon(cohort_process_t *slot, apr_status_t status) {
    cohort__slot_let_go(cohort__process_id(slot));
    return status;
}

/* The common end of the creating functions. */
static apr_status_t made(cohort_process_t *slot, const cohort_process_options_t *o,
                         apr_pool_t *pool, cohort_process_t **process) {
    apr_status_t status = cohort__process_signals(slot, o->signals);
    if (!status) status = cohort__process_group(slot, o->group);
    if (!status) status = cohort__process_contain(slot, o->containment, o->group);
    if (!status) status = cohort__session_check(o->settings, o->group);
    if (!status) status = cohort__settings_set(slot, o->settings);
    if (!status) status = cohort__gifts_set(slot, o);
    if (!status) status = give_connections(slot, o);
    if (!status) status = cohort__service_set(slot, o);
    if (status) return abandon(slot, status);
    if (slot->role != COHORT__ROLE_PROGRAM) slot->program = o->streams;
    slot->program_pool = pool;
    if (pool) {
        cleanup_t *cleanup = apr_palloc(pool, sizeof *cleanup);
        *cleanup = (cleanup_t){cohort__process_id(slot), cohort__membership()};
        apr_pool_cleanup_register(pool, cleanup, close_with_pool, apr_pool_cleanup_null);
    }
    *process = slot;
    return APR_SUCCESS;
}

static const cohort_process_options_t no_options;

static apr_status_t check_options(const cohort_process_options_t *o) {
    if (!o->connections && o->n_connections) return cohort__null("connections in the options");
    return cohort__check_reserved(o->reserved, 7, "options.reserved");
}

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

static apr_status_t check_function(const cohort_process_options_t *o, const apr_pool_t *pool) {
    apr_status_t status = check_options(o);
    if (status || !o->streams) return status;
    status = cohort__streams_check_all(o->streams, pool, "options");
    return status ? status : cohort__streams_check(o->streams, "options->streams");
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

apr_status_t cohort__function_make(cohort_process_t **process, cohort_target_t target,
                                   const void *args, size_t args_size,
                                   const cohort_process_options_t *options, apr_pool_t *pool) {
    const cohort_process_options_t *o = options ? options : &no_options;
    cohort_process_t *slot;
    if (!process || !target) return cohort__null(process ? "target" : "process");
    if (!args && args_size) return cohort__null("args");
    apr_status_t status = check_function(o, pool);
    if (!status) status = make_child(&slot, o, args, args_size, (cohort__function_t)target);
    return status ? status : made(slot, o, pool, process);
}

apr_status_t cohort_process_create(cohort_process_t **process, cohort_target_t target,
                                   const void *args, apr_size_t args_size,
                                   const cohort_process_options_t *options, apr_pool_t *pool) {
    return COHORT__CALL_ANEW(
        cohort__function_make(process, target, args, args_size, options, pool));
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
    apr_status_t status = cohort__check_reserved(self->reserved, 8, "self->reserved");
    if (!status) status = check_function(o, pool);
    if (!status) status = make_child(&slot, o, self, self->size, (cohort__function_t)self->run);
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
    apr_status_t status = cohort__streams_check_all(program->streams, pool, "program");
    return status ? status : cohort__program_check(program);
}

apr_status_t cohort__program_make(cohort_process_t **process, const char *path,
                                  const cohort_process_options_t *options, apr_pool_t *pool) {
    const cohort_process_options_t *o = options ? options : &no_options;
    cohort_process_t *slot = NULL;
    apr_status_t status = check_options(o);
    if (!status && o->streams)
        status = cohort__fail(APR_EINVAL, "options->streams, of a program, which has its own");
    if (status) return status;
    const char *name = o->name ? o->name : apr_filepath_name_get(path);
    status =
        cohort__process_make(&slot, COHORT__ROLE_PROGRAM, name, o->lifetime, COHORT_START_SPAWN);
    return slot ? made(slot, o, pool, process) : status;
}

static apr_status_t process_create_program(cohort_process_t **process, cohort_program_t *program,
                                           const cohort_process_options_t *options,
                                           apr_pool_t *pool) {
    cohort_process_t *slot = NULL;
    apr_status_t status = check_program(process, program, pool);
    if (!status) status = cohort__program_make(&slot, program->argv[0], options, pool);
    if (status) return status;
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): it has been made */
    if (slot->role == COHORT__ROLE_SERVICE) status = cohort__service_program(slot, program);
    if (status) return abandon(slot, status);
    slot->program = program;
    *process = slot;
    return APR_SUCCESS;
}

apr_status_t cohort_process_create_program(cohort_process_t **process, cohort_program_t *program,
                                           const cohort_process_options_t *options,
                                           apr_pool_t *pool) {
    return COHORT__CALL_ANEW(process_create_program(process, program, options, pool));
}

/* ---- making and starting in one call -------------------------------------------------------- */

/* Start what has been made with this status. Of a process that does not start nothing is left. */
static apr_status_t start_made(cohort_process_t *made, apr_status_t status,
                               cohort_process_t **process) {
    if (status) return status;
    status = cohort__process_start(made);
    if (status) return abandon(made, status);
    *process = made;
    return APR_SUCCESS;
}

static apr_status_t process_launch(cohort_process_t **process, cohort_target_t target,
                                   const void *args, apr_size_t args_size,
                                   const cohort_process_options_t *options, apr_pool_t *pool) {
    cohort_process_t *made = NULL;
    if (!process) return cohort__null("process");
    apr_status_t status = cohort__function_make(&made, target, args, args_size, options, pool);
    return start_made(made, status, process);
}

apr_status_t cohort_process_launch(cohort_process_t **process, cohort_target_t target,
                                   const void *args, apr_size_t args_size,
                                   const cohort_process_options_t *options, apr_pool_t *pool) {
    return COHORT__CALL_ANEW(process_launch(process, target, args, args_size, options, pool));
}

static apr_status_t process_launch_object(cohort_process_t **process,
                                          const cohort_process_base_t *self,
                                          const cohort_process_options_t *options,
                                          apr_pool_t *pool) {
    cohort_process_t *made = NULL;
    if (!process) return cohort__null("process");
    apr_status_t status = process_create_object(&made, self, options, pool);
    return start_made(made, status, process);
}

apr_status_t cohort_process_launch_object(cohort_process_t **process,
                                          const cohort_process_base_t *self,
                                          const cohort_process_options_t *options,
                                          apr_pool_t *pool) {
    return COHORT__CALL_ANEW(process_launch_object(process, self, options, pool));
}

static apr_status_t process_launch_program(cohort_process_t **process, cohort_program_t *program,
                                           const cohort_process_options_t *options,
                                           apr_pool_t *pool) {
    cohort_process_t *made = NULL;
    if (!process) return cohort__null("process");
    apr_status_t status = process_create_program(&made, program, options, pool);
    return start_made(made, status, process);
}

apr_status_t cohort_process_launch_program(cohort_process_t **process, cohort_program_t *program,
                                           const cohort_process_options_t *options,
                                           apr_pool_t *pool) {
    return COHORT__CALL_ANEW(process_launch_program(process, program, options, pool));
}

/* ---- the record is destroyed ---------------------------------------------------------------- */

static apr_status_t process_destroy(cohort_process_t *process) {
    if (!process) return APR_SUCCESS;
    apr_status_t status = cohort__process_check(process);
    if (status)
        return status == COHORT_EHANDLE && cohort__in_arena(process, sizeof *process) ? APR_SUCCESS
                                                                                      : status;
    cohort__thread_t *me;
    cohort__pid_t id = cohort__process_id(process);
    status = cohort__creator_check(process);
    if (!status) status = cohort__enter(&me);
    if (status) return status;
    cohort__slot_state_t state = cohort__process_state(process);
    if (state != COHORT__SLOT_NEW && state != COHORT__SLOT_ENDED) return COHORT_ERUNNING;
    cohort__slot_let_go(id);
    return APR_SUCCESS;
}

apr_status_t cohort_process_destroy(cohort_process_t *process) {
    return COHORT__CALL_ANEW(process_destroy(process));
}
