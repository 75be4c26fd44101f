/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Another program as a process: its streams, its start. It is no member, so it takes no part in its
 * start: it runs as soon as the system has executed it.
 */
#include "core/process/process.h"

#include "core/base/reserved.h"

#include <apr_portable.h>

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
    case COHORT_STREAM_NULL: s->child[i] = COHORT_OS_NULL; return APR_SUCCESS;
    case COHORT_STREAM_FILE:
        status = apr_os_file_get(&file, stream->file);
        if (!status) s->child[i] = (cohort_os_handle_t)file;
        return status;
    case COHORT_STREAM_PIPE:
        status = i == 0 ? cohort_os_pipe_create(&s->child[i], &s->parent[i])
                        : cohort_os_pipe_create(&s->parent[i], &s->child[i]);
        break;
    default: return APR_SUCCESS;
    }
    s->opened[i] = !status;
    return status;
}

static void close_program_streams(streams_t *s, bool failed) {
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
    cohort_os_start_t start = cohort__start_of(slot, COHORT_OS_PROGRAM);
    cohort__watched_t *watched;
    cohort_os_id_t child;
    bool in_child;
    start.path = program->argv[0];
    start.argv = program->argv;
    start.env = program->env;
    start.cwd = program->cwd;
    for (int i = 0; i < 3; i++) start.stdio[i] = s->child[i];
    apr_status_t status = slot->bound ? cohort__lifeline(&start.lifeline) : APR_SUCCESS;
    if (!status) status = cohort__watcher_reserve(&watched);
    if (status) return status;
    status = cohort_os_start(&start, &child, &in_child);
    if (status) cohort__watcher_unreserve(watched);
    else program_runs(slot, child, watched);
    return status;
}

apr_status_t cohort__program_check(const cohort_program_t *program) {
    apr_status_t status = cohort__check_reserved(program->reserved, 8, "program->reserved");
    for (unsigned i = 0; i < 3 && !status; i++)
        status = cohort__check_reserved_at(program->streams[i].reserved, 2, "program->streams", i);
    return status;
}

apr_status_t cohort__program_launch(cohort_process_t *slot) {
    cohort_program_t *program = slot->program;
    streams_t s = {{COHORT_OS_NONE, COHORT_OS_NONE, COHORT_OS_NONE},
                   {COHORT_OS_NONE, COHORT_OS_NONE, COHORT_OS_NONE},
                   {false}};
    if (!cohort__attempt_begin(slot, false)) return COHORT_ESTARTED;
    apr_status_t status = cohort__program_check(program);
    for (int i = 0; i < 3 && !status; i++) status = open_stream(&program->streams[i], i, &s);
    if (!status) status = exec_program(slot, program, &s);
    close_program_streams(&s, status != APR_SUCCESS);
    if (status) return cohort__attempt_failed(slot, status);
    return hand_over(program, &s, slot->program_pool);
}
