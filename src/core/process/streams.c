/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The standard streams of processes: pipes, files, logs and terminals are opened for a start, and
 * closed after it; a program, a re-executed child and a forked one get the same handles, and those
 * that a fork server makes get them with the request.
 *
 * Of a process that several threads start others in, a forked child is a copy with the handles that
 * the other threads have just opened for theirs. A pipe would not come to its end before that child
 * does, so it closes what is on the list of those that are open.
 */
#include "core/process/streams.h"

#include "core/base/reserved.h"

#include <apr_file_info.h>
#include <apr_portable.h>
#include <cohort/terminal.h>
#include <errno.h>

/* ---- what they are to be -------------------------------------------------------------------- */

apr_status_t cohort__streams_check(const cohort_stream_t streams[3], const char *name) {
    apr_status_t status = APR_SUCCESS;
    for (unsigned i = 0; i < 3 && !status; i++)
        status = cohort__check_reserved_at(streams[i].reserved, 1, name, i);
    return status;
}

apr_status_t cohort__stream_check(const cohort_stream_t *stream, int i, const char *name) {
    bool can_be = stream->kind >= COHORT_STREAM_INHERIT && stream->kind <= COHORT_STREAM_LINES;
    if (stream->kind == COHORT_STREAM_OUTPUT) can_be = i == 2;
    if (stream->kind == COHORT_STREAM_LOG || stream->kind == COHORT_STREAM_LINES) can_be = i != 0;
    if (!can_be)
        return cohort__fail(APR_EINVAL, "%s->streams[%d].kind is %d", name, i, (int)stream->kind);
    if (stream->kind == COHORT_STREAM_FILE && !stream->file)
        return cohort__fail(APR_EINVAL, "%s->streams[%d].file is NULL", name, i);
    if (stream->kind == COHORT_STREAM_LOG && (!stream->path || !*stream->path))
        return cohort__fail(APR_EINVAL, "%s->streams[%d].path is %s", name, i,
                            stream->path ? "empty" : "NULL");
    if (stream->kind == COHORT_STREAM_LINES) return cohort__lines_check(stream->lines, i, name);
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

/* ---- those that are open -------------------------------------------------------------------- */

/* Of this process. Nothing of them is opened or closed but with the mutex held, which a fork takes,
 * too; but for a log that is no regular file: its open may let a thread wait, and it is on the list
 * a moment later. */
static cohort__streams_t *begun;
static cohort_os_mutex_t mutex;

void cohort__streams_lock(void) { cohort_os_mutex_lock(&mutex); }

void cohort__streams_unlock(void) { cohort_os_mutex_unlock(&mutex); }

void cohort__streams_begin(cohort__streams_t *s) {
    *s = (cohort__streams_t){.child = {COHORT_OS_NONE, COHORT_OS_NONE, COHORT_OS_NONE},
                             .parent = {COHORT_OS_NONE, COHORT_OS_NONE, COHORT_OS_NONE},
                             .first_terminal = 3};
    cohort__streams_lock();
    s->next = begun;
    begun = s;
    cohort__streams_unlock();
}

/* With the mutex held. */
static void take_off(cohort__streams_t *s) {
    cohort__streams_t **link = &begun;
    while (*link && *link != s) link = &(*link)->next;
    if (*link) *link = s->next;
}

/* With the mutex held, or in a copy. */
static void close_childs(cohort__streams_t *s, const cohort_os_handle_t *spared) {
    for (int i = 0; i < 3; i++) {
        bool spare = spared && (s->child[i] == spared[0] || s->child[i] == spared[1] ||
                                s->child[i] == spared[2]);
        if (spare) continue;
        if (s->theirs[i]) (void)apr_file_close(s->theirs[i]);
        else if (s->opened[i]) cohort_os_close(s->child[i]);
        s->theirs[i] = NULL;
        s->opened[i] = false;
    }
}

static void close_own(cohort__streams_t *s) {
    for (int i = 0; i < 3; i++) {
        if (s->file[i]) (void)apr_file_close(s->file[i]);
        if (s->parent[i] != COHORT_OS_NONE) cohort_os_close(s->parent[i]);
        s->file[i] = NULL;
        s->parent[i] = COHORT_OS_NONE;
    }
}

/* What was opened where the copy has its streams now is these. */
void cohort__streams_reset(void) {
    cohort_os_mutex_reset(&mutex);
    for (cohort__streams_t *s = begun; s; s = s->next) {
        close_childs(s, cohort_os_facts()->streams.handles);
        close_own(s);
    }
    begun = NULL;
}

void cohort__streams_started(cohort__streams_t *s) {
    cohort__streams_lock();
    close_childs(s, NULL);
    cohort__streams_unlock();
    if (s->pool) apr_pool_destroy(s->pool);
    s->pool = NULL;
}

void cohort__streams_close_end(cohort__streams_t *s, cohort_os_handle_t end) {
    if (end == COHORT_OS_NONE) return;
    cohort__streams_lock();
    for (int i = 0; i < 3; i++) {
        if (s->parent[i] != end) continue;
        cohort_os_close(end);
        s->parent[i] = COHORT_OS_NONE;
    }
    cohort__streams_unlock();
}

void cohort__streams_end(cohort__streams_t *s) {
    cohort__streams_started(s);
    cohort__streams_lock();
    close_own(s);
    take_off(s);
    cohort__streams_unlock();
}

/* ---- opened --------------------------------------------------------------------------------- */

apr_status_t cohort__stream_pipe(cohort__streams_t *s, int i, cohort_os_pipe_t what) {
    cohort_os_handle_t *reader = i == 0 ? &s->child[i] : &s->parent[i],
                       *writer = i == 0 ? &s->parent[i] : &s->child[i];
    cohort__streams_lock();
    apr_status_t status = cohort_os_pipe_create(what, reader, writer);
    s->opened[i] = !status;
    cohort__streams_unlock();
    return status;
}

/* Where a descriptor is one whatever it is of, APR can set a time-out for any; elsewhere only for
 * pipes of its own making, which no child inherits either. */
static apr_status_t open_pipe(int i, cohort__streams_t *s, apr_pool_t *pool) {
    apr_os_file_t child;
    apr_file_t *in, *out;
    if (APR_FILES_AS_SOCKETS) return cohort__stream_pipe(s, i, COHORT_OS_PIPE_BYTES);
    apr_status_t status =
        apr_file_pipe_create_ex(&in, &out, i == 0 ? APR_READ_BLOCK : APR_WRITE_BLOCK, pool);
    if (status) return status;
    s->theirs[i] = i == 0 ? in : out;
    s->file[i] = i == 0 ? out : in;
    (void)apr_file_pipe_timeout_set(s->file[i], -1);
    status = apr_os_file_get(&child, s->theirs[i]);
    s->opened[i] = !status;
    s->child[i] = (cohort_os_handle_t)child;
    return status;
}

/* Where no handle appends by itself, all that have this one write behind one another. */
static apr_status_t append_to(const cohort_stream_t *stream, apr_file_t **file, apr_pool_t *pool) {
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

/* What is no file in a directory, a FIFO above all, may let its opener wait. */
static bool is_opened_at_once(const char *path, apr_pool_t *pool) {
    apr_finfo_t found;
    apr_status_t status = apr_stat(&found, path, APR_FINFO_TYPE, pool);
    return status || found.filetype == APR_REG;
}

static apr_status_t open_log(const cohort_stream_t *stream, int i, cohort__streams_t *s) {
    apr_file_t *log = NULL;
    apr_status_t status = s->pool ? APR_SUCCESS : apr_pool_create(&s->pool, NULL);
    if (status) return status;
    bool at_once = is_opened_at_once(stream->path, s->pool);
    if (at_once) cohort__streams_lock();
    status = append_to(stream, &log, s->pool);
    if (!at_once) cohort__streams_lock();
    s->theirs[i] = status ? NULL : log;
    if (!status) status = as_handle(log, &s->child[i]);
    cohort__streams_unlock();
    return status;
}

static cohort_os_terminal_t terminal_of(const cohort_stream_t *stream) {
    return (cohort_os_terminal_t){1, stream->columns ? stream->columns : 80,
                                  stream->rows ? stream->rows : 24};
}

/* One for all streams that are to be it. */
static apr_status_t open_terminal(const cohort_stream_t *stream, int i, cohort__streams_t *s) {
    if (s->first_terminal < 3) {
        s->child[i] = s->child[s->first_terminal];
        return APR_SUCCESS;
    }
    cohort__streams_lock();
    apr_status_t status =
        cohort_os_pipe_create(COHORT_OS_PIPE_TERMINAL, &s->parent[i], &s->child[i]);
    s->opened[i] = !status;
    cohort__streams_unlock();
    if (status) return status;
    s->first_terminal = i;
    s->terminal = terminal_of(stream);
    return APR_SUCCESS;
}

apr_status_t cohort__stream_open(cohort__streams_t *s, const cohort_stream_t *stream, int i,
                                 const cohort_process_t *slot) {
    switch (stream->kind) {
    case COHORT_STREAM_NULL: s->child[i] = COHORT_OS_NULL; return APR_SUCCESS;
    case COHORT_STREAM_OUTPUT: s->child[i] = COHORT_OS_OUTPUT; return APR_SUCCESS;
    case COHORT_STREAM_FILE:
        return slot && atomic_load(&slot->serves) ? cohort__service_file(slot, i, &s->child[i])
                                                  : as_handle(stream->file, &s->child[i]);
    case COHORT_STREAM_LOG: return open_log(stream, i, s);
    case COHORT_STREAM_TERMINAL: return open_terminal(stream, i, s);
    case COHORT_STREAM_LINES: return cohort__stream_pipe(s, i, COHORT_OS_PIPE_INWARD);
    default: return APR_SUCCESS;
    }
}

apr_status_t cohort__streams_open(cohort__streams_t *s, const cohort_stream_t streams[3],
                                  cohort_process_t *slot) {
    cohort__streams_begin(s);
    apr_status_t status = cohort__lines_begin(s, streams);
    for (int i = 0; i < 3 && !status; i++)
        status = streams[i].kind == COHORT_STREAM_PIPE
                     ? open_pipe(i, s, slot->program_pool)
                     : cohort__stream_open(s, &streams[i], i, slot);
    slot->terminal = s->terminal;
    slot->streams = s;
    return status;
}

/* ---- after the start ------------------------------------------------------------------------ */

void cohort__streams_close(cohort__streams_t *s, bool failed) {
    if (failed) cohort__lines_drop(s);
    if (failed) cohort__streams_end(s);
    else cohort__streams_started(s);
}

static apr_status_t hand_over(cohort__streams_t *s, cohort_stream_t *stream, int i,
                              apr_pool_t *pool) {
    apr_os_file_t file = (apr_os_file_t)s->parent[i];
    if (s->file[i]) stream->file = s->file[i];
    s->file[i] = NULL;
    if (s->parent[i] == COHORT_OS_NONE) return APR_SUCCESS;
    apr_status_t status = apr_os_pipe_put_ex(&stream->file, &file, 1, pool);
    if (!status) s->parent[i] = COHORT_OS_NONE;
    return status;
}

apr_status_t cohort__streams_hand_over(cohort__streams_t *s, cohort_stream_t streams[3],
                                       cohort_process_t *slot) {
    apr_status_t status = APR_SUCCESS;
    cohort__lines_give(s);
    cohort__streams_lock();
    for (int i = 0; i < 3 && !status; i++) {
        if (streams[i].kind == COHORT_STREAM_TERMINAL && i != s->first_terminal)
            streams[i].file = streams[s->first_terminal].file;
        status = hand_over(s, &streams[i], i, slot->program_pool);
    }
    cohort__streams_unlock();
    cohort__streams_end(s);
    return status;
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
