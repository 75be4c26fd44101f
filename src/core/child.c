/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Being a child. It first claims its slot, by which it is known to everybody, then takes off: from RUNNING on the start has
 * succeeded. What fails before that is left in the slot as the status of start.
 */
#include "core/process.h"

#include "core/arena.h"
#include "core/pool.h"

#include <cohort/pool.h>
#include <stdlib.h>
#include <string.h>

static cohort__birth_t birth_kind;
static cohort_process_base_t *instance; /* of this process, when it is of a user's type */
static _Atomic int ending, has_children;

static _Noreturn void leave(int code) {
    if (birth_kind == COHORT__BORN_FORK) cohort_os_exit(code, true);
    exit(code);
}

static _Noreturn void fail(cohort_process_t *slot, apr_status_t status) {
    atomic_store(&slot->start_status, status);
    cohort_os_exit(255, true);
}

static bool claim(cohort_process_t *slot, uint32_t attempt) {
    uint64_t open = (uint64_t)attempt << 32;
    cohort_os_id_t os = cohort_os_self();
    if (!atomic_compare_exchange_strong(&slot->claim, &open, open | (uint64_t)os.pid)) return false;
    slot->os = os;
    return true;
}

/* A private copy of the argument bytes, and of the subclass' instance. */
static apr_status_t copy_args(cohort_process_t *slot, void **args) {
    void *shared = atomic_load(&slot->args);
    *args = NULL;
    if (!shared) return APR_SUCCESS;
    *args = malloc(slot->args_size ? (size_t)slot->args_size : 1);
    if (!*args) return APR_ENOMEM;
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
    instance->run = (int (*)(cohort_process_base_t *))*run;
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

static apr_status_t try_context(void *arg, bool thorough) {
    cohort_process_t *slot = arg;
    if (atomic_load(&slot->context_state) != COHORT__CONTEXT_UNDERWAY) return APR_SUCCESS;
    return thorough && !cohort__process_alive(atomic_load(&slot->requester), true) ? COHORT_ESTART : APR_EAGAIN;
}

/* Whoever asked the server for this process writes it while the server forks. */
static apr_status_t take_context(cohort_process_t *slot) {
    apr_status_t status = try_context(slot, false);
    if (status) status = cohort__await(&slot->changed, try_context, slot, COHORT_OS_NEVER);
    if (status) return status;
    if (atomic_load(&slot->context_state) == COHORT__CONTEXT_FAILED) return atomic_load(&slot->start_status);
    void *context = atomic_load(&slot->context);
    return context ? cohort_os_context_apply(context, (size_t)slot->context_size) : APR_SUCCESS;
}

static apr_status_t prepare(cohort_process_t *slot, cohort_os_handle_t lifeline, cohort__function_t *run, void **args) {
    apr_status_t status = APR_SUCCESS;
    if (slot->bound && lifeline != COHORT_OS_NONE) status = cohort_os_lifeline_arm(lifeline, birth_kind == COHORT__BORN_SERVED);
    else cohort_os_lifeline_decline(lifeline);
    if (!status && slot->lifetime == COHORT_BACKGROUND && birth_kind != COHORT__BORN_SPAWN) cohort_os_detach();
    if (!status && birth_kind == COHORT__BORN_SERVED) status = take_context(slot);
    if (!status) status = copy_args(slot, args);
    if (!status && slot->role != COHORT__ROLE_WORKER) status = resolve(slot, run, *args);
    return status;
}

static int run_body(cohort_process_t *slot, cohort__function_t run, void *args) {
    if (slot->role == COHORT__ROLE_WORKER) return cohort__pool_worker_main(slot);
    if (!instance) return ((cohort_target_t)run)(args);
    if (instance->on_start) instance->on_start(instance);
    return instance->run(instance);
}

static _Noreturn void finish(int code) {
    cohort_process_t *self = cohort__self();
    int32_t none = COHORT_EXIT_NONE;
    code &= 0xff;
    if (instance && instance->on_exit) instance->on_exit(instance, code);
    cohort__children_end();
    if (self) {
        atomic_compare_exchange_strong(&self->exit_code, &none, code);
        atomic_store(&self->left, 1);
    }
    leave(code);
}

void cohort__children_begin(void) {
    atomic_store(&ending, 0);
    atomic_store(&has_children, 0);
}

void cohort__children_made(void) {
    atomic_store(&has_children, 1);
}

void cohort__child_main(cohort_process_t *slot, uint32_t attempt, cohort__birth_t birth, cohort_os_handle_t lifeline) {
    cohort__function_t run = NULL;
    void *args = NULL;
    char name[COHORT__NAME_MAX];
    birth_kind = birth;
    instance = NULL;
    cohort__children_begin();
    if (!claim(slot, attempt)) cohort_os_exit(255, false);
    cohort__self_set(slot);
    cohort__threads_reset();
    cohort__process_get_name(slot, name, sizeof name);
    cohort_os_set_name(name);
    cohort_os_set_interrupts(slot->role != COHORT__ROLE_WORKER);
    apr_status_t status = prepare(slot, lifeline, &run, &args);
    if (status) fail(slot, status);
    if (!cohort__slot_step(slot, COHORT__SLOT_STARTING, COHORT__SLOT_RUNNING)) cohort_os_exit(255, false);
    drop_blocks(slot); /* not earlier: until then the start may fail, and be tried again */
    cohort__notify(&slot->changed, COHORT__ALL);
    finish(run_body(slot, run, args));
}

void cohort_exit(int code) {
    cohort_process_t *self = cohort__self();
    if (!self || self->role == COHORT__ROLE_ROOT) exit(code & 0xff);
    finish(code);
}

/* ---- the end of any member ------------------------------------------------------------------------------------------ */

static bool is_child(cohort_process_t *slot, uint32_t lifetime) {
    return atomic_load(&slot->parent) == cohort__self_id() && cohort__process_state(slot) == COHORT__SLOT_RUNNING &&
           slot->lifetime == lifetime && slot->role != COHORT__ROLE_SERVER;
}

#define EACH_CHILD(slot, lifetime)                                                                                      \
    for (uint32_t i_ = 0, n_ = cohort__process_count(); i_ < n_; i_++)                                                  \
        for (cohort_process_t *slot = cohort__process_at(i_); slot && is_child(slot, (lifetime)); slot = NULL)

#define DAEMON_GRACE 500000 /* microseconds */

static bool join_foreground(void) {
    bool any = false;
    EACH_CHILD(slot, COHORT_FOREGROUND) any |= cohort_process_join(slot, COHORT_FOREVER) == APR_SUCCESS;
    return any;
}

void cohort__children_end(void) {
    if (!cohort__self() || atomic_exchange(&ending, 1) || !atomic_load(&has_children)) return;
    cohort__pools_end(); /* first: a pool must not replace the workers that end with this process */
    while (join_foreground()) continue; /* until now other threads, and those joined, may have started more */
    EACH_CHILD(slot, COHORT_DAEMON) cohort_process_terminate(slot);
    int64_t until = cohort__deadline(DAEMON_GRACE);
    EACH_CHILD(slot, COHORT_DAEMON) cohort_process_join(slot, (until - cohort_os_now()) / 1000);
    EACH_CHILD(slot, COHORT_DAEMON) cohort_process_kill(slot);
    EACH_CHILD(slot, COHORT_DAEMON) cohort_process_join(slot, COHORT_FOREVER);
    cohort__server_close();
}

void cohort__at_exit(void) {
    cohort_process_t *self = cohort__self();
    if (!self) return;
    cohort__children_end();
    atomic_store(&self->left, 1);
}
