/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
#include "core/base/reserved.h"
#include "core/cohort/layout.h"
#include "core/cohort/registry.h"
#include "core/process/process.h"

#include <apr_general.h>
#include <apr_strings.h>
#include <cohort/cohort.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *cohort_version(void) { return COHORT_VERSION_STRING; }

static bool hooked;

static void thread_ended(void *mark, bool first) {
    cohort__thread_exit(mark);
    if (first) cohort__watcher_first_thread_ended();
}

/* `first` marks the first thread, so that its end is reported even if it never had a record. */
static apr_status_t hook(void) {
    static char first;
    if (hooked) return APR_SUCCESS;
    const cohort_os_hooks_t hooks = {.forked = cohort__forked,
                                     .thread_exit = thread_ended,
                                     .at_exit = cohort__at_exit,
                                     .cleared = &cohort__identity,
                                     .cleared_size = sizeof cohort__identity};
    apr_status_t status = cohort_os_hooks(&hooks);
    if (!status) cohort_os_thread_mark(&first);
    hooked = !status;
    return status;
}

static _Noreturn void refuse(cohort_process_t *slot, apr_status_t status) {
    cohort__slot_refuse(slot, status);
    cohort_os_exit(255, COHORT_OS_EXIT_FLUSHED);
}

/* A process that was given a boot block never becomes a root, whatever is wrong with it: its own
 * children would be started the same way, and theirs. Its starter learns the reason by the exit
 * code, the user by a line among the errors. */
static _Noreturn void end_untrusted(apr_status_t status) {
    fprintf(stderr,
            "cohort: process %ld ends, which must not take the boot block that it finds in its "
            "environment (COHORT_BOOT): %s\n",
            (long)cohort_os_self().pid, cohort__reason(status));
    cohort_os_exit(cohort__exit_for(status), COHORT_OS_EXIT_FLUSHED);
}

/* This is a process that Cohort re-executed. It never comes back to main(). */
static _Noreturn void run_child(const cohort_os_boot_t *boot) {
    cohort_os_arena_t map = {(char *)(uintptr_t)boot->base, boot->size, boot->arena};
    apr_status_t status = cohort__arena_attach(&map);
    if (status) cohort_os_exit(cohort__exit_for(status), COHORT_OS_EXIT_NOW);
    cohort_process_t *slot = cohort__boot_slot(boot);
    /* the process that asked for this start is gone, or took it back */
    if (!slot && !cohort_os_alive((cohort_os_id_t){boot->parent, 0}, NULL))
        cohort_os_exit(255, COHORT_OS_EXIT_NOW);
    if (!slot)
        end_untrusted(cohort__fail(COHORT_EUNTRUSTED, "the start that it names is not under way"));
    status = hook();
    if (status) refuse(slot, status);
    if (cohort__boot_role(boot) == COHORT__ROLE_SERVER) cohort__server_main(slot, boot);
    if (cohort__boot_role(boot) == COHORT__ROLE_KEEPER) cohort__keeper_main(slot, boot);
    cohort__child_main(slot, cohort__boot_attempt(boot), COHORT__BORN_SPAWN, boot->lifeline);
}

/* A variable of the environment; NULL where the user that started this process must not have a
 * say. */
static const char *variable(const char *name) {
    const char *text = cohort_os_facts()->privileged ? NULL : getenv(name);
    return text && *text ? text : NULL;
}

/* "64G" and the like. */
static apr_status_t parse_size(const char *text, apr_uint64_t *size) {
    static const char units[] = "KMGT";
    char *end;
    apr_int64_t number = apr_strtoi64(text, &end, 10);
    const char *unit = *end ? strchr(units, *end >= 'a' ? *end - 32 : *end) : NULL;
    int shift = unit ? (int)(unit - units + 1) * 10 : 0;
    if (end == text || number <= 0 || (*end && (!unit || end[1])) ||
        number > APR_INT64_MAX >> shift)
        return APR_EINVAL;
    *size = (apr_uint64_t)number << shift;
    return APR_SUCCESS;
}

static apr_status_t arena_size(const cohort_options_t *options, apr_uint64_t *size) {
    const char *text = variable("COHORT_ARENA_SIZE");
    *size = options ? options->arena_size : 0;
    if (*size || !text || !parse_size(text, size)) return APR_SUCCESS;
    return cohort__fail(APR_EINVAL,
                        "COHORT_ARENA_SIZE=%s in the environment is no size; "
                        "a number of bytes, or one with K, M, G or T behind it, is",
                        text);
}

static apr_status_t wants_dump(const cohort_options_t *options, bool *dump) {
    const char *text = variable("COHORT_DUMP");
    *dump = (options && options->dump) || (text && !strcmp(text, "1"));
    if (*dump || !text || !strcmp(text, "0")) return APR_SUCCESS;
    return cohort__fail(APR_EINVAL, "COHORT_DUMP of the environment is \"%s\", neither 0 nor 1",
                        text);
}

/* A second copy of the library in this program would be a second cohort that knows nothing of the
 * first, with a lifeline and a watcher of its own. The pool above all pools is one thing that both
 * see: the copy that is initialised first leaves its mark there for good. */
static apr_status_t mark_program(void) {
    static const char key[] = "cohort";
    apr_pool_t *pool;
    void *mark = NULL;
    apr_status_t status = apr_pool_create(&pool, NULL);
    if (status) return status;
    apr_pool_t *top = apr_pool_parent_get(pool);
    (void)apr_pool_userdata_get(&mark, key, top);
    if (mark && mark != key) status = COHORT_ETWICE;
    if (!status) status = apr_pool_userdata_set(key, key, NULL, top);
    apr_pool_destroy(pool);
    return status;
}

static apr_status_t become_root(void) {
    cohort_process_t *slot;
    apr_status_t status = cohort__slot_new(&slot);
    if (status) return status;
    slot->role = COHORT__ROLE_ROOT;
    slot->lifetime = COHORT_LIFETIME_FOREGROUND;
    slot->os = cohort_os_self();
    atomic_store(&slot->arena, (int64_t)cohort__map.handle);
    cohort__process_put_name(slot, "MainProcess");
    cohort__slot_step(slot, COHORT__SLOT_NEW, COHORT__SLOT_STARTING);
    cohort__slot_step(slot, COHORT__SLOT_STARTING, COHORT__SLOT_RUNNING);
    cohort__self_set(slot);
    atomic_store(&cohort__arena->root, cohort__process_id(slot));
    atomic_store(&slot->creator, cohort__process_id(slot));
    cohort__threads_reset();
    cohort__children_begin();
    return APR_SUCCESS;
}

static apr_status_t initialize(const cohort_options_t *options) {
    cohort_os_boot_t boot;
    apr_uint64_t size;
    bool dump;
    if (cohort__arena) return COHORT_ETWICE;
    cohort__registry_hand_down();
    apr_status_t status = apr_initialize();
    if (!status) status = mark_program(); /* before the system knows of this copy of the library */
    if (status) return status;
    /* a boot block that is right: a child; ENOENT: there is none; EOF: the parent is gone */
    status = cohort_os_boot_take(&boot);
    if (!status) {
        if (options) (void)cohort__start_by(options->method, options->executable);
        run_child(&boot);
    }
    if (APR_STATUS_IS_EOF(status))
        cohort_os_exit(255, COHORT_OS_EXIT_NOW); /* no process waits for it */
    if (cohort__exit_for(status)) end_untrusted(status);
    if (!APR_STATUS_IS_ENOENT(status)) return status;
    status =
        options ? cohort__check_reserved(options->reserved, 8, "options.reserved") : APR_SUCCESS;
    if (!status) status = arena_size(options, &size);
    if (!status) status = wants_dump(options, &dump);
    if (!status && options) status = cohort__start_by(options->method, options->executable);
    if (!status) status = hook();
    if (!status) status = cohort__gifts_find();
    if (!status) status = cohort__arena_create(size, dump);
    if (status) return status;
    status = become_root();
    if (status) cohort__arena_detach();
    return status;
}

apr_status_t cohort_initialize(const cohort_options_t *options) {
    return COHORT__CALL_ANEW(initialize(options));
}

/* A raw copy has the original's memory mapped, and its descriptors. */
static void let_go_of_original(void) {
    if (!cohort__arena || !cohort__is_copy()) return;
    cohort__forked(); /* which no handler has done for a copy made by a bare system call */
    cohort__arena_detach();
}

void cohort_finalize(void) {
    cohort__thread_t *me;
    cohort_process_t *self = cohort__self();
    if (!self) {
        let_go_of_original();
        return;
    }
    cohort__children_end();
    atomic_store(&self->left, 1);
    bool stopped = cohort__watcher_stop();
    cohort__lifeline_close();
    if (!cohort__enter(&me)) cohort__thread_exit(me);
    cohort__self_set(NULL);
    cohort__threads_reset();
    if (stopped) cohort__arena_detach();
}

apr_status_t cohort_set_start_method(cohort_start_method_t method, const char *path) {
    return COHORT__CALL_ANEW(cohort__arena ? cohort__start_by(method, path) : COHORT_ENOTINIT);
}

cohort_start_method_t cohort_start_method(void) {
    cohort_start_method_t method;
    return cohort__method_resolve(COHORT_START_DEFAULT, &method) ? COHORT_START_SPAWN : method;
}
