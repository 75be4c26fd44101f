/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The standard streams of processes: pipes, files, logs and terminals are opened for a start, and
 * closed after it; a program, a re-executed child and a forked one get the same handles, and those
 * that a fork server makes get them with the request.
 */
#include "core/process/streams.h"

#include "core/base/reserved.h"

#include <apr_portable.h>
#include <cohort/terminal.h>
#include <errno.h>

/* ---- what they are to be -------------------------------------------------------------------- */

apr_status_t cohort__streams_check(const cohort_stream_t streams[3], const char *name) {
    apr_status_t status = APR_SUCCESS;
    for (unsigned i = 0; i < 3 && !status; i++)
        status = cohort__check_reserved_at(streams[i].reserved, 2, name, i);
    return status;
}

apr_status_t cohort__stream_check(const cohort_stream_t *stream, int i, const char *name) {
    bool can_be = stream->kind >= COHORT_STREAM_INHERIT && stream->kind <= COHORT_STREAM_TERMINAL;
    if (stream->kind == COHORT_STREAM_OUTPUT) can_be = i == 2;
    if (stream->kind == COHORT_STREAM_LOG) can_be = i != 0;
    if (!can_be)
        return cohort__fail(APR_EINVAL, "%s->streams[%d].kind is %d", name, i, (int)stream->kind);
    if (stream->kind == COHORT_STREAM_FILE && !stream->file)
        return cohort__fail(APR_EINVAL, "%s->streams[%d].file is NULL", name, i);
    if (stream->kind == COHORT_STREAM_LOG && (!stream->path || !*stream->path))
        return cohort__fail(APR_EINVAL, "%s->streams[%d].path is %s", name, i,
                            stream->path ? "empty" : "NULL");
    return APR_SUCCESS;
}

apr_status_t cohort__streams_check_all(const cohort_stream_t streams[3], const apr_pool_t *pool,
                                       const char *name) {
    for (int i = 0; i < 3; i++) {
        bool in_pool =
            streams[i].kind == COHORT_STREAM_PIPE || streams[i].kind == COHORT_STREAM_TERMINAL;
        apr_status_t status = cohort__stream_check(&streams[i], i, name);
        if (status) return status;
        if (in_pool && !pool)
            return cohort__fail(APR_EINVAL, "pool is NULL, and %s->streams[%d] is a %s", name, i,
                                streams[i].kind == COHORT_STREAM_PIPE ? "pipe" : "terminal");
    }
    return APR_SUCCESS;
}

/* ---- opened --------------------------------------------------------------------------------- */

/* Where a descriptor is one whatever it is of, APR can set a time-out for any; elsewhere only for
 * pipes of its own making, which no child inherits either. */
static apr_status_t open_pipe(int i, cohort__streams_t *s, apr_pool_t *pool) {
    apr_os_file_t child;
    apr_file_t *in, *out;
    if (APR_FILES_AS_SOCKETS)
        return i == 0 ? cohort_os_pipe_create(COHORT_OS_PIPE_BYTES, &s->child[i], &s->parent[i])
                      : cohort_os_pipe_create(COHORT_OS_PIPE_BYTES, &s->parent[i], &s->child[i]);
    apr_status_t status =
        apr_file_pipe_create_ex(&in, &out, i == 0 ? APR_READ_BLOCK : APR_WRITE_BLOCK, pool);
    if (status) return status;
    s->theirs[i] = i == 0 ? in : out;
    s->file[i] = i == 0 ? out : in;
    (void)apr_file_pipe_timeout_set(s->file[i], -1);
    status = apr_os_file_get(&child, s->theirs[i]);
    s->child[i] = (cohort_os_handle_t)child;
    return status;
}

/* Where no handle appends by itself, all that have this one write behind one another. */
apr_status_t cohort__log_open(const cohort_stream_t *stream, apr_file_t **file, apr_pool_t *pool) {
    apr_off_t at = 0;
    apr_status_t status =
        apr_file_open(file, stream->path, APR_FOPEN_WRITE | APR_FOPEN_CREATE | APR_FOPEN_APPEND,
                      APR_FPROT_OS_DEFAULT, pool);
    if (status) return cohort__explain(status, "open %s", stream->path);
    (void)apr_file_seek(*file, APR_END, &at);
    return APR_SUCCESS;
}

static apr_status_t as_handle(apr_file_t *file, cohort_os_handle_t *handle) {
    apr_os_file_t os;
    apr_status_t status = apr_os_file_get(&os, file);
    if (!status && cohort_os_know((cohort_os_handle_t)os).handle == COHORT_OS_NONE)
        status = cohort__fail(APR_EBADF, "a file that is to be a stream is closed");
    if (!status) *handle = (cohort_os_handle_t)os;
    return status;
}

static apr_status_t open_log(const cohort_stream_t *stream, int i, cohort__streams_t *s) {
    apr_status_t status = s->pool ? APR_SUCCESS : apr_pool_create(&s->pool, NULL);
    if (!status) status = cohort__log_open(stream, &s->theirs[i], s->pool);
    return status ? status : as_handle(s->theirs[i], &s->child[i]);
}

cohort_os_terminal_t cohort__terminal_of(const cohort_stream_t *stream) {
    return (cohort_os_terminal_t){1, stream->columns ? stream->columns : 80,
                                  stream->rows ? stream->rows : 24};
}

/* One for all streams that are to be it. */
static apr_status_t open_terminal(const cohort_stream_t *stream, int i, cohort__streams_t *s) {
    if (s->first_terminal < 3) {
        s->child[i] = s->child[s->first_terminal];
        return APR_SUCCESS;
    }
    apr_status_t status =
        cohort_os_pipe_create(COHORT_OS_PIPE_TERMINAL, &s->parent[i], &s->child[i]);
    if (status) return status;
    s->opened[i] = true;
    s->first_terminal = i;
    s->terminal = cohort__terminal_of(stream);
    return APR_SUCCESS;
}

static apr_status_t open_stream(const cohort_stream_t *stream, int i, cohort__streams_t *s,
                                const cohort_process_t *slot) {
    apr_status_t status;
    switch (stream->kind) {
    case COHORT_STREAM_NULL: s->child[i] = COHORT_OS_NULL; return APR_SUCCESS;
    case COHORT_STREAM_OUTPUT: s->child[i] = COHORT_OS_OUTPUT; return APR_SUCCESS;
    case COHORT_STREAM_FILE:
        return atomic_load(&slot->serves) ? cohort__service_file(slot, i, &s->child[i])
                                          : as_handle(stream->file, &s->child[i]);
    case COHORT_STREAM_LOG: return open_log(stream, i, s);
    case COHORT_STREAM_TERMINAL: return open_terminal(stream, i, s);
    case COHORT_STREAM_PIPE:
        status = open_pipe(i, s, slot->program_pool);
        s->opened[i] = !status;
        return status;
    default: return APR_SUCCESS;
    }
}

apr_status_t cohort__streams_open(cohort__streams_t *s, const cohort_stream_t streams[3],
                                  cohort_process_t *slot) {
    apr_status_t status = APR_SUCCESS;
    *s = (cohort__streams_t){.child = {COHORT_OS_NONE, COHORT_OS_NONE, COHORT_OS_NONE},
                             .parent = {COHORT_OS_NONE, COHORT_OS_NONE, COHORT_OS_NONE},
                             .first_terminal = 3};
    for (int i = 0; i < 3 && !status; i++) status = open_stream(&streams[i], i, s, slot);
    slot->terminal = s->terminal;
    slot->streams = s;
    return status;
}

/* ---- after the start ------------------------------------------------------------------------ */

void cohort__streams_close(cohort__streams_t *s, bool failed) {
    for (int i = 0; i < 3; i++) {
        if (s->theirs[i]) (void)apr_file_close(s->theirs[i]);
        else if (s->opened[i]) cohort_os_close(s->child[i]);
        if (failed && s->file[i]) (void)apr_file_close(s->file[i]);
        if (failed && s->parent[i] != COHORT_OS_NONE) cohort_os_close(s->parent[i]);
    }
    if (s->pool) apr_pool_destroy(s->pool);
}

/* What was opened where the copy has its streams now is these. */
void cohort__streams_forked(cohort__streams_t *s) {
    const cohort_os_handle_t *own = cohort_os_facts()->streams.handles;
    for (int i = 0; i < 3; i++) {
        bool is_own = s->child[i] == own[0] || s->child[i] == own[1] || s->child[i] == own[2];
        if (s->opened[i] && !is_own) cohort_os_close(s->child[i]);
        if (s->theirs[i] && !is_own) (void)apr_file_close(s->theirs[i]);
        if (s->parent[i] != COHORT_OS_NONE) cohort_os_close(s->parent[i]);
    }
}

apr_status_t cohort__streams_hand_over(cohort__streams_t *s, cohort_stream_t streams[3],
                                       cohort_process_t *slot) {
    for (int i = 0; i < 3; i++) {
        if (streams[i].kind == COHORT_STREAM_TERMINAL && i != s->first_terminal)
            streams[i].file = streams[s->first_terminal].file;
        if (s->file[i]) streams[i].file = s->file[i];
        if (s->parent[i] == COHORT_OS_NONE) continue;
        apr_os_file_t file = (apr_os_file_t)s->parent[i];
        apr_status_t status = apr_os_pipe_put_ex(&streams[i].file, &file, 1, slot->program_pool);
        if (status) return status;
    }
    return APR_SUCCESS;
}

static bool is_terminal_file(apr_file_t *file) {
    apr_os_file_t os;
    return apr_os_file_get(&os, file) == APR_SUCCESS &&
           cohort_os_know((cohort_os_handle_t)os).columns != 0;
}

static apr_status_t terminal_read(apr_file_t *file, void *buffer, apr_size_t capacity,
                                  apr_size_t *size) {
    apr_size_t got = capacity;
    if (!file || !buffer || !size)
        return cohort__null(!file ? "file" : !buffer ? "buffer" : "size");
    if (!capacity) return cohort__fail(APR_EINVAL, "capacity is 0");
    apr_status_t status = apr_file_read(file, buffer, &got);
    if (status == EIO && is_terminal_file(file)) return APR_EOF;
    if (!status) *size = got;
    return status;
}

apr_status_t cohort_terminal_read(apr_file_t *file, void *buffer, apr_size_t capacity,
                                  apr_size_t *size) {
    return COHORT__CALL(terminal_read(file, buffer, capacity, size));
}

/* ---- as a start has them -------------------------------------------------------------------- */

void cohort__streams_of(const cohort_process_t *slot, cohort_os_handle_t stdio[3]) {
    const cohort__streams_t *s = slot->streams;
    bool none = slot->lifetime == COHORT_LIFETIME_BACKGROUND;
    for (int i = 0; i < 3; i++) {
        stdio[i] = s->child[i];
        if (stdio[i] == COHORT_OS_NONE && none) stdio[i] = COHORT_OS_NULL;
    }
}

cohort_os_streams_t cohort__streams_whole(const cohort_process_t *slot) {
    cohort_os_streams_t whole;
    cohort__streams_of(slot, whole.handles);
    for (int i = 0; i < 3; i++)
        if (whole.handles[i] == COHORT_OS_NONE)
            whole.handles[i] = cohort_os_facts()->streams.handles[i];
    return whole;
}
