/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What a supervisor keeps of what it gives to each run of a service: copies of its program and
 * streams, what its open files are, and the context. The last two are noted once, by the thread of
 * the host that starts the service: the watcher, which starts all later runs, may read neither the
 * environment, which the host may be changing, nor a file of APR's.
 */
#include "core/memory/alloc.h"
#include "core/process/packing.h"
#include "core/process/service.h"

#include <apr_portable.h>
#include <stdlib.h>
#include <string.h>

/* ---- copied when it is made ------------------------------------------------------------------ */

/* Three, of which `copy` has all but the texts. */
static void copy_paths(cohort__packing_t *p, const cohort_stream_t *streams,
                       cohort_stream_t *copy) {
    for (int i = 0; i < 3; i++) {
        const char *path = cohort__pack_text(p, streams[i].path);
        if (copy) copy[i].path = path;
    }
}

static void copy_streams(cohort__packing_t *p, const cohort_stream_t *streams) {
    copy_paths(p, streams, cohort__pack(p, streams, 3 * sizeof *streams));
}

static void copy_program(cohort__packing_t *p, const cohort_program_t *program) {
    cohort_program_t *copy = cohort__pack(p, program, sizeof *program);
    const char *const *argv = cohort__pack_list(p, program->argv);
    const char *const *env = cohort__pack_list(p, program->env);
    const char *cwd = cohort__pack_text(p, program->cwd);
    copy_paths(p, program->streams, copy ? copy->streams : NULL);
    if (!copy) return;
    copy->argv = argv;
    copy->env = env;
    copy->cwd = cwd;
}

/* What each run would have another one of. */
static apr_status_t check_streams(const cohort_stream_t *streams, const char *name) {
    for (int i = 0; i < 3; i++) {
        cohort_stream_kind_t kind = streams[i].kind;
        if (kind == COHORT_STREAM_PIPE || kind == COHORT_STREAM_TERMINAL)
            return cohort__fail(APR_EINVAL, "%s->streams[%d] of a service is a %s", name, i,
                                kind == COHORT_STREAM_PIPE ? "pipe" : "terminal");
        if (kind == COHORT_STREAM_LINES)
            return cohort__fail(APR_EINVAL, "%s->streams[%d] of a service is for lines", name, i);
    }
    return APR_SUCCESS;
}

apr_status_t cohort__service_program(cohort_process_t *slot, const cohort_program_t *program) {
    cohort__thread_t *me;
    cohort__packing_t counted = {0}, copy = {0};
    apr_status_t status = check_streams(program->streams, "program");
    if (!status) status = cohort__enter(&me);
    if (status) return status;
    copy_program(&counted, program);
    status = cohort__block_new(me, COHORT__KIND_BYTES, counted.size, &slot->args);
    if (status) return status;
    copy.at = atomic_load(&slot->args);
    copy_program(&copy, program);
    slot->args_size = counted.size;
    return APR_SUCCESS;
}

apr_status_t cohort__service_keep_streams(cohort_process_t *slot, const cohort_stream_t *streams) {
    cohort__thread_t *me;
    cohort__packing_t counted = {0}, copy = {0};
    apr_status_t status = check_streams(streams, "options");
    if (!status) status = cohort__enter(&me);
    if (status) return status;
    copy_streams(&counted, streams);
    status = cohort__block_new(me, COHORT__KIND_BYTES, counted.size, &slot->context);
    if (status) return status;
    copy.at = atomic_load(&slot->context);
    copy_streams(&copy, streams);
    return APR_SUCCESS;
}

/* ---- noted when it is started --------------------------------------------------------------- */

static const cohort_stream_t *streams_of(cohort_process_t *slot, const cohort__service_t *s) {
    if (s->role != COHORT__ROLE_PROGRAM) return atomic_load(&slot->context);
    const cohort_program_t *program = atomic_load(&slot->args);
    return program->streams;
}

static apr_status_t know_files(cohort_process_t *slot, cohort__service_t *s) {
    const cohort_stream_t *streams = streams_of(slot, s);
    apr_status_t status = APR_SUCCESS;
    for (int i = 0; streams && i < 3 && !status; i++) {
        apr_os_file_t file;
        if (streams[i].kind != COHORT_STREAM_FILE || !streams[i].file) continue;
        status = apr_os_file_get(&file, streams[i].file);
        if (!status) s->files[i] = cohort_os_know((cohort_os_handle_t)file);
    }
    return status;
}

/* Those of the option `files`; what the others are was noted when they were named. */
static void know_numbers(cohort_process_t *slot) {
    cohort_os_gift_t *gifts = atomic_load(&slot->files);
    for (uint32_t i = slot->n_gifts; i < slot->n_files; i++) {
        cohort_os_known_t known = cohort_os_know((cohort_os_handle_t)gifts[i].handle);
        gifts[i].device = known.device;
        gifts[i].file = known.file;
    }
}

static apr_status_t keep_context(cohort_process_t *slot, cohort__service_t *s) {
    cohort__thread_t *me;
    cohort_os_state_t unused;
    void *context;
    size_t size;
    apr_status_t status = cohort__enter(&me);
    if (!status) status = cohort__context_capture(&context, &size, &unused);
    if (status) return status;
    cohort__block_free(me, &slot->kept); /* of a start that failed */
    status = cohort__block_new(me, COHORT__KIND_BYTES, size ? size : 1, &slot->kept);
    if (!status) {
        memcpy(atomic_load(&slot->kept), context, size);
        s->given = (cohort__given_t){.context = atomic_load(&slot->kept), .size = size};
    }
    free(context);
    return status;
}

apr_status_t cohort__service_keep(cohort_process_t *slot, cohort__service_t *s) {
    apr_status_t status = know_files(slot, s);
    know_numbers(slot);
    return status || s->role == COHORT__ROLE_PROGRAM ? status : keep_context(slot, s);
}

apr_status_t cohort__service_file(const cohort_process_t *run, int i, cohort_os_handle_t *handle) {
    cohort_process_t *slot = cohort__process_find(atomic_load(&run->serves));
    const cohort__service_t *s = slot ? atomic_load(&slot->service) : NULL;
    if (!s) return COHORT_ECLOSED;
    const cohort_os_known_t *kept = &s->files[i];
    cohort_os_known_t now = *kept;
    if (kept->handle != COHORT_OS_NONE) now = cohort_os_know(kept->handle);
    if (now.handle == COHORT_OS_NONE || now.device != kept->device || now.file != kept->file)
        return cohort__fail(APR_EBADF, "the file that is stream %d of a service is closed", i);
    *handle = kept->handle;
    return APR_SUCCESS;
}
