/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
#include "core/arena.h"
#include "core/process.h"

#include <apr_env.h>
#include <apr_general.h>
#include <apr_strings.h>
#include <cohort/cohort.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERSION "0.1.0"

static char *executable;
static bool hooked;

const char *cohort_version(void) {
    return VERSION;
}

const char *cohort__executable(void) {
    return executable;
}

/* In every copy of this process: what belongs to the original is let go of, and nothing is a member's any more. */
void cohort__forked(void) {
    cohort__self_set(NULL);
    cohort__threads_reset();
    cohort__watcher_reset();
    cohort__server_reset();
    cohort__lifeline_reset();
}

static apr_status_t hook(void) {
    if (hooked) return APR_SUCCESS;
    apr_status_t status = cohort_os_hooks(cohort__forked, cohort__thread_exit);
    if (!status) status = cohort_os_at_exit(cohort__at_exit);
    hooked = !status;
    return status;
}

static _Noreturn void refuse(cohort_process_t *slot, apr_status_t status) {
    atomic_store(&slot->start_status, status);
    cohort_os_exit(255, true);
}

/* This is a process that Cohort re-executed. It never comes back to main(). */
static _Noreturn void run_child(const cohort_os_boot_t *boot) {
    cohort_os_arena_t map = {(char *)(uintptr_t)boot->base, boot->size, boot->arena};
    apr_status_t status = cohort__arena_attach(&map);
    if (status) cohort_os_exit(status == COHORT_EVERSION ? COHORT__EXIT_VERSION : COHORT__EXIT_ADDRESS, false);
    cohort_process_t *slot = cohort__process_find(boot->slot);
    if (!slot) cohort_os_exit(255, false);
    status = hook();
    if (status) refuse(slot, status);
    if ((boot->role & 0xff) == COHORT__ROLE_SERVER) cohort__server_main(slot, boot);
    cohort__child_main(slot, boot->role >> 8, COHORT__BORN_SPAWN, boot->lifeline);
}

/* "64G" and the like. */
static apr_status_t parse_size(const char *text, apr_uint64_t *size) {
    static const char units[] = "KMGT";
    char *end;
    apr_int64_t number = apr_strtoi64(text, &end, 10);
    const char *unit = *end ? strchr(units, *end >= 'a' ? *end - 32 : *end) : NULL;
    int shift = unit ? (int)(unit - units + 1) * 10 : 0;
    if (end == text || number <= 0 || (*end && (!unit || end[1])) || number > APR_INT64_MAX >> shift) return APR_EINVAL;
    *size = (apr_uint64_t)number << shift;
    return APR_SUCCESS;
}

static apr_status_t arena_size(const cohort_options_t *options, apr_uint64_t *size) {
    const char *text = getenv("COHORT_ARENA_SIZE");
    *size = options ? options->arena_size : 0;
    return *size || !text || !*text ? APR_SUCCESS : parse_size(text, size);
}

/* A second copy of the library in this program would be a second cohort that knows nothing of the first, with a lifeline and a watcher of
 * its own. The pool above all pools is one thing that both see: the copy that is initialised first leaves its mark there for good. */
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
    slot->lifetime = COHORT_FOREGROUND;
    slot->os = cohort_os_self();
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

static apr_status_t set_start(cohort_start_method_t method, const char *path) {
    cohort_start_method_t resolved;
    apr_status_t status = method ? cohort__method_resolve(method, &resolved) : APR_SUCCESS;
    if (status) return status;
    char *copy = path ? strdup(path) : NULL;
    if (path && !copy) return APR_ENOMEM;
    if (path) {
        free(executable);
        executable = copy;
    }
    if (method) cohort__default_method = resolved;
    return APR_SUCCESS;
}

apr_status_t cohort_initialize(int *argc, char ***argv, const cohort_options_t *options) {
    cohort_os_boot_t boot;
    apr_uint64_t size;
    (void)argc;
    (void)argv;
    if (cohort__arena) return COHORT_ETWICE;
    apr_status_t status = apr_initialize();
    if (!status) status = mark_program(); /* before anything of this copy is known to the system */
    if (status) return status;
    status = cohort_os_boot_take(&boot);
    if (!status) {
        if (options) (void)set_start(options->method, options->executable);
        run_child(&boot);
    }
    if (status == COHORT_EVERSION) cohort_os_exit(COHORT__EXIT_VERSION, false);
    if (!APR_STATUS_IS_ENOENT(status)) return status;
    status = arena_size(options, &size);
    if (!status && options) status = set_start(options->method, options->executable);
    if (!status) status = hook();
    if (!status) status = cohort__arena_create(size);
    if (status) return status;
    status = become_root();
    if (status) cohort__arena_detach();
    return status;
}

void cohort_finalize(void) {
    cohort__thread_t *me;
    cohort_process_t *self = cohort__self();
    if (!self) return;
    cohort__children_end();
    atomic_store(&self->left, 1);
    bool stopped = cohort__watcher_stop();
    cohort__lifeline_close();
    if (!cohort__enter(&me)) cohort__thread_exit(me);
    cohort__self_set(NULL);
    cohort__threads_reset();
    if (stopped) cohort__arena_detach();
}

apr_status_t cohort_set_start(cohort_start_method_t method, const char *path) {
    return cohort__arena ? set_start(method, path) : COHORT_ENOTINIT;
}

cohort_start_method_t cohort_start_method(void) {
    cohort_start_method_t method;
    return cohort__method_resolve(COHORT_START_DEFAULT, &method) ? COHORT_SPAWN : method;
}
