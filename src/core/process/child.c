/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Being a child. It first claims its slot, by which all processes know it, then becomes RUNNING:
 * from RUNNING on the start has succeeded. What fails before that is left in the slot as the status
 * of start.
 */
#include "core/process/streams.h"

#include "core/memory/arena.h"
#include "core/memory/upward.h"

#include <cohort/pool.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static cohort__birth_t birth_kind;
static cohort_process_base_t *instance; /* of this process, when it is of a user's type */
static _Atomic int ending, has_children;

/* ---- taking the boot block ------------------------------------------------------------------ */

/* The parent is known by the system's word, so the arena must say the same of it. */
cohort_process_t *cohort__boot_slot(const cohort_os_boot_t *boot) {
    cohort_process_t *slot = cohort__process_find(boot->slot);
    if (!slot || cohort__process_state(slot) != COHORT__SLOT_STARTING ||
        slot->role != cohort__boot_role(boot))
        return NULL;
    if (slot->role != COHORT__ROLE_CHILD && slot->role != COHORT__ROLE_WORKER &&
        !cohort__is_helper(slot))
        return NULL;
    cohort_process_t *starter = cohort__process_find(atomic_load(&slot->reaper));
    return starter && starter->os.pid == boot->parent ? slot : NULL;
}

/* ---- the life of a child -------------------------------------------------------------------- */

static _Noreturn void fail(cohort_process_t *slot, apr_status_t status) {
    cohort__slot_refuse(slot, status);
    cohort_os_exit(255, COHORT_OS_EXIT_FLUSHED);
}

/* A private copy of the argument bytes, and of the subclass' instance. */
static apr_status_t copy_args(cohort_process_t *slot, void **args) {
    void *shared = atomic_load(&slot->args);
    *args = NULL;
    if (!shared) return APR_SUCCESS;
    *args = malloc(slot->args_size ? (size_t)slot->args_size : 1);
    if (!*args) return cohort__fail(APR_ENOMEM, "copying the arguments in the child");
    memcpy(*args, shared, (size_t)slot->args_size);
    return APR_SUCCESS;
}

static apr_status_t resolve(cohort_process_t *slot, cohort__function_t *run, void *args) {
    apr_status_t status = cohort__code_at(&slot->run, run);
    if (status || !slot->subclass) return status;
    cohort__function_t on_start = NULL, on_exit = NULL;
    status = cohort__code_at(&slot->on_start, &on_start);
    if (!status) status = cohort__code_at(&slot->on_exit, &on_exit);
    if (status) return status;
    instance = args;
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): an instance is its arguments */
    instance->run = (int (*)(cohort_process_base_t *)) * run;
    instance->on_start = (void (*)(cohort_process_base_t *))on_start;
    instance->on_exit = (void (*)(cohort_process_base_t *, int))on_exit;
    return APR_SUCCESS;
}

static void drop_blocks(cohort_process_t *slot) {
    cohort__thread_t *me;
    if (!atomic_load(&slot->args) && !atomic_load(&slot->context)) return;
    if (cohort__enter(&me)) return;
    cohort__block_free(me, &slot->args);
    cohort__block_free(me, &slot->context);
}

/* What a copy of its parent does about signals and exit() it has done as it was made. */
static apr_status_t become(cohort_process_t *slot) {
    char name[COHORT__NAME_MAX];
    cohort_os_signals_t signals = (cohort_os_signals_t)slot->signals;
    void *context = atomic_load(&slot->context);
    cohort__process_get_name(slot, name, sizeof name);
    const cohort_os_become_t what = {
        .name = name,
        .context = context,
        .context_size = context ? (size_t)slot->context_size : 0,
        .state = birth_kind == COHORT__BORN_SERVED ? &slot->state : NULL,
        /* the replacing thread starts it, and it shall be as a child of the first one */
        .like = slot->replaces && birth_kind != COHORT__BORN_SERVED ? &slot->state : NULL,
        .detach = slot->lifetime == COHORT_LIFETIME_BACKGROUND && birth_kind != COHORT__BORN_SPAWN,
        .has_streams = slot->streams != NULL,
        .tree = slot->tree.token && birth_kind != COHORT__BORN_SPAWN ? &slot->tree : NULL,
        .signals = birth_kind != COHORT__BORN_FORK ? &signals : NULL,
        .settings = atomic_load(&slot->settings)};
    return cohort_os_become(&what);
}

static apr_status_t try_context(void *arg, bool thorough) {
    cohort_process_t *slot = arg;
    if (atomic_load(&slot->context_state) != COHORT__CONTEXT_UNDERWAY) return APR_SUCCESS;
    return thorough && !cohort__process_alive(atomic_load(&slot->requester), true) ? COHORT_ESTART
                                                                                   : APR_EAGAIN;
}

/* Another server, started by the requester as it is now, may make a child as wanted. This one
 * has done nothing yet, so its end is no more than that of a process which is not known: from
 * the flag on the slot is the requester's. */
static _Noreturn void step_back(cohort_process_t *slot, apr_status_t status) {
    cohort__thread_t *me;
    cohort__slot_refuse(slot, status);
    atomic_store(&slot->unfit, 1);
    cohort__notify(&slot->changed, COHORT__ALL);
    if (!cohort__enter(&me)) cohort__thread_exit(me);
    cohort_os_exit(255, COHORT_OS_EXIT_NOW);
}

/* The process that asked the server for this one writes the context while the server forks. */
static apr_status_t become_as_told(cohort_process_t *slot) {
    apr_status_t status = try_context(slot, false);
    if (status) status = cohort__await(&slot->changed, try_context, slot, COHORT_OS_NEVER);
    if (status) return status;
    if (atomic_load(&slot->context_state) == COHORT__CONTEXT_FAILED)
        return cohort__slot_refusal(slot);
    status = cohort__server_suits(slot) ? become(slot) : APR_FROM_OS_ERROR(EPERM);
    if (status) step_back(slot, status);
    return APR_SUCCESS;
}

static apr_status_t prepare_child(cohort_process_t *slot, cohort_os_handle_t lifeline,
                                  cohort__function_t *run, void **args) {
    bool hangs = slot->bound && lifeline != COHORT_OS_NONE;
    apr_status_t status = cohort_os_become(&(cohort_os_become_t){
        .lifeline = lifeline,
        .hangs = !hangs                              ? COHORT_OS_LIFELINE_DECLINED
                 : birth_kind == COHORT__BORN_SERVED ? COHORT_OS_LIFELINE_BACKED
                                                     : COHORT_OS_LIFELINE_LASTING,
        .alone = slot->containment == COHORT_CONTAIN_NONE});
    if (!status) status = birth_kind == COHORT__BORN_SERVED ? become_as_told(slot) : become(slot);
    if (!status) status = copy_args(slot, args);
    if (!status && slot->role != COHORT__ROLE_WORKER) status = resolve(slot, run, *args);
    return status;
}

static int run_body(cohort_process_t *slot, cohort__function_t run, void *args) {
    if (cohort__role_ops(slot)->run) return cohort__role_ops(slot)->run(slot);
    /* NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): resolve() has found it */
    if (!instance) return ((cohort_target_t)run)(args);
    if (instance->on_start) instance->on_start(instance);
    cohort__end_copy(0);
    return instance->run(instance);
}

static _Noreturn void finish_child(int code) {
    cohort_process_t *self = cohort__self();
    code &= 0xff;
    if (instance && instance->on_exit) instance->on_exit(instance, code);
    cohort__end_copy(code);
    cohort__children_end();
    if (self) {
        uint64_t life = cohort__process_life(self),
                 none = cohort__outcome(life, false, COHORT_EXIT_NONE);
        atomic_compare_exchange_strong(&self->outcome, &none, cohort__outcome(life, false, code));
        atomic_store(&self->left, 1);
    }
    cohort_os_exit(code, COHORT_OS_EXIT_ORDERLY);
}

void cohort__children_begin(void) {
    atomic_store(&ending, 0);
    atomic_store(&has_children, 0);
}

void cohort__children_made(void) {
    cohort_process_t *self = cohort__self();
    atomic_store(&has_children, 1);
    if (self) atomic_store(&self->watches, 1);
}

void cohort__child_refuse(cohort_process_t *slot, uint32_t attempt, apr_status_t status) {
    if (cohort__attempt_claim(slot, attempt)) cohort__slot_refuse(slot, status);
    cohort_os_exit(255, COHORT_OS_EXIT_NOW);
}

void cohort__child_main(cohort_process_t *slot, uint32_t attempt, cohort__birth_t birth,
                        cohort_os_handle_t lifeline) {
    cohort__function_t run = NULL;
    void *args = NULL;
    birth_kind = birth;
    instance = NULL;
    cohort__children_begin();
    if (!cohort__attempt_claim(slot, attempt)) cohort_os_exit(255, COHORT_OS_EXIT_NOW);
    atomic_store(&slot->arena, (int64_t)cohort__map.handle);
    cohort__self_set(slot);
    cohort__threads_reset();
    apr_status_t status = prepare_child(slot, lifeline, &run, &args);
    if (status) fail(slot, status);
    if (!cohort__slot_step(slot, COHORT__SLOT_STARTING, COHORT__SLOT_RUNNING))
        cohort_os_exit(255, COHORT_OS_EXIT_NOW);
    drop_blocks(slot); /* not earlier: until then the start may fail, and be tried again */
    cohort__notify(&slot->changed, COHORT__ALL);
    int code = run_body(slot, run, args);
    cohort__end_copy(code);
    finish_child(code);
}

void cohort_exit(int code) {
    cohort_process_t *self = cohort__self();
    if (!self || self->role == COHORT__ROLE_ROOT) exit(code & 0xff);
    finish_child(code);
}

/* ---- the end of any member ------------------------------------------------------------------ */

/* 0: none that runs. */
static cohort__pid_t child_at(uint32_t i, uint32_t lifetime) {
    cohort_process_t *slot = cohort__process_at(i);
    cohort__pid_t id = cohort__process_id(slot);
    bool runs = cohort__process_state(slot) == COHORT__SLOT_RUNNING;
    bool ours = atomic_load(&slot->parent) == cohort__self_id() && !cohort__is_helper(slot);
    bool wanted = runs && ours && slot->lifetime == lifetime;
    return wanted && cohort__process_id(slot) == id ? id : 0;
}

#define EACH_CHILD(id, lifetime)                                       \
    for (uint32_t i_ = 0, n_ = cohort__process_count(); i_ < n_; i_++) \
        for (cohort__pid_t id = child_at(i_, (lifetime)); id; id = 0)

#define DAEMON_GRACE 500000 /* microseconds */
#define LOOSE_TIME   2000000

static bool join_foreground(void) {
    bool any = false;
    EACH_CHILD(id, COHORT_LIFETIME_FOREGROUND) any |= !cohort__process_join(id, COHORT_FOREVER);
    return any;
}

/* Daemons that this process may not kill any more, since it has given up the rights that they
 * have: their servers may, which end them when they are left, and processes that hang on the
 * lifeline end with it. What does not even so is left. */
static void cut_loose(void) {
    int64_t until = cohort__deadline(LOOSE_TIME);
    cohort__server_close();
    cohort__lifeline_close();
    EACH_CHILD(id, COHORT_LIFETIME_DAEMON)
    cohort__process_join(id, (until - cohort_os_now()) / 1000);
}

static void end_parts(void) {
    for (const cohort__part_t *part = cohort__upward->parts; part->name; part++) {
        if (part->ending) part->ending();
    }
}

void cohort__children_end(void) {
    if (!cohort__self() || atomic_exchange(&ending, 1)) return;
    end_parts(); /* first: a pool must not replace the workers that end with this process */
    if (!atomic_load(&has_children)) return;
    /* until now other threads, and those joined, may have started more */
    while (join_foreground()) continue;
    EACH_CHILD(id, COHORT_LIFETIME_DAEMON) cohort__process_signal(id, COHORT_OS_TERMINATE);
    int64_t until = cohort__deadline(DAEMON_GRACE);
    EACH_CHILD(id, COHORT_LIFETIME_DAEMON)
    cohort__process_join(id, (until - cohort_os_now()) / 1000);
    bool refused = false;
    EACH_CHILD(id, COHORT_LIFETIME_DAEMON)
    refused |= cohort__process_kill(id) != 0;
    if (refused) cut_loose();
    else EACH_CHILD(id, COHORT_LIFETIME_DAEMON) cohort__process_join(id, COHORT_FOREVER);
    cohort__lines_end(); /* what they have said at last, too */
    cohort__server_close();
    cohort__keeper_close();
}

void cohort__at_exit(void) {
    cohort_process_t *self = cohort__self();
    if (!self) return;
    cohort__children_end();
    atomic_store(&self->left, 1);
}
